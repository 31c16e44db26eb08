use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lethe_http::tls;
use lethe_types::{SecretVec, UnixMillis};

use super::delivery::{Delivery, Message};
use super::position::Position;
use super::secret::Secrets;
use crate::ServeError;
use crate::clock::SystemClock;
use crate::config::{WebhookConfig, WebhookSecretSource};
use crate::dev_tls::ensure_dev_tls;
use crate::private_files::ensure_private_dir;
use crate::tests::TemporaryDirectory;

fn secrets(text: &str) -> Result<Secrets, &'static str> {
    Secrets::parse(&SecretVec::from_vec(text.as_bytes().to_vec()))
}

/// The secret and the message of the test vector in the libraries of Standard Webhooks.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn signatures_are_those_of_standard_webhooks() {
    let sign = |text: &str| {
        let body = br#"{"test": 2432232314}"#;
        secrets(text).unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    };
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(sign(SECRET), expected);
    assert_eq!(sign(&format!("{SECRET}\n")), expected);
    let both = sign(&format!("{SECRET}\nwhsec_{}\n", "A".repeat(32)));
    let (first, second) = both.split_once(' ').unwrap();
    assert_eq!(first, expected);
    assert!(second.starts_with("v1,") && second != expected, "{second}");
}

#[test]
fn what_is_no_secret_is_refused() {
    let short = format!("whsec_{}", "A".repeat(28));
    let long = format!("whsec_{}", "A".repeat(88));
    let twice = format!("{SECRET}\n{SECRET}\n{SECRET}");
    for text in [
        "",
        "\n",
        "secret",
        "whsec_",
        "whsec_****************************************",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\n",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        &short,
        &long,
        &twice,
    ] {
        let why = secrets(text).unwrap_err();
        assert!(text.len() < 8 || !why.contains(text.trim()), "nothing of it is shown: {why}");
    }
    assert!(Secrets::parse(&SecretVec::from_vec(vec![0xff, 0xfe])).is_err());
}

#[test]
fn a_position_is_kept_and_a_damaged_one_is_refused() {
    let directory = TemporaryDirectory::new();
    let path = directory.join("a.position");
    let mut position = Position::open(path.clone(), 7).unwrap();
    assert_eq!(position.event(), 7);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n", "kept at once");
    position.advance(9);
    assert_eq!(Position::open(path.clone(), 100).unwrap().event(), 7);
    position.keep().unwrap();
    position.keep().unwrap();
    assert_eq!(Position::open(path.clone(), 100).unwrap().event(), 9);
    for bad in ["", "9", "\n", "+9\n", "09\n", "-1\n", "9\n\n", "x\n", "18446744073709551616\n"] {
        let path = directory.file("b.position", bad, 0o600);
        let refused = Position::open(path, 1).unwrap_err();
        assert!(matches!(refused, ServeError::WebhookPosition { .. }), "{bad:?}: {refused}");
        assert_eq!(refused.exit_code(), 4);
    }
    let path = directory.file("c.position", "9\n", 0o644);
    assert!(matches!(Position::open(path, 1), Err(ServeError::File(_))));
}

/// Answers each connection with the next of some texts; counts what came.
struct Receiver {
    port: u16,
    came: Arc<AtomicUsize>,
}

impl Receiver {
    fn start(answers: Vec<String>) -> Self {
        Self::serve(answers, |socket| Box::new(socket))
    }

    fn serve(
        answers: Vec<String>,
        wrap: impl Fn(TcpStream) -> Box<dyn ReadWrite> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let came = Arc::new(AtomicUsize::new(0));
        let count = came.clone();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((socket, _)) = listener.accept() else { return };
                let mut socket = wrap(socket);
                let mut request = [0; 16_384];
                if socket.read(&mut request).is_ok_and(|read| read > 0) {
                    count.fetch_add(1, Ordering::SeqCst);
                }
                // A client that does not trust this server is not there any more.
                let _gone = socket.write_all(answer.as_bytes()).and_then(|()| socket.flush());
            }
        });
        Self { port, came }
    }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn configured(url: &str, ca_file: Option<PathBuf>, timeout: Duration) -> WebhookConfig {
    WebhookConfig {
        name: "test".to_owned(),
        url: url.to_owned(),
        secret: WebhookSecretSource::Environment("UNUSED".to_owned()),
        realm: "default".parse().unwrap(),
        events: Vec::new(),
        ca_file,
        timeout,
        retry_for: Duration::from_secs(1),
    }
}

fn attempt(config: &WebhookConfig) -> Result<(), String> {
    let delivery = Delivery::new(config, secrets(SECRET).unwrap()).unwrap();
    let message = Message { id: "evt_1".to_owned(), body: b"{}".to_vec() };
    delivery.attempt(&message, UnixMillis(1_790_000_000_000))
}

const PATIENT: Duration = Duration::from_secs(10);

fn answer(status: &str, more: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{more}\r\n")
}

#[test]
fn only_success_counts_and_no_redirection_is_followed() {
    let elsewhere = Receiver::start(vec![answer("200 OK", "")]);
    let location = format!("location: http://127.0.0.1:{}/\r\n", elsewhere.port);
    let endless = "content-length: 100000000\r\n";
    let cases = [
        (answer("200 OK", "content-length: 2\r\n") + "ok", None),
        (answer("204 No Content", ""), None),
        (answer("200 OK", endless) + "a part of it", None),
        (answer("301 Moved", &location), Some("301")),
        (answer("307 Moved", &location), Some("307")),
        (answer("400 Bad", ""), Some("400")),
        (answer("410 Gone", ""), Some("410")),
        (answer("500 Broken", ""), Some("500")),
        ("nonsense\r\n\r\n".to_owned(), Some("")),
        (String::new(), Some("")),
    ];
    let receiver = Receiver::start(cases.iter().map(|(answer, _)| answer.clone()).collect());
    let url = format!("http://127.0.0.1:{}/hook", receiver.port);
    for (answer, refusal) in &cases {
        let seen = attempt(&configured(&url, None, PATIENT));
        match refusal {
            None => assert_eq!(seen, Ok(()), "{answer}"),
            Some(words) => assert!(seen.clone().unwrap_err().contains(words), "{answer}: {seen:?}"),
        }
    }
    assert_eq!(receiver.came.load(Ordering::SeqCst), cases.len());
    assert_eq!(elsewhere.came.load(Ordering::SeqCst), 0);
}

#[test]
fn a_receiver_that_says_nothing_is_given_up_in_time() {
    // It takes connections into its queue and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}/", silent.local_addr().unwrap().port());
    let refused = attempt(&configured(&url, None, Duration::from_millis(50))).unwrap_err();
    assert!(refused.contains("timeout"), "{refused}");
    drop(silent);
    assert!(attempt(&configured(&url, None, PATIENT)).is_err());
}

#[test]
fn only_the_named_authorities_are_trusted() {
    let directory = TemporaryDirectory::new();
    let made = |name: &str| {
        let data = directory.join(name);
        ensure_private_dir(&data).unwrap();
        let names = vec!["localhost".to_owned()];
        ensure_dev_tls(&data, &names, &SystemClock::new()).unwrap()
    };
    let (own, other) = (made("own"), made("other"));
    let server =
        tls::from_files(&own.certificate, &own.private_key, tls::Versions::default()).unwrap();
    let answers = vec![answer("204 No Content", ""); 2];
    let receiver = Receiver::serve(answers, move |socket| {
        let connection = rustls::ServerConnection::new(server.clone()).unwrap();
        Box::new(rustls::StreamOwned::new(connection, socket))
    });
    let url = format!("https://localhost:{}/", receiver.port);
    assert_eq!(attempt(&configured(&url, Some(own.ca_file), PATIENT)), Ok(()));
    attempt(&configured(&url, Some(other.ca_file), PATIENT)).unwrap_err();
    assert_eq!(receiver.came.load(Ordering::SeqCst), 1, "nothing was sent to a stranger");
    let empty = directory.file("empty.pem", "", 0o600);
    for bad in [empty, directory.join("nowhere.pem")] {
        let config = configured(&url, Some(bad), PATIENT);
        assert!(Delivery::new(&config, secrets(SECRET).unwrap()).is_err());
    }
}
