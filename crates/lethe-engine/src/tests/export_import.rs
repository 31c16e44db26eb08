//! Keys that leave and keys that come in: what it takes, the mark that stays, the key that is used
//! once.

use std::time::Duration;

use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, KeyFormat, Material};
use lethe_crypto::transport::{self, Recipient};
use lethe_store::CommitFault;
use lethe_types::limits::{IMPORT_KEY_LIFETIME_MAX, IMPORT_KEYS_MAX};
use lethe_types::{ImportKeyId, KeyId, Permission, SecretVec, Transition};

use super::rig::{Rig, START_MS, acme, aes, as_principal, on, said};
use super::support::{encrypt, verified};
use crate::caretaker::Rounds;
use crate::record::{Scope, VersionState};
use crate::{
    CreateKeyRequest, DestroyRequest, Engine, EngineError, ExportRequest, ExportTo, Exported,
    ImportKeyRequest, ImportSource, KeyChange, PlainExport, PlainExportRule, VaultChange,
};

fn algorithm(name: &str) -> Algorithm {
    Algorithm::from_name(name).unwrap()
}

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.realm();
    rig
}

fn exportable(rig: &mut Rig, name: &str) -> KeyId {
    let request = CreateKeyRequest::new("key".parse().unwrap(), algorithm(name));
    rig.key(CreateKeyRequest { exportable: true, ..request }).unwrap()
}

fn to(key: KeyId, to: ExportTo) -> ExportRequest {
    ExportRequest { key, version: None, format: KeyFormat::Raw, to, expected: None }
}

fn export(rig: &mut Rig, request: &ExportRequest) -> Result<Exported, EngineError> {
    rig.run(async |engine| engine.export_key(&acme(engine), request).await)
}

fn receiver(name: &str) -> Material {
    algorithm(name).generate(&SystemEntropy).unwrap()
}

fn public(material: &Material) -> Vec<u8> {
    material.public_key().unwrap().spki_der().to_vec()
}

fn plain() -> ExportTo {
    ExportTo::Caller(PlainExport::AllowedByDoor)
}

fn is_marked(rig: &Rig, key: KeyId) -> bool {
    let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
    assert_eq!(entry.record().exported, entry.record().life().first_export.is_some());
    entry.record().exported
}

#[test]
fn a_wrapped_key_opens_for_its_recipient_and_decrypts_what_it_protected() {
    for name in ["x25519", "rsa-2048"] {
        let mut rig = rig();
        let key = exportable(&mut rig, "aes256-gcm");
        let receiver = receiver(name);
        let wanted = to(key, ExportTo::PublicKey(public(&receiver)));
        let exported = export(&mut rig, &wanted).unwrap();
        let (secret, info) = (receiver.secret(), exported.info.as_slice());
        let wrapped = exported.material.expose();
        let opened = transport::open(algorithm(name), secret, info, wrapped).unwrap();
        let entry = rig.engine.shared.catalogue.key(key).unwrap();
        let record = entry.record();
        let own = rig.engine.shared.material(record, &record.versions[0]).unwrap();
        assert_eq!(opened.expose(), own.expose(), "{name}");
        assert_eq!(info.is_empty(), name != "x25519");
    }
}

#[test]
fn the_mark_of_an_export_stays_and_the_receipt_tells_it() {
    let mut rig = rig();
    let key = exportable(&mut rig, "ed25519");
    assert!(!is_marked(&rig, key));
    let first = export(&mut rig, &to(key, plain())).unwrap();
    assert_eq!(first.material.len(), 32);
    rig.world.clock.set(START_MS + 60_000);
    export(&mut rig, &to(key, plain())).unwrap();
    let away = KeyChange { exportable: Some(false), ..KeyChange::default() };
    let changed =
        async |engine: &Engine| engine.update_key(&acme(engine), key, &away, None).await.unwrap();
    rig.run(changed);
    rig.run(async |engine| engine.rotate_key(&acme(engine), key, None).await).unwrap();
    let mut rig = rig.restarted();
    assert!(is_marked(&rig, key));
    let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
    assert_eq!(entry.record().life().first_export.unwrap().at.0, START_MS, "the first stays");
    assert_eq!(export(&mut rig, &to(key, plain())).unwrap_err().code(), "export_refused");
    assert_eq!(rig.destroy(DestroyRequest::new(key)), "destroyed");
    let receipt = rig.engine.receipt(&acme(&rig.engine), key).unwrap();
    assert!(receipt.detail.exported && !receipt.detail.imported);
    assert!(verified(&rig.engine, &receipt));
}

#[test]
fn what_may_not_leave_does_not_and_leaves_no_mark() {
    type Prepare = fn(&mut Rig, KeyId);
    let by_realm = || ExportTo::Caller(PlainExport::IfRealmAllows);
    let version = |key, version| ExportRequest { version: Some(version), ..to(key, plain()) };
    type Ask = Box<dyn Fn(KeyId) -> ExportRequest>;
    let cases: Vec<(&str, Prepare, Ask)> = vec![
        ("export_refused", |_, _| {}, Box::new(move |key| to(key, by_realm()))),
        ("invalid_field", |_, _| {}, Box::new(|key| to(key, ExportTo::PublicKey(vec![0x30])))),
        (
            "invalid_field",
            |_, _| {},
            Box::new(|key| to(key, ExportTo::PublicKey(public(&receiver("ed25519"))))),
        ),
        (
            "invalid_field",
            |_, _| {},
            Box::new(|key| ExportRequest { format: KeyFormat::Sec1Der, ..to(key, plain()) }),
        ),
        ("item_not_found", |_, _| {}, Box::new(move |key| version(key, 2))),
        (
            "version_suspended",
            |rig, key| {
                rig.run(async |engine| {
                    let caller = acme(engine);
                    engine.rotate_key(&caller, key, None).await.unwrap();
                    let state = VersionState::Suspended;
                    engine.change_version_state(&caller, key, 1, state, None).await.unwrap();
                });
            },
            Box::new(move |key| version(key, 1)),
        ),
        (
            "wrong_state_for_use",
            |rig, key| {
                let suspend = Transition::Suspend;
                rig.run(async |engine| {
                    engine.change_state(&acme(engine), key, suspend, None).await.unwrap();
                });
            },
            Box::new(|key| to(key, plain())),
        ),
        (
            "revision_mismatch",
            |_, _| {},
            Box::new(|key| ExportRequest {
                expected: Some(crate::Revision(1)),
                ..to(key, plain())
            }),
        ),
    ];
    for (code, prepare, ask) in cases {
        let mut rig = rig();
        let key = exportable(&mut rig, "aes256-gcm");
        prepare(&mut rig, key);
        let log = rig.engine.log_checkpoint();
        assert_eq!(export(&mut rig, &ask(key)).unwrap_err().code(), code);
        assert!(!is_marked(&rig, key), "{code}");
        assert_eq!(rig.engine.log_checkpoint(), log, "{code}");
    }
    let mut rig = rig();
    let key = rig.named("kept");
    assert_eq!(export(&mut rig, &to(key, plain())).unwrap_err().code(), "export_refused");
    let give = KeyChange { exportable: Some(true), ..KeyChange::default() };
    let given =
        async |engine: &Engine| said(engine.update_key(&acme(engine), key, &give, None).await);
    assert_eq!(rig.run(given), "invalid_field", "never given later");
    let realm = rig.realm();
    let carol = rig.principal("carol", on(Scope::Realm, &[Permission::KeysRead]));
    let key = exportable(&mut rig, "aes256-gcm");
    let asked = to(key, plain());
    let ask = async |engine: &Engine| {
        let carol = as_principal(engine, realm, carol).unwrap();
        said(engine.export_key(&carol, &asked).await)
    };
    assert_eq!(rig.run(ask), "permission_denied");
    assert_eq!(rig.destroy(DestroyRequest::new(key)), "destroyed");
    assert_eq!(export(&mut rig, &to(key, plain())).unwrap_err().code(), "object_destroyed");
}

#[test]
fn a_realm_lets_material_leave_in_the_clear_if_its_administrator_says_so() {
    let mut rig = rig();
    let realm = rig.realm();
    let key = exportable(&mut rig, "aes256-gcm");
    let asked = to(key, ExportTo::Caller(PlainExport::IfRealmAllows));
    let carol = rig.principal("carol", on(Scope::Realm, &[Permission::VaultsAdmin]));
    let ask = async |engine: &Engine| {
        let carol = as_principal(engine, realm, carol).unwrap();
        said(engine.change_realm(&carol, Some(PlainExportRule::Allowed)).await)
    };
    assert_eq!(rig.run(ask), "permission_denied");
    let set = async |engine: &Engine, rule| {
        engine.change_realm(&acme(engine), Some(rule)).await.unwrap();
    };
    rig.run(async |engine| set(engine, PlainExportRule::Allowed).await);
    let mut rig = rig.restarted();
    let exported = export(&mut rig, &asked).unwrap();
    assert_eq!((exported.material.len(), exported.wrapping), (32, None));
    rig.run(async |engine| set(engine, PlainExportRule::Refused).await);
    assert_eq!(export(&mut rig, &asked).unwrap_err().code(), "export_refused");
}

#[test]
fn no_material_is_given_before_its_mark_is_durable() {
    let faults =
        [CommitFault::Fail, CommitFault::Full, CommitFault::Stop, CommitFault::ApplyThenStop];
    for fault in faults {
        let mut rig = rig();
        let key = exportable(&mut rig, "aes256-gcm");
        rig.fail_next(Some(fault));
        assert!(export(&mut rig, &to(key, plain())).is_err(), "{fault:?}");
        let rig = rig.restarted();
        assert_eq!(is_marked(&rig, key), fault == CommitFault::ApplyThenStop, "{fault:?}");
    }
}

fn import_key(rig: &mut Rig, name: &str, lifetime: Option<Duration>) -> ImportKeyId {
    let request = ImportKeyRequest { algorithm: algorithm(name), vault: None, lifetime };
    rig.run(async |engine| engine.make_import_key(&acme(engine), &request).await).unwrap().id
}

fn wrapped(rig: &Rig, import_key: ImportKeyId, secret: &[u8]) -> ImportSource {
    let record = rig.engine.read_import_key(&acme(&rig.engine), import_key).unwrap();
    let recipient = Recipient::of_spki(&record.public_key_der).unwrap();
    let secret = SecretVec::copy_from(secret);
    let wrapped = recipient.seal(&SystemEntropy, &record.info(), &secret).unwrap();
    ImportSource::Wrapped { import_key, format: KeyFormat::Raw, wrapped }
}

fn of(source: ImportSource) -> CreateKeyRequest {
    CreateKeyRequest { import: Some(source), ..aes("imported") }
}

#[test]
fn a_wrapped_key_comes_in_once_and_the_import_key_goes_with_it() {
    for name in ["x25519", "rsa-3072"] {
        let mut rig = rig();
        let import_key = import_key(&mut rig, name, None);
        let mut rig = rig.restarted();
        let leaf = rig.engine.shared.catalogue.import_keys()[0].secret.leaf;
        let (first, second) =
            (wrapped(&rig, import_key, &[5; 32]), wrapped(&rig, import_key, &[6; 32]));
        let key = rig.key(of(first)).unwrap();
        let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
        assert!(entry.record().imported);
        let own = rig.engine.shared.material(entry.record(), &entry.record().versions[0]);
        assert_eq!(own.unwrap().expose(), [5; 32]);
        let gone = EngineError::ItemNotFound("import key");
        assert_eq!(rig.key(of(second)).unwrap_err(), gone, "used once");
        assert!(!rig.engine.shared.tree.read().is_taken(leaf), "its private half is erased");
        let rig = rig.restarted();
        assert!(rig.engine.shared.catalogue.import_keys().is_empty());
        assert!(encrypt(&rig.engine, &acme(&rig.engine), key).is_ok());
    }
}

#[test]
fn two_imports_with_one_import_key_make_one_key() {
    let mut rig = rig();
    let import_key = import_key(&mut rig, "x25519", None);
    for together in [true, false] {
        let mut rig = rig.fork();
        let both = [wrapped(&rig, import_key, &[5; 32]), wrapped(&rig, import_key, &[6; 32])];
        let answers = rig.race(
            |engine| {
                both.map(|source| {
                    let caller = acme(engine);
                    super::rig::Turn::Asks(Box::pin(async move {
                        said(super::rig::create(engine, &caller, of(source)).await)
                    }))
                })
            },
            together,
        );
        assert_eq!(answers, ["ok", "item_not_found"], "{together}");
        assert_eq!(rig.engine.key_counts(), (1, 0));
    }
}

#[test]
fn an_import_key_ends_at_its_time_and_takes_nothing_else() {
    let mut rig = rig();
    let hour = Duration::from_secs(3_600);
    let id = import_key(&mut rig, "x25519", Some(hour));
    let good = || wrapped(&rig, id, &[5; 32]);
    let ImportSource::Wrapped { wrapped: bytes, .. } = good() else { panic!("wrapped") };
    let mut altered = bytes.clone();
    altered[40] ^= 1;
    let other = ImportKeyId([1; 16]);
    let source = |import_key, wrapped: &[u8], format| ImportSource::Wrapped {
        import_key,
        format,
        wrapped: wrapped.to_vec(),
    };
    let raw = KeyFormat::Raw;
    let short = wrapped(&rig, id, &[5; 31]);
    for (code, source) in [
        ("cryptographic_failure", source(id, &altered, raw)),
        ("cryptographic_failure", source(id, &bytes[..20], raw)),
        ("item_not_found", source(other, &bytes, raw)),
        ("invalid_field", source(id, &bytes, KeyFormat::Jwk)),
        ("invalid_field", short),
    ] {
        assert_eq!(rig.key(of(source)).unwrap_err().code(), code);
    }
    let vault = rig.vault("other", VaultChange::default());
    let elsewhere = CreateKeyRequest { vault: Some(vault), ..of(wrapped(&rig, id, &[5; 32])) };
    assert_eq!(rig.key(elsewhere).unwrap_err().code(), "invalid_field");
    // Refusals use nothing up.
    rig.world.clock.set(START_MS + 3_600_000 - 1);
    let mut fork = rig.fork();
    let last = wrapped(&fork, id, &[5; 32]);
    assert_eq!(said(fork.key(of(last))), "ok");
    let late = wrapped(&rig, id, &[5; 32]);
    rig.world.clock.set(START_MS + 3_600_000);
    let leaf = rig.engine.shared.catalogue.import_keys()[0].secret.leaf;
    assert_eq!(rig.key(of(late)).unwrap_err(), EngineError::ItemNotFound("import key"));
    assert!(rig.engine.read_import_key(&acme(&rig.engine), id).is_err());
    rig.tend(&mut Rounds::default());
    assert!(rig.engine.shared.catalogue.import_keys().is_empty());
    assert!(!rig.engine.shared.tree.read().is_taken(leaf), "its private half is erased");
}

#[test]
fn import_keys_have_bounds_and_can_be_taken_back() {
    let mut rig = rig();
    let make = |rig: &mut Rig, name, lifetime| {
        let request = ImportKeyRequest { algorithm: algorithm(name), vault: None, lifetime };
        let made = async |engine: &Engine| engine.make_import_key(&acme(engine), &request).await;
        said(rig.run(made))
    };
    let millisecond = Duration::from_millis(1);
    for (code, name, lifetime) in [
        ("invalid_field", "rsa-2048", None),
        ("invalid_field", "ed25519", None),
        ("invalid_field", "aes256-gcm", None),
        ("invalid_field", "x25519", Some(Duration::ZERO)),
        ("invalid_field", "x25519", Some(IMPORT_KEY_LIFETIME_MAX + millisecond)),
        ("ok", "x25519", Some(IMPORT_KEY_LIFETIME_MAX)),
    ] {
        assert_eq!(make(&mut rig, name, lifetime), code, "{name} {lifetime:?}");
    }
    for _ in 1..IMPORT_KEYS_MAX {
        assert_eq!(make(&mut rig, "x25519", None), "ok");
    }
    assert_eq!(make(&mut rig, "x25519", None), "server_limit_exceeded");
    let one = rig.engine.shared.catalogue.import_keys()[0].id;
    rig.run(async |engine| engine.remove_import_key(&acme(engine), one).await).unwrap();
    let again = async |engine: &Engine| said(engine.remove_import_key(&acme(engine), one).await);
    assert_eq!(rig.run(again), "item_not_found");
    assert_eq!(make(&mut rig, "x25519", None), "ok");
    let realm = rig.realm();
    let carol = rig.principal("carol", on(Scope::Realm, &[Permission::KeysCreate]));
    let request = ImportKeyRequest { algorithm: algorithm("x25519"), vault: None, lifetime: None };
    let ask = async |engine: &Engine| {
        let carol = as_principal(engine, realm, carol).unwrap();
        said(engine.make_import_key(&carol, &request).await)
    };
    assert_eq!(rig.run(ask), "permission_denied");
}

#[test]
fn every_form_comes_in_as_the_same_key_and_needs_the_permission() {
    let mut rig = rig();
    for (name, forms) in [
        (
            "ed25519",
            &[KeyFormat::Raw, KeyFormat::Pkcs8Der, KeyFormat::Pkcs8Pem, KeyFormat::Jwk][..],
        ),
        ("ecdsa-p256", &[KeyFormat::Pkcs8Pem, KeyFormat::Jwk, KeyFormat::Sec1Pem]),
        ("aes256-gcm", &[KeyFormat::Raw, KeyFormat::Jwk]),
        ("rsa-2048", &[KeyFormat::Pkcs8Pem, KeyFormat::Pkcs1Der, KeyFormat::Jwk]),
    ] {
        let key = exportable(&mut rig, name);
        let own = rig.engine.shared.catalogue.key(key).unwrap();
        for &format in forms {
            let asked = ExportRequest { format, ..to(key, plain()) };
            let exported = export(&mut rig, &asked).unwrap().material;
            let source = ImportSource::Plain { format, key: exported };
            let request = CreateKeyRequest::new("in".parse().unwrap(), algorithm(name));
            let made = rig.key(CreateKeyRequest { import: Some(source), ..request }).unwrap();
            let entry = rig.engine.shared.catalogue.key(made).unwrap();
            let [one, other] = [&own, &entry].map(|entry| {
                let record = entry.record();
                rig.engine.shared.material(record, &record.versions[0]).unwrap()
            });
            assert_eq!(one.expose(), other.expose(), "{name} {format:?}");
            assert!(entry.record().imported, "{name} {format:?}");
        }
    }
    let realm = rig.realm();
    let carol = rig.principal("carol", on(Scope::Realm, &[Permission::KeysCreate]));
    let ask = async |engine: &Engine| {
        let carol = as_principal(engine, realm, carol).unwrap();
        let key = SecretVec::from_vec(vec![1; 32]);
        let source = ImportSource::Plain { format: KeyFormat::Raw, key };
        said(super::rig::create(engine, &carol, of(source)).await)
    };
    assert_eq!(rig.run(ask), "permission_denied");
}

#[test]
fn a_key_that_derives_leaves_without_its_chain_code_or_not_at_all() {
    let mut rig = rig();
    for (name, alone) in [
        ("bip32-secp256k1", "ecdsa-secp256k1"),
        ("bip32-secp256k1", "bip340-secp256k1"),
        ("slip10-ed25519", "ed25519"),
        ("hd-ed25519", "ed25519-expanded"),
    ] {
        let key = exportable(&mut rig, name);
        let entry = rig.engine.shared.catalogue.key(key).unwrap();
        let without = |plain, alone| to(key, ExportTo::CallerWithoutChainCode(plain, alone));
        let refused = |answer: Result<Exported, EngineError>| said(answer.map(drop));
        assert_eq!(refused(export(&mut rig, &to(key, plain()))), "invalid_field", "{name}");
        let by_realm = without(PlainExport::IfRealmAllows, algorithm(alone));
        assert_eq!(refused(export(&mut rig, &by_realm)), "export_refused");
        for other in ["aes256-gcm", "ecdsa-p256", name] {
            let asked = without(PlainExport::AllowedByDoor, algorithm(other));
            assert_eq!(refused(export(&mut rig, &asked)), "invalid_field", "{name} {other}");
        }
        assert!(!is_marked(&rig, key));
        let asked = without(PlainExport::AllowedByDoor, algorithm(alone));
        let exported = export(&mut rig, &asked).unwrap().material;
        let material = {
            let record = entry.record();
            rig.engine.shared.material(record, &record.versions[0]).unwrap()
        };
        let (own, chain_code) = material.expose().split_at(32);
        assert_eq!(&exported.expose()[..32], own, "{name}");
        let leaks = exported.expose().windows(32).any(|window| window == chain_code);
        assert!(!leaks && is_marked(&rig, key));
    }
    let key = exportable(&mut rig, "ecdsa-secp256k1");
    let alone = algorithm("ecdsa-secp256k1");
    let asked = to(key, ExportTo::CallerWithoutChainCode(PlainExport::AllowedByDoor, alone));
    assert_eq!(said(export(&mut rig, &asked).map(drop)), "invalid_field");
}
