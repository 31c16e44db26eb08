//! What is under way: requests for approval, and bulk destructions.

use lethe_types::{ApprovalId, CredentialId, JobId, KeyId, PrincipalId, RealmId, UnixMillis};

use super::Evidence;

/// A request for a guarded destruction, and who agreed to it.
#[derive(Clone, Debug)]
pub struct ApprovalRecord {
    /// Identity.
    pub id: ApprovalId,
    /// The tenant.
    pub realm: RealmId,
    /// The key that is to be destroyed. Approvals speak of nothing else.
    pub key: KeyId,
    /// Who asked. Never counts as one of those who agree, and alone may use the approvals.
    pub requester: PrincipalId,
    /// Why, in the requester's words.
    pub reason: Box<str>,
    /// When it was asked for.
    pub created: UnixMillis,
    /// From then on it is worth nothing.
    pub expires: UnixMillis,
    /// Where it stands.
    pub state: ApprovalState,
    /// Who agreed.
    pub approvals: Vec<Approval>,
}

/// Where a request for approval stands. Whether its time is over is told by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalState {
    /// Can be approved and used.
    Open,
    /// The destruction that it was for was requested with it.
    Used,
    /// The requester, or who may approve, ended it.
    Withdrawn,
}

impl ApprovalState {
    /// The state's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Used => "used",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One principal's agreement, signed with a key of theirs.
#[derive(Clone, Debug)]
pub struct Approval {
    /// When.
    pub at: UnixMillis,
    /// With which credential.
    pub credential: CredentialId,
    /// The signature, over [`ApprovalRecord::statement`].
    pub evidence: Evidence,
}

impl ApprovalRecord {
    /// What an approver signs: every fact of the request, a line each.
    #[must_use]
    pub fn statement(&self) -> String {
        use core::fmt::Write as _;
        let mut text = String::from("lethe-approval/v1\n");
        let facts: [(&str, &dyn core::fmt::Display); 7] = [
            ("approval", &self.id),
            ("realm", &self.realm),
            ("operation", &"key.destroy"),
            ("key", &self.key),
            ("requester", &self.requester),
            ("expires", &self.expires),
            ("reason", &self.reason),
        ];
        for (name, value) in facts {
            writeln!(text, "{name} {value}").expect("writing to a String does not fail");
        }
        text
    }
}

/// A bulk destruction.
#[derive(Clone, Debug)]
pub struct JobRecord {
    /// Identity.
    pub id: JobId,
    /// The tenant.
    pub realm: RealmId,
    /// Who asked for it; its permissions count at every batch.
    pub by: PrincipalId,
    /// Through which door.
    pub door: Box<str>,
    /// When it was asked for.
    pub created: UnixMillis,
    /// When the record changed last.
    pub changed: UnixMillis,
    /// Which keys, and why.
    pub bulk: Bulk,
    /// Where it stands.
    pub state: JobState,
    /// Keys that it is about, fixed when it was asked for.
    pub total: u64,
    /// Of these, so many were looked at.
    pub position: u64,
    /// Of these, so many were destroyed by it.
    pub destroyed: u64,
    /// Of these, so many wait for their time, as the policy wants it.
    pub scheduled: u64,
    /// Of these, so many were refused by a guard; each is listed with its reason.
    pub refused: u64,
    /// Why it failed, if it did.
    pub failure: Option<Box<str>>,
}

/// Which keys a bulk destruction is about, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk {
    /// The selection in words, for people: `vault …`, `labels …`, `list`.
    pub selection: Box<str>,
    /// Why, in the requester's words.
    pub reason: Box<str>,
}

/// Where a bulk destruction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Was stopped between two batches; the keys that were not reached are untouched.
    Cancelled,
    /// Every key was looked at.
    Done,
    /// Cannot go on; says why.
    Failed,
    /// Works, or goes on after the next start.
    Running,
}

impl JobState {
    /// The state's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Running => "running",
        }
    }
}
