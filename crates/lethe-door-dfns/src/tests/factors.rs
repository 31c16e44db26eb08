//! Keys of clients: the published vectors of the dialect, and what is not accepted.

use serde_json::{Value, json};

use super::support::{Org, Signer, base64url, expect, org, refused};
use crate::account::KeyKind;
use crate::body::Members;
use crate::factors::{Assertion, Attested, BASE64URL, NewKey};
use base64::Engine as _;
use http::Method;
use lethe_crypto::registry::SignatureScheme;

const PEM: &str = concat!(
    "-----BEGIN PUBLIC KEY-----\n",
    "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n",
    "-----END PUBLIC KEY-----\n",
);
const P256: &str = concat!(
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAESpBGMGAR18gr3WxOLmkrfuZGbtdaxlyMVh3khgE0RKx9",
    "17SKi5iEuEEpHVYsqvrB8/Zf9Ey6bB82Cj/ljly7Rg==",
);
const SECP256K1: &str = concat!(
    "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEWTqU96Qp+84HDccMPRdV/Zso5c6vvLl2hbzw+QYARQe3aX3k",
    "oEAh0y3mYb632reqDbgIgDlJlYnZ6VWJtpqK8A==",
);
const CHALLENGE: &str = concat!(
    "YjI3YTE5ZjNmNjIyYjdjMzJjMmMyNmZiNTM1YjRmYTQzYTRjMWI1ZmEwY2NjZDA3ZTQzYmRiNDNkYWY0",
    "Zjk1Yw",
);

fn pem(body: &str) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----")
}

fn assertion(data: &str, signature: &str) -> Assertion {
    let factor = json!({"kind": "Key", "credentialAssertion":
        {"credId": "x", "clientData": base64url(data), "signature": signature}});
    let Value::Object(map) = factor else { unreachable!() };
    Assertion::parse(Members::of_map("firstFactor", map)).unwrap()
}

/// What was signed: the key, the form of the client data, the signature.
fn published() -> impl Iterator<Item = [&'static str; 3]> {
    let lines = include_str!("../testdata/assertions.txt").lines();
    lines.map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words.try_into().expect("three words")
    })
}

#[test]
fn the_published_assertions_hold() {
    let start = format!(r#"{{"type":"key.get","challenge":"{CHALLENGE}""#);
    let origin = r#""origin":"https://app.dfns.io","crossOrigin":false"#;
    let go = format!(r#"{{"challenge":"{CHALLENGE}","crossOrigin":false,"type":"key.get"}}"#);
    for [key, form, signature] in published().filter(|[key, _, _]| *key != "attestation") {
        let data = match form {
            "ts" => format!("{start}}}"),
            "python" => format!("{start},{origin}}}"),
            _ => go.clone(),
        };
        let pem = match key {
            "ed25519" => PEM.to_owned(),
            "p256" => pem(P256),
            _ => pem(SECP256K1),
        };
        let key = NewKey::parse(&pem).unwrap();
        let assertion = assertion(&data, signature);
        assert!(assertion.answers(CHALLENGE));
        assert!(!assertion.answers(&CHALLENGE[1..]));
        let scheme = assertion.scheme(key.scheme.as_str()).unwrap();
        assert!(key.verify(scheme, data.as_bytes(), &assertion.signature), "{pem} {form}");
        assert!(!key.verify(scheme, b"something else", &assertion.signature));
    }
}

#[test]
fn the_published_attestation_holds_and_nothing_else() {
    let data = r#"{"type":"key.create","challenge":"Y2gtMDAwMDAtMDAwMDAtMDAwMDAwMDAwMDAwMDAwMA"}"#;
    let signature = published().find(|[key, _, _]| *key == "attestation").unwrap()[2];
    let challenge = "Y2gtMDAwMDAtMDAwMDAtMDAwMDAwMDAwMDAwMDAwMA";
    let parse = |data: &str, attestation: Value| {
        let body = json!({"credentialKind": "Key", "credentialInfo": {"credId": "mine",
            "clientData": base64url(data), "attestationData": base64url(attestation.to_string())}});
        let Value::Object(map) = body else { unreachable!() };
        Attested::parse(
            &mut Members::of_map("", map),
            &crate::Settings::default().party(),
            challenge,
        )
    };
    let made = parse(data, json!({"publicKey": PEM, "signature": signature})).unwrap();
    assert_eq!((made.kind, made.cred_id.as_str()), (KeyKind::Key, "mine"));
    assert_eq!(made.key.pem, PEM);
    let other = Signer::ed25519().pem();
    for (data, attestation) in [
        (data, json!({"publicKey": other, "signature": signature})),
        (data, json!({"publicKey": PEM.trim_end(), "signature": signature})),
        (data, json!({"publicKey": PEM, "signature": &signature[2..]})),
        (data, json!({"publicKey": PEM, "signature": base64url(signature)})),
        (data, json!({"publicKey": PEM})),
        (data, json!({"publicKey": PEM, "signature": signature, "algorithm": "MD5"})),
        (&data.replace("create", "get"), json!({"publicKey": PEM, "signature": signature})),
        (&data.replace("Y2gt", "Y2gu"), json!({"publicKey": PEM, "signature": signature})),
    ] {
        assert!(parse(data, attestation.clone()).is_err(), "{data} {attestation}");
    }
}

#[test]
fn public_keys_come_in_several_writings() {
    let rsa = Signer::new("rsa-2048", SignatureScheme::RsaPkcs1Sha256).pem();
    let scheme = |pem: &str| NewKey::parse(pem).map(|key| key.scheme.as_str());
    assert_eq!(scheme(PEM), Some("ed25519"));
    assert_eq!(scheme(PEM.trim_end()), Some("ed25519"));
    assert_eq!(scheme(&PEM.replace('\n', "\\n")), Some("ed25519"));
    assert_eq!(scheme(&PEM.replace('\n', "\r\n")), Some("ed25519"));
    assert_eq!(scheme(&pem(P256)), Some("ecdsa-sha256"));
    assert_eq!(scheme(&pem(SECP256K1)), Some("ecdsa-sha256"));
    assert_eq!(scheme(&rsa), Some("rsa-pkcs1-sha256"));
    // The key without its envelope, as PKCS#1 has it: after 24 bytes.
    let body: String = rsa.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let pkcs1 = base64::engine::general_purpose::STANDARD.encode(&der[24..]);
    let pkcs1 = format!("-----BEGIN RSA PUBLIC KEY-----\n{pkcs1}\n-----END RSA PUBLIC KEY-----");
    assert_eq!(NewKey::parse(&pkcs1).map(|key| key.spki_der), Some(der));
    for bad in [
        "",
        "x",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        &PEM.replace("PUBLIC", "PRIVATE"),
        &PEM.replace("MCow", "MCox"),
        &PEM.replace("MCow", "MC*w"),
        &format!("{PEM}{PEM}"),
        &PEM.replace("-----BEGIN", "----BEGIN"),
        &pem(&"A".repeat(5_000)),
    ] {
        assert_eq!(scheme(bad), None, "{bad}");
    }
}

/// A client of an organization whose key is of this kind, and the status of an action that is
/// signed so.
async fn status_of(org: &Org, signer: Signer, change: impl FnOnce(&mut Value, &Signer)) -> u16 {
    let name = format!("bot-{}", org.world.engine.key_counts().0 + u64::from(rand_u16()));
    let made = org.dfns.first_account(&name, &signer.pem()).await.unwrap();
    let account = super::support::Account {
        user: made.user_id,
        token: made.auth_token,
        cred_id: made.credential_id,
        key: signer,
    };
    let init = org.init(&account, &Method::DELETE, "/keys/x", "").await;
    let mut body = account.answer(&init);
    change(&mut body, &account.key);
    let path = "/auth/action";
    org.send(&account.token, Method::POST, path, &[], body.to_string()).await.head.status.as_u16()
}

fn rand_u16() -> u16 {
    let mut bytes = [0; 2];
    lethe_types::Entropy::fill(&lethe_crypto::SystemEntropy, &mut bytes).unwrap();
    u16::from_be_bytes(bytes)
}

/// The bytes that were signed and what was made of them.
fn parts(body: &Value) -> (Vec<u8>, Vec<u8>) {
    let of = |name: &str| {
        let text = body["firstFactor"]["credentialAssertion"][name].as_str().unwrap();
        BASE64URL.decode(text).unwrap()
    };
    (of("clientData"), of("signature"))
}

fn set(body: &mut Value, name: &str, value: impl Into<Value>) {
    body["firstFactor"]["credentialAssertion"][name] = value.into();
}

#[tokio::test]
async fn every_kind_of_key_signs_in_its_encoding_alone() {
    let org = org().await;
    let der = [
        ("ecdsa-p256", SignatureScheme::EcdsaSha256),
        ("ecdsa-p384", SignatureScheme::EcdsaSha256),
        ("ecdsa-secp256k1", SignatureScheme::EcdsaSha256),
        ("ed25519", SignatureScheme::Ed25519),
        ("rsa-2048", SignatureScheme::RsaPkcs1Sha256),
    ];
    for (algorithm, scheme) in der {
        let status = status_of(&org, Signer::new(algorithm, scheme), |_, _| {}).await;
        assert_eq!(status, 200, "{algorithm}");
    }
    for (algorithm, scheme) in [
        ("ecdsa-p256", SignatureScheme::EcdsaSha256P1363),
        ("ecdsa-p256", SignatureScheme::EcdsaSha384),
        ("ecdsa-secp256k1", SignatureScheme::EcdsaSha256P1363),
        ("ecdsa-secp256k1", SignatureScheme::EcdsaKeccak256),
        ("rsa-2048", SignatureScheme::RsaPssSha256),
        ("rsa-2048", SignatureScheme::RsaPkcs1Sha384),
    ] {
        let status = status_of(&org, Signer::new(algorithm, scheme), |_, _| {}).await;
        assert_eq!(status, 401, "{algorithm} {}", scheme.as_str());
    }
    // As one page of the documentation has it for Ed25519.
    let wrapped = status_of(&org, Signer::ed25519(), |body, _| {
        let (_, signature) = parts(body);
        let integer = |half: &[u8]| [&[2, 33, 0], half].concat();
        let both = [integer(&signature[..32]), integer(&signature[32..])].concat();
        set(body, "signature", base64url([&[0x30, 70][..], &both].concat()));
    });
    assert_eq!(wrapped.await, 401);
}

#[tokio::test]
async fn a_digest_may_be_named() {
    let org = org().await;
    for (algorithm, scheme, named, status) in [
        ("rsa-2048", SignatureScheme::RsaPkcs1Sha256, "RSA-SHA256", 200),
        ("rsa-2048", SignatureScheme::RsaPkcs1Sha256, "SHA256", 200),
        ("rsa-2048", SignatureScheme::RsaPkcs1Sha512, "SHA512", 200),
        ("ecdsa-p256", SignatureScheme::EcdsaSha256, "SHA256", 200),
        ("ecdsa-p256", SignatureScheme::EcdsaSha512, "SHA512", 200),
        ("ed25519", SignatureScheme::Ed25519, "SHA512", 200),
        ("ecdsa-p256", SignatureScheme::EcdsaSha256, "SHA512", 401),
        ("ecdsa-p256", SignatureScheme::EcdsaSha256, "RSA-SHA256", 401),
        ("rsa-2048", SignatureScheme::RsaPkcs1Sha256, "SHA512", 401),
        ("ed25519", SignatureScheme::Ed25519, "SHA1", 400),
    ] {
        let found = status_of(&org, Signer::new(algorithm, scheme), |body, _| {
            set(body, "algorithm", named);
        });
        assert_eq!(found.await, status, "{algorithm} {} {named}", scheme.as_str());
    }
}

#[tokio::test]
async fn assertions_in_another_form_are_refused() {
    let org = org().await;
    type Change = fn(&mut Value, &Signer);
    let cases: [(Change, u16); 17] = [
        (|body, _| set(body, "credId", "elsewhere"), 401),
        (|body, _| set(body, "credId", ""), 401),
        (|body, _| set(body, "signature", ""), 401),
        (|body, _| set(body, "signature", base64url([0; 64])), 401),
        (|body, _| set(body, "signature", "*"), 400),
        (|body, _| set(body, "signature", 7), 400),
        (|body, _| set(body, "clientData", base64url("x")), 401),
        (|body, _| set(body, "clientData", base64url(b"\xff")), 400),
        (|body, _| set(body, "clientData", base64url("x".repeat(4_000))), 400),
        (|body, _| set(body, "authenticatorData", ""), 400),
        (|body, _| body["firstFactor"]["kind"] = json!("Fido2"), 400),
        (|body, _| body["firstFactor"]["kind"] = json!("RecoveryKey"), 400),
        (|body, _| body["firstFactor"]["kind"] = json!("PasswordProtectedKey"), 401),
        (|body, _| body["firstFactor"]["more"] = json!(1), 400),
        (|body, _| body["secondFactor"] = json!({"kind": "Key"}), 400),
        (|body, _| body["more"] = json!(1), 400),
        (|body, _| body["challengeIdentifier"] = json!(null), 400),
    ];
    for (at, (change, status)) in cases.into_iter().enumerate() {
        assert_eq!(status_of(&org, Signer::ed25519(), change).await, status, "case {at}");
    }
    // Signed well, and about something else.
    for (from, to) in [("key.get", "key.create"), ("\"challenge\":\"", "\"challenge\":\"A")] {
        let status = status_of(&org, Signer::ed25519(), |body, signer| {
            let data = String::from_utf8(parts(body).0).unwrap().replacen(from, to, 1);
            set(body, "clientData", base64url(&data));
            set(body, "signature", base64url(signer.sign(data.as_bytes())));
        });
        assert_eq!(status.await, 401, "{to}");
    }
    // More members than clients need, and padding.
    let status = status_of(&org, Signer::ed25519(), |body, signer| {
        let data = String::from_utf8(parts(body).0).unwrap();
        let data =
            data.replacen('{', "{ \"origin\":\"https://app.example\", \"crossOrigin\":false,", 1);
        let padded = base64::engine::general_purpose::URL_SAFE;
        set(body, "clientData", padded.encode(&data));
        set(body, "signature", padded.encode(signer.sign(data.as_bytes())));
    });
    assert_eq!(status.await, 200);
    let nobody = org.send("", Method::POST, "/auth/action", &[], "{}").await;
    assert_eq!(refused(&nobody, 401), "Not Authorized.");
    expect(&nobody, 401);
}
