//! Published vectors of key wrapping, message authentication codes, hashes and key derivation, and
//! what they refuse.

use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _, KeyWrapPadded as _};
use lethe_types::SecretVec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::tally::Tally;
use super::{algorithm, altered, quick_key, records};
use crate::CryptoError;
use crate::hash::{HashAlgorithm, digest};
use crate::kdf::{
    ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, Argon2Params, KdfHash,
    PBKDF2_ITERATIONS_MAX, PBKDF2_OUTPUT_BYTES_MAX, argon2id, hkdf, pbkdf2,
};
use crate::registry::{Algorithm, Use, WRAPPED_PLAINTEXT_BYTES_MAX};

const KEY_WRAPS: [&str; 6] =
    ["aes128-kw", "aes192-kw", "aes256-kw", "aes128-kwp", "aes192-kwp", "aes256-kwp"];
const MACS: [&str; 5] =
    ["hmac-sha224", "hmac-sha3-224", "hmac-sha3-256", "hmac-sha3-384", "hmac-sha3-512"];

#[test]
fn key_wrapping_of_the_rfcs_and_nist() {
    let vectors = records(include_str!("../../vectors/key-wrap.txt"));
    let mut tallies = [Tally::new("RFC 3394, RFC 5649"), Tally::new("NIST CAVP")];
    for (at, vector) in vectors.iter().enumerate() {
        tallies[usize::from(at >= 5)].ran(vector.algorithm(), vector.is_valid());
        let material = SecretVec::from_vec(vector.bytes("key"));
        let key = vector.algorithm().load(&material).unwrap();
        let (plaintext, wrapped) = (vector.bytes("plaintext"), vector.bytes("wrapped"));
        let unwrapped = key.unwrap(&wrapped);
        if vector.is_valid() {
            assert_eq!(key.wrap(&plaintext).unwrap(), wrapped);
            assert!(unwrapped.unwrap().ct_eq(&plaintext));
        } else {
            assert_eq!(unwrapped.map(drop), Err(CryptoError::Authentication), "{:?}", vector.0);
        }
    }
    assert_eq!(vectors.len(), 197);
    assert!(tallies[1].totals().1 > 20, "{:?}", tallies[1].totals());
}

#[test]
fn key_wrapping_is_that_of_the_library() {
    for (name, cipher) in [("aes128", &AES_128), ("aes256", &AES_256)] {
        let material = algorithm(&format!("{name}-kw")).generate(&super::Counting).unwrap();
        let kek = || AesKek::new(cipher, material.secret().expose()).unwrap();
        let mut out = [0; 128];
        for length in 1..=64 {
            let plaintext: Vec<u8> = (1..=255).cycle().take(length).collect();
            let kwp = algorithm(&format!("{name}-kwp")).load(material.secret()).unwrap();
            let want = kek().wrap_with_padding(&plaintext, &mut out).unwrap();
            assert_eq!(kwp.wrap(&plaintext).unwrap(), want, "{length}");
            let kw = algorithm(&format!("{name}-kw")).load(material.secret()).unwrap();
            match kek().wrap(&plaintext, &mut out) {
                Ok(want) => assert_eq!(kw.wrap(&plaintext).unwrap(), want, "{length}"),
                Err(_) => assert!(kw.wrap(&plaintext).is_err(), "{length}"),
            }
        }
    }
}

#[test]
fn wrapped_keys_that_are_altered_or_of_another_length() {
    for name in KEY_WRAPS {
        let key = quick_key(algorithm(name));
        let wrapped = key.wrap(&[7; 32]).unwrap();
        let check = |wrapped: &[u8]| {
            let refused = key.unwrap(wrapped).map(drop);
            assert_eq!(refused, Err(CryptoError::Authentication), "{name} {}", wrapped.len());
        };
        altered(&wrapped).for_each(|wrapped| check(&wrapped));
        (0..wrapped.len()).for_each(|length| check(&wrapped[..length]));
        check(&[wrapped.as_slice(), &[0]].concat());
        check(&[wrapped.as_slice(), &[0; 8]].concat());
        check(&vec![0; WRAPPED_PLAINTEXT_BYTES_MAX + 24]);
        assert!(key.unwrap(&wrapped).unwrap().ct_eq(&[7; 32]));
        let is_padded = name.ends_with('p');
        for length in [0, 1, 7, 8, 15, 17, 23, 31, WRAPPED_PLAINTEXT_BYTES_MAX + 8] {
            let made = key.wrap(&vec![7; length]).map(drop);
            let is_taken = is_padded && (1..=WRAPPED_PLAINTEXT_BYTES_MAX).contains(&length);
            let refused = Err(CryptoError::Invalid("length of the key to wrap"));
            assert_eq!(made, if is_taken { Ok(()) } else { refused }, "{name} {length}");
        }
        let longest = vec![7; WRAPPED_PLAINTEXT_BYTES_MAX];
        assert!(key.unwrap(&key.wrap(&longest).unwrap()).unwrap().ct_eq(&longest));
    }
    // What one mode wrapped is nothing to the other, nor to another key.
    let (kw, kwp) = (quick_key(algorithm("aes128-kw")), quick_key(algorithm("aes128-kwp")));
    assert!(kwp.unwrap(&kw.wrap(&[7; 32]).unwrap()).is_err());
    assert!(kw.unwrap(&kwp.wrap(&[7; 32]).unwrap()).is_err());
}

/// KWP of whole half blocks is the wrapping of KW from a value that says how long the key is (RFC
/// 5649 sections 3 and 4.1): the vectors of the one are vectors of the other.
#[test]
fn other_initial_values_are_those_of_padded_wrapping() {
    let mut compared = 0;
    for vector in records(include_str!("../../vectors/key-wrap.txt")) {
        let plaintext = vector.bytes("plaintext");
        let name = vector.algorithm().name();
        let is_whole = plaintext.len() >= 16 && plaintext.len().is_multiple_of(8);
        if !vector.is_valid() || !is_whole {
            continue;
        }
        let mut value = [0xa6; 8];
        if name.ends_with('p') {
            value = [0xa6, 0x59, 0x59, 0xa6, 0, 0, 0, 0];
            value[6..].copy_from_slice(&u16::try_from(plaintext.len()).unwrap().to_be_bytes());
        }
        let material = SecretVec::from_vec(vector.bytes("key"));
        let key = algorithm(name.trim_end_matches('p')).load(&material).unwrap();
        assert_eq!(key.wrap_from(&value, &plaintext).unwrap(), vector.bytes("wrapped"));
        assert!(key.unwrap_from(&value, &vector.bytes("wrapped")).unwrap().ct_eq(&plaintext));
        compared += 1;
    }
    assert_eq!(compared, 78);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn wrapping_from_a_value_of_ones_own(
        value in any::<[u8; 8]>(),
        other in any::<[u8; 8]>(),
        seed in any::<[u8; 32]>(),
        halves in 2_usize..70,
    ) {
        let plaintext: Vec<u8> = seed.iter().copied().cycle().take(8 * halves).collect();
        let names = [("aes128-kw", 16), ("aes192-kw", 24), ("aes256-kw", 32), ("aes256", 32)];
        for (name, bytes) in names {
            let key = algorithm(name).load(&SecretVec::copy_from(&seed[..bytes])).unwrap();
            assert_eq!(key.wrap_from(&[0xa6; 8], &plaintext), key.wrap(&plaintext));
            let wrapped = key.wrap_from(&value, &plaintext).unwrap();
            assert!(key.unwrap_from(&value, &wrapped).unwrap().ct_eq(&plaintext));
            if value != other {
                let refused = key.unwrap_from(&other, &wrapped).map(drop);
                assert_eq!(refused, Err(CryptoError::Authentication));
            }
        }
    }
}

#[test]
fn wrapped_keys_from_other_values_that_are_altered_or_of_another_length() {
    let value = *b"a value!";
    for name in ["aes128-kw", "aes192-kw", "aes256-kw", "aes128"] {
        let key = quick_key(algorithm(name));
        let wrapped = key.wrap_from(&value, &[7; 32]).unwrap();
        let check = |value: &[u8; 8], wrapped: &[u8]| {
            let refused = key.unwrap_from(value, wrapped).map(drop);
            assert_eq!(refused, Err(CryptoError::Authentication), "{name} {}", wrapped.len());
        };
        altered(&wrapped).for_each(|wrapped| check(&value, &wrapped));
        altered(&value).for_each(|value| check(&value.try_into().unwrap(), &wrapped));
        (0..wrapped.len()).for_each(|length| check(&value, &wrapped[..length]));
        check(&value, &[wrapped.as_slice(), &[0]].concat());
        check(&value, &[wrapped.as_slice(), &[0; 8]].concat());
        check(&value, &vec![0; WRAPPED_PLAINTEXT_BYTES_MAX + 24]);
        assert_eq!(key.unwrap(&wrapped).map(drop), Err(CryptoError::Authentication));
        for length in [0, 1, 7, 8, 15, 17, 31, WRAPPED_PLAINTEXT_BYTES_MAX + 8] {
            let refused = key.wrap_from(&value, &vec![7; length]).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("length of the key to wrap")), "{length}");
        }
        let longest = vec![7; WRAPPED_PLAINTEXT_BYTES_MAX];
        let wrapped = key.wrap_from(&value, &longest).unwrap();
        assert!(key.unwrap_from(&value, &wrapped).unwrap().ct_eq(&longest));
    }
    // The value of KWP says something else, and others do not wrap.
    for name in ["aes128-kwp", "aes192-kwp", "aes256-kwp", "aes256-gcm", "hmac-sha256", "ed25519"] {
        let key = quick_key(algorithm(name));
        let wrapped = key.wrap_from(&value, &[7; 32]);
        assert!(matches!(wrapped, Err(CryptoError::Unsupported(_))), "{name}");
        let unwrapped = key.unwrap_from(&value, &[7; 40]);
        assert!(matches!(unwrapped, Err(CryptoError::Unsupported(_))), "{name}");
    }
}

#[test]
fn altered_tags_of_every_algorithm() {
    for name in MACS {
        let key = quick_key(algorithm(name));
        let tag = key.mac(b"message").unwrap();
        let check = |tag: &[u8]| assert_eq!(key.mac_verify(b"message", tag), Ok(false), "{name}");
        altered(&tag).for_each(|tag| check(&tag));
        (0..tag.len()).for_each(|length| check(&tag[..length]));
        check(&[tag.as_slice(), &[0]].concat());
        assert_eq!(key.mac_verify(b"messagf", &tag), Ok(false));
        assert_eq!(key.mac_verify(b"message", &tag), Ok(true));
    }
}

#[test]
fn truncation_is_what_was_declared_and_nothing_else() {
    for algorithm in Algorithm::all().filter(|algorithm| algorithm.has(Use::Mac)) {
        let key = quick_key(algorithm);
        let tag = key.mac(b"message").unwrap();
        let refused = Err(CryptoError::Invalid("length of a truncated tag"));
        for declared in [0, 1, 15, tag.len() + 1, usize::MAX] {
            assert_eq!(key.mac_verify_truncated(b"message", &tag, declared), refused);
            assert_eq!(key.mac_verify_truncated(b"message", b"", declared), refused);
        }
        for declared in 16..=tag.len() {
            let verify = |tag: &[u8]| key.mac_verify_truncated(b"message", tag, declared).unwrap();
            assert!(verify(&tag[..declared]));
            assert!(!verify(&tag[..declared - 1]) && !verify(b""));
            assert!(declared == tag.len() || !verify(&tag));
            assert!(altered(&tag[..declared]).all(|tag| !verify(&tag)));
        }
    }
    let other = quick_key(algorithm("aes256-gcm"));
    let refused = other.mac_verify_truncated(b"", &[0; 16], 16);
    assert!(matches!(refused, Err(CryptoError::Unsupported(_))));
}

#[test]
fn hashes_of_nist() {
    let vectors = records(include_str!("../../vectors/hashes.txt"));
    let mut tally = Tally::new("NIST CAVP");
    for vector in &vectors {
        let hash = HashAlgorithm::from_name(vector.text("hash")).unwrap();
        tally.accepted(hash.as_str());
        let message = vector.bytes("message");
        let (head, tail) = message.split_at(message.len() / 2);
        for parts in [vec![message.as_slice()], vec![head, b"", tail]] {
            let made = digest(hash, &parts);
            assert_eq!(made.as_slice(), vector.bytes("digest"));
            assert_eq!(made.as_slice().len(), hash.output_bytes());
        }
    }
    assert_eq!(vectors.len(), 10 * HashAlgorithm::ALL.len());
    for name in ["", "SHA256", "sha-256", "md5", "sha512-256"] {
        assert_eq!(HashAlgorithm::from_name(name), None, "{name}");
    }
}

#[test]
fn derivations_out_of_bounds() {
    let check = |made: Result<SecretVec, CryptoError>| {
        assert!(matches!(made.map(drop), Err(CryptoError::Invalid(_))));
    };
    check(pbkdf2(KdfHash::Sha256, 0, b"salt", b"secret", 32));
    check(pbkdf2(KdfHash::Sha256, PBKDF2_ITERATIONS_MAX + 1, b"salt", b"secret", 32));
    check(pbkdf2(KdfHash::Sha512, u32::MAX, b"salt", b"secret", 32));
    check(pbkdf2(KdfHash::Sha256, 1, b"salt", b"secret", 0));
    check(pbkdf2(KdfHash::Sha256, 1, b"salt", b"secret", PBKDF2_OUTPUT_BYTES_MAX + 1));
    check(hkdf(KdfHash::Sha256, b"", b"secret", &[], 255 * 32 + 1));
    check(hkdf(KdfHash::Sha512, b"", b"secret", &[], usize::MAX));
    assert_eq!(hkdf(KdfHash::Sha256, b"", b"secret", &[], 255 * 32).unwrap().len(), 255 * 32);
    let fine = Argon2Params { memory_kib: 64, passes: 1, lanes: 1 };
    for params in [
        Argon2Params { memory_kib: ARGON2_MEMORY_KIB_MAX + 1, ..fine },
        Argon2Params { passes: ARGON2_PASSES_MAX + 1, ..fine },
        Argon2Params {
            memory_kib: 8 * (ARGON2_LANES_MAX + 1),
            lanes: ARGON2_LANES_MAX + 1,
            ..fine
        },
    ] {
        let refused = argon2id(params, b"somesalt", b"secret").map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("Argon2id parameters")), "{params:?}");
    }
    assert!(argon2id(fine, b"somesalt", b"secret").is_ok());
}

fn few_cases() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn what_is_wrapped_is_unwrapped(key in any::<Vec<u8>>()) {
        for name in KEY_WRAPS {
            let wrapping = quick_key(algorithm(name));
            let is_padded = name.ends_with('p');
            let is_whole = key.len() >= 16 && key.len().is_multiple_of(8);
            let fits = if is_padded { !key.is_empty() } else { is_whole };
            match wrapping.wrap(&key) {
                Ok(wrapped) => assert!(fits && wrapping.unwrap(&wrapped).unwrap().ct_eq(&key)),
                Err(error) => {
                    assert!(!fits && error == CryptoError::Invalid("length of the key to wrap"));
                }
            }
            assert!(wrapping.unwrap(&key).is_err());
        }
    }
}
