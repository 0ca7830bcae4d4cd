//! Types of the core that cross as they are.
//!
//! A macro cannot look into another crate, so each declaration repeats the variants or fields of the core's type. It declares no
//! type of its own: the compiler checks it against the core's, and a variant or field that one of the two lacks is an error. The
//! types are documented where they are defined, and for apps in the façades.
//!
//! Types that cross in another form stay in the module of their subject, with an exhaustive conversion:
//!
//! | type | difference from the core's |
//! |---|---|
//! | [`ClientState`](crate::ClientState) | is also `Stopped`: the core has no client before its start |
//! | [`RelayStatus`](crate::RelayStatus) | has neither instants nor the core's errors, only their codes and texts |
//! | [`PathInfo`](crate::PathInfo) | has times in microseconds: `java.time` needs Android 8 |
//! | [`Quality`](crate::Quality) | has fields, the core's has methods |
//! | [`Event`](crate::Event) | holds handles of this crate |
//! | [`PeersError`] | has failures of the border itself |

use std::net::IpAddr;

pub use peers::{
    AppState, DeviceId, EndReason, FailureCode, GroupId, Medium, NetworkSnapshot, PathKind, QualityLevel,
    Status as SessionStatus, Tier as PathTier, TrustLevel, UserId,
};

use crate::PeersError;

// An id or address that is malformed fails the call that it is an argument of with `PeersError::Config`.
uniffi::custom_type!(DeviceId, String, { remote, try_lift: |text| parse("device id", &text), lower: |id| id.to_string() });
uniffi::custom_type!(UserId, String, { remote, try_lift: |text| parse("user id", &text), lower: |id| id.to_string() });
uniffi::custom_type!(GroupId, String, { remote, try_lift: |text| parse("group id", &text), lower: |id| id.to_string() });
uniffi::custom_type!(IpAddr, String, { remote, try_lift: |text| parse("network address", &text), lower: |ip| ip.to_string() });

fn parse<T>(what: &str, text: &str) -> uniffi::Result<T>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| PeersError::Config { reason: format!("{what}: {error}") }.into())
}

#[uniffi::remote(Enum)]
pub enum TrustLevel {
    Malicious,
    Untrusted,
    Unknown,
    NewUser,
    NewDevice,
    Known,
    Trusted,
    Own,
}

#[uniffi::remote(Enum)]
pub enum FailureCode {
    Application,
    NotFound,
    Denied,
    Overloaded,
    BadRequest,
}

#[uniffi::remote(Enum)]
pub enum PathKind {
    Lan,
    WebRtc,
    Internet,
    Relay,
    Custom,
}

#[uniffi::remote(Enum)]
pub enum PathTier {
    Lan,
    Direct,
    Forwarded,
    Relay,
    Custom,
}

#[uniffi::remote(Enum)]
pub enum SessionStatus {
    Usable,
    Verifying,
    Down,
    Away,
}

#[uniffi::remote(Enum)]
pub enum EndReason {
    Closed,
    Evicted,
    ClosedByPeer,
    PeerRestarted,
    NoPath,
    Protocol,
    Overloaded,
    NoRuntime,
}

#[uniffi::remote(Enum)]
pub enum QualityLevel {
    Bad,
    Fair,
    Good,
}

#[uniffi::remote(Enum)]
pub enum AppState {
    Foreground,
    Background,
    Suspended,
}

#[uniffi::remote(Enum)]
pub enum Medium {
    Wifi,
    Cellular,
    Wired,
    Other,
}

#[uniffi::remote(Record)]
pub struct NetworkSnapshot {
    pub online: bool,
    pub medium: Medium,
    pub metered: bool,
    pub addresses: Vec<IpAddr>,
    #[uniffi(default = None)]
    pub network: Option<u64>,
    #[uniffi(default = true)]
    pub validated: bool,
}
