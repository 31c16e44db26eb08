//! Which keys a list shows.

use core::fmt;
use core::str::FromStr;

use lethe_crypto::registry::Algorithm;
use lethe_types::limits::LABELS_MAX;
use lethe_types::{KeyId, KeyState, LabelName, LabelValue, RealmId, StableState, VaultId};

use crate::EngineError;
use crate::record::KeyRecord;

/// Which keys a list shows: those that satisfy every part. The default shows all that have their
/// material.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// Only keys of this vault.
    pub vault: Option<VaultId>,
    /// Only keys of exactly this name.
    pub name: Option<String>,
    /// Only keys whose name begins so, in this case. The list is then in the order of names.
    pub name_prefix: Option<String>,
    /// Only keys with all these labels; without a value the key may have any. At most
    /// [`LABELS_MAX`].
    pub labels: Vec<(LabelName, Option<LabelValue>)>,
    /// Only keys in this state. A destroyed state asks for tombstones, whatever `destroyed` says.
    pub state: Option<StateFilter>,
    /// Only keys of this algorithm.
    pub algorithm: Option<Algorithm>,
    /// Destroyed keys (tombstones) too.
    pub destroyed: bool,
    /// Only keys that were derived from this one.
    pub derived_from: Option<KeyId>,
}

impl KeyFilter {
    /// Whether a list looks at no other keys than it shows: nothing but the vault narrows it, and
    /// each vault has its keys in order. Callers from whom keys are hidden look at those too.
    #[must_use]
    pub fn shows_what_it_looks_at(&self) -> bool {
        *self == Self { vault: self.vault, ..Self::default() }
    }
}

/// A state of a key without its particulars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFilter {
    /// Destroyed.
    Destroyed,
    /// Destroyed, and its material was or may have been known to others.
    DestroyedCompromised,
    /// Waits for its destruction.
    PendingDestruction,
    /// Has its material and does not wait for destruction.
    Stable(StableState),
}

/// A text that is no key state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownState;

impl fmt::Display for UnknownState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be one of ")?;
        for (place, state) in StateFilter::ALL.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            write!(f, "{separator}{}", state.as_str())?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownState {}

impl StateFilter {
    /// All states, in the order of a key's life.
    pub const ALL: &[Self] = &[
        Self::Stable(StableState::PreActive),
        Self::Stable(StableState::Active),
        Self::Stable(StableState::Suspended),
        Self::Stable(StableState::Deactivated),
        Self::Stable(StableState::Compromised),
        Self::PendingDestruction,
        Self::Destroyed,
        Self::DestroyedCompromised,
    ];

    /// The state's stable text, as [`KeyState::as_str`] has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Destroyed => KeyState::Destroyed.as_str(),
            Self::DestroyedCompromised => KeyState::DestroyedCompromised.as_str(),
            Self::PendingDestruction => "pending_destruction",
            Self::Stable(state) => state.as_str(),
        }
    }

    /// The state without its particulars.
    #[must_use]
    pub const fn of(state: KeyState) -> Self {
        match state {
            KeyState::Destroyed => Self::Destroyed,
            KeyState::DestroyedCompromised => Self::DestroyedCompromised,
            KeyState::PendingDestruction { .. } => Self::PendingDestruction,
            KeyState::Stable(state) => Self::Stable(state),
        }
    }

    const fn is_destroyed(self) -> bool {
        matches!(self, Self::Destroyed | Self::DestroyedCompromised)
    }
}

impl FromStr for StateFilter {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text).ok_or(UnknownState)
    }
}

impl KeyFilter {
    /// # Errors
    /// [`EngineError::InvalidField`] for more labels than a key can have.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        if self.labels.len() <= LABELS_MAX {
            return Ok(());
        }
        let why = format!("at most {LABELS_MAX} labels can be asked for");
        Err(EngineError::InvalidField { field: "label", why })
    }

    /// Whether keys that have their material, and tombstones, are wanted.
    pub(super) fn sides(&self) -> (bool, bool) {
        match self.state {
            Some(state) => (!state.is_destroyed(), state.is_destroyed()),
            None => (true, self.destroyed),
        }
    }

    /// Whether it shows a key with this record.
    pub(crate) fn shows(&self, record: &KeyRecord) -> bool {
        let (live, destroyed) = self.sides();
        let side = if record.state.is_destroyed() { destroyed } else { live };
        side && self.vault.is_none_or(|vault| vault == record.vault)
            && self.name.as_deref().is_none_or(|name| name == record.name.as_str())
            && self
                .name_prefix
                .as_deref()
                .is_none_or(|prefix| record.name.as_str().starts_with(prefix))
            && self.state.is_none_or(|state| state == StateFilter::of(record.state))
            && self.algorithm.is_none_or(|algorithm| algorithm == record.algorithm)
            && self.derived_from.is_none_or(|parent| {
                let derivation = record.details().derivation.as_ref();
                derivation.is_some_and(|derivation| derivation.parent == parent)
            })
            && self.labels.iter().all(|(name, wanted)| {
                let value = record.details().labels.get(name);
                value.is_some_and(|value| wanted.as_ref().is_none_or(|wanted| wanted == value))
            })
    }

    /// The filter and the realm as bytes that no other pair has: what a cursor is bound to.
    pub(crate) fn to_bytes(&self, realm: RealmId) -> Vec<u8> {
        let mut bytes = realm.0.to_vec();
        let mut part = |tag: u8, text: Option<&[u8]>| {
            let Some(text) = text else { return };
            let length = u32::try_from(text.len()).expect("filters are parts of requests");
            bytes.push(tag);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text);
        };
        part(1, self.vault.as_ref().map(|vault| vault.as_bytes().as_slice()));
        part(2, self.name.as_deref().map(str::as_bytes));
        part(3, self.name_prefix.as_deref().map(str::as_bytes));
        for (name, value) in &self.labels {
            part(4, Some(name.as_str().as_bytes()));
            part(5, value.as_ref().map(|value| value.as_str().as_bytes()));
        }
        part(6, self.state.map(|state| state.as_str().as_bytes()));
        part(7, self.algorithm.map(|algorithm| algorithm.name().as_bytes()));
        part(8, self.destroyed.then_some(b""));
        part(9, self.derived_from.as_ref().map(|parent| parent.as_bytes().as_slice()));
        bytes
    }
}
