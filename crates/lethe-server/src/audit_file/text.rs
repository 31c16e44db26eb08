//! Numbers and hashes as text, written without allocation and read strictly.

use std::io::BufRead;

/// Appends `number` in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = digit(rest % 10);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends two small digits for each byte.
pub(super) fn push_hex<const BYTES: usize>(out: &mut Vec<u8>, bytes: &[u8; BYTES]) {
    // By arithmetic, not by a table, so that many digits are made at once.
    let digit = |half: u8| half.wrapping_add(if half < 10 { b'0' } else { b'a' - 10 });
    let mut digits = [[0; 2]; BYTES];
    for (pair, byte) in digits.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    out.extend_from_slice(digits.as_flattened());
}

/// Bytes up to the first newline, that included; all, if there is none.
pub(super) fn line_length(mut bytes: &[u8]) -> usize {
    // The standard library's own search is several times as fast as a loop over bytes.
    bytes.skip_until(b'\n').expect("a slice can be read")
}

/// The digit of a number below ten.
pub(super) fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number).expect("a digit is below ten")
}

/// The number at the start of `text` and what follows it; only the form of [`push_number`].
pub(super) fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(length);
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    let number = core::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((number, rest))
}

/// The hash that `digits` write; only the form of [`push_hex`].
pub(super) fn hash_of_hex(digits: &[u8]) -> Option<[u8; 32]> {
    if digits.len() != 64 {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(hash)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
