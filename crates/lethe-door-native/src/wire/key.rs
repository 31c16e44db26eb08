//! What a new key is to be, and what is to change in one.

use std::borrow::Cow;

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Import, Map, Object};

/// What a new key is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey<'a> {
    /// A label for people; need not be unique. 1 to 256 bytes, no control characters, no white
    /// space at either end.
    #[serde(borrow)]
    #[schema(value_type = String, example = "customer-4711")]
    pub name: Cow<'a, str>,
    /// A name of `GET /v1/algorithms`.
    #[serde(borrow)]
    #[schema(value_type = String, example = "aes256-gcm")]
    pub algorithm: Cow<'a, str>,
    /// Id of the vault; without it the default vault of the realm.
    #[schema(value_type = Option<String>)]
    pub vault: Option<Cow<'a, str>>,
    /// For people and selectors: at most 64, names of 1 to 63 of `a-z 0-9 . _ / -`, values of at
    /// most 256 bytes.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub labels: Option<Map<String>>,
    /// Refused for destruction until this is taken back. Without it `false`.
    pub protected: Option<bool>,
    /// `false`: it can be used only after it was activated. Without it `true`.
    pub active: Option<bool>,
    /// What it may be used for, of the algorithm's `uses`; without it all of them.
    pub allowed_uses: Option<Vec<String>>,
    /// Whether its material may leave the server. Without it `false`; never given later.
    pub exportable: Option<bool>,
    /// How often it gets a new version by itself, as in `90d`; `1h` to `3650d`.
    #[schema(value_type = Option<String>, example = "90d")]
    pub rotation_period: Option<Cow<'a, str>>,
    /// The key, if it comes from outside. Needs `keys.import` as well.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Import>)]
    pub import: Option<Object<Import<'a>>>,
    /// The key, if its material comes from another key.
    #[schema(value_type = Option<Derive>)]
    pub derive: Option<Object<Derive<'a>>>,
}

/// From which key a new one is derived, by `path` or by `label`. Neither is ever used again under
/// the same parent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Derive<'a> {
    /// Id of the parent.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub parent: Cow<'a, str>,
    /// The way to the child as BIP-32 writes it, from a key of `bip32-secp256k1` or SLIP-0010 that
    /// was not itself derived.
    #[schema(value_type = Option<String>, example = "m/44'/0'/0'/0/7")]
    pub path: Option<Cow<'a, str>>,
    /// What tells the children of an HMAC key apart; at most 250 bytes.
    #[schema(value_type = Option<String>)]
    pub label: Option<Cow<'a, str>>,
    /// Whether a destruction of the parent has to think of the child, as the policy says. Without
    /// it `false`: the child has material of its own.
    pub depends: Option<bool>,
}

/// What is to change in a key; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeKey<'a> {
    /// A new name.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub name: Option<Cow<'a, str>>,
    /// Labels to set, or to take away where the value is `null`. Others stay.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Option<String>>>)]
    pub labels: Option<Map<Option<String>>>,
    /// Whether it is protected against destruction.
    pub protected: Option<bool>,
    /// What it may be used for from now on: fewer uses than before, never more.
    pub allowed_uses: Option<Vec<String>>,
    /// `false`: its material may not leave any more. Never given back.
    pub exportable: Option<bool>,
    /// How often it gets a new version by itself, from now on; `null` ends that.
    #[serde(default, deserialize_with = "crate::body::nullable")]
    #[schema(value_type = Option<String>, example = "90d")]
    pub rotation_period: Option<Option<String>>,
    /// The oldest version that may protect new data; 0 for no such rule.
    pub protect_from_version: Option<u32>,
    /// The oldest version that may open or check what was protected; 0 for no such rule.
    pub process_from_version: Option<u32>,
}
