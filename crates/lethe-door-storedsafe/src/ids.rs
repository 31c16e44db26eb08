//! Numbers for users and vaults: clients show them, and take a number for an identifier and
//! everything else for a search.

use lethe_engine::{
    Caller, Collection, DocumentChange, DoorOperation, Engine, EngineError, Expected,
};

const COUNTERS: Collection = Collection::named("counter");
const NUMBERS: &str = "numbers";
/// How often others may be faster before it is given up.
const TRIES_MAX: u32 = 512;

/// A number that nobody has. One that is then not used is lost, which does no harm.
///
/// # Errors
/// The engine's.
pub(crate) async fn take(engine: &Engine, caller: &Caller) -> Result<String, EngineError> {
    for _ in 0..TRIES_MAX {
        let before = engine.document(caller, COUNTERS, NUMBERS)?;
        let (last, expected) = match &before {
            None => (0, Expected::Nothing),
            Some(document) => {
                let text = core::str::from_utf8(&document.body).ok();
                let last: Option<u64> = text.and_then(|text| text.parse().ok());
                let last = last.ok_or(EngineError::Internal("the counter of numbers"))?;
                (last, Expected::Revision(document.revision))
            }
        };
        let number = (last + 1).to_string();
        let change = DocumentChange {
            collection: COUNTERS,
            id: NUMBERS.to_owned(),
            expected,
            body: Some(number.clone().into_bytes()),
        };
        let operation = DoorOperation::named("storedsafe.number.take");
        match engine.write_documents(caller, operation, vec![change]).await {
            Ok(()) => return Ok(number),
            Err(EngineError::RevisionMismatch) => {}
            Err(error) => return Err(error),
        }
    }
    Err(EngineError::ServerLimitExceeded("numbers that others take at the same time"))
}
