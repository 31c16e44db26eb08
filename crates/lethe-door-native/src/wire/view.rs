//! The engine's values in the words of the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_crypto::registry::{Algorithm, SignatureScheme, Use, Uses};
use lethe_engine::KeyEntry;
use lethe_engine::record::{self, KeyRecord, VaultRecord};
use lethe_types::{LabelName, LabelValue, UnixMillis};
use serde::Serializer;

use super::{
    AlgorithmView, Alias, DerivedFrom, DestroyedVersion, Destruction, Hold, Key, KeyName,
    KeyVersion, Policy, Rotation, ShortText, StateChange, Vault, spki_pem,
};

impl<'a> Key<'a> {
    /// The key as `entry` holds it.
    #[must_use]
    pub fn of(entry: &'a KeyEntry) -> Self {
        let record = entry.record();
        let used = entry.used();
        let details = record.details();
        // Most moments of most keys are that of their creation: it is written once.
        let created = ShortText::of(record.created);
        let moment =
            |at: UnixMillis| if at == record.created { created } else { ShortText::of(at) };
        let pending = details.pending.as_ref();
        Self {
            id: ShortText::of(record.id),
            name: record.name.as_str(),
            algorithm: record.algorithm.name(),
            vault: ShortText::of(record.vault),
            state: record.state.as_str(),
            created,
            changed: moment(record.changed),
            current_version: record.current_version().map(|version| version.number),
            versions: record
                .versions
                .iter()
                .map(|one| KeyVersion::of(record, one, moment))
                .collect(),
            destroyed_versions: DestroyedVersion::all_of(record),
            allowed_uses: record.uses(),
            rotation: Rotation::of(record),
            protect_from_version: record.life().protect_from,
            process_from_version: record.life().process_from,
            exportable: record.life().exportable,
            imported: record.imported,
            exported: record.exported,
            exported_at: record.life().first_export.map(|first| first.at.to_string()),
            uses: used.map_or(0, |used| used.count),
            last_used: used.map(|used| ShortText::of(used.last)),
            last_used_by: used.map(|used| ShortText::of(used.by)),
            labels: &details.labels,
            protected: details.protected,
            holds: details.holds.iter().map(Hold::of).collect(),
            due: record.state.due().map(|time| time.to_string()),
            scheduled_by: pending.map(|pending| pending.by.to_string()),
            scheduled_reason: pending.map(|pending| pending.reason.to_string()),
            derived_from: details.derivation.as_ref().map(DerivedFrom::of),
            aliases: record.aliases.iter().map(Alias::of).collect(),
            history: details.history.iter().map(StateChange::of).collect(),
            destruction: record.destruction.as_deref().map(Destruction::of),
        }
    }
}

/// How long [`Key::of`] is as JSON, in bytes, within a factor of two or so.
pub(crate) fn key_bytes_about(entry: &KeyEntry) -> usize {
    /// A key with one version and a few labels.
    const KEY_BYTES: usize = 768;
    /// One more of what a key can have many of.
    const PART_BYTES: usize = 192;
    let (record, details) = (entry.record(), entry.record().details());
    // PEM in JSON: base64, with escaped line ends.
    let public_keys = record.versions.iter().filter_map(|one| one.public_key_der.as_deref());
    let public_key_bytes: usize = public_keys.map(|der| der.len() * 3 / 2).sum();
    let parts = record.versions.len()
        + record.aliases.len()
        + details.labels.len()
        + details.holds.len()
        + details.history.len();
    KEY_BYTES + public_key_bytes + parts * PART_BYTES
}

/// As JSON, one by one: a page of them is large.
pub(super) fn keys<S: Serializer>(
    entries: &&[Arc<KeyEntry>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(|entry| Key::of(entry)))
}

/// The same, of each only its name.
pub(super) fn key_names<S: Serializer>(
    entries: &&[Arc<KeyEntry>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(|entry| {
        let record = entry.record();
        let (name, state) = (record.name.as_str(), record.state.as_str());
        KeyName { id: ShortText::of(record.id), name, state }
    }))
}

/// As a JSON object.
pub(super) fn labels<S: Serializer>(
    labels: &&BTreeMap<LabelName, LabelValue>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// As a JSON array of their names.
pub(super) fn uses<S: Serializer>(uses: &Uses, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(uses.iter().map(Use::as_str))
}

fn texts(labels: &BTreeMap<LabelName, LabelValue>) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

impl DerivedFrom {
    fn of(derivation: &record::Derivation) -> Self {
        Self { key: derivation.parent.to_string(), path: derivation.path.to_string() }
    }
}

impl Alias {
    fn of(alias: &record::Alias) -> Self {
        Self { door: alias.door.clone(), text: alias.text.clone() }
    }
}

impl StateChange {
    fn of(change: &record::ChangedState) -> Self {
        Self {
            transition: change.transition.as_str(),
            at: change.at.to_string(),
            by: change.by.to_string(),
            door: change.door.to_string(),
        }
    }
}

impl KeyVersion {
    fn of(
        record: &KeyRecord,
        version: &record::KeyVersion,
        moment: impl Fn(UnixMillis) -> ShortText,
    ) -> Self {
        let since = record.version_state_since(version.number).unwrap_or(version.created);
        Self {
            version: version.number,
            state: version.state.as_str(),
            since: moment(since),
            created: moment(version.created),
            public_key: version.public_key_der.as_deref().map(spki_pem),
        }
    }
}

impl Destruction {
    fn of(destruction: &record::Destruction) -> Self {
        Self {
            requested: destruction.requested.to_string(),
            unusable_since: destruction.unusable_since.to_string(),
            by: destruction.by.to_string(),
            door: destruction.door.clone(),
            reason: destruction.reason.clone(),
            log_index: destruction.log_index,
        }
    }
}

impl AlgorithmView {
    /// What is known about `algorithm`.
    #[must_use]
    pub fn of(algorithm: Algorithm) -> Self {
        Self {
            name: algorithm.name(),
            object_type: algorithm.object_type().as_str(),
            uses: algorithm.uses().iter().map(Use::as_str).collect(),
            strength_bits: algorithm.strength_bits(),
            signature_schemes: algorithm
                .schemes()
                .iter()
                .copied()
                .map(SignatureScheme::as_str)
                .collect(),
        }
    }
}

impl Vault {
    /// The vault of `record`.
    #[must_use]
    pub fn of(record: &VaultRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            created: record.created.to_string(),
            changed: record.changed.to_string(),
            policy: Policy::of(&record.policy),
            names: record.names.as_str(),
            labels: texts(&record.labels),
            removed: record.removed.map(|time| time.to_string()),
        }
    }
}
