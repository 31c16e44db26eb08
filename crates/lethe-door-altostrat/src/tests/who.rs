use http::Method;
use lethe_engine::record::PrincipalKind;
use lethe_types::{Permission, Permissions};
use serde_json::json;

use super::support::{Org, World, expect, header, org, settings};

/// The five operations, on that id.
fn operations(id: &str) -> Vec<(Method, String)> {
    vec![
        (Method::GET, "/api/keys".to_owned()),
        (Method::POST, "/api/keys".to_owned()),
        (Method::GET, format!("/api/keys/{id}")),
        (Method::DELETE, format!("/api/keys/{id}")),
        (Method::POST, format!("/api/keys/{id}/rotate")),
    ]
}

const UNKNOWN: &str = "api_key_3Cb93712hJYeAq1fEudxrX0gb4a";

async fn all_answer(org: &Org, token: &str, id: &str, status: u16) {
    for (method, path) in operations(id) {
        let answer = org.send(token, method.clone(), &path, &[], "").await;
        assert_eq!(answer.head.status.as_u16(), status, "{method} {path}");
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        if status == 401 {
            let body = expect(&answer, 401);
            assert_eq!(body, json!({"message": "Unauthorized or invalid token provided."}));
            let challenge = header(&answer, "www-authenticate").expect("a challenge");
            assert_eq!(challenge.contains("invalid_token"), !token.is_empty());
        }
    }
}

#[tokio::test]
async fn without_a_valid_token_every_operation_is_401() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let other = org.world.org("other", settings()).await;
    for token in [
        "",
        "x",
        "a.b.c",
        "lethe_nonsense",
        &other.bearer,
        "alto_sk_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef2P40Ol",
        "alto_sk_x",
        "1234:5678:abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghij",
    ] {
        all_answer(&org, token, &made.id, 401).await;
        all_answer(&org, token, UNKNOWN, 401).await;
    }
    for headers in [
        [("authorization", "Basic YTpi"), ("x", "y")],
        [("authorization", "Bearer"), ("x", "y")],
        [("authorization", "Bearer  "), ("x", "y")],
        [("authorization", org.bearer.as_str()), ("x", "y")],
    ] {
        let answer = org.send("", Method::GET, "/api/keys", &headers, "").await;
        expect(&answer, 401);
    }
    let bearer = format!("Bearer {}", org.bearer);
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    expect(&org.send("", Method::GET, "/api/keys", &twice, "").await, 401);
    let lower = format!("bEARER {}", org.bearer);
    let answer = org.send("", Method::GET, "/api/keys", &[("authorization", &lower)], "").await;
    expect(&answer, 200);
    assert_eq!(org.probe(&made.secret).await, 200);
}

#[tokio::test]
async fn keys_do_not_manage_keys_whatever_they_carry() {
    let org = org().await;
    let everything = [
        "api:view",
        "api:create",
        "api:update",
        "api:delete",
        "apikeys.manage",
        "keys.create",
        "keys.destroy",
        "principals.manage",
    ];
    let made = org.create("mighty", &everything).await;
    let token = org.token(&made.secret).await;
    for credential in [&made.secret, &token] {
        all_answer(&org, credential, &made.id, 403).await;
        all_answer(&org, credential, UNKNOWN, 403).await;
    }
    assert!(org.world.audit.has("altostrat.key.delete", Some("permission_denied")));
    expect(&org.get(&format!("/api/keys/{}", made.id)).await, 200);
}

#[tokio::test]
async fn who_lacks_the_permission_gets_403_for_known_and_unknown_ids_alike() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let (user, _) = org.world.principal(org.realm, PrincipalKind::User, Permissions::NONE).await;
    let end = lethe_types::UnixMillis(super::support::NOW_MS + 60_000);
    let token = org.altostrat.user_token(user, end).expect("a token");
    for id in [made.id.as_str(), UNKNOWN, "x"] {
        all_answer(&org, &token, id, 403).await;
        // A resource server reads keys, and no more.
        for (method, path) in operations(id) {
            let answer = org.send(&org.internal, method.clone(), &path, &[], "").await;
            let is_read = method == Method::GET;
            assert_eq!(answer.head.status == 403, !is_read, "{method} {path}");
        }
    }
    assert_eq!(org.probe(&made.secret).await, 200);
}

#[tokio::test]
async fn each_of_the_four_permissions_opens_its_own() {
    let org = org().await;
    let check = async |permissions: &[Permission], expected: [u16; 5]| {
        let made = org.create("abc", &["sites:read"]).await;
        let permissions = permissions.iter().copied().collect();
        let kind = PrincipalKind::User;
        let (_, token) = org.world.principal(org.realm, kind, permissions).await;
        let mut found = Vec::new();
        for (method, path) in operations(&made.id) {
            let json = [("content-type", "application/json")];
            let body = r#"{"name":"abc","permissions":["keys.create"]}"#;
            let answer = org.send(&token, method, &path, &json, body).await;
            found.push(answer.head.status.as_u16());
        }
        assert_eq!(found, expected);
    };
    use Permission::{ApikeysManage, KeysCreate, KeysDestroy, KeysRead, KeysRotate};
    check(&[KeysRead], [200, 403, 200, 403, 403]).await;
    check(&[KeysCreate, ApikeysManage], [403, 201, 403, 403, 403]).await;
    check(&[KeysDestroy, ApikeysManage], [403, 403, 403, 204, 403]).await;
    check(&[KeysRotate, ApikeysManage], [403, 403, 403, 403, 200]).await;
    check(&[ApikeysManage], [403; 5]).await;
    check(&[KeysCreate, KeysDestroy, KeysRotate], [403; 5]).await;
}

#[tokio::test]
async fn refused_requests_change_nothing() {
    let world = World::new();
    let org = world.org("acme", settings()).await;
    let other = world.org("other", settings()).await;
    let made = org.create("abc", &["sites:read"]).await;
    let token = org.token(&made.secret).await;
    let path = format!("/api/keys/{}", made.id);
    for (credential, status) in [("", 401), ("x", 401), (made.secret.as_str(), 403)] {
        expect(&org.send(credential, Method::DELETE, &path, &[], "").await, status);
    }
    expect(&other.delete(&made.id).await, 404);
    expect(&other.rotate(&made.id, "").await, 404);
    assert_eq!((org.probe(&made.secret).await, org.probe(&token).await), (200, 200));
}
