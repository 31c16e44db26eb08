//! How an encryption is made and written, where the caller wants to say so: nonce, associated data,
//! padding, and where the parts lie.

use core::ops::Range;

/// Most bytes of a nonce or initialisation vector of any cipher here (XChaCha20).
pub const CIPHER_NONCE_BYTES_MAX: usize = 24;

/// What a cipher takes and makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CipherShape {
    /// Whether a ciphertext that was altered is refused. A cipher without authentication takes no
    /// associated data, and what it decrypts may be anything: the layer above must say so to its
    /// users and bring its own check (encrypt, then authenticate).
    pub is_authenticated: bool,
    /// Bytes of a nonce (initialisation vector) that is drawn or derived; 0 for none.
    pub nonce_bytes: usize,
    /// Lengths of an explicit nonce, in bytes.
    pub explicit_nonce_bytes: &'static [usize],
    /// Bytes of the tag; 0 for none.
    pub tag_bytes: usize,
    /// The padding that is meant when none is named; `None` for a cipher that takes any length.
    pub padding: Option<BlockPadding>,
    /// Whether [`Nonce::Deterministic`] is allowed.
    pub is_deterministic_allowed: bool,
}

/// Where the nonce (initialisation vector) of an encryption comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nonce<'a> {
    /// Drawn from the entropy that is passed in.
    #[default]
    Random,
    /// These bytes. The caller answers for them: with AES-GCM, ChaCha20-Poly1305, CTR and OFB a
    /// nonce that is used twice with a key gives the plaintexts away, with AES-GCM and
    /// ChaCha20-Poly1305 the authentication too. An initialisation vector of CBC must not be
    /// foreseeable (SP 800-38A section 6.2).
    Explicit(&'a [u8]),
    /// Derived from key, `context`, associated data and plaintext, so that the same call gives the
    /// same ciphertext; for ciphers that withstand it (AES-GCM-SIV, RFC 8452), nothing else.
    ///
    /// `nonce = HMAC-SHA-256(K, u64(len(context)) || context || u64(len(aad)) || aad || plaintext)`
    /// cut to its first 12 bytes, `K = HKDF-SHA-256[salt = "", info =
    /// "lethe-deterministic-nonce/v1"](key)`, lengths big-endian. It tells who holds two
    /// ciphertexts whether key, context, associated data and plaintext were the same. The context
    /// separates; it is not authenticated unless it is associated data as well.
    Deterministic {
        /// Keeps equal plaintexts of different contexts apart; may be empty.
        context: &'a [u8],
    },
}

/// How a plaintext is filled up to whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockPadding {
    /// 1 to 16 bytes, each of them their number (RFC 5652 section 6.3, "PKCS#7").
    Pkcs7,
    /// None: the plaintext must be whole blocks of 16 bytes.
    Unpadded,
}

/// A mode of a block cipher, for keys that serve several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherMode {
    /// Cipher block chaining (SP 800-38A section 6.2). Does not authenticate.
    Cbc,
    /// Electronic code book (SP 800-38A section 6.1). Does not authenticate, shows equal blocks.
    Ecb,
    /// Galois/counter mode (SP 800-38D).
    Gcm,
}

/// How to encrypt. The default is what [`super::UsableKey::encrypt`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncryptParams<'a> {
    /// Where the nonce comes from.
    pub nonce: Nonce<'a>,
    /// Associated data; must be empty for a cipher without authentication.
    pub aad: &'a [u8],
    /// The padding, or `None` for the cipher's own default.
    pub padding: Option<BlockPadding>,
    /// The mode, for a key that serves several; must be `None` for any other.
    pub mode: Option<CipherMode>,
}

/// How to decrypt. The default takes `nonce || ciphertext || tag` in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecryptParams<'a> {
    /// The nonce; `None` if the data starts with it.
    pub nonce: Option<&'a [u8]>,
    /// The tag; `None` if the data ends with it.
    pub tag: Option<&'a [u8]>,
    /// Associated data; must be empty for a cipher without authentication.
    pub aad: &'a [u8],
    /// The padding, or `None` for the cipher's own default.
    pub padding: Option<BlockPadding>,
    /// The mode, for a key that serves several; must be `None` for any other.
    pub mode: Option<CipherMode>,
}

/// Where the parts of a ciphertext lie in the buffer that it was appended to. They follow each
/// other: nonce, ciphertext, tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CipherParts {
    /// The nonce; empty for a cipher without one.
    pub nonce: Range<usize>,
    /// The ciphertext proper.
    pub ciphertext: Range<usize>,
    /// The tag; empty for a cipher without authentication.
    pub tag: Range<usize>,
}

impl CipherParts {
    /// Parts of these sizes that start at `start`.
    pub(crate) fn at(start: usize, nonce: usize, ciphertext: usize, tag: usize) -> Self {
        let (second, third) = (start + nonce, start + nonce + ciphertext);
        Self { nonce: start..second, ciphertext: second..third, tag: third..third + tag }
    }
}
