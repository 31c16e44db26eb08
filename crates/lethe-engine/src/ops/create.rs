//! Make a key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::registry::{Algorithm, Material, PublicKey, Uses};
use lethe_types::limits::{DEPENDANTS_MAX, DERIVATION_PATH_BYTES_MAX};
use lethe_types::{
    Entropy, KeyId, KeyName, KeyState, LabelName, LabelValue, RealmId, SecretVec, StableState,
    VaultId,
};
use smallvec::SmallVec;

use super::given::{GivenVersion, GivenVersions};
use super::import::{ImportSource, Opened};
use super::rules;
use super::update::{check_bounds, check_secret_names};
use super::{Planned, Touched};
use crate::authz::{self, Caller, CreateKey, ImportKey};
use crate::catalogue::KeyEntry;
use crate::committer::{self as commit, AliasHistory, Change, Committed, ImportKeyUpdate, NewKey};
use crate::idempotency::IdempotencyKey;
use crate::record::{Alias, Derivation, ImportKeyRecord, KeyRecord, OwnedSecret, Rotation};
use crate::{Engine, EngineError};

/// What a new key is to be.
#[derive(Debug)]
pub struct CreateKeyRequest {
    /// A label for people; whether it must be unique is the vault's rule.
    pub name: KeyName,
    /// What kind of key.
    pub algorithm: Algorithm,
    /// In which vault; the realm's default vault if `None`.
    pub vault: Option<VaultId>,
    /// Whether the key can be used at once, or only after it was activated.
    pub active: bool,
    /// Whether it must be lowered from protection before a destruction.
    pub protected: bool,
    /// For people and selectors.
    pub labels: BTreeMap<LabelName, LabelValue>,
    /// What doors keep with it.
    pub attributes: BTreeMap<Box<str>, Box<[u8]>>,
    /// Vendor identifiers.
    pub aliases: Vec<Alias>,
    /// Secrets that die with it, by name.
    pub secrets: Vec<(Box<str>, SecretVec)>,
    /// From which key it was derived, if it was.
    pub derivation: Option<Derivation>,
    /// Its material, if it comes from a door or from a derivation.
    pub material: Option<GivenMaterial>,
    /// All its versions, oldest first, if it comes from a backup of a door.
    pub versions: Vec<GivenVersion>,
    /// The key in a written form, if it comes from outside.
    pub import: Option<ImportSource>,
    /// What it may be used for; everything that its algorithm can if `None`.
    pub uses: Option<Uses>,
    /// Whether its material may leave the server. Never given later.
    pub exportable: bool,
    /// How often it gets a new version by itself.
    pub rotation_period: Option<Duration>,
    /// Whether that goes on while the key is suspended.
    pub rotates_suspended: bool,
    /// Whether its versions go on after those of a destroyed key that had one of its aliases, so
    /// that no version number ever means two materials.
    pub continues_versions: bool,
    /// Whether it is refused if a key that was destroyed had one of its aliases, too.
    pub fresh_aliases: bool,
    /// Makes a retry answer with the key that the first try made.
    pub idempotency: Option<IdempotencyKey>,
}

/// Material that was not drawn here.
#[derive(Debug)]
pub struct GivenMaterial {
    /// In the encoding of the algorithm (see `lethe_crypto::registry::Material`).
    pub secret: SecretVec,
    /// Whether it comes from outside, so that copies exist there; a derivation's does not.
    pub imported: bool,
}

impl CreateKeyRequest {
    /// Whether copies of its material are outside.
    fn comes_from_outside(&self) -> bool {
        self.import.is_some()
            || !self.versions.is_empty()
            || self.material.as_ref().is_some_and(|given| given.imported)
    }

    /// A key in the default vault that can be used at once and has nothing but a name.
    #[must_use]
    pub fn new(name: KeyName, algorithm: Algorithm) -> Self {
        Self {
            name,
            algorithm,
            vault: None,
            active: true,
            protected: false,
            labels: BTreeMap::new(),
            attributes: BTreeMap::new(),
            aliases: Vec::new(),
            secrets: Vec::new(),
            derivation: None,
            material: None,
            versions: Vec::new(),
            import: None,
            uses: None,
            exportable: false,
            rotation_period: None,
            rotates_suspended: false,
            continues_versions: false,
            fresh_aliases: false,
            idempotency: None,
        }
    }
}

/// An authorised request with its material made; nothing is stored yet.
#[derive(Debug)]
#[must_use]
pub struct PreparedKey {
    pub(super) step: Step,
    /// The import key that is used up with it.
    used: Option<Arc<ImportKeyRecord>>,
    idempotency: Option<IdempotencyKey>,
}

impl PreparedKey {
    /// The public half of the material that was made; `None` for a symmetric key, and for the key
    /// that an earlier try has made.
    #[must_use]
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.step {
            Step::Existing(_) => None,
            Step::New(new) => new.material.public_key(),
        }
    }

    /// Keeps a further attribute with the key, such as a form of the public key that a door has to
    /// tell after the material is gone.
    ///
    /// # Errors
    /// [`EngineError::ServerLimitExceeded`] if there is no room for it.
    pub fn keep(&mut self, name: &str, value: &[u8]) -> Result<(), EngineError> {
        match &mut self.step {
            Step::Existing(_) => Ok(()),
            Step::New(new) => {
                new.record.details_mut().attributes.insert(name.into(), value.into());
                check_bounds(&new.record)
            }
        }
    }
}

#[derive(Debug)]
pub(super) enum Step {
    Existing(Arc<KeyEntry>),
    New(Box<NewKey>),
}

/// The material that a new key begins with.
struct FirstMaterial {
    material: Material,
    /// The number of the first version.
    number: u32,
    /// Versions after it, with their numbers.
    later: Vec<(u32, Material)>,
    imported: bool,
    public_only: bool,
    /// What the log entry says of its origin.
    facts: Vec<(&'static str, String)>,
}

impl FirstMaterial {
    /// From one place, or drawn.
    fn of(
        algorithm: Algorithm,
        entropy: &dyn Entropy,
        opened: Option<Opened>,
        given: Option<GivenMaterial>,
        versions: Option<GivenVersions>,
    ) -> Result<Self, EngineError> {
        let one = |material, imported| Self {
            material,
            number: 1,
            later: Vec::new(),
            imported,
            public_only: false,
            facts: Vec::new(),
        };
        match (opened, given, versions) {
            (Some(Opened { material, public_only, facts, .. }), None, None) => {
                Ok(Self { public_only, facts, ..one(material, true) })
            }
            (None, Some(GivenMaterial { secret, imported }), None) => {
                Ok(one(algorithm.material(secret)?, imported))
            }
            (None, None, Some(GivenVersions { first: (number, material), later })) => {
                Ok(Self { number, later, ..one(material, true) })
            }
            (None, None, None) => Ok(one(algorithm.generate(entropy)?, false)),
            (Some(_) | None, _, _) => {
                let why = "comes from two places".to_owned();
                Err(EngineError::InvalidField { field: "import", why })
            }
        }
    }
}

impl Engine {
    /// Authorises the request and makes the key's material. Slow for RSA: see
    /// [`Algorithm::is_slow_to_generate`].
    ///
    /// # Errors
    /// See [`EngineError`]; a refusal is in the audit trail.
    pub fn prepare_key(
        &self,
        caller: &Caller,
        request: CreateKeyRequest,
    ) -> Result<PreparedKey, EngineError> {
        let result = self.prepare_key_unaudited(caller, request);
        if let Err(error) = &result {
            self.audit::<CreateKey>(caller, self.shared.clock.now(), None, Some(error))?;
        }
        result
    }

    pub(super) fn prepare_key_unaudited(
        &self,
        caller: &Caller,
        mut request: CreateKeyRequest,
    ) -> Result<PreparedKey, EngineError> {
        let realm = self
            .shared
            .catalogue
            .realm(caller.realm())
            .ok_or(EngineError::Internal("a caller without a realm"))?;
        let vault = request.vault.unwrap_or(realm.default_vault);
        authz::check_realm::<CreateKey>(caller, Some(vault))?;
        if request.comes_from_outside() {
            authz::check_realm::<ImportKey>(caller, Some(vault))?;
        }
        let vault = self.shared.catalogue.vault(realm.id, vault);
        let vault = vault.filter(|vault| vault.removed.is_none());
        let vault = vault.ok_or(EngineError::ItemNotFound("vault"))?;
        if let Some(entry) = self.remembered(request.idempotency.as_ref())? {
            return Ok(PreparedKey {
                step: Step::Existing(entry),
                used: None,
                idempotency: request.idempotency,
            });
        }
        let idempotency = request.idempotency.clone();
        let source = request.import.take();
        let opened = source
            .map(|source| self.open_import(realm.id, vault.id, request.algorithm, source))
            .transpose()?;
        let used = opened.as_ref().and_then(|opened| opened.used.clone());
        let new = self.new_key(caller, request, (realm.id, vault.id), opened)?;
        let policy = self.policy_of(&new.record);
        if policy.refuse_reimport && new.record.imported {
            for material in new.materials() {
                self.refuse_reimport(realm.id, new.record.algorithm, material)?;
            }
        }
        self.check_new_names(&new)?;
        self.check_derivation(caller, &new.record)?;
        Ok(PreparedKey { step: Step::New(Box::new(new)), used, idempotency })
    }

    fn new_key(
        &self,
        caller: &Caller,
        request: CreateKeyRequest,
        (realm, vault): (RealmId, VaultId),
        opened: Option<Opened>,
    ) -> Result<NewKey, EngineError> {
        let now = self.shared.clock.now();
        let entropy = &*self.shared.entropy;
        let mut salt = [0; 32];
        entropy.fill(salt.as_mut_slice())?;
        let algorithm = request.algorithm;
        let given = GivenVersions::of(algorithm, request.versions)?;
        let first = FirstMaterial::of(algorithm, entropy, opened, request.material, given)?;
        let FirstMaterial { material, number, later, imported, public_only, facts } = first;
        let mut record = KeyRecord {
            id: KeyId::random(entropy)?,
            realm,
            vault,
            name: request.name,
            algorithm,
            state: if request.active {
                KeyState::ACTIVE
            } else {
                KeyState::Stable(StableState::PreActive)
            },
            created: now,
            created_by: caller.principal(),
            changed: now,
            salt,
            aliases: request.aliases,
            versions: SmallVec::new(),
            next_version: number,
            imported,
            exported: false,
            details: None,
            destruction: None,
        };
        let history = AliasHistory {
            is_continued: request.continues_versions,
            must_be_none: request.fresh_aliases,
        };
        if history.is_continued {
            record.next_version = history.version_after(&self.shared.catalogue, &record);
        }
        check_secret_names(request.secrets.iter().map(|(name, _)| &**name))?;
        let (names, secrets): (Vec<_>, Vec<_>) = request.secrets.into_iter().unzip();
        let has_details = request.protected
            || !request.labels.is_empty()
            || !request.attributes.is_empty()
            || !names.is_empty()
            || request.derivation.is_some();
        if has_details {
            let details = record.details_mut();
            details.protected = request.protected;
            details.labels = request.labels;
            details.attributes = request.attributes;
            details.secrets = names.iter().map(|name| OwnedSecret::unsealed(name, 1)).collect();
            details.derivation = request.derivation;
        }
        let leaves = request.exportable || request.rotation_period.is_some();
        let uses = rules::uses_of((request.uses, algorithm), public_only, leaves)?;
        let period = request.rotation_period.map(rules::check_period).transpose()?;
        if uses.is_some() || request.exportable || period.is_some() {
            let life = record.life_mut();
            life.uses = uses;
            life.exportable = request.exportable;
            life.public_only = public_only;
            life.rotation = period.map(|period| Rotation {
                while_suspended: request.rotates_suspended,
                ..Rotation::begun(period, now)
            });
        }
        check_bounds(&record)?;
        Ok(NewKey { record, material, secrets, later, history, facts })
    }

    /// Whether a new key may carry its name and aliases.
    fn check_new_names(&self, new: &NewKey) -> Result<(), EngineError> {
        self.check_names(None, &new.record)?;
        if new.history.must_be_none && AliasHistory::is_there(&self.shared.catalogue, &new.record) {
            return Err(EngineError::NameTaken("the identifier"));
        }
        Ok(())
    }

    /// Whether the key's parent stands and its path was never used.
    fn check_derivation(&self, caller: &Caller, record: &KeyRecord) -> Result<(), EngineError> {
        let Some(derivation) = &record.details().derivation else { return Ok(()) };
        if derivation.path.len() > DERIVATION_PATH_BYTES_MAX {
            let why = format!("may have {DERIVATION_PATH_BYTES_MAX} bytes");
            return Err(EngineError::InvalidField { field: "path", why });
        }
        let parent = self.load(derivation.parent)?;
        let parent = parent.record();
        if parent.realm != caller.realm() {
            return Err(EngineError::ItemNotFound("key"));
        }
        if parent.state.is_destroyed() {
            return Err(EngineError::ObjectDestroyed(parent.id));
        }
        let catalogue = &self.shared.catalogue;
        if catalogue.derived(parent.id, &derivation.path).is_some() {
            return Err(EngineError::NameTaken("the derivation path"));
        }
        if catalogue.live_dependants(parent.id).len() >= DEPENDANTS_MAX {
            return Err(EngineError::ServerLimitExceeded("keys derived from one key"));
        }
        Ok(())
    }

    fn refuse_reimport(
        &self,
        realm: RealmId,
        algorithm: Algorithm,
        material: &Material,
    ) -> Result<(), EngineError> {
        let public = material.public_key().map(|public| public.spki_der());
        let digest = self.shared.fingerprint(algorithm, public, material.secret());
        match self.shared.catalogue.fingerprint(realm, &digest) {
            Some(_) => Err(EngineError::ReimportRefused),
            None => Ok(()),
        }
    }

    /// Stores a prepared key. When it returns `Ok` the key is durable and every later request sees
    /// it.
    ///
    /// # Errors
    /// See [`EngineError`]. [`EngineError::StorageUnavailable`]: the key may exist; it has no user.
    pub async fn create_key(
        &self,
        caller: &Caller,
        prepared: PreparedKey,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        let PreparedKey { step, used, idempotency } = prepared;
        let mut new = match step {
            Step::Existing(entry) => {
                let id = entry.record().id;
                self.audit::<CreateKey>(caller, self.shared.clock.now(), Some(id), None)?;
                return Ok(entry);
            }
            Step::New(new) => Some(new),
        };
        let result = self
            .change(caller, idempotency.as_ref(), |returned| {
                if let Some(entry) = self.remembered(idempotency.as_ref())? {
                    return Ok(Planned::Done(Committed::already(entry)));
                }
                // It lost to another change: to the same idempotency key, or to one that took its
                // name, its path or its vault.
                if let Some(mut change) = returned {
                    self.still_free(caller, &mut change)?;
                    return Ok(Planned::Change(change));
                }
                let new = new.take().ok_or(EngineError::Internal("a creation that vanished"))?;
                let mut steps = vec![commit::Step::CreateKey(new)];
                if let Some(seen) = used.clone() {
                    let update = ImportKeyUpdate::Gone { seen };
                    steps.push(commit::Step::PutImportKey(Box::new(update)));
                }
                Ok(Planned::Change(Change::all(steps)))
            })
            .await;
        let now = self.shared.clock.now();
        match result {
            Ok(committed) => {
                let entry = committed.key().cloned();
                let entry = entry.ok_or(EngineError::Internal("a creation without a key"))?;
                let (key, log_index) = (Some(entry.record().id), committed.log_index());
                let touched = Touched { key, log_index, ..Touched::default() };
                self.audit_done::<CreateKey>(caller, now, touched);
                Ok(entry)
            }
            Err(error) => {
                self.audit::<CreateKey>(caller, now, None, Some(&error))?;
                Err(error)
            }
        }
    }

    /// Whether what a creation wants is still to be had.
    pub(super) fn still_free(
        &self,
        caller: &Caller,
        change: &mut Change,
    ) -> Result<(), EngineError> {
        for step in &mut change.steps {
            if let commit::Step::CreateKey(new) = step {
                let vault = self.shared.catalogue.vault(new.record.realm, new.record.vault);
                if vault.is_none_or(|vault| vault.removed.is_some()) {
                    return Err(EngineError::ItemNotFound("vault"));
                }
                self.check_new_names(new)?;
                self.check_derivation(caller, &new.record)?;
                if new.history.is_continued {
                    let catalogue = &self.shared.catalogue;
                    new.record.next_version = new.history.version_after(catalogue, &new.record);
                }
            }
            if let commit::Step::PutImportKey(update) = step {
                // Somebody else used it, or its time is over.
                let known = self.shared.catalogue.import_key(caller.realm(), update.record().id);
                known.ok_or(EngineError::ItemNotFound("import key"))?;
            }
        }
        Ok(())
    }

    pub(super) fn remembered(
        &self,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<Option<Arc<KeyEntry>>, EngineError> {
        let Some(idempotency) = idempotency else { return Ok(None) };
        let key = self.shared.idempotency.find(idempotency, self.shared.clock.now())?;
        Ok(key.and_then(|key| self.shared.catalogue.key(key)))
    }
}
