//! Uses of a key: catalogue → permission → state → expanded key → answer. Nothing here touches the
//! store.
//!
//! The audit event is queued before the answer is given; if it cannot be, there is no answer.

use std::sync::Arc;

use lethe_crypto::registry::{SignatureScheme, UsableKey, Use};
use lethe_types::limits::{AAD_BYTES_MAX, MESSAGE_BYTES_MAX, PLAINTEXT_BYTES_MAX};
use lethe_types::{KeyId, KeyState, SecretVec};

use crate::authz::{
    self, Agree, Authorized, Caller, Decrypt, Encrypt, Mac, MacVerify, Operation, Sign, Verify,
};
use crate::{Engine, EngineError, versions};

/// First byte of every ciphertext of [`Engine::encrypt`]: the format.
const CIPHERTEXT_FORMAT: u8 = 1;
/// Format byte and version number.
const CIPHERTEXT_HEADER_BYTES: usize = 5;
/// Binds a ciphertext to this use, so that no other value sealed under the key can pass for one.
const CIPHERTEXT_DOMAIN: &[u8] = b"lethe-ciphertext/v1";
/// Nonce and tag, and some room: what a ciphertext has more than its plaintext.
const CIPHERTEXT_OVERHEAD_BYTES_MAX: usize = 64;

/// Which of the two ways SP 800-57 section 7 allows a use in a state.
#[derive(Clone, Copy)]
enum Way {
    /// Protects new data: active keys only.
    Protect,
    /// Processes data that is protected already: deactivated and compromised keys too.
    Process,
}

impl Engine {
    /// Encrypts `plaintext` under the key's current version and appends the ciphertext to `out`.
    ///
    /// Layout: `u8 format = 1 | u32 key version, big-endian | 12 nonce | ciphertext | 16 tag`.
    /// The associated data covers key id, version and `aad`. At most [`PLAINTEXT_BYTES_MAX`] and
    /// [`AAD_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// See [`EngineError`]; `out` is as it was before.
    pub fn encrypt(
        &self,
        caller: &Caller,
        key: KeyId,
        plaintext: &[u8],
        aad: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<u32, EngineError> {
        let before = out.len();
        let result = self.use_key::<Encrypt, _>(caller, key, |proof| {
            bounded("plaintext", plaintext, PLAINTEXT_BYTES_MAX)?;
            bounded("aad", aad, AAD_BYTES_MAX)?;
            let (version, usable) = self.current::<Encrypt>(proof, Use::Encrypt, Way::Protect)?;
            out.push(CIPHERTEXT_FORMAT);
            out.extend_from_slice(&version.to_be_bytes());
            let bound = bound_aad(key, version, aad);
            usable.encrypt(&*self.shared.entropy, plaintext, &bound, out)?;
            Ok(version)
        });
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// Decrypts what [`Engine::encrypt`] made, with the version that the ciphertext names.
    ///
    /// # Errors
    /// [`EngineError::CryptographicFailure`] for everything that this key did not make with this
    /// `aad`, without saying why.
    pub fn decrypt(
        &self,
        caller: &Caller,
        key: KeyId,
        ciphertext: &[u8],
        aad: &[u8],
    ) -> Result<SecretVec, EngineError> {
        self.use_key::<Decrypt, _>(caller, key, |proof| {
            let longest =
                PLAINTEXT_BYTES_MAX + CIPHERTEXT_HEADER_BYTES + CIPHERTEXT_OVERHEAD_BYTES_MAX;
            bounded("ciphertext", ciphertext, longest)?;
            bounded("aad", aad, AAD_BYTES_MAX)?;
            may_use::<Decrypt>(proof, Use::Decrypt, Way::Process)?;
            let (number, body) = parse_ciphertext(ciphertext)?;
            let (position, version) = versions::to_process(proof.entry(), number)?
                .ok_or(EngineError::CryptographicFailure)?;
            let usable = self.shared.usable(proof.entry(), position, version)?;
            let bound = bound_aad(key, number, aad);
            usable.decrypt(body, &bound).map_err(|_| EngineError::CryptographicFailure)
        })
    }

    /// Signs `message` with the key's current version; `scheme` is the algorithm's default if
    /// `None`.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn sign(
        &self,
        caller: &Caller,
        key: KeyId,
        scheme: Option<SignatureScheme>,
        message: &[u8],
    ) -> Result<(u32, Vec<u8>), EngineError> {
        self.use_key::<Sign, _>(caller, key, |proof| {
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            let (version, usable) = self.current::<Sign>(proof, Use::Sign, Way::Protect)?;
            Ok((version, usable.sign(scheme, message)?))
        })
    }

    /// Whether `signature` is this key's over `message`, by its `version` or, without one, by any
    /// version that has material.
    ///
    /// # Errors
    /// See [`EngineError`]. A malformed signature is not an error: it is not valid.
    pub fn verify(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        scheme: Option<SignatureScheme>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, EngineError> {
        self.use_key::<Verify, _>(caller, key, |proof| {
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            may_use::<Verify>(proof, Use::Verify, Way::Process)?;
            self.any_version(
                proof,
                version,
                |usable| Ok(usable.verify(scheme, message, signature)?),
            )
        })
    }

    /// The message authentication code of `message` under the key's current version.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn mac(
        &self,
        caller: &Caller,
        key: KeyId,
        message: &[u8],
    ) -> Result<(u32, Vec<u8>), EngineError> {
        self.use_key::<Mac, _>(caller, key, |proof| {
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            let (version, usable) = self.current::<Mac>(proof, Use::Mac, Way::Protect)?;
            Ok((version, usable.mac(message)?))
        })
    }

    /// Whether `tag` is this key's code of `message`, by `version` or any version that has
    /// material.
    ///
    /// # Errors
    /// See [`EngineError`]. A tag of the wrong length is not an error: it is not valid.
    pub fn mac_verify(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        message: &[u8],
        tag: &[u8],
    ) -> Result<bool, EngineError> {
        self.use_key::<MacVerify, _>(caller, key, |proof| {
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            may_use::<MacVerify>(proof, Use::MacVerify, Way::Process)?;
            self.any_version(proof, version, |usable| Ok(usable.mac_verify(message, tag)?))
        })
    }

    /// The secret that the key's current version and `peer_public` agree on (RFC 7748).
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a public key of low order or the wrong length.
    pub fn agree(
        &self,
        caller: &Caller,
        key: KeyId,
        peer_public: &[u8],
    ) -> Result<SecretVec, EngineError> {
        self.use_key::<Agree, _>(caller, key, |proof| {
            let (_, usable) = self.current::<Agree>(proof, Use::Agree, Way::Protect)?;
            Ok(usable.agree(peer_public)?)
        })
    }

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

    /// The current version, expanded, after the checks of state and use.
    fn current<Op: Operation>(
        &self,
        proof: &Authorized<Op>,
        needed: Use,
        way: Way,
    ) -> Result<(u32, Arc<UsableKey>), EngineError> {
        may_use::<Op>(proof, needed, way)?;
        let entry = proof.entry();
        let (position, version) = versions::to_protect(entry, None)?;
        Ok((version.number, self.shared.usable(entry, position, version)?))
    }

    fn any_version<Op>(
        &self,
        proof: &Authorized<Op>,
        wanted: Option<u32>,
        check: impl Fn(&UsableKey) -> Result<bool, EngineError>,
    ) -> Result<bool, EngineError> {
        let entry = proof.entry();
        if let Some(number) = wanted {
            return match versions::to_process(entry, number)? {
                Some((position, version)) => check(&*self.shared.usable(entry, position, version)?),
                None => Ok(false),
            };
        }
        for (position, version) in versions::all_to_process(entry) {
            if check(&*self.shared.usable(entry, position, version)?)? {
                return Ok(true);
            }
        }
        Ok(false)
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

fn bound_aad(key: KeyId, version: u32, aad: &[u8]) -> Vec<u8> {
    let mut bound = Vec::with_capacity(CIPHERTEXT_DOMAIN.len() + 20 + aad.len());
    bound.extend_from_slice(CIPHERTEXT_DOMAIN);
    bound.extend_from_slice(key.as_bytes());
    bound.extend_from_slice(&version.to_be_bytes());
    bound.extend_from_slice(aad);
    bound
}

fn parse_ciphertext(ciphertext: &[u8]) -> Result<(u32, &[u8]), EngineError> {
    let refused = EngineError::CryptographicFailure;
    let (header, body) =
        ciphertext.split_first_chunk::<CIPHERTEXT_HEADER_BYTES>().ok_or(refused.clone())?;
    let [CIPHERTEXT_FORMAT, number @ ..] = *header else { return Err(refused) };
    Ok((u32::from_be_bytes(number), body))
}

fn bounded(field: &'static str, data: &[u8], bytes_max: usize) -> Result<(), EngineError> {
    if data.len() <= bytes_max {
        Ok(())
    } else {
        let why = format!("has {} bytes, at most {bytes_max} are allowed", data.len());
        Err(EngineError::InvalidField { field, why })
    }
}
