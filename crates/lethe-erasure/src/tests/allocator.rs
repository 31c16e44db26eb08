//! Leaves by tenant: lowest first, blocks with one owner, reuse.

use std::collections::{BTreeMap, BTreeSet};

use lethe_types::RealmId;
use proptest::prelude::*;

use crate::allocator::{Allocator, AllocatorError, BLOCK_LEAVES};
use crate::tree::LEAVES_MAX;

const A: RealmId = RealmId([1; 16]);
const B: RealmId = RealmId([2; 16]);

#[test]
fn tenants_get_blocks_of_their_own_from_the_lowest() {
    let mut leaves = Allocator::new();
    assert_eq!([leaves.reserve(A), leaves.reserve(A)], [Ok(0), Ok(1)]);
    assert_eq!([leaves.reserve(B), leaves.reserve(A)], [Ok(BLOCK_LEAVES), Ok(2)]);
    assert_eq!(leaves.taken(), 4);
    assert!(leaves.is_taken(2) && !leaves.is_taken(3));
}

#[test]
fn a_full_block_is_followed_by_the_lowest_free_one() {
    let mut leaves = Allocator::new();
    for leaf in 0..BLOCK_LEAVES {
        assert_eq!(leaves.reserve(A), Ok(leaf));
    }
    assert_eq!(leaves.reserve(B), Ok(BLOCK_LEAVES));
    assert_eq!(leaves.reserve(A), Ok(2 * BLOCK_LEAVES));
    leaves.release(A, 700).unwrap();
    assert_eq!(leaves.reserve(A), Ok(700));
    assert_eq!(leaves.reserve(A), Ok(2 * BLOCK_LEAVES + 1));
}

#[test]
fn an_empty_block_can_change_hands() {
    let mut leaves = Allocator::new();
    leaves.reserve(A).unwrap();
    leaves.reserve(B).unwrap();
    leaves.forget(A, 0).unwrap();
    assert_eq!(leaves.reserve(B), Ok(BLOCK_LEAVES + 1));
    let c = RealmId([3; 16]);
    assert_eq!(leaves.reserve(c), Ok(0));
    assert_eq!(leaves.reserve(A), Ok(2 * BLOCK_LEAVES));
}

#[test]
fn claims_leave_gaps_that_are_filled_first() {
    let mut leaves = Allocator::new();
    leaves.claim(A, 5 * BLOCK_LEAVES + 3).unwrap();
    leaves.claim(B, 0).unwrap();
    assert_eq!(leaves.reserve(A), Ok(5 * BLOCK_LEAVES));
    assert_eq!(leaves.reserve(RealmId([3; 16])), Ok(BLOCK_LEAVES));
    leaves.claim(A, LEAVES_MAX - 1).unwrap();
    let taken: Vec<u64> = leaves.taken_leaves().collect();
    let fifth = 5 * BLOCK_LEAVES;
    assert_eq!(taken, [0, BLOCK_LEAVES, fifth, fifth + 3, LEAVES_MAX - 1]);
}

#[test]
fn impossible_claims_and_releases_are_refused_and_change_nothing() {
    let mut leaves = Allocator::new();
    leaves.claim(A, 7).unwrap();
    assert_eq!(leaves.claim(A, 7), Err(AllocatorError::Taken(7)));
    assert_eq!(leaves.claim(B, 8), Err(AllocatorError::OtherTenant(8)));
    for leaf in [LEAVES_MAX, u64::MAX] {
        assert_eq!(leaves.claim(A, leaf), Err(AllocatorError::OutOfRange(leaf)));
        assert_eq!(leaves.release(A, leaf), Err(AllocatorError::Free(leaf)));
    }
    assert_eq!(leaves.release(A, 8), Err(AllocatorError::Free(8)));
    assert_eq!(leaves.forget(A, 2_000), Err(AllocatorError::Free(2_000)));
    assert_eq!(leaves.release(B, 7), Err(AllocatorError::OtherTenant(7)));
    assert_eq!((leaves.taken(), leaves.is_taken(7)), (1, true));
    leaves.release(A, 7).unwrap();
    assert_eq!(leaves.release(A, 7), Err(AllocatorError::Free(7)));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn no_leaf_is_given_twice_and_no_block_is_shared(
        steps in prop::collection::vec((0_u8..3, 0_u8..8), 1..2_500),
    ) {
        let mut leaves = Allocator::new();
        let mut model: BTreeMap<RealmId, BTreeSet<u64>> = BTreeMap::new();
        for (who, what) in steps {
            let tenant = RealmId([who; 16]);
            let own = model.entry(tenant).or_default();
            if what == 0 && let Some(leaf) = own.pop_last() {
                leaves.release(tenant, leaf).unwrap();
            } else {
                prop_assert!(own.insert(leaves.reserve(tenant).unwrap()));
            }
        }
        let mut owners: BTreeMap<u64, RealmId> = BTreeMap::new();
        for (tenant, own) in &model {
            for leaf in own {
                prop_assert!(leaves.is_taken(*leaf));
                prop_assert_eq!(*owners.entry(leaf / BLOCK_LEAVES).or_insert(*tenant), *tenant);
            }
        }
        let taken: usize = model.values().map(BTreeSet::len).sum();
        prop_assert_eq!(leaves.taken(), u64::try_from(taken).unwrap());
        // What a new process claims from its records is the same state.
        let mut reloaded = Allocator::new();
        for (tenant, own) in &model {
            own.iter().rev().for_each(|leaf| reloaded.claim(*tenant, *leaf).unwrap());
        }
        for tenant in model.keys() {
            prop_assert_eq!(reloaded.reserve(*tenant), leaves.reserve(*tenant));
        }
    }
}
