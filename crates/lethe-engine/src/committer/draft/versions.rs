//! What the end of one version, and an import key, write.

use lethe_log::{DestroyedDetail, EntryType, Subject, VersionDetail};
use lethe_store::Write;

use super::{Draft, Drafted, Effect, RecordKeys, logged, unlogged};
use crate::committer::batch::{put, put_key};
use crate::committer::outcome::Told;
use crate::committer::submission::{DestroyVersion, ImportKeyUpdate};
use crate::record::codec::encode_import_key;
use crate::record::{DestroyedVersion, KeyRecord};
use crate::{EngineError, keys};

impl Draft<'_> {
    pub(super) fn destroyed_version(
        &self,
        destroy: &DestroyVersion,
    ) -> Result<Drafted, EngineError> {
        let gone = destroy.version().ok_or(EngineError::Internal("a version that vanished"))?;
        let mut record = destroy.seen.record().clone();
        record.versions.retain(|version| version.number != destroy.number);
        record.changed = self.now;
        record.details_mut().fingerprints.extend(destroy.fingerprint);
        let life = record.life_mut();
        life.changed_versions.remove(&destroy.number);
        let end = DestroyedVersion {
            number: destroy.number,
            created: gone.created,
            destroyed: self.now,
            by: self.actor.id,
            epoch: self.facts.epoch_to,
            log_index: self.log_index,
        };
        let ended = &mut life.destroyed_versions;
        let place = ended.partition_point(|version| version.number < end.number);
        ended.insert(place, end);
        let version = VersionDetail { created: gone.created, version: gone.number };
        let detail = self.version_detail(destroy, &record, version);
        let json = detail.to_json().map_err(|_| EngineError::Internal("detail of a receipt"))?;
        let subject = Subject::Key { key: record.id, realm: record.realm };
        let kind = EntryType::KeyVersionDestroyed;
        let entry = self.entry(kind, subject, &record.salt, &json, true)?;
        let row = keys::version_end(record.id, destroy.number);
        let writes = vec![put_key(&record), put(row, json.into_bytes())];
        let mut drafted = logged(Effect::Key(Box::new(record)), writes, &entry)?;
        drafted.told = Some(Told { entry, detail });
        Ok(drafted)
    }

    fn version_detail(
        &self,
        destroy: &DestroyVersion,
        record: &KeyRecord,
        version: VersionDetail,
    ) -> DestroyedDetail {
        DestroyedDetail {
            actor: self.actor.clone(),
            aliases: record.aliases.iter().map(|alias| alias.text.clone()).collect(),
            algorithm: record.algorithm.name().to_owned(),
            derived_from: record.details().derivation.as_ref().map(|from| from.parent),
            evidence: Vec::new(),
            exported: record.exported,
            imported: record.imported,
            last_used: destroy.seen.usage().last(),
            name: record.name.as_str().to_owned(),
            reason: destroy.reason.to_string(),
            // A clock that stepped back between request and commit must not turn them round.
            requested: destroy.requested.min(self.now),
            revoked: Vec::new(),
            scheduled_by: None,
            unusable_since: self.now,
            vault: record.vault,
            versions: vec![version],
        }
    }

    pub(super) fn import_key(
        &self,
        update: &ImportKeyUpdate,
        record_keys: &mut RecordKeys<'_>,
    ) -> Result<Drafted, EngineError> {
        match update {
            ImportKeyUpdate::Made { record, private } => {
                let mut record = record.clone();
                let place = std::iter::once((record.id.0, &mut record.secret));
                self.seal_secrets(place, std::slice::from_ref(private), record_keys)?;
                let writes = vec![put(keys::import_key(record.id), encode_import_key(&record))];
                Ok(unlogged(Effect::ImportKey(Box::new(record)), writes))
            }
            ImportKeyUpdate::Gone { seen } => {
                let writes = vec![Write::Delete { key: keys::import_key(seen.id) }];
                Ok(unlogged(Effect::ImportKeyGone(seen.id), writes))
            }
        }
    }
}
