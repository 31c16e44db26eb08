//! The bodies of requests and answers, with the names that the native API gives them.
//!
//! Requests borrow from the body. Answers are made from the engine's values in `wire/view.rs`;
//! those of the uses are written by hand (`render.rs`) and stand here for the OpenAPI document and
//! for the test that holds both to the same text.

mod approval;
mod base32;
mod bulk;
mod event;
mod key;
mod labels;
mod life;
mod pem;
mod policy;
mod preview;
mod principal;
mod span;
mod text;
mod uses;
mod view;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_crypto::registry::Uses;
use lethe_engine::KeyEntry;
use lethe_types::{LabelName, LabelValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::body::{Base64Text, Map, Object, SecretText};
pub use approval::{
    Approval, ApprovalRequest, ApprovalRequests, Approve, Hold, PlaceHold, RequestApproval,
};
pub(crate) use base32::decode_base32;
pub use bulk::{Job, Jobs, KeyIds, RefusedKey, RefusedKeys, StartDestruction};
pub use event::{Event, Events};
pub use key::{ChangeKey, CreateKey, Derive};
pub(crate) use labels::{label_changes, labels};
pub use life::{
    ChangeRealm, CreateImportKey, DestroyedVersion, Export, ExportedKey, Import, ImportKey,
    Rotation,
};
pub(crate) use life::{parse_format, parse_span_of, parse_uses};
pub(crate) use pem::{parse_spki_pem, spki_pem};
pub(crate) use policy::parse_name_rule;
pub use policy::{Approvals, Policy, Realm, Window};
pub use preview::{DestructionPreview, GuardRefusal};
pub use principal::{
    ChangePrincipal, CreatePrincipal, Credential, CredentialRequest, Grant, GrantRequest,
    IssuedToken, NewCredential, NewPrincipal, Principal, Principals,
};
#[cfg(test)]
pub(crate) use span::span_text;
pub(crate) use span::{SPAN_RULE, parse_span};
pub use text::ShortText;
pub use uses::{
    Agree, AgreeHashed, Agreed, AgreedPoint, Authenticated, DataKey, DataKeyMade, Decapsulate,
    Decrypt, Decrypted, Encapsulate, Encapsulated, Encrypt, Encrypted, ForeignVerify, Hash, Hashed,
    Hkdf, Mac, MacVerify, OutputKey, Random, RandomDrawn, RawDecrypt, RawEncrypt, RawEncrypted,
    ReEncrypt, ReEncryptTo, Sign, Signed, Unwrap, Validity, Verify, Wrap, Wrapped,
};
pub(crate) use view::key_bytes_about;

// ---------------------------------------------------------------- requests

/// A request that says nothing. The body may also be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What a new vault is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateVault<'a> {
    /// Unique in the realm. The same rules as for names of keys.
    #[serde(borrow)]
    #[schema(value_type = String, example = "customers")]
    pub name: Cow<'a, str>,
    /// When its keys may be destroyed, beside what the realm demands.
    #[schema(value_type = Option<Policy>)]
    pub policy: Option<Object<Policy>>,
    /// How names of its keys may be used: `free`, `unique_among_live` or `never_again`. Without it
    /// `free`.
    #[schema(value_type = Option<String>, example = "free")]
    pub names: Option<Cow<'a, str>>,
    /// For people and selectors; the same rules as for labels of keys.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub labels: Option<Map<String>>,
}

/// What is to change in a vault; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeVault<'a> {
    /// A new name.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub name: Option<Cow<'a, str>>,
    /// A new policy, in the place of the whole old one.
    #[schema(value_type = Option<Policy>)]
    pub policy: Option<Object<Policy>>,
    /// A new rule, for names that are given from now on.
    #[schema(value_type = Option<String>)]
    pub names: Option<Cow<'a, str>>,
    /// New labels, in the place of all old ones.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub labels: Option<Map<String>>,
}

// ----------------------------------------------------------------- answers

/// A key, or what remains of one that is destroyed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key<'a> {
    /// 32 hexadecimal digits.
    #[schema(value_type = String)]
    pub id: ShortText,
    /// Its label.
    #[schema(value_type = String)]
    pub name: &'a str,
    /// Name of its algorithm.
    #[schema(example = "aes256-gcm")]
    pub algorithm: &'static str,
    /// Id of its vault.
    #[schema(value_type = String)]
    pub vault: ShortText,
    /// `active`, or `destroyed`, or another state of its life.
    #[schema(example = "active")]
    pub state: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: ShortText,
    /// When it changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed: ShortText,
    /// The version that protects new data, the newest enabled one; `null` when destroyed.
    #[schema(required)]
    pub current_version: Option<u32>,
    /// The versions that have material, oldest first; none when destroyed.
    pub versions: Vec<KeyVersion>,
    /// Versions that were destroyed while the key went on; each has a receipt of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destroyed_versions: Vec<DestroyedVersion>,
    /// What it may be used for.
    #[serde(serialize_with = "view::uses")]
    #[schema(value_type = Vec<String>)]
    pub allowed_uses: Uses,
    /// Its next version comes by itself, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rotation: Option<Rotation>,
    /// The oldest version that may protect new data; 0 for no such rule.
    pub protect_from_version: u32,
    /// The oldest version that may open or check what was protected; 0 for no such rule.
    pub process_from_version: u32,
    /// Its material may leave the server.
    pub exportable: bool,
    /// Its material came from outside, so that copies may be there.
    pub imported: bool,
    /// Its material left the server.
    pub exported: bool,
    /// When it first did; only if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub exported_at: Option<String>,
    /// Uses since it was made. After a crash those of the last second may be missing.
    pub uses: u64,
    /// Its last use; `null` if there was none.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    pub last_used: Option<ShortText>,
    /// Id of the principal that used it last; `null` if none did.
    #[schema(value_type = Option<String>, required)]
    pub last_used_by: Option<ShortText>,
    /// For people and selectors.
    #[serde(serialize_with = "view::labels")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: &'a BTreeMap<LabelName, LabelValue>,
    /// Refused for destruction until this is taken back.
    pub protected: bool,
    /// What blocks its destruction. One past its `expires` blocks nothing.
    pub holds: Vec<Hold>,
    /// When it is destroyed; only while its destruction waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub due: Option<String>,
    /// Id of the principal that scheduled its destruction; only while that waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scheduled_by: Option<String>,
    /// Why, in that principal's words; only while the destruction waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scheduled_reason: Option<String>,
    /// The key that it was derived from, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub derived_from: Option<DerivedFrom>,
    /// Identifiers that it has at other doors.
    pub aliases: Vec<Alias>,
    /// Its newest state changes, oldest first; at most 32.
    pub history: Vec<StateChange>,
    /// How it ended; only when destroyed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub destruction: Option<Destruction>,
}

/// From which key another one was derived.
#[derive(Debug, Serialize, ToSchema)]
pub struct DerivedFrom {
    /// Id of that key.
    pub key: String,
    /// How, in the words of the derivation scheme.
    pub path: String,
}

/// An identifier of a key at another door.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alias {
    /// The door.
    pub door: String,
    /// The identifier.
    pub text: String,
}

/// A change of state.
#[derive(Debug, Serialize, ToSchema)]
pub struct StateChange {
    /// What was done.
    #[schema(example = "suspend")]
    pub transition: &'static str,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// Id of the principal that did it.
    pub by: String,
    /// Through which door.
    pub door: String,
}

/// One version of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyVersion {
    /// Counts from 1.
    pub version: u32,
    /// `enabled`, or `suspended`: refused for every use.
    #[schema(example = "enabled")]
    pub state: &'static str,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: ShortText,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: ShortText,
    /// SubjectPublicKeyInfo in PEM, for key pairs.
    #[schema(required)]
    pub public_key: Option<String>,
}

/// How a key ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct Destruction {
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub requested: String,
    /// From when on every use was refused.
    #[schema(format = DateTime)]
    pub unusable_since: String,
    /// Id of the principal that asked for it.
    pub by: String,
    /// Through which door.
    #[schema(example = "native")]
    pub door: String,
    /// Why, in that principal's words; may be empty.
    pub reason: String,
    /// Index of its entry in the log.
    pub log_index: u64,
}

/// One page of keys. May have fewer than asked for, even none, before the last page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Keys<'a> {
    /// The keys.
    #[serde(serialize_with = "view::keys")]
    #[schema(value_type = Vec<Key>)]
    pub keys: &'a [Arc<KeyEntry>],
    /// `cursor` of the next page; `null` after the last, and only then.
    #[schema(required)]
    pub next: Option<String>,
}

/// One page of keys, of each only who it is. May have fewer than asked for, as [`Keys`].
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyNames<'a> {
    /// The keys.
    #[serde(serialize_with = "view::key_names")]
    #[schema(value_type = Vec<KeyName>)]
    pub keys: &'a [Arc<KeyEntry>],
    /// `cursor` of the next page; `null` after the last, and only then.
    #[schema(required)]
    pub next: Option<String>,
}

/// Who a key is.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyName<'a> {
    /// Its identifier.
    #[schema(value_type = String)]
    pub id: ShortText,
    /// Its name.
    pub name: &'a str,
    /// Its state.
    pub state: &'static str,
}

/// The evidence of one destruction.
#[derive(Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// What happened, to read.
    #[schema(value_type = Object)]
    pub statement: serde_json::Value,
    /// What opens the commitments of the log entry.
    #[schema(value_type = Object)]
    pub opening: serde_json::Value,
    /// The `.tlog-proof` file (C2SP), which alone proves all of it.
    pub proof: String,
}

/// All algorithms of this version.
#[derive(Debug, Serialize, ToSchema)]
pub struct Algorithms {
    /// In a fixed order.
    pub algorithms: Vec<AlgorithmView>,
}

/// One algorithm.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Algorithm)]
pub struct AlgorithmView {
    /// Its name.
    pub name: &'static str,
    /// `symmetric_key` or `key_pair`.
    pub object_type: &'static str,
    /// What its keys can be used for.
    pub uses: Vec<&'static str>,
    /// Security strength (SP 800-57 part 1 section 5.6.1).
    pub strength_bits: u16,
    /// The default first; none if it does not sign.
    pub signature_schemes: Vec<&'static str>,
}

/// A vault.
#[derive(Debug, Serialize, ToSchema)]
pub struct Vault {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Unique in its realm.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created: String,
    /// When it changed last.
    #[schema(format = DateTime)]
    pub changed: String,
    /// When its keys may be destroyed, beside what the realm demands.
    pub policy: Policy,
    /// How names of its keys may be used: `free`, `unique_among_live` or `never_again`.
    #[schema(example = "free")]
    pub names: &'static str,
    /// For people and selectors.
    pub labels: BTreeMap<String, String>,
    /// When it was removed; only if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub removed: Option<String>,
}

/// The vaults of the realm.
#[derive(Debug, Serialize, ToSchema)]
pub struct Vaults {
    /// All of them.
    pub vaults: Vec<Vault>,
}

/// The state of the server.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `live`, `ready` or `not_ready`.
    pub status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable name of the kind of problem, and the path of a page about it.
    #[serde(rename = "type")]
    #[schema(example = "/problems/object-destroyed")]
    pub problem_type: String,
    /// The same for all problems of the type.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// About this one occurrence.
    pub detail: String,
    /// Names the request, as `X-Request-Id` does.
    pub request_id: String,
    /// The member, parameter or header that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// The permission that is lacking.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub permission: Option<String>,
    /// Id of the key that is gone, or that may not go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub key: Option<String>,
    /// The version that is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub version: Option<String>,
    /// The key's state, where it is what stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub state: Option<String>,
    /// The rule that stands before a destruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "must_be_suspended")]
    pub rule: Option<String>,
    /// In words what would satisfy that rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub remedy: Option<String>,
    /// When the destruction that waits is carried out, where that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub due: Option<String>,
}
