//! X25519 (RFC 7748 section 5).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::AsDer;
use lethe_types::{Entropy, SecretVec};

use super::{ExpandedKey, Family, import_plain, random};
use crate::CryptoError;
use crate::encoding::curve::X25519 as FORM;
use crate::registry::{KeyFormat, PublicFormat, PublicKey};

/// Bytes of a scalar, of a public key and of a shared secret.
const POINT_BYTES: usize = 32;

/// The other side of the pair-wise consistency test: any fixed scalar will do, it protects nothing.
const TEST_SCALAR: [u8; POINT_BYTES] = [0x5a; POINT_BYTES];

pub(crate) struct X25519;

impl Family for X25519 {
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

fn expand(material: &[u8]) -> Result<X25519Key, CryptoError> {
    let private = PrivateKey::from_private_key(&agreement::X25519, material)
        .map_err(|_| CryptoError::Invalid("X25519 private key"))?;
    let failed = |_| CryptoError::Library("compute an X25519 public key");
    let public = private.compute_public_key().map_err(failed)?;
    let spki_der = public.as_der().map_err(failed)?;
    let public = PublicKey::new(public.as_ref(), spki_der.as_ref());
    Ok(X25519Key { private, public })
}

struct X25519Key {
    private: PrivateKey,
    public: PublicKey,
}

impl ExpandedKey for X25519Key {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn agree(&self, peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Invalid("X25519 public key");
        // The library would take a `SubjectPublicKeyInfo` as well; only raw keys are let in.
        if peer_public.len() != POINT_BYTES {
            return Err(refused);
        }
        let peer = UnparsedPublicKey::new(&agreement::X25519, peer_public);
        // The library refuses the all-zero secret, in constant time (RFC 7748 section 6.1).
        agreement::agree(&self.private, peer, refused, |secret| Ok(SecretVec::copy_from(secret)))
    }

    fn agrees_from_both_sides(&self) -> Result<bool, CryptoError> {
        let other = expand(&TEST_SCALAR)?;
        let here = self.agree(other.public.raw())?;
        Ok(here.ct_eq(other.agree(self.public.raw())?.expose()))
    }
}
