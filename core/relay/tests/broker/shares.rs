//! The sender that fills something pays for it.

use std::net::IpAddr;

use peers_proto::signaling::ExchangeKind::{Answer, IceCandidate};
use peers_proto::signaling::{ClientMessage, RelayCloseReason, RelayFrame};
use peers_relay::{Limits, Outbound};

use crate::world::{World, closes, device, frame, mail};

fn address(n: u8) -> IpAddr {
    [198, 51, 100, n].into()
}

#[test]
fn one_sender_does_not_fill_the_queue_of_all() {
    let mut w = World::new(Limits { message_memory_total: 1 << 20, ..Limits::default() });
    let (honest, _) = w.arrive_from(address(1), 1);
    let (flood, _) = w.arrive_from(address(2), 2);
    for to in 20..250 {
        w.say(flood, IceCandidate, device(to), 1, 20_000);
    }
    // As big as those that found no more room.
    let kept: Vec<_> = (10..20).map(|to| w.say(honest, Answer, device(to), 1, 20_000)).collect();
    for to in 20..250 {
        w.say(flood, IceCandidate, device(to), 1, 20_000);
    }
    let stats = w.broker.stats();
    assert!(stats.message_bytes <= 1 << 20 && stats.share_dropped > 0, "{stats:?}");
    for (to, id) in (10..20).zip(kept) {
        assert_eq!(mail(&w.arrive(to).1), [(id, true)]);
    }
}

#[test]
fn whatever_silent_sockets_do_memory_for_messages_is_bounded() {
    let limits = Limits { message_memory_total: 4 << 20, max_sockets_per_ip: 1000, ..Limits::default() };
    let mut w = World::new(limits);
    let sockets: Vec<_> = (0..80).map(|seed| w.arrive_from(address(9), seed).0).collect();
    let (honest, _) = w.arrive_from(address(1), 100);
    let mut worst = 0;
    let mut batch = Vec::new();
    for round in 0..40 {
        for (seed, socket) in (0..).zip(&sockets) {
            w.say(*socket, IceCandidate, device((seed + 1) % 80), 1, 30_000);
            for _ in 0..20 {
                w.text(*socket, ClientMessage::GetIceServers);
            }
            if round % 10 == 5 {
                // Handed over and never written: it still counts.
                w.broker.take_output(*socket, 32 << 10, &mut batch);
                batch.clear();
            }
            worst = worst.max(w.broker.stats().message_bytes);
        }
        w.text(honest, ClientMessage::GetIceServers);
        assert_eq!(w.output(honest).len(), 1);
    }
    assert!(worst <= (4 << 20), "{worst}");
    assert!(w.broker.stats().devices >= 1);
    for socket in sockets {
        w.broker.handle_closed(socket);
    }
    w.broker.handle_closed(honest);
    w.advance(std::time::Duration::from_secs(60));
    assert_eq!(w.broker.stats().message_bytes, 0);
}

#[test]
fn a_stranger_that_fills_a_devices_data_queue_closes_its_own_connections() {
    let mut w = World::new(Limits { relay_queue_bytes: 1 << 20, ..Limits::default() });
    let (honest, _) = w.arrive_from(address(1), 1);
    let (b, _) = w.arrive_from(address(3), 3);
    let floods: Vec<_> = (20..30).map(|seed| w.arrive_from(address(2), seed).0).collect();
    let mut sent = 0;
    for round in 0..200 {
        for (n, flood) in floods.iter().enumerate() {
            w.binary(*flood, &frame(device(3), (round / 2 + n) as u8, 16_000));
        }
        if round % 10 == 0 {
            w.binary(honest, &frame(device(3), 1, 16_000));
            sent += 1;
        }
    }
    assert_eq!(closes(&w.output(honest)), []);
    assert!(floods.iter().any(|flood| closes(&w.output(*flood)).contains(&RelayCloseReason::Overflow)));
    let from_honest = |outbound: &Outbound| match outbound {
        Outbound::Binary(bytes) => matches!(
            RelayFrame::decode(bytes),
            Ok(RelayFrame::Data { peer, .. }) if peer == device(1)
        ),
        _ => false,
    };
    let output = w.output(b);
    assert_eq!(output.iter().filter(|o| from_honest(o)).count(), sent, "every honest frame arrives");
    // Addresses take turns: they do not wait behind the flood either.
    let data = |o: &&Outbound| matches!(o, Outbound::Binary(b) if matches!(RelayFrame::decode(b), Ok(RelayFrame::Data { .. })));
    let first = output.iter().filter(data).take(2 * sent + 1);
    assert!(first.filter(|o| from_honest(o)).count() >= sent);
}

#[test]
fn the_relays_data_memory_is_shared_by_address() {
    let limits = Limits { relay_queue_total: 1 << 20, ..Limits::default() };
    let mut w = World::new(limits);
    let (honest, _) = w.arrive_from(address(1), 1);
    w.arrive_from(address(3), 3);
    let flood = w.arrive_from(address(2), 2).0;
    w.binary(honest, &frame(device(3), 1, 16_000));
    for seed in 20..60 {
        w.arrive_from(address(4), seed);
        for connection in 0..10 {
            w.binary(flood, &frame(device(seed), connection, 16_000));
        }
    }
    let stats = w.broker.stats();
    assert!(stats.relay_queued_bytes <= 1 << 20 && stats.relay_overflows > 0, "{stats:?}");
    assert_eq!(closes(&w.output(honest)), []);
}

#[test]
fn strangers_do_not_take_all_places_for_relayed_connections() {
    let mut w = World::new(Limits { relay_connections: 8, ..Limits::default() });
    let (b, _) = w.register_from(address(3), 3);
    w.text(b, ClientMessage::Watch { device_ids: vec![device(1)], open: true });
    let strangers: Vec<_> = (20..28).map(|seed| w.arrive_from(address(2), seed).0).collect();
    for stranger in &strangers {
        w.binary(*stranger, &frame(device(3), 1, 10));
    }
    w.output(b);
    // One that is named always has a place; another address has its share; the crowd has no more.
    let (known, _) = w.arrive_from(address(1), 1);
    let (other, _) = w.arrive_from(address(4), 4);
    let (late, _) = w.arrive_from(address(2), 29);
    for socket in [known, other, late] {
        w.binary(socket, &frame(device(3), 1, 10));
        w.output(b);
    }
    assert_eq!((closes(&w.output(known)), closes(&w.output(other))), (vec![], vec![]));
    assert_eq!(closes(&w.output(late)), [RelayCloseReason::TooMany]);
    let lost: Vec<_> = strangers.iter().flat_map(|stranger| closes(&w.output(*stranger))).collect();
    assert_eq!(lost, [RelayCloseReason::TooMany; 2]);
    assert_eq!(w.broker.stats().relay_connections, 8);
}

#[test]
fn connections_that_come_and_go_leave_nothing_at_a_device_that_does_not_read() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive_from(address(1), 1);
    w.arrive_from(address(3), 3);
    let id = |n: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        peers_proto::id::ConnectionId::from_bytes(id)
    };
    for n in 0..5000 {
        let (peer, connection) = (device(3), id(n));
        w.binary(a, &RelayFrame::Data { peer, connection, frame: vec![0; 10].into() });
        w.binary(a, &RelayFrame::Close { peer, connection, reason: RelayCloseReason::Closed });
    }
    assert_eq!(w.broker.stats().relay_frames, Limits::default().relay_connections as u64);
    assert!(closes(&w.output(a)).iter().all(|reason| *reason == RelayCloseReason::TooMany));
    assert_eq!(w.broker.stats().relay_connections, 0);
}
