//! ECDSA on the Stark curve.
//!
//! **Not audited, and not in constant time**: the only library that there is works with integers
//! whose run time depends on their value (docs/decisions/010). A build without the feature `stark`
//! does not have it. An attacker who can time signatures very exactly may learn about the key.

use crypto_bigint::{NonZero, U256, U768};
use lethe_types::{Entropy, Secret, SecretVec};
use sha3::{Digest as _, Keccak256};
use starknet_crypto::{Felt, SignError, rfc6979_generate_k, sign, verify};
use starknet_types_core::curve::{AffinePoint, ProjectivePoint};
use zeroize::Zeroizing;

use super::{ExpandedKey, Family, NO_PRIVATE_HALF, NO_SUCH_SCHEME, NOTHING_BESIDE_MESSAGE, random};
use crate::CryptoError;
use crate::algorithms::ecdsa::check_point;
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::der;
use crate::registry::{
    KeyFormat, PublicFormat, PublicKey, SignInput, SignRequest, Signature, SignatureScheme,
};

/// Bytes of a scalar, of a coordinate and of half a signature.
const SCALAR_BYTES: usize = 32;
/// Bytes of an uncompressed point.
const POINT_BYTES: usize = 65;
/// Order of the curve.
const ORDER: [u8; SCALAR_BYTES] = [
    0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xb7, 0x81, 0x12, 0x6d, 0xca, 0xe7, 0xb2, 0x32, 0x1e, 0x66, 0xa2, 0x41, 0xad, 0xc6, 0x4d, 0x2f,
];
/// The prime of the field, 2^251 + 17 * 2^192 + 1.
const FIELD: [u8; SCALAR_BYTES] =
    *b"\x08\0\0\0\0\0\0\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
/// First byte of the least hash that is refused: hashes stay below 2^251.
const HASH_TOP_BYTE: u8 = 0x08;
/// What is left of the first byte of Keccak-256 in the hash of Starknet: 250 bits in all.
const KECCAK_TOP_MASK: u8 = 0x03;
/// Nonces that are tried. One fails with a chance of about 2^-59.
const NONCES_MAX: u64 = 16;
/// Draws of 252 bits for a scalar. One fails with a chance of about one half.
const DRAWS_MAX: usize = 128;

const REFUSED_PUBLIC: CryptoError = CryptoError::Invalid("Stark public key");
const REFUSED_PRIVATE: CryptoError = CryptoError::Invalid("Stark private key");

pub(crate) struct Stark;

impl Family for Stark {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        // FIPS 186-5 appendix A.2.2: as many bits as the order has, drawn again out of range.
        for _ in 0..DRAWS_MAX {
            let drawn = random(entropy, SCALAR_BYTES)?;
            let (first, rest) = drawn.expose().split_first().ok_or(CryptoError::Entropy)?;
            let masked = crate::encoding::joined(&[&[first & 0x0f], rest]);
            if scalar_of(masked.expose()).is_ok() {
                return Ok(masked);
            }
        }
        Err(CryptoError::Entropy)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let scalar = scalar_of(material)?;
        let generator = AffinePoint::generator();
        let generator = ProjectivePoint::from_affine(generator.x(), generator.y())
            .map_err(|_| REFUSED_PRIVATE)?;
        let point = (&generator * Felt::from_bytes_be(scalar.expose()))
            .to_affine()
            .map_err(|_| REFUSED_PRIVATE)?;
        Ok(Box::new(StarkKey { scalar: Some(scalar), x: point.x(), public: public_key(&point) }))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let public = self.import_public(PublicFormat::SpkiDer, spki_der)?;
        let x = point_of(public.raw())?.x();
        Ok(Box::new(StarkKey { scalar: None, x, public }))
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        if format != KeyFormat::Raw {
            return Err(NO_SUCH_FORM);
        }
        Ok(SecretVec::copy_from(scalar_of(bytes)?.expose()))
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
        match format {
            PublicFormat::Raw => Ok(public_key(&point_of(bytes)?)),
            PublicFormat::SpkiDer => {
                let start = bytes.len().checked_sub(POINT_BYTES).ok_or(REFUSED_PUBLIC)?;
                let public = public_key(&point_of(bytes.split_at(start).1)?);
                if public.spki_der() == bytes { Ok(public) } else { Err(REFUSED_PUBLIC) }
            }
            PublicFormat::SpkiPem | PublicFormat::Jwk => Err(NO_SUCH_FORM),
        }
    }
}

/// A scalar in 1..n, big-endian at full length.
fn scalar_of(bytes: &[u8]) -> Result<Secret<SCALAR_BYTES>, CryptoError> {
    let bytes: &[u8; SCALAR_BYTES] = bytes.try_into().map_err(|_| REFUSED_PRIVATE)?;
    if *bytes == [0; SCALAR_BYTES] || *bytes >= ORDER {
        return Err(REFUSED_PRIVATE);
    }
    Ok(Secret::init_with(|buf| *buf = *bytes))
}

/// `parent + shift` modulo the order; both are big-endian, the shift of any length up to 96 bytes.
pub(super) fn sum(
    parent: &Secret<SCALAR_BYTES>,
    shift: &[u8],
) -> Result<Secret<SCALAR_BYTES>, CryptoError> {
    let order = U256::from_be_slice(&ORDER);
    let order = NonZero::new(order).into_option().ok_or(REFUSED_PRIVATE)?;
    let shift = Zeroizing::new(U768::from_be_slice(shift));
    let shift = Zeroizing::new(shift.rem(&order));
    let parent = Zeroizing::new(U256::from_be_slice(parent.expose()));
    let sum = Zeroizing::new(parent.add_mod(&shift, &order).to_be_bytes());
    scalar_of(sum.as_slice())
}

/// A number below `bound`, big-endian at full length: the library would reduce any other.
fn felt_below(bytes: &[u8], bound: &[u8; SCALAR_BYTES]) -> Option<Felt> {
    let bytes: &[u8; SCALAR_BYTES] = bytes.try_into().ok()?;
    (bytes < bound).then(|| Felt::from_bytes_be(bytes))
}

/// A point in either form of SEC 1, on the curve. Its order is prime: there is no smaller group.
fn point_of(encoded: &[u8]) -> Result<AffinePoint, CryptoError> {
    check_point(encoded, POINT_BYTES, REFUSED_PUBLIC)?;
    let (&tag, coordinates) = encoded.split_first().ok_or(REFUSED_PUBLIC)?;
    let (x, y) = coordinates.split_at_checked(SCALAR_BYTES).ok_or(REFUSED_PUBLIC)?;
    let x = felt_below(x, &FIELD).ok_or(REFUSED_PUBLIC)?;
    if tag == 4 {
        let y = felt_below(y, &FIELD).ok_or(REFUSED_PUBLIC)?;
        AffinePoint::new(x, y).map_err(|_| REFUSED_PUBLIC)
    } else {
        AffinePoint::new_from_x(&x, tag == 3).ok_or(REFUSED_PUBLIC)
    }
}

/// The curve has no object identifier: its `SubjectPublicKeyInfo` carries the parameters
/// themselves (`specifiedCurve`, SEC 1 section C.2).
fn public_key(point: &AffinePoint) -> PublicKey {
    let raw = uncompressed(point);
    let field_type = der::oid(pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.1.1"));
    let key_type = der::oid(pkcs8::ObjectIdentifier::new_unwrap("1.2.840.10045.2.1"));
    let field = der::value(der::SEQUENCE, &[field_type.expose(), der::integer(&FIELD).expose()]);
    let a = der::value(der::OCTET_STRING, &[&one()]);
    let b = der::value(der::OCTET_STRING, &[&starknet_beta()]);
    let curve = der::value(der::SEQUENCE, &[a.expose(), b.expose()]);
    let base = der::value(der::OCTET_STRING, &[&uncompressed(&AffinePoint::generator())]);
    let version = der::integer(&[1]);
    let order = der::integer(&ORDER);
    let cofactor = der::integer(&[1]);
    let parameters = der::value(
        der::SEQUENCE,
        &[
            version.expose(),
            field.expose(),
            curve.expose(),
            base.expose(),
            order.expose(),
            cofactor.expose(),
        ],
    );
    let algorithm = der::value(der::SEQUENCE, &[key_type.expose(), parameters.expose()]);
    let spki = der::value(der::SEQUENCE, &[algorithm.expose(), der::bits(&raw).expose()]);
    PublicKey::new(&raw, spki.expose())
}

fn uncompressed(point: &AffinePoint) -> Vec<u8> {
    [&[4], point.x().to_bytes_be().as_slice(), &point.y().to_bytes_be()].concat()
}

/// `a` of the curve.
fn one() -> [u8; SCALAR_BYTES] {
    Felt::ONE.to_bytes_be()
}

/// `b` of the curve, out of its equation at the generator.
fn starknet_beta() -> [u8; SCALAR_BYTES] {
    let generator = AffinePoint::generator();
    let (x, y) = (generator.x(), generator.y());
    (y * y - x * x * x - x).to_bytes_be()
}

struct StarkKey {
    scalar: Option<Secret<SCALAR_BYTES>>,
    x: Felt,
    public: PublicKey,
}

/// The hash that is signed: 32 bytes below 2^251; of a message, the low 250 bits of Keccak-256, as
/// Starknet's own `starknet_keccak`.
fn hash_of(scheme: SignatureScheme, request: &SignRequest<'_>) -> Result<Felt, CryptoError> {
    if scheme != SignatureScheme::Stark {
        return Err(NO_SUCH_SCHEME);
    }
    if !request.is_bare() {
        return Err(NOTHING_BESIDE_MESSAGE);
    }
    let digest: [u8; SCALAR_BYTES] = match request.input {
        SignInput::Message(message) => {
            let mut digest: [u8; SCALAR_BYTES] = Keccak256::digest(message).into();
            let [first, ..] = &mut digest;
            *first &= KECCAK_TOP_MASK;
            digest
        }
        SignInput::Digest(digest) => {
            digest.try_into().map_err(|_| CryptoError::Invalid("length of the digest"))?
        }
    };
    let [first, ..] = digest;
    if first >= HASH_TOP_BYTE {
        return Err(CryptoError::Invalid("digest: it must be below 2^251"));
    }
    Ok(Felt::from_bytes_be(&digest))
}

impl StarkKey {
    /// Whether the sum or the difference of the two parts of the equation is the identity, where
    /// the library would panic. Who knows the private key can make such a signature.
    fn is_degenerate(&self, hash: &Felt, r: &Felt) -> bool {
        let (Ok(key), Ok(generator)) = (point_of(self.public.raw()), generator()) else {
            return true;
        };
        let Ok(key) = ProjectivePoint::from_affine(key.x(), key.y()) else { return true };
        let (left, right) = ((&generator * *hash).to_affine(), (&key * *r).to_affine());
        match (left, right) {
            (Ok(left), Ok(right)) => left.x() == right.x(),
            // The hash is zero: then `zG` is the identity and `rQ` is not.
            (Err(_), Ok(_)) => false,
            (_, Err(_)) => true,
        }
    }
}

fn generator() -> Result<ProjectivePoint, CryptoError> {
    let generator = AffinePoint::generator();
    ProjectivePoint::from_affine(generator.x(), generator.y()).map_err(|_| REFUSED_PRIVATE)
}

impl ExpandedKey for StarkKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let failed = CryptoError::Library("sign");
        let hash = hash_of(scheme, request)?;
        let scalar = self.scalar.as_ref().ok_or(NO_PRIVATE_HALF)?;
        let scalar = Felt::from_bytes_be(scalar.expose());
        // RFC 6979; what the curve's own bounds refuse is tried again with a seed, counted up.
        let seeds =
            core::iter::once(None).chain((1..NONCES_MAX).map(|seed| Some(Felt::from(seed))));
        for seed in seeds {
            let nonce = rfc6979_generate_k(&hash, &scalar, seed.as_ref());
            match sign(&scalar, &hash, &nonce) {
                Ok(signature) => {
                    let (r, s) = (signature.r.to_bytes_be(), signature.s.to_bytes_be());
                    let [.., parity] = signature.v.to_bytes_be();
                    return Ok(Signature { bytes: [r, s].concat(), recovery_id: Some(parity) });
                }
                Err(SignError::InvalidK) => {}
                Err(SignError::InvalidMessageHash) => return Err(failed),
            }
        }
        Err(failed)
    }

    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let hash = hash_of(scheme, request)?;
        let Some((r, s)) = signature.split_at_checked(SCALAR_BYTES) else { return Ok(false) };
        let (Some(r), Some(s)) = (felt_below(r, &ORDER), felt_below(s, &ORDER)) else {
            return Ok(false);
        };
        if r == Felt::ZERO || s == Felt::ZERO || self.is_degenerate(&hash, &r) {
            return Ok(false);
        }
        Ok(verify(&self.x, &hash, &r, &s).unwrap_or(false))
    }
}
