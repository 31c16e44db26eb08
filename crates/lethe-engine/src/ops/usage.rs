//! Keep last uses over a restart.

use crate::committer::{Change, Step};
use crate::system;
use crate::{Engine, block_on::block_on};

/// Keys whose last use is written in one commit.
const FLUSH_KEYS: usize = 4_096;

impl Engine {
    /// Writes the last use of every key that was used since the round before. What a failure
    /// leaves behind is only the memory of a use, and only if the server then dies: the trail has
    /// it.
    pub(crate) fn flush_usage(&self) {
        loop {
            let used = self.shared.catalogue.take_used(FLUSH_KEYS);
            if used.is_empty() {
                return;
            }
            let full = used.len() == FLUSH_KEYS;
            let rows = used
                .iter()
                .map(|(key, row)| lethe_store::Write::Put {
                    key: crate::keys::usage(*key),
                    value: row.encode(),
                })
                .collect();
            let change = Change { steps: vec![Step::PutRows(rows)], receipts: false };
            if block_on(self.submit_as_system(change)).is_err() {
                self.shared.catalogue.put_back_used(used.into_iter().map(|(key, _)| key));
                return;
            }
            if !full {
                return;
            }
        }
    }

    /// Commits a change of Lethe's own that belongs to no tenant and is told to nobody.
    pub(crate) async fn submit_as_system(&self, change: Change) -> Result<(), crate::EngineError> {
        let (reply, answer) = futures_channel::oneshot::channel();
        self.submit(crate::committer::Submission {
            change,
            principal: std::sync::Arc::new(system::principal(system::REALM)),
            door: super::due::SCHEDULER,
            idempotency: None,
            reply,
        })?;
        match answer.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(crate::EngineError::StorageUnavailable),
        }
    }
}
