//! `lethe bench algorithms`: every algorithm and use of this build on one core, in process and
//! without a server, beside `openssl speed` where the machine has it.
//!
//! Both count operations for each second of CPU time, so that a busy machine changes both alike,
//! and the ratio little. Work of ours goes through the registry as the server's does: nonces are
//! drawn, answers are allocated. `openssl speed` does neither.

mod openssl;
mod report;
mod work;

use core::time::Duration;

use clap::Args;
use lethe_crypto::registry::{Algorithm, AlgorithmError};

use super::load::count;
use crate::failure::Failure;
use crate::output::Output;
use openssl::OpenSsl;
use work::Work;

/// Longest measurement of one use, in seconds.
const SECONDS_MAX: u64 = 60;
/// Shortest time between two looks at the clock.
const BATCH_AT_LEAST: Duration = Duration::from_millis(2);
/// Most operations between two looks at the clock, as a count.
const BATCH_MAX: u64 = 1 << 20;

/// What to measure.
#[derive(Args, Clone, Debug)]
pub(super) struct Algorithms {
    /// CPU time for each algorithm and use
    #[arg(long, value_name = "SECONDS", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// Only these algorithms
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    algorithm: Vec<String>,
    /// Measure `openssl speed` in turn, and print the ratio
    #[arg(long)]
    openssl: bool,
}

/// One use of one algorithm.
#[derive(Debug)]
struct Row {
    algorithm: Algorithm,
    work: Work,
    ours: Rate,
    openssl: Option<f64>,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        Some(self.ours.per_s() / self.openssl.filter(|rate| *rate > 0.0)?)
    }
}

/// Operations, and the CPU time that they took.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    operations: u64,
    cpu: Duration,
}

impl Rate {
    fn per_s(self) -> f64 {
        let operations = count(self.operations);
        operations / self.cpu.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn and(self, other: Self) -> Self {
        Self { operations: self.operations + other.operations, cpu: self.cpu + other.cpu }
    }
}

pub(super) fn run(wanted: &Algorithms, output: &mut Output) -> Result<(), Failure> {
    let algorithms = named(&wanted.algorithm)?;
    let mut openssl = if wanted.openssl { Some(OpenSsl::find(wanted.seconds)?) } else { None };
    let mut rows = Vec::new();
    for algorithm in algorithms {
        for work in Work::of(algorithm) {
            rows.push(measure(algorithm, work, wanted.seconds, openssl.as_mut())?);
        }
    }
    report::print(&rows, openssl.as_ref(), output)?;
    output.finish()
}

fn named(names: &[String]) -> Result<Vec<Algorithm>, Failure> {
    if names.is_empty() {
        return Ok(Algorithm::all().collect());
    }
    let find = |name: &String| {
        Algorithm::from_name(name).map_err(|error| match error {
            AlgorithmError::AlgorithmNotAvailable(_) => Failure::Usage(error.to_string()),
            AlgorithmError::UnknownAlgorithm => {
                Failure::Usage(format!("--algorithm: {name:?}: {error}"))
            }
        })
    };
    names.iter().map(find).collect()
}

/// Half of ours, then theirs, then the other half: what else the machine does meets both.
fn measure(
    algorithm: Algorithm,
    work: Work,
    seconds: u64,
    openssl: Option<&mut OpenSsl>,
) -> Result<Row, Failure> {
    let failed = |error| Failure::Failed(format!("{algorithm} {}: {error}", work.name()));
    let half = Duration::from_secs(seconds) / 2;
    let mut once = work.prepare(algorithm).map_err(failed)?;
    let first = spend(half, once.as_mut()).map_err(failed)?;
    let openssl = match openssl {
        Some(openssl) => openssl.rate(algorithm.name(), work)?,
        None => None,
    };
    let second = spend(half, once.as_mut()).map_err(failed)?;
    Ok(Row { algorithm, work, ours: first.and(second), openssl })
}

/// Repeats `once` until it has taken `least` of CPU time.
fn spend<E>(least: Duration, once: &mut dyn FnMut() -> Result<(), E>) -> Result<Rate, E> {
    // Warm caches and whatever a key makes at its first use.
    once()?;
    let (start, mut rate, mut batch) = (cpu_time(), Rate::default(), 1_u64);
    while rate.cpu < least {
        let before = rate.cpu;
        for _ in 0..batch {
            once()?;
        }
        rate = Rate { operations: rate.operations + batch, cpu: cpu_time().saturating_sub(start) };
        if rate.cpu.saturating_sub(before) < BATCH_AT_LEAST && batch < BATCH_MAX {
            batch *= 2;
        }
    }
    Ok(rate)
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("no thread has used less than no time")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_use_of_every_algorithm_is_measured() {
        for algorithm in Algorithm::all() {
            let uses: BTreeSet<_> =
                Work::of(algorithm).iter().filter_map(|work| work.of_use()).collect();
            let want: BTreeSet<_> = algorithm.uses().iter().collect();
            assert_eq!(uses, want, "{algorithm}");
            // Two of each are enough to see that they do something.
            for work in Work::of(algorithm) {
                if algorithm.is_slow_to_generate() && work == Work::Generate {
                    continue;
                }
                if algorithm.is_slow_to_generate() && algorithm.name() != "rsa-2048" {
                    continue;
                }
                let mut once = work.prepare(algorithm).unwrap();
                once().unwrap();
                once().unwrap();
            }
        }
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(named(&[]).unwrap().len(), Algorithm::all().len());
        let some = named(&["ed25519".to_owned(), "x25519".to_owned()]).unwrap();
        assert_eq!(some.iter().map(|one| one.name()).collect::<Vec<_>>(), ["ed25519", "x25519"]);
        for name in ["", "rsa", "ED25519", "slh-dsa-sha2-128s"] {
            assert!(matches!(named(&[name.to_owned()]), Err(Failure::Usage(_))), "{name}");
        }
    }

    #[test]
    fn what_is_repeated_is_counted() {
        let mut calls = 0;
        let mut once = || -> Result<(), ()> {
            calls += 1;
            Ok(())
        };
        let rate = spend(Duration::from_millis(3), &mut once).unwrap();
        // One more to warm up.
        assert_eq!(rate.operations + 1, calls);
        assert!(rate.cpu >= Duration::from_millis(3) && rate.per_s() > 0.0);
        assert_eq!(spend(Duration::from_secs(60), &mut || Err("first")).map(drop), Err("first"));
    }
}
