//! RelayReports of relays: the devices that each of them sees, and messages that came through another one already.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, Output};
use crate::dial::Presence;
use crate::id::DeviceId;
use crate::signaling::{MessageId, SeenMessages};
use crate::time::Instant;

/// The reports of all relays.
#[derive(Debug, Default)]
pub(super) struct RelayReports {
    /// The relays that see a device, by their numbers. Bounded by the devices that are watched.
    present: BTreeMap<DeviceId, BTreeSet<usize>>,
    seen: SeenMessages,
}

impl Engine {
    /// A relay reports a device, or is lost. [`Output::Presence`] says what holds of all relays.
    pub fn handle_presence(&mut self, relay: usize, device: DeviceId, presence: Presence, now: Instant) {
        let online = presence == Presence::Online;
        let relays = self.reports.present.entry(device).or_default();
        if online {
            relays.insert(relay);
        } else {
            relays.remove(&relay);
            if !relays.is_empty() {
                return;
            }
            self.reports.present.remove(&device);
        }
        self.outputs.push_back(Output::Presence(device, online));
        if online {
            self.dial_with_consent(device, now);
        }
        self.dialer.handle_presence(device, presence, now);
        self.follow_dialer();
    }

    /// The relays that see a device, which takes the consent of both.
    pub fn relays_seeing(&self, device: DeviceId) -> BTreeSet<usize> {
        self.reports.present.get(&device).cloned().unwrap_or_default()
    }

    /// False for the copy of a message that came through another relay.
    pub fn is_first_copy(&mut self, from: DeviceId, message: MessageId) -> bool {
        self.reports.seen.first(from, message)
    }

    pub(super) fn is_seen(&self, device: DeviceId) -> bool {
        self.reports.present.contains_key(&device)
    }
}
