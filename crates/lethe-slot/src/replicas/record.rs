//! Who belongs to a set of replicas, in a small file beside each of them: `root.slot.replicas`.
//!
//! ```text
//! lethe slot replicas 1
//! revision 7
//! self 0123456789abcdef
//! member 0123456789abcdef /disk-a/root.slot
//! member 89abcdef01234567 /disk-b/root.slot
//! lost fedcba9876543210 41 /disk-c/root.slot
//! sha256 …
//! ```
//! No secret is in it. It is there so that a replica that went away is not forgotten: what it held
//! was never erased, and should it come back it is told from one that is up to date.

use core::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use lethe_crypto::hash::sha256;
use lethe_types::{Entropy, EntropyError};

use crate::files::{self, Access, open_existing, sync_parent};

/// Most replicas of one slot.
pub const REPLICAS_MAX: usize = 8;

/// Most replicas that were lost and are remembered.
pub const LOST_REPLICAS_MAX: usize = 64;

/// A replica's name for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReplicaId([u8; 8]);

impl ReplicaId {
    pub(crate) fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut id = [0; 8];
        entropy.fill(&mut id)?;
        Ok(Self(id))
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = u64::from_str_radix(text, 16).ok()?.to_be_bytes();
        (Self(bytes).to_string() == text).then_some(Self(bytes))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// A replica of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: ReplicaId,
    pub(crate) path: PathBuf,
}

/// A replica that went away before its images were erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostReplica {
    pub(crate) id: ReplicaId,
    /// The newest generation that it can hold.
    pub up_to_generation: u64,
    /// Where it was.
    pub path: PathBuf,
}

/// What all replicas of a set say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Grows with every change: the greatest one counts.
    pub(crate) revision: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) lost: Vec<LostReplica>,
}

/// The record of the slot file at `slot`, and the name of that replica; `None` if there is none, or
/// if it is damaged: it says nothing then, and the one beside another replica counts.
pub(crate) fn read(slot: &Path) -> io::Result<Option<(ReplicaId, Record)>> {
    let file = match open_existing(&place_of(slot), Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(RECORD_BYTES_MAX).read_to_end(&mut text)?;
    Ok(String::from_utf8(text).ok().and_then(|text| parse(&text)))
}

/// Writes the record beside the slot file at `slot`, whole or not at all, durably.
pub(crate) fn write(slot: &Path, own: ReplicaId, record: &Record) -> io::Result<()> {
    let place = place_of(slot);
    let mut name = place.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = place.with_file_name(name);
    match fs::remove_file(&temporary) {
        Ok(()) => {} // left behind by a crash
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let text = print(own, record);
    files::make(&temporary, |error| error, |mut file| file.write_all(text.as_bytes()))?;
    fs::rename(&temporary, &place)?;
    sync_parent(&place)
}

/// The record's file beside the slot file at `slot`.
pub(crate) fn place_of(slot: &Path) -> PathBuf {
    let mut name = slot.file_name().unwrap_or_default().to_owned();
    name.push(".replicas");
    slot.with_file_name(name)
}

pub(crate) fn print(own: ReplicaId, record: &Record) -> String {
    let mut text = format!("{MAGIC}\nrevision {}\nself {own}\n", record.revision);
    for Member { id, path } in &record.members {
        text.push_str(&format!("member {id} {}\n", path.display()));
    }
    for LostReplica { id, up_to_generation, path } in &record.lost {
        text.push_str(&format!("lost {id} {up_to_generation} {}\n", path.display()));
    }
    let digits: String =
        sha256(&[text.as_bytes()]).iter().map(|byte| format!("{byte:02x}")).collect();
    text.push_str(&format!("sha256 {digits}\n"));
    text
}

/// Strict: only what `print` writes.
pub(crate) fn parse(text: &str) -> Option<(ReplicaId, Record)> {
    let mut lines = text.lines();
    if lines.next()? != MAGIC {
        return None;
    }
    let revision = lines.next()?.strip_prefix("revision ")?.parse().ok()?;
    let own = ReplicaId::parse(lines.next()?.strip_prefix("self ")?)?;
    let mut record = Record { revision, ..Record::default() };
    for line in lines {
        if let Some(rest) = line.strip_prefix("member ") {
            let (id, path) = rest.split_once(' ')?;
            record.members.push(Member { id: ReplicaId::parse(id)?, path: path.into() });
        } else if let Some(rest) = line.strip_prefix("lost ") {
            let (id, rest) = rest.split_once(' ')?;
            let (generation, path) = rest.split_once(' ')?;
            record.lost.push(LostReplica {
                id: ReplicaId::parse(id)?,
                up_to_generation: generation.parse().ok()?,
                path: path.into(),
            });
        }
    }
    (print(own, &record) == text).then_some((own, record))
}

const MAGIC: &str = "lethe slot replicas 1";

/// Longest record: every line with the longest path that Linux takes.
const RECORD_BYTES_MAX: u64 = 72 * 4_200;
