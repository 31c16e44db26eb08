//! `kill -9` at an unforeseen moment: what was acknowledged is there, and the store opens.
//!
//! A killed process leaves its writes in the page cache, so this shows atomic commits and recovery,
//! not that the disk was synced. That rests on `synchronous = FULL`.

use std::path::Path;

use lethe_store::{Revision, Store};

use super::{Again, Folder, create, key, open, put, say, told_folder, value};
use crate::{EmbeddedStore, OpenError, OpenMode};

const THIS_TEST: &str = "tests::killing::acknowledged_commits_survive_a_kill";

#[test]
fn acknowledged_commits_survive_a_kill() {
    match told_folder() {
        Some(folder) => write_until_killed(&folder),
        None => kill_and_look(),
    }
}

/// The child: commit n writes two keys and deletes one of commit n − 5; says which were answered.
fn write_until_killed(folder: &Path) {
    let store = EmbeddedStore::open(folder, OpenMode::OpenExisting).unwrap();
    let first = store.revision().unwrap().0 + 1;
    for number in first.. {
        let mut batch = put(2 * number, &number.to_be_bytes());
        batch = batch.put(key(2 * number + 1), vec![7; 3_000]);
        if number > KEPT {
            batch = batch.delete(key(2 * (number - KEPT)));
        }
        assert_eq!(store.commit(batch), Ok(Revision(number)));
        say(&number.to_string());
    }
}

/// The parent: three processes one after the other, killed after more and more commits.
fn kill_and_look() {
    let folder = Folder::new();
    create(&folder).close().unwrap();
    let mut newest = 0;
    for commits in [1, 40, 250] {
        let mut child = Again::start(THIS_TEST, &folder.path, ":");
        let acknowledged: u64 = (0..commits)
            .map(|_| child.hear().expect("the child goes on").parse().unwrap())
            .last()
            .unwrap();
        let refused = EmbeddedStore::open(&folder.path, OpenMode::OpenExisting).unwrap_err();
        let child_id = child.child.id();
        assert!(
            matches!(refused, OpenError::InUse { process_id: Some(id), .. } if id == child_id),
            "{refused:?}"
        );
        child.kill();

        let store = open(&folder);
        assert!(acknowledged >= newest + commits);
        newest = store.revision().unwrap().0;
        assert!(newest >= acknowledged, "{acknowledged} was answered, {newest} is there");
        for number in 1..=newest + 1 {
            let is_there = number <= newest && number + KEPT > newest;
            let expected = is_there.then(|| number.to_be_bytes().to_vec());
            assert_eq!(value(&store, 2 * number), expected, "commit {number} of {newest}");
            let expected = (number <= newest).then(|| vec![7; 3_000]);
            assert_eq!(value(&store, 2 * number + 1), expected, "commit {number} of {newest}");
        }
        store.close().unwrap();
    }
}

/// How many commits later the first key of a commit is deleted.
const KEPT: u64 = 5;
