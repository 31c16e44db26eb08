//! The NAVER Cloud KMS door of the real server: the specification's conformance cases, over
//! sockets, over kills, and with clocks that are ahead.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, thread};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lethe_crypto::hash::hmac_sha256;
use rusqlite::Connection;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client, JSON};
use crate::process::{Folder, NotReady, Server, run_cli};

/// A client that signs as the vendor's documents say.
#[derive(Clone, Debug)]
struct Kms {
    client: Client,
    access_key: String,
    secret_key: String,
    /// How far the server's clock is ahead.
    ahead: Duration,
}

impl Kms {
    fn of(server: &Server) -> Self {
        Self {
            client: server.client("ncloud"),
            access_key: server.door("ncloud", "access_key").to_owned(),
            secret_key: server.door("ncloud", "secret_key").to_owned(),
            ahead: Duration::ZERO,
        }
    }

    fn viewer(server: &Server) -> Self {
        Self {
            access_key: server.door("ncloud", "viewer_access_key").to_owned(),
            secret_key: server.door("ncloud", "viewer_secret_key").to_owned(),
            ..Self::of(server)
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a client signs with the time of the machine")]
    fn now_ms(&self) -> u128 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        (now + self.ahead).as_millis()
    }

    /// The headers of a request whose `target` is signed as if it had been sent at `time_ms`.
    fn headers(&self, method: &Method, target: &str, time_ms: u128) -> [(&str, String); 3] {
        let message = format!("{method} {target}\n{time_ms}\n{}", self.access_key);
        let signature = hmac_sha256(self.secret_key.as_bytes(), &[message.as_bytes()]);
        [
            ("x-ncp-apigw-timestamp", time_ms.to_string()),
            ("x-ncp-iam-access-key", self.access_key.clone()),
            ("x-ncp-apigw-signature-v2", BASE64.encode(signature)),
        ]
    }

    #[track_caller]
    fn send(&self, method: Method, target: &str, body: &str) -> Answer {
        let sent = self.try_send(method, target, body);
        sent.unwrap_or_else(|error| panic!("{target}: {error}"))
    }

    fn try_send(&self, method: Method, target: &str, body: &str) -> Result<Answer, ureq::Error> {
        let headers = self.headers(&method, target, self.now_ms());
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.client.try_send(method, target, &headers, body.as_bytes())
    }

    #[track_caller]
    fn get(&self, target: &str) -> Value {
        data(&self.send(Method::GET, target, ""))
    }

    #[track_caller]
    fn post(&self, target: &str, body: &Value) -> Value {
        data(&self.send(Method::POST, target, &body.to_string()))
    }

    /// What is refused, as status and code.
    #[track_caller]
    fn refused(&self, method: Method, target: &str, body: &str) -> (u16, String) {
        refusal(&self.send(method, target, body))
    }

    /// The path of a new key.
    #[track_caller]
    fn key(&self, name: &str, key_type: &str) -> String {
        let made = self.post("/kms/v1/keys", &json!({"keyName": name, "keyType": key_type}));
        format!("/kms/v1/keys/{}", made["keyTag"].as_str().expect("a tag"))
    }

    #[track_caller]
    fn encrypt(&self, key: &str) -> String {
        let made = self.post(&format!("{key}/encrypt"), &json!({"plaintext": "aGVsbG8="}));
        made["ciphertext"].as_str().expect("a ciphertext").to_owned()
    }

    fn decrypt(&self, key: &str, ciphertext: &str) -> Answer {
        let body = json!({"ciphertext": ciphertext}).to_string();
        self.send(Method::POST, &format!("{key}/decrypt"), &body)
    }
}

#[track_caller]
fn data(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["code"], "SUCCESS", "{json}");
    json.get("data").expect("data, or null").clone()
}

#[track_caller]
fn refusal(answer: &Answer) -> (u16, String) {
    assert!(!answer.text().contains("SUCCESS"), "{}", answer.text());
    let code = answer.json()["error"]["errorCode"].as_str().expect("a text").to_owned();
    (answer.status, code)
}

fn s422() -> (u16, String) {
    (422, "UNPROCESSABLE_ENTITY".to_owned())
}

fn n404() -> (u16, String) {
    (404, "NOT_FOUND".to_owned())
}

#[test]
fn a_key_lives_and_dies_as_the_documents_say() {
    let folder = Folder::new();
    // In the realm of the native door, which shows the same keys then.
    let realm = ["--set", "door.ncloud.realm=\"dev\""];
    let server = Server::start_dev(&folder.join("data"), &realm, &[]);
    let kms = Kms::of(&server);
    let key = kms.key("orders-key", "AES256");
    let info = kms.get(&key);
    assert_eq!((&info["status"], &info["currentVersion"]), (&json!("ENABLE"), &json!(1)));
    assert_eq!(info["baseUrl"], server.door("ncloud", "url"));
    let sealed = kms.encrypt(&key);
    assert_eq!(data(&kms.decrypt(&key, &sealed))["plaintext"], "aGVsbG8=");
    assert_eq!(kms.refused(Method::DELETE, &key, ""), s422());
    let asked = kms.post(&format!("{key}/request-deletion"), &json!({}));
    assert_eq!(asked["status"], "REVOKE");
    let listed = kms.get("/kms/v1/keys?pageNo=1&pageSize=10");
    let due = asked["statusDate"].as_u64().expect("a date") + 259_200_000;
    assert_eq!(listed["keyList"][0]["destroyDate"], due);
    for call in ["encrypt", "decrypt", "rotate", "enable", "disable", "request-deletion"] {
        let body = json!({"plaintext": "", "ciphertext": sealed}).to_string();
        assert_eq!(kms.refused(Method::POST, &format!("{key}/{call}"), &body), s422(), "{call}");
    }
    let native = server.native();
    let known = native.get("/v1/keys?limit=1000").expect(200).json();
    let known = known["keys"].as_array().and_then(|keys| {
        keys.iter().find(|key| key["name"] == "orders-key")?["id"].as_str().map(str::to_owned)
    });
    let deleted = kms.send(Method::DELETE, &key, "").expect(200);
    assert_eq!(deleted.json(), json!({"code": "SUCCESS", "data": null}));
    assert_eq!(kms.refused(Method::DELETE, &key, ""), n404());
    assert_eq!(refusal(&kms.decrypt(&key, &sealed)), n404());
    assert_eq!(kms.get("/kms/v1/keys")["totalCount"], 0);

    // The receipt, as it came, holds against the log's key alone.
    let receipt = deleted.header("x-deletion-receipt").expect("a receipt");
    let again = native.get(&format!("/v1/keys/{}/receipt", known.expect("it was listed")));
    let again = again.expect(200);
    assert_eq!(again.header("x-deletion-receipt"), Some(receipt), "the native door has it too");
    let file = server.data().join("receipt-under-test");
    fs::write(&file, receipt).expect("the receipt can be written");
    let data_dir = server.data().to_str().expect("UTF-8");
    let file = file.to_str().expect("UTF-8");
    let verified = run_cli(&["receipt", "verify", file, "--data", data_dir]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));

    // A key of the same name opens nothing of it.
    let again = kms.key("orders-key", "AES256");
    assert_eq!(refusal(&kms.decrypt(&again, &sealed)).0, 400);
}

#[test]
fn signatures_are_checked_over_what_is_sent() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let kms = Kms::of(&server);
    let key = kms.key("orders", "AES256");
    let send = |target: &str, signed: &str, shift_ms: i64| {
        let time = kms.now_ms().checked_add_signed(shift_ms.into()).expect("a time");
        let headers = kms.headers(&Method::GET, signed, time);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        kms.client.send(Method::GET, target, &headers, b"")
    };
    let unsigned = (401, "200".to_owned());
    data(&send(&key, &key, 0));
    // Clients send a request again of which they saw no answer: the same bytes are as good.
    let headers = kms.headers(&Method::GET, &key, kms.now_ms());
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for _ in 0..2 {
        data(&kms.client.send(Method::GET, &key, &headers, b""));
    }
    data(&send(&key, &key, -299_000));
    assert_eq!(refusal(&send(&key, &key, -301_000)), unsigned);
    assert_eq!(refusal(&send(&key, &key, 301_000)), unsigned);
    data(&send(&key, &format!("{key}?"), 0));
    let query = "/kms/v1/keys?pageNo=1&pageSize=10";
    data(&send(query, query, 0));
    assert_eq!(refusal(&send(query, "/kms/v1/keys?pageSize=10&pageNo=1", 0)), unsigned);
    let found = format!("{key}/activities?keyword=%ED%82%A4");
    data(&send(&found, &found, 0));
    assert_eq!(refusal(&kms.client.get(&key)), unsigned);

    // Version 1, with its API key.
    let (tag, api_key) = (key.rsplit('/').next().expect("a tag"), server.door("ncloud", "api_key"));
    let target = format!("/keys/v1/{tag}/encrypt");
    let time = kms.now_ms();
    let with = |message: &str| {
        let signature = hmac_sha256(kms.secret_key.as_bytes(), &[message.as_bytes()]);
        let (time, signature) = (time.to_string(), BASE64.encode(signature));
        let headers = [
            ("x-ncp-apigw-timestamp", time.as_str()),
            ("x-ncp-iam-access-key", &kms.access_key),
            ("x-ncp-apigw-api-key", api_key),
            ("x-ncp-apigw-signature-v1", &signature),
            JSON,
        ];
        kms.client.send(Method::POST, &target, &headers, br#"{"plaintext":""}"#)
    };
    let access_key = &kms.access_key;
    let first = with(&format!("POST {target}\n{time}\n{api_key}\n{access_key}")).expect(200);
    assert_eq!(first.json()["msg"], "");
    let second = with(&format!("POST {target}\n{time}\n{access_key}"));
    assert_eq!(refusal(&second), unsigned);
    assert_eq!(second.json()["code"], "200", "clients of this version look here");
}

#[test]
fn bodies_are_taken_as_plain_curl_sends_them() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let kms = Kms::of(&server);
    let key = kms.key("orders", "AES256");
    let target = format!("{key}/encrypt");
    for content_type in ["application/x-www-form-urlencoded", "application/json;charset=UTF-8", "-"]
    {
        let headers = kms.headers(&Method::POST, &target, kms.now_ms());
        let mut headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if content_type != "-" {
            headers.push(("content-type", content_type));
        }
        data(&kms.client.send(Method::POST, &target, &headers, br#"{"plaintext":"aGVsbG8="}"#));
    }
    for (call, body) in [("disable", ""), ("enable", "{}")] {
        data(&kms.send(Method::POST, &format!("{key}/{call}"), body));
    }
}

#[test]
fn a_viewer_looks_and_does_nothing() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let (kms, viewer) = (Kms::of(&server), Kms::viewer(&server));
    let key = kms.key("orders", "AES256");
    for path in ["", "/versions", "/acl", "/activities", "/last-use-info"] {
        viewer.get(&format!("{key}{path}"));
    }
    assert_eq!(viewer.get("/kms/v1/keys")["totalCount"], 1);
    let forbidden = (403, "FORBIDDEN".to_owned());
    for (method, path, body) in [
        (Method::POST, "/encrypt", r#"{"plaintext":""}"#),
        (Method::POST, "/disable", ""),
        (Method::POST, "/rotate", ""),
        (Method::POST, "/request-deletion", ""),
        (Method::POST, "/token-generator", ""),
        (Method::PUT, "/memo", r#"{"memo":""}"#),
        (Method::DELETE, "", ""),
    ] {
        assert_eq!(viewer.refused(method, &format!("{key}{path}"), body), forbidden, "{path}");
    }
    let body = json!({"keyName": "abc", "keyType": "AES256"}).to_string();
    assert_eq!(viewer.refused(Method::POST, "/kms/v1/keys", &body), forbidden);
}

#[test]
fn a_kill_at_every_point_of_a_deletion_leaves_the_key_waiting_or_gone() {
    let points = [
        "commit.planned",
        "commit.staged",
        "commit.durable",
        "slot.root_written",
        "slot.old_root_erased",
        "commit.published",
        "commit.answered",
    ];
    for point in points {
        let folder = Folder::new();
        let server = Server::start_dev(&folder.join("data"), &[], &[]);
        let kms = Kms::of(&server);
        let key = kms.key("orders", "AES256");
        let sealed = kms.encrypt(&key);
        kms.post(&format!("{key}/request-deletion"), &json!({}));
        let mut server = server.restart_with(&[("LETHE_CRASH_AT", point)]);
        let answer = Kms::of(&server).try_send(Method::DELETE, &key, "").ok();
        server.wait_for_exit();
        let server = server.restart_with(&[]);
        let kms = Kms::of(&server);
        let is_there = kms.send(Method::GET, &key, "").status == 200;
        if let Some(answer) = answer {
            data(&answer);
            assert!(!is_there, "{point}: a deletion that was answered came back");
        }
        if is_there {
            assert_eq!(kms.get(&key)["status"], "REVOKE", "{point}");
            assert_eq!(refusal(&kms.decrypt(&key, &sealed)), s422(), "{point}");
            kms.post(&format!("{key}/cancel-deletion"), &json!({}));
            kms.post(&format!("{key}/enable"), &json!({}));
            assert_eq!(data(&kms.decrypt(&key, &sealed))["plaintext"], "aGVsbG8=", "{point}");
        } else {
            assert_eq!(refusal(&kms.decrypt(&key, &sealed)), n404(), "{point}");
        }
    }
}

#[test]
fn what_is_overdue_at_a_start_is_gone_before_anybody_can_ask() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let kms = Kms::of(&server);
    let (going, kept) = (kms.key("going", "AES256"), kms.key("kept", "AES256"));
    let sealed = kms.encrypt(&kept);
    kms.post(&format!("{going}/request-deletion"), &json!({}));
    let access_key = kms.access_key.clone();
    assert!(server.terminate().success());
    drop(server);
    let ahead = Duration::from_secs(71 * 3_600);
    let mut server = Server::start_dev(&folder.join("data"), &["--clock-offset", "71h"], &[]);
    let kms = Kms { ahead, ..Kms::of(&server) };
    assert_eq!(kms.access_key, access_key, "credentials stay");
    assert_eq!(kms.get(&going)["status"], "REVOKE");
    assert!(server.terminate().success());
    drop(server);
    let ahead = Duration::from_secs(73 * 3_600);
    let server = Server::start_dev(&folder.join("data"), &["--clock-offset", "73h"], &[]);
    let kms = Kms { ahead, ..Kms::of(&server) };
    assert_eq!(kms.refused(Method::GET, &going, ""), n404());
    assert_eq!(data(&kms.decrypt(&kept, &sealed))["plaintext"], "aGVsbG8=");
    assert_eq!(kms.get("/kms/v1/keys")["totalCount"], 1);
    // The history went on over the starts.
    let from = format!("{kept}/activities?timestampFrom=0");
    assert_eq!(kms.get(&from)["activityLogList"][1]["data"]["api"]["action"], "Encrypt");
}

/// The files below a folder but for what serves running processes alone.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let (folders, mut found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    folders.iter().for_each(|inner| found.extend(files(inner)));
    found
}

/// The stored row of the key with this tag, and in which table it is by which name.
fn row_of(database: &Path, tag: &str) -> (String, Vec<u8>, Vec<u8>) {
    let database = Connection::open(database).expect("a database");
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%key'";
    let mut statement = database.prepare(tables).expect("SQL");
    let tables = statement.query_map((), |row| row.get::<_, String>(0)).expect("tables");
    for table in tables {
        let table = table.expect("a name");
        let select = format!("SELECT k, v FROM \"{table}\" WHERE instr(v, ?1) > 0");
        let found = database.query_row(&select, [tag.as_bytes()], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
        });
        if let Ok((name, value)) = found {
            return (table, name, value);
        }
    }
    panic!("no row has {tag}");
}

/// The longest part of `before` of which `after` has nothing: what was erased of the row.
fn lost<'a>(before: &'a [u8], after: &[u8]) -> &'a [u8] {
    const PART_BYTES: usize = 8;
    let kept: BTreeSet<&[u8]> = after.windows(PART_BYTES).collect();
    let (mut longest, mut start) = (0..0, 0);
    for (at, part) in before.windows(PART_BYTES).enumerate() {
        if kept.contains(part) {
            start = at + 1;
        } else if at + PART_BYTES - start > longest.len() {
            longest = start..at + PART_BYTES;
        }
    }
    &before[longest]
}

/// What was sealed of a deleted key is in no file, and a store of before is not served.
#[test]
fn no_file_has_a_deleted_key_and_a_restored_store_is_refused() {
    let folder = Folder::new();
    let data_dir = folder.join("data");
    let database = data_dir.join("store/store.sqlite");
    let mut server = Server::start_dev(&data_dir, &[], &[]);
    let kms = Kms::of(&server);
    let (key, kept) = (kms.key("orders", "AES256"), kms.key("kept", "AES256"));
    let (sealed, still) = (kms.encrypt(&key), kms.encrypt(&kept));
    kms.post(&format!("{key}/request-deletion"), &json!({}));
    assert!(server.terminate().success());
    drop(server);
    let tag = key.rsplit('/').next().expect("a tag");
    let (table, name, before) = row_of(&database, tag);
    let backup = fs::read(&database).expect("readable");

    let mut server = Server::start_dev(&data_dir, &[], &[]);
    assert_eq!(data(&Kms::of(&server).send(Method::DELETE, &key, "")), Value::Null);
    assert!(server.terminate().success());
    drop(server);
    let (after_table, after_name, after) = row_of(&database, tag);
    assert_eq!((after_table, &after_name), (table, &name), "a tombstone in its place");
    let material = lost(&before, &after);
    // Nonce, material and tag at the least; what names the key or is a number is elsewhere too.
    assert!(material.len() >= 12 + 32 + 16, "{} bytes", material.len());
    let of_name: BTreeSet<&[u8]> = name.windows(4).collect();
    let is_random = |part: &&[u8]| {
        let different: BTreeSet<&u8> = part.iter().collect();
        different.len() >= 12 && !part.windows(4).any(|four| of_name.contains(four))
    };
    let parts: BTreeSet<&[u8]> = material.windows(16).filter(is_random).collect();
    assert!(parts.len() >= 32 + 16 - 16, "{} parts", parts.len());
    let has_some = |bytes: &[u8]| bytes.windows(16).any(|part| parts.contains(part));
    assert!(has_some(&backup), "the search finds what is there");
    for file in files(&data_dir) {
        let bytes = fs::read(&file).expect("readable");
        assert!(!has_some(&bytes), "{} has some of it", file.display());
    }

    // The backup of the store, put back.
    let present = fs::read(&database).expect("readable");
    fs::write(&database, &backup).expect("written");
    match Server::try_start_dev(&data_dir, &[], &[]) {
        Err(NotReady::Ended { stderr, .. }) => assert!(stderr.contains("older"), "{stderr}"),
        other => panic!("{other:?}"),
    }
    fs::write(&database, &present).expect("written");
    let server = Server::start_dev(&data_dir, &[], &[]);
    let kms = Kms::of(&server);
    assert_eq!(refusal(&kms.decrypt(&key, &sealed)), n404());
    assert_eq!(data(&kms.decrypt(&kept, &still))["plaintext"], "aGVsbG8=");
}

#[test]
fn cancellation_and_deletion_sent_together_never_both_succeed() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let kms = Kms::of(&server);
    let mut key = kms.key("orders", "AES256");
    for _ in 0..100 {
        kms.post(&format!("{key}/request-deletion"), &json!({}));
        let (cancel, delete) = (kms.clone(), kms.clone());
        let (cancel_target, delete_target) = (format!("{key}/cancel-deletion"), key.clone());
        let cancelling = thread::spawn(move || cancel.send(Method::POST, &cancel_target, ""));
        let deleted = delete.send(Method::DELETE, &delete_target, "");
        let cancelled = cancelling.join().expect("it was answered");
        match (cancelled.status, deleted.status) {
            (200, 422) => assert_eq!(kms.get(&key)["status"], "DISABLE"),
            (404 | 422, 200) => {
                assert_eq!(kms.refused(Method::GET, &key, ""), n404());
                key = kms.key("orders", "AES256");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn tokens_open_their_key_for_as_long_as_their_generator_lives() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let kms = Kms::of(&server);
    let key = kms.key("orders", "AES256");
    assert_eq!(kms.refused(Method::POST, &format!("{key}/token-set"), ""), s422());
    kms.post(&format!("{key}/token-generator"), &json!({}));
    let set = kms.post(&format!("{key}/token-set"), &json!({"accessTokenHours": "UL"}));
    let token = set["accessToken"].as_str().expect("a token").to_owned();
    let encrypt = |server: &Server| {
        let headers = [("x-ncp-ocapi-token", token.as_str()), JSON];
        let target = format!("{key}/encrypt");
        let body = br#"{"plaintext":""}"#;
        server.client("ncloud").send(Method::POST, &target, &headers, body)
    };
    data(&encrypt(&server));
    let server = server.restart();
    data(&encrypt(&server));
    let kms = Kms::of(&server);
    data(&kms.send(Method::PUT, &format!("{key}/token-generator"), ""));
    assert_eq!(refusal(&encrypt(&server)), (401, "UNAUTHORIZED".to_owned()));
}
