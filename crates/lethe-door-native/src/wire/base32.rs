//! Base32 (RFC 4648 section 6), in which secrets of one-time passwords are written down.

use lethe_types::SecretVec;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Characters in a group, each of which has five bits, and bytes that they make.
const GROUP_CHARACTERS: usize = 8;
const GROUP_BYTES: usize = 5;

/// The bytes that `text` says; `None` if it is not base32 in capitals. Padding must be whole or, as
/// in the links for authenticators, left out; bits that say nothing must be zero.
pub(crate) fn decode_base32(text: &str) -> Option<SecretVec> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    let in_last = digits.len() % GROUP_CHARACTERS;
    if padding > 0 && (in_last == 0 || padding != GROUP_CHARACTERS - in_last) {
        return None;
    }
    if ![0, 2, 4, 5, 7].contains(&in_last) {
        return None;
    }
    let length = digits.len() * GROUP_BYTES / GROUP_CHARACTERS;
    SecretVec::try_init_with(length, |out| {
        let (mut bits, mut waiting, mut place) = (0_u16, 0_u32, 0);
        for digit in digits.bytes() {
            let value = ALPHABET.iter().position(|&known| known == digit);
            let value = value.and_then(|value| u16::try_from(value).ok()).ok_or(())?;
            bits = (bits << 5) | value;
            waiting += 5;
            if waiting >= 8 {
                waiting -= 8;
                *out.get_mut(place).ok_or(())? = u8::try_from(bits >> waiting).map_err(|_| ())?;
                bits &= (1 << waiting) - 1;
                place += 1;
            }
        }
        if bits == 0 && place == length { Ok(()) } else { Err(()) }
    })
    .ok()
}
