//! The engine of a client: decisions about its peers, above single connections and sessions.

mod held;
pub mod negotiations;
