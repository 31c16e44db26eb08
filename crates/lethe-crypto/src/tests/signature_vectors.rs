//! Published vectors of signatures, through the registry.

use lethe_types::SecretVec;

use super::tally::Tally;
use super::{Line, Record, algorithm, hex, lines, records, stored_key};
use crate::registry::{Algorithm, PssSalt, SignRequest, SignatureScheme};

/// Whether the public key loads and the signature is valid under it.
fn is_accepted(
    algorithm: Algorithm,
    spki_der: &[u8],
    scheme: Option<SignatureScheme>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = algorithm.load_public(spki_der);
    key.is_ok_and(|key| key.verify(scheme, message, signature).unwrap())
}

#[test]
fn ed25519_of_rfc_8032() {
    let vectors = records(include_str!("../testdata/ed25519.txt"));
    let mut tallies = [Tally::new("RFC 8032"), Tally::new("Ed25519, its authors")];
    for (at, vector) in vectors.iter().enumerate() {
        // The first three of the authors are in the RFC.
        tallies[usize::from(at >= 3)].accepted("ed25519");
        check_ed25519(
            &vector.bytes("seed"),
            &vector.bytes("public"),
            &vector.bytes("message"),
            &vector.bytes("signature"),
        );
    }
    assert_eq!(vectors.len(), 65);
    // Section 7.1, TEST SHA(abc).
    tallies[0].accepted("ed25519");
    check_ed25519(
        &hex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42"),
        &hex("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"),
        &hex(concat!(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a",
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        )),
        &hex(concat!(
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589",
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        )),
    );
}

#[track_caller]
fn check_ed25519(seed: &[u8], public: &[u8], message: &[u8], signature: &[u8]) {
    let key = algorithm("ed25519").load(&SecretVec::copy_from(seed)).unwrap();
    assert_eq!(key.public_key().unwrap().raw(), public);
    assert_eq!(key.sign(None, message).unwrap(), signature);
    assert_eq!(key.verify(None, message, signature), Ok(true));
    let spki_der = key.public_key().unwrap().spki_der();
    assert!(is_accepted(key.algorithm(), spki_der, None, message, signature));
}

/// The `SubjectPublicKeyInfo` of a point of the curve of `algorithm`.
fn spki_of_point(algorithm: Algorithm, point: &[u8]) -> Vec<u8> {
    let mut spki_der = stored_key(algorithm.name(), "spki");
    spki_der.truncate(spki_der.len() - point.len());
    [spki_der.as_slice(), point].concat()
}

#[test]
fn ecdsa_of_nist_at_fixed_length() {
    let mut tally = Tally::new("NIST CAVP");
    let vectors = records(include_str!("../testdata/ecdsa-cavp.txt"));
    for vector in &vectors {
        let algorithm = vector.algorithm();
        let scheme = algorithm.schemes()[1];
        assert!(scheme.as_str().ends_with("-p1363"));
        let spki_der = spki_of_point(algorithm, &vector.bytes("point"));
        let (message, signature) = (vector.bytes("message"), vector.bytes("signature"));
        let accepted = is_accepted(algorithm, &spki_der, Some(scheme), &message, &signature);
        assert_eq!(accepted, vector.is_valid(), "{:?}", vector.0);
        tally.ran(algorithm, accepted);
        // The same bytes are never valid as DER.
        assert!(!is_accepted(algorithm, &spki_der, None, &message, &signature));
    }
    assert_eq!(vectors.len(), 45);
    assert!(vectors.iter().any(Record::is_valid));
}

#[test]
fn ecdsa_of_rfc_6979_in_der() {
    let mut tally = Tally::new("RFC 6979");
    let vectors = records(include_str!("../testdata/ecdsa-rfc6979.txt"));
    for vector in &vectors {
        let (spki_der, message) = (vector.bytes("spki"), vector.bytes("message"));
        let signature = vector.bytes("signature");
        let accepted = is_accepted(vector.algorithm(), &spki_der, None, &message, &signature);
        assert_eq!(accepted, vector.is_valid(), "{:?}", vector.0);
        tally.ran(vector.algorithm(), accepted);
    }
    assert_eq!(vectors.len(), 12);
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let length = match (high, low) {
        (0, 0..=127) => vec![low],
        (0, _) => vec![0x81, low],
        (_, _) => vec![0x82, high, low],
    };
    [[tag].as_slice(), &length, content].concat()
}

fn der_integer(magnitude: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if magnitude[0] >= 0x80 { &[0] } else { &[] };
    der(0x02, &[sign, magnitude].concat())
}

/// RFC 8017 appendix A.1.1 inside RFC 5280 section 4.1.2.7.
fn spki_of_rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let raw = der(0x30, &[der_integer(modulus), der_integer(exponent)].concat());
    let rsa_encryption = hex("06092a864886f70d0101010500");
    let bits = der(0x03, &[[0].as_slice(), &raw].concat());
    der(0x30, &[der(0x30, &rsa_encryption), bits].concat())
}

#[test]
fn rsa_pkcs1_of_nist() {
    let mut tally = Tally::new("NIST CAVP");
    let vectors = records(include_str!("../testdata/rsa-pkcs1-cavp.txt"));
    for vector in &vectors {
        let spki_der = spki_of_rsa(&vector.bytes("modulus"), &vector.bytes("exponent"));
        let scheme = vector.text("scheme").parse().unwrap();
        let (message, signature) = (vector.bytes("message"), vector.bytes("signature"));
        let accepts =
            |scheme| is_accepted(vector.algorithm(), &spki_der, Some(scheme), &message, &signature);
        assert_eq!(accepts(scheme), vector.is_valid(), "{:?}", vector.0);
        tally.ran(vector.algorithm(), vector.is_valid());
        // A signature is valid by the scheme that made it alone.
        let others = vector.algorithm().schemes().iter().filter(|&&other| other != scheme);
        assert!(others.copied().all(|other| !accepts(other)));
    }
    assert_eq!(vectors.len(), 54);
    assert_eq!(vectors.iter().filter(|vector| vector.is_valid()).count(), 9);
}

#[test]
fn rsa_pss_of_nist() {
    let mut tally = Tally::new("NIST CAVP");
    let heads = ["algorithm", "scheme", "salt", "modulus"];
    for line in lines(include_str!("../../vectors/pss.txt"), &heads) {
        let algorithm = algorithm(line.head("algorithm"));
        let accepted = is_accepted_pss(algorithm, &line);
        assert_eq!(Some(accepted), line.verdict(), "{:?}", line.fields);
        tally.ran(algorithm, accepted);
    }
    assert_eq!(tally.totals(), (9, 45));
}

/// Whether the public key loads and the signature is valid, by a salt of that length and by any.
fn is_accepted_pss(algorithm: Algorithm, line: &Line) -> bool {
    let spki_der = spki_of_rsa(&hex(line.head("modulus")), &line.bytes(1));
    let Ok(key) = algorithm.load_public(&spki_der) else { return false };
    let message = line.bytes(2);
    let request = SignRequest::message(&message).by(line.head("scheme").parse().unwrap());
    let by = |salt| key.verify_with(&request.with_pss_salt(salt), &line.bytes(3)).unwrap();
    let accepted = by(PssSalt::Exactly(line.head("salt").parse().unwrap()));
    assert!(!accepted || by(PssSalt::Any));
    accepted
}

#[test]
fn rsa_pss_of_openssl_with_a_salt_as_long_as_the_hash_alone() {
    let mut tally = Tally::new("OpenSSL");
    let vectors = records(include_str!("../testdata/rsa-pss.txt"));
    for vector in &vectors {
        let spki_der = stored_key(vector.text("algorithm"), "spki");
        let scheme = Some(vector.text("scheme").parse().unwrap());
        let signature = vector.bytes("signature");
        let accepted =
            is_accepted(vector.algorithm(), &spki_der, scheme, b"lethe signs this", &signature);
        assert_eq!(accepted, vector.is_valid(), "{:?}", vector.0);
        tally.ran(vector.algorithm(), accepted);
    }
    assert_eq!(vectors.len(), 27);
    assert_eq!(vectors.iter().filter(|vector| vector.is_valid()).count(), 9);
}
