//! The form of tokens. What they stand for is tested with an engine, at the doors that take them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_types::KeyId;

use crate::jws;

const KEY: KeyId = KeyId([7; 16]);

fn token(header: &str, payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", encode(header), encode(payload), encode("signature"))
}

fn header(changed: &str, to: &str) -> String {
    let kid = jws::kid(KEY, 3);
    format!(r#"{{"alg":"RS256","typ":"at+jwt","kid":"{kid}"}}"#).replace(changed, to)
}

#[test]
fn a_token_is_taken_apart_into_what_is_signed_and_by_which_version() {
    let whole = token(&header("", ""), "{}");
    let parsed = jws::parse(&whole).expect("it has the form");
    assert_eq!((parsed.key, parsed.version), (KEY, 3));
    assert_eq!(parsed.signature, b"signature");
    assert!(whole.starts_with(parsed.signed) && parsed.signed.ends_with(parsed.payload));
}

#[test]
fn headers_of_another_form_are_refused() {
    let check = |header: &str| assert!(jws::parse(&token(header, "{}")).is_none(), "{header}");
    for algorithm in ["none", "HS256", "RS384", "PS256", "ES256", "rs256", ""] {
        check(&header("RS256", algorithm));
    }
    for kind in ["JWT", "at+JWT", "application/at+jwt", ""] {
        check(&header("at+jwt", kind));
    }
    for kid in ["", "x", "07-3", "-3", &jws::kid(KEY, 3).to_uppercase().replace('7', "A")] {
        check(&header(&jws::kid(KEY, 3), kid));
    }
    for version in ["-03", "-+3", "- 3", "-4294967296", "--3"] {
        check(&header("-3", version));
    }
    check(&header("{", r#"{"jku":"https://example.org/","#));
    check(&header("{", r#"{"alg":"RS256","#));
    check("[]");
    check("{}");
    check("");
    check(&format!("{}{}", header("", ""), " ".repeat(600)));
}

#[test]
fn texts_that_are_no_token_are_refused() {
    let check = |text: &str| assert!(jws::parse(text).is_none(), "{text}");
    let whole = token(&header("", ""), "{}");
    check("");
    check("..");
    check("a.b");
    check("a.b.c.d");
    check(&whole.replace('.', ""));
    check(&format!("{whole}.x"));
    check(&format!("{whole}="));
    check(&format!("x.{whole}"));
    check(&format!("{whole} "));
    check(&"a".repeat(200_000));
}

#[test]
fn claims_that_are_there_twice_or_missing_are_refused() {
    let good = r#"{"iss":"i","aud":"a","sub":"s","iat":1,"exp":2,"jti":"j","permissions":["p"]}"#;
    let read = |text: &str| jws::claims(&URL_SAFE_NO_PAD.encode(text));
    let claims = read(good).expect("these are claims");
    assert_eq!((claims.client_id, claims.generation), (None, None));
    for (from, to) in [
        (r#""iat":1"#, r#""iat":1,"iat":1"#),
        (r#""exp":2"#, r#""exp":-2"#),
        (r#""exp":2"#, r#""exp":2.5"#),
        (r#""aud":"a""#, r#""aud":["a"]"#),
        (r#""permissions":["p"]"#, r#""permissions":"p""#),
        (r#""jti":"j","#, ""),
        ("}", ""),
    ] {
        assert!(read(&good.replace(from, to)).is_none(), "{to}");
    }
    assert!(read("[]").is_none());
}

#[test]
fn a_token_has_an_identity_of_sixteen_bytes() {
    assert_eq!(jws::token_id(&jws::jti(&[9; 16])), Some([9; 16]));
    for text in ["", "x", "AAAA", &"A".repeat(23), &"=".repeat(22)] {
        assert_eq!(jws::token_id(text), None, "{text}");
    }
}
