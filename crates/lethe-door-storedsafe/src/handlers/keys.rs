//! Named keys: create, list, read, rotate, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use lethe_engine::record::{Alias, KeyRecord, VaultRecord};
use lethe_engine::{
    CreateKeyRequest, DestroyOutcome, DestroyRequest, DestroyWhen, EngineError, GivenVersion,
    KeyEntry, KeyFilter,
};
use lethe_types::limits::PAGE_KEYS_MAX;
use serde_json::{Value, json};

use super::{Named, alias, key, key_name, named, refuse, vault};
use crate::DOOR;
use crate::account::{Level, attribute, text_of};
use crate::call::{Call, Outcome, Work};
use crate::ciphertext::KeyType;
use crate::envelope::{Answer, X_DELETION_RECEIPT};
use crate::error::Failure;
use crate::settings::Recreate;
use crate::state::State;

/// Attributes of keys.
pub(crate) const ALLOW_EXPORT: &str = "storedsafe.allow_export";
pub(crate) const ALLOW_BACKUP: &str = "storedsafe.allow_backup";
pub(crate) const INFO: &str = "storedsafe.info";

/// Longest `info`, in bytes.
const INFO_BYTES_MAX: usize = 16_384;
/// Longest receipt that is also sent as a header, in bytes: common clients give up on longer lines.
const RECEIPT_HEADER_BYTES_MAX: usize = 60_000;

const DEFAULT_TYPE: &str = "aes128-gcm96";
const NO_INTEGRITY: &str = "KEY TYPE HAS NO INTEGRITY PROTECTION";
const DELETED_BEFORE: &str = "A KEY OF THIS NAME WAS DELETED BEFORE";

/// What a key is made with.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) key_type: KeyType,
    pub(crate) allow_export: bool,
    pub(crate) allow_backup: bool,
    pub(crate) allow_delete: bool,
    pub(crate) info: String,
    /// Whether it is asked for in so many words.
    pub(crate) is_explicit: bool,
}

impl Wanted {
    /// The key that is made on the way of an encryption.
    ///
    /// # Errors
    /// `INVALID PARAMETER`.
    pub(crate) fn implicit(call: &Call) -> Result<Self, Failure> {
        Ok(Self {
            key_type: key_type(call)?,
            allow_export: true,
            allow_backup: true,
            allow_delete: true,
            info: String::new(),
            is_explicit: false,
        })
    }

    fn explicit(call: &Call) -> Result<Self, Failure> {
        let body = &call.body;
        let info = body.text("info")?.unwrap_or_default();
        if info.len() > INFO_BYTES_MAX {
            return Err(Failure::parameter("info"));
        }
        Ok(Self {
            key_type: key_type(call)?,
            allow_export: body.flag("allow_export", true)?,
            allow_backup: body.flag("allow_backup", true)?,
            allow_delete: body.flag("allow_delete", true)?,
            info: info.to_owned(),
            is_explicit: true,
        })
    }

    /// What is to be kept as attributes.
    fn attributes(&self) -> BTreeMap<Box<str>, Box<[u8]>> {
        let flag =
            |name: &str, is_set: bool| (name.into(), attribute(if is_set { "1" } else { "0" }));
        let mut all = BTreeMap::from([
            flag(ALLOW_EXPORT, self.allow_export),
            flag(ALLOW_BACKUP, self.allow_backup),
        ]);
        if !self.info.is_empty() {
            all.insert(INFO.into(), attribute(&self.info));
        }
        all
    }

    /// What the caller is told beside the key.
    pub(crate) fn notices(&self, answer: Answer, was_deleted: bool) -> Answer {
        let answer =
            if self.key_type.is_authenticated { answer } else { answer.notice(NO_INTEGRITY) };
        if was_deleted { answer.notice(DELETED_BEFORE) } else { answer }
    }
}

fn key_type(call: &Call) -> Result<KeyType, Failure> {
    let name = call.body.text("type")?.unwrap_or(DEFAULT_TYPE);
    KeyType::named(name).ok_or_else(|| Failure::parameter("type"))
}

pub(crate) fn create(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let name = key_name(&state, &call)?;
        let (vault, _) = vault(&state, &call, Level::Write)?;
        let wanted = Wanted::explicit(&call)?;
        let was_deleted = matches!(named(&state, vault.id, name), Named::Gone);
        let entry = make(&state, &call, &vault, name, &wanted, Vec::new()).await?;
        let answer = Answer::new(StatusCode::CREATED)
            .info("key_version", current_version(entry.record()))
            .info("name", name)
            .info("objectid", entry.record().id.to_string());
        Ok(wanted.notices(answer, was_deleted))
    })
}

/// Makes a key, unless the name is in use or may not be used again: with these versions, or with
/// one that is drawn if there are none. What is given has numbers of its own, so that its name must
/// be one that was never used.
///
/// # Errors
/// `KEY EXISTS`; `KEY WAS DELETED`, or `NO SUCH KEY` where nobody asked for a new key.
pub(crate) async fn make(
    state: &State,
    call: &Call,
    vault: &VaultRecord,
    name: &str,
    wanted: &Wanted,
    versions: Vec<GivenVersion>,
) -> Result<Arc<KeyEntry>, Failure> {
    let caller = call.caller()?;
    let recreate = state.settings.recreate_after_delete;
    let may_follow = match recreate {
        Recreate::Allow => true,
        Recreate::CreateOnly => wanted.is_explicit,
        Recreate::Never => false,
    };
    let engine_name = name.parse().map_err(|_| Failure::parameter("name"))?;
    let algorithm = wanted.key_type.algorithm()?;
    let request = CreateKeyRequest {
        vault: Some(vault.id),
        protected: !wanted.allow_delete,
        attributes: wanted.attributes(),
        aliases: vec![Alias {
            door: DOOR.to_owned(),
            text: alias(vault.id, name),
            reserved: false,
        }],
        exportable: wanted.allow_export || wanted.allow_backup,
        continues_versions: versions.is_empty(),
        fresh_aliases: !may_follow || !versions.is_empty(),
        versions,
        ..CreateKeyRequest::new(engine_name, algorithm)
    };
    let refused = |error| match (error, named(state, vault.id, name)) {
        (EngineError::NameTaken(_), Named::Gone) if !wanted.is_explicit => Failure::no_such_key(),
        (EngineError::NameTaken(_), Named::Gone) => Failure::refused("KEY WAS DELETED"),
        (error, Named::Gone | Named::Live(..) | Named::Never) => error.into(),
    };
    let prepared = state.engine.prepare_key(caller, request).map_err(refused)?;
    state.engine.create_key(caller, prepared).await.map_err(refused)
}

pub(crate) fn list(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || {
        let (vault, _) = vault(&state, &call, Level::Read)?;
        let filter = KeyFilter { vault: Some(vault.id), ..KeyFilter::default() };
        let mut keys: BTreeMap<String, Value> = BTreeMap::new();
        let mut cursor: Option<String> = None;
        loop {
            let caller = call.caller()?;
            let page = state.engine.list_keys(caller, &filter, cursor.as_deref(), PAGE_KEYS_MAX)?;
            for entry in &page.keys {
                if let Some((name, shown)) = shown(entry.record()) {
                    keys.insert(name.to_owned(), shown);
                }
            }
            match page.next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Ok(Answer::ok().with("KEYS", Value::Array(keys.into_values().collect())))
    })
}

pub(crate) fn read(state: &Arc<State>, call: &Arc<Call>) -> Work {
    read_now(state, call).into()
}

fn read_now(state: &State, call: &Call) -> Outcome {
    let (entry, _) = key(state, call, Level::Read)?;
    let entry = state.engine.read_key(call.caller()?, entry.record().id)?;
    let record = entry.record();
    let (_, shown) =
        shown(record).filter(|_| !record.state.is_destroyed()).ok_or_else(Failure::no_such_key)?;
    Ok(Answer::ok()
        .info("objectid", record.id.to_string())
        .info("version", current_version(record))
        .with("KEYS", json!([shown])))
}

/// A key as clients see it, under its name; `None` for keys of other doors.
fn shown(record: &KeyRecord) -> Option<(&str, Value)> {
    let key_type = KeyType::of(record.algorithm)?;
    let prefix = format!("{}/", record.vault);
    let text = record.aliases.iter().find(|alias| alias.door == DOOR)?.text.as_str();
    let name = text.strip_prefix(&prefix)?;
    let details = record.details();
    let shown = json!({
        "name": name,
        "key_version": current_version(record),
        "type": key_type.name,
        "allow_backup": allows(record, ALLOW_BACKUP),
        "allow_export": allows(record, ALLOW_EXPORT),
        "allow_delete": !details.protected,
        "supports_signing": false,
        "info": text_of(details.attributes.get(INFO)).unwrap_or_default(),
    });
    Some((name, shown))
}

/// Whether a flag is set. One that is not there is not.
pub(crate) fn allows(record: &KeyRecord, flag: &str) -> bool {
    text_of(record.details().attributes.get(flag)) == Some("1")
}

/// The number of the newest version, as text.
pub(crate) fn current_version(record: &KeyRecord) -> String {
    record.current_version().map(|version| version.number.to_string()).unwrap_or_default()
}

pub(crate) fn rotate(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let (entry, _) = key(&state, &call, Level::Write)?;
        let id = entry.record().id;
        let entry = state.engine.rotate_key(call.caller()?, id, None).await?;
        Ok(Answer::new(StatusCode::CREATED)
            .info("key_version", current_version(entry.record()))
            .info("name", call.param("name"))
            .info("objectid", id.to_string()))
    })
}

/// When this answers with success, no version of the key can be used any more, nothing that could
/// bring it back is left, and the receipt proves it.
pub(crate) fn delete(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let (entry, _) = key(&state, &call, Level::Write)?;
        // At once or not at all: the protocol has no word for a key that waits.
        let request =
            DestroyRequest { when: DestroyWhen::AtOnce, ..DestroyRequest::new(entry.record().id) };
        let destroyed = match state.engine.destroy_key(call.caller()?, request).await? {
            DestroyOutcome::Destroyed(destroyed) => destroyed,
            DestroyOutcome::Scheduled { .. } => {
                let why = EngineError::Internal("a schedule that nobody asked for");
                return Err(refuse(&state, &call, None, why));
            }
        };
        // The key is gone, so that the answer is success. A receipt that cannot be written now can
        // be asked for again elsewhere.
        let written = destroyed.receipt.write().and_then(|written| written.header());
        let Ok(receipt) = written else { return Ok(Answer::ok()) };
        let mut answer = Answer::ok();
        if receipt.len() <= RECEIPT_HEADER_BYTES_MAX
            && let Ok(value) = HeaderValue::try_from(receipt.as_str())
        {
            answer.headers.push((X_DELETION_RECEIPT, value));
        }
        Ok(answer.info("receipt", receipt))
    })
}
