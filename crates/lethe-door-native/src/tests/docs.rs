//! The OpenAPI document says what the door does, no more and no less.

use std::collections::BTreeSet;

use serde_json::Value;

use super::support::{Api, header, json};
use crate::openapi::{document, path_parameters, path_template};
use crate::routes;

fn as_json() -> Value {
    serde_json::to_value(document()).unwrap()
}

#[test]
fn every_route_is_in_the_document_and_every_operation_has_a_route() {
    let document = as_json();
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| (path.clone(), method.clone()))
        })
        .collect();
    let served: BTreeSet<(String, String)> = routes()
        .map(|route| (path_template(route.path), route.method.as_str().to_lowercase()))
        .collect();
    assert_eq!(documented, served);
    assert_eq!(served.len(), routes().count());
    let names: BTreeSet<&str> = routes().map(|route| route.op).collect();
    assert_eq!(names.len(), routes().count());
}

#[test]
fn every_operation_says_what_the_table_says() {
    let document = as_json();
    for route in routes() {
        let method = route.method.as_str().to_lowercase();
        let operation = &document["paths"][path_template(route.path)][&method];
        assert_eq!(operation["operationId"], route.op);
        assert_eq!(operation["summary"], route.summary);
        assert_eq!(operation["description"], route.description);
        assert!(!route.summary.is_empty() && route.description.ends_with('.'), "{route:?}");
        let parameters = operation["parameters"].as_array().map_or(0, Vec::len);
        let expected =
            path_parameters(route.path).count() + route.queries().count() + route.headers().count();
        assert_eq!(parameters, expected, "{route:?}");
        let needs_token = route.authentication == lethe_http::Authentication::Required;
        assert_eq!(operation["security"].is_array(), needs_token, "{route:?}");
        let takes_body = operation["requestBody"].is_object();
        assert_eq!(takes_body, route.takes != crate::route::Takes::Nothing, "{route:?}");
    }
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_referred_to() {
    let document = as_json();
    let schemas: BTreeSet<String> =
        document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
    let mut referred = BTreeSet::new();
    collect_references(&document, &mut referred);
    assert_eq!(referred, schemas);
}

fn collect_references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str().and_then(|text| text.strip_prefix("#/components/schemas/")) {
                    Some(schema) if name == "$ref" => drop(found.insert(schema.to_owned())),
                    Some(_) | None => collect_references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn requests_say_which_members_they_need_and_that_they_take_no_other() {
    let document = as_json();
    let schemas = &document["components"]["schemas"];
    let check = |name: &str, required: &[&str]| {
        let schema = &schemas[name];
        assert_eq!(schema["additionalProperties"], false, "{name}");
        let names: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(names, required, "{name}");
    };
    check("CreateKey", &["name", "algorithm"]);
    check("Derive", &["parent"]);
    check("Encrypt", &["plaintext"]);
    check("Decrypt", &["ciphertext"]);
    check("RawEncrypt", &["plaintext"]);
    check("RawDecrypt", &["ciphertext"]);
    check("ReEncrypt", &["ciphertext"]);
    check("ReEncryptTo", &[]);
    check("DataKey", &[]);
    // One of `message` and `digest`.
    check("Sign", &[]);
    check("Verify", &["signature"]);
    check("ForeignVerify", &["algorithm", "public_key", "signature"]);
    check("Mac", &["message"]);
    check("MacVerify", &["message", "mac"]);
    check("Agree", &["public_key"]);
    check("Hkdf", &["hash", "bytes"]);
    check("AgreeHashed", &["domain", "message"]);
    check("Encapsulate", &[]);
    check("Decapsulate", &["ciphertext"]);
    check("Wrap", &["plaintext"]);
    check("Unwrap", &["wrapped"]);
    check("Random", &["bytes"]);
    check("Hash", &["algorithm", "message"]);
    check("Nothing", &[]);
    check("ChangeKey", &[]);
    check("Import", &["format"]);
    check("Export", &["format"]);
    check("CreateImportKey", &["algorithm"]);
    check("ChangeRealm", &[]);
    check("PlaceHold", &["kind", "reason"]);
    check("RequestApproval", &["reason"]);
    check("Approve", &["credential", "signature"]);
    check("StartDestruction", &["reason"]);
    check("CreateVault", &["name"]);
    check("ChangeVault", &[]);
    check("Policy", &[]);
    check("Window", &["minimum"]);
    check("Approvals", &["required", "lifetime"]);
    check("ChangePrincipal", &[]);
    check("CredentialRequest", &["type"]);
    check("CreatePrincipal", &["name", "grants"]);
    check("GrantRequest", &["permissions"]);
}

#[tokio::test]
async fn answers_have_the_members_that_the_document_gives_them() {
    let api = Api::new().await;
    let document = json(&api.get("/v1/openapi.json").await);
    assert_eq!(document["openapi"], "3.1.0");
    let check = |name: &str, answer: &Value| {
        let schema = &document["components"]["schemas"][name];
        let known = schema["properties"].as_object().unwrap();
        for member in answer.as_object().unwrap().keys() {
            assert!(known.contains_key(member), "{name}.{member}");
        }
        for member in schema["required"].as_array().into_iter().flatten() {
            assert!(answer.get(member.as_str().unwrap()).is_some(), "{name}.{member}");
        }
    };
    let id = api.key("aes256-gcm").await;
    let path = format!("/v1/keys/{id}");
    check("Key", &json(&api.get(&path).await));
    check("Keys", &json(&api.get("/v1/keys").await));
    check("Encrypted", &json(&api.post(&format!("{path}/encrypt"), r#"{"plaintext":""}"#).await));
    let hold = r#"{"kind":"legal","reason":""}"#;
    check("Hold", &json(&api.post(&format!("{path}/holds"), hold).await));
    let preview = json(&api.get(&format!("{path}/destruction-preview")).await);
    check("DestructionPreview", &preview);
    check("GuardRefusal", &preview["refusals"][0]);
    let hold = super::support::member(&preview["holds"][0], "id");
    check("Key", &json(&api.delete(&format!("{path}/holds/{hold}")).await));
    let asked = api.post(&format!("{path}/approvals"), r#"{"reason":""}"#).await;
    check("ApprovalRequest", &json(&asked));
    check("ApprovalRequests", &json(&api.get("/v1/approvals").await));
    let pending = json(&api.delete(&format!("{path}?window=1h")).await);
    check("Key", &pending);
    check("StateChange", &pending["history"][0]);
    let list = format!(r#"{{"keys":["{}"],"reason":""}}"#, "0".repeat(32));
    let job = json(&api.post("/v1/destructions", &list).await);
    check("Job", &job);
    check("Jobs", &json(&api.get("/v1/destructions").await));
    let refused = format!("/v1/destructions/{}/refused", super::support::member(&job, "id"));
    check("RefusedKeys", &json(&api.get(&refused).await));
    let realm = json(&api.get("/v1/realm").await);
    check("Realm", &realm);
    check("Policy", &realm["policy"]);
    check("Receipt", &json(&api.delete(&path).await));
    let tombstone = json(&api.get(&path).await);
    check("Key", &tombstone);
    check("Destruction", &tombstone["destruction"]);
    check("Problem", &json(&api.delete(&path).await));
    check("Algorithm", &json(&api.get("/v1/algorithms").await)["algorithms"][0]);
    check("Vault", &json(&api.get("/v1/vaults").await)["vaults"][0]);
    let principal = &json(&api.get("/v1/principals").await)["principals"][0];
    check("Principal", principal);
    check("Credential", &principal["credentials"][0]);
    check("Health", &json(&api.get("/health/ready").await));
}

#[tokio::test]
async fn the_page_and_its_files_are_served() {
    let api = Api::new().await;
    let page = api.get("/v1/docs").await;
    assert_eq!(header(&page, "content-type"), Some("text/html; charset=utf-8"));
    assert!(header(&page, "content-security-policy").is_some());
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(text.contains("<base href=\"/v1/docs/\">"), "{text}");
    let mut files = 0;
    for part in text.split("=\"").skip(1) {
        let name = part.split('"').next().unwrap().trim_start_matches("./");
        if name.ends_with(".js") || name.ends_with(".css") || name.ends_with(".png") {
            let file = api.get(&format!("/v1/docs/{name}")).await;
            assert_eq!(file.head.status, 200, "{name}");
            assert!(!file.body.is_empty());
            files += 1;
        }
    }
    assert!(files >= 5, "{text}");
    let script = api.get("/v1/docs/swagger-initializer.js").await;
    assert!(String::from_utf8_lossy(&script.body).contains("/v1/openapi.json"));
    super::support::problem(&api.get("/v1/docs/nothing.js").await, 404, "not-found");
}
