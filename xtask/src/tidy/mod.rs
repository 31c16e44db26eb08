//! The rules about the shape of the repository, as pure functions over its text.
//!
//! [`Repository::load`] reads; everything else only looks at what was read, so that the tests plant
//! each violation in a few lines of text and see it caught.

mod documents;
mod layers;
mod limits;
mod packages;
mod rust_text;
mod size;
mod words;

use core::fmt;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde_json::Value;

use crate::{cargo, repository_root};

/// All violations of all rules; empty means tidy.
pub(crate) fn check(repository: &Repository) -> Vec<Violation> {
    let mut found = Vec::new();
    found.extend(layers::check(&repository.crates()));
    found.extend(packages::check(repository));
    found.extend(size::check_bytes(&repository.sizes));
    found.extend(documents::check(repository));
    for (path, text) in &repository.texts {
        if path.ends_with(".rs") {
            found.extend(size::check_rust(path, text));
            found.extend(words::check(path, text));
        }
        if path.ends_with("lethe-types/src/limits.rs") {
            found.extend(limits::check(path, text));
        }
    }
    found
}

/// A broken rule: where, and what is wrong there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// A path from the root of the repository, with a line if there is one; or a crate.
    place: String,
    what: String,
}

impl Violation {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    fn at_line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), what)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// What the rules look at. Paths are relative to the root, with `/`.
pub(crate) struct Repository {
    /// Every file with its size in bytes.
    sizes: BTreeMap<String, u64>,
    /// The contents of sources, manifests, documents and scripts.
    texts: BTreeMap<String, String>,
    /// `cargo metadata`, with all packages of `Cargo.lock`.
    metadata: Value,
    /// `cargo tree`: the packages that are built for some feature and platform, one a line.
    built_packages: String,
}

impl Repository {
    /// Reads the work tree and asks cargo, offline.
    ///
    /// # Errors
    /// A sentence that names the file or the cargo command that failed.
    pub(crate) fn load() -> Result<Self, String> {
        let mut repository = Self {
            sizes: BTreeMap::new(),
            texts: BTreeMap::new(),
            metadata: serde_json::from_str(&answer(&METADATA)?)
                .map_err(|error| format!("cargo metadata answers no JSON: {error}"))?,
            built_packages: answer(&TREE)?,
        };
        repository.read_folder(&repository_root(), "")?;
        Ok(repository)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), String> {
        let failed = |error: io::Error| format!("cannot read {}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && !FOLDERS_APART.contains(&name.as_str()) {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                self.sizes.insert(path.clone(), entry.metadata().map_err(failed)?.len());
                if is_text(&path) {
                    let text = fs::read_to_string(entry.path())
                        .map_err(|error| format!("cannot read {path}: {error}"))?;
                    self.texts.insert(path, text);
                }
            }
        }
        Ok(())
    }

    /// The text of a file that must be there; empty if it is not, which the document rules report.
    fn text(&self, path: &str) -> &str {
        self.texts.get(path).map_or("", String::as_str)
    }

    /// The members of the workspace with their manifests' dependencies.
    fn crates(&self) -> Vec<layers::Crate> {
        layers::crates_of(&self.metadata)
    }
}

fn answer(arguments: &[&str]) -> Result<String, String> {
    let what = format!("cargo {}", arguments.join(" "));
    let output =
        cargo(arguments).output().map_err(|error| format!("cannot start {what}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{what}: the answer is not UTF-8"))
}

fn is_text(path: &str) -> bool {
    let endings = [".rs", ".md", ".toml", "Cargo.lock"];
    endings.iter().any(|ending| path.ends_with(ending)) || path == "setup" || path == ".ci/run"
}

/// Not part of what is written by hand.
const FOLDERS_APART: [&str; 4] = [".git", "target", "lethe-data", "node_modules"];

const METADATA: [&str; 4] = ["metadata", "--offline", "--format-version", "1"];

/// Features and platforms resolved: `Cargo.lock` also names optional packages that nothing builds.
const TREE: [&str; 10] = [
    "tree",
    "--offline",
    "--workspace",
    "--all-features",
    "--target=all",
    "--edges=normal,build,dev",
    "--prefix=none",
    "--format={p}",
    "--color=never",
    "--quiet",
];

#[cfg(test)]
mod tests;
