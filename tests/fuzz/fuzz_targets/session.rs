//! A session and a peer that may say anything. Each chunk is one frame: its first byte chooses whether the rest is the
//! whole frame or the segments of a DATA frame with the number the session expects.
//! A large first byte of all also denies the peer what belongs to no group.

#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use peers_fuzz::chunks;
use peers_proto::id::{DeviceId, GroupId};
use peers_proto::limits::{MAX_FRAME_CONTENT, RECEIVED_POOL, SENT_POOL};
use peers_proto::session::wire::{FrameKind, Header};
use peers_proto::session::{MemoryBudget, Object, Request, SessionMachine, SessionConfig, SessionEvent};
use peers_proto::time::Instant;

fuzz_target!(|data: &[u8]| {
    let budget = MemoryBudget::default();
    let group = GroupId::from_bytes([0; 20]);
    let mut now = Instant::from_micros(1);
    let mut session = SessionMachine::new(SessionConfig {
        local: DeviceId::from_bytes([1; 20]),
        remote: DeviceId::from_bytes([2; 20]),
        groups: HashSet::from([group]),
        ungrouped: data.first().is_none_or(|first| *first < 128),
        budget: budget.clone(),
    });
    session.attach(0).expect("a new session attaches");
    something_of_everything(&mut session, group, now);
    drain(&mut session, now, true);
    for chunk in chunks(data) {
        let Some((&how, rest)) = chunk.split_first() else { continue };
        let frame = if how & 1 == 0 {
            let mut frame = BytesMut::new();
            let seq = session.next_expected();
            Header { kind: FrameKind::Data, seq, ack: u64::from(how >> 4) }.write(&mut frame);
            frame.extend_from_slice(rest);
            frame.freeze()
        } else {
            Bytes::copy_from_slice(rest)
        };
        if session.handle_frame(&frame, now).is_err() {
            break;
        }
        now += Duration::from_millis(u64::from(how));
        session.handle_timeout(now);
        drain(&mut session, now, how & 2 == 0);
        assert!(budget.used() <= RECEIVED_POOL + SENT_POOL);
    }
    session.end();
    drop(session);
    assert_eq!(budget.used(), 0, "memory counted for a session outlives it");
});

/// So that answers, cancels and credit of the peer find something they are about.
fn something_of_everything(session: &mut SessionMachine, group: GroupId, now: Instant) {
    let request = Request {
        group: Some(group),
        service: "files".into(),
        method: "list".into(),
        timeout: Duration::from_secs(1),
        object: Object::plain("which"),
    };
    session.send_message(Some(group), Object::plain(vec![1; 40_000])).expect("there is room");
    session.call(request, now).expect("there is room");
    let stream = session.open_stream("photo", Some(group)).expect("there is room");
    session.write(stream, &mut Bytes::from_static(&[7; 100_000])).expect("the stream is open");
}

/// Actions of an app, or of one that takes nothing of what arrives.
fn drain(session: &mut SessionMachine, now: Instant, takes: bool) {
    while let Some(event) = session.poll_event() {
        match event {
            SessionEvent::Request(call, request) if takes => session.respond(call, Ok(request.object)),
            SessionEvent::StreamReadable(stream) if takes => {
                while matches!(session.read(stream), Ok(Some(chunk)) if !chunk.is_empty()) {}
            }
            _ => {}
        }
    }
    while takes && session.next_message().is_some() {}
    while let Some(frame) = session.poll_frame(now) {
        assert!(frame.len() <= MAX_FRAME_CONTENT);
    }
}
