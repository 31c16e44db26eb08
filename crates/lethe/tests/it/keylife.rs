//! The life of a key beyond its states, against the real server and through the command line:
//! versions, rotation, limits of use, keys that leave and keys that come in.

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, KeyFormat};
use lethe_crypto::transport::{self, Recipient};
use lethe_types::SecretVec;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client, JSON};
use crate::keys::{LETTER, create, decrypt, encrypt, opens, problem};
use crate::process::{Folder, Server, run_cli_with};

fn cli(server: &Server, arguments: &[&str]) -> std::process::Output {
    let data = server.data().to_str().expect("UTF-8");
    run_cli_with(arguments, &[("LETHE_DATA", data)], &[])
}

/// What the command line says to programs.
#[track_caller]
fn said(server: &Server, arguments: &[&str]) -> Value {
    let output = cli(server, &[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
fn done(server: &Server, arguments: &[&str]) -> Vec<u8> {
    let output = cli(server, arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {text}");
    output.stdout
}

#[track_caller]
fn refused(server: &Server, arguments: &[&str], expected: &str) {
    let output = cli(server, arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert!(text.contains(expected), "{arguments:?}: {text}");
}

fn patch(client: &Client, key: &str, body: &Value) -> Answer {
    let path = format!("/v1/keys/{key}");
    client.send(Method::PATCH, &path, &[JSON], body.to_string().as_bytes())
}

#[test]
fn a_version_ends_for_good_with_a_receipt_of_its_own_and_survives_a_kill() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let key = create(&client, "aes256-gcm");
    let first = encrypt(&client, &key);
    refused(&server, &["key", "version", "suspend", &key, "1"], "only one that protects");
    done(&server, &["key", "rotate", &key]);
    let second = encrypt(&client, &key);
    let listed = said(&server, &["key", "version", "suspend", &key, "1"]);
    assert_eq!(listed["versions"][0]["state"], "suspended");
    assert_eq!(problem(&decrypt(&client, &key, &first)), "version-suspended");
    done(&server, &["key", "version", "resume", &key, "1"]);
    assert!(opens(&client, &key, &first));
    let file = folder.join("version.proof");
    let file = file.to_str().expect("UTF-8");
    let arguments =
        ["key", "version", "destroy", &key, "1", "--yes", "--reason", "leaked", "--receipt", file];
    done(&server, &arguments);
    assert_eq!(problem(&decrypt(&client, &key, &first).expect(410)), "version-destroyed");
    server.kill();
    let server = server.restart();
    let client = server.native();
    assert_eq!(problem(&decrypt(&client, &key, &first).expect(410)), "version-destroyed");
    assert!(opens(&client, &key, &second));
    let data = server.data().to_str().expect("UTF-8").to_owned();
    let verify = ["receipt", "verify", file, "--data", &data];
    let told = said(&server, &verify);
    assert_eq!((&told["holds"], &told["version"]), (&json!(true), &json!(1)));
    assert_eq!(told["statement"]["reason"], "leaked");
    let text = String::from_utf8(done(&server, &verify)).expect("UTF-8");
    assert!(text.contains(&format!("Version 1 of key {key}")), "{text}");
    let mut altered = fs::read(file).expect("it is there");
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    fs::write(file, altered).expect("written");
    assert_eq!(cli(&server, &verify).status.code(), Some(1), "an altered receipt is refused");
    // It can be fetched as long as there is a log, also when the key has gone.
    client.delete(&format!("/v1/keys/{key}")).expect(200);
    let again = done(&server, &["key", "version", "receipt", &key, "1"]);
    let later = folder.join("later.proof");
    fs::write(&later, again).expect("written");
    let later = later.to_str().expect("UTF-8");
    assert_eq!(said(&server, &["receipt", "verify", later, "--data", &data])["version"], 1);
    let whole = done(&server, &["key", "receipt", &key]);
    fs::write(later, whole).expect("written");
    let whole = said(&server, &["receipt", "verify", later, "--data", &data]);
    assert_eq!(
        (&whole["version"], &whole["statement"]["versions"][0]["version"]),
        (&Value::Null, &json!(2),)
    );
    refused(&server, &["key", "version", "destroy", &key, "2", "--yes"], "destroyed");
}

#[test]
fn rules_hold_over_the_wire_and_a_restart() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let key =
        said(&server, &["key", "create", "k", "--algorithm", "ed25519", "--uses", "sign,verify"]);
    let key = key["id"].as_str().expect("an id").to_owned();
    let sign = |server: &Server| {
        let body = json!({"message": BASE64.encode(LETTER)});
        server.native().post(&format!("/v1/keys/{key}/sign"), &body)
    };
    let signature = sign(&server).expect(200).json()["signature"].clone();
    done(&server, &["key", "rotate", &key]);
    done(&server, &["key", "update", &key, "--process-from", "2", "--protect-from", "2"]);
    let check = |server: &Server| {
        let body = json!({"message": BASE64.encode(LETTER), "signature": signature, "version": 1});
        server.native().post(&format!("/v1/keys/{key}/verify"), &body)
    };
    assert_eq!(problem(&check(&server).expect(409)), "version-below-minimum");
    done(&server, &["key", "update", &key, "--process-from", "0", "--uses", "verify"]);
    let server = server.restart();
    assert_eq!(check(&server).expect(200).json()["valid"], true);
    assert_eq!(problem(&sign(&server).expect(409)), "use-not-allowed");
    let client = server.native();
    let wider = patch(&client, &key, &json!({"allowed_uses": ["sign", "verify"]}));
    assert_eq!(problem(&wider.expect(422)), "invalid-field");
    let shown = String::from_utf8(done(&server, &["key", "show", &key])).expect("UTF-8");
    assert!(shown.contains("verify") && shown.contains("2 to protect"), "{shown}");
}

#[test]
fn a_key_is_rotated_when_its_time_has_come_also_while_nobody_served() {
    let folder = Folder::new();
    let data = folder.join("data");
    let mut server = Server::start_dev(&data, &[], &[]);
    let every = ["key", "create", "k", "--algorithm", "aes256-gcm", "--rotate-every", "2d"];
    let key = said(&server, &every);
    let key = key["id"].as_str().expect("an id").to_owned();
    let text = encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    let server = Server::start_dev(&data, &["--clock-offset", "73h"], &[]);
    let client = server.native();
    let mut tries = 0;
    let key = loop {
        let seen = client.get(&format!("/v1/keys/{key}")).expect(200).json();
        if seen["current_version"] == 2 {
            break seen;
        }
        tries += 1;
        assert!(tries < 10_000, "never rotated: {seen}");
        std::thread::park_timeout(Duration::from_millis(2));
    };
    let id = key["id"].as_str().expect("an id");
    assert!(opens(&client, id, &text) && opens(&client, id, &encrypt(&client, id)));
    assert_eq!(key["rotation"]["period"], "2d");
    assert_eq!(
        patch(&client, id, &json!({"rotation_period": null})).expect(200).json()["rotation"],
        Value::Null
    );
}

/// A key leaves one server wrapped and comes into another one, which checks what it signed.
#[test]
fn a_key_moves_between_servers_wrapped_and_both_say_so() {
    for (name, form) in [("x25519", "raw"), ("rsa-3072", "pkcs8-der")] {
        let folder = Folder::new();
        let from = Server::start_dev(&folder.join("from"), &[], &[]);
        let to = Server::start_dev(&folder.join("to"), &[], &[]);
        let create = ["key", "create", "k", "--algorithm", "ed25519", "--exportable"];
        let key = said(&from, &create)["id"].as_str().expect("an id").to_owned();
        // Who moves it holds the key pair in between: exports and imports bind to different names.
        let between = Algorithm::from_name(name).expect("a name").generate(&SystemEntropy);
        let between = between.expect("a key pair");
        let pem = folder.join("between.pem");
        fs::write(&pem, between.public_key().expect("a pair").to_pem()).expect("written");
        let pem = pem.to_str().expect("UTF-8");
        let exported = said(&from, &["key", "export", &key, "--format", form, "--for", pem]);
        let bytes = |member: &Value| BASE64.decode(member.as_str().expect("text")).expect("base64");
        let (info, wrapped) = (bytes(&exported["info"]), bytes(&exported["material"]));
        let algorithm = Algorithm::from_name(name).expect("a name");
        let opened = transport::open(algorithm, between.secret(), &info, &wrapped);
        let opened: SecretVec = opened.expect("it was wrapped for us");
        let made = said(&to, &["key", "import-key", "create", "--algorithm", name]);
        let import_key = made["id"].as_str().expect("an id").to_owned();
        let der = Algorithm::from_name(name).expect("a name").import_public(
            lethe_crypto::registry::PublicFormat::SpkiPem,
            made["public_key"].as_str().expect("PEM").as_bytes(),
        );
        let recipient = Recipient::of_spki(der.expect("a key").spki_der()).expect("a recipient");
        let wrapped = recipient.seal(&SystemEntropy, &bytes(&made["info"]), &opened);
        let file = folder.join("wrapped");
        fs::write(&file, wrapped.expect("it is wrapped")).expect("written");
        let file = file.to_str().expect("UTF-8");
        let import = [
            "key",
            "import",
            "moved",
            "--algorithm",
            "ed25519",
            "--format",
            form,
            "--in",
            file,
            "--import-key",
            &import_key,
        ];
        let moved = said(&to, &import);
        assert_eq!(moved["imported"], true);
        refused(&to, &import, "no such import key");
        let moved = moved["id"].as_str().expect("an id");
        let body = json!({"message": BASE64.encode(LETTER)});
        let signed = to.native().post(&format!("/v1/keys/{moved}/sign"), &body).expect(200).json();
        let body = json!({"message": BASE64.encode(LETTER), "signature": signed["signature"]});
        let checked = from.native().post(&format!("/v1/keys/{key}/verify"), &body).expect(200);
        assert_eq!(checked.json()["valid"], true, "{name}");
        for (server, key, member) in [(&from, key.as_str(), "exported"), (&to, moved, "imported")] {
            let receipt = server.native().delete(&format!("/v1/keys/{key}")).expect(200).json();
            assert_eq!(receipt["statement"][member], true, "{name}");
        }
    }
}

#[test]
fn keys_in_the_clear_come_in_by_every_form_and_leave_only_where_the_realm_lets_them() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let p256 = Algorithm::from_name("ecdsa-p256").expect("a name");
    let material = p256.generate(&SystemEntropy).expect("a key pair");
    let mut made = Vec::new();
    for format in [KeyFormat::Pkcs8Der, KeyFormat::Pkcs8Pem, KeyFormat::Jwk, KeyFormat::Sec1Pem] {
        let text = p256.export(material.secret(), format).expect("it has the form");
        let file = folder.join(format.as_str());
        fs::write(&file, text.expose()).expect("written");
        let file = file.to_str().expect("UTF-8");
        let name = format.as_str();
        let key = said(
            &server,
            &[
                "key",
                "import",
                name,
                "--algorithm",
                "ecdsa-p256",
                "--format",
                name,
                "--in",
                file,
                "--exportable",
            ],
        );
        assert_eq!(key["imported"], true, "{name}");
        made.push((key, file.to_owned()));
    }
    let [first, ..] = made.as_slice() else { panic!("keys were made") };
    let id = first.0["id"].as_str().expect("an id");
    for (key, _) in &made {
        assert_eq!(key["versions"][0]["public_key"], first.0["versions"][0]["public_key"]);
    }
    let out = folder.join("out.pem");
    let out = out.to_str().expect("UTF-8");
    let export = ["key", "export", id, "--format", "pkcs8-pem", "--out", out];
    refused(&server, &export, "may not leave");
    assert!(!std::path::Path::new(out).exists(), "nothing is left behind");
    assert_eq!(client.get(&format!("/v1/keys/{id}")).expect(200).json()["exported"], false);
    let allow = json!({"plain_export": true}).to_string();
    client.send(Method::PATCH, "/v1/realm", &[JSON], allow.as_bytes()).expect(200);
    done(&server, &export);
    let (_, pem) = &made[1];
    assert_eq!(fs::read(out).expect("it is there"), fs::read(pem).expect("it is there"));
    assert_eq!(client.get(&format!("/v1/keys/{id}")).expect(200).json()["exported"], true);
    done(&server, &["key", "update", id, "--not-exportable"]);
    let other = folder.join("other.pem");
    let other = other.to_str().expect("UTF-8");
    let export = ["key", "export", id, "--format", "pkcs8-pem", "--out", other];
    refused(&server, &export, "not made exportable");
}
