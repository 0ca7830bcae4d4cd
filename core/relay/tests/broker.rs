//! The broker in virtual time: lifetimes, bounds, and what it does when they are reached.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use peers_proto::certificate::DeviceCertificate;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::signaling::{
    ClientMessage, ErrorCode, Exchange, ExchangeKind, MessageId, RelayCloseReason, RelayFrame, ServerMessage,
    close_code,
};
use peers_proto::time::{Instant, UnixTime};
use peers_proto::timing;
use peers_relay::{Broker, Inbound, Limits, Outbound, Refused, RelayConfig, SocketId};

const NAME: &str = "relay.example.com";

struct World {
    broker: Broker,
    now: Instant,
    nonce: u8,
    messages: u128,
}

impl World {
    fn new(limits: Limits) -> Self {
        let config = RelayConfig { limits, ..RelayConfig::default() };
        let broker = Broker::new(&config, vec![NAME.to_owned()]);
        // An hour in: whatever reads another clock is far off.
        let now = Instant::ZERO + Duration::from_secs(3600);
        Self { broker, now, nonce: 0, messages: 0 }
    }

    fn open(&mut self) -> Result<SocketId, Refused> {
        self.open_from([192, 0, 2, 1].into())
    }

    fn open_from(&mut self, ip: IpAddr) -> Result<SocketId, Refused> {
        self.nonce += 1;
        self.broker.handle_open(ip, Some(NAME), [self.nonce; 32], self.now)
    }

    fn text(&mut self, socket: SocketId, message: ClientMessage) -> Option<Instant> {
        self.broker.handle_message(socket, Inbound::Text(Ok(message)), self.now, UnixTime(0))
    }

    fn binary(&mut self, socket: SocketId, message: &RelayFrame) -> Option<Instant> {
        self.broker.handle_message(socket, Inbound::Binary(message.encode()), self.now, UnixTime(0))
    }

    /// Registers the device of `seed` and returns what came after `registered`.
    fn register(&mut self, seed: u8) -> (SocketId, Vec<Outbound>) {
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

    fn say(
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

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while self.broker.poll_timeout() <= end {
            self.now = self.now.max(self.broker.poll_timeout());
            self.broker.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn output(&mut self, socket: SocketId) -> Vec<Outbound> {
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

fn keys(seed: u8) -> DeviceKeys {
    DeviceKeys::from_seed([seed; 32])
}

fn device(seed: u8) -> DeviceId {
    keys(seed).device_id()
}

fn certificate(seed: u8) -> DeviceCertificate {
    let user = UserKeys::from_seed([200; 32]);
    DeviceCertificate::issue(&user, &keys(seed), UnixTime(1), UnixTime(0), "test").unwrap()
}

/// The ids of the queued messages in an output.
fn queued(output: &[Outbound]) -> Vec<MessageId> {
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

fn frame(peer: DeviceId, connection: u8, size: usize) -> RelayFrame {
    let connection = ConnectionId::from_bytes([connection; 16]);
    RelayFrame::Data { peer, connection, frame: vec![0; size].into() }
}

fn closes(output: &[Outbound]) -> Vec<RelayCloseReason> {
    let reason = |outbound: &Outbound| match outbound {
        Outbound::Binary(bytes) => match RelayFrame::decode(bytes).unwrap() {
            RelayFrame::Close { reason, .. } => Some(reason),
            RelayFrame::Data { .. } => None,
        },
        _ => None,
    };
    output.iter().filter_map(reason).collect()
}

use ExchangeKind::{Answer, IceCandidate, Offer};

// proves S031 S047
#[test]
fn queued_messages_live_as_long_as_an_offer_is_worth_answering() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.say(a, Offer, device(2), 1, 10);
    w.advance(timing::OFFER_TTL / 2);
    let young = w.say(a, IceCandidate, device(2), 1, 10);
    w.advance(timing::OFFER_TTL / 2);
    let (_, output) = w.register(2);
    assert_eq!(queued(&output), [young]);
}

#[test]
fn expired_messages_are_forgotten_even_if_nobody_comes() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.say(a, Offer, device(2), 1, 10_000);
    assert!(w.broker.stats().queued_bytes > 10_000);
    w.advance(timing::OFFER_TTL + Duration::from_secs(5));
    let stats = w.broker.stats();
    assert_eq!((stats.queued_messages, stats.queued_bytes, stats.queue_dropped), (0, 0, 1));
}

#[test]
fn only_the_newest_offer_of_a_sender_waits_and_what_belonged_to_older_ones_goes() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    w.say(a, Offer, device(3), 1, 10);
    w.say(a, IceCandidate, device(3), 1, 10);
    let other = w.say(b, Offer, device(3), 9, 10);
    let newest = w.say(a, Offer, device(3), 2, 10);
    let candidate = w.say(a, IceCandidate, device(3), 2, 10);
    let (_, output) = w.register(3);
    assert_eq!(queued(&output), [other, newest, candidate]);
}

#[test]
fn a_flood_pushes_out_only_itself() {
    let mut w = World::new(Limits { queue_per_pair: 3, queue_per_device: 4, ..Limits::default() });
    let (a, _) = w.register(1);
    let (flood, _) = w.register(2);
    let kept = w.say(a, Answer, device(3), 1, 10);
    let last: Vec<_> = (0..100).map(|_| w.say(flood, IceCandidate, device(3), 2, 10)).collect();
    let (_, output) = w.register(3);
    assert_eq!(queued(&output), [kept, last[97], last[98], last[99]]);

    // A second sender takes its place from the flood, not from the first.
    let kept = w.say(a, Answer, device(4), 1, 10);
    let last: Vec<_> = (0..3).map(|_| w.say(flood, IceCandidate, device(4), 2, 10)).collect();
    let second = w.say(a, IceCandidate, device(4), 1, 10);
    let (_, output) = w.register(4);
    assert_eq!(queued(&output), [kept, last[1], last[2], second]);
}

#[test]
fn the_queue_is_bounded_in_bytes_for_everybody_together() {
    let mut w = World::new(Limits { queue_total_bytes: 10_000, ..Limits::default() });
    let (a, _) = w.register(1);
    for n in 0..100 {
        w.say(a, Answer, device(10 + n), n, 1000);
    }
    let stats = w.broker.stats();
    assert!(stats.queued_bytes <= 10_000 && stats.queued_messages >= 5, "{stats:?}");
    assert_eq!(stats.queue_dropped + stats.queued_messages, 100);
}

#[test]
fn messages_a_broken_socket_never_took_wait_for_the_next_one() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    let ids = [w.say(a, Offer, device(2), 1, 10), w.say(a, IceCandidate, device(2), 1, 10)];
    w.broker.handle_closed(b, w.now);
    let (b, output) = w.register(2);
    assert_eq!(queued(&output), ids);

    // Also if the newer socket comes before the older is known to be dead.
    let id = w.say(a, Answer, device(2), 2, 10);
    let (_, output) = w.register(2);
    assert_eq!(queued(&output), [id]);
    let superseded = Outbound::Text(ServerMessage::Superseded);
    assert_eq!(w.output(b), [superseded, Outbound::Close(close_code::SUPERSEDED, "superseded")]);
}

#[test]
fn who_does_not_register_in_time_is_closed() {
    let mut w = World::new(Limits::default());
    let socket = w.open().unwrap();
    w.output(socket);
    w.advance(timing::REGISTRATION_TIMEOUT - Duration::from_millis(1));
    assert_eq!(w.output(socket), []);
    w.advance(Duration::from_secs(6));
    let output = w.output(socket);
    let [Outbound::Text(ServerMessage::Error { code, .. }), Outbound::Close(close, _)] = &output[..] else {
        panic!("{output:?}")
    };
    assert_eq!((*code, *close), (ErrorCode::TimedOut, close_code::POLICY));
}

#[test]
fn a_silent_socket_is_closed_and_any_sign_of_life_keeps_it() {
    let mut w = World::new(Limits { idle_seconds: 60, ..Limits::default() });
    let (quiet, _) = w.register(1);
    let (alive, _) = w.register(2);
    for _ in 0..10 {
        w.advance(Duration::from_secs(30));
        w.broker.handle_message(alive, Inbound::Alive, w.now, UnixTime(0));
    }
    assert_eq!(w.output(quiet), [Outbound::Close(close_code::NORMAL, "silent for too long")]);
    assert_eq!(w.output(alive), []);
    assert_eq!((w.broker.stats().idle, w.broker.stats().devices), (1, 1));
}

#[test]
fn the_relay_says_nothing_on_its_own() {
    let mut w = World::new(Limits { idle_seconds: 10_000, ..Limits::default() });
    let (a, _) = w.register(1);
    w.advance(Duration::from_secs(9_000));
    assert_eq!(w.output(a), [], "a phone that sleeps is not woken");
}

#[test]
fn addresses_and_totals_are_limited_and_a_subscriber_has_a_whole_ipv6_network() {
    let mut w = World::new(Limits { max_sockets: 5, max_sockets_per_ip: 2, ..Limits::default() });
    let v6 = |s: &str| s.parse::<IpAddr>().unwrap();
    let first = w.open_from(v6("2001:db8::1")).unwrap();
    w.open_from(v6("2001:db8::ffff:2")).unwrap();
    assert_eq!(w.open_from(v6("2001:db8::3")), Err(Refused::Address));
    w.open_from(v6("2001:db8:0:1::3")).unwrap();
    w.open_from([192, 0, 2, 1].into()).unwrap();
    w.open_from(v6("::ffff:192.0.2.1")).unwrap();
    assert_eq!(w.open_from([198, 51, 100, 1].into()), Err(Refused::Full));
    w.broker.handle_closed(first, w.now);
    assert_eq!(w.open_from(v6("::ffff:192.0.2.1")), Err(Refused::Address), "one address in two spellings");
    w.open_from(v6("2001:db8::3")).unwrap();
}

#[test]
fn relayed_data_is_bounded_over_all_devices_and_accounted_to_the_byte() {
    let limits = Limits { relay_queue_bytes: 1 << 20, relay_queue_total: 100_000, ..Limits::default() };
    let mut w = World::new(limits);
    let (a, _) = w.register(1);
    let sockets: Vec<_> = (2..12).map(|seed| w.register(seed).0).collect();
    for seed in 2..12 {
        w.binary(a, &frame(device(seed), 1, 16_000));
    }
    let stats = w.broker.stats();
    assert_eq!((stats.relay_frames, stats.relay_overflows), (6, 4));
    assert!(stats.relay_queued_bytes <= 100_000 + 1000, "{stats:?}");
    assert_eq!(closes(&w.output(a)), [RelayCloseReason::Overflow; 4]);
    for socket in sockets {
        w.output(socket);
    }
    assert_eq!(w.broker.stats().relay_queued_bytes, 0);
    // Sockets that go with data waiting give it back.
    let (b, _) = w.register(2);
    w.binary(a, &frame(device(2), 2, 16_000));
    w.broker.handle_closed(b, w.now);
    w.output(a);
    assert_eq!(w.broker.stats().relay_queued_bytes, 0);
    assert_eq!(w.broker.stats().relay_connections, 5);
}

#[test]
fn signaling_overtakes_relayed_data() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    for _ in 0..100 {
        w.binary(a, &frame(device(2), 1, 16_000));
    }
    w.say(a, Answer, device(2), 1, 10);
    let mut batch = Vec::new();
    w.broker.take_output(b, 1, &mut batch);
    assert!(matches!(batch[..], [Outbound::Text(ServerMessage::Answer(_))]));
}

#[test]
fn a_device_that_takes_no_messages_loses_its_socket_and_the_relay_no_memory() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.register(2);
    for _ in 0..1000 {
        w.say(a, IceCandidate, device(2), 1, 50_000);
    }
    let stats = w.broker.stats();
    assert_eq!((stats.too_slow, stats.devices), (1, 1));
    assert!(stats.queued_messages <= Limits::default().queue_per_pair as u64);
}

#[test]
fn rates_tell_the_reader_when_to_go_on() {
    let limits = Limits {
        messages_per_second: 10,
        messages_burst: 2,
        relay_bytes_per_second: 1000,
        relay_burst: 1000,
        ..Limits::default()
    };
    let mut w = World::new(limits);
    let (a, _) = w.register(1);
    assert_eq!(w.text(a, ClientMessage::GetIceServers), None);
    let later = w.text(a, ClientMessage::GetIceServers).unwrap();
    assert_eq!(later - w.now, Duration::from_millis(100));
    // Registration, two more: what was sent was answered all the same.
    assert_eq!(w.output(a).len(), 2);
    let size = frame(device(2), 1, 0).encode().len();
    assert_eq!(w.binary(a, &frame(device(2), 1, 1000 - size)), None);
    let later = w.binary(a, &frame(device(2), 1, 500 - size)).unwrap();
    assert_eq!(later - w.now, Duration::from_millis(500));
}

#[test]
fn certificates_are_remembered_for_a_while_and_in_bounded_number() {
    let mut w = World::new(Limits {
        max_certificates: 3,
        certificate_days: 1,
        idle_seconds: u64::MAX,
        ..Limits::default()
    });
    let ask = |w: &mut World, socket, seed| {
        w.text(socket, ClientMessage::GetCertificate { device_id: device(seed) });
        match w.output(socket).pop() {
            Some(Outbound::Text(ServerMessage::Certificate { certificate, .. })) => certificate.is_some(),
            other => panic!("{other:?}"),
        }
    };
    for seed in 2..5 {
        let (socket, _) = w.register(seed);
        w.broker.handle_closed(socket, w.now);
        w.advance(Duration::from_secs(60));
    }
    let (a, _) = w.register(1);
    assert!(!ask(&mut w, a, 2), "the fourth pushed out the first");
    assert!(ask(&mut w, a, 3) && ask(&mut w, a, 4));
    w.advance(Duration::from_secs(86_400));
    assert!(!ask(&mut w, a, 3) && !ask(&mut w, a, 4), "a day later");
    assert!(ask(&mut w, a, 1), "still here");
}

#[test]
fn nothing_after_shutdown_lets_anybody_in() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.broker.handle_shutdown(w.now);
    assert_eq!(w.open(), Err(Refused::ShuttingDown));
    w.text(a, ClientMessage::GetIceServers);
    let output = w.output(a);
    assert!(
        matches!(
            output[..],
            [
                Outbound::Text(ServerMessage::Error { code: ErrorCode::ShuttingDown, .. }),
                Outbound::Close(close_code::GOING_AWAY, _)
            ]
        ),
        "{output:?}"
    );
}

#[test]
fn a_closed_socket_takes_and_gives_nothing() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.broker.handle_closed(a, w.now);
    assert_eq!(w.binary(a, &frame(device(2), 1, 1)), None);
    assert_eq!(w.broker.handle_message(a, Inbound::Binary(Bytes::new()), w.now, UnixTime(0)), None);
    assert_eq!(w.output(a), []);
    w.broker.handle_closed(a, w.now);
    let stats = w.broker.stats();
    assert_eq!((stats.sockets, stats.devices), (0, 0));
}
