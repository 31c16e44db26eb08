//! Destroy many keys: a whole vault, all keys with certain labels, or a list.
//!
//! The keys are fixed when it is asked for and stored as a list. Each batch destroys the next few
//! and notes how far it came, in one transaction: a crash repeats nothing and leaves nothing out.
//! Every key goes through the guards as if it had been asked for alone; those that are refused are
//! listed with the reason. Receipts are fetched key by key; a batch shares its checkpoint.

use std::collections::BTreeSet;
use std::sync::Arc;

use lethe_store::Write;
use lethe_types::limits::{JOB_BATCH_KEYS_MAX, JOB_KEYS_MAX, OPEN_JOBS_MAX, PAGE_KEYS_MAX};
use lethe_types::{JobId, KeyId, LabelName, LabelValue, RealmId, VaultId};
use parking_lot::Mutex;

use super::destroy::DestroyRequest;
use super::{Planned, Touched};
use crate::authz::{self, Caller, CancelJob, Destroy, Operation, ReadJob, StartJob};
use crate::block_on::block_on;
use crate::catalogue::KeyEntry;
use crate::committer::{Change, CommitError, Committed, JobUpdate, Made, Step, Submission};
use crate::record::{Bulk, JobRecord, JobState};
use crate::{Engine, EngineError, KeyFilter, Refusal, keys, lifecycle};

/// Keys in one stored piece of a job's list.
const PIECE_KEYS: usize = 4_096;
/// Names of doors that are remembered for good.
const DOORS_MAX: usize = 64;
/// How often a batch that loses a race is planned again before it is halved.
const CONFLICTS_MAX: usize = 4;

/// Which keys a bulk destruction is about.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These keys.
    Keys(Vec<KeyId>),
    /// All live keys with these labels, in one vault if one is named.
    Labels {
        /// All must match; any value where there is none.
        labels: Vec<(LabelName, Option<LabelValue>)>,
        /// Only in this vault.
        vault: Option<VaultId>,
    },
    /// All live keys of a vault.
    Vault(VaultId),
}

/// What a bulk destruction is to do.
#[derive(Clone, Debug)]
pub struct BulkRequest {
    /// Which keys.
    pub selection: Selection,
    /// Why, in the caller's words; part of every receipt.
    pub reason: String,
    /// The number of keys that the caller expects; another number refuses the whole.
    pub expected: Option<u64>,
}

/// A key that a bulk destruction had to leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftKey {
    /// Its place in the list.
    pub position: u64,
    /// The key.
    pub key: KeyId,
    /// The refusal's stable code. `object_destroyed` is also the answer for a key that went with
    /// another one in an earlier batch.
    pub code: String,
}

impl Engine {
    /// Begins a bulk destruction. When it returns, the list of keys is fixed and durable, and the
    /// work goes on by itself, also after a restart.
    ///
    /// # Errors
    /// [`EngineError::ServerLimitExceeded`] past the bounds on keys or on open jobs;
    /// [`EngineError::InvalidField`] if there is no key, or another number than expected;
    /// [`EngineError::PermissionDenied`] for who may not destroy what is selected, or, of a list,
    /// nothing at all.
    pub async fn start_bulk_destroy(
        &self,
        caller: &Caller,
        request: BulkRequest,
    ) -> Result<Arc<JobRecord>, EngineError> {
        let id = JobId::random(&*self.shared.entropy)?;
        let result = self.start_bulk_unaudited(caller, id, request).await;
        self.audit_job::<StartJob>(caller, id, result.as_ref().err())?;
        result
    }

    async fn start_bulk_unaudited(
        &self,
        caller: &Caller,
        id: JobId,
        request: BulkRequest,
    ) -> Result<Arc<JobRecord>, EngineError> {
        lifecycle::check_reason(&request.reason)?;
        // The work goes on in the name of the principal, whatever bounds its token had.
        if caller.bounds.permissions.is_some() {
            authz::check_realm::<StartJob>(caller, None)?;
        }
        let jobs = self.shared.catalogue.all_jobs();
        let open = jobs.iter().filter(|job| job.state == JobState::Running).count();
        if open >= OPEN_JOBS_MAX {
            return Err(EngineError::ServerLimitExceeded(
                "bulk destructions that are not finished",
            ));
        }
        let (selection, chosen) = self.select(caller, request.selection)?;
        let total = u64::try_from(chosen.len()).unwrap_or(u64::MAX);
        if total == 0 || request.expected.is_some_and(|expected| expected != total) {
            let why = format!("selects {total} keys");
            return Err(EngineError::InvalidField { field: "selection", why });
        }
        // The list first: a crash in between leaves pieces that no job names, and the next start
        // drops them.
        for (number, piece) in (0_u64..).zip(chosen.chunks(PIECE_KEYS)) {
            let value = piece.iter().flat_map(|key| key.0).collect();
            let row = Write::Put { key: keys::job_keys(id, number), value };
            let change = Change { steps: vec![Step::PutRows(vec![row])], receipts: false };
            self.submit_as_system(change).await?;
        }
        let now = self.shared.clock.now();
        let record = JobRecord {
            id,
            realm: caller.realm(),
            by: caller.principal(),
            door: caller.door.into(),
            created: now,
            changed: now,
            bulk: Bulk { selection: selection.into(), reason: request.reason.into() },
            state: JobState::Running,
            total,
            position: 0,
            destroyed: 0,
            scheduled: 0,
            refused: 0,
            failure: None,
        };
        self.change(caller, None, |_| {
            let update = JobUpdate { seen: None, record: record.clone(), rows: Vec::new() };
            Ok(Planned::Change(Change::one(Step::PutJob(Box::new(update)))))
        })
        .await?;
        self.caretaker.wake();
        let job = self.shared.catalogue.job(caller.realm(), id);
        job.ok_or(EngineError::Internal("a bulk destruction that vanished"))
    }

    /// The selection in words, and its keys in the order in which they go.
    fn select(
        &self,
        caller: &Caller,
        selection: Selection,
    ) -> Result<(String, Vec<KeyId>), EngineError> {
        let filter = match selection {
            Selection::Keys(keys) => {
                // Each key is asked about in its turn; whose list would be of refusals alone makes
                // none.
                if !caller.holds_anywhere(StartJob::PERMISSION) {
                    return Err(EngineError::PermissionDenied(StartJob::PERMISSION));
                }
                if keys.len() > JOB_KEYS_MAX {
                    return Err(EngineError::ServerLimitExceeded("keys of one bulk destruction"));
                }
                let mut seen = BTreeSet::new();
                let keys = keys.into_iter().filter(|key| seen.insert(*key)).collect();
                return Ok(("list".to_owned(), keys));
            }
            Selection::Vault(vault) => {
                authz::check_realm::<StartJob>(caller, Some(vault))?;
                let known = self.shared.catalogue.vault(caller.realm(), vault);
                known.ok_or(EngineError::ItemNotFound("vault"))?;
                KeyFilter { vault: Some(vault), ..KeyFilter::default() }
            }
            Selection::Labels { labels, vault } => {
                authz::check_realm::<StartJob>(caller, vault)?;
                if labels.is_empty() {
                    let why = "needs at least one label".to_owned();
                    return Err(EngineError::InvalidField { field: "selection", why });
                }
                KeyFilter { vault, labels, ..KeyFilter::default() }
            }
        };
        let words = words_of(&filter);
        Ok((words, self.all_of(caller, &filter)?))
    }

    /// Every key that the filter shows and the caller may see.
    fn all_of(&self, caller: &Caller, filter: &KeyFilter) -> Result<Vec<KeyId>, EngineError> {
        filter.check()?;
        let (mut keys, mut after) = (Vec::new(), None);
        loop {
            let may_see = |entry: &KeyEntry| caller.may_read(entry.record());
            let found =
                self.shared.catalogue.search(caller.realm(), filter, after, PAGE_KEYS_MAX, may_see);
            let found = found.ok_or(EngineError::Internal("a list that does not go on"))?;
            keys.extend(found.keys.iter().map(|entry| entry.record().id));
            if keys.len() > JOB_KEYS_MAX {
                return Err(EngineError::ServerLimitExceeded("keys of one bulk destruction"));
            }
            after = found.next;
            if after.is_none() {
                return Ok(keys);
            }
        }
    }

    /// How far a bulk destruction came.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`].
    pub fn read_job(&self, caller: &Caller, job: JobId) -> Result<Arc<JobRecord>, EngineError> {
        let result = self.find_job(caller, job);
        self.audit_job::<ReadJob>(caller, job, result.as_ref().err())?;
        result
    }

    /// The bulk destructions of the caller's realm that the caller may see, newest first.
    ///
    /// # Errors
    /// [`EngineError::AuditUnavailable`].
    pub fn list_jobs(
        &self,
        caller: &Caller,
        limit: usize,
    ) -> Result<Vec<Arc<JobRecord>>, EngineError> {
        let mut jobs = self.shared.catalogue.jobs(caller.realm());
        jobs.retain(|job| may_see(caller, job));
        jobs.sort_by_key(|job| core::cmp::Reverse((job.created, job.id)));
        jobs.truncate(limit);
        self.audit::<ReadJob>(caller, self.shared.clock.now(), None, None)?;
        Ok(jobs)
    }

    /// The keys that a bulk destruction had to leave, from position `from` on, at most `limit`.
    /// Reads the store.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::StorageUnavailable`].
    pub fn left_keys(
        &self,
        caller: &Caller,
        job: JobId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<LeftKey>, EngineError> {
        let result = self.find_job(caller, job).and_then(|_| {
            let start = keys::job_refused(job, from);
            let page = self.shared.store.range(keys::JOB_REFUSED, start.bytes(), limit.max(1));
            let page = page.map_err(|_| EngineError::StorageUnavailable)?;
            let of_job = page.rows.iter().take_while(|row| row.key.bytes().starts_with(&job.0));
            of_job
                .map(|row| left_key(row.key.bytes(), &row.versioned.value))
                .collect::<Option<Vec<_>>>()
                .ok_or(EngineError::Internal("a row of a bulk destruction"))
        });
        self.audit_job::<ReadJob>(caller, job, result.as_ref().err())?;
        result
    }

    /// Stops a bulk destruction after the batch that it is at.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`], [`EngineError::PermissionDenied`].
    pub async fn cancel_job(
        &self,
        caller: &Caller,
        job: JobId,
    ) -> Result<Arc<JobRecord>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                let seen = self.find_job(caller, job)?;
                if seen.by != caller.principal() {
                    authz::check_realm::<CancelJob>(caller, None)?;
                }
                if seen.state != JobState::Running {
                    return Ok(Planned::Done(Committed::nothing()));
                }
                let mut record = (*seen).clone();
                record.state = JobState::Cancelled;
                record.changed = self.shared.clock.now();
                let rows = without_list(&record);
                let update = JobUpdate { seen: Some(seen), record, rows };
                Ok(Planned::Change(Change::one(Step::PutJob(Box::new(update)))))
            })
            .await;
        self.audit_job::<CancelJob>(caller, job, result.as_ref().err())?;
        result?;
        self.find_job(caller, job)
    }

    fn find_job(&self, caller: &Caller, job: JobId) -> Result<Arc<JobRecord>, EngineError> {
        let found =
            self.shared.catalogue.job(caller.realm(), job).filter(|job| may_see(caller, job));
        found.ok_or(EngineError::ItemNotFound("bulk destruction"))
    }

    fn audit_job<Op: Operation>(
        &self,
        caller: &Caller,
        job: JobId,
        refusal: Option<&EngineError>,
    ) -> Result<(), EngineError> {
        let touched = Touched { subject: Some(job.0), ..Touched::default() };
        self.record::<Op>(caller, self.shared.clock.now(), touched, refusal)
    }

    /// The next batch of every job; whether there is more to do at once.
    ///
    /// # Errors
    /// What keeps a job from going on for the time being.
    pub(crate) fn advance_jobs(&self) -> Result<bool, EngineError> {
        let mut more = false;
        for job in self.shared.catalogue.all_jobs() {
            if job.state == JobState::Running {
                block_on(self.advance(job.realm, job.id))?;
                more = true;
            }
        }
        Ok(more)
    }

    /// The next batch of one job.
    pub(crate) async fn advance(&self, realm: RealmId, id: JobId) -> Result<(), EngineError> {
        self.advance_by(realm, id, JOB_BATCH_KEYS_MAX).await
    }

    /// The next `batch` keys of one job, or fewer.
    pub(crate) async fn advance_by(
        &self,
        realm: RealmId,
        id: JobId,
        mut batch: usize,
    ) -> Result<(), EngineError> {
        let mut conflicts = 0;
        loop {
            // No change without a trail: what cannot be recorded is not begun.
            self.shared.audit.ready().map_err(|_| EngineError::AuditUnavailable)?;
            let Some(job) = self.shared.catalogue.job(realm, id) else { return Ok(()) };
            if job.state != JobState::Running {
                return Ok(());
            }
            let caller = match self.job_caller(&job) {
                Some(caller) => caller,
                None => return self.fail_job(&job, "who asked for it can no longer act").await,
            };
            let planned = self.plan_batch(&caller, &job, batch)?;
            let (reply, answer) = futures_channel::oneshot::channel();
            self.submit(Submission {
                change: Change { steps: planned.steps, receipts: false },
                principal: caller.principal.clone(),
                door: caller.door,
                idempotency: None,
                reply,
            })?;
            match answer.await {
                Ok(Ok(committed)) => {
                    self.audit_batch(&caller, &committed);
                    return Ok(());
                }
                Ok(Err(CommitError::Conflict(_))) => {
                    conflicts += 1;
                    if conflicts % CONFLICTS_MAX == 0 {
                        batch = (batch / 2).max(1);
                    }
                }
                Ok(Err(CommitError::Refused(EngineError::AuthenticationNotSuccessful))) => {}
                Ok(Err(CommitError::Refused(error))) => return Err(error),
                Err(_) => return Err(EngineError::ShuttingDown),
            }
        }
    }

    /// Who asked for the job, as they are now.
    fn job_caller(&self, job: &JobRecord) -> Option<Caller> {
        let now = self.shared.clock.now();
        if job.by == crate::system::PRINCIPAL {
            return self.system_caller(job.realm, super::due::SCHEDULER).ok();
        }
        let principal = self.shared.catalogue.principal(job.realm, job.by)?;
        let door = door_of(&job.door);
        let is_live = principal.record().is_live(now);
        is_live.then(|| Caller::new(principal, None, door, job.id.0))
    }

    async fn fail_job(&self, job: &Arc<JobRecord>, why: &str) -> Result<(), EngineError> {
        let mut record = (**job).clone();
        record.state = JobState::Failed;
        record.failure = Some(why.into());
        record.changed = self.shared.clock.now();
        let rows = without_list(&record);
        let update = JobUpdate { seen: Some(job.clone()), record, rows };
        let change = Change { steps: vec![Step::PutJob(Box::new(update))], receipts: false };
        self.submit_as_system(change).await
    }

    /// The steps for the next keys of the job.
    fn plan_batch(
        &self,
        caller: &Caller,
        job: &Arc<JobRecord>,
        most: usize,
    ) -> Result<PlannedBatch, EngineError> {
        let mut record = (**job).clone();
        let mut planned = PlannedBatch::default();
        let mut taken = BTreeSet::new();
        let mut rows = Vec::new();
        for key in self.job_piece(job, most)? {
            let request = DestroyRequest {
                reason: job.bulk.reason.to_string(),
                confirm: Some(key.to_string()),
                ..DestroyRequest::new(key)
            };
            let before = planned.counted;
            let result = if taken.contains(&key) {
                // It goes with another key of this batch.
                Ok(Vec::new())
            } else {
                self.load(key).and_then(|entry| self.plan_destroy(caller, &entry, &request, before))
            };
            match result {
                Ok(steps) => {
                    let touched: Vec<KeyId> = steps.iter().filter_map(Step::key).collect();
                    if touched.iter().any(|key| taken.contains(key)) {
                        // It would take along what goes already: next batch.
                        break;
                    }
                    let destroys = steps.iter().any(Step::destroys) || steps.is_empty();
                    record.destroyed += u64::from(destroys);
                    record.scheduled += u64::from(!destroys);
                    planned.counted += self.newly_counted(&touched);
                    taken.extend(touched);
                    planned.steps.extend(steps);
                }
                // What stands in its way goes with this batch: next batch.
                Err(error) if self.waits_for(&error, key, &taken) => break,
                Err(error) => {
                    record.refused += 1;
                    let value = [key.0.as_slice(), error.code().as_bytes()].concat();
                    let row = keys::job_refused(job.id, record.position);
                    rows.push(Write::Put { key: row, value });
                    self.audit::<Destroy>(
                        caller,
                        self.shared.clock.now(),
                        Some(key),
                        Some(&error),
                    )?;
                }
            }
            record.position += 1;
        }
        record.changed = self.shared.clock.now();
        if record.position >= record.total {
            record.state = JobState::Done;
            rows.extend(without_list(&record));
        }
        let update = JobUpdate { seen: Some(job.clone()), record, rows };
        planned.steps.push(Step::PutJob(Box::new(update)));
        Ok(planned)
    }

    /// How many of the keys did not wait before: what waits was counted when it was scheduled.
    fn newly_counted(&self, keys: &[KeyId]) -> u32 {
        let entries = keys.iter().filter_map(|key| self.shared.catalogue.key(*key));
        let new = entries.filter(|entry| entry.record().state.due().is_none());
        u32::try_from(new.count()).unwrap_or(u32::MAX)
    }

    /// Whether nothing but keys of this batch that are derived from `key` kept it.
    fn waits_for(&self, error: &EngineError, key: KeyId, taken: &BTreeSet<KeyId>) -> bool {
        let EngineError::GuardRefused(refusal) = error else { return false };
        matches!(**refusal, Refusal::HasDependants { .. })
            && self.shared.catalogue.live_dependants(key).iter().any(|other| taken.contains(other))
    }

    /// The next keys of the job's list, none beyond the stored piece that it is at.
    fn job_piece(&self, job: &JobRecord, most: usize) -> Result<Vec<KeyId>, EngineError> {
        let position = usize::try_from(job.position).unwrap_or(usize::MAX);
        let piece = u64::try_from(position / PIECE_KEYS).unwrap_or(u64::MAX);
        let stored = self.stored(&keys::job_keys(job.id, piece))?;
        let (ids, _) = stored.as_chunks::<16>();
        let from = position % PIECE_KEYS;
        Ok(ids.iter().skip(from).take(most).map(|id| KeyId(*id)).collect())
    }

    fn audit_batch(&self, caller: &Caller, committed: &Committed) {
        let now = self.shared.clock.now();
        for made in &committed.made {
            // Principals that went with a key have entries in the log between those of keys.
            if let Made::Key { entry, log_index } = made {
                let (key, log_index) = (Some(entry.record().id), *log_index);
                self.audit_done::<Destroy>(caller, now, Touched { key, log_index, subject: None });
            }
        }
    }
}

#[derive(Default)]
struct PlannedBatch {
    steps: Vec<Step>,
    /// Destructions that the bound on them does not know of yet.
    counted: u32,
}

/// What drops the list of keys of a job that is over.
fn without_list(job: &JobRecord) -> Vec<Write> {
    let pieces = job.total.div_ceil(u64::try_from(PIECE_KEYS).unwrap_or(u64::MAX));
    (0..pieces).map(|piece| Write::Delete { key: keys::job_keys(job.id, piece) }).collect()
}

fn may_see(caller: &Caller, job: &JobRecord) -> bool {
    job.realm == caller.realm()
        && (job.by == caller.principal() || caller.may_in(lethe_types::Permission::KeysRead, None))
}

fn words_of(filter: &KeyFilter) -> String {
    let mut words = Vec::new();
    if let Some(vault) = filter.vault {
        words.push(format!("vault {vault}"));
    }
    for (name, value) in &filter.labels {
        words.push(match value {
            Some(value) => format!("label {name}={value}"),
            None => format!("label {name}"),
        });
    }
    words.join(", ")
}

fn left_key(row: &[u8], value: &[u8]) -> Option<LeftKey> {
    let position = u64::from_be_bytes(row.get(16..24)?.try_into().ok()?);
    let (key, code) = value.split_first_chunk::<16>()?;
    let code = String::from_utf8(code.to_vec()).ok()?;
    Some(LeftKey { position, key: KeyId(*key), code })
}

/// Names of doors are static texts; a job's is stored. There are as many as doors.
fn door_of(name: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock();
    match known.get(name) {
        Some(door) => door,
        None if known.len() >= DOORS_MAX => super::due::SCHEDULER,
        None => {
            let door: &'static str = Box::leak(name.into());
            known.insert(door);
            door
        }
    }
}
