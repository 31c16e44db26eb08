//! Encryptions at a steady rate, alone and beside something else: what do those who behave notice?
//!
//! The other thing has a thread of its own, so that the clients that are measured are not held up
//! by it on their side. It shares the machine's cores with them and with the server, as no client
//! elsewhere would, and gives way to both as far as the kernel lets it.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::cost::{Watched, resident_kib, watch};
use super::flood::{self, Flood, Tally};
use super::load::{self, Load, Pace, Run};
use super::measure::Session;
use super::scenario::Body;
use super::work::Work;
use crate::local::Sandbox;

/// Connections over which keys are destroyed meanwhile.
const DESTROY_CONNECTIONS: usize = 16;
/// Of the thread that disturbs, as `nice` has it.
const LEAST_PRIORITY: i32 = 19;
/// Before what is measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// How often the latency alone those who behave may wait (design, section 10).
pub(super) const RATIO_MAX: f64 = 2.0;

/// What can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Destroys,
    Backup,
    Flood,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "destroys" => Ok(Self::Destroys),
            "backup" => Ok(Self::Backup),
            "flood" => Ok(Self::Flood),
            _ => Err("there are: destroys, backup, flood".to_owned()),
        }
    }
}

/// What happens meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// So many destructions a second, each final with its receipt.
    Destroys(u32),
    /// One whole backup after the other.
    Backup,
    Flood(Flood),
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Destroys(per_second) => write!(f, "{per_second} destroys/s"),
            Self::Backup => f.write_str("backup"),
            Self::Flood(flood) => write!(f, "flood: {}", flood.as_str()),
        }
    }
}

/// What was noticed of one disturbance.
#[derive(Debug)]
pub(super) struct Mixed {
    pub(super) disturbance: Disturbance,
    pub(super) connections: usize,
    /// Encryptions a second that were to be sent.
    pub(super) per_second: u32,
    pub(super) alone: Watched,
    pub(super) disturbed: Watched,
    pub(super) did: Did,
    /// Memory of the server before and after it.
    pub(super) resident_kib: (Option<u64>, Option<u64>),
}

/// What the disturbance did.
#[derive(Debug, Default)]
pub(super) struct Did {
    destroyed: Option<Run>,
    backups: Option<u64>,
    flood: Option<Tally>,
}

impl Mixed {
    /// How many times the latency alone 99 of 100 stayed below.
    pub(super) fn ratio(&self) -> Option<f64> {
        let p99 = |watched: &Watched| watched.run.latencies.percentile(990).as_secs_f64();
        Some(p99(&self.disturbed) / p99(&self.alone)).filter(|ratio| ratio.is_finite())
    }

    pub(super) fn json(&self) -> Value {
        let of = |watched: &Watched| {
            let latencies = &watched.run.latencies;
            json!({
                "requests": watched.run.done,
                "unsent": watched.run.unsent,
                "errors": watched.run.errors,
                "first_error": watched.run.first_error,
                "p50_ms": latencies.percentile(500).as_secs_f64() * 1_000.0,
                "p99_ms": latencies.percentile(990).as_secs_f64() * 1_000.0,
                "longest_ms": latencies.longest().as_secs_f64() * 1_000.0,
                "server_cpu_s": watched.cpu.map(|cpu| cpu.as_secs_f64()),
                "foreign_cores": watched.foreign_cores(),
            })
        };
        json!({
            "meanwhile": self.disturbance.to_string(),
            "connections": self.connections,
            "encryptions_per_s": self.per_second,
            "alone": of(&self.alone),
            "disturbed": of(&self.disturbed),
            "p99_ratio": self.ratio(),
            "did": self.did.json(),
            "resident_before_kib": self.resident_kib.0,
            "resident_after_kib": self.resident_kib.1,
        })
    }
}

impl Did {
    fn add(&mut self, other: Self) {
        if let Some(run) = other.destroyed {
            self.destroyed.get_or_insert_default().add(run);
        }
        if let Some(number) = other.backups {
            *self.backups.get_or_insert_default() += number;
        }
        if let Some(tally) = other.flood {
            self.flood.get_or_insert_default().add(&tally);
        }
    }

    /// In a few words.
    pub(super) fn words(&self) -> String {
        let destroyed = self.destroyed.as_ref().map(|run| {
            let p99 = run.latencies.percentile(990).as_secs_f64() * 1_000.0;
            let late =
                if run.unsent > 0 { format!(", {} unsent", run.unsent) } else { String::new() };
            format!("{} destroyed, {:.0} /s, p99 {p99:.1} ms{late}", run.done, run.rate())
        });
        let backups = self.backups.map(|number| format!("{number} backups"));
        let flood = self.flood.as_ref().map(Tally::words);
        [destroyed, backups, flood].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    fn json(&self) -> Value {
        let destroyed = self.destroyed.as_ref().map(|run| {
            json!({
                "requests": run.done,
                "per_second": run.rate(),
                "unsent": run.unsent,
                "errors": run.errors,
                "first_error": run.first_error,
                "p50_ms": run.latencies.percentile(500).as_secs_f64() * 1_000.0,
                "p99_ms": run.latencies.percentile(990).as_secs_f64() * 1_000.0,
            })
        });
        let flood = self.flood.as_ref().map(Tally::json);
        json!({"destroyed": destroyed, "backups": self.backups, "flood": flood})
    }

    /// What failed of what was not meant to fail.
    pub(super) fn error(&self) -> Option<&str> {
        self.destroyed.as_ref()?.first_error.as_deref()
    }
}

/// Measures all disturbances of the plan.
///
/// # Errors
/// The reason in words.
pub(super) async fn measure(
    session: &mut Session<'_>,
    sandbox: &Sandbox,
) -> Result<Vec<Mixed>, String> {
    let plan = session.plan;
    let per_second = plan.steady_per_s();
    let prepared = session.prepare_use("aes256-gcm", "encrypt", Body::Plaintext(32)).await?;
    let path = path_of(&prepared).ok_or("the request has no path")?;
    let work = Arc::new(prepared);
    let mut all = Vec::new();
    for connections in plan.connections.iter().copied() {
        let load = Load { connections, time: plan.each, pace: Pace::Open(per_second) };
        let warm_up = Load::closed(connections, WARM_UP.min(plan.each));
        for disturbance in plan.disturbances.iter().copied() {
            load::run(&session.site.target, &work, warm_up).await?;
            let resident = || session.process_id.and_then(resident_kib);
            let before = resident();
            let (mut alone, mut disturbed) = (Watched::default(), Watched::default());
            let mut did = Did::default();
            for _ in 0..plan.rounds {
                let target = session.site.target.clone();
                alone.add(watch(&target, &work, load, session.process_id).await?);
                let disturber = Disturber::start(session, sandbox, disturbance, &path).await?;
                let watched = watch(&target, &work, load, session.process_id).await;
                did.add(disturber.end()?);
                disturbed.add(watched?);
            }
            let resident_kib = (before, session.process_id.and_then(resident_kib));
            all.push(Mixed {
                disturbance,
                connections,
                per_second,
                alone,
                disturbed,
                did,
                resident_kib,
            });
        }
    }
    Ok(all)
}

fn path_of(work: &Work) -> Option<String> {
    let mut request = Vec::new();
    work.next(&mut request);
    let text = String::from_utf8_lossy(&request).into_owned();
    text.split(' ').nth(1).map(str::to_owned)
}

/// The thread that disturbs.
struct Disturber {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Did, String>>>,
}

impl Disturber {
    async fn start(
        session: &mut Session<'_>,
        sandbox: &Sandbox,
        disturbance: Disturbance,
        path: &str,
    ) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (site, stop_seen) = (session.site.clone(), Arc::clone(&stop));
        let work: Box<dyn FnOnce() -> Result<Did, String> + Send> = match disturbance {
            Disturbance::Destroys(per_second) => {
                let time = session.plan.each;
                let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                let keys = u64::from(per_second).saturating_mul(milliseconds) / 1_000 + 1;
                let keys = usize::try_from(keys).unwrap_or(usize::MAX);
                session.fill(keys).await?;
                let work = Arc::new(session.deletions(keys));
                let (connections, pace) = (DESTROY_CONNECTIONS, Pace::Open(per_second));
                let load = Load { connections, time, pace };
                Box::new(move || {
                    let run = run_in_own_runtime(load::run(&site.target, &work, load))??;
                    Ok(Did { destroyed: Some(run), ..Did::default() })
                })
            }
            Disturbance::Backup => {
                let backup = Backup {
                    data: session.server.data.clone(),
                    destination: sandbox.path().join("backup"),
                    accepts_any_filesystem: session.server.accepts_any_filesystem,
                };
                Box::new(move || {
                    let mut number = 0;
                    while !stop_seen.load(Ordering::Relaxed) {
                        backup.take()?;
                        number += 1;
                    }
                    Ok(Did { backups: Some(number), ..Did::default() })
                })
            }
            Disturbance::Flood(flood) => {
                let (connections, path) = (session.plan.flood_connections, path.to_owned());
                Box::new(move || {
                    let run = flood::run(site, flood, connections, path, &stop_seen);
                    Ok(Did { flood: Some(run_in_own_runtime(run)?), ..Did::default() })
                })
            }
        };
        let thread = std::thread::Builder::new().spawn(move || {
            // The programs that it starts give way with it. Where it may not, it disturbs more.
            let _gave_way = rustix::process::setpriority_process(None, LEAST_PRIORITY);
            work()
        });
        let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends it; what it did.
    fn end(mut self) -> Result<Did, String> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().ok_or("the disturbance was ended before")?;
        thread.join().map_err(|_| "the disturbance's thread failed".to_owned())?
    }
}

impl Drop for Disturber {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run_in_own_runtime<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    Ok(runtime.block_on(work))
}

/// A backup of the running server, with the command that people use.
struct Backup {
    data: PathBuf,
    destination: PathBuf,
    accepts_any_filesystem: bool,
}

impl Backup {
    fn take(&self) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg("backup").arg(&self.destination).args(["--full", "--window", "0"]);
        command.arg("--data").arg(&self.data);
        if self.accepts_any_filesystem {
            command.args(["--set", "slot.accept_filesystem=true"]);
        }
        let output = command.output().map_err(|error| format!("cannot take a backup: {error}"))?;
        remove(&self.destination)?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("a backup failed: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// So that backups do not fill the disk.
fn remove(directory: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("cannot remove a backup: {error}"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use lethe_types::SecretVec;

    use super::*;

    #[test]
    fn the_path_is_that_of_the_request() {
        let path = |request: &[u8]| path_of(&Work::same(SecretVec::copy_from(request), 200));
        assert_eq!(path(b"POST /v1/a HTTP/1.1\r\n").as_deref(), Some("/v1/a"));
        assert_eq!(path(b""), None);
    }

    #[test]
    fn what_was_done_adds_up() {
        let run = Run { done: 10, elapsed: Duration::from_secs(1), ..Run::default() };
        let mut did = Did { destroyed: Some(run.clone()), ..Did::default() };
        did.add(Did { destroyed: Some(Run { unsent: 1, ..run }), ..Did::default() });
        assert_eq!(did.words(), "20 destroyed, 10 /s, p99 0.0 ms, 1 unsent");
        assert_eq!(did.error(), None);
        let mut did = Did { backups: Some(2), ..Did::default() };
        did.add(Did { backups: Some(1), ..Did::default() });
        assert_eq!((did.words().as_str(), &did.json()["backups"]), ("3 backups", &json!(3)));
    }

    #[test]
    fn the_ratio_is_of_the_slowest_of_a_hundred() {
        let watched = |milliseconds| {
            let mut run = Run::default();
            run.latencies.record(Duration::from_millis(milliseconds));
            Watched { run, ..Watched::default() }
        };
        let mut mixed = Mixed {
            disturbance: Disturbance::Flood(Flood::HalfOpen),
            connections: 1,
            per_second: 1,
            alone: watched(2),
            disturbed: watched(5),
            did: Did::default(),
            resident_kib: (None, None),
        };
        assert!((mixed.ratio().unwrap() - 2.5).abs() < 0.01);
        assert_eq!(mixed.json()["meanwhile"], "flood: half-open");
        mixed.alone = Watched::default();
        assert_eq!(mixed.ratio(), None);
    }
}
