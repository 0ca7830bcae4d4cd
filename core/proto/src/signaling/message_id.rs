//! Names for relayed messages, and the memory that drops copies which came through a second relay.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::recent::Recent;
use crate::id::DeviceId;
use crate::limits;

const LEN: usize = 16;

/// Names one relayed message. Random, chosen by the sender; 32 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; LEN]);

impl MessageId {
    /// The id with these (random) bytes.
    pub const fn from_bytes(bytes: [u8; LEN]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEX.encode_display(&self.0).fmt(f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let bytes = HEX.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("expected 32 hexadecimal digits"))
    }
}

/// The messages received lately. Ids count per sender, so that no sender can use up another's.
#[derive(Debug, Default)]
pub struct SeenMessages(Recent<(DeviceId, MessageId), { limits::MAX_SEEN_MESSAGES }>);

impl SeenMessages {
    /// Returns true for the first copy. The oldest of more than [`limits::MAX_SEEN_MESSAGES`] is forgotten.
    pub fn first(&mut self, from: DeviceId, id: MessageId) -> bool {
        self.0.insert((from, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> MessageId {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        MessageId::from_bytes(bytes)
    }

    #[test]
    fn the_copy_from_a_second_relay_is_recognised_but_not_another_senders_message() {
        let (a, b) = (DeviceId::derive(b"a"), DeviceId::derive(b"b"));
        let mut seen = SeenMessages::default();
        assert!(seen.first(a, id(1)));
        assert!(!seen.first(a, id(1)));
        assert!(seen.first(b, id(1)));
    }
}
