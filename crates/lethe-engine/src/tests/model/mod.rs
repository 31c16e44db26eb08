//! The whole engine against a naive model: random operations from a seed, with stores that fail,
//! restarts and time that passes between them. After each, the engine must have answered what the
//! model says, and be as the model is.
//!
//! `seeds.txt` holds seeds that once failed; a fixed number of others runs each time, always the
//! same. `LETHE_MODEL_SEEDS=2000` runs so many others instead:
//! with `cargo test`, since nextest ends what takes a minute.

#![expect(clippy::wildcard_enum_match_arm, reason = "an operation is one kind's or another's")]

mod compare;
mod convert;
mod many;
mod ops;
mod people;
mod play;
mod rules;
mod world;

use std::collections::BTreeSet;

use self::ops::{Chance, Step};
use self::play::{Base, Failure, play};

/// Fresh seeds of each run, and the steps of one.
const FRESH_SEEDS: usize = 60;
const STEPS: usize = 60;

/// Where the fresh seeds begin.
const BASE_SEED: u64 = 0x6c65_7468_6500_0001;

/// What every run must have led to, so that none of it is compared in words alone.
const ANSWERS: &[&str] = &[
    "already_pending",
    "approval_unusable",
    "approvals_missing",
    "authentication_not_successful",
    "destroyed",
    "evidence_not_valid",
    "has_dependants",
    "held",
    "idempotency_key_reused",
    "invalid_field",
    "item_not_found",
    "must_be_suspended",
    "name_taken",
    "not_confirmed",
    "object_destroyed",
    "ok",
    "ok again",
    "permission_denied",
    "protected",
    "rate_limited",
    "recently_used",
    "scheduled",
    "storage_full",
    "storage_unavailable",
    "vault_not_empty",
    "window_missing",
    "window_running",
    "window_too_long",
    "window_too_short",
    "wrong_key_lifecycle_state",
    "wrong_state_for_use",
];

#[test]
#[expect(clippy::print_stdout, reason = "the count of cases is the measure that is asked for")]
fn the_engine_does_what_the_model_says() {
    let wanted = std::env::var("LETHE_MODEL_SEEDS").ok();
    let fresh = wanted.map_or(FRESH_SEEDS, |text| text.parse().expect("a number of seeds"));
    let mut chance = Chance(BASE_SEED);
    let known = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let known = known.map(|line| u64::from_str_radix(line.trim(), 16).expect("a seed"));
    let seeds: Vec<u64> = known.chain((0..fresh).map(|_| chance.next())).collect();
    let base = Base::new();
    let mut answers = BTreeSet::new();
    for seed in &seeds {
        let steps = ops::steps(*seed, STEPS);
        match play(&base, &steps) {
            Ok(answered) => answers.extend(answered),
            Err(failure) => {
                let (steps, failure) = shrunk(&base, steps, failure);
                let list: Vec<String> = steps.iter().map(|step| format!("  {step:?}")).collect();
                panic!("seed {seed:016x}: {}\n{}", failure.what, list.join("\n"));
            }
        }
    }
    println!("model: {} seeds of {STEPS} steps", seeds.len());
    let never: Vec<&&str> = ANSWERS.iter().filter(|answer| !answers.contains(**answer)).collect();
    assert!(never.is_empty(), "the steps never lead to {never:?}");
}

/// The shortest list of steps that still fails: up to the failure, and without what can be left
/// out, larger pieces first.
fn shrunk(base: &Base, mut steps: Vec<Step>, mut failure: Failure) -> (Vec<Step>, Failure) {
    steps.truncate(failure.at + 1);
    let mut piece = steps.len().div_ceil(2);
    while piece > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + piece).min(steps.len()));
            match play(base, &fewer) {
                Err(other) => {
                    fewer.truncate(other.at + 1);
                    (steps, failure) = (fewer, other);
                }
                Ok(_) => from += piece,
            }
        }
        piece /= 2;
    }
    (steps, failure)
}
