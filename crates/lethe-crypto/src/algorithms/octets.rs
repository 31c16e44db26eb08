//! Symmetric keys in the formats that they have: their bytes, and JSON Web Keys of type `oct`
//! (RFC 7518 section 6.4). There is no PKCS#8 of a symmetric key.

use lethe_types::SecretVec;

use super::{NO_SUCH_FORMAT, jwk};
use crate::CryptoError;
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
            let key = jwk::Jwk::parse(bytes)?;
            key.expect("kty", "oct")?;
            if let Some(found) = key.text("alg")?
                && Some(found) != jwa_name
            {
                return Err(CryptoError::Invalid("`alg` of a JSON Web Key"));
            }
            key.secret("k")
        }
        KeyFormat::Pkcs8Der | KeyFormat::Pkcs8Pem => Err(NO_SUCH_FORMAT),
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
            let mut writer = jwk::Writer::new("oct");
            if let Some(name) = jwa_name {
                writer.text("alg", name);
            }
            writer.bytes("k", material);
            Ok(writer.finish())
        }
        KeyFormat::Pkcs8Der | KeyFormat::Pkcs8Pem => Err(NO_SUCH_FORMAT),
    }
}
