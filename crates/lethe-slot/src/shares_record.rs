//! That recovery shares of a slot's seal exist, in a small file beside each of its files:
//! `root.slot.shares`.
//!
//! ```text
//! 3 of 5 made 2026-11-21T10:18:44.123Z
//! 2 of 3 made 2026-11-22T08:00:00.000Z
//! ```
//! One line for each set, `made …` may be missing. No secret is in it. It is there so that whoever
//! is told of a destruction is told of the shares too.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lethe_erasure::slot::SealShares;
use lethe_types::UnixMillis;

use crate::shares::SHARES_MAX;

/// Longest record that is read, in bytes.
const RECORD_BYTES_MAX: usize = 65_536;

/// The record's file beside the slot file at `slot`.
#[must_use]
pub fn shares_record(slot: &Path) -> PathBuf {
    let mut name = slot.file_name().unwrap_or_default().to_owned();
    name.push(".shares");
    slot.with_file_name(name)
}

/// The line about a set of shares, with its end.
#[must_use]
pub fn shares_line(needed: u8, number: u8, made: UnixMillis) -> String {
    format!("{needed} of {number} made {made}\n")
}

/// The recorded set of which the fewest shares are needed, beside any of these files of one slot;
/// `None` if none was ever made. A record that cannot be read counts as shares of which nothing is
/// known.
#[must_use]
pub fn shares_of_slot<'a>(slots: impl Iterator<Item = &'a Path>) -> Option<SealShares> {
    const UNKNOWN: SealShares = SealShares { needed: 0, number: 0, made: None };
    let mut sets: Vec<SealShares> = Vec::new();
    for slot in slots {
        match fs::read(shares_record(slot)) {
            Ok(bytes) => sets.extend(parse(&bytes).unwrap_or_else(|| vec![UNKNOWN])),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => sets.push(UNKNOWN),
        }
    }
    sets.into_iter().min_by_key(|set| (set.needed, set.made))
}

/// The sets of a record; `None` if it is none.
fn parse(bytes: &[u8]) -> Option<Vec<SealShares>> {
    let text = core::str::from_utf8(bytes).ok().filter(|text| text.len() <= RECORD_BYTES_MAX)?;
    let sets: Option<Vec<SealShares>> = text.lines().map(parse_line).collect();
    sets.filter(|sets| !sets.is_empty())
}

fn parse_line(line: &str) -> Option<SealShares> {
    let (numbers, made) = match line.split_once(" made ") {
        Some((numbers, made)) => (numbers, Some(made.parse().ok()?)),
        None => (line, None),
    };
    let (needed, number) = numbers.split_once(" of ")?;
    let (needed, number): (u8, u8) = (needed.parse().ok()?, number.parse().ok()?);
    let is_possible = number <= SHARES_MAX && (2..=number).contains(&needed);
    is_possible.then_some(SealShares { needed, number, made })
}
