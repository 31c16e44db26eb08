//! Keys: made, listed, searched, read, changed.

use serde_json::{Value, json};

use super::support::{Api, Person, body, status, text};
use crate::b64;
use crate::key::KeyType;

#[tokio::test]
async fn every_type_is_made_and_says_what_it_is() {
    let api = Api::new().await;
    let token = api.token("keymgmt:gen").await;
    let flags = |name: &str| match name {
        "SECP256R1" | "SECP384R1" | "SECP521R1" | "SECP256K1" => "ATT,PKEY,ECDH,ExDSA,",
        "CURVE25519" | "CURVE448" => "ATT,PKEY,ECDH,",
        "ED25519" | "ED448" => "ATT,PKEY,ExDSA,",
        name if name.starts_with("ML") => "ATT,PKEY,PQC,",
        _ => "ATT,",
    };
    let public_bytes = |name: &str| match name {
        "SECP256R1" | "SECP256K1" => Some(33),
        "SECP384R1" => Some(49),
        "SECP521R1" => Some(67),
        "CURVE25519" | "ED25519" => Some(32),
        "CURVE448" => Some(56),
        "ED448" => Some(57),
        "MLKEM512" => Some(800),
        "MLKEM768" => Some(1_184),
        "MLKEM1024" => Some(1_568),
        "MLDSA44" => Some(1_312),
        "MLDSA65" => Some(1_952),
        "MLDSA87" => Some(2_592),
        _ => None,
    };
    assert_eq!(KeyType::all().len(), 23);
    for key_type in KeyType::all() {
        let name = key_type.name;
        let kid = api.key(name).await;
        let shown = body(&api.get(&token, &format!("/api/keymgmt/get/{kid}")).await);
        let bytes = shown.get("pubkey").map(|_| b64::decode(&text(&shown, "pubkey")).unwrap());
        assert_eq!(bytes.as_ref().map(Vec::len), public_bytes(name), "{name}");
        let shown_type = text(&shown, "type");
        match &bytes {
            Some(bytes) => {
                assert_eq!(shown_type, name);
                assert_eq!(crate::kid::Kid::of_public_key(bytes).to_string(), kid);
            }
            None => assert_eq!(shown_type, format!("ATT,{name}")),
        }
        let key = api.state.key(crate::kid::Kid::parse(&kid).unwrap()).expect("there");
        assert_eq!(key.type_text, format!("{}{name}", flags(name)));
    }
}

#[tokio::test]
async fn modes_mean_something_on_weierstrass_curves_alone() {
    let api = Api::new().await;
    let token = api.token("keymgmt:gen").await;
    let cases = [
        ("AES256", json!("AES256"), 200, "ATT,AES256"),
        ("CURVE25519", json!(""), 200, "ATT,PKEY,ECDH,CURVE25519"),
        ("ED25519", json!(7), 200, "ATT,PKEY,ExDSA,ED25519"),
        ("SECP256R1", json!("X"), 400, ""),
        ("SECP256R1", json!(""), 400, ""),
        ("SECP256R1", json!(1), 400, ""),
        ("SECP256R1", json!("ExDSA,ECDH"), 400, ""),
        ("SECP256R1", json!("ECDH"), 200, "ATT,PKEY,ECDH,SECP256R1"),
        ("SECP384R1", json!("ExDSA"), 200, "ATT,PKEY,ExDSA,SECP384R1"),
        ("SECP521R1", json!("ECDH,ExDSA"), 200, "ATT,PKEY,ECDH,ExDSA,SECP521R1"),
    ];
    for (name, mode, expected, shown) in cases {
        let wanted = json!({ "label": "k", "type": name, "mode": mode });
        let answer = api.post(&token, "/api/keymgmt/create", &wanted).await;
        assert_eq!(status(&answer), expected, "{wanted}");
        if expected == 200 {
            let kid = crate::kid::Kid::parse(&text(&body(&answer), "kid")).unwrap();
            assert_eq!(api.state.key(kid).expect("there").type_text, shown);
        }
    }
    let log = api.log_of_work();
    assert!(log[0].starts_with("20/0 U ") && log[3] == "20/2 U", "{log:?}");
    // Without a mode a key agrees, and does not sign.
    let kid = api.create(&json!({ "label": "k", "type": "SECP256R1" })).await;
    let sign = json!({ "msg": "YQ==", "alg": "SHA256WithECDSA" });
    assert_eq!(status(&api.use_key(&kid, "exdsa/sign", sign).await), 406);
    assert_eq!(api.log_of_work().last(), Some(&format!("32/1 U {kid}")));
}

#[tokio::test]
async fn lists_come_in_pages_in_the_order_of_making() {
    let api = Api::new().await;
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(api.key("AES128").await);
        api.pass(1_000);
    }
    let token = api.token("keymgmt:list").await;
    let page = async |path: &str| {
        let listed = body(&api.get(&token, &format!("/api/keymgmt/list{path}")).await);
        let kids = listed["list"].as_array().expect("a list").iter().map(|key| text(key, "kid"));
        assert_eq!((&listed["total"], &listed["deleted"]), (&json!(20), &json!(0)));
        let kids: Vec<String> = kids.collect();
        assert_eq!(listed["listed"], json!(kids.len()));
        kids
    };
    assert_eq!(page("").await, made[..15]);
    assert_eq!(page("/0").await, made[..15]);
    assert_eq!(page("/0/50").await, made[..15]);
    assert_eq!(page("/0/10").await, made[..10]);
    assert_eq!(page("/15").await, made[15..]);
    assert_eq!(page("/19/1").await, made[19..]);
    assert_eq!(page("/20").await, made[20..]);
    assert_eq!(page("/99999999999999999999999").await, made[20..]);
    assert_eq!(page("/3/0").await, made[20..]);
    for wrong in ["/x", "/-1", "/0/x", "/0/-1", "/0x1", "/1.0", "/%20"] {
        let answer = api.get(&token, &format!("/api/keymgmt/list{wrong}")).await;
        assert_eq!(status(&answer), 406, "{wrong}");
    }
    let one = body(&api.get(&token, "/api/keymgmt/list/0/1").await)["list"][0].clone();
    let kid = &made[0];
    let now = super::support::NOW_S;
    let want = json!({
        "kid": kid, "created": now, "updated": now, "type": "ATT,AES128", "label": "a key",
    });
    assert_eq!(one, want);
}

#[tokio::test]
async fn keys_are_found_by_their_descriptions() {
    let api = Api::new().await;
    for descr in ["ETSPID1", "ETSPID2", "xETSPID", "ETS", "\u{ff}"] {
        let descr = b64::encode(descr.as_bytes());
        api.create(&json!({ "label": "k", "type": "AES128", "descr": descr })).await;
    }
    api.key("AES128").await;
    let token = api.token("keymgmt:search").await;
    let b = |text: &str| b64::encode(text.as_bytes());
    let search = |descr: String| json!({ "descr": descr });
    let cases = [
        (search(format!("^{}", b("ETSPID"))), 200, 2),
        (search(b("ETSPID")), 200, 3),
        (search(format!("{}$", b("ETSPID"))), 200, 1),
        (search(format!("^{}$", b("ETS"))), 200, 1),
        (search(format!("^{}", b("none"))), 200, 0),
        (search(String::new()), 200, 6),
        (json!({ "descr": b("ETS"), "offset": 1 }), 200, 3),
        (json!({ "descr": b("ETS"), "offset": 1, "limit": 1 }), 200, 1),
        (json!({ "descr": b("ETS"), "limit": 0 }), 200, 0),
        (json!({ "descr": b("ETS"), "limit": 99 }), 200, 4),
        (json!({ "descr": b("ETS"), "offset": 99 }), 200, 0),
        (search(b64::encode(&[1; 64])), 200, 0),
        (search(b64::encode(&[1; 65])), 406, 0),
        (json!({ "descr": b("ETS"), "offset": -1 }), 400, 0),
        (json!({ "descr": b("ETS"), "offset": "0" }), 400, 0),
        (json!({ "descr": 7 }), 400, 0),
        (json!({}), 400, 0),
        (search("!!".to_owned()), 400, 0),
    ];
    for (request, expected, found) in cases {
        let answer = api.post(&token, "/api/keymgmt/search", &request).await;
        assert_eq!(status(&answer), expected, "{request}");
        if expected == 200 {
            let shown = body(&answer);
            assert_eq!(
                (&shown["listed"], &shown["total"]),
                (&json!(found), &json!(6)),
                "{request}"
            );
        }
    }
}

#[tokio::test]
async fn anybody_finds_what_begins_with_enough() {
    let api = Api::new().await;
    let needle = |bytes: usize| json!({ "descr": format!("^{}", b64::encode(&vec![65; bytes])) });
    let path = "/api/keymgmt/search";
    assert_eq!(status(&api.post("", path, &needle(5)).await), 401);
    assert_eq!(status(&api.post("", path, &needle(6)).await), 200);
    assert_eq!(status(&api.post("", path, &json!({ "descr": "QUFBQUFB" })).await), 401);
    assert_eq!(status(&api.post("", path, &json!({})).await), 401);
    let list = api.token("keymgmt:list").await;
    let pair = api.token("auth:ext:pair").await;
    let other = api.token("keymgmt:gen").await;
    let master = api.token_of(&api.master, "keymgmt:search").await;
    for (token, expected) in [(&list, 200), (&pair, 200), (&other, 403), (&master, 403)] {
        assert_eq!(status(&api.post(token, path, &needle(1)).await), expected);
    }
    let config = api.token("system:config").await;
    let off = json!({ "allow_keysearch": false });
    assert_eq!(status(&api.post(&config, "/api/system/config", &off).await), 200);
    assert_eq!(status(&api.post("", path, &needle(6)).await), 401);
    assert_eq!(status(&api.post(&other, path, &needle(6)).await), 403);
}

#[tokio::test]
async fn an_update_writes_the_record_anew() {
    let api = Api::new().await;
    let descr = b64::encode(b"before");
    let kid = api.create(&json!({ "label": "old", "type": "AES128", "descr": descr })).await;
    let token = api.token("keymgmt:upd").await;
    let shown = || api.state.key(crate::kid::Kid::parse(&kid).unwrap()).expect("there");
    let before = shown().updated;
    let update =
        async |change: Value| status(&api.post(&token, "/api/keymgmt/update", &change).await);
    let descr = b64::encode(b"after");
    assert_eq!(update(json!({ "kid": kid, "label": " new ", "descr": descr })).await, 200);
    let key = shown();
    assert_eq!((key.label.as_str(), key.descr.as_slice()), (" new ", b"after".as_slice()));
    assert_eq!(key.updated, before + 1, "it rises within a second");
    assert_eq!(update(json!({ "kid": kid, "label": "new" })).await, 200);
    assert_eq!((shown().descr.len(), shown().updated), (0, before + 2));
    for wrong in [
        json!({ "kid": kid }),
        json!({ "label": "x" }),
        json!({ "kid": kid, "label": "" }),
        json!({ "kid": kid, "label": "x".repeat(33) }),
        json!({ "kid": kid, "label": "\u{e4}" }),
        json!({ "kid": "x", "label": "x" }),
        json!({ "kid": kid, "label": "x", "descr": b64::encode(&[1; 129]) }),
    ] {
        assert_eq!(update(wrong.clone()).await, 400, "{wrong}");
    }
    assert_eq!(update(json!({ "kid": kid, "label": "x".repeat(32) })).await, 200);
    assert!(api.log_of_work().contains(&"25/2 U".to_owned()));
}

#[tokio::test]
async fn public_keys_come_in_if_they_are_exactly_that() {
    let api = Api::new().await;
    let token = api.token("keymgmt:imp").await;
    let point = b64::decode("AmWHMI2mU68VmObAhUC06wuRksr/Z36l3vvASXM15SU4").unwrap();
    let x = b64::encode(&Person::new([0x55; 32]).public);
    let import = |name: &str, public: &[u8]| {
        let public = b64::encode(public);
        json!({ "label": "p", "type": name, "mode": "ECDH", "pubkey": public })
    };
    let cases: Vec<(Value, u16)> = vec![
        (import("SECP256R1", &point), 200),
        (import("SECP256R1", &point), 406),
        (import("SECP256K1", &point), 406),
        (import("SECP256R1", &point[..32]), 406),
        (import("SECP256R1", &[0; 33]), 406),
        (import("CURVE25519", &[9; 31]), 406),
        (import("CURVE25519", &[0; 32]), 406),
        (import("AES256", &[9; 32]), 406),
        (import("NOTHING", &[9; 32]), 406),
        (import("MLKEM512", &[0; 799]), 406),
        (json!({ "label": "p", "type": "CURVE25519", "pubkey": x }), 200),
        (json!({ "label": "p", "type": "CURVE25519" }), 400),
        (json!({ "label": "p", "type": "CURVE25519", "pubkey": "*" }), 400),
        (json!({ "type": "CURVE25519", "pubkey": x }), 400),
    ];
    for (request, expected) in cases {
        let answer = api.post(&token, "/api/keymgmt/import", &request).await;
        assert_eq!(status(&answer), expected, "{request}");
    }
    let kid = "efea1f301ae4071952ae35c96719b897";
    let key = api.state.key(crate::kid::Kid::parse(kid).unwrap()).expect("there");
    assert_eq!(key.type_text, "ECDH,SECP256R1");
    let log = api.log_of_work();
    assert_eq!(log[..2], [format!("22/0 U {kid}"), "22/1 U".to_owned()]);
}

#[tokio::test]
async fn derivations_say_what_they_cannot_do() {
    let api = Api::new().await;
    let (x, w) = (api.key("CURVE25519").await, api.key("SECP256R1").await);
    let (big, signer) = (api.key("SECP521R1").await, api.key("ED25519").await);
    let token = api.token("keymgmt:derive").await;
    let peer = b64::encode(&Person::new([0x66; 32]).public);
    let of = |kid: &str, name: &str| json!({ "kid": kid, "label": "d", "type": name });
    let with = |mut request: Value, name: &str, value: &str| {
        request[name] = json!(value);
        request
    };
    let unknown = "0".repeat(32);
    let cases = [
        (with(of(&x, "AES256"), "pubkey", &peer), 200),
        (with(of(&x, "SHA2-384"), "pubkey", &peer), 406),
        (with(of(&x, "SHA2-512"), "pubkey", &peer), 406),
        (with(of(&x, "CURVE448"), "pubkey", &peer), 406),
        (with(of(&x, "MLKEM768"), "pubkey", &peer), 400),
        (with(of(&x, "NOTHING"), "pubkey", &peer), 400),
        (of(&x, "AES256"), 400),
        (with(of(&x, "AES256"), "pubkey", "!"), 400),
        (with(of(&x, "AES256"), "ext_kid", "zz"), 400),
        (with(of(&x, "AES256"), "ext_kid", &unknown), 406),
        (with(of(&x, "AES256"), "ext_kid", &w), 406),
        (with(of(&unknown, "AES256"), "pubkey", &peer), 406),
        (with(of(&signer, "AES256"), "pubkey", &peer), 406),
        (with(of(&w, "SECP256R1"), "ext_kid", &w), 200),
        (with(of(&big, "SECP521R1"), "ext_kid", &big), 200),
        (with(of(&big, "ED448"), "ext_kid", &big), 200),
        (with(with(of(&x, "AES128"), "pubkey", &peer), "descr", "!"), 200),
        (with(with(of(&w, "SECP256K1"), "ext_kid", &w), "mode", "?"), 400),
    ];
    for (request, expected) in cases {
        let answer = api.post(&token, "/api/keymgmt/derive", &request).await;
        assert_eq!(status(&answer), expected, "{request}");
    }
    let list = api.token("keymgmt:list").await;
    let listed = body(&api.get(&list, "/api/keymgmt/list").await);
    let types: Vec<String> =
        listed["list"].as_array().unwrap().iter().map(|key| text(key, "type")).collect();
    assert!(types.contains(&"PKEY,ECDH,SECP256R1".to_owned()), "{types:?}");
    assert!(types.contains(&"AES256".to_owned()) && types.contains(&"PKEY,ExDSA,ED448".to_owned()));
}

#[tokio::test]
async fn there_are_as_many_keys_as_the_operator_says() {
    let api = Api::with(crate::Settings { keys_max: 2, ..crate::Settings::default() }).await;
    api.key("AES128").await;
    let kid = api.key("AES128").await;
    let token = api.token("keymgmt:gen").await;
    let wanted = json!({ "label": "k", "type": "AES128" });
    assert_eq!(status(&api.post(&token, "/api/keymgmt/create", &wanted).await), 406);
    assert_eq!(api.log_of_work().last(), Some(&"20/1 U".to_owned()));
    let delete = api.token("keymgmt:del").await;
    assert_eq!(api.delete(&delete, &kid).await, 200);
    assert_eq!(status(&api.post(&token, "/api/keymgmt/create", &wanted).await), 200);
}
