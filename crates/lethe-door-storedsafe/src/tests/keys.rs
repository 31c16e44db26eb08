//! Named keys and their uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_engine::record::Alias;
use lethe_engine::{CreateKeyRequest, GivenMaterial};
use lethe_types::SecretVec;
use serde_json::{Value, json};

use super::support::{Api, failure, success, text};
use crate::DOOR;
use crate::ciphertext::KEY_TYPES;
use crate::handlers::alias;

#[tokio::test]
async fn a_key_without_wishes_has_the_defaults() {
    let api = Api::new().await;
    let headers = [("X-Http-Token", api.writer.as_str()), ("content-length", "0")];
    let made = api.send(http::Method::POST, &api.path("key"), &headers, "").await;
    let made = success(&made, 201);
    assert_eq!(made["CALLINFO"]["name"], "payroll");
    assert_eq!(made["CALLINFO"]["key_version"], "1");
    let object = text(&made["CALLINFO"], "objectid");
    let read = success(&api.get(&api.reader, &api.path("key")).await, 200);
    assert_eq!(read["CALLINFO"]["objectid"], object);
    assert_eq!(read["CALLINFO"]["version"], "1");
    let key = json!({
        "name": "payroll", "key_version": "1", "type": "aes128-gcm96", "allow_backup": true,
        "allow_export": true, "allow_delete": true, "supports_signing": false, "info": "",
    });
    assert_eq!(read["KEYS"], json!([key]));
    let get =
        success(&api.get(&api.reader, &format!("/transparent/{}/keys", api.vault)).await, 200);
    assert_eq!(get["KEYS"], success(&api.list_keys(&api.reader).await, 200)["KEYS"]);
    assert_eq!(get["KEYS"], json!([key]));
}

#[tokio::test]
async fn flags_are_understood_or_refused_and_never_guessed() {
    let api = Api::new().await;
    let key = api.path("key");
    for (value, meant) in [
        (json!(true), true),
        (json!(1), true),
        (json!("true"), true),
        (json!("1"), true),
        (json!(false), false),
        (json!(0), false),
        (json!("false"), false),
        (json!("0"), false),
    ] {
        let name = format!("/transparent/{}/keys/k{}", api.vault, value.to_string().len());
        let name = format!("{name}{}{}", value.is_string(), value.to_string().replace('"', ""));
        let how = json!({ "allow_export": value, "allow_backup": value, "allow_delete": value });
        success(&api.post(&api.writer, &name, how).await, 201);
        let shown = &success(&api.get(&api.writer, &name).await, 200)["KEYS"][0];
        for flag in ["allow_export", "allow_backup", "allow_delete"] {
            assert_eq!(shown[flag], meant, "{value}");
        }
    }
    let wrong = [
        json!("yes"),
        json!(2),
        json!(-1),
        json!(1.0),
        json!("TRUE"),
        json!(""),
        json!(null),
        json!([]),
        json!({}),
    ];
    for flag in ["allow_export", "allow_backup", "allow_delete"] {
        for value in &wrong {
            let answer = api.post(&api.writer, &key, json!({ flag: value })).await;
            failure(&answer, 400, &format!("INVALID PARAMETER: {flag}"));
        }
    }
    for wrong in [
        json!("aes512"),
        json!("AES128-GCM96"),
        json!(1),
        json!(""),
        json!("aes128-gcm"),
        json!("ed25519"),
        json!(["aes128-gcm96"]),
    ] {
        let answer = api.post(&api.writer, &key, json!({ "type": wrong })).await;
        failure(&answer, 400, "INVALID PARAMETER: type");
    }
    for wrong in [json!(1), json!({}), json!("x".repeat(20_000))] {
        let answer = api.post(&api.writer, &key, json!({ "info": wrong })).await;
        failure(&answer, 400, "INVALID PARAMETER: info");
    }
    failure(&api.get(&api.writer, &key).await, 400, "NO SUCH KEY");
}

#[tokio::test]
async fn only_who_may_write_creates() {
    let api = Api::new().await;
    let key = api.path("key");
    for token in [&api.reader, &api.nobody] {
        failure(&api.post(token, &key, json!({})).await, 403, "PERMISSION DENIED");
        failure(&api.post(token, &api.path("rotate"), json!({})).await, 403, "PERMISSION DENIED");
    }
    api.key(json!({})).await;
    let sealed = api.sealed().await;
    for token in [&api.writer, &api.admin] {
        failure(&api.post(token, &key, json!({})).await, 400, "KEY EXISTS");
    }
    success(&api.open(&sealed).await, 200);
    for (verb, sent) in [
        ("encrypt", json!({ "plaintext": "" })),
        ("decrypt", json!({ "ciphertext": sealed })),
        ("rewrap", json!({ "ciphertext": sealed })),
        ("datakey/wrapped", json!({})),
    ] {
        let path = api.path(verb);
        failure(&api.post(&api.nobody, &path, sent.clone()).await, 403, "PERMISSION DENIED");
        success(&api.post(&api.reader, &path, sent).await, 200);
    }
    let plain = api.path("datakey/plaintext");
    failure(&api.post(&api.reader, &plain, json!({})).await, 403, "PERMISSION DENIED");
    failure(&api.get(&api.nobody, &key).await, 403, "PERMISSION DENIED");
    failure(&api.list_keys(&api.nobody).await, 403, "PERMISSION DENIED");
}

#[tokio::test]
async fn every_type_encrypts_in_its_format() {
    let api = Api::new().await;
    for key_type in KEY_TYPES {
        let path = |verb: &str| format!("/transparent/{}/{verb}/{}", api.vault, key_type.name);
        let made = api.post(&api.writer, &path("keys"), json!({ "type": key_type.name })).await;
        let general = &success(&made, 201)["CALLINFO"]["general"];
        assert_eq!(general == &json!([]), key_type.is_authenticated, "{general}");
        for plaintext in ["", "aGVsbG8gd29ybGQ=", &STANDARD.encode([7; 100_000])] {
            let sent = json!({ "plaintext": plaintext });
            let mut ciphertexts = Vec::new();
            for _ in 0..2 {
                let answer = api.post(&api.reader, &path("encrypt"), sent.clone()).await;
                let info = &success(&answer, 200)["CALLINFO"];
                assert_eq!(info["key_version"], "1");
                assert_eq!(info["name"], key_type.name);
                ciphertexts.push(text(info, "ciphertext"));
            }
            assert_ne!(ciphertexts[0], ciphertexts[1]);
            let sealed = ciphertexts[0].strip_prefix("storedsafe:v1:").expect("the prefix");
            let more = if key_type.is_authenticated { 12 + 16 } else { 16 };
            let length = STANDARD.decode(plaintext).unwrap().len();
            assert_eq!(STANDARD.decode(sealed).expect("base64").len(), length + more);
            let sent = json!({ "ciphertext": ciphertexts[0] });
            let answer = api.post(&api.reader, &path("decrypt"), sent).await;
            let info = &success(&answer, 200)["CALLINFO"];
            assert_eq!(info["plaintext"], plaintext);
            assert_eq!(info["key_version"], "1");
        }
    }
}

/// The vectors of the specification.
#[tokio::test]
async fn the_given_ciphertexts_open() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let object = success(&api.get(&api.reader, &api.path("key")).await, 200);
    let object = text(&object["CALLINFO"], "objectid").parse().unwrap();
    let own = api.own_caller();
    let vault = api.engine.read_key(&own, object).unwrap().record().vault;
    let vectors = [
        ("aes128-gcm", 16, "storedsafe:v1:oKGio6SlpqeoqaqrwuNU1xGpRGX4FNHzPJ9BDsR95+oJ2tlSedjh"),
        ("aes256-gcm", 32, "storedsafe:v1:oKGio6Slpqeoqaqrjn0QQSrrddAQCeOsJrBG0xxuRyhGb7FdEMha"),
        ("aes128-ofb", 16, "storedsafe:v1:oKGio6SlpqeoqaqrrK2urzZ9vZKZPX8Rss9a"),
        ("aes256-ofb", 32, "storedsafe:v1:oKGio6SlpqeoqaqrrK2ur7T6bZEZmAtifSeM"),
    ];
    for (algorithm, bytes, ciphertext) in vectors {
        let secret = SecretVec::from_vec((0..bytes).collect());
        let algorithm_of = lethe_crypto::registry::Algorithm::from_name(algorithm).unwrap();
        let request = CreateKeyRequest {
            vault: Some(vault),
            aliases: vec![Alias {
                door: DOOR.to_owned(),
                text: alias(vault, algorithm),
                reserved: false,
            }],
            material: Some(GivenMaterial { secret, imported: false }),
            ..CreateKeyRequest::new(algorithm.parse().unwrap(), algorithm_of)
        };
        let prepared = api.engine.prepare_key(&own, request).unwrap();
        api.engine.create_key(&own, prepared).await.unwrap();
        let path = format!("/transparent/{}/decrypt/{algorithm}", api.vault);
        let answer = api.post(&api.reader, &path, json!({ "ciphertext": ciphertext })).await;
        assert_eq!(success(&answer, 200)["CALLINFO"]["plaintext"], "aGVsbG8gd29ybGQ=");
    }
}

#[tokio::test]
async fn versions_go_on_and_older_ones_stay() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let first = api.sealed().await;
    let rotated = success(&api.post(&api.writer, &api.path("rotate"), json!({})).await, 201);
    assert_eq!(rotated["CALLINFO"]["key_version"], "2");
    assert_eq!(rotated["CALLINFO"]["name"], "payroll");
    assert!(rotated["CALLINFO"]["objectid"].is_string());
    assert!(api.sealed().await.starts_with("storedsafe:v2:"));
    assert_eq!(success(&api.open(&first).await, 200)["CALLINFO"]["plaintext"], "aGVsbG8=");
    let encrypt = async |version: Value| {
        let sent = json!({ "plaintext": "aGVsbG8=", "key_version": version });
        api.post(&api.reader, &api.path("encrypt"), sent).await
    };
    for version in [json!(1), json!("1")] {
        let answer = encrypt(version).await;
        let info = &success(&answer, 200)["CALLINFO"];
        assert_eq!(info["key_version"], "1");
        assert!(text(info, "ciphertext").starts_with("storedsafe:v1:"));
    }
    for version in [json!(9), json!("0"), json!(0), json!(4_294_967_297_u64)] {
        failure(&encrypt(version).await, 400, "NO SUCH KEY VERSION");
    }
    for version in [json!("01"), json!("v1"), json!(-1), json!(1.5), json!([]), json!("")] {
        failure(&encrypt(version).await, 400, "INVALID PARAMETER: key_version");
    }
    for version in [json!("2"), json!(2), json!(null)] {
        let sent = json!({ "ciphertext": first, "to_version": version });
        let answer = api.post(&api.reader, &api.path("rewrap"), sent).await;
        let info = &success(&answer, 200)["CALLINFO"];
        assert!(info.get("plaintext").is_none());
        let moved = text(info, "ciphertext");
        assert!(moved.starts_with("storedsafe:v2:"));
        assert_eq!(success(&api.open(&moved).await, 200)["CALLINFO"]["plaintext"], "aGVsbG8=");
    }
    let swapped = format!("/transparent/{}/rewrap/payroll", api.vault);
    let sent = json!({ "ciphertext": first, "to_version": 1 });
    let back = success(&api.post(&api.reader, &swapped, sent).await, 200);
    assert_eq!(back["CALLINFO"]["key_version"], "1");
    let sent = json!({ "ciphertext": first, "to_version": 3 });
    let answer = api.post(&api.reader, &api.path("rewrap"), sent).await;
    failure(&answer, 400, "NO SUCH KEY VERSION");
}

#[tokio::test]
async fn wrong_plaintexts_and_ciphertexts_are_refused() {
    let api = Api::new().await;
    api.key(json!({})).await;
    for wrong in [
        json!("a"),
        json!("aGVsbG8"),
        json!("aGVsbG8=\n"),
        json!("_-=="),
        json!(5),
        json!([]),
        json!(null),
        json!("aGVsbG9="),
        json!("===="),
    ] {
        let answer =
            api.post(&api.reader, &api.path("encrypt"), json!({ "plaintext": wrong })).await;
        failure(&answer, 400, "INVALID PARAMETER: plaintext");
    }
    let too_long = json!({ "plaintext": STANDARD.encode(vec![0; 1_048_577]) });
    let answer = api.post(&api.reader, &api.path("encrypt"), too_long).await;
    failure(&answer, 400, "INVALID PARAMETER: plaintext");
    let answer = api.post(&api.reader, &api.path("decrypt"), json!({})).await;
    failure(&answer, 400, "INVALID PARAMETER: ciphertext");
    let sealed = api.sealed().await;
    let body = sealed.strip_prefix("storedsafe:v1:").unwrap();
    let short = STANDARD.encode([0; 27]);
    for wrong in [
        String::new(),
        "storedsafe".to_owned(),
        format!("vault:v1:{body}"),
        body.to_owned(),
        format!("storedsafe:v01:{body}"),
        format!("storedsafe:v0:{body}"),
        format!("storedsafe:v:{body}"),
        format!("storedsafe:1:{body}"),
        format!("storedsafe:v+1:{body}"),
        format!("storedsafe:v99999999999:{body}"),
        format!("Storedsafe:v1:{body}"),
        format!(" {sealed}"),
        format!("{sealed} "),
        format!("{sealed}\n"),
        sealed.trim_end_matches('=').to_owned() + "-",
        format!("storedsafe:v1:{short}"),
        "storedsafe:v1:".to_owned(),
    ] {
        failure(&api.open(&wrong).await, 400, "INVALID CIPHERTEXT");
    }
    for number in ["2", "4294967295", "9999999999"] {
        let other = format!("storedsafe:v{number}:{body}");
        failure(&api.open(&other).await, 400, "NO SUCH KEY VERSION");
    }
    let mut bytes = STANDARD.decode(body).unwrap();
    for place in [0, 12, bytes.len() - 1] {
        bytes[place] ^= 1;
        let flipped = format!("storedsafe:v1:{}", STANDARD.encode(&bytes));
        failure(&api.open(&flipped).await, 400, "DECRYPTION FAILED");
        bytes[place] ^= 1;
    }
    success(&api.open(&sealed).await, 200);
}

#[tokio::test]
async fn a_key_of_the_same_name_elsewhere_opens_nothing() {
    let api = Api::new().await;
    api.key(json!({})).await;
    let sealed = api.sealed().await;
    let made = success(&api.post(&api.admin, "/vault", json!({ "groupname": "W" })).await, 200);
    let other = text(&made["VAULT"][0], "id");
    let key = format!("/transparent/{other}/keys/payroll");
    success(&api.post(&api.admin, &key, json!({})).await, 201);
    let path = format!("/transparent/{other}/decrypt/payroll");
    let sent = json!({ "ciphertext": sealed });
    let answer = api.post(&api.admin, &path, sent.clone()).await;
    failure(&answer, 400, "DECRYPTION FAILED");
    failure(&api.post(&api.reader, &path, sent).await, 403, "PERMISSION DENIED");
}

#[tokio::test]
async fn to_encrypt_with_a_new_name_makes_a_key_for_who_may() {
    let api = Api::new().await;
    let path = api.path("encrypt");
    let sent = json!({ "plaintext": "aGVsbG8=", "type": "aes256-gcm96" });
    failure(&api.post(&api.nobody, &path, sent.clone()).await, 403, "PERMISSION DENIED");
    failure(&api.post(&api.reader, &path, sent.clone()).await, 400, "NO SUCH KEY");
    let wrong = json!({ "plaintext": "a" });
    let answer = api.post(&api.writer, &path, wrong).await;
    failure(&answer, 400, "INVALID PARAMETER: plaintext");
    let wrong = json!({ "plaintext": "", "type": "x" });
    failure(&api.post(&api.writer, &path, wrong).await, 400, "INVALID PARAMETER: type");
    let versioned = json!({ "plaintext": "", "key_version": 1 });
    failure(&api.post(&api.writer, &path, versioned).await, 400, "NO SUCH KEY");
    failure(&api.get(&api.writer, &api.path("key")).await, 400, "NO SUCH KEY");
    let made = success(&api.post(&api.writer, &path, sent.clone()).await, 200);
    assert_eq!(made["CALLINFO"]["general"], json!(["KEY CREATED"]));
    let read = success(&api.get(&api.writer, &api.path("key")).await, 200);
    assert_eq!(read["KEYS"][0]["type"], "aes256-gcm96");
    assert_eq!(read["KEYS"][0]["allow_delete"], true);
    let again = json!({ "plaintext": "", "type": "not asked any more" });
    let again = success(&api.post(&api.reader, &path, again).await, 200);
    assert_eq!(again["CALLINFO"]["general"], json!([]));
}

#[tokio::test]
async fn data_keys_open_as_ciphertexts_do() {
    let api = Api::new().await;
    api.key(json!({})).await;
    for (bits, bytes) in [(json!(null), 32), (json!(128), 16), (json!(256), 32), (json!("512"), 64)]
    {
        let sent = json!({ "bits": bits });
        let answer = api.post(&api.writer, &api.path("datakey/plaintext"), sent.clone()).await;
        let info = &success(&answer, 200)["CALLINFO"];
        let plaintext = text(info, "plaintext");
        assert_eq!(STANDARD.decode(&plaintext).unwrap().len(), bytes);
        let opened = success(&api.open(&text(info, "ciphertext")).await, 200);
        assert_eq!(opened["CALLINFO"]["plaintext"], plaintext);
        let answer = api.post(&api.reader, &api.path("datakey/wrapped"), sent).await;
        let info = &success(&answer, 200)["CALLINFO"];
        assert!(info.get("plaintext").is_none() && info["objectid"].is_string());
    }
    for wrong in [json!(0), json!(64), json!(257), json!("x"), json!([256])] {
        let answer =
            api.post(&api.writer, &api.path("datakey/wrapped"), json!({ "bits": wrong })).await;
        failure(&answer, 400, "INVALID PARAMETER: bits");
    }
    let path = api.path("datakey/both");
    failure(&api.post(&api.writer, &path, json!({})).await, 400, "INVALID PARAMETER: type");
    let absent = format!("/transparent/{}/datakey/wrapped/absent", api.vault);
    failure(&api.post(&api.writer, &absent, json!({})).await, 400, "NO SUCH KEY");
}

#[tokio::test]
async fn lists_are_sorted_by_name_and_show_live_keys_alone() {
    let api = Api::new().await;
    assert_eq!(success(&api.list_keys(&api.reader).await, 200)["KEYS"], json!([]));
    for name in ["b", "a.1", "Z", "a"] {
        let path = format!("/transparent/{}/keys/{name}", api.vault);
        success(&api.post(&api.writer, &path, json!({ "info": name })).await, 201);
    }
    let names = async || {
        let listed = success(&api.list_keys(&api.reader).await, 200);
        let keys = listed["KEYS"].as_array().unwrap().clone();
        keys.iter().map(|key| text(key, "name")).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["Z", "a", "a.1", "b"]);
    success(&api.delete(&api.writer, &format!("/transparent/{}/keys/a", api.vault)).await, 200);
    assert_eq!(names().await, ["Z", "a.1", "b"]);
}
