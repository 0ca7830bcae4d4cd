//! Registration: a device proves to a relay that it holds the key behind its id.
//!
//! 1. The relay sends a [`Challenge`]: 32 fresh random bytes and its own name.
//! 2. The device signs `"peers registration\0" ‖ len(name) ‖ name ‖ nonce ‖ device id` with its Ed25519 device key. The
//!    name is the one that the device dialed, whatever name the challenge gives.
//! 3. The relay checks the signature against the key in the device's certificate, for the nonce it sent on this very
//!    socket and for a name that its operator gave it.
//!
//! So an old registration is worthless on a new socket (new nonce), and a hostile relay that passes another relay's
//! challenge on gets a signature that names the hostile one. No header of the request takes part: a proxy may rewrite
//! `Host`, and a hostile relay may send any.

use serde::{Deserialize, Serialize};

use super::message::{MessageError, malformed};
use crate::certificate::{CertificateError, DeviceCertificate};
use crate::id::DeviceId;
use crate::keys::{self, DeviceKeys, SIGNATURE_LEN};
use crate::limits;

const DOMAIN: &[u8] = b"peers registration\0";

/// Bytes of a challenge's nonce.
pub const NONCE_LEN: usize = 32;

/// Characters of a name that an error keeps: the longest DNS name.
const MAX_NAME: usize = 255;

/// The bytes that the relay asks a device to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// Fresh random bytes, used for this socket only.
    #[serde(with = "super::base64")]
    pub nonce: [u8; NONCE_LEN],
    /// The first of the relay's names, see [`server_name`]. Nothing depends on it.
    pub server_name: String,
}

/// A device's answer to a [`Challenge`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The device that registers.
    pub device_id: DeviceId,
    /// The device's encoded certificate; holds the key the signature is checked with.
    #[serde(with = "super::base64")]
    pub certificate: Vec<u8>,
    /// The name under which the device reached the relay.
    pub server_name: String,
    /// The challenge's nonce, returned.
    #[serde(with = "super::base64")]
    pub nonce: [u8; NONCE_LEN],
    /// Ed25519, see the module.
    #[serde(with = "super::base64")]
    pub signature: [u8; SIGNATURE_LEN],
    /// The relay's access token, for relays that ask for one; at most [`limits::MAX_ACCESS_TOKEN`] bytes. Not signed: it admits
    /// every holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Registration {
    pub(super) fn fits(&self) -> Result<(), MessageError> {
        match &self.token {
            Some(token) if token.len() > limits::MAX_ACCESS_TOKEN => Err(malformed("`token` is too long")),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Registration {
    /// Without the token: this ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration")
            .field("device_id", &self.device_id)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// The reason for which a registration was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// The device dialed another relay, or a name that this relay's operator did not give it.
    #[error("the device dialed `{dialed}`, and the names of this relay are: {names}")]
    WrongName {
        /// The name that the device signed, shortened.
        dialed: String,
        /// The relay's names, with commas.
        names: String,
    },
    /// It answers another challenge.
    #[error("the registration answers another challenge")]
    WrongNonce,
    /// The certificate is not one.
    #[error(transparent)]
    BadCertificate(#[from] CertificateError),
    /// The certificate is another device's.
    #[error("the certificate belongs to another device")]
    WrongCertificate,
    /// The signature does not verify.
    #[error("the registration is not signed by the device's key")]
    WrongSignature,
}

impl Challenge {
    /// The device's half. `dialed` is [`server_name`] of the URL that was dialed.
    pub fn answer(&self, dialed: &str, keys: &DeviceKeys, certificate: &DeviceCertificate) -> Registration {
        let device_id = keys.device_id();
        Registration {
            device_id,
            certificate: certificate.as_bytes().to_vec(),
            server_name: dialed.to_owned(),
            nonce: self.nonce,
            signature: keys.sign(DOMAIN, &transcript(dialed, &self.nonce, device_id)),
            token: None,
        }
    }

    /// The relay's half, for a relay with `names`: the proven device's certificate. Its end is not looked at; that is
    /// between the devices.
    ///
    /// # Errors
    /// Every [`RegistrationError`].
    pub fn verify(
        &self,
        names: &[String],
        registration: &Registration,
    ) -> Result<DeviceCertificate, RegistrationError> {
        if !names.contains(&registration.server_name) {
            return Err(RegistrationError::WrongName {
                dialed: registration.server_name.chars().take(MAX_NAME).collect(),
                names: names.join(", "),
            });
        }
        if registration.nonce != self.nonce {
            return Err(RegistrationError::WrongNonce);
        }
        let certificate = DeviceCertificate::decode(&registration.certificate)?;
        if certificate.device_id() != registration.device_id {
            return Err(RegistrationError::WrongCertificate);
        }
        let signed = transcript(&registration.server_name, &self.nonce, registration.device_id);
        if !keys::verify(certificate.sign_pk(), DOMAIN, &signed, &registration.signature) {
            return Err(RegistrationError::WrongSignature);
        }
        Ok(certificate)
    }
}

fn transcript(server_name: &str, nonce: &[u8; NONCE_LEN], device_id: DeviceId) -> Vec<u8> {
    let length = (server_name.len() as u64).to_be_bytes();
    [&length[..], server_name.as_bytes(), nonce, device_id.as_bytes()].concat()
}

/// The name of the relay at a `ws:` or `wss:` URL: its authority in lower case, without user and default port.
/// Nothing if the URL is not such a one.
pub fn server_name(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "ws" | "http" => ":80",
        "wss" | "https" => ":443",
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_ascii_lowercase();
    let name = host.strip_suffix(default_port).unwrap_or(&host);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::UserKeys;
    use crate::signaling::ClientMessage;
    use crate::time::UnixTime;

    struct Device {
        keys: DeviceKeys,
        certificate: DeviceCertificate,
    }

    impl Device {
        fn new(seed: u8) -> Self {
            let keys = DeviceKeys::from_seed([seed; 32]);
            let user = UserKeys::from_seed([seed; 32]);
            let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "phone").unwrap();
            Self { keys, certificate }
        }

        fn register(&self, challenge: &Challenge) -> Registration {
            challenge.answer(&challenge.server_name, &self.keys, &self.certificate)
        }
    }

    fn verify(
        challenge: &Challenge,
        registration: &Registration,
    ) -> Result<DeviceCertificate, RegistrationError> {
        let names = ["relay.example.com", "relay.example.org"].map(str::to_owned);
        challenge.verify(&names, registration)
    }

    fn challenge(nonce: u8) -> Challenge {
        Challenge { nonce: [nonce; NONCE_LEN], server_name: "relay.example.com".into() }
    }

    // proves S044
    #[test]
    fn the_holder_of_the_key_registers() {
        let device = Device::new(7);
        let proven = verify(&challenge(1), &device.register(&challenge(1)));
        assert_eq!(proven.map(|c| c.device_id()), Ok(device.keys.device_id()));
    }

    #[test]
    fn a_replayed_registration_fails_whatever_nonce_it_claims() {
        let mut replayed = Device::new(7).register(&challenge(1));
        assert_eq!(verify(&challenge(2), &replayed), Err(RegistrationError::WrongNonce));
        replayed.nonce = challenge(2).nonce;
        assert_eq!(verify(&challenge(2), &replayed), Err(RegistrationError::WrongSignature));
    }

    #[test]
    fn each_of_the_relays_names_may_be_dialed_and_no_other() {
        let device = Device::new(7);
        let dial = |name: &str| {
            let registration = challenge(1).answer(name, &device.keys, &device.certificate);
            verify(&challenge(1), &registration).map(|c| c.device_id())
        };
        assert_eq!(dial("relay.example.com"), Ok(device.keys.device_id()));
        assert_eq!(dial("relay.example.org"), Ok(device.keys.device_id()));
        let names = "relay.example.com, relay.example.org".to_owned();
        let dialed = "127.0.0.1:8443".to_owned();
        assert_eq!(dial("127.0.0.1:8443"), Err(RegistrationError::WrongName { dialed, names }));
    }

    // proves S131
    #[test]
    fn a_challenge_passed_on_by_another_relay_proves_nothing() {
        let device = Device::new(7);
        let renamed = Challenge { server_name: "evil.example.com".into(), ..challenge(1) };
        for passed_on in [challenge(1), renamed] {
            let mut registration = passed_on.answer("evil.example.com", &device.keys, &device.certificate);
            let error = verify(&challenge(1), &registration).unwrap_err();
            assert!(matches!(error, RegistrationError::WrongName { .. }), "{error}");
            registration.server_name = challenge(1).server_name;
            assert_eq!(verify(&challenge(1), &registration), Err(RegistrationError::WrongSignature));
        }
    }

    #[test]
    fn another_devices_id_cannot_be_registered() {
        let (victim, thief) = (Device::new(7), Device::new(8));
        let mut registration = thief.register(&challenge(1));
        registration.device_id = victim.keys.device_id();
        assert_eq!(verify(&challenge(1), &registration), Err(RegistrationError::WrongCertificate));
        registration.certificate = victim.certificate.as_bytes().to_vec();
        assert_eq!(verify(&challenge(1), &registration), Err(RegistrationError::WrongSignature));
        registration.certificate.truncate(10);
        assert!(matches!(verify(&challenge(1), &registration), Err(RegistrationError::BadCertificate(_))));
    }

    #[test]
    fn a_token_is_not_in_debug_output() {
        let registration =
            Registration { token: Some("hush".into()), ..Device::new(7).register(&challenge(1)) };
        let text = format!("{:?}", ClientMessage::DeviceRegistered(registration));
        assert!(text.contains("relay.example.com") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn names_are_the_authority_without_default_port() {
        for (url, name) in [
            ("wss://Relay.Example.com", Some("relay.example.com")),
            ("wss://relay.example.com:443/v1", Some("relay.example.com")),
            ("ws://relay.example.com:443/v1", Some("relay.example.com:443")),
            ("ws://127.0.0.1:8443?x=1", Some("127.0.0.1:8443")),
            ("wss://user:pw@relay.example.com/v1", Some("relay.example.com")),
            ("ws://[::1]:80/v1", Some("[::1]")),
            ("ftp://relay.example.com", None),
            ("wss:///v1", None),
            ("relay.example.com", None),
        ] {
            assert_eq!(server_name(url).as_deref(), name, "{url}");
        }
    }
}
