//! Text forms with exactly one spelling per value: base64 and decimal numbers.
//!
//! Two spellings of one value would let a byte of a receipt change without anybody noticing.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Standard base64 with padding, RFC 4648 section 4.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Appends what [`encode_base64`] gives.
pub(crate) fn push_base64(out: &mut String, bytes: &[u8]) {
    STANDARD.encode_string(bytes, out);
}

/// Prints 32 bytes as [`encode_base64`] does, without memory of its own.
pub(crate) fn fmt_base64(bytes: &[u8; 32], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 44];
    STANDARD.encode_slice(bytes, &mut text).map_err(|_| fmt::Error)?;
    f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

/// Length of what [`encode_base64`] gives for so many bytes.
pub(crate) fn base64_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// The bytes of `text`, if it is what [`encode_base64`] writes for them: padding present, unused
/// bits zero, no white space.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Like [`decode_base64`], for exactly `N` bytes.
pub(crate) fn decode_base64_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode_base64(text)?.try_into().ok()
}

/// The number of `text`, if it has only digits and no leading zero.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    if digits && shortest { text.parse().ok() } else { None }
}
