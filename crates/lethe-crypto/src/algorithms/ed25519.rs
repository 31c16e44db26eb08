//! Ed25519 (RFC 8032 section 5.1), pure.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use lethe_types::{Entropy, SecretVec};

use super::{ExpandedKey, Family, NO_PRIVATE_HALF, random};
use crate::CryptoError;
use crate::registry::{PublicKey, SignatureScheme};

/// Bytes of a seed.
const SEED_BYTES: usize = 32;
/// Bytes of a public key.
const PUBLIC_BYTES: usize = 32;

pub(crate) struct Ed25519;

impl Family for Ed25519 {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, SEED_BYTES)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let refused = CryptoError::Invalid("Ed25519 seed");
        if material.len() != SEED_BYTES {
            return Err(refused);
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(material).map_err(|_| refused)?;
        let encode = |_| CryptoError::Library("encode an Ed25519 public key");
        let spki_der = pair.public_key().as_der().map_err(encode)?;
        let mut key = expand_public(spki_der.as_ref())?;
        key.pair = Some(pair);
        Ok(Box::new(key))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(expand_public(spki_der)?))
    }
}

fn expand_public(spki_der: &[u8]) -> Result<Ed25519Key, CryptoError> {
    let refused = CryptoError::Invalid("Ed25519 public key");
    let verifier = ParsedPublicKey::new(&signature::ED25519, spki_der).map_err(|_| refused)?;
    // The library would take the 32 raw bytes as well; only the one encoding is let in.
    if verifier.as_der().map_err(|_| refused)?.as_ref() != spki_der {
        return Err(refused);
    }
    let raw = spki_der.last_chunk::<PUBLIC_BYTES>().ok_or(refused)?;
    Ok(Ed25519Key { pair: None, verifier, public: PublicKey::new(raw, spki_der) })
}

struct Ed25519Key {
    pair: Option<Ed25519KeyPair>,
    verifier: ParsedPublicKey,
    public: PublicKey,
}

impl ExpandedKey for Ed25519Key {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign(&self, _scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let pair = self.pair.as_ref().ok_or(NO_PRIVATE_HALF)?;
        let signature = pair.try_sign(message).map_err(|_| CryptoError::Library("sign"))?;
        Ok(signature.as_ref().to_vec())
    }

    fn verify(
        &self,
        _scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        Ok(self.verifier.verify_sig(message, signature).is_ok())
    }
}
