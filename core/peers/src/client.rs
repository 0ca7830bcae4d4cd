//! The client: one per app.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use peers_proto::end_reason::EndReason;
use peers_proto::engine::{Engine, EngineConfig};
use peers_proto::id::{DeviceId, UserId};
use peers_proto::network::{AppState, NetworkSnapshot};
use peers_proto::trust::TrustLevel;
use peers_store::PeerStore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::builder::ClientBuilder;
use crate::clock::Clock;
use crate::engine::control::Controlled;
use crate::engine::negotiations::NegotiationDriver;
use crate::engine::{EngineDriver, Lifeline};
use crate::error::Error;
use crate::event::{self, ClientState, Events};
use crate::identity::Identity;
use crate::listen::{self, Listening};
use crate::memory::Memory;
use crate::random;
use crate::relay_address::RelayAddress;
use crate::relay_client::{RelayClient, RelayClientConfig, RelayEvent, RelayEvents, RelayStatus, RelayTask};
use crate::relays::Relays;
use crate::runtime::Runtime;
use crate::session::{Handlers, Session};

/// This device among its peers. Cheap to clone. Shut it down, or drop every clone, and everything it started ends.
///
/// The tokio runtime that it was started in runs it. Every function may be called from any thread, also from one without a
/// runtime. If that runtime is dropped, sessions end with [`Error::NoRuntime`], and so does every further call.
#[derive(Clone)]
pub struct Client {
    owner: Arc<Owner>,
}

struct Owner {
    engine: Arc<EngineDriver>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.engine.over.cancel();
        self.engine.end_sessions();
    }
}

impl Client {
    /// Begins with the settings.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    pub(crate) async fn start(builder: ClientBuilder, clock: Clock) -> Result<(Self, Events), Error> {
        let runtime = Runtime::current()?;
        let ClientBuilder { relays: urls, identity, name, mut levels, policy, handlers, store, mut settings } =
            builder;
        let memory = load(store, &runtime).await?;
        let listener = match settings.listen {
            Some(address) => Some(listen::bind(address).await?),
            None => None,
        };
        let identity = identity.unwrap_or_else(Identity::generate);
        let certificate = identity.certify(&name, clock.unix_now())?;
        let keys = Arc::new(identity.device_keys());
        let over = CancellationToken::new();
        let tasks = TaskTracker::new();
        let mut clients = Vec::new();
        let mut inputs = Vec::new();
        for relay in urls {
            let tls = relay.tls()?;
            let RelayAddress { url, token, .. } = relay;
            let config = RelayClientConfig {
                url: url.clone(),
                keys: keys.clone(),
                certificate: certificate.clone(),
                clock: clock.clone(),
                tls,
                token,
                open: settings.open,
            };
            let (client, events, task) =
                RelayClient::start(config).map_err(|e| Error::Config(format!("relay {url}: {e}")))?;
            clients.push(client);
            inputs.push((events, task));
        }
        settings.handlers = Handlers(Arc::new(handlers));
        let (state, watched) = watch::channel(ClientState::Connecting);
        let (events, receiver) = event::channel(watched);
        for (device, level) in memory.levels(clock.unix_now()) {
            // A device that was blocked stays blocked. Otherwise the app's word of today counts.
            if level <= TrustLevel::Untrusted {
                levels.insert(device, level);
            }
            levels.entry(device).or_insert(level);
        }
        let config = EngineConfig {
            local: certificate.device_id(),
            own_user: identity.user_id(),
            ways: settings.ways(),
            levels,
            pins: memory.pins(),
            groups: std::mem::take(&mut settings.groups),
            members: std::mem::take(&mut settings.members),
            open: settings.open,
        };
        let machine = Engine::new(config, random::array(), clock.now());
        let (negotiations, outputs) = NegotiationDriver::new();
        let engine = Arc::new(EngineDriver {
            settings,
            policy,
            keys,
            certificate,
            clock,
            runtime,
            state,
            events,
            controlled: Controlled::new(machine),
            relays: Relays::new(clients),
            memory,
            listening: Listening::default(),
            negotiations,
            app: watch::Sender::default(),
            tasks,
            over,
            orphaned: AtomicBool::new(false),
        });
        engine.spawn_to_its_end(Lifeline::new(engine.clone()).hold());
        engine.publish_state();
        engine.control(Engine::handle_timeout);
        engine.spawn(engine.clone().follow_time());
        engine.spawn(engine.clone().run_negotiations(outputs));
        if let Some(listener) = listener {
            engine.listening.at.send_replace(listener.local_addr().ok());
            engine.spawn(engine.clone().listen(listener));
        }
        for (relay, (events, task)) in inputs.into_iter().enumerate() {
            engine.spawn_to_its_end(engine.clone().serve_relay(relay, events, task));
        }
        for relay in engine.relays.iter() {
            engine.spawn(engine.clone().follow(relay.state()));
        }
        Ok((Self { owner: Arc::new(Owner { engine }) }, receiver))
    }

    /// This device's name in the protocol.
    pub fn device_id(&self) -> DeviceId {
        self.engine().device_id()
    }

    /// Its user's name in the protocol.
    pub fn user_id(&self) -> UserId {
        self.engine().certificate.user_id()
    }

    /// The state of its relays: whether the client can be reached.
    pub fn state(&self) -> ClientState {
        *self.engine().state.borrow()
    }

    /// Follows [`Client::state`].
    pub fn watch_state(&self) -> watch::Receiver<ClientState> {
        self.engine().state.subscribe()
    }

    /// The state of each relay, and the reason for which one is not reached, in the builder's order.
    pub fn relays(&self) -> Vec<RelayStatus> {
        self.watch_relays().borrow().clone()
    }

    /// Follows [`Client::relays`].
    pub fn watch_relays(&self) -> watch::Receiver<Vec<RelayStatus>> {
        self.engine().relays.statuses()
    }

    /// The address at which this device listens ([`ClientBuilder::listen`]). `None` without that, and while the app is suspended.
    pub fn listening(&self) -> Option<SocketAddr> {
        *self.engine().listening.at.borrow()
    }

    /// The session with a device. Connects if there is no path; returns as soon as it is usable. A device without a level of
    /// its own, and of which the trust policy says nothing, counts as [`TrustLevel::Trusted`] from now on. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Offline`], [`Error::Unreachable`], [`Error::Denied`], [`Error::Closed`], [`Error::NoRuntime`].
    pub async fn session(&self, device: DeviceId) -> Result<Session, Error> {
        self.engine().session(device).await
    }

    /// All sessions there are.
    pub fn sessions(&self) -> Vec<Session> {
        self.engine().controlled.sessions()
    }

    /// Changes how far a device is trusted. At [`TrustLevel::Untrusted`] and below its session ends at once.
    ///
    /// From [`TrustLevel::Known`] on it is connected by itself whenever it can be reached and the app is in the
    /// foreground. With a [store](ClientBuilder::store) the level is on the disk when this returns, which blocks for that long.
    ///
    /// # Errors
    /// [`Error::Store`]: the level counts until the client ends, and the next write to the store takes it too. If the store has no
    /// room for another device, only a block counts, and it is not stored. [`Error::Closed`], [`Error::NoRuntime`].
    pub fn trust(&self, device: DeviceId, level: TrustLevel) -> Result<(), Error> {
        self.engine().trust(device, level)
    }

    /// A fact about the network, as often as the operating system has one. They are acted on when they have settled for a
    /// quarter of a second: paths have to prove themselves, and on another network everything is made anew (S096).
    pub fn network_changed(&self, snapshot: NetworkSnapshot) {
        self.engine().network_changed(snapshot);
    }

    /// Sets the state of the app. A suspension asks peers to keep their sessions for an hour and closes connections; it returns
    /// when that is done, within two seconds, and no timer runs afterwards. Coming back connects at once. Data that is sent
    /// meanwhile waits.
    pub async fn set_app_state(&self, state: AppState) {
        self.engine().set_app_state(state).await;
    }

    /// Ends every session, then everything else. Afterwards every call returns [`Error::Closed`].
    pub async fn shutdown(&self) {
        let engine = self.engine();
        // First, so that no session begins after the last one was ended.
        engine.over.cancel();
        engine.end_sessions();
        engine.tasks.close();
        engine.tasks.wait().await;
        let closing = engine.clone();
        engine.runtime.run_blocking(move || closing.memory.close()).await;
        engine.listening.at.send_replace(None);
        engine.relays.refresh_statuses();
        engine.state.send_replace(ClientState::Closed);
    }

    fn engine(&self) -> &Arc<EngineDriver> {
        &self.owner.engine
    }
}

/// Reads the store where no task waits for the thread.
async fn load(store: Option<Arc<dyn PeerStore>>, runtime: &Runtime) -> Result<Memory, Error> {
    let Some(store) = store else { return Ok(Memory::default()) };
    let read = move || store.load().map(|records| Memory::new(store, records));
    Ok(runtime.run_blocking(read).await.ok_or(Error::NoRuntime)??)
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("device", &self.device_id()).field("state", &self.state()).finish()
    }
}

impl EngineDriver {
    fn end_sessions(&self) {
        for session in self.controlled.sessions() {
            session.shared.end(EndReason::Closed.into());
        }
    }

    pub(crate) fn publish_state(&self) {
        // Read under the lock, so that of two relays' changes the later state stays.
        self.state.send_if_modified(|now| {
            let relays = self.relays.state(self.clock.now());
            let state = match (*now, relays, *self.app.borrow()) {
                (ClientState::Closed, ..) => ClientState::Closed,
                // It lasts until the app comes to the front.
                (_, ClientState::Superseded, _) => ClientState::Superseded,
                (_, _, AppState::Suspended) => ClientState::Suspended,
                (_, state, AppState::Foreground | AppState::Background) => state,
            };
            std::mem::replace(now, state) != state
        });
    }

    async fn follow(self: Arc<Self>, mut relay: watch::Receiver<crate::relay_client::RelayState>) {
        loop {
            // What changed before this receiver was there counts too.
            self.publish_state();
            self.prepare_names();
            let turn = self.knows_turn();
            self.control(|control, now| control.set_turn(turn, now));
            tokio::select! {
                changed = relay.changed() => if changed.is_err() { return },
                () = self.clock.sleep_until_any(self.relays.state_timeout()) => {}
            }
        }
    }

    /// Takes what one relay brings until the client is over; then lets the relay connection end in good order.
    async fn serve_relay(self: Arc<Self>, relay: usize, mut events: RelayEvents, task: RelayTask) {
        loop {
            let event = tokio::select! {
                () = self.over.cancelled() => break,
                event = events.recv() => event,
            };
            match event {
                Some(event) => self.handle_relay(relay, event),
                None => break,
            }
        }
        // The last frames of sessions go through this relay: they end first.
        for session in self.controlled.sessions() {
            session.shared.gone().await;
        }
        task.shutdown().await;
    }

    fn handle_relay(self: &Arc<Self>, relay: usize, event: RelayEvent) {
        match event {
            RelayEvent::Incoming { mut transport, .. } if !self.settings.transports.relay => {
                self.spawn(async move { transport.sink.close().await });
            }
            RelayEvent::Incoming { peer, connection, transport } => {
                let engine = self.clone();
                self.spawn(async move {
                    if let Err(e) = engine.accept(transport, connection, Some(peer), None).await {
                        tracing::info!(%peer, error = %e, "an incoming connection failed");
                    }
                });
            }
            RelayEvent::Exchange { from, connection, message, envelopes, .. } => {
                // The same message comes through every relay both devices share.
                if self.controlled.is_first_copy(from, message) {
                    self.handle_envelopes(from, connection, envelopes);
                }
            }
            RelayEvent::Knock { from, connection, message, knock } => {
                if self.controlled.is_first_copy(from, message) {
                    self.handle_knock(from, connection, knock);
                }
            }
            RelayEvent::Presence(device, presence) => {
                self.control(|control, now| control.handle_presence(relay, device, presence, now));
            }
            RelayEvent::Rejected { code, .. } => tracing::info!(?code, "a relay refused a message"),
        }
    }
}
