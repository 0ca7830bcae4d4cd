use super::*;

fn key(n: u8) -> TransportKey {
    TransportKey { peer: DeviceId::from_bytes([n / 16; 20]), connection: ConnectionId::from_bytes([n; 16]) }
}

fn output(transports: &mut RelayedTransports) -> Vec<Bytes> {
    let mut batch = Vec::new();
    while transports.poll_output(limits::RELAY_BATCH, &mut batch) {}
    batch
}

fn opened(received: &ReceiveOutcome) -> bool {
    matches!(received, ReceiveOutcome::Opened(_))
}

#[test]
fn transports_take_turns_frame_by_frame() {
    let mut transports = RelayedTransports::default();
    for n in 0..3 {
        transports.open(key(n)).unwrap();
        for _ in 0..4 {
            assert_eq!(transports.push(key(n), Bytes::from(vec![n; limits::MAX_FRAME])), PushOutcome::Queued);
        }
    }
    let order: Vec<u8> = output(&mut transports).iter().map(|frame| frame[0]).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_full_queue_holds_the_sender_until_something_was_written() {
    let mut transports = RelayedTransports::default();
    transports.open(key(1)).unwrap();
    let frame = Bytes::from(vec![0; limits::MAX_FRAME]);
    let mut queued = 0;
    while transports.push(key(1), frame.clone()) == PushOutcome::Queued {
        queued += 1;
    }
    assert!(queued * limits::MAX_FRAME <= limits::RELAY_OUTBOUND);
    assert_eq!(output(&mut transports).len(), queued);
    assert_eq!(transports.push(key(1), frame), PushOutcome::Queued);
}

#[test]
fn late_frames_of_a_closed_transport_open_nothing() {
    let mut transports = RelayedTransports::default();
    assert!(opened(&transports.handle_data(key(1), b"first", true, true)));
    assert!(!opened(&transports.handle_data(key(1), b"second", true, true)));
    transports.discard(key(1));
    assert_eq!(output(&mut transports).len(), 1, "the peer is told");
    assert!(!opened(&transports.handle_data(key(1), b"late", true, true)));
    assert!(transports.transports.is_empty());
    assert_eq!(transports.inbound_bytes, 0);
    assert!(output(&mut transports).is_empty());
}

#[test]
fn strangers_leave_the_lanes_of_known_devices_alone() {
    let mut transports = RelayedTransports::default();
    let stranger = |n: u8| TransportKey {
        peer: DeviceId::from_bytes([n; 20]),
        connection: ConnectionId::from_bytes([n; 16]),
    };
    let count =
        (0..=255).filter(|n| opened(&transports.handle_data(stranger(*n), b"hello", true, false))).count();
    assert_eq!(count, limits::MAX_RELAY_STRANGERS);
    assert!(opened(&transports.handle_data(key(255), b"hello", true, true)));
}

#[test]
fn an_accepted_stranger_leaves_its_place_to_the_next() {
    let mut transports = RelayedTransports::default();
    let stranger = |n: u8| TransportKey {
        peer: DeviceId::from_bytes([n; 20]),
        connection: ConnectionId::from_bytes([n; 16]),
    };
    let open = |transports: &mut RelayedTransports, n| {
        opened(&transports.handle_data(stranger(n), b"hello", true, false))
    };
    let strangers = u8::try_from(limits::MAX_RELAY_STRANGERS).unwrap();
    assert!((0..strangers).all(|n| open(&mut transports, n)));
    assert!(!open(&mut transports, strangers));
    transports.sort_callers(|device| device == stranger(0).peer);
    assert!(open(&mut transports, strangers + 1));
    assert!(!open(&mut transports, strangers + 2));
}

#[test]
fn callers_are_bounded_per_peer_and_in_total() {
    let mut transports = RelayedTransports::default();
    let count = (0..=255).filter(|n| opened(&transports.handle_data(key(*n), b"hello", true, true))).count();
    assert_eq!(count, limits::MAX_RELAY_INCOMING);
    let of_one = transports.transports.keys().filter(|k| k.peer == key(0).peer).count();
    assert_eq!(of_one, limits::MAX_RELAY_INCOMING_PER_PEER);
    assert!(!opened(&transports.handle_data(key(255), b"hello", false, true)), "no room to report it");
}

#[test]
fn many_slow_readers_together_are_bounded_too_and_the_fullest_pays() {
    let mut transports = RelayedTransports::default();
    let frame = vec![0; limits::MAX_FRAME];
    let fill = |transports: &mut RelayedTransports, n, bytes: usize| {
        for _ in 0..bytes / limits::MAX_FRAME - bytes / limits::MAX_FRAME / 100 {
            transports.handle_data(key(n), &frame, true, true);
        }
    };
    fill(&mut transports, 0, limits::RELAY_INBOUND);
    fill(&mut transports, 16, limits::RELAY_INBOUND / 2);
    fill(&mut transports, 32, limits::RELAY_INBOUND / 2);
    assert!(transports.transports.values().all(|transport| transport.end.is_none()));
    fill(&mut transports, 48, limits::RELAY_INBOUND / 2);
    assert!(matches!(transports.transports[&key(0)].end, Some(CloseReason::Protocol(_))));
    assert!(transports.transports.iter().all(|(k, transport)| *k == key(0) || transport.end.is_none()));
    assert!(transports.inbound_bytes <= limits::RELAY_INBOUND_TOTAL);
}

#[test]
fn tiny_frames_are_not_free() {
    let mut transports = RelayedTransports::default();
    let mut frames = 0;
    transports.handle_data(key(1), b"", true, true);
    while transports.transports[&key(1)].end.is_none() {
        transports.handle_data(key(1), b"", true, true);
        frames += 1;
    }
    assert!(frames <= limits::RELAY_INBOUND / limits::OBJECT_COST);
}

#[test]
fn what_arrived_before_the_end_is_read_before_it() {
    let mut transports = RelayedTransports::default();
    transports.handle_data(key(1), b"a", true, true);
    transports.handle_close(key(1), RelayCloseReason::Closed);
    transports.handle_close(key(1), RelayCloseReason::Overflow);
    let mut read = VecDeque::new();
    assert_eq!(transports.take(key(1), 64, &mut read), ReadOutcome::Frames);
    assert_eq!(read, ["a"]);
    assert_eq!(
        transports.take(key(1), 64, &mut read),
        ReadOutcome::Ended(CloseReason::Remote),
        "the first end counts"
    );
}

#[test]
fn refusals_are_bounded() {
    let mut transports = RelayedTransports::default();
    for n in 0..2000_u32 {
        let mut connection = [0; 16];
        connection[..4].copy_from_slice(&n.to_be_bytes());
        let key = TransportKey { peer: key(1).peer, connection: ConnectionId::from_bytes(connection) };
        transports.handle_data(key, b"", false, true);
    }
    assert_eq!(output(&mut transports).len(), MAX_REFUSALS);
    assert!(transports.ended.len() <= MAX_ENDED);
}
