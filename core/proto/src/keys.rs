//! Secret keys. One 32-byte seed is all a device, or a user, stores.
//!
//! Every key is `HKDF-SHA256(salt = "peers/1 keys", ikm = seed, info = purpose)`, so no key ever serves two purposes
//! and the seed alone restores them all. Secrets are wiped when dropped and never printed.

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::id::{DeviceId, UserId};

/// Bytes of a seed, and of every public key.
pub const KEY_LEN: usize = 32;
/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;

const SALT: &[u8] = b"peers/1 keys";
const DEVICE_SIGN: &[u8] = b"device sign";
const DEVICE_NOISE: &[u8] = b"device noise";
const DEVICE_BOX: &[u8] = b"device box";
const USER_SIGN: &[u8] = b"user sign";

/// The keys of one installation: Ed25519 to sign, X25519 for the handshake, X25519 for sealed envelopes.
#[derive(Clone)]
pub struct DeviceKeys {
    seed: Seed,
    sign: SigningKey,
    noise: StaticSecret,
    sealing: StaticSecret,
}

impl DeviceKeys {
    /// Derives the keys from `seed`: 32 bytes from the operating system's generator, kept in its secret store.
    pub fn from_seed(seed: [u8; KEY_LEN]) -> Self {
        let seed = Seed(seed);
        Self {
            sign: SigningKey::from_bytes(&seed.derive(SALT, DEVICE_SIGN)),
            noise: StaticSecret::from(*seed.derive(SALT, DEVICE_NOISE)),
            sealing: StaticSecret::from(*seed.derive(SALT, DEVICE_BOX)),
            seed,
        }
    }

    /// The seed to store. The caller wipes its copies.
    pub fn seed(&self) -> Zeroizing<[u8; KEY_LEN]> {
        Zeroizing::new(self.seed.0)
    }

    /// The name of this device.
    pub fn device_id(&self) -> DeviceId {
        DeviceId::derive(&self.sign_pk())
    }

    /// The Ed25519 key that signs for this device.
    pub fn sign_pk(&self) -> [u8; KEY_LEN] {
        self.sign.verifying_key().to_bytes()
    }

    /// The X25519 static key of the handshake.
    pub fn noise_pk(&self) -> [u8; KEY_LEN] {
        PublicKey::from(&self.noise).to_bytes()
    }

    /// The X25519 key envelopes to this device are sealed to.
    pub fn box_pk(&self) -> [u8; KEY_LEN] {
        PublicKey::from(&self.sealing).to_bytes()
    }

    /// Signs `domain ‖ message` with the device key. `domain` is a constant that names the purpose and ends in a
    /// zero byte, so a signature made for one purpose is worthless for any other.
    pub fn sign(&self, domain: &'static [u8], message: &[u8]) -> [u8; SIGNATURE_LEN] {
        sign(&self.sign, domain, message)
    }

    pub(crate) const fn noise_secret(&self) -> &StaticSecret {
        &self.noise
    }

    pub(crate) const fn box_secret(&self) -> &StaticSecret {
        &self.sealing
    }
}

impl fmt::Debug for DeviceKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKeys").field("device", &self.device_id()).finish_non_exhaustive()
    }
}

/// The key of a user, which vouches for the user's devices.
#[derive(Clone)]
pub struct UserKeys {
    seed: Seed,
    sign: SigningKey,
}

impl UserKeys {
    /// Derives the key from `seed`: 32 bytes from the operating system's generator, kept in its secret store.
    pub fn from_seed(seed: [u8; KEY_LEN]) -> Self {
        let seed = Seed(seed);
        Self { sign: SigningKey::from_bytes(&seed.derive(SALT, USER_SIGN)), seed }
    }

    /// The seeds to store. The caller wipes its copies.
    pub fn seed(&self) -> Zeroizing<[u8; KEY_LEN]> {
        Zeroizing::new(self.seed.0)
    }

    /// The name of this user.
    pub fn user_id(&self) -> UserId {
        UserId::derive(&self.user_pk())
    }

    /// The Ed25519 key that signs for this user.
    pub fn user_pk(&self) -> [u8; KEY_LEN] {
        self.sign.verifying_key().to_bytes()
    }

    /// Signs `domain ‖ message` with the user key; see [`DeviceKeys::sign`].
    pub fn sign(&self, domain: &'static [u8], message: &[u8]) -> [u8; SIGNATURE_LEN] {
        sign(&self.sign, domain, message)
    }
}

impl fmt::Debug for UserKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserKeys").field("user", &self.user_id()).finish_non_exhaustive()
    }
}

/// True if `signature` over `domain ‖ message` is by `public`. Strict (RFC 8032 section 5.1.7 with cofactorless
/// equation): malleable signatures and keys of small order are refused.
#[must_use]
pub fn verify(
    public: &[u8; KEY_LEN],
    domain: &'static [u8],
    message: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> bool {
    VerifyingKey::from_bytes(public).is_ok_and(|key| {
        key.verify_strict(&[domain, message].concat(), &Signature::from_bytes(signature)).is_ok()
    })
}

/// True if a Diffie-Hellman with `public` depends on the other secret: false for the points of small order,
/// which would let an attacker predict the outcome (RFC 7748 section 6.1).
pub(crate) fn is_contributory(public: &[u8; KEY_LEN]) -> bool {
    // Any scalar will do: clamping makes it a multiple of the cofactor, which sends exactly those points to zero.
    StaticSecret::from([1; KEY_LEN]).diffie_hellman(&PublicKey::from(*public)).was_contributory()
}

fn sign(key: &SigningKey, domain: &[u8], message: &[u8]) -> [u8; SIGNATURE_LEN] {
    key.sign(&[domain, message].concat()).to_bytes()
}

/// 32 secret bytes from which others are derived.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Seed(pub(crate) [u8; KEY_LEN]);

impl Seed {
    #[expect(clippy::expect_used, reason = "HKDF refuses only outputs beyond 255 hashes; this is one")]
    pub(crate) fn derive(&self, salt: &[u8], purpose: &[u8]) -> Zeroizing<[u8; KEY_LEN]> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        Hkdf::<Sha256>::new(Some(salt), &self.0).expand(purpose, key.as_mut()).expect("one hash long");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_a_function_of_the_seed_and_differ_by_purpose() {
        let (a, b) = (DeviceKeys::from_seed([1; 32]), DeviceKeys::from_seed([1; 32]));
        assert_eq!(
            (a.sign_pk(), a.noise_pk(), a.box_pk(), *a.seed()),
            (b.sign_pk(), b.noise_pk(), b.box_pk(), [1; 32])
        );
        assert_ne!(a.noise_pk(), a.box_pk());
        assert_ne!(a.sign_pk(), UserKeys::from_seed([1; 32]).user_pk());
        assert_ne!(a.device_id(), DeviceKeys::from_seed([2; 32]).device_id());
        assert_eq!(a.device_id(), DeviceId::derive(&a.sign_pk()));
    }

    #[test]
    fn debug_shows_the_public_name_only() {
        let keys = DeviceKeys::from_seed([7; 32]);
        assert_eq!(format!("{keys:?}"), format!("DeviceKeys {{ device: {}, .. }}", keys.device_id()));
        let keys = UserKeys::from_seed([7; 32]);
        assert_eq!(format!("{keys:?}"), format!("UserKeys {{ user: {}, .. }}", keys.user_id()));
    }

    #[test]
    fn a_signature_is_good_for_its_own_purpose_and_key_only() {
        let (keys, other) = (DeviceKeys::from_seed([1; 32]), DeviceKeys::from_seed([2; 32]));
        let signature = keys.sign(b"one\0", b"text");
        assert!(verify(&keys.sign_pk(), b"one\0", b"text", &signature));
        assert!(!verify(&keys.sign_pk(), b"two\0", b"text", &signature));
        assert!(!verify(&keys.sign_pk(), b"one\0", b"next", &signature));
        assert!(!verify(&other.sign_pk(), b"one\0", b"text", &signature));
    }

    #[test]
    fn points_of_small_order_do_not_contribute() {
        // Zero, one and p - 1 have order 4, 1 and 2 (times the twist's); RFC 7748 names the all-zero output.
        let mut minus_one = [0xff; 32];
        (minus_one[0], minus_one[31]) = (0xec, 0x7f);
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one, minus_one] {
            assert!(!is_contributory(&point));
        }
        assert!(is_contributory(&DeviceKeys::from_seed([1; 32]).noise_pk()));
    }
}
