//! A bulk destruction whose process dies or whose store fails at each of its commits: it goes on
//! where it was, destroys each key once, and what was cancelled stays cancelled.

use std::collections::BTreeMap;

use lethe_erasure::slot::ErasableSlot;
use lethe_store::CommitFault;
use lethe_types::{KeyId, RealmId};

use super::bulk::{left, of_keys};
use super::rig::{Rig, acme, aes, said};
use super::support::{DOOR, encrypt, verified};
use crate::record::{Derivation, HoldKind, JobRecord, JobState};
use crate::{
    CreateKeyRequest, DestroyRequest, DestroyWhen, Engine, EngineError, HoldRequest, KeyChange,
    keys,
};

/// Keys of one batch: few, so that there are many batches.
const BATCH: usize = 3;
/// More batches and retries than any run needs.
const ROUNDS_MAX: usize = 40;

const FAULTS: [CommitFault; 5] = [
    CommitFault::Fail,
    CommitFault::Full,
    CommitFault::ApplyThenFail,
    CommitFault::Stop,
    CommitFault::ApplyThenStop,
];

/// A realm, and a list of keys of every sort.
struct Scene {
    rig: Rig,
    realm: RealmId,
    /// As it is asked for, some twice.
    list: Vec<KeyId>,
    /// Those that go.
    going: Vec<KeyId>,
    /// Those that are left: place, key, and why.
    left: Vec<(u64, KeyId, String)>,
    /// Of those that are left, the ones that go on working.
    live: Vec<KeyId>,
}

impl Scene {
    fn new() -> Self {
        let mut rig = Rig::new();
        let realm = rig.realm();
        let names = ["one", "two", "three", "parent", "other parent", "held", "guarded"];
        let [one, two, three, parent, other_parent, held, guarded] =
            names.map(|name| rig.named(name));
        let [waiting, gone] = ["waiting", "gone"].map(|name| rig.named(name));
        let [child, other_child] = [parent, other_parent].map(|parent| {
            let derivation = Some(Derivation { parent, path: "m/1".into(), depends: true });
            rig.key(CreateKeyRequest { derivation, ..aes("child") }).unwrap()
        });
        let (kind, reason) = (HoldKind::Legal, "a court".to_owned());
        let hold = HoldRequest { kind, reason, expires: None };
        rig.run(async |engine| engine.place_hold(&acme(engine), held, &hold).await).unwrap();
        let change = KeyChange { protected: Some(true), ..KeyChange::default() };
        rig.run(async |engine| engine.update_key(&acme(engine), guarded, &change, None).await)
            .unwrap();
        let window = Some(std::time::Duration::from_secs(3_600));
        let when = DestroyWhen::Scheduled { window, cancel_to: None };
        let later = DestroyRequest { when, ..DestroyRequest::new(waiting) };
        assert_eq!(rig.destroy(later), "scheduled");
        assert_eq!(rig.destroy(DestroyRequest::new(gone)), "destroyed");
        let foreign = rig.run(async |engine| {
            let realm = engine.ensure_realm(&"other".parse().unwrap()).await.unwrap();
            let caller = engine.system_caller(realm, DOOR).unwrap();
            super::rig::create(engine, &caller, aes("foreign")).await.unwrap()
        });
        let unknown = KeyId([7; 16]);
        let listed = [
            (child, None),
            (parent, None),
            (one, None),
            (unknown, Some("item_not_found")),
            (foreign, Some("item_not_found")),
            (held, Some("held")),
            (two, None),
            (gone, Some("object_destroyed")),
            (waiting, None),
            (guarded, Some("protected")),
            (other_parent, Some("has_dependants")),
            (other_child, None),
            (three, None),
        ];
        let mut list: Vec<KeyId> = listed.iter().map(|(key, _)| *key).collect();
        // Once more, before and after.
        list.insert(2, child);
        list.extend([one, unknown, held]);
        let going = listed.iter().filter(|(_, why)| why.is_none()).map(|(key, _)| *key);
        let left = (0_u64..)
            .zip(&listed)
            .filter_map(|(place, (key, why))| why.map(|why| (place, *key, why.to_owned())));
        let (going, left) = (going.collect(), left.collect());
        Self { rig, realm, list, going, left, live: vec![held, guarded, other_parent] }
    }

    fn job(&self, rig: &Rig) -> Option<JobRecord> {
        let jobs = rig.engine.list_jobs(&acme(&rig.engine), 10).unwrap();
        assert!(jobs.len() <= 1, "begun twice");
        jobs.first().map(|job| (**job).clone())
    }

    /// Asks for the job, and does the next batch, until it is over; a process that died is started
    /// again, and whoever was told of a failure asks again.
    fn until_done(&self, mut rig: Rig) -> Rig {
        for _ in 0..ROUNDS_MAX {
            if rig.engine.ready().is_err() {
                rig = rig.restarted();
            }
            let result = match self.job(&rig) {
                None => self.begin(&mut rig),
                Some(job) if job.state == JobState::Running => self.advance(&mut rig, &job),
                Some(_) => return rig,
            };
            let failed = result.err().map(|error| error.code());
            assert!(matches!(failed, None | Some("storage_unavailable" | "storage_full")));
        }
        panic!("a job that never ends");
    }

    fn begin(&self, rig: &mut Rig) -> Result<(), EngineError> {
        let request = of_keys(&self.list);
        rig.run(async |engine| engine.start_bulk_destroy(&acme(engine), request).await.map(drop))
    }

    fn advance(&self, rig: &mut Rig, job: &JobRecord) -> Result<(), EngineError> {
        rig.run(async |engine| engine.advance_by(self.realm, job.id, BATCH).await)
    }

    /// Everything that was listed is gone once, or left with its reason.
    fn check(&self, rig: &Rig, context: &str) {
        let job = self.job(rig).unwrap();
        assert_eq!(job.state, JobState::Done, "{context}");
        let counted = [job.total, job.position, job.destroyed, job.scheduled, job.refused];
        assert_eq!(counted, [13, 13, 7, 0, 6], "{context}");
        assert_eq!(left(rig, &job), self.left, "{context}");
        let caller = acme(&rig.engine);
        let ends = ends(rig, self.realm);
        assert_eq!(ends.len(), self.going.len() + 1, "{context}");
        assert!(ends.values().all(|number| *number == 1), "{context}: {ends:?}");
        for key in &self.going {
            let receipt = rig.engine.receipt(&caller, *key).unwrap();
            assert!(verified(&rig.engine, &receipt), "{context}");
            let refused = encrypt(&rig.engine, &caller, *key).unwrap_err();
            assert_eq!(refused, EngineError::ObjectDestroyed(*key), "{context}");
        }
        for key in &self.live {
            encrypt(&rig.engine, &caller, *key).unwrap();
            assert!(rig.engine.receipt(&caller, *key).is_err(), "{context}");
        }
        // And one of another realm.
        assert_eq!(rig.engine.key_counts(), (4, 8), "{context}");
        assert_eq!(rig.world.slot.load().unwrap().images.len(), 1, "{context}: an old root");
    }
}

/// How often the log says of a key that it was destroyed.
fn ends(rig: &Rig, realm: RealmId) -> BTreeMap<KeyId, u32> {
    let (mut ends, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = rig.engine.realm_events_after(realm, after, 1_000).unwrap();
        assert!(!page.gap);
        for event in page.events.iter().filter(|event| event.kind == "key.destroyed") {
            *ends.entry(event.key.unwrap()).or_default() += 1;
        }
        if !page.more {
            return ends;
        }
        after = page.next;
    }
}

/// Pieces of lists in the store.
fn pieces(rig: &Rig) -> usize {
    rig.faulty.inner().range(keys::JOB_KEYS, &[], 100).unwrap().rows.len()
}

#[test]
#[expect(clippy::print_stdout, reason = "the count of cases is the measure that is asked for")]
fn a_fault_or_crash_at_every_commit_of_a_bulk_destruction_repeats_and_leaves_out_nothing() {
    let scene = Scene::new();
    let rig = scene.rig.fork();
    let before = rig.faulty.commits();
    let rig = scene.until_done(rig);
    scene.check(&rig, "the control");
    let commits = rig.faulty.commits() - before;
    assert!(commits >= 7, "{commits}: a list, a job, and five batches");
    for number in 1..=commits {
        for fault in FAULTS {
            let context = format!("{fault:?} at commit {number} of {commits}");
            let rig = scene.rig.fork();
            rig.faulty.fail_commit(rig.faulty.commits() + number, fault);
            let rig = scene.until_done(rig);
            scene.check(&rig, &context);
            let rig = rig.restarted();
            scene.check(&rig, &format!("{context}, and a restart"));
            assert_eq!(pieces(&rig), 0, "{context}: a list that nobody needs");
        }
    }
    println!("bulk destruction: {commits} commits, {} faults", FAULTS.len());
}

/// The death of the process in the middle of a batch, and again in the middle of the recovery.
#[test]
fn a_second_crash_while_it_starts_again_changes_nothing() {
    let scene = Scene::new();
    for first in 3..=5 {
        for second in 1..=3 {
            for fault in [CommitFault::Stop, CommitFault::ApplyThenStop] {
                let rig = scene.rig.fork();
                rig.faulty.fail_commit(rig.faulty.commits() + first, CommitFault::ApplyThenStop);
                let rig = scene.stopped(rig).restarted_with(second, fault);
                let rig = scene.until_done(rig);
                scene.check(&rig, &format!("commit {first}, then {fault:?} at {second}"));
            }
        }
    }
}

impl Scene {
    /// Works until the process dies.
    fn stopped(&self, mut rig: Rig) -> Rig {
        self.begin(&mut rig).unwrap();
        let job = self.job(&rig).unwrap();
        while self.advance(&mut rig, &job).is_ok() {}
        assert!(rig.engine.ready().is_err());
        rig
    }
}

#[test]
fn a_job_that_is_cancelled_between_two_batches_stays_as_it_is() {
    let scene = Scene::new();
    let cancel = async |engine: &Engine, job: &JobRecord| {
        said(engine.cancel_job(&acme(engine), job.id).await)
    };
    let faults = FAULTS.map(Some).into_iter().chain([None]);
    for (batches, fault) in (0..4).flat_map(|batches| faults.clone().map(move |f| (batches, f))) {
        let context = format!("{fault:?} after {batches} batches");
        let mut rig = scene.rig.fork();
        scene.begin(&mut rig).unwrap();
        let job = scene.job(&rig).unwrap();
        for _ in 0..batches {
            scene.advance(&mut rig, &job).unwrap();
        }
        let (counts, position) = (rig.engine.key_counts(), scene.job(&rig).unwrap().position);
        rig.fail_next(fault);
        let answer = rig.run(async |engine| cancel(engine, &job).await);
        let expected = match fault {
            None | Some(CommitFault::ApplyThenFail) => "ok",
            Some(CommitFault::Full) => "storage_full",
            Some(CommitFault::Fail | CommitFault::Stop | CommitFault::ApplyThenStop) => {
                "storage_unavailable"
            }
        };
        assert_eq!(answer, expected, "{context}");
        rig = rig.restarted();
        let applied = expected == "ok" || fault == Some(CommitFault::ApplyThenStop);
        let found = scene.job(&rig).unwrap();
        assert_eq!(found.state == JobState::Cancelled, applied, "{context}");
        // Asking again is no mistake.
        assert_eq!(rig.run(async |engine| cancel(engine, &job).await), "ok", "{context}");
        scene.advance(&mut rig, &job).unwrap();
        let found = scene.job(&rig).unwrap();
        assert_eq!((found.state, found.position), (JobState::Cancelled, position), "{context}");
        assert_eq!(rig.engine.key_counts(), counts, "{context}");
        assert_eq!(pieces(&rig), 0, "{context}: a list that nobody needs");
        let ends = ends(&rig, scene.realm);
        assert!(ends.values().all(|number| *number == 1), "{context}: {ends:?}");
    }
}
