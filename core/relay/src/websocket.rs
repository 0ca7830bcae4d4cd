//! The server's half of the WebSocket protocol (RFC 6455 section 5), sans-IO and without buffers of its own.
//!
//! A library's socket keeps the buffers it reads into and writes from for as long as it lives. A relay has thousands of sockets
//! that are silent for hours, so here the buffers are the caller's. [`Decoder`] takes bytes as they come and keeps the message
//! that is incomplete, in one allocation of its size. [`encode`] appends to what is being written.

use bytes::Bytes;

/// Bytes of a control frame's payload (section 5.5).
const MAX_CONTROL: usize = 125;
/// Bytes of the longest header: two, eight of length, four of mask.
const MAX_HEADER: usize = 14;
const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// The purpose of a frame (section 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn new(code: u8) -> Option<Self> {
        let all = [Self::Continuation, Self::Text, Self::Binary, Self::Close, Self::Ping, Self::Pong];
        all.into_iter().find(|opcode| *opcode as u8 == code)
    }

    fn is_control(self) -> bool {
        self as u8 >= Self::Close as u8
    }
}

/// A message or control frame of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum InboundMessage {
    Text(String),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    Close,
}

/// The reason for which a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a message above the limit")]
    TooLarge,
    #[error("a frame that is not masked")]
    NotMasked,
    #[error("reserved bits or an unknown opcode")]
    Reserved,
    #[error("a control frame that is fragmented or too long")]
    BadControl,
    #[error("a fragment out of order")]
    BadFragment,
    #[error("a text that is not UTF-8")]
    NotUtf8,
}

/// Makes messages of what a client sends.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// Bytes a message may have.
    limit: usize,
    /// The bytes of the next header that have arrived.
    header: [u8; MAX_HEADER],
    header_len: usize,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// Payload of a control frame: it may come between the fragments of a message.
    control: Vec<u8>,
    /// The message whose fragments are being read.
    message: Option<(Opcode, Vec<u8>)>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    last: bool,
    opcode: Opcode,
    /// Begins with the key of the next byte.
    mask: [u8; 4],
    /// Bytes of payload that have not come.
    missing: usize,
}

impl Decoder {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            header: [0; MAX_HEADER],
            header_len: 0,
            frame: None,
            control: Vec::new(),
            message: None,
        }
    }

    /// The next message, and `input` after it; nothing once all of `input` is taken.
    ///
    /// # Errors
    /// [`FrameError`]: nothing that follows makes sense.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<InboundMessage>, FrameError> {
        loop {
            if self.frame.is_none() {
                self.frame = self.begin(input)?;
            }
            let Some(frame) = &mut self.frame else { return Ok(None) };
            let (payload, rest) = input.split_at(frame.missing.min(input.len()));
            *input = rest;
            let into = match &mut self.message {
                Some((_, message)) if !frame.opcode.is_control() => message,
                _ => &mut self.control,
            };
            into.reserve(frame.missing);
            unmask(payload, &mut frame.mask, into);
            frame.missing -= payload.len();
            if frame.missing > 0 {
                return Ok(None);
            }
            let Frame { last, opcode, .. } = *frame;
            self.frame = None;
            if let Some(message) = self.end(opcode, last)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads a header. Nothing if it is not complete.
    fn begin(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        let header = loop {
            let length = match self.header[1] & !MASKED {
                _ if self.header_len < 2 => 0,
                127 => 8,
                126 => 2,
                _ => 0,
            };
            let whole = 2 + length + 4;
            if self.header_len == whole {
                break &self.header[..whole];
            }
            let Some((byte, rest)) = input.split_first() else { return Ok(None) };
            *input = rest;
            self.header[self.header_len] = *byte;
            self.header_len += 1;
            if self.header_len == 2 && byte & MASKED == 0 {
                return Err(FrameError::NotMasked);
            }
        };
        self.header_len = 0;
        let (length, mask) = header[2..].split_at(header.len() - 6);
        let length = match length {
            [] => u64::from(header[1] & !MASKED),
            bytes => bytes.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let mask = [mask[0], mask[1], mask[2], mask[3]];
        let (last, opcode) = (header[0] & FINAL != 0, Opcode::new(header[0] & 0x0f));
        let opcode = opcode.filter(|_| header[0] & RESERVED == 0).ok_or(FrameError::Reserved)?;
        let missing = usize::try_from(length).unwrap_or(usize::MAX);
        match (opcode, &mut self.message) {
            (opcode, _) if opcode.is_control() => {
                if !last || missing > MAX_CONTROL {
                    return Err(FrameError::BadControl);
                }
            }
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(FrameError::BadFragment);
            }
            (_, message) => {
                let (_, begun) = message.get_or_insert((opcode, Vec::new()));
                if missing > self.limit - begun.len() {
                    return Err(FrameError::TooLarge);
                }
            }
        }
        Ok(Some(Frame { last, opcode, mask, missing }))
    }

    /// A frame is complete.
    fn end(&mut self, opcode: Opcode, last: bool) -> Result<Option<InboundMessage>, FrameError> {
        if opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return Ok(Some(match opcode {
                Opcode::Ping => InboundMessage::Ping(payload.into()),
                Opcode::Pong => InboundMessage::Pong,
                _ => InboundMessage::Close,
            }));
        }
        match self.message.take_if(|_| last) {
            Some((Opcode::Text, text)) => String::from_utf8(text)
                .map(|text| Some(InboundMessage::Text(text)))
                .map_err(|_| FrameError::NotUtf8),
            Some((_, bytes)) => Ok(Some(InboundMessage::Binary(bytes.into()))),
            None => Ok(None),
        }
    }
}

/// Appends `payload` without its mask, and turns the mask to what comes next (section 5.3).
fn unmask(payload: &[u8], mask: &mut [u8; 4], into: &mut Vec<u8>) {
    let begin = into.len();
    into.extend_from_slice(payload);
    let (words, rest) = into[begin..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(*mask)).to_ne_bytes();
    }
    rest.iter_mut().zip(*mask).for_each(|(byte, key)| *byte ^= key);
    mask.rotate_left(payload.len() % 4);
}

/// Appends a whole message to `out`, not masked: only clients mask.
pub(crate) fn encode(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let len = payload.len();
    out.push(FINAL | opcode as u8);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..126), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend(len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

/// Appends a close frame (section 5.5.1).
pub(crate) fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let end = reason.floor_char_boundary(MAX_CONTROL - 2);
    encode(Opcode::Close, &[&code.to_be_bytes(), &reason.as_bytes()[..end]].concat(), out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    use super::*;

    const LIMIT: usize = 100_000;

    /// A frame as the library makes it.
    fn frame(last: bool, opcode: OpCode, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let header = FrameHeader { is_final: last, opcode, mask: Some(mask), ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(payload.len() as u64, &mut bytes).unwrap();
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    fn decode(pieces: &[&[u8]]) -> Result<Vec<InboundMessage>, FrameError> {
        let (mut decoder, mut messages) = (Decoder::new(LIMIT), Vec::new());
        for mut piece in pieces.iter().copied() {
            while let Some(message) = decoder.next(&mut piece)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }

    const TEXT: OpCode = OpCode::Data(Data::Text);
    const BINARY: OpCode = OpCode::Data(Data::Binary);
    const MORE: OpCode = OpCode::Data(Data::Continue);
    const PING: OpCode = OpCode::Control(Control::Ping);
    const KEY: [u8; 4] = [1, 2, 3, 4];

    proptest! {
        /// However the bytes arrive and the messages are fragmented, with pings between the fragments.
        #[test]
        fn messages_arrive_whatever_the_pieces(
            messages in prop::collection::vec((any::<bool>(), prop::collection::vec(0..128u8, 0..70_000)), 0..4),
            fragment in 1..50_000usize,
            piece in 1..40_000usize,
            key in any::<[u8; 4]>(),
        ) {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            for (text, payload) in messages {
                let mut opcode = if text { TEXT } else { BINARY };
                let mut rest = &payload[..];
                loop {
                    let (now, later) = rest.split_at(fragment.min(rest.len()));
                    bytes.extend(frame(later.is_empty(), opcode, key, now));
                    (opcode, rest) = (MORE, later);
                    if later.is_empty() {
                        break;
                    }
                    bytes.extend(frame(true, PING, key, b"still there?"));
                    expected.push(InboundMessage::Ping(Bytes::from_static(b"still there?")));
                }
                expected.push(match text {
                    true => InboundMessage::Text(String::from_utf8(payload).unwrap()),
                    false => InboundMessage::Binary(payload.into()),
                });
            }
            let pieces: Vec<_> = bytes.chunks(piece).collect();
            prop_assert_eq!(decode(&pieces), Ok(expected));
        }

        #[test]
        fn no_bytes_make_it_panic_or_keep_more_than_the_limit(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let (mut decoder, mut input) = (Decoder::new(200), &bytes[..]);
            while let Ok(Some(_)) = decoder.next(&mut input) {}
            prop_assert!(decoder.message.is_none_or(|(_, message)| message.capacity() <= 400));
        }

        #[test]
        fn the_library_reads_what_is_written(payload in prop::collection::vec(any::<u8>(), 0..70_000)) {
            let mut bytes = Vec::new();
            encode(Opcode::Binary, &payload, &mut bytes);
            let mut cursor = std::io::Cursor::new(&bytes);
            let (header, len) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            prop_assert_eq!((header.opcode, header.is_final, header.mask), (BINARY, true, None));
            prop_assert_eq!(len, payload.len() as u64);
            prop_assert_eq!(&bytes[usize::try_from(cursor.position()).unwrap()..], &payload[..]);
        }
    }

    #[test]
    fn what_breaks_a_rule_is_an_error() {
        let masked = |last, opcode, payload: &[u8]| frame(last, opcode, KEY, payload);
        let mut reserved = masked(true, TEXT, b"x");
        reserved[0] |= 0x40;
        let mut unknown = masked(true, TEXT, b"x");
        unknown[0] = FINAL | 3;
        for (bytes, error) in [
            (vec![FINAL | 1, 1, b'x'], FrameError::NotMasked),
            (reserved, FrameError::Reserved),
            (unknown, FrameError::Reserved),
            (masked(false, PING, b""), FrameError::BadControl),
            (masked(true, PING, &[0; 126]), FrameError::BadControl),
            (masked(true, MORE, b"x"), FrameError::BadFragment),
            ([masked(false, TEXT, b"x"), masked(true, TEXT, b"x")].concat(), FrameError::BadFragment),
            (masked(true, TEXT, &[0xff]), FrameError::NotUtf8),
            (masked(true, BINARY, &vec![0; LIMIT + 1]), FrameError::TooLarge),
            (
                [masked(false, BINARY, &vec![0; LIMIT]), masked(true, MORE, b"x")].concat(),
                FrameError::TooLarge,
            ),
            (
                vec![FINAL | 2, MASKED | 127, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
                FrameError::TooLarge,
            ),
        ] {
            assert_eq!(decode(&[&bytes]), Err(error));
        }
        assert_eq!(decode(&[&masked(true, BINARY, &vec![0; LIMIT])]).map(|m| m.len()), Ok(1));
    }

    #[test]
    fn a_large_message_takes_its_size_and_nothing_stays() {
        let bytes = frame(true, BINARY, KEY, &[7; 50_000]);
        let mut decoder = Decoder::new(LIMIT);
        let (mut first, mut second) = bytes.split_at(20_000);
        assert_eq!(decoder.next(&mut first), Ok(None));
        assert_eq!(decoder.message.as_ref().map(|(_, message)| message.capacity()), Some(50_000));
        assert!(matches!(decoder.next(&mut second), Ok(Some(InboundMessage::Binary(_)))));
        assert_eq!((decoder.message, decoder.control.capacity()), (None, 0));
    }
}
