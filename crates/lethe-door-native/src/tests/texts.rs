//! Lengths of time, base32 and PEM: what is taken, and what is not.

use core::time::Duration;

use crate::wire::{decode_base32, parse_span, parse_spki_pem, span_text, spki_pem};

#[test]
fn lengths_of_time_are_written_in_the_largest_exact_unit() {
    let cases = [
        ("0s", 0),
        ("1s", 1),
        ("59s", 59),
        ("1m", 60),
        ("90s", 90),
        ("90m", 5_400),
        ("1h", 3_600),
        ("25h", 90_000),
        ("3d", 259_200),
        ("3650d", 315_360_000),
    ];
    for (text, seconds) in cases {
        assert_eq!(parse_span(text), Some(Duration::from_secs(seconds)), "{text}");
        assert_eq!(span_text(Duration::from_secs(seconds)), text);
    }
    // Other spellings of the same are taken as well.
    assert_eq!(parse_span("72h"), parse_span("3d"));
    assert_eq!(span_text(Duration::from_millis(1_001)), "2s");
    assert_eq!(span_text(Duration::MAX), format!("{}s", u64::MAX));
}

#[test]
fn other_texts_are_no_lengths_of_time() {
    let wrong = [
        "",
        "s",
        "72",
        "h72",
        "72H",
        "72 h",
        " 72h",
        "72h ",
        "+72h",
        "-72h",
        "072h",
        "7.5h",
        "72hh",
        "1h30m",
        "1w",
        "1y",
        "1ms",
        "٧h",
        "18446744073709551616s",
        "18446744073709551615d",
        "1e3s",
    ];
    for text in wrong {
        assert_eq!(parse_span(text), None, "{text}");
    }
}

#[test]
fn base32_is_that_of_the_standard() {
    // RFC 4648 section 10.
    let vectors = [
        ("", ""),
        ("MY======", "f"),
        ("MZXQ====", "fo"),
        ("MZXW6===", "foo"),
        ("MZXW6YQ=", "foob"),
        ("MZXW6YTB", "fooba"),
        ("MZXW6YTBOI======", "foobar"),
    ];
    for (text, bytes) in vectors {
        assert_eq!(decode_base32(text).unwrap().expose(), bytes.as_bytes(), "{text}");
        let bare = text.trim_end_matches('=');
        assert_eq!(decode_base32(bare).unwrap().expose(), bytes.as_bytes(), "{bare}");
    }
    let wrong = [
        "M",
        "MZX",
        "MZXW6Y",
        "MY=====",
        "MY=======",
        "MZXW6YTB========",
        "my======",
        "M1======",
        "MY ======",
        "MZ======",
        "MZXW6YTB=",
        "=",
        "====",
        "MÄ======",
        "MY======MY======",
    ];
    for text in wrong {
        assert!(decode_base32(text).is_none(), "{text}");
    }
}

#[test]
fn pem_is_read_as_it_is_written() {
    for length in [1, 44, 48, 91, 294] {
        let der = vec![7_u8; length];
        let pem = spki_pem(&der);
        assert_eq!(parse_spki_pem(&pem), Some(der.clone()));
        assert_eq!(parse_spki_pem(&pem.replace('\n', "\r\n")), Some(der.clone()));
        assert_eq!(parse_spki_pem(pem.trim_end()), Some(der));
    }
    let good = spki_pem(&[7; 44]);
    let wrong = [
        String::new(),
        "BwcHBwcH".to_owned(),
        spki_pem(&[]),
        good.replace("PUBLIC", "PRIVATE"),
        good.replace("PUBLIC", "RSA PUBLIC"),
        good.replacen("-----BEGIN", "----BEGIN", 1),
        good.replace("-----END PUBLIC KEY-----", ""),
        format!("{good}{good}"),
        format!("# a comment\n{good}"),
        good.replacen("BwcH", "Bw*H", 1),
        good.replacen("BwcH", "BwcH ", 1),
        good.replacen('=', "", 1),
    ];
    for text in wrong {
        assert_eq!(parse_spki_pem(&text), None, "{text}");
    }
}
