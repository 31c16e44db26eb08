//! Which submissions of a batch are still current: nothing that they were planned against has
//! changed, and no two of them want the same thing.
//!
//! What is refused here is planned again, so that its caller is told the real reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lethe_types::{KeyId, PrincipalId};

use super::submission::{
    Destroy, DestroyVersion, ImportKeyUpdate, KeyUpdate, NewKey, Preconditions, Under,
};
use super::{Change, Committer, Step, Submission};
use crate::catalogue::{Catalogue, KeyEntry};
use crate::record::{KeyRecord, NameRule, PrincipalRecord, VaultRecord};
use crate::system;

/// What the submissions of one batch have taken so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    /// Records by kind and identifier.
    things: BTreeSet<(Kind, [u8; 16])>,
    /// Names, aliases, logins: texts that must be unique.
    texts: BTreeSet<String>,
    /// Documents of doors.
    documents: BTreeSet<lethe_store::StoreKey>,
    /// Places of idempotency keys.
    places: BTreeSet<[u8; 32]>,
    /// Keys that get a dependant, and vaults that get a key.
    extended: BTreeSet<(Kind, [u8; 16])>,
    /// Keys that go, and vaults that are removed.
    ended: BTreeSet<(Kind, [u8; 16])>,
    /// Destructions by whom a bound is set.
    destroys: BTreeMap<PrincipalId, u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Approval,
    ImportKey,
    Job,
    Key,
    Principal,
    Realm,
    Vault,
}

impl Taken {
    fn thing(&mut self, kind: Kind, id: [u8; 16]) -> bool {
        self.things.insert((kind, id))
    }

    /// Something is added to a record that no other submission may end.
    fn extend(&mut self, kind: Kind, id: [u8; 16]) -> bool {
        self.extended.insert((kind, id));
        !self.ended.contains(&(kind, id))
    }

    fn end(&mut self, kind: Kind, id: [u8; 16]) -> bool {
        self.ended.insert((kind, id));
        !self.extended.contains(&(kind, id))
    }
}

impl Committer {
    /// Whether who asked has not been revoked since, and has the rights of then: what a principal
    /// left in the queue, or still computes, is not carried out by rights that were taken away.
    pub(super) fn may_still_act(&self, submission: &Submission) -> bool {
        let asked = submission.principal.record();
        if asked.id == system::PRINCIPAL {
            return true;
        }
        let now = self.shared.clock.now();
        let known = self.shared.catalogue.principal(asked.realm, asked.id);
        known.is_some_and(|entry| {
            entry.record().is_live(now) && entry.record().grants == asked.grants
        })
    }

    /// Whether `submission` is still current; if so, what it wants is taken.
    pub(super) fn is_current(&self, submission: &Submission, taken: &mut Taken) -> bool {
        let now = self.shared.clock.now();
        let by = submission.principal.record().id;
        if taken.things.contains(&(Kind::Principal, by.0)) {
            // Another submission of this batch changes who asks.
            return false;
        }
        let free = submission.idempotency.as_ref().is_none_or(|idempotency| {
            !self.shared.idempotency.contains(&idempotency.place, now)
                && !taken.places.contains(&idempotency.place)
        });
        if !free {
            return false;
        }
        // One step is checked in place; of several all or none may take.
        let current = if submission.change.steps.len() == 1 {
            self.all_current(&submission.change, taken)
        } else {
            let mut tried = taken.clone();
            let current = self.all_current(&submission.change, &mut tried);
            if current {
                *taken = tried;
            }
            current
        };
        if current && let Some(idempotency) = &submission.idempotency {
            taken.places.insert(idempotency.place);
        }
        current
    }

    fn all_current(&self, change: &Change, taken: &mut Taken) -> bool {
        change.steps.iter().all(|step| self.step_is_current(step, change, taken))
    }

    fn step_is_current(&self, step: &Step, change: &Change, taken: &mut Taken) -> bool {
        let catalogue = &self.shared.catalogue;
        match step {
            Step::AddVersion { seen, .. } => {
                is_unchanged(catalogue, seen) && taken.thing(Kind::Key, seen.record().id.0)
            }
            Step::CreateKey(new) => new_key_is_current(catalogue, new, taken),
            Step::UpdateKey(update) => {
                update_is_current(catalogue, update, taken)
                    && self.guards_still_hold(&update.seen, &update.preconditions, taken)
            }
            Step::DestroyKey(destroy) => self.destroy_is_current(destroy, change, taken),
            Step::DestroyVersion(destroy) => self.destroy_version_is_current(destroy, taken),
            Step::PutImportKey(update) => {
                let id = update.record().id;
                let now = catalogue.import_key(update.record().realm, id);
                let seen = match &**update {
                    ImportKeyUpdate::Gone { seen } => Some(seen),
                    ImportKeyUpdate::Made { .. } => None,
                };
                same(now.as_ref(), seen) && taken.thing(Kind::ImportKey, id.0)
            }
            Step::PutApproval { seen, record } => {
                same(catalogue.approval(record.realm, record.id).as_ref(), seen.as_ref())
                    && taken.thing(Kind::Approval, record.id.0)
            }
            // What cannot be read now is planned again, and then says so.
            Step::PutDocuments(step) => {
                step.is_current(&*self.shared.store).unwrap_or(false)
                    && step.expected.iter().all(|(key, _)| taken.documents.insert(key.clone()))
            }
            Step::PutJob(update) => {
                same(
                    catalogue.job(update.record.realm, update.record.id).as_ref(),
                    update.seen.as_ref(),
                ) && taken.thing(Kind::Job, update.record.id.0)
            }
            Step::PutPrincipal(update) => {
                let record = &update.record;
                let now = catalogue.principal(record.realm, record.id);
                same(now.as_ref(), update.seen.as_ref())
                    && taken.thing(Kind::Principal, record.id.0)
                    && principal_names_are_free(catalogue, record, taken)
                    && bound_key_stands(catalogue, record, change, taken)
            }
            Step::PutRealm { seen, record } => {
                let named = catalogue.realm_by_name(&record.name);
                same(catalogue.realm(record.id).as_ref(), seen.as_ref())
                    && named.is_none_or(|other| other.id == record.id)
                    && taken.thing(Kind::Realm, record.id.0)
                    && taken.texts.insert(format!("realm {}", record.name))
            }
            Step::PutVault { seen, record } => {
                let now = catalogue.vault(record.realm, record.id);
                same(now.as_ref(), seen.as_ref())
                    && taken.thing(Kind::Vault, record.id.0)
                    && vault_is_current(catalogue, record, taken)
            }
            Step::PutRows(_) => true,
        }
    }

    fn destroy_is_current(&self, destroy: &Destroy, change: &Change, taken: &mut Taken) -> bool {
        let catalogue = &self.shared.catalogue;
        let record = destroy.seen.record();
        is_unchanged(catalogue, &destroy.seen)
            && self.guards_still_hold(&destroy.seen, &destroy.preconditions, taken)
            && catalogue.live_dependants(record.id) == destroy.preconditions.dependants
            && bound_principals_go_too(catalogue, record.id, change)
            && taken.thing(Kind::Key, record.id.0)
            && taken.end(Kind::Key, record.id.0)
    }

    /// Who derives a key from one whose version goes must know of it, so that the key counts as
    /// ended here.
    fn destroy_version_is_current(&self, destroy: &DestroyVersion, taken: &mut Taken) -> bool {
        let catalogue = &self.shared.catalogue;
        let id = destroy.seen.record().id;
        is_unchanged(catalogue, &destroy.seen)
            && self.guards_still_hold(&destroy.seen, &destroy.preconditions, taken)
            && catalogue.live_dependants(id) == destroy.preconditions.dependants
            && taken.thing(Kind::Key, id.0)
            && taken.end(Kind::Key, id.0)
    }

    /// Whether the key was not used since the guards looked at it, whoever asks has not reached a
    /// bound on destructions, and whose policies were asked and who approved are as they were.
    fn guards_still_hold(
        &self,
        seen: &KeyEntry,
        preconditions: &Preconditions,
        taken: &mut Taken,
    ) -> bool {
        let catalogue = &self.shared.catalogue;
        let used_since = preconditions
            .unused_since
            .is_some_and(|since| seen.usage().last().is_some_and(|last| last > since));
        let over_rate = preconditions.rate.is_some_and(|rate| {
            let here = taken.destroys.entry(rate.principal).or_default();
            let before = catalogue.destroys_since(rate.principal, rate.since);
            let over = before.saturating_add(*here) >= rate.most;
            *here += u32::from(!over);
            over
        });
        !used_since
            && !over_rate
            && preconditions.under.as_ref().is_none_or(|under| self.is_under(seen, under, taken))
            && preconditions.approvers.iter().all(|seen| {
                let record = seen.record();
                same(catalogue.principal(record.realm, record.id).as_ref(), Some(seen))
                    && !taken.things.contains(&(Kind::Principal, record.id.0))
            })
    }

    /// Whether realm and vault of the key are as they were, also in this batch.
    fn is_under(&self, key: &KeyEntry, under: &Under, taken: &Taken) -> bool {
        let (catalogue, record) = (&self.shared.catalogue, key.record());
        let vault = catalogue.vault(record.realm, record.vault);
        same(catalogue.realm(record.realm).as_ref(), under.realm.as_ref())
            && same(vault.as_ref(), under.vault.as_ref())
            && !taken.things.contains(&(Kind::Realm, record.realm.0))
            && !taken.things.contains(&(Kind::Vault, record.vault.0))
    }
}

fn is_unchanged(catalogue: &Catalogue, seen: &Arc<KeyEntry>) -> bool {
    catalogue.key(seen.record().id).is_some_and(|now| Arc::ptr_eq(&now, seen))
}

/// Whether what is there is what was seen: the same entry, or nothing both times.
fn same<T>(now: Option<&Arc<T>>, seen: Option<&Arc<T>>) -> bool {
    match (now, seen) {
        (Some(now), Some(seen)) => Arc::ptr_eq(now, seen),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn new_key_is_current(catalogue: &Catalogue, new: &NewKey, taken: &mut Taken) -> bool {
    let record = &new.record;
    let parent_stands = record.details().derivation.as_ref().is_none_or(|derivation| {
        let parent = catalogue.key(derivation.parent);
        parent.is_some_and(|parent| !parent.record().state.is_destroyed())
            && catalogue.derived(derivation.parent, &derivation.path).is_none()
            && taken.texts.insert(format!("path {} {}", derivation.parent, derivation.path))
            && taken.extend(Kind::Key, derivation.parent.0)
    });
    let vault = catalogue.vault(record.realm, record.vault);
    parent_stands
        && vault.is_some_and(|vault| vault.removed.is_none())
        && catalogue.key(record.id).is_none()
        && taken.thing(Kind::Key, record.id.0)
        && taken.extend(Kind::Vault, record.vault.0)
        && new.history.holds(catalogue, record)
        && names_are_free(catalogue, None, record, taken)
}

fn update_is_current(catalogue: &Catalogue, update: &KeyUpdate, taken: &mut Taken) -> bool {
    is_unchanged(catalogue, &update.seen)
        && taken.thing(Kind::Key, update.record.id.0)
        && names_are_free(catalogue, Some(update.seen.record()), &update.record, taken)
}

/// The key's aliases, and its name where the vault wants names to be unique. A name that it has
/// already stays its own, also if the vault's rule came later.
fn names_are_free(
    catalogue: &Catalogue,
    before: Option<&KeyRecord>,
    record: &KeyRecord,
    taken: &mut Taken,
) -> bool {
    let aliases = record.aliases.iter().all(|alias| {
        alias_is_free(catalogue, record, &alias.door, &alias.text)
            && taken.texts.insert(format!("alias {} {} {}", record.realm, alias.door, alias.text))
    });
    let rule = catalogue.vault(record.realm, record.vault).map(|vault| vault.names);
    let unique = rule.is_some_and(|rule| rule != NameRule::Free);
    let named = before.is_none_or(|before| before.name != record.name);
    // From here on the vault may have another rule.
    let changes = taken.things.contains(&(Kind::Vault, record.vault.0));
    aliases
        && (!named
            || (!changes
                && (!unique
                    || (name_is_free(catalogue, record)
                        && taken.texts.insert(format!("name {} {}", record.vault, record.name))))))
}

/// Whether `record` may carry the alias: nobody else has it, or who had it is gone and has not
/// reserved it.
pub(crate) fn alias_is_free(
    catalogue: &Catalogue,
    record: &KeyRecord,
    door: &str,
    text: &str,
) -> bool {
    let Some(holder) = catalogue.alias(record.realm, door, text) else { return true };
    let holder = holder.record();
    let reserved = holder
        .aliases
        .iter()
        .any(|alias| alias.door == door && alias.text == text && alias.reserved);
    holder.id == record.id || (holder.state.is_destroyed() && !reserved)
}

/// Whether the vault's rule lets the key have its name.
pub(crate) fn name_is_free(catalogue: &Catalogue, record: &KeyRecord) -> bool {
    let Some(vault) = catalogue.vault(record.realm, record.vault) else { return false };
    match vault.names {
        NameRule::Free => true,
        NameRule::UniqueAmongLive => !catalogue.has_other_named(record, false),
        NameRule::NeverAgain => !catalogue.has_other_named(record, true),
    }
}

fn principal_names_are_free(
    catalogue: &Catalogue,
    record: &PrincipalRecord,
    taken: &mut Taken,
) -> bool {
    let login = record.login.as_deref().is_none_or(|login| {
        let holder = catalogue.by_login(record.realm, login);
        holder.is_none_or(|holder| holder.record().id == record.id)
            && taken.texts.insert(format!("login {} {login}", record.realm))
    });
    login
        && record.credentials.iter().filter_map(|credential| credential.external()).all(
            |external| {
                let holder = catalogue.by_external(record.realm, external);
                holder.is_none_or(|(holder, _)| holder.record().id == record.id)
                    && taken.texts.insert(format!("external {} {external}", record.realm))
            },
        )
}

/// Whether the key that a principal acts for is there, and stays: whoever destroys it must know of
/// the principal.
fn bound_key_stands(
    catalogue: &Catalogue,
    record: &PrincipalRecord,
    change: &Change,
    taken: &mut Taken,
) -> bool {
    let Some(key) = record.bound_to.filter(|_| record.revoked.is_none()) else { return true };
    let is_made = |step: &Step| matches!(step, Step::CreateKey(new) if new.record.id == key);
    let stands = match catalogue.key(key) {
        Some(key) => !key.record().state.is_destroyed(),
        None => change.steps.iter().any(is_made),
    };
    stands && taken.extend(Kind::Key, key.0)
}

fn vault_is_current(catalogue: &Catalogue, record: &VaultRecord, taken: &mut Taken) -> bool {
    if record.removed.is_some() {
        return catalogue.live_keys_in(record.id) == 0 && taken.end(Kind::Vault, record.id.0);
    }
    let named = catalogue.vault_by_name(record.realm, &record.name);
    named.is_none_or(|other| other.id == record.id)
        && taken.texts.insert(format!("vault {} {}", record.realm, record.name))
}

/// A key never goes without the principals that act for it, nor they without the key's knowledge.
fn bound_principals_go_too(catalogue: &Catalogue, key: KeyId, change: &Change) -> bool {
    catalogue.bound_to(key).iter().all(|bound| {
        change.steps.iter().any(|step| match step {
            Step::PutPrincipal(update) => {
                update.record.id == bound.record().id && update.record.revoked.is_some()
            }
            Step::AddVersion { .. }
            | Step::CreateKey(_)
            | Step::DestroyKey(_)
            | Step::DestroyVersion(_)
            | Step::PutApproval { .. }
            | Step::PutDocuments(_)
            | Step::PutImportKey(_)
            | Step::PutJob(_)
            | Step::PutRealm { .. }
            | Step::PutRows(_)
            | Step::PutVault { .. }
            | Step::UpdateKey(_) => false,
        })
    })
}
