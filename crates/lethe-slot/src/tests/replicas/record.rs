//! The record beside each replica.

use std::fs;

use super::{Disks, advance, recover};
use crate::replicas::place_of;
use crate::{ReplicaError, ReplicatedSlot};

fn text_of(disks: &Disks, disk: &str) -> String {
    fs::read_to_string(place_of(&disks.at(disk))).unwrap()
}

fn two() -> (Disks, ReplicatedSlot) {
    let disks = Disks::new();
    let mut slot = disks.create(&["a", "b"]);
    advance(&mut slot, 1);
    (disks, slot)
}

#[test]
fn it_is_text_with_a_hash_and_no_secret() {
    let (disks, slot) = two();
    drop(slot);
    let text = text_of(&disks, "a");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert_eq!(lines[..2], ["lethe slot replicas 1", "revision 1"]);
    assert!(lines[2].starts_with("self ") && lines[5].starts_with("sha256 "), "{text}");
    assert!(lines[4].ends_with("b/root.slot"), "{text}");
    drop(disks.open(&["a"]));
    let text = text_of(&disks, "a");
    assert!(text.contains("\nrevision 2\n"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("lost ") && line.contains(" 1 /")), "{text}");
}

#[test]
fn a_damaged_or_missing_record_is_made_good_by_the_other_one() {
    let damages: [fn(&str) -> Option<String>; 6] = [
        |_| None,
        |_| Some(String::new()),
        |text| Some(text.replace("revision 1", "revision 2")),
        |text| Some(text.replace("root.slot", "root.slut")),
        |text| Some(text.replace("\nsha256", "\nmember x\nsha256")),
        |text| Some(text[..text.len() - 1].to_owned()),
    ];
    for damage in damages {
        for disk in ["a", "b"] {
            let (disks, slot) = two();
            drop(slot);
            let (place, before) = (place_of(&disks.at(disk)), text_of(&disks, disk));
            match damage(&before) {
                None => fs::remove_file(&place).unwrap(),
                Some(text) => fs::write(&place, text).unwrap(),
            }
            let mut slot = disks.open(&["a", "b"]);
            assert!(slot.lost().is_empty() && slot.notices().is_empty(), "{:?}", slot.notices());
            assert_eq!(recover(&mut slot), 1);
            let names = |text: &str| text.lines().nth(2).map(str::to_owned);
            assert_eq!(names(&text_of(&disks, disk)), names(&before), "its name is as before");
        }
    }
}

#[test]
fn the_record_of_another_set_is_refused() {
    let (disks, slot) = two();
    drop(slot);
    let (others, slot) = two();
    drop(slot);
    fs::write(place_of(&disks.at("b")), text_of(&others, "b")).unwrap();
    let refused = disks.try_open(&["a", "b"]);
    assert!(matches!(refused, Err(ReplicaError::Foreign(_))), "{refused:?}");
}

#[test]
fn a_copy_of_a_replica_with_its_record_is_refused() {
    let (disks, slot) = two();
    drop(slot);
    fs::copy(disks.at("a"), disks.at("c")).unwrap();
    fs::copy(place_of(&disks.at("a")), place_of(&disks.at("c"))).unwrap();
    let refused = disks.try_open(&["a", "b", "c"]);
    assert!(matches!(refused, Err(ReplicaError::Foreign(_))), "{refused:?}");
}

#[test]
fn a_crash_between_two_records_is_caught_up() {
    let (disks, slot) = two();
    drop(slot);
    let old = text_of(&disks, "b");
    drop(disks.open(&["b"]));
    recover(&mut disks.open(&["a", "b"]));
    fs::write(place_of(&disks.at("b")), &old).unwrap();
    let slot = disks.open(&["a", "b"]);
    assert!(slot.lost().is_empty(), "{:?}", slot.lost());
    drop(slot);
    let revision = |disk| text_of(&disks, disk).lines().nth(1).map(str::to_owned);
    assert_eq!(revision("a"), revision("b"));
}

#[test]
fn an_emptied_replica_is_a_lost_one() {
    // Its images may have been moved away: what lies in its place now is another one.
    let (disks, slot) = two();
    drop(slot);
    fs::write(disks.at("b"), vec![0; 8_192]).unwrap();
    let mut slot = disks.open(&["a", "b"]);
    assert_eq!(slot.lost().len(), 1);
    assert_eq!(recover(&mut slot), 1);
    drop(slot);
    let slot = disks.open(&["a", "b"]);
    assert_eq!((slot.lost().len(), slot.notices().len()), (1, 0));
}
