//! Uses of keys: what most requests are for. A function a use: one body in, one answer out; batches
//! are `batch.rs`'.
//!
//! Each is answered on the thread that serves the connection, unless its body is large, it is one
//! of a batch, or its key is one of RSA.

mod cipher;
mod plain;
mod secrets;
mod sign;

use std::sync::Arc;

use lethe_crypto::registry::{PublicFormat, SignatureScheme};
use lethe_http::{Reply, Request};
use lethe_types::{Permission, SecretVec};

use super::key_id;
use crate::batch::{self, One, Scope};
use crate::error::Refusal;
use crate::state::State;
use crate::wire;

pub(crate) use plain::{public_key, taproot_key};

/// The routes' handlers: which permission on the key each use needs first, and what does it.
macro_rules! of_key {
    ($($name:ident: $permission:ident, $one:path;)*) => {$(
        pub(crate) fn $name(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
            by_key(state, request, Scope::Key(Permission::$permission), $one)
        }
    )*};
}

of_key! {
    encrypt: KeysUseEncrypt, cipher::encrypt;
    decrypt: KeysUseDecrypt, cipher::decrypt;
    raw_encrypt: KeysUseEncrypt, cipher::raw_encrypt;
    raw_decrypt: KeysUseDecrypt, cipher::raw_decrypt;
    data_key: KeysUseEncrypt, cipher::data_key;
    sign: KeysUseSign, sign::sign;
    verify: KeysUseVerify, sign::verify;
    mac: KeysUseMac, sign::mac;
    mac_verify: KeysUseMac, sign::mac_verify;
    agree: KeysUseDerive, secrets::agree;
    agree_hashed: KeysUseDerive, secrets::agree_hashed;
    encapsulate: KeysUseEncrypt, secrets::encapsulate;
    decapsulate: KeysUseDecrypt, secrets::decapsulate;
    wrap: KeysUseWrap, secrets::wrap;
    unwrap: KeysUseWrap, secrets::unwrap;
}

pub(crate) fn re_encrypt(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    by_key(state, request, Scope::TwoKeys(Permission::KeysUseDecrypt), cipher::re_encrypt)
}

pub(crate) fn random(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    batch::run(state, request, Scope::Caller(Permission::KeysRead), plain::random)
}

pub(crate) fn hash(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    batch::run(state, request, Scope::Caller(Permission::KeysRead), plain::hash)
}

pub(crate) fn foreign_verify(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    batch::run(state, request, Scope::Caller(Permission::KeysUseVerify), sign::foreign_verify)
}

/// On the pool for blocking work if the key is slow, the body large or a batch, and else here.
fn by_key(state: &Arc<State>, request: Request, scope: Scope, one: One) -> Result<Reply, Refusal> {
    if is_slow(state, &request) {
        batch::run_blocking(state, request, scope, one)
    } else {
        batch::run(state, request, scope, one)
    }
}

/// Whether the key is one of RSA. Its private operation takes milliseconds; so does the expanding
/// of a version for its first use, and a check that names no version may expand all of them.
fn is_slow(state: &State, request: &Request) -> bool {
    // A key that is unknown, or named wrongly, is refused at once.
    let key = key_id(request).ok();
    let algorithm = key.and_then(|key| state.engine.algorithm_of(key));
    // Only RSA is slow to generate, for the same reason.
    algorithm.is_some_and(|algorithm| algorithm.is_slow_to_generate())
}

fn decode_optional(
    text: Option<&wire::Base64Text<'_>>,
    field: &'static str,
) -> Result<Option<SecretVec>, Refusal> {
    text.map(|text| text.decode(field)).transpose()
}

fn exposed(bytes: Option<&SecretVec>) -> &[u8] {
    bytes.map_or(&[], SecretVec::expose)
}

fn parse_scheme(name: Option<&str>) -> Result<Option<SignatureScheme>, Refusal> {
    name.map(|name| super::parsed("scheme", name)).transpose()
}

/// The form of a public key; raw if it is not named.
fn parse_format(name: Option<&str>) -> Result<PublicFormat, Refusal> {
    let Some(name) = name else { return Ok(PublicFormat::Raw) };
    PublicFormat::from_name(name)
        .ok_or_else(|| one_of("format", PublicFormat::ALL, |one| one.as_str()))
}

/// The refusal of a name that is none of `all`.
fn one_of<T: Copy>(field: &'static str, all: &[T], name: impl Fn(T) -> &'static str) -> Refusal {
    let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
    Refusal::invalid(field, format!("must be one of {}", names.join(", ")))
}
