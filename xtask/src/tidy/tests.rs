//! The repository is tidy; and each rule catches a violation that is planted for it.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

/// The rules as a test, so that a plain `cargo nextest run` checks them too.
#[test]
fn the_repository_is_tidy() {
    let repository = Repository::load().expect("the work tree can be read");
    let found: Vec<String> = check(&repository).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// Expects one violation whose text contains `expected`, or none if that is empty.
#[track_caller]
fn expect(found: impl IntoIterator<Item = Violation>, expected: &str) {
    let found: Vec<String> = found.into_iter().map(|violation| violation.to_string()).collect();
    match found.as_slice() {
        [] => assert_eq!(expected, "", "nothing was caught"),
        [one] => assert!(!expected.is_empty() && one.contains(expected), "{one}"),
        more => panic!("more than one: {more:?}"),
    }
}

/// A workspace of one crate with one dependency, by manifest table: `""` or `"dev"`.
fn workspace(name: &str, kind: &str, dependency: &str) -> Vec<layers::Crate> {
    let is_ours = dependency.starts_with("lethe");
    let dependency = json!({
        "name": dependency,
        "kind": if kind.is_empty() { Value::Null } else { kind.into() },
        "path": if is_ours { "/somewhere".into() } else { Value::Null },
    });
    layers::crates_of(&json!({
        "workspace_members": ["member"],
        "packages": [
            { "id": "member", "name": name, "dependencies": [dependency] },
            { "id": "foreign", "name": "tokio", "dependencies": [{ "name": "lethe-nowhere" }] },
        ],
    }))
}

#[test]
fn a_crate_uses_only_lower_layers() {
    let check = |name, kind, dependency, expected| {
        expect(layers::check(&workspace(name, kind, dependency)), expected);
    };
    check("lethe-crypto", "", "lethe-types", "");
    check("lethe-engine", "", "lethe-store", "");
    check("lethe-server", "", "lethe-door-native", "");
    check("lethe", "", "lethe-server", "");
    check("lethe-types", "", "lethe-crypto", "layer 0 depends on `lethe-crypto` of layer 1");
    check("lethe-log", "", "lethe-store", "layer 2 depends on `lethe-store` of layer 2");
    check("lethe-engine", "", "lethe-http", "layer 3 depends on `lethe-http` of layer 4");
    check("lethe-slot", "", "lethe-engine", "layer 3 depends on");
    check("lethe-sim", "", "lethe", "layer 7 depends on");
    check("lethe-door-dfns", "", "lethe-door-native", "layer 5 depends on");
}

#[test]
fn tests_may_use_their_own_layer() {
    let check = |name, dependency, expected| {
        expect(layers::check(&workspace(name, "dev", dependency)), expected);
    };
    check("lethe-engine", "lethe-store-embedded", "");
    check("lethe-store", "lethe-store", "");
    check("lethe-store", "lethe-engine", "layer 2 tests with `lethe-engine` of layer 3");
    // `build` scripts are part of what is shipped.
    expect(layers::check(&workspace("lethe-log", "build", "lethe-store")), "layer 2 depends on");
}

#[test]
fn some_crates_have_narrower_rules() {
    let check = |name, kind, dependency, expected| {
        expect(layers::check(&workspace(name, kind, dependency)), expected);
    };
    check("lethe-door-native", "", "lethe-store", "a door never knows a store");
    check("lethe-door-native", "", "lethe-store-embedded", "a door never knows a store");
    check("lethe-verify", "", "lethe-log", "");
    check("lethe-verify", "", "lethe-store", "the verifier stays independent");
    check("lethe-verify", "", "lethe-erasure", "the verifier stays independent");
    check("lethe-engine", "", "tokio", "know no runtime");
    check("lethe-types", "", "http", "know no runtime");
    check("lethe-engine", "dev", "tokio", "");
    check("lethe-http", "", "tokio", "");
}

#[test]
fn an_unknown_crate_has_no_layer() {
    expect(
        layers::check(&workspace("lethe-helpers", "", "lethe-types")),
        "`lethe-helpers` has no layer",
    );
    expect(layers::check(&workspace("lethe", "", "lethe-helpers")), "`lethe-helpers` has no layer");
}

#[test]
fn files_lines_and_functions_have_a_size() {
    let check = |text: &str, expected| expect(size::check_rust("a.rs", text), expected);
    check(&"\n".repeat(size::FILE_LINES_MAX), "");
    check(&"\n".repeat(size::FILE_LINES_MAX + 1), "a.rs: 601 lines");
    check(&"ä".repeat(size::LINE_COLUMNS_MAX), "");
    check(&format!("\n{}", "ä".repeat(size::LINE_COLUMNS_MAX + 1)), "a.rs:2: 101 columns");
    check(&format!("// https://{}", "a".repeat(size::LINE_COLUMNS_MAX)), "");

    let function = |lines: usize| format!("struct A;\nfn long() {{{}}}\n", "\n".repeat(lines - 1));
    check(&function(size::FUNCTION_LINES_MAX), "");
    check(&function(size::FUNCTION_LINES_MAX + 1), "a.rs:2: `long` has 81 lines");
    // Braces in text are not braces; a declaration ends at its semicolon.
    let body = "\n".repeat(size::FUNCTION_LINES_MAX);
    check(&format!("fn a() {{ \"{{\"; '{{'; r#\"{{\"#; /* {{ */ }} // {{{body}"), "");
    check(&format!("trait A {{ fn a(b: [u8; 4]) -> [u8; 4]; {body} }}"), "");
    check(&format!("type A = fn (u8) -> u8; struct B {{ {body} }}"), "");
}

#[test]
fn big_files_belong_into_their_folders() {
    let check = |path: &str, bytes, expected| {
        expect(size::check_bytes(&BTreeMap::from([(path.to_owned(), bytes)])), expected);
    };
    check("crates/a/src/lib.rs", size::FILE_BYTES_MAX, "");
    check("crates/a/src/lib.rs", size::FILE_BYTES_MAX + 1, "lib.rs: 200001 bytes");
    check("crates/a/testdata-not/x", size::FILE_BYTES_MAX + 1, "200001 bytes");
    check("crates/a/Cargo.lock", size::FILE_BYTES_MAX + 1, "200001 bytes");
    check("crates/a/testdata/x", size::FILE_BYTES_MAX + 1, "");
    check("web/dist/x", size::FILE_BYTES_MAX + 1, "");
    check("Cargo.lock", size::FILE_BYTES_MAX + 1, "");
}

#[test]
fn nothing_unfinished_stays() {
    let check = |text, expected| expect(words::check("crates/a/tests/it/b.rs", text), expected);
    check("fn a() {}\n// TODO later", "b.rs:2: `TODO`");
    check("/// FIXME", "`FIXME`");
    check("fn a() { todo!() }", "`todo!`");
    check("fn a() { dbg!(1); }", "`dbg!`");
    check("fn a() { unimplemented!() }", "`unimplemented!`");
    check("#[ignore = \"slow\"]\n#[test]\nfn a() {}", "b.rs:1: `#[ignore`");
    check("// todo!, TODOS and dbg! in prose", "");
    check("const A: &str = \"dbg!\";", "");
    expect(words::check("xtask/src/main.rs", "// TODO"), "");
}

#[test]
fn vendors_stay_in_their_door() {
    let check = |path, text, expected| expect(words::check(path, text), expected);
    check("crates/lethe-engine/src/a.rs", "enum Door { Dfns }", "`dfns` belongs into");
    check("crates/lethe-engine/src/a.rs", "\nlet a = \"StoredSafe\";", "a.rs:2: `storedsafe`");
    check("crates/lethe-http/src/a.rs", "fn encedo_status() {}", "`encedo` belongs into");
    check("crates/lethe-door-dfns/src/a.rs", "let a = \"X-NCLOUD\";", "`lethe-door-ncloud`");
    check("crates/lethe-door-native/src/a.rs", "let a = Altostrat;", "`lethe-door-altostrat`");
    check("crates/lethe-types/src/name.rs", "/// As long as NAVER allows.", "");
    check("crates/lethe-door-dfns/src/a.rs", "struct DfnsError;", "");
    check("crates/lethe-server/src/doors.rs", "let a = \"naver\";", "");
    check("crates/lethe/src/cmd/serve.rs", "let a = \"naver\";", "");
    check("crates/lethe-engine/testdata/a.rs", "let a = \"naver\";", "");
}

#[test]
fn deciding_crates_do_not_name_the_outside_world() {
    let check = |path, text, expected| expect(words::check(path, text), expected);
    let engine = "crates/lethe-engine/src/a.rs";
    check(engine, "use tokio::sync;", "names `tokio`");
    check(engine, "\nlet now = SystemTime::now();", "a.rs:2: names `SystemTime`");
    check(engine, "use std::time::{Duration, Instant};", "names `Instant`");
    check(engine, "std::fs::read(path)", "names `fs`");
    check(engine, "use std::{io, net::TcpStream};", "names `net`");
    check(engine, "#[cfg(test)]\nuse a::b;\nuse std::fs;", "a.rs:3: names `fs`");
    check("crates/lethe-types/src/lib.rs", "use tokio;", "names `tokio`");
    check(engine, "// like std::fs and tokio\nlet a = \"tokio\"; fn tokio_like() {}", "");
    check(engine, "use std::{io}; mod fs {} use std::offset;", "");
    check(engine, "#[cfg(test)]\nmod tests { use std::fs; fn a() { fs::b(); } }\nfn b() {}", "");
    check("crates/lethe-engine/src/tests/a.rs", "use std::fs;", "");
    check("crates/lethe-engine/src/tests.rs", "use std::fs;", "");
    check("crates/lethe-slot/src/lib.rs", "use std::fs;", "");
    check("crates/lethe-server/src/clock.rs", "SystemTime::now()", "");
}

#[test]
fn limits_have_a_reason_and_a_unit() {
    let check = |text, expected| expect(limits::check("limits.rs", text), expected);
    check("/// Why.\npub const NAME_BYTES_MAX: usize = 1;", "");
    check("/// Why.\n#[doc(hidden)]\npub const PAGE_KEYS: usize = 1;", "");
    check("/// Why.\npub const WAIT: Duration = Duration::ZERO;", "");
    check("\npub const NAME_BYTES_MAX: usize = 1;", "limits.rs:2: `NAME_BYTES_MAX` has no doc");
    check("// Why.\npub const NAME_BYTES_MAX: usize = 1;", "has no doc comment");
    check("/// Why.\npub const NAME_MAX: usize = 1;", "`NAME_MAX` does not end in a unit");
    check("/// Why.\npub const WAIT_MAX: u64 = 1;", "does not end in a unit");
}

#[test]
fn documents_are_complete() {
    let names = || ["lethe", "lethe-log"].into_iter().map(str::to_owned);
    expect(documents::check_map("`lethe`, and **lethe-log**.", names()), "");
    expect(documents::check_map("`lethe-log`", names()), "does not name the crate `lethe`");
    expect(documents::check_map("lethe lethe-logs", names()), "the crate `lethe-log`");

    expect(documents::check_changelog("# Changes\n\n## [Unreleased]\n"), "");
    expect(documents::check_changelog("# Changes\n\n## [0.1.0]\n"), "## [Unreleased]");

    let good = "text\n    ./setup && cargo xtask test\n";
    expect(documents::check_test_command(good, good), "");
    expect(documents::check_test_command("./setup && cargo test", good), "README.md");
    expect(documents::check_test_command(good, "./setup"), ".ci/run");
}

#[test]
fn links_lead_somewhere() {
    let exists = |path: &str| ["README.md", "docs/a.md", "docs"].contains(&path);
    let check =
        |text, expected| expect(documents::check_links("docs/b.md", text, exists), expected);
    check("[a](a.md) [b](./a.md#part) [c](../README.md) [d](../docs/) [e](#here)", "");
    check("[a](https://example.com) [b](mailto:a@example.com)", "");
    check("`[a](c.md)`\n```\n[a](c.md)\n```\n", "");
    check("\n[a](c.md)", "docs/b.md:2: the link `c.md`");
    check("[a](../a.md \"title\")", "the link `../a.md`");
    check("`code` then [a](c.md#part)", "leads nowhere");
}

#[test]
fn a_missing_document_is_reported() {
    let repository = Repository {
        sizes: BTreeMap::new(),
        texts: BTreeMap::new(),
        metadata: Value::Null,
        built_packages: String::new(),
    };
    let found: Vec<String> = documents::check(&repository).iter().map(|v| v.to_string()).collect();
    assert!(found.contains(&"SECURITY.md: is missing".to_owned()), "{found:?}");
}

#[test]
fn banned_packages_and_foreign_sources_are_caught() {
    let policy = "deny = [\n  { crate = \"ring\", reason = \"a\" },\n]\n";
    assert_eq!(packages::banned(policy), ["ring"]);
    expect(packages::check_bans(&["ring"], "rustls v0.23.0\nring-like v1.0.0\n"), "");
    expect(packages::check_bans(&["ring"], "rustls v0.23.0\nring v0.17.0 (*)\n"), "`ring`");
    expect(packages::check_bans(&[], "rustls v0.23.0\n"), "no banned or no built");
    expect(packages::check_bans(&["ring"], ""), "no banned or no built");

    expect(packages::check_sources("name = \"a\"\nsource = \"registry+x\"\n"), "");
    expect(packages::check_sources("name = \"a\"\nsource = \"git+x\"\n"), "Cargo.lock:2");
}

#[test]
fn licences_are_evaluated() {
    let policy = "[licenses]\nallow = [\n  \"MIT\",\n  \"A WITH B\",\n]\n";
    assert_eq!(packages::allowed_licences(policy), ["MIT", "A WITH B"]);
    let check = |expression, met| {
        assert_eq!(packages::is_met(expression, &["MIT", "ISC", "A WITH B"]), met, "{expression}");
    };
    check("MIT", true);
    check("GPL-3.0 OR MIT", true);
    check("GPL-3.0/MIT", true);
    check("A WITH B AND MIT", true);
    check("ISC AND (GPL-3.0 OR MIT)", true);
    check("GPL-3.0", false);
    check("MIT AND GPL-3.0", false);
    check("(MIT OR ISC) AND GPL-3.0", false);
    check("A", false);
    check("MIT WITH C", false);
    check("MIT ISC", false);
    check("(MIT", false);
    check("", false);

    let metadata = json!({ "packages": [{ "name": "a", "license": null }] });
    expect(packages::check_licences(&["MIT"], &metadata), "`a` has the licence none stated");
}

#[test]
fn manifests_keep_the_lints() {
    let good = "publish.workspace = true\nlicense.workspace = true\n[lints]\nworkspace = true\n";
    expect(packages::check_manifest("crates/a/Cargo.toml", good), "");
    let bare = "publish.workspace = true\nlicense.workspace = true\n";
    expect(packages::check_manifest("crates/a/Cargo.toml", bare), "lacks `[lints]");
}

#[test]
fn literals_and_comments_are_told_apart() {
    #[track_caller]
    fn check(text: &str, code: &str, with_literals: &str) {
        let view = rust_text::View::of(text);
        assert_eq!((view.code.as_str(), view.code_and_literals.as_str()), (code, with_literals));
    }
    check("a // b", "a     ", "a     ");
    check("a /* b /* c */ d */ e", "a                   e", "a                   e");
    check("a \"// b\" c", "a        c", "a \"// b\" c");
    check(r#"a "\"b" c"#, "a       c", r#"a "\"b" c"#);
    check("r#\"a\"b\"# c", "         c", "r#\"a\"b\"# c");
    check("'a' 'b 'c", "    'b 'c", "'a' 'b 'c");
    check(r"'\'' b", "     b", r"'\'' b");
    check("for\"a\"", "for   ", "for\"a\"");
    check("a /* never closed", "a                ", "a                ");
    check("ä // ä", "ä      ", "ä      ");
}
