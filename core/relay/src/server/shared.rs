//! The broker behind its lock, and who to wake when it has output.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use peers_proto::signaling::NONCE_LEN;
use peers_proto::time::{Instant, UnixTime};
use tokio::sync::Notify;

use crate::broker::{Broker, Inbound, Outbound, Refused, SocketId, Stats};

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    started: std::time::Instant,
    closed: Notify,
}

#[derive(Debug)]
struct State {
    broker: Broker,
    writers: HashMap<SocketId, Arc<Notify>>,
}

impl State {
    fn wake(&mut self) {
        while let Some(id) = self.broker.poll_output() {
            if let Some(writer) = self.writers.get(&id) {
                writer.notify_one();
            }
        }
    }
}

impl Shared {
    pub(super) fn new(broker: Broker) -> Self {
        Self {
            state: Mutex::new(State { broker, writers: HashMap::new() }),
            started: std::time::Instant::now(),
            closed: Notify::new(),
        }
    }

    /// A new socket, and what wakes its writer.
    pub(super) fn open(
        &self,
        ip: IpAddr,
        host: Option<&str>,
        nonce: [u8; NONCE_LEN],
    ) -> Result<(SocketId, Arc<Notify>), Refused> {
        let now = self.now();
        let mut state = self.lock();
        let id = state.broker.handle_open(ip, host, nonce, now)?;
        let writer = Arc::new(Notify::new());
        state.writers.insert(id, writer.clone());
        state.wake();
        Ok((id, writer))
    }

    pub(super) fn message(&self, id: SocketId, message: Inbound) -> Option<Instant> {
        let (now, unix) = (self.now(), unix_now());
        let mut state = self.lock();
        let wait = state.broker.handle_message(id, message, now, unix);
        state.wake();
        wait
    }

    pub(super) fn close(&self, id: SocketId) {
        let now = self.now();
        let mut state = self.lock();
        state.writers.remove(&id);
        state.broker.handle_closed(id, now);
        state.wake();
        drop(state);
        self.closed.notify_one();
    }

    pub(super) fn stalled(&self, id: SocketId) {
        let now = self.now();
        let mut state = self.lock();
        state.broker.handle_stalled(id, now);
        state.wake();
    }

    pub(super) fn take_output(&self, id: SocketId, bytes: usize, batch: &mut Vec<Outbound>) {
        self.lock().broker.take_output(id, bytes, batch);
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().broker.stats()
    }

    pub(super) fn shut_down(&self) {
        let now = self.now();
        let mut state = self.lock();
        state.broker.handle_shutdown(now);
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock would be a bug; the rest of the relay is better than none.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the broker's timeouts, for ever.
pub(super) async fn sweep(shared: Arc<Shared>) {
    loop {
        let next = {
            let now = shared.now();
            let mut state = shared.lock();
            state.broker.handle_timeout(now);
            state.wake();
            state.broker.poll_timeout()
        };
        tokio::time::sleep_until(shared.at(next)).await;
    }
}

fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}
