//! Problem details for HTTP APIs (RFC 9457). Pure.

use core::fmt;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use crate::body::{Body, Response};
use crate::door::Fallback;

/// A problem, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    type_uri: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: Option<String>,
    members: Map<String, Value>,
}

impl Problem {
    /// A problem of a stable type: a URI reference such as `/problems/key-destroyed`, that clients
    /// compare as text, and a title that is the same for all problems of the type.
    #[must_use]
    pub fn new(type_uri: &'static str, title: &'static str, status: StatusCode) -> Self {
        Self { type_uri, title, status, detail: None, members: Map::new() }
    }

    /// With an explanation of this one occurrence. Never with internals or secrets.
    #[must_use]
    pub fn detail(mut self, detail: impl fmt::Display) -> Self {
        self.detail = Some(detail.to_string());
        self
    }

    /// With an extension member (RFC 9457 section 3.2). One of the standard names keeps its
    /// standard value.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The JSON object: standard members first in meaning, whatever the order in text.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut members = self.members.clone();
        members.insert("type".to_owned(), self.type_uri.into());
        members.insert("title".to_owned(), self.title.into());
        members.insert("status".to_owned(), self.status.as_u16().into());
        match &self.detail {
            Some(detail) => members.insert("detail".to_owned(), detail.as_str().into()),
            None => members.remove("detail"),
        };
        Value::Object(members)
    }

    /// The response, with its status and content type.
    #[must_use]
    pub fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json().to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_PROBLEM);
        response
    }
}

impl From<&Fallback> for Problem {
    /// The standard problem of a fall-back; its detail is the fall-back in words.
    fn from(cause: &Fallback) -> Self {
        let (type_uri, title) = match cause {
            Fallback::BadRequest(_) => ("/problems/malformed-request", "Malformed request"),
            Fallback::BodyTimeout => ("/problems/body-timeout", "Request body too slow"),
            Fallback::BodyTooLarge { .. } => ("/problems/body-too-large", "Request too large"),
            Fallback::HandlerPanicked => ("/problems/internal", "Internal error"),
            Fallback::HeadersTooLarge => ("/problems/headers-too-large", "Headers too large"),
            Fallback::LengthRequired => ("/problems/length-required", "Length required"),
            Fallback::MethodNotAllowed { .. } => {
                ("/problems/method-not-allowed", "Method not allowed")
            }
            Fallback::NotFound => ("/problems/no-such-path", "No such path"),
            Fallback::Overloaded => ("/problems/overloaded", "Server overloaded"),
            Fallback::ShuttingDown => ("/problems/shutting-down", "Server shutting down"),
            Fallback::Timeout => ("/problems/timeout", "Deadline passed"),
            Fallback::UriTooLong => ("/problems/uri-too-long", "Request target too long"),
        };
        Self::new(type_uri, title, cause.status()).detail(cause)
    }
}

/// RFC 9457 section 6.1.
const CONTENT_TYPE_PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
