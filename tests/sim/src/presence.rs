//! Reports of relays about the devices that each of them sees; only changes are reported.

use std::collections::BTreeSet;

use peers_proto::dial::Presence;

use crate::net::Net;
use crate::queue::Event;

/// A relay, the device that it reports to, and the device that it reports about.
pub(crate) type View = (usize, usize, usize);

/// The presence that was reported.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    reported: BTreeSet<View>,
    /// Reports that are on their way.
    pending: BTreeSet<View>,
}

impl Reported {
    /// A report did not arrive: the device is asleep.
    pub(crate) fn delay(&mut self, view: View) {
        self.pending.remove(&view);
    }
}

impl Net {
    /// Plans the reports that are due now that the network, a relay or a registration has changed.
    pub(crate) fn report_presence(&mut self) {
        for (a, b) in self.plan.pairs.clone() {
            for relay in 0..self.plan.relays {
                self.plan_report((relay, a, b));
                self.plan_report((relay, b, a));
            }
        }
    }

    fn plan_report(&mut self, view: View) {
        let online = self.sees(view);
        if online == self.presence.reported.contains(&view) || !self.presence.pending.insert(view) {
            return;
        }
        // A relay notices a registration at once, and silence after a while.
        let delay = if online { self.rng.millis(20..500) } else { self.rng.millis(20..10_000) };
        self.queue.plan(self.now + delay, Event::Presence(view));
    }

    /// A report arrives; `None` if it was reported before.
    pub(crate) fn presence_of(&mut self, view: View) -> Option<Presence> {
        self.presence.pending.remove(&view);
        let online = self.sees(view);
        if online == self.presence.reported.contains(&view) {
            return None;
        }
        if online {
            self.presence.reported.insert(view);
        } else {
            self.presence.reported.remove(&view);
        }
        let (relay, device, _) = view;
        let registered = self.relays_of(device).any(|(at, _)| at == relay);
        Some(match (online, registered) {
            (true, _) => Presence::Online,
            (false, true) => Presence::Offline,
            (false, false) => Presence::Unknown,
        })
    }

    /// An app was started anew: it has no report.
    pub(crate) fn forget_presence(&mut self, device: usize) {
        self.presence.reported.retain(|(_, of, _)| *of != device);
    }

    fn sees(&self, (relay, device, peer): View) -> bool {
        let registered = |device| self.relays_of(device).any(|(at, _)| at == relay);
        registered(device) && registered(peer)
    }
}
