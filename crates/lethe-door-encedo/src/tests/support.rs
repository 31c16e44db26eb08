//! A device over an engine whose store, slot, clock and audit trail are in memory.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, Request};
use lethe_crypto::SystemEntropy;
use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::UsableKey;
use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_engine::{Engine, GuardedHead, HeadGuard, Parts};
use lethe_erasure::slot::MemSlot;
use lethe_http::ListenerOptions;
use lethe_http::testing::{Answer, DoorUnderTest};
use lethe_store::{FaultyStore, MemStore};
use lethe_types::{Clock, RealmId, UnixMillis};
use serde_json::{Value, json};

use crate::boot::x25519;
use crate::handlers::init::Keys;
use crate::state::{self, State};
use crate::{EncedoDoor, Settings, b64};

/// The moment at which all tests begin, in seconds: that of the published vectors.
pub(super) const NOW_S: u64 = 1_700_000_000;
/// Private keys of the published vectors.
pub(super) const EID: [u8; 32] = counting(0x00);
pub(super) const SPK: [u8; 32] = counting(0x20);

/// Bytes that count up from the first.
pub(super) const fn counting(first: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut at = 0;
    let mut byte = first;
    while at < bytes.len() {
        bytes[at] = byte;
        byte = byte.wrapping_add(1);
        at += 1;
    }
    bytes
}

/// Somebody with a private key.
pub(super) struct Person {
    pub(super) key: UsableKey,
    pub(super) public: [u8; 32],
}

impl Person {
    pub(super) fn new(private: [u8; 32]) -> Self {
        let (key, public) = x25519(&SystemEntropy, Some(&private)).expect("a pair");
        Self { key, public }
    }

    /// A message of this person to the holder of `peer`.
    pub(super) fn write(&self, peer: &[u8; 32], claims: &Value) -> String {
        let shared = self.key.agree(peer).expect("agreed");
        signed(r#"{"ecdh":"x25519","alg":"HS256","typ":"JWT"}"#, claims, shared.expose())
    }
}

/// A token of these parts.
pub(super) fn signed(header: &str, claims: &Value, key: &[u8]) -> String {
    let claims = b64::encode_url(claims.to_string().as_bytes());
    let text = format!("{}.{claims}", b64::encode_url(header.as_bytes()));
    let tag = b64::encode_url(&hmac_sha256(key, &[text.as_bytes()]));
    format!("{text}.{tag}")
}

/// A device with a user and a master.
pub(super) struct Api {
    pub(super) door: DoorUnderTest,
    pub(super) plain: DoorUnderTest,
    pub(super) state: Arc<State>,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<TestClock>,
    pub(super) store: Arc<FaultyStore>,
    pub(super) slot: MemSlot,
    pub(super) realm: RealmId,
    pub(super) user: Person,
    pub(super) master: Person,
}

impl Api {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let api = Self::fresh(settings).await;
        let keys = Keys { user: api.user.public, master: api.master.public };
        let config = crate::device::Config {
            iat: NOW_S,
            uts: NOW_S,
            user: "My device".to_owned(),
            email: "a@example.test".to_owned(),
            hostname: "localhost".to_owned(),
            origin: "https://a.example".to_owned(),
            trusted_ts: true,
            allow_keysearch: true,
            ..crate::device::Config::default()
        };
        crate::handlers::init::give(&api.state, config, keys).await.expect("an owner");
        api
    }

    /// A device that belongs to nobody.
    pub(super) async fn fresh(settings: Settings) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(NOW_S * 1_000)));
        let store = Arc::new(FaultyStore::new(Arc::new(MemStore::new())));
        Self::start(store, MemSlot::new(), clock, settings).await
    }

    /// What the next process finds of this one.
    pub(super) async fn restarted(self) -> Self {
        let store = Arc::new(FaultyStore::new(self.store.inner()));
        let (slot, clock) = (self.slot.clone(), self.clock.clone());
        let settings = self.state.settings.clone();
        drop(self);
        Self::start(store, slot, clock, settings).await
    }

    async fn start(
        store: Arc<FaultyStore>,
        slot: MemSlot,
        clock: Arc<TestClock>,
        settings: Settings,
    ) -> Self {
        let engine = Engine::start(Parts {
            store: store.clone(),
            slot: Box::new(slot.clone()),
            guard: Box::new(Forgetful),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            audit: Arc::new(Deaf),
            origin: Some("lethe.test/log".to_owned()),
        });
        let engine = Arc::new(engine.expect("it starts"));
        let realm = engine.ensure_realm(&"device".parse().unwrap()).await.expect("a realm");
        let parts = state::Parts {
            engine: engine.clone(),
            realm,
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            settings,
            seeds: (Some(EID), Some(SPK)),
        };
        let state = State::open(parts).await.expect("a device");
        let door = Arc::new(EncedoDoor::of(state));
        let state = door.state.clone();
        let options = ListenerOptions::default();
        Self {
            plain: DoorUnderTest::with(door.clone(), options, false),
            door: DoorUnderTest::new(door),
            state,
            engine,
            clock,
            store,
            slot,
            realm,
            // The keys of the published passphrases are elsewhere; any do here.
            user: Person::new([0x11; 32]),
            master: Person::new([0x22; 32]),
        }
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&self, milliseconds: u64) {
        self.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub(super) fn now_s(&self) -> u64 {
        self.clock.now().seconds()
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        send_to(&self.door, method, path, headers, body.into()).await
    }

    /// A request with a token, if there is one.
    pub(super) async fn ask(&self, method: Method, path: &str, token: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let headers = if token.is_empty() { &[][..] } else { &headers[..] };
        self.send(method, path, headers, body).await
    }

    pub(super) async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(Method::GET, path, token, "").await
    }

    pub(super) async fn post(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, token, &body.to_string()).await
    }

    pub(super) async fn delete(&self, token: &str, kid: &str) -> u16 {
        let path = format!("/api/keymgmt/delete/{kid}");
        self.ask(Method::DELETE, &path, token, "").await.head.status.as_u16()
    }

    pub(super) async fn challenge(&self) -> Value {
        body(&self.get("", "/api/auth/token").await)
    }

    /// The claims of a login that answers `challenge`.
    pub(super) fn claims(&self, person: &Person, challenge: &Value, scope: &str) -> Value {
        json!({
            "jti": challenge["jti"], "aud": challenge["spk"], "exp": self.now_s() + 3_600,
            "iat": self.now_s(), "iss": b64::encode(&person.public), "scope": scope,
        })
    }

    pub(super) async fn log_in_with(&self, person: &Person, claims: &Value) -> Answer {
        let spk = b64::decode_array(claims["aud"].as_str().unwrap_or_default());
        let auth = person.write(&spk.unwrap_or(Person::new(SPK).public), claims);
        self.post("", "/api/auth/token", &json!({ "auth": auth })).await
    }

    /// A token of somebody for a scope.
    pub(super) async fn token_of(&self, person: &Person, scope: &str) -> String {
        let claims = self.claims(person, &self.challenge().await, scope);
        let answer = self.log_in_with(person, &claims).await;
        assert_eq!(answer.head.status, 200, "{scope}");
        text(&body(&answer), "token")
    }

    pub(super) async fn token(&self, scope: &str) -> String {
        self.token_of(&self.user, scope).await
    }

    /// A new key's identifier.
    pub(super) async fn create(&self, wanted: &Value) -> String {
        let token = self.token("keymgmt:gen").await;
        let answer = self.post(&token, "/api/keymgmt/create", wanted).await;
        assert_eq!(answer.head.status, 200, "{wanted}");
        text(&body(&answer), "kid")
    }

    pub(super) async fn key(&self, key_type: &str) -> String {
        let mut wanted = json!({ "label": "a key", "type": key_type });
        if key_type.starts_with("SECP") {
            wanted["mode"] = json!("ECDH,ExDSA");
        }
        self.create(&wanted).await
    }

    /// A use of a key, with the token for it.
    pub(super) async fn use_key(&self, kid: &str, path: &str, mut request: Value) -> Answer {
        let token = self.token(&format!("keymgmt:use:{kid}")).await;
        request["kid"] = json!(kid);
        self.post(&token, &format!("/api/crypto/{path}"), &request).await
    }

    /// Events of the log so far, as `type/result actor data`, without those of the start.
    pub(super) fn log(&self) -> Vec<String> {
        self.state.journal.flush();
        let events = self.state.journal.events(&self.state.boot().log_id).expect("events");
        let shown = events.iter().map(|fields| {
            let mut parts = fields.split('|').skip(1);
            let mut next = || parts.next().unwrap_or_default();
            let number = u8::from_str_radix(next(), 16).expect("a number");
            let (result, actor) = (next().to_owned(), next().to_owned());
            let data = b64::decode(next()).unwrap_or_default();
            let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{number}/{result} {actor} {hex}").trim_end().to_owned()
        });
        shown.skip(2).collect()
    }

    /// The same without logins.
    pub(super) fn log_of_work(&self) -> Vec<String> {
        let is_login = |event: &String| event.starts_with("13/") || event.starts_with("23/");
        self.log().into_iter().filter(|event| !is_login(event)).collect()
    }
}

pub(super) async fn send_to(
    door: &DoorUnderTest,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let mut request = Request::builder().method(method.clone()).uri(path);
    let is_chunked = headers.iter().any(|(name, _)| *name == "transfer-encoding");
    if method == Method::POST && !is_chunked {
        request = request.header("content-length", body.len());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = door.send(request.body(body).expect("well-formed")).await;
    check_frame(&answer);
    answer
}

/// What holds for every answer.
#[track_caller]
pub(super) fn check_frame(answer: &Answer) {
    let status = answer.head.status.as_u16();
    let kind = answer.head.headers["content-type"].to_str().expect("text");
    assert!(["application/json", "text/plain"].contains(&kind), "{kind}");
    if status != 204 {
        let length = answer.head.headers["content-length"].to_str().expect("text");
        assert_eq!(length, answer.body.len().to_string(), "{status}");
    }
    // A configuration that was refused says that nothing was changed.
    let is_config = answer.body.as_ref() == br#"{"updated":false}"#;
    // The broker says why a question is over.
    let has_body = [200, 410].contains(&status) || is_config;
    assert!(has_body || answer.body.is_empty(), "{status} {:?}", answer.body);
}

#[track_caller]
pub(super) fn status(answer: &Answer) -> u16 {
    answer.head.status.as_u16()
}

#[track_caller]
pub(super) fn body(answer: &Answer) -> Value {
    let parsed = serde_json::from_slice(&answer.body);
    parsed.unwrap_or_else(|error| panic!("{error}: {} {:?}", answer.head.status, answer.body))
}

#[track_caller]
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}")).to_owned()
}

/// The claims of a token.
#[track_caller]
pub(super) fn claims_of(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&b64::decode_url(part).expect("base64")).expect("JSON")
}

/// Stands still unless told otherwise.
#[derive(Debug)]
pub(super) struct TestClock(pub(super) AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Takes every event and keeps none.
#[derive(Debug)]
struct Deaf;

impl AuditSink for Deaf {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        Ok(())
    }

    fn record(&self, _event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
        Ok(())
    }
}

/// Keeps no head.
#[derive(Debug)]
struct Forgetful;

impl HeadGuard for Forgetful {
    fn load(&self) -> Result<Option<GuardedHead>, Box<dyn Error + Send + Sync>> {
        Ok(None)
    }

    fn keep(&mut self, _head: GuardedHead) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}
