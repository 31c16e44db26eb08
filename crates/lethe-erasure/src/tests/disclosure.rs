//! An attacker with every blob that was ever written and the slot as it is now.

use std::collections::BTreeSet;

use lethe_types::Secret;

use super::support::{Rig, TREE, attack};
use crate::tree::{NodeAddress, NodeId, open_for_test, seal_for_test};

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

/// Control: each change re-keys the root alone, and the nodes below keep the keys that they had.
/// The attack must notice.
#[test]
fn rekeying_only_the_root_would_disclose_every_destroyed_key() {
    let mut rig = Rig::new(2, 15);
    let mut destroyed: Vec<[u8; 32]> = Vec::new();
    let leaves: Vec<u64> = (0..16).collect();
    let keys = rig.change(&[], &leaves);
    let kept = child_keys_of_the_root(&rig);
    for (leaf, key) in leaves.iter().zip(keys).step_by(2) {
        let staged = rig.tree.stage(&[*leaf], &[], &rig.entropy).unwrap();
        let node = NodeId { level: rig.tree.height(), index: 0 };
        let address = NodeAddress { node, epoch: staged.epoch_to() };
        let root = staged.new_root.as_ref().unwrap();
        let weak = seal_for_test(TREE, 2, address, root, &kept, &rig.entropy);
        rig.nodes.ever.insert((address, weak));
        rig.carry_out(staged);
        destroyed.push(key);
    }
    let found = attack(2, &rig.nodes.ever, &[rig.image.current.root.duplicate()]);
    let recovered = destroyed.iter().filter(|key| found.contains(*key)).count();
    assert_eq!(recovered, destroyed.len());
}

fn child_keys_of_the_root(rig: &Rig) -> Vec<Secret<32>> {
    let node = NodeId { level: rig.tree.height(), index: 0 };
    let address = NodeAddress { node, epoch: rig.tree.epoch() };
    let blob = &rig.nodes.now[&address];
    let children = open_for_test(TREE, 2, address, &rig.image.current.root, blob).unwrap();
    children.into_iter().map(|(_, key)| key).collect()
}
