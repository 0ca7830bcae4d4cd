//! The bytes of frames and segments. Every number is a variable-length integer of RFC 9000 section 16.
//!
//! ```text
//! frame   = kind (1) | seq | ack | rest              segments in DATA frames, padding in pings, nothing in others
//! segment = tag (1) | id | length | body (length)    tag = kind | FIRST | LAST
//! ```
//!
//! `seq` numbers the DATA frames of a session across all its connections; in every other frame it is the next
//! number to be used. `ack` is the first DATA frame not yet received. A ping may be padded to ask whether frames of its
//! size pass; its answer never is, so that a question costs whoever asks more than whoever answers. Bodies:
//!
//! | segment | id | body |
//! |---|---|---|
//! | Lane | lane | group id (20) |
//! | Message | lane | piece |
//! | Request | call | lane, timeout in ms, service, method, each a length (1) and its bytes; then a piece |
//! | Response | call | piece |
//! | Failure | call | code (1), text |
//! | Cancel | call | - |
//! | MessageCredit | bytes in all that the peer may send as messages | - |
//! | CallCredit | bytes in all that the peer may send as requests | - |
//! | StreamOpen | stream | lane, name |
//! | StreamData | stream | bytes; LAST ends the stream |
//! | StreamReset, StreamStop | stream | code |
//! | StreamCredit | stream | bytes in all that the peer may send on it |
//!
//! A piece is part of an object. The first one begins with a flag byte (1: Brotli), then the content's length if this
//! piece is not the last, then the length before compression if it was compressed.

use bytes::{BufMut, BytesMut};

use crate::codec::varint;
use crate::id::{GroupId, ID_LEN};
use crate::limits::{MAX_ERROR_TEXT, MAX_FRAME_CONTENT, MAX_MESSAGE, MAX_NAME, MAX_STREAM_NAME};

use super::object::Encoding;

/// Bytes that are not a frame of this protocol. The connection they came from ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The frame ends inside a field.
    #[error("truncated")]
    Truncated,
    /// A kind, tag, flag or code that is not defined.
    #[error("undefined {0}")]
    Undefined(&'static str),
    /// A length or name beyond its limit.
    #[error("{0} beyond its limit")]
    TooLarge(&'static str),
    /// Text that is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

impl From<varint::VarintError> for WireError {
    fn from(e: varint::VarintError) -> Self {
        match e {
            varint::VarintError::Truncated => Self::Truncated,
            varint::VarintError::NotShortest => Self::Undefined("integer form"),
        }
    }
}

/// What a frame is for. Values below 0x10 are the handshake's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Segments, numbered and acknowledged.
    Data = 0x10,
    /// Only an acknowledgement.
    Ack = 0x11,
    /// Asks for a [`FrameKind::Pong`] with the same sequence number. What follows the header is padding, and ignored.
    Ping = 0x12,
    /// The answer to a ping.
    Pong = 0x13,
    /// The sender leaves this connection in good order; the session goes on elsewhere.
    Leave = 0x14,
    /// The sender ends the session.
    Bye = 0x15,
    /// The sender leaves every connection for a while and asks to be waited for; its sequence number is how long, in
    /// seconds.
    Away = 0x16,
}

impl TryFrom<u8> for FrameKind {
    type Error = WireError;
    fn try_from(byte: u8) -> Result<Self, WireError> {
        Ok(match byte {
            0x10 => Self::Data,
            0x11 => Self::Ack,
            0x12 => Self::Ping,
            0x13 => Self::Pong,
            0x14 => Self::Leave,
            0x15 => Self::Bye,
            0x16 => Self::Away,
            _ => return Err(WireError::Undefined("frame kind")),
        })
    }
}

/// The start of every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What the frame is for.
    pub kind: FrameKind,
    /// Number of this DATA frame, or of the next one. In pings and pongs: the ping's number; in AWAY: seconds.
    pub seq: u64,
    /// First DATA frame the sender has not received.
    pub ack: u64,
}

impl Header {
    /// Longest encoding.
    pub const MAX_LEN: usize = 17;

    /// Reads the header and leaves `input` at the first segment.
    pub fn read(input: &mut &[u8]) -> Result<Self, WireError> {
        let kind = FrameKind::try_from(byte(input)?)?;
        Ok(Self { kind, seq: varint::read(input)?, ack: varint::read(input)? })
    }

    /// Appends the header.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_u8(self.kind as u8);
        varint::write(self.seq, out);
        varint::write(self.ack, out);
    }
}

/// What a failed call was answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailureCode {
    /// The handler failed; the text is the application's.
    Application = 1,
    /// Nothing handles this service and method.
    NotFound = 2,
    /// The trust or the group of the caller does not allow it.
    Denied = 3,
    /// Too many calls wait already.
    Overloaded = 4,
    /// The handler could not read the request.
    BadRequest = 5,
}

impl TryFrom<u8> for FailureCode {
    type Error = WireError;
    fn try_from(byte: u8) -> Result<Self, WireError> {
        Ok(match byte {
            1 => Self::Application,
            2 => Self::NotFound,
            3 => Self::Denied,
            4 => Self::Overloaded,
            5 => Self::BadRequest,
            _ => return Err(WireError::Undefined("failure code")),
        })
    }
}

const FIRST: u8 = 0x10;
const LAST: u8 = 0x20;
const KIND_MASK: u8 = 0x0f;

const LANE: u8 = 0;
const MESSAGE: u8 = 1;
const REQUEST: u8 = 2;
const RESPONSE: u8 = 3;
const FAILURE: u8 = 4;
const CANCEL: u8 = 5;
const MESSAGE_CREDIT: u8 = 6;
const STREAM_OPEN: u8 = 7;
const STREAM_DATA: u8 = 8;
const STREAM_RESET: u8 = 9;
const STREAM_STOP: u8 = 10;
const STREAM_CREDIT: u8 = 11;
const CALL_CREDIT: u8 = 12;

/// How an object is described by its first piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectHead {
    /// How the content is encoded.
    pub encoding: Encoding,
    /// Bytes of content in all pieces.
    pub content_len: usize,
    /// Bytes of the object before compression.
    pub raw_len: usize,
}

/// Part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Present in the first piece.
    pub head: Option<ObjectHead>,
    /// No further piece follows.
    pub last: bool,
    /// This piece's share of the content.
    pub content: &'a [u8],
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The lane of its group, 0 for none.
    pub lane: u64,
    /// How long the caller waits, in milliseconds.
    pub timeout_ms: u64,
    /// At most [`MAX_NAME`] bytes.
    pub service: &'a str,
    /// At most [`MAX_NAME`] bytes.
    pub method: &'a str,
}

/// One unit of a DATA frame: see the table above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module's table describes every field once")]
pub enum Segment<'a> {
    Lane { lane: u64, group: GroupId },
    Message { lane: u64, piece: Piece<'a> },
    Request { call: u64, head: Option<RequestHead<'a>>, piece: Piece<'a> },
    Response { call: u64, piece: Piece<'a> },
    Failure { call: u64, code: FailureCode, text: &'a str },
    Cancel { call: u64 },
    MessageCredit { limit: u64 },
    CallCredit { limit: u64 },
    StreamOpen { stream: u64, lane: u64, name: &'a str },
    StreamData { stream: u64, last: bool, data: &'a [u8] },
    StreamReset { stream: u64, code: u64 },
    StreamStop { stream: u64, code: u64 },
    StreamCredit { stream: u64, limit: u64 },
}

impl<'a> Segment<'a> {
    /// Longest tag, id and length; what a body needs beside its bytes.
    pub const MAX_OVERHEAD: usize = 1 + 8 + 4;

    /// What one of stream `id` takes at most: its content is shorter than a frame.
    pub fn overhead(id: u64) -> usize {
        1 + varint::len(id) + varint::len(MAX_FRAME_CONTENT as u64)
    }

    /// Longest head of a first piece with a request's head before it.
    pub const MAX_HEAD: usize = 8 + 8 + 2 * (1 + MAX_NAME) + 1 + 4 + 4;

    /// Reads the next segment of a frame.
    pub fn read(input: &mut &'a [u8]) -> Result<Self, WireError> {
        let tag = byte(input)?;
        let id = varint::read(input)?;
        let len = usize::try_from(varint::read(input)?).map_err(|_| WireError::Truncated)?;
        let mut body = take(input, len)?;
        let (first, last) = (tag & FIRST != 0, tag & LAST != 0);
        let segment = match tag & KIND_MASK {
            MESSAGE => Self::Message { lane: id, piece: read_piece(&mut body, first, last)? },
            RESPONSE => Self::Response { call: id, piece: read_piece(&mut body, first, last)? },
            REQUEST => {
                let head = if first { Some(read_request(&mut body)?) } else { None };
                Self::Request { call: id, head, piece: read_piece(&mut body, first, last)? }
            }
            STREAM_DATA if !first => Self::StreamData { stream: id, last, data: rest(&mut body) },
            _ if first || last || tag & !KIND_MASK != 0 => return Err(WireError::Undefined("segment tag")),
            LANE => Self::Lane { lane: id, group: read_group(&mut body)? },
            FAILURE => Self::Failure {
                call: id,
                code: FailureCode::try_from(byte(&mut body)?)?,
                text: text(rest(&mut body), MAX_ERROR_TEXT)?,
            },
            CANCEL => Self::Cancel { call: id },
            MESSAGE_CREDIT => Self::MessageCredit { limit: id },
            CALL_CREDIT => Self::CallCredit { limit: id },
            STREAM_OPEN => Self::StreamOpen {
                stream: id,
                lane: varint::read(&mut body)?,
                name: text(rest(&mut body), MAX_STREAM_NAME)?,
            },
            STREAM_RESET => Self::StreamReset { stream: id, code: varint::read(&mut body)? },
            STREAM_STOP => Self::StreamStop { stream: id, code: varint::read(&mut body)? },
            STREAM_CREDIT => Self::StreamCredit { stream: id, limit: varint::read(&mut body)? },
            _ => return Err(WireError::Undefined("segment tag")),
        };
        if tag & 0xc0 != 0 {
            return Err(WireError::Undefined("segment tag"));
        }
        if body.is_empty() { Ok(segment) } else { Err(WireError::Undefined("bytes after a segment")) }
    }

    /// Appends the segment. The caller has checked that names, texts and ids are within their limits.
    pub fn write(&self, out: &mut BytesMut) {
        match *self {
            Self::Message { lane, piece } => write_object(out, MESSAGE, lane, None, piece),
            Self::Response { call, piece } => write_object(out, RESPONSE, call, None, piece),
            Self::Request { call, head, piece } => write_object(out, REQUEST, call, head, piece),
            Self::StreamData { stream, last, data } => {
                Self::write_stream_data_head(stream, last, data.len(), out);
                out.put_slice(data);
            }
            Self::Lane { lane, group } => {
                put_head(out, LANE, lane, ID_LEN);
                out.put_slice(group.as_bytes());
            }
            Self::Failure { call, code, text } => {
                put_head(out, FAILURE, call, 1 + text.len());
                out.put_u8(code as u8);
                out.put_slice(text.as_bytes());
            }
            Self::Cancel { call } => put_head(out, CANCEL, call, 0),
            Self::MessageCredit { limit } => put_head(out, MESSAGE_CREDIT, limit, 0),
            Self::CallCredit { limit } => put_head(out, CALL_CREDIT, limit, 0),
            Self::StreamOpen { stream, lane, name } => {
                put_head(out, STREAM_OPEN, stream, varint::len(lane) + name.len());
                varint::write(lane, out);
                out.put_slice(name.as_bytes());
            }
            Self::StreamReset { stream, code } => put_number(out, STREAM_RESET, stream, code),
            Self::StreamStop { stream, code } => put_number(out, STREAM_STOP, stream, code),
            Self::StreamCredit { stream, limit } => put_number(out, STREAM_CREDIT, stream, limit),
        }
    }
}

impl Segment<'_> {
    /// Appends a [`Segment::StreamData`] up to its bytes, so that they can be gathered from several buffers.
    pub(super) fn write_stream_data_head(stream: u64, last: bool, len: usize, out: &mut BytesMut) {
        put_head(out, if last { STREAM_DATA | LAST } else { STREAM_DATA }, stream, len);
    }
}

fn read_piece<'a>(body: &mut &'a [u8], first: bool, last: bool) -> Result<Piece<'a>, WireError> {
    if !first {
        return Ok(Piece { head: None, last, content: rest(body) });
    }
    let encoding = match byte(body)? {
        0 => Encoding::Plain,
        1 => Encoding::Brotli,
        _ => return Err(WireError::Undefined("object flags")),
    };
    let declared = if last { None } else { Some(length(body)?) };
    let raw = if encoding == Encoding::Plain { None } else { Some(length(body)?) };
    let content = rest(body);
    let content_len = declared.unwrap_or(content.len());
    if content_len < content.len() || (!last && content_len == content.len()) {
        return Err(WireError::Undefined("object length"));
    }
    let head = ObjectHead { encoding, content_len, raw_len: raw.unwrap_or(content_len) };
    Ok(Piece { head: Some(head), last, content })
}

fn read_request<'a>(body: &mut &'a [u8]) -> Result<RequestHead<'a>, WireError> {
    Ok(RequestHead {
        lane: varint::read(body)?,
        timeout_ms: varint::read(body)?,
        service: name(body)?,
        method: name(body)?,
    })
}

fn read_group(body: &mut &[u8]) -> Result<GroupId, WireError> {
    let bytes = take(body, ID_LEN)?;
    <[u8; ID_LEN]>::try_from(bytes).map(GroupId::from_bytes).map_err(|_| WireError::Truncated)
}

fn write_object(out: &mut BytesMut, kind: u8, id: u64, request: Option<RequestHead<'_>>, piece: Piece<'_>) {
    let mut tag = kind;
    let mut len = piece.content.len();
    if let Some(head) = piece.head {
        tag |= FIRST;
        len += 1;
        len += if piece.last { 0 } else { varint::len(head.content_len as u64) };
        len += if head.encoding == Encoding::Plain { 0 } else { varint::len(head.raw_len as u64) };
        if let Some(r) = request {
            len += varint::len(r.lane) + varint::len(r.timeout_ms) + 2 + r.service.len() + r.method.len();
        }
    }
    if piece.last {
        tag |= LAST;
    }
    put_head(out, tag, id, len);
    if let Some(head) = piece.head {
        if let Some(r) = request {
            varint::write(r.lane, out);
            varint::write(r.timeout_ms, out);
            for name in [r.service, r.method] {
                out.put_u8(name.len() as u8);
                out.put_slice(name.as_bytes());
            }
        }
        out.put_u8(u8::from(head.encoding == Encoding::Brotli));
        if !piece.last {
            varint::write(head.content_len as u64, out);
        }
        if head.encoding != Encoding::Plain {
            varint::write(head.raw_len as u64, out);
        }
    }
    out.put_slice(piece.content);
}

fn put_head(out: &mut BytesMut, tag: u8, id: u64, len: usize) {
    out.put_u8(tag);
    varint::write(id, out);
    varint::write(len as u64, out);
}

fn put_number(out: &mut BytesMut, tag: u8, id: u64, number: u64) {
    put_head(out, tag, id, varint::len(number));
    varint::write(number, out);
}

fn byte(input: &mut &[u8]) -> Result<u8, WireError> {
    let (first, rest) = input.split_first().ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(*first)
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], WireError> {
    let (taken, rest) = input.split_at_checked(len).ok_or(WireError::Truncated)?;
    *input = rest;
    Ok(taken)
}

fn rest<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    std::mem::take(input)
}

fn length(input: &mut &[u8]) -> Result<usize, WireError> {
    match usize::try_from(varint::read(input)?) {
        Ok(len) if len <= MAX_MESSAGE => Ok(len),
        _ => Err(WireError::TooLarge("object")),
    }
}

fn name<'a>(input: &mut &'a [u8]) -> Result<&'a str, WireError> {
    let len = usize::from(byte(input)?);
    text(take(input, len)?, MAX_NAME)
}

fn text(bytes: &[u8], max: usize) -> Result<&str, WireError> {
    if bytes.len() > max {
        return Err(WireError::TooLarge("text"));
    }
    std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8)
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
