//! What an erasure leaves is told from what a crash left of it.

use super::support::{NoEntropy, Rig, Seeded, secret};
use crate::erased::{erased_sector, holds_nothing};
use crate::seal::{KeyFileSeal, decode_sector, encode_sector, salt_of, sealed_with};
use crate::slot::SLOT_IMAGE_BYTES;

const IMAGE_AT: u8 = 1;

fn seal() -> KeyFileSeal {
    KeyFileSeal::new(secret(1))
}

fn image() -> Box<[u8; SLOT_IMAGE_BYTES]> {
    encode_sector(&Rig::new(2, 5).image, IMAGE_AT, &seal(), &[3; 16], &Seeded::new(6)).unwrap()
}

fn erased(seed: u64) -> Box<[u8; SLOT_IMAGE_BYTES]> {
    erased_sector(&Seeded::new(seed)).unwrap()
}

#[test]
fn an_erased_sector_holds_nothing() {
    for bytes in [erased(1), erased(2), Box::new([0; SLOT_IMAGE_BYTES])] {
        assert!(holds_nothing(&bytes));
        assert!(decode_sector(&bytes, IMAGE_AT, &seal()).unwrap().is_none());
        assert_eq!((salt_of(&bytes), sealed_with(&bytes)), (None, None));
    }
    assert_ne!(erased(1), erased(2));
    assert!(erased_sector(&NoEntropy).is_err());
}

#[test]
fn no_part_of_a_write_makes_it_erased() {
    let (image, erased) = (image(), erased(1));
    for cut in 1..SLOT_IMAGE_BYTES {
        let mut begun = image.clone();
        begun[..cut].copy_from_slice(&erased[..cut]);
        let mut ended = image.clone();
        ended[cut..].copy_from_slice(&erased[cut..]);
        for torn in [begun, ended] {
            // Where both begin or end alike nothing of the image is left.
            assert_eq!(holds_nothing(&torn), torn == erased, "torn at {cut}");
        }
    }
    let torn: Box<[u8; SLOT_IMAGE_BYTES]> = {
        let mut torn = image;
        torn[..512].copy_from_slice(&erased[..512]);
        torn
    };
    assert!(decode_sector(&torn, IMAGE_AT, &seal()).is_err());
}

#[test]
fn no_bit_of_it_may_differ() {
    let erased = erased(1);
    for place in 0..SLOT_IMAGE_BYTES {
        let mut bytes = erased.clone();
        bytes[place] ^= 1;
        assert!(!holds_nothing(&bytes), "a bit of byte {place}");
    }
    for place in [0, 4, 511, 512, SLOT_IMAGE_BYTES - 1] {
        let mut bytes = Box::new([0; SLOT_IMAGE_BYTES]);
        bytes[place] = 1;
        assert!(!holds_nothing(&bytes), "zeros but for byte {place}");
    }
}
