//! Clients of the Dfns Keys API that their vendor wrote, unmodified, against the real server.
//! `./setup` installs them; `compat/dfns` has the scripts that drive them, which verify what the
//! server signs by libraries of others. That of the Rust registry is run by hand: it is compiled
//! for longer than a test may take.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{Folder, Process, Server, child};

/// What a client may take on a busy machine.
const CLIENT_WITHIN: Duration = Duration::from_secs(120);

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a client, which must pass at least so many checks and fail none.
#[track_caller]
fn check(mut client: Command, installed: &Path, least: u64) {
    assert!(installed.exists(), "the clients are not installed: run ./setup once");
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    client.arg(server.data().join("dev.json"));
    let mut process = Process::start(client);
    let line = process.next_line(CLIENT_WITHIN).unwrap_or_default();
    let status = process.wait_for_exit(CLIENT_WITHIN);
    let said: Value = serde_json::from_str(&line).unwrap_or_default();
    assert!(status.success() && said["failed"] == json!([]), "{line}{}", process.written());
    assert!(said["passed"].as_u64().is_some_and(|passed| passed >= least), "{line}");
}

/// The npm packages `@dfns/sdk`, of two versions, and `@dfns/sdk-keysigner`.
#[test]
fn the_client_of_npm_works() {
    let modules = root().join("target/compat/dfns/node_modules");
    let mut client = child("node");
    client.arg(root().join("compat/dfns/client.js")).env("NODE_PATH", &modules);
    check(client, &modules.join("@dfns/sdk"), 160);
}

/// The PyPI package `dfns-sdk`.
#[test]
fn the_client_of_pypi_works() {
    let python = root().join("target/compat/dfns/venv/bin/python");
    let mut client = child(&python);
    client.arg(root().join("compat/dfns/client.py"));
    check(client, &python, 71);
}
