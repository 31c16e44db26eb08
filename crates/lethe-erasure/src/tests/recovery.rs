//! Decisions at start: what opens, what is refused, and in which words.

use lethe_types::TreeId;

use super::support::{BATCH, Nodes, Rig, TREE};
use crate::recovery::{RecoveryError, StoreClaim, recover};
use crate::seal::{SectorFault, SectorProblem};
use crate::slot::{ErasableSlot, Loaded, MemSlot, SlotImage};
use crate::tree::{Committed, NodeFault, OpenError, Tree};

/// A tree after two destructions, and the slot image and nodes of each epoch.
struct Past {
    rig: Rig,
    images: Vec<SlotImage>,
    nodes: Vec<Nodes>,
}

fn past() -> Past {
    let mut rig = Rig::new(2, 1);
    rig.change(&[], &[0, 1, 2, 9]);
    let mut past = Past { images: vec![], nodes: vec![], rig };
    for cut in [0, 9] {
        past.images.push(past.rig.image.duplicate());
        past.nodes.push(past.rig.nodes.clone());
        past.rig.change(&[cut], &[]);
    }
    past.images.push(past.rig.image.duplicate());
    past.nodes.push(past.rig.nodes.clone());
    past
}

fn loaded(images: &[&SlotImage]) -> Loaded {
    let images = images.iter().map(|image| image.duplicate()).collect();
    Loaded { images, faults: vec![] }
}

fn torn() -> SectorFault {
    SectorFault { sector: 0, problem: SectorProblem::NotAuthentic }
}

#[track_caller]
fn check(loaded: Loaded, nodes: &Nodes, epoch: u64, expected: &RecoveryError) {
    let stored = nodes.stored();
    let error = recover(loaded, StoreClaim { tree_id: TREE, epoch, nodes: &stored }).unwrap_err();
    assert_eq!(error, *expected);
}

#[test]
fn one_image_and_its_tree_open_and_need_nothing() {
    let past = past();
    let stored = past.rig.nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: 3, nodes: &stored };
    let recovered = recover(past.rig.slot.load().unwrap(), claim).unwrap();
    assert!(!recovered.has_others());
    // A slot that would refuse any call shows that none is made.
    let cleared = recovered.erase_others(&mut MemSlot::new()).unwrap();
    assert_eq!((cleared.epoch(), cleared.last_batch(), cleared.leftover()), (3, BATCH, &[][..]));
    assert!(cleared.evidence().is_none());
    let (tree, image) = cleared.leftovers_dropped();
    assert_eq!((tree.leaves_taken(), image.generation), (2, 3));
}

#[test]
fn a_rolled_back_slot_is_refused() {
    let past = past();
    for (image, slot_epoch) in [(&past.images[0], 1), (&past.images[1], 2)] {
        let expected = RecoveryError::SlotOlder { slot_epoch, store_epoch: 3 };
        check(loaded(&[image]), &past.rig.nodes, 3, &expected);
        assert!(expected.to_string().contains("the slot is older than the data"));
    }
    let both = loaded(&[&past.images[0], &past.images[1]]);
    let expected = RecoveryError::SlotOlder { slot_epoch: 2, store_epoch: 3 };
    check(both, &past.rig.nodes, 3, &expected);
}

#[test]
fn a_rolled_back_store_is_refused() {
    let past = past();
    for (nodes, nodes_epoch) in [(&past.nodes[0], 1), (&past.nodes[1], 2)] {
        let expected = RecoveryError::StoreOlder { slot_epoch: 3, nodes_epoch };
        check(loaded(&[&past.images[2]]), nodes, nodes_epoch, &expected);
        assert!(expected.to_string().contains("the data is older than the slot"));
    }
    let empty = Nodes::default();
    let expected = RecoveryError::StoreOlder { slot_epoch: 3, nodes_epoch: 0 };
    check(loaded(&[&past.images[2]]), &empty, 1, &expected);
}

#[test]
fn a_damaged_tree_is_refused_and_named() {
    let past = past();
    let mut nodes = past.rig.nodes.clone();
    let gone = *nodes.now.keys().next().unwrap();
    nodes.now.remove(&gone);
    let fault = OpenError::Node { node: gone.node, epoch: 3, fault: NodeFault::Missing };
    let expected = RecoveryError::Incomplete { slot_epoch: 3, fault };
    check(loaded(&[&past.images[2]]), &nodes, 3, &expected);
}

#[test]
fn a_damaged_tree_does_not_fall_back_behind_the_store() {
    let past = past();
    // Both images and all old nodes are there, but the store has seen epoch 3.
    let mut nodes = past.nodes[1].clone();
    nodes.now.extend(past.nodes[2].now.clone());
    let root = *past.nodes[2].now.keys().next_back().unwrap();
    nodes.now.insert(root, vec![0; 10].into());
    let images = || loaded(&[&past.images[1], &past.images[2]]);
    // A root of zeros claims an arity that there is not.
    let expected = RecoveryError::Incomplete { slot_epoch: 3, fault: OpenError::Arity(0) };
    check(images(), &nodes, 3, &expected);
    // Had T2 not been done, the old tree would be the right one.
    let stored = nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: 2, nodes: &stored };
    let recovered = recover(images(), claim).unwrap();
    assert_eq!((recovered.tree().epoch(), recovered.has_others()), (2, true));
}

#[test]
fn slots_of_other_trees_and_unreadable_ones_are_refused() {
    let past = past();
    let other = TreeId([8; 16]);
    let foreign = SlotImage { tree_id: other, ..past.images[2].duplicate() };
    let expected = RecoveryError::OtherTree { slot: other, store: TREE };
    check(loaded(&[&foreign]), &past.rig.nodes, 3, &expected);
    check(loaded(&[&past.images[2], &foreign]), &past.rig.nodes, 3, &expected);
    let empty = RecoveryError::NoImage { faults: vec![] };
    check(loaded(&[]), &past.rig.nodes, 3, &empty);
    assert!(empty.to_string().contains("empty"));
    let unreadable = RecoveryError::NoImage { faults: vec![torn()] };
    let nothing = Loaded { images: vec![], faults: vec![torn()] };
    check(nothing, &past.rig.nodes, 3, &unreadable);
    assert!(unreadable.to_string().contains("passphrase is wrong"));
}

#[test]
fn a_torn_sector_beside_a_good_one_is_erased() {
    let past = past();
    let stored = past.rig.nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: 3, nodes: &stored };
    let mut loaded = past.rig.slot.load().unwrap();
    loaded.faults.push(torn());
    let recovered = recover(loaded, claim).unwrap();
    assert!(recovered.has_others());
    let cleared = recovered.erase_others(&mut past.rig.slot.clone()).unwrap();
    assert!(cleared.evidence().unwrap().is_read_back_clean);
}

#[test]
fn of_two_images_of_one_epoch_the_later_is_kept() {
    let mut past = past();
    let next = past.rig.image.retaining([4; 16], 100, 0).unwrap();
    past.rig.slot.put_new(&next).unwrap();
    let stored = past.rig.nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: 3, nodes: &stored };
    let recovered = recover(past.rig.slot.load().unwrap(), claim).unwrap();
    assert_eq!((recovered.image().generation, recovered.image().retained.len()), (4, 1));
    let _cleared = recovered.erase_others(&mut past.rig.slot).unwrap();
    let left = past.rig.slot.load().unwrap().images;
    assert_eq!(left.iter().map(|image| image.generation).collect::<Vec<u64>>(), [4]);
}

#[test]
fn a_failed_erasure_hands_the_decision_back() {
    let past = past();
    let stored = past.rig.nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: 3, nodes: &stored };
    let mut both = past.rig.slot.load().unwrap();
    both.faults.push(torn());
    let failed = recover(both, claim).unwrap().erase_others(&mut MemSlot::new()).unwrap_err();
    assert!(failed.step.has_others());
    let cleared = failed.step.erase_others(&mut past.rig.slot.clone()).unwrap();
    assert_eq!(cleared.epoch(), 3);
}

#[test]
fn a_batch_that_fell_back_leaves_its_pending_nodes_to_drop() {
    let mut rig = Rig::new(2, 1);
    rig.change(&[], &[0, 1, 9]);
    let staged = rig.tree.stage(&[0], &[], &rig.entropy).unwrap();
    rig.nodes.put(staged.writes());
    let stored = rig.nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: 1, nodes: &stored };
    let recovered = recover(rig.slot.load().unwrap(), claim).unwrap();
    // The intent's leaf is still taken: the engine runs the batch again.
    assert!(recovered.tree().is_taken(0));
    let cleared = recovered.erase_others(&mut rig.slot.clone()).unwrap();
    assert_eq!(cleared.leftover().len(), 2);
    assert!(cleared.leftover().iter().all(|address| address.epoch == 2));
}

/// Control: what pending nodes would do if a later batch ran on top of them.
#[test]
fn a_leftover_node_that_was_not_dropped_would_shadow_a_live_one() {
    let mut rig = Rig::new(2, 1);
    rig.change(&[], &[0, 1, 9]);
    let fell_back = rig.tree.stage(&[0], &[], &rig.entropy).unwrap();
    rig.nodes.put(fell_back.writes());
    let other = rig.tree.stage(&[9], &[], &rig.entropy).unwrap();
    rig.nodes.put(other.writes());
    let Committed::NewRoot(stage) = other.committed() else { panic!("a leaf was cut") };
    let written = stage.write_root(&mut rig.slot, &rig.image, BATCH, 0).unwrap();
    let erased = written.erase_old(&mut rig.slot).unwrap();
    let image = rig.tree.apply(erased).unwrap().image;
    let opened = Tree::open(TREE, 2, &image.current.root, &rig.nodes.stored());
    assert!(matches!(opened, Err(OpenError::Node { fault: NodeFault::NotAuthentic, .. })));
}

#[test]
fn a_restored_backup_is_re_rooted_past_the_lost_tree() {
    let mut past = past();
    // The backup: nodes of epoch 1, whose root the slot has retained.
    let backup = past.nodes[0].stored();
    let root = past.images[0].current.root.duplicate();
    let opened = Tree::open(TREE, 1, &root, &backup).unwrap();
    assert_eq!(opened.tree().leaves_taken(), 4);
    let mut tree = opened.leftovers_dropped();
    // The log knows that leaves 0 and 9 were destroyed since.
    let staged =
        tree.stage_new_epoch(&[0, 9], past.rig.tree.epoch() + 1, &past.rig.entropy).unwrap();
    let mut nodes = past.nodes[0].clone();
    nodes.put(staged.writes());
    let Committed::NewRoot(stage) = staged.committed() else { panic!("the epoch changes") };
    let written = stage.write_root(&mut past.rig.slot, &past.rig.image, BATCH, 0).unwrap();
    let applied = tree.apply(written.erase_old(&mut past.rig.slot).unwrap()).unwrap();
    nodes.remove(&applied.drops);
    let stored = nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: 4, nodes: &stored };
    let recovered = recover(past.rig.slot.load().unwrap(), claim).unwrap();
    assert_eq!((recovered.tree().epoch(), recovered.tree().leaves_taken()), (4, 2));
}
