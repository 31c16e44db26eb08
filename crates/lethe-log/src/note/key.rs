//! Keys of notes: their names, their ids, verifier keys in text form, and the signer.

use core::fmt;
use core::str::FromStr;

use lethe_crypto::hash::sha256;
use lethe_crypto::note_key::{self, NoteSigningKey};

use super::{KEY_ID_BYTES, Note, NoteError, NoteSignature};
use crate::encoding::{decode_base64, encode_base64};

/// Longest key name, in bytes: other signature kinds write its length in one byte.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;
/// Bytes of the time before an Ed25519 cosignature.
const TIME_BYTES: usize = 8;

/// A name of a key: 1 to 255 bytes without Unicode spaces, `+` and control characters. A URL
/// without its scheme is advised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoteKeyName(Box<str>);

impl NoteKeyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NoteKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NoteKeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

impl FromStr for NoteKeyName {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let forbidden = |c: char| c.is_whitespace() || c == '+' || c < ' ';
        let sized = (1..=NAME_BYTES_MAX).contains(&text.len());
        if sized && !text.contains(forbidden) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidKey::Name)
        }
    }
}

/// How a key signs. The numbers are the specification's signature types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureKind {
    /// 01: Ed25519 over the text of the note (C2SP signed-note).
    Ed25519,
    /// 04: Ed25519 over a time and the text of a checkpoint (C2SP tlog-cosignature).
    Ed25519Cosignature,
}

impl SignatureKind {
    const fn type_byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Ed25519Cosignature => 0x04,
        }
    }
}

/// Why a text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidKey {
    /// Not `name+id+base64`, or not in its one spelling.
    Form,
    /// The id is not that of the name and key.
    Id,
    /// Not a key name.
    Name,
    /// A signature type that Lethe does not check.
    Unsupported,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a verifier key has the form `name+8 hexadecimal digits+base64`",
            Self::Id => "the id in the verifier key does not belong to its name and key",
            Self::Name => "a key name has 1 to 255 bytes, no spaces and no `+`",
            Self::Unsupported => "only Ed25519 signatures and cosignatures can be checked",
        })
    }
}

impl core::error::Error for InvalidKey {}

/// The public half of a key that signs notes. Written `name+id+base64(type || key)` ("vkey").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: NoteKeyName,
    kind: SignatureKind,
    key_id: [u8; KEY_ID_BYTES],
    public_key: [u8; PUBLIC_KEY_BYTES],
}

impl VerifierKey {
    /// The verifier key of `public_key` under `name`.
    #[must_use]
    pub fn new(name: NoteKeyName, kind: SignatureKind, public_key: [u8; PUBLIC_KEY_BYTES]) -> Self {
        let hash = sha256(&[name.as_str().as_bytes(), b"\n", &[kind.type_byte()], &public_key]);
        let key_id = *hash.first_chunk().expect("a hash is longer than a key id");
        Self { name, kind, key_id, public_key }
    }

    /// Whose key it is.
    #[must_use]
    pub fn name(&self) -> &NoteKeyName {
        &self.name
    }

    /// How it signs.
    #[must_use]
    pub fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// The first bytes of the hash over name, type and key.
    #[must_use]
    pub fn key_id(&self) -> [u8; KEY_ID_BYTES] {
        self.key_id
    }

    /// Whether `signature` is right for `text`: the cosigner's time inside if it has one.
    #[expect(clippy::option_option, reason = "outer: is it right; inner: has it a time")]
    pub(super) fn check(&self, text: &str, signature: &[u8]) -> Option<Option<u64>> {
        match self.kind {
            SignatureKind::Ed25519 => {
                let signature: &[u8; SIGNATURE_BYTES] = signature.try_into().ok()?;
                note_key::verify(&self.public_key, text.as_bytes(), signature).then_some(None)
            }
            SignatureKind::Ed25519Cosignature => {
                let (time, signature) = signature.split_first_chunk::<TIME_BYTES>()?;
                let signature: &[u8; SIGNATURE_BYTES] = signature.try_into().ok()?;
                let time_s = u64::from_be_bytes(*time);
                let is_positive = i64::try_from(time_s).is_ok();
                let message = cosigned_message(text, time_s);
                let holds = note_key::verify(&self.public_key, message.as_bytes(), signature);
                (is_positive && holds).then_some(Some(time_s))
            }
        }
    }
}

/// What an Ed25519 cosignature is over (C2SP tlog-cosignature).
pub(crate) fn cosigned_message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = u32::from_be_bytes(self.key_id);
        let key = [&[self.kind.type_byte()], self.public_key.as_slice()].concat();
        write!(f, "{}+{id:08x}+{}", self.name, encode_base64(&key))
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidKey;

    /// Strict: only what `Display` prints.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidKey::Form);
        };
        let name = name.parse()?;
        let id_digits = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let key = decode_base64(key).ok_or(InvalidKey::Form)?;
        let (kind, key) = key.split_first().ok_or(InvalidKey::Form)?;
        let kinds = [SignatureKind::Ed25519, SignatureKind::Ed25519Cosignature];
        let kind = kinds.into_iter().find(|known| known.type_byte() == *kind);
        let kind = kind.ok_or(InvalidKey::Unsupported)?;
        let public_key = key.try_into().map_err(|_| InvalidKey::Form)?;
        let verifier = Self::new(name, kind, public_key);
        if !id_digits {
            Err(InvalidKey::Form)
        } else if verifier.to_string() != text {
            Err(InvalidKey::Id)
        } else {
            Ok(verifier)
        }
    }
}

/// Signs notes with an Ed25519 key under a name.
///
/// It signs whatever it is given. The log's own key is used through [`crate::LogSigner`], which
/// keeps checkpoints and other statements apart.
#[derive(Debug)]
pub struct NoteSigner {
    key: NoteSigningKey,
    verifier: VerifierKey,
}

impl NoteSigner {
    /// A signer with `key` under `name`.
    #[must_use]
    pub fn new(name: NoteKeyName, key: NoteSigningKey) -> Self {
        let verifier = VerifierKey::new(name, SignatureKind::Ed25519, *key.public_key());
        Self { key, verifier }
    }

    /// The public half.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Adds this key's signature to `note`.
    ///
    /// # Errors
    /// [`NoteError::TooLarge`] if the note has too many; it is unchanged.
    pub fn sign(&self, note: &mut Note) -> Result<(), NoteError> {
        let bytes = self.key.sign(note.text().as_bytes()).to_vec();
        note.add(NoteSignature {
            name: self.verifier.name.clone(),
            key_id: self.verifier.key_id,
            bytes,
        })
    }
}
