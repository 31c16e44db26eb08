//! Bulk destructions: what they choose, what they leave and why, what every rule of a policy makes
//! of them, and who may begin and end one.

use std::time::Duration;

use lethe_types::limits::OPEN_JOBS_MAX;
use lethe_types::{KeyId, Permission, PrincipalId, VaultId};

use super::rig::{Rig, START_MS, acme, aes, as_principal, on, said};
use super::support::{encrypt, verified};
use crate::caretaker::Rounds;
use crate::record::{
    ApprovalRule, DeletionPolicy, Dependants, Derivation, JobRecord, JobState, Scope, Window,
};
use crate::{BulkRequest, CreateKeyRequest, EngineError, PrincipalChange, Selection, VaultChange};

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn of_keys(keys: &[KeyId]) -> BulkRequest {
    let selection = Selection::Keys(keys.to_vec());
    BulkRequest { selection, reason: "off-boarding".to_owned(), expected: None }
}

/// Begins a job by Lethe itself and does all of it, `batch` keys at a time.
fn done(rig: &mut Rig, request: BulkRequest, batch: usize) -> JobRecord {
    let job =
        rig.run(async |engine| engine.start_bulk_destroy(&acme(engine), request).await).unwrap();
    loop {
        let now = rig.engine.read_job(&acme(&rig.engine), job.id).unwrap();
        if now.state != JobState::Running {
            return (*now).clone();
        }
        rig.run(async |engine| engine.advance_by(job.realm, job.id, batch).await).unwrap();
    }
}

fn counts(job: &JobRecord) -> [u64; 4] {
    [job.total, job.destroyed, job.scheduled, job.refused]
}

pub(super) fn left(rig: &Rig, job: &JobRecord) -> Vec<(u64, KeyId, String)> {
    let left = rig.engine.left_keys(&acme(&rig.engine), job.id, 0, 1_000).unwrap();
    left.into_iter().map(|key| (key.position, key.key, key.code)).collect()
}

/// What a policy of the vault makes of three keys.
struct Case {
    policy: DeletionPolicy,
    prepare: fn(&mut Rig, &[KeyId]),
    counts: [u64; 4],
    left: &'static [(usize, &'static str)],
}

fn cases() -> [Case; 9] {
    let none = DeletionPolicy::default;
    let approvals = ApprovalRule { required: 1, lifetime: HOUR };
    let window = |may_end_early| Some(Window { minimum: HOUR, may_end_early });
    let idle = |_: &mut Rig, _: &[KeyId]| {};
    [
        Case { policy: none(), prepare: idle, counts: [3, 3, 0, 0], left: &[] },
        Case {
            policy: DeletionPolicy { confirm: true, ..none() },
            prepare: idle,
            counts: [3, 3, 0, 0],
            left: &[],
        },
        Case {
            policy: DeletionPolicy { window: window(true), ..none() },
            prepare: idle,
            counts: [3, 0, 3, 0],
            left: &[],
        },
        Case {
            // Who asks for what waits already, ends the wait if that is allowed.
            policy: DeletionPolicy { window: window(true), ..none() },
            prepare: |rig, keys| wait_for(rig, keys[1]),
            counts: [3, 1, 2, 0],
            left: &[],
        },
        Case {
            policy: DeletionPolicy { window: window(false), ..none() },
            prepare: |rig, keys| wait_for(rig, keys[1]),
            counts: [3, 0, 2, 1],
            left: &[(1, "window_running")],
        },
        Case {
            policy: DeletionPolicy { destroys_per_hour: Some(2), ..none() },
            prepare: idle,
            counts: [3, 2, 0, 1],
            left: &[(2, "rate_limited")],
        },
        Case {
            policy: DeletionPolicy { approvals: Some(approvals), ..none() },
            prepare: idle,
            counts: [3, 0, 0, 3],
            left: &[(0, "approvals_missing"), (1, "approvals_missing"), (2, "approvals_missing")],
        },
        Case {
            policy: DeletionPolicy { must_be_suspended: true, ..none() },
            prepare: idle,
            counts: [3, 0, 0, 3],
            left: &[(0, "must_be_suspended"), (1, "must_be_suspended"), (2, "must_be_suspended")],
        },
        Case {
            policy: DeletionPolicy { not_used_within: Some(HOUR), ..none() },
            prepare: |rig, keys| {
                encrypt(&rig.engine, &acme(&rig.engine), keys[1]).unwrap();
            },
            counts: [3, 2, 0, 1],
            left: &[(1, "recently_used")],
        },
    ]
}

#[test]
fn every_rule_counts_for_each_key_of_a_bulk_destruction() {
    for (number, case) in cases().into_iter().enumerate() {
        for batch in [1, 2, 512] {
            let context = format!("case {number}, {batch} at a time");
            let mut rig = Rig::new();
            rig.realm();
            let policy = Some(case.policy.clone());
            let vault = rig.vault("ruled", VaultChange { policy, ..VaultChange::default() });
            let keys = ["one", "two", "three"].map(|name| inside(&mut rig, vault, name));
            (case.prepare)(&mut rig, &keys);
            let job = done(&mut rig, of_keys(&keys), batch);
            assert_eq!(counts(&job), case.counts, "{context}");
            let place = |place: &usize| u64::try_from(*place).unwrap();
            let expected: Vec<_> = case
                .left
                .iter()
                .map(|(at, code)| (place(at), keys[*at], (*code).to_owned()))
                .collect();
            assert_eq!(left(&rig, &job), expected, "{context}");
            // What waits goes at its time.
            rig.world.clock.set(START_MS + 3_600_000);
            rig.tend(&mut Rounds::default());
            let kept = u64::try_from(case.left.len()).unwrap();
            let kept = if case.left == [(1, "window_running")] { 0 } else { kept };
            assert_eq!(rig.engine.key_counts(), (kept, 3 - kept), "{context}");
        }
    }
}

fn inside(rig: &mut Rig, vault: VaultId, name: &str) -> KeyId {
    rig.key(CreateKeyRequest { vault: Some(vault), ..aes(name) }).unwrap()
}

fn wait_for(rig: &mut Rig, key: KeyId) {
    assert_eq!(rig.destroy(crate::DestroyRequest::new(key)), "scheduled");
}

/// Keys of one family go together where a policy says so, in whichever order they are listed.
#[test]
fn families_go_in_any_order_where_the_policy_lets_them() {
    for policy in [Dependants::Cascade, Dependants::Refuse, Dependants::Orphan] {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            for batch in [1, 2, 512] {
                let context = format!("{policy:?} {order:?}, {batch} at a time");
                let mut rig = Rig::new();
                rig.realm();
                let dependants = Some(policy);
                rig.realm_policy(&DeletionPolicy { dependants, ..DeletionPolicy::default() });
                let parent = rig.named("parent");
                let child = derived(&mut rig, parent, "child");
                let family = [parent, child, derived(&mut rig, child, "grandchild")];
                let list = order.map(|place| family[place]);
                let job = done(&mut rig, of_keys(&list), batch);
                let gone: Vec<bool> = family.map(|key| is_gone(&rig, key)).to_vec();
                let left = left(&rig, &job);
                let expected = match policy {
                    // A parent that is listed before its child waits for nobody.
                    Dependants::Refuse => {
                        let place = |key| order.iter().position(|at| *at == key);
                        let child_goes = place(2) < place(1);
                        vec![child_goes && place(1) < place(0), child_goes, true]
                    }
                    Dependants::Cascade | Dependants::Orphan => vec![true; 3],
                };
                assert_eq!(gone, expected, "{context}: {left:?}");
                assert_eq!(job.destroyed + job.refused, 3, "{context}");
                let codes = left.iter().map(|(_, _, code)| code.as_str());
                let code = match policy {
                    // It went with an earlier batch of the same job.
                    Dependants::Cascade => "object_destroyed",
                    Dependants::Orphan | Dependants::Refuse => "has_dependants",
                };
                assert!(codes.into_iter().all(|other| other == code), "{context}: {left:?}");
                let at_once = order[0] == 0 && batch > 2 && policy == Dependants::Cascade;
                assert!(!at_once || left.is_empty(), "{context}: {left:?}");
            }
        }
    }
}

fn derived(rig: &mut Rig, parent: KeyId, name: &str) -> KeyId {
    let derivation = Some(Derivation { parent, path: "m/1".into(), depends: true });
    rig.key(CreateKeyRequest { derivation, ..aes(name) }).unwrap()
}

/// Whether the key is a tombstone whose receipt holds.
fn is_gone(rig: &Rig, key: KeyId) -> bool {
    let caller = acme(&rig.engine);
    let receipt = rig.engine.receipt(&caller, key);
    receipt.is_ok_and(|receipt| verified(&rig.engine, &receipt))
}

/// The list is stored in pieces of 4,096: nothing is lost or done twice where they meet.
#[test]
fn a_list_goes_on_where_its_pieces_meet() {
    const TOTAL: usize = 4_100;
    let mut rig = Rig::new();
    rig.realm();
    let places = [0, 511, 512, 4_095, 4_096, TOTAL - 1];
    let keys = places.map(|place| (place, rig.named(&format!("key-{place}"))));
    let unknown = |place: usize| {
        let mut id = [0xee; 16];
        id[..8].copy_from_slice(&u64::try_from(place).unwrap().to_be_bytes());
        KeyId(id)
    };
    let mut list: Vec<KeyId> = (0..TOTAL).map(unknown).collect();
    for (place, key) in keys {
        list[place] = key;
    }
    let job = done(&mut rig, of_keys(&list), 512);
    assert_eq!(counts(&job), [4_100, 6, 0, 4_094]);
    assert!(keys.iter().all(|(_, key)| is_gone(&rig, *key)));
    let (mut seen, mut from) = (0, 0);
    loop {
        let page = rig.engine.left_keys(&acme(&rig.engine), job.id, from, 1_000).unwrap();
        let Some(last) = page.last() else { break };
        from = last.position + 1;
        for key in &page {
            let place = usize::try_from(key.position).unwrap();
            assert_eq!((key.key, key.code.as_str()), (unknown(place), "item_not_found"));
        }
        seen += page.len();
    }
    assert_eq!(seen, 4_094);
}

#[test]
fn what_cannot_be_begun_leaves_nothing() {
    let nowhere = VaultId([9; 16]);
    let labels = |vault| Selection::Labels { labels: Vec::new(), vault };
    type Who = fn(&People) -> Option<PrincipalId>;
    let (system, carol, local, nobody): (Who, Who, Who, Who) =
        (|_| None, |who| Some(who.carol), |who| Some(who.local), |who| Some(who.nobody));
    let (mut rig, who) = people();
    let keys = Selection::Keys(vec![who.key, who.key, KeyId([7; 16])]);
    let cases: &[(&str, Who, Selection, Option<u64>)] = &[
        ("ok", system, keys.clone(), None),
        ("ok", system, keys.clone(), Some(2)),
        ("ok", carol, keys.clone(), Some(2)),
        ("ok", local, keys.clone(), Some(2)),
        ("ok", local, Selection::Vault(who.vault), Some(1)),
        ("invalid_field", system, keys.clone(), Some(3)),
        ("invalid_field", system, keys.clone(), Some(1)),
        ("invalid_field", system, keys.clone(), Some(0)),
        ("invalid_field", system, Selection::Keys(Vec::new()), None),
        ("invalid_field", system, Selection::Keys(Vec::new()), Some(0)),
        ("invalid_field", system, labels(None), None),
        ("invalid_field", local, Selection::Vault(who.vault), Some(2)),
        ("item_not_found", system, Selection::Vault(nowhere), None),
        ("permission_denied", local, Selection::Vault(who.default), None),
        ("permission_denied", local, labels(None), None),
        ("permission_denied", nobody, keys.clone(), None),
        ("permission_denied", nobody, Selection::Vault(who.vault), None),
        ("permission_denied", nobody, labels(Some(who.vault)), None),
    ];
    for (expected, by, selection, number) in cases {
        let mut rig = rig.fork();
        let commits = rig.faulty.commits();
        let request =
            BulkRequest { selection: selection.clone(), reason: String::new(), expected: *number };
        let answer = rig.run(async |engine| {
            let caller = who.caller(engine, by(&who));
            said(engine.start_bulk_destroy(&caller, request).await)
        });
        assert_eq!(answer, *expected, "{selection:?} {number:?}");
        let jobs = rig.engine.list_jobs(&acme(&rig.engine), 10).unwrap();
        assert_eq!(jobs.len(), usize::from(answer == "ok"), "{selection:?}");
        let unchanged = rig.faulty.commits() == commits;
        assert_eq!(unchanged, answer != "ok", "{selection:?} {number:?}");
    }
    // Nor one too many at once.
    let list = of_keys(&[who.key]);
    for number in 0..=OPEN_JOBS_MAX {
        let list = list.clone();
        let answer =
            rig.run(async |engine| said(engine.start_bulk_destroy(&acme(engine), list).await));
        let expected = if number < OPEN_JOBS_MAX { "ok" } else { "server_limit_exceeded" };
        assert_eq!(answer, expected, "number {number}");
    }
}

/// Who begins, sees and ends bulk destructions.
struct People {
    realm: lethe_types::RealmId,
    default: VaultId,
    vault: VaultId,
    /// In `vault`.
    key: KeyId,
    /// May destroy everywhere.
    carol: PrincipalId,
    /// May do everything in `vault`.
    local: PrincipalId,
    /// May read everywhere.
    reader: PrincipalId,
    nobody: PrincipalId,
}

impl People {
    fn caller(&self, engine: &crate::Engine, who: Option<PrincipalId>) -> crate::Caller {
        who.map_or_else(|| acme(engine), |who| as_principal(engine, self.realm, who).unwrap())
    }
}

fn people() -> (Rig, People) {
    let mut rig = Rig::new();
    let realm = rig.realm();
    let default = rig.engine.read_realm(&acme(&rig.engine)).unwrap().default_vault;
    let vault = rig.vault("vault", VaultChange::default());
    let key = inside(&mut rig, vault, "key");
    let destroyer = [Permission::KeysDestroy, Permission::KeysRead];
    let carol = rig.principal("carol", on(Scope::Realm, &destroyer));
    let local = rig.principal("local", on(Scope::Vault(vault), Permission::ALL));
    let reader = rig.principal("reader", on(Scope::Realm, &[Permission::KeysRead]));
    let nobody = rig.principal("nobody", Vec::new());
    (rig, People { realm, default, vault, key, carol, local, reader, nobody })
}

#[test]
fn a_job_is_ended_by_who_began_it_and_by_who_may_destroy_everywhere() {
    let (mut rig, who) = people();
    let list = of_keys(&[who.key]);
    let begin = async |engine: &crate::Engine| {
        let local = who.caller(engine, Some(who.local));
        engine.start_bulk_destroy(&local, list).await
    };
    let job = rig.run(begin).unwrap().id;
    let cases = [
        ("ok", Some(who.local)),
        ("ok", Some(who.carol)),
        ("ok", None),
        ("permission_denied", Some(who.reader)),
        ("item_not_found", Some(who.nobody)),
    ];
    for (expected, by) in cases {
        let mut rig = rig.fork();
        let answer = rig.run(async |engine| {
            let caller = who.caller(engine, by);
            said(engine.cancel_job(&caller, job).await)
        });
        assert_eq!(answer, expected, "{by:?}");
        let state = rig.engine.read_job(&acme(&rig.engine), job).unwrap().state;
        assert_eq!(state == JobState::Cancelled, expected == "ok", "{by:?}");
    }
    // Of another realm it does not exist.
    let other = rig.run(async |engine| {
        let realm = engine.ensure_realm(&"other".parse().unwrap()).await.unwrap();
        let caller = engine.system_caller(realm, super::support::DOOR).unwrap();
        said(engine.cancel_job(&caller, job).await)
    });
    assert_eq!(other, "item_not_found");
}

/// Who loses the right in the middle destroys nothing more: what was reached stays gone.
#[test]
fn a_job_has_the_rights_that_its_principal_has_at_each_batch() {
    let (mut rig, who) = people();
    let mut keys = vec![who.key];
    keys.extend(["two", "three"].map(|name| inside(&mut rig, who.vault, name)));
    let list = of_keys(&keys);
    let job = rig.run(async |engine| {
        let carol = who.caller(engine, Some(who.carol));
        engine.start_bulk_destroy(&carol, list).await.unwrap().id
    });
    let advance = async |engine: &crate::Engine| engine.advance_by(who.realm, job, 1).await;
    rig.run(advance).unwrap();
    let change =
        |grants, suspended| PrincipalChange { grants, suspended, ..PrincipalChange::default() };
    let less = || Some(on(Scope::Realm, &[Permission::KeysRead]));
    let cases = [
        (change(less(), None), JobState::Done, 2, Some("permission_denied")),
        (change(None, Some(true)), JobState::Failed, 0, None),
    ];
    for (change, state, refused, code) in cases {
        let mut rig = rig.fork();
        rig.run(async |engine| engine.update_principal(&acme(engine), who.carol, &change).await)
            .unwrap();
        for _ in 0..3 {
            rig.run(advance).unwrap();
        }
        for restart in [false, true] {
            if restart {
                rig = rig.restarted();
                rig.run(advance).unwrap();
            }
            let now = rig.engine.read_job(&acme(&rig.engine), job).unwrap();
            assert_eq!((now.state, now.destroyed, now.refused), (state, 1, refused));
            assert_eq!(now.failure.is_some(), state == JobState::Failed);
            let codes = left(&rig, &now).into_iter().map(|(_, _, code)| code);
            assert!(codes.into_iter().all(|other| Some(other.as_str()) == code));
            assert_eq!(rig.engine.key_counts(), (2, 1));
        }
    }
    let unknown = as_principal(&rig.engine, who.realm, PrincipalId([1; 16]));
    assert_eq!(unknown.unwrap_err(), EngineError::AuthenticationNotSuccessful, "the control");
}
