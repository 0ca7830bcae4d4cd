use super::*;
use proptest::prelude::*;

fn write(segment: &Segment<'_>) -> Vec<u8> {
    let mut out = BytesMut::new();
    segment.write(&mut out);
    out.to_vec()
}

fn text() -> impl Strategy<Value = String> {
    "[a-zé]{0,30}"
}

fn check(segment: Segment<'_>) -> Result<(), TestCaseError> {
    let bytes = write(&segment);
    let mut rest = &bytes[..];
    prop_assert_eq!(Segment::read(&mut rest), Ok(segment));
    prop_assert!(rest.is_empty());
    for end in 0..bytes.len() {
        prop_assert!(Segment::read(&mut &bytes[..end]).is_err(), "a prefix of {} bytes was accepted", end);
    }
    Ok(())
}

fn pieces(content: &[u8], more: usize, raw: usize, brotli: bool) -> [Piece<'_>; 3] {
    let encoding = if brotli { Encoding::Brotli } else { Encoding::Plain };
    let len = content.len() + more;
    let head = |content_len| {
        let raw_len = if brotli { raw } else { content_len };
        Some(ObjectHead { encoding, content_len, raw_len })
    };
    [
        Piece { head: head(content.len()), last: true, content },
        Piece { head: head(len), last: false, content },
        Piece { head: None, last: false, content },
    ]
}

proptest! {
    // proves S012, S014: every segment survives the wire, and no prefix of one is taken for a segment.
    #[test]
    fn segments_round_trip_and_reject_truncation(
        id in 0..1u64 << 62, number in 0..1u64 << 62, name in text(), other in text(), group: [u8; 20],
        content in proptest::collection::vec(any::<u8>(), 0..200), more in 1..4000usize, raw in 0..100_000usize,
        brotli: bool, last: bool, code in 1..=5u8,
    ) {
        let code = FailureCode::try_from(code).unwrap();
        for piece in pieces(&content, more, raw, brotli) {
            check(Segment::Message { lane: id, piece })?;
            check(Segment::Response { call: id, piece })?;
            let head = RequestHead { lane: number, timeout_ms: number, service: &name, method: &other };
            check(Segment::Request { call: id, head: piece.head.map(|_| head), piece })?;
        }
        check(Segment::Lane { lane: id, group: GroupId::from_bytes(group) })?;
        check(Segment::Failure { call: id, code, text: &name })?;
        check(Segment::Cancel { call: id })?;
        check(Segment::MessageCredit { limit: id })?;
        check(Segment::CallCredit { limit: id })?;
        check(Segment::StreamOpen { stream: id, lane: number, name: &name })?;
        check(Segment::StreamData { stream: id, last, data: &content })?;
        check(Segment::StreamReset { stream: id, code: number })?;
        check(Segment::StreamStop { stream: id, code: number })?;
        check(Segment::StreamCredit { stream: id, limit: number })?;
    }

    #[test]
    fn random_bytes_are_a_segment_or_a_typed_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match Segment::read(&mut rest) {
                // What was understood is written the same way: there is one encoding.
                Ok(segment) => {
                    let again = write(&segment);
                    prop_assert_eq!(Segment::read(&mut &again[..]), Ok(segment));
                }
                Err(_) => break,
            }
        }
        let _ = Header::read(&mut &bytes[..]);
    }

    #[test]
    fn headers_round_trip(seq in 0..1u64 << 62, ack in 0..1u64 << 62, kind in 0x10..=0x15u8) {
        let header = Header { kind: FrameKind::try_from(kind).unwrap(), seq, ack };
        let mut out = BytesMut::new();
        header.write(&mut out);
        prop_assert!(out.len() <= Header::MAX_LEN);
        prop_assert_eq!(Header::read(&mut &out[..]), Ok(header));
        for end in 0..out.len() {
            prop_assert!(Header::read(&mut &out[..end]).is_err());
        }
    }
}

#[test]
fn a_declared_length_beyond_the_limit_is_refused_before_any_memory_is_taken() {
    let mut bytes = BytesMut::new();
    put_head(&mut bytes, MESSAGE | FIRST, 0, 6);
    bytes.put_u8(0);
    varint::write(1 << 29, &mut bytes);
    bytes.put_u8(0);
    assert_eq!(Segment::read(&mut &bytes[..]), Err(WireError::TooLarge("object")));
}

#[test]
fn a_name_beyond_its_limit_is_refused() {
    let name = "n".repeat(MAX_STREAM_NAME + 1);
    let open = |len| write(&Segment::StreamOpen { stream: 2, lane: 0, name: &name[..len] });
    assert!(Segment::read(&mut &open(MAX_STREAM_NAME)[..]).is_ok());
    assert_eq!(Segment::read(&mut &open(MAX_STREAM_NAME + 1)[..]), Err(WireError::TooLarge("text")));
}
