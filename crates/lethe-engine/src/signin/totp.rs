//! One-time passwords are good once: the last accepted time step of each credential.

use std::collections::BTreeMap;

use lethe_crypto::otp::{TOTP_DRIFT_STEPS, TOTP_STEP_SECONDS};
use lethe_types::CredentialId;
use lethe_types::limits::ONE_TIME_ENTRIES_MAX;

/// The newest accepted step of each credential that was used lately.
///
/// A step at or before it is refused: the code was used, or an older one was held back. Only
/// sign-ins that succeed add entries.
#[derive(Debug, Default)]
pub(super) struct OneTimeSteps(BTreeMap<CredentialId, u64>);

impl OneTimeSteps {
    /// Uses up `step` of `credential`; `false` if it is used up already.
    pub(super) fn accept(&mut self, credential: CredentialId, step: u64) -> bool {
        if self.0.get(&credential).is_some_and(|&last| step <= last) {
            return false;
        }
        if self.0.len() >= ONE_TIME_ENTRIES_MAX && !self.0.contains_key(&credential) {
            // Codes of these steps are out of the window by now, also if the clock steps back a
            // little. If all are in use, the code is refused rather than one forgotten.
            self.0.retain(|_, last| last.saturating_add(KEPT_STEPS) >= step);
            if self.0.len() >= ONE_TIME_ENTRIES_MAX {
                return false;
            }
        }
        self.0.insert(credential, step);
        true
    }
}

/// Both drifts and two minutes more.
const KEPT_STEPS: u64 = 2 * TOTP_DRIFT_STEPS + 120 / TOTP_STEP_SECONDS;
