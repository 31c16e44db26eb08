//! Signatures: made at once, and kept as history that outlives the key.

use std::sync::Arc;

use lethe_crypto::hash::sha256;
use lethe_engine::{Collection, DocumentChange, DoorOperation, EngineError, Expected, KeyEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Page, active_key, bad_page_token, known_key, of_key, page_of};
use crate::body::canonical;
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::factors::to_hex;
use crate::ids::{self, Prefix};
use crate::signing::{Refused, SignatureAnswer, SigningRequest};
use crate::state::State;
use crate::wire::{key_id, kind_of};

/// Signature requests, by key and time.
const SIGNATURES: Collection = Collection::named("signature");
/// The client's own identifiers of them.
const EXTERNAL_IDS: Collection = Collection::named("external_id");

const CONFLICTING: &str = "Conflicting signature with same externalId";

/// Whose an external identifier is.
#[derive(Serialize, Deserialize)]
struct External {
    key: String,
    signature: String,
    /// SHA-256 of the canonical body.
    body: String,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::bad(refused.message).with(Value::Object(refused.details))
    }
}

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let body = object(&call)?;
    let entry = known_key(&state, &call, call.param("key"))?;
    let record = entry.record();
    // One that is repeated is answered also after the key is gone.
    let external = body.get("externalId").and_then(Value::as_str).map(str::to_owned);
    if let Some(external) = &external
        && let Some(stored) = repeated(&state, &call, external, &entry)?
    {
        return Ok(stored.into());
    }
    let entry = active_key(&state, &call, key_id(record))?;
    let kind = kind_of(record).ok_or(EngineError::Internal("a key without its parts"))?;
    let request = SigningRequest::read(&body, kind, key_id(record))?;
    let caller = call.caller()?;
    // Taken before, so that no signature is dated after the end of its key.
    let signed = state.clock.now();
    let made = state.engine.sign_with(caller, record.id, None, &request.to_sign());
    let (_, signature) = made.map_err(|error| of_key(&state, &entry, error))?;
    let answer = request.answer(&signature);
    let answer = answer.ok_or(EngineError::Internal("a signature of another form"))?;
    let identity = call.identity()?;
    let id = ids::timed(signed, &*state.entropy)?;
    let requester = json!({"userId": identity.user_id(), "tokenId": ids::token(identity.token)});
    let told = written(&id, &entry, requester, body, &answer, &signed.to_string());
    store(&state, &call, &entry, &id, told, external).await
}

/// The one JSON object that the body is.
pub(crate) fn object(call: &Call) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(&call.request.body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(Refusal::bad("the request body must be a JSON object")),
        Err(_) => Err(Refusal::bad("the request body is not valid JSON")),
    }
}

/// A signature request as it is told.
fn written(
    id: &[u8; 16],
    entry: &KeyEntry,
    requester: Value,
    body: Map<String, Value>,
    answer: &SignatureAnswer,
    signed: &str,
) -> Map<String, Value> {
    let mut told = Map::new();
    let mut put = |name: &str, value: Value| drop(told.insert(name.to_owned(), value));
    put("id", json!(ids::id(Prefix::Signature, id)));
    put("keyId", json!(key_id(entry.record())));
    put("requester", requester);
    put("status", json!("Signed"));
    put("signature", answer.signature.to_json());
    if let Some(data) = &answer.signed_data {
        put("signedData", json!(data));
    }
    if let Some(network) = answer.network {
        put("network", json!(network));
    }
    put("dateRequested", json!(signed));
    put("dateSigned", json!(signed));
    if let Some(external) = body.get("externalId") {
        put("externalId", external.clone());
    }
    put("requestBody", Value::Object(body));
    told
}

/// Stores what was signed before anybody is told of it.
async fn store(
    state: &State,
    call: &Call,
    entry: &KeyEntry,
    id: &[u8; 16],
    told: Map<String, Value>,
    external: Option<String>,
) -> Outcome {
    let told = Value::Object(told);
    let mut changes = vec![DocumentChange {
        collection: SIGNATURES,
        id: place(entry, id),
        expected: Expected::Nothing,
        body: Some(told.to_string().into_bytes()),
    }];
    if let Some(external) = &external {
        let own = External {
            key: key_id(entry.record()).to_owned(),
            signature: place(entry, id),
            body: body_hash(call)?,
        };
        changes.push(DocumentChange {
            collection: EXTERNAL_IDS,
            id: external.clone(),
            expected: Expected::Nothing,
            body: Some(serde_json::to_vec(&own).expect("an identifier is JSON")),
        });
    }
    let operation = DoorOperation { key: Some(entry.record().id), ..DoorOperation::named(call.op) };
    let written = state.engine.write_documents(call.caller()?, operation, changes).await;
    match (written, external) {
        (Ok(()), _) => Ok(told.into()),
        // Somebody else was faster.
        (Err(EngineError::RevisionMismatch), Some(external)) => {
            let stored = repeated(state, call, &external, entry)?;
            Ok(stored.ok_or(EngineError::RevisionMismatch)?.into())
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn body_hash(call: &Call) -> Result<String, Refusal> {
    Ok(to_hex(&sha256(&[canonical(&call.request.body)?.as_bytes()])))
}

/// Where the history of a key is, in the order of time.
fn place(entry: &KeyEntry, id: &[u8; 16]) -> String {
    format!("{}/{}", entry.record().id, ids::id(Prefix::Signature, id))
}

/// The signature request that has the external identifier, if one has.
///
/// # Errors
/// 409 if it is another request.
fn repeated(
    state: &State,
    call: &Call,
    external: &str,
    entry: &KeyEntry,
) -> Result<Option<Value>, Refusal> {
    // A longer one is refused with the rest of the body.
    if external.is_empty() || external.chars().count() > 50 {
        return Ok(None);
    }
    let caller = state.system()?;
    let Some(found) = state.engine.document(&caller, EXTERNAL_IDS, external)? else {
        return Ok(None);
    };
    let broken = EngineError::Internal("a stored signature request");
    let own: External = serde_json::from_slice(&found.body).map_err(|_| broken.clone())?;
    let stored = state.engine.document(&caller, SIGNATURES, &own.signature)?;
    let stored = stored.ok_or_else(|| broken.clone())?;
    let stored: Value = serde_json::from_slice(&stored.body).map_err(|_| broken)?;
    if own.key == key_id(entry.record()) && own.body == body_hash(call)? {
        return Ok(Some(stored));
    }
    let duplicate = json!({"id": stored["id"], "externalId": external});
    Err(Refusal::conflict(CONFLICTING, json!({"duplicate": duplicate})))
}

pub(crate) async fn read(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let entry = known_key(&state, &call, call.param("key"))?;
    let id = call.param("signature");
    let details = json!({
        "keyId": key_id(entry.record()),
        "signatureId": id,
        "orgId": ids::org(state.realm),
    });
    let missing = || Refusal::not_found("signature not found", details);
    let Some(bytes) = ids::parse(Prefix::Signature, id) else { return Err(missing()) };
    let found = state.engine.document(&state.system()?, SIGNATURES, &place(&entry, &bytes))?;
    let stored = serde_json::from_slice(&found.ok_or_else(missing)?.body);
    let stored: Value = stored.map_err(|_| EngineError::Internal("a stored signature request"))?;
    Ok(stored.into())
}

pub(crate) async fn list(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let page = Page::of(&call)?;
    let entry = known_key(&state, &call, call.param("key"))?;
    let prefix = format!("{}/", entry.record().id);
    let after = match &page.token {
        None => None,
        // The last identifier of a page.
        Some(token) => {
            let bytes = ids::parse(Prefix::Signature, token).ok_or_else(bad_page_token)?;
            Some(place(&entry, &bytes))
        }
    };
    let caller = state.system()?;
    let found =
        state.engine.documents(&caller, SIGNATURES, &prefix, after.as_deref(), page.limit)?;
    let mut items: Vec<Value> = Vec::new();
    for document in &found.documents {
        let stored = serde_json::from_slice(&document.body);
        items.push(stored.map_err(|_| EngineError::Internal("a stored signature request"))?);
    }
    let last = items.last().and_then(|last| last["id"].as_str()).map(str::to_owned);
    let mut value = page_of(items, last.filter(|_| found.more));
    value["keyId"] = json!(key_id(entry.record()));
    Ok(value.into())
}
