//! Authenticated, end-to-end encrypted sessions between phones.

pub mod transport;
