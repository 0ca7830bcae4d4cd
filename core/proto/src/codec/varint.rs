//! Variable-length integers of RFC 9000 section 16: the first two bits give the length, 1, 2, 4 or 8 bytes.
//!
//! Unlike QUIC we insist on the shortest form, so that every value has one encoding.

use bytes::BufMut;

/// Largest value: 62 bits.
pub const MAX: u64 = (1 << 62) - 1;

/// Bytes that are not a variable-length integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The input ends inside it.
    #[error("truncated integer")]
    Truncated,
    /// A shorter form exists.
    #[error("integer is not in its shortest form")]
    NotShortest,
}

/// Reads an integer and moves `input` past it.
#[inline]
pub fn read(input: &mut &[u8]) -> Result<u64, VarintError> {
    let first = *input.first().ok_or(VarintError::Truncated)?;
    if first < 0x40 {
        *input = &input[1..];
        return Ok(u64::from(first));
    }
    let (bytes, rest) = input.split_at_checked(1 << (first >> 6)).ok_or(VarintError::Truncated)?;
    let value = bytes[1..].iter().fold(u64::from(first & 0x3f), |value, b| value << 8 | u64::from(*b));
    if len(value) != bytes.len() {
        return Err(VarintError::NotShortest);
    }
    *input = rest;
    Ok(value)
}

/// Appends `value`. One above [`MAX`] is written as [`MAX`]: counters never get there, and for a code or a duration
/// that an app made up the largest is the nearest.
#[inline]
pub fn write(value: u64, out: &mut impl BufMut) {
    let value = value.min(MAX);
    match len(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(value as u16 | 1 << 14),
        4 => out.put_u32(value as u32 | 2 << 30),
        _ => out.put_u64(value | 3 << 62),
    }
}

/// Bytes of `value` when written.
#[inline]
pub const fn len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples_of_rfc_9000_appendix_a() {
        for (bytes, value) in [
            (&[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..], 151_288_809_941_952_652),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
        ] {
            assert_eq!(read(&mut &bytes[..]), Ok(value));
        }
        assert_eq!(read(&mut &[0x40, 0x25][..]), Err(VarintError::NotShortest));
    }

    #[test]
    fn value_beyond_62_bits_is_written_as_the_largest() {
        let mut out = Vec::new();
        write(u64::MAX, &mut out);
        assert_eq!(read(&mut &out[..]), Ok(MAX));
    }

    #[test]
    fn every_longer_form_is_rejected() {
        for (value, form) in [(0x3f, 1), (0x3f, 2), (0x3fff, 2), (0x3f, 3), (0x3fff_ffff, 3)] {
            let mut bytes = (value as u64).to_be_bytes()[8 - (1 << form)..].to_vec();
            bytes[0] |= form << 6;
            assert_eq!(read(&mut &bytes[..]), Err(VarintError::NotShortest), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_are_a_canonical_integer_or_a_typed_error(bytes: [u8; 9]) {
            let mut input = &bytes[..];
            match read(&mut input) {
                Ok(value) => {
                    let mut out = Vec::new();
                    write(value, &mut out);
                    prop_assert_eq!(&bytes[..out.len()], &out[..]);
                    prop_assert_eq!(input, &bytes[out.len()..]);
                }
                Err(e) => prop_assert_eq!((e, input), (VarintError::NotShortest, &bytes[..])),
            }
        }

        #[test]
        fn integers_round_trip_and_reject_truncation(shift in 2..64u32, bits: u64) {
            let value = bits >> shift;
            let mut out = Vec::new();
            write(value, &mut out);
            prop_assert_eq!(out.len(), len(value));
            prop_assert_eq!(read(&mut &out[..]), Ok(value));
            for end in 0..out.len() {
                prop_assert_eq!(read(&mut &out[..end]), Err(VarintError::Truncated));
            }
        }
    }
}
