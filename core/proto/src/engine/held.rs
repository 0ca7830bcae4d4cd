//! Sealed envelopes of devices that wait for a trust decision.

use std::collections::VecDeque;

use crate::id::{ConnectionId, DeviceId};
use crate::limits::{MAX_HELD_ENVELOPE_BYTES, MAX_HELD_ENVELOPES};

/// Sealed envelopes in the order of arrival: at most [`MAX_HELD_ENVELOPES`] of a device, the first ones, and
/// [`MAX_HELD_ENVELOPE_BYTES`] of all devices. Beyond those bytes the device with the most of them loses its oldest envelope.
#[derive(Default)]
pub(super) struct Held {
    envelopes: VecDeque<Envelope>,
    bytes: usize,
}

struct Envelope {
    from: DeviceId,
    connection: ConnectionId,
    text: String,
}

impl Held {
    pub(super) fn push(&mut self, from: DeviceId, connection: ConnectionId, text: String) {
        if self.of(from).count() >= MAX_HELD_ENVELOPES {
            return;
        }
        self.bytes += text.capacity();
        self.envelopes.push_back(Envelope { from, connection, text });
        while self.bytes > MAX_HELD_ENVELOPE_BYTES
            && let Some(heaviest) = self.heaviest()
            && let Some(oldest) = self.envelopes.iter().position(|envelope| envelope.from == heaviest)
        {
            self.remove(oldest);
        }
    }

    /// Removes the envelopes of a device, the oldest first.
    pub(super) fn take(&mut self, device: DeviceId) -> Vec<(ConnectionId, String)> {
        let mut taken = Vec::new();
        while let Some(next) = self.envelopes.iter().position(|envelope| envelope.from == device) {
            taken.extend(self.remove(next).map(|envelope| (envelope.connection, envelope.text)));
        }
        taken
    }

    fn of(&self, device: DeviceId) -> impl Iterator<Item = &Envelope> {
        self.envelopes.iter().filter(move |envelope| envelope.from == device)
    }

    fn heaviest(&self) -> Option<DeviceId> {
        let weight = |device| self.of(device).map(|envelope| envelope.text.capacity()).sum::<usize>();
        self.envelopes.iter().map(|envelope| envelope.from).max_by_key(|device| weight(*device))
    }

    fn remove(&mut self, at: usize) -> Option<Envelope> {
        let envelope = self.envelopes.remove(at)?;
        self.bytes -= envelope.text.capacity();
        Some(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u8) -> DeviceId {
        DeviceId::derive(&[n])
    }

    fn connection(n: u8) -> ConnectionId {
        ConnectionId::from_bytes([n; 16])
    }

    #[test]
    fn the_device_that_holds_most_pays() {
        let mut held = Held::default();
        held.push(device(0), connection(0), "small".into());
        for n in 1..=20 {
            for _ in 0..MAX_HELD_ENVELOPES {
                held.push(device(n), connection(n), "x".repeat(MAX_HELD_ENVELOPE_BYTES / 8));
            }
            assert!(held.bytes <= MAX_HELD_ENVELOPE_BYTES);
        }
        assert_eq!(held.take(device(0)), [(connection(0), "small".to_owned())]);
    }

    #[test]
    fn what_a_device_sent_is_taken_in_order_and_bounded_in_number() {
        let mut held = Held::default();
        for n in 0..=MAX_HELD_ENVELOPES {
            held.push(device(1), connection(1), n.to_string());
        }
        let taken: Vec<_> = held.take(device(1)).into_iter().map(|(_, text)| text).collect();
        assert_eq!(taken, (0..MAX_HELD_ENVELOPES).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!((held.bytes, held.take(device(1)).len()), (0, 0));
    }
}
