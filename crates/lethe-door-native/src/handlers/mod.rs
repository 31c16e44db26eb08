//! One function for each route: parse, one call of the engine, render.

pub(crate) mod destroy;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod principals;
pub(crate) mod service;
pub(crate) mod uses;
pub(crate) mod vaults;

use core::str::FromStr;

use lethe_http::Request;
use lethe_types::KeyId;

use crate::error::Refusal;

/// The key that the path names.
///
/// # Errors
/// [`Refusal::InvalidField`] if it is not an id.
fn key_id(request: &Request) -> Result<KeyId, Refusal> {
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
