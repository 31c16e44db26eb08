//! An engine over memory: store, slot, clock and audit trail stay with the test over restarts.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::Algorithm;
use lethe_erasure::slot::{ErasableSlot, MemSlot};
use lethe_store::{MemStore, Store};
use lethe_types::{Clock, Entropy, KeyId, Permissions, UnixMillis};
use parking_lot::Mutex;

use super::mem_journal::MemJournal;
use crate::audit::{AuditEvent, AuditSink, AuditUnavailable};
use crate::record::{Grant, Scope};
use crate::{
    Caller, CreateKeyRequest, CreatePrincipalRequest, DestroyOutcome, DestroyRequest, Destroyed,
    Engine, EngineError, GuardedHead, HeadGuard, JournalPlace, KeyEntry, Parts, StartError,
};

pub(super) const DOOR: &str = "native";
pub(super) const REQUEST: [u8; 16] = [7; 16];

pub(crate) use crate::block_on::block_on as wait;

#[derive(Debug)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn set(&self, time: u64) {
        self.0.store(time, Ordering::SeqCst);
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Operation, key, refusal.
pub(crate) type Event = (String, Option<KeyId>, Option<String>);

/// The events in order; full on demand.
#[derive(Debug, Default)]
pub(crate) struct TestAudit {
    pub(crate) events: Mutex<Vec<Event>>,
    pub(crate) full: std::sync::atomic::AtomicBool,
}

impl AuditSink for TestAudit {
    fn ready(&self) -> Result<(), AuditUnavailable> {
        if self.full.load(Ordering::SeqCst) { Err(AuditUnavailable) } else { Ok(()) }
    }

    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable> {
        if self.full.load(Ordering::SeqCst) {
            return Err(AuditUnavailable);
        }
        let refusal = event.refusal.map(str::to_owned);
        self.events.lock().push((event.operation.to_owned(), event.key, refusal));
        Ok(())
    }
}

/// The newest signed head, kept in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct TestGuard(pub(super) Arc<Mutex<Option<GuardedHead>>>);

impl HeadGuard for TestGuard {
    fn load(&self) -> Result<Option<GuardedHead>, Box<dyn Error + Send + Sync>> {
        Ok(*self.0.lock())
    }

    fn keep(&mut self, head: GuardedHead) -> Result<(), Box<dyn Error + Send + Sync>> {
        *self.0.lock() = Some(head);
        Ok(())
    }
}

/// The head and the journal beside it.
struct Beside(TestGuard, MemJournal);

impl HeadGuard for Beside {
    fn load(&self) -> Result<Option<GuardedHead>, Box<dyn Error + Send + Sync>> {
        self.0.load()
    }

    fn keep(&mut self, head: GuardedHead) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.keep(head)
    }

    fn journal(&mut self) -> Option<Box<dyn JournalPlace>> {
        Some(Box::new(self.1.clone()))
    }
}

/// What outlives an engine.
pub(crate) struct World {
    pub(super) store: Arc<dyn Store>,
    pub(super) slot: MemSlot,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) audit: Arc<TestAudit>,
    pub(super) guard: TestGuard,
    pub(super) journal: MemJournal,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World(..)")
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(Arc::new(MemStore::new()))
    }

    pub(super) fn over(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            slot: MemSlot::new(),
            clock: Arc::new(TestClock(AtomicU64::new(1_790_000_000_000))),
            audit: Arc::default(),
            guard: TestGuard::default(),
            journal: MemJournal::default(),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// The same world in a copy that goes its own way. `store` is what this one's store holds.
    pub(crate) fn fork(&self, store: Arc<dyn Store>) -> Self {
        Self {
            store,
            slot: self.slot.copied(),
            clock: Arc::new(TestClock(AtomicU64::new(self.clock.now().0))),
            audit: Arc::default(),
            guard: TestGuard(Arc::new(Mutex::new(*self.guard.0.lock()))),
            journal: self.journal.copied(),
            entropy: self.entropy.clone(),
        }
    }

    pub(crate) fn start(&self) -> Engine {
        self.start_with(Box::new(self.slot.clone())).expect("the engine starts")
    }

    pub(super) fn start_with(&self, slot: Box<dyn ErasableSlot>) -> Result<Engine, StartError> {
        Engine::start(self.parts(slot))
    }

    pub(super) fn parts(&self, slot: Box<dyn ErasableSlot>) -> Parts {
        Parts {
            store: self.store.clone(),
            slot,
            guard: Box::new(Beside(self.guard.clone(), self.journal.clone())),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            audit: self.audit.clone(),
            origin: Some("lethe.test/log".to_owned()),
        }
    }
}

/// A caller with every permission in the realm of that name.
pub(super) fn admin(engine: &Engine, realm: &str) -> Caller {
    let realm = wait(engine.ensure_realm(&realm.parse().unwrap())).unwrap();
    engine.system_caller(realm, DOOR).unwrap()
}

/// A caller who signs in with a token and has these grants.
pub(super) fn principal(engine: &Engine, admin: &Caller, grants: Vec<Grant>) -> Caller {
    let request = CreatePrincipalRequest::service("someone".parse().unwrap(), grants, None);
    let new = wait(engine.create_principal(admin, request)).unwrap();
    let token = std::str::from_utf8(new.tokens[0].1.expose()).unwrap();
    engine.authenticate_bearer(DOOR, REQUEST, token).unwrap()
}

pub(super) fn on_realm(permissions: &[lethe_types::Permission]) -> Vec<Grant> {
    let permissions: Permissions = permissions.iter().copied().collect();
    vec![Grant { permissions, scope: Scope::Realm }]
}

pub(super) fn create(
    engine: &Engine,
    caller: &Caller,
    algorithm: &str,
) -> Result<Arc<KeyEntry>, EngineError> {
    let algorithm = Algorithm::from_name(algorithm).unwrap();
    let request = CreateKeyRequest::new("customer".parse().unwrap(), algorithm);
    let prepared = engine.prepare_key(caller, request)?;
    wait(engine.create_key(caller, prepared))
}

pub(super) fn destroy(
    engine: &Engine,
    caller: &Caller,
    key: KeyId,
) -> Result<Destroyed, EngineError> {
    let request = DestroyRequest { reason: "off-boarding".to_owned(), ..DestroyRequest::new(key) };
    match wait(engine.destroy_key(caller, request))? {
        DestroyOutcome::Destroyed(destroyed) => Ok(*destroyed),
        DestroyOutcome::Scheduled { .. } => panic!("scheduled"),
    }
}

pub(super) fn encrypt(
    engine: &Engine,
    caller: &Caller,
    key: KeyId,
) -> Result<Vec<u8>, EngineError> {
    let mut out = Vec::new();
    engine.encrypt(caller, key, b"a letter", b"", &mut out)?;
    Ok(out)
}

/// Whether the key opens what it sealed.
pub(super) fn works(engine: &Engine, caller: &Caller, key: KeyId, sealed: &[u8]) -> bool {
    engine.decrypt(caller, key, sealed, b"").is_ok_and(|text| text.expose() == b"a letter")
}

/// Whether the receipt holds under the engine's public key.
pub(super) fn verified(engine: &Engine, receipt: &lethe_log::Receipt) -> bool {
    let vkey = engine.log_vkey().parse().unwrap();
    lethe_verify::verify(receipt.to_proof().unwrap().as_bytes(), &vkey).is_ok()
}
