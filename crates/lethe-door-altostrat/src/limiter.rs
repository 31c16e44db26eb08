//! How many requests of one kind somebody may make in a while.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

/// Most callers that are remembered; beyond it those whose time is over are forgotten, and if there
/// are none, all.
const CALLERS_MAX: usize = 65_536;

/// Counts requests in fixed windows that begin with the first one of a caller.
#[derive(Debug)]
pub(crate) struct Limiter<K> {
    /// Requests in a window; 0: no bound.
    limit: u32,
    window: Duration,
    seen: Mutex<BTreeMap<K, (Duration, u32)>>,
}

impl<K: Ord> Limiter<K> {
    pub(crate) fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, seen: Mutex::default() }
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Counts one request at `now`, on a clock that never steps.
    ///
    /// # Errors
    /// How many seconds to wait, at least 1, if it is one too many.
    pub(crate) fn count(&self, who: K, now: Duration) -> Result<(), u64> {
        if self.limit == 0 {
            return Ok(());
        }
        let mut seen = self.seen.lock();
        if seen.len() >= CALLERS_MAX && !seen.contains_key(&who) {
            seen.retain(|_, (start, _)| now.saturating_sub(*start) < self.window);
            if seen.len() >= CALLERS_MAX {
                seen.clear();
            }
        }
        let (start, count) = seen.entry(who).or_insert((now, 0));
        if now.saturating_sub(*start) >= self.window {
            (*start, *count) = (now, 0);
        }
        if *count >= self.limit {
            let left = self.window.saturating_sub(now.saturating_sub(*start));
            return Err(left.as_secs().max(1));
        }
        *count += 1;
        Ok(())
    }
}
