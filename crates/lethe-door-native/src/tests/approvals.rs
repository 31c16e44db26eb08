//! Others agree to a destruction: requests, statements, signatures, and what they are worth.

use http::Method;
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, UsableKey};
use serde_json::{Value, json};

use super::support::{Api, b64, json as body_of, member, problem};
use crate::wire::spki_pem;

const TWO: &str = r#"{"approvals":{"required":2,"lifetime":"1h"}}"#;

/// Somebody who can sign.
struct Approver {
    token: String,
    credential: String,
    key: UsableKey,
    scheme: &'static str,
}

impl Approver {
    async fn new(api: &Api, algorithm: &str) -> Self {
        let algorithm = Algorithm::from_name(algorithm).unwrap();
        let (secret, public) = algorithm.generate(&SystemEntropy).unwrap().into_parts();
        let scheme = algorithm.default_scheme().unwrap().as_str();
        let body = json!({
            "name": "approver", "kind": "user", "grants": [{"permissions": ["*"]}],
            "credentials": [
                {"type": "bearer"},
                {"type": "public_key", "scheme": scheme,
                    "public_key": spki_pem(public.unwrap().spki_der())},
            ],
        });
        let answer = api.post("/v1/principals", &body.to_string()).await;
        let made = body_of(&answer);
        assert_eq!(answer.head.status, 201, "{made}");
        let token = member(&made, "token");
        let credential = member(&made["credentials"][1], "id");
        Self { token, credential, key: algorithm.load(&secret).unwrap(), scheme }
    }

    /// The body of an approval of `statement`.
    fn sign(&self, statement: &str) -> String {
        let signature = self.key.sign(None, statement.as_bytes()).unwrap();
        json!({"credential": self.credential, "signature": b64(&signature)}).to_string()
    }

    async fn approve(&self, api: &Api, request: &Value) -> lethe_http::testing::Answer {
        let body = self.sign(&member(request, "statement"));
        api.send_as(&self.token, Method::POST, &approve_path(request), &body).await
    }
}

fn approve_path(request: &Value) -> String {
    format!("/v1/approvals/{}/approve", member(request, "id"))
}

async fn ask(api: &Api, key: &str, reason: &str) -> Value {
    let body = json!({"reason": reason}).to_string();
    let answer = api.post(&format!("{key}/approvals"), &body).await;
    assert_eq!(answer.head.status, 201, "{:?}", answer.body);
    body_of(&answer)
}

#[tokio::test]
async fn two_others_agree_and_the_receipt_names_them() {
    let api = Api::new().await;
    let vault = api.vault("v", TWO).await;
    let key = api.key_in(&vault).await;
    let (one, two) =
        (Approver::new(&api, "ed25519").await, Approver::new(&api, "ecdsa-p256").await);
    let missing = problem(&api.delete(&key).await, 403, "approvals-missing");
    assert_eq!(missing["rule"], "approvals_missing");
    let request = ask(&api, &key, "contract ended").await;
    assert_eq!(request.as_object().unwrap().len(), 9);
    assert_eq!((&request["state"], &request["approvals"]), (&json!("open"), &json!([])));
    assert_eq!(request["expires"], "2026-09-21T15:13:20.000Z");
    let statement = member(&request, "statement");
    for line in ["lethe-approval/v1", "operation key.destroy", "reason contract ended"] {
        assert!(statement.lines().any(|known| known == line), "{statement}");
    }
    let id = member(&request, "id");
    let delete = format!("{key}?approval={id}");
    problem(&api.delete(&delete).await, 403, "approvals-missing");
    let agreed = body_of(&one.approve(&api, &request).await);
    assert_eq!(agreed["approvals"][0]["scheme"], one.scheme);
    assert_eq!(agreed["approvals"][0]["at"], "2026-09-21T14:13:20.000Z");
    let told = problem(&api.delete(&delete).await, 403, "approvals-missing");
    assert!(member(&told, "detail").contains("1 of 2"), "{told}");
    assert_eq!(two.approve(&api, &request).await.head.status, 200);
    let preview = body_of(&api.get(&format!("{key}/destruction-preview?approval={id}")).await);
    assert_eq!(
        (&preview["verdict"], &preview["approvals_required"]),
        (&json!("destroy"), &json!(2))
    );
    assert_eq!(preview["approvals"][0]["id"], id.as_str());
    let receipt = api.delete(&delete).await;
    assert_eq!(receipt.head.status, 200, "{:?}", receipt.body);
    let text = String::from_utf8(receipt.body.to_vec()).unwrap();
    for approval in
        body_of(&api.get(&format!("/v1/approvals/{id}")).await)["approvals"].as_array().unwrap()
    {
        assert!(text.contains(&member(approval, "principal")), "{text}");
    }
    assert_eq!(body_of(&api.get(&format!("/v1/approvals/{id}")).await)["state"], "used");
}

#[tokio::test]
async fn an_approval_counts_only_for_its_key_its_requester_and_its_time() {
    let api = Api::new().await;
    let vault = api.vault("v", r#"{"approvals":{"required":1,"lifetime":"1h"}}"#).await;
    let (key, other) = (api.key_in(&vault).await, api.key_in(&vault).await);
    let approver = Approver::new(&api, "ed25519").await;
    let unusable = async |token: &str, key: &str, request: &Value, why: &str| {
        let path = format!("{key}?approval={}", member(request, "id"));
        let answer = api.send_as(token, Method::DELETE, &path, "").await;
        let told = problem(&answer, 403, "approval-unusable");
        assert_eq!(told["rule"], "approval_unusable");
        assert!(member(&told, "detail").contains(why), "{told}");
    };
    let request = ask(&api, &key, "a").await;
    assert_eq!(approver.approve(&api, &request).await.head.status, 200);
    unusable(&api.token, &other, &request, "another key").await;
    unusable(&approver.token, &key, &request, "somebody else").await;
    let unknown = json!({"id": "0".repeat(32)});
    unusable(&api.token, &key, &unknown, "").await;
    let withdrawn = ask(&api, &key, "b").await;
    let path = format!("/v1/approvals/{}", member(&withdrawn, "id"));
    assert_eq!(body_of(&api.delete(&path).await)["state"], "withdrawn");
    problem(&api.delete(&path).await, 403, "evidence-not-valid");
    unusable(&api.token, &key, &withdrawn, "withdrawn").await;
    problem(&approver.approve(&api, &withdrawn).await, 403, "evidence-not-valid");
    api.pass(3_600_000);
    unusable(&api.token, &key, &request, "expired").await;
    let late = ask(&api, &key, "c").await;
    api.pass(3_600_000);
    problem(&approver.approve(&api, &late).await, 403, "evidence-not-valid");
    // A window makes a schedule of the first destruction; the approvals are used up by it.
    let last = ask(&api, &key, "d").await;
    approver.approve(&api, &last).await;
    let path = format!("{key}?window=1d&approval={}", member(&last, "id"));
    assert_eq!(api.delete(&path).await.head.status, 202);
    api.post(&format!("{key}/cancel-destruction"), "").await;
    unusable(&api.token, &key, &last, "used").await;
    assert_eq!(body_of(&api.get(&key).await)["state"], "active");
}

#[tokio::test]
async fn only_a_signature_of_somebody_else_over_the_statement_agrees() {
    let api = Api::new().await;
    let key = api.key_in(&api.vault("v", TWO).await).await;
    let (one, two) = (Approver::new(&api, "ed25519").await, Approver::new(&api, "ed25519").await);
    let request = ask(&api, &key, "a").await;
    let path = approve_path(&request);
    let send = async |approver: &Approver, body: &str| {
        api.send_as(&approver.token, Method::POST, &path, body).await
    };
    let good = one.sign(&member(&request, "statement"));
    for (approver, body) in [
        (&one, one.sign("another statement\n")),
        (&one, one.sign(member(&request, "statement").trim_end())),
        (&one, two.sign(&member(&request, "statement"))),
        (&two, good.clone()),
        (&one, good.replace(&one.credential, &two.credential)),
        (&one, good.replace(&one.credential, &"0".repeat(32))),
        (&one, json!({"credential": one.credential, "signature": ""}).to_string()),
    ] {
        problem(&send(approver, &body).await, 403, "evidence-not-valid");
    }
    for (body, field) in [
        (json!({"credential": "x", "signature": ""}), "credential"),
        (json!({"credential": one.credential, "signature": "*"}), "signature"),
    ] {
        let refused = problem(&send(&one, &body.to_string()).await, 422, "invalid-field");
        assert_eq!(refused["field"], field);
    }
    for (body, field) in [
        ("{}", "credential"),
        (r#"{"credential":"x"}"#, "signature"),
        (r#"{"credential":1,"signature":""}"#, "credential"),
        (r#"{"credential":"x","signature":"","approve":true}"#, "approve"),
    ] {
        assert_eq!(problem(&send(&one, body).await, 400, "malformed-json")["field"], field);
    }
    // The requester's own agreement never counts, whatever it is signed with.
    problem(&api.post(&path, &good).await, 403, "permission-denied");
    assert_eq!(send(&one, &good).await.head.status, 200);
    problem(&send(&one, &good).await, 403, "evidence-not-valid");
    let foreign = api.foreign_token().await;
    problem(&api.send_as(&foreign, Method::POST, &path, &good).await, 404, "item-not-found");
}

#[tokio::test]
async fn requests_are_listed_to_who_may_read_the_key() {
    let api = Api::new().await;
    let (key, other) = (api.key("aes256-gcm").await, api.key("aes256-gcm").await);
    let first = ask(&api, &format!("/v1/keys/{key}"), "a").await;
    api.pass(1);
    let second = ask(&api, &format!("/v1/keys/{other}"), "b").await;
    api.delete(&format!("/v1/approvals/{}", member(&second, "id"))).await;
    let ids = async |token: &str, query: &str| {
        let path = format!("/v1/approvals{query}");
        let answer = body_of(&api.send_as(token, Method::GET, &path, "").await);
        let all = answer["approvals"].as_array().unwrap().clone();
        all.iter().map(|one| member(one, "id")).collect::<Vec<_>>()
    };
    let (first, second) = (member(&first, "id"), member(&second, "id"));
    assert_eq!(ids(&api.token, "").await, [second.clone(), first.clone()]);
    assert_eq!(ids(&api.token, "?limit=1").await, [second]);
    assert_eq!(ids(&api.token, "?open=true").await, [first.as_str()]);
    assert_eq!(ids(&api.token, &format!("?key={key}")).await, [first.as_str()]);
    assert!(ids(&api.foreign_token().await, "").await.is_empty());
    let nobody = api.token_with(&[]).await;
    assert!(ids(&nobody, "").await.is_empty());
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=x", "limit"),
        ("?open=yes", "open"),
        ("?key=x", "key"),
        ("?state=open", "state"),
    ] {
        let refused =
            problem(&api.get(&format!("/v1/approvals{query}")).await, 422, "invalid-field");
        assert_eq!(refused["field"], field);
    }
    let path = format!("/v1/approvals/{first}");
    let foreign = api.foreign_token().await;
    for method in [Method::GET, Method::DELETE] {
        let answer = api.send_as(&foreign, method.clone(), &path, "").await;
        problem(&answer, 404, "item-not-found");
        problem(&api.send_as(&nobody, method, &path, "").await, 403, "permission-denied");
    }
    problem(&api.get("/v1/approvals/x").await, 422, "invalid-field");
    let long = json!({"reason": "x".repeat(1_025)}).to_string();
    let refused = api.post(&format!("/v1/keys/{key}/approvals"), &long).await;
    assert_eq!(problem(&refused, 422, "invalid-field")["field"], "reason");
    let refused = api.post(&format!("/v1/keys/{key}/approvals"), "{}").await;
    assert_eq!(problem(&refused, 400, "malformed-json")["field"], "reason");
}
