//! Random work on this store and on the one in memory gives the same answers.

use std::sync::Arc;

use lethe_store::{Batch, Expect, MemStore, Revision, Space, Store, StoreKey, Versioned};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Folder, create, open};

#[derive(Clone, Debug)]
enum Step {
    Commit(Batch),
    Page(Space, Vec<u8>, u32),
    Reopen,
    Tidy,
}

fn space() -> impl Strategy<Value = Space> {
    prop_oneof![Just(super::ALPHA), Just(Space::named("beta")), Just(Space::named("c"))]
}

/// Few keys, so that batches meet each other.
fn key() -> impl Strategy<Value = StoreKey> {
    (space(), vec(0_u8..3, 0..3)).prop_map(|(space, bytes)| StoreKey::new(space, &bytes).unwrap())
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 1_000..1_100), Just(vec![9; 30_000])]
}

fn batch() -> impl Strategy<Value = Batch> {
    let expect = prop_oneof![
        3 => Just(Expect::Absent),
        1 => (0_u64..8).prop_map(|revision| Expect::At(Revision(revision))),
    ];
    let write = (key(), proptest::option::weighted(0.7, value()));
    (vec((key(), expect), 0..2), vec(write, 0..6)).prop_map(|(expects, writes)| {
        let mut batch = Batch::new();
        expects.into_iter().for_each(|(key, expect)| batch.push_expect(key, expect));
        writes.into_iter().fold(batch, |batch, (key, value)| match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        })
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => batch().prop_map(Step::Commit),
        4 => (space(), vec(0_u8..3, 0..3), 1_u32..5)
            .prop_map(|(space, from, limit)| Step::Page(space, from, limit)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Tidy),
    ]
}

type Rows = Vec<(StoreKey, Versioned)>;

fn everything(store: &dyn Store) -> (Revision, Rows) {
    let mut rows = Vec::new();
    let revision = store.snapshot(&mut |space, bytes, versioned| {
        rows.push((StoreKey::new(space, bytes)?, versioned.clone()));
        Ok(())
    });
    (revision.unwrap(), rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn stores_on_disk_and_in_memory_agree(steps in vec(step(), 1..60)) {
        let folder = Folder::new();
        let model = MemStore::new();
        let mut store = Arc::new(create(&folder));
        for step in steps {
            match step {
                Step::Commit(batch) => {
                    let keys: Vec<StoreKey> =
                        batch.writes().iter().map(|write| write.key().clone()).collect();
                    prop_assert_eq!(store.commit(batch.clone()), model.commit(batch));
                    for key in keys {
                        prop_assert_eq!(store.get(&key), model.get(&key));
                    }
                }
                Step::Page(space, from, limit) => {
                    let page = store.range(space, &from, limit);
                    prop_assert_eq!(page, model.range(space, &from, limit));
                }
                Step::Reopen => {
                    store.close().unwrap();
                    store = Arc::new(open(&folder));
                }
                Step::Tidy => prop_assert_eq!(store.tidy(), model.tidy()),
            }
        }
        prop_assert_eq!(everything(&*store), everything(&model));
    }
}
