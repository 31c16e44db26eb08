//! Users.

use http::Method;
use serde_json::{Value, json};

use super::support::{APPLICATION, Api, everything, failure, success, text};
use super::yubikey::otp;
use crate::settings::Settings;

fn wanted(name: &str, status: Value) -> Value {
    json!({
        "username": name, "fullname": "Some Person", "email": "some@person.example",
        "passphrase": "a new phrase", "status": status,
    })
}

#[tokio::test]
async fn users_are_made_and_log_in() {
    let api = Api::without_logins(Settings::default()).await;
    let admin = api.log_in("alice").await;
    let mut sent = wanted("new.user", json!([1, 2, 7]));
    sent["totp"] = json!(true);
    let answer = api.post(&admin, "/user", sent).await;
    let made = success(&answer, 201);
    assert_eq!(made["CALLINFO"]["calculated_status"], 134);
    assert_eq!(made["CALLINFO"]["user_created"], "new.user");
    let user = &made["CALLINFO"]["user"][0];
    assert_eq!(
        user,
        &json!({
            "id": text(user, "id"), "status": "134", "username": "new.user", "otpprefix": "",
            "fullname": "Some Person", "email": "some@person.example", "fingerprint": "",
        })
    );
    assert_eq!(text(&made["CALLINFO"], "totp_secret").len(), 32);
    assert!(!made.to_string().contains("a new phrase"));
    let id = text(user, "id");
    let read = success(&api.get(&admin, &format!("/user/{id}")).await, 200);
    assert_eq!(read["CALLINFO"]["users"], json!([user]));
    // Without a second means nobody comes in.
    success(&api.post(&admin, "/user", wanted("plain.user", json!([7]))).await, 201);
    let claim = json!({
        "username": "plain.user", "passphrase": "a new phrase", "otp": "123456",
        "apikey": APPLICATION, "logintype": "totp",
    });
    let answer = api.send(Method::POST, "/auth", &[], claim.to_string()).await;
    failure(&answer, 403, "Login failed");
}

#[tokio::test]
async fn users_are_found() {
    let api = Api::new().await;
    let names = async |token: &str, path: &str| {
        let listed = success(&api.get(token, path).await, 200);
        let users = listed["CALLINFO"]["users"].as_array().unwrap().clone();
        users.iter().map(|user| text(user, "id")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&api.admin, "/user").await, "101 102 103 104");
    for (path, found) in [
        ("/user?searchstring=AL", "101 102"),
        ("/user/os", "103"),
        ("/user/103", "103"),
        ("/user/10", ""),
        ("/user/zz", ""),
        ("/user?searchstring=", "101 102 103 104"),
        ("/user/n%6Fbody", "104"),
    ] {
        assert_eq!(names(&api.admin, path).await, found, "{path}");
    }
    let shown = success(&api.get(&api.nobody, "/user/101").await, 200);
    let short = json!([{ "id": "101", "fullname": "alice", "email": "" }]);
    assert_eq!(shown["CALLINFO"]["users"], short);
    for token in [&api.writer, &api.reader] {
        failure(&api.get(token, "/user").await, 403, "PERMISSION DENIED");
    }
    let long = format!("/user/{}", "x".repeat(16));
    failure(&api.get(&api.admin, &long).await, 400, "INVALID PARAMETER: searchstring");
}

#[tokio::test]
async fn users_are_changed_and_put_out_of_action() {
    let api = Api::new().await;
    let before = success(&api.get(&api.admin, "/user/102").await, 200);
    assert_eq!(before["CALLINFO"]["users"][0]["status"], "128");
    let sent = json!({
        "status": [0, 1, 7], "fullname": "Walter White", "otpprefix": "cccccccccccc,cccccccccccb",
    });
    let changed = success(&api.put(&api.admin, "/user/102", sent).await, 200);
    assert_eq!(changed["CALLINFO"]["calculated_status"], 131);
    let after = success(&api.get(&api.admin, "/user/102").await, 200);
    let user = &after["CALLINFO"]["users"][0];
    assert_eq!((&user["status"], &user["fullname"]), (&json!("131"), &json!("Walter White")));
    assert_eq!(user["otpprefix"], "cccccccccccc,cccccccccccb");
    // Levels in vaults stay as they are.
    success(&api.post(&api.writer, &api.path("key"), json!({})).await, 201);
    let inactive = success(&api.put(&api.admin, "/user/102", json!({ "status": [1] })).await, 200);
    assert_eq!(inactive["CALLINFO"]["calculated_status"], 2);
    failure(&api.get(&api.writer, "/vault").await, 403, "Token invalid");
    success(&api.put(&api.admin, "/user/102", json!({ "status": [1, 7] })).await, 200);
    failure(&api.get(&api.writer, "/vault").await, 403, "Token invalid");
    success(&api.delete(&api.admin, "/user/103").await, 200);
    failure(&api.get(&api.reader, "/vault").await, 403, "Token invalid");
    let listed = success(&api.get(&api.admin, "/user/103").await, 200);
    assert_eq!(listed["CALLINFO"]["users"][0]["status"], "0");
}

#[tokio::test]
async fn wrong_wishes_for_users_are_refused() {
    let api = Api::new().await;
    let with = |member: &str, value: Value| {
        let mut sent = wanted("new.user", json!([7]));
        sent[member] = value;
        sent
    };
    for (member, value) in [
        ("username", json!("four")),
        ("username", json!("x".repeat(33))),
        ("username", json!("a b c")),
        ("username", json!(12_345)),
        ("username", json!("alice")),
        ("username", json!(null)),
        ("fullname", json!("four")),
        ("fullname", json!("x".repeat(65))),
        ("fullname", json!(null)),
        ("email", json!("a@b")),
        ("email", json!("x".repeat(129))),
        ("email", json!(null)),
        ("status", json!("132")),
        ("status", json!(132)),
        ("status", json!([12])),
        ("status", json!([-1])),
        ("status", json!(["x"])),
        ("status", json!({})),
        ("passphrase", json!(null)),
        ("passphrase", json!(5)),
        ("passphrase", json!("")),
        ("totp", json!("maybe")),
        ("yubikey", json!("c".repeat(43))),
        ("yubikey", json!("x".repeat(44))),
        ("otpprefix", json!("c")),
        ("otpprefix", json!("cccccccccccc,".repeat(4))),
    ] {
        let answer = api.post(&api.admin, "/user", with(member, value.clone())).await;
        failure(&answer, 400, &format!("INVALID PARAMETER: {member}"));
    }
    let found = success(&api.get(&api.admin, "/user?searchstring=new.user").await, 200);
    assert_eq!(found["CALLINFO"]["users"], json!([]), "nothing of it was made");
    let sent = with("yubikey", json!(otp(1)));
    let made = success(&api.post(&api.admin, "/user", sent).await, 201);
    assert_eq!(made["CALLINFO"]["user"][0]["otpprefix"], "cccccccccccc");
    let taken = api.put(&api.admin, "/user/102", json!({ "username": "new.user" })).await;
    failure(&taken, 400, "INVALID PARAMETER: username");
    failure(&api.put(&api.admin, "/user/999", json!({})).await, 400, "INVALID PARAMETER: userid");
    failure(&api.delete(&api.admin, "/user/alice").await, 400, "INVALID PARAMETER: userid");
    // Nobody gives what they lack.
    for bits in [json!([3, 7]), json!([7, 8])] {
        let answer = api.post(&api.admin, "/user", wanted("auditor", bits)).await;
        failure(&answer, 403, "PERMISSION DENIED");
    }
    for token in [&api.writer, &api.reader, &api.nobody] {
        let answer = api.post(token, "/user", wanted("somebody", json!([7]))).await;
        failure(&answer, 403, "PERMISSION DENIED");
        failure(&api.put(token, "/user/102", json!({})).await, 403, "PERMISSION DENIED");
        failure(&api.delete(token, "/user/102").await, 403, "PERMISSION DENIED");
    }
}

/// A user who was made by another door has a number too, and its rights are levels here.
#[tokio::test]
async fn users_of_other_doors_are_users_here() {
    let api = Api::new().await;
    let id = api.user("foreign", "x", 0).await;
    let change = lethe_engine::PrincipalChange {
        grants: Some(everything()),
        attributes: [("storedsafe.id".into(), None)].into_iter().collect(),
        ..lethe_engine::PrincipalChange::default()
    };
    api.engine.update_principal(&api.own_caller(), id, &change).await.expect("a change");
    let token = api.log_in("foreign").await;
    let number = u128::from_be_bytes(id.0).to_string();
    let found = success(&api.get(&token, &format!("/user/{number}")).await, 200);
    assert_eq!(found["CALLINFO"]["users"][0]["username"], "foreign");
    assert_eq!(found["CALLINFO"]["users"][0]["status"], "398");
    let listed = success(&api.get(&token, "/vault").await, 200);
    let levels = listed["VAULTS"].as_array().unwrap().iter().map(|one| text(one, "statustext"));
    assert!(levels.into_iter().all(|level| level == "Admin"));
    success(&api.post(&token, &api.path("key"), json!({})).await, 201);
    success(&api.delete(&token, &api.path("key")).await, 200);
}
