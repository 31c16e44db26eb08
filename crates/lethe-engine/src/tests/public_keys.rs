//! Public keys alone: they verify, encapsulate and are agreed with, and nothing else. And what a
//! door writes down of a destruction, in the same transaction.

use std::sync::Arc;

use lethe_crypto::registry::{Algorithm, PublicFormat};
use lethe_types::KeyId;

use super::support::{World, admin, create, verified, wait};
use crate::{
    Caller, Collection, CreateKeyRequest, DestroyOutcome, DestroyRequest, DocumentChange, Engine,
    EngineError, Expected, ImportSource, KeyChange, KeyEntry, PeerKey,
};

const NOTES: Collection = Collection::named("note");

fn import(
    engine: &Engine,
    caller: &Caller,
    algorithm: &str,
    key: &[u8],
) -> Result<Arc<KeyEntry>, EngineError> {
    let algorithm = Algorithm::from_name(algorithm).expect("an algorithm");
    let name = "public".parse().expect("a name");
    let import = ImportSource::Public { format: PublicFormat::Raw, key: key.to_vec() };
    let request =
        CreateKeyRequest { import: Some(import), ..CreateKeyRequest::new(name, algorithm) };
    let prepared = engine.prepare_key(caller, request)?;
    wait(engine.create_key(caller, prepared))
}

/// A pair, and its public half as a key of its own.
fn both(engine: &Engine, caller: &Caller, algorithm: &str) -> (KeyId, KeyId) {
    let pair = create(engine, caller, algorithm).expect("a pair").record().id;
    let (_, public) = engine.public_key(caller, pair, None).expect("a public key");
    let alone = import(engine, caller, algorithm, public.raw()).expect("imported").record().id;
    (pair, alone)
}

#[test]
fn a_public_key_alone_does_what_needs_no_private_half() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "ours");
    let pairs: Vec<_> = ["ed25519", "ecdsa-p256", "secp256k1", "ed448", "ml-dsa-44"]
        .iter()
        .map(|name| both(&engine, &caller, name))
        .collect();
    let (kem, kem_alone) = both(&engine, &caller, "ml-kem-768");
    let (agree, agree_alone) = both(&engine, &caller, "x25519");
    drop(engine);
    let engine = world.start();
    let caller = admin(&engine, "ours");
    for (pair, alone) in pairs {
        let (_, signature) = engine.sign(&caller, pair, None, b"m").expect("signed");
        let check = |message: &[u8]| engine.verify(&caller, alone, None, None, message, &signature);
        assert_eq!((check(b"m"), check(b"n")), (Ok(true), Ok(false)));
        let refused = engine.sign(&caller, alone, None, b"m");
        assert!(matches!(refused, Err(EngineError::UseNotAllowed { .. })), "{refused:?}");
    }
    let (_, made) = engine.encapsulate(&caller, kem_alone, None).expect("encapsulated");
    let (_, secret) = engine.decapsulate(&caller, kem, None, &made.ciphertext).expect("opened");
    assert!(secret.ct_eq(made.shared_secret.expose()));
    assert!(engine.decapsulate(&caller, kem_alone, None, &made.ciphertext).is_err());
    let (_, peer) = engine.public_key(&caller, agree_alone, None).expect("a public key");
    engine.agree(&caller, agree, peer.raw()).expect("agreed");
    let peer = PeerKey::raw(peer.raw());
    let form = crate::AgreedForm::Raw;
    assert!(engine.agree_with(&caller, agree_alone, None, &peer, &form).is_err());
}

#[test]
fn what_is_no_public_key_or_wants_a_private_one_is_refused() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "ours");
    let (_, alone) = both(&engine, &caller, "ed25519");
    let point = [4; 65];
    let cases: [(&str, &[u8]); 7] = [
        ("ed25519", &[]),
        ("ed25519", &[1; 31]),
        ("ed25519", &[1; 33]),
        ("ecdsa-p256", &point),
        ("x25519", &[0; 32]),
        ("ml-kem-512", &[0; 799]),
        ("aes256-gcm", &[0; 32]),
    ];
    for (algorithm, key) in cases {
        let refused = import(&engine, &caller, algorithm, key).map(drop);
        assert!(
            matches!(refused, Err(EngineError::InvalidField { field: "import", .. })),
            "{refused:?}"
        );
    }
    let rotated = wait(engine.rotate_key(&caller, alone, None)).map(drop);
    assert!(matches!(rotated, Err(EngineError::IncompatibleUse { .. })), "{rotated:?}");
    let day = std::time::Duration::from_secs(86_400);
    let change = KeyChange { rotation_period: Some(Some(day)), ..KeyChange::default() };
    let changed = wait(engine.update_key(&caller, alone, &change, None)).map(drop);
    assert!(matches!(changed, Err(EngineError::InvalidField { .. })), "{changed:?}");
    let entry = engine.read_key(&caller, alone).expect("there");
    assert!(entry.record().life().public_only && entry.record().imported);
}

fn note(id: &str, expected: Expected) -> DocumentChange {
    DocumentChange { collection: NOTES, id: id.to_owned(), expected, body: Some(b"n".to_vec()) }
}

#[test]
fn what_a_door_writes_of_a_destruction_is_durable_with_it_or_not_at_all() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "ours");
    let key = create(&engine, &caller, "aes256-gcm").expect("a key").record().id;
    let destroy = |id: &str, expected| {
        let documents = vec![note(id, expected)];
        let request = DestroyRequest { documents, ..DestroyRequest::new(key) };
        wait(engine.destroy_key(&caller, request))
    };
    let there = |id: &str| engine.document(&caller, NOTES, id).expect("read").is_some();
    let refused = destroy("a", Expected::Revision(9));
    assert_eq!(refused.map(drop), Err(EngineError::RevisionMismatch));
    assert!(!there("a") && engine.key_counts() == (1, 0));
    let refused = destroy(&"x".repeat(257), Expected::Anything);
    assert!(matches!(refused, Err(EngineError::InvalidField { .. })));
    assert_eq!(engine.key_counts(), (1, 0));
    let Ok(DestroyOutcome::Destroyed(gone)) = destroy("b", Expected::Anything) else {
        panic!("it goes")
    };
    assert!(verified(&engine, &gone.receipt) && there("b"));
    let again = destroy("c", Expected::Anything);
    assert!(matches!(again, Err(EngineError::ObjectDestroyed(_))));
    assert!(!there("c"));
}
