//! Decides whether a receipt of Lethe holds. Written to be read by an auditor.
//!
//! Input: a receipt and the public key of the log that is said to have issued it. Nothing else:
//! no network, no clock, no state, no trust in the server. What is checked, in this order:
//!
//! 1. the receipt is in one of its three forms, bounded, with one spelling per value;
//! 2. in the JSON form, the readable statement and opening say what the proof says;
//! 3. the checkpoint is signed by the log's key and names the log;
//! 4. the log entry is in the tree of that checkpoint, at the index that the receipt gives;
//! 5. the entry is of the type `key.destroyed`, or `key.version_destroyed` with particulars of
//!    exactly one version and of nothing that only a whole key has;
//! 6. the key, the realm and the particulars are those that the entry commits to;
//! 7. everything that people signed about it is signed by the public key beside it; an approval
//!    is about the destruction of exactly this key and not of the approver's own request; nobody
//!    approves twice; a challenge that a requester signed is the hash of their own request to
//!    delete exactly this key;
//! 8. the erasure note is signed by the same key as the checkpoint, and is about the same tree and
//!    the same epochs as the entry, and not from before it;
//! 9. every witness that the caller names has cosigned the checkpoint.
//!
//! What it proves: that the holder of the log's key committed, in public and for good, to the
//! destruction of this key, or of this version of it. What it cannot prove: that the server told
//! the truth about its slot, or that no copy of the key was made outside of it; nor that the public
//! key of somebody who signed belongs to that person, unless the reader knows it; nor how many
//! approvals were due.
//!
//! Signatures of keys that the caller does not name are ignored (C2SP signed-note), so a byte of
//! such a line can change without effect.
//!
//! Every decision is in this file and in `evidence.rs`. They depend on: `lethe-log` for parsing,
//! hashing, and the signatures of the log and its witnesses; `lethe-crypto` for SHA-256 and the
//! signatures of people, over the library `aws-lc-rs`; `lethe-types` for identifiers and times.

mod evidence;
mod explain;

use core::fmt;

use lethe_log::{
    Checkpoint, CheckpointError, Commitment, EntryType, ErasureFacts, ErasureNote,
    ErasureNoteError, Hash, Json, OpenedCheckpoint, ProofError, Receipt, ReceiptError,
    ReceiptWrapper, VerifiedSignature, VerifierKey, leaf_hash, verify_consistency,
    verify_inclusion,
};
use lethe_types::{KeyId, PrincipalId, RealmId, UnixMillis};

pub use evidence::{Approval, EvidenceFault, Request, Signer};

/// A receipt that holds, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The key that was destroyed, or of which a version was.
    pub key: KeyId,
    /// How much of it.
    pub extent: Extent,
    /// Its realm.
    pub realm: RealmId,
    /// Entry, particulars and proof.
    pub receipt: Receipt,
    /// The epochs, slots and nodes of the destruction.
    pub facts: ErasureFacts,
    /// Who agreed to the destruction. Empty if nobody had to, or nobody signed.
    pub approvals: Vec<Approval>,
    /// Who asked for it under a signature of their own.
    pub requests: Vec<Request>,
    /// The checkpoint that covers the entry.
    pub checkpoint: Checkpoint,
    /// What the log says about the erasure.
    pub erasure: ErasureNote,
    /// The named witnesses that cosigned the checkpoint, and when.
    pub cosigned_by: Vec<VerifiedSignature>,
}

/// How much of a key was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Key,
    /// One version; the key goes on with its others.
    Version(u32),
}

/// The check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// The checkpoint's signature or text.
    Checkpoint(CheckpointError),
    /// The checkpoints contradict each other, or nothing shows that they do not.
    Consistency(ProofError),
    /// The particulars are not those that the entry commits to.
    Detail,
    /// The entry lacks what an entry of its type has.
    EntryMembers,
    /// The entry is about something else than a destruction.
    EntryType(EntryType),
    /// The erasure note's signature or text.
    ErasureNote(ErasureNoteError),
    /// The erasure note is about other epochs.
    ErasureEpochs,
    /// The erasure note is from before the entry.
    ErasureTime,
    /// The erasure note is about another tree.
    ErasureTree,
    /// What this principal signed does not hold.
    Evidence {
        /// Who is said to have signed.
        principal: PrincipalId,
        /// Why it does not hold.
        why: EvidenceFault,
    },
    /// The entry is not in the log, or not at that index.
    Inclusion(ProofError),
    /// The JSON form opens something else than the proof.
    Opening,
    /// The receipt cannot be read.
    Receipt(ReceiptError),
    /// The JSON form states something else than the proof.
    Statement,
    /// The key or realm is not that which the entry commits to.
    Subject,
    /// The particulars are not those of the end of one version.
    VersionDetail,
    /// This witness has not cosigned the checkpoint.
    Witness(VerifierKey),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checkpoint(_) => "the checkpoint is refused",
            Self::Consistency(_) => "the later checkpoint is not shown to extend the earlier one",
            Self::Detail => "the particulars are not those that the log entry commits to",
            Self::EntryMembers => "the log entry lacks members of its type",
            Self::EntryType(found) => {
                return write!(
                    f,
                    "the log entry is `{found}`, not `key.destroyed` or `key.version_destroyed`"
                );
            }
            Self::ErasureNote(_) => "the erasure note is refused",
            Self::ErasureEpochs => "the erasure note is about other epochs than the log entry",
            Self::ErasureTime => "the erasure note is older than the log entry",
            Self::ErasureTree => "the erasure note is about another erasure tree",
            Self::Evidence { principal, .. } => {
                return write!(f, "what principal {principal} signed is refused");
            }
            Self::Inclusion(_) => "the log entry is not in the log at that index",
            Self::Opening => "the opening differs from that in the proof",
            Self::Receipt(_) => "the receipt cannot be read",
            Self::Statement => "the statement differs from what the proof says",
            Self::Subject => "the key or realm is not that which the log entry commits to",
            Self::VersionDetail => "the particulars are not those of the end of one version",
            Self::Witness(key) => {
                return write!(f, "the witness `{}` has not cosigned the checkpoint", key.name());
            }
        })
    }
}

impl core::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Checkpoint(source) => Some(source),
            Self::Consistency(source) | Self::Inclusion(source) => Some(source),
            Self::ErasureNote(source) => Some(source),
            Self::Evidence { why, .. } => Some(why),
            Self::Receipt(source) => Some(source),
            Self::Detail
            | Self::EntryMembers
            | Self::EntryType(_)
            | Self::ErasureEpochs
            | Self::ErasureTime
            | Self::ErasureTree
            | Self::Opening
            | Self::Statement
            | Self::Subject
            | Self::VersionDetail
            | Self::Witness(_) => None,
        }
    }
}

/// Decides whether the receipt in `bytes` holds under the public key of the log.
///
/// # Errors
/// [`VerifyError`] names the check that failed.
pub fn verify(bytes: &[u8], log_key: &VerifierKey) -> Result<Verified, VerifyError> {
    verify_witnessed(bytes, log_key, &[])
}

/// Like [`verify`], and every one of `witnesses` must have cosigned the checkpoint: then the log
/// cannot have shown this receipt's holder another log than the rest of the world.
///
/// # Errors
/// [`VerifyError`] names the check that failed.
pub fn verify_witnessed(
    bytes: &[u8],
    log_key: &VerifierKey,
    witnesses: &[VerifierKey],
) -> Result<Verified, VerifyError> {
    let file = Receipt::read(bytes).map_err(VerifyError::Receipt)?;
    let receipt = file.receipt;
    if let Some(wrapper) = &file.wrapper {
        check_wrapper(&receipt, wrapper)?;
    }
    let OpenedCheckpoint { checkpoint, cosigned_by } =
        Checkpoint::open(&receipt.checkpoint, log_key, witnesses)
            .map_err(VerifyError::Checkpoint)?;
    check_inclusion(&receipt, &checkpoint)?;
    let extent = extent_of(&receipt)?;
    let (key, realm) = check_commitments(&receipt)?;
    let (approvals, requests) = evidence::check(&receipt.detail, key, realm)?;
    let facts = receipt.entry.erasure.clone().ok_or(VerifyError::EntryMembers)?;
    let erasure = check_erasure(&receipt, &facts, log_key)?;
    let is_absent =
        |witness: &&VerifierKey| !cosigned_by.iter().any(|signature| signature.key == **witness);
    if let Some(absent) = witnesses.iter().find(is_absent) {
        return Err(VerifyError::Witness(absent.clone()));
    }
    Ok(Verified {
        key,
        extent,
        realm,
        receipt,
        facts,
        approvals,
        requests,
        checkpoint,
        erasure,
        cosigned_by,
    })
}

/// Decides whether the log of the signed checkpoint `new` extends that of the signed checkpoint
/// `old`: nothing that was in the log is gone or changed.
///
/// # Errors
/// [`VerifyError::Checkpoint`] or [`VerifyError::Consistency`].
pub fn verify_checkpoint_consistency(
    old: &str,
    new: &str,
    proof: &[Hash],
    log_key: &VerifierKey,
) -> Result<(), VerifyError> {
    let open = |message| Checkpoint::open(message, log_key, &[]).map_err(VerifyError::Checkpoint);
    let (old, new) = (open(old)?.checkpoint, open(new)?.checkpoint);
    verify_consistency(old.size, &old.root, new.size, &new.root, proof)
        .map_err(VerifyError::Consistency)
}

fn check_inclusion(receipt: &Receipt, checkpoint: &Checkpoint) -> Result<(), VerifyError> {
    let entry = receipt.entry.to_json().map_err(ReceiptError::Entry);
    let leaf = leaf_hash(entry.map_err(VerifyError::Receipt)?.as_bytes());
    let Receipt { index, inclusion, .. } = receipt;
    verify_inclusion(&leaf, *index, checkpoint.size, inclusion, &checkpoint.root)
        .map_err(VerifyError::Inclusion)
}

/// What the type of the entry says was destroyed. Approvals and requests are signed for whole keys,
/// schedules are made and principals revoked for whole keys: of a version there is none of that.
fn extent_of(receipt: &Receipt) -> Result<Extent, VerifyError> {
    let (entry, detail) = (&receipt.entry, &receipt.detail);
    if entry.entry_type == EntryType::KeyDestroyed {
        return Ok(Extent::Key);
    }
    if entry.entry_type != EntryType::KeyVersionDestroyed {
        return Err(VerifyError::EntryType(entry.entry_type));
    }
    let is_plain =
        detail.evidence.is_empty() && detail.revoked.is_empty() && detail.scheduled_by.is_none();
    match detail.versions.as_slice() {
        [only] if is_plain => Ok(Extent::Version(only.version)),
        _ => Err(VerifyError::VersionDetail),
    }
}

fn check_commitments(receipt: &Receipt) -> Result<(KeyId, RealmId), VerifyError> {
    let entry = &receipt.entry;
    if entry.subject != Some(Commitment::to_subject(&receipt.salt, &receipt.subject)) {
        return Err(VerifyError::Subject);
    }
    let detail = receipt.detail.to_json().map_err(ReceiptError::Detail);
    let detail = detail.map_err(VerifyError::Receipt)?;
    if entry.detail != Some(Commitment::to_detail(&receipt.salt, &detail)) {
        return Err(VerifyError::Detail);
    }
    receipt.key().map_err(VerifyError::Receipt)
}

fn check_erasure(
    receipt: &Receipt,
    facts: &ErasureFacts,
    log_key: &VerifierKey,
) -> Result<ErasureNote, VerifyError> {
    let note = ErasureNote::open(&receipt.erasure, log_key).map_err(VerifyError::ErasureNote)?;
    if note.tree_id != receipt.entry.tree_id {
        return Err(VerifyError::ErasureTree);
    }
    if (note.epoch_from, note.epoch_to) != (facts.epoch_from, facts.epoch_to) {
        return Err(VerifyError::ErasureEpochs);
    }
    if note.irrecoverable_since < receipt.entry.time {
        return Err(VerifyError::ErasureTime);
    }
    Ok(note)
}

fn check_wrapper(receipt: &Receipt, wrapper: &ReceiptWrapper) -> Result<(), VerifyError> {
    let same = |built: Result<String, ReceiptError>, claimed: &Json| {
        let built = built.map_err(VerifyError::Receipt)?;
        // Canonical text is one per value, whatever the layout it came in.
        Ok(built == claimed.to_canonical())
    };
    if !same(receipt.statement(), &wrapper.statement)? {
        return Err(VerifyError::Statement);
    }
    if !same(receipt.opening(), &wrapper.opening)? {
        return Err(VerifyError::Opening);
    }
    Ok(())
}

impl Verified {
    /// The last moment at which a retained backup root could still bring the key back; `None` if
    /// there was none when it was erased. The later of what the entry and the note say.
    #[must_use]
    pub fn recoverable_from_backups_until(&self) -> Option<UnixMillis> {
        self.facts.backups_after.max(self.erasure.recoverable_from_backups_until)
    }

    /// What is proven, in plain words, a few lines.
    #[must_use]
    pub fn explain(&self) -> String {
        explain::explain(self)
    }
}

#[cfg(test)]
mod tests;
