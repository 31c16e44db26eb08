//! Keys: made, listed, named, delegated.

use http::Method;
use serde_json::{Value, json};

use super::support::{expect, org, refused, text};

#[tokio::test]
async fn every_pair_of_scheme_and_curve_makes_a_key() {
    let org = org().await;
    for (scheme, curve, digits) in [
        ("ECDSA", "secp256k1", 66),
        ("EdDSA", "ed25519", 64),
        ("Schnorr", "secp256k1", 66),
        ("DH", "secp256k1", 66),
    ] {
        let key = org.create(&json!({"scheme": scheme, "curve": curve})).await;
        let names: Vec<&String> = key.as_object().unwrap().keys().collect();
        let all = ["curve", "custodial", "dateCreated", "id", "publicKey", "scheme", "status"];
        assert_eq!(names, all, "nothing that is not there is told");
        assert_eq!((&key["scheme"], &key["curve"]), (&json!(scheme), &json!(curve)));
        assert_eq!((&key["status"], &key["custodial"]), (&json!("Active"), &json!(true)));
        assert_eq!(key["dateCreated"], json!("2026-04-20T00:00:00.000Z"));
        let public = text(&key["publicKey"]);
        assert_eq!(public.len(), digits);
        assert!(public.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        let id = text(&key["id"]);
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!((id.split('-').next(), parts), (Some("key"), vec![3, 5, 5, 16]));
        let shown = expect(&org.get(&format!("/keys/{id}")).await, 200);
        assert_eq!((&shown["wallets"], &shown["store"]["kind"]), (&json!([]), &json!("Hsm")));
        let master = json!({"scheme": scheme, "curve": curve, "masterKey": true});
        let master = org.post("/keys", &master).await;
        if (scheme, curve) == ("ECDSA", "secp256k1") {
            assert_eq!(expect(&master, 200)["masterKey"], json!(true));
        }
    }
    for (scheme, curve) in [
        ("ECDSA", "ed25519"),
        ("EdDSA", "secp256k1"),
        ("EdDSA", "stark"),
        ("Schnorr", "ed25519"),
        ("Schnorr", "stark"),
        ("DH", "ed25519"),
        ("DH", "stark"),
        ("ecdsa", "secp256k1"),
        ("ECDSA", "P-256"),
        ("", ""),
    ] {
        expect(&org.post("/keys", &json!({"scheme": scheme, "curve": curve})).await, 400);
    }
}

#[tokio::test]
async fn bodies_of_creations_are_closed() {
    let org = org().await;
    let plain = org.ed25519().await;
    for (name, value, status) in [
        ("name", json!(""), 200),
        ("name", json!("é".repeat(100)), 200),
        ("name", json!("\u{1f511} \u{202e}\u{0}"), 200),
        ("masterKey", json!(false), 200),
        ("delayDelegation", json!(true), 200),
        ("name", json!("é".repeat(101)), 400),
        ("name", json!(null), 400),
        ("name", json!(1), 400),
        ("masterKey", json!("true"), 400),
        ("masterKey", json!(null), 400),
        ("delayDelegation", json!(0), 400),
        ("deriveFrom", json!({"keyId": plain}), 400),
        ("deriveFrom", json!({"keyId": plain, "path": "m/0"}), 400),
        ("deriveFrom", json!({"keyId": plain, "path": "m"}), 400),
        ("deriveFrom", json!({"keyId": plain, "path": "m/0'"}), 400),
        ("deriveFrom", json!({"keyId": plain, "path": "m/01"}), 400),
        ("deriveFrom", json!({"keyId": plain, "path": "m/2147483648"}), 400),
        ("deriveFrom", json!({"keyId": plain, "path": "0/1"}), 400),
        ("deriveFrom", json!({"keyId": plain, "more": 1}), 400),
        ("deriveFrom", json!({}), 400),
        ("deriveFrom", json!(plain), 400),
        ("deriveFrom", json!({"keyId": "key-x"}), 404),
        ("storeId", json!("store-425nf-ebf0a-qq22t6qra51tj8j0"), 404),
        ("storeId", json!(""), 400),
        ("delegateTo", json!("us-x"), 404),
        ("delegateTo", json!(org.admin.user), 400),
        ("tags", json!([]), 400),
        ("Scheme", json!("EdDSA"), 400),
    ] {
        let mut body = json!({"scheme": "EdDSA", "curve": "ed25519"});
        body[name] = value.clone();
        let answer = org.post("/keys", &body).await;
        assert_eq!(answer.head.status.as_u16(), status, "{name} {value}");
        let shown = expect(&answer, status);
        if name == "name" && status == 200 {
            assert_eq!(shown["name"], value);
        }
    }
    for body in ["", "{}", "[]", r#"{"scheme":"EdDSA"}"#, r#"{"curve":"ed25519"}"#] {
        let answer = org.signed_as(&org.admin, Method::POST, "/keys", body).await;
        expect(&answer, 400);
    }
}

#[tokio::test]
async fn lists_come_in_pages() {
    let org = org().await;
    let mut made = Vec::new();
    for _ in 0..12 {
        org.world.pass(std::time::Duration::from_millis(5));
        made.push(org.ed25519().await);
    }
    let page = async |query: &str| {
        let answer = expect(&org.get(&format!("/keys{query}")).await, 200);
        let ids: Vec<String> =
            answer["items"].as_array().unwrap().iter().map(|key| text(&key["id"])).collect();
        (ids, answer.get("nextPageToken").map(text))
    };
    assert_eq!(page("").await, (made.clone(), None));
    let (first, next) = page("?limit=5").await;
    assert_eq!(first, made[..5]);
    // What goes between two pages neither repeats nor hides another.
    expect(&org.delete(&format!("/keys/{}", made[4])).await, 200);
    expect(&org.delete(&format!("/keys/{}", made[6])).await, 200);
    let next = next.unwrap();
    let (second, last) = page(&format!("?limit=5&paginationToken={next}")).await;
    assert_eq!(second, made[5..10]);
    let synonym = format!("?limit=500&pagination_token={}", last.unwrap());
    assert_eq!(page(&synonym).await, (made[10..].to_vec(), None));
    for query in [
        "?limit=0",
        "?limit=501",
        "?limit=abc",
        "?limit=-1",
        "?limit=",
        "?limit=1.0",
        "?limit=+1",
        "?paginationToken=",
        "?paginationToken=x",
        "?paginationToken=tok%2B1%2F%3D",
        &format!("?paginationToken={next}A"),
        &format!("?owner={}&paginationToken={next}", "us-x"),
    ] {
        let answer = org.get(&format!("/keys{query}")).await;
        if query.contains("owner") {
            assert_eq!(expect(&answer, 200)["items"], json!([]));
        } else {
            expect(&answer, 400);
        }
    }
    expect(&org.get("/keys?limit=500").await, 200);
}

#[tokio::test]
async fn a_key_is_named_anew_or_not_at_all() {
    let org = org().await;
    let id = org.ed25519().await;
    let path = format!("/keys/{id}");
    let named = async |name: Value| org.put(&path, &json!({"name": name})).await;
    assert_eq!(expect(&named(json!("café")).await, 200)["name"], json!("café"));
    assert_eq!(expect(&org.get(&path).await, 200)["name"], json!("café"));
    assert_eq!(expect(&named(json!("")).await, 200)["name"], json!(""));
    assert_eq!(expect(&named(json!(null)).await, 200).get("name"), None);
    for bad in [json!(1), json!("x".repeat(101)), json!({})] {
        expect(&named(bad).await, 400);
    }
    for body in ["", "{}", r#"{"name":"x","more":1}"#] {
        expect(&org.signed_as(&org.admin, Method::PUT, &path, body).await, 400);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_json() {
    let org = org().await;
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/dfns/keys"),
        (Method::PATCH, "/keys/x"),
        (Method::DELETE, "/keys"),
        (Method::POST, "/keys/x"),
        (Method::GET, "/keys/x/"),
    ] {
        let answer = org.send(&org.admin.token, method, path, &[], "").await;
        refused(&answer, 404);
    }
    let large = vec![b' '; 200_000];
    let answer = org.send(&org.admin.token, Method::POST, "/keys", &[], large).await;
    refused(&answer, 413);
}
