use lethe_types::Secret;

use super::{Broken, Counting, altered, hex};
use crate::CryptoError;
use crate::aead::SealKey;
use crate::sealed::{Place, SEALED_OVERHEAD_BYTES, open, seal};

const REALM: [u8; 16] = [0x11; 16];
const ID: [u8; 16] = [0x22; 16];
const PLACE: Place<'_> = Place { kind: "credential", realm: &REALM, id: &ID, field: "seed" };

fn key(byte: u8) -> SealKey {
    SealKey::new(&Secret::init_with(|buf| buf.fill(byte)))
}

fn sealed() -> Vec<u8> {
    seal(&key(7), PLACE, &Counting, b"value").unwrap()
}

#[test]
fn a_sealed_value_opens_in_its_place() {
    for plaintext in [Vec::new(), b"value".to_vec(), vec![3; 100_000]] {
        let sealed = seal(&key(7), PLACE, &Counting, &plaintext).unwrap();
        assert_eq!(sealed.len(), plaintext.len() + SEALED_OVERHEAD_BYTES);
        assert!(open(&key(7), PLACE, &sealed).unwrap().ct_eq(&plaintext));
    }
}

/// Made once with the Python package `cryptography` 48: AES-256-GCM under 32 bytes of 7, nonce 1
/// to 12, associated data written out below. Stored values stand on it.
#[test]
fn the_format_is_fixed() {
    assert_eq!(sealed(), hex(GOLDEN));
}

#[test]
fn a_value_that_was_moved_is_refused() {
    let (realm, id) = ([0x12; 16], [0x23; 16]);
    let moved = [
        Place { kind: "credentials", ..PLACE },
        Place { kind: "key", ..PLACE },
        Place { kind: "", ..PLACE },
        Place { realm: &realm, ..PLACE },
        Place { realm: &[0; 16], ..PLACE },
        Place { id: &id, ..PLACE },
        Place { realm: &ID, id: &REALM, ..PLACE },
        Place { field: "seed2", ..PLACE },
        Place { field: "", ..PLACE },
        Place { kind: "seed", field: "credential", ..PLACE },
        Place { kind: "credentialseed", field: "", ..PLACE },
    ];
    for place in moved {
        let refused = open(&key(7), place, &sealed()).map(drop);
        assert_eq!(refused, Err(CryptoError::Authentication), "{place:?}");
    }
    assert!(open(&key(7), PLACE, &sealed()).is_ok());
}

#[test]
fn altered_values_and_other_keys_are_refused() {
    let sealed = sealed();
    assert_eq!(open(&key(8), PLACE, &sealed).map(drop), Err(CryptoError::Authentication));
    for (at, altered) in altered(&sealed).enumerate() {
        let want = if at == 0 {
            CryptoError::Invalid("sealed value")
        } else {
            CryptoError::Authentication
        };
        assert_eq!(open(&key(7), PLACE, &altered).map(drop), Err(want), "byte {at}");
    }
    for length in 0..sealed.len() {
        let want = if length < SEALED_OVERHEAD_BYTES {
            CryptoError::Invalid("sealed value")
        } else {
            CryptoError::Authentication
        };
        let refused = open(&key(7), PLACE, &sealed[..length]).map(drop);
        assert_eq!(refused, Err(want), "{length} bytes");
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert_eq!(open(&key(7), PLACE, &longer).map(drop), Err(CryptoError::Authentication));
}

#[test]
fn without_chance_nothing_is_sealed() {
    let refused = seal(&key(7), PLACE, &Broken, b"value");
    assert_eq!(refused, Err(CryptoError::Entropy));
}

const GOLDEN: &str = "010102030405060708090a0b0ccd1d84eb0fe02f7eafa886ffd67731dcf628f87ee8";
