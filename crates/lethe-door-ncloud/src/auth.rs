//! Who asks: the signature over method, target, time and access key, of either version, with what
//! real clients do differently. No policy here: the engine decides.

use core::time::Duration;
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use lethe_engine::{Caller, EngineError, Proof};
use lethe_http::{RequestHead, percent_decode};
use lethe_types::UnixMillis;

use crate::DOOR;
use crate::error::Refusal;
use crate::state::State;

const TIMESTAMP: &str = "x-ncp-apigw-timestamp";
const ACCESS_KEY: &str = "x-ncp-iam-access-key";
const API_KEY: &str = "x-ncp-apigw-api-key";
const SIGNATURE_V1: &str = "x-ncp-apigw-signature-v1";
const SIGNATURE_V2: &str = "x-ncp-apigw-signature-v2";
const TOKEN: &str = "x-ncp-ocapi-token";

/// A request whose time differs from ours by so much or more is refused.
const SKEW_MAX: Duration = Duration::from_secs(300);
/// Bytes of HMAC-SHA-256.
const SIGNATURE_BYTES: usize = 32;
/// Most digits of a time in milliseconds.
const TIMESTAMP_DIGITS_MAX: usize = 19;

/// An account that proved itself.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) caller: Caller,
    /// By which access key.
    pub(crate) access_key: String,
}

/// With what a request wants to prove who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presented<'a> {
    Nothing,
    Signature,
    Token(&'a str),
}

/// A signature decides, where both are there.
pub(crate) fn presented(head: &RequestHead) -> Presented<'_> {
    let headers = &head.headers;
    if headers.contains_key(SIGNATURE_V2) || headers.contains_key(SIGNATURE_V1) {
        return Presented::Signature;
    }
    if !headers.contains_key(TOKEN) {
        return Presented::Nothing;
    }
    // Of two tokens, and of one that is no text, none is right.
    Presented::Token(single(headers, TOKEN).unwrap_or_default())
}

/// The account that signed the request of `head`.
///
/// # Errors
/// [`EngineError::AuthenticationNotSuccessful`], which the audit trail then holds, for everything
/// that is not a fresh signature by a live access key, without saying which.
pub(crate) fn account(state: &State, head: &RequestHead) -> Result<Account, Refusal> {
    let request = head.request_id.to_bytes();
    let Some(claim) = Claim::of(head) else {
        return Err(state.engine.refuse_anonymous(DOOR, request)?.into());
    };
    let is_fresh = claim.is_fresh(state.clock.now());
    let access_key = claim.access_key;
    let caller =
        state.engine.authenticate_external(DOOR, request, state.realm, access_key, |proof| {
            claim.is_signed(head, proof) && is_fresh
        })?;
    Ok(Account { caller, access_key: access_key.to_owned() })
}

/// What the headers claim.
struct Claim<'a> {
    timestamp: &'a str,
    access_key: &'a str,
    /// Part of what is signed, where it is.
    api_key: Option<&'a str>,
    signature: [u8; SIGNATURE_BYTES],
}

impl<'a> Claim<'a> {
    /// `None` if a header is missing, there twice or malformed.
    fn of(head: &'a RequestHead) -> Option<Self> {
        let headers = &head.headers;
        let timestamp = single(headers, TIMESTAMP)?;
        let is_number = !timestamp.is_empty()
            && timestamp.len() <= TIMESTAMP_DIGITS_MAX
            && timestamp.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return None;
        }
        let is_second = headers.contains_key(SIGNATURE_V2);
        let signature = single(headers, if is_second { SIGNATURE_V2 } else { SIGNATURE_V1 })?;
        // Version 2 never signs the API key. Several clients send that version's message, without
        // an API key, in the header of version 1.
        let api_key = match headers.contains_key(API_KEY) && !is_second {
            true => Some(single(headers, API_KEY)?),
            false => None,
        };
        Some(Self {
            timestamp,
            access_key: single(headers, ACCESS_KEY)?,
            api_key,
            signature: STANDARD.decode(signature).ok()?.try_into().ok()?,
        })
    }

    fn is_fresh(&self, now: UnixMillis) -> bool {
        let sent = self.timestamp.parse().map(UnixMillis);
        sent.is_ok_and(|sent| now.since(sent) < SKEW_MAX && sent.since(now) < SKEW_MAX)
    }

    fn is_signed(&self, head: &RequestHead, proof: &Proof<'_>) -> bool {
        // A public key proves nothing here, whatever it signed.
        matches!(proof, Proof::SharedSecret(_))
            && targets(head).iter().any(|target| {
                let message = self.message(head.method.as_str(), target);
                proof.verify(message.as_bytes(), &self.signature)
            })
    }

    /// Method, space, target, line feed, time, line feed, (API key, line feed,) access key.
    fn message(&self, method: &str, target: &str) -> String {
        let Self { timestamp, access_key, api_key, .. } = self;
        match api_key {
            None => format!("{method} {target}\n{timestamp}\n{access_key}"),
            Some(api_key) => format!("{method} {target}\n{timestamp}\n{api_key}\n{access_key}"),
        }
    }
}

/// What may have been signed for the target that was sent: itself; without a query, itself with a
/// `?`, as one client does; with one, its query not encoded, as others do.
fn targets(head: &RequestHead) -> Vec<Cow<'_, str>> {
    let target = head.target();
    let mut targets = vec![Cow::Borrowed(target)];
    match target.split_once('?') {
        None => targets.push(Cow::Owned(format!("{target}?"))),
        Some((path, query)) => {
            let decoded = percent_decode(query).ok().filter(|decoded| decoded != query);
            targets.extend(decoded.map(|decoded| Cow::Owned(format!("{path}?{decoded}"))));
        }
    }
    targets
}

/// The only value of `name`, if it is visible ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// That nobody proved themselves; it is in the audit trail.
pub(crate) fn nobody(state: &State, head: &RequestHead) -> Refusal {
    let refused = state.engine.refuse_anonymous(DOOR, head.request_id.to_bytes());
    refused.unwrap_or_else(|error: EngineError| error).into()
}
