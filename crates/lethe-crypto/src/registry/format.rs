//! The encodings in which keys enter and leave.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_types::SecretVec;
use zeroize::Zeroizing;

use crate::CryptoError;

/// Most bytes of an encoded key that an import looks at. The longest form of any algorithm here, a
/// key of ML-DSA-87 or RSA-4096 in PEM or JSON, has less than 8 KiB.
pub const ENCODED_KEY_BYTES_MAX: usize = 65_536;

/// Characters on a line of PEM (RFC 7468 section 2).
const PEM_LINE_CHARACTERS: usize = 64;
const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_FOOT: &str = "-----END PRIVATE KEY-----";

/// How the secret half of a key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyFormat {
    /// The algorithm's own bytes, without any structure.
    Raw,
    /// `PrivateKeyInfo` in DER (RFC 5208, RFC 5958).
    Pkcs8Der,
    /// The same in PEM with the label `PRIVATE KEY` (RFC 7468 section 10).
    Pkcs8Pem,
    /// A JSON Web Key (RFC 7517).
    Jwk,
}

impl KeyFormat {
    /// All formats.
    pub const ALL: &[Self] = &[Self::Raw, Self::Pkcs8Der, Self::Pkcs8Pem, Self::Jwk];

    /// The format's stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Pkcs8Der => "pkcs8-der",
            Self::Pkcs8Pem => "pkcs8-pem",
            Self::Jwk => "jwk",
        }
    }
}

/// The DER of one PEM block with the label `PRIVATE KEY` and nothing around it.
///
/// # Errors
/// [`CryptoError::Invalid`] for another label, text outside the block, or lines that are not base64
/// of 64 characters (the last may be shorter).
pub(crate) fn pem_to_der(pem: &[u8]) -> Result<SecretVec, CryptoError> {
    let refused = CryptoError::Invalid("PEM of a private key");
    let text = core::str::from_utf8(pem).map_err(|_| refused)?;
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    let mut lines = text.lines();
    if lines.next() != Some(PEM_HEAD) {
        return Err(refused);
    }
    let mut is_last_seen = false;
    loop {
        let line = lines.next().ok_or(refused)?;
        if line == PEM_FOOT {
            break;
        }
        if is_last_seen || line.is_empty() || line.len() > PEM_LINE_CHARACTERS {
            return Err(refused);
        }
        is_last_seen = line.len() < PEM_LINE_CHARACTERS;
        base64.push_str(line);
    }
    if lines.next().is_some() {
        return Err(refused);
    }
    // Room for what the decoder estimates, so that the buffer never moves.
    let mut der = Zeroizing::new(Vec::with_capacity(base64.len()));
    STANDARD.decode_vec(base64.as_bytes(), &mut der).map_err(|_| refused)?;
    Ok(SecretVec::from_vec(core::mem::take(&mut *der)))
}

/// `der` as PEM with the label `PRIVATE KEY`, a line feed after every line.
pub(crate) fn der_to_pem(der: &[u8]) -> SecretVec {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let lines = base64.len().div_ceil(PEM_LINE_CHARACTERS);
    let mut pem = Vec::with_capacity(PEM_HEAD.len() + PEM_FOOT.len() + base64.len() + lines + 2);
    pem.extend_from_slice(PEM_HEAD.as_bytes());
    pem.push(b'\n');
    for line in base64.as_bytes().chunks(PEM_LINE_CHARACTERS) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(PEM_FOOT.as_bytes());
    pem.push(b'\n');
    SecretVec::from_vec(pem)
}
