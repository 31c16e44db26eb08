//! The erasure note: the log's signed word that the old root of a batch is gone.
//!
//! The entry of a destruction commits before the root is erased, in the same transaction as the
//! change itself, so it cannot say when the erasure happened. This note says it, and is signed
//! only after the slot has read back clean. A receipt holds both. Text, six lines:
//!
//! ```text
//! lethe-erasure/v1
//! <tree id, 32 hexadecimal digits>
//! <epoch erased> <epoch that follows>
//! <when the old root was gone, RFC 3339 in UTC with milliseconds>
//! <slot kind> <slot class> <slot generation>
//! <last moment at which a retained backup root could still open it, or ->
//! ```

use core::fmt;
use core::str::FromStr;

use lethe_types::{TreeId, UnixMillis};

use crate::checkpoint::{LogSigner, LogSignerError};
use crate::encoding::parse_decimal;
use crate::entry::SlotFact;
use crate::json::{INTEGER_MAX, TIME_MAX};
use crate::note::{Note, NoteError, SignatureKind, VerifierKey};

/// First line of an erasure note; no log can have this name.
pub const ERASURE_NOTE_HEADER: &str = "lethe-erasure/v1";
/// Largest signed erasure note, in bytes.
pub const ERASURE_NOTE_BYTES_MAX: usize = 4_096;

/// What an erasure note says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureNote {
    /// The erasure tree of the installation.
    pub tree_id: TreeId,
    /// Epoch whose root was erased.
    pub epoch_from: u64,
    /// Epoch that followed; larger.
    pub epoch_to: u64,
    /// When the root was found gone. Never before the time of an entry of the batch: after a
    /// step of the clock the writer takes the later of the two.
    pub irrecoverable_since: UnixMillis,
    /// Where it was erased.
    pub slot: SlotFact,
    /// The last moment at which some retained backup root could still open the old epoch.
    pub recoverable_from_backups_until: Option<UnixMillis>,
}

/// Why an erasure note was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErasureNoteError {
    /// It is not the text described above.
    Malformed,
    /// The signed note around it is refused.
    Note(NoteError),
    /// It does not have exactly one signature, by the log's key.
    NotSignedByLog,
    /// The signer refused.
    Signer(LogSignerError),
}

impl fmt::Display for ErasureNoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the text is not an erasure note",
            Self::Note(_) => "the signed erasure note is refused",
            Self::NotSignedByLog => "the erasure note is not signed by the key of the log alone",
            Self::Signer(_) => "cannot sign the erasure note",
        })
    }
}

impl core::error::Error for ErasureNoteError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Note(source) => Some(source),
            Self::Signer(source) => Some(source),
            Self::Malformed | Self::NotSignedByLog => None,
        }
    }
}

impl From<NoteError> for ErasureNoteError {
    fn from(source: NoteError) -> Self {
        Self::Note(source)
    }
}

impl ErasureNote {
    /// The signed note. To be made only after the erasure is durable: a crash before it leaves a
    /// batch whose note is made at the next start, with a later time.
    ///
    /// # Errors
    /// [`ErasureNoteError::Malformed`] if a number or time has no text, or the epochs do not grow.
    pub fn sign(&self, signer: &LogSigner) -> Result<String, ErasureNoteError> {
        if !self.is_valid() {
            return Err(ErasureNoteError::Malformed);
        }
        signer.statement(self.to_string()).map_err(ErasureNoteError::Signer)
    }

    /// What `message` says, without any look at its signatures.
    ///
    /// # Errors
    /// [`ErasureNoteError::Malformed`] or [`ErasureNoteError::Note`].
    pub fn parse_unverified(message: &str) -> Result<Self, ErasureNoteError> {
        Ok(parse_signed(message)?.1)
    }

    /// What `message` says, if it has exactly one signature and that is right and of `log_key`.
    ///
    /// # Errors
    /// [`ErasureNoteError`].
    pub fn open(message: &str, log_key: &VerifierKey) -> Result<Self, ErasureNoteError> {
        let (note, erasure) = parse_signed(message)?;
        note.verify(core::slice::from_ref(log_key))?;
        if note.signatures().len() != 1 || log_key.kind() != SignatureKind::Ed25519 {
            return Err(ErasureNoteError::NotSignedByLog);
        }
        Ok(erasure)
    }

    fn is_valid(&self) -> bool {
        let times = [Some(self.irrecoverable_since), self.recoverable_from_backups_until];
        self.epoch_from < self.epoch_to
            && self.epoch_to <= INTEGER_MAX
            && self.slot.generation <= INTEGER_MAX
            && times.into_iter().flatten().all(|time| time <= TIME_MAX)
    }
}

fn parse_signed(message: &str) -> Result<(Note, ErasureNote), ErasureNoteError> {
    if message.len() > ERASURE_NOTE_BYTES_MAX {
        return Err(ErasureNoteError::Malformed);
    }
    let note: Note = message.parse()?;
    let erasure = note.text().parse()?;
    Ok((note, erasure))
}

impl fmt::Display for ErasureNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{ERASURE_NOTE_HEADER}")?;
        writeln!(f, "{}", self.tree_id)?;
        writeln!(f, "{} {}", self.epoch_from, self.epoch_to)?;
        writeln!(f, "{}", self.irrecoverable_since)?;
        writeln!(f, "{} {} {}", self.slot.kind, self.slot.class, self.slot.generation)?;
        match self.recoverable_from_backups_until {
            Some(time) => writeln!(f, "{time}"),
            None => writeln!(f, "-"),
        }
    }
}

impl FromStr for ErasureNote {
    type Err = ErasureNoteError;

    /// The text of the note. Strict: only what `Display` prints of a valid one.
    fn from_str(text: &str) -> Result<Self, ErasureNoteError> {
        parse_text(text).filter(Self::is_valid).ok_or(ErasureNoteError::Malformed)
    }
}

fn parse_text(text: &str) -> Option<ErasureNote> {
    let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
    let [header, tree_id, epochs, since, slot, backups] = lines.as_slice() else { return None };
    if *header != ERASURE_NOTE_HEADER {
        return None;
    }
    let (epoch_from, epoch_to) = epochs.split_once(' ')?;
    let (kind, slot) = slot.split_once(' ')?;
    let (class, generation) = slot.split_once(' ')?;
    Some(ErasureNote {
        tree_id: tree_id.parse().ok()?,
        epoch_from: parse_decimal(epoch_from)?,
        epoch_to: parse_decimal(epoch_to)?,
        irrecoverable_since: since.parse().ok()?,
        slot: SlotFact {
            kind: kind.parse().ok()?,
            class: class.parse().ok()?,
            generation: parse_decimal(generation)?,
        },
        recoverable_from_backups_until: match *backups {
            "-" => None,
            time => Some(time.parse().ok()?),
        },
    })
}
