//! The clock of the machine, and the one way in which people write a length of time.

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use lethe_types::{Clock, UnixMillis};
use rustix::time::{ClockId, clock_gettime};

/// The wall clock of the machine, optionally shifted forward, and its boot-time clock.
///
/// The boot-time clock (`CLOCK_BOOTTIME`) also runs while the machine sleeps, so that waiting
/// periods and leases do not stretch.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock {
    offset: Duration,
}

impl SystemClock {
    /// The clock as it is.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The wall clock `offset` ahead, to try windows and expiries (`serve --dev --clock-offset`).
    /// The monotonic clock is not shifted: it has no fixed point anyway.
    #[must_use]
    pub fn with_offset(offset: Duration) -> Self {
        Self { offset }
    }

    /// How far the wall clock is ahead of the machine's.
    #[must_use]
    pub fn offset(&self) -> Duration {
        self.offset
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        #[expect(clippy::disallowed_methods, reason = "this is the adapter behind Clock")]
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        // A machine without a battery may start before 1970: time then begins at 1970.
        UnixMillis(0).saturating_add(since_1970.unwrap_or_default()).saturating_add(self.offset)
    }

    fn monotonic(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::Boottime))
            .expect("the time since boot is not negative")
    }
}

/// Longest length of time that [`parse_duration`] takes: 100 years of 365 days.
pub const DURATION_MAX: Duration = Duration::from_secs(36_500 * 86_400);

/// A text that is not a length of time; says which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDuration;

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a length of time is whole numbers with the units d, h, m, s, each at most once and \
             the largest first, as in `7d`, `90m` or `1d12h`; at most 36500d",
        )
    }
}

impl core::error::Error for InvalidDuration {}

/// The length of time that `text` writes, as in `73h`, `7d`, `90m`, `15s` or `1d12h`.
///
/// Strict: no sign, fraction, white space, capital, leading zero or missing unit.
///
/// # Errors
/// [`InvalidDuration`].
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let mut rest = text;
    let mut seconds: u64 = 0;
    let mut units_left: &[(char, u64)] = &UNITS;
    if rest.is_empty() {
        return Err(InvalidDuration);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        if number.len() > 1 && number.starts_with('0') {
            return Err(InvalidDuration);
        }
        let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
        let unit = tail.chars().next().ok_or(InvalidDuration)?;
        let place = units_left.iter().position(|(name, _)| *name == unit).ok_or(InvalidDuration)?;
        let (_, unit_seconds) = units_left[place];
        seconds = number
            .checked_mul(unit_seconds)
            .and_then(|part| seconds.checked_add(part))
            .ok_or(InvalidDuration)?;
        units_left = &units_left[place + 1..];
        rest = &tail[unit.len_utf8()..];
    }
    let duration = Duration::from_secs(seconds);
    if duration <= DURATION_MAX { Ok(duration) } else { Err(InvalidDuration) }
}

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
