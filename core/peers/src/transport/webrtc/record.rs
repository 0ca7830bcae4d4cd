//! The kind of a datagram (RFC 7983, RFC 9443) and its DTLS records (RFC 6347 §4.1).

/// The kind of record that the first byte names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    Stun,
    Dtls,
    /// Data from a TURN server, or QUIC from anybody else: only the sender tells.
    ChannelData,
    Quic,
    /// Media, ZRTP and all other protocols, which are not used here.
    Foreign,
}

pub(super) fn classify(datagram: &[u8]) -> RecordKind {
    match datagram.first() {
        Some(0..=3) => RecordKind::Stun,
        Some(20..=63) => RecordKind::Dtls,
        Some(64..=79) => RecordKind::ChannelData,
        Some(80..=127 | 192..=255) => RecordKind::Quic,
        _ => RecordKind::Foreign,
    }
}

/// True if the receiver's socket takes a datagram from its pair for QUIC.
pub(super) fn may_be_quic(datagram: &[u8]) -> bool {
    matches!(classify(datagram), RecordKind::ChannelData | RecordKind::Quic)
}

/// One DTLS record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    /// 0 in the clear, 1 under the handshake's keys.
    pub(super) epoch: u16,
    pub(super) body: &'a [u8],
}

impl Record<'_> {
    /// The sender gives the handshake up.
    pub(super) fn is_fatal_alert(&self) -> bool {
        self.kind == ALERT && self.epoch == 0 && self.body.first() == Some(&FATAL)
    }
}

/// The records of a datagram; `None` in place of one that is cut short, empty or beyond the datagram's end.
pub(super) fn records(mut datagram: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        let read = read(datagram);
        datagram = read.as_ref().map_or(&[], |(_, rest)| rest);
        Some(read.map(|(record, _)| record))
    })
}

fn read(datagram: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (header, rest) = datagram.split_first_chunk::<HEADER>()?;
    let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let (body, rest) = rest.split_at_checked(length).filter(|(body, _)| !body.is_empty())?;
    let epoch = u16::from_be_bytes([header[3], header[4]]);
    Some((Record { kind: header[0], epoch, body }, rest))
}

const HEADER: usize = 13;
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
const FATAL: u8 = 2;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut r = vec![kind, 254, 253];
        r.extend(epoch.to_be_bytes());
        r.extend([0; 6]);
        r.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        r.extend(body);
        r
    }

    #[test]
    fn every_record_of_a_datagram_is_seen() {
        let datagram = [record(23, 1, b"data"), record(22, 0, b"hello")].concat();
        let data = Record { kind: 23, epoch: 1, body: b"data" };
        let hello = Record { kind: 22, epoch: 0, body: b"hello" };
        assert_eq!(records(&datagram).collect::<Vec<_>>(), [Some(data), Some(hello)]);
    }

    #[test]
    fn only_a_plain_fatal_alert_is_one() {
        let is_fatal = |kind, epoch, body: &[u8]| {
            records(&record(kind, epoch, body)).flatten().any(|record| record.is_fatal_alert())
        };
        assert!(is_fatal(21, 0, &[2, 40]));
        assert!(!is_fatal(21, 0, &[1, 0]), "close_notify is a warning");
        assert!(!is_fatal(21, 1, &[2, 40]), "encrypted: the bytes mean nothing");
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        let mut lying = record(22, 0, b"x");
        lying[11] = 255;
        assert_eq!(records(&lying).collect::<Vec<_>>(), [None]);
        assert_eq!(records(&lying[..HEADER - 1]).collect::<Vec<_>>(), [None]);
        assert_eq!(records(&record(23, 1, b"")).collect::<Vec<_>>(), [None]);
        assert_eq!(records(b"").count(), 0);
    }

    #[test]
    fn the_first_byte_decides() {
        for (byte, kind) in [
            (0, RecordKind::Stun),
            (22, RecordKind::Dtls),
            (64, RecordKind::ChannelData),
            (80, RecordKind::Quic),
            (127, RecordKind::Quic),
            (128, RecordKind::Foreign),
            (191, RecordKind::Foreign),
            (192, RecordKind::Quic),
            (255, RecordKind::Quic),
        ] {
            assert_eq!(classify(&[byte]), kind);
        }
        assert_eq!(classify(&[]), RecordKind::Foreign);
    }
}
