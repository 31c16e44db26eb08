//! Several doors of one organization: what is changed through one, the others know.

use std::sync::Arc;

use http::Method;
use lethe_crypto::SystemEntropy;
use lethe_http::testing::DoorUnderTest;
use serde_json::json;

use super::support::{Account, Org, Signer, expect, org, refused, text};
use crate::{DfnsDoor, Settings, Site};

/// Another door of the same organization.
async fn second(org: &Org) -> Org {
    let site = Site {
        engine: org.world.engine.clone(),
        clock: org.world.clock.clone(),
        entropy: Arc::new(SystemEntropy),
        realm: org.realm,
        settings: Settings { issuer: "second".to_owned(), ..Settings::default() },
    };
    let dfns = Arc::new(DfnsDoor::open(site).await.unwrap());
    let key = Signer::ed25519();
    let made = dfns.first_account("second", &key.pem()).await.unwrap();
    let admin =
        Account { user: made.user_id, token: made.auth_token, cred_id: made.credential_id, key };
    let door = DoorUnderTest::new(dfns.clone());
    Org { door, dfns, world: org.world.clone(), realm: org.realm, id: org.id.clone(), admin }
}

#[tokio::test]
async fn permissions_are_the_same_at_every_door() {
    let one = org().await;
    let two = second(&one).await;
    let key = Signer::ed25519();
    let body = json!({"name": "reader", "operations": ["Keys:Read"]});
    let permission = text(&expect(&one.post("/permissions", &body).await, 200)["id"]);
    let body = json!({"name": "robot", "publicKey": key.pem(), "permissionId": permission});
    let made = expect(&two.post("/auth/service-accounts", &body).await, 200);
    let token = &made["accessTokens"][0];
    let robot = Account {
        user: text(&made["userInfo"]["userId"]),
        token: text(&token["accessToken"]),
        cred_id: text(&token["credId"]),
        key,
    };
    for door in [&one, &two] {
        expect(&door.get_as(&robot, "/keys").await, 200);
        refused(&door.get_as(&robot, "/signers").await, 403);
    }
    let body = json!({"operations": ["Signers:ListSigners"]});
    expect(&two.put(&format!("/permissions/{permission}"), &body).await, 200);
    for door in [&one, &two] {
        refused(&door.get_as(&robot, "/keys").await, 403);
        expect(&door.get_as(&robot, "/signers").await, 200);
    }
    expect(
        &one.put(&format!("/permissions/{permission}/archive"), &json!({"isArchived": true})).await,
        200,
    );
    for door in [&one, &two] {
        refused(&door.get_as(&robot, "/signers").await, 403);
    }
    let names = async |org: &Org| {
        let listed = expect(&org.get("/permissions").await, 200);
        let all = listed["items"].as_array().unwrap().clone();
        all.iter().map(|one| text(&one["name"])).collect::<Vec<_>>()
    };
    assert_eq!(names(&one).await, names(&two).await);
}

#[tokio::test]
async fn an_action_that_was_signed_at_one_door_is_used_once_at_any() {
    let one = org().await;
    let two = second(&one).await;
    let path = format!("/keys/{}", one.ed25519().await);
    let action = one.action(&one.admin, &Method::DELETE, &path, "").await;
    let headers = [("x-dfns-useraction", action.as_str())];
    let token = &one.admin.token;
    expect(&two.send(token, Method::DELETE, &path, &headers, "").await, 200);
    let again = one.send(token, Method::DELETE, &path, &headers, "").await;
    assert_eq!(refused(&again, 400), "user action has already been used");
    // Another organization's door knows nothing of it.
    let other = one.world.org("other", Settings::default()).await;
    refused(&other.get_as(&one.admin, "/keys").await, 401);
}
