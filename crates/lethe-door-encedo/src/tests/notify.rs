//! The device's own broker: pairing and approval from afar, each step over HTTP as clients and
//! authenticators take it.

use http::Method;
use lethe_crypto::SystemEntropy;
use lethe_crypto::hash::hmac_sha256;
use serde_json::{Value, json};

use super::support::{Api, NOW_S, Person, body, claims_of, status, text};
use crate::handlers::external::{open, seal};
use crate::kid::Kid;
use crate::{Settings, b64};

async fn device() -> Api {
    Api::with(Settings { local_broker: true, ..Settings::default() }).await
}

fn eid(api: &Api) -> [u8; 32] {
    b64::decode_array(&api.state.device().eid_public).expect("a key")
}

fn mac(person: &Person, peer: &[u8; 32], message: &[u8]) -> String {
    let shared = person.key.agree(peer).expect("agreed");
    b64::encode(&hmac_sha256(shared.expose(), &[message]))
}

fn key_of(value: &Value, name: &str) -> [u8; 32] {
    b64::decode_array(&text(value, name)).expect("a key")
}

async fn session(api: &Api) -> Value {
    body(&api.get("", "/notify/session").await)
}

/// The device's side of a pairing, and what the broker made of it.
async fn begun(api: &Api) -> Value {
    let who = json!({ "eid": api.state.device().eid_public });
    let session = body(&api.post("", "/notify/session", &who).await);
    let token = api.token("auth:ext:pair").await;
    let mut asked = body(&api.post(&token, "/api/auth/ext/init", &session).await);
    asked["epk"] = session["epk"].clone();
    let made = body(&api.post("", "/notify/register/init", &asked).await);
    let path = text(&made, "link");
    let path = path.strip_prefix("https://localhost").expect("a link to here").to_owned();
    json!({ "rid": made["rid"], "path": path, "epk": asked["epk"], "request": asked["request"] })
}

/// The claims of an authenticator that has seen `offer`.
fn reply_claims(api: &Api, phone: &Person, offer: &Value) -> Value {
    let request = claims_of(&text(offer, "request"));
    json!({
        "jti": request["jti"], "iss": b64::encode(&phone.public), "aud": b64::encode(&eid(api)),
        "epk": request["aud"], "label": "Pixel 8 (Android)",
    })
}

/// A whole pairing; the identifiers of key and pairing.
async fn pair(api: &Api, phone: &Person) -> (String, String) {
    let begun = begun(api).await;
    let check = format!("/notify/register/check/{}", text(&begun, "rid"));
    assert_eq!(status(&api.get("", &check).await), 202);
    let link = text(&begun, "path");
    let offer = body(&api.get("", &link).await);
    assert_eq!(offer["request"], begun["request"]);
    let reply = phone.write(&eid(api), &reply_claims(api, phone, &offer));
    let accepted = body(&api.post("", &link, &json!({ "reply": reply })).await);
    let answered = body(&api.get("", &check).await);
    assert_eq!((&answered["pid"], &answered["reply"]), (&accepted["pid"], &json!(reply)));
    let token = api.token("auth:ext:pair").await;
    let paired = body(&api.post(&token, "/api/auth/ext/validate", &answered).await);
    let finalise = format!("/notify/register/finalise/{}", text(&begun, "rid"));
    assert_eq!(body(&api.post("", &finalise, &paired).await)["paired"], true);
    assert_eq!(status(&api.get("", &check).await), 404, "it is over");
    (text(&paired, "kid"), text(&accepted, "pid"))
}

/// A question of a client, and its name.
async fn asked(api: &Api, scope: &str) -> String {
    let mut session = session(api).await;
    session["scope"] = json!(scope);
    let question = body(&api.post("", "/api/auth/ext/request", &session).await);
    text(&body(&api.post("", "/notify/event/new", &question).await), "eventid")
}

fn at(event: &str, pid: &str) -> String {
    let pid = b64::encode_url(&b64::decode(pid).expect("base64"));
    format!("/notify/event/data/{event}/{pid}")
}

fn delete(path: &str) -> (Method, String) {
    (Method::DELETE, path.to_owned())
}

async fn send(api: &Api, (method, path): (Method, String)) -> u16 {
    status(&api.ask(method, &path, "", "").await)
}

/// What a telephone answers that approves everything that it is shown.
fn approval(
    api: &Api,
    phone: &Person,
    pid: &str,
    question: &Value,
    change: impl Fn(&mut Value),
) -> Value {
    let jti = b64::decode(&text(question, "jti")).expect("base64");
    let shared = phone.key.agree(&eid(api)).expect("agreed");
    let shown = open(&shared, &jti, &text(question, "scope")).expect("it opens");
    let sealed = seal(&api.state, &phone.public, &jti, &shown).expect("sealed");
    let mut claims = json!({
        "aud": b64::encode(&eid(api)), "jti": question["jti"], "exp": api.now_s() + 900,
        "iat": api.now_s(), "pid": pid, "iss": b64::encode(&phone.public), "scope": sealed,
    });
    change(&mut claims);
    let reply = phone.write(&eid(api), &claims);
    let mac = mac(phone, &key_of(question, "epk"), reply.as_bytes());
    json!({ "authreply": reply, "mac": mac })
}

#[tokio::test]
async fn an_approval_goes_from_client_to_telephone_and_back() {
    let api = device().await;
    let (phone, other) = (Person::new([0x81; 32]), Person::new([0x82; 32]));
    assert_eq!(session(&api).await["paired"], false);
    let (kid, pid) = pair(&api, &phone).await;
    let (_, other_pid) = pair(&api, &other).await;
    assert_eq!(kid, Kid::of_public_key(&phone.public).to_string());
    assert_eq!(session(&api).await["paired"], true);
    let key = api.key("ED25519").await;
    let event = asked(&api, "keymgmt:del").await;
    let check = format!("/notify/event/check/{event}");
    let pending = api.get("", &check).await;
    assert_eq!((status(&pending), pending.body.len()), (202, 0));
    let mine = json!({ "pid": [pid, b64::encode(&[0; 32])] });
    let waiting = body(&api.post("", "/notify/event/data/allbypid", &mine).await);
    assert_eq!(waiting, json!({ "eventid": { event.clone(): [pid] } }));
    let question = body(&api.get("", &at(&event, &pid)).await);
    assert_eq!(question["exp"], NOW_S + 3_600);
    assert_eq!(question["ipinfo_eid"]["city"], "");
    let approved = approval(&api, &phone, &pid, &question, |_| {});
    assert_eq!(status(&api.post("", &at(&event, &pid), &approved).await), 200);
    // The other one comes too late.
    assert_eq!(status(&api.get("", &at(&event, &other_pid)).await), 410);
    assert_eq!(send(&api, delete(&at(&event, &other_pid))).await, 410);
    let waiting = body(&api.post("", "/notify/event/data/allbypid", &mine).await);
    assert_eq!(waiting, json!({ "eventid": [] }));
    let answered = body(&api.get("", &check).await);
    assert_eq!(answered, json!({ "authreply": approved["authreply"] }));
    let token = text(&body(&api.post("", "/api/auth/ext/token", &answered).await), "token");
    let end = (Method::DELETE, format!("/notify/event/{event}"));
    assert_eq!(send(&api, end).await, 200);
    assert_eq!(status(&api.get("", &check).await), 410);
    assert_eq!(api.delete(&token, &key).await, 200);
    let actor = b64::encode_url(&Kid::parse(&kid).unwrap().0);
    assert_eq!(api.log_of_work().last(), Some(&format!("21/0 {actor} {key}")));
}

#[tokio::test]
async fn a_question_that_is_denied_cancelled_or_old_gives_no_token() {
    let api = device().await;
    let phone = Person::new([0x81; 32]);
    let (_, pid) = pair(&api, &phone).await;
    let check = |event: &str| format!("/notify/event/check/{event}");
    let event = asked(&api, "keymgmt:list").await;
    assert_eq!(send(&api, delete(&at(&event, &pid))).await, 200);
    assert_eq!(body(&api.get("", &check(&event)).await), json!({ "deny": true }));
    let event = asked(&api, "keymgmt:list").await;
    let question = body(&api.get("", &at(&event, &pid)).await);
    let approved = approval(&api, &phone, &pid, &question, |_| {});
    assert_eq!(send(&api, (Method::DELETE, format!("/notify/event/{event}"))).await, 200);
    let late = api.post("", &at(&event, &pid), &approved).await;
    assert_eq!((status(&late), body(&late)), (410, json!({ "reason": "cancelled" })));
    let event = asked(&api, "keymgmt:list").await;
    api.pass(299_000);
    assert_eq!(status(&api.get("", &check(&event)).await), 202);
    api.pass(2_000);
    for path in [check(&event), at(&event, &pid)] {
        assert_eq!(status(&api.get("", &path).await), 404, "{path}");
    }
    // Nothing is left of a start of the device.
    let event = asked(&api, "keymgmt:list").await;
    api.state.restart().await.expect("started");
    assert_eq!(status(&api.get("", &check(&event)).await), 404);
}

#[tokio::test]
async fn answers_that_prove_nothing_are_refused() {
    let api = device().await;
    let (phone, other) = (Person::new([0x81; 32]), Person::new([0x82; 32]));
    let (_, pid) = pair(&api, &phone).await;
    let (_, other_pid) = pair(&api, &other).await;
    let event = asked(&api, "keymgmt:list").await;
    let question = body(&api.get("", &at(&event, &pid)).await);
    let good = approval(&api, &phone, &pid, &question, |_| {});
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let claim = |name: &'static str, value: Value| {
        approval(&api, &phone, &pid, &question, |claims| claims[name] = value.clone())
    };
    let theirs = body(&api.get("", &at(&event, &other_pid)).await);
    let cases = [
        ("no mac", json!({ "authreply": good["authreply"] }), 400),
        ("no reply", json!({ "mac": good["mac"] }), 400),
        ("a reply that is none", with("authreply", json!("x")), 400),
        ("a mac that is none", with("mac", json!("!")), 400),
        ("another mac", with("mac", json!(b64::encode(&[0; 32]))), 401),
        ("a short mac", with("mac", json!("YQ==")), 401),
        ("another jti", claim("jti", json!(b64::encode(&[0; 32]))), 401),
        ("another device", claim("aud", json!(b64::encode(&other.public))), 401),
        ("another pairing", claim("pid", json!(other_pid)), 401),
        ("no pairing", claim("pid", Value::Null), 401),
        ("no key", claim("iss", Value::Null), 400),
        ("another key", claim("iss", json!(b64::encode(&other.public))), 401),
        ("the other's answer", approval(&api, &other, &other_pid, &theirs, |_| {}), 401),
        ("all is well", good.clone(), 200),
        ("again", good.clone(), 410),
    ];
    for (what, request, expected) in cases {
        let answer = api.post("", &at(&event, &pid), &request).await;
        assert_eq!(status(&answer), expected, "{what}");
    }
    let event = asked(&api, "keymgmt:list").await;
    let nobody = b64::encode(&[7; 32]);
    for path in [
        at(&event, &nobody),
        at("00", &pid),
        "/notify/event/check/00".to_owned(),
        "/notify/register/check/00".to_owned(),
        "/notify/pairing/00".to_owned(),
    ] {
        assert_eq!(status(&api.get("", &path).await), 404, "{path}");
    }
    let path = format!("/notify/event/data/{event}/x");
    assert_eq!(status(&api.get("", &path).await), 400);
    let many: Vec<&String> = vec![&pid; 65];
    for wrong in [json!({}), json!({ "pid": pid }), json!({ "pid": ["x"] }), json!({ "pid": many })]
    {
        let answer = api.post("", "/notify/event/data/allbypid", &wrong).await;
        assert_eq!(status(&answer), 400, "{wrong}");
    }
}

#[tokio::test]
async fn questions_that_the_device_did_not_put_are_refused() {
    let api = device().await;
    let somebody = Person::new([0x44; 32]);
    pair(&api, &Person::new([0x81; 32])).await;
    let path = "/notify/event/new";
    let question = async || {
        let mut session = session(&api).await;
        session["scope"] = json!("keymgmt:list");
        body(&api.post("", "/api/auth/ext/request", &session).await)
    };
    let good = question().await;
    assert_eq!(status(&api.post("", path, &good).await), 200);
    assert_eq!(status(&api.post("", path, &good).await), 401, "a key is for one use");
    let foreign = json!({ "epk": b64::encode(&somebody.public), "authreq": good["authreq"] });
    assert_eq!(status(&api.post("", path, &foreign).await), 401, "a key of nobody");
    let mut mixed = question().await;
    mixed["authreq"] = good["authreq"].clone();
    assert_eq!(status(&api.post("", path, &mixed).await), 401, "under another key");
    let epk = key_of(&session(&api).await, "epk");
    let claims = json!({
        "iss": b64::encode(&eid(&api)), "aud": b64::encode(&epk), "exp": NOW_S + 60,
        "jti": "x", "scope": {},
    });
    let forged = json!({ "epk": b64::encode(&epk), "authreq": somebody.write(&epk, &claims) });
    assert_eq!(status(&api.post("", path, &forged).await), 401, "by somebody else");
    let old = question().await;
    api.pass(599_000);
    let aged = question().await;
    api.pass(2_000);
    assert_eq!(status(&api.post("", path, &old).await), 401, "too late");
    assert_eq!(status(&api.post("", path, &aged).await), 200);
    for wrong in [
        json!({}),
        json!({ "authreq": "x" }),
        json!({ "epk": "x", "authreq": "x" }),
        json!({ "epk": 7, "authreq": "x" }),
    ] {
        assert_eq!(status(&api.post("", path, &wrong).await), 400, "{wrong}");
    }
    let mut broken = question().await;
    broken["authreq"] = json!("x");
    assert_eq!(status(&api.post("", path, &broken).await), 401);
}

#[tokio::test]
async fn pairings_take_place_once_and_with_this_device() {
    let api = device().await;
    let (phone, other) = (Person::new([0x81; 32]), Person::new([0x82; 32]));
    let begun_now = begun(&api).await;
    let (rid, link) = (text(&begun_now, "rid"), text(&begun_now, "path"));
    let offer = body(&api.get("", &link).await);
    let claims = reply_claims(&api, &phone, &offer);
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        json!({ "reply": phone.write(&eid(&api), &changed) })
    };
    let finalise = format!("/notify/register/finalise/{rid}");
    let kid = Kid::of_public_key(&phone.public).to_string();
    let early = json!({ "kid": kid, "code": b64::encode(&[0; 32]) });
    assert_eq!(status(&api.post("", &finalise, &early).await), 406);
    let cases = [
        ("nothing", json!({}), 400),
        ("no message", json!({ "reply": "x" }), 400),
        ("another device", with("aud", json!(b64::encode(&other.public))), 401),
        ("another jti", with("jti", json!("x")), 401),
        ("another key of the broker", with("epk", json!(b64::encode(&other.public))), 401),
        ("no key", with("iss", Value::Null), 400),
        ("all is well", json!({ "reply": phone.write(&eid(&api), &claims) }), 200),
        ("again", json!({ "reply": phone.write(&eid(&api), &claims) }), 410),
    ];
    for (what, request, expected) in cases {
        assert_eq!(status(&api.post("", &link, &request).await), expected, "{what}");
    }
    assert_eq!(status(&api.get("", &link).await), 410);
    assert_eq!(send(&api, delete(&link)).await, 410);
    let answered = body(&api.get("", &format!("/notify/register/check/{rid}")).await);
    let token = api.token("auth:ext:pair").await;
    let paired = body(&api.post(&token, "/api/auth/ext/validate", &answered).await);
    for (name, value, expected) in [
        ("code", json!(b64::encode(&[0; 32])), 401),
        ("code", json!("!"), 400),
        ("kid", json!(api.key("ED25519").await), 406),
        ("kid", json!("x"), 400),
        ("other", json!(1), 200),
    ] {
        let mut request = paired.clone();
        request[name] = value;
        let answer = api.post("", &finalise, &request).await;
        assert_eq!(status(&answer), expected, "{name}");
    }
    assert_eq!(status(&api.post("", &finalise, &paired).await), 404);
    // One that is refused, and one that nobody answers.
    let refused = begun(&api).await;
    assert_eq!(send(&api, delete(&text(&refused, "path"))).await, 200);
    let check = format!("/notify/register/check/{}", text(&refused, "rid"));
    assert_eq!(status(&api.get("", &check).await), 410);
    let slow = begun(&api).await;
    api.pass(901_000);
    assert_eq!(status(&api.get("", &text(&slow, "path")).await), 404);
}

#[tokio::test]
async fn only_this_device_begins_a_pairing() {
    let api = device().await;
    let somebody = Person::new([0x44; 32]);
    let path = "/notify/register/init";
    let token = api.token("auth:ext:pair").await;
    let ask = async || {
        let session = session(&api).await;
        let mut asked = body(&api.post(&token, "/api/auth/ext/init", &session).await);
        asked["epk"] = session["epk"].clone();
        asked
    };
    let good = ask().await;
    for (what, name, value, expected) in [
        ("another device", "eid", json!(b64::encode(&somebody.public)), 401),
        ("no device", "eid", Value::Null, 400),
        ("another message", "request", good["request"].clone(), 401),
        ("no message", "request", json!("x"), 401),
        ("a key of nobody", "epk", json!(b64::encode(&somebody.public)), 401),
    ] {
        let mut request = ask().await;
        request[name] = value;
        assert_eq!(status(&api.post("", path, &request).await), expected, "{what}");
    }
    for host in ["evil.example/x", "a b", "", "a\"b", "x@y"] {
        let body = ask().await.to_string();
        let answer = api.send(Method::POST, path, &[("host", host)], body).await;
        assert_eq!(status(&answer), 400, "{host}");
    }
    let request = ask().await.to_string();
    let answer = api.send(Method::POST, path, &[("host", "[::1]:8201")], request).await;
    assert!(text(&body(&answer), "link").starts_with("https://[::1]:8201/notify/pairing/"));
    for wrong in [
        json!({ "eid": b64::encode(&somebody.public) }),
        json!({ "aid": b64::encode(&somebody.public) }),
    ] {
        assert_eq!(status(&api.post("", "/notify/session", &wrong).await), 404, "{wrong}");
    }
    assert_eq!(status(&api.post("", "/notify/session", &json!({ "eid": "x" })).await), 400);
    // Pairings that nobody ends make no room for others, for a while.
    let mut last = 200;
    for _ in 0..33 {
        last = status(&api.post("", path, &ask().await).await);
    }
    assert_eq!(last, 406);
    api.pass(901_000);
    let token = api.token("auth:ext:pair").await;
    let session = session(&api).await;
    let mut asked = body(&api.post(&token, "/api/auth/ext/init", &session).await);
    asked["epk"] = session["epk"].clone();
    assert_eq!(status(&api.post("", path, &asked).await), 200);
}

/// What the device says under a key of the broker.
async fn proof(api: &Api) -> Value {
    let session = session(api).await;
    let token = api.token("system:config").await;
    let mut proof = body(&api.post(&token, "/api/auth/ext/mac", &session).await);
    proof["epk"] = session["epk"].clone();
    proof
}

#[tokio::test]
async fn subscribers_are_listed_and_removed_by_who_may() {
    let api = device().await;
    let (phone, other) = (Person::new([0x81; 32]), Person::new([0x82; 32]));
    let (kid, pid) = pair(&api, &phone).await;
    let (_, other_pid) = pair(&api, &other).await;
    let (list, remove) = ("/notify/subscribers/list", "/notify/subscribers/delete");
    let listed = async || {
        let list = body(&api.post("", list, &proof(&api).await).await);
        list.as_array().expect("a list").clone()
    };
    let first = listed().await;
    assert_eq!(first.len(), 2);
    let label = "Pixel 8 (Android)";
    let shown = json!({ "pid": pid, "kid": kid, "label": label });
    assert!(first.contains(&shown), "{first:?}");
    let used = proof(&api).await;
    assert_eq!(status(&api.post("", list, &used).await), 200);
    assert_eq!(status(&api.post("", list, &used).await), 401, "a proof is for one use");
    // An authenticator that proves itself.
    let by = async |person: &Person, pid: &str| {
        let aid = json!({ "aid": b64::encode(&person.public) });
        let session = body(&api.post("", "/notify/session", &aid).await);
        let mac = mac(person, &key_of(&session, "epk"), &[5; 32]);
        json!({
            "pid": pid, "epk": session["epk"], "nonce": b64::encode(&[5; 32]), "mac": mac,
            "aid": aid["aid"],
        })
    };
    assert_eq!(status(&api.post("", list, &by(&phone, &pid).await).await), 401);
    for (what, name, value, expected) in [
        ("another nonce", "nonce", json!(b64::encode(&[6; 32])), 401),
        ("a short nonce", "nonce", json!("YQ=="), 400),
        ("another mac", "mac", json!(b64::encode(&[6; 32])), 401),
        ("another's pairing", "pid", json!(other_pid), 401),
        ("no pairing", "pid", Value::Null, 400),
        ("another key", "aid", json!(b64::encode(&other.public)), 401),
    ] {
        let mut request = by(&phone, &pid).await;
        request[name] = value;
        assert_eq!(status(&api.post("", remove, &request).await), expected, "{what}");
    }
    let gone = body(&api.post("", remove, &by(&phone, &pid).await).await);
    assert_eq!(gone, json!({ "deleted": pid }));
    assert_eq!(status(&api.post("", remove, &by(&phone, &pid).await).await), 404);
    assert_eq!(listed().await.len(), 1);
    // It is asked nothing any more, also after a restart; its key is the device's to delete.
    api.state.restart().await.expect("started");
    let event = asked(&api, "keymgmt:list").await;
    assert_eq!(status(&api.get("", &at(&event, &pid)).await), 404);
    assert_eq!(status(&api.get("", &at(&event, &other_pid)).await), 200);
    assert!(api.state.key(Kid::parse(&kid).unwrap()).is_some());
    let mut request = proof(&api).await;
    request["pid"] = json!(other_pid);
    assert_eq!(status(&api.post("", remove, &request).await), 200, "the device removes any");
    assert!(listed().await.is_empty());
}

#[tokio::test]
async fn without_a_broker_nothing_is_there() {
    let api = Api::new().await;
    let gets = ["session", "register/check/x", "pairing/x", "event/check/x", "event/data/x/eHg"];
    for path in gets {
        assert_eq!(status(&api.get("", &format!("/notify/{path}")).await), 404, "{path}");
    }
    let posts = [
        "session",
        "register/init",
        "register/finalise/x",
        "pairing/x",
        "event/new",
        "event/data/allbypid",
        "event/data/x/eHg",
        "subscribers/list",
        "subscribers/delete",
    ];
    for path in posts {
        let answer = api.post("", &format!("/notify/{path}"), &json!({})).await;
        assert_eq!(status(&answer), 404, "{path}");
    }
    for path in ["pairing/x", "event/x", "event/data/x/eHg"] {
        assert_eq!(send(&api, delete(&format!("/notify/{path}"))).await, 404, "{path}");
    }
}

#[test]
fn tables_are_bounded() {
    use lethe_types::UnixMillis;
    let broker = crate::broker::Broker::default();
    let now = UnixMillis(NOW_S * 1_000);
    let first = broker.open(&SystemEntropy, now).expect("a key");
    let keys: Vec<_> = (1..=1_024)
        .map(|later| broker.open(&SystemEntropy, UnixMillis(now.0 + later)).expect("a key"))
        .collect();
    assert!(broker.take(&first, now).is_err(), "the oldest gave way");
    assert!(broker.take(&keys[0], now).is_ok() && broker.take(&keys[0], now).is_err());
    for number in 0..257 {
        let session = broker.take(&keys[1 + number], now).expect("a session");
        let scopes = std::collections::BTreeMap::from([([1; 32], "x".to_owned())]);
        let approval = crate::broker::Approval::new(session, ("jti", NOW_S + 60), scopes);
        let asked = broker.ask(approval, &SystemEntropy, now);
        assert_eq!(asked.is_ok(), number < 256, "{number}");
    }
    assert_eq!(broker.waiting(&[[1; 32]], now).len(), 256);
    // Not longer than the device takes an answer.
    assert!(broker.waiting(&[[1; 32]], UnixMillis(now.0 + 60_000)).is_empty());
}
