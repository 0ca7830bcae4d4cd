//! What a path is like, and what the platform says of network and app.

use crate::{PathKind, PeersError};

/// Whether a session can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum SessionStatus {
    /// A path carries it.
    Usable,
    /// There is a path, but it does not answer, or has not yet.
    Verifying,
    /// There is no path; what is sent waits for one.
    Down,
    /// The peer said that it would be away; what is sent waits for its return.
    Away,
}

impl From<peers::Status> for SessionStatus {
    fn from(status: peers::Status) -> Self {
        match status {
            peers::Status::Usable => Self::Usable,
            peers::Status::Verifying => Self::Verifying,
            peers::Status::Down => Self::Down,
            peers::Status::Away => Self::Away,
        }
    }
}

/// Kinds of path, best first as long as the app prefers no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum PathTier {
    /// A WebSocket on the same network.
    Lan,
    /// WebRTC, and no server in between.
    Direct,
    /// WebRTC through a TURN server, or a WebSocket over TLS to a device that listens publicly.
    Forwarded,
    /// Through the relay.
    Relay,
    /// Supplied by the app.
    Custom,
}

impl From<PathTier> for peers::Tier {
    fn from(tier: PathTier) -> Self {
        match tier {
            PathTier::Lan => Self::Lan,
            PathTier::Direct => Self::Direct,
            PathTier::Forwarded => Self::Forwarded,
            PathTier::Relay => Self::Relay,
            PathTier::Custom => Self::Custom,
        }
    }
}

/// How a path feels, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum QualityLevel {
    /// Hardly usable.
    Bad,
    /// Noticeably slow.
    Fair,
    /// Nothing to notice.
    Good,
}

/// The quality of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Record)]
pub struct Quality {
    /// 0 is useless, 100 perfect.
    pub score: u8,
    /// The level the score is in, with hysteresis.
    pub level: QualityLevel,
}

impl From<peers::Quality> for Quality {
    fn from(quality: peers::Quality) -> Self {
        let level = match quality.level() {
            peers::QualityLevel::Bad => QualityLevel::Bad,
            peers::QualityLevel::Fair => QualityLevel::Fair,
            peers::QualityLevel::Good => QualityLevel::Good,
        };
        Self { score: quality.score(), level }
    }
}

/// What is known about the path that carries a session.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct PathInfo {
    /// What it runs over.
    pub kind: PathKind,
    /// Whether a TURN server forwards it.
    pub relayed: bool,
    /// Moving average of the round trip, in microseconds, once measured.
    pub rtt_us: Option<u64>,
    /// How much round trips differ from one to the next, in microseconds.
    pub jitter_us: u64,
    /// Percent of the last ten pings that were not answered in time.
    pub loss: u8,
    /// Bytes per second in both directions over the last second.
    pub throughput: u64,
    /// Bytes sent in all.
    pub sent: u64,
    /// Bytes received in all.
    pub received: u64,
    /// All of this as one number.
    pub quality: Quality,
}

impl From<peers::PathInfo> for PathInfo {
    fn from(info: peers::PathInfo) -> Self {
        let micros = |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self {
            kind: info.route.kind.into(),
            relayed: info.route.relayed,
            rtt_us: info.rtt.map(micros),
            jitter_us: micros(info.jitter),
            loss: info.loss,
            throughput: info.throughput,
            sent: info.sent,
            received: info.received,
            quality: info.quality.into(),
        }
    }
}

/// Whether a person looks at the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum AppState {
    /// A person looks.
    Foreground,
    /// The app runs unseen: what there is is kept alive, nothing more.
    Background,
    /// The system is about to stop the app: peers are told, every connection closes, no timer runs.
    Suspended,
}

impl From<AppState> for peers::AppState {
    fn from(state: AppState) -> Self {
        match state {
            AppState::Foreground => Self::Foreground,
            AppState::Background => Self::Background,
            AppState::Suspended => Self::Suspended,
        }
    }
}

/// What kind of network carries the default route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Medium {
    /// Wi-Fi.
    Wifi,
    /// A mobile network.
    Cellular,
    /// A cable.
    Wired,
    /// Something else, a VPN for example.
    Other,
}

/// The network as the operating system describes it at one moment.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct NetworkSnapshot {
    /// Whether there is a default route that the system lets this app use.
    pub online: bool,
    /// What carries it.
    pub medium: Medium,
    /// Whether its data costs money.
    pub metered: bool,
    /// The device's own addresses on it, as text, without a zone or a prefix length.
    pub addresses: Vec<String>,
    /// The system's own number for this connection to a network, where it has one: another number is another network, whatever
    /// its addresses are.
    #[uniffi(default = None)]
    pub network: Option<u64>,
    /// True if the system has reached the Internet over it, or does not say.
    #[uniffi(default = true)]
    pub validated: bool,
}

impl TryFrom<NetworkSnapshot> for peers::NetworkSnapshot {
    type Error = PeersError;

    fn try_from(snapshot: NetworkSnapshot) -> Result<Self, PeersError> {
        let medium = match snapshot.medium {
            Medium::Wifi => peers::Medium::Wifi,
            Medium::Cellular => peers::Medium::Cellular,
            Medium::Wired => peers::Medium::Wired,
            Medium::Other => peers::Medium::Other,
        };
        let parse = |text: &String| {
            text.parse().map_err(|error| PeersError::Config { reason: format!("network address: {error}") })
        };
        let addresses = snapshot.addresses.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self {
            online: snapshot.online,
            network: snapshot.network,
            medium,
            metered: snapshot.metered,
            validated: snapshot.validated,
            addresses,
        })
    }
}
