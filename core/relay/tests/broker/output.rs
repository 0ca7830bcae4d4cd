//! What waits for devices that are here: its order and its bounds.

use std::time::Duration;

use peers_proto::signaling::ExchangeKind::{Answer, IceCandidate};
use peers_proto::signaling::{ClientMessage, RelayCloseReason, ServerMessage};
use peers_relay::{Limits, Outbound};

use crate::world::{World, closes, device, frame};

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
fn slow_devices_that_fall_one_after_the_other_need_no_stack() {
    const DEVICES: u8 = 100;
    /// What may wait for one socket.
    const EVENTS: usize = 4096;
    const STACK: usize = 64 << 10;
    let mut w = World::new(Limits::default());
    let sockets: Vec<_> = (0..DEVICES).map(|seed| w.register(seed).0).collect();
    for (seed, socket) in (0..).zip(&sockets) {
        let neighbours = [u8::wrapping_sub(seed, 1), seed + 1].map(device).to_vec();
        w.text(*socket, ClientMessage::Watch { device_ids: neighbours, open: false });
    }
    // Each has as much waiting as it may: one more event, a neighbour that left, is too much.
    for socket in &sockets[1..] {
        w.output(*socket);
        for _ in 0..EVENTS {
            w.text(*socket, ClientMessage::GetIceServers);
        }
    }
    assert_eq!(w.broker.stats().too_slow, 0);
    let (first, now) = (sockets[0], w.now);
    let fall = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        w.broker.handle_closed(first, now);
        w.broker.stats()
    });
    let stats = fall.unwrap().join().unwrap();
    assert_eq!((stats.devices, stats.too_slow), (0, u64::from(DEVICES) - 1));
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
