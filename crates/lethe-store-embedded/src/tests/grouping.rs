//! Many commits, few transactions; answers as if each had come alone.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier};
use std::thread;

use lethe_store::{Batch, Expect, Revision, Store, StoreError, Tidied};

use super::{Folder, START, create, key, open, put, value};
use crate::EmbeddedStore;
use crate::writer::{Job, QUEUE_JOBS_MAX, run};

/// The answers to `batches` when all of them wait before the writing thread looks. It runs the
/// loop of the thread over a queue that was filled beforehand, beside the idle one of `store`, and
/// over a database of at most `pages_max` pages.
pub(super) fn in_one_group(
    store: &EmbeddedStore,
    batches: Vec<Batch>,
    pages_max: u32,
) -> Vec<Result<Revision, StoreError>> {
    let (jobs, queue) = sync_channel(QUEUE_JOBS_MAX);
    let mut answers = Vec::new();
    for batch in batches {
        let (answer, answered) = sync_channel(1);
        jobs.send(Job::Commit { batch, answer }).unwrap();
        answers.push(answered);
    }
    drop(jobs);
    let connection = crate::sql::connect_writer(&store.database).unwrap();
    connection.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(())).unwrap();
    run(connection, &store.shared, &queue).unwrap();
    answers.into_iter().map(|answered| answered.recv().unwrap()).collect()
}

#[test]
fn waiting_commits_share_a_transaction() {
    let folder = Folder::new();
    let store = create(&folder);
    let mut watch = store.watch(START).unwrap();
    let answers = in_one_group(&store, (0..600).map(|number| put(number, b"x")).collect(), ROOMY);
    let expected: Vec<_> = (1..=600).map(|number| Ok(Revision(number))).collect();
    assert_eq!(answers, expected);
    let stats = store.stats().unwrap();
    assert_eq!((stats.commits, stats.transactions), (600, 3), "256 and 256 and 88");
    for number in 1..=600 {
        let commit = watch.next(core::time::Duration::ZERO).unwrap().unwrap();
        assert_eq!(commit.revision, Revision(number));
        assert_eq!(commit.writes[0].key(), &key(number - 1));
    }
}

#[test]
fn batches_of_a_group_see_those_before_them() {
    let folder = Folder::new();
    let store = create(&folder);
    let create = |number: u64, text: &[u8]| put(number, text).expect(key(number), Expect::Absent);
    let at =
        |revision: u64, text: &[u8]| put(1, text).expect(key(1), Expect::At(Revision(revision)));
    let conflict = || Err(StoreError::Conflict { key: key(1) });
    let group = vec![
        create(1, b"first"),
        create(1, b"refused"),
        at(1, b"second"),
        at(1, b"refused").put(key(9), b"refused".to_vec()),
        Batch::new().delete(key(1)).expect(key(1), Expect::At(Revision(2))),
        at(2, b"refused"),
        create(1, b"third"),
    ];
    let expected = vec![
        Ok(Revision(1)),
        conflict(),
        Ok(Revision(2)),
        conflict(),
        Ok(Revision(3)),
        conflict(),
        Ok(Revision(4)),
    ];
    assert_eq!(in_one_group(&store, group, ROOMY), expected);
    assert_eq!(value(&store, 1), Some(b"third".to_vec()));
    assert_eq!(value(&store, 9), None);
    assert_eq!(store.stats().unwrap().transactions, 1);

    // A group of refusals syncs nothing.
    assert_eq!(
        in_one_group(&store, vec![at(1, b"x"), at(2, b"x")], ROOMY),
        [conflict(), conflict()]
    );
    assert_eq!(store.stats().unwrap().transactions, 1);
    assert_eq!(store.revision(), Ok(Revision(4)));
    store.close().unwrap();
    assert_eq!(open(&folder).revision(), Ok(Revision(4)));
}

#[test]
fn threads_that_commit_at_once_share_syncs() {
    const THREADS: u64 = 32;
    const COMMITS: u64 = 15;
    let folder = Folder::new();
    let store = create(&folder);
    let start = Barrier::new(32);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                start.wait();
                for number in 0..COMMITS {
                    store.commit(put(thread * COMMITS + number, b"x")).unwrap();
                }
            });
        }
    });
    let stats = store.stats().unwrap();
    assert_eq!(stats.commits, THREADS * COMMITS);
    assert!(stats.transactions < stats.commits / 2, "{stats:?}");
    assert_eq!(store.revision(), Ok(Revision(THREADS * COMMITS)));
}

#[test]
fn close_ends_what_was_begun() {
    let folder = Folder::new();
    let store = Arc::new(create(&folder));
    let writers: Vec<_> = (0..8)
        .map(|thread: u64| {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let mut acknowledged = 0;
                loop {
                    match store.commit(put(thread * 1_000_000 + acknowledged, b"x")) {
                        Ok(_) => acknowledged += 1,
                        Err(error) => {
                            assert_eq!(error, StoreError::Closed);
                            return acknowledged;
                        }
                    }
                }
            })
        })
        .collect();
    let mut watch = store.watch(START).unwrap();
    for _ in 0..20 {
        watch.next(core::time::Duration::from_secs(20)).unwrap().unwrap();
    }
    store.close().unwrap();
    let acknowledged: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    let store = open(&folder);
    assert_eq!(store.revision(), Ok(Revision(acknowledged.iter().sum())));
    for (thread, count) in (0..).zip(acknowledged) {
        for number in 0..=count {
            let is_there = value(&store, thread * 1_000_000 + number).is_some();
            assert_eq!(is_there, number < count);
        }
    }
}

#[test]
fn snapshot_postpones_tidying_and_keeps_the_directory() {
    let folder = Folder::new();
    let store = create(&folder);
    store.commit(put(1, b"1")).unwrap();
    let mut rows = 0;
    let revision = store.snapshot(&mut |_, _, _| {
        rows += 1;
        store.commit(put(2, b"2")).unwrap();
        assert_eq!(store.tidy(), Ok(Tidied::Postponed));
        assert_eq!(store.close(), Ok(()));
        let refused = EmbeddedStore::open(&folder.path, crate::OpenMode::OpenExisting);
        assert!(matches!(refused, Err(crate::OpenError::InUse { .. })), "{refused:?}");
        Ok(())
    });
    assert_eq!((rows, revision), (1, Ok(Revision(1))));
    let store = open(&folder);
    assert_eq!(value(&store, 2), Some(b"2".to_vec()));
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
    assert_eq!(store.stats().unwrap().log_bytes, 0);
}

/// More pages than any of these tests fills.
const ROOMY: u32 = 1_000_000;
