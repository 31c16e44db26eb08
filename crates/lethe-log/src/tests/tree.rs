//! Tree, tiles and proofs against a naive model and against the crate `tlog_tiles`.

use proptest::prelude::*;
use tlog_tiles::tlog;

use super::fixture::{MemoryTiles, grow};
use crate::{
    Hash, LogTree, PROVER_TILES_MAX, ProofTiles, Prover, ReadError, StaleStage, TILE_BYTES,
    TILE_HASHES, TileReader, empty_root, leaf_hash, node_hash, tile_hashes, verify_consistency,
    verify_inclusion,
};

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|at| leaf_hash(&at.to_be_bytes())).collect()
}

/// RFC 6962 section 2.1, word for word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        more => {
            let (left, right) = more.split_at(more.len().next_power_of_two() / 2);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

fn tree_of(leaves: &[Hash]) -> (LogTree, MemoryTiles) {
    let (mut tree, mut tiles) = (LogTree::new(), MemoryTiles::default());
    grow(&mut tree, &mut tiles, leaves);
    (tree, tiles)
}

fn theirs(hash: &Hash) -> tlog::Hash {
    tlog::Hash(hash.0)
}

fn all_theirs(hashes: &[Hash]) -> Vec<tlog::Hash> {
    hashes.iter().map(theirs).collect()
}

struct Stored(Vec<tlog::Hash>);

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes.iter().map(|at| self.0[usize::try_from(*at).unwrap()]).collect())
    }
}

fn stored_by_them(leaves: &[Hash]) -> Stored {
    let mut stored = Stored(Vec::new());
    for (at, leaf) in (0_u64..).zip(leaves) {
        let new = tlog::stored_hashes_for_record_hash(at, theirs(leaf), &stored).unwrap();
        stored.0.extend(new);
    }
    stored
}

#[test]
fn roots_are_those_of_rfc_6962() {
    let all = leaves(600);
    let mut tree = LogTree::new();
    for size in 0..all.len() {
        assert_eq!(tree.root(), naive_root(&all[..size]), "size {size}");
        let staged = tree.stage(&all[size..=size]);
        assert_eq!(staged.first_index, tree.size());
        assert_eq!(staged.tree().root(), staged.new_root);
        tree.apply(staged).unwrap();
    }
}

#[test]
fn every_proof_of_every_tree_of_size_1_to_70_holds_and_is_theirs() {
    let all = leaves(70);
    let (tree, tiles) = tree_of(&all);
    let mut prover = Prover::new(&tree, &tiles);
    let stored = stored_by_them(&all);
    let root = |size: u64| naive_root(&all[..usize::try_from(size).unwrap()]);
    for size in 1..=70 {
        let new_root = root(size);
        for (index, leaf) in (0..size).zip(&all) {
            let proof = prover.inclusion(index, size).unwrap();
            assert_eq!(verify_inclusion(leaf, index, size, &proof, &new_root), Ok(()));
            let their_proof = tlog::prove_record(size, index, &stored).unwrap();
            assert!(their_proof == all_theirs(&proof), "inclusion of {index} in {size}");
            let checked =
                tlog::check_record(&their_proof, size, theirs(&new_root), index, theirs(leaf));
            checked.unwrap();
        }
        for old in 1..=size {
            let proof = prover.consistency(old, size).unwrap();
            let old_root = root(old);
            assert_eq!(verify_consistency(old, &old_root, size, &new_root, &proof), Ok(()));
            let their_proof = tlog::prove_tree(size, old, &stored).unwrap();
            assert!(their_proof == all_theirs(&proof), "consistency of {old} with {size}");
            let checked =
                tlog::check_tree(&their_proof, size, theirs(&new_root), old, theirs(&old_root));
            checked.unwrap();
        }
    }
}

#[test]
fn altered_inclusion_proofs_are_refused() {
    let all = leaves(70);
    let (tree, tiles) = tree_of(&all);
    let mut prover = Prover::new(&tree, &tiles);
    for size in [1, 2, 3, 7, 8, 33, 64, 70] {
        let root = naive_root(&all[..usize::try_from(size).unwrap()]);
        for (index, leaf) in (0..size).zip(&all) {
            let proof = prover.inclusion(index, size).unwrap();
            let refused = |leaf: &Hash, index, size, proof: &[Hash], root: &Hash| {
                assert!(verify_inclusion(leaf, index, size, proof, root).is_err());
            };
            refused(&flipped(leaf), index, size, &proof, &root);
            refused(leaf, index, size, &proof, &flipped(&root));
            refused(leaf, index + size, size, &proof, &root);
            refused(leaf, index, 0, &proof, &root);
            for other in (0..size).filter(|other| *other != index) {
                refused(leaf, other, size, &proof, &root);
            }
            refused(leaf, index, size, &[proof.clone(), vec![root]].concat(), &root);
            refused(leaf, index, size, &[vec![root; 64]].concat(), &root);
            for at in 0..proof.len() {
                let mut altered = proof.clone();
                altered[at] = flipped(&altered[at]);
                refused(leaf, index, size, &altered, &root);
                altered.remove(at);
                refused(leaf, index, size, &altered, &root);
            }
        }
    }
}

#[test]
fn altered_consistency_proofs_are_refused() {
    let all = leaves(70);
    let (tree, tiles) = tree_of(&all);
    let mut prover = Prover::new(&tree, &tiles);
    let root = |size: u64| naive_root(&all[..usize::try_from(size).unwrap()]);
    for size in [2, 3, 7, 8, 33, 64, 70] {
        for old in 1..size {
            let proof = prover.consistency(old, size).unwrap();
            let refused = |old, old_root: &Hash, size, new_root: &Hash, proof: &[Hash]| {
                assert!(verify_consistency(old, old_root, size, new_root, proof).is_err());
            };
            refused(old, &flipped(&root(old)), size, &root(size), &proof);
            refused(old, &root(old), size, &flipped(&root(size)), &proof);
            refused(size, &root(size), old, &root(old), &proof);
            refused(0, &root(old), size, &root(size), &proof);
            refused(old, &root(old), size, &root(size), &[proof.clone(), vec![root(1)]].concat());
            for at in 0..proof.len() {
                let mut altered = proof.clone();
                altered[at] = flipped(&altered[at]);
                refused(old, &root(old), size, &root(size), &altered);
                altered.remove(at);
                refused(old, &root(old), size, &root(size), &altered);
            }
        }
        assert!(verify_consistency(size, &root(size), size, &root(1), &[]).is_err());
        let spare = [root(1)];
        assert!(verify_consistency(size, &root(size), size, &root(size), &spare).is_err());
        assert!(verify_consistency(0, &empty_root(), size, &root(size), &spare).is_err());
    }
    assert_eq!(verify_consistency(0, &empty_root(), 70, &root(70), &[]), Ok(()));
    assert_eq!(verify_consistency(70, &root(70), 70, &root(70), &[]), Ok(()));
}

fn flipped(hash: &Hash) -> Hash {
    let mut bytes = hash.0;
    bytes[31] ^= 1;
    Hash(bytes)
}

#[test]
fn proofs_that_cannot_be_are_refused() {
    let (tree, tiles) = tree_of(&leaves(300));
    let mut prover = Prover::new(&tree, &tiles);
    let refused = |result: Result<Vec<Hash>, ReadError>| {
        assert!(matches!(result, Err(ReadError::Malformed)));
    };
    refused(prover.inclusion(0, 0));
    refused(prover.inclusion(300, 300));
    refused(prover.inclusion(5, 301));
    refused(prover.consistency(5, 301));
    refused(prover.consistency(6, 5));
    let lost = MemoryTiles::default();
    let missing = Prover::new(&tree, &lost).inclusion(7, 300);
    assert!(matches!(missing, Err(ReadError::Missing { level: 0, index: 0 })));
    assert!(Prover::new(&tree, &lost).inclusion(299, 300).is_ok(), "needs the edge alone");
}

/// As [`MemoryTiles`], counting what is read.
struct CountedTiles<'a>(&'a MemoryTiles, std::cell::Cell<u32>);

impl TileReader for CountedTiles<'_> {
    fn tile(&self, level: u8, index: u64) -> Result<Box<[Hash; TILE_HASHES]>, ReadError> {
        self.1.set(self.1.get() + 1);
        self.0.tile(level, index)
    }
}

#[test]
fn tiles_kept_from_proof_to_proof_give_the_same_proofs_and_are_read_once() {
    let all = leaves(70_000);
    let (mut tree, mut tiles, kept) =
        (LogTree::new(), MemoryTiles::default(), ProofTiles::default());
    for size in [1, 2, 3, 200, 255, 256, 257, 400, 512, 600, 65_535, 65_536, 65_540, 70_000] {
        let from = usize::try_from(tree.size()).unwrap();
        grow(&mut tree, &mut tiles, &all[from..size]);
        let size = tree.size();
        for index in [0, size / 2, size - 1] {
            let fresh = Prover::new(&tree, &tiles).inclusion(index, size).unwrap();
            let proof = Prover::with_tiles(&tree, &tiles, &kept).inclusion(index, size).unwrap();
            assert!(proof == fresh, "inclusion of {index} in {size}");
            let counted = CountedTiles(&tiles, Default::default());
            let again = Prover::with_tiles(&tree, &counted, &kept).inclusion(index, size).unwrap();
            assert!(again == fresh && counted.1.get() == 0, "again: {index} in {size}");
        }
    }
}

#[test]
fn no_more_tiles_are_kept_than_the_bound() {
    let (tree, tiles) = tree_of(&leaves(256 * (u64::try_from(PROVER_TILES_MAX).unwrap() + 8)));
    let kept = ProofTiles::default();
    let (mut most, mut before) = (0, 0);
    let mut has_begun_afresh = false;
    for index in (0..tree.size()).step_by(256) {
        let fresh = Prover::new(&tree, &tiles).inclusion(index, tree.size()).unwrap();
        let mut prover = Prover::with_tiles(&tree, &tiles, &kept);
        assert!(prover.inclusion(index, tree.size()).unwrap() == fresh, "inclusion of {index}");
        let text = format!("{kept:?}");
        let held: usize = text["ProofTiles(".len()..].split(' ').next().unwrap().parse().unwrap();
        has_begun_afresh |= held < before;
        most = most.max(held);
        before = held;
    }
    assert_eq!(most, PROVER_TILES_MAX);
    assert!(has_begun_afresh);
}

#[test]
fn an_edge_that_was_taken_back_leaves_nothing_in_the_tiles_that_are_kept() {
    let (kept, nothing) = (ProofTiles::default(), MemoryTiles::default());
    let mut tree = LogTree::new();
    tree.apply(tree.stage(&leaves(100))).unwrap();
    let others: Vec<Hash> = leaves(60).iter().map(flipped).collect();
    for appended in [&leaves(160)[100..], &others, &others[..30]] {
        let staged = tree.stage(appended);
        let size = staged.new_size();
        for index in [99, 100, size - 1] {
            let fresh = Prover::new(staged.tree(), &nothing).inclusion(index, size).unwrap();
            let mut prover = Prover::with_tiles(staged.tree(), &nothing, &kept);
            assert!(prover.inclusion(index, size).unwrap() == fresh, "{index} of {size}");
        }
    }
}

/// One tree grown to 70,000 entries, looked at around every size where a tile fills.
#[test]
fn edges_proofs_and_rebuilt_trees_are_right_where_tiles_fill() {
    let all = leaves(70_000);
    let (mut tree, mut tiles) = (LogTree::new(), MemoryTiles::default());
    let mut sizes_and_roots = Vec::new();
    for size in [1, 255, 256, 257, 512, 65_535, 65_536, 65_537, 70_000] {
        let from = usize::try_from(tree.size()).unwrap();
        grow(&mut tree, &mut tiles, &all[from..size]);
        assert_eq!(tree.root(), naive_root(&all[..size]), "size {size}");
        let partial = &all[size - size % 256..size];
        assert_eq!(tree.edge(0), partial);
        let rebuilt = LogTree::rebuild(tree.size(), &tiles, partial).unwrap();
        assert_eq!((rebuilt.size(), rebuilt.root()), (tree.size(), tree.root()));
        for level in 0..4 {
            assert_eq!(rebuilt.edge(level), tree.edge(level), "size {size}, level {level}");
        }
        sizes_and_roots.push((tree.size(), tree.root()));
        let (new, new_root) = (tree.size(), tree.root());
        let mut prover = Prover::new(&tree, &tiles);
        for (old, old_root) in &sizes_and_roots {
            let proof = prover.consistency(*old, new).unwrap();
            assert_eq!(verify_consistency(*old, old_root, new, &new_root, &proof), Ok(()));
            for index in [0, old / 2, old - 1] {
                let leaf = all[usize::try_from(index).unwrap()];
                let proof = prover.inclusion(index, *old).unwrap();
                assert_eq!(verify_inclusion(&leaf, index, *old, &proof, old_root), Ok(()));
                let their_proof = all_theirs(&proof);
                tlog::check_record(&their_proof, *old, theirs(old_root), index, theirs(&leaf))
                    .unwrap();
            }
        }
    }
    // C.1: 273 full tiles and 112 hashes at level 0, one full tile and 17 at level 1, 1 at level 2.
    assert_eq!(tiles.0.len(), 274);
    assert_eq!([0, 1, 2, 3].map(|level| tree.edge(level).len()), [112, 17, 1, 0]);
}

#[test]
fn partial_tiles_are_served_at_the_edge_only() {
    let (tree, tiles) = tree_of(&leaves(70_000));
    let check = |level, index, width, bytes: Option<usize>| {
        let served = tree.partial_tile_bytes(level, index, width).map(|bytes| bytes.len());
        assert_eq!(served, bytes, "level {level}, index {index}, width {width}");
    };
    check(0, 273, 112, Some(112 * 32));
    check(0, 273, 1, Some(32));
    check(1, 1, 17, Some(17 * 32));
    check(2, 0, 1, Some(32));
    check(0, 273, 113, None);
    check(0, 273, 0, None);
    check(0, 272, 1, None);
    check(0, 274, 1, None);
    check(1, 0, 17, None);
    check(2, 0, 2, None);
    check(2, 1, 1, None);
    check(3, 0, 1, None);
    check(63, 0, 1, None);
    check(255, 0, 1, None);
    let full = tiles.tile(1, 0).unwrap();
    assert_eq!(full[0], naive_root(&leaves(256)));
}

#[test]
fn stored_tiles_round_trip_and_torn_ones_are_refused() {
    let staged = LogTree::new().stage(&leaves(256));
    let bytes = staged.full_tiles[0].bytes();
    assert_eq!(bytes.len(), TILE_BYTES);
    assert_eq!(tile_hashes(&bytes).unwrap(), staged.full_tiles[0].hashes);
    for length in [0, 1, 31, 32, TILE_BYTES - 32, TILE_BYTES - 1] {
        assert!(matches!(tile_hashes(&bytes[..length]), Err(ReadError::Malformed)));
    }
    assert!(tile_hashes(&[bytes, vec![0; 32]].concat()).is_err());
}

#[test]
fn a_stage_changes_nothing_until_it_is_applied_and_stale_ones_are_refused() {
    let all = leaves(10);
    let (mut tree, _) = tree_of(&all[..3]);
    let before = tree.root();
    let (first, second) = (tree.stage(&all[3..5]), tree.stage(&all[5..6]));
    let further = first.tree().stage(&all[5..]);
    assert_eq!((tree.size(), tree.root()), (3, before));
    assert_eq!((first.new_size(), further.first_index, further.new_size()), (5, 5, 10));
    tree.apply(first).unwrap();
    assert_eq!(tree.apply(second), Err(StaleStage));
    assert_eq!((tree.size(), tree.root()), (5, naive_root(&all[..5])));
    tree.apply(further).unwrap();
    assert_eq!(tree.root(), naive_root(&all));
}

#[test]
fn rebuilding_from_the_wrong_parts_is_refused() {
    let all = leaves(600);
    let (_, tiles) = tree_of(&all);
    let refused = |size, tiles: &MemoryTiles, partial: &[Hash]| {
        assert!(LogTree::rebuild(size, tiles, partial).is_err());
    };
    refused(600, &tiles, &all[512..599]);
    refused(600, &tiles, &all[511..600]);
    refused(600, &MemoryTiles::default(), &all[512..]);
    refused(1 << 60, &tiles, &[]);
    refused(u64::MAX, &tiles, &all[..255]);
    let other = LogTree::rebuild(600, &tiles, &all[..88]).unwrap();
    assert_ne!(other.root(), naive_root(&all), "a wrong leaf shows in the root");
}

#[test]
fn a_prover_remembers_tiles_that_are_not_stored_yet_and_stays_bounded() {
    let all = leaves(300);
    let staged = LogTree::new().stage(&all);
    let nothing = MemoryTiles::default();
    let mut prover = Prover::new(staged.tree(), &nothing);
    prover.remember(&staged.full_tiles[0]);
    let proof = prover.inclusion(0, 300).unwrap();
    assert_eq!(verify_inclusion(&all[0], 0, 300, &proof, &staged.new_root), Ok(()));

    let all = leaves(40_000);
    let (tree, tiles) = tree_of(&all);
    let mut prover = Prover::new(&tree, &tiles);
    for (index, leaf) in (0..40_000).zip(&all).step_by(256) {
        let proof = prover.inclusion(index, 40_000).unwrap();
        assert_eq!(verify_inclusion(leaf, index, 40_000, &proof, &tree.root()), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn batches_of_any_sizes_give_the_same_tree(
        batches in prop::collection::vec(0_usize..300, 0..6),
    ) {
        let total: usize = batches.iter().sum();
        let all = leaves(u64::try_from(total).unwrap());
        let (mut tree, mut tiles) = (LogTree::new(), MemoryTiles::default());
        let mut at = 0;
        for batch in batches {
            grow(&mut tree, &mut tiles, &all[at..at + batch]);
            at += batch;
        }
        prop_assert_eq!(tree.root(), naive_root(&all));
        let rebuilt = LogTree::rebuild(tree.size(), &tiles, &all[total - total % 256..]).unwrap();
        prop_assert_eq!(rebuilt.root(), tree.root());
    }

    #[test]
    fn any_proof_of_any_tree_holds(size in 1_u64..1500, a in any::<u64>(), b in any::<u64>()) {
        let all = leaves(size);
        let (tree, tiles) = tree_of(&all);
        let mut prover = Prover::new(&tree, &tiles);
        let (index, old) = (a % size, 1 + b % size);
        let proof = prover.inclusion(index, size).unwrap();
        let leaf = all[usize::try_from(index).unwrap()];
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &tree.root()).is_ok());
        let old_root = naive_root(&all[..usize::try_from(old).unwrap()]);
        let proof = prover.consistency(old, size).unwrap();
        prop_assert!(verify_consistency(old, &old_root, size, &tree.root(), &proof).is_ok());
    }

    #[test]
    fn random_proofs_are_refused(
        index in any::<u64>(),
        size in any::<u64>(),
        proof in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let proof: Vec<Hash> = proof.into_iter().map(Hash).collect();
        let root = empty_root();
        prop_assert!(verify_inclusion(&leaf_hash(b""), index, size, &proof, &root).is_err());
        prop_assume!(index != size && index != 0);
        prop_assert!(verify_consistency(index, &root, size, &root, &proof).is_err());
    }
}
