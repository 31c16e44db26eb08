//! Principals of all kinds and their credentials: what they prove, and what is never shown.

use core::net::{IpAddr, Ipv4Addr};

use http::Method;
use lethe_crypto::SystemEntropy;
use lethe_crypto::hash::sha256;
use lethe_crypto::otp::{totp_code, totp_step};
use lethe_crypto::registry::Algorithm;
use lethe_engine::{Proof, Source};
use lethe_types::Permission;
use serde_json::{Value, json};

use super::support::{Api, NOW_MS, b64, json as body_of, member, problem};
use crate::wire::spki_pem;

/// The base32 of `12345678901234567890`, the secret of RFC 6238's examples.
const TOTP_SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

async fn make(api: &Api, body: &Value) -> Value {
    let answer = api.post("/v1/principals", &body.to_string()).await;
    let made = body_of(&answer);
    assert_eq!(answer.head.status, 201, "{made}");
    made
}

/// A new public key of the algorithm: its SubjectPublicKeyInfo.
fn public_key(algorithm: &str) -> Vec<u8> {
    let algorithm = Algorithm::from_name(algorithm).unwrap();
    let (_, public) = algorithm.generate(&SystemEntropy).unwrap().into_parts();
    public.unwrap().spki_der().to_vec()
}

async fn works(api: &Api, token: &str) -> bool {
    api.send_as(token, Method::GET, "/v1/algorithms", "").await.head.status == 200
}

#[tokio::test]
async fn a_person_signs_in_with_what_was_given_and_no_secret_is_shown() {
    let api = Api::new().await;
    let made = make(
        &api,
        &json!({
            "name": "Ada", "kind": "user", "login": "ada", "grants": [],
            "credentials": [
                {"type": "passphrase", "name": "desk", "passphrase": "correct horse \u{2603}",
                    "totp_secret": TOTP_SECRET},
                {"type": "shared_secret", "external": "device-7", "secret": b64(b"shared hunter2"),
                    "lifetime_seconds": 60},
            ],
        }),
    )
    .await;
    assert_eq!((&made["kind"], &made["login"]), (&json!("user"), &json!("ada")));
    assert_eq!((made.get("token"), made.get("tokens")), (None, None));
    let id = member(&made, "id");
    let [first, second] = [0, 1].map(|place| member(&made["credentials"][place], "id"));
    let created = "2026-09-21T14:13:20.000Z";
    assert_eq!(
        made["credentials"],
        json!([
            {"id": first, "type": "passphrase", "name": "desk", "created": created,
                "expires": null, "suspended": false},
            {"id": second, "type": "shared_secret", "name": "", "created": created,
                "expires": "2026-09-21T14:14:20.000Z", "suspended": false,
                "external": "device-7"},
        ])
    );
    for path in [format!("/v1/principals/{id}"), "/v1/principals".to_owned()] {
        let text = String::from_utf8(api.get(&path).await.body.to_vec()).unwrap();
        for secret in ["horse", "argon2", TOTP_SECRET, &b64(b"shared hunter2"), "hash"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    let realm = api.engine.ensure_realm(&"acme".parse().unwrap()).await.unwrap();
    let source = Source::of(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let code = totp_code(b"12345678901234567890", totp_step(NOW_MS / 1_000));
    let code = core::str::from_utf8(&code).unwrap();
    let sign_in = |login: &str, passphrase: &str, code: Option<&str>| {
        let passphrase = passphrase.as_bytes();
        let (engine, request) = (&api.engine, [7; 16]);
        engine.authenticate_passphrase("t", request, realm, login, passphrase, code, source)
    };
    assert!(sign_in("ada", "correct horse", Some(code)).is_err());
    assert!(sign_in("ada", "correct horse \u{2603}", None).is_err());
    assert!(sign_in("ada", "correct horse \u{2603}", Some(code)).is_ok());
    let shared = api.engine.authenticate_external("t", [7; 16], realm, "device-7", |proof| {
        matches!(proof, Proof::SharedSecret(secret) if secret.expose() == b"shared hunter2")
    });
    assert!(shared.is_ok());
}

#[tokio::test]
async fn bearer_tokens_are_shown_once_and_by_credential_if_there_are_several() {
    let api = Api::new().await;
    let several = json!({
        "name": "a", "grants": [], "credentials": [
            {"type": "bearer", "name": "one"},
            {"type": "shared_secret", "external": "x", "secret": "AAAA"},
            {"type": "bearer", "lifetime_seconds": 5},
        ],
    });
    let made = make(&api, &several).await;
    assert_eq!(made.get("token"), None);
    let tokens = made["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 2);
    for (token, place) in tokens.iter().zip([0, 2]) {
        assert_eq!(token["credential"], made["credentials"][place]["id"]);
        assert!(works(&api, &member(token, "token")).await);
    }
    assert_ne!(tokens[0]["token"], tokens[1]["token"]);
    api.pass(5_000);
    assert!(works(&api, &member(&tokens[0], "token")).await);
    assert!(!works(&api, &member(&tokens[1], "token")).await);
    let none = make(&api, &json!({"name": "b", "grants": [], "credentials": []})).await;
    assert_eq!((none.get("token"), &none["credentials"]), (None, &json!([])));
}

#[tokio::test]
async fn a_public_key_is_known_by_its_digest_unless_it_is_named() {
    let api = Api::new().await;
    for (algorithm, scheme) in [
        ("ed25519", "ed25519"),
        ("ecdsa-p256", "ecdsa-sha256"),
        ("ecdsa-p256", "ecdsa-sha256-p1363"),
        ("x25519", "x25519"),
    ] {
        let spki = public_key(algorithm);
        let credential =
            json!({"type": "public_key", "scheme": scheme, "public_key": spki_pem(&spki)});
        let body = json!({"name": "a", "grants": [], "credentials": [credential]});
        let made = make(&api, &body).await;
        let digest: String = sha256(&[&spki]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(made["credentials"][0]["external"], digest.as_str(), "{scheme}");
        let again = api.post("/v1/principals", &body.to_string()).await;
        problem(&again, 409, "name-taken");
    }
    let named = json!({
        "type": "public_key", "scheme": "ed25519", "external": "laptop",
        "public_key": spki_pem(&public_key("ed25519")),
    });
    let made = make(&api, &json!({"name": "a", "grants": [], "credentials": [named]})).await;
    assert_eq!(made["credentials"][0]["external"], "laptop");
}

/// The refusals of one credential, with the member that is named.
fn wrong_credentials() -> Vec<(Value, &'static str)> {
    let pem = spki_pem(&public_key("ed25519"));
    let p384 = spki_pem(&public_key("ecdsa-p384"));
    let long = "x".repeat(1_025);
    vec![
        (json!({"type": "password"}), "type"),
        (json!({"type": "Bearer"}), "type"),
        (json!({"type": ""}), "type"),
        (json!({"type": "bearer", "passphrase": "a"}), "passphrase"),
        (json!({"type": "bearer", "secret": "AAAA"}), "secret"),
        (json!({"type": "bearer", "external": "a"}), "external"),
        (json!({"type": "bearer", "lifetime_seconds": 0}), "lifetime_seconds"),
        (json!({"type": "bearer", "name": "x".repeat(257)}), "name"),
        (json!({"type": "bearer", "name": "a\nb"}), "name"),
        (json!({"type": "passphrase"}), "passphrase"),
        (json!({"type": "passphrase", "passphrase": ""}), "passphrase"),
        (json!({"type": "passphrase", "passphrase": long}), "passphrase"),
        (json!({"type": "passphrase", "passphrase": "a", "scheme": "ed25519"}), "scheme"),
        (json!({"type": "passphrase", "passphrase": "a", "totp_secret": "hunter2"}), "totp_secret"),
        (json!({"type": "passphrase", "passphrase": "a", "totp_secret": "MY====="}), "totp_secret"),
        (json!({"type": "public_key", "public_key": pem}), "scheme"),
        (json!({"type": "public_key", "scheme": "ed25519"}), "public_key"),
        (json!({"type": "public_key", "scheme": "rot13", "public_key": pem}), "scheme"),
        (json!({"type": "public_key", "scheme": "ed25519", "public_key": ""}), "public_key"),
        (json!({"type": "public_key", "scheme": "ed25519", "public_key": p384}), "public_key"),
        (json!({"type": "public_key", "scheme": "x25519", "public_key": pem}), "public_key"),
        (json!({"type": "public_key", "scheme": "ecdsa-sha256", "public_key": pem}), "public_key"),
        (
            json!({"type": "public_key", "scheme": "ed25519", "public_key": pem, "secret": ""}),
            "secret",
        ),
        (json!({"type": "shared_secret", "secret": "AAAA"}), "external"),
        (json!({"type": "shared_secret", "external": "a"}), "secret"),
        (json!({"type": "shared_secret", "external": "a", "secret": "hunter2"}), "secret"),
        (
            json!({"type": "shared_secret", "external": "a", "secret": "AAAA", "passphrase": "x"}),
            "passphrase",
        ),
    ]
}

#[tokio::test]
async fn malformed_credentials_are_refused_by_member_and_place_and_never_repeated() {
    let api = Api::new().await;
    let id = member(&make(&api, &json!({"name": "a", "grants": []})).await, "id");
    let path = format!("/v1/principals/{id}/credentials");
    for (credential, field) in wrong_credentials() {
        let alone = api.post(&path, &credential.to_string()).await;
        assert!(!String::from_utf8_lossy(&alone.body).contains("hunter2"));
        assert_eq!(problem(&alone, 422, "invalid-field")["field"], field, "{credential}");
        let body = json!({
            "name": "b", "grants": [], "credentials": [{"type": "bearer"}, credential],
        });
        let refused = api.post("/v1/principals", &body.to_string()).await;
        let field = format!("credentials[1].{field}");
        assert_eq!(
            problem(&refused, 422, "invalid-field")["field"],
            field.as_str(),
            "{credential}"
        );
    }
    for (body, field) in [
        ("{}", "type"),
        (r#"{"type":1}"#, "type"),
        (r#"{"type":"bearer","lifetime_seconds":"60"}"#, "lifetime_seconds"),
        (r#"{"type":"passphrase","passphrase":["hunter2"]}"#, "passphrase"),
        (r#"{"type":"passphrase","passphrase":5}"#, "passphrase"),
        (r#"{"type":"shared_secret","external":"a","secret":7}"#, "secret"),
        (r#"{"type":"bearer","token":"hunter2"}"#, "token"),
        (r#"{"type":"bearer","hash":"hunter2"}"#, "hash"),
    ] {
        let refused = api.post(&path, body).await;
        assert!(!String::from_utf8_lossy(&refused.body).contains("hunter2"));
        assert_eq!(problem(&refused, 400, "malformed-json")["field"], field, "{body}");
    }
    // Bounds of the engine: an empty secret, and one that is too long.
    for secret in ["".to_owned(), b64(&[7; 8_193])] {
        let body = json!({"type": "shared_secret", "external": "a", "secret": secret}).to_string();
        assert_eq!(problem(&api.post(&path, &body).await, 422, "invalid-field")["field"], "secret");
    }
    let many = vec![json!({"type": "bearer"}); 65];
    let body = json!({"name": "b", "grants": [], "credentials": many}).to_string();
    let refused = problem(&api.post("/v1/principals", &body).await, 422, "invalid-field");
    assert_eq!(refused["field"], "credentials");
}

#[tokio::test]
async fn malformed_principals_are_refused() {
    let api = Api::new().await;
    let both = json!({
        "name": "a", "grants": [], "token_lifetime_seconds": 5, "credentials": [{"type": "bearer"}],
    });
    let cases = [
        (both, "token_lifetime_seconds"),
        (json!({"name": "a", "grants": [], "kind": "robot"}), "kind"),
        (json!({"name": "a", "grants": [], "kind": ""}), "kind"),
        (json!({"name": "a", "grants": [], "login": ""}), "login"),
        (json!({"name": "a", "grants": [], "login": "x".repeat(257)}), "login"),
    ];
    for (body, field) in cases {
        let refused = api.post("/v1/principals", &body.to_string()).await;
        assert_eq!(problem(&refused, 422, "invalid-field")["field"], field, "{body}");
    }
    make(&api, &json!({"name": "a", "grants": [], "login": "ada"})).await;
    let taken = json!({"name": "b", "grants": [], "login": "ada"}).to_string();
    problem(&api.post("/v1/principals", &taken).await, 409, "name-taken");
    let weak = api.token_with(&[Permission::PrincipalsManage]).await;
    let body = json!({"name": "a", "grants": [{"permissions": ["keys.read"]}]}).to_string();
    let refused = api.send_as(&weak, Method::POST, "/v1/principals", &body).await;
    assert_eq!(problem(&refused, 403, "permission-denied")["permission"], "keys.read");
}

#[tokio::test]
async fn a_principal_is_changed_suspended_and_resumed() {
    let api = Api::new().await;
    let body = json!({"name": "a", "login": "ada", "grants": [{"permissions": ["keys.read"]}]});
    let made = make(&api, &body).await;
    let (path, token) = (format!("/v1/principals/{}", member(&made, "id")), member(&made, "token"));
    let patch = async |body: &str| api.patch(&path, body).await;
    assert!(works(&api, &token).await);
    assert_eq!(body_of(&patch(r#"{"suspended":true}"#).await)["suspended"], true);
    assert!(!works(&api, &token).await);
    patch(r#"{"suspended":false}"#).await;
    assert!(works(&api, &token).await);
    let same = body_of(&patch("{}").await);
    assert_eq!((&same["name"], &same["login"]), (&json!("a"), &json!("ada")));
    let changed = body_of(&patch(r#"{"name":"b","login":null,"grants":[]}"#).await);
    assert_eq!((&changed["name"], &changed["login"]), (&json!("b"), &json!(null)));
    assert_eq!(changed["grants"], json!([]));
    assert_eq!(body_of(&patch(r#"{"login":"eve"}"#).await)["login"], "eve");
    for (body, field) in [
        (r#"{"login":""}"#, "login"),
        (r#"{"name":" a"}"#, "name"),
        (r#"{"grants":[{"permissions":[]}]}"#, "grants[0].permissions"),
    ] {
        assert_eq!(problem(&patch(body).await, 422, "invalid-field")["field"], field);
    }
    for (body, field) in [
        (r#"{"login":5}"#, "login"),
        (r#"{"suspended":"yes"}"#, "suspended"),
        (r#"{"grants":{}}"#, "grants"),
        (r#"{"kind":"user"}"#, "kind"),
        (r#"{"revoked":null}"#, "revoked"),
        (r#"{"credentials":[]}"#, "credentials"),
    ] {
        assert_eq!(problem(&patch(body).await, 400, "malformed-json")["field"], field, "{body}");
    }
    let weak = api.token_with(&[Permission::PrincipalsManage]).await;
    let body = r#"{"grants":[{"permissions":["keys.destroy"]}]}"#;
    let refused = api.send_as(&weak, Method::PATCH, &path, body).await;
    assert_eq!(problem(&refused, 403, "permission-denied")["permission"], "keys.destroy");
    let foreign = api.foreign_token().await;
    problem(&api.send_as(&foreign, Method::PATCH, &path, "{}").await, 404, "item-not-found");
}

#[tokio::test]
async fn credentials_are_added_suspended_resumed_and_removed() {
    let api = Api::new().await;
    let made = make(&api, &json!({"name": "a", "grants": [{"permissions": ["keys.read"]}]})).await;
    let path = format!("/v1/principals/{}/credentials", member(&made, "id"));
    let answer = api.post(&path, r#"{"type":"bearer","name":"second"}"#).await;
    assert_eq!(answer.head.status, 201);
    let added = body_of(&answer);
    let (id, token) = (member(&added, "id"), member(&added, "token"));
    assert_eq!((&added["type"], &added["name"]), (&json!("bearer"), &json!("second")));
    assert!(works(&api, &token).await);
    let verb = async |verb: &str| api.post(&format!("{path}/{id}/{verb}"), "").await;
    assert_eq!(body_of(&verb("suspend").await)["credentials"][1]["suspended"], true);
    assert!(!works(&api, &token).await);
    assert!(works(&api, &member(&made, "token")).await);
    assert_eq!(body_of(&verb("resume").await)["credentials"][1]["suspended"], false);
    assert!(works(&api, &token).await);
    let phrase = api.post(&path, r#"{"type":"passphrase","passphrase":"hunter2"}"#).await;
    assert_eq!(phrase.head.status, 201);
    assert!(!String::from_utf8_lossy(&phrase.body).contains("hunter2"));
    assert_eq!(body_of(&phrase).get("token"), None);
    let left = body_of(&api.delete(&format!("{path}/{id}")).await);
    assert_eq!(left["credentials"].as_array().unwrap().len(), 2);
    assert!(!works(&api, &token).await);
    let nobody = format!("{path}/{}", "0".repeat(32));
    problem(&api.delete(&nobody).await, 404, "item-not-found");
    problem(&api.delete(&format!("{path}/{id}")).await, 404, "item-not-found");
    problem(&verb("suspend").await, 404, "item-not-found");
    problem(&verb("resume").await, 404, "item-not-found");
    assert_eq!(
        problem(&api.delete(&format!("{path}/x")).await, 422, "invalid-field")["field"],
        "credential"
    );
    // Whoever gives somebody a credential could act as them.
    let weak = api.token_with(&[Permission::PrincipalsManage]).await;
    let refused = api.send_as(&weak, Method::POST, &path, r#"{"type":"bearer"}"#).await;
    assert_eq!(problem(&refused, 403, "permission-denied")["permission"], "keys.read");
    let foreign = api.foreign_token().await;
    let refused = api.send_as(&foreign, Method::POST, &path, r#"{"type":"bearer"}"#).await;
    problem(&refused, 404, "item-not-found");
    api.delete(&format!("/v1/principals/{}", member(&made, "id"))).await;
    problem(&api.post(&path, r#"{"type":"bearer"}"#).await, 404, "item-not-found");
}
