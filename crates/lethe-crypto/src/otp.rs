//! One-time passwords: HOTP (RFC 4226) and TOTP (RFC 6238).
//!
//! Pure: time is an argument. That each step is accepted once (RFC 6238 section 5.2) is for the
//! caller, who can remember; [`totp_verify`] says which step it was.

use aws_lc_rs::hmac;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Seconds of a time step (RFC 6238 section 5.2).
pub const TOTP_STEP_SECONDS: u64 = 30;
/// Digits of a code, as authenticator apps make it.
pub const TOTP_DIGITS: usize = 6;
/// Steps before and after the present one whose codes are accepted: the clocks of server and
/// authenticator may differ, and people take a while to type.
pub const TOTP_DRIFT_STEPS: u64 = 1;

/// The hash under the HMAC of a one-time password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtpDigest {
    /// HMAC-SHA-1: the only one that every authenticator app has. HMAC does not rest on the
    /// collision resistance that SHA-1 lacks (RFC 6194 section 3.3).
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

/// The truncated code of `counter` (RFC 4226 section 5.3): 31 bits, of which the last decimal
/// digits are shown.
#[must_use]
pub fn hotp(digest: OtpDigest, secret: &[u8], counter: u64) -> u32 {
    let algorithm = match digest {
        OtpDigest::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        OtpDigest::Sha256 => hmac::HMAC_SHA256,
        OtpDigest::Sha512 => hmac::HMAC_SHA512,
    };
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), &counter.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = bytes.last().map_or(0, |last| usize::from(last & 0x0f));
    let mut word = [0; 4];
    // The shortest tag has 20 bytes and the largest offset is 15.
    word.copy_from_slice(&bytes[offset..offset + 4]);
    u32::from_be_bytes(word) & 0x7fff_ffff
}

/// The time step of a moment.
#[must_use]
pub const fn totp_step(unix_seconds: u64) -> u64 {
    unix_seconds / TOTP_STEP_SECONDS
}

/// The six digits of `step` with HMAC-SHA-1, as authenticator apps show them.
#[must_use]
pub fn totp_code(secret: &[u8], step: u64) -> [u8; TOTP_DIGITS] {
    let mut rest = hotp(OtpDigest::Sha1, secret, step);
    let mut code = [b'0'; TOTP_DIGITS];
    for digit in code.iter_mut().rev() {
        *digit += u8::try_from(rest % 10).expect("a digit is less than ten");
        rest /= 10;
    }
    code
}

/// The step whose code `code` is, of those within [`TOTP_DRIFT_STEPS`] of the moment; the latest if
/// it is that of several.
///
/// All codes are computed and compared whole, whichever is right. A code of another form than six
/// ASCII digits is none, and neither is any code of an empty secret.
#[must_use]
pub fn totp_verify(secret: &[u8], unix_seconds: u64, code: &str) -> Option<u64> {
    let now = totp_step(unix_seconds);
    let first = now.saturating_sub(TOTP_DRIFT_STEPS);
    let mut found = Choice::from(0);
    let mut matching = 0;
    for step in first..=now.saturating_add(TOTP_DRIFT_STEPS) {
        let is_equal = totp_code(secret, step).as_slice().ct_eq(code.as_bytes());
        matching.conditional_assign(&step, is_equal);
        found |= is_equal;
    }
    (bool::from(found) && !secret.is_empty()).then_some(matching)
}
