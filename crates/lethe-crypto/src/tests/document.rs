//! docs/algorithms.md names every algorithm of the registry, with its uses. Whether its numbers of
//! vectors are right is looked at by `cargo xtask vectors --check`.

use std::collections::BTreeMap;

use crate::hash::HashAlgorithm;
use crate::registry::{Algorithm, Use};

/// What has a row and is no algorithm of a key: hashes, derivations, one-time passwords.
const BESIDE_KEYS: [&str; 12] = [
    "argon2id",
    "hkdf-sha256",
    "hkdf-sha384",
    "hkdf-sha512",
    "hotp-sha1",
    "hpke-x25519",
    "pbkdf2-sha256",
    "pbkdf2-sha384",
    "pbkdf2-sha512",
    "totp-sha1",
    "totp-sha256",
    "totp-sha512",
];

/// Cells of each row between the marks, by the name in the first.
fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let document = include_str!("../../../../docs/algorithms.md");
    let (_, rest) = document.split_once("<!-- vectors:").unwrap();
    let (table, _) = rest.split_once("<!-- end of vectors -->").unwrap();
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<_> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        Some((cells[0].strip_prefix('`')?.strip_suffix('`')?, cells))
    });
    let all: Vec<_> = rows.collect();
    let by_name: BTreeMap<_, _> = all.iter().cloned().collect();
    assert_eq!(by_name.len(), all.len(), "a name has two rows");
    by_name
}

#[test]
fn every_algorithm_has_a_row_with_its_uses() {
    let mut rows = rows();
    for algorithm in Algorithm::all() {
        let Some(cells) = rows.remove(algorithm.name()) else { panic!("no row for {algorithm}") };
        let uses: Vec<_> = algorithm.uses().iter().map(Use::as_str).collect();
        assert_eq!(cells[1], uses.join(", "), "{algorithm}");
        assert!(cells.len() == 7 && cells.iter().all(|cell| !cell.is_empty()), "{algorithm}");
        // Whoever reads of an algorithm reads whether somebody looked at its library.
        let is_told = ["validated", "yes", "no"].iter().any(|word| cells[3].starts_with(word));
        assert!(is_told, "{algorithm}");
    }
    for hash in HashAlgorithm::ALL {
        assert!(rows.remove(hash.as_str()).is_some(), "no row for {}", hash.as_str());
    }
    for name in BESIDE_KEYS {
        assert!(rows.remove(name).is_some(), "no row for {name}");
    }
    if !cfg!(feature = "stark") {
        rows.remove("stark");
        rows.remove("hd-stark");
    }
    assert!(rows.is_empty(), "rows of nothing: {:?}", rows.keys());
}

#[test]
fn algorithms_that_nobody_audited_say_so() {
    let rows = rows();
    for name in ["ed448", "x448", "stark", "aes256-kw", "hmac-sha3-256"] {
        assert!(rows[name][3].starts_with("no"), "{name}");
    }
    assert!(rows["stark"][3].contains("not in constant time"));
}
