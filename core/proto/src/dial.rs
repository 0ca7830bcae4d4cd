//! Decisions to dial a device, and to give a connection up.
//!
//! ```text
//!  trust, sessions, presence ──┐
//!  outcomes of dials ──────────┼─> Dialer ── poll_output ─> Dial, Evict
//!  network, app, time ─────────┘
//! ```
//!
//! Known devices without a session are looked for once a minute while a person looks ([`SCAN`]), and
//! whenever a relay says that one came online. A session without a path that answers is dialed at once; one that a dial can
//! improve is now and then dialed for something better, unless data costs money. Failures are repeated later and later, with full
//! jitter, each device by itself; all dials share one bucket of tokens. What failed on another network is forgotten.
//!
//! Both ends of a session decide so, independently. Of two that notice the same outage the one that leads begins, and the other
//! gives it a moment. Dials that both begin all the same are settled by the handshakes' meeting and by negotiation.

mod backoff;
mod device;
mod eviction;

use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::end_reason::EndReason;
use crate::id::{DeviceId, GroupId, UserId};
use crate::limits::{DIAL_BURST, MAX_CONNECTIONS, MAX_DIALED};
use crate::network::AppState;
use crate::path::{Preference, Status, Tier};
use crate::random::SplitMix;
use crate::time::{Instant, earliest};
use crate::timing::{DIAL_REFILL, FOLLOWER_PATIENCE, SCAN};
use crate::trust::TrustLevel;
use device::{Device, SessionRecord};

pub use backoff::full_jitter;
pub use eviction::EvictionReason;

/// The purpose of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Any path: there is none, or none that answers.
    Path,
    /// Something better than there is.
    Better,
}

/// The result of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a path.
    Connected,
    /// None was found.
    Failed,
    /// The peer wants none: its own sealed word ([`crate::handshake::HandshakeError::Denied`]), never a failure that others
    /// can cause.
    Denied,
}

/// An instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialOutput {
    /// Dial this device; [`Dialer::handle_outcome`] is told what came of it.
    Dial(DeviceId, Purpose),
    /// End the session with this device: there are too many, and this one is worth least.
    Evict(DeviceId, EvictionReason),
}

/// The other end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectedPeer {
    /// The trust in it.
    pub level: TrustLevel,
    /// Its user.
    pub user: UserId,
    /// The groups it shares with this device, as far as that is known.
    pub groups: HashSet<GroupId>,
}

/// The state of a session, as far as a dial can change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it can be used.
    pub status: Status,
    /// The tier of its path.
    pub tier: Option<Tier>,
    /// Whether a dial can lead to something better.
    pub improvable: bool,
}

impl Standing {
    /// It can be used, and nothing better is to be had.
    fn is_best(self) -> bool {
        self.status == Status::Usable && !self.improvable
    }
}

/// A device at the relays, as they report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// A relay sees it.
    Online,
    /// It has left.
    Offline,
    /// This device has left the relay that saw it.
    Unknown,
}

/// Decides for one device whom to dial, and when.
#[derive(Debug)]
pub struct Dialer {
    local: DeviceId,
    devices: BTreeMap<DeviceId, Device>,
    /// Counts devices met.
    met: u64,
    app: AppState,
    /// The order of tiers.
    preference: Preference,
    /// Data costs money: nothing better is looked for.
    metered: bool,
    next_scan: Instant,
    tokens: u32,
    refilled: Instant,
    random: SplitMix,
    outputs: VecDeque<DialOutput>,
}

impl Dialer {
    /// Nobody is known yet. `random`: the seed of all jitter.
    pub fn new(local: DeviceId, preference: Preference, random: u64, now: Instant) -> Self {
        Self {
            local,
            devices: BTreeMap::new(),
            met: 0,
            app: AppState::default(),
            preference,
            metered: false,
            next_scan: now,
            tokens: DIAL_BURST,
            refilled: now,
            random: SplitMix::new(random),
            outputs: VecDeque::new(),
        }
    }

    // ---- what happens ----

    /// Sets the trust in a device. From [`TrustLevel::Known`] on it is looked for.
    pub fn set_trust(&mut self, device: DeviceId, level: TrustLevel, now: Instant) {
        let entry = self.entry(device);
        (entry.level, entry.known) = (level, level >= TrustLevel::Known);
        self.plan(device, now);
        self.forget_idle(device);
    }

    /// The app wants to speak with this device: of equals, it is kept.
    pub fn handle_asked(&mut self, device: DeviceId) {
        let entry = self.entry(device);
        (entry.asked, entry.rests_until, entry.goodbyes) = (true, None, 0);
    }

    /// There is a session. One too many costs the least of them, which may be this one.
    pub fn handle_connected(&mut self, device: DeviceId, peer: ConnectedPeer, now: Instant) {
        let standing = Standing { status: Status::Usable, tier: None, improvable: false };
        let ConnectedPeer { level, user, groups } = peer;
        let entry = self.entry(device);
        (entry.level, entry.known) = (level, level >= TrustLevel::Known);
        entry.session = Some(SessionRecord { standing, user, groups, used: now, best_since: None });
        entry.backoff.reset();
        (entry.due, entry.rests_until) = (None, None);
        self.evict(device, now);
    }

    /// The groups that the session with a device shares have changed. None is evicted for it.
    pub fn set_groups(&mut self, device: DeviceId, groups: HashSet<GroupId>) {
        if let Some(session) = self.devices.get_mut(&device).and_then(|entry| entry.session.as_mut()) {
            session.groups = groups;
        }
    }

    /// The app used the session with a device.
    pub fn handle_use(&mut self, device: DeviceId, at: Instant) {
        if let Some(session) = self.devices.get_mut(&device).and_then(|entry| entry.session.as_mut()) {
            session.used = session.used.max(at);
        }
    }

    /// The standing of a session has changed.
    pub fn handle_standing(&mut self, device: DeviceId, standing: Standing, now: Instant) {
        let entry = self.devices.get_mut(&device);
        if entry.is_some_and(|entry| entry.handle_standing(standing, now)) {
            self.plan(device, now);
        }
    }

    /// A session has ended.
    pub fn handle_ended(&mut self, device: DeviceId, reason: EndReason, now: Instant) {
        let random = self.random();
        let Some(entry) = self.devices.get_mut(&device) else { return };
        (entry.session, entry.due) = (None, None);
        if reason.is_close() {
            // The dial for a better path, if there is one, ends with the session.
            entry.dialing = None;
        }
        match reason {
            EndReason::Closed => (entry.known, entry.asked) = (false, false),
            EndReason::ClosedByPeer | EndReason::Evicted => entry.rest(random, now),
            EndReason::PeerRestarted
            | EndReason::NoPath
            | EndReason::Protocol
            | EndReason::Overloaded
            | EndReason::NoRuntime => self.plan(device, now),
        }
        self.forget_idle(device);
    }

    /// The presence of a device has changed, which counts for devices that are looked for or connected.
    pub fn handle_presence(&mut self, device: DeviceId, presence: Presence, now: Instant) {
        let Some(entry) = self.devices.get_mut(&device) else { return };
        let before = entry.presence;
        // A device that is away stays away while this one cannot see it.
        if (before, presence) != (Some(Presence::Offline), Presence::Unknown) {
            entry.presence = Some(presence);
        }
        if presence == Presence::Online {
            if before == Some(Presence::Offline) {
                // It was away since its session was closed, and may be another process by now.
                (entry.rests_until, entry.goodbyes) = (None, 0);
            }
            entry.backoff.reset();
            entry.due = (!entry.rests(now)).then_some(now);
            self.dial_due(now);
        }
    }

    /// A dial has a result.
    pub fn handle_outcome(&mut self, device: DeviceId, dialed: Purpose, outcome: Outcome, now: Instant) {
        let (random, app, upgrades) = (self.random(), self.app, self.upgrades());
        let Some(entry) = self.devices.get_mut(&device) else { return };
        // Another one has taken its place, or the network has changed: nobody waits for this one.
        if entry.dialing.take_if(|dialing| *dialing == dialed).is_none() {
            return;
        }
        match outcome {
            Outcome::Connected if dialed == Purpose::Path => entry.backoff.forgive(dialed),
            // Something better was found when it has lasted.
            Outcome::Connected | Outcome::Failed => entry.backoff.failed(dialed),
            // Asking again would only bother the people there.
            Outcome::Denied => entry.known = false,
        }
        let next = entry.purpose(app, upgrades).unwrap_or(dialed);
        let at = entry.backoff.next(next, app, random, now);
        entry.due = (!entry.rests(now)).then_some(at);
        self.forget_idle(device);
        self.dial_due(now);
    }

    /// The network has changed: what failed may work now. `another`: sessions have no path that can be relied on, and
    /// nobody knows as soon as this device.
    pub fn handle_network_change(&mut self, another: bool, now: Instant) {
        for entry in self.devices.values_mut() {
            entry.backoff.reset();
            if let Some(session) = entry.session.as_mut().filter(|_| another)
                && session.standing.status == Status::Usable
            {
                // The session's own word comes a moment later, and would leave the dial to the end that leads.
                session.standing.status = Status::Verifying;
            }
            if (another || entry.due.is_some()) && !entry.rests(now) {
                entry.dialing = None;
                entry.due = Some(now);
            }
        }
        self.tokens = DIAL_BURST;
        self.next_scan = self.next_scan.min(now);
        self.dial_due(now);
    }

    /// The app came to the front, went away from it, or is suspended: then nothing is dialed.
    pub fn set_app_state(&mut self, app: AppState, now: Instant) {
        let before = std::mem::replace(&mut self.app, app);
        if before == AppState::Suspended && app != before {
            // It was this device that went away. Whether a peer did too shows when it is dialed.
            let standings = self.devices.values_mut().filter_map(|entry| entry.session.as_mut());
            let away = standings.map(|s| &mut s.standing.status).filter(|status| **status == Status::Away);
            away.for_each(|status| *status = Status::Down);
            return self.handle_network_change(true, now);
        }
        if before != app && app == AppState::Foreground {
            self.handle_network_change(false, now);
        }
    }

    /// Sets whether data costs money: something better is looked for once it does not any more.
    pub fn set_metered(&mut self, metered: bool, now: Instant) {
        if std::mem::replace(&mut self.metered, metered) == metered || metered {
            return;
        }
        let improvable = |entry: &Device| entry.to_dial(self.app, self.upgrades()) == Some(Purpose::Better);
        let better: Vec<_> = self.devices.iter().filter(|(_, e)| improvable(e)).map(|(id, _)| *id).collect();
        for device in better {
            self.plan(device, now);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.app == AppState::Foreground && self.next_scan <= now {
            self.next_scan = (now + SCAN).next_beat();
            for entry in self.devices.values_mut() {
                if entry.known && entry.session.is_none() && entry.due.is_none() && !entry.rests(now) {
                    entry.due = Some(now);
                }
            }
        }
        self.dial_due(now);
    }

    // ---- what follows ----

    /// The next instruction.
    pub fn poll_output(&mut self) -> Option<DialOutput> {
        self.outputs.pop_front()
    }

    /// The time of the next [`Dialer::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.app == AppState::Suspended {
            return None;
        }
        let looks_for_some = self.devices.values().any(|entry| entry.known && entry.session.is_none());
        let scan = (self.app == AppState::Foreground && looks_for_some).then_some(self.next_scan);
        let wanted = |entry: &&Device| entry.to_dial(self.app, self.upgrades()).is_some();
        let due = self.devices.values().filter(wanted).filter_map(|entry| entry.due).min();
        // Without a token everything waits for the next one.
        let due = if self.tokens == 0 { due.map(|at| at.max(self.refilled + DIAL_REFILL)) } else { due };
        earliest(scan, due)
    }

    /// Devices with a session.
    pub fn connections(&self) -> usize {
        self.devices.values().filter(|entry| entry.session.is_some()).count()
    }

    // ---- how ----

    /// True if something better than the path there is may be dialed now.
    fn upgrades(&self) -> bool {
        self.app == AppState::Foreground && !self.metered
    }

    /// The entry of a device that the app, its trust or a session names. Relays name none: they may invent as many as they
    /// like. The least of more than [`MAX_DIALED`] is forgotten.
    fn entry(&mut self, device: DeviceId) -> &mut Device {
        if self.devices.len() >= MAX_DIALED
            && !self.devices.contains_key(&device)
            && let Some(least) = eviction::forgettable(&self.devices)
        {
            self.devices.remove(&least);
        }
        self.met += 1;
        self.devices.entry(device).or_insert_with(|| Device::new(self.met))
    }

    /// Forgets a device that nothing follows from any more.
    fn forget_idle(&mut self, device: DeviceId) {
        if self.devices.get(&device).is_some_and(Device::is_idle) {
            self.devices.remove(&device);
        }
    }

    /// Decides when to dial a device whose state has changed.
    fn plan(&mut self, device: DeviceId, now: Instant) {
        let (leads, random) = (self.local < device, self.random());
        let (app, upgrades) = (self.app, self.upgrades());
        let Some(entry) = self.devices.get_mut(&device) else { return };
        entry.due = match (entry.purpose(app, upgrades), &entry.session) {
            (None, _) => None,
            (Some(_), None) if entry.rests(now) => None,
            (Some(Purpose::Better), _) => Some(entry.backoff.next(Purpose::Better, app, random, now)),
            // Who leads begins; the other may have noticed first, but need not.
            (Some(Purpose::Path), Some(_)) if !leads => Some(now + FOLLOWER_PATIENCE),
            (Some(Purpose::Path), _) => Some(now),
        };
        self.dial_due(now);
    }

    fn dial_due(&mut self, now: Instant) {
        if self.app == AppState::Suspended {
            return;
        }
        let refills = (now - self.refilled).as_micros() / DIAL_REFILL.as_micros();
        if refills > 0 {
            self.tokens =
                DIAL_BURST.min(self.tokens.saturating_add(u32::try_from(refills).unwrap_or(u32::MAX)));
            self.refilled = now;
        }
        let mut room = MAX_CONNECTIONS.saturating_sub(self.connections());
        // Whoever would take the place of somebody less trusted is dialed although all places are taken.
        let mut weakest = if room == 0 { eviction::weakest(&self.devices, &self.preference) } else { None };
        let (app, upgrades) = (self.app, self.upgrades());
        for (device, entry) in &mut self.devices {
            if entry.due.is_none_or(|due| now < due) {
                continue;
            }
            let Some(purpose) = entry.to_dial(app, upgrades) else {
                if entry.dialing.is_none() {
                    entry.due = None;
                }
                continue;
            };
            let no_room = room == 0 && weakest.is_none_or(|weakest| weakest >= entry.level);
            if no_room && entry.session.is_none() {
                entry.due = None;
                continue;
            }
            if self.tokens == 0 {
                return;
            }
            if entry.session.is_none() {
                // One at a time: what the next one would replace is known only then.
                weakest = None;
                room = room.saturating_sub(1);
            }
            self.tokens -= 1;
            (entry.dialing, entry.due) = (Some(purpose), None);
            self.outputs.push_back(DialOutput::Dial(*device, purpose));
        }
    }

    /// Keeps the number of connections: what is worth least goes.
    fn evict(&mut self, newcomer: DeviceId, now: Instant) {
        if self.connections() <= MAX_CONNECTIONS {
            return;
        }
        let (device, why) = eviction::least(&self.devices, &self.preference, newcomer);
        let random = self.random();
        if let Some(entry) = self.devices.get_mut(&device) {
            (entry.session, entry.due) = (None, None);
            entry.rest(random, now);
        }
        self.outputs.push_back(DialOutput::Evict(device, why));
    }

    fn random(&mut self) -> u32 {
        (self.random.next() >> 32) as u32
    }
}

#[cfg(test)]
mod tests;
