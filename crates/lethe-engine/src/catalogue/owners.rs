//! Realms, vaults and principals, and by what they are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lethe_types::limits::API_SECRET_SHOWN_BYTES;
use lethe_types::{CredentialId, KeyId, PrincipalId, RealmId, RealmName, VaultId, VaultName};

use super::Catalogue;
use crate::authz::PrincipalEntry;
use crate::record::{
    CredentialKind, IDENTIFIER_ATTRIBUTE_END, PrincipalRecord, RealmRecord, VaultRecord,
};

/// Realms by identifier and by name.
#[derive(Debug, Default)]
pub(super) struct Realms {
    by_id: BTreeMap<RealmId, Arc<RealmRecord>>,
    by_name: BTreeMap<RealmName, RealmId>,
}

/// Vaults by identifier, removed ones too; by realm and name only those that are there.
#[derive(Debug, Default)]
pub(super) struct Vaults {
    by_id: BTreeMap<VaultId, Arc<VaultRecord>>,
    by_realm: BTreeMap<RealmId, BTreeMap<VaultName, VaultId>>,
}

/// Principals by identifier, and those that are not revoked by what they sign in with.
#[derive(Debug, Default)]
pub(super) struct Principals {
    by_id: BTreeMap<PrincipalId, Arc<PrincipalEntry>>,
    by_realm: BTreeMap<RealmId, BTreeSet<PrincipalId>>,
    credentials: BTreeMap<CredentialId, Arc<PrincipalEntry>>,
    logins: BTreeMap<RealmId, BTreeMap<Box<str>, PrincipalId>>,
    externals: BTreeMap<RealmId, BTreeMap<Box<str>, (PrincipalId, CredentialId)>>,
    bound: BTreeSet<(KeyId, PrincipalId)>,
    /// By realm, then by attribute and its value; those that identify.
    identifiers: BTreeMap<RealmId, BTreeSet<Identifier>>,
    /// Of secrets of API keys, by what of them may be shown. Not unique.
    shown: BTreeMap<Shown, PrincipalId>,
}

/// The beginning of a secret, and which credential it belongs to.
type Shown = ([u8; API_SECRET_SHOWN_BYTES], CredentialId);

/// An attribute that identifies its principal at a door, its value, and whose it is.
type Identifier = (Box<str>, Box<[u8]>, PrincipalId);

/// The attributes of a principal by which doors find it. Applications of API keys are found by
/// their keys.
fn identifiers(record: &PrincipalRecord) -> impl Iterator<Item = Identifier> {
    let is_indexed = !record.is_application_of_key();
    let all = record.attributes.iter().filter(move |_| is_indexed);
    let identifying = all.filter(|(name, _)| name.ends_with(IDENTIFIER_ATTRIBUTE_END));
    identifying.map(|(name, value)| (name.clone(), value.clone(), record.id))
}

impl Principals {
    fn enter(&mut self, entry: &Arc<PrincipalEntry>) {
        let record = entry.record();
        if let Some(key) = record.bound_to {
            self.bound.insert((key, record.id));
        }
        if record.revoked.is_none() {
            self.identifiers.entry(record.realm).or_default().extend(identifiers(record));
        }
        if record.revoked.is_none()
            && let Some(login) = &record.login
        {
            self.logins.entry(record.realm).or_default().insert(login.clone(), record.id);
        }
        for credential in &record.credentials {
            self.credentials.insert(credential.id, entry.clone());
            if let CredentialKind::ApiSecret { shown, .. } = &credential.kind {
                self.shown.insert((*shown, credential.id), record.id);
            }
            if record.revoked.is_none()
                && let Some(external) = credential.external()
            {
                let place = (record.id, credential.id);
                self.externals.entry(record.realm).or_default().insert(external.into(), place);
            }
        }
    }

    fn leave(&mut self, record: &PrincipalRecord) {
        if let Some(key) = record.bound_to {
            self.bound.remove(&(key, record.id));
        }
        if let Some(known) = self.identifiers.get_mut(&record.realm) {
            for identifier in identifiers(record) {
                known.remove(&identifier);
            }
        }
        // What somebody else holds by now stays theirs.
        if let (Some(logins), Some(login)) = (self.logins.get_mut(&record.realm), &record.login)
            && logins.get(login) == Some(&record.id)
        {
            logins.remove(login);
        }
        for credential in &record.credentials {
            self.credentials.remove(&credential.id);
            if let CredentialKind::ApiSecret { shown, .. } = &credential.kind {
                self.shown.remove(&(*shown, credential.id));
            }
            let externals = self.externals.get_mut(&record.realm);
            if let (Some(externals), Some(external)) = (externals, credential.external())
                && externals.get(external) == Some(&(record.id, credential.id))
            {
                externals.remove(external);
            }
        }
    }
}

impl Catalogue {
    pub(crate) fn realm(&self, realm: RealmId) -> Option<Arc<RealmRecord>> {
        self.realms.read().by_id.get(&realm).cloned()
    }

    pub(crate) fn realm_by_name(&self, name: &RealmName) -> Option<Arc<RealmRecord>> {
        let realms = self.realms.read();
        realms.by_id.get(realms.by_name.get(name)?).cloned()
    }

    pub(crate) fn publish_realm(&self, realm: RealmRecord) {
        let mut realms = self.realms.write();
        let (id, name) = (realm.id, realm.name.clone());
        if let Some(previous) = realms.by_id.insert(id, Arc::new(realm))
            && realms.by_name.get(&previous.name) == Some(&id)
        {
            realms.by_name.remove(&previous.name);
        }
        realms.by_name.insert(name, id);
    }

    /// The vault, also one that was removed: its record says so.
    pub(crate) fn vault(&self, realm: RealmId, vault: VaultId) -> Option<Arc<VaultRecord>> {
        self.vaults.read().by_id.get(&vault).filter(|record| record.realm == realm).cloned()
    }

    pub(super) fn realm_of_vault(&self, vault: VaultId) -> Option<RealmId> {
        self.vaults.read().by_id.get(&vault).map(|record| record.realm)
    }

    /// The vault of that name that is there.
    pub(crate) fn vault_by_name(
        &self,
        realm: RealmId,
        name: &VaultName,
    ) -> Option<Arc<VaultRecord>> {
        let vaults = self.vaults.read();
        vaults.by_id.get(vaults.by_realm.get(&realm)?.get(name)?).cloned()
    }

    /// The vaults of the realm, those that were removed too.
    pub(crate) fn all_vaults(&self, realm: RealmId) -> Vec<Arc<VaultRecord>> {
        let vaults = self.vaults.read();
        vaults.by_id.values().filter(|record| record.realm == realm).cloned().collect()
    }

    /// The vaults of the realm that are there, by name.
    pub(crate) fn vaults(&self, realm: RealmId) -> Vec<Arc<VaultRecord>> {
        let vaults = self.vaults.read();
        let names = vaults.by_realm.get(&realm).into_iter().flatten();
        names.filter_map(|(_, vault)| vaults.by_id.get(vault).cloned()).collect()
    }

    pub(crate) fn publish_vault(&self, vault: VaultRecord) {
        let mut guard = self.vaults.write();
        let vaults = &mut *guard;
        let vault = Arc::new(vault);
        let previous = vaults.by_id.insert(vault.id, vault.clone());
        let names = vaults.by_realm.entry(vault.realm).or_default();
        if let Some(previous) = previous
            && names.get(&previous.name) == Some(&previous.id)
        {
            names.remove(&previous.name);
        }
        if vault.removed.is_none() {
            names.insert(vault.name.clone(), vault.id);
        }
    }

    pub(crate) fn principal(
        &self,
        realm: RealmId,
        principal: PrincipalId,
    ) -> Option<Arc<PrincipalEntry>> {
        let principals = self.principals.read();
        principals.by_id.get(&principal).filter(|entry| entry.record.realm == realm).cloned()
    }

    /// The principals of the realm but for the applications of API keys, which are found by their
    /// keys.
    pub(crate) fn principals(&self, realm: RealmId) -> Vec<Arc<PrincipalEntry>> {
        let principals = self.principals.read();
        let ids = principals.by_realm.get(&realm).into_iter().flatten();
        ids.filter_map(|id| principals.by_id.get(id).cloned()).collect()
    }

    /// How many [`Catalogue::principals`] there are.
    pub(crate) fn principals_count(&self, realm: RealmId) -> usize {
        self.principals.read().by_realm.get(&realm).map_or(0, BTreeSet::len)
    }

    /// Shows every principal of the realm to `look`, the applications of API keys too.
    pub(crate) fn visit_principals(&self, realm: RealmId, mut look: impl FnMut(&PrincipalRecord)) {
        let principals = self.principals.read();
        let records = principals.by_id.values().map(|entry| entry.record());
        records.filter(|record| record.realm == realm).for_each(&mut look);
    }

    /// The principals that have a secret of an API key which begins so, with its credential.
    pub(crate) fn by_shown(
        &self,
        shown: [u8; API_SECRET_SHOWN_BYTES],
    ) -> Vec<(Arc<PrincipalEntry>, CredentialId)> {
        let principals = self.principals.read();
        let range = (shown, CredentialId([0; 16]))..=(shown, CredentialId([255; 16]));
        let found = principals.shown.range(range);
        let entries =
            found.filter_map(|((_, id), by)| Some((principals.by_id.get(by)?.clone(), *id)));
        entries.collect()
    }

    pub(crate) fn by_credential(&self, credential: CredentialId) -> Option<Arc<PrincipalEntry>> {
        self.principals.read().credentials.get(&credential).cloned()
    }

    /// The principal that signs in with that name; never a revoked one.
    pub(crate) fn by_login(&self, realm: RealmId, login: &str) -> Option<Arc<PrincipalEntry>> {
        let principals = self.principals.read();
        principals.by_id.get(principals.logins.get(&realm)?.get(login)?).cloned()
    }

    /// The principal and the credential of that external name; never of a revoked one.
    pub(crate) fn by_external(
        &self,
        realm: RealmId,
        external: &str,
    ) -> Option<(Arc<PrincipalEntry>, CredentialId)> {
        let principals = self.principals.read();
        let (principal, credential) = principals.externals.get(&realm)?.get(external)?;
        Some((principals.by_id.get(principal)?.clone(), *credential))
    }

    /// The credentials whose external name begins so, with their principals, by name; none of a
    /// revoked one.
    pub(crate) fn by_external_prefix(
        &self,
        realm: RealmId,
        prefix: &str,
    ) -> Vec<(Arc<PrincipalEntry>, CredentialId)> {
        use std::ops::Bound::{Included, Unbounded};
        let principals = self.principals.read();
        let Some(externals) = principals.externals.get(&realm) else { return Vec::new() };
        let from = externals.range::<str, _>((Included(prefix), Unbounded));
        let found = from.take_while(|(name, _)| name.starts_with(prefix));
        let entries =
            found.filter_map(|(_, (by, id))| Some((principals.by_id.get(by)?.clone(), *id)));
        entries.collect()
    }

    /// The principals whose identifying attribute has the value; none that is revoked.
    pub(crate) fn by_identifier(
        &self,
        realm: RealmId,
        attribute: &str,
        value: &[u8],
    ) -> Vec<Arc<PrincipalEntry>> {
        let principals = self.principals.read();
        let Some(known) = principals.identifiers.get(&realm) else { return Vec::new() };
        let of = |id| (attribute.into(), value.into(), id);
        let found = known.range(of(PrincipalId([0; 16]))..=of(PrincipalId([255; 16])));
        found.filter_map(|(_, _, id)| principals.by_id.get(id).cloned()).collect()
    }

    /// The principals that act for the key; none that is revoked.
    pub(crate) fn bound_to(&self, key: KeyId) -> Vec<Arc<PrincipalEntry>> {
        let principals = self.principals.read();
        let range = (key, PrincipalId([0; 16]))..=(key, PrincipalId([255; 16]));
        let bound = principals.bound.range(range);
        let found = bound.filter_map(|(_, principal)| principals.by_id.get(principal));
        found.filter(|entry| entry.record.revoked.is_none()).cloned().collect()
    }

    /// The application of an API key, also after both have ended.
    pub(crate) fn application_of(&self, key: KeyId) -> Option<Arc<PrincipalEntry>> {
        let principals = self.principals.read();
        let range = (key, PrincipalId([0; 16]))..=(key, PrincipalId([255; 16]));
        let mut bound = principals.bound.range(range);
        bound.find_map(|(_, principal)| {
            let entry = principals.by_id.get(principal)?;
            entry.record().is_application_of_key().then(|| entry.clone())
        })
    }

    pub(crate) fn publish_principal(&self, entry: Arc<PrincipalEntry>) {
        let (realm, id) = (entry.record().realm, entry.record().id);
        let mut principals = self.principals.write();
        if let Some(previous) = principals.by_id.insert(id, entry.clone()) {
            principals.leave(previous.record());
        }
        if !entry.record().is_application_of_key() {
            principals.by_realm.entry(realm).or_default().insert(id);
        }
        principals.enter(&entry);
    }
}
