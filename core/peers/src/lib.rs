//! Authenticated, end-to-end encrypted sessions between phones.

pub mod backoff;
pub mod clock;
pub mod random;
pub mod relay_client;
pub mod transport;
