//! How doors find principals by names of their own, before an operation on them is asked for.
//!
//! Each look-up takes a time that hardly grows with the number of principals. None asks anybody's
//! permission or is in the audit trail: the operation that follows does and is. None finds a
//! revoked principal, nor the application of an API key by an attribute.

use std::sync::Arc;

use lethe_types::{CredentialId, PrincipalId, RealmId};

use crate::Engine;
use crate::authz::PrincipalEntry;

impl Engine {
    /// The principal of a realm that signs in by this name.
    #[must_use]
    pub fn principal_by_login(&self, realm: RealmId, login: &str) -> Option<Arc<PrincipalEntry>> {
        self.shared.catalogue.by_login(realm, login)
    }

    /// The principal of a realm of this identity.
    #[must_use]
    pub fn principal_by_id(&self, realm: RealmId, id: PrincipalId) -> Option<Arc<PrincipalEntry>> {
        let found = self.shared.catalogue.principal(realm, id);
        found.filter(|entry| entry.record().revoked.is_none())
    }

    /// The credentials of a realm whose names for doors begin so, in the order of the names.
    #[must_use]
    pub fn credentials_by_external_prefix(
        &self,
        realm: RealmId,
        prefix: &str,
    ) -> Vec<(Arc<PrincipalEntry>, CredentialId)> {
        self.shared.catalogue.by_external_prefix(realm, prefix)
    }

    /// The principals of a realm whose attribute has this value. The name of the attribute must end
    /// with [`crate::record::IDENTIFIER_ATTRIBUTE_END`]: nobody is found by others.
    #[must_use]
    pub fn principals_by_identifier(
        &self,
        realm: RealmId,
        attribute: &str,
        value: &[u8],
    ) -> Vec<Arc<PrincipalEntry>> {
        self.shared.catalogue.by_identifier(realm, attribute, value)
    }
}
