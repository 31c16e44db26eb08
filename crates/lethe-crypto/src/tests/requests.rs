//! What a signature can be asked for with: digests, contexts, salts; and what it cannot.

use lethe_types::SecretVec;

use super::tally::Tally;
use super::{algorithm, hex, lines, quick_key, request_by};
use crate::CryptoError;
use crate::hash::sha256;
use crate::registry::{Algorithm, PssSalt, SignInput, SignRequest, SignatureScheme, UsableKey};

#[test]
fn eddsa_with_context_and_prehashed_of_rfc_8032() {
    let vectors = lines(include_str!("../../vectors/rfc8032.txt"), &[]);
    let mut tally = Tally::new("RFC 8032");
    for line in &vectors {
        let scheme: SignatureScheme = line.fields[0].parse().unwrap();
        let name = if scheme.as_str().starts_with("ed448") { "ed448" } else { "ed25519" };
        tally.accepted(name);
        let key = algorithm(name).load(&SecretVec::from_vec(line.bytes(1))).unwrap();
        assert_eq!(key.public_key().unwrap().raw(), line.bytes(2));
        let (message, context, want) = (line.bytes(3), line.bytes(4), line.bytes(5));
        let request = SignRequest::message(&message).by(scheme).with_context(&context);
        let signature = key.sign_with(&request).unwrap();
        assert_eq!((signature.bytes, signature.recovery_id), (want.clone(), None));
        let alone = key.algorithm().load_public(key.public_key().unwrap().spki_der()).unwrap();
        assert_eq!(alone.verify_with(&request, &want), Ok(true));
        // Under another context, or the scheme beside it, the same bytes say nothing.
        let other = request.with_context(b"other");
        assert_eq!(alone.verify_with(&other, &want), Ok(false));
        for &beside in key.algorithm().schemes().iter().filter(|beside| **beside != scheme) {
            let answer = alone.verify_with(&request_by(beside, &message), &want);
            assert_eq!(answer, Ok(false), "{beside}");
        }
    }
    assert_eq!(vectors.len(), 11);
}

#[test]
fn expanded_keys_sign_as_the_seed_they_come_from() {
    // RFC 8032 section 7.1 TEST 2; the halves of SHA-512 of its seed, the first clamped and
    // reduced, are made here with the library alone.
    let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, &seed);
    let (scalar, prefix) = hash.as_ref().split_at(32);
    let scalar = curve25519_dalek::scalar::clamp_integer(scalar.try_into().unwrap());
    let scalar = curve25519_dalek::Scalar::from_bytes_mod_order(scalar).to_bytes();
    let material = SecretVec::from_vec([scalar.as_slice(), prefix].concat());
    let expanded = algorithm("ed25519-expanded").load(&material).unwrap();
    let plain = algorithm("ed25519").load(&SecretVec::from_vec(seed)).unwrap();
    assert_eq!(expanded.public_key(), plain.public_key());
    for &scheme in plain.algorithm().schemes() {
        let request = request_by(scheme, b"message");
        let signature = expanded.sign_with(&request).unwrap();
        assert_eq!(signature, plain.sign_with(&request).unwrap(), "{scheme}");
        assert_eq!(plain.verify_with(&request, &signature.bytes), Ok(true));
        assert_eq!(expanded.verify_with(&request, &signature.bytes), Ok(true));
    }
    Tally::new("RFC 8032").accepted("ed25519-expanded");
}

/// Signs by message and by its digest, and checks each signature by the other way.
#[track_caller]
fn check_digest(key: &UsableKey, scheme: SignatureScheme, message: &[u8], digest: &[u8]) {
    let by_message = SignRequest::message(message).by(scheme);
    let by_digest = SignRequest::digest(digest).by(scheme);
    let signature = key.sign_with(&by_digest).unwrap().bytes;
    assert_eq!(key.verify_with(&by_message, &signature), Ok(true), "{scheme}");
    let signature = key.sign_with(&by_message).unwrap().bytes;
    assert_eq!(key.verify_with(&by_digest, &signature), Ok(true), "{scheme}");
    // Another digest is another message; another length is none.
    let mut other = digest.to_vec();
    other[0] ^= 1;
    let answer = key.verify_with(&SignRequest::digest(&other).by(scheme), &signature);
    assert_eq!(answer, Ok(false), "{scheme}");
    for length in [0, 1, digest.len() - 1] {
        let short = SignRequest::digest(&digest[..length]).by(scheme);
        let refused = CryptoError::Invalid("length of the digest");
        assert_eq!(key.sign_with(&short).map(drop), Err(refused), "{scheme} {length}");
        assert_eq!(key.verify_with(&short, &signature), Err(refused), "{scheme} {length}");
    }
}

fn sha2(scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
    let name = scheme.as_str();
    let algorithm = if name.contains("sha256") {
        &aws_lc_rs::digest::SHA256
    } else if name.contains("sha384") {
        &aws_lc_rs::digest::SHA384
    } else {
        &aws_lc_rs::digest::SHA512
    };
    aws_lc_rs::digest::digest(algorithm, message).as_ref().to_vec()
}

#[test]
fn digests_made_elsewhere() {
    let message = b"a message that is hashed elsewhere";
    let names = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ecdsa-secp256k1"];
    for name in names {
        let key = quick_key(algorithm(name));
        for &scheme in key.algorithm().schemes() {
            if scheme.as_str().contains("sha") {
                check_digest(&key, scheme, message, &sha2(scheme, message));
            }
        }
    }
    let key = quick_key(algorithm("ed25519"));
    let scheme = SignatureScheme::Ed25519ph;
    check_digest(&key, scheme, message, &sha2(scheme, message));
}

#[test]
fn p256_with_every_hash_of_rfc_6979() {
    // Appendix A.2.5: the key, then signatures of "sample" and "test".
    let x = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let key = algorithm("ecdsa-p256")
        .import(crate::registry::KeyFormat::Raw, &hex(x))
        .and_then(|material| algorithm("ecdsa-p256").load(material.secret()))
        .unwrap();
    let check = |scheme: &str, message: &[u8], r: &str, s: &str| {
        let signature = [hex(r), hex(s)].concat();
        let scheme = Some(scheme.parse().unwrap());
        assert_eq!(key.verify(scheme, message, &signature), Ok(true));
        assert_eq!(key.verify(scheme, b"other", &signature), Ok(false));
        Tally::new("RFC 6979").accepted("ecdsa-p256");
    };
    check(
        "ecdsa-sha384-p1363",
        b"sample",
        "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef7719",
        "4861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954",
    );
    check(
        "ecdsa-sha512-p1363",
        b"sample",
        "8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00",
        "2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fe",
    );
    check(
        "ecdsa-sha512-p1363",
        b"test",
        "461d93f31b6540894788fd206c07cfa0cc35f46fa3c91816fff1040ad1581a04",
        "39af9f15de0db8d97e72719c74820d304ce5226e32dedae67519e840d1194e55",
    );
}

/// The request is refused before there is a signature, on both sides.
#[track_caller]
fn check_refused(name: &str, request: SignRequest<'_>) {
    let key = quick_key(algorithm(name));
    for refused in
        [key.sign_with(&request).map(drop), key.verify_with(&request, &[0; 64]).map(drop)]
    {
        let is_refused =
            matches!(refused, Err(CryptoError::Unsupported(_) | CryptoError::Invalid(_)));
        assert!(is_refused, "{name} {request:?} {refused:?}");
    }
}

#[test]
fn parts_that_a_scheme_has_no_use_for() {
    let digest = sha256(&[b"message"]);
    let salted = SignRequest::message(b"message").with_pss_salt(PssSalt::Exactly(32));
    let aux = SignRequest::message(b"message").with_aux_random(&[1; 32]);
    let context = SignRequest::message(b"message").with_context(b"context");
    for name in ["ed25519", "ed25519-expanded", "ed448"] {
        check_refused(name, SignRequest::digest(&digest));
        check_refused(name, SignRequest::digest(&[0; 64]));
        check_refused(name, salted);
        check_refused(name, aux);
    }
    for name in ["ed25519", "ecdsa-p256", "ecdsa-secp256k1", "rsa-2048", "bip340-secp256k1"] {
        check_refused(name, context);
    }
    for name in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ecdsa-secp256k1", "secp256k1"] {
        check_refused(name, salted);
        check_refused(name, aux);
        check_refused(name, SignRequest::digest(&[]));
        check_refused(name, SignRequest::digest(&[0; 65]));
    }
    check_refused("bip340-secp256k1", salted);
    check_refused("bip340-secp256k1", SignRequest::digest(&digest[..31]));
    check_refused("rsa-2048", aux);
    let pkcs1 = salted.by(SignatureScheme::RsaPkcs1Sha256);
    check_refused("rsa-2048", pkcs1);
    check_refused("rsa-2048", pkcs1.with_pss_salt(PssSalt::Any));
    check_refused("rsa-2048", salted.with_pss_salt(PssSalt::Exactly(479)));
    check_refused("rsa-2048", salted.with_pss_salt(PssSalt::Exactly(u16::MAX)));
}

#[test]
fn contexts_of_another_length() {
    let long = [b'c'; 256];
    for (name, scheme) in [
        ("ed25519", SignatureScheme::Ed25519ctx),
        ("ed25519", SignatureScheme::Ed25519ph),
        ("ed448", SignatureScheme::Ed448),
        ("ed448", SignatureScheme::Ed448ph),
    ] {
        let request = SignRequest::message(b"message").by(scheme);
        check_refused(name, request.with_context(&long));
        let key = quick_key(algorithm(name));
        let longest = request.with_context(&long[..255]);
        let signature = key.sign_with(&longest).unwrap().bytes;
        assert_eq!(key.verify_with(&longest, &signature), Ok(true));
    }
    let bare = SignRequest::message(b"message").by(SignatureScheme::Ed25519ctx);
    check_refused("ed25519", bare);
    check_refused("ed25519", bare.with_context(b""));
    let taproot = SignRequest::digest(&[1; 32]).by(SignatureScheme::Bip340Taproot);
    for length in [1, 31, 33, 255] {
        check_refused("bip340-secp256k1", taproot.with_context(&long[..length]));
    }
}

#[test]
fn ml_dsa_binds_a_context() {
    let message = SignRequest::message(b"message");
    let long = [b'c'; 256];
    for name in ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"] {
        for beside in [message, message.with_context(b"context")] {
            check_refused(name, beside.with_aux_random(&[1; 32]));
            check_refused(name, beside.with_pss_salt(PssSalt::Exactly(32)));
        }
        check_refused(name, message.with_context(&long));
        check_refused(name, SignRequest::digest(&[0; 64]));
        check_refused(name, SignRequest::digest(&[0; 64]).with_context(b""));
        check_refused(name, SignRequest::digest(&[0; 64]).with_context(b"context"));
        let key = quick_key(algorithm(name));
        let public = algorithm(name).load_public(key.public_key().unwrap().spki_der()).unwrap();
        let requests = [
            message,
            message.with_context(b"x"),
            message.with_context(&long[..255]),
            SignRequest::message(b"").with_context(b"x"),
            SignRequest::message(b"xmessage"),
        ];
        for (signed, request) in requests.iter().enumerate() {
            let signature = key.sign_with(request).unwrap().bytes;
            assert_ne!(key.sign_with(request).unwrap().bytes, signature, "hedged");
            for (verified, other) in requests.iter().enumerate() {
                let is_right = public.verify_with(other, &signature);
                assert_eq!(is_right, Ok(signed == verified), "{name} {signed} {verified}");
            }
        }
        let request = requests[1];
        let signature = key.sign_with(&request).unwrap().bytes;
        for altered in super::altered(&signature).step_by(499) {
            assert_eq!(public.verify_with(&request, &altered), Ok(false), "{name}");
        }
        for length in [0, 1, 32, signature.len() - 1] {
            assert_eq!(public.verify_with(&request, &signature[..length]), Ok(false), "{name}");
        }
        let longer = [signature.as_slice(), &[0]].concat();
        assert_eq!(public.verify_with(&request, &longer), Ok(false), "{name}");
        // FIPS 204 section 5.2: no context is the empty one.
        let signature = key.sign_with(&message.with_context(b"")).unwrap().bytes;
        assert_eq!(key.verify(None, b"message", &signature), Ok(true), "{name}");
        assert_eq!(key.verify_with(&message.with_context(b""), &signature), Ok(true), "{name}");
        let refused = public.sign_with(&request).map(drop);
        assert!(matches!(refused, Err(CryptoError::Unsupported(_))), "{name}");
    }
}

#[test]
fn ml_dsa_binds_a_context_by_an_expanded_key_too() {
    for name in ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"] {
        let seed = [7; 32];
        let whole = algorithm(name).load(&SecretVec::copy_from(&seed)).unwrap();
        let expanded = crate::algorithms::ml_dsa::expanded(name, &seed);
        let expanded = algorithm(name).load(&expanded).unwrap();
        let request = SignRequest::message(b"message").with_context(b"context");
        let signature = expanded.sign_with(&request).unwrap().bytes;
        assert_eq!(whole.verify_with(&request, &signature), Ok(true), "{name}");
        assert_eq!(whole.verify(None, b"message", &signature), Ok(false), "{name}");
    }
}

#[test]
fn the_two_ways_to_sign_are_one() {
    for algorithm in Algorithm::all().filter(|algorithm| algorithm.default_scheme().is_some()) {
        let key = quick_key(algorithm);
        let signature = key.sign(None, b"message").unwrap();
        let request = SignRequest::message(b"message");
        assert_eq!(request.input, SignInput::Message(b"message"));
        assert_eq!(key.verify_with(&request, &signature), Ok(true), "{algorithm}");
        let signature = key.sign_with(&request).unwrap().bytes;
        assert_eq!(key.verify(None, b"message", &signature), Ok(true), "{algorithm}");
    }
}
