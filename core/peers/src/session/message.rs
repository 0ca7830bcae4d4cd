//! Messages as apps see them, and how they are packed for the way.

use bytes::Bytes;
use peers_proto::codec;
use peers_proto::id::GroupId;
use peers_proto::session::{self, Object};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A message from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The group it was sent to; this device and the peer are both in it.
    pub group: Option<GroupId>,
    /// What was sent.
    pub body: Bytes,
}

impl Message {
    /// Reads the body as MessagePack.
    ///
    /// # Errors
    /// [`Error::Codec`] if it is not well-formed MessagePack within the limits, or not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        codec::decode(&self.body).map_err(|e| Error::Codec(e.to_string()))
    }

    pub(super) fn unpack(message: session::Message) -> Result<Self, Error> {
        Ok(Self { group: message.group, body: unpack(message.object)? })
    }
}

/// A value as MessagePack.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    codec::encode(value).map(Bytes::from).map_err(|e| Error::Codec(e.to_string()))
}

/// Compresses what is worth it. Done in the sender's task, outside the session's lock.
pub(super) fn pack(body: Bytes) -> Result<Object, Error> {
    if body.len() > peers_proto::limits::MAX_MESSAGE {
        return Err(Error::TooLarge);
    }
    let raw_len = body.len();
    let (encoding, content) = codec::compress(body);
    Ok(Object { encoding, raw_len, content })
}

/// Decompresses; never beyond the declared length.
pub(super) fn unpack(object: Object) -> Result<Bytes, Error> {
    codec::decompress(object.encoding, object.raw_len, object.content)
        .map_err(|e| Error::Codec(e.to_string()))
}
