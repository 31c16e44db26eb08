//! Lethe itself as a principal, and its own secrets, which live in the erasure tree like
//! everybody's.

use lethe_types::{KeyId, Permissions, PrincipalId, RealmId, UnixMillis};

use crate::authz::PrincipalEntry;
use crate::record::{Grant, PrincipalKind, PrincipalRecord, Scope};

/// The identity of Lethe itself: no random identifier is all zero.
pub(crate) const PRINCIPAL: PrincipalId = PrincipalId([0; 16]);
/// The tenant that Lethe's own records belong to.
pub(crate) const REALM: RealmId = RealmId([0; 16]);
/// Record id of the seed of the log's signing key.
pub(crate) const LOG_SEED: KeyId = KeyId(*b"lethe/log-seed/1");
/// Record id of the key under which credentials are hashed.
pub(crate) const PEPPER: KeyId = KeyId(*b"lethe/pepper/v/1");

/// The version number in the sealed record of Lethe's own secrets.
pub(crate) const SECRET_VERSION: u32 = 1;

/// The row of one of Lethe's own secrets: `leaf u64 | sealed record`.
pub(crate) fn row(id: KeyId) -> lethe_store::StoreKey {
    let name = if id == LOG_SEED { "system/log-seed" } else { "system/pepper" };
    crate::keys::meta(name)
}

/// Lethe acting in `realm`.
pub(crate) fn principal(realm: RealmId) -> PrincipalEntry {
    let name = "lethe".parse().expect("the name is well-formed");
    let kind = PrincipalKind::ServiceAccount;
    let mut record = PrincipalRecord::new(PRINCIPAL, realm, kind, name, UnixMillis(0));
    record.grants = vec![Grant { permissions: Permissions::all(), scope: Scope::Realm }];
    PrincipalEntry::new(record, lethe_store::Revision(0))
}
