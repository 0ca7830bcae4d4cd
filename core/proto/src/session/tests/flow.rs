use super::*;
use crate::limits::{
    ACK_EVERY, FULL_PING, MAX_FRAME_CONTENT, OBJECT_COST, QUANTUM, RECEIVE_BUDGET, SEND_QUEUE, SEND_WINDOW,
};
use crate::session::wire::{FrameKind, Header, ObjectHead, Piece, Segment};
use crate::timing::{ACK_DELAY, CONTACT_GAP, REASSEMBLY_IDLE};
use bytes::BytesMut;

#[test]
fn a_receiver_that_does_not_read_stops_its_sender() {
    let mut pair = Pair::new();
    let mut sent = 0;
    while pair.a.session.send_message(None, object(10_000)).is_ok() {
        sent += 1;
        pair.settle();
    }
    let taken = RECEIVE_BUDGET / (10_000 + OBJECT_COST);
    assert_eq!(sent, taken + SEND_QUEUE.div_ceil(10_000));
    let mut got = 0;
    for _ in 0..4 {
        got += pair.b.messages().len();
        pair.settle();
    }
    assert_eq!(got, sent);
    assert!(pair.a.events.contains(&SessionEvent::SendRoom));
}

#[test]
fn two_large_objects_never_block_each_other() {
    let mut pair = Pair::new();
    let second = (Some(group(1)), object(3_000_000));
    pair.a.session.send_message(None, object(3_000_000)).unwrap();
    assert_eq!(pair.a.session.send_message(second.0, second.1.clone()), Err(SendError::Full));
    pair.settle();
    pair.a.session.send_message(second.0, second.1).unwrap();
    pair.settle();
    assert_eq!(pair.b.messages().len(), 1);
    pair.settle();
    assert_eq!(pair.b.messages().len(), 1);
}

#[test]
fn received_frames_are_acknowledged_within_the_delay() {
    let mut pair = Pair::new();
    pair.a.session.send_message(None, object(10)).unwrap();
    pair.settle();
    assert!(pair.a.session.unacknowledged().is_some());
    assert_eq!(pair.b.session.ack_timeout(), Some(pair.now + ACK_DELAY));
    pair.advance(ACK_DELAY);
    assert!(pair.a.session.unacknowledged().is_none());
    assert_eq!(pair.b.session.ack_timeout(), None);
}

/// A writer that waited for a time that has passed would never rest.
#[test]
fn nobody_waits_for_an_acknowledgement_that_cannot_leave() {
    for stop in [SessionMachine::end, SessionMachine::detach] {
        let mut pair = Pair::new();
        pair.a.session.send_message(None, object(10)).unwrap();
        pair.settle();
        let due = pair.b.session.ack_timeout().unwrap();
        stop(&mut pair.b.session);
        assert_eq!((pair.b.session.poll_frame(due), pair.b.session.ack_timeout()), (None, None));
    }
}

#[test]
fn many_bytes_are_acknowledged_without_waiting() {
    let mut pair = Pair::new();
    for _ in 0..ACK_EVERY.div_ceil(500_000) + 2 {
        pair.a.session.send_message(None, object(500_000)).unwrap_or(());
    }
    pair.settle();
    let mut rest: &[u8] = &pair.b.session.header_frame(FrameKind::Ping, 0);
    assert!(Header::read(&mut rest).unwrap().ack > 60);
    assert!(pair.a.session.poll_frame(pair.now).is_none());
}

#[test]
fn unacknowledged_frames_stay_within_the_send_window() {
    let mut pair = Pair::new();
    let mut bytes = 0;
    for _ in 0..40 {
        pair.a.session.send_message(None, object(800_000)).unwrap_or(());
        // Streams have credit of their own; together they would exceed the window.
        let id = pair.a.session.open_stream("s", None).unwrap();
        pair.a.session.write(id, &mut Bytes::from(vec![0; 1_000_000])).unwrap();
        while let Some(frame) = pair.a.session.poll_frame(pair.now) {
            bytes += frame.len();
        }
    }
    assert!(bytes > SEND_WINDOW - 2_000_000 && bytes < SEND_WINDOW + 16_384, "{bytes}");
}

fn data(seq: u64, segments: &[Segment<'_>]) -> Bytes {
    let mut frame = BytesMut::new();
    Header { kind: FrameKind::Data, seq, ack: 0 }.write(&mut frame);
    segments.iter().for_each(|s| s.write(&mut frame));
    frame.freeze()
}

fn piece(first_of: Option<usize>, last: bool, content: &[u8]) -> Piece<'_> {
    let head = first_of.map(|n| ObjectHead { encoding: Encoding::Plain, content_len: n, raw_len: n });
    Piece { head, last, content }
}

// Every rule the peer can break, and what it is called.
#[test]
fn a_peer_that_breaks_a_rule_ends_the_session_with_its_name() {
    let message = |lane, piece| Segment::Message { lane, piece };
    let open = |lane| message(lane, piece(Some(10), false, b"abc"));
    let lane = |lane| Segment::Lane { lane, group: group(1) };
    let big = vec![0; 16_000];
    let flood: Vec<_> = (0..300).map(|_| message(0, piece(Some(big.len()), true, &big))).collect();
    let cases: Vec<(&str, Vec<Segment<'_>>)> = vec![
        ("piece without a beginning", vec![message(0, piece(None, true, b"x"))]),
        ("object begun twice", vec![open(0), open(0)]),
        ("object length", vec![open(0), message(0, piece(None, true, b"x"))]),
        ("object length", vec![open(0), message(0, piece(None, false, &[0; 7]))]),
        ("too many objects at once", (1..6).flat_map(|l| [lane(l), open(l)]).collect()),
        ("lane not declared", vec![message(7, piece(Some(1), true, b"x"))]),
        ("lane declared twice", vec![lane(1), lane(1)]),
        ("answer to no call", vec![Segment::Response { call: 4, piece: piece(Some(1), true, b"x") }]),
        ("data on no stream", vec![Segment::StreamData { stream: 2, last: false, data: b"x" }]),
        ("stream out of order", vec![Segment::StreamOpen { stream: 6, lane: 0, name: "s" }]),
        ("object without credit", flood),
    ];
    for (want, segments) in cases {
        let mut pair = Pair::new();
        // The opener of stream ids is the device with the lower id.
        let result = segments
            .chunks(1)
            .enumerate()
            .try_for_each(|(seq, s)| pair.b.session.handle_frame(&data(seq as u64, s), pair.now));
        assert_eq!(result, Err(SessionError::Violation(want)));
    }
    let mut pair = Pair::new();
    assert_eq!(pair.b.session.handle_frame(&data(1, &[]), pair.now), Err(SessionError::Gap));
    let mut frame = BytesMut::new();
    Header { kind: FrameKind::Ack, seq: 0, ack: 1 }.write(&mut frame);
    let future = Err(SessionError::Violation("acknowledges the future"));
    assert_eq!(pair.b.session.handle_frame(&frame.freeze(), pair.now), future);
}

#[test]
fn an_object_that_stops_half_way_is_not_kept() {
    let mut pair = Pair::new();
    let frame = data(0, &[Segment::Message { lane: 0, piece: piece(Some(10), false, b"abc") }]);
    pair.b.session.handle_frame(&frame, pair.now).unwrap();
    let pong = pair.a.session.header_frame(FrameKind::Pong, 0);
    let mut ticks = 0;
    loop {
        pair.now += CONTACT_GAP;
        ticks += 1;
        match pair.b.session.handle_frame(&pong, pair.now) {
            Ok(()) => assert!(CONTACT_GAP * ticks < REASSEMBLY_IDLE),
            Err(e) => break assert_eq!((e, CONTACT_GAP * ticks), (SessionError::Stalled, REASSEMBLY_IDLE)),
        }
    }
}

#[test]
fn an_outage_or_a_sleep_in_the_middle_of_an_object_does_not_end_the_session() {
    let mut pair = Pair::new();
    pair.a.session.send_message(None, object(100_000)).unwrap();
    pair.poll();
    pair.deliver(2);
    pair.now += 10 * REASSEMBLY_IDLE;
    pair.b.session.handle_timeout(pair.now);
    pair.attach();
    pair.settle();
    assert_eq!(pair.b.messages().len(), 1);
}

#[test]
fn reassembly_memory_is_shared_by_the_process_and_given_back() {
    let budget = MemoryBudget::default();
    let make = |n: u8| {
        let config = SessionConfig {
            local: device(n),
            remote: device(200),
            groups: HashSet::new(),
            ungrouped: true,
            budget: budget.clone(),
        };
        SessionMachine::new(config)
    };
    let now = Instant::from_micros(1);
    let mut sessions: Vec<_> = (0..20).map(make).collect();
    let big = vec![0; 4_000_000];
    let mut results = Vec::new();
    for s in &mut sessions {
        let frame = data(0, &[Segment::Message { lane: 0, piece: piece(Some(4_100_000), false, &big) }]);
        results.push(s.handle_frame(&frame, now));
    }
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 8);
    assert_eq!(results[8], Err(SessionError::Overloaded));
    drop(sessions);
    assert_eq!(budget.used(), 0);
}

// What has no bytes still has a head: behind a frame that is full to its last bytes it waits for the next one.
#[test]
fn an_empty_object_and_an_empty_end_of_a_stream_do_not_burst_a_full_frame() {
    // A stream fills what the message leaves, to the last byte.
    for size in MAX_FRAME_CONTENT - QUANTUM - 60..MAX_FRAME_CONTENT - QUANTUM {
        let mut pair = Pair::new();
        let [stream, empty] = ["s", "e"].map(|name| pair.a.session.open_stream(name, None).unwrap());
        pair.settle();
        pair.a.session.send_message(None, object(size)).unwrap();
        pair.a.session.write(stream, &mut Bytes::from(vec![0; 2 * QUANTUM])).unwrap();
        let request = Request {
            service: String::new(),
            method: String::new(),
            group: None,
            timeout: ACK_DELAY * 100,
            object: object(0),
        };
        pair.a.session.call(request, pair.now).unwrap();
        pair.a.session.finish(empty).unwrap();
        pair.settle(); // `poll` measures every frame
        assert_eq!(pair.b.messages().len(), 1);
        assert!(pair.b.events.iter().any(|e| matches!(e, SessionEvent::Request(..))));
        assert_eq!(pair.b.read_all(stream).unwrap().0.len(), 2 * QUANTUM);
        assert_eq!(pair.b.read_all(empty), Ok((Vec::new(), true)));
    }
}

#[test]
fn a_full_ping_is_taken_like_any_other_and_its_answer_is_short() {
    let mut pair = Pair::new();
    let ping = pair.a.session.ping(7, true);
    assert_eq!((ping.len(), pair.a.session.ping(7, false).len() <= Header::MAX_LEN), (FULL_PING, true));
    let header = Header::read(&mut &ping[..]).unwrap();
    assert_eq!((header.kind, header.seq), (FrameKind::Ping, 7));
    pair.b.session.handle_frame(&ping, pair.now).unwrap();
    assert!(pair.b.session.header_frame(FrameKind::Pong, header.seq).len() <= Header::MAX_LEN);
}
