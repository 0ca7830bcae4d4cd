//! The Noise library, fed with injected randomness: nothing here asks the operating system.

use snow::Builder;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

use crate::keys::{KEY_LEN, Seed};

/// A builder for `pattern`. A side that sends an ephemeral key needs `ephemeral`: fresh bytes, never used before.
pub(crate) fn builder(pattern: &str, ephemeral: Option<Seed>) -> Result<Builder<'static>, snow::Error> {
    let params: NoiseParams = pattern.parse()?;
    Ok(Builder::with_resolver(params, Box::new(Resolver { ephemeral })))
}

/// ring for hash and cipher, curve25519-dalek for the curve, and one ephemeral secret instead of a generator.
struct Resolver {
    ephemeral: Option<Seed>,
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(self.ephemeral.as_ref().map(|seed| Zeroizing::new(seed.0)))))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
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
