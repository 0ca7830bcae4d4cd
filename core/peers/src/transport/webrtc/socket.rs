//! The UDP socket the stack reads and writes. It sorts what arrives by its first byte, so that a lane may share the port.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use futures_util::task::AtomicWaker;
use peers_proto::limits;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::addresses;
use super::batch::{Batch, WouldBlock};
use super::gate::Gate;
use super::kick::{self, SYNTHETIC};
use super::lane::{LaneSlot, Offered};
use super::record::{self, RecordKind};
use super::runtime::ConnectionShared;
use super::stun::{self, StunMessage};
use super::turn::{TurnClient, TurnOutput};
use crate::random;

#[derive(Debug)]
pub(super) struct IceSocket {
    local: SocketAddr,
    /// Until the connection has settled on another socket.
    port: Mutex<Option<Arc<UdpSocket>>>,
    state: UdpSocketState,
    outgoing: Mutex<Batch>,
    turn: Mutex<TurnClient>,
    /// The driver's poll of this socket: datagrams are held until it comes back to it.
    reader: AtomicWaker,
    pub(super) lane: LaneSlot,
    shared: Arc<ConnectionShared>,
}

impl IceSocket {
    pub(super) fn new(socket: std::net::UdpSocket, shared: Arc<ConnectionShared>) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // Best effort: the system may cap or refuse them, and then only bulk is slower.
        let options = socket2::SockRef::from(&socket);
        let _ = options.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = options.set_send_buffer_size(SOCKET_BUFFER);
        let local = socket.local_addr()?;
        let port = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new(UdpSockRef::from(&port))?;
        Ok(Self {
            local,
            port: Mutex::new(Some(Arc::new(port))),
            state,
            outgoing: Mutex::default(),
            turn: Mutex::default(),
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
        self.send_now(&Transmit { segment_size, ..single(destination, contents) })
    }

    pub(super) fn is_at(&self, local: SocketAddr) -> bool {
        (self.local.ip(), self.local.port()) == (local.ip(), local.port())
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        self.port().ok_or(io::ErrorKind::NotConnected)?.writable().await
    }

    /// The connection has settled: TURN servers forward nothing any more, but for the allocation at `relayed`, and unless
    /// the socket is `kept` it is closed. The stack goes on as if its datagrams were lost.
    pub(super) fn settle(&self, kept: bool, relayed: Option<SocketAddr>) {
        let releases = self.turn().release(relayed, &self.shared.accounts);
        for (to, datagram) in releases {
            // One that is lost ends by itself, minutes later.
            let _ = self.send_now(&single(to, &datagram));
        }
        if !kept {
            let _ = self.flush_now(&mut self.outgoing());
            *self.port.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    fn port(&self) -> Option<Arc<UdpSocket>> {
        self.port.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn turn(&self) -> MutexGuard<'_, TurnClient> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the held datagrams. While the socket buffer is full they stay, and `cx` is woken when it is not.
    fn poll_flush(&self, cx: &mut Context<'_>, batch: &mut Batch) -> Poll<io::Result<()>> {
        while !batch.is_empty() {
            let Some(port) = self.port() else {
                *batch = Batch::default();
                break;
            };
            ready!(port.poll_send_ready(cx))?;
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
            self.send_now(&Transmit { segment_size, ..single(destination, contents) })
        })?;
        self.shared.counters.send_errors.add(refused);
        Ok(())
    }

    fn send_now(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let port = self.port().ok_or(io::ErrorKind::NotConnected)?;
        port.try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&port), transmit))?;
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
            let datagram = buffer.get_mut(start..end);
            if datagram.is_some_and(|datagram| self.admit(&mut gate, datagram, meta.addr)) {
                if kept != start {
                    buffer.copy_within(start..end, kept);
                }
                kept += end - start;
            }
        }
        kept
    }

    /// Says whether the stack may see a datagram. The others go to the lane, or nowhere.
    fn admit(&self, gate: &mut Gate, datagram: &mut [u8], from: SocketAddr) -> bool {
        let counters = &self.shared.counters;
        let kind = record::classify(datagram);
        if matches!(kind, RecordKind::ChannelData | RecordKind::Quic) {
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
            RecordKind::Dtls if admitted => self.shared.kick.received(),
            RecordKind::Stun if admitted => return self.heard(datagram, from),
            RecordKind::ChannelData if admitted => self.unwrapped(datagram),
            _ if admitted => {}
            RecordKind::Dtls => counters.dtls_refused.add(1),
            RecordKind::Stun => counters.stun_refused.add(1),
            _ => counters.datagrams_refused.add(1),
        }
        admitted
    }

    /// Learns from a STUN message. Says whether the stack may still see it.
    fn heard(&self, datagram: &mut [u8], from: SocketAddr) -> bool {
        let Some(message) = StunMessage::read(datagram) else { return false };
        if message.is_check() {
            self.shared.heard_check(self.local, from);
            return true;
        }
        self.unwrapped(datagram);
        let incoming = self.turn().receiving(&message, from, &self.shared.accounts, random::array);
        if let Some(code) = incoming.refused {
            self.shared.turn_refused(code);
        }
        let Some(again) = incoming.again else {
            if let Some(id) = incoming.id {
                stun::renumber(datagram, id);
                stun::strike_unspecified(datagram);
            }
            return true;
        };
        // If it is lost, the stack's own repetition comes here and is mended likewise.
        let _ = self.send_now(&single(from, &again));
        false
    }

    /// DTLS that TURN brings earns the driver the same passes.
    fn unwrapped(&self, datagram: &[u8]) {
        if stun::wrapped(datagram).is_some_and(|inner| record::classify(inner) == RecordKind::Dtls) {
            self.shared.kick.received();
        }
    }

    /// Judges a STUN message that the stack sends.
    fn judge<'a>(&self, datagram: &'a [u8], to: SocketAddr) -> TurnOutput<'a> {
        if self.shared.may_leave(self.local, datagram, to) {
            let routed = || addresses::towards(to.ip()) == Some(self.local.ip());
            self.turn().sending(datagram, to, &self.shared.accounts, routed)
        } else {
            TurnOutput::Drop
        }
    }
}

impl AsyncUdpSocket for IceSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
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
        let whole = transmit.segment_size.is_some();
        let stun = !whole && record::classify(transmit.contents) == RecordKind::Stun;
        let fits = || batch.fits(transmit.destination, transmit.contents, self.state.max_gso_segments());
        // A message that is judged may come out with another size.
        if whole || stun || !fits() {
            ready!(self.poll_flush(cx, &mut batch))?;
        }
        self.shared.sending(transmit.contents, transmit.destination);
        if stun {
            return Poll::Ready(match self.judge(transmit.contents, transmit.destination) {
                TurnOutput::Send(datagram) => {
                    batch.push(transmit.destination, &datagram);
                    self.reader.wake();
                    Ok(size)
                }
                TurnOutput::Drop => Ok(size),
                TurnOutput::Refuse => {
                    tracing::debug!("TURN request dropped: another address of this device sends it");
                    Err(io::ErrorKind::AddrNotAvailable.into())
                }
            });
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
            // A closed socket still brings kicks.
            let Some(port) = self.port() else { return Poll::Pending };
            match port.poll_recv_ready(cx) {
                Poll::Pending if self.shared.kick.take_granted(cx) => return synthetic(bufs, meta),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(ready) => ready?,
            }
            // One buffer: the driver offers no more, and its batches come from GRO.
            let (Some(buffer), Some(meta)) = (bufs.get_mut(..1), meta.get_mut(..1)) else {
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            };
            let received =
                port.try_io(Interest::READABLE, || self.state.recv(UdpSockRef::from(&port), buffer, meta));
            match received {
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

impl Drop for IceSocket {
    fn drop(&mut self) {
        // The driver's last words (close_notify, the release of a TURN allocation) are still held.
        let batch = self.outgoing.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut batch = std::mem::take(batch);
        let _ = self.flush_now(&mut batch);
    }
}

fn single(destination: SocketAddr, contents: &[u8]) -> Transmit<'_> {
    Transmit { destination, ecn: None, contents, segment_size: None, src_ip: None }
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

/// The source of synthetic datagrams: the discard port.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);
/// The default of most systems (208 KiB) loses datagrams in bulk.
const SOCKET_BUFFER: usize = limits::WEBRTC_MAX_WINDOW;
