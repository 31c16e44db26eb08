//! Written forms of keys: those of OpenSSL and of the RFCs, round trips, and what must be refused.

use lethe_types::SecretVec;
use proptest::prelude::{ProptestConfig, any, proptest};

use super::{algorithm, altered, hex, lines, quick_key, quick_material, stored_key};
use crate::CryptoError;
use crate::registry::{Algorithm, KeyFormat, PublicFormat};

#[test]
fn as_openssl_writes_them() {
    let vectors = lines(include_str!("../../vectors/openssl.txt"), &[]);
    for line in &vectors {
        let algorithm = algorithm(line.fields[0]);
        let (pkcs8, spki, sec1) = (line.bytes(1), line.bytes(2), line.bytes(3));
        let material = algorithm.import(KeyFormat::Pkcs8Der, &pkcs8).unwrap();
        assert_eq!(material.public_key().unwrap().spki_der(), spki, "{algorithm}");
        let written = algorithm.export(material.secret(), KeyFormat::Pkcs8Der).unwrap();
        assert!(written.ct_eq(&pkcs8), "{algorithm}");
        let public = algorithm.import_public(PublicFormat::SpkiDer, &spki).unwrap();
        assert_eq!(Some(&public), material.public_key());
        if !sec1.is_empty() {
            let again = algorithm.import(KeyFormat::Sec1Der, &sec1).unwrap();
            assert!(again.secret().ct_eq(material.secret().expose()));
            let written = algorithm.export(material.secret(), KeyFormat::Sec1Der).unwrap();
            assert!(written.ct_eq(&sec1), "{algorithm}");
        }
    }
    assert_eq!(vectors.len(), 8);
    for name in ["rsa-2048", "rsa-3072", "rsa-4096"] {
        let pkcs8 = stored_key(name, "pkcs8");
        let material = algorithm(name).import(KeyFormat::Pkcs8Der, &pkcs8).unwrap();
        assert!(material.secret().ct_eq(&pkcs8));
    }
}

/// Exports and imports in every form that the algorithm has, and counts them.
fn round_trips(algorithm: Algorithm, material: &SecretVec) -> usize {
    let mut count = 0;
    for &format in KeyFormat::ALL {
        match algorithm.export(material, format) {
            Ok(written) => {
                let back = algorithm.import(format, written.expose()).unwrap();
                assert!(back.secret().ct_eq(material.expose()), "{algorithm} {format:?}");
                count += 1;
            }
            Err(CryptoError::Unsupported(_)) => {
                let refused = algorithm.import(format, b"anything").map(drop);
                assert!(refused.is_err(), "{algorithm} {format:?}");
            }
            Err(error) => panic!("{algorithm} {format:?} {error}"),
        }
    }
    count
}

#[test]
fn every_form_is_read_back() {
    for (name, want) in [
        ("secp256k1", 6),
        ("ecdsa-secp256k1", 6),
        ("bip340-secp256k1", 6),
        ("ecdh-secp256k1", 6),
        ("ecdsa-p256", 6),
        ("ecdsa-p384", 6),
        ("ecdsa-p521", 6),
        ("ecdh-p256", 6),
        ("ecdh-p384", 6),
        ("ecdh-p521", 6),
        ("ed25519", 4),
        ("ed25519-expanded", 1),
        ("ed448", 4),
        ("x25519", 4),
        ("x448", 4),
        ("rsa-2048", 5),
        ("bip32-secp256k1", 0),
        ("slip10-ed25519", 0),
        ("slip10-p256", 0),
        ("hd-ed25519", 0),
    ] {
        let algorithm = algorithm(name);
        assert_eq!(round_trips(algorithm, &quick_material(algorithm)), want, "{name}");
    }
}

#[test]
fn public_keys_are_read_back_in_every_form() {
    for algorithm in Algorithm::all() {
        let key = quick_key(algorithm);
        let Some(public) = key.public_key() else { continue };
        let by = |format, bytes: &[u8]| algorithm.import_public(format, bytes);
        assert_eq!(by(PublicFormat::Raw, public.raw()).as_ref(), Ok(public), "{algorithm}");
        assert_eq!(by(PublicFormat::SpkiDer, public.spki_der()).as_ref(), Ok(public));
        assert_eq!(by(PublicFormat::SpkiPem, public.to_pem().as_bytes()).as_ref(), Ok(public));
        match algorithm.public_jwk(public) {
            Ok(jwk) => {
                assert_eq!(by(PublicFormat::Jwk, jwk.as_bytes()).as_ref(), Ok(public));
                assert!(!jwk.contains("\"d\"") && !jwk.contains("\"priv\""));
            }
            Err(error) => {
                assert!(matches!(error, CryptoError::Unsupported(_)), "{algorithm} {error}");
                let name = algorithm.name();
                assert!(name.ends_with("stark") || name.contains("ml-kem"), "{name}");
            }
        }
        if let Some(compressed) = public.sec1_compressed() {
            assert_eq!(by(PublicFormat::Raw, &compressed).as_ref(), Ok(public), "{algorithm}");
        }
        for format in [PublicFormat::Raw, PublicFormat::SpkiDer] {
            let bytes = if format == PublicFormat::Raw { public.raw() } else { public.spki_der() };
            for bad in [&bytes[1..], &bytes[..bytes.len() - 1], &[bytes, &[0]].concat(), &[]] {
                let refused = by(format, bad).map(drop);
                assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{algorithm} {refused:?}");
            }
        }
    }
}

#[test]
fn jwk_of_the_rfcs() {
    // RFC 8037 appendix A.1 and A.2, RFC 7517 appendix A.2.
    let ed25519 = r#"{"kty":"OKP","crv":"Ed25519",
        "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let material = algorithm("ed25519").import(KeyFormat::Jwk, ed25519.as_bytes()).unwrap();
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    assert!(material.secret().ct_eq(&hex(seed)));
    let p256 = r#"{"kty":"EC","crv":"P-256",
        "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        "d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
        "use":"enc","kid":"1"}"#;
    let material = algorithm("ecdsa-p256").import(KeyFormat::Jwk, p256.as_bytes()).unwrap();
    let written = algorithm("ecdsa-p256").export(material.secret(), KeyFormat::Jwk).unwrap();
    let want = concat!(
        r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","#,
        r#""y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","#,
        r#""d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}"#
    );
    assert!(written.ct_eq(want.as_bytes()));
    let jwk = algorithm("ecdsa-p256").public_jwk(material.public_key().unwrap()).unwrap();
    assert_eq!(jwk, format!("{}}}", &want[..want.find(",\"d\"").unwrap()]));
}

#[test]
fn pkcs8_of_rfc_8410() {
    // Section 10.3: the same key without and with its public key and an attribute.
    let one = concat!(
        "-----BEGIN PRIVATE KEY-----\n",
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n",
        "-----END PRIVATE KEY-----\n",
    );
    let two = concat!(
        "-----BEGIN PRIVATE KEY-----\n",
        "MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n",
        "oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n",
        "Z9w7lshQhqowtrbLDFw4rXAxZuE=\n",
        "-----END PRIVATE KEY-----\n",
    );
    let import = |pem: &str| algorithm("ed25519").import(KeyFormat::Pkcs8Pem, pem.as_bytes());
    let first = import(one).unwrap();
    assert!(import(two).unwrap().secret().ct_eq(first.secret().expose()));
    let written = algorithm("ed25519").export(first.secret(), KeyFormat::Pkcs8Pem).unwrap();
    assert!(written.ct_eq(one.as_bytes()));
    // The public key of another pair beside it.
    let refused = import(&two.replace("ZuE=", "ZuI=")).map(drop);
    assert!(matches!(refused, Err(CryptoError::Invalid(_))));
    for bad in [
        two.replace("PRIVATE KEY", "PUBLIC KEY"),
        two.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        two.replace("-----END PRIVATE KEY-----\n", ""),
        two.replace("MHIC", "MHI*"),
        format!("{one}{one}"),
        format!("{one}x"),
        String::new(),
    ] {
        assert!(matches!(import(&bad).map(drop), Err(CryptoError::Invalid(_))), "{bad}");
    }
}

#[track_caller]
fn check_jwk(name: &str, json: &str) {
    let refused = algorithm(name).import(KeyFormat::Jwk, json.as_bytes()).map(drop);
    assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {json} {refused:?}");
}

#[test]
fn malformed_jwk() {
    for name in ["ecdsa-p256", "secp256k1", "ed25519", "ed448", "x25519", "x448", "rsa-2048"] {
        let algorithm = algorithm(name);
        let written = algorithm.export(&quick_material(algorithm), KeyFormat::Jwk).unwrap();
        let json = String::from_utf8(written.expose().to_vec()).unwrap();
        (0..json.len()).step_by(11).for_each(|length| check_jwk(name, &json[..length]));
        check_jwk(name, &format!("{json}{json}"));
        check_jwk(name, &format!("[{json}]"));
        check_jwk(name, &json.replace("kty\":\"", "kty\":\"X"));
        check_jwk(name, &json.replace("\"d\":\"", "\"d\":\"="));
        check_jwk(name, &json.replace("\"d\":\"", "\"d\":\" "));
        check_jwk(name, &json.replace("\"d\":\"", "\"d\":\"AA"));
        check_jwk(name, &json.replace("\"d\":", "\"e0\":"));
        check_jwk(name, &json.replace("\"d\":", "\"d\":\"AA\",\"d\":"));
        check_jwk(name, &json.replace("\"}", "=\"}"));
        check_jwk(name, &json.replace("\"d\":\"", "\"d\":\"\\u0041"));
        check_jwk(name, &json.replace("\"kty\"", "\"kty\":3,\"kty2\""));
        if name == "rsa-2048" {
            check_jwk(name, &json.replace("\"qi\"", "\"qj\""));
            check_jwk(name, &json.replace("\"p\"", "\"oth\":[],\"p\""));
            check_jwk(name, &json.replace("\"dp\":\"", "\"dp\":\"AAAA"));
            check_jwk(name, &json.replace("\"n\":\"", "\"n\":\"AAAA"));
        } else {
            check_jwk(name, &json.replace("crv\":\"", "crv\":\"P-"));
            check_jwk(name, &json.replace("\"x\":\"", "\"x\":\"AAAA"));
            check_jwk(name, &json.replace("\"x\":", "\"x0\":"));
            // The public key of another pair.
            let other = algorithm.import_public(
                PublicFormat::Jwk,
                algorithm
                    .public_jwk(quick_key(algorithm).public_key().unwrap())
                    .unwrap()
                    .as_bytes(),
            );
            assert!(other.is_ok());
            let refused = algorithm.import_public(PublicFormat::Jwk, json.as_bytes()).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name}");
        }
        assert!(algorithm.import(KeyFormat::Jwk, json.as_bytes()).is_ok());
    }
}

#[test]
fn public_jwk_with_a_private_member_or_of_another_algorithm() {
    for (name, members) in [
        ("ecdsa-p256", &["d"][..]),
        ("ed25519", &["d"]),
        ("rsa-2048", &["d", "p", "q", "dp", "dq", "qi", "oth"]),
        ("ml-dsa-65", &["priv"]),
    ] {
        let algorithm = algorithm(name);
        let jwk = algorithm.public_jwk(quick_key(algorithm).public_key().unwrap()).unwrap();
        let check = |json: &str| {
            let refused = algorithm.import_public(PublicFormat::Jwk, json.as_bytes()).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {json}");
        };
        for member in members.iter().chain(&["k"]) {
            check(&jwk.replacen('{', &format!("{{\"{member}\":\"AA\","), 1));
        }
        check(&jwk.replacen('{', "{\"kty\":\"OKP\",", 1));
        check(&jwk.replace("kty\":\"", "kty\":\"X"));
        for (from, to) in [("ML-DSA-65", "ML-DSA-87"), ("P-256", "P-384"), ("Ed25519", "X25519")] {
            if jwk.contains(from) {
                check(&jwk.replace(from, to));
            }
        }
        // What says nothing about the key is passed over.
        let others = r#"{"kid":"\u0031","key_ops":["verify",{"d":1}],"use":null,"n0":1,"#;
        let more = jwk.replacen('{', others, 1);
        assert!(algorithm.import_public(PublicFormat::Jwk, more.as_bytes()).is_ok(), "{name}");
    }
}

#[test]
fn forms_have_names() {
    let names = ["raw", "pkcs8-der", "pkcs8-pem", "jwk", "sec1-der", "sec1-pem", "pkcs1-der"];
    for (form, name) in KeyFormat::ALL.iter().zip(names.into_iter().chain(["pkcs1-pem"])) {
        assert_eq!((form.as_str(), KeyFormat::from_name(name)), (name, Some(*form)));
    }
    assert_eq!(KeyFormat::ALL.len(), 8);
    for (form, name) in PublicFormat::ALL.iter().zip(["raw", "spki-der", "spki-pem", "jwk"]) {
        assert_eq!((form.as_str(), PublicFormat::from_name(name)), (name, Some(*form)));
    }
    for name in ["", "RAW", "pkcs8", "der", "pem", "raw "] {
        assert_eq!((KeyFormat::from_name(name), PublicFormat::from_name(name)), (None, None));
    }
}

#[test]
fn altered_der_is_refused_or_is_another_key() {
    for name in ["ecdsa-p256", "secp256k1", "ed448", "x25519"] {
        let algorithm = algorithm(name);
        let material = quick_material(algorithm);
        let der = algorithm.export(&material, KeyFormat::Pkcs8Der).unwrap();
        let der = der.expose();
        for bad in altered(der).step_by(3) {
            if let Ok(other) = algorithm.import(KeyFormat::Pkcs8Der, &bad) {
                // Forms without a public key have nothing to check the private one by.
                assert!(!name.contains("256") && !other.secret().ct_eq(material.expose()));
            }
        }
        for length in (0..der.len()).step_by(2) {
            assert!(algorithm.import(KeyFormat::Pkcs8Der, &der[..length]).is_err());
        }
        assert!(algorithm.import(KeyFormat::Pkcs8Der, &[der, &[0]].concat()).is_err());
        assert!(algorithm.import(KeyFormat::Pkcs8Der, &vec![0x30; 16_385]).is_err());
    }
    for pair in [("ecdsa-p256", "ecdsa-p384"), ("secp256k1", "ecdsa-p256"), ("ed25519", "x25519")] {
        let (from, to) = (algorithm(pair.0), algorithm(pair.1));
        let der = from.export(&quick_material(from), KeyFormat::Pkcs8Der).unwrap();
        let refused = to.import(KeyFormat::Pkcs8Der, der.expose()).map(drop);
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{pair:?}");
    }
}

#[test]
fn altered_pkcs1_is_refused() {
    let algorithm = algorithm("rsa-2048");
    let der = algorithm.export(&quick_material(algorithm), KeyFormat::Pkcs1Der).unwrap();
    for bad in altered(der.expose()).step_by(13) {
        let refused = algorithm.import(KeyFormat::Pkcs1Der, &bad).map(drop);
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{refused:?}");
    }
    for length in (0..der.len()).step_by(7) {
        assert!(algorithm.import(KeyFormat::Pkcs1Der, &der.expose()[..length]).is_err());
    }
}

#[test]
fn raw_scalars_of_the_nist_curves_out_of_range() {
    for (name, order) in [
        ("ecdsa-p256", "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
        (
            "ecdsa-p384",
            concat!(
                "ffffffffffffffffffffffffffffffffffffffffffffffff",
                "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
            ),
        ),
    ] {
        let order = hex(order);
        let zero = vec![0; order.len()];
        let ones = vec![0xff; order.len()];
        let padded = [&[0], order.as_slice()].concat();
        for bad in [&order, &zero, &ones, &order[1..].to_vec(), &padded] {
            let refused = algorithm(name).import(KeyFormat::Raw, bad).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {refused:?}");
        }
        let mut last = order;
        *last.last_mut().unwrap() -= 1;
        assert!(algorithm(name).import(KeyFormat::Raw, &last).is_ok());
    }
}

#[test]
fn expanded_ed25519_keys_that_are_none() {
    let algorithm = algorithm("ed25519-expanded");
    // Zero, the order, and more; a scalar that is in range gets a prefix of its own.
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    for bad in [vec![0; 32], order.clone(), vec![0xff; 32], vec![1; 31], vec![1; 33], vec![0; 64]] {
        let refused = algorithm.import(KeyFormat::Raw, &bad).map(drop);
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{bad:?}");
    }
    let mut last = order;
    last[0] -= 1;
    let one = algorithm.import(KeyFormat::Raw, &last).unwrap();
    let two = algorithm.import(KeyFormat::Raw, &last).unwrap();
    assert!(one.secret().ct_eq(two.secret().expose()) && one.secret().len() == 64);
    // From threshold signing: a scalar, big-endian, and its public key.
    let mut scalar = hex("0e4e994f97790aa9280642e8f082af47c1794294cbe0c6dddf5865a96c8b7820");
    scalar.reverse();
    let imported = algorithm.import(KeyFormat::Raw, &scalar).unwrap();
    let public = "b541a8632b6d819fdab09e6541cc5d85923d7558157eeaf27d1b123afbba56a6";
    assert_eq!(imported.public_key().unwrap().raw(), hex(public));
}

#[test]
fn public_keys_of_low_order_or_in_another_encoding() {
    let small = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // Other encodings of the same, and no points at all.
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0200000000000000000000000000000000000000000000000000000000000000",
    ];
    for name in ["ed25519", "ed25519-expanded", "slip10-ed25519"] {
        for raw in small {
            let refused = algorithm(name).import_public(PublicFormat::Raw, &hex(raw)).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {raw}");
            let spki = [hex("302a300506032b6570032100"), hex(raw)].concat();
            let refused = algorithm(name).load_public(&spki).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{name} {raw}");
        }
    }
    let ed448 = algorithm("ed448");
    let check = |raw: &[u8]| {
        let refused = ed448.import_public(PublicFormat::Raw, raw).map(drop);
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{raw:?}");
    };
    let mut one = vec![0; 57];
    one[0] = 1;
    let minus_one = [&[0xfe], &[0xff; 27][..], &[0xfe], &[0xff; 27], &[0]].concat();
    let mut not_reduced = [&[0xff; 28][..], &[0xfe], &[0xff; 27], &[0]].concat();
    check(&[0; 57]);
    check(&one);
    check(&minus_one);
    check(&not_reduced);
    not_reduced[56] = 0x80;
    check(&not_reduced);
    check(&[0xff; 57]);
}

fn few_cases() -> ProptestConfig {
    ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few_cases())]

    #[test]
    fn any_key_survives_every_form(seed in any::<[u8; 57]>()) {
        for (name, length) in
            [("secp256k1", 32), ("ecdsa-p256", 32), ("ed25519", 32), ("ed448", 57), ("x448", 56)]
        {
            let algorithm = algorithm(name);
            if let Ok(material) = algorithm.import(KeyFormat::Raw, &seed[..length]) {
                assert!(round_trips(algorithm, material.secret()) >= 4);
            }
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in any::<Vec<u8>>(), cut in 0_usize..140) {
        let der = stored_key("ecdsa-p256", "pkcs8");
        let mixed = [&der[..cut.min(der.len())], &bytes].concat();
        for algorithm in Algorithm::all() {
            for &format in KeyFormat::ALL {
                let _ = algorithm.import(format, &bytes).map(drop);
                let _ = algorithm.import(format, &mixed).map(drop);
            }
            for &format in PublicFormat::ALL {
                let _ = algorithm.import_public(format, &bytes).map(drop);
            }
        }
    }
}
