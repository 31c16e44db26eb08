//! The OpenAPI document, the page that renders it, and the pages of the problems.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use lethe_http::{Reply, Request, Response};
use utoipa_swagger_ui::Config;

use crate::error::Refusal;
use crate::problems::ProblemType;
use crate::state::State;
use crate::{headers, openapi, render};

pub(crate) fn openapi_document(_: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    let document = openapi::document_json();
    Ok(render::with_body(StatusCode::OK, headers::JSON, document).into())
}

/// The page itself. Its files are one level deeper, hence the base.
pub(crate) fn page(_: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    let (bytes, ..) = swagger_file("index.html")?;
    let page = String::from_utf8_lossy(&bytes);
    let page = page.replacen("<head>", "<head><base href=\"/v1/docs/\">", 1);
    let page = page.replacen("<title>Swagger UI</title>", "<title>Lethe API</title>", 1);
    Ok(guarded(render::with_body(StatusCode::OK, headers::HTML, page)).into())
}

pub(crate) fn page_file(_: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let (bytes, content_type, is_gzip) = swagger_file(request.param("file"))?;
    let content_type = HeaderValue::try_from(content_type).unwrap_or(headers::BYTES);
    let body = match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let mut response = render::with_body(StatusCode::OK, content_type, body);
    if is_gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(guarded(response).into())
}

pub(crate) fn problem_page(_: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let problem = ProblemType::find(request.param("code")).ok_or(Refusal::NotFound)?;
    let ProblemType { code, title, status, explanation, .. } = problem;
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n\
         <p><code>{code}</code>, status {status}</p>\n<p>{}</p>\n</body>\n</html>\n",
        marked_up(explanation),
    );
    Ok(guarded(render::with_body(StatusCode::OK, headers::HTML, page)).into())
}

/// `text` as HTML, with what stands between backticks as code.
fn marked_up(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut html = String::with_capacity(escaped.len() + 64);
    for (index, part) in escaped.split('`').enumerate() {
        match index {
            0 => {}
            odd if odd % 2 == 1 => html.push_str("<code>"),
            _ => html.push_str("</code>"),
        }
        html.push_str(part);
    }
    html
}

/// A file of the viewer: its bytes, content type, and whether it is compressed.
fn swagger_file(name: &str) -> Result<(Cow<'static, [u8]>, String, bool), Refusal> {
    // No look at a validator on the net: a badge is not worth telling others about this server.
    static CONFIG: LazyLock<Arc<Config<'static>>> =
        LazyLock::new(|| Arc::new(Config::from("/v1/openapi.json").validator_url("none")));
    match utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG)) {
        Ok(Some(file)) => Ok((file.bytes, file.content_type, file.gzpipped)),
        Ok(None) | Err(_) => Err(Refusal::NotFound),
    }
}

/// A page may load what this server serves and nothing else.
fn guarded(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The viewer sets styles by script, and its images are data.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; base-uri 'self'; frame-ancestors 'none'",
);
