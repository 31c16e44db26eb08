//! Whatever is wrong with the data directory: the server says what and why, refuses to serve, and
//! overwrites nothing.

use std::fs;
use std::path::{Path, PathBuf};

use crate::keys::{create, encrypt, opens};
use crate::process::{Folder, NotReady, Server};

/// A stopped installation with one key, and what the key sealed.
fn stopped(folder: &Folder) -> (PathBuf, String, String) {
    let data = folder.join("data");
    let mut server = Server::start_dev(&data, &[], &[]);
    let key = create(&server.native(), "aes256-gcm");
    let text = encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    (data, key, text)
}

/// All files below `data` and what they hold, but for those that every start writes.
fn contents(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name == "control.sock" {
                // Of a server that runs.
            } else if !name.starts_with("audit") && !name.ends_with("-shm") && name != "lock" {
                files.push((path.clone(), fs::read(&path).expect("readable")));
            }
        }
    }
    files.sort();
    files
}

/// The server refuses with exit code 4 and these words, and every file is as before.
#[track_caller]
fn refuses(data: &Path, words: &[&str]) {
    refuses_with(data, &[], &[], 4, words);
}

#[track_caller]
fn refuses_with(
    data: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    code: i32,
    words: &[&str],
) {
    let before = contents(data);
    match Server::try_start_dev(data, arguments, environment) {
        Ok(_) => panic!("the server serves"),
        Err(NotReady::Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(code), "{stderr}");
            for word in words {
                assert!(stderr.contains(word), "`{word}` is not in: {stderr}");
            }
            assert_eq!(stderr.lines().count(), 1, "one line, no backtrace: {stderr}");
        }
        Err(NotReady::Late(written)) => panic!("neither serves nor refuses: {written}"),
    }
    let after = contents(data);
    assert_eq!(before.len(), after.len(), "files came or went");
    for ((path, old), (_, new)) in before.iter().zip(&after) {
        assert!(old == new, "{} was changed", path.display());
    }
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let folder = Folder::new();
    let data = folder.join("data");
    let server = Server::start_dev(&data, &[], &[]);
    let key = create(&server.native(), "aes256-gcm");
    match Server::try_start_dev(&data, &[], &[]) {
        Err(NotReady::Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(4), "{stderr}");
            assert!(stderr.contains("another server"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
    encrypt(&server.native(), &key);
}

#[test]
fn a_missing_slot_store_or_key_file_is_refused() {
    for (file, words) in [
        ("slot/root.slot", ["root.slot", "missing"]),
        ("slot/root.key", ["root.key", "missing"]),
        ("store/store.sqlite", ["slot", "store"]),
    ] {
        let folder = Folder::new();
        let (data, key, text) = stopped(&folder);
        let (away, place) = (folder.join("away"), data.join(file));
        fs::rename(&place, &away).expect("moved");
        refuses(&data, &words);
        fs::rename(&away, &place).expect("moved back");
        let server = Server::start_dev(&data, &[], &[]);
        assert!(opens(&server.native(), &key, &text), "{file}");
    }
}

#[test]
fn a_damaged_slot_key_file_or_store_is_refused() {
    for (file, offset) in [("slot/root.slot", 100), ("slot/root.key", 3), ("store/store.sqlite", 0)]
    {
        let folder = Folder::new();
        let (data, ..) = stopped(&folder);
        let place = data.join(file);
        let mut bytes = fs::read(&place).expect("readable");
        // Both sectors of the slot, so that no good one is left.
        let at: Vec<usize> =
            if file.ends_with("slot") { vec![offset, 4096 + offset] } else { vec![offset] };
        for at in at {
            bytes[at] ^= 0x40;
        }
        fs::write(&place, &bytes).expect("written");
        refuses(&data, &[]);
    }
}

#[test]
fn a_truncated_store_or_slot_is_refused() {
    for file in ["slot/root.slot", "store/store.sqlite"] {
        let folder = Folder::new();
        let (data, ..) = stopped(&folder);
        let bytes = fs::read(data.join(file)).expect("readable");
        fs::write(data.join(file), &bytes[..bytes.len() / 2]).expect("written");
        refuses(&data, &[]);
    }
}

#[test]
fn an_older_slot_or_an_older_store_is_refused() {
    let folder = Folder::new();
    let (data, key, text) = stopped(&folder);
    let old_slot = fs::read(data.join("slot/root.slot")).expect("readable");
    let old_store = fs::read(data.join("store/store.sqlite")).expect("readable");
    let mut server = Server::start_dev(&data, &[], &[]);
    let second = create(&server.native(), "aes256-gcm");
    server.native().delete(&format!("/v1/keys/{second}")).expect(200);
    assert!(server.terminate().success());
    let new_slot = fs::read(data.join("slot/root.slot")).expect("readable");
    let new_store = fs::read(data.join("store/store.sqlite")).expect("readable");
    fs::write(data.join("slot/root.slot"), &old_slot).expect("written");
    refuses(&data, &["older"]);
    fs::write(data.join("slot/root.slot"), &new_slot).expect("written");
    fs::write(data.join("store/store.sqlite"), &old_store).expect("written");
    refuses(&data, &["older"]);
    fs::write(data.join("store/store.sqlite"), &new_store).expect("written");
    let server = Server::start_dev(&data, &[], &[]);
    assert!(opens(&server.native(), &key, &text));
}

#[test]
fn an_older_store_is_refused_even_if_nothing_was_destroyed_since() {
    let folder = Folder::new();
    let (data, ..) = stopped(&folder);
    let old_store = fs::read(data.join("store/store.sqlite")).expect("readable");
    let mut server = Server::start_dev(&data, &[], &[]);
    let second = create(&server.native(), "aes256-gcm");
    let text = encrypt(&server.native(), &second);
    assert!(server.terminate().success());
    let new_store = fs::read(data.join("store/store.sqlite")).expect("readable");
    fs::write(data.join("store/store.sqlite"), &old_store).expect("written");
    refuses(&data, &["older", "signed"]);
    fs::write(data.join("store/store.sqlite"), &new_store).expect("written");
    let server = Server::start_dev(&data, &[], &[]);
    assert!(opens(&server.native(), &second, &text));
}

#[test]
fn a_passphrase_seal_opens_with_its_passphrase_alone() {
    let folder = Folder::new();
    let data = folder.join("data");
    let seal = ["--set", "seal.kind=passphrase", "--set", "seal.from=environment"];
    let right = [("LETHE_PASSPHRASE", "correct horse battery")];
    let mut server = Server::start_dev(&data, &seal, &right);
    let key = create(&server.native(), "aes256-gcm");
    let text = encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    refuses_with(&data, &seal, &[("LETHE_PASSPHRASE", "wrong horse battery")], 4, &["passphrase"]);
    refuses_with(&data, &seal, &[], 4, &["LETHE_PASSPHRASE"]);
    refuses_with(&data, &[], &[], 4, &[]);
    let server = Server::start_dev(&data, &seal, &right);
    assert!(opens(&server.native(), &key, &text));
    let plain = b"correct horse";
    for (path, bytes) in contents(&data) {
        let found = bytes.windows(plain.len()).any(|window| window == plain);
        assert!(!found, "the passphrase is in {}", path.display());
    }
}

#[test]
fn a_data_path_that_cannot_hold_data_is_refused() {
    let folder = Folder::new();
    let file = folder.join("file");
    fs::write(&file, b"in the way").expect("written");
    match Server::try_start_dev(&file.join("data"), &[], &[]) {
        Err(NotReady::Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(4), "{stderr}");
            assert!(stderr.contains("file"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&file).expect("still there"), b"in the way");
}

#[test]
fn unknown_settings_are_refused_before_anything_is_made() {
    for (setting, words) in [
        ("nonsense=1", "nonsense"),
        ("store.engine=etcd", "etcd"),
        ("door.native.nonsense=1", "nonsense"),
        ("seal.kind=tpm", "tpm"),
    ] {
        let folder = Folder::new();
        let data = folder.join("data");
        match Server::try_start_dev(&data, &["--set", setting], &[]) {
            Err(NotReady::Ended { status, stderr }) => {
                assert_eq!(status.code(), Some(3), "{stderr}");
                assert!(stderr.contains(words), "{stderr}");
            }
            other => panic!("{other:?}"),
        }
    }
}
