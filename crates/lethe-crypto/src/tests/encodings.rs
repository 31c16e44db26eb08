//! Keys in the formats in which they come and go.

use lethe_types::SecretVec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::tally::Tally;
use super::{Counting, Record, algorithm, altered, quick_key, records};
use crate::CryptoError;
use crate::hash::sha256;
use crate::registry::{Algorithm, KEY_FORM_BYTES_MAX, KeyFormat, ObjectType};

fn symmetric() -> impl Iterator<Item = Algorithm> {
    Algorithm::all().filter(|algorithm| algorithm.object_type() == ObjectType::SymmetricKey)
}

fn lattices() -> impl Iterator<Item = Algorithm> {
    Algorithm::all().filter(|algorithm| algorithm.name().contains("ml-"))
}

#[track_caller]
fn check_round_trip(algorithm: Algorithm, format: KeyFormat, material: &SecretVec) -> SecretVec {
    let written = algorithm.export(material, format).unwrap();
    let read = algorithm.import(format, written.expose()).unwrap();
    assert!(read.secret().ct_eq(material.expose()), "{algorithm} {format:?}");
    let loaded = algorithm.load(material).unwrap();
    assert_eq!(read.public_key(), loaded.public_key(), "{algorithm}");
    written
}

#[track_caller]
fn check_refused(algorithm: Algorithm, format: KeyFormat, bytes: &[u8]) {
    let refused = algorithm.import(format, bytes).map(drop);
    let is_refused = matches!(refused, Err(CryptoError::Invalid(_)));
    assert!(is_refused, "{algorithm} {format:?} {refused:?} {}", String::from_utf8_lossy(bytes));
}

#[track_caller]
fn check_unsupported(algorithm: Algorithm, format: KeyFormat, material: &SecretVec) {
    let exported = algorithm.export(material, format).map(drop);
    assert!(matches!(exported, Err(CryptoError::Unsupported(_))), "{algorithm} {format:?}");
    // What a well-formed PEM has inside is looked at last.
    let pem = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let imported = algorithm.import(format, pem).map(drop);
    assert!(matches!(imported, Err(CryptoError::Unsupported(_))), "{algorithm} {format:?}");
}

#[test]
fn symmetric_keys_are_octets_and_json_web_keys() {
    for algorithm in symmetric() {
        let material = algorithm.generate(&Counting).unwrap().into_parts().0;
        let raw = check_round_trip(algorithm, KeyFormat::Raw, &material);
        assert!(raw.ct_eq(material.expose()));
        let jwk = check_round_trip(algorithm, KeyFormat::Jwk, &material);
        assert!(jwk.expose().starts_with(br#"{"kty":"oct","#));
        check_unsupported(algorithm, KeyFormat::Pkcs8Der, &material);
        check_unsupported(algorithm, KeyFormat::Pkcs8Pem, &material);
        for length in [0, algorithm.material_bytes().start() - 1, 257] {
            check_refused(algorithm, KeyFormat::Raw, &vec![1; length]);
        }
    }
}

#[test]
fn json_web_keys_of_the_rfcs() {
    // RFC 7517 appendix A.3, without its `kid`.
    let check = |name: &str, jwk: &[u8], bytes: usize| {
        let key = algorithm(name).import(KeyFormat::Jwk, jwk).unwrap();
        assert_eq!(key.secret().len(), bytes);
    };
    check("aes128-kw", br#"{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg"}"#, 16);
    let hmac: &[u8] = br#"{"kty":"oct",
"k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "kid":"HMAC key used in JWS spec Appendix A.1 example"}"#;
    for name in ["hmac-sha256", "hmac-sha3-256", "hmac-sha512"] {
        check(name, hmac, 64);
    }
    // Members that nobody asked for, of every kind.
    check(
        "aes128-gcm",
        br#"{"key_ops":["encrypt",{"a":null}],"ext":true,"n":1,"m":-1,"f":1.5,"z":null,
            "o":{"k":"x"},"e":"\u0041","kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"}"#,
        16,
    );
}

#[test]
fn names_in_json_web_keys() {
    let want = [
        ("aes128-gcm", "A128GCM"),
        ("aes192-gcm", "A192GCM"),
        ("aes256-gcm", "A256GCM"),
        ("aes256-cbc", "A256CBC"),
        ("aes192-ctr", "A192CTR"),
        ("aes128-kw", "A128KW"),
        ("hmac-sha384", "HS384"),
    ];
    for (name, alg) in want {
        let material = algorithm(name).generate(&Counting).unwrap().into_parts().0;
        let jwk = algorithm(name).export(&material, KeyFormat::Jwk).unwrap();
        let text = String::from_utf8(jwk.expose().to_vec()).unwrap();
        assert!(text.contains(&format!(r#""alg":"{alg}""#)), "{text}");
        let other = text.replace(alg, "dir");
        check_refused(algorithm(name), KeyFormat::Jwk, other.as_bytes());
    }
    let material = algorithm("aes256-ofb").generate(&Counting).unwrap().into_parts().0;
    let jwk = algorithm("aes256-gcm").export(&material, KeyFormat::Jwk).unwrap();
    check_refused(algorithm("aes256-ofb"), KeyFormat::Jwk, jwk.expose());
}

#[test]
fn malformed_json_web_keys() {
    let aes = algorithm("aes128-gcm");
    let check = |jwk: &str| check_refused(aes, KeyFormat::Jwk, jwk.as_bytes());
    for jwk in [
        "",
        "{}",
        "[]",
        "null",
        "\"oct\"",
        r#"{"kty":"oct"}"#,
        r#"{"k":"GawgguFyGrWKav7AX4VKUg"}"#,
        r#"{"kty":"oct","k":null}"#,
        r#"{"kty":"oct","k":7}"#,
        r#"{"kty":["oct"],"k":"GawgguFyGrWKav7AX4VKUg"}"#,
        r#"{"kty":"RSA","k":"GawgguFyGrWKav7AX4VKUg"}"#,
        r#"{"kty":"OCT","k":"GawgguFyGrWKav7AX4VKUg"}"#,
        r#"{"kty":"oct","alg":7,"k":"GawgguFyGrWKav7AX4VKUg"}"#,
        // Padding, the other alphabet, spaces, bits that are not zero, a length that cannot be.
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg=="}"#,
        r#"{"kty":"oct","k":"Gawgg+FyGrWKav7AX4VKUg"}"#,
        r#"{"kty":"oct","k":"GawgguFyGrWK av7AX4VKUg"}"#,
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUh"}"#,
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKU"}"#,
        // An escape in what is asked for, and in a name.
        r#"{"kty":"oct","k":"\u0047awgguFyGrWKav7AX4VKUg"}"#,
        r#"{"kty":"oct","\u006b":"GawgguFyGrWKav7AX4VKUg"}"#,
        // A member twice, something behind the object, something missing.
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg","k":"GawgguFyGrWKav7AX4VKUg"}"#,
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"}x"#,
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg""#,
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg",}"#,
        // Keys of other lengths.
        r#"{"kty":"oct","k":""}"#,
        r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUgAA"}"#,
    ] {
        check(jwk);
    }
    check(&format!(r#"{{"kty":"oct","k":"{}"}}"#, "A".repeat(KEY_FORM_BYTES_MAX)));
    check(&"[".repeat(KEY_FORM_BYTES_MAX));
    check(&format!(r#"{{"x":{}"#, "[".repeat(1_000)));
    check_refused(aes, KeyFormat::Jwk, &[0xff; 40]);
}

fn check_example(vector: &Record) {
    let algorithm = vector.algorithm();
    let der = vector.base64("pkcs8");
    let read = algorithm.import(KeyFormat::Pkcs8Der, &der);
    if !vector.is_valid() {
        assert!(read.is_err(), "{algorithm}");
        return;
    }
    let read = read.unwrap();
    let spki = read.public_key().unwrap().spki_der();
    assert_eq!(sha256(&[spki]).to_vec(), vector.bytes("spki_sha256"), "{algorithm}");
    let written = check_round_trip(algorithm, KeyFormat::Pkcs8Der, read.secret());
    // Of both secrets the seed is kept; the other forms are written as they were read.
    assert_eq!(written.ct_eq(&der), vector.text("form") != "both", "{algorithm}");
    check_round_trip(algorithm, KeyFormat::Pkcs8Pem, read.secret());
    // Up to the first tag inside; behind it an altered seed is another key.
    for wrong in altered(&der).take(20) {
        assert!(algorithm.import(KeyFormat::Pkcs8Der, &wrong).is_err());
    }
    for length in (0..der.len()).step_by(1 + der.len() / 100) {
        check_refused(algorithm, KeyFormat::Pkcs8Der, &der[..length]);
    }
    check_refused(algorithm, KeyFormat::Pkcs8Der, &[der.as_slice(), &[0]].concat());
}

#[test]
fn lattice_keys_of_the_rfcs() {
    let vectors = records(include_str!("../../vectors/pq-encodings.txt"));
    let mut tally = Tally::new("RFC 9881, RFC 9935");
    for vector in &vectors {
        check_example(vector);
        tally.ran(vector.algorithm(), vector.is_valid());
    }
    assert_eq!(vectors.len(), 11);
    assert_eq!(vectors.iter().filter(|vector| !vector.is_valid()).count(), 2);
}

#[test]
fn lattice_keys_in_every_format_that_they_have() {
    for algorithm in lattices() {
        let material = algorithm.generate(&Counting).unwrap().into_parts().0;
        for format in [KeyFormat::Raw, KeyFormat::Pkcs8Der, KeyFormat::Pkcs8Pem] {
            check_round_trip(algorithm, format, &material);
        }
        if algorithm.name().starts_with("ml-dsa") {
            check_round_trip(algorithm, KeyFormat::Jwk, &material);
        } else {
            check_unsupported(algorithm, KeyFormat::Jwk, &material);
        }
        // The formats of one algorithm are nothing to another.
        let der = algorithm.export(&material, KeyFormat::Pkcs8Der).unwrap();
        for other in lattices().filter(|other| *other != algorithm) {
            check_refused(other, KeyFormat::Pkcs8Der, der.expose());
        }
    }
}

#[test]
fn x_wing_keys_in_the_form_of_its_draft() {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
        MDQCAQAwDQYLKwYBBAGD5i2ByHoEIEBBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZ\n\
        WltcXV5f\n\
        -----END PRIVATE KEY-----\n";
    let algorithm = algorithm("x25519-ml-kem-768");
    let read = algorithm.import(KeyFormat::Pkcs8Pem, pem.as_bytes()).unwrap();
    assert!(read.secret().ct_eq(&(0x40..0x60).collect::<Vec<u8>>()));
    let written = algorithm.export(read.secret(), KeyFormat::Pkcs8Pem).unwrap();
    assert!(written.ct_eq(pem.as_bytes()));
    for wrong in [
        "",
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        &pem.replace("PRIVATE", "PUBLIC"),
        &pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        &pem.replacen('\n', "\n\n", 1),
        &pem.replace("V1hZ\n", "V1hZ"),
        &pem.replace("V1hZ\nW", "V1h\nZW"),
        &pem.replace("WltcXV5f", "WltcXV5"),
        &pem.replace("WltcXV5f", " WltcXV5f"),
        &pem.replace("WltcXV5f", "WltcXV5f\nAAAA"),
        &pem.replace("-----END PRIVATE KEY-----\n", ""),
        &format!("{pem}{pem}"),
        &format!("{pem}\n"),
        &format!(" {pem}"),
        &format!("Key: 1\n{pem}"),
    ] {
        check_refused(algorithm, KeyFormat::Pkcs8Pem, wrong.as_bytes());
    }
    // Line ends of the other kind, and none behind the last line, are fine (RFC 7468 section 3).
    for fine in [pem.replace('\n', "\r\n"), pem.trim_end().to_owned()] {
        assert!(algorithm.import(KeyFormat::Pkcs8Pem, fine.as_bytes()).is_ok());
    }
}

/// Of the RFCs' key with both secrets: all of it, and the expanded one alone, of `bytes` bytes.
fn both_and_expanded(name: &str, bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let vectors = records(include_str!("../../vectors/pq-encodings.txt"));
    let both = vectors.iter().find(|v| v.text("algorithm") == name && v.text("form") == "both");
    let both = both.unwrap().base64("pkcs8");
    // Version and name of the algorithm are in the 16 bytes after the header of the whole.
    let length = |more: usize| u16::try_from(bytes + more).unwrap().to_be_bytes();
    let (whole, inner, key) = (length(24), length(4), length(0));
    let parts: [&[u8]; 8] = [
        &[0x30, 0x82],
        &whole,
        &both[4..20],
        &[0x04, 0x82],
        &inner,
        &[0x04, 0x82],
        &key,
        &both[both.len() - bytes..],
    ];
    let expanded = parts.concat();
    (both, expanded)
}

#[test]
fn lattice_keys_whose_parts_do_not_agree() {
    for (name, bytes, altered_alone) in [
        // In the secret vector, in the public key's matrix seed, in the hash of the public key.
        ("ml-kem-512", 1_632, [0, 1_567, 1_568].as_slice()),
        // In the hash of the public key, in the secret vectors.
        ("ml-dsa-44", 2_560, [64, 127, 128].as_slice()),
    ] {
        let algorithm = algorithm(name);
        let (both, expanded) = both_and_expanded(name, bytes);
        let read = algorithm.import(KeyFormat::Pkcs8Der, &expanded).unwrap();
        let of_both = algorithm.import(KeyFormat::Pkcs8Der, &both).unwrap();
        assert_eq!(read.public_key(), of_both.public_key());
        check_round_trip(algorithm, KeyFormat::Pkcs8Der, read.secret());
        for at in altered_alone {
            let mut wrong = expanded.clone();
            let start = wrong.len() - bytes;
            wrong[start + at] ^= 1;
            check_refused(algorithm, KeyFormat::Pkcs8Der, &wrong);
        }
        // Beside its seed, no byte of an expanded key can be another, nor one of the seed.
        let start = both.len() - bytes;
        for at in [start - 5, start, start + bytes / 2, both.len() - 1] {
            let mut wrong = both.clone();
            wrong[at] ^= 1;
            check_refused(algorithm, KeyFormat::Pkcs8Der, &wrong);
        }
    }
}

#[test]
fn ml_dsa_json_web_keys_that_are_wrong() {
    let algorithm = algorithm("ml-dsa-44");
    let seed = SecretVec::from_vec(vec![0; 32]);
    let jwk = algorithm.export(&seed, KeyFormat::Jwk).unwrap();
    let jwk = str::from_utf8(jwk.expose()).unwrap();
    assert!(algorithm.import(KeyFormat::Jwk, jwk.as_bytes()).unwrap().secret().ct_eq(&[0; 32]));
    // A member that says nothing of the key is passed over.
    let named = jwk.replacen('{', "{\"kid\":\"one\",", 1);
    assert!(algorithm.import(KeyFormat::Jwk, named.as_bytes()).unwrap().secret().ct_eq(&[0; 32]));
    for (from, to) in [
        ("AKP", "OKP"),
        ("ML-DSA-44", "ML-DSA-65"),
        ("\"alg\":\"ML-DSA-44\",", ""),
        ("\"priv\"", "\"secret\""),
        ("\"pub\"", "\"public\""),
        ("\"pub\":\"", "\"pub\":\"AAAA"),
        ("\"priv\":\"AAAA", "\"priv\":\"AAAB"),
        ("\"priv\":\"AAAA", "\"priv\":\""),
    ] {
        assert!(jwk.contains(from), "{from}");
        check_refused(algorithm, KeyFormat::Jwk, jwk.replace(from, to).as_bytes());
    }
    // An expanded key cannot be written as one.
    let (_, expanded) = both_and_expanded("ml-dsa-44", 2_560);
    let expanded = algorithm.import(KeyFormat::Pkcs8Der, &expanded).unwrap();
    let refused = algorithm.export(expanded.secret(), KeyFormat::Jwk).map(drop);
    let want = CryptoError::Unsupported("be written as a JSON Web Key without its seed");
    assert_eq!(refused, Err(want));
}

#[test]
fn nothing_is_exported_of_what_does_not_load() {
    for algorithm in symmetric().chain(lattices()) {
        let refused = algorithm.export(&SecretVec::from_vec(vec![1; 3]), KeyFormat::Raw).map(drop);
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{algorithm}");
    }
    for format in KeyFormat::ALL {
        check_refused(algorithm("aes128-gcm"), *format, &vec![1; KEY_FORM_BYTES_MAX + 1]);
        assert!(!format.as_str().is_empty());
    }
}

fn few_cases() -> ProptestConfig {
    ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn nothing_that_is_imported_panics(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        for algorithm in symmetric().chain(lattices()) {
            for format in [KeyFormat::Pkcs8Der, KeyFormat::Pkcs8Pem, KeyFormat::Jwk] {
                assert!(algorithm.import(format, &bytes).is_err());
                assert!(algorithm.import(format, text.as_bytes()).is_err());
            }
        }
    }

    #[test]
    fn hmac_keys_come_back(bytes in proptest::collection::vec(any::<u8>(), 14..=256)) {
        let algorithm = algorithm("hmac-sha3-512");
        let material = SecretVec::from_vec(bytes);
        check_round_trip(algorithm, KeyFormat::Jwk, &material);
        assert!(quick_key(algorithm).mac(b"").is_ok());
    }
}
