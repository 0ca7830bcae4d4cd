//! The stack's runtime: tokio, with our own UDP sockets. One instance per peer connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use peers_proto::{limits, timing};
use tokio::sync::Notify;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

use super::counters::Counters;
use super::kick::Kick;
use super::life::Life;
use super::record::Records;
use super::rest::Rest;
use super::socket::Socket;
use crate::transport::CloseReason;

/// What the sockets of one peer connection share with the rest of it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) counters: Arc<Counters>,
    pub(super) kick: Kick,
    pub(super) life: Life,
    pub(super) rest: Rest,
    /// Tells, without memory, that the driver has come round: acknowledgements that had arrived are counted.
    pub(super) rounds: Notify,
    /// The stack's sockets, which ICE restarts replace. The stack alone keeps them open.
    sockets: Mutex<Vec<Weak<Socket>>>,
    handshake_records: AtomicU64,
    opened: AtomicBool,
}

impl Shared {
    pub(super) fn new(life: Life) -> Self {
        let counters = Arc::<Counters>::default();
        let kick = Kick::new(counters.clone());
        Self {
            counters,
            kick,
            life,
            rest: Rest::default(),
            rounds: Notify::new(),
            sockets: Mutex::default(),
            handshake_records: AtomicU64::new(0),
            opened: AtomicBool::new(false),
        }
    }

    /// The socket bound to `local`.
    pub(super) fn socket(&self, local: SocketAddr) -> Option<Arc<Socket>> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.iter().filter_map(Weak::upgrade).find(|socket| socket.is_at(local))
    }

    fn keep(&self, socket: &Arc<Socket>) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(socket));
    }

    /// The data channel is open.
    pub(super) fn open(&self) {
        self.opened.store(true, Ordering::Relaxed);
        self.kick.opened();
    }

    /// Counts received DTLS records, and says whether their datagram may pass.
    pub(super) fn admit_records(&self, records: Records) -> bool {
        self.watch(&records);
        if records.handshake == 0 {
            return true;
        }
        let before = self.handshake_records.fetch_add(records.handshake, Ordering::Relaxed);
        let admitted = before + records.handshake <= limits::MAX_DTLS_HANDSHAKE_RECORDS;
        if !admitted {
            self.counters.handshake_records_dropped.add(records.handshake);
        }
        admitted
    }

    /// Looks at DTLS records on their way out.
    pub(super) fn sending(&self, records: &Records) {
        self.watch(records);
    }

    /// The stack gives up at a fatal alert without telling anybody.
    fn watch(&self, records: &Records) {
        if records.fatal_alert && !self.opened.load(Ordering::Relaxed) {
            self.life.end(CloseReason::Network("DTLS handshake failed".into()));
        }
    }
}

#[derive(Debug)]
pub(super) struct TunedRuntime {
    inner: TokioRuntime,
    shared: Arc<Shared>,
}

impl TunedRuntime {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { inner: TokioRuntime, shared }
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Runtime for TunedRuntime {
    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = Arc::new(Socket::new(socket, self.shared.clone())?);
        self.shared.keep(&socket);
        Ok(socket)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        // The driver waits here with everything else it has to do.
        Box::pin(async move {
            let resolved = tokio::time::timeout(timing::ICE_RESOLVE, self.inner.resolve_host(host)).await;
            resolved.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn(future)
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.inner.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(&'a self, to: SocketAddr) -> BoxFuture<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        self.inner.connect_tcp(to)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let shared = self.shared.clone();
        shared.counters.passes.add(1);
        Box::pin(async move {
            let duration = shared.rest.stretched(duration, &shared.counters).await;
            tokio::time::sleep(duration).await;
        })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }

    fn yield_now(&self) -> BoxFuture<'static, ()> {
        self.inner.yield_now()
    }

    fn name(&self) -> &'static str {
        "peers"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(records: u64) -> Records {
        Records { handshake: records, fatal_alert: false }
    }

    #[test]
    fn a_flood_of_handshake_records_is_capped_and_data_still_passes() {
        let shared = Shared::new(Life::new());
        let admitted = (0..10_000).filter(|_| shared.admit_records(handshake(1))).count() as u64;
        assert_eq!(admitted, limits::MAX_DTLS_HANDSHAKE_RECORDS);
        assert_eq!(shared.counters.snapshot().handshake_records_dropped, 10_000 - admitted);
        assert!(shared.admit_records(handshake(0)));
    }

    #[test]
    fn a_forged_alert_cannot_end_an_open_connection() {
        let alert = || Records { handshake: 0, fatal_alert: true };
        let open = Shared::new(Life::new());
        open.open();
        open.admit_records(alert());
        assert_eq!(open.life.reason(), None);
        let opening = Shared::new(Life::new());
        opening.sending(&alert());
        assert!(matches!(opening.life.reason(), Some(CloseReason::Network(_))));
    }
}
