//! HTTP/1.1 over sockets: framing, limits at and past the edge, connections.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use super::support::{Server, TestDoor, connect, environment, listener, patiently};
use crate::metrics::Registry;
use crate::serve::{ACCEPT_PAUSE_MAX, ACCEPT_PAUSE_MIN, pause_after};
use crate::*;

fn post(length: usize, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn chunked(chunks: &[&str]) -> String {
    let chunks: String = chunks.iter().map(|c| format!("{:x}\r\n{c}\r\n", c.len())).collect();
    format!("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")
}

#[tokio::test]
async fn a_connection_serves_requests_one_after_another_and_pipelined() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.get("GET", "/ping").await.check(200, "pong");
    client.get("GET", "/none").await.check(404, "NotFound");
    client.get("GET", "/panic/ready").await.check(500, "HandlerPanicked");
    let head = client.get("HEAD", "/ping").await;
    assert_eq!((head.status(), head.header("content-length")), (200, Some("4")));
    let ping = "GET /ping HTTP/1.1\r\nhost: a\r\n\r\n";
    client.write(&format!("{ping}{}{ping}", post(2, "ab"))).await;
    client.answer().await.check(200, "pong");
    client.answer().await.check(200, "ab");
    let last = client.answer().await;
    last.check(200, "pong");
    assert!(last.header("date").is_some() && last.head.contains("x-door: test\r\n"));
    client.write("GET /ping HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(client.rest().await.ends_with("\r\n\r\npong"));
}

#[tokio::test]
async fn bodies_are_read_whole_up_to_their_limit() {
    let server = Server::start(ListenerOptions::default()).await;
    let sixteen = "0123456789abcdef";
    let refused = "BodyTooLarge { limit_bytes: 16 }";
    for (bytes, status, body) in [
        (post(16, sixteen), 200, sixteen),
        (post(0, ""), 200, ""),
        (chunked(&["0123456789", "abcdef", ""]), 200, sixteen),
        (chunked(&[""]), 200, ""),
        (post(17, "0123456789abcdefg"), 413, refused),
        (chunked(&["0123456789abcdefg", ""]), 413, refused),
        (chunked(&["0123456789", "abcdefg", ""]), 413, refused),
    ] {
        let mut client = server.connect().await;
        client.write(&bytes).await;
        client.answer().await.check(status, body);
    }
    assert_eq!(server.gate.calls(), 4, "no handler sees a body over the limit");
    // A body that comes in pieces is put together.
    let mut client = server.connect().await;
    client.write(&post(6, "abc")).await;
    server.gauge_is("lethe_http_requests_in_flight", 1).await;
    client.write("def").await;
    client.answer().await.check(200, "abcdef");
}

#[tokio::test]
async fn a_client_that_sends_a_large_body_first_still_reads_the_refusal() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.write(&post(200_000, &"x".repeat(200_000))).await;
    client.answer().await.check(413, "BodyTooLarge { limit_bytes: 16 }");
    client.get("GET", "/ping").await.check(200, "pong");
    // Past what is worth reading, the answer comes without waiting for the body.
    client.write(&post(300_000, "")).await;
    client.answer().await.check(413, "BodyTooLarge { limit_bytes: 16 }");
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_is_answered() {
    let server = Server::start(ListenerOptions::default()).await;
    let ask = |length| post(length, "").replace("host: a", "host: a\r\nexpect: 100-continue");
    let mut client = server.connect().await;
    client.write(&ask(2)).await;
    assert_eq!(client.answer().await.status(), 100);
    client.write("ab").await;
    client.answer().await.check(200, "ab");
    let mut client = server.connect().await;
    client.write(&ask(17)).await;
    client.answer().await.check(413, "BodyTooLarge { limit_bytes: 16 }");
}

#[tokio::test]
async fn malformed_requests_are_refused_and_the_server_goes_on() {
    let server = Server::start(ListenerOptions::default()).await;
    let many = |n| format!("GET /ping HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(n));
    let long = |n| format!("GET /ping HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(n));
    let target = |n| format!("GET /ping?{} HTTP/1.1\r\nhost: a\r\n\r\n", "q".repeat(n));
    let broken = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    for (bytes, status, body) in [
        ("GET /ping HTTP/1.1\r\n\r\n".to_owned(), 400, "BadRequest(MissingHost)"),
        (
            "GET /ping HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".into(),
            400,
            "BadRequest(SeveralHosts)",
        ),
        ("GET http://a/ping HTTP/1.1\r\n\r\n".into(), 400, "BadRequest(MissingHost)"),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n".into(), 404, "NotFound"),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".into(), 404, "NotFound"),
        (broken.into(), 400, "BadRequest(BrokenBody)"),
        (many(63), 200, "pong"),
        (many(64), 431, "HeadersTooLarge"),
        (long(16_384 - 6), 200, "pong"),
        (long(16_384 - 5), 431, "HeadersTooLarge"),
        (target(8_192 - 6), 200, "pong"),
        (target(8_192 - 5), 414, "UriTooLong"),
        // Past what hyper parses it answers itself.
        (many(100), 431, ""),
        (long(70_000), 431, ""),
        ("garbage\r\n\r\n".into(), 400, ""),
        ("GET /pi ng HTTP/1.1\r\nhost: a\r\n\r\n".into(), 400, ""),
        (post(2, "").replace("content-length: 2", "content-length: -2"), 400, ""),
    ] {
        let mut client = server.connect().await;
        client.write(&bytes).await;
        client.answer().await.check(status, body);
    }
    server.connect().await.get("GET", "/ping").await.check(200, "pong");
}

#[tokio::test]
async fn header_names_are_written_as_the_listener_says() {
    let options = ListenerOptions { header_case: HeaderCase::Title, ..ListenerOptions::default() };
    let server = Server::start(options).await;
    let answer = server.connect().await.get("GET", "/ping").await;
    for line in ["Content-Length: 4\r\n", "X-Door: test\r\n", "Date: "] {
        assert!(answer.head.contains(line), "{}", answer.head);
    }
}

#[tokio::test]
async fn a_door_can_refuse_what_is_not_encrypted() {
    let server = Server::start(ListenerOptions::default()).await;
    let answer = server.connect().await.get("GET", "/secure").await;
    assert!(answer.head.starts_with("HTTP/1.1 418 \r\n"), "{}", answer.head);
    assert_eq!(answer.header("content-length"), Some("0"));
}

#[tokio::test]
async fn connections_end_when_the_listener_says() {
    let options = ListenerOptions { keep_alive: false, ..ListenerOptions::default() };
    let server = Server::start(options).await;
    let mut client = server.connect().await;
    assert_eq!(client.get("GET", "/ping").await.header("connection"), Some("close"));
    assert_eq!(client.rest().await, "");
    let options = ListenerOptions { requests_per_connection_max: 2, ..ListenerOptions::default() };
    let server = Server::start(options).await;
    let mut client = server.connect().await;
    assert_eq!(client.get("GET", "/ping").await.header("connection"), None);
    assert_eq!(client.get("GET", "/ping").await.header("connection"), Some("close"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn one_connection_past_the_limit_waits_for_another_to_end() {
    let options = ListenerOptions { connections_max: 1, ..ListenerOptions::default() };
    let server = Server::start(options).await;
    let mut first = server.connect().await;
    first.get("GET", "/ping").await.check(200, "pong");
    let mut second = server.connect().await;
    second.write(&post(2, "ab")).await;
    for _ in 0..20 {
        first.get("GET", "/ping").await.check(200, "pong");
    }
    assert_eq!(server.gate.calls(), 0, "the second is not served beside the first");
    drop(first);
    second.answer().await.check(200, "ab");
}

/// None of these would end by itself within the hour.
#[tokio::test]
async fn connections_that_say_nothing_make_room_for_who_waits() {
    let hour = Duration::from_secs(3_600);
    let options = ListenerOptions {
        connections_max: 3,
        header_read_timeout: hour,
        idle_timeout: hour,
        write_timeout: hour,
        ..ListenerOptions::default()
    };
    let server = Server::start(options).await;
    let (mut silent, mut slow, mut rested) =
        (server.connect().await, server.connect().await, server.connect().await);
    slow.write("GET /ping HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
    rested.get("GET", "/ping").await.check(200, "pong");
    for _ in 0..3 {
        server.connect().await.get("GET", "/ping").await.check(200, "pong");
    }
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect().await;
        client.get("GET", "/ping").await.check(200, "pong");
        kept.push(client);
    }
    for gone in [&mut silent, &mut slow, &mut rested] {
        assert_eq!(gone.rest().await, "");
    }
}

#[tokio::test]
async fn streamed_bodies_end_or_break_off_visibly() {
    let server = Server::start(ListenerOptions::default()).await;
    let ask = |end| format!("GET /stream/{end} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let mut client = server.connect().await;
    client.write(&ask("whole")).await;
    assert!(client.rest().await.ends_with("4\r\none,\r\n3\r\ntwo\r\n0\r\n\r\n"));
    let mut client = server.connect().await;
    client.write(&ask("broken")).await;
    let text = client.rest().await;
    assert!(text.contains("one,") && !text.ends_with("0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn doors_share_a_port_by_host_name() {
    let mut shared =
        listener(TestDoor::new().0.named("first"), Transport::Plain, ListenerOptions::default());
    shared.hosts = shared.hosts.with("B.example", Arc::new(TestDoor::new().0.named("second")));
    let running = serve(vec![shared], environment(&Arc::new(Registry::new()))).await;
    let running = running.expect("it serves");
    let address = *running.addresses().first().expect("one");
    for (host, door) in [
        ("a.example", "first"),
        ("b.example", "second"),
        ("B.EXAMPLE:8443", "second"),
        ("b.example.org", "first"),
        ("b.example:x", "first"),
        ("", "first"),
        ("[::1]:80", "first"),
    ] {
        let mut client = connect(address).await;
        client.write(&format!("GET /none HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.header("x-door"), Some(door), "{host}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_named_and_nothing_listens() {
    let server = Server::start(ListenerOptions::default()).await;
    let registry = Arc::new(Registry::new());
    let free = listener(TestDoor::new().0, Transport::Plain, ListenerOptions::default());
    let mut taken = listener(TestDoor::new().0, Transport::Plain, ListenerOptions::default());
    taken.address = server.address();
    let error = serve(vec![free, taken], environment(&registry)).await.expect_err("in use");
    assert_eq!(error.to_string(), format!("cannot listen on {}", server.address()));
    assert!(matches!(error, ServeError::Bind { source, .. }
        if source.kind() == io::ErrorKind::AddrInUse));
}

#[tokio::test]
async fn options_that_cannot_be_served_are_refused() {
    let ok = ListenerOptions::default;
    let cases = [
        (ListenerOptions { connections_max: 0, ..ok() }, "`connections_max`"),
        (ListenerOptions { connections_max: 1_000_001, ..ok() }, "`connections_max`"),
        (ListenerOptions { requests_in_flight_max: 0, ..ok() }, "`requests_in_flight_max`"),
        (ListenerOptions { headers_max: HEADERS_HARD_MAX + 1, ..ok() }, "`headers_max`"),
        (ListenerOptions { header_bytes_max: 32_769, ..ok() }, "`header_bytes_max`"),
        (ListenerOptions { uri_bytes_max: 16_385, ..ok() }, "`uri_bytes_max`"),
        (ListenerOptions { idle_timeout: Duration::ZERO, ..ok() }, "`idle_timeout`"),
        (ListenerOptions { http2_streams_max: 0, ..ok() }, "`http2_streams_max`"),
    ];
    for (options, name) in cases {
        let listener = listener(TestDoor::new().0, Transport::Plain, options);
        let result = serve(vec![listener], environment(&Arc::new(Registry::new()))).await;
        let error = result.expect_err("it is refused").to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_failing_accept_waits_longer_each_time_but_not_for_its_client() {
    let short = io::Error::from(io::ErrorKind::OutOfMemory);
    let mut pause = Duration::ZERO;
    for _ in 0..20 {
        let next = pause_after(&short, pause);
        assert!(next >= ACCEPT_PAUSE_MIN && next >= pause && next <= ACCEPT_PAUSE_MAX);
        pause = next;
    }
    assert_eq!(pause, ACCEPT_PAUSE_MAX);
    // EMFILE has no kind of its own.
    assert_eq!(pause_after(&io::Error::from_raw_os_error(24), Duration::ZERO), ACCEPT_PAUSE_MIN);
    let aborted = io::Error::from(io::ErrorKind::ConnectionAborted);
    assert_eq!(pause_after(&aborted, ACCEPT_PAUSE_MAX), Duration::ZERO);
}

#[tokio::test]
async fn what_a_connection_did_shows_in_the_metrics() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.get("GET", "/ping").await.check(200, "pong");
    server.connections_are(1).await;
    drop(client);
    patiently(server.connections_are(0)).await;
    let line = format!("lethe_http_connections_total{{listener=\"{}\"}} 1", server.address());
    assert!(server.metrics().contains(&line), "{}", server.metrics());
}
