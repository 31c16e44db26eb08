//! The life of a key over memory: made, used, rotated, destroyed, proven, restarted.

use super::support::{World, admin, create, destroy, encrypt, verified, wait, works};
use crate::{DestroyOutcome, DestroyRequest, EngineError, IdempotencyKey, KeyFilter};

#[test]
fn a_destroyed_key_is_refused_at_once_and_its_receipt_holds() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let kept = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let gone = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let (kept_text, gone_text) =
        (encrypt(&engine, &caller, kept).unwrap(), encrypt(&engine, &caller, gone).unwrap());
    let destroyed = destroy(&engine, &caller, gone).unwrap();
    assert!(verified(&engine, &destroyed.receipt));
    let refused = engine.decrypt(&caller, gone, &gone_text, b"").unwrap_err();
    assert_eq!(refused, EngineError::ObjectDestroyed(gone));
    assert_eq!(encrypt(&engine, &caller, gone).unwrap_err(), EngineError::ObjectDestroyed(gone));
    assert_eq!(destroy(&engine, &caller, gone).unwrap_err(), EngineError::ObjectDestroyed(gone));
    assert!(works(&engine, &caller, kept, &kept_text));
    assert_eq!(engine.key_counts(), (1, 1));
}

#[test]
fn everything_is_there_after_a_restart() {
    let world = World::new();
    let (kept, gone, text) = {
        let engine = world.start();
        let caller = admin(&engine, "acme");
        let kept = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
        let gone = create(&engine, &caller, "ed25519").unwrap().record().id;
        destroy(&engine, &caller, gone).unwrap();
        let text = encrypt(&engine, &caller, kept).unwrap();
        engine.close();
        (kept, gone, text)
    };
    let engine = world.start();
    let caller = admin(&engine, "acme");
    assert!(works(&engine, &caller, kept, &text));
    let refused = engine.sign(&caller, gone, None, b"x").unwrap_err();
    assert_eq!(refused, EngineError::ObjectDestroyed(gone));
    assert!(verified(&engine, &engine.receipt(&caller, gone).unwrap()));
    assert_eq!(engine.receipt(&caller, kept).unwrap_err(), EngineError::ItemNotFound("receipt"));
}

#[test]
fn rotation_keeps_old_ciphertexts_readable_and_destruction_takes_all_versions() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let key = create(&engine, &caller, "aes128-gcm").unwrap().record().id;
    let first = encrypt(&engine, &caller, key).unwrap();
    let rotated = wait(engine.rotate_key(&caller, key, None)).unwrap();
    assert_eq!(rotated.record().versions.len(), 2);
    let second = encrypt(&engine, &caller, key).unwrap();
    assert_eq!((first[4], second[4]), (1, 2));
    assert!(works(&engine, &caller, key, &first) && works(&engine, &caller, key, &second));
    let stale = wait(engine.rotate_key(&caller, key, Some(lethe_store::Revision(1))));
    assert_eq!(stale.unwrap_err(), EngineError::RevisionMismatch);
    let destroyed = destroy(&engine, &caller, key).unwrap();
    assert_eq!(destroyed.receipt.detail.versions.len(), 2);
    assert_eq!(destroyed.receipt.detail.reason, "off-boarding");
    assert!(!works(&engine, &caller, key, &first) && !works(&engine, &caller, key, &second));
}

#[test]
fn many_destructions_share_a_checkpoint_and_each_receipt_holds() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let keys: Vec<_> =
        (0..40).map(|_| create(&engine, &caller, "aes256-gcm").unwrap().record().id).collect();
    std::thread::scope(|scope| {
        let handles: Vec<_> = keys
            .iter()
            .map(|key| scope.spawn(|| destroy(&engine, &caller, *key).unwrap()))
            .collect();
        for handle in handles {
            assert!(verified(&engine, &handle.join().unwrap().receipt));
        }
    });
    for key in keys {
        assert!(verified(&engine, &engine.receipt(&caller, key).unwrap()));
    }
}

#[test]
fn an_idempotency_key_gives_the_same_answer_also_after_a_restart() {
    let world = World::new();
    let request = |engine: &crate::Engine, caller: &crate::Caller, key, body: &str| {
        let idempotency =
            IdempotencyKey::new(caller, "key.destroy", "retry-1", &[body.as_bytes()]).unwrap();
        let idempotency = Some(idempotency);
        let request =
            DestroyRequest { reason: "r".to_owned(), idempotency, ..DestroyRequest::new(key) };
        wait(engine.destroy_key(caller, request)).map(|outcome| match outcome {
            DestroyOutcome::Destroyed(destroyed) => destroyed,
            DestroyOutcome::Scheduled { .. } => panic!("scheduled"),
        })
    };
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let key = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let first = request(&engine, &caller, key, "a").unwrap();
    let again = request(&engine, &caller, key, "a").unwrap();
    assert_eq!(first.receipt.index, again.receipt.index);
    let reused = request(&engine, &caller, key, "b").unwrap_err();
    assert_eq!(reused, EngineError::IdempotencyKeyReused);
    engine.close();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    assert_eq!(request(&engine, &caller, key, "a").unwrap().receipt.index, first.receipt.index);
}

#[test]
fn lists_page_through_all_keys_once_and_leave_out_other_realms() {
    let world = World::new();
    let engine = world.start();
    let (ours, theirs) = (admin(&engine, "ours"), admin(&engine, "theirs"));
    let mut expected: Vec<_> =
        (0..7).map(|_| create(&engine, &ours, "aes256-gcm").unwrap().record().id).collect();
    create(&engine, &theirs, "aes256-gcm").unwrap();
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = engine.list_keys(&ours, &KeyFilter::default(), after.as_deref(), 3).unwrap();
        assert!(page.keys.len() <= 3);
        seen.extend(page.keys.iter().map(|entry| entry.record().id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    for limit in [0, 1_001] {
        assert!(engine.list_keys(&ours, &KeyFilter::default(), None, limit).is_err());
    }
}

#[test]
fn an_older_copy_of_the_store_does_not_open_with_the_slot_of_now() {
    let store = std::sync::Arc::new(lethe_store::MemStore::new());
    let world = World::over(store.clone());
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let key = create(&engine, &caller, "aes256-gcm").unwrap().record().id;
    let mut backup = Vec::new();
    lethe_store::Store::snapshot(&*store, &mut |space, key, versioned| {
        backup.push((space, key.to_vec(), versioned.value.clone()));
        Ok(())
    })
    .unwrap();
    let slot_of_then = world.slot.copied();
    destroy(&engine, &caller, key).unwrap();
    engine.close();
    let restored = |slot| {
        let store = lethe_store::MemStore::new();
        let mut batch = lethe_store::Batch::new();
        for (space, key, value) in &backup {
            batch = batch.put(lethe_store::StoreKey::new(*space, key).unwrap(), value.clone());
        }
        lethe_store::Store::commit(&store, batch).unwrap();
        World { store: std::sync::Arc::new(store), slot, ..World::new() }
    };
    let with_todays_root = restored(world.slot.copied());
    let refused = with_todays_root.start_with(Box::new(with_todays_root.slot.clone()));
    assert!(matches!(refused, Err(crate::StartError::Recovery(_))), "{refused:?}");
    // The control: with the root of that day the copy opens, and the key is back.
    let with_that_days_root = restored(slot_of_then);
    let engine = with_that_days_root.start();
    let caller = admin(&engine, "acme");
    assert!(encrypt(&engine, &caller, key).is_ok());
}

#[test]
fn an_older_copy_of_the_store_is_refused_even_if_nothing_was_destroyed_since() {
    let rows = |store: &dyn lethe_store::Store| {
        let mut batch = lethe_store::Batch::new();
        store
            .snapshot(&mut |space, key, versioned| {
                let key = lethe_store::StoreKey::new(space, key)?;
                batch.push(lethe_store::Write::Put { key, value: versioned.value.clone() });
                Ok(())
            })
            .unwrap();
        batch
    };
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    create(&engine, &caller, "aes256-gcm").unwrap();
    let backup = rows(&*world.store);
    create(&engine, &caller, "aes256-gcm").unwrap();
    engine.close();
    let older = World {
        store: std::sync::Arc::new(lethe_store::MemStore::new()),
        slot: world.slot.clone(),
        guard: world.guard.clone(),
        ..World::new()
    };
    older.store.commit(backup).unwrap();
    let refused = older.start_with(Box::new(older.slot.clone()));
    assert!(matches!(refused, Err(crate::StartError::LogOlder { .. })), "{refused:?}");
    // The control: without the guard nothing would tell the copies apart. It goes its own way, and
    // then neither is the other's continuation.
    *older.guard.0.lock() = None;
    let engine = older.start();
    let caller = admin(&engine, "acme");
    create(&engine, &caller, "ed25519").unwrap();
    create(&engine, &caller, "ed25519").unwrap();
    engine.close();
    let refused = world.start_with(Box::new(world.slot.clone()));
    assert!(
        matches!(refused, Err(crate::StartError::LogOlder { .. } | crate::StartError::LogForked)),
        "{refused:?}"
    );
}
