//! Signed notes (C2SP signed-note): a text and the signatures of named keys under it.
//!
//! The parser is strict: a note that it accepts is printed back byte for byte. Signatures of
//! unknown keys are ignored, as the specification demands, so they prove nothing.

mod key;

use core::fmt;
use core::str::FromStr;

#[cfg(test)]
pub(crate) use key::cosigned_message;
pub use key::{InvalidKey, NoteKeyName, NoteSigner, SignatureKind, VerifierKey};

use crate::encoding::{decode_base64, encode_base64};

/// Largest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 1_000_000;
/// Most signatures under a note. C2SP signed-note demands that 16 are accepted.
pub const NOTE_SIGNATURES_MAX: usize = 100;

/// Before each signature: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";
/// Bytes of the key id before a signature.
const KEY_ID_BYTES: usize = 4;

/// A text with signatures, none of which has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Who is said to have signed.
    pub name: NoteKeyName,
    /// Start of the hash over name and key; tells apart the keys of one name.
    pub key_id: [u8; KEY_ID_BYTES],
    /// The signature, in the form of the key's kind. Not empty.
    pub bytes: Vec<u8>,
}

/// A signature that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    /// The key that signed.
    pub key: VerifierKey,
    /// When a cosigner says it signed, in seconds since 1970; `None` for a plain signature.
    pub time_s: Option<u64>,
}

/// Why a note was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteError {
    /// A signature of a key that we know is wrong.
    InvalidSignature(NoteKeyName),
    /// It is not a text, an empty line and signature lines, or has forbidden characters.
    Malformed,
    /// No key that we know has signed.
    NoKnownSignature,
    /// It is larger than [`NOTE_BYTES_MAX`] or has more than [`NOTE_SIGNATURES_MAX`] signatures.
    TooLarge,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidSignature(name) => write!(f, "the signature of `{name}` is wrong"),
            Self::Malformed => f.write_str("the text is not a signed note"),
            Self::NoKnownSignature => f.write_str("the note is not signed by a known key"),
            Self::TooLarge => f.write_str("the note is too large"),
        }
    }
}

impl core::error::Error for NoteError {}

impl Note {
    /// A note without signatures yet. `text` ends in a newline.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] for a text that cannot be signed, [`NoteError::TooLarge`].
    pub fn new(text: impl Into<String>) -> Result<Self, NoteError> {
        let text = text.into();
        check_characters(&text)?;
        if text.ends_with('\n') {
            Ok(Self { text, signatures: Vec::new() })
        } else {
            Err(NoteError::Malformed)
        }
    }

    /// The text with its final newline. To be ignored until [`Note::verify`] said yes.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signature lines in order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature line, such as a witness sent.
    ///
    /// # Errors
    /// [`NoteError::TooLarge`]; the note is unchanged.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.len() >= NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooLarge);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Checks every signature made by one of `keys`, and ignores the others.
    ///
    /// # Errors
    /// [`NoteError::InvalidSignature`] if one of them is wrong, whatever the others are;
    /// [`NoteError::NoKnownSignature`] if there is none.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<VerifiedSignature>, NoteError> {
        let mut verified = Vec::new();
        for signature in &self.signatures {
            let known = |key: &&VerifierKey| {
                *key.name() == signature.name && key.key_id() == signature.key_id
            };
            let Some(key) = keys.iter().find(known) else { continue };
            let time_s = key
                .check(&self.text, &signature.bytes)
                .ok_or_else(|| NoteError::InvalidSignature(signature.name.clone()))?;
            verified.push(VerifiedSignature { key: key.clone(), time_s });
        }
        if verified.is_empty() { Err(NoteError::NoKnownSignature) } else { Ok(verified) }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(message: &str) -> Result<Self, NoteError> {
        check_characters(message)?;
        // The text may have empty lines of its own; the last one ends it.
        let end = message.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, block) = message.split_at(end + 1);
        let lines = block.strip_prefix('\n').and_then(|block| block.strip_suffix('\n'));
        let mut note = Self::new(text)?;
        for line in lines.ok_or(NoteError::Malformed)?.split('\n') {
            note.add(line.parse()?)?;
        }
        Ok(note)
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.key_id.as_slice(), &self.bytes].concat();
        write!(f, "{SIGNATURE_PREFIX}{} {}", self.name, encode_base64(&bytes))
    }
}

impl FromStr for NoteSignature {
    type Err = NoteError;

    /// A signature line without its newline.
    fn from_str(line: &str) -> Result<Self, NoteError> {
        let parse = || {
            let (name, base64) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
            let bytes = decode_base64(base64)?;
            let (key_id, bytes) = bytes.split_first_chunk::<KEY_ID_BYTES>()?;
            let signature =
                Self { name: name.parse().ok()?, key_id: *key_id, bytes: bytes.to_vec() };
            (!bytes.is_empty()).then_some(signature)
        };
        parse().ok_or(NoteError::Malformed)
    }
}

fn check_characters(text: &str) -> Result<(), NoteError> {
    if text.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLarge);
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed);
    }
    Ok(())
}
