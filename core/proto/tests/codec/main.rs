//! The codec against what peers may send: objects, streams, hostile bytes. `vectors` has the bytes of other implementations.

mod brotli_streams;
mod hostile_brotli;
mod hostile_objects;
mod memory;
mod objects;
