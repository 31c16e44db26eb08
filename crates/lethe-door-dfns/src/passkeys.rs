//! Signature counters of passkeys: each signature says a later number than the one before, if the
//! authenticator counts at all (Web Authentication Level 2, section 7.2 step 21). One that does
//! not is of a copy.

use lethe_engine::record::Credential;
use lethe_engine::{Collection, DocumentChange, DoorOperation, EngineError, Expected};
use lethe_types::CredentialId;

use crate::account::{COUNTER, text_of};
use crate::ids;
use crate::state::State;

/// A document for each passkey that counts, with the last number in decimal digits.
const COUNTERS: Collection = Collection::named("passkey_counter");
/// How often a number is looked up anew when another signature of the passkey came in between.
const TRIES_MAX: u32 = 8;
const OPERATION: DoorOperation = DoorOperation::named("dfns.passkey.count");

/// Keeps the number of a signature that holds; whether it is later than the last one. What is kept
/// is durable when this answers.
///
/// # Errors
/// The engine's.
pub(crate) async fn count(
    state: &State,
    key: &Credential,
    presented: u32,
) -> Result<bool, EngineError> {
    let caller = state.system()?;
    let id = ids::credential(key.id);
    let registered = text_of(&key.attributes, COUNTER).and_then(|text| text.parse().ok());
    for _ in 0..TRIES_MAX {
        let stored = state.engine.document(&caller, COUNTERS, &id)?;
        let last: u32 = match &stored {
            None => registered.unwrap_or_default(),
            Some(stored) => {
                let number = core::str::from_utf8(&stored.body).ok().and_then(|n| n.parse().ok());
                number.ok_or(EngineError::Internal("a stored counter of a passkey"))?
            }
        };
        if last == 0 && presented == 0 {
            return Ok(true);
        }
        if presented <= last {
            return Ok(false);
        }
        let change = DocumentChange {
            collection: COUNTERS,
            id: id.clone(),
            expected: stored.map_or(Expected::Nothing, |seen| Expected::Revision(seen.revision)),
            body: Some(presented.to_string().into_bytes()),
        };
        match state.engine.write_documents(&caller, OPERATION, vec![change]).await {
            Err(EngineError::RevisionMismatch) => {}
            result => return result.map(|()| true),
        }
    }
    Err(EngineError::RevisionMismatch)
}

/// Forgets the numbers of passkeys that are gone. What stays behind says nothing to anybody.
pub(crate) async fn forget(state: &State, gone: &[CredentialId]) {
    let Ok(caller) = state.system() else { return };
    for id in gone {
        let id = ids::credential(*id);
        if !matches!(state.engine.document(&caller, COUNTERS, &id), Ok(Some(_))) {
            continue;
        }
        let change =
            DocumentChange { collection: COUNTERS, id, expected: Expected::Anything, body: None };
        let _told_by_the_trail =
            state.engine.write_documents(&caller, OPERATION, vec![change]).await;
    }
}
