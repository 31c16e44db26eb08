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
fn does_not_serve(data: &Path, arguments: &[&str], environment: &[(&str, &str)], words: &str) {
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
