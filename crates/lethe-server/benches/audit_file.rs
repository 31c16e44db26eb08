//! How many events a second the audit trail makes durable, and what one costs.
//!
//! `cargo bench -p lethe-server --bench audit_file` writes into a directory of its own below the
//! directory for temporary files, or below the one in `LETHE_BENCH_DIRECTORY`, and removes it.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use core::time::Duration;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lethe_engine::audit::{AuditEvent, AuditSink};
use lethe_server::audit_file::AuditFile;
use lethe_server::audit_file::verify::verify_directory;
use lethe_server::clock::SystemClock;
use lethe_server::config::Config;
use lethe_types::{Clock, CredentialId, KeyId, PrincipalId, RealmId};
use rustix::time::{ClockId, clock_gettime};

/// Events of the long run.
const EVENTS: u32 = 200_000;

/// Events of the short run: fewer than the queue holds, so that nothing waits for the disk.
const EVENTS_QUEUED: u32 = 30_000;

/// Runs of each kind; the fastest and the middle one are told.
const RUNS: usize = 7;

fn main() {
    let parent =
        std::env::var_os("LETHE_BENCH_DIRECTORY").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = parent.join(format!("lethe-bench-audit-{}", std::process::id()));
    let mut builder = fs::DirBuilder::new();
    builder.mode(0o700).create(&directory).expect("a new directory");
    let mut durable = Vec::new();
    let mut processor = Vec::new();
    let mut queued = Vec::new();
    let mut verified = Vec::new();
    for run in 0..RUNS {
        let path = directory.join(run.to_string());
        let (elapsed, used) = long_run(&path);
        durable.push(f64::from(EVENTS) / elapsed.as_secs_f64());
        processor.push(used.as_secs_f64() * 1e9 / f64::from(EVENTS));
        verified.push(f64::from(EVENTS) / verification(&path).as_secs_f64());
        queued.push(short_run(&path).as_secs_f64() * 1e9 / f64::from(EVENTS_QUEUED));
        fs::remove_dir_all(&path).expect("it was ours");
    }
    fs::remove_dir_all(&directory).expect("it was ours");
    for values in [&mut durable, &mut processor, &mut queued, &mut verified] {
        values.sort_by(f64::total_cmp);
    }
    println!(
        "durable events a second    best {:>9.0}  median {:>9.0}",
        durable[RUNS - 1],
        durable[RUNS / 2]
    );
    println!(
        "CPU ns per durable event   best {:>9.0}  median {:>9.0}",
        processor[0],
        processor[RUNS / 2]
    );
    println!(
        "ns for a recorder          best {:>9.0}  median {:>9.0}",
        queued[0],
        queued[RUNS / 2]
    );
    println!(
        "verified events a second   best {:>9.0}  median {:>9.0}",
        verified[RUNS - 1],
        verified[RUNS / 2]
    );
}

/// Records until all events are durable. Answers the time that passed and the processor time.
fn long_run(path: &Path) -> (Duration, Duration) {
    let audit = open(path);
    let (start, start_used) = (SystemClock::new().monotonic(), used());
    for _ in 0..EVENTS {
        // The queue is full while the disk is slower than this loop.
        while audit.record(&event()).is_err() {
            std::thread::yield_now();
        }
    }
    audit.flush().expect("the disk works");
    (SystemClock::new().monotonic() - start, used() - start_used)
}

/// The time of one check of the whole trail.
fn verification(path: &Path) -> Duration {
    let start = SystemClock::new().monotonic();
    assert!(verify_directory(path, None, &[]).expect("it can be read").holds());
    SystemClock::new().monotonic() - start
}

/// What the recorder of events waits for, without the disk.
fn short_run(path: &Path) -> Duration {
    let audit = open(path);
    let start = SystemClock::new().monotonic();
    for _ in 0..EVENTS_QUEUED {
        audit.record(&event()).expect("the queue has room");
    }
    let elapsed = SystemClock::new().monotonic() - start;
    audit.close().expect("the disk works");
    elapsed
}

fn open(path: &Path) -> AuditFile {
    let mut config = Config::load(None, &[]).expect("the defaults hold").audit;
    config.path = path.to_owned();
    AuditFile::open(&config, Arc::new(SystemClock::new())).expect("a new trail")
}

fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).expect("processor time is not negative")
}

/// A use of a key, as most events are.
fn event() -> AuditEvent<'static> {
    AuditEvent {
        time: SystemClock::new().now(),
        realm: Some(RealmId([1; 16])),
        principal: Some(PrincipalId([2; 16])),
        credential: Some(CredentialId([3; 16])),
        door: "native",
        operation: "key.encrypt",
        key: Some(KeyId([4; 16])),
        subject: None,
        refusal: None,
        request: "0123456789abcdef0123456789abcdef",
        log_index: None,
    }
}
