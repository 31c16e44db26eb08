//! Login, with everything that can be wrong about it.

use http::Method;
use lethe_engine::{NewCredentialKind, PrincipalChange};
use lethe_http::testing::Answer;
use lethe_types::SecretVec;
use serde_json::{Value, json};

use super::support::{APPLICATION, Api, PASSPHRASE, failure, success, text};
use super::yubikey::{SECRET, otp};
use crate::account::Status;
use crate::login::YUBIKEY;
use crate::settings::Settings;

impl Api {
    async fn try_login(&self, claim: &Value) -> Answer {
        self.send(Method::POST, "/auth", &[], claim.to_string()).await
    }
}

#[tokio::test]
async fn a_login_tells_what_clients_read() {
    let api = Api::without_logins(Settings::default()).await;
    let answer = api.try_login(&api.claim("alice")).await;
    let info = &success(&answer, 200)["CALLINFO"];
    let token = text(info, "token");
    assert!(token.len() == 36 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(info["audit"], json!({ "violations": [], "warnings": [] }));
    for (name, value) in [
        ("password", json!("")),
        ("userid", json!("101")),
        ("username", json!("alice")),
        ("userstatus", json!("134")),
        ("timeout", json!(3_600_000)),
        ("filesupport", json!(0)),
        ("version", json!("2.5.0")),
        ("fingerprint", json!("")),
        ("handler", json!("AuthHandler")),
        ("fullname", json!("alice")),
        ("general", json!([])),
    ] {
        assert_eq!(info[name], value, "{name}");
    }
    let shown = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(shown.matches(&token).count(), 1);
    for secret in [PASSPHRASE, APPLICATION, &api.code("alice", 0)] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert_eq!(api.audit.take().last().unwrap().0, "storedsafe.login.store");
}

/// One answer for all causes.
#[tokio::test]
async fn what_is_wrong_is_not_told() {
    let api = Api::without_logins(Settings::default()).await;
    api.user("sleeper", "200", 0).await;
    let sleeper = api.user("asleep", "201", 0).await;
    let change = PrincipalChange { suspended: Some(true), ..PrincipalChange::default() };
    api.engine.update_principal(&api.own_caller(), sleeper, &change).await.expect("a change");
    api.user("escrow", "202", Status::ESCROW).await;
    let passphrase = SecretVec::copy_from(PASSPHRASE.as_bytes());
    let alone = NewCredentialKind::Passphrase { passphrase, totp: None };
    api.user_with("careless", "203", 0, vec![alone]).await;
    let with = |name: &str, member: &str, value: Value| {
        let mut claim = api.claim(name);
        claim[member] = value;
        claim
    };
    let cases = [
        with("alice", "passphrase", json!("wrong")),
        with("alice", "passphrase", json!("")),
        with("alice", "passphrase", json!(5)),
        with("alice", "otp", json!(if api.code("alice", 0) == "000000" { "1" } else { "000000" })),
        with("alice", "otp", json!("")),
        with("alice", "otp", json!(api.code("alice", 5))),
        with("alice", "otp", json!(123_456)),
        with("alice", "apikey", json!("APIKEY-124")),
        with("alice", "apikey", json!("")),
        with("alice", "apikey", json!(format!("{APPLICATION}0"))),
        with("alice", "username", json!("alicia")),
        with("alice", "username", json!("Alice")),
        with("alice", "username", json!("al ice")),
        with("alice", "username", json!([])),
        with("alice", "logintype", json!("smartcard")),
        with("alice", "logintype", json!("smc_rest")),
        with("alice", "logintype", json!("other")),
        with("alice", "logintype", json!(1)),
        with("alice", "logintype", json!("yubikey_otp")),
        api.claim("asleep"),
        api.claim("escrow"),
        api.claim("careless"),
        json!({ "username": "alice" }),
        json!({ "username": "alice", "keys": "short" }),
        json!({ "username": "alice", "keys": format!("{PASSPHRASE}{APPLICATION}{}", otp(0)) }),
        json!({}),
    ];
    let mut first: Option<Value> = None;
    for claim in cases {
        // Guesses are slowed down otherwise.
        api.pass(3_600_000);
        let mut claim = claim;
        if let (Some(name), true) = (claim["username"].as_str(), claim["otp"].is_string()) {
            let old = claim["otp"].as_str().unwrap();
            if old.len() == 6 && old != "000000" && claim["username"] != "alice" {
                claim["otp"] = json!(api.code(name, 0));
            }
        }
        let answer = api.try_login(&claim).await;
        let mut shown = failure(&answer, 403, "Login failed");
        assert!(shown["CALLINFO"].get("token").is_none(), "an empty one is one to some clients");
        let data = shown.as_object_mut().unwrap().remove("DATA").unwrap();
        for (name, value) in data.as_object().unwrap() {
            let is_secret = ["passphrase", "otp", "apikey", "keys"].contains(&name.as_str());
            assert_eq!(is_secret, value == "[redacted]", "{name}");
        }
        assert_eq!(*first.get_or_insert(shown.clone()), shown, "{claim}");
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_its_neighbours_too() {
    let api = Api::without_logins(Settings::default()).await;
    let login = async |steps| {
        let mut claim = api.claim("alice");
        claim["otp"] = json!(api.code("alice", steps));
        api.try_login(&claim).await
    };
    failure(&login(-2).await, 403, "Login failed");
    failure(&login(2).await, 403, "Login failed");
    success(&login(-1).await, 200);
    success(&login(0).await, 200);
    failure(&login(0).await, 403, "Login failed");
    success(&login(1).await, 200);
    failure(&login(1).await, 403, "Login failed");
    api.pass(60_000);
    success(&login(0).await, 200);
}

#[tokio::test]
async fn who_guesses_waits_and_nobody_else() {
    let api = Api::without_logins(Settings::default()).await;
    for _ in 0..5 {
        let mut claim = api.claim("alice");
        claim["passphrase"] = json!("guess");
        failure(&api.try_login(&claim).await, 403, "Login failed");
    }
    let limited = api.try_login(&api.claim("alice")).await;
    failure(&limited, 429, "TOO MANY REQUESTS");
    let wait: u64 = limited.head.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(wait > 0);
    success(&api.try_login(&api.claim("walter")).await, 200);
    let unknown = json!({
        "username": "unknown", "passphrase": "x", "otp": "1", "apikey": APPLICATION,
        "logintype": "totp",
    });
    failure(&api.try_login(&unknown).await, 403, "Login failed");
    api.pass(wait * 1_000);
    success(&api.try_login(&api.claim("alice")).await, 200);
}

/// A wrong key of an application is charged as a wrong passphrase is.
#[tokio::test]
async fn who_guesses_the_key_of_an_application_waits_too() {
    let api = Api::without_logins(Settings::default()).await;
    for _ in 0..5 {
        let mut claim = api.claim("alice");
        claim["apikey"] = json!("guess");
        failure(&api.try_login(&claim).await, 403, "Login failed");
    }
    failure(&api.try_login(&api.claim("alice")).await, 429, "TOO MANY REQUESTS");
}

#[tokio::test]
async fn yubikeys_log_in_in_all_forms_and_each_password_once() {
    let api = Api::without_logins(Settings::default()).await;
    let passphrase = "pass APIKEY phrase";
    let knows = NewCredentialKind::Passphrase {
        passphrase: SecretVec::copy_from(passphrase.as_bytes()),
        totp: None,
    };
    let has = NewCredentialKind::SharedSecret {
        external: format!("{YUBIKEY}cccccccccccc").into(),
        secret: SecretVec::copy_from(&SECRET),
    };
    api.user_with("yubi", "300", 0, vec![knows, has]).await;
    api.application("longer", &format!("X{APPLICATION}")).await;
    let keys = |otp: &str| {
        json!({
            "username": "yubi", "keys": format!("{passphrase}{APPLICATION}{otp}"),
        })
    };
    let with = |mut claim: Value, member: &str, value: &str| {
        claim[member] = json!(value);
        claim
    };
    let new = |otp: &str| {
        json!({
            "username": "yubi", "passphrase": passphrase, "otp": otp, "apikey": APPLICATION,
            "logintype": "yubikey_otp",
        })
    };
    success(&api.try_login(&keys(&otp(1))).await, 200);
    failure(&api.try_login(&keys(&otp(1))).await, 403, "Login failed");
    success(&api.try_login(&with(keys(&otp(2)), "apikey", APPLICATION)).await, 200);
    success(&api.try_login(&new(&otp(5))).await, 200);
    let refused = [
        new(&otp(5)),
        new(&otp(3)),
        new(&otp(9).replace('b', "c")),
        new(&format!("{}c", otp(9))),
        new(&otp(9).to_uppercase()),
        with(new(&otp(9)), "apikey", "other"),
        with(new(&otp(9)), "passphrase", PASSPHRASE),
        with(keys(&otp(9)), "apikey", "other"),
        json!({ "username": "yubi", "keys": format!("{passphrase}WRONG{}", otp(9)) }),
        json!({ "username": "yubi", "keys": format!("{passphrase}{APPLICATION}") }),
        with(new(&otp(9)), "logintype", "totp"),
        with(new(&otp(9)), "username", "alice"),
    ];
    for claim in refused {
        api.pass(3_600_000);
        failure(&api.try_login(&claim).await, 403, "Login failed");
    }
    api.pass(3_600_000);
    success(&api.try_login(&new(&otp(9))).await, 200);
}

/// A right passphrase does not make a used password of a Yubikey, nor none at all, free to repeat.
#[tokio::test]
async fn who_repeats_a_second_proof_waits_too() {
    let api = Api::without_logins(Settings::default()).await;
    let knows = || NewCredentialKind::Passphrase {
        passphrase: SecretVec::copy_from(PASSPHRASE.as_bytes()),
        totp: None,
    };
    let has = NewCredentialKind::SharedSecret {
        external: format!("{YUBIKEY}cccccccccccc").into(),
        secret: SecretVec::copy_from(&SECRET),
    };
    api.user_with("yubi", "300", 0, vec![knows(), has]).await;
    api.user_with("careless", "301", 0, vec![knows()]).await;
    let yubi = |number| {
        json!({
            "username": "yubi", "passphrase": PASSPHRASE, "otp": otp(number),
            "apikey": APPLICATION, "logintype": "yubikey_otp",
        })
    };
    success(&api.try_login(&yubi(1)).await, 200);
    let careless = api.claim("careless");
    for (repeated, fresh) in [(yubi(1), yubi(2)), (careless.clone(), careless)] {
        for _ in 0..5 {
            failure(&api.try_login(&repeated).await, 403, "Login failed");
        }
        failure(&api.try_login(&fresh).await, 429, "TOO MANY REQUESTS");
    }
    api.pass(60_000);
    success(&api.try_login(&yubi(2)).await, 200);
}

#[tokio::test]
async fn a_login_ends_with_the_key_of_its_application_and_with_its_user() {
    let api = Api::without_logins(Settings::default()).await;
    let application = api.application("second", "SECOND").await;
    let mut claim = api.claim("walter");
    claim["apikey"] = json!("SECOND");
    let token = text(&success(&api.try_login(&claim).await, 200)["CALLINFO"], "token");
    success(&api.get(&token, "/auth/check").await, 200);
    let own = api.own_caller();
    let change = PrincipalChange { suspended: Some(true), ..PrincipalChange::default() };
    api.engine.update_principal(&own, application, &change).await.expect("a change");
    failure(&api.get(&token, "/auth/check").await, 403, "Token invalid");
    let change = PrincipalChange { suspended: Some(false), ..PrincipalChange::default() };
    api.engine.update_principal(&own, application, &change).await.expect("a change");
    failure(&api.get(&token, "/auth/check").await, 403, "Token invalid");
    let token = api.log_in("rosie").await;
    let admin = api.log_in("alice").await;
    success(&api.get(&token, "/auth/check").await, 200);
    let gone = success(&api.delete(&admin, "/user/103").await, 200);
    assert_eq!(gone["CALLINFO"]["calculated_status"], 0);
    failure(&api.get(&token, "/auth/check").await, 403, "Token invalid");
}
