//! Limits of the store, each with its reason. A write that goes beyond one of them changes nothing.

use peers_proto::id::ID_LEN;
use peers_proto::keys::SIGNATURE_LEN;
use peers_proto::limits::{MAX_PINNED, MAX_REVOKED};

/// Devices: those whose keys are pinned, and three times as many that an app has given a level.
pub const MAX_DEVICES: usize = 4 * MAX_PINNED;
/// Users with a level: as many as devices.
pub const MAX_USERS: usize = MAX_DEVICES;
/// Users whose revocation lists are kept: 10 MiB if each has the longest.
pub const MAX_REVOCATIONS: usize = 1024;
/// Requests for a pairing that wait. A stranger can make them, so they are few.
pub const MAX_PENDING: usize = 8;
/// Bytes of a request that waits.
pub const MAX_PENDING_REQUEST: usize = 4096;
/// Addresses of one device: each of its networks, in both IP versions.
pub const MAX_ADDRESSES: usize = 8;
/// Bytes of an address: a name of DNS has 253 at most, and one byte holds the length.
pub const MAX_ADDRESS: usize = 255;
/// Bytes of the longest revocation list.
pub const MAX_REVOCATION_LIST: usize = 43 + MAX_REVOKED * ID_LEN + SIGNATURE_LEN;
