//! Messages as they lie in a buffer that an app and this library share: the layout is in [`crate::lane`].

/// Bytes of a message beside its group and its body.
pub(super) const HEADER: usize = 5;

/// One message in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packed<'a> {
    /// Empty without a group.
    pub(super) group: &'a str,
    pub(super) body: &'a [u8],
}

/// Bytes that are not in that layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Reads the next message off the front of `rest`. None at the end.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Result<Option<Packed<'a>>, Malformed> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (length, after) = rest.split_first_chunk::<4>().ok_or(Malformed)?;
    let (group_length, after) = after.split_first().ok_or(Malformed)?;
    let (group, after) = after.split_at_checked(usize::from(*group_length)).ok_or(Malformed)?;
    let group = std::str::from_utf8(group).map_err(|_| Malformed)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Malformed)?;
    let (body, after) = after.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(Some(Packed { group, body }))
}

/// Writes a message to the front of `space` and moves it behind. False when the message does not fit.
pub(super) fn put(space: &mut &mut [u8], message: Packed<'_>) -> bool {
    let Packed { group, body } = message;
    let (Ok(length), Ok(group_length)) = (u32::try_from(body.len()), u8::try_from(group.len())) else {
        return false;
    };
    let parts: [&[u8]; 4] = [&length.to_le_bytes(), &[group_length], group.as_bytes(), body];
    if space.len() < HEADER + group.len() + body.len() {
        return false;
    }
    for part in parts {
        let (place, after) = std::mem::take(space).split_at_mut(part.len());
        place.copy_from_slice(part);
        *space = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(mut bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Malformed> {
        let mut messages = Vec::new();
        while let Some(Packed { group, body }) = next(&mut bytes)? {
            messages.push((group.to_owned(), body.to_vec()));
        }
        Ok(messages)
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut buffer = [0xee; 12];
        let mut space = buffer.as_mut_slice();
        assert!(put(&mut space, Packed { group: "gr", body: b"abc" }));
        assert_eq!(space.len(), 2);
        assert_eq!(buffer, *b"\x03\0\0\0\x02grabc\xee\xee");
    }

    #[test]
    fn a_length_beyond_the_buffer_is_malformed() {
        for bytes in
            [&b"\x03\0\0"[..], b"\0\0\0\0", b"\x03\0\0\0\0ab", b"\0\0\0\0\x03gr", b"\xff\xff\xff\xff\0a"]
        {
            assert_eq!(all(bytes), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(all(b"\0\0\0\0\x01\xff"), Err(Malformed), "a group that is no text");
    }

    #[test]
    fn a_message_that_does_not_fit_leaves_the_space_untouched() {
        let mut buffer = [0xee; 8];
        let mut space = buffer.as_mut_slice();
        assert!(!put(&mut space, Packed { group: "", body: b"abcd" }));
        assert!(put(&mut space, Packed { group: "", body: b"abc" }));
        assert!(!put(&mut space, Packed { group: "", body: b"" }));
    }

    proptest! {
        #[test]
        fn what_was_put_is_read_again(
            messages in proptest::collection::vec(("[a-z2-7]{0,32}", proptest::collection::vec(any::<u8>(), 0..200)), 0..20),
        ) {
            let mut buffer = [0; 8192];
            let mut space = buffer.as_mut_slice();
            for (group, body) in &messages {
                let fits = put(&mut space, Packed { group, body });
                prop_assert!(fits);
            }
            let left = space.len();
            let used = buffer.len() - left;
            prop_assert_eq!(all(&buffer[..used]), Ok(messages));
        }

        #[test]
        fn any_bytes_are_read_to_their_end_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut packed = vec![0; bytes.len()];
            if let Ok(messages) = all(&bytes) {
                let mut space = packed.as_mut_slice();
                for (group, body) in &messages {
                    let fits = put(&mut space, Packed { group, body });
                    prop_assert!(fits);
                }
                prop_assert!(space.is_empty());
                prop_assert_eq!(packed, bytes);
            }
        }
    }
}
