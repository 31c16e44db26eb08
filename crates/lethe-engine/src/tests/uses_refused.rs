//! Uses that are refused, as data: which use, of which key, with what, and how it is told.

use lethe_crypto::hash::HashAlgorithm;
use lethe_crypto::kdf::KdfHash;
use lethe_crypto::registry::{
    Algorithm, BlockPadding, DecryptParams, OaepHash, PssSalt, PublicFormat, SignRequest,
    SignatureScheme,
};
use lethe_types::limits::{
    AAD_BYTES_MAX, BOUND_CONTEXT_BYTES_MAX, MESSAGE_BYTES_MAX, PLAINTEXT_BYTES_MAX,
    RANDOM_BYTES_MAX,
};
use lethe_types::{KeyId, Permission, Transition};

use super::support::{destroy, on_realm, principal, wait};
use super::uses::{Keys, opening, raw};
use crate::{
    AgreedForm, BoundContext, Caller, DecryptForm, DecryptRequest, EncryptForm, EncryptRequest,
    Engine, EngineError, PeerKey, RawEncrypt, RawNonce,
};

/// A use of a key, without what it gives.
type Use = Box<dyn Fn(&Engine, &Caller, KeyId) -> Result<(), EngineError>>;

fn encrypt_raw(form: RawEncrypt<'static>, plaintext: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| {
        let mut out = b"before".to_vec();
        let made = engine.encrypt_with(caller, key, &raw(form), plaintext, &mut out).map(drop);
        assert!(made.is_ok() || out == b"before");
        made
    })
}

fn encrypt_with(request: EncryptRequest<'static>, plaintext: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| {
        engine.encrypt_with(caller, key, &request, plaintext, &mut Vec::new()).map(drop)
    })
}

fn decrypt_raw(params: DecryptParams<'static>, data: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| {
        engine.decrypt_with(caller, key, &opening(params), data).map(drop)
    })
}

fn decrypt_with(request: DecryptRequest<'static>, data: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| engine.decrypt_with(caller, key, &request, data).map(drop))
}

fn sign(version: Option<u32>, request: SignRequest<'static>) -> Use {
    Box::new(move |engine, caller, key| engine.sign_with(caller, key, version, &request).map(drop))
}

fn verify(request: SignRequest<'static>) -> Use {
    Box::new(move |engine, caller, key| {
        engine.verify_with(caller, key, None, &request, &[7; 64]).map(drop)
    })
}

fn mac(version: Option<u32>, bytes: Option<usize>) -> Use {
    Box::new(move |engine, caller, key| {
        engine.mac_with(caller, key, version, bytes, b"x").map(drop)
    })
}

fn mac_verify(bytes: Option<usize>) -> Use {
    Box::new(move |engine, caller, key| {
        engine.mac_verify_with(caller, key, None, bytes, b"x", &[0; 8]).map(drop)
    })
}

fn agree(format: PublicFormat, bytes: &'static [u8], form: AgreedForm<'static>) -> Use {
    Box::new(move |engine, caller, key| {
        engine.agree_with(caller, key, None, &PeerKey { format, bytes }, &form).map(drop)
    })
}

fn agree_hashed(domain: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| {
        engine.agree_with_hashed(caller, key, None, domain, b"x").map(drop)
    })
}

fn encapsulate(version: Option<u32>) -> Use {
    Box::new(move |engine, caller, key| engine.encapsulate(caller, key, version).map(drop))
}

fn decapsulate(ciphertext: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| engine.decapsulate(caller, key, None, ciphertext).map(drop))
}

fn wrap(plaintext: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| engine.wrap(caller, key, None, plaintext).map(drop))
}

fn wrap_from(plaintext: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| {
        engine.wrap_from(caller, key, None, Some(b"a value!"), plaintext).map(drop)
    })
}

fn unwrap_from(wrapped: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| {
        engine.unwrap_from(caller, key, None, Some(b"a value!"), wrapped).map(drop)
    })
}

fn unwrap(wrapped: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| engine.unwrap(caller, key, None, wrapped).map(drop))
}

fn data_key(bytes: usize) -> Use {
    Box::new(move |engine, caller, key| {
        let request = EncryptRequest::default();
        engine.data_key(caller, key, &request, bytes, &mut Vec::new()).map(drop)
    })
}

fn public_key(version: Option<u32>) -> Use {
    Box::new(move |engine, caller, key| engine.public_key(caller, key, version).map(drop))
}

fn taproot(root: &'static [u8]) -> Use {
    Box::new(move |engine, caller, key| {
        engine.taproot_output_key(caller, key, None, root).map(drop)
    })
}

/// `code` or `code field`.
fn told(error: &EngineError) -> String {
    if let EngineError::InvalidField { field, .. } = error {
        return format!("invalid_field {field}");
    }
    error.code().to_owned()
}

/// Bytes that live as long as the test.
fn long(bytes: usize) -> &'static [u8] {
    Vec::leak(vec![7; bytes])
}

#[track_caller]
fn check(keys: &Keys, cases: Vec<(&str, Use, &str)>) {
    for (number, (algorithm, use_it, expected)) in cases.into_iter().enumerate() {
        let result = use_it(&keys.engine, &keys.caller, keys.of(algorithm));
        let error = result.expect_err(&format!("case {number}: {algorithm} {expected}"));
        assert_eq!(told(&error), expected, "case {number}: {algorithm}: {error}");
    }
}

const PLAIN: RawEncrypt<'static> =
    RawEncrypt { nonce: RawNonce::Random, aad: b"", padding: None, mode: None };
const WHOLE: DecryptParams<'static> =
    DecryptParams { nonce: None, tag: None, aad: b"", padding: None, mode: None };
const RAW: PublicFormat = PublicFormat::Raw;

#[test]
fn ciphers_refuse_what_they_do_not_take() {
    let nonce = |nonce| encrypt_raw(RawEncrypt { nonce, ..PLAIN }, b"x");
    let old = |version| EncryptRequest { version: Some(version), form: EncryptForm::default() };
    let oaep = EncryptForm::Oaep { hash: OaepHash::Sha256, label: b"" };
    let oaep = EncryptRequest { version: None, form: oaep };
    let padded = RawEncrypt { padding: Some(BlockPadding::Pkcs7), ..PLAIN };
    let unpadded = RawEncrypt { padding: Some(BlockPadding::Unpadded), ..PLAIN };
    let bound = RawEncrypt { aad: b"a", ..PLAIN };
    let chosen = RawEncrypt { nonce: RawNonce::Explicit(&[0; 16]), ..PLAIN };
    check(
        &Keys::new(),
        vec![
            ("aes256-gcm", nonce(RawNonce::Explicit(b"")), "invalid_field nonce"),
            ("aes256-gcm", nonce(RawNonce::Explicit(&[0; 11])), "invalid_field nonce"),
            ("aes256-gcm", nonce(RawNonce::Explicit(&[0; 13])), "invalid_field nonce"),
            ("aes256-gcm", nonce(RawNonce::Explicit(&[0; 25])), "invalid_field nonce"),
            ("aes256-gcm", nonce(RawNonce::RandomOf(0)), "invalid_field nonce"),
            ("aes256-gcm", nonce(RawNonce::RandomOf(usize::MAX)), "invalid_field nonce"),
            ("aes256-gcm", nonce(RawNonce::Derived { context: b"" }), "invalid_field nonce"),
            ("chacha20-poly1305", nonce(RawNonce::Explicit(&[0; 16])), "invalid_field nonce"),
            ("aes256-gcm-convergent", nonce(RawNonce::Explicit(&[0; 12])), "invalid_field nonce"),
            ("aes128-ecb", encrypt_raw(chosen, &[0; 16]), "invalid_field nonce"),
            ("aes256-gcm", encrypt_raw(padded, b"x"), "invalid_field padding"),
            ("aes256-cbc", encrypt_raw(unpadded, b"x"), "invalid_field plaintext"),
            ("aes128-ecb", encrypt_raw(PLAIN, b"x"), "invalid_field plaintext"),
            ("aes256-cbc", encrypt_raw(bound, b"x"), "invalid_field aad"),
            ("aes256-ctr", encrypt_with(EncryptRequest::default(), b"x"), "invalid_field aad"),
            ("aes256-gcm", encrypt_with(oaep, b"x"), "invalid_field oaep_hash"),
            ("rsa-2048", encrypt_with(oaep, &[0; 191]), "invalid_field plaintext"),
            (
                "aes256-gcm",
                encrypt_raw(PLAIN, long(PLAINTEXT_BYTES_MAX + 1)),
                "invalid_field plaintext",
            ),
            (
                "aes256-gcm",
                encrypt_raw(RawEncrypt { aad: long(AAD_BYTES_MAX + 1), ..PLAIN }, b""),
                "invalid_field aad",
            ),
            ("aes256-gcm", encrypt_with(old(2), b"x"), "item_not_found"),
            ("aes256-gcm", encrypt_with(old(0), b"x"), "item_not_found"),
            ("ed25519", encrypt_raw(PLAIN, b"x"), "incompatible_use"),
            ("aes256-kw", encrypt_raw(PLAIN, b"x"), "incompatible_use"),
        ],
    );
}

#[test]
fn ciphers_open_nothing_that_they_did_not_make() {
    let open_oaep = DecryptForm::Oaep { hash: OaepHash::Sha256, label: b"" };
    let open_oaep = DecryptRequest { version: None, form: open_oaep };
    let open_old = DecryptRequest { version: Some(7), form: DecryptForm::Raw(WHOLE) };
    check(
        &Keys::new(),
        vec![
            ("aes256-gcm", data_key(15), "invalid_field bytes"),
            ("aes256-gcm", data_key(65), "invalid_field bytes"),
            ("hmac-sha256", data_key(32), "incompatible_use"),
            ("aes256-gcm", decrypt_raw(WHOLE, b""), "cryptographic_failure"),
            ("aes256-gcm", decrypt_raw(WHOLE, &[0; 27]), "cryptographic_failure"),
            ("aes256-gcm", decrypt_raw(WHOLE, &[0; 28]), "cryptographic_failure"),
            (
                "aes256-gcm",
                decrypt_raw(DecryptParams { nonce: Some(&[0; 11]), ..WHOLE }, &[0; 16]),
                "invalid_field nonce",
            ),
            (
                "aes256-gcm",
                decrypt_raw(DecryptParams { tag: Some(&[0; 12]), ..WHOLE }, &[0; 28]),
                "invalid_field tag",
            ),
            (
                "aes256-gcm",
                decrypt_raw(DecryptParams { tag: Some(b""), ..WHOLE }, &[0; 28]),
                "invalid_field tag",
            ),
            ("aes256-cbc", decrypt_raw(WHOLE, &[0; 15]), "cryptographic_failure"),
            ("aes256-cbc", decrypt_raw(WHOLE, &[0; 33]), "cryptographic_failure"),
            ("aes256-gcm", decrypt_with(open_old, &[0; 28]), "item_not_found"),
            ("aes256-gcm", decrypt_with(open_oaep, &[0; 256]), "invalid_field oaep_hash"),
            ("rsa-2048", decrypt_with(open_oaep, &[0; 255]), "cryptographic_failure"),
            ("rsa-2048", decrypt_with(open_oaep, &[0; 256]), "cryptographic_failure"),
            (
                "aes256-gcm",
                decrypt_with(DecryptRequest::default(), &[2, 0, 0, 0, 1]),
                "cryptographic_failure",
            ),
            (
                "aes256-gcm",
                decrypt_with(DecryptRequest::default(), &[1, 0, 0, 0, 9]),
                "cryptographic_failure",
            ),
            (
                "aes256-gcm",
                decrypt_raw(WHOLE, long(PLAINTEXT_BYTES_MAX + 2_000)),
                "invalid_field ciphertext",
            ),
            ("hmac-sha256", decrypt_raw(WHOLE, b""), "incompatible_use"),
        ],
    );
}

#[test]
fn signers_refuse_what_their_schemes_have_no_use_for() {
    let message = SignRequest::message(b"x");
    let digest = |digest| SignRequest::digest(digest);
    check(
        &Keys::new(),
        vec![
            (
                "ed25519",
                sign(None, message.by(SignatureScheme::EcdsaSha256)),
                "invalid_field scheme",
            ),
            ("ecdsa-p256", sign(None, message.by(SignatureScheme::Bip340)), "invalid_field scheme"),
            ("ed25519", sign(None, digest(&[0; 32])), "invalid_field scheme"),
            ("ecdsa-p256", sign(None, digest(&[0; 31])), "invalid_field digest"),
            ("ecdsa-p256", sign(None, digest(b"")), "invalid_field digest"),
            ("rsa-2048", sign(None, digest(&[0; 64])), "invalid_field digest"),
            (
                "ed25519",
                sign(None, message.by(SignatureScheme::Ed25519ctx)),
                "invalid_field context",
            ),
            (
                "ed25519",
                sign(None, message.by(SignatureScheme::Ed25519ph).with_context(long(256))),
                "invalid_field context",
            ),
            (
                "rsa-2048",
                sign(None, message.with_pss_salt(PssSalt::Any)),
                "invalid_field salt_bytes",
            ),
            (
                "rsa-2048",
                sign(None, message.with_pss_salt(PssSalt::Exactly(1_000))),
                "invalid_field salt_bytes",
            ),
            (
                "secp256k1",
                sign(
                    None,
                    digest(&[1; 32]).by(SignatureScheme::Bip340Taproot).with_context(&[0; 31]),
                ),
                "invalid_field merkle_root",
            ),
            ("ed25519", sign(Some(2), message), "item_not_found"),
            (
                "ed25519",
                sign(None, SignRequest::message(long(MESSAGE_BYTES_MAX + 1))),
                "invalid_field message",
            ),
            ("aes256-gcm", sign(None, message), "incompatible_use"),
            ("x25519", sign(None, message), "incompatible_use"),
            ("ed25519", verify(message.by(SignatureScheme::EcdsaSha256)), "invalid_field scheme"),
            ("ecdsa-p256", verify(digest(&[0; 33])), "invalid_field digest"),
            ("hmac-sha256", verify(message), "incompatible_use"),
            ("hmac-sha256", mac(None, Some(15)), "invalid_field bytes"),
            ("hmac-sha256", mac(None, Some(33)), "invalid_field bytes"),
            ("hmac-sha256", mac(Some(2), None), "item_not_found"),
            ("ed25519", mac(None, None), "incompatible_use"),
            ("hmac-sha256", mac_verify(Some(8)), "invalid_field bytes"),
            ("hmac-sha256", mac_verify(Some(33)), "invalid_field bytes"),
            ("aes256-gcm", mac_verify(None), "incompatible_use"),
            ("aes256-gcm", public_key(None), "item_not_found"),
            ("ed25519", public_key(Some(2)), "item_not_found"),
            ("ed25519", taproot(b""), "incompatible_use"),
            ("ecdsa-p256", taproot(b""), "incompatible_use"),
            ("aes256-gcm", taproot(b""), "item_not_found"),
            ("secp256k1", taproot(&[0; 31]), "invalid_field merkle_root"),
        ],
    );
}

#[test]
fn agreements_refuse_points_that_are_none() {
    let hkdf = |bytes| AgreedForm::Hkdf { hash: KdfHash::Sha256, salt: b"", info: b"", bytes };
    let salted =
        AgreedForm::Hkdf { hash: KdfHash::Sha256, salt: long(1_025), info: b"", bytes: 32 };
    let mut off_curve = vec![4; 65];
    off_curve[1..].fill(1);
    let off_curve: &'static [u8] = Vec::leak(off_curve);
    let plain = AgreedForm::Raw;
    let point = AgreedForm::Point;
    check(
        &Keys::new(),
        vec![
            ("ecdh-secp256k1", agree(RAW, &[2; 32], point), "invalid_field public_key"),
            ("ecdh-secp256k1", agree(RAW, off_curve, point), "invalid_field public_key"),
            (
                "ecdh-secp256k1",
                agree(PublicFormat::SpkiDer, b"", point),
                "invalid_field public_key",
            ),
            ("x25519", agree(RAW, &[9; 32], point), "incompatible_use"),
            // Low order: 0 and 1 of Curve25519.
            ("x25519", agree(RAW, &[0; 32], plain), "invalid_field public_key"),
            (
                "x25519",
                agree(
                    RAW,
                    b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                    plain,
                ),
                "invalid_field public_key",
            ),
            ("x25519", agree(RAW, &[9; 31], plain), "invalid_field public_key"),
            ("x25519", agree(RAW, &[9; 33], plain), "invalid_field public_key"),
            ("x448", agree(RAW, &[0; 56], plain), "invalid_field public_key"),
            ("ecdh-p256", agree(RAW, b"", plain), "invalid_field public_key"),
            // The identity, a point off the curve, the hybrid form, and one of another curve.
            ("ecdh-p256", agree(RAW, &[0], plain), "invalid_field public_key"),
            ("ecdh-p256", agree(RAW, off_curve, plain), "invalid_field public_key"),
            ("ecdh-p256", agree(RAW, &[6; 65], plain), "invalid_field public_key"),
            ("ecdh-p256", agree(RAW, &[4; 97], plain), "invalid_field public_key"),
            ("secp256k1", agree(RAW, off_curve, plain), "invalid_field public_key"),
            (
                "ecdh-p256",
                agree(PublicFormat::SpkiDer, &[9; 32], plain),
                "invalid_field public_key",
            ),
            (
                "ecdh-p256",
                agree(PublicFormat::SpkiPem, b"no PEM", plain),
                "invalid_field public_key",
            ),
            ("x25519", agree(PublicFormat::Jwk, b"{}", plain), "invalid_field public_key"),
            ("x25519", agree(RAW, &[9; 32], hkdf(0)), "invalid_field bytes"),
            ("x25519", agree(RAW, &[9; 32], hkdf(1_025)), "invalid_field bytes"),
            ("x25519", agree(RAW, &[9; 32], salted), "invalid_field salt"),
            ("ed25519", agree(RAW, &[9; 32], plain), "incompatible_use"),
            ("secp256k1", agree_hashed(b""), "invalid_field domain"),
            ("x25519", agree_hashed(b"d"), "incompatible_use"),
            ("ed25519", agree_hashed(b"d"), "incompatible_use"),
            ("ml-kem-768", decapsulate(b""), "invalid_field ciphertext"),
            ("ml-kem-768", decapsulate(&[0; 1_087]), "invalid_field ciphertext"),
            ("x25519-ml-kem-768", decapsulate(&[0; 1_120]), "invalid_field public_key"),
            ("ml-kem-768", encapsulate(Some(2)), "item_not_found"),
            ("x25519", encapsulate(None), "incompatible_use"),
        ],
    );
}

#[test]
fn wrapping_refuses_lengths_and_values_that_there_are_not() {
    check(
        &Keys::new(),
        vec![
            ("aes256-kw", wrap(&[0; 15]), "invalid_field plaintext"),
            ("aes256-kw", wrap(&[0; 8]), "invalid_field plaintext"),
            ("aes256-kwp", wrap(b""), "invalid_field plaintext"),
            ("aes256-kwp", wrap(long(65_537)), "invalid_field plaintext"),
            ("aes256-kw", unwrap(&[0; 24]), "cryptographic_failure"),
            ("aes256-kw", unwrap(&[0; 23]), "cryptographic_failure"),
            ("aes256-kwp", unwrap(b""), "cryptographic_failure"),
            ("aes256-kwp", unwrap(long(70_000)), "cryptographic_failure"),
            ("aes256-kw", wrap_from(&[0; 8]), "invalid_field plaintext"),
            ("aes256-kw", wrap_from(long(65_544)), "invalid_field plaintext"),
            ("aes256-kw", unwrap_from(&[0; 24]), "cryptographic_failure"),
            ("aes256-kw", unwrap_from(&[0; 23]), "cryptographic_failure"),
            ("aes256-kwp", wrap_from(&[0; 16]), "incompatible_use"),
            ("aes256-kwp", unwrap_from(&[0; 24]), "incompatible_use"),
            ("aes256-gcm", wrap_from(&[0; 16]), "incompatible_use"),
            ("aes256-gcm", unwrap_from(&[0; 24]), "incompatible_use"),
            ("aes256-gcm", wrap(&[0; 16]), "incompatible_use"),
            ("aes256-gcm", unwrap(&[0; 24]), "incompatible_use"),
        ],
    );
}

/// Each use with the permission that it needs, on a key that has it.
fn all_uses() -> Vec<(&'static str, Use, Permission, bool)> {
    let message = SignRequest::message(b"x");
    vec![
        ("aes256-gcm", encrypt_raw(PLAIN, b"x"), Permission::KeysUseEncrypt, true),
        ("aes256-gcm", data_key(32), Permission::KeysUseEncrypt, true),
        ("aes256-gcm", decrypt_raw(WHOLE, b""), Permission::KeysUseDecrypt, false),
        ("ed25519", sign(None, message), Permission::KeysUseSign, true),
        ("ed25519", verify(message), Permission::KeysUseVerify, false),
        ("hmac-sha256", mac(None, None), Permission::KeysUseMac, true),
        ("hmac-sha256", mac_verify(None), Permission::KeysUseMac, false),
        ("x25519", agree(RAW, &[9; 32], AgreedForm::Raw), Permission::KeysUseDerive, true),
        ("secp256k1", agree_hashed(b"d"), Permission::KeysUseDerive, true),
        ("ml-kem-768", encapsulate(None), Permission::KeysUseEncrypt, true),
        ("ml-kem-768", decapsulate(&[0; 1_088]), Permission::KeysUseDecrypt, false),
        ("aes256-kwp", wrap(b"x"), Permission::KeysUseWrap, true),
        ("aes256-kwp", unwrap(&[0; 16]), Permission::KeysUseWrap, false),
        ("aes256-kw", wrap_from(&[0; 16]), Permission::KeysUseWrap, true),
        ("aes256-kw", unwrap_from(&[0; 24]), Permission::KeysUseWrap, false),
    ]
}

#[test]
fn every_use_needs_its_permission_and_a_key_in_a_state_for_it() {
    let keys = Keys::new();
    let all: Vec<Permission> = Permission::ALL.to_vec();
    for (algorithm, use_it, permission, protects) in all_uses() {
        let key = super::support::create(&keys.engine, &keys.caller, algorithm).unwrap();
        let key = key.record().id;
        let others: Vec<Permission> =
            all.iter().copied().filter(|one| *one != permission).collect();
        let lacking = principal(&keys.engine, &keys.caller, on_realm(&others));
        let having = principal(&keys.engine, &keys.caller, on_realm(&[permission]));
        let run = |caller: &Caller| use_it(&keys.engine, caller, key);
        let denied = EngineError::PermissionDenied(permission);
        assert_eq!(run(&lacking).unwrap_err(), denied, "{algorithm}");
        let is_used = |result: Result<(), EngineError>| {
            matches!(result, Ok(()) | Err(EngineError::CryptographicFailure))
        };
        assert!(is_used(run(&having)), "{algorithm} {permission}");
        let pass = |transition| {
            wait(keys.engine.change_state(&keys.caller, key, transition, None)).unwrap();
        };
        pass(Transition::Suspend);
        assert_eq!(run(&having).unwrap_err().code(), "wrong_state_for_use", "{algorithm}");
        pass(Transition::Resume);
        pass(Transition::Deactivate);
        let deactivated = run(&having);
        if protects {
            assert_eq!(deactivated.unwrap_err().code(), "wrong_state_for_use", "{algorithm}");
        } else {
            assert!(is_used(deactivated), "{algorithm} {permission}");
        }
        destroy(&keys.engine, &keys.caller, key).unwrap();
        assert_eq!(run(&having).unwrap_err(), EngineError::ObjectDestroyed(key), "{algorithm}");
        *keys.world.audit.events.lock() = Vec::new();
        let _refused = run(&having);
        let events = keys.world.audit.events.lock();
        assert_eq!(events.len(), 1, "{algorithm}: one decision, one event");
    }
}

#[test]
fn who_may_not_decrypt_may_not_choose_nonces() {
    let keys = Keys::new();
    let key = keys.of("aes256-gcm");
    let encryptor = principal(&keys.engine, &keys.caller, on_realm(&[Permission::KeysUseEncrypt]));
    let both = [Permission::KeysUseEncrypt, Permission::KeysUseDecrypt];
    let both = principal(&keys.engine, &keys.caller, on_realm(&both));
    let chosen = encrypt_raw(RawEncrypt { nonce: RawNonce::Explicit(&[0; 12]), ..PLAIN }, b"x");
    let refused = chosen(&keys.engine, &encryptor, key).unwrap_err();
    assert_eq!(refused, EngineError::PermissionDenied(Permission::KeysUseDecrypt));
    chosen(&keys.engine, &both, key).unwrap();
    encrypt_raw(PLAIN, b"x")(&keys.engine, &encryptor, key).unwrap();
}

#[test]
fn contexts_are_bounded() {
    let check = |pairs: Vec<(String, String)>| {
        let refused = BoundContext::new(pairs).unwrap_err();
        assert_eq!(told(&refused), "invalid_field context");
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    check(Vec::new());
    check(vec![pair("", "x")]);
    check(vec![pair("a", "x"), pair("a", "x")]);
    check((0..65).map(|number| (format!("{number}"), String::new())).collect());
    check(vec![pair("a", &"x".repeat(BOUND_CONTEXT_BYTES_MAX))]);
    BoundContext::new(vec![pair("a", &"x".repeat(BOUND_CONTEXT_BYTES_MAX - 1))]).unwrap();
    BoundContext::new((0..64).map(|number| (format!("{number}"), String::new()))).unwrap();
}

#[test]
fn what_needs_no_key_needs_a_right_and_has_bounds() {
    let keys = Keys::new();
    let Keys { engine, caller, .. } = &keys;
    let nobody = principal(engine, caller, Vec::new());
    let (_, public) = engine.public_key(caller, keys.of("ed25519"), None).unwrap();
    let message = SignRequest::message(b"x");
    let verify = |caller: &Caller, algorithm: &str, key: &[u8]| {
        let algorithm = Algorithm::from_name(algorithm).unwrap();
        engine.verify_foreign(caller, algorithm, &PeerKey::raw(key), &message, &[0; 64])
    };
    let hash =
        |caller: &Caller, message: &[u8]| engine.hash(caller, HashAlgorithm::Sha256, message);
    assert_eq!(engine.random(&nobody, 1).unwrap_err().code(), "permission_denied");
    assert_eq!(hash(&nobody, b"").unwrap_err().code(), "permission_denied");
    assert_eq!(verify(&nobody, "ed25519", public.raw()).unwrap_err().code(), "permission_denied");
    assert_eq!(verify(caller, "ed25519", public.raw()), Ok(false));
    for (result, expected) in [
        (engine.random(caller, 0).map(drop), "invalid_field bytes"),
        (engine.random(caller, RANDOM_BYTES_MAX + 1).map(drop), "invalid_field bytes"),
        (hash(caller, long(MESSAGE_BYTES_MAX + 1)).map(drop), "invalid_field message"),
        (verify(caller, "ed25519", &[0; 31]).map(drop), "invalid_field public_key"),
        (verify(caller, "ecdsa-p256", &[4; 65]).map(drop), "invalid_field public_key"),
        (verify(caller, "aes256-gcm", b"").map(drop), "incompatible_use"),
        (verify(caller, "x25519", &[9; 32]).map(drop), "incompatible_use"),
    ] {
        assert_eq!(told(&result.unwrap_err()), expected);
    }
}
