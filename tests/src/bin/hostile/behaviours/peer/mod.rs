//! A peer after READY: proven and trusted, and it breaks every rule of the session.

mod calls;
mod frames;
mod objects;
mod paths;
mod streams;

use std::time::Duration;

use bytes::BytesMut;
use peers_proto::session::Encoding;
use peers_proto::session::wire::{ObjectHead, Piece, RequestHead, Segment};

use super::Behaviour;

/// At full speed, as long as it takes to fill what has no bound.
const FILL: Duration = Duration::from_millis(2200);
/// At full speed, as long as it takes to be noticed by others.
const FLOOD: Duration = Duration::from_millis(1200);
/// Long enough for what is only to be survived.
const BRIEF: Duration = Duration::from_millis(600);
/// Bytes of content in one piece of a large object.
const PIECE: usize = 14_000;
/// The largest number a frame can hold.
const LARGEST: u64 = (1 << 62) - 1;

pub(super) fn all() -> Vec<Behaviour> {
    let mut all = objects::all();
    all.extend(streams::all());
    all.extend(calls::all());
    all.extend(frames::all());
    all.extend(paths::all());
    all
}

/// A whole object in one piece.
fn whole(content: &[u8]) -> Piece<'_> {
    let head = ObjectHead { encoding: Encoding::Plain, content_len: content.len(), raw_len: content.len() };
    Piece { head: Some(head), last: true, content }
}

/// A message in one piece, outside any group.
fn message(content: &[u8]) -> Segment<'_> {
    Segment::Message { lane: 0, piece: whole(content) }
}

/// A call in one piece.
fn call<'a>(call: u64, service: &'a str, content: &'a [u8]) -> Segment<'a> {
    Segment::Request { call, head: Some(line(service)), piece: whole(content) }
}

fn line(service: &str) -> RequestHead<'_> {
    RequestHead { lane: 0, timeout_ms: 60_000, service, method: "echo" }
}

/// Segments that mean nothing, up to about `len` bytes of the frame.
fn pad(frame: &mut BytesMut, len: usize) {
    while frame.len() < len {
        Segment::Cancel { call: LARGEST }.write(frame);
    }
}
