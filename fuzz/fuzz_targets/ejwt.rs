//! Messages of the Encedo door: taken apart without a panic, and proven by their key alone.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_door_encedo::Ejwt;
use lethe_types::SecretVec;
use libfuzzer_sys::fuzz_target;

const HEADER: &str = r#"{"ecdh":"x25519","typ":"JWT","alg":"HS256"}"#;

fuzz_target!(|bytes: &[u8]| {
    let look = |text: &str| {
        let Some(message) = Ejwt::parse(text) else { return false };
        for name in ["sub", "aud", "iss", "jti", "exp", "scope", "cfg", ""] {
            let (words, number) = (message.text(name), message.number(name));
            assert!(words.is_none() || number.is_none());
            assert!(message.public_key(name).is_none() || words.is_some());
        }
        // Nobody has this secret by chance.
        assert!(!message.is_keyed_by(&SecretVec::copy_from(&[0x5A; 32])));
        true
    };
    if let Ok(text) = core::str::from_utf8(bytes) {
        look(text);
    }
    // The same bytes where they are looked at most closely: as claims behind a good header.
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let text = format!("{}.{}.{}", part(HEADER.as_bytes()), part(bytes), part(&[7; 32]));
    let is_object = bytes.first() == Some(&b'{') && bytes.last() == Some(&b'}');
    assert!(!look(&text) || is_object || bytes.iter().any(u8::is_ascii_whitespace));
});
