//! X25519 with ML-KEM-768, as X-Wing (draft-connolly-cfrg-xwing-kem, from -06 on): secure while
//! either of the two is.
//!
//! Chosen over a bare concatenation of the two secrets (as TLS 1.3 does it, where the transcript
//! binds the rest) because a stored key has no transcript: X-Wing hashes the secrets with the
//! X25519 parts, gives 32 uniform bytes, and has a proof for this combiner with ML-KEM (its
//! Fujisaki-Okamoto transform makes the ML-KEM ciphertext superfluous in the hash). The
//! material is the 32-byte seed; never the expanded parts, on which the binding of X-Wing does
//! not hold.
//!
//! ML-KEM, X25519 and SHA3-256 are the library's; the seed is expanded with SHAKE256 of the `shake`
//! crate and `ML-KEM.KeyGen_internal` of the `ml-kem` crate (neither is audited).

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use lethe_types::{Entropy, Secret, SecretVec};
use pkcs8::ObjectIdentifier;
use shake::Shake256;
use shake::digest::{ExtendableOutput, Update, XofReader};

use super::ml_kem::{ML_KEM_768, MlKemKey, SEED_BYTES as ML_KEM_SEED_BYTES};
use super::{ExpandedKey, Family, NO_DECAPSULATION_KEY, random};
use crate::CryptoError;
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::fixed_der::KeyDer;
use crate::hash::{HashAlgorithm, digest};
use crate::registry::{Encapsulation, KeyFormat, PublicFormat, PublicKey};

/// Bytes of a seed and of an X25519 scalar, point or secret.
const SEED_BYTES: usize = 32;
const POINT_BYTES: usize = 32;
/// Bytes of both keys' seeds.
const EXPANDED_BYTES: usize = ML_KEM_SEED_BYTES + POINT_BYTES;
/// `\.//^\`, the label of the combiner.
const LABEL: &[u8] = br"\.//^\";
const DER: KeyDer = KeyDer { oid: ObjectIdentifier::new_unwrap("1.3.6.1.4.1.62253.25722") };
/// Any fixed scalar, to try a public key with: a point of low order gives no secret.
const TEST_SCALAR: [u8; POINT_BYTES] = [0x5a; POINT_BYTES];

const PUBLIC_REFUSED: CryptoError = CryptoError::Invalid("X-Wing public key");
const PRIVATE_REFUSED: CryptoError = CryptoError::Invalid("X-Wing private key");

pub(crate) struct XWing;

impl Family for XWing {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, SEED_BYTES)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let expanded = Secret::init_with(|expanded: &mut [u8; EXPANDED_BYTES]| {
            let mut shake = Shake256::default();
            shake.update(material);
            shake.finalize_xof().read(expanded);
        });
        let key = expand(&expanded)?;
        Ok(Box::new(key))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(of_public(raw_of_spki(spki_der)?)?))
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        let raw = match format {
            PublicFormat::Raw => bytes,
            PublicFormat::SpkiDer => raw_of_spki(bytes)?,
            PublicFormat::SpkiPem | PublicFormat::Jwk => return Err(NO_SUCH_FORM),
        };
        Ok(of_public(raw)?.public)
    }

    /// Raw: the seed. PKCS#8: the seed as it is. No JSON Web Key is defined.
    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        match format {
            KeyFormat::Raw => Ok(SecretVec::copy_from(bytes)),
            KeyFormat::Pkcs8Der => {
                let seed = DER.private(bytes, SEED_BYTES).ok_or(PRIVATE_REFUSED)?;
                Ok(SecretVec::copy_from(seed))
            }
            KeyFormat::Pkcs8Pem
            | KeyFormat::Jwk
            | KeyFormat::Sec1Der
            | KeyFormat::Sec1Pem
            | KeyFormat::Pkcs1Der
            | KeyFormat::Pkcs1Pem => Err(NO_SUCH_FORM),
        }
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        match format {
            KeyFormat::Raw => Ok(SecretVec::copy_from(material)),
            KeyFormat::Pkcs8Der => Ok(DER.pkcs8(material)),
            KeyFormat::Pkcs8Pem
            | KeyFormat::Jwk
            | KeyFormat::Sec1Der
            | KeyFormat::Sec1Pem
            | KeyFormat::Pkcs1Der
            | KeyFormat::Pkcs1Pem => Err(NO_SUCH_FORM),
        }
    }
}

fn raw_of_spki(spki_der: &[u8]) -> Result<&[u8], CryptoError> {
    DER.public(spki_der, ML_KEM_768.public_bytes() + POINT_BYTES).ok_or(PUBLIC_REFUSED)
}

/// The key of the raw public key alone.
fn of_public(public: &[u8]) -> Result<XWingKey, CryptoError> {
    let (lattice, point) = public.split_last_chunk::<POINT_BYTES>().ok_or(PUBLIC_REFUSED)?;
    let lattice = ML_KEM_768.of_public(lattice).map_err(|_| PUBLIC_REFUSED)?;
    agree(&scalar(&TEST_SCALAR)?, point).map_err(|_| PUBLIC_REFUSED)?;
    let public = PublicKey::new(public, &DER.spki(public));
    Ok(XWingKey { lattice, scalar: None, point: *point, public })
}

/// `expandDecapsulationKey` after the hash.
fn expand(expanded: &Secret<EXPANDED_BYTES>) -> Result<XWingKey, CryptoError> {
    let (lattice_seed, secret_scalar) = expanded.expose().split_at(ML_KEM_SEED_BYTES);
    let lattice = ML_KEM_768.expand(lattice_seed)?;
    let scalar = scalar(secret_scalar)?;
    let point = point_of(&scalar)?;
    let lattice_public = lattice.public_key().map(PublicKey::raw).unwrap_or_default();
    let public = [lattice_public, &point].concat();
    let public = PublicKey::new(&public, &DER.spki(&public));
    Ok(XWingKey { lattice, scalar: Some(scalar), point, public })
}

fn scalar(bytes: &[u8]) -> Result<PrivateKey, CryptoError> {
    PrivateKey::from_private_key(&agreement::X25519, bytes).map_err(|_| PRIVATE_REFUSED)
}

fn point_of(scalar: &PrivateKey) -> Result<[u8; POINT_BYTES], CryptoError> {
    let failed = CryptoError::Library("compute an X25519 public key");
    let point = scalar.compute_public_key().map_err(|_| failed)?;
    point.as_ref().try_into().map_err(|_| failed)
}

/// The library refuses the all-zero secret, so that a point of low order is refused. The draft does
/// not ask for it; the refusal depends on public bytes alone.
fn agree(scalar: &PrivateKey, point: &[u8]) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Invalid("X25519 public key");
    let peer = UnparsedPublicKey::new(&agreement::X25519, point);
    agreement::agree(scalar, peer, refused, |secret| Ok(SecretVec::copy_from(secret)))
}

struct XWingKey {
    lattice: MlKemKey,
    scalar: Option<PrivateKey>,
    point: [u8; POINT_BYTES],
    public: PublicKey,
}

impl XWingKey {
    fn combine(&self, lattice: &SecretVec, curve: &SecretVec, ephemeral: &[u8]) -> SecretVec {
        let parts = [lattice.expose(), curve.expose(), ephemeral, &self.point, LABEL];
        SecretVec::copy_from(digest(HashAlgorithm::Sha3_256, &parts).as_slice())
    }
}

impl ExpandedKey for XWingKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn encapsulate(&self, entropy: &dyn Entropy) -> Result<Encapsulation, CryptoError> {
        let ephemeral = scalar(random(entropy, POINT_BYTES)?.expose())?;
        let ephemeral_point = point_of(&ephemeral)?;
        let curve = agree(&ephemeral, &self.point)?;
        let mut made = self.lattice.encapsulate(entropy)?;
        made.ciphertext.extend_from_slice(&ephemeral_point);
        let shared_secret = self.combine(&made.shared_secret, &curve, &ephemeral_point);
        Ok(Encapsulation { ciphertext: made.ciphertext, shared_secret })
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretVec, CryptoError> {
        let scalar = self.scalar.as_ref().ok_or(NO_DECAPSULATION_KEY)?;
        let refused = CryptoError::Invalid("length of the ciphertext");
        if ciphertext.len() != ML_KEM_768.ciphertext_bytes() + POINT_BYTES {
            return Err(refused);
        }
        let (lattice, point) = ciphertext.split_last_chunk::<POINT_BYTES>().ok_or(refused)?;
        let curve = agree(scalar, point)?;
        Ok(self.combine(&self.lattice.decapsulate(lattice)?, &curve, point))
    }
}
