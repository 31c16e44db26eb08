//! One-time passwords: HOTP (RFC 4226) and TOTP (RFC 6238). Pure functions: the time is an
//! argument, and that a code is used once is for the caller to see to, with the step that
//! [`totp_matches`] returns.

use core::fmt;
use core::ops::RangeInclusive;

use aws_lc_rs::hmac;
use subtle::{ConditionallySelectable, ConstantTimeEq};

use crate::CryptoError;

/// Least bytes of a secret (RFC 4226 section 4, R6).
pub const OTP_SECRET_BYTES_MIN: usize = 16;
/// Most bytes of a secret.
pub const OTP_SECRET_BYTES_MAX: usize = 128;
/// How many digits a code may have.
pub const OTP_DIGITS: RangeInclusive<u32> = 6..=8;
/// Longest step, in seconds.
pub const OTP_STEP_S_MAX: u64 = 3_600;
/// Most steps before and after the present one that are looked at. RFC 6238 section 5.2 advises
/// one.
pub const OTP_WINDOW_STEPS_MAX: u64 = 10;

/// The hash of the HMAC. Collisions do not matter here: SHA-1 is as RFC 4226 wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OtpHash {
    /// SHA-1, which every application knows.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl OtpHash {
    const fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

/// A code: decimal digits with leading zeroes. `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct OneTimeCode {
    /// ASCII; the last `digits` of them count.
    text: [u8; DIGITS_MAX],
    digits: usize,
}

const DIGITS_MAX: usize = 8;

impl OneTimeCode {
    fn new(value: u32, digits: usize) -> Self {
        let mut text = [b'0'; DIGITS_MAX];
        let mut rest = value;
        for place in text.iter_mut().rev().take(digits) {
            let [digit, ..] = (rest % 10).to_le_bytes();
            *place += digit;
            rest /= 10;
        }
        Self { text, digits }
    }

    fn as_bytes(&self) -> &[u8] {
        self.text.get(DIGITS_MAX - self.digits..).unwrap_or_default()
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneTimeCode({} digits, ..)", self.digits)
    }
}

/// What both sides agreed on when the secret was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TotpParams {
    /// Seconds of a step; 1 to [`OTP_STEP_S_MAX`].
    pub step_s: u64,
    /// Digits of a code; one of [`OTP_DIGITS`].
    pub digits: u32,
    /// The hash.
    pub hash: OtpHash,
}

impl Default for TotpParams {
    /// What every application takes: 30 seconds, 6 digits, SHA-1.
    fn default() -> Self {
        Self { step_s: 30, digits: 6, hash: OtpHash::Sha1 }
    }
}

impl TotpParams {
    fn step_at(self, unix_s: u64) -> Result<u64, CryptoError> {
        if self.step_s > OTP_STEP_S_MAX {
            return Err(CryptoError::Invalid("step of a one-time password"));
        }
        unix_s.checked_div(self.step_s).ok_or(CryptoError::Invalid("step of a one-time password"))
    }
}

/// `HOTP(secret, counter)` (RFC 4226 section 5.3).
///
/// # Errors
/// [`CryptoError::Invalid`] for a secret or a number of digits out of bounds.
pub fn hotp(
    secret: &[u8],
    counter: u64,
    digits: u32,
    hash: OtpHash,
) -> Result<OneTimeCode, CryptoError> {
    let key = expand(secret, digits, hash)?;
    code(&key, counter, digits)
}

/// `TOTP(secret, time)` (RFC 6238 section 4.2); `unix_s` are seconds since 1970.
///
/// # Errors
/// [`CryptoError::Invalid`] for a secret or parameters out of bounds.
pub fn totp(secret: &[u8], unix_s: u64, params: TotpParams) -> Result<OneTimeCode, CryptoError> {
    hotp(secret, params.step_at(unix_s)?, params.digits, params.hash)
}

/// The step to which `given` belongs, of `window` steps before and after that of `unix_s`; `None`
/// if it belongs to none. The last one, should it belong to several.
///
/// A caller that lets a code in keeps the step, and refuses every later code whose step is not
/// greater (RFC 6238 section 5.2). The time does not depend on which step it is, nor on where a
/// wrong code differs.
///
/// # Errors
/// [`CryptoError::Invalid`] for a secret, parameters or a window out of bounds. A `given` that is
/// no code is `None`.
pub fn totp_matches(
    secret: &[u8],
    unix_s: u64,
    params: TotpParams,
    window: u64,
    given: &str,
) -> Result<Option<u64>, CryptoError> {
    if window > OTP_WINDOW_STEPS_MAX {
        return Err(CryptoError::Invalid("window of a one-time password"));
    }
    let now = params.step_at(unix_s)?;
    let key = expand(secret, params.digits, params.hash)?;
    let (mut found, mut step_found) = (subtle::Choice::from(0), 0);
    for step in now.saturating_sub(window)..=now.saturating_add(window) {
        let is_equal = code(&key, step, params.digits)?.as_bytes().ct_eq(given.as_bytes());
        step_found = u64::conditional_select(&step_found, &step, is_equal);
        found |= is_equal;
    }
    Ok(bool::from(found).then_some(step_found))
}

fn expand(secret: &[u8], digits: u32, hash: OtpHash) -> Result<hmac::Key, CryptoError> {
    if !(OTP_SECRET_BYTES_MIN..=OTP_SECRET_BYTES_MAX).contains(&secret.len()) {
        return Err(CryptoError::Invalid("length of the secret of a one-time password"));
    }
    if !OTP_DIGITS.contains(&digits) {
        return Err(CryptoError::Invalid("digits of a one-time password"));
    }
    Ok(hmac::Key::new(hash.hmac(), secret))
}

/// Dynamic truncation (RFC 4226 section 5.3). `digits` was checked.
fn code(key: &hmac::Key, counter: u64, digits: u32) -> Result<OneTimeCode, CryptoError> {
    let failed = CryptoError::Library("make a one-time password");
    let tag = hmac::sign(key, &counter.to_be_bytes());
    let tag = tag.as_ref();
    let start = usize::from(tag.last().ok_or(failed)? & 0x0f);
    let chosen = tag.get(start..).and_then(<[u8]>::first_chunk::<4>).ok_or(failed)?;
    let value = u32::from_be_bytes(*chosen) & 0x7fff_ffff;
    let digits_len = usize::try_from(digits).map_err(|_| failed)?;
    Ok(OneTimeCode::new(value % 10_u32.pow(digits), digits_len))
}
