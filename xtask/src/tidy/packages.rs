//! The rules of `deny.toml`, checked without cargo-deny: banned packages, sources, licences. And
//! the lines that every manifest of ours has.

use core::iter::Peekable;
use core::str::SplitWhitespace;
use std::collections::BTreeSet;

use serde_json::Value;

use super::{Repository, Violation};

/// The rules for dependencies and manifests.
pub(super) fn check(repository: &Repository) -> Vec<Violation> {
    let policy = repository.text("deny.toml");
    let mut found = check_bans(&banned(policy), &repository.built_packages);
    found.extend(check_sources(repository.text("Cargo.lock")));
    found.extend(check_licences(&allowed_licences(policy), &repository.metadata));
    // The fuzz targets are no members of the workspace, and inherit nothing from it.
    let manifests = repository
        .texts
        .iter()
        .filter(|(path, _)| path.ends_with("/Cargo.toml") && *path != "fuzz/Cargo.toml");
    found.extend(manifests.flat_map(|(path, text)| check_manifest(path, text)));
    found
}

/// The names after `deny = [` in the policy, one a line.
pub(super) fn banned(policy: &str) -> Vec<&str> {
    let entries = policy.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \""));
    entries.filter_map(|rest| rest.split('"').next()).collect()
}

/// `built` is the answer of `cargo tree`: a package and its version on each line.
pub(super) fn check_bans(banned: &[&str], built: &str) -> Vec<Violation> {
    let names: BTreeSet<&str> = built.lines().filter_map(|line| line.split(' ').next()).collect();
    let mut found: Vec<Violation> = banned
        .iter()
        .filter(|name| names.contains(**name))
        .map(|name| Violation::new("Cargo.lock", format!("builds `{name}`: see deny.toml")))
        .collect();
    // A list that was not understood must not look like a list that is kept.
    if banned.is_empty() || names.is_empty() {
        found.push(Violation::new("deny.toml", "no banned or no built packages were read"));
    }
    found
}

/// Every package of the lock file is ours or from a registry.
pub(super) fn check_sources(lock: &str) -> Vec<Violation> {
    (1..)
        .zip(lock.lines())
        .filter(|(_, line)| line.starts_with("source = ") && !line.contains("\"registry+"))
        .map(|(number, line)| {
            Violation::at_line("Cargo.lock", number, format!("{line}: only from a registry"))
        })
        .collect()
}

/// The quoted names between `allow = [` and `]` in the policy.
pub(super) fn allowed_licences(policy: &str) -> Vec<&str> {
    let list = policy.split("\nallow = [").nth(1).and_then(|rest| rest.split(']').next());
    list.unwrap_or_default().split('"').skip(1).step_by(2).collect()
}

/// Every package's licence expression can be met with allowed licences.
pub(super) fn check_licences(allowed: &[&str], metadata: &Value) -> Vec<Violation> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages
        .iter()
        .filter_map(|package| {
            let licence = package["license"].as_str().unwrap_or("none stated");
            let name = package["name"].as_str()?;
            let what = format!("`{name}` has the licence {licence}: see deny.toml");
            (!is_met(licence, allowed)).then(|| Violation::new("Cargo.lock", what))
        })
        .collect()
}

/// Whether an SPDX expression holds when exactly the licences of `allowed` are acceptable.
/// `/` is the old spelling of `OR`.
pub(super) fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = any_of(&mut words, allowed);
    met && words.next().is_none()
}

fn any_of(words: &mut Peekable<SplitWhitespace<'_>>, allowed: &[&str]) -> bool {
    let mut met = all_of(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut Peekable<SplitWhitespace<'_>>, allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Peekable<SplitWhitespace<'_>>, allowed: &[&str]) -> bool {
    match words.next() {
        Some("(") => {
            let met = any_of(words, allowed);
            words.next_if_eq(&")").is_some() && met
        }
        Some(name) if words.next_if_eq(&"WITH").is_some() => {
            let full = format!("{name} WITH {}", words.next().unwrap_or_default());
            allowed.contains(&full.as_str())
        }
        Some(name) => allowed.contains(&name),
        None => false,
    }
}

/// A crate of ours keeps the lints of the workspace and is not published by accident.
pub(super) fn check_manifest(path: &str, text: &str) -> Vec<Violation> {
    MANIFEST_LINES
        .iter()
        .filter(|lines| !text.contains(**lines))
        .map(|lines| Violation::new(path, format!("lacks `{}`", lines.replace('\n', " "))))
        .collect()
}

const MANIFEST_LINES: [&str; 3] =
    ["[lints]\nworkspace = true", "publish.workspace = true", "license.workspace = true"];
