//! Property 6 and snapshots: order, pages, spaces, one revision.

use core::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeMap;
use std::thread;

use super::{ALPHA, BETA, SPACE_OF_LONGEST_NAME, Subject, key, key_in, read};
use crate::limits::{KEY_BYTES_MAX, PAGE_BYTES_MAX, PAGE_ROWS_MAX, VALUE_BYTES_MAX};
use crate::{Batch, Page, Revision, Space, Store, StoreError, Tidied, Write};

/// Keys come in ascending order of bytes, whatever the order of writing and the size of the page.
pub fn range_is_ordered_and_pages(subject: &Subject) {
    let store = &*subject.store;
    let mut keys: Vec<Vec<u8>> = vec![b"".into(), b"a".into(), b"a\0".into(), b"a\0\0".into()];
    keys.extend((0..=255).map(|byte| vec![b'b', byte]));
    keys.extend([b"b\xff\xff".to_vec(), vec![0xff], vec![0xff; KEY_BYTES_MAX]]);
    let mut batch = Batch::new();
    for bytes in keys.iter().rev() {
        batch.push(Write::Put { key: key_in(ALPHA, bytes), value: bytes.clone() });
    }
    let revision = store.commit(batch).expect("commits");

    for limit in [1, 2, 7, 100, 1_000, PAGE_ROWS_MAX] {
        assert_eq!(walk(store, ALPHA, b"", limit), keys, "pages of {limit}");
    }
    assert_eq!(walk(store, ALPHA, b"b", 50), keys[4..], "from inclusive, between two keys");
    assert_eq!(walk(store, ALPHA, b"b\x07", 50), keys[11..], "from inclusive, at a key");
    assert_eq!(walk(store, ALPHA, &[0xff; KEY_BYTES_MAX], 1), keys[keys.len() - 1..]);

    let whole = store.range(ALPHA, b"a", 3).expect("reads");
    assert_eq!(whole.revision, revision);
    assert_eq!(whole.next, Some(b"b\x00".to_vec()));
    assert!(whole.rows.iter().all(|row| row.versioned.revision == revision));
    assert!(whole.rows.iter().all(|row| row.versioned.value == row.key.bytes()));
    let exact = store.range(ALPHA, b"b\xff\xff", 3).expect("reads");
    assert_eq!((exact.rows.len(), exact.next), (3, None), "a full last page is known to be last");
}

/// All keys of a space, read in pages of `limit`.
fn walk(store: &dyn Store, space: Space, from: &[u8], limit: u32) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut next = Some(from.to_vec());
    while let Some(from) = next {
        let page = store.range(space, &from, limit).expect("reads");
        assert!(page.rows.len() <= usize::try_from(limit).expect("small"));
        assert!(!page.rows.is_empty() || page.next.is_none(), "a page leads on");
        keys.extend(page.rows.iter().map(|row| row.key.bytes().to_vec()));
        assert!(page.rows.iter().all(|row| row.key.space() == space));
        next = page.next;
    }
    keys
}

/// Bounds of the arguments.
pub fn range_refuses_bad_arguments(subject: &Subject) {
    let store = &*subject.store;
    let invalid = store.range(ALPHA, b"", 0);
    assert!(matches!(invalid, Err(StoreError::Invalid { .. })), "{invalid:?}");
    for (from, limit) in
        [(Vec::new(), PAGE_ROWS_MAX + 1), (Vec::new(), u32::MAX), (vec![0; KEY_BYTES_MAX + 1], 1)]
    {
        let refused = store.range(ALPHA, &from, limit);
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    }
    let empty = Page { rows: Vec::new(), next: None, revision: Revision(0) };
    assert_eq!(store.range(ALPHA, &[0xff; KEY_BYTES_MAX], PAGE_ROWS_MAX), Ok(empty));
}

/// The same key bytes in several spaces are several keys, and no range leaves its space.
pub fn spaces_are_apart(subject: &Subject) {
    let store = &*subject.store;
    let spaces = [ALPHA, BETA, SPACE_OF_LONGEST_NAME, Space::named("alph"), Space::named("_")];
    let mut batch = Batch::new();
    for (number, space) in (0_u8..).zip(spaces) {
        batch.push(Write::Put { key: key_in(space, b"k"), value: vec![number] });
        batch.push(Write::Put { key: key_in(space, &[number]), value: Vec::new() });
    }
    store.commit(batch).expect("commits");
    for (number, space) in (0_u8..).zip(spaces) {
        let value = read(store, &key_in(space, b"k")).map(|row| row.0);
        assert_eq!(value, Some(vec![number]), "{space}");
        assert_eq!(walk(store, space, b"", 10), [vec![number], b"k".to_vec()], "{space}");
    }
    store.commit(Batch::new().delete(key_in(BETA, b"k"))).expect("commits");
    assert_eq!(walk(store, BETA, b"", 10), [vec![1]]);
    assert_eq!(walk(store, ALPHA, b"k", 10), [b"k".to_vec()]);
    assert!(walk(store, Space::named("unused"), b"", 10).is_empty());
    assert_eq!(read(store, &key_in(Space::named("unused"), b"k")), None);
}

/// A page of large values ends early and says where to go on.
pub fn long_page_ends_early(subject: &Subject) {
    let store = &*subject.store;
    let count = PAGE_BYTES_MAX / VALUE_BYTES_MAX + 4;
    for number in 0..count {
        let name = format!("{number:03}");
        let batch = Batch::new().put(key(&name), vec![1; VALUE_BYTES_MAX]);
        store.commit(batch).expect("commits");
    }
    let page = store.range(ALPHA, b"", 1_000).expect("reads");
    assert!(page.rows.len() < count && page.next.is_some());
    assert_eq!(walk(store, ALPHA, b"", 1_000).len(), count);
}

/// Every row of every space once, by space and key, with value and revision.
pub fn snapshot_shows_everything_once(subject: &Subject) {
    let store = &*subject.store;
    assert_eq!(store.snapshot(&mut |_, _, _| panic!("nothing to show")), Ok(Revision(0)));
    let mut expected = BTreeMap::new();
    for number in 0_u64..30 {
        let space = if number % 3 == 0 { BETA } else { ALPHA };
        let key = key_in(space, &[u8::try_from(number * 7 % 30).expect("small")]);
        let batch = Batch::new().put(key.clone(), number.to_be_bytes().to_vec());
        expected.insert(key, (number, store.commit(batch).expect("commits")));
    }
    let mut shown = Vec::new();
    let revision = store.snapshot(&mut |space, bytes, versioned| {
        let number = u64::from_be_bytes(versioned.value[..].try_into().expect("eight bytes"));
        shown.push((key_in(space, bytes), (number, versioned.revision)));
        Ok(())
    });
    assert_eq!(revision, Ok(Revision(30)));
    assert_eq!(shown, expected.into_iter().collect::<Vec<_>>());
}

/// Two keys that are always written together are always seen together.
pub fn snapshot_is_consistent_while_writing(subject: &Subject) {
    let store = &*subject.store;
    let write = |number: u64| {
        let value = number.to_be_bytes().to_vec();
        Batch::new().put(key("first"), value.clone()).put(key_in(BETA, b"last"), value)
    };
    store.commit(write(1)).expect("commits");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 1;
            while !is_done.load(Ordering::Relaxed) {
                number += 1;
                store.commit(write(number)).expect("commits");
            }
        });
        for _ in 0..20 {
            let mut rows = Vec::new();
            let revision = store.snapshot(&mut |_, _, versioned| {
                rows.push(versioned.clone());
                // A commit while the walk is on; it must not be seen by it.
                store.commit(Batch::new().put(key("third"), vec![0; 8])).map(|_| ())
            });
            let revision = revision.expect("a snapshot");
            rows.retain(|row| row.value != [0; 8]);
            assert_eq!(rows.len(), 2);
            assert_eq!(rows[0], rows[1]);
            assert!(rows[0].revision <= revision);
        }
        is_done.store(true, Ordering::Relaxed);
    });
}

/// The first error of the visitor ends the walk and is the answer; the store goes on.
pub fn snapshot_stops_at_an_error(subject: &Subject) {
    let store = &*subject.store;
    store.commit(Batch::new().put(key("a"), vec![1]).put(key("b"), vec![2])).expect("commits");
    let mut shown = 0;
    let answer = store.snapshot(&mut |_, _, _| {
        shown += 1;
        Err(StoreError::Invalid { what: "enough" })
    });
    assert_eq!((answer, shown), (Err(StoreError::Invalid { what: "enough" }), 1));
    assert_eq!(store.commit(Batch::new().delete(key("a"))), Ok(Revision(2)));
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
}

/// Tidying changes neither values nor revisions, and works on an empty store.
pub fn tidy_changes_no_value(subject: &Subject) {
    let store = &*subject.store;
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
    let first = store.commit(Batch::new().put(key("a"), vec![1]).put(key("b"), vec![1]));
    let second = store.commit(Batch::new().delete(key("b")));
    assert_eq!((first, second), (Ok(Revision(1)), Ok(Revision(2))));
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
    assert_eq!(store.revision(), Ok(Revision(2)));
    assert_eq!(read(store, &key("a")), Some((vec![1], Revision(1))));
    assert_eq!(store.commit(Batch::new().put(key("b"), vec![3])), Ok(Revision(3)));
}
