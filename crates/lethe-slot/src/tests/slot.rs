use std::fs;

use lethe_erasure::seal::PassphraseSeal;
use lethe_erasure::slot::{ErasableSlot, SlotError};
use lethe_types::SecretVec;

use super::{Folder, create, image, is_erased, open, seal};

#[test]
fn the_old_image_is_gone_from_the_file_once_erased() {
    let folder = Folder::new();
    let mut slot = create(&folder);
    slot.put_new(&image(1)).unwrap();
    slot.put_new(&image(2)).unwrap();
    let both = fs::read(folder.slot()).unwrap();
    assert_eq!(slot.load().unwrap().images.len(), 2);
    let evidence = slot.erase_all_but(2).unwrap();
    assert!(evidence.is_read_back_clean);
    assert_eq!(evidence.generation_erased, Some(1));
    let now = fs::read(folder.slot()).unwrap();
    assert_eq!(now.len(), 8_192);
    assert!(is_erased(&now[4_096..]), "sector 1 held generation 1");
    assert_eq!(now[..4_096], both[..4_096]);
    assert!(!both.windows(32).any(|window| window == [0xA5; 32]), "sealed, never in the open");
    drop(slot);
    let reopened = open(&folder, seal(1)).unwrap();
    let images = reopened.load().unwrap().images;
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].current.root.expose(), &[0xA5; 32]);
}

#[test]
fn images_are_neither_overwritten_nor_erased_by_mistake() {
    let folder = Folder::new();
    let mut slot = create(&folder);
    slot.put_new(&image(1)).unwrap();
    assert!(matches!(slot.put_new(&image(3)), Err(SlotError::SectorInUse { generation: 1 })));
    slot.put_new(&image(1)).unwrap();
    assert!(matches!(slot.erase_all_but(2), Err(SlotError::NoSuchImage { generation: 2 })));
    assert!(matches!(slot.erase_all_but(3), Err(SlotError::NoSuchImage { generation: 3 })));
    assert_eq!(slot.load().unwrap().images.len(), 1);
}

#[test]
fn a_torn_sector_is_a_fault_beside_the_good_one() {
    for kept in [0, 1, 40, 64, 100, 4_095] {
        let folder = Folder::new();
        let mut slot = create(&folder);
        slot.put_new(&image(1)).unwrap();
        slot.put_new(&image(2)).unwrap();
        let mut bytes = fs::read(folder.slot()).unwrap();
        bytes[kept..4_096].iter_mut().for_each(|byte| *byte ^= 0xEE);
        fs::write(folder.slot(), &bytes).unwrap();
        drop(slot);
        let mut slot = open(&folder, seal(1)).unwrap();
        let loaded = slot.load().unwrap();
        assert_eq!((loaded.images.len(), loaded.faults.len()), (1, 1), "{kept}");
        assert_eq!(loaded.images[0].generation, 1);
        slot.erase_all_but(1).unwrap();
        assert!(slot.load().unwrap().faults.is_empty());
    }
}

#[test]
fn another_seal_opens_nothing_and_changes_nothing() {
    let folder = Folder::new();
    create(&folder).put_new(&image(1)).unwrap();
    let before = fs::read(folder.slot()).unwrap();
    let passphrase = PassphraseSeal::new(SecretVec::copy_from(b"a passphrase"));
    for other in [seal(2), std::sync::Arc::new(passphrase)] {
        let loaded = open(&folder, other).unwrap().load().unwrap();
        assert_eq!((loaded.images.len(), loaded.faults.len()), (0, 1), "{loaded:?}");
    }
    assert_eq!(fs::read(folder.slot()).unwrap(), before);
}
