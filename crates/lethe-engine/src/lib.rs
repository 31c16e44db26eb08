//! Every operation on keys: load, authorise, plan, commit, publish, receipt.
//!
//! Layer 3. No HTTP, no vendor, no tokio type, no file, no system clock: the store, the slot, the
//! audit trail, time and chance are traits that the server passes in.
//!
//! Read in this order: `ops/destroy.rs` (one operation), `committer/mod.rs` (the one path of every
//! write), `catalogue/mod.rs` (what every read looks at), `start.rs` (recovery).

pub mod audit;
mod authz;
mod block_on;
mod cache;
mod caretaker;
mod catalogue;
mod committer;
mod error;
mod events;
pub mod failpoint;
mod followers;
mod guards;
mod head_guard;
mod idempotency;
mod journal;
mod keys;
mod lifecycle;
mod log_view;
#[cfg(feature = "measure")]
pub mod measure;
mod ops;
mod receipt;
pub mod record;
mod seal;
mod shared;
mod signin;
mod start;
mod system;
mod uses;
mod versions;

use std::sync::Arc;

pub use authz::{Caller, PrincipalEntry};
pub use catalogue::{KeyEntry, KeyFilter, StateFilter, UnknownState, Usage, UsageRow};
pub use error::EngineError;
pub use events::{Event, EventPage, EventWatch};
pub use followers::FollowerStatus;
pub use guards::{Refusal, Unusable};
pub use head_guard::{GuardedHead, HeadGuard};
pub use idempotency::IdempotencyKey;
pub use journal::{JournalFault, JournalPlace, JournalSegment};
pub use lethe_log::{ChallengedRequest, ClientKey};
pub use lethe_store::Revision;
pub use ops::{
    ApiKey, Backup, BackupError, BackupRow, BackupVisit, BulkRequest, Collection,
    CreateApiKeyRequest, CreateKeyRequest, CreatePrincipalRequest, DestroyOutcome, DestroyRequest,
    DestroyVersionRequest, DestroyWhen, Destroyed, DestructionPreview, Document, DocumentChange,
    DocumentPage, DoorOperation, EndedVersion, EventReader, Expected, ExportRequest, ExportTo,
    Exported, Follow, FollowVisit, GivenMaterial, GivenVersion, HoldRequest, ImportKeyRequest,
    ImportSource, KeptRoot, KeyChange, KeyPage, LeftKey, NewCredential, NewCredentialKind,
    NewPrincipal, NumberedPage, PlainExport, PlainExportRule, PreparedKey, PreviewVerdict,
    PrincipalChange, Selection, SignedRequest, TokensChange, VaultChange, VaultRequest,
    api_key_algorithm,
};
pub use signin::{
    InvalidNetwork, NETWORKS, Network, PassphraseClaim, Proof, Rate, SignInLimits, Source,
    TOKEN_REALM, TokenClaims, TokenSubject,
};
pub use start::{
    Parts, RestoreError, RestoreLoader, RestoreParts, Restored, StartError, StoreState,
    first_revision, prepare, restore,
};
pub use uses::{
    AgreedForm, Binding, BoundContext, DecryptForm, DecryptRequest, DeriveFrom, DeriveHow,
    EncryptForm, EncryptRequest, Encrypted, PeerKey, RawEncrypt, RawNonce,
};
pub use versions::VersionFault;

use caretaker::Caretaker;
use committer::Queue;
use lethe_crypto::registry::Algorithm;
use lethe_types::KeyId;
use shared::Shared;
use signin::SignIn;

/// The engine. All doors share one.
///
/// Reads and uses answer at once; changes are `async` and wait for the committer's thread, under
/// any executor.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    caretaker: Caretaker,
    sign_in: SignIn,
}

impl Engine {
    /// Whether changes and uses are possible, or in words why not.
    ///
    /// # Errors
    /// What stands in the way, for the operator.
    pub fn ready(&self) -> Result<(), &'static str> {
        match self.shared.halted_because.load_full() {
            Some(why) => Err(*why),
            None => Ok(()),
        }
    }

    /// The algorithm of a key, without asking who wants to know: tells a door whether a use is
    /// slow.
    #[must_use]
    pub fn algorithm_of(&self, key: KeyId) -> Option<Algorithm> {
        self.shared.catalogue.key(key).map(|entry| entry.record().algorithm)
    }

    /// Numbers of keys: those that have their material, and tombstones.
    #[must_use]
    pub fn key_counts(&self) -> (u64, u64) {
        self.shared.catalogue.counts()
    }

    /// Takes no more changes, finishes those that were taken, and settles.
    pub fn close(&self) {
        self.caretaker.stop();
        self.queue.close();
    }
}

#[cfg(test)]
mod tests;
