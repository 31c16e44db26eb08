//! The table, and the same as JSON.

use serde_json::{Value, json};

use super::Row;
use super::openssl::OpenSsl;
use crate::failure::Failure;
use crate::output::{Output, table};

/// A ratio below this is marked: something is to be explained or mended.
const RATIO_OF_NOTE: f64 = 0.7;

pub(super) fn print(
    rows: &[Row],
    openssl: Option<&OpenSsl>,
    output: &mut Output,
) -> Result<(), Failure> {
    if output.is_json() {
        return output.json(&json!({
            "rows": rows.iter().map(json_of).collect::<Vec<_>>(),
            "machine": machine(),
            "openssl": openssl.map(|openssl| openssl.version.as_str()),
            "is_debug_build": cfg!(debug_assertions),
        }));
    }
    let head = ["ALGORITHM", "USE", ">BYTES", ">OPS/S", ">OPENSSL", ">RATIO", ""];
    let cells: Vec<Vec<String>> = rows.iter().map(cells_of).collect();
    for line in table(&head, &cells) {
        output.line(&line)?;
    }
    notes(openssl).iter().try_for_each(|line| output.line(line))
}

fn cells_of(row: &Row) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let is_low = row.ratio().is_some_and(|ratio| ratio < RATIO_OF_NOTE);
    vec![
        row.algorithm.name().to_owned(),
        row.work.name().to_owned(),
        or_dash(row.work.bytes().map(|bytes| bytes.to_string())),
        digits(row.ours.per_s()),
        or_dash(row.openssl.map(digits)),
        or_dash(row.ratio().map(|ratio| format!("{ratio:.2}"))),
        if is_low { "low".to_owned() } else { String::new() },
    ]
}

/// Three digits, or all before the point.
fn digits(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { super::super::report::whole(rate) }
}

fn json_of(row: &Row) -> Value {
    json!({
        "algorithm": row.algorithm.name(),
        "use": row.work.name(),
        "bytes": row.work.bytes(),
        "operations": row.ours.operations,
        "cpu_s": row.ours.cpu.as_secs_f64(),
        "operations_per_s": row.ours.per_s(),
        "openssl_per_s": row.openssl,
        "ratio": row.ratio(),
    })
}

fn notes(openssl: Option<&OpenSsl>) -> Vec<String> {
    let mut lines = vec![
        String::new(),
        "Operations for each second of CPU time of one thread. \"load\" makes stored material ready"
            .to_owned(),
        "for use; it is not part of the other rows. Signed messages have 32 bytes.".to_owned(),
        format!("Machine: {}.", machine()),
    ];
    if let Some(openssl) = openssl {
        lines.push(format!(
            "OPENSSL is `openssl speed` of {}, in turn with ours. It draws no nonces and allocates",
            openssl.version
        ));
        lines
            .push("nothing; of ciphers without authentication it sets up none of them.".to_owned());
    }
    if cfg!(debug_assertions) {
        lines.push("This is a debug build: its figures mean nothing.".to_owned());
    }
    lines
}

/// The processor, as Linux names it.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| crate::output::printable(value.trim()))
    });
    name.unwrap_or_else(|| "unknown".to_owned())
}
