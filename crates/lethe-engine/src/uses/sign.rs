//! Sign and verify; compute and check message authentication codes.

use lethe_crypto::registry::{
    MAC_TAG_BYTES_MIN, SignInput, SignRequest, Signature, SignatureScheme, Use,
};
use lethe_types::KeyId;
use lethe_types::limits::MESSAGE_BYTES_MAX;

use super::{Way, bounded, in_field, may_use};
use crate::authz::{Caller, Mac, MacVerify, Sign, Verify};
use crate::{Engine, EngineError};

impl Engine {
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
        let request = SignRequest { scheme, ..SignRequest::message(message) };
        let (version, signature) = self.sign_with(caller, key, None, &request)?;
        Ok((version, signature.bytes))
    }

    /// Signs what `request` says, with `version` or, without one, with the current version.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] for a version that the key does not have;
    /// [`EngineError::InvalidField`] for a part of the request that the scheme has no use for, or
    /// of a length or value that it refuses.
    pub fn sign_with(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        request: &SignRequest<'_>,
    ) -> Result<(u32, Signature), EngineError> {
        self.use_key::<Sign, _>(caller, key, |proof| {
            bounded_input(request)?;
            let (version, usable) =
                self.version::<Sign>(proof, version, Use::Sign, Way::Protect)?;
            let signature = usable.sign_with(request);
            Ok((version, signature.map_err(|error| in_field("message", error))?))
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
        let request = SignRequest { scheme, ..SignRequest::message(message) };
        self.verify_with(caller, key, version, &request, signature)
    }

    /// Whether `signature` is this key's over what `request` says, by its `version` or, without
    /// one, by any version that has material. A version that the key does not have made none.
    ///
    /// # Errors
    /// As [`Engine::sign_with`], for the request; never for the signature.
    pub fn verify_with(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, EngineError> {
        self.use_key::<Verify, _>(caller, key, |proof| {
            bounded_input(request)?;
            may_use::<Verify>(proof, Use::Verify, Way::Process)?;
            let found = self.any_version(proof, version, |usable| {
                let valid = usable.verify_with(request, signature);
                Ok(valid.map_err(|error| in_field("message", error))?.then_some(()))
            })?;
            Ok(found.is_some())
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
        self.mac_with(caller, key, None, None, message)
    }

    /// The message authentication code of `message` under `version` or the current version, cut to
    /// its first `tag_bytes` bytes or whole.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] for a version that the key does not have;
    /// [`EngineError::InvalidField`] for fewer than [`MAC_TAG_BYTES_MIN`] bytes or more than the
    /// code has.
    pub fn mac_with(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        tag_bytes: Option<usize>,
        message: &[u8],
    ) -> Result<(u32, Vec<u8>), EngineError> {
        self.use_key::<Mac, _>(caller, key, |proof| {
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            let (version, usable) = self.version::<Mac>(proof, version, Use::Mac, Way::Protect)?;
            let mut tag = usable.mac(message)?;
            if let Some(bytes) = tag_bytes {
                if !(MAC_TAG_BYTES_MIN..=tag.len()).contains(&bytes) {
                    let why = format!("must be {MAC_TAG_BYTES_MIN} to {}", tag.len());
                    return Err(EngineError::InvalidField { field: "bytes", why });
                }
                tag.truncate(bytes);
            }
            Ok((version, tag))
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
        self.mac_verify_with(caller, key, version, None, message, tag)
    }

    /// Whether `tag` is the first `tag_bytes` bytes of this key's code of `message`, or all of it.
    /// How long it is must be agreed on, never read off the tag.
    ///
    /// # Errors
    /// As [`Engine::mac_with`] for `tag_bytes`. A tag of another length is not valid.
    pub fn mac_verify_with(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        tag_bytes: Option<usize>,
        message: &[u8],
        tag: &[u8],
    ) -> Result<bool, EngineError> {
        self.use_key::<MacVerify, _>(caller, key, |proof| {
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            may_use::<MacVerify>(proof, Use::MacVerify, Way::Process)?;
            let found = self.any_version(proof, version, |usable| {
                let valid = match tag_bytes {
                    Some(bytes) => usable.mac_verify_truncated(message, tag, bytes),
                    None => usable.mac_verify(message, tag),
                };
                Ok(valid.map_err(|error| in_field("mac", error))?.then_some(()))
            })?;
            Ok(found.is_some())
        })
    }
}

/// The bound on what is signed or checked.
pub(super) fn bounded_input(request: &SignRequest<'_>) -> Result<(), EngineError> {
    match request.input {
        SignInput::Message(message) => bounded("message", message, MESSAGE_BYTES_MAX),
        SignInput::Digest(digest) => bounded("digest", digest, MESSAGE_BYTES_MAX),
    }
}
