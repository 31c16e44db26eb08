//! The door for clients of the Encedo HEM, over real sockets: the conformance cases, the wire as
//! clients were recorded, what outlives a kill, and clients that speak as theirs do.
//!
//! Cases that need a device that fails, another clock or published keys are tests of the door's
//! crate.

mod person;
mod remote;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client};
use crate::process::{Folder, Process, Server, child, run_cli};
use person::{Person, base64, exchange, log_of, text, url64};

const DOOR: &str = "encedo";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// The clients log in often, and each login takes half a second.
const CLIENT_WITHIN: Duration = Duration::from_secs(120);

/// A device with its user and its master.
struct Api {
    client: Client,
    user: Person,
    master: Person,
}

impl Api {
    #[track_caller]
    fn of(server: &Server) -> Self {
        let client = server.client(DOOR);
        let challenge = client.get("/api/auth/token").expect(200).json();
        let person =
            |name: &str| Person::knowing(server.door(DOOR, name), &text(&challenge, "eid"));
        let (user, master) = (person("user_passphrase"), person("master_passphrase"));
        Self { client, user, master }
    }

    /// The answer to a login.
    #[track_caller]
    fn log_in(&self, person: &Person, scope: &str) -> (String, Answer) {
        let challenge = self.client.get("/api/auth/token").expect(200).json();
        let exp = challenge["exp"].as_u64().expect("a number") + 3_600;
        let claims = json!({
            "jti": challenge["jti"], "aud": challenge["spk"], "exp": exp, "iat": exp - 3_665,
            "iss": person.public(), "scope": scope,
        });
        let auth = person.write(&text(&challenge, "spk"), &claims);
        let answer = self.client.post("/api/auth/token", &json!({ "auth": auth }));
        (auth, answer)
    }

    /// Tokens of the user, all at once.
    #[track_caller]
    fn tokens<const COUNT: usize>(&self, scopes: [&str; COUNT]) -> [String; COUNT] {
        std::thread::scope(|threads| {
            scopes
                .map(|scope| threads.spawn(move || self.token_of(&self.user, scope)))
                .map(|thread| thread.join().expect("a token"))
        })
    }

    #[track_caller]
    fn token_of(&self, person: &Person, scope: &str) -> String {
        text(&self.log_in(person, scope).1.expect(200).json(), "token")
    }

    fn ask(&self, token: &str, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let client = self.client.clone().with_token(token);
        client.send(method, path, &[], body.as_bytes())
    }

    fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(token, Method::GET, path, &Value::Null)
    }

    fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.ask(token, Method::POST, path, body)
    }

    fn delete(&self, token: &str, kid: &str) -> u16 {
        let path = format!("/api/keymgmt/delete/{kid}");
        self.ask(token, Method::DELETE, &path, &Value::Null).status
    }

    #[track_caller]
    fn create(&self, token: &str, wanted: &Value) -> String {
        text(&self.post(token, "/api/keymgmt/create", wanted).expect(200).json(), "kid")
    }
}

fn key(key_type: &str) -> Value {
    json!({ "label": "a key", "type": key_type })
}

/// Cases 1 to 19, 23, 62: deletion, and the log that tells of it.
#[test]
fn deletions_are_as_specified_and_the_log_tells_of_them() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::of(&server);
    let [delete, list, create, odd] =
        api.tokens(["keymgmt:del", "keymgmt:list", "keymgmt:gen", "keymgmt:delX"]);
    let master = api.token_of(&api.master, "keymgmt:del");
    let [a, b, c, d] =
        ["ED25519", "AES256", "ED25519", "CURVE25519"].map(|name| api.create(&create, &key(name)));
    let [use_a] = api.tokens([&format!("keymgmt:use:{a}")]);
    let total = |token: &str| api.get(token, "/api/keymgmt/list").expect(200).json();
    assert_eq!(total(&list)["total"], 4);
    assert_eq!(api.delete(&master, &a), 403);
    assert_eq!(api.delete(&odd, &a), 403);
    assert_eq!(api.client.delete(&format!("/api/keymgmt/delete/{a}")).status, 401);
    assert_eq!(api.delete(&delete, &a[..31]), 400);
    assert_eq!(api.delete(&list, &a[..31]), 403);
    let plain = Client::new(server.door(DOOR, "http_url"), None);
    let path = format!("/api/keymgmt/delete/{a}");
    let refused = plain.clone().with_token(&delete).delete(&path).expect(418);
    assert!(refused.body.is_empty());
    let answer = api.ask(&delete, Method::DELETE, &path, &Value::Null).expect(200);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let receipt = answer.header("x-deletion-receipt").expect("a receipt").to_owned();
    let after = total(&list);
    assert_eq!(after["total"], 3);
    assert!(!after.to_string().contains(&a));
    let sign = json!({ "kid": a, "msg": "YQ==", "alg": "Ed25519" });
    assert_eq!(api.post(&use_a, "/api/crypto/exdsa/sign", &sign).status, 406);
    assert_eq!(api.delete(&delete, &a), 406);
    assert_eq!(api.delete(&delete, &b.to_uppercase()), 200);
    let statuses: Vec<u16> = std::thread::scope(|threads| {
        let tasks: Vec<_> = (0..50).map(|_| threads.spawn(|| api.delete(&delete, &c))).collect();
        tasks.into_iter().map(|task| task.join().expect("an answer")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 406).count(), 49);

    let file = folder.join("receipt");
    std::fs::write(&file, receipt).expect("written");
    let (file, data) = (file.to_str().expect("UTF-8"), server.data().to_str().expect("UTF-8"));
    let output = run_cli(&["receipt", "verify", file, "--data", data]);
    assert!(output.status.success(), "{output:?}");

    // A start later, the log of before can be read and checked.
    let [config, logger] = api.tokens(["system:config", "logger:get"]);
    let public = text(&api.get(&logger, "/api/logger/key").expect(200).json(), "key");
    let id = text_of_last(&api.get(&logger, "/api/logger/list").expect(200).json()["id"]);
    assert_eq!(api.get(&logger, &format!("/api/logger/{id}")).status, 406);
    api.get(&config, "/api/system/reboot").expect(200);
    let [logger] = api.tokens(["logger:get"]);
    let text = api.get(&logger, &format!("/api/logger/{id}")).expect(200).text();
    let log = log_of(&text, &public);
    let count = |event: &str| log.iter().filter(|one| one.as_str() == event).count();
    let kid = url64;
    for (event, times) in [
        (format!("15|0|U|{}", kid(&a)), 1),
        (format!("15|1|U|{}", kid(&a)), 1),
        (format!("15|0|U|{}", kid(&b)), 1),
        (format!("15|0|U|{}", kid(&c)), 1),
        (format!("15|1|U|{}", kid(&c)), 49),
        (format!("20|1|U|{}", kid(&a)), 1),
        ("15|2|U|".to_owned(), 1),
    ] {
        assert_eq!(count(&event), times, "{event}");
    }
    let scopes = log.iter().filter(|event| event.starts_with("c|1|")).count();
    assert_eq!(scopes, 3, "master, odd scope, other scope");
    assert_eq!(log.first().map(|event| &event[..4]), Some("0|0|"));
    assert!(text.lines().any(|line| line.starts_with("# chain ")));
    let _left = d;
}

#[track_caller]
fn text_of_last(list: &Value) -> String {
    let last = list.as_array().and_then(|list| list.last());
    last.and_then(Value::as_str).expect("a name").to_owned()
}

/// Cases 7, 25, 26, 58: an authenticator, and its end.
#[test]
fn an_authenticator_deletes_and_is_deleted() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::of(&server);
    let [pair, create, delete] = api.tokens(["auth:ext:pair", "keymgmt:gen", "keymgmt:del"]);
    let (phone, broker) = (Person::new([0x42; 32]), Person::new([0x43; 32]));
    let epk = json!({ "epk": broker.public() });
    let master = api.token_of(&api.master, "system:config");
    assert_eq!(api.post(&master, "/api/auth/ext/init", &epk).status, 403);
    let begun = api.post(&pair, "/api/auth/ext/init", &epk).expect(200).json();
    let eid = text(&begun, "eid");
    let request = person::claims_of(&text(&begun, "request"));
    let reply = phone.write(
        &eid,
        &json!({
            "jti": request["jti"], "iss": phone.public(), "aud": eid, "epk": broker.public(),
            "label": "Pixel 8 (Android)",
        }),
    );
    let pid = base64(&[7; 32]);
    let answer = api.post(&pair, "/api/auth/ext/validate", &json!({ "pid": pid, "reply": reply }));
    let kid = text(&answer.expect(200).json(), "kid");
    let asked = json!({ "epk": broker.public(), "scope": "keymgmt:del" });
    let asked = api.client.post("/api/auth/ext/request", &asked).expect(200).json();
    let asked = person::claims_of(&text(&asked, "authreq"));
    let reply = phone.write(
        &eid,
        &json!({
            "aud": eid, "jti": asked["jti"], "exp": asked["exp"], "iat": asked["iat"], "pid": pid,
            "iss": phone.public(), "scope": asked["scope"][&pid],
        }),
    );
    let answer = api.client.post("/api/auth/ext/token", &json!({ "authreply": reply }));
    let external = text(&answer.expect(200).json(), "token");
    let key = api.create(&create, &key("ED25519"));
    assert_eq!(api.delete(&external, &key), 200);
    let find = json!({ "descr": "^RVhUQUlE" });
    let found = api.client.post("/api/keymgmt/search", &find).expect(200).json();
    assert_eq!(found["list"][0]["kid"], kid.as_str());
    assert_eq!(api.delete(&delete, &kid), 200);
    assert_eq!(api.get(&external, "/api/system/status").status, 401);
    let found = api.client.post("/api/keymgmt/search", &find).expect(200).json();
    assert_eq!(found["listed"], 0);
}

/// Cases 28, 29, 46 to 53, 55: keys that come, are found, and come back.
#[test]
fn keys_are_as_specified() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::of(&server);
    let [create, delete, import, list, update, derive] = api.tokens([
        "keymgmt:gen",
        "keymgmt:del",
        "keymgmt:imp",
        "keymgmt:list",
        "keymgmt:upd",
        "keymgmt:derive",
    ]);
    let peer = Person::new([0x51; 32]).public();
    let wanted = json!({ "label": "peer", "type": "CURVE25519", "pubkey": peer });
    let imported =
        text(&api.post(&import, "/api/keymgmt/import", &wanted).expect(200).json(), "kid");
    let [before] = api.tokens([&format!("keymgmt:use:{imported}")]);
    assert_eq!(api.delete(&delete, &imported), 200);
    let get = format!("/api/keymgmt/get/{imported}");
    assert_eq!(api.get(&before, &get).status, 406);
    api.post(&import, "/api/keymgmt/import", &wanted).expect(200);
    assert_eq!(api.get(&before, &get).status, 401);

    let source = api.create(&create, &key("CURVE25519"));
    let wanted = json!({ "kid": source, "label": "d", "type": "AES256", "pubkey": peer });
    let derived =
        text(&api.post(&derive, "/api/keymgmt/derive", &wanted).expect(200).json(), "kid");
    assert_eq!(api.delete(&delete, &derived), 200);
    assert_eq!(api.post(&derive, "/api/keymgmt/derive", &wanted).status, 406);

    for (name, mode, status) in
        [("AES256", "AES256", 200), ("CURVE25519", "", 200), ("SECP256R1", "X", 400)]
    {
        let wanted = json!({ "label": "k", "type": name, "mode": mode });
        assert_eq!(api.post(&create, "/api/keymgmt/create", &wanted).status, status, "{name}");
    }
    let agrees = api.create(&create, &key("SECP256R1"));
    let shown = api.get(&create, &format!("/api/keymgmt/get/{agrees}")).expect(200).json();
    assert_eq!(shown["type"], "SECP256R1");
    let lattice = api.create(&create, &key("MLDSA44"));
    let mac = api.create(&create, &key("SHA2-256"));
    let [use_agrees, use_lattice] =
        api.tokens([&format!("keymgmt:use:{agrees}"), &format!("keymgmt:use:{lattice}")]);
    let sign = json!({ "kid": agrees, "msg": "YQ==", "alg": "SHA256WithECDSA" });
    assert_eq!(api.post(&use_agrees, "/api/crypto/exdsa/sign", &sign).status, 406);
    let hash = json!({ "kid": mac, "msg": "YQ==" });
    assert_eq!(api.post(&use_agrees, "/api/crypto/hmac/hash", &hash).status, 403);
    let sign = json!({ "kid": lattice, "msg": "YQ==" });
    let made = api.post(&use_lattice, "/api/crypto/pqc/mldsa/sign", &sign).expect(200).json();
    let mut check = json!({ "kid": lattice, "msg": "YQ==", "sign": made["sign"] });
    assert_eq!(api.post(&use_lattice, "/api/crypto/pqc/mldsa/verify", &check).status, 200);
    check["msg"] = json!("Yg==");
    assert_eq!(api.post(&use_lattice, "/api/crypto/pqc/mldsa/verify", &check).status, 406);

    assert_eq!(api.post(&update, "/api/keymgmt/update", &json!({ "kid": mac })).status, 400);
    let now = api.get(&list, "/api/keymgmt/list").expect(200).json();
    let there = now["total"].as_u64().expect("a number");
    (there..20).for_each(|_| drop(api.create(&create, &key("AES128"))));
    let page = |path: &str| api.get(&list, &format!("/api/keymgmt/list/{path}"));
    assert_eq!(page("0/50").expect(200).json()["listed"], 15);
    assert_eq!(page("0/50").expect(200).json()["total"], 20);
    assert_eq!(page("15").expect(200).json()["listed"], 5);
    assert_eq!(page("x").status, 406);

    let needle = |bytes: usize| json!({ "descr": format!("^{}", base64(&vec![65; bytes])) });
    let search = |bytes: usize| api.client.post("/api/keymgmt/search", &needle(bytes)).status;
    assert_eq!((search(5), search(6)), (401, 200));
}

/// Cases 31, 32, 35, 38, 41, 43, 44, 50, 56, 61, 64, 65: the device as a whole.
#[test]
fn the_device_is_as_specified() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::of(&server);
    let foreign = api.get("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.AA", "/api/system/status");
    assert_eq!(foreign.status, 401);
    let shown = api.client.get("/api/system/status").expect(200).json();
    for absent in ["inited", "https", "hostname"] {
        assert!(shown.get(absent).is_none(), "{absent}");
    }
    let version = api.client.get("/api/system/version").expect(200).json();
    assert!(text(&version, "hwv").contains("PPA") && version["blv"].is_string());
    let (auth, answer) = api.log_in(&api.user, "keymgmt:list");
    let list = text(&answer.expect(200).json(), "token");
    assert_eq!(api.client.post("/api/auth/token", &json!({ "auth": auth })).status, 401);
    let master = api.token_of(&api.master, "system:config");
    assert_eq!(person::claims_of(&master)["sub"], "M");
    let body = |bytes: usize| "x".repeat(bytes);
    let post = |body: &str| api.client.send(Method::POST, "/api/auth/token", &[], body.as_bytes());
    assert_eq!((post(&body(7_301)).status, post(&body(7_300)).status), (413, 400));
    let [config] = api.tokens(["system:config"]);
    let change = |change: Value| api.post(&config, "/api/system/config", &change);
    assert_eq!(change(json!({ "useR": "x" })).expect(200).json()["updated"], false);
    assert_eq!(change(json!({ "user": "x".repeat(74) })).status, 400);
    let uts = || api.get(&config, "/api/system/config").expect(200).json()["uts"].as_u64();
    let mut last = uts();
    for _ in 0..2 {
        assert_eq!(change(json!({ "user": "n" })).expect(200).json()["updated"], true);
        assert!(uts() > last);
        last = uts();
    }
    assert_eq!(change(json!({ "allow_keysearch": false })).expect(200).json()["updated"], true);
    let needle = json!({ "descr": "^QUFBQUFB" });
    assert_eq!(api.client.post("/api/keymgmt/search", &needle).status, 401);
    assert_eq!(
        change(json!({ "origin": "https://a.example" })).expect(200).json()["updated"],
        true
    );
    let evil = [("origin", "https://evil.example")];
    for path in ["/api/system/status", "/api/keymgmt/list", "/none"] {
        assert_eq!(api.client.send(Method::GET, path, &evil, b"").status, 412, "{path}");
        assert_eq!(api.client.send(Method::OPTIONS, path, &evil, b"").status, 204, "{path}");
    }
    for path in ["/api/storage/lock", "/api/system/upgrade/check_fw", "/api/diag/memdump/1/1"] {
        let answer = api.client.get(path).expect(404);
        assert_eq!(answer.header("x-hem-reason"), Some("not-available-on-this-device"));
    }
    let before = api.client.get("/api/auth/token").expect(200).json();
    assert_eq!(api.get(&list, "/api/system/reboot").status, 403);
    api.get(&config, "/api/system/reboot").expect(200);
    for token in [&list, &config, &master] {
        assert_eq!(api.get(token, "/api/system/status").status, 401);
    }
    let after = api.client.get("/api/auth/token").expect(200).json();
    assert!(before["spk"] != after["spk"] && before["eid"] == after["eid"]);
    // The check-in of the device's own broker.
    let check = api.client.get("/api/system/checkin").expect(200).json();
    let checked = api.client.post("/checkin", &check).expect(200).json();
    assert_eq!(api.client.post("/api/system/checkin", &checked).expect(200).json()["status"], "OK");
}

/// Case 67 and the recorded wire: names of headers, connections, what has to be there.
#[test]
fn the_wire_is_that_of_the_device() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let address = server.door(DOOR, "http_url").strip_prefix("http://").expect("http").to_owned();
    let httpx = "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\n\
                 User-Agent: python-httpx/0.28.1\r\nConnection: close\r\n";
    let json = "Content-Type: application/json\r\n";
    let large = "x".repeat(7_301);
    let cases = [
        ("GET", "/api/system/status", httpx.to_owned(), "", 200),
        ("GET", "/api/system/version", format!("{json}connection: keep-alive\r\n"), "", 200),
        ("GET", "/api/auth/token", httpx.to_owned(), "", 200),
        ("GET", "/api/keymgmt/list/0/10", httpx.to_owned(), "", 418),
        ("DELETE", "/api/keymgmt/delete/x", httpx.to_owned(), "", 418),
        ("POST", "/api/auth/token", format!("{httpx}{json}Content-Length: 2\r\n"), "{}", 400),
        (
            "POST",
            "/api/auth/token",
            format!("{json}Transfer-Encoding: chunked\r\n"),
            "0\r\n\r\n",
            411,
        ),
        ("POST", "/api/auth/token", format!("{json}Content-Length: 7301\r\n"), &large, 413),
        ("POST", "/api/keymgmt/search", format!("{json}Content-Length: 2\r\n"), "{}", 418),
        ("GET", "/none", String::new(), "", 404),
        ("GET", "/api/system/status", "Authorization: Bearer x\r\n".to_owned(), "", 401),
        ("OPTIONS", "/api/keymgmt/list", "Origin: https://x.example\r\n".to_owned(), "", 204),
        ("GET", "/api/auth/init", String::new(), "", 406),
    ];
    for (method, path, headers, body, status) in cases {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n{body}");
        let (head, body) = exchange(&address, &request);
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        assert!(first.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{head}");
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        for (name, _) in &headers {
            let is_title =
                name.split('-').all(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
            assert!(is_title, "{name}");
        }
        let value = |wanted: &str| {
            headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
        };
        assert_eq!(value("Content-Type"), Some("application/json"), "{path}");
        assert_eq!(value("Connection"), Some("close"), "{path}");
        if status != 204 {
            let length = body.len().to_string();
            assert_eq!(value("Content-Length"), Some(length.as_str()), "{path}");
        }
        if status == 418 {
            assert_eq!(first.trim_end(), "HTTP/1.1 418", "without a phrase");
        }
    }
}

/// What was deleted stays deleted after a kill, and the line that tells of it is there.
#[test]
fn a_deleted_key_stays_deleted_after_a_kill() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::of(&server);
    let [create, delete] = api.tokens(["keymgmt:gen", "keymgmt:del"]);
    let [gone, kept] = ["ED25519", "AES256"].map(|name| api.create(&create, &key(name)));
    let answer = api.delete(&delete, &gone);
    server.kill();
    assert_eq!(answer, 200);
    let before = server.door(DOOR, "user_passphrase").to_owned();
    let server = server.restart();
    assert_eq!(server.door(DOOR, "user_passphrase"), before, "the owner stays");
    let api = Api::of(&server);
    assert_eq!(api.get(&delete, "/api/system/status").status, 401, "tokens do not");
    let [delete, list, logger] = api.tokens(["keymgmt:del", "keymgmt:list", "logger:get"]);
    let keys = api.get(&list, "/api/keymgmt/list").expect(200).json();
    assert_eq!((&keys["total"], &keys["list"][0]["kid"]), (&json!(1), &json!(kept)));
    assert_eq!(api.delete(&delete, &gone), 406);
    let public = text(&api.get(&logger, "/api/logger/key").expect(200).json(), "key");
    let ids = api.get(&logger, "/api/logger/list").expect(200).json()["id"].clone();
    let first = ids[0].as_str().expect("a name");
    let log =
        log_of(&api.get(&logger, &format!("/api/logger/{first}")).expect(200).text(), &public);
    assert!(log.contains(&format!("15|0|U|{}", url64(&gone))), "{log:?}");
}

#[test]
fn settings_are_taken_and_a_device_can_be_fresh() {
    let folder = Folder::new();
    for wrong in ["hwv=1", "challenge_ttl=0", "other=1", "fwv=\"x-DIAG\"", "initialised=\"no\""] {
        let setting = format!("door.encedo.{wrong}");
        let data = folder.join("wrong");
        let started = Server::try_start_dev(&data, &["--set", &setting], &[]);
        assert!(started.is_err(), "{wrong}");
    }
    let set = |setting: &str| format!("door.encedo.{setting}");
    let (fresh, rack) = (set("initialised=false"), set("hwv=\"SOFT EPA rev 1.0\""));
    let arguments = ["--set", &fresh, "--set", &rack];
    let server = Server::start_dev(&folder.join("data"), &arguments, &[]);
    let client = server.client(DOOR);
    assert_eq!(client.get("/api/system/status").expect(200).json()["inited"], false);
    assert_eq!(client.get("/api/auth/token").status, 409);
    let challenge = client.get("/api/auth/init").expect(200).json();
    let person = |passphrase: &str| Person::knowing(passphrase, &text(&challenge, "eid"));
    let (user, master) = (person("example passphrase"), person("example admin passphrase"));
    let claims = json!({
        "jti": challenge["jti"], "aud": challenge["spk"], "exp": challenge["exp"],
        "iss": master.public(), "cfg": {
            "user": "Anna", "masterkey": master.public(), "userkey": user.public(),
            "hostname": "my.ence.do", "origin": "*", "trusted_ts": true, "trusted_backend": false,
            "allow_keysearch": true, "email": "a@example.test",
        },
    });
    let init = json!({ "init": master.write(&text(&challenge, "spk"), &claims) });
    let answer = client.post("/api/auth/init", &init).expect(200).json();
    assert_eq!(person::claims_of(&text(&answer, "token"))["scope"], "system:config");
    let api = Api { client, user, master };
    let [list] = api.tokens(["keymgmt:list"]);
    assert_eq!(api.get(&list, "/api/keymgmt/list").expect(200).json()["total"], 0);
    assert_eq!(api.get(&list, "/api/logger/list").status, 403);
}

/// How long a login and a deletion take; `--no-capture` shows it. A login waits for half a second
/// on purpose.
#[test]
#[expect(clippy::print_stdout, reason = "what was measured is for who asks to see it")]
fn logins_wait_and_deletions_do_not() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let api = Api::of(&server);
    let [create, delete] = api.tokens(["keymgmt:gen", "keymgmt:del"]);
    let keys: Vec<String> = (0..20).map(|_| api.create(&create, &key("AES256"))).collect();
    let mut logins: Vec<Duration> =
        (0..5).map(|_| timed(|| drop(api.token_of(&api.user, "keymgmt:list")))).collect();
    let mut deletions: Vec<Duration> =
        keys.iter().map(|kid| timed(|| assert_eq!(api.delete(&delete, kid), 200))).collect();
    logins.sort_unstable();
    deletions.sort_unstable();
    assert!(logins[0] >= Duration::from_millis(505));
    let (login, deletion) = (logins[2], deletions[10]);
    println!("login p50 {login:?}, deletion with receipt p50 {deletion:?} (a connection each)");
}

#[expect(clippy::disallowed_methods, reason = "a client's watch is the machine's")]
fn timed(work: impl FnOnce()) -> Duration {
    let begun = std::time::Instant::now();
    work();
    begun.elapsed()
}

/// Clients that speak as the known ones were recorded to.
#[test]
fn clients_of_the_recorded_wire_work() {
    let tools = Path::new(ROOT).join("target/compat/encedo");
    let script = |name: &str| Path::new(ROOT).join("compat/encedo").join(name);
    let python = tools.join("venv/bin/python");
    assert!(python.exists(), "the clients are not installed: run ./setup once");
    let folder = Folder::new();
    // Each has a device of its own: one of them starts it anew.
    let servers = ["one", "other"].map(|name| Server::start_dev(&folder.join(name), &[], &[]));
    let dev = |at: usize| servers[at].data().join("dev.json");
    let mut first = child(&python);
    first.arg(script("client.py")).arg(dev(0));
    let mut second = child("node");
    second.arg(script("client.mjs")).arg(dev(1));
    let running = [(first, 75), (second, 21)].map(|(one, least)| (Process::start(one), least));
    for (mut process, least) in running {
        let line = process.next_line(CLIENT_WITHIN).unwrap_or_default();
        let status = process.wait_for_exit(CLIENT_WITHIN);
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        assert!(status.success() && said["failed"] == json!([]), "{line}{}", process.written());
        assert!(said["passed"].as_u64().is_some_and(|passed| passed >= least), "{line}");
    }
}
