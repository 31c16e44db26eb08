//! Tests of the crate: the table, published vectors, and what must be refused.

mod otp;
mod passphrase;
mod primitives;
mod refused;
mod registry;
mod sealed;
mod signature_vectors;
mod signing_key;
mod token;
mod vectors;

use std::collections::BTreeMap;

use lethe_types::{Entropy, EntropyError, SecretVec};

use crate::registry::{Algorithm, UsableKey};

/// One block of a file under `testdata/`: `name = value` lines, `#` for comments.
struct Record(BTreeMap<&'static str, &'static str>);

impl Record {
    #[track_caller]
    fn text(&self, name: &str) -> &'static str {
        self.0.get(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", self.0))
    }

    #[track_caller]
    fn bytes(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    fn is_valid(&self) -> bool {
        self.0.get("result").is_none_or(|result| *result == "valid")
    }

    fn algorithm(&self) -> Algorithm {
        algorithm(self.text("algorithm"))
    }
}

fn records(file: &'static str) -> Vec<Record> {
    let blocks = file.split("\n\n").map(|block| {
        let lines = block.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Record(lines.map(|line| line.split_once(" =").unwrap()).map(trimmed).collect())
    });
    blocks.filter(|record| !record.0.is_empty()).collect()
}

fn trimmed((name, value): (&'static str, &'static str)) -> (&'static str, &'static str) {
    (name, value.trim())
}

#[track_caller]
fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[track_caller]
fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

#[track_caller]
fn algorithm(name: &str) -> Algorithm {
    name.parse().unwrap()
}

/// Keys that OpenSSL made, by the name of their algorithm.
fn stored_key(name: &str, field: &str) -> Vec<u8> {
    let keys = records(include_str!("../testdata/keys.txt"));
    keys.iter().find(|key| key.text("algorithm") == name).unwrap().bytes(field)
}

/// A key of every algorithm in little time: RSA keys come from a file.
fn quick_key(algorithm: Algorithm) -> UsableKey {
    let material = if algorithm.is_slow_to_generate() {
        SecretVec::from_vec(stored_key(algorithm.name(), "pkcs8"))
    } else {
        algorithm.generate(&Counting).unwrap().into_parts().0
    };
    algorithm.load(&material).unwrap()
}

/// Gives 1, 2, 3, …: enough for keys whose secrecy does not matter.
struct Counting;

impl Entropy for Counting {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        buf.iter_mut().zip((1..=255).cycle()).for_each(|(byte, value)| *byte = value);
        Ok(())
    }
}

/// Gives these bytes, once asked for exactly as many.
struct Exactly(Vec<u8>);

impl Entropy for Exactly {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        assert_eq!(buf.len(), self.0.len());
        buf.copy_from_slice(&self.0);
        Ok(())
    }
}

/// A random source that is out of order.
struct Broken;

impl Entropy for Broken {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        // What a failing source left in the buffer must not be used.
        buf.fill(0xee);
        Err(EntropyError)
    }
}

/// Every copy of `bytes` with one bit of one byte altered.
fn altered(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(move |at| {
        let mut copy = bytes.to_vec();
        copy[at] ^= 1 << (at % 8);
        copy
    })
}
