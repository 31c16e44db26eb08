//! Keys that serve several modes do in each what a key for that mode alone does.

use lethe_types::SecretVec;

use super::algorithm;
use crate::registry::{CipherMode, DecryptParams, EncryptParams, Nonce, UsableKey};
use crate::{CryptoError, SystemEntropy};

const MODES: [(CipherMode, &str, &[u8]); 4] = [
    (CipherMode::Gcm, "gcm", &[7; 12]),
    (CipherMode::Gcm, "gcm", &[7; 16]),
    (CipherMode::Cbc, "cbc", &[7; 16]),
    (CipherMode::Ecb, "ecb", &[]),
];
const PLAINTEXT: &[u8] = &[3; 48];

fn key(name: &str, bytes: usize) -> UsableKey {
    algorithm(name).load(&SecretVec::from_vec(vec![0x2b; bytes])).expect("a key")
}

#[test]
fn each_mode_is_that_of_a_key_for_it_alone() {
    for bytes in [16, 24, 32] {
        let several = key(&format!("aes{}", 8 * bytes), bytes);
        for (mode, name, nonce) in MODES {
            let alone = key(&format!("aes{}-{name}", 8 * bytes), bytes);
            let params = EncryptParams { nonce: Nonce::Explicit(nonce), ..Default::default() };
            let of_mode = EncryptParams { mode: Some(mode), ..params };
            let (mut one, mut other) = (Vec::new(), Vec::new());
            alone.encrypt_with(&SystemEntropy, &params, PLAINTEXT, &mut one).expect("encrypted");
            let parts = several.encrypt_with(&SystemEntropy, &of_mode, PLAINTEXT, &mut other);
            let parts = parts.expect("encrypted");
            assert_eq!(one, other, "{name} {bytes}");
            let (tag, nonce) = (&other[parts.tag], &other[parts.nonce]);
            let tag = (!tag.is_empty()).then_some(tag);
            let open =
                DecryptParams { mode: Some(mode), nonce: Some(nonce), tag, ..Default::default() };
            let opened = several.decrypt_with(&open, &other[parts.ciphertext]).expect("decrypted");
            assert_eq!(opened.expose(), PLAINTEXT);
        }
        let alone = key(&format!("aes{}-kw", 8 * bytes), bytes);
        let wrapped = several.wrap(PLAINTEXT).expect("wrapped");
        assert_eq!(wrapped, alone.wrap(PLAINTEXT).expect("wrapped"));
        assert_eq!(several.unwrap(&wrapped).expect("unwrapped").expose(), PLAINTEXT);
    }
}

#[test]
fn a_key_for_one_mode_takes_no_mode() {
    for name in ["aes128-gcm", "aes256-cbc", "chacha20-poly1305"] {
        let one = key(name, if name.contains("128") { 16 } else { 32 });
        for mode in [CipherMode::Gcm, CipherMode::Cbc, CipherMode::Ecb] {
            let refused = Err(CryptoError::Unsupported("choose the mode of its cipher"));
            let params = EncryptParams { mode: Some(mode), ..Default::default() };
            let mut out = Vec::new();
            let made = one.encrypt_with(&SystemEntropy, &params, PLAINTEXT, &mut out);
            assert_eq!(made.map(drop), refused, "{name}");
            let params = DecryptParams { mode: Some(mode), ..Default::default() };
            assert_eq!(one.decrypt_with(&params, PLAINTEXT).map(drop), refused, "{name}");
        }
    }
}
