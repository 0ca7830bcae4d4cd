//! The stack's runtime: tokio, with our own UDP sockets. One instance per peer connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use peers_proto::time::Instant;
use tokio::sync::Notify;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

use super::addresses::{self, SocketPlaces};
use super::chunk::Chunks;
use super::counters::Counters;
use super::gate::Gate;
use super::kick::Kick;
use super::names::Names;
use super::pace::{CheckPace, Pair};
use super::record::{self, RecordKind};
use super::rest::Rest;
use super::settings::CHANNEL_ID;
use super::socket::IceSocket;
use super::stun::{self, StunMessage};
use super::turn::{Accounts, TurnRefusal};
use crate::clock::Clock;
use crate::transport::CloseReason;
use crate::transport::closed::Closed;

/// State that the sockets of one peer connection share with the rest of it.
#[derive(Debug)]
pub(super) struct ConnectionShared {
    pub(super) counters: Arc<Counters>,
    pub(super) kick: Kick,
    pub(super) closed: Closed,
    pub(super) rest: Rest,
    /// Tells, without memory, that the driver has come round: acknowledgements that had arrived are counted.
    pub(super) rounds: Notify,
    /// The stack's sockets, which ICE restarts replace. The stack alone keeps them open.
    sockets: Mutex<Vec<Weak<IceSocket>>>,
    gate: Mutex<Gate>,
    pace: Mutex<CheckPace>,
    places: SocketPlaces,
    pub(super) accounts: Accounts,
    /// The code of a TURN server that refused an allocation, or 0.
    refused: AtomicU16,
    chunks: Mutex<Chunks>,
    /// Messages taken from the data channel.
    delivered: AtomicU64,
    opened: AtomicBool,
}

impl ConnectionShared {
    pub(super) fn new(closed: Closed, places: SocketPlaces, accounts: Accounts) -> Self {
        let counters = Arc::<Counters>::default();
        let kick = Kick::new(counters.clone());
        Self {
            counters,
            kick,
            closed,
            rest: Rest::default(),
            rounds: Notify::new(),
            sockets: Mutex::default(),
            gate: Mutex::default(),
            pace: Mutex::default(),
            places,
            accounts,
            refused: AtomicU16::new(0),
            chunks: Mutex::new(Chunks::new(CHANNEL_ID)),
            delivered: AtomicU64::new(0),
            opened: AtomicBool::new(false),
        }
    }

    /// The socket bound to `local`.
    pub(super) fn socket(&self, local: SocketAddr) -> Option<Arc<IceSocket>> {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.iter().filter_map(Weak::upgrade).find(|socket| socket.is_at(local))
    }

    fn keep(&self, socket: &Arc<IceSocket>) {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(socket));
    }

    /// The pair in use has the socket at `local`, and the address `relayed` at a TURN server if one forwards for this side.
    /// Everything else is closed.
    pub(super) fn settle(&self, local: SocketAddr, relayed: Option<SocketAddr>) {
        let sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let sockets: Vec<_> = sockets.iter().filter_map(Weak::upgrade).collect();
        if sockets.iter().any(|socket| socket.is_at(local)) {
            sockets.iter().for_each(|socket| socket.settle(socket.is_at(local), relayed));
            self.places.keep(1);
        }
    }

    /// A TURN server refuses an allocation.
    pub(super) fn turn_refused(&self, code: u16) {
        tracing::info!(code, "TURN server refused");
        self.refused.store(code, Ordering::Relaxed);
    }

    /// The latest refusal of a TURN server.
    pub(super) fn turn_refusal(&self) -> Option<TurnRefusal> {
        Some(self.refused.load(Ordering::Relaxed)).filter(|code| *code != 0).map(TurnRefusal)
    }

    /// The peer's check has arrived at the socket at `local`.
    pub(super) fn heard_check(&self, local: SocketAddr, from: SocketAddr) {
        let pair = Pair { local, through: None, peer: (from.ip(), from.port()) };
        self.pace().heard(pair, Clock::system().now());
    }

    /// Says whether a STUN message of the stack may leave now.
    pub(super) fn may_leave(&self, local: SocketAddr, datagram: &[u8], to: SocketAddr) -> bool {
        let Some(message) = StunMessage::read(datagram) else { return true };
        let (check, through, peer) = match message.wrapped() {
            Some((peer, inner)) => (StunMessage::read(inner), Some((to.ip(), to.port())), peer),
            None => (Some(message), None, to),
        };
        // A nomination concerns one pair, which has answered.
        if !check.is_some_and(|check| check.is_check() && !check.nominates()) {
            return true;
        }
        let routed = || through.is_some() || addresses::towards(peer.ip()) == Some(local.ip());
        let pair = Pair { local, through, peer: (peer.ip(), peer.port()) };
        self.pace().admit(pair, routed, Clock::system().now())
    }

    fn pace(&self) -> MutexGuard<'_, CheckPace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data channel is open.
    pub(super) fn open(&self) {
        self.opened.store(true, Ordering::Relaxed);
        self.kick.opened();
    }

    pub(super) fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a datagram of the stack. It gives up with a fatal alert, without telling this side.
    pub(super) fn sending(&self, datagram: &[u8], to: SocketAddr) {
        let opened = self.opened.load(Ordering::Relaxed);
        // Once data flows there is nothing to learn but which TURN servers are in use.
        if opened && record::classify(datagram) != RecordKind::Stun {
            return;
        }
        if !opened && stun::wrapped(datagram).is_some_and(|inner| record::classify(inner) == RecordKind::Dtls)
        {
            self.kick.relayed();
        }
        if self.gate().sending(datagram, to) && !opened {
            self.closed.set(CloseReason::Network("DTLS handshake failed".into()));
        }
    }

    /// A message was taken from the data channel.
    pub(super) fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.kick.delivered();
    }

    /// Says whether the stack may see an SCTP packet of the peer. One that may not ends the connection.
    pub(super) fn admit_packet(&self, packet: &[u8], now: Instant) -> bool {
        let delivered = self.delivered.load(Ordering::Relaxed);
        let mut chunks = self.chunks.lock().unwrap_or_else(PoisonError::into_inner);
        let judged = chunks.judge(packet, delivered, now);
        if let Err(violation) = judged {
            self.closed.set(CloseReason::Protocol(violation));
        }
        judged.is_ok()
    }
}

#[derive(Debug)]
pub(super) struct TunedRuntime {
    inner: TokioRuntime,
    shared: Arc<ConnectionShared>,
    names: Names,
}

impl TunedRuntime {
    pub(super) fn new(shared: Arc<ConnectionShared>, names: Names) -> Self {
        Self { inner: TokioRuntime, shared, names }
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Runtime for TunedRuntime {
    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = Arc::new(IceSocket::new(socket, self.shared.clone())?);
        self.shared.keep(&socket);
        Ok(socket)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        // The driver waits here with everything else it has to do.
        Box::pin(async move {
            let found = self.names.resolve(host).await;
            tracing::debug!(found = found.as_ref().map_or(0, Vec::len), "ICE server resolved");
            found
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

    #[cfg_attr(
        not(test),
        expect(clippy::disallowed_methods, reason = "the stack reads the clock that stands still meanwhile")
    )]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let shared = self.shared.clone();
        shared.counters.passes.add(1);
        shared.kick.rounded();
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

    fn shared() -> ConnectionShared {
        ConnectionShared::new(Closed::default(), SocketPlaces::take(), Accounts::default())
    }

    #[test]
    fn the_stack_giving_up_ends_an_attempt_and_no_open_connection() {
        let alert = record::tests::record(record::ALERT, 0, &[2, 40]);
        let to = ([192, 0, 2, 1], 5000).into();
        let open = shared();
        open.open();
        open.sending(&alert, to);
        assert_eq!(open.closed.reason(), None);
        let opening = shared();
        opening.sending(&alert, to);
        assert!(matches!(opening.closed.reason(), Some(CloseReason::Network(_))));
    }

    #[test]
    fn a_packet_that_breaks_the_protocol_ends_the_connection() {
        let shared = shared();
        assert!(!shared.admit_packet(b"no packet", Instant::ZERO));
        assert!(matches!(shared.closed.reason(), Some(CloseReason::Protocol(_))));
    }
}
