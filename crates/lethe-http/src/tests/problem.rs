use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use crate::problem::Problem;
use crate::*;

fn gone() -> Problem {
    Problem::new("/problems/key-destroyed", "Key destroyed", StatusCode::GONE)
}

#[test]
fn a_problem_has_its_standard_members_and_its_own() {
    let problem = gone().detail("since noon").member("key", "k1").member("versions", 3);
    let expected = json!({"type": "/problems/key-destroyed", "title": "Key destroyed",
        "status": 410, "detail": "since noon", "key": "k1", "versions": 3});
    assert_eq!(problem.to_json(), expected);
    let response = problem.into_response();
    assert_eq!(response.status(), StatusCode::GONE);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let Body::Full(bytes) = response.into_body() else { panic!("not streamed") };
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON"), expected);
}

#[test]
fn extension_members_cannot_replace_standard_ones() {
    let problem = gone().member("status", 200).member("type", "x").member("detail", "forged");
    let plain = json!({"type": "/problems/key-destroyed", "title": "Key destroyed", "status": 410});
    assert_eq!(problem.to_json(), plain);
}

#[test]
fn every_fall_back_has_a_problem_of_its_own_type() {
    let allow = http::HeaderValue::from_static("GET");
    let causes = [
        (Fallback::BadRequest(BadRequest::MissingHost), 400),
        (Fallback::BodyTimeout, 408),
        (Fallback::BodyTooLarge { limit_bytes: 7300 }, 413),
        (Fallback::HandlerPanicked, 500),
        (Fallback::HeadersTooLarge, 431),
        (Fallback::LengthRequired, 411),
        (Fallback::MethodNotAllowed { allow }, 405),
        (Fallback::NotFound, 404),
        (Fallback::Overloaded, 503),
        (Fallback::ShuttingDown, 503),
        (Fallback::Timeout, 504),
        (Fallback::UriTooLong, 414),
    ];
    let mut types = std::collections::BTreeSet::new();
    for (cause, status) in &causes {
        let problem = Problem::from(cause);
        assert_eq!(problem.status().as_u16(), *status, "{cause:?}");
        let json = problem.to_json();
        assert_eq!(json["detail"], cause.to_string());
        types.insert(json["type"].to_string());
    }
    assert_eq!(types.len(), causes.len());
}
