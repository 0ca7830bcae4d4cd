//! Who gets in, who stays, and what is remembered of who left.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use peers_proto::signaling::{ClientMessage, ErrorCode, ServerMessage, close_code};
use peers_proto::time::UnixTime;
use peers_proto::timing;
use peers_relay::{Inbound, Limits, Outbound, Refused};

use crate::world::{World, device, frame};

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

#[test]
fn numbers_of_any_size_break_nothing() {
    for number in [0, 1, u64::MAX] {
        let limits = Limits {
            idle_seconds: number.max(1),
            messages_per_second: number,
            messages_burst: number,
            relay_bytes_per_second: number,
            relay_burst: number,
            certificate_days: number,
            ..Limits::default()
        };
        let mut w = World::new(limits);
        let (a, _) = w.register(1);
        w.text(a, ClientMessage::GetIceServers);
        w.binary(a, &frame(device(2), 1, 1000));
        w.broker.handle_timeout(w.now);
        w.broker.handle_closed(a, w.now);
        w.broker.handle_timeout(w.now + Duration::from_secs(60));
        let remembered = u64::from(number > 0);
        assert_eq!(w.broker.stats().certificates, remembered, "{number}");
    }
}
