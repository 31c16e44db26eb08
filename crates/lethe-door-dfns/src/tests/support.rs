//! An organization over an engine in memory, and a client that signs what it asks for.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use http::{Method, Request};
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, SignatureScheme, UsableKey};
use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_engine::{Engine, GuardedHead, HeadGuard, Parts};
use lethe_erasure::slot::MemSlot;
use lethe_http::testing::{Answer, DoorUnderTest};
use lethe_store::MemStore;
use lethe_types::{Clock, RealmId, UnixMillis};
use serde_json::{Value, json};

use crate::factors::BASE64URL;
use crate::{DfnsDoor, Settings, Site};

/// The moment at which all tests begin: 2026-04-20T00:00:00Z.
pub(super) const NOW_MS: u64 = 1_776_643_200_000;

/// Everything of one installation.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(super) clock: Arc<TestClock>,
    pub(super) audit: Arc<Audit>,
    numbers: AtomicU64,
}

/// A door, and a service account that may do everything.
pub(super) struct Org {
    pub(super) door: DoorUnderTest,
    pub(super) dfns: Arc<DfnsDoor>,
    pub(super) world: Arc<World>,
    pub(super) realm: RealmId,
    pub(super) id: String,
    pub(super) admin: Account,
}

/// Somebody with a token and the key that signs for it.
pub(super) struct Account {
    pub(super) user: String,
    pub(super) token: String,
    pub(super) cred_id: String,
    pub(super) key: Signer,
}

/// A key of a client.
pub(super) struct Signer {
    key: UsableKey,
    scheme: SignatureScheme,
}

impl Signer {
    pub(super) fn new(algorithm: &str, scheme: SignatureScheme) -> Self {
        let algorithm = Algorithm::from_name(algorithm).expect("an algorithm");
        let material = algorithm.generate(&SystemEntropy).expect("a key");
        Self { key: algorithm.load(material.secret()).expect("a key"), scheme }
    }

    pub(super) fn ed25519() -> Self {
        Self::new("ed25519", SignatureScheme::Ed25519)
    }

    pub(super) fn pem(&self) -> String {
        self.key.public_key().expect("a pair").to_pem()
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(Some(self.scheme), message).expect("a signature")
    }
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
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
        let engine = Arc::new(engine.expect("the engine starts"));
        Arc::new(Self { engine, clock, audit, numbers: AtomicU64::new(0) })
    }

    /// Lets so much time pass.
    pub(super) fn pass(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).expect("a short time");
        self.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// A number that was not there before.
    pub(super) fn next(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::SeqCst)
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
        let dfns = Arc::new(DfnsDoor::open(site).await.expect("the door opens"));
        let door = DoorUnderTest::new(dfns.clone());
        let key = Signer::ed25519();
        let made = dfns.first_account("bot", &key.pem()).await.expect("an account");
        let admin = Account {
            user: made.user_id,
            token: made.auth_token,
            cred_id: made.credential_id,
            key,
        };
        Org { door, dfns, world: self.clone(), realm, id: made.org_id, admin }
    }
}

/// The organization that most tests need.
pub(super) async fn org() -> Org {
    World::new().org("acme", Settings { import: true, export: true, ..Settings::default() }).await
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL.encode(bytes)
}

/// What clients sign.
pub(super) fn client_data(challenge: &str) -> String {
    format!(r#"{{"type":"key.get","challenge":"{challenge}"}}"#)
}

impl Account {
    /// The body that answers a challenge.
    pub(super) fn answer(&self, init: &Value) -> Value {
        let data = client_data(&text(&init["challenge"]));
        self.answer_with(init, &data, &self.key.sign(data.as_bytes()))
    }

    pub(super) fn answer_with(&self, init: &Value, data: &str, signature: &[u8]) -> Value {
        json!({
            "challengeIdentifier": init["challengeIdentifier"],
            "firstFactor": {"kind": "Key", "credentialAssertion": {
                "credId": self.cred_id,
                "clientData": base64url(data),
                "signature": base64url(signature),
            }},
        })
    }
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

    pub(super) async fn get_as(&self, account: &Account, path: &str) -> Answer {
        self.send(&account.token, Method::GET, path, &[], "").await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.get_as(&self.admin, path).await
    }

    /// Announces a request.
    pub(super) async fn init(
        &self,
        account: &Account,
        method: &Method,
        path: &str,
        payload: &str,
    ) -> Value {
        let body = json!({
            "userActionPayload": payload,
            "userActionHttpMethod": method.as_str(),
            "userActionHttpPath": path,
            "userActionServerKind": "Api",
        });
        let path = "/auth/action/init";
        let answer = self.send(&account.token, Method::POST, path, &[], body.to_string()).await;
        expect(&answer, 200)
    }

    /// The token of a signed action.
    pub(super) async fn action(
        &self,
        account: &Account,
        method: &Method,
        path: &str,
        payload: &str,
    ) -> String {
        let init = self.init(account, method, path, payload).await;
        let body = account.answer(&init).to_string();
        let answer = self.send(&account.token, Method::POST, "/auth/action", &[], body).await;
        text(&expect(&answer, 200)["userAction"])
    }

    /// Signs a request and sends it.
    pub(super) async fn signed_as(
        &self,
        account: &Account,
        method: Method,
        path: &str,
        body: &str,
    ) -> Answer {
        let action = self.action(account, &method, path, body).await;
        let headers = [("x-dfns-useraction", action.as_str())];
        self.send(&account.token, method, path, &headers, body).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.signed_as(&self.admin, Method::POST, path, &body.to_string()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.signed_as(&self.admin, Method::PUT, path, &body.to_string()).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.signed_as(&self.admin, Method::DELETE, path, "").await
    }

    /// A key, as its creation answers it.
    pub(super) async fn create(&self, body: &Value) -> Value {
        expect(&self.post("/keys", body).await, 200)
    }

    pub(super) async fn ed25519(&self) -> String {
        text(&self.create(&json!({"scheme": "EdDSA", "curve": "ed25519"})).await["id"])
    }
}

#[track_caller]
pub(super) fn expect(answer: &Answer, status: u16) -> Value {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.head.status.as_u16(), status, "{body}");
    assert_eq!(header(answer, "content-type"), Some("application/json"));
    assert!(header(answer, "x-request-id").is_some());
    let value: Value =
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"));
    if status >= 400 {
        let error = value["error"].as_object().unwrap_or_else(|| panic!("no envelope: {body}"));
        assert_eq!(error["status"], json!(status));
        assert!(error["id"].as_str().is_some_and(|id| id.bytes().all(|b| b.is_ascii_digit())));
        let known = ["id", "status", "message", "details"];
        assert!(error.keys().all(|name| known.contains(&name.as_str())), "{body}");
    }
    value
}

/// The message of a refusal with that status.
#[track_caller]
pub(super) fn refused(answer: &Answer, status: u16) -> String {
    text(&expect(answer, status)["error"]["message"])
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

/// Remembers operations and refusals.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) events: Mutex<Vec<(String, Option<String>)>>,
}

impl Audit {
    pub(super) fn has(&self, operation: &str, refusal: Option<&str>) -> bool {
        let events = self.events.lock().expect("no test panics with it");
        events.iter().any(|(name, code)| name == operation && code.as_deref() == refusal)
    }
}

impl AuditSink for Audit {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        Ok(())
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
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
