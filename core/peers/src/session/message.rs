//! Messages as apps see them.

use bytes::Bytes;
use peers_proto::codec;
use peers_proto::id::GroupId;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// A message from the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The group it was sent to; this device and the peer are both in it.
    pub group: Option<GroupId>,
    /// The bytes that were sent.
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
}

/// A value as MessagePack.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, Error> {
    codec::encode(value).map(Bytes::from).map_err(|e| Error::Codec(e.to_string()))
}
