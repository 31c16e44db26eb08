//! A door over an engine whose store, slot, clock and audit trail are in memory; four users, a
//! vault, and the key of an application.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request};
use lethe_crypto::SystemEntropy;
use lethe_crypto::kdf::Argon2Params;
use lethe_crypto::otp::{totp_code, totp_step};
use lethe_engine::audit::{AuditEvent, AuditSink, AuditUnavailable};
use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{
    Caller, CreatePrincipalRequest, Engine, GuardedHead, HeadGuard, NewCredential,
    NewCredentialKind, Parts, SignInLimits,
};
use lethe_erasure::slot::MemSlot;
use lethe_http::testing::{Answer, DoorUnderTest};
use lethe_store::MemStore;
use lethe_types::{Clock, Permission, PrincipalId, RealmId, SecretVec, UnixMillis};
use serde_json::{Value, json};

use crate::account::{Status, USER_ID, attribute};
use crate::login::API_KEY;
use crate::{DOOR, Settings, StoredSafeDoor};

/// The moment at which all tests begin, in milliseconds.
pub(super) const NOW_MS: u64 = 1_790_000_000_000;
/// The key of the application.
pub(super) const APPLICATION: &str = "APIKEY-123";
/// What every user knows.
pub(super) const PASSPHRASE: &str = "pass phrase";

const CHEAP: Argon2Params = Argon2Params { memory_kib: 8, passes: 1, lanes: 1 };

/// A door, its engine, and four users who are logged in: Admin, Writer and Reader of the vault, and
/// somebody who is no member.
pub(super) struct Api {
    pub(super) door: DoorUnderTest,
    pub(super) engine: Arc<Engine>,
    pub(super) audit: Arc<Audit>,
    pub(super) realm: RealmId,
    pub(super) vault: String,
    pub(super) admin: String,
    pub(super) writer: String,
    pub(super) reader: String,
    pub(super) nobody: String,
    clock: Arc<TestClock>,
    settings: Settings,
}

impl Api {
    pub(super) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        let mut api = Self::without_logins(settings).await;
        api.admin = api.log_in("alice").await;
        api.writer = api.log_in("walter").await;
        api.reader = api.log_in("rosie").await;
        api.nobody = api.log_in("nobody").await;
        let made = api.post(&api.admin, "/vault", json!({ "vaultname": "V" })).await;
        api.vault = text(&body(&made)["VAULT"][0], "id");
        for (user, level) in [("102", "2"), ("103", 1.to_string().as_str())] {
            let path = format!("/vault/{}/member/{user}", api.vault);
            let added = api.post(&api.admin, &path, json!({ "status": level })).await;
            assert_eq!(added.head.status, 200, "{:?}", added.body);
        }
        api
    }

    /// The same with nobody logged in and no vault.
    pub(super) async fn without_logins(settings: Settings) -> Self {
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
        let engine = Arc::new(engine.expect("it starts").with_sign_in_limits(cheap));
        let realm = engine.ensure_realm(&"acme".parse().unwrap()).await.expect("a realm");
        let door = door(&engine, realm, &clock, &settings);
        let none = String::new;
        let (admin, writer, reader, nobody) = (none(), none(), none(), none());
        let vault = none();
        let api = Self {
            door,
            engine,
            audit,
            realm,
            vault,
            admin,
            writer,
            reader,
            nobody,
            clock,
            settings,
        };
        api.application("main", APPLICATION).await;
        for (name, number, bits) in [
            ("alice", "101", Status::WRITE | Status::ADMIN),
            ("walter", "102", 0),
            ("rosie", "103", 0),
            ("nobody", "104", Status::WRITE),
        ] {
            api.user(name, number, bits).await;
        }
        api
    }

    /// The door as a restart finds it: what it remembered is gone, what it stored is there.
    pub(super) fn reopened(&mut self) {
        self.door = door(&self.engine, self.realm, &self.clock, &self.settings);
    }

    pub(super) fn own_caller(&self) -> Caller {
        self.engine.system_caller(self.realm, "test").expect("a caller")
    }

    /// A user with a passphrase and one-time passwords.
    pub(super) async fn user(&self, name: &str, number: &str, bits: u64) -> PrincipalId {
        let totp = Some(SecretVec::from_vec(totp_secret(name)));
        let passphrase = SecretVec::copy_from(PASSPHRASE.as_bytes());
        let kind = NewCredentialKind::Passphrase { passphrase, totp };
        self.user_with(name, number, bits, vec![kind]).await
    }

    pub(super) async fn user_with(
        &self,
        name: &str,
        number: &str,
        bits: u64,
        kinds: Vec<NewCredentialKind>,
    ) -> PrincipalId {
        let request = CreatePrincipalRequest {
            login: Some(name.into()),
            grants: Status(bits).grants(&[]),
            attributes: BTreeMap::from([
                (USER_ID.into(), attribute(number)),
                (crate::account::STATUS.into(), attribute(&bits.to_string())),
            ]),
            ..principal(name, PrincipalKind::User, kinds)
        };
        let made = self.engine.create_principal(&self.own_caller(), request).await;
        made.expect("a user").entry.record().id
    }

    /// The key of an application.
    pub(super) async fn application(&self, name: &str, key: &str) -> PrincipalId {
        let kind = NewCredentialKind::SharedSecret {
            external: format!("{API_KEY}{name}").into(),
            secret: SecretVec::copy_from(key.as_bytes()),
        };
        let request = principal(name, PrincipalKind::ServiceAccount, vec![kind]);
        let made = self.engine.create_principal(&self.own_caller(), request).await;
        made.expect("an application").entry.record().id
    }

    /// Lets so many milliseconds pass.
    pub(super) fn pass(&self, milliseconds: u64) {
        self.clock.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// The user's one-time password, so many steps from now.
    pub(super) fn code(&self, name: &str, steps: i64) -> String {
        let step = totp_step(self.clock.now().seconds()).saturating_add_signed(steps);
        String::from_utf8(totp_code(&totp_secret(name), step).to_vec()).expect("digits")
    }

    /// What the library of Python sends.
    pub(super) fn claim(&self, name: &str) -> Value {
        json!({
            "username": name, "passphrase": PASSPHRASE, "otp": self.code(name, 0),
            "apikey": APPLICATION, "logintype": "totp",
        })
    }

    /// A token of the user.
    pub(super) async fn log_in(&self, name: &str) -> String {
        let answer = self.send(Method::POST, "/auth", &[], self.claim(name).to_string()).await;
        assert_eq!(answer.head.status, 200, "{:?}", answer.body);
        text(&body(&answer)["CALLINFO"], "token")
    }

    /// Sends a request below the version.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        self.send_to(method, &format!("/api/1.0{path}"), headers, body).await
    }

    pub(super) async fn send_to(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.door.send(request.body(body.into()).expect("well-formed")).await
    }

    pub(super) async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(Method::GET, path, &[("X-Http-Token", token)], "").await
    }

    pub(super) async fn delete(&self, token: &str, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[("X-Http-Token", token)], "").await
    }

    pub(super) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        let headers = [("X-Http-Token", token)];
        self.send(Method::POST, path, &headers, body.to_string()).await
    }

    pub(super) async fn put(&self, token: &str, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, &[("X-Http-Token", token)], body.to_string()).await
    }

    pub(super) async fn list_keys(&self, token: &str) -> Answer {
        let path = format!("/transparent/{}/keys", self.vault);
        let list = Method::from_bytes(b"LIST").unwrap();
        self.send(list, &path, &[("X-Http-Token", token)], "").await
    }

    /// The path of an operation on the key `payroll`.
    pub(super) fn path(&self, verb: &str) -> String {
        let vault = &self.vault;
        match verb {
            "key" => format!("/transparent/{vault}/keys/payroll"),
            "rotate" => format!("/transparent/{vault}/keys/payroll/rotate"),
            "rewrap" => format!("/transparent/rewrap/{vault}/payroll"),
            verb => format!("/transparent/{vault}/{verb}/payroll"),
        }
    }

    /// Makes the key `payroll`.
    pub(super) async fn key(&self, how: Value) {
        let made = self.post(&self.writer, &self.path("key"), how).await;
        assert_eq!(made.head.status, 201, "{:?}", made.body);
    }

    /// Something that the key `payroll` encrypted.
    pub(super) async fn sealed(&self) -> String {
        let plaintext = json!({ "plaintext": "aGVsbG8=" });
        let answer = self.post(&self.reader, &self.path("encrypt"), plaintext).await;
        text(&success(&answer, 200)["CALLINFO"], "ciphertext")
    }

    /// What a reader is answered who wants it decrypted.
    pub(super) async fn open(&self, ciphertext: &str) -> Answer {
        let ciphertext = json!({ "ciphertext": ciphertext });
        self.post(&self.reader, &self.path("decrypt"), ciphertext).await
    }
}

fn principal(
    name: &str,
    kind: PrincipalKind,
    kinds: Vec<NewCredentialKind>,
) -> CreatePrincipalRequest {
    let credential =
        |kind| NewCredential { name: "".into(), lifetime: None, attributes: BTreeMap::new(), kind };
    CreatePrincipalRequest {
        name: name.parse().expect("a name"),
        kind,
        login: None,
        grants: Vec::new(),
        bound_to: None,
        attributes: BTreeMap::new(),
        credentials: kinds.into_iter().map(credential).collect(),
    }
}

fn door(
    engine: &Arc<Engine>,
    realm: RealmId,
    clock: &Arc<TestClock>,
    settings: &Settings,
) -> DoorUnderTest {
    let (engine, entropy) = (engine.clone(), Arc::new(SystemEntropy));
    let door = StoredSafeDoor::open(engine, realm, clock.clone(), entropy, settings.clone());
    DoorUnderTest::new(Arc::new(door.expect("it opens")))
}

fn totp_secret(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(20).collect()
}

/// Every permission on the realm: somebody who came in by another door.
pub(super) fn everything() -> Vec<Grant> {
    let permissions = Permission::ALL.iter().copied().collect();
    vec![Grant { permissions, scope: Scope::Realm }]
}

#[track_caller]
pub(super) fn body(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&answer.body)))
}

#[track_caller]
pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}")).to_owned()
}

/// Checks everything that holds for every success, and gives the body.
#[track_caller]
pub(super) fn success(answer: &Answer, status: u16) -> Value {
    let body = body(answer);
    assert_eq!(answer.head.status.as_u16(), status, "{body}");
    assert_eq!(body["CALLINFO"]["status"], "SUCCESS");
    assert_eq!(body["CALLINFO"]["errors"], 0);
    assert_eq!(body["CALLINFO"]["errorcodes"], 0);
    assert!(body["CALLINFO"]["general"].is_array());
    assert!(body.get("ERRORS").is_none() && body.get("ERRORCODES").is_none());
    check_frame(answer, &body);
    body
}

/// Checks everything that holds for every refusal, and gives the body.
#[track_caller]
pub(super) fn failure(answer: &Answer, status: u16, why: &str) -> Value {
    let body = body(answer);
    assert_eq!(answer.head.status.as_u16(), status, "{body}");
    assert_eq!(body["ERRORS"], json!([why]), "{body}");
    assert_eq!(body["CALLINFO"]["status"], "FAIL");
    assert_eq!(body["CALLINFO"]["errors"], 1);
    assert_eq!(body["CALLINFO"]["errorcodes"], 1);
    let codes = body["ERRORCODES"].as_object().expect("an object");
    let code = match why {
        "Token invalid" => ("1200", "Token invalid"),
        "Login failed" => ("1001", "Login failed"),
        _ => ("2000", "Errormessages exists"),
    };
    assert_eq!(codes.iter().collect::<Vec<_>>(), [(&code.0.to_owned(), &json!(code.1))]);
    let reason = answer.head.headers["x-error-reason"].to_str().unwrap();
    assert!(reason.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
    check_frame(answer, &body);
    body
}

#[track_caller]
fn check_frame(answer: &Answer, body: &Value) {
    let header = |name: &str| answer.head.headers[name].to_str().unwrap();
    assert_eq!(header("content-type"), "application/json; charset=UTF-8");
    assert_eq!(header("cache-control"), "no-store");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(body["PARAMS"], json!([]));
    assert!(body["DATA"].is_object() && body["HEADERS"].is_object());
    assert!(body["CALLINFO"]["handler"].as_str().is_some_and(|name| name.ends_with("Handler")));
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

/// Remembers operations through this door, and what was said against them.
#[derive(Debug, Default)]
pub(super) struct Audit {
    events: Mutex<Vec<(&'static str, Option<String>)>>,
    /// Whether the trail takes nothing.
    pub(super) is_lost: AtomicBool,
}

impl Audit {
    /// The newest events, oldest first, since this was asked last.
    pub(super) fn take(&self) -> Vec<(&'static str, Option<String>)> {
        std::mem::take(&mut self.events.lock().expect("no test panics with it"))
    }
}

impl AuditSink for Audit {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        if self.is_lost.load(Ordering::SeqCst) { Err(AuditUnavailable) } else { Ok(()) }
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
        self.ready()?;
        if event.door == DOOR {
            let refusal = event.refusal.map(str::to_owned);
            self.events.lock().expect("no test panics with it").push((event.operation, refusal));
        }
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
