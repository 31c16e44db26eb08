//! RSA: OAEP, salts of any length, keys that must be refused.

use super::{Counting, algorithm, altered, hex, quick_key, stored_key};
use crate::CryptoError;
use crate::registry::{
    BlockPadding, CipherParts, DecryptParams, EncryptParams, KeyFormat, Nonce, OaepHash, PssSalt,
    PublicFormat, SignRequest, SignatureScheme,
};

#[test]
fn encryption_with_parameters_is_oaep_with_sha256() {
    let key = quick_key(algorithm("rsa-2048"));
    let params = EncryptParams { aad: b"label", ..EncryptParams::default() };
    let mut out = vec![7; 3];
    let parts = key.encrypt_with(&Counting, &params, b"plaintext", &mut out).unwrap();
    assert_eq!(parts, CipherParts { nonce: 3..3, ciphertext: 3..259, tag: 259..259 });
    let sealed = &out[3..];
    let open = DecryptParams { aad: b"label", ..DecryptParams::default() };
    assert!(key.decrypt_with(&open, sealed).unwrap().ct_eq(b"plaintext"));
    assert!(key.decrypt(sealed, b"label").unwrap().ct_eq(b"plaintext"));
    let opened = key.decrypt_oaep(OaepHash::Sha256, b"label", sealed).unwrap();
    assert!(opened.ct_eq(b"plaintext"));
    assert_eq!(key.decrypt(sealed, b"").map(drop), Err(CryptoError::Authentication));
    assert_eq!(key.algorithm().cipher_shape(), None);
    let refused = CryptoError::Unsupported("take the parameters of a block or stream cipher");
    for params in [
        EncryptParams { nonce: Nonce::Explicit(&[0; 12]), ..params },
        EncryptParams { nonce: Nonce::Explicit(&[]), ..params },
        EncryptParams { nonce: Nonce::Deterministic { context: b"" }, ..params },
        EncryptParams { padding: Some(BlockPadding::Pkcs7), ..params },
        EncryptParams { padding: Some(BlockPadding::Unpadded), ..params },
    ] {
        let made = key.encrypt_with(&Counting, &params, b"plaintext", &mut Vec::new());
        assert_eq!(made, Err(refused));
    }
    for params in [
        DecryptParams { nonce: Some(&[]), ..open },
        DecryptParams { nonce: Some(&[0; 12]), ..open },
        DecryptParams { tag: Some(&[]), ..open },
        DecryptParams { padding: Some(BlockPadding::Pkcs7), ..open },
    ] {
        assert_eq!(key.decrypt_with(&params, sealed).map(drop), Err(refused));
    }
}

#[test]
fn oaep_refuses_what_it_did_not_make() {
    let key = quick_key(algorithm("rsa-2048"));
    let sealed = key.encrypt_oaep(OaepHash::Sha256, b"label", b"plaintext").unwrap();
    let check = |hash, label: &[u8], sealed: &[u8]| {
        let refused = key.decrypt_oaep(hash, label, sealed).map(drop);
        assert_eq!(refused, Err(CryptoError::Authentication));
    };
    for hash in [OaepHash::Sha1, OaepHash::Sha384, OaepHash::Sha512] {
        check(hash, b"label", &sealed);
    }
    for label in [b"".as_slice(), b"labem", b"label\0"] {
        check(OaepHash::Sha256, label, &sealed);
    }
    altered(&sealed).step_by(41).for_each(|sealed| check(OaepHash::Sha256, b"label", &sealed));
    for length in [0, 1, 255] {
        check(OaepHash::Sha256, b"label", &sealed[..length]);
    }
    check(OaepHash::Sha256, b"label", &[sealed.as_slice(), &[0]].concat());
    check(OaepHash::Sha256, b"label", &vec![0; 1 << 20]);
    let opened = key.decrypt_oaep(OaepHash::Sha256, b"label", &sealed).unwrap();
    assert!(opened.ct_eq(b"plaintext"));
    // The bounds of section 7.1.1: the modulus less two hashes and two bytes.
    for (hash, most) in [(OaepHash::Sha1, 214), (OaepHash::Sha256, 190), (OaepHash::Sha512, 126)] {
        assert!(key.encrypt_oaep(hash, b"", &vec![1; most]).is_ok());
        let refused = key.encrypt_oaep(hash, b"", &vec![1; most + 1]);
        assert_eq!(refused, Err(CryptoError::Invalid("length of the plaintext")));
    }
    // A public key alone encrypts, and does not decrypt.
    let alone = key.algorithm().load_public(key.public_key().unwrap().spki_der()).unwrap();
    let sealed = alone.encrypt_oaep(OaepHash::Sha256, b"", b"plaintext").unwrap();
    assert!(key.decrypt(&sealed, b"").unwrap().ct_eq(b"plaintext"));
    let refused = alone.decrypt_oaep(OaepHash::Sha256, b"", &sealed).map(drop);
    assert!(matches!(refused, Err(CryptoError::Unsupported(_))));
    let other = quick_key(algorithm("ecdsa-p256")).encrypt_oaep(OaepHash::Sha256, b"", b"");
    assert!(matches!(other, Err(CryptoError::Unsupported(_))));
}

#[test]
fn salts_of_every_length_are_made_and_found() {
    let key = quick_key(algorithm("rsa-2048"));
    for scheme in [
        SignatureScheme::RsaPssSha256,
        SignatureScheme::RsaPssSha384,
        SignatureScheme::RsaPssSha512,
    ] {
        let request = SignRequest::message(b"message").by(scheme);
        let most = match scheme.as_str() {
            "rsa-pss-sha256" => 222,
            "rsa-pss-sha384" => 206,
            _ => 190,
        };
        for length in [0, 1, 20, 32, 48, 64, 100, most] {
            let salted = request.with_pss_salt(PssSalt::Exactly(length));
            let signature = key.sign_with(&salted).unwrap().bytes;
            let by = |salt| key.verify_with(&request.with_pss_salt(salt), &signature).unwrap();
            assert!(by(PssSalt::Exactly(length)) && by(PssSalt::Any), "{scheme} {length}");
            assert!(!by(PssSalt::Exactly(length + 1)), "{scheme} {length}");
            let other = SignRequest::message(b"messagf").by(scheme).with_pss_salt(PssSalt::Any);
            assert_eq!(key.verify_with(&other, &signature), Ok(false));
        }
        let too_long = request.with_pss_salt(PssSalt::Exactly(most + 1));
        let refused = Err(CryptoError::Invalid("length of the salt"));
        assert_eq!(key.sign_with(&too_long).map(drop), refused, "{scheme}");
        let any = request.with_pss_salt(PssSalt::Any);
        assert_eq!(key.sign_with(&any).map(drop), refused, "{scheme}");
        // What is no signature has no salt, and is no error.
        for bad in [vec![], vec![0; 256], vec![0xff; 256], vec![1; 255], vec![1; 1 << 20]] {
            assert_eq!(key.verify_with(&any, &bad), Ok(false));
        }
        let signature = key.sign_with(&request).unwrap().bytes;
        for bad in altered(&signature).step_by(37) {
            assert_eq!(key.verify_with(&any, &bad), Ok(false));
        }
    }
}

#[test]
fn keys_of_the_wrong_size_or_with_a_bad_exponent() {
    let refuse = |format, bytes: &[u8]| {
        for name in ["rsa-2048", "rsa-3072", "rsa-4096"] {
            let refused = algorithm(name).import_public(format, bytes).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {refused:?}");
        }
    };
    let public = quick_key(algorithm("rsa-2048")).public_key().unwrap().clone();
    // 30 82 len, 02 82 len 00 n, 02 03 01 00 01
    let raw = public.raw();
    let (head, exponent) = raw.split_at(raw.len() - 3);
    assert_eq!(exponent, [1, 0, 1]);
    for exponent in [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 3], [0x80, 0, 1]] {
        refuse(PublicFormat::Raw, &[head, &exponent].concat());
    }
    // An even modulus, and one of 1,024 bits.
    let mut even = raw.to_vec();
    let last = raw.len() - 6;
    even[last] &= 0xfe;
    refuse(PublicFormat::Raw, &even);
    let small = [&hex("30818902818100"), &[0xc1; 128][..], &hex("0203010001")].concat();
    refuse(PublicFormat::Raw, &small);
    refuse(PublicFormat::Raw, &raw[1..]);
    refuse(PublicFormat::Raw, &[raw, &[0]].concat());
    refuse(PublicFormat::Raw, &[]);
    refuse(PublicFormat::SpkiDer, raw);
    refuse(PublicFormat::SpkiDer, &public.spki_der()[1..]);
    for other in ["rsa-3072", "rsa-4096"] {
        let refused = algorithm(other).import_public(PublicFormat::Raw, raw).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("RSA public key")), "{other}");
        let refused =
            algorithm(other).import(KeyFormat::Pkcs8Der, &stored_key("rsa-2048", "pkcs8"));
        assert!(matches!(refused.map(drop), Err(CryptoError::Invalid(_))), "{other}");
    }
    let back = algorithm("rsa-2048").import_public(PublicFormat::Raw, raw);
    assert_eq!(back, Ok(public));
}
