//! ECDSA on the NIST curves (FIPS 186-5 section 6), each with the hash of its own strength.

use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair, ParsedPublicKey,
};
use lethe_types::{Entropy, SecretVec};
use subtle::ConstantTimeEq;

use super::{ExpandedKey, Family, NO_PRIVATE_HALF, NO_SUCH_SCHEME};
use crate::CryptoError;
use crate::registry::{PublicKey, SignatureScheme};

pub(crate) static P256: Curve = Curve {
    point_bytes: 65,
    formats: [
        Format {
            scheme: SignatureScheme::EcdsaSha256,
            signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            verifying: &signature::ECDSA_P256_SHA256_ASN1,
        },
        Format {
            scheme: SignatureScheme::EcdsaSha256P1363,
            signing: &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
            verifying: &signature::ECDSA_P256_SHA256_FIXED,
        },
    ],
};

pub(crate) static P384: Curve = Curve {
    point_bytes: 97,
    formats: [
        Format {
            scheme: SignatureScheme::EcdsaSha384,
            signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            verifying: &signature::ECDSA_P384_SHA384_ASN1,
        },
        Format {
            scheme: SignatureScheme::EcdsaSha384P1363,
            signing: &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
            verifying: &signature::ECDSA_P384_SHA384_FIXED,
        },
    ],
};

pub(crate) static P521: Curve = Curve {
    point_bytes: 133,
    formats: [
        Format {
            scheme: SignatureScheme::EcdsaSha512,
            signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            verifying: &signature::ECDSA_P521_SHA512_ASN1,
        },
        Format {
            scheme: SignatureScheme::EcdsaSha512P1363,
            signing: &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
            verifying: &signature::ECDSA_P521_SHA512_FIXED,
        },
    ],
};

/// How many ways a signature is written: DER, and fixed length.
const FORMATS: usize = 2;

/// One curve of the library.
pub(crate) struct Curve {
    /// Bytes of an uncompressed point.
    point_bytes: usize,
    /// DER first.
    formats: [Format; FORMATS],
}

/// The library ties hash and encoding to the type of the key.
struct Format {
    scheme: SignatureScheme,
    signing: &'static EcdsaSigningAlgorithm,
    verifying: &'static EcdsaVerificationAlgorithm,
}

impl Curve {
    fn der(&self) -> &Format {
        let [der, _] = &self.formats;
        der
    }

    fn expand_public(&'static self, spki_der: &[u8]) -> Result<EcdsaKey, CryptoError> {
        let refused = CryptoError::Invalid("elliptic-curve public key");
        // Parsing checks that the point is on this curve and is not its identity.
        let parsed = ParsedPublicKey::new(self.der().verifying, spki_der).map_err(|_| refused)?;
        // The library would take a bare or compressed point as well; only the one encoding is let
        // in.
        if parsed.as_der().map_err(|_| refused)?.as_ref() != spki_der {
            return Err(refused);
        }
        let start = spki_der.len().checked_sub(self.point_bytes).ok_or(refused)?;
        let (_, raw) = spki_der.split_at(start);
        let public = PublicKey::new(raw, spki_der);
        let der = Half { pair: OnceLock::new(), verifier: OnceLock::from(parsed) };
        Ok(EcdsaKey { curve: self, halves: [der, Half::default()], public })
    }
}

impl Family for Curve {
    /// The library draws the scalar itself (FIPS 186-5 appendix A.2.2) and takes no entropy.
    fn generate(&'static self, _entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        let failed = |_| CryptoError::Library("generate an elliptic-curve key");
        let pair = EcdsaKeyPair::generate(self.der().signing).map_err(failed)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
        Ok(SecretVec::copy_from(pkcs8.as_ref()))
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let refused = CryptoError::Invalid("elliptic-curve private key");
        // Parsing checks the scalar's range, the point, and that they belong together.
        let pair = EcdsaKeyPair::from_pkcs8(self.der().signing, material).map_err(|_| refused)?;
        let encoded = pair.to_pkcs8v1().map_err(|_| refused)?;
        if !bool::from(encoded.as_ref().ct_eq(material)) {
            return Err(refused);
        }
        let spki_der = pair.public_key().as_der().map_err(|_| refused)?;
        let key = self.expand_public(spki_der.as_ref())?;
        let [der, _] = &key.halves;
        der.pair.get_or_init(|| pair);
        Ok(Box::new(key))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(self.expand_public(spki_der)?))
    }
}

struct EcdsaKey {
    curve: &'static Curve,
    /// In the order of the curve's formats.
    halves: [Half; FORMATS],
    public: PublicKey,
}

/// What one format needs. That of DER is filled when the key is loaded; the other at its first use,
/// so that keys that never need it do not pay its time and memory.
#[derive(Default)]
struct Half {
    pair: OnceLock<EcdsaKeyPair>,
    verifier: OnceLock<ParsedPublicKey>,
}

impl EcdsaKey {
    fn format(&self, scheme: SignatureScheme) -> Result<(&'static Format, &Half), CryptoError> {
        let mut formats = self.curve.formats.iter().zip(&self.halves);
        formats.find(|(format, _)| format.scheme == scheme).ok_or(NO_SUCH_SCHEME)
    }
}

impl ExpandedKey for EcdsaKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let failed = CryptoError::Library("sign");
        let (format, half) = self.format(scheme)?;
        let pair = match half.pair.get() {
            Some(pair) => pair,
            None => {
                let [der, _] = &self.halves;
                let first = der.pair.get().ok_or(NO_PRIVATE_HALF)?;
                let pkcs8 = first.to_pkcs8v1().map_err(|_| failed)?;
                let pair =
                    EcdsaKeyPair::from_pkcs8(format.signing, pkcs8.as_ref()).map_err(|_| failed)?;
                half.pair.get_or_init(|| pair)
            }
        };
        // The library draws the nonce itself and ignores the source that it is handed.
        let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| failed)?;
        Ok(signature.as_ref().to_vec())
    }

    fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let (format, half) = self.format(scheme)?;
        let verifier = match half.verifier.get() {
            Some(verifier) => verifier,
            None => {
                let parsed = ParsedPublicKey::new(format.verifying, self.public.spki_der())
                    .map_err(|_| CryptoError::Library("expand a public key"))?;
                half.verifier.get_or_init(|| parsed)
            }
        };
        Ok(verifier.verify_sig(message, signature).is_ok())
    }
}
