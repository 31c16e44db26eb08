//! Events: in the order of the log, only what the reader may see, told of what is missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use lethe_types::{KeyId, Permission, Permissions, PrincipalId, RealmId, UnixMillis};

use super::support::{World, admin, create, destroy, on_realm, principal, wait};
use crate::events::{Event, Events};
use crate::record::{Grant, Scope};
use crate::{
    Caller, CreatePrincipalRequest, Engine, EngineError, EventPage, EventReader, VaultRequest,
};

fn all(engine: &Engine, caller: &Caller) -> EventPage {
    engine.events_after(caller, None, 1_000).unwrap()
}

fn kinds(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind).collect()
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(reader: &mut EventReader, bell: &Arc<Bell>) -> Poll<Result<EventPage, EngineError>> {
    let waker = Waker::from(bell.clone());
    reader.poll_page(&mut Context::from_waker(&waker), 100)
}

#[test]
fn every_change_is_one_event_in_the_order_of_the_log() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let key = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    wait(engine.rotate_key(&admin, key, None)).unwrap();
    let vault =
        wait(engine.create_vault(&admin, VaultRequest::new("second".parse().unwrap()))).unwrap();
    let grants = on_realm(&[Permission::KeysRead]);
    let someone = principal(&engine, &admin, grants).principal();
    wait(engine.revoke_principal(&admin, someone)).unwrap();
    let gone = destroy(&engine, &admin, key).unwrap();
    let page = all(&engine, &admin);
    let expected = [
        "realm.created",
        "vault.created",
        "key.created",
        "key.rotated",
        "vault.created",
        "principal.created",
        "principal.revoked",
        "key.destroyed",
    ];
    assert_eq!(kinds(&page.events), expected);
    let ids: Vec<u64> = page.events.iter().map(|event| event.id).collect();
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
    let last = page.events.last().unwrap();
    assert_eq!(Some(last.id), gone.entry.record().destruction.as_ref().map(|end| end.log_index));
    assert_eq!((last.key, last.by, last.due), (Some(key), Some(admin.principal()), None));
    assert_eq!((last.realm, &*last.door), (admin.realm(), "native"));
    assert_eq!(page.events[4].subject, Some(vault.id.0));
    assert_eq!(page.events[5].subject, Some(someone.0));
    assert_eq!((page.next, page.gap, page.more), (last.id, false, false));
    let rest = engine.events_after(&admin, Some(page.events[5].id), 1).unwrap();
    assert_eq!((kinds(&rest.events), rest.more), (vec!["principal.revoked"], true));
    let rest = engine.events_after(&admin, Some(rest.next), 1).unwrap();
    assert_eq!((kinds(&rest.events), rest.more), (vec!["key.destroyed"], false));
}

#[test]
fn a_reader_sees_what_it_may_read_and_nothing_else() {
    let world = World::new();
    let engine = world.start();
    let (admin, stranger) = (admin(&engine, "acme"), admin(&engine, "other"));
    let seen = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    let unseen = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    let vault =
        wait(engine.create_vault(&admin, VaultRequest::new("second".parse().unwrap()))).unwrap();
    let on = |permission, scope| {
        let permissions: Permissions = [permission].into_iter().collect();
        vec![Grant { permissions, scope }]
    };
    let check = |grants: Vec<Grant>, expected: &[&str]| {
        let reader = principal(&engine, &admin, grants);
        destroy(&engine, &admin, create(&engine, &admin, "aes256-gcm").unwrap().record().id)
            .unwrap();
        let page = all(&engine, &reader);
        assert!(page.events.iter().all(|event| event.realm == admin.realm()));
        assert_eq!(kinds(&page.events)[..expected.len()], *expected, "{page:?}");
        page
    };
    let page = check(on(Permission::KeysRead, Scope::Key(seen)), &["key.created"]);
    assert_eq!(page.events.iter().map(|event| event.key).collect::<Vec<_>>(), [Some(seen)]);
    let page = check(on(Permission::KeysRead, Scope::Vault(vault.id)), &[]);
    assert!(page.events.is_empty());
    let page = check(on(Permission::VaultsRead, Scope::Vault(vault.id)), &["vault.created"]);
    assert_eq!(page.events.len(), 1);
    let page = check(on_realm(&[Permission::PrincipalsRead]), &["principal.created"]);
    assert!(page.events.iter().all(|event| event.kind == "principal.created"));
    let page = check(on_realm(&[Permission::KeysRead]), &["key.created", "key.created"]);
    assert!(page.events.iter().any(|event| event.key == Some(unseen)));
    assert!(page.events.iter().all(|event| event.key.is_some()));
    assert_eq!(kinds(&all(&engine, &stranger).events), ["realm.created", "vault.created"]);
    let denied = EngineError::PermissionDenied(Permission::KeysRead);
    for grants in [Vec::new(), on_realm(&[Permission::KeysDestroy, Permission::AuditRead])] {
        let reader = principal(&engine, &admin, grants);
        assert_eq!(engine.events_after(&reader, None, 10).unwrap_err(), denied);
        assert_eq!(engine.follow_events(&reader, None).unwrap_err(), denied);
    }
    for limit in [0, 1_001, usize::MAX] {
        let refused = engine.events_after(&admin, None, limit).unwrap_err();
        assert!(matches!(refused, EngineError::InvalidField { field: "limit", .. }));
    }
    let audited = world.audit.events.lock();
    let reads = audited.iter().filter(|(operation, ..)| operation == "event.read");
    assert_eq!(reads.filter(|(_, _, refusal)| refusal.is_some()).count(), 7);
}

#[test]
fn a_restart_empties_the_memory_and_says_so_but_the_log_still_tells() {
    let world = World::new();
    let engine = world.start();
    let first = admin(&engine, "acme");
    let key = create(&engine, &first, "aes256-gcm").unwrap().record().id;
    let someone = principal(&engine, &first, on_realm(&[Permission::KeysRead])).principal();
    destroy(&engine, &first, key).unwrap();
    let before = all(&engine, &first);
    engine.close();
    drop(engine);
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let page = engine.events_after(&admin, Some(0), 100).unwrap();
    assert_eq!((page.events.len(), page.gap), (0, true));
    assert_eq!(page.next, before.next);
    assert!(!engine.events_after(&admin, Some(page.next), 100).unwrap().gap);
    assert!(!all(&engine, &admin).gap, "nothing was asked for that is missed");
    assert!(engine.events_after(&admin, Some(before.next + 1), 100).unwrap().gap);
    let logged = engine.realm_events_after(admin.realm(), 0, 1).unwrap();
    assert!(!logged.gap && !logged.more);
    assert_eq!(logged.next, before.next);
    let told: Vec<_> =
        before.events.iter().map(|event| Event { by: None, ..event.clone() }).collect();
    let (destroyed, others) = logged.events.split_last().unwrap();
    assert_eq!(others, &told[..told.len() - 1]);
    assert_eq!(destroyed, before.events.last().unwrap(), "a destruction says who");
    assert_eq!(others[3].subject, Some(someone.0));
    create(&engine, &admin, "aes256-gcm").unwrap();
    let page = engine.realm_events_after(admin.realm(), logged.next, 100).unwrap();
    assert_eq!((kinds(&page.events), page.gap), (vec!["key.created"], false));
    assert!(page.events[0].by.is_some());
    let page = engine.realm_events_after(admin.realm(), before.next, 100).unwrap();
    assert_eq!(kinds(&page.events), ["key.created"]);
    assert!(engine.realm_events_after(admin.realm(), page.next + 7, 100).unwrap().gap);
    let other = super::support::admin(&engine, "other");
    let page = engine.realm_events_after(other.realm(), 0, 100).unwrap();
    assert!(page.events.is_empty() && page.more, "all of the log was another realm's");
}

#[test]
fn a_reader_is_woken_and_ends_with_its_credential() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let caller = principal(&engine, &admin, on_realm(&[Permission::KeysRead]));
    let (bell, mut reader) =
        (Arc::new(Bell::default()), engine.follow_events(&caller, None).unwrap());
    assert!(poll(&mut reader, &bell).is_pending());
    let key = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    assert_eq!(bell.rings(), 1);
    let Poll::Ready(Ok(page)) = poll(&mut reader, &bell) else { panic!("an event is there") };
    assert_eq!((kinds(&page.events), page.events[0].key), (vec!["key.created"], Some(key)));
    assert!(poll(&mut reader, &bell).is_pending());
    wait(engine.create_vault(&admin, VaultRequest::new("second".parse().unwrap()))).unwrap();
    assert_eq!(bell.rings(), 2, "woken, although it may not see this one");
    assert!(poll(&mut reader, &bell).is_pending());
    wait(engine.revoke_principal(&admin, caller.principal())).unwrap();
    assert_eq!(bell.rings(), 3);
    let refused = Err(EngineError::AuthenticationNotSuccessful);
    assert_eq!(poll(&mut reader, &bell), Poll::Ready(refused));
    let audited = world.audit.events.lock();
    let last = audited.iter().rfind(|(operation, ..)| operation == "event.read").unwrap();
    assert_eq!(last.2.as_deref(), Some("authentication_not_successful"));
}

#[test]
fn an_expired_credential_ends_the_stream_at_the_next_look() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let request = CreatePrincipalRequest::service(
        "short".parse().unwrap(),
        on_realm(&[Permission::KeysRead]),
        Some(std::time::Duration::from_secs(60)),
    );
    let new = wait(engine.create_principal(&admin, request)).unwrap();
    let token = std::str::from_utf8(new.tokens[0].1.expose()).unwrap();
    let caller = engine.authenticate_bearer("native", [7; 16], token).unwrap();
    let (bell, mut reader) =
        (Arc::new(Bell::default()), engine.follow_events(&caller, None).unwrap());
    assert!(poll(&mut reader, &bell).is_pending());
    world.clock.set(1_790_000_000_000 + 59_999);
    assert!(poll(&mut reader, &bell).is_pending());
    world.clock.set(1_790_000_000_000 + 60_000);
    let refused = Err(EngineError::AuthenticationNotSuccessful);
    assert_eq!(poll(&mut reader, &bell), Poll::Ready(refused));
}

fn numbered(id: u64) -> Event {
    Event {
        id,
        time: UnixMillis(id),
        realm: RealmId([1; 16]),
        kind: "key.created",
        key: Some(KeyId([2; 16])),
        subject: None,
        by: Some(PrincipalId([3; 16])),
        door: "native".into(),
        due: None,
    }
}

#[test]
fn the_ring_keeps_the_newest_and_tells_from_where_on() {
    let events = Arc::new(Events::keeping(10, 4));
    let ids =
        |from| events.piece(from, 100).events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(events.bounds(), (10, 10));
    events.publish((10..13).map(numbered), 13);
    assert_eq!((events.bounds(), ids(0)), ((10, 13), vec![10, 11, 12]));
    events.publish([13, 15, 16].map(numbered), 18);
    assert_eq!((events.bounds(), ids(0)), ((12, 18), vec![12, 13, 15, 16]));
    assert_eq!((ids(14), ids(17)), (vec![15, 16], vec![]));
    assert_eq!(events.piece(0, 2).events.len(), 2);
    // A batch without events moves the end all the same; nothing ever moves it back.
    events.publish([], 20);
    events.publish([], 19);
    assert_eq!(events.bounds(), (12, 20));
}

#[test]
fn watches_wake_once_each_and_leave_nothing_behind() {
    let events = Arc::new(Events::keeping(0, 4));
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut context = Context::from_waker(&waker);
    let (mut one, mut other) = (events.watch(), events.watch());
    assert!(one.poll_changed(&mut context).is_pending());
    assert!(one.poll_changed(&mut context).is_pending());
    assert!(other.poll_changed(&mut context).is_pending());
    events.publish([numbered(0)], 1);
    events.publish([numbered(1)], 2);
    assert_eq!(bell.rings(), 2, "once for each watch");
    assert!(one.poll_changed(&mut context).is_ready());
    assert!(one.poll_changed(&mut context).is_pending());
    drop(one);
    drop(other);
    events.publish([numbered(2)], 3);
    assert_eq!(bell.rings(), 2, "who has gone is not woken");
    drop(waker);
    assert_eq!(Arc::strong_count(&bell), 1);
}
