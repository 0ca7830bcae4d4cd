//! Envelopes that relays carry between devices. They are not sealed: the text to open is the number of the envelope.

use peers_proto::signaling::Contents;

use crate::net::{Net, RelayRun};
use crate::queue::Event;

/// Index of an envelope in its world.
pub(crate) type EnvelopeId = usize;

#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) contents: Contents,
}

impl Net {
    /// Sends an envelope through every relay that its sender can use, each with a delay of its own.
    pub(crate) fn send_envelope(&mut self, envelope: Envelope) {
        let profile = self.plan.relayed;
        for relay in self.relays_of(envelope.from).collect::<Vec<_>>() {
            let due = self.now + profile.delay + self.lateness(profile);
            self.queue.plan(due, Event::Envelope(self.envelopes.len(), relay));
        }
        self.envelopes.push(envelope);
    }

    /// Knocks at a device, through the relays that both use.
    pub(crate) fn knock(&mut self, from: usize, to: usize) {
        let profile = self.plan.relayed;
        let due = self.now + profile.delay + self.lateness(profile);
        self.queue.plan(due, Event::Knock(from, to));
    }

    /// The recipient of an envelope, if this relay still reaches it.
    pub(crate) fn recipient(&self, envelope: EnvelopeId, relay: RelayRun) -> Option<usize> {
        let to = self.envelopes[envelope].to;
        self.relays_of(to).any(|of| of == relay).then_some(to)
    }
}
