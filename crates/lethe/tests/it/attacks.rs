//! Attacks on a real server by somebody who holds everything: its memory, its files, old copies of
//! them, the current root. Each has a control that succeeds, so that it could fail.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;
use serde_json::json;

use crate::keys::encrypt;
use crate::process::{Folder, Server};

/// Bytes that are read at once from the memory of a process.
const PIECE_BYTES: usize = 4 * 1_048_576;

/// Whether some writable memory of the process contains `needle`.
fn memory_holds(process: u32, needle: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("its maps");
    let mut memory = File::open(format!("/proc/{process}/mem")).expect("its memory");
    let mut buffer = vec![0; PIECE_BYTES];
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (range, flags) = (words.next().expect("a range"), words.next().expect("flags"));
        if !flags.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').expect("a range");
        let address = |text: &str| u64::from_str_radix(text, 16).expect("an address");
        let (mut at, end) = (address(start), address(end));
        while at < end {
            let wanted = usize::try_from(end - at).expect("fits").min(PIECE_BYTES);
            let read =
                memory.seek(SeekFrom::Start(at)).and_then(|_| memory.read(&mut buffer[..wanted]));
            // Some mappings of the kernel cannot be read; they hold nothing of the process.
            let Ok(read) = read else { break };
            if memmem::find(&buffer[..read], needle).is_some() {
                return true;
            }
            if read <= needle.len() || at + u64::try_from(read).expect("fits") >= end {
                break;
            }
            // What lies across two pieces is in the second one.
            at += u64::try_from(read - needle.len()).expect("fits");
        }
    }
    false
}

/// Whether some file below `folder` contains `needle`.
fn files_hold(folder: &Path, needle: &[u8]) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return files_hold(&path, needle);
        }
        // A socket has no bytes of its own.
        let bytes = fs::read(&path).unwrap_or_default();
        memmem::find(&bytes, needle).is_some()
    })
}

/// Material that is found nowhere by chance.
fn material(seed: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (number, byte) in (1_u8..).zip(&mut bytes) {
        *byte = number.wrapping_mul(167).wrapping_add(seed.wrapping_mul(59)) ^ 0x5C;
    }
    bytes
}

#[test]
fn a_destroyed_key_is_neither_in_the_memory_nor_in_the_files_of_the_server() {
    let folder = Folder::new();
    // A debugger of the same user may look; the default forbids it.
    let words = ["--set", "memory.allow_dumps=true"];
    let server = Server::start_dev(&folder.join("data"), &words, &[]);
    let client = server.native();
    for (seed, algorithm) in (1..).zip(["aes256-gcm", "hmac-sha256", "ed25519"]) {
        let secret = material(seed);
        let import = json!({"format": "raw", "key": STANDARD.encode(secret)});
        let body = json!({"name": "known", "algorithm": algorithm, "import": import});
        let key = client.post("/v1/keys", &body).expect(201).json();
        let key = key["id"].as_str().expect("an id").to_owned();
        let data = STANDARD.encode("a letter");
        match algorithm {
            "aes256-gcm" => drop(encrypt(&client, &key)),
            "hmac-sha256" => {
                client.post(&format!("/v1/keys/{key}/mac"), &json!({"message": data})).expect(200);
            }
            _ => {
                let path = format!("/v1/keys/{key}/sign");
                client.post(&path, &json!({"message": data})).expect(200);
            }
        }
        let is_expanded = algorithm == "aes256-gcm";
        let process = server.process_id();
        if is_expanded {
            assert!(memory_holds(process, &secret), "the control: a key in use is in memory");
        }
        assert!(!files_hold(server.data(), &secret), "{algorithm}: in a file, live");
        client.delete(&format!("/v1/keys/{key}")).expect(200);
        assert!(!files_hold(server.data(), &secret), "{algorithm}: in a file, destroyed");
        assert!(!memory_holds(process, &secret), "{algorithm}: in memory, destroyed");
    }
}

#[test]
fn the_memory_of_a_server_is_kept_out_of_core_files_and_out_of_reach() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let process = server.process_id();
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.expect("the limit of core files").split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let locked = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("VmLck");
    let locked: u64 = locked.trim_end_matches("kB").trim().parse().expect("a number");
    // Without the right to lock, the server says so and goes on: see `memory.lock`.
    if rustix::process::geteuid().is_root() {
        assert!(locked > 0, "{locked} KiB are locked");
    }
    drop(server);
    let words = ["--set", "memory.lock=always"];
    let refused = Server::try_start_dev(&folder.join("data"), &words, &[]);
    assert!(format!("{refused:?}").contains("required"), "{refused:?}");
}
