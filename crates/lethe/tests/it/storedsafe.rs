//! The door for clients of StoredSafe, over real sockets: what outlives a kill, the wire as clients
//! were recorded, and the vendor's clients themselves.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use lethe_crypto::otp::{totp_code, totp_step};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client};
use crate::process::{Folder, Process, Server, child, run_cli};

const DOOR: &str = "storedsafe";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The clients take some seconds on a busy machine.
const CLIENT_WITHIN: Duration = Duration::from_secs(60);

/// Somebody who is logged in.
struct Api {
    client: Client,
    token: String,
    vault: String,
}

impl Api {
    #[track_caller]
    fn log_in(server: &Server) -> Self {
        let client = server.client(DOOR);
        let path = "/api/1.0/auth";
        let answer = client.send(Method::POST, path, &[], claim(server, 0).to_string().as_bytes());
        let token = text(&answer.expect(200).json()["CALLINFO"], "token");
        Self { client, token, vault: server.door(DOOR, "vaultid").to_owned() }
    }

    #[track_caller]
    fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let path = format!("/api/1.0{path}");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.client.send(method, &path, &[("x-http-token", &self.token)], body.as_bytes())
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, body)
    }

    fn path(&self, verb: &str) -> String {
        format!("/transparent/{}/{verb}/payroll", self.vault)
    }

    /// Something that the key `payroll` encrypted.
    #[track_caller]
    fn sealed(&self) -> String {
        let answer = self.post(&self.path("encrypt"), &json!({ "plaintext": PLAINTEXT }));
        text(&answer.expect(200).json()["CALLINFO"], "ciphertext")
    }

    #[track_caller]
    fn open(&self, ciphertext: &str) -> Answer {
        self.post(&self.path("decrypt"), &json!({ "ciphertext": ciphertext }))
    }
}

const PLAINTEXT: &str = "YSBsZXR0ZXIgdGhhdCBub2JvZHkgc2VlcyBhZ2Fpbg==";

fn claim(server: &Server, steps: i64) -> Value {
    json!({
        "username": server.door(DOOR, "username"),
        "passphrase": server.door(DOOR, "passphrase"),
        "otp": code(server, steps),
        "apikey": server.door(DOOR, "apikey"),
        "logintype": "totp",
    })
}

#[expect(clippy::disallowed_methods, reason = "a client's codes are those of the machine's time")]
fn code(server: &Server, steps: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let secret = base32(server.door(DOOR, "totp_secret"));
    let code = totp_code(&secret, totp_step(now).saturating_add_signed(steps));
    String::from_utf8(code.to_vec()).expect("digits")
}

fn base32(text: &str) -> Vec<u8> {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String =
        text.chars().map(|c| format!("{:05b}", alphabet.find(c).expect("base32"))).collect();
    let byte = |place: usize| u8::from_str_radix(&bits[8 * place..8 * place + 8], 2);
    (0..bits.len() / 8).map(|place| byte(place).expect("bits")).collect()
}

#[track_caller]
fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}")).to_owned()
}

#[track_caller]
fn refused(answer: &Answer, why: &str) {
    assert_eq!(answer.json()["ERRORS"], json!([why]), "{}", answer.text());
}

#[test]
fn a_deleted_key_stays_deleted_after_a_kill() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::log_in(&server);
    api.post(&api.path("keys"), &json!({ "type": "aes256-ofb" })).expect(201);
    let sealed = api.sealed();
    assert_eq!(api.open(&sealed).expect(200).json()["CALLINFO"]["plaintext"], PLAINTEXT);
    let answer = api.send(Method::DELETE, &api.path("keys"), &Value::Null);
    server.kill();
    let receipt = text(&answer.clone().expect(200).json()["CALLINFO"], "receipt");
    assert_eq!(answer.header("x-deletion-receipt"), Some(receipt.as_str()));
    let before = server.door(DOOR, "passphrase").to_owned();
    let server = server.restart();
    assert_eq!(server.door(DOOR, "passphrase"), before, "credentials stay");
    // The login outlives the server.
    let kept = Api { client: server.client(DOOR), ..api };
    refused(&kept.open(&sealed).expect(400), "NO SUCH KEY");
    let api = Api::log_in(&server);
    refused(&api.open(&sealed).expect(400), "NO SUCH KEY");
    refused(&api.send(Method::DELETE, &api.path("keys"), &Value::Null).expect(400), "NO SUCH KEY");
    refused(
        &api.post(&api.path("encrypt"), &json!({ "plaintext": "" })).expect(400),
        "NO SUCH KEY",
    );
    let keys = api.send(Method::GET, &format!("/transparent/{}/keys", api.vault), &Value::Null);
    assert_eq!(keys.expect(200).json()["KEYS"], json!([]));
    let made = api.post(&api.path("keys"), &json!({ "type": "aes256-ofb" })).expect(201).json();
    assert_eq!(made["CALLINFO"]["key_version"], "2");
    refused(&api.open(&sealed).expect(400), "NO SUCH KEY VERSION");

    let file = folder.join("receipt");
    fs::write(&file, receipt).expect("written");
    let (file, data) = (file.to_str().expect("UTF-8"), server.data().to_str().expect("UTF-8"));
    let output = run_cli(&["receipt", "verify", file, "--data", data]);
    assert!(output.status.success(), "{output:?}");
}

/// One exchange over plain HTTP/1.1, as it is written; status and body.
#[track_caller]
fn exchange(server: &Server, request: &str) -> (u16, Value) {
    let address = server.door(DOOR, "http_url").strip_prefix("http://").expect("http");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(CLIENT_WITHIN)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    (status, body)
}

/// What clients were recorded to send, byte for byte but for the names.
#[test]
fn recorded_requests_are_answered() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let host = "Host: 127.0.0.1\r\nConnection: close\r\n";
    // JavaScript: chunked, without a content type.
    let login = claim(&server, 0).to_string();
    let chunked = format!("{:x}\r\n{login}\r\n0\r\n\r\n", login.len());
    let request =
        format!("POST /api/1.0/auth HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n{chunked}");
    let (status, body) = exchange(&server, &request);
    assert_eq!(status, 200, "{body}");
    let (token, vault) = (text(&body["CALLINFO"], "token"), server.door(DOOR, "vaultid"));
    let key = format!("/api/1.0/transparent/{vault}/keys/payroll");
    let header = format!("X-Http-Token: {token}\r\n");
    let in_body = format!("{{\"token\": \"{token}\"}}");
    let length = |body: &str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let json = "Content-Type: application/json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let create = format!(
        "POST {key} HTTP/1.1\r\n{host}{header}{json}{}",
        length("{\"type\": \"aes256-gcm96\"}")
    );
    let keys = format!("/api/1.0/transparent/{vault}/keys");
    let cases = [
        (200, format!("GET /api/1.0/vault? HTTP/1.1\r\n{host}{header}\r\n")),
        (200, format!("GET /api/1.0/vault/ HTTP/1.1\r\n{host}{header}\r\n")),
        (200, format!("GET /api/1.0/auth/check? HTTP/1.1\r\n{host}{header}\r\n")),
        (200, format!("POST /api/1.0/auth/check HTTP/1.1\r\n{host}{}", length(&in_body))),
        (201, format!("POST {key} HTTP/1.1\r\n{host}{header}Content-Length: 0\r\n\r\n")),
        (201, format!("POST {key}/rotate HTTP/1.1\r\n{host}{header}Content-Length: 0\r\n\r\n")),
        (200, format!("LIST {keys} HTTP/1.1\r\n{host}{header}Content-Length: 0\r\n\r\n")),
        (405, format!("list {keys} HTTP/1.1\r\n{host}{header}\r\n")),
        (200, format!("DELETE {key} HTTP/1.1\r\n{host}{header}\r\n")),
        (201, create.clone()),
        (200, format!("DELETE {key} HTTP/1.1\r\n{host}{header}{json}{}", length("{}"))),
        (201, create.clone()),
        (200, format!("DELETE {key} HTTP/1.1\r\n{host}{header}Content-Length: 0\r\n\r\n")),
        (201, create.clone()),
        (400, format!("DELETE {key} HTTP/1.1\r\n{host}{header}{}", length("[1]"))),
        (200, format!("DELETE {key} HTTP/1.1\r\n{host}{form}{}", length(&in_body))),
        (201, create),
        (200, format!("DELETE {key}?token={token} HTTP/1.1\r\n{host}\r\n")),
        (200, format!("GET /api/1.0/auth/logout?token={token} HTTP/1.1\r\n{host}\r\n")),
        (403, format!("POST /api/1.0/auth/check HTTP/1.1\r\n{host}{}", length(&in_body))),
    ];
    for (expected, request) in cases {
        let (status, body) = exchange(&server, &request);
        assert_eq!(status, expected, "{request}\n{body}");
        assert!(body["CALLINFO"].is_object() && body["PARAMS"] == json!([]), "{body}");
    }
}

/// What is written down of a run holds none of its secrets.
#[test]
fn no_secret_is_written_down() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let secrets = ["passphrase", "apikey", "totp_secret"];
    let mut secrets: Vec<String> =
        secrets.iter().map(|name| server.door(DOOR, name).to_owned()).collect();
    let api = Api::log_in(&server);
    secrets.extend([api.token.clone(), PLAINTEXT.to_owned()]);
    secrets.push("a letter that nobody sees again".to_owned());
    api.post(&api.path("keys"), &json!({})).expect(201);
    api.open(&api.sealed()).expect(200);
    let query = format!("/api/1.0/vault?token={}", api.token);
    api.client.send(Method::GET, &query, &[], b"").expect(200);
    api.client.send(Method::GET, &format!("{query}x"), &[], b"").expect(403);
    assert!(server.terminate().success());
    let mut looked_at = 0;
    for file in files(server.data()) {
        if file.ends_with("dev.json") {
            continue;
        }
        let bytes = fs::read(&file).expect("readable");
        looked_at += 1;
        for secret in &secrets {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{} holds {secret}", file.display());
        }
    }
    assert!(looked_at > 3, "there is a store, a slot and an audit trail");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    folders.iter().for_each(|inner| files.extend(self::files(inner)));
    files
}

#[test]
fn settings_are_taken_and_wrong_ones_refused() {
    let folder = Folder::new();
    let data = folder.join("data");
    for wrong in ["token_rotation=\"maybe\"", "echo=true", "other=1", "token_idle_minutes=0"] {
        let setting = format!("door.storedsafe.{wrong}");
        let started = Server::try_start_dev(&data, &["--set", &setting], &[]);
        assert!(started.is_err(), "{wrong}");
    }
    let strict = ["--set", "door.storedsafe.token_rotation=\"strict\""];
    let server = Server::start_dev(&data, &strict, &[]);
    let api = Api::log_in(&server);
    let answer = api.send(Method::GET, "/vault", &Value::Null).expect(200).json();
    assert_ne!(answer["CALLINFO"]["token"], api.token.as_str());
    refused(&api.send(Method::GET, "/vault", &Value::Null).expect(403), "Token invalid");
}

/// The vendor's own clients, unmodified.
#[test]
fn the_clients_of_the_vendor_work() {
    let tools = Path::new(ROOT).join("target/compat/storedsafe");
    let script = |name: &str| Path::new(ROOT).join("compat/storedsafe").join(name);
    let python = tools.join("venv/bin/python");
    let installed = python.exists() && tools.join("node_modules/storedsafe").exists();
    assert!(installed, "the clients are not installed: run ./setup once");
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = server.data().join("dev.json");
    // Each code is good once, and only a later one after it: the first client takes two.
    let mut first = child("node");
    first.arg(script("client.js")).arg(&dev).env("STEP", "-1");
    first.env("NODE_PATH", tools.join("node_modules"));
    let mut second = child(&python);
    second.arg(script("client.py")).arg(&dev);
    for (command, least) in [(first, 35), (second, 49)] {
        let mut process = Process::start(command);
        let line = process.next_line(CLIENT_WITHIN).unwrap_or_default();
        let status = process.wait_for_exit(CLIENT_WITHIN);
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        assert!(status.success() && said["failed"] == json!([]), "{line}{}", process.written());
        assert!(said["passed"].as_u64().is_some_and(|passed| passed >= least), "{line}");
    }
}
