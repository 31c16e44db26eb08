//! Backups of a real server, and a machine that is lost: only backup, slot and what lies beside the
//! slot are left.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::keys::{create, decrypt, encrypt, opens, problem, try_destroy};
use crate::process::{Folder, Server, run_cli, run_cli_with};

/// An installation whose slot and seal lie apart from its data.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    pub(crate) data: PathBuf,
    pub(crate) backups: PathBuf,
    set: [String; 2],
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        let (data, backups) = (folder.join("data"), folder.join("backups"));
        let set = [("slot.path", "root.slot"), ("seal.path", "root.key")]
            .map(|(name, file)| format!("{name}={:?}", folder.join("safe").join(file)));
        Self { folder, data, backups, set }
    }

    pub(crate) fn start(&self) -> Server {
        Server::start_dev(&self.data, &["--set", &self.set[0], "--set", &self.set[1]], &[])
    }

    pub(crate) fn start_in(&self, environment: &[(&str, &str)]) -> Server {
        let words = ["--set", &self.set[0], "--set", &self.set[1]];
        Server::start_dev(&self.data, &words, environment)
    }

    /// `lethe backup WORDS` with JSON; what it answers.
    #[track_caller]
    pub(crate) fn backup(&self, words: &[&str]) -> Value {
        said(&self.words("backup", words), &[])
    }

    pub(crate) fn words(&self, command: &str, words: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = ["--json", command].map(str::to_owned).to_vec();
        all.extend(words.iter().map(|word| (*word).to_owned()));
        all.extend(["--data".to_owned(), text(&self.data)]);
        for set in &self.set {
            all.extend(["--set".to_owned(), set.clone()]);
        }
        all
    }

    #[track_caller]
    pub(crate) fn take(&self, words: &[&str]) -> Value {
        let backups = text(&self.backups);
        let mut all = vec![backups.as_str()];
        all.extend(words);
        self.backup(&all)
    }

    /// The data is gone: the store, the audit trail, everything but slot and backup.
    pub(crate) fn lose(&self) {
        fs::remove_dir_all(&self.data).expect("the data was there");
    }

    #[track_caller]
    pub(crate) fn restore(&self) -> Value {
        said(&self.words("restore", &[&text(&self.backups)]), &[])
    }

    /// What a restore says that is refused.
    #[track_caller]
    pub(crate) fn refused(&self) -> String {
        let words = self.words("restore", &[&text(&self.backups)]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run_cli(&words);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(!self.data.join("store").exists(), "a refused restore leaves no store");
        String::from_utf8(output.stderr).expect("UTF-8")
    }

    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let listing = fs::read_dir(&self.backups).expect("the backup is there");
        let mut paths: Vec<PathBuf> =
            listing.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[track_caller]
pub(crate) fn said(words: &[String], environment: &[(&str, &str)]) -> Value {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = run_cli_with(&words, environment, b"");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {complaint}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
pub(crate) fn destroy(server: &Server, key: &str) -> Value {
    try_destroy(&server.native(), key).expect("an answer").expect(200).json()
}

#[track_caller]
pub(crate) fn gone(server: &Server, key: &str, ciphertext: &str) {
    let client = server.native();
    let refused = decrypt(&client, key, ciphertext).expect(410);
    assert_eq!(problem(&refused), "object-destroyed");
    let receipt = client.get(&format!("/v1/keys/{key}/receipt")).expect(200);
    let file = server.data().join("receipt-under-test");
    fs::write(&file, &receipt.body).expect("the receipt can be written");
    let data = text(server.data());
    let output = run_cli(&["receipt", "verify", &text(&file), "--data", &data]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_machine_that_is_lost_comes_back_from_backup_and_slot() {
    let site = Site::new();
    let mut server = site.start();
    let client = server.native();
    let [live, dies, dies_later] = [(); 3].map(|()| create(&client, "aes256-gcm"));
    let texts = [&live, &dies, &dies_later].map(|key| encrypt(&client, key));
    let taken = site.take(&["--window", "2d"]);
    assert_eq!(
        (taken["from_running_server"].as_bool(), taken["base"].as_str()),
        (Some(true), None)
    );
    destroy(&server, &dies);
    let more = site.take(&["--window", "2d"]);
    assert_eq!(more["base"], taken["backup"]);
    let late = create(&client, "ed25519");
    let receipt = destroy(&server, &dies_later);
    let until = &receipt["statement"]["recoverable_from_backups_until"];
    assert_eq!(until, &more["restorable_until"], "{receipt}");
    let listed = site.backup(&["list"]);
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(2));
    let vkey = fs::read_to_string(site.data.join("log.vkey")).expect("the log's key");
    let verified = said(
        &["--json", "backup", "verify", &text(&site.backups), "--vkey", vkey.trim()]
            .map(str::to_owned),
        &[],
    );
    assert_eq!(verified["segments"].as_array().map(Vec::len), Some(2));

    server.kill();
    drop(server);
    site.lose();
    let restored = site.restore();
    assert_eq!(restored["destroyed_again"], 1, "{restored}");
    assert_eq!(restored["log_vkey"].as_str(), Some(vkey.trim()));
    let server = site.start();
    let client = server.native();
    assert!(opens(&client, &live, &texts[0]), "a live key was lost");
    gone(&server, &dies, &texts[1]);
    gone(&server, &dies_later, &texts[2]);
    client.get(&format!("/v1/keys/{late}")).expect(404);
    // A receipt that was handed out before the loss still holds, in the log that goes on.
    let file = site.folder.join("receipt-of-before");
    fs::write(&file, receipt.to_string()).expect("the receipt can be written");
    let output = run_cli(&["receipt", "verify", &text(&file), "--data", &text(&site.data)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It is an installation like any other, and can be backed up and lost again.
    site.take(&["--full", "--window", "1d"]);
    destroy(&server, &live);
    drop(server);
    site.lose();
    assert_eq!(site.restore()["destroyed_again"], 1);
    gone(&site.start(), &live, &texts[0]);
}

#[test]
fn nobody_serving_the_backup_is_taken_from_the_data() {
    let site = Site::new();
    let mut server = site.start();
    let client = server.native();
    let [live, dies] = [(); 2].map(|()| create(&client, "aes256-gcm"));
    let ciphertext = encrypt(&client, &live);
    assert!(server.terminate().success());
    let taken = site.take(&["--window", "0"]);
    assert_eq!(taken["from_running_server"], false);
    assert_eq!(taken["restorable_until"], Value::Null);
    let server = site.start();
    let client = server.native();
    assert!(opens(&client, &live, &ciphertext));
    let receipt = destroy(&server, &dies);
    assert_eq!(receipt["statement"]["recoverable_from_backups_until"], Value::Null);
    drop(server);
    site.lose();
    let refusal = site.refused();
    assert!(refusal.contains("Nobody can restore it any more"), "{refusal}");
}

#[test]
fn an_api_key_that_was_deleted_stays_refused_over_a_restore() {
    let site = Site::new();
    let server = site.start();
    let make = |server: &Server, name: &str| {
        let data = text(server.data());
        let words =
            ["--json", "apikey", "--dev", &data, "create", name, "--permission", "keys.read"];
        let made = said(&words.map(str::to_owned), &[]);
        let id = made["key"]["id"].as_str().expect("an id").to_owned();
        (id, made["secret"].as_str().expect("a secret").to_owned())
    };
    let status = |server: &Server, secret: &str| {
        server.native().without_token().with_token(secret).get("/v1/keys").status
    };
    let [(_, live), (dead_id, dead)] = ["live", "dead"].map(|name| make(&server, name));
    assert_eq!((status(&server, &live), status(&server, &dead)), (200, 200));
    site.take(&[]);
    let data = text(server.data());
    assert!(run_cli(&["apikey", "--dev", &data, "delete", &dead_id]).status.success());
    assert_eq!((status(&server, &live), status(&server, &dead)), (200, 401));
    drop(server);
    site.lose();
    site.restore();
    let server = site.start();
    assert_eq!((status(&server, &live), status(&server, &dead)), (200, 401));
}

#[test]
fn what_is_no_whole_backup_or_has_no_slot_restores_nothing() {
    let site = Site::new();
    let server = site.start();
    let client = server.native();
    let [live, dies] = [(); 2].map(|()| create(&client, "aes256-gcm"));
    let ciphertext = encrypt(&client, &live);
    site.take(&[]);
    destroy(&server, &dies);
    // Nothing is written over data that is there.
    let words = site.words("restore", &[&text(&site.backups)]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = run_cli(&words);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && complaint.contains("is there already"), "{complaint}");
    assert!(opens(&client, &live, &ciphertext));
    drop(server);
    site.lose();

    let segments = site.segments();
    let [segment] = segments.as_slice() else { panic!("one segment: {segments:?}") };
    let whole = fs::read(segment).expect("the segment");
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for (bytes, why) in
        [(&whole[..whole.len() - 9], "cut short"), (&altered[..], "not those that were signed")]
    {
        fs::write(segment, bytes).expect("written");
        let refusal = site.refused();
        assert!(refusal.contains(why), "{refusal}");
    }
    fs::write(segment, &whole).expect("written");
    let journal = site.folder.join("safe/journal");
    let aside = site.folder.join("journal-aside");
    fs::rename(&journal, &aside).expect("the journal lies beside the slot");
    let refusal = site.refused();
    assert!(refusal.contains("tombstone journal lacks"), "{refusal}");
    fs::rename(&aside, &journal).expect("put back");
    let slot = site.folder.join("safe/root.slot");
    let aside = site.folder.join("slot-aside");
    fs::rename(&slot, &aside).expect("the slot");
    site.refused();
    fs::rename(&aside, &slot).expect("put back");
    assert_eq!(site.restore()["destroyed_again"], 1);
    assert!(opens(&site.start().native(), &live, &ciphertext));
}

#[test]
fn a_forgotten_backup_and_one_whose_window_ended_restore_nothing() {
    let site = Site::new();
    let server = site.start();
    let client = server.native();
    let dies = create(&client, "aes256-gcm");
    let taken = site.take(&["--window", "1d"]);
    let name = taken["backup"].as_str().expect("its name").to_owned();
    site.backup(&["forget", &name]);
    let words = site.words("backup", &["forget", &name]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(run_cli(&words).status.code(), Some(1), "there is nothing to forget any more");
    destroy(&server, &dies);
    site.take(&["--full", "--window", "1d"]);
    let next = create(&client, "aes256-gcm");
    destroy(&server, &next);
    drop(server);
    // Three days later the root is erased before anybody is served.
    let words = ["--set", &site.set[0], "--set", &site.set[1], "--clock-offset", "72h"];
    let server = Server::start_dev(&site.data, &words, &[]);
    let listed = site.backup(&["list"]);
    assert_eq!(listed["backups"].as_array().map(Vec::len), Some(0));
    drop(server);
    site.lose();
    let refusal = site.refused();
    assert!(refusal.contains("Nobody can restore it any more"), "{refusal}");
}

/// The points of a running server at which a backup is cut short here.
pub(crate) const BACKUP_POINTS: [&str; 4] =
    ["backup.journal_begun", "slot.image_put", "slot.image_replaced", "backup.root_kept"];

/// The points of a restore after which there is no installation yet.
pub(crate) const RESTORE_POINTS: [&str; 5] = [
    "restore.destroyed_again",
    "restore.journaled",
    "restore.root_written",
    "restore.old_root_erased",
    "restore.settled",
];

#[test]
fn a_kill_at_every_point_of_a_backup_or_restore_loses_nothing() {
    let points = BACKUP_POINTS;
    let site = Site::new();
    let mut server = site.start();
    let client = server.native();
    let live = create(&client, "aes256-gcm");
    let ciphertext = encrypt(&client, &live);
    for point in points {
        drop(server);
        server = site.start_in(&[("LETHE_CRASH_AT", point)]);
        let backups = text(&site.backups);
        let words = site.words("backup", &[&backups]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(!run_cli(&words).status.success(), "{point}");
        server.wait_for_exit();
        drop(server);
        server = site.start();
        assert!(opens(&server.native(), &live, &ciphertext), "{point}");
        assert!(site.segments().is_empty(), "{point}: half a backup was left");
    }
    let dies = create(&server.native(), "aes256-gcm");
    let dies_text = encrypt(&server.native(), &dies);
    site.take(&[]);
    destroy(&server, &dies);
    drop(server);
    site.lose();
    for point in RESTORE_POINTS {
        let words = site.words("restore", &[&text(&site.backups)]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = run_cli_with(&words, &[("LETHE_CRASH_AT", point)], b"");
        assert_eq!(output.status.code(), None, "{point}: killed");
        // What is left is no installation, and says so.
        let refused =
            Server::try_start_dev(&site.data, &["--set", &site.set[0], "--set", &site.set[1]], &[]);
        let refused = format!("{refused:?}");
        assert!(refused.contains("cut short"), "{point}: {refused}");
        site.lose();
    }
    assert_eq!(site.restore()["destroyed_again"], 1);
    let server = site.start();
    assert!(opens(&server.native(), &live, &ciphertext));
    gone(&server, &dies, &dies_text);
}
