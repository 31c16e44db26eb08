//! Users, their status bits and their levels in vaults, as what the engine has: principals, grants
//! on the realm, grants on vaults.

use std::sync::Arc;

use lethe_engine::record::{Grant, PrincipalKind, PrincipalRecord, Scope, VaultRecord};
use lethe_engine::{Caller, Engine, PrincipalEntry};
use lethe_types::{Permission, Permissions, PrincipalId, RealmId, VaultId};

/// Attributes of principals.
pub(crate) const USER_ID: &str = "storedsafe.id";
pub(crate) const FULL_NAME: &str = "storedsafe.fullname";
pub(crate) const EMAIL: &str = "storedsafe.email";
/// The status bits that stand for no permission, in decimal.
pub(crate) const STATUS: &str = "storedsafe.status";
/// The public identifiers of Yubikeys, with commas between.
pub(crate) const OTP_PREFIX: &str = "storedsafe.otpprefix";

/// Attributes of vaults.
pub(crate) const VAULT_ID: &str = "storedsafe.id";
pub(crate) const VAULT_NAME: &str = "storedsafe.name";
pub(crate) const VAULT_POLICY: &str = "storedsafe.policy";
pub(crate) const VAULT_DESCRIPTION: &str = "storedsafe.description";

/// The policy of vaults that name none: no demands on passphrases.
pub(crate) const POLICY_NONE: &str = "16";

/// What somebody may do in a vault; each level contains those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Read,
    Write,
    Admin,
}

const READ: [Permission; 4] = [
    Permission::KeysRead,
    Permission::VaultsRead,
    Permission::KeysUseEncrypt,
    Permission::KeysUseDecrypt,
];
const WRITE: [Permission; 5] = [
    Permission::KeysCreate,
    Permission::KeysRotate,
    Permission::KeysImport,
    Permission::KeysUseWrap,
    Permission::KeysDestroy,
];
const ADMIN: [Permission; 5] = [
    Permission::KeysExport,
    Permission::BackupsCreate,
    Permission::VaultsAdmin,
    Permission::PrincipalsRead,
    Permission::PrincipalsManage,
];

impl Level {
    const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The level of a number: its highest bit. Other bits than the three are refused.
    pub(crate) fn of_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Read),
            2 | 3 => Some(Self::Write),
            4..=7 => Some(Self::Admin),
            _ => None,
        }
    }

    /// The highest level whose permissions are all there.
    pub(crate) fn of(permissions: Permissions) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|level| permissions.contains_all(level.permissions()))
    }

    pub(crate) fn permissions(self) -> Permissions {
        let write = WRITE.iter().filter(|_| self >= Self::Write);
        let admin = ADMIN.iter().filter(|_| self >= Self::Admin);
        READ.iter().chain(write).chain(admin).copied().collect()
    }

    /// Its number, as text.
    pub(crate) const fn number(self) -> &'static str {
        match self {
            Self::Read => "1",
            Self::Write => "2",
            Self::Admin => "4",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Admin => "Admin",
        }
    }
}

/// The caller's level in a vault.
pub(crate) fn level_in(caller: &Caller, vault: VaultId) -> Option<Level> {
    Level::of(caller.permissions_in(vault))
}

/// The level that a principal was given on a vault.
pub(crate) fn level_given(record: &PrincipalRecord, vault: VaultId) -> Option<Level> {
    Level::of(granted(record, Scope::Vault(vault)))
}

fn granted(record: &PrincipalRecord, scope: Scope) -> Permissions {
    let grants = record.grants.iter().filter(|grant| grant.scope == scope);
    grants.fold(Permissions::NONE, |all, grant| all.union(grant.permissions))
}

/// The status bits of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(pub(crate) u64);

impl Status {
    pub(crate) const READ: u64 = 1;
    pub(crate) const WRITE: u64 = 2;
    pub(crate) const ADMIN: u64 = 4;
    pub(crate) const AUDIT: u64 = 8;
    pub(crate) const ESCROW: u64 = 16;
    pub(crate) const ACTIVE: u64 = 128;
    pub(crate) const RELATIONS: u64 = 256;
    /// Highest bit that there is.
    const BIT_MAX: u64 = 11;

    /// The sum of bits that are given by number.
    pub(crate) fn of_bits(bits: &[u64]) -> Option<Self> {
        let known = bits.iter().all(|bit| *bit <= Self::BIT_MAX);
        known.then(|| Self(bits.iter().fold(0, |sum, bit| sum | 1 << bit)))
    }

    /// The status of a principal: its grants say what they can, the rest is kept.
    pub(crate) fn of(record: &PrincipalRecord) -> Self {
        let realm = granted(record, Scope::Realm);
        let kept = text_of(record.attributes.get(STATUS)).and_then(|text| text.parse().ok());
        let is_active = !record.suspended && record.revoked.is_none();
        let mut status = kept.unwrap_or(Self::READ) & !Self::MAPPED;
        for (bit, permissions) in CAPABILITIES {
            if permissions.iter().all(|permission| realm.contains(*permission)) {
                status |= bit;
            }
        }
        Self(if is_active { status | Self::ACTIVE } else { status })
    }

    const MAPPED: u64 = Self::WRITE | Self::ADMIN | Self::AUDIT | Self::RELATIONS | Self::ACTIVE;

    pub(crate) const fn has(self, bit: u64) -> bool {
        self.0 & bit != 0
    }

    /// What is kept as an attribute.
    pub(crate) fn to_keep(self) -> String {
        (self.0 & !Self::MAPPED).to_string()
    }

    /// The permissions on the realm.
    pub(crate) fn permissions(self) -> Permissions {
        let set = CAPABILITIES.iter().filter(|(bit, _)| self.has(*bit));
        set.flat_map(|(_, permissions)| permissions.iter().copied()).collect()
    }

    /// The grants of a user who has this status and these grants on vaults and keys.
    pub(crate) fn grants(self, others: &[Grant]) -> Vec<Grant> {
        let realm = Grant { permissions: self.permissions(), scope: Scope::Realm };
        let mut grants: Vec<Grant> =
            others.iter().filter(|grant| grant.scope != Scope::Realm).copied().collect();
        if !realm.permissions.is_empty() {
            grants.push(realm);
        }
        grants
    }
}

/// The capabilities that are permissions on the realm.
const CAPABILITIES: [(u64, &[Permission]); 4] = [
    (Status::WRITE, &[Permission::VaultsCreate]),
    (Status::ADMIN, &[Permission::PrincipalsRead, Permission::PrincipalsManage]),
    (Status::AUDIT, &[Permission::AuditRead]),
    (Status::RELATIONS, &[Permission::PrincipalsRead, Permission::VaultsRead]),
];

/// Whether a principal is a user here: a person who signs in by name.
pub(crate) fn is_user(record: &PrincipalRecord) -> bool {
    record.kind == PrincipalKind::User && record.login.is_some() && record.revoked.is_none()
}

/// The number of a user, as text. One that was made elsewhere has its identifier in decimal.
pub(crate) fn user_id(record: &PrincipalRecord) -> String {
    let given = text_of(record.attributes.get(USER_ID));
    given.map_or_else(|| u128::from_be_bytes(record.id.0).to_string(), str::to_owned)
}

/// The user of that number.
pub(crate) fn find_user(
    engine: &Engine,
    realm: RealmId,
    number: &str,
) -> Option<Arc<PrincipalEntry>> {
    let is_it =
        |entry: &Arc<PrincipalEntry>| is_user(entry.record()) && user_id(entry.record()) == number;
    let given = engine.principals_by_identifier(realm, USER_ID, number.as_bytes());
    given.into_iter().find(is_it).or_else(|| {
        let id = PrincipalId(number.parse::<u128>().ok()?.to_be_bytes());
        engine.principal_by_id(realm, id).filter(is_it)
    })
}

/// The number of a vault, as text; likewise.
pub(crate) fn vault_id(record: &VaultRecord) -> String {
    let given = text_of(record.attributes.get(VAULT_ID));
    given.map_or_else(|| u128::from_be_bytes(record.id.0).to_string(), str::to_owned)
}

/// An attribute that is a text.
pub(crate) fn text_of<T: AsRef<[u8]> + ?Sized>(attribute: Option<&T>) -> Option<&str> {
    attribute.and_then(|bytes| core::str::from_utf8(bytes.as_ref()).ok())
}

/// A text as an attribute.
pub(crate) fn attribute(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}
