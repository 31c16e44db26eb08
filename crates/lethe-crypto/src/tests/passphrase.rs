use super::{Broken, Counting};
use crate::CryptoError;
use crate::kdf::Argon2Params;
use crate::passphrase::{LANES_MAX, MEMORY_KIB_MAX, PASSES_MAX, PassphraseHash, hash, pretend};

const CHEAP: Argon2Params = Argon2Params { memory_kib: 16, passes: 1, lanes: 1 };

/// From `test.c` of the reference implementation of Argon2, as in the tests of the library.
const REFERENCE: &str =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

#[test]
fn a_hash_of_the_reference_implementation_verifies() {
    let stored = PassphraseHash::parse(REFERENCE).unwrap();
    assert_eq!(stored.cost(), Argon2Params { memory_kib: 65_536, passes: 2, lanes: 1 });
    assert_eq!(stored.verify(b"password"), Ok(true));
    assert_eq!(stored.verify(b"sassword"), Ok(false));
}

#[test]
fn only_the_passphrase_that_was_hashed_verifies() {
    for passphrase in [b"".as_slice(), b"correct horse", "Schlüssel".as_bytes(), &[0; 1_024]] {
        let text = hash(CHEAP, passphrase, &Counting).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=16,t=1,p=1$AQIDBAUGBwgJCgsMDQ4PEA$"), "{text}");
        let stored = PassphraseHash::parse(&text).unwrap();
        assert_eq!(stored.verify(passphrase), Ok(true));
        let longer = [passphrase, b"x"].concat();
        for wrong in [b"wrong".as_slice(), &longer] {
            assert_eq!(stored.verify(wrong), Ok(false));
        }
        assert!(!format!("{stored:?}").contains("hash"));
    }
}

#[test]
fn other_forms_are_refused() {
    let good = hash(CHEAP, b"x", &Counting).unwrap();
    assert!(PassphraseHash::parse(&good).is_ok());
    let changed = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        text
    };
    let refused = [
        String::new(),
        "x".to_owned(),
        changed("$argon2id", "argon2id"),
        changed("argon2id", "argon2i"),
        changed("argon2id", "argon2d"),
        changed("argon2id", "ARGON2ID"),
        changed("argon2id", "scrypt"),
        changed("v=19", "v=16"),
        changed("$v=19", ""),
        changed("m=16,t=1", "t=1,m=16"),
        changed("m=16", "m=016"),
        changed("m=16", "m=7"),
        changed("m=16", "m=4294967296"),
        changed("m=16", "m=4294967295"),
        changed("t=1", "t=0"),
        changed("t=1", "t=65"),
        changed("p=1", "p=0"),
        changed("p=1", "p=3"),
        changed(",p=1", ""),
        changed("p=1", "p=1,keyid=8PDw8A"),
        changed("p=1", "p=1,data=Dw8P"),
        changed("p=1", "p=1,p=1"),
        changed("AQIDBAUGBwgJCgsMDQ4PEA", "AQID"),
        changed("AQIDBAUGBwgJCgsMDQ4PEA", "AQIDBAUGBwgJCgsMDQ4PEB"),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        format!("{good}="),
        format!("{good}$"),
        format!("{good}\n"),
        format!(" {good}"),
        good.rsplit_once('$').unwrap().0.to_owned(),
    ];
    for text in refused {
        assert!(PassphraseHash::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn costs_out_of_bounds_are_refused_before_any_work() {
    let refused = Err(CryptoError::Invalid("Argon2id parameters"));
    for cost in [
        Argon2Params { memory_kib: MEMORY_KIB_MAX + 1, ..CHEAP },
        Argon2Params { memory_kib: 7, ..CHEAP },
        Argon2Params { passes: 0, ..CHEAP },
        Argon2Params { passes: PASSES_MAX + 1, ..CHEAP },
        Argon2Params { lanes: 0, ..CHEAP },
        Argon2Params { lanes: 3, ..CHEAP },
        Argon2Params { memory_kib: 65_536, lanes: LANES_MAX + 1, ..CHEAP },
    ] {
        assert_eq!(pretend(cost, b"x"), refused, "{cost:?}");
        assert_eq!(hash(cost, b"x", &Counting).map(drop), refused, "{cost:?}");
    }
    assert_eq!(pretend(CHEAP, b"x"), Ok(()));
    assert_eq!(hash(CHEAP, b"x", &Broken), Err(CryptoError::Entropy));
}
