//! QUIC's share of a peer connection's sockets (RFC 9443): datagrams beside the stack's, to and from the nominated pair.
//!
//! ```text
//!                    ┌─ STUN, DTLS, TURN ──> the stack
//!  Socket (one) ─────┤
//!   reads, sorts     └─ QUIC from the pair ─> DatagramLane (at most one)
//! ```
//!
//! The socket belongs to the stack, whose driver polls it: a lane holds it weakly and ends with it.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use peers_proto::limits;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::socket::IceSocket;

/// The reason for which there is no lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// ICE has nominated no pair, or the connection has ended.
    #[error("no nominated pair")]
    NotConnected,
    /// The pair runs through a TURN server, so the peer cannot be reached from the socket itself.
    #[error("relayed")]
    Relayed,
    /// Somebody has the lane.
    #[error("taken")]
    Taken,
}

/// Datagrams of another protocol on the nominated pair. Their first byte must be one of QUIC's: 64 to 127, or 192 to 255.
#[derive(Debug)]
pub struct DatagramLane {
    socket: Weak<IceSocket>,
    peer: SocketAddr,
    arrived: mpsc::Receiver<Bytes>,
}

impl DatagramLane {
    pub(super) fn open(socket: &Arc<IceSocket>, peer: SocketAddr) -> Result<Self, LaneError> {
        let (queue, arrived) = mpsc::channel(limits::LANE_QUEUE);
        socket.lane.take_over(LaneEnd { peer, queue })?;
        Ok(Self { socket: Arc::downgrade(socket), peer, arrived })
    }

    /// Sends `contents`, cut into datagrams of `segment_size` bytes (the last may be shorter) or as one.
    ///
    /// # Errors
    /// `WouldBlock` while the socket's buffer is full (see [`Self::writable`]), `NotConnected` when the connection has
    /// ended, `InvalidInput` for a first byte that is not QUIC's, and what the system says.
    pub fn try_send(&self, contents: &[u8], segment_size: Option<usize>) -> io::Result<()> {
        self.socket()?.send_beside(self.peer, contents, segment_size)
    }

    /// Waits until [`Self::try_send`] may succeed.
    ///
    /// # Errors
    /// `NotConnected` when the connection has ended.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket()?.writable().await
    }

    /// The next datagram from the peer; `None` when the connection has ended. Cancel safe. Beyond
    /// [`limits::LANE_QUEUE`] waiting datagrams further ones are dropped and counted.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.arrived.recv().await
    }

    fn socket(&self) -> io::Result<Arc<IceSocket>> {
        self.socket.upgrade().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

/// The socket's end of its lane.
#[derive(Debug)]
struct LaneEnd {
    peer: SocketAddr,
    queue: mpsc::Sender<Bytes>,
}

/// A socket's queue of QUIC's datagrams.
#[derive(Debug, Default)]
pub(super) struct LaneSlot(Mutex<Option<LaneEnd>>);

/// The result of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    Taken,
    /// The lane's reader is too slow.
    Full,
    /// There is no lane, or the datagram is not from its peer.
    Refused,
}

impl LaneSlot {
    fn take_over(&self, end: LaneEnd) -> Result<(), LaneError> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|end| !end.queue.is_closed()) {
            return Err(LaneError::Taken);
        }
        *slot = Some(end);
        Ok(())
    }

    pub(super) fn offer(&self, datagram: &[u8], from: SocketAddr) -> Offered {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Not `==`: an IPv6 address of the system's has a scope that one from a candidate lacks.
        let same = |end: &&LaneEnd| (end.peer.ip(), end.peer.port()) == (from.ip(), from.port());
        let Some(end) = slot.as_ref().filter(same) else { return Offered::Refused };
        match end.queue.try_send(Bytes::copy_from_slice(datagram)) {
            Ok(()) => Offered::Taken,
            Err(TrySendError::Full(_)) => Offered::Full,
            Err(TrySendError::Closed(_)) => Offered::Refused,
        }
    }
}
