//! No room left: by the bound of the settings, and by a limit of the operating system that makes
//! the end of a commit fail.

use std::path::Path;
use std::sync::mpsc::sync_channel;

use lethe_store::{Batch, Expect, Revision, Store, StoreError, Tidied};

use super::{Again, Folder, create, key, open, put, say, told_folder, value};
use crate::writer::Job;
use crate::{EmbeddedStore, OpenMode, Settings};

#[test]
fn full_store_refuses_and_goes_on() {
    let folder = Folder::new();
    let settings = Settings { database_bytes_max: 1_048_576, ..Settings::default() };
    let store = EmbeddedStore::open_with(&folder.path, OpenMode::CreateNew, settings).unwrap();
    let mut newest = 0;
    let refused = loop {
        // Past the bound in any case, so that a bound that does not hold fails the test.
        assert!(newest < 100, "the store grows past its bound");
        match store.commit(put(newest, &[1; 50_000]).put(key(1_000_000), vec![1])) {
            Ok(_) => newest += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::Full);
    assert_eq!(store.revision(), Ok(Revision(newest)));
    assert_eq!(value(&store, newest), None);
    assert_eq!(value(&store, newest - 1), Some(vec![1; 50_000]));
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
    assert!(std::fs::metadata(folder.database()).unwrap().len() <= 1_048_576);

    // What fits still goes in, and room that is given back is used again.
    assert_eq!(store.commit(put(1_000_000, &[2])), Ok(Revision(newest + 1)));
    assert_eq!(store.commit(Batch::new().delete(key(0))), Ok(Revision(newest + 2)));
    assert_eq!(store.commit(put(newest, &[1; 50_000])), Ok(Revision(newest + 3)));

    // An existing store takes the bound of each opening.
    store.close().unwrap();
    let store = open(&folder);
    assert_eq!(store.commit(put(77_777, &[1; 500_000])), Ok(Revision(newest + 4)));
}

#[test]
fn batch_that_does_not_fit_takes_no_other_with_it() {
    let folder = Folder::new();
    let store = create(&folder);
    let huge = || put(100, &[1; 1_000_000]).put(key(101), vec![1; 1_000_000]);
    let stale = || put(3, b"3").expect(key(1), Expect::At(Revision(9)));
    let batches = [put(1, b"1"), huge(), put(2, b"2"), stale(), huge(), put(4, b"4")];
    let answers = super::grouping::in_one_group(&store, batches.into(), 128);
    assert_eq!(
        answers,
        [
            Ok(Revision(1)),
            Err(StoreError::Full),
            Ok(Revision(2)),
            Err(StoreError::Conflict { key: key(1) }),
            Err(StoreError::Full),
            Ok(Revision(3)),
        ]
    );
    assert_eq!(value(&store, 2), Some(b"2".to_vec()));
    assert_eq!(value(&store, 100), None);
}

const LIMIT_TEST: &str = "tests::filling::failed_end_of_a_commit_is_settled_before_any_read";

/// Files of the child may not grow past some 2 to 4 MB: the write that passes it fails with an
/// error that is not "disk full", in the middle of ending a commit.
#[test]
fn failed_end_of_a_commit_is_settled_before_any_read() {
    if let Some(folder) = told_folder() {
        return write_past_the_limit(&folder);
    }
    let folder = Folder::new();
    create(&folder).close().unwrap();
    let mut child = Again::start(LIMIT_TEST, &folder.path, "trap '' XFSZ; ulimit -f 4000");
    let mut said = Vec::new();
    while let Some(line) = child.hear() {
        said.push(line);
    }
    assert!(child.child.wait().unwrap().success(), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("done"), "{said:?}");

    let store = open(&folder);
    let of = |kind: &str| -> Vec<u64> {
        said.iter().filter_map(|line| line.strip_prefix(kind)?.trim().parse().ok()).collect()
    };
    let (acknowledged, absent) = (of("acknowledged"), of("absent"));
    assert!(acknowledged.len() > 10 && !absent.is_empty(), "{said:?}");
    for number in acknowledged {
        assert!(value(&store, number).is_some(), "{number} was acknowledged");
    }
    for number in absent {
        assert_eq!(value(&store, number), None, "{number} was read as absent");
    }
}

/// The child. Says what was acknowledged, and what was certainly not applied.
fn write_past_the_limit(folder: &Path) {
    let store = EmbeddedStore::open(folder, OpenMode::OpenExisting).unwrap();
    let is_unavailable = |error: &StoreError| matches!(error, StoreError::Unavailable { .. });
    let mut is_settled = true;
    for number in 0..COMMITS_MAX {
        match store.commit(put(number, &[1; 100_000])) {
            Ok(revision) => {
                assert_eq!(store.revision(), Ok(revision));
                say(&format!("acknowledged {number}"));
            }
            Err(error) => assert!(is_unavailable(&error), "{error:?}"),
        }
        // A read that succeeds is certain, also after this process ends without cleaning up.
        match store.get(&key(number)) {
            Ok(Some(_)) => {}
            Ok(None) => say(&format!("absent {number}")),
            Err(error) => {
                assert!(is_unavailable(&error), "{error:?}");
                is_settled = false;
                break;
            }
        }
    }
    // In the end there is no room even for the few pages that settle the doubt.
    assert!(!is_settled, "the limit was never reached");
    assert!(is_unavailable(&store.revision().unwrap_err()));
    assert!(is_unavailable(&store.tidy().unwrap_err()));
    assert!(is_unavailable(&store.snapshot(&mut |_, _, _| Ok(())).unwrap_err()));
    assert!(is_unavailable(&store.commit(put(0, b"small")).unwrap_err()));
    assert!(is_unavailable(&store.close().unwrap_err()), "an unclean end is said");
    say("done");
}

/// Far more than fit under the limit.
const COMMITS_MAX: u64 = 2_000;

#[test]
fn settling_overwrites_once_and_lets_reads_through() {
    let folder = Folder::new();
    let store = create(&folder);
    store.commit(put(1, b"1")).unwrap();
    store.shared.is_in_doubt.store(true, std::sync::atomic::Ordering::Release);
    assert_eq!(value(&store, 1), Some(b"1".to_vec()));
    assert!(!store.shared.is_in_doubt.load(std::sync::atomic::Ordering::Acquire));
    let (answer, answered) = sync_channel(1);
    store.link.lock().as_ref().unwrap().jobs.send(Job::Settle { answer }).unwrap();
    assert_eq!(answered.recv().unwrap(), Ok(()));
    store.close().unwrap();
    let connection = rusqlite::Connection::open(folder.database()).unwrap();
    let doubts = "SELECT value FROM meta WHERE name = 'doubts'";
    assert_eq!(connection.query_row(doubts, (), |row| row.get::<_, i64>(0)), Ok(1));
}

/// A failed commit that is there all the same must not be hidden: its number is taken.
#[test]
fn commit_that_the_watchers_missed_keeps_the_store_shut() {
    let folder = Folder::new();
    let store = create(&folder);
    store.commit(put(1, b"1")).unwrap();
    let connection = rusqlite::Connection::open(folder.database()).unwrap();
    connection.execute("UPDATE meta SET value = 2 WHERE name = 'revision'", ()).unwrap();
    store.shared.is_in_doubt.store(true, std::sync::atomic::Ordering::Release);
    for _ in 0..2 {
        assert!(matches!(store.get(&key(1)), Err(StoreError::Unavailable { .. })));
        assert!(matches!(store.commit(put(2, b"2")), Err(StoreError::Unavailable { .. })));
    }
    drop((store, connection));
    assert_eq!(open(&folder).revision(), Ok(Revision(2)));
}
