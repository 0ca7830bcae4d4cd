//! Records as bytes. Their keys are the names of the rows and are not repeated. Integers are big endian.
//!
//! | record  | after the version, 1                                                                       |
//! |---------|--------------------------------------------------------------------------------------------|
//! | device  | flags (1 keys, 2 level, 4 certificate); `user_pk`, `sign_pk`, `noise_pk`, `box_pk` of 32   |
//! |         | bytes; level, 1, and its time, 8; certificate's length, 2, and bytes; number of addresses, |
//! |         | 1; of each its length, 1, and UTF-8; last seen, 8                                          |
//! | user    | level, 1; its time, 8                                                                      |
//! | list    | serial, 8; signed bytes to the end                                                         |
//! | pending | device, 20; received, 8; request to the end                                                |
//!
//! A new version of a record is a new version of the whole file: an older build refuses the file, and loses nothing of
//! it.

use peers_proto::certificate::MAX_CERTIFICATE;
use peers_proto::id::{CONNECTION_ID_LEN, ConnectionId, DeviceId, ID_LEN, UserId};
use peers_proto::time::UnixTime;
use peers_proto::trust::{KnownKeys, TrustLevel};

use super::{
    DeviceRecord, GivenLevel, PendingRecord, RecordError, RecordKey, RecordTable, RevocationRecord,
    StoredRecord, UserRecord,
};
use crate::limits::{MAX_ADDRESS, MAX_ADDRESSES, MAX_PENDING_REQUEST, MAX_REVOCATION_LIST};

const VERSION: u8 = 1;

const KEYS: u8 = 1;
const LEVEL: u8 = 2;
const CERTIFICATE: u8 = 4;

impl StoredRecord {
    /// The bytes of the record, without its key.
    ///
    /// # Errors
    /// [`RecordError::TooLong`], [`RecordError::Addresses`] and [`RecordError::Keys`].
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let mut out = vec![VERSION];
        match self {
            Self::Device(record) => record.encode(&mut out)?,
            Self::User(record) => put_level(record.level, &mut out),
            Self::Revocation(record) => {
                check_len(&record.list, MAX_REVOCATION_LIST, "revocation list")?;
                out.extend_from_slice(&record.serial.to_be_bytes());
                out.extend_from_slice(&record.list);
            }
            Self::Pending(record) => {
                check_len(&record.request, MAX_PENDING_REQUEST, "request")?;
                out.extend_from_slice(record.device.as_bytes());
                out.extend_from_slice(&record.received.0.to_be_bytes());
                out.extend_from_slice(&record.request);
            }
        }
        Ok(out)
    }

    /// The record with this key. Each record has one form in bytes.
    ///
    /// # Errors
    /// Every [`RecordError`] but [`RecordError::TooMany`].
    pub fn decode(key: RecordKey, bytes: &[u8]) -> Result<Self, RecordError> {
        let mut input = Input(bytes);
        match input.u8()? {
            VERSION => {}
            version => return Err(RecordError::Version(version)),
        }
        match key {
            RecordKey::Device(device) => DeviceRecord::decode(device, input).map(Self::Device),
            RecordKey::User(user) => {
                let level = input.level()?;
                input.end()?;
                Ok(Self::User(UserRecord { user, level }))
            }
            RecordKey::Revocation(user) => {
                let (serial, list) = (input.u64()?, input.0.to_vec());
                check_len(&list, MAX_REVOCATION_LIST, "revocation list")?;
                Ok(Self::Revocation(RevocationRecord { user, serial, list }))
            }
            RecordKey::Pending(connection) => {
                let device = DeviceId::from_bytes(input.array()?);
                let (received, request) = (UnixTime(input.u64()?), input.0.to_vec());
                check_len(&request, MAX_PENDING_REQUEST, "request")?;
                Ok(Self::Pending(PendingRecord { connection, device, request, received }))
            }
        }
    }
}

impl RecordKey {
    /// The name of the record's row.
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Device(device) => device.as_bytes(),
            Self::User(user) | Self::Revocation(user) => user.as_bytes(),
            Self::Pending(connection) => connection.as_bytes(),
        }
    }

    /// The key of a row of this table.
    ///
    /// # Errors
    /// [`RecordError::Length`].
    pub fn from_bytes(table: RecordTable, bytes: &[u8]) -> Result<Self, RecordError> {
        let id = || <[u8; ID_LEN]>::try_from(bytes).map_err(|_| RecordError::Length);
        let connection = || <[u8; CONNECTION_ID_LEN]>::try_from(bytes).map_err(|_| RecordError::Length);
        Ok(match table {
            RecordTable::Devices => Self::Device(DeviceId::from_bytes(id()?)),
            RecordTable::Users => Self::User(UserId::from_bytes(id()?)),
            RecordTable::Revocations => Self::Revocation(UserId::from_bytes(id()?)),
            RecordTable::Pending => Self::Pending(ConnectionId::from_bytes(connection()?)),
        })
    }
}

impl DeviceRecord {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        self.check()?;
        let flag = |there: bool, flag: u8| if there { flag } else { 0 };
        out.push(
            flag(self.keys.is_some(), KEYS)
                | flag(self.level.is_some(), LEVEL)
                | flag(self.certificate.is_some(), CERTIFICATE),
        );
        if let Some(KnownKeys { user_pk, sign_pk, noise_pk, box_pk }) = &self.keys {
            out.extend_from_slice([*user_pk, *sign_pk, *noise_pk, *box_pk].as_flattened());
        }
        if let Some(level) = self.level {
            put_level(level, out);
        }
        if let Some(certificate) = &self.certificate {
            out.extend_from_slice(&(certificate.len() as u16).to_be_bytes()); // `check` has bounded it
            out.extend_from_slice(certificate);
        }
        out.push(self.addresses.len() as u8); // as well
        for address in &self.addresses {
            out.push(address.len() as u8);
            out.extend_from_slice(address.as_bytes());
        }
        out.extend_from_slice(&self.seen.0.to_be_bytes());
        Ok(())
    }

    fn decode(device: DeviceId, mut input: Input<'_>) -> Result<Self, RecordError> {
        let flags = input.u8()?;
        if flags & !(KEYS | LEVEL | CERTIFICATE) != 0 {
            return Err(RecordError::Flags(flags));
        }
        let mut record = Self::new(device);
        if flags & KEYS != 0 {
            let [user_pk, sign_pk, noise_pk, box_pk] =
                [input.array()?, input.array()?, input.array()?, input.array()?];
            record.keys = Some(KnownKeys { user_pk, sign_pk, noise_pk, box_pk });
        }
        if flags & LEVEL != 0 {
            record.level = Some(input.level()?);
        }
        if flags & CERTIFICATE != 0 {
            let len = u16::from_be_bytes(input.array()?);
            record.certificate = Some(input.slice(len.into())?.to_vec());
        }
        for _ in 0..input.u8()? {
            let len = input.u8()?;
            let address = str::from_utf8(input.slice(len.into())?).map_err(|_| RecordError::Text)?;
            record.addresses.push(address.to_owned());
        }
        record.seen = UnixTime(input.u64()?);
        input.end()?;
        record.check()?;
        Ok(record)
    }

    fn check(&self) -> Result<(), RecordError> {
        if self.keys.is_some_and(|keys| keys.device_id() != self.device) {
            return Err(RecordError::Keys);
        }
        if let Some(certificate) = &self.certificate {
            check_len(certificate, MAX_CERTIFICATE, "certificate")?;
        }
        if self.addresses.len() > MAX_ADDRESSES || self.addresses.iter().any(String::is_empty) {
            return Err(RecordError::Addresses);
        }
        self.addresses.iter().try_for_each(|address| check_len(address.as_bytes(), MAX_ADDRESS, "address"))
    }
}

fn check_len(bytes: &[u8], limit: usize, part: &'static str) -> Result<(), RecordError> {
    if bytes.len() > limit { Err(RecordError::TooLong(part)) } else { Ok(()) }
}

fn put_level(GivenLevel { level, since }: GivenLevel, out: &mut Vec<u8>) {
    out.extend_from_slice(&level.value().to_be_bytes());
    out.extend_from_slice(&since.0.to_be_bytes());
}

/// The level with this number.
fn level_of(value: i8) -> Option<TrustLevel> {
    use TrustLevel::*;
    [Malicious, Untrusted, Unknown, NewUser, NewDevice, Known, Trusted, Own]
        .into_iter()
        .find(|level| level.value() == value)
}

/// Bytes of a record that are still to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn slice(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(RecordError::Length)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(RecordError::Length)?;
        self.0 = tail;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, RecordError> {
        self.array().map(u8::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_be_bytes)
    }

    fn level(&mut self) -> Result<GivenLevel, RecordError> {
        let value = i8::from_be_bytes(self.array()?);
        let level = level_of(value).ok_or(RecordError::Level(value))?;
        Ok(GivenLevel { level, since: UnixTime(self.u64()?) })
    }

    fn end(self) -> Result<(), RecordError> {
        if self.0.is_empty() { Ok(()) } else { Err(RecordError::Length) }
    }
}
