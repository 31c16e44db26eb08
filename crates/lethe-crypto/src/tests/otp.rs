use super::records;
use super::tally::Tally;
use crate::otp::{OtpDigest, hotp, totp_code, totp_step, totp_verify};

fn digest(name: &str) -> OtpDigest {
    match name {
        "sha1" => OtpDigest::Sha1,
        "sha256" => OtpDigest::Sha256,
        "sha512" => OtpDigest::Sha512,
        other => panic!("{other}"),
    }
}

#[test]
fn codes_of_rfc_4226_and_rfc_6238() {
    let vectors = records(include_str!("../testdata/otp.txt"));
    let mut tallies = [Tally::new("RFC 4226"), Tally::new("RFC 6238")];
    for vector in &vectors {
        let number = |name| vector.0.get(name).map(|text| text.parse::<u64>().unwrap());
        let counter = number("counter").or_else(|| number("time").map(totp_step)).unwrap();
        let truncated = hotp(digest(vector.text("digest")), &vector.bytes("secret"), counter);
        if let Some(want) = number("truncated") {
            assert_eq!(u64::from(truncated), want);
        }
        let (at, name) = if vector.has("time") { (1, "totp") } else { (0, "hotp") };
        tallies[at].accepted(format!("{name}-{}", vector.text("digest")));
        let code = vector.text("code");
        assert!(format!("{truncated:010}").ends_with(code), "{truncated} {code}");
        if vector.text("digest") == "sha1" {
            let shown = totp_code(&vector.bytes("secret"), counter);
            assert!(code.as_bytes().ends_with(&shown), "{code}");
        }
    }
    assert_eq!(vectors.len(), 28);
}

const SECRET: &[u8] = b"12345678901234567890";
/// The last second of a step.
const NOW: u64 = 1_111_111_109;

#[test]
fn a_code_is_good_one_step_before_and_after_its_own() {
    let code = String::from_utf8(totp_code(SECRET, totp_step(NOW)).to_vec()).unwrap();
    assert_eq!(code, "081804");
    let check = |now: u64, accepted: bool| {
        let want = accepted.then_some(totp_step(NOW));
        assert_eq!(totp_verify(SECRET, now, &code), want, "{now}");
    };
    check(NOW, true);
    // One step of 30 seconds ends with NOW.
    check(NOW - 29, true);
    check(NOW - 30, true);
    check(NOW - 59, true);
    check(NOW - 60, false);
    check(NOW + 1, true);
    check(NOW + 30, true);
    check(NOW + 31, false);
    check(NOW + 3_600, false);
    check(0, false);
    check(u64::MAX, false);
}

#[test]
fn the_first_step_has_none_before_it() {
    let code = String::from_utf8(totp_code(SECRET, 0).to_vec()).unwrap();
    assert_eq!(totp_verify(SECRET, 0, &code), Some(0));
    assert_eq!(totp_verify(SECRET, 59, &code), Some(0));
    assert_eq!(totp_verify(SECRET, 60, &code), None);
}

#[test]
fn what_is_no_code_is_refused() {
    for code in
        ["", "0", "08180", "0818040", "07081804", "08180a", " 81804", "+81804", "０８１８０４"]
    {
        assert_eq!(totp_verify(SECRET, NOW, code), None, "{code}");
    }
    for wrong in ["081805", "181804", "081704", "000000"] {
        assert_eq!(totp_verify(SECRET, NOW, wrong), None, "{wrong}");
    }
    let of_nothing = String::from_utf8(totp_code(b"", totp_step(NOW)).to_vec()).unwrap();
    assert_eq!(totp_verify(b"", NOW, &of_nothing), None);
    assert_eq!(totp_verify(b"another secret", NOW, "081804"), None);
}
