//! The one owner of every write: it takes the plans of all requests, commits them in batches, makes
//! destructions final in the slot, publishes, and only then answers.
//!
//! Order of a batch, and what a crash just after each step means:
//! 1. *planned*: the keys that go are closed for use. Nothing is stored; after a crash they are
//!    live.
//! 2. *durable*: tombstones, re-keyed tree nodes, log leaves and the log's head are in the store,
//!    in one transaction. After a crash the next start carries the destruction on.
//! 3. *root written*: the slot holds the old root and the new one. Either opens a complete tree.
//!    Written at the same time as 2, in either order: alone, it opens no tree, and goes at the
//!    start.
//! 4. *old root erased*: the instant of erasure.
//! 5. Checkpoint and erasure note are signed, the catalogue is published, requests are answered.
//! 6. *settled*, lazily, in the next transaction: superseded nodes go, the erasure note is stored.
//!
//! A batch may make and destroy keys together: the erasure tree writes new record keys under the
//! old root as well, so that a batch cut short between 2 and 3 loses none of them.

mod backup;
mod batch;
mod current;
mod draft;
mod erase;
mod outcome;
mod pace;
mod settle;
mod submission;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use lethe_erasure::allocator::Allocator;
use lethe_erasure::slot::{ErasableSlot, SlotImage};
use lethe_log::{LogSigner, ProofTiles};
use lethe_store::Revision;
use lethe_types::UnixMillis;
use lethe_types::limits::{COMMIT_BATCH_PLANS_MAX, COMMIT_QUEUE_PLANS_MAX};
use parking_lot::Mutex;

pub(crate) use backup::BackupBegun;
use batch::Batch;
pub(crate) use batch::SOFTWARE;
pub(crate) use current::{alias_is_free, name_is_free};
pub(crate) use draft::push_history;
pub(crate) use erase::{log_writes, told_of};
pub(crate) use outcome::{Committed, Made, ReceiptParts};
use pace::Pace;
use settle::Unsettled;
pub(crate) use submission::{
    AliasHistory, Change, CommitError, Destroy, DestroyVersion, DocumentStep, ImportKeyUpdate,
    JobUpdate, KeyUpdate, NewKey, Preconditions, PrincipalUpdate, Rate, Step, Submission, Under,
};

use crate::head_guard::{GuardedHead, HeadGuard};
use crate::journal::Journal;
use crate::shared::{Shared, SignedHead};
use crate::{Engine, EngineError, failpoint};

/// How long the committer waits for work before it settles what is left to settle.
const IDLE_BEFORE_SETTLING: Duration = Duration::from_millis(200);

/// How often, at the most, the signed head is kept apart while there is work.
const GUARD_INTERVAL: Duration = Duration::from_secs(1);

/// The place apart for the newest signed head, and what it holds.
struct Guard {
    place: Box<dyn HeadGuard>,
    size: u64,
    kept: Duration,
}

/// What a start hands over to the committer alone.
pub(crate) struct Owned {
    pub(crate) slot: Box<dyn ErasableSlot>,
    pub(crate) image: SlotImage,
    pub(crate) allocator: Allocator,
    pub(crate) signer: Arc<LogSigner>,
    pub(crate) guard: Box<dyn HeadGuard>,
    pub(crate) journal: Option<Journal>,
}

/// What the committer's thread owns.
pub(crate) struct Committer {
    shared: Arc<Shared>,
    slot: Box<dyn ErasableSlot>,
    allocator: Allocator,
    signer: Arc<LogSigner>,
    unsettled: Unsettled,
    /// Of the newest commit. This thread is the only writer.
    revision: Revision,
    /// What the slot holds.
    image: SlotImage,
    guard: Guard,
    /// `None` without a place for it: then there are no backups.
    journal: Option<Journal>,
    /// Whether the newest segment of the journal is still of use to a copy that follows, although
    /// the root changed since it began: the copy has that change.
    is_followed: bool,
    /// The newest signed head, if it is not shown yet.
    hidden_head: Option<Arc<SignedHead>>,
    /// What waits for a slot that wears out.
    pace: Pace,
    /// Of the log with what is about to be appended, from batch to batch.
    proof_tiles: ProofTiles,
    /// No erasure note says an earlier time than the log entries before it.
    last_entry_time: UnixMillis,
}

/// What the committer takes from its queue.
pub(crate) enum Work {
    /// A plan, to be committed with others.
    Change(Submission),
    /// Something to be done between two batches.
    Errand(Errand),
}

/// See [`Work::Errand`].
pub(crate) type Errand = Box<dyn FnOnce(&mut Committer) + Send>;

impl Work {
    /// The plan, if it is one.
    #[cfg(test)]
    pub(crate) fn change(self) -> Option<Submission> {
        match self {
            Self::Change(submission) => Some(submission),
            Self::Errand(_) => None,
        }
    }
}

/// The sending end of the committer's queue, and its thread.
pub(crate) struct Queue {
    sender: Mutex<Option<SyncSender<Work>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    /// Starts the thread that owns `committer`.
    ///
    /// # Errors
    /// The operating system's, if it gives no thread.
    pub(crate) fn start(committer: Committer) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(COMMIT_QUEUE_PLANS_MAX);
        let thread = std::thread::Builder::new()
            .name("lethe-committer".to_owned())
            .spawn(move || committer.run(&receiver))?;
        Ok(Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// A queue that takes nothing: for tests that drive a committer themselves.
    #[cfg(test)]
    pub(crate) fn closed() -> Self {
        Self { sender: Mutex::new(None), thread: Mutex::new(None) }
    }

    /// A queue that the test empties itself.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (Self, Receiver<Work>) {
        const PLANS: usize = 64;
        let (sender, receiver) = sync_channel(PLANS);
        (Self { sender: Mutex::new(Some(sender)), thread: Mutex::new(None) }, receiver)
    }

    fn sender(&self) -> Option<SyncSender<Work>> {
        self.sender.lock().clone()
    }

    /// Takes no more work, finishes what was taken, settles, and waits for the thread to end.
    pub(crate) fn close(&self) {
        drop(self.sender.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread was reported when it happened; there is nothing to add here.
            let _ended = thread.join();
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queue(..)")
    }
}

impl Engine {
    /// Puts a plan into the committer's queue.
    pub(crate) fn submit(&self, submission: Submission) -> Result<(), EngineError> {
        self.send(Work::Change(submission))
    }

    /// Puts work into the committer's queue.
    pub(crate) fn send(&self, work: Work) -> Result<(), EngineError> {
        if self.shared.is_halted() {
            return Err(EngineError::StorageUnavailable);
        }
        let sender = self.queue.sender().ok_or(EngineError::ShuttingDown)?;
        sender.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) => EngineError::ServerLimitExceeded("changes that wait"),
            TrySendError::Disconnected(_) => EngineError::ShuttingDown,
        })
    }
}

impl Committer {
    pub(crate) fn new(shared: Arc<Shared>, owned: Owned, revision: Revision) -> Self {
        let Owned { slot, image, allocator, signer, guard, journal } = owned;
        Self {
            shared,
            slot,
            allocator,
            signer,
            unsettled: Unsettled::default(),
            revision,
            image,
            guard: Guard { place: guard, size: 0, kept: Duration::ZERO },
            // Until the root changes: a copy that followed before the start may be as good as new.
            is_followed: true,
            journal,
            hidden_head: None,
            pace: Pace::default(),
            proof_tiles: ProofTiles::default(),
            last_entry_time: UnixMillis(0),
        }
    }

    /// The key of the log, for notes that are signed beside the committer.
    pub(crate) fn signer(&self) -> Arc<LogSigner> {
        self.signer.clone()
    }

    fn run(mut self, receiver: &Receiver<Work>) {
        let _guard = HaltOnPanic(self.shared.clone());
        loop {
            match receiver.recv_timeout(IDLE_BEFORE_SETTLING) {
                Ok(first) => {
                    let more = receiver.try_iter().take(COMMIT_BATCH_PLANS_MAX - 1);
                    self.work_off(std::iter::once(first).chain(more));
                    self.keep_head_at_times();
                }
                Err(RecvTimeoutError::Timeout) => self.settle_when_idle(),
                Err(RecvTimeoutError::Disconnected) => {
                    let resting = self.take_resting();
                    self.commit_batch(resting);
                    self.settle_when_idle();
                    return;
                }
            }
            if self.is_rested_work() {
                self.commit_paced(Vec::new());
            }
        }
    }

    /// Commits what comes together; an errand sees everything that came before it.
    fn work_off(&mut self, works: impl Iterator<Item = Work>) {
        let mut group = Vec::new();
        for work in works {
            match work {
                Work::Change(submission) => group.push(submission),
                Work::Errand(errand) => {
                    self.commit_paced(std::mem::take(&mut group));
                    errand(self);
                }
            }
        }
        self.commit_paced(group);
    }

    /// Commits what can be committed now.
    fn commit_paced(&mut self, submissions: Vec<Submission>) {
        let mut ready = self.paced(submissions);
        // What waited may be more than one commit takes, together with what came now.
        let later = ready.split_off(ready.len().min(COMMIT_BATCH_PLANS_MAX));
        self.commit_batch(ready);
        if !later.is_empty() {
            self.commit_paced(later);
        }
    }

    pub(crate) fn commit_batch(&mut self, submissions: Vec<Submission>) {
        if self.shared.is_halted() {
            for submission in submissions {
                submission.refuse(EngineError::StorageUnavailable);
            }
            return;
        }
        let mut batch = self.plan(submissions);
        let lost = std::mem::take(&mut batch.lost);
        failpoint::hit("commit.planned");
        if !batch.items.is_empty() {
            self.commit_planned(batch);
        }
        for submission in lost {
            submission.conflict();
        }
    }

    fn commit_planned(&mut self, mut batch: Batch) {
        let result = self.stage(&mut batch).and_then(|staged| {
            failpoint::hit("commit.staged");
            self.make_durable(&mut batch, staged)
        });
        match result {
            Ok(durable) => {
                let answers = self.publish(batch, durable);
                failpoint::hit("commit.published");
                for (reply, committed) in answers {
                    // A caller that went away changes nothing: the change is made.
                    let _gone = reply.send(Ok(committed));
                }
                failpoint::hit("commit.answered");
            }
            Err(error) => self.give_up(batch, &error),
        }
    }

    fn keep_head_at_times(&mut self) {
        let now = self.shared.clock.monotonic();
        if now.saturating_sub(self.guard.kept) >= GUARD_INTERVAL {
            self.keep_head();
            self.drop_expired_roots();
        }
    }

    /// Keeps the signed head apart. A failure is tried again later: the guard may lag.
    fn keep_head(&mut self) {
        self.guard.kept = self.shared.clock.monotonic();
        if !self.flush_journal() {
            return;
        }
        let head = {
            let log = self.shared.log.read();
            GuardedHead { size: log.size(), root: log.root().0 }
        };
        if head.size != self.guard.size && self.guard.place.keep(head).is_ok() {
            self.guard.size = head.size;
        }
        self.roll_followed_journal();
    }

    /// Nothing more is changed until a restart has found out where store and slot stand.
    fn halt(&self, why: &'static str) {
        self.shared.halt(why);
    }
}

/// A committer that panics leaves store and slot in a state that only a restart can tell.
struct HaltOnPanic(Arc<Shared>);

impl Drop for HaltOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.halt("the committer failed; restart to recover");
        }
    }
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Committer(..)")
    }
}
