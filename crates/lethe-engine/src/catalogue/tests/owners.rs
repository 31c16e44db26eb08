//! Realms, vaults and principals are found by what they are called now, and by nothing else.

use std::sync::Arc;

use lethe_store::Revision;
use lethe_types::{CredentialId, KeyId, PrincipalId, RealmId, UnixMillis, VaultId};

use super::super::Catalogue;
use super::support::REALM;
use crate::PrincipalEntry;
use crate::record::{
    Credential, CredentialKind, PrincipalKind, PrincipalRecord, RealmRecord, VaultRecord,
};

const ELSEWHERE: RealmId = RealmId([2; 16]);

fn vault_named(id: u8, realm: RealmId, name: &str) -> VaultRecord {
    VaultRecord::new(VaultId([id; 16]), realm, name.parse().unwrap(), UnixMillis(1))
}

#[test]
fn vaults_are_found_by_their_name_of_now() {
    let catalogue = Catalogue::default();
    catalogue.publish_vault(vault_named(1, REALM, "one"));
    catalogue.publish_vault(vault_named(2, REALM, "two"));
    catalogue.publish_vault(vault_named(3, ELSEWHERE, "one"));
    let by_name = |realm, name: &str| {
        catalogue.vault_by_name(realm, &name.parse().unwrap()).map(|vault| vault.id.0[0])
    };
    assert_eq!(by_name(REALM, "one"), Some(1));
    assert_eq!(by_name(ELSEWHERE, "one"), Some(3));
    assert_eq!(by_name(ELSEWHERE, "two"), None);
    catalogue.publish_vault(vault_named(1, REALM, "renamed"));
    assert_eq!((by_name(REALM, "one"), by_name(REALM, "renamed")), (None, Some(1)));
    let mut removed = vault_named(1, REALM, "renamed");
    removed.removed = Some(UnixMillis(9));
    catalogue.publish_vault(removed.clone());
    assert_eq!(by_name(REALM, "renamed"), None);
    assert!(catalogue.vault(REALM, removed.id).unwrap().removed.is_some());
    assert!(catalogue.vault(ELSEWHERE, removed.id).is_none());
    catalogue.publish_vault(vault_named(4, REALM, "renamed"));
    // The removed one is published again, as at a start: the name stays with the new one.
    catalogue.publish_vault(removed);
    assert_eq!(by_name(REALM, "renamed"), Some(4));
    let names: Vec<_> =
        catalogue.vaults(REALM).iter().map(|vault| vault.name.to_string()).collect();
    assert_eq!(names, ["renamed", "two"]);
    assert_eq!(catalogue.live_keys_in(VaultId([99; 16])), 0);
}

#[test]
fn realms_are_found_by_their_name_of_now() {
    let catalogue = Catalogue::default();
    let realm = |name: &str| RealmRecord {
        id: REALM,
        name: name.parse().unwrap(),
        created: UnixMillis(1),
        default_vault: VaultId([1; 16]),
        policy: Default::default(),
        plain_export: false,
        attributes: Default::default(),
        salt: Box::new([0; 32]),
    };
    catalogue.publish_realm(realm("one"));
    catalogue.publish_realm(realm("two"));
    assert!(catalogue.realm_by_name(&"one".parse().unwrap()).is_none());
    assert_eq!(catalogue.realm_by_name(&"two".parse().unwrap()).unwrap().id, REALM);
    assert_eq!(catalogue.realm(REALM).unwrap().name.as_str(), "two");
}

fn someone(id: u8, login: Option<&str>, externals: &[(u8, &str)]) -> PrincipalRecord {
    let name = "someone".parse().unwrap();
    let id = PrincipalId([id; 16]);
    let mut record = PrincipalRecord::new(id, REALM, PrincipalKind::User, name, UnixMillis(1));
    record.login = login.map(Into::into);
    let credential = |&(id, external): &(u8, &str)| Credential {
        id: CredentialId([id; 16]),
        name: "".into(),
        kind: CredentialKind::PublicKey {
            external: external.into(),
            scheme: "ed25519".into(),
            spki_der: Box::default(),
        },
        created: UnixMillis(1),
        expires: None,
        suspended: false,
        attributes: Default::default(),
    };
    record.credentials = externals.iter().map(credential).collect();
    record
}

fn publish(catalogue: &Catalogue, record: &PrincipalRecord) {
    catalogue.publish_principal(Arc::new(PrincipalEntry::new(record.clone(), Revision(1))));
}

#[test]
fn principals_are_found_by_what_they_sign_in_with() {
    let catalogue = Catalogue::default();
    publish(&catalogue, &someone(1, Some("alice"), &[(10, "key-a"), (11, "key-b")]));
    publish(&catalogue, &someone(2, None, &[(20, "key-c")]));
    let login = |realm, text| catalogue.by_login(realm, text).map(|entry| entry.record().id.0[0]);
    let external = |text| {
        let found = catalogue.by_external(REALM, text);
        found.map(|(entry, credential)| (entry.record().id.0[0], credential.0[0]))
    };
    assert_eq!(login(REALM, "alice"), Some(1));
    assert_eq!(login(REALM, "Alice"), None);
    assert_eq!(login(ELSEWHERE, "alice"), None);
    assert_eq!(external("key-b"), Some((1, 11)));
    assert_eq!(external("key-c"), Some((2, 20)));
    assert!(catalogue.by_external(ELSEWHERE, "key-c").is_none());
    assert_eq!(catalogue.principals(REALM).len(), 2);
    assert!(catalogue.principals(ELSEWHERE).is_empty());
    // A credential and a login change.
    publish(&catalogue, &someone(1, Some("alice2"), &[(10, "key-a")]));
    assert_eq!((login(REALM, "alice"), login(REALM, "alice2")), (None, Some(1)));
    assert_eq!((external("key-a"), external("key-b")), (Some((1, 10)), None));
    assert!(catalogue.by_credential(CredentialId([11; 16])).is_none());
    assert!(catalogue.by_credential(CredentialId([10; 16])).is_some());
    // The login of who is revoked is free for somebody else, who keeps it.
    let mut revoked = someone(1, Some("alice2"), &[(10, "key-a")]);
    revoked.revoked = Some(UnixMillis(5));
    publish(&catalogue, &revoked);
    assert_eq!((login(REALM, "alice2"), external("key-a")), (None, None));
    publish(&catalogue, &someone(3, Some("alice2"), &[(30, "key-a")]));
    publish(&catalogue, &revoked);
    assert_eq!((login(REALM, "alice2"), external("key-a")), (Some(3), Some((3, 30))));
}

#[test]
fn principals_of_a_key_are_found_by_it() {
    let catalogue = Catalogue::default();
    let key = KeyId([5; 16]);
    for id in 1..=3 {
        let mut record = someone(id, None, &[]);
        record.bound_to = Some(if id == 3 { KeyId([6; 16]) } else { key });
        publish(&catalogue, &record);
    }
    let bound = |key| {
        let ids = catalogue.bound_to(key);
        ids.iter().map(|entry| entry.record().id.0[0]).collect::<Vec<_>>()
    };
    assert_eq!(bound(key), [1, 2]);
    publish(&catalogue, &someone(1, None, &[]));
    assert_eq!(bound(key), [2]);
    assert!(bound(KeyId([7; 16])).is_empty());
}
