//! The least of HTTP/1.1 that a load needs: requests as bytes, answers by status and length.

use std::net::{SocketAddr, ToSocketAddrs as _};

use lethe_types::SecretVec;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use ureq::http::Uri;

use crate::connection::is_loopback;

/// Largest head of an answer, in bytes: a receipt may be in a header.
const HEAD_BYTES_MAX: usize = 131_072;
/// Largest body of an answer, in bytes.
const BODY_BYTES_MAX: usize = 1_048_576;
/// Room that is made for reading at a time, in bytes.
const READ_BYTES: usize = 16_384;

/// Where the requests go: an address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// For the header field `Host`.
    pub(super) host: String,
}

impl Target {
    /// The target of a plain `http` URL without a path.
    ///
    /// # Errors
    /// The reason in words, above all if it is another machine.
    pub(super) fn of(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("`{url}` is not a plain http URL"));
        };
        let port = authority.port_u16().unwrap_or(80);
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
        Ok(Self { address, host: authority.as_str().to_owned() })
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
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(super) async fn open(target: &Target) -> Result<Self, String> {
        let stream = TcpStream::connect(target.address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends one request and reads its answer: status and body.
    ///
    /// # Errors
    /// The reason in words; the connection is then of no more use.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8]), String> {
        self.stream.write_all(request).await.map_err(|error| error.to_string())?;
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
        if head.body_bytes > BODY_BYTES_MAX {
            return Err(format!("an answer has more than {BODY_BYTES_MAX} bytes"));
        }
        let end = head.bytes + head.body_bytes;
        while self.buffer.len() < end {
            self.read_some().await?;
        }
        if self.buffer.len() > end {
            return Err("the server sent more than one answer".to_owned());
        }
        Ok((head.status, &self.buffer[head.bytes..]))
    }

    async fn read_some(&mut self) -> Result<(), String> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    /// Length of the head itself, with the empty line.
    bytes: usize,
    body_bytes: usize,
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
        let body_bytes = lines
            .find_map(|line| {
                let (name, value) = line.split_at_checked(LENGTH.len())?;
                let value = value.strip_prefix(b":")?;
                name.eq_ignore_ascii_case(LENGTH).then(|| value.trim_ascii())
            })
            .and_then(decimal)
            .ok_or("an answer does not say its length")?;
        Ok(Some(Self { status, bytes: length + 4, body_bytes }))
    }
}

const LENGTH: &[u8] = b"content-length";

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
            assert_eq!(head.map(|head| (head.status, head.body_bytes)), expected, "{text:?}");
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
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
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
