//! The epochs of this device towards its peers, and the session with each.

use std::collections::{BTreeMap, VecDeque};

use super::admission::{Admission, Scope};
use super::{AppEvent, Engine, HandshakeId, Output, SessionId, SessionState};
use crate::dial::ConnectedPeer;
use crate::end_reason::EndReason;
use crate::id::DeviceId;
use crate::path::{Route, Status};
use crate::random::SplitMix;
use crate::session::{Epochs, Reconciled, Resume};
use crate::time::Instant;
use crate::trust::TrustLevel;

/// Devices with an epoch, live sessions included. A handshake that fails leaves one behind; for a device that is forgotten
/// this one has another epoch next time.
const MAX_PEERS: usize = 512;
/// Closed sessions whose epochs are remembered: those of the last seconds, even of a busy device.
const MAX_CLOSED: usize = 64;

/// The session that a connection becomes a path of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The session.
    pub session: SessionId,
    /// The first frame that the peer expects.
    pub next: u64,
    /// The data that the session may carry, if it begins with this path.
    pub begins: Option<Scope>,
}

/// The session with a peer.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: SessionId,
    /// As its driver reported last.
    pub(super) state: SessionState,
    /// Its driver has reported a path.
    pub(super) usable: bool,
    /// The route that the last event for the app named.
    pub(super) reported: Option<Route>,
    /// A path was made that its driver has not reported yet.
    pub(super) joining: bool,
    /// It is about to end: no request is answered with it.
    pub(super) ending: bool,
}

#[derive(Debug)]
struct Peer {
    epochs: Epochs,
    live: Option<Live>,
}

/// All peers of a device.
#[derive(Debug)]
pub(super) struct Peers {
    of: BTreeMap<DeviceId, Peer>,
    /// Devices whose sessions were closed, the latest last.
    closed: VecDeque<DeviceId>,
    random: SplitMix,
}

impl Peers {
    pub(super) fn new(random: u64) -> Self {
        Self { of: BTreeMap::new(), closed: VecDeque::new(), random: SplitMix::new(random) }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (DeviceId, &Live)> {
        self.of.iter().filter_map(|(device, peer)| Some((*device, peer.live.as_ref()?)))
    }

    pub(super) fn live_of(&self, device: DeviceId) -> Option<&Live> {
        self.of.get(&device)?.live.as_ref()
    }

    pub(super) fn live_mut(&mut self, device: DeviceId) -> Option<&mut Live> {
        self.of.get_mut(&device)?.live.as_mut()
    }

    /// True if the session with a device in which this side had this epoch was closed.
    pub(super) fn has_closed(&self, device: DeviceId, epoch: u64) -> bool {
        self.of.get(&device).is_some_and(|peer| peer.epochs.has_closed(epoch))
    }

    /// The session with a device has ended.
    pub(super) fn end(&mut self, device: DeviceId, reason: EndReason) {
        if !reason.is_close() {
            self.of.remove(&device);
            return;
        }
        let random = self.random.next();
        let Some(peer) = self.of.get_mut(&device) else { return };
        peer.live = None;
        peer.epochs.close(random);
        self.closed.retain(|other| *other != device);
        self.closed.push_back(device);
        if self.closed.len() > MAX_CLOSED
            && let Some(oldest) = self.closed.pop_front()
            && self.live_of(oldest).is_none()
        {
            self.of.remove(&oldest);
        }
    }

    /// See [`Engine::ready`].
    pub(super) fn ready(&mut self, device: DeviceId, dialed_as: Option<u64>, next: u64) -> Resume {
        self.peer(device).epochs.ready_as(dialed_as, next)
    }

    fn peer(&mut self, device: DeviceId) -> &mut Peer {
        if self.of.len() >= MAX_PEERS && !self.of.contains_key(&device) {
            let idle = self.of.iter().find(|(_, peer)| peer.live.is_none()).map(|(idle, _)| *idle);
            idle.and_then(|idle| self.of.remove(&idle));
        }
        let random = &mut self.random;
        self.of.entry(device).or_insert_with(|| Peer { epochs: Epochs::new(random.next()), live: None })
    }
}

impl Engine {
    /// This device's epoch in the session with a device, the present one or the next one.
    pub fn epoch(&mut self, device: DeviceId) -> u64 {
        self.peers.peer(device).epochs.epoch()
    }

    /// Makes the connection of a handshake a path of the session with its peer, or of a new one if the peer knows no session
    /// or another. Both sides have sent READY, which is `theirs` of the peer. `level`: the peer's level at this moment. `used`
    /// reads the time at which each session was used last, for the dialer, when a session begins: there may be one too many.
    ///
    /// Returns `None`, and the connection is to be closed, if the peer is not let in any more. The same holds for a connection
    /// that was made for a session which has ended, and for two READYs that contradict each other. The peer comes to the same
    /// result, and the dialer tries again.
    pub fn establish(
        &mut self,
        handshake: HandshakeId,
        theirs: Resume,
        level: TrustLevel,
        route: Route,
        used: impl FnOnce() -> Vec<(DeviceId, Instant)>,
        now: Instant,
    ) -> Option<Join> {
        let pending = self.handshakes.remove(&handshake)?;
        let ((device, user), ours, dialed) = (pending.peer?, pending.ours?, pending.is_dialed());
        if Admission::from(level) != Admission::Admit {
            return None;
        }
        let random = self.peers.random.next();
        let peer = self.peers.peer(device);
        let (epoch, before) = (peer.epochs.epoch(), peer.epochs.with());
        let reconciled = peer.epochs.reconcile(ours, theirs, dialed, random);
        // The session there was speaks with an instance of the peer that is gone.
        let replaced = peer.live.take_if(|_| peer.epochs.with() != before);
        let closed = theirs.has_closed(epoch);
        let reason = if closed { EndReason::ClosedByPeer } else { EndReason::PeerRestarted };
        if let Some(live) = &replaced {
            self.outputs.push_back(Output::End(live.id, reason));
            self.outputs.push_back(Output::Event(live.id, device, AppEvent::Disconnected(reason)));
        }
        // A session that takes its place at once is no reason to dial. A session that had ended for the peer before it began
        // here is closed all the same.
        if reconciled == Reconciled::Stale && (replaced.is_some() || closed) {
            self.dialer.handle_ended(device, reason, now);
        }
        self.stop_closed_dials(device);
        self.serve(device);
        let next = match reconciled {
            Reconciled::Resume { next } => next,
            Reconciled::New => 0,
            Reconciled::Stale => {
                self.follow_dialer();
                return None;
            }
        };
        if let Some(live) = self.peers.live_mut(device) {
            live.joining = !live.usable;
            return Some(Join { session: live.id, next, begins: None });
        }
        let session = SessionId(self.next_id());
        self.peers.peer(device).live = Some(Live {
            id: session,
            state: SessionState { status: Status::Down, route: Some(route) },
            usable: false,
            reported: Some(route),
            joining: true,
            ending: false,
        });
        for (device, at) in used() {
            self.dialer.handle_use(device, at);
        }
        let scope = self.scope(device, level);
        let groups = scope.groups.clone();
        self.dialer.handle_connected(device, ConnectedPeer { level, user, groups }, now);
        self.outputs.push_back(Output::Event(session, device, AppEvent::Connected(route)));
        self.outputs.push_back(Output::Release(device));
        self.follow_dialer();
        Some(Join { session, next, begins: Some(scope) })
    }

    /// Ends every session: the runtime that ran them is gone.
    pub fn abandon(&mut self) {
        for (device, peer) in &mut self.peers.of {
            if let Some(live) = peer.live.take() {
                let event = AppEvent::Disconnected(EndReason::NoRuntime);
                self.outputs.push_back(Output::End(live.id, EndReason::NoRuntime));
                self.outputs.push_back(Output::Event(live.id, *device, event));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_never_get_a_session_are_forgotten() {
        let mut peers = Peers::new(1);
        for n in 0..2 * MAX_PEERS {
            peers.peer(DeviceId::derive(&n.to_be_bytes()));
        }
        assert_eq!(peers.of.len(), MAX_PEERS);
    }

    #[test]
    fn closed_sessions_are_remembered_in_bounded_number() {
        let mut peers = Peers::new(1);
        for n in 0..2 * MAX_CLOSED {
            let device = DeviceId::derive(&n.to_be_bytes());
            let epoch = peers.peer(device).epochs.epoch();
            peers.end(device, EndReason::Closed);
            assert!(peers.has_closed(device, epoch));
        }
        assert_eq!((peers.of.len(), peers.closed.len()), (MAX_CLOSED, MAX_CLOSED));
    }
}
