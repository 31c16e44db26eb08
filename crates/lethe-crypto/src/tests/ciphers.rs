//! Published vectors of the ciphers and what they refuse, through the general form of encryption.

use lethe_types::SecretVec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::tally::Tally;
use super::{Broken, Counting, Record, algorithm, altered, quick_key, records};
use crate::CryptoError;
use crate::registry::{
    Algorithm, BlockPadding, CIPHER_NONCE_BYTES_MAX, DecryptParams, EncryptParams, Nonce,
    UsableKey, Use,
};

fn key_of(vector: &Record) -> UsableKey {
    vector.algorithm().load(&SecretVec::from_vec(vector.bytes("key"))).unwrap()
}

fn aad(aad: &[u8]) -> EncryptParams<'_> {
    EncryptParams { aad, ..EncryptParams::default() }
}

fn ciphers() -> impl Iterator<Item = Algorithm> {
    Algorithm::all().filter(|algorithm| algorithm.cipher_shape().is_some())
}

#[test]
fn block_modes_of_nist_and_rfc_3686() {
    let vectors = records(include_str!("../../vectors/block-modes.txt"));
    let mut tallies = [Tally::new("NIST CAVP"), Tally::new("RFC 3686")];
    for vector in &vectors {
        let key = key_of(vector);
        let is_ctr = key.algorithm().name().ends_with("ctr");
        tallies[usize::from(is_ctr)].accepted(key.algorithm());
        let (nonce, plaintext) = (vector.bytes("nonce"), vector.bytes("plaintext"));
        let unpadded = Some(BlockPadding::Unpadded);
        let params = EncryptParams {
            nonce: Nonce::Explicit(&nonce),
            padding: unpadded,
            ..EncryptParams::default()
        };
        let mut out = Vec::new();
        let parts = key.encrypt_with(&Broken, &params, &plaintext, &mut out).unwrap();
        assert_eq!(out[parts.ciphertext], vector.bytes("ciphertext"));
        assert!(parts.tag.is_empty());
        let params = DecryptParams { padding: unpadded, ..DecryptParams::default() };
        assert!(key.decrypt_with(&params, &out).unwrap().ct_eq(&plaintext));
        let separate = DecryptParams { nonce: Some(&nonce), ..params };
        assert!(key.decrypt_with(&separate, &out[nonce.len()..]).unwrap().ct_eq(&plaintext));
    }
    assert_eq!(vectors.len(), 54);
}

#[test]
fn every_padding_byte_of_every_length_is_looked_at() {
    let key = quick_key(algorithm("aes256-cbc"));
    let unpadded =
        EncryptParams { padding: Some(BlockPadding::Unpadded), ..EncryptParams::default() };
    for number in 0..=255_u8 {
        let mut block = [number; 16];
        let sealed = |block: &[u8]| {
            let mut out = Vec::new();
            key.encrypt_with(&Counting, &unpadded, block, &mut out).unwrap();
            out
        };
        let opened = key.decrypt(&sealed(&block), b"");
        if !(1..=16).contains(&number) {
            assert_eq!(opened.map(drop), Err(CryptoError::Authentication), "{number}");
            continue;
        }
        assert_eq!(opened.unwrap().len(), 16 - usize::from(number));
        for place in 16 - usize::from(number)..15 {
            block[place] ^= 0x20;
            let refused = key.decrypt(&sealed(&block), b"").map(drop);
            assert_eq!(refused, Err(CryptoError::Authentication), "{number} {place}");
            block[place] ^= 0x20;
        }
    }
}

#[test]
fn nonces_of_another_length() {
    for algorithm in ciphers().filter(|algorithm| algorithm.name() != "aes256-gcm-convergent") {
        let key = quick_key(algorithm);
        let shape = algorithm.cipher_shape().unwrap();
        for length in (0..=CIPHER_NONCE_BYTES_MAX + 2).chain([1 << 20]) {
            let bytes = vec![7; length];
            let params =
                EncryptParams { nonce: Nonce::Explicit(&bytes), ..EncryptParams::default() };
            let mut out = b"before".to_vec();
            let made = key.encrypt_with(&Broken, &params, &[1; 16], &mut out);
            let given = DecryptParams { nonce: Some(&bytes), ..DecryptParams::default() };
            if shape.explicit_nonce_bytes.contains(&length) {
                let data = &out[made.unwrap().nonce.end..];
                assert!(key.decrypt_with(&given, data).unwrap().ct_eq(&[1; 16]), "{algorithm}");
                continue;
            }
            let refused = CryptoError::Invalid("length of the nonce");
            assert_eq!(made, Err(refused), "{algorithm} {length}");
            assert_eq!(out, b"before");
            assert_eq!(key.decrypt_with(&given, &[0; 64]).map(drop), Err(refused));
        }
    }
}

#[test]
fn tags_of_another_length() {
    for algorithm in ciphers().filter(|it| it.cipher_shape().unwrap().is_authenticated) {
        let key = quick_key(algorithm);
        let mut out = Vec::new();
        let parts = key.encrypt_with(&Counting, &aad(b"aad"), b"plaintext", &mut out).unwrap();
        let (data, tag) = out.split_at(parts.tag.start);
        let longer = [tag, &[0]].concat();
        for tag in (0..tag.len()).map(|length| &tag[..length]).chain([longer.as_slice()]) {
            let params = DecryptParams { tag: Some(tag), aad: b"aad", ..DecryptParams::default() };
            let refused = key.decrypt_with(&params, data).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("length of the tag")), "{algorithm}");
        }
        let params = DecryptParams { tag: Some(tag), aad: b"aad", ..DecryptParams::default() };
        assert!(key.decrypt_with(&params, data).unwrap().ct_eq(b"plaintext"));
    }
}

#[test]
fn altered_and_cut_ciphertexts_of_every_authenticated_cipher() {
    for algorithm in ciphers().filter(|it| it.cipher_shape().unwrap().is_authenticated) {
        let key = quick_key(algorithm);
        let mut out = Vec::new();
        key.encrypt(&Counting, b"some plaintext", b"aad", &mut out).unwrap();
        let check = |data: &[u8], aad: &[u8]| {
            let refused = key.decrypt(data, aad).map(drop);
            assert_eq!(refused, Err(CryptoError::Authentication), "{algorithm}");
        };
        altered(&out).for_each(|data| check(&data, b"aad"));
        (0..out.len()).for_each(|length| check(&out[..length], b"aad"));
        check(&[out.as_slice(), &[0]].concat(), b"aad");
        check(&out, b"");
        check(&out, b"aae");
    }
}

#[test]
fn wide_nonces_are_authenticated_too() {
    let key = quick_key(algorithm("aes256-gcm"));
    let nonce = [9; 16];
    let params =
        EncryptParams { nonce: Nonce::Explicit(&nonce), aad: b"aad", ..EncryptParams::default() };
    let mut out = Vec::new();
    key.encrypt_with(&Broken, &params, b"some plaintext", &mut out).unwrap();
    let check = |nonce: &[u8], data: &[u8], aad: &[u8]| {
        let params = DecryptParams { nonce: Some(nonce), aad, ..DecryptParams::default() };
        let refused = key.decrypt_with(&params, data).map(drop);
        assert_eq!(refused, Err(CryptoError::Authentication));
    };
    let data = &out[16..];
    altered(data).for_each(|data| check(&nonce, &data, b"aad"));
    altered(&nonce).for_each(|nonce| check(&nonce, data, b"aad"));
    (0..data.len()).for_each(|length| check(&nonce, &data[..length], b"aad"));
    check(&nonce, data, b"");
    check(&nonce[..12], data, b"aad");
}

#[test]
fn ciphers_without_authentication_say_so() {
    let refused = CryptoError::Unsupported("authenticate associated data");
    let mut names = Vec::new();
    for algorithm in ciphers().filter(|it| !it.cipher_shape().unwrap().is_authenticated) {
        let key = quick_key(algorithm);
        let mut out = b"before".to_vec();
        assert_eq!(key.encrypt(&Counting, &[1; 16], b"a", &mut out), Err(refused), "{algorithm}");
        assert_eq!(key.encrypt_with(&Counting, &aad(b"a"), &[1; 16], &mut out), Err(refused));
        assert_eq!(out, b"before");
        assert_eq!(key.decrypt(&[1; 64], b"a").map(drop), Err(refused));
        names.push(algorithm.name());
    }
    assert_eq!(names.len(), 12, "{names:?}");
}

#[test]
fn lengths_that_are_not_whole_blocks() {
    for algorithm in ciphers() {
        let key = quick_key(algorithm);
        let shape = algorithm.cipher_shape().unwrap();
        let padding = Some(BlockPadding::Unpadded);
        for length in [1, 15, 17, 31] {
            let params = EncryptParams { padding, ..EncryptParams::default() };
            let mut out = b"before".to_vec();
            let made = key.encrypt_with(&Counting, &params, &vec![1; length], &mut out).map(drop);
            let given = DecryptParams { padding, ..DecryptParams::default() };
            let data = vec![1; shape.nonce_bytes + length];
            let opened = key.decrypt_with(&given, &data).map(drop);
            if shape.padding.is_none() {
                assert_eq!(made, Ok(()), "{algorithm}");
                continue;
            }
            assert!(matches!(made, Err(CryptoError::Invalid(_))), "{algorithm}");
            assert!(matches!(opened, Err(CryptoError::Invalid(_))), "{algorithm}");
            assert_eq!(out, b"before");
        }
        let params =
            EncryptParams { padding: Some(BlockPadding::Pkcs7), ..EncryptParams::default() };
        let made = key.encrypt_with(&Counting, &params, b"any", &mut Vec::new()).map(drop);
        let want = if shape.padding.is_some() {
            Ok(())
        } else {
            Err(CryptoError::Unsupported("pad a plaintext"))
        };
        assert_eq!(made, want, "{algorithm}");
    }
    // With a padding, a wrong length and a wrong padding look the same.
    let key = quick_key(algorithm("aes128-cbc"));
    for length in [0, 1, 15, 16, 17, 31, 33] {
        let refused = key.decrypt(&vec![1; length], b"").map(drop);
        assert_eq!(refused, Err(CryptoError::Authentication), "{length}");
    }
    // Nothing is a whole number of blocks.
    let ecb = quick_key(algorithm("aes128-ecb"));
    let mut out = Vec::new();
    ecb.encrypt(&Broken, b"", b"", &mut out).unwrap();
    assert!(out.is_empty() && ecb.decrypt(b"", b"").unwrap().is_empty());
}

#[test]
fn a_random_source_that_is_out_of_order() {
    for algorithm in ciphers() {
        let draws = algorithm.cipher_shape().unwrap().nonce_bytes > 0
            && algorithm.name() != "aes256-gcm-convergent";
        let mut out = b"before".to_vec();
        let made = quick_key(algorithm).encrypt(&Broken, &[1; 16], b"", &mut out);
        let want = if draws { Err(CryptoError::Entropy) } else { Ok(()) };
        assert_eq!(made, want, "{algorithm}");
        assert!(!draws || out == b"before");
    }
}

#[test]
fn derived_nonces_are_for_gcm_siv_alone() {
    let params =
        EncryptParams { nonce: Nonce::Deterministic { context: b"" }, ..EncryptParams::default() };
    for algorithm in ciphers() {
        let made = quick_key(algorithm)
            .encrypt_with(&Broken, &params, &[1; 16], &mut Vec::new())
            .map(drop);
        let is_allowed = algorithm.cipher_shape().unwrap().is_deterministic_allowed;
        let is_expected =
            algorithm.name().ends_with("gcm-siv") || algorithm.name().ends_with("convergent");
        assert_eq!(is_allowed, is_expected, "{algorithm}");
        let want = if is_allowed {
            Ok(())
        } else {
            Err(CryptoError::Unsupported("encrypt with a derived nonce"))
        };
        assert_eq!(made, want, "{algorithm}");
    }
}

#[test]
fn derived_nonces_follow_everything() {
    let key = quick_key(algorithm("aes256-gcm-siv"));
    let sealed = |context: &[u8], aad: &[u8], plaintext: &[u8]| {
        let params = EncryptParams {
            nonce: Nonce::Deterministic { context },
            aad,
            ..EncryptParams::default()
        };
        let mut out = Vec::new();
        key.encrypt_with(&Broken, &params, plaintext, &mut out).unwrap();
        assert!(key.decrypt(&out, aad).unwrap().ct_eq(plaintext));
        out
    };
    let one = sealed(b"context", b"aad", b"plaintext");
    assert_eq!(one, sealed(b"context", b"aad", b"plaintext"));
    let others = [
        sealed(b"contex", b"taad", b"plaintext"),
        sealed(b"context", b"aadp", b"laintext"),
        sealed(b"context2", b"aad", b"plaintext"),
        sealed(b"", b"aad", b"plaintext"),
        sealed(b"context", b"aad", b"plaintexu"),
    ];
    for other in &others {
        assert_ne!(one[..12], other[..12]);
    }
    // As it is documented, made anew of other parts of this crate.
    let derived = crate::kdf::hkdf_sha256(
        &[],
        algorithm("aes256-gcm-siv").generate(&Counting).unwrap().secret().expose(),
        &[b"lethe-deterministic-nonce/v1"],
    )
    .unwrap();
    let (seven, three) = (7_u64.to_be_bytes(), 3_u64.to_be_bytes());
    let parts: [&[u8]; 5] = [&seven, b"context", &three, b"aad", b"plaintext"];
    assert_eq!(one[..12], crate::hash::hmac_sha256(derived.expose(), &parts)[..12]);
}

#[test]
fn keys_that_do_not_encrypt() {
    for algorithm in Algorithm::all().filter(|algorithm| !algorithm.has(Use::Encrypt)) {
        assert_eq!(algorithm.cipher_shape(), None, "{algorithm}");
    }
}

fn few_cases() -> ProptestConfig {
    ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn every_cipher_opens_what_it_made(plaintext in any::<Vec<u8>>(), aad in any::<Vec<u8>>()) {
        for algorithm in ciphers() {
            let (key, shape) = (quick_key(algorithm), algorithm.cipher_shape().unwrap());
            let aad = if shape.is_authenticated { aad.as_slice() } else { b"" };
            let whole = plaintext.len() - plaintext.len() % 16;
            let plaintext =
                if algorithm.name().ends_with("ecb") { &plaintext[..whole] } else { &plaintext };
            let mut out = Vec::new();
            let parts = key.encrypt_with(&Counting, &super::ciphers::aad(aad), plaintext, &mut out);
            let parts = parts.unwrap();
            assert_eq!(parts.nonce.len(), shape.nonce_bytes);
            assert_eq!(parts.tag.len(), shape.tag_bytes);
            assert!(key.decrypt(&out, aad).unwrap().ct_eq(plaintext), "{algorithm}");
        }
    }

    #[test]
    fn nothing_that_is_decrypted_panics(data in any::<Vec<u8>>()) {
        for algorithm in ciphers() {
            let opened = quick_key(algorithm).decrypt(&data, b"");
            let is_authenticated = algorithm.cipher_shape().unwrap().is_authenticated;
            assert!(!is_authenticated || opened.is_err(), "{algorithm}");
        }
    }
}
