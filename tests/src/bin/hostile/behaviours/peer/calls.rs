//! Calls, and answers to calls.

use std::time::Instant;

use peers_proto::limits::MAX_MESSAGE;
use peers_proto::session::Encoding;
use peers_proto::session::wire::{FailureCode, ObjectHead, Piece, RequestHead, Segment};
use peers_tests::bench::Outcome;

use super::{BRIEF, FILL, FLOOD, LARGEST, PIECE, call, line, objects, whole};
use crate::behaviours::{Behaviour, over_both};
use crate::raw_peer::{Gone, RawPeer};
use crate::scene::Scene;

/// Calls that are made at once and never answered.
const UNANSWERED: u64 = 10_000;

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = Vec::new();
    all.extend(over_both("calls that nothing handles, answers never acknowledged", unacknowledged));
    all.extend(over_both("large answers, never acknowledged", large_answers));
    all.extend(over_both("ten thousand calls that are never answered", never_answered));
    all.extend(over_both("decompression bombs as calls", bombs));
    all.extend([
        Behaviour::relay("calls made and cancelled", made_and_cancelled),
        Behaviour::webrtc("calls made and cancelled", made_and_cancelled),
        Behaviour::webrtc("cancels of calls that were never made", cancels),
        Behaviour::relay("calls in a group the victim is not in, never acknowledged", foreign_group),
        Behaviour::webrtc("calls with endless deadlines", endless),
        Behaviour::relay("an answer to no call", |s| answer(s, false)),
        Behaviour::webrtc("a failure of no call", |s| answer(s, true)),
        Behaviour::relay("a call made twice", made_twice),
        Behaviour::webrtc("a call's pieces without a beginning", headless),
        Behaviour::relay("a service whose name is not UTF-8", not_utf8),
        Behaviour::webrtc("a service with a long name", long_name),
    ]);
    all
}

async fn unacknowledged(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.acknowledges = false;
    peer.flood(FILL, |n, frame| call(n, "nothing", &[]).write(frame)).await;
    Ok(())
}

async fn foreign_group(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.acknowledges = false;
    let group = peers::GroupId::derive(b"foreign");
    let _ = peer.data(&[Segment::Lane { lane: 1, group }]).await;
    let head = RequestHead { lane: 1, ..line("echo") };
    peer.flood(FILL, |call, frame| {
        Segment::Request { call, head: Some(head), piece: whole(&[]) }.write(frame);
    })
    .await;
    Ok(())
}

/// Sends a call in pieces once there is credit for it; false if that does not happen before `end`.
async fn send(
    peer: &mut RawPeer,
    call: u64,
    head: ObjectHead,
    content: &[u8],
    end: Instant,
) -> Result<bool, Gone> {
    if !peer.credit(head.raw_len, end).await {
        return Ok(false);
    }
    let mut pieces = content.chunks(PIECE).peekable();
    let mut first = Some(head);
    while let Some(content) = pieces.next() {
        let piece = Piece { head: first.take(), last: pieces.peek().is_none(), content };
        let head = piece.head.map(|_| line("echo"));
        peer.data(&[Segment::Request { call, head, piece }]).await?;
    }
    Ok(true)
}

async fn large_answers(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    // The victim's frames are read, but for all it knows they were lost.
    peer.acknowledges = false;
    let mut content = vec![0; MAX_MESSAGE / 8];
    peers::random::fill(&mut content);
    let head = ObjectHead { encoding: Encoding::Plain, content_len: content.len(), raw_len: content.len() };
    let end = Instant::now() + FILL;
    for call in 0.. {
        if !matches!(send(&mut peer, call, head, &content, end).await, Ok(true)) {
            break;
        }
    }
    Ok(())
}

async fn bombs(scene: Scene) -> Outcome<()> {
    let bomb = objects::bomb()?;
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Brotli, content_len: bomb.len(), raw_len: MAX_MESSAGE };
    let end = Instant::now() + FLOOD;
    for call in 0.. {
        if !matches!(send(&mut peer, call, head, &bomb, end).await, Ok(true)) {
            break;
        }
    }
    Ok(())
}

async fn never_answered(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    for calls in (0..UNANSWERED).collect::<Vec<_>>().chunks(100) {
        let calls: Vec<_> = calls.iter().map(|n| call(*n, "never", &[0; 16])).collect();
        if peer.data(&calls).await.is_err() {
            break;
        }
    }
    tokio::time::sleep(BRIEF).await;
    if !peer.has_ended() && peer.answers() == 0 {
        return Err("more calls wait than may, and none was refused".into());
    }
    Ok(())
}

async fn made_and_cancelled(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.flood(FLOOD, |n, frame| {
        call(n, "never", &[0; 16]).write(frame);
        Segment::Cancel { call: n }.write(frame);
    })
    .await;
    Ok(())
}

async fn cancels(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.flood(BRIEF, |call, frame| Segment::Cancel { call }.write(frame)).await;
    Ok(())
}

async fn endless(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = RequestHead { timeout_ms: LARGEST, ..line("never") };
    let calls: Vec<_> =
        (0..200).map(|call| Segment::Request { call, head: Some(head), piece: whole(&[]) }).collect();
    let _ = peer.data(&calls).await;
    tokio::time::sleep(BRIEF).await;
    Ok(())
}

async fn answer(scene: Scene, failure: bool) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let answer = match failure {
        true => Segment::Failure { call: 77, code: FailureCode::NotFound, text: "no" },
        false => Segment::Response { call: 77, piece: whole(b"yes") },
    };
    let _ = peer.data(&[answer]).await;
    peer.must_end().await
}

async fn made_twice(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[call(1, "never", &[]), call(1, "never", &[])]).await;
    peer.must_end().await
}

async fn headless(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let piece = Piece { head: None, last: true, content: &[0] };
    let _ = peer.data(&[Segment::Request { call: 1, head: None, piece }]).await;
    peer.must_end().await
}

async fn not_utf8(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let mut segment = bytes::BytesMut::new();
    call(1, "echo", &[]).write(&mut segment);
    let name = segment.windows(4).position(|w| w == b"echo").ok_or("no name")?;
    segment[name] = 0xff;
    let _ = peer.data_of(|frame| frame.extend_from_slice(&segment)).await;
    peer.must_end().await
}

async fn long_name(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[call(1, &"s".repeat(255), &[])]).await;
    peer.must_end().await
}
