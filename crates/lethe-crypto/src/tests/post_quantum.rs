//! ML-KEM, X-Wing and ML-DSA: published vectors and what they refuse.

use lethe_types::SecretVec;

use super::tally::Tally;
use super::{Broken, LOW_ORDER_POINTS, algorithm, altered, hex, quick_key, records};
use crate::hash::sha256;
use crate::registry::{Algorithm, KeyFormat, UsableKey, Use};
use crate::{CryptoError, SystemEntropy};

const KEMS: [(&str, usize); 4] = [
    ("ml-kem-512", 768),
    ("ml-kem-768", 1_088),
    ("ml-kem-1024", 1_568),
    ("x25519-ml-kem-768", 1_120),
];
const ML_DSA: [&str; 3] = ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"];

fn load(algorithm: Algorithm, material: Vec<u8>) -> Result<UsableKey, CryptoError> {
    algorithm.load(&SecretVec::from_vec(material))
}

/// The `SubjectPublicKeyInfo` of another key with `public` in the place of its own.
fn replaced_public(key: &UsableKey, public: &[u8]) -> Vec<u8> {
    let spki = key.public_key().unwrap().spki_der();
    [&spki[..spki.len() - public.len()], public].concat()
}

/// The expanded private key of a seed.
fn expanded(algorithm: Algorithm, seed: &[u8]) -> SecretVec {
    if algorithm.has(Use::Decapsulate) {
        return crate::algorithms::ml_kem::expanded(algorithm.name(), seed);
    }
    crate::algorithms::ml_dsa::expanded(algorithm.name(), seed)
}

#[test]
fn lattices_of_nist() {
    let mut tally = Tally::new("NIST ACVP");
    let mut private = None;
    for vector in records(include_str!("../../vectors/nist-lattices.txt")) {
        let algorithm = vector.algorithm();
        match vector.text("kind") {
            "keygen" => {
                let key = load(algorithm, vector.bytes("seed")).unwrap();
                let public = key.public_key().unwrap().raw();
                assert_eq!(sha256(&[public]).to_vec(), vector.bytes("public_sha256"));
                let private = expanded(algorithm, &vector.bytes("seed"));
                assert_eq!(sha256(&[private.expose()]).to_vec(), vector.bytes("private_sha256"));
            }
            "private" => {
                private = Some(load(algorithm, vector.base64("private")).unwrap());
                continue;
            }
            "decapsulate" => {
                let key: &UsableKey = private.as_ref().unwrap();
                assert_eq!(key.algorithm(), algorithm);
                let secret = key.decapsulate(&vector.base64("ciphertext")).unwrap();
                assert!(secret.ct_eq(&vector.bytes("secret")));
            }
            other => panic!("{other}"),
        }
        tally.accepted(algorithm);
    }
    assert_eq!(tally.totals(), (180, 0));
}

#[test]
fn x_wing_of_its_draft() {
    let vectors = records(include_str!("../../vectors/x-wing.txt"));
    let mut tally = Tally::new("X-Wing, its draft");
    for vector in &vectors {
        tally.accepted("x25519-ml-kem-768");
        let key = load(algorithm("x25519-ml-kem-768"), vector.bytes("seed")).unwrap();
        let public = key.public_key().unwrap().raw();
        assert_eq!(public.len(), 1_216);
        assert_eq!(sha256(&[public]).to_vec(), vector.bytes("public_sha256"));
        let secret = key.decapsulate(&vector.base64("ciphertext")).unwrap();
        assert!(secret.ct_eq(&vector.bytes("secret")));
    }
    assert_eq!(vectors.len(), 3);
}

#[test]
fn a_public_key_alone_encapsulates_and_nothing_else() {
    for (name, ciphertext_bytes) in KEMS {
        let algorithm = algorithm(name);
        let key = quick_key(algorithm);
        let public = key.public_key().unwrap();
        let alone = algorithm.load_public(public.spki_der()).unwrap();
        assert_eq!(alone.public_key(), Some(public));
        let (one, two) = (
            alone.encapsulate(&SystemEntropy).unwrap(),
            alone.encapsulate(&SystemEntropy).unwrap(),
        );
        assert!(!one.shared_secret.ct_eq(two.shared_secret.expose()), "{name}");
        assert_eq!(one.ciphertext.len(), ciphertext_bytes);
        let shown = format!("{one:?}");
        assert_eq!(shown, format!("Encapsulation({ciphertext_bytes} bytes, ..)"));
        assert!(key.decapsulate(&one.ciphertext).unwrap().ct_eq(one.shared_secret.expose()));
        let refused = alone.decapsulate(&one.ciphertext).map(drop);
        let want = CryptoError::Unsupported("decapsulate a secret without its private key");
        assert_eq!(refused, Err(want), "{name}");
    }
}

#[test]
fn altered_encapsulations_give_another_secret() {
    for (name, _) in KEMS {
        let key = quick_key(algorithm(name));
        let made = key.encapsulate(&SystemEntropy).unwrap();
        for ciphertext in altered(&made.ciphertext).step_by(97) {
            let opened = key.decapsulate(&ciphertext).unwrap();
            assert!(!opened.ct_eq(made.shared_secret.expose()), "{name}");
        }
        let check = |ciphertext: &[u8]| {
            let refused = key.decapsulate(ciphertext).map(drop);
            let want = CryptoError::Invalid("length of the ciphertext");
            assert_eq!(refused, Err(want), "{name} {}", ciphertext.len());
        };
        for length in [0, 1, 31, 32, 33, made.ciphertext.len() - 1] {
            check(&made.ciphertext[..length]);
        }
        check(&[made.ciphertext.as_slice(), &[0]].concat());
        check(&vec![0; 1 << 20]);
    }
}

#[test]
fn x_wing_refuses_points_of_low_order() {
    let algorithm = algorithm("x25519-ml-kem-768");
    let key = quick_key(algorithm);
    let made = key.encapsulate(&SystemEntropy).unwrap();
    let spki = key.public_key().unwrap().spki_der();
    for point in LOW_ORDER_POINTS {
        let point = hex(point);
        let ciphertext = [&made.ciphertext[..1_088], &point].concat();
        let refused = key.decapsulate(&ciphertext).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("X25519 public key")));
        let spki = [&spki[..spki.len() - 32], &point].concat();
        let refused = algorithm.load_public(&spki).map(drop);
        assert_eq!(refused, Err(CryptoError::Invalid("X-Wing public key")));
    }
    assert_eq!(key.encapsulate(&Broken).map(drop), Err(CryptoError::Entropy));
}

#[test]
fn coefficients_that_are_not_reduced() {
    for name in ["ml-kem-512", "ml-kem-768", "ml-kem-1024", "x25519-ml-kem-768"] {
        let algorithm = algorithm(name);
        let key = quick_key(algorithm);
        let public = key.public_key().unwrap().raw();
        let tail = if name.starts_with('x') { 64 } else { 32 };
        // 3,329 in either half of a group of three bytes, at both ends.
        for at in [0, public.len() - tail - 3] {
            for (first, second, third) in [(0x01, 0x0d, 0), (0, 0x10, 0xd0), (0xff, 0xff, 0xff)] {
                let mut wrong = public.to_vec();
                wrong[at..at + 3].copy_from_slice(&[first, second, third]);
                let refused = algorithm.load_public(&replaced_public(&key, &wrong));
                assert!(matches!(refused.map(drop), Err(CryptoError::Invalid(_))), "{name} {at}");
            }
            let mut fine = public.to_vec();
            // 3,328 twice.
            fine[at..at + 3].copy_from_slice(&[0x00, 0x0d, 0xd0]);
            assert!(algorithm.load_public(&replaced_public(&key, &fine)).is_ok(), "{name}");
        }
    }
}

#[test]
fn materials_of_other_lengths() {
    let lengths = [
        ("ml-kem-512", vec![64, 1_632]),
        ("ml-kem-768", vec![64, 2_400]),
        ("ml-kem-1024", vec![64, 3_168]),
        ("x25519-ml-kem-768", vec![32]),
        ("ml-dsa-44", vec![32, 2_560]),
        ("ml-dsa-65", vec![32, 4_032]),
        ("ml-dsa-87", vec![32, 4_896]),
    ];
    for (name, taken) in lengths {
        let near = taken.iter().flat_map(|length| [length - 1, length + 1]);
        for length in near.chain([0, 1, 33, 48, 63, 65, 100, 2_000]) {
            let refused = load(algorithm(name), vec![1; length]).map(drop);
            let is_refused = matches!(refused, Err(CryptoError::Invalid(_)));
            assert!(is_refused || taken.contains(&length), "{name} {length}");
        }
        // An expanded key of nothing is none.
        if let Some(&expanded) = taken.get(1) {
            assert!(load(algorithm(name), vec![0; expanded]).is_err(), "{name}");
        }
    }
}

#[test]
fn altered_expanded_ml_kem_keys() {
    let algorithm = algorithm("ml-kem-512");
    let expanded = crate::algorithms::ml_kem::expanded("ml-kem-512", &[7; 64]);
    let expanded = expanded.expose();
    // The public key inside and its hash; the rest shows in no check but that of a pair.
    for wrong in altered(expanded).skip(768).take(800 + 32).step_by(11) {
        assert!(load(algorithm, wrong).is_err());
    }
    for wrong in altered(expanded).take(768).step_by(97) {
        assert!(algorithm.import(KeyFormat::Raw, &wrong).is_err());
    }
    assert!(algorithm.import(KeyFormat::Raw, expanded).is_ok());
}

#[test]
fn ml_dsa_signatures_are_hedged_and_of_one_length() {
    for (name, bytes) in ML_DSA.into_iter().zip([2_420, 3_309, 4_627]) {
        let key = quick_key(algorithm(name));
        let (one, two) = (key.sign(None, b"message").unwrap(), key.sign(None, b"message").unwrap());
        assert_eq!((one.len(), two.len()), (bytes, bytes), "{name}");
        assert_ne!(one, two, "{name}");
        assert_eq!(key.verify(None, b"message", &one), Ok(true));
        assert_eq!(key.verify(None, b"", &one), Ok(false));
    }
}

#[test]
fn keys_and_signatures_of_another_parameter_set() {
    for name in ML_DSA {
        let signature = quick_key(algorithm(name)).sign(None, b"message").unwrap();
        for other in ML_DSA.into_iter().filter(|other| *other != name) {
            let key = quick_key(algorithm(other));
            assert_eq!(key.verify(None, b"message", &signature), Ok(false));
            let spki = key.public_key().unwrap().spki_der();
            assert!(algorithm(name).load_public(spki).is_err());
        }
    }
    for (name, _) in KEMS {
        for (other, _) in KEMS.into_iter().filter(|(other, _)| *other != name) {
            let key = quick_key(algorithm(other));
            assert!(algorithm(name).load_public(key.public_key().unwrap().spki_der()).is_err());
        }
    }
}
