//! What is set, and what became, of a key's versions, uses and ways out. Most keys have none of it.

use std::collections::BTreeMap;
use std::time::Duration;

use lethe_crypto::registry::{Algorithm, Uses};
use lethe_types::{ImportKeyId, KeyState, PrincipalId, RealmId, StableState, UnixMillis, VaultId};

use super::OwnedSecret;

/// Whether a version with material can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionState {
    /// It can.
    #[default]
    Enabled,
    /// It is refused for every use until it is resumed.
    Suspended,
}

impl VersionState {
    /// The state's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Suspended => "suspended",
        }
    }
}

/// Rules and events of a key's life beyond its state. A key without any of it stores nothing.
#[derive(Clone, Debug, Default)]
pub struct KeyLife {
    /// What it may be used for; everything that its algorithm can if `None`. Never widened.
    pub uses: Option<Uses>,
    /// Whether its material may leave the server. Said when the key is made; taken away, never
    /// given.
    pub exportable: bool,
    /// Whether there is a public key alone: the private half is elsewhere. What stands in the place
    /// of its material is that public key.
    pub public_only: bool,
    /// When its material first left the server, if it did: [`super::KeyRecord::exported`].
    pub first_export: Option<FirstExport>,
    /// How often it gets a new version by itself.
    pub rotation: Option<Rotation>,
    /// The oldest version that may protect new data; 0 for no such rule.
    pub protect_from: u32,
    /// The oldest version that may process data that is protected; 0 for no such rule.
    pub process_from: u32,
    /// Versions with material that were suspended or resumed: the newest such change of each.
    pub changed_versions: BTreeMap<u32, ChangedVersion>,
    /// Versions whose material is gone while the key goes on, in the order of their numbers; at
    /// most [`lethe_types::limits::DESTROYED_VERSIONS_MAX`].
    pub destroyed_versions: Vec<DestroyedVersion>,
}

impl KeyLife {
    /// Nothing of it.
    pub const NONE: Self = Self {
        uses: None,
        exportable: false,
        public_only: false,
        first_export: None,
        rotation: None,
        protect_from: 0,
        process_from: 0,
        changed_versions: BTreeMap::new(),
        destroyed_versions: Vec::new(),
    };
}

/// The first time that a key's material left the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstExport {
    /// When.
    pub at: UnixMillis,
    /// Who took it out.
    pub by: PrincipalId,
}

/// An automatic rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How often. From [`lethe_types::limits::ROTATION_PERIOD_MIN`] to
    /// [`lethe_types::limits::ROTATION_PERIOD_MAX`].
    pub period: Duration,
    /// When the next version is due. A rotation by hand does not move it.
    pub next: UnixMillis,
    /// Whether it goes on while the key is suspended.
    pub while_suspended: bool,
}

impl Rotation {
    /// Begins at `now`; for active keys alone.
    #[must_use]
    pub fn begun(period: Duration, now: UnixMillis) -> Self {
        Self { period, next: now.saturating_add(period), while_suspended: false }
    }

    /// Whether it is carried out for a key in this state.
    #[must_use]
    pub fn goes_on_in(self, state: KeyState) -> bool {
        let is_suspended = state == KeyState::Stable(StableState::Suspended);
        state.may_protect() || (self.while_suspended && is_suspended)
    }

    /// After a version that was made at `now`: the first moment of its rhythm that is still to
    /// come. What was missed while nobody served is not made up for.
    #[must_use]
    pub fn carried_out(self, now: UnixMillis) -> Self {
        let period_ms = u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX).max(1);
        let missed = now.0.saturating_sub(self.next.0) / period_ms;
        let ahead = period_ms.saturating_mul(missed.saturating_add(1));
        let next = UnixMillis(self.next.0.saturating_add(ahead));
        // A date further away than one period was set by a clock that was ahead.
        Self { next: next.min(now.saturating_add(self.period)), ..self }
    }

    /// Whether the next version is further away than the period allows, as after a clock that was
    /// ahead was set right.
    #[must_use]
    pub fn is_too_far(self, now: UnixMillis) -> bool {
        self.next > now.saturating_add(self.period)
    }
}

/// The newest change of a version's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedVersion {
    /// When.
    pub at: UnixMillis,
    /// By whom.
    pub by: PrincipalId,
}

/// What remains of a version that was destroyed while its key went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestroyedVersion {
    /// Its number, never given again.
    pub number: u32,
    /// When it was made.
    pub created: UnixMillis,
    /// Since when every use of it was refused.
    pub destroyed: UnixMillis,
    /// Who destroyed it.
    pub by: PrincipalId,
    /// The epoch of the erasure tree that no longer knows it.
    pub epoch: u64,
    /// Index of its `key.version_destroyed` leaf in the log.
    pub log_index: u64,
}

/// A key pair of the server's own, for whose holder one key is wrapped that is to be imported. It
/// is gone, private half and record, as soon as it was used or its time is over.
#[derive(Clone, Debug)]
pub struct ImportKeyRecord {
    /// Identity.
    pub id: ImportKeyId,
    /// The tenant.
    pub realm: RealmId,
    /// The vault into which the imported key goes.
    pub vault: VaultId,
    /// What kind of key pair it is; one of those that keys travel under.
    pub algorithm: Algorithm,
    /// The public key as SubjectPublicKeyInfo (RFC 5280).
    pub public_key_der: Box<[u8]>,
    /// When it was made.
    pub created: UnixMillis,
    /// Who made it.
    pub created_by: PrincipalId,
    /// From then on it opens nothing.
    pub expires: UnixMillis,
    /// The private half, sealed in the erasure tree.
    pub secret: OwnedSecret,
}

impl ImportKeyRecord {
    /// What HPKE binds a key to that is wrapped for this one (`info` of RFC 9180).
    #[must_use]
    pub fn info(&self) -> Vec<u8> {
        format!("lethe-import/v1/{}", self.id).into_bytes()
    }
}
