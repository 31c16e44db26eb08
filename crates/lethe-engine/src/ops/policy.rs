//! Which deletion policy counts for a key, and how a realm's is changed.

use std::sync::Arc;

use lethe_types::limits::{APPROVALS_MAX, WINDOW_MAX};

use super::{Planned, Touched};
use crate::authz::{self, Caller, ReadRealm, UpdateRealm};
use crate::committer::{Change, Step, Under};
use crate::record::{DeletionPolicy, KeyRecord, RealmRecord};
use crate::{Engine, EngineError};

impl Engine {
    /// What a destruction of the key must satisfy: its realm's policy and its vault's.
    pub(crate) fn policy_of(&self, record: &KeyRecord) -> DeletionPolicy {
        self.under(record).policy()
    }

    /// The realm and the vault whose policies count for the key, as they are now.
    pub(crate) fn under(&self, record: &KeyRecord) -> Under {
        let catalogue = &self.shared.catalogue;
        let vault = catalogue.vault(record.realm, record.vault);
        Under { realm: catalogue.realm(record.realm), vault }
    }

    /// The caller's realm.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`].
    pub fn read_realm(&self, caller: &Caller) -> Result<Arc<RealmRecord>, EngineError> {
        let result = authz::check_realm::<ReadRealm>(caller, None).and_then(|()| {
            let realm = self.shared.catalogue.realm(caller.realm());
            realm.ok_or(EngineError::ItemNotFound("realm"))
        });
        let now = self.shared.clock.now();
        self.audit::<ReadRealm>(caller, now, None, result.as_ref().err())?;
        result
    }

    /// Sets the deletion policy of the caller's realm.
    ///
    /// # Errors
    /// [`EngineError::InvalidField`] for a policy that nothing can satisfy.
    pub async fn set_realm_policy(
        &self,
        caller: &Caller,
        policy: &DeletionPolicy,
    ) -> Result<Arc<RealmRecord>, EngineError> {
        let result = self
            .change(caller, None, |_| {
                authz::check_realm::<UpdateRealm>(caller, None)?;
                check_policy(policy)?;
                let seen = self.shared.catalogue.realm(caller.realm());
                let seen = seen.ok_or(EngineError::ItemNotFound("realm"))?;
                let mut record = (*seen).clone();
                record.policy = policy.clone();
                let step = Step::PutRealm { seen: Some(seen), record: Box::new(record) };
                Ok(Planned::Change(Change::one(step)))
            })
            .await;
        let now = self.shared.clock.now();
        let subject = Some(caller.realm().0);
        match result {
            Ok(committed) => {
                let log_index = committed.log_index();
                let touched = Touched { subject, log_index, ..Touched::default() };
                self.audit_done::<UpdateRealm>(caller, now, touched);
                let realm = self.shared.catalogue.realm(caller.realm());
                realm.ok_or(EngineError::Internal("a realm that vanished"))
            }
            Err(error) => {
                let touched = Touched { subject, ..Touched::default() };
                self.record::<UpdateRealm>(caller, now, touched, Some(&error))?;
                Err(error)
            }
        }
    }
}

/// Whether a policy can be satisfied at all.
///
/// # Errors
/// [`EngineError::InvalidField`].
pub(super) fn check_policy(policy: &DeletionPolicy) -> Result<(), EngineError> {
    let refused = |field: &'static str, why: String| Err(EngineError::InvalidField { field, why });
    let days = WINDOW_MAX.as_secs() / 86_400;
    if policy.window.is_some_and(|window| window.minimum > WINDOW_MAX) {
        return refused("policy.window", format!("may be {days} days"));
    }
    if policy.not_used_within.is_some_and(|time| time > WINDOW_MAX) {
        return refused("policy.not_used_within", format!("may be {days} days"));
    }
    if let Some(rule) = policy.approvals {
        if !(1..=APPROVALS_MAX).contains(&rule.required) {
            return refused("policy.approvals.required", format!("must be 1 to {APPROVALS_MAX}"));
        }
        if rule.lifetime.is_zero() || rule.lifetime > WINDOW_MAX {
            let why = format!("must be more than nothing and at most {days} days");
            return refused("policy.approvals.lifetime", why);
        }
    }
    Ok(())
}
