//! Agree on secrets, encapsulate them, and wrap bytes.

use std::borrow::Cow;

use lethe_crypto::CryptoError;
use lethe_crypto::hash::{HashAlgorithm, digest};
use lethe_crypto::kdf::{KdfHash, hkdf};
use lethe_crypto::registry::{
    Algorithm, Encapsulation, INITIAL_VALUE_BYTES, PublicFormat, UsableKey, Use,
    WRAPPED_PLAINTEXT_BYTES_MAX,
};
use lethe_types::limits::{
    AAD_BYTES_MAX, DERIVED_SECRET_BYTES_MAX, KDF_INFO_BYTES_MAX, MESSAGE_BYTES_MAX,
};
use lethe_types::{KeyId, SecretVec};

use super::{Way, bounded, in_field, may_use};
use crate::authz::{Agree, AgreeHashed, Caller, Decapsulate, Encapsulate, Unwrap, Wrap};
use crate::{Engine, EngineError};

/// The other side of an agreement: a public key that others made, in some form.
#[derive(Clone, Copy, Debug)]
pub struct PeerKey<'a> {
    /// The form.
    pub format: PublicFormat,
    /// The key.
    pub bytes: &'a [u8],
}

impl<'a> PeerKey<'a> {
    /// A raw public key.
    #[must_use]
    pub const fn raw(bytes: &'a [u8]) -> Self {
        Self { format: PublicFormat::Raw, bytes }
    }
}

/// What is made of a secret that was agreed on.
#[derive(Clone, Copy, Debug, Default)]
pub enum AgreedForm<'a> {
    /// The secret itself, which is not uniform.
    #[default]
    Raw,
    /// The whole point instead, compressed (SEC 1 section 2.3.3); on secp256k1 alone.
    Point,
    /// Its hash.
    Hash(HashAlgorithm),
    /// `HKDF[hash, salt, info](secret, bytes)` (RFC 5869).
    Hkdf {
        /// The hash.
        hash: KdfHash,
        /// The salt; empty for none.
        salt: &'a [u8],
        /// What binds the result to its use.
        info: &'a [u8],
        /// Bytes of the result, 1 to [`DERIVED_SECRET_BYTES_MAX`].
        bytes: usize,
    },
}

impl Engine {
    /// The secret that the key's current version and the raw `peer_public` agree on.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a public key of low order or the wrong length.
    pub fn agree(
        &self,
        caller: &Caller,
        key: KeyId,
        peer_public: &[u8],
    ) -> Result<SecretVec, EngineError> {
        let peer = PeerKey::raw(peer_public);
        self.agree_with(caller, key, None, &peer, &AgreedForm::Raw).map(|(_, secret)| secret)
    }

    /// The secret that `version`, or the current version, and `peer` agree on, in the form that is
    /// wanted, and the version.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] for a version that the key does not have;
    /// [`EngineError::InvalidField`] for a public key that is not on the key's curve, of low order,
    /// or not exactly one in its form, and for parameters of the derivation out of bounds.
    pub fn agree_with(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        peer: &PeerKey<'_>,
        form: &AgreedForm<'_>,
    ) -> Result<(u32, SecretVec), EngineError> {
        self.use_key::<Agree, _>(caller, key, |proof| {
            if let AgreedForm::Hkdf { salt, info, bytes, .. } = *form {
                bounded("salt", salt, KDF_INFO_BYTES_MAX)?;
                bounded("info", info, KDF_INFO_BYTES_MAX)?;
                if !(1..=DERIVED_SECRET_BYTES_MAX).contains(&bytes) {
                    let why = format!("must be 1 to {DERIVED_SECRET_BYTES_MAX}");
                    return Err(EngineError::InvalidField { field: "bytes", why });
                }
            }
            let (version, usable) =
                self.version::<Agree>(proof, version, Use::Agree, Way::Protect)?;
            if matches!(form, AgreedForm::Point) {
                let point = usable.agree_on_point(peer_raw(&usable, peer)?.as_ref());
                return Ok((version, point.map_err(|error| refused_point(&usable, error))?));
            }
            let secret = usable.agree(peer_raw(&usable, peer)?.as_ref());
            let secret = secret.map_err(|error| in_field("public_key", error))?;
            Ok((version, shaped(secret, form)?))
        })
    }

    /// The compressed point that the scalar of `version`, or of the current version, makes of
    /// `message` hashed to secp256k1 under the tag `domain` (RFC 9380 section 8.7), and the
    /// version. Secret.
    ///
    /// # Errors
    /// As [`Engine::agree_with`]; [`EngineError::IncompatibleUse`] for a key on another curve,
    /// [`EngineError::InvalidField`] for an empty domain.
    pub fn agree_with_hashed(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        domain: &[u8],
        message: &[u8],
    ) -> Result<(u32, SecretVec), EngineError> {
        self.use_key::<AgreeHashed, _>(caller, key, |proof| {
            bounded("domain", domain, AAD_BYTES_MAX)?;
            bounded("message", message, MESSAGE_BYTES_MAX)?;
            let (version, usable) =
                self.version::<AgreeHashed>(proof, version, Use::Agree, Way::Protect)?;
            let point = usable.agree_with_hashed(domain, message).map_err(|error| match error {
                CryptoError::Unsupported(_) => {
                    let algorithm = usable.algorithm().name();
                    let operation = "agree with a hashed point";
                    EngineError::IncompatibleUse { algorithm, operation }
                }
                other @ (CryptoError::Authentication
                | CryptoError::Entropy
                | CryptoError::Invalid(_)
                | CryptoError::Library(_)) => in_field("domain", other),
            })?;
            Ok((version, point))
        })
    }

    /// A fresh secret and what takes it to the holder of `version`, or of the current version, and
    /// the version.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn encapsulate(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
    ) -> Result<(u32, Encapsulation), EngineError> {
        self.use_key::<Encapsulate, _>(caller, key, |proof| {
            let (version, usable) =
                self.version::<Encapsulate>(proof, version, Use::Encapsulate, Way::Protect)?;
            Ok((version, usable.encapsulate(&*self.shared.entropy)?))
        })
    }

    /// The secret in `ciphertext`, which was encapsulated for `version` or the current version. One
    /// that was made for another key gives another secret and no error (FIPS 203 section 6.3).
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a ciphertext of another length.
    pub fn decapsulate(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        ciphertext: &[u8],
    ) -> Result<(u32, SecretVec), EngineError> {
        self.use_key::<Decapsulate, _>(caller, key, |proof| {
            let (version, usable) =
                self.version::<Decapsulate>(proof, version, Use::Decapsulate, Way::Process)?;
            let secret = usable.decapsulate(ciphertext);
            Ok((version, secret.map_err(|error| in_field("ciphertext", error))?))
        })
    }

    /// `plaintext`, wrapped by `version` or the current version (RFC 3394, RFC 5649), and the
    /// version. The same bytes give the same again.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a length that the algorithm does not take, or over
    /// [`WRAPPED_PLAINTEXT_BYTES_MAX`].
    pub fn wrap(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        plaintext: &[u8],
    ) -> Result<(u32, Vec<u8>), EngineError> {
        self.wrap_from(caller, key, version, None, plaintext)
    }

    /// [`Engine::wrap`] from an initial value of the caller's own (RFC 3394 section 2.2.3), if
    /// there is one.
    ///
    /// # Errors
    /// As [`Engine::wrap`]; [`EngineError::IncompatibleUse`] if the algorithm takes none.
    pub fn wrap_from(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        initial_value: Option<&[u8; INITIAL_VALUE_BYTES]>,
        plaintext: &[u8],
    ) -> Result<(u32, Vec<u8>), EngineError> {
        self.use_key::<Wrap, _>(caller, key, |proof| {
            bounded("plaintext", plaintext, WRAPPED_PLAINTEXT_BYTES_MAX)?;
            let (version, usable) =
                self.version::<Wrap>(proof, version, Use::WrapKey, Way::Protect)?;
            let wrapped = match initial_value {
                Some(value) => usable.wrap_from(value, plaintext),
                None => usable.wrap(plaintext),
            };
            Ok((version, wrapped.map_err(|error| not_wrapped(&usable, error))?))
        })
    }

    /// The bytes in `wrapped`, by `version` or any version that has material.
    ///
    /// # Errors
    /// [`EngineError::CryptographicFailure`] for everything that [`Engine::wrap`] did not make.
    pub fn unwrap(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        wrapped: &[u8],
    ) -> Result<SecretVec, EngineError> {
        self.unwrap_from(caller, key, version, None, wrapped)
    }

    /// [`Engine::unwrap`] of what [`Engine::wrap_from`] made from the same initial value.
    ///
    /// # Errors
    /// As [`Engine::unwrap`]; [`EngineError::IncompatibleUse`] if the algorithm takes none.
    pub fn unwrap_from(
        &self,
        caller: &Caller,
        key: KeyId,
        version: Option<u32>,
        initial_value: Option<&[u8; INITIAL_VALUE_BYTES]>,
        wrapped: &[u8],
    ) -> Result<SecretVec, EngineError> {
        self.use_key::<Unwrap, _>(caller, key, |proof| {
            may_use::<Unwrap>(proof, Use::UnwrapKey, Way::Process)?;
            let found = self.any_version(proof, version, |usable| {
                let opened = match initial_value {
                    Some(value) => usable.unwrap_from(value, wrapped),
                    None => usable.unwrap(wrapped),
                };
                match opened {
                    Ok(plaintext) => Ok(Some(plaintext)),
                    Err(CryptoError::Authentication) => Ok(None),
                    Err(
                        error @ (CryptoError::Entropy
                        | CryptoError::Invalid(_)
                        | CryptoError::Library(_)
                        | CryptoError::Unsupported(_)),
                    ) => Err(not_wrapped(usable, error)),
                }
            })?;
            found.ok_or(EngineError::CryptographicFailure)
        })
    }
}

/// The key has the use, so that what is unsupported is the initial value.
fn not_wrapped(usable: &UsableKey, error: CryptoError) -> EngineError {
    match error {
        CryptoError::Unsupported(_) => EngineError::IncompatibleUse {
            algorithm: usable.algorithm().name(),
            operation: "take an initial value",
        },
        CryptoError::Authentication
        | CryptoError::Entropy
        | CryptoError::Invalid(_)
        | CryptoError::Library(_) => in_field("plaintext", error),
    }
}

/// The peer's key in its raw form; the agreement itself looks closely at one that came so.
fn peer_raw<'a>(usable: &UsableKey, peer: &PeerKey<'a>) -> Result<Cow<'a, [u8]>, EngineError> {
    match peer.format {
        PublicFormat::Raw => Ok(Cow::Borrowed(peer.bytes)),
        PublicFormat::Jwk | PublicFormat::SpkiDer | PublicFormat::SpkiPem => {
            let algorithm: Algorithm = usable.algorithm();
            let public = algorithm.import_public(peer.format, peer.bytes);
            let public = public.map_err(|error| in_field("public_key", error))?;
            Ok(Cow::Owned(public.raw().to_vec()))
        }
    }
}

fn refused_point(usable: &UsableKey, error: CryptoError) -> EngineError {
    match error {
        CryptoError::Unsupported(_) => EngineError::IncompatibleUse {
            algorithm: usable.algorithm().name(),
            operation: "agree on a point",
        },
        CryptoError::Authentication
        | CryptoError::Entropy
        | CryptoError::Invalid(_)
        | CryptoError::Library(_) => in_field("public_key", error),
    }
}

fn shaped(secret: SecretVec, form: &AgreedForm<'_>) -> Result<SecretVec, EngineError> {
    match *form {
        AgreedForm::Raw | AgreedForm::Point => Ok(secret),
        AgreedForm::Hash(hash) => {
            Ok(SecretVec::copy_from(digest(hash, &[secret.expose()]).as_slice()))
        }
        AgreedForm::Hkdf { hash, salt, info, bytes } => {
            let derived = hkdf(hash, salt, secret.expose(), &[info], bytes);
            derived.map_err(|error| in_field("bytes", error))
        }
    }
}
