//! Latencies as a histogram with three significant digits (HdrHistogram): its memory is bounded
//! whatever the number of requests, and the slowest of millions is still in it.

use core::fmt;
use core::time::Duration;

use hdrhistogram::Histogram;

/// What is below, in nanoseconds, is counted as about this.
const SHORTEST_NS: u64 = 1_000;
/// What is above, in nanoseconds, is counted as this: two minutes.
const LONGEST_NS: u64 = 120_000_000_000;
/// Digits that a latency is told apart by.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Any number of latencies.
#[derive(Clone)]
pub(super) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let empty = Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, SIGNIFICANT_DIGITS);
        Self(empty.expect("the bounds are constants that a histogram can have"))
    }
}

impl fmt::Debug for Latencies {
    /// The counts themselves are thousands of numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Latencies({} requests)", self.count())
    }
}

impl Latencies {
    /// One more request.
    pub(super) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All that `other` has, too.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that so many of 1,000 requests do not exceed; zero without requests.
    pub(super) fn percentile(&self, permille: u32) -> Duration {
        if self.0.is_empty() {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.0.value_at_quantile(f64::from(permille) / 1_000.0))
    }

    /// The longest; zero without requests.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_nanos(if self.0.is_empty() { 0 } else { self.0.max() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_milliseconds(values: &[u64]) -> Latencies {
        let mut latencies = Latencies::default();
        values.iter().for_each(|value| latencies.record(Duration::from_millis(*value)));
        latencies
    }

    /// Within the three digits that are kept.
    #[track_caller]
    fn close(found: Duration, expected: Duration) {
        let (found, expected) = (found.as_secs_f64(), expected.as_secs_f64());
        assert!((found - expected).abs() <= expected * 0.001, "{found} is not {expected}");
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        #[track_caller]
        fn check(values: &[u64], permille: u32, expected: u64) {
            let latencies = of_milliseconds(values);
            close(latencies.percentile(permille), Duration::from_millis(expected));
        }
        check(&[], 500, 0);
        check(&[7], 500, 7);
        check(&[7], 990, 7);
        check(&[1, 2], 500, 1);
        check(&[3, 2, 1], 500, 2);
        check(&[1, 2, 3, 4], 500, 2);
        let hundred: Vec<u64> = (1..=100).collect();
        check(&hundred, 500, 50);
        check(&hundred, 990, 99);
        check(&hundred, 1_000, 100);
        check(&hundred, 0, 1);
    }

    #[test]
    fn what_is_out_of_bounds_is_counted_at_the_bound() {
        let mut latencies = of_milliseconds(&[]);
        latencies.record(Duration::ZERO);
        assert!(latencies.percentile(500) < Duration::from_micros(1));
        latencies.record(Duration::MAX);
        close(latencies.longest(), Duration::from_nanos(LONGEST_NS));
        assert_eq!(latencies.count(), 2);
        assert_eq!(of_milliseconds(&[]).longest(), Duration::ZERO);
    }

    #[test]
    fn histograms_add_up() {
        let mut all = of_milliseconds(&[1, 2]);
        all.add(&of_milliseconds(&[9]));
        assert_eq!(all.count(), 3);
        close(all.longest(), Duration::from_millis(9));
    }
}
