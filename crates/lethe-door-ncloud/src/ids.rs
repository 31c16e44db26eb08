//! The identifiers that this door gives to keys: a number, and the tag that stands in every URL.

use core::ops::Range;

use lethe_crypto::hash::sha256;
use lethe_engine::{Collection, DocumentChange, DoorOperation, Engine, EngineError, Expected};
use lethe_types::{Entropy, RealmId};
use parking_lot::Mutex;

use crate::DOOR;

/// Numbers that are reserved in one commit. What a stop leaves of them is never given out.
const NUMBERS_RESERVED: u64 = 100;
/// Attempts to reserve numbers, each lost to somebody who reserved some at the same time.
const RESERVATION_ATTEMPTS_MAX: usize = 64;
const COUNTERS: Collection = Collection::named("counter");
const KEY_NUMBER: &str = "key_id";
const RESERVE: DoorOperation = DoorOperation::named("ncloud.key_id.reserve");

/// Random bytes in a tag.
pub(crate) const TAG_RANDOM_BYTES: usize = 16;

/// The numbers of keys: each is given out once, ever.
#[derive(Debug, Default)]
pub(crate) struct KeyNumbers(Mutex<Range<u64>>);

impl KeyNumbers {
    /// A number that no key of the realm ever had.
    ///
    /// # Errors
    /// The engine's, if none can be reserved.
    pub(crate) async fn next(&self, engine: &Engine, realm: RealmId) -> Result<u64, EngineError> {
        for _ in 0..RESERVATION_ATTEMPTS_MAX {
            if let Some(number) = self.0.lock().next() {
                return Ok(number);
            }
            // Of many who find none left one reserves for all: the others look again.
            let Some(mut reserved) = reserve(engine, realm).await? else { continue };
            let number = reserved.next().ok_or(EngineError::Internal("no number was reserved"))?;
            let mut left = self.0.lock();
            // Somebody else may have reserved some meanwhile; theirs come later then.
            if left.is_empty() {
                *left = reserved;
            }
            return Ok(number);
        }
        Err(EngineError::ServerLimitExceeded("numbers that others take at the same time"))
    }
}

/// Some numbers; `None` if others reserved some at the same time. The document holds the next one
/// in decimal digits.
async fn reserve(engine: &Engine, realm: RealmId) -> Result<Option<Range<u64>>, EngineError> {
    let system = engine.system_caller(realm, DOOR)?;
    let found = engine.document(&system, COUNTERS, KEY_NUMBER)?;
    let (first, expected) = match &found {
        None => (1, Expected::Nothing),
        Some(document) => {
            let text = core::str::from_utf8(&document.body).ok();
            let first = text.and_then(|text| text.parse().ok());
            let first = first.ok_or(EngineError::Internal("the counter of keys"))?;
            (first, Expected::Revision(document.revision))
        }
    };
    let end: u64 = first + NUMBERS_RESERVED;
    let change = DocumentChange {
        collection: COUNTERS,
        id: KEY_NUMBER.to_owned(),
        expected,
        body: Some(end.to_string().into_bytes()),
    };
    match engine.write_documents(&system, RESERVE, vec![change]).await {
        Ok(()) => Ok(Some(first..end)),
        Err(EngineError::RevisionMismatch) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A tag that was never given out: derived from keystore and name, and from chance, so that the
/// same name made anew gets another one.
///
/// # Errors
/// [`EngineError::EntropyUnavailable`].
pub(crate) fn new_tag(
    entropy: &dyn Entropy,
    keystore_id: u32,
    name: &str,
) -> Result<String, EngineError> {
    let mut random = [0; TAG_RANDOM_BYTES];
    entropy.fill(&mut random)?;
    Ok(tag(keystore_id, name, &random))
}

pub(crate) fn tag(keystore_id: u32, name: &str, random: &[u8; TAG_RANDOM_BYTES]) -> String {
    let keystore = keystore_id.to_string();
    hex(&sha256(&[b"keystore:", keystore.as_bytes(), &[0], name.as_bytes(), &[0], random]))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
