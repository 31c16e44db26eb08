//! What all handlers share, and who a request comes from.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_engine::{Caller, Engine, EngineError, KeyEntry};
use lethe_http::RequestHead;
use lethe_types::{Clock, Entropy, KeyId, RealmId, SecretVec, UnixMillis, VaultId};
use parking_lot::{Mutex, RwLock};

use crate::boot::Boot;
use crate::broker::Broker;
use crate::device::{self, Device};
use crate::error::Failure;
use crate::event::{Actor, Ended, Event, Kind};
use crate::index::Descriptions;
use crate::journal::{Journal, StoredBoot};
use crate::key::Key;
use crate::kid::Kid;
use crate::scope::Scope;
use crate::settings::Settings;
use crate::throttle::Throttle;
use crate::{DOOR, b64, wipe};

/// Most keys whose deletion is remembered for the sake of tokens that are still good.
const DELETED_KEYS_MAX: usize = 65_536;

/// What all handlers share.
pub(crate) struct State {
    pub(crate) engine: Arc<Engine>,
    pub(crate) realm: RealmId,
    /// The vault of the keys that clients see.
    pub(crate) vault: VaultId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(crate) own: Caller,
    pub(crate) journal: Journal,
    pub(crate) throttle: Throttle,
    pub(crate) broker: Broker,
    device: RwLock<Arc<Device>>,
    boot: RwLock<Arc<Boot>>,
    /// The keys of authenticators, each with the identifier of its pairing.
    pub(crate) pairings: Mutex<BTreeMap<Kid, [u8; 32]>>,
    /// Keys by how their descriptions begin.
    pub(crate) descriptions: Descriptions,
    revoked: Mutex<Revoked>,
    /// Bits of the fail state that were set by hand.
    fault: Mutex<u32>,
    pub(crate) last_selftest: Mutex<Option<(u64, u32)>>,
    /// How long logins would have waited.
    #[cfg(test)]
    pub(crate) slept: Mutex<Vec<core::time::Duration>>,
}

/// Tokens that are worth nothing although they are not over: those before a number.
#[derive(Default)]
struct Revoked {
    /// Of a role or an authenticator, by what `sub` says.
    holders: BTreeMap<String, u64>,
    /// For uses of a key that was deleted, once another one has its identifier.
    keys: BTreeMap<Kid, (u64, UnixMillis)>,
}

/// Bit of the fail state: data integrity.
const FAULT_DATA: u32 = 0x08;
/// Bit of the fail state: shut down.
const FAULT_SHUT_DOWN: u32 = 0x80;

/// Who a session belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    User,
    Master,
    External(Kid),
}

impl Holder {
    pub(crate) fn actor(self) -> Actor {
        match self {
            Self::User => Actor::User,
            Self::Master => Actor::Master,
            Self::External(kid) => Actor::External(kid),
        }
    }

    /// The `sub` of its tokens.
    pub(crate) fn sub(self) -> String {
        match self {
            Self::User => "U".to_owned(),
            Self::Master => "M".to_owned(),
            Self::External(kid) => b64::encode(&kid.0),
        }
    }

    fn parse(sub: &str) -> Option<Self> {
        match sub {
            "U" => Some(Self::User),
            "M" => Some(Self::Master),
            _ => b64::decode_array(sub).map(|kid| Self::External(Kid(kid))),
        }
    }
}

/// Somebody who proved who they are.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) holder: Holder,
    pub(crate) scope: Scope,
    /// With what the scope opens.
    pub(crate) caller: Caller,
    /// With everything that the role may do: for what the door decides.
    pub(crate) unbounded: Caller,
}

/// What the state is made of.
pub(crate) struct Parts {
    pub(crate) engine: Arc<Engine>,
    pub(crate) realm: RealmId,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    /// Private keys of published vectors, for the identity and for logins.
    pub(crate) seeds: (Option<[u8; 32]>, Option<[u8; 32]>),
}

impl State {
    /// Opens the device and starts it. Blocks for reads of the store.
    pub(crate) async fn open(parts: Parts) -> Result<Self, EngineError> {
        let Parts { engine, realm, clock, entropy, settings, seeds } = parts;
        let own = engine.system_caller(realm, DOOR)?;
        let vault = engine.read_realm(&own)?.default_vault;
        device::open(&engine, &own, &*entropy, seeds.0.as_ref()).await?;
        // Whoever cannot end its wipe opens, and says so.
        let wiped = wipe::end(&engine, (&own, &own), &*entropy, vault).await;
        let device = device::load(&engine, &own)?;
        device::drop_leftovers(&engine, &own, &device).await?;
        let journal = Journal::open(Arc::clone(&engine), own.clone(), Arc::clone(&clock))?;
        let boot = start(&engine, &own, &journal, (&clock, &*entropy), &device, seeds.1).await?;
        let state = Self {
            engine,
            realm,
            vault,
            clock,
            entropy,
            settings,
            own,
            journal,
            throttle: Throttle::default(),
            broker: Broker::default(),
            device: RwLock::new(Arc::new(device)),
            boot: RwLock::new(Arc::new(boot)),
            pairings: Mutex::default(),
            descriptions: Descriptions::default(),
            revoked: Mutex::default(),
            fault: Mutex::new(if wiped.is_ok() { 0 } else { FAULT_DATA }),
            last_selftest: Mutex::default(),
            #[cfg(test)]
            slept: Mutex::default(),
        };
        state.find_pairings()?;
        state.tell_start();
        Ok(state)
    }

    pub(crate) fn device(&self) -> Arc<Device> {
        Arc::clone(&self.device.read())
    }

    pub(crate) fn boot(&self) -> Arc<Boot> {
        Arc::clone(&self.boot.read())
    }

    /// Reads what is kept of the device anew. Blocks for a read of the store.
    pub(crate) fn reload(&self) -> Result<Arc<Device>, EngineError> {
        let device = Arc::new(device::load(&self.engine, &self.own)?);
        *self.device.write() = Arc::clone(&device);
        Ok(device)
    }

    /// Starts the device anew: other keys for logins and tokens, another log.
    pub(crate) async fn restart(&self) -> Result<(), EngineError> {
        let (engine, own) = (&self.engine, &self.own);
        wipe::end(engine, (own, own), &*self.entropy, self.vault).await?;
        let device = self.reload()?;
        device::drop_leftovers(engine, own, &device).await?;
        let with = (&self.clock, &*self.entropy);
        let boot = start(engine, own, &self.journal, with, &device, None).await?;
        *self.boot.write() = Arc::new(boot);
        *self.revoked.lock() = Revoked::default();
        self.broker.clear();
        *self.fault.lock() = 0;
        self.descriptions.clear();
        self.find_pairings()?;
        self.tell_start();
        Ok(())
    }

    fn tell_start(&self) {
        self.journal.tell(&Event::new(Kind::STARTUP, Ended::Ok, Actor::Nobody));
        self.journal.tell(&Event::new(Kind::SELFTEST_PASSED, Ended::Ok, Actor::Nobody));
    }

    /// The bits of the fail state; 0 if all is well.
    pub(crate) fn fail_state(&self) -> u32 {
        let data = if self.engine.ready().is_err() { FAULT_DATA } else { 0 };
        *self.fault.lock() | data
    }

    #[cfg(test)]
    pub(crate) fn set_fault(&self, bits: u32) {
        *self.fault.lock() = bits;
    }

    /// Wipes the device, for `caller`: it belongs to nobody afterwards.
    ///
    /// # Errors
    /// The engine's: nothing is done if it could not be begun. One that could not be ended leaves
    /// the fail state; a restart ends it.
    pub(crate) async fn wipe(&self, caller: &Caller) -> Result<(), EngineError> {
        let (engine, own) = (&self.engine, &self.own);
        wipe::begin(engine, caller, self.vault, &self.device()).await?;
        // Nobody makes or uses a key from here on.
        *self.fault.lock() |= FAULT_DATA;
        wipe::end(engine, (own, caller), &*self.entropy, self.vault).await?;
        self.restart().await
    }

    pub(crate) fn shut_down(&self) {
        *self.fault.lock() |= FAULT_SHUT_DOWN;
    }

    /// # Errors
    /// [`Failure::WrongState`] unless the device is initialised and well.
    pub(crate) fn check_ready(&self) -> Result<(), Failure> {
        let is_ready = self.device().config().is_some() && self.fail_state() == 0;
        if is_ready { Ok(()) } else { Err(Failure::WrongState) }
    }

    /// The live key of that identifier.
    pub(crate) fn key(&self, kid: Kid) -> Option<Key> {
        self.entry(kid).and_then(Key::of)
    }

    /// The same as the engine has it.
    pub(crate) fn entry(&self, kid: Kid) -> Option<Arc<KeyEntry>> {
        let entry = self.engine.key_with_alias(self.realm, DOOR, &kid.to_string())?;
        (!entry.record().state.is_destroyed()).then_some(entry)
    }

    /// Whether a key that is gone had the identifier.
    pub(crate) fn was_deleted(&self, kid: Kid) -> bool {
        let entry = self.engine.key_with_alias(self.realm, DOOR, &kid.to_string());
        entry.is_some_and(|entry| entry.record().state.is_destroyed())
    }

    /// Calls `see` with every key, oldest first, until it returns `false`.
    pub(crate) fn each_entry(
        &self,
        caller: &Caller,
        mut see: impl FnMut(&Arc<KeyEntry>) -> bool,
    ) -> Result<(), EngineError> {
        let most = lethe_types::limits::PAGE_KEYS_MAX;
        let mut from = 0;
        loop {
            let page = self.page(caller, from, most)?;
            if !page.iter().all(&mut see) || page.len() < most {
                return Ok(());
            }
            from += page.len();
        }
    }

    /// Keys of clients from the place `from` on, in the order in which they were made.
    pub(crate) fn page(
        &self,
        caller: &Caller,
        from: usize,
        limit: usize,
    ) -> Result<Vec<Arc<KeyEntry>>, EngineError> {
        let page = self.engine.numbered_keys(caller, self.vault, from, limit)?;
        let mut keys = page.keys;
        keys.sort_by_key(|entry| (entry.record().created, entry.record().id));
        let start = page.before.min(keys.len());
        Ok(keys.drain(start..).take(limit).collect())
    }

    /// How many keys of clients there are.
    pub(crate) fn key_count(&self) -> u64 {
        self.engine.live_keys_in(self.vault)
    }

    /// Looks at every key for what is kept of them in memory.
    fn find_pairings(&self) -> Result<(), EngineError> {
        let mut found = BTreeMap::new();
        self.each_entry(&self.own, |entry| {
            let Some(key) = Key::of(Arc::clone(entry)) else { return true };
            if let Some(pid) = key.pairing_id()
                && self.engine.holder_of(self.realm, &external_of(key.kid)).is_some()
            {
                found.insert(key.kid, pid);
            }
            self.descriptions.insert(&key);
            true
        })?;
        *self.pairings.lock() = found;
        Ok(())
    }

    /// The secret that the device's identity and `peer` agree on.
    pub(crate) fn agree(&self, peer: &[u8; 32]) -> Result<SecretVec, EngineError> {
        self.engine.agree(&self.own, self.device().eid, peer)
    }

    /// Who a request comes from; `None` if it does not say.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] for whatever is not a token that is good now.
    pub(crate) fn session(&self, head: &RequestHead) -> Result<Option<Session>, Failure> {
        let mut sent = head.headers.get_all(http::header::AUTHORIZATION).iter();
        let Some(value) = sent.next() else { return Ok(None) };
        let token = value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        let found = match (token, sent.next()) {
            (Some(token), None) => self.find_session(token, head),
            (_, Some(_)) | (None, None) => None,
        };
        found.map(Some).ok_or(Failure::Unauthorized)
    }

    fn find_session(&self, token: &str, head: &RequestHead) -> Option<Session> {
        let boot = self.boot();
        let (claims, number) = boot.open_token(token, self.clock.now())?;
        let scope = Scope::parse(&claims.scope)?;
        let holder = Holder::parse(&claims.sub)?;
        if self.is_revoked(&claims.sub, &scope, number) {
            return None;
        }
        let device = self.device();
        let (principal, credential) = match holder {
            Holder::User => device.user.as_ref().map(|role| (role.principal, role.credential)),
            Holder::Master => device.master.as_ref().map(|role| (role.principal, role.credential)),
            Holder::External(kid) => self.engine.holder_of(self.realm, &external_of(kid)),
        }?;
        let request = head.request_id.to_bytes();
        let caller =
            self.engine.caller_of(self.realm, principal, Some(credential), DOOR, request).ok()?;
        let bounded = caller.clone().bounded(scope.permissions(), None);
        Some(Session { holder, scope, caller: bounded, unbounded: caller })
    }

    fn is_revoked(&self, sub: &str, scope: &Scope, number: u64) -> bool {
        let revoked = self.revoked.lock();
        if revoked.holders.get(sub).is_some_and(|before| number < *before) {
            return true;
        }
        let kid = scope.used_key().and_then(Kid::parse);
        let Some(kid) = kid else { return false };
        let is_older = revoked.keys.get(&kid).is_some_and(|(before, _)| number < *before);
        drop(revoked);
        // Without a new key the operation says that there is none, as the device does.
        is_older && self.key(kid).is_some()
    }

    /// Every token that the holder has is worth nothing from now on.
    pub(crate) fn revoke_holder(&self, holder: Holder) {
        let before = self.boot().tokens_before();
        self.revoked.lock().holders.insert(holder.sub(), before);
    }

    /// The tokens for uses of a key that was deleted are worth nothing for another key that gets
    /// its identifier.
    pub(crate) fn revoke_uses(&self, kid: Kid) {
        let (before, now) = (self.boot().tokens_before(), self.clock.now());
        let mut revoked = self.revoked.lock();
        if revoked.keys.len() >= DELETED_KEYS_MAX {
            let lifetime = self.settings.max_token_lifetime;
            revoked.keys.retain(|_, (_, at)| now.since(*at) <= lifetime);
        }
        // With so many deletions in a token's life the oldest is forgotten.
        if revoked.keys.len() >= DELETED_KEYS_MAX {
            let oldest = revoked.keys.iter().min_by_key(|(_, (_, at))| *at).map(|(kid, _)| *kid);
            oldest.map(|kid| revoked.keys.remove(&kid));
        }
        revoked.keys.insert(kid, (before, now));
    }

    /// The key of the engine that has the identifier, for those that ask for no type.
    pub(crate) fn id_of(&self, kid: Kid) -> Option<KeyId> {
        self.key(kid).map(|key| key.entry.record().id)
    }
}

/// The name of an authenticator's credential.
pub(crate) fn external_of(kid: Kid) -> String {
    format!("encedo.external.{kid}")
}

/// Begins a log, with a key for its MACs that the device signs.
async fn start(
    engine: &Engine,
    own: &Caller,
    journal: &Journal,
    (clock, entropy): (&Arc<dyn Clock>, &dyn Entropy),
    device: &Device,
    spk: Option<[u8; 32]>,
) -> Result<Boot, EngineError> {
    let now = clock.now();
    journal.forget_oldest().await?;
    let newest = journal.logs()?.last().and_then(|log| u64::from_str_radix(log, 16).ok());
    // Two starts within a second have names of their own.
    let number = newest.map_or(now.seconds(), |newest| now.seconds().max(newest + 1));
    let log = format!("{:08x}", number & 0xffff_ffff);
    let mut key = [0; 32];
    entropy.fill(&mut key)?;
    let (_, signature) = engine.sign(own, device.eid_sign, None, &key)?;
    let stored = StoredBoot {
        mac_key: b64::encode(&key),
        signature: b64::encode(&signature),
        started: now.seconds(),
    };
    journal.begin(&log, &stored).await?;
    Boot::new(entropy, log, clock.monotonic(), spk.as_ref())
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
