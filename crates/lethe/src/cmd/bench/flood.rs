//! Clients that misbehave, on purpose and within bounds: slow ones, ones that say nothing, bodies
//! that never end, tokens that are nobody's. What the server does about them is counted.

use core::str::FromStr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_crypto::SystemEntropy;
use lethe_types::Entropy as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::http::{Connection, open_tcp};
use super::schedule::{Schedule, Timer};
use super::site::Site;
use crate::local::monotonic;

/// Most visits a second: a flood that takes all of the machine would only measure the machine.
const VISITS_PER_S: u32 = 500;
/// Most requests a second with tokens that are nobody's.
const BAD_TOKENS_PER_S: u32 = 2_000;
/// How often a slow client sends a byte.
const BYTE_EVERY: Duration = Duration::from_millis(50);
/// What is sent of a body in one piece, in bytes.
const PIECE_BYTES: usize = 65_536;
/// Where a body ends after all, in pieces: 64 MiB, many times what any server should read.
const PIECES_MAX: usize = 1_024;
/// How long is looked for an answer between two pieces.
const GLANCE: Duration = Duration::from_millis(1);
/// Longest wait for a server that neither reads nor closes.
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// How often it is looked whether the flood is to end.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    /// A byte of a head now and then, or of a body.
    Slow,
    /// Connections on which nothing is said.
    HalfOpen,
    /// Bodies that are far too long, with their length said and without.
    Oversize,
    /// Requests with tokens of the right form that nobody has.
    BadTokens,
}

impl Flood {
    pub(super) const ALL: [Self; 4] = [Self::Slow, Self::HalfOpen, Self::Oversize, Self::BadTokens];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::HalfOpen => "half-open",
            Self::Oversize => "oversize",
            Self::BadTokens => "bad-tokens",
        }
    }

    fn visits_per_s(self) -> u32 {
        match self {
            Self::Slow | Self::HalfOpen | Self::Oversize => VISITS_PER_S,
            Self::BadTokens => BAD_TOKENS_PER_S,
        }
    }
}

impl FromStr for Flood {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|flood| flood.as_str() == text);
        found.ok_or_else(|| format!("there are: {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// What became of a flood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Connections that were made.
    pub(super) opened: u64,
    /// Connections that could not be made.
    pub(super) refused: u64,
    /// Connections that the server closed without an answer.
    pub(super) closed: u64,
    /// Bytes of bodies that the server took.
    pub(super) body_bytes: u64,
    /// Answers by their status.
    pub(super) statuses: BTreeMap<u16, u64>,
}

impl Tally {
    /// Both together.
    pub(super) fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.refused += other.refused;
        self.closed += other.closed;
        self.body_bytes += other.body_bytes;
        for (status, number) in &other.statuses {
            *self.statuses.entry(*status).or_default() += number;
        }
    }

    pub(super) fn json(&self) -> Value {
        let statuses: serde_json::Map<String, Value> = self
            .statuses
            .iter()
            .map(|(status, number)| (status.to_string(), (*number).into()))
            .collect();
        json!({
            "opened": self.opened,
            "refused": self.refused,
            "closed": self.closed,
            "body_bytes": self.body_bytes,
            "statuses": statuses,
        })
    }

    /// In a few words.
    pub(super) fn words(&self) -> String {
        let mut words = vec![format!("{} opened", self.opened), format!("{} cut", self.closed)];
        if self.refused > 0 {
            words.push(format!("{} refused", self.refused));
        }
        words.extend(self.statuses.iter().map(|(status, number)| format!("{number} × {status}")));
        words.join(", ")
    }
}

/// Floods over so many connections until `stop` is set.
///
/// `path` takes a body from whoever has the token of `site`: the worst client is one that may do
/// something. A TLS handshake is part of every visit but those that say nothing.
pub(super) async fn run(
    site: Site,
    flood: Flood,
    connections: usize,
    path: String,
    stop: &AtomicBool,
) -> Tally {
    let schedule = Schedule::new(monotonic(), Duration::MAX, flood.visits_per_s());
    let visitor = Arc::new(Visitor { site, flood, path, schedule, tally: Mutex::default() });
    let mut visitors = JoinSet::new();
    for number in 0..connections {
        visitors.spawn(Arc::clone(&visitor).visit_for_ever(number));
    }
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    visitors.shutdown().await;
    visitor.tally().clone()
}

struct Visitor {
    site: Site,
    flood: Flood,
    path: String,
    schedule: Schedule,
    tally: Mutex<Tally>,
}

impl Visitor {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn visit_for_ever(self: Arc<Self>, number: usize) {
        let Ok(mut timer) = Timer::new() else { return };
        while let Some(due) = self.schedule.next() {
            if timer.wait_until(due).await.is_err() {
                return;
            }
            if self.flood == Flood::HalfOpen {
                self.say_nothing().await;
                continue;
            }
            let Ok(connection) = Connection::open(&self.site.target).await else {
                self.tally().refused += 1;
                continue;
            };
            self.tally().opened += 1;
            let answer = match self.flood {
                Flood::Slow => self.dawdle(connection, number).await,
                Flood::Oversize => self.never_end(connection, number).await,
                Flood::HalfOpen | Flood::BadTokens => {
                    self.guess(connection, &mut timer).await;
                    continue;
                }
            };
            match answer {
                Some(status) => *self.tally().statuses.entry(status).or_default() += 1,
                None => self.tally().closed += 1,
            }
        }
    }

    async fn say_nothing(&self) {
        let Ok(mut stream) = open_tcp(&self.site.target).await else {
            self.tally().refused += 1;
            return;
        };
        self.tally().opened += 1;
        let mut told = [0; 64];
        while let Ok(1..) = stream.read(&mut told).await {}
        self.tally().closed += 1;
    }

    /// Every other client is slow in the head, the others in the body.
    async fn dawdle(&self, mut connection: Connection, number: usize) -> Option<u16> {
        let Site { target, token } = &self.site;
        let (path, host) = (&self.path, &target.host);
        let start = if number.is_multiple_of(2) {
            format!("GET /v1/keys HTTP/1.1\r\nHost: {host}\r\nX-Slow: ")
        } else {
            format!(
                "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
            )
        };
        connection.send(start.as_bytes()).await.ok()?;
        loop {
            match timeout(BYTE_EVERY, connection.answer()).await {
                Ok(answer) => return answer.ok().map(|(status, _)| status),
                Err(_) => connection.send(b" ").await.ok()?,
            }
        }
    }

    /// Every other client says how long its body is, the others send chunks.
    async fn never_end(&self, mut connection: Connection, number: usize) -> Option<u16> {
        let Site { target, token } = &self.site;
        let (path, host) = (&self.path, &target.host);
        let is_chunked = !number.is_multiple_of(2);
        let length = match is_chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {}", PIECE_BYTES * PIECES_MAX),
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{length}\r\n\r\n"
        );
        connection.send(head.as_bytes()).await.ok()?;
        let mut piece = vec![b' '; PIECE_BYTES];
        if is_chunked {
            let size = format!("{PIECE_BYTES:x}\r\n");
            piece.splice(0..0, size.into_bytes());
            piece.extend_from_slice(b"\r\n");
        }
        for _ in 0..PIECES_MAX {
            match timeout(GLANCE, connection.answer()).await {
                Ok(answer) => return answer.ok().map(|(status, _)| status),
                Err(_) => timeout(STUCK_AFTER, connection.send(&piece)).await.ok()?.ok()?,
            }
            self.tally().body_bytes += u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
        }
        let answer = timeout(STUCK_AFTER, connection.answer()).await.ok()?;
        answer.ok().map(|(status, _)| status)
    }

    /// Another token with each request, over one connection as long as it lasts.
    async fn guess(&self, mut connection: Connection, timer: &mut Timer) {
        while let Some(token) = nobodys_token() {
            let target = &self.site.target;
            let request = target.request("GET", "/v1/keys?limit=1", Some(&token), None);
            match connection.exchange(request.expose()).await {
                Ok((status, _)) => *self.tally().statuses.entry(status).or_default() += 1,
                Err(_) => {
                    self.tally().closed += 1;
                    return;
                }
            }
            let Some(due) = self.schedule.next() else { return };
            if timer.wait_until(due).await.is_err() {
                return;
            }
        }
    }
}

/// A token of the right form.
fn nobodys_token() -> Option<String> {
    let mut random = [0; 48];
    SystemEntropy.fill(&mut random).ok()?;
    Some(format!("lethe_{}", URL_SAFE_NO_PAD.encode(random)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flood_has_its_name() {
        for flood in Flood::ALL {
            assert_eq!(flood.as_str().parse(), Ok(flood));
        }
        for unknown in ["", "Slow", "half open", "all"] {
            assert!(unknown.parse::<Flood>().unwrap_err().starts_with("there are: slow"));
        }
    }

    #[test]
    fn tallies_add_up() {
        let one = Tally { opened: 1, closed: 2, statuses: [(413, 3)].into(), ..Tally::default() };
        let mut both = Tally { refused: 5, statuses: [(413, 1), (401, 1)].into(), ..one.clone() };
        both.add(&one);
        assert_eq!(both.words(), "2 opened, 4 cut, 5 refused, 1 × 401, 4 × 413");
        assert_eq!(both.json()["statuses"], json!({"401": 1, "413": 4}));
        assert_eq!(one.words(), "1 opened, 2 cut, 3 × 413");
    }

    #[test]
    fn no_two_tokens_are_the_same() {
        let (one, other) = (nobodys_token().unwrap(), nobodys_token().unwrap());
        assert_ne!(one, other);
        assert_eq!((one.len(), one.starts_with("lethe_")), (70, true));
    }
}
