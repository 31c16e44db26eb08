//! Clients that stall.

use core::time::Duration;

use super::support::{LARGE, Server, reach};
use crate::*;

const SHORT: Duration = Duration::from_millis(40);

const HOUR: Duration = Duration::from_secs(3600);

/// Only what the test shortens can end the connection.
fn patient() -> ListenerOptions {
    ListenerOptions {
        tls_handshake_timeout: HOUR,
        header_read_timeout: HOUR,
        body_read_timeout: HOUR,
        write_timeout: HOUR,
        idle_timeout: HOUR,
        ..ListenerOptions::default()
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = Server::start(ListenerOptions { header_read_timeout: SHORT, ..patient() }).await;
    let mut silent = server.connect().await;
    assert_eq!(silent.rest().await, "");
    let mut slow = server.connect().await;
    slow.write("GET /ping HT").await;
    assert_eq!(slow.rest().await, "");
    let mut second = server.connect().await;
    second.get("GET", "/ping").await.check(200, "pong");
    second.write("GET /ping HT").await;
    assert_eq!(second.rest().await, "");
    server.connections_are(0).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_and_no_handler_runs() {
    let server = Server::start(ListenerOptions { body_read_timeout: SHORT, ..patient() }).await;
    let start = "POST /echo HTTP/1.1\r\nhost: a\r\n";
    for body in ["content-length: 3\r\n\r\nab", "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n"] {
        let mut client = server.connect().await;
        client.write(&format!("{start}{body}")).await;
        client.answer().await.check(408, "BodyTimeout");
        assert_eq!(client.rest().await, "", "the rest of the body is no request");
    }
    assert_eq!(server.gate.calls(), 0);
}

#[tokio::test]
async fn a_body_that_breaks_off_reaches_no_handler() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.write("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nab").await;
    server.gauge_is("lethe_http_requests_in_flight", 1).await;
    drop(client);
    server.gauge_is("lethe_http_requests_in_flight", 0).await;
    assert_eq!(server.gate.calls(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed_but_a_working_one_is_kept() {
    let server = Server::start(ListenerOptions { idle_timeout: SHORT, ..patient() }).await;
    let mut idle = server.connect().await;
    idle.get("GET", "/ping").await.check(200, "pong");
    let mut working = server.connect().await;
    working.write("GET /use HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reach(&server.gate.entered, |n| *n == 1).await;
    assert_eq!(idle.rest().await, "");
    server.gate.is_open.send_replace(true);
    working.answer().await.check(200, "passed");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut() {
    let server = Server::start(ListenerOptions { write_timeout: SHORT, ..patient() }).await;
    let mut client = server.connect().await;
    client.write("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    server.connections_are(1).await;
    server.connections_are(0).await;
    assert!(client.rest().await.len() < LARGE, "the answer was cut");
}
