//! Finds connections whose client stalls: in a request head, between requests, or taking an answer.
//!
//! One coarse timer a connection looks at a few counters, so that a request costs no timer. What
//! has stalled for its time is found within half of the shortest timeout after it. Bodies and
//! handlers have limits of their own (`dispatch.rs`).

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;

use crate::options::ListenerOptions;

/// Counters that a connection keeps about itself. Only the watchdog reads them, and it tolerates
/// a stale one, so that all accesses are relaxed.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    reads: AtomicU64,
    /// `reads` when the last request began or ended: more since then is the start of a head.
    reads_at_rest: AtomicU64,
    writes: AtomicU64,
    is_write_blocked: AtomicBool,
    begun: AtomicU64,
    active: AtomicU32,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) has_partial_head: bool,
    pub(crate) writes: u64,
    pub(crate) is_write_blocked: bool,
    pub(crate) begun: u64,
    pub(crate) active: u32,
}

impl Activity {
    pub(crate) fn note_read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_write(&self, is_blocked: bool) {
        self.is_write_blocked.store(is_blocked, Ordering::Relaxed);
        if !is_blocked {
            self.writes.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn note_request_begun(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_request_ended(&self) {
        self.reads_at_rest.store(self.reads.load(Ordering::Relaxed), Ordering::Relaxed);
        self.active.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let begun = self.begun.load(Ordering::Relaxed);
        let reads = self.reads.load(Ordering::Relaxed);
        Snapshot {
            // A connection that never sent anything is waited for like a slow head.
            has_partial_head: begun == 0 || reads != self.reads_at_rest.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            is_write_blocked: self.is_write_blocked.load(Ordering::Relaxed),
            begun,
            active: self.active.load(Ordering::Relaxed),
        }
    }
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Take no further requests.
    Close,
    /// Drop it.
    Cut,
    Keep,
}

/// Remembers since when each kind of stall lasts.
#[derive(Debug)]
pub(crate) struct Watchdog {
    header_read_timeout: Duration,
    write_timeout: Duration,
    idle_timeout: Duration,
    is_http2: bool,
    last: Snapshot,
    at_rest_since: Duration,
    partial_head_since: Option<Duration>,
    write_blocked_since: Option<Duration>,
    is_closing: bool,
}

impl Watchdog {
    pub(crate) fn new(options: &ListenerOptions, is_http2: bool) -> Self {
        Self {
            header_read_timeout: options.header_read_timeout,
            write_timeout: options.write_timeout,
            idle_timeout: options.idle_timeout,
            is_http2,
            last: Snapshot::default(),
            at_rest_since: Duration::ZERO,
            partial_head_since: None,
            write_blocked_since: None,
            is_closing: false,
        }
    }

    /// How often to examine.
    pub(crate) fn tick(&self) -> Duration {
        let shortest = self.header_read_timeout.min(self.write_timeout).min(self.idle_timeout);
        (shortest / 2).max(TICK_MIN)
    }

    /// Looks at the connection `now`, as time since it began. If `is_crowded`, others wait for its
    /// place: it may rest, or stop in a head, for [`CROWD_REST_TIME`] at most.
    pub(crate) fn examine(&mut self, now: Duration, seen: Snapshot, is_crowded: bool) -> Verdict {
        let at_most = if is_crowded { CROWD_REST_TIME } else { Duration::MAX };
        let last = core::mem::replace(&mut self.last, seen);
        let is_write_stuck = seen.is_write_blocked && seen.writes == last.writes;
        let write_blocked_since = self.write_blocked_since.filter(|_| is_write_stuck);
        self.write_blocked_since =
            seen.is_write_blocked.then(|| write_blocked_since.unwrap_or(now));
        if is_over(self.write_blocked_since, self.write_timeout, now) {
            return Verdict::Cut;
        }
        if seen.active > 0 || seen.begun != last.begun {
            self.at_rest_since = now;
            self.partial_head_since = None;
            return Verdict::Keep;
        }
        // HTTP/2 also reads what is no head (pings, window updates): there only idleness counts.
        let has_partial_head = seen.has_partial_head && (!self.is_http2 || seen.begun == 0);
        let start = if seen.begun == 0 { self.at_rest_since } else { now };
        let since = self.partial_head_since.unwrap_or(start);
        self.partial_head_since = has_partial_head.then_some(since);
        if is_over(self.partial_head_since, self.header_read_timeout.min(at_most), now) {
            return Verdict::Cut;
        }
        if !is_over(Some(self.at_rest_since), self.idle_timeout.min(at_most), now) {
            return Verdict::Keep;
        }
        // What does not end when asked to is cut at the next look.
        if core::mem::replace(&mut self.is_closing, true) { Verdict::Cut } else { Verdict::Close }
    }
}

fn is_over(since: Option<Duration>, limit: Duration, now: Duration) -> bool {
    since.is_some_and(|since| now.saturating_sub(since) >= limit)
}

/// How long a connection may rest while others wait for its place.
pub(crate) const CROWD_REST_TIME: Duration = Duration::from_secs(1);

/// Shortest time between two looks: bounds the cost of very short timeouts.
const TICK_MIN: Duration = Duration::from_millis(5);
