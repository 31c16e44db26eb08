//! What must be refused: each a row of a table.

use lethe_types::SecretVec;
use lethe_types::limits::PLAINTEXT_BYTES_MAX;

use super::{
    Broken, Counting, LOW_ORDER_POINTS, algorithm, altered, hex, quick_key, sign, stored_key,
    verify,
};
use crate::CryptoError;
use crate::registry::{Algorithm, SignatureScheme, UsableKey, Use};

const CIPHERS: [&str; 3] = ["aes128-gcm", "aes256-gcm", "chacha20-poly1305"];

fn encrypted(key: &UsableKey, plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    key.encrypt(&Counting, plaintext, aad, &mut out).unwrap();
    out
}

#[track_caller]
fn check_not_decrypted(key: &UsableKey, data: &[u8], aad: &[u8]) {
    let refused = key.decrypt(data, aad).map(drop);
    assert_eq!(refused, Err(CryptoError::Authentication), "{key:?} {data:?}");
}

#[test]
fn altered_ciphertexts() {
    for name in CIPHERS {
        let key = quick_key(algorithm(name));
        let (plaintext, aad) = (b"some plaintext", b"associated data");
        let data = encrypted(&key, plaintext, aad);
        // Every byte of nonce, ciphertext and tag, and of the associated data.
        altered(&data).for_each(|data| check_not_decrypted(&key, &data, aad));
        altered(aad).for_each(|aad| check_not_decrypted(&key, &data, &aad));
        // Every shorter length, those without room for nonce and tag included, and longer ones.
        (0..data.len()).for_each(|length| check_not_decrypted(&key, &data[..length], aad));
        (1..data.len()).for_each(|start| check_not_decrypted(&key, &data[start..], aad));
        check_not_decrypted(&key, &[data.as_slice(), &[0]].concat(), aad);
        check_not_decrypted(&key, &vec![0; PLAINTEXT_BYTES_MAX + 1], aad);
        for aad in [b"".as_slice(), b"associated dat", b"associated data\0"] {
            check_not_decrypted(&key, &data, aad);
        }
        assert!(key.decrypt(&data, aad).unwrap().ct_eq(plaintext));
    }
}

#[test]
fn ciphertexts_of_another_key_or_algorithm() {
    let data = encrypted(&quick_key(algorithm("aes256-gcm")), b"plaintext", b"");
    for name in ["aes128-gcm", "chacha20-poly1305"] {
        check_not_decrypted(&quick_key(algorithm(name)), &data, b"");
    }
    let other = algorithm("aes256-gcm").load(&SecretVec::from_vec(vec![7; 32])).unwrap();
    check_not_decrypted(&other, &data, b"");
}

#[test]
fn empty_and_large_plaintexts_are_fine() {
    for name in CIPHERS {
        let key = quick_key(algorithm(name));
        for plaintext in [Vec::new(), vec![1; PLAINTEXT_BYTES_MAX]] {
            let data = encrypted(&key, &plaintext, b"");
            assert!(key.decrypt(&data, b"").unwrap().ct_eq(&plaintext));
        }
    }
}

#[test]
fn without_chance_nothing_is_encrypted() {
    for name in CIPHERS {
        let mut out = b"before".to_vec();
        let refused = quick_key(algorithm(name)).encrypt(&Broken, b"plaintext", b"", &mut out);
        assert_eq!(refused, Err(CryptoError::Entropy));
        assert_eq!(out, b"before");
    }
}

#[test]
fn altered_and_truncated_tags() {
    for name in ["hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let key = quick_key(algorithm(name));
        let tag = key.mac(b"message").unwrap();
        let check = |tag: &[u8]| assert_eq!(key.mac_verify(b"message", tag), Ok(false), "{tag:?}");
        altered(&tag).for_each(|tag| check(&tag));
        (0..tag.len()).for_each(|length| check(&tag[..length]));
        check(&[tag.as_slice(), &[0]].concat());
        check(&vec![0; 1 << 20]);
        assert_eq!(key.mac_verify(b"messagf", &tag), Ok(false));
        assert_eq!(key.mac_verify(b"message", &tag), Ok(true));
    }
}

#[test]
fn malformed_signatures_are_not_valid_and_no_errors() {
    for algorithm in Algorithm::all().filter(|algorithm| algorithm.has(Use::Verify)) {
        let key = quick_key(algorithm);
        for &scheme in algorithm.schemes() {
            let signature = sign(&key, scheme, b"message").unwrap();
            let check = |signature: &[u8]| {
                let answer = verify(&key, scheme, b"message", signature);
                assert_eq!(answer, Ok(false), "{scheme} {signature:?}");
            };
            // Signatures of lattices have thousands of bytes.
            let step = 5.max(signature.len() / 40);
            altered(&signature).step_by(step).for_each(|signature| check(&signature));
            (0..signature.len()).step_by(step + 2).for_each(|length| check(&signature[..length]));
            check(&signature[..signature.len() - 1]);
            check(&[signature.as_slice(), &[0]].concat());
            check(&[[0].as_slice(), &signature].concat());
            check(&vec![0; signature.len()]);
            check(&vec![0xff; signature.len()]);
            check(&vec![0x30; 1 << 20]);
            assert_eq!(verify(&key, scheme, b"message", &signature), Ok(true));
        }
    }
}

/// Adds the order of the base point to `s`: the same equation holds, RFC 8032 section 5.1.7
/// refuses it.
fn with_order_added(signature: &[u8]) -> Vec<u8> {
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut altered = signature.to_vec();
    let mut carry = 0;
    for (byte, addend) in altered[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(addend) + carry;
        [*byte, _] = sum.to_le_bytes();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    altered
}

#[test]
fn ed25519_signatures_have_one_form() {
    for name in ["ed25519", "ed25519-expanded"] {
        let key = quick_key(algorithm(name));
        for &scheme in key.algorithm().schemes() {
            let signature = sign(&key, scheme, b"message").unwrap();
            let altered = with_order_added(&signature);
            assert_eq!(verify(&key, scheme, b"message", &altered), Ok(false));
        }
    }
}

#[test]
fn ecdsa_der_has_one_form() {
    // RFC 6979 appendix A.2.5, SHA-256, "sample".
    let vectors = super::records(include_str!("../testdata/ecdsa-rfc6979.txt"));
    let vector = vectors.first().unwrap();
    let key = vector.algorithm().load_public(&vector.bytes("spki")).unwrap();
    let valid = vector.bytes("signature");
    assert_eq!(key.verify(None, b"sample", &valid), Ok(true));
    // 30 46 02 21 r 02 21 s
    let (r, s) = (&valid[4..37], &valid[39..72]);
    assert_eq!((valid[1], valid[3], valid[38]), (70, 33, 33));
    let check = |signature: &[u8]| {
        assert_eq!(key.verify(None, b"sample", signature), Ok(false), "{signature:?}");
    };
    // A length in the long form, a redundant zero before `r`, and `r` made negative.
    check(&[&[0x30, 0x81, 70], &valid[2..]].concat());
    check(&[&[0x30, 71, 0x02, 34, 0], r, &[0x02, 33], s].concat());
    check(&[&[0x30, 69, 0x02, 32], &r[1..], &[0x02, 33], s].concat());
    // Zero is no coordinate.
    check(&hex("3006020100020100"));
    check(&[&[0x30, 38, 0x02, 1, 0, 0x02, 33], s].concat());
}

#[test]
fn schemes_of_other_algorithms() {
    for algorithm in Algorithm::all() {
        let key = quick_key(algorithm);
        for &scheme in SignatureScheme::ALL {
            if algorithm.schemes().contains(&scheme) {
                continue;
            }
            let signed = key.sign(Some(scheme), b"message").map(drop);
            let verified = key.verify(Some(scheme), b"message", &[]).map(drop);
            for refused in [signed, verified] {
                let is_refused = matches!(refused, Err(CryptoError::Unsupported(_)));
                assert!(is_refused, "{algorithm} {scheme}");
            }
        }
    }
}

#[test]
fn a_public_key_alone_verifies_and_nothing_else() {
    for algorithm in Algorithm::all() {
        let key = quick_key(algorithm);
        let spki_der = key.public_key().map_or(Vec::new(), |public| public.spki_der().to_vec());
        let alone = algorithm.load_public(&spki_der);
        if algorithm.has(Use::Encapsulate) {
            // `post_quantum.rs` tries those.
            assert!(alone.is_ok());
            continue;
        }
        if !algorithm.has(Use::Verify) {
            let is_refused = matches!(alone, Err(CryptoError::Unsupported(_)));
            assert!(is_refused, "{algorithm}");
            continue;
        }
        let alone = alone.unwrap();
        for &scheme in algorithm.schemes() {
            let refused = CryptoError::Unsupported("sign without its private key");
            assert_eq!(sign(&alone, scheme, b"message"), Err(refused), "{scheme}");
            let signature = sign(&key, scheme, b"message").unwrap();
            assert_eq!(verify(&alone, scheme, b"message", &signature), Ok(true));
        }
    }
}

#[track_caller]
fn check_material(algorithm: Algorithm, material: &[u8]) {
    let refused = algorithm.load(&SecretVec::copy_from(material)).map(drop);
    let is_refused = matches!(refused, Err(CryptoError::Invalid(_)));
    assert!(is_refused, "{algorithm} {refused:?} {} bytes", material.len());
}

#[test]
fn material_of_another_length() {
    for algorithm in Algorithm::all() {
        let bounds = algorithm.material_bytes();
        for length in [0, 1, bounds.start() - 1, bounds.end() + 1, 1 << 16] {
            check_material(algorithm, &vec![1; length]);
        }
    }
}

#[test]
fn material_of_another_algorithm() {
    let pairs = ["rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"];
    for name in pairs {
        let material = stored_key(name, "pkcs8");
        for other in pairs.into_iter().filter(|other| *other != name) {
            check_material(algorithm(other), &material);
            // Below the check of the length, too.
            let family = algorithm(other).load_public(&stored_key(name, "spki")).map(drop);
            assert!(matches!(family, Err(CryptoError::Invalid(_))), "{name} as {other}");
        }
    }
}

#[test]
fn altered_private_keys() {
    for name in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521"] {
        let material = stored_key(name, "pkcs8");
        altered(&material).for_each(|material| check_material(algorithm(name), &material));
        check_material(algorithm(name), &vec![0; material.len()]);
    }
    let material = stored_key("rsa-2048", "pkcs8");
    altered(&material).step_by(9).for_each(|it| check_material(algorithm("rsa-2048"), &it));
    altered(&material).take(60).for_each(|it| check_material(algorithm("rsa-2048"), &it));
    check_material(algorithm("rsa-2048"), &material[..material.len() - 1]);
    check_material(algorithm("rsa-2048"), &[material.as_slice(), &[0]].concat());
}

#[track_caller]
fn check_public(algorithm: Algorithm, spki_der: &[u8]) {
    let refused = algorithm.load_public(spki_der).map(drop);
    let is_refused = matches!(refused, Err(CryptoError::Invalid(_)));
    assert!(is_refused, "{algorithm} {refused:?} {spki_der:?}");
}

#[test]
fn malformed_public_keys() {
    let has_public =
        |algorithm: &Algorithm| algorithm.has(Use::Verify) || algorithm.has(Use::Encapsulate);
    for algorithm in Algorithm::all().filter(has_public) {
        let key = quick_key(algorithm);
        let public = key.public_key().unwrap();
        let spki_der = public.spki_der();
        (0..spki_der.len()).for_each(|length| check_public(algorithm, &spki_der[..length]));
        check_public(algorithm, &[spki_der, &[0]].concat());
        check_public(algorithm, public.raw());
        check_public(algorithm, public.to_pem().as_bytes());
        check_public(algorithm, &vec![0x30; 1 << 20]);
        // The head: tags, lengths, object identifiers.
        let head = spki_der.len() - public.raw().len();
        altered(spki_der).take(head).for_each(|spki_der| check_public(algorithm, &spki_der));
    }
}

#[test]
fn points_that_are_not_on_the_curve() {
    for name in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521"] {
        let algorithm = algorithm(name);
        let key = quick_key(algorithm);
        let public = key.public_key().unwrap();
        let (head, point) =
            public.spki_der().split_at(public.spki_der().len() - public.raw().len());
        let half = (point.len() - 1) / 2;
        let check = |point: &[u8]| check_public(algorithm, &[head, point].concat());
        altered(point).for_each(|point| check(&point));
        check(&vec![0; point.len()]);
        check(&vec![0xff; point.len()]);
        check(&[[4].as_slice(), &vec![0; 2 * half]].concat());
        // The identity, a compressed and a hybrid point.
        check(&[0]);
        check(&[&[2 + (point[2 * half] & 1)], &point[1..=half]].concat());
        check(&[&[6 + (point[2 * half] & 1)], &point[1..]].concat());
    }
}

#[test]
fn peers_of_low_order_or_another_length() {
    let key = quick_key(algorithm("x25519"));
    let check = |peer: &[u8]| {
        let refused = key.agree(peer).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("X25519 public key")), "{peer:?}");
    };
    for point in LOW_ORDER_POINTS {
        let mut point = hex(point);
        check(&point);
        // RFC 7748 section 5: the highest bit is ignored.
        point[31] |= 0x80;
        check(&point);
    }
    let public = key.public_key().unwrap();
    for length in [0, 1, 31] {
        check(&public.raw()[..length]);
    }
    check(&[public.raw(), &[0]].concat());
    check(public.spki_der());
    check(&vec![9; 1 << 20]);
    assert!(key.agree(public.raw()).is_ok());
}
