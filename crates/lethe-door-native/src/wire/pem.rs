//! Public keys as text (RFC 7468 section 13).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of base64 on each line but the last (RFC 7468 section 2).
const LINE_CHARACTERS: usize = 64;

/// The PEM text of a SubjectPublicKeyInfo in DER.
pub(crate) fn spki_pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = String::with_capacity(base64.len() + base64.len() / LINE_CHARACTERS + 56);
    text.push_str("-----BEGIN PUBLIC KEY-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE_CHARACTERS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END PUBLIC KEY-----\n");
    text
}

/// The DER bytes of the one public key in `text`; `None` if it is anything else. Lines end with a
/// line feed or carriage return and line feed, and are as long as the writer liked (RFC 7468
/// section 3 has parsers take that).
pub(crate) fn parse_spki_pem(text: &str) -> Option<Vec<u8>> {
    let mut lines = text.trim_ascii().lines();
    if lines.next()? != "-----BEGIN PUBLIC KEY-----" {
        return None;
    }
    if lines.next_back()? != "-----END PUBLIC KEY-----" {
        return None;
    }
    let base64: String = lines.collect();
    STANDARD.decode(base64).ok().filter(|der| !der.is_empty())
}
