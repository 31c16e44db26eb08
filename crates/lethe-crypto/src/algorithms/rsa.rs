//! RSA signatures: RSASSA-PSS and RSASSA-PKCS1-v1_5 (RFC 8017 section 8) with SHA-2.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKey as RsaPublicKey};
use aws_lc_rs::signature::{
    self, KeyPair as _, ParsedPublicKey, RsaParameters, RsaSignatureEncoding,
};
use lethe_types::{Entropy, SecretVec};
use subtle::ConstantTimeEq;

use super::{ExpandedKey, Family, NO_PRIVATE_HALF, NO_SUCH_SCHEME};
use crate::CryptoError;
use crate::registry::{PublicKey, SignatureScheme};

pub(crate) static RSA_2048: Rsa = Rsa { size: KeySize::Rsa2048, modulus_bits: 2048 };
pub(crate) static RSA_3072: Rsa = Rsa { size: KeySize::Rsa3072, modulus_bits: 3072 };
pub(crate) static RSA_4096: Rsa = Rsa { size: KeySize::Rsa4096, modulus_bits: 4096 };

/// One size of modulus. Generated keys have the public exponent 65,537.
pub(crate) struct Rsa {
    size: KeySize,
    modulus_bits: u32,
}

/// A padding and hash of the library. The salt of PSS is as long as the hash, on both sides.
struct Padding {
    scheme: SignatureScheme,
    signing: &'static RsaSignatureEncoding,
    verifying: &'static RsaParameters,
}

const PADDINGS: usize = 6;

static ALL_PADDINGS: [Padding; PADDINGS] = [
    Padding {
        scheme: SignatureScheme::RsaPssSha256,
        signing: &signature::RSA_PSS_SHA256,
        verifying: &signature::RSA_PSS_2048_8192_SHA256,
    },
    Padding {
        scheme: SignatureScheme::RsaPssSha384,
        signing: &signature::RSA_PSS_SHA384,
        verifying: &signature::RSA_PSS_2048_8192_SHA384,
    },
    Padding {
        scheme: SignatureScheme::RsaPssSha512,
        signing: &signature::RSA_PSS_SHA512,
        verifying: &signature::RSA_PSS_2048_8192_SHA512,
    },
    Padding {
        scheme: SignatureScheme::RsaPkcs1Sha256,
        signing: &signature::RSA_PKCS1_SHA256,
        verifying: &signature::RSA_PKCS1_2048_8192_SHA256,
    },
    Padding {
        scheme: SignatureScheme::RsaPkcs1Sha384,
        signing: &signature::RSA_PKCS1_SHA384,
        verifying: &signature::RSA_PKCS1_2048_8192_SHA384,
    },
    Padding {
        scheme: SignatureScheme::RsaPkcs1Sha512,
        signing: &signature::RSA_PKCS1_SHA512,
        verifying: &signature::RSA_PKCS1_2048_8192_SHA512,
    },
];

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
        Ok(RsaKey { pair: None, verifiers: Default::default(), public })
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
        let refused = CryptoError::Invalid("RSA private key");
        // Parsing checks that primes, exponents and CRT parts belong together.
        let pair = KeyPair::from_pkcs8(material).map_err(|_| refused)?;
        let encoded: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| refused)?;
        if !bool::from(encoded.as_ref().ct_eq(material)) {
            return Err(refused);
        }
        let spki_der = pair.public_key().as_der().map_err(|_| refused)?;
        let mut key = self.expand_public(spki_der.as_ref()).map_err(|_| refused)?;
        key.pair = Some(pair);
        Ok(Box::new(key))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(self.expand_public(spki_der)?))
    }
}

struct RsaKey {
    pair: Option<KeyPair>,
    /// In the order of [`ALL_PADDINGS`], each made at its first use.
    verifiers: [OnceLock<ParsedPublicKey>; PADDINGS],
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
}

impl ExpandedKey for RsaKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let (padding, _) = self.padding(scheme)?;
        let pair = self.pair.as_ref().ok_or(NO_PRIVATE_HALF)?;
        let mut signature = vec![0; pair.public_modulus_len()];
        // The library draws salt and blinding itself and ignores the source that it is handed.
        pair.sign(padding.signing, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| CryptoError::Library("sign"))?;
        Ok(signature)
    }

    fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let (padding, slot) = self.padding(scheme)?;
        let verifier = match slot.get() {
            Some(verifier) => verifier,
            None => {
                let parsed = ParsedPublicKey::new(padding.verifying, self.public.spki_der())
                    .map_err(|_| CryptoError::Library("expand a public key"))?;
                slot.get_or_init(|| parsed)
            }
        };
        Ok(verifier.verify_sig(message, signature).is_ok())
    }
}
