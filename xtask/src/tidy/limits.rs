//! Every bound in `limits.rs` says what it counts and why it is what it is.

use super::Violation;

/// The rule for the file of limits: a doc comment and a unit for each constant.
pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut previous = "";
    for (number, line) in (1..).zip(text.lines()) {
        let constant = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(':'));
        if let Some((name, declared)) = constant {
            if !previous.starts_with("///") {
                let what = format!("`{name}` has no doc comment");
                found.push(Violation::at_line(path, number, what));
            }
            let is_duration = declared.trim_start().starts_with("Duration");
            if !is_duration && !has_unit(name) {
                let what = format!("`{name}` does not end in a unit, as `…_BYTES_MAX` does");
                found.push(Violation::at_line(path, number, what));
            }
        }
        if !line.starts_with("#[") {
            previous = line;
        }
    }
    found
}

fn has_unit(name: &str) -> bool {
    let ends = ["_MAX", "_MIN", "_DEFAULT"];
    let counted = ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    counted.rsplit('_').next().is_some_and(|unit| UNITS.contains(&unit))
}

/// What a bound may count. A new unit is one word here.
const UNITS: [&str; 47] = [
    "ALIASES",
    "APPROVALS",
    "ATTEMPTS",
    "ATTRIBUTES",
    "BITS",
    "BYTES",
    "CHANGES",
    "CONNECTIONS",
    "CREDENTIALS",
    "DAYS",
    "DEPENDANTS",
    "DOCUMENTS",
    "ENTRIES",
    "EVENTS",
    "FILES",
    "GRANTS",
    "HASHES",
    "HEADERS",
    "HOLDS",
    "ITEMS",
    "JOBS",
    "KEYS",
    "KIB",
    "LABELS",
    "LEAVES",
    "LEVELS",
    "LINES",
    "MILLIS",
    "NODES",
    "OPERATIONS",
    "PAGES",
    "PASSES",
    "PLANS",
    "PRINCIPALS",
    "REALMS",
    "RECORDS",
    "REQUESTS",
    "RETRIES",
    "SECONDS",
    "SIGNATURES",
    "SLOTS",
    "STREAMS",
    "THREADS",
    "TILES",
    "TOKENS",
    "VAULTS",
    "VERSIONS",
];
