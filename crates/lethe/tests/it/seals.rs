//! Slots in several files, seals of every kind that needs no device, and migrations between them,
//! with the real executable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use lethe_erasure::erased::holds_nothing;
use lethe_erasure::slot::SLOT_IMAGE_BYTES;

use crate::keys::{create, encrypt, opens};
use crate::process::{Folder, NotReady, Server, child};

/// Runs the command line with this environment.
fn cli(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = child(crate::process::LETHE);
    command.args(arguments).envs(environment.iter().copied());
    command.output().expect("the executable starts")
}

#[track_caller]
fn done(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(words), "`{words}` is not in: {text}");
}

/// A stopped installation with one key, and what the key sealed.
fn stopped(data: &Path, seal: &[&str], environment: &[(&str, &str)]) -> (String, String) {
    let mut server = Server::start_dev(data, seal, environment);
    let key = create(&server.native(), "aes256-gcm");
    let text = encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    (key, text)
}

#[track_caller]
fn serves(
    data: &Path,
    seal: &[&str],
    environment: &[(&str, &str)],
    (key, text): &(String, String),
) {
    let mut server = Server::start_dev(data, seal, environment);
    assert!(opens(&server.native(), key, text));
    assert!(server.terminate().success());
}

#[track_caller]
fn does_not_serve(data: &Path, seal: &[&str], environment: &[(&str, &str)], words: &str) {
    match Server::try_start_dev(data, seal, environment) {
        Err(NotReady::Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(4), "{stderr}");
            assert!(stderr.contains(words), "`{words}` is not in: {stderr}");
        }
        Ok(_) => panic!("it serves"),
        Err(NotReady::Late(written)) => panic!("neither serves nor refuses: {written}"),
    }
}

/// A migration: where, the old seal's settings, the new ones, and the environment.
fn migrate(data: &Path, old: &[&str], to: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut arguments = vec!["seal", "migrate", "--data", data.to_str().expect("UTF-8")];
    arguments.extend_from_slice(old);
    arguments.extend(to.iter().flat_map(|setting| ["--to", setting]));
    cli(&arguments, environment)
}

const PASSPHRASE: [&str; 4] = ["--set", "seal.kind=passphrase", "--set", "seal.from=environment"];
const TO_PASSPHRASE: [&str; 2] = ["kind=passphrase", "from=environment"];
const OLD: (&str, &str) = ("LETHE_PASSPHRASE", "correct horse battery");
const NEW: (&str, &str) = ("LETHE_NEW_PASSPHRASE", "staple battery horse");

#[test]
fn a_seal_migrates_from_kind_to_kind() {
    let folder = Folder::new();
    let data = folder.join("data");
    let key = stopped(&data, &[], &[]);
    let at = data.to_str().expect("UTF-8");
    assert!(done(&cli(&["seal", "show", "--data", at], &[])).contains("sealed with a key file"));

    let told = done(&migrate(&data, &[], &TO_PASSPHRASE, &[NEW]));
    assert!(told.contains("passphrase, before: key-file"), "{told}");
    assert!(done(&cli(&["seal", "show", "--data", at], &[])).contains("sealed with a passphrase"));
    does_not_serve(&data, &[], &[], "sealed with a passphrase, but a key file is configured");
    serves(&data, &PASSPHRASE, &[("LETHE_PASSPHRASE", NEW.1)], &key);

    // From one passphrase to another: only the new one opens.
    let environment = [("LETHE_PASSPHRASE", NEW.1), ("LETHE_NEW_PASSPHRASE", OLD.1)];
    done(&migrate(&data, &PASSPHRASE, &TO_PASSPHRASE, &environment));
    does_not_serve(&data, &PASSPHRASE, &[("LETHE_PASSPHRASE", NEW.1)], "passphrase is wrong");
    serves(&data, &PASSPHRASE, &[OLD], &key);

    // To a credential of the service manager, with the mode that an access list shows.
    let credentials = folder.join("credentials");
    fs::create_dir(&credentials).expect("made");
    write(&credentials.join("lethe-seal"), &[7; 32], 0o440);
    let directory = credentials.to_str().expect("UTF-8").to_owned();
    let environment = [OLD, ("CREDENTIALS_DIRECTORY", directory.as_str())];
    done(&migrate(&data, &PASSPHRASE, &["kind=credential"], &environment));
    let credential = ["--set", "seal.kind=credential"];
    serves(&data, &credential, &environment[1..], &key);
    does_not_serve(&data, &credential, &[], "`CREDENTIALS_DIRECTORY` is not set");
    write(&credentials.join("lethe-seal"), &[8; 32], 0o400);
    does_not_serve(&data, &credential, &environment[1..], "does not open");
    write(&credentials.join("lethe-seal"), &[7; 31], 0o400);
    does_not_serve(&data, &credential, &environment[1..], "31 bytes");
    write(&credentials.join("lethe-seal"), &[7; 32], 0o404);
    does_not_serve(&data, &credential, &environment[1..], "others may use it");
    write(&credentials.join("lethe-seal"), &[7; 32], 0o400);

    // And to another key file, whose predecessor is destroyed in the end.
    let new_key = folder.join("keys/new.key");
    let to = format!("path={}", new_key.display());
    done(&migrate(&data, &credential, &["kind=key-file", &to], &environment[1..]));
    let set = format!("seal.path={}", new_key.display());
    serves(&data, &["--set", &set], &[], &key);
    let arguments = ["seal", "migrate", "--data", at, "--set", &set, "--destroy-old-key"];
    let third = format!("path={}", folder.join("keys/third.key").display());
    done(&cli(&[&arguments[..], &["--to", &third]].concat(), &[]));
    assert!(!new_key.exists());
    let set = format!("seal.path={}", folder.join("keys/third.key").display());
    serves(&data, &["--set", &set], &[], &key);
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    let _left = fs::remove_file(path);
    fs::write(path, bytes).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// Settings of the old seal, those of the new one, the environment, exit code and words.
type Refused<'a> = (&'a [&'a str], &'a [&'a str], &'a [(&'a str, &'a str)], i32, &'a str);

#[test]
fn a_migration_that_cannot_be_done_changes_nothing() {
    let folder = Folder::new();
    let data = folder.join("data");
    let key = stopped(&data, &[], &[]);
    let slot = data.join("slot/root.slot");
    let before = fs::read(&slot).expect("readable");
    let cases: [Refused<'_>; 10] = [
        (&[], &["kind=key-file"], &[], 3, "that is the seal"),
        (&[], &["kind=nonsense"], &[], 3, "nonsense"),
        (&[], &["kind"], &[], 3, "as in kind=passphrase"),
        (&[], &TO_PASSPHRASE, &[], 4, "LETHE_NEW_PASSPHRASE"),
        (&[], &TO_PASSPHRASE, &[("LETHE_NEW_PASSPHRASE", "short")], 4, "at least 12"),
        (&[], &["kind=credential"], &[], 4, "CREDENTIALS_DIRECTORY"),
        (&[], &["kind=passphrase", "from=fd", "fd=77"], &[], 4, "file descriptor 77"),
        (&[], &["kind=passphrase", "from=fd", "fd=1"], &[], 3, "from 3 on"),
        (&PASSPHRASE, &["kind=key-file", "path=none/root.key"], &[OLD], 4, "missing"),
        (&["--set", "slot.path=elsewhere"], &TO_PASSPHRASE, &[NEW], 4, "missing"),
    ];
    for (old, to, environment, code, words) in cases {
        refused(&migrate(&data, old, to, environment), code, words);
        assert!(fs::read(&slot).expect("readable") == before, "{to:?} changed the slot");
    }
    let server = Server::start_dev(&data, &[], &[]);
    refused(&migrate(&data, &[], &TO_PASSPHRASE, &[NEW]), 4, "stop it first");
    assert!(opens(&server.native(), &key.0, &key.1));
}

#[test]
fn recovery_shares_open_the_slot_until_the_seal_is_migrated() {
    let folder = Folder::new();
    let data = folder.join("data");
    let key = stopped(&data, &PASSPHRASE, &[OLD]);
    let at = data.to_str().expect("UTF-8");
    let out = folder.join("shares");
    let place = [&["--data", at][..], &PASSPHRASE[..]].concat();
    let make = |needed, of| {
        let numbers = ["seal", "shares", "--needed", needed, "--of", of, "--out"];
        cli(&[&numbers[..], &[out.to_str().expect("UTF-8")], &place[..]].concat(), &[OLD])
    };
    for (needed, of) in [("1", "3"), ("4", "3"), ("2", "33"), ("0", "0")] {
        refused(&make(needed, of), 4, "shares");
    }
    done(&make("2", "3"));
    refused(&make("2", "3"), 4, "never written over");
    let told = done(&cli(&["seal", "show", "--data", at], &[]));
    assert!(told.contains("recovery shares of the seal: 2 of 3"), "{told}");
    let mut server = Server::start_dev(&data, &PASSPHRASE, &[OLD]);
    let second = create(&server.native(), "aes256-gcm");
    let receipt = server.native().delete(&format!("/v1/keys/{second}")).expect(200).json();
    let shares = &receipt["statement"]["recovery_shares"];
    assert_eq!((shares["needed"].as_u64(), shares["number"].as_u64()), (Some(2), Some(3)));
    assert!(shares["made"].is_string(), "{shares}");
    assert!(server.terminate().success());
    let share = |number| format!("{}/share-{number}.txt", out.display());
    let (one, three) = (share(1), share(3));
    // The passphrase is forgotten.
    let recover = |shares: &[&str]| {
        let shares: Vec<&str> = shares.iter().flat_map(|share| ["--from-share", share]).collect();
        let arguments = [&["seal", "migrate"][..], &place[..], &shares[..]].concat();
        cli(&[&arguments[..], &["--to", "kind=key-file"]].concat(), &[])
    };
    refused(&recover(&[&three]), 4, "too few");
    refused(&recover(&[&one, &one]), 4, "too few");
    mode(Path::new(&one), 0o644);
    refused(&recover(&[&one, &three]), 4, "open to other users");
    mode(Path::new(&one), 0o600);
    done(&recover(&[&one, &three]));
    serves(&data, &[], &[], &key);
    does_not_serve(&data, &PASSPHRASE, &[OLD], "sealed with a key file");
    let told = done(&cli(&["seal", "show", "--data", at], &[]));
    assert!(!told.contains("recovery shares"), "{told}");
    // They were of the old seal.
    let to = format!("path={}", folder.join("other.key").display());
    let arguments = ["seal", "migrate", "--data", at, "--from-share", &one, "--from-share", &three];
    let output = cli(&[&arguments[..], &["--to", "kind=key-file", "--to", &to]].concat(), &[]);
    assert!(!output.status.success());
    serves(&data, &[], &[], &key);
}

/// Points of a migration, which seal is tried then, and why it fails if it must.
pub(crate) const MIGRATION_POINTS: [(&str, &str, Option<&str>); 5] = [
    ("seal.key_made", "old", None),
    ("seal.image_written", "old", None),
    ("seal.image_written", "new", None),
    ("seal.old_erased", "old", Some(OLD_FAILS)),
    ("seal.old_erased", "again", None),
];

const OLD_FAILS: &str = "sealed with a passphrase";

#[test]
fn a_kill_at_every_point_of_a_migration_leaves_a_seal_that_opens() {
    let old_fails = OLD_FAILS;
    for (point, then, fails) in MIGRATION_POINTS {
        let folder = Folder::new();
        let data = folder.join("data");
        let (_, _, replicas) = replicas(&folder);
        let slot = ["--set", replicas.as_str()];
        let key = stopped(&data, &slot, &[]);
        let cut = migrate(&data, &slot, &TO_PASSPHRASE, &[NEW, ("LETHE_CRASH_AT", point)]);
        assert_eq!(cut.status.code(), None, "{point} is not passed");
        let new_seal: Vec<&str> = [&slot[..], &PASSPHRASE[..]].concat();
        let environment = [("LETHE_PASSPHRASE", NEW.1)];
        if then == "again" {
            done(&migrate(&data, &slot, &TO_PASSPHRASE, &[NEW]));
            does_not_serve(&data, &slot, &[], old_fails);
        }
        let (settings, environment) = match then {
            "old" => (&slot[..], &[][..]),
            _ => (&new_seal[..], &environment[..]),
        };
        match fails {
            None => serves(&data, settings, environment, &key),
            Some(words) => does_not_serve(&data, settings, environment, words),
        }
    }
}

/// Two disks, as two folders.
fn replicas(folder: &Folder) -> (PathBuf, PathBuf, String) {
    let (a, b) = (folder.join("a"), folder.join("b"));
    let setting = format!("slot.paths=['{}/root.slot','{}/root.slot']", a.display(), b.display());
    (a, b, setting)
}

#[test]
fn any_one_replica_can_be_lost_and_what_it_held_is_remembered() {
    let folder = Folder::new();
    let data = folder.join("data");
    let (a, b, setting) = replicas(&folder);
    let slot = ["--set", setting.as_str()];
    let key = stopped(&data, &slot, &[]);
    for gone in [&a, &b] {
        let away = folder.join("away");
        let _before = fs::remove_dir_all(&away);
        fs::rename(gone, &away).expect("moved");
        let server = Server::start_dev(&data, &slot, &[]);
        assert!(opens(&server.native(), &key.0, &key.1));
        let second = create(&server.native(), "aes256-gcm");
        let receipt = server.native().delete(&format!("/v1/keys/{second}")).expect(200);
        assert!(receipt.json()["statement"]["lost_replicas"]["count"].is_u64(), "{receipt:?}");
        let file = folder.join("receipt");
        fs::write(&file, &receipt.body).expect("written");
        let at = data.to_str().expect("UTF-8");
        let verify = ["receipt", "verify", file.to_str().expect("UTF-8"), "--data", at];
        let told = done(&cli(&verify, &[]));
        assert!(told.contains("lost before that and not erased"), "{told}");
        drop(server);
        let at = data.to_str().expect("UTF-8");
        let shown = done(&cli(&["seal", "show", "--data", at, "--set", &setting], &[]));
        assert!(shown.contains("lost and not erased"), "{shown}");
    }
    // The second one comes back, in its old place, with an old root.
    fs::remove_dir_all(&b).expect("removed");
    fs::rename(folder.join("away"), &b).expect("moved back");
    serves(&data, &slot, &[], &key);
    // One that cannot be used at all is not passed over.
    fs::write(b.join("root.slot"), b"short").expect("written");
    does_not_serve(&data, &slot, &[], "take it out of `slot.paths`");
    serves(&data, &["--set", &format!("slot.path={}/root.slot", a.display())], &[], &key);
}

#[test]
fn a_rolled_back_replica_brings_nothing_back() {
    let folder = Folder::new();
    let data = folder.join("data");
    let (a, b, setting) = replicas(&folder);
    let slot = ["--set", setting.as_str()];
    let key = stopped(&data, &slot, &[]);
    let old = fs::read(b.join("root.slot")).expect("readable");
    let old_store = fs::read(data.join("store/store.sqlite")).expect("readable");
    let mut server = Server::start_dev(&data, &slot, &[]);
    server.native().delete(&format!("/v1/keys/{}", key.0)).expect(200);
    assert!(server.terminate().success());
    fs::write(b.join("root.slot"), &old).expect("written");
    let mut server = Server::start_dev(&data, &slot, &[]);
    assert!(!opens(&server.native(), &key.0, &key.1));
    assert!(server.terminate().success());
    assert_ne!(fs::read(b.join("root.slot")).expect("readable"), old, "its old root is erased");
    // With the old store it does not help either: the newer replica tells.
    fs::write(b.join("root.slot"), &old).expect("written");
    fs::write(data.join("store/store.sqlite"), &old_store).expect("written");
    let _log = fs::remove_file(a.join("log.head"));
    let _log = fs::remove_file(b.join("log.head"));
    does_not_serve(&data, &slot, &[], "older");
    // Control: had both been rolled back, the key would be back.
    fs::write(a.join("root.slot"), &old).expect("written");
    serves(&data, &slot, &[], &key);
}

#[test]
fn a_kill_between_the_steps_of_a_destruction_is_recovered_on_both_replicas() {
    for point in ["slot.root_written", "slot.old_root_erased"] {
        let folder = Folder::new();
        let data = folder.join("data");
        let (a, b, setting) = replicas(&folder);
        let slot = ["--set", setting.as_str()];
        let key = stopped(&data, &slot, &[]);
        let server = Server::start_dev(&data, &slot, &[("LETHE_CRASH_AT", point)]);
        let going = &key.0;
        let _cut = crate::keys::try_destroy(&server.native(), going);
        let mut server = server;
        server.wait_for_exit();
        drop(server);
        let mut server = Server::start_dev(&data, &slot, &[]);
        assert!(!opens(&server.native(), going, &key.1), "{point}: it was begun, so it is done");
        assert!(server.terminate().success());
        for replica in [a, b] {
            let bytes = fs::read(replica.join("root.slot")).expect("readable");
            let (sectors, rest) = bytes.as_chunks::<SLOT_IMAGE_BYTES>();
            assert!(rest.is_empty(), "{point}: whole sectors");
            let filled = sectors.iter().filter(|sector| !holds_nothing(sector));
            assert_eq!(filled.count(), 1, "{point}: one root in each replica");
        }
    }
}

#[test]
fn the_doctor_says_what_losing_each_thing_means() {
    let folder = Folder::new();
    let data = folder.join("data");
    let at = data.to_str().expect("UTF-8").to_owned();
    let new = done(&cli(&["doctor", "--data", &at, "--set", "slot.accept_filesystem=true"], &[]));
    assert!(new.contains("a new installation"), "{new}");
    let key = stopped(&data, &[], &[]);
    let accept = ["--data", at.as_str(), "--set", "slot.accept_filesystem=true"];
    let told = done(&cli(&[&["doctor"], &accept[..]].concat(), &[]));
    assert!(told.contains("IF IT IS LOST, EVERY KEY IS LOST"), "{told}");
    let json = done(&cli(&[&["--json", "doctor"], &accept[..]].concat(), &[]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["worst"], "warning");
    let has = |json: &serde_json::Value, check: &str, level: &str| {
        let findings = json["findings"].as_array().expect("a list");
        findings.iter().any(|one| one["check"] == check && one["level"] == level)
    };
    assert!(has(&json, "slot.replicas", "warning") && has(&json, "store", "ok"), "{json:#}");
    for (check, place, wrong_mode) in [
        ("slot.permissions", "slot/root.slot", Some(0o644)),
        ("seal.permissions", "slot/root.key", Some(0o640)),
        ("seal", "slot/root.key", None),
        ("store", "slot/root.slot", None),
        ("store", "store", None),
    ] {
        let (place, away) = (data.join(place), data.join("away"));
        match wrong_mode {
            Some(wrong) => mode(&place, wrong),
            None => fs::rename(&place, &away).expect("moved"),
        }
        let output = cli(&[&["--json", "doctor"], &accept[..]].concat(), &[]);
        assert_eq!(output.status.code(), Some(1), "{check}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(has(&json, check, "failure"), "{check}: {json:#}");
        match wrong_mode {
            Some(_) => mode(&place, 0o600),
            None => fs::rename(&away, &place).expect("moved back"),
        }
    }
    let other = ["--set", "seal.kind=passphrase", "--set", "seal.from=prompt"];
    let output = cli(&[&["--json", "doctor"], &accept[..], &other[..]].concat(), &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(has(&json, "slot.sectors", "failure"), "{json:#}");
    refused(&cli(&["doctor", "--set", "nonsense=1"], &[]), 3, "nonsense");
    serves(&data, &[], &[], &key);
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}
