//! Streams of events: pieces as they come, heartbeats, limits, and every way to end.

use core::task::{Context, Poll};
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tokio::sync::mpsc;

use super::support::*;
use crate::*;

/// Streams what a test sends; ends when the test drops the sender.
struct Source(mpsc::Receiver<&'static str>);

impl EventSource for Source {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(context).map(|piece| {
            let piece = piece?;
            assert_ne!(piece, "panic", "as the test wants it");
            Some(Bytes::from_static(piece.as_bytes()))
        })
    }

    fn heartbeat(&mut self) -> Bytes {
        Bytes::from_static(b": still here\n\n")
    }
}

type Senders = Arc<parking_lot::Mutex<Vec<mpsc::Sender<&'static str>>>>;

/// A server whose `/events` streams, and where the senders of its streams come.
async fn server(options: ListenerOptions) -> (Server, Senders) {
    let senders = Senders::default();
    let opened = Arc::clone(&senders);
    let handler = Handler::new(move |_| {
        let (sender, receiver) = mpsc::channel(64);
        opened.lock().push(sender);
        Reply::events(Source(receiver))
    });
    let events = RouteSpec {
        // A stream outlives it.
        deadline: core::time::Duration::from_millis(1),
        ..route(Method::GET, "/events", Kind::Read, handler)
    };
    (Server::start_with_routes(options, vec![events]).await, senders)
}

const ASK: &str = "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn stream(server: &Server, already: i64) -> Client<tokio::net::TcpStream> {
    let mut client = server.connect().await;
    client.write(ASK).await;
    server.gauge_is("lethe_http_event_streams", already + 1).await;
    client
}

async fn wait_for(client: &mut Client<tokio::net::TcpStream>, text: &str) {
    while !client.unread_text().contains(text) {
        assert!(client.fill().await, "closed before {text:?}: {}", client.unread_text());
    }
}

#[tokio::test]
async fn pieces_come_as_they_are_made_and_the_source_ends_the_stream() {
    let (server, senders) = server(ListenerOptions::default()).await;
    let mut client = stream(&server, 0).await;
    let sender = senders.lock().pop().expect("it is open");
    wait_for(&mut client, "\r\n\r\n").await;
    let head = client.unread_text();
    for line in
        ["HTTP/1.1 200", "content-type: text/event-stream\r\n", "cache-control: no-store\r\n"]
    {
        assert!(head.contains(line), "{head}");
    }
    for piece in ["id: 1\n\n", "id: 2\n\n"] {
        sender.send(piece).await.expect("it reads");
        wait_for(&mut client, piece).await;
    }
    server.gauge_is("lethe_http_requests_in_flight", 0).await;
    drop(sender);
    wait_for(&mut client, "\r\n0\r\n\r\n").await;
    server.gauge_is("lethe_http_event_streams", 0).await;
    let metrics = server.metrics();
    assert!(metrics.contains("lethe_http_event_streams_total"), "{metrics}");
    client.write(ASK).await;
    server.gauge_is("lethe_http_event_streams", 1).await;
}

#[tokio::test]
async fn a_client_that_goes_frees_its_stream() {
    let (server, _senders) = server(ListenerOptions::default()).await;
    let client = stream(&server, 0).await;
    drop(client);
    server.gauge_is("lethe_http_event_streams", 0).await;
    server.connections_are(0).await;
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_room_comes_back() {
    let options = ListenerOptions { event_streams_max: 1, ..ListenerOptions::default() };
    let (server, senders) = server(options).await;
    let mut first = stream(&server, 0).await;
    let mut second = server.connect().await;
    second.get("GET", "/events").await.check(503, "Overloaded");
    assert!(server.metrics().contains("lethe_http_event_streams_refused_total"));
    senders.lock().clear();
    wait_for(&mut first, "\r\n0\r\n\r\n").await;
    server.gauge_is("lethe_http_event_streams", 0).await;
    second.write(ASK).await;
    server.gauge_is("lethe_http_event_streams", 1).await;
    let options =
        ListenerOptions { event_streams_per_connection_max: 0, ..ListenerOptions::default() };
    let (server, _senders) = self::server(options).await;
    server.connect().await.get("GET", "/events").await.check(503, "Overloaded");
    server.gauge_is("lethe_http_event_streams", 0).await;
}

#[tokio::test]
async fn a_shutdown_says_so_and_ends_every_stream_at_once() {
    let (server, _senders) = server(ListenerOptions::default()).await;
    let mut client = stream(&server, 0).await;
    let Server { running, .. } = server;
    let (shutdown, rest) = tokio::join!(patiently(running.shutdown(PATIENCE)), client.rest());
    assert_eq!(shutdown, Shutdown::default());
    assert!(rest.contains(": the server is stopping\n\n\r\n0\r\n\r\n"), "{rest}");
}

#[tokio::test]
async fn a_source_that_panics_ends_its_own_stream_only() {
    let (server, senders) = server(ListenerOptions::default()).await;
    let mut one = stream(&server, 0).await;
    let mut other = stream(&server, 1).await;
    let both: Vec<_> = core::mem::take(&mut *senders.lock());
    both[0].send("panic").await.expect("it reads");
    wait_for(&mut one, "\r\n0\r\n\r\n").await;
    both[1].send("id: 1\n\n").await.expect("it reads");
    wait_for(&mut other, "id: 1\n\n").await;
}

#[tokio::test]
async fn a_quiet_stream_has_heartbeats() {
    let options = ListenerOptions {
        event_look_interval: core::time::Duration::from_millis(1),
        ..ListenerOptions::default()
    };
    let (server, senders) = server(options).await;
    let mut client = stream(&server, 0).await;
    for beats in 1..4 {
        while client.unread_text().matches(": still here").count() < beats {
            assert!(client.fill().await, "closed: {}", client.unread_text());
        }
    }
    senders.lock().clear();
    wait_for(&mut client, "\r\n0\r\n\r\n").await;
}
