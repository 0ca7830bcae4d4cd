//! What a datagram is (RFC 7983, RFC 9443) and which DTLS records it holds (RFC 6347 §4.1).

/// What the first byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stun,
    Dtls,
    /// Data from a TURN server, or QUIC from anybody else: only the sender tells.
    ChannelData,
    Quic,
    /// Media, ZRTP and everything else: nobody here speaks it.
    Foreign,
}

pub(super) fn classify(datagram: &[u8]) -> Kind {
    match datagram.first() {
        Some(0..=3) => Kind::Stun,
        Some(20..=63) => Kind::Dtls,
        Some(64..=79) => Kind::ChannelData,
        Some(80..=127 | 192..=255) => Kind::Quic,
        _ => Kind::Foreign,
    }
}

/// Whether the receiver's socket takes a datagram from its pair for QUIC.
pub(super) fn may_be_quic(datagram: &[u8]) -> bool {
    matches!(classify(datagram), Kind::ChannelData | Kind::Quic)
}

/// What matters about the DTLS records of one datagram.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) handshake: u64,
    /// A fatal alert before there were keys: the handshake is over, though the stack reports nothing.
    pub(super) fatal_alert: bool,
}

pub(super) fn records(mut datagram: &[u8]) -> Records {
    let mut found = Records::default();
    while let Some((header, rest)) = datagram.split_first_chunk::<HEADER>() {
        let epoch = u16::from_be_bytes([header[3], header[4]]);
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        match header[0] {
            HANDSHAKE => found.handshake += 1,
            ALERT if epoch == 0 && rest.first() == Some(&FATAL) => found.fatal_alert = true,
            _ => {}
        }
        datagram = rest.get(length..).unwrap_or_default();
    }
    found
}

const HEADER: usize = 13;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const FATAL: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut r = vec![kind, 254, 253];
        r.extend(epoch.to_be_bytes());
        r.extend([0; 6]);
        r.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        r.extend(body);
        r
    }

    #[test]
    fn every_record_of_a_datagram_is_seen() {
        let datagram = [record(23, 1, b"data"), record(22, 0, b"hello"), record(22, 1, b"")].concat();
        assert_eq!(records(&datagram), Records { handshake: 2, fatal_alert: false });
        assert!(records(&record(21, 0, &[2, 40])).fatal_alert);
        assert!(!records(&record(21, 0, &[1, 0])).fatal_alert, "close_notify is a warning");
        assert!(!records(&record(21, 1, &[2, 40])).fatal_alert, "encrypted: the bytes mean nothing");
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        let mut lying = record(22, 0, b"x");
        lying[11] = 255;
        assert_eq!(records(&lying).handshake, 1);
        assert_eq!(records(&lying[..HEADER - 1]), Records::default());
    }

    #[test]
    fn the_first_byte_decides() {
        for (byte, kind) in [
            (0, Kind::Stun),
            (22, Kind::Dtls),
            (64, Kind::ChannelData),
            (80, Kind::Quic),
            (127, Kind::Quic),
            (128, Kind::Foreign),
            (191, Kind::Foreign),
            (192, Kind::Quic),
            (255, Kind::Quic),
        ] {
            assert_eq!(classify(&[byte]), kind);
        }
        assert_eq!(classify(&[]), Kind::Foreign);
    }
}
