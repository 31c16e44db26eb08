//! Published vectors of ciphers, authentication codes and key agreement, through the registry.

use lethe_types::SecretVec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::tally::Tally;
use super::{Counting, Exactly, Record, algorithm, hex, quick_key, records};
use crate::CryptoError;
use crate::registry::Algorithm;

fn check_cipher(algorithm: Algorithm, vector: &Record, tally: &mut Tally) {
    tally.ran(algorithm, vector.is_valid());
    let key = algorithm.load(&SecretVec::from_vec(vector.bytes("key"))).unwrap();
    let (nonce, aad) = (vector.bytes("nonce"), vector.bytes("aad"));
    let data = [nonce.clone(), vector.bytes("ciphertext"), vector.bytes("tag")].concat();
    let opened = key.decrypt(&data, &aad);
    if vector.is_valid() {
        let plaintext = vector.bytes("plaintext");
        assert!(opened.unwrap().ct_eq(&plaintext), "{data:?}");
        let mut out = b"before".to_vec();
        key.encrypt(&Exactly(nonce), &plaintext, &aad, &mut out).unwrap();
        assert_eq!(out, [b"before".as_slice(), &data].concat());
    } else {
        assert_eq!(opened.map(drop), Err(CryptoError::Authentication), "{data:?}");
    }
}

#[test]
fn aes_gcm_of_nist() {
    let mut tally = Tally::new("NIST CAVP");
    let mut vectors = records(include_str!("../testdata/aes-gcm.txt"));
    vectors.extend(records(include_str!("../../vectors/gcm-192.txt")));
    for vector in &vectors {
        check_cipher(vector.algorithm(), vector, &mut tally);
    }
    assert_eq!(tally.totals(), (175, 175));
}

#[test]
fn chacha20_poly1305_of_rfc_8439_and_boringssl() {
    let vectors = records(include_str!("../testdata/chacha20-poly1305.txt"));
    let (of_the_rfc, others) = vectors.split_at(1);
    for (suite, vectors) in [("RFC 8439", of_the_rfc), ("BoringSSL", others)] {
        let mut tally = Tally::new(suite);
        for vector in vectors {
            check_cipher(algorithm("chacha20-poly1305"), vector, &mut tally);
        }
    }
    assert_eq!(vectors.len(), 66);
}

#[test]
fn hmac_of_rfc_4231() {
    let mut tally = Tally::new("RFC 4231");
    let vectors = records(include_str!("../testdata/hmac.txt"));
    for vector in &vectors {
        let algorithm = algorithm(&format!("hmac-{}", vector.text("hash")));
        let (material, message) = (vector.bytes("key"), vector.bytes("message"));
        let loaded = algorithm.load(&SecretVec::copy_from(&material));
        if material == b"Jefe" {
            // Four bytes are no key; `primitives.rs` runs this case below the registry.
            assert_eq!(loaded.map(drop), Err(CryptoError::Invalid("length of the key material")));
            tally.skipped(algorithm, "a key below 112 bits is refused");
            continue;
        }
        let key = loaded.unwrap();
        let tag = vector.bytes("tag");
        assert_eq!(key.mac(&message).unwrap(), tag);
        assert_eq!(key.mac_verify(&message, &tag), Ok(true));
        tally.accepted(algorithm);
    }
    assert_eq!((vectors.len(), tally.totals()), (18, (15, 0)));
}

#[test]
fn truncated_hmac_of_rfc_4231_section_4_6_is_refused_unless_agreed_on() {
    let key = algorithm("hmac-sha256").load(&SecretVec::from_vec(vec![0x0c; 20])).unwrap();
    let tag = hex("a3b6167473100ee06e0c796c2955552b");
    let message = b"Test With Truncation";
    assert!(key.mac(message).unwrap().starts_with(&tag));
    assert_eq!(key.mac_verify(message, &tag), Ok(false));
    assert_eq!(key.mac_verify_truncated(message, &tag, 16), Ok(true));
    Tally::new("RFC 4231").accepted("hmac-sha256");
}

#[track_caller]
fn check_agreement(scalar: &str, point: &str, want: &str) {
    Tally::new("RFC 7748").accepted("x25519");
    let key = algorithm("x25519").load(&SecretVec::from_vec(hex(scalar))).unwrap();
    assert!(key.agree(&hex(point)).unwrap().ct_eq(&hex(want)));
}

#[test]
fn x25519_of_rfc_7748() {
    // Section 5.2.
    check_agreement(
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    );
    check_agreement(
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    );
    // Section 6.1, from both sides.
    let alice = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
    let alice_public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
    let bob_public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
    let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    check_agreement(alice, bob_public, shared);
    check_agreement(bob, alice_public, shared);
    for (scalar, public) in [(alice, alice_public), (bob, bob_public)] {
        let key = algorithm("x25519").load(&SecretVec::from_vec(hex(scalar))).unwrap();
        assert_eq!(key.public_key().unwrap().raw(), hex(public));
    }
}

#[test]
fn x25519_iterated_of_rfc_7748_section_5_2() {
    let mut scalar = [0_u8; 32].to_vec();
    scalar[0] = 9;
    let mut point = scalar.clone();
    for round in 1..=1_000 {
        let key = algorithm("x25519").load(&SecretVec::copy_from(&scalar)).unwrap();
        let next = key.agree(&point).unwrap().expose().to_vec();
        point = core::mem::replace(&mut scalar, next);
        if round == 1 {
            let once = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
            assert_eq!(scalar, hex(once));
        }
    }
    assert_eq!(scalar, hex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
    Tally::new("RFC 7748").accepted("x25519");
}

fn few_cases() -> ProptestConfig {
    ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn what_is_encrypted_is_decrypted(
        plaintext in any::<Vec<u8>>(),
        aad in any::<Vec<u8>>(),
        before in any::<Vec<u8>>(),
    ) {
        for name in ["aes128-gcm", "aes256-gcm", "chacha20-poly1305"] {
            let key = quick_key(algorithm(name));
            let mut out = before.clone();
            key.encrypt(&Counting, &plaintext, &aad, &mut out).unwrap();
            let sealed = out.strip_prefix(before.as_slice()).unwrap();
            assert_eq!(sealed.len(), 12 + plaintext.len() + 16);
            assert!(key.decrypt(sealed, &aad).unwrap().ct_eq(&plaintext));
        }
    }
}
