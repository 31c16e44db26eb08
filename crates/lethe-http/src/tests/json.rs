use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use crate::json::{self, JsonError};

#[derive(Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Wire {
    name: String,
    #[serde(default)]
    size: u32,
    #[serde(default)]
    kind: Kind,
}

#[derive(Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Small,
    Large,
}

#[test]
fn json_of_the_right_shape_is_read() {
    let wire = json::parse::<Wire>(br#" {"name":"a","size":3,"kind":"large"} "#);
    assert_eq!(wire, Ok(Wire { name: "a".into(), size: 3, kind: Kind::Large }));
}

#[derive(Debug, PartialEq)]
enum Is {
    Mismatch,
    Syntax,
    Truncated,
}

#[track_caller]
fn check(body: &str, is: Is, words: &str) {
    let error = json::parse::<Wire>(body.as_bytes()).expect_err(body);
    let found = match &error {
        JsonError::Mismatch { .. } => Is::Mismatch,
        JsonError::Syntax { .. } => Is::Syntax,
        JsonError::Truncated => Is::Truncated,
        JsonError::WrongContentType => panic!("no content type was looked at"),
    };
    assert_eq!(found, is, "{body}: {error}");
    assert!(error.to_string().contains(words), "{body}: {error}");
    assert!(!error.to_string().contains("hunter"), "{body}: {error}");
}

#[test]
fn what_is_not_the_json_asked_for_is_refused_with_place_and_reason() {
    check("", Is::Truncated, "empty");
    check(r#"{"name":"hunter"#, Is::Truncated, "ends within");
    check("{]", Is::Syntax, "line 1, column 2");
    check("{\"name\":\n\"a\",}", Is::Syntax, "line 2, column 5");
    check(r#"{"name":"a"} x"#, Is::Syntax, "trailing characters");
    check("\u{feff}{}", Is::Syntax, "column 1");
    check(r#"["a",1,"small"]"#, Is::Mismatch, "must be an object");
    check("[1", Is::Truncated, "ends within");
    check("7", Is::Mismatch, "must be an object");
    check(r#"{}"#, Is::Mismatch, "missing field `name`");
    check(r#"{"name":"a","name":"b"}"#, Is::Mismatch, "duplicate field `name`");
    check(r#"{"name":"a","colour":1}"#, Is::Mismatch, "unknown field `colour`, expected one of");
    check(r#"{"name":7}"#, Is::Mismatch, "invalid type: integer, expected a string (line 1");
    check(r#"{"name":"a","size":-1}"#, Is::Mismatch, "invalid value: integer, expected u32");
    check(r#"{"name":"a","size":"hunter2"}"#, Is::Mismatch, "invalid type: string, expected u32");
    let sly = r#"{"name":"a","size":"hunter, expected a at line 1 hunter"}"#;
    check(sly, Is::Mismatch, "invalid type: string, expected u32");
    check(r#"{"name":"a","kind":"hunter2"}"#, Is::Mismatch, "unknown value, expected `small` or");
    check(r#"{"name":null}"#, Is::Mismatch, "invalid type: null");
    check(r#""hunter2""#, Is::Mismatch, "must be an object");
    check(r#"{"name":["hunter2"]}"#, Is::Mismatch, "invalid type: sequence, expected a string");
    check(r#"{"name":"a","size":1.5}"#, Is::Mismatch, "invalid type: floating point");
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(json::parse::<serde_json::Value>(nested(126).as_bytes()).is_ok());
    let error = json::parse::<serde_json::Value>(nested(127).as_bytes()).expect_err("too deep");
    assert!(matches!(error, JsonError::Syntax { .. }), "{error}");
}

#[track_caller]
fn check_type(values: &[&'static str], is_json: bool) {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(CONTENT_TYPE, HeaderValue::from_static(value));
    }
    let result = json::parse_typed::<serde_json::Value>(&headers, b"{}");
    let expected =
        if is_json { Ok(serde_json::json!({})) } else { Err(JsonError::WrongContentType) };
    assert_eq!(result, expected, "{values:?}");
}

#[test]
fn content_types_are_compared_without_parameters_and_case() {
    check_type(&["application/json"], true);
    check_type(&["Application/JSON; charset=utf-8"], true);
    check_type(&["application/merge-patch+json"], true);
    check_type(&[], false);
    check_type(&[""], false);
    check_type(&["text/plain"], false);
    check_type(&["text/plain; x=application/json"], false);
    check_type(&["application/jsonx"], false);
    check_type(&["+json"], false);
    check_type(&["application/x-www-form-urlencoded"], false);
    check_type(&["application/json", "text/plain"], false);
}

#[test]
fn answers_are_json() {
    let wire = Wire { name: "ä".into(), size: 1, kind: Kind::Small };
    let response = json::respond(StatusCode::CREATED, &wire);
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let crate::Body::Full(bytes) = response.into_body() else { panic!("not streamed") };
    assert_eq!(bytes, r#"{"name":"ä","size":1,"kind":"small"}"#);
}
