//! Says whether bytes are one MessagePack object within our limits, before anything is built from them.
//!
//! One pass without recursion: the open containers stand on a fixed stack of [`MAX_DEPTH`] entries.

use super::error::CodecError;
use super::keys::Keys;
use crate::limits::{MAX_DEPTH, MAX_ELEMENTS, MAX_MESSAGE};

/// Counts of the parts of a valid object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Values in it: containers, keys and the object itself included.
    pub elements: usize,
    /// Containers around the innermost value.
    pub depth: usize,
}

/// Checks that `input` is exactly one MessagePack object that is safe to read. Nesting and number of values are within
/// [`MAX_DEPTH`] and [`MAX_ELEMENTS`]. Map keys are unique strings, strings are UTF-8, there is no reserved byte and nothing
/// after the object.
///
/// Extension types are accepted as opaque bytes, and numbers and lengths in any of their forms, as encoders differ.
///
/// # Errors
/// The first violation found. `O(n log n)` time; memory only for the keys of open maps, below 24 bytes per byte of input
/// and 2 MiB in all.
pub fn validate(input: &[u8]) -> Result<Shape, CodecError> {
    if input.len() > MAX_MESSAGE {
        return Err(CodecError::TooLarge);
    }
    Validator { input, elements: 1, deepest: 0, keys: Keys::default() }.run()
}

/// A container whose values are not all read.
#[derive(Clone, Copy)]
struct Container {
    kind: ContainerKind,
    /// Values still to come; in a map, an even number means that the next one is a key.
    left: usize,
}

#[derive(Clone, Copy)]
enum ContainerKind {
    Array,
    Map { first_key: usize },
}

struct Validator<'a> {
    input: &'a [u8],
    elements: usize,
    deepest: usize,
    keys: Keys<'a>,
}

impl<'a> Validator<'a> {
    fn run(mut self) -> Result<Shape, CodecError> {
        let mut stack = [Container { kind: ContainerKind::Array, left: 0 }; MAX_DEPTH];
        let mut depth = 0;
        let mut next = self.value()?;
        loop {
            if let Some(container) = next {
                *stack.get_mut(depth).ok_or(CodecError::TooDeep)? = container;
                depth += 1;
                self.deepest = self.deepest.max(depth);
            }
            // The innermost container that still expects something, closing those that do not.
            let open = loop {
                let Some(open) = depth.checked_sub(1).map(|top| &mut stack[top]) else {
                    return self.end();
                };
                if open.left > 0 {
                    break open;
                }
                if let ContainerKind::Map { first_key } = open.kind {
                    self.keys.close(first_key)?;
                }
                depth -= 1;
            };
            if let ContainerKind::Map { .. } = open.kind {
                let key = self.key()?;
                self.keys.push(key);
                open.left -= 1;
            }
            open.left -= 1;
            next = self.value()?;
        }
    }

    fn end(self) -> Result<Shape, CodecError> {
        if self.input.is_empty() {
            Ok(Shape { elements: self.elements, depth: self.deepest })
        } else {
            Err(CodecError::TrailingBytes)
        }
    }

    /// Reads one value; of a container, only its head.
    #[inline]
    fn value(&mut self) -> Result<Option<Container>, CodecError> {
        let skip = match self.byte()? {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => 0,
            head @ 0x80..=0x8f => return self.map(usize::from(head & 0x0f)),
            head @ 0x90..=0x9f => return self.array(usize::from(head & 0x0f)),
            head @ (0xa0..=0xbf | 0xd9..=0xdb) => {
                self.string(head)?;
                0
            }
            0xc1 => return Err(CodecError::Reserved),
            head @ 0xc4..=0xc6 => self.length(head - 0xc4)?,
            head @ 0xc7..=0xc9 => self.length(head - 0xc7)? + 1,
            0xca => 4,
            0xcb => 8,
            head @ 0xcc..=0xd3 => 1 << (head & 3),
            head @ 0xd4..=0xd8 => (1 << (head - 0xd4)) + 1,
            head @ 0xdc..=0xdd => {
                let len = self.length(head - 0xdb)?;
                return self.array(len);
            }
            head @ 0xde..=0xdf => {
                let len = self.length(head - 0xdd)?;
                return self.map(len);
            }
        };
        self.take(skip)?;
        Ok(None)
    }

    fn array(&mut self, len: usize) -> Result<Option<Container>, CodecError> {
        self.expect(len)?;
        Ok(Some(Container { kind: ContainerKind::Array, left: len }))
    }

    fn map(&mut self, pairs: usize) -> Result<Option<Container>, CodecError> {
        self.expect(pairs.saturating_mul(2))?;
        Ok(Some(Container { kind: ContainerKind::Map { first_key: self.keys.open(pairs) }, left: 2 * pairs }))
    }

    /// Counts values as they are promised. Each takes at least a byte, so a promise beyond the input fails at once.
    fn expect(&mut self, values: usize) -> Result<(), CodecError> {
        if values > self.input.len() {
            return Err(CodecError::Truncated);
        }
        self.elements += values;
        if self.elements > MAX_ELEMENTS { Err(CodecError::TooManyElements) } else { Ok(()) }
    }

    #[inline]
    fn key(&mut self) -> Result<&'a [u8], CodecError> {
        match self.byte()? {
            head @ (0xa0..=0xbf | 0xd9..=0xdb) => self.string(head),
            0xc1 => Err(CodecError::Reserved),
            _ => Err(CodecError::KeyNotString),
        }
    }

    #[inline]
    fn string(&mut self, head: u8) -> Result<&'a [u8], CodecError> {
        let len = if head < 0xd9 { usize::from(head & 0x1f) } else { self.length(head - 0xd9)? };
        let text = self.take(len)?;
        // For the short words that keys and most values are, looking for a high bit beats a call.
        if text.len() <= 16 && text.iter().fold(0, |all, b| all | b) < 0x80 {
            return Ok(text);
        }
        std::str::from_utf8(text).map(str::as_bytes).map_err(|_| CodecError::NotUtf8)
    }

    /// A big-endian length of 1, 2 or 4 bytes, for `width` 0, 1, 2.
    #[inline]
    fn length(&mut self, width: u8) -> Result<usize, CodecError> {
        Ok(self.take(1 << width)?.iter().fold(0, |len, b| len << 8 | usize::from(*b)))
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, CodecError> {
        let (first, rest) = self.input.split_first().ok_or(CodecError::Truncated)?;
        self.input = rest;
        Ok(*first)
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (bytes, rest) = self.input.split_at_checked(len).ok_or(CodecError::Truncated)?;
        self.input = rest;
        Ok(bytes)
    }
}
