//! The backup note: the log's signed word on what a backup holds and how long it can be restored.
//!
//! It ends every segment of a backup. The rows are noise without a root of the erasure tree, but
//! most of them are not sealed; the digest under this signature is what keeps them from being
//! altered. Text, nine lines:
//!
//! ```text
//! lethe-backup/v1
//! <tree id, 32 hexadecimal digits>
//! <backup id> <id of the backup that it continues, or ->
//! <epoch>
//! <revision of the store> <revision that it continues, 0 for a full backup>
//! <log size> <log root, base64>
//! <when it was taken> <when it can no longer be restored, or - for the next destruction>
//! <rows> <bytes before this note>
//! <SHA-256 of these bytes, base64>
//! ```

use core::fmt;
use core::str::FromStr;

use lethe_types::{BackupId, TreeId, UnixMillis};

use crate::checkpoint::{LogSigner, LogSignerError};
use crate::encoding::parse_decimal;
use crate::hash::Hash;
use crate::json::{INTEGER_MAX, TIME_MAX};
use crate::note::{Note, NoteError, SignatureKind, VerifierKey};

/// First line of a backup note; no log can have this name.
const BACKUP_NOTE_HEADER: &str = "lethe-backup/v1";
/// Largest signed backup note, in bytes.
pub const BACKUP_NOTE_BYTES_MAX: usize = 4_096;

/// What a backup note says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupNote {
    /// The erasure tree whose nodes the backup holds.
    pub tree_id: TreeId,
    /// The backup; the slot keeps a root under this name.
    pub backup: BackupId,
    /// The backup that has to be restored before this one, if it holds only what changed.
    pub base: Option<BackupId>,
    /// The epoch whose root opens it.
    pub epoch: u64,
    /// The revision of the store that it shows.
    pub revision: u64,
    /// The revision of `base`; 0 without one.
    pub base_revision: u64,
    /// Entries of the log that it holds.
    pub log_size: u64,
    /// The log's root at that size.
    pub log_root: Hash,
    /// When it was taken.
    pub created: UnixMillis,
    /// When its root goes from the slot; `None` if the next destruction ends it.
    pub restorable_until: Option<UnixMillis>,
    /// Rows in it.
    pub rows: u64,
    /// Bytes before the note.
    pub bytes: u64,
    /// SHA-256 over these bytes.
    pub digest: Hash,
}

/// Why a backup note was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupNoteError {
    /// It is not the text described above.
    Malformed,
    /// The signed note around it is refused.
    Note(NoteError),
    /// It does not have exactly one signature, by the log's key.
    NotSignedByLog,
    /// The signer refused.
    Signer(LogSignerError),
}

impl fmt::Display for BackupNoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the text is not a backup note",
            Self::Note(_) => "the signed backup note is refused",
            Self::NotSignedByLog => "the backup note is not signed by the key of the log alone",
            Self::Signer(_) => "cannot sign the backup note",
        })
    }
}

impl core::error::Error for BackupNoteError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Note(source) => Some(source),
            Self::Signer(source) => Some(source),
            Self::Malformed | Self::NotSignedByLog => None,
        }
    }
}

impl From<NoteError> for BackupNoteError {
    fn from(source: NoteError) -> Self {
        Self::Note(source)
    }
}

impl BackupNote {
    /// The signed note.
    ///
    /// # Errors
    /// [`BackupNoteError::Malformed`] if a number or time has no text, or the base has no revision
    /// or none before this one.
    pub fn sign(&self, signer: &LogSigner) -> Result<String, BackupNoteError> {
        if !self.is_valid() {
            return Err(BackupNoteError::Malformed);
        }
        signer.statement(self.to_string()).map_err(BackupNoteError::Signer)
    }

    /// What `message` says, without any look at its signatures.
    ///
    /// # Errors
    /// [`BackupNoteError::Malformed`] or [`BackupNoteError::Note`].
    pub fn parse_unverified(message: &str) -> Result<Self, BackupNoteError> {
        Ok(parse_signed(message)?.1)
    }

    /// What `message` says, if it has exactly one signature and that is right and of `log_key`.
    ///
    /// # Errors
    /// [`BackupNoteError`].
    pub fn open(message: &str, log_key: &VerifierKey) -> Result<Self, BackupNoteError> {
        let (note, backup) = parse_signed(message)?;
        note.verify(core::slice::from_ref(log_key))?;
        if note.signatures().len() != 1 || log_key.kind() != SignatureKind::Ed25519 {
            return Err(BackupNoteError::NotSignedByLog);
        }
        Ok(backup)
    }

    fn is_valid(&self) -> bool {
        let numbers =
            [self.epoch, self.revision, self.base_revision, self.log_size, self.rows, self.bytes];
        let times = [Some(self.created), self.restorable_until];
        let continues = self.base_revision > 0 && self.base_revision <= self.revision;
        let base_fits = if self.base.is_some() { continues } else { self.base_revision == 0 };
        base_fits
            && self.base != Some(self.backup)
            && self.epoch > 0
            && numbers.into_iter().all(|number| number <= INTEGER_MAX)
            && times.into_iter().flatten().all(|time| time <= TIME_MAX)
    }
}

fn parse_signed(message: &str) -> Result<(Note, BackupNote), BackupNoteError> {
    if message.len() > BACKUP_NOTE_BYTES_MAX {
        return Err(BackupNoteError::Malformed);
    }
    let note: Note = message.parse()?;
    let backup = note.text().parse()?;
    Ok((note, backup))
}

impl fmt::Display for BackupNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{BACKUP_NOTE_HEADER}")?;
        writeln!(f, "{}", self.tree_id)?;
        match self.base {
            Some(base) => writeln!(f, "{} {base}", self.backup)?,
            None => writeln!(f, "{} -", self.backup)?,
        }
        writeln!(f, "{}", self.epoch)?;
        writeln!(f, "{} {}", self.revision, self.base_revision)?;
        writeln!(f, "{} {}", self.log_size, self.log_root)?;
        match self.restorable_until {
            Some(until) => writeln!(f, "{} {until}", self.created)?,
            None => writeln!(f, "{} -", self.created)?,
        }
        writeln!(f, "{} {}", self.rows, self.bytes)?;
        writeln!(f, "{}", self.digest)
    }
}

impl FromStr for BackupNote {
    type Err = BackupNoteError;

    /// The text of the note. Strict: only what `Display` prints of a valid one.
    fn from_str(text: &str) -> Result<Self, BackupNoteError> {
        parse_text(text).filter(Self::is_valid).ok_or(BackupNoteError::Malformed)
    }
}

fn parse_text(text: &str) -> Option<BackupNote> {
    let lines: Vec<&str> = text.strip_suffix('\n')?.split('\n').collect();
    let [header, tree_id, ids, epoch, revisions, log, times, sizes, digest] = lines.as_slice()
    else {
        return None;
    };
    if *header != BACKUP_NOTE_HEADER {
        return None;
    }
    let (backup, base) = ids.split_once(' ')?;
    let (revision, base_revision) = revisions.split_once(' ')?;
    let (log_size, log_root) = log.split_once(' ')?;
    let (created, until) = times.split_once(' ')?;
    let (rows, bytes) = sizes.split_once(' ')?;
    Some(BackupNote {
        tree_id: tree_id.parse().ok()?,
        backup: backup.parse().ok()?,
        base: if base == "-" { None } else { Some(base.parse().ok()?) },
        epoch: parse_decimal(epoch)?,
        revision: parse_decimal(revision)?,
        base_revision: parse_decimal(base_revision)?,
        log_size: parse_decimal(log_size)?,
        log_root: log_root.parse().ok()?,
        created: created.parse().ok()?,
        restorable_until: if until == "-" { None } else { Some(until.parse().ok()?) },
        rows: parse_decimal(rows)?,
        bytes: parse_decimal(bytes)?,
        digest: digest.parse().ok()?,
    })
}
