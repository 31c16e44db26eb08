//! The tree against a map: any sequence of changes, reopened after each.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::support::Rig;

#[derive(Clone, Debug)]
enum Step {
    /// Cut leaves and assign others in one stage; the numbers choose among what is there.
    Change {
        cuts: Vec<u64>,
        assigns: Vec<u64>,
    },
    CutAll,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![8 => 0_u64..40, 1 => 40_u64..300, 1 => 0_u64..1 << 40];
    let some = |max| prop::collection::vec(leaf.clone(), 0..max);
    let change = (some(6), some(9)).prop_map(|(cuts, assigns)| Step::Change { cuts, assigns });
    let assign = some(9).prop_map(|assigns| Step::Change { cuts: Vec::new(), assigns });
    prop::collection::vec(prop_oneof![5 => change, 4 => assign, 1 => Just(Step::CutAll)], 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn the_tree_is_a_map_from_leaves_to_keys(
        arity_log2 in 1_u8..=6,
        seed in any::<u64>(),
        steps in steps(),
    ) {
        let mut rig = Rig::new(arity_log2, seed);
        let mut model: BTreeMap<u64, [u8; 32]> = BTreeMap::new();
        for step in steps {
            let (mut cuts, mut assigns) = match step {
                Step::Change { cuts, assigns } => (cuts, assigns),
                Step::CutAll => (model.keys().copied().collect(), Vec::new()),
            };
            cuts.retain(|leaf| model.contains_key(leaf));
            assigns.retain(|leaf| !model.contains_key(leaf));
            for leaves in [&mut cuts, &mut assigns] {
                leaves.sort_unstable();
                leaves.dedup();
            }
            let epoch = rig.tree.epoch();
            let keys = rig.change(&cuts, &assigns);
            prop_assert_eq!(rig.tree.epoch(), epoch + u64::from(!cuts.is_empty()));
            model.retain(|leaf, _| !cuts.contains(leaf));
            model.extend(assigns.into_iter().zip(keys));
            let reopened = rig.reopened();
            for tree in [&rig.tree, &reopened] {
                prop_assert_eq!(tree.leaves_taken(), u64::try_from(model.len()).unwrap());
                for (leaf, key) in &model {
                    let found = tree.record_key(*leaf).unwrap();
                    prop_assert_eq!(found.map(|found| *found.expose()), Some(*key));
                }
                for leaf in cuts.iter().filter(|leaf| !model.contains_key(leaf)) {
                    prop_assert!(tree.record_key(*leaf).unwrap().is_none());
                }
            }
            prop_assert_eq!(reopened.nodes(), rig.tree.nodes());
            prop_assert_eq!(reopened.height(), rig.tree.height());
        }
    }
}
