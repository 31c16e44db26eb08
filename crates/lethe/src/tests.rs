use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[track_caller]
fn parses(line: &str) {
    if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
        panic!("{line}: {error}");
    }
}

#[track_caller]
fn refused(line: &str) {
    assert!(Cli::try_parse_from(line.split_whitespace()).is_err(), "{line}");
}

const ID: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn every_command_of_the_documentation_parses() {
    let key = |rest: &str| parses(&format!("lethe key {}", rest.replace("ID", ID)));
    parses("lethe serve");
    parses("lethe serve --dev --port-base 0 --data d --clock-offset 73h --set a.b=1 --set c=2");
    parses("lethe serve --config lethe.toml");
    parses("lethe demo --keep");
    parses("lethe bench --connections 1,16 --seconds 3 --only encrypt,destroy --data-under /x");
    parses("lethe bench --dev d --pid 7");
    parses("lethe bench --quick --tls --keys 10 --rate 10,20 --json-file j --svg s --json");
    parses("lethe bench --mixed destroys,backup --destroys-per-s 7 --flood slow,half-open");
    parses("lethe bench requests f --json");
    parses("lethe bench algorithms --seconds 2 --algorithm ed25519,aes256-gcm --openssl --json");
    parses("lethe completions bash");
    parses("lethe receipt verify f --data d --json");
    parses("lethe audit tail");
    parses("lethe audit tail --data d -f -n 100 --json --operation key. --refused");
    parses(&format!("lethe audit tail --config c --key {ID} --principal {ID}"));
    parses("lethe audit verify");
    parses("lethe audit verify --data d --first-file 3 --anchor head --anchor h --json");
    parses("lethe audit verify a.jsonl b.jsonl --anchor head");
    parses("lethe vault --dev d list");
    parses("lethe vault list --dev d");
    parses("lethe principal create n --grant keys.create,keys.read --token-lifetime 30d");
    parses(&format!("lethe principal revoke {ID}"));
    parses("lethe events");
    parses("lethe events --after 17 --dev d --json");
    parses("lethe events -f");
    key("create n --algorithm aes256-gcm --vault v");
    key("list --all --dev d");
    key("show ID");
    key("rotate ID");
    key("encrypt ID --in a --out b --aad x");
    key("decrypt ID");
    key("sign ID --in -");
    key("verify ID --signature s");
    key("mac ID");
    key("mac-verify ID --mac m");
    key("destroy ID --reason why --receipt r --yes");
    key("receipt ID -o r");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let key = |rest: &str| refused(&format!("lethe key {}", rest.replace("ID", ID)));
    refused("lethe");
    refused("lethe serve --port-base 0");
    refused("lethe serve --clock-offset 73h");
    refused("lethe serve --dev --port-base 65536");
    refused("lethe bench --dev d --data-under e");
    refused("lethe bench --quick --seconds 1");
    refused("lethe bench requests");
    refused("lethe bench algorithms --seconds 0");
    refused("lethe receipt verify f");
    refused("lethe receipt verify f --data d --vkey v");
    refused("lethe receipt verify f --vkey nonsense");
    refused("lethe receipt verify --data d");
    refused("lethe principal create n");
    refused("lethe principal show 7");
    refused("lethe completions nosuchshell");
    refused("lethe audit");
    refused("lethe audit tail -n -1");
    refused("lethe audit tail -n 100001");
    refused("lethe audit tail --key 7");
    refused("lethe audit tail --principal nobody");
    refused("lethe audit tail a.jsonl");
    refused("lethe audit verify a.jsonl --data d");
    refused("lethe audit verify a.jsonl --config c");
    refused("lethe audit verify a.jsonl --first-file 2");
    refused("lethe audit verify --first-file 0");
    refused("lethe events --after -1");
    refused("lethe events --after x");
    key("create n");
    key("show 0123");
    key("destroy");
    key("encrypt ID --aad x --aad-file y");
    key("verify ID");
    key("show ID --token t");
    for words in [
        "apikey",
        "backup",
        "backup d --window 7",
        "backup d list",
        "backup forget 7",
        "backup verify d --vkey nonsense",
        "restore",
        "restore d --backup 7",
        "doctor d",
        "seal",
    ] {
        refused(&format!("lethe {words}"));
    }
}

#[test]
fn the_help_names_the_exit_codes_and_no_hidden_command() {
    let help = Cli::command().render_long_help().to_string();
    for expected in ["Exit codes:", "LETHE_TOKEN_FILE", "  4  data directory", "demo"] {
        assert!(help.contains(expected), "{help}");
    }
    assert!(!help.contains("bench-floor"), "{help}");
}
