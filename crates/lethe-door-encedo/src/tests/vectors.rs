//! The published vectors: logins, keys, identifiers, authenticators, the log.

use lethe_crypto::kdf::{KdfHash, pbkdf2};
use serde_json::json;

use super::support::{Api, EID, NOW_S, Person, SPK, body, claims_of, counting, status, text};
use crate::b64;
use crate::device_log::render;
use crate::handlers::init::Keys;
use crate::journal::StoredBoot;
use crate::kid::Kid;

const EID_PUBLIC: &str = "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=";
const SPK_PUBLIC: &str = "NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlQ=";
const JTI: &str = "APFTZQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
const SHORT_JTI: &str = "APFTZQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs=";
const ISS: &str = "pcnwntTPSfQQkdVYxtiBIwxI/v4U+No8gwmQnR72Zkk=";
const MASTER: &str = "VdNSXs1zWeWMxj1IJl3LA3/pp+RlmVmYjQjzAtM63j0=";
const PID: &str = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8=";

/// The values of a name.
fn all(name: &'static str) -> impl Iterator<Item = &'static str> {
    let lines = include_str!("../testdata/published.txt").lines();
    lines.filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
}

fn published_one(name: &'static str) -> &'static str {
    all(name).next().expect("a value")
}

/// A device whose owner knows the published passphrases.
pub(super) async fn published() -> Api {
    let api = Api::fresh(crate::Settings::default()).await;
    let key = |text: &str| b64::decode_array(text).expect("a key");
    let keys = Keys { user: key(ISS), master: key(MASTER) };
    let config = crate::device::Config {
        hostname: "localhost".to_owned(),
        allow_keysearch: true,
        ..crate::device::Config::default()
    };
    crate::handlers::init::give(&api.state, config, keys).await.expect("an owner");
    api.pass(1_000);
    api
}

#[test]
fn a_passphrase_gives_the_published_keys() {
    assert_eq!(b64::encode(&Person::new(EID).public), EID_PUBLIC);
    assert_eq!(b64::encode(&Person::new(SPK).public), SPK_PUBLIC);
    let cases = [
        ("correct horse battery staple", ISS),
        ("example admin passphrase", MASTER),
        ("new passphrase", "plijoudI0kYcaJzs6I8lKEGytIK8QhLysOKNqgBF6D4="),
    ];
    for (passphrase, public) in cases {
        let private =
            pbkdf2(KdfHash::Sha256, 600_000, EID_PUBLIC.as_bytes(), passphrase.as_bytes(), 32);
        let private = private.expect("derived").expose().try_into().expect("32 bytes");
        assert_eq!(b64::encode(&Person::new(private).public), public, "{passphrase}");
    }
}

#[tokio::test]
async fn the_published_logins_are_good_once() {
    for auth in [published_one("auth_python"), published_one("auth_php")] {
        let api = published().await;
        api.state.boot().known.lock().push(JTI.to_owned());
        let login = json!({ "auth": auth });
        let token = text(&body(&api.post("", "/api/auth/token", &login).await), "token");
        assert!(token.starts_with("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9."));
        let claims = claims_of(&token);
        assert_eq!(claims["scope"], "keymgmt:del");
        assert_eq!(claims["sub"], "U");
        assert_eq!(claims["exp"], 1_700_028_800);
        assert_eq!(claims["iat"], NOW_S + 1);
        assert_eq!(b64::decode(&text(&claims, "jti")).map(|jti| jti.len()), Some(32));
        assert_eq!(status(&api.post("", "/api/auth/token", &login).await), 401);
        assert_eq!(api.log(), ["13/0 U 6b65796d676d743a64656c"]);
    }
}

#[tokio::test]
async fn the_published_proof_of_a_new_user_key_is_taken() {
    let api = published().await;
    api.state.boot().known.lock().push(SHORT_JTI.to_owned());
    api.state.boot().known.lock().push(JTI.to_owned());
    let login = json!({ "auth": published_one("auth_python") });
    let old = text(&body(&api.post("", "/api/auth/token", &login).await), "token");
    let session = crate::scope::Scope::parse("system:config").expect("a scope");
    let config =
        crate::handlers::auth::issue(&api.state, crate::state::Holder::User, &session, NOW_S + 100)
            .expect("a token");
    let mut change = json!({
        "userkey": "plijoudI0kYcaJzs6I8lKEGytIK8QhLysOKNqgBF6D4=",
        "userkey_nonce": SHORT_JTI,
        "userkey_hmac": "IN8LKyFYojqyv58FOp1vFrxHrPA74a1NUE7Gu9/mYuI=",
    });
    let mut altered = change.clone();
    altered["userkey_hmac"] = json!("IN8LKyFYojqyv58FOp1vFrxHrPA74a1NUE7Gu9/mYuJ=");
    assert_eq!(status(&api.post(&config, "/api/system/config", &altered).await), 400);
    altered["userkey_hmac"] = json!("JN8LKyFYojqyv58FOp1vFrxHrPA74a1NUE7Gu9/mYuI=");
    assert_eq!(status(&api.post(&config, "/api/system/config", &altered).await), 400);
    assert_eq!(status(&api.post(&config, "/api/system/config", &change).await), 200);
    // Tokens of before are worth nothing, and the proof is good once.
    assert_eq!(status(&api.get(&old, "/api/system/status").await), 401);
    change["user"] = json!("n");
    assert_eq!(status(&api.post(&config, "/api/system/config", &change).await), 401);
}

#[test]
fn identifiers_are_those_that_were_published() {
    let cases = [
        ("IYBby9t5R6aiQ13CE0RJ7Z0jIMOIXGLN+U9Tebo3/CU=", "09bd0958e1499ecfd51ea62a3f49a84c"),
        ("AmWHMI2mU68VmObAhUC06wuRksr/Z36l3vvASXM15SU4", "efea1f301ae4071952ae35c96719b897"),
        ("34Y7sClsC9HhkXyR3lIEtJa+BwPMwFkVNMXY8HTnAUs=", "b40ebec2e14056459f6b480063c8fe65"),
        ("/SXE0y/e8UeJG6qQcsoLNf3k8UV/7uNrjwdRK+yYqFA=", "fdeb9c3e05a098d09911e91a528d0040"),
    ];
    for (public, kid) in cases {
        let public = b64::decode(public).expect("base64");
        assert_eq!(Kid::of_public_key(&public).to_string(), kid);
    }
}

#[test]
fn the_published_log_comes_out() {
    let boot = StoredBoot {
        mac_key: b64::encode(&counting(0xc0)),
        signature: b64::encode(&b64::decode_url(published_one("log_signature")).expect("base64")),
        started: 0x6553_f100,
    };
    let events = [
        "6553f100|1|0||",
        "6553f10a|15|0|U|Cb0JWOFJns_VHqYqP0moTA",
        "6553f10b|15|1|U|Cb0JWOFJns_VHqYqP0moTA",
        "6553f10c|c|1|U|L2FwaS9rZXltZ210L2RlbGV0ZQ",
    ];
    let text = render("x", &boot, &events.map(str::to_owned), "").expect("a log");
    let lines = all("log_line").map(|line| format!("{line}\n"));
    let want = format!("# x\n{}", lines.collect::<String>());
    assert_eq!(text, want);
}

#[tokio::test]
async fn the_published_pairing_and_approval_come_out() {
    let api = published().await;
    api.state.boot().known.lock().push(SHORT_JTI.to_owned());
    let scope = crate::scope::Scope::parse("auth:ext:pair").expect("a scope");
    let holder = crate::state::Holder::User;
    let token = crate::handlers::auth::issue(&api.state, holder, &scope, NOW_S + 9_999);
    let token = token.expect("a token");
    let reply = published_one("reply");
    let tampered = reply.replace("KsHEXu", "KsHEXv");
    let validate = |reply: &str| json!({ "pid": PID, "reply": reply });
    let path = "/api/auth/ext/validate";
    assert_eq!(status(&api.post(&token, path, &validate(&tampered)).await), 401);
    let paired = body(&api.post(&token, path, &validate(reply)).await);
    assert_eq!(paired["kid"], "8a5841f34d74385e7ef6064833785540");
    assert_eq!(paired["code"], "Ecp6p2uFI20MHZvBwIZNldIfxI/eh1DwHp/6ZFJx6ZE=");
    assert_eq!(status(&api.post(&token, path, &validate(reply)).await), 401);

    let nonce = b64::decode(SHORT_JTI).expect("base64");
    let aid = Person::new(counting(0x40)).public;
    let sealed = crate::handlers::external::seal(&api.state, &aid, &nonce, "keymgmt:del");
    assert_eq!(
        sealed.expect("sealed"),
        "A84GCFCEXTM6qI8B9OxSaIkhVAZAHrkkQB4/a6HPvxi6BWk1A3lbJOYuW0JAxOiIY"
    );

    // The same nonce serves another purpose in the vectors.
    let authreply = published_one("authreply");
    let tampered = authreply.replace("9oC-RE", "9oC-RF");
    let path = "/api/auth/ext/token";
    let send = |reply: &str| json!({ "authreply": reply });
    assert_eq!(status(&api.post("", path, &send(&tampered)).await), 401);
    api.state.boot().forget_used();
    let approved = body(&api.post("", path, &send(authreply)).await);
    let claims = claims_of(&text(&approved, "token"));
    assert_eq!(claims["sub"], "ilhB8010OF5+9gZIM3hVQA==");
    assert_eq!(claims["scope"], "keymgmt:del");
    assert_eq!(claims["exp"], 1_700_000_900);
    let kid = "8a5841f34d74385e7ef6064833785540";
    let actor = b64::encode_url(&Kid::parse(kid).expect("a kid").0);
    assert_eq!(
        api.log(),
        [format!("15/0 U {kid}"), format!("14/0 {actor} 6b65796d676d743a64656c")]
    );
}
