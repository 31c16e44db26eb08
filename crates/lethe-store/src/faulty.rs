//! Any store, made to fail at chosen moments, and a record of everything that was ever written.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{
    Batch, Page, Revision, Space, Store, StoreError, StoreKey, Tidied, Versioned, Visit, Watch,
    Write,
};

/// How a chosen commit fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitFault {
    /// It is applied and answers `Unavailable`.
    ApplyThenFail,
    /// It is applied, and from then on every call answers `Unavailable`: the process died after it.
    ApplyThenStop,
    /// It is not applied and answers `Unavailable`.
    Fail,
    /// It is not applied and answers `Full`.
    Full,
    /// It is not applied, and from then on every call answers `Unavailable`: the process died
    /// before it.
    Stop,
}

/// Wraps a store. Without a script it behaves like the store it wraps.
///
/// Commits and reads are counted from 1 since the wrapper was made; a script names them by number,
/// so that a test can fail each commit of an operation in turn. To play a crash, script `Stop` or
/// `ApplyThenStop`, let the operation run into it, and start anew over [`FaultyStore::inner`].
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    commits: u64,
    reads: u64,
    commit_faults: BTreeMap<u64, CommitFault>,
    read_faults: BTreeMap<u64, StoreError>,
    is_stopped: bool,
    is_recording: bool,
    recorded: Vec<Write>,
}

impl FaultyStore {
    /// A wrapper without faults that records nothing.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// A wrapper without faults that keeps a copy of every write it is asked for, applied or not:
    /// all that an attacker with every old disk could have. Memory grows without bound.
    #[must_use]
    pub fn recording(inner: Arc<dyn Store>) -> Self {
        Self { inner, script: Mutex::new(Script { is_recording: true, ..Script::default() }) }
    }

    /// The store underneath: what a restarted process finds.
    #[must_use]
    pub fn inner(&self) -> Arc<dyn Store> {
        Arc::clone(&self.inner)
    }

    /// Lets the commit of that number fail; the first commit ever is 1.
    pub fn fail_commit(&self, number: u64, fault: CommitFault) {
        self.script.lock().commit_faults.insert(number, fault);
    }

    /// Lets the next commit fail.
    pub fn fail_next_commit(&self, fault: CommitFault) {
        let mut script = self.script.lock();
        let number = script.commits + 1;
        script.commit_faults.insert(number, fault);
    }

    /// Lets the `get`, `range` or `snapshot` of that number answer `error`; the first ever is 1.
    pub fn fail_read(&self, number: u64, error: StoreError) {
        self.script.lock().read_faults.insert(number, error);
    }

    /// Lets the next `get`, `range` or `snapshot` answer `error`.
    pub fn fail_next_read(&self, error: StoreError) {
        let mut script = self.script.lock();
        let number = script.reads + 1;
        script.read_faults.insert(number, error);
    }

    /// How many commits were asked for, failed ones included.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.script.lock().commits
    }

    /// How many reads were asked for, failed ones included.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.script.lock().reads
    }

    /// Whether a scripted crash has happened.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.script.lock().is_stopped
    }

    /// Every write that was ever asked for, in order; empty if this wrapper does not record.
    #[must_use]
    pub fn recorded(&self) -> Vec<Write> {
        self.script.lock().recorded.clone()
    }

    /// Whether a key or value that was ever asked to be written contains `needle`.
    #[must_use]
    pub fn has_recorded(&self, needle: &[u8]) -> bool {
        let holds = |bytes: &[u8]| {
            needle.is_empty() || bytes.windows(needle.len()).any(|window| window == needle)
        };
        self.script.lock().recorded.iter().any(|write| match write {
            Write::Delete { key } => holds(key.bytes()),
            Write::Put { key, value } => holds(key.bytes()) || holds(value),
        })
    }

    /// Counts a read and gives it the fault that is due.
    fn read(&self) -> Result<(), StoreError> {
        let mut script = self.script.lock();
        script.reads += 1;
        let number = script.reads;
        if script.is_stopped {
            return Err(stopped());
        }
        script.read_faults.remove(&number).map_or(Ok(()), Err)
    }

    /// Counts and records a commit and gives it the fault that is due.
    fn fault_of(&self, batch: &Batch) -> Result<Option<CommitFault>, StoreError> {
        let mut script = self.script.lock();
        script.commits += 1;
        let number = script.commits;
        if script.is_stopped {
            return Err(stopped());
        }
        if script.is_recording {
            script.recorded.extend_from_slice(batch.writes());
        }
        let fault = script.commit_faults.remove(&number);
        if matches!(fault, Some(CommitFault::Stop | CommitFault::ApplyThenStop)) {
            script.is_stopped = true;
        }
        Ok(fault)
    }

    fn running(&self) -> Result<(), StoreError> {
        if self.script.lock().is_stopped { Err(stopped()) } else { Ok(()) }
    }
}

impl Store for FaultyStore {
    fn get(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        self.read()?;
        self.inner.get(key)
    }

    fn range(&self, space: Space, from: &[u8], limit: u32) -> Result<Page, StoreError> {
        self.read()?;
        self.inner.range(space, from, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Revision, StoreError> {
        match self.fault_of(&batch)? {
            None => self.inner.commit(batch),
            Some(CommitFault::Full) => Err(StoreError::Full),
            Some(CommitFault::Fail | CommitFault::Stop) => Err(scripted()),
            // An applied commit that would have been refused is refused: the fault hides only
            // answers that say it was applied.
            Some(CommitFault::ApplyThenFail | CommitFault::ApplyThenStop) => {
                self.inner.commit(batch).and_then(|_| Err(scripted()))
            }
        }
    }

    fn revision(&self) -> Result<Revision, StoreError> {
        self.running()?;
        self.inner.revision()
    }

    fn watch(&self, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.running()?;
        self.inner.watch(after)
    }

    fn snapshot(&self, visit: &mut Visit<'_>) -> Result<Revision, StoreError> {
        self.read()?;
        self.inner.snapshot(visit)
    }

    fn tidy(&self) -> Result<Tidied, StoreError> {
        self.running()?;
        self.inner.tidy()
    }

    /// Closes the store underneath, unless a scripted crash has happened: the dead close nothing.
    fn close(&self) -> Result<(), StoreError> {
        self.running()?;
        self.inner.close()
    }
}

fn scripted() -> StoreError {
    StoreError::Unavailable { reason: "a fault of the script".to_owned() }
}

fn stopped() -> StoreError {
    StoreError::Unavailable { reason: "the script has stopped this process".to_owned() }
}
