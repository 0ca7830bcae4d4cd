//! Events of a client.

use std::sync::{Arc, Mutex, PoisonError};

use crate::session::Sessions;
use crate::{
    ClientState, DeviceId, EndReason, PathKind, PeersError, Quality, Session, SessionStatus, UserId,
};

/// An event of a client. Those of one session come in this order: `Connected`, its changes, `Disconnected`. The next session
/// with the same device begins later.
#[derive(uniffi::Enum)]
pub enum Event {
    /// The client's state changed.
    State {
        /// The new one.
        state: ClientState,
    },
    /// A device without a known level asks for a session.
    Incoming {
        /// To accept or reject.
        incoming: Arc<Incoming>,
    },
    /// The device that this one connects to asks its person, who sees the same six digits: show them.
    Comparing {
        /// The device that asks.
        device: DeviceId,
        /// As [`Incoming::sas`] there.
        sas: String,
    },
    /// The digits of [`Event::Comparing`] are of no use any more. It comes after each of those, before [`Event::Connected`].
    Compared {
        /// The device that has answered, or whose connection has ended.
        device: DeviceId,
    },
    /// A session can be used. It may be one that the peer asked for.
    Connected {
        /// The session.
        session: Arc<Session>,
        /// The path that carries it.
        path: PathKind,
    },
    /// A session moved to a path of another kind, or from or to a TURN server.
    PathChanged {
        /// The session.
        session: Arc<Session>,
        /// The path that carries it now; none while there is none.
        path: Option<PathKind>,
    },
    /// The status of a session changed.
    StatusChanged {
        /// The session.
        session: Arc<Session>,
        /// The status now.
        status: SessionStatus,
    },
    /// The path a session uses feels different now.
    QualityChanged {
        /// The session.
        session: Arc<Session>,
        /// The quality now.
        quality: Quality,
    },
    /// A session ended.
    Disconnected {
        /// The session.
        session: Arc<Session>,
        /// The reason.
        reason: EndReason,
    },
    /// A device registered at the relay.
    Online {
        /// The device.
        device: DeviceId,
    },
    /// A device left the relay.
    Offline {
        /// The device.
        device: DeviceId,
    },
    /// Data began or ceased to cost money. While it does, no session is dialed for a better path, idle paths are probed half
    /// as often, and streams marked as bulk wait.
    Metered {
        /// True while data costs money.
        metered: bool,
    },
    /// Events older than those that follow were dropped because the app did not take them.
    Missed {
        /// The number of dropped events.
        count: u64,
    },
}

impl Event {
    pub(crate) fn new(event: peers::Event, sessions: &Sessions) -> Self {
        match event {
            peers::Event::State(state) => Self::State { state: state.into() },
            peers::Event::Incoming(incoming) => Self::Incoming { incoming: Incoming::new(incoming) },
            peers::Event::Comparing { device, sas } => Self::Comparing { device, sas },
            peers::Event::Compared(device) => Self::Compared { device },
            peers::Event::Connected { session, path } => {
                Self::Connected { session: sessions.handle(session), path }
            }
            peers::Event::PathChanged { session, path } => {
                Self::PathChanged { session: sessions.handle(session), path }
            }
            peers::Event::StatusChanged { session, status } => {
                Self::StatusChanged { session: sessions.handle(session), status }
            }
            peers::Event::QualityChanged { session, quality } => {
                Self::QualityChanged { session: sessions.handle(session), quality: quality.into() }
            }
            peers::Event::Disconnected { session, reason } => {
                Self::Disconnected { session: sessions.handle(session), reason }
            }
            peers::Event::Online(device) => Self::Online { device },
            peers::Event::Offline(device) => Self::Offline { device },
            peers::Event::Metered(metered) => Self::Metered { metered },
            peers::Event::Missed(count) => Self::Missed { count },
        }
    }
}

/// An unknown device that asks for a session. Dropping it rejects. One that has knocked asks twice: first whether it may come
/// and be compared, then, in another of these, with the digits.
#[derive(uniffi::Object)]
pub struct Incoming {
    device: DeviceId,
    user: UserId,
    name: String,
    sas: Option<String>,
    decision: Mutex<Option<peers::Incoming>>,
}

impl Incoming {
    pub(crate) fn new(incoming: peers::Incoming) -> Arc<Self> {
        Arc::new(Self {
            device: incoming.device(),
            user: incoming.user(),
            name: incoming.name().to_string(),
            sas: incoming.sas().map(str::to_owned),
            decision: Mutex::new(Some(incoming)),
        })
    }

    fn decide(&self) -> Result<peers::Incoming, PeersError> {
        self.decision.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(PeersError::Closed)
    }
}

#[uniffi::export]
impl Incoming {
    /// The device that asks, proven.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The user of the device, proven.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The name that the device chose: show it, but do not rely on it.
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Six digits that the asking device shows at the same time ([`Event::Comparing`]), unless a third device is in between.
    /// None for a knock: they come with the handshake, if it is accepted.
    pub fn sas(&self) -> Option<String> {
        self.sas.clone()
    }

    /// Lets it in; if it has knocked, lets it come and be compared. Fails with [`PeersError::Closed`] when decided already.
    pub fn accept(&self) -> Result<(), PeersError> {
        self.decide()?.accept();
        Ok(())
    }

    /// Turns it away. A device that has knocked gets no answer. Does nothing when decided already.
    pub fn reject(&self) {
        if let Ok(incoming) = self.decide() {
            incoming.reject();
        }
    }
}
