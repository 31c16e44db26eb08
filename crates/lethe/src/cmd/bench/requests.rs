//! `lethe bench requests FILE`: the same load on any server of this machine, for comparisons. What
//! is sent is in a file, because a request may hold a token.

use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::cost::{Watched, resident_kib, watch};
use super::http::Target;
use super::load::{self, Load, Pace};
use super::work::Work;
use super::{CONNECTIONS_MAX, RATE_MAX, SECONDS_MAX};
use crate::failure::Failure;
use crate::files::read_file;
use crate::output::{Output, printable};

/// Largest description, in bytes.
const FILE_BYTES_MAX: usize = 4_194_304;
/// Largest file of an authority, in bytes.
const PEM_BYTES_MAX: usize = 1_048_576;
/// Longest warm-up, in milliseconds.
const WARM_UP_MS_MAX: u64 = 10_000;
/// Stands in path and body where the number of the request goes.
const MARK: &str = "{n}";

/// What is to be sent.
#[derive(Args, Clone, Debug)]
pub(super) struct Requests {
    /// JSON with url, method, path, headers ([[name, value], …]), body, status, connections,
    /// seconds; optional: rate, warm_up_ms, ca_file, pid, numbers ([first, last])
    file: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    url: String,
    method: String,
    path: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    /// The status of a success.
    status: u16,
    connections: usize,
    seconds: f64,
    /// An open loop.
    rate: Option<u32>,
    #[serde(default)]
    warm_up_ms: u64,
    ca_file: Option<PathBuf>,
    /// The process whose CPU time is read.
    pid: Option<u32>,
    /// Each request has one of these numbers where path and body have `{n}`; there are no more
    /// requests than numbers.
    numbers: Option<(u64, u64)>,
}

impl Description {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let description: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("not a description: {error}"))?;
        let seconds = Duration::from_secs(SECONDS_MAX).as_secs_f64();
        if !(description.seconds > 0.0 && description.seconds <= seconds) {
            return Err(format!("seconds: more than 0, at most {SECONDS_MAX}"));
        }
        if !(1..=CONNECTIONS_MAX).contains(&description.connections) {
            return Err(format!("connections: from 1 to {CONNECTIONS_MAX}"));
        }
        if description.rate.is_some_and(|rate| !(1..=RATE_MAX).contains(&rate)) {
            return Err(format!("rate: from 1 to {RATE_MAX}"));
        }
        if description.warm_up_ms > WARM_UP_MS_MAX {
            return Err(format!("warm_up_ms: at most {WARM_UP_MS_MAX}"));
        }
        if description.numbers.is_some_and(|(first, last)| first > last) {
            return Err("numbers: the last is before the first".to_owned());
        }
        if description.numbers.is_some() && description.warm_up_ms > 0 {
            return Err("warm_up_ms: requests with numbers are not repeated".to_owned());
        }
        let words = [&description.method, &description.path];
        let is_word =
            |text: &&String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !words.iter().all(is_word) {
            return Err("method and path: no spaces, no control characters".to_owned());
        }
        let is_line = |text: &String| !text.chars().any(char::is_control);
        if !description.headers.iter().all(|(name, value)| is_line(name) && is_line(value)) {
            return Err("headers: no control characters".to_owned());
        }
        Ok(description)
    }

    /// The request with this number.
    fn write(&self, host: &str, number: u64, out: &mut Vec<u8>) {
        let with_number = |text: &str| text.replace(MARK, &number.to_string());
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, with_number(&self.path));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = self.body.as_deref().map(with_number).unwrap_or_default();
        if self.body.is_some() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }

    fn work(&self, host: &str) -> Work {
        let (description, host) = (self.clone(), host.to_owned());
        match self.numbers {
            None => {
                let mut request = Vec::new();
                description.write(&host, 0, &mut request);
                Work::same(lethe_types::SecretVec::from_vec(request), self.status)
            }
            Some((first, last)) => {
                let next = AtomicU64::new(first);
                Work::made(self.status, move |out| {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    description.write(&host, number, out);
                    number <= last
                })
            }
        }
    }
}

pub(super) fn run(wanted: &Requests, output: &mut Output) -> Result<(), Failure> {
    let bytes = read_file(&wanted.file, FILE_BYTES_MAX).map_err(Failure::Configuration)?;
    let description = Description::parse(bytes.expose()).map_err(Failure::Configuration)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    let watched = runtime.block_on(measure(&description)).map_err(Failure::Failed)?;
    let run = &watched.run;
    let milliseconds = |permille| run.latencies.percentile(permille).as_secs_f64() * 1_000.0;
    output.json(&json!({
        "requests": run.done,
        "unsent": run.unsent,
        "seconds": run.elapsed.as_secs_f64(),
        "requests_per_s": run.rate(),
        "p50_ms": milliseconds(500),
        "p99_ms": milliseconds(990),
        "longest_ms": run.latencies.longest().as_secs_f64() * 1_000.0,
        "cpu_s_per_1k": watched.cpu_per_1k(),
        "foreign_cores": watched.foreign_cores(),
        "resident_kib": description.pid.and_then(resident_kib),
        "errors": run.errors,
        "first_error": run.first_error.as_deref().map(printable),
    }))
}

async fn measure(description: &Description) -> Result<Watched, String> {
    let target = match &description.ca_file {
        None => Target::of(&description.url)?,
        Some(file) => {
            Target::encrypted(&description.url, read_file(file, PEM_BYTES_MAX)?.expose())?
        }
    };
    let work = Arc::new(description.work(&target.host));
    let connections = description.connections;
    if description.warm_up_ms > 0 {
        let time = Duration::from_millis(description.warm_up_ms);
        load::run(&target, &work, Load::closed(connections, time)).await?;
    }
    let time = Duration::from_secs_f64(description.seconds);
    let pace = description.rate.map_or(Pace::Closed, Pace::Open);
    watch(&target, &work, Load { connections, time, pace }, description.pid).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(changes: &serde_json::Value) -> Result<Description, String> {
        let mut all = json!({"url": "http://127.0.0.1:1", "method": "PUT", "path": "/a/{n}",
            "headers": [["A", "b"]], "body": "{\"n\":{n}}", "status": 204, "connections": 2,
            "seconds": 0.5});
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        Description::parse(all.to_string().as_bytes())
    }

    #[test]
    fn requests_have_their_numbers() {
        let found = description(&json!({"numbers": [9, 10]})).unwrap();
        let work = found.work("h:1");
        let mut out = Vec::new();
        assert!(work.next(&mut out));
        let expected =
            "PUT /a/9 HTTP/1.1\r\nHost: h:1\r\nA: b\r\nContent-Length: 7\r\n\r\n{\"n\":9}";
        assert_eq!(core::str::from_utf8(&out), Ok(expected));
        assert!(work.next(&mut out));
        assert!(out.ends_with(b"Content-Length: 8\r\n\r\n{\"n\":10}"));
        assert!(!work.next(&mut out));
        let bare = description(&json!({"body": null})).unwrap();
        out.clear();
        bare.write("h", 0, &mut out);
        assert_eq!(out, b"PUT /a/0 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        #[track_caller]
        fn refused(changes: &serde_json::Value, expected: &str) {
            let why = description(changes).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        refused(&json!({"seconds": 0}), "seconds: more than 0");
        refused(&json!({"seconds": 61}), "at most 60");
        refused(&json!({"connections": 0}), "from 1 to 256");
        refused(&json!({"connections": 257}), "from 1 to 256");
        refused(&json!({"rate": 0}), "from 1 to 1000000");
        refused(&json!({"warm_up_ms": 10_001}), "at most 10000");
        refused(&json!({"numbers": [2, 1]}), "the last is before the first");
        refused(&json!({"numbers": [1, 2], "warm_up_ms": 1}), "not repeated");
        refused(&json!({"path": "/a b"}), "no spaces");
        refused(&json!({"method": ""}), "no spaces");
        refused(&json!({"headers": [["A", "b\r\nC: d"]]}), "no control characters");
        refused(&json!({"status": "200"}), "not a description");
        refused(&json!({"more": 1}), "unknown field");
        assert!(Description::parse(b"").unwrap_err().contains("not a description"));
    }
}
