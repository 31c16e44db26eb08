//! The chores of the repository: `cargo xtask test` runs everything that a change must pass,
//! `cargo xtask tidy` only the rules about the shape of the repository, `cargo xtask vectors` only
//! the tests of the cryptography, with the published vectors counted.
//!
//! It depends on nothing of Lethe and on no network, so that it builds in seconds and works while
//! the rest does not compile.

mod steps;
mod tidy;
mod vectors;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["test"] => steps::test(),
        ["tidy"] => steps::tidy(),
        ["vectors"] => vectors::print(),
        ["vectors", "--check"] => vectors::check(),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The folder of the workspace.
pub(crate) fn repository_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask is a folder of the workspace").to_owned()
}

/// A cargo command in the workspace folder.
///
/// Cargo tells the program it runs about the package that it belongs to. A nested cargo must not
/// see that: build scripts that watch such a variable would run again, and rebuild half the tree.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(repository_root());
    for (name, _) in env::vars_os() {
        let about_package = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if about_package {
            command.env_remove(name);
        }
    }
    command
}

const USAGE: &str = "usage: cargo xtask COMMAND

  test   format, tidy, lints, tests, vectors and documentation: what CI runs
  tidy   the rules about layers, sizes, words, documents and dependencies
  vectors [--check]
         runs the published vectors and counts them; against docs/algorithms.md";
