//! TLS and HTTP/2 over sockets.

use core::time::Duration;
use std::sync::Arc;

use lethe_types::SecretVec;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::{Client, Server, patiently};
use super::tls::pem;
use crate::tls::{Versions, from_pem};
use crate::*;

struct Pair {
    server: Arc<rustls::ServerConfig>,
    chain: String,
}

fn pair(versions: Versions) -> Pair {
    let (chain, key) = pem();
    let key = SecretVec::copy_from(key.as_bytes());
    let server = from_pem(chain.as_bytes(), &key, versions).expect("it is whole");
    Pair { server, chain }
}

impl Pair {
    async fn start(&self, options: ListenerOptions) -> Server {
        let transport = Transport::Tls(Arc::clone(&self.server));
        Server::start_with(transport, options, DoorRules::default()).await
    }

    async fn connect(
        &self,
        server: &Server,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
    ) -> Result<TlsStream<TcpStream>, String> {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.chain.as_bytes()).expect("PEM");
        roots.add(root).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("known versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(server.address()).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
        patiently(connected).await.map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn requests_are_served_over_both_versions_and_doors_know_it() {
    let pair = pair(Versions::Tls12AndTls13);
    let server = pair.start(ListenerOptions::default()).await;
    for version in [&version::TLS12, &version::TLS13] {
        let stream = pair.connect(&server, &[version], &[]).await.expect("a handshake");
        let mut client = Client::new(stream);
        client.get("GET", "/secure").await.check(200, "");
        client.get("GET", "/ping").await.check(200, "pong");
    }
}

#[tokio::test]
async fn an_old_version_is_refused_where_only_the_newest_is_offered() {
    let pair = pair(Versions::Tls13);
    let server = pair.start(ListenerOptions::default()).await;
    assert!(pair.connect(&server, &[&version::TLS12], &[]).await.is_err());
    assert!(pair.connect(&server, &[&version::TLS13], &[]).await.is_ok());
    let line = format!("tls_handshake_failures_total{{listener=\"{}\"}} 1", server.address());
    assert!(server.metrics().contains(&line), "{}", server.metrics());
}

#[tokio::test]
async fn plain_text_gets_no_answer_from_a_tls_listener_but_may_be_let_in() {
    let pair = pair(Versions::Tls12AndTls13);
    let server = pair.start(ListenerOptions::default()).await;
    let mut client = server.connect().await;
    client.write("GET /ping HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(!client.rest().await.contains("HTTP/"));
    let transport = Transport::PlainOrTls(Arc::clone(&pair.server));
    let options = ListenerOptions::default();
    let both = Server::start_with(transport, options, DoorRules::default()).await;
    both.connect().await.get("GET", "/secure").await.check(418, "");
    let stream = pair.connect(&both, &[&version::TLS13], &[]).await.expect("a handshake");
    Client::new(stream).get("GET", "/secure").await.check(200, "");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_ends_the_connection() {
    let pair = pair(Versions::Tls12AndTls13);
    let options = ListenerOptions {
        tls_handshake_timeout: Duration::from_millis(40),
        ..ListenerOptions::default()
    };
    let server = pair.start(options).await;
    assert_eq!(server.connect().await.rest().await, "");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_handshakes() {
    let pair = pair(Versions::Tls12AndTls13);
    let server = pair.start(ListenerOptions::default()).await;
    let mut silent = server.connect().await;
    server.connections_are(1).await;
    let grace = Duration::from_secs(60);
    assert_eq!(patiently(server.running.shutdown(grace)).await, Shutdown::default());
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn http2_is_spoken_where_client_and_listener_choose_it() {
    let pair = pair(Versions::Tls12AndTls13);
    for (http2, offered, chosen) in [
        (true, &["h2", "http/1.1"][..], Some("h2")),
        (true, &["http/1.1"], Some("http/1.1")),
        (true, &[], None),
        (false, &["h2", "http/1.1"], Some("http/1.1")),
    ] {
        let server = pair.start(ListenerOptions { http2, ..ListenerOptions::default() }).await;
        let stream = pair.connect(&server, &[&version::TLS13], offered).await.expect("agreed");
        let spoken = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(spoken.as_deref(), chosen.map(str::as_bytes), "{http2} {offered:?}");
        if chosen == Some("h2") {
            let (status, body) = http2_get(stream, "GET").await;
            // Index 8 of the static table is `:status: 200` (RFC 7541 appendix A).
            assert_eq!((status, body.as_str()), (0x88, "pong"));
            let offered = ["h2"];
            let stream = pair.connect(&server, &[&version::TLS13], &offered).await;
            let (status, body) = http2_get(stream.expect("agreed"), "HEAD").await;
            assert_eq!((status, body.as_str()), (0x88, ""));
        } else {
            Client::new(stream).get("GET", "/ping").await.check(200, "pong");
        }
    }
}

#[tokio::test]
async fn a_listener_without_http2_refuses_a_client_that_speaks_nothing_else() {
    let pair = pair(Versions::Tls12AndTls13);
    let server = pair.start(ListenerOptions { http2: false, ..ListenerOptions::default() }).await;
    assert!(pair.connect(&server, &[&version::TLS13], &["h2"]).await.is_err());
}

/// Sends one request for `/ping` over HTTP/2, by hand; returns the first byte of the header block
/// and the body.
async fn http2_get(mut stream: TlsStream<TcpStream>, method: &str) -> (u8, String) {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(FRAME_SETTINGS, 0, 0, &[]));
    // Literal fields without indexing, named by their index in the static table; index 7 is
    // `:scheme: https` (RFC 7541 section 6.2.2).
    let mut block = vec![0x87];
    for (index, value) in [(2, method), (4, "/ping"), (1, "localhost")] {
        block.extend([index, u8::try_from(value.len()).expect("short")]);
        block.extend(value.as_bytes());
    }
    bytes.extend(frame(FRAME_HEADERS, END_STREAM | END_HEADERS, 1, &block));
    stream.write_all(&bytes).await.expect("the server reads");
    let (mut status, mut body) = (0, String::new());
    loop {
        let mut head = [0; 9];
        patiently(stream.read_exact(&mut head)).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("small")];
        patiently(stream.read_exact(&mut payload)).await.expect("its payload");
        match head[3] {
            FRAME_HEADERS => status = payload[0],
            FRAME_DATA => body.push_str(core::str::from_utf8(&payload).expect("UTF-8")),
            _ => continue,
        }
        if head[4] & END_STREAM != 0 {
            return (status, body);
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

// RFC 9113 section 6.
const FRAME_DATA: u8 = 0;
const FRAME_HEADERS: u8 = 1;
const FRAME_SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
