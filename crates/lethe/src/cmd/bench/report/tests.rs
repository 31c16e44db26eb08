use super::super::scenario::Scenario;
use super::*;

/// `requests` in one second, which cost `cpu_ms`.
fn watched(requests: u64, cpu_ms: u64) -> Watched {
    let mut run = Run { done: requests, elapsed: Duration::from_secs(1), ..Run::default() };
    (0..requests.min(10)).for_each(|_| run.latencies.record(Duration::from_micros(1_500)));
    Watched {
        run,
        cpu: Some(Duration::from_millis(cpu_ms)),
        foreign: Some(Duration::from_millis(100)),
    }
}

fn row(name: &str, connections: usize, ours: Watched, floor: Option<Watched>) -> Row {
    let scenario = Scenario::named(name).unwrap();
    Row { scenario, connections, pace: Pace::Closed, ours, floor, ratios: Vec::new() }
}

#[test]
fn uses_are_compared_with_the_middle_round() {
    let mut row = row("decrypt", 16, watched(1_000, 13), Some(watched(1_000, 10)));
    row.ratios = vec![1.5, 1.2, 1.3];
    assert_eq!(row.of_floor(), Some([1.2, 1.3, 1.5]));
    assert_eq!(row.is_met(), Some(true));
    assert_eq!(
        row.cells(),
        [
            "decrypt",
            "16",
            "-",
            "1,000",
            "1.50",
            "1.50",
            "0.0130",
            "0.0100",
            "1.30 (1.20–1.50)",
            "0",
            "≤ 1.35 × floor: met"
        ]
    );
    row.ratios = vec![1.2, 1.4, 1.5];
    assert_eq!(row.is_met(), Some(false));
    row.ratios.clear();
    assert_eq!((row.of_floor(), row.is_met()), (None, None), "without rounds nothing is said");
}

#[test]
fn changes_are_compared_with_the_peer() {
    #[track_caller]
    fn check(name: &str, connections: usize, requests: u64, met: Option<bool>) {
        assert_eq!(row(name, connections, watched(requests, 1), None).is_met(), met);
    }
    check("create", 16, 8_650, Some(true));
    check("create", 16, 8_649, Some(false));
    check("create", 1, 8_650, None);
    check("destroy", 16, 6_390, Some(true));
    check("destroy", 64, 6_390, Some(false));
    check("destroy", 1, 10, Some(true));
    check("names", 1, 10, Some(false));
    check("names", 1, 0, None);
    let missed = row("destroy", 64, watched(1, 1), None);
    assert_eq!(missed.budget_text(), "≥ 8 × 2,130 /s: MISSED");
    assert_eq!(row("names", 1, watched(1, 1), None).budget_text(), "p50 ≤ 0.2 ms: MISSED");
}

#[test]
fn a_row_without_cpu_time_or_requests_is_told_as_such() {
    let mut empty = row("encrypt", 1, watched(0, 0), None);
    empty.ours.cpu = None;
    empty.pace = Pace::Open(2_000);
    assert_eq!(empty.cells()[2..10], ["2,000", "0", "-", "-", "-", "-", "-", "0"]);
    let json = empty.json();
    assert_eq!((&json["server"]["p99_ms"], &json["offered_per_s"]), (&Value::Null, &json!(2_000)));
    let bulk = row("bulk-destroy", 1, watched(5, 1), None);
    assert_eq!(bulk.cells()[1], "-");
}

#[test]
fn errors_are_told() {
    let mut measured =
        Measured { rows: vec![row("sign", 1, watched(1, 1), None)], ..Measured::default() };
    assert_eq!(errors(&measured), None);
    measured.rows[0].ours.run.errors = 1_200;
    measured.rows[0].ours.run.first_error = Some("a\nb".to_owned());
    assert_eq!(errors(&measured).unwrap(), r"1,200 requests failed; the first: a\nb");
}

#[test]
fn foreign_load_is_told() {
    let mut measured = Measured {
        rows: vec![row("sign", 1, watched(1, 1), None)],
        resident_kib: Some(2_048),
        resident_peak_kib: Some(3_072),
        ..Measured::default()
    };
    let told = notes(&measured).join("\n");
    assert!(told.contains("2 MiB at the end, 3 at most"), "{told}");
    assert!(!told.contains("not quiet") && !told.contains("to be sent"), "{told}");
    measured.rows[0].ours.foreign = Some(Duration::from_millis(700));
    measured.rows[0].pace = Pace::Open(1);
    let told = notes(&measured).join("\n");
    assert!(told.contains("up to 0.7 cores") && told.contains("to be sent"), "{told}");
}

#[test]
fn each_kind_of_work_has_a_panel() {
    let floor = Some(watched(2_000, 1));
    let rows = vec![
        row("encrypt", 1, watched(100, 1), floor.clone()),
        row("encrypt", 16, watched(1_000, 1), floor),
        row("create", 16, watched(10, 1), None),
        row("bulk-destroy", 1, watched(10, 1), None),
    ];
    let panels = panels(&Measured { rows, ..Measured::default() });
    let shape = |panel: &Panel| (panel.title.clone(), panel.server.len(), panel.floor.len());
    let shapes: Vec<_> = panels.iter().map(shape).collect();
    assert_eq!(shapes, [("encrypt".to_owned(), 2, 2), ("create".to_owned(), 1, 0)]);
    assert!((panels[0].server[1].per_second - 1_000.0).abs() < 1e-9);
}

#[test]
fn rates_are_whole() {
    assert_eq!([0.4, 1_234.5, f64::INFINITY, f64::NAN].map(whole), ["0", "1,234", "-", "-"]);
}
