use lethe_types::SecretVec;

use super::position::Position;
use super::secret::Secrets;
use crate::ServeError;
use crate::tests::TemporaryDirectory;

fn secrets(text: &str) -> Result<Secrets, &'static str> {
    Secrets::parse(&SecretVec::from_vec(text.as_bytes().to_vec()))
}

/// The secret and the message of the test vector in the libraries of Standard Webhooks.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn signatures_are_those_of_standard_webhooks() {
    let sign = |text: &str| {
        let body = br#"{"test": 2432232314}"#;
        secrets(text).unwrap().sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    };
    let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    assert_eq!(sign(SECRET), expected);
    assert_eq!(sign(&format!("{SECRET}\n")), expected);
    let both = sign(&format!("{SECRET}\nwhsec_{}\n", "A".repeat(32)));
    let (first, second) = both.split_once(' ').unwrap();
    assert_eq!(first, expected);
    assert!(second.starts_with("v1,") && second != expected, "{second}");
}

#[test]
fn what_is_no_secret_is_refused() {
    let short = format!("whsec_{}", "A".repeat(28));
    let long = format!("whsec_{}", "A".repeat(88));
    let twice = format!("{SECRET}\n{SECRET}\n{SECRET}");
    for text in [
        "",
        "\n",
        "secret",
        "whsec_",
        "whsec_****************************************",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw ",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\n",
        "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        &short,
        &long,
        &twice,
    ] {
        let why = secrets(text).unwrap_err();
        assert!(text.len() < 8 || !why.contains(text.trim()), "nothing of it is shown: {why}");
    }
    assert!(SecretVec::from_vec(vec![0xff]).expose().len() == 1);
    assert!(Secrets::parse(&SecretVec::from_vec(vec![0xff, 0xfe])).is_err());
}

#[test]
fn a_position_is_kept_and_a_damaged_one_is_refused() {
    let directory = TemporaryDirectory::new();
    let path = directory.join("a.position");
    let mut position = Position::open(path.clone(), 7).unwrap();
    assert_eq!(position.event(), 7);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n", "kept at once");
    position.advance(9);
    assert_eq!(Position::open(path.clone(), 100).unwrap().event(), 7);
    position.keep().unwrap();
    position.keep().unwrap();
    assert_eq!(Position::open(path.clone(), 100).unwrap().event(), 9);
    for bad in ["", "9", "\n", "+9\n", "09\n", "-1\n", "9\n\n", "x\n", "18446744073709551616\n"] {
        let path = directory.file("b.position", bad, 0o600);
        let refused = Position::open(path, 1).unwrap_err();
        assert!(matches!(refused, ServeError::WebhookPosition { .. }), "{bad:?}: {refused}");
        assert_eq!(refused.exit_code(), 4);
    }
    let path = directory.file("c.position", "9\n", 0o644);
    assert!(matches!(Position::open(path, 1), Err(ServeError::File(_))));
}
