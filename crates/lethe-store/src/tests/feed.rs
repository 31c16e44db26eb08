//! Bounds of the ring of commits.

use core::time::Duration;

use super::key;
use crate::limits::{WATCH_BYTES_MAX, WATCH_COMMITS_MAX};
use crate::{CommitFeed, Revision, StoreError, Write};

fn publish(feed: &CommitFeed, revision: u64, value_bytes: usize) {
    let value = vec![0; value_bytes];
    feed.publish(Revision(revision), vec![Write::Put { key: key("a"), value }]);
}

#[test]
fn ring_holds_its_commits_and_no_more() {
    let feed = CommitFeed::new(Revision(0));
    let mut watcher = feed.watch(Revision(0)).unwrap();
    let max = u64::try_from(WATCH_COMMITS_MAX).unwrap();
    (1..=max).for_each(|revision| publish(&feed, revision, 1));
    assert!(feed.watch(Revision(0)).is_ok());
    assert_eq!(watcher.next(Duration::ZERO).unwrap().unwrap().revision, Revision(1));
    publish(&feed, max + 1, 1);
    publish(&feed, max + 2, 1);
    assert_eq!(feed.watch(Revision(0)).err(), Some(StoreError::WatchLost));
    assert_eq!(feed.watch(Revision(1)).err(), Some(StoreError::WatchLost));
    assert!(feed.watch(Revision(2)).is_ok());
    assert_eq!(watcher.next(Duration::ZERO), Err(StoreError::WatchLost));
    assert_eq!(feed.newest(), Revision(max + 2));
}

#[test]
fn commit_larger_than_the_ring_still_reaches_those_who_watch() {
    let feed = CommitFeed::new(Revision(5));
    publish(&feed, 6, WATCH_BYTES_MAX);
    assert_eq!(feed.watch(Revision(5)).err(), Some(StoreError::WatchLost), "nobody watched");
    let mut watcher = feed.watch(Revision(6)).unwrap();
    publish(&feed, 7, WATCH_BYTES_MAX);
    assert_eq!(watcher.next(Duration::ZERO).unwrap().unwrap().revision, Revision(7));
    publish(&feed, 8, 1);
    assert_eq!(watcher.next(Duration::ZERO).unwrap().unwrap().revision, Revision(8));
    drop(watcher);
    assert!(feed.watch(Revision(7)).is_ok(), "a small commit is held without watchers");
}

#[test]
fn feed_of_an_old_store_starts_at_its_revision() {
    let feed = CommitFeed::new(Revision(5));
    assert_eq!(feed.watch(Revision(4)).err(), Some(StoreError::WatchLost));
    assert!(matches!(feed.watch(Revision(6)).err(), Some(StoreError::Invalid { .. })));
    assert!(feed.watch(Revision(5)).is_ok());
    feed.close();
    assert_eq!(feed.watch(Revision(5)).err(), Some(StoreError::Closed));
}

#[test]
#[should_panic(expected = "commits are published in order")]
fn gap_is_never_published() {
    publish(&CommitFeed::new(Revision(5)), 7, 1);
}
