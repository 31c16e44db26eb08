//! Clients that misbehave against a real server: it refuses them in its own words, holds no more of
//! theirs than it said it would, and serves those who behave. Nothing here is about speed.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::client::Client;
use crate::keys::{create, decrypt, encrypt};
use crate::process::{Folder, Server};

/// Longest wait for an answer; the server itself waits ten seconds for a head.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Memory that a flood may cost a server, in KiB: less than half of what is sent to it.
const GROWTH_KIB_MAX: u64 = 100 * 1_024;

/// A client that says what it likes.
struct Rude(TcpStream);

impl Rude {
    fn connect(server: &Server) -> Self {
        let url = server.door("native", "http_url");
        let address = url.strip_prefix("http://").expect("a plain address");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a timeout");
        stream.set_write_timeout(Some(ANSWER_WITHIN)).expect("a timeout");
        Self(stream)
    }

    /// Says something; a server that has hung up does not hear it.
    fn say(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The status of the next answer; `None` if the server hung up without one.
    fn status(&mut self) -> Option<u16> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1..) => head.extend(byte),
                Ok(0) => break,
                Err(error) => {
                    let kind = error.kind();
                    let is_late = kind == std::io::ErrorKind::WouldBlock;
                    assert!(!is_late, "the server neither answered nor hung up");
                    break;
                }
            }
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }
}

fn post(server: &Server, path: &str, field: &str) -> String {
    let token = server.door("native", "token");
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\n{field}\r\n\r\n"
    )
}

fn memory_kib(server: &Server, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id()));
    let status = status.expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.split_ascii_whitespace().next().expect("a number").parse().expect("a number")
}

/// Through the door at which they misbehave.
fn client_of(server: &Server) -> Client {
    let token = server.door("native", "token");
    Client::new(server.door("native", "http_url"), None).with_token(token)
}

#[track_caller]
fn serves(client: &Client, key: &str) {
    let ciphertext = encrypt(client, key);
    decrypt(client, key, &ciphertext).expect(200);
}

#[test]
fn bodies_without_end_are_refused_and_not_kept() {
    const CLIENTS: usize = 24;
    /// Of each of them, in pieces of 64 KiB: many times what any operation takes.
    const PIECES: usize = 160;
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = client_of(&server);
    let key = create(&client, "aes256-gcm");
    let path = format!("/v1/keys/{key}/encrypt");
    serves(&client, &key);
    let before = memory_kib(&server, "VmHWM:");
    for _ in 0..CLIENTS {
        let mut declared = Rude::connect(&server);
        assert!(declared.say(post(&server, &path, "Content-Length: 99999999999").as_bytes()));
        assert_eq!(declared.status(), Some(413), "before a byte of the body");
    }
    let mut endless: Vec<Rude> = (0..CLIENTS).map(|_| Rude::connect(&server)).collect();
    let mut piece = b"10000\r\n".to_vec();
    piece.resize(piece.len() + 0x10000, b' ');
    piece.extend_from_slice(b"\r\n");
    for rude in &mut endless {
        assert!(rude.say(post(&server, &path, "Transfer-Encoding: chunked").as_bytes()));
    }
    for _ in 0..PIECES {
        for rude in &mut endless {
            // What the system still takes for a connection that is over says nothing.
            rude.say(&piece);
        }
    }
    for mut rude in endless {
        let status = rude.status();
        assert!(matches!(status, Some(413) | None), "{status:?}");
    }
    serves(&client, &key);
    let grown = memory_kib(&server, "VmHWM:").saturating_sub(before);
    // Each may hold what an operation takes at the most, for as long as it is not over.
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more for a flood of bodies");
}

#[test]
fn tokens_that_are_nobodys_are_refused_each_time_and_remembered_nowhere() {
    const CLIENTS: usize = 8;
    const GUESSES: usize = 250;
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = client_of(&server);
    let key = create(&client, "aes256-gcm");
    let token = server.door("native", "token").to_owned();
    let (start, end) = token.split_at(token.len() - 12);
    serves(&client, &key);
    let before = memory_kib(&server, "VmRSS:");
    let mut clients: Vec<Rude> = (0..CLIENTS).map(|_| Rude::connect(&server)).collect();
    for number in 0..GUESSES {
        for (index, rude) in clients.iter_mut().enumerate() {
            let guess = format!("{start}{:012}", number * CLIENTS + index);
            assert_ne!(guess, format!("{start}{end}"));
            let head = "GET /v1/keys HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
            assert!(rude.say(format!("{head}Authorization: Bearer {guess}\r\n\r\n").as_bytes()));
            let status = rude.status();
            assert!(matches!(status, Some(401 | 429)), "{status:?}");
            *rude = Rude::connect(&server);
        }
    }
    serves(&client, &key);
    let grown = memory_kib(&server, "VmRSS:").saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB more for {} guesses", GUESSES * CLIENTS);
}

/// What is worked on is bounded: one more is told so at once, and told to come back.
#[test]
fn one_request_too_many_is_shed_at_once() {
    let folder = Folder::new();
    let words = ["--set", "door.native.limits.requests_in_flight_max=2"];
    let server = Server::start_dev(&folder.join("data"), &words, &[]);
    let client = client_of(&server);
    let key = create(&client, "aes256-gcm");
    let path = format!("/v1/keys/{key}/encrypt");
    let body = r#"{"plaintext":"aGk="}"#;
    let length = format!("Content-Length: {}", body.len());
    let mut slow: Vec<Rude> = (0..2).map(|_| Rude::connect(&server)).collect();
    for rude in &mut slow {
        let head = post(&server, &path, &format!("{length}\r\nExpect: 100-continue"));
        assert!(rude.say(head.as_bytes()));
        // The server asks for the body once it works on the request: no need to guess when.
        assert_eq!(rude.status(), Some(100));
    }
    let mut third = Rude::connect(&server);
    assert!(third.say(format!("{}{body}", post(&server, &path, &length)).as_bytes()));
    assert_eq!(third.status(), Some(503));
    for mut rude in slow {
        assert!(rude.say(body.as_bytes()));
        assert_eq!(rude.status(), Some(200), "who was slow but behaved gets the answer");
    }
    serves(&client, &key);
}

/// Connections are bounded too, and those on which nothing is said, or never enough, are cut, so
/// that the next ones get their turn: at once if these wait. A head may take ten seconds otherwise.
#[test]
fn silent_and_slow_clients_are_cut_and_others_get_their_turn() {
    let folder = Folder::new();
    let words = ["--set", "door.native.limits.connections_max=6"];
    let server = Server::start_dev(&folder.join("data"), &words, &[]);
    let mut rude: Vec<Rude> = (0..6).map(|_| Rude::connect(&server)).collect();
    for slow in rude.iter_mut().skip(3) {
        assert!(slow.say(b"GET /v1/keys HTTP/1.1\r\nHost: localhost\r\nX-Slow: "));
    }
    // Served by the first place that becomes free, however long that takes.
    let client = client_of(&server);
    let key = create(&client, "aes256-gcm");
    serves(&client, &key);
    for cut in &mut rude {
        assert_eq!(cut.status(), None, "nothing is answered to who asked nothing");
    }
    serves(&client, &key);
}
