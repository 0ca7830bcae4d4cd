//! A broker, a clock, and devices that need no sockets.

use std::net::IpAddr;
use std::time::Duration;

use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::signaling::{
    Challenge, ClientMessage, Exchange, ExchangeKind, Knock, MessageId, Registration, RelayCloseReason,
    RelayFrame, ServerMessage,
};
use peers_proto::time::{Instant, UnixTime};
use peers_relay::{Broker, Inbound, Limits, Outbound, Proof, Refused, RelayConfig, SocketId};

pub(crate) const NAME: &str = "relay.example.com";

pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) now: Instant,
    nonce: u8,
    messages: u128,
}

impl World {
    pub(crate) fn new(limits: Limits) -> Self {
        Self::with(RelayConfig { limits, ..RelayConfig::default() })
    }

    pub(crate) fn with(config: RelayConfig) -> Self {
        let broker = Broker::new(&config);
        // An hour in: whatever reads another clock is far off.
        let now = Instant::ZERO + Duration::from_secs(3600);
        Self { broker, now, nonce: 0, messages: 0 }
    }

    pub(crate) fn open(&mut self) -> Result<SocketId, Refused> {
        self.open_from([192, 0, 2, 1].into())
    }

    pub(crate) fn open_from(&mut self, ip: IpAddr) -> Result<SocketId, Refused> {
        let id = self.broker.handle_accept(ip)?;
        self.upgrade(id, ip).map(|()| id)
    }

    /// An accepted connection becomes a socket.
    pub(crate) fn upgrade(&mut self, id: SocketId, ip: IpAddr) -> Result<(), Refused> {
        self.nonce = self.nonce.wrapping_add(1);
        let challenge = Challenge { nonce: [self.nonce; 32], server_name: NAME.to_owned() };
        self.broker.handle_open(id, ip, challenge, self.now)
    }

    pub(crate) fn text(&mut self, socket: SocketId, message: ClientMessage) -> Option<Instant> {
        let len = message.to_json().map_or(0, |text| text.len());
        let inbound = Inbound::Text { len, message: Ok(message) };
        self.broker.handle_message(socket, inbound, self.now, UnixTime(0))
    }

    pub(crate) fn binary(&mut self, socket: SocketId, message: &RelayFrame) -> Option<Instant> {
        self.broker.handle_message(socket, Inbound::Binary(message.encode()), self.now, UnixTime(0))
    }

    /// Registers the device of `seed` and returns what came after `registered`.
    pub(crate) fn register(&mut self, seed: u8) -> (SocketId, Vec<Outbound>) {
        self.register_from([192, 0, 2, 1].into(), seed)
    }

    pub(crate) fn register_from(&mut self, ip: IpAddr, seed: u8) -> (SocketId, Vec<Outbound>) {
        let socket = self.open_from(ip).unwrap();
        let mut output = self.prove(socket, seed, None);
        assert!(matches!(output.remove(0), Outbound::Text(ServerMessage::Registered(_))));
        (socket, output)
    }

    /// Answers the challenge of a socket and returns what came then.
    pub(crate) fn prove(&mut self, socket: SocketId, seed: u8, token: Option<&str>) -> Vec<Outbound> {
        let Some(Outbound::Text(ServerMessage::Challenge(challenge))) = self.output(socket).pop() else {
            panic!("no challenge")
        };
        let registration = challenge.answer(NAME, &keys(seed), &certificate(seed));
        let registration = Registration { token: token.map(str::to_owned), ..registration };
        if let Ok((challenge, at)) = self.broker.handle_registering(socket, self.now) {
            self.now = self.now.max(at);
            let proof = Proof::verify(&challenge, &[NAME.to_owned()], registration);
            self.broker.handle_registration(socket, proof, UnixTime(0));
        }
        self.output(socket)
    }

    /// Registers a device that anybody may reach, and returns what waited for it.
    pub(crate) fn arrive(&mut self, seed: u8) -> (SocketId, Vec<Outbound>) {
        self.arrive_from([192, 0, 2, 1].into(), seed)
    }

    pub(crate) fn arrive_from(&mut self, ip: IpAddr, seed: u8) -> (SocketId, Vec<Outbound>) {
        let (socket, before) = self.register_from(ip, seed);
        assert_eq!(before, [], "nothing comes before consent");
        self.text(socket, ClientMessage::Watch { device_ids: vec![], open: true });
        let output = self.output(socket);
        (socket, output)
    }

    /// The device at `socket` accepts those of `seeds` and no others. Returns what came then.
    pub(crate) fn watch(&mut self, socket: SocketId, seeds: &[u8]) -> Vec<Outbound> {
        let device_ids = seeds.iter().map(|seed| device(*seed)).collect();
        self.text(socket, ClientMessage::Watch { device_ids, open: false });
        self.output(socket)
    }

    pub(crate) fn knock(&mut self, from: SocketId, to: DeviceId) -> MessageId {
        self.messages += 1;
        let message_id = MessageId::from_bytes(self.messages.to_be_bytes());
        let knock = Knock {
            connection_id: ConnectionId::from_bytes([1; 16]),
            from_device_id: DeviceId::derive(b"whoever"),
            to_device_id: to,
            message_id,
            knock: vec![7; 300],
            queued: true,
        };
        self.text(from, ClientMessage::Knock(knock));
        message_id
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
    DeviceCertificate::issue(&user, &keys(seed), UnixTime(1), "test").unwrap()
}

/// Messages of other devices in an output, and whether each waited for its recipient to come.
pub(crate) fn mail(output: &[Outbound]) -> Vec<(MessageId, bool)> {
    let letter = |outbound: &Outbound| match outbound {
        Outbound::Text(
            ServerMessage::Offer(e) | ServerMessage::Answer(e) | ServerMessage::IceCandidate(e),
        ) => Some((e.message_id, e.queued)),
        Outbound::Text(ServerMessage::Knock(knock)) => Some((knock.message_id, knock.queued)),
        _ => None,
    };
    output.iter().filter_map(letter).collect()
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
