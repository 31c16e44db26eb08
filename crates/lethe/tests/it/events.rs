//! Events as programs meet them: pages, streams and webhooks, over real sockets and crashes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lethe_crypto::hash::hmac_sha256;
use serde_json::{Value, json};

use crate::client::Client;
use crate::keys::create;
use crate::process::{Folder, LETHE, NotReady, Process, Server, child, run_cli};

/// No test waits longer for an event.
const SOON: Duration = Duration::from_secs(15);

/// A raw client of a stream: what the server sends, line by line.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Asks for the stream at `path` and waits until it has begun.
    #[track_caller]
    pub(crate) fn open(server: &Server, token: &str, path: &str, last: Option<u64>) -> Self {
        let address = server.door("native", "http_url").trim_start_matches("http://");
        let mut socket = TcpStream::connect(address.trim_end_matches('/')).expect("it listens");
        socket.set_read_timeout(Some(SOON)).expect("a socket has timeouts");
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {token}\r\n{last}\r\n"
        );
        socket.write_all(request.as_bytes()).expect("the server reads");
        let mut stream = Self(BufReader::new(socket));
        stream.until("content-type: text/event-stream");
        stream.until("retry: 1000");
        stream
    }

    /// The next line; `None` at the end. Lines that frame chunks are among them.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).expect("it comes in time");
        (read > 0).then(|| line.trim_end().to_owned())
    }

    #[track_caller]
    fn until(&mut self, wanted: &str) {
        while self.line().expect("the stream goes on") != wanted {}
    }

    /// The next event: its id, type and data.
    #[track_caller]
    fn event(&mut self) -> (u64, String, Value) {
        let (mut id, mut kind) = (None, None);
        loop {
            let line = self.line().expect("the stream goes on");
            match line.split_once(": ") {
                Some(("id", text)) => id = text.parse().ok(),
                Some(("event", text)) => kind = Some(text.to_owned()),
                Some(("data", text)) => {
                    let data = serde_json::from_str(text).expect("JSON on one line");
                    return (id.expect("an id"), kind.expect("a type"), data);
                }
                _ => {}
            }
        }
    }

    /// All that comes until the server ends the stream.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("it ends in time");
        rest
    }
}

fn token(server: &Server) -> String {
    server.door("native", "token").to_owned()
}

#[test]
fn a_stream_tells_a_life_in_order_and_a_client_that_comes_back_misses_nothing() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let mut stream = Stream::open(&server, &token(&server), "/v1/events", None);
    let key = create(&client, "aes256-gcm");
    client.post(&format!("/v1/keys/{key}/rotate"), &json!({})).expect(200);
    let receipt = client.delete(&format!("/v1/keys/{key}")).expect(200).json();
    let index = receipt["statement"]["log_index"].as_u64().expect("an index");
    for (step, kind) in ["key.created", "key.rotated", "key.destroyed"].iter().enumerate() {
        let (id, told, data) = stream.event();
        let expected = index - 2 + u64::try_from(step).expect("small");
        assert_eq!((id, told.as_str()), (expected, *kind));
        assert_eq!((&data["id"], &data["type"]), (&json!(id), &json!(kind)));
        assert_eq!((&data["key"], &data["door"]), (&json!(key), &json!("native")));
    }
    drop(stream);
    let missed = [create(&client, "ed25519"), create(&client, "aes256-gcm")];
    let mut stream = Stream::open(&server, &token(&server), "/v1/events", Some(index));
    for (step, key) in (1..).zip(&missed) {
        let (id, kind, data) = stream.event();
        assert_eq!((id, kind.as_str(), &data["key"]), (index + step, "key.created", &json!(key)));
    }
    let page = client.get(&format!("/v1/events?after={index}")).expect(200).json();
    assert_eq!((page["events"].as_array().map(Vec::len), &page["gap"]), (Some(2), &json!(false)));
    let metrics = client.get("/metrics").expect(200).text();
    assert!(metrics.contains("lethe_http_event_streams{"), "{metrics}");

    // After a restart the numbers go on, and what is gone from memory is told.
    let server = server.restart();
    let mut stream = Stream::open(&server, &token(&server), "/v1/events", Some(index + 2));
    let mut late = Stream::open(&server, &token(&server), "/v1/events?after=0", None);
    create(&server.native(), "aes256-gcm");
    let (id, kind, _) = stream.event();
    assert_eq!((id, kind.as_str()), (index + 3, "key.created"));
    let (id, kind, data) = late.event();
    assert_eq!((id, kind.as_str(), &data["next"]), (index + 2, "gap", &json!(index + 2)));
    assert_eq!(late.event().0, index + 3);
}

#[test]
fn a_stream_ends_with_its_credential_and_with_the_server() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let reader = |lifetime: Option<u32>| {
        let grants = json!([{"permissions": ["keys.read"]}]);
        let mut body = json!({"name": "reader", "grants": grants});
        if let Some(lifetime) = lifetime {
            body["token_lifetime_seconds"] = json!(lifetime);
        }
        let new = client.post("/v1/principals", &body).expect(201).json();
        let text = |name: &str| new[name].as_str().expect("text").to_owned();
        (text("id"), text("token"))
    };
    let (id, revoked) = reader(None);
    let stream = Stream::open(&server, &revoked, "/v1/events", None);
    client.delete(&format!("/v1/principals/{id}")).expect(200);
    let rest = stream.rest_or_close();
    assert!(rest.contains(": the credential is not valid"), "{rest}");
    // Its end comes by itself: the read would wait for fifteen seconds and fail.
    let (_, short) = reader(Some(2));
    let rest = Stream::open(&server, &short, "/v1/events", None).rest_or_close();
    assert!(rest.contains(": the credential is not valid"), "{rest}");
    let stream = Stream::open(&server, &token(&server), "/v1/events", None);
    assert!(server.terminate().success());
    let rest = stream.rest();
    assert!(rest.contains(": the server is stopping"), "{rest}");
}

impl Stream {
    /// What comes until the stream ends; the connection stays open.
    pub(crate) fn rest_or_close(mut self) -> String {
        let mut rest = String::new();
        loop {
            match self.line() {
                Some(line) if line == "0" => return rest,
                Some(line) => rest.push_str(&format!("{line}\n")),
                None => return rest,
            }
        }
    }
}

/// What a webhook sent.
#[derive(Debug)]
struct Posted {
    head: String,
    body: Vec<u8>,
}

impl Posted {
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("no `{name}` in {}", self.head)).1
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    #[track_caller]
    fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }
}

/// A receiver of webhooks on a free port of loopback.
struct Listener {
    port: u16,
    posted: Receiver<Posted>,
    /// So many posts are refused before one is taken.
    refusals: Arc<AtomicU32>,
    is_down: Arc<AtomicBool>,
}

impl Listener {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (sender, posted) = mpsc::channel();
        let (refusals, is_down) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (left, down) = (refusals.clone(), is_down.clone());
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let Some(posted) = read_post(&socket) else { continue };
                let refused = down.load(Ordering::SeqCst)
                    || left
                        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                        .is_ok();
                let status = if refused { "503 Later" } else { "204 Taken" };
                let _gone = write!(&socket, "HTTP/1.1 {status}\r\nconnection: close\r\n\r\n");
                if sender.send(posted).is_err() {
                    return;
                }
            }
        });
        Self { port, posted, refusals, is_down }
    }

    #[track_caller]
    fn next(&self) -> Posted {
        self.posted.recv_timeout(SOON).expect("it is posted in time")
    }
}

fn read_post(socket: &TcpStream) -> Option<Posted> {
    socket.set_read_timeout(Some(SOON)).ok()?;
    let mut reader = BufReader::new(socket);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let mut posted = Posted { head, body: Vec::new() };
    posted.body.resize(posted.header("content-length").trim().parse().ok()?, 0);
    reader.read_exact(&mut posted.body).ok()?;
    Some(posted)
}

const SECRET: &[u8] = b"a secret of thirty-two bytes, or";

/// A configuration with one webhook to `port`.
fn configuration(folder: &Folder, port: u16, more: &str) -> String {
    let secret = folder.join("webhook.secret");
    write_private(&secret, &format!("whsec_{}\n", BASE64.encode(SECRET)));
    let secret = secret.display();
    let text = format!(
        "[[webhook]]\nname = 'test'\nurl = 'http://127.0.0.1:{port}/hook'\n\
         secret_file = '{secret}'\nrealm = 'dev'\n{more}\n"
    );
    let path = folder.join("lethe.toml");
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn write_private(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.create(true).truncate(true).write(true).mode(0o600).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("written");
}

#[track_caller]
fn check_signature(posted: &Posted) {
    let (id, timestamp) = (posted.header("webhook-id"), posted.header("webhook-timestamp"));
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &posted.body];
    let expected = format!("v1,{}", BASE64.encode(hmac_sha256(SECRET, &parts)));
    assert_eq!(posted.header("webhook-signature"), expected);
    assert!(timestamp.parse::<u64>().is_ok(), "{timestamp}");
}

#[test]
fn a_webhook_is_signed_and_comes_again_with_the_same_id_until_it_is_taken() {
    let folder = Folder::new();
    let listener = Listener::start();
    let config = configuration(&folder, listener.port, "events = ['key.*']");
    let server = Server::start_dev(&folder.join("data"), &["--config", &config], &[]);
    let client = server.native();
    listener.refusals.store(2, Ordering::SeqCst);
    let key = create(&client, "aes256-gcm");
    client.post("/v1/vaults", &json!({"name": "not told"})).expect(201);
    let receipt = client.delete(&format!("/v1/keys/{key}")).expect(200).json();
    let tries = [listener.next(), listener.next(), listener.next()];
    for posted in &tries {
        check_signature(posted);
        assert_eq!(posted.header("webhook-id"), tries[0].header("webhook-id"));
        assert_eq!(
            (posted.body.clone(), posted.kind()),
            (tries[0].body.clone(), "key.created".into())
        );
        assert!(posted.head.starts_with("POST /hook HTTP/1.1\r\n"), "{}", posted.head);
        assert_eq!(posted.header("content-type"), "application/json");
    }
    let last = listener.next();
    check_signature(&last);
    let body = last.json();
    assert_eq!(body["type"], "key.destroyed", "the vault is not told");
    assert_eq!(body["data"]["id"], receipt["statement"]["log_index"]);
    assert_eq!((&body["data"]["key"], &body["data"]["type"]), (&json!(key), &body["type"]));
    assert_eq!(body["timestamp"], body["data"]["time"]);
    assert!(last.header("webhook-id").ends_with(&format!("_{}", body["data"]["id"])));
    assert!(!String::from_utf8_lossy(&last.body).contains("customer"), "no names");
    let metrics = client.get("/metrics").expect(200).text();
    assert!(
        metrics.contains("lethe_webhook_failed_attempts_total{webhook=\"test\"} 2"),
        "{metrics}"
    );
    assert!(metrics.contains("lethe_webhook_lag_events{webhook=\"test\"}"), "{metrics}");
}

#[test]
fn what_a_receiver_missed_comes_after_a_crash_too() {
    let folder = Folder::new();
    let listener = Listener::start();
    let config = configuration(&folder, listener.port, "");
    let server = Server::start_dev(&folder.join("data"), &["--config", &config], &[]);
    // The principals of `--dev` are made after the webhook began.
    let first = create(&server.native(), "aes256-gcm");
    while listener.next().json()["data"]["key"] != json!(first) {}
    listener.is_down.store(true, Ordering::SeqCst);
    let client = server.native();
    let key = create(&client, "aes256-gcm");
    client.post(&format!("/v1/keys/{key}/rotate"), &json!({})).expect(200);
    client.delete(&format!("/v1/keys/{key}")).expect(200);
    let refused = listener.next();
    assert_eq!(refused.kind(), "key.created");
    let server = server.restart();
    create(&server.native(), "ed25519");
    listener.is_down.store(false, Ordering::SeqCst);
    let mut told = Vec::new();
    let mut seen = Vec::new();
    while told.last().is_none_or(|kind| kind != "end") {
        let posted = listener.next();
        check_signature(&posted);
        let id = posted.json()["data"]["id"].as_u64().expect("an id");
        // At least once: what was taken or refused before may come again.
        if posted.json()["data"]["key"] == json!(first) || seen.contains(&id) {
            continue;
        }
        seen.push(id);
        told.push(posted.kind());
        if told.len() == 4 {
            told.push("end".to_owned());
        }
    }
    let expected = ["key.created", "key.rotated", "key.destroyed", "key.created", "end"];
    assert_eq!(told, expected);
    assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seen:?}");
}

#[test]
fn a_webhook_that_cannot_work_keeps_the_server_from_starting() {
    let folder = Folder::new();
    let check = |config: &str, code: i32, words: &[&str]| match Server::try_start_dev(
        &folder.join("data"),
        &["--config", config],
        &[],
    ) {
        Ok(_) => panic!("the server serves"),
        Err(NotReady::Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(code), "{stderr}");
            words.iter().for_each(|word| assert!(stderr.contains(word), "{word}: {stderr}"));
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
        Err(NotReady::Late(written)) => panic!("{written}"),
    };
    check(&configuration(&folder, 1, "retries = 3"), 3, &["lethe.toml:6:1", "unknown field"]);
    check(&configuration(&folder, 1, "events = ['keys.*']"), 3, &["webhook[0].events", "no event"]);
    let config = configuration(&folder, 1, "");
    let anywhere = std::fs::read_to_string(&config).expect("text").replace("127.0.0.1", "10.0.0.1");
    std::fs::write(&config, anywhere).expect("written");
    check(&config, 3, &["webhook[0].url", "loopback"]);
    let config = configuration(&folder, 1, "ca_file = '/nowhere/ca.pem'");
    check(&config, 3, &["webhook `test`", "/nowhere/ca.pem"]);
    let config = configuration(&folder, 1, "");
    write_private(&folder.join("webhook.secret"), "hunter2\n");
    check(&config, 3, &["webhook `test`", "whsec_"]);
    std::fs::remove_file(folder.join("webhook.secret")).expect("it was there");
    check(&config, 3, &["webhook `test`", "webhook.secret"]);
}

#[test]
fn the_command_line_shows_events_and_follows_them() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client: Client = server.native();
    let key = create(&client, "aes256-gcm");
    let data = server.data().to_str().expect("UTF-8").to_owned();
    let output = run_cli(&["events", "--dev", &data, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let last = shown["events"].as_array().and_then(|events| events.last()).expect("an event");
    assert_eq!((&last["key"], &last["id"]), (&json!(key), &shown["next"]));
    let output = run_cli(&["events", "--dev", &data]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("key.created") && text.contains(&key), "{text}");
    let before = last["id"].as_u64().expect("an id") - 1;
    let mut command = child(LETHE);
    command.args(["events", "-f", "--json", "--dev", &data, "--after", &before.to_string()]);
    let mut follower = Process::start(command);
    let mut next = || -> Value {
        let line = follower.next_line(SOON).expect("a line comes in time");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!(next(), *last);
    client.delete(&format!("/v1/keys/{key}")).expect(200);
    assert_eq!(next()["type"], "key.destroyed");
    let output = run_cli(&["events", "--dev", &data, "--after", "4000", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["gap"], true);
}

#[test]
fn streams_that_nobody_reads_hold_up_nothing() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    // Streams whose client reads nothing at all.
    let open = |_| Stream::open(&server, &token(&server), "/v1/events", None);
    let mut idle: Vec<Stream> = (0..40).map(open).collect();
    let client = server.native();
    for _ in 0..50 {
        create(&client, "aes256-gcm");
    }
    assert_eq!(client.get("/health/ready").expect(200).json()["status"], "ready");
    for stream in &mut idle[..2] {
        for _ in 0..50 {
            assert_eq!(stream.event().1, "key.created");
        }
    }
}

#[test]
fn an_event_that_grows_too_old_is_given_up_and_a_place_past_the_log_is_left() {
    let folder = Folder::new();
    let data = folder.join("data");
    let listener = Listener::start();
    let config = configuration(&folder, listener.port, "events = ['key.*']\nretry_for = '1s'");
    let mut server = Server::start_dev(&data, &["--config", &config], &[]);
    let post_of = |key: &str| while listener.next().json()["data"]["key"] != json!(key) {};
    listener.is_down.store(true, Ordering::SeqCst);
    let lost = create(&server.native(), "aes256-gcm");
    post_of(&lost);
    let given_up = "lethe_webhook_given_up_total{webhook=\"test\"} 1";
    while !server.native().get("/metrics").expect(200).text().contains(given_up) {
        post_of(&lost);
    }
    listener.is_down.store(false, Ordering::SeqCst);
    let told = create(&server.native(), "aes256-gcm");
    post_of(&told);
    assert!(server.terminate().success());

    let position = data.join("webhooks/test.position");
    write_private(&position, "4000\n");
    let mut server = server.restart();
    let told = create(&server.native(), "aes256-gcm");
    post_of(&told);
    assert!(server.terminate().success());
    let kept = std::fs::read_to_string(&position).expect("it is kept");
    assert!(kept.trim_end().parse::<u64>().is_ok_and(|place| place < 4_000), "{kept}");
    write_private(&position, "many\n");
    match Server::try_start_dev(&data, &["--config", &config], &[]) {
        Err(NotReady::Ended { status, stderr }) => {
            assert_eq!(status.code(), Some(4), "{stderr}");
            assert!(stderr.contains("test.position"), "{stderr}");
        }
        other => panic!("{other:?}"),
    }
}
