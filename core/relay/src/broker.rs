//! Every decision of the relay, without sockets, tasks or clocks.
//!
//! A connection is accepted ([`Broker::handle_accept`]), becomes a socket ([`Broker::handle_open`]), speaks
//! ([`Broker::handle_registering`], [`Broker::handle_message`]) and closes ([`Broker::handle_closed`]);
//! [`Broker::poll_output`] names the sockets that have something to write, and [`Broker::take_output`] hands it over. The
//! broker owns what waits, so it alone bounds it: when something is full, the sender that fills it pays.

mod consent;
mod fair_queue;
mod heaviest;
mod mail;
mod memory;
mod outbox;
mod output;
mod places;
mod presence;
mod registration;
mod relaying;
mod signaling;
mod socket;
mod stats;

pub(crate) use memory::shrink;
pub use outbox::Outbound;
pub use registration::Proof;
pub use socket::SocketId;
pub use stats::Stats;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use peers_proto::id::DeviceId;
use peers_proto::signaling::{Challenge, ClientMessage, ErrorCode, MessageError, ServerMessage, close_code};
use peers_proto::time::{Instant, UnixTime};
use peers_proto::timing;

use crate::config::{AccessConfig, IceConfig, Limits, RelayConfig};
use mail::Mail;
use places::{AddressPlaces, subscriber};
use socket::Socket;

/// Interval at which the relay looks for silent sockets, expired messages and knocks whose turn has come. Lateness of
/// this size hurts no device.
const SWEEP: Duration = Duration::from_secs(5);

/// Bytes of a text that count as one message: an offer fits. Parsing, and the look at every device a list names, cost
/// in proportion.
const TEXT: usize = 4 * 1024;

/// The content of a socket's message.
#[derive(Debug)]
pub enum Inbound {
    /// A text message, parsed where it does not hold others up. Registrations go through
    /// [`Broker::handle_registering`] instead.
    Text {
        /// Bytes of the text.
        len: usize,
        /// Its meaning.
        message: Result<ClientMessage, MessageError>,
    },
    /// A binary message.
    Binary(Bytes),
    /// A message above the limit; its bytes were not kept.
    TooLarge,
    /// A WebSocket ping, to be answered with the same bytes: the device is alive.
    Ping(Bytes),
    /// A WebSocket pong: the device is alive.
    Pong,
    /// A WebSocket close: the device says nothing more.
    Close,
}

/// The reason for which a socket, or its registration, was not let in.
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
    /// Too many attempts to register from this address.
    #[error("too many registrations from this address")]
    Registrations,
    /// It has broken a rule, or is over already.
    #[error("the socket closes")]
    Closing,
}

/// The relay's state.
#[derive(Debug)]
pub struct Broker {
    limits: Limits,
    access: AccessConfig,
    ice: IceConfig,
    /// Connections come from a proxy, which names the device's address.
    proxied: bool,
    next_socket: u64,
    places: AddressPlaces,
    sockets: HashMap<SocketId, Box<Socket>>,
    devices: HashMap<DeviceId, SocketId>,
    mail: Mail,
    /// Bytes of messages in all outboxes, and of those being written.
    messages_held: usize,
    /// Bytes of relayed data in all outboxes, and of that being written.
    data_held: usize,
    /// Ends of relayed connections at all sockets.
    relayed: usize,
    ready: VecDeque<SocketId>,
    cut: VecDeque<SocketId>,
    /// Found too slow while something else was done; each is closed before that returns.
    slow: Vec<SocketId>,
    next_sweep: Instant,
    shutting_down: bool,
    counters: Stats,
}

impl Broker {
    /// A relay without devices.
    pub fn new(config: &RelayConfig) -> Self {
        Self {
            limits: config.limits,
            access: config.access.clone(),
            ice: config.ice.clone(),
            proxied: config.trust_forwarded_for,
            next_socket: 0,
            places: AddressPlaces::default(),
            sockets: HashMap::new(),
            devices: HashMap::new(),
            mail: Mail::default(),
            messages_held: 0,
            data_held: 0,
            relayed: 0,
            ready: VecDeque::new(),
            cut: VecDeque::new(),
            slow: Vec::new(),
            next_sweep: Instant::ZERO,
            shutting_down: false,
            counters: Stats::default(),
        }
    }

    /// A connection from `ip` was accepted. It counts until [`Self::handle_closed`].
    ///
    /// # Errors
    /// [`Refused::ShuttingDown`]: close it. Where there are too many, the oldest of the address that has most is
    /// cut, see [`Self::poll_cut`].
    pub fn handle_accept(&mut self, ip: IpAddr) -> Result<SocketId, Refused> {
        if self.shutting_down {
            return Err(Refused::ShuttingDown);
        }
        let id = SocketId(self.next_socket);
        self.next_socket += 1;
        if let Some(cut) = self.places.accept(id, subscriber(ip), self.proxied, &self.limits) {
            self.counters.half_open_dropped += 1;
            self.cut.push_back(cut);
        }
        Ok(id)
    }

    /// The connection became a WebSocket of a device at `ip`. `challenge`, whose nonce is fresh and random, is the first
    /// output.
    ///
    /// # Errors
    /// [`Refused`]: close it.
    pub fn handle_open(
        &mut self,
        id: SocketId,
        ip: IpAddr,
        challenge: Challenge,
        now: Instant,
    ) -> Result<(), Refused> {
        let address = subscriber(ip);
        self.admit(id, address).inspect_err(|_| self.counters.refused += 1)?;
        self.sockets.insert(id, Box::new(Socket::new(address, challenge.clone(), &self.limits, now)));
        self.send(id, Outbound::Text(ServerMessage::Challenge(challenge)));
        Ok(())
    }

    fn admit(&mut self, id: SocketId, address: IpAddr) -> Result<(), Refused> {
        if self.shutting_down {
            Err(Refused::ShuttingDown)
        } else if self.places.sockets() >= self.limits.max_sockets {
            Err(Refused::Full)
        } else if self.places.sockets_at(address) >= self.limits.max_sockets_per_ip {
            Err(Refused::Address)
        } else if self.places.open(id, address, &self.limits) {
            Ok(())
        } else {
            Err(Refused::Full)
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
        self.settle();
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
            Inbound::Pong => socket.messages.take(1, now),
            Inbound::Ping(bytes) => {
                let wait = socket.messages.take(1, now);
                self.send(id, Outbound::Pong(bytes));
                wait
            }
            Inbound::Close => {
                self.close(id, None, close_code::NORMAL, "");
                None
            }
            Inbound::TooLarge => {
                self.fault(id, ErrorCode::TooLarge, "message above the limit", None);
                None
            }
            Inbound::Binary(bytes) => {
                let wait = socket.bytes.take(bytes.len() as u64, now);
                wait.max(self.handle_binary(id, bytes, now))
            }
            Inbound::Text { len, message: Err(error) } => {
                let wait = socket.messages.take(text_cost(len), now);
                match error {
                    MessageError::UnknownEvent(event) => {
                        let (code, text) = (ErrorCode::UnknownEvent, format!("unknown event `{event}`"));
                        let error = ServerMessage::Error { code, text, about: None };
                        self.send(id, Outbound::Text(error));
                    }
                    MessageError::TooLarge => {
                        self.fault(id, ErrorCode::TooLarge, "message above the limit", None);
                    }
                    MessageError::Malformed(why) => self.fault(id, ErrorCode::Malformed, &why, None),
                }
                wait
            }
            Inbound::Text { len, message: Ok(message) } => {
                let wait = socket.messages.take(text_cost(len), now);
                self.handle_text(id, message, now, unix);
                wait
            }
        }
    }

    /// The connection is gone, by either end.
    pub fn handle_closed(&mut self, id: SocketId) {
        self.leave(id);
        self.places.close_half_open(id);
        if let Some(socket) = self.sockets.remove(&id) {
            self.messages_held -= socket.outbox.messages_held();
            self.data_held -= socket.outbox.data_held();
            self.places.close(socket.address);
        }
        self.settle();
    }

    /// The device did not take its output in time.
    pub fn handle_stalled(&mut self, id: SocketId) {
        self.slow.push(id);
        self.settle();
    }

    /// The next time at which [`Self::handle_timeout`] is due.
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
            self.fault(id, ErrorCode::TimedOut, "no registration in time", None);
        }
        for id in silent {
            self.counters.idle += 1;
            self.close(id, None, close_code::NORMAL, "silent for too long");
        }
        self.mail.handle_timeout(now);
        for device in self.mail.knocked() {
            self.release_knocks(device, now);
        }
        self.places.handle_timeout(now);
        self.give_back();
        self.settle();
    }

    /// Tells every device, lets no other in, and closes each socket after what waits for it.
    pub fn handle_shutdown(&mut self) {
        self.shutting_down = true;
        let mut open: Vec<_> = self.sockets.iter().filter(|(_, s)| !s.closing).map(|(id, _)| *id).collect();
        open.sort();
        for id in open {
            let (code, text) = (ErrorCode::ShuttingDown, "the relay shuts down".to_owned());
            let error = ServerMessage::Error { code, text, about: None };
            if let Some(socket) = self.sockets.get_mut(&id) {
                socket.closing = true;
                socket.outbox.close(Some(error), close_code::GOING_AWAY, "the relay shuts down");
            }
            self.wake(id);
        }
        self.settle();
    }

    /// Counts for operators. Looks at no socket: strangers may ask for it.
    pub fn stats(&self) -> Stats {
        Stats {
            sockets: self.places.sockets() as u64,
            half_open: self.places.half_open() as u64,
            devices: self.devices.len() as u64,
            queued_messages: self.mail.messages() as u64,
            queued_bytes: self.mail.bytes() as u64,
            message_bytes: self.messages_total() as u64,
            queue_dropped: self.mail.dropped,
            share_dropped: self.mail.dropped_by_share,
            relay_queued_bytes: self.data_held as u64,
            // Every relayed connection is known at both of its ends.
            relay_connections: self.relayed as u64 / 2,
            ..self.counters
        }
    }
}

/// Messages a text of `len` bytes counts as.
fn text_cost(len: usize) -> u64 {
    len.div_ceil(TEXT).max(1) as u64
}
