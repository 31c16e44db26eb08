//! The slot image: its exact bytes, and every one of them that is refused.

use lethe_crypto::hash::sha256;
use lethe_types::TreeId;

use super::support::{TREE, hex, secret};
use crate::slot::{
    ImageFault, RETAINED_ENTRIES_MAX, SLOT_IMAGE_BYTES, SlotEntry, SlotError, SlotImage,
};

fn entry(epoch: u64, not_after_s: u64, byte: u8) -> SlotEntry {
    SlotEntry { epoch, not_after_s, tag: [byte; 16], root: secret(byte) }
}

fn image(retained: usize) -> SlotImage {
    let retained = (1_u64..).zip(1..).take(retained).map(|(epoch, byte)| entry(epoch, 100, byte));
    SlotImage {
        generation: 3,
        tree_id: TREE,
        current: entry(70, 0, 0xcc),
        retained: retained.collect(),
    }
}

fn bytes(image: &SlotImage) -> [u8; SLOT_IMAGE_BYTES] {
    *image.encode().unwrap().expose()
}

/// With a hash that fits, so that only what is inside can be refused.
fn rehashed(mut bytes: [u8; SLOT_IMAGE_BYTES]) -> [u8; SLOT_IMAGE_BYTES] {
    let hash = sha256(&[&bytes[..4_064]]);
    bytes[4_064..].copy_from_slice(&hash);
    bytes
}

#[test]
fn an_image_has_the_documented_bytes() {
    let bytes = bytes(&image(1));
    assert_eq!(hex(&bytes[..16]), "4b534c31000100020000000000000003");
    assert_eq!(bytes[16..32], [7; 16]);
    assert_eq!(hex(&bytes[32..48]), "00000000000000460000000000000000");
    assert_eq!(bytes[48..96], [0xcc; 48]);
    assert_eq!(hex(&bytes[96..112]), "00000000000000010000000000000064");
    assert_eq!(bytes[112..160], [1; 48]);
    assert!(bytes[160..4_064].iter().all(|byte| *byte == 0));
    assert_eq!(bytes[4_064..], sha256(&[&bytes[..4_064]]));
}

#[test]
fn images_round_trip_up_to_the_most_entries_and_not_beyond() {
    for retained in [0, 1, 2, RETAINED_ENTRIES_MAX] {
        let before = bytes(&image(retained));
        let decoded = SlotImage::decode(&before).unwrap();
        assert_eq!(decoded.retained.len(), retained);
        assert_eq!(bytes(&decoded), before);
        assert_eq!(bytes(&decoded.duplicate()), before);
    }
    let error = image(RETAINED_ENTRIES_MAX + 1).encode().unwrap_err();
    assert!(matches!(error, SlotError::Full));
}

#[test]
fn an_image_that_would_not_decode_is_not_encoded() {
    let refused = [
        SlotImage { generation: 0, ..image(1) },
        SlotImage { current: entry(1, 5, 1), ..image(1) },
        SlotImage { current: entry(0, 0, 1), ..image(1) },
        SlotImage { retained: vec![entry(1, 0, 1)], ..image(1) },
        SlotImage { retained: vec![entry(0, 9, 1)], ..image(1) },
    ];
    for image in refused {
        assert!(matches!(image.encode(), Err(SlotError::NotASuccessor)), "{image:?}");
    }
}

#[test]
fn every_altered_byte_is_refused() {
    let sound = bytes(&image(2));
    for at in 0..SLOT_IMAGE_BYTES {
        let mut altered = sound;
        altered[at] ^= 1;
        let expected = match at {
            0..4 => ImageFault::Magic,
            4 => ImageFault::Version(0x0101),
            5 => ImageFault::Version(0),
            _ => ImageFault::Hash,
        };
        assert_eq!(SlotImage::decode(&altered).unwrap_err(), expected, "byte {at}");
    }
}

#[test]
fn impossible_contents_are_refused_under_a_fitting_hash() {
    #[track_caller]
    fn check(alter: impl FnOnce(&mut [u8; SLOT_IMAGE_BYTES])) {
        let mut bytes = bytes(&image(2));
        alter(&mut bytes);
        assert_eq!(SlotImage::decode(&rehashed(bytes)).unwrap_err(), ImageFault::Content);
    }
    check(|bytes| bytes[6..8].copy_from_slice(&[0, 0]));
    check(|bytes| bytes[6..8].copy_from_slice(&[0, 63]));
    check(|bytes| bytes[6..8].copy_from_slice(&[0xff, 0xff]));
    // One entry fewer leaves bytes in the fill, one more is an entry of epoch 0.
    check(|bytes| bytes[7] = 2);
    check(|bytes| bytes[7] = 4);
    check(|bytes| bytes[8..16].fill(0));
    check(|bytes| bytes[32..40].fill(0));
    check(|bytes| bytes[47] = 1);
    check(|bytes| bytes[96..104].fill(0));
    check(|bytes| bytes[104..112].fill(0));
    check(|bytes| bytes[4_063] = 1);
}

#[test]
fn empty_and_foreign_bytes_are_refused() {
    for byte in [0, 0x5a, 0xff] {
        let fault = SlotImage::decode(&[byte; SLOT_IMAGE_BYTES]).unwrap_err();
        assert_eq!(fault, ImageFault::Magic);
    }
}

#[test]
fn a_successor_keeps_the_roots_whose_end_has_not_come() {
    #[track_caller]
    fn check(seconds_now: u64, kept: &[u64]) {
        let retained = vec![entry(1, 100, 1), entry(2, 200, 2), entry(3, 300, 3)];
        let before = SlotImage { retained, ..image(0) };
        let next = before.next(entry(71, 0, 9), seconds_now).unwrap();
        let epochs: Vec<u64> = next.retained.iter().map(|entry| entry.epoch).collect();
        assert_eq!((next.generation, next.current.epoch, epochs.as_slice()), (4, 71, kept));
        let expired = before.without_expired(seconds_now).unwrap();
        assert_eq!(expired.is_some(), kept.len() < 3);
        assert_eq!(expired.map_or(kept.len(), |image| image.retained.len()), kept.len());
    }
    check(0, &[1, 2, 3]);
    check(99, &[1, 2, 3]);
    check(100, &[2, 3]);
    check(299, &[3]);
    check(u64::MAX, &[]);
}

#[test]
fn the_current_root_is_retained_for_a_backup_until_the_window_ends() {
    let retaining = image(0).retaining([5; 16], 1_000, 999).unwrap();
    assert_eq!((retaining.generation, retaining.retained.len()), (4, 1));
    let kept = &retaining.retained[0];
    assert_eq!((kept.epoch, kept.not_after_s, kept.tag), (70, 1_000, [5; 16]));
    assert!(kept.root.ct_eq(&retaining.current.root));
    assert_eq!(retaining.current.not_after_s, 0);
    // What is cut from epoch 70 on can be read from the backup; what was cut before cannot.
    assert_eq!(retaining.recoverable_until_s(69), None);
    assert_eq!(retaining.recoverable_until_s(70), Some(1_000));
    assert_eq!(retaining.recoverable_until_s(71), Some(1_000));
    assert!(retaining.without_backup([6; 16]).unwrap().is_none());
    assert!(retaining.without_backup([5; 16]).unwrap().unwrap().retained.is_empty());
}

#[test]
fn retaining_is_refused_without_room_time_or_generations() {
    let full = image(RETAINED_ENTRIES_MAX);
    assert!(matches!(full.retaining([5; 16], 1_000, 0), Err(SlotError::Full)));
    // The ones whose end has come make room.
    assert_eq!(full.retaining([5; 16], 1_000, 100).unwrap().retained.len(), 1);
    for now in [1_000, 1_001] {
        let error = image(0).retaining([5; 16], 1_000, now).unwrap_err();
        assert!(matches!(error, SlotError::AlreadyExpired));
    }
    let last = SlotImage { generation: u64::MAX, ..image(0) };
    assert!(matches!(last.retaining([5; 16], 1_000, 0), Err(SlotError::NotASuccessor)));
    assert!(matches!(last.next(entry(71, 0, 1), 0), Err(SlotError::NotASuccessor)));
}

#[test]
fn the_debug_text_of_an_image_shows_no_root() {
    let text = format!("{:?}", SlotImage { tree_id: TreeId([1; 16]), ..image(1) });
    assert_eq!(text.matches("root: Secret<32>(..)").count(), 2);
}
