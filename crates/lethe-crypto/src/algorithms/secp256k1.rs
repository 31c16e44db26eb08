//! secp256k1 (SEC 2 section 2.4.1): ECDSA, Schnorr signatures of BIP-340 with the tweak of BIP-341,
//! ECDH, and agreement with a hashed point.

use std::sync::OnceLock;

use k256::ecdh::diffie_hellman;
use k256::ecdsa::signature::hazmat::PrehashVerifier as _;
use k256::ecdsa::{Signature as EcdsaSignature, SigningKey, VerifyingKey};
use k256::elliptic_curve::PrimeField as _;
use k256::elliptic_curve::point::DecompactPoint as _;
use k256::elliptic_curve::sec1::ToSec1Point as _;
use k256::schnorr;
use k256::{AffinePoint, NonZeroScalar, ProjectivePoint, PublicKey as Point, Scalar};
use lethe_types::{Entropy, SecretVec};
use zeroize::Zeroizing;

use super::ecdsa::{Written, check_point, parts_of};
use super::{
    ExpandedKey, Family, NO_PRIVATE_HALF, NO_SUCH_SCHEME, NOTHING_BESIDE_MESSAGE, import_plain,
    random,
};
use crate::CryptoError;
use crate::algorithms::digest::Hash;
use crate::encoding::curve::SECP256K1 as FORM;
use crate::hash::sha256;
use crate::registry::{
    KeyFormat, PssSalt, PublicFormat, PublicKey, SignInput, SignRequest, Signature, SignatureScheme,
};

/// Bytes of a scalar and of a coordinate.
pub(super) const SCALAR_BYTES: usize = 32;
/// Bytes of an uncompressed point.
const POINT_BYTES: usize = 65;
/// Bytes of the Merkle root of BIP-341.
const MERKLE_ROOT_BYTES: usize = 32;
/// Draws of 32 bytes for a scalar. One fails with a chance of 2^-128.
const DRAWS_MAX: usize = 4;

/// The other side of the pair-wise consistency test: any fixed scalar will do, it protects nothing.
const TEST_SCALAR: [u8; SCALAR_BYTES] = [0x5a; SCALAR_BYTES];

const REFUSED_PUBLIC: CryptoError = CryptoError::Invalid("secp256k1 public key");
const REFUSED_PRIVATE: CryptoError = CryptoError::Invalid("secp256k1 private key");

pub(crate) struct Secp256k1;

impl Family for Secp256k1 {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        // FIPS 186-5 appendix A.2.2: draw again what is not in range.
        for _ in 0..DRAWS_MAX {
            let drawn = random(entropy, SCALAR_BYTES)?;
            if scalar_of(drawn.expose()).is_ok() {
                return Ok(drawn);
            }
        }
        Err(CryptoError::Entropy)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(expand(material)?))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let raw = FORM.raw_of_spki(spki_der)?;
        if raw.len() != POINT_BYTES {
            return Err(REFUSED_PUBLIC);
        }
        let verifying = point_of(&raw)?;
        let public = public_key(&verifying);
        Ok(Box::new(Secp256k1Key {
            signing: None,
            schnorr: OnceLock::new(),
            verifying: verifying.into(),
            public,
        }))
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        import_plain(&FORM, format, bytes, |scalar| Ok(expand(scalar)?.public))
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        FORM.write(format, material, expand(material)?.public.raw())
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        Ok(public_key(&point_of(&FORM.read_public(format, bytes)?)?))
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        FORM.write_jwk(None, public.raw())
    }
}

/// A scalar in 1..n, big-endian at full length.
pub(super) fn scalar_of(bytes: &[u8]) -> Result<NonZeroScalar, CryptoError> {
    let bytes: [u8; SCALAR_BYTES] = bytes.try_into().map_err(|_| REFUSED_PRIVATE)?;
    Option::from(NonZeroScalar::from_repr(bytes.into())).ok_or(REFUSED_PRIVATE)
}

/// A point in either form of SEC 1, on the curve.
fn point_of(encoded: &[u8]) -> Result<Point, CryptoError> {
    check_point(encoded, POINT_BYTES, REFUSED_PUBLIC)?;
    Point::from_sec1_bytes(encoded).map_err(|_| REFUSED_PUBLIC)
}

fn public_key(point: &Point) -> PublicKey {
    FORM.public_key(point.to_sec1_point(false).as_bytes())
}

fn expand(material: &[u8]) -> Result<Secp256k1Key, CryptoError> {
    let signing = SigningKey::from(scalar_of(material)?);
    let verifying = *signing.verifying_key();
    let public = public_key(&verifying.into());
    Ok(Secp256k1Key { signing: Some(signing), schnorr: OnceLock::new(), verifying, public })
}

struct Secp256k1Key {
    /// Wiped when dropped, by the library.
    signing: Option<SigningKey>,
    /// For BIP-340, filled at its first use.
    schnorr: OnceLock<schnorr::SigningKey>,
    verifying: VerifyingKey,
    public: PublicKey,
}

impl Secp256k1Key {
    fn signing(&self) -> Result<&SigningKey, CryptoError> {
        self.signing.as_ref().ok_or(NO_PRIVATE_HALF)
    }

    /// The key of BIP-340: of the two with the same `x`, the one whose point has an even `y`.
    fn schnorr(&self) -> Result<&schnorr::SigningKey, CryptoError> {
        let scalar = self.signing()?.as_nonzero_scalar();
        Ok(self.schnorr.get_or_init(|| schnorr::SigningKey::from(*scalar)))
    }

    fn sign_ecdsa(
        &self,
        (hash, written): (Hash, Written),
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let digest = ecdsa_digest(hash, request)?;
        // RFC 6979 with HMAC-SHA-256; the library makes `s` low.
        let (signature, recovery) = self.signing()?.sign_prehash_recoverable(&digest);
        let bytes = match written {
            Written::Der => signature.to_der().as_bytes().to_vec(),
            Written::Fixed => signature.to_bytes().to_vec(),
        };
        Ok(Signature { bytes, recovery_id: Some(recovery.to_byte()) })
    }

    /// With SHA-2 both of the values of `s` that ECDSA allows are valid, as for every other curve;
    /// with Keccak-256 the low one alone is, as where that pairing comes from (EIP-2).
    fn verify_ecdsa(
        &self,
        (hash, written): (Hash, Written),
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let digest = ecdsa_digest(hash, request)?;
        let read = match written {
            Written::Der => EcdsaSignature::from_der(signature),
            Written::Fixed => EcdsaSignature::from_slice(signature),
        };
        let Ok(read) = read else { return Ok(false) };
        let low = read.normalize_s();
        if hash == Hash::Keccak256 && low != read {
            return Ok(false);
        }
        Ok(self.verifying.verify_prehash(&digest, &low).is_ok())
    }

    /// BIP-341, `taproot_tweak_seckey`.
    fn tweaked(&self, root: &[u8]) -> Result<schnorr::SigningKey, CryptoError> {
        let internal = self.schnorr()?;
        let tweak = taproot_tweak(&internal.verifying_key().to_bytes(), root)?;
        let sum = Zeroizing::new(**internal.as_nonzero_scalar() + tweak);
        let scalar = Option::<NonZeroScalar>::from(NonZeroScalar::new(*sum));
        scalar.map(schnorr::SigningKey::from).ok_or(REFUSED_PRIVATE)
    }

    /// BIP-341, `taproot_tweak_pubkey`.
    fn output_key(&self, root: &[u8]) -> Result<schnorr::VerifyingKey, CryptoError> {
        let x = self.x();
        let internal = Option::<AffinePoint>::from(AffinePoint::decompact(&x.into()));
        let internal = internal.ok_or(REFUSED_PUBLIC)?;
        let tweak = taproot_tweak(&x, root)?;
        let output = (ProjectivePoint::from(internal) + ProjectivePoint::mul_by_generator(&tweak))
            .to_affine();
        let output = Point::from_affine(output).map_err(|_| REFUSED_PUBLIC)?;
        let encoded = output.to_sec1_point(true);
        let (_, x) = encoded.as_bytes().split_first().ok_or(REFUSED_PUBLIC)?;
        schnorr::VerifyingKey::from_slice(x).map_err(|_| REFUSED_PUBLIC)
    }

    fn x(&self) -> [u8; SCALAR_BYTES] {
        let point = self.verifying.to_sec1_point(true);
        let mut x = [0; SCALAR_BYTES];
        x.copy_from_slice(point.as_bytes().split_at(1).1);
        x
    }
}

fn ecdsa_digest(hash: Hash, request: &SignRequest<'_>) -> Result<Vec<u8>, CryptoError> {
    if !request.is_bare() {
        return Err(NOTHING_BESIDE_MESSAGE);
    }
    hash.of(request.input)
}

/// What BIP-340 signs: any message, or 32 bytes that are a hash already.
fn schnorr_message<'a>(request: &SignRequest<'a>) -> Result<&'a [u8], CryptoError> {
    if request.pss_salt != PssSalt::AsHash {
        return Err(NOTHING_BESIDE_MESSAGE);
    }
    match request.input {
        SignInput::Message(message) => Ok(message),
        SignInput::Digest(digest) if digest.len() == SCALAR_BYTES => Ok(digest),
        SignInput::Digest(_) => Err(CryptoError::Invalid("length of the digest")),
    }
}

/// `t` of BIP-341: the tagged hash of the internal key and the Merkle root, or of the key alone.
fn taproot_tweak(internal: &[u8], root: &[u8]) -> Result<Scalar, CryptoError> {
    if !root.is_empty() && root.len() != MERKLE_ROOT_BYTES {
        return Err(CryptoError::Invalid("length of the Merkle root"));
    }
    let tag = sha256(&[b"TapTweak"]);
    let hash = sha256(&[&tag, &tag, internal, root]);
    let tweak = Option::<Scalar>::from(Scalar::from_repr(hash.into()));
    tweak.ok_or(CryptoError::Invalid("taproot tweak"))
}

impl ExpandedKey for Secp256k1Key {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        if let Some(parts) = parts_of(scheme) {
            return self.sign_ecdsa(parts, request);
        }
        let message = schnorr_message(request)?;
        let aux_random = request.aux_random.unwrap_or(&[0; 32]);
        let signed = if scheme == SignatureScheme::Bip340 {
            if request.context.is_some() {
                return Err(NOTHING_BESIDE_MESSAGE);
            }
            self.schnorr()?.sign_raw(message, aux_random)
        } else if scheme == SignatureScheme::Bip340Taproot {
            self.tweaked(request.context.unwrap_or_default())?.sign_raw(message, aux_random)
        } else {
            return Err(NO_SUCH_SCHEME);
        };
        let signature = signed.map_err(|_| CryptoError::Library("sign"))?;
        Ok(Signature::plain(signature.to_bytes().to_vec()))
    }

    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        if let Some(parts) = parts_of(scheme) {
            return self.verify_ecdsa(parts, request, signature);
        }
        let message = schnorr_message(request)?;
        let key = if scheme == SignatureScheme::Bip340 {
            if request.context.is_some() {
                return Err(NOTHING_BESIDE_MESSAGE);
            }
            schnorr::VerifyingKey::from_slice(&self.x()).map_err(|_| REFUSED_PUBLIC)?
        } else if scheme == SignatureScheme::Bip340Taproot {
            self.output_key(request.context.unwrap_or_default())?
        } else {
            return Err(NO_SUCH_SCHEME);
        };
        let read = schnorr::Signature::try_from(signature);
        Ok(read.is_ok_and(|signature| key.verify_raw(message, &signature).is_ok()))
    }

    fn taproot_output_key(&self, merkle_root: &[u8]) -> Result<[u8; 32], CryptoError> {
        Ok(self.output_key(merkle_root)?.to_bytes().into())
    }

    fn agree(&self, peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        let peer = point_of(peer_public)?;
        let secret = diffie_hellman(self.signing()?.as_nonzero_scalar(), peer.as_affine());
        Ok(SecretVec::copy_from(secret.raw_secret_bytes()))
    }

    fn agree_on_point(&self, peer_public: &[u8]) -> Result<SecretVec, CryptoError> {
        let peer = point_of(peer_public)?;
        let product = peer.to_projective() * **self.signing()?.as_nonzero_scalar();
        let product = Point::from_affine(product.to_affine()).map_err(|_| REFUSED_PUBLIC)?;
        Ok(SecretVec::copy_from(product.to_sec1_point(true).as_bytes()))
    }

    /// Hashes by `secp256k1_XMD:SHA-256_SSWU_RO_` (RFC 9380 section 8.7).
    fn agree_with_hashed(&self, domain: &[u8], message: &[u8]) -> Result<SecretVec, CryptoError> {
        let refused = CryptoError::Invalid("domain of the hash to the curve");
        if domain.is_empty() {
            return Err(refused);
        }
        let hashed = <k256::Secp256k1 as k256::hash2curve::GroupDigest>::hash_from_bytes(
            &[message],
            &[domain],
        )
        .map_err(|_| refused)?;
        let product = hashed * **self.signing()?.as_nonzero_scalar();
        let product = Point::from_affine(product.to_affine()).map_err(|_| refused)?;
        Ok(SecretVec::copy_from(product.to_sec1_point(true).as_bytes()))
    }

    fn agrees_from_both_sides(&self) -> Result<bool, CryptoError> {
        let other = SigningKey::from(scalar_of(&TEST_SCALAR)?);
        let here = self.agree(other.verifying_key().to_sec1_point(false).as_bytes())?;
        let there = diffie_hellman(other.as_nonzero_scalar(), self.verifying.as_affine());
        Ok(here.ct_eq(there.raw_secret_bytes()))
    }
}
