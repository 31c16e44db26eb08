//! Remembers which change an `Idempotency-Key` made, so that a retry gets the same answer.
//!
//! The row commits with the change it speaks of: after a crash either both are there or neither.

use std::collections::{BTreeMap, BTreeSet};

use lethe_crypto::hash::sha256;
use lethe_types::limits::{IDEMPOTENCY_ENTRIES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, IDEMPOTENCY_WINDOW};
use lethe_types::{KeyId, UnixMillis};
use parking_lot::RwLock;

use crate::EngineError;
use crate::authz::Caller;

/// A caller's idempotency key together with what it was sent with.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// Who, what and the caller's key, as a digest: the row's place.
    pub(crate) place: [u8; 32],
    /// The request that it belongs to.
    pub(crate) request: [u8; 32],
}

impl IdempotencyKey {
    /// `text` as `caller` sent it with `operation`, whose parameters are `request`.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] if `text` is empty, longer than
    /// [`IDEMPOTENCY_KEY_BYTES_MAX`] or not printable ASCII.
    pub fn new(
        caller: &Caller,
        operation: &str,
        text: &str,
        request: &[&[u8]],
    ) -> Result<Self, EngineError> {
        let sized = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len());
        if !sized || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            let why =
                format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters");
            return Err(EngineError::InvalidField { field: "Idempotency-Key", why });
        }
        let realm = caller.realm();
        let principal = caller.principal();
        let place = [
            b"lethe-idempotency/v1".as_slice(),
            realm.as_bytes(),
            principal.as_bytes(),
            operation.as_bytes(),
            b"\0",
            text.as_bytes(),
        ];
        // Lengths first, so that no two requests share a digest.
        let lengths: Vec<u8> = request.iter().flat_map(|part| part.len().to_be_bytes()).collect();
        let mut parts = vec![lengths.as_slice()];
        parts.extend_from_slice(request);
        Ok(Self { place: sha256(&place), request: sha256(&parts) })
    }
}

/// What an idempotency key led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) request: [u8; 32],
    pub(crate) key: KeyId,
    pub(crate) at: UnixMillis,
}

impl Remembered {
    /// `request 32 | key 16 | at u64`, 56 bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [self.request.as_slice(), self.key.as_bytes(), &self.at.0.to_be_bytes()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = bytes.split_first_chunk::<32>()?;
        let (key, at) = rest.split_first_chunk::<16>()?;
        let at = UnixMillis(u64::from_be_bytes(at.try_into().ok()?));
        Some(Self { request: *request, key: KeyId(*key), at })
    }
}

/// All remembered answers, and their order of age.
#[derive(Debug, Default)]
pub(crate) struct Idempotency {
    entries: RwLock<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    by_place: BTreeMap<[u8; 32], Remembered>,
    by_age: BTreeSet<(UnixMillis, [u8; 32])>,
}

impl Idempotency {
    /// The key that an earlier request with `idempotency` led to, if there was one.
    ///
    /// # Errors
    /// [`EngineError::IdempotencyKeyReused`] if it came with another request.
    pub(crate) fn find(
        &self,
        idempotency: &IdempotencyKey,
        now: UnixMillis,
    ) -> Result<Option<KeyId>, EngineError> {
        let entries = self.entries.read();
        match entries.by_place.get(&idempotency.place) {
            Some(remembered) if now.since(remembered.at) > IDEMPOTENCY_WINDOW => Ok(None),
            Some(remembered) if remembered.request == idempotency.request => {
                Ok(Some(remembered.key))
            }
            Some(_) => Err(EngineError::IdempotencyKeyReused),
            None => Ok(None),
        }
    }

    pub(crate) fn contains(&self, place: &[u8; 32], now: UnixMillis) -> bool {
        let entries = self.entries.read();
        entries.by_place.get(place).is_some_and(|entry| now.since(entry.at) <= IDEMPOTENCY_WINDOW)
    }

    /// Remembers an answer whose row is durable.
    pub(crate) fn insert(&self, place: [u8; 32], remembered: Remembered) {
        let mut entries = self.entries.write();
        if let Some(previous) = entries.by_place.insert(place, remembered) {
            entries.by_age.remove(&(previous.at, place));
        }
        entries.by_age.insert((remembered.at, place));
    }

    /// Up to `most` rows that are past the window or over the bound; the caller deletes them in its
    /// next commit and then calls [`Idempotency::forget`].
    pub(crate) fn expired(&self, now: UnixMillis, most: usize) -> Vec<[u8; 32]> {
        let entries = self.entries.read();
        let over = entries.by_place.len().saturating_sub(IDEMPOTENCY_ENTRIES_MAX);
        entries
            .by_age
            .iter()
            .take(most)
            .enumerate()
            .take_while(|(position, (at, _))| {
                *position < over || now.since(*at) > IDEMPOTENCY_WINDOW
            })
            .map(|(_, (_, place))| *place)
            .collect()
    }

    pub(crate) fn forget(&self, places: &[[u8; 32]]) {
        let mut entries = self.entries.write();
        for place in places {
            if let Some(remembered) = entries.by_place.remove(place) {
                entries.by_age.remove(&(remembered.at, *place));
            }
        }
    }
}
