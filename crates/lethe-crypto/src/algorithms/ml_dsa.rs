//! ML-DSA (FIPS 204), pure, hedged: a signature is another one each time.
//!
//! By the library where there is no context, and by another crate where there is one
//! (`ml_dsa_context.rs`). Neither prehashes messages here, so that digests are refused. The
//! material is the 32-byte seed; an expanded key without its seed is taken too, since it cannot be
//! turned back.

use aws_lc_rs::encoding::AsRawBytes;
use aws_lc_rs::signature::{
    self, KeyPair, ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use lethe_types::{Entropy, SecretVec};
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87};
use pkcs8::ObjectIdentifier;
use subtle::ConstantTimeEq;

use super::ml_dsa_context::{Contextual, Of, checked};
use super::{ExpandedKey, Family, NO_PRIVATE_HALF, message_alone, random};
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::fixed_der::{KeyDer, LatticePrivate};
use crate::encoding::jwk::{self, Jwk};
use crate::registry::{
    KeyFormat, PublicFormat, PublicKey, SignRequest, Signature, SignatureScheme,
};
use crate::{CryptoError, SystemEntropy};

pub(crate) static ML_DSA_44: MlDsa = MlDsa {
    signing: &signature::ML_DSA_44_SIGNING,
    verifying: &signature::ML_DSA_44,
    public_bytes: 1_312,
    expanded_bytes: 2_560,
    contextual: &Of::<MlDsa44>::NEW,
    jwa_name: "ML-DSA-44",
    der: KeyDer { oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17") },
};
pub(crate) static ML_DSA_65: MlDsa = MlDsa {
    signing: &signature::ML_DSA_65_SIGNING,
    verifying: &signature::ML_DSA_65,
    public_bytes: 1_952,
    expanded_bytes: 4_032,
    contextual: &Of::<MlDsa65>::NEW,
    jwa_name: "ML-DSA-65",
    der: KeyDer { oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18") },
};
pub(crate) static ML_DSA_87: MlDsa = MlDsa {
    signing: &signature::ML_DSA_87_SIGNING,
    verifying: &signature::ML_DSA_87,
    public_bytes: 2_592,
    expanded_bytes: 4_896,
    contextual: &Of::<MlDsa87>::NEW,
    jwa_name: "ML-DSA-87",
    der: KeyDer { oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19") },
};

/// Bytes of a seed.
const SEED_BYTES: usize = 32;

const PUBLIC_REFUSED: CryptoError = CryptoError::Invalid("ML-DSA public key");
const PRIVATE_REFUSED: CryptoError = CryptoError::Invalid("ML-DSA private key");

/// One parameter set.
pub(crate) struct MlDsa {
    signing: &'static PqdsaSigningAlgorithm,
    verifying: &'static PqdsaVerificationAlgorithm,
    public_bytes: usize,
    expanded_bytes: usize,
    contextual: &'static dyn Contextual,
    /// The `alg` of a JSON Web Key (RFC 9964).
    jwa_name: &'static str,
    /// RFC 9881.
    der: KeyDer,
}

impl MlDsa {
    fn pair(&self, material: &[u8]) -> Result<PqdsaKeyPair, CryptoError> {
        let pair = if material.len() == SEED_BYTES {
            PqdsaKeyPair::from_seed(self.signing, material)
        } else if material.len() == self.expanded_bytes {
            PqdsaKeyPair::from_raw_private_key(self.signing, material)
        } else {
            return Err(PRIVATE_REFUSED);
        };
        pair.map_err(|_| PRIVATE_REFUSED)
    }

    fn of_public(&self, public: &[u8]) -> Result<MlDsaKey, CryptoError> {
        if public.len() != self.public_bytes {
            return Err(PUBLIC_REFUSED);
        }
        let spki_der = self.der.spki(public);
        let verifier =
            ParsedPublicKey::new(self.verifying, &spki_der).map_err(|_| PUBLIC_REFUSED)?;
        let public = PublicKey::new(public, &spki_der);
        Ok(MlDsaKey { private: None, verifier, public, contextual: self.contextual })
    }

    fn jwk_head(&self) -> [(&'static str, &'static str); 2] {
        [("kty", "AKP"), ("alg", self.jwa_name)]
    }

    /// The seed of two secrets that belong together.
    fn agreeing_seed(&self, seed: &[u8], expanded: &[u8]) -> Result<SecretVec, CryptoError> {
        let pair = self.pair(seed)?;
        let raw = pair.private_key().as_raw_bytes().map_err(|_| PRIVATE_REFUSED)?;
        if bool::from(raw.as_ref().ct_eq(expanded)) {
            Ok(SecretVec::copy_from(seed))
        } else {
            Err(PRIVATE_REFUSED)
        }
    }
}

impl Family for MlDsa {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, SEED_BYTES)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let pair = self.pair(material)?;
        let mut key = self.of_public(pair.public_key().as_ref()).map_err(|_| PRIVATE_REFUSED)?;
        let signature_bytes = self.signing.signature_len();
        let material = SecretVec::copy_from(material);
        key.private = Some(Private { pair, material, signature_bytes });
        Ok(Box::new(key))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let public = self.der.public(spki_der, self.public_bytes).ok_or(PUBLIC_REFUSED)?;
        Ok(Box::new(self.of_public(public)?))
    }

    /// Raw: the seed or the expanded key. PKCS#8: RFC 9881 section 6, all three forms; of both
    /// secrets the seed is kept, once it is found to expand to the other. JSON Web Key: `AKP` with
    /// `pub` and the seed as `priv` (RFC 9964).
    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        match format {
            KeyFormat::Raw => Ok(SecretVec::copy_from(bytes)),
            KeyFormat::Pkcs8Der => {
                let found =
                    LatticePrivate::of_pkcs8(&self.der, bytes, SEED_BYTES, self.expanded_bytes);
                match found.ok_or(PRIVATE_REFUSED)? {
                    LatticePrivate::Seed(secret) | LatticePrivate::Expanded(secret) => {
                        Ok(SecretVec::copy_from(secret))
                    }
                    LatticePrivate::Both { seed, expanded } => self.agreeing_seed(seed, expanded),
                }
            }
            KeyFormat::Jwk => {
                let key = Jwk::parse(bytes, "AKP")?;
                key.check_algorithm(Some(self.jwa_name))?;
                let (seed, public) = (key.bytes("priv")?, key.bytes("pub")?);
                if seed.len() != SEED_BYTES {
                    return Err(PRIVATE_REFUSED);
                }
                if !public.ct_eq(self.pair(seed.expose())?.public_key().as_ref()) {
                    return Err(PUBLIC_REFUSED);
                }
                Ok(seed)
            }
            KeyFormat::Pkcs8Pem
            | KeyFormat::Sec1Der
            | KeyFormat::Sec1Pem
            | KeyFormat::Pkcs1Der
            | KeyFormat::Pkcs1Pem => Err(NO_SUCH_FORM),
        }
    }

    /// Raw: the material. PKCS#8: of the seed, or expanded where there is none. A JSON Web Key
    /// needs the seed.
    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        let is_seed = material.len() == SEED_BYTES;
        match format {
            KeyFormat::Raw => Ok(SecretVec::copy_from(material)),
            KeyFormat::Pkcs8Der if is_seed => {
                Ok(LatticePrivate::Seed(material).to_pkcs8(&self.der))
            }
            KeyFormat::Pkcs8Der => Ok(LatticePrivate::Expanded(material).to_pkcs8(&self.der)),
            KeyFormat::Jwk if is_seed => {
                let pair = self.pair(material)?;
                let members = [("pub", pair.public_key().as_ref()), ("priv", material)];
                jwk::write(&self.jwk_head(), &members)
            }
            KeyFormat::Jwk => {
                Err(CryptoError::Unsupported("be written as a JSON Web Key without its seed"))
            }
            KeyFormat::Pkcs8Pem
            | KeyFormat::Sec1Der
            | KeyFormat::Sec1Pem
            | KeyFormat::Pkcs1Der
            | KeyFormat::Pkcs1Pem => Err(NO_SUCH_FORM),
        }
    }

    fn import_public(
        &'static self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        let key = match format {
            PublicFormat::Raw => self.of_public(bytes)?,
            PublicFormat::SpkiDer => {
                self.of_public(self.der.public(bytes, self.public_bytes).ok_or(PUBLIC_REFUSED)?)?
            }
            PublicFormat::Jwk => {
                let jwk = Jwk::parse_public(bytes, "AKP")?;
                jwk.check_algorithm(Some(self.jwa_name))?;
                self.of_public(jwk.bytes("pub")?.expose())?
            }
            PublicFormat::SpkiPem => return Err(NO_SUCH_FORM),
        };
        Ok(key.public)
    }

    fn public_jwk(&'static self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        jwk::write(&self.jwk_head(), &[("pub", public.raw())])
    }
}

/// The message of a request and its context, if it has one that is not empty (FIPS 204 section 5.2:
/// an empty one is the same as none), and nothing else beside them.
fn parts_of<'a>(request: &SignRequest<'a>) -> Result<(&'a [u8], Option<&'a [u8]>), CryptoError> {
    let message = message_alone(&SignRequest { context: None, ..*request })?;
    let context = request.context.filter(|context| !context.is_empty());
    Ok((message, context.map(checked).transpose()?))
}

struct MlDsaKey {
    private: Option<Private>,
    verifier: ParsedPublicKey,
    public: PublicKey,
    contextual: &'static dyn Contextual,
}

struct Private {
    pair: PqdsaKeyPair,
    /// For signatures with a context.
    material: SecretVec,
    signature_bytes: usize,
}

impl ExpandedKey for MlDsaKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn sign_with(
        &self,
        _scheme: SignatureScheme,
        request: &SignRequest<'_>,
    ) -> Result<Signature, CryptoError> {
        let (message, context) = parts_of(request)?;
        let private = self.private.as_ref().ok_or(NO_PRIVATE_HALF)?;
        if let Some(context) = context {
            let material = private.material.expose();
            // Randomness of the library's own, as in the signatures that it makes itself.
            let made = self.contextual.sign(material, (context, message), &SystemEntropy);
            return made.map(Signature::plain);
        }
        let mut signature = vec![0; private.signature_bytes];
        let signed = private.pair.sign(message, &mut signature);
        signed.map_err(|_| CryptoError::Library("sign"))?;
        Ok(Signature::plain(signature))
    }

    fn verify_with(
        &self,
        _scheme: SignatureScheme,
        request: &SignRequest<'_>,
        signature: &[u8],
    ) -> Result<bool, CryptoError> {
        let (message, context) = parts_of(request)?;
        Ok(match context {
            Some(context) => {
                self.contextual.verify(self.public.raw(), (context, message), signature)
            }
            None => self.verifier.verify_sig(message, signature).is_ok(),
        })
    }
}

/// The expanded key of a seed, for tests.
#[cfg(test)]
pub(crate) fn expanded(name: &str, seed: &[u8]) -> SecretVec {
    let family = match name {
        "ml-dsa-44" => &ML_DSA_44,
        "ml-dsa-65" => &ML_DSA_65,
        other => {
            assert_eq!(other, "ml-dsa-87");
            &ML_DSA_87
        }
    };
    let pair = family.pair(seed).expect("a seed");
    SecretVec::copy_from(pair.private_key().as_raw_bytes().expect("a pair has a key").as_ref())
}
