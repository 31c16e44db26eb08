//! What came of published vectors, counted while they run.
//!
//! A test makes a [`Tally`] for its suite and tells it of each vector. When the test passes, one
//! line for each algorithm goes to standard output; `cargo xtask vectors` adds the lines up. A
//! number that nothing ran for cannot appear there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

/// The counts of one suite, or of a part of it.
pub(crate) struct Tally {
    suite: &'static str,
    /// By algorithm: accepted, refused.
    counts: BTreeMap<String, (u64, u64)>,
    /// By algorithm and reason.
    skipped: BTreeMap<(String, &'static str), u64>,
}

impl Tally {
    pub(crate) fn new(suite: &'static str) -> Self {
        Self { suite, counts: BTreeMap::new(), skipped: BTreeMap::new() }
    }

    /// A vector whose result came out, or whose signature was found valid.
    pub(crate) fn accepted(&mut self, algorithm: impl ToString) {
        self.counts.entry(algorithm.to_string()).or_default().0 += 1;
    }

    /// A vector that must be refused, and was.
    pub(crate) fn refused(&mut self, algorithm: impl ToString) {
        self.counts.entry(algorithm.to_string()).or_default().1 += 1;
    }

    /// One of the two.
    pub(crate) fn ran(&mut self, algorithm: impl ToString, was_accepted: bool) {
        if was_accepted { self.accepted(algorithm) } else { self.refused(algorithm) }
    }

    /// A vector that says nothing here.
    pub(crate) fn skipped(&mut self, algorithm: impl ToString, reason: &'static str) {
        *self.skipped.entry((algorithm.to_string(), reason)).or_default() += 1;
    }

    /// All that were accepted and all that were refused.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let add = |sum: (u64, u64), one: &(u64, u64)| (sum.0 + one.0, sum.1 + one.1);
        self.counts.values().fold((0, 0), add)
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        let suite = self.suite;
        for (algorithm, (accepted, refused)) in &self.counts {
            writeln!(text, "vectors|{suite}|{algorithm}|{accepted}|{refused}").unwrap();
        }
        for ((algorithm, reason), count) in &self.skipped {
            writeln!(text, "skipped|{suite}|{algorithm}|{count}|{reason}").unwrap();
        }
        text
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // `print` and not the stream itself, so that a plain run of the tests keeps it quiet.
            // With a line of its own in front: the name of a test may stand on the last one.
            #[expect(clippy::print_stdout, reason = "the counts are what the tests are asked for")]
            {
                print!("\n{}", self.lines());
            }
            std::io::stdout().flush().unwrap();
        }
    }
}

#[test]
fn what_did_not_run_is_not_counted() {
    let mut tally = Tally::new("no suite");
    assert_eq!((tally.lines().as_str(), tally.totals()), ("", (0, 0)));
    tally.accepted("a");
    tally.ran("a", false);
    tally.ran("b", true);
    tally.skipped("a", "reason");
    tally.skipped("a", "reason");
    let want = "vectors|no suite|a|1|1\nvectors|no suite|b|1|0\nskipped|no suite|a|2|reason\n";
    assert_eq!((tally.lines().as_str(), tally.totals()), (want, (2, 1)));
    // Nothing of this is a vector.
    tally.counts.clear();
    tally.skipped.clear();
}
