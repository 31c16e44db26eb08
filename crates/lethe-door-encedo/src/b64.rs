//! Base64 as this protocol has it: either alphabet in, with padding or without; the standard one
//! out, padded.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The bytes of a text in the standard or the URL alphabet, padded rightly or not at all. `None`
/// for anything else: spaces, a padding of a wrong length, bits beyond the last byte.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let body = match text.len().is_multiple_of(4) {
        true => text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text),
        false => text,
    };
    let standard: String = (body.chars())
        .map(|one| match one {
            '-' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    // It may say something secret.
    let standard = Zeroizing::new(standard);
    STANDARD_NO_PAD.decode(standard.as_bytes()).ok()
}

/// The same for exactly `BYTES` bytes.
pub(crate) fn decode_array<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    decode(text)?.try_into().ok()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The URL alphabet without padding, as tokens and the device log have it.
pub(crate) fn encode_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a part of a token (RFC 7515): the URL alphabet without padding, nothing else.
pub(crate) fn decode_url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
