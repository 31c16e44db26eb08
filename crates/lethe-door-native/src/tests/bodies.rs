//! Bodies that are refused, and the words in which they are.

use http::Method;
use serde_json::Value;

use super::support::{Api, problem};

/// The refusal of `body` as an encryption: its `field` and the end of its `detail`.
async fn check(api: &Api, path: &str, body: &[u8], field: Option<&str>, detail: &str) {
    let answer = api.send(Method::POST, path, &[], body).await;
    let refused = problem(&answer, 400, "malformed-json");
    let shown = String::from_utf8_lossy(body);
    assert_eq!(refused["field"].as_str(), field, "{shown}: {refused}");
    let said = refused["detail"].as_str().unwrap();
    assert!(said.contains(detail), "{shown}: {said}");
    assert!(said.len() < 400, "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_member_and_rule() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    let path = format!("/v1/keys/{id}/encrypt");
    let cases: &[(&[u8], Option<&str>, &str)] = &[
        (b"", None, "the body is empty"),
        (b" \n", None, "the body is empty"),
        (b"[]", None, "must be a JSON object"),
        (br#"["AAAA"]"#, None, "must be a JSON object"),
        (b"null", None, "must be a JSON object"),
        (br#""AAAA""#, None, "must be a JSON object"),
        (b"plaintext=AAAA", None, "must be a JSON object"),
        (b"\xef\xbb\xbf{}", None, "must be a JSON object"),
        (b"{", None, "ends within its JSON (line 1, column 1)"),
        (br#"{"plaintext":"AAAA""#, None, "ends within its JSON"),
        (br#"{"plaintext":"AAAA"}x"#, None, "trailing characters"),
        (br#"{"plaintext":"AAAA"}{}"#, None, "trailing characters"),
        (br#"{"plaintext":"AAAA",}"#, None, "not JSON in UTF-8"),
        (br#"{plaintext:"AAAA"}"#, None, "not JSON in UTF-8"),
        (br#"{'plaintext':'AAAA'}"#, None, "not JSON in UTF-8"),
        (b"{\"plaintext\":\"\xff\"}", None, "not JSON in UTF-8"),
        (b"{\"plaintext\":\"A\nA\"}", None, "not JSON in UTF-8"),
        (br#"{"plaintext":"\ud800"}"#, None, "not JSON in UTF-8"),
        (b"{}", Some("plaintext"), "the member `plaintext` is missing"),
        (br#"{"aad":"AAAA"}"#, Some("plaintext"), "is missing"),
        (br#"{"plaintext":"","plaintext":""}"#, Some("plaintext"), "is there twice"),
        (br#"{"plaintext":"","aad":"","aad":""}"#, Some("aad"), "is there twice"),
        (
            br#"{"plaintext":"","pin":"hunter2"}"#,
            Some("pin"),
            "is unknown, expected one of `plaintext`",
        ),
        (br#"{"plaintext":null}"#, Some("plaintext"), "must be a string of base64"),
        (br#"{"plaintext":5}"#, Some("plaintext"), "must be a string of base64"),
        (br#"{"plaintext":["hunter2"]}"#, Some("plaintext"), "must be a string of base64"),
        (br#"{"plaintext":{"a":"hunter2"}}"#, Some("plaintext"), "must be a string of base64"),
        (b"{\n \"plaintext\" : \"\",\n \"aad\" : true }", Some("aad"), "(line 3, column"),
    ];
    for (body, field, detail) in cases {
        check(&api, &path, body, *field, detail).await;
    }
    let verify = format!("/v1/keys/{id}/verify");
    for value in [r#""hunter2""#, r#"", expected hunter2""#, "-1", "1.5", "4294967296"] {
        let body = format!(r#"{{"message":"","signature":"","version":{value}}}"#);
        check(&api, &verify, body.as_bytes(), Some("version"), "`version` must be u32 (").await;
    }
    let long = format!(r#"{{"{}":1}}"#, "x".repeat(10_000));
    check(&api, &path, long.as_bytes(), Some(&"x".repeat(100)), "is unknown").await;
    let deep = format!(r#"{{"plaintext":{}"#, "[".repeat(1_000));
    check(&api, &path, deep.as_bytes(), Some("plaintext"), "must be").await;
}

#[tokio::test]
async fn wrong_members_of_lists_are_named_with_their_place() {
    let api = Api::new().await;
    let path = "/v1/principals";
    let in_grants = |grants: &str| format!(r#"{{"name":"a","grants":{grants}}}"#).into_bytes();
    let cases = [
        (r#"[{"permissions":["keys.read"]},{"permissions":"*"}]"#, "grants[1].permissions"),
        (r#"[{"permissions":["keys.read",7]}]"#, "grants[0].permissions[1]"),
        (r#"[[["*"]]]"#, "grants[0]"),
        (r#"{"permissions":["*"]}"#, "grants"),
        (r#"[{"permissions":["*"],"vault":1}]"#, "grants[0].vault"),
    ];
    for (grants, field) in cases {
        check(&api, path, &in_grants(grants), Some(field), "must be").await;
    }
    let unknown = in_grants(r#"[{"permissions":["*"],"realm":"x"}]"#);
    check(&api, path, &unknown, Some("realm"), "is unknown").await;
    let negative = br#"{"name":"a","grants":[],"token_lifetime_seconds":-1}"#;
    check(&api, path, negative, Some("token_lifetime_seconds"), "must be u64").await;
}

#[tokio::test]
async fn base64_is_strict() {
    let api = Api::new().await;
    let id = api.key("aes256-gcm").await;
    for text in ["A", "AA", "AAA", "AAAA=", "A=AA", "AA A", "AAB=", "-_-_", "AAAA\\n", "ä"] {
        let body = format!(r#"{{"plaintext":"{text}"}}"#);
        let answer = api.post(&format!("/v1/keys/{id}/encrypt"), &body).await;
        assert_eq!(problem(&answer, 422, "invalid-field")["field"], "plaintext", "{text}");
    }
}

#[tokio::test]
async fn only_json_is_taken_and_a_missing_type_counts_as_json() {
    let api = Api::new().await;
    let send = async |types: &[&str]| {
        let headers: Vec<_> = types.iter().map(|text| ("content-type", *text)).collect();
        api.send(Method::POST, "/v1/vaults", &headers, "{}").await
    };
    for taken in [
        &[][..],
        &["application/json"],
        &["Application/JSON; charset=utf-8"],
        &["application/json;charset=UTF-8"],
    ] {
        // The body is refused only after its type was taken.
        problem(&send(taken).await, 400, "malformed-json");
    }
    for refused in [
        &["text/plain"][..],
        &["application/x-www-form-urlencoded"],
        &["application/jsonx"],
        &["application/problem+json"],
        &[""],
        &["application/json", "application/json"],
    ] {
        let problem = problem(&send(refused).await, 415, "unsupported-media-type");
        assert_eq!(problem["field"], Value::Null);
    }
}

#[tokio::test]
async fn reading_operations_take_no_body() {
    let api = Api::new().await;
    let answer = api.send(Method::GET, "/v1/keys", &[], "{}").await;
    problem(&answer, 413, "body-too-large");
    let id = api.key("aes256-gcm").await;
    let answer = api.send(Method::DELETE, &format!("/v1/keys/{id}"), &[], "{}").await;
    problem(&answer, 413, "body-too-large");
}
