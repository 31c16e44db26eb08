//! The receipts of a bulk destruction: one file for each key that was destroyed.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use core::time::Duration;
use ureq::http::Method;

use super::follow::Interrupt;
use super::screen::Screen;
use crate::client::{Client, TEXT};
use crate::failure::Failure;
use crate::files::{NewFile, PUBLIC_MODE};
use crate::output::thousands;

/// Receipts that are fetched at a time.
const THREADS: usize = 4;
/// How often it is looked whether all are there.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The end of a receipt's file name.
const EXTENSION: &str = "tlog-proof";

/// Where receipts go.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// A directory, which is made if it is not there, and in which files can be made.
    ///
    /// # Errors
    /// [`Failure::Failed`].
    pub(super) fn open(path: PathBuf) -> Result<Self, Failure> {
        let made = fs::create_dir_all(&path);
        let what = path.display();
        made.map_err(|error| Failure::Failed(format!("cannot make `{what}`: {error}")))?;
        // It goes away at once: only whether it can be made is of interest.
        drop(NewFile::create(&path.join(".lethe-receipts"), PUBLIC_MODE)?);
        Ok(Self(path))
    }
}

/// What became of one receipt.
enum Fetched {
    Written,
    /// It is there from an earlier run.
    There,
    /// The key was not destroyed.
    None,
}

/// Fetches the receipts of those of `keys` that are destroyed; says how many there are.
///
/// # Errors
/// The first failure. What was written stays; the rest can be fetched later, key by key.
pub(super) fn fetch(
    client: &Client,
    folder: &Folder,
    keys: Vec<String>,
    interrupt: &mut Interrupt,
    is_silent: bool,
) -> Result<String, Failure> {
    let mut screen = Screen::new("receipts", is_silent);
    let work = Work {
        next: AtomicUsize::new(0),
        running: AtomicUsize::new(THREADS),
        written: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        failure: Mutex::new(None),
        keys,
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| work.run(client, folder));
        }
        while work.running.load(Ordering::Acquire) > 0 {
            let taken = work.next.load(Ordering::Relaxed).min(work.keys.len());
            screen.draw(count(taken), count(work.keys.len()));
            if interrupt.wait(LOOK_EVERY) {
                work.fail(Failure::Failed("interrupted while receipts were fetched".to_owned()));
            }
        }
    });
    screen.clear();
    let written = work.written.into_inner();
    match work.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(format!("{} in {}", thousands(count(written)), folder.0.display())),
        Some(failure) => Err(Failure::Failed(format!(
            "the keys are destroyed, but only {} receipts could be kept: {}; `lethe key receipt` \
             fetches one at any time",
            thousands(count(written)),
            failure.text().unwrap_or_default()
        ))),
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

struct Work {
    keys: Vec<String>,
    next: AtomicUsize,
    running: AtomicUsize,
    written: AtomicUsize,
    stop: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

impl Work {
    fn run(&self, client: &Client, folder: &Folder) {
        while !self.stop.load(Ordering::Relaxed) {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(key) = self.keys.get(next) else { break };
            match one(client, folder, key) {
                Ok(Fetched::Written | Fetched::There) => {
                    self.written.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Fetched::None) => {}
                Err(failure) => self.fail(failure),
            }
        }
        self.running.fetch_sub(1, Ordering::Release);
    }

    fn fail(&self, failure: Failure) {
        self.stop.store(true, Ordering::Relaxed);
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(failure);
    }
}

fn one(client: &Client, folder: &Folder, key: &str) -> Result<Fetched, Failure> {
    let path = folder.0.join(format!("{key}.{EXTENSION}"));
    if path.exists() {
        return Ok(Fetched::There);
    }
    match client.send(Method::GET, &format!("/v1/keys/{key}/receipt"), TEXT, None) {
        Ok(answer) => {
            NewFile::create(&path, PUBLIC_MODE)?.keep(answer.body.expose())?;
            Ok(Fetched::Written)
        }
        // It was refused, or waits for its time.
        Err(Failure::Refused(problem)) if problem.status == 404 => Ok(Fetched::None),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Scratch;

    #[test]
    fn a_folder_is_tried_before_keys_go() {
        let scratch = Scratch::new(None).unwrap();
        let path = scratch.path().join("a/b");
        Folder::open(path.clone()).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        Folder::open(path).unwrap();
        let file = scratch.path().join("file");
        fs::write(&file, "").unwrap();
        Folder::open(file).unwrap_err();
        Folder::open(PathBuf::from("/proc/nothing")).unwrap_err();
    }
}
