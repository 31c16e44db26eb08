//! The way of a request, without sockets.

use core::time::Duration;
use std::sync::Arc;

use http::{Request as HttpRequest, Version};

use super::support::{Gate, TestDoor, reach};
use crate::request::Params;
use crate::testing::{Answer, DoorUnderTest};
use crate::*;

fn door_with(options: ListenerOptions, rules: DoorRules) -> (DoorUnderTest, Arc<Gate>) {
    let (door, gate) = TestDoor::new();
    (DoorUnderTest::with(Arc::new(door.with_rules(rules)), options, true), gate)
}

fn door() -> DoorUnderTest {
    door_with(ListenerOptions::default(), DoorRules::default()).0
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> HttpRequest<String> {
    let mut builder = HttpRequest::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.to_owned()).expect("a request")
}

#[track_caller]
fn check(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.head.status.as_u16(), &*answer.body), (status, body.as_bytes()));
    let name = answer.head.headers.get("x-door").map(|v| v.as_bytes());
    assert_eq!(name, Some(&b"test"[..]), "every answer gets the last look");
}

#[tokio::test]
async fn each_cause_has_its_fall_back() {
    let door = door();
    let cases: &[(&str, &str, u16, &str)] = &[
        ("GET", "/ping", 200, "pong"),
        ("GET", "/blocking", 200, "slow"),
        ("GET", "/none", 404, "NotFound"),
        ("PATCH", "/echo", 405, "MethodNotAllowed { allow: \"POST, PUT\" }"),
        ("GET", "/items/a%2Fb%20%25/c/%C3%A4?x=1", 200, "a/b %|c/ä"),
        ("GET", "/items/plain/c/d", 200, "plain|c/d"),
        ("GET", "/items/%4/x", 400, "BadRequest(InvalidPathEncoding { parameter: \"id\" })"),
        ("GET", "/items/a/%ff", 400, "BadRequest(InvalidPathEncoding { parameter: \"rest\" })"),
        ("GET", "/use-soon", 504, "Timeout"),
        ("DELETE", "/mutate-soon", 504, "Timeout"),
        ("GET", "/panic/ready", 500, "HandlerPanicked"),
        ("GET", "/panic/pending", 500, "HandlerPanicked"),
        ("GET", "/panic/detached", 500, "HandlerPanicked"),
        ("GET", "/panic/blocking", 500, "HandlerPanicked"),
    ];
    for (method, path, status, body) in cases {
        check(&door.send(request(method, path, &[], "")).await, *status, body);
    }
}

#[tokio::test]
async fn the_screen_comes_before_the_routes_and_panics_are_contained() {
    let door = door();
    let send =
        async |name, value, path| door.send(request("GET", path, &[(name, value)], "")).await;
    check(&send("x-screen", "1", "/none").await, 200, "screened");
    check(&send("x-screen", "panic", "/ping").await, 500, "HandlerPanicked");
    let bare = door.send(request("GET", "/ping", &[("x-finish-panics", "1")], "")).await;
    assert_eq!((bare.head.status.as_u16(), bare.body.len()), (500, 0));
    check(&send("x-fallback-panics", "1", "/none").await, 500, "");
    check(&send("x-other", "1", "/ping").await, 200, "pong");
}

#[tokio::test]
async fn bodies_have_their_limit_and_their_length_where_it_is_asked_for() {
    let door = door();
    let send = async |body: &str| door.send(request("POST", "/echo", &[], body)).await;
    check(&send("").await, 200, "");
    check(&send(&"x".repeat(16)).await, 200, &"x".repeat(16));
    check(&send(&"x".repeat(17)).await, 413, "BodyTooLarge { limit_bytes: 16 }");
    let rules = DoorRules { requires_content_length: true, ..DoorRules::default() };
    let (strict, gate) = door_with(ListenerOptions::default(), rules);
    for (method, headers, status) in [
        ("POST", &[][..], 411),
        ("PUT", &[][..], 411),
        ("POST", &[("content-length", "2")][..], 200),
    ] {
        let answer = strict.send(request(method, "/echo", headers, "ab")).await;
        assert_eq!(answer.head.status.as_u16(), status, "{method}");
    }
    assert_eq!(gate.calls(), 1);
    check(&strict.send(request("DELETE", "/ping", &[], "")).await, 405, ALLOW_GET);
    check(&strict.send(request("GET", "/ping", &[], "")).await, 200, "pong");
}

#[tokio::test]
async fn large_bodies_share_one_room() {
    let options = ListenerOptions { large_bodies_bytes_max: 300_000, ..ListenerOptions::default() };
    let (door, gate) = door_with(options, DoorRules::default());
    let door = Arc::new(door);
    let post = |path: &str, bytes: usize| request("POST", path, &[], &"x".repeat(bytes));
    let status = async |path: &str, bytes| door.send(post(path, bytes)).await.head.status.as_u16();
    // What is answered is given back.
    for bytes in [300_000, 300_000, 65_537, 300_000] {
        assert_eq!(status("/large", bytes).await, 200, "{bytes}");
    }
    check(&door.send(post("/large", 300_001)).await, 503, "Overloaded");
    let (holder, held) = (Arc::clone(&door), post("/hold", 200_000));
    let held = tokio::spawn(async move { holder.send(held).await });
    reach(&gate.entered, |count| *count == 1).await;
    assert_eq!(status("/large", 100_000).await, 200);
    assert_eq!(status("/large", 100_001).await, 503);
    // Small ones need no room.
    assert_eq!(status("/large", SMALL_BODY_BYTES).await, 200);
    gate.is_open.send_replace(true);
    assert_eq!(held.await.expect("it was answered").head.status.as_u16(), 200);
    assert_eq!(status("/large", 300_000).await, 200);
    assert!(door.metrics().contains("lethe_http_large_bodies_bytes{listener=\"test\"} 0\n"));
}

#[tokio::test]
async fn a_stranger_s_large_body_is_not_taken() {
    let (door, gate) = door_with(ListenerOptions::default(), DoorRules::default());
    let send = async |path: &str, headers: &[(&str, &str)], bytes: usize| {
        door.send(request("POST", path, headers, &"x".repeat(bytes))).await
    };
    check(&send("/guarded", &[], SMALL_BODY_BYTES + 1).await, 200, "a stranger");
    check(&send("/guarded", &[("x-admit", "panic")], 100_000).await, 500, "HandlerPanicked");
    let too_large = "BodyTooLarge { limit_bytes: 1000000 }";
    check(&send("/guarded", &[], 1_000_001).await, 413, too_large);
    assert_eq!(gate.calls(), 0);
    // The handler sees to small ones, and to routes that are open to anyone.
    for (path, headers, bytes) in [
        ("/guarded", &[][..], SMALL_BODY_BYTES),
        ("/guarded", &[("x-admit", "1")][..], 1_000_000),
        ("/large", &[][..], 1_000_000),
    ] {
        let answer = send(path, headers, bytes).await;
        assert_eq!((answer.head.status.as_u16(), answer.body.len()), (200, bytes), "{path}");
    }
    assert_eq!(gate.calls(), 3);
}

const ALLOW_GET: &str = "MethodNotAllowed { allow: \"GET, HEAD\" }";

#[tokio::test]
async fn heads_have_their_limits_and_one_past_them_is_refused() {
    // `host: localhost` is counted: 13 bytes and one header.
    let options = ListenerOptions {
        headers_max: 3,
        header_bytes_max: 13 + 2 * 10,
        uri_bytes_max: 12,
        ..ListenerOptions::default()
    };
    let (door, _) = door_with(options, DoorRules::default());
    let send = async |path: &str, headers: &[(&str, &str)]| {
        let answer = door.send(request("GET", path, headers, "")).await;
        (answer.head.status.as_u16(), String::from_utf8(answer.body.to_vec()).expect("UTF-8"))
    };
    let is = |status: u16, body: &str| (status, body.to_owned());
    assert_eq!(send("/ping?123456", &[]).await, is(200, "pong"));
    assert_eq!(send("/ping?1234567", &[]).await, is(414, "UriTooLong"));
    let header = |value| ("x-a", value);
    assert_eq!(send("/ping", &[header("1234567"), header("1234567")]).await, is(200, "pong"));
    let too_large = is(431, "HeadersTooLarge");
    assert_eq!(send("/ping", &[header("1234567"), header("12345678")]).await, too_large);
    assert_eq!(send("/ping", &[header("1"), header("1")]).await, is(200, "pong"));
    assert_eq!(send("/ping", &[header("1"), header("1"), header("1")]).await, too_large);
}

#[tokio::test]
async fn a_host_is_needed_once() {
    let (door, _) = door_with(ListenerOptions::default(), DoorRules::default());
    let two = request("GET", "/ping", &[("host", "a"), ("host", "a")], "");
    check(&door.send(two).await, 400, "BadRequest(SeveralHosts)");
    let absolute = request("GET", "http://other/ping", &[("host", "a")], "");
    check(&door.send(absolute).await, 200, "pong");
    let mut old = request("GET", "/ping", &[], "");
    *old.version_mut() = Version::HTTP_10;
    check(&door.send(old).await, 200, "pong");
}

#[tokio::test]
async fn head_is_answered_by_get_without_its_body() {
    let answer = door().send(request("HEAD", "/ping", &[], "")).await;
    check(&answer, 200, "");
    assert_eq!(answer.head.headers["content-length"], "4");
    check(&door().send(request("HEAD", "/stream/whole", &[], "")).await, 200, "");
    let refused = door().send(request("HEAD", "/none", &[], "")).await;
    check(&refused, 404, "");
}

#[tokio::test]
async fn more_than_the_allowed_requests_are_refused_until_one_ends() {
    let options = ListenerOptions { requests_in_flight_max: 2, ..ListenerOptions::default() };
    let (door, gate) = door_with(options, DoorRules::default());
    let held = async |path| door.send(request("GET", path, &[], "")).await;
    let (first, second, ()) = tokio::join!(held("/use"), held("/use"), async {
        reach(&gate.entered, |n| *n == 2).await;
        check(&held("/ping").await, 503, "Overloaded");
        check(&held("/none").await, 503, "Overloaded");
        gate.is_open.send_replace(true);
    });
    check(&first, 200, "passed");
    check(&second, 200, "passed");
    check(&held("/ping").await, 200, "pong");
}

#[tokio::test]
async fn detached_work_counts_as_in_flight_after_its_deadline() {
    let options = ListenerOptions { requests_in_flight_max: 1, ..ListenerOptions::default() };
    let (door, gate) = door_with(options, DoorRules::default());
    let send = async |method, path| door.send(request(method, path, &[], "")).await;
    check(&send("DELETE", "/mutate-soon").await, 504, "Timeout");
    check(&send("GET", "/ping").await, 503, "Overloaded");
    gate.is_open.send_replace(true);
    reach(&gate.dropped, |n| *n == 1).await;
    // The permit is dropped right after the work; the task that holds it runs on this thread.
    tokio::task::yield_now().await;
    check(&send("GET", "/ping").await, 200, "pong");
}

#[tokio::test]
async fn nothing_begins_after_a_shutdown_began() {
    let door = door();
    door.drain();
    check(&door.send(request("GET", "/ping", &[], "")).await, 503, "ShuttingDown");
    check(&door.send(request("DELETE", "/mutate", &[], "")).await, 503, "ShuttingDown");
}

#[tokio::test]
async fn handlers_see_the_request_as_it_was_sent() {
    let show = |request: Request| {
        let head = &request.head;
        let parts = [head.target(), head.path(), head.query(), head.host().unwrap_or("-")];
        let pair = &head.query_pairs().pairs().expect("it decodes")[0].value;
        super::support::text(format!("{parts:?} {pair} {} {}", head.request_id, head.is_tls))
    };
    let spec = super::support::route(http::Method::GET, "/a%20b", Kind::Read, Handler::new(show));
    let door = DoorUnderTest::new(Arc::new(TestDoor::new().0.with_routes(vec![spec])));
    let first = door.send(request("GET", "/a%20b?q=%41+", &[], "")).await;
    let id = "5a5a5a5a5a5a5a5a5a5a5a5a00000000";
    let expected = format!(r#"["/a%20b?q=%41+", "/a%20b", "q=%41+", "localhost"] A  {id} true"#);
    check(&first, 200, &expected);
    let second = door.send(request("GET", "http://x:1/a%20b?q=1", &[], "")).await;
    let id = "5a5a5a5a5a5a5a5a5a5a5a5a00000001";
    check(&second, 200, &format!(r#"["/a%20b?q=1", "/a%20b", "q=1", "x:1"] 1 {id} true"#));
}

#[tokio::test]
async fn every_answer_is_counted_under_its_operation() {
    let door = door();
    for (method, path, body) in [
        ("GET", "/ping", ""),
        ("POST", "/echo", "12345"),
        ("GET", "/panic/ready", ""),
        ("GET", "/none", ""),
    ] {
        door.send(request(method, path, &[], body)).await;
    }
    let text = door.metrics();
    for line in [
        r#"lethe_http_requests_total{door="test",op="test",status="2xx"} 2"#,
        r#"lethe_http_requests_total{door="test",op="test",status="5xx"} 1"#,
        r#"lethe_http_requests_total{door="test",op="unrouted",status="4xx"} 1"#,
        r#"lethe_http_request_duration_seconds_count{door="test",op="test"} 3"#,
        r#"lethe_http_request_body_bytes_total{door="test",op="test"} 5"#,
        r#"lethe_http_response_body_bytes_total{door="test",op="test"} 24"#,
        r#"lethe_http_requests_in_flight{listener="test"} 0"#,
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn what_is_shown_of_a_request_holds_no_credential() {
    let show = |request: Request| super::support::text(format!("{request:?}"));
    let spec = super::support::route(http::Method::POST, "/a/{id}", Kind::Read, Handler::new(show));
    let door = DoorUnderTest::new(Arc::new(TestDoor::new().0.with_routes(vec![spec])));
    let headers = [("authorization", "Bearer hunter2")];
    let answer = door.send(request("POST", "/a/b?token=hunter2", &headers, "hunter2")).await;
    check(&answer, 200, "5a5a5a5a5a5a5a5a5a5a5a5a00000000 POST /a/b with 7 bytes");
}

#[tokio::test]
#[should_panic(expected = "no path parameter `key`")]
async fn a_parameter_that_the_route_does_not_have_is_a_bug() {
    let head = Arc::new(RequestHead {
        method: http::Method::GET,
        uri: "/".parse().expect("a path"),
        version: Version::HTTP_11,
        headers: http::HeaderMap::new(),
        peer: ([127, 0, 0, 1], 1).into(),
        is_tls: false,
        request_id: RequestId { connection: [0; 12], number: 0 },
        received: Duration::ZERO,
    });
    let request = Request::new(head, Params::default(), bytes::Bytes::new());
    let _ = request.param("key");
}
