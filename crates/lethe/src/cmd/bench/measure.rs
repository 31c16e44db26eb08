//! One measurement after the other, each with the CPU time that the server spent on it.

use core::time::Duration;
use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;

use lethe_types::SecretVec;
use serde_json::Value;

use super::floor::Floor;
use super::http::{Connection, Target};
use super::load::{self, Run, count};
use super::work::Work;
use super::{BenchServer, Kind, Plan};
use crate::failure::Failure;
use crate::local::monotonic;
use crate::output::member;

/// Before what is measured, so that connections, caches and branch predictors are warm.
const WARM_UP: Duration = Duration::from_millis(300);
/// Keys that are made beforehand for each second of destroying, and most of them.
const KEYS_PER_SECOND: u64 = 5_000;
const KEYS_MAX: u64 = 30_000;
/// Connections over which keys are made beforehand or cleared away.
const FILL_CONNECTIONS: usize = 32;
/// Longest time for either.
const FILL_WITHIN: Duration = Duration::from_secs(120);

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) rows: Vec<Row>,
    /// Memory of the server at the end, in KiB.
    pub(super) resident_kib: Option<u64>,
}

/// One measurement.
#[derive(Debug)]
pub(super) struct Row {
    /// What was done.
    pub(super) kind: Kind,
    /// By the endpoint that only does HTTP, JSON and the cipher.
    pub(super) is_floor: bool,
    pub(super) connections: usize,
    pub(super) run: Run,
    /// CPU time of the server.
    pub(super) cpu: Option<Duration>,
    /// Cores that processes outside of this measurement used meanwhile.
    pub(super) foreign_cores: Option<f64>,
}

impl Row {
    /// CPU seconds of the server for 1,000 requests.
    pub(super) fn cpu_per_1k(&self) -> Option<f64> {
        let requests = self.run.latencies.len();
        let cpu = self.cpu.filter(|_| requests > 0)?;
        Some(cpu.as_secs_f64() * 1_000.0 / count(requests))
    }
}

/// Measures all of `plan`.
///
/// # Errors
/// [`Failure::Failed`] if the server does not take part. Single requests that fail are counted.
pub(super) async fn all(
    plan: &Plan,
    server: &BenchServer,
    floor: &Floor,
) -> Result<Measured, Failure> {
    let url = server.dev.http_url.as_deref();
    let url = url.ok_or_else(|| Failure::Failed("the server has no plain HTTP door".to_owned()))?;
    let target = Target::of(url).map_err(Failure::Failed)?;
    let token = core::str::from_utf8(server.dev.token.expose())
        .map_err(|_| Failure::Configuration("the token in dev.json is not one".to_owned()))?;
    let mut session = Session {
        target,
        token,
        process_id: server.process_id,
        floor,
        keys: VecDeque::new(),
        own_keys: VecDeque::new(),
        measured: Measured::default(),
    };
    let result = session.measure(plan).await;
    session.measured.resident_kib = server.process_id.and_then(resident_kib);
    if server.is_foreign {
        session.clear().await.map_err(Failure::Failed)?;
    }
    result.map_err(Failure::Failed)?;
    Ok(session.measured)
}

struct Session<'a> {
    target: Target,
    token: &'a str,
    process_id: Option<u32>,
    floor: &'a Floor,
    /// Keys that may be destroyed.
    keys: VecDeque<String>,
    /// Keys that are used.
    own_keys: VecDeque<String>,
    measured: Measured,
}

impl Session<'_> {
    async fn measure(&mut self, plan: &Plan) -> Result<(), String> {
        let uses = self.prepare_uses().await?;
        for connections in plan.connections.iter().copied() {
            for kind in plan.kinds.iter().copied() {
                match kind {
                    Kind::Encrypt => {
                        self.measure_floor(kind, connections, plan.each).await?;
                        self.measure_use(kind, &uses.encrypt, connections, plan.each).await?;
                    }
                    Kind::Decrypt => {
                        if !plan.kinds.contains(&Kind::Encrypt) {
                            self.measure_floor(Kind::Encrypt, connections, plan.each).await?;
                        }
                        self.measure_use(kind, &uses.decrypt, connections, plan.each).await?;
                    }
                    Kind::Sign => {
                        self.measure_floor(kind, connections, plan.each).await?;
                        self.measure_use(kind, &uses.sign, connections, plan.each).await?;
                    }
                    Kind::Create => self.measure_create(connections, plan.each).await?,
                    Kind::Destroy => self.measure_destroy(connections, plan.each).await?,
                }
            }
        }
        Ok(())
    }

    /// Two keys and the requests that use them.
    async fn prepare_uses(&mut self) -> Result<Uses, String> {
        let mut made = Vec::new();
        for algorithm in ["aes256-gcm", "ed25519"] {
            let body = format!(r#"{{"name":"bench","algorithm":"{algorithm}"}}"#);
            let key = member(&self.ask("/v1/keys", &body).await?, "id");
            self.own_keys.push_back(key.clone());
            made.push(format!("/v1/keys/{key}"));
        }
        let [cipher, pair] = made.as_slice() else { return Err("no keys".to_owned()) };
        let encrypt = format!("{cipher}/encrypt");
        let ciphertext = member(&self.ask(&encrypt, ENCRYPT).await?, "ciphertext");
        let decrypt = format!(r#"{{"ciphertext":"{ciphertext}"}}"#);
        let work = |path: &str, body: &str| Arc::new(Work::same(self.post(path, body), 200));
        Ok(Uses {
            encrypt: work(&encrypt, ENCRYPT),
            decrypt: work(&format!("{cipher}/decrypt"), &decrypt),
            sign: work(&format!("{pair}/sign"), SIGN),
        })
    }

    fn post(&self, path: &str, body: &str) -> SecretVec {
        self.target.request("POST", path, Some(self.token), Some(body))
    }

    async fn ask(&self, path: &str, body: &str) -> Result<Value, String> {
        let mut connection = Connection::open(&self.target).await?;
        let (status, body) = connection.exchange(self.post(path, body).expose()).await?;
        match status {
            200..300 => serde_json::from_slice(body).map_err(|error| error.to_string()),
            _ => Err(format!("{path}: status {status}: {}", String::from_utf8_lossy(body))),
        }
    }

    async fn measure_floor(
        &mut self,
        kind: Kind,
        connections: usize,
        time: Duration,
    ) -> Result<(), String> {
        let target = self.floor.target.clone();
        let (path, body) = if kind == Kind::Sign { ("/sign", SIGN) } else { ("/encrypt", ENCRYPT) };
        let work = Arc::new(Work::same(target.request("POST", path, None, Some(body)), 200));
        load::run(&target, &work, connections, WARM_UP).await?;
        let process = Some(self.floor.process.id());
        let row =
            Row { is_floor: true, ..watch(&target, &work, connections, time, process).await? };
        self.measured.rows.push(Row { kind, ..row });
        Ok(())
    }

    async fn measure_use(
        &mut self,
        kind: Kind,
        work: &Arc<Work>,
        connections: usize,
        time: Duration,
    ) -> Result<(), String> {
        load::run(&self.target, work, connections, WARM_UP).await?;
        let row = watch(&self.target, work, connections, time, self.process_id).await?;
        self.measured.rows.push(Row { kind, ..row });
        Ok(())
    }

    async fn measure_create(&mut self, connections: usize, time: Duration) -> Result<(), String> {
        let work = Arc::new(Work::making_keys(self.post("/v1/keys", CREATE)));
        let mut row = watch(&self.target, &work, connections, time, self.process_id).await?;
        self.keys.append(&mut row.run.keys);
        self.measured.rows.push(Row { kind: Kind::Create, ..row });
        Ok(())
    }

    async fn measure_destroy(&mut self, connections: usize, time: Duration) -> Result<(), String> {
        let wanted = time.as_secs().saturating_mul(KEYS_PER_SECOND).min(KEYS_MAX);
        self.fill(usize::try_from(wanted).unwrap_or(usize::MAX)).await?;
        let work = Arc::new(self.deletions());
        let row = watch(&self.target, &work, connections, time, self.process_id).await?;
        let work = Arc::into_inner(work).ok_or("a connection did not end")?;
        self.keys = work.into_keys_left();
        self.measured.rows.push(Row { kind: Kind::Destroy, ..row });
        Ok(())
    }

    /// Takes all keys that may go.
    fn deletions(&mut self) -> Work {
        const MARK: &str = "{key}";
        let path = format!("/v1/keys/{MARK}");
        let request = self.target.request("DELETE", &path, Some(self.token), None);
        Work::per_key(&request, MARK.as_bytes(), std::mem::take(&mut self.keys), 200)
    }

    /// Makes keys until there are `wanted`, or the time is over.
    async fn fill(&mut self, wanted: usize) -> Result<(), String> {
        const ROUND: Duration = Duration::from_millis(500);
        let end = monotonic() + FILL_WITHIN;
        while self.keys.len() < wanted && monotonic() < end {
            let work = Arc::new(Work::making_keys(self.post("/v1/keys", CREATE)));
            let mut run = load::run(&self.target, &work, FILL_CONNECTIONS, ROUND).await?;
            if let Some(why) = run.first_error {
                return Err(format!("keys cannot be made: {why}"));
            }
            self.keys.append(&mut run.keys);
        }
        Ok(())
    }

    /// Destroys what is left of what the load made.
    async fn clear(&mut self) -> Result<(), String> {
        let mut own = std::mem::take(&mut self.own_keys);
        self.keys.append(&mut own);
        let work = Arc::new(self.deletions());
        let run = load::run(&self.target, &work, FILL_CONNECTIONS, FILL_WITHIN).await?;
        run.first_error.map_or(Ok(()), |why| Err(format!("keys of the load are left: {why}")))
    }
}

struct Uses {
    encrypt: Arc<Work>,
    decrypt: Arc<Work>,
    sign: Arc<Work>,
}

/// Runs a load and reads what it cost. The kind is the caller's to set.
pub(super) async fn watch(
    target: &Target,
    work: &Arc<Work>,
    connections: usize,
    time: Duration,
    process: Option<u32>,
) -> Result<Row, String> {
    let cpu = || process.map(|id| cpu_of(&id.to_string()));
    let all = || Some((machine_cpu()?, cpu_of("self")?));
    let (cpu_before, all_before) = (cpu(), all());
    let run = load::run(target, work, connections, time).await?;
    let (cpu_after, all_after) = (cpu(), all());
    let cpu = match (cpu_before, cpu_after) {
        (Some(Some(before)), Some(Some(after))) => Some(after.saturating_sub(before)),
        (None, _) => None,
        _ => return Err("the process to watch is not there".to_owned()),
    };
    let foreign_cores = all_before.zip(all_after).map(|((machine, own), (machine_2, own_2))| {
        let here = own_2.saturating_sub(own) + cpu.unwrap_or_default();
        let foreign = machine_2.saturating_sub(machine).saturating_sub(here);
        foreign.as_secs_f64() / run.elapsed.as_secs_f64().max(0.001)
    });
    Ok(Row { kind: Kind::Encrypt, is_floor: false, connections, run, cpu, foreign_cores })
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

/// 32 bytes to encrypt.
const ENCRYPT: &str = r#"{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;
/// The same to sign.
const SIGN: &str = r#"{"message":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;
const CREATE: &str = r#"{"name":"bench","algorithm":"aes256-gcm"}"#;

#[cfg(test)]
mod tests {
    use super::*;

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
        let row = |requests, cpu| Row {
            kind: Kind::Sign,
            is_floor: false,
            connections: 1,
            run: Run { latencies: vec![Duration::ZERO; requests], ..Run::default() },
            cpu,
            foreign_cores: None,
        };
        let second = Some(Duration::from_secs(1));
        assert!((row(500, second).cpu_per_1k().unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(row(0, second).cpu_per_1k(), None);
        assert_eq!(row(5, None).cpu_per_1k(), None);
    }
}
