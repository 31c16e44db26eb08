//! The engine's values in the words of the wire.

use lethe_crypto::registry::{Algorithm, SignatureScheme, Use};
use lethe_engine::KeyEntry;
use lethe_engine::record::{self, PrincipalRecord, Scope, VaultRecord};
use lethe_types::Permission;

use super::{AlgorithmView, Destruction, Grant, Key, KeyVersion, Principal, Vault, spki_pem};

impl Key {
    /// The key as `entry` holds it.
    #[must_use]
    pub fn of(entry: &KeyEntry) -> Self {
        let record = entry.record();
        let used = entry.used();
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            algorithm: record.algorithm.name(),
            vault: record.vault.to_string(),
            state: record.state.as_str(),
            created: record.created.to_string(),
            changed: record.changed.to_string(),
            current_version: record.current_version().map(|version| version.number),
            versions: record.versions.iter().map(KeyVersion::of).collect(),
            imported: record.imported,
            exported: record.exported,
            uses: used.map_or(0, |used| used.count),
            last_used: used.map(|used| used.last.to_string()),
            last_used_by: used.map(|used| used.by.to_string()),
            destruction: record.destruction.as_deref().map(Destruction::of),
        }
    }
}

impl KeyVersion {
    fn of(version: &record::KeyVersion) -> Self {
        Self {
            version: version.number,
            created: version.created.to_string(),
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
        }
    }
}

impl Principal {
    /// The principal of `record`.
    #[must_use]
    pub fn of(record: &PrincipalRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            created: record.created.to_string(),
            revoked: record.revoked.map(|time| time.to_string()),
            grants: record.grants.iter().map(Grant::of).collect(),
        }
    }
}

impl Grant {
    fn of(grant: &record::Grant) -> Self {
        let (scope, vault, key) = match grant.scope {
            Scope::Realm => ("realm", None, None),
            Scope::Vault(vault) => ("vault", Some(vault.to_string()), None),
            Scope::Key(key) => ("key", None, Some(key.to_string())),
        };
        let permissions = grant.permissions.iter().map(Permission::as_str).collect();
        Self { permissions, scope, vault, key }
    }
}
