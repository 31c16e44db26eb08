//! Deletion policies and the realm that has one. What is read can be sent back as it is.

use std::borrow::Cow;

use lethe_engine::record::{
    ApprovalRule, DeletionPolicy, Dependants, NameRule, RealmRecord, Window as WindowRule,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Object;
use super::span::{SPAN_RULE, parse_span, span_text};
use crate::error::Refusal;

/// When keys may be destroyed. What is left out or `null` is not demanded. Lengths of time are a
/// number and one of `s`, `m`, `h`, `d`.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// A destruction waits before it is carried out.
    #[schema(value_type = Option<Window>)]
    pub window: Option<Object<Window>>,
    /// Only keys that are not in use: suspended, deactivated, compromised or never activated.
    pub must_be_suspended: bool,
    /// Only keys that were not used for so long.
    #[schema(example = "30d")]
    pub not_used_within: Option<String>,
    /// Most keys that one principal may destroy, or schedule for destruction, in an hour.
    pub destroys_per_hour: Option<u32>,
    /// The request must repeat the key's id or its exact name.
    pub confirm: bool,
    /// Others must have agreed.
    #[schema(value_type = Option<Approvals>)]
    pub approvals: Option<Object<Approvals>>,
    /// What happens to live keys that are derived from the one to be destroyed: `refuse` the
    /// destruction, `cascade` it to them, or `orphan` them. Where neither the realm nor the vault
    /// says it, `refuse`.
    #[schema(example = "refuse")]
    pub dependants: Option<String>,
    /// Material that was destroyed here is refused when it is imported again.
    pub refuse_reimport: bool,
}

/// A waiting time before a destruction.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// At least so long.
    #[schema(example = "72h")]
    pub minimum: String,
    /// Whether a second request may end the wait before its time.
    #[serde(default)]
    pub may_end_early: bool,
}

/// How many others must agree to a destruction.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// So many; who asks for the destruction never counts. 1 to 16.
    pub required: u8,
    /// A request for approval ends after so long.
    #[schema(example = "7d")]
    pub lifetime: String,
}

/// All choices for keys that depend on a destroyed one.
const DEPENDANTS: [Dependants; 3] = [Dependants::Refuse, Dependants::Cascade, Dependants::Orphan];
/// All rules for names of keys.
const NAME_RULES: [NameRule; 3] = [NameRule::Free, NameRule::UniqueAmongLive, NameRule::NeverAgain];

impl Policy {
    /// The policy of that value.
    #[must_use]
    pub fn of(policy: &DeletionPolicy) -> Self {
        let window = |window: WindowRule| {
            let minimum = span_text(window.minimum);
            Object(Window { minimum, may_end_early: window.may_end_early })
        };
        let approvals = |rule: ApprovalRule| {
            Object(Approvals { required: rule.required, lifetime: span_text(rule.lifetime) })
        };
        Self {
            window: policy.window.map(window),
            must_be_suspended: policy.must_be_suspended,
            not_used_within: policy.not_used_within.map(span_text),
            destroys_per_hour: policy.destroys_per_hour,
            confirm: policy.confirm,
            approvals: policy.approvals.map(approvals),
            dependants: policy.dependants.map(|choice| choice.as_str().to_owned()),
            refuse_reimport: policy.refuse_reimport,
        }
    }

    /// The value of it. `at` stands before the names of members in refusals: `policy.`, or nothing
    /// where the policy is the whole body.
    ///
    /// # Errors
    /// [`Refusal::InvalidField`].
    pub(crate) fn parse(&self, at: &str) -> Result<DeletionPolicy, Refusal> {
        let span = |member: &str, text: &str| {
            parse_span(text).ok_or_else(|| invalid(at, member, SPAN_RULE.to_owned()))
        };
        let window = self.window.as_ref().map(|Object(window)| {
            let minimum = span("window.minimum", &window.minimum)?;
            Ok::<_, Refusal>(WindowRule { minimum, may_end_early: window.may_end_early })
        });
        let approvals = self.approvals.as_ref().map(|Object(rule)| {
            let lifetime = span("approvals.lifetime", &rule.lifetime)?;
            Ok::<_, Refusal>(ApprovalRule { required: rule.required, lifetime })
        });
        let not_used = self.not_used_within.as_ref().map(|text| span("not_used_within", text));
        let dependants = self.dependants.as_ref().map(|text| {
            let found = DEPENDANTS.into_iter().find(|choice| choice.as_str() == text);
            let why = || one_of(DEPENDANTS.map(Dependants::as_str));
            found.ok_or_else(|| invalid(at, "dependants", why()))
        });
        Ok(DeletionPolicy {
            window: window.transpose()?,
            must_be_suspended: self.must_be_suspended,
            not_used_within: not_used.transpose()?,
            destroys_per_hour: self.destroys_per_hour,
            confirm: self.confirm,
            approvals: approvals.transpose()?,
            dependants: dependants.transpose()?,
            refuse_reimport: self.refuse_reimport,
        })
    }
}

fn invalid(at: &str, member: &str, why: String) -> Refusal {
    Refusal::InvalidField { field: Cow::Owned(format!("{at}{member}")), why }
}

fn one_of<const N: usize>(texts: [&str; N]) -> String {
    format!("must be one of {}", texts.map(|text| format!("`{text}`")).join(", "))
}

/// The rule for names that `text` names.
///
/// # Errors
/// [`Refusal::InvalidField`].
pub(crate) fn parse_name_rule(text: &str) -> Result<NameRule, Refusal> {
    let found = NAME_RULES.into_iter().find(|rule| rule.as_str() == text);
    found.ok_or_else(|| Refusal::invalid("names", one_of(NAME_RULES.map(NameRule::as_str))))
}

/// The caller's realm.
#[derive(Debug, Serialize, ToSchema)]
pub struct Realm {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Unique over the installation.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created: String,
    /// Id of the vault of keys that name none.
    pub default_vault: String,
    /// When keys may be destroyed, in all its vaults. A vault's own policy only adds to it.
    pub policy: Policy,
    /// Whether exportable keys may leave in the clear, and not only wrapped.
    pub plain_export: bool,
}

impl Realm {
    /// The realm of `record`.
    #[must_use]
    pub fn of(record: &RealmRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            created: record.created.to_string(),
            default_vault: record.default_vault.to_string(),
            policy: Policy::of(&record.policy),
            plain_export: record.plain_export,
        }
    }
}
