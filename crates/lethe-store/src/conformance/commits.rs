//! Properties 1 to 5 and 8: what a commit does, refuses and leaves.

use std::sync::{Arc, Barrier};
use std::thread;

use super::{ALPHA, BETA, SPACE_OF_LONGEST_NAME, Subject, key, key_in, read};
use crate::limits::{BATCH_BYTES_MAX, BATCH_OPS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::{
    Batch, CommitFault, Expect, FaultyStore, Revision, Space, Store, StoreError, StoreKey, Write,
};

/// A read after an acknowledged commit shows it, from this thread and from others.
pub fn reads_see_acknowledged_commits(subject: &Subject) {
    let store = &subject.store;
    assert_eq!(read(&**store, &key("a")), None);
    for round in 0_u8..20 {
        let revision = store.commit(Batch::new().put(key("a"), vec![round])).expect("commits");
        assert_eq!(read(&**store, &key("a")), Some((vec![round], revision)));
        let other = Arc::clone(store);
        let seen = thread::spawn(move || read(&*other, &key("a"))).join().expect("reads");
        assert_eq!(seen, Some((vec![round], revision)));
        assert_eq!(store.revision(), Ok(revision));
    }
    let revision = store.commit(Batch::new().delete(key("a"))).expect("deletes");
    assert_eq!(read(&**store, &key("a")), None);
    assert_eq!(store.revision(), Ok(revision));
}

/// `Absent` holds once, and again after a delete.
pub fn create_fails_if_present(subject: &Subject) {
    let store = &subject.store;
    let create = |value: u8| {
        store.commit(Batch::new().expect(key("a"), Expect::Absent).put(key("a"), vec![value]))
    };
    assert_eq!(create(1), Ok(Revision(1)));
    assert_eq!(create(2), Err(StoreError::Conflict { key: key("a") }));
    assert_eq!(read(&**store, &key("a")), Some((vec![1], Revision(1))));
    assert_eq!(store.commit(Batch::new().delete(key("a"))), Ok(Revision(2)));
    assert_eq!(create(3), Ok(Revision(3)));
}

/// A batch with a precondition that does not hold writes nothing and gets no revision.
pub fn stale_precondition_leaves_nothing(subject: &Subject) {
    let store = &subject.store;
    let first = store.commit(Batch::new().put(key("a"), vec![1])).expect("commits");
    let second = store.commit(Batch::new().put(key("a"), vec![2])).expect("commits");
    let refused: &[(StoreKey, Expect)] = &[
        (key("a"), Expect::At(first)),
        (key("a"), Expect::At(Revision(second.0 + 1))),
        (key("a"), Expect::At(Revision(0))),
        (key("a"), Expect::At(Revision(u64::MAX))),
        (key("a"), Expect::Absent),
        (key("never"), Expect::At(first)),
        (key_in(BETA, b"a"), Expect::At(second)),
        (key_in(Space::named("unused"), b"a"), Expect::At(Revision(0))),
    ];
    for (wrong, expect) in refused {
        let batch = Batch::new()
            .put(key("a"), vec![3])
            .put(key("new"), vec![3])
            .delete(key("b"))
            .expect(key("b"), Expect::Absent)
            .expect(wrong.clone(), *expect);
        let conflict = Err(StoreError::Conflict { key: wrong.clone() });
        assert_eq!(store.commit(batch), conflict, "{wrong} {expect:?}");
        assert_eq!(read(&**store, &key("a")), Some((vec![2], second)));
        assert_eq!(read(&**store, &key("new")), None);
        assert_eq!(store.revision(), Ok(second));
    }
    // Of several that fail, the first in the order of the batch is named.
    let batch = Batch::new()
        .expect(key("a"), Expect::Absent)
        .expect(key("never"), Expect::At(first))
        .put(key("a"), vec![4]);
    assert_eq!(store.commit(batch), Err(StoreError::Conflict { key: key("a") }));
    let batch = Batch::new().expect(key("a"), Expect::At(second)).put(key("a"), vec![4]);
    assert_eq!(store.commit(batch), Ok(Revision(second.0 + 1)));
}

/// Writes to several spaces appear together and carry the same revision.
pub fn batch_is_all_or_nothing(subject: &Subject) {
    let store = &subject.store;
    store.commit(Batch::new().put(key("old"), vec![0])).expect("commits");
    let batch = || {
        Batch::new()
            .put(key("a"), vec![1])
            .put(key_in(BETA, b"a"), vec![2])
            .put(key_in(SPACE_OF_LONGEST_NAME, b""), Vec::new())
            .delete(key("old"))
    };
    // A guard of a key that the batch does not write.
    let refused = batch().expect(key("guard"), Expect::At(Revision(1)));
    assert_eq!(store.commit(refused), Err(StoreError::Conflict { key: key("guard") }));
    assert_eq!(read(&**store, &key_in(BETA, b"a")), None);
    assert_eq!(read(&**store, &key("old")), Some((vec![0], Revision(1))));

    let revision = store.commit(batch().expect(key("guard"), Expect::Absent)).expect("commits");
    assert_eq!(read(&**store, &key("a")), Some((vec![1], revision)));
    assert_eq!(read(&**store, &key_in(BETA, b"a")), Some((vec![2], revision)));
    assert_eq!(read(&**store, &key_in(SPACE_OF_LONGEST_NAME, b"")), Some((Vec::new(), revision)));
    assert_eq!(read(&**store, &key("old")), None);
}

/// Applied batches are numbered 1, 2, 3, …; refused ones and reads take no number.
pub fn revisions_grow_by_one(subject: &Subject) {
    let store = &subject.store;
    assert_eq!(store.revision(), Ok(Revision(0)));
    for number in 1..=10 {
        assert_eq!(store.commit(Batch::new().put(key("a"), vec![0])), Ok(Revision(number)));
        let conflict = Batch::new().expect(key("a"), Expect::Absent).put(key("b"), vec![0]);
        assert!(store.commit(conflict).is_err());
        assert!(store.commit(Batch::new()).is_err());
        assert_eq!(store.revision(), Ok(Revision(number)));
    }
    // A delete counts even if there was nothing to delete.
    assert_eq!(store.commit(Batch::new().delete(key("none"))), Ok(Revision(11)));
    let none_in_new_space = Batch::new().delete(key_in(Space::named("unused"), b"x"));
    assert_eq!(store.commit(none_in_new_space), Ok(Revision(12)));
}

/// Batches that break a rule are refused before anything is done.
pub fn malformed_batches_are_refused(subject: &Subject) {
    let store = &subject.store;
    let put = |name: &str| Batch::new().put(key(name), vec![1]);
    let refused = [
        Batch::new(),
        Batch::new().expect(key("a"), Expect::Absent),
        put("a").put(key("a"), vec![2]),
        put("a").put(key("b"), vec![2]).delete(key("a")),
        Batch::new().delete(key("a")).delete(key("a")),
        put("a").expect(key("b"), Expect::Absent).expect(key("b"), Expect::Absent),
        put("a").expect(key("b"), Expect::Absent).expect(key("b"), Expect::At(Revision(1))),
    ];
    for batch in refused {
        let answer = store.commit(batch.clone());
        assert!(matches!(answer, Err(StoreError::Invalid { .. })), "{batch:?}: {answer:?}");
    }
    assert_eq!(store.revision(), Ok(Revision(0)));
    assert_eq!(read(&**store, &key("a")), None);
    // The same bytes in two spaces are two keys.
    let batch = put("a").put(key_in(BETA, b"a"), vec![2]);
    assert_eq!(store.commit(batch), Ok(Revision(1)));
}

/// Keys, values and batches of the largest size work; one more is refused and changes nothing.
pub fn sizes_at_and_past_the_limits(subject: &Subject) {
    let store = &subject.store;
    let too_large = |answer: Result<Revision, StoreError>| {
        assert!(matches!(answer, Err(StoreError::TooLarge { .. })), "{answer:?}");
    };
    let longest = key_in(SPACE_OF_LONGEST_NAME, &[0xff; KEY_BYTES_MAX]);
    let largest = vec![7; VALUE_BYTES_MAX];
    let revision = store.commit(Batch::new().put(longest.clone(), largest.clone())).expect("fits");
    assert_eq!(read(&**store, &longest), Some((largest, revision)));
    assert!(StoreKey::new(ALPHA, &[0; KEY_BYTES_MAX + 1]).is_err());
    too_large(store.commit(Batch::new().put(longest, vec![7; VALUE_BYTES_MAX + 1])));

    let many = |count: usize| {
        let mut batch = Batch::new();
        for number in 0..count {
            batch.push(Write::Delete { key: key(&number.to_string()) });
        }
        batch
    };
    too_large(store.commit(many(BATCH_OPS_MAX + 1)));
    store.commit(many(BATCH_OPS_MAX)).expect("fits");

    // Two-byte keys beside values that fill the bound exactly.
    let values = BATCH_BYTES_MAX / VALUE_BYTES_MAX;
    let mut batch = Batch::new();
    for number in 0..values {
        let name = format!("{number:02}");
        batch.push(Write::Put { key: key(&name), value: vec![1; VALUE_BYTES_MAX - 2] });
    }
    assert_eq!(batch.bytes(), BATCH_BYTES_MAX);
    too_large(store.commit(batch.clone().put(key("x"), Vec::new())));
    assert_eq!(read(&**store, &key("00")), None);
    store.commit(batch).expect("fits");
}

/// Of several writers that saw the same state and all write, one is applied, round after round.
pub fn of_two_writers_one_wins(subject: &Subject) {
    const ROUNDS: u64 = 20;
    const WRITERS: usize = 4;
    let store = &*subject.store;
    let counter = key("counter");
    store.commit(Batch::new().put(counter.clone(), vec![0])).expect("commits");
    let all_have_read = Barrier::new(WRITERS);
    let all_have_written = Barrier::new(WRITERS);
    let write = || {
        let mut wins = 0;
        for _ in 0..ROUNDS {
            let (value, seen) = read(store, &counter).expect("it has a value");
            all_have_read.wait();
            wins += u64::from(raise(store, &counter, value[0], seen));
            all_have_written.wait();
        }
        wins
    };
    let wins: u64 = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        writers.into_iter().map(|writer| writer.join().expect("writes")).sum()
    });
    assert_eq!(wins, ROUNDS);
    let total = u8::try_from(ROUNDS).expect("small");
    assert_eq!(read(store, &counter), Some((vec![total], Revision(ROUNDS + 1))));
}

/// Writes `value` + 1 if the counter is still as it was `seen`; whether it was.
fn raise(store: &dyn Store, counter: &StoreKey, value: u8, seen: Revision) -> bool {
    let batch = Batch::new()
        .expect(counter.clone(), Expect::At(seen))
        .put(counter.clone(), vec![value + 1]);
    let answer = store.commit(batch);
    let conflict = Err(StoreError::Conflict { key: counter.clone() });
    assert!(answer.is_ok() || answer == conflict, "{answer:?}");
    answer.is_ok()
}

/// After `Unavailable` the writer reads again and finds either all of its batch or nothing.
pub fn error_may_have_been_applied(subject: &Subject) {
    let store = FaultyStore::new(Arc::clone(&subject.store));
    for (fault, is_applied) in [(CommitFault::ApplyThenFail, true), (CommitFault::Fail, false)] {
        let seen = store.commit(Batch::new().put(key("a"), vec![0])).expect("commits");
        store.fail_next_commit(fault);
        let batch = || {
            let batch = Batch::new().expect(key("a"), Expect::At(seen));
            batch.put(key("a"), vec![1]).put(key("b"), vec![1])
        };
        let answer = store.commit(batch());
        assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
        let (value, revision) = read(&store, &key("a")).expect("it has a value");
        assert_eq!((value == [1], revision > seen), (is_applied, is_applied));
        // Sending the same batch again is safe because of its precondition.
        assert_eq!(store.commit(batch()).is_err(), is_applied);
        assert_eq!(read(&store, &key("a")).map(|row| row.0), Some(vec![1]));
        assert_eq!(read(&store, &key("b")).map(|row| row.0), Some(vec![1]));
    }
}

/// Every call of a closed store answers `Closed`; closing again does nothing.
pub fn closed_store_refuses(subject: &Subject) {
    let store = &subject.store;
    store.commit(Batch::new().put(key("a"), vec![1])).expect("commits");
    assert_eq!(store.close(), Ok(()));
    assert_eq!(store.get(&key("a")), Err(StoreError::Closed));
    assert_eq!(store.range(ALPHA, b"", 1), Err(StoreError::Closed));
    assert_eq!(store.commit(Batch::new().put(key("a"), vec![2])), Err(StoreError::Closed));
    assert_eq!(store.revision(), Err(StoreError::Closed));
    assert_eq!(store.watch(Revision(1)).err(), Some(StoreError::Closed));
    assert_eq!(store.snapshot(&mut |_, _, _| Ok(())), Err(StoreError::Closed));
    assert_eq!(store.tidy(), Err(StoreError::Closed));
    assert_eq!(store.close(), Ok(()));
}

/// A store that is opened again has every value, every revision and goes on counting.
pub fn reopen_keeps_everything(subject: &Subject) {
    let Some(reopen) = &subject.reopen else {
        return;
    };
    let first = subject.store.commit(Batch::new().put(key("a"), vec![1])).expect("commits");
    let batch = Batch::new().put(key("gone"), vec![2]).put(key_in(BETA, b"b"), vec![3]);
    let second = subject.store.commit(batch).expect("commits");
    let third = subject.store.commit(Batch::new().delete(key("gone"))).expect("commits");
    assert_eq!(subject.store.close(), Ok(()));

    for opening in 0..3 {
        let store = reopen();
        assert_eq!(store.revision(), Ok(Revision(third.0 + opening)));
        assert_eq!(read(&*store, &key("a")), Some((vec![1], first)));
        assert_eq!(read(&*store, &key_in(BETA, b"b")), Some((vec![3], second)));
        assert_eq!(read(&*store, &key("gone")), None);
        let next = store.commit(Batch::new().put(key("again"), vec![4]));
        assert_eq!(next, Ok(Revision(third.0 + opening + 1)));
        assert_eq!(store.close(), Ok(()));
    }
}
