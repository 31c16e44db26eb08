//! The kinds of log entries and the members that each kind has.

use core::fmt;
use core::str::FromStr;

use super::EntryError;
use crate::json::{JsonError, Members};

macro_rules! entry_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $members:ident;)*) => {
        /// What happened; written as the member `type`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EntryType {
            $($(#[$doc])* $name,)*
        }

        impl EntryType {
            /// All types, in the order of their texts.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable text, as in `key.destroyed`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Which members an entry of this type has, beside `v`, `type`, `time`, `tree_id`,
            /// `rev` and `software`, which every entry has.
            #[must_use]
            pub const fn members(self) -> EntryMembers {
                match self {
                    $(Self::$name => $members,)*
                }
            }
        }
    };
}

entry_types! {
    /// A copy of the data was taken, from which keys can be restored for a while.
    BackupTaken = "backup.taken", SYSTEM;
    /// The grants of a principal changed.
    GrantChanged = "grant.changed", CHANGE;
    /// What stands around a key's material changed: metadata, holds, protection, attributes. A
    /// secret that it owned may be erased with it.
    KeyChanged = "key.changed", REVOCATION;
    /// A key was made.
    KeyCreated = "key.created", CHANGE;
    /// A key's material is gone. One of the two entries that receipts are made of.
    KeyDestroyed = "key.destroyed", DESTRUCTION;
    /// A scheduled destruction was called off.
    KeyDestructionCancelled = "key.destruction_cancelled", CHANGE;
    /// A destruction was scheduled.
    KeyDestructionRequested = "key.destruction_requested", CHANGE;
    /// Key material left the installation.
    KeyExported = "key.exported", CHANGE;
    /// Key material came from outside.
    KeyImported = "key.imported", CHANGE;
    /// A key got a further version. Older ones may be erased with it.
    KeyRotated = "key.rotated", REVOCATION;
    /// A key was activated, suspended, resumed, deactivated or found compromised.
    KeyStateChanged = "key.state_changed", CHANGE;
    /// The material of one version is gone; the key goes on with its others. The other entry that
    /// receipts are made of.
    KeyVersionDestroyed = "key.version_destroyed", DESTRUCTION;
    /// The log goes on under another signing key.
    LogKeyRotated = "log.key_rotated", SYSTEM;
    /// The first entry of a log.
    LogOpened = "log.opened", SYSTEM;
    /// A node of the cluster was shut out.
    NodeEvicted = "node.evicted", SYSTEM;
    /// A principal's properties or credentials changed. The secret of a removed credential may be
    /// erased with it.
    PrincipalChanged = "principal.changed", REVOCATION;
    /// A principal was made.
    PrincipalCreated = "principal.created", CHANGE;
    /// A principal can no longer sign in. Its credentials may be erased with it.
    PrincipalRevoked = "principal.revoked", REVOCATION;
    /// A realm's properties or policy changed.
    RealmChanged = "realm.changed", CHANGE;
    /// A realm was made.
    RealmCreated = "realm.created", CHANGE;
    /// A server began to serve.
    ServerStarted = "server.started", SYSTEM;
    /// A whole erasure tree was made unreadable.
    TreeErased = "tree.erased", TREE;
    /// A backup was restored, and every later destruction repeated.
    TreeRestored = "tree.restored", TREE;
    /// A vault's properties, members or policy changed.
    VaultChanged = "vault.changed", CHANGE;
    /// A vault was made.
    VaultCreated = "vault.created", CHANGE;
    /// A vault was removed.
    VaultRemoved = "vault.removed", CHANGE;
}

/// Which of the members an entry has that not every entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryMembers {
    /// `door`.
    pub door: Presence,
    /// `subject`.
    pub subject: Presence,
    /// `detail`.
    pub detail: Presence,
    /// `epoch_from`, `epoch_to`, `slot`, `quorum`, `invalidation` and `backups_after`, together.
    pub erasure: Presence,
}

/// Whether an entry has a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Never.
    Absent,
    /// If there is something to say.
    Optional,
    /// Always.
    Required,
}

impl Presence {
    pub(super) fn check(self, is_there: bool, name: &'static str) -> Result<(), EntryError> {
        match (self, is_there) {
            (Self::Absent, true) => Err(EntryError::Unexpected(name)),
            (Self::Required, false) => Err(EntryError::Missing(name)),
            (Self::Absent | Self::Optional, false) | (Self::Optional | Self::Required, true) => {
                Ok(())
            }
        }
    }

    /// What `read` gives, if `name` is among the members; a member too many is left for
    /// [`Members::finish`] to refuse.
    pub(super) fn read<T>(
        self,
        members: &mut Members,
        name: &'static str,
        read: impl FnOnce(&mut Members) -> Result<T, JsonError>,
    ) -> Result<Option<T>, EntryError> {
        let is_there = members.has(name);
        self.check(is_there, name)?;
        if is_there { Ok(Some(read(members)?)) } else { Ok(None) }
    }
}

impl fmt::Display for EntryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no entry type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEntryType;

impl FromStr for EntryType {
    type Err = UnknownEntryType;

    fn from_str(text: &str) -> Result<Self, UnknownEntryType> {
        let all = Self::ALL.iter().copied();
        all.into_iter().find(|known| known.as_str() == text).ok_or(UnknownEntryType)
    }
}

/// A change that somebody asked for.
const CHANGE: EntryMembers = EntryMembers {
    door: Presence::Required,
    subject: Presence::Required,
    detail: Presence::Required,
    erasure: Presence::Absent,
};

/// A destruction has every member.
const DESTRUCTION: EntryMembers = EntryMembers { erasure: Presence::Required, ..CHANGE };

/// A change that may erase something.
const REVOCATION: EntryMembers = EntryMembers { erasure: Presence::Optional, ..CHANGE };

/// Something that the installation did by itself or at the operator's command.
const SYSTEM: EntryMembers = EntryMembers {
    door: Presence::Absent,
    subject: Presence::Absent,
    detail: Presence::Optional,
    erasure: Presence::Absent,
};

/// A change of the whole tree.
const TREE: EntryMembers = EntryMembers { erasure: Presence::Required, ..SYSTEM };
