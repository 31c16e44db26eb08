//! Who may do what in one vault; vaults of their makers; aliases that go on after a destruction.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_types::{Permission as P, Permissions, PrincipalId, RealmId, SecretVec, VaultId};

use super::rig::{Rig, Turn, acme, aes, alias, as_principal, create, on, said};
use crate::record::{Grant, PrincipalKind, Scope};
use crate::{
    CreateKeyRequest, CreatePrincipalRequest, DestroyRequest, GivenMaterial, GivenVersion,
    NewCredential, NewCredentialKind, PrincipalChange, VaultChange, VaultRequest,
};

const MANAGER: [P; 4] = [P::PrincipalsManage, P::PrincipalsRead, P::KeysRead, P::VaultsRead];
const READER: [P; 2] = [P::KeysRead, P::VaultsRead];

fn set(permissions: &[P]) -> Permissions {
    permissions.iter().copied().collect()
}

struct Cast {
    rig: Rig,
    vault: VaultId,
    other: VaultId,
    manager: PrincipalId,
    second: PrincipalId,
    reader: PrincipalId,
    stranger: PrincipalId,
}

fn cast() -> Cast {
    let mut rig = Rig::new();
    rig.realm();
    let vault = rig.vault("vault", VaultChange::default());
    let other = rig.vault("other", VaultChange::default());
    let manager = rig.principal("manager", on(Scope::Vault(vault), &MANAGER));
    let second = rig.principal("second", on(Scope::Vault(other), &MANAGER));
    let reader = rig.principal("reader", on(Scope::Vault(vault), &READER));
    let stranger = rig.principal("stranger", Vec::new());
    Cast { rig, vault, other, manager, second, reader, stranger }
}

impl Cast {
    fn grant(&mut self, by: PrincipalId, to: PrincipalId, permissions: &[P]) -> String {
        let (vault, permissions) = (self.vault, set(permissions));
        let realm = self.rig.realm();
        self.rig.run(async |engine| {
            let caller = as_principal(engine, realm, by).unwrap();
            said(engine.grant_on_vault(&caller, vault, to, permissions).await)
        })
    }

    fn members(&mut self) -> Vec<PrincipalId> {
        let vault = self.vault;
        let mut members: Vec<PrincipalId> = self.rig.run(async |engine| {
            let all = engine.vault_members(&acme(engine), vault).unwrap();
            all.iter().map(|entry| entry.record().id).collect()
        });
        members.sort_unstable();
        members
    }
}

#[test]
fn who_manages_a_vault_gives_in_it_what_they_have_themselves() {
    let mut cast = cast();
    let (manager, reader, stranger) = (cast.manager, cast.reader, cast.stranger);
    let mut check = |by, to, permissions: &[P], expected: &str| {
        assert_eq!(cast.grant(by, to, permissions), expected, "{permissions:?}");
    };
    check(manager, stranger, &[P::KeysDestroy], "permission_denied");
    check(manager, stranger, &[P::KeysRead, P::KeysExport], "permission_denied");
    check(reader, stranger, &READER, "permission_denied");
    check(stranger, stranger, &READER, "permission_denied");
    check(manager, PrincipalId([9; 16]), &READER, "item_not_found");
    check(manager, manager, &READER, "invalid_field");
    check(manager, manager, &[], "invalid_field");
    check(manager, stranger, &READER, "ok");
    check(manager, reader, &[], "ok");
    check(manager, stranger, &MANAGER, "ok");
    check(manager, manager, &[], "ok");
    check(manager, reader, &READER, "permission_denied");
    assert_eq!(cast.members(), [cast.stranger]);
}

#[test]
fn a_manager_elsewhere_manages_nothing_here() {
    let mut cast = cast();
    let (second, stranger) = (cast.second, cast.stranger);
    assert_eq!(cast.grant(second, stranger, &READER), "permission_denied");
    let (vault, realm) = (cast.vault, cast.rig.realm());
    let caller = as_principal(&cast.rig.engine, realm, second).unwrap();
    assert_eq!(said(cast.rig.engine.vault_members(&caller, vault)), "permission_denied");
    let seen = cast.rig.engine.visible_vaults(&caller);
    assert_eq!(seen.iter().map(|vault| vault.id).collect::<Vec<_>>(), [cast.other]);
}

/// Both look before either is done: the second is planned again, and refused.
#[test]
fn of_two_who_remove_one_manager_each_one_does_not() {
    for together in [false, true] {
        let mut cast = cast();
        let (manager, stranger, vault) = (cast.manager, cast.stranger, cast.vault);
        assert_eq!(cast.grant(manager, stranger, &MANAGER), "ok");
        let answers = cast.rig.race(
            |engine| {
                [stranger, manager].map(|of| {
                    let by = acme(engine);
                    Turn::Asks(Box::pin(async move {
                        said(engine.grant_on_vault(&by, vault, of, Permissions::NONE).await)
                    }))
                })
            },
            together,
        );
        assert_eq!(answers, ["ok", "invalid_field"]);
        assert!(cast.members().contains(&manager));
    }
}

#[test]
fn a_suspended_manager_does_not_count() {
    let mut cast = cast();
    let (manager, stranger) = (cast.manager, cast.stranger);
    assert_eq!(cast.grant(manager, stranger, &MANAGER), "ok");
    let change = PrincipalChange { suspended: Some(true), ..PrincipalChange::default() };
    let suspended = cast
        .rig
        .run(async |engine| said(engine.update_principal(&acme(engine), stranger, &change).await));
    assert_eq!(suspended, "ok");
    assert_eq!(cast.grant(manager, manager, &[]), "invalid_field");
}

#[test]
fn the_maker_of_a_vault_gets_what_they_ask_for_in_it() {
    let mut cast = cast();
    let realm = cast.rig.realm();
    let maker = cast.rig.principal("maker", on(Scope::Realm, &[P::VaultsCreate]));
    let admin = cast.rig.principal("admin", on(Scope::Realm, &[P::VaultsAdmin, P::KeysRead]));
    let mut check = |by: PrincipalId, name: &str, rights: &[P], expected: &str| {
        let (name, maker) = (name.parse().unwrap(), set(rights));
        let answer = cast.rig.run(async |engine| {
            let caller = as_principal(engine, realm, by).unwrap();
            let request = VaultRequest { maker, ..VaultRequest::new(name) };
            said(engine.create_vault(&caller, request).await)
        });
        assert_eq!(answer, expected);
    };
    check(cast.stranger, "no", &[], "permission_denied");
    check(cast.manager, "no", &MANAGER, "permission_denied");
    check(admin, "no", &[P::KeysDestroy], "permission_denied");
    check(admin, "one", &[P::KeysRead], "ok");
    check(maker, "one", &MANAGER, "name_taken");
    check(maker, "two", &MANAGER, "ok");
    check(maker, "three", &[], "ok");
    let caller = as_principal(&cast.rig.engine, realm, maker).unwrap();
    let seen = cast.rig.engine.visible_vaults(&caller);
    assert_eq!(seen.iter().map(|vault| vault.name.as_str()).collect::<Vec<_>>(), ["two"]);
    assert_eq!(
        caller.permissions_in(seen[0].id),
        set(&[&MANAGER[..], &[P::VaultsCreate]].concat())
    );
}

/// Grants that stay are not given: only what is added must be the giver's own.
#[test]
fn a_change_of_grants_needs_only_what_it_adds() {
    let mut cast = cast();
    let realm = cast.rig.realm();
    let keeper =
        cast.rig.principal("keeper", on(Scope::Realm, &[P::PrincipalsManage, P::AuditRead]));
    let before = on(Scope::Vault(cast.vault), &READER);
    let mut check = |added: Grant, expected: &str| {
        let grants = Some([before.clone(), vec![added]].concat());
        let change = PrincipalChange { grants, ..PrincipalChange::default() };
        let answer = cast.rig.run(async |engine| {
            let caller = as_principal(engine, realm, keeper).unwrap();
            said(engine.update_principal(&caller, cast.reader, &change).await)
        });
        assert_eq!(answer, expected, "{added:?}");
    };
    let on = |scope, permission| Grant { permissions: set(&[permission]), scope };
    check(on(Scope::Realm, P::KeysRead), "permission_denied");
    check(on(Scope::Vault(cast.vault), P::KeysDestroy), "permission_denied");
    check(on(Scope::Vault(cast.other), P::KeysRead), "permission_denied");
    check(on(Scope::Realm, P::AuditRead), "ok");
}

fn shared_secret(external: &str) -> NewCredential {
    NewCredential {
        name: "".into(),
        lifetime: None,
        attributes: BTreeMap::new(),
        kind: NewCredentialKind::SharedSecret {
            external: external.into(),
            secret: SecretVec::copy_from(b"secret"),
        },
    }
}

/// Doors find principals by login, external name and identifying attribute; a change or an end of
/// the principal moves all of them.
#[test]
fn principals_are_found_by_the_names_of_doors_as_long_as_they_act() {
    const ID: &str = "acme.id";
    let mut rig = Rig::new();
    let realm = rig.realm();
    let make = |name: &str, id: &str, externals: &[&str]| CreatePrincipalRequest {
        name: name.parse().unwrap(),
        kind: PrincipalKind::User,
        login: Some(name.into()),
        grants: Vec::new(),
        bound_to: None,
        attributes: [(ID, id), ("acme.other", id)]
            .map(|(name, value)| (name.into(), value.as_bytes().into()))
            .into(),
        credentials: externals.iter().map(|external| shared_secret(external)).collect(),
    };
    let requests = [
        make("ann", "1", &["a/1", "b/1"]),
        make("bob", "2", &["a/2"]),
        make("cid", "2", &["a", "b"]),
    ];
    let made: Vec<PrincipalId> = requests
        .map(|request| {
            rig.run(async |engine| {
                let made = engine.create_principal(&acme(engine), request).await.unwrap();
                made.entry.record().id
            })
        })
        .into();
    let [ann, bob, cid] = made[..] else { panic!("three") };
    let check =
        |rig: &mut Rig, login: &[PrincipalId], prefix: &[PrincipalId], id: &[PrincipalId]| {
            rig.run(async |engine| {
                let ids = |found: Vec<Arc<crate::PrincipalEntry>>| {
                    found.iter().map(|entry| entry.record().id).collect::<Vec<_>>()
                };
                let by_login = engine.principal_by_login(realm, "bob");
                assert_eq!(ids(by_login.into_iter().collect()), login);
                let by_prefix = engine.credentials_by_external_prefix(realm, "a/");
                assert_eq!(ids(by_prefix.into_iter().map(|(entry, _)| entry).collect()), prefix);
                let mut by_id = ids(engine.principals_by_identifier(realm, ID, b"2"));
                by_id.sort_unstable();
                let mut id = id.to_vec();
                id.sort_unstable();
                assert_eq!(by_id, id);
            });
        };
    check(&mut rig, &[bob], &[ann, bob], &[bob, cid]);
    rig.run(async |engine| {
        assert!(engine.principals_by_identifier(realm, ID, b"").is_empty());
        assert!(engine.principals_by_identifier(realm, "acme.other", b"2").is_empty());
        let elsewhere = RealmId([9; 16]);
        assert!(engine.principals_by_identifier(elsewhere, ID, b"2").is_empty());
        assert!(engine.credentials_by_external_prefix(elsewhere, "").is_empty());
        assert!(engine.principal_by_id(elsewhere, bob).is_none());
        assert!(engine.principal_by_id(realm, bob).is_some());
        let attributes = BTreeMap::from([(ID.into(), Some(b"3".as_slice().into()))]);
        let login = Some(Some("rob".into()));
        let change = PrincipalChange { login, attributes, ..PrincipalChange::default() };
        engine.update_principal(&acme(engine), bob, &change).await.unwrap();
    });
    check(&mut rig, &[], &[ann, bob], &[cid]);
    rig.run(async |engine| {
        engine.revoke_principal(&acme(engine), bob).await.unwrap();
        engine.revoke_principal(&acme(engine), cid).await.unwrap();
        assert!(engine.principal_by_id(realm, bob).is_none());
    });
    check(&mut rig, &[], &[ann], &[]);
    let mut rig = rig.restarted();
    check(&mut rig, &[], &[ann], &[]);
}

#[test]
fn an_alias_of_a_destroyed_key_goes_on_with_the_next_version_or_not_at_all() {
    let mut rig = Rig::new();
    rig.realm();
    let named = |fresh_aliases| CreateKeyRequest {
        aliases: vec![alias("payroll")],
        continues_versions: true,
        fresh_aliases,
        ..aes("payroll")
    };
    let first = rig.key(named(true)).unwrap();
    assert_eq!(rig.key(named(true)).unwrap_err().code(), "name_taken");
    assert_eq!(rig.key(named(false)).unwrap_err().code(), "name_taken");
    assert_eq!(rig.destroy(DestroyRequest::new(first)), "destroyed");
    assert_eq!(rig.key(named(true)).unwrap_err().code(), "name_taken");
    let second = rig.key(named(false)).unwrap();
    let found = rig.keys().into_iter().find(|key| key.record().id == second).unwrap();
    assert_eq!(found.record().current_version().unwrap().number, 2);
}

#[test]
fn a_key_comes_with_all_its_versions_or_not_at_all() {
    let mut rig = Rig::new();
    rig.realm();
    let with = |numbers: &[(u32, u8)]| CreateKeyRequest {
        versions: (numbers.iter())
            .map(|(number, byte)| GivenVersion {
                number: *number,
                secret: SecretVec::from_vec(vec![*byte; 32]),
            })
            .collect(),
        ..aes("restored")
    };
    for wrong in [&[(0, 1)][..], &[(2, 1), (1, 2)], &[(1, 1), (1, 1)], &[(u32::MAX, 1)]] {
        assert_eq!(rig.key(with(wrong)).unwrap_err().code(), "invalid_field");
    }
    let short = GivenVersion { number: 1, secret: SecretVec::from_vec(vec![1; 31]) };
    let short = CreateKeyRequest { versions: vec![short], ..aes("short") };
    assert_eq!(rig.key(short).unwrap_err().code(), "invalid_field");
    let given = GivenMaterial { secret: SecretVec::from_vec(vec![1; 32]), imported: true };
    let twice = CreateKeyRequest { material: Some(given), ..with(&[(1, 1)]) };
    assert_eq!(rig.key(twice).unwrap_err().code(), "invalid_field");
    assert!(rig.keys().is_empty());

    let key = rig.key(with(&[(2, 1), (5, 2)])).unwrap();
    let found = rig.keys().into_iter().find(|entry| entry.record().id == key).unwrap();
    let numbers: Vec<u32> = found.record().versions.iter().map(|version| version.number).collect();
    assert_eq!(numbers, [2, 5]);
    assert!(found.record().imported && !rig.engine.is_destroyed(key));
    let rotated = rig.run(async |engine| engine.rotate_key(&acme(engine), key, None).await);
    assert_eq!(rotated.unwrap().record().current_version().unwrap().number, 6);
    assert_eq!(rig.destroy(DestroyRequest::new(key)), "destroyed");
    let mut rig = rig.restarted();
    assert!(rig.engine.is_destroyed(key));
    assert_eq!(rig.realm(), found.record().realm);
}

/// The key is planned while nobody had the alias, and is made after somebody had it and is gone.
#[test]
fn a_key_that_was_planned_before_a_destruction_goes_on_after_it() {
    let mut rig = Rig::new();
    rig.realm();
    let named = |fresh_aliases| CreateKeyRequest {
        aliases: vec![alias("payroll")],
        continues_versions: true,
        fresh_aliases,
        ..aes("payroll")
    };
    let caller = acme(&rig.engine);
    let late = rig.engine.prepare_key(&caller, named(false)).unwrap();
    let fresh = rig.engine.prepare_key(&caller, named(true)).unwrap();
    let first = rig.key(named(false)).unwrap();
    assert_eq!(rig.destroy(DestroyRequest::new(first)), "destroyed");
    let refused = rig.run(async |engine| engine.create_key(&caller, fresh).await);
    assert_eq!(refused.unwrap_err().code(), "name_taken");
    let made = rig.run(async |engine| engine.create_key(&caller, late).await).unwrap();
    assert_eq!(made.record().current_version().unwrap().number, 2);
    let third = rig.run(async |engine| said(create(engine, &caller, named(false)).await));
    assert_eq!(third, "name_taken");
}
