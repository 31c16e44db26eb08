//! What stands before a destruction, and destructions that take their time: through the command
//! line, against real servers that are stopped, killed and started again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _};
use serde_json::{Value, json};

use crate::client::Client;
use crate::keys::{create, encrypt, opens, problem};
use crate::process::{Folder, Server, run_cli, run_cli_with};

/// The command line of one principal of one server.
struct Cli {
    data: String,
    /// Whose token; that of `dev.json` without it.
    token: Option<String>,
}

impl Cli {
    fn of(server: &Server) -> Self {
        Self { data: server.data().to_str().expect("UTF-8").to_owned(), token: None }
    }

    fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut environment = vec![("LETHE_DATA", self.data.as_str())];
        environment.extend(self.token.as_deref().map(|token| ("LETHE_TOKEN", token)));
        run_cli_with(arguments, &environment, &[])
    }

    /// What it says to people.
    #[track_caller]
    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// What it says to programs.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.text(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The words of a refusal, which exits with 1.
    #[track_caller]
    fn refused(&self, arguments: &[&str], expected: &str) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        said
    }
}

#[track_caller]
fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}")).to_owned()
}

/// Checks a receipt offline; what it says.
#[track_caller]
fn verified(server: &Server, file: &Path) -> Value {
    let data = server.data().to_str().expect("UTF-8");
    let output =
        run_cli(&["receipt", "verify", file.to_str().expect("UTF-8"), "--data", data, "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn write(folder: &Folder, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_destruction_waits_over_a_restart_and_can_be_cancelled() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let key = create(&server.native(), "aes256-gcm");
    let sealed = encrypt(&server.native(), &key);
    let cli = Cli::of(&server);
    let told = cli.text(&["key", "destroy", &key, "--window", "73h", "--reason", "x", "--yes"]);
    assert!(told.contains("after 73h"), "{told}");
    assert!(told.contains(&format!("lethe key cancel-destruction {key}")), "{told}");
    let due = text(&cli.json(&["key", "show", &key]), "due");
    cli.refused(&["key", "destroy", &key, "--window", "74h", "--yes"], "409 already-pending");
    assert!(!opens(&server.native(), &key, &sealed));

    let server = server.restart();
    let shown = cli.json(&["key", "show", &key]);
    assert_eq!(text(&shown, "state"), "pending_destruction");
    assert_eq!(text(&shown, "due"), due);
    assert_eq!(text(&shown, "scheduled_reason"), "x");
    let cancelled = cli.json(&["key", "cancel-destruction", &key]);
    assert_eq!(text(&cancelled, "state"), "active");
    assert!(opens(&server.native(), &key, &sealed));
    let server = server.restart();
    assert!(opens(&server.native(), &key, &sealed));
    cli.refused(&["key", "cancel-destruction", &key], "409");
}

#[test]
fn what_is_overdue_is_destroyed_before_anybody_is_served() {
    let folder = Folder::new();
    let data = folder.join("data");
    let server = Server::start_dev(&data, &[], &[]);
    let client = server.native();
    let (due, later) = (create(&client, "ed25519"), create(&client, "ed25519"));
    let cli = Cli::of(&server);
    cli.text(&["key", "destroy", &due, "--window", "73h", "--reason", "moved out", "--yes"]);
    cli.text(&["key", "destroy", &later, "--window", "75h", "--yes"]);
    drop(server);

    let server = Server::start_dev(&data, &["--clock-offset", "74h"], &[]);
    // The very first request that this server answers.
    let gone = server.native().post(&format!("/v1/keys/{due}/sign"), &json!({"message": ""}));
    assert_eq!((gone.status, problem(&gone).as_str()), (410, "object-destroyed"));
    assert_eq!(text(&cli.json(&["key", "show", &later]), "state"), "pending_destruction");
    let file = folder.join("receipt");
    cli.text(&["key", "receipt", &due, "-o", file.to_str().expect("UTF-8")]);
    let receipt = verified(&server, &file);
    assert_eq!(receipt["key"], due.as_str());
    assert_eq!(receipt["statement"]["reason"], "moved out");
    cli.refused(&["key", "cancel-destruction", &due], "410 object-destroyed");
}

#[test]
fn holds_and_protection_refuse_every_destruction() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let key = create(&server.native(), "aes256-gcm");
    let sealed = encrypt(&server.native(), &key);
    let cli = Cli::of(&server);
    let hold = cli.json(&["key", "hold", &key, "--kind", "legal", "--reason", "case 4711"]);
    let hold = text(&hold, "id");
    cli.text(&["key", "update", &key, "--protect", "--label", "a=1", "--name", "renamed"]);
    let shown = cli.text(&["key", "show", &key]);
    for expected in ["legal: case 4711", "every destruction is refused", "a=1", "renamed"] {
        assert!(shown.contains(expected), "{shown}");
    }
    let preview = cli.text(&["key", "preview", &key]);
    for expected in [
        "would be refused".to_owned(),
        format!("lethe key unhold {key} {hold}"),
        format!("lethe key update {key} --unprotect"),
        "1, last ".to_owned(),
    ] {
        assert!(preview.contains(&expected), "{expected}: {preview}");
    }
    let said = cli.refused(&["key", "destroy", &key, "--yes"], "409 held");
    assert!(said.contains("To go on: lift every hold"), "{said}");
    cli.refused(&["key", "destroy", &key, "--window", "72h", "--yes"], "409 held");
    cli.text(&["key", "unhold", &key, &hold]);
    cli.refused(&["key", "unhold", &key, &hold], "404");
    cli.refused(&["key", "destroy", &key, "--yes"], "409 protected");
    let answer = cli.json(&["key", "preview", &key]);
    assert_eq!(answer["refusals"].as_array().expect("a list").len(), 1, "{answer}");
    let list = write(&folder, "list", &format!("{key}\n"));
    let bulk = ["destroy", "--list", &list, "--reason", "x", "--yes"];
    let said = cli.refused(&bulk, "1 of 1 keys were refused");
    assert!(!said.contains("panicked"), "{said}");
    assert!(opens(&server.native(), &key, &sealed));
    cli.text(&["key", "update", &key, "--unprotect", "--unlabel", "a"]);
    assert_eq!(cli.json(&["key", "preview", &key])["verdict"], "destroy");
    let told = cli.text(&["key", "destroy", &key, "--yes"]);
    assert!(told.starts_with("destroyed "), "{told}");
}

#[test]
fn states_are_told_and_obeyed() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let cli = Cli::of(&server);
    let made = ["key", "create", "sleeper", "--algorithm", "aes256-gcm", "--inactive"];
    let key = text(&cli.json(&made), "id");
    cli.refused(&["key", "encrypt", &key, "--in", "/dev/null"], "409");
    for (command, state) in [
        ("activate", "active"),
        ("suspend", "suspended"),
        ("resume", "active"),
        ("deactivate", "deactivated"),
        ("compromise", "compromised"),
    ] {
        assert_eq!(text(&cli.json(&["key", command, &key]), "state"), state);
    }
    cli.refused(&["key", "activate", &key], "409 wrong-key-lifecycle-state");
    let shown = cli.text(&["key", "show", &key]);
    assert_eq!(shown.matches("door native").count(), 5, "{shown}");
}

#[test]
fn a_vault_adds_its_policy_to_the_realms() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let cli = Cli::of(&server);
    let strict = write(
        &folder,
        "strict.toml",
        "must_be_suspended = true\nwindow = { minimum = \"72h\", may_end_early = true }\n",
    );
    let realm = write(&folder, "realm.json", "{\"confirm\": true}");
    let wrong = write(&folder, "wrong.toml", "windows = 7\n");
    let told = cli.text(&["vault", "create", "kept", "--policy", &strict]);
    assert!(told.contains("waits at least 3d; the wait may end early"), "{told}");
    cli.refused(&["vault", "create", "other", "--policy", &wrong], "windows");
    cli.refused(&["realm", "policy", &wrong], "windows");
    assert!(cli.text(&["realm", "policy", &realm]).contains("repeats the key's id or name"));
    let made = ["key", "create", "k", "--algorithm", "aes256-gcm", "--vault", "kept"];
    let key = text(&cli.json(&made), "id");
    cli.refused(&["vault", "remove", "kept"], "409");

    let destroy = ["key", "destroy", &key, "--yes"];
    cli.refused(&destroy, "409 must-be-suspended");
    cli.text(&["key", "suspend", &key]);
    cli.refused(&destroy, "409 not-confirmed");
    let confirmed = ["key", "destroy", &key, "--confirm", "k", "--yes"];
    cli.refused(&[&confirmed[..], &["--window", "71h"]].concat(), "409 window-too-short");
    let told = cli.text(&confirmed);
    assert!(told.contains("after 3d"), "{told}");
    let receipt = folder.join("receipt");
    let file = receipt.to_str().expect("UTF-8");
    let told = cli.text(&[&confirmed[..], &["--receipt", file]].concat());
    assert!(told.starts_with("destroyed "), "{told}");
    verified(&server, &receipt);

    cli.text(&["vault", "update", "kept", "--name", "empty", "--no-policy", "--label", "a=1"]);
    let shown = cli.text(&["vault", "show", "empty"]);
    assert!(shown.contains("demands nothing") && shown.contains("a=1"), "{shown}");
    assert!(cli.text(&["vault", "remove", "empty"]).contains("removed"));
}

/// A new principal with a public key, as the command line knows it.
fn approver(folder: &Folder, cli: &Cli, name: &str, key: &KeyPair) -> (Cli, String, String) {
    let private = write(folder, &format!("{name}.pem"), &key.serialize_pem());
    let public = write(folder, &format!("{name}.pub"), &public_pem(key));
    let token = folder.join(&format!("{name}.token"));
    let token_file = token.to_str().expect("UTF-8");
    let made = cli.json(&[
        "principal",
        "create",
        name,
        "--grant",
        "keys.read,keys.destroy.approve",
        "--kind",
        "user",
        "--token",
        "--public-key",
        &public,
        "--token-file",
        token_file,
    ]);
    let credentials = made["credentials"].as_array().expect("a list");
    let of_key = credentials.iter().find(|one| one["type"] == "public_key").expect("the key");
    let token = fs::read_to_string(&token).expect("the token").trim().to_owned();
    let cli = Cli { data: cli.data.clone(), token: Some(token) };
    (cli, text(of_key, "id"), private)
}

fn public_pem(key: &KeyPair) -> String {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::STANDARD.encode(key.subject_public_key_info());
    format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
}

#[test]
fn two_others_agree_with_keys_of_their_own_and_the_receipt_names_them() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let admin = Cli::of(&server);
    let policy = write(&folder, "p.toml", "approvals = { required = 2, lifetime = \"7d\" }\n");
    admin.text(&["vault", "create", "guarded", "--policy", &policy]);
    let made = ["key", "create", "k", "--algorithm", "aes256-gcm", "--vault", "guarded"];
    let key = text(&admin.json(&made), "id");
    let anne_key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let bert_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let (anne, anne_credential, anne_pem) = approver(&folder, &admin, "anne", &anne_key);
    let (bert, bert_credential, bert_pem) = approver(&folder, &admin, "bert", &bert_key);

    admin.refused(&["key", "destroy", &key, "--yes"], "403 approvals-missing");
    let asked = admin.json(&["approval", "request", &key, "--reason", "contract ended"]);
    let request = text(&asked, "id");
    let listed = anne.text(&["approval", "list"]);
    assert!(listed.contains(&request) && listed.contains("contract ended"), "{listed}");
    let agree = |cli: &Cli, credential: &str, pem: &str| {
        cli.run(&["approval", "approve", &request, "--credential", credential, "--key-file", pem])
    };
    let foreign = agree(&anne, &anne_credential, &bert_pem);
    assert_eq!(foreign.status.code(), Some(1), "a signature by another key");
    assert!(agree(&anne, &anne_credential, &anne_pem).status.success());
    let twice = agree(&anne, &anne_credential, &anne_pem);
    assert_eq!(twice.status.code(), Some(1), "nobody counts twice");
    let used = ["key", "destroy", &key, "--approval", &request, "--yes"];
    let said = admin.refused(&used, "403 approvals-missing");
    assert!(said.contains("1 of 2"), "{said}");
    let agreed = agree(&bert, &bert_credential, &bert_pem);
    assert!(agreed.status.success(), "{agreed:?}");
    bert.refused(&used, "403 permission-denied");

    let file = folder.join("receipt");
    admin.text(&[&used[..], &["--receipt", file.to_str().expect("UTF-8")]].concat());
    let approved: BTreeSet<String> = verified(&server, &file)["approved_by"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|principal| principal.as_str().map(str::to_owned))
        .collect();
    let who = |cli: &Cli| {
        let approvals = cli.json(&["approval", "show", &request]);
        let all = approvals["approvals"].as_array().expect("a list").clone();
        all.iter().map(|one| text(one, "principal")).collect::<BTreeSet<_>>()
    };
    assert_eq!(approved.len(), 2);
    assert_eq!(approved, who(&admin));
    let said = run_cli(&[
        "receipt",
        "verify",
        file.to_str().expect("UTF-8"),
        "--data",
        server.data().to_str().expect("UTF-8"),
    ]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(approved.iter().all(|principal| said.contains(principal)), "{said}");
    assert_eq!(text(&admin.json(&["approval", "show", &request]), "state"), "used");
}

#[test]
fn a_request_for_approval_that_was_withdrawn_is_worth_nothing() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let admin = Cli::of(&server);
    let key = create(&server.native(), "aes256-gcm");
    let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let (anne, credential, pem) = approver(&folder, &admin, "anne", &pair);
    let request = text(&admin.json(&["approval", "request", &key, "--reason", "r"]), "id");
    let own = ["approval", "approve", &request, "--credential", &credential, "--key-file", &pem];
    admin.refused(&own, "403");
    let broken = write(&folder, "broken.pem", "-----BEGIN PRIVATE KEY-----\n");
    let with = |file: &str| {
        let words = ["approval", "approve", &request, "--credential", &credential, "--key-file"];
        [&words[..], &[file]].concat().iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let broken = with(&broken);
    anne.refused(&broken.iter().map(String::as_str).collect::<Vec<_>>(), "PKCS#8");
    assert_eq!(text(&admin.json(&["approval", "withdraw", &request]), "state"), "withdrawn");
    anne.refused(&own, "withdrawn");
    assert_eq!(admin.text(&["approval", "list"]), "no requests for approval\n");
    assert!(admin.text(&["approval", "list", "--all"]).contains("withdrawn"));
}

/// Keys of the bulk destruction that is cut short.
const BULK_KEYS: usize = 2_000;

#[test]
fn a_bulk_destruction_goes_on_after_a_kill_and_destroys_every_key_once() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let cli = Cli::of(&server);
    let client = server.native();
    let vault = text(&cli.json(&["vault", "create", "leaving"]), "id");
    let keys = make_keys(&server, &vault, BULK_KEYS);
    let (kept, protected) = (create(&client, "aes256-gcm"), keys.iter().next().expect("a key"));
    let sealed = encrypt(&client, &kept);
    cli.text(&["key", "update", protected, "--protect"]);

    let wrong = ["destroy", "--vault", "leaving", "--reason", "r", "--yes", "--expected", "7"];
    cli.refused(&wrong, "selects 2000 keys");
    let reason = "the customer left";
    let begin = ["destroy", "--vault", "leaving", "--reason", reason, "--yes", "--no-wait"];
    let job = text(&cli.json(&begin), "id");
    let path = format!("/v1/destructions/{job}");
    // Killed in the middle: after the first batch, and long before the last.
    let position = |client: &Client| {
        client.get(&path).expect(200).json()["position"].as_u64().expect("a number")
    };
    while position(&client) == 0 {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    server.kill();
    let server = server.restart();
    let followed = cli.refused(&["destroy", "status", &job, "--wait"], "1 of 2,000 keys");
    assert!(followed.contains("--refused"), "{followed}");

    let ended = cli.json(&["destroy", "status", &job]);
    let numbers = ["total", "position", "destroyed", "refused", "scheduled"];
    assert_eq!(numbers.map(|name| ended[name].as_u64()), [2_000, 2_000, 1_999, 1, 0].map(Some));
    assert_eq!(ended["refused_keys"][0]["key"], protected.as_str());
    assert_eq!(ended["refused_keys"][0]["rule"], "protected");
    let told = cli.text(&["destroy", "status", &job, "--refused"]);
    assert!(told.contains("1,999") && told.contains(protected), "{told}");

    let client = server.native();
    assert!(opens(&client, &kept, &sealed));
    assert_eq!(client.get(&format!("/v1/keys/{protected}")).expect(200).json()["state"], "active");
    let log_key = fs::read_to_string(server.data().join("log.vkey")).expect("the log's key");
    let log_key = log_key.trim().parse().expect("a key");
    let gone: Vec<String> = keys.iter().filter(|key| *key != protected).cloned().collect();
    let places = in_parallel(&server, &gone, |client, key| {
        let receipt = client.get(&format!("/v1/keys/{key}/receipt")).expect(200);
        let holds = lethe_verify::verify(&receipt.body, &log_key).expect("it holds");
        assert_eq!(holds.key.to_string(), *key);
        assert_eq!(receipt.json()["statement"]["reason"], reason);
        holds.receipt.index
    });
    let different: BTreeSet<u64> = places.iter().copied().collect();
    assert_eq!((places.len(), different.len()), (BULK_KEYS - 1, BULK_KEYS - 1), "each once");
}

/// Makes keys over several connections.
fn make_keys(server: &Server, vault: &str, number: usize) -> BTreeSet<String> {
    let body = json!({"name": "leaver", "algorithm": "aes256-gcm", "vault": vault});
    let made = in_parallel(server, &vec![(); number], |client, ()| {
        text(&client.post("/v1/keys", &body).expect(201).json(), "id")
    });
    let keys: BTreeSet<String> = made.into_iter().collect();
    assert_eq!(keys.len(), number);
    keys
}

/// Does `work` for each item, over several connections without TLS.
fn in_parallel<I: Sync, T: Send>(
    server: &Server,
    items: &[I],
    work: impl Fn(&Client, &I) -> T + Sync,
) -> Vec<T> {
    const THREADS: usize = 8;
    let client = || {
        let client = Client::new(server.door("native", "http_url"), None);
        client.with_token(server.door("native", "token"))
    };
    let parts = items.chunks(items.len().div_ceil(THREADS)).map(|part| (client(), part));
    let (parts, work) = (parts.collect::<Vec<_>>(), &work);
    std::thread::scope(|scope| {
        let one = |(client, part): (Client, &'_ [I])| {
            part.iter().map(|item| work(&client, item)).collect::<Vec<_>>()
        };
        let workers: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || one(part))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    })
}

#[test]
fn a_list_of_keys_is_destroyed_and_its_receipts_are_files() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let cli = Cli::of(&server);
    let client = server.native();
    let keys: Vec<String> = (0..20).map(|_| create(&client, "ed25519")).collect();
    let list = write(&folder, "list", &format!("{}\n\n{}\n", keys.join("\n"), keys[0]));
    let receipts = folder.join("receipts");
    let into = receipts.to_str().expect("UTF-8");
    let output = cli.run(&["destroy", "--list", &list, "--reason", "r"]);
    assert_eq!(output.status.code(), Some(2), "there is nobody to ask: {output:?}");
    let wrong = write(&folder, "wrong", "nonsense\n");
    cli.refused(&["destroy", "--list", &wrong, "--reason", "r", "--yes"], "line 1");
    let told =
        cli.text(&["destroy", "--list", &list, "--reason", "r", "--yes", "--receipts", into]);
    assert!(told.contains(&format!("20 in {into}")), "{told}");
    for key in &keys {
        let receipt = verified(&server, &receipts.join(format!("{key}.tlog-proof")));
        assert_eq!(receipt["key"], key.as_str());
    }
    let listed = cli.text(&["destroy", "list"]);
    assert!(listed.contains("done") && listed.lines().count() == 2, "{listed}");
    cli.refused(&["destroy", "status", &"0".repeat(32)], "404");
}

#[test]
fn labels_choose_keys_and_the_rest_stays() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let cli = Cli::of(&server);
    let make = |name: &str, labels: &[&str]| {
        let words = ["key", "create", name, "--algorithm", "ed25519"];
        let labels = labels.iter().flat_map(|label| ["--label", label]);
        text(&cli.json(&words.into_iter().chain(labels).collect::<Vec<_>>()), "id")
    };
    let both = make("both", &["env=test", "team=a"]);
    let one = make("one", &["env=test"]);
    let other = make("other", &["env=live", "team=a"]);
    let state = |key: &str| text(&cli.json(&["key", "show", key]), "state");
    let bulk = ["destroy", "--reason", "r", "--yes", "--label"];
    cli.text(&[&bulk[..], &["env=test", "--label", "team"]].concat());
    assert_eq!([&both, &one, &other].map(|key| state(key)), ["destroyed", "active", "active"]);
    let into = folder.join("receipts");
    let into = into.to_str().expect("UTF-8");
    let told = cli.text(&[&bulk[..], &["env=test", "--receipts", into]].concat());
    assert!(told.contains("1 in "), "{told}");
    assert_eq!([&one, &other].map(|key| state(key)), ["destroyed", "active"]);
    cli.refused(&[&bulk[..], &["env=test"]].concat(), "selects 0 keys");
}

#[test]
fn credentials_of_all_kinds_come_and_go() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let cli = Cli::of(&server);
    let passphrase = write(&folder, "passphrase", "correct horse battery staple\n");
    let told = cli.text(&[
        "principal",
        "create",
        "anne",
        "--grant",
        "keys.read",
        "--kind",
        "user",
        "--login",
        "anne",
        "--passphrase-file",
        &passphrase,
        "--totp",
    ]);
    assert!(told.contains("otpauth://totp/Lethe:anne?secret="), "{told}");
    assert!(!told.contains("token"), "none was asked for: {told}");
    let id = told.lines().next().and_then(|line| line.split_whitespace().nth(1)).expect("an id");
    let secret = write(&folder, "secret", "0123456789abcdef0123456789abcdef");
    let add = ["principal", "credential", "add", id];
    let token = cli.json(&[&add[..], &["--token", "--name", "laptop"]].concat());
    let holder = Cli { data: cli.data.clone(), token: Some(text(&token, "token")) };
    holder.text(&["key", "list"]);
    cli.text(&[&add[..], &["--shared-secret-file", &secret, "--external", "e"]].concat());
    let output = cli.run(&[&add[..], &["--token", "--passphrase-file", &passphrase]].concat());
    assert_eq!(output.status.code(), Some(2), "one at a time: {output:?}");
    let credential = text(&token, "id");
    let which = |command| ["principal", "credential", command, id, &credential];
    cli.text(&which("suspend"));
    holder.refused(&["key", "list"], "401");
    cli.text(&which("resume"));
    holder.text(&["key", "list"]);
    cli.text(&["principal", "suspend", id]);
    holder.refused(&["key", "list"], "401");
    assert!(cli.text(&["principal", "list"]).contains("suspended"));
    cli.text(&["principal", "resume", id]);
    holder.text(&["key", "list"]);
    cli.text(&which("remove"));
    holder.refused(&["key", "list"], "401");
    let update = ["principal", "update", id, "--name", "anna", "--no-login", "--grant", "*"];
    let shown = cli.text(&update);
    assert!(shown.contains("everything in the realm") && shown.contains("anna"), "{shown}");
    assert!(!shown.contains("login") && !shown.contains("0123456789abcdef0123"), "{shown}");
}
