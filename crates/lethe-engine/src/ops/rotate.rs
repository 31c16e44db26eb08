//! Add a version to a key: new data is protected by it, older versions still open what they
//! protected. By hand, or by itself when its time has come.

use std::collections::BTreeSet;
use std::sync::Arc;

use lethe_log::EntryType;
use lethe_store::Revision;
use lethe_types::limits::ROTATED_KEYS_MAX;
use lethe_types::{KeyId, UnixMillis};

use super::due::SCHEDULER;
use super::{Planned, Touched};
use crate::authz::{Caller, RotateKey, UpdateKey};
use crate::block_on::block_on;
use crate::caretaker::Rounds;
use crate::catalogue::KeyEntry;
use crate::committer::{Change, Committed, Step};
use crate::record::Rotation;
use crate::{Engine, EngineError, lifecycle};

/// The limit that keeps a key from being rotated, in words.
const VERSIONS_LIMIT: &str = "versions of one key";

impl Engine {
    /// Adds a version to `key`. `expected` is the revision that the caller saw, if it cares.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        key: KeyId,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        self.change_key::<RotateKey>(caller, key, |seen| {
            lifecycle::expect_revision(seen, expected)?;
            lifecycle::may_rotate(seen.record())?;
            if !lifecycle::has_room_for_a_version(seen.record()) {
                return Err(EngineError::ServerLimitExceeded(VERSIONS_LIMIT));
            }
            let material = seen.record().algorithm.generate(&*self.shared.entropy)?;
            Ok(Some(Change::one(Step::AddVersion {
                seen: seen.clone(),
                material,
                rotation: None,
                retires: Vec::new(),
            })))
        })
        .await
    }

    pub(super) fn load(&self, key: KeyId) -> Result<Arc<KeyEntry>, EngineError> {
        self.shared.catalogue.key(key).ok_or(EngineError::ItemNotFound("key"))
    }
}

/// Automatic rotations.
impl Engine {
    /// Rotates the keys whose time has come, up to a bound; whether there is more. A key
    /// that has no room for a version stays as it is; the refusal is in the audit trail once.
    ///
    /// # Errors
    /// What kept a rotation from being carried out.
    pub(crate) fn rotate_due(&self, rounds: &mut Rounds) -> Result<bool, EngineError> {
        let now = self.shared.clock.now();
        self.pull_rotations_in(rounds, now)?;
        let mut full = BTreeSet::new();
        let (mut after, mut rotated) = (None, 0);
        loop {
            let due = self.shared.catalogue.rotations_due(after, now, ROTATED_KEYS_MAX);
            let Some(&last) = due.last() else { break };
            after = Some(last);
            for (_, key) in due {
                if rotated >= ROTATED_KEYS_MAX {
                    // Those behind it were not looked at: what is known of them stays.
                    rounds.full.append(&mut full);
                    return Ok(true);
                }
                match block_on(self.rotate_one_due(key, now)) {
                    Ok(()) => rotated += 1,
                    Err(error @ EngineError::ServerLimitExceeded(VERSIONS_LIMIT)) => {
                        if !rounds.full.contains(&key) {
                            self.audit_rotation(key, Some(&error))?;
                        }
                        full.insert(key);
                    }
                    // Somebody suspended or destroyed it meanwhile.
                    Err(EngineError::ObjectDestroyed(_) | EngineError::ItemNotFound(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        rounds.full = full;
        Ok(false)
    }

    /// Rotates one key, if its time has come and its rotation goes on in its state.
    pub(crate) async fn rotate_one_due(
        &self,
        key: KeyId,
        now: UnixMillis,
    ) -> Result<(), EngineError> {
        let caller = self.system_caller(self.load(key)?.record().realm, SCHEDULER)?;
        let committed = self
            .change(&caller, None, |_| {
                let seen = self.load(key)?;
                let rotation = seen.record().life().rotation;
                let rotation = rotation.filter(|rotation| rotation.next <= now);
                let state = seen.record().state;
                let Some(rotation) = rotation.filter(|rotation| rotation.goes_on_in(state)) else {
                    return Ok(Planned::Done(Committed::nothing()));
                };
                if !lifecycle::has_room_for_a_version(seen.record()) {
                    return Err(EngineError::ServerLimitExceeded(VERSIONS_LIMIT));
                }
                let material = seen.record().algorithm.generate(&*self.shared.entropy)?;
                let rotation = Some(rotation.carried_out(now));
                Ok(Planned::Change(Change::one(Step::AddVersion {
                    seen,
                    material,
                    rotation,
                    retires: Vec::new(),
                })))
            })
            .await?;
        if let Some(log_index) = committed.log_index() {
            let touched =
                Touched { key: Some(key), log_index: Some(log_index), ..Touched::default() };
            self.audit_done::<RotateKey>(&caller, self.shared.clock.now(), touched);
        }
        Ok(())
    }

    /// A clock that was ahead and is set right leaves rotations that are further away than their
    /// period. They are looked for at a start and whenever the clock is seen to step back.
    fn pull_rotations_in(&self, rounds: &mut Rounds, now: UnixMillis) -> Result<(), EngineError> {
        if rounds.clock_seen.is_some_and(|seen| seen <= now) {
            rounds.clock_seen = Some(now);
            return Ok(());
        }
        for key in self.shared.catalogue.rotations() {
            let is_too_far = self.load(key).is_ok_and(|entry| {
                entry.record().life().rotation.is_some_and(|rotation| rotation.is_too_far(now))
            });
            if is_too_far {
                block_on(self.pull_rotation_in(key, now))?;
            }
        }
        rounds.clock_seen = Some(now);
        Ok(())
    }

    async fn pull_rotation_in(&self, key: KeyId, now: UnixMillis) -> Result<(), EngineError> {
        let caller = self.system_caller(self.load(key)?.record().realm, SCHEDULER)?;
        let plan = |_| {
            let seen = self.load(key)?;
            let rotation = seen.record().life().rotation;
            let Some(rotation) = rotation.filter(|rotation| rotation.is_too_far(now)) else {
                return Ok(Planned::Done(Committed::nothing()));
            };
            let mut record = seen.record().clone();
            let rotation = Rotation { next: now.saturating_add(rotation.period), ..rotation };
            record.life_mut().rotation = Some(rotation);
            Ok(Planned::Change(Change::of_record(
                seen,
                record,
                EntryType::KeyChanged,
                vec![("rotation_next", rotation.next.to_string())],
            )))
        };
        let committed = self.change(&caller, None, plan).await?;
        let touched =
            Touched { key: Some(key), log_index: committed.log_index(), ..Touched::default() };
        self.audit_done::<UpdateKey>(&caller, self.shared.clock.now(), touched);
        Ok(())
    }

    fn audit_rotation(&self, key: KeyId, refusal: Option<&EngineError>) -> Result<(), EngineError> {
        let caller = self.system_caller(self.load(key)?.record().realm, SCHEDULER)?;
        self.audit::<RotateKey>(&caller, self.shared.clock.now(), Some(key), refusal)
    }
}
