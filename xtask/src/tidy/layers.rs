//! The layer rule: a crate uses only crates of lower layers.

use serde_json::Value;

use super::Violation;

/// A member of the workspace.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(super) name: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One entry of a manifest's dependency tables.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(super) name: String,
    /// Whether the other crate is of this workspace.
    pub(super) is_ours: bool,
    /// Whether only tests and benchmarks use it.
    pub(super) is_for_tests: bool,
}

/// Reads the members out of `cargo metadata`.
pub(super) fn crates_of(metadata: &Value) -> Vec<Crate> {
    let members: Vec<&Value> = list(&metadata["workspace_members"]).collect();
    list(&metadata["packages"])
        .filter(|package| members.contains(&&package["id"]))
        .map(|package| Crate {
            name: word(&package["name"]),
            dependencies: list(&package["dependencies"])
                .map(|dependency| Dependency {
                    name: word(&dependency["name"]),
                    is_ours: dependency["path"].is_string(),
                    is_for_tests: dependency["kind"] == "dev",
                })
                .collect(),
        })
        .collect()
}

/// The layer rule and the narrower rules of single crates.
pub(super) fn check(crates: &[Crate]) -> Vec<Violation> {
    crates.iter().flat_map(|of| of.dependencies.iter().filter_map(|on| check_one(of, on))).collect()
}

fn check_one(of: &Crate, on: &Dependency) -> Option<Violation> {
    let violation = |what: String| Some(Violation::new(of.name.clone(), what));
    if !on.is_ours {
        let forbidden = KNOWS_NO_RUNTIME.contains(&of.name.as_str())
            && RUNTIMES.contains(&on.name.as_str())
            && !on.is_for_tests;
        let what = format!("depends on `{}`, but layers 0 to 3 know no runtime, no HTTP", on.name);
        return if forbidden { violation(what) } else { None };
    }
    let (Some(own), Some(other)) = (layer(&of.name), layer(&on.name)) else {
        let stranger = if layer(&of.name).is_none() { &of.name } else { &on.name };
        return violation(format!("`{stranger}` has no layer: add it to xtask/src/tidy/layers.rs"));
    };
    if on.is_for_tests {
        let what = format!("layer {own} tests with `{}` of layer {other}", on.name);
        return if other > own { violation(what) } else { None };
    }
    if other >= own {
        return violation(format!("layer {own} depends on `{}` of layer {other}", on.name));
    }
    if of.name.starts_with("lethe-door-") && on.name.starts_with("lethe-store") {
        return violation(format!("a door never knows a store, but depends on `{}`", on.name));
    }
    if of.name == "lethe-verify" && !VERIFIER_USES.contains(&on.name.as_str()) {
        return violation(format!(
            "the verifier stays independent of the server, but depends on `{}`",
            on.name
        ));
    }
    None
}

/// The layer of a crate of ours; `None` for a crate that was not given one.
pub(super) fn layer(name: &str) -> Option<u8> {
    let of_table = LAYERS.iter().find(|(_, names)| names.contains(&name)).map(|(layer, _)| *layer);
    if name.starts_with("lethe-door-") { Some(DOOR_LAYER) } else { of_table }
}

const LAYERS: [(u8, &[&str]); 8] = [
    (0, &["lethe-types"]),
    (1, &["lethe-crypto"]),
    (2, &["lethe-erasure", "lethe-log", "lethe-store"]),
    (
        3,
        &["lethe-engine", "lethe-store-embedded", "lethe-store-etcd", "lethe-slot", "lethe-verify"],
    ),
    (4, &["lethe-http", "lethe-token"]),
    (DOOR_LAYER, &["lethe-console"]),
    (6, &["lethe-server", "lethe-attack"]),
    (7, &["lethe", "lethe-sim", "xtask"]),
];

/// Also the layer of every `lethe-door-*`.
const DOOR_LAYER: u8 = 5;

const VERIFIER_USES: [&str; 3] = ["lethe-types", "lethe-crypto", "lethe-log"];

/// The crates that decide; everything outside reaches them as an argument.
pub(super) const KNOWS_NO_RUNTIME: [&str; 5] =
    ["lethe-types", "lethe-crypto", "lethe-erasure", "lethe-log", "lethe-engine"];

const RUNTIMES: [&str; 6] = ["tokio", "async-std", "smol", "hyper", "http", "axum"];

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
