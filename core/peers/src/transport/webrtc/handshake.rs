//! The cost of reassembling DTLS handshake messages, and its bounds (RFC 6347 section 4.2).
//!
//! The stack keeps every piece it is given and joins a message by calling itself once per piece. So the number of pieces is
//! bounded, not the number of records: one record can hold thousands. A piece passes if it can be part of a handshake this
//! stack has, and does not contradict the pieces before it.

use peers_proto::limits;

/// The handshake messages of one connection, as far as their pieces have passed.
#[derive(Debug, Default)]
pub(super) struct DtlsHandshake {
    /// By message number.
    messages: [Option<DtlsMessage>; limits::MAX_DTLS_MESSAGES],
    spent: usize,
    /// Pieces that may still pass once the handshake is over.
    last_flight: Option<usize>,
}

#[derive(Debug)]
struct DtlsMessage {
    kind: u8,
    length: usize,
    /// Offset and length of each.
    pieces: Vec<(usize, usize)>,
}

impl DtlsHandshake {
    /// From now on only repeats pass, and few: the peer did not receive the end of this side's last flight.
    pub(super) fn over(&mut self) {
        self.last_flight.get_or_insert(limits::MAX_DTLS_LAST_FLIGHT);
    }

    /// Charges the pieces in a record's `body`, and says what they cost; `None` if the record must not pass.
    pub(super) fn admit(&mut self, body: &[u8]) -> Option<usize> {
        let before = self.spent;
        let cost = self.admit_all(body).map(|()| self.spent - before).filter(|cost| *cost > 0);
        if cost.is_none() {
            self.spent = before;
        }
        cost
    }

    fn admit_all(&mut self, mut body: &[u8]) -> Option<()> {
        while let Some((header, rest)) = body.split_first_chunk::<HEADER>() {
            let piece = DtlsPiece::read(header);
            // The stack takes the rest of the record for the piece of a message that is longer than the record.
            let fits = if piece.is_whole() { piece.size <= rest.len() } else { piece.size == rest.len() };
            if !fits || !self.admit_piece(&piece) {
                return None;
            }
            body = rest.get(piece.size..)?;
        }
        body.is_empty().then_some(())
    }

    fn admit_piece(&mut self, piece: &DtlsPiece) -> bool {
        let Some(slot) = self.messages.get_mut(piece.message).filter(|_| piece.is_possible()) else {
            return false;
        };
        let message = slot.get_or_insert_with(|| DtlsMessage {
            kind: piece.kind,
            length: piece.length,
            pieces: Vec::new(),
        });
        self.spent += piece.size + PIECE_COST;
        let left = self.last_flight.as_mut();
        self.spent <= limits::MAX_DTLS_HANDSHAKE
            && (message.kind, message.length) == (piece.kind, piece.length)
            && match left {
                None => message.fits(piece.range()),
                Some(left) => message.pieces.contains(&piece.range()) && spend(left),
            }
    }
}

impl DtlsMessage {
    /// `true` for a piece that is a repeat, or new and disjoint from the others.
    fn fits(&mut self, (offset, size): (usize, usize)) -> bool {
        if self.pieces.contains(&(offset, size)) {
            return true;
        }
        let apart = self.pieces.iter().all(|(o, s)| offset + size <= *o || o + s <= offset);
        let room = self.pieces.len() < limits::MAX_DTLS_PIECES;
        if apart && room {
            self.pieces.push((offset, size));
        }
        apart && room
    }
}

/// The header in front of each piece.
struct DtlsPiece {
    kind: u8,
    length: usize,
    message: usize,
    offset: usize,
    size: usize,
}

impl DtlsPiece {
    fn read(h: &[u8; HEADER]) -> Self {
        let number = |bytes: [u8; 3]| bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        Self {
            kind: h[0],
            length: number([h[1], h[2], h[3]]),
            message: number([0, h[4], h[5]]),
            offset: number([h[6], h[7], h[8]]),
            size: number([h[9], h[10], h[11]]),
        }
    }

    fn is_whole(&self) -> bool {
        self.size == self.length
    }

    /// An empty piece says nothing, unless its message is empty.
    fn is_possible(&self) -> bool {
        self.length <= limits::MAX_DTLS_MESSAGE
            && self.offset + self.size <= self.length
            && (self.size > 0 || self.length == 0)
    }

    fn range(&self) -> (usize, usize) {
        (self.offset, self.size)
    }
}

fn spend(left: &mut usize) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

const HEADER: usize = 12;
/// The stack's memory for a piece beside its bytes: both headers, and a place in two lists.
const PIECE_COST: usize = 128;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A piece of message `message`, which has `length` bytes.
    pub(in super::super) fn piece(message: u16, length: usize, offset: usize, size: usize) -> Vec<u8> {
        let short = |n: usize| u32::try_from(n).unwrap().to_be_bytes()[1..].to_vec();
        let number = message.to_be_bytes().to_vec();
        [vec![11], short(length), number, short(offset), short(size), vec![7; size]].concat()
    }

    #[test]
    fn a_message_passes_whole_in_pieces_and_again() {
        let mut handshake = DtlsHandshake::default();
        let flight =
            [piece(0, 300, 0, 300), piece(1, 900, 0, 400), piece(1, 900, 400, 500), piece(2, 0, 0, 0)];
        for _ in 0..10 {
            assert!(flight.iter().all(|record| handshake.admit(record).is_some()));
        }
        // Whole messages may share a record, before a piece that ends it.
        assert!(
            handshake
                .admit(&[piece(0, 300, 0, 300), piece(2, 0, 0, 0), piece(1, 900, 0, 400)].concat())
                .is_some()
        );
    }

    #[test]
    fn a_record_of_many_pieces_costs_what_they_cost() {
        let mut handshake = DtlsHandshake::default();
        let pieces: Vec<u8> = (0..1000).flat_map(|_| piece(3, 0, 0, 0)).collect();
        assert_eq!(handshake.admit(&pieces), Some(1000 * PIECE_COST));
        let admitted = std::iter::repeat_with(|| handshake.admit(&pieces)).take(100).flatten().count();
        assert_eq!(admitted + 1, limits::MAX_DTLS_HANDSHAKE / (1000 * PIECE_COST));
    }

    #[test]
    fn a_message_has_only_so_many_pieces() {
        let mut handshake = DtlsHandshake::default();
        let admitted = (0..1000).filter(|i| handshake.admit(&piece(0, 1000, *i, 1)).is_some()).count();
        assert_eq!(admitted, limits::MAX_DTLS_PIECES);
    }

    #[test]
    fn a_handshake_has_only_so_many_messages() {
        let mut handshake = DtlsHandshake::default();
        let admitted = (0..1000).filter(|i| handshake.admit(&piece(*i, 10, 0, 10)).is_some()).count();
        assert_eq!(admitted, limits::MAX_DTLS_MESSAGES);
    }

    #[test]
    fn pieces_that_contradict_each_other_do_not_pass() {
        let mut handshake = DtlsHandshake::default();
        assert!(handshake.admit(&piece(0, 100, 20, 20)).is_some());
        for (length, offset, size) in
            [(100, 10, 20), (100, 20, 10), (100, 30, 20), (99, 50, 10), (100, 20, 0)]
        {
            assert_eq!(handshake.admit(&piece(0, length, offset, size)), None, "{length} {offset} {size}");
        }
        assert!(handshake.admit(&piece(0, 100, 40, 60)).is_some());
    }

    #[test]
    fn pieces_that_cannot_be_do_not_pass() {
        let mut handshake = DtlsHandshake::default();
        let longer_than_its_record = &piece(0, 10, 0, 10)[..20];
        let hides_another = &[piece(0, 100, 0, 10), piece(1, 10, 0, 10)].concat()[..];
        let beyond = &piece(0, 10, 5, 6)[..];
        let huge = &piece(0, limits::MAX_DTLS_MESSAGE + 1, 0, 1)[..];
        for bad in [&[][..], &[0; HEADER - 1], longer_than_its_record, hides_another, beyond, huge] {
            assert_eq!(handshake.admit(bad), None, "{} bytes", bad.len());
        }
    }

    #[test]
    fn once_it_is_over_only_few_repeats_pass() {
        let mut handshake = DtlsHandshake::default();
        assert!(handshake.admit(&piece(0, 10, 0, 10)).is_some());
        handshake.over();
        assert_eq!(handshake.admit(&piece(1, 10, 0, 10)), None);
        let repeats = (0..1000).filter(|_| handshake.admit(&piece(0, 10, 0, 10)).is_some()).count();
        assert_eq!(repeats, limits::MAX_DTLS_LAST_FLIGHT);
    }
}
