//! Ed25519 (RFC 8032 section 5.1): pure, with context, and prehashed.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsBigEndian, AsDer, Curve25519SeedBin};
use aws_lc_rs::signature::{self, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use lethe_types::{Entropy, SecretVec};

use super::eddsa25519::{self, Expanded, Input};
use super::{ExpandedKey, Family, NO_PRIVATE_HALF, import_plain, message_alone, random};
use crate::CryptoError;
use crate::encoding::curve::ED25519 as FORM;
use crate::registry::{
    KeyFormat, PublicFormat, PublicKey, SignRequest, Signature, SignatureScheme,
};

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
        Ok(Box::new(expand(material)?))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(expand_public(spki_der)?))
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        import_plain(&FORM, format, bytes, |seed| Ok(expand(seed)?.public))
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        FORM.write(format, material, expand(material)?.public.raw())
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        let raw = FORM.read_public(format, bytes)?;
        eddsa25519::check_public(&raw)?;
        Ok(FORM.public_key(&raw))
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        FORM.write_jwk(None, public.raw())
    }
}

fn expand(seed: &[u8]) -> Result<Ed25519Key, CryptoError> {
    let refused = CryptoError::Invalid("Ed25519 seed");
    if seed.len() != SEED_BYTES {
        return Err(refused);
    }
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| refused)?;
    let encode = |_| CryptoError::Library("encode an Ed25519 public key");
    let spki_der = pair.public_key().as_der().map_err(encode)?;
    let mut key = expand_public(spki_der.as_ref())?;
    key.pair = Some(pair);
    Ok(key)
}

fn expand_public(spki_der: &[u8]) -> Result<Ed25519Key, CryptoError> {
    let refused = CryptoError::Invalid("Ed25519 public key");
    let verifier = ParsedPublicKey::new(&signature::ED25519, spki_der).map_err(|_| refused)?;
    // The library would take the 32 raw bytes as well; only the one encoding is let in.
    if verifier.as_der().map_err(|_| refused)?.as_ref() != spki_der {
        return Err(refused);
    }
    let raw = spki_der.last_chunk::<PUBLIC_BYTES>().ok_or(refused)?;
    // The library would take points of low order, under which signatures say nothing.
    eddsa25519::check_public(raw)?;
    let public = PublicKey::new(raw, spki_der);
    Ok(Ed25519Key { pair: None, expanded: OnceLock::new(), verifier, public })
}

struct Ed25519Key {
    pair: Option<Ed25519KeyPair>,
    /// For what the library of `pair` does not have; filled at its first use.
    expanded: OnceLock<Expanded>,
    verifier: ParsedPublicKey,
    public: PublicKey,
}

impl ExpandedKey for Ed25519Key {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let pair = self.pair.as_ref().ok_or(NO_PRIVATE_HALF)?;
        let failed = |_| CryptoError::Library("sign");
        if scheme == SignatureScheme::Ed25519 {
            let signature = pair.try_sign(message_alone(request)?).map_err(failed)?;
            return Ok(Signature::plain(signature.as_ref().to_vec()));
        }
        let input = Input::of(scheme, request)?;
        let expanded = match self.expanded.get() {
            Some(expanded) => expanded,
            None => {
                let seed = pair.seed().map_err(failed)?;
                let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(failed)?;
                self.expanded.get_or_init(|| Expanded::of_seed(seed.as_ref()))
            }
        };
        Ok(Signature::plain(expanded.sign(&input).to_vec()))
    }

    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        if scheme == SignatureScheme::Ed25519 {
            let message = message_alone(request)?;
            return Ok(self.verifier.verify_sig(message, signature).is_ok());
        }
        eddsa25519::verify(self.public.raw(), &Input::of(scheme, request)?, signature)
    }
}
