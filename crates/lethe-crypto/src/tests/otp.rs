//! One-time passwords: the vectors of both RFCs, and what is refused.

use crate::CryptoError;
use crate::otp::{
    OTP_SECRET_BYTES_MAX, OTP_SECRET_BYTES_MIN, OTP_STEP_S_MAX, OTP_WINDOW_STEPS_MAX, OtpHash,
    TotpParams, hotp, totp, totp_matches,
};

const DIGITS: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";
const HASHES: [(OtpHash, usize); 3] =
    [(OtpHash::Sha1, 20), (OtpHash::Sha256, 32), (OtpHash::Sha512, 64)];

#[test]
fn hotp_of_rfc_4226_appendix_d() {
    let want = [
        "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
        "520489",
    ];
    for (counter, want) in (0..).zip(want) {
        let code = hotp(&DIGITS[..20], counter, 6, OtpHash::Sha1).unwrap();
        assert_eq!(code.as_str(), want, "{counter}");
        assert_eq!(format!("{code:?}"), "OneTimeCode(6 digits, ..)");
    }
}

/// RFC 6238 appendix B: the time, and the codes with SHA-1, SHA-256 and SHA-512.
const TOTP: [(u64, [&str; 3]); 6] = [
    (59, ["94287082", "46119246", "90693936"]),
    (1_111_111_109, ["07081804", "68084774", "25091201"]),
    (1_111_111_111, ["14050471", "67062674", "99943326"]),
    (1_234_567_890, ["89005924", "91819424", "93441116"]),
    (2_000_000_000, ["69279037", "90698825", "38618901"]),
    (20_000_000_000, ["65353130", "77737706", "47863826"]),
];

#[test]
fn totp_of_rfc_6238_appendix_b() {
    for (unix_s, codes) in TOTP {
        for ((hash, bytes), want) in HASHES.into_iter().zip(codes) {
            let params = TotpParams { digits: 8, hash, ..TotpParams::default() };
            let secret = &DIGITS[..bytes];
            assert_eq!(totp(secret, unix_s, params).unwrap().as_str(), want);
            let step = totp_matches(secret, unix_s, params, 0, want);
            assert_eq!(step, Ok(Some(unix_s / 30)));
            let shorter = TotpParams { digits: 6, ..params };
            assert_eq!(totp(secret, unix_s, shorter).unwrap().as_str(), &want[2..]);
        }
    }
}

#[test]
fn a_code_is_found_in_its_window_and_says_its_step() {
    let (secret, params) = (&DIGITS[..20], TotpParams::default());
    let now_s = 1_111_111_111;
    let code = totp(secret, now_s, params).unwrap();
    let step = now_s / 30;
    for (away_s, window, is_found) in [
        (0, 0, true),
        (30, 0, false),
        (30, 1, true),
        (60, 1, false),
        (60, 2, true),
        (300, OTP_WINDOW_STEPS_MAX, true),
        (330, OTP_WINDOW_STEPS_MAX, false),
    ] {
        for unix_s in [now_s - away_s, now_s + away_s] {
            let found = totp_matches(secret, unix_s, params, window, code.as_str());
            assert_eq!(found, Ok(is_found.then_some(step)), "{away_s} {window}");
        }
    }
    // At the beginning of time there is nothing before, at its end nothing after.
    let first = totp(secret, 0, params).unwrap();
    assert_eq!(totp_matches(secret, 29, params, 10, first.as_str()), Ok(Some(0)));
    let last = TotpParams { step_s: 1, ..params };
    let code = totp(secret, u64::MAX, last).unwrap();
    assert_eq!(totp_matches(secret, u64::MAX, last, 10, code.as_str()), Ok(Some(u64::MAX)));
}

#[test]
fn what_is_no_code() {
    let (secret, params) = (&DIGITS[..20], TotpParams::default());
    let code = totp(secret, 59, params).unwrap();
    let code = code.as_str();
    let check = |given: &str| {
        assert_eq!(totp_matches(secret, 59, params, 1, given), Ok(None), "{given:?}");
    };
    check("");
    check(&code[..5]);
    check(&code[1..]);
    check(&format!("{code}0"));
    check(&format!("0{code}"));
    check(&format!(" {code}"));
    check("94287082");
    check("２87082");
    check(&"0".repeat(1 << 16));
    let other: String = code.chars().rev().collect();
    check(&other);
    assert_eq!(totp_matches(&DIGITS[1..21], 59, params, 1, code), Ok(None));
}

#[test]
fn parameters_out_of_bounds() {
    let fine = TotpParams::default();
    let check = |secret: &[u8], params: TotpParams, window| {
        let refused = totp_matches(secret, 59, params, window, "287082");
        assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{params:?}");
        if window <= OTP_WINDOW_STEPS_MAX {
            let refused = totp(secret, 59, params).map(drop);
            assert!(matches!(refused, Err(CryptoError::Invalid(_))), "{params:?}");
        }
    };
    let secret = &DIGITS[..20];
    check(&[], fine, 1);
    check(&DIGITS[..OTP_SECRET_BYTES_MIN - 1], fine, 1);
    check(&[7; OTP_SECRET_BYTES_MAX + 1], fine, 1);
    for digits in [0, 1, 5, 9, 10, u32::MAX] {
        check(secret, TotpParams { digits, ..fine }, 1);
    }
    for step_s in [0, OTP_STEP_S_MAX + 1, u64::MAX] {
        check(secret, TotpParams { step_s, ..fine }, 1);
    }
    check(secret, fine, OTP_WINDOW_STEPS_MAX + 1);
    check(secret, fine, u64::MAX);
}
