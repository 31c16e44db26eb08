//! RSA: RSASSA-PSS and RSASSA-PKCS1-v1_5 (RFC 8017 section 8) with SHA-2, RSAES-OAEP (section 7.1).
//! Encryption by PKCS#1 v1.5 is left out: who sees errors or timing of it can decrypt.

use std::sync::{LazyLock, OnceLock};

use aws_lc_rs::digest::Digest;
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384,
    OAEP_SHA512_MGF1SHA512, OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey, PublicKey as RsaPublicKey,
};
use aws_lc_rs::signature::{
    self, KeyPair as _, ParsedPublicKey, RsaParameters, RsaPssSaltLength, RsaSignatureEncoding,
    VerificationAlgorithm as _,
};
use lethe_types::{Entropy, SecretVec};
use subtle::ConstantTimeEq;

use super::digest::Hash;
use super::rsa_form;
use super::{ExpandedKey, Family, NO_PRIVATE_HALF, NO_SUCH_SCHEME, NOTHING_BESIDE_MESSAGE};
use crate::CryptoError;
use crate::registry::{
    CipherParts, DecryptParams, EncryptParams, KeyFormat, Nonce, OaepHash, PssSalt, PublicFormat,
    PublicKey, SignRequest, Signature, SignatureScheme,
};

pub(crate) static RSA_2048: Rsa = Rsa { size: KeySize::Rsa2048, modulus_bits: 2048 };
pub(crate) static RSA_3072: Rsa = Rsa { size: KeySize::Rsa3072, modulus_bits: 3072 };
pub(crate) static RSA_4096: Rsa = Rsa { size: KeySize::Rsa4096, modulus_bits: 4096 };

/// One size of modulus. Generated keys have the public exponent 65,537.
pub(crate) struct Rsa {
    size: KeySize,
    modulus_bits: u32,
}

/// Most bytes of a salt of PSS that this build makes or accepts: what a modulus of 4,096 bits and
/// SHA-256 leave room for (RFC 8017 section 9.1.1).
const SALT_BYTES_MAX: u16 = 478;

/// What a key says of a nonce, a tag or a padding of a block cipher.
const NO_CIPHER_PARAMETERS: CryptoError =
    CryptoError::Unsupported("take the parameters of a block or stream cipher");

/// A padding and hash of the library.
struct Padding {
    scheme: SignatureScheme,
    hash: Hash,
    /// PSS with its salts, or PKCS#1 v1.5.
    pss: Option<&'static LazyLock<Vec<RsaSignatureEncoding>>>,
    signing: &'static RsaSignatureEncoding,
    verifying: &'static RsaParameters,
}

const PADDINGS: usize = 6;

static ALL_PADDINGS: [Padding; PADDINGS] = [
    Padding {
        scheme: SignatureScheme::RsaPssSha256,
        hash: Hash::Sha256,
        pss: Some(&PSS_SHA256),
        signing: &signature::RSA_PSS_SHA256,
        verifying: &signature::RSA_PSS_2048_8192_SHA256,
    },
    Padding {
        scheme: SignatureScheme::RsaPssSha384,
        hash: Hash::Sha384,
        pss: Some(&PSS_SHA384),
        signing: &signature::RSA_PSS_SHA384,
        verifying: &signature::RSA_PSS_2048_8192_SHA384,
    },
    Padding {
        scheme: SignatureScheme::RsaPssSha512,
        hash: Hash::Sha512,
        pss: Some(&PSS_SHA512),
        signing: &signature::RSA_PSS_SHA512,
        verifying: &signature::RSA_PSS_2048_8192_SHA512,
    },
    Padding {
        scheme: SignatureScheme::RsaPkcs1Sha256,
        hash: Hash::Sha256,
        pss: None,
        signing: &signature::RSA_PKCS1_SHA256,
        verifying: &signature::RSA_PKCS1_2048_8192_SHA256,
    },
    Padding {
        scheme: SignatureScheme::RsaPkcs1Sha384,
        hash: Hash::Sha384,
        pss: None,
        signing: &signature::RSA_PKCS1_SHA384,
        verifying: &signature::RSA_PKCS1_2048_8192_SHA384,
    },
    Padding {
        scheme: SignatureScheme::RsaPkcs1Sha512,
        hash: Hash::Sha512,
        pss: None,
        signing: &signature::RSA_PKCS1_SHA512,
        verifying: &signature::RSA_PKCS1_2048_8192_SHA512,
    },
];

/// PSS with every length of salt, at the position of its number: the library ties the length to a
/// static value.
static PSS_SHA256: LazyLock<Vec<RsaSignatureEncoding>> =
    LazyLock::new(|| salts(|salt| signature::RSA_PSS_SHA256.with_pss_salt_length(salt)));
static PSS_SHA384: LazyLock<Vec<RsaSignatureEncoding>> =
    LazyLock::new(|| salts(|salt| signature::RSA_PSS_SHA384.with_pss_salt_length(salt)));
static PSS_SHA512: LazyLock<Vec<RsaSignatureEncoding>> =
    LazyLock::new(|| salts(|salt| signature::RSA_PSS_SHA512.with_pss_salt_length(salt)));

fn salts(of: impl Fn(RsaPssSaltLength) -> RsaSignatureEncoding) -> Vec<RsaSignatureEncoding> {
    (0..=SALT_BYTES_MAX).map(|length| of(RsaPssSaltLength::Custom(length))).collect()
}

impl Rsa {
    fn expand_public(&self, spki_der: &[u8]) -> Result<RsaKey, CryptoError> {
        let refused = CryptoError::Invalid("RSA public key");
        let parsed = RsaPublicKey::from_der(spki_der).map_err(|_| refused)?;
        // The library would take a bare `RSAPublicKey` as well; only the one encoding is let in.
        if parsed.as_der().map_err(|_| refused)?.as_ref() != spki_der {
            return Err(refused);
        }
        let raw = parsed.as_ref();
        if RsaParameters::public_modulus_len(raw) != Ok(self.modulus_bits) {
            return Err(refused);
        }
        let public = PublicKey::new(raw, spki_der);
        Ok(RsaKey {
            pair: None,
            verifiers: Default::default(),
            encrypting: OnceLock::new(),
            decrypting: OnceLock::new(),
            public,
        })
    }
}

impl Family for Rsa {
    /// The library draws the primes itself (FIPS 186-5 appendix A.1.3) and takes no entropy.
    fn generate(&'static self, _entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        let failed = |_| CryptoError::Library("generate an RSA key");
        let pair = KeyPair::generate(self.size).map_err(failed)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
        Ok(SecretVec::copy_from(pkcs8.as_ref()))
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        // Parsing checks that primes, exponents and CRT parts belong together.
        let pair = KeyPair::from_pkcs8(material).map_err(|_| REFUSED_PRIVATE)?;
        let encoded: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| REFUSED_PRIVATE)?;
        if !bool::from(encoded.as_ref().ct_eq(material)) {
            return Err(REFUSED_PRIVATE);
        }
        let spki_der = pair.public_key().as_der().map_err(|_| REFUSED_PRIVATE)?;
        let mut key = self.expand_public(spki_der.as_ref()).map_err(|_| REFUSED_PRIVATE)?;
        key.pair = Some(pair);
        Ok(Box::new(key))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(self.expand_public(spki_der)?))
    }

    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        let pair = rsa_form::read(format, bytes)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| REFUSED_PRIVATE)?;
        Ok(SecretVec::copy_from(pkcs8.as_ref()))
    }

    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        rsa_form::write(format, material)
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        let spki_der = rsa_form::read_public(format, bytes)?;
        Ok(self.expand_public(spki_der.expose())?.public)
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        rsa_form::public_jwk(public)
    }
}

const REFUSED_PRIVATE: CryptoError = CryptoError::Invalid("RSA private key");

struct RsaKey {
    pair: Option<KeyPair>,
    /// In the order of [`ALL_PADDINGS`], each made at its first use.
    verifiers: [OnceLock<ParsedPublicKey>; PADDINGS],
    /// For OAEP, each made at its first use.
    encrypting: OnceLock<OaepPublicEncryptingKey>,
    decrypting: OnceLock<OaepPrivateDecryptingKey>,
    public: PublicKey,
}

impl RsaKey {
    fn padding(
        &self,
        scheme: SignatureScheme,
    ) -> Result<(&'static Padding, &OnceLock<ParsedPublicKey>), CryptoError> {
        let mut paddings = ALL_PADDINGS.iter().zip(&self.verifiers);
        paddings.find(|(padding, _)| padding.scheme == scheme).ok_or(NO_SUCH_SCHEME)
    }

    fn verifier(
        &self,
        padding: &'static Padding,
        slot: &OnceLock<ParsedPublicKey>,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let verifier = match slot.get() {
            Some(verifier) => verifier,
            None => {
                let parsed = ParsedPublicKey::new(padding.verifying, self.public.spki_der())
                    .map_err(|_| CryptoError::Library("expand a public key"))?;
                slot.get_or_init(|| parsed)
            }
        };
        Ok(verifier.verify_digest_sig(digest, signature).is_ok())
    }

    fn encrypting(&self) -> Result<&OaepPublicEncryptingKey, CryptoError> {
        let failed = |_| CryptoError::Library("expand a public key");
        if let Some(key) = self.encrypting.get() {
            return Ok(key);
        }
        let key = PublicEncryptingKey::from_der(self.public.spki_der()).map_err(failed)?;
        let key = OaepPublicEncryptingKey::new(key)
            .map_err(|_| CryptoError::Library("expand a public key"))?;
        Ok(self.encrypting.get_or_init(|| key))
    }

    fn decrypting(&self) -> Result<&OaepPrivateDecryptingKey, CryptoError> {
        let failed = CryptoError::Library("expand a private key");
        if let Some(key) = self.decrypting.get() {
            return Ok(key);
        }
        let pair = self
            .pair
            .as_ref()
            .ok_or(CryptoError::Unsupported("decrypt without its private key"))?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed)?;
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).map_err(|_| failed)?;
        let key = OaepPrivateDecryptingKey::new(key).map_err(|_| failed)?;
        Ok(self.decrypting.get_or_init(|| key))
    }
}

/// The digest that is signed, as the library wants it.
fn digest_of(padding: &Padding, request: &SignRequest<'_>) -> Result<Digest, CryptoError> {
    if request.context.is_some() || request.aux_random.is_some() {
        return Err(NOTHING_BESIDE_MESSAGE);
    }
    let digest = padding.hash.of(request.input)?;
    Digest::import_less_safe(&digest, padding.hash.native())
        .map_err(|_| CryptoError::Library("take a digest"))
}

/// What the library calls a hash of OAEP; MGF1 uses the same.
fn oaep(hash: OaepHash) -> &'static OaepAlgorithm {
    match hash {
        OaepHash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        OaepHash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        OaepHash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        OaepHash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    }
}

const NO_SUCH_SALT: CryptoError = CryptoError::Invalid("length of the salt");

impl ExpandedKey for RsaKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let (padding, _) = self.padding(scheme)?;
        let digest = digest_of(padding, request)?;
        let encoding = match (padding.pss, request.pss_salt) {
            (_, PssSalt::AsHash) => padding.signing,
            (Some(salts), PssSalt::Exactly(length)) => {
                let room = self.public_modulus_bytes().checked_sub(padding.hash.digest_bytes() + 2);
                if room.is_none_or(|room| usize::from(length) > room) {
                    return Err(NO_SUCH_SALT);
                }
                salts.get(usize::from(length)).ok_or(NO_SUCH_SALT)?
            }
            (Some(_), PssSalt::Any) => return Err(NO_SUCH_SALT),
            (None, PssSalt::Exactly(_) | PssSalt::Any) => return Err(NOTHING_BESIDE_MESSAGE),
        };
        let pair = self.pair.as_ref().ok_or(NO_PRIVATE_HALF)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        // The library draws salt and blinding itself.
        pair.sign_digest(encoding, &digest, &mut signature)
            .map_err(|_| CryptoError::Library("sign"))?;
        Ok(Signature::plain(signature))
    }

    fn verify_with(
        &self,
        scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let (padding, slot) = self.padding(scheme)?;
        let digest = digest_of(padding, request)?;
        let length = match (padding.pss, request.pss_salt) {
            (_, PssSalt::AsHash) => return self.verifier(padding, slot, &digest, signature),
            (None, PssSalt::Exactly(_) | PssSalt::Any) => return Err(NOTHING_BESIDE_MESSAGE),
            (Some(_), PssSalt::Exactly(length)) if length <= SALT_BYTES_MAX => length,
            (Some(_), PssSalt::Exactly(_)) => return Err(NO_SUCH_SALT),
            (Some(_), PssSalt::Any) => {
                // What is found here is a guess: the library has the last word.
                match rsa_form::pss_salt_bytes(self.public.raw(), padding.hash, signature) {
                    Some(length) => length,
                    None => return Ok(false),
                }
            }
        };
        let parameters = padding.pss_parameters(RsaPssSaltLength::Custom(length));
        Ok(parameters.verify_digest_sig(self.public.raw(), &digest, signature).is_ok())
    }

    /// By OAEP with SHA-256 and `aad` as the label.
    /// The associated data is the label. There is neither nonce nor tag nor padding to choose.
    fn encrypt_with(
        &self,
        _entropy: &dyn Entropy,
        params: &EncryptParams<'_>,
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<CipherParts, CryptoError> {
        if params.nonce != Nonce::Random || params.padding.is_some() {
            return Err(NO_CIPHER_PARAMETERS);
        }
        let ciphertext = self.encrypt_oaep(OaepHash::Sha256, params.aad, plaintext)?;
        let parts = CipherParts::at(out.len(), 0, ciphertext.len(), 0);
        out.extend_from_slice(&ciphertext);
        Ok(parts)
    }

    fn decrypt_with(
        &self,
        params: &DecryptParams<'_>,
        data: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        if params.nonce.is_some() || params.tag.is_some() || params.padding.is_some() {
            return Err(NO_CIPHER_PARAMETERS);
        }
        self.decrypt_oaep(OaepHash::Sha256, params.aad, data)
    }

    fn encrypt_oaep(
        &self,
        hash: OaepHash,
        label: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let key = self.encrypting()?;
        if plaintext.len() > key.max_plaintext_size(oaep(hash)) {
            return Err(CryptoError::Invalid("length of the plaintext"));
        }
        let mut ciphertext = vec![0; key.ciphertext_size()];
        // The library draws the seed itself.
        let length = key
            .encrypt(oaep(hash), plaintext, &mut ciphertext, Some(label))
            .map_err(|_| CryptoError::Library("encrypt"))?
            .len();
        ciphertext.truncate(length);
        Ok(ciphertext)
    }

    fn decrypt_oaep(
        &self,
        hash: OaepHash,
        label: &[u8],
        ciphertext: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        let key = self.decrypting()?;
        if ciphertext.len() != key.key_size_bytes() {
            return Err(CryptoError::Authentication);
        }
        let mut length = 0;
        let buffer = SecretVec::try_init_with(key.min_output_size(), |buffer| {
            length = key
                .decrypt(oaep(hash), ciphertext, buffer, Some(label))
                .map_err(|_| CryptoError::Authentication)?
                .len();
            Ok::<_, CryptoError>(())
        })?;
        let plaintext = buffer.expose().get(..length).ok_or(CryptoError::Authentication)?;
        Ok(SecretVec::copy_from(plaintext))
    }
}

impl Padding {
    /// PSS with the hash of this padding and another salt.
    fn pss_parameters(&self, salt: RsaPssSaltLength) -> RsaParameters {
        let parameters = match self.hash {
            Hash::Sha512 => signature::RSA_PSS_2048_8192_SHA512,
            Hash::Sha384 => signature::RSA_PSS_2048_8192_SHA384,
            Hash::Sha256 | Hash::Keccak256 => signature::RSA_PSS_2048_8192_SHA256,
        };
        parameters.with_pss_salt_length(salt)
    }
}

impl RsaKey {
    fn public_modulus_bytes(&self) -> usize {
        self.pair.as_ref().map_or(0, KeyPair::public_modulus_len)
    }
}
