//! The UDP socket the stack reads and writes. It sorts what arrives by its first byte, so that a lane may share the port.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use peers_proto::limits;
use tokio::io::Interest;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::batch::{Batch, WouldBlock};
use super::gate::Gate;
use super::kick::{self, SYNTHETIC};
use super::lane::{LaneSlot, Offered};
use super::record::{self, Kind};
use super::runtime::Shared;

#[derive(Debug)]
pub(super) struct Socket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    outgoing: Mutex<Batch>,
    /// The driver's poll of this socket: datagrams are held until it comes back to it.
    reader: AtomicWaker,
    pub(super) lane: LaneSlot,
    shared: Arc<Shared>,
}

impl Socket {
    pub(super) fn new(socket: std::net::UdpSocket, shared: Arc<Shared>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Best effort: the system may cap or refuse them, and then only bulk is slower.
        let options = socket2::SockRef::from(&socket);
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = options.set_send_buffer_size(SOCKET_BUFFER);
        let io = tokio::net::UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new(UdpSockRef::from(&io))?;
        Ok(Self {
            io,
            state,
            outgoing: Mutex::default(),
            reader: AtomicWaker::new(),
            lane: LaneSlot::default(),
            shared,
        })
    }

    /// Sends a lane's datagrams, past the stack's own queue.
    pub(super) fn send_beside(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let mut datagrams = contents.chunks(segment_size.unwrap_or(contents.len()).max(1));
        if contents.is_empty() || !datagrams.all(record::may_be_quic) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.send_now(&Transmit { destination, ecn: None, contents, segment_size, src_ip: None })
    }

    pub(super) fn is_at(&self, local: SocketAddr) -> bool {
        self.io.local_addr().is_ok_and(|bound| (bound.ip(), bound.port()) == (local.ip(), local.port()))
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Sends the held datagrams. While the socket buffer is full they stay, and `cx` is woken when it is not.
    fn poll_flush(&self, cx: &mut Context<'_>, batch: &mut Batch) -> Poll<io::Result<()>> {
        while !batch.is_empty() {
            ready!(self.io.poll_send_ready(cx))?;
            match self.flush_now(batch) {
                Ok(()) => {}
                // `try_io` cleared the readiness, so the next round registers the waker.
                Err(WouldBlock) => self.shared.counters.send_waits.add(1),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn flush_now(&self, batch: &mut Batch) -> Result<(), WouldBlock> {
        let refused = batch.flush(|destination, contents, segment_size| {
            self.send_now(&Transmit { destination, ecn: None, contents, segment_size, src_ip: None })
        })?;
        self.shared.counters.send_errors.add(refused);
        Ok(())
    }

    fn send_now(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.io.try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.io), transmit))?;
        let size = transmit.contents.len();
        let datagrams = size.div_ceil(transmit.segment_size.unwrap_or(size).max(1));
        self.shared.counters.datagrams_sent.add(datagrams as u64);
        Ok(())
    }

    fn outgoing(&self) -> MutexGuard<'_, Batch> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the stack may see of a received buffer, closing the gaps. Returns the bytes left.
    fn sift(&self, buffer: &mut [u8], meta: &RecvMeta) -> usize {
        let (step, mut kept) = (meta.stride.max(1), 0);
        self.shared.counters.datagrams_received.add(meta.len.div_ceil(step) as u64);
        let mut gate = self.shared.gate();
        for start in (0..meta.len).step_by(step) {
            let end = (start + step).min(meta.len);
            if buffer.get(start..end).is_some_and(|datagram| self.admit(&mut gate, datagram, meta.addr)) {
                if kept != start {
                    buffer.copy_within(start..end, kept);
                }
                kept += end - start;
            }
        }
        kept
    }

    /// Says whether the stack may see a datagram. The others go to the lane, or nowhere.
    fn admit(&self, gate: &mut Gate, datagram: &[u8], from: SocketAddr) -> bool {
        let counters = &self.shared.counters;
        let kind = record::classify(datagram);
        if matches!(kind, Kind::ChannelData | Kind::Quic) {
            match self.lane.offer(datagram, from) {
                Offered::Taken => return false,
                Offered::Full => {
                    counters.lane_datagrams_dropped.add(1);
                    return false;
                }
                // Not from the lane's peer, so from a TURN server.
                Offered::Refused => {}
            }
        }
        let admitted = gate.admit(datagram, from);
        match kind {
            // ICE keeps its own pace: hurried, it takes a pair through TURN before the direct one has answered.
            Kind::Dtls if admitted => self.shared.kick.received(),
            _ if admitted => {}
            Kind::Dtls => counters.dtls_refused.add(1),
            Kind::Stun => counters.stun_refused.add(1),
            _ => counters.datagrams_refused.add(1),
        }
        admitted
    }
}

impl AsyncUdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    fn max_gso_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let size = transmit.contents.len();
        let mut batch = self.outgoing();
        self.shared.sending(transmit.contents, transmit.destination);
        let whole = transmit.segment_size.is_some();
        if whole || !batch.fits(transmit.destination, transmit.contents, self.state.max_gso_segments()) {
            ready!(self.poll_flush(cx, &mut batch))?;
        }
        // The driver's own batches are complete; single datagrams wait for its return to `poll_recv`.
        if whole && self.send_now(transmit).is_ok() {
            return Poll::Ready(Ok(size));
        }
        let datagrams = transmit.contents.chunks(transmit.segment_size.unwrap_or(size).max(1));
        datagrams.for_each(|datagram| batch.push(transmit.destination, datagram));
        self.reader.wake();
        Poll::Ready(Ok(size))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if !kick::is_probe(cx) {
            self.reader.register(cx.waker());
            self.shared.rounds.notify_waiters();
            let mut batch = self.outgoing();
            if let Poll::Ready(Err(e)) = self.poll_flush(cx, &mut batch) {
                return Poll::Ready(Err(e));
            }
        }
        if self.shared.kick.take(cx) {
            return synthetic(bufs, meta);
        }
        loop {
            match self.io.poll_recv_ready(cx) {
                Poll::Pending if self.shared.kick.take_granted(cx) => return synthetic(bufs, meta),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(ready) => ready?,
            }
            // One buffer: the driver offers no more, and its batches come from GRO.
            let (Some(buffer), Some(meta)) = (bufs.get_mut(..1), meta.get_mut(..1)) else {
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            };
            match self
                .io
                .try_io(Interest::READABLE, || self.state.recv(UdpSockRef::from(&self.io), buffer, meta))
            {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) => return Poll::Ready(Err(e)),
            }
            let (Some(buffer), Some(meta)) = (buffer.first_mut(), meta.first_mut()) else { continue };
            let kept = self.sift(buffer, meta);
            if kept > 0 {
                meta.len = kept;
                meta.stride = meta.stride.max(1);
                return Poll::Ready(Ok(1));
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The driver's last words (close_notify, the release of a TURN allocation) are still held.
        let batch = self.outgoing.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut batch = std::mem::take(batch);
        let _ = self.flush_now(&mut batch);
    }
}

fn synthetic(bufs: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> Poll<io::Result<usize>> {
    let (Some(buffer), Some(meta)) =
        (bufs.first_mut().and_then(|b| b.get_mut(..SYNTHETIC.len())), meta.first_mut())
    else {
        return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
    };
    buffer.copy_from_slice(&SYNTHETIC);
    *meta = RecvMeta::default();
    meta.addr = NOBODY;
    meta.len = SYNTHETIC.len();
    meta.stride = SYNTHETIC.len();
    Poll::Ready(Ok(1))
}

/// Where synthetic datagrams seem to come from: the discard port.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// The default of most systems (208 KiB) loses datagrams in bulk.
const SOCKET_BUFFER: usize = limits::WEBRTC_MAX_WINDOW;
