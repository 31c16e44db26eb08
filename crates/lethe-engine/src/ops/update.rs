//! Change what a key carries beside its material: name, labels, protection, attributes, aliases,
//! secrets of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lethe_crypto::registry::Uses;
use lethe_log::EntryType;
use lethe_store::Revision;
use lethe_types::limits::{
    ALIAS_BYTES_MAX, ALIASES_MAX, ATTRIBUTES_BYTES_MAX, ATTRIBUTES_MAX, LABELS_MAX,
};
use lethe_types::{KeyId, KeyName, LabelName, LabelValue, SecretVec, UnixMillis};

use super::rules;
use crate::authz::{Caller, Operation, UpdateKey};
use crate::catalogue::KeyEntry;
use crate::committer::{Change, KeyUpdate, Preconditions, Step, alias_is_free, name_is_free};
use crate::lifecycle;
use crate::record::{Alias, KeyRecord, OwnedSecret};
use crate::{Engine, EngineError};

/// What is to change; what is not named stays.
#[derive(Debug, Default)]
pub struct KeyChange {
    /// A new name.
    pub name: Option<KeyName>,
    /// Labels to set, or to take away where there is no value.
    pub labels: BTreeMap<LabelName, Option<LabelValue>>,
    /// Whether the key is protected from destruction.
    pub protected: Option<bool>,
    /// Attributes to set, or to take away where there is no value.
    pub attributes: BTreeMap<Box<str>, Option<Box<[u8]>>>,
    /// Aliases that are added.
    pub aliases: Vec<Alias>,
    /// Secrets that die with the key: to set (what the name held before is erased), or to erase
    /// where there is no value.
    pub secrets: Vec<(Box<str>, Option<SecretVec>)>,
    /// What the key may be used for from now on: fewer uses, never more.
    pub uses: Option<Uses>,
    /// Whether its material may leave: taken away, never given.
    pub exportable: Option<bool>,
    /// How often it gets a new version by itself, from now on; `None` inside ends that.
    pub rotation_period: Option<Option<Duration>>,
    /// When the next version that it gets by itself is due, if not a whole period from now: at most
    /// that, and at once for a time that has passed.
    pub rotation_next: Option<UnixMillis>,
    /// Whether it gets versions by itself while it is suspended, too.
    pub rotates_suspended: Option<bool>,
    /// The oldest version that may protect new data; 0 for no such rule.
    pub protect_from: Option<u32>,
    /// The oldest version that may process data that is protected; 0 for no such rule.
    pub process_from: Option<u32>,
}

impl Engine {
    /// Changes what a key carries. `expected` is the revision that the caller saw, if it cares.
    ///
    /// # Errors
    /// See [`EngineError`]. [`EngineError::NameTaken`] if a name or alias belongs to another key.
    pub async fn update_key(
        &self,
        caller: &Caller,
        key: KeyId,
        change: &KeyChange,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        self.update_key_as::<UpdateKey>(caller, key, change, expected).await
    }

    pub(super) async fn update_key_as<Op: Operation>(
        &self,
        caller: &Caller,
        key: KeyId,
        change: &KeyChange,
        expected: Option<Revision>,
    ) -> Result<Arc<KeyEntry>, EngineError> {
        self.change_key::<Op>(caller, key, |seen| {
            lifecycle::expect_revision(seen, expected)?;
            check_secret_names(change.secrets.iter().map(|(name, _)| &**name))?;
            let mut record = seen.record().clone();
            let (mut facts, secrets) = apply(&mut record, change);
            facts.extend(rules::apply(&mut record, change, self.shared.clock.now())?);
            if facts.is_empty() {
                return Ok(None);
            }
            check_bounds(&record)?;
            self.check_names(Some(seen.record()), &record)?;
            let seen = seen.clone();
            let kind = EntryType::KeyChanged;
            let update = KeyUpdate {
                seen,
                record,
                kind,
                facts,
                secrets,
                preconditions: Preconditions::default(),
            };
            Ok(Some(Change::one(Step::UpdateKey(Box::new(update)))))
        })
        .await
    }

    /// Whether the record may carry its name, if that is not what it had `before`, and aliases.
    pub(super) fn check_names(
        &self,
        before: Option<&KeyRecord>,
        record: &KeyRecord,
    ) -> Result<(), EngineError> {
        let catalogue = &self.shared.catalogue;
        let named = before.is_none_or(|before| before.name != record.name);
        if named && !name_is_free(catalogue, record) {
            return Err(EngineError::NameTaken("the name"));
        }
        let free = |alias: &Alias| alias_is_free(catalogue, record, &alias.door, &alias.text);
        if record.aliases.iter().all(free) {
            Ok(())
        } else {
            Err(EngineError::NameTaken("the identifier"))
        }
    }
}

/// What changed, for the log, and the secrets that are to be sealed.
type Applied = (Vec<(&'static str, String)>, Vec<SecretVec>);

fn apply(record: &mut KeyRecord, change: &KeyChange) -> Applied {
    let mut facts = Vec::new();
    if let Some(name) = change.name.as_ref().filter(|name| **name != record.name) {
        facts.push(("name", name.to_string()));
        record.name = name.clone();
    }
    if let Some(protected) = change.protected.filter(|&new| new != record.details().protected) {
        facts.push(("protected", protected.to_string()));
        record.details_mut().protected = protected;
    }
    if apply_map(&change.labels, &record.details().labels) {
        facts.push(("labels", "changed".to_owned()));
        merge(&change.labels, &mut record.details_mut().labels);
    }
    if apply_map(&change.attributes, &record.details().attributes) {
        facts.push(("attributes", "changed".to_owned()));
        merge(&change.attributes, &mut record.details_mut().attributes);
    }
    for alias in &change.aliases {
        if !record.aliases.contains(alias) {
            record.aliases.retain(|old| old.door != alias.door || old.text != alias.text);
            record.aliases.push(alias.clone());
            facts.push(("alias", alias.text.clone()));
        }
    }
    let mut secrets = Vec::new();
    for (name, secret) in &change.secrets {
        let owned = &mut record.details_mut().secrets;
        let number = owned.iter().filter(|old| old.name == *name).map(|old| old.number).max();
        owned.retain(|old| old.name != *name);
        facts.push(("secret", name.to_string()));
        if let Some(secret) = secret {
            owned.push(OwnedSecret::unsealed(name, number.map_or(1, |number| number + 1)));
            secrets.push(SecretVec::copy_from(secret.expose()));
        }
    }
    (facts, secrets)
}

/// Whether `changes` would change `map`.
fn apply_map<K: Ord, V: PartialEq>(changes: &BTreeMap<K, Option<V>>, map: &BTreeMap<K, V>) -> bool {
    changes.iter().any(|(name, value)| map.get(name) != value.as_ref())
}

fn merge<K: Ord + Clone, V: Clone>(changes: &BTreeMap<K, Option<V>>, map: &mut BTreeMap<K, V>) {
    for (name, value) in changes {
        match value {
            Some(value) => drop(map.insert(name.clone(), value.clone())),
            None => drop(map.remove(name)),
        }
    }
}

/// Whether each secret has a name of its own.
pub(super) fn check_secret_names<'a>(
    mut names: impl Iterator<Item = &'a str>,
) -> Result<(), EngineError> {
    let mut seen = BTreeSet::new();
    if names.all(|name| seen.insert(name)) {
        return Ok(());
    }
    let why = "names one secret twice".to_owned();
    Err(EngineError::InvalidField { field: "secrets", why })
}

/// Whether a record stays within the bounds of what a key may carry.
pub(super) fn check_bounds(record: &KeyRecord) -> Result<(), EngineError> {
    let details = record.details();
    let sizes = details.attributes.iter().map(|(name, value)| name.len() + value.len());
    if details.labels.len() > LABELS_MAX {
        return Err(EngineError::ServerLimitExceeded("labels of one key"));
    }
    if details.attributes.len() > ATTRIBUTES_MAX || sizes.sum::<usize>() > ATTRIBUTES_BYTES_MAX {
        return Err(EngineError::ServerLimitExceeded("attributes of one key"));
    }
    if record.aliases.len() > ALIASES_MAX {
        return Err(EngineError::ServerLimitExceeded("aliases of one key"));
    }
    let twice = |(position, alias): (usize, &Alias)| {
        let before = record.aliases.iter().take(position);
        before.into_iter().any(|other| other.door == alias.door && other.text == alias.text)
    };
    if record.aliases.iter().enumerate().any(twice) {
        let why = "names one identifier twice".to_owned();
        return Err(EngineError::InvalidField { field: "alias", why });
    }
    let fits = |alias: &Alias| (1..=ALIAS_BYTES_MAX).contains(&alias.text.len());
    if !record.aliases.iter().all(fits) {
        let why = format!("must have 1 to {ALIAS_BYTES_MAX} bytes");
        return Err(EngineError::InvalidField { field: "alias", why });
    }
    Ok(())
}
