//! Keys as they are listed, searched, read and renamed.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_engine::{Caller, DoorOperation, EngineError, KeyChange, KeyEntry};
use lethe_types::Permission;
use serde_json::{Value, json};

use crate::b64;
use crate::call::{Answer, Call, Outcome, Work};
use crate::error::Failure;
use crate::handlers::create::{checked_label, name_of};
use crate::index::{BEGINNING_BYTES, Place};
use crate::key::{DESCR, DESCR_BYTES_MAX, Key, LABEL, UPDATED, descr_of, exported, is_of_door};
use crate::kid::Kid;
use crate::state::{Holder, State};

/// Most keys on a page.
const PAGE_KEYS: usize = 15;
/// Bytes of what is searched for.
const NEEDLE_BYTES_MAX: usize = 64;
/// Bytes from which on anybody may search.
const ANONYMOUS_NEEDLE_BYTES_MIN: usize = BEGINNING_BYTES;
/// A search that the index answers.
const SEARCH: DoorOperation = DoorOperation::named("encedo.key.search");
/// How often a change is tried that lost to another one.
const TRIES: usize = 4;

pub(crate) fn list(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(listed(state, call, "0", None))
}

pub(crate) fn list_from(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(listed(state, call, call.param("offset"), None))
}

pub(crate) fn list_some(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(listed(state, call, call.param("offset"), Some(call.param("count"))))
}

fn listed(state: &State, call: &Call, offset: &str, count: Option<&str>) -> Outcome {
    let caller = &call.session()?.caller;
    let offset = decimal(offset).ok_or(Failure::NotDone)?;
    let count = match count {
        Some(count) => decimal(count).ok_or(Failure::NotDone)?.min(PAGE_KEYS),
        None => PAGE_KEYS,
    };
    let keys = match count {
        0 => Vec::new(),
        count => state.page(caller, offset, count)?,
    };
    let shown: Vec<Value> = keys.into_iter().filter_map(Key::of).map(|key| key.shown()).collect();
    Ok(page(state, offset, shown))
}

fn page(state: &State, offset: usize, shown: Vec<Value>) -> Answer {
    Answer::json(&json!({
        "offset": offset,
        "deleted": 0,
        "total": state.key_count(),
        "listed": shown.len(),
        "list": shown,
    }))
}

/// Digits alone. What is larger than any list is that.
fn decimal(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

/// What descriptions are searched for.
struct Needle {
    bytes: Vec<u8>,
    at_start: bool,
    at_end: bool,
}

impl Needle {
    fn parse(text: &str) -> Result<Self, Failure> {
        let (at_start, rest) = match text.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (at_end, rest) = match rest.strip_suffix('$') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let bytes = b64::decode(rest).ok_or(Failure::BadArgument)?;
        Ok(Self { bytes, at_start, at_end })
    }

    fn is_in(&self, descr: &[u8]) -> bool {
        match (self.at_start, self.at_end) {
            (true, true) => descr == self.bytes,
            (true, false) => descr.starts_with(&self.bytes),
            (false, true) => descr.ends_with(&self.bytes),
            (false, false) => {
                self.bytes.is_empty()
                    || descr.windows(self.bytes.len()).any(|part| part == self.bytes)
            }
        }
    }
}

/// Keys by their descriptions. Anybody may look for enough of the beginning of one, if the
/// configuration says so.
pub(crate) fn search(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || {
        let needle = call.body.required("descr").and_then(Needle::parse);
        let caller = searcher(&state, &call, needle.as_ref().ok())?;
        let needle = needle?;
        let offset = position(&call, "offset")?.unwrap_or(0);
        let limit = position(&call, "limit")?.unwrap_or(PAGE_KEYS).min(PAGE_KEYS);
        if needle.bytes.len() > NEEDLE_BYTES_MAX {
            return Err(Failure::NotDone);
        }
        Ok(page(&state, offset, found(&state, &caller, &needle, (offset, limit))?))
    })
}

/// The keys that are searched for, oldest first, without the first `offset`.
fn found(
    state: &State,
    caller: &Caller,
    needle: &Needle,
    (offset, limit): (usize, usize),
) -> Result<Vec<Value>, EngineError> {
    let (mut passed, mut shown) = (0, Vec::new());
    // A key that is passed by is only glanced at.
    let mut see = |entry: &Arc<KeyEntry>| {
        let record = entry.record();
        if is_of_door(record) && needle.is_in(descr_of(record)) {
            if passed >= offset && shown.len() < limit {
                shown.extend(Key::of(Arc::clone(entry)).map(|key| key.shown()));
            }
            passed += 1;
        }
        shown.len() < limit
    };
    if limit > 0 && needle.at_start && needle.bytes.len() >= BEGINNING_BYTES {
        state.engine.decide(caller, SEARCH, None)?;
        let begins =
            |entry: &Arc<KeyEntry>| descr_of(entry.record()).starts_with(beginning(&needle.bytes));
        let there = |(created, kid): &Place| {
            let entry = state.entry(*kid).filter(begins);
            entry.filter(|entry| entry.record().created.0 == *created)
        };
        let listed = |entry: &Arc<KeyEntry>| is_listed(state, caller, entry);
        let looked =
            state.descriptions.each(&needle.bytes, there, |entry| !listed(&entry) || see(&entry));
        looked.ok_or(EngineError::Internal("a needle without a beginning"))?;
    } else {
        state.each_entry(caller, see)?;
    }
    Ok(shown)
}

fn beginning(bytes: &[u8]) -> &[u8] {
    bytes.get(..BEGINNING_BYTES).unwrap_or_default()
}

/// Whether a list of the caller has it.
fn is_listed(state: &State, caller: &Caller, entry: &KeyEntry) -> bool {
    entry.record().vault == state.vault && caller.may_on(Permission::KeysRead, entry)
}

fn position(call: &Call, name: &str) -> Result<Option<usize>, Failure> {
    let number = call.body.number(name)?;
    Ok(number.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
}

fn searcher(state: &State, call: &Call, needle: Option<&Needle>) -> Result<Caller, Failure> {
    let device = state.device();
    let is_open = device.config().is_some_and(|config| config.allow_keysearch);
    let is_enough = needle
        .is_some_and(|needle| needle.at_start && needle.bytes.len() >= ANONYMOUS_NEEDLE_BYTES_MIN);
    let Some(session) = call.maybe_session() else {
        return match is_open && is_enough {
            true => Ok(state.own.clone()),
            false => Err(Failure::Unauthorized),
        };
    };
    let opens = call.opens(&["keymgmt:search", "keymgmt:list", "auth:ext:pair"]);
    if opens && session.holder != Holder::Master {
        return Ok(session.caller.clone());
    }
    if is_open && is_enough { Ok(state.own.clone()) } else { Err(Failure::Forbidden) }
}

/// One key: its type and its public half.
pub(crate) fn get(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(got(state, call))
}

fn got(state: &State, call: &Call) -> Outcome {
    let session = call.session()?;
    let kid = Kid::parse(call.param("kid"));
    let of_key = kid.map(|kid| format!("keymgmt:use:{kid}")).unwrap_or_default();
    let is_used = kid.is_some() && call.opens(&[&of_key]);
    let is_open = is_used || call.opens(&["keymgmt:get", "keymgmt:gen"]);
    if !is_open || session.holder == Holder::Master {
        return Err(Failure::Forbidden);
    }
    let kid = kid.ok_or(Failure::BadArgument)?;
    let key = state.key(kid).ok_or(Failure::NotDone)?;
    let mut shown = serde_json::Map::new();
    let id = key.entry.record().id;
    if key.key_type.is_pair() {
        let (_, public) = state.engine.public_key(&session.caller, id, None)?;
        shown.insert("type".to_owned(), json!(key.key_type.name));
        shown.insert("pubkey".to_owned(), json!(b64::encode(&exported(&public))));
    } else {
        state.engine.read_key(&session.caller, id)?;
        shown.insert("type".to_owned(), json!(key.type_text));
    }
    shown.insert("updated".to_owned(), json!(key.updated));
    if !key.descr.is_empty() {
        shown.insert("descr".to_owned(), json!(b64::encode(&key.descr)));
    }
    Ok(Answer::json(&Value::Object(shown)))
}

/// Writes label and description anew; a description that is not sent is cleared.
pub(crate) fn update(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let kid = call.body.kid("kid")?.ok_or(Failure::BadArgument)?;
        call.is_about(kid);
        let label = checked_label(call.body.required("label")?)?;
        let descr = call.body.bytes("descr", DESCR_BYTES_MAX)?;
        let descr: Vec<u8> = descr.map(|descr| descr.expose().to_vec()).unwrap_or_default();
        let caller = &call.session()?.caller;
        for _ in 0..TRIES {
            let key = state.key(kid).ok_or(Failure::NotDone)?;
            let change = changed(&state, &key, &label, &descr);
            let seen = &key.entry;
            let (id, expected) = (seen.record().id, Some(seen.revision()));
            match state.engine.update_key(caller, id, &change, expected).await {
                Ok(entry) => {
                    Key::of(entry).inspect(|key| state.descriptions.insert(key));
                    return Ok(Answer::empty());
                }
                // Somebody else was faster: their time of change counts.
                Err(EngineError::RevisionMismatch) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::NotDone)
    })
}

fn changed(state: &State, key: &Key, label: &str, descr: &[u8]) -> KeyChange {
    let now = state.clock.now().seconds().max(key.updated.saturating_add(1)).to_string();
    let bytes = |bytes: &[u8]| Some(Box::from(bytes));
    let descr = if descr.is_empty() { None } else { bytes(descr) };
    let attributes: BTreeMap<Box<str>, Option<Box<[u8]>>> = BTreeMap::from([
        (LABEL.into(), bytes(label.as_bytes())),
        (UPDATED.into(), bytes(now.as_bytes())),
        (DESCR.into(), descr),
    ]);
    KeyChange { name: Some(name_of(label)), attributes, ..KeyChange::default() }
}
