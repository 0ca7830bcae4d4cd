//! The broker behind its lock, and who to wake when it has output.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use peers_proto::id::DeviceId;
use peers_proto::signaling::{Challenge, ErrorCode, RegistrationError};
use peers_proto::time::{Instant, UnixTime};
use tokio::sync::{Notify, Semaphore};

use super::App;
use super::comings::{Coming, ComingsLog};
use super::refusals::{Refusal, Refusals};
use crate::broker::{Broker, Inbound, Outbound, Proof, Refused, SocketId, Stats, shrink};

/// Bytes of an idle device, roughly: see core/docs/relay.md.
const SOCKET: u64 = 4 << 10;
/// Bytes that are given back to the system at once: a look through the whole heap takes milliseconds.
const WORTH_TRIMMING: u64 = 4 << 20;
/// Bytes by which a relay may shrink from one look to the next and count as settled.
const SETTLED: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct ServerShared {
    state: Mutex<ServerState>,
    refusals: Refusals,
    comings: ComingsLog,
    started: std::time::Instant,
    closed: Notify,
    /// Registrations verified at once: half the cores, so that a flood of them leaves the other half to those who
    /// are registered.
    pub(super) verifications: Semaphore,
}

/// Signals of the broker to one connection's task.
#[derive(Debug, Default)]
pub(super) struct ConnectionSignals {
    /// There is output.
    pub(super) wake: Notify,
    /// The connection ends.
    pub(super) cut: Notify,
    /// The device that has registered at it.
    device: OnceLock<DeviceId>,
}

#[derive(Debug)]
struct ServerState {
    broker: Broker,
    connections: HashMap<SocketId, Arc<ConnectionSignals>>,
    /// The most the broker held since memory was last given back to the system.
    most_held: u64,
    /// The bytes it held when that was last looked at.
    held: u64,
}

impl ServerState {
    fn wake(&mut self) {
        while let Some(id) = self.broker.poll_output() {
            if let Some(signals) = self.connections.get(&id) {
                signals.wake.notify_one();
            }
        }
        while let Some(id) = self.broker.poll_cut() {
            if let Some(signals) = self.connections.get(&id) {
                signals.cut.notify_one();
            }
        }
    }

    /// True if so much was freed that some can go back to the system.
    fn give_back(&mut self) -> bool {
        shrink(&mut self.connections);
        let stats = self.broker.stats();
        let held = stats.sockets * SOCKET + stats.message_bytes + stats.relay_queued_bytes;
        self.most_held = self.most_held.max(held);
        let worth = self.most_held - held >= WORTH_TRIMMING;
        // Once more after the last of a crowd has left.
        if worth && self.held <= held + SETTLED {
            self.most_held = held;
        }
        self.held = held;
        worth
    }
}

/// The allocator keeps what is freed, for as long as anything lives behind it; only this makes it look for whole pages.
fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: It takes a number and has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

impl ServerShared {
    pub(super) fn new(broker: Broker) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            state: Mutex::new(ServerState { broker, connections: HashMap::new(), most_held: 0, held: 0 }),
            refusals: Refusals::default(),
            comings: ComingsLog::default(),
            started: std::time::Instant::now(),
            closed: Notify::new(),
            verifications: Semaphore::new((cores / 2).max(1)),
        }
    }

    /// A new connection.
    pub(super) fn accept(&self, ip: IpAddr) -> Result<(SocketId, Arc<ConnectionSignals>), Refused> {
        let mut state = self.lock();
        let id = state.broker.handle_accept(ip)?;
        let signals = Arc::new(ConnectionSignals::default());
        state.connections.insert(id, signals.clone());
        state.wake();
        Ok((id, signals))
    }

    /// The connection is a WebSocket now.
    pub(super) fn open(&self, id: SocketId, ip: IpAddr, challenge: Challenge) -> Result<(), Refused> {
        let now = self.now();
        let mut state = self.lock();
        let open = state.broker.handle_open(id, ip, challenge, now);
        state.wake();
        drop(state);
        open.inspect_err(|refused| self.refusals.handle(&Refusal::Socket(refused), now))
    }

    /// The challenge a registration has to answer, and when it may be verified.
    pub(super) fn registering(&self, id: SocketId) -> Option<(Challenge, Instant)> {
        let now = self.now();
        let mut state = self.lock();
        let registering = state.broker.handle_registering(id, now);
        state.wake();
        drop(state);
        registering.inspect_err(|refused| self.refusals.handle(&Refusal::Socket(refused), now)).ok()
    }

    pub(super) fn registered(&self, id: SocketId, proof: Result<Proof, RegistrationError>) {
        let (now, unix) = (self.now(), unix_now());
        if let Err(error) = &proof {
            self.refusals.handle(&Refusal::Registration(error), now);
        }
        let device = proof.as_ref().ok().map(Proof::device_id);
        let mut state = self.lock();
        let refused = state.broker.handle_registration(id, proof, unix);
        state.wake();
        let registered = device.filter(|device| state.broker.socket_of(*device) == Some(id));
        let first = registered.filter(|device| {
            state.connections.get(&id).is_some_and(|signals| signals.device.set(*device).is_ok())
        });
        drop(state);
        if let Some(device) = first {
            self.comings.handle(device, Coming::Registered, now);
        }
        if let (Some(ErrorCode::NotAdmitted), Some(device)) = (refused, device) {
            self.refusals.handle(&Refusal::NotAdmitted(device), now);
        }
    }

    pub(super) fn message(&self, id: SocketId, message: Inbound) -> Option<Instant> {
        let (now, unix) = (self.now(), unix_now());
        let mut state = self.lock();
        let wait = state.broker.handle_message(id, message, now, unix);
        state.wake();
        wait
    }

    pub(super) fn close(&self, id: SocketId) {
        let mut state = self.lock();
        let device = state.connections.remove(&id).and_then(|signals| signals.device.get().copied());
        state.broker.handle_closed(id);
        state.wake();
        let is_here = device.is_some_and(|device| state.broker.socket_of(device).is_some());
        drop(state);
        if let Some(device) = device {
            let coming = if is_here { Coming::Superseded } else { Coming::Left };
            self.comings.handle(device, coming, self.now());
        }
        self.closed.notify_one();
    }

    pub(super) fn stalled(&self, id: SocketId) {
        let mut state = self.lock();
        state.broker.handle_stalled(id);
        state.wake();
    }

    pub(super) fn take_output(&self, id: SocketId, bytes: usize) -> Vec<Outbound> {
        let mut batch = Vec::new();
        self.lock().broker.take_output(id, bytes, &mut batch);
        batch
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().broker.stats()
    }

    pub(super) fn shut_down(&self) {
        let mut state = self.lock();
        state.broker.handle_shutdown();
        state.wake();
    }

    /// Resolves after a socket closed since the last call. For one caller at a time.
    pub(super) async fn socket_closed(&self) {
        self.closed.notified().await;
    }

    /// From the relay's clock to tokio's.
    pub(super) fn at(&self, at: Instant) -> tokio::time::Instant {
        (self.started + at.saturating_since(Instant::ZERO)).into()
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, ServerState> {
        // A panic under the lock would be a bug; the rest of the relay is better than none.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the broker's timeouts, for ever.
pub(super) async fn sweep(app: Arc<App>) {
    let shared = &app.shared;
    loop {
        let (next, worth_trimming) = {
            let now = shared.now();
            let mut state = shared.lock();
            state.broker.handle_timeout(now);
            state.wake();
            let worth_trimming = state.give_back();
            (state.broker.poll_timeout(), worth_trimming)
        };
        if worth_trimming {
            trim();
        }
        tokio::time::sleep_until(shared.at(next)).await;
    }
}

fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}
