//! Who may do what: realms, vaults, keys, tokens, and what the audit trail shows of it.

use std::sync::atomic::Ordering;

use lethe_types::{Permission, Permissions};

use super::support::{
    DOOR, REQUEST, World, admin, create, destroy, encrypt, on_realm, principal, wait,
};
use crate::record::{Grant, Scope};
use crate::{CreatePrincipalRequest, EngineError, VaultRequest};

#[test]
fn keys_of_another_realm_do_not_exist() {
    let world = World::new();
    let engine = world.start();
    let (ours, theirs) = (admin(&engine, "ours"), admin(&engine, "theirs"));
    let key = create(&engine, &ours, "aes256-gcm").unwrap().record().id;
    let refused = EngineError::ItemNotFound("key");
    assert_eq!(engine.read_key(&theirs, key).unwrap_err(), refused);
    assert_eq!(encrypt(&engine, &theirs, key).unwrap_err(), refused);
    assert_eq!(destroy(&engine, &theirs, key).unwrap_err(), refused);
    assert_eq!(wait(engine.rotate_key(&theirs, key, None)).unwrap_err(), refused);
    assert_eq!(engine.receipt(&theirs, key).unwrap_err(), refused);
    assert!(encrypt(&engine, &ours, key).is_ok());
}

#[test]
fn a_grant_on_a_vault_or_key_reaches_no_further() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let inside = create(&engine, &admin, "aes256-gcm").unwrap();
    let vault =
        wait(engine.create_vault(&admin, VaultRequest::new("second".parse().unwrap()))).unwrap();
    let use_it: Permissions = [Permission::KeysUseEncrypt].into_iter().collect();
    let on_key = Grant { permissions: use_it, scope: Scope::Key(inside.record().id) };
    let on_vault = Grant { permissions: use_it, scope: Scope::Vault(vault.id) };
    let of_key = principal(&engine, &admin, vec![on_key]);
    let of_vault = principal(&engine, &admin, vec![on_vault]);
    let denied = EngineError::PermissionDenied(Permission::KeysUseEncrypt);
    assert!(encrypt(&engine, &of_key, inside.record().id).is_ok());
    assert_eq!(encrypt(&engine, &of_vault, inside.record().id).unwrap_err(), denied);
    let destroyed = destroy(&engine, &of_key, inside.record().id).unwrap_err();
    assert_eq!(destroyed, EngineError::PermissionDenied(Permission::KeysDestroy));
    let other = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    assert_eq!(encrypt(&engine, &of_key, other).unwrap_err(), denied);
}

#[test]
fn every_permission_is_refused_to_a_principal_without_grants() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let key = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    let nobody = principal(&engine, &admin, Vec::new());
    let denied = EngineError::PermissionDenied;
    assert_eq!(engine.read_key(&nobody, key).unwrap_err(), denied(Permission::KeysRead));
    assert_eq!(create(&engine, &nobody, "aes256-gcm").unwrap_err(), denied(Permission::KeysCreate));
    assert_eq!(encrypt(&engine, &nobody, key).unwrap_err(), denied(Permission::KeysUseEncrypt));
    assert_eq!(
        engine.decrypt(&nobody, key, b"x", b"").unwrap_err(),
        denied(Permission::KeysUseDecrypt)
    );
    assert_eq!(engine.sign(&nobody, key, None, b"x").unwrap_err(), denied(Permission::KeysUseSign));
    assert_eq!(engine.mac(&nobody, key, b"x").unwrap_err(), denied(Permission::KeysUseMac));
    assert_eq!(destroy(&engine, &nobody, key).unwrap_err(), denied(Permission::KeysDestroy));
    assert_eq!(
        wait(engine.rotate_key(&nobody, key, None)).unwrap_err(),
        denied(Permission::KeysRotate)
    );
    assert_eq!(engine.list_vaults(&nobody).unwrap_err(), denied(Permission::VaultsRead));
    assert_eq!(
        wait(engine.create_vault(&nobody, VaultRequest::new("v".parse().unwrap()))).unwrap_err(),
        denied(Permission::VaultsAdmin)
    );
    assert_eq!(engine.list_principals(&nobody).unwrap_err(), denied(Permission::PrincipalsRead));
}

#[test]
fn nobody_gives_away_more_than_they_have() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let held = [Permission::PrincipalsManage, Permission::KeysRead];
    let manager = principal(&engine, &admin, on_realm(&held));
    let request = |permissions: &[Permission]| {
        CreatePrincipalRequest::service("x".parse().unwrap(), on_realm(permissions), None)
    };
    assert!(wait(engine.create_principal(&manager, request(&held))).is_ok());
    let over = wait(engine.create_principal(&manager, request(&[Permission::KeysDestroy])));
    assert_eq!(over.unwrap_err(), EngineError::PermissionDenied(Permission::KeysDestroy));
}

#[test]
fn tokens_are_refused_once_altered_expired_or_revoked() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let request = CreatePrincipalRequest::service(
        "x".parse().unwrap(),
        on_realm(&[Permission::KeysRead]),
        Some(std::time::Duration::from_secs(60)),
    );
    let new = wait(engine.create_principal(&admin, request)).unwrap();
    let token = String::from_utf8(new.tokens[0].1.expose().to_vec()).unwrap();
    let signs_in = |token: &str| engine.authenticate_bearer(DOOR, REQUEST, token).is_ok();
    assert!(signs_in(&token));
    for position in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
        assert!(!signs_in(std::str::from_utf8(&altered).unwrap()), "byte {position}");
    }
    for bad in ["", "lethe_", &token[..token.len() - 1], &format!("{token}A"), "lethe_é"] {
        assert!(!signs_in(bad), "{bad}");
    }
    let id = new.entry.record().id;
    wait(engine.revoke_principal(&admin, id)).unwrap();
    assert!(!signs_in(&token));
    let request = CreatePrincipalRequest::service(
        "y".parse().unwrap(),
        Vec::new(),
        Some(std::time::Duration::from_secs(60)),
    );
    let new = wait(engine.create_principal(&admin, request)).unwrap();
    let token = String::from_utf8(new.tokens[0].1.expose().to_vec()).unwrap();
    assert!(signs_in(&token));
    world.clock.set(1_790_000_000_000 + 60_000);
    assert!(!signs_in(&token));
}

#[test]
fn every_decision_leaves_one_audit_event() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let key = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    let nobody = principal(&engine, &admin, Vec::new());
    let events = || std::mem::take(&mut *world.audit.events.lock());
    events();
    let one = |operation: &str, refusal: Option<&str>| {
        let seen = events();
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen[0].0, operation);
        assert_eq!(seen[0].2.as_deref(), refusal);
    };
    encrypt(&engine, &admin, key).unwrap();
    one("key.encrypt", None);
    encrypt(&engine, &nobody, key).unwrap_err();
    one("key.encrypt", Some("permission_denied"));
    engine.sign(&admin, key, None, b"x").unwrap_err();
    one("key.sign", Some("incompatible_use"));
    destroy(&engine, &nobody, key).unwrap_err();
    one("key.destroy", Some("permission_denied"));
    destroy(&engine, &admin, key).unwrap();
    one("key.destroy", None);
    destroy(&engine, &admin, key).unwrap_err();
    one("key.destroy", Some("object_destroyed"));
    create(&engine, &nobody, "aes256-gcm").unwrap_err();
    one("key.create", Some("permission_denied"));
    create(&engine, &admin, "aes256-gcm").unwrap();
    one("key.create", None);
    engine.authenticate_bearer(DOOR, REQUEST, "nonsense").unwrap_err();
    one("authenticate", Some("authentication_not_successful"));
}

#[test]
fn uses_fail_closed_while_the_audit_trail_takes_nothing() {
    let world = World::new();
    let engine = world.start();
    let admin = admin(&engine, "acme");
    let key = create(&engine, &admin, "aes256-gcm").unwrap().record().id;
    world.audit.full.store(true, Ordering::SeqCst);
    let mut out = b"before".to_vec();
    let refused = engine.encrypt(&admin, key, b"x", b"", &mut out).unwrap_err();
    assert_eq!(refused, EngineError::AuditUnavailable);
    assert_eq!(out, b"before");
    world.audit.full.store(false, Ordering::SeqCst);
    assert!(encrypt(&engine, &admin, key).is_ok());
}
