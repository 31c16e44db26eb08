//! Versions of a key: which one a use gets, suspended, below a minimum, destroyed with a receipt of
//! its own; and what stands before that.

use std::time::Duration;

use lethe_types::{KeyId, KeyState, Permission, Transition};

use super::rig::{Rig, START_MS, acme, aes, as_principal, on, said};
use super::support::{encrypt, verified, works};
use crate::record::{
    ApprovalRule, DeletionPolicy, Dependants, Derivation, HoldKind, Scope, VersionState, Window,
};
use crate::{
    CreateKeyRequest, DestroyRequest, DestroyVersionRequest, EngineError, HoldRequest,
    ImportSource, KeyChange, VersionFault,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// A key with three versions, and a ciphertext of each.
fn three() -> (Rig, KeyId, [Vec<u8>; 3]) {
    let mut rig = Rig::new();
    rig.realm();
    let key = rig.named("key");
    let made = [(); 3].map(|()| {
        let text = encrypt(&rig.engine, &acme(&rig.engine), key).unwrap();
        rotate(&mut rig, key);
        text
    });
    // The fourth goes again, so that three are left.
    assert_eq!(destroy(&mut rig, key, 4), "ok");
    (rig, key, made)
}

fn rotate(rig: &mut Rig, key: KeyId) {
    rig.run(async |engine| engine.rotate_key(&acme(engine), key, None).await).unwrap();
}

fn destroy(rig: &mut Rig, key: KeyId, version: u32) -> String {
    let request = DestroyVersionRequest::new(key, version);
    rig.run(async |engine| said(engine.destroy_version(&acme(engine), &request).await))
}

fn set(rig: &mut Rig, key: KeyId, version: u32, state: VersionState) -> String {
    rig.run(async |engine| {
        said(engine.change_version_state(&acme(engine), key, version, state, None).await)
    })
}

fn change(rig: &mut Rig, key: KeyId, change: KeyChange) -> String {
    rig.run(async |engine| said(engine.update_key(&acme(engine), key, &change, None).await))
}

fn opened(rig: &Rig, key: KeyId, text: &[u8]) -> String {
    said(rig.engine.decrypt(&acme(&rig.engine), key, text, b""))
}

fn current(rig: &Rig, key: KeyId) -> Option<u32> {
    let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
    entry.record().current_version().map(|version| version.number)
}

#[test]
fn a_destroyed_version_is_gone_for_good_and_the_key_goes_on() {
    let (mut rig, key, made) = three();
    let request =
        DestroyVersionRequest { reason: "leaked".to_owned(), ..DestroyVersionRequest::new(key, 2) };
    let ended =
        rig.run(async |engine| engine.destroy_version(&acme(engine), &request).await).unwrap();
    assert!(verified(&rig.engine, &ended.receipt));
    let detail = &ended.receipt.detail;
    assert_eq!((detail.versions.len(), detail.versions[0].version), (1, 2));
    assert_eq!(detail.reason, "leaked");
    let vkey = rig.engine.log_vkey().parse().unwrap();
    let proof = ended.receipt.to_proof().unwrap();
    let told = lethe_verify::verify(proof.as_bytes(), &vkey).unwrap();
    assert_eq!(told.extent, lethe_verify::Extent::Version(2));
    for restart in [false, true] {
        if restart {
            rig = rig.restarted();
        }
        let caller = acme(&rig.engine);
        assert_eq!(opened(&rig, key, &made[1]), "version_destroyed");
        assert!(works(&rig.engine, &caller, key, &made[0]));
        assert!(works(&rig.engine, &caller, key, &made[2]));
        assert!(encrypt(&rig.engine, &caller, key).is_ok());
        let entry = rig.engine.read_key(&caller, key).unwrap();
        let record = entry.record();
        assert_eq!(record.state, KeyState::ACTIVE);
        let left: Vec<u32> = record.versions.iter().map(|version| version.number).collect();
        let ended: Vec<u32> =
            record.life().destroyed_versions.iter().map(|version| version.number).collect();
        assert_eq!((left, ended), (vec![1, 3], vec![2, 4]));
        let later = rig.engine.version_receipt(&caller, key, 2).unwrap();
        assert!(verified(&rig.engine, &later));
        assert_eq!(later.detail.reason, "leaked");
        let none = rig.engine.version_receipt(&caller, key, 1).unwrap_err();
        assert_eq!(none, EngineError::ItemNotFound("receipt"));
    }
    // Its number does not come again, and the end of the key keeps the receipt.
    rotate(&mut rig, key);
    assert_eq!(current(&rig, key), Some(5));
    assert_eq!(destroy(&mut rig, key, 2), "version_destroyed");
    assert_eq!(destroy(&mut rig, key, 9), "item_not_found");
    assert_eq!(rig.destroy(DestroyRequest::new(key)), "destroyed");
    let caller = acme(&rig.engine);
    let whole = rig.engine.receipt(&caller, key).unwrap();
    let numbers: Vec<u32> = whole.detail.versions.iter().map(|version| version.version).collect();
    assert_eq!(numbers, [1, 3, 5]);
    assert!(verified(&rig.engine, &rig.engine.version_receipt(&caller, key, 2).unwrap()));
    assert_eq!(destroy(&mut rig, key, 1), "object_destroyed");
}

#[test]
fn a_suspended_version_does_nothing_until_it_is_resumed() {
    let (mut rig, key, made) = three();
    assert_eq!(set(&mut rig, key, 1, VersionState::Suspended), "ok");
    assert_eq!(opened(&rig, key, &made[0]), "version_suspended");
    assert_eq!(opened(&rig, key, &made[1]), "ok");
    rig = rig.restarted();
    assert_eq!(opened(&rig, key, &made[0]), "version_suspended");
    // Twice is once, and says the time of the first.
    let since = |rig: &Rig| {
        let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
        entry.record().version_state_since(1)
    };
    let first = since(&rig);
    rig.world.clock.set(START_MS + 5_000);
    assert_eq!(set(&mut rig, key, 1, VersionState::Suspended), "ok");
    assert_eq!(since(&rig), first);
    // The newest enabled one protects; the last of them stays.
    assert_eq!(current(&rig, key), Some(3));
    assert_eq!(set(&mut rig, key, 3, VersionState::Suspended), "ok");
    assert_eq!(current(&rig, key), Some(2));
    let text = encrypt(&rig.engine, &acme(&rig.engine), key).unwrap();
    assert_eq!(text[4], 2);
    assert_eq!(set(&mut rig, key, 2, VersionState::Suspended), "version_last_enabled");
    assert_eq!(destroy(&mut rig, key, 2), "version_last_enabled");
    assert_eq!(set(&mut rig, key, 1, VersionState::Enabled), "ok");
    assert_eq!(opened(&rig, key, &made[0]), "ok");
    for (version, expected) in [(4, "version_destroyed"), (9, "item_not_found")] {
        assert_eq!(set(&mut rig, key, version, VersionState::Suspended), expected);
    }
}

#[test]
fn checks_pass_over_versions_that_may_not_be_used() {
    let mut rig = Rig::new();
    rig.realm();
    let algorithm = lethe_crypto::registry::Algorithm::from_name("ed25519").unwrap();
    let key = rig.key(CreateKeyRequest::new("signer".parse().unwrap(), algorithm)).unwrap();
    let sign = |rig: &Rig| rig.engine.sign(&acme(&rig.engine), key, None, b"m").unwrap().1;
    let check = |rig: &Rig, version, signature: &[u8]| {
        rig.engine.verify(&acme(&rig.engine), key, version, None, b"m", signature)
    };
    let first = sign(&rig);
    rotate(&mut rig, key);
    assert!(check(&rig, None, &first).unwrap() && check(&rig, Some(1), &first).unwrap());
    set(&mut rig, key, 1, VersionState::Suspended);
    assert!(!check(&rig, None, &first).unwrap());
    let refused = check(&rig, Some(1), &first).unwrap_err();
    let why = VersionFault::Suspended;
    assert_eq!(refused, EngineError::VersionRefused { version: 1, why });
    assert!(!check(&rig, Some(7), &first).unwrap(), "no such version signed anything");
    set(&mut rig, key, 1, VersionState::Enabled);
    let from = KeyChange { process_from: Some(2), ..KeyChange::default() };
    assert_eq!(change(&mut rig, key, from), "ok");
    assert!(!check(&rig, None, &first).unwrap());
    assert_eq!(check(&rig, Some(1), &first).unwrap_err().code(), "version_below_minimum");
    assert!(check(&rig, None, &sign(&rig)).unwrap());
}

#[test]
fn minimums_bound_what_protects_and_what_processes() {
    let (mut rig, key, made) = three();
    let protect = |from| KeyChange { protect_from: Some(from), ..KeyChange::default() };
    let process = |from| KeyChange { process_from: Some(from), ..KeyChange::default() };
    assert_eq!(change(&mut rig, key, process(2)), "ok");
    assert_eq!(opened(&rig, key, &made[0]), "version_below_minimum");
    assert_eq!(opened(&rig, key, &made[1]), "ok");
    rig = rig.restarted();
    assert_eq!(opened(&rig, key, &made[0]), "version_below_minimum");
    assert_eq!(change(&mut rig, key, process(0)), "ok");
    assert_eq!(opened(&rig, key, &made[0]), "ok");
    // What protects must be there: no minimum above it, no end of it below one.
    assert_eq!(change(&mut rig, key, protect(4)), "invalid_field");
    assert_eq!(change(&mut rig, key, process(4)), "invalid_field");
    assert_eq!(change(&mut rig, key, protect(3)), "ok");
    assert_eq!(set(&mut rig, key, 3, VersionState::Suspended), "version_last_enabled");
    assert_eq!(destroy(&mut rig, key, 3), "version_last_enabled");
    assert_eq!(opened(&rig, key, &made[0]), "ok");
    assert_eq!(destroy(&mut rig, key, 1), "ok");
    assert_eq!(change(&mut rig, key, protect(2)), "ok");
    assert_eq!(destroy(&mut rig, key, 3), "ok");
    assert_eq!(current(&rig, key), Some(2));
}

type Step = fn(&mut Rig, KeyId);

/// The rule's code, what raises it and what satisfies it.
const RULES: &[(&str, Step, Step)] = &[
    ("held", hold, lift),
    ("protected", |rig, key| protect(rig, key, true), |rig, key| protect(rig, key, false)),
    (
        "window_too_short",
        |rig, _| {
            let window = Some(Window { minimum: HOUR, may_end_early: true });
            rig.realm_policy(&DeletionPolicy { window, ..DeletionPolicy::default() });
        },
        no_policy,
    ),
    (
        "must_be_suspended",
        |rig, _| {
            let rule = DeletionPolicy { must_be_suspended: true, ..DeletionPolicy::default() };
            rig.realm_policy(&rule);
        },
        |rig, key| assert_eq!(set(rig, key, 1, VersionState::Suspended), "ok"),
    ),
    (
        "recently_used",
        |rig, _| {
            let not_used_within = Some(HOUR);
            rig.realm_policy(&DeletionPolicy { not_used_within, ..DeletionPolicy::default() });
        },
        |rig, _| rig.world.clock.set(START_MS + 3_600_000),
    ),
    (
        "rate_limited",
        |rig, _| {
            let destroys_per_hour = Some(1);
            let rule = DeletionPolicy { destroys_per_hour, ..DeletionPolicy::default() };
            rig.realm_policy(&rule);
        },
        |rig, _| rig.world.clock.set(START_MS + 3_600_001),
    ),
    (
        "not_confirmed",
        |rig, _| {
            rig.realm_policy(&DeletionPolicy { confirm: true, ..DeletionPolicy::default() });
        },
        no_policy,
    ),
    (
        "approvals_missing",
        |rig, _| {
            let approvals = Some(ApprovalRule { required: 1, lifetime: HOUR });
            rig.realm_policy(&DeletionPolicy { approvals, ..DeletionPolicy::default() });
        },
        no_policy,
    ),
    ("has_dependants", derive, end_children),
    (
        "has_dependants",
        |rig, key| {
            derive(rig, key);
            let dependants = Some(Dependants::Cascade);
            rig.realm_policy(&DeletionPolicy { dependants, ..DeletionPolicy::default() });
        },
        |rig, _| {
            let dependants = Some(Dependants::Orphan);
            rig.realm_policy(&DeletionPolicy { dependants, ..DeletionPolicy::default() });
        },
    ),
    (
        "already_pending",
        |rig, key| {
            let when = crate::DestroyWhen::Scheduled { window: Some(HOUR), cancel_to: None };
            let request = DestroyRequest { when, ..DestroyRequest::new(key) };
            assert_eq!(rig.destroy(request), "scheduled");
            assert_eq!(set(rig, key, 1, VersionState::Suspended), "wrong_state_for_use");
        },
        |rig, key| {
            rig.run(async |engine| engine.cancel_destruction(&acme(engine), key, None).await)
                .unwrap();
        },
    ),
];

/// Each is set up, refused with its code, taken away, and then lets the version go.
#[test]
fn what_stands_before_a_key_stands_before_its_versions() {
    for (rule, raise, remove) in RULES {
        let (mut rig, key, made) = three();
        raise(&mut rig, key);
        assert_eq!(destroy(&mut rig, key, 1), *rule);
        assert_eq!(rig.engine.version_receipt(&acme(&rig.engine), key, 1).ok(), None, "{rule}");
        remove(&mut rig, key);
        assert_eq!(destroy(&mut rig, key, 1), "ok", "{rule}");
        assert_eq!(opened(&rig, key, &made[0]), "version_destroyed", "{rule}");
        assert_eq!(opened(&rig, key, &made[1]), "ok", "{rule}");
    }
}

fn no_policy(rig: &mut Rig, _: KeyId) {
    rig.realm_policy(&DeletionPolicy::default());
}

fn hold(rig: &mut Rig, key: KeyId) {
    let request = HoldRequest { kind: HoldKind::Legal, reason: "court".to_owned(), expires: None };
    rig.run(async |engine| engine.place_hold(&acme(engine), key, &request).await).unwrap();
}

fn lift(rig: &mut Rig, key: KeyId) {
    let entry = rig.engine.read_key(&acme(&rig.engine), key).unwrap();
    let hold = entry.record().details().holds[0].id;
    rig.run(async |engine| engine.lift_hold(&acme(engine), key, hold).await).unwrap();
}

fn protect(rig: &mut Rig, key: KeyId, protected: bool) {
    let protected = Some(protected);
    assert_eq!(change(rig, key, KeyChange { protected, ..KeyChange::default() }), "ok");
}

fn derive(rig: &mut Rig, key: KeyId) {
    let derivation = Some(Derivation { parent: key, path: "m/1".into(), depends: true });
    rig.key(CreateKeyRequest { derivation, ..aes("child") }).unwrap();
}

fn end_children(rig: &mut Rig, key: KeyId) {
    let children = rig.engine.shared.catalogue.live_dependants(key);
    for child in children {
        assert_eq!(rig.destroy(DestroyRequest::new(child)), "destroyed");
    }
}

#[test]
fn only_who_may_destroy_the_key_destroys_its_versions() {
    let (mut rig, key, _) = three();
    let realm = rig.realm();
    let rights = [Permission::KeysDestroySchedule, Permission::KeysRead, Permission::KeysState];
    let carol = rig.principal("carol", on(Scope::Realm, &rights));
    let request = DestroyVersionRequest::new(key, 1);
    let ask = async |engine: &crate::Engine| {
        let carol = as_principal(engine, realm, carol).unwrap();
        said(engine.destroy_version(&carol, &request).await)
    };
    assert_eq!(rig.run(ask), "permission_denied");
    let told = rig.world.audit.events.lock().last().cloned().unwrap();
    let expected =
        ("key.version_destroy".to_owned(), Some(key), Some("permission_denied".to_owned()));
    assert_eq!(told, expected);
    let stale = DestroyVersionRequest {
        expected: Some(lethe_store::Revision(1)),
        ..DestroyVersionRequest::new(key, 1)
    };
    let ask =
        async |engine: &crate::Engine| said(engine.destroy_version(&acme(engine), &stale).await);
    assert_eq!(rig.run(ask), "revision_mismatch");
}

#[test]
fn material_of_a_destroyed_version_does_not_come_back_where_the_policy_refuses_it() {
    let mut rig = Rig::new();
    rig.realm();
    rig.realm_policy(&DeletionPolicy { refuse_reimport: true, ..DeletionPolicy::default() });
    let import = || {
        let key = lethe_types::SecretVec::from_vec(vec![8; 32]);
        let format = lethe_crypto::registry::KeyFormat::Raw;
        CreateKeyRequest { import: Some(ImportSource::Plain { format, key }), ..aes("in") }
    };
    let key = rig.key(import()).unwrap();
    rotate(&mut rig, key);
    assert_eq!(destroy(&mut rig, key, 1), "ok");
    assert_eq!(rig.key(import()).unwrap_err(), EngineError::ReimportRefused);
    assert_eq!(rig.destroy(DestroyRequest::new(key)), "destroyed");
    rig = rig.restarted();
    assert_eq!(rig.key(import()).unwrap_err(), EngineError::ReimportRefused);
}

#[test]
fn a_suspended_key_keeps_the_states_of_its_versions() {
    let (mut rig, key, made) = three();
    set(&mut rig, key, 1, VersionState::Suspended);
    for transition in [Transition::Suspend, Transition::Resume] {
        rig.run(async |engine| {
            engine.change_state(&acme(engine), key, transition, None).await.unwrap();
        });
    }
    assert_eq!(opened(&rig, key, &made[0]), "version_suspended");
    assert_eq!(opened(&rig, key, &made[1]), "ok");
}
