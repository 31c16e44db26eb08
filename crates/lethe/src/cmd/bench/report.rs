//! What was measured, beside the budgets of the design (section 10).

use core::time::Duration;

use serde_json::{Value, json};

use super::Kind;
use super::measure::{Measured, Row};
use crate::failure::Failure;
use crate::output::{Output, printable, table, thousands};

/// The open server that design section 1 speaks of, measured before on a machine like the one that
/// the budgets are made for. Rates of another day are a hint; only one run compares.
mod peer {
    pub(super) const NAME: &str = "OpenBao 2.7.2";
    /// Durable creates and deletes a second over 16 connections.
    pub(super) const CREATES_PER_S: f64 = 1_730.0;
    pub(super) const DELETES_PER_S: f64 = 2_130.0;
    /// CPU seconds for 1,000 of each; of encryptions with audit.
    pub(super) const CREATE_CPU: f64 = 0.67;
    pub(super) const DELETE_CPU: f64 = 0.51;
    pub(super) const ENCRYPT_CPU: f64 = 0.223;
}

/// More cores than this in foreign hands, and the figures mean little.
const QUIET_CORES: f64 = 0.2;

/// What a kind of work may cost, or must reach.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Budget {
    /// CPU time of the server, as a multiple of the floor's.
    OfFloor(f64),
    /// Requests a second, as a multiple of the peer's.
    OfPeer { times: f64, rate: f64 },
}

fn budget(kind: Kind, connections: usize) -> Option<Budget> {
    match (kind, connections) {
        (Kind::Encrypt | Kind::Decrypt, _) => Some(Budget::OfFloor(1.35)),
        (Kind::Sign, _) => Some(Budget::OfFloor(1.25)),
        (Kind::Create, 16) => Some(Budget::OfPeer { times: 5.0, rate: peer::CREATES_PER_S }),
        (Kind::Destroy, 16) => Some(Budget::OfPeer { times: 3.0, rate: peer::DELETES_PER_S }),
        (Kind::Destroy, 64) => Some(Budget::OfPeer { times: 8.0, rate: peer::DELETES_PER_S }),
        (Kind::Create | Kind::Destroy, _) => None,
    }
}

/// A row with what it is compared with.
struct Compared<'a> {
    row: &'a Row,
    of_floor: Option<f64>,
    budget: Option<Budget>,
}

impl<'a> Compared<'a> {
    fn of(row: &'a Row, rows: &[Row]) -> Self {
        if row.is_floor {
            return Self { row, of_floor: None, budget: None };
        }
        let floor_kind = if row.kind == Kind::Sign { Kind::Sign } else { Kind::Encrypt };
        let is_use = matches!(row.kind, Kind::Encrypt | Kind::Decrypt | Kind::Sign);
        let floor = rows.iter().find(|floor| {
            floor.is_floor && floor.kind == floor_kind && floor.connections == row.connections
        });
        let of_floor = floor
            .filter(|_| is_use)
            .and_then(|floor| Some(row.cpu_per_1k()? / floor.cpu_per_1k()?))
            .filter(|ratio| ratio.is_finite());
        Self { row, of_floor, budget: budget(row.kind, row.connections) }
    }

    fn is_met(&self) -> Option<bool> {
        match self.budget? {
            Budget::OfFloor(most) => Some(self.of_floor? <= most),
            Budget::OfPeer { times, rate } => Some(self.row.run.rate() >= times * rate),
        }
    }

    fn budget_text(&self) -> String {
        let Some(budget) = self.budget else { return String::new() };
        let limit = match budget {
            Budget::OfFloor(most) => format!("≤ {most:.2} × floor"),
            Budget::OfPeer { times, rate } => {
                format!("≥ {times:.0} × {} /s", whole(rate))
            }
        };
        match self.is_met() {
            Some(true) => format!("{limit}: met"),
            Some(false) => format!("{limit}: MISSED"),
            None => limit,
        }
    }

    fn cells(&self) -> Vec<String> {
        let Row { kind, is_floor, connections, run, .. } = self.row;
        let name =
            if *is_floor { format!("floor {}", kind.as_str()) } else { kind.as_str().into() };
        let digits = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        vec![
            name,
            connections.to_string(),
            whole(run.rate()),
            milliseconds(run.percentile(500)),
            milliseconds(run.percentile(990)),
            digits(self.row.cpu_per_1k(), 4),
            digits(self.of_floor, 2),
            run.errors.to_string(),
            self.budget_text(),
        ]
    }

    fn json(&self) -> Value {
        let Row { kind, is_floor, connections, run, foreign_cores, .. } = self.row;
        json!({
            "work": kind.as_str(),
            "is_floor": is_floor,
            "connections": connections,
            "requests": run.latencies.len(),
            "seconds": run.elapsed.as_secs_f64(),
            "requests_per_s": run.rate(),
            "p50_ms": run.percentile(500).as_secs_f64() * 1_000.0,
            "p99_ms": run.percentile(990).as_secs_f64() * 1_000.0,
            "cpu_s_per_1k": self.row.cpu_per_1k(),
            "of_floor": self.of_floor,
            "budget": self.budget_text(),
            "budget_met": self.is_met(),
            "errors": run.errors,
            "first_error": run.first_error,
            "foreign_cores": foreign_cores,
        })
    }
}

/// Prints all of it.
pub(super) fn print(measured: &Measured, output: &mut Output) -> Result<(), Failure> {
    let rows: Vec<Compared<'_>> =
        measured.rows.iter().map(|row| Compared::of(row, &measured.rows)).collect();
    if output.is_json() {
        return output.json(&json!({
            "rows": rows.iter().map(Compared::json).collect::<Vec<_>>(),
            "server_resident_kib": measured.resident_kib,
        }));
    }
    let head =
        ["WORK", ">CONN", ">REQ/S", ">P50 MS", ">P99 MS", ">CPU/1K", ">× FLOOR", ">ERR", "BUDGET"];
    let cells: Vec<Vec<String>> = rows.iter().map(Compared::cells).collect();
    for line in table(&head, &cells) {
        output.line(&line)?;
    }
    notes(measured).iter().try_for_each(|line| output.line(line))
}

fn notes(measured: &Measured) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "CPU/1K: CPU seconds of the server for 1,000 requests. Floor: an endpoint with HTTP, JSON"
            .to_owned(),
        "and the cipher only. Creates and destroys are durable, destroys erased and with receipt."
            .to_owned(),
        format!(
            "The rates in the budgets are those of {} over 16 connections, of another day; it took",
            peer::NAME
        ),
        format!(
            "{} CPU/1K for a create, {} for a delete, {} for an encryption with audit.",
            peer::CREATE_CPU,
            peer::DELETE_CPU,
            peer::ENCRYPT_CPU
        ),
    ];
    if cfg!(debug_assertions) {
        lines.push("This is a debug build: its figures mean nothing.".to_owned());
    }
    if let Some(kib) = measured.resident_kib {
        lines.push(format!("Memory of the server at the end: {} MiB.", thousands(kib / 1_024)));
    }
    let foreign = measured.rows.iter().filter_map(|row| row.foreign_cores).fold(0.0, f64::max);
    if foreign > QUIET_CORES {
        lines.push(format!(
            "The machine was not quiet: others used up to {foreign:.1} cores meanwhile."
        ));
    }
    lines
}

/// What went wrong with single requests, if anything did.
pub(super) fn errors(measured: &Measured) -> Option<String> {
    let number: u64 = measured.rows.iter().map(|row| row.run.errors).sum();
    let first = measured.rows.iter().find_map(|row| row.run.first_error.as_deref())?;
    Some(format!("{} requests failed; the first: {}", thousands(number), printable(first)))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1_000.0)
}

/// A rate without its fraction, thousands apart.
pub(super) fn whole(rate: f64) -> String {
    // Through the text: a float has no lossless way to an integer.
    format!("{rate:.0}").parse().map_or_else(|_| "-".to_owned(), thousands)
}

#[cfg(test)]
mod tests {
    use super::super::load::Run;
    use super::*;

    /// `requests` in one second, which cost `cpu_ms`.
    fn row(kind: Kind, is_floor: bool, connections: usize, requests: usize, cpu_ms: u64) -> Row {
        let latencies = vec![Duration::from_micros(1_500); requests];
        Row {
            kind,
            is_floor,
            connections,
            run: Run { latencies, elapsed: Duration::from_secs(1), ..Run::default() },
            cpu: Some(Duration::from_millis(cpu_ms)),
            foreign_cores: Some(0.1),
        }
    }

    #[test]
    fn uses_are_compared_with_the_floor_of_as_many_connections() {
        let rows = [
            row(Kind::Encrypt, true, 1, 1_000, 1),
            row(Kind::Encrypt, true, 16, 1_000, 10),
            row(Kind::Decrypt, false, 16, 1_000, 13),
            row(Kind::Sign, false, 16, 1_000, 13),
        ];
        let decrypt = Compared::of(&rows[2], &rows);
        assert!((decrypt.of_floor.unwrap() - 1.3).abs() < 1e-9);
        assert_eq!(decrypt.is_met(), Some(true));
        assert_eq!(
            decrypt.cells(),
            [
                "decrypt",
                "16",
                "1,000",
                "1.50",
                "1.50",
                "0.0130",
                "1.30",
                "0",
                "≤ 1.35 × floor: met"
            ]
        );
        let sign = Compared::of(&rows[3], &rows);
        assert_eq!((sign.of_floor, sign.is_met()), (None, None), "there is no floor of signing");
        assert_eq!(Compared::of(&rows[0], &rows).cells()[0], "floor encrypt");
    }

    #[test]
    fn changes_are_compared_with_the_peer() {
        #[track_caller]
        fn check(kind: Kind, connections: usize, requests: usize, met: Option<bool>) {
            let row = row(kind, false, connections, requests, 1);
            assert_eq!(Compared::of(&row, &[]).is_met(), met);
        }
        check(Kind::Create, 16, 8_650, Some(true));
        check(Kind::Create, 16, 8_649, Some(false));
        check(Kind::Create, 1, 8_650, None);
        check(Kind::Destroy, 16, 6_390, Some(true));
        check(Kind::Destroy, 64, 6_390, Some(false));
        let missed = row(Kind::Destroy, false, 64, 1, 1);
        assert_eq!(Compared::of(&missed, &[]).budget_text(), "≥ 8 × 2,130 /s: MISSED");
    }

    #[test]
    fn a_row_without_cpu_time_or_requests_is_told_as_such() {
        let mut empty = row(Kind::Encrypt, false, 1, 0, 0);
        empty.cpu = None;
        let cells = Compared::of(&empty, &[]).cells();
        assert_eq!(cells[2..8], ["0", "0.00", "0.00", "-", "-", "0"]);
    }

    #[test]
    fn errors_are_told() {
        let mut measured =
            Measured { rows: vec![row(Kind::Sign, false, 1, 1, 1)], resident_kib: None };
        assert_eq!(errors(&measured), None);
        measured.rows[0].run.errors = 1_200;
        measured.rows[0].run.first_error = Some("a\nb".to_owned());
        assert_eq!(errors(&measured).unwrap(), r"1,200 requests failed; the first: a\nb");
    }

    #[test]
    fn foreign_load_is_told() {
        let mut measured =
            Measured { rows: vec![row(Kind::Sign, false, 1, 1, 1)], resident_kib: Some(2_048) };
        let told = notes(&measured).join("\n");
        assert!(told.contains("2 MiB") && !told.contains("not quiet"), "{told}");
        measured.rows[0].foreign_cores = Some(0.7);
        assert!(notes(&measured).join("\n").contains("up to 0.7 cores"));
    }

    #[test]
    fn rates_are_whole() {
        assert_eq!([0.4, 1_234.5, f64::INFINITY, f64::NAN].map(whole), ["0", "1,234", "-", "-"]);
    }
}
