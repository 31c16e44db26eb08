//! API keys: made, used, rotated and ended together with their application; tokens likewise.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use lethe_types::{KeyId, Permission, Permissions, SecretVec, UnixMillis};

use super::support::{DOOR, REQUEST, World, admin, on_realm, principal, verified, wait};
use crate::record::{Alias, CredentialKind, PrincipalKind};
use crate::{
    ApiKey, Caller, CreateApiKeyRequest, CreateKeyRequest, CreatePrincipalRequest, DestroyRequest,
    DestroyWhen, Engine, EngineError, NETWORKS, NewCredential, TokenClaims, TokenSubject,
    api_key_algorithm,
};

const FIRST: &str = "sk_test_12345abcdefghijklmnopqrstuvwxyz0123456789";
/// Begins as [`FIRST`] does.
const TWIN: &str = "sk_test_12345zyxwvutsrqponmlkjihgfedcba9876543210";
const SECOND: &str = "sk_test_67890abcdefghijklmnopqrstuvwxyz0123456789";
const ALL: [Permission; 5] = [
    Permission::ApikeysManage,
    Permission::KeysCreate,
    Permission::KeysRead,
    Permission::KeysRotate,
    Permission::KeysDestroy,
];

pub(super) fn request(secret: &str, client: &str, grants: &[Permission]) -> CreateApiKeyRequest {
    let key = CreateKeyRequest {
        aliases: vec![Alias { door: DOOR.to_owned(), text: client.to_owned(), reserved: true }],
        ..CreateKeyRequest::new("export".parse().unwrap(), api_key_algorithm())
    };
    CreateApiKeyRequest {
        key,
        name: "export".parse().unwrap(),
        client: client.into(),
        grants: on_realm(grants),
        attributes: BTreeMap::new(),
        expires: None,
        secret: SecretVec::copy_from(secret.as_bytes()),
    }
}

fn make(engine: &Engine, caller: &Caller, secret: &str, client: &str) -> ApiKey {
    wait(engine.create_api_key(caller, request(secret, client, &[Permission::KeysRead]))).unwrap()
}

fn signs_in(engine: &Engine, secret: &str) -> bool {
    engine.authenticate_api_secret(DOOR, REQUEST, secret, None).is_ok()
}

fn rotate(
    engine: &Engine,
    caller: &Caller,
    key: KeyId,
    secret: &str,
    grace: Option<Duration>,
) -> Result<ApiKey, EngineError> {
    let secret = SecretVec::copy_from(secret.as_bytes());
    wait(engine.rotate_api_key(caller, key, &secret, grace))
}

fn id(made: &ApiKey) -> KeyId {
    made.key.record().id
}

fn destroy(engine: &Engine, caller: &Caller, keys: &[KeyId]) -> Result<usize, EngineError> {
    let at_once =
        |key: &KeyId| DestroyRequest { when: DestroyWhen::AtOnce, ..DestroyRequest::new(*key) };
    let all = wait(engine.destroy_keys_together(caller, keys.iter().map(at_once).collect()))?;
    assert!(all.iter().all(|one| verified(engine, &one.receipt)));
    Ok(all.len())
}

#[test]
fn a_secret_opens_until_its_key_is_destroyed_and_never_after_a_restart() {
    let world = World::new();
    let engine = world.start();
    let caller = principal(&engine, &admin(&engine, "acme"), on_realm(&ALL));
    let made = make(&engine, &caller, FIRST, "client-1");
    let twin = make(&engine, &caller, TWIN, "client-2");
    assert_eq!(made.current().unwrap().api_secret(), Some(("sk_test_12345", 1)));
    let used = engine.authenticate_api_secret(DOOR, REQUEST, FIRST, None).unwrap();
    assert_eq!(used.principal(), made.application.record().id);
    assert!(used.realm_permissions().contains(Permission::KeysRead));
    assert!(engine.read_key(&used, id(&made)).is_ok());
    assert!(made.key.used().is_some());
    engine.close();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    assert!(signs_in(&engine, FIRST) && signs_in(&engine, TWIN));
    assert_eq!(destroy(&engine, &caller, &[id(&made)]), Ok(1));
    assert!(!signs_in(&engine, FIRST) && signs_in(&engine, TWIN));
    assert!(engine.key_of_api_secret(FIRST).is_none());
    assert!(engine.application_of(id(&made)).unwrap().record().revoked.is_some());
    engine.close();
    let engine = world.start();
    assert!(!signs_in(&engine, FIRST) && signs_in(&engine, TWIN));
    assert_eq!(engine.key_of_api_secret(TWIN).unwrap().record().id, id(&twin));
}

#[test]
fn wrong_secrets_and_their_neighbours_are_refused() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    make(&engine, &caller, FIRST, "client-1");
    let check = |secret: &str| assert!(!signs_in(&engine, secret), "{secret:?}");
    check("");
    check("sk_test_12345");
    check(TWIN);
    check(&FIRST[..FIRST.len() - 1]);
    check(&format!("{FIRST}0"));
    check(&FIRST.to_ascii_uppercase());
    check(&format!("{FIRST}{}", "x".repeat(300)));
    check("sk_test_12345\u{e9}bcdefghijklmnopqrstuvwxyz0123456789");
    for position in 0..FIRST.len() {
        let mut altered = FIRST.as_bytes().to_vec();
        altered[position] ^= 1;
        check(std::str::from_utf8(&altered).unwrap());
    }
    assert!(signs_in(&engine, FIRST));
}

#[test]
fn who_may_not_make_one_makes_nothing() {
    let world = World::new();
    let engine = world.start();
    let system = admin(&engine, "acme");
    let all = principal(&engine, &system, on_realm(&ALL));
    let before = engine.key_counts();
    let check = |caller: &Caller, request: CreateApiKeyRequest, expected: EngineError| {
        let refused = wait(engine.create_api_key(caller, request)).unwrap_err();
        assert_eq!(refused.code(), expected.code());
        assert_eq!(engine.key_counts(), before);
    };
    let denied = || EngineError::PermissionDenied(Permission::ApikeysManage);
    for missing in [Permission::ApikeysManage, Permission::KeysCreate] {
        let some: Vec<Permission> = ALL.into_iter().filter(|one| *one != missing).collect();
        let caller = principal(&engine, &system, on_realm(&some));
        check(&caller, request(FIRST, "c", &[]), denied());
    }
    check(&all, request(FIRST, "c", &[Permission::KeysExport]), denied());
    let bound = all.clone().bounded([Permission::KeysRead].into_iter().collect(), None);
    check(&bound, request(FIRST, "c", &[]), denied());
    let invalid = || EngineError::InvalidField { field: "secret", why: String::new() };
    check(&all, request("sk_test_12345", "c", &[]), invalid());
    check(&all, request(&"x".repeat(300), "c", &[]), invalid());
    let mut cipher = request(FIRST, "c", &[]);
    cipher.key.algorithm = lethe_crypto::registry::Algorithm::from_name("aes256-gcm").unwrap();
    check(&all, cipher, invalid());
}

#[test]
fn a_client_or_an_identifier_that_is_taken_makes_nothing() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    make(&engine, &caller, FIRST, "client-1");
    let taken = wait(engine.create_api_key(&caller, request(SECOND, "client-1", &[])));
    assert_eq!(taken.unwrap_err().code(), "name_taken");
    assert_eq!(engine.key_counts().0, 1);
    assert!(!signs_in(&engine, SECOND));
}

#[test]
fn a_rotation_ends_the_secret_before_at_once_or_after_its_grace() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let made = make(&engine, &caller, FIRST, "client-1");
    let rotated = rotate(&engine, &caller, id(&made), SECOND, None).unwrap();
    assert_eq!(rotated.current().unwrap().api_secret(), Some(("sk_test_67890", 2)));
    assert_eq!(rotated.key.record().versions.len(), 1, "the old digest's key is gone");
    assert!(!signs_in(&engine, FIRST) && signs_in(&engine, SECOND));
    let grace = Some(Duration::from_secs(60));
    let rotated = rotate(&engine, &caller, id(&made), FIRST, grace).unwrap();
    assert_eq!(rotated.key.record().versions.len(), 2);
    assert!(signs_in(&engine, FIRST) && signs_in(&engine, SECOND));
    world.clock.advance(Duration::from_secs(61));
    assert!(signs_in(&engine, FIRST) && !signs_in(&engine, SECOND));
    // Of secrets before only one is kept, whatever the grace of those was.
    rotate(&engine, &caller, id(&made), SECOND, grace).unwrap();
    let rotated = rotate(&engine, &caller, id(&made), TWIN, grace).unwrap();
    assert_eq!(rotated.key.record().versions.len(), 2);
    assert!(signs_in(&engine, TWIN) && signs_in(&engine, SECOND) && !signs_in(&engine, FIRST));
    assert_eq!(destroy(&engine, &caller, &[id(&made)]), Ok(1));
    assert!(!signs_in(&engine, TWIN) && !signs_in(&engine, SECOND));
    let gone = rotate(&engine, &caller, id(&made), FIRST, None).unwrap_err();
    assert_eq!(gone, EngineError::ObjectDestroyed(id(&made)));
}

#[test]
fn a_hundred_rotations_leave_one_digest() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let made = make(&engine, &caller, FIRST, "client-1");
    for _ in 0..50 {
        rotate(&engine, &caller, id(&made), SECOND, None).unwrap();
        rotate(&engine, &caller, id(&made), FIRST, None).unwrap();
    }
    let application = engine.application_of(id(&made)).unwrap();
    let kinds: Vec<_> =
        application.record().credentials.iter().map(|credential| &credential.kind).collect();
    assert!(matches!(kinds[..], [CredentialKind::ApiSecret { version: 101, .. }]));
    engine.close();
    let engine = world.start();
    assert!(signs_in(&engine, FIRST) && !signs_in(&engine, SECOND));
}

#[test]
fn only_who_may_rotates_suspends_and_ends() {
    let world = World::new();
    let engine = world.start();
    let system = admin(&engine, "acme");
    let made = make(&engine, &system, FIRST, "client-1");
    let elsewhere = admin(&engine, "other");
    let reader = principal(&engine, &system, on_realm(&[Permission::KeysRead]));
    let not_found = EngineError::ItemNotFound("key").code();
    for (caller, code) in [(&elsewhere, not_found), (&reader, "permission_denied")] {
        let refused = rotate(&engine, caller, id(&made), SECOND, None).unwrap_err();
        assert_eq!(refused.code(), code);
        let refused = wait(engine.suspend_api_key(caller, id(&made), true)).unwrap_err();
        assert_eq!(refused.code(), code);
        assert_eq!(destroy(&engine, caller, &[id(&made)]).unwrap_err().code(), code);
    }
    assert!(signs_in(&engine, FIRST));
    let plain = super::support::create(&engine, &system, "hmac-sha256").unwrap().record().id;
    let refused = rotate(&engine, &system, plain, SECOND, None).unwrap_err();
    assert_eq!(refused, EngineError::ItemNotFound("API key"));
    wait(engine.suspend_api_key(&system, id(&made), true)).unwrap();
    assert!(!signs_in(&engine, FIRST));
    assert!(engine.key_of_api_secret(FIRST).is_some(), "it is still whose it was");
    wait(engine.suspend_api_key(&system, id(&made), false)).unwrap();
    assert!(signs_in(&engine, FIRST));
}

#[test]
fn one_refusal_keeps_all_that_were_to_go_together() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let first = make(&engine, &caller, FIRST, "client-1");
    let mut guarded = request(SECOND, "client-2", &[]);
    guarded.key.protected = true;
    let guarded = wait(engine.create_api_key(&caller, guarded)).unwrap();
    let refused = destroy(&engine, &caller, &[id(&first), id(&guarded)]).unwrap_err();
    assert_eq!(refused.code(), "protected");
    assert!(signs_in(&engine, FIRST) && signs_in(&engine, SECOND));
    let third = make(&engine, &caller, TWIN, "client-3");
    assert_eq!(destroy(&engine, &caller, &[id(&first), id(&third)]), Ok(2));
    assert!(!signs_in(&engine, FIRST) && !signs_in(&engine, TWIN) && signs_in(&engine, SECOND));
}

#[test]
fn a_secret_works_within_its_time_and_from_its_networks_only() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let mut bounded = request(FIRST, "client-1", &[]);
    bounded.attributes.insert(NETWORKS.into(), b"10.0.0.0/8,2001:db8::/32".as_slice().into());
    let now = world.clock.as_ref();
    bounded.expires = Some(UnixMillis(lethe_types::Clock::now(now).0 + 60_000));
    wait(engine.create_api_key(&caller, bounded)).unwrap();
    let from = |text: &str| {
        let address: IpAddr = text.parse().unwrap();
        engine.authenticate_api_secret(DOOR, REQUEST, FIRST, Some(address)).is_ok()
    };
    assert!(from("10.1.2.3") && from("::ffff:10.1.2.3") && from("2001:db8::1"));
    assert!(!from("11.1.2.3") && !from("2001:db9::1") && !signs_in(&engine, FIRST));
    world.clock.advance(Duration::from_secs(60));
    assert!(!from("10.1.2.3"));
}

#[test]
fn an_application_makes_no_successor() {
    let world = World::new();
    let engine = world.start();
    let system = admin(&engine, "acme");
    let everything: Vec<Permission> = Permission::ALL.to_vec();
    wait(engine.create_api_key(&system, request(FIRST, "client-1", &everything))).unwrap();
    let machine = engine.authenticate_api_secret(DOOR, REQUEST, FIRST, None).unwrap();
    let held = machine.realm_permissions();
    assert!(held.contains(Permission::KeysDestroy) && !held.contains(Permission::ApikeysManage));
    let service = CreatePrincipalRequest::service("x".parse().unwrap(), Vec::new(), None);
    let refused = wait(engine.create_principal(&machine, service)).unwrap_err();
    assert_eq!(refused, EngineError::PermissionDenied(Permission::PrincipalsManage));
    let own = machine.principal();
    let refused = wait(engine.add_credential(&machine, own, NewCredential::bearer(None)));
    assert_eq!(refused.unwrap_err().code(), "permission_denied");
    let refused = wait(engine.create_api_key(&machine, request(SECOND, "client-2", &[])));
    assert_eq!(refused.unwrap_err().code(), "permission_denied");
}

struct Token<'a> {
    engine: &'a Engine,
    made: &'a ApiKey,
}

impl Token<'_> {
    /// Whether a token of the application is taken, after `alter` has changed it.
    fn is_taken(&self, alter: impl FnOnce(&mut TokenClaims<'_>)) -> bool {
        let now = lethe_types::Clock::now(&*self.engine.shared.clock);
        let mut claims = TokenClaims {
            realm: self.made.key.record().realm,
            subject: TokenSubject::Application { client: "client-1", version: 1 },
            token: [1; 16],
            issued: now,
            expires: UnixMillis(now.0 + 120_000),
            permissions: Permissions::all(),
        };
        alter(&mut claims);
        self.engine.caller_of_token(DOOR, REQUEST, &claims, None).is_ok()
    }
}

#[test]
fn a_token_stands_for_what_is_still_there() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let other = admin(&engine, "other").realm();
    let made = make(&engine, &caller, FIRST, "client-1");
    let token = Token { engine: &engine, made: &made };
    assert!(token.is_taken(|_| {}));
    let now = UnixMillis(lethe_types::Clock::now(&*world.clock).0);
    assert!(!token.is_taken(|claims| claims.expires = now));
    assert!(!token.is_taken(|claims| claims.issued = UnixMillis(now.0 + 1)));
    assert!(!token.is_taken(|claims| claims.realm = other));
    let subject = |client, version| TokenSubject::Application { client, version };
    assert!(!token.is_taken(|claims| claims.subject = subject("client-2", 1)));
    assert!(!token.is_taken(|claims| claims.subject = subject("client-1", 2)));
    let application = made.application.record().id;
    assert!(!token.is_taken(|claims| claims.subject = TokenSubject::User(application)));
    let end = UnixMillis(now.0 + 120_000);
    wait(engine.deny_token(&caller, id(&made), [1; 16], end)).unwrap();
    assert!(!token.is_taken(|_| {}));
    assert!(token.is_taken(|claims| claims.token = [2; 16]));
    wait(engine.suspend_api_key(&caller, id(&made), true)).unwrap();
    assert!(!token.is_taken(|claims| claims.token = [2; 16]));
    wait(engine.suspend_api_key(&caller, id(&made), false)).unwrap();
    let grace = Some(Duration::from_secs(60));
    rotate(&engine, &caller, id(&made), SECOND, grace).unwrap();
    assert!(token.is_taken(|claims| claims.token = [2; 16]));
    assert!(!token.is_taken(|claims| claims.subject = subject("client-1", 2)));
    assert!(token.is_taken(|claims| {
        claims.subject = subject("client-1", 2);
        claims.token = [2; 16];
    }));
    rotate(&engine, &caller, id(&made), TWIN, None).unwrap();
    assert!(!token.is_taken(|claims| claims.token = [2; 16]));
    assert_eq!(destroy(&engine, &caller, &[id(&made)]), Ok(1));
    for version in 0..4 {
        assert!(!token.is_taken(|claims| {
            claims.subject = subject("client-1", version);
            claims.token = [3; 16];
        }));
    }
}

#[test]
fn more_denials_than_are_kept_end_everything_before() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let made = make(&engine, &caller, FIRST, "client-1");
    let token = Token { engine: &engine, made: &made };
    let now = lethe_types::Clock::now(&*world.clock);
    let end = UnixMillis(now.0 + 120_000);
    for number in 0..=u8::MAX {
        wait(engine.deny_token(&caller, id(&made), [number; 16], end)).unwrap();
    }
    assert!(
        !token.is_taken(|_| {})
            && token.is_taken(|claims| claims.token = [9, 8].repeat(8).try_into().unwrap())
    );
    wait(engine.deny_token(&caller, id(&made), [7, 6].repeat(8).try_into().unwrap(), end)).unwrap();
    assert!(!token.is_taken(|claims| claims.token = [9, 8].repeat(8).try_into().unwrap()));
    world.clock.advance(Duration::from_secs(1));
    assert!(token.is_taken(|claims| claims.token = [9, 8].repeat(8).try_into().unwrap()));
}

#[test]
fn a_bounded_caller_has_no_more_than_both_allow() {
    let world = World::new();
    let engine = world.start();
    let system = admin(&engine, "acme");
    let caller = principal(&engine, &system, on_realm(&[Permission::KeysRead]));
    let key = super::support::create(&engine, &system, "aes256-gcm").unwrap().record().id;
    let bound = |permissions: &[Permission]| {
        caller.clone().bounded(permissions.iter().copied().collect(), None)
    };
    assert!(engine.read_key(&bound(&[Permission::KeysRead]), key).is_ok());
    assert!(engine.read_key(&bound(&[Permission::KeysDestroy]), key).is_err());
    assert!(engine.read_key(&bound(&[]), key).is_err());
    let both = bound(&[Permission::KeysRead]).bounded(Permissions::NONE, None);
    assert!(engine.read_key(&both, key).is_err(), "a bound is never widened");
    let job = crate::BulkRequest {
        selection: crate::Selection::Keys(vec![key]),
        reason: String::new(),
        expected: None,
    };
    let narrow = system.clone().bounded([Permission::KeysRead].into_iter().collect(), None);
    let refused = wait(engine.start_bulk_destroy(&narrow, job)).unwrap_err();
    assert_eq!(refused, EngineError::PermissionDenied(Permission::KeysDestroy));
}

#[test]
fn applications_are_found_by_their_keys_and_listed_by_their_identifiers() {
    let world = World::new();
    let engine = world.start();
    let caller = admin(&engine, "acme");
    let before = engine.list_principals(&caller).unwrap().len();
    let made: Vec<ApiKey> = [(FIRST, "a-1"), (SECOND, "a-2"), (TWIN, "a-3")]
        .into_iter()
        .map(|(secret, client)| make(&engine, &caller, secret, client))
        .collect();
    assert_eq!(engine.list_principals(&caller).unwrap().len(), before);
    assert_eq!(made[0].application.record().kind, PrincipalKind::Application);
    let list = |before: Option<&str>, limit| {
        let (keys, more) = engine.aliased_keys(&caller, before, limit).unwrap();
        let names = keys.iter().map(|key| key.record().aliases[0].text.clone());
        (names.collect::<Vec<_>>().join(" "), more)
    };
    assert_eq!(list(None, 10), ("a-3 a-2 a-1".to_owned(), false));
    assert_eq!(list(None, 2), ("a-3 a-2".to_owned(), true));
    assert_eq!(list(Some("a-2"), 2), ("a-1".to_owned(), false));
    assert_eq!(destroy(&engine, &caller, &[id(&made[1])]), Ok(1));
    assert_eq!(list(None, 10), ("a-3 a-1".to_owned(), false));
    assert_eq!(list(None, 1), ("a-3".to_owned(), true));
    let found = engine.read_aliased(&caller, "a-2").unwrap();
    assert!(found.record().state.is_destroyed(), "the identifier stays taken");
    assert_eq!(engine.read_aliased(&caller, "a-9").unwrap_err().code(), "item_not_found");
}
