//! The dialect's identifiers and secrets: KSUIDs, client ids, secrets with a checksum.

use lethe_types::{Entropy, EntropyError, SecretVec, UnixMillis};
use zeroize::Zeroizing;

/// Digits, upper case, lower case: text order is number order.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// What every id of an API key begins with.
pub(crate) const KEY_ID_PREFIX: &str = "api_key_";
/// What every secret begins with.
pub(crate) const SECRET_PREFIX: &str = "alto_sk_";
/// Characters of a KSUID.
pub(crate) const KSUID_CHARACTERS: usize = 27;
/// Bytes of a KSUID.
const KSUID_BYTES: usize = 20;
/// The moment from which KSUIDs count, in seconds since 1970: 2014-05-13T16:53:20Z.
const KSUID_EPOCH_S: u64 = 1_400_000_000;
/// Random characters of a secret, 250 bits.
const SECRET_RANDOM_CHARACTERS: usize = 42;
/// Characters of its checksum.
const CHECKSUM_CHARACTERS: usize = 6;
/// Characters of a client id, 119 bits.
const CLIENT_ID_CHARACTERS: usize = 20;

/// A new id of an API key that is made at `now`.
pub(crate) fn new_key_id(entropy: &dyn Entropy, now: UnixMillis) -> Result<String, EntropyError> {
    let mut bytes = [0; KSUID_BYTES];
    let seconds = now.seconds().saturating_sub(KSUID_EPOCH_S);
    let stamp = u32::try_from(seconds).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&stamp.to_be_bytes());
    entropy.fill(&mut bytes[4..])?;
    Ok(format!("{KEY_ID_PREFIX}{}", ksuid_text(&bytes)))
}

/// Whether the text has the form of an id of an API key. Not each of them is a KSUID.
pub(crate) fn is_key_id(text: &str) -> bool {
    text.strip_prefix(KEY_ID_PREFIX).is_some_and(is_cursor)
}

/// Whether the text has the form of a KSUID.
pub(crate) fn is_cursor(text: &str) -> bool {
    text.len() == KSUID_CHARACTERS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// When the id was made; `None` if it is not that of a KSUID.
pub(crate) fn time_of(key_id: &str) -> Option<UnixMillis> {
    let bytes = ksuid_bytes(key_id.strip_prefix(KEY_ID_PREFIX)?)?;
    let (stamp, _) = bytes.split_first_chunk::<4>()?;
    Some(UnixMillis((u64::from(u32::from_be_bytes(*stamp)) + KSUID_EPOCH_S) * 1_000))
}

/// The 160-bit number in base 62, padded with zeros at the left.
pub(crate) fn ksuid_text(bytes: &[u8; KSUID_BYTES]) -> String {
    let mut number = *bytes;
    let mut text = [b'0'; KSUID_CHARACTERS];
    for place in text.iter_mut().rev() {
        let mut rest: u16 = 0;
        for byte in &mut number {
            let value = rest * 256 + u16::from(*byte);
            *byte = u8::try_from(value / 62).expect("a rest is below 62");
            rest = value % 62;
        }
        *place = ALPHABET[usize::from(rest)];
    }
    text.iter().copied().map(char::from).collect()
}

/// The number of a KSUID's text; `None` if it has another form or is too large.
pub(crate) fn ksuid_bytes(text: &str) -> Option<[u8; KSUID_BYTES]> {
    if !is_cursor(text) {
        return None;
    }
    let mut bytes = [0_u8; KSUID_BYTES];
    for character in text.bytes() {
        let digit = ALPHABET.iter().position(|other| *other == character)?;
        let mut carry = u16::try_from(digit).ok()?;
        for byte in bytes.iter_mut().rev() {
            let value = u16::from(*byte) * 62 + carry;
            *byte = u8::try_from(value & 0xff).ok()?;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(bytes)
}

/// A new client id.
pub(crate) fn new_client_id(entropy: &dyn Entropy) -> Result<String, EntropyError> {
    let mut text = [0; CLIENT_ID_CHARACTERS];
    draw(entropy, &mut text)?;
    Ok(text.iter().copied().map(char::from).collect())
}

/// A new secret.
pub(crate) fn new_secret(entropy: &dyn Entropy) -> Result<SecretVec, EntropyError> {
    let mut random = Zeroizing::new([0; SECRET_RANDOM_CHARACTERS]);
    draw(entropy, random.as_mut_slice())?;
    Ok(secret_of(&random))
}

/// The secret with these random characters.
pub(crate) fn secret_of(random: &[u8; SECRET_RANDOM_CHARACTERS]) -> SecretVec {
    let parts = [SECRET_PREFIX.as_bytes(), random, &checksum(random)];
    let mut text = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| text.extend_from_slice(part));
    SecretVec::from_vec(text)
}

/// Whether the text has the form of a secret and the right checksum: cheap, before any look-up.
pub(crate) fn is_secret(text: &str) -> bool {
    let Some(body) = text.strip_prefix(SECRET_PREFIX) else { return false };
    let Some((random, sum)) = body.as_bytes().split_first_chunk::<SECRET_RANDOM_CHARACTERS>()
    else {
        return false;
    };
    random.iter().all(u8::is_ascii_alphanumeric) && sum == checksum(random)
}

/// CRC-32 of the characters in base 62, padded with zeros at the left.
fn checksum(random: &[u8]) -> [u8; CHECKSUM_CHARACTERS] {
    let mut number = crc32(random);
    let mut text = [b'0'; CHECKSUM_CHARACTERS];
    for place in text.iter_mut().rev() {
        let digit = usize::try_from(number % 62).expect("a digit");
        *place = ALPHABET[digit];
        number /= 62;
    }
    text
}

/// CRC-32 of ISO-HDLC, as in zlib: reflected, polynomial 0xEDB88320.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// Fills `text` with characters that are drawn uniformly: bytes that would favour some are thrown
/// away.
fn draw(entropy: &dyn Entropy, text: &mut [u8]) -> Result<(), EntropyError> {
    /// The largest multiple of 62 below 256.
    const FAIR: u8 = 248;
    let mut pool = Zeroizing::new([0; 64]);
    let mut next = pool.len();
    for place in text {
        *place = loop {
            if next == pool.len() {
                entropy.fill(pool.as_mut_slice())?;
                next = 0;
            }
            let byte = pool[next];
            next += 1;
            if byte < FAIR {
                break ALPHABET[usize::from(byte % 62)];
            }
        };
    }
    Ok(())
}

/// `characters` letters and digits that say nothing but always the same about `seed`.
pub(crate) fn opaque(seed: &[u8; 16], characters: usize) -> String {
    let mut bytes = [0; KSUID_BYTES];
    bytes[4..].copy_from_slice(seed);
    let text = ksuid_text(&bytes);
    text.get(text.len() - characters..).unwrap_or_default().to_owned()
}
