//! Drives the sans-IO [`Engine`] of this device: performs its outputs, and keeps what stands behind its ids.
//!
//! One lock guards the machine and these tables. Outputs are performed under it, so events about sessions have the order in
//! which sessions lived. A session's own lock is taken after it, never before it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers_proto::end_reason::EndReason;
use peers_proto::engine::{
    AppEvent, DialFailure, DialId, Engine, HandshakeId, HandshakeStep, Join, Output, RequestId, Scope,
    SessionChange, SessionId, SessionInput, SessionState,
};
use peers_proto::handshake::Established;
use peers_proto::id::{DeviceId, UserId};
use peers_proto::multipath::Multipath;
use peers_proto::network::AppState;
use peers_proto::path::Paths;
use peers_proto::session::{MemoryBudget, Resume, SessionConfig, SessionMachine};
use peers_proto::signaling::MessageId;
use peers_proto::time::Instant;
use peers_proto::trust::{KnownKeys, TrustLevel};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::EngineDriver;
use crate::event::Event;
use crate::handshake::HandshakeCommand;
use crate::session::{Driver, NewPath, PeerInfo, Session, Shared};
use crate::transport::Transport;

/// Paths that may wait for a session's driver; a driver that is this far behind does not need more.
const PATHS: usize = 8;

/// The machine, and what stands behind its ids.
pub(crate) struct Controlled {
    inner: Mutex<ControlState>,
    /// The machine has had an input: its next timeout may be earlier.
    changed: Notify,
    budget: MemoryBudget,
}

struct ControlState {
    control: Engine,
    sessions: HashMap<SessionId, Entry>,
    dials: HashMap<DialId, CancellationToken>,
    handshakes: HashMap<HandshakeId, mpsc::Sender<HandshakeCommand>>,
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
    pub(crate) fn new(control: Engine) -> Self {
        let inner = ControlState {
            control,
            sessions: HashMap::new(),
            dials: HashMap::new(),
            handshakes: HashMap::new(),
            requests: HashMap::new(),
            last_request: 0,
            suspending: Vec::new(),
        };
        Self { inner: Mutex::new(inner), changed: Notify::new(), budget: MemoryBudget::default() }
    }

    /// All sessions.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.lock().sessions.values().map(|entry| entry.session.clone()).collect()
    }

    /// False for the copy of a message that came through another relay.
    pub(crate) fn is_first_copy(&self, from: DeviceId, message: MessageId) -> bool {
        self.lock().control.is_first_copy(from, message)
    }

    /// The relays that see a device.
    pub(crate) fn relays_seeing(&self, device: DeviceId) -> BTreeSet<usize> {
        self.lock().control.relays_seeing(device)
    }

    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ControlState {
    fn session(&self, device: DeviceId) -> Option<&Entry> {
        self.sessions.get(&self.control.session(device)?)
    }

    /// Passes a step of a handshake to its task, which has ended if it is not there.
    fn step(&mut self, id: HandshakeId, step: HandshakeStep) {
        let command = match step {
            HandshakeStep::Begin => HandshakeCommand::Begin,
            HandshakeStep::Ask => HandshakeCommand::Ask,
            HandshakeStep::Refuse => HandshakeCommand::Refuse,
            HandshakeStep::Leave => HandshakeCommand::Leave,
            HandshakeStep::Consent => {
                let expected = |entry: &Entry| entry.session.shared.lock().multipath.session.next_expected();
                let session = self.control.peer_of(id).and_then(|device| self.session(device));
                let next = session.map_or(0, expected);
                match self.control.ready(id, next) {
                    Some(ready) => HandshakeCommand::Consent(ready),
                    None => return,
                }
            }
        };
        if let Some(handshake) = self.handshakes.get(&id) {
            let _ = handshake.try_send(command);
        }
    }

    fn end(&self, session: SessionId, reason: EndReason) {
        if let Some(entry) = self.sessions.get(&session) {
            entry.session.shared.end(reason.into());
        }
    }
}

impl EngineDriver {
    /// Gives the machine an input and performs what follows.
    pub(crate) fn control<R>(self: &Arc<Self>, input: impl FnOnce(&mut Engine, Instant) -> R) -> R {
        let mut inner = self.controlled.lock();
        let result = input(&mut inner.control, self.clock.now());
        self.perform(&mut inner);
        result
    }

    /// As [`EngineDriver::control`], for an input about a device: it gets the device's level at that moment.
    pub(crate) fn control_judged<R>(
        self: &Arc<Self>,
        device: DeviceId,
        user: Option<UserId>,
        input: impl FnOnce(&mut Engine, TrustLevel, Instant) -> R,
    ) -> R {
        let (mut inner, level) = self.lock_judged(device, user);
        let result = input(&mut inner.control, level, self.clock.now());
        self.perform(&mut inner);
        result
    }

    /// The level of a device now, by its user too if its keys are known.
    pub(crate) fn level_of(&self, device: DeviceId) -> TrustLevel {
        self.lock_judged(device, None).1
    }

    /// The keys of a device: pinned, or shown by itself.
    pub(crate) fn keys_of(&self, device: DeviceId) -> Option<KnownKeys> {
        self.controlled.lock().control.keys_of(device)
    }

    /// Gives the machine the time. Never returns.
    pub(crate) async fn follow_time(self: Arc<Self>) {
        loop {
            let due = self.controlled.lock().control.poll_timeout();
            tokio::select! {
                () = self.clock.sleep_until_any(due) => self.control(Engine::handle_timeout),
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
    pub(crate) fn request(self: &Arc<Self>, device: DeviceId) -> PendingRequest {
        let (tell, answer) = oneshot::channel();
        let (mut inner, level) = self.lock_judged(device, None);
        inner.last_request += 1;
        let id = RequestId(inner.last_request);
        inner.requests.insert(id, tell);
        inner.control.request(id, device, level);
        self.perform(&mut inner);
        PendingRequest { id, engine: self.clone(), answer }
    }

    /// Begins a handshake, whose steps are sent as commands.
    pub(super) fn begin_handshake(
        self: &Arc<Self>,
        commands: mpsc::Sender<HandshakeCommand>,
        input: impl FnOnce(&mut Engine, Instant) -> HandshakeId,
    ) -> HandshakeId {
        let mut inner = self.controlled.lock();
        let id = input(&mut inner.control, self.clock.now());
        inner.handshakes.insert(id, commands);
        self.perform(&mut inner);
        id
    }

    pub(super) fn end_handshake(self: &Arc<Self>, id: HandshakeId) {
        let mut inner = self.controlled.lock();
        inner.handshakes.remove(&id);
        inner.control.end_handshake(id, self.clock.now());
        self.perform(&mut inner);
    }

    /// Makes a connection that has passed its handshake a path of its session.
    ///
    /// Returns `None`, and the connection is closed, if the peer is not let in any more, the session ended during the
    /// handshake, or the peer's READY makes no sense. The dialer then tries again.
    pub(super) fn establish(
        self: &Arc<Self>,
        id: HandshakeId,
        established: Established,
        mut transport: Transport,
    ) -> Option<Session> {
        let theirs = Resume::decode(&established.peer_ready)?;
        let (device, user) = (established.certificate.device_id(), established.certificate.user_id());
        let (mut inner, level) = self.lock_judged(device, Some(user));
        let ControlState { control, sessions, .. } = &mut *inner;
        let used = |entry: &Entry| (entry.session.device(), entry.session.shared.used());
        let used = || sessions.values().map(used).collect();
        let (now, over) = (self.clock.now(), self.over.is_cancelled());
        let join = if over { None } else { control.establish(id, theirs, level, transport.route, used, now) };
        let Some(Join { session, next, begins }) = join else {
            self.perform(&mut inner);
            tracing::info!(%device, "connection discarded");
            // Not dropped: the peer needs this side's READY to come to the same result.
            self.spawn(async move { transport.sink.close().await });
            return None;
        };
        if let Some(scope) = begins {
            let state = (inner.control.app_state(), inner.control.is_metered());
            let entry = self.begin(session, &established, scope, state);
            inner.sessions.insert(session, entry);
        }
        self.perform(&mut inner);
        let entry = inner.sessions.get(&session)?;
        // Only now: what the driver says of this path comes after that. A full queue holds as many paths as a session needs.
        let _ = entry.paths.try_send(NewPath { transport, seal: established.seal, peer_next: next });
        Some(entry.session.clone())
    }

    /// Ends all sessions without a last frame: no task is left to send it.
    pub(crate) fn abandon_sessions(self: &Arc<Self>) {
        self.control(|control, _| control.abandon());
    }

    /// The machine, locked, and the level of a device at that moment: a change of trust is either in it, or finds what the
    /// input does. Without the user neither the app's rule nor the own user's devices count.
    fn lock_judged(
        &self,
        device: DeviceId,
        user: Option<UserId>,
    ) -> (MutexGuard<'_, ControlState>, TrustLevel) {
        let mut inner = self.controlled.lock();
        loop {
            let (judgement, user) = inner.control.judge(device, user);
            let otherwise = judgement.level.unwrap_or(judgement.otherwise);
            let (None, Some(policy), Some(user)) = (judgement.level, &self.policy, user) else {
                return (inner, otherwise);
            };
            // Not under the lock: the rule is the app's code, and may call the client.
            drop(inner);
            let level = policy.trust(device, user).unwrap_or(otherwise);
            inner = self.controlled.lock();
            if inner.control.stands(judgement) {
                return (inner, level);
            }
        }
    }

    fn begin(
        self: &Arc<Self>,
        id: SessionId,
        established: &Established,
        scope: Scope,
        (app, metered): (AppState, bool),
    ) -> Entry {
        let certificate = &established.certificate;
        let peer = PeerInfo {
            device: certificate.device_id(),
            user: certificate.user_id(),
            name: certificate.name().to_owned(),
        };
        let machine = SessionMachine::new(SessionConfig {
            local: self.device_id(),
            remote: peer.device,
            groups: scope.groups,
            ungrouped: scope.ungrouped,
            budget: self.controlled.budget.clone(),
        });
        let (now, window) = (self.clock.now(), self.settings.resume_window);
        let mut paths = Paths::new(machine.leads(), self.settings.preference, window, now);
        paths.set_app_state(app, now);
        let multipath = Multipath::new(machine, paths);
        let (handlers, runtime) = (self.settings.handlers.clone(), self.runtime.clone());
        let shared = Shared::new(peer, self.clock.clone(), runtime, handlers, multipath);
        self.set_cost(&shared, metered);
        if app == AppState::Suspended {
            // Its handshake was under way as the others were suspended.
            self.instruct(&shared, SessionInput::Suspend);
        }
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

    fn perform(self: &Arc<Self>, inner: &mut ControlState) {
        while let Some(output) = inner.control.poll_output() {
            match output {
                Output::FindRelay(dial, device) => {
                    tracing::debug!(%device, "dial began");
                    let stop = CancellationToken::new();
                    inner.dials.insert(dial, stop.clone());
                    self.spawn_dial(stop, self.clone().find_relay(dial, device));
                }
                Output::FetchCertificate(dial, device) => {
                    if let Some(stop) = inner.dials.get(&dial) {
                        self.spawn_dial(stop.clone(), self.clone().fetch_certificate(dial, device));
                    }
                }
                Output::Knock(device) => self.knock(device),
                Output::Take(dial, device, way) => {
                    let epoch = inner.control.epoch_of(dial);
                    if let (Some(epoch), Some(stop)) = (epoch, inner.dials.get(&dial)) {
                        self.spawn_dial(stop.clone(), self.clone().take(dial, device, epoch, way));
                    }
                }
                Output::Stop(dial) => drop(inner.dials.remove(&dial).inspect(CancellationToken::cancel)),
                Output::Handshake(id, step) => inner.step(id, step),
                Output::Release(device) => self.release_held(device),
                Output::Visible => {
                    let visible = inner.control.visible();
                    self.relays.iter().for_each(|relay| relay.watch_devices(visible.clone()));
                }
                Output::Level(device, level) => self.note_level(device, level),
                Output::Keys(device, keys) => self.note_keys(device, keys.map(|keys| *keys)),
                Output::Welcome(device, connection) => self.welcome(device, connection),
                Output::Ask(question, applicant) => self.ask(question, &applicant),
                Output::Presence(device, true) => self.events.send(Event::Online(device)),
                Output::Presence(device, false) => self.events.send(Event::Offline(device)),
                Output::Scope(session, Scope { groups, ungrouped }) => {
                    if let Some(entry) = inner.sessions.get(&session) {
                        entry.session.shared.inspect(|s| {
                            s.multipath.session.set_groups(groups);
                            s.multipath.session.set_ungrouped(ungrouped);
                        });
                    }
                }
                Output::End(session, reason) => inner.end(session, reason),
                Output::Evict(session, device, why) => {
                    tracing::info!(%device, %why, "session evicted");
                    inner.end(session, EndReason::Evicted);
                }
                Output::Sessions(input) => {
                    inner.sessions.values().for_each(|entry| self.instruct(&entry.session.shared, input));
                }
                Output::Relays(input) => self.instruct_relays(input),
                Output::RenewNames => self.prepare_names_anew(),
                Output::Suspended => self.finish_suspension(std::mem::take(&mut inner.suspending)),
                Output::Network(change) => tracing::info!(?change, "network changed"),
                Output::Metered(metered) => {
                    tracing::info!(metered, "network cost changed");
                    self.events.send(Event::Metered(metered));
                }
                Output::Negotiation(output) => self.negotiations.perform(output),
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
pub(crate) struct PendingRequest {
    id: RequestId,
    engine: Arc<EngineDriver>,
    pub(crate) answer: oneshot::Receiver<Result<Session, DialFailure>>,
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        let mut inner = self.engine.controlled.lock();
        inner.requests.remove(&self.id);
        inner.control.cancel_request(self.id);
    }
}
