//! The steps of `cargo xtask test`, cheap ones first, with the time that each takes.

use std::env;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::{cargo, tidy, vectors};

/// Runs every step. On a developer's machine the first failure ends the run; in CI (`CI` is set)
/// the others still run, so that one run shows everything that is wrong.
pub(crate) fn test() -> ExitCode {
    let in_ci = env::var_os("CI").is_some();
    let mut done = Vec::new();
    for step in STEPS {
        eprintln!("xtask: {}", step.name);
        let started = now();
        let passed = (step.run)(in_ci);
        done.push((step.name, passed, started.elapsed()));
        if !passed && !in_ci {
            break;
        }
    }
    report(&done)
}

/// Runs the tidy rules alone.
pub(crate) fn tidy() -> ExitCode {
    if run_tidy(false) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Step {
    name: &'static str,
    /// Whether the step passed; the argument says whether this is a run of CI.
    run: fn(bool) -> bool,
}

/// Clippy and rustdoc share their type-checked dependencies; the tests need compiled ones.
const STEPS: [Step; 7] = [
    Step { name: "format", run: |_| succeeds(cargo(&["fmt", "--all", "--check"])) },
    Step { name: "tidy", run: run_tidy },
    Step { name: "lints", run: run_clippy },
    Step { name: "tests", run: run_tests },
    Step { name: "tpm", run: run_tpm },
    // The tests have just passed: what is checked is the document.
    Step { name: "vectors", run: |_| vectors::is_document_right() },
    Step { name: "documentation", run: run_rustdoc },
];

fn run_tidy(_in_ci: bool) -> bool {
    let violations = match tidy::Repository::load() {
        Ok(repository) => tidy::check(&repository),
        Err(error) => {
            eprintln!("tidy: {error}");
            return false;
        }
    };
    for violation in &violations {
        eprintln!("tidy: {violation}");
    }
    violations.is_empty()
}

fn run_clippy(in_ci: bool) -> bool {
    let mut command = cargo(&["clippy", "--workspace", "--all-targets"]);
    lock(&mut command, in_ci).args(["--", "-D", "warnings"]);
    succeeds(command)
}

fn run_tests(in_ci: bool) -> bool {
    let profile = if in_ci { "ci" } else { "default" };
    let mut command = cargo(&["nextest", "run", "--workspace", "--profile", profile]);
    lock(&mut command, in_ci);
    succeeds(command)
}

/// What is built only with a feature, since it links a library of the system.
fn run_tpm(in_ci: bool) -> bool {
    let with = ["lethe-slot", "lethe-server", "lethe"].map(|name| ["--package", name]);
    let features = "lethe-slot/tpm,lethe-server/tpm,lethe/tpm";
    let mut lints = cargo(&["clippy", "--all-targets"]);
    lints.args(with.as_flattened()).args(["--features", features]);
    lock(&mut lints, in_ci).args(["--", "-D", "warnings"]);
    let mut tests = cargo(&["nextest", "run"]);
    tests.args(with.as_flattened()).args(["--features", features, "-E", "test(tpm)"]);
    lock(&mut tests, in_ci);
    succeeds(lints) && succeeds(tests)
}

fn run_rustdoc(in_ci: bool) -> bool {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    lock(&mut command, in_ci).env("RUSTDOCFLAGS", "-D warnings");
    succeeds(command)
}

/// CI builds exactly what `Cargo.lock` says; a developer may be adding a dependency just now.
fn lock(command: &mut Command, in_ci: bool) -> &mut Command {
    if in_ci { command.arg("--locked") } else { command }
}

fn succeeds(mut command: Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("xtask: cannot start {command:?}: {error}");
            false
        }
    }
}

fn report(done: &[(&str, bool, Duration)]) -> ExitCode {
    for (name, passed, took) in done {
        let verdict = if *passed { "passed" } else { "FAILED" };
        eprintln!("xtask: {name:<14}{verdict}  {:>7.1} s", took.as_secs_f64());
    }
    let all = done.len() == STEPS.len() && done.iter().all(|(_, passed, _)| *passed);
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "the time of a step is only printed")]
fn now() -> Instant {
    Instant::now()
}
