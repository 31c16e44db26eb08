//! Tests of the crate: the table, published vectors, and what must be refused.

mod aes_modes;
mod agreement;
mod bad_input;
mod ciphers;
mod convergent;
mod derivation;
mod document;
mod encodings;
mod forms;
mod otp;
mod passphrase;
mod post_quantum;
mod primitives;
mod refused;
mod registry;
mod requests;
mod round_trips;
mod rsa;
mod sealed;
mod secp256k1;
mod shares;
mod signature_vectors;
mod signing_key;
#[cfg(feature = "stark")]
mod stark;
mod symmetric;
pub(crate) mod tally;
mod token;
mod vectors;
mod wycheproof;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_types::{Entropy, EntropyError, SecretVec};

use crate::CryptoError;
use crate::registry::{Algorithm, SignRequest, SignatureScheme, UsableKey};

/// One block of a file under `testdata/`: `name = value` lines, `#` for comments.
pub(crate) struct Record(BTreeMap<&'static str, &'static str>);

impl Record {
    #[track_caller]
    fn text(&self, name: &str) -> &'static str {
        self.0.get(name).unwrap_or_else(|| panic!("no `{name}` in {:?}", self.0))
    }

    #[track_caller]
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        hex(self.text(name))
    }

    #[track_caller]
    fn base64(&self, name: &str) -> Vec<u8> {
        STANDARD.decode(self.text(&format!("{name}_base64"))).unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn is_valid(&self) -> bool {
        self.0.get("result").is_none_or(|result| *result == "valid")
    }

    fn algorithm(&self) -> Algorithm {
        algorithm(self.text("algorithm"))
    }
}

pub(crate) fn records(file: &'static str) -> Vec<Record> {
    let blocks = file.split("\n\n").map(|block| {
        let lines = block.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Record(lines.map(|line| line.split_once(" =").unwrap()).map(trimmed).collect())
    });
    blocks.filter(|record| !record.0.is_empty()).collect()
}

fn trimmed((name, value): (&'static str, &'static str)) -> (&'static str, &'static str) {
    (name, value.trim())
}

#[track_caller]
pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[track_caller]
fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

#[track_caller]
pub(crate) fn algorithm(name: &str) -> Algorithm {
    name.parse().unwrap()
}

/// Keys that OpenSSL made, by the name of their algorithm.
fn stored_key(name: &str, field: &str) -> Vec<u8> {
    let keys = records(include_str!("../testdata/keys.txt"));
    keys.iter().find(|key| key.text("algorithm") == name).unwrap().bytes(field)
}

/// A key of every algorithm in little time: RSA keys come from a file.
pub(crate) fn quick_key(algorithm: Algorithm) -> UsableKey {
    algorithm.load(&quick_material(algorithm)).unwrap()
}

pub(crate) fn quick_material(algorithm: Algorithm) -> SecretVec {
    if algorithm.is_slow_to_generate() {
        SecretVec::from_vec(stored_key(algorithm.name(), "pkcs8"))
    } else {
        algorithm.generate(&Counting).unwrap().into_parts().0
    }
}

/// A request by `scheme`, with a context where one is needed.
fn request_by(scheme: SignatureScheme, message: &[u8]) -> SignRequest<'_> {
    let request = SignRequest::message(message).by(scheme);
    if scheme == SignatureScheme::Ed25519ctx { request.with_context(b"tests") } else { request }
}

fn sign(key: &UsableKey, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
    key.sign_with(&request_by(scheme, message)).map(|signature| signature.bytes)
}

fn verify(
    key: &UsableKey,
    scheme: SignatureScheme,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, CryptoError> {
    key.verify_with(&request_by(scheme, message), signature)
}

/// A file under `vectors/`: lines of fields with spaces between them, `-` for an empty one. Lines
/// of a name and a value hold for the lines after them.
struct Line {
    head: BTreeMap<&'static str, &'static str>,
    fields: Vec<&'static str>,
}

impl Line {
    #[track_caller]
    fn head(&self, name: &str) -> &'static str {
        self.head[name]
    }

    #[track_caller]
    fn bytes(&self, at: usize) -> Vec<u8> {
        if self.fields[at] == "-" { Vec::new() } else { hex(self.fields[at]) }
    }

    /// `None` where both answers are right.
    fn verdict(&self) -> Option<bool> {
        match self.fields[0] {
            "valid" => Some(true),
            "invalid" => Some(false),
            "acceptable" => None,
            other => panic!("{other}"),
        }
    }
}

/// The lines of `file`, of which those whose first field is in `names` are heads.
fn lines(file: &'static str, names: &[&str]) -> Vec<Line> {
    let mut head = BTreeMap::new();
    let mut all = Vec::new();
    for line in file.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<_> = line.split(' ').collect();
        if names.contains(&fields[0]) {
            head.insert(fields[0], fields[1]);
        } else {
            all.push(Line { head: head.clone(), fields });
        }
    }
    all
}

/// Gives 1, 2, 3, …: enough for keys whose secrecy does not matter.
pub(crate) struct Counting;

impl Entropy for Counting {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        buf.iter_mut().zip((1..=255).cycle()).for_each(|(byte, value)| *byte = value);
        Ok(())
    }
}

/// Gives these bytes, once asked for exactly as many.
pub(crate) struct Exactly(pub(crate) Vec<u8>);

impl Entropy for Exactly {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        assert_eq!(buf.len(), self.0.len());
        buf.copy_from_slice(&self.0);
        Ok(())
    }
}

/// A random source that is out of order.
pub(crate) struct Broken;

impl Entropy for Broken {
    fn fill(&self, buf: &mut [u8]) -> Result<(), EntropyError> {
        // What a failing source left in the buffer must not be used.
        buf.fill(0xee);
        Err(EntropyError)
    }
}

/// Every copy of `bytes` with one bit of one byte altered.
pub(crate) fn altered(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len()).map(move |at| {
        let mut copy = bytes.to_vec();
        copy[at] ^= 1 << (at % 8);
        copy
    })
}

/// Every point of order 1, 2, 4 or 8 and its other encodings below 2^255.
pub(crate) const LOW_ORDER_POINTS: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];
