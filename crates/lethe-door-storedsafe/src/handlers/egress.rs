//! Key material that leaves, and comes back: export, backup, restore. Off unless the operator
//! allows it; what left is marked for good, and its receipt says so.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::hash::sha256;
use lethe_crypto::registry::KeyFormat;
use lethe_engine::{
    DoorOperation, EngineError, ExportRequest, ExportTo, GivenVersion, KeyEntry, PlainExport,
};
use lethe_types::{KeyId, SecretVec};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::keys::{ALLOW_BACKUP, ALLOW_EXPORT, INFO, Wanted, allows, current_version, make};
use super::uses::base64_secret;
use super::{key, key_name, named, refuse, vault};
use crate::account::{Level, text_of};
use crate::body::decimal;
use crate::call::{Call, Work};
use crate::ciphertext::KeyType;
use crate::envelope::{Answer, Field};
use crate::error::Failure;
use crate::state::State;

/// Whether the operator lets material leave and come back.
///
/// # Errors
/// `EXPORT DISABLED`; recorded.
fn is_enabled(state: &State, call: &Call) -> Result<(), Failure> {
    if state.settings.allow_key_material_egress {
        return Ok(());
    }
    Err(refuse_leave(state, call, "the server does not allow it", "EXPORT DISABLED"))
}

fn refuse_leave(state: &State, call: &Call, why: &'static str, text: &'static str) -> Failure {
    let Ok(caller) = call.caller() else { return Failure::token_invalid() };
    let operation = DoorOperation::named(call.op());
    match state.engine.decide(caller, operation, Some(EngineError::ExportRefused(why))) {
        Err(EngineError::ExportRefused(_)) => Failure::forbidden(text),
        Err(error) => error.into(),
        Ok(()) => Failure::internal(),
    }
}

pub(crate) fn export(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let (entry, key_type) = key(&state, &call, Level::Admin)?;
        let record = entry.record();
        if !allows(record, ALLOW_EXPORT) {
            return Err(refuse_leave(&state, &call, "the key does not", "KEY NOT EXPORTABLE"));
        }
        is_enabled(&state, &call)?;
        let wanted = match call.param("key_version") {
            "" => None,
            text => Some(decimal(text).ok_or_else(Failure::no_such_version)?),
        };
        let versions = record.versions.iter().map(|version| version.number);
        let versions: Vec<u32> = versions
            .filter(|number| wanted.is_none_or(|wanted| wanted == u64::from(*number)))
            .collect();
        if versions.is_empty() {
            return Err(Failure::no_such_version());
        }
        let name = call.param("name");
        let mut keys = Vec::new();
        for (number, material) in materials(&state, &call, &entry, &versions).await? {
            keys.push(vec![
                ("key", base64_secret(&material)),
                ("key_version", Field::from(number.to_string())),
                ("name", Field::from(name)),
                ("type", Field::from(key_type.name)),
            ]);
        }
        Ok(Answer::ok().with("KEYS", Field::Objects(keys)))
    })
}

/// The material of these versions; the mark that it left is durable.
async fn materials(
    state: &State,
    call: &Call,
    entry: &KeyEntry,
    versions: &[u32],
) -> Result<Vec<(u32, SecretVec)>, Failure> {
    let caller = call.caller()?;
    let mut all = Vec::new();
    for number in versions {
        let request = ExportRequest {
            key: entry.record().id,
            version: Some(*number),
            format: KeyFormat::Raw,
            to: ExportTo::Caller(PlainExport::AllowedByDoor),
            expected: None,
        };
        all.push((*number, state.engine.export_key(caller, &request).await?.material));
    }
    Ok(all)
}

/// A key as a backup has it: JSON, and the SHA-256 of that. Not secret-keeping: whoever has it has
/// the key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    format: String,
    /// The identity of the key, which tells whether it was deleted.
    key: String,
    #[serde(rename = "type")]
    key_type: String,
    allow_export: bool,
    allow_backup: bool,
    allow_delete: bool,
    info: String,
    versions: Vec<BackupVersion>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupVersion {
    number: u32,
    /// In base64.
    key: Base64Key,
}

/// The base64 of a key, wiped when it is dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Base64Key(String);

impl Drop for Base64Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

const FORMAT: &str = "lethe-storedsafe-backup/1";
const CHECKSUM_BYTES: usize = 32;
/// Room for one version in a backup, and for the rest of it, in bytes.
const VERSION_BYTES_MAX: usize = 128;
const REST_BYTES_MAX: usize = 512;

impl Backup {
    /// The blob, in base64.
    fn write(&self) -> Result<Field, Failure> {
        // Texts of `info` grow by escapes. All at once: growing would leave copies behind.
        let room = REST_BYTES_MAX + 6 * self.info.len() + self.versions.len() * VERSION_BYTES_MAX;
        let mut blob = Zeroizing::new(Vec::with_capacity(room + CHECKSUM_BYTES));
        serde_json::to_writer(&mut *blob, self).map_err(|_| Failure::internal())?;
        let checksum = sha256(&[&blob]);
        blob.extend_from_slice(&checksum);
        Ok(base64_secret(&SecretVec::copy_from(&blob)))
    }

    /// Key, type, wishes and versions of a blob; `None` if it is none of ours.
    fn read(text: &str) -> Option<(KeyId, Wanted, Vec<GivenVersion>)> {
        let mut blob = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
        let length = STANDARD.decode_slice(text, &mut blob).ok()?;
        blob.truncate(length);
        let (json, checksum) = blob.split_last_chunk::<CHECKSUM_BYTES>()?;
        if sha256(&[json]) != *checksum {
            return None;
        }
        let backup: Self = serde_json::from_slice(json).ok()?;
        if backup.format != FORMAT || backup.versions.is_empty() {
            return None;
        }
        let mut versions = Vec::new();
        for version in &backup.versions {
            let mut key = STANDARD.decode(version.key.0.as_bytes()).ok()?;
            let secret = SecretVec::copy_from(&key);
            key.zeroize();
            versions.push(GivenVersion { number: version.number, secret });
        }
        let wanted = Wanted {
            key_type: KeyType::named(&backup.key_type)?,
            allow_export: backup.allow_export,
            allow_backup: backup.allow_backup,
            allow_delete: backup.allow_delete,
            info: backup.info,
            is_explicit: true,
        };
        Some((backup.key.parse().ok()?, wanted, versions))
    }
}

pub(crate) fn back_up(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let (entry, key_type) = key(&state, &call, Level::Admin)?;
        let record = entry.record();
        if !allows(record, ALLOW_BACKUP) {
            return Err(refuse_leave(&state, &call, "the key does not", "KEY NOT BACKUPABLE"));
        }
        is_enabled(&state, &call)?;
        let versions: Vec<u32> = record.versions.iter().map(|version| version.number).collect();
        let versions = materials(&state, &call, &entry, &versions).await?.into_iter();
        let details = record.details();
        let backup = Backup {
            format: FORMAT.to_owned(),
            key: record.id.to_string(),
            key_type: key_type.name.to_owned(),
            allow_export: allows(record, ALLOW_EXPORT),
            allow_backup: allows(record, ALLOW_BACKUP),
            allow_delete: !details.protected,
            info: text_of(details.attributes.get(INFO)).unwrap_or_default().to_owned(),
            versions: versions
                .map(|(number, material)| BackupVersion {
                    number,
                    key: Base64Key(STANDARD.encode(material.expose())),
                })
                .collect(),
        };
        Ok(Answer::ok()
            .info("objectid", record.id.to_string())
            .info("version", current_version(record))
            .with("KEYS", Field::Objects(vec![vec![("backup", backup.write()?)]])))
    })
}

/// A key that was deleted here does not come back: neither by its identity nor, in vaults that
/// remember it, by its material.
pub(crate) fn restore(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let name = key_name(&state, &call)?;
        let (vault, _) = vault(&state, &call, Level::Write)?;
        is_enabled(&state, &call)?;
        let backup = Backup::read(call.body.needed("backup")?);
        let (key, wanted, versions) = backup.ok_or_else(|| Failure::parameter("backup"))?;
        if let super::Named::Live(..) = named(&state, vault.id, name) {
            let taken = EngineError::NameTaken("the name");
            return Err(refuse(&state, &call, Some(vault.id), taken));
        }
        if state.engine.is_destroyed(key) {
            return Err(refuse(&state, &call, Some(vault.id), EngineError::ReimportRefused));
        }
        let made = make(&state, &call, &vault, name, &wanted, versions).await;
        // The engine's word for versions that are none.
        let made = made.map_err(|failure| {
            let of_versions = Failure::parameter("versions");
            if failure == of_versions { Failure::parameter("backup") } else { failure }
        })?;
        let answer = Answer::ok()
            .info("key_version", current_version(made.record()))
            .info("name", name)
            .info("objectid", made.record().id.to_string());
        Ok(wanted.notices(answer, false))
    })
}
