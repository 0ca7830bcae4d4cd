//! Messages that wait for devices that are away.

use std::time::Duration;

use peers_proto::signaling::ExchangeKind::{Answer, IceCandidate, Offer};
use peers_proto::signaling::{ServerMessage, close_code};
use peers_proto::timing;
use peers_relay::{Limits, Outbound};

use crate::world::{World, device, queued};

// proves S031 S047
#[test]
fn queued_messages_live_as_long_as_an_offer_is_worth_answering() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive(1);
    w.say(a, Offer, device(2), 1, 10);
    w.advance(timing::OFFER_TTL / 2);
    let young = w.say(a, IceCandidate, device(2), 1, 10);
    w.advance(timing::OFFER_TTL / 2);
    let (_, output) = w.arrive(2);
    assert_eq!(queued(&output), [young]);
}

#[test]
fn expired_messages_are_forgotten_even_if_nobody_comes() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive(1);
    w.say(a, Offer, device(2), 1, 10_000);
    assert!(w.broker.stats().queued_bytes > 10_000);
    w.advance(timing::OFFER_TTL + Duration::from_secs(5));
    let stats = w.broker.stats();
    assert_eq!((stats.queued_messages, stats.queued_bytes, stats.queue_dropped), (0, 0, 1));
}

#[test]
fn only_the_newest_offer_of_a_sender_waits_and_what_belonged_to_older_ones_goes() {
    let mut w = World::new(Limits::default());
    let (a, _) = w.arrive(1);
    let (b, _) = w.arrive(2);
    w.say(a, Offer, device(3), 1, 10);
    w.say(a, IceCandidate, device(3), 1, 10);
    let other = w.say(b, Offer, device(3), 9, 10);
    let newest = w.say(a, Offer, device(3), 2, 10);
    let candidate = w.say(a, IceCandidate, device(3), 2, 10);
    let (_, output) = w.arrive(3);
    assert_eq!(queued(&output), [other, newest, candidate]);
}

#[test]
fn a_flood_pushes_out_only_itself() {
    let mut w = World::new(Limits { queue_per_pair: 3, queue_per_device: 4, ..Limits::default() });
    let (a, _) = w.arrive(1);
    let (flood, _) = w.arrive(2);
    let kept = w.say(a, Answer, device(3), 1, 10);
    let last: Vec<_> = (0..100).map(|_| w.say(flood, IceCandidate, device(3), 2, 10)).collect();
    let (_, output) = w.arrive(3);
    assert_eq!(queued(&output), [kept, last[97], last[98], last[99]]);

    // A second sender takes its place from the flood, not from the first; senders take turns.
    let kept = w.say(a, Answer, device(4), 1, 10);
    let last: Vec<_> = (0..3).map(|_| w.say(flood, IceCandidate, device(4), 2, 10)).collect();
    let second = w.say(a, IceCandidate, device(4), 1, 10);
    let (_, output) = w.arrive(4);
    assert_eq!(queued(&output), [kept, last[1], second, last[2]]);
}

#[test]
fn the_queue_is_bounded_in_bytes_for_everybody_together() {
    let mut w = World::new(Limits { message_memory_total: 10_000, ..Limits::default() });
    let (a, _) = w.arrive(1);
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
    let (a, _) = w.arrive(1);
    let (b, _) = w.arrive(2);
    let ids = [w.say(a, Offer, device(2), 1, 10), w.say(a, IceCandidate, device(2), 1, 10)];
    w.broker.handle_closed(b);
    let (b, output) = w.arrive(2);
    assert_eq!(queued(&output), ids);

    // Also if the newer socket comes before the older is known to be dead.
    let id = w.say(a, Answer, device(2), 2, 10);
    let (_, output) = w.arrive(2);
    assert_eq!(queued(&output), [id]);
    let superseded = Outbound::Text(ServerMessage::Superseded);
    assert_eq!(w.output(b), [superseded, Outbound::Close(close_code::SUPERSEDED, "superseded")]);
}
