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
//! If there is more to say, the first line is `lethe-erasure/v2`, and two lines follow:
//!
//! ```text
//! <replicas of the slot that were lost and not erased> <newest generation they can hold>, or -
//! <recovery shares needed> <recovery shares> <when they were made, or ->, or -
//! ```
//! Shares whose record cannot be read are `0 0 -`. A note that has neither is of version 1: there
//! is one text for each content.

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
/// First line of an erasure note that tells of lost replicas or recovery shares.
const ERASURE_NOTE_HEADER_2: &str = "lethe-erasure/v2";
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
    /// Replicas of the slot that were lost before and could not be erased.
    pub lost_replicas: Option<LostReplicas>,
    /// Shares of the key of the slot's seal, if there are any.
    pub recovery_shares: Option<RecoveryShares>,
}

/// Replicas of a slot that went away with an image that was not erased. Whoever finds one needs the
/// secret of the seal, and a copy of the data of that time, to open what was destroyed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostReplicas {
    /// How many, at least one.
    pub count: u32,
    /// The newest generation of the slot that one of them can hold.
    pub up_to_generation: u64,
}

/// Shares of the key that seals the slot. They hold no root: with enough of them a copy of the slot
/// opens as with its seal, and a copy from after the erasure holds no erased root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryShares {
    /// How many are enough; 0 if it is not known.
    pub needed: u8,
    /// How many there are; 0 if it is not known.
    pub number: u8,
    /// When they were made.
    pub made: Option<UnixMillis>,
}

impl RecoveryShares {
    fn is_valid(&self) -> bool {
        let is_unknown = (self.needed, self.number, self.made) == (0, 0, None);
        is_unknown || (2..=self.number).contains(&self.needed)
    }
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
        let made = self.recovery_shares.and_then(|shares| shares.made);
        let times = [Some(self.irrecoverable_since), self.recoverable_from_backups_until, made];
        let lost_fit = |lost: LostReplicas| lost.count > 0 && lost.up_to_generation <= INTEGER_MAX;
        self.epoch_from < self.epoch_to
            && self.epoch_to <= INTEGER_MAX
            && self.slot.generation <= INTEGER_MAX
            && self.lost_replicas.is_none_or(lost_fit)
            && self.recovery_shares.is_none_or(|shares| shares.is_valid())
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
        let says_more = self.lost_replicas.is_some() || self.recovery_shares.is_some();
        let header = if says_more { ERASURE_NOTE_HEADER_2 } else { ERASURE_NOTE_HEADER };
        writeln!(f, "{header}")?;
        writeln!(f, "{}", self.tree_id)?;
        writeln!(f, "{} {}", self.epoch_from, self.epoch_to)?;
        writeln!(f, "{}", self.irrecoverable_since)?;
        writeln!(f, "{} {} {}", self.slot.kind, self.slot.class, self.slot.generation)?;
        match self.recoverable_from_backups_until {
            Some(time) => writeln!(f, "{time}")?,
            None => writeln!(f, "-")?,
        }
        if !says_more {
            return Ok(());
        }
        match self.lost_replicas {
            Some(LostReplicas { count, up_to_generation }) => {
                writeln!(f, "{count} {up_to_generation}")?;
            }
            None => writeln!(f, "-")?,
        }
        match self.recovery_shares {
            Some(RecoveryShares { needed, number, made: Some(made) }) => {
                writeln!(f, "{needed} {number} {made}")
            }
            Some(RecoveryShares { needed, number, made: None }) => {
                writeln!(f, "{needed} {number} -")
            }
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
    let (lines, more) = lines.split_at_checked(6)?;
    let [header, tree_id, epochs, since, slot, backups] = lines else { return None };
    let (lost_replicas, recovery_shares) = match (*header, more) {
        (ERASURE_NOTE_HEADER, []) => (None, None),
        (ERASURE_NOTE_HEADER_2, ["-", "-"]) => return None,
        (ERASURE_NOTE_HEADER_2, [lost, shares]) => {
            (optional(lost, parse_lost)?, optional(shares, parse_shares)?)
        }
        _ => return None,
    };
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
        lost_replicas,
        recovery_shares,
    })
}

/// `-`, or what `parse` makes of it.
fn optional<T>(text: &str, parse: fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "-" { Some(None) } else { parse(text).map(Some) }
}

fn parse_lost(text: &str) -> Option<LostReplicas> {
    let (count, generation) = text.split_once(' ')?;
    let count = u32::try_from(parse_decimal(count)?).ok()?;
    Some(LostReplicas { count, up_to_generation: parse_decimal(generation)? })
}

fn parse_shares(text: &str) -> Option<RecoveryShares> {
    let (needed, rest) = text.split_once(' ')?;
    let (number, made) = rest.split_once(' ')?;
    let small = |text: &str| u8::try_from(parse_decimal(text)?).ok();
    let made = optional(made, |time| time.parse().ok())?;
    Some(RecoveryShares { needed: small(needed)?, number: small(number)?, made })
}
