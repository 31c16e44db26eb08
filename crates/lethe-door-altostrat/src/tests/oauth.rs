use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use lethe_engine::record::PrincipalKind;
use lethe_types::Permission;
use serde_json::json;

use super::support::{World, expect, header, org, settings, text};
use crate::Settings;
use crate::settings::ResourceServer;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn client_credentials_come_by_basic_or_in_the_body() {
    let org = org().await;
    let made = org.create("abc", &["sites:read", "scripts:write"]).await;
    let answer = org.client_credentials(&made, "&scope=sites:read").await;
    let token = expect(&answer, 200);
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    assert_eq!((&token["scope"], &token["expires_in"]), (&json!("sites:read"), &json!(120)));
    assert!(token.get("refresh_token").is_none());
    assert_eq!(org.probe(&text(&token["access_token"])).await, 200);
    let basic = |client: &str, secret: &str| {
        format!("Basic {}", STANDARD.encode(format!("{client}:{secret}")))
    };
    let send = async |basic: &str, body: &str| {
        let headers = [FORM, ("authorization", basic)];
        org.send("", Method::POST, "/oauth/token", &headers, body).await
    };
    let grant = "grant_type=client_credentials";
    let whole = expect(&send(&basic(&made.client, &made.secret), grant).await, 200);
    assert_eq!(whole["scope"], "sites:read scripts:write");
    for wrong in [
        basic(&made.client, "x"),
        basic("x", &made.secret),
        basic("", ""),
        "Basic !".to_owned(),
        "Basic eA==".to_owned(),
        format!("Bearer {}", made.secret),
    ] {
        let answer = send(&wrong, grant).await;
        assert_eq!(expect(&answer, 401), json!({"error": "invalid_client"}));
        assert!(header(&answer, "www-authenticate").is_some_and(|text| text.starts_with("Basic")));
    }
    let both = format!("{grant}&client_id={}&client_secret={}", made.client, made.secret);
    let answer = send(&basic(&made.client, &made.secret), &both).await;
    assert_eq!(expect(&answer, 400), json!({"error": "invalid_request"}));
}

#[tokio::test]
async fn token_requests_that_break_a_rule_are_refused_in_the_words_of_oauth() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let own = format!("client_id={}&client_secret={}", made.client, made.secret);
    for (body, status, error) in [
        (String::new(), 400, "invalid_request"),
        (own.clone(), 400, "invalid_request"),
        (format!("grant_type=&{own}"), 400, "invalid_request"),
        (format!("grant_type=password&{own}"), 400, "unsupported_grant_type"),
        (format!("grant_type=refresh_token&{own}"), 400, "unsupported_grant_type"),
        ("grant_type=client_credentials".to_owned(), 401, "invalid_client"),
        (
            format!("grant_type=client_credentials&client_secret={}", made.secret),
            401,
            "invalid_client",
        ),
        (
            format!("grant_type=client_credentials&client_id=x&client_secret={}", made.secret),
            401,
            "invalid_client",
        ),
        (format!("grant_type=client_credentials&{own}&scope=scripts:write"), 400, "invalid_scope"),
        (
            format!("grant_type=client_credentials&{own}&scope=sites:read+root"),
            400,
            "invalid_scope",
        ),
        (format!("grant_type=client_credentials&grant_type=x&{own}"), 400, "invalid_request"),
        (format!("grant_type=client_credentials&{own}&scope=%ff"), 400, "invalid_request"),
    ] {
        let answer = org.form("", "/oauth/token", &body).await;
        assert_eq!(expect(&answer, status), json!({"error": error}), "{body}");
    }
    let json = [("content-type", "application/json")];
    let body = r#"{"grant_type":"client_credentials"}"#;
    let answer = org.send("", Method::POST, "/oauth/token", &json, body).await;
    assert_eq!(expect(&answer, 400), json!({"error": "invalid_request"}));
}

#[tokio::test]
async fn the_exchange_is_for_resource_servers_only() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let path = "/api/internal/token";
    let body = json!({"api_key": made.secret}).to_string();
    let other = org.world.org("other", settings()).await;
    let nothing = Default::default();
    let (_, powerless) =
        org.world.principal(org.realm, PrincipalKind::ServiceAccount, nothing).await;
    for token in ["", "x", &made.secret, &org.bearer, &other.internal, &powerless] {
        expect(&org.send(token, Method::POST, path, &[], body.clone()).await, 401);
    }
    for body in ["", "{}", "[]", r#"{"api_key":7}"#, r#"{"api_key":null}"#] {
        expect(&org.send(&org.internal, Method::POST, path, &[], body).await, 400);
    }
    let gone = org.create("gone", &["sites:read"]).await;
    expect(&org.delete(&gone.id).await, 204);
    let foreign = other.create("abc", &["sites:read"]).await;
    let broken = format!("{}0", &made.secret[..made.secret.len() - 1]);
    for secret in ["", "x", "alto_sk_", &broken, &gone.secret, &foreign.secret, &org.bearer] {
        let refused = expect(&org.exchange(secret).await, 403);
        assert_eq!(refused, json!({"message": "The API key is not valid."}), "{secret}");
    }
}

#[tokio::test]
async fn introspection_tells_what_is_active_and_nothing_of_the_rest() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let token = org.token(&made.secret).await;
    for credential in [&token, &made.secret] {
        let told = org.introspect(&format!("{credential}&token_type_hint=whatever")).await;
        assert_eq!(told["active"], true);
        assert_eq!(told["client_id"], made.client.as_str());
        assert_eq!(told["key_id"], made.id.as_str());
        assert_eq!(told["scope"], "sites:read");
        assert_eq!(told["sub"], format!("{}@clients", made.client));
    }
    for token in ["x", "a.b.c", "alto_sk_x", &org.internal] {
        assert_eq!(org.introspect(token).await, json!({"active": false}));
    }
    let path = "/oauth/introspect";
    for caller in ["", "x", &made.secret, &token, &org.bearer] {
        expect(&org.form(caller, path, &format!("token={token}")).await, 401);
    }
    let missing = expect(&org.form(&org.internal, path, "").await, 400);
    assert_eq!(missing, json!({"error": "invalid_request"}));
}

#[tokio::test]
async fn a_token_is_told_of_only_to_those_whose_service_it_is_for() {
    let world = World::new();
    let server = ResourceServer { audiences: vec!["https://b".to_owned()], addresses: vec![] };
    let far = ResourceServer { audiences: vec![], addresses: vec!["192.0.2.0/24".to_owned()] };
    let resource_servers =
        [("server-b".to_owned(), server), ("far".to_owned(), far)].into_iter().collect();
    let org = world.org("acme", Settings { resource_servers, ..settings() }).await;
    let may_read = || [Permission::KeysRead].into_iter().collect();
    let kind = PrincipalKind::ServiceAccount;
    let (_, b) = world.named(org.realm, kind, may_read(), "server-b").await;
    let (_, far) = world.named(org.realm, kind, may_read(), "far").await;
    let made = org.create("abc", &["sites:read"]).await;
    let body = json!({"api_key": made.secret}).to_string();
    let answer = org.send(&b, Method::POST, "/api/internal/token", &[], body.clone()).await;
    let token = text(&expect(&answer, 200)["data"]["access_token"]);
    assert_eq!(org.probe(&token).await, 401, "it is for another service");
    assert_eq!(org.introspect(&token).await, json!({"active": false}));
    let told = org.form(&b, "/oauth/introspect", &format!("token={token}")).await;
    assert_eq!(expect(&told, 200)["aud"], "https://b");
    expect(&org.send(&far, Method::POST, "/api/internal/token", &[], body).await, 401);
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_others_are_left_alone() {
    let org = org().await;
    let made = org.create("abc", &["sites:read"]).await;
    let other = org.create("other", &["sites:read"]).await;
    let (token, kept) = (org.token(&made.secret).await, org.token(&made.secret).await);
    let foreign = org.token(&other.secret).await;
    let own = format!("client_id={}&client_secret={}", made.client, made.secret);
    let revoke =
        async |token: &str| org.form("", "/oauth/revoke", &format!("{own}&token={token}")).await;
    for token in [token.as_str(), &foreign, "garbage", "a.b.c", &org.bearer] {
        let answer = revoke(token).await;
        assert_eq!((answer.head.status.as_u16(), answer.body.len()), (200, 0));
    }
    assert_eq!(org.probe(&token).await, 401);
    assert_eq!(org.introspect(&token).await, json!({"active": false}));
    assert_eq!((org.probe(&kept).await, org.probe(&foreign).await), (200, 200));
    assert_eq!(org.probe(&made.secret).await, 200);
    let refused = expect(&revoke(&made.secret).await, 400);
    assert_eq!(refused, json!({"error": "unsupported_token_type"}));
    expect(&org.form("", "/oauth/revoke", &own).await, 400);
    expect(&org.form("", "/oauth/revoke", &format!("token={token}")).await, 401);
}

#[tokio::test]
async fn the_metadata_names_what_is_served() {
    let org = org().await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let host = [("host", "keys.test")];
        let answer = org.send("", Method::GET, path, &host, "").await;
        let metadata = expect(&answer, 200);
        assert_eq!(metadata["issuer"], "https://localhost/");
        assert_eq!(metadata["token_endpoint"], "https://keys.test/oauth/token");
        assert_eq!(metadata["grant_types_supported"], json!(["client_credentials"]));
        let methods = json!(["client_secret_basic", "client_secret_post"]);
        assert_eq!(metadata["token_endpoint_auth_methods_supported"], methods);
    }
    let document = expect(&org.send("", Method::GET, "/openapi.json", &[], "").await, 200);
    for path in ["/api/keys", "/api/keys/{id}", "/api/keys/{id}/rotate"] {
        assert!(document["paths"][path].is_object());
    }
    assert!(!document.to_string().contains("rcpt_"));
}

#[tokio::test]
async fn the_deny_feed_tells_what_to_forget() {
    let org = org().await;
    let (rotated, deleted) =
        (org.create("one", &["sites:read"]).await, org.create("two", &["sites:read"]).await);
    let read = async |after: u64, token: &str| {
        let path = format!("/v1/revocations?after={after}&wait=0");
        org.send(token, Method::GET, &path, &[], "").await
    };
    expect(&org.rotate(&rotated.id, "").await, 200);
    expect(&org.delete(&deleted.id).await, 204);
    let page = expect(&read(0, &org.internal).await, 200);
    let entries = page["data"].as_array().expect("an array");
    let told: Vec<_> =
        entries.iter().map(|e| (text(&e["client_id"]), e["min_gen"].clone())).collect();
    assert_eq!(told, [(rotated.client, json!(2)), (deleted.client.clone(), json!(null))]);
    assert_eq!(entries[1]["deleted_at"], "2026-04-20T00:00:00Z");
    assert_eq!(entries[1]["key_id"], deleted.id.as_str());
    assert!(text(&page["head"]).starts_with("lethe.test/log"));
    let next = page["next"].as_u64().expect("a number");
    let page = expect(&read(next, &org.internal).await, 200);
    assert_eq!(page["data"], json!([]));
    for token in ["", "x", &org.bearer] {
        expect(&read(0, token).await, 401);
    }
    let answer = org.send(&org.internal, Method::GET, "/v1/revocations?after=x", &[], "").await;
    expect(&answer, 400);
}
