use core::time::Duration;

use crate::metrics::Registry;

#[test]
fn the_text_is_in_prometheus_format_and_in_order() {
    let registry = Registry::new();
    registry.gauge_callback("b_ratio", "A\nratio \\.", &[], || 0.5).expect("new");
    registry.gauge_callback("b_top", "Top.", &[], || f64::INFINITY).expect("new");
    registry.counter_callback("c_total", "C.", &[("x", "1")], || 7).expect("new");
    let odd = registry.counter("a_total", "A.", &[("path", "a\"b\\c\nd"), ("z", "")]);
    odd.expect("new").add(2);
    registry.counter("a_total", "A.", &[("path", "A")]).expect("new").add(1);
    registry.gauge("d", "D.", &[]).expect("new").set(-3);
    let expected = r##"# HELP a_total A.
# TYPE a_total counter
a_total{path="A"} 1
a_total{path="a\"b\\c\nd",z=""} 2
# HELP b_ratio A\nratio \\.
# TYPE b_ratio gauge
b_ratio 0.5
# HELP b_top Top.
# TYPE b_top gauge
b_top +Inf
# HELP c_total C.
# TYPE c_total counter
c_total{x="1"} 7
# HELP d D.
# TYPE d gauge
d -3
"##;
    assert_eq!(registry.render(), expected);
}

#[test]
fn histograms_are_cumulative_and_bounds_are_inclusive() {
    let registry = Registry::new();
    let histogram = registry.histogram("h_seconds", "H.", &[("op", "x")]).expect("new");
    for nanos in [0, 50_000, 50_001, 10_000_000_000, 10_000_000_001] {
        histogram.observe(Duration::from_nanos(nanos));
    }
    let text = registry.render();
    for line in [
        r#"h_seconds_bucket{op="x",le="0.00005"} 2"#,
        r#"h_seconds_bucket{op="x",le="0.0001"} 3"#,
        r#"h_seconds_bucket{op="x",le="2.5"} 3"#,
        r#"h_seconds_bucket{op="x",le="10"} 4"#,
        r#"h_seconds_bucket{op="x",le="+Inf"} 5"#,
        r#"h_seconds_sum{op="x"} 20.000100002"#,
        r#"h_seconds_count{op="x"} 5"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

#[test]
fn the_same_series_is_one_counter() {
    let registry = Registry::new();
    let one = registry.counter("a_total", "A.", &[("x", "1")]).expect("new");
    let same = registry.counter("a_total", "A.", &[("x", "1")]).expect("shared");
    let other = registry.counter("a_total", "A.", &[("x", "2")]).expect("new");
    one.add(1);
    same.add(1);
    assert_eq!((one.value(), same.value(), other.value()), (2, 2, 0));
}

#[test]
fn what_would_break_the_text_is_refused() {
    let registry = Registry::new();
    registry.counter("taken_total", "T.", &[]).expect("new");
    for name in ["", "1a", "a-b", "a b", "ä", "a{b}"] {
        assert!(registry.counter(name, "", &[]).is_err(), "{name:?}");
    }
    for label in ["", "1a", "a-b", "a:b", "__a", "le"] {
        assert!(registry.counter("a_total", "", &[(label, "x")]).is_err(), "{label:?}");
    }
    assert!(registry.counter("a_total", "", &[("x", "1"), ("x", "2")]).is_err());
    assert!(registry.gauge("taken_total", "", &[]).is_err());
    assert!(registry.histogram("taken_total", "", &[]).is_err());
    assert!(registry.counter_callback("taken_total", "", &[], || 0).is_err());
    assert!(registry.gauge_callback("taken_total", "", &[], || 0.0).is_err());
    registry.counter_callback("called_total", "", &[], || 0).expect("new");
    assert!(registry.counter("called_total", "", &[]).is_err());
    assert_eq!(registry.render().lines().count(), 6, "nothing refused is left behind");
}
