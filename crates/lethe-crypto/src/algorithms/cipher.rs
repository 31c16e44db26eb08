//! What all ciphers do before and after the library: choose the nonce, lay out and split a
//! ciphertext.

use aws_lc_rs::aead::{self, Aad, LessSafeKey};
use lethe_types::{Entropy, SecretVec};

use crate::CryptoError;
use crate::aead::{NONCE_BYTES, TAG_BYTES};
use crate::registry::{
    BlockPadding, CIPHER_NONCE_BYTES_MAX, CipherParts, CipherShape, DecryptParams, EncryptParams,
    Nonce,
};

const NO_PADDING: CryptoError = CryptoError::Unsupported("pad a plaintext");

/// A nonce of any cipher here, on the stack.
pub(super) struct ChosenNonce {
    bytes: [u8; CIPHER_NONCE_BYTES_MAX],
    len: usize,
}

impl ChosenNonce {
    fn new(nonce: &[u8]) -> Option<Self> {
        let mut bytes = [0; CIPHER_NONCE_BYTES_MAX];
        bytes.get_mut(..nonce.len())?.copy_from_slice(nonce);
        Some(Self { bytes, len: nonce.len() })
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The nonce that `params` ask for; `derive` makes a deterministic one of the context.
pub(super) fn choose_nonce(
    shape: &CipherShape,
    entropy: &dyn Entropy,
    nonce: Nonce<'_>,
    derive: impl FnOnce(&[u8]) -> Result<[u8; NONCE_BYTES], CryptoError>,
) -> Result<ChosenNonce, CryptoError> {
    let refused = CryptoError::Invalid("length of the nonce");
    match nonce {
        // A cipher without a nonce draws nothing.
        Nonce::Random if shape.nonce_bytes == 0 => ChosenNonce::new(&[]).ok_or(refused),
        Nonce::Random => {
            let mut bytes = [0; CIPHER_NONCE_BYTES_MAX];
            entropy.fill(bytes.get_mut(..shape.nonce_bytes).ok_or(refused)?)?;
            Ok(ChosenNonce { bytes, len: shape.nonce_bytes })
        }
        Nonce::Explicit(given) if shape.explicit_nonce_bytes.contains(&given.len()) => {
            ChosenNonce::new(given).ok_or(refused)
        }
        Nonce::Explicit(_) => Err(refused),
        Nonce::Deterministic { context } if shape.is_deterministic_allowed => {
            ChosenNonce::new(&derive(context)?).ok_or(refused)
        }
        Nonce::Deterministic { .. } => {
            Err(CryptoError::Unsupported("encrypt with a derived nonce"))
        }
    }
}

/// For ciphers that withstand no derived nonce.
pub(super) fn never_derived(_context: &[u8]) -> Result<[u8; NONCE_BYTES], CryptoError> {
    Err(CryptoError::Unsupported("encrypt with a derived nonce"))
}

/// Refuses what a cipher of this shape does not take: associated data, paddings.
pub(super) fn check_request(
    shape: &CipherShape,
    aad: &[u8],
    padding: Option<BlockPadding>,
) -> Result<(), CryptoError> {
    if !shape.is_authenticated && !aad.is_empty() {
        return Err(CryptoError::Unsupported("authenticate associated data"));
    }
    // A stream cipher needs none; that it is told so is no mistake.
    if shape.padding.is_none() && padding == Some(BlockPadding::Pkcs7) {
        return Err(NO_PADDING);
    }
    Ok(())
}

/// The parts of a ciphertext.
pub(super) struct Split<'a> {
    pub(super) nonce: &'a [u8],
    pub(super) ciphertext: &'a [u8],
    pub(super) tag: &'a [u8],
}

/// Takes `data` apart as `params` say.
pub(super) fn split<'a>(
    shape: &CipherShape,
    params: &DecryptParams<'a>,
    data: &'a [u8],
) -> Result<Split<'a>, CryptoError> {
    let too_short = CryptoError::Authentication;
    let (nonce, rest) = match params.nonce {
        Some(nonce) if shape.explicit_nonce_bytes.contains(&nonce.len()) => (nonce, data),
        Some(_) => return Err(CryptoError::Invalid("length of the nonce")),
        None => data.split_at_checked(shape.nonce_bytes).ok_or(too_short)?,
    };
    let (ciphertext, tag) = match params.tag {
        Some(tag) if tag.len() == shape.tag_bytes => (rest, tag),
        Some(_) => return Err(CryptoError::Invalid("length of the tag")),
        None => {
            let end = rest.len().checked_sub(shape.tag_bytes).ok_or(too_short)?;
            rest.split_at_checked(end).ok_or(too_short)?
        }
    };
    Ok(Split { nonce, ciphertext, tag })
}

/// Makes room for a whole ciphertext at the end of `out`, writes the nonce, and hands out the rest:
/// `ciphertext || tag`, zeroes.
pub(crate) fn lay_out<'a>(
    out: &'a mut Vec<u8>,
    nonce: &[u8],
    ciphertext_bytes: usize,
    tag_bytes: usize,
) -> (CipherParts, &'a mut [u8]) {
    let parts = CipherParts::at(out.len(), nonce.len(), ciphertext_bytes, tag_bytes);
    out.reserve(nonce.len() + ciphertext_bytes + tag_bytes);
    out.extend_from_slice(nonce);
    out.resize(parts.tag.end, 0);
    let (_, sealed) = out.split_at_mut(parts.ciphertext.start);
    (parts, sealed)
}

/// From the caller's buffer straight into the answer: the plaintext is not copied.
pub(crate) fn seal(
    key: &LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    params: &EncryptParams<'_>,
    plaintext: &[u8],
    sealed: &mut [u8],
) -> Result<(), CryptoError> {
    let failed = CryptoError::Library("encrypt");
    let (ciphertext, tag) = sealed.split_at_mut_checked(plaintext.len()).ok_or(failed)?;
    let (nonce, aad) = (aead::Nonce::assume_unique_for_key(nonce), Aad::from(params.aad));
    key.seal_out_of_place_scatter(nonce, aad, plaintext, ciphertext, &[], tag).map_err(|_| failed)
}

/// The plaintext; allocates it alone.
pub(crate) fn open(
    key: &LessSafeKey,
    nonce: [u8; NONCE_BYTES],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Authentication;
    // The library would take a shorter tag; the length was checked before.
    let tag: &[u8; TAG_BYTES] = tag.try_into().map_err(|_| refused)?;
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    SecretVec::try_init_with(ciphertext.len(), |plaintext| {
        key.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, plaintext)
            .map_err(|_| refused)
    })
}
