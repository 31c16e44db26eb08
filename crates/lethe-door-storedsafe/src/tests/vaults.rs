//! Vaults and their members.

use serde_json::{Value, json};

use super::support::{Api, failure, success, text};

#[tokio::test]
async fn vaults_are_made_seen_and_changed() {
    let api = Api::new().await;
    let made = success(&api.post(&api.admin, "/vault", json!({ "groupname": "Same" })).await, 200);
    assert_eq!(made["CALLINFO"]["message"], "Vault created");
    let vault = &made["VAULT"][0];
    let id = text(vault, "id");
    assert!(id.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(
        vault,
        &json!({
            "id": id, "groupname": "Same", "policy": "16", "description": "Same", "status": "4",
            "statustext": "Admin",
        })
    );
    // The same name by somebody who cannot see the first.
    let sent = json!({ "vaultname": "Same", "policy": 7, "description": "" });
    let other = success(&api.post(&api.nobody, "/vault", sent).await, 200);
    assert_eq!(other["VAULT"][0]["groupname"], "Same");
    assert_eq!(other["VAULT"][0]["policy"], "7");
    assert_eq!(other["VAULT"][0]["description"], "");
    let path = format!("/vault/{id}");
    let changed = success(&api.put(&api.admin, &path, json!({ "policy": "8" })).await, 200);
    assert_eq!(changed["CALLINFO"]["message"], "Vault updated");
    assert_eq!(changed["VAULT"][0]["policy"], "8");
    assert_eq!(changed["VAULT"][0]["groupname"], "Same");
    let sent = json!({ "vaultname": "New", "description": "words" });
    success(&api.put(&api.admin, &path, sent).await, 200);
    let read = success(&api.get(&api.admin, &path).await, 200);
    assert_eq!(read["VAULT"][0]["groupname"], "New");
    assert_eq!(read["VAULT"][0]["description"], "words");
    assert_eq!((&read["OBJECTS"], &read["TEMPLATES"]), (&json!([]), &json!([])));
    failure(&api.get(&api.nobody, &path).await, 403, "PERMISSION DENIED");
    let gone = success(&api.delete(&api.admin, &path).await, 200);
    assert_eq!(gone["CALLINFO"]["message"], "Vault deleted");
    failure(&api.get(&api.admin, &path).await, 403, "PERMISSION DENIED");
}

#[tokio::test]
async fn everybody_sees_their_own_with_their_level() {
    let api = Api::new().await;
    for (token, level) in [
        (&api.admin, Some("Admin")),
        (&api.writer, Some("Write")),
        (&api.reader, Some("Read")),
        (&api.nobody, None),
    ] {
        let listed = success(&api.get(token, "/vault").await, 200);
        assert_eq!(listed["CALLINFO"]["handler"], "GroupHandler");
        let seen: Vec<&Value> = listed["VAULTS"].as_array().unwrap().iter().collect();
        let levels: Vec<&str> =
            seen.iter().map(|vault| vault["statustext"].as_str().unwrap()).collect();
        assert_eq!(levels, level.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn wrong_wishes_for_vaults_are_refused() {
    let api = Api::new().await;
    for (sent, name) in [
        (json!({}), "vaultname"),
        (json!({ "vaultname": "" }), "vaultname"),
        (json!({ "vaultname": 5 }), "vaultname"),
        (json!({ "groupname": " " }), "groupname"),
        (json!({ "vaultname": "a\nb" }), "vaultname"),
        (json!({ "vaultname": "x".repeat(201) }), "vaultname"),
        (json!({ "vaultname": "x", "policy": "none" }), "policy"),
        (json!({ "vaultname": "x", "policy": -1 }), "policy"),
        (json!({ "vaultname": "x", "description": 1 }), "description"),
    ] {
        let answer = api.post(&api.admin, "/vault", sent).await;
        failure(&answer, 400, &format!("INVALID PARAMETER: {name}"));
    }
    let named = json!({ "vaultname": "x" });
    failure(&api.post(&api.writer, "/vault", named.clone()).await, 403, "PERMISSION DENIED");
    let path = format!("/vault/{}", api.vault);
    for token in [&api.writer, &api.reader, &api.nobody] {
        failure(&api.put(token, &path, named.clone()).await, 403, "PERMISSION DENIED");
        failure(&api.delete(token, &path).await, 403, "PERMISSION DENIED");
    }
    assert_eq!(
        success(&api.get(&api.admin, "/vault").await, 200)["VAULTS"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn members_come_and_go() {
    let api = Api::new().await;
    let vault = format!("/vault/{}", api.vault);
    let members = async || {
        let listed = success(&api.get(&api.admin, &format!("{vault}/members")).await, 200);
        assert_eq!(listed["CALLINFO"]["handler"], "VaultmembersHandler");
        let members = listed["CALLINFO"]["vaultmembers"].as_array().unwrap().clone();
        let pair = |member: &Value| (text(member, "username"), text(member, "groupstatus"));
        let mut pairs: Vec<_> = members.iter().map(pair).collect();
        pairs.sort();
        pairs.iter().map(|(name, level)| format!("{name} {level}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(members().await, "alice 4, rosie 1, walter 2");
    let member = |user: &str| format!("{vault}/member/{user}");
    // The highest of the three bits counts.
    let added = success(&api.post(&api.admin, &member("104"), json!({ "status": 3 })).await, 200);
    assert_eq!(added["CALLINFO"]["message"], "User added");
    assert_eq!(members().await, "alice 4, nobody 2, rosie 1, walter 2");
    success(&api.post(&api.nobody, &api.path("key"), json!({})).await, 201);
    let edited = success(&api.put(&api.admin, &member("104"), json!({ "status": "1" })).await, 200);
    assert_eq!(edited["CALLINFO"]["message"], "User updated");
    failure(&api.delete(&api.nobody, &api.path("key")).await, 403, "PERMISSION DENIED");
    let gone = success(&api.delete(&api.admin, &member("104")).await, 200);
    assert_eq!(gone["CALLINFO"]["message"], "User removed from vault");
    failure(&api.get(&api.nobody, &api.path("key")).await, 403, "PERMISSION DENIED");
    for status in [json!(0), json!(8), json!("x"), json!([1]), json!(null), json!(-1), json!(12)] {
        let answer = api.post(&api.admin, &member("104"), json!({ "status": status })).await;
        failure(&answer, 400, "INVALID PARAMETER: status");
    }
    for user in ["999", "alice", "0"] {
        let answer = api.post(&api.admin, &member(user), json!({ "status": 1 })).await;
        failure(&answer, 400, "INVALID PARAMETER: userid");
    }
    let answer = api.put(&api.admin, &member("104"), json!({ "status": 1 })).await;
    failure(&answer, 400, "INVALID PARAMETER: userid");
    failure(&api.delete(&api.admin, &member("104")).await, 400, "INVALID PARAMETER: userid");
    for token in [&api.writer, &api.reader, &api.nobody] {
        let sent = json!({ "status": 1 });
        failure(&api.post(token, &member("104"), sent.clone()).await, 403, "PERMISSION DENIED");
        failure(&api.put(token, &member("103"), sent).await, 403, "PERMISSION DENIED");
        failure(&api.delete(token, &member("103")).await, 403, "PERMISSION DENIED");
        let list = api.get(token, &format!("{vault}/members")).await;
        failure(&list, 403, "PERMISSION DENIED");
    }
    assert_eq!(members().await, "alice 4, rosie 1, walter 2");
}

#[tokio::test]
async fn the_last_admin_stays() {
    let api = Api::new().await;
    let member = |user: &str| format!("/vault/{}/member/{user}", api.vault);
    let answer = api.put(&api.admin, &member("101"), json!({ "status": 2 })).await;
    failure(&answer, 400, "INVALID PARAMETER: status");
    failure(&api.delete(&api.admin, &member("101")).await, 400, "INVALID PARAMETER: userid");
    success(&api.put(&api.admin, &member("102"), json!({ "status": 7 })).await, 200);
    success(&api.delete(&api.admin, &member("101")).await, 200);
    failure(&api.delete(&api.writer, &member("102")).await, 400, "INVALID PARAMETER: userid");
}
