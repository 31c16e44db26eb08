//! Answers that went well: the envelope, and in it what the operation has to say.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response as HttpResponse, StatusCode};
use lethe_http::{Body, RequestHead, Response};
use serde::Serialize;
use zeroize::Zeroizing;

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
/// Nothing keeps this answer: it holds plaintext, a token or what changes.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Whether the request is of API 1.0, whose envelopes have a member more.
pub(crate) fn is_old(head: &RequestHead) -> bool {
    head.path().starts_with("/keys/")
}

/// A response with `value` as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let bytes = serde_json::to_vec(value).expect("what is told is JSON");
    with_body(status, bytes)
}

/// For an answer that holds a secret.
pub(crate) fn forbid_storing(response: &mut Response) {
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
}

fn with_body(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = HttpResponse::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// `data` in the envelope.
pub(crate) fn data<T: Serialize>(head: &RequestHead, data: &T) -> Response {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        code: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        msg: Option<&'static str>,
        data: &'a T,
    }
    let msg = is_old(head).then_some("");
    json(StatusCode::OK, &Envelope { code: "SUCCESS", msg, data })
}

/// One text, or several in the place of one. Texts have no character that JSON escapes.
pub(crate) enum Texts {
    Many(Vec<Zeroizing<String>>),
    One(Zeroizing<String>),
}

impl Texts {
    fn length(&self) -> usize {
        match self {
            Self::Many(texts) => texts.iter().map(|text| text.len() + 3).sum::<usize>() + 2,
            Self::One(text) => text.len() + 2,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Many(texts) => {
                out.push(b'[');
                for (place, text) in texts.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    quoted(text, out);
                }
                out.push(b']');
            }
            Self::One(text) => quoted(text, out),
        }
    }
}

fn quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Members of texts in the envelope, written by hand into one buffer that is wiped when it is sent:
/// these are most of all traffic.
///
/// What cannot be wiped: hyper copies small bodies into its write buffer, the TLS library into its
/// records, and both keep that memory for later answers.
pub(crate) fn texts(head: &RequestHead, members: &[(&'static str, Texts)]) -> Response {
    let open: &[u8] = if is_old(head) {
        b"{\"code\":\"SUCCESS\",\"msg\":\"\",\"data\":{"
    } else {
        b"{\"code\":\"SUCCESS\",\"data\":{"
    };
    let lengths = members.iter().map(|(name, texts)| name.len() + texts.length() + 4);
    // All at once: growing would leave an unwiped copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(open.len() + lengths.sum::<usize>() + 2));
    out.extend_from_slice(open);
    for (place, (name, texts)) in members.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        quoted(name, &mut out);
        out.push(b':');
        texts.write(&mut out);
    }
    out.extend_from_slice(b"}}");
    let mut response = with_body(StatusCode::OK, Bytes::from_owner(out));
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}
