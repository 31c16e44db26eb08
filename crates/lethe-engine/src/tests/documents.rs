//! Documents of doors: what is expected is checked, tenants and doors never meet, bounds hold.

use std::sync::Arc;

use lethe_store::{CommitFault, FaultyStore, MemStore};
use lethe_types::Permission;
use lethe_types::limits::{
    CHANGE_DOCUMENTS_MAX, DOCUMENT_BYTES_MAX, DOCUMENT_ID_BYTES_MAX, PAGE_DOCUMENTS_MAX,
};

use super::support::{World, admin, wait};
use crate::{Caller, Collection, DocumentChange, DoorOperation, Engine, EngineError, Expected};

const ROLE: Collection = Collection::named("role");
const OTHER: Collection = Collection::named("role_of");
const WRITE: DoorOperation = DoorOperation::named("native.role.write");

fn change(id: &str, expected: Expected, body: Option<&[u8]>) -> DocumentChange {
    let body = body.map(<[u8]>::to_vec);
    DocumentChange { collection: ROLE, id: id.to_owned(), expected, body }
}

fn write(
    engine: &Engine,
    caller: &Caller,
    changes: Vec<DocumentChange>,
) -> Result<(), EngineError> {
    wait(engine.write_documents(caller, WRITE, changes))
}

fn put(engine: &Engine, caller: &Caller, id: &str, body: &[u8]) {
    write(engine, caller, vec![change(id, Expected::Anything, Some(body))]).unwrap();
}

fn ids(
    engine: &Engine,
    caller: &Caller,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> String {
    let page = engine.documents(caller, ROLE, prefix, after, limit).unwrap();
    let ids: Vec<&str> = page.documents.iter().map(|document| document.id.as_str()).collect();
    format!("{}{}", ids.join(" "), if page.more { " …" } else { "" })
}

#[test]
fn a_document_is_what_was_written_last_also_after_a_restart() {
    let world = World::new();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    assert_eq!(engine.document(&ours, ROLE, "a").unwrap(), None);
    put(&engine, &ours, "a", b"1");
    let first = engine.document(&ours, ROLE, "a").unwrap().unwrap();
    assert_eq!((first.id.as_str(), first.body.as_slice()), ("a", b"1".as_slice()));
    drop(engine);
    let engine = world.start();
    let ours = admin(&engine, "ours");
    assert_eq!(engine.document(&ours, ROLE, "a").unwrap(), Some(first.clone()));
    let cases = [
        (Expected::Nothing, false),
        (Expected::Revision(first.revision + 1), false),
        (Expected::Revision(first.revision), true),
        (Expected::Revision(first.revision), false),
        (Expected::Anything, true),
    ];
    for (expected, allowed) in cases {
        let result = write(&engine, &ours, vec![change("a", expected, Some(b"2"))]);
        assert_eq!(result.is_ok(), allowed, "{expected:?}");
        assert!(allowed || matches!(result, Err(EngineError::RevisionMismatch)), "{result:?}");
    }
    write(&engine, &ours, vec![change("a", Expected::Anything, None)]).unwrap();
    assert_eq!(engine.document(&ours, ROLE, "a").unwrap(), None);
    write(&engine, &ours, vec![change("a", Expected::Nothing, Some(b"3"))]).unwrap();
}

#[test]
fn all_documents_of_a_change_are_written_or_none() {
    let engine = World::new().start();
    let ours = admin(&engine, "ours");
    put(&engine, &ours, "b", b"");
    let changes =
        vec![change("a", Expected::Nothing, Some(b"")), change("b", Expected::Nothing, Some(b""))];
    assert!(matches!(write(&engine, &ours, changes), Err(EngineError::RevisionMismatch)));
    assert_eq!(ids(&engine, &ours, "", None, 9), "b");
}

#[test]
fn pages_have_the_documents_of_one_collection_of_one_door_of_one_tenant() {
    let engine = World::new().start();
    let (ours, theirs) = (admin(&engine, "ours"), admin(&engine, "theirs"));
    let elsewhere = Caller { door: "elsewhere", ..ours.clone() };
    for id in ["a1", "a2", "a3", "b", "ü"] {
        put(&engine, &ours, id, id.as_bytes());
    }
    put(&engine, &theirs, "a4", b"");
    put(&engine, &elsewhere, "a5", b"");
    let foreign =
        DocumentChange { collection: OTHER, ..change("a6", Expected::Nothing, Some(b"")) };
    write(&engine, &ours, vec![foreign]).unwrap();
    let cases = [
        ("", None, 9, "a1 a2 a3 b ü"),
        ("", None, 2, "a1 a2 …"),
        ("", Some("a2"), 2, "a3 b …"),
        ("", Some("b"), 1, "ü"),
        ("", Some("ü"), 1, ""),
        ("a", None, 3, "a1 a2 a3"),
        ("a", None, 2, "a1 a2 …"),
        ("a", Some("a1"), 9, "a2 a3"),
        ("b", Some("a1"), 9, "b"),
        ("a", Some("b"), 9, ""),
        ("c", None, 9, ""),
    ];
    for (prefix, after, limit, expected) in cases {
        assert_eq!(ids(&engine, &ours, prefix, after, limit), expected, "{prefix:?} {after:?}");
    }
    assert_eq!(ids(&engine, &theirs, "", None, 9), "a4");
    assert_eq!(ids(&engine, &elsewhere, "", None, 9), "a5");
}

#[test]
fn what_is_over_a_bound_is_refused() {
    let engine = World::new().start();
    let ours = admin(&engine, "ours");
    let (long, large) = ("x".repeat(DOCUMENT_ID_BYTES_MAX), vec![0; DOCUMENT_BYTES_MAX]);
    put(&engine, &ours, &long, &large);
    let many = |count: usize| -> Vec<DocumentChange> {
        let one = |number: usize| change(&number.to_string(), Expected::Anything, None);
        (0..count).map(one).collect()
    };
    write(&engine, &ours, many(CHANGE_DOCUMENTS_MAX)).unwrap();
    let refused = [
        vec![change("", Expected::Anything, None)],
        vec![change(&format!("{long}x"), Expected::Anything, None)],
        vec![change("a", Expected::Anything, Some(&[large, vec![0]].concat()))],
        vec![change("a", Expected::Anything, None), change("a", Expected::Anything, None)],
        many(CHANGE_DOCUMENTS_MAX + 1),
    ];
    for changes in refused {
        let count = changes.len();
        assert!(write(&engine, &ours, changes).is_err(), "{count}");
    }
    for limit in [0, PAGE_DOCUMENTS_MAX + 1] {
        assert!(engine.documents(&ours, ROLE, "", None, limit).is_err(), "{limit}");
    }
}

#[test]
fn a_door_operation_is_decided_and_audited() {
    let world = World::new();
    let engine = world.start();
    let ours = admin(&engine, "ours");
    let nobody = super::support::principal(&engine, &ours, Vec::new());
    let needing = WRITE.needing(Permission::VaultsAdmin);
    world.audit.events.lock().clear();
    engine.decide(&ours, needing, None).unwrap();
    engine.decide(&nobody, WRITE, None).unwrap();
    let denied = EngineError::PermissionDenied(Permission::VaultsAdmin);
    assert_eq!(engine.decide(&nobody, needing, None).unwrap_err().code(), denied.code());
    let own = EngineError::ItemNotFound("role");
    assert_eq!(engine.decide(&ours, WRITE, Some(own.clone())).unwrap_err().code(), own.code());
    let changes = vec![change("a", Expected::Nothing, Some(b""))];
    assert!(wait(engine.write_documents(&nobody, needing, changes)).is_err());
    let told: Vec<_> = world.audit.events.lock().iter().map(|event| event.2.clone()).collect();
    let refusal = |error: &EngineError| Some(error.code().to_owned());
    assert_eq!(told, [None, None, refusal(&denied), refusal(&own), refusal(&denied)]);
    assert_eq!(engine.document(&ours, ROLE, "a").unwrap(), None);
}

#[test]
fn a_failed_commit_writes_nothing_and_says_so() {
    let faulty = Arc::new(FaultyStore::new(Arc::new(MemStore::new())));
    let world = World::over(faulty.clone());
    let engine = world.start();
    let ours = admin(&engine, "ours");
    faulty.fail_next_commit(CommitFault::Full);
    assert!(write(&engine, &ours, vec![change("a", Expected::Nothing, Some(b""))]).is_err());
    assert_eq!(engine.document(&ours, ROLE, "a").unwrap(), None);
}
