//! Keys on their way between Lethe and somebody else: wrapped so that only the holder of one key
//! pair can open them.
//!
//! Two schemes, told apart by the recipient's key: HPKE for X25519, and for RSA an AES key under
//! OAEP with the key under AES-KWP. Both are composed of this crate's algorithms; no primitive is
//! written here. Must not know what the bytes are or who may have them.

mod hpke;

use core::fmt;

use lethe_types::{Entropy, SecretVec};

use crate::CryptoError;
use crate::algorithms::random;
use crate::registry::{
    Algorithm, KEY_FORM_BYTES_MAX, OaepHash, PublicFormat, UsableKey, WRAPPED_PLAINTEXT_BYTES_MAX,
};

/// Most bytes of a key that travels: any key of this build in any form.
pub const TRANSPORTED_BYTES_MAX: usize = KEY_FORM_BYTES_MAX;

/// Most bytes of a wrapped key: with an encapsulation of RSA-4096 and what KWP adds.
pub const TRANSPORT_BYTES_MAX: usize = TRANSPORTED_BYTES_MAX + 512 + 16;

/// Bytes of the AES key between RSA and the key that travels.
const INNER_KEY_BYTES: usize = 32;

/// How a key is wrapped for its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransportScheme {
    /// HPKE (RFC 9180), base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one
    /// message with empty associated data: `enc (32) || ciphertext || tag (16)`.
    Hpke,
    /// `RSAES-OAEP(AES key) || AES-256-KWP(key)`: OAEP with SHA-256, MGF1 with SHA-256 and no label
    /// (RFC 8017), KWP of RFC 5649. The shape of PKCS#11's `CKM_RSA_AES_KEY_WRAP`.
    RsaAes,
}

impl TransportScheme {
    /// All schemes.
    pub const ALL: &[Self] = &[Self::Hpke, Self::RsaAes];

    /// The scheme's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hpke => "hpke-x25519-sha256-aes256gcm",
            Self::RsaAes => "rsa-oaep-sha256-aes256-kwp",
        }
    }

    /// The scheme by which a key travels to the holder of a key pair of `algorithm`; `None` if it
    /// has none.
    #[must_use]
    pub fn of(algorithm: Algorithm) -> Option<Self> {
        if algorithm.name() == X25519 {
            Some(Self::Hpke)
        } else {
            modulus_bytes(algorithm).map(|_| Self::RsaAes)
        }
    }
}

impl fmt::Display for TransportScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const X25519: &str = "x25519";
/// The keys of RSA and the bytes of their moduli, the smallest first.
const RSA: [(&str, usize); 3] = [("rsa-2048", 256), ("rsa-3072", 384), ("rsa-4096", 512)];

fn modulus_bytes(algorithm: Algorithm) -> Option<usize> {
    RSA.iter().find(|(name, _)| *name == algorithm.name()).map(|(_, bytes)| *bytes)
}

/// The public key for whose holder keys are wrapped.
pub struct Recipient(Kind);

enum Kind {
    X25519(Box<[u8]>),
    Rsa(UsableKey),
}

impl Recipient {
    /// The recipient of a public key in DER (`SubjectPublicKeyInfo`, RFC 5280): X25519, or RSA of
    /// 2,048, 3,072 or 4,096 bits.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for anything else, and for a point of low order.
    pub fn of_spki(spki_der: &[u8]) -> Result<Self, CryptoError> {
        let refused = CryptoError::Invalid("public key to wrap for: it must be X25519 or RSA");
        if spki_der.len() > KEY_FORM_BYTES_MAX {
            return Err(refused);
        }
        let x25519 = Algorithm::from_name(X25519).map_err(|_| refused)?;
        if let Ok(point) = x25519.import_public(PublicFormat::SpkiDer, spki_der) {
            return Ok(Self(Kind::X25519(point.raw().into())));
        }
        let rsa = RSA.iter().filter_map(|(name, _)| Algorithm::from_name(name).ok());
        let mut keys = rsa.filter_map(|algorithm| algorithm.load_public(spki_der).ok());
        keys.next().map(|key| Self(Kind::Rsa(key))).ok_or(refused)
    }

    /// How keys are wrapped for it.
    #[must_use]
    pub fn scheme(&self) -> TransportScheme {
        match self.0 {
            Kind::X25519(_) => TransportScheme::Hpke,
            Kind::Rsa(_) => TransportScheme::RsaAes,
        }
    }

    /// `key`, wrapped. `info` is that of HPKE: who opens it needs the same. RSA has no place for
    /// it. Of RSA the library draws the seed of OAEP itself.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for no bytes or more than [`TRANSPORTED_BYTES_MAX`];
    /// [`CryptoError::Entropy`]; [`CryptoError::Library`].
    pub fn seal(
        &self,
        entropy: &dyn Entropy,
        info: &[u8],
        key: &SecretVec,
    ) -> Result<Vec<u8>, CryptoError> {
        if key.is_empty() || key.len() > TRANSPORTED_BYTES_MAX.min(WRAPPED_PLAINTEXT_BYTES_MAX) {
            return Err(CryptoError::Invalid("length of the key to wrap"));
        }
        match &self.0 {
            Kind::X25519(point) => hpke::seal(entropy, point, info, b"", key.expose()),
            Kind::Rsa(public) => {
                let inner = random(entropy, INNER_KEY_BYTES)?;
                let mut wrapped = public.encrypt_oaep(OaepHash::Sha256, b"", inner.expose())?;
                wrapped.extend(kwp(&inner)?.wrap(key.expose())?);
                Ok(wrapped)
            }
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({})", self.scheme())
    }
}

/// The key that [`Recipient::seal`] wrapped for the holder of `material` of `algorithm`, under the
/// same `info`.
///
/// # Errors
/// [`CryptoError::Unsupported`] if the algorithm is none that keys travel under;
/// [`CryptoError::Invalid`] for material that is none of its; [`CryptoError::Authentication`] for
/// everything that was not wrapped so, without saying what is wrong.
pub fn open(
    algorithm: Algorithm,
    material: &SecretVec,
    info: &[u8],
    wrapped: &[u8],
) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Authentication;
    let scheme = TransportScheme::of(algorithm);
    let scheme = scheme.ok_or(CryptoError::Unsupported("open a wrapped key"))?;
    let key = algorithm.load(material)?;
    if wrapped.len() > TRANSPORT_BYTES_MAX {
        return Err(refused);
    }
    let opened = match scheme {
        TransportScheme::Hpke => hpke::open(&key, info, b"", wrapped)?,
        TransportScheme::RsaAes => {
            let modulus_bytes = modulus_bytes(algorithm).ok_or(refused)?;
            let (outer, inner) = wrapped.split_at_checked(modulus_bytes).ok_or(refused)?;
            let inner_key = key.decrypt_oaep(OaepHash::Sha256, b"", outer)?;
            // Another length of AES key is no other scheme's, but nobody's.
            kwp(&inner_key).map_err(|_| refused)?.unwrap(inner)?
        }
    };
    if opened.len() > TRANSPORTED_BYTES_MAX { Err(refused) } else { Ok(opened) }
}

fn kwp(inner: &SecretVec) -> Result<UsableKey, CryptoError> {
    let kwp = Algorithm::from_name("aes256-kwp");
    kwp.map_err(|_| CryptoError::Unsupported("wrap by AES-256-KWP"))?.load(inner)
}

#[cfg(test)]
mod tests;
