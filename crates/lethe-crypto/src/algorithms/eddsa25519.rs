//! EdDSA over Curve25519 with what RFC 8032 section 5.1 puts before the message: contexts and
//! prehashing, and keys that are a scalar and a prefix rather than a seed.
//!
//! Group and scalars come from `curve25519-dalek`, SHA-512 from `aws-lc-rs`; the few lines that
//! join them are section 5.1.6 and 5.1.7 (docs/decisions/011).

use aws_lc_rs::digest::{Context, SHA512};
use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use lethe_types::Secret;
use zeroize::Zeroizing;

use super::{NO_SUCH_SCHEME, NOTHING_BESIDE_MESSAGE};
use crate::CryptoError;
use crate::registry::{CONTEXT_BYTES_MAX, PssSalt, SignInput, SignRequest, SignatureScheme};

/// Bytes of a scalar, a prefix and a point.
pub(super) const PART_BYTES: usize = 32;
/// Bytes of a signature.
pub(super) const SIGNATURE_BYTES: usize = 64;
/// Bytes of SHA-512.
const HASH_BYTES: usize = 64;

/// What stands before `R`, `A` and the message in both hashes (`dom2`), and the message itself,
/// prehashed or not.
pub(super) struct Input {
    dom2: Vec<u8>,
    message: Vec<u8>,
}

impl Input {
    /// Reads a request of one of the three schemes over Curve25519.
    pub(super) fn of(
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Self, CryptoError> {
        if request.aux_random.is_some() || request.pss_salt != PssSalt::AsHash {
            return Err(NOTHING_BESIDE_MESSAGE);
        }
        let context = request.context.unwrap_or_default();
        if context.len() > CONTEXT_BYTES_MAX {
            return Err(CryptoError::Invalid("length of the context"));
        }
        let (dom2, message) = if scheme == SignatureScheme::Ed25519 {
            if request.context.is_some() {
                return Err(NOTHING_BESIDE_MESSAGE);
            }
            (Vec::new(), message_of(request.input)?.to_vec())
        } else if scheme == SignatureScheme::Ed25519ctx {
            // Section 5.1: the context of Ed25519ctx should not be empty; then it says nothing.
            if context.is_empty() {
                return Err(CryptoError::Invalid("context: Ed25519ctx needs one"));
            }
            (dom2(0, context), message_of(request.input)?.to_vec())
        } else if scheme == SignatureScheme::Ed25519ph {
            (dom2(1, context), super::digest::Hash::Sha512.of(request.input)?)
        } else {
            return Err(NO_SUCH_SCHEME);
        };
        Ok(Self { dom2, message })
    }
}

fn message_of(input: SignInput<'_>) -> Result<&[u8], CryptoError> {
    match input {
        SignInput::Message(message) => Ok(message),
        SignInput::Digest(_) => Err(NOTHING_BESIDE_MESSAGE),
    }
}

/// `dom2(F, C)` of section 2.
fn dom2(flag: u8, context: &[u8]) -> Vec<u8> {
    let length = u8::try_from(context.len()).unwrap_or(u8::MAX);
    [b"SigEd25519 no Ed25519 collisions".as_slice(), &[flag, length], context].concat()
}

/// The two halves of a hashed seed, or what takes their place.
pub(crate) struct Expanded {
    scalar: Zeroizing<Scalar>,
    prefix: Secret<PART_BYTES>,
    public: [u8; PART_BYTES],
}

impl Expanded {
    /// Section 5.1.5.
    pub(crate) fn of_seed(seed: &[u8]) -> Self {
        let hash = sha512(&[seed]);
        let (scalar, prefix) = halves(&hash);
        let scalar = Scalar::from_bytes_mod_order(clamp_integer(*scalar));
        Self::new(Zeroizing::new(scalar), prefix)
    }

    /// `scalar` in its one encoding below the order, and not zero; any prefix.
    pub(super) fn of_parts(
        scalar: &[u8; PART_BYTES],
        prefix: &[u8; PART_BYTES],
    ) -> Result<Self, CryptoError> {
        let scalar = Option::<Scalar>::from(Scalar::from_canonical_bytes(*scalar));
        match scalar {
            Some(scalar) if scalar != Scalar::ZERO => Ok(Self::new(Zeroizing::new(scalar), prefix)),
            Some(_) | None => Err(CryptoError::Invalid("Ed25519 scalar")),
        }
    }

    fn new(scalar: Zeroizing<Scalar>, prefix: &[u8; PART_BYTES]) -> Self {
        let public = EdwardsPoint::mul_base(&scalar).compress().to_bytes();
        Self { scalar, prefix: Secret::init_with(|buf| buf.copy_from_slice(prefix)), public }
    }

    /// The scalar, little-endian, reduced.
    pub(crate) fn scalar_bytes(&self) -> Zeroizing<[u8; PART_BYTES]> {
        Zeroizing::new(self.scalar.to_bytes())
    }

    pub(super) fn public(&self) -> &[u8; PART_BYTES] {
        &self.public
    }

    /// Section 5.1.6.
    pub(super) fn sign(&self, input: &Input) -> [u8; SIGNATURE_BYTES] {
        let nonce = sha512(&[&input.dom2, self.prefix.expose(), &input.message]);
        let nonce = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&nonce));
        let r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
        let challenge = challenge(&r, &self.public, input);
        let s = challenge * *self.scalar + *nonce;
        let mut signature = [0; SIGNATURE_BYTES];
        let (left, right) = signature.split_at_mut(PART_BYTES);
        left.copy_from_slice(&r);
        right.copy_from_slice(&s.to_bytes());
        signature
    }
}

/// A public key that is a point in its one encoding and not of low order.
pub(super) fn check_public(public: &[u8]) -> Result<EdwardsPoint, CryptoError> {
    let refused = CryptoError::Invalid("Ed25519 public key");
    let compressed = CompressedEdwardsY::from_slice(public).map_err(|_| refused)?;
    let point = compressed.decompress().ok_or(refused)?;
    if point.is_small_order() || point.compress() != compressed {
        return Err(refused);
    }
    Ok(point)
}

/// Section 5.1.7, by the equation without the cofactor. Recomputing `R` and comparing its encoding
/// refuses encodings that are not the one.
pub(super) fn verify(public: &[u8], input: &Input, signature: &[u8]) -> Result<bool, CryptoError> {
    let a = check_public(public)?;
    let public = a.compress().to_bytes();
    let Some((r, s)) = signature.split_first_chunk::<PART_BYTES>() else { return Ok(false) };
    let Ok(s) = <[u8; PART_BYTES]>::try_from(s) else { return Ok(false) };
    let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else {
        return Ok(false);
    };
    let challenge = challenge(r, &public, input);
    let expected = EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-a, &s);
    Ok(expected.compress().as_bytes() == r)
}

fn challenge(r: &[u8; PART_BYTES], public: &[u8; PART_BYTES], input: &Input) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&sha512(&[&input.dom2, r, public, &input.message]))
}

pub(super) fn sha512(parts: &[&[u8]]) -> Zeroizing<[u8; HASH_BYTES]> {
    let mut context = Context::new(&SHA512);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = Zeroizing::new([0; HASH_BYTES]);
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The first and second half of 64 bytes.
pub(super) fn halves(bytes: &[u8; HASH_BYTES]) -> (&[u8; PART_BYTES], &[u8; PART_BYTES]) {
    let [first, second] = <&[[u8; PART_BYTES]; 2]>::try_from(bytes.as_chunks::<PART_BYTES>().0)
        .expect("64 bytes are two halves");
    (first, second)
}
