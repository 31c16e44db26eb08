//! Every algorithm through every one of its uses, over HTTP; and the command line's uses.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::Client;
use crate::keys::{LETTER, create, problem};
use crate::process::{Folder, Server, run_cli};

/// Drives one use.
type Drive<'a> = fn(&Subject<'a>);

/// One algorithm under test.
struct Subject<'a> {
    client: &'a Client,
    name: String,
    key: String,
    is_cipher: bool,
    schemes: Vec<String>,
}

impl Subject<'_> {
    fn try_post(&self, operation: &str, body: &Value) -> crate::client::Answer {
        self.client.post(&format!("/v1/keys/{}/{operation}", self.key), body)
    }

    #[track_caller]
    fn post(&self, operation: &str, body: &Value) -> Value {
        let answer = self.try_post(operation, body);
        assert_eq!(answer.status, 200, "{} {operation} {body}: {}", self.name, answer.text());
        answer.json()
    }

    /// The same by twos: both items are answered as one alone.
    #[track_caller]
    fn batch(&self, operation: &str, item: &Value) -> Vec<Value> {
        let answer = self.post(operation, &json!({"items": [item, item]}));
        let items = answer["items"].as_array().expect("items").clone();
        assert!(items.len() == 2 && items.iter().all(|item| item.get("error").is_none()));
        items
    }

    #[track_caller]
    fn refuses(&self, operation: &str, body: &Value) {
        let refused = self.try_post(operation, body);
        let seen = (refused.status, problem(&refused));
        assert_eq!(seen, (422, "incompatible-use".to_owned()), "{} {operation}", self.name);
    }

    fn public_key(&self, format: &str) -> Vec<u8> {
        let path = format!("/v1/keys/{}/public-key?format={format}", self.key);
        self.client.get(&path).expect(200).body
    }

    fn encrypts(&self) {
        let text = BASE64.encode([7; 32]);
        for sealed in self.batch("raw/encrypt", &json!({"plaintext": text})) {
            let mut body = json!({"ciphertext": sealed["ciphertext"]});
            for part in ["nonce", "tag"] {
                if sealed[part].is_string() {
                    body[part] = sealed[part].clone();
                }
            }
            assert_eq!(self.post("raw/decrypt", &body)["plaintext"], text, "{}", self.name);
        }
        if self.is_cipher && ["-cbc", "-ctr", "-ecb", "-ofb"].iter().any(|m| self.name.ends_with(m))
        {
            return;
        }
        let body = json!({"plaintext": text, "aad": "YQ==", "context": {"tenant": "7"}});
        for sealed in self.batch("encrypt", &body) {
            let old = json!({
                "ciphertext": sealed["ciphertext"], "aad": "YQ==", "context": {"tenant": "7"}
            });
            assert_eq!(self.post("decrypt", &old)["plaintext"], text, "{}", self.name);
            let anew = self.post("re-encrypt", &old);
            let body = json!({
                "ciphertext": anew["ciphertext"], "aad": "YQ==", "context": {"tenant": "7"}
            });
            assert_eq!(self.batch("decrypt", &body)[1]["plaintext"], text, "{}", self.name);
        }
        for made in self.batch("data-key", &json!({"bytes": 32})) {
            let opened = self.post("decrypt", &json!({"ciphertext": made["ciphertext"]}));
            assert_eq!(opened["plaintext"], made["plaintext"], "{}", self.name);
        }
    }

    fn signs(&self) {
        for scheme in &self.schemes {
            let mut body = json!({"message": BASE64.encode(LETTER), "scheme": scheme});
            if scheme == "ed25519ctx" {
                body["context"] = json!("YQ==");
            }
            for signed in self.batch("sign", &body) {
                let mut check = body.clone();
                check["signature"] = signed["signature"].clone();
                assert_eq!(self.post("verify", &check)["valid"], true, "{} {scheme}", self.name);
                check["message"] = json!("YQ==");
                assert_eq!(self.batch("verify", &check)[0]["valid"], false, "{}", self.name);
                // By the public key alone. That of taproot is another one.
                if scheme == "bip340-taproot" {
                    continue;
                }
                check["message"] = body["message"].clone();
                check["algorithm"] = json!(self.name);
                check["public_key"] = json!(BASE64.encode(self.public_key("spki-der")));
                check["format"] = json!("spki-der");
                let valid = self.client.post("/v1/verify", &check).expect(200).json();
                assert_eq!(valid["valid"], true, "{} {scheme}", self.name);
            }
        }
    }

    fn authenticates(&self) {
        for bytes in [Value::Null, json!(20)] {
            let body = json!({"message": BASE64.encode(LETTER), "bytes": bytes});
            for code in self.batch("mac", &body) {
                let mut check = body.clone();
                check["mac"] = code["mac"].clone();
                assert_eq!(self.batch("mac/verify", &check)[1]["valid"], true, "{}", self.name);
                check["message"] = json!("YQ==");
                assert_eq!(self.post("mac/verify", &check)["valid"], false, "{}", self.name);
            }
        }
    }

    fn agrees(&self) {
        let other = Self {
            key: create(self.client, &self.name),
            name: self.name.clone(),
            schemes: Vec::new(),
            ..*self
        };
        let body = |of: &Self| {
            let key = BASE64.encode(of.public_key("spki-pem"));
            json!({
                "public_key": key, "format": "spki-pem",
                "hkdf": {"hash": "sha256", "bytes": 32, "info": "YQ=="}
            })
        };
        let here = self.batch("agree", &body(&other));
        assert_eq!(here[1], other.post("agree", &body(self)), "{}", self.name);
        let zeroes = json!({"public_key": BASE64.encode([0; 32])});
        let refused = self.try_post("agree", &zeroes);
        assert_eq!((refused.status, problem(&refused)), (422, "invalid-field".to_owned()));
    }

    fn encapsulates(&self) {
        for made in self.batch("encapsulate", &json!({})) {
            let body = json!({"ciphertext": made["ciphertext"]});
            let opened = self.batch("decapsulate", &body);
            assert_eq!(opened[0]["shared_secret"], made["shared_secret"], "{}", self.name);
        }
    }

    fn wraps(&self) {
        let text = BASE64.encode([7; 32]);
        for wrapped in self.batch("wrap", &json!({"plaintext": text})) {
            let body = json!({"wrapped": wrapped["wrapped"]});
            assert_eq!(self.batch("unwrap", &body)[1]["plaintext"], text, "{}", self.name);
        }
    }

    fn derives(&self) {
        let (child, way) = match self.name.as_str() {
            "bip32-secp256k1" | "slip10-p256" => (self.name.as_str(), json!({"path": "m/0/7'"})),
            "slip10-ed25519" => ("ed25519", json!({"path": "m/0'"})),
            "hd-ed25519" | "hd-stark" => (self.name.as_str(), json!({"path": "m/0/7"})),
            _ => ("aes256-gcm", json!({"label": "mail"})),
        };
        let mut derive = way;
        derive["parent"] = json!(self.key);
        let body = json!({"name": "child", "algorithm": child, "derive": derive});
        let made = self.client.post("/v1/keys", &body).expect(201).json();
        assert_eq!(made["derived_from"]["key"], self.key.as_str());
        let again = self.client.post("/v1/keys", &body);
        assert_eq!((again.status, problem(&again)), (409, "name-taken".to_owned()));
    }
}

#[test]
fn every_algorithm_goes_through_all_of_its_uses_and_refuses_the_others() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let listed = client.get("/v1/algorithms").expect(200).json();
    let texts = |value: &Value| -> Vec<String> {
        let texts = value.as_array().expect("a list").iter();
        texts.map(|text| text.as_str().expect("text").to_owned()).collect()
    };
    let mut driven = std::collections::BTreeMap::<String, u32>::new();
    for algorithm in listed["algorithms"].as_array().expect("a list") {
        let name = algorithm["name"].as_str().expect("a name").to_owned();
        let subject = Subject {
            client: &client,
            key: create(&client, &name),
            is_cipher: algorithm["object_type"] == "symmetric_key",
            schemes: texts(&algorithm["signature_schemes"]),
            name,
        };
        let uses = texts(&algorithm["uses"]);
        let has = |wanted: &str| uses.iter().any(|one| one == wanted);
        let empty = json!({"plaintext": "", "message": ""});
        let only = |member: &str| json!({ member: empty.get(member).unwrap_or(&json!("")) });
        let steps: [(&str, Drive<'_>, &str, Value); 7] = [
            ("encrypt", Subject::encrypts, "encrypt", only("plaintext")),
            ("sign", Subject::signs, "sign", only("message")),
            ("mac", Subject::authenticates, "mac", only("message")),
            ("agree", Subject::agrees, "agree", only("public_key")),
            ("encapsulate", Subject::encapsulates, "encapsulate", json!({})),
            ("wrap_key", Subject::wraps, "wrap", only("plaintext")),
            ("derive_key", Subject::derives, "", Value::Null),
        ];
        for (wanted, drive, operation, body) in steps {
            if has(wanted) {
                drive(&subject);
                *driven.entry(wanted.to_owned()).or_default() += 1;
            } else if !operation.is_empty() {
                subject.refuses(operation, &body);
            }
        }
        client.delete(&format!("/v1/keys/{}", subject.key)).expect(200);
        let gone = subject.try_post("encrypt", &json!({"items": [{"plaintext": ""}]}));
        assert_eq!(gone.status, 410, "{}", subject.name);
    }
    assert!(driven.values().sum::<u32>() >= 75, "{driven:?}");
}

#[test]
fn a_thousand_items_are_a_thousand_uses_in_the_audit_trail() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let key = create(&client, "aes256-gcm");
    let mut items = vec![json!({"plaintext": BASE64.encode(LETTER)}); 1_000];
    items[500] = json!({"plaintext": "", "version": 9});
    let answer = client.post(&format!("/v1/keys/{key}/encrypt"), &json!({ "items": items }));
    let answers = answer.expect(200).json();
    let answers = answers["items"].as_array().expect("items");
    for (position, answer) in answers.iter().enumerate() {
        assert_eq!(answer.get("error").is_some(), position == 500, "{position}");
    }
    assert_eq!(answers[500]["error"]["type"], "/problems/item-not-found");
    assert_eq!(client.get(&format!("/v1/keys/{key}")).expect(200).json()["uses"], 999);
    assert!(server.terminate().success());
    let trail = std::fs::read_to_string(server.data().join("audit/audit.jsonl")).expect("a trail");
    let count = |outcome: &str| {
        let of_use = trail.lines().filter(|line| line.contains("\"key.encrypt\""));
        of_use.filter(|line| line.contains(outcome)).count()
    };
    assert_eq!((count("\"allowed\""), count("\"refused\"")), (999, 1));
}

/// A folder with a letter in it, and the command line against a server.
struct Desk<'a> {
    folder: &'a Folder,
    data: String,
}

impl<'a> Desk<'a> {
    fn new(folder: &'a Folder, server: &Server) -> Self {
        std::fs::write(folder.join("letter"), LETTER).expect("written");
        Self { folder, data: server.data().to_str().expect("UTF-8").to_owned() }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().expect("UTF-8").to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).expect("it was written")
    }

    #[track_caller]
    fn lethe(&self, arguments: &[&str]) -> String {
        let mut all: Vec<&str> = arguments.to_vec();
        all.extend(["--dev", &self.data]);
        let output = run_cli(&all);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn the_command_line_uses_keys_on_files() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let desk = Desk::new(&folder, &server);
    let file = |name: &str| desk.file(name);
    let lethe = |arguments: &[&str]| desk.lethe(arguments);
    let read = |name: &str| desk.read(name);
    let letter = file("letter");
    let (aes, other) = (create(&client, "aes256-gcm"), create(&client, "aes256-gcm"));

    let bound = ["--aad", "x", "--context", "tenant=7"];
    let sealed = file("sealed");
    let encrypt = ["key", "encrypt", &aes, "--in", &letter, "--out", &sealed, "--version", "1"];
    lethe(&[&encrypt[..], &bound].concat());
    let anew = file("anew");
    let re_encrypt = ["key", "re-encrypt", &aes, "--in", &sealed, "--out", &anew, "--to", &other];
    lethe(&[&re_encrypt[..], &bound].concat());
    let decrypt = ["key", "decrypt", &other, "--in", &anew, "--out", &file("opened")];
    lethe(&[&decrypt[..], &bound].concat());
    assert_eq!(read("opened"), LETTER);

    let plain = file("data-key");
    lethe(&["key", "data-key", &aes, "--out", &file("wrapped-key"), "--plaintext-out", &plain]);
    lethe(&["key", "decrypt", &aes, "--in", &file("wrapped-key"), "--out", &file("again")]);
    assert!(read("data-key").len() == 32 && read("data-key") == read("again"));
    assert!(lethe(&["key", "data-key", &aes]).len() > 60);

    let cbc = create(&client, "aes256-cbc");
    lethe(&["key", "raw-encrypt", &cbc, "--in", &letter, "--out", &file("raw")]);
    lethe(&["key", "raw-decrypt", &cbc, "--in", &file("raw"), "--out", &file("raw-opened")]);
    assert_eq!(read("raw-opened"), LETTER);
}

#[test]
fn the_command_line_signs_agrees_and_derives() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let desk = Desk::new(&folder, &server);
    let file = |name: &str| desk.file(name);
    let lethe = |arguments: &[&str]| desk.lethe(arguments);
    let read = |name: &str| desk.read(name);
    let letter = file("letter");

    let signer = create(&client, "ecdsa-p256");
    let digits = lethe(&["hash", "sha256", "--in", &letter]);
    assert_eq!(digits.trim().len(), 64);
    lethe(&["key", "sign", &signer, "--in", &letter, "--out", &file("signature")]);
    let verify = ["key", "verify", &signer, "--in", &letter, "--signature", &file("signature")];
    lethe(&verify);
    let jwk = lethe(&["key", "public-key", &signer, "--format", "jwk"]);
    assert_eq!(serde_json::from_str::<Value>(&jwk).expect("JSON")["kty"], "EC");

    let mac = create(&client, "hmac-sha512");
    lethe(&["key", "mac", &mac, "--in", &letter, "--bytes", "16", "--out", &file("code")]);
    let check = ["key", "mac-verify", &mac, "--in", &letter, "--mac", &file("code")];
    lethe(&[&check[..], &["--bytes", "16"]].concat());

    let (ours, theirs) = (create(&client, "x25519"), create(&client, "x25519"));
    for (one, peer, secret) in [(&ours, &theirs, "one"), (&theirs, &ours, "two")] {
        let public = file(&format!("public-{secret}"));
        lethe(&["key", "public-key", peer, "--out", &public]);
        let out = file(secret);
        let agree = ["key", "agree", one, "--in", &public, "--out", &out, "--hkdf", "sha256"];
        lethe(&[&agree[..], &["--bytes", "32", "--info", "mail"]].concat());
    }
    assert!(read("one").len() == 32 && read("one") == read("two"));

    let kem = create(&client, "ml-kem-768");
    let (sent, kept) = (file("sent"), file("kept"));
    lethe(&["key", "encapsulate", &kem, "--out", &sent, "--secret-out", &kept]);
    lethe(&["key", "decapsulate", &kem, "--in", &sent, "--out", &file("received")]);
    assert_eq!(read("kept"), read("received"));

    let wrapper = create(&client, "aes256-kwp");
    lethe(&["key", "wrap", &wrapper, "--in", &letter, "--out", &file("wrapped")]);
    lethe(&["key", "unwrap", &wrapper, "--in", &file("wrapped"), "--out", &file("unwrapped")]);
    assert_eq!(read("unwrapped"), LETTER);

    let derive = ["key", "create", "child", "--algorithm", "aes256-gcm", "--derive-from", &mac];
    lethe(&[&derive[..], &["--derive-label", "mail"]].concat());
    assert_eq!(BASE64.decode(lethe(&["random", "32"]).trim()).expect("base64").len(), 32);
    let keys = client.send(Method::GET, "/v1/keys?name=child", &[], &[]).expect(200).json();
    assert_eq!(keys["keys"][0]["derived_from"]["path"], "label:mail");
}
