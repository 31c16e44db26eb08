//! One-time passwords of Yubikeys whose secret is known here: 12 characters of public identifier
//! and 32 of a block of AES-128, in the alphabet *modhex*.
//!
//! The block holds: 6 bytes private identifier, a counter of sessions, a clock, a counter of uses
//! in the session, 2 random bytes, and a CRC-16 (ISO 13239). A password is good once: both counters
//! together must be higher than ever before.

use lethe_crypto::registry::{Algorithm, DecryptParams};
use lethe_types::SecretVec;

/// Characters of a password.
pub(crate) const OTP_CHARACTERS: usize = 44;
/// Characters of the public identifier, which comes first.
pub(crate) const PREFIX_CHARACTERS: usize = 12;

const ALPHABET: &[u8; 16] = b"cbdefghijklnrtuv";
const BLOCK_BYTES: usize = 16;
/// What the CRC of a whole block leaves.
const CRC_RESIDUE: u16 = 0xf0b8;

/// A password as it was typed. Its secret is 22 bytes: the private identifier, then the AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct YubikeyOtp<'a> {
    /// The public identifier.
    pub(crate) prefix: &'a str,
    block: [u8; BLOCK_BYTES],
}

/// How often the key was used: sessions, and uses in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UseCount(pub(crate) u32);

impl<'a> YubikeyOtp<'a> {
    /// A whole password; `None` if it has another form.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if text.len() != OTP_CHARACTERS || !text.bytes().all(|byte| ALPHABET.contains(&byte)) {
            return None;
        }
        let (prefix, digits) = text.split_at_checked(PREFIX_CHARACTERS)?;
        let mut block = [0; BLOCK_BYTES];
        for (byte, pair) in block.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self { prefix, block })
    }

    /// How often the key was used, if it made the password.
    pub(crate) fn open(&self, secret: &SecretVec) -> Option<UseCount> {
        let (private, key) = secret.expose().split_first_chunk::<6>()?;
        if key.len() != BLOCK_BYTES {
            return None;
        }
        let cipher = Algorithm::all().find(|algorithm| algorithm.name() == "aes128-ecb")?;
        let cipher = cipher.load(&SecretVec::copy_from(key)).ok()?;
        let params = DecryptParams::default();
        let opened = cipher.decrypt_with(&params, &self.block).ok()?;
        let opened: [u8; BLOCK_BYTES] = opened.expose().try_into().ok()?;
        let is_own = SecretVec::copy_from(private).ct_eq(&opened[..6]);
        let is_whole = crc(&opened) == CRC_RESIDUE;
        let session = u32::from(u16::from_le_bytes([opened[6], opened[7]]));
        (is_own && is_whole).then_some(UseCount(session << 8 | u32::from(opened[11])))
    }
}

fn digit(character: u8) -> Option<u8> {
    let place = ALPHABET.iter().position(|known| *known == character)?;
    u8::try_from(place).ok()
}

/// The CRC-16 of ISO 13239, without the last inversion.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x8408 } else { crc >> 1 }
        })
    })
}
