//! A session and a peer that may say anything. Each chunk is one frame: its first byte chooses whether the rest is the
//! whole frame or the segments of a DATA frame with the number the session expects.

#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use peers_fuzz::chunks;
use peers_proto::id::{DeviceId, GroupId};
use peers_proto::limits::{MAX_FRAME_CONTENT, MAX_REASSEMBLY_PER_CONNECTION};
use peers_proto::session::wire::{FrameKind, Header};
use peers_proto::session::{Object, ReassemblyBudget, Request, Session, SessionConfig, SessionEvent};
use peers_proto::time::Instant;

fuzz_target!(|data: &[u8]| {
    let budget = ReassemblyBudget::default();
    let group = GroupId::from_bytes([0; 20]);
    let mut now = Instant::from_micros(1);
    let mut session = Session::new(SessionConfig {
        local: DeviceId::from_bytes([1; 20]),
        remote: DeviceId::from_bytes([2; 20]),
        epoch: 1,
        groups: HashSet::from([group]),
        budget: budget.clone(),
    });
    session.attach(session.resume_point(2).next, now).expect("a new session attaches");
    let opened = something_of_everything(&mut session, group, now);
    let mut seq = session.resume_point(2).next;
    for chunk in chunks(data) {
        let Some((&how, rest)) = chunk.split_first() else { continue };
        let frame = if how & 1 == 0 {
            let mut frame = BytesMut::new();
            Header { kind: FrameKind::Data, seq, ack: u64::from(how >> 1) }.write(&mut frame);
            frame.extend_from_slice(rest);
            seq += 1;
            frame.freeze()
        } else {
            Bytes::copy_from_slice(rest)
        };
        if session.handle_frame(&frame, now).is_err() {
            break;
        }
        now += Duration::from_millis(u64::from(how));
        if session.handle_timeout(now).is_err() {
            break;
        }
        drain(&mut session, opened, now, how);
        assert!(budget.used() <= MAX_REASSEMBLY_PER_CONNECTION);
    }
    session.end();
    drop(session);
    assert_eq!(budget.used(), 0, "memory counted for a session outlives it");
});

/// So that answers, cancels and credit of the peer find something they are about.
fn something_of_everything(session: &mut Session, group: GroupId, now: Instant) -> Option<u64> {
    let _ = session.send_message(Some(group), Object::plain(vec![1; 40_000]));
    let _ = session.call(
        Request {
            group: Some(group),
            service: "files".into(),
            method: "list".into(),
            timeout: Duration::from_secs(1),
            object: Object::plain("which"),
        },
        now,
    );
    let stream = session.open_stream("photo", Some(group)).ok()?;
    let _ = session.write(stream, &mut Bytes::from_static(&[7; 100_000]));
    Some(stream)
}

/// What a busy app does.
fn drain(session: &mut Session, opened: Option<u64>, now: Instant, how: u8) {
    while let Some(frame) = session.poll_frame(now) {
        assert!(frame.len() <= MAX_FRAME_CONTENT);
    }
    if how & 2 == 0 {
        while session.next_message().is_some() {}
        if let Some(stream) = opened {
            while matches!(session.read(stream), Ok(Some(chunk)) if !chunk.is_empty()) {}
        }
    }
    while let Some(event) = session.poll_event() {
        if let SessionEvent::Request(call, _) = event {
            session.respond(call, Ok(Object::plain("done")));
        }
    }
}
