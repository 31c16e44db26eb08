//! Text forms with exactly one spelling per value: base64 and decimal numbers.
//!
//! Two spellings of one value would let a byte of a receipt change without anybody noticing.

use core::fmt;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

/// Prints bytes as [`encode_base64`] does, without a text in between.
pub(crate) struct Base64<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base64Display::new(self.0, &STANDARD).fmt(f)
    }
}

/// Standard base64 with padding, RFC 4648 section 4.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
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
