//! The written forms in which keys come in and go out.

use lethe_types::SecretVec;

use super::{Algorithm, Material, PublicKey};
use crate::CryptoError;
use crate::encoding::{KEY_FORM_BYTES_MAX, pem};

macro_rules! forms {
    ($(#[$doc:meta])* $type:ident { $($(#[$form_doc:meta])* $name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$form_doc])* #[doc = concat!("\n\nWritten `", $text, "`.")] $name,)*
        }

        impl $type {
            /// All forms.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The form's stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The form of a stable name; `None` for any other text.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|form| form.as_str() == name)
            }
        }
    };
}

forms! {
    /// A form of a secret key.
    KeyFormat {
        /// The algorithm's own: bytes of a symmetric key, seed (or, of ML-KEM and ML-DSA without
        /// one, the expanded key), or big-endian scalar at full length; key and chain code side by
        /// side for keys that derive others; none for RSA.
        Raw = "raw",
        /// Unencrypted PKCS#8 in DER (RFC 5958, 8410, 9881, 9935). Of keys on curves version 1 or
        /// 2 is read; of the others, and written, is version 1.
        Pkcs8Der = "pkcs8-der",
        /// PKCS#8 in PEM with the label `PRIVATE KEY` (RFC 7468 section 10).
        Pkcs8Pem = "pkcs8-pem",
        /// A JSON Web Key (RFC 7517, 7518, 8037, 8812, 9964).
        Jwk = "jwk",
        /// `ECPrivateKey` in DER (SEC 1, RFC 5915), for Weierstrass curves.
        Sec1Der = "sec1-der",
        /// `ECPrivateKey` in PEM with the label `EC PRIVATE KEY`.
        Sec1Pem = "sec1-pem",
        /// `RSAPrivateKey` in DER (PKCS#1, RFC 8017 appendix A.1.2).
        Pkcs1Der = "pkcs1-der",
        /// `RSAPrivateKey` in PEM with the label `RSA PRIVATE KEY`.
        Pkcs1Pem = "pkcs1-pem",
    }
}

forms! {
    /// A form of a public key.
    PublicFormat {
        /// The algorithm's own, as [`PublicKey::raw`]; a point may be compressed as well.
        Raw = "raw",
        /// `SubjectPublicKeyInfo` in DER (RFC 5280 section 4.1.2.7).
        SpkiDer = "spki-der",
        /// `SubjectPublicKeyInfo` in PEM with the label `PUBLIC KEY` (RFC 7468 section 13).
        SpkiPem = "spki-pem",
        /// A JSON Web Key without private members.
        Jwk = "jwk",
    }
}

impl KeyFormat {
    /// The form inside the PEM, with its label; `None` for a form that is not PEM.
    const fn inside_pem(self) -> Option<(Self, &'static str)> {
        match self {
            Self::Pkcs8Pem => Some((Self::Pkcs8Der, pem::PKCS8)),
            Self::Sec1Pem => Some((Self::Sec1Der, pem::SEC1)),
            Self::Pkcs1Pem => Some((Self::Pkcs1Der, pem::PKCS1)),
            Self::Raw | Self::Pkcs8Der | Self::Jwk | Self::Sec1Der | Self::Pkcs1Der => None,
        }
    }
}

impl Algorithm {
    /// Takes in a secret key that was made elsewhere. The material is the one that
    /// [`Algorithm::generate`] would have made of the same key, whatever the form (but for ML-KEM
    /// and ML-DSA keys that come without their seed); a public key that stands beside it must
    /// belong to it. A key pair is tried as [`Algorithm::generate`] does.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for bytes that are not exactly one key of this algorithm in this
    /// form, or for halves that do not belong together; [`CryptoError::Unsupported`] if the
    /// algorithm has no such form. Nothing is kept.
    pub fn import(self, format: KeyFormat, bytes: &[u8]) -> Result<Material, CryptoError> {
        check_length(bytes)?;
        let secret = match format.inside_pem() {
            Some((inside, label)) => {
                let der = pem::decode(label, bytes)?;
                self.family().import(inside, der.expose())?
            }
            None => self.family().import(format, bytes)?,
        };
        let key = self.load(&secret)?;
        match key.is_consistent() {
            Ok(true) => {}
            // A private half that cannot be used at all is no better than one of another pair.
            Ok(false) | Err(CryptoError::Library(_)) => {
                return Err(CryptoError::Invalid("key pair whose halves do not belong together"));
            }
            Err(error) => return Err(error),
        }
        Ok(Material::new(secret, key.public_key().cloned()))
    }

    /// Writes `material` of this algorithm in another form. Who may ask is for the caller.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for material that [`Algorithm::load`] refuses;
    /// [`CryptoError::Unsupported`] if the algorithm or this key has no such form, or
    /// keys of the algorithm never leave.
    pub fn export(self, material: &SecretVec, format: KeyFormat) -> Result<SecretVec, CryptoError> {
        self.load(material)?;
        match format.inside_pem() {
            Some((inside, label)) => {
                let der = self.family().export(material.expose(), inside)?;
                pem::encode(label, der.expose())
            }
            None => self.family().export(material.expose(), format),
        }
    }

    /// What is kept of a key whose private half is elsewhere: its `SubjectPublicKeyInfo` stands
    /// where a secret would. For [`Algorithm::load_public`], never for [`Algorithm::load`].
    ///
    /// # Errors
    /// As [`Algorithm::import_public`].
    pub fn public_material(
        self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<Material, CryptoError> {
        let public = self.import_public(format, bytes)?;
        Ok(Material::new(SecretVec::copy_from(public.spki_der()), Some(public)))
    }

    /// Takes in a public key alone and checks that it is one of this algorithm: on the curve, not
    /// its identity, not of low order where that can be seen, a modulus of the right size.
    ///
    /// # Errors
    /// [`CryptoError::Invalid`] for bytes that are not exactly one public key of this algorithm in
    /// this form; [`CryptoError::Unsupported`] if the algorithm has no public keys or no such form.
    pub fn import_public(
        self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<PublicKey, CryptoError> {
        check_length(bytes)?;
        match format {
            PublicFormat::SpkiPem => {
                let der = pem::decode(pem::SPKI, bytes)?;
                self.family().import_public(PublicFormat::SpkiDer, der.expose())
            }
            PublicFormat::Raw | PublicFormat::SpkiDer | PublicFormat::Jwk => {
                self.family().import_public(format, bytes)
            }
        }
    }

    /// The JWK of a public key of this algorithm.
    ///
    /// # Errors
    /// [`CryptoError::Unsupported`] if its public keys have no such form.
    pub fn public_jwk(self, public: &PublicKey) -> Result<String, CryptoError> {
        let json = self.family().public_jwk(public)?;
        let text = core::str::from_utf8(json.expose());
        text.map(str::to_owned).map_err(|_| CryptoError::Library("write a JWK"))
    }
}

fn check_length(bytes: &[u8]) -> Result<(), CryptoError> {
    let is_short = bytes.len() <= KEY_FORM_BYTES_MAX;
    if is_short { Ok(()) } else { Err(CryptoError::Invalid("length of the key")) }
}
