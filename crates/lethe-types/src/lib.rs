//! The vocabulary of Lethe: identifiers, key states and their table, permissions, limits, secrets,
//! time and chance.
//!
//! Layer 0. No I/O, no async, no serialisation, no randomness and no clock of its own: both are
//! arguments ([`Clock`], [`Entropy`]), so that every run of the layers above can be replayed.

mod defence;
mod entropy;
mod id;
pub mod limits;
mod name;
mod permission;
mod secret;
mod state;
mod time;

pub use defence::Defence;
pub use entropy::{Entropy, EntropyError};
pub use id::{
    ApprovalId, BackupId, BatchId, CredentialId, EventId, HoldId, ImportKeyId, InvalidId, JobId,
    KeyId, PrincipalId, RealmId, TreeId, VaultId,
};
pub use name::{
    InvalidLabel, InvalidName, KeyName, LabelName, LabelValue, PrincipalName, RealmName, VaultName,
};
pub use permission::{Permission, Permissions, UnknownPermission};
pub use secret::{Secret, SecretVec};
pub use state::{KeyState, StableState, Transition, WrongKeyLifecycleState};
pub use time::{Clock, InvalidTime, UnixMillis};

#[cfg(test)]
mod tests;
