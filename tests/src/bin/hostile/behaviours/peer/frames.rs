//! Frames, their numbers, and what belongs to no object.

use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use peers::GroupId;
use peers_proto::limits::{MAX_FRAME, MAX_GROUPS};
use peers_proto::session::wire::{FrameKind, Segment};
use peers_tests::bench::Outcome;

use super::{BRIEF, FILL, FLOOD, LARGEST, message, whole};
use crate::behaviours::{Behaviour, before, over_both};
use crate::raw_peer::{Gone, RawPeer};
use crate::scene::Scene;

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = Vec::new();
    all.extend(over_both("pings without end", |s| headers(s, FrameKind::Ping)));
    all.extend(over_both("acknowledgements without end", |s| headers(s, FrameKind::Ack)));
    all.extend(over_both("empty frames without end", empty));
    all.extend(over_both("old frames without end", old));
    all.extend(over_both("pings without end, answers never read", deaf));
    all.extend([
        Behaviour::webrtc("pongs without a ping", |s| headers(s, FrameKind::Pong)),
        Behaviour::relay("frames of an unknown kind", |s| bytes(s, vec![0x7f; 40])),
        Behaviour::webrtc("a frame that says less than its length", |s| {
            bytes(s, vec![0x10, 0, 0, 0x31, 0, 0x3f])
        }),
        Behaviour::relay("a frame number not in its shortest form", |s| bytes(s, vec![0x10, 0x40, 0, 0])),
        Behaviour::webrtc("a segment of an unknown kind", |s| bytes(s, vec![0x10, 0, 0, 0x0f, 0, 0])),
        Behaviour::relay("an empty frame of no kind", |s| bytes(s, Vec::new())),
        Behaviour::webrtc("a gap between frames", gap),
        Behaviour::relay("an acknowledgement of what was never sent", future),
        Behaviour::relay("a frame beyond the limit", oversized),
        Behaviour::relay("a frame that is not sealed", unsealed),
        Behaviour::webrtc("more groups than may be", groups),
        Behaviour::relay("a lane declared twice", lane_twice),
        Behaviour::webrtc("a message on a lane that was not declared", undeclared),
        Behaviour::relay("messages of a group the victim is not in", foreign),
        Behaviour::webrtc("messages of the victim's group by a device that is no member", not_a_member),
        Behaviour::relay("away for longer than there is time", away),
    ]);
    all
}

async fn headers(scene: Scene, kind: FrameKind) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    flood(&mut peer, kind, FLOOD).await;
    Ok(())
}

async fn flood(peer: &mut RawPeer, kind: FrameKind, during: Duration) {
    let end = Instant::now() + during;
    for number in 0.. {
        if !before(end, peer.header(kind, number, 0)).await {
            break;
        }
    }
}

async fn deaf(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.deaf_peer().await?;
    flood(&mut peer, FrameKind::Ping, FILL).await;
    Ok(())
}

async fn empty(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let end = Instant::now() + FLOOD;
    while before(end, peer.data(&[])).await {}
    Ok(())
}

async fn old(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[message(b"\x01")]).await;
    let end = Instant::now() + FLOOD;
    loop {
        peer.skip_to(0);
        if !before(end, peer.data(&[message(&[1; 100])])).await {
            return Ok(());
        }
    }
}

/// A frame that is none ends the session.
async fn bytes(scene: Scene, frame: Vec<u8>) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.send(&frame).await;
    peer.must_end().await
}

async fn gap(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.skip_to(peer.next() + 1);
    let _ = peer.data(&[message(b"\x01")]).await;
    peer.must_end().await
}

async fn future(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.header(FrameKind::Ack, 0, LARGEST).await;
    peer.must_end().await
}

async fn oversized(scene: Scene) -> Outcome<()> {
    let (mut peer, link) = scene.peer().await?;
    let _ = peer.send_unsealed(BytesMut::zeroed(2 * MAX_FRAME)).await;
    let ended = peer.must_end().await;
    drop(link);
    ended
}

async fn unsealed(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let mut frame = BytesMut::new();
    frame.put_slice(&[0x10, 0, 0]);
    let _ = peer.send_unsealed(frame).await;
    peer.must_end().await
}

fn lane(lane: u64) -> Segment<'static> {
    Segment::Lane { lane, group: GroupId::derive(&lane.to_be_bytes()) }
}

async fn groups(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    for n in 1..=MAX_GROUPS as u64 + 1 {
        let _ = peer.data(&[lane(n)]).await;
    }
    peer.must_end().await
}

async fn lane_twice(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[lane(1), lane(1)]).await;
    peer.must_end().await
}

async fn undeclared(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let _ = peer.data(&[Segment::Message { lane: 9, piece: whole(b"\x01") }]).await;
    peer.must_end().await
}

/// The app must hear nothing of a group that it does not share with the peer.
async fn in_group(scene: Scene, group: GroupId) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let before = scene.count().await?.messages;
    let sent = async {
        peer.data(&[Segment::Lane { lane: 1, group }]).await?;
        for _ in 0..1000 {
            peer.data(&[Segment::Message { lane: 1, piece: whole(&[1; 16]) }]).await?;
        }
        peer.flush().await
    };
    // It may end the session: that is an answer, too.
    let _: Result<(), Gone> = sent.await;
    tokio::time::sleep(BRIEF / 2).await;
    let heard = scene.count().await?.messages - before;
    if heard == 0 {
        Ok(())
    } else {
        Err(format!("the app took {heard} messages of a group it does not share with the peer").into())
    }
}

async fn foreign(scene: Scene) -> Outcome<()> {
    in_group(scene, GroupId::derive(b"foreign")).await
}

async fn not_a_member(scene: Scene) -> Outcome<()> {
    in_group(scene, crate::world::GROUP).await
}

async fn away(scene: Scene) -> Outcome<()> {
    for _ in 0..20 {
        let (mut peer, _link) = scene.peer().await?;
        let _ = peer.data(&[message(b"\x01")]).await;
        let _ = peer.header(FrameKind::Away, LARGEST, 0).await;
        let _ = peer.flush().await;
    }
    Ok(())
}
