//! The names of things: devices, users, groups, connections.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Bytes of every hashed id: the first 160 bits of a domain-separated SHA-256.
pub const ID_LEN: usize = 20;
/// Characters of an id in base32 (RFC 4648 section 6, lower case, no padding): 20 bytes fit exactly.
pub const ID_TEXT_LEN: usize = 32;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A text that is not an id: wrong length or a character outside `a-z2-7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected {ID_TEXT_LEN} characters of a-z and 2-7")]
pub struct IdError;

fn hash(domain: &[u8], data: &[u8]) -> [u8; ID_LEN] {
    let digest = Sha256::new().chain_update(domain).chain_update(data).finalize();
    let mut id = [0; ID_LEN];
    id.copy_from_slice(&digest[..ID_LEN]);
    id
}

fn encode(bytes: &[u8; ID_LEN], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0u8; ID_TEXT_LEN];
    for (five, out) in bytes.chunks_exact(5).zip(text.chunks_exact_mut(8)) {
        let word = five.iter().fold(0u64, |acc, b| acc << 8 | u64::from(*b));
        for (i, c) in out.iter_mut().enumerate() {
            *c = ALPHABET[(word >> (35 - 5 * i)) as usize & 31];
        }
    }
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn decode(text: &str) -> Result<[u8; ID_LEN], IdError> {
    let text = text.as_bytes();
    if text.len() != ID_TEXT_LEN {
        return Err(IdError);
    }
    let mut id = [0; ID_LEN];
    for (eight, out) in text.chunks_exact(8).zip(id.chunks_exact_mut(5)) {
        let mut word = 0u64;
        for c in eight {
            let digit = match c.to_ascii_lowercase() {
                c @ b'a'..=b'z' => c - b'a',
                c @ b'2'..=b'7' => c - b'2' + 26,
                _ => return Err(IdError),
            };
            word = word << 5 | u64::from(digit);
        }
        out.copy_from_slice(&word.to_be_bytes()[3..]);
    }
    Ok(id)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $domain:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; ID_LEN]);

        impl $name {
            /// Derives the id from what it names.
            pub fn derive(data: &[u8]) -> Self {
                Self(hash($domain, data))
            }

            /// The id with these bytes, as received.
            pub const fn from_bytes(bytes: [u8; ID_LEN]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; ID_LEN] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            /// The whole id: ids are public names, not secrets.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            /// Reads 32 base32 characters, upper or lower case.
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                // `Cow` would borrow where it can; ids are 32 characters and rare, so clarity wins.
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// Names one installation: the hash of its Ed25519 signing key.
    DeviceId, b"peers device\0"
}
id! {
    /// Names the owner of devices: the hash of the user's Ed25519 key.
    UserId, b"peers user\0"
}
id! {
    /// Names a set of users that share data: the hash of whatever the app calls it.
    GroupId, b"peers group\0"
}

/// Bytes of a [`ConnectionId`].
pub const CONNECTION_ID_LEN: usize = 16;

/// Names one attempt to connect, on any transport. Random, chosen by the initiator; part of the handshake's prologue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId([u8; CONNECTION_ID_LEN]);

impl ConnectionId {
    /// The id with these bytes: random ones where an attempt begins, received ones elsewhere.
    pub const fn from_bytes(bytes: [u8; CONNECTION_ID_LEN]) -> Self {
        Self(bytes)
    }

    /// The raw bytes.
    pub const fn as_bytes(&self) -> &[u8; CONNECTION_ID_LEN] {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ConnectionId {
    type Err = IdError;
    /// Reads 32 hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let text = text.as_bytes();
        if text.len() != 2 * CONNECTION_ID_LEN {
            return Err(IdError);
        }
        let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8).ok_or(IdError);
        let mut id = [0; CONNECTION_ID_LEN];
        for (two, out) in text.chunks_exact(2).zip(&mut id) {
            *out = digit(two[0])? << 4 | digit(two[1])?;
        }
        Ok(Self(id))
    }
}

impl Serialize for ConnectionId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConnectionId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_form_is_rfc_4648_base32_in_lower_case() {
        assert_eq!(
            DeviceId::from_bytes(*b"foobarfoobarfoobarfo").to_string(),
            "mzxw6ytbojtg633cmfzgm33pmjqxeztp"
        );
    }

    #[test]
    fn ids_of_one_key_differ_by_domain() {
        assert_ne!(DeviceId::derive(b"key").as_bytes(), UserId::derive(b"key").as_bytes());
    }

    proptest! {
        #[test]
        fn ids_round_trip_as_text(bytes: [u8; ID_LEN], conn: [u8; CONNECTION_ID_LEN]) {
            let id = DeviceId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
            let conn = ConnectionId::from_bytes(conn);
            prop_assert_eq!(conn.to_string().parse(), Ok(conn));
        }

        #[test]
        fn any_text_is_an_id_or_a_typed_error(text in ".{0,40}") {
            if let Ok(id) = text.parse::<DeviceId>() {
                prop_assert_eq!(id.to_string(), text.to_lowercase());
            }
            let _ = text.parse::<ConnectionId>();
        }
    }
}
