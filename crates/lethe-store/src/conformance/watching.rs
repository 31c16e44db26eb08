//! Property 7: every commit once, in order, or a clear answer.

use core::time::Duration;
use std::thread;

use super::{ALPHA, BETA, Subject, key, key_in};
use crate::limits::{VALUE_BYTES_MAX, WATCH_BYTES_MAX};
use crate::{Batch, Commit, Expect, Revision, StoreError, Watch, Write};

/// Far longer than any commit takes; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(20);

/// Watchers of different beginnings get every commit from there on, while threads write.
pub fn watch_gives_every_commit_once_in_order(subject: &Subject) {
    const COMMITS: u64 = 40;
    let store = &*subject.store;
    let mut early = store.watch(Revision(0)).expect("watches");
    let put = |name: &str| Batch::new().put(key(name), name.as_bytes().to_vec());
    for number in 0..10 {
        store.commit(put(&number.to_string())).expect("commits");
    }
    let mut late = store.watch(Revision(10)).expect("watches");
    thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                for number in 0..10 {
                    store.commit(put(&format!("{writer}.{number}"))).expect("commits");
                    let refused = put("no").expect(key("no"), Expect::At(Revision(1)));
                    assert!(store.commit(refused).is_err());
                }
            });
        }
        let seen = take(&mut *early, COMMITS);
        assert_eq!(seen[10..], take(&mut *late, COMMITS - 10));
        for (revision, commit) in (1..).zip(&seen) {
            assert_eq!(commit.revision, Revision(revision));
            let Write::Put { key, value } = &commit.writes[0] else {
                panic!("a put");
            };
            assert_eq!(key.bytes(), value);
        }
    });
    // What is still held can be watched from the past; all writes of a batch come in one commit.
    let batch = Batch::new().delete(key("0")).put(key_in(BETA, b"x"), vec![1]);
    let writes = batch.writes().to_vec();
    let revision = store.commit(batch).expect("commits");
    let mut again = store.watch(Revision(revision.0 - 1)).expect("watches");
    let commit = take(&mut *again, 1).remove(0);
    assert_eq!((commit.revision, commit.writes.to_vec()), (revision, writes));
    assert_eq!(again.next(Duration::ZERO), Ok(None), "nothing twice");
    assert_eq!(take(&mut *early, 1)[0].revision, revision);
    assert_eq!(early.next(Duration::ZERO), Ok(None));
}

fn take(watch: &mut dyn Watch, count: u64) -> Vec<Commit> {
    (0..count).map(|_| watch.next(LONG).expect("a commit").expect("in time")).collect()
}

/// Without a commit the watcher gets `None`; one that waits is woken by a commit.
pub fn watch_waits_and_gives_up(subject: &Subject) {
    let store = &*subject.store;
    let mut watch = store.watch(Revision(0)).expect("watches");
    assert_eq!(watch.next(Duration::ZERO), Ok(None));
    assert_eq!(watch.next(Duration::from_millis(5)), Ok(None));
    thread::scope(|scope| {
        let waiting = scope.spawn(move || take(&mut *watch, 1));
        store.commit(Batch::new().put(key("a"), vec![1])).expect("commits");
        assert_eq!(waiting.join().expect("woken")[0].revision, Revision(1));
    });
}

/// A copy that is newer than the store means that the store was rolled back.
pub fn watch_from_the_future_is_refused(subject: &Subject) {
    let store = &*subject.store;
    store.commit(Batch::new().put(key("a"), vec![1])).expect("commits");
    for future in [2, 3, u64::MAX] {
        let refused = store.watch(Revision(future)).err();
        assert!(matches!(refused, Some(StoreError::Invalid { .. })), "{future}: {refused:?}");
    }
    assert!(store.watch(Revision(1)).is_ok());
}

/// A watcher that falls behind what the store holds is told, and does not stop anyone else.
pub fn slow_watcher_is_told(subject: &Subject) {
    let store = &*subject.store;
    let mut slow = store.watch(Revision(0)).expect("watches");
    let mut quick = store.watch(Revision(0)).expect("watches");
    let commits = WATCH_BYTES_MAX / VALUE_BYTES_MAX + 2;
    for _ in 0..commits {
        let batch = Batch::new().put(key_in(ALPHA, b"big"), vec![1; VALUE_BYTES_MAX]);
        let revision = store.commit(batch).expect("commits");
        assert_eq!(take(&mut *quick, 1)[0].revision, revision);
    }
    assert_eq!(slow.next(Duration::ZERO), Err(StoreError::WatchLost));
    assert_eq!(slow.next(LONG), Err(StoreError::WatchLost), "it stays lost");
    assert_eq!(store.watch(Revision(0)).err(), Some(StoreError::WatchLost));
    // The way back: list everything, then watch from there.
    let listed = store.snapshot(&mut |_, _, _| Ok(())).expect("lists");
    let mut again = store.watch(listed).expect("watches");
    let revision = store.commit(Batch::new().put(key("a"), vec![1])).expect("commits");
    assert_eq!(take(&mut *again, 1)[0].revision, revision);
    assert_eq!(take(&mut *quick, 1)[0].revision, revision);
}

/// Watchers of a closed store get what they have not seen yet, then `Closed`, also those that wait.
pub fn closed_store_ends_its_watchers(subject: &Subject) {
    let store = &*subject.store;
    let mut behind = store.watch(Revision(0)).expect("watches");
    let mut waiting = store.watch(Revision(0)).expect("watches");
    store.commit(Batch::new().put(key("a"), vec![1])).expect("commits");
    assert_eq!(take(&mut *waiting, 1)[0].revision, Revision(1));
    thread::scope(|scope| {
        let waiting = scope.spawn(move || waiting.next(LONG));
        assert_eq!(store.close(), Ok(()));
        assert_eq!(waiting.join().expect("woken"), Err(StoreError::Closed));
    });
    assert_eq!(take(&mut *behind, 1)[0].revision, Revision(1));
    assert_eq!(behind.next(LONG), Err(StoreError::Closed));
}
