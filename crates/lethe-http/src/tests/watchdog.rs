use core::time::Duration;

use crate::ListenerOptions;
use crate::connection::watchdog::{Activity, Snapshot, Verdict, Watchdog};

const MS: Duration = Duration::from_millis(1);

fn watchdog(is_http2: bool) -> Watchdog {
    let options = ListenerOptions {
        header_read_timeout: 100 * MS,
        write_timeout: 200 * MS,
        idle_timeout: 1000 * MS,
        ..ListenerOptions::default()
    };
    Watchdog::new(&options, is_http2)
}

/// Looks at the times given, in milliseconds, and compares the verdicts.
#[track_caller]
fn check(is_http2: bool, looks: &[(u32, Snapshot, Verdict)]) {
    let mut watchdog = watchdog(is_http2);
    for (ms, seen, verdict) in looks {
        assert_eq!(watchdog.examine(*ms * MS, *seen, false), *verdict, "at {ms} ms, {seen:?}");
    }
}

const FRESH: Snapshot =
    Snapshot { has_partial_head: true, writes: 0, is_write_blocked: false, begun: 0, active: 0 };
const REST: Snapshot = Snapshot { has_partial_head: false, writes: 1, begun: 1, ..FRESH };
const PARTIAL: Snapshot = Snapshot { has_partial_head: true, ..REST };
const BUSY: Snapshot = Snapshot { active: 1, ..REST };

#[test]
fn a_connection_without_a_first_request_is_cut_at_the_header_timeout() {
    check(false, &[(50, FRESH, Verdict::Keep), (99, FRESH, Verdict::Keep)]);
    check(false, &[(50, FRESH, Verdict::Keep), (100, FRESH, Verdict::Cut)]);
    check(true, &[(50, FRESH, Verdict::Keep), (100, FRESH, Verdict::Cut)]);
}

#[test]
fn a_head_that_does_not_end_is_cut_but_not_in_http2() {
    let looks =
        [(0, REST, Verdict::Keep), (50, PARTIAL, Verdict::Keep), (149, PARTIAL, Verdict::Keep)];
    check(false, &looks);
    check(false, &[looks[0], looks[1], (150, PARTIAL, Verdict::Cut)]);
    // A head that ends, and the start of another one, begin to count anew.
    let next = Snapshot { begun: 2, ..PARTIAL };
    check(false, &[looks[0], looks[1], (100, next, Verdict::Keep), (160, next, Verdict::Keep)]);
    check(true, &[looks[0], looks[1], (300, PARTIAL, Verdict::Keep)]);
}

#[test]
fn an_idle_connection_is_closed_and_then_cut() {
    check(false, &[(0, REST, Verdict::Keep), (999, REST, Verdict::Keep)]);
    let looks =
        [(0, REST, Verdict::Keep), (1000, REST, Verdict::Close), (1050, REST, Verdict::Cut)];
    check(false, &looks);
    check(true, &looks);
    // Work keeps it, for as long as it takes, and time at rest begins after it.
    let looks =
        [(0, BUSY, Verdict::Keep), (5000, BUSY, Verdict::Keep), (5900, REST, Verdict::Keep)];
    check(false, &[looks[0], looks[1], looks[2], (6000, REST, Verdict::Close)]);
}

#[test]
fn who_rests_or_stops_in_a_head_makes_room_while_others_wait() {
    let options = ListenerOptions::default();
    let examine = |looks: &[(u32, Snapshot, bool, Verdict)]| {
        let mut watchdog = Watchdog::new(&options, false);
        for (ms, seen, is_crowded, verdict) in looks {
            let found = watchdog.examine(*ms * MS, *seen, *is_crowded);
            assert_eq!(found, *verdict, "at {ms} ms, {seen:?}");
        }
    };
    examine(&[(999, FRESH, true, Verdict::Keep), (1000, FRESH, true, Verdict::Cut)]);
    examine(&[(1000, FRESH, false, Verdict::Keep), (1001, FRESH, true, Verdict::Cut)]);
    let rested = [(500, REST, false, Verdict::Keep), (1499, REST, true, Verdict::Keep)];
    examine(&[rested[0], rested[1], (1500, REST, true, Verdict::Close)]);
    examine(&[rested[0], (1500, REST, true, Verdict::Close), (1750, REST, false, Verdict::Keep)]);
    examine(&[rested[0], (1500, REST, true, Verdict::Close), (1750, REST, true, Verdict::Cut)]);
    let stopped = [(500, PARTIAL, false, Verdict::Keep), (1000, PARTIAL, true, Verdict::Keep)];
    examine(&[rested[0], stopped[1], (2000, PARTIAL, true, Verdict::Cut)]);
    // Work goes on, however many wait.
    examine(&[stopped[0], (5000, BUSY, true, Verdict::Keep), (60_000, BUSY, true, Verdict::Keep)]);
}

#[test]
fn a_client_that_takes_nothing_is_cut_even_within_an_answer() {
    let blocked = Snapshot { is_write_blocked: true, ..BUSY };
    let moved = Snapshot { writes: 2, ..blocked };
    let looks = [(100, blocked, Verdict::Keep), (250, blocked, Verdict::Keep)];
    check(false, &[looks[0], looks[1], (300, blocked, Verdict::Cut)]);
    check(false, &[looks[0], looks[1], (300, moved, Verdict::Keep), (499, moved, Verdict::Keep)]);
    check(false, &[looks[0], looks[1], (300, BUSY, Verdict::Keep), (600, blocked, Verdict::Keep)]);
}

#[test]
fn counters_tell_rest_from_a_head_that_began() {
    let activity = Activity::default();
    assert!(activity.snapshot().has_partial_head);
    activity.note_read();
    activity.note_request_begun();
    assert_eq!(activity.snapshot().active, 1);
    activity.note_read();
    activity.note_request_ended();
    let rest = activity.snapshot();
    assert_eq!((rest.active, rest.begun, rest.has_partial_head), (0, 1, false));
    activity.note_read();
    assert!(activity.snapshot().has_partial_head);
}

#[test]
fn it_looks_twice_within_the_shortest_timeout() {
    assert_eq!(watchdog(false).tick(), 50 * MS);
}
