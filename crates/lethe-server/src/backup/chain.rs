//! A directory of segments: which is the newest, what it continues, and whether all is there.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lethe_log::{BackupNote, Hash, VerifierKey};
use lethe_store::Write;
use lethe_types::BackupId;

use super::BackupFailure;
use super::frames::{Followed, read_followed};
use super::segment::read_segment;
use crate::ServeError;
use crate::crash_points;
use crate::private_files::{PRIVATE_FILE_MODE, create_missing};

/// Ending of the names of segments.
const ENDING: &str = "lethe-backup";
/// Ending of the names of files that a copy that follows writes.
pub(super) const FOLLOWED_ENDING: &str = "lethe-followed";
/// Ending while one is written.
const ENDING_NEW: &str = "lethe-backup.new";
/// Most segments in one directory.
const SEGMENTS_MAX: usize = 4_096;

/// A segment that was read to its end once.
#[derive(Clone, Debug)]
pub struct SegmentFile {
    /// The file.
    pub path: PathBuf,
    /// Its signed note.
    pub signed: String,
    /// What the note says; who signed it was not looked at.
    pub note: BackupNote,
    /// Of a copy that follows: the digest of its base, and how many bytes at its end count for
    /// nothing, since the commit that they tell of never came whole.
    pub followed: Option<FollowedFile>,
}

/// What is special about the file of a copy that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowedFile {
    /// The digest that the note of its base says.
    pub base_digest: Hash,
    /// Bytes after the last whole commit.
    pub cut_bytes: u64,
}

/// The segments of a directory.
#[derive(Debug)]
pub struct Chain {
    segments: BTreeMap<[u8; 16], SegmentFile>,
}

/// What a check of a directory found.
#[derive(Debug)]
pub struct Checked {
    /// The segments that lead to the newest backup, the full one first.
    pub segments: Vec<SegmentFile>,
    /// Rows of all of them.
    pub rows: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Chain {
    /// Reads every segment of `directory` to its end.
    ///
    /// # Errors
    /// [`BackupFailure::File`], and [`BackupFailure::Damaged`] for the first segment that is not
    /// what its note says.
    pub fn read(directory: &Path) -> Result<Self, BackupFailure> {
        let listing = fs::read_dir(directory).map_err(BackupFailure::file("read", directory))?;
        let mut segments = BTreeMap::new();
        for entry in listing {
            let entry = entry.map_err(BackupFailure::file("read", directory))?;
            let path = entry.path();
            let has = |wanted: &str| path.extension().is_some_and(|ending| ending == wanted);
            let segment = if has(ENDING) {
                read_file(&path)?
            } else if has(FOLLOWED_ENDING) {
                // Nothing was acknowledged of a file without a whole commit.
                let Some(followed) = read_followed_file(&path)? else { continue };
                followed
            } else {
                continue;
            };
            let id = segment.note.backup.0;
            if segments.insert(id, segment).is_some() {
                let why = "another file is the same backup".to_owned();
                return Err(BackupFailure::Damaged { path, why });
            }
            if segments.len() > SEGMENTS_MAX {
                let why = format!("a directory holds at most {SEGMENTS_MAX} segments");
                return Err(BackupFailure::Damaged { path, why });
            }
        }
        Ok(Self { segments })
    }

    /// The newest backup; `None` in an empty directory.
    #[must_use]
    pub fn newest(&self) -> Option<&SegmentFile> {
        self.segments.values().max_by_key(|segment| (segment.note.revision, segment.note.created))
    }

    /// All of them, in no order that means anything.
    pub(super) fn segments(&self) -> impl Iterator<Item = &SegmentFile> {
        self.segments.values()
    }

    /// The backup of that name.
    #[must_use]
    pub fn backup(&self, backup: BackupId) -> Option<&SegmentFile> {
        self.segments.get(&backup.0)
    }

    /// The segments that lead to `last`, the full one first, each signed by `log_key` if there is
    /// one.
    ///
    /// # Errors
    /// [`BackupFailure::Damaged`] if one is missing or they do not fit together;
    /// [`BackupFailure::Note`] for a signature that is not of the log.
    pub fn up_to(
        &self,
        last: &SegmentFile,
        log_key: Option<&VerifierKey>,
    ) -> Result<Checked, BackupFailure> {
        let mut segments = vec![last.clone()];
        let mut next = last;
        while let Some(base) = next.note.base {
            let damaged = |why: &str| BackupFailure::Damaged {
                path: next.path.clone(),
                why: format!("{why} (backup {base})"),
            };
            let found = self.segments.get(&base.0);
            let found = found.ok_or_else(|| damaged("the backup that it continues is missing"))?;
            let fits = found.note.revision == next.note.base_revision
                && found.note.tree_id == next.note.tree_id
                && found.note.log_size <= next.note.log_size
                && next.followed.is_none_or(|it| it.base_digest == found.note.digest);
            if !fits || segments.len() > self.segments.len() {
                return Err(damaged("it does not continue the backup that it names"));
            }
            segments.push(found.clone());
            next = found;
        }
        segments.reverse();
        if let Some(log_key) = log_key {
            for segment in &segments {
                BackupNote::open(&segment.signed, log_key)?;
            }
        }
        let sum = |of: fn(&BackupNote) -> u64| segments.iter().map(|it| of(&it.note)).sum();
        Ok(Checked { rows: sum(|note| note.rows), bytes: sum(|note| note.bytes), segments })
    }
}

fn read_file(path: &Path) -> Result<SegmentFile, BackupFailure> {
    let file = File::open(path).map_err(BackupFailure::file("open", path))?;
    let read = read_segment(BufReader::new(file), &mut |_| Ok::<_, io::Error>(()));
    let (signed, note) = read.map_err(|error| damaged(path, &error))?;
    Ok(SegmentFile { path: path.to_owned(), signed, note, followed: None })
}

fn read_followed_file(path: &Path) -> Result<Option<SegmentFile>, BackupFailure> {
    let followed = visit_followed(path, &mut |_| Ok(()))?;
    Ok(followed.map(|Followed { base_digest, signed, note, cut_bytes }| SegmentFile {
        path: path.to_owned(),
        signed,
        note,
        followed: Some(FollowedFile { base_digest, cut_bytes }),
    }))
}

/// Shows the changes of a file of frames.
pub(super) fn visit_followed(
    path: &Path,
    visit: &mut dyn FnMut(Write) -> io::Result<()>,
) -> Result<Option<Followed>, BackupFailure> {
    let file = File::open(path).map_err(BackupFailure::file("open", path))?;
    let length = file.metadata().map_err(BackupFailure::file("look at", path))?.len();
    read_followed(BufReader::new(file), length, visit).map_err(|error| damaged(path, &error))
}

/// The name of a file that begins with this note.
pub(super) fn name_of(note: &BackupNote, kind: &str, ending: &str) -> String {
    let time = note.created.to_string().replace(':', "").replace('.', "-");
    format!("{time}-{kind}-{}.{ending}", note.backup)
}

/// The names in a directory are durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), BackupFailure> {
    let synced = File::open(directory).and_then(|it| it.sync_all());
    synced.map_err(BackupFailure::file("sync", directory))
}

/// What a failure to read a segment means.
pub(super) fn damaged(path: &Path, error: &io::Error) -> BackupFailure {
    let why = if error.kind() == io::ErrorKind::UnexpectedEof {
        "it was cut short".to_owned()
    } else {
        error.to_string()
    };
    BackupFailure::Damaged { path: path.to_owned(), why }
}

/// A segment that is being written: `finish` gives it its name, else it goes.
#[derive(Debug)]
pub(super) struct NewSegment {
    directory: PathBuf,
    path: PathBuf,
    is_finished: bool,
}

impl NewSegment {
    /// A new file in `directory`, which is made if it is not there.
    pub(super) fn create(directory: &Path) -> Result<(Self, File), BackupFailure> {
        create_missing(directory).map_err(ServeError::from)?;
        // Two copies of one process may be under way.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!("{}-{number}.{ENDING_NEW}", std::process::id()));
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(true).write(true).mode(PRIVATE_FILE_MODE);
        let file = open.open(&path).map_err(BackupFailure::file("create", &path))?;
        Ok((Self { directory: directory.to_owned(), path, is_finished: false }, file))
    }

    /// Durable, checked and under its name.
    pub(super) fn finish(mut self, file: &File) -> Result<SegmentFile, BackupFailure> {
        file.sync_all().map_err(BackupFailure::file("sync", &self.path))?;
        crash_points::hit("backup.segment_synced");
        let read = read_file(&self.path)?;
        let kind = if read.note.base.is_some() { "changes" } else { "full" };
        let path = self.directory.join(name_of(&read.note, kind, ENDING));
        fs::rename(&self.path, &path).map_err(BackupFailure::file("rename to", &path))?;
        self.is_finished = true;
        sync_directory(&self.directory)?;
        crash_points::hit("backup.segment_named");
        Ok(SegmentFile { path, ..read })
    }
}

impl Drop for NewSegment {
    fn drop(&mut self) {
        if !self.is_finished {
            // A leftover is not taken for a segment: it has another ending.
            let _removed_or_left = fs::remove_file(&self.path);
        }
    }
}
