//! What was measured of a server that grows, as a table, JSON and a picture.

use core::fmt::Write as _;
use core::time::Duration;

use serde_json::{Value, json};

use super::{Copied, Cost, Size};
use crate::failure::Failure;
use crate::output::{Output, table, thousands};

pub(super) fn print(sizes: &[Size], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&json!({ "sizes": sizes.iter().map(described).collect::<Vec<_>>() }));
    }
    let costs = sizes.iter().flat_map(|size| {
        size.destroy.iter().map(|cost| {
            vec![
                thousands(size.keys),
                cost.connections.to_string(),
                format!("{:.0}", cost.per_second),
                format!("{:.2}", milliseconds(cost.p50)),
                format!("{:.2}", milliseconds(cost.p99)),
                format!("{:.0}", microseconds(cost.cpu)),
                thousands(cost.written_bytes),
            ]
        })
    });
    output.line("Destructions, durable, erased and with receipt")?;
    let heads = [">KEYS", ">CONN", ">/S", ">P50 MS", ">P99 MS", ">CPU µS EACH", ">WRITTEN B EACH"];
    for line in table(&heads, &costs.collect::<Vec<_>>()) {
        output.line(&line)?;
    }
    output.line("")?;
    output.line("Everything copied: backups while serving, and a restore from the last")?;
    let copies = sizes.iter().flat_map(|size| {
        let restored = size.restore.map(|copied| ("restore", copied));
        let copies = [Some(("backup", size.backup)), restored].into_iter().flatten();
        copies.map(|(what, copied)| {
            vec![
                thousands(size.keys),
                what.to_owned(),
                thousands(copied.bytes),
                format!("{:.2}", copied.elapsed.as_secs_f64()),
                format!("{:.1}", megabytes_per_second(copied)),
            ]
        })
    });
    for line in
        table(&[">KEYS", "WHAT", ">BYTES", ">SECONDS", ">MB/S"], &copies.collect::<Vec<_>>())
    {
        output.line(&line)?;
    }
    Ok(())
}

fn described(size: &Size) -> Value {
    let copied = |copied: Copied| {
        json!({
            "bytes": copied.bytes,
            "seconds": copied.elapsed.as_secs_f64(),
            "megabytes_per_second": megabytes_per_second(copied),
        })
    };
    let destroy = |cost: &Cost| {
        json!({
            "connections": cost.connections,
            "per_second": cost.per_second,
            "p50_ms": milliseconds(cost.p50),
            "p99_ms": milliseconds(cost.p99),
            "cpu_us_each": microseconds(cost.cpu),
            "written_bytes_each": cost.written_bytes,
        })
    };
    json!({
        "keys": size.keys,
        "destroy": size.destroy.iter().map(destroy).collect::<Vec<_>>(),
        "backup": copied(size.backup),
        "restore": size.restore.map(copied),
    })
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn megabytes_per_second(copied: Copied) -> f64 {
    number(copied.bytes) / 1e6 / copied.elapsed.as_secs_f64().max(1e-6)
}

/// Counts and bytes of a picture or a rate, which need no more than seven digits.
fn number(value: u64) -> f64 {
    let kilo = u32::try_from(value / 1_024).unwrap_or(u32::MAX);
    let rest = u32::try_from(value % 1_024).unwrap_or_default();
    f64::from(kilo) * 1_024.0 + f64::from(rest)
}

// ------------------------------------------------------------------- picture

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
/// Room for half of the last number under the axis.
const RIGHT: f64 = 32.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;
const COLORS: [&str; 3] = ["#1f6feb", "#c9341c", "#2da44e"];

/// What is drawn of a cost.
type Of = fn(&Cost) -> f64;

/// CPU time and bytes of a destruction against the number of keys, which is drawn by its logarithm:
/// what grows with the logarithm is a straight line.
pub(super) fn svg(sizes: &[Size]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {HEIGHT:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<title>Cost of a destruction against the \
         number of keys</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        2.0 * WIDTH
    );
    let panels: [(&str, Of); 2] = [
        ("CPU µs of the server for each", |cost| microseconds(cost.cpu)),
        ("KB written for each", |cost| number(cost.written_bytes) / 1e3),
    ];
    let mut x = 0.0;
    for (title, value) in panels {
        write(&mut out, format_args!("<g transform=\"translate({x:.0} 0)\">\n"));
        draw(&mut out, title, sizes, value);
        out.push_str("</g>\n");
        x += WIDTH;
    }
    out.push_str("</svg>\n");
    out
}

fn draw(out: &mut String, title: &str, sizes: &[Size], value: Of) {
    write(
        out,
        format_args!("<text x=\"{LEFT:.0}\" y=\"16\" font-weight=\"bold\">{title}</text>\n"),
    );
    let all = || sizes.iter().flat_map(|size| &size.destroy).map(value);
    let most = all().fold(0.0, f64::max);
    let logs = || sizes.iter().map(|size| number(size.keys.max(1)).log10());
    let (least, greatest) =
        (logs().fold(f64::INFINITY, f64::min), logs().fold(f64::NEG_INFINITY, f64::max));
    if most <= 0.0 || !least.is_finite() {
        return;
    }
    let span = (greatest - least).max(0.1);
    let x_of = |log: f64| LEFT + (log - least) / span * (WIDTH - LEFT - RIGHT);
    let y_of = |value: f64| TOP + (1.0 - value / most) * (HEIGHT - TOP - BOTTOM);
    for (size, log) in sizes.iter().zip(logs()) {
        write(
            out,
            format_args!(
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                x_of(log),
                HEIGHT - BOTTOM + 16.0,
                thousands(size.keys)
            ),
        );
    }
    for part in [0.0, 0.5, 1.0] {
        let (y, value) = (y_of(most * part), most * part);
        write(
            out,
            format_args!(
                "<path d=\"M{LEFT:.1} {y:.1}H{:.1}\" stroke=\"#dddddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value:.0}</text>\n",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0
            ),
        );
    }
    for (place, color) in COLORS.iter().enumerate() {
        let mut path = String::new();
        let mut name = String::new();
        for (size, log) in sizes.iter().zip(logs()) {
            let Some(cost) = size.destroy.get(place) else { continue };
            let to = if path.is_empty() { 'M' } else { 'L' };
            write(&mut path, format_args!("{to}{:.1} {:.1}", x_of(log), y_of(value(cost))));
            name = format!("{} at a time", cost.connections);
        }
        let x = LEFT + 92.0 * number(u64::try_from(place).unwrap_or_default());
        write(
            out,
            format_args!(
                "<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>\
                 <path d=\"M{x:.0} 28h16\" stroke=\"{color}\" stroke-width=\"2\"/>\
                 <text x=\"{:.0}\" y=\"32\">{name}</text>\n",
                x + 20.0
            ),
        );
    }
}

/// Writing to a text in memory does not fail.
fn write(out: &mut String, arguments: core::fmt::Arguments<'_>) {
    let _always_well = out.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(keys: u64, cpu: u64) -> Size {
        let cost = Cost {
            connections: 16,
            cpu: Duration::from_micros(cpu),
            written_bytes: 12_000,
            ..Cost::default()
        };
        let backup = Copied { elapsed: Duration::from_secs(2), bytes: 10_000_000 };
        Size { keys, destroy: vec![cost; 3], backup, restore: None }
    }

    #[test]
    fn bytes_are_by_time() {
        let copied = size(1, 1).backup;
        assert!((megabytes_per_second(copied) - 5.0).abs() < 1e-9);
        assert!(megabytes_per_second(Copied::default()).abs() < 1e-9);
        assert!((number(5_000_000_000) - 5e9).abs() < 1e-3);
    }

    #[test]
    fn the_picture_has_a_line_for_each_number_of_connections() {
        let picture = svg(&[size(10_000, 100), size(1_000_000, 150)]);
        assert_eq!(picture.matches("16 at a time").count(), 6, "{picture}");
        assert_eq!(picture.matches("1,000,000").count(), 2);
        assert!(picture.ends_with("</svg>\n") && !picture.contains("NaN"));
        // Nothing and one size are drawn too.
        for few in [Vec::new(), vec![size(10, 1)]] {
            let picture = svg(&few);
            assert!(picture.ends_with("</svg>\n") && !picture.contains("NaN"), "{picture}");
        }
    }

    #[test]
    fn programs_get_every_figure() {
        let value = described(&size(10_000, 100));
        assert_eq!(value["keys"], 10_000);
        assert_eq!(value["destroy"][0]["written_bytes_each"], 12_000);
        assert_eq!(value["restore"], Value::Null);
    }
}
