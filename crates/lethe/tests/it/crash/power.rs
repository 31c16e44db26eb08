//! The power is cut: whatever the server or a command had not synced is gone, or a part of it. A
//! run is recorded once, call by call, and the disk is then made as a cut at any instant would
//! leave it, with any seed; on each a server is started, and judged by what was answered before.
//!
//! `LETHE_POWER_CUTS=500` makes more of them than the gate has time for, and another
//! `LETHE_POWER_SEED` others; with an even one the slot lies in two files.

mod disk;
mod record;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lethe_attack::roots_in_slot;
use lethe_erasure::seal::KeyFileSeal;
use lethe_types::Secret;
use serde_json::{Value, json};

use self::disk::{Chance, Disk, Left, Syncs};
use self::record::{Recorded, Step, read};
use crate::keys::{create, decrypt, encrypt, opens};
use crate::process::{Folder, NotReady, Server, run_cli_with};

/// Cuts in the gate: about a second each.
const CUTS: u64 = 24;

const PASSPHRASE: (&str, &str) = ("LETHE_PASSPHRASE", "correct horse battery");
const NEW_PASSPHRASE: (&str, &str) = ("LETHE_NEW_PASSPHRASE", PASSPHRASE.1);
const PASSPHRASE_SEAL: [&str; 4] =
    ["--set", "seal.kind=passphrase", "--set", "seal.from=environment"];

/// A position in the record: what was asked for, and when it was answered.
#[derive(Clone, Copy, Debug)]
struct Span {
    asked: u64,
    answered: u64,
}

/// A key of the run.
#[derive(Debug)]
struct Known {
    id: String,
    ciphertext: String,
    made: Span,
    destroyed: Option<Span>,
    /// The epoch that its destruction led to: an older root must not be in the slot.
    epoch_to: u64,
}

/// Where the slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slots {
    One,
    /// The same in two files.
    Two,
}

impl Slots {
    /// The files below the root, and the key file of their seal.
    fn files(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::One => (&["data/slot/root.slot"], "data/slot/root.key"),
            Self::Two => (&["a/root.slot", "b/root.slot"], "safe/root.key"),
        }
    }

    fn settings(self, root: &Path) -> Vec<String> {
        let root = root.display();
        match self {
            Self::One => Vec::new(),
            Self::Two => {
                let paths = format!("slot.paths=['{root}/a/root.slot','{root}/b/root.slot']");
                ["--set".to_owned(), paths].into()
            }
        }
    }

    /// With the key file as the seal.
    fn with_key_file(self, root: &Path) -> Vec<String> {
        let mut settings = self.settings(root);
        if self == Self::Two {
            let path = format!("seal.path='{}/safe/root.key'", root.display());
            settings.extend(["--set".to_owned(), path]);
        }
        settings
    }

    /// With the passphrase.
    fn with_passphrase(self, root: &Path) -> Vec<String> {
        let mut settings = self.settings(root);
        settings.extend(PASSPHRASE_SEAL.map(str::to_owned));
        settings
    }
}

/// A recorded run, and what was answered in it.
struct Run {
    folder: Folder,
    slots: Slots,
    /// The disk before it.
    disk: Disk,
    steps: Vec<Recorded>,
    keys: Vec<Known>,
    backup: Span,
    forgotten: Span,
    migrated: Span,
}

/// The root that is recorded, and where.
struct Tape<'a> {
    folder: &'a Folder,
    slots: Slots,
    recorder: String,
}

impl Tape<'_> {
    fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    fn record(&self) -> PathBuf {
        self.folder.join("record")
    }

    fn now(&self) -> u64 {
        fs::metadata(self.record()).map_or(0, |metadata| metadata.len())
    }

    /// Does something between two positions.
    fn span<T>(&self, work: impl FnOnce() -> T) -> (Span, T) {
        let asked = self.now();
        let done = work();
        (Span { asked, answered: self.now() }, done)
    }

    fn environment(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        let mut all = vec![
            ("LD_PRELOAD".to_owned(), self.recorder.clone()),
            ("LETHE_CUT_ROOT".to_owned(), text(self.root())),
            ("LETHE_CUT_RECORD".to_owned(), text(self.record())),
        ];
        all.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all
    }

    fn serve(&self, settings: &[String], more: &[(&str, &str)]) -> Server {
        let environment = self.environment(more);
        Server::start_dev(&self.data(), &words(settings), &borrowed(&environment))
    }

    #[track_caller]
    fn command(&self, words: &[&str], more: &[(&str, &str)]) -> Vec<u8> {
        let environment = self.environment(more);
        let data = self.data();
        let settings = self.slots.with_key_file(&self.root());
        let settings = self::words(&settings);
        let words = [words, &["--data", data.to_str().expect("UTF-8")], &settings].concat();
        let output = run_cli_with(&words, &borrowed(&environment), b"");
        assert!(output.status.success(), "{words:?}: {output:?}");
        output.stdout
    }

    fn create(&self, server: &Server, keys: &mut Vec<Known>) {
        let (made, id) = self.span(|| create(&server.native(), "aes256-gcm"));
        let ciphertext = encrypt(&server.native(), &id);
        keys.push(Known { id, ciphertext, made, destroyed: None, epoch_to: 0 });
    }

    fn destroy(&self, server: &Server, key: &mut Known) {
        let path = format!("/v1/keys/{}", key.id);
        let (destroyed, answer) = self.span(|| server.native().delete(&path).expect(200));
        key.destroyed = Some(destroyed);
        let epoch = &answer.json()["statement"]["epoch_to"];
        key.epoch_to = epoch.as_u64().expect("a receipt names the epoch");
    }
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn borrowed(environment: &[(String, String)]) -> Vec<(&str, &str)> {
    environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Compiles the recorder into the folder of the test.
fn recorder(folder: &Folder) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/crash/power/recorder.c");
    let library = folder.join("recorder.so");
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .output()
        .expect("cc is missing: run ./setup once");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    library.to_str().expect("UTF-8").to_owned()
}

/// Keys are made, used, rotated and destroyed; a backup is taken and forgotten; the seal migrates.
fn run(slots: Slots) -> Run {
    let folder = Folder::new();
    let tape = Tape { folder: &folder, slots, recorder: recorder(&folder) };
    fs::create_dir(tape.root()).expect("made");
    let with_key_file = slots.with_key_file(&tape.root());
    let mut server = Server::start_dev(&tape.data(), &words(&with_key_file), &[]);
    let mut keys = Vec::new();
    for _ in 0..2 {
        tape.create(&server, &mut keys);
    }
    assert!(server.terminate().success());
    drop(server);
    let disk = Disk::of(&tape.root());

    let server = tape.serve(&with_key_file, &[]);
    for _ in 0..3 {
        tape.create(&server, &mut keys);
    }
    tape.destroy(&server, &mut keys[0]);
    let rotate = format!("/v1/keys/{}/rotate", keys[1].id);
    server.native().post(&rotate, &json!({})).expect(200);
    tape.destroy(&server, &mut keys[2]);
    let backups = tape.root().join("backups");
    let backup = ["--json", "backup", backups.to_str().expect("UTF-8"), "--window", "2d"];
    let (backup, said) = tape.span(|| tape.command(&backup, &[]));
    let said: Value = serde_json::from_slice(&said).expect("JSON");
    let name = said["backup"].as_str().expect("its name");
    tape.destroy(&server, &mut keys[3]);
    tape.create(&server, &mut keys);
    let (forgotten, _) = tape.span(|| tape.command(&["backup", "forget", name], &[]));
    // No farewell: what it does at its end is not relied on.
    drop(server);
    let migrate = ["seal", "migrate", "--to", "kind=passphrase", "--to", "from=environment"];
    let (migrated, _) = tape.span(|| tape.command(&migrate, &[NEW_PASSPHRASE]));
    let with_passphrase = slots.with_passphrase(&tape.root());
    let mut server = tape.serve(&with_passphrase, &[PASSPHRASE]);
    tape.create(&server, &mut keys);
    tape.destroy(&server, &mut keys[4]);
    assert!(server.terminate().success());
    drop(server);
    let steps = read(&tape.record());
    Run { slots, disk, steps, keys, backup, forgotten, migrated, folder }
}

/// An instant, and what a cut leaves.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: u64,
    left: Left,
    seed: u64,
}

/// What was seen after the cuts.
#[derive(Debug, Default)]
struct Seen {
    cuts: u32,
    /// Keys that opened what they had to open.
    live: u32,
    /// Destructions that were answered before the cut, and held.
    gone: u32,
    /// Destructions that were under way: done afterwards, or not begun.
    finished: u32,
    not_begun: u32,
    /// Backups that were restored on what was left.
    restored: u32,
    /// Slots in which no root of before an answered destruction was left, byte by byte.
    clean_slots: u32,
}

impl Run {
    /// The instants of a run: two of three within something that was asked for and not answered
    /// yet, in turn, before or after one of its syncs or at any step; the others anywhere.
    fn cuts(&self, count: u64, seed: u64) -> Vec<Cut> {
        let mut chance = Chance::new(seed);
        let mut spans: Vec<Span> = self.keys.iter().filter_map(|key| key.destroyed).collect();
        spans.extend([self.backup, self.forgotten, self.migrated]);
        spans.extend(self.keys.iter().map(|key| key.made).filter(|span| span.asked > 0));
        let lefts = [Left::Some, Left::Nothing, Left::Some, Left::Some, Left::Everything];
        let mut turn = 0;
        (0..count)
            .map(|number| {
                let within = spans[turn % spans.len()];
                turn += usize::from(number % 3 < 2);
                let is_inside = |step: &&Recorded| {
                    number % 3 == 2 || (within.asked..=within.answered).contains(&step.end)
                };
                let wanted = |step: &&Recorded| {
                    is_inside(step) && (number % 3 != 0 || matches!(step.step, Step::Synced { .. }))
                };
                let steps: Vec<&Recorded> = self.steps.iter().filter(wanted).collect();
                let length = u64::try_from(steps.len()).expect("fits");
                let step = steps[usize::try_from(chance.below(length)).expect("fits")];
                let left = lefts[usize::try_from(number).expect("fits") % lefts.len()];
                let at = step.end - chance.below(2);
                Cut { at, left, seed: chance.below(u64::MAX) }
            })
            .collect()
    }

    /// The disk after a cut, as a folder.
    fn image(&self, cut: Cut, syncs: Syncs, name: &str) -> PathBuf {
        let mut disk = self.disk.clone().with(syncs);
        for recorded in self.steps.iter().take_while(|recorded| recorded.end <= cut.at) {
            disk.apply(&recorded.step);
        }
        let image = self.folder.join(name);
        let _before = fs::remove_dir_all(&image);
        disk.leave(cut.left, &mut Chance::new(cut.seed), &image);
        image
    }

    /// Starts a server on what a cut left, and looks at every key.
    fn judge(&self, cut: Cut, image: &Path, seen: &mut Seen) -> Result<(), String> {
        self.look_for_old_roots(cut, image, seen)?;
        let server = self.start(cut, image)?;
        let client = server.native();
        for key in &self.keys {
            let answer = decrypt(&client, &key.id, &key.ciphertext);
            let is_live = opens(&client, &key.id, &key.ciphertext);
            let is_gone = answer.status == 410
                && client.get(&format!("/v1/keys/{}/receipt", key.id)).status == 200;
            let (was_asked, was_answered) = match key.destroyed {
                Some(span) => (cut.at > span.asked, cut.at >= span.answered),
                None => (false, false),
            };
            let was_made = cut.at >= key.made.answered;
            let is_right = match (was_made, was_asked, was_answered) {
                (_, _, true) => is_gone,
                (_, true, false) => is_gone || is_live,
                (true, false, _) => is_live,
                // Nobody was told of it.
                (false, false, _) => is_live || answer.status == 404,
            };
            if !is_right {
                return Err(format!("{}: {key:?}: {answer:?}", self.words(cut)));
            }
            seen.live += u32::from(is_live);
            seen.gone += u32::from(was_answered);
            seen.finished += u32::from(was_asked && !was_answered && is_gone);
            seen.not_begun += u32::from(was_asked && !was_answered && is_live);
        }
        // And it goes on: a key can be made and destroyed.
        let another = create(&client, "aes256-gcm");
        client.delete(&format!("/v1/keys/{another}")).expect(200);
        seen.cuts += 1;
        Ok(())
    }

    /// Before any server starts, who would erase it: what the sectors of the slot hold.
    fn look_for_old_roots(&self, cut: Cut, image: &Path, seen: &mut Seen) -> Result<(), String> {
        if cut.at > self.migrated.asked {
            // Another seal.
            return Ok(());
        }
        let (files, key) = self.slots.files();
        let read = |name: &str| fs::read(image.join(name)).expect("it is there");
        let key: [u8; 32] = read(key).try_into().expect("32 bytes");
        let seal = KeyFileSeal::new(Secret::init_with(|bytes| *bytes = key));
        let answered = |key: &&Known| key.destroyed.is_some_and(|span| cut.at >= span.answered);
        let newest = self.keys.iter().filter(answered).map(|key| key.epoch_to).max().unwrap_or(0);
        let mut roots = files.iter().flat_map(|file| roots_in_slot(&read(file), &seal));
        let old = roots.find(|root| root.current.epoch < newest);
        if let Some(old) = old {
            let (epoch, words) = (old.current.epoch, self.words(cut));
            return Err(format!("{words}: the root of epoch {epoch}, before {newest}, is there"));
        }
        seen.clean_slots += 1;
        Ok(())
    }

    /// With the seal that opens: one of the two always does.
    fn start(&self, cut: Cut, image: &Path) -> Result<Server, String> {
        let data = image.join("data");
        let (key_file, passphrase) =
            (self.slots.with_key_file(image), self.slots.with_passphrase(image));
        let old = || Server::try_start_dev(&data, &words(&key_file), &[]);
        let new = || Server::try_start_dev(&data, &words(&passphrase), &[PASSPHRASE]);
        let started = if cut.at >= self.migrated.answered {
            new()
        } else if cut.at <= self.migrated.asked {
            old()
        } else {
            old().or_else(|_| new())
        };
        started.map_err(|refused: NotReady| format!("{}: {refused:?}", self.words(cut)))
    }

    /// The data of the image is lost as well: the backup, the slot and what is beside it are left.
    fn restore(&self, cut: Cut, image: &Path, seen: &mut Seen) -> Result<(), String> {
        let data = image.join("data");
        fs::remove_dir_all(data.join("store")).map_err(|error| error.to_string())?;
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let restore = ["restore", &text(&image.join("backups")), "--data", &text(&data)];
        let settings = self.slots.with_key_file(image);
        let output = run_cli_with(&[&restore[..], &words(&settings)].concat(), &[], b"");
        if !output.status.success() {
            return Err(format!("{}: {output:?}", self.words(cut)));
        }
        let server = self.start(cut, image)?;
        for key in &self.keys {
            let opens = opens(&server.native(), &key.id, &key.ciphertext);
            let is_gone = key.destroyed.is_some_and(|span| cut.at >= span.answered);
            let must_be = key.destroyed.is_none() && key.made.answered <= self.backup.asked;
            if (opens && is_gone) || (!opens && must_be) {
                return Err(format!("restored, {}: {key:?}: {opens}", self.words(cut)));
            }
        }
        seen.restored += 1;
        Ok(())
    }

    fn words(&self, cut: Cut) -> String {
        let done = self.steps.iter().take_while(|step| step.end <= cut.at).count();
        format!("{cut:?}, after {done} of {} steps", self.steps.len())
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

#[test]
fn a_cut_of_the_power_at_any_instant_loses_nothing_and_brings_nothing_back() {
    let seed = number("LETHE_POWER_SEED", 1);
    let run = run(if seed.is_multiple_of(2) { Slots::Two } else { Slots::One });
    let mut seen = Seen::default();
    for cut in run.cuts(number("LETHE_POWER_CUTS", CUTS), seed) {
        let image = run.image(cut, Syncs::Kept, "image");
        run.judge(cut, &image, &mut seen).unwrap_or_else(|wrong| panic!("{wrong}"));
        let is_restorable = (run.backup.answered..run.forgotten.asked).contains(&cut.at);
        // It takes as long as three cuts.
        if is_restorable && seen.restored < seen.cuts / 5 {
            let image = run.image(cut, Syncs::Kept, "image");
            run.restore(cut, &image, &mut seen).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
    }
    eprintln!("{seen:?} over {} steps", run.steps.len());
    assert!(
        seen.live > 20 && seen.gone > 10 && seen.clean_slots > 5,
        "the run did real work: {seen:?}"
    );

    // Control: on a medium that only says that it has synced, what was answered is lost.
    let end = run.steps.last().expect("something was recorded").end;
    let mut lost = 0;
    for (left, at) in [(Left::Nothing, end), (Left::Nothing, run.backup.asked), (Left::Some, end)] {
        let cut = Cut { at, left, seed: 7 };
        let image = run.image(cut, Syncs::Ignored, "image");
        lost += u32::from(run.judge(cut, &image, &mut Seen::default()).is_err());
    }
    eprintln!("control: {lost} of 3 cuts without syncs are noticed");
    assert_eq!(lost, 3, "without syncs nothing can hold, and the judge says so");
}
