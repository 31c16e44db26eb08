//! Lists of keys that no bulk destruction goes on with: a crash came between the list and the job
//! that it was for.

use std::collections::BTreeSet;

use lethe_store::{Batch, Store};
use lethe_types::JobId;

use super::StartError;
use crate::catalogue::Catalogue;
use crate::keys;
use crate::record::JobState;

/// Pieces of lists that are read at once: a mebibyte.
const PAGE_PIECES: u32 = 16;

/// Drops the lists of all jobs that do not run. A crash in between leaves the rest to the next
/// start.
pub(super) fn drop_idle(store: &dyn Store, catalogue: &Catalogue) -> Result<(), StartError> {
    let jobs = catalogue.all_jobs();
    let running = jobs.iter().filter(|job| job.state == JobState::Running);
    let running: BTreeSet<JobId> = running.map(|job| job.id).collect();
    let mut from = Vec::new();
    loop {
        let page = store.range(keys::JOB_KEYS, &from, PAGE_PIECES)?;
        let is_idle = |key: &[u8]| {
            let job = key.first_chunk::<16>().map(|id| JobId(*id));
            job.is_none_or(|job| !running.contains(&job))
        };
        let idle: Vec<_> =
            page.rows.into_iter().map(|row| row.key).filter(|key| is_idle(key.bytes())).collect();
        if !idle.is_empty() {
            store.commit(idle.into_iter().fold(Batch::new(), Batch::delete))?;
        }
        match page.next {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}
