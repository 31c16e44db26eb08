//! The public half of a signing key as others want it (RFC 7517, RFC 7518 section 6.3).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lethe_crypto::hash::{HashAlgorithm, digest, sha256};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey, date_time_ymd,
};
use serde_json::{Value, json};

use crate::issuer::{Issuer, IssuerError};
use crate::jws::{ALGORITHM, kid};

/// Years between which the certificates are valid. They carry a public key to clients that want it
/// so, and vouch for nothing; the same every time, so that one key always has the same certificate.
const VALID_FROM_YEAR: i32 = 2020;
const VALID_TO_YEAR: i32 = 2049;

impl Issuer {
    /// The set of public keys that verify the issuer's tokens: each version with a self-signed
    /// certificate, since some clients take the key from there alone. No private member.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn jwks(&self) -> Result<Value, IssuerError> {
        let entry = self.key()?;
        let record = entry.record();
        let version = record.current_version().ok_or(IssuerError::Malformed)?;
        let spki = version.public_key_der.as_deref().ok_or(IssuerError::Malformed)?;
        let rsa = rsa_public_key(spki).ok_or(IssuerError::Malformed)?;
        let kid = kid(record.id, version.number);
        let certificate = self.certificate(rsa.der, &kid)?;
        Ok(json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": ALGORITHM,
            "kid": kid,
            "n": URL_SAFE_NO_PAD.encode(rsa.modulus),
            "e": URL_SAFE_NO_PAD.encode(rsa.exponent),
            "x5c": [STANDARD.encode(&certificate)],
            "x5t": URL_SAFE_NO_PAD.encode(digest(HashAlgorithm::Sha1, &[&certificate]).as_slice()),
            "x5t#S256": URL_SAFE_NO_PAD.encode(sha256(&[&certificate])),
        }]}))
    }

    fn certificate(&self, public: &[u8], kid: &str) -> Result<Vec<u8>, IssuerError> {
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, kid);
        let mut params = CertificateParams::default();
        params.distinguished_name = name;
        params.not_before = date_time_ymd(VALID_FROM_YEAR, 1, 1);
        params.not_after = date_time_ymd(VALID_TO_YEAR, 12, 31);
        let digest = sha256(&[kid.as_bytes()]);
        // Positive and not zero (RFC 5280 section 4.1.2.2).
        let mut serial = digest[..16].to_vec();
        serial[0] = (serial[0] & 0x7f) | 0x40;
        params.serial_number = Some(SerialNumber::from(serial));
        let signer = Signer { issuer: self, public };
        let certificate = params.self_signed(&signer).map_err(|_| IssuerError::Malformed)?;
        Ok(certificate.der().to_vec())
    }
}

struct Signer<'a> {
    issuer: &'a Issuer,
    public: &'a [u8],
}

impl PublicKeyData for Signer<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Signer<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.issuer.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The parts of an RSA public key.
#[derive(Debug, PartialEq, Eq)]
struct RsaPublicKey<'a> {
    /// `RSAPublicKey` (RFC 8017 appendix A.1.1).
    der: &'a [u8],
    modulus: &'a [u8],
    exponent: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// The parts of an RSA key in a `SubjectPublicKeyInfo` (RFC 5280) of the engine's own.
fn rsa_public_key(spki: &[u8]) -> Option<RsaPublicKey<'_>> {
    let (info, []) = element(SEQUENCE, spki)? else { return None };
    let (_algorithm, rest) = element(SEQUENCE, info)?;
    let (bits, []) = element(BIT_STRING, rest)? else { return None };
    let der = bits.strip_prefix(&[0])?;
    let (key, []) = element(SEQUENCE, der)? else { return None };
    let (modulus, rest) = element(INTEGER, key)?;
    let (exponent, []) = element(INTEGER, rest)? else { return None };
    // An integer whose first bit is set has a zero before it, which is no part of the number.
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let exponent = exponent.strip_prefix(&[0]).unwrap_or(exponent);
    Some(RsaPublicKey { der, modulus, exponent })
}

/// The content of the DER element (X.690) at the beginning of `bytes`, and what comes after it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    (found == tag).then_some(())?;
    Some((rest.get(..length)?, rest.get(length..)?))
}
