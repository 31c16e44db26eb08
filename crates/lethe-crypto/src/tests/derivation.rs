//! Derivation: BIP-32, SLIP-0010, symmetric children, and what has no children.

use lethe_types::SecretVec;

use super::tally::Tally;
use super::{algorithm, hex, lines, quick_key, quick_material};
use crate::CryptoError;
use crate::registry::{Algorithm, DerivationPath, KeyFormat, PublicKey, Use};

fn path(text: &str) -> DerivationPath {
    text.parse().unwrap()
}

#[test]
fn paths_of_bip_32_and_slip_0010() {
    let vectors = lines(include_str!("../../vectors/derivation.txt"), &[]);
    let mut tallies = [Tally::new("BIP-32"), Tally::new("SLIP-0010")];
    for line in &vectors {
        let algorithm = algorithm(line.fields[0]);
        tallies[usize::from(algorithm.name().starts_with("slip10"))].accepted(algorithm);
        let master = algorithm.master(&line.bytes(1)).unwrap();
        let child = algorithm.derive_child(master.secret(), &path(line.fields[2])).unwrap();
        let want = [line.bytes(4), line.bytes(3)].concat();
        assert!(child.secret().ct_eq(&want), "{:?}", line.fields);
        let public = child.public_key().unwrap();
        let compressed = PublicKey::sec1_compressed(public);
        let public = compressed.unwrap_or_else(|| public.raw().to_vec());
        assert_eq!(public, line.bytes(5), "{:?}", line.fields);
        // One step after another comes to the same.
        let mut stepped = SecretVec::copy_from(master.secret().expose());
        for &number in path(line.fields[2]).numbers() {
            let step = DerivationPath::new(&[number]).unwrap();
            stepped = algorithm.derive_child(&stepped, &step).unwrap().into_parts().0;
        }
        assert!(stepped.ct_eq(&want));
    }
    assert_eq!(vectors.len(), 44);
}

#[test]
fn children_of_a_key_with_a_chain_code_from_elsewhere() {
    let key = "957def5eef6774357ede0ddab7252ca498c55b0415aa69c7454f56211cb4c6bc";
    let chain_code = "033e6bd2c6534c2783557ef237b6581110e6ec076e2a7cb86d40b2595bbb22c3";
    let bip32 = algorithm("bip32-secp256k1");
    let parent = bip32.import(KeyFormat::Raw, &hex(&[key, chain_code].concat())).unwrap();
    for (text, want) in [
        ("m/0", "0360b565c3eae38c8744c859a5b83c598d313966b60e4af1ec76dcad5831c19047"),
        ("m/0/1/2", "036f18d3bbd18eeaba957ce40c83635adb83accf18a5bc418c577d295f28470d0b"),
    ] {
        for name in ["secp256k1", "ecdsa-secp256k1", "bip340-secp256k1", "ecdh-secp256k1"] {
            let child =
                bip32.derive_child_as(parent.secret(), &path(text), algorithm(name)).unwrap();
            assert_eq!(child.public_key().unwrap().sec1_compressed(), Some(hex(want)));
            assert_eq!(child.secret().len(), 32);
        }
    }
}

#[test]
fn children_without_a_chain_code_are_plain_keys() {
    for (parent, child) in [
        ("slip10-ed25519", "ed25519"),
        ("slip10-p256", "ecdsa-p256"),
        ("slip10-p256", "ecdh-p256"),
        ("bip32-secp256k1", "secp256k1"),
    ] {
        let (parent, child) = (algorithm(parent), algorithm(child));
        let material = quick_material(parent);
        let at = path("m/44'/0'");
        let plain = parent.derive_child_as(&material, &at, child).unwrap();
        let extended = parent.derive_child(&material, &at).unwrap();
        assert_eq!(plain.public_key(), extended.public_key());
        assert!(child.load(plain.secret()).is_ok());
        // Those keep the chain code, and never leave.
        for format in [KeyFormat::Raw, KeyFormat::Pkcs8Der, KeyFormat::Pkcs8Pem, KeyFormat::Jwk] {
            let refused = parent.export(extended.secret(), format).map(drop);
            assert!(matches!(refused, Err(CryptoError::Unsupported(_))), "{parent} {format:?}");
        }
    }
    for (parent, child) in [
        ("slip10-ed25519", "ecdsa-p256"),
        ("slip10-ed25519", "ed25519-expanded"),
        ("slip10-p256", "ed25519"),
        ("slip10-p256", "slip10-p256"),
        ("bip32-secp256k1", "ed25519"),
        ("bip32-secp256k1", "aes256-gcm"),
        ("secp256k1", "secp256k1"),
        ("hmac-sha256", "secp256k1"),
        ("ed25519", "ed25519"),
    ] {
        let (parent, child) = (algorithm(parent), algorithm(child));
        let refused = parent.derive_child_as(&quick_material(parent), &path("m/0'"), child);
        let is_refused = matches!(refused, Err(CryptoError::Unsupported(_)));
        assert!(is_refused, "{parent} {child}");
    }
}

#[test]
fn children_by_addition() {
    let vectors = lines(include_str!("../../vectors/additive.txt"), &[]);
    let mut tally = Tally::new("second implementations");
    let mut count = 0;
    for line in vectors.iter().filter(|line| {
        // A build without the curve has no keys on it.
        cfg!(feature = "stark") || line.fields[0] != "hd-stark"
    }) {
        let parent = algorithm(line.fields[0]);
        let mut scalar = line.bytes(1);
        let child = if parent.name() == "hd-ed25519" {
            scalar.reverse();
            algorithm("ed25519-expanded")
        } else {
            algorithm("stark")
        };
        let raw = [scalar, line.bytes(2)].concat();
        let root = parent.import(KeyFormat::Raw, &raw).unwrap();
        let at = path(line.fields[3]);
        let extended = parent.derive_child(root.secret(), &at).unwrap();
        let plain = parent.derive_child_as(root.secret(), &at, child).unwrap();
        for public in [extended.public_key().unwrap(), plain.public_key().unwrap()] {
            let written = public.sec1_compressed().unwrap_or_else(|| public.raw().to_vec());
            assert_eq!(written, line.bytes(4), "{:?}", line.fields);
        }
        assert!(child.load(plain.secret()).is_ok());
        tally.accepted(parent);
        count += 1;
    }
    assert_eq!(count, if cfg!(feature = "stark") { 14 } else { 7 });
}

#[test]
fn children_by_addition_that_are_refused() {
    let all = ["hd-ed25519", "hd-stark"];
    for name in all.into_iter().filter(|name| cfg!(feature = "stark") || *name != "hd-stark") {
        let parent = algorithm(name);
        let material = quick_material(parent);
        for text in ["m/0'", "m/0/1h", "m/2147483647H"] {
            let refused = parent.derive_child(&material, &path(text)).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("derivation path: hardened")), "{text}");
        }
        for other in ["ed25519", "secp256k1", "bip32-secp256k1", name] {
            let refused = parent.derive_child_as(&material, &path("m/0"), algorithm(other));
            assert!(matches!(refused.map(drop), Err(CryptoError::Unsupported(_))), "{other}");
        }
        // No standard says how they come out of a seed.
        assert!(matches!(parent.master(&[7; 32]), Err(CryptoError::Unsupported(_))));
        for format in [KeyFormat::Raw, KeyFormat::Pkcs8Der, KeyFormat::Jwk] {
            let refused = parent.export(&material, format).map(drop);
            assert!(matches!(refused, Err(CryptoError::Unsupported(_))), "{format:?}");
        }
        for bad in [vec![0; 64], vec![0xff; 64], vec![1; 63], vec![1; 65], Vec::new()] {
            assert!(parent.import(KeyFormat::Raw, &bad).is_err(), "{name}");
        }
    }
}

#[test]
fn ed25519_has_hardened_children_alone() {
    let slip10 = algorithm("slip10-ed25519");
    let parent = quick_material(slip10);
    for text in ["m/0", "m/0'/1", "m/2147483647", "m/0'/1'/2"] {
        let refused = slip10.derive_child(&parent, &path(text)).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("derivation path: not hardened")), "{text}");
    }
    assert!(slip10.derive_child(&parent, &path("m/0'/1'/2h/3H")).is_ok());
}

#[test]
fn what_is_no_path() {
    let refused = [
        "",
        "/",
        "0",
        "M",
        "m/",
        "/m",
        "m//0",
        "m/0/",
        "n/0",
        "m0",
        "m /0",
        "m/ 0",
        "m/0 ",
        "m/-1",
        "m/+1",
        "m/0x1",
        "m/a",
        "m/'",
        "m/h",
        "m/0''",
        "m/0h'",
        "m/0'h",
        "m/2147483648",
        "m/2147483648'",
        "m/4294967296",
        "m/99999999999999999999",
        "m/00",
        "m/01",
        "m/1_0",
        "m/١",
        "m/0’",
        "m\\0",
    ];
    for text in refused {
        assert!(text.parse::<DerivationPath>().is_err(), "{text:?}");
    }
    let long = format!("m{}", "/0".repeat(256));
    assert!(long.parse::<DerivationPath>().is_err());
    assert!("m/0".repeat(100_000).parse::<DerivationPath>().is_err());
    assert!(DerivationPath::new(&[0; 256]).is_err());
    for text in ["m", "m/0", "m/0'/2147483647'/1", &format!("m{}", "/2147483647'".repeat(255))] {
        assert_eq!(path(text).to_string(), *text);
    }
    assert_eq!(path("m/1h/2H/3'").to_string(), "m/1'/2'/3'");
    assert_eq!(path("m/1'").numbers(), [0x8000_0001]);
}

#[test]
fn seeds_and_parents_that_are_none() {
    for name in ["bip32-secp256k1", "slip10-ed25519", "slip10-p256"] {
        let algorithm = algorithm(name);
        for length in [0, 1, 15, 65, 1_000] {
            let refused = algorithm.master(&vec![1; length]).map(drop);
            assert_eq!(refused, Err(CryptoError::Invalid("length of the seed")), "{length}");
        }
        for length in [0, 32, 63, 65] {
            let refused =
                algorithm.derive_child(&SecretVec::from_vec(vec![1; length]), &path("m/0'"));
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {length}");
        }
    }
    for name in ["bip32-secp256k1", "slip10-p256"] {
        for key in [[0; 32], [0xff; 32]] {
            let parent = SecretVec::from_vec([key, [1; 32]].concat());
            let refused = algorithm(name).derive_child(&parent, &path("m"));
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name}");
            let refused = algorithm(name).import(KeyFormat::Raw, parent.expose());
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name}");
        }
    }
    for algorithm in Algorithm::all().filter(|algorithm| !algorithm.has(Use::DeriveKey)) {
        let material = quick_material(algorithm);
        let refused = [
            algorithm.derive_child(&material, &path("m/0'")).map(drop),
            algorithm.derive_symmetric(&material, b"label", algorithm).map(drop),
            algorithm.master(&[1; 32]).map(drop),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(CryptoError::Unsupported(_))), "{algorithm}");
        }
    }
}

#[test]
fn symmetric_children() {
    let parent = algorithm("hmac-sha256");
    let material = SecretVec::from_vec((0..32).collect());
    let derive = |label: &[u8], child: &str| {
        parent.derive_symmetric(&material, label, algorithm(child)).unwrap().into_parts().0
    };
    let child = derive(b"label", "aes256-gcm");
    // HKDF of RFC 5869 over HMAC, written out: extract without a salt, one block of output.
    let extracted = crate::hash::hmac_sha256(&[0; 32], &[material.expose()]);
    let info = b"lethe-symmetric-child/v1\0aes256-gcm\0label\x01";
    assert!(child.ct_eq(&crate::hash::hmac_sha256(&extracted, &[info])));
    assert!(child.ct_eq(derive(b"label", "aes256-gcm").expose()));
    for (label, name) in [(b"labem".as_slice(), "aes256-gcm"), (b"", "aes256-gcm")] {
        assert!(!child.ct_eq(derive(label, name).expose()));
    }
    assert!(!child.ct_eq(derive(b"label", "chacha20-poly1305").expose()));
    for (name, length) in [("aes128-gcm", 16), ("hmac-sha512", 64), ("hmac-sha256", 32)] {
        let child = derive(b"label", name);
        assert_eq!(child.len(), length, "{name}");
        assert!(algorithm(name).load(&child).is_ok());
    }
    let refused = parent.derive_symmetric(&material, &[b'l'; 1_025], parent).map(drop);
    assert_eq!(refused, Err(CryptoError::Invalid("length of the label")));
    for name in ["ed25519", "secp256k1", "bip32-secp256k1", "rsa-2048"] {
        let refused = parent.derive_symmetric(&material, b"label", algorithm(name)).map(drop);
        assert!(matches!(refused, Err(CryptoError::Unsupported(_))), "{name}");
    }
    let short = SecretVec::from_vec(vec![1; 13]);
    let refused = parent.derive_symmetric(&short, b"label", parent).map(drop);
    assert!(matches!(refused, Err(CryptoError::Invalid(_))));
}

#[test]
fn keys_that_derive_sign_as_well() {
    for name in ["bip32-secp256k1", "slip10-ed25519", "slip10-p256", "hd-ed25519"] {
        let key = quick_key(algorithm(name));
        let signature = key.sign(None, b"message").unwrap();
        assert_eq!(key.verify(None, b"message", &signature), Ok(true), "{name}");
        assert!(key.agree(key.public_key().unwrap().raw()).is_err(), "{name}");
    }
}
