//! The audit log that clients read: one entry for each signed user action, with what became of it.
//! The entries are documents whose identifiers sort by time.

use lethe_engine::{
    Caller, Collection, DocumentChange, DoorOperation, Engine, EngineError, Expected,
};
use lethe_types::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::ids::{self, Prefix};

const LOG: Collection = Collection::named("user_action");
/// Longest payload that an entry repeats, in bytes; of a longer one it says that it is left out.
const PAYLOAD_BYTES_MAX: usize = 65_536;

/// One signed user action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    pub(crate) id: String,
    pub(crate) performed: u64,
    pub(crate) user: String,
    pub(crate) username: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Canonical; `None` if it is too long to be repeated.
    pub(crate) payload: Option<String>,
    pub(crate) credential: String,
    pub(crate) kind: String,
    pub(crate) public_key: String,
    pub(crate) client_data: String,
    pub(crate) signature: String,
    /// What the challenge in the client data is the hash of.
    pub(crate) record: String,
    /// The token that was given for it, once it is used up.
    pub(crate) action_token: Option<String>,
    /// What became of it: a status, and the words of a refusal.
    pub(crate) outcome: Option<(u16, String)>,
}

impl LogEntry {
    pub(crate) fn payload_of(canonical: &str) -> Option<String> {
        (canonical.len() <= PAYLOAD_BYTES_MAX).then(|| canonical.to_owned())
    }

    /// What happened, in a few words.
    pub(crate) fn summary(&self) -> String {
        let what = format!("{} {}", self.method, self.path);
        match &self.outcome {
            None => format!("{what}: signed"),
            Some((status, words)) if words.is_empty() => format!("{what}: {status}"),
            Some((status, words)) => format!("{what}: {status} {words}"),
        }
    }
}

/// Stores an entry, new or changed.
///
/// # Errors
/// The engine's.
pub(crate) async fn put(
    engine: &Engine,
    caller: &Caller,
    entry: &LogEntry,
) -> Result<(), EngineError> {
    let body = serde_json::to_vec(entry).expect("an entry is JSON");
    let change = DocumentChange {
        collection: LOG,
        id: entry.id.clone(),
        expected: Expected::Anything,
        body: Some(body),
    };
    let operation = DoorOperation::named("dfns.user_action");
    engine.write_documents(caller, operation, vec![change]).await
}

/// The entry of that identifier. Blocks for a read of the store.
///
/// # Errors
/// The engine's.
pub(crate) fn get(
    engine: &Engine,
    caller: &Caller,
    id: &str,
) -> Result<Option<LogEntry>, EngineError> {
    if ids::parse(Prefix::Log, id).is_none() {
        return Ok(None);
    }
    let found = engine.document(caller, LOG, id)?;
    found.map(|document| read(&document.body)).transpose()
}

/// Up to `limit` entries from `start` to `end`, oldest first; whether there are more. Blocks for
/// reads of the store.
///
/// # Errors
/// The engine's.
pub(crate) fn between(
    engine: &Engine,
    caller: &Caller,
    (start, end): (UnixMillis, UnixMillis),
    is_wanted: impl Fn(&LogEntry) -> bool,
    limit: usize,
) -> Result<(Vec<LogEntry>, bool), EngineError> {
    const PAGE: usize = 500;
    let last = ids::id(Prefix::Log, &ids::timed_from(UnixMillis(end.0.saturating_add(1))));
    // Nothing is between this and the first entry of the time.
    let mut after = ids::id(Prefix::Log, &ids::timed_from(start));
    after.pop();
    let mut found = Vec::new();
    loop {
        let page = engine.documents(caller, LOG, "", Some(&after), PAGE)?;
        for document in &page.documents {
            if document.id >= last {
                return Ok((found, false));
            }
            let entry = read(&document.body)?;
            if is_wanted(&entry) {
                if found.len() == limit {
                    return Ok((found, true));
                }
                found.push(entry);
            }
        }
        match page.documents.last() {
            Some(newest) if page.more => after.clone_from(&newest.id),
            Some(_) | None => return Ok((found, false)),
        }
    }
}

fn read(body: &[u8]) -> Result<LogEntry, EngineError> {
    serde_json::from_slice(body).map_err(|_| EngineError::Internal("a stored user action"))
}
