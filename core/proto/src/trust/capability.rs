//! Capabilities of each level, as a table. A capability that the table does not list is denied.

use super::TrustLevel;

/// Something a peer may want to do on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Stay connected and measure the path.
    Ping,
    /// Ask to be paired.
    Pairing,
    /// Exchange data of a group that both devices are members of.
    Groups,
    /// Messages outside any group.
    Messages,
    /// Calls outside any group.
    Calls,
    /// Streams outside any group.
    Streams,
}

/// The lowest level each capability needs.
const TABLE: &[(Capability, TrustLevel)] = &[
    (Capability::Ping, TrustLevel::Unknown),
    (Capability::Pairing, TrustLevel::Unknown),
    (Capability::Groups, TrustLevel::NewDevice),
    (Capability::Messages, TrustLevel::Trusted),
    (Capability::Calls, TrustLevel::Trusted),
    (Capability::Streams, TrustLevel::Trusted),
];

/// True if a device of this level may use the capability.
#[must_use]
pub fn allows(level: TrustLevel, capability: Capability) -> bool {
    TABLE.iter().any(|(granted, from)| *granted == capability && level >= *from)
}
