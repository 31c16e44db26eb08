//! No route without an authentication test, no decision without an audit event, no change without
//! a leaf. The routes are those that the server itself lists.

use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Client, JSON};
use crate::keys::{create, encrypt, problem};
use crate::process::{Folder, Server};

/// Routes that answer everybody; this list may only shrink.
const PUBLIC: &[&str] = &[
    "/health/live",
    "/health/ready",
    "/metrics",
    "/problems/{code}",
    "/v1/docs",
    "/v1/log/checkpoint",
    "/v1/log/tile/{path}",
    "/v1/log/vkey",
    "/v1/openapi.json",
];

fn routes(client: &Client) -> Vec<(Method, String)> {
    let openapi = client.get("/v1/openapi.json").expect(200).json();
    let mut routes = Vec::new();
    for (path, item) in openapi["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("methods").keys() {
            let method = method.to_ascii_uppercase();
            if let Ok(method) = Method::from_bytes(method.as_bytes()) {
                routes.push((method, path.clone()));
            }
        }
    }
    assert!(routes.len() >= 25, "{routes:?}");
    routes
}

fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path) || path.starts_with("/v1/docs") || path.starts_with("/v1/log/tile/")
}

/// A body that the route would accept, so that only the missing right can be the reason to refuse;
/// `None` for routes that take none.
fn body_for(method: &Method, path: &str) -> Option<Value> {
    let body = match (method.as_str(), path.rsplit('/').next().unwrap_or_default()) {
        ("POST", "keys") => json!({"name": "x", "algorithm": "aes256-gcm"}),
        ("POST", "vaults") => json!({"name": "x"}),
        ("POST", "principals") => json!({"name": "x", "grants": []}),
        ("POST", "approvals") => json!({"reason": "x"}),
        ("POST", "approve") => json!({"credential": "0".repeat(32), "signature": ""}),
        ("POST", "credentials") => json!({"type": "bearer"}),
        ("POST", "destructions") => json!({"labels": {"a": "1"}, "reason": "x"}),
        ("POST", "holds") => json!({"kind": "legal", "reason": "x"}),
        ("POST", "encrypt") => json!({"plaintext": ""}),
        ("POST", "decrypt") => json!({"ciphertext": ""}),
        ("POST", "agree") => json!({"public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}),
        ("POST", "re-encrypt" | "decapsulate") => json!({"ciphertext": ""}),
        ("POST", "data-key" | "encapsulate") => json!({}),
        ("POST", "hashed") => json!({"domain": "YQ==", "message": ""}),
        ("POST", "wrap") => json!({"plaintext": ""}),
        ("POST", "unwrap") => json!({"wrapped": ""}),
        ("POST", "random") => json!({"bytes": 1}),
        ("POST", "hash") => json!({"algorithm": "sha256", "message": ""}),
        ("POST", "verify") if path == "/v1/verify" => json!({
            "algorithm": "ed25519", "public_key": "", "message": "", "signature": ""
        }),
        ("POST", "verify") if path.contains("/mac/") => json!({"message": "", "mac": ""}),
        ("POST", "verify") => json!({"message": "", "signature": ""}),
        ("POST", "sign" | "mac") => json!({"message": ""}),
        ("PUT", "policy") => json!({}),
        ("POST", "export") => json!({"format": "raw"}),
        ("POST", "import-keys") => json!({"algorithm": "x25519"}),
        ("PATCH", "realm") => json!({"plain_export": true}),
        ("PATCH", _) => json!({"name": "y"}),
        _ => return None,
    };
    Some(body)
}

/// What stands for the `{id}`s of the routes.
struct Things {
    key: String,
    hold: String,
    approval: String,
    destruction: String,
    vault: String,
    principal: String,
    credential: String,
    import_key: String,
}

impl Things {
    fn of(admin: &Client, principal: &Value) -> Self {
        let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
        let key = create(admin, "aes256-gcm");
        let path = format!("/v1/keys/{key}");
        let hold = json!({"kind": "operational", "reason": "x"});
        let hold = admin.post(&format!("{path}/holds"), &hold).expect(201).json();
        let approval = json!({"reason": "x"});
        let approval = admin.post(&format!("{path}/approvals"), &approval).expect(201).json();
        let many = json!({"keys": [create(admin, "aes256-gcm")], "reason": "x"});
        let destruction = id(&admin.post("/v1/destructions", &many).expect(202).json());
        let watched = format!("/v1/destructions/{destruction}");
        while admin.get(&watched).expect(200).json()["state"] == "running" {
            std::thread::park_timeout(std::time::Duration::from_millis(1));
        }
        let vault = admin.post("/v1/vaults", &json!({"name": "other"})).expect(201).json();
        let import_key = json!({"algorithm": "x25519"});
        let import_key = admin.post("/v1/import-keys", &import_key).expect(201).json();
        Self {
            key,
            hold: id(&hold),
            approval: id(&approval),
            destruction,
            vault: id(&vault),
            principal: id(principal),
            credential: id(&principal["credentials"][0]),
            import_key: id(&import_key),
        }
    }

    /// `path` with an identifier of the right kind at every place.
    fn fill(&self, path: &str) -> String {
        let id = match path.split('/').nth(2).unwrap_or_default() {
            "approvals" => &self.approval,
            "destructions" => &self.destruction,
            "import-keys" => &self.import_key,
            "principals" => &self.principal,
            "vaults" => &self.vault,
            _ => &self.key,
        };
        let path = path.replace("{id}", id).replace("{hold}", &self.hold);
        let path = path.replace("{credential}", &self.credential).replace("{version}", "1");
        assert!(!path.contains('{'), "what stands for the rest of {path}?");
        path
    }
}

fn call(client: &Client, method: &Method, path: &str, things: &Things) -> crate::client::Answer {
    let body = body_for(method, path).map(|body| body.to_string()).unwrap_or_default();
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[JSON] };
    client.send(method.clone(), &things.fill(path), headers, body.as_bytes())
}

#[test]
fn every_route_refuses_callers_without_token_without_rights_and_of_other_realms() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let admin = server.native();
    let someone = json!({"name": "nobody", "grants": []});
    let new = admin.post("/v1/principals", &someone).expect(201).json();
    let nobody = server.native().with_token(new["token"].as_str().expect("a token"));
    let things = Things::of(&admin, &new);
    let text = encrypt(&admin, &things.key);
    let checkpoint = admin.get("/v1/log/checkpoint").expect(200).text();
    for (method, path) in routes(&admin) {
        if is_public(&path) {
            continue;
        }
        let refused = call(&server.native().without_token(), &method, &path, &things);
        let seen = (refused.status, problem(&refused));
        assert_eq!(seen, (401, "authentication-not-successful".to_owned()), "{method} {path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        let wrong = server.native().with_token("lethe_nonsense");
        assert_eq!(call(&wrong, &method, &path, &things).status, 401, "{method} {path}");
        let refused = call(&nobody, &method, &path, &things);
        let list = |name: &str| assert_eq!(refused.json()[name], json!([]), "{method} {path}");
        match (method.as_str(), path.as_str()) {
            // A list shows what the caller may see: nothing. Algorithms are no secret.
            ("GET", "/v1/keys") => list("keys"),
            ("GET", "/v1/approvals") => list("approvals"),
            ("GET", "/v1/destructions") => list("destructions"),
            ("GET", "/v1/algorithms") => assert_eq!(refused.status, 200),
            // Whether there is such a bulk destruction is nobody else's to know.
            (_, path) if path.starts_with("/v1/destructions/") => {
                let seen = (refused.status, problem(&refused));
                assert_eq!(seen, (404, "item-not-found".to_owned()), "{method} {path}");
            }
            _ => {
                let seen = (refused.status, problem(&refused));
                assert_eq!(seen, (403, "permission-denied".to_owned()), "{method} {path}");
            }
        }
    }
    let changed = admin.get("/v1/log/checkpoint").expect(200).text();
    assert_eq!(changed, checkpoint, "a refused call left a leaf in the log");
    assert!(crate::keys::opens(&admin, &things.key, &text));
}

fn audit_lines(server: &Server) -> Vec<Value> {
    let file = server.data().join("audit/audit.jsonl");
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    // The first line is the header of the file.
    let events = text.lines().skip(1);
    events.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn every_decision_has_one_audit_line_and_every_change_one_leaf() {
    let folder = Folder::new();
    let mut server = Server::start_dev(&folder.join("data"), &[], &[]);
    let client = server.native();
    let size = |client: &Client| -> u64 {
        let text = client.get("/v1/log/checkpoint").expect(200).text();
        text.lines().nth(1).and_then(|line| line.parse().ok()).expect("a size")
    };
    let before = size(&client);
    let key = create(&client, "aes256-gcm");
    let path = format!("/v1/keys/{key}");
    assert_eq!(size(&client), before + 1);
    let text = encrypt(&client, &key);
    client.post(&format!("{path}/rotate"), &json!({})).expect(200);
    assert_eq!(size(&client), before + 2);
    crate::keys::decrypt(&client, &key, &text).expect(200);
    client.get(&path).expect(200);
    client.delete(&path).expect(200);
    assert_eq!(size(&client), before + 3);
    client.delete(&path).expect(410);
    encrypt_refused(&client, &path);
    server.native().with_token("nonsense").get(&path).expect(401);
    assert_eq!(size(&client), before + 3);
    assert!(server.terminate().success());
    let lines = audit_lines(&server);
    let from = lines.iter().position(|line| line["operation"] == "key.create").expect("the create");
    let seen: Vec<(&str, &str)> = lines[from..]
        .iter()
        .map(|line| (line["operation"].as_str().unwrap(), line["outcome"].as_str().unwrap()))
        .collect();
    let want = [
        ("key.create", "allowed"),
        ("key.encrypt", "allowed"),
        ("key.rotate", "allowed"),
        ("key.decrypt", "allowed"),
        ("key.read", "allowed"),
        ("key.destroy", "allowed"),
        ("key.destroy", "refused"),
        ("key.encrypt", "refused"),
        ("authenticate", "refused"),
    ];
    assert_eq!(seen, want);
    let token = server.door("native", "token").to_owned();
    let all = std::fs::read_to_string(server.data().join("audit/audit.jsonl")).unwrap();
    assert!(!all.contains(&token[6..]) && !all.contains(&text), "no secret in the trail");
}

fn encrypt_refused(client: &Client, path: &str) {
    client.post(&format!("{path}/encrypt"), &json!({"plaintext": ""})).expect(410);
}
