//! The readable statement of a receipt.

use super::{Receipt, ReceiptError};
use crate::entry::{ENTRY_VERSION, EntryError};
use crate::json::write_object_of;

pub(super) fn write(receipt: &Receipt) -> Result<String, ReceiptError> {
    let (key, realm) = receipt.key()?;
    let checkpoint = receipt.checkpoint_unverified()?;
    let erasure = receipt.erasure_unverified()?;
    let (entry, detail) = (&receipt.entry, &receipt.detail);
    let missing = |name| ReceiptError::Entry(EntryError::Missing(name));
    let door = entry.door.as_ref().ok_or(missing("door"))?;
    let facts = entry.erasure.as_ref().ok_or(missing("epoch_to"))?;
    // Entry and note may differ when a backup ended between them; promise only the later moment.
    let recoverable_until = facts.backups_after.max(erasure.recoverable_from_backups_until);
    let statement = write_object_of(detail.plain_bytes() + FACTS_BYTES, |object| {
        object.object("actor", |object| detail.actor.write(object));
        object.text("algorithm", &detail.algorithm);
        object.texts("aliases", detail.aliases.iter().map(String::as_str));
        object.time_or_null("backups_after", facts.backups_after);
        detail.write_derived_from(object);
        object.plain("door", door);
        object.integer("epoch_from", facts.epoch_from);
        object.integer("epoch_to", facts.epoch_to);
        object.object("erased_slot", |object| erasure.slot.write(object));
        if !detail.evidence.is_empty() {
            object.objects("evidence", &detail.evidence, |object, signed| {
                signed.write_signer(object)
            });
        }
        object.boolean("exported", detail.exported);
        object.boolean("imported", detail.imported);
        object.object("invalidation", |object| facts.invalidation.write(object));
        object.time("irrecoverable_since", erasure.irrecoverable_since);
        object.plain("key", key);
        object.time_or_null("last_used", detail.last_used);
        object.integer("log_index", receipt.index);
        object.text("log_origin", &checkpoint.origin);
        if let Some(lost) = erasure.lost_replicas {
            object.object("lost_replicas", |object| {
                object.integer("count", u64::from(lost.count));
                object.integer("up_to_generation", lost.up_to_generation);
            });
        }
        object.text("name", &detail.name);
        object.object("quorum", |object| facts.quorum.write(object));
        object.plain("realm", realm);
        object.text("reason", &detail.reason);
        object.time_or_null("recoverable_from_backups_until", recoverable_until);
        if let Some(shares) = erasure.recovery_shares {
            object.object("recovery_shares", |object| {
                object.time_or_null("made", shares.made);
                object.integer("needed", u64::from(shares.needed));
                object.integer("number", u64::from(shares.number));
            });
        }
        object.time("requested", detail.requested);
        object.integer("rev", entry.revision);
        detail.write_revoked_and_scheduled_by(object);
        object.objects("slot", &facts.slots, |object, slot| slot.write(object));
        object.text("software", &entry.software);
        object.time("time", entry.time);
        object.plain("tree_id", entry.tree_id);
        object.integer("tree_size", checkpoint.size);
        object.plain("type", entry.entry_type.as_str());
        object.time("unusable_since", detail.unusable_since);
        object.integer("v", ENTRY_VERSION);
        object.plain("vault", detail.vault);
        object.objects("versions", &detail.versions, |object, version| version.write(object));
    });
    statement.map_err(ReceiptError::Detail)
}

/// What a statement has beside the detail: the facts of the entry, the note and the checkpoint.
const FACTS_BYTES: usize = 1_024;
