//! An attacker with every blob that was ever written and the slot as it is now.

use std::collections::BTreeSet;

use lethe_types::Secret;

use super::support::{Rig, attack};
use crate::tree::{Staged, open_for_test, seal_for_test};

struct Outcome {
    live: BTreeSet<[u8; 32]>,
    destroyed: BTreeSet<[u8; 32]>,
}

/// Random creations, destructions and growth over a few dozen leaves.
fn run(rig: &mut Rig, steps: u64) -> Outcome {
    let mut at: Vec<Option<[u8; 32]>> = vec![None; 80];
    let mut destroyed = BTreeSet::new();
    for step in 0..steps {
        let range = if step < steps / 2 { 16 } else { at.len() };
        let mut cuts = Vec::new();
        let mut assigns = Vec::new();
        for (leaf, key) in (0..).zip(&at[..range]) {
            match key {
                Some(key) if rig.entropy.below(8) == 0 => {
                    destroyed.insert(*key);
                    cuts.push(leaf);
                }
                None if rig.entropy.below(5) == 0 => assigns.push(leaf),
                Some(_) | None => {}
            }
        }
        let keys = rig.change(&cuts, &assigns);
        cuts.iter().for_each(|leaf| at[usize::try_from(*leaf).unwrap()] = None);
        for (leaf, key) in assigns.iter().zip(keys) {
            at[usize::try_from(*leaf).unwrap()] = Some(key);
        }
    }
    Outcome { live: at.into_iter().flatten().collect(), destroyed }
}

#[test]
fn the_current_root_and_all_old_blobs_open_the_live_keys_and_no_other() {
    for (arity_log2, seed) in [(1, 10), (2, 11), (3, 12), (5, 13)] {
        let mut rig = Rig::new(arity_log2, seed);
        let Outcome { live, destroyed } = run(&mut rig, 30);
        assert!(live.len() > 15 && destroyed.len() > 50, "the run is too quiet to mean much");
        let root = [rig.image.current.root.duplicate()];
        assert_eq!(attack(arity_log2, &rig.nodes.ever, &root), live);
    }
}

#[test]
fn an_old_root_opens_what_was_destroyed_after_it() {
    let mut rig = Rig::new(2, 14);
    let first = rig.change(&[], &[0, 1, 2]);
    let old = rig.image.current.root.duplicate();
    rig.change(&[1], &[]);
    let found = attack(2, &rig.nodes.ever, &[old]);
    assert!(first.iter().all(|key| found.contains(key)), "the attack itself must work");
}

/// Control: the nodes below the root keep their keys. The attack must notice.
#[test]
fn rekeying_only_the_root_would_disclose_every_destroyed_key() {
    let mut rig = Rig::new(2, 15);
    let mut destroyed: Vec<[u8; 32]> = Vec::new();
    let leaves: Vec<u64> = (0..16).collect();
    let keys = rig.change(&[], &leaves);
    for (leaf, key) in leaves.iter().zip(keys).step_by(2) {
        let old_root = rig.image.current.root.duplicate();
        let staged = rig.tree.stage(&[*leaf], &[], &rig.entropy).unwrap();
        let weak = only_the_root_rekeyed(&rig, &old_root, &staged);
        rig.nodes.ever.insert(weak);
        rig.carry_out(staged);
        destroyed.push(key);
    }
    let found = attack(2, &rig.nodes.ever, &[rig.image.current.root.duplicate()]);
    let recovered = destroyed.iter().filter(|key| found.contains(*key)).count();
    assert_eq!(recovered, destroyed.len());
}

/// The new root node as it would be with the children's keys as they were.
fn only_the_root_rekeyed(
    rig: &Rig,
    old_root: &Secret<32>,
    staged: &Staged,
) -> (crate::tree::NodeAddress, std::sync::Arc<[u8]>) {
    let is_root = |level| level == rig.tree.height();
    let (old, blob) = rig.nodes.now.iter().find(|(a, _)| is_root(a.node.level)).unwrap();
    let children = open_for_test(rig.tree.tree_id(), 2, *old, old_root, blob).unwrap();
    let keys: Vec<Secret<32>> = children.into_iter().map(|(_, key)| key).collect();
    let mut address = *old;
    address.epoch = staged.epoch_to();
    let root = staged.new_root.as_ref().unwrap();
    (address, seal_for_test(rig.tree.tree_id(), 2, address, root, &keys, &rig.entropy))
}
