//! Prometheus' text exposition format, version 0.0.4.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use crate::metrics::registry::{Family, FamilyKind, Histogram, Source};

/// All families as text.
pub(crate) fn render(families: &BTreeMap<String, Family>) -> String {
    let mut out = String::new();
    for (name, family) in families {
        let kind = match family.kind {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
            FamilyKind::Histogram => "histogram",
        };
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        line(&mut out, format_args!("# HELP {name} {help}"));
        line(&mut out, format_args!("# TYPE {name} {kind}"));
        for (labels, source) in &family.series {
            series(&mut out, name, labels, source);
        }
    }
    out
}

fn series(out: &mut String, name: &str, labels: &str, source: &Source) {
    let set = braced(labels);
    match source {
        Source::Counter(counter) => line(out, format_args!("{name}{set} {}", counter.value())),
        Source::CounterCallback(value) => line(out, format_args!("{name}{set} {}", value())),
        Source::Gauge(gauge) => line(out, format_args!("{name}{set} {}", gauge.value())),
        Source::GaugeCallback(value) => {
            line(out, format_args!("{name}{set} {}", number(value())));
        }
        Source::Histogram(histogram) => buckets(out, name, labels, histogram),
    }
}

fn buckets(out: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let comma = if labels.is_empty() { "" } else { "," };
    let set = braced(labels);
    let mut total = 0;
    for (bound, count) in histogram.cumulative() {
        line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}"));
        total = count;
    }
    line(out, format_args!("{name}_sum{set} {}", histogram.sum().as_secs_f64()));
    // From the buckets just written, so that it agrees with `+Inf`.
    line(out, format_args!("{name}_count{set} {total}"));
}

/// Label pairs as they stand between braces, or `None` if a name is invalid or occurs twice.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Option<String> {
    let mut out = String::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let is_repeated = pairs.iter().skip(index + 1).any(|(other, _)| other == name);
        if !is_label_name(name) || is_repeated {
            return None;
        }
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let comma = if index == 0 { "" } else { "," };
        append(&mut out, format_args!("{comma}{name}=\"{value}\""));
    }
    Some(out)
}

pub(crate) fn is_metric_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.bytes().all(allowed)
}

/// `__` at the start and `le` are Prometheus' own.
fn is_label_name(name: &str) -> bool {
    is_metric_name(name) && !name.contains(':') && !name.starts_with("__") && name != "le"
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        value.to_string()
    }
}

fn line(out: &mut String, text: core::fmt::Arguments<'_>) {
    append(out, text);
    out.push('\n');
}

fn append(out: &mut String, text: core::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}
