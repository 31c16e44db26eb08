//! Versions of a key: make another one, list them, enable and disable one.

use lethe_engine::record::{KeyRecord, VersionState};
use lethe_engine::{EngineError, KeyEntry, VersionFault};
use lethe_http::{Reply, Response, block_on};
use lethe_types::Permission;
use serde::Serialize;

use crate::body;
use crate::error::Refusal;
use crate::kept::{self, Status};
use crate::route::Ask;
use crate::visit::{CONFLICTS_MAX, Visit, Who, visit};

/// On the pool for blocking work: the new material may be RSA's.
pub(crate) fn rotate(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.blocking(|visit| {
        body::nothing(&visit.request)?;
        block_on(rotate_now(visit))
    })
}

async fn rotate_now(visit: &Visit) -> Result<Response, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Rotated<'a> {
        key_tag: &'a str,
        version: u32,
        rotated_date: u64,
    }
    let mut entry = visit.entry.clone();
    for _ in 0..CONFLICTS_MAX {
        check_room(visit, &entry)?;
        let (engine, expected) = (&visit.state.engine, Some(entry.revision()));
        match engine.rotate_key(&visit.caller, visit.key(), expected).await {
            Ok(rotated) => {
                let newest = rotated.record().versions.last();
                let newest = newest.ok_or(EngineError::Internal("a key without a version"))?;
                let (version, rotated_date) = (newest.number, newest.created.0);
                let key_tag = visit.tag();
                return Ok(visit.data(&Rotated { key_tag, version, rotated_date }));
            }
            Err(EngineError::RevisionMismatch) => entry = visit.now()?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(EngineError::RevisionMismatch.into())
}

/// Whether the key may get another version: it is enabled and has fewer than the settings allow.
fn check_room(visit: &Visit, entry: &KeyEntry) -> Result<(), Refusal> {
    let record = entry.record();
    let is_full = kept::newest_version(record) >= visit.state.settings.key_versions_max;
    let is_enabled = Status::of(record.state) == Some(Status::Enabled);
    if is_full && is_enabled && visit.caller.may_on(Permission::KeysRotate, entry) {
        let full = EngineError::ServerLimitExceeded("versions of one key");
        return Err(visit.refused("key.rotate", full));
    }
    Ok(())
}

pub(crate) fn list(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Listed<'a> {
        key_tag: &'a str,
        current_version: u32,
        version_list: Vec<Version>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Version {
        version: u32,
        status: &'static str,
        status_date: u64,
        rotated_date: u64,
    }
    visit(ask, Who::Account)?.ready(|visit| {
        let entry = visit.state.engine.read_key(&visit.caller, visit.key())?;
        let record = entry.record();
        let versions = record.versions.iter().map(|version| Version {
            version: version.number,
            status: status_of(version.state),
            status_date: record.version_state_since(version.number).unwrap_or(version.created).0,
            rotated_date: version.created.0,
        });
        Ok(visit.data(&Listed {
            key_tag: visit.tag(),
            current_version: kept::newest_version(record),
            version_list: versions.collect(),
        }))
    })
}

pub(crate) fn enable(ask: Ask) -> Result<Reply, Refusal> {
    change(visit(ask, Who::Account)?, VersionState::Enabled)
}

pub(crate) fn disable(ask: Ask) -> Result<Reply, Refusal> {
    change(visit(ask, Who::Account)?, VersionState::Suspended)
}

fn change(visit: Visit, wanted: VersionState) -> Result<Reply, Refusal> {
    visit.pending(async move |visit| {
        body::nothing(&visit.request)?;
        change_now(&visit, wanted).await
    })
}

async fn change_now(visit: &Visit, wanted: VersionState) -> Result<Response, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Changed {
        version: u32,
        status: &'static str,
        status_date: u64,
    }
    let mut entry = visit.entry.clone();
    let number = parse_number(visit, entry.record())?;
    for _ in 0..CONFLICTS_MAX {
        check_change(visit, &entry, number, wanted)?;
        let (engine, expected) = (&visit.state.engine, Some(entry.revision()));
        let changed =
            engine.change_version_state(&visit.caller, visit.key(), number, wanted, expected);
        match changed.await {
            Ok(changed) => {
                let since = changed.record().version_state_since(number);
                return Ok(visit.data(&Changed {
                    version: number,
                    status: status_of(wanted),
                    status_date: since.unwrap_or_default().0,
                }));
            }
            Err(EngineError::RevisionMismatch) => entry = visit.now()?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(EngineError::RevisionMismatch.into())
}

/// The number in the path, of a version that the key has.
fn parse_number(visit: &Visit, record: &KeyRecord) -> Result<u32, Refusal> {
    let text = visit.request.param("version");
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let number: Option<u32> = is_plain.then(|| text.parse().ok()).flatten();
    // Automatic rotations may have gone past the bound of the settings.
    let most = visit.state.settings.key_versions_max.max(kept::newest_version(record));
    let number = number.filter(|number| *number <= most);
    number.ok_or(Refusal::BadInput("version is out of range"))
}

/// The rules of this service: only while the key is enabled, never the most recent version, and no
/// change to what is already.
fn check_change(
    visit: &Visit,
    entry: &KeyEntry,
    number: u32,
    wanted: VersionState,
) -> Result<(), Refusal> {
    let record = entry.record();
    // Who may not change states is told so by the engine, whatever the key's state.
    if !visit.caller.may_on(Permission::KeysState, entry) {
        return Ok(());
    }
    let refused = |why| {
        let error = EngineError::VersionRefused { version: number, why };
        // The audit trail has the engine's word for it.
        visit.refused("key.version_state", error)
    };
    let Some(version) = record.versions.iter().find(|version| version.number == number) else {
        return if number <= kept::newest_version(record) {
            Err(refused(VersionFault::Destroyed))
        } else {
            Err(visit.refused("key.version_state", EngineError::ItemNotFound("version")))
        };
    };
    if Status::of(record.state) != Some(Status::Enabled) {
        return Err(visit.wrong_state(Permission::KeysState, "key.version_state"));
    }
    if version.state == wanted {
        let why = VersionFault::Suspended;
        return Err(match wanted {
            VersionState::Enabled => Refusal::WrongState("the version is enabled"),
            VersionState::Suspended => refused(why),
        });
    }
    let is_newest = number == kept::newest_version(record);
    if is_newest && wanted == VersionState::Suspended {
        return Err(refused(VersionFault::LastEnabled));
    }
    Ok(())
}

const fn status_of(state: VersionState) -> &'static str {
    match state {
        VersionState::Enabled => "ENABLE",
        VersionState::Suspended => "DISABLE",
    }
}
