//! Tests of the harness itself: what it promises must hold before a test that uses it means much.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, thread};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use ureq::http::Method;

use crate::client::Client;
use crate::process::{
    FAILED, Folder, IN_USE, LETHE, Launch, NotReady, Process, Server, child, run_cli, sweep,
};

/// Time enough for a shell; every wait of these tests ends long before.
const SOON: Duration = Duration::from_secs(10);

/// Long enough that a wait which ends early is noticed, short enough to wait for.
const BRIEFLY: Duration = Duration::from_millis(50);

#[test]
fn the_executable_starts() {
    let output = run_cli(&["--version"]);
    assert!(output.status.success(), "{output:?}");
}

/// A shell that stands for the executable: `script` sees the data folder as `$DATA`.
fn stand_in(folder: &Folder, script: &str, ready_within: Duration) -> Result<Server, NotReady> {
    let data = folder.path().to_str().expect("UTF-8").to_owned();
    Server::launch(Launch {
        program: "sh".to_owned(),
        arguments: vec!["-c".to_owned(), script.to_owned()],
        environment: [("DATA".to_owned(), data)].into(),
        data: folder.path().to_owned(),
        ready_within,
    })
}

const READY: &str = r#"
    echo started >>"$DATA/starts"
    echo "pem" >"$DATA/ca.pem"
    printf '{"ca_file":"%s","doors":{"native":{"token":"t","pid":"%s"}}}' \
        "$DATA/ca.pem" $$ >"$DATA/dev.json"
    echo "lethe ready $DATA/dev.json"
    echo "one line of log" >&2
    exec tail -f /dev/null
"#;

#[test]
fn a_server_is_ready_when_it_says_so() {
    let folder = Folder::new();
    let mut server = stand_in(&folder, READY, SOON).expect("it is ready");
    assert_eq!(server.door("native", "token"), "t");
    assert_eq!(server.ca_pem(), "pem\n");
    assert_eq!(server.data(), folder.path());
    assert_eq!(server.dev()["doors"]["native"]["pid"], server.process_id().to_string());
    assert_eq!(server.terminate().signal(), Some(Signal::TERM.as_raw()));
    // Asked again, a process that has ended is no error.
    assert_eq!(server.terminate().signal(), Some(Signal::TERM.as_raw()));
    assert_eq!(server.kill().signal(), Some(Signal::TERM.as_raw()));
    assert_eq!(server.wait_for_exit().signal(), Some(Signal::TERM.as_raw()));
}

#[test]
fn a_server_starts_again_as_it_was_started() {
    let folder = Folder::new();
    let server = stand_in(&folder, READY, SOON).expect("it is ready");
    let first = server.process_id();
    let data = server.data().to_str().expect("UTF-8").to_owned();
    let mut server = server.restart().restart_with(&[("DATA", &data)]);
    assert_ne!(server.process_id(), first);
    assert_eq!(server.kill().signal(), Some(Signal::KILL.as_raw()));
    let starts = fs::read_to_string(folder.join("starts")).expect("it was written");
    assert_eq!(starts, "started\n".repeat(3));
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let refused = stand_in(&Folder::new(), "echo 'no such slot' >&2; exit 4", SOON);
    match refused.expect_err("it refuses") {
        NotReady::Ended { status, stderr } => {
            assert_eq!((status.code(), stderr.as_str()), (Some(4), "no such slot\n"));
        }
        late @ NotReady::Late(_) => panic!("{late:?}"),
    }
}

#[test]
fn a_silent_server_is_given_up() {
    let silent = stand_in(&Folder::new(), "echo waiting >&2; exec tail -f /dev/null", BRIEFLY);
    assert!(matches!(silent, Err(NotReady::Late(_))), "{silent:?}");
}

#[test]
fn a_wrong_ready_line_fails_the_test() {
    #[track_caller]
    fn check(script: &str, expected: &str) {
        let folder = Folder::new();
        panics(expected, || drop(stand_in(&folder, script, SOON)));
    }
    check("echo hello; exec tail -f /dev/null", "not a ready line: \"hello\"");
    check("echo lethe ready /dev/null", "not dev.json of");
    check(r#"echo '{}' >"$DATA/a"; echo "lethe ready $DATA/a""#, "not dev.json of");
    check(r#"echo "lethe ready $DATA/dev.json""#, "cannot read");
    check(r#"echo '{' >"$DATA/dev.json"; echo "lethe ready $DATA/dev.json""#, "is not JSON");
}

/// Expects that `run` panics with a message that contains `expected`.
#[track_caller]
fn panics(expected: &str, run: impl FnOnce()) {
    let message = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    let message = message.downcast_ref::<String>().expect("the message is made by format!");
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_child_ends_with_the_thread_that_started_it() {
    let starter = thread::spawn(|| {
        let mut command = child("sh");
        command.args(["-c", "echo running; exec tail -f /dev/null"]);
        let mut process = Process::start(command);
        // Only then has `setpriv` asked for the signal.
        assert_eq!(process.next_line(SOON).as_deref(), Ok("running"));
        process
    });
    let mut orphan = starter.join().expect("the child started");
    assert_eq!(orphan.wait_for_exit(SOON).signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn a_wait_for_the_end_has_a_deadline() {
    let mut command = child("sh");
    command.args(["-c", "echo out; echo log >&2; exec tail -f /dev/null"]);
    let mut process = Process::start(command);
    assert_eq!(process.next_line(SOON).as_deref(), Ok("out"));
    panics("still running after", || {
        process.wait_for_exit(BRIEFLY);
    });
    assert_eq!(process.written(), "--- stdout\nout\n--- stderr\nlog\n---");
    assert_eq!(process.wait_for_exit(BRIEFLY).signal(), Some(Signal::KILL.as_raw()));
}

#[test]
fn lines_come_one_by_one_and_end() {
    let mut command = child("sh");
    command.args(["-c", "printf 'a\\nb'; echo c >&2"]);
    let mut process = Process::start(command);
    assert_eq!(process.next_line(SOON).as_deref(), Ok("a"));
    assert_eq!(process.next_line(SOON).as_deref(), Ok("b"));
    assert_eq!(process.next_line(SOON), Err(RecvTimeoutError::Disconnected));
    assert!(process.wait_for_exit(SOON).success());
}

#[test]
fn children_see_an_environment_of_their_own() {
    let output = child("env").output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let names: Vec<&str> = text.lines().filter_map(|line| line.split('=').next()).collect();
    assert_eq!(names, ["PATH", "RUST_BACKTRACE"], "the executable is {LETHE}");
}

#[test]
fn folders_go_with_their_test_or_with_the_next_run() {
    let folder = Folder::new();
    let other = Folder::new();
    assert_ne!(folder.path(), other.path());
    let gone = other.path().to_owned();
    drop(other);
    assert!(!gone.exists());

    let mut dead = child("true").spawn().expect("it runs");
    dead.wait().expect("it ends");
    let of_dead = folder.join(&format!("{IN_USE}{}-0", dead.id()));
    let of_living = folder.join(&format!("{IN_USE}{}-0", std::process::id()));
    let of_failed = folder.join(&format!("{FAILED}{}-0", dead.id()));
    let of_others = folder.join("somebody-else");
    for path in [&of_dead, &of_living, &of_failed, &of_others] {
        fs::create_dir_all(path.join("inner")).expect("the folder is writable");
    }
    sweep(folder.path());
    assert!(!of_dead.exists());
    assert!(of_living.exists() && of_failed.exists() && of_others.exists());
}

/// Answers one connection with `answer`, and returns what was asked.
fn serve_once(mut stream: impl Read + Write, answer: &str) -> String {
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(END) && stream.read(&mut byte).is_ok_and(|bytes| bytes == 1) {
        asked.extend(byte);
    }
    // A client that does not trust us has left already.
    let _left = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
    String::from_utf8(asked).expect("a request is text")
}

/// The end of every request of these tests, with a body and without.
const END: &[u8] = b"\r\n\r\n";

fn listen(answer: impl FnOnce(TcpStream) -> String + Send + 'static) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    (port, thread::spawn(move || answer(listener.accept().expect("somebody connects").0)))
}

#[test]
fn a_client_shows_what_was_sent_and_follows_nothing() {
    let answer = "HTTP/1.1 307 Elsewhere\r\nLocation: http://127.0.0.1:1/\r\nX-A: b\r\n\
                  Content-Length: 2\r\nConnection: close\r\n\r\n{}";
    let (port, server) = listen(move |stream| serve_once(stream, answer));
    let client = Client::new(&format!("http://127.0.0.1:{port}/"), None).with_token("secret");
    let got = client.delete("/v1/keys").expect(307);
    assert_eq!((got.header("x-a"), got.header("x-b")), (Some("b"), None));
    assert_eq!(got.json(), json!({}));
    let asked = server.join().expect("it served").to_ascii_lowercase();
    assert!(asked.starts_with("delete /v1/keys http/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: bearer secret\r\n"), "{asked}");

    let answer = "HTTP/1.1 500 Broken\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops";
    let (port, server) = listen(move |stream| serve_once(stream, answer));
    let client = Client::new(&format!("http://127.0.0.1:{port}"), None);
    let got = client.with_token("secret").without_token().get("/");
    assert_eq!(got.expect(500).text(), "oops");
    let asked = server.join().expect("it served").to_ascii_lowercase();
    assert!(asked.starts_with("get / http/1.1\r\n"), "{asked}");
    assert!(!asked.contains("authorization"), "{asked}");
}

#[test]
fn a_client_trusts_the_one_certificate_it_was_given() {
    let (ours, foreign) = (certificate_authority(), certificate_authority());
    let ask = |trusted: &CertifiedIssuer<'static, KeyPair>| {
        let config = server_config(&ours);
        let (port, server) = listen(move |stream| {
            let session = ServerConnection::new(config).expect("the configuration is complete");
            serve_once(StreamOwned::new(session, stream), "HTTP/1.1 204 Fine\r\n\r\n")
        });
        let client = Client::new(&format!("https://127.0.0.1:{port}"), Some(&trusted.pem()));
        let got = client.try_send(Method::GET, "/", &[], b"");
        server.join().expect("it served");
        got
    };
    assert_eq!(ask(&ours).expect("it is trusted").status, 204);
    assert!(ask(&foreign).is_err());
}

fn certificate_authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key can be drawn");
    CertifiedIssuer::self_signed(params, key).expect("the parameters are complete")
}

fn server_config(issuer: &CertifiedIssuer<'static, KeyPair>) -> Arc<ServerConfig> {
    let key = KeyPair::generate().expect("a key can be drawn");
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])
        .and_then(|params| params.signed_by(&key, issuer))
        .expect("the parameters are complete");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .expect("the key is that of the certificate");
    Arc::new(config)
}
