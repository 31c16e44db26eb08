use lethe_types::Secret;

use super::{altered, hex};
use crate::hash::hmac_sha256;
use crate::token::{Pepper, hash_secret};

fn pepper(byte: u8) -> Secret<32> {
    Secret::init_with(|buf| buf.fill(byte))
}

/// Made once with `openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07` over
/// `lethe-credential/v1bearer`. Stored hashes stand on it.
#[test]
fn the_hash_is_fixed() {
    assert_eq!(hash_secret(&pepper(7), b"bearer").to_vec(), hex(GOLDEN));
}

#[test]
fn hashes_are_hmac_with_a_domain() {
    for secret in [b"".as_slice(), b"bearer", &[5; 32], &[5; 1000]] {
        let hash = Pepper::new(&pepper(7)).hash(secret);
        assert_eq!(hash, hmac_sha256(&[7; 32], &[b"lethe-credential/v1", secret]));
        assert_eq!(hash, hash_secret(&pepper(7), secret));
        assert_ne!(hash, hmac_sha256(&[7; 32], &[secret]));
    }
}

#[test]
fn the_right_secret_alone_is_verified() {
    let keyed = Pepper::new(&pepper(7));
    let secret = b"a bearer secret of 256 bits.....";
    let hash = keyed.hash(secret);
    assert!(keyed.verify(secret, &hash));
    assert!(altered(secret).all(|secret| !keyed.verify(&secret, &hash)));
    assert!(altered(&hash).all(|hash| !keyed.verify(secret, &hash.try_into().unwrap())));
    for secret in [b"".as_slice(), &secret[..31], &[secret.as_slice(), &[0]].concat()] {
        assert!(!keyed.verify(secret, &hash));
    }
    assert!(!Pepper::new(&pepper(8)).verify(secret, &hash));
    assert!(!keyed.verify(b"", &[0; 32]));
    assert_eq!(format!("{keyed:?}"), "Pepper(..)");
}

/// Against the library's own HKDF-Expand.
#[test]
fn derived_keys_are_hkdf_expand_and_differ_by_purpose() {
    use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
    let keyed = Pepper::new(&pepper(7));
    for purpose in ["", "a", "session", "session2"] {
        let info = [b"lethe-derived-key/v1".as_slice(), purpose.as_bytes()];
        let prk = Prk::new_less_safe(HKDF_SHA256, &[7; 32]);
        let mut want = [0; 32];
        prk.expand(&info, HKDF_SHA256).unwrap().fill(&mut want).unwrap();
        assert_eq!(keyed.derive(purpose).expose(), &want, "{purpose}");
    }
    assert!(!keyed.derive("a").ct_eq(&keyed.derive("b")));
    assert!(!keyed.derive("a").ct_eq(&Pepper::new(&pepper(8)).derive("a")));
}

const GOLDEN: &str = "432fb49546712e4b7caaf4d02d61cfd890c25be6a2fb58e8d2b335b588b70c1f";
