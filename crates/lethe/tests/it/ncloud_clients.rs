//! Clients of NAVER Cloud KMS that others wrote, unmodified, against the real server. `./setup`
//! installs them; `compat/ncloud` has the scripts that drive them.

use std::path::{Path, PathBuf};

use crate::process::{Folder, Server, child};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Runs a script, which must end with `ok` and the number of its checks.
#[track_caller]
fn check(program: &Path, arguments: &[&Path], checks: u32) {
    assert!(
        arguments.iter().all(|path| path.exists()) && (program.is_relative() || program.exists()),
        "the clients are not installed: run ./setup once"
    );
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev_json = server.data().join("dev.json");
    let output = child(program).args(arguments).arg(dev_json).output();
    let output = output.expect("the program is installed: run ./setup once");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.trim_end(), format!("ok {checks}"), "{errors}");
}

/// The PyPI package httpx-ncloud, which signs `path?` where it sends `path`.
#[test]
fn the_python_client_gets_through() {
    let python = root().join("target/compat/ncloud/venv/bin/python");
    check(&python, &[&root().join("compat/ncloud/httpx_client.py")], 16);
}

/// The npm package ncloud-mcp-server: every tool of it whose path is documented.
#[test]
fn the_node_tools_get_through() {
    let modules = root().join("target/compat/ncloud/node_modules");
    let script = root().join("compat/ncloud/mcp_tools.mjs");
    check(Path::new("node"), &[&script, &modules], 30);
}
