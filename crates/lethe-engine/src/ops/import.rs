//! Bring a key in: as it is, or wrapped for an import key, a key pair of the server's own that is
//! good for one import and dies with it.

use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::CryptoError;
use lethe_crypto::registry::{Algorithm, KeyFormat, Material, PublicFormat};
use lethe_crypto::transport::{self, TransportScheme};
use lethe_types::limits::{IMPORT_KEY_LIFETIME_DEFAULT, IMPORT_KEY_LIFETIME_MAX, IMPORT_KEYS_MAX};
use lethe_types::{ImportKeyId, RealmId, SecretVec, VaultId};

use super::{Planned, Touched};
use crate::authz::{self, Caller, MakeImportKey, Operation, ReadImportKey, RemoveImportKey};
use crate::block_on::block_on;
use crate::committer::{Change, ImportKeyUpdate, Step};
use crate::record::{ImportKeyRecord, OwnedSecret};
use crate::{Engine, EngineError};

/// Expired import keys that one round of the caretaker removes.
const EXPIRED_AT_ONCE: usize = 256;

/// What the private half of an import key is called in its record.
const PRIVATE: &str = "private";

/// What an import key is to be.
#[derive(Clone, Debug)]
pub struct ImportKeyRequest {
    /// What kind of key pair: X25519 for HPKE, or RSA of 3,072 or 4,096 bits.
    pub algorithm: Algorithm,
    /// The vault into which the key is to go; the realm's default vault if `None`.
    pub vault: Option<VaultId>,
    /// How long it is good for; [`IMPORT_KEY_LIFETIME_DEFAULT`] if `None`.
    pub lifetime: Option<Duration>,
}

/// A key that comes from outside.
#[derive(Debug)]
pub enum ImportSource {
    /// As it is.
    Plain {
        /// In which form.
        format: KeyFormat,
        /// The key.
        key: SecretVec,
    },
    /// Wrapped for an import key, which is used up with it.
    Wrapped {
        /// For which.
        import_key: ImportKeyId,
        /// In which form the key inside is.
        format: KeyFormat,
        /// See [`lethe_crypto::transport`]; `info` is [`ImportKeyRecord::info`].
        wrapped: Vec<u8>,
    },
    /// A public key alone, whose private half is elsewhere: it verifies or encapsulates, and is
    /// there to be agreed with. What may be done with it is not asked of the request.
    Public {
        /// In which form.
        format: PublicFormat,
        /// The key.
        key: Vec<u8>,
    },
}

/// A key that came from outside and was opened.
pub(super) struct Opened {
    pub(super) material: Material,
    /// The import key that is used up with it.
    pub(super) used: Option<Arc<ImportKeyRecord>>,
    /// Whether it is a public key alone.
    pub(super) public_only: bool,
    /// For the log.
    pub(super) facts: Vec<(&'static str, String)>,
}

impl Engine {
    /// Makes an import key. Slow for RSA: see [`Algorithm::is_slow_to_generate`].
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for an algorithm that keys do not travel under, or a lifetime
    /// out of bounds; [`EngineError::ServerLimitExceeded`] if the realm has too many.
    pub async fn make_import_key(
        &self,
        caller: &Caller,
        request: &ImportKeyRequest,
    ) -> Result<Arc<ImportKeyRecord>, EngineError> {
        let id = ImportKeyId::random(&*self.shared.entropy)?;
        let result = self.make_import_key_unaudited(caller, request, id).await;
        self.told::<MakeImportKey>(caller, id, result.as_ref().err())?;
        result
    }

    async fn make_import_key_unaudited(
        &self,
        caller: &Caller,
        request: &ImportKeyRequest,
        id: ImportKeyId,
    ) -> Result<Arc<ImportKeyRecord>, EngineError> {
        let realm = self.shared.catalogue.realm(caller.realm());
        let realm = realm.ok_or(EngineError::Internal("a caller without a realm"))?;
        let vault = request.vault.unwrap_or(realm.default_vault);
        authz::check_realm::<MakeImportKey>(caller, Some(vault))?;
        let known = self.shared.catalogue.vault(realm.id, vault);
        known.filter(|vault| vault.removed.is_none()).ok_or(EngineError::ItemNotFound("vault"))?;
        check_algorithm(request.algorithm)?;
        let lifetime = check_lifetime(request.lifetime)?;
        let mut material = Some(request.algorithm.generate(&*self.shared.entropy)?);
        let plan = |returned: Option<Box<Change>>| {
            self.check_room_for_import_keys(realm.id)?;
            if let Some(change) = returned {
                return Ok(Planned::Change(change));
            }
            let material = material.take();
            let material = material.ok_or(EngineError::Internal("an import key that vanished"))?;
            let (private, public) = material.into_parts();
            let public =
                public.ok_or(EngineError::Internal("an import key without a public key"))?;
            let now = self.shared.clock.now();
            let record = ImportKeyRecord {
                id,
                realm: realm.id,
                vault,
                algorithm: request.algorithm,
                public_key_der: public.spki_der().into(),
                created: now,
                created_by: caller.principal(),
                expires: now.saturating_add(lifetime),
                secret: OwnedSecret::unsealed(PRIVATE, 1),
            };
            let update = ImportKeyUpdate::Made { record, private };
            Ok(Planned::Change(Change::one(Step::PutImportKey(Box::new(update)))))
        };
        self.change(caller, None, plan).await?;
        let made = self.shared.catalogue.import_key(realm.id, id);
        // Nobody else knows its name yet.
        made.ok_or(EngineError::Internal("an import key that vanished"))
    }

    fn check_room_for_import_keys(&self, realm: RealmId) -> Result<(), EngineError> {
        let all = self.shared.catalogue.import_keys();
        if all.iter().filter(|key| key.realm == realm).count() < IMPORT_KEYS_MAX {
            Ok(())
        } else {
            Err(EngineError::ServerLimitExceeded("import keys of one realm"))
        }
    }

    /// An import key that was neither used nor is over.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::PermissionDenied`].
    pub fn read_import_key(
        &self,
        caller: &Caller,
        id: ImportKeyId,
    ) -> Result<Arc<ImportKeyRecord>, EngineError> {
        let result = self.find_import_key::<ReadImportKey>(caller, id);
        self.told::<ReadImportKey>(caller, id, result.as_ref().err())?;
        result
    }

    /// Removes an import key before its time.
    ///
    /// # Errors
    /// As [`Engine::read_import_key`].
    pub async fn remove_import_key(
        &self,
        caller: &Caller,
        id: ImportKeyId,
    ) -> Result<Arc<ImportKeyRecord>, EngineError> {
        let mut gone = None;
        let plan = |_| {
            let seen = self.find_import_key::<RemoveImportKey>(caller, id)?;
            gone = Some(seen.clone());
            let update = ImportKeyUpdate::Gone { seen };
            Ok(Planned::Change(Change::one(Step::PutImportKey(Box::new(update)))))
        };
        let result = self.change(caller, None, plan).await;
        self.told::<RemoveImportKey>(caller, id, result.as_ref().err())?;
        result?;
        gone.ok_or(EngineError::Internal("an import key that vanished"))
    }

    fn find_import_key<Op: Operation>(
        &self,
        caller: &Caller,
        id: ImportKeyId,
    ) -> Result<Arc<ImportKeyRecord>, EngineError> {
        let found = self.live_import_key(caller.realm(), id);
        let vault = found.as_ref().ok().map(|record| record.vault);
        authz::check_realm::<Op>(caller, vault)?;
        found
    }

    /// One that is used, over or never was is not there: nobody is told which.
    fn live_import_key(
        &self,
        realm: RealmId,
        id: ImportKeyId,
    ) -> Result<Arc<ImportKeyRecord>, EngineError> {
        let now = self.shared.clock.now();
        let found = self.shared.catalogue.import_key(realm, id);
        found.filter(|record| now < record.expires).ok_or(EngineError::ItemNotFound("import key"))
    }

    fn told<Op: Operation>(
        &self,
        caller: &Caller,
        id: ImportKeyId,
        refusal: Option<&EngineError>,
    ) -> Result<(), EngineError> {
        let touched = Touched { subject: Some(id.0), ..Touched::default() };
        let now = self.shared.clock.now();
        match refusal {
            Some(_) => self.record::<Op>(caller, now, touched, refusal),
            None => {
                self.audit_done::<Op>(caller, now, touched);
                Ok(())
            }
        }
    }

    /// The material of a key from outside that is to become one of `algorithm` in `vault`.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] for an import key that is not there;
    /// [`EngineError::CryptographicFailure`] for what was not wrapped for it;
    /// [`EngineError::InvalidField`] for what is not one key of the algorithm in that form.
    pub(super) fn open_import(
        &self,
        realm: RealmId,
        vault: VaultId,
        algorithm: Algorithm,
        source: ImportSource,
    ) -> Result<Opened, EngineError> {
        let (format, key, used) = match source {
            ImportSource::Plain { format, key } => (format, key, None),
            ImportSource::Public { format, key } => {
                let material = algorithm.public_material(format, &key).map_err(not_a_key)?;
                let facts = vec![("format", format.as_str().to_owned())];
                return Ok(Opened { material, used: None, public_only: true, facts });
            }
            ImportSource::Wrapped { import_key, format, wrapped } => {
                let record = self.live_import_key(realm, import_key)?;
                if record.vault != vault {
                    let why = "is not the vault that the import key was made for".to_owned();
                    return Err(EngineError::InvalidField { field: "vault", why });
                }
                let private = self.import_private(&record)?;
                let info = record.info();
                let key = transport::open(record.algorithm, &private, &info, &wrapped)?;
                (format, key, Some(record))
            }
        };
        let material = algorithm.import(format, key.expose()).map_err(not_a_key)?;
        let scheme = used.as_ref().and_then(|record| TransportScheme::of(record.algorithm));
        let wrapping = scheme.map_or("none", TransportScheme::as_str);
        let facts = vec![("format", format.as_str().to_owned()), ("wrapping", wrapping.to_owned())];
        Ok(Opened { material, used, public_only: false, facts })
    }

    fn import_private(&self, record: &ImportKeyRecord) -> Result<SecretVec, EngineError> {
        let gone = || EngineError::ItemNotFound("import key");
        let (shared, secret) = (&self.shared, &record.secret);
        let record_key = shared.tree.read().record_key(secret.leaf);
        let record_key =
            record_key.map_err(|_| EngineError::Internal("the erasure tree does not open"))?;
        let record_key = record_key.ok_or_else(gone)?;
        crate::seal::open_secret(shared.tree_id, record.id.0, secret, &record_key).ok_or_else(gone)
    }

    /// Removes import keys whose time is over. What fails is found again in the next round; until
    /// then they open nothing.
    pub(crate) fn remove_expired_import_keys(&self) {
        let now = self.shared.clock.now();
        let all = self.shared.catalogue.import_keys().into_iter();
        for seen in all.filter(|key| key.expires <= now).take(EXPIRED_AT_ONCE) {
            let update = ImportKeyUpdate::Gone { seen };
            let steps = vec![Step::PutImportKey(Box::new(update))];
            let change = Change { steps, receipts: false };
            if block_on(self.submit_as_system(change)).is_err() {
                return;
            }
        }
    }
}

fn not_a_key(error: CryptoError) -> EngineError {
    match error {
        CryptoError::Invalid(_) | CryptoError::Unsupported(_) => {
            EngineError::InvalidField { field: "import", why: error.to_string() }
        }
        CryptoError::Authentication | CryptoError::Entropy | CryptoError::Library(_) => {
            error.into()
        }
    }
}

/// X25519, or RSA of a strength that outlives what it carries.
fn check_algorithm(algorithm: Algorithm) -> Result<(), EngineError> {
    let travels = TransportScheme::of(algorithm).is_some();
    if travels && algorithm.strength_bits() >= 128 {
        return Ok(());
    }
    let why = "must be x25519, rsa-3072 or rsa-4096".to_owned();
    Err(EngineError::InvalidField { field: "algorithm", why })
}

fn check_lifetime(lifetime: Option<Duration>) -> Result<Duration, EngineError> {
    let lifetime = lifetime.unwrap_or(IMPORT_KEY_LIFETIME_DEFAULT);
    if !lifetime.is_zero() && lifetime <= IMPORT_KEY_LIFETIME_MAX {
        return Ok(lifetime);
    }
    let days = IMPORT_KEY_LIFETIME_MAX.as_secs() / 86_400;
    let why = format!("must be more than nothing and at most {days} days");
    Err(EngineError::InvalidField { field: "lifetime", why })
}
