//! The text messages: one JSON object each, `{"event": …}` with fields in camelCase (S098–S101).
//!
//! Unknown fields are ignored, so that either side may be newer; an unknown event is an error of its own, so that
//! the receiver can say so and go on.

mod knock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::message_id::MessageId;
use super::registration::{Challenge, Registration};
use crate::id::{ConnectionId, DeviceId};
use crate::limits;

pub use knock::Knock;

/// A message from a device to a relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
pub enum ClientMessage {
    /// The answer to the challenge. Nothing else is accepted before it (S044).
    #[serde(rename = "device-registered")]
    DeviceRegistered(Registration),
    /// To be relayed: the initiator's description (S060).
    #[serde(rename = "offer")]
    Offer(Exchange),
    /// To be relayed: the responder's description (S062).
    #[serde(rename = "answer")]
    Answer(Exchange),
    /// To be relayed: a batch of candidates, or whatever else ends or changes an attempt (S061).
    #[serde(rename = "iceCandidate")]
    IceCandidate(Exchange),
    /// To be relayed to a device that may not have consented yet.
    #[serde(rename = "knock")]
    Knock(Knock),
    /// Asks for [`ServerMessage::IceServers`] (S056).
    #[serde(rename = "getIceServers")]
    GetIceServers,
    /// Asks for [`ServerMessage::Certificate`].
    #[serde(rename = "getCertificate")]
    GetCertificate {
        /// Whose certificate.
        device_id: DeviceId,
    },
    /// The devices that may reach this one and see its presence, and whose presence it wants to see; replaces the earlier list.
    /// Two devices see each other only if both name the other (S025, S030). Answered by `device-online` for each one visible
    /// now. Messages that waited for this device are delivered after the first one.
    #[serde(rename = "watch")]
    Watch {
        /// At most [`limits::MAX_WATCHED`].
        device_ids: Vec<DeviceId>,
        /// True if any device may reach this one. Presence is shown to the named ones only.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        open: bool,
    },
}

/// A message from a relay to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The first message on every connection.
    #[serde(rename = "challenge")]
    Challenge(Challenge),
    /// The registration is proven; queued messages follow the first [`ClientMessage::Watch`].
    #[serde(rename = "registered")]
    Registered(IceServers),
    /// A newer registration of the same device was proven. This socket closes; do not reconnect.
    #[serde(rename = "superseded")]
    Superseded,
    /// See [`ClientMessage::Offer`].
    #[serde(rename = "offer")]
    Offer(Exchange),
    /// See [`ClientMessage::Answer`].
    #[serde(rename = "answer")]
    Answer(Exchange),
    /// See [`ClientMessage::IceCandidate`].
    #[serde(rename = "iceCandidate")]
    IceCandidate(Exchange),
    /// See [`ClientMessage::Knock`].
    #[serde(rename = "knock")]
    Knock(Knock),
    /// A device is reachable here, and it consented to this one knowing.
    #[serde(rename = "device-online")]
    DeviceOnline {
        /// The device.
        device_id: DeviceId,
    },
    /// It left, or withdrew its consent.
    #[serde(rename = "device-offline")]
    DeviceOffline {
        /// The device.
        device_id: DeviceId,
    },
    /// The answer to [`ClientMessage::GetIceServers`].
    #[serde(rename = "iceServers")]
    IceServers(IceServers),
    /// The answer to [`ClientMessage::GetCertificate`]. It proves itself against the device id; trust nothing else
    /// about it.
    #[serde(rename = "certificate")]
    Certificate {
        /// Whose certificate.
        device_id: DeviceId,
        /// Nothing if the device is not here or does not accept the one that asks.
        #[serde(default, with = "super::base64::optional")]
        certificate: Option<Vec<u8>>,
    },
    /// Something this device sent was not accepted.
    #[serde(rename = "error")]
    Error {
        /// The kind of error, for programs.
        code: ErrorCode,
        /// The description of the error, for people.
        text: String,
        /// The message it is about, if that message had an id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<MessageId>,
    },
}

/// A message one device sends to another through the relay: the record of S098 and the fields that make it safe. The contents are
/// sealed envelopes. A relay sees sender, recipient, time and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exchange {
    /// The attempt it belongs to.
    pub connection_id: ConnectionId,
    /// The sender. The relay overwrites what the sender wrote with what the sender proved.
    pub from_device_id: DeviceId,
    /// The recipient.
    pub to_device_id: DeviceId,
    /// Names this message on every relay it is sent through, so that the recipient can drop the copies.
    pub message_id: MessageId,
    /// The sealed envelope of an offer or an answer, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdi: Option<String>,
    /// The sealed envelopes of an `iceCandidate` message, base64, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ice_candidates: Vec<String>,
    /// Set by the relay on messages that waited for the recipient to come online (S047).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queued: bool,
}

impl Exchange {
    /// The sealed envelopes inside, whichever event carries them.
    pub fn envelopes(&self) -> impl Iterator<Item = &str> {
        self.sdi.iter().chain(&self.ice_candidates).map(String::as_str)
    }

    fn fits(&self, kind: ExchangeKind) -> Result<(), MessageError> {
        match kind {
            ExchangeKind::Offer | ExchangeKind::Answer => {
                if self.sdi.is_none() || !self.ice_candidates.is_empty() {
                    return Err(malformed("an offer or answer has `sdi` and no `iceCandidates`"));
                }
            }
            ExchangeKind::IceCandidate => {
                if self.sdi.is_some() || self.ice_candidates.is_empty() {
                    return Err(malformed("an iceCandidate message has `iceCandidates` and no `sdi`"));
                }
                if self.ice_candidates.len() > limits::MAX_CANDIDATES {
                    return Err(malformed("too many `iceCandidates`"));
                }
            }
        }
        Ok(())
    }
}

/// The event that carries an [`Exchange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// `offer`
    Offer,
    /// `answer`
    Answer,
    /// `iceCandidate`
    IceCandidate,
}

/// The servers of the ICE agent (S017, S056).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct IceServers {
    /// In the relay's order of preference.
    #[serde(default)]
    pub ice_servers: Vec<IceServer>,
    /// Seconds until the credentials in them end. Ask again before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A STUN or TURN server (S017, S165), as the W3C's `RTCIceServer`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:host:port` and `turn:host:port?transport=udp` (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl IceServer {
    /// The user name and the credential, if both are there and not empty.
    pub fn account(&self) -> Option<(&str, &str)> {
        let account = (self.username.as_deref()?, self.credential.as_deref()?);
        (!account.0.is_empty() && !account.1.is_empty()).then_some(account)
    }
}

impl std::fmt::Debug for IceServer {
    /// Without the credential: this ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// The codes of [`ServerMessage::Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Not a message, or one that breaks a rule. The relay closes the socket.
    Malformed,
    /// Above [`limits::MAX_SIGNALING`]. The relay closes the socket.
    TooLarge,
    /// An event this relay does not know. The socket stays.
    UnknownEvent,
    /// Anything before a proven registration. The relay closes the socket.
    Unregistered,
    /// The registration is not proven. The relay closes the socket.
    Denied,
    /// The registration is proven, but the relay's access rule does not admit this device. The relay closes the
    /// socket; trying again soon changes nothing.
    NotAdmitted,
    /// The registration is for a name that this relay does not have: its operator has to add the name. The relay closes
    /// the socket; trying again soon changes nothing.
    WrongName,
    /// No registration came in time. The relay closes the socket.
    TimedOut,
    /// The relay has no room for this device now. It closes the socket; try again later.
    Full,
    /// This device does not read fast enough. The relay closes the socket.
    TooSlow,
    /// The relay shuts down and closes the socket; connect again, with jitter.
    ShuttingDown,
    /// A code this version does not know.
    #[serde(other)]
    Other,
}

/// WebSocket close codes (RFC 6455 section 7.4) a relay uses.
pub mod close_code {
    /// The device closed, or closed first.
    pub const NORMAL: u16 = 1000;
    /// The relay shuts down: reconnect with jitter.
    pub const GOING_AWAY: u16 = 1001;
    /// The device broke a rule; the `error` message before it says which.
    pub const POLICY: u16 = 1008;
    /// A message above the limit.
    pub const TOO_LARGE: u16 = 1009;
    /// The relay is full: try again later.
    pub const TRY_LATER: u16 = 1013;
    /// A newer registration of this device took over: do not reconnect.
    pub const SUPERSEDED: u16 = 4000;
}

/// A text that is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Above [`limits::MAX_SIGNALING`] bytes.
    #[error("a signaling message has at most {} bytes", limits::MAX_SIGNALING)]
    TooLarge,
    /// Well formed, but its event is not one of this version. At most 64 characters of it.
    #[error("unknown event `{0}`")]
    UnknownEvent(String),
    /// Not JSON, not an object, a field missing or of the wrong type.
    #[error("malformed message: {0}")]
    Malformed(String),
}

pub(super) fn malformed(why: &str) -> MessageError {
    MessageError::Malformed(why.to_owned())
}

impl ClientMessage {
    const EVENTS: &[&str] = &[
        "device-registered",
        "offer",
        "answer",
        "iceCandidate",
        "knock",
        "getIceServers",
        "getCertificate",
        "watch",
    ];

    /// The JSON text.
    pub fn to_json(&self) -> Result<String, MessageError> {
        to_json(self)
    }

    /// Reads a text as received.
    pub fn from_json(text: &str) -> Result<Self, MessageError> {
        let message = from_json(text, Self::EVENTS)?;
        match &message {
            Self::Offer(e) => e.fits(ExchangeKind::Offer)?,
            Self::Answer(e) => e.fits(ExchangeKind::Answer)?,
            Self::IceCandidate(e) => e.fits(ExchangeKind::IceCandidate)?,
            Self::Knock(knock) => knock.fits()?,
            Self::DeviceRegistered(registration) => registration.fits()?,
            Self::Watch { device_ids, .. } if device_ids.len() > limits::MAX_WATCHED => {
                return Err(malformed("too many `deviceIds`"));
            }
            _ => {}
        }
        Ok(message)
    }

    /// The message that carries `exchange` to the relay.
    pub fn exchange(kind: ExchangeKind, exchange: Exchange) -> Self {
        match kind {
            ExchangeKind::Offer => Self::Offer(exchange),
            ExchangeKind::Answer => Self::Answer(exchange),
            ExchangeKind::IceCandidate => Self::IceCandidate(exchange),
        }
    }
}

impl ServerMessage {
    const EVENTS: &[&str] = &[
        "challenge",
        "registered",
        "superseded",
        "offer",
        "answer",
        "iceCandidate",
        "knock",
        "device-online",
        "device-offline",
        "iceServers",
        "certificate",
        "error",
    ];

    /// The JSON text.
    pub fn to_json(&self) -> Result<String, MessageError> {
        to_json(self)
    }

    /// Reads a text as received.
    pub fn from_json(text: &str) -> Result<Self, MessageError> {
        let message = from_json(text, Self::EVENTS)?;
        match &message {
            Self::Offer(e) => e.fits(ExchangeKind::Offer)?,
            Self::Answer(e) => e.fits(ExchangeKind::Answer)?,
            Self::IceCandidate(e) => e.fits(ExchangeKind::IceCandidate)?,
            Self::Knock(knock) => knock.fits()?,
            _ => {}
        }
        Ok(message)
    }

    /// The message that carries `exchange` to its recipient.
    pub fn exchange(kind: ExchangeKind, exchange: Exchange) -> Self {
        match kind {
            ExchangeKind::Offer => Self::Offer(exchange),
            ExchangeKind::Answer => Self::Answer(exchange),
            ExchangeKind::IceCandidate => Self::IceCandidate(exchange),
        }
    }
}

fn to_json(message: &impl Serialize) -> Result<String, MessageError> {
    let text = serde_json::to_string(message).map_err(|e| MessageError::Malformed(e.to_string()))?;
    if text.len() > limits::MAX_SIGNALING { Err(MessageError::TooLarge) } else { Ok(text) }
}

fn from_json<T: DeserializeOwned>(text: &str, events: &[&str]) -> Result<T, MessageError> {
    #[derive(Deserialize)]
    struct Head {
        event: String,
    }
    if text.len() > limits::MAX_SIGNALING {
        return Err(MessageError::TooLarge);
    }
    serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Head>(text) {
        Ok(head) if !events.contains(&head.event.as_str()) => {
            MessageError::UnknownEvent(head.event.chars().take(64).collect())
        }
        // serde's texts quote at most the offending value; bounded, since the peer chose it.
        _ => MessageError::Malformed(error.to_string().chars().take(limits::MAX_ERROR_TEXT).collect()),
    })
}
