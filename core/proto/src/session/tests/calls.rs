use super::*;
use crate::limits::{MAX_CALLS, MAX_MESSAGE};
use crate::timing::CALL_TIMEOUT;

fn request(n: usize) -> Request {
    Request {
        service: "files".into(),
        method: "list".into(),
        group: Some(group(1)),
        timeout: CALL_TIMEOUT,
        object: object(n),
    }
}

fn inbound(end: &mut End) -> Vec<(InboundCallId, Request)> {
    std::mem::take(&mut end.events)
        .into_iter()
        .filter_map(|e| if let SessionEvent::Request(id, r) = e { Some((id, r)) } else { None })
        .collect()
}

fn responses(end: &mut End) -> Vec<(CallId, Result<Object, CallError>)> {
    std::mem::take(&mut end.events)
        .into_iter()
        .filter_map(|e| if let SessionEvent::Response(id, r) = e { Some((id, r)) } else { None })
        .collect()
}

// proves D02: calls in both directions at once, answered out of order, small and large.
#[test]
fn calls_are_answered_in_any_order() {
    let mut pair = Pair::new();
    let first = pair.a.session.call(request(10), pair.now).unwrap();
    let second = pair.a.session.call(request(300_000), pair.now).unwrap();
    let back = pair.b.session.call(request(1), pair.now).unwrap();
    pair.settle();
    let mut asked = inbound(&mut pair.b);
    asked.reverse();
    for (id, r) in asked {
        assert_eq!(r, request(r.object.content.len()));
        pair.b.session.respond(id, Ok(r.object));
    }
    for (id, r) in inbound(&mut pair.a) {
        pair.a.session.respond(id, Ok(r.object));
    }
    pair.settle();
    let mut got = responses(&mut pair.a);
    got.sort_by_key(|(id, _)| *id);
    assert_eq!(got, [(first, Ok(object(10))), (second, Ok(object(300_000)))]);
    assert_eq!(responses(&mut pair.b), [(back, Ok(object(1)))]);
}

// proves S021, S038, S039: an answered or abandoned call leaves nothing behind, after 60 s at the latest.
#[test]
fn an_abandoned_call_is_collected_after_sixty_seconds() {
    let mut pair = Pair::new();
    let call = pair.a.session.call(request(10), pair.now).unwrap();
    pair.settle();
    let (inbound, _) = inbound(&mut pair.b).remove(0);
    pair.advance(CALL_TIMEOUT - MS);
    assert_eq!(responses(&mut pair.a), []);
    pair.advance(MS);
    assert_eq!(responses(&mut pair.a), [(call, Err(CallError::TimedOut))]);
    assert!(pair.b.events.contains(&SessionEvent::RequestCancelled(inbound)));
    pair.b.session.respond(inbound, Ok(object(5)));
    pair.settle();
    assert_eq!(responses(&mut pair.a), []);
    pair.advance(crate::timing::ACK_DELAY);
    assert!(pair.a.session.is_drained() && pair.b.session.is_drained());
}

#[test]
fn a_cancelled_call_reaches_the_handler_and_its_late_answer_nobody() {
    let mut pair = Pair::new();
    let call = pair.a.session.call(request(10), pair.now).unwrap();
    pair.settle();
    let (id, _) = inbound(&mut pair.b).remove(0);
    pair.b.session.respond(id, Ok(object(900_000)));
    pair.poll();
    pair.deliver(3); // part of the answer is here
    pair.a.session.cancel(call);
    pair.settle();
    assert_eq!(responses(&mut pair.a), []);
    // The place in reassembly is free again.
    for n in 0..20 {
        pair.b.session.send_message(None, object(100_000 + n)).unwrap_or(());
        pair.settle();
    }
    assert_eq!(pair.a.messages().len(), 20);
}

#[test]
fn failures_carry_their_code_and_a_bounded_text() {
    let mut pair = Pair::new();
    let call = pair.a.session.call(request(1), pair.now).unwrap();
    pair.settle();
    let (id, _) = inbound(&mut pair.b).remove(0);
    pair.b.session.respond(id, Err((FailureCode::Application, "é".repeat(1000))));
    pair.settle();
    let (got, answer) = responses(&mut pair.a).remove(0);
    assert_eq!(got, call);
    let Err(CallError::Failed { code: FailureCode::Application, text }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(text, "é".repeat(128));
}

/// Sends messages until neither end takes one more.
fn stuff(pair: &mut Pair) {
    while pair.a.session.send_message(None, object(100_000)).is_ok() {
        pair.settle();
    }
}

// proves S039
#[test]
fn a_call_does_not_wait_for_messages_to_be_taken() {
    let mut pair = Pair::new();
    stuff(&mut pair);
    for size in [10, MAX_MESSAGE, MAX_MESSAGE] {
        let call = pair.a.session.call(request(size), pair.now).unwrap();
        pair.settle();
        let (id, _) = inbound(&mut pair.b).remove(0);
        pair.b.session.respond(id, Ok(object(5)));
        pair.settle();
        assert_eq!(responses(&mut pair.a), [(call, Ok(object(5)))]);
    }
    assert!(!pair.b.messages().is_empty());
}

// proves S039
#[test]
fn a_call_that_finds_no_credit_ends_at_its_deadline_and_those_behind_it_go_on() {
    let mut pair = Pair::new();
    pair.a.session.call(request(MAX_MESSAGE), pair.now).unwrap();
    pair.settle();
    let brief = |n| Request { timeout: 2 * MS, ..request(n) };
    let large = pair.a.session.call(brief(500_000), pair.now).unwrap();
    pair.a.session.call(request(10), pair.now).unwrap();
    pair.settle();
    assert_eq!(inbound(&mut pair.b).len(), 1, "the first has all the credit");
    pair.advance(2 * MS);
    assert_eq!(responses(&mut pair.a), [(large, Err(CallError::TimedOut))]);
    assert_eq!(inbound(&mut pair.b).len(), 1, "what waited behind it");
}

#[test]
fn messages_find_room_while_no_further_call_does() {
    let mut pair = Pair::new();
    for _ in 0..MAX_CALLS {
        pair.a.session.call(request(1), pair.now).unwrap();
    }
    assert_eq!(pair.a.session.call(request(1), pair.now), Err(SendError::Full));
    while pair.a.session.send_message(None, object(100_000)).is_ok() {}
    pair.settle();
    assert!(pair.a.events.contains(&SessionEvent::SendRoom));
    pair.a.session.send_message(None, object(1)).unwrap();
    assert_eq!(pair.a.session.call(request(1), pair.now), Err(SendError::Full));
}

#[test]
fn calls_beyond_the_table_wait_for_room() {
    let mut pair = Pair::new();
    for _ in 0..MAX_CALLS {
        pair.a.session.call(request(1), pair.now).unwrap();
    }
    assert_eq!(pair.a.session.call(request(1), pair.now), Err(SendError::Full));
    pair.settle();
    let (id, _) = inbound(&mut pair.b).remove(0);
    pair.b.session.respond(id, Ok(object(1)));
    pair.settle();
    assert!(pair.a.events.contains(&SessionEvent::SendRoom));
    pair.a.session.call(request(1), pair.now).unwrap();
}

// proves S129: a call about a group that is not shared is denied, and its handler never sees it.
#[test]
fn a_call_of_a_foreign_group_is_denied() {
    for size in [10, 200_000] {
        let mut pair = Pair::new();
        pair.b.session.set_groups(HashSet::new());
        let call = pair.a.session.call(request(size), pair.now).unwrap();
        pair.settle();
        assert_eq!(inbound(&mut pair.b), []);
        let denied = CallError::Failed { code: FailureCode::Denied, text: String::new() };
        assert_eq!(responses(&mut pair.a), [(call, Err(denied))]);
        // Nothing of it stays in reassembly: other objects pass.
        for _ in 0..10 {
            pair.a.session.send_message(None, object(300_000)).unwrap();
            pair.settle();
            assert_eq!(pair.b.messages().len(), 1);
        }
    }
}

#[test]
fn the_end_of_a_session_answers_every_call() {
    let mut pair = Pair::new();
    let call = pair.a.session.call(request(1), pair.now).unwrap();
    pair.a.session.end();
    pair.poll();
    assert_eq!(responses(&mut pair.a), [(call, Err(CallError::SessionLost))]);
}
