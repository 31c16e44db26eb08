//! X448 (RFC 7748 section 5). **Not audited**: the library is that of Ed448 (docs/decisions/010).

use ed448_goldilocks_plus::x448::{X448_BASEPOINT_BYTES, x448};
use lethe_types::{Entropy, Secret, SecretVec};

use super::{ExpandedKey, Family, import_plain, random};
use crate::CryptoError;
use crate::encoding::curve::X448 as FORM;
use crate::registry::{KeyFormat, PublicFormat, PublicKey};

/// Bytes of a scalar, of a public key and of a shared secret.
const POINT_BYTES: usize = 56;

/// The other side of the pair-wise consistency test: any fixed scalar will do, it protects nothing.
const TEST_SCALAR: [u8; POINT_BYTES] = [0x5a; POINT_BYTES];

pub(crate) struct X448;

impl Family for X448 {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, POINT_BYTES)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(expand(material)?))
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        import_plain(&FORM, format, bytes, |scalar| Ok(expand(scalar)?.public))
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        FORM.write(format, material, expand(material)?.public.raw())
    }

    /// Tries an agreement, which finds every point of low order.
    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        let raw = FORM.read_public(format, bytes)?;
        expand(&TEST_SCALAR)?.agree(&raw)?;
        Ok(FORM.public_key(&raw))
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        FORM.write_jwk(None, public.raw())
    }
}

fn expand(material: &[u8]) -> Result<X448Key, CryptoError> {
    let bytes: &[u8; POINT_BYTES] =
        material.try_into().map_err(|_| CryptoError::Invalid("X448 private key"))?;
    let scalar = Secret::init_with(|buf| *buf = *bytes);
    let public = FORM.public_key(&x448(*bytes, X448_BASEPOINT_BYTES));
    Ok(X448Key { scalar, public })
}

struct X448Key {
    scalar: Secret<POINT_BYTES>,
    public: PublicKey,
}

impl ExpandedKey for X448Key {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn agree(&self, peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Invalid("X448 public key");
        let peer: &[u8; POINT_BYTES] = peer_public.try_into().map_err(|_| refused)?;
        let secret = Secret::init_with(|buf| *buf = x448(*self.scalar.expose(), *peer));
        // RFC 7748 section 6.2: a point of low order gives zero whatever the scalar.
        if secret.ct_eq(&Secret::init_with(|_| ())) {
            return Err(refused);
        }
        Ok(SecretVec::copy_from(secret.expose()))
    }

    fn agrees_from_both_sides(&self) -> Result<bool, CryptoError> {
        let other = expand(&TEST_SCALAR)?;
        let here = self.agree(other.public.raw())?;
        Ok(here.ct_eq(other.agree(self.public.raw())?.expose()))
    }
}
