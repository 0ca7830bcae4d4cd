//! Capabilities of each level, as a table. A capability that the table does not list is denied.

use super::TrustLevel;

/// Something a peer may want to do on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Exchange data of a group that both devices are members of.
    Groups,
    /// Messages, calls and streams outside any group.
    Messages,
    /// For the coming pairing: ask to be paired.
    Pairing,
}

/// The lowest level each capability needs.
const TABLE: &[(Capability, TrustLevel)] = &[
    (Capability::Groups, TrustLevel::NewDevice),
    (Capability::Messages, TrustLevel::Trusted),
    (Capability::Pairing, TrustLevel::Unknown),
];

/// True if a device of this level may use the capability.
#[must_use]
pub fn allows(level: TrustLevel, capability: Capability) -> bool {
    TABLE.iter().any(|(granted, from)| *granted == capability && level >= *from)
}
