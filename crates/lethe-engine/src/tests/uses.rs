//! Uses of keys over memory: what is made is opened again, by nothing else, and each is audited.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::hash::{HashAlgorithm, digest};
use lethe_crypto::kdf::{KdfHash, hkdf_sha256};
use lethe_crypto::registry::{
    Algorithm, BlockPadding, DecryptParams, OaepHash, PssSalt, PublicFormat, SignRequest,
    SignatureScheme, Use,
};
use lethe_types::{KeyId, Permission, UnixMillis};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::support::{World, admin, create, on_realm, principal, wait};
use crate::catalogue::UsageRow;
use crate::{
    AgreedForm, Binding, BoundContext, Caller, DecryptForm, DecryptRequest, EncryptForm,
    EncryptRequest, Engine, EngineError, PeerKey, RawEncrypt, RawNonce,
};

/// An engine, somebody who may do everything, and a key of each algorithm that was asked for.
pub(super) struct Keys {
    pub(super) world: World,
    pub(super) engine: Engine,
    pub(super) caller: Caller,
    ids: std::cell::RefCell<BTreeMap<String, KeyId>>,
}

impl Keys {
    pub(super) fn new() -> Self {
        let world = World::new();
        let engine = world.start();
        let caller = admin(&engine, "acme");
        Self { world, engine, caller, ids: Default::default() }
    }

    pub(super) fn of(&self, algorithm: &str) -> KeyId {
        let make = || create(&self.engine, &self.caller, algorithm).unwrap().record().id;
        *self.ids.borrow_mut().entry(algorithm.to_owned()).or_insert_with(make)
    }

    pub(super) fn rotate(&self, key: KeyId) {
        wait(self.engine.rotate_key(&self.caller, key, None)).unwrap();
    }

    /// The operations that were audited since the last call, with their refusals.
    fn audited(&self) -> Vec<(String, Option<String>)> {
        let events = std::mem::take(&mut *self.world.audit.events.lock());
        events.into_iter().map(|(operation, _, refusal)| (operation, refusal)).collect()
    }
}

pub(super) fn raw<'a>(raw: RawEncrypt<'a>) -> EncryptRequest<'a> {
    EncryptRequest { version: None, form: EncryptForm::Raw(raw) }
}

pub(super) fn opening<'a>(params: DecryptParams<'a>) -> DecryptRequest<'a> {
    DecryptRequest { version: None, form: DecryptForm::Raw(params) }
}

fn context(pairs: &[(&str, &str)]) -> BoundContext {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    BoundContext::new(pairs).unwrap()
}

fn property<S: Strategy>(cases: u32, strategy: S, check: impl Fn(S::Value)) {
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&strategy, |value| {
        check(value);
        Ok(())
    });
    checked.unwrap();
}

#[test]
fn every_cipher_opens_what_it_made_in_parts_and_in_one_piece() {
    let keys = Keys::new();
    let ciphers: Vec<Algorithm> =
        Algorithm::all().filter(|one| one.cipher_shape().is_some()).collect();
    assert!(ciphers.len() >= 20);
    let bytes = |most| proptest::collection::vec(any::<u8>(), 0..=most);
    let strategy = (0..ciphers.len(), bytes(100), bytes(40));
    property(120, strategy, |(which, mut plaintext, mut aad)| {
        let algorithm = ciphers[which];
        let shape = algorithm.cipher_shape().unwrap();
        if !shape.is_authenticated {
            aad.clear();
        }
        if shape.padding == Some(BlockPadding::Unpadded) {
            plaintext.truncate(plaintext.len() / 16 * 16);
        }
        let (key, mut out) = (keys.of(algorithm.name()), b"before".to_vec());
        let form = raw(RawEncrypt { aad: &aad, ..RawEncrypt::default() });
        let made =
            keys.engine.encrypt_with(&keys.caller, key, &form, &plaintext, &mut out).unwrap();
        let parts = &made.parts;
        assert_eq!((made.version, parts.nonce.start), (1, 6));
        let params = DecryptParams { aad: &aad, ..DecryptParams::default() };
        let open = |params, data: &[u8]| {
            keys.engine.decrypt_with(&keys.caller, key, &opening(params), data)
        };
        assert_eq!(open(params, &out[6..]).unwrap().expose(), plaintext);
        if shape.nonce_bytes > 0 {
            let nonce = Some(&out[parts.nonce.clone()]);
            let tag = (shape.tag_bytes > 0).then(|| &out[parts.tag.clone()]);
            let apart = DecryptParams { nonce, tag, ..params };
            assert_eq!(
                open(apart, &out[parts.ciphertext.clone()]).unwrap().expose(),
                plaintext,
                "{}",
                algorithm.name()
            );
        }
        if shape.is_authenticated {
            let mut altered = out[6..].to_vec();
            *altered.last_mut().unwrap() ^= 1;
            let failed = EngineError::CryptographicFailure;
            assert_eq!(open(params, &altered).unwrap_err(), failed);
            let other = DecryptParams { aad: b"another", ..params };
            assert_eq!(open(other, &out[6..]).unwrap_err(), failed);
        }
    });
}

#[test]
fn a_ciphertext_is_bound_to_associated_data_and_context_in_any_order_of_names() {
    let keys = Keys::new();
    let key = keys.of("aes256-gcm");
    let pairs = proptest::collection::btree_map("[a-c]{1,2}", "[a-c]{0,2}", 1..4);
    let aad = proptest::collection::vec(97..100_u8, 0..3);
    let binding = (aad, proptest::option::of(pairs));
    property(200, (binding.clone(), binding), |(ours, theirs)| {
        let made = |(_, pairs): &(Vec<u8>, Option<BTreeMap<String, String>>)| {
            let pairs = pairs.clone()?;
            Some(BoundContext::new(pairs.into_iter().rev()).unwrap())
        };
        let (our_context, their_context) = (made(&ours), made(&theirs));
        let form = EncryptForm::Bound(Binding { aad: &ours.0, context: our_context.as_ref() });
        let mut out = Vec::new();
        let request = EncryptRequest { version: None, form };
        keys.engine.encrypt_with(&keys.caller, key, &request, b"a letter", &mut out).unwrap();
        let open = |aad: &[u8], context: Option<&BoundContext>| {
            let form = DecryptForm::Bound(Binding { aad, context });
            let request = DecryptRequest { version: None, form };
            keys.engine.decrypt_with(&keys.caller, key, &request, &out).is_ok()
        };
        assert!(open(&ours.0, our_context.as_ref()));
        assert_eq!(open(&theirs.0, their_context.as_ref()), ours == theirs);
        assert_eq!(
            keys.engine.decrypt(&keys.caller, key, &out, &ours.0).is_ok(),
            our_context.is_none()
        );
    });
}

#[test]
fn versions_are_chosen_and_named() {
    let keys = Keys::new();
    let (aes, mac, signer) = (keys.of("aes256-gcm"), keys.of("hmac-sha256"), keys.of("ed25519"));
    let (x25519, kem, wrapper) = (keys.of("x25519"), keys.of("ml-kem-768"), keys.of("aes256-kw"));
    for key in [aes, mac, signer, x25519, kem, wrapper] {
        keys.rotate(key);
    }
    let Keys { engine, caller, .. } = &keys;
    for (wanted, is) in [(None, 2), (Some(2), 2), (Some(1), 1)] {
        let mut out = Vec::new();
        for form in [EncryptForm::default(), EncryptForm::Raw(RawEncrypt::default())] {
            let request = EncryptRequest { version: wanted, form };
            out.clear();
            let made = engine.encrypt_with(caller, aes, &request, b"x", &mut out).unwrap();
            assert_eq!(made.version, is);
        }
        let open = |version| {
            let form = DecryptForm::Raw(DecryptParams::default());
            let request = DecryptRequest { version, form };
            engine.decrypt_with(caller, aes, &request, &out)
        };
        assert_eq!(open(Some(is)).unwrap().expose(), b"x");
        assert_eq!(open(Some(3 - is)).unwrap_err(), EngineError::CryptographicFailure);
        assert_eq!(open(None).is_ok(), is == 2);

        let (version, tag) = engine.mac_with(caller, mac, wanted, Some(16), b"x").unwrap();
        assert_eq!((version, tag.len()), (is, 16));
        let check = |version, bytes| {
            engine.mac_verify_with(caller, mac, version, bytes, b"x", &tag).unwrap()
        };
        assert!(check(None, Some(16)) && check(Some(is), Some(16)));
        assert!(!check(Some(3 - is), Some(16)) && !check(Some(9), Some(16)));
        assert!(!check(None, None) && !check(None, Some(17)));

        let request = SignRequest::message(b"x");
        let (version, signature) = engine.sign_with(caller, signer, wanted, &request).unwrap();
        assert_eq!(version, is);
        let check = |version| {
            engine.verify_with(caller, signer, version, &request, &signature.bytes).unwrap()
        };
        assert!(check(None) && check(Some(is)) && !check(Some(3 - is)) && !check(Some(9)));

        let (version, made) = engine.encapsulate(caller, kem, wanted).unwrap();
        let opened = engine.decapsulate(caller, kem, Some(version), &made.ciphertext).unwrap();
        assert_eq!((version, opened.0), (is, is));
        assert!(opened.1.ct_eq(made.shared_secret.expose()));

        let (version, wrapped) = engine.wrap(caller, wrapper, wanted, &[7; 32]).unwrap();
        assert_eq!(version, is);
        for version in [None, Some(is)] {
            let opened = engine.unwrap(caller, wrapper, version, &wrapped).unwrap();
            assert_eq!(opened.expose(), [7; 32]);
        }
        let refused = engine.unwrap(caller, wrapper, Some(3 - is), &wrapped).unwrap_err();
        assert_eq!(refused, EngineError::CryptographicFailure);

        let (version, public) = engine.public_key(caller, x25519, wanted).unwrap();
        let ours = create(engine, caller, "x25519").unwrap().record().id;
        let (_, our_public) = engine.public_key(caller, ours, None).unwrap();
        let there = PeerKey { format: PublicFormat::SpkiDer, bytes: our_public.spki_der() };
        let form = AgreedForm::Raw;
        let theirs = engine.agree_with(caller, x25519, Some(version), &there, &form).unwrap();
        let here = engine.agree(caller, ours, public.raw()).unwrap();
        assert!(version == is && theirs.0 == is && here.ct_eq(theirs.1.expose()));
    }
}

#[test]
fn a_secret_is_agreed_on_in_every_form() {
    let keys = Keys::new();
    for name in ["x25519", "x448", "ecdh-p256", "ecdsa-p384", "secp256k1"] {
        let ours = keys.of(name);
        let theirs = create(&keys.engine, &keys.caller, name).unwrap().record().id;
        let Keys { engine, caller, .. } = &keys;
        let (_, public) = engine.public_key(caller, theirs, None).unwrap();
        let algorithm = Algorithm::from_name(name).unwrap();
        let jwk = algorithm.public_jwk(&public).unwrap();
        let secret = engine.agree(caller, ours, public.raw()).unwrap();
        let agree = |format, bytes: &[u8], form: &AgreedForm<'_>| {
            let peer = PeerKey { format, bytes };
            engine.agree_with(caller, ours, None, &peer, form).unwrap().1
        };
        for (format, bytes) in [
            (PublicFormat::Raw, public.raw()),
            (PublicFormat::SpkiDer, public.spki_der()),
            (PublicFormat::SpkiPem, public.to_pem().as_bytes()),
            (PublicFormat::Jwk, jwk.as_bytes()),
        ] {
            let again = agree(format, bytes, &AgreedForm::Raw);
            assert!(again.ct_eq(secret.expose()), "{name} {format:?}");
        }
        for hash in HashAlgorithm::ALL {
            let hashed = agree(PublicFormat::Raw, public.raw(), &AgreedForm::Hash(*hash));
            assert_eq!(hashed.expose(), digest(*hash, &[secret.expose()]).as_slice());
        }
        let form =
            AgreedForm::Hkdf { hash: KdfHash::Sha256, salt: b"salt", info: b"info", bytes: 32 };
        let derived = agree(PublicFormat::Raw, public.raw(), &form);
        let expected = hkdf_sha256(b"salt", secret.expose(), &[b"info"]).unwrap();
        assert!(derived.ct_eq(expected.expose()));
        if name == "secp256k1" {
            let point = agree(PublicFormat::SpkiDer, public.spki_der(), &AgreedForm::Point);
            let (&tag, x) = point.expose().split_first().unwrap();
            assert!((tag == 2 || tag == 3) && secret.ct_eq(x));
        }
    }
}

#[test]
fn convergent_encryption_repeats_itself_in_its_context_alone() {
    let keys = Keys::new();
    let encrypt = |algorithm: &str, form: RawEncrypt<'_>, plaintext: &[u8]| {
        let mut out = Vec::new();
        let key = keys.of(algorithm);
        keys.engine.encrypt_with(&keys.caller, key, &raw(form), plaintext, &mut out).unwrap();
        out
    };
    let convergent = |context| {
        encrypt("aes256-gcm-convergent", RawEncrypt { aad: context, ..<_>::default() }, b"x")
    };
    assert_eq!(convergent(b"order-42"), convergent(b"order-42"));
    assert_ne!(convergent(b"order-42"), convergent(b"order-43"));
    let derived = |context| {
        let nonce = RawNonce::Derived { context };
        encrypt("aes256-gcm-siv", RawEncrypt { nonce, ..<_>::default() }, b"x")
    };
    assert_eq!(derived(b"a"), derived(b"a"));
    assert_ne!(derived(b"a"), derived(b"b"));
    let random = || encrypt("aes256-gcm", RawEncrypt::default(), b"x");
    assert_ne!(random(), random());
    // In our own format it is bound to key, version and all the rest, and still repeats itself.
    let key = keys.of("aes256-gcm-convergent");
    let bound = |aad: &[u8]| {
        let mut out = Vec::new();
        keys.engine.encrypt(&keys.caller, key, b"x", aad, &mut out).unwrap();
        out
    };
    assert_eq!(bound(b"a"), bound(b"a"));
    assert_ne!(bound(b"a"), bound(b"b"));
}

/// Bytes that other systems write with these keys and nonces: their formats are what a raw form
/// makes, with a prefix of their own.
#[test]
fn raw_forms_are_the_bytes_that_others_expect() {
    let keys = Keys::new();
    let Keys { engine, caller, .. } = &keys;
    let counted = |first: u8, bytes: u8| (first..first + bytes).collect::<Vec<u8>>();
    let cases = [
        ("aes128-gcm", 12, "oKGio6SlpqeoqaqrwuNU1xGpRGX4FNHzPJ9BDsR95+oJ2tlSedjh"),
        ("aes256-gcm", 12, "oKGio6Slpqeoqaqrjn0QQSrrddAQCeOsJrBG0xxuRyhGb7FdEMha"),
        ("aes128-ofb", 16, "oKGio6SlpqeoqaqrrK2urzZ9vZKZPX8Rss9a"),
        ("aes256-ofb", 16, "oKGio6SlpqeoqaqrrK2ur7T6bZEZmAtifSeM"),
        ("aes256-gcm-convergent", 0, "5TY6BO4+x5h14zvvRbgXjsCT5L371KbB69ypzhwCm5Hv"),
    ];
    for (name, nonce_bytes, expected) in cases {
        let algorithm = Algorithm::from_name(name).unwrap();
        let mut request = crate::CreateKeyRequest::new("given".parse().unwrap(), algorithm);
        let key_bytes = if name.contains("128") { 16 } else { 32 };
        let secret = lethe_types::SecretVec::from_vec(counted(0, key_bytes));
        request.material = Some(crate::GivenMaterial { secret, imported: true });
        let prepared = engine.prepare_key(caller, request).unwrap();
        let key = wait(engine.create_key(caller, prepared)).unwrap().record().id;
        let nonce = counted(0xa0, nonce_bytes);
        let (form, plaintext) = if nonce_bytes == 0 {
            (RawEncrypt { aad: b"order-42", ..RawEncrypt::default() }, b"hello".as_slice())
        } else {
            let nonce = RawNonce::Explicit(&nonce);
            (RawEncrypt { nonce, ..RawEncrypt::default() }, b"hello world".as_slice())
        };
        let mut out = Vec::new();
        engine.encrypt_with(caller, key, &raw(form), plaintext, &mut out).unwrap();
        assert_eq!(STANDARD.encode(&out), expected, "{name}");
        let params = DecryptParams { aad: form.aad, ..DecryptParams::default() };
        let opened = engine.decrypt_with(caller, key, &opening(params), &out).unwrap();
        assert_eq!(opened.expose(), plaintext, "{name}");
    }
}

#[test]
fn nonces_have_the_length_that_was_asked_for() {
    let keys = Keys::new();
    let (key, mut out) = (keys.of("aes256-gcm"), Vec::new());
    for (nonce, expected) in [
        (RawNonce::Random, 12),
        (RawNonce::RandomOf(12), 12),
        (RawNonce::RandomOf(16), 16),
        (RawNonce::Explicit(&[5; 12]), 12),
        (RawNonce::Explicit(&[5; 16]), 16),
    ] {
        out.clear();
        let form = raw(RawEncrypt { nonce, ..RawEncrypt::default() });
        let made = keys.engine.encrypt_with(&keys.caller, key, &form, b"x", &mut out).unwrap();
        let (nonce, rest) = out.split_at(expected);
        assert_eq!(made.parts.nonce, 0..expected);
        let params = DecryptParams { nonce: Some(nonce), ..DecryptParams::default() };
        let opened = keys.engine.decrypt_with(&keys.caller, key, &opening(params), rest).unwrap();
        assert_eq!(opened.expose(), b"x");
    }
}

#[test]
fn what_is_encrypted_anew_opens_and_leaves_an_event_on_both_keys() {
    let keys = Keys::new();
    let (from, to) = (keys.of("aes256-gcm"), keys.of("chacha20-poly1305"));
    let bound = context(&[("tenant", "7")]);
    let mut first = Vec::new();
    keys.engine.encrypt(&keys.caller, from, b"a letter", b"old", &mut first).unwrap();
    keys.rotate(from);
    keys.audited();
    let old = DecryptForm::Bound(Binding { aad: b"old", context: None });
    let old = DecryptRequest { version: None, form: old };
    let new = EncryptForm::Bound(Binding { aad: b"new", context: Some(&bound) });
    let new = EncryptRequest { version: None, form: new };
    for (key, version) in [(to, 1), (from, 2)] {
        let mut second = b"before".to_vec();
        let made =
            keys.engine.re_encrypt(&keys.caller, (from, &old), &first, (key, &new), &mut second);
        assert_eq!(made.unwrap().version, version);
        let allowed = |name: &str| (name.to_owned(), None);
        let events = [allowed("key.re_encrypt_from"), allowed("key.re_encrypt_to")];
        assert_eq!(keys.audited(), events);
        let form = DecryptForm::Bound(Binding { aad: b"new", context: Some(&bound) });
        let request = DecryptRequest { version: None, form };
        let opened = keys.engine.decrypt_with(&keys.caller, key, &request, &second[6..]).unwrap();
        assert_eq!(opened.expose(), b"a letter");
        keys.audited();
    }
    // Who may do one of the two cannot do it.
    for (permission, missing) in [
        (Permission::KeysUseEncrypt, Permission::KeysUseDecrypt),
        (Permission::KeysUseDecrypt, Permission::KeysUseEncrypt),
    ] {
        let someone = principal(&keys.engine, &keys.caller, on_realm(&[permission]));
        let mut out = b"before".to_vec();
        let refused = keys.engine.re_encrypt(&someone, (from, &old), &first, (to, &new), &mut out);
        assert_eq!(refused.unwrap_err(), EngineError::PermissionDenied(missing));
        assert_eq!(out, b"before");
    }
}

#[test]
fn data_keys_open_to_what_was_shown() {
    let keys = Keys::new();
    let (key, rsa) = (keys.of("aes256-gcm"), keys.of("rsa-2048"));
    let Keys { engine, caller, .. } = &keys;
    let mut seen = std::collections::BTreeSet::new();
    for bytes in [16, 24, 32, 64] {
        let mut out = Vec::new();
        let (made, plain) =
            engine.data_key(caller, key, &EncryptRequest::default(), bytes, &mut out).unwrap();
        assert_eq!((made.version, plain.len()), (1, bytes));
        assert!(engine.decrypt(caller, key, &out, b"").unwrap().ct_eq(plain.expose()));
        assert!(seen.insert(plain.expose()[..16].to_vec()));
        let (hash, label) = (OaepHash::Sha256, b"".as_slice());
        let form = EncryptForm::Oaep { hash, label };
        out.clear();
        let request = EncryptRequest { version: None, form };
        let (_, plain) = engine.data_key(caller, rsa, &request, bytes, &mut out).unwrap();
        let form = DecryptForm::Oaep { hash, label };
        let request = DecryptRequest { version: None, form };
        let opened = engine.decrypt_with(caller, rsa, &request, &out).unwrap();
        assert!(out.len() == 256 && opened.ct_eq(plain.expose()));
    }
    let events: Vec<_> = keys.audited().into_iter().map(|(operation, _)| operation).collect();
    assert_eq!(events.iter().filter(|operation| *operation == "key.data_key").count(), 8);
}

#[test]
fn every_scheme_of_every_signer_verifies_here_and_by_its_public_key() {
    let keys = Keys::new();
    let Keys { engine, caller, .. } = &keys;
    let mut schemes = 0;
    // One modulus stands for all: the larger ones take seconds to make without optimisation.
    let signers = Algorithm::all().filter(|one| one.has(Use::Sign));
    for algorithm in signers.filter(|one| !["rsa-3072", "rsa-4096"].contains(&one.name())) {
        let key = keys.of(algorithm.name());
        let (_, public) = engine.public_key(caller, key, None).unwrap();
        for &scheme in algorithm.schemes() {
            let mut request = SignRequest::message(b"a letter").by(scheme);
            if scheme == SignatureScheme::Ed25519ctx {
                request = request.with_context(b"there must be one");
            }
            let (_, signature) = engine.sign_with(caller, key, None, &request).unwrap();
            let bytes = &signature.bytes;
            assert!(engine.verify_with(caller, key, None, &request, bytes).unwrap());
            let mut altered = bytes.clone();
            altered[bytes.len() / 2] ^= 1;
            assert!(!engine.verify_with(caller, key, None, &request, &altered).unwrap());
            assert!(!engine.verify_with(caller, key, None, &request, b"").unwrap());
            schemes += 1;
            // Taproot signatures verify under the tweaked key.
            if scheme == SignatureScheme::Bip340Taproot {
                continue;
            }
            let foreign = |format, key: &[u8], signature: &[u8]| {
                let key = PeerKey { format, bytes: key };
                engine.verify_foreign(caller, algorithm, &key, &request, signature).unwrap()
            };
            let pem = public.to_pem();
            for (format, key) in [
                (PublicFormat::SpkiDer, public.spki_der()),
                (PublicFormat::SpkiPem, pem.as_bytes()),
            ] {
                assert!(foreign(format, key, bytes), "{} {scheme}", algorithm.name());
                assert!(!foreign(format, key, &altered), "{} {scheme}", algorithm.name());
            }
        }
    }
    assert!(schemes >= 60, "{schemes}");
}

#[test]
fn digests_salts_and_recovery_go_through() {
    let keys = Keys::new();
    let (ec, rsa, curve) = (keys.of("ecdsa-p256"), keys.of("rsa-2048"), keys.of("secp256k1"));
    let Keys { engine, caller, .. } = &keys;
    let hash = digest(HashAlgorithm::Sha256, &[b"a letter"]);
    let (whole, hashed) = (SignRequest::message(b"a letter"), SignRequest::digest(hash.as_slice()));
    for key in [ec, rsa, curve] {
        let (_, signature) = engine.sign_with(caller, key, None, &hashed).unwrap();
        assert_eq!(signature.recovery_id.is_some(), key == curve);
        assert!(engine.verify_with(caller, key, None, &whole, &signature.bytes).unwrap());
    }
    let salted = whole.with_pss_salt(PssSalt::Exactly(20));
    let (_, signature) = engine.sign_with(caller, rsa, None, &salted).unwrap();
    for (salt, expected) in
        [(PssSalt::Exactly(20), true), (PssSalt::Any, true), (PssSalt::AsHash, false)]
    {
        let request = whole.with_pss_salt(salt);
        let found = engine.verify_with(caller, rsa, None, &request, &signature.bytes).unwrap();
        assert_eq!(found, expected, "{salt:?}");
    }
    // A taproot signature is by the output key.
    let taproot = SignRequest::digest(hash.as_slice()).by(SignatureScheme::Bip340Taproot);
    for root in [[].as_slice(), &[7; 32]] {
        let (_, output) = engine.taproot_output_key(caller, curve, None, root).unwrap();
        let request = taproot.with_context(root);
        let (_, signature) = engine.sign_with(caller, curve, None, &request).unwrap();
        let algorithm = Algorithm::from_name("bip340-secp256k1").unwrap();
        let compressed = [&[2], output.as_slice()].concat();
        let plain = SignRequest::digest(hash.as_slice());
        let valid = engine
            .verify_foreign(caller, algorithm, &PeerKey::raw(&compressed), &plain, &signature.bytes)
            .unwrap();
        assert!(valid);
    }
    let (_, point) = engine.agree_with_hashed(caller, curve, None, b"domain", b"x").unwrap();
    let (_, again) = engine.agree_with_hashed(caller, curve, None, b"domain", b"x").unwrap();
    let (_, other) = engine.agree_with_hashed(caller, curve, None, b"domaim", b"x").unwrap();
    assert!(point.len() == 33 && point.ct_eq(again.expose()) && !point.ct_eq(other.expose()));
}

#[test]
fn random_bytes_differ_and_hashes_are_those_of_the_standard() {
    let keys = Keys::new();
    let Keys { engine, caller, .. } = &keys;
    let [one, other] = [(); 2].map(|()| engine.random(caller, 32).unwrap());
    assert!(one.len() == 32 && !one.ct_eq(other.expose()));
    for algorithm in HashAlgorithm::ALL {
        let hash = engine.hash(caller, *algorithm, b"abc").unwrap();
        assert_eq!(hash, digest(*algorithm, &[b"abc"]));
        assert_eq!(hash.as_slice().len(), algorithm.output_bytes());
    }
}

#[test]
fn a_version_stops_when_its_random_nonces_may_repeat() {
    let keys = Keys::new();
    let (key, long_nonces) = (keys.of("aes256-gcm"), keys.of("xchacha20-poly1305"));
    let Keys { engine, caller, .. } = &keys;
    let encrypt = |key, version| {
        let request = EncryptRequest { version, form: EncryptForm::Raw(RawEncrypt::default()) };
        let mut out = b"before".to_vec();
        let made = engine.encrypt_with(caller, key, &request, b"x", &mut out);
        assert_eq!(out.len() == 6, made.is_err());
        made.map(|made| made.version)
    };
    let spent = Err(EngineError::ServerLimitExceeded("encryptions by one version: rotate the key"));
    for key in [key, long_nonces] {
        encrypt(key, None).unwrap();
        let entry = engine.read_key(caller, key).unwrap();
        let row = entry.used().unwrap();
        let counted = u32::from(key != long_nonces);
        assert_eq!((row.version, row.encryptions), (counted, counted));
        let nearly = UsageRow { version: 1, encryptions: u32::MAX - 1, ..row };
        entry.usage().set(nearly);
    }
    assert_eq!(encrypt(key, None), Ok(1));
    assert_eq!(encrypt(key, None), spent);
    assert_eq!(encrypt(key, Some(1)), spent);
    for _ in 0..3 {
        assert_eq!(encrypt(long_nonces, None), Ok(1));
    }
    keys.rotate(key);
    assert_eq!(encrypt(key, None), Ok(2));
    assert_eq!(encrypt(key, None), Ok(2));
    // The older one may go on as long as all uses of the key together are few enough.
    assert_eq!(encrypt(key, Some(1)), Ok(1));
    let entry = engine.read_key(caller, key).unwrap();
    let row = entry.used().unwrap();
    assert_eq!((row.version, row.encryptions), (2, 2));
    entry.usage().set(UsageRow { count: u64::from(u32::MAX), last: UnixMillis(1), ..row });
    assert_eq!(encrypt(key, Some(1)), spent);
    assert_eq!(encrypt(key, None), Ok(2));
    // What is protected already is still opened.
    let data = Arc::new([1, 0, 0, 0, 1]);
    let opened = engine.decrypt(caller, key, data.as_slice(), b"");
    assert_eq!(opened.unwrap_err(), EngineError::CryptographicFailure);
}
