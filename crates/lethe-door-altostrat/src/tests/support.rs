//! A door over an engine whose store, slot, clock and audit trail are in memory.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request};
use lethe_crypto::SystemEntropy;
use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{CreatePrincipalRequest, Engine, GuardedHead, HeadGuard, Parts};
use lethe_erasure::slot::MemSlot;
use lethe_http::testing::{Answer, DoorUnderTest};
use lethe_store::{FaultyStore, MemStore, Store as _};
use lethe_types::{Clock, Permission, Permissions, PrincipalId, RealmId, UnixMillis};
use serde_json::{Value, json};

use crate::{AltostratDoor, Settings, Site};

/// The moment at which all tests begin: 2026-04-20T00:00:00Z.
pub(super) const NOW_MS: u64 = 1_776_643_200_000;

/// Everything of one installation.
pub(super) struct World {
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<TestClock>,
    pub(super) audit: Arc<Audit>,
    /// What is stored; fails on demand.
    pub(super) store: Arc<FaultyStore>,
}

/// A door, a person who may do everything, and a resource server.
pub(super) struct Org {
    pub(super) door: DoorUnderTest,
    pub(super) altostrat: Arc<AltostratDoor>,
    pub(super) world: Arc<World>,
    pub(super) realm: RealmId,
    pub(super) user: PrincipalId,
    pub(super) bearer: String,
    pub(super) internal: String,
}

/// A fresh API key.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) secret: String,
}

pub(super) fn settings() -> Settings {
    Settings {
        rate_limit_per_minute: 0,
        leak_reports_per_hour: 0,
        grantable_permissions: vec!["sites:read".to_owned(), "scripts:write".to_owned()],
        ..Settings::default()
    }
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        let audit = Arc::new(Audit::default());
        let clock = Arc::new(TestClock(AtomicU64::new(NOW_MS)));
        let store = Arc::new(FaultyStore::new(Arc::new(MemStore::new())));
        let engine = Engine::start(Parts {
            store: store.clone(),
            slot: Box::new(MemSlot::new()),
            guard: Box::new(Forgetful),
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
            audit: audit.clone(),
            origin: Some("lethe.test/log".to_owned()),
        });
        let engine = Arc::new(engine.expect("the engine starts"));
        Arc::new(Self { engine, clock, audit, store })
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&self, milliseconds: u64) {
        self.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Whether a row of the store holds these bytes.
    pub(super) fn has_stored(&self, bytes: &[u8]) -> bool {
        let mut found = false;
        let mut look = |_, _: &[u8], row: &lethe_store::Versioned| {
            found |= row.value.windows(bytes.len()).any(|part| part == bytes);
            Ok(())
        };
        self.store.snapshot(&mut look).expect("it reads");
        found
    }

    /// An organization of that name.
    pub(super) async fn org(self: &Arc<Self>, name: &str, settings: Settings) -> Org {
        settings.check().expect("the settings make sense");
        let realm = self.engine.ensure_realm(&name.parse().expect("a name")).await;
        let realm = realm.expect("a realm");
        let site = Site {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy),
            realm,
            settings,
        };
        let altostrat = Arc::new(AltostratDoor::open(site).await.expect("the door opens"));
        let door = DoorUnderTest::new(altostrat.clone());
        let (user, _) = self.principal(realm, PrincipalKind::User, Permissions::all()).await;
        let end = UnixMillis(NOW_MS + 86_400_000);
        let bearer = altostrat.user_token(user, end).expect("a token");
        let may_read = [Permission::KeysRead].into_iter().collect();
        let (_, internal) = self.principal(realm, PrincipalKind::ServiceAccount, may_read).await;
        let world = self.clone();
        Org { door, altostrat, world, realm, user, bearer, internal }
    }

    /// A principal with these permissions, and its own bearer token.
    pub(super) async fn principal(
        &self,
        realm: RealmId,
        kind: PrincipalKind,
        permissions: Permissions,
    ) -> (PrincipalId, String) {
        self.named(realm, kind, permissions, "someone").await
    }

    pub(super) async fn named(
        &self,
        realm: RealmId,
        kind: PrincipalKind,
        permissions: Permissions,
        name: &str,
    ) -> (PrincipalId, String) {
        let system = self.engine.system_caller(realm, "test").expect("a caller");
        let grants = vec![Grant { permissions, scope: Scope::Realm }];
        let name = name.parse().expect("a name");
        let request =
            CreatePrincipalRequest { kind, ..CreatePrincipalRequest::service(name, grants, None) };
        let new = self.engine.create_principal(&system, request).await.expect("a principal");
        let token = String::from_utf8(new.tokens[0].1.expose().to_vec()).expect("text");
        (new.entry.record().id, token)
    }
}

/// The organization that most tests need.
pub(super) async fn org() -> Org {
    World::new().org("acme", settings()).await
}

impl Org {
    /// Sends a request; `token` is the bearer credential, if it is not empty.
    pub(super) async fn send(
        &self,
        token: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.door.send(request.body(body.into()).expect("the request is well-formed")).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(&self.bearer, Method::GET, path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.send(&self.bearer, Method::POST, path, &json, body.to_string()).await
    }

    pub(super) async fn delete(&self, id: &str) -> Answer {
        self.send(&self.bearer, Method::DELETE, &format!("/api/keys/{id}"), &[], "").await
    }

    pub(super) async fn form(&self, token: &str, path: &str, body: &str) -> Answer {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        self.send(token, Method::POST, path, &form, body).await
    }

    pub(super) async fn create(&self, name: &str, permissions: &[&str]) -> Made {
        self.create_from(&json!({"name": name, "permissions": permissions})).await
    }

    pub(super) async fn create_from(&self, body: &Value) -> Made {
        let answer = self.post("/api/keys", body).await;
        let body = expect(&answer, 201);
        Made {
            id: text(&body["data"]["key"]["id"]),
            client: text(&body["data"]["key"]["client_id"]),
            secret: text(&body["data"]["secret"]),
        }
    }

    pub(super) async fn rotate(&self, id: &str, body: &str) -> Answer {
        let path = format!("/api/keys/{id}/rotate");
        self.send(&self.bearer, Method::POST, &path, &[], body).await
    }

    pub(super) async fn exchange(&self, secret: &str) -> Answer {
        let json = [("content-type", "application/json")];
        let body = json!({"api_key": secret}).to_string();
        self.send(&self.internal, Method::POST, "/api/internal/token", &json, body).await
    }

    /// A token from the exchange.
    pub(super) async fn token(&self, secret: &str) -> String {
        text(&expect(&self.exchange(secret).await, 200)["data"]["access_token"])
    }

    /// The status of a request that needs `sites:read`, with that credential.
    pub(super) async fn probe(&self, credential: &str) -> u16 {
        let path = "/v1/forward-auth?permission=sites:read";
        self.send(credential, Method::GET, path, &[], "").await.head.status.as_u16()
    }

    pub(super) async fn introspect(&self, token: &str) -> Value {
        let body = format!("token={token}");
        expect(&self.form(&self.internal, "/oauth/introspect", &body).await, 200)
    }

    pub(super) async fn client_credentials(&self, made: &Made, more: &str) -> Answer {
        let Made { client, secret, .. } = made;
        let body = format!(
            "grant_type=client_credentials&client_id={client}&client_secret={secret}{more}"
        );
        self.form("", "/oauth/token", &body).await
    }
}

#[track_caller]
pub(super) fn expect(answer: &Answer, status: u16) -> Value {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.head.status.as_u16(), status, "{body}");
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[track_caller]
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[track_caller]
pub(super) fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.head.headers.get(name).map(|value| value.to_str().expect("visible ASCII"))
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

/// Remembers operations and refusals; full on demand.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) events: Mutex<Vec<(String, Option<String>)>>,
    pub(super) full: AtomicBool,
}

impl Audit {
    pub(super) fn has(&self, operation: &str, refusal: Option<&str>) -> bool {
        let events = self.events.lock().expect("no test panics with it");
        events.iter().any(|(name, code)| name == operation && code.as_deref() == refusal)
    }
}

impl AuditSink for Audit {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        if self.full.load(Ordering::SeqCst) { Err(AuditUnavailable) } else { Ok(()) }
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
        self.ready()?;
        let told = (event.operation.to_owned(), event.refusal.map(str::to_owned));
        self.events.lock().expect("no test panics with it").push(told);
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
