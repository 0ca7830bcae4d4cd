//! The client's handle.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peers::Client;
use tokio::sync::watch;

use crate::inbox::Inbox;
use crate::log::Logs;
use crate::runtime::{Runtime, Tasks};
use crate::session::Sessions;
use crate::{
    AppState, Cancellation, ClientConfig, ClientState, DeviceId, Event, LogRecord, NetworkSnapshot,
    PeersError, RelayState, RelayStatus, Session, TrustLevel, UserId,
};

/// Events pulled from the core at once.
const EVENTS: usize = 64;

/// This device among its peers. Made stopped; `start` connects; `shutdown` ends it for good.
#[derive(uniffi::Object)]
pub struct PeersClient {
    runtime: Runtime,
    shared: Arc<Shared>,
}

struct Shared {
    config: ClientConfig,
    stage: Mutex<Stage>,
    /// Held while starting: a second start waits for the first.
    starting: tokio::sync::Mutex<()>,
    state: watch::Sender<ClientState>,
    relays: watch::Sender<Vec<RelayStatus>>,
    events: Inbox<peers::Event>,
    source: tokio::sync::Mutex<Option<peers::Events>>,
    logs: Option<Logs>,
    sessions: Sessions,
}

enum Stage {
    Stopped,
    Running(Client),
    Closed,
}

#[uniffi::export]
impl PeersClient {
    /// A client that does nothing yet: no connection, no file.
    #[uniffi::constructor]
    pub fn new(config: ClientConfig) -> Result<Arc<Self>, PeersError> {
        let (dispatch, logs) = config.log_level.map(crate::log::log).unzip();
        let runtime = Runtime::new(dispatch)?;
        let sessions = Sessions::new(runtime.tasks().clone());
        let shared = Shared {
            config,
            stage: Mutex::new(Stage::Stopped),
            starting: tokio::sync::Mutex::new(()),
            state: watch::Sender::new(ClientState::Stopped),
            relays: watch::Sender::new(Vec::new()),
            events: Inbox::new(),
            source: tokio::sync::Mutex::new(None),
            logs,
            sessions,
        };
        Ok(Arc::new(Self { runtime, shared: Arc::new(shared) }))
    }

    /// Reads or makes the keys and begins to connect; does not wait for the relay. Does nothing when started already;
    /// may be called again when it failed.
    pub async fn start(&self, cancel: Option<Arc<Cancellation>>) -> Result<(), PeersError> {
        let (shared, tasks) = (self.shared.clone(), self.runtime.tasks().clone());
        self.runtime.tasks().run(cancel, async move { shared.start(&tasks).await }).await
    }

    /// This device's id. Fails with [`PeersError::NotStarted`] before `start`.
    pub fn device_id(&self) -> Result<DeviceId, PeersError> {
        Ok(self.shared.client()?.device_id())
    }

    /// The id of this device's user. Fails with [`PeersError::NotStarted`] before `start`.
    pub fn user_id(&self) -> Result<UserId, PeersError> {
        Ok(self.shared.client()?.user_id())
    }

    /// The state now.
    pub fn state(&self) -> ClientState {
        *self.shared.state.borrow()
    }

    /// Waits until the state differs from `seen`, and returns it; `seen` itself when cancelled, and after `shutdown`.
    pub async fn state_after(&self, seen: ClientState, cancel: Option<Arc<Cancellation>>) -> ClientState {
        if seen == ClientState::Closed {
            return seen;
        }
        let mut states = self.shared.state.subscribe();
        let changed = states.wait_for(|state| *state != seen);
        tokio::select! {
            biased;
            state = changed => state.map_or(ClientState::Closed, |state| *state),
            () = Cancellation::of(cancel) => seen,
        }
    }

    /// The address at which this device listens now: none without `listen`, before `start`, and while the app is suspended.
    pub fn listening(&self) -> Option<String> {
        let client = self.shared.client().ok()?;
        Some(client.listening()?.to_string())
    }

    /// The state of each relay, and the problem of one that is not reached, in the configuration's order. Empty before `start`.
    pub fn relays(&self) -> Vec<RelayStatus> {
        self.shared.relays.borrow().clone()
    }

    /// Waits until these differ from `seen`, and returns it; `seen` itself when cancelled, and after `shutdown`.
    pub async fn relays_after(
        &self,
        seen: Vec<RelayStatus>,
        cancel: Option<Arc<Cancellation>>,
    ) -> Vec<RelayStatus> {
        let (mut relays, mut states) = (self.shared.relays.subscribe(), self.shared.state.subscribe());
        let changed = async { relays.wait_for(|relays| *relays != seen).await.map(|relays| relays.clone()) };
        let closed = states.wait_for(|state| *state == ClientState::Closed);
        let changed = tokio::select! {
            biased;
            relays = changed => relays.ok(),
            _ = closed => None,
            () = Cancellation::of(cancel) => None,
        };
        changed.unwrap_or(seen)
    }

    /// Waits until there are events to take. False when there will be no more; before `start` it fails with
    /// [`PeersError::NotStarted`].
    pub async fn events_ready(&self, cancel: Option<Arc<Cancellation>>) -> Result<bool, PeersError> {
        let shared = self.shared.clone();
        let ready = self.runtime.tasks().run(cancel, async move { shared.pull_events().await }).await;
        // `shutdown` leaves the last events here before it ends the runtime.
        if ready == Err(PeersError::Closed) { Ok(!self.shared.events.is_empty()) } else { ready }
    }

    /// Takes up to `max` events, oldest first, without waiting.
    pub fn take_events(&self, max: u32) -> Vec<Event> {
        let events = self.shared.events.take(max as usize);
        events.into_iter().map(|event| Event::new(event, &self.shared.sessions)).collect()
    }

    /// Waits until there are log records to take. False when there will be no more, and without a log level.
    pub async fn logs_ready(&self, cancel: Option<Arc<Cancellation>>) -> Result<bool, PeersError> {
        let shared = self.shared.clone();
        let wait = async move {
            match &shared.logs {
                Some(logs) => Ok(logs.ready().await),
                None => Ok(false),
            }
        };
        let ready = self.runtime.tasks().run(cancel, wait).await;
        // What was logged on the way down is still there.
        let left = || self.shared.logs.as_ref().is_some_and(Logs::is_ready);
        if ready == Err(PeersError::Closed) { Ok(left()) } else { ready }
    }

    /// Takes up to `max` log records, oldest first, without waiting.
    pub fn take_logs(&self, max: u32) -> Vec<LogRecord> {
        self.shared.logs.as_ref().map(|logs| logs.take(max as usize)).unwrap_or_default()
    }

    /// Adds a record of the façade to the log, if its level is asked for.
    pub fn log(&self, record: LogRecord) {
        if let Some(logs) = &self.shared.logs {
            logs.write(record);
        }
    }

    /// The last 2 000 records of the log, fewer if they are long, oldest first: a line each with its time in UTC, level, module
    /// and text. Ids, addresses, hosts and names are replaced by numbers. After `shutdown` as well; empty without a log level.
    pub fn recent_log(&self) -> String {
        self.shared.logs.as_ref().map(Logs::recent).unwrap_or_default()
    }

    /// The session with a device: the one there is, or a new one. Returns when it can be used.
    pub async fn session(
        &self,
        device: DeviceId,
        cancel: Option<Arc<Cancellation>>,
    ) -> Result<Arc<Session>, PeersError> {
        let client = self.shared.client()?;
        let shared = self.shared.clone();
        let work = async move { Ok(shared.sessions.handle(client.session(device).await?)) };
        self.runtime.tasks().run(cancel, work).await
    }

    /// The sessions there are.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        let Ok(client) = self.shared.client() else { return Vec::new() };
        client.sessions().into_iter().map(|session| self.shared.sessions.handle(session)).collect()
    }

    /// Sets how far a device is trusted. From `Known` on it is connected by itself. With a store the level is on the disk when
    /// this returns.
    pub fn trust(&self, device: DeviceId, level: TrustLevel) -> Result<(), PeersError> {
        Ok(self.shared.client()?.trust(device, level)?)
    }

    /// A fact about the network, as often as the operating system has one. Fails with [`PeersError::Config`] for an address
    /// that is none.
    pub fn network_changed(&self, snapshot: NetworkSnapshot) -> Result<(), PeersError> {
        self.shared.client()?.network_changed(snapshot);
        Ok(())
    }

    /// Reports the state of the app. Suspending returns when peers and relays were notified, within two seconds.
    pub async fn set_app_state(
        &self,
        state: AppState,
        cancel: Option<Arc<Cancellation>>,
    ) -> Result<(), PeersError> {
        let client = self.shared.client()?;
        let work = async move {
            client.set_app_state(state).await;
            Ok(())
        };
        self.runtime.tasks().run(cancel, work).await
    }

    /// Notifies peers and ends everything: sessions, calls, streams, threads. May be called any number of times.
    pub async fn shutdown(&self) {
        if let Some(client) = self.shared.close() {
            let shared = self.shared.clone();
            let shutdown = async move {
                client.shutdown().await;
                shared.keep_last_events().await;
                Ok(())
            };
            // An error says that the runtime ended meanwhile, by a second shutdown.
            let _ = self.runtime.tasks().run(None, shutdown).await;
        }
        self.runtime.stop().await;
        self.shared.relays.send_modify(|relays| {
            relays.iter_mut().for_each(|relay| relay.state = RelayState::Stopped);
        });
        self.shared.state.send_replace(ClientState::Closed);
    }
}

impl Shared {
    async fn start(self: &Arc<Self>, tasks: &Tasks) -> Result<(), PeersError> {
        let _turn = self.starting.lock().await;
        match &*self.stage() {
            Stage::Stopped => {}
            Stage::Running(_) => return Ok(()),
            Stage::Closed => return Err(PeersError::Closed),
        }
        let (client, events) = self.config.clone().into_builder().await?.start().await?;
        *self.source.lock().await = Some(events);
        if !self.set_running(client.clone()) {
            client.shutdown().await;
            return Err(PeersError::Closed);
        }
        tasks.start(self.clone().follow_relays(client.clone()));
        tasks.start(self.clone().follow_state(client));
        Ok(())
    }

    /// False when it was shut down in the meantime.
    fn set_running(&self, client: Client) -> bool {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Closed) {
            return false;
        }
        self.state.send_replace(client.state().into());
        *stage = Stage::Running(client);
        true
    }

    async fn follow_state(self: Arc<Self>, client: Client) {
        let mut states = client.watch_state();
        drop(client);
        // What it became before anyone followed it counts as well.
        loop {
            let state = *states.borrow_and_update();
            self.state.send_replace(state.into());
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow_relays(self: Arc<Self>, client: Client) {
        let mut relays = client.watch_relays();
        drop(client);
        loop {
            let statuses = relays.borrow_and_update().iter().cloned().map(Into::into).collect();
            self.relays.send_replace(statuses);
            if relays.changed().await.is_err() {
                return;
            }
        }
    }

    async fn pull_events(&self) -> Result<bool, PeersError> {
        let pull = || async {
            match &mut *self.source.lock().await {
                Some(events) => Ok(events.next_many(EVENTS).await),
                None => self.client().map(|_| Vec::new()),
            }
        };
        self.events.fill(pull).await
    }

    /// The core's queue is bounded, and it ends with the core's client.
    async fn keep_last_events(&self) {
        let mut source = self.source.lock().await;
        let Some(events) = &mut *source else { return };
        loop {
            let last = events.next_many(EVENTS).await;
            if last.is_empty() {
                return;
            }
            self.events.add(last);
        }
    }

    fn client(&self) -> Result<Client, PeersError> {
        match &*self.stage() {
            Stage::Stopped => Err(PeersError::NotStarted),
            Stage::Running(client) => Ok(client.clone()),
            Stage::Closed => Err(PeersError::Closed),
        }
    }

    fn close(&self) -> Option<Client> {
        self.sessions.clear();
        match std::mem::replace(&mut *self.stage(), Stage::Closed) {
            Stage::Running(client) => Some(client),
            Stage::Stopped | Stage::Closed => None,
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogLevel;

    fn client(log_level: Option<LogLevel>) -> Arc<PeersClient> {
        PeersClient::new(ClientConfig { log_level, ..ClientConfig::default() }).unwrap()
    }

    #[tokio::test]
    async fn a_panic_on_a_clients_thread_is_in_the_logs_of_all_after_their_end() {
        let (one, other, silent) =
            (client(Some(LogLevel::Error)), client(Some(LogLevel::Info)), client(None));
        let failed = one.runtime.tasks().run::<()>(None, async { panic!("a defect") }).await;
        assert!(matches!(failed, Err(PeersError::Internal { .. })), "{failed:?}");
        assert_eq!(other.logs_ready(None).await, Ok(true));
        assert!(other.take_logs(64).iter().any(|record| record.text.ends_with(r#"message="a defect""#)));
        for client in [&one, &other, &silent] {
            client.shutdown().await;
        }
        for client in [one, other] {
            let recent = client.recent_log();
            assert!(
                recent.contains("ERROR peers_ffi::log::panics panic caught location=bindings/src/client.rs"),
                "{recent}"
            );
        }
        assert_eq!(silent.recent_log(), "");
    }
}
