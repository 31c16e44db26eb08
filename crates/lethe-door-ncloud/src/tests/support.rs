//! A door over an engine whose store, slot, clock and audit trail are in memory.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use lethe_crypto::SystemEntropy;
use lethe_crypto::hash::hmac_sha256;
use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_engine::record::{Grant, Scope};
use lethe_engine::{
    CreatePrincipalRequest, Engine, GuardedHead, HeadGuard, NewCredential, NewCredentialKind, Parts,
};
use lethe_erasure::slot::MemSlot;
use lethe_http::testing::{Answer, DoorUnderTest};
use lethe_store::MemStore;
use lethe_types::{
    Clock, KeyId, Permission, Permissions, PrincipalId, RealmId, SecretVec, UnixMillis,
};
use serde_json::Value;

use crate::{DOOR, NcloudDoor, Settings};

/// The moment at which all tests begin, in milliseconds: that of the signature vectors.
pub(super) const NOW_MS: u64 = 1_733_468_239_421;
/// The account that may do everything; that of the signature vectors.
pub(super) const ACCESS_KEY: &str = "AKEXAMPLE0123456789A";
const SECRET_KEY: &str = "SKEXAMPLE0123456789ABCDEF0123456789ABCDEF";
/// Of every other account.
const OTHER_SECRET_KEY: &str = "OTHER0123456789ABCDEF0123456789ABCDEF012";

/// A door and its engine.
pub(super) struct Rig {
    pub(super) door: DoorUnderTest,
    pub(super) engine: Arc<Engine>,
    pub(super) realm: RealmId,
    pub(super) clock: Arc<TestClock>,
    pub(super) audit: Arc<Audit>,
    pub(super) store: Arc<MemStore>,
    pub(super) slot: MemSlot,
}

impl Rig {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(NOW_MS)));
        let audit = Arc::new(Audit::default());
        let (store, slot) = (Arc::new(MemStore::new()), MemSlot::new());
        let engine = Engine::start(parts(store.clone(), slot.clone(), clock.clone(), &audit));
        let engine = Arc::new(engine.expect("the engine starts"));
        let realm = engine.ensure_realm(&"acme".parse().expect("a name")).await.expect("a realm");
        let door = open(&engine, realm, &clock, settings).await;
        let rig = Self { door, engine, realm, clock, audit, store, slot };
        rig.account(ACCESS_KEY, SECRET_KEY, Permissions::all(), Scope::Realm).await;
        rig
    }

    /// Another door over the same engine, as after a restart.
    pub(super) async fn door_again(&self) -> DoorUnderTest {
        open(&self.engine, self.realm, &self.clock, Settings::default()).await
    }

    pub(super) async fn account(
        &self,
        access_key: &str,
        secret_key: &str,
        permissions: Permissions,
        scope: Scope,
    ) -> PrincipalId {
        let credential = NewCredential {
            name: "".into(),
            lifetime: None,
            attributes: BTreeMap::new(),
            kind: NewCredentialKind::SharedSecret {
                external: access_key.into(),
                secret: SecretVec::copy_from(secret_key.as_bytes()),
            },
        };
        let grants = vec![Grant { permissions, scope }];
        let name = "someone".parse().expect("a name");
        let request = CreatePrincipalRequest {
            credentials: vec![credential],
            ..CreatePrincipalRequest::service(name, grants, None)
        };
        let system = self.engine.system_caller(self.realm, DOOR).expect("a caller");
        let new = self.engine.create_principal(&system, request).await.expect("a principal");
        new.entry.record().id
    }

    /// An account with these permissions on all keys.
    pub(super) async fn account_with(
        &self,
        access_key: &str,
        permissions: &[Permission],
    ) -> PrincipalId {
        let permissions = permissions.iter().copied().collect();
        self.account(access_key, OTHER_SECRET_KEY, permissions, Scope::Realm).await
    }

    /// Lets so much time pass.
    pub(super) fn pass(&self, time: Duration) {
        let milliseconds = u64::try_from(time.as_millis()).expect("tests are short");
        self.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Sends a request with `headers` and `body` as they are.
    pub(super) async fn raw(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.as_bytes().to_vec();
        self.door.send(request.body(body).expect("the request is well-formed")).await
    }

    /// Sends a request that `access_key` signs now.
    pub(super) async fn send_as(
        &self,
        access_key: &str,
        method: Method,
        target: &str,
        body: &str,
    ) -> Answer {
        let secret = if access_key == ACCESS_KEY { SECRET_KEY } else { OTHER_SECRET_KEY };
        let timestamp = self.clock.now().0.to_string();
        let message = format!("{method} {target}\n{timestamp}\n{access_key}");
        let signature = sign(secret, &message);
        let headers = [
            ("x-ncp-apigw-timestamp", timestamp.as_str()),
            ("x-ncp-iam-access-key", access_key),
            ("x-ncp-apigw-signature-v2", &signature),
        ];
        self.raw(method, target, &headers, body).await
    }

    pub(super) async fn send(&self, method: Method, target: &str, body: &str) -> Answer {
        self.send_as(ACCESS_KEY, method, target, body).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.send(Method::GET, target, "").await
    }

    pub(super) async fn post(&self, target: &str, body: &str) -> Answer {
        self.send(Method::POST, target, body).await
    }

    pub(super) async fn put(&self, target: &str, body: &str) -> Answer {
        self.send(Method::PUT, target, body).await
    }

    pub(super) async fn delete(&self, target: &str) -> Answer {
        self.send(Method::DELETE, target, "").await
    }

    /// Sends a request with a token instead of a signature.
    pub(super) async fn with_token(
        &self,
        token: &str,
        method: Method,
        target: &str,
        body: &str,
    ) -> Answer {
        self.raw(method, target, &[("x-ncp-ocapi-token", token)], body).await
    }

    /// The path of a new key.
    pub(super) async fn key(&self, name: &str, key_type: &str) -> String {
        let body = format!(r#"{{"keyName":"{name}","keyType":"{key_type}"}}"#);
        let made = data(&self.post("/kms/v1/keys", &body).await);
        format!("/kms/v1/keys/{}", made["keyTag"].as_str().expect("a tag"))
    }

    /// The engine's name of the key at `path`.
    pub(super) fn key_id(&self, path: &str) -> KeyId {
        let tag = path.rsplit('/').next().expect("a tag");
        let entry = self.engine.key_with_alias(self.realm, DOOR, tag).expect("the key is known");
        entry.record().id
    }

    /// What an operation on the key at `path` answers.
    pub(super) async fn ciphertext(&self, path: &str, plaintext: &[u8]) -> String {
        let body = format!(r#"{{"plaintext":"{}"}}"#, STANDARD.encode(plaintext));
        let sealed = data(&self.post(&format!("{path}/encrypt"), &body).await);
        sealed["ciphertext"].as_str().expect("a ciphertext").to_owned()
    }
}

/// An engine over this store and this slot.
pub(super) fn parts(
    store: Arc<MemStore>,
    slot: MemSlot,
    clock: Arc<TestClock>,
    audit: &Arc<Audit>,
) -> Parts {
    Parts {
        store,
        slot: Box::new(slot),
        guard: Box::new(Forgetful),
        clock,
        entropy: Arc::new(SystemEntropy),
        audit: audit.clone(),
        origin: Some("lethe.test/log".to_owned()),
    }
}

async fn open(
    engine: &Arc<Engine>,
    realm: RealmId,
    clock: &Arc<TestClock>,
    settings: Settings,
) -> DoorUnderTest {
    let parts = crate::Parts {
        engine: engine.clone(),
        realm,
        clock: clock.clone(),
        entropy: Arc::new(SystemEntropy),
        settings,
        url: Arc::default(),
    };
    DoorUnderTest::new(Arc::new(NcloudDoor::open(parts).await.expect("the door opens")))
}

pub(super) fn sign(secret: &str, message: &str) -> String {
    STANDARD.encode(hmac_sha256(secret.as_bytes(), &[message.as_bytes()]))
}

/// The signature of the vectors' account over `message`.
pub(super) fn sign_as_vectors(message: &str) -> String {
    sign(SECRET_KEY, message)
}

/// The body as JSON.
#[track_caller]
pub(super) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&answer.body)))
}

/// `data` of an answer that went well, after checks of everything that holds for all of them.
#[track_caller]
pub(super) fn data(answer: &Answer) -> Value {
    let json = json(answer);
    assert_eq!(answer.head.status.as_u16(), 200, "{json}");
    assert_eq!(json["code"], "SUCCESS", "{json}");
    assert_eq!(answer.head.headers["content-type"], "application/json;charset=UTF-8");
    json.get("data").unwrap_or_else(|| panic!("no `data` in {json}")).clone()
}

/// Checks everything that holds for every refusal.
#[track_caller]
pub(super) fn refused(answer: &Answer, expected: Code) {
    let (status, code, message) = expected;
    let text = String::from_utf8_lossy(&answer.body);
    let json = json(answer);
    assert_eq!(answer.head.status.as_u16(), status, "{text}");
    assert_eq!(json["error"]["errorCode"], code, "{text}");
    assert_eq!(json["error"]["message"], message, "{text}");
    assert!(json["error"]["details"].is_string(), "{text}");
    assert!(!text.to_uppercase().contains("SUCCESS"), "{text}");
    assert!(answer.head.headers.contains_key("x-ncp-apigw-request-id"));
}

pub(super) type Code = (u16, &'static str, &'static str);
pub(super) const G401: Code = (401, "200", "Authentication Failed");
pub(super) const U401: Code = (401, "UNAUTHORIZED", "Unauthorized");
pub(super) const F403: Code = (403, "FORBIDDEN", "Forbidden");
pub(super) const I400: Code = (400, "INVALID_REQUEST", "Invalid request");
pub(super) const N404: Code = (404, "NOT_FOUND", "Not found");
pub(super) const S422: Code = (422, "UNPROCESSABLE_ENTITY", "Invalid status");

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

/// Remembers operations and how they ended.
#[derive(Debug, Default)]
pub(super) struct Audit(Mutex<Vec<(String, Option<&'static str>)>>);

impl Audit {
    /// The events since the last call.
    pub(super) fn take(&self) -> Vec<(String, Option<&'static str>)> {
        std::mem::take(&mut self.0.lock().expect("no test panics with it"))
    }
}

impl AuditSink for Audit {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        Ok(())
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
        let mut events = self.0.lock().expect("no test panics with it");
        events.push((event.operation.to_owned(), event.refusal));
        Ok(())
    }
}

/// Keeps no log head: these tests do not restart the engine.
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
