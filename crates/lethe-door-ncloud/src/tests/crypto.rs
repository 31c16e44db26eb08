//! Uses of keys: what goes in comes out, and everything else is refused without saying why.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::registry::{Algorithm, PssSalt, SignRequest, SignatureScheme};
use serde_json::{Value, json};

use super::support::{I400, Rig, data, json as body_of, refused};

async fn call(rig: &Rig, key: &str, what: &str, body: &Value) -> lethe_http::testing::Answer {
    rig.post(&format!("{key}/{what}"), &body.to_string()).await
}

#[tokio::test]
async fn what_is_encrypted_is_decrypted_one_by_one_and_many_at_once() {
    let rig = Rig::new().await;
    for (name, key_type) in [("aes", "AES256"), ("rsa", "RSA2048")] {
        let key = rig.key(name, key_type).await;
        let one = data(&call(&rig, &key, "encrypt", &json!({"plaintext": "aGVsbG8="})).await);
        let opened = data(&call(&rig, &key, "decrypt", &one).await);
        assert_eq!(opened, json!({"plaintext": "aGVsbG8="}));
        let texts = json!(["aGVsbG8=", "", "AA=="]);
        let many = data(&call(&rig, &key, "encrypt", &json!({"plaintext": texts})).await);
        assert_eq!(many["ciphertext"].as_array().map(Vec::len), Some(3));
        let opened = data(&call(&rig, &key, "decrypt", &many).await);
        assert_eq!(opened["plaintext"], texts);
        data(&rig.post(&format!("{key}/rotate"), "").await);
        for spelling in ["re-encrypt", "reencrypt"] {
            let anew = data(&call(&rig, &key, spelling, &one).await);
            let text = anew["ciphertext"].as_str().expect("a ciphertext");
            assert!(text.starts_with("ncpkms:v2:"), "{text}");
            let opened = data(&call(&rig, &key, "decrypt", &anew).await);
            assert_eq!(opened["plaintext"], "aGVsbG8=");
        }
        let anew = data(&call(&rig, &key, "re-encrypt", &many).await);
        assert_eq!(data(&call(&rig, &key, "decrypt", &anew).await)["plaintext"], texts);
        // What the older version made stays good.
        assert_eq!(data(&call(&rig, &key, "decrypt", &one).await)["plaintext"], "aGVsbG8=");
    }
}

#[tokio::test]
async fn sizes_are_bounded() {
    let rig = Rig::new().await;
    let (aes, rsa) = (rig.key("aes", "AES256").await, rig.key("rsa", "RSA2048").await);
    let ecdsa = rig.key("ecdsa", "ECDSA").await;
    let bytes = |length| STANDARD.encode(vec![7; length]);
    for (key, most) in [(&aes, 32_768), (&rsa, 190)] {
        let fits = json!({"plaintext": bytes(most)});
        let sealed = data(&call(&rig, key, "encrypt", &fits).await);
        assert_eq!(data(&call(&rig, key, "decrypt", &sealed).await), fits);
        let over = json!({"plaintext": bytes(most + 1)});
        refused(&call(&rig, key, "encrypt", &over).await, I400);
    }
    for key in [&rsa, &ecdsa] {
        data(&call(&rig, key, "sign", &json!({"data": bytes(8_192)})).await);
        refused(&call(&rig, key, "sign", &json!({"data": bytes(8_193)})).await, I400);
    }
    let texts = |count| json!({"plaintext": vec![""; count]});
    data(&call(&rig, &aes, "encrypt", &texts(100)).await);
    refused(&call(&rig, &aes, "encrypt", &texts(101)).await, I400);
    // One bad text fails all.
    refused(&call(&rig, &aes, "encrypt", &json!({"plaintext": ["", "?"]})).await, I400);
}

#[tokio::test]
async fn a_convergent_key_needs_its_context() {
    let rig = Rig::new().await;
    let body = r#"{"keyName":"conv","keyType":"AES256","isConvergent":true}"#;
    let made = data(&rig.post("/kms/v1/keys", body).await);
    let key = format!("/kms/v1/keys/{}", made["keyTag"].as_str().expect("a tag"));
    let encrypt = async |context: Value| {
        let mut body = json!({"plaintext": "aGVsbG8="});
        if !context.is_null() {
            body["context"] = context;
        }
        call(&rig, &key, "encrypt", &body).await
    };
    refused(&encrypt(Value::Null).await, I400);
    refused(&encrypt(json!("")).await, I400);
    refused(&encrypt(json!("?")).await, I400);
    refused(&encrypt(json!(7)).await, I400);
    refused(&encrypt(json!(STANDARD.encode([1; 51]))).await, I400);
    let context = json!(STANDARD.encode([1; 50]));
    let one = data(&encrypt(context.clone()).await);
    assert_eq!(one, data(&encrypt(context.clone()).await));
    assert_ne!(one, data(&encrypt(json!(STANDARD.encode([2; 50]))).await));
    let decrypt = json!({"ciphertext": one["ciphertext"], "context": context});
    assert_eq!(data(&call(&rig, &key, "decrypt", &decrypt).await)["plaintext"], "aGVsbG8=");
    refused(&call(&rig, &key, "decrypt", &one).await, I400);
    let custom = json!({"context": context, "requestPlainKey": true});
    let custom = data(&call(&rig, &key, "create-custom-key", &custom).await);
    let decrypt = json!({"ciphertext": custom["ciphertext"], "context": context});
    let opened = data(&call(&rig, &key, "decrypt", &decrypt).await);
    assert_eq!(opened["plaintext"], custom["plaintext"]);
    refused(&call(&rig, &key, "create-custom-key", &json!({})).await, I400);
    // For another key it says nothing.
    let plain = rig.key("plain", "AES256").await;
    let one = json!({"plaintext": "", "context": "anything"});
    let sealed = data(&call(&rig, &plain, "encrypt", &one).await);
    data(&call(&rig, &plain, "decrypt", &sealed).await);
}

#[tokio::test]
async fn everything_that_a_ciphertext_can_have_wrong_is_refused_alike() {
    let rig = Rig::new().await;
    let (key, other) = (rig.key("one", "AES256").await, rig.key("other", "AES256").await);
    let rsa = rig.key("rsa", "RSA2048").await;
    let good = rig.ciphertext(&key, b"hello").await;
    let of_rsa = rig.ciphertext(&rsa, b"hello").await;
    let payload = good.strip_prefix("ncpkms:v1:").expect("the prefix");
    let mut flipped = STANDARD.decode(payload).expect("base64");
    flipped[14] ^= 1;
    let cut = STANDARD.encode(&STANDARD.decode(payload).expect("base64")[..27]);
    let mut bodies = Vec::new();
    for bad in [
        payload.to_owned(),
        format!("ncpkms:v0:{payload}"),
        format!("ncpkms:v01:{payload}"),
        format!("ncpkms:v2:{payload}"),
        format!("ncpkms:v9999:{payload}"),
        format!("ncpkms:v10000:{payload}"),
        format!("ncpkms:v+1:{payload}"),
        format!("ncpkms:v:{payload}"),
        format!("ncpkms:1:{payload}"),
        format!("NCPKMS:v1:{payload}"),
        format!(" {good}"),
        format!("{good} "),
        format!("ncpkms:v1:{}", STANDARD.encode(&flipped)),
        format!("ncpkms:v1:{cut}"),
        "ncpkms:v1:".to_owned(),
        "ncpkms:v1:****".to_owned(),
        format!("ncpkms:v1:{payload}="),
        String::new(),
        rig.ciphertext(&other, b"hello").await,
        of_rsa.clone(),
    ] {
        let answer = call(&rig, &key, "decrypt", &json!({"ciphertext": bad})).await;
        refused(&answer, I400);
        bodies.push(answer.body);
        let answer = call(&rig, &key, "re-encrypt", &json!({"ciphertext": [good, bad]})).await;
        refused(&answer, I400);
        bodies.push(answer.body);
    }
    let answer = call(&rig, &rsa, "decrypt", &json!({"ciphertext": good})).await;
    refused(&answer, I400);
    bodies.push(answer.body);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "who tries learns nothing");
    assert_eq!(
        data(&call(&rig, &rsa, "decrypt", &json!({"ciphertext": of_rsa})).await)["plaintext"],
        "aGVsbG8="
    );
}

#[tokio::test]
async fn each_type_of_key_has_its_uses() {
    let rig = Rig::new().await;
    let (aes, ecdsa) = (rig.key("aes", "AES256").await, rig.key("ecdsa", "ECDSA").await);
    let sealed = rig.ciphertext(&aes, b"").await;
    for (what, body) in [
        ("encrypt", json!({"plaintext": ""})),
        ("decrypt", json!({"ciphertext": sealed})),
        ("re-encrypt", json!({"ciphertext": sealed})),
        ("create-custom-key", json!({})),
    ] {
        refused(&call(&rig, &ecdsa, what, &body).await, I400);
    }
    for (what, body) in [
        ("sign", json!({"data": ""})),
        ("verify", json!({"data": "", "signature": sealed})),
        ("get-pub-key", json!({})),
    ] {
        refused(&call(&rig, &aes, what, &body).await, I400);
    }
}

#[tokio::test]
async fn keys_for_data_come_with_or_without_their_plaintext() {
    let rig = Rig::new().await;
    for (name, key_type) in [("aes", "AES256"), ("rsa", "RSA2048")] {
        let key = rig.key(name, key_type).await;
        for path in ["create-custom-key", "createCustomKey"] {
            for (bits, bytes) in [(128, 16), (256, 32), (512, 64)] {
                let body = json!({"requestPlainKey": true, "bits": bits});
                let made = data(&call(&rig, &key, path, &body).await);
                let plain = made["plaintext"].as_str().expect("a key");
                assert_eq!(STANDARD.decode(plain).expect("base64").len(), bytes);
                let opened = json!({"ciphertext": made["ciphertext"]});
                let opened = data(&call(&rig, &key, "decrypt", &opened).await);
                assert_eq!(opened["plaintext"], plain);
            }
        }
        for body in ["", "{}", r#"{"requestPlainKey":false}"#, r#"{"bits":null}"#] {
            let made = data(&rig.post(&format!("{key}/create-custom-key"), body).await);
            assert_eq!(made.get("plaintext"), None);
            let sealed = made["ciphertext"].as_str().expect("a ciphertext");
            assert!(sealed.starts_with("ncpkms:v1:"), "{sealed}");
        }
        for body in [
            json!({"bits": 192}),
            json!({"bits": 0}),
            json!({"bits": -128}),
            json!({"bits": "256"}),
            json!({"bits": 256.5}),
            json!({"requestPlainKey": "true"}),
            json!({"requestPlainKey": 1}),
        ] {
            refused(&call(&rig, &key, "create-custom-key", &body).await, I400);
        }
    }
}

#[tokio::test]
async fn signatures_verify_here_and_with_the_public_key_alone() {
    let rig = Rig::new().await;
    let cases = [
        ("rsa", "RSA2048", "rsa-2048", SignatureScheme::RsaPssSha256),
        ("ecdsa", "ECDSA", "ecdsa-p256", SignatureScheme::EcdsaSha256),
    ];
    for (name, key_type, algorithm, scheme) in cases {
        let key = rig.key(name, key_type).await;
        let signed = data(&call(&rig, &key, "sign", &json!({"data": "aGVsbG8="})).await);
        let signature = signed["signature"].as_str().expect("a signature");
        let raw = signature.strip_prefix("ncpkms:v1:").expect("the prefix");
        let raw = STANDARD.decode(raw).expect("base64");
        let pem = data(&call(&rig, &key, "get-pub-key", &json!({})).await);
        let pem = pem["publicKey"].as_str().expect("a key");
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("-----\n"));
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let public = Algorithm::from_name(algorithm).expect("it is there");
        let public = public.load_public(&STANDARD.decode(der).expect("base64")).expect("a key");
        let mut request = SignRequest::message(b"hello").by(scheme);
        if key_type == "RSA2048" {
            request = request.with_pss_salt(PssSalt::Exactly(32));
        }
        assert!(public.verify_with(&request, &raw).expect("the request is well-formed"));

        let verify = async |data: &str, signature: &str| {
            call(&rig, &key, "verify", &json!({"data": data, "signature": signature})).await
        };
        assert_eq!(data(&verify("aGVsbG8=", signature).await), json!({"valid": true}));
        assert_eq!(data(&verify("aGVsbG8h", signature).await), json!({"valid": false}));
        for wrong in ["ncpkms:v1:", "ncpkms:v1:AAAA"] {
            assert_eq!(data(&verify("aGVsbG8=", wrong).await), json!({"valid": false}));
        }
        let (_, payload) = signature.split_at("ncpkms:v1:".len());
        let unknown = format!("ncpkms:v2:{payload}");
        let zero = format!("ncpkms:v0:{payload}");
        for malformed in [payload, &unknown, &zero, "", "ncpkms:v1", "ncpkms:v1:?"] {
            refused(&verify("aGVsbG8=", malformed).await, I400);
        }
        refused(&call(&rig, &key, "verify", &json!({"data": "aGVsbG8="})).await, I400);
        data(&rig.post(&format!("{key}/rotate"), "").await);
        assert_eq!(data(&verify("aGVsbG8=", signature).await), json!({"valid": true}));
        assert_eq!(data(&verify("aGVsbG8=", &unknown).await), json!({"valid": false}));
        let first = data(&call(&rig, &key, "get-pub-key", &json!({"keyVersion": 1})).await);
        assert_eq!(first["publicKey"], pem);
        let newest = data(&call(&rig, &key, "get-pub-key", &json!({})).await);
        assert_ne!(newest["publicKey"], pem);
        for version in [json!(0), json!(101), json!(-1), json!("1"), json!(1.5)] {
            let body = json!({"keyVersion": version});
            refused(&call(&rig, &key, "get-pub-key", &body).await, I400);
        }
        let missing = call(&rig, &key, "get-pub-key", &json!({"keyVersion": 3})).await;
        refused(&missing, super::support::N404);
    }
}

#[tokio::test]
async fn the_older_interfaces_have_one_member_more_in_each_envelope() {
    let rig = Rig::new().await;
    let key = rig.key("orders", "AES256").await;
    let tag = key.rsplit('/').next().expect("a tag");
    for prefix in ["/keys/v1", "/keys/v2"] {
        let path = format!("{prefix}/{tag}");
        let made = call(&rig, &path, "encrypt", &json!({"plaintext": "aGVsbG8="})).await;
        let text = String::from_utf8(made.body.to_vec()).expect("JSON");
        let begin = r#"{"code":"SUCCESS","msg":"","data":{"ciphertext":"ncpkms:v1:"#;
        assert!(text.starts_with(begin), "{text}");
        let sealed = data(&made);
        for path in [&path, &key] {
            let opened = data(&call(&rig, path, "decrypt", &sealed).await);
            assert_eq!(opened["plaintext"], "aGVsbG8=");
        }
        for what in ["createCustomKey", "create-custom-key"] {
            data(&call(&rig, &path, what, &json!({})).await);
        }
        for what in ["reencrypt", "re-encrypt"] {
            data(&call(&rig, &path, what, &sealed).await);
        }
        let bad = call(&rig, &path, "decrypt", &json!({"ciphertext": "x"})).await;
        refused(&bad, I400);
        let bad = body_of(&bad);
        assert_eq!(
            (&bad["code"], &bad["msg"]),
            (&json!("INVALID_REQUEST"), &json!("Invalid request"))
        );
    }
    let bad = call(&rig, &key, "decrypt", &json!({"ciphertext": "x"})).await;
    assert_eq!((body_of(&bad).get("code"), body_of(&bad).get("msg")), (None, None));
}
