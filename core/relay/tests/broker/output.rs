//! Messages that wait for devices that are here: their order and their bounds.

use std::time::Duration;

use peers_proto::id::DeviceId;
use peers_proto::signaling::ExchangeKind::{Answer, IceCandidate};
use peers_proto::signaling::{ClientMessage, RelayCloseReason, ServerMessage};
use peers_proto::time::UnixTime;
use peers_relay::{Inbound, Limits, Outbound};

use crate::world::{World, closes, device, frame, mail};

#[test]
fn relayed_data_is_bounded_over_all_devices_and_accounted_to_the_byte() {
    let limits = Limits { relay_queue_bytes: 1 << 20, relay_queue_total: 100_000, ..Limits::default() };
    let mut w = World::new(limits);
    let (a, _) = w.arrive(1);
    let sockets: Vec<_> = (2..12).map(|seed| w.arrive(seed).0).collect();
    for seed in 2..12 {
        w.binary(a, &frame(device(seed), 1, 16_000));
    }
    let stats = w.broker.stats();
    assert_eq!((stats.relay_frames, stats.relay_overflows, stats.relay_connections), (10, 4, 6));
    assert!(stats.relay_queued_bytes <= 100_000 + 1000, "{stats:?}");
    assert_eq!(closes(&w.output(a)), [RelayCloseReason::Overflow; 4]);
    for socket in sockets {
        w.output(socket);
    }
    assert_eq!(w.broker.stats().relay_queued_bytes, 0);
    // Sockets that go with data waiting give it back.
    let (b, _) = w.arrive(2);
    w.binary(a, &frame(device(2), 2, 16_000));
    w.broker.handle_closed(b);
    w.output(a);
    assert_eq!(w.broker.stats().relay_queued_bytes, 0);
    assert_eq!(w.broker.stats().relay_connections, 6);
}

#[test]
fn signaling_overtakes_relayed_data() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive(1);
    let (b, _) = w.arrive(2);
    for _ in 0..100 {
        w.binary(a, &frame(device(2), 1, 16_000));
    }
    w.say(a, Answer, device(2), 1, 10);
    let mut batch = Vec::new();
    w.broker.take_output(b, 1, &mut batch);
    assert!(matches!(batch[..], [Outbound::Text(ServerMessage::Answer(_))]));
}

#[test]
fn a_flood_of_messages_takes_from_its_sender_and_not_the_recipients_place() {
    let limits = Limits::default();
    let mut w = World::new(limits);
    let (flood, _) = w.arrive(1);
    let (honest, _) = w.arrive_from([198, 51, 100, 1].into(), 2);
    let (b, _) = w.arrive(3);
    let kept = w.say(honest, Answer, device(3), 1, 1000);
    for _ in 0..1000 {
        w.say(flood, IceCandidate, device(3), 1, 50_000);
    }
    let stats = w.broker.stats();
    assert_eq!((stats.too_slow, stats.devices), (0, 3));
    assert!(stats.queued_bytes <= limits.message_bytes_per_device as u64, "{stats:?}");
    assert!(stats.share_dropped >= 970, "{stats:?}");
    // One message of the flood is ahead at most.
    assert!(mail(&w.output(b))[..2].contains(&(kept, false)));
    assert_eq!(w.broker.stats().message_bytes, 0);
}

#[test]
fn a_device_that_does_not_read_the_relays_own_answers_loses_its_socket() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive(1);
    for _ in 0..10_000 {
        w.text(a, ClientMessage::GetIceServers);
    }
    let stats = w.broker.stats();
    assert_eq!((stats.too_slow, stats.devices), (1, 0));
    assert!(stats.message_bytes < 1 << 20, "{stats:?}");
    assert_eq!(w.broker.poll_cut(), Some(a), "it would not read the end either");
}

#[test]
fn presence_of_others_throws_no_device_off() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.watch(a, &[2]);
    let held = w.broker.stats().message_bytes;
    for _ in 0..10_000 {
        let (b, _) = w.register(2);
        w.watch(b, &[1]);
        w.broker.handle_closed(b);
        w.now += Duration::from_millis(100);
    }
    let stats = w.broker.stats();
    assert_eq!((stats.too_slow, stats.devices), (0, 1));
    assert!(stats.message_bytes <= held + 1000, "only the newest waits: {stats:?}");
    assert_eq!(w.output(a), [Outbound::Text(ServerMessage::DeviceOffline { device_id: device(2) })]);
}

#[test]
fn slow_devices_that_fall_one_after_the_other_need_no_stack() {
    const DEVICES: u8 = 100;
    const STACK: usize = 64 << 10;
    let mut w = World::new(Limits { message_memory_total: 1 << 20, ..Limits::default() });
    let sockets: Vec<_> = (0..DEVICES).map(|seed| w.register(seed).0).collect();
    for (seed, socket) in (0..).zip(&sockets) {
        w.watch(*socket, &[u8::wrapping_sub(seed, 1), seed + 1]);
    }
    // Together they have as much waiting as the relay holds: a neighbour that left is too much for one, and so on.
    'full: for _ in 0.. {
        for socket in &sockets[1..] {
            w.text(*socket, ClientMessage::GetIceServers);
            if w.broker.stats().message_bytes > (1 << 20) - 512 {
                break 'full;
            }
        }
    }
    assert_eq!(w.broker.stats().too_slow, 0);
    let (first, second) = (sockets[0], sockets[1]);
    let fall = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        w.broker.handle_closed(first);
        let now = w.now;
        for _ in 0..3 {
            w.broker.handle_message(
                second,
                Inbound::Text { len: 25, message: Ok(ClientMessage::GetIceServers) },
                now,
                UnixTime(0),
            );
        }
        w.broker.stats()
    });
    let stats = fall.unwrap().join().unwrap();
    assert!(stats.too_slow >= 1 && stats.devices < u64::from(DEVICES) - 1, "{stats:?}");
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
    let (a, _) = w.arrive(1);
    assert_eq!(w.text(a, ClientMessage::GetIceServers), None);
    let later = w.text(a, ClientMessage::GetIceServers).unwrap();
    assert_eq!(later - w.now, Duration::from_millis(100));
    // Registration, two more: what was sent was answered all the same.
    assert_eq!(w.output(a).len(), 2);
    // The beginning of a connection counts as a message.
    w.advance(Duration::from_secs(1));
    let size = frame(device(2), 1, 0).encode().len();
    assert_eq!(w.binary(a, &frame(device(2), 1, 1000 - size)), None);
    let later = w.binary(a, &frame(device(2), 1, 500 - size)).unwrap();
    assert_eq!(later - w.now, Duration::from_millis(500));
}

#[test]
fn a_text_counts_by_its_length() {
    let limits = Limits { messages_per_second: 10, messages_burst: 4, ..Limits::default() };
    let mut w = World::new(limits);
    let (a, _) = w.arrive(1);
    w.advance(Duration::from_secs(1));
    // 512 ids of 32 digits each: five times 4 KiB.
    let device_ids = (0..512u32).map(|n| DeviceId::derive(&n.to_be_bytes())).collect();
    let later = w.text(a, ClientMessage::Watch { device_ids, open: false }).unwrap();
    assert_eq!(later - w.now, Duration::from_millis(100));
}

#[test]
fn the_beginning_of_a_relayed_connection_counts_as_a_message() {
    let limits = Limits { messages_per_second: 10, messages_burst: 2, ..Limits::default() };
    let mut w = World::new(limits);
    let (a, _) = w.arrive(1);
    w.arrive(2);
    w.advance(Duration::from_secs(1));
    assert_eq!(w.binary(a, &frame(device(2), 1, 10)), None);
    assert_eq!(w.binary(a, &frame(device(2), 2, 10)), None);
    for _ in 0..100 {
        assert_eq!(w.binary(a, &frame(device(2), 1, 10)), None, "it is open");
    }
    let later = w.binary(a, &frame(device(2), 3, 10)).unwrap();
    assert_eq!(later - w.now, Duration::from_millis(100));
    // One that does not come about costs the same.
    let later = w.binary(a, &frame(device(9), 4, 10)).unwrap();
    assert_eq!(later - w.now, Duration::from_millis(200));
}
