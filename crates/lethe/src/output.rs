//! What a command prints: tables and sentences for people, JSON for programs.
//!
//! Names, reasons and error texts are other people's: for people they go through [`printable`], so
//! that none of them can draw on the reader's terminal.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Stdout, Write as _};

use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// Standard output, and the form that was asked for.
#[derive(Debug)]
pub(crate) struct Output {
    as_json: bool,
    out: BufWriter<Stdout>,
}

impl Output {
    /// For programs if `as_json`, else for people.
    pub(crate) fn new(as_json: bool) -> Self {
        Self { as_json, out: BufWriter::new(io::stdout()) }
    }

    /// Whether a program is going to read it.
    pub(crate) fn is_json(&self) -> bool {
        self.as_json
    }

    /// One line of text, which must be [`printable`] already.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}").map_err(Failure::Output)
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(Failure::Output)
    }

    /// A value as JSON, laid out over several lines.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let written = serde_json::to_writer_pretty(&mut self.out, value);
        written.map_err(|error| Failure::Output(error.into()))?;
        self.line("")
    }

    /// Names and values below each other, the values in one column. Empty values are left out.
    pub(crate) fn fields(&mut self, fields: &[(&str, String)]) -> Result<(), Failure> {
        field_lines(fields).iter().try_for_each(|line| self.line(line))
    }

    /// What was written so far reaches its reader now.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Output)
    }

    /// The last write: a command whose output is lost has failed.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        self.flush()
    }
}

fn field_lines(fields: &[(&str, String)]) -> Vec<String> {
    let told = || fields.iter().filter(|(_, value)| !value.is_empty());
    let width = told().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    told().map(|(name, value)| format!("{name:width$}  {}", printable(value))).collect()
}

/// A table whose columns are as wide as their widest cell; the last one is not padded.
///
/// Cells of a column whose name begins with `>` stand at its right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let names: Vec<String> =
        head.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
    let is_right: Vec<bool> = head.iter().map(|name| name.starts_with('>')).collect();
    let mut widths = vec![0; head.len()];
    for row in std::iter::once(&names).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        for ((cell, width), right) in row.iter().zip(&widths).zip(&is_right) {
            let written = if *right {
                write!(text, "{cell:>width$}  ")
            } else {
                write!(text, "{cell:width$}  ")
            };
            written.expect("writing to a string cannot fail");
        }
        text.truncate(text.trim_end().len());
        text
    };
    std::iter::once(&names).chain(rows).map(line).collect()
}

/// `text` with everything escaped that is not meant to be read: control characters, and those that
/// change the direction of the text around them (UAX #9).
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_directional(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

fn is_directional(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// A member of a JSON object as text: strings as they are, `null` and absent ones as nothing.
pub(crate) fn member(value: &Value, name: &str) -> String {
    match value.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other @ (Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_))) => {
            other.to_string()
        }
    }
}

/// A number with its thousands apart, as in `1,234`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let rows = [
            vec!["a".to_owned(), "1".to_owned(), "x".to_owned()],
            vec!["bcd".to_owned(), "1000".to_owned(), "ü y".to_owned()],
        ];
        let lines = table(&["NAME", ">N", "REST"], &rows);
        assert_eq!(lines, ["NAME     N  REST", "a        1  x", "bcd   1000  ü y"]);
        assert_eq!(table(&["A", "B"], &[]), ["A  B"]);
    }

    #[test]
    fn fields_without_a_value_are_left_out() {
        let field = |name, value: &str| (name, value.to_owned());
        let fields = [field("a", "1\n"), field("long name", ""), field("bcd", "2")];
        assert_eq!(field_lines(&fields), ["a    1\\n", "bcd  2"]);
        assert!(field_lines(&[]).is_empty());
    }

    #[test]
    fn only_what_is_meant_to_be_read_is_printed() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(printable(text), expected);
        }
        check("plain text, ü, 鍵", "plain text, ü, 鍵");
        check("a\u{1b}[31mb", r"a\u{1b}[31mb");
        check("a\nb\tc", r"a\nb\tc");
        check("a\u{202e}b", r"a\u{202e}b");
        check("a\u{2068}b\u{9b}", r"a\u{2068}b\u{9b}");
    }

    #[test]
    fn thousands_are_apart() {
        #[track_caller]
        fn check(number: u64, expected: &str) {
            assert_eq!(thousands(number), expected);
        }
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(12_345, "12,345");
        check(1_234_567, "1,234,567");
    }

    #[test]
    fn members_are_text() {
        let value = serde_json::json!({"a": "x", "b": null, "c": 7, "d": true, "e": [1]});
        let texts = ["a", "b", "c", "d", "e", "f"].map(|name| member(&value, name));
        assert_eq!(texts, ["x", "", "7", "true", "[1]", ""]);
    }
}
