//! What a stage refuses, what it leaves alone, and what growth, emptiness and age do.

use super::support::{BATCH, NoEntropy, Rig, Seeded, TREE};
use crate::slot::{ErasableSlot, MemSlot};
use crate::tree::{
    Committed, ErasureError, LEAVES_MAX, NODE_SEALS_MAX, NodeId, RootAhead, STAGE_LEAVES_MAX,
    Staged, Tree,
};

fn rig() -> Rig {
    let mut rig = Rig::new(2, 2);
    rig.change(&[], &[0, 1, 9]);
    rig
}

#[test]
fn impossible_stages_are_refused_and_change_nothing() {
    let rig = rig();
    let too_many: Vec<u64> = (100..).take(STAGE_LEAVES_MAX + 1).collect();
    let check = |cuts: &[u64], assigns: &[u64], expected: ErasureError| {
        let (nodes, revision) = (rig.tree.nodes(), rig.tree.epoch());
        assert_eq!(rig.tree.stage(cuts, assigns, &rig.entropy).unwrap_err(), expected);
        assert_eq!((rig.tree.nodes(), rig.tree.epoch()), (nodes, revision));
    };
    check(&[2], &[], ErasureError::LeafFree(2));
    check(&[0, 1_000], &[], ErasureError::LeafFree(1_000));
    check(&[], &[0], ErasureError::LeafTaken(0));
    check(&[0], &[0], ErasureError::LeafTaken(0));
    check(&[0, 1, 0], &[], ErasureError::DuplicateLeaf(0));
    check(&[], &[5, 5], ErasureError::DuplicateLeaf(5));
    check(&[], &[LEAVES_MAX], ErasureError::LeafOutOfRange(LEAVES_MAX));
    check(&[u64::MAX], &[], ErasureError::LeafOutOfRange(u64::MAX));
    check(&too_many, &[], ErasureError::TooManyLeaves(STAGE_LEAVES_MAX + 1));
    check(&[], &too_many, ErasureError::TooManyLeaves(STAGE_LEAVES_MAX + 1));
}

#[test]
fn a_stage_without_entropy_fails_closed() {
    let rig = rig();
    for (cuts, assigns) in [(&[0][..], &[][..]), (&[], &[3]), (&[], &[1_000])] {
        let error = rig.tree.stage(cuts, assigns, &NoEntropy).unwrap_err();
        assert_eq!(error, ErasureError::Entropy);
    }
    assert_eq!(Tree::create(TREE, 5, &NoEntropy).unwrap_err(), ErasureError::Entropy);
    // A source that only gives zeros is broken: such a key would read as a free slot.
    let zeros = super::support::Constant(0);
    assert_eq!(rig.tree.stage(&[], &[3], &zeros).unwrap_err(), ErasureError::Entropy);
}

#[test]
fn arities_outside_2_to_64_are_refused() {
    let entropy = Seeded::new(3);
    for log2 in [0, 7, 8, 63, 64, 255] {
        let error = Tree::create(TREE, log2, &entropy).unwrap_err();
        assert_eq!(error, ErasureError::ArityOutOfRange(log2));
    }
    for log2 in 1..=6 {
        let (tree, _) = Tree::create(TREE, log2, &entropy).unwrap();
        assert_eq!((tree.arity_log2(), tree.height(), tree.epoch()), (log2, 1, 1));
    }
}

#[test]
fn the_farthest_leaf_is_reached_at_every_arity() {
    for arity_log2 in 1..=6 {
        let mut rig = Rig::new(arity_log2, 4);
        let keys = rig.change(&[], &[LEAVES_MAX - 1, 0]);
        assert_eq!(u32::from(rig.tree.height()), 40_u32.div_ceil(u32::from(arity_log2)));
        let reopened = rig.reopened();
        for (leaf, key) in [LEAVES_MAX - 1, 0].into_iter().zip(keys) {
            assert_eq!(*reopened.record_key(leaf).unwrap().unwrap().expose(), key);
        }
        assert!(!rig.tree.is_taken(LEAVES_MAX) && !rig.tree.is_taken(u64::MAX));
    }
}

#[test]
fn assigning_leaves_the_root_and_writes_one_node() {
    let rig = rig();
    let staged = rig.tree.stage(&[], &[2], &rig.entropy).unwrap();
    assert!(!staged.needs_root_change());
    assert_eq!((staged.epoch_from(), staged.epoch_to()), (1, 1));
    assert_eq!(staged.writes().len(), 1);
    assert_eq!(staged.drops(), []);
}

#[test]
fn cutting_rewrites_the_path_and_nothing_else() {
    let mut rig = rig();
    let staged = rig.tree.stage(&[0], &[], &rig.entropy).unwrap();
    assert!(staged.needs_root_change());
    assert_eq!((staged.epoch_from(), staged.epoch_to()), (1, 2));
    assert_eq!((staged.writes().len(), staged.drops().len()), (2, 2));
    rig.carry_out(staged);
    assert_eq!(rig.tree.epoch(), 2);
    assert!(rig.tree.record_key(0).unwrap().is_none());
}

#[test]
fn growth_keeps_the_root_and_needs_no_slot() {
    let mut rig = rig();
    let staged = rig.tree.stage(&[], &[16], &rig.entropy).unwrap();
    assert!(!staged.needs_root_change());
    rig.carry_out(staged);
    assert_eq!((rig.tree.height(), rig.tree.epoch()), (3, 1));
    assert_eq!(rig.reopened().leaves_taken(), 4);
    // The same image of the slot opened both heights.
    assert_eq!(rig.image.generation, 1);
}

#[test]
fn a_node_without_leaves_goes_and_comes_back() {
    let mut rig = rig();
    assert_eq!(rig.tree.nodes(), 3);
    rig.change(&[9], &[]);
    assert_eq!(rig.tree.nodes(), 2);
    rig.change(&[], &[9]);
    rig.change(&[9], &[10]);
    rig.change(&[10], &[]);
    rig.change(&[0, 1], &[]);
    assert_eq!((rig.tree.nodes(), rig.tree.leaves_taken()), (1, 0));
    assert_eq!(rig.reopened().nodes(), 1);
}

#[test]
fn an_empty_change_is_nothing() {
    let mut rig = rig();
    let staged = rig.tree.stage(&[], &[], &rig.entropy).unwrap();
    assert!(staged.writes().is_empty() && !staged.needs_root_change());
    rig.carry_out(staged);
    assert_eq!(rig.reopened().leaves_taken(), 3);
}

#[test]
fn a_stage_of_an_earlier_state_is_refused() {
    let mut rig = rig();
    let committed = |staged: Staged| match staged.committed() {
        Committed::SameRoot(stage) => stage,
        Committed::NewRoot(_) => panic!("nothing was cut"),
    };
    let late = committed(rig.tree.stage(&[], &[2], &rig.entropy).unwrap());
    rig.change(&[], &[3]);
    assert_eq!(rig.tree.apply_same_root(late).unwrap_err(), ErasureError::StaleStage);
    assert!(!rig.tree.is_taken(2));
    let (other, _) = Tree::create(lethe_types::TreeId([8; 16]), 2, &rig.entropy).unwrap();
    let foreign = committed(other.stage(&[], &[2], &rig.entropy).unwrap());
    assert_eq!(rig.tree.apply_same_root(foreign).unwrap_err(), ErasureError::StaleStage);
}

#[test]
fn a_node_sealed_too_often_is_given_a_new_key() {
    #[track_caller]
    fn check(node: NodeId, seals: u32, is_rekeyed: bool) {
        let mut rig = rig();
        rig.tree.set_seals(node, seals);
        let staged = rig.tree.stage(&[], &[4], &rig.entropy).unwrap();
        assert_eq!(staged.needs_root_change(), is_rekeyed, "{node} after {seals} seals");
        let key = *staged.record_key(0).expose();
        rig.carry_out(staged);
        assert_eq!(rig.tree.epoch(), if is_rekeyed { 2 } else { 1 });
        assert_eq!(*rig.reopened().record_key(4).unwrap().unwrap().expose(), key);
    }
    // Leaf 4 makes node (1, 1), so the root is resealed and node (1, 0) is not.
    check(NodeId { level: 2, index: 0 }, NODE_SEALS_MAX, true);
    check(NodeId { level: 2, index: 0 }, NODE_SEALS_MAX - 1, false);
    check(NodeId { level: 1, index: 0 }, NODE_SEALS_MAX, false);
}

#[test]
fn stages_that_are_never_committed_count_as_seals() {
    let rig = rig();
    rig.tree.set_seals(NodeId { level: 1, index: 0 }, NODE_SEALS_MAX - 2);
    let needs = || rig.tree.stage(&[], &[2], &rig.entropy).unwrap().needs_root_change();
    assert_eq!([needs(), needs(), needs()], [false, false, true]);
}

#[test]
fn a_key_that_outgrew_its_node_is_counted_with_the_root() {
    let rig = rig();
    rig.tree.set_seals(NodeId { level: 2, index: 0 }, NODE_SEALS_MAX);
    // Growth moves the root's key to the new top.
    assert!(rig.tree.stage(&[], &[16], &rig.entropy).unwrap().needs_root_change());
}

#[test]
fn a_new_epoch_can_be_chosen_but_not_an_old_one() {
    let mut rig = rig();
    for asked in [0, 1] {
        let error = rig.tree.stage_new_epoch(&[], asked, &rig.entropy).unwrap_err();
        assert_eq!(error, ErasureError::EpochNotGreater { tree: 1, asked });
    }
    let staged = rig.tree.stage_new_epoch(&[1], 40, &rig.entropy).unwrap();
    rig.carry_out(staged);
    let staged = rig.tree.stage_new_epoch(&[], 41, &rig.entropy).unwrap();
    assert_eq!(staged.writes().len(), 1);
    rig.carry_out(staged);
    let reopened = rig.reopened();
    assert_eq!((reopened.epoch(), reopened.leaves_taken()), (41, 2));
}

#[test]
fn a_tree_with_leftovers_is_not_staged() {
    let mut rig = rig();
    let staged = rig.tree.stage(&[0], &[], &rig.entropy).unwrap();
    rig.nodes.put(staged.writes());
    drop(staged);
    let current = &rig.image.current;
    let opened = Tree::open(TREE, 1, &current.root, &rig.nodes.stored()).unwrap();
    assert_eq!(opened.leftover().len(), 2);
    assert!(opened.leftover().iter().all(|address| address.epoch == 2));
    for (cuts, assigns) in [(&[0][..], &[][..]), (&[], &[3])] {
        let error = opened.tree().stage(cuts, assigns, &rig.entropy).unwrap_err();
        assert_eq!(error, ErasureError::LeftoversNotDropped);
    }
    rig.nodes.remove(opened.leftover());
    rig.tree = opened.leftovers_dropped();
    rig.change(&[0], &[]);
    rig.reopened();
}

#[test]
fn the_steps_do_not_start_from_a_foreign_or_later_image() {
    let rig = rig();
    let mut slot = MemSlot::new();
    let mut foreign = rig.image.duplicate();
    foreign.tree_id = lethe_types::TreeId([8; 16]);
    let mut later = rig.image.duplicate();
    later.current.epoch = 2;
    for image in [foreign, later] {
        let staged = rig.tree.stage(&[0], &[], &rig.entropy).unwrap();
        let Committed::NewRoot(stage) = staged.committed() else { panic!("a leaf was cut") };
        let failed = stage.write_root(&mut slot, &image, BATCH, 0).unwrap_err();
        assert!(matches!(failed.error, crate::slot::SlotError::NotASuccessor));
    }
}

#[test]
fn a_root_ahead_joins_its_own_stage_and_no_other() {
    let entropy = Seeded::new(77);
    let (mut tree, _) = Tree::create(TREE, 2, &entropy).unwrap();
    let staged = tree.stage(&[], &[0, 1], &entropy).unwrap();
    assert!(RootAhead::of(&staged, &tree.first_image(BATCH), BATCH, 0).unwrap().is_none());
    let Committed::SameRoot(same) = staged.committed() else { panic!("nothing is cut") };
    tree.apply_same_root(same).unwrap();
    let mut slot = MemSlot::new();
    let image = tree.first_image(BATCH);
    slot.put_new(&image).unwrap();
    let dropped = tree.stage(&[0], &[], &entropy).unwrap();
    let other = RootAhead::of(&dropped, &image, BATCH, 0).unwrap().unwrap();
    let other = other.write(&mut slot).unwrap();
    // The first stage came to nothing; the second one has another root of the same epoch.
    let staged = tree.stage(&[1], &[], &entropy).unwrap();
    let own = RootAhead::of(&staged, &image, BATCH, 0).unwrap().unwrap();
    let own = own.write(&mut slot).unwrap();
    let Committed::NewRoot(root) = staged.committed() else { panic!("a leaf is cut") };
    let root = root.join(other).expect_err("a root of another stage");
    let erased = root.join(own).expect("its own").erase_old(&mut slot).unwrap();
    tree.apply(erased).unwrap();
    assert!(!tree.is_taken(1) && tree.record_key(0).unwrap().is_some());
    assert_eq!(slot.load().unwrap().images.len(), 1);
}
