//! The tombstone journal beside each replica of the slot: whichever disk is left has all of it.
//!
//! Every write goes to all of them, as with the slot itself. A replica that was away, or is new,
//! gets at the start what the others have.

use std::path::PathBuf;

use lethe_engine::{JournalFault, JournalPlace, JournalSegment};

use crate::journal_file::JournalFiles;

/// One journal a directory, all with the same segments.
#[derive(Debug)]
pub(crate) struct JournalReplicas(Vec<JournalFiles>);

impl JournalReplicas {
    /// The journals in `directories`, which need not be there yet.
    pub(crate) fn new(directories: Vec<PathBuf>) -> Self {
        Self(directories.into_iter().map(JournalFiles::new).collect())
    }

    /// The longest copy of a segment: one that is shorter was away when the rest was written.
    fn longest(&self, segment: JournalSegment) -> Result<Option<&JournalFiles>, JournalFault> {
        let mut longest: Option<(u64, &JournalFiles)> = None;
        for replica in &self.0 {
            let Some(length) = replica.length(segment)? else { continue };
            if longest.is_none_or(|(known, _)| length > known) {
                longest = Some((length, replica));
            }
        }
        Ok(longest.map(|(_, replica)| replica))
    }

    fn each(
        &mut self,
        mut work: impl FnMut(&mut JournalFiles) -> Result<(), JournalFault>,
    ) -> Result<(), JournalFault> {
        // All are tried: one that fails must not keep the others behind.
        let done: Vec<_> = self.0.iter_mut().map(&mut work).collect();
        done.into_iter().collect()
    }
}

impl JournalPlace for JournalReplicas {
    fn segments(&self) -> Result<Vec<JournalSegment>, JournalFault> {
        let mut all = Vec::new();
        for replica in &self.0 {
            all.extend(replica.segments()?);
        }
        all.sort_unstable();
        all.dedup();
        for &segment in &all {
            let Some(whole) = self.longest(segment)? else { continue };
            let length = whole.length(segment)?;
            for replica in &self.0 {
                if replica.length(segment)? != length {
                    replica.replace(segment, &whole.read(segment)?)?;
                }
            }
        }
        Ok(all)
    }

    fn read(&self, segment: JournalSegment) -> Result<Vec<u8>, JournalFault> {
        match self.longest(segment)? {
            Some(replica) => replica.read(segment),
            None => Err("there is no such segment of the journal".into()),
        }
    }

    fn begin(&mut self, segment: JournalSegment) -> Result<(), JournalFault> {
        self.each(|replica| replica.begin(segment))
    }

    fn append(&mut self, segment: JournalSegment, bytes: &[u8]) -> Result<(), JournalFault> {
        self.each(|replica| replica.append(segment, bytes))
    }

    fn cut(&mut self, segment: JournalSegment, length_bytes: u64) -> Result<(), JournalFault> {
        self.each(|replica| replica.cut(segment, length_bytes))
    }

    fn remove(&mut self, segment: JournalSegment) -> Result<(), JournalFault> {
        self.each(|replica| replica.remove(segment))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const FIRST: JournalSegment = JournalSegment { epoch: 1, log_size: 10 };
    const SECOND: JournalSegment = JournalSegment { epoch: 2, log_size: 20 };

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("lethe-journal-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn replicas(&self) -> (JournalReplicas, [PathBuf; 2]) {
            let directories = ["a", "b"].map(|name| self.0.join(name).join("journal"));
            for directory in &directories {
                let parent = directory.parent().unwrap();
                fs::create_dir_all(parent).unwrap();
            }
            (JournalReplicas::new(directories.to_vec()), directories)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _removed = fs::remove_dir_all(&self.0);
        }
    }

    fn write(journal: &mut JournalReplicas) {
        journal.begin(FIRST).unwrap();
        journal.append(FIRST, b"one").unwrap();
        journal.begin(SECOND).unwrap();
        journal.append(SECOND, b"two").unwrap();
    }

    fn holds(directory: &Path) {
        let journal = JournalFiles::new(directory.to_owned());
        assert_eq!(journal.segments().unwrap(), [FIRST, SECOND]);
        assert_eq!(journal.read(FIRST).unwrap(), b"one");
        assert_eq!(journal.read(SECOND).unwrap(), b"two");
    }

    #[test]
    fn every_replica_has_everything() {
        let folder = Folder::new("everything");
        let (mut journal, directories) = folder.replicas();
        write(&mut journal);
        directories.iter().for_each(|directory| holds(directory));
        journal.cut(SECOND, 1).unwrap();
        assert_eq!(journal.read(SECOND).unwrap(), b"t");
        journal.remove(FIRST).unwrap();
        assert_eq!(journal.segments().unwrap(), [SECOND]);
    }

    #[test]
    fn a_replica_that_was_away_or_is_new_is_brought_up() {
        let folder = Folder::new("away");
        let (mut journal, directories) = folder.replicas();
        write(&mut journal);
        for lost in &directories {
            fs::remove_dir_all(lost).unwrap();
            let (journal, _) = folder.replicas();
            assert_eq!(journal.segments().unwrap(), [FIRST, SECOND]);
            directories.iter().for_each(|directory| holds(directory));
        }
        let (mut ahead, _) = folder.replicas();
        ahead.0.remove(1);
        ahead.append(SECOND, b" and more").unwrap();
        let (journal, _) = folder.replicas();
        journal.segments().unwrap();
        for directory in directories {
            assert_eq!(JournalFiles::new(directory).read(SECOND).unwrap(), b"two and more");
        }
    }

    #[test]
    fn a_replica_that_cannot_be_written_fails_the_write() {
        let folder = Folder::new("fails");
        let (mut journal, directories) = folder.replicas();
        write(&mut journal);
        fs::remove_dir_all(&directories[1]).unwrap();
        let (mut journal, _) = folder.replicas();
        assert!(journal.append(SECOND, b"three").is_err());
        assert!(journal.read(JournalSegment { epoch: 9, log_size: 9 }).is_err());
        fs::write(&directories[1], "a file").unwrap();
        assert!(journal.begin(JournalSegment { epoch: 3, log_size: 30 }).is_err());
        assert!(journal.segments().is_err());
    }
}
