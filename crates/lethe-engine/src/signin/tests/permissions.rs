//! The document of permissions says what the program has.

use lethe_types::Permission;

const DOCUMENT: &str = include_str!("../../../../../docs/permissions.md");

/// The first code span of every row of the table under `heading`.
fn first_column(heading: &str) -> Vec<&'static str> {
    let section = DOCUMENT.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap()).collect()
}

#[test]
fn the_document_lists_the_permissions_in_their_order() {
    let have: Vec<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    assert_eq!(first_column("\n## The permissions\n"), have);
}

#[test]
fn every_name_that_the_mappings_use_is_a_permission() {
    let mappings = DOCUMENT.split("\n## The permissions\n").nth(1).unwrap();
    let families =
        ["keys.", "holds.", "vaults.", "principals.", "apikeys.", "audit.", "backups.", "realm."];
    let spans = mappings.split('`').skip(1).step_by(2);
    let named: Vec<&str> =
        spans.filter(|span| families.iter().any(|family| span.starts_with(family))).collect();
    assert!(named.len() > 100, "{}", named.len());
    for name in named {
        assert!(name.parse::<Permission>().is_ok(), "{name}");
    }
}
