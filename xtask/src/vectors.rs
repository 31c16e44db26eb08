//! `cargo xtask vectors`: runs the tests of `lethe-crypto` and prints how many published vectors of
//! each suite passed. `--check` also holds docs/algorithms.md against what ran.
//!
//! The tests print a line for each suite and algorithm (`lethe-crypto/src/tests/tally.rs`); nothing
//! is counted here that did not run. `cargo xtask test` does the same check.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use crate::{cargo, repository_root};

/// What one suite did for one algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: u64,
    refused: u64,
}

impl Count {
    fn total(self) -> u64 {
        self.accepted + self.refused
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
    }
}

/// All that ran.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// By suite and algorithm.
    ran: BTreeMap<(String, String), Count>,
    /// By suite, reason and algorithm.
    skipped: BTreeMap<(String, String, String), u64>,
}

impl Counts {
    /// The sum for each name that `key` finds in suite and algorithm.
    fn by<'a>(&'a self, key: fn(&'a (String, String)) -> &'a str) -> BTreeMap<&'a str, Count> {
        let mut sums = BTreeMap::<&str, Count>::new();
        for (names, count) in self.ran.iter().filter(|((suite, _), _)| suite != OWN) {
            sums.entry(key(names)).or_default().add(*count);
        }
        sums
    }

    fn by_suite(&self) -> BTreeMap<&str, Count> {
        self.by(|(suite, _)| suite)
    }

    fn by_algorithm(&self) -> BTreeMap<&str, Count> {
        self.by(|(_, algorithm)| algorithm)
    }
}

/// Refused cases that nobody published: told, and not counted among the vectors.
const OWN: &str = "bad input, made here";

/// Suites that the project promises; one that ran nothing is said to have run nothing.
const PROMISED: [&str; 14] = [
    "Wycheproof",
    "NIST CAVP",
    "NIST ACVP",
    "RFC 8032",
    "RFC 7748",
    "RFC 8439",
    "RFC 5869",
    "RFC 9180 (HPKE)",
    "RFC 3394, RFC 5649",
    "BIP-32",
    "BIP-340",
    "SLIP-0010",
    "X-Wing, its draft",
    "RFC 4231",
];

/// The document with a row for each algorithm, and how its table begins and ends.
const DOCUMENT: &str = "docs/algorithms.md";
const TABLE_BEGIN: &str = "<!-- vectors: checked by `cargo xtask vectors --check` -->";
const TABLE_END: &str = "<!-- end of vectors -->";

/// Runs the tests and prints.
pub(crate) fn print() -> ExitCode {
    match count(&ALONE) {
        Ok(counts) => {
            tell(&counts);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vectors: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As [`print()`]; fails as well if the document says something else.
pub(crate) fn check() -> ExitCode {
    if holds(&ALONE, tell) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether the vectors pass and the document says how many, in a build of the whole workspace.
pub(crate) fn is_document_right() -> bool {
    holds(&WITH_ALL, |_| ())
}

/// What is built: the crate, or everything, whose features are another build of the crate.
const ALONE: [&str; 2] = ["--package", "lethe-crypto"];
const WITH_ALL: [&str; 1] = ["--workspace"];

fn tell(counts: &Counts) {
    #[expect(clippy::print_stdout, reason = "the counts are the answer of this command")]
    report(counts).iter().for_each(|line| println!("{line}"));
}

fn holds(scope: &[&str], tell: fn(&Counts)) -> bool {
    let checked = count(scope).and_then(|counts| {
        tell(&counts);
        let document = std::fs::read_to_string(repository_root().join(DOCUMENT))
            .map_err(|error| format!("cannot read {DOCUMENT}: {error}"))?;
        Ok(differences(&document, &counts))
    });
    let wrong = checked.unwrap_or_else(|error| vec![error]);
    wrong.iter().for_each(|line| eprintln!("vectors: {line}"));
    wrong.is_empty()
}

fn count(scope: &[&str]) -> Result<Counts, String> {
    let output = Command::new(executable(scope)?)
        .arg("--show-output")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start the tests: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("a test failed, nothing is counted\n{text}"));
    }
    parse(&text)
}

/// Builds the tests of the crate, and says where they are.
fn executable(scope: &[&str]) -> Result<String, String> {
    let mut command = cargo(&["test", "--lib", "--no-run", "--message-format=json"]);
    let output = command
        .args(scope)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests do not compile".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = text.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_ours =
            message["target"]["name"] == "lethe_crypto" && message["profile"]["test"] == true;
        message["executable"].as_str().filter(|_| is_ours).map(str::to_owned)
    });
    executable.ok_or_else(|| "cargo names no tests of lethe-crypto".to_owned())
}

/// The counts in what the tests said.
fn parse(text: &str) -> Result<Counts, String> {
    let mut counts = Counts::default();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let number = |text: &str| {
            text.parse::<u64>().map_err(|_| format!("no number in what the tests said: {line}"))
        };
        match *fields.as_slice() {
            ["vectors", suite, algorithm, accepted, refused] => {
                let count = Count { accepted: number(accepted)?, refused: number(refused)? };
                counts.ran.entry((suite.into(), algorithm.into())).or_default().add(count);
            }
            ["skipped", suite, algorithm, skipped, reason] => {
                let names = (suite.into(), reason.into(), algorithm.into());
                *counts.skipped.entry(names).or_default() += number(skipped)?;
            }
            _ => {}
        }
    }
    if counts.ran.is_empty() { Err("no vector ran".to_owned()) } else { Ok(counts) }
}

fn report(counts: &Counts) -> Vec<String> {
    let head = format!("{:32} {:24} {:>8} {:>8}", "SUITE", "ALGORITHM", "ACCEPTED", "REFUSED");
    let mut lines = vec![head];
    let row = |suite: &str, algorithm: &str, count: Count| {
        format!("{suite:32} {algorithm:24} {:8} {:8}", count.accepted, count.refused)
    };
    for ((suite, algorithm), count) in &counts.ran {
        lines.push(row(suite, algorithm, *count));
    }
    lines.push(String::new());
    let suites = counts.by_suite();
    let mut all = Count::default();
    for (suite, count) in &suites {
        lines.push(row(suite, "all", *count));
        all.add(*count);
    }
    for promised in PROMISED.iter().filter(|promised| !suites.contains_key(*promised)) {
        lines.push(format!("{promised:32} no vector ran"));
    }
    lines.push(row("all", "all", all));
    let own = counts.ran.iter().filter(|((suite, _), _)| suite == OWN);
    let own: u64 = own.map(|(_, count)| count.total()).sum();
    lines.push(format!("Beside them {own} cases of bad input, made here, were refused."));
    lines.push(String::new());
    lines.push(
        "Accepted: the result came out as published. Refused: a bad one was turned away.".into(),
    );
    let reasons: BTreeSet<(&str, &str)> =
        counts.skipped.keys().map(|(suite, reason, _)| (suite.as_str(), reason.as_str())).collect();
    for (suite, reason) in reasons {
        let of_reason = counts
            .skipped
            .iter()
            .filter(|((own_suite, own_reason, _), _)| own_suite == suite && own_reason == reason);
        let (names, number) = of_reason.fold((Vec::new(), 0), |(mut names, sum), (key, count)| {
            names.push(key.2.as_str());
            (names, sum + count)
        });
        lines.push(format!("not run: {number:5} of {suite}: {reason} ({})", names.join(", ")));
    }
    lines
}

/// Where the table of the document and what ran differ: a row without vectors that has some, a
/// wrong number, an algorithm with vectors that has no row.
fn differences(document: &str, counts: &Counts) -> Vec<String> {
    let Some(rows) = rows_of(document) else {
        return vec![format!("{DOCUMENT} has no table between the two marks")];
    };
    let ran = counts.by_algorithm();
    let mut wrong = Vec::new();
    for (algorithm, said) in &rows {
        let total = ran.get(algorithm.as_str()).map_or(0, |count| count.total());
        if *said != total {
            wrong.push(format!("{DOCUMENT}: {algorithm}: says {said} vectors, {total} passed"));
        }
    }
    for algorithm in ran.keys().filter(|algorithm| !rows.contains_key(**algorithm)) {
        wrong.push(format!("{DOCUMENT}: has no row for {algorithm}, which has vectors"));
    }
    wrong
}

/// Algorithm (first cell) and number of vectors (fifth cell) of the rows between the marks.
fn rows_of(document: &str) -> Option<BTreeMap<String, u64>> {
    let (_, rest) = document.split_once(TABLE_BEGIN)?;
    let (table, _) = rest.split_once(TABLE_END)?;
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let name = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
        let number = cells.get(VECTORS_CELL)?.replace(',', "");
        Some((name.to_owned(), number.parse().ok()?))
    });
    Some(rows.collect())
}

const VECTORS_CELL: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "
running 3 tests
test a ... ok
vectors|Wycheproof|aes128-gcm|40|50
vectors|Wycheproof|aes128-gcm|2|1
vectors|NIST CAVP|aes128-gcm|7|0
vectors|NIST CAVP|sha256|10|0
skipped|Wycheproof|aes128-gcm|3|a length of nonce that is refused
test result: ok.
";

    #[test]
    fn counts_are_what_the_tests_said() {
        let counts = parse(SAID).unwrap();
        let suites = counts.by_suite();
        assert_eq!(suites["Wycheproof"], Count { accepted: 42, refused: 51 });
        assert_eq!(suites["NIST CAVP"].total(), 17);
        assert_eq!(counts.by_algorithm()["aes128-gcm"].total(), 100);
        let text = report(&counts).join("\n");
        assert!(text.contains("not run:     3 of Wycheproof: a length of nonce"), "{text}");
        assert!(text.contains("RFC 9180 (HPKE)                  no vector ran"), "{text}");
    }

    #[test]
    fn nothing_is_not_counted_as_something() {
        for text in ["", "test a ... ok", "vectors|a|b|1", "skipped|a|b|1|c"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["vectors|a|b|x|0", "vectors|a|b|1|-1", "skipped|a|b||reason"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_document_that_went_stale_is_found() {
        let counts = parse(SAID).unwrap();
        let document = |rows: &str| format!("# Title\n{TABLE_BEGIN}\n{rows}\n{TABLE_END}\n");
        let right = "| name | a | b | c | vectors |\n| --- | --- |\n\
                     | `aes128-gcm` | x | x | x | 100 | y |\n| `sha256` | x | x | x | 10 | y |";
        assert_eq!(differences(&document(right), &counts), Vec::<String>::new());
        let check = |rows: &str, wrong: usize| {
            assert_eq!(differences(&document(rows), &counts).len(), wrong, "{rows}");
        };
        check(&right.replace("100", "1,000"), 1);
        check(&right.replace("100", "-"), 1);
        check(&right.replace("`sha256`", "`sha512`"), 2);
        check("", 2);
        check(&format!("{right}\n| `hpke` | x | x | x | 5 |"), 1);
        assert_eq!(differences(right, &counts).len(), 1);
    }
}
