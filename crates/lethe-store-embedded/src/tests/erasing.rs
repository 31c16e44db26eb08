//! What was deleted or overwritten is gone from the files after tidying. Hygiene, but promised.

use std::collections::BTreeSet;

use lethe_store::{Batch, Revision, Store, Tidied, Write};

use super::{Folder, create, key, value};

/// The numbers of the planted values of which a file of the store holds a trace.
fn seen(folder: &Folder) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    for (_, content) in folder.files() {
        for trace in content.windows(MARK.len() + 6).filter(|bytes| bytes.starts_with(MARK)) {
            // A trace that the end of a page cuts is no number; each value has many others.
            let number = str::from_utf8(&trace[MARK.len()..]).ok();
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
    }
    numbers
}

/// A value of `bytes` bytes that names itself every 16 bytes.
fn planted(number: u64, bytes: usize) -> Vec<u8> {
    [MARK, format!("{number:06}--").as_bytes()].concat().repeat(bytes / 16)
}

const MARK: &[u8] = b"planted-";

/// Plants values of one size, removes the odd ones with `remove`, tidies and looks.
#[track_caller]
fn check(bytes: usize, remove: fn(u64) -> Write) {
    let folder = Folder::new();
    let store = create(&folder);
    let all: BTreeSet<u64> = (0..60).collect();
    let even: BTreeSet<u64> = (0..60).step_by(2).collect();
    let mut batch = Batch::new();
    for number in 0..60 {
        let value = planted(number, bytes);
        batch.push(Write::Put { key: key(number), value });
    }
    store.commit(batch).unwrap();
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
    assert_eq!(seen(&folder), all, "values are found if they are there");

    let mut batch = Batch::new();
    (1..60).step_by(2).for_each(|number| batch.push(remove(number)));
    assert_eq!(store.commit(batch), Ok(Revision(2)));
    assert_eq!(seen(&folder), all, "before tidying the old values are still in a file");
    assert_eq!(store.tidy(), Ok(Tidied::Complete));
    assert_eq!(seen(&folder), even, "values of {bytes} bytes");
    assert_eq!(value(&store, 58), Some(planted(58, bytes)));
    // A second look after closing: nothing comes back with the last checkpoint.
    store.close().unwrap();
    assert_eq!(seen(&folder), even);
}

#[test]
fn deleted_values_are_gone_after_tidying() {
    let delete = |number| Write::Delete { key: key(number) };
    check(320, delete);
    check(1_056, delete);
    check(2_048, delete);
    check(20_000, delete);
}

#[test]
fn overwritten_values_are_gone_after_tidying() {
    check(320, |number| Write::Put { key: key(number), value: vec![0; 320] });
    check(320, |number| Write::Put { key: key(number), value: Vec::new() });
    check(1_056, |number| Write::Put { key: key(number), value: vec![0; 1_100] });
    check(20_000, |number| Write::Put { key: key(number), value: vec![0; 100] });
}
