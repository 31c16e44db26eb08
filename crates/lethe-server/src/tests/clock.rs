use crate::clock::{DURATION_MAX, SystemClock, parse_duration};
use core::time::Duration;
use lethe_types::Clock;

#[track_caller]
fn check(text: &str, seconds: Option<u64>) {
    assert_eq!(parse_duration(text).ok(), seconds.map(Duration::from_secs), "{text:?}");
}

#[test]
fn lengths_of_time_are_strict() {
    check("73h", Some(73 * 3600));
    check("7d", Some(7 * 86_400));
    check("90m", Some(5_400));
    check("15s", Some(15));
    check("1d12h", Some(129_600));
    check("1d2h3m4s", Some(93_784));
    check("0s", Some(0));
    check("36500d", Some(DURATION_MAX.as_secs()));
    let refused = [
        "",
        " ",
        "0",
        "12",
        "h",
        "d1",
        "-1h",
        "+1h",
        " 1h",
        "1h ",
        "1 h",
        "1.5h",
        "1H",
        "01h",
        "00s",
        "1h1h",
        "1h1d",
        "5s1m",
        "1d12",
        "1w",
        "1ms",
        "1y",
        "1µ",
        "١h",
        "36500d1s",
        "36501d",
        "18446744073709551615d",
        "18446744073709551616s",
        "99999999999999999999999s",
    ];
    for text in refused {
        check(text, None);
    }
}

#[test]
fn the_wall_clock_is_shifted_and_the_monotonic_one_is_not() {
    let offset = parse_duration("73h").unwrap();
    let (real, shifted) = (SystemClock::new(), SystemClock::with_offset(offset));
    assert_eq!(shifted.offset(), offset);
    let before = real.now();
    let between = shifted.now();
    let after = real.now();
    assert!(before.saturating_add(offset) <= between && between <= after.saturating_add(offset));
    let before = real.monotonic();
    let between = shifted.monotonic();
    assert!(before <= between && between <= real.monotonic());
}
