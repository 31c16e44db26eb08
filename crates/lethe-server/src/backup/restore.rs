//! An installation out of a backup: a new store, the slot that kept the root, the journal beside
//! it.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_engine::{RestoreLoader, RestoreParts, Restored, first_revision};
use lethe_store_embedded::{EmbeddedStore, OpenMode, Settings};
use lethe_types::BackupId;

use super::BackupFailure;
use super::chain::{Chain, Checked, SegmentFile, damaged, visit_followed};
use super::segment::read_segment;
use crate::audit_file::AuditFile;
use crate::clock::SystemClock;
use crate::config::{Config, StoreConfig};
use crate::private_files::ensure_own_dir;
use crate::{ServeError, ServeOptions, memory, open};

/// What is to be restored, and where.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The new installation: its slot and seal are those of the lost one.
    pub serve: ServeOptions,
    /// The directory of segments.
    pub source: PathBuf,
    /// Which backup; the newest without one.
    pub backup: Option<BackupId>,
}

/// Restores a backup into a store that must not be there yet. What was destroyed since is destroyed
/// again before this returns.
///
/// # Errors
/// [`BackupFailure`]; the new store is removed again. The slot and what lies beside it serve for
/// another try.
pub fn restore(
    options: &RestoreOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, BackupFailure> {
    crate::defences::arm();
    crate::crash_points::arm();
    let config = crate::configuration(&options.serve)?;
    memory::protect(config.memory)?;
    let StoreConfig::Embedded { path } = &config.store;
    if path.exists() {
        return Err(BackupFailure::Occupied { path: path.clone() });
    }
    let chain = Chain::read(&options.source)?;
    let last = match options.backup {
        Some(backup) => chain.backup(backup),
        None => chain.newest(),
    };
    let last = last.ok_or_else(|| BackupFailure::Damaged {
        path: options.source.clone(),
        why: "there is no such backup in it".to_owned(),
    })?;
    let checked = chain.up_to(last, None)?;
    ensure_own_dir(&config.data).map_err(ServeError::from)?;
    let restored = restore_into(options, &config, path, &checked, progress);
    if restored.is_err() {
        // It was made above and holds nothing that the backup does not.
        let _removed_or_refused_by_the_next_start = std::fs::remove_dir_all(path);
    }
    restored
}

fn restore_into(
    options: &RestoreOptions,
    config: &Config,
    path: &Path,
    checked: &Checked,
    progress: &mut dyn FnMut(u64),
) -> Result<Restored, BackupFailure> {
    let last = checked.segments.last().expect("a chain ends with the backup that was asked for");
    let settings = Settings { first_revision: first_revision(&last.note), ..Settings::default() };
    let store = EmbeddedStore::open_with(path, OpenMode::CreateNew, settings);
    let store = Arc::new(store.map_err(ServeError::from)?);
    let mut loader = RestoreLoader::new(&*store)?;
    let mut rows = 0;
    for segment in &checked.segments {
        if segment.followed.is_some() {
            let read = visit_followed(&segment.path, &mut |change| {
                rows += 1;
                progress(rows);
                loader.follow(change).map_err(io::Error::other)
            })?;
            check_same(segment, read.map(|read| read.signed).as_ref())?;
            loader.end()?;
            continue;
        }
        loader.begin(segment.note.base.is_some());
        let file = File::open(&segment.path).map_err(BackupFailure::file("open", &segment.path))?;
        let read = read_segment(BufReader::new(file), &mut |read| {
            rows += 1;
            progress(rows);
            loader.row(read.space, read.key, read.row).map_err(io::Error::other)
        });
        let (signed, _) = read.map_err(|error| damaged(&segment.path, &error))?;
        check_same(segment, Some(&signed))?;
        loader.end()?;
    }
    let clock = Arc::new(SystemClock::new());
    let slot = open::slot_of_restored(config, options.serve.dev)?;
    let audit = AuditFile::open(&config.audit, clock.clone()).map_err(ServeError::from)?;
    let parts = open::parts(config, store, slot, clock, Arc::new(audit));
    Ok(lethe_engine::restore(RestoreParts { parts, note: last.signed.clone() })?)
}

/// What was read now is what was checked before.
fn check_same(segment: &SegmentFile, signed: Option<&String>) -> Result<(), BackupFailure> {
    if signed == Some(&segment.signed) {
        return Ok(());
    }
    let why = "it changed while it was read".to_owned();
    Err(BackupFailure::Damaged { path: segment.path.clone(), why })
}
