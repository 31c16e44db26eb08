//! What an operator does with the seal while no server runs: looks at it, and migrates to another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::{Seal, SealDevice, SealKind};
use lethe_erasure::slot::{
    ErasableSlot, EraseEvidence, Loaded, SealShares, SlotError, SlotImage, SlotKind,
};
use lethe_slot::{
    LostReplica, SHARE_BYTES_MAX, Seals, SectorLook, destroy_key_file, join_shares,
    look_at_slot_file, lost_replicas, salt_of_slot_file, shares_line, shares_of_slot,
    shares_record, split_seal,
};
use lethe_types::{Clock, SecretVec};

use crate::ServeError;
use crate::clock::SystemClock;
use crate::config::{Config, SealConfig};
use crate::crash_points;
use crate::memory;
use crate::private_files::{PRIVATE_FILE_MODE, ensure_private_dir, read_private, write_atomic};
use crate::seal::SystemSurroundings;
use crate::slots::{self, Occasion};

/// What a migration did.
#[derive(Debug)]
pub struct SealMigration {
    /// The kind before.
    pub from: &'static str,
    /// The kind now.
    pub to: &'static str,
    /// The generation of the slot that the new seal opens.
    pub generation: u64,
    /// What was erased, and how.
    pub evidence: EraseEvidence,
    /// The key file of the old seal, if it was destroyed.
    pub destroyed_key_file: Option<PathBuf>,
    /// What an operator must hear of the slot's replicas.
    pub notices: Vec<String>,
}

/// Seals the slot of `config` with the seal that `to` describes: settings of `[seal]` as in
/// `kind=passphrase`. The configuration file is not changed.
///
/// `from_shares`: files with recovery shares, which open the slot in place of its seal.
///
/// `destroy_old_key`: a key file of the old seal is overwritten and removed at the end.
///
/// # Errors
/// [`ServeError`]. One of the two seals opens the slot, and a repeated call ends what this one
/// began.
pub fn migrate(
    config: &Config,
    to: &[String],
    from_shares: &[PathBuf],
    destroy_old_key: bool,
) -> Result<SealMigration, ServeError> {
    crash_points::arm();
    memory::protect(config.memory)?;
    let new_config = new_seal(config, to)?;
    if from_shares.is_empty() && is_the_same(&config.seal, &new_config) {
        let why = "that is the seal which the slot has".to_owned();
        return Err(ServeError::Argument { argument: "--to", why });
    }
    let old: Arc<dyn Seal> = if from_shares.is_empty() {
        slots::seal(&config.seal, Occasion::Open, &mut SystemSurroundings)?
    } else {
        let read = |path: &PathBuf| read_private(path, SHARE_BYTES_MAX);
        let texts = from_shares.iter().map(read).collect::<Result<Vec<SecretVec>, _>>()?;
        Arc::new(join_shares(&texts)?)
    };
    // Looked at with the old seal first, so that nothing is made for a slot that does not open. If
    // it opens nothing, an earlier migration may have come to its end: then the new seal exists.
    let opens = {
        let slot = slots::slot(&config.slot, &Seals::only(old.clone()), Occasion::Open, true)?;
        !slot.into_slot().load().map_err(slot_error)?.images.is_empty()
    };
    let occasion = if opens { Occasion::Migrate } else { Occasion::Open };
    let new = match &new_config {
        // A new passphrase is one also where it has to fit what an earlier migration sealed.
        SealConfig::Passphrase(_) => {
            slots::seal(&new_config, Occasion::Migrate, &mut SystemSurroundings)?
        }
        SealConfig::Credential { .. }
        | SealConfig::KeyFile { .. }
        | SealConfig::Pkcs11 { .. }
        | SealConfig::Tpm2 { .. } => slots::seal(&new_config, occasion, &mut SystemSurroundings)?,
    };
    crash_points::hit("seal.key_made");
    let seals = Seals::replacing(old, new);
    let opened = slots::slot(&config.slot, &seals, Occasion::Open, true)?;
    let notices = opened.notices().to_vec();
    let mut slot = Watched(opened.into_slot());
    let migrated = lethe_slot::migrate_seal(&mut slot)?;
    // They were of the seal that is gone.
    for note in config.slot.paths().iter().map(|path| shares_record(path)) {
        match fs::remove_file(&note) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(ServeError::Os { what: "cannot remove the note on shares", source });
            }
        }
    }
    let destroyed_key_file = match &config.seal {
        SealConfig::KeyFile { path } if destroy_old_key => {
            destroy_key_file(path, &SystemEntropy)?;
            crash_points::hit("seal.old_key_destroyed");
            Some(path.clone())
        }
        SealConfig::KeyFile { .. }
        | SealConfig::Credential { .. }
        | SealConfig::Passphrase(_)
        | SealConfig::Pkcs11 { .. }
        | SealConfig::Tpm2 { .. } => None,
    };
    Ok(SealMigration {
        from: config.seal.kind(),
        to: new_config.kind(),
        generation: migrated.generation,
        evidence: migrated.evidence,
        destroyed_key_file,
        notices,
    })
}

/// Makes recovery shares of the seal of `config`, `number` files `share-N.txt` in the directory
/// `out`, of which any `needed` open the slot until its seal is migrated. A server may run.
///
/// That they exist is noted beside every file of the slot.
///
/// # Errors
/// [`ServeError`]. Files that were made until then stay, and open nothing together with others.
pub fn make_shares(
    config: &Config,
    needed: u8,
    number: u8,
    out: &Path,
) -> Result<Vec<PathBuf>, ServeError> {
    memory::protect(config.memory)?;
    let first = &config.slot.paths()[0];
    let failed = |source| ServeError::Os { what: "cannot read the slot", source };
    let salt = salt_of_slot_file(first).map_err(failed)?;
    let salt = salt.ok_or_else(|| ServeError::SlotMismatch {
        path: first.clone(),
        why: "there is no root in the slot yet",
    })?;
    let seal = slots::seal(&config.seal, Occasion::Open, &mut SystemSurroundings)?;
    let shares = split_seal(&*seal, &salt, needed, number, &SystemEntropy)?;
    ensure_private_dir(out)?;
    // First: a receipt may tell of shares that were never written, and never the other way round.
    record_shares(config, needed, number)?;
    let mut files = Vec::with_capacity(shares.len());
    for (share, number) in shares.iter().zip(1..) {
        let file = out.join(format!("share-{number}.txt"));
        if file.exists() {
            let why = "it is there already; shares are never written over";
            return Err(ServeError::SlotMismatch { path: file, why });
        }
        write_atomic(&file, share.expose(), PRIVATE_FILE_MODE)?;
        files.push(file);
    }
    Ok(files)
}

/// Notes beside every file of the slot that there is one more set of shares. Receipts tell of it
/// from now on.
fn record_shares(config: &Config, needed: u8, number: u8) -> Result<(), ServeError> {
    let line = shares_line(needed, number, SystemClock::new().now());
    for path in config.slot.paths() {
        let place = shares_record(path);
        let before = match fs::read_to_string(&place) {
            Ok(before) => before,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => {
                return Err(ServeError::Os { what: "cannot read the note on shares", source });
            }
        };
        write_atomic(&place, format!("{before}{line}").as_bytes(), PRIVATE_FILE_MODE)?;
    }
    Ok(())
}

/// The seal that `to` describes, beside the data and the slot of `config`.
fn new_seal(config: &Config, to: &[String]) -> Result<SealConfig, ServeError> {
    let text = |path: &Path| toml::Value::String(path.display().to_string());
    let paths = config.slot.paths().iter().map(|path| text(path)).collect();
    let mut settings = vec![
        format!("data={}", text(&config.data)),
        format!("slot.paths={}", toml::Value::Array(paths)),
    ];
    for setting in to {
        if !setting.contains('=') {
            let why = format!("`{setting}`: as in kind=passphrase");
            return Err(ServeError::Argument { argument: "--to", why });
        }
        settings.push(format!("seal.{setting}"));
    }
    Ok(Config::load(None, &settings)?.seal)
}

/// Whether both name the same secret; for passphrases only whoever enters them knows.
fn is_the_same(old: &SealConfig, new: &SealConfig) -> bool {
    match (old, new) {
        (SealConfig::Passphrase(_), SealConfig::Passphrase(_)) => false,
        (SealConfig::Pkcs11 { place: old, .. }, SealConfig::Pkcs11 { place: new, .. }) => {
            old == new
        }
        (SealConfig::Tpm2 { path: old, .. }, SealConfig::Tpm2 { path: new, .. }) => old == new,
        (old, new) => old == new,
    }
}

fn slot_error(error: SlotError) -> ServeError {
    ServeError::Migrate(error.into())
}

/// A slot whose steps are points at which a test can stop the process.
struct Watched(Box<dyn ErasableSlot>);

impl ErasableSlot for Watched {
    fn kind(&self) -> SlotKind {
        self.0.kind()
    }

    fn class(&self) -> lethe_erasure::slot::ErasureClass {
        self.0.class()
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        self.0.load()
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        self.0.put_new(image)?;
        crash_points::hit("seal.image_written");
        Ok(())
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let evidence = self.0.erase_all_but(generation)?;
        crash_points::hit("seal.old_erased");
        Ok(evidence)
    }
}

/// What can be seen of a slot without opening its seal.
#[derive(Debug)]
pub struct SlotLook {
    /// The kind of slot in the configuration.
    pub slot: &'static str,
    /// The kind of seal in the configuration.
    pub seal: &'static str,
    /// Each of its files.
    pub files: Vec<FileLook>,
}

/// What can be seen of one file of a slot.
#[derive(Debug)]
pub struct FileLook {
    /// The file.
    pub path: PathBuf,
    /// Its two sectors, or why they cannot be seen.
    pub sectors: Result<[SectorLook; 2], String>,
    /// Replicas that its record names as lost.
    pub lost: Vec<LostReplica>,
    /// The recovery shares of its seal, as in `3 of 5`, if any were made.
    pub shares: Option<String>,
}

/// Looks at the slot of `config` as it lies there, also while a server runs.
#[must_use]
pub fn look(config: &Config) -> SlotLook {
    let file = |path: &PathBuf| FileLook {
        path: path.clone(),
        sectors: look_at_slot_file(path).map_err(|error| error.to_string()),
        lost: lost_replicas(path),
        shares: shares_of_slot([path.as_path()].into_iter()).map(shares_words),
    };
    SlotLook {
        slot: config.slot.kind(),
        seal: config.seal.kind(),
        files: config.slot.paths().iter().map(file).collect(),
    }
}

/// As in `3 of 5`.
fn shares_words(shares: SealShares) -> String {
    match shares {
        SealShares { needed: 0, .. } => "a number that cannot be read".to_owned(),
        SealShares { needed, number, .. } => format!("{needed} of {number}"),
    }
}

/// In words, as in `sealed with a key file`.
#[must_use]
pub fn sector_words(look: SectorLook) -> String {
    match look {
        SectorLook::Damaged => "damaged, or not a slot's".to_owned(),
        SectorLook::Empty => "empty".to_owned(),
        SectorLook::Sealed { device: SealDevice::None, seal } => format!("sealed with {seal}"),
        SectorLook::Sealed { device, seal } => {
            format!("sealed with {seal}, and a key of the slot's device ({device})")
        }
    }
}

/// Whether a sector was sealed with the kind of seal that is configured.
#[must_use]
pub fn fits(look: SectorLook, kind: &str) -> bool {
    match look {
        SectorLook::Damaged | SectorLook::Empty => true,
        SectorLook::Sealed { seal, .. } => SealKind::as_str(seal) == kind,
    }
}
