//! The checks of a world, after each event and at the end.

use std::time::Duration;

use peers_proto::end_reason::EndReason;
use peers_proto::limits::MAX_CONNECTIONS;
use peers_proto::time::Instant;
use peers_proto::timing::{HANDSHAKE_TIMEOUT, WEBRTC_ESTABLISHMENT};

use super::{Pair, World};
use crate::device::{Device, Loss};
use crate::failure::Violation;

/// A session must not be lost for want of a path if there could have been one for this long.
const PATIENCE: Duration = Duration::from_secs(40);
/// The time that a closing frame needs to arrive.
const TOLD: Duration = Duration::from_secs(5);
/// An answer to a question, an attempt, and the same for another one if that was not for the dial.
const CONCLUDED: Duration = WEBRTC_ESTABLISHMENT.saturating_mul(4).saturating_add(Duration::from_secs(5));
/// An attempt whose handshake began late.
const SETTLED: Duration =
    WEBRTC_ESTABLISHMENT.saturating_add(HANDSHAKE_TIMEOUT).saturating_add(Duration::from_secs(5));
/// A device that finds no room tries again, but rarely; and one more trusted that comes later costs another its place.
const EVICTIONS_EACH: usize = 6;
/// The first device of a world that is left alone may wake up no more often.
const WAKES_AN_HOUR: u64 = 150;

impl World {
    /// The apps do nothing, and devices may sleep.
    pub(super) fn rest(&mut self, end: Instant) -> Result<(), Violation> {
        let (begin, before) = (self.net.now, self.devices[0].wakes());
        self.run_until(end)?;
        let wakes = u64::from(self.devices[0].wakes() - before);
        self.tally.wakes = wakes * 3600 / (end - begin).as_secs().max(1);
        if self.tally.wakes > WAKES_AN_HOUR {
            return Err(Violation::Restless(format!("{wakes} wake-ups in {:?}", end - begin)));
        }
        Ok(())
    }

    /// True if there was no room for the pair's session, which both ends know.
    pub(super) fn is_left_out(&self, pair: &Pair) -> bool {
        pair.ends.into_iter().any(|end| {
            let [other] = pair.ends.into_iter().filter(|e| *e != end).collect::<Vec<_>>()[..] else {
                return false;
            };
            let full = self.devices[end].is_full();
            let meet = |a: usize, b: usize, age| self.devices[a].partners(age, &self.net).contains(&b);
            full && !meet(end, other, Duration::ZERO) && !meet(other, end, TOLD)
        })
    }

    /// Of too many peers the right ones were kept, and not in turns.
    pub(super) fn check_choice(&self, device: usize) -> Result<(), Violation> {
        let kept = self.devices[device].partners(Duration::ZERO, &self.net);
        let wanted: Vec<_> = self.pairs.iter().filter_map(|pair| pair.other(device)).collect();
        let fail = |what: String| Err(Violation::Choice(format!("{device} {what}")));
        if wanted.len() <= MAX_CONNECTIONS {
            return Ok(());
        }
        if kept.len() != MAX_CONNECTIONS {
            return fail(format!("has {} sessions, {} want one", kept.len(), wanted.len()));
        }
        let level = |peer: &usize| self.net.plan.levels[*peer];
        let left_out = wanted.iter().filter(|peer| !kept.contains(peer)).map(level).max();
        if left_out > kept.iter().map(level).min() {
            return fail("left out a more trusted device".into());
        }
        if self.evictions[device] > EVICTIONS_EACH * (wanted.len() - kept.len()) {
            return fail(format!("gave up {} sessions for {} places", self.evictions[device], kept.len()));
        }
        Ok(())
    }

    /// Every dial by WebRTC is concluded, and every peer connection is closed.
    pub(super) fn check_negotiations(&self) -> Result<(), Violation> {
        self.devices.iter().try_for_each(|device| device.check_dials(CONCLUDED, &self.net))?;
        match self.net.connections.oldest().filter(|made| self.net.now - *made > SETTLED) {
            Some(_) => Err(Violation::Dial("a peer connection is left open".into())),
            None => Ok(()),
        }
    }

    /// No session was moved to and fro.
    pub(super) fn check_moves(&self) -> Result<(), Violation> {
        let most = self.devices.iter().map(Device::moves).max().unwrap_or(0);
        if most > self.net.plan.moves {
            return Err(Violation::Restless(format!("a session got a path {most} times")));
        }
        Ok(())
    }

    /// Nothing brings a session back that an app has closed, but an app.
    pub(super) fn check_closed(&self, index: usize) -> Result<(), Violation> {
        for pair in self.pairs.iter().filter(|pair| pair.ends.contains(&index)) {
            let [a, b] = pair.ends;
            let heard = pair.closed.is_some_and(|at| self.net.now >= at + TOLD);
            if heard && self.devices[a].has_session(b) && self.devices[b].has_session(a) {
                return Err(Violation::Needless(format!("{a} and {b} have a session that was closed")));
            }
        }
        Ok(())
    }

    /// Every loss has a reason: the peer was killed, or lost the session itself, or no path could be had.
    pub(super) fn count_losses(&mut self, index: usize) -> Result<(), Violation> {
        for loss in self.devices[index].take_losses() {
            self.tally.losses += 1;
            let of = |pair: &Pair| pair.ends.contains(&index) && pair.ends.contains(&loss.peer);
            if let Some(at) = self.pairs.iter().position(of) {
                self.count_loss(index, loss, at)?;
            }
        }
        Ok(())
    }

    fn count_loss(&mut self, index: usize, loss: Loss, at: usize) -> Result<(), Violation> {
        let now = self.net.now;
        let pair = &mut self.pairs[at];
        let side = usize::from(pair.ends[1] == index);
        let needless = |why: &str| {
            let text = format!("{index} lost its session with {}: {why}", loss.peer);
            Err(Violation::Needless(text))
        };
        match loss.reason {
            EndReason::NoPath => {
                pair.expiries[side] += 1;
                if pair.reachable.is_some_and(|since| now >= since + PATIENCE) {
                    return needless(&format!("there was a way since {:?}", pair.reachable));
                }
            }
            EndReason::Evicted => {
                self.evictions[index] += 1;
                pair.expiries[side] += 1;
                let all = self.pairs.iter().filter(|pair| pair.ends.contains(&index)).count();
                if all <= MAX_CONNECTIONS {
                    return needless("there was room for all");
                }
            }
            EndReason::Closed | EndReason::ClosedByPeer => pair.expiries[side] += 1,
            EndReason::PeerRestarted => {
                let Some(successor) = loss.successor else {
                    pair.ghosts[side] += 1;
                    return Ok(());
                };
                pair.forgotten[side] += 1;
                if self.devices[loss.peer].epoch(index) != successor {
                    pair.ghosts[side] += 1;
                }
                // One for each life of the peer's session that ended, and no more. A ghost takes a session, and
                // its successor takes one back. A peer that never had a session, for want of a READY, takes another epoch
                // when it learns of the end.
                let ghosts = 2 * (pair.ghosts[0] + pair.ghosts[1]);
                let unheard = self.net.readies_lost(pair.ends);
                let reasons = pair.crashes[1 - side] + pair.expiries[1 - side] + ghosts + unheard;
                if pair.forgotten[side] > reasons {
                    return needless("the peer had no reason to forget it");
                }
            }
            EndReason::Protocol | EndReason::Overloaded | EndReason::NoRuntime => {
                return needless(&loss.reason.to_string());
            }
        }
        Ok(())
    }
}
