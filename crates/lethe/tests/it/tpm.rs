//! The real executable with a TPM 2.0, swtpm, as its slot: destructions, the rest between changes
//! of the root, moves in and out. Built with the feature `tpm` alone.

mod moves;
mod rests;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::backups::gone;
use crate::keys::{create, encrypt, opens, problem, try_destroy};
use crate::process::{Folder, Server, child};
use crate::tokens::does_not_serve;

/// Where the slot is if nothing else is configured.
const INDEX: u32 = 0x0180_4C54;

/// A TPM in software, with its state in a folder.
struct Tpm {
    process: Option<Child>,
    folder: PathBuf,
    port: u16,
}

impl Tpm {
    fn new(folder: &Folder) -> Self {
        let folder = folder.join("tpm");
        fs::create_dir(&folder).expect("made");
        // Two ports in a row, as the library wants them; another process may take them meanwhile.
        for _ in 0..20 {
            let Some(port) = two_ports() else { continue };
            let mut tpm = Self { process: None, folder: folder.clone(), port };
            if tpm.try_start() {
                return tpm;
            }
        }
        panic!("swtpm does not start: run ./setup once")
    }

    fn try_start(&mut self) -> bool {
        let pid = self.folder.join("pid");
        let _before = fs::remove_file(&pid);
        let (port, control) = (self.port, self.port + 1);
        let mut process = child("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .args(["--tpmstate", &format!("dir={}", self.folder.display())])
            .args(["--server", &format!("type=tcp,port={port}")])
            .args(["--ctrl", &format!("type=tcp,port={control}")])
            .args(["--pid", &format!("file={}", pid.display())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv is missing: run ./setup once");
        // It listens before it writes its number.
        while !pid.exists() {
            if process.try_wait().expect("a child can be waited for").is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        self.process = Some(process);
        true
    }

    /// Away with it; its memory stays.
    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _killed = process.kill();
            let _ended = process.wait();
        }
    }

    /// The same one again, at the same place.
    fn start_again(&mut self) {
        self.stop();
        // The connections of before may still be closing.
        assert!((0..200).any(|_| self.try_start()), "swtpm does not start again");
    }

    fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Runs one of the tools of the TPM.
    fn try_tool(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        let mut command = child("tpm2");
        command.args(arguments).env("TPM2TOOLS_TCTI", self.tcti());
        let output = command.output().expect("tpm2 is missing: run ./setup once");
        output.status.success().then_some(output.stdout)
    }

    #[track_caller]
    fn tool(&self, arguments: &[&str]) -> Vec<u8> {
        self.try_tool(arguments).unwrap_or_else(|| panic!("{arguments:?} fails"))
    }

    /// Generations of the keys that the two indices from `index` on hold.
    fn generations_at(&self, index: u32) -> Vec<u64> {
        let held = |offset: u32| -> Option<u64> {
            let name = format!("{:#x}", index + offset);
            let bytes = self.try_tool(&["nvread", &name, "-C", "o", "-s", "64"])?;
            let is_key = bytes.starts_with(b"LNV1");
            assert!(is_key || bytes.iter().all(|byte| *byte == 0), "{bytes:?}");
            let generation = bytes.get(8..16).and_then(|bytes| bytes.try_into().ok())?;
            is_key.then(|| u64::from_be_bytes(generation))
        };
        let mut found: Vec<u64> = (0..2).filter_map(held).collect();
        found.sort_unstable();
        found
    }

    fn generations(&self) -> Vec<u64> {
        self.generations_at(INDEX)
    }

    /// Settings of `[slot]`, without `slot.`.
    fn slot(&self, more: &[&str]) -> Vec<String> {
        let own = ["kind=tpm".to_owned(), format!("tcti={}", self.tcti())];
        own.into_iter().chain(more.iter().map(|setting| (*setting).to_owned())).collect()
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        self.stop();
    }
}

fn two_ports() -> Option<u16> {
    let first = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = first.local_addr().expect("it is bound").port();
    TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).is_ok().then_some(port)
}

/// The words for a server with that slot.
fn set(slot: &[String]) -> Vec<String> {
    slot.iter().flat_map(|setting| ["--set".to_owned(), format!("slot.{setting}")]).collect()
}

fn words(settings: &[String]) -> Vec<&str> {
    settings.iter().map(String::as_str).collect()
}

/// A key, and what it encrypted.
struct Key {
    id: String,
    text: String,
}

impl Key {
    fn new(server: &Server) -> Self {
        let id = create(&server.native(), "aes256-gcm");
        let text = encrypt(&server.native(), &id);
        Self { id, text }
    }

    fn is_live(&self, server: &Server) -> bool {
        opens(&server.native(), &self.id, &self.text)
    }

    /// Destroys it; gives the statement of its receipt.
    #[track_caller]
    fn destroy(&self, server: &Server) -> serde_json::Value {
        let answer = try_destroy(&server.native(), &self.id).expect("an answer").expect(200);
        answer.json()["statement"].clone()
    }

    #[track_caller]
    fn is_gone(&self, server: &Server) {
        gone(server, &self.id, &self.text);
    }
}

/// A server with that slot.
#[track_caller]
fn start(data: &Path, slot: &[String]) -> Server {
    Server::start_dev(data, &words(&set(slot)), &[])
}

#[test]
fn a_key_destroyed_with_a_tpm_is_gone_also_with_every_file_of_before() {
    let folder = Folder::new();
    let (data, mut tpm) = (folder.join("data"), Tpm::new(&folder));
    let slot = tpm.slot(&["rest=0s"]);
    let mut server = start(&data, &slot);
    let [lives, dies] = [Key::new(&server), Key::new(&server)];
    assert!(server.terminate().success());
    let mut copy = std::process::Command::new("cp");
    copy.arg("-a").arg(&data).arg(folder.join("before"));
    assert!(copy.status().expect("cp runs").success());
    let mut server = start(&data, &slot);
    let statement = dies.destroy(&server);
    assert_eq!(statement["erased_slot"]["kind"], "tpm_nv", "{statement}");
    assert_eq!(statement["erased_slot"]["class"], "hardware", "{statement}");
    assert!(lives.is_live(&server));
    assert!(server.terminate().success());
    drop(server);
    // The machine restarts.
    tpm.start_again();
    let mut server = start(&data, &slot);
    assert!(lives.is_live(&server));
    dies.is_gone(&server);
    assert!(server.terminate().success());
    // All files of before, slot included: only the key in the TPM is missing.
    fs::rename(&data, folder.join("after")).expect("moved");
    fs::rename(folder.join("before"), &data).expect("moved");
    does_not_serve(&data, &words(&set(&slot)), &[], "slot");
}

#[test]
fn a_kill_between_the_steps_of_a_destruction_is_recovered() {
    let folder = Folder::new();
    let (data, tpm) = (folder.join("data"), Tpm::new(&folder));
    let slot = tpm.slot(&["rest=0s"]);
    let mut server = start(&data, &slot);
    let lives = Key::new(&server);
    for point in ["commit.durable", "slot.root_written", "slot.old_root_erased"] {
        let dies = Key::new(&server);
        let mut cut = server.restart_with(&[("LETHE_CRASH_AT", point)]);
        let answer = try_destroy(&cut.native(), &dies.id);
        assert!(answer.is_none(), "{point}: it was answered");
        cut.wait_for_exit();
        server = cut.restart_with(&[]);
        assert!(lives.is_live(&server), "{point}");
        dies.is_gone(&server);
        assert_eq!(tpm.generations().len(), 1, "{point}: one root is left");
    }
}

#[test]
fn a_tpm_that_is_away_halts_changes_and_loses_nothing() {
    let folder = Folder::new();
    let (data, mut tpm) = (folder.join("data"), Tpm::new(&folder));
    let slot = tpm.slot(&["rest=0s"]);
    let mut server = start(&data, &slot);
    let [lives, dies] = [Key::new(&server), Key::new(&server)];
    let before = tpm.generations();
    tpm.stop();
    let refused = try_destroy(&server.native(), &dies.id).expect("an answer");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(lives.is_live(&server), "uses go on");
    assert!(!dies.is_live(&server), "what was begun is not taken back");
    let refused =
        server.native().post("/v1/keys", &serde_json::json!({"name": "x", "algorithm": "ed25519"}));
    assert_eq!(problem(&refused.expect(503)), "storage-unavailable");
    assert!(server.terminate().success());
    drop(server);
    // Without it there is no start, and nothing is made anew.
    does_not_serve(&data, &words(&set(&slot)), &[], "TPM");
    tpm.start_again();
    assert_eq!(tpm.generations(), before);
    let server = start(&data, &slot);
    assert!(lives.is_live(&server));
    dies.is_gone(&server);
    assert_ne!(tpm.generations(), before);
}
