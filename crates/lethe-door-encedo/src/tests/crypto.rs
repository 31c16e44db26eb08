//! Uses of keys: what comes out, and what is refused.

use lethe_crypto::hash::{HashAlgorithm, digest, hmac_sha256};
use lethe_crypto::kdf::{KdfHash, hkdf};
use lethe_crypto::registry::{Algorithm, CipherMode, DecryptParams};
use lethe_types::SecretVec;
use serde_json::{Value, json};

use super::support::{Api, Person, body, status, text};
use crate::b64;

fn bytes(value: &Value, name: &str) -> Vec<u8> {
    b64::decode(&text(value, name)).expect("base64")
}

/// The public key of a key, as it is exported.
async fn public(api: &Api, kid: &str) -> Vec<u8> {
    let token = api.token("keymgmt:get").await;
    bytes(&body(&api.get(&token, &format!("/api/keymgmt/get/{kid}")).await), "pubkey")
}

/// What the key on the curve of `person` and `person` agree on.
async fn shared(api: &Api, kid: &str, person: &Person) -> SecretVec {
    person.key.agree(&public(api, kid).await).expect("agreed")
}

#[tokio::test]
async fn codes_are_checked_by_the_key_that_made_them() {
    let api = Api::new().await;
    let lengths = [
        ("SHA2-256", 32),
        ("SHA2-384", 48),
        ("SHA2-512", 64),
        ("SHA3-256", 32),
        ("SHA3-384", 48),
        ("SHA3-512", 64),
    ];
    for (name, length) in lengths {
        let kid = api.key(name).await;
        // The algorithm of the request is passed over: the key has one.
        let made = json!({ "msg": "YWJj", "alg": "SHA2-256" });
        let mac = bytes(&body(&api.use_key(&kid, "hmac/hash", made).await), "mac");
        assert_eq!(mac.len(), length, "{name}");
        let check = |mac: &[u8]| json!({ "msg": "YWJj", "mac": b64::encode(mac) });
        assert_eq!(status(&api.use_key(&kid, "hmac/verify", check(&mac)).await), 200);
        let mut wrong = mac.clone();
        wrong[0] ^= 1;
        assert_eq!(status(&api.use_key(&kid, "hmac/verify", check(&wrong)).await), 406);
        assert_eq!(status(&api.use_key(&kid, "hmac/verify", check(&mac[1..])).await), 406);
        assert_eq!(status(&api.use_key(&kid, "hmac/verify", check(&[0; 65])).await), 400);
    }
    let log = api.log_of_work();
    let kinds: Vec<&str> = log.iter().map(|event| &event[..4]).take(6).collect();
    assert_eq!(kinds, ["20/0", "30/0", "31/0", "31/1", "31/1", "31/2"]);
}

#[tokio::test]
async fn codes_under_an_agreed_secret_are_those_of_the_raw_secret() {
    let api = Api::new().await;
    let kid = api.key("CURVE25519").await;
    let person = Person::new([0x66; 32]);
    let peer = b64::encode(&person.public);
    let secret = shared(&api, &kid, &person).await;
    let request = json!({ "msg": "YWJj", "alg": "SHA2-256", "pubkey": peer });
    let mac = bytes(&body(&api.use_key(&kid, "hmac/hash", request.clone()).await), "mac");
    assert_eq!(mac, hmac_sha256(secret.expose(), &[b"abc"]));
    let mut check = request.clone();
    check["mac"] = json!(b64::encode(&mac));
    assert_eq!(status(&api.use_key(&kid, "hmac/verify", check).await), 200);
    let with = |name: &str, value: Value| {
        let mut changed = request.clone();
        changed[name] = value;
        changed
    };
    let mut without = request.clone();
    without.as_object_mut().unwrap().remove("alg");
    let hmac = api.key("SHA2-256").await;
    let cases = [
        (&kid, without, 406),
        (&kid, with("alg", json!("MD5")), 400),
        (&kid, with("alg", json!("AES256")), 400),
        (&kid, with("pubkey", json!(b64::encode(&[0; 32]))), 406),
        (&kid, with("pubkey", json!("!")), 400),
        (&kid, json!({ "msg": "YWJj", "alg": "SHA2-256" }), 406),
        (&hmac, request.clone(), 406),
        (&hmac, json!({ "msg": "YWJj", "alg": "MD5" }), 200),
        (&hmac, json!({}), 400),
        (&hmac, json!({ "msg": 7 }), 400),
    ];
    for (kid, request, expected) in cases {
        assert_eq!(
            status(&api.use_key(kid, "hmac/hash", request.clone()).await),
            expected,
            "{request}"
        );
    }
}

#[tokio::test]
async fn signatures_verify_by_pair_and_by_public_key() {
    let api = Api::new().await;
    let sha = ["SHA256WithECDSA", "SHA384WithECDSA", "SHA512WithECDSA"];
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("SECP256R1", sha.map(|alg| (alg, "")).to_vec()),
        ("SECP384R1", sha.map(|alg| (alg, "")).to_vec()),
        ("SECP521R1", sha.map(|alg| (alg, "")).to_vec()),
        ("SECP256K1", sha.map(|alg| (alg, "")).to_vec()),
        (
            "ED25519",
            vec![("Ed25519", ""), ("Ed25519ph", "Y3R4"), ("Ed25519ctx", "Y3R4"), ("Ed25519ph", "")],
        ),
        ("ED448", vec![("Ed448", ""), ("Ed448", "Y3R4"), ("Ed448ph", "Y3R4")]),
    ];
    for (name, schemes) in cases {
        let kid = api.key(name).await;
        let import = json!({
            "label": "p", "type": name, "mode": "ExDSA",
            "pubkey": b64::encode(&public(&api, &kid).await),
        });
        for (alg, ctx) in schemes {
            let mut request = json!({ "msg": "YWJj", "alg": alg });
            if !ctx.is_empty() {
                request["ctx"] = json!(ctx);
            }
            let made = body(&api.use_key(&kid, "exdsa/sign", request.clone()).await);
            request["sign"] = made["sign"].clone();
            assert_eq!(
                status(&api.use_key(&kid, "exdsa/verify", request.clone()).await),
                200,
                "{request}"
            );
            request["msg"] = json!("YWJk");
            assert_eq!(status(&api.use_key(&kid, "exdsa/verify", request.clone()).await), 406);
        }
        // The public key alone: it takes the identifier when the pair has gone.
        let first =
            if name.starts_with('S') { sha[0].to_owned() } else { name.replace("ED", "Ed") };
        let mut request = json!({ "msg": "YWJj", "alg": first });
        let made = body(&api.use_key(&kid, "exdsa/sign", request.clone()).await);
        request["sign"] = made["sign"].clone();
        let delete = api.token("keymgmt:del").await;
        assert_eq!(api.delete(&delete, &kid).await, 200);
        let token = api.token("keymgmt:imp").await;
        let again = body(&api.post(&token, "/api/keymgmt/import", &import).await);
        assert_eq!(again["kid"], kid.as_str());
        assert_eq!(
            status(&api.use_key(&kid, "exdsa/verify", request.clone()).await),
            200,
            "{name}"
        );
        assert_eq!(status(&api.use_key(&kid, "exdsa/sign", request).await), 406);
    }
}

#[tokio::test]
async fn signatures_refuse_what_they_do_not_have() {
    let api = Api::new().await;
    let (ed, agrees) = (api.key("ED25519").await, api.key("CURVE25519").await);
    let aes = api.key("AES256").await;
    let long = b64::encode(&[0; 2_049]);
    let cases = [
        (&ed, json!({ "msg": "YQ==", "alg": "Ed25519" }), 200),
        (&ed, json!({ "msg": b64::encode(&[0; 2_048]), "alg": "Ed25519" }), 200),
        (&ed, json!({ "msg": long, "alg": "Ed25519" }), 400),
        (&ed, json!({ "msg": "", "alg": "Ed25519" }), 200),
        (&ed, json!({ "msg": "YQ==" }), 400),
        (&ed, json!({ "alg": "Ed25519" }), 400),
        (&ed, json!({ "msg": "YQ==", "alg": "ed25519" }), 400),
        (&ed, json!({ "msg": "YQ==", "alg": "SHA256WithECDSA" }), 406),
        (&ed, json!({ "msg": "YQ==", "alg": "Ed448" }), 406),
        (&ed, json!({ "msg": "YQ==", "alg": "Ed25519ctx" }), 406),
        (&ed, json!({ "msg": "YQ==", "alg": "Ed25519", "ctx": "YQ==" }), 406),
        (&ed, json!({ "msg": "YQ==", "alg": "Ed25519ctx", "ctx": b64::encode(&[1; 255]) }), 200),
        (&ed, json!({ "msg": "YQ==", "alg": "Ed25519ctx", "ctx": b64::encode(&[1; 256]) }), 400),
        (&agrees, json!({ "msg": "YQ==", "alg": "Ed25519" }), 406),
        (&aes, json!({ "msg": "YQ==", "alg": "Ed25519" }), 406),
    ];
    for (kid, request, expected) in cases {
        assert_eq!(
            status(&api.use_key(kid, "exdsa/sign", request.clone()).await),
            expected,
            "{request}"
        );
    }
}

#[tokio::test]
async fn ciphers_open_what_they_closed() {
    let api = Api::new().await;
    let person = Person::new([0x66; 32]);
    let agrees = api.key("CURVE25519").await;
    let secret = shared(&api, &agrees, &person).await;
    for bits in [128, 192, 256] {
        let kid = api.key(&format!("AES{bits}")).await;
        for (mode, iv, tag) in [("ECB", 0, 0), ("CBC", 16, 0), ("GCM", 16, 16)] {
            let message = [7; 32];
            let alg = format!("AES{bits}-{mode}");
            let mut request = json!({ "msg": b64::encode(&message), "alg": alg });
            if mode == "GCM" {
                request["aad"] = json!(b64::encode(&[9; 32]));
            }
            let mut agreed = request.clone();
            agreed["pubkey"] = json!(b64::encode(&person.public));
            agreed["ctx"] = json!("Y3R4");
            for (kid, request) in [(&kid, request), (&agrees, agreed)] {
                let made = body(&api.use_key(kid, "cipher/encrypt", request.clone()).await);
                let part = |name: &str| made.get(name).map(|_| bytes(&made, name).len());
                assert_eq!(part("iv").unwrap_or(0), iv, "{made}");
                assert_eq!(part("tag").unwrap_or(0), tag, "{made}");
                let mut open = request.clone();
                open["msg"] = made["ciphertext"].clone();
                for name in ["iv", "tag"] {
                    if let Some(value) = made.get(name) {
                        open[name] = value.clone();
                    }
                }
                let opened = body(&api.use_key(kid, "cipher/decrypt", open.clone()).await);
                assert_eq!(bytes(&opened, "plaintext"), message, "{alg}");
                if mode == "GCM" {
                    open["aad"] = json!("");
                    assert_eq!(status(&api.use_key(kid, "cipher/decrypt", open).await), 406);
                }
                if kid == &agrees && mode == "CBC" {
                    // As the client's twin in software derives the key.
                    let key = hkdf(
                        KdfHash::Sha256,
                        &[],
                        secret.expose(),
                        &[b"encedo-aes", b"ctx"],
                        bits / 8,
                    );
                    let algorithm = Algorithm::from_name(&format!("aes{bits}")).unwrap();
                    let usable = algorithm.load(&key.unwrap()).unwrap();
                    let iv = bytes(&made, "iv");
                    let params = DecryptParams {
                        nonce: Some(&iv),
                        mode: Some(CipherMode::Cbc),
                        ..Default::default()
                    };
                    let opened = usable.decrypt_with(&params, &bytes(&made, "ciphertext"));
                    assert_eq!(opened.unwrap().expose(), message);
                }
            }
        }
    }
}

#[tokio::test]
async fn ciphers_refuse_what_they_do_not_take() {
    let api = Api::new().await;
    let (kid, mac) = (api.key("AES256").await, api.key("SHA2-256").await);
    let block = b64::encode(&[0; 16]);
    let cases = [
        ("encrypt", json!({ "msg": "YQ==", "alg": "AES256-ECB" }), 400),
        ("encrypt", json!({ "msg": "YQ==", "alg": "AES256-CTR" }), 400),
        ("encrypt", json!({ "msg": "YQ==", "alg": "AES256" }), 400),
        ("encrypt", json!({ "msg": "YQ==", "alg": "SHA2-256-GCM" }), 400),
        ("encrypt", json!({ "msg": "YQ==" }), 400),
        ("encrypt", json!({ "alg": "AES256-GCM" }), 400),
        ("encrypt", json!({ "msg": "YQ==", "alg": "AES128-GCM" }), 406),
        ("encrypt", json!({ "msg": "YQ==", "alg": "AES256-CBC", "aad": "YQ==" }), 400),
        ("encrypt", json!({ "msg": b64::encode(&[0; 2_049]), "alg": "AES256-GCM" }), 400),
        ("encrypt", json!({ "msg": b64::encode(&[0; 2_048]), "alg": "AES256-GCM" }), 200),
        (
            "encrypt",
            json!({ "msg": "YQ==", "alg": "AES256-GCM", "aad": b64::encode(&[0; 2_048]) }),
            200,
        ),
        (
            "encrypt",
            json!({ "msg": "YQ==", "alg": "AES256-GCM", "aad": b64::encode(&[0; 2_049]) }),
            400,
        ),
        (
            "encrypt",
            json!({ "msg": "YQ==", "alg": "AES256-GCM", "ctx": b64::encode(&[0; 65]) }),
            400,
        ),
        ("decrypt", json!({ "msg": block, "alg": "AES256-CBC" }), 400),
        ("decrypt", json!({ "msg": block, "alg": "AES256-CBC", "iv": "YQ==" }), 400),
        ("decrypt", json!({ "msg": block, "alg": "AES256-CBC", "iv": block }), 406),
        ("decrypt", json!({ "msg": "YQ==", "alg": "AES256-CBC", "iv": block }), 406),
        ("decrypt", json!({ "msg": "YQ==", "alg": "AES256-ECB" }), 400),
        ("decrypt", json!({ "msg": block, "alg": "AES256-GCM", "iv": block }), 400),
        ("decrypt", json!({ "msg": block, "alg": "AES256-GCM", "iv": block, "tag": "YQ==" }), 400),
        ("decrypt", json!({ "msg": block, "alg": "AES256-GCM", "iv": block, "tag": block }), 406),
        ("wrap", json!({ "msg": b64::encode(&[0; 15]) }), 400),
        ("wrap", json!({ "msg": "" }), 400),
        ("wrap", json!({}), 400),
        ("wrap", json!({ "msg": b64::encode(&[0; 8]) }), 406),
        ("wrap", json!({ "msg": block, "alg": "AES128" }), 406),
        ("wrap", json!({ "msg": block, "alg": "AES256-GCM" }), 400),
        ("wrap", json!({ "msg": block, "iv": b64::encode(&[0xa6; 8]) }), 200),
        ("wrap", json!({ "msg": block, "iv": b64::encode(&[0xa7; 8]) }), 200),
        ("wrap", json!({ "msg": b64::encode(&[0; 8]), "iv": b64::encode(&[0xa7; 8]) }), 406),
        ("wrap", json!({ "msg": block, "iv": "" }), 400),
        ("wrap", json!({ "msg": block, "iv": "!" }), 400),
        ("wrap", json!({ "msg": block, "iv": 7 }), 400),
        ("wrap", json!({ "msg": block, "iv": b64::encode(&[0xa6; 9]) }), 400),
        ("unwrap", json!({ "msg": b64::encode(&[0; 24]), "iv": b64::encode(&[0; 8]) }), 406),
        ("unwrap", json!({ "msg": b64::encode(&[0; 24]), "iv": b64::encode(&[0; 7]) }), 400),
        ("wrap", json!({ "msg": block, "iv": b64::encode(&[0xa6; 7]) }), 400),
        ("unwrap", json!({ "msg": b64::encode(&[0; 24]) }), 406),
        ("unwrap", json!({ "msg": b64::encode(&[0; 23]) }), 400),
    ];
    for (path, request, expected) in cases {
        let answer = api.use_key(&kid, &format!("cipher/{path}"), request.clone()).await;
        assert_eq!(status(&answer), expected, "{path} {request}");
    }
    let request = json!({ "msg": "YQ==", "alg": "AES256-GCM" });
    assert_eq!(status(&api.use_key(&mac, "cipher/encrypt", request).await), 406);
}

#[tokio::test]
async fn what_is_wrapped_is_unwrapped() {
    let api = Api::new().await;
    let person = Person::new([0x66; 32]);
    let agrees = api.key("CURVE25519").await;
    let key = [5; 32];
    for name in ["AES128", "AES192", "AES256"] {
        let kid = api.key(name).await;
        let request = json!({ "msg": b64::encode(&key), "alg": name });
        let mut agreed = request.clone();
        agreed["pubkey"] = json!(b64::encode(&person.public));
        for (kid, request) in [(&kid, request), (&agrees, agreed)] {
            let made = body(&api.use_key(kid, "cipher/wrap", request.clone()).await);
            assert_eq!(bytes(&made, "wrapped").len(), 40);
            let mut open = request.clone();
            open["msg"] = made["wrapped"].clone();
            let opened = body(&api.use_key(kid, "cipher/unwrap", open).await);
            assert_eq!(bytes(&opened, "unwrapped"), key);
            // The same from a value of the caller's: by it alone it opens.
            let with = |request: &Value, iv: &[u8]| {
                let mut request = request.clone();
                request["iv"] = json!(b64::encode(iv));
                request
            };
            let plain = made;
            let same = with(&request, &[0xa6; 8]);
            assert_eq!(body(&api.use_key(kid, "cipher/wrap", same).await), plain);
            let made = body(&api.use_key(kid, "cipher/wrap", with(&request, b"a value!")).await);
            assert_ne!(made, plain);
            let mut open = request;
            open["msg"] = made["wrapped"].clone();
            let opened = api.use_key(kid, "cipher/unwrap", with(&open, b"a value!")).await;
            assert_eq!(bytes(&body(&opened), "unwrapped"), key);
            let other = api.use_key(kid, "cipher/unwrap", with(&open, b"another!")).await;
            assert_eq!(status(&other), 406);
            assert_eq!(status(&api.use_key(kid, "cipher/unwrap", open).await), 406);
        }
    }
    let secret = shared(&api, &agrees, &person).await;
    let kek = hkdf(KdfHash::Sha256, &[], secret.expose(), &[b"encedo-kek"], 32).unwrap();
    let wrapped =
        Algorithm::from_name("aes256-kw").unwrap().load(&kek).unwrap().wrap(&key).unwrap();
    let request = json!({ "msg": b64::encode(&key), "pubkey": b64::encode(&person.public) });
    let made = body(&api.use_key(&agrees, "cipher/wrap", request).await);
    assert_eq!(bytes(&made, "wrapped"), wrapped, "without an algorithm 256 bits are meant");
}

#[tokio::test]
async fn both_sides_agree() {
    let api = Api::new().await;
    let lengths = [
        ("CURVE25519", 32),
        ("CURVE448", 56),
        ("SECP256R1", 32),
        ("SECP384R1", 48),
        ("SECP521R1", 66),
        ("SECP256K1", 32),
    ];
    for (name, length) in lengths {
        let (one, other) = (api.key(name).await, api.key(name).await);
        let to = |kid: &str| json!({ "ext_kid": kid });
        let here = bytes(&body(&api.use_key(&one, "ecdh", to(&other)).await), "ecdh");
        let there = bytes(&body(&api.use_key(&other, "ecdh", to(&one)).await), "ecdh");
        assert_eq!((here.len(), &here), (length, &there), "{name}");
        let public = json!({ "pubkey": b64::encode(&public(&api, &other).await) });
        assert_eq!(bytes(&body(&api.use_key(&one, "ecdh", public).await), "ecdh"), here);
        let mut hashed = to(&other);
        hashed["alg"] = json!("SHA3-384");
        let hashed = bytes(&body(&api.use_key(&one, "ecdh", hashed).await), "ecdh");
        assert_eq!(hashed, digest(HashAlgorithm::Sha3_384, &[&here]).as_slice());
    }
    let (kid, signer) = (api.key("CURVE25519").await, api.key("ED25519").await);
    let peer = json!({ "pubkey": b64::encode(&Person::new([3; 32]).public) });
    let cases = [
        (&kid, json!({}), 400),
        (&kid, json!({ "pubkey": b64::encode(&[0; 32]) }), 406),
        (&kid, json!({ "pubkey": b64::encode(&[1; 31]) }), 406),
        (&kid, json!({ "ext_kid": signer }), 406),
        (&kid, json!({ "ext_kid": "1" }), 400),
        (&kid, json!({ "pubkey": "!" }), 400),
        (&signer, peer, 406),
    ];
    for (kid, request, expected) in cases {
        assert_eq!(status(&api.use_key(kid, "ecdh", request.clone()).await), expected, "{request}");
    }
    let settings = crate::Settings { raw_ecdh_truncate_32: true, ..Default::default() };
    let api = Api::with(settings).await;
    let kid = api.key("SECP521R1").await;
    let request = json!({ "ext_kid": kid });
    assert_eq!(bytes(&body(&api.use_key(&kid, "ecdh", request).await), "ecdh").len(), 32);
}

/// A signature with a context is one with this context alone.
async fn contexts_bind(api: &Api, kid: &str) {
    let with = |ctx: Value| json!({ "msg": "YQ==", "ctx": ctx });
    let long = b64::encode(&[7; 255]);
    for ctx in ["Y3R4", &long] {
        let made = body(&api.use_key(kid, "pqc/mldsa/sign", with(json!(ctx))).await);
        let others = [(ctx, 200), ("Y3R5", 406), ("", 406)];
        for (other, expected) in others {
            let mut check = with(json!(other));
            check["sign"] = made["sign"].clone();
            let answer = api.use_key(kid, "pqc/mldsa/verify", check).await;
            assert_eq!(status(&answer), expected, "{other}");
        }
    }
    let bare = body(&api.use_key(kid, "pqc/mldsa/sign", with(json!(""))).await);
    let check = json!({ "msg": "YQ==", "sign": bare["sign"] });
    assert_eq!(status(&api.use_key(kid, "pqc/mldsa/verify", check).await), 200);
    for wrong in [json!(b64::encode(&[7; 256])), json!("!"), json!(7)] {
        for path in ["sign", "verify"] {
            let mut wrong = with(wrong.clone());
            wrong["sign"] = bare["sign"].clone();
            let answer = api.use_key(kid, &format!("pqc/mldsa/{path}"), wrong).await;
            assert_eq!(status(&answer), 400, "{path}");
        }
    }
}

#[tokio::test]
async fn lattices_go_round() {
    let api = Api::new().await;
    for (name, length) in [("MLKEM512", 768), ("MLKEM768", 1_088), ("MLKEM1024", 1_568)] {
        let kid = api.key(name).await;
        let made = body(&api.use_key(&kid, "pqc/mlkem/encaps", json!({})).await);
        assert_eq!((bytes(&made, "ct").len(), bytes(&made, "ss").len()), (length, 32));
        let open = json!({ "ct": made["ct"] });
        let opened = body(&api.use_key(&kid, "pqc/mlkem/decaps", open).await);
        assert_eq!((&opened["ss"], &opened["alg"]), (&made["ss"], &json!(name)));
        for (ct, expected) in [("YQ==", 406), ("!", 400)] {
            let wrong = json!({ "ct": ct });
            assert_eq!(status(&api.use_key(&kid, "pqc/mlkem/decaps", wrong).await), expected);
        }
        assert_eq!(status(&api.use_key(&kid, "pqc/mldsa/sign", json!({ "msg": "" })).await), 406);
    }
    for (name, length) in [("MLDSA44", 2_420), ("MLDSA65", 3_309), ("MLDSA87", 4_627)] {
        let kid = api.key(name).await;
        let made = body(&api.use_key(&kid, "pqc/mldsa/sign", json!({ "msg": "YQ==" })).await);
        assert_eq!((bytes(&made, "sign").len(), &made["alg"]), (length, &json!(name)));
        let check = |msg: &str| json!({ "msg": msg, "sign": made["sign"] });
        assert_eq!(status(&api.use_key(&kid, "pqc/mldsa/verify", check("YQ==")).await), 200);
        assert_eq!(status(&api.use_key(&kid, "pqc/mldsa/verify", check("Yg==")).await), 406);
        assert_eq!(api.log_of_work().last(), Some(&format!("42/1 U {kid}")));
        contexts_bind(&api, &kid).await;
        assert_eq!(status(&api.use_key(&kid, "pqc/mldsa/verify", json!({ "msg": "" })).await), 400);
    }
    // A public key alone encapsulates and does not open.
    let kid = api.key("MLKEM768").await;
    let public = b64::encode(&public(&api, &kid).await);
    let delete = api.token("keymgmt:del").await;
    assert_eq!(api.delete(&delete, &kid).await, 200);
    let import = json!({ "label": "p", "type": "MLKEM768", "pubkey": public });
    let token = api.token("keymgmt:imp").await;
    assert_eq!(status(&api.post(&token, "/api/keymgmt/import", &import).await), 200);
    let made = body(&api.use_key(&kid, "pqc/mlkem/encaps", json!({})).await);
    let open = json!({ "ct": made["ct"] });
    assert_eq!(status(&api.use_key(&kid, "pqc/mlkem/decaps", open).await), 406);
}
