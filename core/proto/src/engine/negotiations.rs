//! WebRTC negotiations of a client, one [`Negotiation`] per peer.
//!
//! ```text
//!  dials of the owner ─────┐                  ┌─> Make, Apply, AddCandidates, Handshake, Close   (peer connections)
//!  sealed envelopes ───────┼─> Negotiations ──┼─> Open, Send                                     (envelopes)
//!  peer connections ───────┤                  └─> Concluded                                      (dials)
//!  sessions that close ────┘
//! ```
//!
//! * **Dials.** An attempt that is under way, of either side, serves every dial of its peer. A dial ends with exactly one
//!   [`NegotiationOutput::Concluded`], unless the owner cancels it.
//! * **Envelopes.** One envelope of a peer is opened at a time, in the order of arrival, at a limited rate. Dials and closed
//!   sessions wait for the envelopes that arrived before them. Envelopes of a device without a trust decision are held, sealed.
//! * **Closed sessions.** A session that is being closed concludes the dials for it. An attempt that began for it neither
//!   restores it nor concludes a later dial. The attempt of this side is given up, and so is the peer's if this side closed the
//!   session. If the peer closed it, the peer gives up its own attempt; an offer that overtook the end is for the next session.
//! * **Handshakes.** A handshake ends by its own outcome, even if the peer has failed: the bye may overtake the peer's READY. A
//!   dial outlives one failed handshake that the peer began or that began in another epoch: that was for another session.
//! * **Reasons.** The failure of this side's own connection outweighs the reason that the peer or the clock gives.
//!
//! [`Negotiation`]: crate::signaling::Negotiation

mod ids;
mod output;
mod peer;

#[cfg(test)]
mod tests;

pub(super) use ids::Ids;
pub use output::{NegotiationError, NegotiationOutput, SignedDescription};

use std::collections::{BTreeMap, VecDeque};

use super::DialId;
use super::held::Held;
use crate::id::{ConnectionId, DeviceId};
use crate::signaling::Contents;
use crate::time::{Instant, earliest};
use crate::trust::TrustLevel;
use peer::PeerNegotiation;

/// The settings of [`Negotiations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NegotiationConfig {
    /// This device.
    pub local: DeviceId,
    /// Attempts are made and answered. Envelopes are opened without it too, for the certificates in them.
    pub webrtc: bool,
    /// Peer connections use TURN servers alone, so the refusal of one explains a failure.
    pub relay_only: bool,
}

/// The negotiations with every peer, and the envelopes of devices that wait for a trust decision.
///
/// The owner performs the outputs in their order and reports the results. Inputs about a peer connection that is closed have no
/// effect.
pub struct Negotiations {
    config: NegotiationConfig,
    ids: Ids,
    peers: BTreeMap<DeviceId, PeerNegotiation>,
    held: Held,
    outputs: VecDeque<NegotiationOutput>,
}

impl std::fmt::Debug for Negotiations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Negotiations").field("peers", &self.peers.len()).finish_non_exhaustive()
    }
}

impl Negotiations {
    /// No negotiation yet. `entropy`: 32 bytes from the operating system's generator, used for connection ids and instances.
    pub fn new(config: NegotiationConfig, entropy: [u8; 32]) -> Self {
        Self {
            config,
            ids: Ids::new(entropy),
            peers: BTreeMap::new(),
            held: Held::default(),
            outputs: VecDeque::new(),
        }
    }

    // ---- dials and sessions ----

    /// Connects to `peer`. `dial` is new; `epoch` is our session epoch when the dial started.
    pub fn dial(&mut self, peer: DeviceId, dial: DialId, epoch: u64, now: Instant) {
        self.with_new(peer, now, |negotiation| negotiation.dial(dial, epoch, now));
    }

    /// Forgets a dial without a conclusion. An attempt that is under way goes on.
    pub fn cancel_dial(&mut self, peer: DeviceId, dial: DialId) {
        if let Some(negotiation) = self.peers.get_mut(&peer) {
            negotiation.cancel_dial(dial);
        }
    }

    /// The session with `peer` is being closed, by this device if `own`. To be called before the peer learns of it: the
    /// envelopes that the peer sends afterwards are for another session. A session that is lost is not closed: an attempt under
    /// way may restore it.
    pub fn session_closes(&mut self, peer: DeviceId, own: bool, now: Instant) {
        self.with(peer, |negotiation| negotiation.session_closes(own, now));
    }

    // ---- envelopes ----

    /// A relay delivered an envelope of `peer`, for the attempt `connection` as the relay says; `level`: the level of `peer`.
    ///
    /// Addresses are for trusted devices, so the envelope of a device below [`TrustLevel::NewDevice`] is held until
    /// [`Self::release`]. That of an untrusted device is dropped, as is an envelope beyond the rate.
    pub fn handle_sealed(
        &mut self,
        peer: DeviceId,
        connection: ConnectionId,
        sealed: String,
        level: TrustLevel,
        now: Instant,
    ) {
        if level >= TrustLevel::NewDevice {
            // Those that came before the decision are older.
            self.release(peer, level, now);
            self.with_new(peer, now, |negotiation| negotiation.handle_sealed(connection, sealed, now));
        } else if level > TrustLevel::Untrusted {
            self.held.push(peer, connection, sealed);
        }
    }

    /// The level of `peer` may have changed: its held envelopes are delivered in order, dropped, or held again.
    pub fn release(&mut self, peer: DeviceId, level: TrustLevel, now: Instant) {
        for (connection, sealed) in self.held.take(peer) {
            self.handle_sealed(peer, connection, sealed, level, now);
        }
    }

    /// The result of [`NegotiationOutput::Open`]; an error is the text of the reason. `takes_offers` is false if a connection
    /// by WebRTC would improve nothing.
    pub fn handle_opened(
        &mut self,
        peer: DeviceId,
        opened: Result<Contents, String>,
        takes_offers: bool,
        now: Instant,
    ) {
        self.with(peer, |negotiation| negotiation.handle_opened(opened, takes_offers, now));
    }

    // ---- peer connections ----

    /// The peer connection of [`NegotiationOutput::Make`] exists. `local` is its offer or answer.
    pub fn handle_made(
        &mut self,
        peer: DeviceId,
        connection: ConnectionId,
        local: SignedDescription,
        now: Instant,
    ) {
        let SignedDescription { sdp, fingerprint } = local;
        self.with(peer, |negotiation| negotiation.handle_made(connection, sdp, fingerprint, now));
    }

    /// The ICE agent of a peer connection found a candidate: an attribute of RFC 8839 section 5.1.
    pub fn handle_local_candidate(
        &mut self,
        peer: DeviceId,
        connection: ConnectionId,
        candidate: String,
        now: Instant,
    ) {
        self.with(peer, |negotiation| negotiation.handle_local_candidate(connection, candidate, now));
    }

    /// A TURN server refused an allocation of a peer connection, with this code of RFC 8656 section 7.3.
    pub fn handle_turn_refusal(
        &mut self,
        peer: DeviceId,
        connection: ConnectionId,
        code: u16,
        reason: String,
    ) {
        self.with(peer, |negotiation| negotiation.handle_turn_refusal(connection, code, reason));
    }

    /// The transport of a peer connection is open.
    pub fn handle_connected(&mut self, peer: DeviceId, connection: ConnectionId) {
        self.with(peer, |negotiation| negotiation.handle_connected(connection));
    }

    /// A peer connection could not be made, did not accept the answer, or ended before its handshake began.
    pub fn handle_failed(&mut self, peer: DeviceId, connection: ConnectionId, reason: String, now: Instant) {
        self.with(peer, |negotiation| negotiation.handle_failed(connection, reason, now));
    }

    /// The result of [`NegotiationOutput::Handshake`].
    pub fn handle_settled(
        &mut self,
        peer: DeviceId,
        connection: ConnectionId,
        outcome: Result<(), NegotiationError>,
        now: Instant,
    ) {
        self.with(peer, |negotiation| negotiation.handle_settled(connection, outcome, now));
    }

    /// The result of [`NegotiationOutput::Close`]: the peer connection is closed. `ended`: the reason why it had ended before,
    /// if it had.
    pub fn handle_closed(
        &mut self,
        peer: DeviceId,
        connection: ConnectionId,
        ended: Option<String>,
        now: Instant,
    ) {
        self.with(peer, |negotiation| negotiation.handle_closed(connection, ended, now));
    }

    // ---- time and outputs ----

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        for negotiation in self.peers.values_mut() {
            negotiation.handle_timeout(now);
            self.outputs.append(&mut negotiation.outputs);
        }
        self.peers.retain(|_, negotiation| negotiation.forgotten_at().is_none_or(|at| now < at));
    }

    /// The time of the next [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.peers.values().map(PeerNegotiation::poll_timeout).fold(None, earliest)
    }

    /// The next output to perform.
    pub fn poll_output(&mut self) -> Option<NegotiationOutput> {
        self.outputs.pop_front()
    }

    /// Gives an input to the negotiation with `peer`, if there is one.
    fn with(&mut self, peer: DeviceId, input: impl FnOnce(&mut PeerNegotiation)) {
        if let Some(negotiation) = self.peers.get_mut(&peer) {
            input(negotiation);
            self.outputs.append(&mut negotiation.outputs);
        }
    }

    /// The same, with a new negotiation if there is none.
    fn with_new(&mut self, peer: DeviceId, now: Instant, input: impl FnOnce(&mut PeerNegotiation)) {
        let (config, ids) = (self.config, &mut self.ids);
        self.peers.entry(peer).or_insert_with(|| PeerNegotiation::new(config, peer, ids.split(), now));
        self.with(peer, input);
    }
}
