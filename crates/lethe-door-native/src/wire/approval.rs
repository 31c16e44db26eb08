//! Holds, and requests for the approval of a destruction.

use std::borrow::Cow;

use lethe_engine::record;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Base64Text;

/// A block on the destruction of a key that is to be placed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceHold<'a> {
    /// `legal` or `operational`.
    #[serde(borrow)]
    #[schema(value_type = String, example = "legal")]
    pub kind: Cow<'a, str>,
    /// Why; shown to whom it refuses. At most 1024 bytes.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub reason: Cow<'a, str>,
    /// When it ends by itself; without it, never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Cow<'a, str>>,
}

/// A block on the destruction of a key.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hold {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `legal` or `operational`.
    #[schema(example = "legal")]
    pub kind: &'static str,
    /// Why, in words.
    pub reason: String,
    /// When it was placed.
    #[schema(format = DateTime)]
    pub placed: String,
    /// Id of the principal that placed it.
    pub by: String,
    /// When it ends, or ended, by itself; `null` if never.
    #[schema(format = DateTime, required)]
    pub expires: Option<String>,
}

impl Hold {
    /// The hold of that value.
    #[must_use]
    pub fn of(hold: &record::Hold) -> Self {
        Self {
            id: hold.id.to_string(),
            kind: hold.kind.as_str(),
            reason: hold.reason.clone(),
            placed: hold.placed.to_string(),
            by: hold.by.to_string(),
            expires: hold.expires.map(|time| time.to_string()),
        }
    }
}

/// What others are asked to agree to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestApproval<'a> {
    /// Why the key is to be destroyed; part of what approvers sign. At most 1024 bytes.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub reason: Cow<'a, str>,
}

/// An agreement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve<'a> {
    /// Id of a `public_key` credential of the approver's.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub credential: Cow<'a, str>,
    /// A signature with it over the bytes of `statement`, in base64.
    #[serde(borrow)]
    #[schema(value_type = String, format = Byte)]
    pub signature: Base64Text<'a>,
}

/// A request for approval of one destruction, and who agreed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalRequest {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Id of the key that is to be destroyed.
    pub key: String,
    /// Id of the principal that asked, and alone may use the approvals.
    pub requester: String,
    /// Why, in that principal's words.
    pub reason: String,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub created: String,
    /// From then on it is worth nothing.
    #[schema(format = DateTime)]
    pub expires: String,
    /// `open`, `used` or `withdrawn`. An open one past `expires` is over.
    #[schema(example = "open")]
    pub state: &'static str,
    /// What approvers sign, exactly: UTF-8 with a line feed after each line.
    pub statement: String,
    /// Who agreed, in their order.
    pub approvals: Vec<Approval>,
}

/// One agreement.
#[derive(Debug, Serialize, ToSchema)]
pub struct Approval {
    /// Id of the principal that agreed.
    pub principal: String,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// How it was signed.
    #[schema(example = "ed25519")]
    pub scheme: String,
}

/// Requests for approval, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalRequests {
    /// The requests.
    pub approvals: Vec<ApprovalRequest>,
}

impl ApprovalRequest {
    /// The request of `record`.
    #[must_use]
    pub fn of(record: &record::ApprovalRecord) -> Self {
        let approval = |approval: &record::Approval| Approval {
            principal: approval.evidence.principal.to_string(),
            at: approval.at.to_string(),
            scheme: approval.evidence.scheme.clone(),
        };
        Self {
            id: record.id.to_string(),
            key: record.key.to_string(),
            requester: record.requester.to_string(),
            reason: record.reason.to_string(),
            created: record.created.to_string(),
            expires: record.expires.to_string(),
            state: record.state.as_str(),
            statement: record.statement(),
            approvals: record.approvals.iter().map(approval).collect(),
        }
    }
}
