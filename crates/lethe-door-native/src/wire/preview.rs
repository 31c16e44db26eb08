//! What a destruction would do.

use lethe_engine::{self as engine, PreviewVerdict, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

use super::{ApprovalRequest, Hold};

/// What a destruction would do, and what stands in its way, at the moment it was asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestructionPreview {
    /// Id of the key.
    pub key: String,
    /// `destroy`: it would be destroyed at once; `schedule`: it would wait; `refused`.
    #[schema(example = "destroy")]
    pub verdict: &'static str,
    /// When it would be destroyed; only if it would wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = DateTime)]
    pub due: Option<String>,
    /// All rules that stand in the way, in the order in which they are applied.
    pub refusals: Vec<GuardRefusal>,
    /// Uses since it was made.
    pub uses: u64,
    /// Its last use; `null` if there was none.
    #[schema(format = DateTime, required)]
    pub last_used: Option<String>,
    /// Id of the principal that used it last; `null` if none did.
    #[schema(required)]
    pub last_used_by: Option<String>,
    /// Ids of live keys that are derived from it, the first 100 of them.
    pub dependants: Vec<String>,
    /// How many of these there are.
    pub dependants_total: usize,
    /// Ids of the principals that would die with it.
    pub principals: Vec<String>,
    /// Names of the secrets that would die with it.
    pub secrets: Vec<String>,
    /// The holds that stand.
    pub holds: Vec<Hold>,
    /// How many others must agree.
    pub approvals_required: u8,
    /// The requests for approval that can still be approved or used.
    pub approvals: Vec<ApprovalRequest>,
    /// Until when a backup that was taken before could bring it back; `null` if none could.
    #[schema(format = DateTime, required)]
    pub backups_until: Option<String>,
    /// Its material came from outside, so that copies may be there.
    pub imported: bool,
    /// Its material left the server.
    pub exported: bool,
}

/// A rule that stands before a destruction.
#[derive(Debug, Serialize, ToSchema)]
pub struct GuardRefusal {
    /// Its stable name.
    #[schema(example = "must_be_suspended")]
    pub rule: &'static str,
    /// What stands in the way.
    pub detail: String,
    /// What would satisfy the rule.
    pub remedy: String,
}

impl DestructionPreview {
    /// The preview of that value.
    #[must_use]
    pub fn of(preview: &engine::DestructionPreview) -> Self {
        let record = preview.entry.record();
        let (verdict, due) = match preview.verdict {
            PreviewVerdict::Destroy => ("destroy", None),
            PreviewVerdict::Refused => ("refused", None),
            PreviewVerdict::Schedule { due } => ("schedule", Some(due.to_string())),
        };
        let used = preview.used;
        Self {
            key: record.id.to_string(),
            verdict,
            due,
            refusals: preview.refusals.iter().map(GuardRefusal::of).collect(),
            uses: used.map_or(0, |used| used.count),
            last_used: used.map(|used| used.last.to_string()),
            last_used_by: used.map(|used| used.by.to_string()),
            dependants: preview.dependants.iter().map(ToString::to_string).collect(),
            dependants_total: preview.dependants_total,
            principals: preview.principals.iter().map(ToString::to_string).collect(),
            secrets: preview.secrets.clone(),
            holds: preview.holds.iter().map(Hold::of).collect(),
            approvals_required: preview.approvals_required,
            approvals: preview.approvals.iter().map(|one| ApprovalRequest::of(one)).collect(),
            backups_until: preview.backups_until.map(|time| time.to_string()),
            imported: record.imported,
            exported: record.exported,
        }
    }
}

impl GuardRefusal {
    fn of(refusal: &Refusal) -> Self {
        Self { rule: refusal.rule(), detail: refusal.to_string(), remedy: refusal.remedy() }
    }
}
