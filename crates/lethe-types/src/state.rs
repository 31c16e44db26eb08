//! The life of a key: one pure table of states and transitions.
//!
//! States are those of NIST SP 800-57 Part 1 Rev. 5, section 7, with KMIP's *Destroyed Compromised*
//! and our *PendingDestruction*, the waiting time before a scheduled destruction. Doors map them to
//! their own words.

use core::fmt;

use crate::UnixMillis;

/// A state in which a key still has its material and is not waiting for destruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StableState {
    /// Made but not yet to be used.
    PreActive,
    /// In use.
    Active,
    /// Stopped, reversibly.
    Suspended,
    /// No longer used to protect data; may still process what is protected already.
    Deactivated,
    /// Known or suspected to be known to others.
    Compromised,
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The key has its material and is not waiting for destruction.
    Stable(StableState),
    /// Refused for every use until `due`, when it is destroyed unless the destruction is cancelled.
    PendingDestruction {
        /// When the destruction is carried out.
        due: UnixMillis,
        /// The state that a cancellation leads back to.
        return_to: StableState,
    },
    /// The material is gone.
    Destroyed,
    /// The material is gone, and was or may have been known to others.
    DestroyedCompromised,
}

/// An edge of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Put a pre-active key into use.
    Activate,
    /// Stop an active key, reversibly.
    Suspend,
    /// Put a suspended key back into use.
    Resume,
    /// End the use of a key for protecting data.
    Deactivate,
    /// Record that others know or may know the key.
    Compromise,
    /// Start the waiting time before a destruction.
    ScheduleDestruction {
        /// When the destruction is to be carried out.
        due: UnixMillis,
    },
    /// End the waiting time without a destruction.
    CancelDestruction,
    /// Destroy the material.
    Destroy,
}

impl Transition {
    /// The transition's verb, for messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Deactivate => "deactivate",
            Self::Compromise => "compromise",
            Self::ScheduleDestruction { .. } => "schedule_destruction",
            Self::CancelDestruction => "cancel_destruction",
            Self::Destroy => "destroy",
        }
    }
}

impl StableState {
    /// The state's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PreActive => "pre_active",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deactivated => "deactivated",
            Self::Compromised => "compromised",
        }
    }
}

impl KeyState {
    /// A key in use.
    pub const ACTIVE: Self = Self::Stable(StableState::Active);

    /// The state's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable(state) => state.as_str(),
            Self::PendingDestruction { .. } => "pending_destruction",
            Self::Destroyed => "destroyed",
            Self::DestroyedCompromised => "destroyed_compromised",
        }
    }

    /// Whether the material is gone.
    #[must_use]
    pub const fn is_destroyed(self) -> bool {
        matches!(self, Self::Destroyed | Self::DestroyedCompromised)
    }

    /// When the destruction that waits is to be carried out, if one does.
    #[must_use]
    pub const fn due(self) -> Option<UnixMillis> {
        match self {
            Self::PendingDestruction { due, .. } => Some(due),
            Self::Stable(_) | Self::Destroyed | Self::DestroyedCompromised => None,
        }
    }

    /// Whether the key may protect new data: encrypt, sign, compute a MAC, wrap.
    #[must_use]
    pub const fn may_protect(self) -> bool {
        matches!(self, Self::Stable(StableState::Active))
    }

    /// Whether the key may process protected data: decrypt, verify, check a MAC, unwrap.
    ///
    /// SP 800-57 section 7.3.4 and 7.3.5 allow it for deactivated and compromised keys.
    #[must_use]
    pub const fn may_process(self) -> bool {
        matches!(
            self,
            Self::Stable(StableState::Active | StableState::Deactivated | StableState::Compromised)
        )
    }

    /// The state after `transition`. The one table of the system.
    ///
    /// # Errors
    /// [`WrongKeyLifecycleState`] if the table has no such edge.
    pub const fn after(self, transition: Transition) -> Result<Self, WrongKeyLifecycleState> {
        use StableState::{Active, Compromised, Deactivated, PreActive, Suspended};
        use Transition as T;
        let refused = Err(WrongKeyLifecycleState { state: self, transition });
        match (self, transition) {
            (Self::Stable(PreActive), T::Activate) | (Self::Stable(Suspended), T::Resume) => {
                Ok(Self::Stable(Active))
            }
            (Self::Stable(Active), T::Suspend) => Ok(Self::Stable(Suspended)),
            (Self::Stable(Active | Suspended), T::Deactivate) => Ok(Self::Stable(Deactivated)),
            (Self::Stable(PreActive | Active | Suspended | Deactivated), T::Compromise) => {
                Ok(Self::Stable(Compromised))
            }
            (Self::Stable(return_to), T::ScheduleDestruction { due }) => {
                Ok(Self::PendingDestruction { due, return_to })
            }
            (Self::Stable(Compromised), T::Destroy)
            | (Self::PendingDestruction { return_to: Compromised, .. }, T::Destroy)
            | (Self::Destroyed, T::Compromise) => Ok(Self::DestroyedCompromised),
            (Self::Stable(_) | Self::PendingDestruction { .. }, T::Destroy) => Ok(Self::Destroyed),
            (Self::PendingDestruction { return_to, .. }, T::CancelDestruction) => {
                Ok(Self::Stable(return_to))
            }
            (
                Self::PendingDestruction {
                    due,
                    return_to: PreActive | Active | Suspended | Deactivated,
                },
                T::Compromise,
            ) => Ok(Self::PendingDestruction { due, return_to: Compromised }),
            (Self::Stable(_) | Self::PendingDestruction { .. }, _)
            | (Self::Destroyed | Self::DestroyedCompromised, _) => refused,
        }
    }
}

/// The table has no such edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongKeyLifecycleState {
    /// The state the key is in.
    pub state: KeyState,
    /// What was asked of it.
    pub transition: Transition,
}

impl fmt::Display for WrongKeyLifecycleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} a key that is {}", self.transition.as_str(), self.state.as_str())
    }
}

impl core::error::Error for WrongKeyLifecycleState {}
