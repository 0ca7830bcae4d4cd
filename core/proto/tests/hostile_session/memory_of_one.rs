//! Memory that one peer can make one session hold.

use super::*;
use crate::memory::peak;
use peers_proto::limits::{MAX_EXPANSION_FLOOR, MAX_MESSAGE, RECEIVE_BUDGET, STREAMS_WINDOW};
use peers_proto::session::{FailureCode, InboundCallId, Object, SessionEvent};

#[test]
fn compressed_objects_cost_what_they_hold_whatever_they_declare() {
    for raw_len in [0, 1, 1000, MAX_MESSAGE] {
        let (result, peak) = peak(|| {
            let mut victim = Victim::trusting();
            let head = ObjectHead { encoding: Encoding::Brotli, content_len: 4_000_000, raw_len };
            (0..40).try_for_each(|_| victim.take_object(head))
        });
        assert!(matches!(result, Err(SessionError::Violation(_))), "{raw_len}: {result:?}, {peak} bytes");
        assert!(peak < 24 * MIB, "{peak} bytes");
    }
}

#[test]
fn a_length_that_compression_cannot_have_is_refused_with_the_head() {
    let lengths = [(0, 0), (0, 1), (1, 0), (1, 101 + MAX_EXPANSION_FLOOR), (6, 5), (300_000, 299_999)];
    for (content_len, raw_len) in lengths {
        let content = vec![0; content_len.min(10_000)];
        let head = Some(ObjectHead { encoding: Encoding::Brotli, content_len, raw_len });
        let piece = Piece { head, last: content_len == content.len(), content: &content };
        let refused = Err(SessionError::Violation("object of an implausible length"));
        let mut victim = Victim::trusting();
        assert_eq!(victim.take(&[Segment::Message { lane: 0, piece }]), refused, "{content_len} {raw_len}");
        let mut victim = Victim::trusting();
        let Segment::Request { call, head, .. } = call(0, 0, "s") else { unreachable!() };
        assert_eq!(victim.take(&[Segment::Request { call, head, piece }]), refused);
    }
}

#[test]
fn a_refused_stream_leaves_nothing_behind() {
    let (result, peak) = peak(|| {
        let mut victim = Victim::trusting();
        victim.session.set_ungrouped(false);
        (0..100_000).try_for_each(|n| {
            victim.exchange();
            let stream = 2 + 2 * n;
            let data = Segment::StreamData { stream, last: false, data: &[7; 100] };
            victim.take(&[Segment::StreamOpen { stream, lane: 0, name: "s" }, data])
        })
    });
    assert_eq!(result, Ok(()));
    assert!(peak < MIB, "{peak} bytes after 100 000 streams were refused");
}

#[test]
fn streams_that_the_app_ends_leave_nothing_behind_although_the_peer_does_not_end_them() {
    let (result, peak) = peak(|| {
        let mut victim = Victim::trusting();
        (0..20_000).try_for_each(|n| {
            let stream = 2 + 2 * n;
            victim.take(&[Segment::StreamOpen { stream, lane: 0, name: "s" }])?;
            victim.session.stop(stream, 0);
            victim.session.reset(stream, 0);
            victim.forget_events();
            victim.exchange();
            Ok::<_, SessionError>(())
        })
    });
    assert_eq!(result, Ok(()));
    assert!(peak < MIB, "{peak} bytes");
}

#[test]
fn a_peer_that_never_acknowledges_is_owed_a_bounded_amount() {
    let (result, peak) = peak(|| {
        let mut victim = Victim::trusting();
        victim.session.set_ungrouped(false);
        (0..4000).try_for_each(|n| {
            let calls: Vec<_> = (0..600).map(|m| call(600 * n + m, 0, "s")).collect();
            let result = victim.take(&calls);
            victim.send();
            result
        })
    });
    assert_eq!(result, Err(SessionError::Violation("acknowledges too little")), "{peak} bytes");
    assert!(peak < 16 * MIB, "{peak} bytes");
}

#[test]
fn an_unacknowledged_frame_takes_no_more_than_it_carries() {
    let (result, peak) = peak(|| {
        let mut victim = Victim::trusting();
        victim.session.set_ungrouped(false);
        (0..10_000).try_for_each(|n| {
            let result = victim.take(&[call(n, 0, "s")]);
            victim.send();
            result
        })
    });
    assert_eq!(result, Ok(()));
    assert!(peak < 3 * MIB, "{peak} bytes for 10 000 small frames");
}

#[test]
fn answers_that_are_not_taken_are_bounded() {
    let ((owed, failed), peak) = peak(|| {
        let mut victim = Victim::trusting();
        let mut failed = 0;
        // The peer takes nothing: the window fills, then the queue of answers.
        for n in 0..20 {
            victim.take(&[call(n, 0, "s")]).unwrap();
            while let Some(event) = victim.session.poll_event() {
                let SessionEvent::Request(id, _) = event else { continue };
                victim.session.respond(id, Ok(Object::plain(vec![1; MAX_MESSAGE])));
            }
            victim.send();
        }
        victim.ack = victim.sent;
        let mut owed = 0;
        for _ in 0..4000 {
            let Some(frame) = victim.session.poll_frame(NOW) else {
                victim.take(&[]).unwrap();
                continue;
            };
            victim.sent += u64::from(frame[0] == FrameKind::Data as u8);
            victim.ack = victim.sent;
            owed += frame.len();
            let mut rest = &frame[..];
            Header::read(&mut rest).unwrap();
            while let Ok(segment) = Segment::read(&mut rest) {
                failed +=
                    u32::from(matches!(segment, Segment::Failure { code: FailureCode::Overloaded, .. }));
            }
        }
        (owed, failed)
    });
    assert!(failed >= 14, "{failed} of 20 answers of 4 MiB were refused");
    assert!(owed < 10 * MIB && peak < 40 * MIB, "{owed} bytes were left, {peak} bytes at most");
}

#[test]
fn calls_made_and_cancelled_leave_nothing_behind() {
    let (result, peak) = peak(|| {
        let mut victim = Victim::trusting();
        // The window is full, so that nothing of what waits is sent.
        let stream = victim.session.open_stream("s", None).unwrap();
        let mut data = Bytes::from(vec![0; 16 * MIB]);
        while victim.session.poll_frame(NOW).is_some() {
            victim.session.write(stream, &mut data).unwrap();
        }
        let before = data.len();
        let result = (0..50_000).try_for_each(|n| {
            victim.take(&[call(n, 0, "s")])?;
            while let Some(event) = victim.session.poll_event() {
                if let SessionEvent::Request(id, _) = event {
                    victim.session.respond(id, Ok(Object::plain(vec![1; 10])));
                }
            }
            victim.take(&[Segment::Cancel { call: n }])
        });
        assert!(before > 0);
        victim.session.respond(never(&victim), Ok(Object::plain("late")));
        result
    });
    assert_eq!(result, Ok(()));
    assert!(peak < 26 * MIB, "{peak} bytes");
}

/// A call that was cancelled.
fn never(_: &Victim) -> InboundCallId {
    let mut other = Victim::trusting();
    other.take(&[call(0, 0, "s")]).unwrap();
    match other.session.poll_event() {
        Some(SessionEvent::Request(id, _)) => id,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn small_pieces_of_a_stream_share_a_buffer() {
    let (read, peak) = peak(|| {
        let mut victim = Victim::trusting();
        victim.take(&[Segment::StreamOpen { stream: 2, lane: 0, name: "s" }]).unwrap();
        let pieces = vec![Segment::StreamData { stream: 2, last: false, data: b"x" }; 3500];
        for _ in 0..300 {
            victim.take(&pieces).unwrap();
        }
        let mut read = 0;
        while let Some(chunk) = victim.session.read(2).unwrap() {
            read += chunk.len();
        }
        read
    });
    assert_eq!(read, 300 * 3500);
    assert!(peak < 4 * MIB, "{peak} bytes for {read}");
}

#[test]
fn a_small_piece_does_not_keep_its_frame() {
    let filler = vec![Segment::Cancel { call: 1 << 20 }; 2200];
    let stream = |_| Segment::StreamData { stream: 2, last: false, data: b"x" };
    let message = |_| Segment::Message { lane: 0, piece: plain(b"x") };
    let request = |n| call(n, 0, "s");
    let kinds: [&dyn Fn(u64) -> Segment<'static>; 3] = [&stream, &message, &request];
    for small in kinds {
        let ((), peak) = peak(|| {
            let mut victim = Victim::trusting();
            victim.take(&[Segment::StreamOpen { stream: 2, lane: 0, name: "s" }]).unwrap();
            for n in 0..250 {
                let mut segments = filler.clone();
                segments.push(small(n));
                victim.take(&segments).unwrap();
                victim.forget_events();
            }
        });
        assert!(peak < 2 * MIB, "{peak} bytes for 250 small pieces");
    }
}

#[test]
fn events_of_one_stream_are_told_once_until_it_is_read() {
    let mut victim = Victim::trusting();
    victim.take(&[Segment::StreamOpen { stream: 2, lane: 0, name: "s" }]).unwrap();
    victim.forget_events();
    let mut segments = vec![Segment::StreamData { stream: 2, last: false, data: b"x" }; 1000];
    segments.extend([Segment::StreamStop { stream: 2, code: 1 }; 1000]);
    segments.extend([Segment::StreamReset { stream: 2, code: 1 }; 1000]);
    victim.take(&segments).unwrap();
    let mut events = 0;
    while victim.session.poll_event().is_some() {
        events += 1;
    }
    assert_eq!(events, 3, "one each for its bytes, its stop, its end");
}

#[test]
fn the_largest_object_arrives_however_little_was_taken_before() {
    let head = |n| ObjectHead { encoding: Encoding::Plain, content_len: n, raw_len: n };
    let mut sender = Victim::new(config(1));
    let mut victim = Victim::trusting();
    // Less than is worth a grant of credit.
    for size in [300_000, MAX_MESSAGE] {
        sender.session.send_message(None, Object::plain(vec![1; size])).unwrap();
        while let Some(frame) = sender.session.poll_frame(NOW) {
            victim.session.handle_frame(&frame, NOW).unwrap();
            while let Some(back) = victim.session.poll_frame(NOW) {
                sender.session.handle_frame(&back, NOW).unwrap();
            }
        }
        let taken = victim.session.next_message().map(|m| m.object.content.len());
        assert_eq!(taken, Some(size), "of {:?}", head(size));
        while let Some(back) = victim.session.poll_frame(NOW) {
            sender.session.handle_frame(&back, NOW).unwrap();
        }
    }
}

#[test]
fn what_a_session_holds_is_given_back_when_it_ends() {
    let config = config(200);
    let budget = config.budget.clone();
    let mut victim = Victim::new(config);
    victim.take(&[Segment::StreamOpen { stream: 2, lane: 0, name: "s" }]).unwrap();
    let big = vec![0; 14_000];
    for _ in 0..300 {
        victim.take(&[Segment::StreamData { stream: 2, last: false, data: &big }]).unwrap();
    }
    assert!(budget.used() > 3 * MIB && budget.used() < STREAMS_WINDOW + RECEIVE_BUDGET);
    victim.session.end();
    assert_eq!(budget.used(), 0);
}
