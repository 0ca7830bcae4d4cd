//! The fast lane: plain C functions beside UniFFI for what an app does many thousand times a second.
//!
//! A generated method costs tens of microseconds on a JVM, where the structure it reports errors in crosses as well; a plain
//! function costs less than one. The functions here return at once and never fail in a way of their own: what one of them
//! refuses, the object's own method does, or it says why not. `include/peers_lane.h` declares those that Swift uses.
//!
//! | function | buffer | result |
//! |---|---|---|
//! | [`peers_lane_send`] | messages of a session | messages queued; 0 when the queue is full |
//! | [`peers_lane_take`] | room for messages of a session | bytes filled; 0 when no message is there |
//! | [`peers_lane_write`] | bytes of a stream | bytes queued; 0 when the queue is full |
//! | [`peers_lane_read`] | room for bytes of a stream | bytes filled; 0 when no byte is there |
//! | [`peers_lane_reply`] | the answer to a call | 0 |
//! | [`peers_lane_wait_messages`] | | 0 |
//! | [`peers_lane_wait_bytes`] | | 0 |
//! | [`peers_lane_wait_room`] | | 0 |
//!
//! The last three begin a wait for what there is none of. It ends with a call of the app's [`Wake`]: when there is some, when
//! there will be none, and when another wait takes its place. Without a `Wake` they only end the wait that there is.
//!
//! A negative result says that nothing was done:
//!
//! | result | reason |
//! |---|---|
//! | -1 | the object's own method has to do it: the message is large, or there is an error to report |
//! | -2 | the buffer does not hold what it should |
//! | -3 | the number stands for nothing: its object is gone |
//! | -4 | a defect of this library |
//!
//! A session's or stream's number comes from its method `lane`, a responder's with its request. No number is used twice, so one
//! that outlives its object does no harm.
//!
//! Messages follow each other in a buffer without gaps, oldest first, each as:
//!
//! | bytes | content |
//! |---|---|
//! | 4 | length of the body, little-endian |
//! | 1 | length of the group's id, 0 without a group |
//! | … | the group's id as text |
//! | … | the body |

mod packed;
mod registry;
mod wait;

use std::panic::{AssertUnwindSafe, catch_unwind};

use packed::{Malformed, Packed};
use registry::Registry;
use wait::Token;

use crate::{PeersError, Responder, Session, Stream};

pub(crate) use wait::Wait;
pub use wait::Wake;

pub(crate) static SESSIONS: Registry<Session> = Registry::new();
pub(crate) static STREAMS: Registry<Stream> = Registry::new();
pub(crate) static RESPONDERS: Registry<Responder> = Registry::new();

/// The reason for which a function did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    OwnMethod = -1,
    Malformed = -2,
    Unknown = -3,
    Panicked = -4,
}

impl From<PeersError> for Refusal {
    fn from(_: PeersError) -> Self {
        Self::OwnMethod
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Queues messages that lie at `messages`, oldest first, until one finds no room.
///
/// # Safety
/// `messages` points to `length` bytes that do not change during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peers_lane_send(session: u64, messages: *const u8, length: u32) -> i64 {
    guarded(|| {
        let session = SESSIONS.get(session).ok_or(Refusal::Unknown)?;
        // SAFETY: promised by the caller.
        let mut messages = unsafe { bytes(messages, length) }?;
        let mut queued = 0;
        loop {
            match send_first(&session, &mut messages) {
                Ok(true) => queued += 1,
                // The caller comes again with those that are left.
                Err(refusal) if queued == 0 => return Err(refusal),
                Ok(false) | Err(_) => return Ok(queued),
            }
        }
    })
}

/// False without a message, and without room for it.
fn send_first(session: &Session, messages: &mut &[u8]) -> Result<bool, Refusal> {
    let Some(Packed { group, body }) = packed::next(messages)? else { return Ok(false) };
    if Session::is_large(body) {
        return Err(Refusal::OwnMethod);
    }
    let group = match group {
        "" => None,
        // The object's own method reports what is wrong with the id.
        id => Some(id.parse().map_err(|_| Refusal::OwnMethod)?),
    };
    Ok(session.try_send(group, body)?)
}

/// Takes messages that have arrived, oldest first, as many as fit into `room`. A message that is larger than all of it stays.
///
/// # Safety
/// `room` points to `length` bytes that nothing else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peers_lane_take(session: u64, room: *mut u8, length: u32) -> i64 {
    guarded(|| {
        let session = SESSIONS.get(session).ok_or(Refusal::Unknown)?;
        // SAFETY: promised by the caller.
        let mut room = unsafe { bytes_mut(room, length) }?;
        let whole = room.len();
        session.take_messages_while(|message| {
            let group = message.group.map(|group| group.to_string()).unwrap_or_default();
            packed::put(&mut room, Packed { group: &group, body: &message.body })
        });
        match whole - room.len() {
            0 if session.has_messages() => Err(Refusal::OwnMethod),
            filled => Ok(filled),
        }
    })
}

/// Writes as many bytes as the stream has room for.
///
/// # Safety
/// `data` points to `length` bytes that do not change during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peers_lane_write(stream: u64, data: *const u8, length: u32) -> i64 {
    guarded(|| {
        let stream = STREAMS.get(stream).ok_or(Refusal::Unknown)?;
        // SAFETY: promised by the caller.
        let data = unsafe { bytes(data, length) }?;
        Ok(stream.try_write(data)?)
    })
}

/// Reads bytes that have arrived, as many as fit into `room`. At the stream's end there are none.
///
/// # Safety
/// `room` points to `length` bytes that nothing else uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peers_lane_read(stream: u64, room: *mut u8, length: u32) -> i64 {
    guarded(|| {
        let stream = STREAMS.get(stream).ok_or(Refusal::Unknown)?;
        // SAFETY: promised by the caller.
        let room = unsafe { bytes_mut(room, length) }?;
        Ok(stream.try_read(room))
    })
}

/// Answers a call, as [`Responder::reply`].
///
/// # Safety
/// `body` points to `length` bytes that do not change during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peers_lane_reply(responder: u64, body: *const u8, length: u32) -> i64 {
    guarded(|| {
        let responder = RESPONDERS.get(responder).ok_or(Refusal::Unknown)?;
        // SAFETY: promised by the caller.
        let body = unsafe { bytes(body, length) }?;
        responder.reply(body.to_vec());
        Ok(0)
    })
}

/// Begins a wait for messages of a session, or for their end.
#[unsafe(no_mangle)]
pub extern "C" fn peers_lane_wait_messages(session: u64, wake: Option<Wake>, token: u64) -> i64 {
    guarded(|| {
        let session = SESSIONS.get(session).ok_or(Refusal::Unknown)?;
        let wake = wake.map(|wake| Token { wake, token });
        session.wait_for_messages.begin(session.tasks(), wake, session.clone().arrivals());
        Ok(0)
    })
}

/// Begins a wait for bytes of a stream, or for its end.
#[unsafe(no_mangle)]
pub extern "C" fn peers_lane_wait_bytes(stream: u64, wake: Option<Wake>, token: u64) -> i64 {
    guarded(|| {
        let stream = STREAMS.get(stream).ok_or(Refusal::Unknown)?;
        let wake = wake.map(|wake| Token { wake, token });
        stream.wait_for_bytes.begin(stream.tasks(), wake, stream.clone().bytes());
        Ok(0)
    })
}

/// Begins a wait for room for bytes of a stream: half of its queue.
#[unsafe(no_mangle)]
pub extern "C" fn peers_lane_wait_room(stream: u64, wake: Option<Wake>, token: u64) -> i64 {
    guarded(|| {
        let stream = STREAMS.get(stream).ok_or(Refusal::Unknown)?;
        let wake = wake.map(|wake| Token { wake, token });
        stream.wait_for_room.begin(stream.tasks(), wake, stream.clone().room());
        Ok(0)
    })
}

/// A panic must not reach the app's frames.
fn guarded(work: impl FnOnce() -> Result<usize, Refusal>) -> i64 {
    match catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Refusal::Panicked)) {
        // No buffer is as long as that.
        Ok(done) => i64::try_from(done).unwrap_or(i64::MAX),
        Err(refusal) => refusal as i64,
    }
}

/// # Safety
/// As [`std::slice::from_raw_parts`], but that null is an error.
unsafe fn bytes<'a>(pointer: *const u8, length: u32) -> Result<&'a [u8], Refusal> {
    match checked(pointer, length)? {
        0 => Ok(&[]),
        // SAFETY: promised by the caller; neither null nor too long.
        length => Ok(unsafe { std::slice::from_raw_parts(pointer, length) }),
    }
}

/// # Safety
/// As [`std::slice::from_raw_parts_mut`], but that null is an error.
unsafe fn bytes_mut<'a>(pointer: *mut u8, length: u32) -> Result<&'a mut [u8], Refusal> {
    match checked(pointer, length)? {
        0 => Ok(&mut []),
        // SAFETY: promised by the caller; neither null nor too long.
        length => Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) }),
    }
}

/// The length as one in memory: a slice has at most half of what can be addressed. Only an empty one may be null.
fn checked(pointer: *const u8, length: u32) -> Result<usize, Refusal> {
    isize::try_from(length).map_err(|_| Refusal::Malformed)?;
    if pointer.is_null() && length > 0 {
        return Err(Refusal::Malformed);
    }
    usize::try_from(length).map_err(|_| Refusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of a function for a number that stands for nothing.
    const UNKNOWN: i64 = -3;

    #[test]
    fn a_number_that_stands_for_nothing_is_refused() {
        let mut room = [0; 64];
        let (pointer, length) = (room.as_mut_ptr(), 64);
        for number in [0, u64::MAX] {
            // SAFETY: the buffer is this test's own.
            let results = unsafe {
                [
                    peers_lane_send(number, pointer, length),
                    peers_lane_take(number, pointer, length),
                    peers_lane_write(number, pointer, length),
                    peers_lane_read(number, pointer, length),
                ]
            };
            assert_eq!(results, [UNKNOWN; 4]);
        }
    }

    #[test]
    fn numbers_outlive_their_objects_and_are_not_used_again() {
        let registry = Registry::new();
        let first = std::sync::Arc::new("first");
        let number = registry.add(&first);
        assert_eq!(registry.get(number).as_deref(), Some(&"first"));
        drop(first);
        assert_eq!(registry.get(number), None);
        registry.remove(number);
        assert_ne!(registry.add(&std::sync::Arc::new("second")), number);
    }

    #[test]
    fn a_panic_becomes_a_number() {
        let result = guarded(|| panic!("as a test"));
        assert_eq!(result, -4);
    }

    #[test]
    fn only_an_empty_buffer_may_be_null() {
        // SAFETY: null is checked before anything is read.
        unsafe {
            assert_eq!(bytes(std::ptr::null(), 1), Err(Refusal::Malformed));
            assert_eq!(bytes_mut(std::ptr::null_mut(), u32::MAX), Err(Refusal::Malformed));
            assert_eq!(bytes(std::ptr::null(), 0), Ok(&[][..]));
        }
    }
}
