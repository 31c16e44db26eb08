//! Changes of several steps, and changes that cut secrets without ending a key, with a crash or a
//! fault at each of their commits and at each step of the slot: all of it or nothing, and what is
//! gone is gone from the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lethe_store::CommitFault;
use lethe_types::{
    ApprovalId, Clock, CredentialId, ImportKeyId, KeyId, Permission, PrincipalId, RealmId,
    SecretVec, VaultId,
};

use super::crash::{FaultySlot, SlotFault};
use super::races::{intact, seen};
use super::races_cast::{import_key, leaves, two_versions, wrapped_for};
use super::rig::{Rig, START_MS, acme, aes, alias, as_principal, on, said, said_of};
use crate::record::{ApprovalRule, DeletionPolicy, Dependants, Derivation, Scope};
use crate::{
    CreateKeyRequest, CreatePrincipalRequest, DestroyRequest, DestroyVersionRequest, DestroyWhen,
    KeyChange, NewCredential, NewCredentialKind, VaultChange,
};

const DAY: Duration = Duration::from_secs(86_400);

/// A family of keys under a policy of approvals and cascades, and who acts for them.
struct Cast {
    realm: RealmId,
    /// Has a child, which has a child; each has secrets, a name, and somebody who acts for it.
    parent: KeyId,
    /// The same, and its time has come.
    due: KeyId,
    approval: ApprovalId,
    empty: VaultId,
    /// Has two secrets to sign in with.
    agent: PrincipalId,
    credential: CredentialId,
    /// Has two versions, can be exported, and its rotation is due.
    two: KeyId,
    import_key: ImportKeyId,
}

fn prepared() -> (Rig, Cast) {
    let mut rig = Rig::new();
    let realm = rig.realm();
    let [parent, due] = ["parent", "due"].map(|name| family(&mut rig, name));
    let everything = Permission::ALL;
    let bob = rig.signer("bob", on(Scope::Realm, everything));
    let empty = rig.vault("empty", VaultChange::default());
    let dependants = Some(Dependants::Cascade);
    let policy = DeletionPolicy { dependants, ..DeletionPolicy::default() };
    rig.realm_policy(&policy);
    let when = DestroyWhen::Scheduled { window: Some(Duration::from_secs(1)), cancel_to: None };
    assert_eq!(rig.destroy(DestroyRequest { when, ..DestroyRequest::new(due) }), "scheduled");
    rig.world.clock.set(START_MS + 2_000);
    let rule = ApprovalRule { required: 1, lifetime: DAY };
    let policy = Some(DeletionPolicy { approvals: Some(rule), ..DeletionPolicy::default() });
    let change = VaultChange { policy, ..VaultChange::default() };
    let vault = rig.engine.shared.catalogue.realm(realm).unwrap().default_vault;
    rig.run(async |engine| engine.update_vault(&acme(engine), vault, &change).await).unwrap();
    let approval = rig.run(async |engine| {
        let asked = engine.request_approval(&acme(engine), parent, "why").await.unwrap();
        let signature = bob.sign(&asked.statement());
        let caller = as_principal(engine, realm, bob.principal).unwrap();
        engine.approve(&caller, asked.id, bob.credential, &signature).await.unwrap();
        asked.id
    });
    let (agent, credential) = agent(&mut rig, "agent", None);
    // Approvals are for whole keys.
    let free = rig.vault("free", VaultChange::default());
    let (two, _) = two_versions(&mut rig, Some(free));
    let import_key = import_key(&mut rig);
    (rig, Cast { realm, parent, due, approval, empty, agent, credential, two, import_key })
}

/// A key, its child and grandchild.
fn family(rig: &mut Rig, name: &str) -> KeyId {
    let mut above: Option<KeyId> = None;
    let keys = ["", " child", " grandchild"].map(|suffix| {
        let name = format!("{name}{suffix}");
        let derivation =
            above.map(|parent| Derivation { parent, path: "m/1".into(), depends: true });
        let secrets = vec![("wrapped".into(), SecretVec::from_vec(b"a secret".to_vec()))];
        let aliases = vec![alias(&name)];
        let request = CreateKeyRequest { derivation, secrets, aliases, ..aes(&name) };
        let key = rig.key(request).unwrap();
        agent(rig, &format!("agent of {name}"), Some(key));
        above = Some(key);
        key
    });
    keys[0]
}

fn agent(rig: &mut Rig, name: &str, bound_to: Option<KeyId>) -> (PrincipalId, CredentialId) {
    let secret = |external: &str| {
        let secret = SecretVec::from_vec(b"shared".to_vec());
        let kind = NewCredentialKind::SharedSecret { external: external.into(), secret };
        NewCredential { kind, ..NewCredential::bearer(None) }
    };
    let credentials = ["one", "two"].map(|which| secret(&format!("{which} of {name}"))).into();
    let service = CreatePrincipalRequest::service(name.parse().unwrap(), Vec::new(), None);
    let request = CreatePrincipalRequest { bound_to, credentials, ..service };
    let new = rig.run(async |engine| engine.create_principal(&acme(engine), request).await);
    let new = new.unwrap();
    let record = new.entry.record();
    (record.id, record.credentials[0].id)
}

/// A change, its answer where nothing goes wrong, and how many secrets it cuts.
struct Case {
    name: &'static str,
    act: fn(&mut Rig, &Cast) -> String,
    answer: &'static str,
    cuts: usize,
}

const CASES: &[Case] = &[
    Case { name: "cascade by approval", act: cascade, answer: "destroyed", cuts: 3 * 4 },
    Case { name: "cascade when due", act: cascade_due, answer: "ok", cuts: 3 * 4 },
    Case { name: "remove a vault", act: remove_vault, answer: "ok", cuts: 0 },
    Case { name: "remove a credential", act: remove_credential, answer: "ok", cuts: 1 },
    Case { name: "revoke", act: revoke, answer: "ok", cuts: 2 },
    Case {
        name: "remove a secret",
        act: |rig, cast| secret(rig, cast, None),
        answer: "ok",
        cuts: 1,
    },
    Case { name: "destroy a version", act: end_version, answer: "ok", cuts: 1 },
    Case { name: "rotate by schedule", act: rotate_due, answer: "ok", cuts: 0 },
    Case { name: "export", act: export, answer: "ok", cuts: 0 },
    Case { name: "import a wrapped key", act: import, answer: "ok", cuts: 1 },
    Case { name: "remove an import key", act: remove_import_key, answer: "ok", cuts: 1 },
    Case { name: "replace a secret", act: replace_secret, answer: "ok", cuts: 1 },
];

fn cascade(rig: &mut Rig, cast: &Cast) -> String {
    let approval = Some(cast.approval);
    let request = DestroyRequest { approval, ..DestroyRequest::new(cast.parent) };
    rig.run(async |engine| said_of(engine.destroy_key(&acme(engine), request).await))
}

fn cascade_due(rig: &mut Rig, cast: &Cast) -> String {
    let now = rig.world.clock.now();
    rig.run(async |engine| said(engine.destroy_one_due(cast.due, now).await))
}

fn remove_vault(rig: &mut Rig, cast: &Cast) -> String {
    rig.run(async |engine| said(engine.remove_vault(&acme(engine), cast.empty).await))
}

fn remove_credential(rig: &mut Rig, cast: &Cast) -> String {
    let (agent, credential) = (cast.agent, cast.credential);
    rig.run(async |engine| said(engine.remove_credential(&acme(engine), agent, credential).await))
}

fn end_version(rig: &mut Rig, cast: &Cast) -> String {
    let request = DestroyVersionRequest::new(cast.two, 1);
    rig.run(async |engine| said(engine.destroy_version(&acme(engine), &request).await))
}

fn rotate_due(rig: &mut Rig, cast: &Cast) -> String {
    let later = rig.world.clock.now().saturating_add(2 * DAY);
    rig.run(async |engine| said(engine.rotate_one_due(cast.two, later).await))
}

fn export(rig: &mut Rig, cast: &Cast) -> String {
    let request = leaves(cast.two);
    rig.run(async |engine| said(engine.export_key(&acme(engine), &request).await))
}

fn import(rig: &mut Rig, cast: &Cast) -> String {
    let request = wrapped_for(&rig.engine, cast.import_key);
    said(rig.key(request))
}

fn remove_import_key(rig: &mut Rig, cast: &Cast) -> String {
    let id = cast.import_key;
    rig.run(async |engine| said(engine.remove_import_key(&acme(engine), id).await))
}

fn revoke(rig: &mut Rig, cast: &Cast) -> String {
    rig.run(async |engine| said(engine.revoke_principal(&acme(engine), cast.agent).await))
}

fn secret(rig: &mut Rig, cast: &Cast, new: Option<SecretVec>) -> String {
    // Protected as well, since people do not see which secret it is.
    let (secrets, protected) = (vec![("wrapped".into(), new)], Some(true));
    let change = KeyChange { secrets, protected, ..KeyChange::default() };
    let update = async |engine: &crate::Engine| {
        engine.update_key(&acme(engine), cast.parent, &change, None).await
    };
    said(rig.run(update))
}

fn replace_secret(rig: &mut Rig, cast: &Cast) -> String {
    secret(rig, cast, Some(SecretVec::from_vec(b"another".to_vec())))
}

/// The record keys of everything that is sealed, by their places in the tree.
fn record_keys(rig: &Rig, realm: RealmId) -> BTreeMap<u64, [u8; 32]> {
    let catalogue = &rig.engine.shared.catalogue;
    let mut leaves: Vec<u64> = rig.keys().iter().flat_map(|key| leaves_of(key)).collect();
    for entry in rig.engine.list_principals(&acme(&rig.engine)).unwrap() {
        let now = catalogue.principal(realm, entry.record().id).unwrap();
        leaves.extend(now.record().leaves());
    }
    leaves.extend(catalogue.import_keys().iter().map(|key| key.secret.leaf));
    leaves.into_iter().filter_map(|leaf| Some((leaf, record_key(rig, leaf)?))).collect()
}

fn leaves_of(key: &crate::KeyEntry) -> Vec<u64> {
    key.record().leaves().collect()
}

fn record_key(rig: &Rig, leaf: u64) -> Option<[u8; 32]> {
    let key = rig.engine.shared.tree.read().record_key(leaf).unwrap();
    key.map(|key| *key.expose())
}

/// A case, and the world before and after it.
struct Expected {
    before: Vec<String>,
    after: Vec<String>,
    /// Record keys that end with it, and where they are until then.
    going: BTreeSet<(u64, [u8; 32])>,
    commits: u64,
    slot_steps: u64,
}

impl Expected {
    fn of(base: &Rig, cast: &Cast, case: &Case) -> Self {
        let steps = Arc::new(AtomicU64::new(0));
        let counted = steps.clone();
        let never = (u64::MAX, SlotFault::Fail);
        let mut rig = base.fork_wrapped(|slot| Box::new(FaultySlot::new(slot, counted, never)));
        let (before, keys) = (seen(&rig.engine), record_keys(&rig, cast.realm));
        let commits = rig.faulty.commits();
        assert_eq!((case.act)(&mut rig, cast), case.answer, "{}", case.name);
        rig.idle();
        let commits = rig.faulty.commits() - commits;
        let after = seen(&rig.engine);
        assert_ne!(before, after, "{}", case.name);
        let kept = record_keys(&rig, cast.realm);
        let going: BTreeSet<_> =
            keys.into_iter().filter(|(leaf, key)| kept.get(leaf) != Some(key)).collect();
        assert_eq!(going.len(), case.cuts, "{}", case.name);
        let slot_steps = steps.load(Ordering::SeqCst);
        assert_eq!(slot_steps > 0, case.cuts > 0, "{}: a cut takes a new root", case.name);
        Self { before, after, going, commits, slot_steps }
    }

    /// The process dies, and the world is as it was or as it should be.
    fn check(&self, rig: Rig, answer: &str, case: &Case, context: &str) {
        let context = format!("{} {context}, answer {answer}", case.name);
        let rig = rig.restarted();
        let found = seen(&rig.engine);
        let done = found == self.after;
        assert!(done || found == self.before, "{context}: in between: {found:#?}");
        assert!(done || answer != case.answer, "{context}: what was answered is not there");
        for (leaf, key) in &self.going {
            let is_there = record_key(&rig, *leaf).as_ref() == Some(key);
            assert_eq!(is_there, !done, "{context}: the record key at {leaf}");
        }
        intact(&rig);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the count of cases is the measure that is asked for")]
fn a_fault_or_crash_at_every_commit_of_a_change_leaves_all_of_it_or_nothing() {
    let (base, cast) = prepared();
    let mut runs = 0;
    let faults = [
        CommitFault::Fail,
        CommitFault::Full,
        CommitFault::ApplyThenFail,
        CommitFault::Stop,
        CommitFault::ApplyThenStop,
    ];
    for case in CASES {
        let expected = Expected::of(&base, &cast, case);
        for number in 1..=expected.commits {
            for fault in faults {
                let mut rig = base.fork();
                rig.faulty.fail_commit(rig.faulty.commits() + number, fault);
                let answer = (case.act)(&mut rig, &cast);
                rig.idle();
                let context = format!("{fault:?} at commit {number} of {}", expected.commits);
                if number == 1 {
                    let lost = matches!(fault, CommitFault::Fail | CommitFault::Full);
                    let died = matches!(fault, CommitFault::Stop | CommitFault::ApplyThenStop);
                    assert_eq!(answer != case.answer, lost || died, "{} {context}", case.name);
                }
                expected.check(rig, &answer, case, &context);
                runs += 1;
            }
        }
    }
    println!("changes of several steps: {runs} faults of the store");
}

#[test]
#[expect(clippy::print_stdout, reason = "the count of cases is the measure that is asked for")]
fn a_fault_or_crash_at_every_step_of_the_slot_leaves_all_of_a_change_or_nothing() {
    let (base, cast) = prepared();
    let mut runs = 0;
    for case in CASES {
        let expected = Expected::of(&base, &cast, case);
        for at in 1..=expected.slot_steps {
            for fault in
                [SlotFault::Fail, SlotFault::DoneThenFail, SlotFault::Stop, SlotFault::DoneThenStop]
            {
                let steps = Arc::default();
                let mut rig =
                    base.fork_wrapped(|slot| Box::new(FaultySlot::new(slot, steps, (at, fault))));
                let answer = (case.act)(&mut rig, &cast);
                let context = format!("{fault:?} at slot step {at} of {}", expected.slot_steps);
                if matches!(fault, SlotFault::Fail | SlotFault::DoneThenFail) {
                    assert_eq!(answer, case.answer, "{} {context}: is retried", case.name);
                }
                expected.check(rig, &answer, case, &context);
                runs += 1;
            }
        }
    }
    println!("changes of several steps: {runs} faults of the slot");
}

/// The process dies when the change is durable and nothing is erased yet, and again at each commit
/// of the start that makes up for it.
#[test]
fn a_second_crash_while_it_starts_again_still_erases_what_was_cut() {
    let (base, cast) = prepared();
    for case in CASES {
        let expected = Expected::of(&base, &cast, case);
        for second in 1..=4 {
            for fault in [CommitFault::Stop, CommitFault::ApplyThenStop] {
                let mut rig = base.fork();
                rig.fail_next(Some(CommitFault::ApplyThenStop));
                let answer = (case.act)(&mut rig, &cast);
                let rig = rig.restarted_with(second, fault).restarted();
                assert_eq!(seen(&rig.engine), expected.after, "{}: what was durable", case.name);
                let context = format!("{fault:?} at commit {second} of the start");
                expected.check(rig, &answer, case, &context);
            }
        }
    }
}
