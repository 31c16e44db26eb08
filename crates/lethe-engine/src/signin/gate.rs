//! How many passphrases are hashed at once: each takes 64 MiB and a good part of
//! a second at the default cost.
//!
//! Whoever finds no place is refused at once instead of waiting in a line without end. A source has
//! few places, so that one cannot take them all; attempts from known sources go first and have
//! places of their own in the line, so that many unknown ones cannot keep them out.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::{Condvar, Mutex};

use super::SignInLimits;
use super::limiter::Tag;

/// The part of the line that is kept for known sources: one place in so many.
const PLACES_OF_KNOWN_DIVISOR: usize = 4;

/// Lets a bounded number of computations run.
#[derive(Debug)]
pub(super) struct Gate {
    running_max: usize,
    waiting_max: usize,
    of_source_max: usize,
    line: Mutex<Line>,
    /// Somebody left, so that somebody may run.
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    running: usize,
    /// Those who wait, first come first served, by their tickets.
    known: VecDeque<u64>,
    unknown: VecDeque<u64>,
    tickets: u64,
    /// Running and waiting, by source; no entry is zero.
    of_source: BTreeMap<Tag, usize>,
}

/// The right to compute, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    gate: &'a Gate,
    source: Tag,
}

impl Gate {
    pub(super) fn new(limits: &SignInLimits) -> Self {
        Self {
            // Without any nobody would ever get through, and who waits would wait for ever.
            running_max: limits.hashes_running_max.max(1),
            waiting_max: limits.hashes_waiting_max,
            of_source_max: limits.hashes_of_source_max.max(1),
            line: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    /// Waits for its turn, for as long as those take who were there before. `None` at once if
    /// there is no place to wait, or `source` has all that it may have.
    pub(super) fn enter(&self, source: Tag, is_known: bool) -> Option<Permit<'_>> {
        let mut line = self.line.lock();
        let places = if is_known {
            self.waiting_max
        } else {
            self.waiting_max - self.waiting_max / PLACES_OF_KNOWN_DIVISOR
        };
        let waiting = line.known.len() + line.unknown.len();
        let must_wait = line.running >= self.running_max || waiting > 0;
        let of_source = line.of_source.get(&source).copied().unwrap_or(0);
        if of_source >= self.of_source_max || (must_wait && waiting >= places) {
            return None;
        }
        line.of_source.insert(source, of_source + 1);
        line.tickets += 1;
        let ticket = line.tickets;
        if is_known {
            line.known.push_back(ticket)
        } else {
            line.unknown.push_back(ticket)
        }
        while !line.may_run(ticket, self.running_max) {
            self.moved.wait(&mut line);
        }
        let lane = if is_known { &mut line.known } else { &mut line.unknown };
        lane.pop_front();
        line.running += 1;
        // The next in line may run too if there is another place.
        self.moved.notify_all();
        Some(Permit { gate: self, source })
    }
}

impl Line {
    fn may_run(&self, ticket: u64, running_max: usize) -> bool {
        let next = self.known.front().or(self.unknown.front());
        self.running < running_max && next == Some(&ticket)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut line = self.gate.line.lock();
        line.running -= 1;
        if let Some(of_source) = line.of_source.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                line.of_source.remove(&self.source);
            }
        }
        self.gate.moved.notify_all();
    }
}

#[cfg(test)]
impl Gate {
    /// How many run and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        let line = self.line.lock();
        (line.running, line.known.len() + line.unknown.len())
    }
}
