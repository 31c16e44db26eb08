//! Export, backup and restore.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::{Algorithm, DecryptParams};
use lethe_types::SecretVec;
use serde_json::{Value, json};

use super::support::{Api, failure, success, text};
use crate::settings::Settings;

async fn open() -> Api {
    Api::with(Settings { allow_key_material_egress: true, ..Settings::default() }).await
}

impl Api {
    fn egress(&self, verb: &str, name: &str) -> String {
        format!("/transparent/{verb}/{}/{name}", self.vault)
    }

    async fn backup(&self) -> String {
        let answer = self.get(&self.admin, &self.egress("backup", "payroll")).await;
        let body = success(&answer, 200);
        assert_eq!(body["KEYS"].as_array().unwrap().len(), 1);
        text(&body["KEYS"][0], "backup")
    }
}

#[tokio::test]
async fn nothing_leaves_unless_key_and_operator_allow_it() {
    for is_allowed in [true, false] {
        let settings = Settings { allow_key_material_egress: is_allowed, ..Settings::default() };
        let api = Api::with(settings).await;
        let [export, backup] = ["export", "backup"].map(|verb| api.egress(verb, "payroll"));
        for path in [&export, &backup] {
            failure(&api.get(&api.admin, path).await, 400, "NO SUCH KEY");
            failure(&api.get(&api.writer, path).await, 403, "PERMISSION DENIED");
        }
        api.key(json!({ "allow_export": false, "allow_backup": false })).await;
        failure(&api.get(&api.admin, &export).await, 403, "KEY NOT EXPORTABLE");
        failure(&api.get(&api.admin, &backup).await, 403, "KEY NOT BACKUPABLE");
        success(&api.delete(&api.writer, &api.path("key")).await, 200);
        api.key(json!({})).await;
        for path in [&export, &backup] {
            for token in [&api.writer, &api.reader, &api.nobody] {
                failure(&api.get(token, path).await, 403, "PERMISSION DENIED");
            }
            if !is_allowed {
                failure(&api.get(&api.admin, path).await, 403, "EXPORT DISABLED");
            }
        }
        let restore = api.egress("restore", "other");
        let sent = json!({ "backup": "AAAA" });
        let (status, why) =
            if is_allowed { (400, "INVALID PARAMETER: backup") } else { (403, "EXPORT DISABLED") };
        failure(&api.post(&api.writer, &restore, sent.clone()).await, status, why);
        for token in [&api.reader, &api.nobody] {
            failure(&api.post(token, &restore, sent.clone()).await, 403, "PERMISSION DENIED");
        }
    }
}

#[tokio::test]
async fn an_exported_key_opens_its_ciphertexts_elsewhere_and_is_marked() {
    let api = open().await;
    api.key(json!({ "type": "aes256-gcm96", "allow_backup": false })).await;
    let sealed = api.sealed().await;
    success(&api.post(&api.writer, &api.path("rotate"), json!({})).await, 201);
    let path = api.egress("export", "payroll");
    let body = success(&api.get(&api.admin, &path).await, 200);
    let keys = body["KEYS"].as_array().unwrap();
    let numbers: Vec<_> = keys.iter().map(|key| text(key, "key_version")).collect();
    assert_eq!(numbers, ["1", "2"]);
    assert_eq!((&keys[0]["name"], &keys[0]["type"]), (&json!("payroll"), &json!("aes256-gcm96")));
    let one = success(&api.get(&api.admin, &format!("{path}/1")).await, 200);
    assert_eq!(one["KEYS"], json!([keys[0]]));
    for wrong in ["3", "0", "01", "x", "4294967297"] {
        let answer = api.get(&api.admin, &format!("{path}/{wrong}")).await;
        failure(&answer, 400, "NO SUCH KEY VERSION");
    }
    let key = SecretVec::from_vec(STANDARD.decode(text(&keys[0], "key")).unwrap());
    let cipher = Algorithm::from_name("aes256-gcm").unwrap().load(&key).unwrap();
    let bytes = STANDARD.decode(sealed.strip_prefix("storedsafe:v1:").unwrap()).unwrap();
    let opened = cipher.decrypt_with(&DecryptParams::default(), &bytes).unwrap();
    assert_eq!(opened.expose(), b"hello");
    let read = success(&api.get(&api.reader, &api.path("key")).await, 200);
    let id = text(&read["CALLINFO"], "objectid").parse().unwrap();
    let marked = api.engine.read_key(&api.own_caller(), id).unwrap();
    assert!(marked.record().exported);
    let backup = api.egress("backup", "payroll");
    failure(&api.get(&api.admin, &backup).await, 403, "KEY NOT BACKUPABLE");
}

#[tokio::test]
async fn a_backup_brings_a_lost_key_back_with_its_versions() {
    let api = open().await;
    let how = json!({ "type": "aes256-ofb", "allow_delete": false, "info": "\u{1}\"words\"" });
    api.key(how).await;
    let first = api.sealed().await;
    success(&api.post(&api.writer, &api.path("rotate"), json!({})).await, 201);
    let second = api.sealed().await;
    let backup = api.backup().await;
    // Into another vault, as into another installation.
    let made = success(&api.post(&api.admin, "/vault", json!({ "vaultname": "W" })).await, 200);
    let other = text(&made["VAULT"][0], "id");
    let path = format!("/transparent/restore/{other}/payroll");
    let sent = json!({ "backup": backup });
    let restored = success(&api.post(&api.admin, &path, sent.clone()).await, 200);
    assert_eq!(restored["CALLINFO"]["key_version"], "2");
    assert_eq!(restored["DATA"]["backup"], "[redacted]");
    failure(&api.post(&api.admin, &path, sent).await, 400, "KEY EXISTS");
    for sealed in [&first, &second] {
        let path = format!("/transparent/{other}/decrypt/payroll");
        let opened = api.post(&api.admin, &path, json!({ "ciphertext": sealed })).await;
        assert_eq!(success(&opened, 200)["CALLINFO"]["plaintext"], "aGVsbG8=");
    }
    let key = format!("/transparent/{other}/keys/payroll");
    let read = &success(&api.get(&api.admin, &key).await, 200)["KEYS"][0];
    assert_eq!(read["info"], "\u{1}\"words\"");
    assert_eq!((&read["allow_delete"], &read["allow_backup"]), (&json!(false), &json!(true)));
    let rotated = success(&api.post(&api.admin, &format!("{key}/rotate"), json!({})).await, 201);
    assert_eq!(rotated["CALLINFO"]["key_version"], "3");
}

#[tokio::test]
async fn a_deleted_key_does_not_come_back() {
    let api = open().await;
    api.key(json!({})).await;
    success(&api.post(&api.writer, &api.path("rotate"), json!({})).await, 201);
    let backup = api.backup().await;
    success(&api.delete(&api.writer, &api.path("key")).await, 200);
    let restore = async |name: &str, backup: &str| {
        let sent = json!({ "backup": backup });
        api.post(&api.writer, &api.egress("restore", name), sent).await
    };
    for name in ["payroll", "other"] {
        failure(&restore(name, &backup).await, 400, "KEY WAS DELETED");
    }
    // Nor under another identity: the material of each version is known again.
    let blob = STANDARD.decode(&backup).unwrap();
    let mut changed: Value = serde_json::from_slice(&blob[..blob.len() - 32]).unwrap();
    changed["key"] = json!("0".repeat(32));
    for version in [0, 1] {
        let mut one = changed.clone();
        one["versions"] = json!([changed["versions"][version]]);
        failure(&restore("other", &blob_of(&one)).await, 400, "KEY WAS DELETED");
    }
    // The control: other material is welcome, but not under a name that was used.
    changed["versions"] = json!([{ "number": 1, "key": STANDARD.encode([7; 16]) }]);
    failure(&restore("payroll", &blob_of(&changed)).await, 400, "KEY WAS DELETED");
    success(&restore("other", &blob_of(&changed)).await, 200);
}

fn blob_of(json: &Value) -> String {
    let mut blob = json.to_string().into_bytes();
    let checksum = sha256(&[&blob]);
    blob.extend_from_slice(&checksum);
    STANDARD.encode(blob)
}

#[tokio::test]
async fn what_is_no_backup_is_refused() {
    let api = open().await;
    api.key(json!({})).await;
    let good = api.backup().await;
    let blob = STANDARD.decode(&good).unwrap();
    let json: Value = serde_json::from_slice(&blob[..blob.len() - 32]).unwrap();
    let with = |member: &str, value: Value| {
        let mut changed = json.clone();
        changed[member] = value;
        blob_of(&changed)
    };
    let version = |number: u64, bytes: usize| {
        let key = STANDARD.encode(vec![9; bytes]);
        json!({ "number": number, "key": key })
    };
    let mut flipped = blob.clone();
    flipped[20] ^= 1;
    for wrong in [
        String::new(),
        "x".to_owned(),
        good[4..].to_owned(),
        STANDARD.encode(&flipped),
        STANDARD.encode([0; 31]),
        with("format", json!("other/1")),
        with("key", json!("1")),
        with("type", json!("aes512")),
        with("type", json!("aes256-gcm96")),
        with("more", json!(1)),
        with("allow_export", json!("true")),
        with("versions", json!([])),
        with("versions", json!([version(0, 16)])),
        with("versions", json!([version(1, 15)])),
        with("versions", json!([version(2, 16), version(1, 16)])),
        with("versions", json!([version(1, 16), version(1, 16)])),
        with("versions", json!([version(4_294_967_295, 16)])),
        with("versions", json!([version(4_294_967_296, 16)])),
    ] {
        let answer = api
            .post(&api.writer, &api.egress("restore", "other"), json!({ "backup": wrong }))
            .await;
        failure(&answer, 400, "INVALID PARAMETER: backup");
    }
    let path = api.egress("restore", "other");
    failure(&api.post(&api.writer, &path, json!({})).await, 400, "INVALID PARAMETER: backup");
    failure(
        &api.post(&api.writer, &path, json!({ "backup": 5 })).await,
        400,
        "INVALID PARAMETER: backup",
    );
    failure(
        &api.get(&api.writer, &format!("/transparent/{}/keys/other", api.vault)).await,
        400,
        "NO SUCH KEY",
    );
}
