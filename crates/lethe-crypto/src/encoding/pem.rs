//! PEM (RFC 7468), with the constant-time base64 of its library.

use lethe_types::SecretVec;
use pem_rfc7468::LineEnding;

use crate::CryptoError;

/// Labels of RFC 7468 sections 10 and 13, RFC 5915 section 4, and of PKCS#1 keys.
pub(crate) const PKCS8: &str = "PRIVATE KEY";
pub(crate) const SPKI: &str = "PUBLIC KEY";
pub(crate) const SEC1: &str = "EC PRIVATE KEY";
pub(crate) const PKCS1: &str = "RSA PRIVATE KEY";

/// The DER inside `pem`, which must carry `label`, start at its first byte and have nothing after
/// its end but one line break.
pub(crate) fn decode(label: &str, pem: &[u8]) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Invalid("PEM");
    // The library passes over text before the first line (RFC 7468 section 2).
    if !pem.starts_with(b"-----BEGIN ") {
        return Err(refused);
    }
    let mut length = 0;
    let buffer = SecretVec::try_init_with(pem.len(), |buffer| {
        let (found, der) = pem_rfc7468::decode(pem, buffer).map_err(|_| refused)?;
        length = der.len();
        if found == label { Ok(()) } else { Err(CryptoError::Invalid("label of the PEM")) }
    })?;
    let der = buffer.expose().get(..length).ok_or(refused)?;
    Ok(SecretVec::copy_from(der))
}

/// `der` under `label`, lines of 64 characters, each with a line feed.
pub(crate) fn encode(label: &'static str, der: &[u8]) -> Result<SecretVec, CryptoError> {
    let failed = CryptoError::Library("write PEM");
    let length = pem_rfc7468::encoded_len(label, LineEnding::LF, der).map_err(|_| failed)?;
    SecretVec::try_init_with(length, |buffer| {
        pem_rfc7468::encode(label, LineEnding::LF, der, buffer).map(drop).map_err(|_| failed)
    })
}
