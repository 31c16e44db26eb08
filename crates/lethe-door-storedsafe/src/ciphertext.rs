//! The text of a ciphertext: `storedsafe:vN:` and the standard base64 of `IV | ciphertext | tag`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::registry::Algorithm;

use crate::body::decimal;
use crate::error::Failure;

const SCHEME: &str = "storedsafe:v";

/// A kind of key that this protocol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyType {
    /// Its name here.
    pub(crate) name: &'static str,
    /// Its name in the engine.
    algorithm: &'static str,
    /// What every ciphertext has beside the bytes of the plaintext: IV and tag.
    overhead_bytes: usize,
    /// Whether it notices a change of the ciphertext.
    pub(crate) is_authenticated: bool,
}

/// The kinds of key.
pub(crate) const KEY_TYPES: [KeyType; 4] = [
    gcm("aes128-gcm96", "aes128-gcm"),
    gcm("aes256-gcm96", "aes256-gcm"),
    ofb("aes128-ofb", "aes128-ofb"),
    ofb("aes256-ofb", "aes256-ofb"),
];

const fn gcm(name: &'static str, algorithm: &'static str) -> KeyType {
    KeyType { name, algorithm, overhead_bytes: 12 + 16, is_authenticated: true }
}

const fn ofb(name: &'static str, algorithm: &'static str) -> KeyType {
    KeyType { name, algorithm, overhead_bytes: 16, is_authenticated: false }
}

impl KeyType {
    pub(crate) fn named(name: &str) -> Option<Self> {
        KEY_TYPES.into_iter().find(|known| known.name == name)
    }

    pub(crate) fn of(algorithm: Algorithm) -> Option<Self> {
        KEY_TYPES.into_iter().find(|known| known.algorithm == algorithm.name())
    }

    /// The engine's algorithm.
    ///
    /// # Errors
    /// `INVALID PARAMETER: type` in a build without it.
    pub(crate) fn algorithm(self) -> Result<Algorithm, Failure> {
        Algorithm::all()
            .find(|algorithm| algorithm.name() == self.algorithm)
            .ok_or_else(|| Failure::parameter("type"))
    }
}

/// The text of what `bytes` are by the version of a key.
pub(crate) fn write(version: u32, bytes: &[u8]) -> String {
    format!("{SCHEME}{version}:{}", STANDARD.encode(bytes))
}

/// Version and bytes of a ciphertext for a key of that kind.
///
/// # Errors
/// `INVALID CIPHERTEXT`; `NO SUCH KEY VERSION` for a number that no key can have.
pub(crate) fn parse(text: &str, key_type: KeyType) -> Result<(u32, Vec<u8>), Failure> {
    let (number, body) = split(text).ok_or_else(Failure::invalid_ciphertext)?;
    let bytes = STANDARD.decode(body).map_err(|_| Failure::invalid_ciphertext())?;
    if bytes.len() < key_type.overhead_bytes {
        return Err(Failure::invalid_ciphertext());
    }
    let number = decimal(number).and_then(|number| u32::try_from(number).ok());
    Ok((number.ok_or_else(Failure::no_such_version)?, bytes))
}

/// What stands before the base64; of a text of another form its beginning.
pub(crate) fn prefix(text: &str) -> &str {
    match split(text) {
        Some((_, body)) => text.strip_suffix(body).unwrap_or_default(),
        None => text.char_indices().nth(16).map_or(text, |(end, _)| &text[..end]),
    }
}

fn split(text: &str) -> Option<(&str, &str)> {
    let (number, body) = text.strip_prefix(SCHEME)?.split_once(':')?;
    let is_number = !number.starts_with('0')
        && (1..=10).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some((number, body))
}
