//! The outputs of the engine, performed.

use peers_proto::end_reason::EndReason;
use peers_proto::engine::{AppEvent, DialFailure, DialId, Output, RelayInput, Way};
use peers_proto::signaling::{Body, Contents};
use peers_proto::timing::HANDSHAKE_TIMEOUT;

use super::{CERTIFICATES, Device, End, Loss, Phase, Surroundings, Waiter, index_of};
use crate::envelopes::Envelope;
use crate::failure::Violation;

impl Device {
    /// Lets everything happen that can happen now.
    pub(crate) fn settle(&mut self, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        loop {
            self.pump_touched(world)?;
            let Some(output) = self.engine.poll_output() else { return Ok(()) };
            self.perform(output, world)?;
        }
    }

    fn perform(&mut self, output: Output, world: &mut Surroundings<'_>) -> Result<(), Violation> {
        let (now, index) = (self.clock(world.net.now), self.index);
        match output {
            Output::FindRelay(dial, _) => {
                self.dials.insert(dial, now);
                self.engine.handle_relay(dial, Ok(()), now);
            }
            Output::FetchCertificate(dial, device) => {
                self.engine.handle_fetched(dial, Some(&CERTIFICATES[index_of(device)]), now);
            }
            Output::Handshake(id, step) => self.step(id, step, world)?,
            Output::Scope(session, scope) => {
                if let Some(live) = self.running(session) {
                    live.multipath.session.set_groups(scope.groups);
                    live.multipath.session.set_ungrouped(scope.ungrouped);
                }
            }
            Output::Knock(device) => world.net.knock(index, index_of(device)),
            Output::Welcome(device, connection_id) => {
                let contents = Contents { connection_id, attempt: 0, fingerprint: None, body: Body::Welcome };
                world.net.send_envelope(Envelope { from: index, to: index_of(device), contents });
            }
            Output::Ask(question, _) => self.ask(question, world.net),
            Output::Release(device) => {
                let level = self.level(index_of(device), world.net);
                self.engine.release(device, level, now);
            }
            Output::Presence(..) | Output::Visible | Output::Level(..) | Output::Keys(..) => {}
            Output::Take(dial, device, way) => self.take(dial, index_of(device), way, world),
            Output::Stop(dial) => self.stop(dial, world),
            Output::End(session, reason) => self.end_session(session, reason, world)?,
            Output::Evict(session, device, why) => {
                world
                    .timeline
                    .note(world.net.now, || format!("{index} gives up {}: {why}", index_of(device)));
                self.end_session(session, EndReason::Evicted, world)?;
            }
            Output::Sessions(input) => {
                self.sessions.values_mut().for_each(|live| live.instruct(input, now));
                self.touch_all();
            }
            Output::Relays(RelayInput::Suspend) => world.net.set_registered(index, false),
            Output::Relays(RelayInput::Resume) => world.net.set_registered(index, true),
            Output::Relays(_) | Output::RenewNames | Output::Suspended => {}
            Output::Network(_) | Output::Metered(_) => {}
            Output::Negotiation(output) => self.negotiate(output, world)?,
            Output::Answer(request, answer) => {
                world.timeline.note(world.net.now, || format!("{index} has an answer: {answer:?}"));
                if self.requests.remove(&request.0).is_none() {
                    return Err(Violation::Call("a request was answered twice".into()));
                }
                if world.net.plan.calm && answer.is_err() {
                    return Err(Violation::Needless(format!("{index}: a request failed: {answer:?}")));
                }
                if answer.is_ok_and(|session| self.running(session).is_none()) {
                    return Err(Violation::Call("a request was answered with a session that ends".into()));
                }
            }
            Output::Event(_, device, AppEvent::Disconnected(reason)) => {
                let (peer, successor) = (index_of(device), self.successor);
                self.losses.push(Loss { peer, reason, successor });
                world
                    .timeline
                    .note(world.net.now, || format!("{index} lost its session with {peer}: {reason}"));
            }
            Output::Event(..) => {}
        }
        Ok(())
    }

    fn take(&mut self, dial: DialId, to: usize, way: Way, world: &mut Surroundings<'_>) {
        let now = self.clock(world.net.now);
        let Some(epoch) = self.engine.epoch_of(dial) else { return };
        let Some(pipe) = world.net.dial(self.index, to) else {
            let failure = DialFailure::Unreachable("no network".into());
            return self.engine.handle_way(dial, &way, Err(failure), now);
        };
        world.timeline.note(world.net.now, || format!("{} dials {to} by {way:?}: pipe {pipe}", self.index));
        let (_, route) = world.net.pipes[pipe].seen_by(self.index);
        let (deadline, waiter) = (now + HANDSHAKE_TIMEOUT, Some(Waiter::Dial(dial, way)));
        let end = End { peer: to, route, phase: Phase::Dialing, deadline, waiter, epoch: Some(epoch) };
        self.ends.insert(pipe, end);
    }

    /// A dial has ended: what is under way for it is given up.
    fn stop(&mut self, dial: DialId, world: &mut Surroundings<'_>) {
        self.dials.remove(&dial);
        let of_dial = |end: &End| matches!(&end.waiter, Some(Waiter::Dial(id, _)) if *id == dial);
        let pipes: Vec<_> = self.ends.iter().filter(|(_, end)| of_dial(end)).map(|(pipe, _)| *pipe).collect();
        for pipe in pipes {
            if let Some(end) = self.ends.get_mut(&pipe) {
                end.waiter = None;
            }
            self.close(pipe, world);
        }
    }
}
