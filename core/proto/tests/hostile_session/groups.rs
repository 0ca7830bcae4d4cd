//! A group that is no longer shared: nothing of it passes in either direction, whenever it was begun.

use super::*;
use peers_proto::session::{CallError, FailureCode, Object, Request, SessionEvent, StreamError};
use peers_proto::timing::CALL_TIMEOUT;

const LANE: Segment<'static> = Segment::Lane { lane: 1, group: GroupId::from_bytes([1; 20]) };

fn withdraw(victim: &mut Victim) {
    victim.session.set_groups(HashSet::new());
}

fn events(victim: &mut Victim) -> Vec<SessionEvent> {
    std::iter::from_fn(|| victim.session.poll_event()).collect()
}

/// The frames to the peer, in a form that can be compared.
fn sent(victim: &mut Victim) -> String {
    let mut all = String::new();
    while let Some(frame) = victim.session.poll_frame(NOW) {
        let mut rest = &frame[..];
        if Header::read(&mut rest).unwrap().kind != FrameKind::Data {
            break;
        }
        victim.sent += 1;
        while let Ok(segment) = Segment::read(&mut rest) {
            all += &format!("{segment:?}\n");
        }
    }
    all
}

#[test]
fn messages_that_wait_for_the_app_are_not_delivered() {
    let mut victim = Victim::trusting();
    let message = |lane, text: &'static [u8]| Segment::Message { lane, piece: plain(text) };
    victim.take(&[LANE, message(1, b"ours"), message(0, b"plain"), message(1, b"ours too")]).unwrap();
    withdraw(&mut victim);
    let taken: Vec<_> = std::iter::from_fn(|| victim.session.next_message()).collect();
    assert_eq!(taken.iter().map(|m| &m.object.content[..]).collect::<Vec<_>>(), [b"plain"]);
    victim.take(&[message(0, b"again")]).unwrap();
    victim.session.set_ungrouped(false);
    assert_eq!(victim.session.next_message(), None);
}

#[test]
fn an_object_begun_before_is_not_delivered_after() {
    let head = |n| Some(ObjectHead { encoding: Encoding::Plain, content_len: n, raw_len: n });
    let (begin, end) = (
        Piece { head: head(4), last: false, content: b"ab" },
        Piece { head: None, last: true, content: b"cd" },
    );
    let mut victim = Victim::trusting();
    let Segment::Request { head, .. } = call(0, 1, "s") else { unreachable!() };
    let request = |head, piece| Segment::Request { call: 0, head, piece };
    victim.take(&[LANE, Segment::Message { lane: 1, piece: begin }, request(head, begin)]).unwrap();
    withdraw(&mut victim);
    victim.take(&[Segment::Message { lane: 1, piece: end }, request(None, end)]).unwrap();
    assert_eq!((victim.session.next_message(), events(&mut victim)), (None, vec![]));
    assert!(sent(&mut victim).contains("Failure { call: 0, code: Denied"));
}

#[test]
fn a_call_that_is_being_answered_is_denied_and_its_answer_is_not_sent() {
    for answered in [false, true] {
        let mut victim = Victim::trusting();
        victim.take(&[LANE, call(3, 1, "s")]).unwrap();
        let asked = events(&mut victim);
        let [SessionEvent::Request(id, _)] = asked[..] else { unreachable!() };
        let answer = || Ok(Object::plain("secret"));
        if answered {
            victim.session.respond(id, answer());
        }
        withdraw(&mut victim);
        victim.session.respond(id, answer());
        let told = events(&mut victim);
        assert_eq!(told.contains(&SessionEvent::RequestCancelled(id)), !answered);
        let sent = sent(&mut victim);
        assert!(sent.contains("Failure { call: 3, code: Denied") && !sent.contains("Response"), "{sent}");
        assert!(victim.session.is_drained() || victim.session.unacknowledged().is_some());
    }
}

#[test]
fn a_stream_is_ended_at_both_ends_and_what_still_arrives_is_dropped() {
    let mut victim = Victim::trusting();
    let data = |stream, last| Segment::StreamData { stream, last, data: b"secret" };
    let open = |stream, lane| Segment::StreamOpen { stream, lane, name: "s" };
    victim.take(&[LANE, open(2, 1), open(4, 0), data(2, false), data(4, false)]).unwrap();
    let own = victim.session.open_stream("s", Some(group(1))).unwrap();
    victim.session.write(own, &mut Bytes::from_static(b"secret")).unwrap();
    victim.session.write(2, &mut Bytes::from_static(b"secret")).unwrap();
    events(&mut victim);
    withdraw(&mut victim);
    let told = events(&mut victim);
    for stream in [2, own] {
        assert!(told.contains(&SessionEvent::StreamReadable(stream)));
        assert!(told.contains(&SessionEvent::StreamWritable(stream)));
        assert!(matches!(
            victim.session.write(stream, &mut Bytes::from_static(b"x")),
            Err(StreamError::Stopped(_))
        ));
    }
    let sent = sent(&mut victim);
    for stream in [2, own] {
        assert!(sent.contains(&format!("StreamReset {{ stream: {stream}")), "{sent}");
        assert!(sent.contains(&format!("StreamStop {{ stream: {stream}")), "{sent}");
    }
    assert!(!sent.contains("StreamData"), "{sent}");
    victim.take(&[data(2, false), data(own, false)]).unwrap();
    for stream in [2, own] {
        assert!(matches!(victim.session.read(stream), Err(StreamError::Reset(_))));
    }
    victim.take(&[data(2, true), data(own, true)]).unwrap();
    // Its neighbour is none of this.
    assert_eq!(victim.session.read(4), Ok(Some(Bytes::from_static(b"secret"))));
    victim.take(&[open(6, 1)]).unwrap();
    assert_eq!(events(&mut victim), []);
}

#[test]
fn what_waits_to_be_sent_is_not_sent() {
    let mut victim = Victim::trusting();
    let request = Request {
        service: "s".into(),
        method: "m".into(),
        group: Some(group(1)),
        timeout: CALL_TIMEOUT,
        object: Object::plain("secret"),
    };
    victim.session.send_message(Some(group(1)), Object::plain("secret")).unwrap();
    victim.session.send_message(None, Object::plain("plain")).unwrap();
    let id = victim.session.call(request, NOW).unwrap();
    withdraw(&mut victim);
    let denied = CallError::Failed { code: FailureCode::Denied, text: String::new() };
    assert!(events(&mut victim).contains(&SessionEvent::Response(id, Err(denied))));
    let sent = sent(&mut victim);
    assert!(
        sent.contains("Message { lane: 0") && !sent.contains("lane: 1, piece") && !sent.contains("Request"),
        "{sent}"
    );
    // The lane goes on when the group is shared again.
    victim.session.set_groups(HashSet::from([group(1)]));
    victim.session.send_message(Some(group(1)), Object::plain("again")).unwrap();
    assert!(self::sent(&mut victim).contains("Message { lane: 1"));
}
