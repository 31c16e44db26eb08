//! The one shape of every answer.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response as HttpResponse, StatusCode};
use lethe_http::{Body, Response};
use lethe_types::SecretVec;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::echo::Echoed;
use crate::error::Failure;

/// The evidence of a deletion, as base64 of its file.
pub(crate) const X_DELETION_RECEIPT: HeaderName = HeaderName::from_static("x-deletion-receipt");

/// Why a request was refused, in one word for programs.
const X_ERROR_REASON: HeaderName = HeaderName::from_static("x-error-reason");

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// What an operation has to say beside what every answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Members of `CALLINFO`.
    pub(crate) callinfo: Vec<(&'static str, Field)>,
    /// Members beside `CALLINFO`.
    pub(crate) payload: Vec<(&'static str, Field)>,
    /// Notices.
    pub(crate) general: Vec<&'static str>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The value of a member.
#[derive(Debug)]
pub(crate) enum Field {
    Json(Value),
    /// A text without characters that JSON escapes.
    Secret(SecretVec),
    /// An array of objects.
    Objects(Vec<Vec<(&'static str, Self)>>),
}

impl<T: Into<Value>> From<T> for Field {
    fn from(value: T) -> Self {
        Self::Json(value.into())
    }
}

impl Answer {
    pub(crate) fn new(status: StatusCode) -> Self {
        Self {
            status,
            callinfo: Vec::new(),
            payload: Vec::new(),
            general: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn ok() -> Self {
        Self::new(StatusCode::OK)
    }

    /// With one more member in `CALLINFO`.
    pub(crate) fn info(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.callinfo.push((name, value.into()));
        self
    }

    /// With one more member beside `CALLINFO`.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Field>) -> Self {
        self.payload.push((name, value.into()));
        self
    }

    pub(crate) fn notice(mut self, text: &'static str) -> Self {
        self.general.push(text);
        self
    }
}

/// What every answer says.
pub(crate) struct Frame<'a> {
    pub(crate) handler: &'static str,
    /// The token to use from now on, if the caller has one.
    pub(crate) token: Option<&'a SecretVec>,
    pub(crate) echoed: &'a Echoed,
}

impl Frame<'_> {
    /// The answer to a request that succeeded.
    pub(crate) fn success(&self, answer: Answer) -> Response {
        let Answer { status, callinfo, payload, general, headers } = answer;
        let mut response = self.write(status, "SUCCESS", 0, callinfo, &general, payload);
        response.headers_mut().extend(headers);
        response
    }

    /// The answer to a request that was refused.
    pub(crate) fn failure(&self, failure: &Failure) -> Response {
        let (code, text) = failure.code;
        let codes = Field::from(json!({ (code): text }));
        let payload = vec![("ERRORCODES", codes), ("ERRORS", json!([failure.text]).into())];
        let mut response = self.write(failure.status, "FAIL", 1, Vec::new(), &[], payload);
        let headers = response.headers_mut();
        if let Ok(reason) = HeaderValue::try_from(failure.reason()) {
            headers.insert(X_ERROR_REASON, reason);
        }
        if let Some(seconds) = failure.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = &failure.allow {
            headers.insert(ALLOW, allow.clone());
        }
        response
    }

    fn write(
        &self,
        status: StatusCode,
        word: &'static str,
        errors: u64,
        callinfo: Vec<(&'static str, Field)>,
        general: &[&str],
        payload: Vec<(&'static str, Field)>,
    ) -> Response {
        let mut info = callinfo;
        info.push(("errorcodes", json!(errors).into()));
        info.push(("errors", json!(errors).into()));
        info.push(("general", json!(general).into()));
        info.push(("handler", json!(self.handler).into()));
        info.push(("status", json!(word).into()));
        info.extend(self.token.map(|token| ("token", secret(token))));
        info.sort_by_key(|(name, _)| *name);
        let mut out = Pieces::default();
        out.text("{\"CALLINFO\":");
        out.object(info);
        out.text(",\"DATA\":");
        out.object(self.echoed.data(self.token.is_some()));
        let mut rest = payload;
        rest.push(("HEADERS", self.echoed.headers().into()));
        rest.push(("PARAMS", json!([]).into()));
        rest.sort_by_key(|(name, _)| *name);
        for (name, value) in rest {
            out.text(",");
            out.json(&json!(name));
            out.text(":");
            out.field(value);
        }
        out.text("}");
        let mut response = HttpResponse::new(Body::from(out.join()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.insert(HeaderName::from_static("x-content-type-options"), NOSNIFF);
        response
    }
}

pub(crate) fn secret(text: &SecretVec) -> Field {
    Field::Secret(SecretVec::copy_from(text.expose()))
}

/// A body in the making, joined at once: a buffer that grows would leave copies of secrets behind.
#[derive(Default)]
struct Pieces(Vec<Piece>);

enum Piece {
    Plain(Vec<u8>),
    Secret(SecretVec),
}

impl Pieces {
    fn text(&mut self, text: &str) {
        self.plain().extend_from_slice(text.as_bytes());
    }

    fn json(&mut self, value: &Value) {
        serde_json::to_writer(self.plain(), value).expect("a value is JSON");
    }

    fn object<N: AsRef<str>>(&mut self, members: impl IntoIterator<Item = (N, Field)>) {
        let mut separator = "{";
        for (name, field) in members {
            self.text(separator);
            self.json(&json!(name.as_ref()));
            self.text(":");
            self.field(field);
            separator = ",";
        }
        self.text(if separator == "{" { "{}" } else { "}" });
    }

    fn field(&mut self, field: Field) {
        match field {
            Field::Json(value) => self.json(&value),
            Field::Secret(secret) => {
                self.text("\"");
                self.0.push(Piece::Secret(secret));
                self.text("\"");
            }
            Field::Objects(objects) => {
                let mut separator = "[";
                for object in objects {
                    self.text(separator);
                    self.object(object);
                    separator = ",";
                }
                self.text(if separator == "[" { "[]" } else { "]" });
            }
        }
    }

    fn plain(&mut self) -> &mut Vec<u8> {
        if !matches!(self.0.last(), Some(Piece::Plain(_))) {
            self.0.push(Piece::Plain(Vec::new()));
        }
        match self.0.last_mut() {
            Some(Piece::Plain(bytes)) => bytes,
            Some(Piece::Secret(_)) | None => unreachable!("a plain piece was put there"),
        }
    }

    fn join(self) -> Bytes {
        let length = self.0.iter().map(|piece| piece.bytes().len()).sum();
        let mut all = Zeroizing::new(Vec::with_capacity(length));
        self.0.iter().for_each(|piece| all.extend_from_slice(piece.bytes()));
        Bytes::from_owner(all)
    }
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Secret(secret) => secret.expose(),
        }
    }
}
