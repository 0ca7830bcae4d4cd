//! Registration, and the refusal of devices that may not register.

use peers_proto::signaling::{
    ClientMessage, ErrorCode, ExchangeKind, IceServer, ServerMessage, close_code, server_name,
};
use peers_relay::{IceConfig, Relay, RelayConfig, TurnConfig};

use crate::device::{Device, Socket, certificate, keys, relay};

async fn expect_denied(mut socket: Socket) {
    let ServerMessage::Error { code, .. } = socket.event().await else { panic!("expected an error") };
    assert_eq!(code, ErrorCode::Denied);
    assert_eq!(socket.closed().await, Some(close_code::POLICY));
}

// proves S044 S103
#[tokio::test]
async fn a_device_that_proves_its_key_is_registered() {
    let relay = relay().await;
    let _a = Device::register(&relay, 1).await;
    assert_eq!(relay.stats().devices, 1);
}

// proves S045
#[tokio::test]
async fn a_device_that_disconnects_is_no_longer_registered() {
    let relay = relay().await;
    let (a, mut b) = (Device::register(&relay, 1).await, Device::register(&relay, 2).await);
    b.socket.send(ClientMessage::Watch { device_ids: vec![a.id], open: false }).await;
    let mut a = a;
    a.socket.send(ClientMessage::Watch { device_ids: vec![b.id], open: false }).await;
    assert_eq!(b.socket.event().await, ServerMessage::DeviceOnline { device_id: a.id });
    drop(a.socket);
    assert_eq!(b.socket.event().await, ServerMessage::DeviceOffline { device_id: a.id });
    assert_eq!(relay.stats().devices, 1);
}

#[tokio::test]
async fn a_replayed_registration_is_refused() {
    let relay = relay().await;
    let (keys, dialed) = (keys(1), server_name(&relay.url()).unwrap());
    let mut first = Socket::dial(&relay).await;
    let registration = first.challenge().await.answer(&dialed, &keys, &certificate(&keys));
    first.send(ClientMessage::DeviceRegistered(registration.clone())).await;
    assert!(matches!(first.event().await, ServerMessage::Registered(_)));

    let mut second = Socket::dial(&relay).await;
    let challenge = second.challenge().await;
    second.send(ClientMessage::DeviceRegistered(registration.clone())).await;
    expect_denied(second).await;

    let mut third = Socket::dial(&relay).await;
    let nonce = third.challenge().await.nonce;
    assert_ne!(nonce, challenge.nonce, "nonces are fresh");
    let mut forged = registration;
    forged.nonce = nonce;
    third.send(ClientMessage::DeviceRegistered(forged)).await;
    expect_denied(third).await;

    // The real one was not disturbed.
    first.settle().await;
    assert_eq!(relay.stats().registrations_denied, 2);
}

#[tokio::test]
async fn an_unproven_id_gets_nothing_of_anothers_queue() {
    let relay = relay().await;
    let mut sender = Device::arrive(&relay, 1).await;
    let (victim, thief) = (keys(2), keys(3));
    sender.say(ExchangeKind::Offer, victim.device_id(), 1, "c2VjcmV0").await;
    sender.socket.settle().await;

    let mut socket = Socket::dial(&relay).await;
    let dialed = server_name(&relay.url()).unwrap();
    let mut registration = socket.challenge().await.answer(&dialed, &thief, &certificate(&victim));
    registration.device_id = victim.device_id();
    socket.send(ClientMessage::DeviceRegistered(registration)).await;
    expect_denied(socket).await;
    assert_eq!(relay.stats().queued_messages, 1, "still waits for the real one");

    let mut victim = Device::register(&relay, 2).await;
    victim.watch(&[sender.id]).await;
    assert!(matches!(victim.socket.event().await, ServerMessage::Offer(e) if e.queued));
}

#[tokio::test]
async fn a_registration_for_another_relay_is_refused() {
    let relay = relay().await;
    let keys = keys(1);
    let mut socket = Socket::dial(&relay).await;
    let mut challenge = socket.challenge().await;
    challenge.server_name = "evil.example.com".into();
    let mut registration = challenge.answer("evil.example.com", &keys, &certificate(&keys));
    registration.server_name = server_name(&relay.url()).unwrap();
    socket.send(ClientMessage::DeviceRegistered(registration)).await;
    expect_denied(socket).await;
}

// As behind nginx, which gives the address of the relay for `Host`.
#[tokio::test]
async fn a_device_registers_by_a_name_of_the_configuration_whatever_host_the_proxy_gives() {
    let names = vec!["relay.example.com".to_owned(), "relay.example.org".to_owned()];
    let config = RelayConfig { bind: ([127, 0, 0, 1], 0).into(), names, ..RelayConfig::default() };
    let relay = Relay::start(config).await.unwrap();
    let keys = keys(1);
    for dialed in ["relay.example.com", "relay.example.org"] {
        let mut socket = Socket::dial(&relay).await;
        let challenge = socket.challenge().await;
        assert_eq!(challenge.server_name, "relay.example.com");
        let registration = challenge.answer(dialed, &keys, &certificate(&keys));
        socket.send(ClientMessage::DeviceRegistered(registration)).await;
        assert!(matches!(socket.event().await, ServerMessage::Registered(_)), "{dialed}");
    }

    // What it listens on is no name of its own any more, and the refusal says what to set.
    let mut socket = Socket::dial(&relay).await;
    let dialed = server_name(&relay.url()).unwrap();
    let registration = socket.challenge().await.answer(&dialed, &keys, &certificate(&keys));
    socket.send(ClientMessage::DeviceRegistered(registration)).await;
    let ServerMessage::Error { code, text, .. } = socket.event().await else { panic!("expected an error") };
    assert_eq!(code, ErrorCode::WrongName);
    assert!(text.contains(&dialed) && text.contains("relay.example.com, relay.example.org"), "{text}");
    assert_eq!(socket.closed().await, Some(close_code::POLICY));
    assert_eq!(relay.stats().wrong_name, 1);
}

#[tokio::test]
async fn nothing_is_accepted_before_registration() {
    let relay = relay().await;
    for text in [
        r#"{"event":"getIceServers"}"#,
        r#"{"event":"watch","deviceIds":[]}"#,
        r#"{"event":"getCertificate","deviceId":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
    ] {
        let mut socket = Socket::dial(&relay).await;
        socket.challenge().await;
        socket.send_text(text).await;
        let error = socket.event().await;
        assert!(matches!(error, ServerMessage::Error { code: ErrorCode::Unregistered, .. }), "{error:?}");
        assert_eq!(socket.closed().await, Some(close_code::POLICY));
    }
}

#[tokio::test]
async fn the_newest_registration_wins_and_the_older_is_told() {
    let relay = relay().await;
    let mut sender = Device::arrive(&relay, 1).await;
    let mut old = Device::arrive(&relay, 2).await;
    let mut new = Device::arrive(&relay, 2).await;
    assert_eq!(old.socket.event().await, ServerMessage::Superseded);
    assert_eq!(old.socket.closed().await, Some(close_code::SUPERSEDED));

    let sent = sender.say(ExchangeKind::Offer, new.id, 1, "c2VhbGVk").await;
    assert_eq!(new.socket.event().await, ServerMessage::Offer(sent));
    assert_eq!(relay.stats().devices, 2);
}

// proves S017 S056 S165 S166 S167
#[tokio::test]
async fn ice_servers_come_with_registration_and_on_request() {
    let config = RelayConfig {
        bind: ([127, 0, 0, 1], 0).into(),
        ice: IceConfig {
            stun: vec!["stun:one.example.com:3478".into(), "stun:two.example.com:3478".into()],
            turn: vec![
                TurnConfig::Static {
                    urls: vec!["turn:three.example.com:3478".into()],
                    username: "u".into(),
                    credential: "c".into(),
                },
                TurnConfig::Rest {
                    urls: vec!["turn:four.example.com:3478".into()],
                    secret: "s".into(),
                    ttl_seconds: 600,
                },
            ],
        },
        ..RelayConfig::default()
    };
    let relay = Relay::start(config).await.unwrap();
    let mut device = Device::register(&relay, 1).await;
    device.socket.send(ClientMessage::GetIceServers).await;
    let ServerMessage::IceServers(list) = device.socket.event().await else { panic!("no list") };
    for list in [&list, &device.ice] {
        let [stun, fixed, rest]: &[IceServer; 3] = list.ice_servers[..].try_into().unwrap();
        assert_eq!(stun.urls.len(), 2);
        assert_eq!((fixed.username.as_deref(), fixed.credential.as_deref()), (Some("u"), Some("c")));
        assert!(rest.username.as_ref().unwrap().ends_with(&format!(":{}", device.id)));
        assert_eq!(list.expires_in, Some(600));
    }
}

#[tokio::test]
async fn a_certificate_is_found_by_device_id() {
    let relay = relay().await;
    let mut a = Device::register(&relay, 1).await;
    let mut b = Device::register(&relay, 2).await;
    let device_id = b.id;
    let found = Some(certificate(&keys(2)).as_bytes().to_vec());
    // Nothing before B accepts A.
    for (watched, certificate) in [(None, None), (Some([a.id]), found)] {
        if let Some(watched) = watched {
            b.watch(&watched).await;
            b.socket.settle().await;
        }
        a.socket.send(ClientMessage::GetCertificate { device_id }).await;
        assert_eq!(a.socket.event().await, ServerMessage::Certificate { device_id, certificate });
    }
}
