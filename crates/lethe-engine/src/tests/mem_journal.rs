//! A journal's place in memory, which can be made to fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::{JournalFault, JournalPlace, JournalSegment};

/// Clones are handles to the same segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemJournal {
    segments: Arc<Mutex<BTreeMap<JournalSegment, Vec<u8>>>>,
    /// Appends that still fail, each after half of its bytes.
    failing: Arc<AtomicU64>,
}

impl MemJournal {
    /// The same bytes in a place of their own.
    pub(crate) fn copied(&self) -> Self {
        let segments = Arc::new(Mutex::new(self.segments.lock().clone()));
        Self { segments, failing: Arc::default() }
    }

    /// The next `appends` fail.
    pub(crate) fn fail(&self, appends: u64) {
        self.failing.store(appends, Ordering::SeqCst);
    }

    /// Changes the bytes of the newest segment.
    pub(crate) fn alter(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.segments.lock().last_entry().expect("a segment").get_mut());
    }

    pub(crate) fn names(&self) -> Vec<JournalSegment> {
        self.segments.lock().keys().copied().collect()
    }
}

impl JournalPlace for MemJournal {
    fn segments(&self) -> Result<Vec<JournalSegment>, JournalFault> {
        Ok(self.names())
    }

    fn read(&self, segment: JournalSegment) -> Result<Vec<u8>, JournalFault> {
        self.segments.lock().get(&segment).cloned().ok_or_else(|| "no such segment".into())
    }

    fn begin(&mut self, segment: JournalSegment) -> Result<(), JournalFault> {
        self.segments.lock().entry(segment).or_default();
        Ok(())
    }

    fn append(&mut self, segment: JournalSegment, bytes: &[u8]) -> Result<(), JournalFault> {
        let mut segments = self.segments.lock();
        let held = segments.get_mut(&segment).ok_or("no such segment")?;
        let fails = self.failing.load(Ordering::SeqCst);
        if fails > 0 {
            self.failing.store(fails - 1, Ordering::SeqCst);
            held.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err("the test broke the journal".into());
        }
        held.extend_from_slice(bytes);
        Ok(())
    }

    fn cut(&mut self, segment: JournalSegment, length_bytes: u64) -> Result<(), JournalFault> {
        let length = usize::try_from(length_bytes)?;
        self.segments.lock().get_mut(&segment).ok_or("no such segment")?.truncate(length);
        Ok(())
    }

    fn remove(&mut self, segment: JournalSegment) -> Result<(), JournalFault> {
        self.segments.lock().remove(&segment);
        Ok(())
    }
}
