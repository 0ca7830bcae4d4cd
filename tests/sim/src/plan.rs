//! A world before it begins: who is there, how they are connected, and what will happen to them.

use std::time::Duration;

use peers_proto::transport_kind::TransportKind;
use peers_proto::trust::TrustLevel;

use crate::pipe::Profile;

/// What a NAT lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nat {
    Open,
    Cone,
    AddressRestricted,
    PortRestricted,
    Symmetric,
    UdpBlocked,
}

impl Nat {
    pub(crate) const ALL: [Self; 6] = [
        Self::Open,
        Self::Cone,
        Self::AddressRestricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::UdpBlocked,
    ];

    /// Whether ICE finds a direct pair without TURN.
    pub(crate) fn reaches(self, other: Self) -> bool {
        use Nat::{PortRestricted, Symmetric, UdpBlocked};
        !matches!(
            (self, other),
            (UdpBlocked, _)
                | (_, UdpBlocked)
                | (Symmetric, Symmetric | PortRestricted)
                | (PortRestricted, Symmetric)
        )
    }
}

/// Where a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The local network it shares with others in the same one.
    pub(crate) lan: Option<u8>,
    pub(crate) nat: Nat,
}

/// What happens to the world.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// The device loses its network, and keeps its address.
    Down(usize),
    Up(usize),
    /// The device gets another address in another place.
    Move(usize, Place),
    /// Nothing direct passes between two devices any more, in silence.
    Block(usize, usize),
    Unblock(usize, usize),
    /// Nothing passes from the first to the second on any path there is; new ones work.
    OneWay(usize, usize),
    /// From now on the device loses what it sends directly if that has more bytes than this: a tunnel on its way says
    /// nothing about its MTU.
    Narrow(usize, usize),
    /// The next READY from the first to the second is lost, and what follows it on the same pipe.
    LoseReady(usize, usize),
    RelayDown(usize),
    RelayUp(usize),
    TurnDown,
    TurnUp,
    Sleep(usize),
    Wake(usize),
    /// The device's clock leaps forward.
    Jump(usize, Duration),
    /// The app is killed and started again.
    Crash(usize),
    /// The app closes its session with a peer.
    Close(usize, usize),
    /// The app asks for the session with a peer.
    Request(usize, usize),
    /// The app gives the second device this level.
    Trust(usize, usize, TrustLevel),
    /// Data costs money for a device from now on, or does not.
    Metered(usize, bool),
    /// The system suspends the app, which says so to its peers, and brings it back.
    Suspend(usize),
    Resume(usize),
    /// Everything works again.
    Heal,
    /// Apps whose requests have failed ask again.
    AskAgain,
}

/// What the apps do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// Mean time between two deeds of one app towards one peer.
    pub(crate) pace: Duration,
    /// Largest stream.
    pub(crate) stream: u64,
    /// Percent of messages that need more than a frame.
    pub(crate) large: u64,
    /// Apps take what arrived only at their own pace.
    pub(crate) slow_reader: bool,
}

/// A deliberate defect, to see that the checks find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// None.
    #[default]
    None,
    /// A frame counts as acknowledged once the transport has taken it.
    AcknowledgeOnSend,
    /// One frame in a hundred vanishes.
    DropFrames,
    /// READY of a connection speaks for the present session, not for the one it was dialed for.
    ForgetEpoch,
    /// READY does not name the session that was closed last.
    HideClosed,
    /// A connection that is stale is dropped with the READY that was not sent yet.
    DropStale,
    /// The engine does not learn that a session closes before it has.
    SilentCloses,
    /// The engine learns that a session closes when the peer knows it already.
    LateCloses,
    /// A session that the peer closes is reported as closed by this device.
    OwnCloses,
    /// No peer connection is closed.
    DropCloses,
    /// A handshake ends when the peer says that it has failed.
    ByeEndsHandshake,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) places: Vec<Place>,
    /// Who wants to talk to whom; the first one looks for the other. Whoever has a session does what it can to keep it.
    pub(crate) pairs: Vec<(usize, usize)>,
    /// How far each device is trusted by the others.
    pub(crate) levels: Vec<TrustLevel>,
    /// Whether the second one looks for the first, too.
    pub(crate) both_dial: bool,
    pub(crate) relays: usize,
    pub(crate) turn: bool,
    /// Frames may pass through relays, which signal in any case.
    pub(crate) relayed_paths: bool,
    /// Percent of questions about an unknown device that the app accepts.
    pub(crate) accepts: u64,
    /// Nothing breaks: every request of an app gets a session.
    pub(crate) calm: bool,
    pub(crate) lan: Profile,
    pub(crate) direct: Profile,
    pub(crate) relayed: Profile,
    pub(crate) traffic: Traffic,
    pub(crate) actions: Vec<(Duration, Action)>,
    /// When the apps have said everything and all is well again.
    pub(crate) heal: Duration,
    /// Most paths that a device's session may get, one after the other.
    pub(crate) moves: u32,
    /// How long the world is left alone then, while the first device's wake-ups are counted.
    pub(crate) idle: Duration,
    pub(crate) fault: Fault,
}

impl Plan {
    pub(crate) fn profile(&self, kind: TransportKind) -> Profile {
        match kind {
            TransportKind::Lan => self.lan,
            TransportKind::Relay => self.relayed,
            _ => self.direct,
        }
    }
}
