//! Ed25519 keys that are a scalar and a prefix (the hashed form of RFC 8032 section 5.1.5), as they
//! come out of threshold signing and of derivation: there is no seed that hashes to them.

use lethe_types::{Entropy, Secret, SecretVec};

use super::ed25519::Ed25519;
use super::eddsa25519::{self, Expanded, Input, PART_BYTES};
use super::{ExpandedKey, Family, NO_PRIVATE_HALF, random};
use crate::CryptoError;
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::curve::ED25519 as FORM;
use crate::encoding::joined;
use crate::kdf::hkdf_sha256;
use crate::registry::{
    KeyFormat, PublicFormat, PublicKey, SignRequest, Signature, SignatureScheme,
};

/// Bytes of the number that a scalar is reduced from: so many more than it has that its
/// distribution does not differ from the uniform one (FIPS 186-5 appendix A.2.1).
const WIDE_BYTES: usize = 64;

pub(crate) struct Ed25519Expanded;

impl Family for Ed25519Expanded {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        let wide = random(entropy, WIDE_BYTES)?;
        let wide = Secret::<WIDE_BYTES>::try_init_with(|buf| {
            let bytes = wide.expose().first_chunk().ok_or(CryptoError::Entropy)?;
            *buf = *bytes;
            Ok::<_, CryptoError>(())
        })?;
        let prefix = random(entropy, PART_BYTES)?;
        let scalar = curve25519_dalek::Scalar::from_bytes_mod_order_wide(wide.expose());
        let scalar = zeroize::Zeroizing::new(scalar.to_bytes());
        Ok(joined(&[scalar.as_slice(), prefix.expose()]))
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let refused = CryptoError::Invalid("Ed25519 scalar and prefix");
        let parts = material.try_into().map_err(|_| refused)?;
        let (scalar, prefix) = eddsa25519::halves(parts);
        let expanded = Expanded::of_parts(scalar, prefix)?;
        let public = FORM.public_key(expanded.public());
        Ok(Box::new(ExpandedPair { expanded: Some(expanded), public }))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let public = Ed25519.import_public(PublicFormat::SpkiDer, spki_der)?;
        Ok(Box::new(ExpandedPair { expanded: None, public }))
    }

    /// Raw form alone: scalar and prefix, or the scalar alone. The prefix, which signatures need
    /// to be secret and the same ever after, is then derived from the scalar.
    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        if format != KeyFormat::Raw {
            return Err(NO_SUCH_FORM);
        }
        match bytes.try_into() {
            Ok(scalar) => of_scalar(scalar),
            Err(_) => Ok(SecretVec::copy_from(bytes)),
        }
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        if format == KeyFormat::Raw {
            Ok(SecretVec::copy_from(material))
        } else {
            Err(NO_SUCH_FORM)
        }
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        Ed25519.import_public(format, bytes)
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        FORM.write_jwk(None, public.raw())
    }
}

/// Material of a scalar that comes without a prefix.
pub(super) fn of_scalar(scalar: &[u8; PART_BYTES]) -> Result<SecretVec, CryptoError> {
    let prefix = hkdf_sha256(&[], scalar, &[b"lethe-ed25519-prefix/v1"])?;
    Ok(joined(&[scalar, prefix.expose()]))
}

struct ExpandedPair {
    expanded: Option<Expanded>,
    public: PublicKey,
}

impl ExpandedKey for ExpandedPair {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let expanded = self.expanded.as_ref().ok_or(NO_PRIVATE_HALF)?;
        let signature = expanded.sign(&Input::of(scheme, request)?);
        Ok(Signature::plain(signature.to_vec()))
    }

    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        eddsa25519::verify(self.public.raw(), &Input::of(scheme, request)?, signature)
    }
}
