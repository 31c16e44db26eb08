//! Ed448 and Ed448ph (RFC 8032 section 5.2), both with an optional context.
//!
//! **Not audited.** The library says so of itself; docs/decisions/010 tells why it was taken and
//! what it is held against.

use ed448_goldilocks_plus::{PreHash, Signature as LibrarySignature, SigningKey, VerifyingKey};
use lethe_types::{Entropy, SecretVec};
use shake::Shake256;
use shake::digest::{ExtendableOutput as _, Update as _, XofReader as _};
use zeroize::Zeroizing;

use super::{
    ExpandedKey, Family, NO_PRIVATE_HALF, NO_SUCH_SCHEME, NOTHING_BESIDE_MESSAGE, import_plain,
    random,
};
use crate::CryptoError;
use crate::encoding::curve::ED448 as FORM;
use crate::registry::{
    CONTEXT_BYTES_MAX, KeyFormat, PssSalt, PublicFormat, PublicKey, SignInput, SignRequest,
    Signature, SignatureScheme,
};

/// Bytes of a seed and of a public key.
const KEY_BYTES: usize = 57;
/// Bytes of the hash of Ed448ph: SHAKE256 at 512 bits.
const PREHASH_BYTES: usize = 64;

const REFUSED_PUBLIC: CryptoError = CryptoError::Invalid("Ed448 public key");

pub(crate) struct Ed448;

impl Family for Ed448 {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, KEY_BYTES)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(expand(material)?))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let raw = FORM.raw_of_spki(spki_der)?;
        let verifying = check_public(&raw)?;
        Ok(Box::new(Ed448Key { signing: None, verifying, public: FORM.public_key(&raw) }))
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
        check_public(&raw)?;
        Ok(FORM.public_key(&raw))
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        FORM.write_jwk(None, public.raw())
    }
}

fn expand(seed: &[u8]) -> Result<Ed448Key, CryptoError> {
    let refused = CryptoError::Invalid("Ed448 seed");
    let bytes: &[u8; KEY_BYTES] = seed.try_into().map_err(|_| refused)?;
    let signing = SigningKey::try_from(bytes.as_slice()).map_err(|_| refused)?;
    let verifying = signing.verifying_key();
    let public = FORM.public_key(&verifying.to_bytes());
    Ok(Ed448Key { signing: Some(signing), verifying, public })
}

/// A point of the subgroup of prime order in its one encoding, not the identity.
fn check_public(raw: &[u8]) -> Result<VerifyingKey, CryptoError> {
    let bytes: &[u8; KEY_BYTES] = raw.try_into().map_err(|_| REFUSED_PUBLIC)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| REFUSED_PUBLIC)?;
    let point = key.to_edwards();
    let is_canonical = point.compress().to_bytes() == *bytes;
    if is_canonical && bool::from(point.is_torsion_free()) { Ok(key) } else { Err(REFUSED_PUBLIC) }
}

/// Whether `R` of a signature is a coordinate below the prime with a bit of sign behind it (RFC
/// 8032 section 5.2.3). The library passes over the seven bits between them, and reduces.
fn has_canonical_point(signature: &[u8]) -> bool {
    let Some((coordinate, [sign, ..])) = signature.split_at_checked(PRIME.len()) else {
        return false;
    };
    sign & 0x7f == 0 && coordinate.iter().rev().lt(PRIME.iter().rev())
}

/// 2^448 - 2^224 - 1, little-endian.
const PRIME: [u8; KEY_BYTES - 1] = {
    let mut prime = [0xff; KEY_BYTES - 1];
    prime[28] = 0xfe;
    prime
};

struct Ed448Key {
    signing: Option<SigningKey>,
    verifying: VerifyingKey,
    public: PublicKey,
}

/// The hash of Ed448ph, made already.
struct Prehashed(Zeroizing<[u8; PREHASH_BYTES]>);

impl PreHash for Prehashed {
    fn fill_bytes(&mut self, out: &mut [u8]) {
        out.copy_from_slice(self.0.as_slice());
    }
}

impl Prehashed {
    fn of(input: SignInput<'_>) -> Result<Self, CryptoError> {
        let mut hash = Zeroizing::new([0; PREHASH_BYTES]);
        match input {
            SignInput::Message(message) => {
                let mut shake = Shake256::default();
                shake.update(message);
                shake.finalize_xof().read(hash.as_mut_slice());
            }
            SignInput::Digest(digest) => {
                let refused = CryptoError::Invalid("length of the digest");
                *hash = digest.try_into().map_err(|_| refused)?;
            }
        }
        Ok(Self(hash))
    }
}

fn context_of<'a>(request: &SignRequest<'a>) -> Result<&'a [u8], CryptoError> {
    if request.aux_random.is_some() || request.pss_salt != PssSalt::AsHash {
        return Err(NOTHING_BESIDE_MESSAGE);
    }
    let context = request.context.unwrap_or_default();
    if context.len() > CONTEXT_BYTES_MAX {
        return Err(CryptoError::Invalid("length of the context"));
    }
    Ok(context)
}

fn message_of(input: SignInput<'_>) -> Result<&[u8], CryptoError> {
    match input {
        SignInput::Message(message) => Ok(message),
        SignInput::Digest(_) => Err(NOTHING_BESIDE_MESSAGE),
    }
}

impl ExpandedKey for Ed448Key {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let context = context_of(request)?;
        let signing = self.signing.as_ref().ok_or(NO_PRIVATE_HALF)?;
        let signature = if scheme == SignatureScheme::Ed448 {
            signing.sign_ctx(context, message_of(request.input)?)
        } else if scheme == SignatureScheme::Ed448ph {
            signing.sign_prehashed(Some(context), Prehashed::of(request.input)?)
        } else {
            return Err(NO_SUCH_SCHEME);
        };
        let signature = signature.map_err(|_| CryptoError::Library("sign"))?;
        Ok(Signature::plain(signature.to_bytes().to_vec()))
    }

    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let context = context_of(request)?;
        // Reading refuses `S` that is not below the order, and `R` that is no point.
        let read = Some(signature).filter(|signature| has_canonical_point(signature));
        let read = read.and_then(|signature| LibrarySignature::from_slice(signature).ok());
        let verified = if scheme == SignatureScheme::Ed448 {
            let message = message_of(request.input)?;
            read.map(|read| self.verifying.verify_ctx(&read, context, message))
        } else if scheme == SignatureScheme::Ed448ph {
            let prehashed = Prehashed::of(request.input)?;
            read.map(|read| self.verifying.verify_prehashed(&read, Some(context), prehashed))
        } else {
            return Err(NO_SUCH_SCHEME);
        };
        Ok(verified.is_some_and(|result| result.is_ok()))
    }
}
