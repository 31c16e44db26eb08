//! Receipts: everything that proves one destruction, in one `.tlog-proof` file.
//!
//! The file's `extra` holds, as canonical JSON, what the log only commits to:
//! `{"detail":{…},"entry":{…},"erasure":"<signed erasure note>","salt":"…","subject":{…}}`.
//! This module builds and reads receipts. It does **not** decide whether one holds: that is
//! `lethe-verify`, which checks every signature, hash and equality.
//!
//! A receipt travels in three forms: the file itself, the file in base64 (a response header), and
//! JSON, `{"statement":{…},"opening":{"detail","salt","subject"},"proof":"<file>"}`, whose
//! statement repeats in readable form what the file says.

mod statement;
mod written;

use core::fmt;

use lethe_types::{KeyId, RealmId};

pub use written::WrittenReceipt;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::commitment::{Salt, Subject};
use crate::detail::DestroyedDetail;
use crate::encoding::decode_base64;
use crate::entry::{Entry, EntryError};
use crate::erasure_note::{ErasureNote, ErasureNoteError};
use crate::hash::Hash;
use crate::json::{Json, JsonError, Members, write_object_of};
use crate::proof::{self, MalformedProof, PROOF_HEADER, TlogProof};

/// Largest receipt in any form, in bytes. The largest detail and entry make about 610,000 bytes
/// of JSON; the rest is room for witnesses.
pub const RECEIPT_BYTES_MAX: usize = 1_048_576;

/// The parts of a receipt. Nothing in it has been checked against anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The log entry of the destruction.
    pub entry: Entry,
    /// What the entry is about.
    pub subject: Subject,
    /// The particulars.
    pub detail: DestroyedDetail,
    /// The salt of both commitments.
    pub salt: Salt,
    /// The signed erasure note of the entry's batch, verbatim.
    pub erasure: String,
    /// Index of the entry in the log.
    pub index: u64,
    /// Inclusion proof of the entry in the tree of the checkpoint.
    pub inclusion: Vec<Hash>,
    /// A signed checkpoint that covers the entry, verbatim.
    pub checkpoint: String,
}

/// A receipt as it was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptFile {
    /// The parts.
    pub receipt: Receipt,
    /// What the JSON form says beside the proof.
    pub wrapper: Option<ReceiptWrapper>,
}

/// The readable members of a receipt in JSON form. They must equal what the proof says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptWrapper {
    /// See [`Receipt::statement`].
    pub statement: Json,
    /// See [`Receipt::opening`].
    pub opening: Json,
}

/// Why a receipt cannot be built or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptError {
    /// The checkpoint is none.
    Checkpoint(CheckpointError),
    /// The detail, salt or subject cannot be read.
    Detail(JsonError),
    /// The log entry is none.
    Entry(EntryError),
    /// The erasure note is none.
    ErasureNote(ErasureNoteError),
    /// The proof carries no canonical opening of its entry.
    Extra(JsonError),
    /// It is neither a proof file, nor its base64, nor a JSON object.
    Form,
    /// It is about something else than a key.
    NotAKey,
    /// The proof file is malformed.
    Proof(MalformedProof),
    /// It has more than [`RECEIPT_BYTES_MAX`] bytes.
    TooLarge,
    /// The JSON around the proof is not that of a receipt.
    Wrapper(JsonError),
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checkpoint(_) => "the receipt has no readable checkpoint",
            Self::Detail(_) => "the receipt does not open the commitments of its entry",
            Self::Entry(_) => "the receipt has no readable log entry",
            Self::ErasureNote(_) => "the receipt has no readable erasure note",
            Self::Extra(_) => "the proof of the receipt carries no opening in canonical form",
            Self::Form => "a receipt is a `.tlog-proof` file, its base64, or a JSON object",
            Self::NotAKey => "the receipt is not about a key",
            Self::Proof(_) => "the proof of the receipt is malformed",
            Self::TooLarge => {
                return write!(f, "a receipt has at most {RECEIPT_BYTES_MAX} bytes");
            }
            Self::Wrapper(_) => "the JSON is not that of a receipt",
        })
    }
}

impl core::error::Error for ReceiptError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Checkpoint(source) => Some(source),
            Self::Detail(source) | Self::Extra(source) | Self::Wrapper(source) => Some(source),
            Self::Entry(source) => Some(source),
            Self::ErasureNote(source) => Some(source),
            Self::Proof(source) => Some(source),
            Self::Form | Self::NotAKey | Self::TooLarge => None,
        }
    }
}

impl Receipt {
    /// The `.tlog-proof` file.
    ///
    /// # Errors
    /// [`ReceiptError`] if a part is outside its bounds, or the whole too large.
    pub fn to_proof(&self) -> Result<String, ReceiptError> {
        Ok(self.write()?.into_proof())
    }

    /// The proof file, and what the other forms are made of: for who needs more than one form.
    ///
    /// # Errors
    /// As [`Receipt::to_proof`].
    pub fn write(&self) -> Result<WrittenReceipt<'_>, ReceiptError> {
        WrittenReceipt::new(self)
    }

    /// The file in base64: the value of a response header.
    ///
    /// # Errors
    /// As [`Receipt::to_proof`].
    pub fn to_header(&self) -> Result<String, ReceiptError> {
        self.write()?.header()
    }

    /// The JSON form.
    ///
    /// # Errors
    /// As [`Receipt::to_proof`], or if the checkpoint or erasure note cannot be read.
    pub fn to_json(&self) -> Result<String, ReceiptError> {
        self.write()?.json()
    }

    /// What the receipt states, as a canonical JSON object: the members of the log entry with
    /// its commitments replaced by what they stand for, what the erasure note adds, and the
    /// place in the log.
    ///
    /// # Errors
    /// [`ReceiptError`] if the checkpoint or erasure note cannot be read.
    pub fn statement(&self) -> Result<String, ReceiptError> {
        statement::write(self)
    }

    /// What opens the commitments of the entry: `{"detail":{…},"salt":"…","subject":{…}}`.
    ///
    /// # Errors
    /// [`ReceiptError::Detail`].
    pub fn opening(&self) -> Result<String, ReceiptError> {
        self.opening_of(&self.detail.to_json().map_err(ReceiptError::Detail)?)
    }

    /// The key and its realm.
    ///
    /// # Errors
    /// [`ReceiptError::NotAKey`].
    pub fn key(&self) -> Result<(KeyId, RealmId), ReceiptError> {
        match self.subject {
            Subject::Key { key, realm } => Ok((key, realm)),
            Subject::Principal { .. } | Subject::Realm { .. } | Subject::Vault { .. } => {
                Err(ReceiptError::NotAKey)
            }
        }
    }

    /// Reads a receipt in any of its three forms. The base64 form may end in one newline; the
    /// JSON form may be laid out in any way; nothing else may differ from what was built.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn read(bytes: &[u8]) -> Result<ReceiptFile, ReceiptError> {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLarge);
        }
        let text = core::str::from_utf8(bytes).map_err(|_| ReceiptError::Form)?;
        if text.starts_with(PROOF_HEADER) {
            Ok(ReceiptFile { receipt: Self::parse_proof(text)?, wrapper: None })
        } else if text.trim_start().starts_with('{') {
            parse_json(text)
        } else {
            let base64 = text.strip_suffix('\n').unwrap_or(text);
            let proof = decode_base64(base64).ok_or(ReceiptError::Form)?;
            let proof = String::from_utf8(proof).map_err(|_| ReceiptError::Form)?;
            Ok(ReceiptFile { receipt: Self::parse_proof(&proof)?, wrapper: None })
        }
    }

    /// Reads a `.tlog-proof` file. Strict: only what [`Receipt::to_proof`] writes.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn parse_proof(text: &str) -> Result<Self, ReceiptError> {
        if text.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLarge);
        }
        let file: TlogProof = text.parse().map_err(ReceiptError::Proof)?;
        let extra = String::from_utf8(file.extra);
        let extra = extra.map_err(|_| ReceiptError::Extra(JsonError::Syntax))?;
        let value = Json::parse(&extra).map_err(ReceiptError::Extra)?;
        let mut members = Members::of(value, "extra").map_err(ReceiptError::Extra)?;
        let entry = members.value("entry").map_err(ReceiptError::Extra)?;
        let opening = Opening::read(&mut members).map_err(ReceiptError::Detail)?;
        let erasure = members.text("erasure").map_err(ReceiptError::Extra)?;
        members.finish().map_err(ReceiptError::Extra)?;
        let receipt = Self {
            entry: Entry::from_json(entry).map_err(ReceiptError::Entry)?,
            subject: opening.subject,
            detail: opening.detail,
            salt: opening.salt,
            erasure,
            index: file.index,
            inclusion: file.inclusion,
            checkpoint: file.checkpoint,
        };
        // The one spelling rule for everything inside: what we would write is what is there.
        let detail = receipt.detail.to_json().map_err(ReceiptError::Detail)?;
        if receipt.extra_of(&detail)? != extra {
            return Err(ReceiptError::Extra(JsonError::NotCanonical));
        }
        Ok(receipt)
    }

    /// The proof file; `detail` is the canonical JSON of the detail here and below.
    fn proof_of(&self, detail: &str) -> Result<String, ReceiptError> {
        let extra = self.extra_of(detail)?;
        Ok(proof::write(extra.as_bytes(), self.index, &self.inclusion, &self.checkpoint))
    }

    fn extra_of(&self, detail: &str) -> Result<String, ReceiptError> {
        let entry = self.entry.to_json().map_err(ReceiptError::Entry)?;
        let bytes = detail.len() + entry.len() + self.erasure.len() + EXTRA_BYTES_MORE;
        let extra = write_object_of(bytes, |object| {
            object.canonical("detail", detail);
            object.canonical("entry", &entry);
            object.text("erasure", &self.erasure);
            object.base64("salt", &self.salt.0);
            object.canonical("subject", &self.subject.to_json());
        });
        extra.map_err(ReceiptError::Extra)
    }

    fn opening_of(&self, detail: &str) -> Result<String, ReceiptError> {
        let opening = write_object_of(detail.len() + EXTRA_BYTES_MORE, |object| {
            object.canonical("detail", detail);
            object.base64("salt", &self.salt.0);
            object.canonical("subject", &self.subject.to_json());
        });
        opening.map_err(ReceiptError::Detail)
    }

    fn checkpoint_unverified(&self) -> Result<Checkpoint, ReceiptError> {
        Checkpoint::parse_unverified(&self.checkpoint).map_err(ReceiptError::Checkpoint)
    }

    fn erasure_unverified(&self) -> Result<ErasureNote, ReceiptError> {
        ErasureNote::parse_unverified(&self.erasure).map_err(ReceiptError::ErasureNote)
    }
}

/// What opens the commitments.
struct Opening {
    detail: DestroyedDetail,
    salt: Salt,
    subject: Subject,
}

impl Opening {
    fn read(members: &mut Members) -> Result<Self, JsonError> {
        Ok(Self {
            detail: DestroyedDetail::from_json(members.value("detail")?)?,
            salt: Salt(members.bytes("salt")?),
            subject: Subject::from_json(members.value("subject")?)?,
        })
    }
}

fn parse_json(text: &str) -> Result<ReceiptFile, ReceiptError> {
    let take = || {
        let mut members = Members::of(Json::parse(text)?, "receipt")?;
        let proof = members.text("proof")?;
        let wrapper = ReceiptWrapper {
            statement: members.value("statement")?,
            opening: members.value("opening")?,
        };
        members.finish()?;
        Ok((proof, wrapper))
    };
    let (proof, wrapper) = take().map_err(ReceiptError::Wrapper)?;
    Ok(ReceiptFile { receipt: Receipt::parse_proof(&proof)?, wrapper: Some(wrapper) })
}

fn bounded(text: String) -> Result<String, ReceiptError> {
    if text.len() > RECEIPT_BYTES_MAX { Err(ReceiptError::TooLarge) } else { Ok(text) }
}

/// Names, salt and subject of an opening, and the escapes of an erasure note with one signature.
const EXTRA_BYTES_MORE: usize = 288;
