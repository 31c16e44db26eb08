//! Bounds the number of expanded keys in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use lethe_types::limits::KEY_CACHE_ENTRIES_MAX;
use parking_lot::Mutex;

use crate::catalogue::KeyEntry;

/// The keys that hold expanded versions, oldest fill first.
///
/// The expanded keys themselves live in their catalogue entries; this only remembers where, so that
/// the oldest can be dropped. A key that is still in use is made again at its next use.
#[derive(Debug, Default)]
pub(crate) struct ExpandedKeys {
    filled: Mutex<VecDeque<Weak<KeyEntry>>>,
}

impl ExpandedKeys {
    /// Notes that `entry` now holds an expanded key.
    pub(crate) fn filled(&self, entry: &Arc<KeyEntry>) {
        let oldest = {
            let mut filled = self.filled.lock();
            filled.push_back(Arc::downgrade(entry));
            if filled.len() > KEY_CACHE_ENTRIES_MAX { filled.pop_front() } else { None }
        };
        if let Some(oldest) = oldest.and_then(|entry| entry.upgrade()) {
            oldest.forget_expanded();
        }
    }
}
