//! Objects as clients see them.

use lethe_crypto::registry::PublicKey;
use lethe_engine::Engine;
use lethe_engine::record::KeyRecord;
use serde_json::{Map, Value, json};

use crate::DOOR;
use crate::account::text_of;
use crate::factors::to_hex;
use crate::signing::KeyKind;

/// Attributes of keys.
pub(crate) const NAME: &str = "dfns.name";
pub(crate) const SCHEME: &str = "dfns.scheme";
pub(crate) const CURVE: &str = "dfns.curve";
/// Kept, since a tombstone has no other public key.
pub(crate) const PUBLIC_KEY: &str = "dfns.public_key";
pub(crate) const IS_MASTER: &str = "dfns.master";
pub(crate) const IS_DELAYED: &str = "dfns.delay_delegation";
/// Whose the key is, if it is an end user's; a label of the same name finds it.
pub(crate) const OWNER: &str = "dfns.owner";

/// What a key of this door is.
pub(crate) fn kind_of(record: &KeyRecord) -> Option<KeyKind> {
    let text = |name| text_of(&record.details().attributes, name);
    KeyKind::of(text(SCHEME)?, text(CURVE)?)
}

/// The identifier of a key; empty for one that this door does not know.
pub(crate) fn key_id(record: &KeyRecord) -> &str {
    let own = record.aliases.iter().find(|alias| alias.door == DOOR);
    own.map_or("", |alias| &alias.text)
}

/// A public key as clients read it: hexadecimal, of a point the compressed form.
pub(crate) fn public_key_text(public: &PublicKey) -> String {
    match public.sec1_compressed() {
        Some(point) => to_hex(&point),
        None => to_hex(public.raw()),
    }
}

pub(crate) fn flag(record: &KeyRecord, name: &str) -> bool {
    record.details().attributes.contains_key(name)
}

/// The Key object; `None` for a key that this door does not know.
pub(crate) fn key(engine: &Engine, record: &KeyRecord) -> Option<Map<String, Value>> {
    let attributes = &record.details().attributes;
    let kind = kind_of(record)?;
    let is_archived = record.state.is_destroyed();
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    put("id", json!(key_id(record)));
    put("scheme", json!(kind.scheme()));
    put("curve", json!(kind.curve()));
    put("publicKey", json!(text_of(attributes, PUBLIC_KEY).unwrap_or_default()));
    put("status", json!(if is_archived { "Archived" } else { "Active" }));
    put("custodial", json!(!attributes.contains_key(OWNER)));
    put("dateCreated", json!(record.created.to_string()));
    if let Some(name) = text_of(attributes, NAME) {
        put("name", json!(name));
    }
    if attributes.contains_key(IS_MASTER) {
        put("masterKey", json!(true));
    }
    if let Some(from) = &record.details().derivation {
        let parent = engine.alias_of(from.parent, DOOR).unwrap_or_default();
        put("derivedFrom", json!({"keyId": parent, "path": from.path}));
    }
    if record.imported {
        put("imported", json!(true));
    }
    if record.exported {
        put("exported", json!(true));
        if let Some(first) = &record.life().first_export {
            put("dateExported", json!(first.at.to_string()));
        }
    }
    if let Some(end) = &record.destruction {
        put("dateDeleted", json!(end.unusable_since.to_string()));
    }
    Some(members)
}

/// Where the secret of a key is.
pub(crate) fn store_of(record: &KeyRecord, store: &str) -> Value {
    match &record.details().derivation {
        None => json!({"id": store, "kind": "Hsm", "keyId": record.id.to_string()}),
        Some(from) => json!({
            "id": store,
            "kind": "Hsm",
            "keyId": from.parent.to_string(),
            "derivationPath": from.path,
        }),
    }
}
