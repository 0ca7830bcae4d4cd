use super::*;
use crate::limits::{MAX_FRAME_CONTENT, MAX_MESSAGE};

// proves S012, S014: objects of every size arrive whole and in order.
#[test]
fn messages_arrive_in_order_whatever_their_size() {
    let mut pair = Pair::new();
    let sizes = [0, 1, 100, 16_000, MAX_FRAME_CONTENT, 100_000, 7, 800_000, 3];
    for n in sizes {
        pair.a.session.send_message(None, object(n)).unwrap();
    }
    pair.settle();
    let got: Vec<_> = pair.b.messages().iter().map(Bytes::len).collect();
    assert_eq!(got, sizes);
}

#[test]
fn small_messages_share_a_frame() {
    let mut pair = Pair::new();
    for _ in 0..1000 {
        pair.a.session.send_message(None, object(100)).unwrap();
    }
    pair.poll();
    assert!(pair.a.wire.len() <= 7, "{} frames for 1000 messages of 100 bytes", pair.a.wire.len());
    pair.settle();
    assert_eq!(pair.b.messages().len(), 1000);
}

// proves S011, S084, S107: messages of several groups share the session and never mix.
#[test]
fn groups_are_delivered_apart_and_only_where_shared() {
    let mut pair = Pair::new();
    pair.a.session.send_message(Some(group(1)), object(1)).unwrap();
    pair.a.session.send_message(Some(group(2)), object(2)).unwrap();
    assert_eq!(pair.a.session.send_message(Some(group(3)), object(3)), Err(SendError::NotInGroup));
    pair.b.session.set_groups(HashSet::from([group(2)]));
    pair.settle();
    let message = pair.b.session.next_message().unwrap();
    assert_eq!((message.group, message.object.content.len()), (Some(group(2)), 2));
    assert_eq!(pair.b.session.next_message(), None);
}

// proves S127: trust that does not reach beyond groups lets nothing else in.
#[test]
fn what_belongs_to_no_group_needs_trust() {
    let mut pair = Pair::new();
    pair.b.session.set_ungrouped(false);
    pair.a.session.send_message(None, object(1)).unwrap();
    pair.a.session.send_message(Some(group(1)), object(2)).unwrap();
    let id = pair.a.session.open_stream("s", None).unwrap();
    pair.settle();
    assert_eq!(pair.b.messages().iter().map(Bytes::len).collect::<Vec<_>>(), [2]);
    assert_eq!(pair.a.session.read(id), Err(StreamError::Reset(STREAM_REFUSED)));
}

#[test]
fn objects_beyond_the_limit_are_refused_before_they_are_queued() {
    let mut pair = Pair::new();
    assert_eq!(pair.a.session.send_message(None, object(MAX_MESSAGE + 1)), Err(SendError::TooLarge));
    let bomb =
        Object { encoding: Encoding::Brotli, raw_len: MAX_MESSAGE + 1, content: Bytes::from_static(b"x") };
    assert_eq!(pair.a.session.send_message(None, bomb), Err(SendError::TooLarge));
    pair.a.session.send_message(None, object(MAX_MESSAGE)).unwrap();
    pair.settle();
    assert_eq!(pair.b.messages()[0].len(), MAX_MESSAGE);
}

#[test]
fn a_small_object_of_another_lane_overtakes_a_large_one() {
    let mut pair = Pair::new();
    pair.a.session.send_message(None, object(MAX_MESSAGE)).unwrap();
    let first = pair.a.session.poll_frame(pair.now).unwrap();
    while pair.a.session.send_message(Some(group(1)), object(10)) == Err(SendError::Full) {
        pair.a.wire.push_back(pair.a.session.poll_frame(pair.now).unwrap());
    }
    let before = pair.a.wire.len();
    pair.a.wire.push_front(first);
    pair.a.wire.push_back(pair.a.session.poll_frame(pair.now).unwrap());
    pair.deliver(usize::MAX);
    assert!(before > 190 && before < 256, "{before}");
    assert_eq!(pair.b.messages(), [object(10).content]);
    pair.settle();
    assert_eq!(pair.b.messages()[0].len(), MAX_MESSAGE);
}
