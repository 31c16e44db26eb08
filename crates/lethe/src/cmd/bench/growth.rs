//! `lethe bench growth`: one server that grows, and at each of its sizes what a destruction costs,
//! in CPU time and in bytes that must be written, and how long a backup of all takes; at the last
//! size also the restore.

mod report;

use core::time::Duration;
use std::collections::VecDeque;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use lethe_server::ServeOptions;
use lethe_server::backup::{BackupOptions, RestoreOptions, restore, take};

use super::cost::{Watched, disk_bytes, watch};
use super::load::Load;
use super::measure::make_keys;
use super::site::{BenchServer, Site};
use super::work::Work;
use crate::cmd::backup::failure;
use crate::failure::Failure;
use crate::local::{Sandbox, interruptible, monotonic};
use crate::output::Output;

/// Most keys that are made between two looks at the time.
const STEP_KEYS: u64 = 100_000;
/// Longest start.
const START_WITHIN: Duration = Duration::from_secs(600);
/// Longest time for the destructions of one measurement.
const DESTROY_WITHIN: Duration = Duration::from_secs(5);
/// Most destructions of one measurement.
const DESTROYED_MAX: usize = 4_000;
/// Numbers of connections over which keys are destroyed.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
const MARK: &str = "{key}";

/// Which sizes, and where.
#[derive(Args, Clone, Debug)]
pub(super) struct Growth {
    /// Sizes of the server, in keys
    #[arg(long, value_name = "N,…", value_delimiter = ',',
          default_values_t = [10_000, 100_000, 1_000_000],
          value_parser = clap::value_parser!(u64).range(1_000..=super::KEYS_MAX))]
    keys: Vec<u64>,
    /// Draw what a destruction costs against the number of keys
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The directory (and so the disk) under which the server keeps its data
    #[arg(long, value_name = "DIR")]
    data_under: Option<PathBuf>,
}

/// What was measured at one size.
#[derive(Debug)]
struct Size {
    keys: u64,
    destroy: Vec<Cost>,
    backup: Copied,
    restore: Option<Copied>,
}

/// What one destruction cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    connections: usize,
    per_second: f64,
    p50: Duration,
    p99: Duration,
    /// CPU time of the server for each.
    cpu: Duration,
    /// What the server had to be written for each.
    written_bytes: u64,
}

/// A whole installation copied.
#[derive(Clone, Copy, Debug, Default)]
struct Copied {
    elapsed: Duration,
    bytes: u64,
}

pub(super) fn run(mut wanted: Growth, output: &mut Output) -> Result<(), Failure> {
    wanted.keys.sort_unstable();
    wanted.keys.dedup();
    let as_json = output.is_json();
    let sandbox = Sandbox::new(wanted.data_under.as_deref())?;
    interruptible(sandbox, move |sandbox| {
        let sizes = measure(sandbox, &wanted.keys)?;
        if let Some(file) = &wanted.svg {
            super::write_file(file, &report::svg(&sizes))?;
        }
        let mut output = Output::new(as_json);
        report::print(&sizes, &mut output)?;
        output.finish()
    })
}

fn measure(sandbox: &Sandbox, sizes: &[u64]) -> Result<Vec<Size>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    let mut server = BenchServer::start(sandbox)?;
    let mut keys = VecDeque::new();
    let mut measured = Vec::new();
    for size in sizes.iter().copied() {
        let made = runtime.block_on(fill(&server.site(false)?, size, &mut keys));
        made.map_err(Failure::Failed)?;
        // A server that was filled has all of it in its caches; one that was started has not.
        (server, ()) = server.restart(sandbox, START_WITHIN, |_| ())?;
        let site = server.site(false)?;
        let process = server.process_id.unwrap_or_default();
        let mut costs = Vec::new();
        for connections in CONNECTIONS {
            let cost = runtime.block_on(destroy(&site, process, &mut keys, connections));
            costs.push(cost.map_err(Failure::Failed)?);
        }
        let backup = backup(sandbox, &server.data, size)?;
        measured.push(Size { keys: size, destroy: costs, backup, restore: None });
    }
    if let (Some(last), Some(size)) = (measured.last_mut(), sizes.last()) {
        let (_server, restored) =
            server.restart(sandbox, START_WITHIN, |data| restore_all(sandbox, data, *size))?;
        last.restore = Some(restored?);
    }
    Ok(measured)
}

/// Makes keys until there are `wanted`.
async fn fill(site: &Site, wanted: u64, keys: &mut VecDeque<String>) -> Result<(), String> {
    loop {
        let have = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        let missing = wanted.saturating_sub(have).min(STEP_KEYS);
        if missing == 0 {
            return Ok(());
        }
        keys.append(&mut make_keys(site, missing, None).await?.keys);
    }
}

/// Destroys keys from all over the tree.
async fn destroy(
    site: &Site,
    process: u32,
    keys: &mut VecDeque<String>,
    connections: usize,
) -> Result<Cost, String> {
    let (go, mut stay) = spread(keys, DESTROYED_MAX);
    let request = site.request("DELETE", &format!("/v1/keys/{MARK}"), None);
    let work = Arc::new(Work::per_key(&request, MARK.as_bytes(), go, 200));
    let load = Load::closed(connections, DESTROY_WITHIN);
    let before = written_bytes(process).ok_or("the server has ended")?;
    let watched = watch(&site.target, &work, load, Some(process)).await?;
    let written = written_bytes(process).ok_or("the server has ended")?.saturating_sub(before);
    if let Some(why) = watched.run.first_error {
        return Err(format!("a destruction failed: {why}"));
    }
    let work = Arc::into_inner(work).ok_or("a connection did not end")?;
    stay.append(&mut work.into_keys_left());
    *keys = stay;
    Ok(Cost::of(&watched, connections, written))
}

/// Takes up to `most` keys, and at the most a quarter, at even distances; those and the rest.
fn spread(keys: &mut VecDeque<String>, most: usize) -> (VecDeque<String>, VecDeque<String>) {
    let wanted = most.min(keys.len() / 4);
    let step = keys.len().checked_div(wanted).unwrap_or(1).max(1);
    let (mut go, mut stay) = (VecDeque::with_capacity(wanted), VecDeque::new());
    for (number, key) in keys.drain(..).enumerate() {
        let goes = number % step == 0 && go.len() < wanted;
        if goes { &mut go } else { &mut stay }.push_back(key);
    }
    (go, stay)
}

impl Cost {
    fn of(watched: &Watched, connections: usize, written: u64) -> Self {
        let run = &watched.run;
        let done = u32::try_from(run.done).unwrap_or(u32::MAX).max(1);
        Self {
            connections,
            per_second: run.rate(),
            p50: run.latencies.percentile(500),
            p99: run.latencies.percentile(990),
            cpu: watched.cpu.unwrap_or_default() / done,
            written_bytes: written / u64::from(done),
        }
    }
}

// ------------------------------------------------------------ backup, restore

fn backup_place(sandbox: &Sandbox, size: u64) -> PathBuf {
    sandbox.path().join(format!("backup-{size}"))
}

/// While the server serves.
fn backup(sandbox: &Sandbox, data: &Path, size: u64) -> Result<Copied, Failure> {
    let options = BackupOptions {
        serve: ServeOptions { data: Some(data.into()), dev: true, ..ServeOptions::default() },
        destination: backup_place(sandbox, size),
        // The next destruction ends it: what comes after costs what it costs without backups.
        window: None,
        full: true,
    };
    let begin = monotonic();
    let taken = take(&options, &mut |_| ()).map_err(failure)?;
    Ok(Copied { elapsed: monotonic().saturating_sub(begin), bytes: taken.segment.note.bytes })
}

/// As after the loss of everything but backup, slot and seal: from copies of these, since a restore
/// takes the slot over, and the data that it belonged to would open nowhere any more.
fn restore_all(sandbox: &Sandbox, data: &Path, size: u64) -> Result<Copied, Failure> {
    let safe = sandbox.path().join("safe");
    copy_folder(&data.join("slot"), &safe)
        .map_err(|error| Failure::Failed(format!("cannot copy the slot: {error}")))?;
    let set = |name: &str, file: &str| {
        let path = safe.join(file);
        format!("{name}={}", serde_json::Value::from(path.to_string_lossy()))
    };
    let restored = sandbox.path().join("restored");
    let options = RestoreOptions {
        serve: ServeOptions {
            data: Some(restored.clone()),
            set: vec![set("slot.path", "root.slot"), set("seal.path", "root.key")],
            dev: true,
            ..ServeOptions::default()
        },
        source: backup_place(sandbox, size),
        backup: None,
    };
    let begin = monotonic();
    restore(&options, &mut |_| ()).map_err(failure)?;
    let elapsed = monotonic().saturating_sub(begin);
    Ok(Copied { elapsed, bytes: disk_bytes(&restored.join("store")) })
}

/// With all that is in it, and for nobody else.
fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

/// Bytes that a process has had written to storage so far (proc(5), `write_bytes`).
fn written_bytes(process: u32) -> Option<u64> {
    written_in(&fs::read_to_string(format!("/proc/{process}/io")).ok()?)
}

fn written_in(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::bench::load::Run;

    #[test]
    fn what_was_written_is_read() {
        let io = "rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 9\n";
        assert_eq!(written_in(io), Some(4_096));
        for wrong in ["", "write_bytes:", "write_bytes: x", "cancelled_write_bytes: 9"] {
            assert_eq!(written_in(wrong), None, "{wrong}");
        }
        assert!(written_bytes(std::process::id()).is_some());
        assert_eq!(written_bytes(0), None);
    }

    #[test]
    fn a_folder_is_copied_with_its_folders() {
        let scratch = crate::local::Scratch::new(None).unwrap();
        let [from, to] = ["from", "to"].map(|name| scratch.path().join(name));
        fs::create_dir_all(from.join("inner")).unwrap();
        fs::write(from.join("inner/file"), b"bytes").unwrap();
        copy_folder(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("inner/file")).unwrap(), b"bytes");
        assert!(copy_folder(&from, &to).is_err(), "nothing is overwritten");
    }

    #[test]
    fn costs_are_by_destruction() {
        let run = Run { done: 4, elapsed: Duration::from_secs(2), ..Run::default() };
        let cpu = Some(Duration::from_millis(8));
        let cost = Cost::of(&Watched { run, cpu, foreign: None }, 1, 400);
        assert_eq!((cost.cpu, cost.written_bytes), (Duration::from_millis(2), 100));
        assert!((cost.per_second - 2.0).abs() < 1e-9);
        assert_eq!(Cost::of(&Watched::default(), 1, 0).written_bytes, 0);
    }

    #[test]
    fn keys_go_from_all_over() {
        let keys = |count: u32| (0..count).map(|number| number.to_string()).collect();
        #[track_caller]
        fn check(mut keys: VecDeque<String>, most: usize, expected: &[&str]) {
            let count = keys.len();
            let (go, stay) = spread(&mut keys, most);
            assert_eq!(go, expected);
            assert_eq!(go.len() + stay.len(), count);
        }
        check(keys(12), 3, &["0", "4", "8"]);
        check(keys(12), 99, &["0", "4", "8"]);
        check(keys(3), 99, &[]);
        check(keys(0), 9, &[]);
    }
}
