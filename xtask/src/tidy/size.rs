//! Nothing too big to read: files, functions, lines.

use std::collections::BTreeMap;

use super::Violation;
use super::rust_text::{View, end_of_item, is_identifier, line_of};

/// A source file: its lines, their columns, and its functions.
pub(super) fn check_rust(path: &str, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        found.push(Violation::new(path, format!("{lines} lines, at most {FILE_LINES_MAX}: split")));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let columns = line.chars().count();
        // An address cannot be broken.
        if columns > LINE_COLUMNS_MAX && !line.contains("://") {
            let what = format!("{columns} columns, at most {LINE_COLUMNS_MAX}");
            found.push(Violation::at_line(path, number, what));
        }
    }
    found.extend(check_functions(path, &View::of(text).code));
    found
}

/// Every file, except where big ones belong.
pub(super) fn check_bytes(sizes: &BTreeMap<String, u64>) -> Vec<Violation> {
    sizes
        .iter()
        .filter(|(path, bytes)| **bytes > FILE_BYTES_MAX && !may_be_big(path))
        .map(|(path, bytes)| {
            Violation::new(path.as_str(), format!("{bytes} bytes, at most {FILE_BYTES_MAX}"))
        })
        .collect()
}

fn check_functions(path: &str, code: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let name: String = code[at + 3..].chars().take_while(|c| is_identifier(*c)).collect();
        let is_word = !code[..at].chars().next_back().is_some_and(is_identifier);
        if name.is_empty() || !is_word {
            continue;
        }
        let first = line_of(code, at);
        let lines = line_of(code, end_of_item(code, at).saturating_sub(1)) - first + 1;
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}");
            found.push(Violation::at_line(path, first, what));
        }
    }
    found
}

fn may_be_big(path: &str) -> bool {
    path == "Cargo.lock" || path.split('/').any(|part| part == "testdata" || part == "dist")
}

pub(super) const FILE_LINES_MAX: usize = 600;
pub(super) const LINE_COLUMNS_MAX: usize = 100;
pub(super) const FUNCTION_LINES_MAX: usize = 80;
pub(super) const FILE_BYTES_MAX: u64 = 200_000;
