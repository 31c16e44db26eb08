//! One function for each route: parse, one call of the engine, render.

pub(crate) mod approvals;
pub(crate) mod credentials;
pub(crate) mod destroy;
pub(crate) mod destructions;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod holds;
pub(crate) mod keys;
pub(crate) mod life;
pub(crate) mod log;
pub(crate) mod principals;
pub(crate) mod realm;
pub(crate) mod service;
pub(crate) mod transport;
pub(crate) mod uses;
pub(crate) mod vaults;
pub(crate) mod versions;

use core::str::FromStr;

use lethe_engine::Caller;
use lethe_http::Request;
use lethe_types::KeyId;
use lethe_types::limits::PAGE_KEYS_MAX;

use crate::error::Refusal;
use crate::state::State;
use crate::{auth, headers};

/// Things on a page whose request does not say how many.
const PAGE_DEFAULT: usize = 100;

/// Who makes a request that takes no parameters.
///
/// # Errors
/// Those of [`auth::caller`]; [`Refusal::InvalidField`] if there is a parameter.
fn caller_without_query(state: &State, request: &Request) -> Result<Caller, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let [] = headers::query(&request.head, [])?;
    Ok(caller)
}

/// The parameter `limit`: how many things a page may have.
///
/// # Errors
/// [`Refusal::InvalidField`].
fn page_limit(text: Option<&str>) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(PAGE_DEFAULT) };
    let limit = headers::decimal(text).filter(|limit| (1..=PAGE_KEYS_MAX).contains(limit));
    limit.ok_or_else(|| {
        Refusal::invalid("limit", format!("must be a number from 1 to {PAGE_KEYS_MAX}"))
    })
}

/// The key that the path names.
///
/// # Errors
/// [`Refusal::InvalidField`] if it is not an id.
pub(crate) fn key_id(request: &Request) -> Result<KeyId, Refusal> {
    parsed("id", request.param("id"))
}

/// `text` as a `T`; `field` says where it came from.
///
/// # Errors
/// [`Refusal::InvalidField`] with the words of `T`.
fn parsed<T: FromStr<Err: core::fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, Refusal> {
    text.parse().map_err(|error: T::Err| Refusal::invalid(field, error.to_string()))
}
