//! The peer's SCTP chunks (RFC 9260), judged once DTLS has opened a record and before the stack acts on it.
//!
//! One channel exists, negotiated beforehand, ordered and reliable. A peer that opens another, resets streams over and over,
//! skips data or asks for answers without end does not use it. The stack has no bound for what it keeps or answers: a second
//! channel, a reset that waits, a reply the peer never acknowledges.

use peers_proto::bucket::Bucket;
use peers_proto::limits;
use peers_proto::time::Instant;

/// The chunks of one association so far.
#[derive(Debug)]
pub(super) struct Chunks {
    channel: u16,
    /// Small ones that no delivered frame accounts for.
    small: usize,
    delivered: u64,
    resets: usize,
    control: Bucket,
    /// The breach of the protocol after which nothing passes.
    broken: Option<&'static str>,
}

impl Chunks {
    /// For an association whose only channel is `channel`.
    pub(super) fn new(channel: u16) -> Self {
        let control = Bucket::new(limits::SCTP_CONTROL_RATE, limits::SCTP_CONTROL_BURST);
        Self { channel, small: 0, delivered: 0, resets: 0, control, broken: None }
    }

    /// Judges a packet. `delivered` counts the frames taken from the channel so far.
    ///
    /// # Errors
    /// The breach of the protocol: this packet and all later ones must not pass.
    pub(super) fn judge(&mut self, packet: &[u8], delivered: u64, now: Instant) -> Result<(), &'static str> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let judged = self.judge_all(packet, delivered, now);
        self.broken = judged.err();
        judged
    }

    fn judge_all(&mut self, packet: &[u8], delivered: u64, now: Instant) -> Result<(), &'static str> {
        let mut rest = packet.get(COMMON_HEADER..).ok_or(MALFORMED)?;
        while !rest.is_empty() {
            let (chunk, after) = split(rest).ok_or(MALFORMED)?;
            match chunk[0] {
                DATA => self.data(chunk, delivered)?,
                SACK => {}
                RE_CONFIG => self.reset()?,
                FORWARD_TSN => return Err("data is skipped on a reliable channel"),
                _ => self.control(now)?,
            }
            rest = after;
        }
        Ok(())
    }

    fn data(&mut self, chunk: &[u8], delivered: u64) -> Result<(), &'static str> {
        let (header, payload) = chunk.split_first_chunk::<DATA_HEADER>().ok_or(MALFORMED)?;
        if u16::from_be_bytes([header[8], header[9]]) != self.channel {
            return Err("a second data channel");
        }
        let protocol = u32::from_be_bytes([header[12], header[13], header[14], header[15]]);
        if !MESSAGES.contains(&protocol) {
            return Err("a control message on the data channel");
        }
        if payload.len() < SMALL {
            // A message has a short last chunk, and a sender may use the rest of a packet for its first.
            let frames = delivered.saturating_sub(self.delivered);
            self.delivered = delivered;
            self.small =
                self.small.saturating_sub(usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(2));
            self.small += 1;
            if self.small > limits::MAX_SCTP_SMALL_CHUNKS {
                return Err("more small chunks than frames");
            }
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), &'static str> {
        self.resets += 1;
        if self.resets > limits::MAX_SCTP_RESETS { Err("too many stream resets") } else { Ok(()) }
    }

    fn control(&mut self, now: Instant) -> Result<(), &'static str> {
        match self.control.take(1, now) {
            None => Ok(()),
            Some(_) => Err("too many SCTP control chunks"),
        }
    }
}

/// The first chunk, of at least a header, and what follows its padding.
fn split(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
    let chunk = rest.get(..length).filter(|_| length >= CHUNK_HEADER)?;
    Some((chunk, rest.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

const MALFORMED: &str = "not an SCTP packet";
const COMMON_HEADER: usize = 12;
const CHUNK_HEADER: usize = 4;
const DATA_HEADER: usize = 16;
/// A chunk that carries less is small: a message in pieces of the smallest path MTU has larger ones.
const SMALL: usize = 256;

const DATA: u8 = 0;
const SACK: u8 = 3;
const RE_CONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;
/// Text and binary, and the same when empty (RFC 8831 section 8).
const MESSAGES: [u32; 4] = [51, 53, 56, 57];

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Instant = Instant::from_micros(1 << 40);

    fn packet(chunks: &[Vec<u8>]) -> Vec<u8> {
        [vec![0; COMMON_HEADER], chunks.concat()].concat()
    }

    fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(CHUNK_HEADER + body.len()).unwrap().to_be_bytes();
        let mut chunk = [&[kind, 0, length[0], length[1]], body].concat();
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    }

    fn data(stream: u16, protocol: u32, payload: &[u8]) -> Vec<u8> {
        let stream = stream.to_be_bytes();
        chunk(DATA, &[&[0; 4][..], &stream, &[0; 2], &protocol.to_be_bytes(), payload].concat())
    }

    fn judge(chunks: &[Vec<u8>]) -> Result<(), &'static str> {
        Chunks::new(0).judge(&packet(chunks), 0, NOW)
    }

    #[test]
    fn the_channels_own_messages_and_acknowledgements_pass() {
        assert_eq!(judge(&[data(0, 53, &[7; 1000]), chunk(SACK, &[0; 12]), data(0, 51, b"open")]), Ok(()));
        assert_eq!(judge(&[]), Ok(()));
        let unpadded = &packet(&[data(0, 51, b"open!")])[..COMMON_HEADER + DATA_HEADER + 5];
        assert_eq!(Chunks::new(0).judge(unpadded, 0, NOW), Ok(()));
    }

    #[test]
    fn another_channel_is_seen_before_the_stack_has_it() {
        assert_eq!(judge(&[data(1, 50, b"?")]), Err("a second data channel"));
        assert_eq!(judge(&[data(1, 53, b"?")]), Err("a second data channel"));
        assert_eq!(
            judge(&[data(0, 53, b"!"), data(0, 50, b"?")]),
            Err("a control message on the data channel")
        );
    }

    #[test]
    fn resets_are_counted_for_good() {
        let mut chunks = Chunks::new(0);
        let (reset, mut now) = (packet(&[chunk(RE_CONFIG, &[0; 16])]), NOW);
        let admitted = (0..1000).take_while(|_| {
            now += Duration::from_secs(60);
            chunks.judge(&reset, 0, now).is_ok()
        });
        assert_eq!(admitted.count(), limits::MAX_SCTP_RESETS);
    }

    #[test]
    fn control_chunks_come_slowly_or_few_at_once() {
        let (heartbeat, mut now) = (packet(&[chunk(4, &[0; 8])]), NOW);
        let mut slow = Chunks::new(0);
        for _ in 0..1000 {
            now += Duration::from_secs(1);
            assert!((0..limits::SCTP_CONTROL_RATE).all(|_| slow.judge(&heartbeat, 0, now).is_ok()));
        }
        let mut burst = Chunks::new(0);
        let admitted = (0..1000).take_while(|_| burst.judge(&heartbeat, 0, NOW).is_ok()).count() as u64;
        assert_eq!(admitted, limits::SCTP_CONTROL_BURST);
        let later = NOW + Duration::from_secs(3600);
        assert!(
            burst.judge(&packet(&[]), 0, later).is_err(),
            "a peer that broke the protocol is not heard again"
        );
    }

    #[test]
    fn small_chunks_pass_for_ever_if_they_make_frames_and_not_otherwise() {
        let (now, small) = (NOW, packet(&[data(0, 53, b"x")]));
        let mut busy = Chunks::new(0);
        assert!((0..1_000_000).all(|delivered| busy.judge(&small, delivered, now).is_ok()));
        let mut stuck = Chunks::new(0);
        let admitted = (0..1_000_000).take_while(|_| stuck.judge(&small, 0, now).is_ok()).count();
        assert_eq!(admitted, limits::MAX_SCTP_SMALL_CHUNKS);
    }

    #[test]
    fn what_skips_data_or_is_no_packet_is_refused() {
        assert!(judge(&[chunk(FORWARD_TSN, &[0; 4])]).is_err());
        assert_eq!(judge(&[vec![DATA, 0, 0, 3]]), Err(MALFORMED));
        assert_eq!(judge(&[vec![DATA, 0, 1, 0]]), Err(MALFORMED));
        assert_eq!(judge(&[chunk(DATA, &[0; 4])]), Err(MALFORMED));
        assert_eq!(Chunks::new(0).judge(&[0; 5], 0, NOW), Err(MALFORMED));
    }
}
