//! `lethe bench door NAME`: a server of its own, many keys made through the door of a vendor, and
//! then the requests that its clients send: signed, or with the secrets of API keys.
//!
//! Every request is made as a client makes it, with a time and a signature of its own or with the
//! secret of another key, so that no cache answers for what is measured. The load itself, its
//! bounds and its connections are those of `lethe bench`.

pub(super) mod altostrat;
mod ncloud;

use core::str::FromStr;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde_json::{Value, json};

use super::cost::{Watched, resident_kib, resident_peak_kib, watch};
use super::http::{Connection, Target};
use super::load::{self, Load};
use super::work::Work;
use super::{CONNECTIONS_MAX, KEYS_MAX, SECONDS_MAX};
use crate::connection::dev_door;
use crate::failure::Failure;
use crate::local::{LocalServer, Sandbox, interruptible};
use crate::output::{Output, printable, table, thousands};

use altostrat::Altostrat;
use ncloud::Ncloud;

/// Connections over which they are made.
const FILL_CONNECTIONS: usize = 64;
/// Longest time for that.
const FILL_WITHIN: Duration = Duration::from_secs(3_600);
/// Before what is measured, so that connections and caches are warm.
const WARM_UP: Duration = Duration::from_millis(300);

/// Which door, how many keys, and how long.
#[derive(Args, Clone, Debug)]
pub(super) struct Door {
    /// The door: altostrat, ncloud
    name: Name,
    /// Keys that are made beforehand, and used in turn
    #[arg(long, default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    keys: u64,
    /// Connections at a time; each number is measured for itself
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
    /// Length of each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// Only these kinds of requests, by the names that the report gives them
    #[arg(long, value_name = "WORK,…", value_delimiter = ',')]
    only: Vec<String>,
    /// The directory (and so the disk) under which the server keeps its data
    #[arg(long, value_name = "DIR")]
    data_under: Option<PathBuf>,
}

/// A door that there is a scenario for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Altostrat,
    Ncloud,
}

impl Name {
    const ALL: [Self; 2] = [Self::Altostrat, Self::Ncloud];

    fn as_str(self) -> &'static str {
        match self {
            Self::Altostrat => "altostrat",
            Self::Ncloud => "ncloud",
        }
    }

    /// Settings of the server for the load.
    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Altostrat => &["--set", "door.altostrat.keys_max=0"],
            Self::Ncloud => &[],
        }
    }

    /// Its scenario.
    ///
    /// # Errors
    /// The reason in words, if `dev.json` does not say what is needed.
    fn scenario(self, site: Site) -> Result<Box<dyn Scenario>, String> {
        Ok(match self {
            Self::Altostrat => Box::new(Altostrat::of(site)?),
            Self::Ncloud => Box::new(Ncloud::of(site)?),
        })
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|name| name.as_str() == text);
        found.ok_or_else(|| format!("there are: {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What a scenario needs to know of the server.
pub(super) struct Site {
    pub(super) target: Target,
    /// What `dev.json` says about the door.
    pub(super) door: Value,
}

impl Site {
    fn text(&self, name: &str) -> Result<String, String> {
        let found = self.door.get(name).and_then(Value::as_str).map(str::to_owned);
        found.ok_or_else(|| format!("dev.json does not say the door's `{name}`"))
    }
}

/// How the clients of a door use it.
trait Scenario {
    /// Requests that make so many keys, and what of each answer is kept to use the key.
    fn create(&self, keys: u64) -> Work;

    /// The kinds of requests over these keys, by name. `samples` are the answers to
    /// [`Scenario::samples`].
    ///
    /// # Errors
    /// The reason in words, if an answer is not what was expected.
    fn works(&self, keys: Arc<Vec<String>>, samples: &[Value]) -> Result<Vec<Kind>, String>;

    /// Requests that are sent once before all measurements, for what the others send.
    fn samples(&self, keys: &[String]) -> Vec<Vec<u8>>;
}

/// A kind of requests.
struct Kind {
    name: &'static str,
    work: Work,
}

/// Which of `length` is next, again and again, for any number of askers.
#[derive(Debug, Default)]
struct Turn(AtomicU64);

impl Turn {
    /// How often it was asked before.
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn of<'a>(&self, all: &'a [String]) -> &'a str {
        let length = u64::try_from(all.len()).unwrap_or(u64::MAX).max(1);
        let place = usize::try_from(self.next() % length).unwrap_or_default();
        all.get(place).map_or("", String::as_str)
    }
}

/// Writes a request.
fn write_request(
    out: &mut Vec<u8>,
    target: &Target,
    (method, path): (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) {
    let mut line = |parts: &[&str]| {
        for part in parts {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    };
    line(&[method, " ", path, " HTTP/1.1"]);
    line(&["Host: ", &target.host]);
    for (name, value) in headers {
        line(&[name, ": ", value]);
    }
    if method != "GET" {
        line(&["Content-Length: ", &body.len().to_string()]);
    }
    line(&[]);
    out.extend_from_slice(body.as_bytes());
}

// --------------------------------------------------------------------- the run

pub(super) fn run(wanted: Door, output: &mut Output) -> Result<(), Failure> {
    let is_bounded = |count: &usize| (1..=CONNECTIONS_MAX).contains(count);
    if wanted.connections.is_empty() || !wanted.connections.iter().all(is_bounded) {
        let why = format!("--connections: each number is from 1 to {CONNECTIONS_MAX}");
        return Err(Failure::Usage(why));
    }
    let as_json = output.is_json();
    let sandbox = Sandbox::new(wanted.data_under.as_deref())?;
    interruptible(sandbox, move |sandbox| {
        let data = sandbox.path().join("data");
        let LocalServer { process, .. } = sandbox
            .serve_set(&data, wanted.name.settings())
            .map_err(|refused| super::not_ready("the server", &refused))?;
        let door = dev_door(&data, wanted.name.as_str()).map_err(Failure::Configuration)?;
        let url = door.get("http_url").and_then(Value::as_str);
        let url = url.ok_or_else(|| Failure::Failed("the door speaks no plain HTTP".to_owned()))?;
        let target = Target::of(url).map_err(Failure::Failed)?;
        let site = Site { target: target.clone(), door };
        let scenario = wanted.name.scenario(site).map_err(Failure::Failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
        let session = Session { target, scenario: &*scenario, process: process.id() };
        let measured = runtime.block_on(session.measure(&wanted)).map_err(Failure::Failed)?;
        let mut output = Output::new(as_json);
        print(&measured, &mut output)?;
        output.finish()?;
        let failed = measured.rows.iter().find_map(|row| row.watched.run.first_error.as_deref());
        failed.map_or(Ok(()), |why| Err(Failure::Failed(printable(why))))
    })
}

struct Session<'a> {
    target: Target,
    scenario: &'a dyn Scenario,
    process: u32,
}

struct Measured {
    door: &'static str,
    keys: u64,
    /// What it took to make the keys, and then everything else.
    rows: Vec<Row>,
    resident_before_kib: Option<u64>,
    resident_with_keys_kib: Option<u64>,
    resident_kib: Option<u64>,
    resident_peak_kib: Option<u64>,
}

struct Row {
    name: &'static str,
    connections: usize,
    watched: Watched,
}

impl Session<'_> {
    async fn measure(&self, wanted: &Door) -> Result<Measured, String> {
        let resident_before_kib = resident_kib(self.process);
        let work = Arc::new(self.scenario.create(wanted.keys));
        let load = Load::closed(FILL_CONNECTIONS, FILL_WITHIN);
        let mut create = watch(&self.target, &work, load, Some(self.process)).await?;
        if let Some(why) = &create.run.first_error {
            return Err(format!("keys cannot be made: {why}"));
        }
        let keys: Vec<String> = std::mem::take(&mut create.run.keys).into();
        if u64::try_from(keys.len()) != Ok(wanted.keys) {
            return Err(format!("only {} keys were made", keys.len()));
        }
        let mut rows = vec![Row { name: "create", connections: FILL_CONNECTIONS, watched: create }];
        let resident_with_keys_kib = resident_kib(self.process);
        let mut samples = Vec::new();
        for request in self.scenario.samples(&keys) {
            samples.push(self.ask(&request).await?);
        }
        let kinds = self.scenario.works(Arc::new(keys), &samples)?;
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
        if let Some(unknown) = wanted.only.iter().find(|name| !names.contains(&name.as_str())) {
            return Err(format!("no `{}`; there are: {}", printable(unknown), names.join(", ")));
        }
        for Kind { name, work } in kinds {
            if !wanted.only.is_empty() && !wanted.only.iter().any(|only| only == name) {
                continue;
            }
            let work = Arc::new(work);
            for connections in wanted.connections.iter().copied() {
                load::run(&self.target, &work, Load::closed(connections, WARM_UP)).await?;
                let load = Load::closed(connections, Duration::from_secs(wanted.seconds));
                let watched = watch(&self.target, &work, load, Some(self.process)).await?;
                rows.push(Row { name, connections, watched });
            }
        }
        Ok(Measured {
            door: wanted.name.as_str(),
            keys: wanted.keys,
            rows,
            resident_before_kib,
            resident_with_keys_kib,
            resident_kib: resident_kib(self.process),
            resident_peak_kib: resident_peak_kib(self.process),
        })
    }

    async fn ask(&self, request: &[u8]) -> Result<Value, String> {
        let mut connection = Connection::open(&self.target).await?;
        let (status, body) = connection.exchange(request).await?;
        match status {
            200..300 => serde_json::from_slice(body).map_err(|error| error.to_string()),
            _ => Err(format!("status {status}: {}", String::from_utf8_lossy(body))),
        }
    }
}

// --------------------------------------------------------------------- report

fn print(measured: &Measured, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let rows: Vec<Value> = measured.rows.iter().map(Row::json).collect();
        return output.json(&json!({
            "door": measured.door,
            "keys": measured.keys,
            "rows": rows,
            "resident_before_kib": measured.resident_before_kib,
            "resident_with_keys_kib": measured.resident_with_keys_kib,
            "resident_kib": measured.resident_kib,
            "resident_peak_kib": measured.resident_peak_kib,
        }));
    }
    let cells: Vec<Vec<String>> = measured.rows.iter().map(Row::cells).collect();
    let head = ["WORK", ">CONNECTIONS", ">/S", ">P50 MS", ">P99 MS", ">CPU S/1000", ">ERRORS"];
    for line in table(&head, &cells) {
        output.line(&line)?;
    }
    output.line("")?;
    let memory = |kib: Option<u64>| kib.map_or_else(|| "-".to_owned(), in_kib);
    let grown = measured.resident_with_keys_kib.zip(measured.resident_before_kib);
    let each = grown.map(|(with, before)| with.saturating_sub(before) * 1_024 / measured.keys);
    output.fields(&[
        ("keys", thousands(measured.keys)),
        ("server memory, no keys", memory(measured.resident_before_kib)),
        ("server memory, with keys", memory(measured.resident_with_keys_kib)),
        ("a key", each.map_or_else(|| "-".to_owned(), |each| format!("{} B", thousands(each)))),
        ("server memory, at the end", memory(measured.resident_kib)),
        ("server memory, at most", memory(measured.resident_peak_kib)),
    ])
}

fn in_kib(kib: u64) -> String {
    format!("{} KiB", thousands(kib))
}

impl Row {
    fn json(&self) -> Value {
        let run = &self.watched.run;
        json!({
            "work": self.name,
            "connections": self.connections,
            "requests": run.done,
            "errors": run.errors,
            "per_second": run.rate(),
            "p50_ms": run.latencies.percentile(500).as_secs_f64() * 1_000.0,
            "p99_ms": run.latencies.percentile(990).as_secs_f64() * 1_000.0,
            "server_cpu_seconds_per_1000": self.watched.cpu_per_1k(),
            "foreign_cores": self.watched.foreign_cores(),
        })
    }

    fn cells(&self) -> Vec<String> {
        let milliseconds = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1_000.0);
        let run = &self.watched.run;
        let cpu = self.watched.cpu_per_1k();
        vec![
            self.name.to_owned(),
            self.connections.to_string(),
            format!("{:.0}", run.rate()),
            milliseconds(run.latencies.percentile(500)),
            milliseconds(run.latencies.percentile(990)),
            cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.4}")),
            run.errors.to_string(),
        ]
    }
}

/// The text between `before` and the next quotation mark of a JSON body.
fn text_after(body: &[u8], before: &[u8]) -> Option<String> {
    let start = body.windows(before.len()).position(|part| part == before)? + before.len();
    let rest = body.get(start..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let text = core::str::from_utf8(&rest[..end]).ok()?;
    (!text.is_empty() && !text.contains('\\')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
