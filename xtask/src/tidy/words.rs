//! Words that must not stand in a source file: unfinished work, foreign vendors, the outside world.

use super::Violation;
use super::layers::KNOWS_NO_RUNTIME;
use super::rust_text::{View, find_word, line_of};

/// The word rules for one source file.
pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let Some((name, in_crate)) = path.strip_prefix("crates/").and_then(|path| path.split_once('/'))
    else {
        return Vec::new();
    };
    let view = View::of(text);
    let mut found = check_unfinished(path, text, &view);
    if in_crate.starts_with("src/") {
        found.extend(check_vendors(path, name, &view));
        if KNOWS_NO_RUNTIME.contains(&name) && !is_test(in_crate) {
            found.extend(check_outside_world(path, view));
        }
    }
    found
}

fn check_unfinished(path: &str, text: &str, view: &View) -> Vec<Violation> {
    let in_text = NOTES.iter().map(|word| (word, find_word(text, word)));
    let in_code = UNFINISHED.iter().map(|word| (word, view.code.find(word)));
    in_text
        .chain(in_code)
        .filter_map(|(word, at)| Some((word, line_of(text, at?))))
        .map(|(word, line)| Violation::at_line(path, line, format!("`{word}`: {NOT_LEFT}")))
        .collect()
}

/// Identifiers and literals, in any case; a comment may name a vendor to explain a choice.
fn check_vendors(path: &str, name: &str, view: &View) -> Vec<Violation> {
    if KNOWS_VENDORS.contains(&name) {
        return Vec::new();
    }
    let code = view.code_and_literals.to_ascii_lowercase();
    VENDORS
        .iter()
        .filter(|(door, _)| *door != name)
        .filter_map(|(door, word)| Some((door, word, line_of(&code, code.find(word)?))))
        .map(|(door, word, line)| {
            Violation::at_line(path, line, format!("`{word}` belongs into `{door}`"))
        })
        .collect()
}

fn check_outside_world(path: &str, view: View) -> Vec<Violation> {
    let code = view.without_tests().code;
    let words = OUTSIDE_WORDS.iter().map(|word| (*word, find_word(&code, word)));
    let modules = OUTSIDE_MODULES.iter().map(|module| (*module, find_std_module(&code, module)));
    words
        .chain(modules)
        .filter_map(|(word, at)| Some((word, line_of(&code, at?))))
        .map(|(word, line)| {
            let what = format!("names `{word}`: the outside world comes in as an argument");
            Violation::at_line(path, line, what)
        })
        .collect()
}

/// `std::fs`, also as `use std::{fs, …}`.
fn find_std_module(code: &str, module: &str) -> Option<usize> {
    for (at, start) in code.match_indices("std::") {
        let rest = &code[at + start.len()..];
        let names = rest.strip_prefix('{').map_or(rest, |group| &group[..group_end(group)]);
        let is_group = rest.starts_with('{');
        let starts = find_word(names, module).filter(|found| is_group || *found == 0);
        if starts.is_some() {
            return Some(at);
        }
    }
    None
}

/// The offset of the brace that closes a group; the words of nested groups count as well.
fn group_end(group: &str) -> usize {
    let mut open = 1_usize;
    for (at, character) in group.char_indices() {
        match character {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    group.len()
}

fn is_test(in_crate: &str) -> bool {
    in_crate.ends_with("/tests.rs") || in_crate.contains("/tests/")
}

/// Searched in comments too.
const NOTES: [&str; 2] = ["TODO", "FIXME"];

const UNFINISHED: [&str; 4] = ["dbg!", "unimplemented!", "todo!", "#[ignore"];

const NOT_LEFT: &str = "finish it, or write an issue";

/// The crates that may name every door.
const KNOWS_VENDORS: [&str; 2] = ["lethe-server", "lethe"];

const VENDORS: [(&str, &str); 6] = [
    ("lethe-door-encedo", "encedo"),
    ("lethe-door-ncloud", "naver"),
    ("lethe-door-ncloud", "ncloud"),
    ("lethe-door-storedsafe", "storedsafe"),
    ("lethe-door-dfns", "dfns"),
    ("lethe-door-altostrat", "altostrat"),
];

const OUTSIDE_WORDS: [&str; 3] = ["tokio", "SystemTime", "Instant"];
const OUTSIDE_MODULES: [&str; 2] = ["fs", "net"];
