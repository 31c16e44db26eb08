//! From a store and a slot to a serving engine: creation, recovery, loading.
//!
//! At every start, before anything is served: old roots that a crash left are erased, destructions
//! that were begun are completed, the log's root is compared with the one that was signed.

mod create;
mod error;
mod journal;
mod lists;
mod load;
mod recover;
mod restore;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::{ArcSwap, ArcSwapOption};
use lethe_crypto::token::Pepper;
use lethe_erasure::slot::ErasableSlot;
use lethe_log::{Hash, LogSigner};
use lethe_store::{Batch, Store};
use lethe_types::{Clock, Entropy, TreeId};
use parking_lot::{Mutex, RwLock};

pub use error::StartError;
pub use restore::{RestoreError, RestoreLoader, RestoreParts, Restored, first_revision, restore};

use crate::Engine;
use crate::audit::AuditSink;
use crate::caretaker::{Caretaker, Rounds};
use crate::committer::{Committer, Owned, Queue};
use crate::events::Events;
use crate::followers::Followers;
use crate::head_guard::{self, HeadGuard};
use crate::keys;
use crate::ops::ListCursors;
use crate::shared::{Shared, SignedHead};
use crate::signin::{SignIn, SignInLimits};

/// What an engine is made of.
pub struct Parts {
    /// Where records live.
    pub store: Arc<dyn Store>,
    /// Where the root lives.
    pub slot: Box<dyn ErasableSlot>,
    /// Where, apart from the store, the newest signed log head is kept.
    pub guard: Box<dyn HeadGuard>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// The audit trail.
    pub audit: Arc<dyn AuditSink>,
    /// The name of a new log; `None` for one that is made from the tree's identifier. An existing
    /// log keeps its name: another one here is refused.
    pub origin: Option<String>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts(..)")
    }
}

/// What a store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// Nothing: a new slot belongs to it.
    New,
    /// An installation whose creation was cut short; it never held a key. A slot may exist.
    Unfinished,
    /// An installation: its slot must exist.
    Ready,
}

/// `meta/format` while an installation is being created.
const FORMAT_UNFINISHED: &[u8] = b"unfinished";
/// `meta/format` while a backup is being restored.
const FORMAT_RESTORING: &[u8] = b"restoring";
/// `meta/format` of the installations that this build reads.
const FORMAT_READY: &[u8] = b"lethe/2";

/// What `store` holds; marks an empty one, so that a crash during creation is told from a lost
/// store.
///
/// To be called before the slot is opened or made: it tells which of the two to do.
///
/// # Errors
/// [`StartError`]; nothing was changed.
pub fn prepare(store: &dyn Store, entropy: &dyn Entropy) -> Result<StoreState, StartError> {
    match store.get(&keys::meta("format"))? {
        Some(format) if format.value == FORMAT_READY => Ok(StoreState::Ready),
        Some(format) if format.value == FORMAT_UNFINISHED => Ok(StoreState::Unfinished),
        Some(format) if format.value == FORMAT_RESTORING => Err(StartError::RestoreUnfinished),
        Some(_) => Err(StartError::Format),
        None => {
            // The identifier comes first, so that a later start can tell the slot of this creation
            // from that of another installation.
            let tree_id = TreeId::random(entropy)?;
            let mark = Batch::new()
                .put(keys::meta("format"), FORMAT_UNFINISHED.to_vec())
                .put(keys::meta("tree_id"), tree_id.0.to_vec());
            store.commit(mark)?;
            Ok(StoreState::New)
        }
    }
}

/// Size and root of the log, stored with every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogHead {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl LogHead {
    /// `size u64 | root 32`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        [self.size.to_be_bytes().as_slice(), &self.root.0].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (size, root) = bytes.split_first_chunk::<8>()?;
        Some(Self { size: u64::from_be_bytes(*size), root: Hash(root.try_into().ok()?) })
    }
}

impl Engine {
    /// Opens an installation, or creates it if [`prepare`] found none, and starts the committer.
    ///
    /// # Errors
    /// [`StartError`]. Nothing may be served; what was stored is as before, except that a batch
    /// which a crash had cut short may have been carried further.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let (shared, committer) = Self::assemble(parts)?;
        let queue = Arc::new(Queue::start(committer).map_err(StartError::Thread)?);
        let worker = Self::over(shared.clone(), queue.clone());
        let mut rounds = Rounds::default();
        // What became due while nobody served goes before anybody can ask for it.
        if let Err(error) = worker.destroy_due(&mut rounds) {
            worker.close();
            return Err(StartError::Overdue(error));
        }
        let engine = Self::over(shared, queue);
        engine.caretaker.start(worker, rounds).map_err(StartError::Thread)?;
        Ok(engine)
    }

    /// An engine whose caretaker does not work.
    pub(crate) fn over(shared: Arc<Shared>, queue: Arc<Queue>) -> Self {
        let sign_in = SignIn::new(SignInLimits::default(), &shared.pepper);
        Self { shared, queue, caretaker: Caretaker::default(), sign_in }
    }

    /// Everything but the threads.
    pub(crate) fn assemble(mut parts: Parts) -> Result<(Arc<Shared>, Committer), StartError> {
        if prepare(&*parts.store, &*parts.entropy)? != StoreState::Ready {
            create::create(&mut parts)?;
        }
        let recovered = recover::recover(&mut parts)?;
        let loaded = load::load(&parts, &recovered.tree)?;
        head_guard::check(&*parts.guard, &loaded.log, &*parts.store)?;
        let tree_id = recovered.tree.tree_id();
        let signer = log_signer(&loaded, parts.origin.as_deref())?;
        // Before the slot gets the root of a destruction that is carried on.
        let place = parts.guard.journal();
        let journal = journal::resume(place, &*parts.store, &loaded)?;
        let mut catalogued = recover::complete(&mut parts, recovered, loaded, &signer)?;
        lists::drop_idle(&*parts.store, &catalogued.catalogue)?;
        let size = catalogued.log.size();
        let text = signer.checkpoint(size, catalogued.log.root()).into();
        journal::drop_told(&*parts.store)?;
        let shared = Arc::new(Shared {
            store: parts.store.clone(),
            clock: parts.clock,
            entropy: parts.entropy,
            audit: parts.audit,
            catalogue: std::mem::take(&mut catalogued.catalogue),
            expanded: Default::default(),
            idempotency: std::mem::take(&mut catalogued.idempotency),
            tree: RwLock::new(catalogued.tree),
            tree_id,
            log: RwLock::new(catalogued.log),
            head: ArcSwap::from_pointee(SignedHead { size, text }),
            proof_tiles: Default::default(),
            unsettled_notes: Mutex::default(),
            events: Arc::new(Events::new(size)),
            followers: Followers::default(),
            pepper: Pepper::new(&catalogued.pepper),
            cursors: ListCursors::new(&catalogued.pepper)
                .map_err(|_| StartError::Damaged("the key of list cursors"))?,
            vkey: signer.verifier_key().to_string().into(),
            halted: AtomicBool::new(false),
            backups_until_s: Default::default(),
            halted_because: ArcSwapOption::empty(),
        });
        shared.note_retained(&catalogued.image);
        let revision = parts.store.revision()?;
        let owned = Owned {
            slot: parts.slot,
            image: catalogued.image,
            allocator: catalogued.allocator,
            signer: Arc::new(signer),
            guard: parts.guard,
            journal,
        };
        let mut committer = Committer::new(shared.clone(), owned, revision);
        committer.drop_what_no_backup_needs();
        Ok((shared, committer))
    }
}

fn log_signer(loaded: &load::Loaded, wanted: Option<&str>) -> Result<LogSigner, StartError> {
    if wanted.is_some_and(|wanted| wanted != loaded.origin) {
        return Err(StartError::Origin { stored: loaded.origin.clone() });
    }
    let key = lethe_crypto::note_key::NoteSigningKey::from_seed(&loaded.log_seed)
        .map_err(|_| StartError::Damaged("the log's signing key"))?;
    LogSigner::new(&loaded.origin, key).map_err(|_| StartError::Damaged("the log's name"))
}
