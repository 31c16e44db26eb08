//! When the requests of an open loop are to be sent, and a timer that wakes at those times.
//!
//! An open loop sends at a given rate, whether the server keeps up or not, and its latencies count
//! from the time at which a request was *to be* sent. So a server that stops for a second is
//! charged with everything that would have come in that second, as its clients would.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use crate::local::monotonic;

/// Times at equal distances, each given out once.
#[derive(Debug)]
pub(super) struct Schedule {
    start: Duration,
    time: Duration,
    per_second: u32,
    next: AtomicU64,
}

impl Schedule {
    /// From `start` on for `time`, `per_second` times a second.
    pub(super) fn new(start: Duration, time: Duration, per_second: u32) -> Self {
        Self { start, time, per_second: per_second.max(1), next: AtomicU64::new(0) }
    }

    /// The next time; `None` after the end.
    pub(super) fn next(&self) -> Option<Duration> {
        let offset = offset(self.next.fetch_add(1, Ordering::Relaxed), self.per_second);
        (offset < self.time).then(|| self.start + offset)
    }
}

/// How long after the start the request with this number is to be sent.
fn offset(number: u64, per_second: u32) -> Duration {
    let nanoseconds = u128::from(number) * 1_000_000_000 / u128::from(per_second.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

/// Wakes at a time, within some tens of microseconds: the runtime's own timers are good for
/// milliseconds, which is more than most requests take.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// A timer of the running runtime.
    ///
    /// # Errors
    /// The reason in words.
    pub(super) fn new() -> Result<Self, String> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags);
        let timer = timer.map_err(|error| format!("cannot make a timer: {error}"))?;
        #[expect(
            deprecated,
            reason = "what replaces it is unsafe to call; the descriptor is owned here and stays"
        )]
        let watched = AsyncFd::new(timer);
        watched.map(Self).map_err(|error| format!("cannot watch a timer: {error}"))
    }

    /// Returns at `time` ([`monotonic`]), or at once if it is over.
    ///
    /// # Errors
    /// The reason in words.
    pub(super) async fn wait_until(&mut self, time: Duration) -> Result<(), String> {
        if monotonic() >= time {
            return Ok(());
        }
        let failed = |error: std::io::Error| format!("cannot wait: {error}");
        let it_value = Timespec::try_from(time).map_err(|_| "that is too far off".to_owned())?;
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval, it_value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &once)
            .map_err(|error| failed(error.into()))?;
        let mut ready = self.0.readable().await.map_err(failed)?;
        // How often it fired, which is once; reading makes it silent again.
        let _ = rustix::io::read(ready.get_inner(), &mut [0; 8]);
        ready.clear_ready();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_at_equal_distances_and_end() {
        let start = Duration::from_secs(7);
        let schedule = Schedule::new(start, Duration::from_millis(10), 400);
        let times: Vec<Duration> = std::iter::from_fn(|| schedule.next()).collect();
        let expected = [0, 2_500, 5_000, 7_500].map(|offset| start + Duration::from_micros(offset));
        assert_eq!(times, expected);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn no_rounding_adds_up() {
        #[track_caller]
        fn check(number: u64, per_second: u32, expected: Duration) {
            assert_eq!(offset(number, per_second), expected);
        }
        check(0, 3, Duration::ZERO);
        check(1, 3, Duration::from_nanos(333_333_333));
        check(3_000_000, 3, Duration::from_secs(1_000_000));
        check(u64::MAX, 1, Duration::from_nanos(u64::MAX));
        check(5, 0, Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_timer_never_wakes_early() {
        let mut timer = Timer::new().unwrap();
        for microseconds in [0, 10, 900, 3_000] {
            let time = monotonic() + Duration::from_micros(microseconds);
            timer.wait_until(time).await.unwrap();
            assert!(monotonic() >= time);
        }
        timer.wait_until(Duration::ZERO).await.unwrap();
    }
}
