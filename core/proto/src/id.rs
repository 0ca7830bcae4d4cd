//! The names of things: devices, users, groups, connections.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD_NOCASE as BASE32, HEXLOWER_PERMISSIVE as HEX};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// Bytes of every hashed id: the first 160 bits of a domain-separated SHA-256.
pub const ID_LEN: usize = 20;
/// Characters of an id in base32 (RFC 4648 section 6, lower case, no padding): 20 bytes fit exactly.
pub const ID_TEXT_LEN: usize = 32;

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
    let mut text = BASE32.encode(bytes);
    text.make_ascii_lowercase();
    f.write_str(&text)
}

fn decode(text: &str) -> Result<[u8; ID_LEN], IdError> {
    // Other lengths are a panic of the library.
    if text.len() != ID_TEXT_LEN {
        return Err(IdError);
    }
    let mut id = [0; ID_LEN];
    BASE32.decode_mut(text.as_bytes(), &mut id).map_err(|_| IdError)?;
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
        HEX.encode_display(&self.0).fmt(f)
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
        if text.len() != 2 * CONNECTION_ID_LEN {
            return Err(IdError);
        }
        let mut id = [0; CONNECTION_ID_LEN];
        HEX.decode_mut(text.as_bytes(), &mut id).map_err(|_| IdError)?;
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
