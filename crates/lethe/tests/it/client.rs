//! A small HTTP client for tests: it shows what the server sent, and does nothing by itself.
//!
//! No redirects, no proxies, no errors for statuses; over TLS it trusts one certificate only.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{HeaderMap, Method, Request};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// Longest exchange of one request and its answer.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A client of one server. A copy is cheap and may be used by another thread.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

impl Client {
    /// A client without credentials. `base` is the URL before every path; `ca_pem` is the one
    /// certificate that it trusts, needed for `https`.
    #[track_caller]
    pub(crate) fn new(base: &str, ca_pem: Option<&str>) -> Self {
        let roots: Vec<_> = ca_pem
            .map(|pem| Certificate::from_pem(pem.as_bytes()).expect("the CA file is PEM"))
            .into_iter()
            .collect();
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .root_certs(RootCerts::new_with_certs(&roots))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(ANSWER_WITHIN))
            .build()
            .new_agent();
        Self { agent, base: base.trim_end_matches('/').to_owned(), token: None }
    }

    /// The same client with a bearer token.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The same client without credentials.
    pub(crate) fn without_token(mut self) -> Self {
        self.token = None;
        self
    }

    /// `GET path`.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], b"")
    }

    /// `POST path` with a JSON body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[JSON], body.to_string().as_bytes())
    }

    /// `DELETE path`.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], b"")
    }

    /// Any request.
    ///
    /// # Panics
    /// If there is no answer.
    #[track_caller]
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_send(method.clone(), path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {}{path}: {error}", self.base))
    }

    /// Any request to a server that may be killed meanwhile.
    ///
    /// # Errors
    /// What kept the answer from arriving; the server may or may not have done what was asked.
    pub(crate) fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = if body.is_empty() {
            self.agent.run(request.body(())?)
        } else {
            self.agent.run(request.body(body)?)
        };
        let (parts, mut body) = response?.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

/// What the server sent.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The answer itself, if it has this status.
    ///
    /// # Panics
    /// If it has another, with the body.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{} is not JSON: {error}", self.text()))
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, if it was sent and is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The header of a JSON body.
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

/// The largest answer is a page of a list or the OpenAPI page.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;
