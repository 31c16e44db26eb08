//! The writing thread dies around the end of a commit: from then on nothing is answered that the
//! next start could contradict.

use core::time::Duration;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::sync::mpsc::sync_channel;
use std::thread;

use lethe_store::{Revision, Store, StoreError};
use parking_lot::Mutex;

use super::{ALPHA, Folder, START, create, key, open, put, value};
use crate::EmbeddedStore;
use crate::writer::Job;

/// Ends the writing thread of a store when it comes to the moment that a test chose.
#[derive(Debug, Default)]
pub(crate) struct Death {
    at: Mutex<Option<Moment>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    BeforeCommit,
    /// The group is durable, and neither watchers nor callers know.
    AfterCommit,
}

impl Death {
    /// What the writing thread calls at each moment.
    pub(crate) fn strike(&self, moment: Moment) {
        if *self.at.lock() == Some(moment) {
            // As a panic, but without its message among the output of the tests.
            resume_unwind(Box::new("killed by a test"));
        }
    }

    fn choose(&self, moment: Moment) {
        *self.at.lock() = Some(moment);
    }
}

#[track_caller]
fn check_unavailable<T: core::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })), "{answer:?}");
}

/// Nothing is answered, not even what a commit from before the death wrote, nor an empty space.
#[track_caller]
fn check_nothing_is_answered(store: &EmbeddedStore) {
    check_unavailable(store.revision());
    check_unavailable(store.get(&key(1)));
    check_unavailable(store.get(&key(2)));
    check_unavailable(store.range(ALPHA, b"", 10));
    check_unavailable(store.range(lethe_store::Space::named("never_used"), b"", 10));
    check_unavailable(store.snapshot(&mut |_, _, _| panic!("a row is shown")));
    check_unavailable(store.watch(START));
    check_unavailable(store.commit(put(3, b"3")));
    check_unavailable(store.tidy());
}

/// A commit during which the writing thread dies, and what the next start then finds.
fn check_death(moment: Moment, newest: u64) {
    let folder = Folder::new();
    let store = create(&folder);
    store.commit(put(1, b"1")).unwrap();
    let mut watch = store.watch(START).unwrap();
    store.shared.death.choose(moment);
    check_unavailable(store.commit(put(2, b"2")));
    check_nothing_is_answered(&store);
    check_nothing_is_answered(&store);
    assert_eq!(watch.next(Duration::ZERO).unwrap().unwrap().revision, Revision(1));

    check_unavailable(store.close());
    assert_eq!(store.revision(), Err(StoreError::Closed));
    assert_eq!(store.get(&key(1)), Err(StoreError::Closed));
    assert_eq!(store.commit(put(3, b"3")), Err(StoreError::Closed));
    assert_eq!(watch.next(Duration::ZERO), Err(StoreError::Closed));

    let store = open(&folder);
    assert_eq!(store.revision(), Ok(Revision(newest)));
    assert_eq!(value(&store, 2).is_some(), newest == 2);
    assert_eq!(store.commit(put(3, b"3")), Ok(Revision(newest + 1)));
}

#[test]
fn nothing_is_answered_after_a_death_between_commit_and_answer() {
    check_death(Moment::AfterCommit, 2);
}

#[test]
fn nothing_is_answered_after_a_death_before_the_commit() {
    check_death(Moment::BeforeCommit, 1);
}

/// Each caller reads as soon as it has its answer, while the thread may still be unwinding.
#[test]
fn no_caller_of_a_group_reads_what_was_before_it() {
    const THREADS: u64 = 8;
    let folder = Folder::new();
    let store = create(&folder);
    let start = Barrier::new(8);
    let acknowledged: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (store, start) = (&store, &start);
                scope.spawn(move || {
                    start.wait();
                    for number in 0.. {
                        if thread == 0 && number == 5 {
                            store.shared.death.choose(Moment::AfterCommit);
                        }
                        if let Err(error) = store.commit(put(1_000 * thread + number, b"x")) {
                            check_unavailable(store.revision());
                            check_unavailable(store.get(&key(1_000 * thread + number)));
                            check_unavailable::<()>(Err(error));
                            return number;
                        }
                    }
                    unreachable!("the thread dies")
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    check_unavailable(store.close());
    let store = open(&folder);
    let newest = store.revision().unwrap().0;
    assert!(newest > acknowledged.iter().sum(), "the last group is there, unacknowledged");
    for (thread, count) in (0..).zip(acknowledged) {
        for number in 0..count {
            assert!(value(&store, 1_000 * thread + number).is_some(), "it was acknowledged");
        }
    }
}

#[test]
fn death_that_no_caller_sees_is_noted_by_the_thread() {
    let folder = Folder::new();
    let store = create(&folder);
    store.shared.death.choose(Moment::AfterCommit);
    let (answer, _) = sync_channel(1);
    let job = Job::Commit { batch: put(1, b"1"), answer };
    store.link.lock().as_ref().unwrap().jobs.send(job).unwrap();
    while !store.link.lock().as_ref().unwrap().thread.is_finished() {
        thread::yield_now();
    }
    check_nothing_is_answered(&store);
}

/// The caller may learn of the death before the thread has unwound far enough to note it.
#[test]
fn death_is_noted_by_the_caller_whose_answer_is_lost() {
    let folder = Folder::new();
    let store = create(&folder);
    store.commit(put(1, b"1")).unwrap();
    let lost: Result<(), _> = store.ask(|answer| {
        drop(answer);
        let (answer, _) = sync_channel(1);
        Job::Settle { answer }
    });
    check_unavailable(lost);
    check_unavailable(store.revision());
    check_unavailable(store.get(&key(1)));
}
