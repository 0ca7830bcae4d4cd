//! The Noise library, fed with injected randomness: nothing here asks the operating system.

use snow::Builder;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::keys::{KEY_LEN, Seed};

/// A builder for `pattern`. A side that sends an ephemeral key needs `ephemeral`: fresh bytes, never used before.
pub(crate) fn builder(pattern: &str, ephemeral: Option<Seed>) -> Result<Builder<'static>, snow::Error> {
    let params: NoiseParams = pattern.parse()?;
    Ok(Builder::with_resolver(params, Box::new(Resolver { ephemeral })))
}

/// ring for hash and cipher, x25519-dalek for the curve, and one ephemeral secret instead of a generator.
struct Resolver {
    ephemeral: Option<Seed>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(self.ephemeral.as_ref().map(|seed| Zeroizing::new(seed.0)))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::new(X25519::of([0; KEY_LEN])) as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        RingResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        RingResolver.resolve_cipher(choice)
    }
}

/// Gives its secret once and then fails: an ephemeral key is never used twice.
struct Once(Option<Zeroizing<[u8; KEY_LEN]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        match self.0.take() {
            Some(secret) if dest.len() == KEY_LEN => {
                dest.copy_from_slice(secret.as_ref());
                Ok(())
            }
            _ => Err(snow::Error::Rng),
        }
    }
}

/// X25519 (RFC 7748) whose secret is wiped when it is dropped: the library's own leaves it in freed memory.
struct X25519 {
    secret: StaticSecret,
    public: [u8; KEY_LEN],
}

impl X25519 {
    fn of(secret: [u8; KEY_LEN]) -> Self {
        let secret = StaticSecret::from(secret);
        Self { public: PublicKey::from(&secret).to_bytes(), secret }
    }
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY_LEN
    }

    fn priv_len(&self) -> usize {
        KEY_LEN
    }

    /// Takes a key of [`KEY_LEN`] bytes, which the library's builder checks.
    fn set(&mut self, secret: &[u8]) {
        if let Ok(secret) = secret.try_into().map(Zeroizing::new) {
            *self = Self::of(*secret);
        }
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = Zeroizing::new([0; KEY_LEN]);
        random.try_fill_bytes(secret.as_mut())?;
        *self = Self::of(*secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_bytes()
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        // The library's buffers are as long as its longest key.
        let public = public.first_chunk::<KEY_LEN>().ok_or(snow::Error::Dh)?;
        let out = out.first_chunk_mut::<KEY_LEN>().ok_or(snow::Error::Dh)?;
        *out = self.secret.diffie_hellman(&PublicKey::from(*public)).to_bytes();
        Ok(())
    }
}
