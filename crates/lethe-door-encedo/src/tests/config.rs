//! The configuration, and the end of everything.

use http::Method;
use serde_json::{Value, json};

use super::support::{Api, NOW_S, body, status};
use crate::{Settings, b64};

#[tokio::test]
async fn a_change_is_real_or_says_that_it_is_none() {
    let api = Api::new().await;
    let token = api.token("system:config").await;
    let shown = async || body(&api.get(&token, "/api/system/config").await);
    assert_eq!(shown().await["uts"], NOW_S);
    let long = "x".repeat(74);
    let cases = [
        (json!({ "useR": "x" }), 200, false),
        (json!({}), 200, false),
        (json!({ "tls": { "key": "x" }, "dnsd": true, "storage_mode": 1 }), 200, false),
        (json!({ "user": long }), 400, false),
        (json!({ "user": "x".repeat(33) }), 400, false),
        (json!({ "user": 7 }), 400, false),
        (json!({ "user": "a\nb" }), 400, false),
        (json!({ "user": "n" }), 200, true),
        (json!({ "user": "n" }), 200, true),
        (json!({ "user": "x".repeat(32) }), 200, true),
        (json!({ "trusted_ts": "yes" }), 400, false),
        (json!({ "trusted_ts": false }), 200, true),
        (json!({ "http_option_dosprot_mode": 4, "http_option_hsts": true }), 200, true),
        (json!({ "http_option_dosprot_mode": 5 }), 400, false),
        (json!({ "ctx": -1 }), 400, false),
        (json!({ "ctx": 9, "email": "b@example.test", "origin": "*" }), 200, true),
        (json!({ "user": "half", "ctx": "x" }), 400, false),
        (json!({ "wipeout": "yes" }), 400, false),
        (json!({ "wipeout": false }), 200, false),
        (json!({ "userkey": b64::encode(&[9; 32]) }), 400, false),
        (json!({ "userkey": "x" }), 400, false),
    ];
    let mut uts = NOW_S;
    for (change, expected, updated) in cases {
        let answer = api.post(&token, "/api/system/config", &change).await;
        assert_eq!(status(&answer), expected, "{change}");
        assert_eq!(body(&answer)["updated"], updated, "{change}");
        uts += u64::from(updated);
        assert_eq!(shown().await["uts"], uts, "{change}");
    }
    let config = shown().await;
    assert_eq!((&config["ctx"], &config["origin"]), (&json!(9), &json!("*")));
    assert_eq!(config["user"], "x".repeat(32), "half of a change is none");
    assert_eq!(body(&api.get("", "/api/system/status").await)["tts"], false);
    let told = api.log_of_work().iter().filter(|event| event.starts_with("18/0 U")).count();
    assert_eq!(told, 6);
    for wrong in ["", "[]", "7", "null", "{", "{\"user\":}"] {
        let answer = api.ask(Method::POST, "/api/system/config", &token, wrong).await;
        assert_eq!(status(&answer), 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_configuration_says_what_clients_look_for() {
    let api = Api::new().await;
    let token = api.token("logger:get").await;
    let shown = body(&api.get(&token, "/api/system/config").await);
    for name in [
        "iat",
        "uts",
        "devid",
        "instanceid",
        "eid",
        "eid_sign",
        "user",
        "email",
        "hostname",
        "dnsd",
        "trusted_ts",
        "trusted_backend",
        "allow_keysearch",
        "origin",
        "ctx",
        "ip",
        "http_option_hsts",
        "http_option_dosprot_mode",
        "spk",
        "nonce",
    ] {
        assert!(shown.get(name).is_some(), "{name}");
    }
    assert!(shown.get("storage_mode").is_none());
    assert_eq!(shown["devid"].as_str().map(str::len), Some(16));
    let version = body(&api.get("", "/api/system/version").await);
    for name in ["hwv", "fwv", "fwk", "fws", "blv"] {
        assert!(version[name].is_string(), "{name}");
    }
    assert!(version["hwv"].as_str().is_some_and(|hwv| hwv.contains("EPA")));
    let any = api.token("nothing").await;
    let test = body(&api.get(&any, "/api/system/selftest").await);
    assert_eq!((&test["fls_state"], &test["repo_stats"]["total"]), (&json!(0), &json!(0)));
    let test = body(&api.get(&any, "/api/system/selftest").await);
    assert_eq!(test["last_fls_state"], 0);
    assert_eq!(status(&api.get("", "/api/system/selftest").await), 401);
}

#[tokio::test]
async fn status_tells_little_where_all_is_well() {
    let api = Api::new().await;
    let shown = body(&api.get("", "/api/system/status").await);
    let names: Vec<&String> = shown.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["ctx", "fls_state", "temp", "time", "ts", "uptime"]);
    assert_eq!((&shown["ts"], &shown["time"]), (&json!("2023-11-14T22:13:20Z"), &json!(NOW_S)));
    let path = "/api/system/status";
    for (host, told) in
        [("localhost", false), ("localhost:8443", false), ("LOCALHOST", false), ("other:443", true)]
    {
        let shown = body(&api.send(Method::GET, path, &[("host", host)], "").await);
        assert_eq!(shown.get("hostname").is_some(), told, "{host}");
    }
    api.state.set_fault(0x04);
    assert_eq!(body(&api.get("", path).await)["fls_state"], 4);
}

#[tokio::test]
async fn a_wipe_leaves_nothing() {
    let api = Api::new().await;
    for _ in 0..3 {
        api.key("AES128").await;
    }
    let eid = api.state.device().eid_public.clone();
    let list = api.token("keymgmt:list").await;
    let master = api.token_of(&api.master, "system:config").await;
    let wipe = json!({ "wipeout": true });
    // Who rescues the device has no right to its keys.
    assert_eq!(status(&api.post(&master, "/api/system/config", &wipe).await), 403);
    let token = api.token("system:config").await;
    let answer = api.post(&token, "/api/system/config", &wipe).await;
    assert_eq!((status(&answer), answer.body.len()), (200, 0));
    assert_eq!(api.state.key_count(), 0);
    assert_ne!(api.state.device().eid_public, eid);
    assert_eq!(body(&api.get("", "/api/system/status").await)["inited"], false);
    assert_eq!(status(&api.get(&list, "/api/system/status").await), 401);
    assert_eq!(status(&api.get("", "/api/auth/token").await), 409);
    assert_eq!(status(&api.get("", "/api/auth/init").await), 200);
    // Nobody owns it: nobody is asked for a token.
    for path in ["/api/system/selftest", "/api/system/reboot"] {
        assert_eq!(status(&api.get("", path).await), 200, "{path}");
    }
    assert_eq!(status(&api.get("", "/api/system/config").await), 401);
    let change = json!({ "user": "x" });
    assert_eq!(status(&api.post("", "/api/system/config", &change).await), 409);
    let nothing: Value = json!({ "unknown": 1 });
    assert_eq!(body(&api.post("", "/api/system/config", &nothing).await)["updated"], false);
}

#[tokio::test]
async fn a_shutdown_has_to_be_allowed() {
    let api = Api::new().await;
    let token = api.token("system:shutdown").await;
    assert_eq!(status(&api.get(&token, "/api/system/shutdown").await), 403);
    let api = Api::with(Settings { allow_shutdown: true, ..Settings::default() }).await;
    let (token, list) = (api.token("system:shutdown").await, api.token("keymgmt:list").await);
    assert_eq!(status(&api.get(&token, "/api/system/shutdown").await), 200);
    assert_eq!(status(&api.get(&list, "/api/keymgmt/list").await), 409);
    assert_eq!(body(&api.get("", "/api/system/status").await)["fls_state"], 0x80);
    assert_eq!(api.log().last(), Some(&"3/0 U".to_owned()));
    assert_eq!(status(&api.get(&token, "/api/system/reboot").await), 200);
    api.token("keymgmt:list").await;
}

#[test]
fn settings_are_read_strictly() {
    use crate::SettingValue::{Bool, Integer, Text};
    let mut settings = Settings::default();
    let good = [
        ("hwv", Text("SOFT PPA rev 1.0")),
        ("challenge_ttl", Integer(3_600)),
        ("max_token_lifetime", Integer(60)),
        ("title_case_headers", Bool(false)),
        ("rederive_after_delete", Bool(true)),
        ("raw_ecdh_truncate_32", Bool(true)),
        ("local_broker", Bool(true)),
        ("allow_shutdown", Bool(true)),
        ("keys_max", Integer(5)),
        ("initialised", Bool(false)),
    ];
    for (name, value) in good {
        assert_eq!(settings.set(name, value), Ok(()), "{name}");
    }
    let before = settings.clone();
    let wrong = [
        ("hwv", Text("")),
        ("hwv", Integer(1)),
        ("fwv", Text("x-DIAG")),
        ("fwv", Text("\u{e4}")),
        ("fws", Text("YQ==")),
        ("challenge_ttl", Integer(0)),
        ("challenge_ttl", Integer(86_401)),
        ("challenge_ttl", Text("60")),
        ("max_token_lifetime", Integer(-1)),
        ("local_broker", Integer(1)),
        ("keys_max", Integer(10_000_001)),
        ("plain", Bool(true)),
    ];
    for (name, value) in wrong {
        assert!(settings.set(name, value).is_err(), "{name} {value:?}");
    }
    assert_eq!(settings, before);
}
