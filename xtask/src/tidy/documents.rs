//! Documents that are there, complete, and whose links lead somewhere.

use super::{Repository, Violation};

/// The rules for the documents and for what CI promises about the README.
pub(super) fn check(repository: &Repository) -> Vec<Violation> {
    let mut found = Vec::new();
    for document in REQUIRED {
        if !repository.sizes.contains_key(document) {
            found.push(Violation::new(document, "is missing"));
        }
    }
    let names = repository.crates().into_iter().map(|member| member.name);
    found.extend(check_map(repository.text("ARCHITECTURE.md"), names));
    found.extend(check_changelog(repository.text("CHANGELOG.md")));
    found.extend(check_test_command(repository.text("README.md"), repository.text(".ci/run")));
    for (path, text) in repository.texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        found.extend(check_links(path, text, |target| exists(repository, target)));
    }
    found
}

/// Every crate stands on the map, by its full name.
pub(super) fn check_map(map: &str, names: impl Iterator<Item = String>) -> Vec<Violation> {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    names
        .filter(|name| !map.split(|c| !is_part(c)).any(|word| word == name))
        .map(|name| Violation::new("ARCHITECTURE.md", format!("does not name the crate `{name}`")))
        .collect()
}

/// A change that users see is written down before it is released.
pub(super) fn check_changelog(text: &str) -> Option<Violation> {
    let has_section = text.lines().any(|line| line.trim_end() == "## [Unreleased]");
    (!has_section).then(|| Violation::new("CHANGELOG.md", "has no section `## [Unreleased]`"))
}

/// What the README tells a stranger to run is what CI runs.
pub(super) fn check_test_command(readme: &str, ci: &str) -> Vec<Violation> {
    [("README.md", readme), (".ci/run", ci)]
        .into_iter()
        .filter(|(_, text)| !text.lines().any(|line| line.trim() == TEST_COMMAND))
        .map(|(path, _)| Violation::new(path, format!("has no line `{TEST_COMMAND}`")))
        .collect()
}

/// Relative links of one document; `exists` knows the paths from the root of the repository.
pub(super) fn check_links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
            continue;
        }
        let links = if in_fence { Vec::new() } else { links_of(line) };
        for link in links {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !exists(&resolve(path, target)) {
                let what = format!("the link `{link}` leads nowhere");
                found.push(Violation::at_line(path, number, what));
            }
        }
    }
    found
}

/// The targets of `[text](target)` in a line that lead into the repository, outside code spans.
fn links_of(line: &str) -> Vec<&str> {
    let prose = line.split('`').step_by(2);
    prose
        .flat_map(|piece| piece.split("](").skip(1))
        .filter_map(|rest| rest.split([')', ' ']).next())
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .collect()
}

/// A link relative to the document `path`, as a path from the root without `.` and `..`.
fn resolve(path: &str, link: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn exists(repository: &Repository, target: &str) -> bool {
    let folder = format!("{target}/");
    repository.sizes.keys().any(|path| path == target || path.starts_with(&folder))
}

const REQUIRED: [&str; 8] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "docs/deletion.md",
    "docs/operate.md",
];

/// Stands as a line of its own in the README and in `.ci/run`.
const TEST_COMMAND: &str = "./setup && cargo xtask test";
