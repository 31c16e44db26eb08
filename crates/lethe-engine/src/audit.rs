//! One audit event per decision, allowed or refused, uses included.

use core::fmt;

use lethe_types::{CredentialId, KeyId, PrincipalId, RealmId, UnixMillis};

/// What was decided. Borrowed, so that the hot path allocates nothing for it.
#[derive(Clone, Copy, Debug)]
pub struct AuditEvent<'a> {
    /// When.
    pub time: UnixMillis,
    /// In which realm; `None` if nobody proved themselves.
    pub realm: Option<RealmId>,
    /// Who; `None` if nobody proved themselves.
    pub principal: Option<PrincipalId>,
    /// By which credential.
    pub credential: Option<CredentialId>,
    /// Through which door.
    pub door: &'static str,
    /// Which operation, as in `key.encrypt`.
    pub operation: &'static str,
    /// On which key.
    pub key: Option<KeyId>,
    /// On which principal or vault.
    pub subject: Option<[u8; 16]>,
    /// The refusal's code, or `None` if it was allowed and done.
    pub refusal: Option<&'static str>,
    /// The request, as the door numbers them.
    pub request: &'a str,
    /// The log leaf of the change, if there is one.
    pub log_index: Option<u64>,
}

/// The audit trail cannot take an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditUnavailable;

impl fmt::Display for AuditUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the audit trail cannot take the event")
    }
}

impl core::error::Error for AuditUnavailable {}

/// Takes audit events. The real one writes JSON lines to a file from a bounded queue.
pub trait AuditSink: Send + Sync {
    /// Whether an event would be taken now: asked before a change that cannot be undone.
    ///
    /// # Errors
    /// [`AuditUnavailable`], as [`AuditSink::record`] would answer.
    fn ready(&self) -> Result<(), AuditUnavailable>;

    /// Queues `event`. When it returns `Ok` the event will be written, or every later call fails.
    ///
    /// # Errors
    /// [`AuditUnavailable`]: the queue is full or the file cannot be written. The engine then
    /// refuses the operation.
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditUnavailable>;
}

/// The hexadecimal text of a request's 16 bytes, in `out`.
pub(crate) fn hex<'a>(bytes: &[u8; 16], out: &'a mut [u8; 32]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    core::str::from_utf8(out).expect("hexadecimal digits are ASCII")
}
