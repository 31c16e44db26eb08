//! A door over an engine whose store, slot, clock and audit trail are in memory.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use lethe_crypto::SystemEntropy;
use lethe_crypto::kdf::Argon2Params;
use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_engine::record::{Grant, Scope};
use lethe_engine::{CreatePrincipalRequest, Engine, GuardedHead, HeadGuard, Parts, SignInLimits};
use lethe_erasure::slot::MemSlot;
use lethe_http::testing::{Answer, DoorUnderTest};
use lethe_store::MemStore;
use lethe_types::{Clock, Permission, Permissions, UnixMillis};
use serde_json::Value;

use crate::problems::ProblemType;
use crate::{NativeDoor, ServiceView};

/// The moment at which all tests begin, in milliseconds.
pub(super) const NOW_MS: u64 = 1_790_000_000_000;

/// What hashing a passphrase costs here: next to nothing.
const CHEAP: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };

/// A door, its engine, and the token of a principal who may do everything.
pub(super) struct Api {
    pub(super) door: DoorUnderTest,
    pub(super) engine: Arc<Engine>,
    pub(super) token: String,
    pub(super) service: Arc<Service>,
    pub(super) audit: Arc<Audit>,
    clock: Arc<TestClock>,
}

impl Api {
    pub(super) async fn new() -> Self {
        let audit = Arc::new(Audit::default());
        let clock = Arc::new(TestClock(AtomicU64::new(NOW_MS)));
        let engine = Engine::start(Parts {
            store: Arc::new(MemStore::new()),
            slot: Box::new(MemSlot::new()),
            guard: Box::new(Forgetful),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            audit: audit.clone(),
            origin: Some("lethe.test/log".to_owned()),
        });
        let cheap = SignInLimits { cost: CHEAP, ..SignInLimits::default() };
        let engine = engine.expect("the engine starts").with_sign_in_limits(cheap);
        let engine = Arc::new(engine);
        let service = Arc::new(Service::default());
        let door = NativeDoor::new(engine.clone(), service.clone());
        let door = DoorUnderTest::new(Arc::new(door));
        let token = token(&engine, "acme", Permissions::all()).await;
        Self { door, engine, token, service, audit, clock }
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&self, milliseconds: u64) {
        self.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// A token of a new principal who may do everything in another realm.
    pub(super) async fn foreign_token(&self) -> String {
        token(&self.engine, "other", Permissions::all()).await
    }

    /// A token of a new principal in the realm `acme` with these permissions on all of it.
    pub(super) async fn token_with(&self, permissions: &[Permission]) -> String {
        token(&self.engine, "acme", permissions.iter().copied().collect()).await
    }

    /// Sends a request with the token, `headers`, and `body` as it is.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.door.send(request.body(body.into()).expect("the request is well-formed")).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body).await
    }

    pub(super) async fn patch(&self, path: &str, body: &str) -> Answer {
        self.send(Method::PATCH, path, &[], body).await
    }

    pub(super) async fn put(&self, path: &str, body: &str) -> Answer {
        self.send(Method::PUT, path, &[], body).await
    }

    /// Sends a request with another token.
    pub(super) async fn send_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: &str,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(method, path, &[("authorization", &bearer)], body).await
    }

    /// The id of a new vault with this policy.
    pub(super) async fn vault(&self, name: &str, policy: &str) -> String {
        let body = format!(r#"{{"name":"{name}","policy":{policy}}}"#);
        let answer = self.post("/v1/vaults", &body).await;
        assert_eq!(answer.head.status, 201, "{:?}", answer.body);
        member(&json(&answer), "id")
    }

    /// The path of a new key in a vault.
    pub(super) async fn key_in(&self, vault: &str) -> String {
        let body = format!(r#"{{"name":"customer","algorithm":"aes256-gcm","vault":"{vault}"}}"#);
        let answer = self.post("/v1/keys", &body).await;
        assert_eq!(answer.head.status, 201, "{:?}", answer.body);
        format!("/v1/keys/{}", member(&json(&answer), "id"))
    }

    /// The id of a new key.
    pub(super) async fn key(&self, algorithm: &str) -> String {
        let body = format!(r#"{{"name":"customer","algorithm":"{algorithm}"}}"#);
        let answer = self.post("/v1/keys", &body).await;
        assert_eq!(answer.head.status, 201, "{:?}", answer.body);
        member(&json(&answer), "id")
    }
}

async fn token(engine: &Engine, realm: &str, permissions: Permissions) -> String {
    let realm = engine.ensure_realm(&realm.parse().expect("a name")).await.expect("a realm");
    let admin = engine.system_caller(realm, "test").expect("a caller");
    let request = CreatePrincipalRequest::service(
        "someone".parse().expect("a name"),
        vec![Grant { permissions, scope: Scope::Realm }],
        None,
    );
    let new = engine.create_principal(&admin, request).await.expect("a principal");
    String::from_utf8(new.tokens[0].1.expose().to_vec()).expect("a token is text")
}

/// The body as JSON.
#[track_caller]
pub(super) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&answer.body)))
}

/// The text of a member.
#[track_caller]
pub(super) fn member(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}")).to_owned()
}

#[track_caller]
pub(super) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.headers.get(name).map(|value| value.to_str().expect("visible ASCII"))
}

pub(super) fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn unb64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

/// Checks everything that holds for every problem, and gives it.
#[track_caller]
pub(super) fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let problem = json(answer);
    assert_eq!(answer.head.status.as_u16(), status, "{problem}");
    assert_eq!(header(answer, "content-type"), Some("application/problem+json"));
    assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"].as_str(), header(answer, "x-request-id"));
    let known = ProblemType::find(code).unwrap_or_else(|| panic!("`{code}` is not in the list"));
    assert_eq!(problem["title"], known.title);
    assert!(!member(&problem, "detail").is_empty());
    problem
}

/// Stands still unless told otherwise.
#[derive(Debug)]
pub(super) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Counts events, and remembers which thread did the work of the newest; full on demand.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) events: AtomicU64,
    pub(super) full: AtomicBool,
    pub(super) newest_thread: Mutex<Option<ThreadId>>,
}

impl AuditSink for Audit {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        if self.full.load(Ordering::SeqCst) { Err(AuditUnavailable) } else { Ok(()) }
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
        assert_eq!(event.request.len(), 32);
        if self.full.load(Ordering::SeqCst) {
            return Err(AuditUnavailable);
        }
        self.events.fetch_add(1, Ordering::SeqCst);
        *self.newest_thread.lock().expect("no test panics with it") = Some(thread::current().id());
        Ok(())
    }
}

/// Keeps no log head: these tests do not restart.
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

/// Ready unless told otherwise.
#[derive(Debug, Default)]
pub(super) struct Service {
    pub(super) broken: AtomicBool,
}

impl ServiceView for Service {
    fn ready(&self) -> Result<(), String> {
        let is_broken = self.broken.load(Ordering::SeqCst);
        if is_broken { Err("the disk is on fire".to_owned()) } else { Ok(()) }
    }

    fn metrics(&self) -> String {
        "lethe_keys 1\n".to_owned()
    }
}
