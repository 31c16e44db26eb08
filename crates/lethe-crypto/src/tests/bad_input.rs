//! Every algorithm against every kind of bad input that its uses can meet: one table, so that a new
//! algorithm cannot come without. The files beside this one look closer at each kind.

use lethe_types::SecretVec;

use super::tally::Tally;
use super::{Counting, quick_key, quick_material};
use crate::CryptoError;
use crate::registry::{
    Algorithm, DecryptParams, DerivationPath, KEY_FORM_BYTES_MAX, KeyFormat, PublicFormat,
    UsableKey, Use,
};

/// What a bad input was answered with.
#[derive(Debug, PartialEq)]
enum Answer {
    /// The input is malformed.
    Invalid,
    /// The input was not made with this key.
    Authentication,
    /// A signature or a code that is not valid; no error.
    NotValid,
    /// The input was taken.
    Taken,
}

fn answer<T>(result: Result<T, CryptoError>) -> Answer {
    match result {
        Ok(_) => Answer::Taken,
        Err(CryptoError::Invalid(_)) => Answer::Invalid,
        Err(CryptoError::Authentication) => Answer::Authentication,
        Err(error) => panic!("{error}"),
    }
}

fn verdict(result: Result<bool, CryptoError>) -> Answer {
    if result.unwrap() { Answer::Taken } else { Answer::NotValid }
}

/// `good` cut, extended, emptied, and as long but of one byte alone.
fn spoilt(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut last = good.to_vec();
    *last.last_mut().unwrap() ^= 0x80;
    vec![
        ("empty", Vec::new()),
        ("one byte", vec![0]),
        ("half", good[..good.len() / 2].to_vec()),
        ("a byte short", good[..good.len() - 1].to_vec()),
        ("a byte long", [good, &[0]].concat()),
        ("zeros", vec![0; good.len()]),
        ("ones", vec![0xff; good.len()]),
        ("last bit", last),
        ("a megabyte", vec![0x30; 1 << 20]),
    ]
}

type Try<'a> = Box<dyn Fn(&[u8]) -> Answer + 'a>;

/// A kind of input of a key: what it is for, a good one, and how it is tried.
struct Input<'a> {
    of: &'static str,
    good: Vec<u8>,
    attempt: Try<'a>,
    refused: Answer,
    /// Spoilt inputs that are good ones as well.
    taken: &'static [&'static str],
}

fn input<'a>(
    of: &'static str,
    good: Vec<u8>,
    refused: Answer,
    attempt: impl Fn(&[u8]) -> Answer + 'a,
) -> Input<'a> {
    Input { of, good, attempt: Box::new(attempt), refused, taken: &[] }
}

fn inputs(key: &UsableKey) -> Vec<Input<'_>> {
    let algorithm = key.algorithm();
    let has = |one| algorithm.has(one);
    let mut all = Vec::new();
    if has(Use::Sign) {
        let good = key.sign(None, b"message").unwrap();
        let verify = |bytes: &[u8]| verdict(key.verify(None, b"message", bytes));
        all.push(input("signature", good, Answer::NotValid, verify));
    }
    if has(Use::Mac) {
        let good = key.mac(b"message").unwrap();
        let verify = |bytes: &[u8]| verdict(key.mac_verify(b"message", bytes));
        all.push(input("code", good, Answer::NotValid, verify));
    }
    let is_authenticated = algorithm.cipher_shape().is_none_or(|shape| shape.is_authenticated);
    if has(Use::Encrypt) && is_authenticated {
        let mut good = Vec::new();
        key.encrypt(&Counting, b"plaintext", b"", &mut good).unwrap();
        let open = |bytes: &[u8]| answer(key.decrypt(bytes, b""));
        all.push(input("ciphertext", good, Answer::Authentication, open));
    }
    if let Some(shape) = algorithm.cipher_shape().filter(|shape| shape.is_authenticated) {
        let open = |bytes: &[u8]| {
            let tag = Some(bytes);
            answer(key.decrypt_with(&DecryptParams { tag, ..DecryptParams::default() }, &[7; 64]))
        };
        // A tag of the right length is only wrong, not malformed.
        let tag = input("tag", vec![7; shape.tag_bytes], Answer::Invalid, open);
        all.push(Input { taken: &["zeros", "ones", "last bit"], ..tag });
    }
    if has(Use::WrapKey) {
        let good = key.wrap(&[7; 32]).unwrap();
        let open = |bytes: &[u8]| answer(key.unwrap(bytes));
        all.push(input("wrapped key", good, Answer::Authentication, open));
    }
    if has(Use::Decapsulate) {
        let good = key.encapsulate(&Counting).unwrap().ciphertext;
        let open = |bytes: &[u8]| answer(key.decapsulate(bytes));
        // Implicit rejection: another secret. The hybrid refuses a point of zeros.
        let taken: &[_] = if algorithm.name().starts_with('x') { HYBRID_TAKEN } else { KEM_TAKEN };
        let encapsulated = input("encapsulation", good, Answer::Invalid, open);
        all.push(Input { taken, ..encapsulated });
    }
    if has(Use::Agree) {
        let good = key.public_key().unwrap().raw().to_vec();
        let agree = |bytes: &[u8]| answer(key.agree(bytes));
        let is_montgomery = algorithm.name().starts_with('x');
        // On Montgomery curves every other string is a point of the curve or its twist.
        let taken: &[_] = if is_montgomery { &["ones", "last bit"] } else { &[] };
        all.push(Input { taken, ..input("peer", good, Answer::Invalid, agree) });
    }
    if let Some(public) = key.public_key() {
        let import =
            move |bytes: &[u8]| answer(algorithm.import_public(PublicFormat::SpkiDer, bytes));
        let key = input("public key", public.spki_der().to_vec(), Answer::Invalid, import);
        all.push(Input { taken: LAST_BIT, ..key });
    }
    all
}

const KEM_TAKEN: &[&str] = &["zeros", "ones", "last bit"];
const HYBRID_TAKEN: &[&str] = &["ones", "last bit"];
/// The last bit of a public key is part of a coordinate or a seed: whether it is a key differs.
const LAST_BIT: &[&str] = &["last bit"];

fn check_input(algorithm: Algorithm, input: &Input<'_>, tally: &mut Tally) {
    let attempt = &input.attempt;
    // The control: what is not spoilt is taken, but for a tag of nothing.
    assert!(input.of == "tag" || attempt(&input.good) == Answer::Taken, "{algorithm} {}", input.of);
    for (how, bytes) in spoilt(&input.good) {
        if !input.taken.contains(&how) {
            assert_eq!(attempt(&bytes), input.refused, "{algorithm} {} {how}", input.of);
            tally.refused(algorithm);
        }
    }
}

/// A key that is no key, in every form.
fn check_material(algorithm: Algorithm, tally: &mut Tally) {
    let good = quick_material(algorithm);
    for (how, bytes) in spoilt(good.expose()) {
        let is_length_alone = ["zeros", "ones", "last bit"].contains(&how);
        let within = algorithm.material_bytes().contains(&bytes.len());
        if is_length_alone || within {
            continue;
        }
        let loaded = algorithm.load(&SecretVec::from_vec(bytes));
        assert_eq!(answer(loaded), Answer::Invalid, "{algorithm} material {how}");
        tally.refused(algorithm);
    }
    for &format in KeyFormat::ALL {
        for bytes in [&[][..], b"\0", &[0xff; 64], &vec![b'{'; KEY_FORM_BYTES_MAX + 1]] {
            let imported = algorithm.import(format, bytes);
            if imported.is_err() {
                tally.refused(algorithm);
            } else {
                // Sixty-four bytes of anything are a key of some algorithms.
                assert_eq!((format, bytes.len()), (KeyFormat::Raw, 64), "{algorithm}");
            }
        }
    }
}

fn check_derivation(algorithm: Algorithm, tally: &mut Tally) {
    let parent = quick_material(algorithm);
    let long = vec![b'l'; 1_025];
    let refused = answer(algorithm.derive_symmetric(&parent, &long, algorithm));
    assert_eq!(refused, Answer::Invalid, "{algorithm}");
    tally.refused(algorithm);
}

#[test]
fn every_algorithm_refuses_every_kind_of_bad_input() {
    let mut tally = Tally::new("bad input, made here");
    for algorithm in Algorithm::all() {
        let before = tally.totals().1;
        let key = quick_key(algorithm);
        inputs(&key).iter().for_each(|input| check_input(algorithm, input, &mut tally));
        check_material(algorithm, &mut tally);
        if algorithm.object_type().as_str() == "symmetric_key" && algorithm.has(Use::DeriveKey) {
            check_derivation(algorithm, &mut tally);
        }
        assert!(tally.totals().1 - before >= 25, "{algorithm} {}", tally.totals().1 - before);
    }
    for text in ["", "m/", "m/2147483648", "m/0/", "m/-1", "m/0''"] {
        assert_eq!(answer(text.parse::<DerivationPath>()), Answer::Invalid, "{text}");
    }
}
