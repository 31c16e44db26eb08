//! Logins, initialisation, and how long both take.

use core::time::Duration;

use serde_json::{Value, json};

use super::support::{Api, NOW_S, Person, SPK, body, claims_of, signed, status, text};
use crate::{Settings, b64};

#[tokio::test]
async fn a_challenge_is_what_clients_know() {
    let api = Api::new().await;
    let challenge = api.challenge().await;
    assert_eq!(challenge["lbl"], "My device");
    assert_eq!(challenge["exp"], NOW_S + 60);
    assert_eq!(challenge["spk"], b64::encode(&Person::new(SPK).public));
    let jti = b64::decode(&text(&challenge, "jti")).expect("base64");
    assert_eq!((jti.len(), &jti[..4]), (36, &[0x00, 0xf1, 0x53, 0x65][..]));
    let settings = Settings { challenge_ttl: Duration::from_secs(3_600), ..Settings::default() };
    let api = Api::with(settings).await;
    let challenge = api.challenge().await;
    assert_eq!(challenge["exp"], NOW_S + 3_600);
    let claims = api.claims(&api.user, &challenge, "keymgmt:list");
    api.pass(61_000);
    assert_eq!(status(&api.log_in_with(&api.user, &claims).await), 401, "a minute all the same");
    let fresh = Api::fresh(Settings::default()).await;
    assert_eq!(status(&fresh.get("", "/api/auth/token").await), 409);
    assert_eq!(status(&fresh.post("", "/api/auth/token", &json!({ "auth": "x" })).await), 409);
}

#[tokio::test]
async fn roles_get_tokens_of_theirs() {
    let api = Api::new().await;
    for (person, sub) in [(&api.user, "U"), (&api.master, "M")] {
        let claims = claims_of(&api.token_of(person, "system:config").await);
        assert_eq!((&claims["sub"], &claims["exp"]), (&json!(sub), &json!(NOW_S + 3_600)));
    }
    assert_eq!(api.log().len(), 2);
    let kid = api.key("AES128").await;
    api.token(&format!("keymgmt:use:{kid}")).await;
    assert_eq!(api.log().last(), Some(&format!("23/0 U {kid}")));
}

/// Everything that a login can get wrong, each with a challenge of its own.
#[tokio::test]
async fn wrong_logins_are_refused() {
    let api = Api::new().await;
    let stranger = Person::new([0x77; 32]);
    let changed =
        |name: &'static str, value: Value| move |claims: &mut Value| claims[name] = value.clone();
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: Vec<(&str, Change, u16)> = vec![
        ("nothing", Box::new(|_| {}), 200),
        ("aud", Box::new(changed("aud", json!(b64::encode(&stranger.public)))), 401),
        ("no aud", Box::new(changed("aud", Value::Null)), 401),
        ("jti", Box::new(changed("jti", json!(b64::encode(&[7; 36])))), 401),
        ("jti of another kind", Box::new(changed("jti", json!(7))), 401),
        ("iss", Box::new(changed("iss", json!(b64::encode(&stranger.public)))), 401),
        ("iss of low order", Box::new(changed("iss", json!(b64::encode(&[0; 32])))), 401),
        ("iss too short", Box::new(changed("iss", json!(b64::encode(&[9; 31])))), 401),
        ("exp now", Box::new(changed("exp", json!(NOW_S))), 401),
        ("exp in a second", Box::new(changed("exp", json!(NOW_S + 1))), 200),
        ("exp 0", Box::new(changed("exp", json!(0))), 401),
        ("exp below 0", Box::new(changed("exp", json!(-1))), 401),
        ("exp a text", Box::new(changed("exp", json!("1700000060"))), 401),
        ("iat in the future", Box::new(changed("iat", json!(NOW_S + 9_999))), 200),
        ("iat in the past", Box::new(changed("iat", json!(0))), 200),
        ("scope of 127", Box::new(changed("scope", json!("x".repeat(127)))), 200),
        ("scope of 128", Box::new(changed("scope", json!("x".repeat(128)))), 400),
        ("empty scope", Box::new(changed("scope", json!(""))), 400),
        ("scope with a space", Box::new(changed("scope", json!("a b"))), 400),
        ("no scope", Box::new(changed("scope", Value::Null)), 400),
        ("ctx of 63", Box::new(changed("ctx", json!("x".repeat(63)))), 200),
        ("ctx of 64", Box::new(changed("ctx", json!("x".repeat(64)))), 400),
        ("ctx a number", Box::new(changed("ctx", json!(7))), 400),
    ];
    for (what, change, expected) in cases {
        let mut claims = api.claims(&api.user, &api.challenge().await, "keymgmt:list");
        change(&mut claims);
        // Keyed with the device whatever the claims say.
        let auth = api.user.write(&Person::new(SPK).public, &claims);
        let answer = api.post("", "/api/auth/token", &json!({ "auth": auth })).await;
        assert_eq!(status(&answer), expected, "{what}");
    }
    for wrong in [json!({}), json!({ "auth": 7 }), json!({ "auth": Value::Null })] {
        assert_eq!(status(&api.post("", "/api/auth/token", &wrong).await), 400);
    }
    assert_eq!(
        status(
            &api.log_in_with(&stranger, &api.claims(&stranger, &api.challenge().await, "x")).await
        ),
        401
    );
}

/// The message itself, altered in every part.
#[tokio::test]
async fn altered_messages_are_refused() {
    let api = Api::new().await;
    let spk = Person::new(SPK).public;
    let shared = api.user.key.agree(&spk).expect("agreed");
    let headers = [
        (r#"{"ecdh":"x25519","alg":"HS256","typ":"JWT"}"#, 200),
        (r#"{"alg":"HS256","ecdh":"x25519"}"#, 200),
        (r#"{"ecdh":"x25519"}"#, 401),
        (r#"{"alg":"HS256"}"#, 401),
        (r#"{"alg":"none","ecdh":"x25519"}"#, 401),
        (r#"{"alg":"HS512","ecdh":"x25519"}"#, 401),
        (r#"{"alg":"HS256","ecdh":"X25519"}"#, 401),
        (r#"["HS256"]"#, 401),
        ("", 401),
    ];
    for (header, expected) in headers {
        let claims = api.claims(&api.user, &api.challenge().await, "keymgmt:list");
        let auth = signed(header, &claims, shared.expose());
        let answer = api.post("", "/api/auth/token", &json!({ "auth": auth })).await;
        assert_eq!(status(&answer), expected, "{header}");
    }
    let claims = api.claims(&api.user, &api.challenge().await, "keymgmt:list");
    let good = api.user.write(&spk, &claims);
    for place in 0..good.len() {
        let mut altered = good.clone().into_bytes();
        altered[place] = match altered[place] {
            b'A' => b'B',
            b'.' => b'A',
            _ => b'A',
        };
        let altered = String::from_utf8(altered).expect("ASCII");
        let answer = api.post("", "/api/auth/token", &json!({ "auth": altered })).await;
        // A scope that is too long or odd is told before the signature is looked at.
        assert!([400, 401].contains(&status(&answer)), "{place}");
    }
    for altered in
        [format!("{good}A"), format!("{good}=="), format!(".{good}"), good.replace('.', "")]
    {
        let answer = api.post("", "/api/auth/token", &json!({ "auth": altered })).await;
        assert_eq!(status(&answer), 401, "{altered}");
    }
    let answer = api.post("", "/api/auth/token", &json!({ "auth": good })).await;
    assert_eq!(status(&answer), 200, "none of them used the nonce");
}

#[tokio::test]
async fn a_challenge_is_answered_in_time_and_once() {
    let api = Api::new().await;
    let claims = api.claims(&api.user, &api.challenge().await, "keymgmt:list");
    api.pass(60_000);
    assert_eq!(status(&api.log_in_with(&api.user, &claims).await), 200);
    assert_eq!(status(&api.log_in_with(&api.user, &claims).await), 401);
    let claims = api.claims(&api.user, &api.challenge().await, "keymgmt:list");
    api.pass(61_000);
    assert_eq!(status(&api.log_in_with(&api.user, &claims).await), 401);
    // A clock that goes back makes challenges of the future worthless.
    let claims = api.claims(&api.user, &api.challenge().await, "keymgmt:list");
    api.clock.0.fetch_sub(10_000, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(status(&api.log_in_with(&api.user, &claims).await), 401);
}

#[tokio::test]
async fn tokens_end_when_they_say_but_not_too_late() {
    let api = Api::new().await;
    for (wanted, given) in [(60, 60), (28_800, 28_800), (28_801, 28_800), (99_999_999, 28_800)] {
        let mut claims = api.claims(&api.user, &api.challenge().await, "keymgmt:list");
        claims["exp"] = json!(api.now_s() + wanted);
        let answer = body(&api.log_in_with(&api.user, &claims).await);
        let token = text(&answer, "token");
        assert_eq!(claims_of(&token)["exp"], api.now_s() + given);
        api.pass(given * 1_000 - 1);
        assert_eq!(status(&api.get(&token, "/api/keymgmt/list").await), 200);
        api.pass(1);
        assert_eq!(status(&api.get(&token, "/api/keymgmt/list").await), 401);
    }
}

#[tokio::test]
async fn failures_slow_everybody_down_for_a_while() {
    let api = Api::new().await;
    let stranger = Person::new([0x77; 32]);
    let (usual, slow) = (Duration::from_millis(505), Duration::from_millis(1_510));
    let mut expected = Vec::new();
    for wait in [usual, usual, usual, slow, slow] {
        let claims = api.claims(&stranger, &api.challenge().await, "x");
        assert_eq!(status(&api.log_in_with(&stranger, &claims).await), 401);
        expected.push(wait);
    }
    api.pass(14_999);
    let claims = api.claims(&stranger, &api.challenge().await, "x");
    api.log_in_with(&stranger, &claims).await;
    expected.push(slow);
    api.pass(15_000);
    api.token("keymgmt:list").await;
    expected.push(usual);
    assert_eq!(*api.state.slept.lock(), expected);
}

fn cfg(api: &Api) -> Value {
    json!({
        "user": "Anna", "masterkey": b64::encode(&api.master.public),
        "userkey": b64::encode(&api.user.public), "hostname": "localhost", "origin": "*",
        "trusted_ts": true, "trusted_backend": true, "allow_keysearch": true,
        "email": "a@example.test", "ip": "192.168.7.1", "storage_mode": 81, "dnsd": true,
        "ctx": 7, "gen_csr": false,
    })
}

async fn init(api: &Api, by: &Person, cfg: Value) -> (u16, Value) {
    let challenge = body(&api.get("", "/api/auth/init").await);
    let claims = json!({
        "jti": challenge["jti"], "aud": challenge["spk"], "exp": challenge["exp"],
        "iat": api.now_s(), "iss": b64::encode(&by.public), "cfg": cfg,
    });
    let message = by.write(&Person::new(SPK).public, &claims);
    let answer = api.post("", "/api/auth/init", &json!({ "init": message })).await;
    let shown = if status(&answer) == 200 { body(&answer) } else { Value::Null };
    (status(&answer), shown)
}

#[tokio::test]
async fn a_fresh_device_gets_an_owner_once() {
    let api = Api::fresh(Settings::default()).await;
    let status_of = body(&api.get("", "/api/system/status").await);
    assert_eq!(status_of["inited"], false);
    let eid = api.state.device().eid_public.clone();
    let without = |name: &str| {
        let mut cfg = cfg(&api);
        cfg.as_object_mut().unwrap().remove(name);
        cfg
    };
    for name in [
        "user",
        "masterkey",
        "userkey",
        "hostname",
        "origin",
        "trusted_ts",
        "trusted_backend",
        "allow_keysearch",
        "email",
    ] {
        assert_eq!(init(&api, &api.master, without(name)).await.0, 400, "{name}");
    }
    let mut long = cfg(&api);
    long["user"] = json!("x".repeat(33));
    assert_eq!(init(&api, &api.master, long).await.0, 400);
    assert_eq!(init(&api, &api.user, cfg(&api)).await.0, 401, "only the master's key");
    assert_eq!(status(&api.post("", "/api/auth/init", &json!({})).await), 400);
    assert_eq!(status(&api.post("", "/api/auth/init", &json!({ "init": "a.b.c" })).await), 401);
    let (made, answer) = init(&api, &api.master, cfg(&api)).await;
    assert_eq!(made, 200);
    let claims = claims_of(&text(&answer, "token"));
    assert_eq!((&claims["sub"], &claims["scope"]), (&json!("U"), &json!("system:config")));
    assert_eq!(claims["exp"], NOW_S + 28_800);
    assert_eq!(text(&answer, "instanceid").len(), 36);
    assert_eq!(status(&api.get("", "/api/auth/init").await), 406);
    assert_eq!(status(&api.post("", "/api/auth/init", &json!({ "init": "x" })).await), 406);
    assert_eq!(api.log(), ["29/0 M"]);
    assert_eq!(api.state.device().eid_public, eid, "passphrases are derived with it");
    let status_of = body(&api.get("", "/api/system/status").await);
    assert!(status_of.get("inited").is_none());
    assert_eq!(status_of["ctx"], 7);
    let token = text(&answer, "token");
    assert_eq!(status(&api.get(&token, "/api/system/config").await), 200);
    api.token("keymgmt:list").await;
}
