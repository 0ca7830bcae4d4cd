//! Messages: what they declare, and what they are.

use std::time::{Duration, Instant};

use bytes::Bytes;
use peers_proto::codec;
use peers_proto::limits::{MAX_ELEMENTS, MAX_MESSAGE, OBJECT_COST, RECEIVE_BUDGET};
use peers_proto::session::Encoding;
use peers_proto::session::wire::{ObjectHead, Piece, Segment};
use peers_tests::bench::Outcome;

use super::{BRIEF, FILL, FLOOD, PIECE, line, message, pad};
use crate::behaviours::{Behaviour, before, over_both};
use crate::raw_peer::{Gone, RawPeer};
use crate::scene::Scene;

/// Whole objects of the largest size that one attack sends at most.
const OBJECTS: usize = 120;

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = Vec::new();
    all.extend(
        over_both("compressed objects that declare no length", |s| declare(s, 0)).map(Behaviour::stalled),
    );
    all.extend(
        over_both("compressed objects that declare one byte", |s| declare(s, 1)).map(Behaviour::stalled),
    );
    all.extend([
        Behaviour::relay("small compressed objects that declare all there may be", declare_much).stalled(),
        Behaviour::relay("compressed objects beyond the ratio", beyond_ratio),
    ]);
    all.extend(over_both("decompression bombs at the allowed ratio", bombs));
    all.extend(over_both("an object in pieces of one byte", bytewise));
    all.extend(over_both("messages of one byte in frames of 14 kB", pinned).map(Behaviour::stalled));
    all.extend([
        Behaviour::webrtc("messages without credit", without_credit).stalled(),
        Behaviour::relay("more objects at once than may be open", too_many_open),
        Behaviour::webrtc("an object begun twice", begun_twice),
        Behaviour::relay("an object longer than it says", longer_than_declared),
        Behaviour::relay("an object that declares more than the largest", beyond_largest),
        Behaviour::webrtc("objects begun and abandoned", abandoned),
        Behaviour::relay("objects begun and abandoned", abandoned),
        Behaviour::relay("one byte of an object a second", slow),
        Behaviour::relay("messages nested a thousand deep", |s| malformed(s, nested())),
        Behaviour::webrtc("messages of very many elements", |s| malformed(s, elements())),
        Behaviour::relay("messages that are not UTF-8", |s| malformed(s, vec![0xa2, 0xff, 0xfe])),
        Behaviour::webrtc("messages that promise four billion elements", |s| {
            malformed(s, vec![0xdd, 0xff, 0xff, 0xff, 0xff])
        }),
    ]);
    all
}

/// Sends an object in pieces.
async fn send(peer: &mut RawPeer, head: ObjectHead, content: &[u8]) -> Result<(), Gone> {
    let mut pieces = content.chunks(PIECE).peekable();
    let mut head = Some(head);
    while let Some(content) = pieces.next() {
        let last = pieces.peek().is_none();
        let piece = Piece { head: head.take(), last, content };
        peer.data(&[Segment::Message { lane: 0, piece }]).await?;
    }
    Ok(())
}

async fn declare(scene: Scene, raw_len: usize) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let content = vec![0x5a; MAX_MESSAGE];
    let head = ObjectHead { encoding: Encoding::Brotli, content_len: content.len(), raw_len };
    let end = Instant::now() + FILL;
    for _ in 0..OBJECTS {
        if !before(end, send(&mut peer, head, &content)).await {
            break;
        }
    }
    Ok(())
}

async fn declare_much(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Brotli, content_len: 1, raw_len: MAX_MESSAGE };
    let piece = Piece { head: Some(head), last: true, content: &[6] };
    for _ in 0..2 {
        // The second one is beyond the credit.
        let _ = peer.data(&[Segment::Message { lane: 0, piece }]).await;
    }
    peer.must_end().await
}

async fn beyond_ratio(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Brotli, content_len: 100, raw_len: MAX_MESSAGE };
    let end = Instant::now() + BRIEF;
    while peer.credit(MAX_MESSAGE, end).await {
        let piece = Piece { head: Some(head), last: true, content: &[0x5a; 100] };
        if peer.data(&[Segment::Message { lane: 0, piece }]).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// As small as an object of the largest size may be when compressed.
pub(super) fn bomb() -> Outcome<Bytes> {
    let mut body = vec![0; MAX_MESSAGE];
    peers::random::fill(&mut body[..44 * 1024]);
    match codec::compress(body.into()) {
        (Encoding::Brotli, content) => Ok(content),
        (Encoding::Plain, _) => Err("the bomb does not compress".into()),
    }
}

async fn bombs(scene: Scene) -> Outcome<()> {
    let bomb = bomb()?;
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Brotli, content_len: bomb.len(), raw_len: MAX_MESSAGE };
    let end = Instant::now() + FLOOD;
    while peer.credit(MAX_MESSAGE, end).await {
        if send(&mut peer, head, &bomb).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn bytewise(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: MAX_MESSAGE, raw_len: MAX_MESSAGE };
    let first = Piece { head: Some(head), last: false, content: &[0] };
    // One that the victim does not want is the end of it.
    let _ = peer.data(&[Segment::Message { lane: 0, piece: first }]).await;
    let piece = Piece { head: None, last: false, content: &[0] };
    peer.flood(FILL, |n, frame| {
        // It never becomes whole.
        if n + 2 < MAX_MESSAGE as u64 {
            Segment::Message { lane: 0, piece }.write(frame);
        } else {
            pad(frame, PIECE);
        }
    })
    .await;
    Ok(())
}

async fn pinned(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let most = RECEIVE_BUDGET / (OBJECT_COST + 1);
    let end = Instant::now() + FILL;
    for _ in 0..most {
        let sent = peer.data_of(|frame| {
            message(&[0]).write(frame);
            pad(frame, PIECE);
        });
        if !before(end, sent).await {
            break;
        }
    }
    Ok(())
}

async fn without_credit(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    peer.flood(BRIEF, |_, frame| message(&[0; 500]).write(frame)).await;
    peer.must_end().await
}

async fn too_many_open(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: 1000, raw_len: 1000 };
    let piece = Piece { head: Some(head), last: false, content: &[0] };
    for call in 0..16 {
        let _ = peer.data(&[Segment::Request { call, head: Some(line("echo")), piece }]).await;
    }
    peer.must_end().await
}

async fn begun_twice(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: 1000, raw_len: 1000 };
    let piece = Piece { head: Some(head), last: false, content: &[0] };
    for _ in 0..2 {
        let _ = peer.data(&[Segment::Message { lane: 0, piece }]).await;
    }
    peer.must_end().await
}

async fn longer_than_declared(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: 10, raw_len: 10 };
    let first = Piece { head: Some(head), last: false, content: &[0; 5] };
    let rest = Piece { head: None, last: false, content: &[0; 500] };
    for piece in [first, rest] {
        let _ = peer.data(&[Segment::Message { lane: 0, piece }]).await;
    }
    peer.must_end().await
}

async fn beyond_largest(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let len = MAX_MESSAGE + 1;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: len, raw_len: len };
    let piece = Piece { head: Some(head), last: false, content: &[0] };
    let _ = peer.data(&[Segment::Message { lane: 0, piece }]).await;
    peer.must_end().await
}

async fn abandoned(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: MAX_MESSAGE, raw_len: MAX_MESSAGE };
    let content = [0; 5000];
    let piece = Piece { head: Some(head), last: false, content: &content };
    peer.flood(FLOOD, |call, frame| {
        Segment::Request { call, head: Some(line("echo")), piece }.write(frame);
        Segment::Cancel { call }.write(frame);
    })
    .await;
    Ok(())
}

async fn slow(scene: Scene) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: 1000, raw_len: 1000 };
    for head in [Some(head), None, None] {
        let piece = Piece { head, last: false, content: &[0] };
        let _ = peer.data(&[Segment::Message { lane: 0, piece }]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Messages that the app cannot read.
async fn malformed(scene: Scene, content: Vec<u8>) -> Outcome<()> {
    let (mut peer, _link) = scene.peer().await?;
    let end = Instant::now() + BRIEF;
    let head = ObjectHead { encoding: Encoding::Plain, content_len: content.len(), raw_len: content.len() };
    while Instant::now() < end && peer.credit(content.len(), end).await {
        if send(&mut peer, head, &content).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Arrays in arrays.
fn nested() -> Vec<u8> {
    let mut bytes = vec![0x91; 1000];
    bytes.push(0);
    bytes
}

/// One array of nothing.
fn elements() -> Vec<u8> {
    let count = u32::try_from(4 * MAX_ELEMENTS).unwrap_or(u32::MAX);
    let mut bytes = vec![0xdd];
    bytes.extend(count.to_be_bytes());
    bytes.resize(bytes.len() + 4 * MAX_ELEMENTS, 0xc0);
    bytes
}
