//! Passwords of Yubikeys.

use lethe_crypto::registry::{Algorithm, EncryptParams, Nonce};
use lethe_types::SecretVec;

use crate::yubikey::{UseCount, YubikeyOtp};

/// Private identifier, then AES key.
pub(super) const SECRET: [u8; 22] = *b"\x87\x92\xeb\xfe\x26\xcc\xec\xde\x18\xdb\xe7\x6f\xbd\x0c\
\x33\x33\x0f\x1c\x35\x48\x71\xdb";

const ALPHABET: &[u8; 16] = b"cbdefghijklnrtuv";

/// What the key `cccccccccccc` types in its session of that number.
pub(super) fn otp(session: u16) -> String {
    let mut block = [0; 16];
    block[..6].copy_from_slice(&SECRET[..6]);
    block[6..8].copy_from_slice(&session.to_le_bytes());
    block[11] = 1;
    let crc = block[..14].iter().fold(0xffff_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 }
        })
    });
    block[14..].copy_from_slice(&(!crc).to_le_bytes());
    let cipher = Algorithm::from_name("aes128-ecb").unwrap();
    let cipher = cipher.load(&SecretVec::copy_from(&SECRET[6..])).unwrap();
    let mut sealed = Vec::new();
    let params = EncryptParams { nonce: Nonce::Random, ..EncryptParams::default() };
    cipher.encrypt_with(&lethe_crypto::SystemEntropy, &params, &block, &mut sealed).unwrap();
    let digits = sealed.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digits: String = digits.map(|digit| char::from(ALPHABET[usize::from(digit)])).collect();
    format!("cccccccccccc{digits}")
}

/// The example of Yubico's library `libyubikey`, with another public identifier.
#[test]
fn the_published_password_opens() {
    let text = "cccccccccccchknhfjbrjnlnldnhcujvddbikngjrtgh";
    let password = YubikeyOtp::parse(text).expect("its form");
    assert_eq!(password.prefix, "cccccccccccc");
    let opened = password.open(&SecretVec::copy_from(&SECRET));
    assert_eq!(opened, Some(UseCount(0x0013 << 8 | 0x11)));
}

#[test]
fn other_secrets_and_forms_do_not() {
    let text = otp(7);
    let password = YubikeyOtp::parse(&text).expect("its form");
    assert_eq!(password.open(&SecretVec::copy_from(&SECRET)), Some(UseCount(7 << 8 | 1)));
    for place in [0, 5, 6, 21] {
        let mut other = SECRET;
        other[place] ^= 1;
        assert_eq!(password.open(&SecretVec::copy_from(&other)), None);
    }
    for secret in [&SECRET[..21], &SECRET[..5], b""] {
        assert_eq!(password.open(&SecretVec::copy_from(secret)), None);
    }
    for wrong in ["", &text[1..], &format!("{text}c"), &text.replace('c', "a"), "ccccccccccccé"] {
        assert_eq!(YubikeyOtp::parse(wrong), None, "{wrong}");
    }
}
