//! A first contact: one small message that reaches a device without its consent.

use serde::{Deserialize, Serialize};

use super::{MessageError, malformed};
use crate::id::{ConnectionId, DeviceId};
use crate::limits;
use crate::signaling::message_id::MessageId;

/// Asks a device that does not accept the sender yet to do so. A relay forwards it without consent, a few per sender
/// and recipient, and never answers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Knock {
    /// The attempt it belongs to.
    pub connection_id: ConnectionId,
    /// The sender. The relay overwrites what the sender wrote with what the sender proved.
    pub from_device_id: DeviceId,
    /// The recipient.
    pub to_device_id: DeviceId,
    /// Names this message on every relay it is sent through, so that the recipient can drop the copies.
    pub message_id: MessageId,
    /// Opaque to relays, base64, at most [`limits::MAX_KNOCK`] bytes.
    #[serde(with = "crate::signaling::base64")]
    pub knock: Vec<u8>,
    /// Set by the relay on a knock that waited for the recipient to come online.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queued: bool,
}

impl Knock {
    pub(super) fn fits(&self) -> Result<(), MessageError> {
        if self.knock.len() > limits::MAX_KNOCK { Err(malformed("`knock` is too large")) } else { Ok(()) }
    }
}
