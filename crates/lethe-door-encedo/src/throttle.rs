//! How long the answer to a login takes at least.

use core::time::Duration;

use lethe_types::Clock;
use parking_lot::Mutex;

/// What clients may measure: half a second, and a little for the clocks.
const USUAL: Duration = Duration::from_millis(505);
/// The same after failures.
const AFTER_FAILURES: Duration = Duration::from_millis(1_510);
/// Failures in a row after which answers take longer.
const FAILURES: u32 = 3;
/// After so long without a failure all is as usual.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15);

/// Remembers failures, of anybody: whoever guesses does not say who they are.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    count: u32,
    last: Duration,
}

impl Throttle {
    /// How long the answer to an attempt that begins now must take.
    pub(crate) fn wait(&self, clock: &dyn Clock) -> Duration {
        let mut failures = self.0.lock();
        if clock.monotonic().saturating_sub(failures.last) >= FORGOTTEN_AFTER {
            failures.count = 0;
        }
        if failures.count >= FAILURES { AFTER_FAILURES } else { USUAL }
    }

    /// How the attempt ended.
    pub(crate) fn ended(&self, clock: &dyn Clock, succeeded: bool) {
        let mut failures = self.0.lock();
        if succeeded {
            failures.count = 0;
        } else {
            failures.count = failures.count.saturating_add(1);
            failures.last = clock.monotonic();
        }
    }
}
