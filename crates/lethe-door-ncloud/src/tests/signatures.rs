//! Who may in: the published vectors, what real clients do differently, and everything else.

use http::Method;

use super::support::{ACCESS_KEY, G401, N404, NOW_MS, Rig, data, refused, sign_as_vectors};

const TAG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const API_KEY: &str = "APIKEYEXAMPLE0123456789";
const V1: &str = "x-ncp-apigw-signature-v1";
const V2: &str = "x-ncp-apigw-signature-v2";

/// Whether a request with this signature is let in; the key is none that there is.
async fn is_in(
    rig: &Rig,
    method: Method,
    target: &str,
    (header, signature): (&str, &str),
    more: &[(&str, &str)],
) -> bool {
    let timestamp = NOW_MS.to_string();
    let mut headers = vec![
        ("x-ncp-apigw-timestamp", timestamp.as_str()),
        ("x-ncp-iam-access-key", ACCESS_KEY),
        (header, signature),
    ];
    headers.extend(more);
    let answer = rig.raw(method, target, &headers, "{}").await;
    let is_in = answer.head.status != 401;
    if is_in && answer.head.status != 200 {
        refused(&answer, N404);
    }
    if !is_in {
        refused(&answer, G401);
    }
    is_in
}

#[tokio::test]
async fn the_published_signatures_are_let_in() {
    let rig = Rig::new().await;
    let api_key = [("x-ncp-apigw-api-key", API_KEY)];
    let cases: [(Method, String, &str, &str, &[_]); 6] = [
        (
            Method::POST,
            format!("/kms/v1/keys/{TAG}/encrypt"),
            V2,
            "PUUh6V+pX8NzOJDUnIFJxuTYmu8gC9tAkX+1d3EunHU=",
            &[],
        ),
        (
            Method::GET,
            "/kms/v1/keys?pageNo=1&pageSize=10".to_owned(),
            V2,
            "dUt7hSqxalkX3kERDLyj/o0biQPhFPS5TQQaxOXWeII=",
            &[],
        ),
        (
            Method::DELETE,
            format!("/kms/v1/keys/{TAG}"),
            V2,
            "yWNsoSde7PPMSzI8qMqWMPU2Q5TdSmOAXaReqbjTKRc=",
            &[],
        ),
        // Signed with a `?` that was not sent.
        (
            Method::DELETE,
            format!("/kms/v1/keys/{TAG}"),
            V2,
            "3MHDYAdUM6joqPB+BnM2Eay9CGx7YmgdmvhNIpv7lNA=",
            &[],
        ),
        (
            Method::POST,
            format!("/keys/v2/{TAG}/decrypt"),
            V2,
            "4oHQMg48FMlGNM6iHEsyfXNHsEJPNlHAEx/03HyXtjQ=",
            &[],
        ),
        (
            Method::POST,
            format!("/keys/v1/{TAG}/encrypt"),
            V1,
            "Ag4cBl3zOjvoOM0s1EPkfCdQSovbYz8qPzrq8Niubp0=",
            &api_key,
        ),
    ];
    for (method, target, header, signature, more) in cases {
        let let_in = is_in(&rig, method.clone(), &target, (header, signature), more).await;
        assert!(let_in, "{method} {target}");
        // The same signature for another method, path or interface.
        for (method, target) in [
            (Method::GET, "/kms/v1/keys?pageSize=10&pageNo=1".to_owned()),
            (Method::GET, format!("/kms/v1/keys/{TAG}")),
            (Method::POST, format!("/kms/v1/keys/{TAG}/decrypt")),
            (Method::POST, format!("/keys/v2/{TAG}/encrypt")),
        ] {
            let let_in = is_in(&rig, method.clone(), &target, (header, signature), more).await;
            assert!(!let_in, "{method} {target}");
        }
    }
}

#[tokio::test]
async fn what_real_clients_do_differently_is_let_in_and_nothing_else() {
    let rig = Rig::new().await;
    let encrypt = format!("/kms/v1/keys/{TAG}/encrypt");
    let api_key = [("x-ncp-apigw-api-key", API_KEY)];
    let time = format!("{NOW_MS}\n{ACCESS_KEY}");
    let time_1 = format!("{NOW_MS}\n{API_KEY}\n{ACCESS_KEY}");
    let post = |target: &str, rest: &str| sign_as_vectors(&format!("POST {target}\n{rest}"));
    let get = |target: &str| sign_as_vectors(&format!("GET {target}\n{time}"));
    let second = post(&encrypt, &time);
    let first = post(&encrypt, &time_1);
    let is_post = async |header, signature: &str, more: &[(&str, &str)]| {
        is_in(&rig, Method::POST, &encrypt, (header, signature), more).await
    };
    // An API key beside version 2 is no part of what is signed.
    assert!(is_post(V2, &second, &api_key).await);
    assert!(!is_post(V2, &first, &api_key).await);
    // The message of version 2 in the header of version 1, without an API key.
    assert!(is_post(V1, &second, &[]).await);
    assert!(!is_post(V1, &second, &api_key).await);
    assert!(is_post(V1, &first, &api_key).await);
    assert!(!is_post(V1, &first, &[("x-ncp-apigw-api-key", "another")]).await);
    assert!(!is_post(V1, &first, &[]).await);
    // Where both are there, version 2 counts.
    assert!(is_post(V2, &second, &[(V1, "nonsense")]).await);
    assert!(!is_post(V1, &second, &[(V2, "nonsense")]).await);

    let is_get = async |target: &str, signature: &str| {
        is_in(&rig, Method::GET, target, (V2, signature), &[]).await
    };
    let listed = "/kms/v1/keys?pageNo=1&pageSize=10";
    assert!(is_get(listed, &get(listed)).await);
    assert!(!is_get(listed, &get("/kms/v1/keys?pageSize=10&pageNo=1")).await);
    assert!(!is_get(listed, &get("/kms/v1/keys")).await);
    assert!(!is_get(listed, &get("/kms/v1/keys?")).await);
    assert!(!is_get("/kms/v1/keys", &get(listed)).await);
    assert!(is_get("/kms/v1/keys?", &get("/kms/v1/keys?")).await);
    assert!(is_get("/kms/v1/keys", &get("/kms/v1/keys?")).await);
    let found = format!("/kms/v1/keys/{TAG}/activities?keyword=a%20b");
    assert!(is_get(&found, &get(&found)).await);
    assert!(is_get(&found, &get(&found.replace("%20", " "))).await);
    assert!(!is_get(&found, &get(&found.replace("%20", "+"))).await);
}

#[tokio::test]
async fn stale_incomplete_and_wrong_signatures_are_refused_alike() {
    let rig = Rig::new().await;
    let target = "/kms/v1/keys";
    let signed = |timestamp: &str, access_key: &str| {
        sign_as_vectors(&format!("GET {target}\n{timestamp}\n{access_key}"))
    };
    let now = NOW_MS.to_string();
    let good = signed(&now, ACCESS_KEY);
    let mut bodies = Vec::new();
    let mut check = async |timestamp: &str, access_key: &str, signature: &str, is_right: bool| {
        let headers = [
            ("x-ncp-apigw-timestamp", timestamp),
            ("x-ncp-iam-access-key", access_key),
            (V2, signature),
        ];
        let headers: Vec<_> = headers.into_iter().filter(|(_, value)| *value != "-").collect();
        let answer = rig.raw(Method::GET, target, &headers, "").await;
        if is_right {
            data(&answer);
        } else {
            refused(&answer, G401);
            bodies.push(answer.body);
        }
    };
    for (milliseconds, is_right) in [
        (0, true),
        (299_999, true),
        (300_000, false),
        (301_000, false),
        (-299_999, true),
        (-300_000, false),
        (-301_000, false),
        (-1_000_000_000, false),
    ] {
        let timestamp = NOW_MS.checked_add_signed(milliseconds).expect("in range").to_string();
        check(&timestamp, ACCESS_KEY, &signed(&timestamp, ACCESS_KEY), is_right).await;
    }
    // Signed rightly, each, but no time in milliseconds.
    let long = format!("0000000{now}");
    for timestamp in ["", "now", "1733468239.421", "-1733468239421", "+1733468239421", &long] {
        check(timestamp, ACCESS_KEY, &signed(timestamp, ACCESS_KEY), false).await;
    }
    let seconds = (NOW_MS / 1_000).to_string();
    check(&seconds, ACCESS_KEY, &signed(&seconds, ACCESS_KEY), false).await;
    for access_key in ["AKNOBODY", "", "-", "akexample0123456789a"] {
        check(&now, access_key, &signed(&now, access_key), false).await;
    }
    let url_safe = good.replace('+', "-").replace('/', "_");
    let unpadded = good.trim_end_matches('=');
    let other = signed(&now, "AKNOBODY");
    for signature in ["", "-", &good[..40], unpadded, &other, "AAAA", "%%%"] {
        check(&now, ACCESS_KEY, signature, false).await;
    }
    if url_safe != good {
        check(&now, ACCESS_KEY, &url_safe, false).await;
    }
    check("-", ACCESS_KEY, &good, false).await;
    // The same request again is no fault: clients try again.
    check(&now, ACCESS_KEY, &good, true).await;
    check(&now, ACCESS_KEY, &good, true).await;
    assert!(bodies.iter().all(|body| *body == bodies[0]), "who guesses learns nothing");
}

#[tokio::test]
async fn two_of_one_header_prove_nothing_and_no_header_neither() {
    let rig = Rig::new().await;
    let now = NOW_MS.to_string();
    let signature = sign_as_vectors(&format!("GET /kms/v1/keys\n{now}\n{ACCESS_KEY}"));
    let headers = [
        ("x-ncp-apigw-timestamp", now.as_str()),
        ("x-ncp-iam-access-key", ACCESS_KEY),
        (V2, &signature),
    ];
    for twice in 0..3 {
        let mut headers = headers.to_vec();
        headers.push(headers[twice]);
        refused(&rig.raw(Method::GET, "/kms/v1/keys", &headers, "").await, G401);
    }
    rig.audit.take();
    refused(&rig.raw(Method::GET, "/kms/v1/keys", &[], "").await, G401);
    let refusal = Some("authentication_not_successful");
    assert_eq!(rig.audit.take(), [("authenticate".to_owned(), refusal)]);
}
