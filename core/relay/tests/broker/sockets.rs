//! Admission of sockets, their life, and the memory of those that left.

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
fn of_two_sockets_of_a_device_the_later_one_stays_whichever_is_proven_first() {
    for earlier_first in [true, false] {
        let mut w = World::new(Limits::default());
        let (earlier, later) = (w.open().unwrap(), w.open().unwrap());
        let mut heard = Vec::new();
        for socket in if earlier_first { [earlier, later] } else { [later, earlier] } {
            heard.extend(w.prove(socket, 1, None));
        }
        heard.extend(w.output(earlier));
        assert_eq!(heard.last(), Some(&Outbound::Close(close_code::SUPERSEDED, "superseded")));
        assert_eq!((w.broker.stats().devices, w.broker.stats().superseded), (1, 1));
        w.broker.handle_closed(earlier);
        assert_eq!(w.broker.stats().devices, 1, "the later one is the device's");
    }
}

#[test]
fn a_silent_socket_is_closed_and_any_sign_of_life_keeps_it() {
    let mut w = World::new(Limits { idle_seconds: 60, ..Limits::default() });
    let (quiet, _) = w.register(1);
    let (alive, _) = w.register(2);
    for _ in 0..10 {
        w.advance(Duration::from_secs(30));
        w.broker.handle_message(alive, Inbound::Pong, w.now, UnixTime(0));
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
    w.broker.handle_closed(first);
    assert_eq!(w.open_from(v6("::ffff:192.0.2.1")), Err(Refused::Address), "one address in two spellings");
    w.open_from(v6("2001:db8::3")).unwrap();
}

#[test]
fn nothing_after_shutdown_lets_anybody_in() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.broker.handle_shutdown();
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
    w.broker.handle_closed(a);
    assert_eq!(w.binary(a, &frame(device(2), 1, 1)), None);
    assert_eq!(w.broker.handle_message(a, Inbound::Binary(Bytes::new()), w.now, UnixTime(0)), None);
    assert_eq!(w.output(a), []);
    w.broker.handle_closed(a);
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
            knock_burst: number,
            knock_seconds: number,
            knocked_burst: number,
            knocked_per_second: number,
            registrations_per_second: number,
            ..Limits::default()
        };
        let mut w = World::new(limits);
        let (a, _) = w.register(1);
        w.text(a, ClientMessage::GetIceServers);
        w.binary(a, &frame(device(2), 1, 1000));
        w.knock(a, device(2));
        w.broker.handle_timeout(w.now);
        w.broker.handle_closed(a);
        w.broker.handle_timeout(w.now + Duration::from_secs(60));
        assert_eq!(w.broker.stats().queued_messages, 0, "{number}");
    }
}

#[test]
fn half_open_connections_are_bounded_and_the_oldest_of_the_heaviest_address_goes() {
    let mut w = World::new(Limits { max_half_open: 6, max_sockets_per_ip: 4, ..Limits::default() });
    let address = |n: u8| IpAddr::from([192, 0, 2, n]);
    let honest = w.broker.handle_accept(address(1)).unwrap();
    let many: Vec<_> = (0..5).map(|_| w.broker.handle_accept(address(2)).unwrap()).collect();
    assert_eq!(w.broker.poll_cut(), Some(many[0]), "an address has as many as it may have sockets");
    w.broker.handle_accept(address(3)).unwrap();
    assert_eq!(w.broker.poll_cut(), None);
    w.broker.handle_accept(address(4)).unwrap();
    assert_eq!(w.broker.poll_cut(), Some(many[1]));
    let stats = w.broker.stats();
    assert_eq!((stats.half_open, stats.half_open_dropped, stats.sockets), (6, 2, 0));
    assert_eq!(w.upgrade(many[0], address(2)), Err(Refused::Full), "cut");
    w.upgrade(honest, address(1)).unwrap();
    assert_eq!((w.broker.stats().half_open, w.broker.stats().sockets), (5, 1));
    for id in many.into_iter().chain([honest]) {
        w.broker.handle_closed(id);
    }
    assert_eq!((w.broker.stats().half_open, w.broker.stats().sockets), (2, 0));
}

#[test]
fn attempts_to_register_are_limited_per_address_across_sockets() {
    let limits = Limits { registrations_per_second: 1, registrations_burst: 2, ..Limits::default() };
    let mut w = World::new(limits);
    let start = w.now;
    let at = |w: &mut World, ip: [u8; 4]| {
        let socket = w.open_from(ip.into()).unwrap();
        let at = w.broker.handle_registering(socket, start).map(|(_, at)| at - start);
        w.broker.handle_closed(socket);
        at
    };
    let waits: Vec<_> = (0..13).map(|_| at(&mut w, [192, 0, 2, 1])).collect();
    assert_eq!(waits[..2], [Ok(Duration::ZERO); 2]);
    assert_eq!(waits[2..12], (1..=10).map(|s| Ok(Duration::from_secs(s))).collect::<Vec<_>>());
    assert_eq!(waits[12], Err(Refused::Registrations), "later than a device would wait");
    assert_eq!(at(&mut w, [192, 0, 2, 2]), Ok(Duration::ZERO), "another address");
    // Its own sockets do not matter to what is remembered, and nothing is remembered for ever.
    w.advance(Duration::from_secs(60));
    let again = w.open_from([192, 0, 2, 1].into()).unwrap();
    assert_eq!(w.broker.handle_registering(again, w.now).map(|(_, at)| at), Ok(w.now));
}
