//! ML-KEM (FIPS 203).
//!
//! Encapsulation and decapsulation are the library's. The material is the 64-byte seed `d || z`;
//! the library takes expanded keys alone, so that the `ml-kem` crate (not audited) expands the seed
//! (`ML-KEM.KeyGen_internal`, algorithm 16) where a key is loaded. A test holds the two against
//! each other. An expanded key without its seed is taken as material too: it cannot be turned
//! back.
//!
//! The library frees its own copy of a shared secret without wiping it.

use aws_lc_rs::kem::{self, Ciphertext, DecapsulationKey, EncapsulationKey};
use lethe_types::{Entropy, SecretVec};
use ml_kem::kem::FromSeed;
use ml_kem::{MlKem512, MlKem768, MlKem1024};
use pkcs8::ObjectIdentifier;
use zeroize::Zeroize;

use super::{ExpandedKey, Family, NO_DECAPSULATION_KEY, random};
use crate::CryptoError;
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::fixed_der::{KeyDer, LatticePrivate};
use crate::hash::{HashAlgorithm, digest};
use crate::registry::{Encapsulation, KeyFormat, PublicFormat, PublicKey};

pub(crate) static ML_KEM_512: MlKem = MlKem {
    library: &kem::ML_KEM_512,
    rank: 2,
    ciphertext_bytes: 768,
    der: KeyDer { oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.1") },
    expand: expand_512,
};
pub(crate) static ML_KEM_768: MlKem = MlKem {
    library: &kem::ML_KEM_768,
    rank: 3,
    ciphertext_bytes: 1_088,
    der: KeyDer { oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.2") },
    expand: expand_768,
};
pub(crate) static ML_KEM_1024: MlKem = MlKem {
    library: &kem::ML_KEM_1024,
    rank: 4,
    ciphertext_bytes: 1_568,
    der: KeyDer { oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.4.3") },
    expand: expand_1024,
};

/// Bytes of a seed: `d || z`.
pub(super) const SEED_BYTES: usize = 64;
/// Bytes of one polynomial: 256 coefficients of 12 bits.
const POLYNOMIAL_BYTES: usize = 384;
/// Bytes of a hash, of `z` and of the seed of the matrix.
const HASH_BYTES: usize = 32;
/// The modulus of the coefficients.
const MODULUS: u16 = 3_329;

const PUBLIC_REFUSED: CryptoError = CryptoError::Invalid("ML-KEM public key");
const PRIVATE_REFUSED: CryptoError = CryptoError::Invalid("ML-KEM private key");

/// One parameter set.
pub(crate) struct MlKem {
    library: &'static kem::Algorithm,
    /// `k` of FIPS 203 section 8.
    rank: usize,
    ciphertext_bytes: usize,
    /// RFC 9935.
    der: KeyDer,
    expand: fn(&[u8; SEED_BYTES]) -> SecretVec,
}

macro_rules! expand {
    ($function:ident, $parameters:ident) => {
        fn $function(seed: &[u8; SEED_BYTES]) -> SecretVec {
            let mut seed = ml_kem::Seed::from(*seed);
            let (private, _) = $parameters::from_seed(&seed);
            seed.zeroize();
            expanded_of(&private)
        }
    };
}

expand!(expand_512, MlKem512);
expand!(expand_768, MlKem768);
expand!(expand_1024, MlKem1024);

/// The expanded key, in a form that the crate calls deprecated because seeds are better; the
/// library takes no other.
#[expect(deprecated, reason = "the one form that both libraries have")]
fn expanded_of(private: &impl ml_kem::ExpandedKeyEncoding) -> SecretVec {
    let mut expanded = private.to_expanded_bytes();
    let copy = SecretVec::copy_from(&expanded);
    expanded.zeroize();
    copy
}

impl MlKem {
    pub(super) const fn public_bytes(&self) -> usize {
        self.rank * POLYNOMIAL_BYTES + HASH_BYTES
    }

    const fn expanded_bytes(&self) -> usize {
        self.rank * POLYNOMIAL_BYTES + self.public_bytes() + 2 * HASH_BYTES
    }

    pub(super) const fn ciphertext_bytes(&self) -> usize {
        self.ciphertext_bytes
    }

    /// The key of `material`, a seed or an expanded key.
    pub(super) fn expand(&'static self, material: &[u8]) -> Result<MlKemKey, CryptoError> {
        if let Ok(seed) = material.try_into() {
            return self.of_expanded((self.expand)(seed).expose());
        }
        self.of_expanded(material)
    }

    fn of_expanded(&'static self, expanded: &[u8]) -> Result<MlKemKey, CryptoError> {
        let failed = |_| PRIVATE_REFUSED;
        if expanded.len() != self.expanded_bytes() {
            return Err(PRIVATE_REFUSED);
        }
        let (_, rest) =
            expanded.split_at_checked(self.rank * POLYNOMIAL_BYTES).ok_or(PRIVATE_REFUSED)?;
        let (public, rest) = rest.split_at_checked(self.public_bytes()).ok_or(PRIVATE_REFUSED)?;
        let (hash, _) = rest.split_at_checked(HASH_BYTES).ok_or(PRIVATE_REFUSED)?;
        // FIPS 203 section 7.3, the hash check.
        if digest(HashAlgorithm::Sha3_256, &[public]).as_slice() != hash {
            return Err(PRIVATE_REFUSED);
        }
        let mut key = self.of_public(public).map_err(failed)?;
        key.private =
            Some(DecapsulationKey::new(self.library, expanded).map_err(|_| PRIVATE_REFUSED)?);
        Ok(key)
    }

    /// The key of the raw public key alone.
    pub(super) fn of_public(&'static self, public: &[u8]) -> Result<MlKemKey, CryptoError> {
        if public.len() != self.public_bytes() || !has_canonical_coefficients(public) {
            return Err(PUBLIC_REFUSED);
        }
        let encapsulating =
            EncapsulationKey::new(self.library, public).map_err(|_| PUBLIC_REFUSED)?;
        let public = PublicKey::new(public, &self.der.spki(public));
        Ok(MlKemKey { family: self, private: None, encapsulating, public })
    }
}

/// The modulus check of FIPS 203 section 7.2: every coefficient is below the modulus. The last 32
/// bytes are no coefficients.
fn has_canonical_coefficients(public: &[u8]) -> bool {
    let (coefficients, _) = public.split_at(public.len().saturating_sub(HASH_BYTES));
    coefficients.chunks_exact(3).all(|chunk| {
        let &[first, second, third] = chunk else { return false };
        let (first, second, third) = (u16::from(first), u16::from(second), u16::from(third));
        (first | (second & 0x0f) << 8) < MODULUS && (second >> 4 | third << 4) < MODULUS
    })
}

impl Family for MlKem {
    fn generate(&'static self, entropy: &dyn Entropy) -> Result<SecretVec, CryptoError> {
        random(entropy, SEED_BYTES)
    }

    fn load(&'static self, material: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        Ok(Box::new(self.expand(material)?))
    }

    fn load_public(&'static self, spki_der: &[u8]) -> Result<Box<dyn ExpandedKey>, CryptoError> {
        let public = self.der.public(spki_der, self.public_bytes()).ok_or(PUBLIC_REFUSED)?;
        Ok(Box::new(self.of_public(public)?))
    }

    /// Raw: the seed or the expanded key. PKCS#8: RFC 9935 section 6, all three forms; of both
    /// secrets the seed is kept, once it is found to expand to the other. There is no JSON Web Key
    /// of ML-KEM yet.
    fn import(&'static self, format: KeyFormat, bytes: &[u8]) -> Result<SecretVec, CryptoError> {
        match format {
            KeyFormat::Raw => Ok(SecretVec::copy_from(bytes)),
            KeyFormat::Pkcs8Der => {
                let expanded_bytes = self.expanded_bytes();
                let found = LatticePrivate::of_pkcs8(&self.der, bytes, SEED_BYTES, expanded_bytes);
                match found.ok_or(PRIVATE_REFUSED)? {
                    LatticePrivate::Seed(secret) | LatticePrivate::Expanded(secret) => {
                        Ok(SecretVec::copy_from(secret))
                    }
                    LatticePrivate::Both { seed, expanded } => {
                        let fixed = seed.try_into().map_err(|_| PRIVATE_REFUSED)?;
                        if (self.expand)(fixed).ct_eq(expanded) {
                            Ok(SecretVec::copy_from(seed))
                        } else {
                            Err(PRIVATE_REFUSED)
                        }
                    }
                }
            }
            KeyFormat::Pkcs8Pem
            | KeyFormat::Jwk
            | KeyFormat::Sec1Der
            | KeyFormat::Sec1Pem
            | KeyFormat::Pkcs1Der
            | KeyFormat::Pkcs1Pem => Err(NO_SUCH_FORM),
        }
    }

    /// Raw: the material. PKCS#8: of the seed, or expanded where there is none.
    fn export(&'static self, material: &[u8], format: KeyFormat) -> Result<SecretVec, CryptoError> {
        match format {
            KeyFormat::Raw => Ok(SecretVec::copy_from(material)),
            KeyFormat::Pkcs8Der => {
                let private = if material.len() == SEED_BYTES {
                    LatticePrivate::Seed(material)
                } else {
                    LatticePrivate::Expanded(material)
                };
                Ok(private.to_pkcs8(&self.der))
            }
            KeyFormat::Pkcs8Pem
            | KeyFormat::Jwk
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
        let raw = match format {
            PublicFormat::Raw => bytes,
            PublicFormat::SpkiDer => {
                self.der.public(bytes, self.public_bytes()).ok_or(PUBLIC_REFUSED)?
            }
            PublicFormat::SpkiPem | PublicFormat::Jwk => return Err(NO_SUCH_FORM),
        };
        Ok(self.of_public(raw)?.public)
    }
}

pub(super) struct MlKemKey {
    family: &'static MlKem,
    private: Option<DecapsulationKey>,
    encapsulating: EncapsulationKey,
    public: PublicKey,
}

impl ExpandedKey for MlKemKey {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public)
    }

    fn encapsulate(&self, _entropy: &dyn Entropy) -> Result<Encapsulation, CryptoError> {
        let made = self.encapsulating.encapsulate();
        let (ciphertext, secret) = made.map_err(|_| CryptoError::Library("encapsulate"))?;
        Ok(Encapsulation {
            ciphertext: ciphertext.as_ref().to_vec(),
            shared_secret: SecretVec::copy_from(secret.as_ref()),
        })
    }

    fn decapsulate(&self, ciphertext: &[u8]) -> Result<SecretVec, CryptoError> {
        let private = self.private.as_ref().ok_or(NO_DECAPSULATION_KEY)?;
        // FIPS 203 section 7.3, the ciphertext type check.
        if ciphertext.len() != self.family.ciphertext_bytes {
            return Err(CryptoError::Invalid("length of the ciphertext"));
        }
        let secret = private.decapsulate(Ciphertext::from(ciphertext));
        let secret = secret.map_err(|_| CryptoError::Library("decapsulate"))?;
        Ok(SecretVec::copy_from(secret.as_ref()))
    }
}

/// The expanded key of a seed, for tests.
#[cfg(test)]
pub(crate) fn expanded(name: &str, seed: &[u8]) -> SecretVec {
    let family = match name {
        "ml-kem-512" => &ML_KEM_512,
        "ml-kem-768" => &ML_KEM_768,
        other => {
            assert_eq!(other, "ml-kem-1024");
            &ML_KEM_1024
        }
    };
    (family.expand)(seed.try_into().expect("a seed"))
}
