//! What was measured, beside the budgets of the design (section 10): for people, as JSON, and as
//! the points of a picture.

use core::time::Duration;

use serde_json::{Value, json};

use super::cost::Watched;
use super::load::{Pace, Run};
use super::measure::{Measured, Row};
use super::mixed::{Mixed, RATIO_MAX};
use super::plot::{Panel, Point};
use super::scenario::{Budget, peer};
use crate::failure::Failure;
use crate::output::{Output, printable, table, thousands};

/// More cores than this in foreign hands, and the figures mean little.
const QUIET_CORES: f64 = 0.2;

impl Row {
    /// The ratio to the floor in the middle round, and those of the least and the most.
    fn of_floor(&self) -> Option<[f64; 3]> {
        let mut ratios = self.ratios.clone();
        ratios.sort_by(f64::total_cmp);
        let middle = *ratios.get(ratios.len() / 2)?;
        Some([*ratios.first()?, middle, *ratios.last()?])
    }

    fn is_met(&self) -> Option<bool> {
        match self.scenario.budget(self.connections)? {
            Budget::OfFloor(most) => Some(self.of_floor()?[1] <= most),
            Budget::OfPeer { times, rate } => Some(self.ours.run.rate() >= times * rate),
            Budget::HalfWithin(time) => {
                let latencies = &self.ours.run.latencies;
                (latencies.count() > 0).then(|| latencies.percentile(500) <= time)
            }
        }
    }

    fn budget_text(&self) -> String {
        let Some(budget) = self.scenario.budget(self.connections) else { return String::new() };
        let limit = match budget {
            Budget::OfFloor(most) => format!("≤ {most:.2} × floor"),
            Budget::OfPeer { times, rate } => {
                format!("≥ {times:.0} × {} /s", whole(rate))
            }
            Budget::HalfWithin(time) => format!("p50 ≤ {} ms", time.as_secs_f64() * 1_000.0),
        };
        match self.is_met() {
            Some(true) => format!("{limit}: met"),
            Some(false) => format!("{limit}: MISSED"),
            None => limit,
        }
    }

    fn cells(&self) -> Vec<String> {
        let run = &self.ours.run;
        let has_latencies = run.latencies.count() > 0;
        let time = |permille| match has_latencies {
            true => milliseconds(run.latencies.percentile(permille)),
            false => "-".to_owned(),
        };
        let ratio = self.of_floor().map_or_else(
            || "-".to_owned(),
            |[least, middle, most]| format!("{middle:.2} ({least:.2}–{most:.2})"),
        );
        vec![
            self.scenario.name.to_owned(),
            if self.scenario.has_pace() { self.connections.to_string() } else { "-".to_owned() },
            match self.pace {
                Pace::Closed => "-".to_owned(),
                Pace::Open(per_second) => thousands(per_second.into()),
            },
            whole(run.rate()),
            time(500),
            time(990),
            digits(self.ours.cpu_per_1k()),
            digits(self.floor.as_ref().and_then(Watched::cpu_per_1k)),
            ratio,
            (run.errors + run.unsent).to_string(),
            self.budget_text(),
        ]
    }

    fn json(&self) -> Value {
        let ratio = self.of_floor();
        json!({
            "work": self.scenario.name,
            "connections": self.connections,
            "offered_per_s": match self.pace {
                Pace::Closed => None,
                Pace::Open(per_second) => Some(per_second),
            },
            "server": watched_json(&self.ours),
            "floor": self.floor.as_ref().map(watched_json),
            "of_floor": ratio.map(|[_, middle, _]| middle),
            "of_floor_least": ratio.map(|[least, _, _]| least),
            "of_floor_most": ratio.map(|[_, _, most]| most),
            "budget": self.budget_text(),
            "budget_met": self.is_met(),
        })
    }
}

fn watched_json(watched: &Watched) -> Value {
    let Run { done, unsent, errors, first_error, elapsed, latencies, .. } = &watched.run;
    let time = |permille| {
        let time = latencies.percentile(permille).as_secs_f64() * 1_000.0;
        (latencies.count() > 0).then_some(time)
    };
    json!({
        "requests": done,
        "seconds": elapsed.as_secs_f64(),
        "requests_per_s": watched.run.rate(),
        "p50_ms": time(500),
        "p90_ms": time(900),
        "p99_ms": time(990),
        "p999_ms": time(999),
        "longest_ms": (latencies.count() > 0).then(|| latencies.longest().as_secs_f64() * 1_000.0),
        "cpu_s_per_1k": watched.cpu_per_1k(),
        "unsent": unsent,
        "errors": errors,
        "first_error": first_error,
        "foreign_cores": watched.foreign_cores(),
    })
}

/// All of it for programs.
pub(super) fn json(measured: &Measured) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "is_debug_build": cfg!(debug_assertions),
        "is_tls": measured.is_tls,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "rows": measured.rows.iter().map(Row::json).collect::<Vec<_>>(),
        "mixed": measured.mixed.iter().map(Mixed::json).collect::<Vec<_>>(),
        "scale": measured.scale.as_ref().map(super::scale::Scale::json),
        "server_resident_kib": measured.resident_kib,
        "server_resident_peak_kib": measured.resident_peak_kib,
    })
}

/// Prints all of it.
pub(super) fn print(measured: &Measured, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&json(measured));
    }
    if let Some(scale) = &measured.scale {
        output.fields(&scale.fields())?;
        output.line("")?;
    }
    if !measured.rows.is_empty() {
        let head = [
            "WORK",
            ">CONN",
            ">OFFERED/S",
            ">REQ/S",
            ">P50 MS",
            ">P99 MS",
            ">CPU/1K",
            ">FLOOR/1K",
            ">× FLOOR",
            ">ERR",
            "BUDGET",
        ];
        let cells: Vec<Vec<String>> = measured.rows.iter().map(Row::cells).collect();
        table(&head, &cells).iter().try_for_each(|line| output.line(line))?;
    }
    if !measured.mixed.is_empty() {
        let head = [
            "MEANWHILE",
            ">CONN",
            ">ENCRYPT/S",
            ">P50 MS",
            ">P99 MS",
            ">ALONE P50",
            ">ALONE P99",
            ">× P99",
            ">ERR",
            "DID",
        ];
        let cells: Vec<Vec<String>> = measured.mixed.iter().map(mixed_cells).collect();
        table(&head, &cells).iter().try_for_each(|line| output.line(line))?;
    }
    notes(measured).iter().try_for_each(|line| output.line(line))
}

fn mixed_cells(mixed: &Mixed) -> Vec<String> {
    let time =
        |watched: &Watched, permille| milliseconds(watched.run.latencies.percentile(permille));
    let run = &mixed.disturbed.run;
    let ratio = mixed.ratio().map_or_else(
        || "-".to_owned(),
        |ratio| format!("{ratio:.2} {}", if ratio <= RATIO_MAX { "met" } else { "MISSED" }),
    );
    vec![
        mixed.disturbance.to_string(),
        mixed.connections.to_string(),
        whole(run.rate()),
        time(&mixed.disturbed, 500),
        time(&mixed.disturbed, 990),
        time(&mixed.alone, 500),
        time(&mixed.alone, 990),
        ratio,
        (run.errors + run.unsent).to_string(),
        mixed.did.words(),
    ]
}

fn notes(measured: &Measured) -> Vec<String> {
    let mut lines = vec![String::new()];
    if !measured.rows.is_empty() {
        let legend = [
            "CPU/1K: CPU seconds of the server for 1,000 requests. Floor: an endpoint with HTTP,",
            "JSON and the cipher only, in turn with the server; × FLOOR is of the middle round",
            "(least to most). Creates and destroys are durable, destroys erased and with receipt.",
        ];
        lines.extend(legend.map(str::to_owned));
        lines.push(format!(
            "Rates in budgets are those of {} over 16 connections, of another day; it took",
            peer::NAME
        ));
        lines.push(format!(
            "{} CPU/1K for a create, {} for a delete, {} for an encryption with audit.",
            peer::CREATE_CPU,
            peer::DELETE_CPU,
            peer::ENCRYPT_CPU
        ));
    }
    let is_open = measured.rows.iter().any(|row| row.pace != Pace::Closed);
    if is_open || !measured.mixed.is_empty() {
        lines.push("Latencies count from when a request was to be sent.".to_owned());
    }
    if cfg!(debug_assertions) {
        lines.push("This is a debug build: its figures mean nothing.".to_owned());
    }
    let mebibytes = |kib: u64| thousands(kib / 1_024);
    if let Some((now, most)) = measured.resident_kib.zip(measured.resident_peak_kib) {
        lines.push(format!(
            "Memory of the server: {} MiB at the end, {} at most.",
            mebibytes(now),
            mebibytes(most)
        ));
    }
    let foreign = watched(measured).filter_map(Watched::foreign_cores).fold(0.0, f64::max);
    if foreign > QUIET_CORES {
        lines.push(format!(
            "The machine was not quiet: others used up to {foreign:.1} cores meanwhile."
        ));
    }
    lines
}

/// What was measured of the server itself.
fn watched(measured: &Measured) -> impl Iterator<Item = &Watched> {
    let rows = measured.rows.iter().map(|row| &row.ours);
    rows.chain(measured.mixed.iter().flat_map(|mixed| [&mixed.alone, &mixed.disturbed]))
}

/// What went wrong with single requests, if anything did.
pub(super) fn errors(measured: &Measured) -> Option<String> {
    let disturbers = measured.mixed.iter().filter_map(|mixed| mixed.did.error());
    let number: u64 = watched(measured).map(|watched| watched.run.errors).sum();
    let mut all = watched(measured).filter_map(|watched| watched.run.first_error.as_deref());
    if let Some(first) = all.next() {
        return Some(format!(
            "{} requests failed; the first: {}",
            thousands(number),
            printable(first)
        ));
    }
    disturbers.map(|why| format!("what went on meanwhile failed: {}", printable(why))).next()
}

/// The picture's panels: one for each kind of work.
pub(super) fn panels(measured: &Measured) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for row in measured.rows.iter().filter(|row| row.scenario.has_pace()) {
        let title = row.scenario.name;
        if panels.last().is_none_or(|panel| panel.title != title) {
            panels.push(Panel { title: title.to_owned(), ..Panel::default() });
        }
        if let Some(panel) = panels.last_mut() {
            panel.server.push(point(&row.ours));
            panel.floor.extend(row.floor.as_ref().map(point));
        }
    }
    panels.extend(measured.mixed.iter().map(|mixed| Panel {
        title: format!("encrypt, {}", mixed.disturbance),
        server: vec![point(&mixed.alone), point(&mixed.disturbed)],
        floor: Vec::new(),
    }));
    panels
}

fn point(watched: &Watched) -> Point {
    let time = |permille| watched.run.latencies.percentile(permille).as_secs_f64() * 1_000.0;
    Point { per_second: watched.run.rate(), p50_ms: time(500), p99_ms: time(990) }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1_000.0)
}

fn digits(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

/// A rate without its fraction, thousands apart.
pub(super) fn whole(rate: f64) -> String {
    // Through the text: a float has no lossless way to an integer.
    format!("{rate:.0}").parse().map_or_else(|_| "-".to_owned(), thousands)
}

#[cfg(test)]
mod tests;
