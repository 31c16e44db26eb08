//! Moves the slot to another kind or other places while no server runs.
//!
//! ```text
//! 1  root.slot.moving  beside every old file: what the move leads to
//! 2  the roots         once more, one generation later, under the new device, in the old files and
//!                      the new ones
//! 3  the old image     erased everywhere
//! 4  what lies beside  the journal and the head of the log, beside the new files
//! 5  root.slot.moved   beside files that go; these are erased, then removed
//! 6  the old device    its keys destroyed
//! 7  root.slot.moving  gone
//! ```
//! Whoever cuts it short anywhere calls it again with the same words. Until 3 the old configuration
//! serves too, from 2 on the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_engine::HeadGuard as _;
use lethe_erasure::seal::Seal;
use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, ErasureClass, Loaded, Remnants, SlotError, SlotImage, SlotKind,
};
use lethe_slot::{
    DeviceError, DeviceSlot, FileSlot, FilesystemPolicy, KeyDevice, MigrateError, ReplicaError,
    ReplicatedSlot, Seals, SharedDevice, lost_replicas, shares_record,
};
use lethe_types::Entropy;

use crate::config::{Config, SlotConfig};
use crate::head_file::HeadFile;
use crate::private_files::{
    PRIVATE_FILE_MODE, ensure_private_dir, parent_of, read_private, sync_directory, write_atomic,
};
use crate::seal::SystemSurroundings;
use crate::slots::{self, Occasion, OpenedSlot};
use crate::{ServeError, crash_points, memory};

/// Longest note about a move, in bytes.
const NOTE_BYTES_MAX: usize = 65_536;

/// What a move did.
#[derive(Debug)]
pub struct SlotMigration {
    /// The kind before.
    pub from: &'static str,
    /// The kind now.
    pub to: &'static str,
    /// The generation of the slot at the new place.
    pub generation: u64,
    /// How the image of the old place was erased.
    pub evidence: EraseEvidence,
    /// Files that were erased and removed.
    pub removed: Vec<PathBuf>,
    /// Keys that were destroyed in the old device.
    pub destroyed_keys: u64,
    /// The new files.
    pub paths: Vec<PathBuf>,
    /// What an operator must hear of the slot's replicas.
    pub notices: Vec<String>,
}

/// Moves the slot of `config` to where `to` says: settings of `[slot]` as in `kind=pkcs11`; without
/// paths among them the files stay where they are. The seal stays, the configuration file is not
/// changed. `any_filesystem`: as for the server with `--dev`.
///
/// # Errors
/// [`ServeError`]. The old configuration or the new one opens the slot, and a repeated call ends
/// what this one began.
pub fn migrate(
    config: &Config,
    to: &[String],
    any_filesystem: bool,
) -> Result<SlotMigration, ServeError> {
    crash_points::arm();
    memory::protect(config.memory)?;
    let new = new_slot(config, to)?;
    if new == config.slot {
        let why = "that is the slot which the configuration has".to_owned();
        return Err(ServeError::Argument { argument: "--to", why });
    }
    let work = Move { old: &config.slot, new: &new, words: words_of(&new), any_filesystem };
    let seal = slots::seal(&config.seal, Occasion::Open, &mut SystemSurroundings)?;
    for parent in new.paths().iter().filter_map(|path| path.parent()) {
        ensure_private_dir(parent)?;
    }
    let is_resumed = work.is_begun()?;
    let is_same_device = same_device(&config.slot, &new);
    if !is_resumed {
        work.check_old(&seal)?;
    }
    let new_device = slots::device(&new)?;
    if !is_resumed && !is_same_device {
        check_empty(new_device.as_deref())?;
    }
    work.begin()?;
    crash_points::hit("slot.move_begun");
    if is_resumed {
        work.discard_stale(&seal)?;
    }
    let old_device = if is_same_device { None } else { slots::device(&config.slot)? };
    let old_device = old_device.map(SharedDevice::new);
    if !is_same_device {
        work.fill(&seal, old_device.as_ref())?;
    }
    let (opened, notices) = work.open(&seal, new_device, old_device.as_ref(), is_same_device)?;
    let (migrated, files) = reseal(opened)?;
    work.bring_along()?;
    crash_points::hit("slot.move_brought");
    let removed = work.retire(files)?;
    crash_points::hit("slot.move_retired");
    let destroyed_keys = match old_device {
        Some(device) => destroy_all(&device)?,
        None => 0,
    };
    crash_points::hit("slot.move_destroyed");
    work.end()?;
    Ok(SlotMigration {
        from: config.slot.kind(),
        to: new.kind(),
        generation: migrated.generation,
        evidence: migrated.evidence,
        removed,
        destroyed_keys,
        paths: new.paths().to_vec(),
        notices,
    })
}

/// Refuses a place that the slot was moved away from, also if somebody put an old file back: what
/// would be destroyed there would live on at the new place.
///
/// # Errors
/// [`ServeError::SlotMoved`].
pub(crate) fn check_not_moved(slot: &SlotConfig) -> Result<(), ServeError> {
    for path in slot.paths() {
        if let Some(to) = read_note(&beside(path, "moved"))? {
            return Err(ServeError::SlotMoved { path: path.clone(), to });
        }
    }
    Ok(())
}

/// What an operator must hear if a move of the slot did not come to its end.
pub(crate) fn unfinished_move(slot: &SlotConfig) -> Option<String> {
    let note = slot.paths().iter().map(|path| beside(path, "moving")).find(|note| note.exists())?;
    Some(format!(
        "a move of the slot was begun and not ended (`{}`): stop the server and run `lethe slot \
         migrate` again, with the configuration of before",
        note.display()
    ))
}

struct Move<'a> {
    old: &'a SlotConfig,
    new: &'a SlotConfig,
    /// Where the slot goes, for those who look for it and for a call that resumes.
    words: String,
    any_filesystem: bool,
}

impl Move<'_> {
    /// Whether a move to the same place was begun before.
    fn is_begun(&self) -> Result<bool, ServeError> {
        let mut is_begun = false;
        for path in self.all_paths() {
            let note = beside(path, "moving");
            match read_note(&note)? {
                Some(words) if words == self.words => is_begun = true,
                Some(words) => {
                    let why = format!(
                        "another move was begun and has to be ended first: to {words} (`{}`)",
                        note.display()
                    );
                    return Err(ServeError::Argument { argument: "--to", why });
                }
                None => {}
            }
        }
        Ok(is_begun)
    }

    /// The slot opens where it is, and holds one root: nothing is made for one that does not.
    fn check_old(&self, seal: &Arc<dyn Seal>) -> Result<(), ServeError> {
        check_not_moved(self.old)?;
        let taken =
            self.new.paths().iter().find(|path| path.exists() && !self.old.paths().contains(path));
        if let Some(path) = taken {
            let why = "it is there already; a slot is never written over another";
            return Err(ServeError::SlotMismatch { path: path.clone(), why });
        }
        let seals = Seals::only(seal.clone());
        let slot = slots::slot(self.old, &seals, Occasion::Open, self.any_filesystem)?.into_slot();
        let loaded = slot.load().map_err(slot_error)?;
        match loaded.images.len() {
            0 => Err(MigrateError::NoImage { faults: loaded.faults }.into()),
            1 => Ok(()),
            _ => Err(MigrateError::ChangeCutShort.into()),
        }
    }

    fn begin(&self) -> Result<(), ServeError> {
        for path in self.old.paths() {
            write_atomic(&beside(path, "moving"), self.words.as_bytes(), PRIVATE_FILE_MODE)?;
        }
        Ok(())
    }

    /// If a server went on at the old place since the move was begun, it counted the new files as
    /// lost, and what they hold is old: they are erased, and are filled again.
    fn discard_stale(&self, seal: &Arc<dyn Seal>) -> Result<(), ServeError> {
        let lost: Vec<PathBuf> = self
            .old
            .paths()
            .iter()
            .flat_map(|path| lost_replicas(path))
            .map(|lost| lost.path)
            .collect();
        let is_new = |path: &&PathBuf| !self.old.paths().contains(path);
        for path in self.new.paths().iter().filter(is_new) {
            if !path.exists() || !lost.contains(path) {
                continue;
            }
            let (seals, entropy) = (Seals::only(seal.clone()), Arc::new(SystemEntropy));
            let opened = FileSlot::open(path, seals, entropy, FilesystemPolicy::Accept);
            let mut file = opened.map_err(ReplicaError::from)?;
            file.wipe_all().map_err(slot_error)?;
        }
        Ok(())
    }

    /// New files get the old image first: the new device has no key for it.
    fn fill(&self, seal: &Arc<dyn Seal>, device: Option<&SharedDevice>) -> Result<(), ServeError> {
        let old = match device {
            Some(device) => device.seal(seal.clone()),
            None => seal.clone(),
        };
        let seals = Seals::only(old);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let policy = slots::policy_of(self.new, self.any_filesystem);
        let paths = self.open_paths();
        let is_there = |path: &&PathBuf| path.exists();
        let there: Vec<PathBuf> = paths.iter().filter(is_there).cloned().collect();
        if there.is_empty() {
            return Ok(());
        }
        // Once the old image is gone everything lies under the new device, in every file.
        let opens = !ReplicatedSlot::open(&there, &seals, &entropy, policy)?
            .load()
            .map_err(slot_error)?
            .images
            .is_empty();
        if opens {
            drop(ReplicatedSlot::open(&paths, &seals, &entropy, policy)?);
        }
        Ok(())
    }

    /// The slot in the files of both places, which opens with either device and writes with the
    /// new one.
    fn open(
        &self,
        seal: &Arc<dyn Seal>,
        device: Option<Box<dyn KeyDevice>>,
        old_device: Option<&SharedDevice>,
        is_same_device: bool,
    ) -> Result<(OpenedSlot, Vec<String>), ServeError> {
        let device = device.map(SharedDevice::new);
        let with = |device: Option<&SharedDevice>| match device {
            Some(device) => device.seal(seal.clone()),
            None => seal.clone(),
        };
        let sealing = with(device.as_ref());
        let seals = if is_same_device {
            Seals::only(sealing)
        } else {
            Seals::replacing(with(old_device), sealing)
        };
        let paths: Vec<PathBuf> = self.open_paths();
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let policy = slots::policy_of(self.new, self.any_filesystem);
        let files = ReplicatedSlot::open(&paths, &seals, &entropy, policy)?;
        let notices = files.notices().to_vec();
        if let Some(device) = device.as_ref().filter(|_| !is_same_device) {
            // Of a call that was cut short after it drew a key, or when a server went on at the old
            // place after it. The device was empty when the move was begun.
            let images = files.load().map_err(slot_error)?.images;
            let kept: Vec<u64> = images.iter().map(|image| image.generation).collect();
            device.destroy_all_but(&kept)?;
        }
        Ok(match device {
            Some(device) => (OpenedSlot::Device(DeviceSlot::new(files, device)), notices),
            None => (OpenedSlot::Files(files), notices),
        })
    }

    /// The journal and the head of the log lie beside every file of the slot.
    fn bring_along(&self) -> Result<(), ServeError> {
        let failed = |error| ServeError::Start(lethe_engine::StartError::HeadGuard(error));
        let heads = self.all_paths().map(|path| path.with_file_name("log.head"));
        let mut heads: Vec<PathBuf> = heads.collect();
        heads.sort();
        heads.dedup();
        let mut head = HeadFile::new(heads);
        if let Some(newest) = head.load().map_err(failed)? {
            head.keep(newest).map_err(failed)?;
        }
        if let Some(journal) = head.journal() {
            // Looking at it brings every copy up to date.
            let failed = |error| ServeError::Start(lethe_engine::StartError::Journal(error));
            journal.segments().map_err(failed)?;
        }
        Ok(())
    }

    /// Erases the files that go, and removes them with what lies beside them.
    fn retire(&self, mut files: ReplicatedSlot) -> Result<Vec<PathBuf>, ServeError> {
        let gone = self.old.paths().iter().filter(|path| !self.new.paths().contains(path));
        let gone: Vec<PathBuf> = gone.cloned().collect();
        for path in &gone {
            write_atomic(&beside(path, "moved"), self.words.as_bytes(), PRIVATE_FILE_MODE)?;
        }
        files.retire(self.new.paths())?;
        drop(files);
        for path in &gone {
            remove(path)?;
            remove(&beside(path, "replicas"))?;
            if !self.new.paths().iter().any(|new| parent_of(new) == parent_of(path)) {
                remove(&path.with_file_name("log.head"))?;
                remove_journal(&path.with_file_name("journal"))?;
            }
            sync_directory(parent_of(path))?;
        }
        Ok(gone)
    }

    fn end(&self) -> Result<(), ServeError> {
        for path in self.all_paths() {
            // Shares are of a seal with the salt of the old files.
            remove(&shares_record(path))?;
            if self.new.paths().contains(path) {
                remove(&beside(path, "moved"))?;
            }
            // Last: without it nobody resumes.
            remove(&beside(path, "moving"))?;
        }
        Ok(())
    }

    fn all_paths(&self) -> impl Iterator<Item = &PathBuf> {
        let others = self.new.paths().iter().filter(|path| !self.old.paths().contains(path));
        self.old.paths().iter().chain(others)
    }

    /// Those of the new place, and those of the old one that are still there.
    fn open_paths(&self) -> Vec<PathBuf> {
        let is_needed = |path: &&PathBuf| path.exists() || self.new.paths().contains(path);
        self.all_paths().filter(is_needed).cloned().collect()
    }
}

/// Writes the roots with the new device and erases what the old one opens.
fn reseal(opened: OpenedSlot) -> Result<(lethe_slot::Migrated, ReplicatedSlot), ServeError> {
    match opened {
        OpenedSlot::Files(mut files) => {
            let migrated = lethe_slot::migrate_seal(&mut Watched(&mut files))?;
            Ok((migrated, files))
        }
        OpenedSlot::Device(mut slot) => {
            let migrated = lethe_slot::migrate_seal(&mut Watched(&mut slot))?;
            Ok((migrated, slot.into_files()))
        }
    }
}

fn check_empty(device: Option<&dyn KeyDevice>) -> Result<(), ServeError> {
    let Some(device) = device else { return Ok(()) };
    if device.generations()?.is_empty() {
        return Ok(());
    }
    Err(DeviceError::KeyExists("a root of another slot".to_owned()).into())
}

/// Nothing of the slot is left in its old device; says how many keys that took.
fn destroy_all(device: &SharedDevice) -> Result<u64, ServeError> {
    let count = device.destroy_all()?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The slot that `to` describes.
fn new_slot(config: &Config, to: &[String]) -> Result<SlotConfig, ServeError> {
    let text = |path: &Path| toml::Value::String(path.display().to_string());
    let mut settings = vec![format!("data={}", text(&config.data))];
    let names_paths =
        |setting: &String| setting.starts_with("path=") || setting.starts_with("paths=");
    if !to.iter().any(names_paths) {
        let paths = config.slot.paths().iter().map(|path| text(path)).collect();
        settings.push(format!("slot.paths={}", toml::Value::Array(paths)));
    }
    for setting in to {
        if !setting.contains('=') {
            let why = format!("`{setting}`: as in kind=pkcs11");
            return Err(ServeError::Argument { argument: "--to", why });
        }
        settings.push(format!("slot.{setting}"));
    }
    Ok(Config::load(None, &settings)?.slot)
}

fn same_device(old: &SlotConfig, new: &SlotConfig) -> bool {
    match (old, new) {
        (SlotConfig::File { .. }, SlotConfig::File { .. }) => true,
        (SlotConfig::Pkcs11 { place: old, .. }, SlotConfig::Pkcs11 { place: new, .. }) => {
            old == new
        }
        (
            SlotConfig::Tpm { tcti: old, index: old_index, .. },
            SlotConfig::Tpm { tcti: new, index: new_index, .. },
        ) => old == new && old_index == new_index,
        (
            SlotConfig::File { .. } | SlotConfig::Pkcs11 { .. } | SlotConfig::Tpm { .. },
            SlotConfig::File { .. } | SlotConfig::Pkcs11 { .. } | SlotConfig::Tpm { .. },
        ) => false,
    }
}

/// As in `kind "pkcs11", token "kms", name "lethe", in "/a/root.slot"`.
fn words_of(slot: &SlotConfig) -> String {
    let device = match slot {
        SlotConfig::File { .. } => String::new(),
        SlotConfig::Pkcs11 { place, .. } => {
            format!(", token {:?}, name {:?}", place.token, place.name)
        }
        SlotConfig::Tpm { tcti, index, .. } => format!(", tcti {tcti:?}, index {index}"),
    };
    let paths: Vec<String> =
        slot.paths().iter().map(|path| format!("{:?}", path.display().to_string())).collect();
    format!("kind {:?}{device}, in {}", slot.kind(), paths.join(" and "))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

fn read_note(path: &Path) -> Result<Option<String>, ServeError> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_private(path, NOTE_BYTES_MAX)?;
    Ok(Some(String::from_utf8_lossy(bytes.expose()).into_owned()))
}

fn remove(path: &Path) -> Result<(), ServeError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ServeError::Os { what: "cannot remove a file of the old slot", source }),
    }
}

fn remove_journal(directory: &Path) -> Result<(), ServeError> {
    match fs::remove_dir_all(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ServeError::Os { what: "cannot remove the old journal", source }),
    }
}

fn slot_error(error: SlotError) -> ServeError {
    ServeError::Migrate(error.into())
}

/// A slot whose steps are points at which a test can stop the process.
struct Watched<'a>(&'a mut dyn ErasableSlot);

impl ErasableSlot for Watched<'_> {
    fn kind(&self) -> SlotKind {
        self.0.kind()
    }

    fn class(&self) -> ErasureClass {
        self.0.class()
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        self.0.load()
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        self.0.put_new(image)?;
        crash_points::hit("slot.move_written");
        Ok(())
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let evidence = self.0.erase_all_but(generation)?;
        crash_points::hit("slot.move_erased");
        Ok(evidence)
    }

    fn remnants(&self) -> Remnants {
        self.0.remnants()
    }
}
