//! The one message that needs no consent, and what its sender pays for it.

use std::net::IpAddr;
use std::time::Duration;

use peers_proto::signaling::{ClientMessage, ServerMessage};
use peers_proto::timing;
use peers_relay::{Limits, Outbound};

use crate::world::{World, device, mail};

fn address(n: u8) -> IpAddr {
    [198, 51, 100, n].into()
}

#[test]
fn a_knock_reaches_a_device_that_accepts_nothing_with_the_senders_name() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    w.watch(b, &[]);
    let sent = w.knock(a, device(2));
    let output = w.output(b);
    let [Outbound::Text(ServerMessage::Knock(knock))] = &output[..] else { panic!("{output:?}") };
    assert_eq!((knock.message_id, knock.from_device_id, knock.queued), (sent, device(1), false));
    assert_eq!(w.output(a), [], "no answer");
    assert_eq!(w.broker.stats().knocks, 1);
}

#[test]
fn a_knock_waits_for_an_absent_device_and_expires() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.register(1);
    w.knock(a, device(2));
    let newest = w.knock(a, device(2));
    let (b, _) = w.register(2);
    assert_eq!(w.output(b), [], "not before its first watch");
    assert_eq!(mail(&w.watch(b, &[])), [(newest, true)], "one per sender");
    w.knock(a, device(3));
    w.advance(timing::OFFER_TTL + Duration::from_secs(5));
    let (c, _) = w.register(3);
    assert_eq!((w.watch(c, &[]), w.broker.stats().queued_messages), (vec![], 0));
}

#[test]
fn a_sender_knocks_a_few_times_and_then_seldom() {
    let limits = Limits { knocked_burst: 1000, ..Limits::default() };
    let mut w = World::new(limits);
    let (a, _) = w.register(1);
    let (b, _) = w.register(2);
    w.watch(b, &[]);
    let count = |w: &mut World, tries: usize| {
        let before = w.broker.stats().knocks;
        for _ in 0..tries {
            w.knock(a, device(2));
        }
        w.broker.stats().knocks - before
    };
    assert_eq!(count(&mut w, 100), limits.knock_burst);
    w.advance(Duration::from_secs(5 * limits.knock_seconds));
    assert_eq!(count(&mut w, 100), 5);
    assert_eq!(w.output(a), [], "it hears nothing of it");
    assert_eq!(w.broker.stats().knocks_dropped, 187);
    assert_eq!(w.broker.stats().devices, 2);
}

#[test]
fn a_crowd_of_ids_at_one_address_has_one_addresss_share_of_a_recipient() {
    let mut w = World::new(Limits::default());
    for seed in 10..110 {
        let (socket, _) = w.register_from(address(1), seed);
        w.knock(socket, device(2));
    }
    let (honest, _) = w.register_from(address(2), 3);
    let kept = w.knock(honest, device(2));
    for seed in 110..140 {
        let (socket, _) = w.register_from(address(1), seed);
        w.knock(socket, device(2));
    }
    assert_eq!(w.broker.stats().queued_messages, 16);
    let (b, _) = w.register(2);
    let came = mail(&w.watch(b, &[]));
    assert_eq!(came.len(), 16);
    assert!(came[..2].contains(&(kept, true)), "addresses take turns");
}

#[test]
fn knocks_reach_a_device_no_faster_than_a_slow_link_bears_and_addresses_take_turns() {
    let mut w = World::new(Limits { knocked_burst: 2, knocked_per_second: 1, ..Limits::default() });
    let (b, _) = w.register(2);
    w.watch(b, &[]);
    for seed in 10..30 {
        let (socket, _) = w.register_from(address(1), seed);
        w.knock(socket, device(2));
    }
    assert_eq!(mail(&w.output(b)).len(), 2);
    let (honest, _) = w.register_from(address(2), 3);
    let kept = w.knock(honest, device(2));
    let mut came = Vec::new();
    w.advance(Duration::from_secs(5));
    came.extend(mail(&w.output(b)));
    assert!(came.len() <= 5 && came[..2].contains(&(kept, false)), "{came:?}");
}

#[test]
fn a_knock_does_not_open_the_way_for_anything_else() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive(1);
    let (b, _) = w.register(2);
    w.watch(b, &[]);
    w.knock(a, device(2));
    w.output(b);
    w.say(a, peers_proto::signaling::ExchangeKind::Offer, device(2), 1, 10);
    w.text(a, ClientMessage::GetCertificate { device_id: device(2) });
    assert_eq!(w.output(b), []);
    assert_eq!(
        w.output(a),
        [Outbound::Text(ServerMessage::Certificate { device_id: device(2), certificate: None })]
    );
}
