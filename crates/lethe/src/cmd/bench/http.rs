//! The least of HTTP/1.1 that a load needs, in the clear or over TLS: requests as bytes, answers by
//! status and length.

use core::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use lethe_types::SecretVec;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use ureq::http::Uri;

use crate::connection::is_loopback;

/// Largest head of an answer, in bytes: a receipt may be in a header.
const HEAD_BYTES_MAX: usize = 131_072;
/// Largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 1_048_576;
/// Room that is made for reading at a time, in bytes.
const READ_BYTES: usize = 16_384;

/// Where the requests go: an address of this machine.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// For the header field `Host`.
    pub(super) host: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.tls.is_some() { "https://" } else { "http://" }, self.host)
    }
}

impl Target {
    /// The target of a plain `http` URL without a path.
    ///
    /// # Errors
    /// The reason in words, above all if it is another machine.
    pub(super) fn of(url: &str) -> Result<Self, String> {
        Self::parse(url, "http", 80)
    }

    /// The target of an `https` URL without a path, whose server is trusted if an authority in
    /// `ca_pem` signed its certificate.
    ///
    /// # Errors
    /// The reason in words, above all if it is another machine.
    pub(super) fn encrypted(url: &str, ca_pem: &[u8]) -> Result<Self, String> {
        let plain = Self::parse(url, "https", 443)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem) {
            let certificate = certificate.map_err(|error| format!("not a PEM file: {error}"))?;
            roots.add(certificate).map_err(|error| format!("not an authority: {error}"))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::IpAddress(plain.address.ip().into());
        Ok(Self { tls: Some((TlsConnector::from(Arc::new(config)), name)), ..plain })
    }

    fn parse(url: &str, scheme: &str, port: u16) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some(scheme));
        let Some(authority) = authority else {
            let manner = if scheme == "http" { "a plain http" } else { "an https" };
            return Err(format!("`{url}` is not {manner} URL"));
        };
        let port = authority.port_u16().unwrap_or(port);
        let host = authority.host();
        let elsewhere =
            || format!("`{url}` is not on this machine; load is for local servers only");
        if !is_loopback(host) {
            return Err(elsewhere());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
        // The name `localhost` is whatever the machine's tables say.
        let address = found.find(|address| address.ip().is_loopback()).ok_or_else(elsewhere)?;
        Ok(Self { address, host: authority.as_str().to_owned(), tls: None })
    }

    /// A request to it. `token` goes into the header.
    pub(super) fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> SecretVec {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if let Some(token) = token {
            text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if let Some(body) = body {
            let length = body.len();
            text.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        text.push_str("\r\n");
        text.push_str(body.unwrap_or_default());
        SecretVec::from_vec(text.into_bytes())
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    /// The body of an answer that came in pieces, put together.
    joined: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Connects, and shakes hands if the target is encrypted.
    pub(super) async fn open(target: &Target) -> Result<Self, String> {
        let stream = open_tcp(target).await?;
        let stream = match target.tls.clone() {
            None => Stream::Plain(stream),
            Some((tls, name)) => {
                let stream = tls.connect(name, stream).await.map_err(|error| error.to_string())?;
                Stream::Tls(Box::new(stream))
            }
        };
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES), joined: Vec::new() })
    }

    /// Sends one request and reads its answer: status and body.
    ///
    /// # Errors
    /// The reason in words; the connection is then of no more use.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8]), String> {
        self.send(request).await?;
        self.answer().await
    }

    /// Sends a part of a request.
    ///
    /// # Errors
    /// The reason in words; the connection is then of no more use.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent: io::Result<()> = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => match stream.write_all(bytes).await {
                Ok(()) => stream.flush().await,
                Err(error) => Err(error),
            },
        };
        sent.map_err(|error| error.to_string())
    }

    /// Reads an answer: status and body.
    ///
    /// # Errors
    /// The reason in words; the connection is then of no more use.
    pub(super) async fn answer(&mut self) -> Result<(u16, &[u8]), String> {
        self.buffer.clear();
        let head = loop {
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(format!("the head of an answer has more than {HEAD_BYTES_MAX} bytes"));
            }
            self.read_some().await?;
        };
        let too_long = || format!("an answer has more than {BODY_BYTES_MAX} bytes");
        let end = match head.body {
            Framing::Bytes(bytes) if bytes > BODY_BYTES_MAX => return Err(too_long()),
            Framing::Bytes(bytes) => {
                let end = head.bytes + bytes;
                while self.buffer.len() < end {
                    self.read_some().await?;
                }
                end
            }
            Framing::Chunked => loop {
                self.joined.clear();
                let found = join_chunks(&self.buffer[head.bytes..], &mut self.joined)?;
                if let Some(length) = found {
                    break head.bytes + length;
                }
                if self.buffer.len() > head.bytes + 2 * BODY_BYTES_MAX {
                    return Err(too_long());
                }
                self.read_some().await?;
            },
        };
        if self.buffer.len() > end {
            return Err("the server sent more than one answer".to_owned());
        }
        let body = match head.body {
            Framing::Bytes(_) => &self.buffer[head.bytes..],
            Framing::Chunked => &self.joined,
        };
        Ok((head.status, body))
    }

    async fn read_some(&mut self) -> Result<(), String> {
        self.buffer.reserve(READ_BYTES);
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read_buf(&mut self.buffer).await,
            Stream::Tls(stream) => stream.read_buf(&mut self.buffer).await,
        };
        match read {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A connection on which nothing was said yet.
///
/// # Errors
/// The reason in words.
pub(super) async fn open_tcp(target: &Target) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(target.address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    Ok(stream)
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Length of the head itself, with the empty line.
    bytes: usize,
    body: Framing,
}

/// How it is known where a body ends (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Bytes(usize),
    Chunked,
}

impl Head {
    /// The head at the start of `bytes`; `None` if not all of it is there yet.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, String> {
        let Some(length) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let mut lines = bytes[..length].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status =
            lines.next().and_then(status_of).ok_or("the server does not speak HTTP/1.1")?;
        let mut framing = (status == 204).then_some(Framing::Bytes(0));
        for line in lines {
            if let Some(value) = value_of(line, b"content-length") {
                framing = decimal(value).map(Framing::Bytes);
            } else if let Some(value) = value_of(line, b"transfer-encoding") {
                framing = value.eq_ignore_ascii_case(b"chunked").then_some(Framing::Chunked);
            }
        }
        let body = framing.ok_or("an answer does not say its length")?;
        Ok(Some(Self { status, bytes: length + 4, body }))
    }
}

/// The value of a line of a head, if it is the field `name`.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = line.split_at_checked(name.len())?;
    let value = value.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// Puts the chunks of a body together (RFC 9112 section 7.1): how many bytes they took, or `None`
/// if not all of them are there yet. Trailers are not understood.
fn join_chunks(bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, String> {
    let wrong = || "an answer has chunks that are not well formed".to_owned();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(line) = rest.windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let size = core::str::from_utf8(&rest[..line]).map_err(|_| wrong())?;
        let size = usize::from_str_radix(size, 16).map_err(|_| wrong())?;
        if size > BODY_BYTES_MAX {
            return Err(wrong());
        }
        let Some(chunk) = rest.get(line + 2..line + 2 + size + 2) else { return Ok(None) };
        let data = chunk.strip_suffix(b"\r\n").ok_or_else(wrong)?;
        out.extend_from_slice(data);
        at += line + 2 + size + 2;
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

fn status_of(line: &[u8]) -> Option<u16> {
    let digits = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    decimal(digits)?.try_into().ok()
}

fn decimal(digits: &[u8]) -> Option<usize> {
    core::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_far_as_they_are_there() {
        #[track_caller]
        fn check(text: &str, expected: Option<(u16, usize)>) {
            let head = Head::parse(text.as_bytes()).unwrap();
            let expected_head = expected.map(|(status, bytes)| (status, Framing::Bytes(bytes)));
            assert_eq!(head.map(|head| (head.status, head.body)), expected_head, "{text:?}");
            if let Some(head) = head {
                assert_eq!(head.bytes, text.find("\r\n\r\n").unwrap() + 4);
            }
        }
        check("", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", Some((200, 2)));
        check(
            "HTTP/1.1 410 Gone\r\nA: b\r\ncontent-length:12\r\nC: d\r\n\r\nbody",
            Some((410, 12)),
        );
        check("HTTP/1.1 204\r\nCONTENT-LENGTH:  0 \r\n\r\n", Some((204, 0)));
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, 0)));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(Head::parse(chunked).unwrap().unwrap().body, Framing::Chunked);
    }

    #[test]
    fn chunks_are_put_together() {
        #[track_caller]
        fn check(text: &str, expected: Result<Option<(usize, &str)>, ()>) {
            let mut out = Vec::new();
            let found = join_chunks(text.as_bytes(), &mut out).map_err(drop);
            let found = found.map(|found| found.map(|bytes| (bytes, out.as_slice())));
            assert_eq!(found, expected.map(|some| some.map(|(n, t)| (n, t.as_bytes()))), "{text}");
        }
        check("0\r\n\r\n", Ok(Some((5, ""))));
        check("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", Ok(Some((28, "abc0123456789"))));
        for partial in ["", "3", "3\r\nab", "3\r\nabc\r\n", "3\r\nabc\r\n0\r\n"] {
            check(partial, Ok(None));
        }
        for wrong in ["x\r\n", "3\r\nabcd\r\n", "-1\r\n\r\n", "fffffff\r\n\r\n", "\r\n"] {
            check(wrong, Err(()));
        }
    }

    #[test]
    fn other_heads_are_errors() {
        #[track_caller]
        fn check(text: &str) {
            Head::parse(text.as_bytes()).unwrap_err();
        }
        check("SSH-2.0-x\r\n\r\n");
        check("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n");
        check("HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n");
        check("HTTP/1.1 200 OK\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n");
        check("HTTP/1.1 200 OK\r\nX-Content-Length: 2\r\n\r\n");
    }

    #[test]
    fn load_is_for_this_machine_only() {
        #[track_caller]
        fn refused(url: &str, expected: &str) {
            let why = Target::of(url).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        let target = Target::of("http://127.0.0.1:8300").unwrap();
        assert_eq!(target.address, "127.0.0.1:8300".parse().unwrap());
        assert_eq!(Target::of("http://[::1]:1/").unwrap().address, "[::1]:1".parse().unwrap());
        refused("http://kms.example:80", "not on this machine");
        refused("http://192.0.2.1", "not on this machine");
        refused("http://0.0.0.0:1", "not on this machine");
        refused("http://127.0.0.1.example", "not on this machine");
        refused("https://127.0.0.1:1", "not a plain http URL");
        refused("127.0.0.1:1", "");
        refused("", "");
        let why = Target::encrypted("https://kms.example", b"").unwrap_err();
        assert!(why.contains("not on this machine"), "{why}");
        let why = Target::encrypted("http://127.0.0.1:1", b"").unwrap_err();
        assert!(why.contains("not an https URL"), "{why}");
        let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let why = Target::encrypted("https://127.0.0.1:1", pem).unwrap_err();
        assert!(why.contains("not an authority"), "{why}");
    }

    #[test]
    fn requests_are_whole() {
        let target = Target::of("http://127.0.0.1:1").unwrap();
        let text = |bytes: SecretVec| String::from_utf8(bytes.expose().to_vec()).unwrap();
        assert_eq!(
            text(target.request("POST", "/a", Some("t"), Some("{}"))),
            "POST /a HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Bearer t\r\n\
             Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
        assert_eq!(
            text(target.request("DELETE", "/b", None, None)),
            "DELETE /b HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n"
        );
    }
}
