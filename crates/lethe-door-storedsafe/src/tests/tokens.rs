//! Tokens on the wire: where they come, how long they are good, and rotation.

use http::Method;
use serde_json::json;

use super::support::{Api, failure, success, text};
use crate::settings::{Settings, TokenRotation};

#[tokio::test]
async fn a_token_is_taken_from_each_place_and_the_first_counts() {
    let api = Api::without_logins(Settings::default()).await;
    let token = api.log_in("alice").await;
    let (token, wrong) = (token.as_str(), "wrong");
    let in_body = |token: &str| json!({ "token": token }).to_string();
    let check = async |method: Method, path: &str, headers: &[(&str, &str)], body: String| {
        api.send(method, path, headers, body).await
    };
    let query = format!("/auth/check?token={token}");
    for (method, path, headers, body) in [
        (Method::POST, "/auth/check", vec![("X-Http-Token", token)], "{}".to_owned()),
        (Method::POST, "/auth/check", vec![("x-http-token", token)], String::new()),
        (Method::POST, "/auth/check", vec![], in_body(token)),
        (Method::GET, "/auth/check?", vec![("X-HTTP-TOKEN", token)], String::new()),
        (Method::GET, "/auth/check/", vec![("x-http-token", token)], String::new()),
        (Method::GET, &query, vec![], String::new()),
        (Method::POST, &query, vec![], "{}".to_owned()),
        (Method::POST, "/auth/check", vec![("x-http-token", token)], in_body(wrong)),
        (Method::POST, "/auth/check?token=wrong", vec![], in_body(token)),
        (Method::GET, &query, vec![("authorization", "Basic eDp5")], String::new()),
    ] {
        let shown = success(&check(method, path, &headers, body).await, 200);
        assert_eq!(shown["DATA"]["token"], token);
        assert_eq!(shown["CALLINFO"]["token"], token);
        assert_eq!(shown["CALLINFO"]["handler"], "AuthHandler");
        assert_eq!(shown.to_string().matches(token).count(), 2);
    }
    for (headers, body) in [
        (vec![("x-http-token", wrong)], in_body(token)),
        (vec![("x-http-token", "")], in_body(token)),
        (vec![], in_body(wrong)),
        (vec![], json!({ "token": [token] }).to_string()),
        (vec![], String::new()),
        (vec![("authorization", token)], String::new()),
        (vec![("x-http-token", "wr\u{f6}ng")], String::new()),
    ] {
        let answer = check(Method::POST, "/auth/check", &headers, body).await;
        let shown = failure(&answer, 403, "Token invalid");
        assert!(shown["CALLINFO"].get("token").is_none() && shown["DATA"].get("token").is_none());
        assert!(!shown.to_string().contains(token));
    }
}

#[tokio::test]
async fn who_logs_out_is_out_at_once() {
    for (method, is_query) in [(Method::GET, true), (Method::POST, false), (Method::GET, false)] {
        let mut api = Api::without_logins(Settings::default()).await;
        let token = api.log_in("alice").await;
        let query = format!("/auth/logout?token={token}");
        let header = [("x-http-token", token.as_str())];
        let answer = if is_query {
            api.send(method, &query, &[], "").await
        } else {
            api.send(method, "/auth/logout", &header, "").await
        };
        let shown = success(&answer, 200);
        assert_eq!(shown["CALLINFO"]["logout"], "Bye bye");
        assert!(shown["CALLINFO"]["token"].is_string());
        failure(&api.get(&token, "/auth/check").await, 403, "Token invalid");
        api.reopened();
        failure(&api.get(&token, "/auth/check").await, 403, "Token invalid");
    }
}

#[tokio::test]
async fn a_login_outlives_the_server_and_ends_in_time() {
    let mut api = Api::new().await;
    for _ in 0..5 {
        api.pass(50 * 60_000);
        success(&api.get(&api.reader, "/auth/check").await, 200);
    }
    api.reopened();
    success(&api.get(&api.reader, "/vault").await, 200);
    failure(&api.get(&api.writer, "/vault").await, 403, "Token invalid");
    api.pass(60 * 60_000);
    failure(&api.get(&api.reader, "/vault").await, 403, "Token invalid");
}

#[tokio::test]
async fn a_login_ends_after_its_life_whatever_its_use() {
    let api = Api::without_logins(Settings::default()).await;
    let token = api.log_in("alice").await;
    for _ in 0..23 {
        api.pass(30 * 60_000);
        success(&api.get(&token, "/auth/check").await, 200);
    }
    api.pass(30 * 60_000);
    failure(&api.get(&token, "/auth/check").await, 403, "Token invalid");
}

#[tokio::test]
async fn with_strict_rotation_each_token_is_good_once() {
    let token_rotation = TokenRotation::Strict;
    let mut api = Api::without_logins(Settings { token_rotation, ..Settings::default() }).await;
    let first = api.log_in("alice").await;
    let shown = success(&api.get(&first, "/auth/check").await, 200);
    let second = text(&shown["CALLINFO"], "token");
    assert_eq!(shown["DATA"]["token"], first.as_str());
    assert_ne!(first, second);
    failure(&api.get(&first, "/auth/check").await, 403, "Token invalid");
    // Also after a failed operation.
    let refused = failure(&api.get(&second, "/vault/999").await, 403, "PERMISSION DENIED");
    let third = text(&refused["CALLINFO"], "token");
    failure(&api.get(&second, "/auth/check").await, 403, "Token invalid");
    let shown = success(&api.get(&third, "/vault").await, 200);
    api.reopened();
    let fourth = text(&shown["CALLINFO"], "token");
    failure(&api.get(&fourth, "/vault").await, 403, "Token invalid");
}

#[tokio::test]
async fn with_grace_a_replaced_token_is_good_for_a_little_while() {
    let token_rotation = TokenRotation::Grace;
    let api = Api::without_logins(Settings { token_rotation, ..Settings::default() }).await;
    let first = api.log_in("alice").await;
    let shown = success(&api.get(&first, "/auth/check").await, 200);
    let second = text(&shown["CALLINFO"], "token");
    api.pass(59_000);
    success(&api.get(&first, "/auth/check").await, 200);
    api.pass(1_000);
    failure(&api.get(&first, "/auth/check").await, 403, "Token invalid");
    let shown = success(&api.get(&second, "/auth/check").await, 200);
    let third = text(&shown["CALLINFO"], "token");
    success(&api.get(&third, "/auth/logout").await, 200);
    failure(&api.get(&second, "/auth/check").await, 403, "Token invalid");
}
