//! `kill -9` at the points that only a backup, a restore or a migration passes, beside those of
//! `crash`, `backups` and `seals`; and whether together they are all that there are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::backups::{BACKUP_POINTS, RESTORE_POINTS};
use crate::keys::{create, decrypt, encrypt, opens, try_destroy};
use crate::process::{Folder, Server, run_cli_with};
use crate::seals::MIGRATION_POINTS;
use crate::tokens::MOVE_POINTS;

/// Points that a destruction passes only while a backup can be restored.
const JOURNALED_POINTS: [&str; 2] = ["commit.journaled", "slot.root_ahead"];

/// Points of the file of a backup.
const SEGMENT_POINTS: [&str; 2] = ["backup.segment_synced", "backup.segment_named"];

/// Points at which a backup is forgotten.
const FORGET_POINTS: [&str; 2] = ["slot.image_put", "slot.image_replaced"];

/// The point of a restore after which there is an installation.
const RESTORED_POINT: &str = "restore.ready";

/// The point of a migration after which nothing is left to do.
const MIGRATED_POINT: &str = "seal.old_key_destroyed";

/// An installation and its backups.
struct Place {
    folder: Folder,
    data: PathBuf,
    backups: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::new();
        let (data, backups) = (folder.join("data"), folder.join("backups"));
        Self { data, backups, folder }
    }

    fn start(&self, point: Option<&str>) -> Server {
        let environment: Vec<(&str, &str)> =
            point.iter().map(|point| ("LETHE_CRASH_AT", *point)).collect();
        Server::start_dev(&self.data, &[], &environment)
    }

    fn run(&self, words: &[&str], point: Option<&str>) -> Output {
        let environment: Vec<(&str, &str)> =
            point.iter().map(|point| ("LETHE_CRASH_AT", *point)).collect();
        let all = [&["--json"], words, &["--data", text(&self.data)]].concat();
        run_cli_with(&all, &environment, b"")
    }

    #[track_caller]
    fn killed(&self, words: &[&str], point: &str) {
        let output = self.run(words, Some(point));
        assert_eq!(output.status.code(), None, "{point} is not passed: {output:?}");
    }

    #[track_caller]
    fn done(&self, words: &[&str]) -> Value {
        let output = self.run(words, None);
        assert!(output.status.success(), "{words:?}: {output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn back_up(&self) -> Value {
        self.done(&["backup", text(&self.backups), "--window", "2d"])
    }

    /// Everything but the slot, and what lies beside it.
    fn lose(&self) {
        fs::remove_dir_all(self.data.join("store")).expect("the store was there");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Two keys and what they encrypted: the one that lives and the one that dies.
fn keys(server: &Server) -> [(String, String); 2] {
    let client = server.native();
    [(); 2].map(|()| {
        let key = create(&client, "aes256-gcm");
        let ciphertext = encrypt(&client, &key);
        (key, ciphertext)
    })
}

#[track_caller]
fn lives(server: &Server, (key, ciphertext): &(String, String), when: &str) {
    assert!(opens(&server.native(), key, ciphertext), "{when}: a live key was lost");
}

#[track_caller]
fn is_gone(server: &Server, (key, ciphertext): &(String, String)) -> bool {
    let client = server.native();
    if opens(&client, key, ciphertext) {
        return false;
    }
    decrypt(&client, key, ciphertext).expect(410);
    client.get(&format!("/v1/keys/{key}/receipt")).expect(200);
    true
}

#[test]
fn a_kill_while_the_journal_is_told_leaves_a_key_that_a_restore_knows_as_well() {
    for point in JOURNALED_POINTS {
        let place = Place::new();
        let server = place.start(None);
        let [live, dies] = keys(&server);
        place.back_up();
        drop(server);
        let mut server = place.start(Some(point));
        assert!(try_destroy(&server.native(), &dies.0).is_none(), "{point}: it was answered");
        server.wait_for_exit();
        drop(server);
        let server = place.start(None);
        lives(&server, &live, point);
        let was_gone = is_gone(&server, &dies);
        drop(server);
        place.lose();
        place.done(&["restore", text(&place.backups)]);
        let server = place.start(None);
        lives(&server, &live, point);
        assert_eq!(is_gone(&server, &dies), was_gone, "{point}: the restore knows better");
    }
}

#[test]
fn a_kill_while_a_backup_is_named_leaves_one_or_none() {
    for point in SEGMENT_POINTS {
        let place = Place::new();
        let server = place.start(None);
        let [live, dies] = keys(&server);
        place.killed(&["backup", text(&place.backups), "--window", "2d"], point);
        lives(&server, &live, point);
        // What a crash left is not in the way of the next one.
        place.back_up();
        place.done(&["backup", "verify", text(&place.backups)]);
        server.native().delete(&format!("/v1/keys/{}", dies.0)).expect(200);
        drop(server);
        place.lose();
        assert_eq!(place.done(&["restore", text(&place.backups)])["destroyed_again"], 1);
        let server = place.start(None);
        lives(&server, &live, point);
        assert!(is_gone(&server, &dies));
    }
}

#[test]
fn a_kill_while_a_backup_is_forgotten_leaves_a_slot_that_opens() {
    for point in FORGET_POINTS {
        let place = Place::new();
        let server = place.start(None);
        let [live, dies] = keys(&server);
        let taken = place.back_up();
        let name = taken["backup"].as_str().expect("its name").to_owned();
        drop(server);
        let mut server = place.start(Some(point));
        assert!(!place.run(&["backup", "forget", &name], None).status.success(), "{point}");
        server.wait_for_exit();
        drop(server);
        let server = place.start(None);
        lives(&server, &live, point);
        // Said again it is done or has been done; and then the destruction is final at once.
        let _done_or_nothing_to_do = place.run(&["backup", "forget", &name], None);
        let path = format!("/v1/keys/{}", dies.0);
        let receipt = server.native().delete(&path).expect(200).json();
        assert_eq!(receipt["statement"]["recoverable_from_backups_until"], Value::Null);
        drop(server);
        place.lose();
        let refused = place.run(&["restore", text(&place.backups)], None);
        assert_eq!(refused.status.code(), Some(4), "{point}: {refused:?}");
    }
}

#[test]
fn a_kill_just_after_a_restore_leaves_an_installation() {
    let place = Place::new();
    let server = place.start(None);
    let [live, dies] = keys(&server);
    place.back_up();
    server.native().delete(&format!("/v1/keys/{}", dies.0)).expect(200);
    drop(server);
    place.lose();
    place.killed(&["restore", text(&place.backups)], RESTORED_POINT);
    let server = place.start(None);
    lives(&server, &live, RESTORED_POINT);
    assert!(is_gone(&server, &dies));
}

#[test]
fn a_kill_after_the_old_key_of_a_seal_is_destroyed_leaves_the_new_seal() {
    let place = Place::new();
    let mut server = place.start(None);
    let [live, _] = keys(&server);
    assert!(server.terminate().success());
    drop(server);
    let new_key = place.folder.join("keys/new.key");
    let to = format!("path={}", text(&new_key));
    place.killed(&["seal", "migrate", "--destroy-old-key", "--to", &to], MIGRATED_POINT);
    assert!(!place.data.join("slot/root.key").exists());
    let set = format!("seal.path={}", text(&new_key));
    let server = Server::start_dev(&place.data, &["--set", &set], &[]);
    lives(&server, &live, MIGRATED_POINT);
}

#[test]
fn every_point_is_one_at_which_a_test_kills() {
    let migration: Vec<&str> = MIGRATION_POINTS.iter().map(|(point, ..)| *point).collect();
    let destroy: Vec<&str> = super::POINTS.iter().map(|(point, _)| *point).collect();
    let tables: [&[&str]; 10] = [
        &destroy,
        &JOURNALED_POINTS,
        &BACKUP_POINTS,
        &SEGMENT_POINTS,
        &FORGET_POINTS,
        &RESTORE_POINTS,
        &[RESTORED_POINT],
        &migration,
        &[MIGRATED_POINT],
        &MOVE_POINTS,
    ];
    let tested: BTreeSet<&str> = tables.into_iter().flatten().copied().collect();
    let place = Place::new();
    let refused = place.run(&["backup", text(&place.backups)], Some("no.such.point"));
    let said = String::from_utf8(refused.stderr).expect("UTF-8");
    let known = said.split("there are ").nth(1).expect("the program lists its points");
    let known: BTreeSet<&str> = known.split_whitespace().collect();
    assert_eq!(tested, known);
}
