//! `lethe bench bulk`: a server of its own, many keys in one vault, one bulk destruction of all of
//! them, and then every receipt fetched and verified with the log's public key alone.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use lethe_log::VerifierKey;
use lethe_types::SecretVec;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::KEYS_MAX;
use super::cost::{cpu_of, resident_kib, resident_peak_kib};
use super::http::{Connection, Target};
use super::load::{self, Load};
use super::work::{Work, id_of};
use crate::cmd::receipt::{log_key_of, reasons};
use crate::failure::Failure;
use crate::local::{LocalServer, Sandbox, interruptible, monotonic};
use crate::output::{Output, member, table, thousands};

/// Most connections at a time.
const CONNECTIONS_MAX: u64 = 256;
/// Longest time for each part.
const PART_WITHIN: Duration = Duration::from_secs(3_600);
/// How often it is looked how far the destruction came.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Receipts that wait for a thread that verifies them.
const WAITING_MAX: usize = 256;

/// How many keys, and where.
#[derive(Args, Clone, Debug)]
pub(super) struct Bulk {
    /// Keys to make and destroy
    #[arg(long, default_value_t = 100_000,
          value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    keys: u64,
    /// Connections over which keys are made and receipts fetched
    #[arg(long, default_value_t = 64,
          value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    connections: u64,
    /// The directory (and so the disk) under which the server keeps its data
    #[arg(long, value_name = "DIR")]
    data_under: Option<PathBuf>,
}

pub(super) fn run(wanted: Bulk, output: &mut Output) -> Result<(), Failure> {
    let as_json = output.is_json();
    let sandbox = Sandbox::new(wanted.data_under.as_deref())?;
    interruptible(sandbox, move |sandbox| {
        let data = sandbox.path().join("data");
        let LocalServer { process, dev, .. } =
            sandbox.serve(&data).map_err(|refused| super::not_ready("the server", &refused))?;
        let url = dev.http_url.as_deref();
        let url =
            url.ok_or_else(|| Failure::Failed("the server has no plain HTTP door".to_owned()))?;
        let token = core::str::from_utf8(dev.token.expose())
            .map_err(|_| Failure::Configuration("the token in dev.json is not one".to_owned()))?;
        let session = Session {
            target: Target::of(url).map_err(Failure::Failed)?,
            token,
            process: process.id(),
            log_key: log_key_of(&data)?,
            connections: usize::try_from(wanted.connections).unwrap_or(1),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
        let measured = runtime.block_on(session.measure(wanted.keys)).map_err(Failure::Failed)?;
        let mut output = Output::new(as_json);
        print(&measured, &mut output)?;
        output.finish()
    })
}

/// One part of the work.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    elapsed: Duration,
    server_cpu: Duration,
}

#[derive(Debug)]
struct Measured {
    keys: u64,
    create: Part,
    destroy: Part,
    verify: Part,
    resident_live_kib: Option<u64>,
    resident_kib: Option<u64>,
    resident_peak_kib: Option<u64>,
}

struct Session<'a> {
    target: Target,
    token: &'a str,
    process: u32,
    log_key: VerifierKey,
    connections: usize,
}

impl Session<'_> {
    async fn measure(&self, keys: u64) -> Result<Measured, String> {
        let vault = self.ask("POST", "/v1/vaults", Some(r#"{"name":"bench"}"#)).await?;
        let vault = member(&vault, "id");
        let (create, made) = self.watch(self.create(&vault, keys)).await?;
        let resident_live_kib = resident_kib(self.process);
        let (destroy, ()) = self.watch(self.destroy(&vault, keys)).await?;
        let (verify, ()) = self.watch(self.verify(made)).await?;
        Ok(Measured {
            keys,
            create,
            destroy,
            verify,
            resident_live_kib,
            resident_kib: resident_kib(self.process),
            resident_peak_kib: resident_peak_kib(self.process),
        })
    }

    /// Time, and CPU time of the server, that `work` takes.
    async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<(Part, T), String> {
        let cpu = || cpu_of(&self.process.to_string()).ok_or("the server has ended");
        let (start, cpu_before) = (monotonic(), cpu()?);
        let done = work.await?;
        let elapsed = monotonic().saturating_sub(start);
        Ok((Part { elapsed, server_cpu: cpu()?.saturating_sub(cpu_before) }, done))
    }

    async fn create(&self, vault: &str, keys: u64) -> Result<VecDeque<String>, String> {
        const MARK: &str = "{key}";
        let body = json!({"name": format!("bench-{MARK}"), "algorithm": "aes256-gcm",
            "vault": vault});
        // Numbers of one width, so that the length of the request is right for all.
        let width = MARK.len().max(keys.to_string().len());
        let body = body.to_string().replace(MARK, &format!("{MARK:0<width$}"));
        let request = self.target.request("POST", "/v1/keys", Some(self.token), Some(&body));
        let mark = format!("{MARK:0<width$}");
        let numbers = (0..keys).map(|number| format!("{number:0width$}")).collect();
        let mut work = Work::per_key(&request, mark.as_bytes(), numbers, 201);
        work.collects = Some(id_of);
        let load = Load::closed(self.connections, PART_WITHIN);
        let run = load::run(&self.target, &Arc::new(work), load).await?;
        match run.first_error {
            None if u64::try_from(run.keys.len()) == Ok(keys) => Ok(run.keys),
            None => Err(format!("only {} keys were made", run.keys.len())),
            Some(why) => Err(format!("keys cannot be made: {why}")),
        }
    }

    async fn destroy(&self, vault: &str, keys: u64) -> Result<(), String> {
        let body = json!({"vault": vault, "reason": "bench", "expected": keys}).to_string();
        let mut job = self.ask("POST", "/v1/destructions", Some(&body)).await?;
        let path = format!("/v1/destructions/{}", member(&job, "id"));
        let end = monotonic() + PART_WITHIN;
        while member(&job, "state") == "running" && monotonic() < end {
            tokio::time::sleep(LOOK_EVERY).await;
            job = self.ask("GET", &path, None).await?;
        }
        let is_whole = member(&job, "state") == "done"
            && job.get("destroyed").and_then(Value::as_u64) == Some(keys);
        if is_whole { Ok(()) } else { Err(format!("the destruction did not end well: {job}")) }
    }

    /// Fetches every receipt over many connections and verifies it in as many threads as there are
    /// cores: each key has its own, and no two the same place in the log.
    async fn verify(&self, keys: VecDeque<String>) -> Result<(), String> {
        let total = keys.len();
        let keys = Arc::new(Mutex::new(keys));
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let verifiers: Vec<_> = (0..cores)
            .map(|_| {
                let (receiver, log_key) = (Arc::clone(&receiver), self.log_key.clone());
                std::thread::spawn(move || verify_all(&receiver, &log_key))
            })
            .collect();
        drop(receiver);
        let mut fetchers = JoinSet::new();
        for _ in 0..self.connections {
            let (target, token) = (self.target.clone(), self.token.to_owned());
            fetchers.spawn(fetch(target, token, Arc::clone(&keys), sender.clone()));
        }
        drop(sender);
        let mut result = Ok(());
        while let Some(done) = fetchers.join_next().await {
            let done = done.map_err(|error| error.to_string()).and_then(|done| done);
            result = result.and(done);
        }
        let mut places = BTreeSet::new();
        for verifier in verifiers {
            let seen = verifier.join().map_err(|_| "a verifying thread failed".to_owned())?;
            // A receipt that does not hold is the reason why fetching ended, not the other way.
            places.extend(seen?);
        }
        result?;
        if places.len() == total {
            return Ok(());
        }
        Err(format!("{total} keys, but {} places in the log", places.len()))
    }

    async fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Result<Value, String> {
        let mut connection = Connection::open(&self.target).await?;
        let request = self.target.request(method, path, Some(self.token), body);
        let (status, body) = connection.exchange(request.expose()).await?;
        match status {
            200..300 => serde_json::from_slice(body).map_err(|error| error.to_string()),
            _ => Err(format!("{path}: status {status}: {}", String::from_utf8_lossy(body))),
        }
    }
}

/// A key and the receipt that the server gave for it.
type Fetched = (String, Vec<u8>);

async fn fetch(
    target: Target,
    token: String,
    keys: Arc<Mutex<VecDeque<String>>>,
    receipts: mpsc::Sender<Fetched>,
) -> Result<(), String> {
    let mut connection = Connection::open(&target).await?;
    loop {
        let key = keys.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(key) = key else { return Ok(()) };
        let path = format!("/v1/keys/{key}/receipt");
        let request: SecretVec = target.request("GET", &path, Some(&token), None);
        let (status, body) = connection.exchange(request.expose()).await?;
        if status != 200 {
            return Err(format!("{path}: status {status}: {}", String::from_utf8_lossy(body)));
        }
        let receipt = (key, body.to_vec());
        receipts.send(receipt).await.map_err(|_| "nobody verifies any more".to_owned())?;
    }
}

/// Verifies what comes; the places in the log.
fn verify_all(
    receipts: &Mutex<mpsc::Receiver<Fetched>>,
    log_key: &VerifierKey,
) -> Result<Vec<u64>, String> {
    let mut places = Vec::new();
    loop {
        let next = receipts.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some((key, receipt)) = next else { return Ok(places) };
        let verified = lethe_verify::verify(&receipt, log_key).map_err(|error| {
            format!("the receipt of key {key} does not hold: {}", reasons(&error))
        })?;
        if verified.key.to_string() != key {
            return Err(format!("the receipt of key {key} is of key {}", verified.key));
        }
        places.push(verified.receipt.index);
    }
}

// -------------------------------------------------------------------- report

fn print(measured: &Measured, output: &mut Output) -> Result<(), Failure> {
    let parts = [
        ("create", measured.create),
        ("destroy", measured.destroy),
        ("fetch and verify receipts", measured.verify),
    ];
    if output.is_json() {
        let part = |part: Part| {
            json!({
                "seconds": part.elapsed.as_secs_f64(),
                "per_second": rate(measured.keys, part.elapsed),
                "server_cpu_seconds": part.server_cpu.as_secs_f64(),
            })
        };
        return output.json(&json!({
            "keys": measured.keys,
            "create": part(measured.create),
            "destroy": part(measured.destroy),
            "receipts_verified": measured.keys,
            "verify": part(measured.verify),
            "resident_with_live_keys_kib": measured.resident_live_kib,
            "resident_kib": measured.resident_kib,
            "resident_peak_kib": measured.resident_peak_kib,
        }));
    }
    let rows: Vec<Vec<String>> = parts
        .iter()
        .map(|(name, part)| {
            vec![
                (*name).to_owned(),
                thousands(measured.keys),
                format!("{:.2}", part.elapsed.as_secs_f64()),
                thousands(rate(measured.keys, part.elapsed)),
                format!("{:.2}", part.server_cpu.as_secs_f64()),
            ]
        })
        .collect();
    for line in table(&["WORK", ">KEYS", ">SECONDS", ">/S", ">SERVER CPU S"], &rows) {
        output.line(&line)?;
    }
    output.line("")?;
    let memory =
        |kib: Option<u64>| kib.map_or_else(String::new, |kib| format!("{} KiB", thousands(kib)));
    output.fields(&[
        ("receipts verified", format!("{}, each at a place of its own", thousands(measured.keys))),
        ("server memory, all live", memory(measured.resident_live_kib)),
        ("server memory, at the end", memory(measured.resident_kib)),
        ("server memory, at most", memory(measured.resident_peak_kib)),
    ])
}

fn rate(keys: u64, time: Duration) -> u64 {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    keys.saturating_mul(1_000) / milliseconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_numbers() {
        assert_eq!(rate(100_000, Duration::from_secs(10)), 10_000);
        assert_eq!(rate(1, Duration::ZERO), 1_000);
        assert_eq!(rate(0, Duration::from_secs(1)), 0);
    }

    #[test]
    fn a_receipt_that_does_not_hold_ends_the_measurement() {
        let key = include_str!("../../../../lethe-verify/testdata/log.vkey").trim();
        let receipt = include_bytes!("../../../../lethe-verify/testdata/receipt.tlog-proof");
        let check = |key_id: &str, receipt: &[u8]| {
            let (sender, receiver) = mpsc::channel(1);
            sender.try_send((key_id.to_owned(), receipt.to_vec())).unwrap();
            drop(sender);
            verify_all(&Mutex::new(receiver), &key.parse().unwrap())
        };
        let of = lethe_verify::verify(receipt, &key.parse().unwrap()).unwrap().key.to_string();
        assert_eq!(check(&of, receipt).unwrap().len(), 1);
        assert!(check("0", receipt).unwrap_err().contains("is of key"));
        assert!(check(&of, b"").unwrap_err().contains("does not hold"));
    }
}
