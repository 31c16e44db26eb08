//! The contract over real files; opening, grouping, full disks, killed processes, a writing thread
//! that dies, erased values; agreement with the store in memory.

pub(crate) mod dying;
mod erasing;
mod filling;
mod grouping;
mod killing;
mod measuring;
mod model;
mod opening;

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lethe_store::conformance::Subject;
use lethe_store::{Batch, Revision, Space, Store, StoreKey};

use crate::{EmbeddedStore, OpenMode};

mod contract {
    lethe_store::conformance!(super::fresh);
}

const ALPHA: Space = Space::named("alpha");

fn fresh() -> Subject {
    let folder = Folder::new();
    let store = Arc::new(create(&folder));
    let reopen = move || -> Arc<dyn Store> { Arc::new(open(&folder)) };
    Subject { store, reopen: Some(Box::new(reopen)) }
}

fn create(folder: &Folder) -> EmbeddedStore {
    EmbeddedStore::open(&folder.path, OpenMode::CreateNew).unwrap()
}

fn open(folder: &Folder) -> EmbeddedStore {
    EmbeddedStore::open(&folder.path, OpenMode::OpenExisting).unwrap()
}

fn key(number: u64) -> StoreKey {
    StoreKey::new(ALPHA, &number.to_be_bytes()).unwrap()
}

fn put(number: u64, value: &[u8]) -> Batch {
    Batch::new().put(key(number), value.to_vec())
}

fn value(store: &dyn Store, number: u64) -> Option<Vec<u8>> {
    store.get(&key(number)).unwrap().map(|versioned| versioned.value)
}

/// A path for a store, removed with all in it when dropped. It does not exist at first.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("lethe-store-embedded-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        // Of an earlier process with the same number.
        let _ = fs::remove_dir_all(&path);
        Self { path }
    }

    fn database(&self) -> PathBuf {
        self.path.join("store.sqlite")
    }

    /// Name and content of every file, but for the lock.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name != "lock" && entry.file_type().unwrap().is_file() {
                files.push((name, fs::read(entry.path()).unwrap()));
            }
        }
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(&self.path);
    }
}

/// This test again in a process of its own, told by a variable what to do there. Killed when
/// dropped, so that a failing test leaves nothing behind.
struct Again {
    child: Child,
    lines: Box<dyn Iterator<Item = String>>,
}

/// Where a test that was started by [`Again`] finds its folder.
const FOLDER_VARIABLE: &str = "LETHE_STORE_EMBEDDED_TEST_FOLDER";

impl Again {
    /// `shell` is run first in the same process, for instance to set a limit.
    fn start(test: &str, folder: &Path, shell: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(FOLDER_VARIABLE, folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines: Box::new(output.lines().map_while(Result::ok)) }
    }

    /// The next line that the child said; `None` when it has ended.
    fn hear(&mut self) -> Option<String> {
        self.lines.find_map(|line| line.strip_prefix(MARK).map(str::to_owned))
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The folder that this process was started for by [`Again`].
fn told_folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from)
}

/// Says a line to the parent, past the test harness, which also prints.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{MARK}{line}").and_then(|()| output.flush()).unwrap();
}

const MARK: &str = "child says: ";

/// The revision of a store that was just made and never written.
const START: Revision = Revision(0);
