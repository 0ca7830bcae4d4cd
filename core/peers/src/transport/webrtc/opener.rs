//! The stack's cryptography, with a look at every DTLS record that was opened before the stack has it.
//!
//! Only here is it known what a peer with keys asks for: outside, its records are opaque. A record that must not pass is
//! treated as one that is not authentic, which the stack discards. Ciphers that open records in several steps (CBC) are
//! not offered, and neither browsers nor other stacks need them.

use std::sync::Arc;

use rtc::crypto::{
    self, ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher,
    CryptoAlgorithm, CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey,
    RTCCrypto, RTCCryptoProvider, RTCRandom, SignatureScheme, SigningKey, StreamCipher,
    StreamCipherAlgorithm,
};

use super::record;
use super::runtime::ConnectionShared;
use crate::clock::Clock;

/// The provider of one peer connection.
pub(super) struct JudgingCrypto {
    inner: Arc<dyn RTCCryptoProvider>,
    shared: Arc<ConnectionShared>,
}

impl JudgingCrypto {
    pub(super) fn new(shared: Arc<ConnectionShared>) -> Result<Self, CryptoError> {
        Ok(Self { inner: crypto::default_provider()?, shared })
    }
}

impl RTCCryptoProvider for JudgingCrypto {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }

    fn random(&self) -> &dyn RTCRandom {
        self.inner.random()
    }
}

impl RTCCrypto for JudgingCrypto {
    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        !matches!(algorithm, CryptoAlgorithm::Cbc(_)) && self.inner.crypto().supports(algorithm)
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        let inner = self.inner.crypto().new_aead(algorithm, key)?;
        Ok(Box::new(RecordOpener { inner, shared: self.shared.clone() }))
    }

    fn new_cbc(&self, algorithm: CbcAlgorithm, _: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        Err(CryptoError::UnsupportedAlgorithm(CryptoAlgorithm::Cbc(algorithm)))
    }

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.inner.crypto().hash(algorithm, data)
    }

    fn block_encrypt(
        &self,
        algorithm: BlockCipherAlgorithm,
        key: &[u8],
        block: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().block_encrypt(algorithm, key, block)
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.inner.crypto().new_hmac(algorithm, key)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.inner.crypto().new_stream_cipher(algorithm, key)
    }

    fn start_key_exchange(
        &self,
        algorithm: KeyExchangeAlgorithm,
    ) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.inner.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(
        &self,
        scheme: SignatureScheme,
        pkcs8_der: &[u8],
    ) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.inner.crypto().import_signing_key(scheme, pkcs8_der)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        public_key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.crypto().verify_signature(scheme, public_key, message, signature)
    }
}

/// A cipher that opens only what may pass.
struct RecordOpener {
    inner: Box<dyn AeadCipher>,
    shared: Arc<ConnectionShared>,
}

impl AeadCipher for RecordOpener {
    fn tag_len(&self) -> usize {
        self.inner.tag_len()
    }

    fn seal_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        plaintext_and_ciphertext: &mut [u8],
        tag_out: &mut [u8],
    ) -> Result<(), CryptoError> {
        self.inner.seal_in_place(nonce, aad, plaintext_and_ciphertext, tag_out)
    }

    fn open_in_place(
        &mut self,
        nonce: &[u8],
        aad: &[u8],
        ciphertext_and_plaintext: &mut [u8],
        tag: &[u8],
    ) -> Result<(), CryptoError> {
        self.inner.open_in_place(nonce, aad, ciphertext_and_plaintext, tag)?;
        let opened = &*ciphertext_and_plaintext;
        // Epoch and number, type, version, length (RFC 5246 section 6.2.3.3).
        let passes = match aad {
            [_, _, _, _, _, _, _, _, record::APPLICATION_DATA, _, _, _, _] => {
                self.shared.admit_packet(opened, Clock::system().now())
            }
            [_, _, _, _, _, _, _, _, record::HANDSHAKE, _, _, _, _] => {
                self.shared.gate().admit_opened(opened)
            }
            [_, _, _, _, _, _, _, _, record::ALERT, _, _, _, _] => true,
            // Media, which is not negotiated.
            _ => false,
        };
        if passes { Ok(()) } else { Err(CryptoError::AuthenticationFailed) }
    }
}
