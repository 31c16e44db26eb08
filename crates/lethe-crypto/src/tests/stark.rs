//! The Stark curve.

use lethe_types::SecretVec;

use super::{algorithm, altered, hex, quick_key};
use crate::CryptoError;
use crate::registry::{KeyFormat, PublicFormat, SignRequest, UsableKey};

const ORDER: &str = "0800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2f";

fn load(scalar: &str) -> Result<UsableKey, CryptoError> {
    algorithm("stark").load(&SecretVec::from_vec(hex(scalar)))
}

#[test]
fn a_signature_made_elsewhere() {
    let key = load("0389430e284240916c2a507ae1b553a10804be37f4354dffa8aecb2670d3c42c").unwrap();
    let x = "0148d8123c98a78a41095f991b6276776c894257d676a364c05484cc1981e5c6";
    assert_eq!(key.public_key().unwrap().raw()[1..33], hex(x));
    let hash = hex("009418c1e83834df70c997b711772de346a4820e666579b0d2301f3a0d5a1f65");
    let signature = key.sign_with(&SignRequest::digest(&hash)).unwrap();
    let want = concat!(
        "0199b8bd22e338a0a8c3ce6fcb329cffff10173bd571ebfa7c34446d5727416e",
        "0104fda53779370699064608c066b031cf2af6120509e2aa882341babd0757ad",
    );
    assert_eq!(signature.bytes, hex(want));
    assert_eq!(signature.recovery_id, Some(1));
    assert_eq!(key.verify_with(&SignRequest::digest(&hash), &signature.bytes), Ok(true));
    let alone = key.algorithm().load_public(key.public_key().unwrap().spki_der()).unwrap();
    assert_eq!(alone.verify_with(&SignRequest::digest(&hash), &signature.bytes), Ok(true));
}

#[test]
fn the_compressed_public_key_of_a_parent() {
    let key = load("0789430e28423fc56c2a507ae1b553a46df7e1127158f3a63bdf30124b8825f8").unwrap();
    let want = "03040bd46daef2eb61f09109d2da63bb8450be977d0a022aa0f326ab31a6255149";
    assert_eq!(key.public_key().unwrap().sec1_compressed(), Some(hex(want)));
}

#[test]
fn hashes_out_of_range() {
    let key = quick_key(algorithm("stark"));
    for hash in ["08".to_owned() + &"00".repeat(31), "ff".repeat(32), ORDER.to_owned()] {
        let hash = hex(&hash);
        let request = SignRequest::digest(&hash);
        let refused = CryptoError::Invalid("digest: it must be below 2^251");
        assert_eq!(key.sign_with(&request).map(drop), Err(refused));
        assert_eq!(key.verify_with(&request, &[1; 64]), Err(refused));
    }
    for length in [0, 31, 33] {
        let digest = vec![1; length];
        let refused = key.sign_with(&SignRequest::digest(&digest)).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("length of the digest")));
    }
    for edge in ["00".repeat(32), "07".to_owned() + &"ff".repeat(31)] {
        let hash = hex(&edge);
        let request = SignRequest::digest(&hash);
        let signature = key.sign_with(&request).unwrap().bytes;
        assert_eq!(key.verify_with(&request, &signature), Ok(true), "{edge}");
    }
}

#[test]
fn scalars_and_points_out_of_range() {
    for scalar in ["00".repeat(32), ORDER.to_owned(), "ff".repeat(32)] {
        let refused = Err(CryptoError::Invalid("Stark private key"));
        assert_eq!(load(&scalar).map(drop), refused);
        let imported = algorithm("stark").import(KeyFormat::Raw, &hex(&scalar)).map(drop);
        assert_eq!(imported, refused);
    }
    let key = quick_key(algorithm("stark"));
    let raw = key.public_key().unwrap().raw();
    for bad in altered(raw).chain([vec![0; 65], vec![0xff; 65], vec![0], raw[1..].to_vec()]) {
        let refused = algorithm("stark").import_public(PublicFormat::Raw, &bad).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("Stark public key")), "{bad:?}");
    }
}

#[test]
fn a_signature_that_would_make_the_equation_degenerate_is_not_valid() {
    // With the private key 1 and the hash equal to `r`, one side of the equation is the identity.
    let one = "00".repeat(31) + "01";
    let key = load(&one).unwrap();
    let hash = hex(&("00".repeat(31) + "05"));
    let signature = [hash.clone(), hex(&("00".repeat(31) + "07"))].concat();
    assert_eq!(key.verify_with(&SignRequest::digest(&hash), &signature), Ok(false));
    // `r` and `s` of zero, of the order, and above 2^251.
    for bad in ["00".repeat(32), ORDER.to_owned(), "ff".repeat(32)] {
        for at in [0, 32] {
            let mut signature = key.sign_with(&SignRequest::digest(&hash)).unwrap().bytes;
            signature[at..at + 32].copy_from_slice(&hex(&bad));
            assert_eq!(key.verify_with(&SignRequest::digest(&hash), &signature), Ok(false));
        }
    }
}

#[test]
fn the_public_key_carries_its_curve() {
    // OpenSSL 3.0.19 reads these bytes as a valid EC key of 252 bits over those parameters.
    let key = load("0389430e284240916c2a507ae1b553a10804be37f4354dffa8aecb2670d3c42c").unwrap();
    let spki = key.public_key().unwrap().spki_der();
    assert!(spki.ends_with(key.public_key().unwrap().raw()));
    let digest = crate::hash::sha256(&[spki]);
    assert_eq!(digest[..4], [0xeb, 0x07, 0x54, 0xcb]);
}
