//! The real executable with a PKCS#11 token, SoftHSM 2, as slot and as seal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::keys::{create, encrypt, opens, try_destroy};
use crate::process::{Folder, LETHE, NotReady, Server, child};

/// An empty set of tokens, and one of them.
struct Tokens {
    configuration: String,
    module: PathBuf,
}

impl Tokens {
    fn new(folder: &Folder) -> Self {
        let directory = folder.join("tokens");
        fs::create_dir(&directory).expect("made");
        let configuration = folder.join("softhsm2.conf");
        let text = format!("directories.tokendir = {}\n", directory.display());
        fs::write(&configuration, text).expect("written");
        let configuration = configuration.to_str().expect("UTF-8").to_owned();
        let done = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "kms", "--pin", PIN, "--so-pin", "654321"])
            .env("SOFTHSM2_CONF", &configuration)
            .output()
            .expect("softhsm2-util is missing: run ./setup once");
        assert!(done.status.success(), "{done:?}");
        let places = ["/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm"];
        let mut found = places.iter().map(|place| Path::new(place).join("libsofthsm2.so"));
        let module = found.find(|path| path.exists()).expect("no module: run ./setup once");
        Self { configuration, module }
    }

    fn settings(&self, part: &str) -> Vec<String> {
        let from = if part == "slot" { "pin_from" } else { "from" };
        let settings = [
            "kind=pkcs11".to_owned(),
            format!("module={}", self.module.display()),
            "token=kms".to_owned(),
            format!("{from}=environment"),
        ];
        settings.iter().flat_map(|one| ["--set".to_owned(), format!("{part}.{one}")]).collect()
    }

    fn environment<'a>(&'a self, pin: &'a str) -> [(&'a str, &'a str); 2] {
        [("SOFTHSM2_CONF", &self.configuration), ("LETHE_PIN", pin)]
    }
}

const PIN: &str = "123456";

fn borrowed(settings: &[String]) -> Vec<&str> {
    settings.iter().map(String::as_str).collect()
}

#[track_caller]
pub(crate) fn does_not_serve(
    data: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    words: &str,
) {
    match Server::try_start_dev(data, arguments, environment) {
        Err(NotReady::Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(4), "{stderr}");
            assert!(stderr.contains(words), "`{words}` is not in: {stderr}");
        }
        Ok(_) => panic!("it serves"),
        Err(NotReady::Late(written)) => panic!("neither serves nor refuses: {written}"),
    }
}

#[test]
fn a_key_destroyed_with_a_token_is_gone_also_with_every_file_of_before() {
    let folder = Folder::new();
    let tokens = Tokens::new(&folder);
    let data = folder.join("data");
    let settings = tokens.settings("slot");
    let settings = borrowed(&settings);
    let environment = tokens.environment(PIN);
    let mut server = Server::start_dev(&data, &settings, &environment);
    let key = create(&server.native(), "aes256-gcm");
    let text = encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    let copy = |to: &str| {
        let mut command = Command::new("cp");
        command.arg("-a").arg(&data).arg(folder.join(to));
        assert!(command.status().expect("cp runs").success());
    };
    copy("before");
    for (pin, words) in [("123457", "PIN"), ("", "empty")] {
        does_not_serve(&data, &settings, &tokens.environment(pin), words);
    }
    does_not_serve(&data, &settings, &environment[..1], "LETHE_PIN");
    does_not_serve(&data, &[], &[], "of a slot of kind");
    let elsewhere = [&settings[..], &["--set", "slot.token=none"]].concat();
    does_not_serve(&data, &elsewhere, &environment, "no token with the label `none`");
    let other_name = [&settings[..], &["--set", "slot.name=other"]].concat();
    does_not_serve(&data, &other_name, &environment, "no key");

    let mut server = Server::start_dev(&data, &settings, &environment);
    assert!(opens(&server.native(), &key, &text));
    server.native().delete(&format!("/v1/keys/{key}")).expect(200);
    assert!(server.terminate().success());
    // All files of before, slot included: only the object of the token is missing.
    fs::rename(&data, folder.join("after")).expect("moved");
    fs::rename(folder.join("before"), &data).expect("moved");
    does_not_serve(&data, &settings, &environment, "slot");
}

#[test]
fn a_kill_between_the_steps_of_a_destruction_is_recovered() {
    for point in ["slot.root_written", "slot.old_root_erased"] {
        let folder = Folder::new();
        let tokens = Tokens::new(&folder);
        let data = folder.join("data");
        let settings = tokens.settings("slot");
        let settings = borrowed(&settings);
        let environment = tokens.environment(PIN);
        let mut server = Server::start_dev(&data, &settings, &environment);
        let (kept, going) =
            (create(&server.native(), "aes256-gcm"), create(&server.native(), "aes256-gcm"));
        let kept_text = encrypt(&server.native(), &kept);
        let text = encrypt(&server.native(), &going);
        assert!(server.terminate().success());
        let armed = [&environment[..], &[("LETHE_CRASH_AT", point)]].concat();
        let mut server = Server::start_dev(&data, &settings, &armed);
        let _cut = try_destroy(&server.native(), &going);
        server.wait_for_exit();
        drop(server);
        let server = Server::start_dev(&data, &settings, &environment);
        assert!(opens(&server.native(), &kept, &kept_text), "{point}");
        assert!(!opens(&server.native(), &going, &text), "{point}");
    }
}

#[test]
fn a_seal_migrates_to_a_token_and_back() {
    let folder = Folder::new();
    let tokens = Tokens::new(&folder);
    let data = folder.join("data");
    let at = data.to_str().expect("UTF-8");
    let mut server = Server::start_dev(&data, &[], &[]);
    let key = create(&server.native(), "aes256-gcm");
    let text = encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    let run = |arguments: &[&str], pin: &str| {
        let mut command = child(LETHE);
        command.args(["seal", "migrate", "--data", at]).args(arguments);
        command.envs(tokens.environment(pin)).output().expect("the executable starts")
    };
    let settings = tokens.settings("seal");
    let to: Vec<&str> = settings
        .iter()
        .filter_map(|setting| setting.strip_prefix("seal."))
        .flat_map(|setting| ["--to", setting])
        .collect();
    let refused = run(&to, "000000");
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let done = run(&[&to[..], &["--destroy-old-key"]].concat(), PIN);
    assert!(done.status.success(), "{done:?}");
    assert!(!data.join("slot/root.key").exists());
    let settings = borrowed(&settings);
    does_not_serve(&data, &[], &[], "root.key");
    does_not_serve(&data, &settings, &tokens.environment("000000"), "PIN");
    let mut server = Server::start_dev(&data, &settings, &tokens.environment(PIN));
    assert!(opens(&server.native(), &key, &text));
    assert!(server.terminate().success());
    let done = run(&[&settings[..], &["--to", "kind=key-file"]].concat(), PIN);
    assert!(done.status.success(), "{done:?}");
    let server = Server::start_dev(&data, &[], &[]);
    assert!(opens(&server.native(), &key, &text));
}

/// `lethe slot migrate` from where `arguments` say to where `to` says.
pub(crate) fn migrate_slot(
    data: &Path,
    arguments: &[&str],
    to: &[&str],
    environment: &[(&str, &str)],
) -> std::process::Output {
    let mut command = child(LETHE);
    command.args(["slot", "migrate", "--data"]).arg(data).args(arguments);
    command.args(to.iter().flat_map(|setting| ["--to", setting]));
    command.envs(environment.iter().copied());
    command.output().expect("the executable starts")
}

#[track_caller]
pub(crate) fn moved(output: &std::process::Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{wrong}");
}

/// Keys of roots in the token.
fn roots(tokens: &Tokens) -> usize {
    let tool = Command::new("pkcs11-tool")
        .args(["--module"])
        .arg(&tokens.module)
        .args(["--login", "--pin", PIN, "--list-objects", "--type", "secrkey"])
        .env("SOFTHSM2_CONF", &tokens.configuration)
        .output();
    match tool {
        Ok(listed) => String::from_utf8_lossy(&listed.stdout).matches("Secret Key").count(),
        // Without the tool: the token's files of objects, beside the one of the token itself.
        Err(_) => {
            let tokens = Path::new(&tokens.configuration).with_file_name("tokens");
            let token = fs::read_dir(tokens).expect("tokens").next().expect("a token");
            let files = fs::read_dir(token.expect("an entry").path()).expect("objects");
            let objects = files.map(|file| file.expect("an entry").path());
            let is_object = |path: &PathBuf| {
                path.extension().is_some_and(|ending| ending == "object")
                    && path.file_name().is_some_and(|name| name != "token.object")
            };
            objects.filter(is_object).count()
        }
    }
}

#[test]
fn a_slot_moves_into_a_token_and_out_to_other_disks() {
    let folder = Folder::new();
    let tokens = Tokens::new(&folder);
    let data = folder.join("data");
    let environment = tokens.environment(PIN);
    let in_token: Vec<String> = tokens.settings("slot");
    let in_token = borrowed(&in_token);
    let to_token: Vec<&str> =
        in_token.iter().filter_map(|setting| setting.strip_prefix("slot.")).collect();
    let mut server = Server::start_dev(&data, &[], &environment);
    let [lives, dies] = [(); 2].map(|()| create(&server.native(), "aes256-gcm"));
    let texts = [&lives, &dies].map(|key| encrypt(&server.native(), key));
    // A server that runs keeps its slot.
    let refused = migrate_slot(&data, &[], &to_token, &environment);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(server.terminate().success());
    let old_slot = fs::read(data.join("slot/root.slot")).expect("readable");
    moved(&migrate_slot(&data, &[], &to_token, &environment));
    assert_eq!(roots(&tokens), 1);
    does_not_serve(&data, &[], &environment, "of a slot of kind");
    let mut server = Server::start_dev(&data, &in_token, &environment);
    assert!(opens(&server.native(), &lives, &texts[0]));
    try_destroy(&server.native(), &dies).expect("an answer").expect(200);
    assert!(server.terminate().success());
    // What the old place held is worth nothing.
    let now = fs::read(data.join("slot/root.slot")).expect("readable");
    fs::write(data.join("slot/root.slot"), &old_slot).expect("written");
    assert!(Server::try_start_dev(&data, &[], &environment).is_err(), "an old slot serves");
    fs::write(data.join("slot/root.slot"), now).expect("written");

    let [a, b] = ["disk-a", "disk-b"].map(|name| folder.join(name).join("root.slot"));
    let paths = format!("paths=[{:?}, {:?}]", a.display(), b.display());
    moved(&migrate_slot(&data, &in_token, &["kind=file", &paths], &environment));
    assert_eq!(roots(&tokens), 0, "nothing is left in the token");
    assert!(!data.join("slot/root.slot").exists(), "the old file is gone");
    does_not_serve(&data, &in_token, &environment, "the slot was moved away");
    let slot = format!("slot.{paths}");
    let mut server = Server::start_dev(&data, &["--set", &slot], &[]);
    assert!(opens(&server.native(), &lives, &texts[0]));
    server.native().get(&format!("/v1/keys/{dies}/receipt")).expect(200);
    assert!(server.terminate().success());
    let same = migrate_slot(&data, &["--set", &slot], &["kind=file", &paths], &[]);
    assert_eq!(same.status.code(), Some(3), "{same:?}");
    // Fewer disks, on purpose: the one that goes is erased and not lost.
    let only_a = format!("path={:?}", a.display());
    let of_b = fs::read(&b).expect("readable");
    moved(&migrate_slot(&data, &["--set", &slot], &[&only_a], &[]));
    assert!(!b.exists());
    // A copy that was put back, with the configuration of before, holds the same root.
    fs::write(&b, &of_b).expect("written");
    let only_b = format!("slot.path={:?}", b.display());
    does_not_serve(&data, &["--set", &only_b], &[], "the slot was moved away");
    does_not_serve(&data, &["--set", &slot], &[], "the slot was moved away");
    fs::remove_file(&b).expect("removed");
    let server = Server::start_dev(&data, &["--set", &format!("slot.{only_a}")], &[]);
    let last = create(&server.native(), "aes256-gcm");
    let receipt = try_destroy(&server.native(), &last).expect("an answer").expect(200).json();
    assert_eq!(receipt["statement"].get("lost_replicas"), None, "{receipt}");
}

/// The points of a move of the slot, in their order.
pub(crate) const MOVE_POINTS: [&str; 6] = [
    "slot.move_begun",
    "slot.move_written",
    "slot.move_erased",
    "slot.move_brought",
    "slot.move_retired",
    "slot.move_destroyed",
];

#[test]
fn a_move_that_is_cut_short_anywhere_is_ended_by_the_next() {
    let folder = Folder::new();
    let tokens = Tokens::new(&folder);
    let data = folder.join("data");
    let environment = tokens.environment(PIN);
    let in_token: Vec<String> = tokens.settings("slot");
    let slots = [folder.join("here/root.slot"), folder.join("there/root.slot")];
    let [here, there] = slots.each_ref().map(|path| format!("path={:?}", path.display()));
    let here_set = format!("slot.{here}");
    let mut with_token = borrowed(&in_token);
    let there_set = format!("slot.{there}");
    with_token.extend(["--set", &there_set]);
    let mut to_token: Vec<&str> =
        in_token.iter().filter_map(|setting| setting.strip_prefix("slot.")).collect();
    to_token.push(&there);
    let in_file = ["--set", here_set.as_str()];
    let to_file = ["kind=file", here.as_str()];
    let mut server = Server::start_dev(&data, &in_file, &environment);
    let key = create(&server.native(), "aes256-gcm");
    let text = encrypt(&server.native(), &key);
    assert!(server.terminate().success());
    let serves = |arguments: &[&str]| {
        let mut server = Server::start_dev(&data, arguments, &environment);
        assert!(opens(&server.native(), &key, &text));
        // A change of the root between the two.
        let other = create(&server.native(), "aes256-gcm");
        try_destroy(&server.native(), &other).expect("an answer").expect(200);
        assert!(server.terminate().success());
    };
    for (number, point) in MOVE_POINTS.iter().enumerate() {
        let mut cut: Vec<(&str, &str)> = environment.to_vec();
        cut.push(("LETHE_CRASH_AT", point));
        // Into the token, cut short; before anything of the old place is gone, the old
        // configuration still serves.
        let output = migrate_slot(&data, &in_file, &to_token, &cut);
        assert_eq!(output.status.code(), None, "{point} is not passed: {output:?}");
        if number == 1 {
            serves(&in_file);
        }
        let other = migrate_slot(&data, &in_file, &["kind=file", "path='/nowhere/x.slot'"], &[]);
        assert!(!other.status.success(), "{point}: another move while one is under way");
        moved(&migrate_slot(&data, &in_file, &to_token, &environment));
        assert_eq!(roots(&tokens), 1, "{point}");
        if number == 2 {
            serves(&with_token);
        }
        // And out again.
        let output = migrate_slot(&data, &with_token, &to_file, &cut);
        assert_eq!(output.status.code(), None, "{point} is not passed back: {output:?}");
        moved(&migrate_slot(&data, &with_token, &to_file, &environment));
        assert_eq!(roots(&tokens), 0, "{point}");
        assert!(!slots[1].exists(), "{point}");
    }
    serves(&in_file);
}
