//! Rates and sizes. By default a short run that only checks what was written; with the variable
//! `LETHE_MEASURE` set, the full run whose numbers are in `docs/decisions/003-sqlite-settings.md`:
//! `LETHE_MEASURE=1 cargo test --release -p lethe-store-embedded measuring -- --nocapture`.

use core::time::Duration;
use std::io::Write as _;
use std::thread;
use std::time::Instant;

use lethe_store::{Batch, Space, Store, StoreKey, Write};

use super::Folder;
use crate::{EmbeddedStore, OpenMode, Settings};

const RECORDS: Space = Space::named("records");
const NODES: Space = Space::named("nodes");

#[test]
fn rates_and_sizes() {
    let is_full = std::env::var_os("LETHE_MEASURE").is_some();
    for page_bytes in [4_096, 8_192, 16_384] {
        let scale = if is_full { 1 } else { 100 };
        load(page_bytes, 100_000 / scale);
        commits(page_bytes, 2_000 / scale);
    }
}

/// Ascending records and tree nodes in batches of 5,000; then the size of the file.
fn load(page_bytes: u32, records: u64) {
    let folder = Folder::new();
    let store = open(&folder, page_bytes);
    let elapsed = timed(|| {
        for start in (0..records).step_by(5_000) {
            let mut batch = Batch::new();
            for number in start..records.min(start + 5_000) {
                batch.push(write(RECORDS, number, 300));
            }
            store.commit(batch).unwrap();
        }
    });
    let mut batch = Batch::new();
    (0..records / 32).for_each(|number| batch.push(write(NODES, number, 1_072)));
    let nodes_elapsed = timed(|| assert!(store.commit(batch).is_ok()));
    store.tidy().unwrap();
    let stats = store.stats().unwrap();
    let scanned = timed(|| {
        let mut rows = 0;
        store
            .snapshot(&mut |_, _, _| {
                rows += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(rows, records + records / 32);
    });
    report(page_bytes, "load, records", rate(records, elapsed), "/s");
    report(page_bytes, "load, nodes", rate(records / 32, nodes_elapsed), "/s");
    report(page_bytes, "file", stats.disk_bytes / records, "bytes per record with its nodes");
    report(page_bytes, "scan", rate(records, scanned), "rows/s");
}

/// Durable commits: one caller with 1 and 16 records, 16 callers with 1.
fn commits(page_bytes: u32, count: u64) {
    let folder = Folder::new();
    let store = open(&folder, page_bytes);
    for records in [1, 16] {
        let elapsed = timed(|| {
            for number in 0..count {
                let mut batch = Batch::new();
                (0..records).for_each(|record| {
                    batch.push(write(RECORDS, number * 16 + record, 300));
                });
                store.commit(batch).unwrap();
            }
        });
        report(page_bytes, "commits, 1 caller", rate(count, elapsed), &format!("/s of {records}"));
        let log_bytes = store.stats().unwrap().log_bytes / count;
        report(page_bytes, "  log", log_bytes, "bytes per commit");
        store.tidy().unwrap();
    }
    let before = store.stats().unwrap();
    let elapsed = timed(|| {
        thread::scope(|scope| {
            for caller in 0..16 {
                let store = &store;
                scope.spawn(move || {
                    for number in 0..count / 4 {
                        let number = 1_000_000 * (caller + 1) + number;
                        let mut batch = Batch::new();
                        batch.push(write(RECORDS, number, 300));
                        store.commit(batch).unwrap();
                    }
                });
            }
        });
    });
    let after = store.stats().unwrap();
    assert_eq!(after.commits - before.commits, 16 * (count / 4));
    report(page_bytes, "commits, 16 callers", rate(16 * (count / 4), elapsed), "/s of 1");
    let transactions = after.transactions - before.transactions;
    report(page_bytes, "  in transactions", transactions, "");
}

fn open(folder: &Folder, page_bytes: u32) -> EmbeddedStore {
    let settings = Settings { page_bytes, ..Settings::default() };
    EmbeddedStore::open_with(&folder.path, OpenMode::CreateNew, settings).unwrap()
}

/// A value of `bytes` bytes under a 16-byte key that grows with `number`.
fn write(space: Space, number: u64, bytes: usize) -> Write {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_be_bytes());
    let fill = number.to_le_bytes()[0];
    Write::Put { key: StoreKey::new(space, &key).unwrap(), value: vec![fill; bytes] }
}

#[expect(clippy::disallowed_methods, reason = "a measurement; nothing is decided by it")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn rate(count: u64, elapsed: Duration) -> u64 {
    let micros = u64::try_from(elapsed.as_micros()).unwrap().max(1);
    count * 1_000_000 / micros
}

fn report(page_bytes: u32, what: &str, number: u64, unit: &str) {
    writeln!(std::io::stderr(), "page {page_bytes:>5}  {what:<20} {number:>8} {unit}").unwrap();
}
