//! What of a request its answer repeats. What failed to authenticate is never repeated; secrets are
//! repeated only by [`Echo::Full`], which is for comparisons.

use std::collections::BTreeMap;

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, PROXY_AUTHORIZATION};
use lethe_http::RequestHead;
use lethe_types::SecretVec;
use serde_json::{Map, Value, json};

use crate::body::{Member, RequestBody, SECRET_MEMBERS};
use crate::ciphertext;
use crate::envelope::{Field, secret};
use crate::settings::Echo;

/// Most headers that are repeated.
const HEADERS_MAX: usize = 32;
/// Longest value of a header that is repeated, in characters.
const HEADER_CHARACTERS_MAX: usize = 256;
/// Longest ciphertext that is repeated whole, in characters.
const CIPHERTEXT_CHARACTERS_MAX: usize = 256;

const REDACTED: &str = "[redacted]";
const TOKEN: &str = "token";

/// The members of `DATA` and `HEADERS`.
#[derive(Debug, Default)]
pub(crate) struct Echoed {
    data: BTreeMap<String, Value>,
    /// The token that the request came with.
    token: Option<SecretVec>,
    headers: Map<String, Value>,
}

/// What of a request can be repeated.
pub(crate) struct Sent<'a> {
    pub(crate) head: &'a RequestHead,
    pub(crate) query: &'a [(String, String)],
    pub(crate) body: &'a RequestBody,
    /// The parameters of the path, by name.
    pub(crate) params: &'a [(&'static str, String)],
    /// The token that proved who calls.
    pub(crate) token: Option<&'a SecretVec>,
    /// Whether the request failed to prove who calls: then nothing that could have is repeated.
    pub(crate) has_failed: bool,
}

impl Echoed {
    pub(crate) fn of(sent: &Sent<'_>, echo: Echo) -> Self {
        let token = sent.token.map(|token| SecretVec::copy_from(token.expose()));
        let params = sent.params.iter().map(|(name, text)| ((*name).to_owned(), json!(text)));
        if echo == Echo::Minimal {
            let data = params.filter(|(name, _)| name == "vaultid" || name == "name").collect();
            return Self { data, token, headers: Map::new() };
        }
        let mut data = BTreeMap::new();
        for (name, text) in sent.query {
            if let Some(value) = member(name, &json!(text), sent, echo) {
                data.insert(name.clone(), value);
            }
        }
        for (name, sent_member) in sent.body.members() {
            let value = match sent_member {
                Member::Json(value) => member(name, value, sent, echo),
                Member::Secret(text) => match echo {
                    Echo::Full if !sent.has_failed && name != TOKEN => Some(json!(text.as_str())),
                    Echo::Full | Echo::Minimal | Echo::Redacted => hidden(name),
                },
                Member::NotText => hidden(name),
            };
            data.extend(value.map(|value| (name.to_owned(), value)));
        }
        data.extend(params);
        Self { data, token, headers: headers(sent, echo) }
    }

    /// The members of `DATA`, in their order. The token is there only if it is good.
    pub(crate) fn data(&self, has_token: bool) -> Vec<(String, Field)> {
        let mut all: Vec<(String, Field)> =
            self.data.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
        if let Some(token) = self.token.as_ref().filter(|_| has_token) {
            all.push((TOKEN.to_owned(), secret(token)));
            all.sort_by(|one, other| one.0.cmp(&other.0));
        }
        all
    }

    pub(crate) fn headers(&self) -> Value {
        Value::Object(self.headers.clone())
    }
}

/// A secret in its place; the token, which has its own, is left out.
fn hidden(name: &str) -> Option<Value> {
    (name != TOKEN).then(|| json!(REDACTED))
}

/// A member as it is repeated.
fn member(name: &str, value: &Value, sent: &Sent<'_>, echo: Echo) -> Option<Value> {
    if SECRET_MEMBERS.contains(&name) && (echo != Echo::Full || sent.has_failed || name == TOKEN) {
        return hidden(name);
    }
    match value.as_str() {
        Some(text)
            if name == "ciphertext"
                && echo != Echo::Full
                && text.chars().count() > CIPHERTEXT_CHARACTERS_MAX =>
        {
            Some(json!(format!("{}...", ciphertext::prefix(text))))
        }
        Some(_) | None => Some(value.clone()),
    }
}

fn headers(sent: &Sent<'_>, echo: Echo) -> Map<String, Value> {
    let mut all = BTreeMap::<String, String>::new();
    for (name, value) in &sent.head.headers {
        let written = if is_secret(name) && (echo != Echo::Full || sent.has_failed) {
            REDACTED.to_owned()
        } else {
            let text = String::from_utf8_lossy(value.as_bytes());
            text.chars().take(HEADER_CHARACTERS_MAX).collect()
        };
        let name = train_case(name.as_str());
        all.entry(name)
            .and_modify(|before| {
                if *before != REDACTED {
                    *before = format!("{before}, {written}");
                }
            })
            .or_insert(written);
    }
    // HTTP/2 says it in another place.
    if let (None, Some(host)) = (sent.head.headers.get(HOST), sent.head.host()) {
        all.insert("Host".to_owned(), host.chars().take(HEADER_CHARACTERS_MAX).collect());
    }
    all.into_iter().take(HEADERS_MAX).map(|(name, value)| (name, json!(value))).collect()
}

fn is_secret(name: &HeaderName) -> bool {
    *name == crate::call::X_HTTP_TOKEN
        || [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name)
}

/// `x-http-token` as `X-Http-Token`.
fn train_case(name: &str) -> String {
    let mut begins = true;
    name.chars()
        .map(|c| {
            let written = if begins { c.to_ascii_uppercase() } else { c };
            begins = c == '-';
            written
        })
        .collect()
}
