//! A blocking client of the native API: bounded answers, deadlines, no redirects, no proxies; over
//! TLS it trusts the one authority that it was given.

use core::time::Duration;
use std::io::Read;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_types::SecretVec;
use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::connection::Settings;
use crate::failure::{Failure, Problem};
use crate::files::read_bounded;

/// Longest exchange of one request and its answer. RSA keys take seconds to make.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for a connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Largest answer: a page of keys with many versions.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest head of an answer: a receipt may be in a header.
const HEAD_BYTES_MAX: usize = 131_072;

/// Longest silence on a stream of events, whose heartbeats come every 15 s.
const SILENCE_WITHIN: Duration = Duration::from_secs(40);

/// What an answer should be.
pub(crate) const JSON: &str = "application/json";
/// A receipt or public key as text.
pub(crate) const TEXT: &str = "text/plain";
const EVENTS: &str = "text/event-stream";

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    authorization: Option<HeaderValue>,
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`Failure::Configuration`] if the authority or the token cannot be used.
    pub(crate) fn new(settings: Settings) -> Result<Self, Failure> {
        let roots = settings.ca_pem.as_deref().map(certificates).transpose()?.unwrap_or_default();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(provider))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_response_header_size(HEAD_BYTES_MAX)
            .proxy(None)
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_global(Some(EXCHANGE_WITHIN))
            .user_agent(concat!("lethe/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let authorization = settings.token.as_ref().map(authorization).transpose()?;
        Ok(Self { agent, base: settings.base, authorization })
    }

    /// `GET path`.
    pub(crate) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, JSON, None)
    }

    /// `POST path` with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &SecretVec) -> Result<Answer, Failure> {
        self.send(Method::POST, path, JSON, Some(body))
    }

    /// `POST path` without a body, where the path says everything.
    pub(crate) fn post_nothing(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::POST, path, JSON, None)
    }

    /// `PATCH path` with a JSON body.
    pub(crate) fn patch(&self, path: &str, body: &SecretVec) -> Result<Answer, Failure> {
        self.send(Method::PATCH, path, JSON, Some(body))
    }

    /// `PUT path` with a JSON body.
    pub(crate) fn put(&self, path: &str, body: &SecretVec) -> Result<Answer, Failure> {
        self.send(Method::PUT, path, JSON, Some(body))
    }

    /// `DELETE path`.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::DELETE, path, JSON, None)
    }

    /// Any request. The answer has a status of success.
    ///
    /// # Errors
    /// [`Failure::Refused`] if the server says no; [`Failure::Failed`] if there is no answer: the
    /// server may then have done what was asked, or not.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<&SecretVec>,
    ) -> Result<Answer, Failure> {
        let answer = self
            .exchange(method, path, accept, body)
            .map_err(|why| Failure::Failed(format!("no answer from {}: {why}", self.base)))?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        Err(Problem::of(answer.status, answer.body.expose()).into())
    }

    /// `GET path` for a stream of events, from after the one with the id `last`. The stream ends as
    /// if it were whole when the server ends it; a silence of [`SILENCE_WITHIN`] is an error.
    ///
    /// # Errors
    /// [`Failure::Refused`], [`Failure::Failed`].
    pub(crate) fn follow(&self, path: &str, last: Option<u64>) -> Result<impl Read, Failure> {
        let failed = |why| Failure::Failed(format!("no answer from {}: {why}", self.base));
        let mut request =
            Request::builder().uri(format!("{}{path}", self.base)).header(ACCEPT, EVENTS);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(()).map_err(|error| failed(error.to_string()))?;
        let endless = self.agent.configure_request(request).timeout_global(None);
        let request = endless.timeout_per_read(Some(SILENCE_WITHIN)).build();
        let response = self.agent.run(request).map_err(|error| failed(explain(&error)))?;
        let (parts, body) = response.into_parts();
        let body = body.into_reader();
        if parts.status.is_success() {
            return Ok(body);
        }
        let body = read_bounded(body, "the answer", 0, HEAD_BYTES_MAX).map_err(failed)?;
        Err(Problem::of(parts.status.as_u16(), body.expose()).into())
    }

    fn exchange(
        &self,
        method: Method,
        path: &str,
        accept: &'static str,
        body: Option<&SecretVec>,
    ) -> Result<Answer, String> {
        let text = |error: ureq::Error| explain(&error);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(ACCEPT, accept);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let invalid = |error: ureq::http::Error| error.to_string();
        let response = match body {
            None => self.agent.run(request.body(()).map_err(invalid)?),
            Some(body) => {
                let request = request.header(CONTENT_TYPE, JSON);
                self.agent.run(request.body(body.expose()).map_err(invalid)?)
            }
        };
        let (parts, body) = response.map_err(text)?.into_parts();
        let known = body.content_length().and_then(|bytes| usize::try_from(bytes).ok());
        let body = body.into_reader();
        let body = read_bounded(body, "the answer", known.unwrap_or(0), ANSWER_BYTES_MAX)?;
        Ok(Answer { status: parts.status.as_u16(), body })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, Failure> {
    let wrong = |why: &str| Failure::Configuration(format!("the authority's certificate: {why}"));
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        // A key beside the certificate is not looked at.
        if let PemItem::Certificate(certificate) =
            item.map_err(|error| wrong(&error.to_string()))?
        {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(wrong("the file holds none in PEM")) } else { Ok(found) }
}

fn authorization(token: &SecretVec) -> Result<HeaderValue, Failure> {
    let text = SecretVec::from_vec([b"Bearer ".as_slice(), token.expose()].concat());
    let mut value = HeaderValue::from_bytes(text.expose())
        .map_err(|_| Failure::Configuration("the token is not one".to_owned()))?;
    // Kept out of every `Debug`.
    value.set_sensitive(true);
    Ok(value)
}

/// The HTTP library's errors in the words of somebody who asked a server.
fn explain(error: &ureq::Error) -> String {
    if let ureq::Error::Io(error) = error {
        return error.to_string();
    }
    if let ureq::Error::Timeout(_) = error {
        return format!("nothing came in time ({error})");
    }
    error.to_string()
}

/// What the server sent.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: SecretVec,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// [`Failure::Failed`] if it is something else.
    pub(crate) fn json(&self) -> Result<Value, Failure> {
        self.parse()
    }

    /// The body as the JSON of a type.
    ///
    /// # Errors
    /// [`Failure::Failed`] if it is something else; nothing of the body is shown.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(self.body.expose()).map_err(|error| {
            let what = "the server's answer is not what this version expects";
            Failure::Failed(format!("{what} (line {}, column {})", error.line(), error.column()))
        })
    }
}

/// The value of a member of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Member<'a> {
    /// Bytes, sent in base64.
    Bytes(&'a [u8]),
    /// JSON, sent as it is.
    Json(&'a str),
    /// A number.
    Number(u32),
    /// Text.
    Text(&'a str),
    /// JSON as it is.
    Written(&'a [u8]),
}

/// A JSON object. Bytes are often secret, so that it is written once into a buffer of its size.
pub(crate) fn object(members: &[(&str, Member<'_>)]) -> SecretVec {
    let room = |(name, value): &(&str, Member<'_>)| {
        // Twice the quotes, a colon and a comma; of text every character may be escaped.
        name.len()
            + 6
            + match value {
                Member::Bytes(bytes) => bytes.len().div_ceil(3) * 4,
                Member::Json(json) => json.len(),
                Member::Number(_) => 10,
                Member::Text(text) => text.len() * 6,
                Member::Written(json) => json.len(),
            }
    };
    let mut out = Vec::with_capacity(2 + members.iter().map(room).sum::<usize>());
    out.push(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quote(&mut out, name);
        out.push(b':');
        match value {
            Member::Bytes(bytes) => {
                out.push(b'"');
                let start = out.len();
                out.resize(start + bytes.len().div_ceil(3) * 4, 0);
                STANDARD.encode_slice(bytes, &mut out[start..]).expect("the room was computed");
                out.push(b'"');
            }
            Member::Json(json) => out.extend_from_slice(json.as_bytes()),
            Member::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Member::Text(text) => quote(&mut out, text),
            Member::Written(json) => out.extend_from_slice(json),
        }
    }
    out.push(b'}');
    SecretVec::from_vec(out)
}

fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to a vector cannot fail");
}

/// A JSON value as the body of a request, where nothing in it is secret.
pub(crate) fn body(value: &Value) -> SecretVec {
    SecretVec::from_vec(value.to_string().into_bytes())
}

/// `text` as it stands in a query (RFC 3986 section 2.1).
pub(crate) fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_json_written_in_one_piece() {
        #[track_caller]
        fn check(members: &[(&str, Member<'_>)], expected: &str) {
            let written = object(members);
            assert_eq!(core::str::from_utf8(written.expose()).unwrap(), expected);
            serde_json::from_slice::<Value>(written.expose()).unwrap();
        }
        check(&[], "{}");
        check(&[("a", Member::Bytes(b""))], r#"{"a":""}"#);
        check(
            &[("a", Member::Bytes(b"hi")), ("b", Member::Number(u32::MAX))],
            r#"{"a":"aGk=","b":4294967295}"#,
        );
        check(&[("a", Member::Json("{\"b\":true}"))], r#"{"a":{"b":true}}"#);
        check(&[("n", Member::Text("\u{1}\"\\ü"))], r#"{"n":"\u0001\"\\ü"}"#);
    }

    #[test]
    fn queries_escape_all_but_the_unreserved() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(query_value(text), expected);
        }
        check("", "");
        check("aZ09-._~", "aZ09-._~");
        check("a b&c=d", "a%20b%26c%3Dd");
        check("ü/?#+%", "%C3%BC%2F%3F%23%2B%25");
    }

    #[test]
    fn a_client_needs_a_certificate_that_is_one() {
        let settings = |pem: &[u8]| Settings {
            base: "https://a.example".to_owned(),
            ca_pem: Some(pem.to_vec()),
            token: None,
        };
        for pem in [b"".as_slice(), b"nothing", b"-----BEGIN CERTIFICATE-----\n"] {
            let failure = Client::new(settings(pem)).unwrap_err();
            assert_eq!(failure.exit_code(), 3, "{failure:?}");
        }
    }

    #[test]
    fn the_token_is_not_shown() {
        let settings = Settings {
            base: "http://127.0.0.1:1".to_owned(),
            ca_pem: None,
            token: Some(SecretVec::copy_from(b"lethe_very_secret")),
        };
        assert!(!format!("{settings:?}").contains("very_secret"));
        let client = Client::new(settings).unwrap();
        assert!(!format!("{client:?}").contains("very_secret"));
    }

    #[test]
    fn nobody_there_is_a_failure_with_the_address() {
        // A port that was free a moment ago; nobody listens on it any more.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let settings = Settings { base: base.clone(), ca_pem: None, token: None };
        let failure = Client::new(settings).unwrap().get("/v1/keys").unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.text().unwrap().contains(&base), "{failure:?}");
    }
}
