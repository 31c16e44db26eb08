//! All metrics of the process, by name and labels.

use core::fmt;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::metrics::text;

/// A number that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds `by`.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Adds `by`; returns the value before.
    pub fn add(&self, by: i64) -> i64 {
        self.0.fetch_add(by, Ordering::Relaxed)
    }

    /// Replaces the value.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many durations fell into each bucket, and their sum.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    /// One for each of `BOUNDS`, and one for what is over the last.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Most durations fall into the first buckets.
        let bucket = BOUNDS.iter().position(|(bound, _)| nanos <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The upper bound in seconds of each bucket, with how many durations were at most that; the
    /// last is `+Inf`.
    pub(crate) fn cumulative(&self) -> Vec<(&'static str, u64)> {
        let bounds = BOUNDS.iter().map(|(_, seconds)| *seconds).chain(["+Inf"]);
        let mut total = 0;
        let counts = self.0.counts.iter().map(|count| {
            total += count.load(Ordering::Relaxed);
            total
        });
        bounds.zip(counts).collect()
    }

    /// The sum of all durations.
    pub(crate) fn sum(&self) -> Duration {
        Duration::from_nanos(self.0.sum_nanos.load(Ordering::Relaxed))
    }
}

/// The metrics of the process. Registering takes a lock; counting does not.
#[derive(Default)]
pub struct Registry {
    families: Mutex<BTreeMap<String, Family>>,
}

/// All series of one name.
pub(crate) struct Family {
    pub(crate) kind: FamilyKind,
    pub(crate) help: String,
    /// By their labels as text, `a="1",b="2"`.
    pub(crate) series: BTreeMap<String, Source>,
}

/// The `# TYPE` of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
}

/// Where the value of a series comes from.
pub(crate) enum Source {
    Counter(Counter),
    CounterCallback(Box<dyn Fn() -> u64 + Send + Sync>),
    Gauge(Gauge),
    GaugeCallback(Box<dyn Fn() -> f64 + Send + Sync>),
    Histogram(Histogram),
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter with this name and these labels; a new one if there is none yet.
    ///
    /// # Errors
    /// [`RegistryError`]; then nothing is registered.
    pub fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Counter, RegistryError> {
        let new = || Source::Counter(Counter::default());
        self.shared(name, help, FamilyKind::Counter, labels, new, |source| match source {
            Source::Counter(counter) => Some(counter.clone()),
            Source::CounterCallback(_)
            | Source::Gauge(_)
            | Source::GaugeCallback(_)
            | Source::Histogram(_) => None,
        })
    }

    /// The gauge with this name and these labels; a new one if there is none yet.
    ///
    /// # Errors
    /// [`RegistryError`]; then nothing is registered.
    pub fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Gauge, RegistryError> {
        let new = || Source::Gauge(Gauge::default());
        self.shared(name, help, FamilyKind::Gauge, labels, new, |source| match source {
            Source::Gauge(gauge) => Some(gauge.clone()),
            Source::Counter(_)
            | Source::CounterCallback(_)
            | Source::GaugeCallback(_)
            | Source::Histogram(_) => None,
        })
    }

    /// The histogram of durations with this name and these labels; a new one if there is none yet.
    ///
    /// # Errors
    /// [`RegistryError`]; then nothing is registered.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Histogram, RegistryError> {
        let new = || Source::Histogram(Histogram::default());
        self.shared(name, help, FamilyKind::Histogram, labels, new, |source| match source {
            Source::Histogram(histogram) => Some(histogram.clone()),
            Source::Counter(_)
            | Source::CounterCallback(_)
            | Source::Gauge(_)
            | Source::GaugeCallback(_) => None,
        })
    }

    /// A counter whose value `value` tells. It is called at each rendering, and must neither
    /// block for long nor use this registry.
    ///
    /// # Errors
    /// [`RegistryError`], also if there is such a series already; then nothing is registered.
    pub fn counter_callback(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        let source = Source::CounterCallback(Box::new(value));
        self.callback(name, help, FamilyKind::Counter, labels, source)
    }

    /// A gauge whose value `value` tells. It is called at each rendering, and must neither block
    /// for long nor use this registry.
    ///
    /// # Errors
    /// [`RegistryError`], also if there is such a series already; then nothing is registered.
    pub fn gauge_callback(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        value: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<(), RegistryError> {
        let source = Source::GaugeCallback(Box::new(value));
        self.callback(name, help, FamilyKind::Gauge, labels, source)
    }

    /// All metrics in Prometheus' text format 0.0.4, families and series in the order of their
    /// names and labels.
    #[must_use]
    pub fn render(&self) -> String {
        text::render(&self.families.lock())
    }

    fn shared<T>(
        &self,
        name: &str,
        help: &str,
        kind: FamilyKind,
        labels: &[(&str, &str)],
        new: impl FnOnce() -> Source,
        pick: impl FnOnce(&Source) -> Option<T>,
    ) -> Result<T, RegistryError> {
        let error = |fault| RegistryError { name: name.to_owned(), fault };
        let labels = text::labels(labels).ok_or_else(|| error(RegistryFault::InvalidLabel))?;
        let mut families = self.families.lock();
        let family = family(&mut families, name, help, kind)?;
        pick(family.series.entry(labels).or_insert_with(new))
            .ok_or_else(|| error(RegistryFault::Taken))
    }

    fn callback(
        &self,
        name: &str,
        help: &str,
        kind: FamilyKind,
        labels: &[(&str, &str)],
        source: Source,
    ) -> Result<(), RegistryError> {
        let error = |fault| RegistryError { name: name.to_owned(), fault };
        let labels = text::labels(labels).ok_or_else(|| error(RegistryFault::InvalidLabel))?;
        let mut families = self.families.lock();
        match family(&mut families, name, help, kind)?.series.entry(labels) {
            Entry::Vacant(slot) => {
                slot.insert(source);
                Ok(())
            }
            Entry::Occupied(_) => Err(error(RegistryFault::Taken)),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.families.lock().keys()).finish()
    }
}

fn family<'a>(
    families: &'a mut BTreeMap<String, Family>,
    name: &str,
    help: &str,
    kind: FamilyKind,
) -> Result<&'a mut Family, RegistryError> {
    let error = |fault| RegistryError { name: name.to_owned(), fault };
    if !text::is_metric_name(name) {
        return Err(error(RegistryFault::InvalidName));
    }
    let new = || Family { kind, help: help.to_owned(), series: BTreeMap::new() };
    let family = families.entry(name.to_owned()).or_insert_with(new);
    if family.kind == kind { Ok(family) } else { Err(error(RegistryFault::OtherKind)) }
}

/// A metric that cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryError {
    name: String,
    fault: RegistryFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RegistryFault {
    InvalidLabel,
    InvalidName,
    OtherKind,
    Taken,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric `{}`: ", self.name)?;
        f.write_str(match self.fault {
            RegistryFault::InvalidLabel => "a label has an invalid name or occurs twice",
            RegistryFault::InvalidName => "the name is not `[a-zA-Z_:][a-zA-Z0-9_:]*`",
            RegistryFault::OtherKind => "the name belongs to a metric of another kind",
            RegistryFault::Taken => "there is such a series already",
        })
    }
}

impl core::error::Error for RegistryError {}

/// Upper bounds of the buckets, in nanoseconds and as seconds in text: from a fast use to the
/// longest deadline.
const BOUNDS: [(u64, &str); 16] = [
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (10_000_000_000, "10"),
];
