use super::*;
use crate::limits::{
    MAX_FRAME_CONTENT, MAX_STREAM_NAME, MAX_STREAMS, STREAM_QUEUE, STREAM_WINDOW, STREAMS_WINDOW,
};

fn opened(end: &mut End) -> u64 {
    let at = end.events.iter().position(|e| matches!(e, SessionEvent::StreamOpened { .. })).unwrap();
    let SessionEvent::StreamOpened { stream, .. } = end.events.remove(at) else { unreachable!() };
    stream
}

// proves S014, S117: a stream carries any number of bytes both ways, with bounded memory at either end.
#[test]
fn a_stream_carries_bytes_both_ways_and_ends() {
    let mut pair = Pair::new();
    let id = pair.a.session.open_stream("photo", Some(group(1))).unwrap();
    pair.settle();
    assert_eq!(opened(&mut pair.b), id);
    let total = 3 * STREAM_WINDOW + 17;
    let mut left = Bytes::from((0..total).map(|i| i as u8).collect::<Vec<_>>());
    let (want, mut got, mut ended) = (left.clone(), Vec::new(), false);
    pair.b.session.write(id, &mut Bytes::from_static(b"thanks")).unwrap();
    pair.b.session.finish(id).unwrap();
    while !ended {
        pair.a.session.write(id, &mut left).unwrap();
        if left.is_empty() {
            pair.a.session.finish(id).unwrap();
        }
        pair.settle();
        let (bytes, end) = pair.b.read_all(id).unwrap();
        got.extend(bytes);
        ended = end;
    }
    assert!(got == want);
    assert_eq!(pair.a.read_all(id), Ok((b"thanks".to_vec(), true)));
    pair.settle();
    assert_eq!(pair.a.session.read(id), Err(StreamError::Closed));
    assert_eq!(pair.b.session.read(id), Err(StreamError::Closed));
}

#[test]
fn a_stream_has_the_longest_name_of_a_file_and_no_longer_one() {
    let mut pair = Pair::new();
    let name = "n".repeat(MAX_STREAM_NAME + 1);
    assert_eq!(pair.a.session.open_stream(&name, None), Err(SendError::NameTooLong));
    let id = pair.a.session.open_stream(&name[1..], None).unwrap();
    pair.settle();
    assert_eq!(opened(&mut pair.b), id);
}

// Bulk goes in whole SCTP packets: see MAX_FRAME_CONTENT.
#[test]
fn frames_of_a_busy_stream_are_full_to_the_byte() {
    let mut pair = Pair::new();
    let id = pair.a.session.open_stream("s", None).unwrap();
    pair.settle();
    pair.a.session.write(id, &mut Bytes::from(vec![7; 4 * MAX_FRAME_CONTENT])).unwrap();
    for _ in 0..3 {
        assert_eq!(pair.a.session.poll_frame(pair.now).unwrap().len(), MAX_FRAME_CONTENT);
    }
}

#[test]
fn a_writer_waits_for_its_reader() {
    let mut pair = Pair::new();
    let id = pair.a.session.open_stream("s", None).unwrap();
    let mut data = Bytes::from(vec![7; 2 * STREAM_WINDOW]);
    loop {
        let before = data.len();
        pair.a.session.write(id, &mut data).unwrap();
        pair.settle();
        if data.len() == before {
            break;
        }
    }
    let sent = 2 * STREAM_WINDOW - data.len();
    assert_eq!(sent, STREAM_WINDOW + STREAM_QUEUE);
    pair.a.events.clear();
    pair.b.read_all(id).unwrap();
    pair.settle();
    assert!(pair.a.events.contains(&SessionEvent::StreamWritable(id)));
}

#[test]
fn all_streams_together_stay_within_their_window_and_none_starves() {
    let mut pair = Pair::new();
    let ids: Vec<_> = (0..4).map(|_| pair.a.session.open_stream("s", None).unwrap()).collect();
    let mut data: Vec<_> = ids.iter().map(|_| Bytes::from(vec![1; STREAM_WINDOW])).collect();
    let write = |pair: &mut Pair, data: &mut Vec<Bytes>| {
        for _ in 0..40 {
            for (id, d) in ids.iter().zip(data.iter_mut()) {
                pair.a.session.write(*id, d).unwrap();
            }
            pair.settle();
        }
    };
    write(&mut pair, &mut data);
    let queued: usize = 4 * STREAM_QUEUE;
    let sent = 4 * STREAM_WINDOW - data.iter().map(Bytes::len).sum::<usize>();
    assert_eq!(sent, STREAMS_WINDOW + queued);
    let mut got = 0;
    for _ in 0..20 {
        for id in &ids {
            got += pair.b.read_all(*id).unwrap().0.len();
        }
        write(&mut pair, &mut data);
    }
    assert_eq!(got, 4 * STREAM_WINDOW);
}

#[test]
fn reset_and_stop_reach_the_other_end_with_their_code() {
    let mut pair = Pair::new();
    let id = pair.a.session.open_stream("s", None).unwrap();
    pair.a.session.write(id, &mut Bytes::from_static(b"abc")).unwrap();
    pair.settle();
    pair.a.session.reset(id, 5);
    pair.b.session.stop(id, 9);
    pair.settle();
    assert_eq!(pair.b.session.read(id), Err(StreamError::Reset(5)));

    let id = pair.a.session.open_stream("s", None).unwrap();
    pair.settle();
    pair.b.session.stop(id, 9);
    pair.settle();
    assert_eq!(pair.a.session.write(id, &mut Bytes::from_static(b"x")), Err(StreamError::Stopped(9)));
    pair.b.session.reset(id, 1);
    pair.settle();
    assert_eq!(pair.a.session.read(id), Err(StreamError::Reset(1)));
}

#[test]
fn a_finished_stream_frees_its_place() {
    let mut pair = Pair::new();
    for round in 0..3 * MAX_STREAMS {
        let id = pair.a.session.open_stream("s", None).unwrap();
        pair.a.session.finish(id).unwrap();
        pair.settle();
        let there = opened(&mut pair.b);
        assert_eq!(pair.b.read_all(there), Ok((vec![], true)), "round {round}");
        pair.b.session.finish(there).unwrap();
        pair.settle();
        assert_eq!(pair.a.read_all(id), Ok((vec![], true)));
    }
}

#[test]
fn streams_beyond_the_limit_are_refused_at_the_opener() {
    let mut pair = Pair::new();
    for _ in 0..MAX_STREAMS {
        pair.a.session.open_stream("s", None).unwrap();
    }
    assert_eq!(pair.a.session.open_stream("s", None), Err(SendError::Full));
}

#[test]
fn a_stream_of_a_foreign_group_is_refused() {
    let mut pair = Pair::new();
    pair.b.session.set_groups(HashSet::new());
    let id = pair.a.session.open_stream("s", Some(group(1))).unwrap();
    pair.settle();
    assert!(pair.b.events.is_empty());
    assert_eq!(pair.a.session.read(id), Err(StreamError::Reset(STREAM_REFUSED)));
}

#[test]
fn an_end_that_arrives_alone_is_read_even_if_this_side_ends_meanwhile() {
    let mut pair = Pair::new();
    let id = pair.a.session.open_stream("s", None).unwrap();
    pair.a.session.write(id, &mut Bytes::from_static(b"all")).unwrap();
    pair.settle();
    assert_eq!(pair.b.read_all(id), Ok((b"all".to_vec(), false)));
    pair.a.session.finish(id).unwrap();
    pair.b.session.finish(id).unwrap();
    pair.settle();
    assert_eq!(pair.b.read_all(id), Ok((vec![], true)));
    assert_eq!(pair.b.session.read(id), Err(StreamError::Closed));
}
