//! Agreement on a secret, which is given out.

use std::sync::Arc;

use lethe_crypto::hash::HashAlgorithm;
use lethe_engine::AgreedForm;
use serde_json::json;

use crate::b64;
use crate::call::{Answer, Call, Work};
use crate::error::Failure;
use crate::handlers::mac::hash_named;
use crate::handlers::peer::{self, Named};
use crate::state::State;

/// Bytes of a raw secret where the operator wants what the device gives.
const TRUNCATED_BYTES: usize = 32;

pub(crate) fn ecdh(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let hash = match call.body.text("alg")? {
            None => None,
            Some(name) => Some(hash_of(hash_named(name)?.name)?),
        };
        let other = Named::of(call)?.ok_or(Failure::BadArgument)?;
        let kid = call.about().ok_or(Failure::BadArgument)?;
        let key = state.key(kid).ok_or(Failure::NotDone)?;
        let form = hash.map_or(AgreedForm::Raw, AgreedForm::Hash);
        let secret = peer::agree(state, &call.session()?.caller, (&key, &other), &form)?;
        let mut shown = secret.expose();
        if hash.is_none() && state.settings.raw_ecdh_truncate_32 {
            shown = shown.get(..TRUNCATED_BYTES).unwrap_or(shown);
        }
        Ok(Answer::json(&json!({ "ecdh": b64::encode(shown) })))
    };
    Work::Now(work())
}

fn hash_of(name: &str) -> Result<HashAlgorithm, Failure> {
    const HASHES: [(&str, HashAlgorithm); 6] = [
        ("SHA2-256", HashAlgorithm::Sha256),
        ("SHA2-384", HashAlgorithm::Sha384),
        ("SHA2-512", HashAlgorithm::Sha512),
        ("SHA3-256", HashAlgorithm::Sha3_256),
        ("SHA3-384", HashAlgorithm::Sha3_384),
        ("SHA3-512", HashAlgorithm::Sha3_512),
    ];
    let found = HASHES.iter().find(|(known, _)| *known == name);
    found.map(|(_, hash)| *hash).ok_or(Failure::BadArgument)
}
