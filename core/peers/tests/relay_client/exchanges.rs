use std::time::Duration;

use peers::clock::Clock;
use peers::relay_client::{RelayError, RelayEvent, RelayState};
use peers::{Client, Transports, TrustLevel};
use peers_proto::dial::Presence;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits;
use peers_proto::signaling::{ClientMessage, ExchangeKind, IceServer, IceServers, MessageId, ServerMessage};
use peers_relay::Relay;

use super::fake::{FakeRelay, FakeSocket};
use super::{Device, Online, acquainted, connection, free_address, relay, relay_config};

#[derive(Debug, PartialEq)]
struct Heard {
    kind: ExchangeKind,
    from: DeviceId,
    connection: ConnectionId,
    message: MessageId,
    envelopes: Vec<String>,
    queued: bool,
}

async fn heard(online: &mut Online) -> Heard {
    loop {
        match online.event().await {
            RelayEvent::Exchange { kind, from, connection, message, envelopes, queued } => {
                return Heard { kind, from, connection, message, envelopes, queued };
            }
            RelayEvent::Presence(_, Presence::Online) => {}
            _ => panic!("an exchange was expected"),
        }
    }
}

fn sealed(text: &str) -> Vec<String> {
    vec![peers_proto::signaling::base64::encode(text.as_bytes())]
}

fn message(n: u8) -> MessageId {
    MessageId::from_bytes([n; 16])
}

// proves S023 S024 S057 S066 S067 S103
#[tokio::test]
async fn offer_answer_and_candidates_cross_the_relay() {
    let relay = relay().await;
    let (mut a, mut b) = acquainted(&relay.url()).await;
    let (ida, idb, id) = (a.id, b.id, connection(1));
    let expect = |kind, from, message, text| Heard {
        kind,
        from,
        message,
        connection: id,
        envelopes: sealed(text),
        queued: false,
    };
    let m = message(1);
    a.client.send_exchange(ExchangeKind::Offer, idb, id, m, sealed("offer")).unwrap();
    assert_eq!(heard(&mut b).await, expect(ExchangeKind::Offer, ida, m, "offer"));
    let m = message(2);
    b.client.send_exchange(ExchangeKind::Answer, ida, id, m, sealed("answer")).unwrap();
    assert_eq!(heard(&mut a).await, expect(ExchangeKind::Answer, idb, m, "answer"));
    for (from, to) in [(&a, idb), (&b, ida)] {
        from.client
            .send_exchange(
                ExchangeKind::IceCandidate,
                to,
                id,
                message(3),
                [sealed("1"), sealed("2")].concat(),
            )
            .unwrap();
    }
    for side in [&mut a, &mut b] {
        assert_eq!(heard(side).await.envelopes, [sealed("1"), sealed("2")].concat());
    }
}

// proves S103
#[tokio::test]
async fn messages_wait_at_the_relay_for_an_absent_device() {
    let relay = relay().await;
    let b = Device::new(2);
    let a = Device::new(1).register_for(&relay.url(), b.id()).await;
    a.client.send_exchange(ExchangeKind::Offer, b.id(), connection(1), message(1), sealed("offer")).unwrap();
    a.client
        .send_exchange(ExchangeKind::IceCandidate, b.id(), connection(1), message(2), sealed("candidate"))
        .unwrap();
    // The relay answers in order: after this it has both.
    assert_eq!(a.client.certificate(DeviceId::derive(b"?")).await, Err(RelayError::UnknownDevice));
    assert_eq!(relay.stats().queued_messages, 2);
    let mut b = b.register_for(&relay.url(), a.id).await;
    for text in ["offer", "candidate"] {
        let heard = heard(&mut b).await;
        assert_eq!((heard.envelopes, heard.queued), (sealed(text), true));
    }
}

// proves S022
#[tokio::test]
async fn messages_wait_here_for_an_absent_relay_and_go_out_in_order() {
    let bind = free_address().await;
    let a = Device::new(1).start(&format!("ws://{bind}"), &Clock::manual());
    a.until(|s| matches!(s, RelayState::Waiting { .. })).await;
    let b = Device::new(2);
    a.client.watch_devices(vec![b.id()]);
    for n in 0..3 {
        a.client
            .send_exchange(
                ExchangeKind::IceCandidate,
                b.id(),
                connection(1),
                message(n),
                sealed(&n.to_string()),
            )
            .unwrap();
    }
    let relay = Relay::start(peers_relay::RelayConfig { bind, ..relay_config() }).await.unwrap();
    let mut b = b.register_for(&relay.url(), a.id).await;
    a.client.network_changed(false);
    for n in 0..3 {
        assert_eq!(heard(&mut b).await.envelopes, sealed(&n.to_string()));
    }
}

#[tokio::test]
async fn what_is_held_is_bounded_and_grows_old() {
    let clock = Clock::manual();
    let a = Device::new(1).start(&format!("ws://{}", free_address().await), &clock);
    let b = Device::new(2).id();
    let send = |kind, envelopes| a.client.send_exchange(kind, b, connection(1), message(1), envelopes);
    let (one, many) = (sealed("x"), vec![String::new(); limits::MAX_CANDIDATES + 1]);
    assert_eq!(send(ExchangeKind::Offer, vec![]).err(), Some(RelayError::Envelopes));
    assert_eq!(send(ExchangeKind::Answer, many[..2].to_vec()).err(), Some(RelayError::Envelopes));
    assert_eq!(send(ExchangeKind::IceCandidate, many).err(), Some(RelayError::Envelopes));
    assert_eq!(
        send(ExchangeKind::Offer, vec!["x".repeat(limits::MAX_SIGNALING)]).err(),
        Some(RelayError::Envelopes)
    );
    for _ in 0..limits::MAX_HELD_EXCHANGES {
        send(ExchangeKind::Offer, one.clone()).unwrap();
    }
    assert_eq!(send(ExchangeKind::Offer, one.clone()).err(), Some(RelayError::Full));
    clock.advance(peers_proto::timing::OFFER_TTL);
    send(ExchangeKind::Offer, one).unwrap();
}

// proves S025
#[tokio::test]
async fn devices_that_watch_each_other_see_each_other_come_and_go() {
    let relay = relay().await;
    let (a, b) = (Device::new(1), Device::new(2));
    let mut a = a.register(&relay.url()).await;
    a.client.watch_devices(vec![b.id()]);
    let mut b = b.register(&relay.url()).await;
    b.client.watch_devices(vec![a.id]);
    assert!(matches!(a.event().await, RelayEvent::Presence(d, Presence::Online) if d == b.id));
    assert!(matches!(b.event().await, RelayEvent::Presence(d, Presence::Online) if d == a.id));
    b.task.shutdown().await;
    assert!(matches!(a.event().await, RelayEvent::Presence(d, Presence::Offline) if d == b.id));
    relay.shutdown().await;
    assert!(
        matches!(a.event().await, RelayEvent::Presence(d, Presence::Unknown) if d == b.id),
        "who is away knows of nobody"
    );
}

#[tokio::test]
async fn certificates_are_given_to_devices_that_are_let_in() {
    let relay = relay().await;
    let (a, b) = (Device::new(1).register(&relay.url()).await, Device::new(2));
    assert_eq!(a.client.certificate(b.id()).await, Err(RelayError::UnknownDevice), "absent");
    let online = b.register(&relay.url()).await;
    assert_eq!(a.client.certificate(b.id()).await, Err(RelayError::UnknownDevice), "unwilling");
    online.client.watch_devices(vec![a.id]);
    // The relay answers in order: after this it has the list.
    assert!(online.client.certificate(DeviceId::derive(b"?")).await.is_err());
    assert_eq!(a.client.certificate(b.id()).await, Ok(b.certificate));
}

#[tokio::test]
async fn a_lying_relays_certificates_are_refused() {
    let fake = FakeRelay::start().await;
    let device = Device::new(1).start(&fake.url(), &Clock::system());
    let mut socket = fake.register(IceServers::default()).await;
    let victim = Device::new(2).id();
    let lies = [
        (Device::new(3).certificate.as_bytes().to_vec(), "another's"),
        (vec![1, 2, 3], "garbage"),
        (
            {
                let mut bytes = Device::new(2).certificate.as_bytes().to_vec();
                bytes[50] ^= 1;
                bytes
            },
            "changed",
        ),
    ];
    for (lie, what) in lies {
        let answer = async {
            let asked = socket.hear().await;
            assert_eq!(asked, ClientMessage::GetCertificate { device_id: victim });
            socket.say(&ServerMessage::Certificate { device_id: victim, certificate: Some(lie) }).await;
        };
        let (found, ()) = tokio::join!(device.client.certificate(victim), answer);
        assert!(
            matches!(found, Err(RelayError::WrongCertificate | RelayError::BadCertificate(_))),
            "{what}: {found:?}"
        );
    }
}

// proves S056
#[tokio::test]
async fn turn_credentials_are_renewed_before_they_end_and_never_used_after() {
    let fake = FakeRelay::start().await;
    let clock = Clock::manual();
    let mut device = Device::new(1).start(&fake.url(), &clock);
    let servers = |credential: &str| {
        let stun = IceServer { urls: vec!["stun:s".into()], username: None, credential: None };
        let turn = IceServer {
            urls: vec!["turn:t".into()],
            username: Some("u".into()),
            credential: Some(credential.into()),
        };
        IceServers { ice_servers: vec![stun, turn], expires_in: Some(600) }
    };
    let mut socket = fake.register(servers("first")).await;
    device.until(|s| *s == RelayState::Registered).await;
    assert_eq!(device.client.ice_servers(), servers("first").ice_servers);

    clock.advance(Duration::from_secs(541));
    assert_eq!(socket.hear().await, ClientMessage::GetIceServers);
    socket.say(&ServerMessage::IceServers(servers("second"))).await;
    let other = Device::new(2).id();
    device.client.watch_devices(vec![other]);
    assert!(matches!(socket.hear().await, ClientMessage::Watch { .. }));
    socket.say(&ServerMessage::DeviceOnline { device_id: other }).await;
    device.event().await;
    assert_eq!(device.client.ice_servers(), servers("second").ice_servers);
    clock.advance(Duration::from_secs(600));
    assert_eq!(device.client.ice_servers(), servers("second").ice_servers[..1], "credentials ended");
}

/// Copies of one message have one id, by which the recipient drops all but the first.
#[tokio::test]
async fn every_relay_carries_the_same_message() {
    let (x, y) = (FakeRelay::start().await, FakeRelay::start().await);
    let peer = Device::new(2);
    let builder = Client::builder().relay(x.url()).relay(y.url());
    let builder = builder.transports(Transports { relay: false, ..Transports::default() });
    let (client, _events) = builder.trust(peer.id(), TrustLevel::Known).start().await.unwrap();
    let ice = IceServers::default;
    let (mut x, mut y) = tokio::join!(x.register(ice()), y.register(ice()));
    let (heard_by_x, heard_by_y) = tokio::join!(first_exchange(&mut x, &peer), first_exchange(&mut y, &peer));
    assert_eq!(heard_by_x, heard_by_y);
    client.shutdown().await;
}

/// The id of the first message with an envelope. The relay knows the peer.
async fn first_exchange(socket: &mut FakeSocket, peer: &Device) -> MessageId {
    loop {
        match socket.hear().await {
            ClientMessage::GetCertificate { device_id } => {
                let certificate = Some(peer.certificate.as_bytes().to_vec());
                socket.say(&ServerMessage::Certificate { device_id, certificate }).await;
            }
            ClientMessage::Offer(exchange)
            | ClientMessage::Answer(exchange)
            | ClientMessage::IceCandidate(exchange) => {
                return exchange.message_id;
            }
            _ => {}
        }
    }
}
