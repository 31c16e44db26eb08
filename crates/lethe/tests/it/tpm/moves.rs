//! The slot moves into a TPM and out again: what was destroyed before and after stays so, the old
//! place is worth nothing, and a move that is cut short ends with the next call.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{INDEX, Key, Tpm, set, start, words};
use crate::process::{Folder, Server};
use crate::tokens::{MOVE_POINTS, does_not_serve, migrate_slot, moved};

const NONE: [u64; 0] = [];

/// A stopped installation, whose slot is a file beside its data.
struct Site {
    folder: Folder,
    data: PathBuf,
    tpm: Tpm,
}

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        let (data, tpm) = (folder.join("data"), Tpm::new(&folder));
        Self { folder, data, tpm }
    }

    fn stopped(&self) -> Key {
        let mut server = start(&self.data, &[]);
        let key = Key::new(&server);
        assert!(server.terminate().success());
        key
    }

    /// Settings of a slot in the TPM that need not rest.
    fn in_tpm(&self, more: &[&str]) -> Vec<String> {
        self.tpm.slot(&[&["rest=0s"], more].concat())
    }

    #[track_caller]
    fn moves(&self, from: &[String], to: &[String]) {
        moved(&migrate_slot(&self.data, &words(&set(from)), &words(to), &[]));
    }

    #[track_caller]
    fn refuses(&self, slot: &[String], why: &str) {
        does_not_serve(&self.data, &words(&set(slot)), &[], why);
    }

    /// A refused move: nothing of it is left, neither a note nor a key.
    #[track_caller]
    fn does_not_move(&self, from: &[String], to: &[String], code: i32, why: &str) {
        let before = beside(&self.data);
        let output = migrate_slot(&self.data, &words(&set(from)), &words(to), &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{to:?}: {said}");
        assert!(said.contains(why), "{to:?}: `{why}` is not in: {said}");
        assert_eq!(beside(&self.data), before, "{to:?}");
    }
}

/// What lies in the folder of the slot.
fn beside(data: &Path) -> Vec<String> {
    let entries = fs::read_dir(data.join("slot")).expect("the slot's folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> =
        entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn owned(settings: &[&str]) -> Vec<String> {
    settings.iter().map(|setting| (*setting).to_owned()).collect()
}

#[test]
fn a_slot_moves_into_a_tpm_and_out_to_another_place() {
    let site = Site::new();
    let mut server = start(&site.data, &[]);
    let [lives, before, between, after] = [(); 4].map(|()| Key::new(&server));
    before.destroy(&server);
    // A server that runs keeps its slot.
    let in_tpm = site.in_tpm(&[]);
    let running = migrate_slot(&site.data, &[], &words(&in_tpm), &[]);
    assert_eq!(running.status.code(), Some(4), "{running:?}");
    assert!(server.terminate().success());
    let slot_file = site.data.join("slot/root.slot");
    let of_file = fs::read(&slot_file).expect("readable");
    site.moves(&[], &in_tpm);
    assert_eq!(site.tpm.generations().len(), 1);
    site.refuses(&[], "of a slot of kind");

    let mut server = start(&site.data, &in_tpm);
    assert!(lives.is_live(&server));
    before.is_gone(&server);
    let statement = between.destroy(&server);
    assert_eq!(statement["erased_slot"]["class"], "hardware", "{statement}");
    assert_eq!(statement.get("lost_replicas"), None, "{statement}");
    assert!(server.terminate().success());
    let of_tpm = fs::read(&slot_file).expect("readable");
    // What the old place held opens nothing any more, with either configuration.
    fs::write(&slot_file, &of_file).expect("written");
    site.refuses(&[], "older than");
    site.refuses(&in_tpm, "slot");
    fs::write(&slot_file, &of_tpm).expect("written");

    let there = site.folder.join("there/root.slot");
    let to_there = owned(&["kind=file", &format!("path={:?}", there.display())]);
    site.moves(&in_tpm, &to_there);
    assert_eq!(site.tpm.generations(), NONE, "no key is left in the TPM");
    assert!(!slot_file.exists(), "the old file is gone");
    site.refuses(&in_tpm, "the slot was moved away");
    fs::write(&slot_file, &of_tpm).expect("written");
    site.refuses(&in_tpm, "the slot was moved away");
    fs::remove_file(&slot_file).expect("removed");
    let mut server = start(&site.data, &to_there);
    assert!(lives.is_live(&server));
    before.is_gone(&server);
    between.is_gone(&server);
    let statement = after.destroy(&server);
    assert_eq!(statement["erased_slot"]["class"], "overwrite", "{statement}");
    assert_eq!(statement.get("lost_replicas"), None, "{statement}");
    assert!(server.terminate().success());
    // In again, at another index, and from there to the first.
    let other = site.in_tpm(&["index=25182240", to_there[1].as_str()]);
    site.moves(&to_there, &other);
    let first = site.in_tpm(&[to_there[1].as_str()]);
    site.moves(&other, &first);
    assert_eq!(site.tpm.generations_at(25_182_240), NONE);
    site.refuses(&other, "no key");
    let server = start(&site.data, &first);
    assert!(lives.is_live(&server));
    for key in [&before, &between, &after] {
        key.is_gone(&server);
    }
}

#[test]
fn a_move_that_is_cut_short_before_the_old_place_is_erased_is_ended_by_the_next() {
    check_cuts(0..2);
}

#[test]
fn a_move_that_is_cut_short_after_that_is_ended_by_the_next() {
    check_cuts(2..MOVE_POINTS.len());
}

/// Cuts at some of the points, in and out.
fn check_cuts(numbers: Range<usize>) {
    let site = Site::new();
    let [here, there] = ["here", "there"]
        .map(|name| format!("path={:?}", site.folder.join(name).join("root.slot").display()));
    let (in_file, in_tpm) = (owned(&["kind=file", &here]), site.in_tpm(&[&there]));
    let mut server = start(&site.data, &in_file);
    let [lives, gone] = [Key::new(&server), Key::new(&server)];
    gone.destroy(&server);
    assert!(server.terminate().success());
    drop(server);
    // A change of the root between two calls.
    let serves = |slot: &[String]| {
        let mut server = start(&site.data, slot);
        let dies = Key::new(&server);
        dies.destroy(&server);
        assert!(lives.is_live(&server));
        gone.is_gone(&server);
        assert!(server.terminate().success());
        dies
    };
    let mut all_gone = Vec::new();
    for (number, point) in numbers.clone().zip(&MOVE_POINTS[numbers]) {
        let cut = |from: &[String], to: &[String]| {
            let armed = [("LETHE_CRASH_AT", *point)];
            let output = migrate_slot(&site.data, &words(&set(from)), &words(to), &armed);
            assert_eq!(output.status.code(), None, "{point} is not passed: {output:?}");
        };
        cut(&in_file, &in_tpm);
        // Before anything of the old place is gone, the old configuration serves as well.
        if number < 2 {
            all_gone.push(serves(&in_file));
        }
        let elsewhere =
            migrate_slot(&site.data, &words(&set(&in_file)), &["path='/nowhere/x'"], &[]);
        assert!(!elsewhere.status.success(), "{point}: another move while one is under way");
        site.moves(&in_file, &in_tpm);
        assert_eq!(site.tpm.generations().len(), 1, "{point}");
        cut(&in_tpm, &in_file);
        if number < 2 {
            all_gone.push(serves(&in_tpm));
        }
        site.moves(&in_tpm, &in_file);
        all_gone.push(serves(&in_file));
        assert_eq!(site.tpm.generations(), NONE, "{point}");
        assert!(!site.folder.join("there/root.slot").exists(), "{point}");
    }
    let server = start(&site.data, &in_file);
    assert!(lives.is_live(&server));
    all_gone.iter().chain([&gone]).for_each(|key| key.is_gone(&server));
}

#[test]
fn a_move_that_loses_its_tpm_on_the_way_goes_on_when_it_is_back() {
    let mut site = Site::new();
    let key = site.stopped();
    let in_tpm = site.in_tpm(&[]);
    for point in ["slot.move_begun", "slot.move_written"] {
        let armed = [("LETHE_CRASH_AT", point)];
        let output = migrate_slot(&site.data, &[], &words(&in_tpm), &armed);
        assert_eq!(output.status.code(), None, "{point}: {output:?}");
        site.tpm.stop();
        let away = migrate_slot(&site.data, &[], &words(&in_tpm), &[]);
        assert_eq!(away.status.code(), Some(4), "{point}: {away:?}");
        // The old place serves without it.
        let mut server = start(&site.data, &[]);
        assert!(key.is_live(&server), "{point}");
        assert!(server.terminate().success());
        site.tpm.start_again();
        site.moves(&[], &in_tpm);
        assert!(key.is_live(&start(&site.data, &in_tpm)), "{point}");
        // Out of a TPM that is away nothing moves, and nothing is lost.
        site.tpm.stop();
        let file = owned(&["kind=file"]);
        site.does_not_move(&in_tpm, &file, 4, "TPM");
        site.tpm.start_again();
        site.moves(&in_tpm, &file);
        assert!(key.is_live(&start(&site.data, &[])), "{point}");
    }
}

#[test]
fn a_tpm_that_cannot_take_the_slot_is_refused_before_anything_changes() {
    let mut site = Site::new();
    let key = site.stopped();
    let before = fs::read(site.data.join("slot/root.slot")).expect("readable");
    let refused = |site: &Site, more: &[&str], code: i32, why: &str| {
        site.does_not_move(&[], &site.in_tpm(more), code, why);
        assert!(fs::read(site.data.join("slot/root.slot")).expect("readable") == before, "{why}");
    };
    // Places that are none.
    refused(&site, &["index=25165823"], 3, "an even NV index");
    refused(&site, &["index=29360127"], 3, "an even NV index");
    refused(&site, &["index=-2"], 3, "an even NV index");
    refused(&site, &["tcti="], 3, "tcti");
    let nowhere = |tcti: &str| owned(&["kind=tpm", &format!("tcti={tcti}")]);
    site.does_not_move(&[], &nowhere("nonsense"), 4, "way to a TPM");
    site.does_not_move(&[], &nowhere("swtpm:host=127.0.0.1,port=1"), 4, "no TPM");
    site.does_not_move(&[], &nowhere("device:/nowhere/tpm"), 4, "no TPM");
    // An index that is somebody else's: of another size, and of other bytes.
    let (first, second) = (format!("{INDEX:#x}"), format!("{:#x}", INDEX + 1));
    for name in [&first, &second] {
        let attributes = "ownerread|ownerwrite";
        site.tpm.tool(&["nvdefine", name, "-C", "o", "-s", "32", "-a", attributes]);
        refused(&site, &[], 4, "is not a slot's");
        site.tpm.tool(&["nvundefine", name, "-C", "o"]);
        site.tpm.tool(&["nvdefine", name, "-C", "o", "-s", "64", "-a", attributes]);
        let noise = site.folder.join("noise");
        fs::write(&noise, [0x55; 64]).expect("written");
        site.tpm.tool(&["nvwrite", name, "-C", "o", "-i", noise.to_str().expect("UTF-8")]);
        refused(&site, &[], 4, "is not a slot's");
        site.tpm.tool(&["nvundefine", name, "-C", "o"]);
    }
    // The slot of another installation; also if only one of its two indices would be ours.
    let other = Site::new();
    let in_tpm = site.in_tpm(&[]);
    let mut server = start(&other.data, &in_tpm);
    let others = Key::new(&server);
    assert!(server.terminate().success());
    refused(&site, &[], 4, "a root of another slot");
    for index in [INDEX - 1, INDEX + 1] {
        refused(&site, &[&format!("index={index}")], 3, "an even NV index");
    }
    let mut server = start(&other.data, &in_tpm);
    assert!(others.is_live(&server));
    others.destroy(&server);
    assert!(server.terminate().success());
    refused(&site, &[], 4, "a root of another slot");
    // A TPM whose owner has an authorisation, which Lethe does not have.
    site.tpm.tool(&["changeauth", "-c", "owner", "secret"]);
    refused(&site, &["index=25182240"], 4, "owner");
    site.tpm.tool(&["changeauth", "-c", "owner", "-p", "secret"]);
    site.tpm.stop();
    refused(&site, &[], 4, "no TPM");
    assert!(key.is_live(&start(&site.data, &[])));
}

#[test]
fn a_slot_whose_tpm_was_cleared_or_is_another_one_neither_serves_nor_moves() {
    let site = Site::new();
    let in_tpm = site.in_tpm(&[]);
    let mut server = start(&site.data, &in_tpm);
    let key = Key::new(&server);
    assert!(server.terminate().success());
    // Another TPM, and another index of this one.
    let other = Site::new();
    let file = owned(&["kind=file"]);
    for wrong in [other.in_tpm(&[]), site.in_tpm(&["index=25182240"])] {
        site.refuses(&wrong, "no key");
        site.does_not_move(&wrong, &file, 4, "no key");
    }
    assert!(key.is_live(&start(&site.data, &in_tpm)), "the right one is as it was");
    site.tpm.tool(&["clear", "-c", "p"]);
    site.refuses(&in_tpm, "no key");
    site.does_not_move(&in_tpm, &file, 4, "no key");
    let twice = Server::try_start_dev(&site.data, &words(&set(&in_tpm)), &[]);
    assert!(twice.is_err(), "nothing was made anew");
}
