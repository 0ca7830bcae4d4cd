//! The sessions of a client, by peer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::dial::Peer;
use peers_proto::end_reason::EndReason;
use peers_proto::handshake::Established;
use peers_proto::id::{DeviceId, GroupId, UserId};
use peers_proto::path::{Paths, Route};
use peers_proto::session::{Instance, Meeting, MemoryBudget, Resume, Session as Machine, SessionConfig};
use peers_proto::trust::{Capability, TrustLevel, allows};
use tokio::sync::{Notify, mpsc};

use super::Engine;
use super::trust::Admission;
use crate::event::Event;
use crate::random;
use crate::session::{Driver, NewPath, Notice, PeerInfo, Session, Shared};
use crate::transport::Transport;

/// Paths that may wait for a session's driver; a driver that is this far behind does not need more.
const PATHS: usize = 8;
/// Devices with a name of this side's, live sessions included: a handshake that comes to nothing leaves one behind. For a
/// device that is forgotten this side is another one next time.
const MAX_NAMED: usize = 512;
/// Closed sessions whose names are remembered: those of the last seconds, even of a busy device.
const CLOSED: usize = 64;

/// The sessions of a client.
#[derive(Default)]
pub(crate) struct Registry {
    entries: Mutex<Entries>,
    /// Tells, without memory, that a session was closed.
    closes: Notify,
    budget: MemoryBudget,
}

#[derive(Default)]
struct Entries {
    of: HashMap<DeviceId, Entry>,
    /// Whose sessions were closed, the latest last.
    closed: VecDeque<DeviceId>,
}

impl Entries {
    fn entry(&mut self, device: DeviceId) -> &mut Entry {
        if self.of.len() >= MAX_NAMED && !self.of.contains_key(&device) {
            let idle = self.of.iter().find(|(_, entry)| entry.live.is_none()).map(|(idle, _)| *idle);
            idle.and_then(|idle| self.of.remove(&idle));
        }
        self.of.entry(device).or_insert_with(Entry::new)
    }

    fn live(&self, device: DeviceId) -> Option<&Arc<Shared>> {
        self.of.get(&device)?.live.as_ref().map(|(shared, _)| shared)
    }

    fn sessions(&self) -> impl Iterator<Item = &Arc<Shared>> {
        self.of.values().filter_map(|entry| entry.live.as_ref()).map(|(shared, _)| shared)
    }

    /// True if the session had another path.
    fn set_path(&mut self, device: DeviceId, path: Option<Route>) -> bool {
        self.of.get_mut(&device).is_some_and(|entry| mem::replace(&mut entry.path, path) != path)
    }

    /// The session has ended.
    fn end(&mut self, device: DeviceId, reason: EndReason) {
        if !reason.is_close() {
            self.of.remove(&device);
            return;
        }
        let Some(entry) = self.of.get_mut(&device) else { return };
        entry.live = None;
        entry.instance.closed(number());
        self.closed.retain(|other| *other != device);
        self.closed.push_back(device);
        if self.closed.len() > CLOSED
            && let Some(oldest) = self.closed.pop_front()
            && self.live(oldest).is_none()
        {
            self.of.remove(&oldest);
        }
    }
}

struct Entry {
    instance: Instance,
    live: Option<(Arc<Shared>, mpsc::Sender<NewPath>)>,
    /// The path that the last event about the session named.
    path: Option<Route>,
}

impl Entry {
    fn new() -> Self {
        Self { instance: Instance::new(number()), live: None, path: None }
    }
}

impl Registry {
    /// The session with a device, if there is one.
    pub(crate) fn get(&self, device: DeviceId) -> Option<Session> {
        Some(Session { shared: self.lock().live(device)?.clone() })
    }

    /// All sessions.
    pub(crate) fn all(&self) -> Vec<Session> {
        let entries = self.lock();
        entries.sessions().map(|shared| Session { shared: shared.clone() }).collect()
    }

    /// What this side is called in the session with a device, the one there is or the next one.
    pub(crate) fn name(&self, device: DeviceId) -> u64 {
        self.lock().entry(device).instance.epoch()
    }

    /// Whether the session with a device in which this side was called `name` was closed.
    pub(crate) fn has_closed(&self, device: DeviceId, name: u64) -> bool {
        self.lock().of.get(&device).is_some_and(|entry| entry.instance.has_closed(name))
    }

    /// Waits until it is closed. A session that is lost was not closed.
    pub(crate) async fn closed(&self, device: DeviceId, name: u64) {
        loop {
            let another = self.closes.notified();
            if self.has_closed(device, name) {
                return;
            }
            another.await;
        }
    }

    /// What to say in READY to this device; `dialed_as`: this side's name when it dialed, if it did.
    pub(crate) fn resume(&self, device: DeviceId, dialed_as: Option<u64>) -> Resume {
        let mut entries = self.lock();
        let entry = entries.entry(device);
        let next = entry.live.as_ref().map_or(0, |(shared, _)| shared.lock().machine.next_expected());
        entry.instance.ready_as(dialed_as, next)
    }

    /// Events about sessions are sent under this lock: they come in the order in which sessions lived, and none is about a
    /// session that has left.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Makes a path of a connection that has passed its handshake: the path of the session there is, or of a new one
    /// if the peer knows no session or another. `said` is what this side said in READY; `dialed`, whether it began the
    /// connection.
    ///
    /// Returns `None`, and the connection is dropped, if the peer is not let in any more, the session ended while the
    /// handshake was going on, or the peer's READY makes no sense: the dialer tries again.
    pub(crate) fn establish(
        self: &Arc<Self>,
        established: Established,
        said: Resume,
        dialed: bool,
        mut transport: Transport,
    ) -> Option<Session> {
        let theirs = Resume::decode(&established.peer_ready)?;
        let (device, user) = (established.certificate.device_id(), established.certificate.user_id());
        let (mut entries, level) = self.lock_judged(device, user);
        if self.over.is_cancelled() || Admission::from(level) != Admission::Admit {
            tracing::info!(%device, "connection refused");
            self.spawn(async move { transport.sink.close().await });
            return None;
        }
        let entry = entries.entry(device);
        let (name, before) = (entry.instance.epoch(), entry.instance.with());
        let meeting = entry.instance.meet(said, theirs, dialed, number());
        // The session there was speaks with an instance that is no more.
        let left = entry.live.take_if(|_| entry.instance.with() != before);
        let closed = theirs.has_closed(name);
        if entry.instance.has_closed(name) {
            self.registry.closes.notify_waiters();
        }
        if let Some((shared, _)) = left {
            let reason = if closed { EndReason::ClosedByPeer } else { EndReason::PeerRestarted };
            let reason = shared.end(reason.into());
            self.report_ended(&shared, reason);
            // Unless another one takes its place now.
            if meeting == Meeting::Void {
                self.decide(|dialer, now| dialer.handle_ended(device, reason, now));
            }
        } else if closed && meeting == Meeting::Void {
            // It was over for the peer before it began here, and the peer is as little to be bothered as after a goodbye.
            self.decide(|dialer, now| dialer.handle_ended(device, EndReason::ClosedByPeer, now));
        }
        let peer_next = match meeting {
            Meeting::GoesOn(next) => next,
            Meeting::StartsAfresh => 0,
            Meeting::Void => {
                // Not dropped: the peer needs what was said on it to come to the same.
                self.spawn(async move { transport.sink.close().await });
                return None;
            }
        };
        let fresh = entry.live.is_none();
        let route = transport.route;
        let (shared, paths) = entry.live.get_or_insert_with(|| self.begin(&established, level));
        let (session, paths) = (Session { shared: shared.clone() }, paths.clone());
        if fresh {
            entry.path = Some(route);
            let peer = Peer { level, user, groups: self.common_groups(device, level) };
            // What the dialer judges them by, should there be one too many.
            let used: Vec<_> = entries.sessions().map(|shared| (shared.peer.device, shared.used())).collect();
            self.decide(|dialer, now| {
                used.into_iter().for_each(|(device, at)| dialer.handle_use(device, at));
                dialer.handle_connected(device, peer, now);
            });
            self.events.send(Event::Connected { session: session.clone(), path: route.kind });
        }
        // Only now: what the driver says of this path comes after that. A full queue means as many paths as anybody needs.
        let _ = paths.try_send(NewPath { transport, seal: established.seal, peer_next });
        drop(entries);
        if fresh {
            self.deliver_held(device);
        }
        Some(session)
    }

    /// The session is not in the registry any more, and nothing further is said about it. To be called under the registry's
    /// lock.
    fn report_ended(&self, shared: &Arc<Shared>, reason: EndReason) {
        tracing::info!(device = %shared.peer.device, %reason, "session ended");
        let session = Session { shared: shared.clone() };
        self.events.send(Event::Disconnected { session, reason });
    }

    /// Ends all sessions without a goodbye: no task is left to say it.
    pub(crate) fn abandon_sessions(&self) {
        let mut entries = self.registry.lock();
        let live: Vec<_> = entries.of.values_mut().filter_map(|entry| entry.live.take()).collect();
        for (shared, _) in live {
            let reason = shared.end(EndReason::NoRuntime.into());
            self.report_ended(&shared, reason);
        }
    }

    /// The registry, locked, and the level of a device at that moment: a change of trust is either in it, or finds the
    /// session in the registry.
    fn lock_judged(&self, device: DeviceId, user: UserId) -> (MutexGuard<'_, Entries>, TrustLevel) {
        loop {
            // Not under the lock: the app's policy is asked.
            let judgement = self.trust.judge(device, Some(user));
            let entries = self.registry.lock();
            if self.trust.stands(judgement) {
                return (entries, judgement.level);
            }
        }
    }

    /// The groups that this device carries and the app says the other one is a member of.
    fn common_groups(&self, device: DeviceId, level: TrustLevel) -> HashSet<GroupId> {
        if !allows(level, Capability::Groups) {
            return HashSet::new();
        }
        let members = self.settings.members.get(&device).into_iter().flatten();
        members.copied().filter(|group| self.settings.groups.contains(group)).collect()
    }

    /// Lets a live session carry what this level of its peer allows.
    pub(crate) fn apply_level(&self, shared: &Shared, level: TrustLevel) {
        let groups = self.common_groups(shared.peer.device, level);
        shared.inspect(|s| {
            s.machine.set_groups(groups);
            s.machine.set_ungrouped(allows(level, Capability::Messages));
        });
    }

    fn begin(
        self: &Arc<Self>,
        established: &Established,
        level: TrustLevel,
    ) -> (Arc<Shared>, mpsc::Sender<NewPath>) {
        let certificate = &established.certificate;
        let peer = PeerInfo {
            device: certificate.device_id(),
            user: certificate.user_id(),
            name: certificate.name().to_owned(),
        };
        let machine = Machine::new(SessionConfig {
            local: self.device_id(),
            remote: peer.device,
            groups: self.common_groups(peer.device, level),
            ungrouped: allows(level, Capability::Messages),
            budget: self.registry.budget.clone(),
        });
        let handlers = self.settings.handlers.clone();
        let mut paths = Paths::new(
            machine.leads(),
            self.settings.preference,
            self.settings.resume_window,
            self.clock.now(),
        );
        paths.set_app_state(self.surroundings.app(), self.clock.now());
        let shared = Shared::new(peer, self.clock.clone(), self.runtime.clone(), handlers, machine, paths);
        self.apply_cost(&shared);
        let (tx, rx) = mpsc::channel(PATHS);
        let (engine, this) = (self.clone(), Arc::downgrade(&shared));
        let notify = Box::new(move |notice| {
            if let Some(shared) = this.upgrade() {
                engine.noticed(&shared, notice);
            }
        });
        let driver = Driver::new(shared.clone(), notify, rx);
        // Not `spawn`: a session that is told to end says goodbye first.
        self.spawn_to_its_end(driver.run());
        (shared, tx)
    }

    fn noticed(self: &Arc<Self>, shared: &Arc<Shared>, notice: Notice) {
        let device = shared.peer.device;
        let session = Session { shared: shared.clone() };
        let mut entries = self.registry.lock();
        let is_live = entries.live(device).is_some_and(|live| Arc::ptr_eq(live, shared));
        match notice {
            // One that was lost is wanted back: what is under way may be what replaces it.
            Notice::Ending(reason) if !reason.is_close() => {}
            Notice::Ending(reason) => self.session_closes(device, reason.is_local()),
            // A meeting has taken it out of the registry and told so, and another may be there.
            _ if !is_live => {}
            Notice::Path(route) => {
                // Another connection of the same kind is nothing that an app shows.
                if entries.set_path(device, Some(route)) {
                    self.events.send(Event::PathChanged { session, path: Some(route.kind) });
                }
                self.tell_standing(device, shared);
            }
            Notice::Status(status) => {
                self.events.send(Event::StatusChanged { session, status });
                self.tell_standing(device, shared);
            }
            Notice::Quality(quality) => self.events.send(Event::QualityChanged { session, quality }),
            Notice::Down(reason) => {
                entries.set_path(device, None);
                tracing::info!(%device, %reason, "no path");
                self.events.send(Event::PathChanged { session, path: None });
            }
            Notice::Ended(reason) => {
                entries.end(device, reason);
                self.registry.closes.notify_waiters();
                self.decide(|dialer, now| dialer.handle_ended(device, reason, now));
                self.report_ended(shared, reason);
            }
        }
    }
}

fn number() -> u64 {
    u64::from_be_bytes(random::array())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_that_never_get_a_session_are_forgotten() {
        let registry = Registry::default();
        for n in 0..2 * MAX_NAMED {
            registry.name(DeviceId::derive(&n.to_be_bytes()));
        }
        assert_eq!(registry.lock().of.len(), MAX_NAMED);
    }
}
