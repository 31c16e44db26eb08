//! From the `Authorization` header to a caller. No policy here: the engine decides.

use http::header::{AUTHORIZATION, HeaderMap};
use lethe_engine::Caller;
use lethe_http::RequestHead;

use crate::DOOR;
use crate::error::Refusal;
use crate::state::State;

/// Who makes the request of `head`.
///
/// # Errors
/// [`lethe_engine::EngineError::AuthenticationNotSuccessful`], which the audit trail then holds, or
/// the engine's error if it could not be recorded.
pub(crate) fn caller(state: &State, head: &RequestHead) -> Result<Caller, Refusal> {
    let request = head.request_id.to_bytes();
    match bearer_token(&head.headers) {
        Some(token) => {
            let from = head.peer.ip();
            Ok(lethe_token::authenticate(&state.engine, DOOR, request, token, from)?)
        }
        None => Err(state.engine.refuse_anonymous(DOOR, request)?.into()),
    }
}

/// The token of the one `Authorization` header, `Bearer` and the token (RFC 6750 section 2.1); the
/// scheme in any case (RFC 9110 section 11.1).
pub(crate) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    // Of two credentials neither is taken: a proxy may have looked at the other one.
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}
