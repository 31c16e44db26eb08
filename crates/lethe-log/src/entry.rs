//! Log entries: one canonical JSON object per management event.
//!
//! An entry says what kind of change happened when, and, for an erasure, under which epochs and
//! slots. Whom and what it concerned is there only as salted commitments. Which members an entry
//! has is decided by its type alone ([`EntryType::members`]), so that an entry without, say, its
//! epochs cannot be written, read or proven.
//!
//! Must not know: keys, doors, stores, or what the engine does with an entry.

mod kind;

use core::fmt;

use lethe_types::{TreeId, UnixMillis};

pub use kind::{EntryMembers, EntryType, Presence};

use crate::commitment::Commitment;
use crate::json::{Json, JsonError, Members, ObjectWriter, write_object};
use crate::tile::ENTRY_BYTES_MAX;
use crate::word::Word;

/// Version of the entry format, member `v`.
pub const ENTRY_VERSION: u64 = 1;
/// Longest member `software`, in bytes.
pub const SOFTWARE_BYTES_MAX: usize = 128;
/// Most slots named by one entry: one for each node of a cluster, or part of a composed slot.
pub const ENTRY_SLOTS_MAX: usize = 62;

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub entry_type: EntryType,
    /// When it was decided, by the server's clock.
    pub time: UnixMillis,
    /// The erasure tree of the installation.
    pub tree_id: TreeId,
    /// Revision of the store in whose transaction the entry was written.
    pub revision: u64,
    /// Name and version of the program that wrote it; at most [`SOFTWARE_BYTES_MAX`] bytes.
    pub software: String,
    /// Through which door the request came.
    pub door: Option<Word>,
    /// Whom or what it concerns.
    pub subject: Option<Commitment>,
    /// The particulars.
    pub detail: Option<Commitment>,
    /// What was erased with it, and how.
    pub erasure: Option<ErasureFacts>,
}

/// The batch of erasures that an entry belongs to. Written as the members `epoch_from`,
/// `epoch_to`, `slot`, `quorum`, `invalidation` and `backups_after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureFacts {
    /// Epoch whose root is erased.
    pub epoch_from: u64,
    /// Epoch that follows; larger.
    pub epoch_to: u64,
    /// The slots that hold the roots. 1 to [`ENTRY_SLOTS_MAX`].
    pub slots: Vec<SlotFact>,
    /// How many shares must be erased, and are.
    pub quorum: Quorum,
    /// How many nodes stopped serving the key, and how.
    pub invalidation: Invalidation,
    /// Until when a retained backup root could open the old epoch; `None` if there is none.
    pub backups_after: Option<UnixMillis>,
}

/// A slot that holds a root, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotFact {
    /// What it is, as in `file` or `tpm-nv`.
    pub kind: Word,
    /// What erasing means there: `overwrite` or `hardware`.
    pub class: Word,
    /// Generation of its image.
    pub generation: u64,
}

/// Root shares of a cluster; one node alone has `n` = `t` = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Shares erased.
    pub erased: u32,
    /// Shares that exist.
    pub n: u32,
    /// Shares that make a root.
    pub t: u32,
}

/// How the nodes of a cluster came to refuse the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalidation {
    /// Nodes that acknowledged.
    pub acked: u32,
    /// Nodes that were shut out since they did not.
    pub evicted: u32,
}

/// Why an entry cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// A value breaks a rule of its member.
    Invalid(&'static str),
    /// The JSON is not that of an entry.
    Json(JsonError),
    /// A member that the type demands is missing.
    Missing(&'static str),
    /// It has more than [`ENTRY_BYTES_MAX`] bytes.
    TooLarge,
    /// A member that the type does not have.
    Unexpected(&'static str),
}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(name) => write!(f, "the log entry has an invalid `{name}`"),
            Self::Json(_) => f.write_str("the text is not a log entry"),
            Self::Missing(name) => write!(f, "the log entry has no `{name}`"),
            Self::TooLarge => write!(f, "a log entry has at most {ENTRY_BYTES_MAX} bytes"),
            Self::Unexpected(name) => {
                write!(f, "a log entry of this type has no member `{name}`")
            }
        }
    }
}

impl core::error::Error for EntryError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Json(source) => Some(source),
            Self::Invalid(_) | Self::Missing(_) | Self::TooLarge | Self::Unexpected(_) => None,
        }
    }
}

impl From<JsonError> for EntryError {
    fn from(source: JsonError) -> Self {
        Self::Json(source)
    }
}

impl Entry {
    /// The canonical JSON that is appended to the log.
    ///
    /// # Errors
    /// [`EntryError`] if the entry lacks a member of its type, has one too many, or breaks a bound.
    pub fn to_json(&self) -> Result<String, EntryError> {
        self.check()?;
        let text = write_object(|object| self.write(object))?;
        if text.len() > ENTRY_BYTES_MAX { Err(EntryError::TooLarge) } else { Ok(text) }
    }

    /// The entry of `text`. Strict: only what [`Entry::to_json`] writes.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn parse(text: &str) -> Result<Self, EntryError> {
        if text.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLarge);
        }
        let entry = Self::from_json(Json::parse(text)?)?;
        if entry.to_json()? == text { Ok(entry) } else { Err(JsonError::NotCanonical.into()) }
    }

    pub(crate) fn from_json(value: Json) -> Result<Self, EntryError> {
        let mut members = Members::of(value, "entry")?;
        if members.integer("v")? != ENTRY_VERSION {
            return Err(EntryError::Invalid("v"));
        }
        let entry_type: EntryType = members.parsed("type")?;
        let rules = entry_type.members();
        let entry = Self {
            entry_type,
            time: members.parsed("time")?,
            tree_id: members.parsed("tree_id")?,
            revision: members.integer("rev")?,
            software: members.text("software")?,
            door: rules.door.read(&mut members, "door", |m| m.parsed("door"))?,
            subject: rules.subject.read(&mut members, "subject", |m| commitment(m, "subject"))?,
            detail: rules.detail.read(&mut members, "detail", |m| commitment(m, "detail"))?,
            erasure: rules.erasure.read(&mut members, "epoch_to", ErasureFacts::read)?,
        };
        members.finish()?;
        entry.check()?;
        Ok(entry)
    }

    fn check(&self) -> Result<(), EntryError> {
        let rules = self.entry_type.members();
        rules.door.check(self.door.is_some(), "door")?;
        rules.subject.check(self.subject.is_some(), "subject")?;
        rules.detail.check(self.detail.is_some(), "detail")?;
        rules.erasure.check(self.erasure.is_some(), "epoch_to")?;
        if !(1..=SOFTWARE_BYTES_MAX).contains(&self.software.len()) {
            return Err(EntryError::Invalid("software"));
        }
        self.erasure.as_ref().map_or(Ok(()), ErasureFacts::check)
    }

    fn write(&self, object: &mut ObjectWriter<'_>) {
        let erasure = self.erasure.as_ref();
        if let Some(facts) = erasure {
            object.time_or_null("backups_after", facts.backups_after);
        }
        if let Some(detail) = &self.detail {
            object.plain("detail", detail);
        }
        if let Some(door) = &self.door {
            object.plain("door", door);
        }
        if let Some(facts) = erasure {
            facts.write(object);
        }
        object.integer("rev", self.revision);
        if let Some(facts) = erasure {
            object.objects("slot", &facts.slots, |object, slot| slot.write(object));
        }
        object.text("software", &self.software);
        if let Some(subject) = &self.subject {
            object.plain("subject", subject);
        }
        object.time("time", self.time);
        object.plain("tree_id", self.tree_id);
        object.plain("type", self.entry_type.as_str());
        object.integer("v", ENTRY_VERSION);
    }
}

fn commitment(members: &mut Members, name: &'static str) -> Result<Commitment, JsonError> {
    members.bytes(name).map(Commitment)
}

impl ErasureFacts {
    fn check(&self) -> Result<(), EntryError> {
        if self.epoch_from >= self.epoch_to {
            return Err(EntryError::Invalid("epoch_to"));
        }
        if !(1..=ENTRY_SLOTS_MAX).contains(&self.slots.len()) {
            return Err(EntryError::Invalid("slot"));
        }
        Ok(())
    }

    /// The members between `door` and `rev` in canonical order.
    fn write(&self, object: &mut ObjectWriter<'_>) {
        object.integer("epoch_from", self.epoch_from);
        object.integer("epoch_to", self.epoch_to);
        object.object("invalidation", |object| self.invalidation.write(object));
        object.object("quorum", |object| self.quorum.write(object));
    }

    fn read(members: &mut Members) -> Result<Self, JsonError> {
        let slots = members.array("slot")?;
        if slots.len() > ENTRY_SLOTS_MAX {
            return Err(JsonError::Invalid("slot"));
        }
        Ok(Self {
            epoch_from: members.integer("epoch_from")?,
            epoch_to: members.integer("epoch_to")?,
            slots: slots.into_iter().map(SlotFact::read).collect::<Result<_, _>>()?,
            quorum: Quorum::read(members.object("quorum")?)?,
            invalidation: Invalidation::read(members.object("invalidation")?)?,
            backups_after: members.time_or_null("backups_after")?,
        })
    }
}

impl SlotFact {
    pub(crate) fn write(&self, object: &mut ObjectWriter<'_>) {
        object.plain("class", &self.class);
        object.integer("generation", self.generation);
        object.plain("kind", &self.kind);
    }

    fn read(value: Json) -> Result<Self, JsonError> {
        let mut members = Members::of(value, "slot")?;
        let slot = Self {
            kind: members.parsed("kind")?,
            class: members.parsed("class")?,
            generation: members.integer("generation")?,
        };
        members.finish()?;
        Ok(slot)
    }
}

impl Quorum {
    pub(crate) fn write(&self, object: &mut ObjectWriter<'_>) {
        object.integer("erased", self.erased.into());
        object.integer("n", self.n.into());
        object.integer("t", self.t.into());
    }

    fn read(mut members: Members) -> Result<Self, JsonError> {
        let quorum = Self {
            erased: small(&mut members, "erased")?,
            n: small(&mut members, "n")?,
            t: small(&mut members, "t")?,
        };
        members.finish()?;
        Ok(quorum)
    }
}

impl Invalidation {
    pub(crate) fn write(&self, object: &mut ObjectWriter<'_>) {
        object.integer("acked", self.acked.into());
        object.integer("evicted", self.evicted.into());
    }

    fn read(mut members: Members) -> Result<Self, JsonError> {
        let invalidation =
            Self { acked: small(&mut members, "acked")?, evicted: small(&mut members, "evicted")? };
        members.finish()?;
        Ok(invalidation)
    }
}

fn small(members: &mut Members, name: &'static str) -> Result<u32, JsonError> {
    u32::try_from(members.integer(name)?).map_err(|_| JsonError::Invalid(name))
}
