//! Encodings of values: variable-length integers, MessagePack, Brotli. Pure computation on byte slices, the same
//! on every platform.
//!
//! ```text
//! value --encode--> MessagePack --compress--> (Encoding, content)    to the session
//! value <--decode-- MessagePack <-decompress- (Encoding, content)    from it
//! ```
//!
//! Bytes from a peer are hostile until [`validate()`] has accepted them: no function here recurses, or allocates what a length
//! merely promises.

pub mod varint;

mod bounded;
mod brotli;
mod compress;
mod decompress;
mod error;
mod keys;
mod validate;
mod value;

pub(crate) use compress::is_plausible;
pub use compress::{Encoding, compress};
pub use decompress::decompress;
pub use error::CodecError;
pub use validate::{Shape, validate};
pub use value::{decode, encode};
