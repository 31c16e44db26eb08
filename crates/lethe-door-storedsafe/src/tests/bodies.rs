//! Bodies of requests.

use crate::body::{Member, RequestBody, decimal};

#[test]
fn objects_are_read_and_nothing_else() {
    for body in ["", " \r\n\t", "{}", " {} ", "{\"a\":null}", "{\"token\":{\"a\":[1]},\"b\":2}"] {
        assert!(RequestBody::parse(body.as_bytes()).is_ok(), "{body}");
    }
    let deep = "{\"a\":".repeat(200) + "1" + &"}".repeat(200);
    let many: Vec<String> = (0..300).map(|n| format!("\"{n}\":1")).collect();
    let many = format!("{{{}}}", many.join(","));
    for body in [
        "[]",
        "[{}]",
        "1",
        "null",
        "\"{}\"",
        "{",
        "}",
        "{}{}",
        "{\"a\":1,\"a\":1}",
        "{'a':1}",
        "{\"a\":01}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":\"\\ud800\"}",
        "x=1&y=2",
        "\u{feff}{}",
        "{\"a\"}",
        &deep,
        &many,
    ] {
        assert!(RequestBody::parse(body.as_bytes()).is_err(), "{body:.40}");
    }
    assert!(RequestBody::parse(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn secrets_are_never_shown() {
    let body = RequestBody::parse(br#"{"passphrase":"hunter2","otp":5,"x":"hunter2"}"#).unwrap();
    assert!(!format!("{body:?}").contains("hunter2"));
    assert_eq!(body.text("passphrase"), Ok(Some("hunter2")));
    assert!(body.text("otp").is_err());
    assert!(matches!(body.members().nth(1), Some(("otp", Member::NotText))));
}

#[test]
fn decimals_have_one_form() {
    for (text, number) in [("0", 0), ("7", 7), ("18446744073709551615", u64::MAX)] {
        assert_eq!(decimal(text), Some(number));
    }
    for text in ["", "00", "01", "+1", "-1", "1.0", " 1", "1 ", "18446744073709551616", "0x1", "١"]
    {
        assert_eq!(decimal(text), None, "{text}");
    }
}
