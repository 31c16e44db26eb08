//! Keys that are made out of others: the same once, never again, and nothing else.

use lethe_crypto::registry::Algorithm;
use lethe_types::{KeyId, Permission, Transition};

use super::support::{destroy, on_realm, principal, wait};
use super::uses::Keys;
use crate::{Caller, CreateKeyRequest, DeriveFrom, DeriveHow, EngineError, IdempotencyKey};

fn path(text: &str) -> DeriveHow {
    DeriveHow::Path(text.parse().unwrap())
}

fn label(text: &str) -> DeriveHow {
    DeriveHow::Label(text.to_owned())
}

fn derive_as(
    keys: &Keys,
    caller: &Caller,
    parent: KeyId,
    how: DeriveHow,
    child: &str,
) -> Result<KeyId, EngineError> {
    let child = Algorithm::from_name(child).unwrap();
    let request = CreateKeyRequest::new("child".parse().unwrap(), child);
    let from = DeriveFrom { parent, how, depends: false };
    let prepared = keys.engine.prepare_derived_key(caller, request, &from)?;
    Ok(wait(keys.engine.create_key(caller, prepared))?.record().id)
}

fn derive(keys: &Keys, parent: KeyId, how: DeriveHow, child: &str) -> Result<KeyId, EngineError> {
    derive_as(keys, &keys.caller, parent, how, child)
}

#[test]
fn children_work_know_their_parent_and_outlive_it() {
    let keys = Keys::new();
    for (parent, how, child, told) in [
        ("bip32-secp256k1", path("m/0"), "bip32-secp256k1", "m/0"),
        ("bip32-secp256k1", path("m/44h/0H/0'/1"), "ecdsa-secp256k1", "m/44'/0'/0'/1"),
        ("slip10-ed25519", path("m/0'"), "ed25519", "m/0'"),
        ("slip10-p256", path("m/7"), "ecdsa-p256", "m/7"),
        ("hd-ed25519", path("m/0/1/2"), "ed25519-expanded", "m/0/1/2"),
        ("hmac-sha256", label("mail"), "aes256-gcm", "label:mail"),
        ("hmac-sha512", label("a/b c"), "hmac-sha256", "label:a/b c"),
    ] {
        let parent = super::support::create(&keys.engine, &keys.caller, parent).unwrap();
        let parent = parent.record().id;
        let made = derive(&keys, parent, how, child).unwrap();
        let entry = keys.engine.read_key(&keys.caller, made).unwrap();
        let derivation = entry.record().details().derivation.clone().unwrap();
        assert_eq!((derivation.parent, &*derivation.path), (parent, told));
        assert!(!entry.record().imported);
        destroy(&keys.engine, &keys.caller, parent).unwrap();
        let works = if child == "aes256-gcm" {
            let mut out = Vec::new();
            keys.engine.encrypt(&keys.caller, made, b"x", b"", &mut out).is_ok()
        } else if child.starts_with("hmac") {
            keys.engine.mac(&keys.caller, made, b"x").is_ok()
        } else {
            keys.engine.sign(&keys.caller, made, None, b"x").is_ok()
        };
        assert!(works, "{child}");
    }
}

#[test]
fn the_material_is_that_of_the_derivation() {
    let keys = Keys::new();
    // The child of a key with a chain code, over two ways: here, and step by step outside.
    let parent = Algorithm::from_name("bip32-secp256k1").unwrap().master(&[7; 32]).unwrap();
    let want = parent_child(&parent);
    let mut request = CreateKeyRequest::new(
        "root".parse().unwrap(),
        Algorithm::from_name("bip32-secp256k1").unwrap(),
    );
    let (secret, _) = parent.into_parts();
    request.material = Some(crate::GivenMaterial { secret, imported: true });
    let prepared = keys.engine.prepare_key(&keys.caller, request).unwrap();
    let root = wait(keys.engine.create_key(&keys.caller, prepared)).unwrap().record().id;
    let child = derive(&keys, root, path("m/1/2'"), "secp256k1").unwrap();
    let (_, public) = keys.engine.public_key(&keys.caller, child, None).unwrap();
    assert_eq!(public.raw(), want);
}

fn parent_child(parent: &lethe_crypto::registry::Material) -> Vec<u8> {
    let algorithm = Algorithm::from_name("bip32-secp256k1").unwrap();
    let child = algorithm.derive_child(parent.secret(), &"m/1/2'".parse().unwrap()).unwrap();
    child.public_key().unwrap().raw().to_vec()
}

#[test]
fn a_child_is_never_made_twice_by_whatever_way() {
    let keys = Keys::new();
    let (root, mac) = (keys.of("bip32-secp256k1"), keys.of("hmac-sha256"));
    let taken = EngineError::NameTaken("the derivation path");
    let child = derive(&keys, root, path("m/0/1'"), "bip32-secp256k1").unwrap();
    let labelled = derive(&keys, mac, label("mail"), "aes256-gcm").unwrap();
    for _ in 0..2 {
        for (parent, how, algorithm) in [
            (root, path("m/0/1'"), "bip32-secp256k1"),
            (root, path("m/0/1h"), "secp256k1"),
            (mac, label("mail"), "aes256-gcm"),
            (mac, label("mail"), "hmac-sha256"),
        ] {
            assert_eq!(derive(&keys, parent, how, algorithm).unwrap_err(), taken);
        }
        // The second time they are destroyed.
        for (key, parent) in [(child, root), (labelled, mac)] {
            if let Ok(destroyed) = destroy(&keys.engine, &keys.caller, key) {
                assert_eq!(destroyed.receipt.detail.derived_from, Some(parent));
            }
        }
    }
    // Nor over a key on the way: that one derives no others.
    let between = derive(&keys, root, path("m/0"), "bip32-secp256k1").unwrap();
    let refused = derive(&keys, between, path("m/1'"), "secp256k1").unwrap_err();
    assert!(matches!(refused, EngineError::InvalidField { field: "parent", .. }), "{refused}");
}

#[test]
fn derivations_that_cannot_be_are_refused() {
    let keys = Keys::new();
    let long = "x".repeat(251);
    let steps = format!("m{}", "/1000000000".repeat(24));
    let cases = [
        ("bip32-secp256k1", path("m"), "secp256k1", "path"),
        ("bip32-secp256k1", path(&steps), "secp256k1", "path"),
        ("bip32-secp256k1", path("m/0"), "ed25519", "algorithm"),
        ("bip32-secp256k1", path("m/0"), "aes256-gcm", "algorithm"),
        ("bip32-secp256k1", label("a"), "aes256-gcm", "label"),
        ("slip10-ed25519", path("m/0"), "ed25519", "path"),
        ("hmac-sha256", path("m/0"), "aes256-gcm", "path"),
        ("hmac-sha256", label(""), "aes256-gcm", "label"),
        ("hmac-sha256", label(&long), "aes256-gcm", "label"),
        ("hmac-sha256", label("a"), "ed25519", "algorithm"),
        ("aes256-gcm", label("a"), "aes256-gcm", "incompatible_use"),
        ("ed25519", path("m/0'"), "ed25519", "incompatible_use"),
    ];
    for (parent, how, child, expected) in cases {
        let refused = derive(&keys, keys.of(parent), how.clone(), child).unwrap_err();
        let field = if let EngineError::InvalidField { field, .. } = &refused {
            Some(*field)
        } else {
            None
        };
        let told = field.unwrap_or(refused.code());
        assert_eq!(told, expected, "{parent} {how:?} {child}: {refused}");
    }
    let unknown = derive(&keys, KeyId([0; 16]), label("a"), "aes256-gcm").unwrap_err();
    assert_eq!(unknown, EngineError::ItemNotFound("key"));
    let parent = keys.of("hmac-sha256");
    for (permissions, missing) in [
        (vec![Permission::KeysCreate], Permission::KeysUseDerive),
        (vec![Permission::KeysUseDerive], Permission::KeysCreate),
    ] {
        let someone = principal(&keys.engine, &keys.caller, on_realm(&permissions));
        let refused = derive_as(&keys, &someone, parent, label("b"), "aes256-gcm").unwrap_err();
        assert_eq!(refused, EngineError::PermissionDenied(missing));
    }
    wait(keys.engine.change_state(&keys.caller, parent, Transition::Deactivate, None)).unwrap();
    let refused = derive(&keys, parent, label("a"), "aes256-gcm").unwrap_err();
    assert_eq!(refused.code(), "wrong_state_for_use");
    destroy(&keys.engine, &keys.caller, parent).unwrap();
    let refused = derive(&keys, parent, label("a"), "aes256-gcm").unwrap_err();
    assert_eq!(refused, EngineError::ObjectDestroyed(parent));
}

#[test]
fn a_retry_gets_the_child_that_the_first_try_made() {
    let keys = Keys::new();
    let parent = keys.of("hmac-sha256");
    let make = || {
        let algorithm = Algorithm::from_name("aes256-gcm").unwrap();
        let request = CreateKeyRequest {
            idempotency: Some(
                IdempotencyKey::new(&keys.caller, "key.create", "once", &[b"a"]).unwrap(),
            ),
            ..CreateKeyRequest::new("child".parse().unwrap(), algorithm)
        };
        let from = DeriveFrom { parent, how: label("a"), depends: false };
        let prepared = keys.engine.prepare_derived_key(&keys.caller, request, &from).unwrap();
        wait(keys.engine.create_key(&keys.caller, prepared)).unwrap().record().id
    };
    assert_eq!(make(), make());
}
