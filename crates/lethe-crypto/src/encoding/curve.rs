//! The written forms of keys on one curve: Weierstrass curves as SEC 1, RFC 5480, RFC 5915 and
//! RFC 7518 write them, Edwards and Montgomery curves as RFC 8410 and RFC 8037 do.

use lethe_types::SecretVec;
use pkcs8::ObjectIdentifier;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::{Decode as _, Encode as _};
use pkcs8::spki::SubjectPublicKeyInfoRef;
use sec1::EcPrivateKey;

use super::jwk::{self, Jwk};
use super::{NO_SUCH_FORM, der, joined};
use crate::CryptoError;
use crate::registry::{KeyFormat, PublicFormat, PublicKey};

/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// First byte of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

pub(crate) static P256: CurveForm = ec("1.2.840.10045.3.1.7", "P-256", 32);
pub(crate) static P384: CurveForm = ec("1.3.132.0.34", "P-384", 48);
pub(crate) static P521: CurveForm = ec("1.3.132.0.35", "P-521", 66);
pub(crate) static SECP256K1: CurveForm = ec("1.3.132.0.10", "secp256k1", 32);
pub(crate) static X25519: CurveForm = octets("1.3.101.110", "X25519", 32);
pub(crate) static X448: CurveForm = octets("1.3.101.111", "X448", 56);
pub(crate) static ED25519: CurveForm = octets("1.3.101.112", "Ed25519", 32);
pub(crate) static ED448: CurveForm = octets("1.3.101.113", "Ed448", 57);

/// One curve.
pub(crate) struct CurveForm {
    kind: Kind,
    oid: ObjectIdentifier,
    /// `crv` of RFC 7518 section 6.2.1.1, RFC 8037 section 2, RFC 8812 section 3.1.
    jwk_name: &'static str,
    /// Bytes of a private key. Those of a coordinate are as many.
    private_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Points have two coordinates, private keys are big-endian integers.
    Weierstrass,
    /// Keys are strings of bytes.
    Octets,
}

const fn ec(oid: &str, jwk_name: &'static str, private_bytes: usize) -> CurveForm {
    CurveForm {
        kind: Kind::Weierstrass,
        oid: ObjectIdentifier::new_unwrap(oid),
        jwk_name,
        private_bytes,
    }
}

const fn octets(oid: &str, jwk_name: &'static str, private_bytes: usize) -> CurveForm {
    let curve = ec(oid, jwk_name, private_bytes);
    CurveForm { kind: Kind::Octets, ..curve }
}

/// A private key as it was read. Neither part has been checked against the curve.
pub(crate) struct ReadKey {
    /// Exactly as many bytes as a private key of the curve has.
    pub(crate) private: SecretVec,
    /// The public key that stood beside it, in raw form; a point may be compressed.
    pub(crate) public: Option<Vec<u8>>,
}

impl CurveForm {
    /// Reads a private key of this curve.
    pub(crate) fn read(&self, format: KeyFormat, bytes: &[u8]) -> Result<ReadKey, CryptoError> {
        let read = match format {
            KeyFormat::Raw => ReadKey { private: SecretVec::copy_from(bytes), public: None },
            KeyFormat::Pkcs8Der => self.read_pkcs8(bytes)?,
            KeyFormat::Sec1Der if self.kind == Kind::Weierstrass => self.read_sec1(bytes, None)?,
            KeyFormat::Jwk => self.read_jwk(bytes)?,
            KeyFormat::Sec1Der
            | KeyFormat::Pkcs1Der
            | KeyFormat::Pkcs1Pem
            | KeyFormat::Pkcs8Pem
            | KeyFormat::Sec1Pem => return Err(NO_SUCH_FORM),
        };
        if read.private.len() == self.private_bytes {
            Ok(read)
        } else {
            Err(CryptoError::Invalid("length of the private key"))
        }
    }

    /// Writes the pair of `private` and the raw public key, a point in its uncompressed form.
    pub(crate) fn write(
        &self,
        format: KeyFormat,
        private: &[u8],
        public: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        match format {
            KeyFormat::Raw => Ok(SecretVec::copy_from(private)),
            KeyFormat::Pkcs8Der => Ok(self.pkcs8(private, public)),
            KeyFormat::Sec1Der if self.kind == Kind::Weierstrass => {
                let curve = der::value(CONTEXT_0, &[der::oid(self.oid).expose()]);
                Ok(self.sec1(private, curve.expose(), public))
            }
            KeyFormat::Jwk => self.write_jwk(Some(private), public),
            KeyFormat::Sec1Der
            | KeyFormat::Pkcs1Der
            | KeyFormat::Pkcs1Pem
            | KeyFormat::Pkcs8Pem
            | KeyFormat::Sec1Pem => Err(NO_SUCH_FORM),
        }
    }

    /// Reads a raw public key; a point may be compressed, and need not lie on the curve.
    pub(crate) fn read_public(
        &self,
        format: PublicFormat,
        bytes: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        match format {
            PublicFormat::Raw => Ok(bytes.to_vec()),
            PublicFormat::SpkiDer => self.raw_of_spki(bytes),
            PublicFormat::Jwk => self.public_of_jwk(&Jwk::parse_public(bytes, self.key_type())?),
            PublicFormat::SpkiPem => Err(NO_SUCH_FORM),
        }
    }

    /// The public key whose raw form is `raw`; a point must be uncompressed.
    pub(crate) fn public_key(&self, raw: &[u8]) -> PublicKey {
        let algorithm = self.algorithm();
        let spki = der::value(der::SEQUENCE, &[algorithm.expose(), der::bits(raw).expose()]);
        PublicKey::new(raw, spki.expose())
    }

    /// The raw form inside the one `SubjectPublicKeyInfo` (RFC 5280) of a key on this curve.
    pub(crate) fn raw_of_spki(&self, spki_der: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let refused = CryptoError::Invalid("SubjectPublicKeyInfo");
        let parsed = SubjectPublicKeyInfoRef::from_der(spki_der).map_err(|_| refused)?;
        let raw = parsed.subject_public_key.as_bytes().ok_or(refused)?;
        if self.public_key(raw).spki_der() == spki_der {
            Ok(raw.to_vec())
        } else {
            Err(CryptoError::Invalid("SubjectPublicKeyInfo for this algorithm"))
        }
    }

    /// The JWK of a private key, or of the public key alone.
    pub(crate) fn write_jwk(
        &self,
        private: Option<&[u8]>,
        public: &[u8],
    ) -> Result<SecretVec, CryptoError> {
        let head = [("kty", self.key_type()), ("crv", self.jwk_name)];
        let mut members: Vec<(&str, &[u8])> = Vec::new();
        match self.kind {
            Kind::Octets => members.push(("x", public)),
            Kind::Weierstrass => {
                let (_, point) = public.split_first().ok_or(NO_SUCH_FORM)?;
                let (x, y) = point.split_at_checked(self.private_bytes).ok_or(NO_SUCH_FORM)?;
                members.extend([("x", x), ("y", y)]);
            }
        }
        members.extend(private.map(|private| ("d", private)));
        jwk::write(&head, &members)
    }

    fn key_type(&self) -> &'static str {
        match self.kind {
            Kind::Weierstrass => "EC",
            Kind::Octets => "OKP",
        }
    }

    /// `AlgorithmIdentifier`: RFC 5480 section 2.1.1, RFC 8410 section 3.
    fn algorithm(&self) -> SecretVec {
        let curve = der::oid(self.oid);
        match self.kind {
            Kind::Weierstrass => {
                der::value(der::SEQUENCE, &[der::oid(EC_PUBLIC_KEY).expose(), curve.expose()])
            }
            Kind::Octets => der::value(der::SEQUENCE, &[curve.expose()]),
        }
    }

    /// Version 1 in both cases: no attributes, and the public key, if any, inside `ECPrivateKey`.
    fn pkcs8(&self, private: &[u8], public: &[u8]) -> SecretVec {
        let inner = match self.kind {
            Kind::Weierstrass => self.sec1(private, &[], public),
            Kind::Octets => der::value(der::OCTET_STRING, &[private]),
        };
        let octets = der::value(der::OCTET_STRING, &[inner.expose()]);
        let version = der::integer(&[0]);
        let parts = [version.expose(), self.algorithm().expose(), octets.expose()].concat();
        let parts = SecretVec::from_vec(parts);
        der::value(der::SEQUENCE, &[parts.expose()])
    }

    /// `ECPrivateKey` of RFC 5915 with `parameters` as they are.
    fn sec1(&self, private: &[u8], parameters: &[u8], public: &[u8]) -> SecretVec {
        let version = der::integer(&[1]);
        let secret = der::value(der::OCTET_STRING, &[private]);
        let point = der::value(der::EXPLICIT_1, &[der::bits(public).expose()]);
        der::value(der::SEQUENCE, &[version.expose(), secret.expose(), parameters, point.expose()])
    }

    fn read_pkcs8(&self, bytes: &[u8]) -> Result<ReadKey, CryptoError> {
        let refused = CryptoError::Invalid("PKCS#8 private key");
        let info = pkcs8::PrivateKeyInfoRef::from_der(bytes).map_err(|_| refused)?;
        let algorithm = info.algorithm.to_der().map_err(|_| refused)?;
        if algorithm != self.algorithm().expose() {
            return Err(CryptoError::Invalid("PKCS#8 private key for this algorithm"));
        }
        let outside = match info.public_key {
            Some(public) => Some(public.as_bytes().ok_or(refused)?),
            None => None,
        };
        let inner = info.private_key.as_bytes();
        match self.kind {
            Kind::Weierstrass => self.read_sec1(inner, outside),
            Kind::Octets => {
                let private = <&OctetStringRef>::from_der(inner).map_err(|_| refused)?;
                Ok(ReadKey {
                    private: SecretVec::copy_from(private.as_bytes()),
                    public: outside.map(<[u8]>::to_vec),
                })
            }
        }
    }

    fn read_sec1(&self, bytes: &[u8], outside: Option<&[u8]>) -> Result<ReadKey, CryptoError> {
        let refused = CryptoError::Invalid("ECPrivateKey");
        let key = EcPrivateKey::from_der(bytes).map_err(|_| refused)?;
        let named = key.parameters.map(|parameters| parameters.named_curve());
        if named.is_some_and(|curve| curve != Some(self.oid)) {
            return Err(CryptoError::Invalid("curve of the ECPrivateKey"));
        }
        if outside.is_some() && key.public_key.is_some() && outside != key.public_key {
            return Err(CryptoError::Invalid("two public keys beside one private key"));
        }
        Ok(ReadKey {
            private: SecretVec::copy_from(key.private_key),
            public: key.public_key.or(outside).map(<[u8]>::to_vec),
        })
    }

    fn read_jwk(&self, bytes: &[u8]) -> Result<ReadKey, CryptoError> {
        let jwk = Jwk::parse(bytes, self.key_type())?;
        let public = self.public_of_jwk(&jwk)?;
        Ok(ReadKey { private: jwk.bytes("d")?, public: Some(public) })
    }

    fn public_of_jwk(&self, jwk: &Jwk<'_>) -> Result<Vec<u8>, CryptoError> {
        jwk.check_curve(self.jwk_name)?;
        let x = jwk.bytes("x")?;
        match self.kind {
            Kind::Octets => Ok(x.expose().to_vec()),
            Kind::Weierstrass => {
                let y = jwk.bytes("y")?;
                if x.len() != self.private_bytes || y.len() != self.private_bytes {
                    return Err(CryptoError::Invalid("length of a coordinate in the JWK"));
                }
                Ok(joined(&[&[UNCOMPRESSED], x.expose(), y.expose()]).expose().to_vec())
            }
        }
    }
}

impl ReadKey {
    /// The private key, if `public` is the raw public key that belongs to it and so is the one, in
    /// either form of a point, that stood beside it.
    pub(crate) fn matching(self, public: &PublicKey) -> Result<SecretVec, CryptoError> {
        let compressed = public.sec1_compressed();
        let belongs = self
            .public
            .as_deref()
            .is_none_or(|beside| beside == public.raw() || compressed.as_deref() == Some(beside));
        if belongs {
            Ok(self.private)
        } else {
            Err(CryptoError::Invalid("public key beside a private key of another pair"))
        }
    }
}

/// `[0]`, constructed: the parameters of `ECPrivateKey`.
const CONTEXT_0: u8 = 0xa0;
