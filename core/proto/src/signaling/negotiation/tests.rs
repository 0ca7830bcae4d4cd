use std::time::Duration;

use super::*;
use crate::signaling::message::ExchangeKind;
use crate::timing;

const NOW: Instant = Instant::from_micros(1_000_000);

fn conn(n: u8) -> ConnectionId {
    ConnectionId::from_bytes([n; 16])
}

/// The machine of the device that wins or loses glare.
fn machine(wins: bool) -> Negotiation {
    let (small, great) = (DeviceId::from_bytes([1; 20]), DeviceId::from_bytes([2; 20]));
    let (local, remote) = if wins { (great, small) } else { (small, great) };
    Negotiation::new(local, remote, 7, true)
}

/// Of the remote instance 99 for the machine's.
fn offer(n: u8, attempt: u32) -> Contents {
    offer_to(n, attempt, Some(7))
}

fn offer_to(n: u8, attempt: u32, to: Option<u64>) -> Contents {
    let body = Body::Offer { instance: 99, to, sdp: format!("offer {n}") };
    Contents { connection_id: conn(n), attempt, fingerprint: Some([n; 32]), body }
}

fn retry(n: u8, attempt: u32, instance: u64) -> Contents {
    Contents { connection_id: conn(n), attempt, fingerprint: None, body: Body::Retry { instance } }
}

/// A machine that knows the remote instance 99, whose offers it has answered.
fn acquainted(wins: bool) -> Negotiation {
    let mut m = machine(wins);
    m.handle_remote(offer(100, 1), NOW);
    m.handle_closed(conn(100), NOW);
    actions(&mut m);
    m
}

fn answer(n: u8, attempt: u32) -> Contents {
    Contents {
        connection_id: conn(n),
        attempt,
        fingerprint: Some([n; 32]),
        body: Body::Answer { instance: 99, sdp: format!("answer {n}") },
    }
}

fn candidates(n: u8, attempt: u32, list: &[&str]) -> Contents {
    let body = Body::Candidates(list.iter().map(|c| (*c).to_owned()).collect());
    Contents { connection_id: conn(n), attempt, fingerprint: Some([n; 32]), body }
}

fn bye(n: u8, attempt: u32) -> Contents {
    Contents {
        connection_id: conn(n),
        attempt,
        fingerprint: Some([n; 32]),
        body: Body::Bye(ByeReason::Cancelled),
    }
}

fn welcome() -> Contents {
    Contents { connection_id: conn(1), attempt: 0, fingerprint: None, body: Body::Welcome }
}

fn describe(machine: &mut Negotiation, n: u8) {
    machine.handle_local_description(conn(n), format!("local {n}"), [0xaa; 32], NOW);
}

fn actions(machine: &mut Negotiation) -> Vec<Action> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn sent(n: u8, attempt: u32, body: Body) -> Action {
    Action::Send(Contents { connection_id: conn(n), attempt, fingerprint: Some([0xaa; 32]), body })
}

fn local_offer(n: u8, to: Option<u64>) -> Body {
    Body::Offer { instance: 7, to, sdp: format!("local {n}") }
}

fn create_answer(n: u8) -> Action {
    Action::CreateAnswer { connection_id: conn(n), sdp: format!("offer {n}"), fingerprint: [n; 32] }
}

fn add(n: u8, list: &[&str]) -> Action {
    Action::AddCandidates {
        connection_id: conn(n),
        candidates: list.iter().map(|c| (*c).to_owned()).collect(),
    }
}

// proves S041 S059 S064 S065: the peer connection is played by the test.
#[test]
fn a_dial_offers_and_applies_the_answer_and_every_candidate() {
    let mut m = acquainted(false);
    assert_eq!(m.dial(conn(1), NOW), conn(1));
    assert_eq!(actions(&mut m), [Action::CreateOffer { connection_id: conn(1) }]);
    describe(&mut m, 1);
    assert_eq!(actions(&mut m), [sent(1, 1, local_offer(1, Some(99)))]);
    // Candidates may overtake the answer.
    m.handle_remote(candidates(1, 1, &["a", "b"]), NOW);
    assert_eq!(actions(&mut m), []);
    m.handle_remote(answer(1, 1), NOW);
    m.handle_remote(candidates(1, 1, &["c"]), NOW);
    let apply = Action::ApplyAnswer { connection_id: conn(1), sdp: "answer 1".into(), fingerprint: [1; 32] };
    assert_eq!(actions(&mut m), [apply, add(1, &["a", "b"]), add(1, &["c"])]);
    m.handle_connected(conn(1), NOW);
    assert_eq!((m.current(), m.established(), m.poll_timeout()), (None, Some(conn(1)), None));
}

// proves S062
#[test]
fn an_offer_is_answered_under_its_own_connection_id() {
    let mut m = machine(true);
    // Candidates may overtake the offer, too.
    m.handle_remote(candidates(1, 5, &["a"]), NOW);
    m.handle_remote(offer(1, 5), NOW);
    assert_eq!(actions(&mut m), [create_answer(1), add(1, &["a"])]);
    describe(&mut m, 1);
    assert_eq!(actions(&mut m), [sent(1, 5, Body::Answer { instance: 7, sdp: "local 1".into() })]);
}

// proves S061
#[test]
fn local_candidates_wait_for_the_description_and_travel_in_batches() {
    let mut m = machine(false);
    m.dial(conn(1), NOW);
    m.handle_local_candidates(conn(1), ["a".to_owned()], NOW);
    describe(&mut m, 1);
    m.handle_local_candidates(conn(1), ["b".to_owned()], NOW);
    actions(&mut m);
    let flush = NOW + timing::CANDIDATE_BATCH;
    assert_eq!(m.poll_timeout(), Some(flush));
    m.handle_timeout(flush);
    assert_eq!(actions(&mut m), [sent(1, 1, Body::Candidates(vec!["a".into(), "b".into()]))]);
}

#[test]
fn what_is_ready_while_signaling_is_down_is_sent_in_order_when_it_is_up() {
    let mut m = machine(false);
    m.handle_signaling(false, NOW);
    m.dial(conn(1), NOW);
    describe(&mut m, 1);
    m.handle_local_candidates(conn(1), ["a".to_owned()], NOW);
    m.handle_timeout(NOW + Duration::from_secs(1));
    assert_eq!(actions(&mut m), [Action::CreateOffer { connection_id: conn(1) }]);
    m.handle_signaling(true, NOW + Duration::from_secs(2));
    let offer = sent(1, 1, local_offer(1, None));
    assert_eq!(actions(&mut m), [offer, sent(1, 1, Body::Candidates(vec!["a".into()]))]);
}

#[test]
fn an_attempt_that_ends_before_its_offer_was_sent_leaves_no_trace() {
    let mut m = machine(false);
    m.handle_signaling(false, NOW);
    m.dial(conn(1), NOW);
    describe(&mut m, 1);
    m.hang_up(NOW);
    actions(&mut m);
    m.handle_signaling(true, NOW);
    assert_eq!(actions(&mut m), []);
}

#[test]
fn a_stale_answer_is_dropped() {
    let mut m = acquainted(false);
    m.dial(conn(1), NOW);
    describe(&mut m, 1);
    m.hang_up(NOW);
    m.dial(conn(2), NOW);
    describe(&mut m, 2);
    actions(&mut m);
    m.handle_remote(answer(1, 1), NOW); // of the attempt before
    m.handle_remote(answer(2, 1), NOW); // of another generation
    m.handle_remote(candidates(1, 1, &["a"]), NOW);
    assert_eq!(actions(&mut m), []);
    m.handle_remote(answer(2, 2), NOW);
    m.handle_remote(answer(2, 2), NOW); // a copy
    assert_eq!(actions(&mut m).len(), 1);
}

#[test]
fn copies_and_replays_of_an_offer_are_recognised_also_after_its_end() {
    let mut m = machine(true);
    m.handle_remote(offer(1, 1), NOW);
    m.handle_remote(offer(1, 1), NOW);
    assert_eq!(actions(&mut m), [create_answer(1)]);
    describe(&mut m, 1);
    m.handle_connected(conn(1), NOW);
    m.handle_closed(conn(1), NOW);
    actions(&mut m);
    m.handle_remote(offer(1, 1), NOW);
    assert_eq!(actions(&mut m), []);
}

#[test]
fn the_greater_device_id_wins_glare_and_both_ends_agree() {
    let (mut winner, mut loser) = (machine(true), machine(false));
    winner.dial(conn(1), NOW);
    loser.dial(conn(2), NOW);
    describe(&mut winner, 1);
    describe(&mut loser, 2);
    actions(&mut winner);
    actions(&mut loser);

    winner.handle_remote(offer(2, 1), NOW);
    assert_eq!(actions(&mut winner), []);
    loser.handle_remote(offer(1, 1), NOW);
    let glare = Action::Abandon { connection_id: conn(2), reason: AbandonReason::Glare };
    assert_eq!(actions(&mut loser), [glare, sent(2, 1, Body::Bye(ByeReason::Glare)), create_answer(1)]);
}

#[test]
fn the_winner_of_glare_falls_back_to_the_losers_offer() {
    let mut winner = machine(true);
    winner.dial(conn(1), NOW);
    describe(&mut winner, 1);
    winner.handle_remote(offer(2, 1), NOW);
    winner.handle_remote(candidates(2, 1, &["a"]), NOW);
    actions(&mut winner);
    winner.handle_remote(bye(1, 1), NOW);
    let reason = AbandonReason::Remote(ByeReason::Cancelled);
    assert_eq!(
        actions(&mut winner),
        [Action::Abandon { connection_id: conn(1), reason }, create_answer(2), add(2, &["a"])]
    );

    // Not if the loser took it back.
    let mut winner = machine(true);
    winner.dial(conn(1), NOW);
    winner.handle_remote(offer(2, 1), NOW);
    winner.handle_remote(bye(2, 1), NOW);
    winner.hang_up(NOW);
    assert_eq!(winner.current(), None);
}

#[test]
fn a_dial_joins_the_attempt_that_is_under_way() {
    let mut m = machine(true);
    m.handle_remote(offer(1, 1), NOW);
    assert_eq!(m.dial(conn(2), NOW), conn(1));
    assert_eq!(actions(&mut m), [create_answer(1)]);
}

#[test]
fn a_newer_offer_replaces_the_one_being_answered_and_an_overtaken_one_does_not() {
    let mut m = machine(true);
    m.handle_remote(offer(1, 1), NOW);
    actions(&mut m);
    m.handle_remote(offer(3, 3), NOW);
    let replaced = Action::Abandon { connection_id: conn(1), reason: AbandonReason::Replaced };
    assert_eq!(actions(&mut m), [replaced, create_answer(3)]);
    m.handle_remote(offer(2, 2), NOW);
    assert_eq!(actions(&mut m), []);

    // A restarted process counts from one again.
    let mut restarted = offer(4, 1);
    restarted.body = Body::Offer { instance: 100, to: Some(7), sdp: "offer 4".into() };
    m.handle_remote(restarted, NOW);
    assert_eq!(m.current(), Some(conn(4)));
    // And what the process before it said is not new because of that.
    m.handle_remote(offer(3, 3), NOW);
    assert_eq!(m.current(), Some(conn(4)));
}

// proves S132: freshness comes from instances, never from clocks.
#[test]
fn a_restarted_device_does_not_answer_an_old_offer() {
    for to in [None, Some(6)] {
        let mut m = machine(true);
        m.handle_remote(candidates(1, 5, &["a"]), NOW);
        m.handle_remote(offer_to(1, 5, to), NOW);
        m.handle_remote(offer_to(1, 5, to), NOW); // a copy
        assert_eq!(actions(&mut m), [Action::Send(retry(1, 5, 7))]);
        assert_eq!((m.current(), m.poll_timeout()), (None, None));
        // Its sender is there, and makes it again.
        m.handle_remote(offer(1, 5), NOW);
        assert_eq!(actions(&mut m), [create_answer(1), add(1, &["a"])]);
        m.handle_remote(offer_to(1, 5, to), NOW); // a replay
        assert_eq!((actions(&mut m), m.current()), (vec![], Some(conn(1))));
    }
}

#[test]
fn an_offer_is_made_again_once_for_the_instance_that_asks() {
    let mut m = machine(false);
    m.dial(conn(1), NOW);
    describe(&mut m, 1);
    assert_eq!(actions(&mut m)[1..], [sent(1, 1, local_offer(1, None))]);
    m.handle_remote(answer(1, 1), NOW); // nobody can have answered that
    m.handle_remote(retry(2, 1, 99), NOW); // of another attempt
    m.handle_remote(retry(1, 2, 99), NOW); // of another generation
    assert_eq!(actions(&mut m), []);
    m.handle_remote(retry(1, 1, 99), NOW);
    assert_eq!(actions(&mut m), [sent(1, 1, local_offer(1, Some(99)))]);
    m.handle_remote(retry(1, 1, 99), NOW); // a copy
    m.handle_remote(retry(1, 1, 98), NOW); // of an instance before it
    assert_eq!(actions(&mut m), []);
    m.handle_remote(answer(1, 1), NOW);
    assert_eq!(actions(&mut m).len(), 1);
    m.handle_remote(retry(1, 1, 99), NOW);
    assert_eq!(actions(&mut m), []);
    // The next one needs no second round trip.
    m.handle_connected(conn(1), NOW);
    m.dial(conn(3), NOW);
    describe(&mut m, 3);
    assert_eq!(actions(&mut m)[1..], [sent(3, 2, local_offer(3, Some(99)))]);
}

#[test]
fn an_answer_of_an_instance_that_is_no_more_is_dropped() {
    let mut m = acquainted(false);
    m.dial(conn(1), NOW);
    describe(&mut m, 1);
    m.handle_remote(retry(1, 1, 101), NOW); // it was restarted
    actions(&mut m);
    m.handle_remote(answer(1, 1), NOW); // of 99, on its way since
    assert_eq!(actions(&mut m), []);
    let body = Body::Answer { instance: 101, sdp: "answer 1".into() };
    m.handle_remote(Contents { body, ..answer(1, 1) }, NOW);
    assert_eq!(actions(&mut m).len(), 1);
}

#[test]
fn an_instance_is_learned_only_from_what_is_no_replay() {
    let mut m = acquainted(true);
    for mut old in [offer_to(1, 9, Some(6)), answer(2, 9), retry(3, 9, 0)] {
        match &mut old.body {
            Body::Offer { instance, .. } | Body::Answer { instance, .. } | Body::Retry { instance } => {
                *instance = 98
            }
            _ => {}
        }
        m.handle_remote(old, NOW);
    }
    actions(&mut m);
    m.dial(conn(5), NOW);
    describe(&mut m, 5);
    assert_eq!(actions(&mut m)[1..], [sent(5, 1, local_offer(5, Some(99)))]);
}

#[test]
fn replays_make_a_device_say_little() {
    let mut m = machine(true);
    let mut replay = |now| {
        for n in 0..100 {
            m.handle_remote(offer_to(n, u32::from(n), None), now);
        }
        actions(&mut m).len() as u64
    };
    assert_eq!(replay(NOW), limits::RETRY_BURST);
    assert_eq!(replay(NOW), 0);
    assert_eq!(replay(NOW + Duration::from_secs(1)), 1);
}

#[test]
fn what_waits_while_signaling_is_down_is_bounded() {
    let mut m = machine(true);
    m.handle_signaling(false, NOW);
    for n in 0..200 {
        m.handle_remote(offer(n, u32::from(n) + 1), NOW);
        m.handle_closed(conn(n), NOW);
        actions(&mut m);
    }
    m.handle_signaling(true, NOW);
    assert_eq!(actions(&mut m).len(), limits::MAX_HELD_CONTENTS);
}

#[test]
fn a_bye_that_overtakes_its_offer_cancels_it() {
    let mut m = machine(true);
    m.handle_remote(bye(1, 1), NOW);
    m.handle_remote(offer(1, 1), NOW);
    assert_eq!(actions(&mut m), []);
}

#[test]
fn every_body_has_its_event_at_the_relay() {
    use ExchangeKind::{Answer, IceCandidate, Offer};
    let hello = Contents { body: Body::Hello, ..welcome() };
    for (contents, kind) in [
        (offer(1, 2), Offer),
        (hello, Offer),
        (answer(1, 2), Answer),
        (retry(1, 2, 99), Answer),
        (welcome(), Answer),
        (candidates(1, 2, &["a"]), IceCandidate),
        (bye(1, 2), IceCandidate),
    ] {
        assert_eq!(contents.kind(), kind, "{:?}", contents.body);
    }
}

#[test]
fn a_welcome_changes_nothing_about_the_attempts() {
    let mut m = machine(true);
    m.handle_remote(welcome(), NOW);
    assert_eq!((actions(&mut m), m.current(), m.poll_timeout()), (vec![], None, None));
    m.dial(conn(1), NOW);
    actions(&mut m);
    m.handle_remote(welcome(), NOW);
    assert_eq!((actions(&mut m), m.current()), (vec![], Some(conn(1))));
}

#[test]
fn an_attempt_ends_at_its_deadline_and_says_so() {
    let mut m = machine(false);
    m.dial(conn(1), NOW);
    describe(&mut m, 1);
    actions(&mut m);
    let deadline = NOW + timing::WEBRTC_ESTABLISHMENT;
    assert_eq!(m.poll_timeout(), Some(deadline));
    m.handle_timeout(deadline);
    let timed_out = Action::Abandon { connection_id: conn(1), reason: AbandonReason::TimedOut };
    assert_eq!(actions(&mut m), [timed_out, sent(1, 1, Body::Bye(ByeReason::TimedOut))]);
    assert_eq!(m.poll_timeout(), None);
}

#[test]
fn no_peer_gets_more_than_its_candidates_applied() {
    let flood = |n| candidates(n, 1, &["c"; limits::MAX_CANDIDATES]);
    for before_offer in [false, true] {
        let mut m = machine(true);
        if before_offer {
            m.handle_remote(flood(1), NOW);
        }
        m.handle_remote(offer(1, 1), NOW);
        for _ in 0..10 {
            m.handle_remote(flood(1), NOW);
        }
        let added: usize = actions(&mut m)
            .iter()
            .map(|a| if let Action::AddCandidates { candidates, .. } = a { candidates.len() } else { 0 })
            .sum();
        assert_eq!(added, limits::MAX_CANDIDATES);
    }
}

fn device(n: u8) -> DeviceId {
    DeviceId::from_bytes([n; 20])
}

#[test]
fn a_first_dial_asks_for_the_instance_and_makes_its_offer_for_it() {
    let (mut local, mut remote) =
        (Negotiation::new(device(1), device(2), 11, true), Negotiation::new(device(2), device(1), 22, true));
    assert!(!local.knows_remote());
    local.ask(conn(7), NOW);
    let Some(Action::Send(hello)) = local.poll_output() else { panic!("nothing is sent") };
    remote.handle_remote(hello.clone(), NOW);
    let Some(Action::Send(retry)) = remote.poll_output() else { panic!("no answer") };
    assert_eq!(retry.body, Body::Retry { instance: 22 });
    remote.handle_remote(hello, NOW);
    assert_eq!(remote.poll_output(), None, "a copy is not answered");
    local.handle_remote(retry.clone(), NOW);
    assert_eq!(local.poll_output(), Some(Action::Dial));
    assert!(local.knows_remote());
    local.handle_remote(retry, NOW);
    assert_eq!(local.poll_output(), None, "a replay says nothing new");
    // Nor does a question without an answer wait for ever.
    let mut alone = Negotiation::new(device(1), device(3), 11, true);
    alone.ask(conn(8), NOW);
    assert!(alone.poll_output().is_some());
    alone.handle_timeout(alone.poll_timeout().unwrap());
    let reason = AbandonReason::TimedOut;
    assert_eq!(alone.poll_output(), Some(Action::Abandon { connection_id: conn(8), reason }));
    assert_eq!(alone.poll_timeout(), None);
}
