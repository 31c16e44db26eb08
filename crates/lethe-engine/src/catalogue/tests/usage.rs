//! Uses are counted, told once to the store, and survive a restart.

use lethe_types::{KeyId, PrincipalId, UnixMillis};

use super::super::{Catalogue, Usage, UsageRow};
use super::support::{destroyed, publish, record};

const ONE: PrincipalId = PrincipalId([1; 16]);
const OTHER: PrincipalId = PrincipalId([2; 16]);

fn row(last: u64, by: PrincipalId, count: u64) -> UsageRow {
    UsageRow { last: UnixMillis(last), by, count, version: 0, encryptions: 0 }
}

#[test]
fn uses_are_told_once_and_again_after_the_next_use() {
    let catalogue = Catalogue::default();
    let [first, second] = [3, 4].map(|byte| KeyId([byte; 16]));
    let entries = [first, second].map(|id| publish(&catalogue, record(id, 1, "a")));
    assert_eq!(entries[0].used(), None);
    assert!(catalogue.take_used(10).is_empty());
    catalogue.count_use(&entries[1], UnixMillis(50), ONE);
    catalogue.count_use(&entries[0], UnixMillis(60), ONE);
    catalogue.count_use(&entries[0], UnixMillis(70), OTHER);
    // A clock that stepped back takes nothing from what is known.
    catalogue.count_use(&entries[0], UnixMillis(65), ONE);
    assert_eq!(catalogue.take_used(1), [(second, row(50, ONE, 1))]);
    assert_eq!(catalogue.take_used(10), [(first, row(70, OTHER, 3))]);
    assert!(catalogue.take_used(10).is_empty());
    catalogue.count_use(&entries[0], UnixMillis(80), ONE);
    assert_eq!(catalogue.take_used(10), [(first, row(80, ONE, 4))]);
    catalogue.put_back_used([first, first, KeyId([9; 16])]);
    assert_eq!(catalogue.take_used(10), [(first, row(80, ONE, 4))]);
    assert_eq!(entries[0].used(), Some(row(80, ONE, 4)));
    assert_eq!((entries[0].usage().last(), entries[0].usage().count()), (Some(UnixMillis(80)), 4));
}

#[test]
fn uses_stay_with_the_key_when_its_entry_is_replaced() {
    let catalogue = Catalogue::default();
    let id = KeyId([3; 16]);
    let old = publish(&catalogue, record(id, 1, "a"));
    let new = publish(&catalogue, record(id, 1, "b"));
    // An operation that began with the old entry ends after the change.
    catalogue.count_use(&old, UnixMillis(5), ONE);
    assert_eq!(new.used(), Some(row(5, ONE, 1)));
    let tombstone = publish(&catalogue, destroyed(new.record(), 9, ONE));
    assert_eq!(tombstone.used(), Some(row(5, ONE, 1)));
    assert_eq!(catalogue.take_used(1), [(id, row(5, ONE, 1))]);
}

#[test]
fn threads_lose_no_use() {
    let catalogue = Catalogue::default();
    let id = KeyId([3; 16]);
    let entry = publish(&catalogue, record(id, 1, "a"));
    let taken = std::sync::Mutex::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for now in 1..=1_000 {
                    catalogue.count_use(&entry, UnixMillis(now), ONE);
                    if now % 100 == 0
                        && let Some((_, row)) = catalogue.take_used(1).first()
                    {
                        let mut taken = taken.lock().unwrap();
                        *taken = row.count.max(*taken);
                    }
                }
            });
        }
    });
    assert_eq!(entry.usage().count(), 3_000);
    let newest = catalogue.take_used(1).first().map_or(0, |(_, row)| row.count);
    assert_eq!(newest.max(*taken.lock().unwrap()), 3_000);
}

#[test]
fn stored_rows_come_back_and_others_are_refused() {
    let good = row(1_790_000_000_000, OTHER, 77);
    let bytes = good.encode();
    assert_eq!(bytes.len(), 41);
    assert_eq!(UsageRow::decode(&bytes), Some(good));
    assert_eq!(Usage::stored(good).row(), Some(good));
    for length in 0..41 {
        assert_eq!(UsageRow::decode(&bytes[..length]), None, "{length}");
    }
    let good = UsageRow { version: 3, encryptions: 7, ..good };
    assert_eq!(UsageRow::decode(&good.encode()), Some(good));
    // The first format knows nothing of encryptions: all uses count as such.
    let old = [&[1], &bytes[1..33]].concat();
    assert_eq!(UsageRow::decode(&old), Some(UsageRow { version: 1, encryptions: 77, ..good }));
    assert_eq!(UsageRow::decode(&[bytes.as_slice(), &[0]].concat()), None);
    let format = [&[3], &bytes[1..]].concat();
    assert_eq!(UsageRow::decode(&format), None);
    assert_eq!(UsageRow::decode(&row(1, ONE, 0).encode()), None);
    assert_eq!(UsageRow::decode(&row(1, ONE, u64::MAX).encode()), None);
}
