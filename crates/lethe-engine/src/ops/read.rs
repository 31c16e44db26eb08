//! See keys.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_crypto::CryptoError;
use lethe_crypto::aead::{NONCE_BYTES, SealKey};
use lethe_crypto::kdf::hkdf_sha256;
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{Entropy, KeyId, RealmId, Secret};

use crate::authz::{self, Caller, Operation as _, ReadKey};
use crate::catalogue::{KeyEntry, KeyFilter, Position};
use crate::{Engine, EngineError};

/// One page of a list, oldest key first; with a prefix of names it may be in the order of names.
#[derive(Debug)]
pub struct KeyPage {
    /// The keys. There may be fewer than asked for, even none, before the last page: a page ends
    /// also when it looked at [`lethe_types::limits::LIST_ENTRIES_MAX`] entries.
    pub keys: Vec<Arc<KeyEntry>>,
    /// Where the next page starts; `None` after the last page only.
    pub next: Option<String>,
}

/// Turns positions in an index into cursors and back.
///
/// A position can name a key that the caller may not see (the last one that was looked at), so it
/// leaves the engine only sealed: base64url of `12 nonce | position | 16 tag` by AES-256-GCM. Realm
/// and filter are the associated data, so that a cursor of another list is refused. The key is made
/// of the installation's pepper: cursors outlive a restart.
#[derive(Debug)]
pub(crate) struct ListCursors(SealKey);

impl ListCursors {
    /// # Errors
    /// [`CryptoError::Library`].
    pub(crate) fn new(pepper: &Secret<32>) -> Result<Self, CryptoError> {
        Ok(Self(SealKey::new(&hkdf_sha256(b"", pepper.expose(), &[b"lethe-list-cursor/v1"])?)))
    }

    fn text(
        &self,
        realm: RealmId,
        filter: &KeyFilter,
        position: &Position,
        entropy: &dyn Entropy,
    ) -> Result<String, EngineError> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce)?;
        let mut body = position.to_bytes();
        let tag = self.0.seal_in_place(nonce, &filter.to_bytes(realm), &mut body)?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &body, &tag].concat()))
    }

    /// `None` for what [`ListCursors::text`] did not write for this filter.
    fn position(&self, realm: RealmId, filter: &KeyFilter, text: &str) -> Option<Position> {
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, body) = bytes.split_first_chunk_mut::<NONCE_BYTES>()?;
        let position = self.0.open_in_place(*nonce, &filter.to_bytes(realm), body).ok()?;
        Position::parse(position)
    }
}

impl Engine {
    /// The key's metadata, or its tombstone.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn read_key(&self, caller: &Caller, key: KeyId) -> Result<Arc<KeyEntry>, EngineError> {
        let result = self
            .load(key)
            .and_then(|entry| authz::check::<ReadKey>(caller, entry))
            .map(|proof| proof.entry().clone());
        let now = self.shared.clock.now();
        self.audit::<ReadKey>(caller, now, Some(key), result.as_ref().err())?;
        result
    }

    /// Up to `limit` (at most [`PAGE_KEYS_MAX`]) keys that the filter shows and the caller may see,
    /// from the start or on from `cursor`, which is [`KeyPage::next`] of a page of the same filter.
    ///
    /// Keys that the caller may not see are left out, as if they were not there; a caller who may
    /// see none, whatever there is, is refused. A key that is
    /// there all the time is on exactly one page, whatever is added and destroyed between pages; a
    /// key that is renamed meanwhile may be missed or come twice where names are the order.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a limit of 0 or over the bound, for a cursor of another
    /// filter or realm, and for too many labels; [`EngineError::PermissionDenied`].
    pub fn list_keys(
        &self,
        caller: &Caller,
        filter: &KeyFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, EngineError> {
        let now = self.shared.clock.now();
        let result = self.list_keys_unaudited(caller, filter, cursor, limit);
        self.audit::<ReadKey>(caller, now, None, result.as_ref().err())?;
        result
    }

    fn list_keys_unaudited(
        &self,
        caller: &Caller,
        filter: &KeyFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, EngineError> {
        if !(1..=PAGE_KEYS_MAX).contains(&limit) {
            let why = format!("must be 1 to {PAGE_KEYS_MAX}");
            return Err(EngineError::InvalidField { field: "limit", why });
        }
        filter.check()?;
        // Whoever may see no key at all is told so, and does not take the realm for empty.
        if !caller.holds_anywhere(ReadKey::PERMISSION) {
            return Err(EngineError::PermissionDenied(ReadKey::PERMISSION));
        }
        let shared = &self.shared;
        let realm = caller.realm();
        let refused = || {
            let why = "must be `next` of an earlier page of the same list".to_owned();
            EngineError::InvalidField { field: "cursor", why }
        };
        let open = |text| shared.cursors.position(realm, filter, text).ok_or_else(refused);
        let after = cursor.map(open).transpose()?;
        let may_see = |entry: &KeyEntry| caller.may_read(entry.record());
        let found = shared.catalogue.search(realm, filter, after, limit, may_see);
        let found = found.ok_or_else(refused)?;
        let text = |at: Position| shared.cursors.text(realm, filter, &at, &*shared.entropy);
        Ok(KeyPage { keys: found.keys, next: found.next.map(text).transpose()? })
    }
}
