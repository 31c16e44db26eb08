//! Cursors and uses as the engine hands them out.

use lethe_store::Batch;
use lethe_types::KeyId;

use super::support::{World, admin, create, destroy, encrypt};
use crate::{EngineError, KeyFilter, StateFilter, keys};

#[test]
fn a_cursor_serves_its_own_list_alone() {
    let world = World::new();
    let engine = world.start();
    let (ours, theirs) = (admin(&engine, "ours"), admin(&engine, "theirs"));
    for _ in 0..3 {
        create(&engine, &ours, "aes256-gcm").unwrap();
        create(&engine, &theirs, "aes256-gcm").unwrap();
    }
    let filter = KeyFilter { name: Some("customer".to_owned()), ..KeyFilter::default() };
    let cursor = engine.list_keys(&ours, &filter, None, 1).unwrap().next.unwrap();
    assert_eq!(engine.list_keys(&ours, &filter, Some(&cursor), 9).unwrap().keys.len(), 2);
    let refused = |caller, filter: &KeyFilter, cursor: &str| {
        let result = engine.list_keys(caller, filter, Some(cursor), 1);
        let is_refused = matches!(result, Err(EngineError::InvalidField { field: "cursor", .. }));
        assert!(is_refused, "{filter:?} {cursor}");
    };
    refused(&theirs, &filter, &cursor);
    refused(&ours, &KeyFilter::default(), &cursor);
    refused(&ours, &KeyFilter { destroyed: true, ..filter.clone() }, &cursor);
    let altered = format!("{}{}", &cursor[1..], &cursor[..1]);
    let longer = format!("{cursor}AAAA");
    for bad in ["", "AAAA", "ä", &cursor[4..], &altered, &longer, &format!("{cursor}=")] {
        refused(&ours, &filter, bad);
    }
    // It does not tell which key it points at.
    let decoded = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, &cursor);
    assert!(!String::from_utf8_lossy(&decoded.unwrap()).contains("customer"));
    drop(engine);
    let engine = world.start();
    let ours = admin(&engine, "ours");
    let rest = engine.list_keys(&ours, &filter, Some(&cursor), 9).unwrap();
    assert_eq!((rest.keys.len(), rest.next), (2, None), "cursors outlive a restart");
}

#[test]
fn too_many_labels_are_refused() {
    let engine = World::new().start();
    let ours = admin(&engine, "ours");
    let label = ("a".parse().unwrap(), None);
    for (count, allowed) in [(64, true), (65, false)] {
        let labels = vec![label.clone(); count];
        let filter = KeyFilter { labels, ..KeyFilter::default() };
        assert_eq!(engine.list_keys(&ours, &filter, None, 1).is_ok(), allowed, "{count}");
    }
}

#[test]
fn a_destroyed_state_asks_for_tombstones() {
    let engine = World::new().start();
    let ours = admin(&engine, "ours");
    let gone = create(&engine, &ours, "aes256-gcm").unwrap().record().id;
    create(&engine, &ours, "aes256-gcm").unwrap();
    destroy(&engine, &ours, gone).unwrap();
    let filter = KeyFilter { state: Some(StateFilter::Destroyed), ..KeyFilter::default() };
    let page = engine.list_keys(&ours, &filter, None, 9).unwrap();
    assert_eq!(page.keys.iter().map(|key| key.record().id).collect::<Vec<_>>(), [gone]);
}

#[test]
fn uses_survive_a_restart_once_they_are_stored() {
    let world = World::new();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    let key = create(&engine, &ours, "aes256-gcm").unwrap();
    encrypt(&engine, &ours, key.record().id).unwrap();
    encrypt(&engine, &ours, key.record().id).unwrap();
    let used = key.used().unwrap();
    assert_eq!((used.count, used.by), (2, ours.principal()));
    let mut batch = Batch::new();
    for (key, row) in engine.shared.catalogue.take_used(10) {
        batch = batch.put(keys::usage(key), row.encode());
    }
    // A row whose key is not there says nothing.
    batch = batch.put(keys::usage(KeyId([1; 16])), used.encode());
    drop(engine);
    world.store.commit(batch).unwrap();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    let key = engine.read_key(&ours, key.record().id).unwrap();
    assert_eq!(key.used(), Some(used));
    encrypt(&engine, &ours, key.record().id).unwrap();
    assert_eq!(key.used().unwrap().count, 3);
    drop(engine);
    let torn = Batch::new().put(keys::usage(key.record().id), used.encode()[1..].to_vec());
    world.store.commit(torn).unwrap();
    assert!(world.start_with(Box::new(world.slot.clone())).is_err());
}
