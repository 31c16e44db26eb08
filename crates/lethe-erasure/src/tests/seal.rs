//! Sealed sectors: what opens, and how each kind of refusal is told from the others.

use lethe_crypto::kdf::hkdf_sha256;
use lethe_types::SecretVec;

use super::support::{NoEntropy, Rig, Seeded, secret};
use crate::seal::{
    KeyFileSeal, PassphraseSeal, Seal, SealDevice, SealKind, SecretSeal, SectorProblem,
    decode_sector, encode_sector, salt_of, sealed_with,
};
use crate::slot::{ImageFault, SLOT_IMAGE_BYTES, SlotError, SlotImage};

const SALT: [u8; 16] = [3; 16];

fn key_file(byte: u8) -> KeyFileSeal {
    KeyFileSeal::new(secret(byte))
}

fn passphrase(text: &str) -> PassphraseSeal {
    PassphraseSeal::new(SecretVec::copy_from(text.as_bytes()))
}

fn image() -> SlotImage {
    Rig::new(2, 5).image
}

fn sealed(seal: &dyn Seal) -> [u8; SLOT_IMAGE_BYTES] {
    *encode_sector(&image(), 1, seal, &SALT, &Seeded::new(6)).unwrap()
}

fn problem(bytes: &[u8; SLOT_IMAGE_BYTES], sector: u8, seal: &dyn Seal) -> SectorProblem {
    let fault = decode_sector(bytes, sector, seal).unwrap_err();
    assert_eq!(fault.sector, sector);
    fault.problem
}

#[test]
fn a_sealed_sector_opens_to_the_same_image() {
    let seals: [(&dyn Seal, u8); 2] = [(&key_file(1), 1), (&passphrase("correct horse"), 2)];
    for (seal, kind) in seals {
        let bytes = sealed(seal);
        assert_eq!(bytes[..8], [b'K', b'S', b'E', b'1', 0, 1, 0, kind]);
        assert_eq!(bytes[8..24], SALT);
        assert_eq!(bytes[52..64], [0; 12]);
        assert_eq!(salt_of(&bytes), Some(SALT));
        let opened = decode_sector(&bytes, 1, seal).unwrap().unwrap();
        let (before, after) = (image().encode().unwrap(), opened.encode().unwrap());
        assert!(before.ct_eq(&after));
        let root = image().current.root;
        let shows = bytes.windows(32).any(|window| window == root.expose());
        assert!(!shows, "a sealed sector shows the root");
    }
}

#[test]
fn a_full_image_fits() {
    let mut image = image();
    for tag in 0..61 {
        image = image.retaining([tag; 16], 1_000, 0).unwrap();
    }
    let bytes = encode_sector(&image, 0, &key_file(1), &SALT, &Seeded::new(6)).unwrap();
    let opened = decode_sector(&bytes, 0, &key_file(1)).unwrap().unwrap();
    assert_eq!(opened.retained.len(), 61);
}

#[test]
fn an_empty_sector_is_neither_an_image_nor_a_fault() {
    assert!(decode_sector(&[0; SLOT_IMAGE_BYTES], 0, &key_file(1)).unwrap().is_none());
    assert_eq!(salt_of(&[0; SLOT_IMAGE_BYTES]), None);
}

#[test]
fn every_altered_byte_is_refused_with_its_reason() {
    let seal = key_file(1);
    let sound = sealed(&seal);
    for at in 0..SLOT_IMAGE_BYTES {
        let mut bytes = sound;
        bytes[at] ^= 0x40;
        let expected = match at {
            0..4 | 52..64 => SectorProblem::Damaged,
            4 => SectorProblem::Version(0x4001),
            5 => SectorProblem::Version(0x41),
            6 => SectorProblem::UnknownSeal(0x4001),
            7 => SectorProblem::UnknownSeal(0x41),
            _ => SectorProblem::NotAuthentic,
        };
        assert_eq!(problem(&bytes, 1, &seal), expected, "byte {at}");
    }
}

#[test]
fn the_wrong_key_sector_or_kind_of_seal_is_refused() {
    let bytes = sealed(&key_file(1));
    assert_eq!(problem(&bytes, 1, &key_file(2)), SectorProblem::NotAuthentic);
    assert_eq!(problem(&bytes, 0, &key_file(1)), SectorProblem::NotAuthentic);
    let expected = SectorProblem::OtherSeal {
        sealed_with: SealKind::KeyFile,
        configured: SealKind::Passphrase,
    };
    assert_eq!(problem(&bytes, 1, &passphrase("x")), expected);
    let bytes = sealed(&passphrase("correct horse"));
    assert_eq!(problem(&bytes, 1, &passphrase("correct hors")), SectorProblem::NotAuthentic);
    // The kind is authenticated: turning one into the other does not help.
    let mut turned = bytes;
    turned[7] = 1;
    assert_eq!(problem(&turned, 1, &key_file(1)), SectorProblem::NotAuthentic);
}

#[test]
fn a_torn_sector_is_refused_wherever_it_was_torn() {
    let seal = key_file(1);
    let sound = sealed(&seal);
    for at in (0..SLOT_IMAGE_BYTES).step_by(64).skip(1) {
        let mut bytes = [0; SLOT_IMAGE_BYTES];
        bytes[..at].copy_from_slice(&sound[..at]);
        assert_eq!(problem(&bytes, 1, &seal), SectorProblem::NotAuthentic, "first {at} bytes");
        let mut bytes = [0; SLOT_IMAGE_BYTES];
        bytes[at..].copy_from_slice(&sound[at..]);
        assert_eq!(problem(&bytes, 1, &seal), SectorProblem::Damaged, "all but {at} bytes");
    }
}

#[test]
fn the_key_of_a_key_file_is_derived_as_documented() {
    let expected = hkdf_sha256(&SALT, &[1; 32], &[b"lethe/slot-seal/v1"]).unwrap();
    assert!(key_file(1).key(&SALT).unwrap().ct_eq(&expected));
    assert!(!key_file(1).key(&[4; 16]).unwrap().ct_eq(&expected));
}

#[test]
fn a_passphrase_gives_one_key_a_salt() {
    let seal = passphrase("correct horse");
    let first = seal.key(&SALT).unwrap();
    assert!(seal.key(&SALT).unwrap().ct_eq(&first));
    assert!(!seal.key(&[4; 16]).unwrap().ct_eq(&first));
    assert!(seal.key(&SALT).unwrap().ct_eq(&first));
    assert!(!format!("{seal:?}").contains("horse"));
}

#[test]
fn nothing_is_sealed_without_entropy() {
    let error = encode_sector(&image(), 1, &key_file(1), &SALT, &NoEntropy).unwrap_err();
    assert!(matches!(error, SlotError::Entropy));
}

#[test]
fn what_opens_and_is_no_image_is_told_apart() {
    // A seal that was used for something else with the same envelope.
    let key = lethe_crypto::aead::SealKey::new(&key_file(1).key(&SALT).unwrap());
    let mut bytes = sealed(&key_file(1));
    let mut aad = b"KSLOT\x01".to_vec();
    aad.extend_from_slice(&bytes[..24]);
    let mut body = vec![0x20; 4_032];
    let nonce = [9; 12];
    let tag = key.seal_in_place(nonce, &aad, &mut body).unwrap();
    bytes[24..36].copy_from_slice(&nonce);
    bytes[36..52].copy_from_slice(&tag);
    bytes[64..].copy_from_slice(&body);
    let expected = SectorProblem::Image(ImageFault::Magic);
    assert_eq!(problem(&bytes, 1, &key_file(1)), expected);
}

#[test]
fn kinds_of_seals_keep_their_numbers() {
    for (kind, number, word) in [
        (SealKind::KeyFile, 1, "key-file"),
        (SealKind::Passphrase, 2, "passphrase"),
        (SealKind::Credential, 3, "credential"),
        (SealKind::Pkcs11, 4, "pkcs11"),
        (SealKind::Tpm2, 5, "tpm2"),
    ] {
        assert_eq!((kind.number(), SealKind::from_number(number)), (number, Some(kind)));
        assert_eq!(kind.as_str(), word);
    }
    for number in [0, 6, u8::MAX] {
        assert_eq!(SealKind::from_number(number), None);
    }
    for (device, number) in [(SealDevice::None, 0), (SealDevice::Pkcs11, 1), (SealDevice::TpmNv, 2)]
    {
        assert_eq!((device.number(), SealDevice::from_number(number)), (number, Some(device)));
    }
    for number in [3, u8::MAX] {
        assert_eq!(SealDevice::from_number(number), None);
    }
}

#[test]
fn one_secret_seals_differently_for_each_kind() {
    let kinds = [SealKind::Credential, SealKind::Pkcs11, SealKind::Tpm2];
    let keys = kinds.map(|kind| SecretSeal::new(kind, secret(1)).key(&SALT).unwrap());
    for (index, key) in keys.iter().enumerate() {
        assert!(keys[..index].iter().all(|other| !other.ct_eq(key)));
        assert!(!key.ct_eq(&key_file(1).key(&SALT).unwrap()));
    }
    let bytes = sealed(&SecretSeal::new(SealKind::Tpm2, secret(1)));
    assert_eq!(sealed_with(&bytes), Some((SealDevice::None, SealKind::Tpm2)));
    assert_eq!(sealed_with(&[0; SLOT_IMAGE_BYTES]), None);
    let mut other = bytes;
    other[6] = 1;
    let expected = SectorProblem::OtherDevice {
        sealed_with: SealDevice::Pkcs11,
        configured: SealDevice::None,
    };
    assert_eq!(problem(&other, 1, &SecretSeal::new(SealKind::Tpm2, secret(1))), expected);
}
