use lethe_types::SecretVec;

use super::{Broken, algorithm, altered, hex};
use crate::CryptoError;
use crate::convergent::ConvergentMaster;
use crate::registry::{DecryptParams, EncryptParams, Nonce};

/// Key `00..1f`, context `order-42`, plaintext `hello`, made with other software.
const SEALED: &str = "e5363a04ee3ec79875e33bef45b8178ec093e4bdfbd4a6c1ebdca9ce1c029b91ef";

fn key() -> Vec<u8> {
    (0..32).collect()
}

#[test]
fn the_vector_of_another_implementation() {
    let context = ConvergentMaster::new(&key()).derive(b"order-42").unwrap();
    let mut out = b"before".to_vec();
    context.encrypt(b"hello", &mut out).unwrap();
    assert_eq!(out[6..], hex(SEALED));
    assert!(context.decrypt(&out[6..]).unwrap().ct_eq(b"hello"));
    assert_eq!(format!("{context:?}"), "ConvergentContext(..)");
    assert_eq!(format!("{:?}", ConvergentMaster::new(&key())), "ConvergentMaster(..)");
}

#[test]
fn the_same_through_the_registry() {
    let key = algorithm("aes256-gcm-convergent").load(&SecretVec::from_vec(key())).unwrap();
    let mut out = Vec::new();
    key.encrypt(&Broken, b"hello", b"order-42", &mut out).unwrap();
    assert_eq!(out, hex(SEALED));
    assert!(key.decrypt(&out, b"order-42").unwrap().ct_eq(b"hello"));
    let nonce = Nonce::Deterministic { context: b"order-42" };
    let params = EncryptParams { nonce, ..EncryptParams::default() };
    let mut other = Vec::new();
    let parts = key.encrypt_with(&Broken, &params, b"hello", &mut other).unwrap();
    assert_eq!(other, out);
    assert_eq!((parts.nonce, parts.ciphertext, parts.tag), (0..12, 12..17, 17..33));
    let given = DecryptParams {
        nonce: Some(&out[..12]),
        tag: Some(&out[17..]),
        aad: b"order-42",
        padding: None,
        mode: None,
    };
    assert!(key.decrypt_with(&given, &out[12..17]).unwrap().ct_eq(b"hello"));
    // A nonce of the caller's, and associated data beside the context.
    let check = |nonce, aad| {
        let params = EncryptParams { nonce, aad, padding: None, mode: None };
        let refused = key.encrypt_with(&Broken, &params, b"hello", &mut Vec::new()).map(drop);
        assert!(matches!(refused, Err(CryptoError::Unsupported(_))), "{refused:?}");
    };
    check(Nonce::Explicit(&[0; 12]), b"");
    check(nonce, b"aad");
}

#[test]
fn other_contexts_keys_and_altered_data() {
    let sealed = hex(SEALED);
    let context = ConvergentMaster::new(&key()).derive(b"order-42").unwrap();
    let refused = |result: Result<SecretVec, CryptoError>| {
        assert_eq!(result.map(drop), Err(CryptoError::Authentication));
    };
    altered(&sealed).for_each(|data| refused(context.decrypt(&data)));
    (0..sealed.len()).for_each(|length| refused(context.decrypt(&sealed[..length])));
    for name in [b"order-43".as_slice(), b"order-4", b"", b"order-42 "] {
        refused(ConvergentMaster::new(&key()).derive(name).unwrap().decrypt(&sealed));
    }
    refused(ConvergentMaster::new(&[7; 32]).derive(b"order-42").unwrap().decrypt(&sealed));
}
