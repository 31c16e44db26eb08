//! Suspend and resume one version of a key, or destroy it for good while the key goes on.

use std::sync::Arc;

use lethe_log::{EntryType, Receipt};
use lethe_store::Revision;
use lethe_types::limits::DESTROYED_VERSIONS_MAX;
use lethe_types::{KeyId, KeyState, StableState};

use super::destroy::{RATE_WINDOW, before};
use super::{Planned, Touched};
use crate::authz::{self, Caller, ChangeVersion, DestroyVersion, ReadKey};
use crate::catalogue::KeyEntry;
use crate::committer::{
    Change, Committed, DestroyVersion as DestroyStep, Made, Preconditions, Rate, Step,
};
use crate::guards::{Approvals, Asked, Facts, Refusal, Verdict, Wish, decide};
use crate::record::{ChangedVersion, DeletionPolicy, KeyRecord, VersionState};
use crate::{Engine, EngineError, lifecycle, versions};

/// Which version of a key is to go, and why.
#[derive(Clone, Debug)]
pub struct DestroyVersionRequest {
    /// The key.
    pub key: KeyId,
    /// The version's number.
    pub version: u32,
    /// Why, in the caller's words; part of the receipt. May be empty.
    pub reason: String,
    /// The key's identifier or name once more, where a policy asks for it.
    pub confirm: Option<String>,
    /// What this door demands beside the policies of realm and vault.
    pub policy: DeletionPolicy,
    /// The revision that the caller saw, if it cares.
    pub expected: Option<Revision>,
}

impl DestroyVersionRequest {
    /// With no reason given.
    #[must_use]
    pub fn new(key: KeyId, version: u32) -> Self {
        Self {
            key,
            version,
            reason: String::new(),
            confirm: None,
            policy: DeletionPolicy::default(),
            expected: None,
        }
    }
}

/// The destruction of one version that is final, and its evidence.
#[derive(Debug)]
pub struct EndedVersion {
    /// The key, which goes on.
    pub entry: Arc<KeyEntry>,
    /// The evidence.
    pub receipt: Receipt,
}

impl Engine {
    /// Suspends a version, or resumes one. A suspended version is refused for every use.
    ///
    /// # Errors
    /// [`EngineError::VersionRefused`] if it is destroyed, or the last one that protects new data;
    /// [`EngineError::ItemNotFound`]; [`EngineError::WrongStateForUse`] while the key waits for its
    /// destruction.
    pub async fn change_version_state(
        &self,
        caller: &Caller,
        key: KeyId,
        number: u32,
        state: VersionState,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        self.change_key::<ChangeVersion>(caller, key, |seen| {
            lifecycle::expect_revision(seen, expected)?;
            if seen.record().state.due().is_some() {
                let (state, operation) = (seen.record().state, "change a version of");
                return Err(EngineError::WrongStateForUse { state, operation });
            }
            if versions::find(seen.record(), number)?.state == state {
                return Ok(None);
            }
            let transition = match state {
                VersionState::Enabled => "resume",
                VersionState::Suspended => {
                    versions::another_protects(seen.record(), number)?;
                    "suspend"
                }
            };
            let mut record = seen.record().clone();
            let mut found = record.versions.iter_mut();
            if let Some(version) = found.find(|version| version.number == number) {
                version.state = state;
            }
            let change = ChangedVersion { at: self.shared.clock.now(), by: caller.principal() };
            record.life_mut().changed_versions.insert(number, change);
            let facts =
                vec![("transition", transition.to_owned()), ("version", number.to_string())];
            Ok(Some(Change::of_record(seen.clone(), record, EntryType::KeyStateChanged, facts)))
        })
        .await
    }

    /// Destroys one version of a key, at once: what stands before the destruction of a key stands
    /// before it as well. The newest enabled version that is left protects new data from then on.
    ///
    /// A policy that demands a wait or approvals refuses it: both are about whole keys.
    ///
    /// # Errors
    /// [`EngineError::GuardRefused`]; [`EngineError::VersionRefused`] if it is destroyed, or the
    /// last one that protects new data; [`EngineError::StorageUnavailable`] as
    /// [`Engine::destroy_key`].
    pub async fn destroy_version(
        &self,
        caller: &Caller,
        request: &DestroyVersionRequest,
    ) -> Result<EndedVersion, EngineError> {
        let result = self.destroy_version_unaudited(caller, request).await;
        let (now, key) = (self.shared.clock.now(), Some(request.key));
        match result {
            Ok((ended, log_index)) => {
                let touched = Touched { key, log_index, ..Touched::default() };
                self.audit_done::<DestroyVersion>(caller, now, touched);
                Ok(ended)
            }
            Err(error) => {
                self.audit::<DestroyVersion>(caller, now, key, Some(&error))?;
                Err(error)
            }
        }
    }

    async fn destroy_version_unaudited(
        &self,
        caller: &Caller,
        request: &DestroyVersionRequest,
    ) -> Result<(EndedVersion, Option<u64>), EngineError> {
        lifecycle::check_reason(&request.reason)?;
        let plan = |_| {
            let proof = authz::check::<DestroyVersion>(caller, self.load(request.key)?)?;
            lifecycle::expect_revision(proof.entry(), request.expected)?;
            let step = self.plan_destroy_version(caller, proof.entry(), request)?;
            Ok(Planned::Change(Change::one(step)))
        };
        let committed = self.change(caller, None, plan).await?;
        let log_index = committed.log_index();
        Ok((ended_of(committed)?, log_index))
    }

    fn plan_destroy_version(
        &self,
        caller: &Caller,
        entry: &Arc<KeyEntry>,
        request: &DestroyVersionRequest,
    ) -> Result<Step, EngineError> {
        let (record, number) = (entry.record(), request.version);
        if record.state.is_destroyed() {
            return Err(EngineError::ObjectDestroyed(record.id));
        }
        if let Some(due) = record.state.due() {
            // The whole key goes; whoever wants it sooner ends its wait.
            return Err(Refusal::AlreadyPending { due }.into());
        }
        let version = versions::find(record, number)?;
        if record.life().destroyed_versions.len() >= DESTROYED_VERSIONS_MAX {
            return Err(EngineError::ServerLimitExceeded("destroyed versions of one key"));
        }
        let now = self.shared.clock.now();
        let under = self.under(record);
        let policy = under.policy().and(&request.policy);
        let dependants = self.shared.catalogue.live_dependants(record.id);
        let asked_about = as_asked_about(record, version.state);
        let facts = Facts {
            record: &asked_about,
            lacking: None,
            last_used: entry.usage().last(),
            destroys_last_hour: self
                .shared
                .catalogue
                .destroys_since(caller.principal(), before(now, RATE_WINDOW)),
            approvals: Approvals::NotAsked,
            dependants: &dependants,
            now,
        };
        let asked = Asked { wish: Wish::AtOnce, confirm: request.confirm.as_deref() };
        match decide(&policy, &facts, &asked)? {
            Verdict::Destroy { with } if with.is_empty() => {}
            // Which version a key was derived with is not known, and a key goes whole or not.
            Verdict::Destroy { with } => {
                let total = with.len();
                return Err(Refusal::HasDependants { keys: with, total }.into());
            }
            Verdict::Schedule { .. } => {
                let minimum = policy.window.map(|window| window.minimum).unwrap_or_default();
                return Err(Refusal::WindowTooShort { minimum }.into());
            }
        }
        versions::another_protects(record, number)?;
        let preconditions = Preconditions {
            dependants,
            under: Some(under),
            approvers: Vec::new(),
            unused_since: policy.not_used_within.map(|time| before(now, time)),
            rate: policy.destroys_per_hour.map(|most| Rate {
                principal: caller.principal(),
                since: before(now, RATE_WINDOW),
                most,
            }),
        };
        let fingerprint = if policy.refuse_reimport {
            let material = self.shared.material(record, version)?;
            let public = version.public_key_der.as_deref();
            Some(self.shared.fingerprint(record.algorithm, public, &material))
        } else {
            None
        };
        Ok(Step::DestroyVersion(Box::new(DestroyStep {
            seen: entry.clone(),
            number,
            requested: now,
            reason: request.reason.as_str().into(),
            fingerprint,
            preconditions,
        })))
    }

    /// The receipt of a version that was destroyed while its key went on, proven against the newest
    /// checkpoint. Stays when the key is destroyed as well.
    ///
    /// Reads the store: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`EngineError::ItemNotFound`] if no such version was destroyed alone, or the key is not the
    /// caller's.
    pub fn version_receipt(
        &self,
        caller: &Caller,
        key: KeyId,
        number: u32,
    ) -> Result<Receipt, EngineError> {
        let now = self.shared.clock.now();
        let result = self
            .load(key)
            .and_then(|entry| authz::check::<ReadKey>(caller, entry))
            .and_then(|proof| self.receipt_of_version(proof.entry(), number));
        self.audit::<ReadKey>(caller, now, Some(key), result.as_ref().err())?;
        result
    }
}

/// The record as rule 6 of the guards is to see it: what it asks is whether that which goes is in
/// use, and a suspended version is not.
fn as_asked_about(record: &KeyRecord, state: VersionState) -> KeyRecord {
    let mut record = record.clone();
    if state == VersionState::Suspended {
        record.state = KeyState::Stable(StableState::Suspended);
    }
    record
}

fn ended_of(committed: Committed) -> Result<EndedVersion, EngineError> {
    for made in committed.made {
        match made {
            Made::Destroyed(parts) => {
                let (entry, receipt) = crate::receipt::from_parts(*parts);
                return Ok(EndedVersion { entry, receipt });
            }
            Made::Key { .. } | Made::Other { .. } => {}
        }
    }
    Err(EngineError::Internal("a destruction with another outcome"))
}
