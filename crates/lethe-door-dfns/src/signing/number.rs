//! Whole numbers of up to 256 bits as they stand in JSON: as numbers, or as texts in decimal or,
//! after `0x`, in hexadecimal.

use serde_json::Value;

/// Bytes of the widest number.
pub(super) const WORD_BYTES: usize = 32;
/// Most characters of a number: a sign and the 78 digits of 2^256, with room for zeros in front.
const TEXT_BYTES_MAX: usize = 100;
/// From here on, not every whole number has a double of its own (IEEE 754).
const DOUBLE_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A number: its sign and its absolute value, big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    is_negative: bool,
    magnitude: [u8; WORD_BYTES],
}

impl Number {
    /// The number of a JSON value; `None` for anything else, and for numbers that JSON does not
    /// carry exactly.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => {
                let is_negative = number.as_i64().is_some_and(i64::is_negative);
                let small = number.as_i64().map(i64::unsigned_abs);
                let magnitude = number.as_u64().or(small).or_else(|| whole(value))?;
                Some(Self { is_negative, magnitude: word_of(magnitude) })
            }
            Value::String(text) => Self::of_text(text),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let plain = text.strip_prefix('-');
        let digits = plain.unwrap_or(text);
        let (digits, base) = match digits.strip_prefix("0x") {
            Some(digits) => (digits, 16),
            None => (digits, 10),
        };
        if digits.is_empty() {
            return None;
        }
        let mut magnitude = [0; WORD_BYTES];
        for character in digits.chars() {
            magnitude = times_plus(&magnitude, base, character.to_digit(base)?)?;
        }
        let is_negative = plain.is_some() && magnitude != [0; WORD_BYTES];
        Some(Self { is_negative, magnitude })
    }

    /// As an unsigned number of `bits`, in a word; `None` if it does not fit.
    pub(super) fn unsigned(&self, bits: usize) -> Option<[u8; WORD_BYTES]> {
        (!self.is_negative && self.has_bits(bits)).then_some(self.magnitude)
    }

    /// As a signed number of `bits` in two's complement, extended to a word; `None` if it does not
    /// fit.
    pub(super) fn signed(&self, bits: usize) -> Option<[u8; WORD_BYTES]> {
        let fits = self.has_bits(bits - 1);
        if !self.is_negative {
            return fits.then_some(self.magnitude);
        }
        // The least number has one more than the greatest.
        let least_is_it = self.magnitude == power_of_two(bits - 1);
        (fits || least_is_it).then(|| negated(&self.magnitude))
    }

    fn has_bits(&self, bits: usize) -> bool {
        let zeros = self.magnitude.iter().take_while(|byte| **byte == 0).count();
        let first = self.magnitude.get(zeros).map_or(0, |byte| byte.leading_zeros());
        let leading = zeros * 8 + usize::try_from(first).unwrap_or(0);
        WORD_BYTES * 8 - leading <= bits
    }
}

/// A double that is a whole number, as some clients write every number.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let double = value.as_f64()?;
    let is_whole = double >= 0.0 && double.fract() == 0.0 && double < DOUBLE_EXACT_MAX;
    // The text of such a double has its digits and nothing else.
    is_whole.then(|| format!("{double:.0}").parse().ok())?
}

fn word_of(number: u64) -> [u8; WORD_BYTES] {
    let mut word = [0; WORD_BYTES];
    let (_, last) = word.split_at_mut(WORD_BYTES - 8);
    last.copy_from_slice(&number.to_be_bytes());
    word
}

fn power_of_two(exponent: usize) -> [u8; WORD_BYTES] {
    let mut word = [0; WORD_BYTES];
    if let Some(byte) = word.iter_mut().rev().nth(exponent / 8) {
        *byte = 1 << (exponent % 8);
    }
    word
}

fn negated(magnitude: &[u8; WORD_BYTES]) -> [u8; WORD_BYTES] {
    let mut word = magnitude.map(|byte| !byte);
    for byte in word.iter_mut().rev() {
        let (sum, carry) = byte.overflowing_add(1);
        *byte = sum;
        if !carry {
            break;
        }
    }
    word
}

/// `number * factor + digit`; `None` if it has more than 256 bits.
fn times_plus(number: &[u8; WORD_BYTES], factor: u32, digit: u32) -> Option<[u8; WORD_BYTES]> {
    let mut result = *number;
    let mut carry = digit;
    for byte in result.iter_mut().rev() {
        let value = u32::from(*byte) * factor + carry;
        *byte = value.to_le_bytes()[0];
        carry = value >> 8;
    }
    (carry == 0).then_some(result)
}
