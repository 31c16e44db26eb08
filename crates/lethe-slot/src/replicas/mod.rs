//! Several slot files on different disks: what one of them loses, another one has.
//!
//! ```text
//! put_new        durable on every replica, or it failed
//! erase_all_but  erased and read back on every replica, or it failed
//! open           takes the newest image; an empty replica gets it at once, one that is behind or
//!                damaged with the first erasure, that is, once recovery has chosen the root
//! ```
//! A replica that cannot be reached is never passed over in silence: its copy of the old root would
//! be alive while a receipt says that it is gone. While running the erasure fails and the engine
//! halts. At a start a replica whose file is gone, or which is no longer configured, is *lost*:
//! that is written down durably beside the others before anything else, and every later
//! [`EraseEvidence`] says which generations the lost one may still hold (decision 017).

mod record;
mod retire;

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use lethe_erasure::seal::{SectorFault, SectorProblem};
use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, EraseMethod, ErasureClass, Loaded, LostImages, Remnants,
    SealShares, SlotError, SlotImage, SlotKind, sector_of,
};
use lethe_types::Entropy;

pub(crate) use record::place_of;
pub use record::{LOST_REPLICAS_MAX, LostReplica, REPLICAS_MAX};

use record::{Member, Record, ReplicaId};

use crate::error::FileSlotError;
use crate::file_slot::FileSlot;
use crate::filesystem::FilesystemPolicy;
use crate::seals::Seals;
use crate::sector::sector_number;
use crate::shares_record::shares_of_slot;

/// One slot in several files, each locked until this is dropped.
pub struct ReplicatedSlot {
    replicas: Vec<FileSlot>,
    lost: Vec<LostReplica>,
    notices: Vec<String>,
}

impl ReplicatedSlot {
    /// Makes an empty slot at every path, 0600, durably, and locks it.
    ///
    /// # Errors
    /// [`ReplicaError`]. Files that were made until then stay: empty, [`ReplicatedSlot::open`] goes
    /// on from them.
    pub fn create(
        paths: &[PathBuf],
        seals: &Seals,
        entropy: &Arc<dyn Entropy>,
        policy: FilesystemPolicy,
    ) -> Result<Self, ReplicaError> {
        check_paths(paths)?;
        let mut replicas = Vec::with_capacity(paths.len());
        for path in paths {
            replicas.push(FileSlot::create(path, seals.clone(), entropy.clone(), policy)?);
        }
        // Last, so that after a crash no record names a file that was never made.
        let set = Set::new(&replicas, None, true, &**entropy)?;
        set.keep(&replicas)?;
        Ok(Self { replicas, lost: Vec::new(), notices: Vec::new() })
    }

    /// Opens the slot and locks its files. Decides nothing about roots: that is recovery's, by
    /// [`ErasableSlot::load`] and [`ErasableSlot::erase_all_but`].
    ///
    /// A path without a file gets an empty one, if another replica can be read.
    ///
    /// # Errors
    /// [`ReplicaError`]; no image was written over, unless it belongs to a replica that was
    /// recorded as lost and has come back.
    pub fn open(
        paths: &[PathBuf],
        seals: &Seals,
        entropy: &Arc<dyn Entropy>,
        policy: FilesystemPolicy,
    ) -> Result<Self, ReplicaError> {
        check_paths(paths)?;
        let mut found = Vec::with_capacity(paths.len());
        let mut missing = Vec::new();
        for path in paths {
            match FileSlot::open(path, seals.clone(), entropy.clone(), policy) {
                Ok(slot) => found.push(slot),
                Err(FileSlotError::Missing(path)) => missing.push(path),
                Err(source) if paths.len() == 1 => return Err(source.into()),
                Err(source) => return Err(ReplicaError::Unusable(source)),
            }
        }
        if found.is_empty() {
            return Err(FileSlotError::Missing(missing.swap_remove(0)).into());
        }
        let newest = newest_record(&found)?;
        let survey = Survey::of(&found)?;
        let has_faults = survey.loaded.iter().any(|loaded| !loaded.faults.is_empty());
        let was_written = has_faults || newest.is_some();
        let Some(generation) = survey.newest().or((!was_written).then_some(0)) else {
            // Nothing that could be trusted can be read: load() says why, and nothing is touched.
            return Ok(Self { replicas: found, lost: Vec::new(), notices: Vec::new() });
        };
        drop(survey);
        let mut notices = Vec::new();
        for path in &missing {
            found.push(FileSlot::create(path, seals.clone(), entropy.clone(), policy)?);
            notices.push(format!("the slot replica `{}` was missing: made anew", path.display()));
        }
        let mut set = Set::new(&found, newest.as_ref(), generation == 0, &**entropy)?;
        set.take_back(&mut found, &mut notices)?;
        set.count_lost(newest.as_ref(), generation, &mut notices)?;
        if newest.as_ref() != Some(&set.record) || set.has_new_files {
            set.record.revision = newest.map_or(0, |record| record.revision) + 1;
            set.keep(&found)?;
        }
        fill(&mut found)?;
        Ok(Self { replicas: found, lost: set.record.lost, notices })
    }

    /// A slot over files that are open, of which none was ever lost.
    #[cfg(test)]
    pub(crate) fn over(replicas: Vec<FileSlot>) -> Self {
        Self { replicas, lost: Vec::new(), notices: Vec::new() }
    }

    /// Replicas that went away with images that were not erased.
    #[must_use]
    pub fn lost(&self) -> &[LostReplica] {
        &self.lost
    }

    /// What an operator must hear: replicas that were lost, made anew or came back.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// How many replicas there are.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.replicas.len()
    }

    /// Does the same with every replica, at the same time, since each of them waits for its disk.
    fn with_each<T: Send>(
        &mut self,
        work: impl Fn(&mut FileSlot) -> Result<T, SlotError> + Sync,
    ) -> Result<Vec<T>, SlotError> {
        let (first, others) = self.replicas.split_first_mut().expect("a slot has a replica");
        let work = &work;
        thread::scope(|scope| {
            let others: Vec<_> =
                others.iter_mut().map(|replica| scope.spawn(move || work(replica))).collect();
            let first = work(first);
            // All are waited for: one that failed must not leave another one half way.
            let others: Vec<_> = others
                .into_iter()
                .map(|other| other.join().expect("a replica's work does not panic"))
                .collect();
            core::iter::once(first).chain(others).collect()
        })
    }
}

impl ErasableSlot for ReplicatedSlot {
    fn kind(&self) -> SlotKind {
        SlotKind::File
    }

    fn class(&self) -> ErasureClass {
        ErasureClass::Overwrite
    }

    /// The images of the replicas that have the newest one. Older ones elsewhere are no choice: a
    /// replica that was rolled back must not bring an old root back. They are faults, so that
    /// recovery has them erased.
    fn load(&self) -> Result<Loaded, SlotError> {
        let survey = Survey::of(&self.replicas).map_err(backend)?;
        let candidates = survey.candidates().map_err(backend)?;
        let mut faults: Vec<SectorFault> =
            survey.loaded.iter().flat_map(|loaded| loaded.faults.iter().copied()).collect();
        if let Some(newest) = survey.newest() {
            let behind = survey.loaded.iter().filter(|loaded| is_behind(loaded, &candidates));
            let sector = sector_number(sector_of(newest));
            faults.extend(behind.map(|_| SectorFault { sector, problem: SectorProblem::Behind }));
        }
        Ok(Loaded { images: candidates, faults })
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        self.with_each(|replica| replica.put_new(image)).map(|_| ())
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let holder = self.replicas.iter().find(|replica| replica.holds(generation));
        let holder = holder.ok_or(SlotError::NoSuchImage { generation })?;
        if self.replicas.iter().any(|replica| !replica.holds(generation)) {
            let images = holder.load()?.images;
            let image = images.iter().find(|image| image.generation == generation);
            let image = image.ok_or(SlotError::NoSuchImage { generation })?.duplicate();
            // First every replica gets the image that stays: from here on any one of them will do.
            self.with_each(|replica| {
                if replica.holds(generation) { Ok(()) } else { replica.take_over(&image) }
            })?;
        }
        let evidence = self.with_each(|replica| replica.erase_all_but(generation))?;
        let places: Vec<&str> = evidence.iter().map(|one| one.device_id.as_str()).collect();
        let mut device_id = places.join(", ");
        for LostReplica { up_to_generation, path, .. } in &self.lost {
            device_id.push_str(&format!(
                "; lost and not erased: `{}`, generations up to {up_to_generation}",
                path.display()
            ));
        }
        Ok(EraseEvidence {
            kind: self.kind(),
            class: self.class(),
            device_id,
            generation_erased: evidence.iter().filter_map(|one| one.generation_erased).max(),
            method: EraseMethod::Random,
            is_read_back_clean: evidence.iter().all(|one| one.is_read_back_clean),
        })
    }

    fn remnants(&self) -> Remnants {
        Remnants { lost: self.lost_images(), shares: self.seal_shares() }
    }
}

impl ReplicatedSlot {
    /// Lost replicas, if what they hold may open without a device.
    fn lost_images(&self) -> Option<LostImages> {
        let up_to_generation = self.lost.iter().map(|lost| lost.up_to_generation).max()?;
        let replicas = u32::try_from(self.lost.len()).unwrap_or(u32::MAX);
        Some(LostImages { replicas, up_to_generation })
    }

    /// Recovery shares that are recorded beside any replica.
    pub(crate) fn seal_shares(&self) -> Option<SealShares> {
        shares_of_slot(self.replicas.iter().map(FileSlot::path))
    }
}

impl fmt::Debug for ReplicatedSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatedSlot")
            .field("replicas", &self.replicas)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

/// What every replica holds.
struct Survey {
    loaded: Vec<Loaded>,
}

impl Survey {
    fn of(replicas: &[FileSlot]) -> Result<Self, ReplicaError> {
        let mut loaded: Vec<Loaded> = Vec::with_capacity(replicas.len());
        for replica in replicas {
            let next = replica.load().map_err(ReplicaError::Slot)?;
            loaded.push(next);
            let mut trees = loaded.iter().flat_map(|one| &one.images).map(|image| image.tree_id);
            let first = trees.next();
            if trees.any(|tree| Some(tree) != first) {
                return Err(ReplicaError::Foreign(replica.path().to_owned()));
            }
        }
        Ok(Self { loaded })
    }

    fn newest(&self) -> Option<u64> {
        self.loaded.iter().flat_map(|loaded| &loaded.images).map(|image| image.generation).max()
    }

    /// The newest image, and the one before if every holder of the newest still has it: a replica
    /// that has the newest alone shows that erasing the one before had begun.
    fn candidates(&self) -> Result<Vec<SlotImage>, ReplicaError> {
        let Some(newest) = self.newest() else { return Ok(Vec::new()) };
        let has = |loaded: &&Loaded| loaded.images.iter().any(|one| one.generation == newest);
        let holders: Vec<&Loaded> = self.loaded.iter().filter(has).collect();
        let mut candidates: Vec<SlotImage> =
            holders[0].images.iter().map(SlotImage::duplicate).collect();
        for holder in &holders[1..] {
            for image in &holder.images {
                let same = candidates.iter().find(|one| one.generation == image.generation);
                if same.is_some_and(|same| !is_same(same, image)) {
                    return Err(ReplicaError::Conflict { generation: image.generation });
                }
            }
            candidates.retain(|one| has_image(holder, one));
        }
        Ok(candidates)
    }
}

fn has_image(loaded: &Loaded, image: &SlotImage) -> bool {
    loaded.images.iter().any(|one| one.generation == image.generation)
}

/// Gives replicas that hold nothing what the others hold, so that any one may be lost at once. The
/// older image goes first: one that has the newest alone would say that erasing had begun.
fn fill(replicas: &mut [FileSlot]) -> Result<(), ReplicaError> {
    let mut images = Survey::of(replicas)?.candidates()?;
    images.sort_by_key(|image| image.generation);
    for replica in replicas.iter_mut().filter(|replica| replica.is_empty()) {
        images.iter().try_for_each(|image| replica.put_new(image)).map_err(ReplicaError::Slot)?;
    }
    Ok(())
}

/// Whether a replica lacks a candidate, or holds something that is none.
fn is_behind(loaded: &Loaded, candidates: &[SlotImage]) -> bool {
    loaded.images.len() != candidates.len()
        || candidates.iter().any(|image| !has_image(loaded, image))
}

fn is_same(one: &SlotImage, other: &SlotImage) -> bool {
    match (one.encode(), other.encode()) {
        (Ok(one), Ok(other)) => one.ct_eq(&other),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => false,
    }
}

/// The members of a set, as they are going to be recorded.
struct Set {
    record: Record,
    /// The name of each replica, in the order of the paths.
    ids: Vec<ReplicaId>,
    /// Whether a replica has no record beside it yet, or another one.
    has_new_files: bool,
}

impl Set {
    /// Every replica with the name in its own record, or with the one that the newest record gives
    /// to its path, or with a new name. `was_empty`: no replica ever held an image.
    fn new(
        replicas: &[FileSlot],
        newest: Option<&Record>,
        was_empty: bool,
        entropy: &dyn Entropy,
    ) -> Result<Self, ReplicaError> {
        let mut ids = Vec::with_capacity(replicas.len());
        let mut has_new_files = false;
        for replica in replicas {
            let own = read_record(replica.path())?;
            has_new_files |= own.as_ref().map(|(_, record)| record) != newest;
            // A file without any image is not the one that this name was given to: that one went.
            let is_new = |id: &ReplicaId| {
                let members = newest.map_or(&[][..], |record| &record.members);
                replica.is_empty() && members.iter().any(|member| member.id == *id)
            };
            let listed = || newest?.members.iter().find(|one| one.path == replica.path());
            let known = own.map(|(id, _)| id).or_else(|| listed().map(|member| member.id));
            let id = match known.filter(|id| was_empty || !is_new(id)) {
                Some(id) => id,
                None => ReplicaId::random(entropy).map_err(|_| FileSlotError::Entropy)?,
            };
            if ids.contains(&id) {
                return Err(ReplicaError::Foreign(replica.path().to_owned()));
            }
            ids.push(id);
        }
        let names = ids.iter().zip(replicas);
        let members =
            names.map(|(id, one)| Member { id: *id, path: one.path().to_owned() }).collect();
        let lost = newest.map_or_else(Vec::new, |record| record.lost.clone());
        let revision = newest.map_or(1, |record| record.revision);
        Ok(Self { record: Record { revision, members, lost }, ids, has_new_files })
    }

    /// Erases replicas that were lost and have come back: what they hold is old by definition.
    fn take_back(
        &mut self,
        replicas: &mut [FileSlot],
        notices: &mut Vec<String>,
    ) -> Result<(), ReplicaError> {
        for (id, replica) in self.ids.iter().zip(replicas) {
            let Some(at) = self.record.lost.iter().position(|lost| lost.id == *id) else {
                continue;
            };
            let up_to = self.record.lost[at].up_to_generation;
            let images = replica.load().map_err(ReplicaError::Slot)?.images;
            if let Some(ahead) = images.iter().find(|image| image.generation > up_to) {
                return Err(ReplicaError::Conflict { generation: ahead.generation });
            }
            replica.wipe_all().map_err(ReplicaError::Slot)?;
            self.record.lost.remove(at);
            let path = replica.path().display();
            notices.push(format!("the slot replica `{path}` has come back: its images are erased"));
        }
        Ok(())
    }

    /// Members of the newest record that are no longer there.
    fn count_lost(
        &mut self,
        newest: Option<&Record>,
        generation: u64,
        notices: &mut Vec<String>,
    ) -> Result<(), ReplicaError> {
        for Member { id, path } in newest.map_or(&[][..], |record| &record.members) {
            if self.ids.contains(id) || generation == 0 {
                continue;
            }
            if self.record.lost.len() >= LOST_REPLICAS_MAX {
                return Err(ReplicaError::TooManyLost);
            }
            let path = path.clone();
            notices.push(format!(
                "a slot replica is lost: what was at `{}` may still hold the root of generation \
                 {generation} and before; find and destroy that medium, or migrate the seal",
                path.display()
            ));
            self.record.lost.push(LostReplica { id: *id, up_to_generation: generation, path });
        }
        Ok(())
    }

    /// Writes the record beside every replica. A single file that never had another one needs none.
    fn keep(&self, replicas: &[FileSlot]) -> Result<(), ReplicaError> {
        if replicas.len() == 1 && self.record.lost.is_empty() && self.record.revision == 1 {
            return Ok(());
        }
        for (id, replica) in self.ids.iter().zip(replicas) {
            record::write(replica.path(), *id, &self.record)
                .map_err(|source| io_error(replica.path(), source))?;
        }
        Ok(())
    }
}

/// What the record beside a slot file says of lost replicas.
pub(crate) fn recorded_lost(slot: &Path) -> Vec<LostReplica> {
    record::read(slot).ok().flatten().map_or_else(Vec::new, |(_, record)| record.lost)
}

fn newest_record(replicas: &[FileSlot]) -> Result<Option<Record>, ReplicaError> {
    let mut newest: Option<(ReplicaId, Record)> = None;
    let mut known = Vec::new();
    for replica in replicas {
        let Some((id, record)) = read_record(replica.path())? else { continue };
        known.push((id, replica.path().to_owned()));
        match &newest {
            Some((_, kept)) if kept.revision >= record.revision => {}
            Some(_) | None => newest = Some((id, record)),
        }
    }
    let Some((_, newest)) = newest else { return Ok(None) };
    let is_known = |id: &ReplicaId| {
        newest.members.iter().any(|member| member.id == *id)
            || newest.lost.iter().any(|lost| lost.id == *id)
    };
    match known.into_iter().find(|(id, _)| !is_known(id)) {
        Some((_, path)) => Err(ReplicaError::Foreign(path)),
        None => Ok(Some(newest)),
    }
}

fn read_record(slot: &Path) -> Result<Option<(ReplicaId, Record)>, ReplicaError> {
    record::read(slot).map_err(|source| io_error(slot, source))
}

fn io_error(slot: &Path, source: io::Error) -> ReplicaError {
    ReplicaError::Slot(backend(FileSlotError::Io { path: place_of(slot), source }))
}

fn check_paths(paths: &[PathBuf]) -> Result<(), ReplicaError> {
    let is_plain = |path: &PathBuf| {
        path.file_name().is_some()
            && path.to_str().is_some_and(|text| !text.contains(char::is_control))
    };
    if paths.is_empty() || paths.len() > REPLICAS_MAX {
        return Err(ReplicaError::Number(paths.len()));
    }
    match paths.iter().find(|path| !is_plain(path)) {
        Some(path) => Err(ReplicaError::Path(path.clone())),
        None => Ok(()),
    }
}

fn backend(error: impl core::error::Error + Send + Sync + 'static) -> SlotError {
    SlotError::Backend(Box::new(error))
}

/// Why a set of replicas cannot be used.
#[derive(Debug)]
pub enum ReplicaError {
    /// Two replicas hold different images of one generation: one was used beside the other.
    Conflict {
        /// Which generation.
        generation: u64,
    },
    /// A replica belongs to another set or another tree.
    Foreign(PathBuf),
    /// No replica, or more than [`REPLICAS_MAX`].
    Number(usize),
    /// A path that cannot be recorded: not UTF-8, or with control characters.
    Path(PathBuf),
    /// A replica cannot be read or written.
    Slot(SlotError),
    /// The only file cannot be used, or a new one cannot be made.
    Single(FileSlotError),
    /// More than [`LOST_REPLICAS_MAX`] replicas were lost.
    TooManyLost,
    /// One of several replicas is there and cannot be used.
    Unusable(FileSlotError),
}

impl fmt::Display for ReplicaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict { generation } => write!(
                f,
                "two slot replicas hold different images of generation {generation}: one of them \
                 was used without the others; take the one of the copy out of `slot.paths`"
            ),
            Self::Foreign(path) => {
                write!(f, "the slot replica `{}` belongs to another slot", path.display())
            }
            Self::Number(number) => {
                write!(f, "a slot has 1 to {REPLICAS_MAX} replicas, not {number}")
            }
            Self::Path(path) => write!(
                f,
                "the path `{}` of a slot replica must be UTF-8 without control characters",
                path.display()
            ),
            Self::Slot(error) => error.fmt(f),
            Self::Single(error) => error.fmt(f),
            Self::TooManyLost => write!(
                f,
                "more than {LOST_REPLICAS_MAX} slot replicas were lost: migrate the seal, then \
                 remove the files `*.replicas`"
            ),
            Self::Unusable(error) => write!(
                f,
                "one of the slot's replicas cannot be used: {error}; bring it back, or take it out \
                 of `slot.paths`: it then counts as lost, with the root that it holds"
            ),
        }
    }
}

impl core::error::Error for ReplicaError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Slot(error) => error.source(),
            Self::Single(error) | Self::Unusable(error) => error.source(),
            Self::Conflict { .. }
            | Self::Foreign(_)
            | Self::Number(_)
            | Self::Path(_)
            | Self::TooManyLost => None,
        }
    }
}

impl From<FileSlotError> for ReplicaError {
    fn from(error: FileSlotError) -> Self {
        Self::Single(error)
    }
}
