//! What needs no private key: random bytes, hashes, signatures of others, public keys.

use lethe_crypto::CryptoError;
use lethe_crypto::hash::{Hash, HashAlgorithm, digest};
use lethe_crypto::registry::{Algorithm, PublicFormat, PublicKey, SignRequest, Use};
use lethe_types::limits::{MESSAGE_BYTES_MAX, RANDOM_BYTES_MAX};
use lethe_types::{KeyId, SecretVec};

use super::sign::bounded_input;
use super::{PeerKey, bounded, in_field};
use crate::authz::{
    self, Authorized, Caller, ComputeHash, DrawRandom, Operation, ReadPublicKey, TweakedKey,
    VerifyForeign,
};
use crate::{Engine, EngineError, versions};

impl Engine {
    /// `bytes` bytes of the server's random source, 1 to [`RANDOM_BYTES_MAX`]. For callers who may
    /// read something in their realm.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`], [`EngineError::InvalidField`],
    /// [`EngineError::EntropyUnavailable`].
    pub fn random(&self, caller: &Caller, bytes: usize) -> Result<SecretVec, EngineError> {
        self.without_key::<DrawRandom, _>(caller, || {
            if !(1..=RANDOM_BYTES_MAX).contains(&bytes) {
                let why = format!("must be 1 to {RANDOM_BYTES_MAX}");
                return Err(EngineError::InvalidField { field: "bytes", why });
            }
            let entropy = &*self.shared.entropy;
            Ok(SecretVec::try_init_with(bytes, |buf| entropy.fill(buf))?)
        })
    }

    /// The hash of `message`. For callers who may read something in their realm.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`], [`EngineError::InvalidField`].
    pub fn hash(
        &self,
        caller: &Caller,
        algorithm: HashAlgorithm,
        message: &[u8],
    ) -> Result<Hash, EngineError> {
        self.without_key::<ComputeHash, _>(caller, || {
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            Ok(digest(algorithm, &[message]))
        })
    }

    /// Whether `signature` over what `request` says is by a public key that is not here. For
    /// callers who may verify with something in their realm.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a public key that is not one of `algorithm`, and for the
    /// request as [`Engine::verify_with`]; [`EngineError::IncompatibleUse`] if keys of `algorithm`
    /// do not sign. Never for the signature.
    pub fn verify_foreign(
        &self,
        caller: &Caller,
        algorithm: Algorithm,
        public_key: &PeerKey<'_>,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, EngineError> {
        self.without_key::<VerifyForeign, _>(caller, || {
            bounded_input(request)?;
            if !algorithm.has(Use::Verify) {
                let operation = VerifyForeign::VERB;
                return Err(EngineError::IncompatibleUse {
                    algorithm: algorithm.name(),
                    operation,
                });
            }
            let of_key = |error| in_field("public_key", error);
            let public = algorithm.import_public(public_key.format, public_key.bytes);
            let public = public.map_err(of_key)?;
            let usable = algorithm.load_public(public.spki_der()).map_err(of_key)?;
            let valid = usable.verify_with(request, signature);
            valid.map_err(|error| in_field("message", error))
        })
    }

    /// The public key of `version`, or of the current version, and the version. In every state of
    /// the key in which it has material.
    ///
    /// # Errors
    /// [`EngineError::ObjectDestroyed`]; [`EngineError::ItemNotFound`] for a version that the key
    /// does not have, and for a symmetric key.
    pub fn public_key(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
    ) -> Result<(u32, PublicKey), EngineError> {
        self.reading::<ReadPublicKey, _>(caller, key, |proof| {
            let record = proof.entry().record();
            let (version, der) = stored_public_key(proof, version)?;
            let public = record.algorithm.import_public(PublicFormat::SpkiDer, der);
            // What was stored is what the algorithm wrote.
            let public = public.map_err(|_| EngineError::Internal("a stored public key"))?;
            Ok((version, public))
        })
    }

    /// The x coordinate of the output key of BIP-341 to `version`, or to the current version,
    /// tweaked by `merkle_root`, which is empty or has 32 bytes; and the version.
    ///
    /// # Errors
    /// As [`Engine::public_key`]; [`EngineError::IncompatibleUse`] for a key on another curve,
    /// [`EngineError::InvalidField`] for a root of another length.
    pub fn taproot_output_key(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        merkle_root: &[u8],
    ) -> Result<(u32, [u8; 32]), EngineError> {
        self.reading::<TweakedKey, _>(caller, key, |proof| {
            let algorithm = proof.entry().record().algorithm;
            let (version, der) = stored_public_key(proof, version)?;
            let unfit = |_| EngineError::IncompatibleUse {
                algorithm: algorithm.name(),
                operation: TweakedKey::VERB,
            };
            let usable = algorithm.load_public(der).map_err(unfit)?;
            let output = usable.taproot_output_key(merkle_root).map_err(|error| match error {
                CryptoError::Unsupported(_) => unfit(error),
                CryptoError::Authentication
                | CryptoError::Entropy
                | CryptoError::Invalid(_)
                | CryptoError::Library(_) => in_field("merkle_root", error),
            })?;
            Ok((version, output))
        })
    }

    /// Authorises on anything in the realm, runs `work`, audits.
    fn without_key<Op: Operation, T>(
        &self,
        caller: &Caller,
        work: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let result = if caller.holds_anywhere(Op::PERMISSION) {
            work()
        } else {
            Err(EngineError::PermissionDenied(Op::PERMISSION))
        };
        self.audit::<Op>(caller, self.shared.clock.now(), None, result.as_ref().err())?;
        result
    }

    /// Authorises, runs `work` on the metadata of a key, audits. It does not count as a use.
    fn reading<Op: Operation, T>(
        &self,
        caller: &Caller,
        key: KeyId,
        work: impl FnOnce(&Authorized<Op>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let entry = self.shared.catalogue.key(key).ok_or(EngineError::ItemNotFound("key"));
        let result = entry
            .and_then(|entry| authz::check::<Op>(caller, entry))
            .and_then(|proof| work(&proof));
        self.audit::<Op>(caller, self.shared.clock.now(), Some(key), result.as_ref().err())?;
        result
    }
}

/// The `SubjectPublicKeyInfo` of a version as the record has it.
fn stored_public_key<Op>(
    proof: &Authorized<Op>,
    wanted: Option<u32>,
) -> Result<(u32, &[u8]), EngineError> {
    let record = proof.entry().record();
    if record.state.is_destroyed() {
        return Err(EngineError::ObjectDestroyed(record.id));
    }
    let version = match wanted {
        Some(number) => versions::find(record, number)?,
        None => versions::to_protect(proof.entry(), None)?.1,
    };
    let der = version.public_key_der.as_deref();
    Ok((version.number, der.ok_or(EngineError::ItemNotFound("public key"))?))
}
