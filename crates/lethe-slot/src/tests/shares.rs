use std::fs;
use std::sync::Arc;

use lethe_crypto::SystemEntropy;
use lethe_erasure::seal::{Seal, SealKind, SecretSeal};
use lethe_erasure::slot::{ErasableSlot, SealShares};
use lethe_types::{Secret, SecretVec, UnixMillis};

use super::{Folder, NoEntropy, create, image, open, seal};
use crate::{
    SHARES_MAX, ShareError, join_shares, salt_of_slot_file, shares_line, shares_of_slot,
    shares_record, split_seal,
};

const SALT: [u8; 16] = [5; 16];

fn split(needed: u8, number: u8) -> Result<Vec<SecretVec>, ShareError> {
    split_seal(&*seal(1), &SALT, needed, number, &SystemEntropy)
}

fn copies(texts: &[SecretVec], which: &[usize]) -> Vec<SecretVec> {
    which.iter().map(|index| SecretVec::copy_from(texts[*index].expose())).collect()
}

#[test]
fn any_enough_shares_bring_the_key_back_and_fewer_do_not() {
    let key = seal(1).key(&SALT).unwrap();
    for (needed, number) in [(2, 2), (2, 3), (3, 5), (5, 5)] {
        let texts = split(needed, number).unwrap();
        assert_eq!(texts.len(), usize::from(number));
        for subset in 0_u32..1 << number {
            let which: Vec<usize> =
                (0..usize::from(number)).filter(|index| subset >> index & 1 == 1).collect();
            let joined = join_shares(&copies(&texts, &which));
            if which.len() < usize::from(needed) {
                assert!(matches!(joined, Err(ShareError::TooFew { .. })), "{which:?}");
            } else {
                let recovered = joined.unwrap();
                assert_eq!(recovered.kind(), SealKind::KeyFile);
                assert!(recovered.key(&SALT).unwrap().ct_eq(&key), "{which:?}");
            }
        }
    }
}

#[test]
fn the_same_share_twice_is_one() {
    let texts = split(2, 3).unwrap();
    let joined = join_shares(&copies(&texts, &[1, 1, 1]));
    assert_eq!(joined.unwrap_err(), ShareError::TooFew { given: 1, needed: 2 });
    assert!(join_shares(&copies(&texts, &[1, 1, 2])).is_ok());
    assert_eq!(join_shares(&[]).unwrap_err(), ShareError::TooFew { given: 0, needed: 2 });
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for (needed, number) in [(0, 0), (0, 3), (1, 3), (4, 3), (1, 1), (2, SHARES_MAX + 1)] {
        assert_eq!(split(needed, number).unwrap_err(), ShareError::Numbers { needed, number });
    }
    assert_eq!(split(2, SHARES_MAX).unwrap().len(), 32);
    let refused = split_seal(&*seal(1), &SALT, 2, 3, &NoEntropy).unwrap_err();
    assert_eq!(refused, ShareError::Entropy);
}

#[test]
fn altered_and_foreign_shares_are_refused() {
    let texts = split(2, 3).unwrap();
    let sound = texts[0].expose();
    for at in 0..sound.len() {
        let mut altered = sound.to_vec();
        altered[at] ^= 1;
        let refused = join_shares(&[SecretVec::from_vec(altered), texts.get(1).map(copy).unwrap()]);
        assert_eq!(refused.unwrap_err(), ShareError::Damaged(1), "byte {at}");
    }
    for cut in [0, 1, sound.len() - 1] {
        let refused = join_shares(&[SecretVec::copy_from(&sound[..cut])]);
        assert_eq!(refused.unwrap_err(), ShareError::Damaged(1));
    }
    let others = split(2, 3).unwrap();
    let mixed = [copy(&texts[0]), copy(&others[1])];
    assert_eq!(join_shares(&mixed).unwrap_err(), ShareError::OtherSet(2));
}

fn copy(text: &SecretVec) -> SecretVec {
    SecretVec::copy_from(text.expose())
}

#[test]
fn a_slot_opens_with_its_shares_and_no_other() {
    let folder = Folder::new();
    create(&folder).put_new(&image(1)).unwrap();
    let salt = salt_of_slot_file(&folder.slot()).unwrap().unwrap();
    let shares = |seal: &dyn Seal, salt| split_seal(seal, &salt, 2, 3, &SystemEntropy).unwrap();
    let texts = shares(&*seal(1), salt);
    let recovered = Arc::new(join_shares(&copies(&texts, &[2, 0])).unwrap());
    let loaded = open(&folder, recovered).unwrap().load().unwrap();
    assert_eq!(loaded.images.len(), 1);
    let another = SecretSeal::new(SealKind::Pkcs11, Secret::init_with(|key| key.fill(1)));
    for texts in [shares(&*seal(2), salt), shares(&*seal(1), SALT), shares(&another, salt)] {
        let wrong = Arc::new(join_shares(&copies(&texts, &[0, 1])).unwrap());
        let loaded = open(&folder, wrong).unwrap().load().unwrap();
        assert_eq!((loaded.images.len(), loaded.faults.len()), (0, 1));
    }
}

#[test]
fn the_set_of_which_the_fewest_are_needed_is_told() {
    let made = |time| Some(UnixMillis(time));
    let known = |needed, number, made| Some(SealShares { needed, number, made });
    let unknown = known(0, 0, None);
    for (record, expected) in [
        (shares_line(3, 5, UnixMillis(7)), known(3, 5, made(7))),
        ("3 of 5\n".to_owned(), known(3, 5, None)),
        (format!("3 of 5\n{}", shares_line(2, 3, UnixMillis(8))), known(2, 3, made(8))),
        (String::new(), unknown),
        ("3 of 5 made then\n".to_owned(), unknown),
        ("1 of 5\n".to_owned(), unknown),
        ("6 of 5\n".to_owned(), unknown),
        ("3 of 200\n".to_owned(), unknown),
        ("3 of 5\nrubbish\n".to_owned(), unknown),
    ] {
        let folder = Folder::new();
        let [first, second] = ["a.slot", "b.slot"].map(|name| folder.0.join(name));
        fs::write(shares_record(&second), &record).unwrap();
        let slots = [first.as_path(), second.as_path()];
        assert_eq!(shares_of_slot(slots.into_iter()), expected, "{record:?}");
        assert_eq!(shares_of_slot(slots[..1].iter().copied()), None);
    }
}
