use lethe_types::Secret;

use super::{Broken, Counting};
use crate::kdf::{ARGON2_MEMORY_KIB_MAX, Argon2Params};
use crate::passphrase::{
    PASSPHRASE_BYTES_MAX, PASSPHRASE_HASH_BYTES_MAX, PassphraseHasher, Verdict,
};
use crate::{CryptoError, SystemEntropy};

const WEAK: Argon2Params = Argon2Params { memory_kib: 64, passes: 1, lanes: 1 };
const RIGHT: Verdict = Verdict::Right { is_outdated: false };

fn hasher(params: Argon2Params) -> PassphraseHasher {
    PassphraseHasher::new(Secret::init_with(|pepper| pepper.fill(7)), params)
}

#[test]
fn a_passphrase_is_known_again() {
    let hasher = hasher(WEAK);
    let stored = hasher.hash(&SystemEntropy, b"correct horse").unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
    assert_ne!(stored, hasher.hash(&SystemEntropy, b"correct horse").unwrap());
    assert_eq!(hasher.verify(b"correct horse", &stored), Ok(RIGHT));
    for wrong in [b"correct hors".as_slice(), b"correct horse ", b"Correct horse", b"\0"] {
        assert_eq!(hasher.verify(wrong, &stored), Ok(Verdict::Wrong));
    }
    let other = PassphraseHasher::new(Secret::init_with(|pepper| pepper.fill(8)), WEAK);
    assert_eq!(other.verify(b"correct horse", &stored), Ok(Verdict::Wrong));
    assert!(!format!("{hasher:?}").contains("pepper"));
    assert!(stored.len() <= PASSPHRASE_HASH_BYTES_MAX);
}

#[test]
fn the_hash_is_argon2id_with_a_secret() {
    // Made anew with the crate itself: `K` is the pepper, nothing else is added.
    let stored = hasher(WEAK).hash(&Counting, b"correct horse").unwrap();
    let salt: Vec<u8> = (1..=16).collect();
    let params = argon2::Params::new(64, 1, 1, Some(32)).unwrap();
    let (algorithm, version) = (argon2::Algorithm::Argon2id, argon2::Version::V0x13);
    let argon2 = argon2::Argon2::new_with_secret(&[7; 32], algorithm, version, params).unwrap();
    let mut hash = [0; 32];
    argon2.hash_password_into(b"correct horse", &salt, &mut hash).unwrap();
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD_NO_PAD;
    let want =
        format!("$argon2id$v=19$m=64,t=1,p=1${}${}", base64.encode(salt), base64.encode(hash));
    assert_eq!(stored, want);
}

#[test]
fn weaker_parameters_are_outdated() {
    let stored = hasher(WEAK).hash(&Counting, b"passphrase").unwrap();
    for (today, is_outdated) in [
        (WEAK, false),
        (Argon2Params { memory_kib: 65, ..WEAK }, true),
        (Argon2Params { memory_kib: 63, ..WEAK }, false),
        (Argon2Params { passes: 2, ..WEAK }, true),
        (Argon2Params { lanes: 2, ..WEAK }, true),
    ] {
        let verdict = hasher(today).verify(b"passphrase", &stored);
        assert_eq!(verdict, Ok(Verdict::Right { is_outdated }), "{today:?}");
        // A wrong passphrase says nothing of it.
        assert_eq!(hasher(today).verify(b"passphrasf", &stored), Ok(Verdict::Wrong));
    }
}

#[test]
fn malformed_strings() {
    let hasher = hasher(WEAK);
    let stored = hasher.hash(&Counting, b"passphrase").unwrap();
    let check = |stored: &str| {
        let refused = hasher.verify(b"passphrase", stored);
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{stored}");
    };
    (0..stored.len()).for_each(|length| check(&stored[..length]));
    for (from, to) in [
        ("argon2id", "argon2i"),
        ("argon2id", "Argon2id"),
        ("v=19", "v=16"),
        ("$v=19", ""),
        ("m=64,t=1,p=1", "m=64,p=1,t=1"),
        ("m=64,t=1,p=1", "m=64,t=1"),
        ("m=64,t=1,p=1", "m=64,t=1,p=1,keyid=AAAA"),
        ("m=64", "m=064"),
        ("m=64", "m=+64"),
        ("m=64", "m=-64"),
        ("m=64", "m="),
        ("m=64", "m=7"),
        ("m=64", "m=99999999999"),
        ("t=1", "t=0"),
        ("t=1", "t=65"),
        ("p=1", "p=0"),
        ("p=1", "p=65"),
    ] {
        assert!(stored.contains(from));
        check(&stored.replacen(from, to, 1));
    }
    check(&stored.replacen("m=64", &format!("m={}", ARGON2_MEMORY_KIB_MAX + 1), 1));
    check(&format!("{stored}="));
    check(&format!("{stored}$"));
    check(&format!("{stored}$AAAA"));
    check(&format!(" {stored}"));
    check(&format!("{stored}\n"));
    check(&stored.repeat(2));
    check(&"$".repeat(1 << 16));
    assert_eq!(hasher.verify(b"passphrase", &stored), Ok(RIGHT));
}

#[test]
fn passphrases_of_another_length() {
    let hasher = hasher(WEAK);
    let stored = hasher.hash(&Counting, b"passphrase").unwrap();
    let refused = CryptoError::Invalid("length of the passphrase");
    for passphrase in [vec![], vec![7; PASSPHRASE_BYTES_MAX + 1]] {
        assert_eq!(hasher.hash(&Counting, &passphrase), Err(refused));
        assert_eq!(hasher.verify(&passphrase, &stored), Err(refused));
    }
    assert!(hasher.hash(&Counting, &[7; PASSPHRASE_BYTES_MAX]).is_ok());
    assert_eq!(hasher.hash(&Broken, b"passphrase"), Err(CryptoError::Entropy));
}
