//! Messages between devices and relays.
//!
//! ```text
//!   device A                      relay                      device B
//!      │<──────── challenge ────────│──────── challenge ───────>│
//!      │──── device-registered ────>│<──── device-registered ───│
//!      │<──────── registered ───────│──────── registered ──────>│
//!      │────────── watch ──────────>│<───────── watch ──────────│   who may reach this device
//!      │───────── knock ───────────>│────────── knock ─────────>│   the one message that needs no consent
//!      │───────── offer ───────────>│────────── offer ─────────>│   sealed; `from` is stamped by the relay
//!      │<──────── answer ───────────│<───────── answer ─────────│
//!      │<───── iceCandidate ───────>│<────── iceCandidate ─────>│
//!      │═════ relay frames ════════>│══════ relay frames ══════>│   binary, sealed by the handshake above
//! ```
//!
//! [`ClientMessage`] and [`ServerMessage`] are the text messages (JSON), [`RelayFrame`] the binary ones.
//! [`Challenge`] proves that a registration comes from the device it names. [`Negotiation`] decides which of the
//! attempts to connect two devices make becomes their connection; [`knock`] is what comes before that between devices
//! that do not know each other. One WebSocket per relay carries it all, at [`PATH`].

pub mod knock;
mod message;
mod message_id;
mod negotiation;
mod recent;
mod registration;
mod relay_frame;

pub use message::{
    ClientMessage, ErrorCode, Exchange, ExchangeKind, IceServer, IceServers, Knock, MessageError,
    ServerMessage, close_code,
};
pub use message_id::{MessageId, SeenMessages};
pub use negotiation::{
    AbandonReason, Action, Body, BodyError, ByeReason, Contents, ContentsError, Fingerprint, Negotiation,
};
pub use registration::{Challenge, NONCE_LEN, Registration, RegistrationError, server_name};
pub use relay_frame::{RELAY_HEADER_LEN, RelayCloseReason, RelayFrame, RelayFrameError, readdress};

/// The path of the WebSocket on every relay. A later, incompatible protocol gets its own.
pub const PATH: &str = "/v1";

/// Binary fields of JSON messages: base64 of RFC 4648 section 4, with padding, canonical.
pub mod base64 {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    /// The text form.
    pub fn encode(bytes: &[u8]) -> String {
        BASE64.encode(bytes)
    }

    /// The bytes, or nothing if the text is not canonical base64.
    pub fn decode(text: &str) -> Option<Vec<u8>> {
        BASE64.decode(text.as_bytes()).ok()
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: TryFrom<Vec<u8>>>(d: D) -> Result<T, D::Error> {
        decode(&String::deserialize(d)?)
            .and_then(|bytes| T::try_from(bytes).ok())
            .ok_or_else(|| serde::de::Error::custom("expected canonical base64 of the right length"))
    }

    pub(super) mod optional {
        use super::{Deserialize, Deserializer, Serializer};

        pub(in crate::signaling) fn serialize<S: Serializer>(
            bytes: &Option<Vec<u8>>,
            s: S,
        ) -> Result<S::Ok, S::Error> {
            match bytes {
                Some(bytes) => s.serialize_str(&super::encode(bytes)),
                None => s.serialize_none(),
            }
        }

        pub(in crate::signaling) fn deserialize<'de, D: Deserializer<'de>>(
            d: D,
        ) -> Result<Option<Vec<u8>>, D::Error> {
            let Some(text) = Option::<String>::deserialize(d)? else { return Ok(None) };
            super::decode(&text)
                .map(Some)
                .ok_or_else(|| serde::de::Error::custom("expected canonical base64"))
        }
    }
}
