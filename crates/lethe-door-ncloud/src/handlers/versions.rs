//! Versions of a key: make another one, list them.

use lethe_engine::{EngineError, KeyEntry};
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
            status: "ENABLE",
            status_date: version.created.0,
            rotated_date: version.created.0,
        });
        Ok(visit.data(&Listed {
            key_tag: visit.tag(),
            current_version: kept::newest_version(record),
            version_list: versions.collect(),
        }))
    })
}
