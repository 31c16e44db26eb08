//! Published vectors, both ways for every recipient, and what must be refused.

use lethe_types::SecretVec;

use super::{Recipient, TRANSPORT_BYTES_MAX, TRANSPORTED_BYTES_MAX, TransportScheme, hpke, open};
use crate::CryptoError;
use crate::registry::Algorithm;
use crate::tests::tally::Tally;
use crate::tests::{
    Broken, Counting, Exactly, LOW_ORDER_POINTS, algorithm, altered, quick_key, quick_material,
    records,
};

const RECIPIENTS: [&str; 4] = ["x25519", "rsa-2048", "rsa-3072", "rsa-4096"];
const INFO: &[u8] = b"lethe-test/v1";

fn recipient(name: &str) -> Recipient {
    let key = quick_key(algorithm(name));
    Recipient::of_spki(key.public_key().unwrap().spki_der()).unwrap()
}

fn secret(bytes: &[u8]) -> SecretVec {
    SecretVec::copy_from(bytes)
}

#[test]
fn hpke_agrees_with_the_vectors_of_rfc_9180() {
    let vectors = records(include_str!("../../vectors/hpke.txt"));
    assert_eq!(vectors.len(), 1);
    for vector in &vectors {
        let x25519 = algorithm("x25519");
        let key = x25519.load(&SecretVec::from_vec(vector.bytes("skRm"))).unwrap();
        assert_eq!(key.public_key().unwrap().raw(), vector.bytes("pkRm"));
        let (info, aad) = (vector.bytes("info"), vector.bytes("aad"));
        let sealed = [vector.bytes("enc"), vector.bytes("ct")].concat();
        assert_eq!(hpke::open(&key, &info, &aad, &sealed).unwrap().expose(), vector.bytes("pt"));
        let ephemeral = Exactly(vector.bytes("skEm"));
        let made = hpke::seal(&ephemeral, &vector.bytes("pkRm"), &info, &aad, &vector.bytes("pt"));
        assert_eq!(made.unwrap(), sealed);
        // The RFC has one that is ours: base mode, these three algorithms, the first message.
        Tally::new("RFC 9180 (HPKE)").accepted("hpke-x25519");
    }
}

#[test]
fn a_key_of_any_length_comes_out_as_it_went_in() {
    for name in RECIPIENTS {
        let (algorithm, recipient) = (algorithm(name), recipient(name));
        for bytes in [1, 7, 8, 16, 32, 138, 2_400, TRANSPORTED_BYTES_MAX] {
            let key = secret(&vec![7; bytes]);
            let wrapped = recipient.seal(&Counting, INFO, &key).unwrap();
            assert!(wrapped.len() <= TRANSPORT_BYTES_MAX);
            let opened = open(algorithm, &quick_material(algorithm), INFO, &wrapped).unwrap();
            assert_eq!(opened.expose(), key.expose(), "{name} {bytes}");
        }
        assert_eq!(Some(recipient.scheme()), TransportScheme::of(algorithm));
    }
}

#[test]
fn what_was_altered_cut_or_meant_for_somebody_else_does_not_open() {
    for name in RECIPIENTS {
        let of = algorithm(name);
        let wrapped = recipient(name).seal(&Counting, INFO, &secret(&[9; 32])).unwrap();
        let refused = |wrapped: &[u8]| {
            let opened = open(of, &quick_material(of), INFO, wrapped);
            assert_eq!(opened.unwrap_err(), CryptoError::Authentication, "{name}");
        };
        // Every byte of the parts that differ, and some of what RSA makes.
        let step = if name == "x25519" { 1 } else { 37 };
        altered(&wrapped).step_by(step).for_each(|wrapped| refused(&wrapped));
        for cut in [0, 1, 31, 32, 47, 48, wrapped.len() - 8, wrapped.len() - 1] {
            refused(&wrapped[..cut]);
        }
        refused(&[wrapped.as_slice(), &[0; 8]].concat());
        refused(&vec![0; TRANSPORT_BYTES_MAX + 1]);
    }
    let x25519 = algorithm("x25519");
    let wrapped = recipient("x25519").seal(&Counting, INFO, &secret(&[9; 32])).unwrap();
    let opened = open(x25519, &quick_material(x25519), b"another", &wrapped);
    assert_eq!(opened.unwrap_err(), CryptoError::Authentication);
    let other = open(x25519, &secret(&[3; 32]), INFO, &wrapped);
    assert_eq!(other.unwrap_err(), CryptoError::Authentication);
    for point in LOW_ORDER_POINTS {
        let sealed = [crate::tests::hex(point), vec![0; 48]].concat();
        let opened = open(x25519, &quick_material(x25519), INFO, &sealed);
        assert_eq!(opened.unwrap_err(), CryptoError::Authentication, "{point}");
    }
}

#[test]
fn only_x25519_and_rsa_receive_keys() {
    for algorithm in Algorithm::all() {
        let is_recipient = RECIPIENTS.contains(&algorithm.name());
        assert_eq!(TransportScheme::of(algorithm).is_some(), is_recipient, "{algorithm}");
        let key = quick_key(algorithm);
        if let Some(public) = key.public_key() {
            assert_eq!(Recipient::of_spki(public.spki_der()).is_ok(), is_recipient, "{algorithm}");
        }
        if !is_recipient {
            let refused = open(algorithm, &quick_material(algorithm), INFO, &[0; 64]).unwrap_err();
            assert!(matches!(refused, CryptoError::Unsupported(_)), "{algorithm}");
        }
    }
    let point = quick_key(algorithm("x25519"));
    let spki = point.public_key().unwrap().spki_der().to_vec();
    for low in LOW_ORDER_POINTS {
        let low = [&spki[..spki.len() - 32], &crate::tests::hex(low)].concat();
        assert!(Recipient::of_spki(&low).is_err(), "a point of low order");
    }
    for bytes in [&[][..], &[0x30], &spki[1..], &[spki.as_slice(), &[0]].concat()] {
        assert!(matches!(Recipient::of_spki(bytes).unwrap_err(), CryptoError::Invalid(_)));
    }
}

#[test]
fn lengths_out_of_bounds_and_a_failing_random_source_are_errors() {
    for name in RECIPIENTS {
        let recipient = recipient(name);
        for bytes in [0, TRANSPORTED_BYTES_MAX + 1] {
            let refused = recipient.seal(&Counting, INFO, &secret(&vec![0; bytes])).unwrap_err();
            assert!(matches!(refused, CryptoError::Invalid(_)), "{name} {bytes}");
        }
        let failed = recipient.seal(&Broken, INFO, &secret(&[1])).unwrap_err();
        assert_eq!(failed, CryptoError::Entropy, "{name}");
    }
}
