//! The `webrtc` transport over real sockets on loopback.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use peers::transport::webrtc::{
    CandidateError, CounterSnapshot, WebRtcAttempt, WebRtcConfig, WebRtcError, WebRtcNegotiation,
    fingerprint_of_sdp,
};
use peers::transport::{CloseReason, Transport, TransportKind};
use peers_proto::limits;
use peers_proto::signaling::IceServer;
use tokio::sync::Semaphore;

struct Pair {
    offerer: Transport,
    answerer: Transport,
    negotiations: [WebRtcNegotiation; 2],
    sdps: [String; 2],
}

fn loopback() -> WebRtcConfig {
    WebRtcConfig { include_loopback: true, ..WebRtcConfig::default() }
}

async fn pair() -> Pair {
    let offering = WebRtcAttempt::offer(&loopback()).await.unwrap();
    let answering = WebRtcAttempt::answer(&loopback(), &offering.sdp).await.unwrap();
    offering.negotiation.set_remote_answer(&answering.sdp).await.unwrap();
    let (offerer, answerer) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
    Pair {
        offerer: offerer.unwrap(),
        answerer: answerer.unwrap(),
        negotiations: [offering.negotiation, answering.negotiation],
        sdps: [offering.sdp, answering.sdp],
    }
}

async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| panic!("not within {limit:?}"))
}

const SOON: Duration = Duration::from_secs(5);

// proves S002 S006 S034 S037 S102 S105
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_peers_connect_and_frames_go_both_ways_in_order() {
    let mut p = within(SOON, pair()).await;
    for end in [&p.offerer, &p.answerer] {
        assert_eq!(end.route, TransportKind::WebRtc.into(), "no TURN server is near");
    }
    for i in 0..100u8 {
        p.offerer.sink.send(BytesMut::from(&[i][..])).await.unwrap();
        p.answerer.sink.send(BytesMut::from(&[i, i][..])).await.unwrap();
    }
    for i in 0..100u8 {
        assert_eq!(within(SOON, p.answerer.source.recv()).await.unwrap(), &[i][..]);
        assert_eq!(within(SOON, p.offerer.source.recv()).await.unwrap(), &[i, i][..]);
    }
}

// proves S130 S131: what the handshake is bound to is what DTLS saw, and fresh every time
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_binding_is_both_certificates_initiator_first() {
    let p = within(SOON, pair()).await;
    assert_eq!(p.offerer.binding, p.answerer.binding);
    let promised = p.sdps.each_ref().map(|sdp| fingerprint_of_sdp(sdp).unwrap());
    assert_eq!(p.offerer.binding, promised.concat());
    assert_eq!(p.negotiations.each_ref().map(WebRtcNegotiation::local_fingerprint), promised);
    let again = within(SOON, pair()).await;
    assert_ne!(again.offerer.binding, p.offerer.binding);
}

// proves S130
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_certificate_than_the_description_promised_ends_the_attempt() {
    let offering = WebRtcAttempt::offer(&loopback()).await.unwrap();
    let answering = WebRtcAttempt::answer(&loopback(), &offering.sdp).await.unwrap();
    let forged: String = (answering.sdp.lines())
        .map(|line| match line.starts_with("a=fingerprint:") {
            true => format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":")),
            false => format!("{line}\r\n"),
        })
        .collect();
    offering.negotiation.set_remote_answer(&forged).await.unwrap();
    let reason = within(SOON, offering.connecting.connected()).await.err();
    assert!(matches!(reason, Some(CloseReason::Network(_) | CloseReason::Protocol(_))), "{reason:?}");
}

// What each step has to say leaves at once, and not in ICE's next round, 20 ms later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_set_up_within_one_of_ices_rounds() {
    let mut times = Vec::new();
    for _ in 0..31 {
        let start = Instant::now();
        let connected = within(SOON, pair()).await;
        times.push(start.elapsed());
        drop(connected);
    }
    times.sort();
    assert!(times[15] < peers_proto::timing::ICE_CHECKS.0, "{times:?}");
}

// The guard of the kick: without it the tail waits a second for the next datagram.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_small_frames_followed_by_silence_arrives_at_once() {
    let mut p = within(SOON, pair()).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        for _ in 0..1000 {
            p.offerer.sink.send(BytesMut::from(&[7; 100][..])).await.unwrap();
        }
        let sent = Instant::now();
        for _ in 0..1000 {
            within(SOON, p.answerer.source.recv()).await.unwrap();
        }
        times.push(sent.elapsed());
    }
    times.sort();
    assert!(times[2] < Duration::from_millis(50) && times[4] < Duration::from_millis(500), "{times:?}");
    let kicks = p.negotiations.map(|n| n.counters()).map(|c| c.kicks);
    assert!(kicks.iter().sum::<u64>() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_arrives_whole_in_order_and_at_speed() {
    const FRAMES: usize = 64 * 1024 * 1024 / limits::MAX_FRAME;
    let mut p = within(SOON, pair()).await;
    // What the session's credit does: a receiver that is not scheduled for a while is not flooded.
    let credit = Arc::new(Semaphore::new(limits::SEND_WINDOW / (limits::MAX_FRAME * 2)));
    let spent = credit.clone();
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        for i in 0..FRAMES as u64 {
            spent.acquire().await.unwrap().forget();
            let mut frame = BytesMut::zeroed(limits::MAX_FRAME);
            frame[..8].copy_from_slice(&i.to_be_bytes());
            p.offerer.sink.send(frame).await.unwrap();
        }
        p.offerer
    });
    for i in 0..FRAMES as u64 {
        let frame = within(SOON, p.answerer.source.recv()).await.unwrap();
        assert_eq!((&frame[..8], frame.len()), (&i.to_be_bytes()[..], limits::MAX_FRAME));
        credit.add_permits(1);
    }
    // The stack's default buffers reach 8 MB/s; a busy machine must still show the difference.
    assert!(start.elapsed() < Duration::from_secs(6), "{:?}", start.elapsed());
    let [a, b] = p.negotiations.map(|n| n.counters());
    assert_eq!((a.send_errors, b.send_errors), (0, 0));
    drop(sender.await.unwrap());
}

// proves S019 S020 S035 S036
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_side_learns_one_reason_and_keeps_it() {
    let mut p = within(SOON, pair()).await;
    p.offerer.sink.send(BytesMut::from(&b"last words"[..])).await.unwrap();
    within(SOON, p.offerer.sink.close()).await;
    assert_eq!(within(SOON, p.answerer.source.recv()).await.unwrap(), &b"last words"[..]);
    for _ in 0..3 {
        assert_eq!(within(SOON, p.answerer.source.recv()).await, Err(CloseReason::Remote));
        assert_eq!(within(SOON, p.offerer.source.recv()).await, Err(CloseReason::Local));
    }
    assert_eq!(p.offerer.sink.send(BytesMut::new()).await, Err(CloseReason::Local));
    assert_eq!(p.answerer.sink.send(BytesMut::new()).await, Err(CloseReason::Remote));
    within(SOON, p.answerer.sink.close()).await;
    assert_eq!(p.answerer.source.recv().await, Err(CloseReason::Remote));
}

// proves S035
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_transport_tells_the_peer() {
    let mut p = within(SOON, pair()).await;
    drop(p.offerer);
    assert_eq!(within(SOON, p.answerer.source.recv()).await, Err(CloseReason::Remote));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_beyond_the_limit_is_not_sent() {
    let mut p = within(SOON, pair()).await;
    let sent = p.offerer.sink.send(BytesMut::zeroed(limits::MAX_FRAME + 1024)).await;
    assert!(matches!(sent, Err(CloseReason::Protocol(_))));
}

#[tokio::test]
async fn an_attempt_nobody_answers_times_out() {
    let config = WebRtcConfig { establishment: Duration::from_millis(50), ..loopback() };
    let attempt = WebRtcAttempt::offer(&config).await.unwrap();
    assert_eq!(within(SOON, attempt.connecting.connected()).await.err(), Some(CloseReason::TimedOut));
}

/// The stack's own consent checks would show within this: by default each end sends one every 2 s.
const SILENCE: Duration = Duration::from_secs(5);

// proves S179: own liveness keeps paths alive and ends them. ICE adds no datagram of its own, and no phone wakes up for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_silent_and_still_works() {
    let mut p = within(SOON, pair()).await;
    let datagrams = |n: &WebRtcNegotiation| (n.counters().datagrams_sent, n.counters().datagrams_received);
    // Acknowledgements of the opening words are still on their way.
    let mut before = p.negotiations.each_ref().map(datagrams);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = p.negotiations.each_ref().map(datagrams);
        if std::mem::replace(&mut before, now) == now {
            break;
        }
    }
    let passes = |n: &WebRtcNegotiation| n.counters().passes;
    let passed = p.negotiations.each_ref().map(passes);
    tokio::time::sleep(SILENCE).await;
    assert_eq!(p.negotiations.each_ref().map(datagrams), before);
    // One to fall asleep, one for the beat.
    let passed: [u64; 2] = std::array::from_fn(|i| passes(&p.negotiations[i]) - passed[i]);
    assert!(passed.iter().all(|n| *n <= 2), "the drivers went round {passed:?} times in {SILENCE:?}");
    p.offerer.sink.send(BytesMut::from(&b"after silence"[..])).await.unwrap();
    assert_eq!(within(SOON, p.answerer.source.recv()).await.unwrap(), &b"after silence"[..]);
    assert_ne!(p.negotiations.each_ref().map(datagrams), before, "the counters count");
}

// proves S058 S065: candidates travel apart from the descriptions, in any order
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_may_come_before_the_answer() {
    let offering = WebRtcAttempt::offer(&loopback()).await.unwrap();
    let answering = WebRtcAttempt::answer(&loopback(), &offering.sdp).await.unwrap();
    let (candidates, rest): (Vec<_>, Vec<_>) =
        answering.sdp.lines().partition(|line| line.starts_with("a=candidate:"));
    assert!(!candidates.is_empty());
    for candidate in candidates {
        offering.negotiation.add_candidate(candidate).await.unwrap();
    }
    offering.negotiation.set_remote_answer(&(rest.join("\r\n") + "\r\n")).await.unwrap();
    let (a, b) = tokio::join!(offering.connecting.connected(), answering.connecting.connected());
    assert_eq!(a.unwrap().binding, b.unwrap().binding);
}

#[tokio::test]
async fn bad_candidates_are_refused_counted_and_capped() {
    let attempt = WebRtcAttempt::offer(&WebRtcConfig::default()).await.unwrap();
    let n = &attempt.negotiation;
    let candidate = |address: &str, port: u16| format!("candidate:1 1 udp 1 {address} {port} typ srflx");
    let refused = n.add_candidate(&candidate("127.0.0.1", 9)).await;
    assert!(matches!(refused, Err(WebRtcError::Candidate(CandidateError::Address))));
    for port in 0..limits::MAX_CANDIDATES {
        n.add_candidate(&candidate("192.0.2.1", 1000 + u16::try_from(port).unwrap())).await.unwrap();
    }
    let refused = n.add_candidate(&candidate("192.0.2.1", 9)).await;
    assert!(matches!(refused, Err(WebRtcError::Candidate(CandidateError::TooMany))));
    let CounterSnapshot { candidates_refused, datagrams_refused, .. } = n.counters();
    assert_eq!((candidates_refused, datagrams_refused), (2, 0));
}

#[tokio::test]
async fn a_second_answer_is_refused() {
    let offering = WebRtcAttempt::offer(&loopback()).await.unwrap();
    let answering = WebRtcAttempt::answer(&loopback(), &offering.sdp).await.unwrap();
    offering.negotiation.set_remote_answer(&answering.sdp).await.unwrap();
    let again = offering.negotiation.set_remote_answer(&answering.sdp).await;
    assert!(matches!(again, Err(WebRtcError::UnexpectedAnswer)));
    let wrong_side = answering.negotiation.set_remote_answer(&offering.sdp).await;
    assert!(matches!(wrong_side, Err(WebRtcError::UnexpectedAnswer)));
}

// proves S136
#[tokio::test]
async fn relay_only_reveals_no_address() {
    let ice_servers = vec![IceServer {
        urls: vec!["turn:127.0.0.1:9".into()],
        username: Some("u".into()),
        credential: Some("c".into()),
    }];
    let config = WebRtcConfig { relay_only: true, ice_servers, ..loopback() };
    let attempt = WebRtcAttempt::offer(&config).await.unwrap();
    assert!(!attempt.sdp.contains("a=candidate:"), "{}", attempt.sdp);
}
