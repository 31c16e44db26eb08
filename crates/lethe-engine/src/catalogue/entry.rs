//! One key as the catalogue holds it. Built for size: there are millions.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use lethe_crypto::registry::UsableKey;
use lethe_store::Revision;

use super::usage::{Usage, UsageRow};
use crate::record::KeyRecord;

/// A key as the catalogue holds it.
#[derive(Debug)]
pub struct KeyEntry {
    record: KeyRecord,
    revision: Revision,
    expanded: Expanded,
    /// There from the first use or change on.
    usage: OnceLock<Arc<Usage>>,
    /// The key's number in the indexes; the same for all entries of a key.
    ordinal: AtomicU32,
    /// What is about to be destroyed: raised before that becomes durable, and from then on no use
    /// of it begins. [`OPEN`], [`WHOLE_KEY`], or the number of a version.
    closing: AtomicU32,
}

/// Nothing is about to be destroyed. No version has this number.
const OPEN: u32 = 0;
/// The key with all its versions is. No version has this number.
const WHOLE_KEY: u32 = u32::MAX;

/// Places for the expanded versions. Nearly all keys have one version, and need no allocation.
#[derive(Debug)]
enum Expanded {
    One(ArcSwapOption<UsableKey>),
    Several(Box<[ArcSwapOption<UsableKey>]>),
}

impl Expanded {
    fn new(versions: usize) -> Self {
        if versions == 1 {
            Self::One(ArcSwapOption::empty())
        } else {
            Self::Several((0..versions).map(|_| ArcSwapOption::empty()).collect())
        }
    }

    fn places(&self) -> &[ArcSwapOption<UsableKey>] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Several(places) => places,
        }
    }
}

impl KeyEntry {
    /// `usage` is that of the entry before, or a new one.
    pub(crate) fn new(mut record: KeyRecord, revision: Revision, mut usage: Arc<Usage>) -> Self {
        record.versions.shrink_to_fit();
        record.aliases.shrink_to_fit();
        let expanded = Expanded::new(record.versions.len());
        // Nobody else knows it and it says nothing: it is made when it is needed.
        let is_blank = Arc::get_mut(&mut usage).is_some_and(|usage| usage.row().is_none());
        let usage = if is_blank { OnceLock::new() } else { OnceLock::from(usage) };
        let (ordinal, closing) = (AtomicU32::new(u32::MAX), AtomicU32::new(OPEN));
        Self { record, revision, expanded, usage, ordinal, closing }
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &KeyRecord {
        &self.record
    }

    /// The store revision that the record was written at; an entity tag for `If-Match`.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// What counts its uses.
    #[must_use]
    pub fn usage(&self) -> &Arc<Usage> {
        self.usage.get_or_init(Arc::default)
    }

    /// All its uses so far, if there was one.
    #[must_use]
    pub fn used(&self) -> Option<UsageRow> {
        self.usage.get()?.row()
    }

    pub(super) fn ordinal(&self) -> u32 {
        self.ordinal.load(Ordering::Relaxed)
    }

    pub(super) fn set_ordinal(&self, ordinal: u32) {
        self.ordinal.store(ordinal, Ordering::Relaxed);
    }

    pub(crate) fn expanded(&self, position: usize) -> Option<&ArcSwapOption<UsableKey>> {
        self.expanded.places().get(position)
    }

    /// Drops all expanded keys; they are made again at the next use.
    pub(crate) fn forget_expanded(&self) {
        for place in self.expanded.places() {
            place.store(None);
        }
    }

    /// Whether the whole key is about to be destroyed.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire) == WHOLE_KEY
    }

    /// Whether that version is about to be destroyed, alone or with its key.
    pub(crate) fn is_closing_version(&self, number: u32) -> bool {
        let closing = self.closing.load(Ordering::Acquire);
        closing == WHOLE_KEY || closing == number
    }

    pub(crate) fn close(&self) {
        self.closing.store(WHOLE_KEY, Ordering::Release);
    }

    pub(crate) fn close_version(&self, number: u32) {
        self.closing.store(number, Ordering::Release);
    }

    pub(crate) fn reopen(&self) {
        self.closing.store(OPEN, Ordering::Release);
    }
}
