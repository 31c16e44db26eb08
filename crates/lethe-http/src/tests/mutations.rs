//! Hang-ups, deadlines and shutdown: what goes on and what does not.

use core::time::Duration;

use tokio::net::TcpStream;

use super::support::{Server, patiently, reach};
use crate::*;

const GRACE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_hang_up_does_not_stop_a_mutation() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.write("DELETE /mutate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reach(&server.gate.entered, |n| *n == 1).await;
    drop(client);
    server.connections_are(0).await;
    assert_eq!((*server.gate.finished.borrow(), *server.gate.dropped.borrow()), (0, 0));
    server.gate.is_open.send_replace(true);
    reach(&server.gate.finished, |n| *n == 1).await;
}

#[tokio::test]
async fn a_hang_up_stops_a_use() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.write("GET /use HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reach(&server.gate.entered, |n| *n == 1).await;
    drop(client);
    reach(&server.gate.dropped, |n| *n == 1).await;
    assert_eq!(*server.gate.finished.borrow(), 0);
}

#[tokio::test]
async fn past_its_deadline_a_mutation_goes_on_and_a_use_does_not() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.get("GET", "/use-soon").await.check(504, "Timeout");
    reach(&server.gate.dropped, |n| *n == 1).await;
    assert_eq!(*server.gate.finished.borrow(), 0);
    client.get("DELETE", "/mutate-soon").await.check(504, "Timeout");
    assert_eq!(*server.gate.dropped.borrow(), 1, "it still waits");
    server.gate.is_open.send_replace(true);
    reach(&server.gate.finished, |n| *n == 1).await;
}

#[tokio::test]
async fn a_shutdown_waits_for_mutations_whose_client_is_gone() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.write("DELETE /mutate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reach(&server.gate.entered, |n| *n == 1).await;
    drop(client);
    server.connections_are(0).await;
    let gate = server.gate;
    let shutdown = tokio::spawn(server.running.shutdown(GRACE));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(!shutdown.is_finished());
    gate.is_open.send_replace(true);
    assert_eq!(patiently(shutdown).await.expect("no panic"), Shutdown::default());
    assert_eq!(*gate.finished.borrow(), 1);
}

#[tokio::test]
async fn a_shutdown_refuses_connections_closes_idle_ones_and_lets_requests_end() {
    let server = Server::start(ListenerOptions::default()).await;
    let address = server.address();
    let mut fresh = server.connect().await;
    let mut idle = server.connect().await;
    idle.get("GET", "/ping").await.check(200, "pong");
    let mut working = server.connect().await;
    working.write("GET /use HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reach(&server.gate.entered, |n| *n == 1).await;
    server.connections_are(3).await;
    let gate = server.gate;
    let shutdown = tokio::spawn(server.running.shutdown(GRACE));
    assert_eq!(fresh.rest().await, "");
    assert_eq!(idle.rest().await, "");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    assert!(!shutdown.is_finished());
    gate.is_open.send_replace(true);
    let last = working.answer().await;
    last.check(200, "passed");
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(working.rest().await, "");
    assert_eq!(patiently(shutdown).await.expect("no panic"), Shutdown::default());
}

#[tokio::test]
async fn a_shutdown_without_grace_tells_what_it_cut() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut using = server.connect().await;
    using.write("GET /use HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut mutating = server.connect().await;
    mutating.write("DELETE /mutate HTTP/1.1\r\nhost: a\r\n\r\n").await;
    reach(&server.gate.entered, |n| *n == 2).await;
    let cut = patiently(server.running.shutdown(Duration::ZERO)).await;
    assert_eq!(cut, Shutdown { connections_cut: 2, work_abandoned: 1 });
    assert_eq!((using.rest().await, mutating.rest().await), (String::new(), String::new()));
    // Abandoned is not stopped.
    assert_eq!(*server.gate.dropped.borrow(), 1);
    server.gate.is_open.send_replace(true);
    reach(&server.gate.finished, |n| *n == 1).await;
}

#[tokio::test]
async fn dropping_the_server_cuts_its_connections() {
    let server = Server::start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.get("GET", "/ping").await.check(200, "pong");
    drop(server.running);
    assert_eq!(client.rest().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_hang_ups_lose_no_mutation() {
    let server = Server::start(ListenerOptions::default()).await;
    let count = 64;
    for _ in 0..count {
        let mut client = server.connect().await;
        client.write("DELETE /mutate HTTP/1.1\r\nhost: a\r\n\r\n").await;
        drop(client);
    }
    // A client that is gone before its request is read may not have been heard at all; whoever
    // has been heard is served to the end.
    server.connections_are(0).await;
    let gate = server.gate;
    gate.is_open.send_replace(true);
    assert_eq!(patiently(server.running.shutdown(GRACE)).await, Shutdown::default());
    assert_eq!(*gate.finished.borrow(), *gate.entered.borrow());
}
