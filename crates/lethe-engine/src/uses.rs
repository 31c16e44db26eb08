//! Uses of a key: catalogue → permission → state → expanded key → answer. Nothing here touches the
//! store.
//!
//! The audit event is queued before the answer is given; if it cannot be, there is no answer.
//!
//! Here is what all uses have in common; the uses are in `cipher.rs`, `sign.rs`, `secrets.rs` and,
//! without a key of ours, `plain.rs`. A batch has no form of its own: each of its items is a use
//! with its own checks and its own audit event, so that it can be neither cheaper nor laxer.

mod cipher;
mod context;
mod derive;
mod plain;
mod secrets;
mod sign;

use std::sync::Arc;

use lethe_crypto::CryptoError;
use lethe_crypto::registry::{UsableKey, Use};
use lethe_types::{KeyId, KeyState};

use crate::authz::{self, Authorized, Caller, Operation};
use crate::{Engine, EngineError, versions};

pub use cipher::{
    Binding, DecryptForm, DecryptRequest, EncryptForm, EncryptRequest, Encrypted, RawEncrypt,
    RawNonce,
};
pub use context::BoundContext;
pub use derive::{DeriveFrom, DeriveHow};
pub use secrets::{AgreedForm, PeerKey};

/// Which of the two ways SP 800-57 section 7 allows a use in a state.
#[derive(Clone, Copy)]
enum Way {
    /// Protects new data: active keys only.
    Protect,
    /// Processes data that is protected already: deactivated and compromised keys too.
    Process,
}

impl Engine {
    /// Authorises, runs `work`, audits; the answer is given only if the event was queued.
    fn use_key<Op: Operation, T>(
        &self,
        caller: &Caller,
        key: KeyId,
        work: impl FnOnce(&Authorized<Op>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let now = self.shared.clock.now();
        let result = self
            .shared
            .catalogue
            .key(key)
            .ok_or(EngineError::ItemNotFound("key"))
            .and_then(|entry| authz::check::<Op>(caller, entry))
            .and_then(|proof| {
                let value = work(&proof)?;
                self.shared.catalogue.count_use(proof.entry(), now, caller.principal());
                Ok(value)
            });
        let refusal = result.as_ref().err();
        self.audit::<Op>(caller, now, Some(key), refusal)?;
        result
    }

    /// The current version, or the one that was `wanted`, expanded, after the checks of state and
    /// use.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] for a version that the key does not have.
    fn version<Op: Operation>(
        &self,
        proof: &Authorized<Op>,
        wanted: Option<u32>,
        needed: Use,
        way: Way,
    ) -> Result<(u32, Arc<UsableKey>), EngineError> {
        may_use::<Op>(proof, needed, way)?;
        let entry = proof.entry();
        let (position, version) = match (way, wanted) {
            (Way::Process, Some(number)) => {
                versions::to_process(entry, number)?.ok_or(EngineError::ItemNotFound("version"))?
            }
            (Way::Process | Way::Protect, _) => versions::to_protect(entry, wanted)?,
        };
        Ok((version.number, self.shared.usable(entry, position, version)?))
    }

    /// What `attempt` finds with the newest version with which it finds something: all of them are
    /// tried, or the one that is `wanted` alone.
    fn any_version<Op, T>(
        &self,
        proof: &Authorized<Op>,
        wanted: Option<u32>,
        attempt: impl Fn(&UsableKey) -> Result<Option<T>, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        let entry = proof.entry();
        if let Some(number) = wanted {
            return match versions::to_process(entry, number)? {
                Some((position, version)) => {
                    attempt(&*self.shared.usable(entry, position, version)?)
                }
                None => Ok(None),
            };
        }
        for (position, version) in versions::all_to_process(entry) {
            if let Some(found) = attempt(&*self.shared.usable(entry, position, version)?)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The checks that need no key: state, and whether the algorithm has the use.
fn may_use<Op: Operation>(
    proof: &Authorized<Op>,
    needed: Use,
    way: Way,
) -> Result<(), EngineError> {
    let record = proof.entry().record();
    let allowed = match way {
        Way::Protect => record.state.may_protect(),
        Way::Process => record.state.may_process(),
    };
    if !allowed {
        return Err(match record.state {
            KeyState::Destroyed | KeyState::DestroyedCompromised => {
                EngineError::ObjectDestroyed(record.id)
            }
            KeyState::Stable(_) | KeyState::PendingDestruction { .. } => {
                EngineError::WrongStateForUse { state: record.state, operation: Op::VERB }
            }
        });
    }
    if proof.entry().is_closing() {
        return Err(EngineError::DestructionInProgress(record.id));
    }
    versions::has_use(record, needed, Op::VERB)
}

fn bounded(field: &'static str, data: &[u8], bytes_max: usize) -> Result<(), EngineError> {
    if data.len() <= bytes_max {
        Ok(())
    } else {
        let why = format!("has {} bytes, at most {bytes_max} are allowed", data.len());
        Err(EngineError::InvalidField { field, why })
    }
}

/// What the library says of a request, with the field that it is about; `field` if it does not say.
fn in_field(field: &'static str, error: CryptoError) -> EngineError {
    let (CryptoError::Invalid(what) | CryptoError::Unsupported(what)) = error else {
        return error.into();
    };
    let named = FIELDS.iter().find(|(part, _)| what.contains(part)).map(|(_, field)| *field);
    EngineError::InvalidField { field: named.unwrap_or(field), why: error.to_string() }
}

/// Parts of what the library says, and the fields that they speak of.
const FIELDS: &[(&str, &str)] = &[
    ("nonce", "nonce"),
    ("length of the tag", "tag"),
    ("truncated tag", "bytes"),
    ("HKDF", "bytes"),
    ("pad a plaintext", "padding"),
    ("associated data", "aad"),
    ("plaintext", "plaintext"),
    ("ciphertext", "ciphertext"),
    ("signature scheme", "scheme"),
    ("digest", "digest"),
    ("context", "context"),
    ("salt", "salt_bytes"),
    ("Merkle root", "merkle_root"),
    ("domain", "domain"),
    ("public key", "public_key"),
    ("key to wrap", "plaintext"),
];
