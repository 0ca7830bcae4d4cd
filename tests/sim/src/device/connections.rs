//! How a device gets connections: it dials, consents, and makes paths of what passed its handshake.

use peers_proto::dial::{self, DialOutput, Outcome, Purpose};
use peers_proto::end_reason::EndReason;
use peers_proto::id::UserId;
use peers_proto::session::{Meeting, Resume};
use peers_proto::time::Instant;
use peers_proto::timing::{HANDSHAKE_TIMEOUT, WEBRTC_ESTABLISHMENT};
use peers_proto::transport_kind::TransportKind;

use super::{Device, End, Ended, Phase, Pipe, Surroundings, device_id, index_of, path_id};
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};

impl Device {
    pub(super) fn pipe(&self, pipe: PipeId, net: &Net) -> Pipe {
        let pipe = &net.pipes[pipe];
        Pipe { peer: pipe.ends[1 - pipe.side_of(self.index)], kind: pipe.route.kind }
    }

    /// Does what the dialer has decided, as the engine's policy.
    pub(crate) fn obey(&mut self, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        while let Some(output) = self.dialer.poll_output() {
            match output {
                DialOutput::Dial(device, purpose) => self.dial(index_of(device), purpose, world),
                DialOutput::Evict(device, why) => {
                    let (index, of) = (self.index, index_of(device));
                    world.timeline.note(world.net.now, || format!("{index} gives up {of}: {why}"));
                    self.end_session(of, Ended::Evicted, world)?;
                }
            }
        }
        Ok(())
    }

    fn dial(&mut self, to: usize, purpose: Purpose, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let wanted: &[_] = match purpose {
            Purpose::Path => &[TransportKind::Relay, TransportKind::WebRtc],
            Purpose::Better => &[TransportKind::WebRtc],
        };
        for kind in wanted {
            let relayed = *kind == TransportKind::Relay;
            let busy = self.ends.values_mut().find(|end| {
                let same = (end.kind == TransportKind::Relay) == relayed;
                end.peer == to && same && !matches!(end.phase, Phase::Path)
            });
            // Negotiation joins the attempt that is under way.
            if let Some(end) = busy {
                end.dial = Some(purpose);
                continue;
            }
            if let Some(pipe) = world.net.dial(self.index, to, *kind) {
                let kind = world.net.pipes[pipe].route.kind;
                world
                    .timeline
                    .note(world.net.now, || format!("{} dials {to} by {kind:?}: pipe {pipe}", self.index));
                let patience =
                    if kind == TransportKind::WebRtc { WEBRTC_ESTABLISHMENT } else { HANDSHAKE_TIMEOUT };
                let end = End {
                    peer: to,
                    kind,
                    phase: Phase::Dialing,
                    deadline: now + patience,
                    dial: Some(purpose),
                    name: self.epoch(to),
                };
                self.ends.insert(pipe, end);
            }
        }
        self.tell_failure(to, purpose, now);
    }

    /// Closes this side of a pipe; tells whose it was. With its last pipe a dial has failed.
    pub(super) fn close(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) -> Option<usize> {
        world.net.close(pipe, self.index);
        let end = self.ends.remove(&pipe)?;
        if let Some(purpose) = end.dial {
            self.tell_failure(end.peer, purpose, self.clock(world.net.now));
        }
        Some(end.peer)
    }

    fn tell_failure(&mut self, of: usize, purpose: Purpose, now: Instant) {
        if !self.ends.values().any(|end| end.peer == of && end.dial == Some(purpose)) {
            self.dialer.handle_outcome(device_id(of), purpose, Outcome::Failed, now);
        }
    }

    pub(super) fn consent(&mut self, pipe: PipeId, world: &mut Surroundings<'_>) {
        let Some(end) = self.ends.get_mut(&pipe) else { return };
        let Some(peer) = self.peers.get(&end.peer) else { return };
        let said = peer.resume(end.name);
        end.phase = Phase::Consented(said);
        world.net.send(pipe, self.index, Packet::Ready(said));
    }

    /// As `Engine::establish`: the connection becomes a path of the session there is, or of a new one.
    pub(super) fn establish(
        &mut self,
        pipe: PipeId,
        said: Resume,
        theirs: Resume,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        let Some((to, dialed)) = self.ends.get(&pipe).map(|end| (end.peer, end.dial.is_some())) else {
            return Ok(());
        };
        let Some(peer) = self.peers.get_mut(&to) else { return Ok(()) };
        let had = peer.instance.epoch();
        let closed = theirs.has_closed(had);
        let next = match peer.instance.meet(said, theirs, dialed, world.net.rng.next()) {
            Meeting::GoesOn(next) => next,
            Meeting::StartsAfresh => {
                self.end_session(to, Ended::Forgotten(theirs.epoch), world)?;
                0
            }
            Meeting::Void => {
                if peer.live.is_none() && closed {
                    self.dialer.handle_ended(device_id(to), EndReason::ClosedByPeer, now);
                } else if peer.instance.epoch() != had {
                    self.end_session(to, if closed { Ended::Goodbye } else { Ended::Void }, world)?;
                }
                return self.handle_broken(pipe, world);
            }
        };
        let kind = world.net.pipes[pipe].route.kind;
        let fresh = self.begin(to, world);
        let Some(peer) = self.peers.get_mut(&to) else { return Ok(()) };
        let is_new = peer.live.is_none();
        let live = peer.live.get_or_insert(fresh);
        world.timeline.note(world.net.now, || {
            format!("{index} has a path to {to} by {kind:?}: pipe {pipe}, from frame {next}")
        });
        live.paths.add(path_id(pipe), kind.into(), now);
        if let Some(end) = self.ends.get_mut(&pipe) {
            end.phase = Phase::Path;
            if let Some(purpose) = end.dial.take() {
                self.dialer.handle_outcome(device_id(to), purpose, Outcome::Connected, now);
            }
        }
        if is_new {
            let level = world.net.plan.levels[to];
            let user = UserId::from_bytes([to as u8; 20]);
            let groups = Default::default();
            self.dialer.handle_connected(device_id(to), dial::Peer { level, user, groups }, now);
        }
        self.follow(to, Some((path_id(pipe), next)), world)
    }
}
