//! Authenticators: pairing, approval, and their end.

use serde_json::{Value, json};

use super::support::{Api, NOW_S, Person, body, claims_of, status, text};
use crate::b64;
use crate::handlers::external::{open, seal};
use crate::kid::Kid;

const VALIDATE: &str = "/api/auth/ext/validate";
const TOKEN: &str = "/api/auth/ext/token";

/// The public key of the device.
fn eid(api: &Api) -> [u8; 32] {
    b64::decode_array(&api.state.device().eid_public).expect("a key")
}

fn pid(number: u8) -> String {
    b64::encode(&[number; 32])
}

/// Begins a pairing as the User and answers it as `phone`.
async fn reply(api: &Api, phone: &Person, change: impl Fn(&mut Value)) -> String {
    let token = api.token("auth:ext:pair").await;
    let broker = Person::new([0x91; 32]);
    let epk = json!({ "epk": b64::encode(&broker.public) });
    let begun = body(&api.post(&token, "/api/auth/ext/init", &epk).await);
    let request = claims_of(&text(&begun, "request"));
    assert_eq!((&request["iss"], &request["exp"]), (&begun["eid"], &json!(NOW_S + 86_400)));
    assert!(request.get("iat").is_none());
    let mut claims = json!({
        "jti": request["jti"], "iss": b64::encode(&phone.public), "aud": begun["eid"],
        "epk": b64::encode(&broker.public), "label": "Pixel 8 (Android)",
    });
    change(&mut claims);
    phone.write(&eid(api), &claims)
}

async fn pair(api: &Api, phone: &Person, number: u8) -> String {
    let reply = reply(api, phone, |_| {}).await;
    let token = api.token("system:config").await;
    let request = json!({ "pid": pid(number), "reply": reply });
    text(&body(&api.post(&token, VALIDATE, &request).await), "kid")
}

/// What a phone answers that approves everything.
async fn approval(
    api: &Api,
    phone: &Person,
    number: u8,
    scope: &str,
    change: impl Fn(&mut Value),
) -> Value {
    let broker = Person::new([0x92; 32]);
    let request =
        json!({ "epk": b64::encode(&broker.public), "scope": scope, "ctx": "c", "note": "n" });
    let asked = body(&api.post("", "/api/auth/ext/request", &request).await);
    let asked = claims_of(&text(&asked, "authreq"));
    let jti = b64::decode(&text(&asked, "jti")).expect("base64");
    let shared = phone.key.agree(&eid(api)).expect("agreed");
    let sealed = text(&asked["scope"], &pid(number));
    let shown = open(&shared, &jti, &sealed).expect("it opens");
    let approved = seal(&api.state, &phone.public, &jti, &shown).expect("sealed");
    let mut claims = json!({
        "aud": b64::encode(&eid(api)), "jti": asked["jti"], "exp": api.now_s() + 900,
        "iat": api.now_s(), "pid": pid(number), "iss": b64::encode(&phone.public),
        "scope": approved,
    });
    change(&mut claims);
    json!({ "authreply": phone.write(&eid(api), &claims) })
}

#[tokio::test]
async fn an_authenticator_acts_as_the_user_does_until_its_key_goes() {
    let api = Api::new().await;
    let phone = Person::new([0x81; 32]);
    let kid = pair(&api, &phone, 1).await;
    assert_eq!(kid, Kid::of_public_key(&phone.public).to_string());
    let key = api.key("ED25519").await;
    let approved = approval(&api, &phone, 1, "keymgmt:del", |_| {}).await;
    let token = text(&body(&api.post("", TOKEN, &approved).await), "token");
    let sub = b64::encode(&Kid::parse(&kid).unwrap().0);
    assert_eq!(claims_of(&token)["sub"], sub.as_str());
    assert_eq!(claims_of(&token)["exp"], NOW_S + 900);
    assert_eq!(status(&api.post("", TOKEN, &approved).await), 401, "once");
    assert_eq!(api.delete(&token, &key).await, 200);
    let actor = b64::encode_url(&Kid::parse(&kid).unwrap().0);
    assert_eq!(api.log_of_work().last(), Some(&format!("21/0 {actor} {key}")));
    // Neither pairs others nor changes the configuration.
    let approved = approval(&api, &phone, 1, "system:config", |_| {}).await;
    let config = text(&body(&api.post("", TOKEN, &approved).await), "token");
    assert_eq!(status(&api.get(&config, "/api/system/config").await), 200);
    assert_eq!(
        status(&api.post(&config, "/api/system/config", &json!({ "user": "x" })).await),
        403
    );
    let epk = json!({ "epk": b64::encode(&phone.public) });
    assert_eq!(status(&api.post(&config, "/api/auth/ext/init", &epk).await), 403);
    // It is found by anybody, and ends with its key: at once, with every token.
    let find = json!({ "descr": "^RVhUQUlE" });
    let found = body(&api.post("", "/api/keymgmt/search", &find).await);
    assert_eq!(
        (&found["list"][0]["kid"], &found["list"][0]["label"]),
        (&json!(kid), &json!("Pixel 8 (Android)"))
    );
    let unused = approval(&api, &phone, 1, "keymgmt:list", |_| {}).await;
    assert_eq!(api.delete(&token, &kid).await, 200, "also by itself");
    for token in [&token, &config] {
        assert_eq!(status(&api.get(token, "/api/system/status").await), 401);
    }
    assert_eq!(status(&api.post("", TOKEN, &unused).await), 406);
    assert_eq!(body(&api.post("", "/api/keymgmt/search", &find).await)["listed"], 0);
    let request = json!({ "epk": b64::encode(&phone.public), "scope": "x" });
    let asked = body(&api.post("", "/api/auth/ext/request", &request).await);
    assert_eq!(claims_of(&text(&asked, "authreq"))["scope"], json!({}));
    // Paired anew it has its old identifier, and tokens of before stay worthless.
    assert_eq!(pair(&api, &phone, 2).await, kid);
    assert_eq!(status(&api.get(&token, "/api/system/status").await), 401);
}

#[tokio::test]
async fn pairings_that_prove_nothing_are_refused() {
    let api = Api::new().await;
    let phone = Person::new([0x81; 32]);
    let token = api.token("auth:ext:pair").await;
    let other = Person::new([0x82; 32]);
    type Change = Box<dyn Fn(&mut Value)>;
    let set = |name: &'static str, value: Value| -> Change {
        Box::new(move |claims| claims[name] = value.clone())
    };
    let cases: Vec<(&str, Change, u16)> = vec![
        ("aud", set("aud", json!(b64::encode(&other.public))), 401),
        ("iss", set("iss", json!(b64::encode(&other.public))), 401),
        ("iss of low order", set("iss", json!(b64::encode(&[0; 32]))), 401),
        ("jti", set("jti", json!(b64::encode(&[1; 32]))), 401),
        ("epk", set("epk", json!("x")), 400),
        ("epk of low order", set("epk", json!(b64::encode(&[0; 32]))), 400),
        ("no label", set("label", Value::Null), 400),
        ("long label", set("label", json!("x".repeat(33))), 400),
        ("nothing", Box::new(|_| {}), 200),
        ("the same key again", Box::new(|_| {}), 406),
    ];
    for (what, change, expected) in cases {
        let reply = reply(&api, &phone, change).await;
        let request = json!({ "pid": pid(1), "reply": reply });
        assert_eq!(status(&api.post(&token, VALIDATE, &request).await), expected, "{what}");
    }
    for (request, expected) in [
        (json!({ "pid": pid(1) }), 400),
        (json!({ "pid": "x", "reply": "x" }), 400),
        (json!({ "pid": pid(1), "reply": "x" }), 401),
    ] {
        assert_eq!(status(&api.post(&token, VALIDATE, &request).await), expected, "{request}");
    }
    for wrong in [
        json!({}),
        json!({ "epk": "x" }),
        json!({ "epk": b64::encode(&[0; 32]) }),
        json!({ "epk": 7 }),
    ] {
        for path in ["init", "mac", "request"] {
            let mut wrong = wrong.clone();
            wrong["scope"] = json!("x");
            let answer = api.post(&token, &format!("/api/auth/ext/{path}"), &wrong).await;
            assert_eq!(status(&answer), 400, "{path} {wrong}");
        }
    }
    let master = api.token_of(&api.master, "auth:ext:pair").await;
    let epk = json!({ "epk": b64::encode(&phone.public) });
    for path in ["init", "mac", "validate"] {
        let path = format!("/api/auth/ext/{path}");
        assert_eq!(status(&api.post("", &path, &epk).await), 401);
        assert_eq!(status(&api.post(&master, &path, &epk).await), 403);
    }
    api.state.set_fault(1);
    assert_eq!(status(&api.post("", "/api/auth/ext/init", &epk).await), 409);
    assert_eq!(status(&api.post("", "/api/auth/ext/request", &epk).await), 409);
    assert_eq!(status(&api.post("", TOKEN, &epk).await), 409);
}

#[tokio::test]
async fn there_are_eight_authenticators_at_most() {
    let api = Api::new().await;
    let mut kids = Vec::new();
    for number in 0..8 {
        kids.push(pair(&api, &Person::new([0xa0 + number; 32]), number).await);
    }
    let reply = reply(&api, &Person::new([0xb0; 32]), |_| {}).await;
    let token = api.token("auth:ext:pair").await;
    let request = json!({ "pid": pid(9), "reply": reply });
    assert_eq!(status(&api.post(&token, VALIDATE, &request).await), 406);
    let delete = api.token("keymgmt:del").await;
    assert_eq!(api.delete(&delete, &kids[3]).await, 200);
    pair(&api, &Person::new([0xb1; 32]), 9).await;
    // A restart finds them again.
    api.state.restart().await.expect("started");
    assert_eq!(api.state.pairings.lock().len(), 8);
    let phone = Person::new([0xa0; 32]);
    let approved = approval(&api, &phone, 0, "keymgmt:list", |_| {}).await;
    assert_eq!(status(&api.post("", TOKEN, &approved).await), 200);
}

#[tokio::test]
async fn approvals_that_prove_nothing_are_refused() {
    let api = Api::new().await;
    let phone = Person::new([0x81; 32]);
    let other = Person::new([0x82; 32]);
    pair(&api, &phone, 1).await;
    pair(&api, &other, 2).await;
    type Change = Box<dyn Fn(&mut Value)>;
    let set = |name: &'static str, value: Value| -> Change {
        Box::new(move |claims| claims[name] = value.clone())
    };
    let tampered = {
        let mut sealed =
            b64::decode(&seal(&api.state, &phone.public, &[0; 32], "x").unwrap()[1..]).unwrap();
        sealed[0] ^= 1;
        format!("A{}", b64::encode(&sealed))
    };
    let cases: Vec<(&str, Change, u16)> = vec![
        ("exp", set("exp", json!(NOW_S)), 401),
        ("aud", set("aud", json!("x")), 401),
        ("jti", set("jti", json!(b64::encode(&[1; 32]))), 401),
        ("no jti", set("jti", Value::Null), 400),
        ("iss", set("iss", json!(b64::encode(&other.public))), 401),
        ("pid of nobody", set("pid", json!(pid(7))), 406),
        ("pid of another", set("pid", json!(pid(2))), 406),
        ("pid", set("pid", json!("x")), 400),
        ("scope of another scheme", set("scope", json!("Bxxxx")), 406),
        ("scope", set("scope", json!("A")), 406),
        ("tampered scope", set("scope", json!(tampered)), 406),
        ("no scope", set("scope", Value::Null), 400),
        ("nothing", Box::new(|_| {}), 200),
    ];
    for (what, change, expected) in cases {
        let approved = approval(&api, &phone, 1, "keymgmt:list", change).await;
        assert_eq!(status(&api.post("", TOKEN, &approved).await), expected, "{what}");
    }
    for wrong in [json!({}), json!({ "authreply": "x" }), json!({ "authreply": 7 })] {
        assert_eq!(status(&api.post("", TOKEN, &wrong).await), 400, "{wrong}");
    }
    let approved = approval(&api, &phone, 1, "keymgmt:list", |_| {}).await;
    api.pass(3_601_000);
    assert_eq!(status(&api.post("", TOKEN, &approved).await), 401);
}

#[tokio::test]
async fn questions_have_bounds_and_tell_what_a_key_is() {
    let api = Api::new().await;
    let phone = Person::new([0x81; 32]);
    pair(&api, &phone, 1).await;
    let kid = api.key("SECP256R1").await;
    let epk = b64::encode(&phone.public);
    let ask = async |scope: &str| {
        let request = json!({ "epk": epk, "scope": scope, "exp": 7, "other": {} });
        let asked = body(&api.post("", "/api/auth/ext/request", &request).await);
        let claims = claims_of(&text(&asked, "authreq"));
        let jti = b64::decode(&text(&claims, "jti")).unwrap();
        let shared = phone.key.agree(&eid(&api)).unwrap();
        let scope = open(&shared, &jti, &text(&claims["scope"], &pid(1))).expect("it opens");
        (scope, claims["exp"].as_u64().unwrap() - NOW_S)
    };
    assert_eq!(ask("keymgmt:del").await, ("keymgmt:del".to_owned(), 3_600));
    let (scope, seconds) = ask(&format!("keymgmt:use:{kid}")).await;
    let (plain, about) = scope.split_once('#').expect("what it is about");
    assert_eq!((plain, seconds), (format!("keymgmt:use:{kid}").as_str(), 900));
    let about: Value = serde_json::from_slice(&b64::decode(about).unwrap()).unwrap();
    // 2^15, ATT, PKEY, public, ECDH, ExDSA, 10.
    assert_eq!(about, json!({ "t": "fc0a", "l": "a key" }));
    let approved = approval(&api, &phone, 1, &format!("keymgmt:use:{kid}"), |_| {}).await;
    let token = text(&body(&api.post("", TOKEN, &approved).await), "token");
    assert_eq!(claims_of(&token)["scope"], format!("keymgmt:use:{kid}"));
    let sign = json!({ "kid": kid, "msg": "YQ==", "alg": "SHA256WithECDSA" });
    assert_eq!(status(&api.post(&token, "/api/crypto/exdsa/sign", &sign).await), 200);
    let cases = [
        ("scope", json!("x".repeat(1_023)), 200),
        ("scope", json!("x".repeat(1_024)), 400),
        ("scope", json!(""), 400),
        ("scope", json!(7), 400),
        ("ctx", json!("x".repeat(64)), 200),
        ("ctx", json!("x".repeat(65)), 400),
        ("note", json!("x".repeat(128)), 200),
        ("note", json!("x".repeat(129)), 400),
        ("note", json!([]), 400),
    ];
    for (name, value, expected) in cases {
        let mut request = json!({ "epk": epk, "scope": "x" });
        request[name] = value;
        let answer = api.post("", "/api/auth/ext/request", &request).await;
        assert_eq!(status(&answer), expected, "{name}");
    }
}
