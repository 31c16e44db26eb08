//! Time as an argument.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The moment `by` later; stops at the largest representable moment.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// A wall clock and a clock that never steps.
pub trait Clock: Send + Sync {
    /// Wall-clock time. May step in either direction.
    fn now(&self) -> UnixMillis;

    /// Time since an arbitrary fixed point; never goes back, also runs while the machine sleeps.
    fn monotonic(&self) -> Duration;
}

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC with milliseconds and `Z`, as in `2026-11-21T10:18:44.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment =
            i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        // Past year 9999 RFC 3339 has no text; such a moment is "never" for every purpose we have.
        write!(f, "{:.3}", moment.unwrap_or(jiff::Timestamp::MAX))
    }
}

/// A text that is not a moment after 1970 in the form that [`UnixMillis`] prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTime;

impl fmt::Display for InvalidTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time is RFC 3339 in UTC with milliseconds, as in 2026-11-21T10:18:44.123Z")
    }
}

impl core::error::Error for InvalidTime {}

impl FromStr for UnixMillis {
    type Err = InvalidTime;

    /// Strict: only the exact form that `Display` prints.
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| InvalidTime)?;
        let time = u64::try_from(moment.as_millisecond()).map(Self).map_err(|_| InvalidTime)?;
        if time.to_string() == text { Ok(time) } else { Err(InvalidTime) }
    }
}
