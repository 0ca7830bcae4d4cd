//! A broker, a clock, and devices that need no sockets.

use std::net::IpAddr;
use std::time::Duration;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::signaling::{
    ClientMessage, Exchange, ExchangeKind, MessageId, RelayCloseReason, RelayFrame, ServerMessage,
};
use peers_proto::time::{Instant, UnixTime};
use peers_relay::{Broker, Inbound, Limits, Outbound, Refused, RelayConfig, SocketId};

pub(crate) const NAME: &str = "relay.example.com";

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    nonce: u8,
    messages: u128,
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        let config = RelayConfig { limits, ..RelayConfig::default() };
        let broker = Broker::new(&config, vec![NAME.to_owned()]);
        // An hour in: whatever reads another clock is far off.
        let now = Instant::ZERO + Duration::from_secs(3600);
        Self { broker, now, nonce: 0, messages: 0 }
    }

    pub(crate) fn open(&mut self) -> Result<SocketId, Refused> {
        self.open_from([192, 0, 2, 1].into())
    }

    pub(crate) fn open_from(&mut self, ip: IpAddr) -> Result<SocketId, Refused> {
        self.nonce += 1;
        self.broker.handle_open(ip, Some(NAME), [self.nonce; 32], self.now)
    }

    pub(crate) fn text(&mut self, socket: SocketId, message: ClientMessage) -> Option<Instant> {
        self.broker.handle_message(socket, Inbound::Text(Ok(message)), self.now, UnixTime(0))
    }

    pub(crate) fn binary(&mut self, socket: SocketId, message: &RelayFrame) -> Option<Instant> {
        self.broker.handle_message(socket, Inbound::Binary(message.encode()), self.now, UnixTime(0))
    }

    /// Registers the device of `seed` and returns what came after `registered`.
    pub(crate) fn register(&mut self, seed: u8) -> (SocketId, Vec<Outbound>) {
        let socket = self.open().unwrap();
        let Some(Outbound::Text(ServerMessage::Challenge(challenge))) = self.output(socket).pop() else {
            panic!("no challenge")
        };
        let registration = challenge.answer(NAME, &keys(seed), &certificate(seed)).unwrap();
        self.text(socket, ClientMessage::DeviceRegistered(registration));
        let mut output = self.output(socket);
        assert!(matches!(output.remove(0), Outbound::Text(ServerMessage::Registered(_))));
        (socket, output)
    }

    pub(crate) fn say(
        &mut self,
        from: SocketId,
        kind: ExchangeKind,
        to: DeviceId,
        connection: u8,
        size: usize,
    ) -> MessageId {
        self.messages += 1;
        let message_id = MessageId::from_bytes(self.messages.to_be_bytes());
        let envelope = "A".repeat(size);
        let description = kind != ExchangeKind::IceCandidate;
        let exchange = Exchange {
            connection_id: ConnectionId::from_bytes([connection; 16]),
            from_device_id: DeviceId::derive(b"whoever"),
            to_device_id: to,
            message_id,
            sdi: description.then(|| envelope.clone()),
            ice_candidates: if description { vec![] } else { vec![envelope] },
            queued: false,
        };
        self.text(from, ClientMessage::exchange(kind, exchange));
        message_id
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while self.broker.poll_timeout() <= end {
            self.now = self.now.max(self.broker.poll_timeout());
            self.broker.handle_timeout(self.now);
        }
        self.now = end;
    }

    pub(crate) fn output(&mut self, socket: SocketId) -> Vec<Outbound> {
        while self.broker.poll_output().is_some() {}
        let mut batch = Vec::new();
        loop {
            let before = batch.len();
            self.broker.take_output(socket, 1 << 20, &mut batch);
            if batch.len() == before {
                return batch;
            }
        }
    }
}

pub(crate) fn keys(seed: u8) -> DeviceKeys {
    DeviceKeys::from_seed([seed; 32])
}

pub(crate) fn device(seed: u8) -> DeviceId {
    keys(seed).device_id()
}

pub(crate) fn certificate(seed: u8) -> DeviceCertificate {
    let user = UserKeys::from_seed([200; 32]);
    DeviceCertificate::issue(&user, &keys(seed), UnixTime(1), UnixTime(0), "test").unwrap()
}

/// The ids of the queued messages in an output.
pub(crate) fn queued(output: &[Outbound]) -> Vec<MessageId> {
    let exchange = |outbound: &Outbound| match outbound {
        Outbound::Text(
            ServerMessage::Offer(e) | ServerMessage::Answer(e) | ServerMessage::IceCandidate(e),
        ) => {
            assert!(e.queued);
            e.message_id
        }
        other => panic!("unexpected {other:?}"),
    };
    output.iter().map(exchange).collect()
}

pub(crate) fn frame(peer: DeviceId, connection: u8, size: usize) -> RelayFrame {
    let connection = ConnectionId::from_bytes([connection; 16]);
    RelayFrame::Data { peer, connection, frame: vec![0; size].into() }
}

pub(crate) fn closes(output: &[Outbound]) -> Vec<RelayCloseReason> {
    let reason = |outbound: &Outbound| match outbound {
        Outbound::Binary(bytes) => match RelayFrame::decode(bytes).unwrap() {
            RelayFrame::Close { reason, .. } => Some(reason),
            RelayFrame::Data { .. } => None,
        },
        _ => None,
    };
    output.iter().filter_map(reason).collect()
}
