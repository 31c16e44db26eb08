//! What a load costs: CPU time and memory of the server, and what else the machine did meanwhile.

use core::time::Duration;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::http::Target;
use super::load::{self, Load, Run, count};
use super::work::Work;

/// A load and its cost.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    pub(super) run: Run,
    /// CPU time of the server.
    pub(super) cpu: Option<Duration>,
    /// CPU time of processes outside of this measurement.
    pub(super) foreign: Option<Duration>,
}

impl Watched {
    /// CPU seconds of the server for 1,000 requests.
    pub(super) fn cpu_per_1k(&self) -> Option<f64> {
        let cpu = self.cpu.filter(|_| self.run.done > 0)?;
        Some(cpu.as_secs_f64() * 1_000.0 / count(self.run.done))
    }

    /// Cores that processes outside of this measurement used.
    pub(super) fn foreign_cores(&self) -> Option<f64> {
        Some(self.foreign?.as_secs_f64() / self.run.elapsed.as_secs_f64().max(0.001))
    }

    /// Another one of the same kind.
    pub(super) fn add(&mut self, other: Self) {
        let is_first = self.run.elapsed.is_zero();
        let sum = |mine: Option<Duration>, others: Option<Duration>| {
            if is_first { others } else { Some(mine? + others?) }
        };
        self.cpu = sum(self.cpu, other.cpu);
        self.foreign = sum(self.foreign, other.foreign);
        self.run.add(other.run);
    }
}

/// Runs a load and reads what it cost.
pub(super) async fn watch(
    target: &Target,
    work: &Arc<Work>,
    load: Load,
    process: Option<u32>,
) -> Result<Watched, String> {
    watch_all(process, load::run(target, work, load)).await
}

/// Reads what `run` costs, whatever it does.
pub(super) async fn watch_all(
    process: Option<u32>,
    run: impl Future<Output = Result<Run, String>>,
) -> Result<Watched, String> {
    let cpu = || process.map(|id| cpu_of(&id.to_string()));
    let all = || Some((machine_cpu()?, cpu_of("self")?));
    let (cpu_before, all_before) = (cpu(), all());
    let run = run.await?;
    let (cpu_after, all_after) = (cpu(), all());
    let cpu = match (cpu_before, cpu_after) {
        (Some(Some(before)), Some(Some(after))) => Some(after.saturating_sub(before)),
        (None, _) => None,
        _ => return Err("the process to watch is not there".to_owned()),
    };
    let foreign = all_before.zip(all_after).map(|((machine, own), (machine_2, own_2))| {
        let here = own_2.saturating_sub(own) + cpu.unwrap_or_default();
        machine_2.saturating_sub(machine).saturating_sub(here)
    });
    Ok(Watched { run, cpu, foreign })
}

/// CPU time that a process has used so far, in user and in kernel mode.
pub(super) fn cpu_of(process: &str) -> Option<Duration> {
    cpu_in(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// From the text of `/proc/PID/stat` (proc(5)).
fn cpu_in(stat: &str) -> Option<Duration> {
    // The name of the program, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(ticks(user.checked_add(system)?))
}

/// CPU time that all processes of the machine have used, and what a hypervisor took.
fn machine_cpu() -> Option<Duration> {
    machine_cpu_in(&fs::read_to_string("/proc/stat").ok()?)
}

fn machine_cpu_in(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> =
        line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    // user, nice, system and steal
    Some(ticks([0, 1, 2, 7].into_iter().filter_map(|index| fields.get(index)).sum()))
}

fn ticks(number: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(number.saturating_mul(1_000) / per_second)
}

pub(super) fn resident_kib(process: u32) -> Option<u64> {
    memory_kib(process, "VmRSS:")
}

/// The most memory that a process ever had at a time.
pub(super) fn resident_peak_kib(process: u32) -> Option<u64> {
    memory_kib(process, "VmHWM:")
}

fn memory_kib(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Bytes that the files in and below a directory take on the disk; unreadable ones count nothing.
pub(super) fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;

    /// Bytes of a block, as file systems count (stat(2)).
    const BLOCK_BYTES: u64 = 512;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * BLOCK_BYTES,
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Scratch;

    #[test]
    fn cpu_times_are_read() {
        let fields = "S 1 2 3 4 5 6 7 8 9 10 250 150 0 0";
        let expected = Some(ticks(400));
        assert_eq!(cpu_in(&format!("17 (lethe) {fields}")), expected);
        assert_eq!(cpu_in(&format!("17 (a) b) 9 9) {fields}")), expected);
        for wrong in ["", "17 (lethe)", "17 (lethe) S 1 2", "17 (lethe) S 1 2 3 4 5 6 7 8 9 10 x y"]
        {
            assert_eq!(cpu_in(wrong), None, "{wrong}");
        }
        assert!(cpu_of("self").is_some());
        assert!(cpu_of("0").is_none());
    }

    #[test]
    fn the_time_of_the_machine_leaves_out_its_rest() {
        let stat = "cpu  1 2 3 1000 1000 0 0 4 0 0\ncpu0 9 9 9 9\n";
        assert_eq!(machine_cpu_in(stat), Some(ticks(10)));
        assert_eq!(machine_cpu_in("cpu0 1 2 3\n"), None);
        assert_eq!(machine_cpu_in("cpu  a b c\n"), None);
        assert!(machine_cpu().is_some());
    }

    #[test]
    fn memory_is_read() {
        let (now, peak) = (resident_kib(std::process::id()), resident_peak_kib(std::process::id()));
        assert!(now.unwrap() > 100 && peak.unwrap() > 100);
        assert_eq!(resident_kib(0), None);
    }

    #[test]
    fn cpu_time_is_by_requests() {
        let watched = |done, cpu| Watched {
            run: Run { done, elapsed: Duration::from_secs(2), ..Run::default() },
            cpu,
            foreign: Some(Duration::from_secs(1)),
        };
        let second = Some(Duration::from_secs(1));
        let mut first = watched(500, second);
        assert!((first.cpu_per_1k().unwrap() - 2.0).abs() < 1e-9);
        assert!((first.foreign_cores().unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(watched(0, second).cpu_per_1k(), None);
        assert_eq!(watched(5, None).cpu_per_1k(), None);
        first.add(watched(1_500, second));
        assert!((first.cpu_per_1k().unwrap() - 1.0).abs() < 1e-9);
        first.add(watched(1, None));
        assert_eq!(first.cpu, None, "what is not known of one is not known of all");
        let mut none = Watched::default();
        none.add(watched(1_000, second));
        assert_eq!(none.cpu, second);
    }

    #[test]
    fn files_are_counted_as_they_lie_on_the_disk() {
        let scratch = Scratch::new(None).unwrap();
        assert_eq!(disk_bytes(&scratch.path().join("nothing")), 0);
        fs::create_dir(scratch.path().join("inner")).unwrap();
        fs::write(scratch.path().join("inner/file"), vec![7; 10_000]).unwrap();
        assert!(disk_bytes(scratch.path()) >= 10_000);
    }
}
