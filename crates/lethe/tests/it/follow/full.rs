//! The disk of a copy that follows becomes full. The server goes on within the time that is named,
//! the follower ends with a clear error, and once there is room it goes on where it ended.
//!
//! The disk is one on which no file may have more than so many bytes (`RLIMIT_FSIZE`): a write
//! beyond that is done in part, and fails.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use lethe_types::limits::FOLLOWER_WAIT_MAX;

use super::*;

/// Room for everything that a new installation has, and for some changes.
const SOME_BYTES: u64 = 65_536;
/// Less than any frame has, more than its length.
const PART_BYTES: u64 = 100;
/// Less than any segment has.
const NO_BYTES: u64 = 64;
/// What a change may take on a busy machine beside the time that a copy gets.
const CHANGE_WITHIN: Duration = Duration::from_secs(8);

/// A follower none of whose files may have more bytes.
fn limited(site: &Site, bytes: u64, words: &[&str]) -> Follower {
    let mut command = child("sh");
    // The signal would end it before it can say why.
    command.args(["-c", "trap '' XFSZ && exec prlimit --fsize=\"$0\" -- \"$@\""]);
    command.arg(bytes.to_string()).arg(LETHE);
    command.args(site.words("backup", &[&text(&site.backups), "--follow"])).args(words);
    Follower(Process::start(command))
}

impl Follower {
    /// It ended by itself; what it said.
    #[track_caller]
    fn complaint(&mut self) -> String {
        let status = self.0.wait_for_exit(LIVE_WITHIN);
        let said = self.0.stderr();
        assert_eq!(status.code(), Some(4), "{said}");
        assert!(said.contains("cannot write") || said.contains("failed to write"), "{said}");
        assert!(said.contains("too large"), "the system's reason: {said}");
        said
    }
}

/// What a server says of its copies: those that follow, and those that were lost.
fn standing(site: &Site) -> (Value, Value) {
    let listed = site.backup(&["list"]);
    (listed["following"]["live"].clone(), listed["following"]["lost"].clone())
}

/// From now on the file of frames has room for a part of a frame.
#[track_caller]
fn fill(site: &Site, follower: &Follower) {
    let [frames] = &followed(site)[..] else { panic!("one file of frames") };
    let limit = fs::metadata(frames).expect("the frames").len() + PART_BYTES;
    let mut command = child("prlimit");
    command.arg(format!("--pid={}", follower.0.id())).arg(format!("--fsize={limit}"));
    assert!(command.status().expect("prlimit runs").success());
}

#[expect(clippy::disallowed_methods, reason = "how long an answer took is what is looked at")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_full_disk_of_the_copy_holds_nobody_up_and_is_told() {
    let site = Site::new();
    let server = site.start();
    let keeps = made(&server);
    let mut follower = limited(&site, SOME_BYTES, &[]);
    assert_eq!(follower.until("copied")["full"], true);
    follower.until("live");
    let [dies, dies_at_full] = [made(&server), made(&server)];
    destroy(&server, &dies.0);
    fill(&site, &follower);
    let begun = now();
    let statement = destroy(&server, &dies_at_full.0)["statement"].clone();
    assert!(begun.elapsed() < FOLLOWER_WAIT_MAX + CHANGE_WITHIN, "it waits for the full disk");
    assert_eq!(standing(&site), (json!(0), json!(1)));
    let mut gone_keys = vec![dies, dies_at_full];
    assert_eq!(statement["recoverable_from_backups_until"], Value::Null, "{statement}");
    let complaint = follower.complaint();
    assert!(complaint.contains("lethe-followed"), "which file: {complaint}");
    let metrics = server.native().without_token().get("/metrics").expect(200);
    let metrics = String::from_utf8(metrics.body).expect("text");
    assert!(metrics.contains("lethe_followers_lost_total 1"), "{metrics}");
    // Without a copy everything goes on.
    let between = made(&server);
    let dies = made(&server);
    destroy(&server, &dies.0);
    gone_keys.push(dies);
    // What the receipt says is true: the copy of before opens no more. It is whole all the same, up
    // to what was acknowledged.
    let checked = verified(&site);
    assert_eq!(checked["segments"][1]["cut_bytes"], PART_BYTES, "{checked}");
    let (store, aside) = (site.data.join("store"), site.folder.join("store-aside"));
    drop(server);
    fs::rename(&store, &aside).expect("the store");
    let refusal = site.refused();
    assert!(refusal.contains("Nobody can restore it any more"), "{refusal}");
    fs::rename(&aside, &store).expect("put back");

    // There is room: it goes on with what changed.
    let server = site.start();
    let mut follower = Follower::start(&site);
    assert_eq!(follower.until("copied")["full"], false);
    follower.until("live");
    let last = made(&server);
    let dies = made(&server);
    destroy(&server, &dies.0);
    gone_keys.push(dies);
    drop((server, follower));
    site.lose();
    let restored = site.restore();
    assert_eq!(restored["destroyed_again"], 0, "{restored}");
    let server = site.start();
    came_back(&server, [&keeps, &between, &last], &gone_keys);
}

#[test]
fn until_the_next_destruction_a_copy_whose_disk_is_full_gives_back_what_it_holds() {
    let site = Site::new();
    let server = site.start();
    let mut keys = vec![made(&server)];
    let mut follower = limited(&site, SOME_BYTES, &[]);
    follower.until("live");
    keys.push(made(&server));
    fill(&site, &follower);
    let not_held = create(&server.native(), "aes256-gcm");
    follower.complaint();
    assert_eq!(standing(&site), (json!(0), json!(1)));
    assert_eq!(verified(&site)["segments"][1]["cut_bytes"], PART_BYTES);
    drop(server);
    site.lose();
    site.restore();
    let server = site.start();
    // It was answered without the copy, which is what the operator was told of.
    server.native().get(&format!("/v1/keys/{not_held}")).expect(404);
    for (key, ciphertext) in &keys {
        assert!(opens(&server.native(), key, ciphertext), "a key that the copy held was lost");
    }
}

#[test]
fn a_copy_that_has_no_room_to_begin_or_to_catch_up_leaves_what_there_is() {
    let site = Site::new();
    let server = site.start();
    let keeps = made(&server);
    for _ in 0..2 {
        limited(&site, NO_BYTES, &[]).complaint();
        assert_eq!(site.segments(), Vec::<PathBuf>::new(), "nothing is left behind");
    }
    let mut follower = Follower::start(&site);
    assert_eq!(follower.until("copied")["full"], true);
    follower.until("live");
    let held = made(&server);
    follower.0.kill();
    let before = site.segments();
    for path in &before {
        let mode = fs::metadata(path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path:?}");
    }
    let later = made(&server);
    for words in [&[][..], &["--full"]] {
        limited(&site, NO_BYTES, words).complaint();
        assert_eq!(site.segments(), before);
    }
    let mut follower = Follower::start(&site);
    assert_eq!(follower.until("copied")["full"], false);
    follower.until("live");
    drop((server, follower));
    site.lose();
    site.restore();
    let server = site.start();
    came_back(&server, [&keeps, &held, &later], []);
}

#[test]
fn a_copy_that_has_no_room_to_begin_anew_goes_on_as_it_is() {
    let site = Site::new();
    let server = site.start();
    let mut follower = Follower::start(&site);
    follower.until("live");
    let mut keys: Vec<Made> = (0..40).map(|_| made(&server)).collect();
    follower.0.kill();
    // By now everything has more bytes than a file may have; what changes has fewer.
    let mut follower = limited(&site, SOME_BYTES, &["--renew-bytes", "8000"]);
    assert_eq!(follower.until("copied")["full"], false);
    follower.until("live");
    let dies = made(&server);
    for _ in 0..2 {
        keys.extend((0..8).map(|_| made(&server)));
        follower.until("renewing");
        let told = follower.until("not_renewed");
        assert!(told["why"].as_str().is_some_and(|why| why.contains("too large")), "{told}");
    }
    let receipt = destroy(&server, &dies.0);
    assert_eq!(receipt["statement"]["recoverable_from_backups_until"], Value::Null);
    assert_eq!(standing(&site).0, json!(1), "it follows");
    keys.push(made(&server));
    drop((server, follower));
    site.lose();
    site.restore();
    let server = site.start();
    came_back(&server, &keys, [&dies]);
}
