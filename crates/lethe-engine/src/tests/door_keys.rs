//! What doors need that name keys themselves: identifiers, numbered pages, secrets behind tokens.

use std::sync::Arc;

use lethe_crypto::registry::Algorithm;
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{Permission, Permissions, SecretVec};

use super::support::{World, admin, create, destroy, on_realm, principal, wait};
use crate::record::{Alias, Grant, Scope};
use crate::{Caller, CreateKeyRequest, Engine, EngineError, KeyEntry, TokensChange};

fn named(engine: &Engine, caller: &Caller, text: &str) -> Arc<KeyEntry> {
    let alias = Alias { door: caller.door().to_owned(), text: text.to_owned(), reserved: true };
    let algorithm = Algorithm::from_name("aes256-gcm").unwrap();
    let request = CreateKeyRequest {
        aliases: vec![alias],
        ..CreateKeyRequest::new("customer".parse().unwrap(), algorithm)
    };
    let prepared = engine.prepare_key(caller, request).unwrap();
    wait(engine.create_key(caller, prepared)).unwrap()
}

#[test]
fn an_identifier_leads_to_its_key_in_its_realm_and_door_alone() {
    let world = World::new();
    let engine = world.start();
    let (ours, other) = (admin(&engine, "ours"), admin(&engine, "other"));
    let key = named(&engine, &ours, "tag").record().id;
    let find =
        |realm, door, text| engine.key_with_alias(realm, door, text).map(|entry| entry.record().id);
    assert_eq!(find(ours.realm(), ours.door(), "tag"), Some(key));
    assert_eq!(find(other.realm(), ours.door(), "tag"), None);
    assert_eq!(find(ours.realm(), "elsewhere", "tag"), None);
    assert_eq!(find(ours.realm(), ours.door(), "ta"), None);
    assert_eq!(find(ours.realm(), ours.door(), "tag "), None);
    destroy(&engine, &ours, key).unwrap();
    let tombstone = engine.key_with_alias(ours.realm(), ours.door(), "tag").unwrap();
    assert!(tombstone.record().state.is_destroyed());
}

#[test]
fn numbered_pages_hold_what_the_caller_may_see_oldest_first() {
    let world = World::new();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    let keys: Vec<_> = (0..7)
        .map(|_| {
            world.clock.advance(std::time::Duration::from_secs(1));
            create(&engine, &ours, "aes256-gcm").unwrap()
        })
        .collect();
    let vault = keys[0].record().vault;
    let gone = keys[3].record().id;
    destroy(&engine, &ours, gone).unwrap();
    let shown: Vec<_> = keys.iter().map(|key| key.record().id).filter(|id| *id != gone).collect();
    let page = |caller: &Caller, from, limit| {
        let page = engine.numbered_keys(caller, vault, from, limit)?;
        let page_keys = page.keys.iter().skip(page.before).take(limit);
        let keys: Vec<_> = page_keys.map(|entry| entry.record().id).collect();
        Ok::<_, EngineError>((keys, page.total))
    };
    assert_eq!(page(&ours, 0, 4).unwrap(), (shown[..4].to_vec(), 6));
    assert_eq!(page(&ours, 4, 4).unwrap(), (shown[4..].to_vec(), 6));
    assert_eq!(page(&ours, 6, 4).unwrap(), (vec![], 6));
    assert_eq!(page(&ours, usize::MAX, 1).unwrap(), (vec![], 6));
    for limit in [0, PAGE_KEYS_MAX + 1] {
        let refused = page(&ours, 0, limit).unwrap_err();
        assert!(matches!(refused, EngineError::InvalidField { field: "limit", .. }));
    }
    let grant = |key, permission| Grant {
        permissions: Permissions::NONE.union([permission].into_iter().collect()),
        scope: Scope::Key(key),
    };
    let some = vec![
        grant(shown[5], Permission::KeysRead),
        grant(shown[1], Permission::KeysRead),
        grant(shown[2], Permission::KeysUseEncrypt),
        grant(gone, Permission::KeysRead),
    ];
    let some = principal(&engine, &ours, some);
    assert_eq!(page(&some, 0, 9).unwrap(), (vec![shown[1], shown[5]], 2));
    assert_eq!(page(&some, 1, 1).unwrap(), (vec![shown[5]], 2));
    let nobody = principal(&engine, &ours, on_realm(&[Permission::KeysCreate]));
    assert_eq!(page(&nobody, 0, 9).unwrap(), (vec![], 0));
    assert_eq!(page(&admin(&engine, "other"), 0, 9).unwrap(), (vec![], 0));
}

#[test]
fn keys_of_one_millisecond_stand_beside_a_page_whole() {
    let world = World::new();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    // Two at once, three at once, one.
    let mut made = Vec::new();
    for together in [2, 3, 1] {
        world.clock.advance(std::time::Duration::from_secs(1));
        made.extend((0..together).map(|_| create(&engine, &ours, "aes256-gcm").unwrap()));
    }
    let vault = made[0].record().vault;
    let cases = [
        (0, 1, 0, 2),
        (0, 2, 0, 2),
        (1, 1, 1, 2),
        (1, 2, 1, 5),
        (2, 1, 0, 3),
        (3, 1, 1, 3),
        (4, 1, 2, 3),
        (4, 9, 2, 4),
        (5, 1, 0, 1),
        (6, 1, 0, 0),
    ];
    for (from, limit, before, keys) in cases {
        let page = engine.numbered_keys(&ours, vault, from, limit).unwrap();
        assert_eq!((page.before, page.keys.len(), page.total), (before, keys, 6), "{from} {limit}");
    }
}

#[test]
fn a_secret_behind_tokens_is_replaced_erased_and_dies_with_its_key() {
    let world = World::new();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    let key = create(&engine, &ours, "aes256-gcm").unwrap().record().id;
    let set = |caller: &Caller, secret: Option<&[u8]>, expected| {
        let secret = secret.map(SecretVec::copy_from);
        let change = TokensChange {
            attributes: [("test.generator".into(), Some(b"1".as_slice().into()))].into(),
            secrets: vec![("test.secret".into(), secret)],
        };
        wait(engine.change_key_tokens(caller, key, change, expected))
    };
    let open = |entry: &KeyEntry| {
        let secret = engine.open_key_secret(entry, "test.secret").unwrap();
        secret.map(|secret| secret.expose().to_vec())
    };
    let first = set(&ours, Some(b"one"), None).unwrap();
    assert_eq!(open(&first), Some(b"one".to_vec()));
    assert_eq!(engine.open_key_secret(&first, "test.other").unwrap().map(|_| ()), None);
    let second = set(&ours, Some(b"two"), Some(first.revision())).unwrap();
    assert_eq!((open(&second), open(&first)), (Some(b"two".to_vec()), None));
    let stale = set(&ours, Some(b"three"), Some(first.revision())).unwrap_err();
    assert_eq!(stale, EngineError::RevisionMismatch);
    let manager = principal(&engine, &ours, on_realm(&[Permission::ApikeysManage]));
    assert_eq!(open(&set(&manager, Some(b"three"), None).unwrap()), Some(b"three".to_vec()));
    let updater = principal(&engine, &ours, on_realm(&[Permission::KeysUpdate]));
    let refused = set(&updater, Some(b"four"), None).unwrap_err();
    assert_eq!(refused, EngineError::PermissionDenied(Permission::ApikeysManage));
    let erased = set(&ours, None, None).unwrap();
    assert_eq!(open(&erased), None);
    let last = set(&ours, Some(b"last"), None).unwrap();
    let destroyed = destroy(&engine, &ours, key).unwrap();
    assert_eq!((open(&last), open(&destroyed.entry)), (None, None));
    assert_eq!(set(&ours, None, None).unwrap_err(), EngineError::ObjectDestroyed(key));
}

#[test]
fn a_prepared_key_tells_its_public_half_and_keeps_what_outlives_it() {
    let world = World::new();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    let prepare = |name: &str| {
        let algorithm = Algorithm::from_name(name).unwrap();
        let request = CreateKeyRequest::new("signer".parse().unwrap(), algorithm);
        engine.prepare_key(&ours, request).unwrap()
    };
    assert!(prepare("aes256-gcm").public_key().is_none());
    let mut prepared = prepare("ed25519");
    let public = prepared.public_key().unwrap().raw().to_vec();
    prepared.keep("door.public", &public).unwrap();
    let too_long = prepared.keep("door.more", &vec![0; 65_536]);
    assert!(matches!(too_long, Err(EngineError::ServerLimitExceeded(_))));
    prepared.keep("door.more", b"").unwrap();
    let key = wait(engine.create_key(&ours, prepared)).unwrap().record().id;
    destroy(&engine, &ours, key).unwrap();
    let tombstone = engine.read_key(&ours, key).unwrap();
    let kept = &tombstone.record().details().attributes;
    assert_eq!(kept.get("door.public").map(|kept| kept.to_vec()), Some(public));
}
