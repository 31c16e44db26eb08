//! The one permission vocabulary. Doors map their scopes, bits or operation names onto it.

use core::fmt;
use core::str::FromStr;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// One thing a principal may be allowed to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Permission {
            $($(#[$doc])* #[doc = concat!("\n\nWritten `", $text, "`.")] $name,)*
        }

        impl Permission {
            /// All permissions, in the order of their bits.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The permission's stable text, as in grants and the documentation.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

// The order is the order of the bits in stored grants: append, never reorder.
permissions! {
    /// Make a key.
    KeysCreate = "keys.create";
    /// See a key's metadata and public part.
    KeysRead = "keys.read";
    /// Change a key's metadata.
    KeysUpdate = "keys.update";
    /// Add a version to a key.
    KeysRotate = "keys.rotate";
    /// Activate, suspend, resume, deactivate a key or mark it compromised.
    KeysState = "keys.state";
    /// Encrypt with a key.
    KeysUseEncrypt = "keys.use.encrypt";
    /// Decrypt with a key.
    KeysUseDecrypt = "keys.use.decrypt";
    /// Sign with a key.
    KeysUseSign = "keys.use.sign";
    /// Verify a signature with a key.
    KeysUseVerify = "keys.use.verify";
    /// Compute or check a message authentication code.
    KeysUseMac = "keys.use.mac";
    /// Agree on a shared secret.
    KeysUseDerive = "keys.use.derive";
    /// Wrap or unwrap other keys.
    KeysUseWrap = "keys.use.wrap";
    /// Bring key material in from outside.
    KeysImport = "keys.import";
    /// Take key material out.
    KeysExport = "keys.export";
    /// Destroy a key at once and for good.
    KeysDestroy = "keys.destroy";
    /// Schedule a destruction for later.
    KeysDestroySchedule = "keys.destroy.schedule";
    /// Cancel a scheduled destruction.
    KeysDestroyCancel = "keys.destroy.cancel";
    /// Approve another principal's destruction.
    KeysDestroyApprove = "keys.destroy.approve";
    /// Place and lift holds.
    HoldsManage = "holds.manage";
    /// Make vaults and change their policies.
    VaultsAdmin = "vaults.admin";
    /// See vaults.
    VaultsRead = "vaults.read";
    /// Make and revoke principals, credentials and grants.
    PrincipalsManage = "principals.manage";
    /// See principals and their grants.
    PrincipalsRead = "principals.read";
    /// Make and delete API keys.
    ApikeysManage = "apikeys.manage";
    /// Read the audit trail.
    AuditRead = "audit.read";
    /// Take backups.
    BackupsCreate = "backups.create";
    /// Give a key to an end user, who then acts on it.
    KeysDelegate = "keys.delegate";
    /// Make end users and sign in for them.
    PrincipalsDelegate = "principals.delegate";
    /// See a realm's settings.
    RealmRead = "realm.read";
    /// Change a realm's settings.
    RealmAdmin = "realm.admin";
    /// Make a vault, without a right on those of others.
    VaultsCreate = "vaults.create";
}

impl Permission {
    const fn bit(self) -> u64 {
        #[expect(clippy::as_conversions, reason = "a fieldless repr(u8) enum has no From in const")]
        let shift = self as u8;
        1 << shift
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPermission(pub String);

impl fmt::Display for UnknownPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` names no permission", self.0)
    }
}

impl core::error::Error for UnknownPermission {}

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.as_str() == text)
            .ok_or_else(|| UnknownPermission(text.to_owned()))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u64);

impl Permissions {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Every permission there is.
    #[must_use]
    pub fn all() -> Self {
        Permission::ALL.iter().copied().collect()
    }

    /// Whether `permission` is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether every permission of `other` is in the set.
    #[must_use]
    pub const fn contains_all(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The permissions in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The permissions in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The permissions that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set as stored: bit `n` stands for the `n`-th of [`Permission::ALL`].
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The set from its stored bits; `None` if a bit stands for no permission.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        (bits & !Self::all().0 == 0).then_some(Self(bits))
    }

    /// The permissions of the set, in the order of [`Permission::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |&permission| self.contains(permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}
