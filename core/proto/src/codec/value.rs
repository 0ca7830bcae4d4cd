//! Values to MessagePack and back (S012).

use rmp_serde::Serializer;
use rmp_serde::config::BytesMode;
use serde::{Deserialize, Serialize};

use super::bounded::Bounded;
use super::error::CodecError;
use super::validate::validate;
use crate::limits::MAX_MESSAGE;

/// Most objects fit, so most are encoded with one allocation.
const TYPICAL: usize = 256;

/// A value as MessagePack: structs as maps of their field names, `Vec<u8>` and `&[u8]` as byte strings, as other
/// languages write them.
///
/// # Errors [`CodecError::TooLarge`] beyond [`MAX_MESSAGE`], [`CodecError::CannotEncode`] if the type refuses, and the errors
/// of [`validate`] for the result. An object that the peer would refuse, such as a map with numbers for keys, is refused here,
/// where the caller can still change it.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let out = Bounded::new(MAX_MESSAGE, TYPICAL);
    let mut serializer = Serializer::new(out).with_struct_map().with_bytes(BytesMode::ForceIterables);
    let result = value.serialize(&mut serializer);
    let out = serializer.into_inner();
    if out.is_full() {
        return Err(CodecError::TooLarge);
    }
    result.map_err(|_| CodecError::CannotEncode(std::any::type_name::<T>()))?;
    let bytes = out.into_bytes();
    validate(&bytes)?;
    Ok(bytes)
}

/// The value that `input` is the MessagePack of. Fields the type does not know are skipped.
///
/// # Errors Errors of [`validate`] for `input`, and [`CodecError::NotA`] if it is another type's.
pub fn decode<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Result<T, CodecError> {
    validate(input)?;
    rmp_serde::from_slice(input).map_err(|_| CodecError::NotA(std::any::type_name::<T>()))
}
