//! Binary messages: frames of a connection whose transport is the relay.
//!
//! ```text
//! 0x01 │ peer DeviceId (20) │ ConnectionId (16) │ frame
//! 0x02 │ peer DeviceId (20) │ ConnectionId (16) │ reason (1)
//! ```
//!
//! `peer` is the destination on the way to the relay and the source on the way from it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::id::{CONNECTION_ID_LEN, ConnectionId, DeviceId, ID_LEN};
use crate::limits;

const DATA: u8 = 0x01;
const CLOSE: u8 = 0x02;

/// Bytes before the frame. A sender that reserves them saves a copy.
pub const RELAY_HEADER_LEN: usize = 1 + ID_LEN + CONNECTION_ID_LEN;

/// One binary message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayFrame {
    /// A frame of the connection.
    Data {
        /// The other device.
        peer: DeviceId,
        /// The connection, unique between the two devices for all time.
        connection: ConnectionId,
        /// At most [`limits::MAX_RELAY_FRAME`].
        frame: Bytes,
    },
    /// The connection is over. Frames of it that are still under way are discarded.
    Close {
        /// The other device.
        peer: DeviceId,
        /// The connection.
        connection: ConnectionId,
        /// The reason.
        reason: RelayCloseReason,
    },
}

/// The reason for which a relayed connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RelayCloseReason {
    /// The other device closed it.
    #[error("closed by the peer")]
    Closed,
    /// The other device is not registered at this relay, or left it.
    #[error("the peer is not at this relay")]
    Absent,
    /// The other device does not take its data fast enough, and the relay's queue for it is full.
    #[error("the relay's queue is full")]
    Overflow,
    /// One of the two devices has too many relayed connections.
    #[error("too many relayed connections")]
    TooMany,
    /// A reason this version does not know.
    #[error("closed for reason {0}")]
    Other(u8),
}

impl RelayCloseReason {
    /// The byte on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Absent => 1,
            Self::Overflow => 2,
            Self::TooMany => 3,
            Self::Other(code) => code,
        }
    }

    /// The reason of a byte on the wire.
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Closed,
            1 => Self::Absent,
            2 => Self::Overflow,
            3 => Self::TooMany,
            code => Self::Other(code),
        }
    }
}

/// Bytes that are not a binary message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RelayFrameError {
    /// Shorter than its header, or a close without or with more than its reason.
    #[error("wrong length")]
    Length,
    /// Above [`limits::MAX_RELAY_FRAME`].
    #[error("frame above the limit")]
    TooLarge,
    /// The first byte is none of this version.
    #[error("unknown kind {0:#04x}")]
    Kind(u8),
}

impl RelayFrame {
    /// The bytes. Copies the frame.
    pub fn encode(&self) -> Bytes {
        let (kind, peer, connection, body): (u8, _, _, &[u8]) = match self {
            Self::Data { peer, connection, frame } => (DATA, peer, connection, frame),
            Self::Close { peer, connection, reason } => (CLOSE, peer, connection, &[reason.code()]),
        };
        let mut out = BytesMut::with_capacity(RELAY_HEADER_LEN + body.len());
        out.put_u8(kind);
        out.put_slice(peer.as_bytes());
        out.put_slice(connection.as_bytes());
        out.put_slice(body);
        out.freeze()
    }

    /// Reads bytes as received. The frame shares their memory.
    pub fn decode(bytes: &Bytes) -> Result<Self, RelayFrameError> {
        let (head, body) = bytes.split_at_checked(RELAY_HEADER_LEN).ok_or(RelayFrameError::Length)?;
        let (mut peer, mut connection) = ([0; ID_LEN], [0; CONNECTION_ID_LEN]);
        peer.copy_from_slice(&head[1..=ID_LEN]);
        connection.copy_from_slice(&head[1 + ID_LEN..]);
        let (peer, connection) = (DeviceId::from_bytes(peer), ConnectionId::from_bytes(connection));
        match (head[0], body) {
            (DATA, body) if body.len() > limits::MAX_RELAY_FRAME => Err(RelayFrameError::TooLarge),
            (DATA, _) => Ok(Self::Data { peer, connection, frame: bytes.slice(RELAY_HEADER_LEN..) }),
            (CLOSE, &[code]) => {
                Ok(Self::Close { peer, connection, reason: RelayCloseReason::from_code(code) })
            }
            (CLOSE, _) => Err(RelayFrameError::Length),
            (kind, _) => Err(RelayFrameError::Kind(kind)),
        }
    }
}

/// Replaces the peer of an encoded message: what the relay does on the way. In place if the memory is not shared and not
/// much more than the message: a small one would keep a whole read buffer while it waits. Messages shorter than a
/// header come back as they are.
pub fn readdress(message: Bytes, peer: DeviceId) -> Bytes {
    let mut message = match message.try_into_mut() {
        Ok(unique) if unique.capacity() <= 2 * unique.len() => unique,
        Ok(roomy) => BytesMut::from(&roomy[..]),
        Err(shared) => BytesMut::from(&shared[..]),
    };
    if let Some(field) = message.get_mut(1..=ID_LEN) {
        field.copy_from_slice(peer.as_bytes());
    }
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = RelayFrame> {
        let ids = (any::<[u8; 20]>(), any::<[u8; 16]>())
            .prop_map(|(d, c)| (DeviceId::from_bytes(d), ConnectionId::from_bytes(c)));
        (ids, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..64), any::<u8>()).prop_map(
            |((peer, connection), data, frame, code)| {
                if data {
                    RelayFrame::Data { peer, connection, frame: frame.into() }
                } else {
                    RelayFrame::Close { peer, connection, reason: RelayCloseReason::from_code(code) }
                }
            },
        )
    }

    proptest! {
        #[test]
        fn frames_round_trip_and_every_truncation_is_typed(frame in frames()) {
            let bytes = frame.encode();
            prop_assert_eq!(RelayFrame::decode(&bytes), Ok(frame));
            for n in 0..RELAY_HEADER_LEN {
                prop_assert_eq!(RelayFrame::decode(&bytes.slice(..n)), Err(RelayFrameError::Length));
            }
        }

        #[test]
        fn any_bytes_are_a_frame_or_a_typed_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let bytes = Bytes::from(bytes);
            if let Ok(frame) = RelayFrame::decode(&bytes) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }

        #[test]
        fn the_relay_changes_the_peer_and_nothing_else(frame in frames(), from: [u8; 20], shared: bool) {
            let from = DeviceId::from_bytes(from);
            let bytes = frame.encode();
            let keep = shared.then(|| bytes.clone());
            let moved = RelayFrame::decode(&readdress(bytes, from)).unwrap();
            let expected = match frame {
                RelayFrame::Data { connection, frame, .. } => RelayFrame::Data { peer: from, connection, frame },
                RelayFrame::Close { connection, reason, .. } => {
                    RelayFrame::Close { peer: from, connection, reason }
                }
            };
            prop_assert_eq!(moved, expected);
            drop(keep);
        }
    }

    #[test]
    fn a_small_message_does_not_keep_a_large_buffer() {
        let (peer, connection) = (DeviceId::derive(b"b"), ConnectionId::from_bytes([1; 16]));
        let frame = RelayFrame::Data { peer, connection, frame: Bytes::from_static(b"hi") }.encode();
        let mut buffer = BytesMut::with_capacity(128 * 1024);
        buffer.put_slice(&frame);
        let moved = readdress(buffer.freeze(), peer);
        assert_eq!(moved, frame);
        assert!(moved.try_into_mut().is_ok_and(|memory| memory.capacity() < 1024));
    }

    #[test]
    fn an_oversized_frame_is_refused() {
        let (peer, connection) = (DeviceId::derive(b"b"), ConnectionId::from_bytes([1; 16]));
        let frame = RelayFrame::Data { peer, connection, frame: vec![0; limits::MAX_RELAY_FRAME + 1].into() };
        assert_eq!(RelayFrame::decode(&frame.encode()), Err(RelayFrameError::TooLarge));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let (peer, connection) = (DeviceId::from_bytes([0xaa; 20]), ConnectionId::from_bytes([0xbb; 16]));
        let data = RelayFrame::Data { peer, connection, frame: Bytes::from_static(b"hi") }.encode();
        assert_eq!(data[..], [&[1][..], &[0xaa; 20], &[0xbb; 16], b"hi"].concat());
        let close = RelayFrame::Close { peer, connection, reason: RelayCloseReason::Overflow }.encode();
        assert_eq!(close[..], [&[2][..], &[0xaa; 20], &[0xbb; 16], &[2]].concat());
    }
}
