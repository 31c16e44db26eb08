//! What a signature is asked for with, beyond a message.

use core::fmt;

use super::SignatureScheme;

/// Longest context of a signature, in bytes (RFC 8032 sections 5.1 and 5.2, FIPS 204 section 5.2).
pub const CONTEXT_BYTES_MAX: usize = 255;

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInput<'a> {
    /// The message. The scheme hashes it, if it hashes.
    Message(&'a [u8]),
    /// The hash of the message by the hash of the scheme, made elsewhere. A scheme that has no such
    /// step (pure Ed25519 and Ed448) refuses it. BIP-340 takes 32 bytes, which are its message.
    Digest(&'a [u8]),
}

/// How long the salt of RSASSA-PSS is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PssSalt {
    /// As long as the hash: 32, 48 or 64 bytes.
    #[default]
    AsHash,
    /// As many bytes as this.
    Exactly(u16),
    /// Any length. For verification alone.
    Any,
}

/// What is asked of [`super::UsableKey::sign_with`] and [`super::UsableKey::verify_with`]. A part
/// that the scheme has no use for is refused, never passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignRequest<'a> {
    /// The scheme; the algorithm's default if there is none.
    pub scheme: Option<SignatureScheme>,
    /// Message or digest.
    pub input: SignInput<'a>,
    /// What the scheme binds beside the message: the context of Ed25519ctx, Ed25519ph, Ed448,
    /// Ed448ph and ML-DSA (at most [`CONTEXT_BYTES_MAX`] bytes); the Merkle root of
    /// `bip340-taproot`.
    pub context: Option<&'a [u8]>,
    /// Auxiliary randomness of BIP-340; 32 zero bytes if there is none. Verification ignores it.
    pub aux_random: Option<&'a [u8; 32]>,
    /// Salt of RSASSA-PSS.
    pub pss_salt: PssSalt,
}

impl<'a> SignRequest<'a> {
    /// The default scheme over `message`, nothing else.
    #[must_use]
    pub const fn message(message: &'a [u8]) -> Self {
        Self::of(SignInput::Message(message))
    }

    /// The default scheme over a message whose hash is `digest`.
    #[must_use]
    pub const fn digest(digest: &'a [u8]) -> Self {
        Self::of(SignInput::Digest(digest))
    }

    /// The same request by `scheme`.
    #[must_use]
    pub const fn by(self, scheme: SignatureScheme) -> Self {
        Self { scheme: Some(scheme), ..self }
    }

    /// The same request with `context`.
    #[must_use]
    pub const fn with_context(self, context: &'a [u8]) -> Self {
        Self { context: Some(context), ..self }
    }

    /// The same request with a salt as told.
    #[must_use]
    pub const fn with_pss_salt(self, pss_salt: PssSalt) -> Self {
        Self { pss_salt, ..self }
    }

    /// The same request with auxiliary randomness.
    #[must_use]
    pub const fn with_aux_random(self, aux_random: &'a [u8; 32]) -> Self {
        Self { aux_random: Some(aux_random), ..self }
    }

    const fn of(input: SignInput<'a>) -> Self {
        Self { scheme: None, input, context: None, aux_random: None, pss_salt: PssSalt::AsHash }
    }

    /// Whether there is nothing but scheme and input.
    pub(crate) fn is_bare(&self) -> bool {
        self.context.is_none() && self.aux_random.is_none() && self.pss_salt == PssSalt::AsHash
    }
}

/// A signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// The signature in the encoding of its scheme.
    pub bytes: Vec<u8>,
    /// For ECDSA on secp256k1 and the Stark curve: which of the points with this `r` was meant, as
    /// in SEC 1 section 4.1.6. Bit 0 is the parity of its `y` (after `s` was made low), bit 1
    /// whether its `x` was reduced.
    pub recovery_id: Option<u8>,
}

impl Signature {
    pub(crate) fn plain(bytes: Vec<u8>) -> Self {
        Self { bytes, recovery_id: None }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.bytes.len();
        write!(f, "Signature({length} bytes, recovery {:?})", self.recovery_id)
    }
}

/// The hash of RSAES-OAEP, for the label and for MGF1 alike (RFC 8017 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OaepHash {
    /// SHA-1: for peers that know nothing else. OAEP does not need its resistance to collisions.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}
