//! Events over the door: pages, streams, and what is refused.

use std::sync::Arc;

use http::Method;
use lethe_http::testing::DoorUnderTest;
use lethe_types::Permission;

use super::support::{Api, header, json, member, problem};
use crate::NativeDoor;

const STREAM: (&str, &str) = ("accept", "text/event-stream");

#[tokio::test]
async fn a_page_tells_what_was_changed_and_where_to_go_on() {
    let api = Api::new().await;
    let key = api.key("aes256-gcm").await;
    let receipt = json(&api.delete(&format!("/v1/keys/{key}")).await);
    let page = json(&api.get("/v1/events").await);
    let events = page["events"].as_array().unwrap();
    let types: Vec<String> = events.iter().map(|event| member(event, "type")).collect();
    let expected =
        ["realm.created", "vault.created", "principal.created", "key.created", "key.destroyed"];
    assert_eq!(types, expected);
    let last = &events[4];
    assert_eq!(last["id"], receipt["statement"]["log_index"]);
    assert_eq!((&last["key"], &last["door"]), (&key.as_str().into(), &"native".into()));
    assert!(last["subject"].is_null() && last["due"].is_null() && last["by"].is_string());
    assert_eq!(member(&events[2], "subject").len(), 32);
    assert_eq!(
        (&page["next"], &page["gap"], &page["more"]),
        (&last["id"], &false.into(), &false.into())
    );
    assert!(!page.to_string().contains("customer"), "no names");
    let path = format!("/v1/events?after={}&limit=1", events[2]["id"]);
    let page = json(&api.get(&path).await);
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!((&page["next"], &page["more"]), (&events[3]["id"], &true.into()));
    let later = format!("/v1/events?after={}", last["id"]);
    let page = json(&api.get(&later).await);
    assert_eq!((page["events"].as_array().unwrap().len(), &page["next"]), (0, &last["id"]));
    assert_eq!(json(&api.get("/v1/events?after=4000").await)["gap"], true);
    let token = api.token_with(&[Permission::VaultsRead]).await;
    let bearer = format!("Bearer {token}");
    let answer = api.send(Method::GET, "/v1/events", &[("authorization", &bearer)], "").await;
    let page = json(&answer);
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    assert_eq!(page["events"][0]["type"], "realm.created");
    assert_eq!(page["events"][1]["type"], "vault.created");
}

#[tokio::test]
async fn a_stream_begins_where_it_is_told_and_ends_with_the_server() {
    let mut api = Api::new().await;
    let key = api.key("aes256-gcm").await;
    let id = json(&api.get("/v1/events").await)["next"].to_string();
    let before = (id.parse::<u64>().unwrap() - 1).to_string();
    let mut check = async |path: &str, headers: &[(&str, &str)], wanted: &[&str], not: &[&str]| {
        let headers: Vec<_> = [STREAM].iter().chain(headers).copied().collect();
        // A door that drained takes no more requests.
        let door = NativeDoor::new(api.engine.clone(), api.service.clone());
        api.door = DoorUnderTest::new(Arc::new(door));
        let drain = async { api.door.drain() };
        let (answer, ()) = tokio::join!(api.send(Method::GET, path, &headers, ""), drain);
        assert_eq!(answer.head.status, 200, "{path}");
        assert_eq!(header(&answer, "content-type"), Some("text/event-stream"));
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        wanted.iter().for_each(|part| assert!(text.contains(part), "{part} in {text}"));
        not.iter().for_each(|part| assert!(!text.contains(part), "{part} in {text}"));
        assert!(text.ends_with(": the server is stopping\n\n"), "{text}");
    };
    let created = format!("id: {id}\nevent: key.created\ndata: {{\"id\":{id},");
    let start = format!("retry: 1000\nid: {id}\n\n");
    check("/v1/events", &[], &[&start], &["event:"]).await;
    let after = format!("/v1/events?after={before}");
    check(&after, &[], &[&created, &key], &["event: gap"]).await;
    check(&after, &[("last-event-id", &id)], &[&start], &["event:"]).await;
    check("/v1/events?after=4000", &[], &["event: gap\n", &created], &[]).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let api = Api::new().await;
    for (path, field) in [
        ("/v1/events?after=", "after"),
        ("/v1/events?after=-1", "after"),
        ("/v1/events?after=01", "after"),
        ("/v1/events?after=18446744073709551616", "after"),
        ("/v1/events?after=1&after=2", "after"),
        ("/v1/events?limit=0", "limit"),
        ("/v1/events?limit=1001", "limit"),
        ("/v1/events?limit=x", "limit"),
        ("/v1/events?from=1", "from"),
    ] {
        assert_eq!(problem(&api.get(path).await, 422, "invalid-field")["field"], field, "{path}");
    }
    let get =
        async |path: &str, headers: &[(&str, &str)]| api.send(Method::GET, path, headers, "").await;
    let answer = get("/v1/events", &[("last-event-id", "x"), STREAM]).await;
    assert_eq!(problem(&answer, 422, "invalid-field")["field"], "Last-Event-ID");
    problem(&get("/v1/events?limit=5", &[STREAM]).await, 422, "invalid-field");
    // A stream that the client weighs with zero is not accepted: a page.
    let answer = get("/v1/events", &[("accept", "text/event-stream;q=0, */*")]).await;
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    let token = format!("Bearer {}", api.token_with(&[Permission::KeysCreate]).await);
    for headers in
        [vec![("authorization", token.as_str())], vec![("authorization", &token), STREAM]]
    {
        let refused = problem(&get("/v1/events", &headers).await, 403, "permission-denied");
        assert_eq!(refused["permission"], "keys.read");
        let nobody = [("authorization", "Bearer lethe_x")];
        problem(&get("/v1/events", &nobody).await, 401, "authentication-not-successful");
    }
}
