//! Streams.

use std::time::Instant;

use peers_proto::limits::STREAM_WINDOW;
use peers_proto::session::wire::Segment;
use peers_tests::bench::Outcome;

use super::{BRIEF, FILL, FLOOD, LARGEST, PIECE, pad};
use crate::behaviours::{Behaviour, before, over_both};
use crate::scene::Scene;

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = Vec::new();
    all.extend(over_both("stream openings without end", openings).map(Behaviour::stalled));
    all.extend(over_both("a stream in pieces of one byte", bytewise).map(Behaviour::stalled));
    all.extend(over_both("a byte of a stream in each frame of 14 kB", pinned).map(Behaviour::stalled));
    all.extend([
        Behaviour::relay("streams opened and reset", opened_and_reset),
        Behaviour::webrtc("streams opened and reset", opened_and_reset),
        Behaviour::relay("empty pieces of a stream", empty).stalled(),
        Behaviour::webrtc("data on streams that were never opened", unknown),
        Behaviour::relay("data after the end of a stream", after_the_end),
        Behaviour::webrtc("credit for streams beyond every number", credit),
        Behaviour::relay("more than a stream's window", beyond_window).stalled(),
        Behaviour::webrtc("streams opened out of order", out_of_order),
        Behaviour::relay("a stream under the victim's own number", others_number),
        Behaviour::relay("streams of a group that was not declared", undeclared_lane),
    ]);
    all
}

/// The first stream a peer may open, and then every other one: the greater device has the odd ones.
fn own(scene: &Scene, n: u64) -> u64 {
    2 + u64::from(scene.attackers[0].id() > scene.victim.id()) + 2 * n
}

fn open(scene: &Scene, n: u64) -> Segment<'static> {
    Segment::StreamOpen { stream: own(scene, n), lane: 0, name: "s" }
}

async fn openings(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.flood(FILL, |n, frame| open(&scene, n).write(frame)).await;
    Ok(())
}

async fn bytewise(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let stream = own(&scene, 0);
    peer.flood(FILL, |n, frame| match n {
        0 => open(&scene, 0).write(frame),
        n if n + 1 < STREAM_WINDOW as u64 => {
            Segment::StreamData { stream, last: false, data: &[0] }.write(frame);
        }
        _ => pad(frame, PIECE),
    })
    .await;
    Ok(())
}

async fn pinned(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let stream = own(&scene, 0);
    let _ = peer.data(&[open(&scene, 0)]).await;
    let end = Instant::now() + FILL;
    loop {
        let sent = peer.data_of(|frame| {
            Segment::StreamData { stream, last: false, data: &[0] }.write(frame);
            pad(frame, PIECE);
        });
        if !before(end, sent).await {
            return Ok(());
        }
    }
}

async fn opened_and_reset(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.flood(FLOOD, |n, frame| {
        let stream = own(&scene, n);
        open(&scene, n).write(frame);
        Segment::StreamReset { stream, code: 1 }.write(frame);
        Segment::StreamStop { stream, code: 1 }.write(frame);
    })
    .await;
    Ok(())
}

async fn empty(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let stream = own(&scene, 0);
    let _ = peer.data(&[open(&scene, 0)]).await;
    peer.flood(FLOOD, |_, frame| Segment::StreamData { stream, last: false, data: &[] }.write(frame)).await;
    Ok(())
}

async fn unknown(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.flood(BRIEF, |n, frame| {
        Segment::StreamData { stream: own(&scene, 1000 + n), last: false, data: &[0; 100] }.write(frame);
    })
    .await;
    Ok(())
}

async fn after_the_end(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let stream = own(&scene, 0);
    let _ = peer.data(&[open(&scene, 0), Segment::StreamData { stream, last: true, data: &[0] }]).await;
    peer.flood(BRIEF, |_, frame| {
        Segment::StreamData { stream, last: false, data: &[0; 100] }.write(frame);
        Segment::StreamData { stream, last: true, data: &[] }.write(frame);
    })
    .await;
    Ok(())
}

async fn credit(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let stream = own(&scene, 0);
    let _ = peer.data(&[open(&scene, 0)]).await;
    peer.flood(BRIEF, |_, frame| {
        Segment::StreamCredit { stream: 0, limit: LARGEST }.write(frame);
        Segment::StreamCredit { stream, limit: LARGEST }.write(frame);
        Segment::StreamCredit { stream: LARGEST, limit: LARGEST }.write(frame);
        Segment::MessageCredit { limit: LARGEST }.write(frame);
    })
    .await;
    Ok(())
}

async fn beyond_window(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let stream = own(&scene, 0);
    let _ = peer.data(&[open(&scene, 0)]).await;
    let data = [0; PIECE];
    for _ in 0..=STREAM_WINDOW / PIECE {
        if peer.data(&[Segment::StreamData { stream, last: false, data: &data }]).await.is_err() {
            break;
        }
    }
    peer.must_end().await
}

async fn out_of_order(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[open(&scene, 5)]).await;
    peer.must_end().await
}

async fn others_number(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[Segment::StreamOpen { stream: own(&scene, 0) ^ 1, lane: 0, name: "s" }]).await;
    peer.must_end().await
}

async fn undeclared_lane(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[Segment::StreamOpen { stream: own(&scene, 0), lane: 9, name: "s" }]).await;
    peer.must_end().await
}
