//! Copies that follow a real server: whatever is killed and whenever the machine is lost, the copy
//! and the slot give back what was answered.

mod full;

use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::backups::{Site, destroy, gone, said, text};
use crate::client::Client;
use crate::keys::{create, encrypt, opens, try_destroy};
use crate::process::{LETHE, Process, Server, child};

/// How long a copy may take to catch up.
const LIVE_WITHIN: Duration = Duration::from_secs(20);
/// More events than any test has.
const EVENTS_MAX: usize = 10_000;

/// `lethe backup --follow` of a site.
struct Follower(Process);

impl Follower {
    fn start(site: &Site) -> Self {
        Self::start_with(site, &[])
    }

    fn start_with(site: &Site, words: &[&str]) -> Self {
        let mut command = child(LETHE);
        command.args(site.words("backup", &[&text(&site.backups), "--follow"]));
        command.args(words);
        Self(Process::start(command))
    }

    /// Waits for an event of that name.
    #[track_caller]
    fn until(&mut self, event: &str) -> Value {
        for _ in 0..EVENTS_MAX {
            let Ok(line) = self.0.next_line(LIVE_WITHIN) else { break };
            let said: Value = serde_json::from_str(&line).expect("a line of JSON");
            if said["event"] == event {
                return said;
            }
        }
        panic!("no `{event}`: {}", self.0.written())
    }
}

/// A key and what it encrypted.
type Made = (String, String);

fn made(server: &Server) -> Made {
    let key = create(&server.native(), "aes256-gcm");
    let ciphertext = encrypt(&server.native(), &key);
    (key, ciphertext)
}

/// The same, of a server that may die of it.
fn try_made(client: &Client) -> Option<String> {
    let body = json!({"name": "customer", "algorithm": "aes256-gcm"});
    let bytes = serde_json::to_vec(&body).expect("JSON");
    let kind = [("content-type", "application/json")];
    let answer = client.try_send(Method::POST, "/v1/keys", &kind, &bytes).ok()?;
    (answer.status == 201).then(|| answer.json()["id"].as_str().expect("an id").to_owned())
}

/// The files of frames.
fn followed(site: &Site) -> Vec<PathBuf> {
    let ending = |path: &PathBuf| path.extension().is_some_and(|it| it == "lethe-followed");
    site.segments().into_iter().filter(ending).collect()
}

fn verified(site: &Site) -> Value {
    let words = ["--json", "backup", "verify", &text(&site.backups)].map(str::to_owned);
    said(&words, &[])
}

#[test]
fn a_lost_machine_comes_back_with_everything_that_was_answered() {
    let site = Site::new();
    let mut server = site.start();
    let [keeps, dies] = [made(&server), made(&server)];
    let mut follower = Follower::start(&site);
    assert_eq!(follower.until("copied")["full"], true);
    follower.until("live");
    let late = made(&server);
    let receipt = destroy(&server, &dies.0);
    assert_eq!(receipt["statement"]["recoverable_from_backups_until"], Value::Null);
    let short = made(&server);
    destroy(&server, &short.0);
    let last = made(&server);
    let listed = site.backup(&["list"]);
    assert_eq!(listed["following"]["live"], 1, "{listed}");
    server.kill();
    drop(server);
    // It ends without losing what it has, and says so.
    follower.0.signal(Signal::INT);
    assert!(follower.0.wait_for_exit(LIVE_WITHIN).success());
    follower.until("stopped");
    assert_eq!(verified(&site)["segments"].as_array().map(Vec::len), Some(2));

    // The machine went down while a commit was on its way.
    let [frames] = &followed(&site)[..] else { panic!("one file of frames") };
    let mut bytes = fs::read(frames).expect("the frames");
    bytes.extend_from_slice(&[0, 0, 1, 0, 9, 9, 9]);
    fs::write(frames, &bytes).expect("written");
    assert_eq!(verified(&site)["segments"][1]["cut_bytes"], 7);
    site.lose();
    let restored = site.restore();
    assert_eq!(restored["destroyed_again"], 0, "{restored}");
    let server = site.start();
    came_back(&server, [&keeps, &late, &last], [&dies, &short]);
    // The directory goes on with the restored data, from a full copy.
    let mut follower = Follower::start(&site);
    assert_eq!(follower.until("copied")["full"], true);
    follower.until("live");
    destroy(&server, &keeps.0);
    drop((server, follower));
    site.lose();
    site.restore();
    let server = site.start();
    gone(&server, &keeps.0, &keeps.1);
    assert!(opens(&server.native(), &late.0, &late.1));
}

#[test]
fn the_server_may_die_at_any_point_of_a_change() {
    let points =
        ["commit.durable:3", "slot.root_written", "slot.old_root_erased", "commit.published:3"];
    for point in points {
        let site = Site::new();
        let server = site.start();
        let keeps = made(&server);
        let keys: Vec<Made> = (0..3).map(|_| made(&server)).collect();
        drop(server);
        let mut server = site.start_in(&[("LETHE_CRASH_AT", point)]);
        let mut follower = Follower::start(&site);
        follower.until("live");
        let client = server.native();
        let (mut created, mut destroyed) = (Vec::new(), Vec::new());
        for (key, _) in &keys {
            created.extend(try_made(&client));
            let answer = try_destroy(&client, key);
            destroyed.push(answer.is_some_and(|answer| answer.status == 200));
        }
        server.wait_for_exit();
        follower.0.kill();
        drop((server, follower));
        assert!(!destroyed[2], "{point}: it did not die");
        site.lose();
        site.restore();
        let server = site.start();
        assert!(opens(&server.native(), &keeps.0, &keeps.1), "{point}: a live key was lost");
        for key in &created {
            server.native().get(&format!("/v1/keys/{key}")).expect(200);
        }
        for ((key, ciphertext), was_answered) in keys.iter().zip(destroyed) {
            let lives = opens(&server.native(), key, ciphertext);
            assert!(!(lives && was_answered), "{point}: a destroyed key came back");
            if !lives {
                gone(&server, key, ciphertext);
            }
        }
    }
}

/// After a restore: what lives opens what it closed, and what was destroyed is gone.
#[track_caller]
fn came_back<'a>(
    server: &Server,
    live: impl IntoIterator<Item = &'a Made>,
    destroyed: impl IntoIterator<Item = &'a Made>,
) {
    for (key, ciphertext) in live {
        assert!(opens(&server.native(), key, ciphertext), "a live key was lost");
    }
    for (key, ciphertext) in destroyed {
        gone(server, key, ciphertext);
    }
}

#[test]
fn a_copy_and_a_server_that_were_away_find_each_other_again() {
    let site = Site::new();
    let mut server = site.start();
    let dies = [made(&server), made(&server), made(&server)];
    let mut follower = Follower::start(&site);
    follower.until("live");
    follower.0.kill();
    destroy(&server, &dies[0].0);
    let between = made(&server);
    let mut follower = Follower::start(&site);
    assert_eq!(follower.until("copied")["full"], false, "it goes on with what it has");
    follower.until("live");
    destroy(&server, &dies[1].0);
    server.kill();
    follower.until("waiting");
    let server = server.restart();
    follower.until("live");
    destroy(&server, &dies[2].0);
    let last = made(&server);
    drop((server, follower));
    site.lose();
    site.restore();
    let server = site.start();
    came_back(&server, [&between, &last], &dies);
}

#[test]
fn a_copy_that_hangs_is_dropped_and_destructions_go_on() {
    let site = Site::new();
    let server = site.start();
    let [keeps, dies, dies_too] = [made(&server), made(&server), made(&server)];
    let mut follower = Follower::start(&site);
    follower.until("live");
    follower.0.signal(Signal::STOP);
    // The first one waits until the copy is dropped, the second one for nobody.
    destroy(&server, &dies.0);
    destroy(&server, &dies_too.0);
    let listed = site.backup(&["list"]);
    assert_eq!(
        (&listed["following"]["live"], &listed["following"]["lost"]),
        (&json!(0), &json!(1))
    );
    let metrics = server.native().without_token().get("/metrics").expect(200);
    let metrics = String::from_utf8(metrics.body).expect("text");
    assert!(metrics.contains("lethe_followers_lost_total 1"), "{metrics}");

    // What it holds opens no more: this is the price, and it is said.
    let store = site.data.join("store");
    let aside = site.folder.join("store-aside");
    drop(server);
    fs::rename(&store, &aside).expect("the store");
    let refusal = site.refused();
    assert!(refusal.contains("Nobody can restore it any more"), "{refusal}");
    fs::rename(&aside, &store).expect("put back");
    let server = site.start();
    follower.0.signal(Signal::CONT);
    follower.until("ended");
    follower.until("live");
    let last = made(&server);
    drop((server, follower));
    site.lose();
    site.restore();
    let server = site.start();
    came_back(&server, [&keeps, &last], [&dies]);
}

#[test]
fn what_was_altered_before_the_end_restores_nothing() {
    let site = Site::new();
    let server = site.start();
    let keeps = made(&server);
    let mut follower = Follower::start(&site);
    follower.until("live");
    for _ in 0..3 {
        made(&server);
    }
    drop((server, follower));
    site.lose();
    let [frames] = &followed(&site)[..] else { panic!("one file of frames") };
    let whole = fs::read(frames).expect("the frames");
    let mut altered = whole.clone();
    altered[200] ^= 1;
    fs::write(frames, &altered).expect("written");
    let refusal = site.refused();
    assert!(refusal.contains("damaged"), "{refusal}");
    // Cut back by whole commits: the log beside the slot was signed further than it tells, or the
    // journal has the rest.
    let file = OpenOptions::new().write(true).open(frames).expect("the frames");
    fs::write(frames, &whole).expect("written");
    file.set_len(u64::try_from(whole.len() - 3).expect("small")).expect("cut");
    site.restore();
    assert!(opens(&site.start().native(), &keeps.0, &keeps.1));
}

#[test]
fn a_copy_begins_anew_beside_itself_and_leaves_what_has_a_window() {
    let site = Site::new();
    let server = site.start();
    let dies = made(&server);
    let windowed = site.take(&["--window", "1d"]);
    let mut follower = Follower::start_with(&site, &["--renew-bytes", "20000"]);
    follower.until("live");
    let mut keys = vec![made(&server)];
    let first = followed(&site);
    keys.extend((0..30).map(|_| made(&server)));
    follower.until("renewing");
    follower.until("renewed");
    destroy(&server, &dies.0);
    let files: Vec<String> = site.segments().iter().map(|path| text(path)).collect();
    let name = windowed["backup"].as_str().expect("its name");
    assert!(files.iter().any(|file| file.contains(name)), "{files:?}");
    assert!(first.len() == 1 && !first[0].exists(), "what was superseded is gone: {files:?}");
    drop((server, follower));
    site.lose();
    site.restore();
    let server = site.start();
    came_back(&server, &keys, [&dies]);
}
