//! The audit log that clients read: one entry for each signed user action, with what became of it.
//! The entries are documents whose identifiers sort by time. They are kept for as long as the
//! operator set; what is older is neither shown nor kept any longer.

use lethe_engine::{Caller, Collection, DocumentChange, DoorOperation, EngineError, Expected};
use lethe_types::UnixMillis;
use lethe_types::limits::CHANGE_DOCUMENTS_MAX;
use serde::{Deserialize, Serialize};

use crate::ids::{self, Prefix};
use crate::state::State;

const LOG: Collection = Collection::named("user_action");
/// For each token, the identifier of the last entry that was signed with it.
const LAST: Collection = Collection::named("last_action");
const WRITE: DoorOperation = DoorOperation::named("dfns.user_action");
/// How many old entries go with each new one.
const PRUNED_AT_ONCE: usize = 4;
const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// Longest payload that an entry repeats, in bytes; of a longer one it says that it is left out.
const PAYLOAD_BYTES_MAX: usize = 65_536;

/// One signed user action.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    pub(crate) id: String,
    pub(crate) performed: u64,
    pub(crate) user: String,
    pub(crate) username: String,
    /// With whose token it was announced; absent in entries of before.
    #[serde(default)]
    pub(crate) token: Option<String>,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Canonical; `None` if it is too long to be repeated.
    pub(crate) payload: Option<String>,
    pub(crate) credential: String,
    pub(crate) kind: String,
    pub(crate) public_key: String,
    pub(crate) client_data: String,
    pub(crate) signature: String,
    /// Of a passkey.
    #[serde(default)]
    pub(crate) authenticator_data: Option<String>,
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

/// Stores a new entry, and takes away a few that are kept no longer.
///
/// # Errors
/// The engine's.
pub(crate) async fn begin(state: &State, entry: &LogEntry) -> Result<(), EngineError> {
    let caller = state.system()?;
    let mut changes = vec![of_entry(entry)];
    if let Some(token) = &entry.token {
        changes.push(change(LAST, token.clone(), Some(entry.id.clone().into_bytes())));
    }
    let gone = outdated(state, &caller, PRUNED_AT_ONCE)?;
    // The last action of this token is this one, whichever was it before.
    changes.extend(gone.into_iter().filter(|gone| Some(&gone.id) != entry.token.as_ref()));
    state.engine.write_documents(&caller, WRITE, changes).await
}

/// Stores what became of an entry.
///
/// # Errors
/// The engine's.
pub(crate) async fn finish(state: &State, entry: &LogEntry) -> Result<(), EngineError> {
    state.engine.write_documents(&state.system()?, WRITE, vec![of_entry(entry)]).await
}

/// Takes away all entries that are kept no longer.
///
/// # Errors
/// The engine's.
pub(crate) async fn prune(state: &State) -> Result<(), EngineError> {
    let caller = state.system()?;
    loop {
        // Each entry takes the last of its token with it, at most.
        let gone = outdated(state, &caller, CHANGE_DOCUMENTS_MAX / 2)?;
        if gone.is_empty() {
            return Ok(());
        }
        state.engine.write_documents(&caller, WRITE, gone).await?;
    }
}

/// Up to `limit` of the oldest entries that are kept no longer, to be taken away.
fn outdated(
    state: &State,
    caller: &Caller,
    limit: usize,
) -> Result<Vec<DocumentChange>, EngineError> {
    let Some(first) = first_kept(state) else { return Ok(Vec::new()) };
    let mut gone = Vec::new();
    let page = state.engine.documents(caller, LOG, "", None, limit)?;
    for document in page.documents.into_iter().filter(|document| document.id < first) {
        if let Some(token) = read(&document.body)?.token {
            let last = state.engine.document(caller, LAST, &token)?;
            if last.is_some_and(|last| last.body == document.id.as_bytes()) {
                gone.push(change(LAST, token, None));
            }
        }
        gone.push(change(LOG, document.id, None));
    }
    Ok(gone)
}

/// The least identifier of an entry that is kept; `None` if all are.
fn first_kept(state: &State) -> Option<String> {
    let days = u64::from(state.settings.log_days);
    let since = state.clock.now().0.saturating_sub(days * DAY_MS);
    (days > 0).then(|| ids::id(Prefix::Log, &ids::timed_from(UnixMillis(since))))
}

fn of_entry(entry: &LogEntry) -> DocumentChange {
    let body = serde_json::to_vec(entry).expect("an entry is JSON");
    change(LOG, entry.id.clone(), Some(body))
}

fn change(collection: Collection, id: String, body: Option<Vec<u8>>) -> DocumentChange {
    DocumentChange { collection, id, expected: Expected::Anything, body }
}

/// The entry of that identifier, or the last one of the token of that identifier. Blocks for reads
/// of the store.
///
/// # Errors
/// The engine's.
pub(crate) fn get(state: &State, id: &str) -> Result<Option<LogEntry>, EngineError> {
    let caller = state.system()?;
    let id = match ids::parse_token(id) {
        None => Some(id.to_owned()),
        Some(_) => {
            let last = state.engine.document(&caller, LAST, id)?;
            last.and_then(|last| String::from_utf8(last.body).ok())
        }
    };
    let is_kept = |id: &String| {
        let is_one = ids::parse(Prefix::Log, id).is_some();
        is_one && first_kept(state).is_none_or(|first| *id >= first)
    };
    let Some(id) = id.filter(is_kept) else { return Ok(None) };
    let found = state.engine.document(&caller, LOG, &id)?;
    found.map(|document| read(&document.body)).transpose()
}

/// Up to `limit` entries from `start` to `end`, oldest first; whether there are more. Blocks for
/// reads of the store.
///
/// # Errors
/// The engine's.
pub(crate) fn between(
    state: &State,
    (start, end): (UnixMillis, UnixMillis),
    is_wanted: impl Fn(&LogEntry) -> bool,
    limit: usize,
) -> Result<(Vec<LogEntry>, bool), EngineError> {
    const PAGE: usize = 500;
    let last = ids::id(Prefix::Log, &ids::timed_from(UnixMillis(end.0.saturating_add(1))));
    // Nothing is between this and the first entry of the time.
    let mut after = ids::id(Prefix::Log, &ids::timed_from(start));
    after.pop();
    let first = first_kept(state).unwrap_or_default();
    let caller = state.system()?;
    let mut found = Vec::new();
    loop {
        let page = state.engine.documents(&caller, LOG, "", Some(&after), PAGE)?;
        for document in &page.documents {
            if document.id >= last {
                return Ok((found, false));
            }
            if document.id < first {
                continue;
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
