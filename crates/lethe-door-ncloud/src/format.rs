//! What ciphertexts and signatures look like: `ncpkms:v`, the number of the version, `:`, base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const PREFIX: &str = "ncpkms:v";
/// Most digits of a version's number.
const VERSION_DIGITS_MAX: usize = 4;

/// The text of what `version` made.
pub(crate) fn text(version: u32, payload: &[u8]) -> Zeroizing<String> {
    let digits = version.to_string();
    let base64 = payload.len().div_ceil(3) * 4;
    let mut text = String::with_capacity(PREFIX.len() + digits.len() + 1 + base64);
    text.push_str(PREFIX);
    text.push_str(&digits);
    text.push(':');
    STANDARD.encode_string(payload, &mut text);
    Zeroizing::new(text)
}

/// The version and the payload of `text`; `None` for everything that [`text()`] does not make.
pub(crate) fn parse(text: &str) -> Option<(u32, Vec<u8>)> {
    let (digits, base64) = text.strip_prefix(PREFIX)?.split_once(':')?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if !is_plain || digits.len() > VERSION_DIGITS_MAX {
        return None;
    }
    Some((digits.parse().ok()?, STANDARD.decode(base64).ok()?))
}
