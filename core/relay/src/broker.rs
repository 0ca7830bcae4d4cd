//! Every decision of the relay, without sockets, tasks or clocks.
//!
//! A socket opens ([`Broker::handle_open`]), speaks ([`Broker::handle_message`]) and closes
//! ([`Broker::handle_closed`]); [`Broker::poll_output`] names the sockets that have something to write, and
//! [`Broker::take_output`] hands it over. The broker owns what waits, so it alone bounds it.

mod certificates;
mod offline_queue;
mod outbox;
mod relaying;
mod signaling;
mod stats;

pub use outbox::Outbound;
pub use stats::Stats;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use peers_proto::bucket::Bucket;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::signaling::{
    Challenge, ClientMessage, ErrorCode, MessageError, MessageId, NONCE_LEN, ServerMessage, close_code,
};
use peers_proto::time::{Instant, UnixTime};
use peers_proto::timing;

use crate::config::{IceConfig, Limits, RelayConfig};
use certificates::Certificates;
use offline_queue::OfflineQueue;
use outbox::Outbox;

/// How often the relay looks for silent sockets and expired messages: what is late by this much hurts nobody.
const SWEEP: Duration = Duration::from_secs(5);

/// One open socket. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u64);

/// What arrived on a socket.
#[derive(Debug)]
pub enum Inbound {
    /// A text message, parsed where it does not hold others up.
    Text(Result<ClientMessage, MessageError>),
    /// A binary message.
    Binary(Bytes),
    /// A message above the limit; its bytes were not kept.
    TooLarge,
    /// A WebSocket ping or pong: the device is alive.
    Alive,
}

/// Why a socket was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No room at all.
    #[error("the relay is full")]
    Full,
    /// Too many from this address.
    #[error("too many connections from this address")]
    Address,
    /// It is about to stop.
    #[error("the relay shuts down")]
    ShuttingDown,
}

/// The relay's state.
#[derive(Debug)]
pub struct Broker {
    limits: Limits,
    ice: IceConfig,
    /// Never empty; the first is the default.
    names: Vec<String>,
    next_socket: u64,
    sockets: HashMap<SocketId, Socket>,
    devices: HashMap<DeviceId, SocketId>,
    per_ip: HashMap<IpAddr, usize>,
    queue: OfflineQueue,
    certificates: Certificates,
    relay_queued: usize,
    ready: VecDeque<SocketId>,
    /// Found too slow while something else was done; each is closed before that returns.
    slow: Vec<SocketId>,
    next_sweep: Instant,
    shutting_down: bool,
    counters: Stats,
}

#[derive(Debug)]
struct Socket {
    ip: IpAddr,
    challenge: Challenge,
    device: Option<DeviceId>,
    opened: Instant,
    heard: Instant,
    messages: Bucket,
    bytes: Bucket,
    watching: HashSet<DeviceId>,
    /// Relayed connections, by the other device and their id.
    relayed: HashSet<(DeviceId, ConnectionId)>,
    /// Relayed connections that ended lately: frames of them may still be under way.
    ended: VecDeque<(DeviceId, ConnectionId)>,
    outbox: Outbox,
    /// In [`Broker::ready`].
    ready: bool,
    /// Nothing from it counts any more; what waits is still written.
    closing: bool,
}

impl Broker {
    /// A relay without devices. `names` are those it answers to, the first by default.
    pub fn new(config: &RelayConfig, names: Vec<String>) -> Self {
        Self {
            limits: config.limits,
            ice: config.ice.clone(),
            names,
            next_socket: 0,
            sockets: HashMap::new(),
            devices: HashMap::new(),
            per_ip: HashMap::new(),
            queue: OfflineQueue::default(),
            certificates: Certificates::default(),
            relay_queued: 0,
            ready: VecDeque::new(),
            slow: Vec::new(),
            next_sweep: Instant::ZERO,
            shutting_down: false,
            counters: Stats::default(),
        }
    }

    /// A WebSocket was opened from `ip`, by the name `host` if the device gave one. `nonce` is fresh and random. The
    /// challenge is the first output.
    ///
    /// # Errors
    /// [`Refused`]: close it.
    pub fn handle_open(
        &mut self,
        ip: IpAddr,
        host: Option<&str>,
        nonce: [u8; NONCE_LEN],
        now: Instant,
    ) -> Result<SocketId, Refused> {
        let ip = subscriber(ip);
        self.admit(ip).inspect_err(|_| self.counters.refused += 1)?;
        let known = |host: &str| self.names.iter().find(|name| name.eq_ignore_ascii_case(host));
        let server_name = host.and_then(known).or(self.names.first()).cloned().unwrap_or_default();
        let challenge = Challenge { nonce, server_name };
        let id = SocketId(self.next_socket);
        self.next_socket += 1;
        *self.per_ip.entry(ip).or_default() += 1;
        let limits = &self.limits;
        self.sockets.insert(
            id,
            Socket {
                ip,
                challenge: challenge.clone(),
                device: None,
                opened: now,
                heard: now,
                messages: Bucket::new(limits.messages_per_second, limits.messages_burst),
                bytes: Bucket::new(limits.relay_bytes_per_second, limits.relay_burst),
                watching: HashSet::new(),
                relayed: HashSet::new(),
                ended: VecDeque::new(),
                outbox: Outbox::default(),
                ready: false,
                closing: false,
            },
        );
        self.send(id, ServerMessage::Challenge(challenge));
        Ok(id)
    }

    fn admit(&self, ip: IpAddr) -> Result<(), Refused> {
        if self.shutting_down {
            Err(Refused::ShuttingDown)
        } else if self.sockets.len() >= self.limits.max_sockets {
            Err(Refused::Full)
        } else if self.per_ip.get(&ip).is_some_and(|n| *n >= self.limits.max_sockets_per_ip) {
            Err(Refused::Address)
        } else {
            Ok(())
        }
    }

    /// A message arrived. If an instant is returned, do not read from this socket before it: that is how rates are
    /// limited, by the sender's own TCP window.
    pub fn handle_message(
        &mut self,
        id: SocketId,
        message: Inbound,
        now: Instant,
        unix: UnixTime,
    ) -> Option<Instant> {
        let wait = self.take_message(id, message, now, unix);
        self.close_slow(now);
        wait
    }

    fn take_message(
        &mut self,
        id: SocketId,
        message: Inbound,
        now: Instant,
        unix: UnixTime,
    ) -> Option<Instant> {
        let socket = self.sockets.get_mut(&id).filter(|s| !s.closing)?;
        socket.heard = now;
        match message {
            Inbound::Alive => socket.messages.take(1, now),
            Inbound::TooLarge => {
                self.fault(id, ErrorCode::TooLarge, "message above the limit", None, now);
                None
            }
            Inbound::Binary(bytes) => {
                let wait = socket.bytes.take(bytes.len() as u64, now);
                self.handle_binary(id, bytes, now);
                wait
            }
            Inbound::Text(Err(error)) => {
                let wait = socket.messages.take(1, now);
                match error {
                    MessageError::UnknownEvent(event) => {
                        let text = format!("unknown event `{event}`");
                        self.send(id, error_message(ErrorCode::UnknownEvent, text, None));
                    }
                    MessageError::TooLarge => {
                        self.fault(id, ErrorCode::TooLarge, "message above the limit", None, now);
                    }
                    MessageError::Malformed(why) => self.fault(id, ErrorCode::Malformed, &why, None, now),
                }
                wait
            }
            Inbound::Text(Ok(message)) => {
                let wait = socket.messages.take(1, now);
                self.handle_text(id, message, now, unix);
                wait
            }
        }
    }

    /// The socket is gone, whoever closed it.
    pub fn handle_closed(&mut self, id: SocketId, now: Instant) {
        self.leave(id);
        let Some(mut socket) = self.sockets.remove(&id) else { return };
        self.relay_queued -= socket.outbox.data_bytes();
        self.requeue(socket.outbox.abandon(), now);
        if let Some(count) = self.per_ip.get_mut(&socket.ip) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&socket.ip);
            }
        }
        self.close_slow(now);
    }

    /// The device did not take its output in time.
    pub fn handle_stalled(&mut self, id: SocketId, now: Instant) {
        self.slow.push(id);
        self.close_slow(now);
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Instant {
        self.next_sweep
    }

    /// Closes sockets that are silent or unregistered for too long, and forgets what expired.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP;
        let idle = Duration::from_secs(self.limits.idle_seconds);
        let open = self.sockets.iter().filter(|(_, s)| !s.closing);
        let silent: Vec<_> = open.clone().filter(|(_, s)| now - s.heard >= idle).map(|(id, _)| *id).collect();
        let strangers =
            open.filter(|(_, s)| s.device.is_none() && now - s.opened >= timing::REGISTRATION_TIMEOUT);
        for id in strangers.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.fault(id, ErrorCode::TimedOut, "no registration in time", None, now);
        }
        for id in silent {
            self.counters.idle += 1;
            self.close(id, close_code::NORMAL, "silent for too long", now);
        }
        self.close_slow(now);
        self.queue.handle_timeout(now);
        let age = Duration::from_secs(self.limits.certificate_days.saturating_mul(86_400)).as_micros();
        if let Some(until) = u64::try_from(age).ok().and_then(|age| now.as_micros().checked_sub(age)) {
            let devices = &self.devices;
            self.certificates.expire(Instant::from_micros(until), |d| devices.contains_key(&d));
        }
    }

    /// Tells every device, lets nobody in, and closes each socket after what waits for it.
    pub fn handle_shutdown(&mut self, now: Instant) {
        self.shutting_down = true;
        let mut open: Vec<_> = self.sockets.iter().filter(|(_, s)| !s.closing).map(|(id, _)| *id).collect();
        open.sort();
        for id in open {
            let text = "the relay shuts down".to_owned();
            self.send(id, error_message(ErrorCode::ShuttingDown, text, None));
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.closing = true;
                socket.outbox.close(close_code::GOING_AWAY, "the relay shuts down");
            }
            self.wake(id);
        }
        self.close_slow(now);
    }

    /// A socket that has output waiting; each once until its output was taken.
    pub fn poll_output(&mut self) -> Option<SocketId> {
        self.ready.pop_front()
    }

    /// Moves about `bytes` of the socket's output into `batch`; call until nothing comes.
    pub fn take_output(&mut self, id: SocketId, bytes: usize, batch: &mut Vec<Outbound>) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.ready = false;
        let before = socket.outbox.data_bytes();
        socket.outbox.take(bytes, batch);
        self.relay_queued -= before - socket.outbox.data_bytes();
    }

    /// What an operator watches.
    pub fn stats(&self) -> Stats {
        Stats {
            sockets: self.sockets.len() as u64,
            devices: self.devices.len() as u64,
            queued_messages: self.queue.messages as u64,
            queued_bytes: self.queue.bytes as u64,
            queue_dropped: self.queue.dropped,
            relay_queued_bytes: self.relay_queued as u64,
            // Every relayed connection is known at both of its ends.
            relay_connections: self.sockets.values().map(|s| s.relayed.len() as u64).sum::<u64>() / 2,
            certificates: self.certificates.len() as u64,
            ..self.counters
        }
    }

    fn send(&mut self, id: SocketId, message: ServerMessage) {
        let Some(socket) = self.sockets.get_mut(&id).filter(|s| !s.closing) else { return };
        if socket.outbox.push_event(message) {
            self.wake(id);
        } else {
            self.slow.push(id);
        }
    }

    /// A device that leaves is news to others, who may be too slow for it, and so on: one after the other, since a stack
    /// would overflow where thousands fall like dominoes.
    fn close_slow(&mut self, now: Instant) {
        while let Some(id) = self.slow.pop() {
            if self.sockets.get(&id).is_some_and(|s| !s.closing) {
                self.counters.too_slow += 1;
                self.close(id, close_code::POLICY, "too slow", now);
            }
        }
    }

    /// Tells the device what it did wrong, and closes.
    fn fault(&mut self, id: SocketId, code: ErrorCode, text: &str, about: Option<MessageId>, now: Instant) {
        self.counters.violations += 1;
        self.send(id, error_message(code, text.to_owned(), about));
        let close = if code == ErrorCode::TooLarge { close_code::TOO_LARGE } else { close_code::POLICY };
        self.close(id, close, "see the error message", now);
    }

    /// Ends the registration now and the socket after its messages.
    fn close(&mut self, id: SocketId, code: u16, reason: &'static str, now: Instant) {
        self.leave(id);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.closing = true;
        self.relay_queued -= socket.outbox.data_bytes();
        let undelivered = socket.outbox.abandon();
        socket.outbox.close(code, reason);
        self.requeue(undelivered, now);
        self.wake(id);
    }

    fn wake(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && !std::mem::replace(&mut socket.ready, true)
        {
            self.ready.push_back(id);
        }
    }
}

fn error_message(code: ErrorCode, text: String, about: Option<MessageId>) -> ServerMessage {
    ServerMessage::Error { code, text, about }
}

/// What counts as one address: a subscriber has a whole IPv6 /64.
fn subscriber(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}
