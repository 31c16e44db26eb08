//! Symmetric keys in the formats that they have: their bytes, and JSON Web Keys of type `oct`
//! (RFC 7518 section 6.4). There is no PKCS#8 of a symmetric key.

use lethe_types::SecretVec;

use crate::CryptoError;
use crate::encoding::NO_SUCH_FORM;
use crate::encoding::jwk::{self, Jwk};
use crate::registry::KeyFormat;

/// The bytes of a key whose `alg` in JOSE is `jwa_name`. A JSON Web Key with another `alg` is
/// refused; one without is not.
pub(super) fn import(
    jwa_name: Option<&str>,
    format: KeyFormat,
    bytes: &[u8],
) -> Result<SecretVec, CryptoError> {
    match format {
        KeyFormat::Raw => Ok(SecretVec::copy_from(bytes)),
        KeyFormat::Jwk => {
            let key = Jwk::parse(bytes, "oct")?;
            if key.has_algorithm() {
                key.check_algorithm(jwa_name)?;
            }
            key.bytes("k")
        }
        KeyFormat::Pkcs8Der
        | KeyFormat::Pkcs8Pem
        | KeyFormat::Sec1Der
        | KeyFormat::Sec1Pem
        | KeyFormat::Pkcs1Der
        | KeyFormat::Pkcs1Pem => Err(NO_SUCH_FORM),
    }
}

/// `material` in `format`.
pub(super) fn export(
    jwa_name: Option<&str>,
    format: KeyFormat,
    material: &[u8],
) -> Result<SecretVec, CryptoError> {
    match format {
        KeyFormat::Raw => Ok(SecretVec::copy_from(material)),
        KeyFormat::Jwk => {
            let mut head = vec![("kty", "oct")];
            head.extend(jwa_name.map(|name| ("alg", name)));
            jwk::write(&head, &[("k", material)])
        }
        KeyFormat::Pkcs8Der
        | KeyFormat::Pkcs8Pem
        | KeyFormat::Sec1Der
        | KeyFormat::Sec1Pem
        | KeyFormat::Pkcs1Der
        | KeyFormat::Pkcs1Pem => Err(NO_SUCH_FORM),
    }
}
