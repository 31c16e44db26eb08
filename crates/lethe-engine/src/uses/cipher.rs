//! Encrypt and decrypt: in our own format, or with every part as the caller wants it; encrypt anew
//! without showing the plaintext; make keys for data.

use core::ops::Range;

use lethe_crypto::CryptoError;
use lethe_crypto::registry::{
    BlockPadding, CIPHER_NONCE_BYTES_MAX, CipherMode, CipherParts, DecryptParams, EncryptParams,
    Nonce, OaepHash, UsableKey, Use,
};
use lethe_types::limits::{
    AAD_BYTES_MAX, DATA_KEY_BYTES_MAX, DATA_KEY_BYTES_MIN, PLAINTEXT_BYTES_MAX,
};
use lethe_types::{KeyId, Permission, SecretVec};

use super::{BoundContext, Way, bounded, in_field, may_use};
use crate::authz::{
    Authorized, Caller, Decrypt, Encrypt, MakeDataKey, Operation, ReEncryptFrom, ReEncryptTo,
};
use crate::{Engine, EngineError, versions};

/// First byte of every ciphertext of [`Engine::encrypt`]: the format.
const CIPHERTEXT_FORMAT: u8 = 1;
/// Format byte and version number.
const CIPHERTEXT_HEADER_BYTES: usize = 5;
/// Binds a ciphertext to this use, so that no other value sealed under the key can pass for one.
const CIPHERTEXT_DOMAIN: &[u8] = b"lethe-ciphertext/v1";
/// The same for a ciphertext that is bound to a context as well. As long as the other, so that
/// neither is the beginning of the other.
const CONTEXT_DOMAIN: &[u8] = b"lethe-ciphertext/c1";
/// Nonce and tag, and some room: what a ciphertext has more than its plaintext. RSA's are as long
/// as the modulus.
const CIPHERTEXT_OVERHEAD_BYTES_MAX: usize = 1_024;

/// How to encrypt.
#[derive(Clone, Copy, Debug, Default)]
pub struct EncryptRequest<'a> {
    /// With this version; with the current one if `None`.
    pub version: Option<u32>,
    /// Into which form.
    pub form: EncryptForm<'a>,
}

/// What a ciphertext looks like and is bound to.
#[derive(Clone, Copy, Debug)]
pub enum EncryptForm<'a> {
    /// In our own format, which names the version: see [`Engine::encrypt`].
    Bound(Binding<'a>),
    /// RSAES-OAEP as RFC 8017 has it, nothing around it.
    Oaep {
        /// The hash of label and mask.
        hash: OaepHash,
        /// The label.
        label: &'a [u8],
    },
    /// What the cipher makes, nothing around it.
    Raw(RawEncrypt<'a>),
}

impl Default for EncryptForm<'_> {
    fn default() -> Self {
        Self::Bound(Binding::default())
    }
}

/// What a ciphertext in our own format is bound to beside key and version.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding<'a> {
    /// Associated data.
    pub aad: &'a [u8],
    /// Names and values.
    pub context: Option<&'a BoundContext>,
}

/// How to encrypt without a format of ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawEncrypt<'a> {
    /// Where the nonce (initialisation vector) comes from.
    pub nonce: RawNonce<'a>,
    /// Associated data; must be empty for a cipher that does not authenticate. For convergent
    /// encryption the context.
    pub aad: &'a [u8],
    /// The padding, or `None` for the cipher's own default.
    pub padding: Option<BlockPadding>,
    /// The mode, for a key that serves several.
    pub mode: Option<CipherMode>,
}

/// Where a nonce comes from.
#[derive(Clone, Copy, Debug, Default)]
pub enum RawNonce<'a> {
    /// Drawn, at the cipher's usual length.
    #[default]
    Random,
    /// Drawn, with so many bytes: for formats with another length than the usual one.
    RandomOf(usize),
    /// Derived, by a cipher that withstands it: see [`Nonce::Deterministic`].
    Derived {
        /// Keeps equal plaintexts of different contexts apart; may be empty.
        context: &'a [u8],
    },
    /// These bytes. Needs `keys.use.decrypt` as well: who may choose the nonce of another
    /// ciphertext learns the stream that it was encrypted with.
    Explicit(&'a [u8]),
}

/// How to decrypt.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecryptRequest<'a> {
    /// With this version. If `None` with the one that the ciphertext names, or, where it names
    /// none, with the current one.
    pub version: Option<u32>,
    /// From which form.
    pub form: DecryptForm<'a>,
}

/// The form of a ciphertext that is to be decrypted; as [`EncryptForm`].
#[derive(Clone, Copy, Debug)]
pub enum DecryptForm<'a> {
    /// In our own format.
    Bound(Binding<'a>),
    /// RSAES-OAEP.
    Oaep {
        /// The hash of label and mask.
        hash: OaepHash,
        /// The label.
        label: &'a [u8],
    },
    /// What the cipher made.
    ///
    /// A cipher that does not authenticate notices a wrong padding, and answers it as everything
    /// else that does not open. Still: who can make somebody with `keys.use.decrypt` try
    /// ciphertexts, and learns whether they opened, can decrypt with CBC. Authenticate what you
    /// encrypt so.
    Raw(DecryptParams<'a>),
}

impl Default for DecryptForm<'_> {
    fn default() -> Self {
        Self::Bound(Binding::default())
    }
}

/// What was made, at the end of the buffer that it was appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// By which version.
    pub version: u32,
    /// Where its parts lie. Of our own format, and of RSA, everything is `ciphertext`.
    pub parts: CipherParts,
}

impl Encrypted {
    /// Everything from `start` to `end` is the ciphertext.
    fn whole(version: u32, start: usize, end: usize) -> Self {
        let none = |at: usize| Range { start: at, end: at };
        let parts = CipherParts { nonce: none(start), ciphertext: start..end, tag: none(end) };
        Self { version, parts }
    }
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
    /// [`EngineError::ServerLimitExceeded`] once the version has made as many nonces as may be
    /// drawn ([`lethe_crypto::registry::ENCRYPTIONS_PER_KEY_MAX`]): the key must be rotated.
    pub fn encrypt(
        &self,
        caller: &Caller,
        key: KeyId,
        plaintext: &[u8],
        aad: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<u32, EngineError> {
        let form = EncryptForm::Bound(Binding { aad, context: None });
        let request = EncryptRequest { version: None, form };
        self.encrypt_with(caller, key, &request, plaintext, out).map(|made| made.version)
    }

    /// Encrypts `plaintext` as `request` says and appends to `out` what is to be kept: for a raw
    /// form `nonce || ciphertext || tag`, the nonce also when it was given.
    ///
    /// # Errors
    /// As [`Engine::encrypt`]; [`EngineError::ItemNotFound`] for a version that the key does not
    /// have; [`EngineError::PermissionDenied`] also for an explicit nonce without
    /// `keys.use.decrypt`; [`EngineError::InvalidField`] names what the cipher does not take.
    pub fn encrypt_with(
        &self,
        caller: &Caller,
        key: KeyId,
        request: &EncryptRequest<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Encrypted, EngineError> {
        self.encrypting::<Encrypt>(caller, key, request, out, || Ok(Plain::Given(plaintext)))
            .map(|(made, _)| made)
    }

    /// A fresh key for data of `bytes` bytes, encrypted as `request` says and appended to `out`,
    /// and the key itself. Nothing of it is kept.
    ///
    /// # Errors
    /// As [`Engine::encrypt_with`]; [`EngineError::InvalidField`] for fewer than
    /// [`DATA_KEY_BYTES_MIN`] or more than [`DATA_KEY_BYTES_MAX`] bytes.
    pub fn data_key(
        &self,
        caller: &Caller,
        key: KeyId,
        request: &EncryptRequest<'_>,
        bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(Encrypted, SecretVec), EngineError> {
        let (made, data_key) = self.encrypting::<MakeDataKey>(caller, key, request, out, || {
            if !(DATA_KEY_BYTES_MIN..=DATA_KEY_BYTES_MAX).contains(&bytes) {
                let why = format!("must be {DATA_KEY_BYTES_MIN} to {DATA_KEY_BYTES_MAX}");
                return Err(EngineError::InvalidField { field: "bytes", why });
            }
            let entropy = &*self.shared.entropy;
            Ok(Plain::Secret(SecretVec::try_init_with(bytes, |buf| entropy.fill(buf))?))
        })?;
        match data_key {
            Plain::Secret(data_key) => Ok((made, data_key)),
            Plain::Given(_) => Err(EngineError::Internal("a data key that was not drawn")),
        }
    }

    /// Decrypts `ciphertext` as `from` says under one key, and encrypts what comes out as `to` says
    /// under another key or the same. The plaintext is not shown. Needs `keys.use.decrypt` on the
    /// one and `keys.use.encrypt` on the other, and leaves an audit event for each.
    ///
    /// # Errors
    /// Those of [`Engine::decrypt_with`] and [`Engine::encrypt_with`]; `out` is as it was before.
    pub fn re_encrypt(
        &self,
        caller: &Caller,
        from: (KeyId, &DecryptRequest<'_>),
        ciphertext: &[u8],
        to: (KeyId, &EncryptRequest<'_>),
        out: &mut Vec<u8>,
    ) -> Result<Encrypted, EngineError> {
        let plaintext = self.decrypting::<ReEncryptFrom>(caller, from.0, from.1, ciphertext)?;
        self.encrypting::<ReEncryptTo>(caller, to.0, to.1, out, || Ok(Plain::Secret(plaintext)))
            .map(|(made, _)| made)
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
        let form = DecryptForm::Bound(Binding { aad, context: None });
        self.decrypt_with(caller, key, &DecryptRequest { version: None, form }, ciphertext)
    }

    /// Decrypts `ciphertext` as `request` says.
    ///
    /// # Errors
    /// As [`Engine::decrypt`]; [`EngineError::ItemNotFound`] for a version that the request names
    /// and the key does not have; [`EngineError::InvalidField`] for a separate nonce or tag of a
    /// wrong length, and for a padding or associated data that the cipher does not take.
    pub fn decrypt_with(
        &self,
        caller: &Caller,
        key: KeyId,
        request: &DecryptRequest<'_>,
        ciphertext: &[u8],
    ) -> Result<SecretVec, EngineError> {
        self.decrypting::<Decrypt>(caller, key, request, ciphertext)
    }

    fn encrypting<'p, Op: Operation>(
        &self,
        caller: &Caller,
        key: KeyId,
        request: &EncryptRequest<'_>,
        out: &mut Vec<u8>,
        plaintext: impl FnOnce() -> Result<Plain<'p>, EngineError>,
    ) -> Result<(Encrypted, Plain<'p>), EngineError> {
        let before = out.len();
        let result = self.use_key::<Op, _>(caller, key, |proof| {
            let plaintext = plaintext()?;
            let made = self.seal(caller, proof, request, plaintext.bytes(), out)?;
            Ok((made, plaintext))
        });
        if result.is_err() {
            out.truncate(before);
        }
        result
    }

    /// May leave anything after the old end of `out` on an error.
    fn seal<Op: Operation>(
        &self,
        caller: &Caller,
        proof: &Authorized<Op>,
        request: &EncryptRequest<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Encrypted, EngineError> {
        bounded("plaintext", plaintext, PLAINTEXT_BYTES_MAX)?;
        let (version, usable) =
            self.version::<Op>(proof, request.version, Use::Encrypt, Way::Protect)?;
        let start = out.len();
        match request.form {
            EncryptForm::Bound(binding) => {
                bounded("aad", binding.aad, AAD_BYTES_MAX)?;
                count_encryption(proof, version, &usable)?;
                out.push(CIPHERTEXT_FORMAT);
                out.extend_from_slice(&version.to_be_bytes());
                let bound = bound_aad(proof.entry().record().id, version, &binding);
                let entropy = &*self.shared.entropy;
                let sealed = usable.encrypt(entropy, plaintext, &bound, out);
                sealed.map_err(|error| in_field("plaintext", error))?;
                Ok(Encrypted::whole(version, start, out.len()))
            }
            EncryptForm::Oaep { hash, label } => {
                bounded("aad", label, AAD_BYTES_MAX)?;
                let sealed = usable.encrypt_oaep(hash, label, plaintext);
                out.extend_from_slice(&sealed.map_err(|error| in_field("oaep_hash", error))?);
                Ok(Encrypted::whole(version, start, out.len()))
            }
            EncryptForm::Raw(raw) => {
                let parts = self.seal_raw(caller, proof, version, &usable, &raw, plaintext, out)?;
                Ok(Encrypted { version, parts })
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where all of it comes together")]
    fn seal_raw<Op: Operation>(
        &self,
        caller: &Caller,
        proof: &Authorized<Op>,
        version: u32,
        usable: &UsableKey,
        raw: &RawEncrypt<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, EngineError> {
        bounded("aad", raw.aad, AAD_BYTES_MAX)?;
        let entropy = &*self.shared.entropy;
        let mut drawn = [0; CIPHER_NONCE_BYTES_MAX];
        let nonce = match raw.nonce {
            RawNonce::Random => Nonce::Random,
            RawNonce::RandomOf(bytes) => {
                let refused = || in_field("nonce", CryptoError::Invalid("length of the nonce"));
                let drawn = drawn.get_mut(..bytes).ok_or_else(refused)?;
                entropy.fill(drawn)?;
                Nonce::Explicit(drawn)
            }
            RawNonce::Derived { context } => {
                bounded("context", context, AAD_BYTES_MAX)?;
                Nonce::Deterministic { context }
            }
            RawNonce::Explicit(nonce) => {
                if !caller.may(Permission::KeysUseDecrypt, proof.entry().record()) {
                    return Err(EngineError::PermissionDenied(Permission::KeysUseDecrypt));
                }
                Nonce::Explicit(nonce)
            }
        };
        count_encryption(proof, version, usable)?;
        let params = EncryptParams { nonce, aad: raw.aad, padding: raw.padding, mode: raw.mode };
        let sealed = usable.encrypt_with(entropy, &params, plaintext, out);
        sealed.map_err(|error| in_field("plaintext", error))
    }

    fn decrypting<Op: Operation>(
        &self,
        caller: &Caller,
        key: KeyId,
        request: &DecryptRequest<'_>,
        ciphertext: &[u8],
    ) -> Result<SecretVec, EngineError> {
        self.use_key::<Op, _>(caller, key, |proof| {
            let longest = PLAINTEXT_BYTES_MAX + CIPHERTEXT_OVERHEAD_BYTES_MAX;
            bounded("ciphertext", ciphertext, longest)?;
            let (binding, body, number) = match request.form {
                DecryptForm::Bound(binding) => {
                    bounded("aad", binding.aad, AAD_BYTES_MAX)?;
                    may_use::<Op>(proof, Use::Decrypt, Way::Process)?;
                    let (number, body) = parse_ciphertext(ciphertext)?;
                    // What names no version of this key was not made with it.
                    let is_ours = versions::to_process(proof.entry(), number)?.is_some()
                        && request.version.is_none_or(|wanted| wanted == number);
                    if !is_ours {
                        return Err(EngineError::CryptographicFailure);
                    }
                    (binding, body, Some(number))
                }
                DecryptForm::Oaep { label: aad, .. }
                | DecryptForm::Raw(DecryptParams { aad, .. }) => {
                    bounded("aad", aad, AAD_BYTES_MAX)?;
                    (Binding::default(), ciphertext, request.version)
                }
            };
            let (number, usable) = self.version::<Op>(proof, number, Use::Decrypt, Way::Process)?;
            match request.form {
                DecryptForm::Bound(_) => {
                    let bound = bound_aad(key, number, &binding);
                    usable.decrypt(body, &bound).map_err(|_| EngineError::CryptographicFailure)
                }
                DecryptForm::Oaep { hash, label } => {
                    let opened = usable.decrypt_oaep(hash, label, body);
                    opened.map_err(|error| in_field("oaep_hash", error))
                }
                DecryptForm::Raw(params) => {
                    let opened = usable.decrypt_with(&params, body);
                    opened.map_err(|error| in_field("ciphertext", error))
                }
            }
        })
    }
}

/// What is encrypted.
enum Plain<'a> {
    Given(&'a [u8]),
    Secret(SecretVec),
}

impl Plain<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Given(bytes) => bytes,
            Self::Secret(bytes) => bytes.expose(),
        }
    }
}

/// Takes one of the encryptions that a version has, if it has so few: nonces of 96 random bits must
/// not repeat.
fn count_encryption<Op>(
    proof: &Authorized<Op>,
    version: u32,
    usable: &UsableKey,
) -> Result<(), EngineError> {
    let shape = usable.algorithm().cipher_shape();
    if shape.is_none_or(|shape| !shape.is_authenticated || shape.nonce_bytes != COUNTED_NONCE_BYTES)
    {
        return Ok(());
    }
    if proof.entry().usage().take_encryption(version) {
        Ok(())
    } else {
        Err(EngineError::ServerLimitExceeded("encryptions by one version: rotate the key"))
    }
}

/// Bytes of the nonces that are short enough to repeat. Longer ones do not within the life of a
/// key.
const COUNTED_NONCE_BYTES: usize = 12;

fn bound_aad(key: KeyId, version: u32, binding: &Binding<'_>) -> Vec<u8> {
    let Binding { aad, context } = *binding;
    let more = context.map_or(0, |context| 8 + context.encoded_bytes());
    let mut bound = Vec::with_capacity(CIPHERTEXT_DOMAIN.len() + 20 + aad.len() + more);
    bound.extend_from_slice(if context.is_some() { CONTEXT_DOMAIN } else { CIPHERTEXT_DOMAIN });
    bound.extend_from_slice(key.as_bytes());
    bound.extend_from_slice(&version.to_be_bytes());
    if let Some(context) = context {
        let length = u64::try_from(aad.len()).expect("associated data is bounded");
        bound.extend_from_slice(&length.to_be_bytes());
        bound.extend_from_slice(aad);
        context.encode(&mut bound);
    } else {
        bound.extend_from_slice(aad);
    }
    bound
}

fn parse_ciphertext(ciphertext: &[u8]) -> Result<(u32, &[u8]), EngineError> {
    let refused = EngineError::CryptographicFailure;
    let (header, body) =
        ciphertext.split_first_chunk::<CIPHERTEXT_HEADER_BYTES>().ok_or(refused.clone())?;
    let [CIPHERTEXT_FORMAT, number @ ..] = *header else { return Err(refused) };
    Ok((u32::from_be_bytes(number), body))
}
