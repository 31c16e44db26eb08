//! Take a key's material out: wrapped for somebody's public key, or, where realm or door allow it,
//! in the clear. Either leaves a mark that stays for ever, and an entry in the log.
//!
//! The mark is durable before anybody holds the material: a crash in between leaves a mark without
//! an export, never the other way round.

use std::sync::Arc;

use lethe_crypto::CryptoError;
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::{Algorithm, DerivationPath, KeyFormat};
use lethe_crypto::transport::{Recipient, TransportScheme};
use lethe_log::{EntryType, Hash};
use lethe_store::Revision;
use lethe_types::{KeyId, SecretVec};

use super::{Planned, Touched};
use crate::authz::{self, Caller, ExportKey, UpdateRealmRules};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Committed, KeyUpdate, Preconditions, Step};
use crate::record::{FirstExport, KeyRecord, KeyVersion, RealmRecord};
use crate::{Engine, EngineError, lifecycle, versions};

/// What is to leave, and how.
#[derive(Debug)]
pub struct ExportRequest {
    /// The key.
    pub key: KeyId,
    /// Which version; the current one if `None`.
    pub version: Option<u32>,
    /// In which form the key is, inside the wrapping if there is one.
    pub format: KeyFormat,
    /// For whom.
    pub to: ExportTo,
    /// The revision that the caller saw, if it cares.
    pub expected: Option<Revision>,
}

/// For whom material leaves.
#[derive(Debug)]
pub enum ExportTo {
    /// For whoever holds the private half of this public key, in DER (RFC 5280): X25519 (HPKE) or
    /// RSA (OAEP and AES-KWP).
    PublicKey(Vec<u8>),
    /// For the caller, in the clear.
    Caller(PlainExport),
    /// As for the caller, and without what the key derives others by: as a key of this algorithm,
    /// which is one that it could derive.
    CallerWithoutChainCode(PlainExport, Algorithm),
}

impl ExportTo {
    /// What leaves, if it is not all of the material.
    fn alone(&self) -> Option<Algorithm> {
        match self {
            Self::PublicKey(_) | Self::Caller(_) => None,
            Self::CallerWithoutChainCode(_, algorithm) => Some(*algorithm),
        }
    }
}

/// Who says that material may leave in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainExport {
    /// The door: its own setting allows it.
    AllowedByDoor,
    /// The realm, if it does: [`RealmRecord::plain_export`].
    IfRealmAllows,
}

/// Material that left.
#[derive(Debug)]
pub struct Exported {
    /// The key, with its mark.
    pub entry: Arc<KeyEntry>,
    /// Which version it is.
    pub version: u32,
    /// How it is wrapped; `None` if it is not.
    pub wrapping: Option<TransportScheme>,
    /// What HPKE binds it to (`info` of RFC 9180): who opens it needs the same. Empty otherwise.
    pub info: Vec<u8>,
    /// The material, wrapped or not.
    pub material: SecretVec,
}

impl Engine {
    /// Exports one version of a key.
    ///
    /// # Errors
    /// [`EngineError::ExportRefused`] if the key is not exportable, or in the clear where nobody
    /// allows that; [`EngineError::InvalidField`] for a form that the algorithm does not have or a
    /// public key that is none; as for decryption with the key otherwise.
    pub async fn export_key(
        &self,
        caller: &Caller,
        request: &ExportRequest,
    ) -> Result<Exported, EngineError> {
        let mut out = None;
        let entry = self
            .change_key::<ExportKey>(caller, request.key, |seen| {
                lifecycle::expect_revision(seen, request.expected)?;
                let leaving = self.leaving(seen, request)?;
                // Whoever takes the realm's leave back meanwhile is not passed by.
                let under = Some(self.under(seen.record()));
                let mut record = seen.record().clone();
                self.mark_exported(&mut record, caller);
                let wrapping = leaving.wrapping.map_or("none", TransportScheme::as_str);
                let mut facts = vec![
                    ("format", request.format.as_str().to_owned()),
                    ("version", leaving.version.to_string()),
                    ("wrapping", wrapping.to_owned()),
                ];
                if let ExportTo::PublicKey(der) = &request.to {
                    facts.push(("recipient_sha256", Hash(sha256(&[der])).to_string()));
                }
                out = Some(leaving);
                let update = KeyUpdate {
                    seen: seen.clone(),
                    record,
                    kind: EntryType::KeyExported,
                    facts,
                    secrets: Vec::new(),
                    preconditions: Preconditions { under, ..Preconditions::default() },
                };
                Ok(Some(Change::one(Step::UpdateKey(Box::new(update)))))
            })
            .await?;
        let leaving = out.ok_or(EngineError::Internal("an export without material"))?;
        let Leaving { version, wrapping, info, material } = leaving;
        Ok(Exported { entry, version, wrapping, info, material })
    }

    fn leaving(
        &self,
        entry: &Arc<KeyEntry>,
        request: &ExportRequest,
    ) -> Result<Leaving, EngineError> {
        let record = entry.record();
        if !record.state.may_process() {
            let (state, operation) = (record.state, "export");
            return Err(EngineError::WrongStateForUse { state, operation });
        }
        if entry.is_closing() {
            return Err(EngineError::DestructionInProgress(record.id));
        }
        if !record.life().exportable {
            return Err(EngineError::ExportRefused("the key was not made exportable"));
        }
        let version = version_to_export(entry, request.version)?;
        let material = self.shared.material(record, version)?;
        let field = "format";
        let (algorithm, material) = match request.to.alone() {
            Some(alone) => {
                let itself = DerivationPath::default();
                let key = record.algorithm.derive_child_as(&material, &itself, alone);
                let key = key.map_err(|error| refused_field(error, "algorithm"))?;
                (alone, key.into_parts().0)
            }
            None => (record.algorithm, material),
        };
        let material = algorithm.export(&material, request.format);
        let material = material.map_err(|error| refused_field(error, field))?;
        match &request.to {
            ExportTo::PublicKey(der) => {
                let field = "public_key";
                let recipient =
                    Recipient::of_spki(der).map_err(|error| refused_field(error, field))?;
                let scheme = recipient.scheme();
                let info = match scheme {
                    TransportScheme::Hpke => export_info(record, version),
                    TransportScheme::RsaAes => Vec::new(),
                };
                let wrapped = recipient.seal(&*self.shared.entropy, &info, &material)?;
                Ok(Leaving {
                    version: version.number,
                    wrapping: Some(scheme),
                    info,
                    material: SecretVec::from_vec(wrapped),
                })
            }
            ExportTo::Caller(plain) | ExportTo::CallerWithoutChainCode(plain, _) => {
                let realm = self.shared.catalogue.realm(record.realm);
                let allowed = match plain {
                    PlainExport::AllowedByDoor => true,
                    PlainExport::IfRealmAllows => realm.is_some_and(|realm| realm.plain_export),
                };
                if !allowed {
                    let why =
                        "the realm lets it leave wrapped for a public key and not in the clear";
                    return Err(EngineError::ExportRefused(why));
                }
                Ok(Leaving { version: version.number, wrapping: None, info: Vec::new(), material })
            }
        }
    }

    fn mark_exported(&self, record: &mut KeyRecord, caller: &Caller) {
        let first = FirstExport { at: self.shared.clock.now(), by: caller.principal() };
        record.exported = true;
        record.life_mut().first_export.get_or_insert(first);
    }

    /// Says whether material of exportable keys of the caller's realm may leave in the clear;
    /// without a rule nothing changes.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`].
    pub async fn change_realm(
        &self,
        caller: &Caller,
        rule: Option<PlainExportRule>,
    ) -> Result<Arc<RealmRecord>, EngineError> {
        let plan = |_| {
            authz::check_realm::<UpdateRealmRules>(caller, None)?;
            let seen = self.shared.catalogue.realm(caller.realm());
            let seen = seen.ok_or(EngineError::ItemNotFound("realm"))?;
            let allowed = rule.map_or(seen.plain_export, |rule| rule == PlainExportRule::Allowed);
            if allowed == seen.plain_export {
                return Ok(Planned::Done(Committed::nothing()));
            }
            let mut record = (*seen).clone();
            record.plain_export = allowed;
            let step = Step::PutRealm { seen: Some(seen), record: Box::new(record) };
            Ok(Planned::Change(Change::one(step)))
        };
        let result = self.change(caller, None, plan).await;
        let now = self.shared.clock.now();
        let touched = Touched { subject: Some(caller.realm().0), ..Touched::default() };
        match result {
            Ok(committed) => {
                let log_index = committed.log_index();
                let touched = Touched { log_index, ..touched };
                self.audit_done::<UpdateRealmRules>(caller, now, touched);
                let realm = self.shared.catalogue.realm(caller.realm());
                realm.ok_or(EngineError::Internal("a realm that vanished"))
            }
            Err(error) => {
                self.record::<UpdateRealmRules>(caller, now, touched, Some(&error))?;
                Err(error)
            }
        }
    }
}

/// Whether a realm lets material leave in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainExportRule {
    /// Of exportable keys, to who may export.
    Allowed,
    /// Wrapped for a public key alone.
    Refused,
}

/// What an export answers with, once its mark is durable.
struct Leaving {
    version: u32,
    wrapping: Option<TransportScheme>,
    info: Vec<u8>,
    material: SecretVec,
}

/// An old version may be asked for, as long as it may be used to open what it protected.
fn version_to_export(entry: &KeyEntry, wanted: Option<u32>) -> Result<&KeyVersion, EngineError> {
    let found = match wanted {
        Some(number) => versions::to_process(entry, number)?,
        None => Some(versions::to_protect(entry, None)?),
    };
    found.map(|(_, version)| version).ok_or(EngineError::ItemNotFound("version"))
}

fn export_info(record: &KeyRecord, version: &KeyVersion) -> Vec<u8> {
    format!("lethe-export/v1/{}/{}", record.id, version.number).into_bytes()
}

fn refused_field(error: CryptoError, field: &'static str) -> EngineError {
    match error {
        CryptoError::Invalid(_) | CryptoError::Unsupported(_) => {
            EngineError::InvalidField { field, why: error.to_string() }
        }
        CryptoError::Authentication | CryptoError::Entropy | CryptoError::Library(_) => {
            error.into()
        }
    }
}
