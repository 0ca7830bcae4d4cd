//! What a device does with its sessions, as a session's driver.

use peers_proto::dial;
use peers_proto::path::{Beat, PathEvent, PathId, Paths, Preference, Tier};
use peers_proto::session::wire::{FrameKind, Header};
use peers_proto::session::{MemoryBudget, Resume, Session, SessionConfig};
use peers_proto::time::{Instant, earliest};
use peers_proto::timing::RESUME_WINDOW;

use super::{Device, Ended, Live, Loss, Peer, Surroundings, device_id, path_id, pipe_id};
use crate::app::{self, App};
use crate::failure::Violation;
use crate::net::Net;
use crate::pipe::{Packet, PipeId};
use crate::plan::Fault;

impl Device {
    pub(super) fn begin(&self, to: usize, world: &mut Surroundings<'_>) -> Live {
        let now = self.clock(world.net.now);
        let mut app = App::new(world.net.plan.traffic, world.net.rng.next(), now);
        if self.hushed {
            app.hush();
        }
        let config = SessionConfig {
            local: device_id(self.index),
            remote: device_id(to),
            groups: app::groups().into_iter().collect(),
            ungrouped: true,
            budget: self.budget.clone(),
        };
        let session = Session::new(config);
        let paths = Paths::new(session.leads(), Preference::default(), RESUME_WINDOW, now);
        Live { session, paths, app, begun: now, moves: 0 }
    }

    pub(super) fn leave_path(
        &mut self,
        of: usize,
        pipe: PipeId,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let now = self.clock(world.net.now);
        if let Some(live) = self.peers.get_mut(&of).and_then(|peer| peer.live.as_mut()) {
            live.paths.remove(path_id(pipe), now);
        }
        self.follow(of, None, world)
    }

    /// Does what the paths' machine has decided, as the session's driver. `fresh`: a path just made, and the frame its
    /// peer expects.
    pub(super) fn follow(
        &mut self,
        of: usize,
        fresh: Option<(PathId, u64)>,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        while let Some(peer) = self.peers.get_mut(&of)
            && let Some(live) = &mut peer.live
            && let Some(event) = live.paths.poll_output()
        {
            if !matches!(event, PathEvent::Ask(_) | PathEvent::Quality(_)) {
                world.timeline.note(world.net.now, || format!("{index} to {of}: {event:?}"));
            }
            match event {
                PathEvent::Current(id) => {
                    live.moves += 1;
                    match fresh {
                        Some((new, next)) if new == id => {
                            live.session.attach(next).map_err(Violation::Protocol)?;
                        }
                        _ => live.session.switch(),
                    }
                }
                PathEvent::Down => live.session.detach(),
                PathEvent::Ask(id) => {
                    while let Some(beat) = live.paths.poll_beat(id, now) {
                        let frame = match beat {
                            Beat::Ping { number, full } => live.session.ping(number, full),
                            Beat::Pong(number) => live.session.header_frame(FrameKind::Pong, number),
                        };
                        world.net.send(pipe_id(id), index, Packet::Frame(frame));
                    }
                }
                PathEvent::Leave(id) => {
                    let frame = live.session.header_frame(FrameKind::Leave, 0);
                    world.net.send(pipe_id(id), index, Packet::Frame(frame));
                    world.net.close(pipe_id(id), index);
                    self.ends.remove(&pipe_id(id));
                }
                PathEvent::Dead(id) => {
                    world.net.close(pipe_id(id), index);
                    self.ends.remove(&pipe_id(id));
                }
                PathEvent::Status(_) | PathEvent::Quality(_) => {}
                PathEvent::Lost => return self.end_session(of, Ended::NoPath, world),
            }
        }
        if let Some(live) = self.peers.get(&of).and_then(|peer| peer.live.as_ref()) {
            let tier = live.paths.route().map(|route| route.tier());
            let improvable = matches!(tier, Some(Tier::Forwarded | Tier::Relay));
            let standing = dial::Standing { status: live.paths.status(), tier, improvable };
            self.dialer.handle_standing(device_id(of), standing, now);
        }
        Ok(())
    }

    /// The session is lost: the app is told once, and the paths go with it.
    pub(super) fn end_session(
        &mut self,
        of: usize,
        why: Ended,
        world: &mut Surroundings<'_>,
    ) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        let Some(peer) = self.peers.get_mut(&of) else { return Ok(()) };
        let Some(mut live) = peer.live.take() else { return Ok(()) };
        match why {
            Ended::Forgotten(_) | Ended::Void => {}
            Ended::NoPath => peer.instance.ended(world.net.rng.next()),
            Ended::Evicted | Ended::Goodbye => peer.instance.closed(world.net.rng.next()),
        }
        // Who has forgotten is there, with a new session in the same moment.
        if !matches!(why, Ended::Forgotten(_)) {
            self.dialer.handle_ended(device_id(of), why.reason(), now);
        }
        live.session.end();
        live.app.finish(&mut live.session, &mut world.net.rng, now)?;
        for pipe in live.paths.ids().map(pipe_id) {
            if why == Ended::Evicted {
                world.net.send(pipe, index, Packet::Frame(live.session.header_frame(FrameKind::Bye, 0)));
            }
            world.net.close(pipe, index);
            self.ends.remove(&pipe);
        }
        self.losses.push(Loss { peer: of, why });
        world.timeline.note(world.net.now, || format!("{index} lost its session with {of}: {why:?}"));
        Ok(())
    }

    /// Lets one session do all that it can do now.
    pub(super) fn pump(&mut self, of: usize, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        let Some(live) = self.peers.get_mut(&of).and_then(|peer| peer.live.as_mut()) else { return Ok(()) };
        live.paths.set_outstanding(live.session.unacknowledged(), || now);
        live.paths.handle_timeout(now);
        self.follow(of, None, world)?;
        let Some(live) = self.peers.get_mut(&of).and_then(|peer| peer.live.as_mut()) else { return Ok(()) };
        live.session.handle_timeout(now);
        live.app.run(&mut live.session, &mut world.net.rng, now)?;
        if let Some(pipe) = live.paths.current().map(pipe_id) {
            while world.net.is_writable(pipe, index)
                && let Some(frame) = live.session.poll_frame(now)
            {
                let accepted =
                    acknowledgement_of(&frame).filter(|_| world.net.plan.fault == Fault::AcknowledgeOnSend);
                world.net.send(pipe, index, Packet::Frame(frame));
                if let Some(acknowledgement) = accepted {
                    live.session.handle_frame(&acknowledgement, now).map_err(Violation::Protocol)?;
                }
            }
        }
        live.app.run(&mut live.session, &mut world.net.rng, now)?;
        live.paths.set_outstanding(live.session.unacknowledged(), || now);
        live.check_memory(&self.budget)
    }
}

impl Peer {
    pub(super) fn resume(&self, dialed_as: Option<u64>) -> Resume {
        let next = self.live.as_ref().map_or(0, |live| live.session.next_expected());
        self.instance.ready_as(dialed_as, next)
    }

    pub(super) fn poll_timeout(&self, device: usize, net: &Net) -> Option<Instant> {
        self.live.as_ref().and_then(|live| live.poll_timeout(device, net))
    }
}

impl Live {
    pub(super) fn poll_timeout(&self, device: usize, net: &Net) -> Option<Instant> {
        let writable = self.paths.current().is_some_and(|id| net.is_writable(pipe_id(id), device));
        let acknowledgement = self.session.ack_timeout().filter(|_| writable);
        [self.session.poll_timeout(), acknowledgement, self.paths.poll_timeout(), self.app.poll_timeout()]
            .into_iter()
            .fold(None, earliest)
    }

    fn check_memory(&self, budget: &MemoryBudget) -> Result<(), Violation> {
        use peers_proto::limits::{MAX_FRAME, RECEIVED_POOL, SEND_WINDOW, SENT_POOL};
        let excess = |what: &str, amount: usize| Err(Violation::Memory(format!("{amount} {what}")));
        if self.session.retained_bytes() > SEND_WINDOW + MAX_FRAME {
            return excess("bytes unacknowledged", self.session.retained_bytes());
        }
        if budget.used() > RECEIVED_POOL + SENT_POOL {
            return excess("bytes held for peers", budget.used());
        }
        if self.paths.ids().count() > 8 {
            return excess("paths of one session", self.paths.ids().count());
        }
        Ok(())
    }
}

/// The acknowledgement of a DATA frame that its receiver has not yet made.
fn acknowledgement_of(frame: &bytes::Bytes) -> Option<bytes::Bytes> {
    let header = Header::read(&mut &frame[..]).ok().filter(|header| header.kind == FrameKind::Data)?;
    let mut out = bytes::BytesMut::new();
    Header { kind: FrameKind::Ack, seq: 0, ack: header.seq + 1 }.write(&mut out);
    Some(out.freeze())
}
