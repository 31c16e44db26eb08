//! A wipe that dies at any of its commits: the device is as it was, or it is wiped.

use lethe_engine::HoldRequest;
use lethe_engine::record::HoldKind;
use lethe_store::CommitFault;
use serde_json::json;

use super::support::{Api, body, status};
use crate::kid::Kid;

/// More commits than a wipe has.
const COMMITS_MAX: u64 = 40;

struct Before {
    kids: Vec<String>,
    eid: String,
    roles: Vec<String>,
}

async fn scene() -> (Api, Before) {
    let api = Api::new().await;
    let mut kids = Vec::new();
    for key_type in ["AES128", "ED25519"] {
        kids.push(api.key(key_type).await);
    }
    let device = api.state.device();
    let roles = [&device.user, &device.master].into_iter().flatten();
    let roles = roles.map(|role| role.external.clone()).collect();
    let before = Before { kids, eid: device.eid_public.clone(), roles };
    (api, before)
}

async fn wipe(api: &Api) -> u16 {
    let token = api.token("system:config").await;
    let path = "/api/system/config";
    status(&api.post(&token, path, &json!({ "wipeout": true })).await)
}

/// Whether the device is wiped; if not, it must be all that it was.
async fn is_wiped(api: &Api, before: &Before) -> bool {
    let device = api.state.device();
    assert_eq!(api.state.fail_state(), 0);
    let own = device.stored.vault.parse().unwrap();
    assert_eq!(api.engine.live_keys_in(own), 3, "one identity");
    if device.config().is_some() {
        assert_eq!(device.eid_public, before.eid);
        assert_eq!(api.state.key_count(), 2);
        let request = json!({ "msg": "YQ==", "alg": "Ed25519" });
        let signed = api.use_key(&before.kids[1], "exdsa/sign", request).await;
        assert_eq!(status(&signed), 200);
        api.token_of(&api.master, "system:config").await;
        return false;
    }
    assert_ne!(device.eid_public, before.eid);
    assert_eq!(api.state.key_count(), 0);
    for kid in &before.kids {
        assert!(api.state.key(Kid::parse(kid).unwrap()).is_none());
    }
    for role in &before.roles {
        assert_eq!(api.engine.holder_of(api.realm, role), None, "{role}");
    }
    assert_eq!(body(&api.get("", "/api/system/status").await)["inited"], false);
    assert_eq!(status(&api.get("", "/api/auth/init").await), 200);
    true
}

#[tokio::test]
async fn a_wipe_that_is_cut_short_is_ended_by_the_next_start() {
    let (mut kept, mut wiped) = (0, 0);
    // Before the first commit, and after each: to die before one is to die after the last.
    let first = [(1, CommitFault::Stop)];
    let deaths = (1..=COMMITS_MAX).map(|number| (number, CommitFault::ApplyThenStop));
    for (number, fault) in first.into_iter().chain(deaths) {
        let (api, before) = scene().await;
        let token = api.token("system:config").await;
        api.state.journal.flush();
        api.store.fail_commit(api.store.commits() + number, fault);
        let end = api.store.commits() + number;
        let request = json!({ "wipeout": true });
        let answer = status(&api.post(&token, "/api/system/config", &request).await);
        let is_over = answer == 200 && api.store.commits() < end;
        let api = api.restarted().await;
        if is_wiped(&api, &before).await {
            wiped += 1;
        } else {
            assert_ne!(answer, 200, "{fault:?} {number}");
            kept += 1;
        }
        if is_over {
            break;
        }
    }
    assert!(kept >= 1 && wiped >= 10, "{kept} {wiped}");
}

#[tokio::test]
async fn a_wipe_that_cannot_go_on_stops_the_device_until_it_can() {
    for number in 2..8 {
        let (api, before) = scene().await;
        let token = api.token("system:config").await;
        let list = api.token("keymgmt:list").await;
        api.state.journal.flush();
        api.store.fail_commit(api.store.commits() + number, CommitFault::Fail);
        let request = json!({ "wipeout": true });
        let answer = status(&api.post(&token, "/api/system/config", &request).await);
        if answer == 200 {
            continue;
        }
        assert_eq!(answer, 406, "{number}");
        if api.state.fail_state() == 0 {
            // It was the first of its commits.
            assert!(!is_wiped(&api, &before).await);
            continue;
        }
        assert_eq!(status(&api.get(&list, "/api/keymgmt/list").await), 409);
        assert_eq!(body(&api.get("", "/api/system/status").await)["fls_state"], 8);
        api.state.restart().await.expect("it ends the wipe");
        assert!(is_wiped(&api, &before).await);
    }
}

#[tokio::test]
async fn a_wipe_that_a_hold_forbids_does_nothing() {
    let (api, before) = scene().await;
    let key = api.state.id_of(Kid::parse(&before.kids[1]).unwrap()).unwrap();
    let hold = HoldRequest { kind: HoldKind::Legal, reason: "a court".to_owned(), expires: None };
    let system = api.engine.system_caller(api.realm, "test").unwrap();
    let (_, hold) = api.engine.place_hold(&system, key, &hold).await.expect("a hold");
    assert_eq!(wipe(&api).await, 406);
    assert!(!is_wiped(&api, &before).await);
    api.engine.lift_hold(&system, key, hold).await.expect("lifted");
    assert_eq!(wipe(&api).await, 200);
    assert!(is_wiped(&api, &before).await);
}
