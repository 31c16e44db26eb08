//! The native API over TLS: the contract that clients and outside checks rely on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::JSON;
use crate::keys::{LETTER, create, decrypt, encrypt, opens, problem};
use crate::process::{Folder, Server, run_cli};

fn server(folder: &Folder) -> Server {
    Server::start_dev(&folder.join("data"), &[], &[])
}

#[test]
fn a_destroyed_key_answers_410_and_its_receipt_verifies_offline_in_every_form() {
    let folder = Folder::new();
    let server = server(&folder);
    let client = server.native();
    let (kept, gone) = (create(&client, "aes256-gcm"), create(&client, "aes256-gcm"));
    let (kept_text, gone_text) = (encrypt(&client, &kept), encrypt(&client, &gone));
    let path = format!("/v1/keys/{gone}");
    let receipt = client.delete(&format!("{path}?reason=contract%20ended")).expect(200);
    let json = receipt.json();
    assert_eq!(json["statement"]["key"], gone.as_str());
    assert_eq!(json["statement"]["reason"], "contract ended");
    let header = receipt.header("x-deletion-receipt").expect("the header").to_owned();
    for uses in ["encrypt", "decrypt", "sign", "verify", "mac"] {
        let body = match uses {
            "encrypt" => json!({"plaintext": ""}),
            "decrypt" => json!({"ciphertext": gone_text}),
            "verify" => json!({"message": "", "signature": ""}),
            _ => json!({"message": ""}),
        };
        let refused = client.post(&format!("{path}/{uses}"), &body).expect(410);
        assert_eq!(problem(&refused), "object-destroyed", "{uses}");
    }
    client.post(&format!("{path}/rotate"), &json!({})).expect(410);
    client.delete(&path).expect(410);
    assert_eq!(client.get(&path).expect(200).json()["state"], "destroyed");
    assert!(opens(&client, &kept, &kept_text));
    let raw = client
        .send(Method::GET, &format!("{path}/receipt"), &[("accept", "text/plain")], &[])
        .expect(200);
    let forms = [("json", receipt.body), ("raw", raw.body), ("header", header.into_bytes())];
    let data = server.data().to_str().expect("UTF-8");
    for (form, bytes) in forms {
        let file = folder.join(form);
        std::fs::write(&file, &bytes).expect("written");
        let file = file.to_str().expect("UTF-8");
        let output = run_cli(&["receipt", "verify", file, "--data", data]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{form}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(&gone), "{said}");
        let mut altered = bytes.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        std::fs::write(file, &altered).expect("written");
        let output = run_cli(&["receipt", "verify", file, "--data", data]);
        assert_eq!(output.status.code(), Some(1), "{form}: an altered receipt is refused");
    }
}

#[test]
fn every_algorithm_does_what_it_says_and_refuses_the_rest() {
    let folder = Folder::new();
    let server = server(&folder);
    let client = server.native();
    let listed = client.get("/v1/algorithms").expect(200).json();
    let message = json!({"message": BASE64.encode(LETTER)});
    for algorithm in listed["algorithms"].as_array().expect("a list") {
        let name = algorithm["name"].as_str().expect("a name");
        let uses: Vec<&str> =
            algorithm["uses"].as_array().expect("uses").iter().filter_map(Value::as_str).collect();
        let key = create(&client, name);
        let post = |what: &str, body: &Value| client.post(&format!("/v1/keys/{key}/{what}"), body);
        let encrypted = post("encrypt", &json!({"plaintext": BASE64.encode(LETTER)}));
        let signed = post("sign", &message);
        let maced = post("mac", &message);
        // The native API binds every ciphertext to its key, which these cannot.
        if ["-cbc", "-ctr", "-ecb", "-ofb"].iter().any(|mode| name.ends_with(mode)) {
            assert_eq!((encrypted.status, problem(&encrypted)), (422, "invalid-field".to_owned()));
            assert!(encrypted.text().contains("cannot authenticate associated data"));
            continue;
        }
        let mut is_done = false;
        for (is_there, answer) in [
            (uses.contains(&"encrypt"), &encrypted),
            (uses.contains(&"sign"), &signed),
            (uses.contains(&"mac"), &maced),
        ] {
            if is_there {
                assert_eq!(answer.status, 200, "{name}: {}", answer.text());
                is_done = true;
            } else {
                assert_eq!((answer.status, problem(answer)), (422, "incompatible-use".to_owned()));
            }
        }
        if encrypted.status == 200 {
            let text = encrypted.json()["ciphertext"].as_str().expect("text").to_owned();
            assert!(opens(&client, &key, &text), "{name}");
        }
        if signed.status == 200 {
            let mut body = message.clone();
            body["signature"] = signed.json()["signature"].clone();
            assert_eq!(post("verify", &body).expect(200).json()["valid"], true, "{name}");
            body["message"] = json!(BASE64.encode("another letter"));
            assert_eq!(post("verify", &body).expect(200).json()["valid"], false, "{name}");
        }
        if maced.status == 200 {
            let mut body = message.clone();
            body["mac"] = maced.json()["mac"].clone();
            assert_eq!(post("mac/verify", &body).expect(200).json()["valid"], true, "{name}");
            body["message"] = json!(BASE64.encode("another letter"));
            assert_eq!(post("mac/verify", &body).expect(200).json()["valid"], false, "{name}");
        }
        // These are driven in `uses.rs`.
        let elsewhere = ["agree", "wrap_key", "encapsulate"];
        let is_elsewhere = uses.iter().any(|one| elsewhere.contains(one));
        assert!(is_done || is_elsewhere, "{name}: {uses:?}");
    }
    for (algorithm, status, want) in [
        ("slh-dsa-sha2-128s", 501, "algorithm-not-available"),
        ("rot13", 422, "unknown-algorithm"),
        ("AES256-GCM", 422, "unknown-algorithm"),
        ("", 422, "unknown-algorithm"),
    ] {
        let refused = client.post("/v1/keys", &json!({"name": "x", "algorithm": algorithm}));
        assert_eq!((refused.status, problem(&refused)), (status, want.to_owned()), "{algorithm}");
    }
}

#[test]
fn bad_requests_each_get_a_stated_problem_and_change_nothing() {
    let folder = Folder::new();
    let server = server(&folder);
    let client = server.native();
    let key = create(&client, "aes256-gcm");
    let text = encrypt(&client, &key);
    let encrypt_path = format!("/v1/keys/{key}/encrypt");
    let huge = format!("{{\"plaintext\":\"{}\"}}", "A".repeat(1_600_000));
    let too_long = "A".repeat(257);
    let long_name = json!({"name": too_long, "algorithm": "aes256-gcm"}).to_string();
    let cases: &[(&str, &str, u16, &str)] = &[
        ("/v1/keys", "", 400, "malformed-json"),
        ("/v1/keys", "{", 400, "malformed-json"),
        ("/v1/keys", "[]", 400, "malformed-json"),
        ("/v1/keys", "{\"name\":\"x\"}", 400, "malformed-json"),
        ("/v1/keys", "{\"name\":7,\"algorithm\":\"aes256-gcm\"}", 400, "malformed-json"),
        (
            "/v1/keys",
            "{\"name\":\"x\",\"algorithm\":\"aes256-gcm\",\"z\":1}",
            400,
            "malformed-json",
        ),
        ("/v1/keys", "{\"name\":\"\",\"algorithm\":\"aes256-gcm\"}", 422, "invalid-field"),
        ("/v1/keys", "{\"name\":\" x\",\"algorithm\":\"aes256-gcm\"}", 422, "invalid-field"),
        ("/v1/keys", &long_name, 422, "invalid-field"),
        (&encrypt_path, "{\"plaintext\":\"***\"}", 422, "invalid-field"),
        (&encrypt_path, "{\"plaintext\":\"YQ\"}", 422, "invalid-field"),
        (&encrypt_path, "{\"plaintext\":\"YQ==\",\"aad\":5}", 400, "malformed-json"),
        (&encrypt_path, "{\"plaintext\":\"YQ==\"} x", 400, "malformed-json"),
        (&encrypt_path, &huge, 413, "body-too-large"),
        ("/v1/keys/zz/encrypt", "{\"plaintext\":\"\"}", 422, "invalid-field"),
        (
            &format!("/v1/keys/{}/encrypt", "0".repeat(32)),
            "{\"plaintext\":\"\"}",
            404,
            "item-not-found",
        ),
    ];
    for (path, body, status, want) in cases {
        let refused = client.send(Method::POST, path, &[JSON], body.as_bytes());
        let shown: String = body.chars().take(60).collect();
        assert_eq!(
            (refused.status, problem(&refused).as_str()),
            (*status, *want),
            "{path} {shown}"
        );
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let refused = client.send(Method::POST, "/v1/keys", &form, b"name=x");
    assert_eq!((refused.status, problem(&refused).as_str()), (415, "unsupported-media-type"));
    let refused = client.get("/v1/nothing");
    assert_eq!((refused.status, problem(&refused).as_str()), (404, "not-found"));
    let refused = client.send(Method::PUT, "/v1/keys", &[JSON], b"{}");
    assert_eq!((refused.status, problem(&refused).as_str()), (405, "method-not-allowed"));
    let refused = client.delete(&format!("/v1/keys/{key}?window=72x"));
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "invalid-field"));
    let mut altered = BASE64.decode(&text).expect("base64");
    *altered.last_mut().expect("not empty") ^= 1;
    let refused = decrypt(&client, &key, &BASE64.encode(altered));
    assert_eq!((refused.status, problem(&refused).as_str()), (422, "cryptographic-failure"));
    assert!(opens(&client, &key, &text));
    assert_eq!(client.get("/v1/keys").expect(200).json()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn idempotency_keys_and_entity_tags_guard_against_repeats_and_races() {
    let folder = Folder::new();
    let server = server(&folder);
    let client = server.native();
    let body = json!({"name": "once", "algorithm": "aes256-gcm"}).to_string();
    let once = [JSON, ("idempotency-key", "order-1")];
    let first = client.send(Method::POST, "/v1/keys", &once, body.as_bytes()).expect(201).json();
    let again = client.send(Method::POST, "/v1/keys", &once, body.as_bytes()).expect(201).json();
    assert_eq!(first["id"], again["id"]);
    let other = json!({"name": "twice", "algorithm": "aes256-gcm"}).to_string();
    let reused = client.send(Method::POST, "/v1/keys", &once, other.as_bytes());
    assert_eq!((reused.status, problem(&reused).as_str()), (422, "idempotency-key-reused"));
    let path = format!("/v1/keys/{}", first["id"].as_str().expect("an id"));
    let tag = client.get(&path).expect(200).header("etag").expect("a tag").to_owned();
    client.post(&format!("{path}/rotate"), &json!({})).expect(200);
    let stale = client.send(Method::DELETE, &path, &[("if-match", &tag)], &[]);
    assert_eq!((stale.status, problem(&stale).as_str()), (412, "revision-mismatch"));
    let destroy = [("idempotency-key", "destroy-1")];
    let first = client.send(Method::DELETE, &path, &destroy, &[]).expect(200).json();
    let again = client.send(Method::DELETE, &path, &destroy, &[]).expect(200).json();
    assert_eq!(first["statement"]["log_index"], again["statement"]["log_index"]);
    client.delete(&path).expect(410);
}

#[test]
fn everything_survives_a_clean_stop_and_dev_credentials_stay() {
    let folder = Folder::new();
    let mut server = server(&folder);
    let key = create(&server.native(), "ed25519");
    let token = server.door("native", "token").to_owned();
    assert!(server.terminate().success());
    let server = server.restart();
    assert_eq!(server.door("native", "token"), token);
    let signed = server.native().post(&format!("/v1/keys/{key}/sign"), &json!({"message": "YQ=="}));
    signed.expect(200);
}

#[test]
fn the_public_pages_answer_without_a_token() {
    let folder = Folder::new();
    let server = server(&folder);
    let client = server.native().without_token();
    assert_eq!(client.get("/health/live").expect(200).json()["status"], "live");
    assert_eq!(client.get("/health/ready").expect(200).json()["status"], "ready");
    let metrics = client.get("/metrics").expect(200).text();
    assert!(metrics.contains("lethe_http_requests_total") && metrics.contains("lethe_keys"));
    let checkpoint = client.get("/v1/log/checkpoint").expect(200).text();
    let vkey = client.get("/v1/log/vkey").expect(200).text();
    assert_eq!(checkpoint.lines().next(), vkey.split('+').next());
    assert_eq!(
        vkey.trim(),
        std::fs::read_to_string(server.data().join("log.vkey")).unwrap().trim()
    );
    let openapi = client.get("/v1/openapi.json").expect(200).json();
    assert!(openapi["openapi"].as_str().expect("a version").starts_with("3.1"));
    assert!(client.get("/v1/docs").status < 400);
    client.get("/problems/object-destroyed").expect(200);
    client.get("/v1/keys").expect(401);
}
