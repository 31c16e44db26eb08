//! Requests for approval, bulk destructions, and who destroyed how much of late.

use lethe_types::limits::HOURLY_DESTROYS_ENTRIES_MAX;
use lethe_types::{ApprovalId, JobId, KeyId, PrincipalId, RealmId, UnixMillis};

use super::super::Catalogue;
use super::super::work::Destroys;
use super::support::{REALM, Seeded, destroyed, publish, record};
use crate::record::{ApprovalRecord, ApprovalState, Bulk, JobRecord, JobState};

const ELSEWHERE: RealmId = RealmId([2; 16]);
const BY: PrincipalId = PrincipalId([4; 16]);

fn approval(id: u8, realm: RealmId, key: u8) -> ApprovalRecord {
    ApprovalRecord {
        id: ApprovalId([id; 16]),
        realm,
        key: KeyId([key; 16]),
        requester: BY,
        reason: "".into(),
        created: UnixMillis(1),
        expires: UnixMillis(2),
        state: ApprovalState::Open,
        approvals: Vec::new(),
    }
}

#[test]
fn approvals_are_found_by_realm_and_key() {
    let catalogue = Catalogue::default();
    for (id, realm, key) in [(1, REALM, 7), (2, REALM, 8), (3, ELSEWHERE, 9), (4, REALM, 7)] {
        catalogue.publish_approval(approval(id, realm, key));
    }
    let ids = |found: Vec<std::sync::Arc<ApprovalRecord>>| {
        found.iter().map(|record| record.id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(ids(catalogue.approvals(REALM)), [1, 2, 4]);
    assert_eq!(ids(catalogue.approvals_of(KeyId([7; 16]))), [1, 4]);
    assert!(ids(catalogue.approvals_of(KeyId([1; 16]))).is_empty());
    assert!(catalogue.approval(ELSEWHERE, ApprovalId([1; 16])).is_none());
    let mut used = approval(1, REALM, 7);
    used.state = ApprovalState::Used;
    catalogue.publish_approval(used);
    let found = catalogue.approval(REALM, ApprovalId([1; 16])).unwrap();
    assert_eq!(found.state, ApprovalState::Used);
    assert_eq!(ids(catalogue.approvals(REALM)), [1, 2, 4]);
}

#[test]
fn jobs_are_found_by_realm() {
    let catalogue = Catalogue::default();
    let job = |id: u8, realm, position| JobRecord {
        id: JobId([id; 16]),
        realm,
        by: BY,
        door: "native".into(),
        created: UnixMillis(1),
        changed: UnixMillis(1),
        bulk: Bulk { selection: "list".into(), reason: "".into() },
        state: JobState::Running,
        total: 9,
        position,
        destroyed: 0,
        scheduled: 0,
        refused: 0,
        failure: None,
    };
    catalogue.publish_job(job(1, REALM, 0));
    catalogue.publish_job(job(2, ELSEWHERE, 0));
    catalogue.publish_job(job(1, REALM, 5));
    assert_eq!(catalogue.job(REALM, JobId([1; 16])).unwrap().position, 5);
    assert!(catalogue.job(REALM, JobId([2; 16])).is_none());
    assert_eq!(catalogue.jobs(REALM).len(), 1);
    assert_eq!(catalogue.all_jobs().len(), 2);
}

#[test]
fn destructions_count_for_an_hour() {
    const HOUR: u64 = 3_600_000;
    let catalogue = Catalogue::default();
    let mut random = Seeded(5);
    for at in [0, 10, 20, HOUR, HOUR + 15] {
        let key = record(KeyId(random.id()), 0, "a");
        publish(&catalogue, key.clone());
        publish(&catalogue, destroyed(&key, at, BY));
    }
    // Those more than an hour older than the newest are forgotten.
    for (since, expected) in [(0, 3), (20, 3), (21, 2), (HOUR, 2), (HOUR + 16, 0)] {
        assert_eq!(catalogue.destroys_since(BY, UnixMillis(since)), expected, "{since}");
    }
    assert_eq!(catalogue.destroys_since(PrincipalId([5; 16]), UnixMillis(0)), 0);
}

#[test]
fn no_more_destructions_are_remembered_than_the_bound() {
    let mut random = Seeded(6);
    let mut destroys = Destroys::default();
    let mut dead = destroyed(&record(KeyId([1; 16]), 0, "a"), 5, BY);
    for count in 1..=HOURLY_DESTROYS_ENTRIES_MAX + 1 {
        dead.id = KeyId(random.id());
        destroys.publish(None, &dead);
        if count >= HOURLY_DESTROYS_ENTRIES_MAX {
            let known = usize::try_from(destroys.since(BY, UnixMillis(5))).unwrap();
            assert_eq!(known, HOURLY_DESTROYS_ENTRIES_MAX, "{count}");
        }
    }
}
