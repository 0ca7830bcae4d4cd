//! Drives the sans-IO [`Control`] of this device: performs its outputs, and keeps what stands behind its ids.
//!
//! One lock guards the machine and these tables. Outputs are performed under it, so events about sessions have the order in
//! which sessions lived. A session's own lock is taken after it, never before it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::end_reason::EndReason;
use peers_proto::engine::{
    Admission, AppEvent, DialFailure, DialId, Engine as Control, Join, Output, ReadyConnection, RequestId,
    SessionChange, SessionId, SessionState,
};
use peers_proto::handshake::Established;
use peers_proto::id::{DeviceId, GroupId, UserId};
use peers_proto::multipath::Multipath;
use peers_proto::network::AppState;
use peers_proto::path::Paths;
use peers_proto::session::{MemoryBudget, Resume, Session as Machine, SessionConfig};
use peers_proto::time::Instant;
use peers_proto::trust::{Capability, TrustLevel, allows};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::event::Event;
use crate::random;
use crate::session::{Driver, NewPath, PeerInfo, Session, Shared};
use crate::transport::Transport;

/// Paths that may wait for a session's driver; a driver that is this far behind does not need more.
const PATHS: usize = 8;

/// The machine, and what stands behind its ids.
pub(crate) struct Controlled {
    inner: Mutex<Inner>,
    /// The machine has had an input: its next timeout may be earlier.
    changed: Notify,
    budget: MemoryBudget,
}

struct Inner {
    control: Control,
    sessions: HashMap<SessionId, Entry>,
    dials: HashMap<DialId, CancellationToken>,
    requests: HashMap<RequestId, oneshot::Sender<Result<Session, DialFailure>>>,
    last_request: u64,
    /// Waits for the end of a suspension.
    suspending: Vec<oneshot::Sender<()>>,
}

struct Entry {
    session: Session,
    paths: mpsc::Sender<NewPath>,
}

impl Controlled {
    pub(crate) fn new(control: Control) -> Self {
        let inner = Inner {
            control,
            sessions: HashMap::new(),
            dials: HashMap::new(),
            requests: HashMap::new(),
            last_request: 0,
            suspending: Vec::new(),
        };
        Self { inner: Mutex::new(inner), changed: Notify::new(), budget: MemoryBudget::default() }
    }

    /// The session with a device, if there is one.
    pub(crate) fn session(&self, device: DeviceId) -> Option<Session> {
        let inner = self.lock();
        inner.session(device).map(|entry| entry.session.clone())
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.lock().sessions.values().map(|entry| entry.session.clone()).collect()
    }

    /// READY of this device to a peer; `dialed_as`: the epoch when it dialed, if it did.
    pub(crate) fn ready(&self, device: DeviceId, dialed_as: Option<u64>) -> Resume {
        let mut inner = self.lock();
        let expected = |entry: &Entry| entry.session.shared.lock().multipath.session.next_expected();
        let next = inner.session(device).map_or(0, expected);
        inner.control.ready(device, dialed_as, next)
    }

    /// True if an offer of this device is worth an answer.
    pub(crate) fn takes_offers(&self, device: DeviceId) -> bool {
        self.lock().control.takes_offers(device)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn session(&self, device: DeviceId) -> Option<&Entry> {
        self.sessions.get(&self.control.session(device)?)
    }

    fn end(&self, session: SessionId, reason: EndReason) {
        if let Some(entry) = self.sessions.get(&session) {
            entry.session.shared.end(reason.into());
        }
    }
}

impl Engine {
    /// Gives the machine an input and performs what follows.
    pub(crate) fn control<R>(self: &Arc<Self>, input: impl FnOnce(&mut Control, Instant) -> R) -> R {
        let mut inner = self.controlled.lock();
        let result = input(&mut inner.control, self.clock.now());
        self.perform(&mut inner);
        result
    }

    /// Gives the machine the time. Never returns.
    pub(crate) async fn follow_time(self: Arc<Self>) {
        loop {
            let due = self.controlled.lock().control.poll_timeout();
            tokio::select! {
                () = self.clock.sleep_until_any(due) => self.control(Control::handle_timeout),
                () = self.controlled.changed.notified() => {}
            }
        }
    }

    /// Sets the app's state. Of two calls at once the later one counts for the machine and for what the app is shown. Returns
    /// the end of the suspension that begins, if one does.
    pub(super) fn change_app_state(self: &Arc<Self>, state: AppState) -> Option<oneshot::Receiver<()>> {
        let mut inner = self.controlled.lock();
        let before = self.app.send_replace(state);
        let suspended = (state == AppState::Suspended && before != state).then(|| {
            let (done, suspended) = oneshot::channel();
            inner.suspending.push(done);
            suspended
        });
        inner.control.set_app_state(state, self.clock.now());
        self.perform(&mut inner);
        suspended
    }

    /// Asks for the session with a device. The answer does not come if the client ends.
    pub(crate) fn request(self: &Arc<Self>, device: DeviceId) -> SessionRequest {
        let (tell, answer) = oneshot::channel();
        let mut inner = self.controlled.lock();
        inner.last_request += 1;
        let id = RequestId(inner.last_request);
        inner.requests.insert(id, tell);
        inner.control.request(id, device);
        self.perform(&mut inner);
        SessionRequest { id, engine: self.clone(), answer }
    }

    /// Makes a connection that has passed its handshake a path of its session. `ours` is what this device said in READY;
    /// `dialed`, whether it began the connection.
    ///
    /// Returns `None`, and the connection is closed, if the peer is not let in any more, the session ended during the
    /// handshake, or the peer's READY makes no sense. The dialer then tries again.
    pub(crate) fn establish(
        self: &Arc<Self>,
        established: Established,
        ours: Resume,
        dialed: bool,
        mut transport: Transport,
    ) -> Option<Session> {
        let theirs = Resume::decode(&established.peer_ready)?;
        let (device, user) = (established.certificate.device_id(), established.certificate.user_id());
        let (mut inner, level) = self.lock_judged(device, user);
        if self.over.is_cancelled() || Admission::from(level) != Admission::Admit {
            tracing::info!(%device, "connection refused");
            self.spawn(async move { transport.sink.close().await });
            return None;
        }
        let (groups, route) = (self.common_groups(device, level), transport.route);
        let connection =
            ReadyConnection { device, user, level, groups: groups.clone(), ours, theirs, dialed, route };
        let Inner { control, sessions, .. } = &mut *inner;
        let used = |entry: &Entry| (entry.session.device(), entry.session.shared.used());
        let join = control.establish(connection, || sessions.values().map(used).collect(), self.clock.now());
        if let Some(Join { session, is_new: true, .. }) = join {
            let state = (inner.control.app_state(), inner.control.is_metered());
            let entry = self.begin(session, &established, level, groups, state);
            inner.sessions.insert(session, entry);
        }
        self.perform(&mut inner);
        let Some(Join { session, next, is_new }) = join else {
            // Not dropped: the peer needs this side's READY to come to the same result.
            self.spawn(async move { transport.sink.close().await });
            return None;
        };
        let entry = inner.sessions.get(&session)?;
        // Only now: what the driver says of this path comes after that. A full queue holds as many paths as a session needs.
        let _ = entry.paths.try_send(NewPath { transport, seal: established.seal, peer_next: next });
        let session = entry.session.clone();
        drop(inner);
        if is_new {
            self.deliver_held(device);
        }
        Some(session)
    }

    /// Ends all sessions without a last frame: no task is left to send it.
    pub(crate) fn abandon_sessions(self: &Arc<Self>) {
        self.control(|control, _| control.abandon());
    }

    /// The machine, locked, and the level of a device at that moment: a change of trust is either in it, or finds the
    /// session in the machine.
    fn lock_judged(&self, device: DeviceId, user: UserId) -> (MutexGuard<'_, Inner>, TrustLevel) {
        loop {
            // Not under the lock: the app's policy is asked.
            let (level, judgement) = self.trust.judge(device, Some(user));
            let inner = self.controlled.lock();
            if self.trust.book().stands(judgement) {
                return (inner, level);
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
    pub(crate) fn apply_level(self: &Arc<Self>, shared: &Shared, level: TrustLevel) {
        let device = shared.peer.device;
        let groups = self.common_groups(device, level);
        self.control(|control, _| control.set_groups(device, groups.clone()));
        shared.inspect(|s| {
            s.multipath.session.set_groups(groups);
            s.multipath.session.set_ungrouped(allows(level, Capability::Messages));
        });
    }

    fn begin(
        self: &Arc<Self>,
        id: SessionId,
        established: &Established,
        level: TrustLevel,
        groups: HashSet<GroupId>,
        (app, metered): (AppState, bool),
    ) -> Entry {
        let certificate = &established.certificate;
        let peer = PeerInfo {
            device: certificate.device_id(),
            user: certificate.user_id(),
            name: certificate.name().to_owned(),
        };
        let machine = Machine::new(SessionConfig {
            local: self.device_id(),
            remote: peer.device,
            groups,
            ungrouped: allows(level, Capability::Messages),
            budget: self.controlled.budget.clone(),
        });
        let (now, window) = (self.clock.now(), self.settings.resume_window);
        let mut paths = Paths::new(machine.leads(), self.settings.preference, window, now);
        paths.set_app_state(app, now);
        let multipath = Multipath::new(machine, paths);
        let (handlers, runtime) = (self.settings.handlers.clone(), self.runtime.clone());
        let shared = Shared::new(peer, self.clock.clone(), runtime, handlers, multipath);
        self.set_cost(&shared, metered);
        let (tx, rx) = mpsc::channel(PATHS);
        let (engine, this) = (self.clone(), Arc::downgrade(&shared));
        let notify = Box::new(move |change| {
            if let Some(shared) = this.upgrade() {
                engine.handle_change(id, &shared, change);
            }
        });
        let driver = Driver::new(shared.clone(), notify, rx);
        // Not `spawn`: a session that ends with its client sends its last frames first.
        self.spawn_to_its_end(driver.run());
        Entry { session: Session { shared }, paths: tx }
    }

    fn handle_change(self: &Arc<Self>, id: SessionId, shared: &Shared, change: SessionChange) {
        let device = shared.peer.device;
        let state =
            shared.inspect(|s| SessionState { status: s.multipath.status(), route: s.multipath.route() });
        self.control(|control, now| control.handle_session(id, device, change, state, now));
    }

    fn perform(self: &Arc<Self>, inner: &mut Inner) {
        while let Some(output) = inner.control.poll_output() {
            match output {
                Output::LearnKeys(dial, device) => {
                    tracing::debug!(%device, "dial began");
                    let stop = CancellationToken::new();
                    inner.dials.insert(dial, stop.clone());
                    self.spawn_dial(stop, self.clone().learn_keys_for(dial, device));
                }
                Output::Take(dial, device, way) => {
                    let epoch = inner.control.epoch_of(dial);
                    if let (Some(epoch), Some(stop)) = (epoch, inner.dials.get(&dial)) {
                        self.spawn_dial(stop.clone(), self.clone().take(dial, device, epoch, way));
                    }
                }
                Output::Stop(dial) => drop(inner.dials.remove(&dial).inspect(CancellationToken::cancel)),
                Output::End(session, reason) => inner.end(session, reason),
                Output::Evict(session, device, why) => {
                    tracing::info!(%device, %why, "session evicted");
                    inner.end(session, EndReason::Evicted);
                }
                Output::Sessions(input) => {
                    inner.sessions.values().for_each(|entry| self.instruct(&entry.session, input));
                }
                Output::Relays(input) => self.instruct_relays(input),
                Output::RenewNames => self.prepare_names_anew(),
                Output::Suspended => self.finish_suspension(std::mem::take(&mut inner.suspending)),
                Output::Network(change) => tracing::info!(?change, "network changed"),
                Output::Metered(metered) => {
                    tracing::info!(metered, "network cost changed");
                    self.events.send(Event::Metered(metered));
                }
                Output::Closing(device, own) => self.session_closes(device, own),
                Output::Answer(request, answer) => {
                    let session = |id| inner.sessions.get(&id).map(|entry: &Entry| entry.session.clone());
                    let answer = answer.map(session).transpose();
                    if let (Some(tell), Some(answer)) = (inner.requests.remove(&request), answer) {
                        let _ = tell.send(answer);
                    }
                }
                Output::Event(session, device, event) => {
                    let entry = match event {
                        AppEvent::Disconnected(_) => {
                            inner.sessions.remove(&session).map(|entry| entry.session)
                        }
                        _ => inner.sessions.get(&session).map(|entry| entry.session.clone()),
                    };
                    if let Some(session) = entry {
                        self.report(session, device, event);
                    }
                }
            }
        }
        self.controlled.changed.notify_one();
    }

    fn report(&self, session: Session, device: DeviceId, event: AppEvent) {
        self.events.send(match event {
            AppEvent::Connected(route) => Event::Connected { session, path: route.kind },
            AppEvent::Path(route) => Event::PathChanged { session, path: route.map(|route| route.kind) },
            AppEvent::Status(status) => Event::StatusChanged { session, status },
            AppEvent::Quality(quality) => Event::QualityChanged { session, quality },
            AppEvent::Disconnected(reason) => {
                tracing::info!(%device, %reason, "session ended");
                Event::Disconnected { session, reason }
            }
        });
    }

    fn spawn_dial(
        self: &Arc<Self>,
        stop: CancellationToken,
        step: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = step => {}
            }
        });
    }
}

/// A request that waits for its answer. It is dropped with its caller.
pub(crate) struct SessionRequest {
    id: RequestId,
    engine: Arc<Engine>,
    pub(crate) answer: oneshot::Receiver<Result<Session, DialFailure>>,
}

impl Drop for SessionRequest {
    fn drop(&mut self) {
        let mut inner = self.engine.controlled.lock();
        inner.requests.remove(&self.id);
        inner.control.cancel_request(self.id);
    }
}

/// The seed of the machine's epochs and jitter.
pub(crate) fn seed() -> u64 {
    u64::from_be_bytes(random::array())
}
