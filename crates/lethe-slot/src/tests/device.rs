//! A slot whose keys are in a device, over a device in memory that can fail at every call.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lethe_crypto::SystemEntropy;
use lethe_crypto::hash::sha256;
use lethe_erasure::seal::{SealDevice, SectorProblem};
use lethe_erasure::slot::{ErasableSlot, EraseMethod, ErasureClass, SlotError, SlotKind};
use lethe_types::{Entropy, Secret};

use super::medium::{SECTOR, TestMedium};
use super::{image, is_erased, seals};
use crate::{DeviceError, DeviceSlot, FileSlot, KeyDevice, ReplicatedSlot, SharedDevice};

/// When a call fails: before it does anything, or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Before(usize),
    After(usize),
}

#[derive(Default)]
pub(super) struct World {
    pub(super) keys: BTreeMap<u64, [u8; 32]>,
    pub(super) changes: usize,
    pub(super) cut: Option<Cut>,
    pub(super) is_gone: bool,
}

/// Keys in memory. A clone is another way to the same device.
#[derive(Clone, Default)]
pub(super) struct MemDevice(pub(super) Arc<Mutex<World>>);

impl MemDevice {
    fn change(&self, work: impl FnOnce(&mut World)) -> Result<(), DeviceError> {
        let mut world = self.0.lock().unwrap();
        let number = world.changes;
        world.changes += 1;
        let broken = || DeviceError::Failed { doing: "change", why: "as told".to_owned() };
        if world.cut == Some(Cut::Before(number)) {
            return Err(broken());
        }
        work(&mut world);
        if world.cut == Some(Cut::After(number)) { Err(broken()) } else { Ok(()) }
    }
}

impl KeyDevice for MemDevice {
    fn device(&self) -> SealDevice {
        SealDevice::TpmNv
    }

    fn class(&self) -> ErasureClass {
        ErasureClass::Hardware
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn method(&self) -> EraseMethod {
        EraseMethod::ObjectDestroyed
    }

    fn generations(&self) -> Result<Vec<u64>, DeviceError> {
        let world = self.0.lock().unwrap();
        if world.is_gone {
            return Err(DeviceError::Missing("device".to_owned()));
        }
        Ok(world.keys.keys().copied().collect())
    }

    fn draw(&mut self, generation: u64) -> Result<(), DeviceError> {
        let mut key = [0; 32];
        SystemEntropy.fill(&mut key).unwrap();
        self.change(|world| {
            world.keys.insert(generation, key);
        })
    }

    fn evaluate(&self, generation: u64, input: &[u8]) -> Result<Secret<32>, DeviceError> {
        let world = self.0.lock().unwrap();
        let key = world.keys.get(&generation).ok_or_else(|| DeviceError::KeyMissing("x".into()))?;
        let output = sha256(&[key, input]);
        Ok(Secret::init_with(|bytes| bytes.copy_from_slice(&output)))
    }

    fn destroy(&mut self, generation: u64) -> Result<(), DeviceError> {
        self.change(|world| {
            world.keys.remove(&generation);
        })
    }
}

fn start(media: &[TestMedium], device: &MemDevice) -> DeviceSlot {
    let device = SharedDevice::new(Box::new(device.clone()));
    let seals = DeviceSlot::seals(&seals(1), &device);
    let file = |medium: &TestMedium| {
        let (path, medium) = (Path::new("root.slot"), Box::new(medium.clone()));
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        FileSlot::over(medium, path, seals.clone(), entropy, "test".to_owned()).unwrap()
    };
    DeviceSlot::new(ReplicatedSlot::over(media.iter().map(file).collect()), device)
}

fn with_image_1(replicas: usize) -> (Vec<TestMedium>, MemDevice) {
    let (media, device) =
        ((0..replicas).map(|_| TestMedium::new()).collect::<Vec<_>>(), MemDevice::default());
    let mut slot = start(&media, &device);
    slot.put_new(&image(1)).unwrap();
    slot.erase_all_but(1).unwrap();
    (media, device)
}

fn keys(device: &MemDevice) -> Vec<u64> {
    device.0.lock().unwrap().keys.keys().copied().collect()
}

/// What a start does.
fn recover(slot: &mut DeviceSlot) -> u64 {
    let loaded = slot.load().unwrap();
    let newest = loaded.images.iter().map(|image| image.generation).max().unwrap();
    if loaded.images.len() > 1 || !loaded.faults.is_empty() {
        assert!(slot.erase_all_but(newest).unwrap().is_read_back_clean);
    }
    newest
}

#[test]
fn a_copy_of_all_files_opens_nothing_once_the_key_is_destroyed() {
    for replicas in [1, 2] {
        let (media, device) = with_image_1(replicas);
        let copy: Vec<_> = media.iter().map(|medium| medium.with(|world| world.durable)).collect();
        let mut slot = start(&media, &device);
        slot.put_new(&image(2)).unwrap();
        assert_eq!(keys(&device), [1, 2]);
        let old_key = device.0.lock().unwrap().keys[&1];
        let evidence = slot.erase_all_but(2).unwrap();
        assert_eq!((evidence.kind, evidence.class), (SlotKind::TpmNv, ErasureClass::Hardware));
        assert_eq!(evidence.method, EraseMethod::ObjectDestroyed);
        assert_eq!((evidence.generation_erased, evidence.is_read_back_clean), (Some(1), true));
        assert_eq!(keys(&device), [2]);
        drop(slot);
        for (medium, bytes) in media.iter().zip(copy) {
            medium.with(|world| (world.durable, world.cached) = (bytes, bytes));
        }
        let loaded = start(&media, &device).load().unwrap();
        assert!(loaded.images.is_empty(), "the copy opens: {loaded:?}");
        // Control: with the destroyed key, of which the test kept a copy, it does open.
        device.0.lock().unwrap().keys.insert(1, old_key);
        assert_eq!(start(&media, &device).load().unwrap().images.len(), 1);
    }
}

#[test]
fn a_cut_at_any_change_of_the_device_loses_nothing_and_keeps_nothing() {
    for number in 0..3 {
        for cut in [Cut::Before(number), Cut::After(number)] {
            let (media, device) = with_image_1(2);
            {
                let mut world = device.0.lock().unwrap();
                (world.changes, world.cut) = (0, Some(cut));
            }
            let mut slot = start(&media, &device);
            let put = slot.put_new(&image(2));
            let erased = put.as_ref().ok().map(|()| slot.erase_all_but(2));
            let is_cut = put.is_err() || matches!(erased, Some(Err(_)));
            assert_eq!(is_cut, number < 2, "draw and destroy are two changes: {cut:?}");
            drop(slot);
            media.iter().for_each(TestMedium::lose_power);
            device.0.lock().unwrap().cut = None;
            let mut slot = start(&media, &device);
            let newest = recover(&mut slot);
            assert_eq!(newest, if put.is_ok() { 2 } else { 1 }, "{cut:?}");
            assert_eq!(keys(&device), [newest], "{cut:?}");
            if newest == 1 {
                slot.put_new(&image(2)).unwrap();
                slot.erase_all_but(2).unwrap();
            }
            assert_eq!(keys(&device), [2]);
        }
    }
}

#[test]
fn a_key_without_an_image_is_found_and_destroyed() {
    let (media, device) = with_image_1(1);
    device.0.lock().unwrap().keys.insert(2, [7; 32]);
    let mut slot = start(&media, &device);
    let problem = slot.load().unwrap().faults[0].problem;
    assert_eq!(problem, SectorProblem::KeyWithoutImage);
    assert_eq!(recover(&mut slot), 1);
    assert_eq!(keys(&device), [1]);
}

#[test]
fn a_creation_that_was_cut_short_after_its_key_goes_on() {
    let (media, device) = (vec![TestMedium::new()], MemDevice::default());
    device.0.lock().unwrap().keys.insert(1, [7; 32]);
    let mut slot = start(&media, &device);
    let loaded = slot.load().unwrap();
    assert!(loaded.images.is_empty() && loaded.faults.is_empty());
    slot.put_new(&image(1)).unwrap();
    assert_eq!(recover(&mut start(&media, &device)), 1);
}

#[test]
fn a_device_that_is_gone_or_another_one_opens_nothing_and_changes_nothing() {
    let (media, device) = with_image_1(2);
    let before: Vec<_> = media.iter().map(|medium| medium.with(|world| world.durable)).collect();
    device.0.lock().unwrap().is_gone = true;
    let mut slot = start(&media, &device);
    assert!(matches!(slot.load(), Err(SlotError::Backend(_))));
    assert!(matches!(slot.put_new(&image(2)), Err(SlotError::Backend(_))));
    assert!(matches!(slot.erase_all_but(1), Err(SlotError::Backend(_))));
    let mut slot = start(&media, &MemDevice::default());
    assert!(slot.load().unwrap().images.is_empty());
    assert!(matches!(slot.erase_all_but(1), Err(SlotError::NoSuchImage { generation: 1 })));
    let after: Vec<_> = media.iter().map(|medium| medium.with(|world| world.durable)).collect();
    assert!(before == after);
    device.0.lock().unwrap().is_gone = false;
    assert_eq!(recover(&mut start(&media, &device)), 1);
}

#[test]
fn a_slot_of_another_kind_is_told_from_damage() {
    let (media, _) = with_image_1(1);
    let path = Path::new("root.slot");
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let over = |medium: &TestMedium| {
        let medium = Box::new(medium.clone());
        FileSlot::over(medium, path, seals(1), entropy.clone(), "test".to_owned()).unwrap()
    };
    let faults = over(&media[0]).load().unwrap().faults;
    let text = faults[0].to_string();
    assert!(text.contains("of a slot of kind \"tpm\", but \"file\" is configured"), "{text}");
    let medium = TestMedium::new();
    over(&medium).put_new(&image(1)).unwrap();
    let text = start(&[medium], &MemDevice::default()).load().unwrap().faults[0].to_string();
    assert!(text.contains("of a slot of kind \"file\", but \"tpm\" is configured"), "{text}");
}

#[test]
fn an_old_key_in_the_way_is_not_written_over() {
    let (media, device) = with_image_1(1);
    let mut slot = start(&media, &device);
    let refused = slot.put_new(&image(3));
    assert!(matches!(refused, Err(SlotError::SectorInUse { generation: 1 })), "{refused:?}");
    assert_eq!(keys(&device), [1]);
    let durable = media[0].with(|world| world.durable);
    assert!(is_erased(&durable[..SECTOR]));
}
