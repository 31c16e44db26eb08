//! A crash before, in and after every durable write, and again while recovering, three deep.
//!
//! The checker must find nothing in the right order, and must find what is wrong with the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use lethe_types::Secret;

use super::support::{BATCH, Nodes, Seeded, TREE, attack};
use crate::recovery::{StoreClaim, recover};
use crate::seal::{SectorFault, SectorProblem};
use crate::slot::{
    ErasableSlot, EraseEvidence, EraseMethod, ErasureClass, Loaded, SLOT_IMAGE_BYTES, SlotEntry,
    SlotError, SlotImage, SlotKind, sector_of,
};
use crate::tree::{Committed, NodeAddress, Staged, Tree};

/// What the power failure does to the write that it hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tear {
    Nothing,
    /// A sector gets the first bytes, up to the middle of its first root.
    Prefix,
    Garbage,
    /// All is written, and the call never returns.
    Whole,
}

/// Everything that survives a crash, and what an attacker saw.
#[derive(Clone)]
struct Disk {
    nodes: Nodes,
    epoch: u64,
    intents: BTreeSet<u64>,
    /// The record key of each record in the store: what must stay openable.
    records: BTreeMap<u64, [u8; 32]>,
    sectors: [[u8; SLOT_IMAGE_BYTES]; 2],
    /// Durable writes until the crash.
    fuse: usize,
    tear: Tear,
    hit_a_sector: bool,
    is_dead: bool,
}

struct Crashed;

impl Disk {
    fn transaction(&mut self, apply: impl FnOnce(&mut Self)) -> Result<(), Crashed> {
        if self.is_dead || self.fuse == 0 {
            if !self.is_dead && self.tear == Tear::Whole {
                apply(self);
            }
            self.is_dead = true;
            return Err(Crashed);
        }
        self.fuse -= 1;
        apply(self);
        Ok(())
    }

    fn write_sector(
        &mut self,
        sector: usize,
        bytes: &[u8; SLOT_IMAGE_BYTES],
    ) -> Result<(), Crashed> {
        if self.is_dead || self.fuse == 0 {
            if !self.is_dead {
                self.hit_a_sector = true;
                let place = &mut self.sectors[sector];
                match self.tear {
                    Tear::Nothing => {}
                    Tear::Prefix => place[..80].copy_from_slice(&bytes[..80]),
                    Tear::Garbage => place.fill(0xa5),
                    Tear::Whole => *place = *bytes,
                }
            }
            self.is_dead = true;
            return Err(Crashed);
        }
        self.fuse -= 1;
        self.sectors[sector] = *bytes;
        Ok(())
    }

    fn wipe_sector(&mut self, sector: usize) -> Result<(), Crashed> {
        self.write_sector(sector, &[0x5a; SLOT_IMAGE_BYTES])?;
        self.write_sector(sector, &[0; SLOT_IMAGE_BYTES])
    }

    /// Every root that lies in the sectors in one piece, whatever surrounds it.
    fn roots(&self) -> Vec<Secret<32>> {
        let roots = self.sectors.iter().map(|sector| &sector[64..96]);
        roots.map(|bytes| Secret::init_with(|root| root.copy_from_slice(bytes))).collect()
    }
}

#[derive(Clone)]
struct DiskSlot(Arc<Mutex<Disk>>);

impl DiskSlot {
    fn with<T>(&self, action: impl FnOnce(&mut Disk) -> T) -> T {
        action(&mut self.0.lock().unwrap())
    }
}

fn crashed(_: Crashed) -> SlotError {
    SlotError::Backend("power failure".into())
}

impl ErasableSlot for DiskSlot {
    fn kind(&self) -> SlotKind {
        SlotKind::Memory
    }

    fn class(&self) -> ErasureClass {
        ErasureClass::Overwrite
    }

    fn load(&self) -> Result<Loaded, SlotError> {
        let mut loaded = Loaded::default();
        for (sector, bytes) in (0..).zip(self.with(|disk| disk.sectors)) {
            if bytes.iter().any(|byte| *byte != 0) {
                match SlotImage::decode(&bytes) {
                    Ok(image) => loaded.images.push(image),
                    Err(fault) => {
                        let problem = SectorProblem::Image(fault);
                        loaded.faults.push(SectorFault { sector, problem });
                    }
                }
            }
        }
        Ok(loaded)
    }

    fn put_new(&mut self, image: &SlotImage) -> Result<(), SlotError> {
        let (sector, bytes) = (sector_of(image.generation), image.encode()?);
        if let Ok(there) = self.with(|disk| SlotImage::decode(&disk.sectors[sector])) {
            return Err(SlotError::SectorInUse { generation: there.generation });
        }
        self.with(|disk| disk.write_sector(sector, bytes.expose())).map_err(crashed)
    }

    fn erase_all_but(&mut self, generation: u64) -> Result<EraseEvidence, SlotError> {
        let erased = 1 - sector_of(generation);
        self.with(|disk| disk.wipe_sector(erased)).map_err(crashed)?;
        Ok(EraseEvidence {
            kind: self.kind(),
            class: self.class(),
            device_id: String::new(),
            generation_erased: None,
            method: EraseMethod::Random,
            is_read_back_clean: true,
        })
    }
}

/// The steps of a batch, for sequences that the types do not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    StoreT1,
    WriteL1,
    EraseL2,
    Acknowledge,
    DropT2,
}
use Step::{Acknowledge, DropT2, EraseL2, StoreT1, WriteL1};

/// How a batch is carried out.
#[derive(Clone, Copy)]
enum Order {
    /// Through the types of this crate.
    Typed,
    /// Through the types, but T1 leaves out the nodes of the current epoch.
    TypedWithoutCurrentNodes,
    /// Step by step, past the types.
    Raw(&'static [Step]),
}

/// What the outside knows: it survives every crash.
#[derive(Clone, Default)]
struct Oracle {
    acknowledged: BTreeSet<[u8; 32]>,
    doomed: BTreeMap<u64, [u8; 32]>,
}

#[derive(Debug, PartialEq, Eq)]
enum Violation {
    AcknowledgedKeyRecoverable,
    LiveKeyLost(u64),
    TotalLoss(String),
}

/// What a client asks for, and asks again until it has its answer.
struct Scenario {
    initial: &'static [u64],
    cuts: &'static [u64],
    assigns: &'static [u64],
}

struct Explorer {
    scenario: Scenario,
    order: Order,
    cases: u64,
}

impl Explorer {
    fn run(scenario: Scenario, order: Order, crashes: u32) -> Result<u64, Violation> {
        let entropy = Seeded::new(77);
        let (mut tree, writes) = Tree::create(TREE, 2, &entropy).unwrap();
        let mut nodes = Nodes::default();
        nodes.put(&writes);
        let staged = tree.stage(&[], scenario.initial, &entropy).unwrap();
        nodes.put(staged.writes());
        let keys =
            (0..).zip(scenario.initial).map(|(i, leaf)| (*leaf, *staged.record_key(i).expose()));
        let records: BTreeMap<u64, [u8; 32]> = keys.collect();
        let Committed::SameRoot(stage) = staged.committed() else { panic!("nothing was cut") };
        let drops = tree.apply_same_root(stage).unwrap();
        nodes.remove(&drops);
        let first = *tree.first_image(BATCH).encode().unwrap().expose();
        let disk = Disk {
            nodes,
            epoch: 1,
            intents: BTreeSet::new(),
            records,
            sectors: [[0; SLOT_IMAGE_BYTES], first],
            fuse: usize::MAX,
            tear: Tear::Nothing,
            hit_a_sector: false,
            is_dead: false,
        };
        let doomed = scenario.cuts.iter().map(|leaf| (*leaf, disk.records[leaf])).collect();
        let oracle = Oracle { doomed, ..Oracle::default() };
        let mut explorer = Self { scenario, order, cases: 0 };
        explorer.explore(&disk, &oracle, crashes)?;
        Ok(explorer.cases)
    }

    /// Starts a process on `disk` with a crash at each of its writes, and on what each crash left
    /// another one, until `crashes` are used up; the last process runs to its end.
    fn explore(&mut self, disk: &Disk, oracle: &Oracle, crashes: u32) -> Result<(), Violation> {
        for fuse in 0.. {
            let fuse = if crashes == 0 { usize::MAX } else { fuse };
            for tear in [Tear::Nothing, Tear::Prefix, Tear::Garbage, Tear::Whole] {
                let slot = DiskSlot(Arc::new(Mutex::new(Disk {
                    fuse,
                    tear,
                    hit_a_sector: false,
                    is_dead: false,
                    ..disk.clone()
                })));
                let mut oracle = oracle.clone();
                let ended = self.process(&slot, &mut oracle, u64::from(crashes))?;
                let left = slot.with(|disk| disk.clone());
                check_nothing_acknowledged_opens(&left, &oracle)?;
                self.cases += 1;
                match ended {
                    Ok(()) => return check_all_done(&left, &oracle, &self.scenario),
                    Err(Crashed) if tear_is_new(tear, &left) => {
                        self.explore(&left, &oracle, crashes - 1)?;
                    }
                    Err(Crashed) => {}
                }
            }
        }
        unreachable!("a process makes a bounded number of writes")
    }

    /// One process: recover, then carry out what was asked for and is not done.
    fn process(
        &self,
        slot: &DiskSlot,
        oracle: &mut Oracle,
        seed: u64,
    ) -> Result<Result<(), Crashed>, Violation> {
        let mut slot = slot.clone();
        let stored = slot.with(|disk| disk.nodes.stored());
        let epoch = slot.with(|disk| disk.epoch);
        let claim = StoreClaim { tree_id: TREE, epoch, nodes: &stored };
        let recovered = recover(slot.load().unwrap(), claim)
            .map_err(|error| Violation::TotalLoss(error.to_string()))?;
        let records = slot.with(|disk| disk.records.clone());
        check_live(recovered.tree(), &records)?;
        let Ok(cleared) = recovered.erase_others(&mut slot) else { return Ok(Err(Crashed)) };
        let open = slot.with(|disk| disk.intents.clone());
        let (undone, done): (BTreeSet<u64>, BTreeSet<u64>) =
            open.into_iter().partition(|leaf| cleared.tree().is_taken(*leaf));
        oracle.acknowledged.extend(done.iter().map(|leaf| oracle.doomed[leaf]));
        let caught_up = slot.with(|disk| {
            disk.transaction(|disk| {
                disk.nodes.remove(cleared.leftover());
                disk.epoch = cleared.epoch();
                disk.intents.clone_from(&undone);
            })
        });
        if caught_up.is_err() {
            return Ok(Err(Crashed));
        }
        let (mut tree, image) = cleared.leftovers_dropped();
        let taken = |leaf: &&u64| tree.is_taken(**leaf);
        let cuts: Vec<u64> = self.scenario.cuts.iter().filter(taken).copied().collect();
        let assigns: Vec<u64> =
            self.scenario.assigns.iter().filter(|leaf| !taken(leaf)).copied().collect();
        assert!(undone.iter().all(|leaf| cuts.contains(leaf)));
        let staged = tree.stage(&cuts, &assigns, &Seeded::new(seed)).unwrap();
        let stores_current_nodes = !matches!(self.order, Order::TypedWithoutCurrentNodes);
        let batch = Batch { cuts, assigns, slot, stores_current_nodes };
        let ended = match self.order {
            Order::Typed | Order::TypedWithoutCurrentNodes => {
                batch.run_typed(&mut tree, staged, &image, oracle)
            }
            Order::Raw(steps) => batch.run_raw(steps, &staged, &image, oracle),
        };
        Ok(ended)
    }
}

/// A stage on its way.
struct Batch {
    cuts: Vec<u64>,
    assigns: Vec<u64>,
    slot: DiskSlot,
    stores_current_nodes: bool,
}

impl Batch {
    fn run_typed(
        mut self,
        tree: &mut Tree,
        staged: Staged,
        image: &SlotImage,
        oracle: &mut Oracle,
    ) -> Result<(), Crashed> {
        self.store(&staged)?;
        let drops = match staged.committed() {
            Committed::SameRoot(stage) => tree.apply_same_root(stage).unwrap(),
            Committed::NewRoot(stage) => {
                let written =
                    stage.write_root(&mut self.slot, image, BATCH, 0).map_err(|_| Crashed)?;
                let erased = written.erase_old(&mut self.slot).map_err(|_| Crashed)?;
                let applied = tree.apply(erased).unwrap();
                self.acknowledge(oracle);
                applied.drops
            }
        };
        self.drop_superseded(tree.epoch(), &drops)
    }

    fn run_raw(
        self,
        steps: &[Step],
        staged: &Staged,
        image: &SlotImage,
        oracle: &mut Oracle,
    ) -> Result<(), Crashed> {
        let Some(root) = &staged.new_root else { return self.store(staged) };
        let current = SlotEntry {
            epoch: staged.epoch_to(),
            not_after_s: 0,
            tag: BATCH.0,
            root: root.duplicate(),
        };
        let next = image.next(current, 0).unwrap();
        let bytes = next.encode().unwrap();
        for step in steps {
            match step {
                StoreT1 => self.store(staged)?,
                WriteL1 => {
                    let sector = sector_of(next.generation);
                    self.slot.with(|disk| disk.write_sector(sector, bytes.expose()))?;
                }
                EraseL2 => {
                    let sector = sector_of(image.generation);
                    self.slot.with(|disk| disk.wipe_sector(sector))?;
                }
                Acknowledge => self.acknowledge(oracle),
                DropT2 => self.drop_superseded(staged.epoch_to(), staged.drops())?,
            }
        }
        Ok(())
    }

    /// T1: intents, new nodes, the records of the assigned leaves; those of the cut ones go.
    fn store(&self, staged: &Staged) -> Result<(), Crashed> {
        self.slot.with(|disk| {
            disk.transaction(|disk| {
                let mut writes = staged.writes().to_vec();
                let is_stored = |epoch| epoch == staged.epoch_to() || self.stores_current_nodes;
                writes.retain(|write| is_stored(write.address.epoch));
                disk.nodes.put(&writes);
                disk.intents.extend(&self.cuts);
                disk.records.retain(|leaf, _| !self.cuts.contains(leaf));
                for (i, leaf) in self.assigns.iter().enumerate() {
                    disk.records.insert(*leaf, *staged.record_key(i).expose());
                }
            })
        })
    }

    fn acknowledge(&self, oracle: &mut Oracle) {
        oracle.acknowledged.extend(self.cuts.iter().map(|leaf| oracle.doomed[leaf]));
    }

    fn drop_superseded(&self, epoch: u64, drops: &[NodeAddress]) -> Result<(), Crashed> {
        self.slot.with(|disk| {
            disk.transaction(|disk| {
                // A wrong order may drop what it has not stored.
                disk.nodes.now.retain(|address, _| !drops.contains(address));
                disk.epoch = epoch;
                disk.intents.clear();
            })
        })
    }
}

/// A transaction is not torn: of four tears two are the same as nothing.
fn tear_is_new(tear: Tear, left: &Disk) -> bool {
    match tear {
        Tear::Nothing | Tear::Whole => true,
        Tear::Prefix | Tear::Garbage => left.hit_a_sector,
    }
}

fn check_live(tree: &Tree, records: &BTreeMap<u64, [u8; 32]>) -> Result<(), Violation> {
    for (leaf, key) in records {
        let found = tree.record_key(*leaf).unwrap().map(|found| *found.expose());
        if found != Some(*key) {
            return Err(Violation::LiveKeyLost(*leaf));
        }
    }
    Ok(())
}

fn check_nothing_acknowledged_opens(disk: &Disk, oracle: &Oracle) -> Result<(), Violation> {
    if oracle.acknowledged.is_empty() {
        return Ok(());
    }
    let found = attack(2, &disk.nodes.ever, &disk.roots());
    if found.is_disjoint(&oracle.acknowledged) {
        Ok(())
    } else {
        Err(Violation::AcknowledgedKeyRecoverable)
    }
}

/// After a process that ran to its end: all asked for is done, and the slot and store are tidy.
fn check_all_done(disk: &Disk, oracle: &Oracle, scenario: &Scenario) -> Result<(), Violation> {
    let doomed: BTreeSet<[u8; 32]> = oracle.doomed.values().copied().collect();
    assert_eq!(oracle.acknowledged, doomed, "every request has its answer");
    check_nothing_acknowledged_opens(disk, oracle)?;
    let slot = DiskSlot(Arc::new(Mutex::new(disk.clone())));
    let stored = disk.nodes.stored();
    let claim = StoreClaim { tree_id: TREE, epoch: disk.epoch, nodes: &stored };
    let recovered = recover(slot.load().unwrap(), claim)
        .map_err(|error| Violation::TotalLoss(error.to_string()))?;
    assert!(!recovered.has_others());
    check_live(recovered.tree(), &disk.records)?;
    let mut leaves: BTreeSet<u64> = scenario.initial.iter().copied().collect();
    leaves.retain(|leaf| !scenario.cuts.contains(leaf));
    leaves.extend(scenario.assigns);
    assert_eq!(disk.records.keys().copied().collect::<BTreeSet<u64>>(), leaves);
    assert!(disk.intents.is_empty());
    Ok(())
}

fn cuts() -> Scenario {
    Scenario { initial: &[0, 1, 9], cuts: &[0, 9], assigns: &[] }
}

/// Cuts, assignments beside and under the same nodes, and growth, in one batch.
fn mixed() -> Scenario {
    Scenario { initial: &[0, 1, 5], cuts: &[0, 5], assigns: &[2, 6, 17] }
}

const RIGHT: &[Step] = &[StoreT1, WriteL1, EraseL2, Acknowledge, DropT2];

#[test]
fn no_three_crashes_lose_a_live_key_or_keep_an_acknowledged_one() {
    let cases = Explorer::run(cuts(), Order::Typed, 3).unwrap();
    assert!(cases > 5_000, "only {cases} cases");
}

#[test]
fn no_two_crashes_do_so_either_when_keys_are_created_and_the_tree_grows_in_the_same_batch() {
    let cases = Explorer::run(mixed(), Order::Typed, 2).unwrap();
    assert!(cases > 300, "only {cases} cases");
}

#[test]
fn safe_orders_beside_the_typed_one_pass_the_same_checks() {
    const NEW_ROOT_FIRST: &[Step] = &[WriteL1, StoreT1, EraseL2, Acknowledge, DropT2];
    for steps in [RIGHT, NEW_ROOT_FIRST] {
        Explorer::run(cuts(), Order::Raw(steps), 2).unwrap();
    }
}

/// Control: without the second copy of the assignments a fall-back would lose created keys.
#[test]
fn creations_only_under_the_new_root_would_be_lost() {
    let one_node = Scenario { initial: &[0, 1], cuts: &[0], assigns: &[2] };
    let violation = Explorer::run(one_node, Order::TypedWithoutCurrentNodes, 1).unwrap_err();
    assert_eq!(violation, Violation::LiveKeyLost(2));
}

/// Controls: the checker must catch each of them.
#[test]
fn wrong_orders_are_caught() {
    #[track_caller]
    fn check(steps: &'static [Step], expected: &str) {
        let violation = Explorer::run(cuts(), Order::Raw(steps), 2).unwrap_err();
        let text = format!("{violation:?}");
        assert!(text.starts_with(expected), "{steps:?} gave {text}");
    }
    let recoverable = "AcknowledgedKeyRecoverable";
    check(&[StoreT1, WriteL1, Acknowledge, EraseL2, DropT2], recoverable);
    check(&[StoreT1, Acknowledge, WriteL1, EraseL2, DropT2], recoverable);
    check(&[StoreT1, WriteL1, DropT2, Acknowledge], recoverable);
    check(&[WriteL1, EraseL2, StoreT1, Acknowledge, DropT2], "TotalLoss");
    check(&[StoreT1, DropT2, WriteL1, EraseL2, Acknowledge], "TotalLoss");
    check(&[StoreT1, EraseL2, WriteL1, Acknowledge, DropT2], "TotalLoss");
    check(&[EraseL2, WriteL1, StoreT1, Acknowledge, DropT2], "TotalLoss");
}
