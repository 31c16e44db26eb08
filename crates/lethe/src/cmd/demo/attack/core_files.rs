//! The attack on core files: a server that crashes while a key is in use.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use lethe_attack::Hoard;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::rows::{Outcome, Scene, Switch, Verdict};
use super::world::{cannot, copy_tree, opens};
use crate::client::Client;
use crate::cmd::demo::told::{not_ready, unexpected};
use crate::failure::Failure;
use crate::local::Start;

/// The setting with which a server may leave core files.
pub(super) const ALLOWED: &str = "memory.allow_dumps=true";

/// Where the system writes core files.
const PATTERN: &str = "/proc/sys/kernel/core_pattern";

pub(super) fn core_file(scene: &Scene<'_>) -> Result<Outcome, Failure> {
    let data = scene.folder.join("data");
    copy_tree(&scene.world.data(), &data)?;
    let crash = scene.folder.join("crash");
    DirBuilder::new().mode(0o700).create(&crash).map_err(|error| cannot("make it", &error))?;
    let pattern =
        fs::read_to_string(PATTERN).map_err(|error| cannot("read core_pattern", &error))?;
    if pattern.starts_with(['|', '/']) {
        let said = format!("core files of this system go elsewhere: {}", pattern.trim());
        return Ok(Outcome { verdict: Verdict::NotHere, said });
    }
    // Whoever starts it lets it leave as much as may be.
    let limit = getrlimit(Resource::Core);
    let most = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Core, most).map_err(|error| cannot("let core files be", &error))?;
    let settings: &[&str] = match scene.switch {
        Switch::Setting(setting) => &["--set", setting],
        Switch::Nothing | Switch::Without(_) | Switch::LaterWithout(_) | Switch::More(_) => &[],
    };
    let start = Start { settings, directory: Some(&crash), ..Start::default() };
    let started = scene.sandbox.serve_as(&data, start);
    let _as_before = setrlimit(Resource::Core, limit);
    let server = started.map_err(|refused| not_ready("the server that is to crash", &refused))?;
    let client = Client::new(server.dev.settings()?)?;
    let key = &scene.world.live[0];
    if opens(&client, &key.id, &key.ciphertext)? != Ok(true) {
        return Err(unexpected("the live key does not open what was encrypted"));
    }
    let _by_a_signal = server.process.abort();
    judge(&crash, key.material.expose(), limit.maximum)
}

fn judge(crash: &Path, material: &[u8], most: Option<u64>) -> Result<Outcome, Failure> {
    let mut hoard = Hoard::new();
    hoard.add_folder(crash).map_err(|error| cannot("read the core file", &error))?;
    let (verdict, said) = if hoard.holds(material) {
        let said = format!("a core file of {} MB holds the key", hoard.len() / 1_000_000);
        (Verdict::Broken, said)
    } else if !hoard.is_empty() {
        (Verdict::Held, "a core file without the key".to_owned())
    } else if most == Some(0) {
        (Verdict::NotHere, "core files are forbidden to whoever starts it".to_owned())
    } else {
        (Verdict::Held, "the crash leaves no core file".to_owned())
    };
    Ok(Outcome { verdict, said })
}
