//! What each fault of the script does, and what is recorded.

use std::sync::Arc;

use super::{ALPHA, key, put};
use crate::{Batch, CommitFault, Expect, FaultyStore, MemStore, Revision, Store, StoreError};

/// Commits twice with `fault` at the second; what the caller and the store underneath then have.
#[track_caller]
fn check(fault: CommitFault, error_is_full: bool, is_applied: bool, is_stopped: bool) {
    let store = FaultyStore::new(Arc::new(MemStore::new()));
    store.fail_commit(2, fault);
    assert_eq!(store.commit(put("a", 1)), Ok(Revision(1)));
    let error = store.commit(put("a", 2)).unwrap_err();
    assert_eq!(error == StoreError::Full, error_is_full, "{fault:?}");
    assert_eq!(matches!(error, StoreError::Unavailable { .. }), !error_is_full, "{fault:?}");
    let value = store.inner().get(&key("a")).unwrap().unwrap().value;
    assert_eq!(value == [2], is_applied, "{fault:?}");
    assert_eq!(store.is_stopped(), is_stopped, "{fault:?}");
    assert_eq!(store.commit(put("a", 3)).is_err(), is_stopped, "{fault:?}");
    assert_eq!(store.get(&key("a")).is_err(), is_stopped, "{fault:?}");
    assert_eq!(store.range(ALPHA, b"", 1).is_err(), is_stopped, "{fault:?}");
    assert_eq!(store.revision().is_err(), is_stopped, "{fault:?}");
    assert_eq!(store.snapshot(&mut |_, _, _| Ok(())).is_err(), is_stopped, "{fault:?}");
    assert_eq!(store.watch(Revision(1)).is_err(), is_stopped, "{fault:?}");
    assert_eq!(store.tidy().is_err(), is_stopped, "{fault:?}");
    assert_eq!(store.close().is_err(), is_stopped, "{fault:?}");
    // The store of a dead process was not closed by it.
    assert_eq!(store.inner().revision().is_ok(), is_stopped, "{fault:?}");
    assert_eq!((store.commits(), store.reads()), (3, 3));
}

#[test]
fn each_fault_does_what_it_says() {
    check(CommitFault::Fail, false, false, false);
    check(CommitFault::Full, true, false, false);
    check(CommitFault::ApplyThenFail, false, true, false);
    check(CommitFault::Stop, false, false, true);
    check(CommitFault::ApplyThenStop, false, true, true);
}

#[test]
fn refused_batch_is_refused_also_with_a_fault() {
    let store = FaultyStore::new(Arc::new(MemStore::new()));
    store.fail_next_commit(CommitFault::ApplyThenFail);
    let batch = put("a", 1).expect(key("a"), Expect::At(Revision(1)));
    assert_eq!(store.commit(batch), Err(StoreError::Conflict { key: key("a") }));
    assert_eq!(store.commit(put("a", 1)), Ok(Revision(1)), "the fault was used up");
}

#[test]
fn reads_fail_by_number() {
    let store = FaultyStore::new(Arc::new(MemStore::new()));
    let damaged = StoreError::Corrupt { what: "planted".to_owned() };
    store.fail_read(2, damaged.clone());
    store.fail_read(4, StoreError::Full);
    assert_eq!(store.get(&key("a")), Ok(None));
    assert_eq!(store.range(ALPHA, b"", 1), Err(damaged.clone()));
    assert_eq!(store.get(&key("a")), Ok(None));
    assert_eq!(store.snapshot(&mut |_, _, _| Ok(())), Err(StoreError::Full));
    store.fail_next_read(damaged.clone());
    assert_eq!(store.get(&key("a")), Err(damaged));
    assert_eq!(store.get(&key("a")), Ok(None));
}

#[test]
fn everything_ever_written_is_recorded() {
    let store = FaultyStore::recording(Arc::new(MemStore::new()));
    store.fail_commit(2, CommitFault::Fail);
    store.commit(Batch::new().put(key("kept"), b"first value".to_vec())).unwrap();
    store.commit(Batch::new().put(key("lost"), b"never applied".to_vec())).unwrap_err();
    store.commit(Batch::new().delete(key("kept"))).unwrap();
    assert_eq!(store.recorded().len(), 3);
    for (needle, is_found) in [
        (&b"first value"[..], true),
        (b"never applied", true),
        (b"lost", true),
        (b"", true),
        (b"second value", false),
        (b"first values", false),
    ] {
        assert_eq!(store.has_recorded(needle), is_found, "{needle:?}");
    }
    let silent = FaultyStore::new(Arc::new(MemStore::new()));
    silent.commit(put("a", 1)).unwrap();
    assert!(silent.recorded().is_empty() && !silent.has_recorded(b"a"));
}
