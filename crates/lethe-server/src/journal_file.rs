//! The tombstone journal in a directory beside a slot: one file a segment, `EPOCH-LOGSIZE`.
//!
//! It lies with the slot because it must be there when the data is lost, and must stay out of the
//! copies that are made of the data. Where the slot goes, it goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use lethe_engine::{JournalFault, JournalPlace, JournalSegment};

use crate::private_files::{PRIVATE_FILE_MODE, ensure_private_dir, write_atomic};

/// Largest segment that is read, in bytes: some millions of destructions within one backup window.
const SEGMENT_BYTES_MAX: u64 = 16 * 1_073_741_824;

/// The directory.
#[derive(Debug)]
pub(crate) struct JournalFiles {
    directory: PathBuf,
    /// The segment that was written last, open.
    newest: Option<(JournalSegment, File)>,
}

impl JournalFiles {
    /// The journal in `directory`, which need not be there yet.
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, newest: None }
    }

    /// Bytes of a segment; `None` if it is not there.
    pub(crate) fn length(&self, segment: JournalSegment) -> Result<Option<u64>, JournalFault> {
        match fs::metadata(self.path(segment)) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a segment hold `bytes`, whatever it held.
    pub(crate) fn replace(
        &self,
        segment: JournalSegment,
        bytes: &[u8],
    ) -> Result<(), JournalFault> {
        self.ensure_directory()?;
        Ok(write_atomic(&self.path(segment), bytes, PRIVATE_FILE_MODE)?)
    }

    fn ensure_directory(&self) -> Result<(), JournalFault> {
        if !self.directory.exists() {
            ensure_private_dir(&self.directory)?;
            if let Some(parent) = self.directory.parent() {
                sync(parent)?;
            }
        }
        Ok(())
    }

    fn path(&self, segment: JournalSegment) -> PathBuf {
        self.directory.join(name(segment))
    }

    fn file(&mut self, segment: JournalSegment) -> io::Result<&mut File> {
        let path = self.path(segment);
        match &mut self.newest {
            Some((open, _)) if *open == segment => {}
            newest => *newest = Some((segment, OpenOptions::new().append(true).open(path)?)),
        }
        let open = self.newest.as_mut().map(|(_, file)| file);
        open.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

fn name(segment: JournalSegment) -> String {
    format!("{:020}-{:020}", segment.epoch, segment.log_size)
}

/// Strict: only what `name` writes.
fn parse(text: &str) -> Option<JournalSegment> {
    let (epoch, log_size) = text.split_once('-')?;
    let segment = JournalSegment { epoch: epoch.parse().ok()?, log_size: log_size.parse().ok()? };
    (name(segment) == text).then_some(segment)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl JournalPlace for JournalFiles {
    fn segments(&self) -> Result<Vec<JournalSegment>, JournalFault> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut segments = Vec::new();
        for entry in entries {
            let file_name = entry?.file_name();
            let strange = || format!("`{}` is no segment of a journal", file_name.display());
            segments.push(file_name.to_str().and_then(parse).ok_or_else(strange)?);
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn read(&self, segment: JournalSegment) -> Result<Vec<u8>, JournalFault> {
        let path = self.path(segment);
        if fs::metadata(&path)?.len() > SEGMENT_BYTES_MAX {
            return Err(
                format!("`{}` has more than {SEGMENT_BYTES_MAX} bytes", path.display()).into()
            );
        }
        Ok(fs::read(path)?)
    }

    fn begin(&mut self, segment: JournalSegment) -> Result<(), JournalFault> {
        self.ensure_directory()?;
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(PRIVATE_FILE_MODE)
            .open(self.path(segment))?;
        opened.sync_all()?;
        sync(&self.directory)?;
        self.newest = Some((segment, opened));
        Ok(())
    }

    fn append(&mut self, segment: JournalSegment, bytes: &[u8]) -> Result<(), JournalFault> {
        let file = self.file(segment)?;
        file.write_all(bytes)?;
        Ok(file.sync_data()?)
    }

    fn cut(&mut self, segment: JournalSegment, length_bytes: u64) -> Result<(), JournalFault> {
        let file = self.file(segment)?;
        file.set_len(length_bytes)?;
        Ok(file.sync_all()?)
    }

    fn remove(&mut self, segment: JournalSegment) -> Result<(), JournalFault> {
        if self.newest.as_ref().is_some_and(|(open, _)| *open == segment) {
            self.newest = None;
        }
        match fs::remove_file(self.path(segment)) {
            Ok(()) => Ok(sync(&self.directory)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_everything_else_is_refused() {
        let segment = JournalSegment { epoch: 42, log_size: 70_000 };
        assert_eq!(parse(&name(segment)), Some(segment));
        let good = name(segment);
        for bad in ["", "-", "42-70000", &good[1..], &good.replace('-', "_"), &format!("{good}~")] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
