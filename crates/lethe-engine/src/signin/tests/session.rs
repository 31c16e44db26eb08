//! Callers of a door's own sessions, and the tokens that doors may make of them.

use lethe_types::limits::TOKEN_CLAIMS_BYTES_MAX;
use lethe_types::{CredentialId, PrincipalId, RealmId, UnixMillis};

use super::support::{DOOR, NOW, PASSPHRASE, REFUSED, REQUEST, Scene, credential};
use crate::record::{CredentialKind, PrincipalRecord};

fn bearer(number: u8) -> crate::record::Credential {
    credential(number, CredentialKind::Bearer { hash: [0; 32] })
}

#[test]
fn a_session_lives_as_long_as_its_principal_and_credential() {
    let scene = Scene::new();
    let caller_of = |realm: RealmId, principal: u8, credential: Option<u8>| {
        let credential = credential.map(|number| CredentialId([number; 16]));
        let principal = PrincipalId([principal; 16]);
        scene.engine.caller_of(realm, principal, credential, DOOR, REQUEST)
    };
    let publish = |change: fn(&mut PrincipalRecord)| {
        scene.publish(1, |record| {
            record.credentials = vec![bearer(5)];
            change(record);
        });
    };
    let check = |principal: u8, credential: Option<u8>, accepted: bool| {
        let result = caller_of(scene.realm, principal, credential);
        assert_eq!(result.is_ok(), accepted, "{principal} {credential:?}");
        assert_eq!(scene.events().len(), usize::from(!accepted));
        if let Err(error) = result {
            assert_eq!(error, REFUSED);
        }
    };
    publish(|_| {});
    check(1, None, true);
    check(1, Some(5), true);
    check(1, Some(6), false);
    check(2, None, false);
    check(0, None, false);
    assert_eq!(caller_of(RealmId([3; 16]), 1, None).unwrap_err(), REFUSED);
    scene.events();
    let caller = caller_of(scene.realm, 1, Some(5)).unwrap();
    assert_eq!((caller.principal(), caller.realm()), (PrincipalId([1; 16]), scene.realm));
    assert_eq!(caller.credential, Some(CredentialId([5; 16])));
    publish(|record| record.suspended = true);
    check(1, None, false);
    check(1, Some(5), false);
    publish(|record| record.revoked = Some(NOW));
    check(1, None, false);
    publish(|record| record.credentials[0].suspended = true);
    check(1, Some(5), false);
    check(1, None, true);
    publish(|record| record.credentials[0].expires = Some(NOW));
    check(1, Some(5), false);
    publish(|record| record.credentials[0].expires = Some(UnixMillis(NOW.0 + 1)));
    check(1, Some(5), true);
    publish(|record| record.credentials.clear());
    check(1, Some(5), false);
}

#[test]
fn a_token_opens_for_its_purpose_alone() {
    let scene = Scene::new();
    let engine = &scene.engine;
    for claims in [b"".as_slice(), b"sub=ann", &[0xff; TOKEN_CLAIMS_BYTES_MAX]] {
        let token = engine.seal_token("session", claims).unwrap();
        assert_eq!(token.len(), 2 * claims.len() + 58);
        assert!(token.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()));
        assert_eq!(engine.open_token("session", &token).as_deref(), Some(claims));
        assert_eq!(engine.open_token("challenge", &token), None);
        assert_eq!(engine.open_token("", &token), None);
    }
    let one = engine.seal_token("session", b"x").unwrap();
    assert_ne!(one, engine.seal_token("session", b"x").unwrap());
    let over = engine.seal_token("session", &[0; TOKEN_CLAIMS_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(over.code(), "invalid_field");
}

#[test]
fn altered_tokens_open_nothing() {
    let scene = Scene::new();
    let engine = &scene.engine;
    let token = engine.seal_token("session", b"sub=ann").unwrap();
    for position in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[position] = if altered[position] == b'0' { b'1' } else { b'0' };
        let altered = String::from_utf8(altered).unwrap();
        assert_eq!(engine.open_token("session", &altered), None, "{position}");
    }
    let refused = [
        String::new(),
        "00".to_owned(),
        token[1..].to_owned(),
        token[2..].to_owned(),
        token[..token.len() - 2].to_owned(),
        token.to_ascii_uppercase(),
        format!("{token}0"),
        format!("{token}00"),
        format!(" {token}"),
        format!("{token}\n"),
        "é".repeat(40),
        "0".repeat(1_000_000),
    ];
    for text in refused.iter().filter(|text| **text != token) {
        assert_eq!(engine.open_token("session", text), None);
    }
    // Another installation's.
    assert_eq!(Scene::new().engine.open_token("session", &token), None);
}

#[test]
fn a_restart_keeps_tokens_and_sign_in_limits_do_not_touch_them() {
    let scene = Scene::new();
    let token = scene.engine.seal_token("session", b"sub=ann").unwrap();
    let Scene { engine, world, .. } = scene;
    engine.close();
    drop(engine);
    let again = world.start();
    assert_eq!(again.open_token("session", &token).as_deref(), Some(b"sub=ann".as_slice()));
    let again = again.with_sign_in_limits(Default::default());
    assert_eq!(again.open_token("session", &token).as_deref(), Some(b"sub=ann".as_slice()));
}

#[test]
fn a_bearer_token_is_no_other_proof() {
    let scene = Scene::new();
    scene.publish(1, |record| {
        record.login = Some("ann".into());
        record.credentials = vec![bearer(1)];
    });
    let refused = scene.sign_in("ann", PASSPHRASE, None, crate::Source::LOCAL);
    assert_eq!(refused.unwrap_err(), REFUSED);
    for name in ["", "01010101010101010101010101010101"] {
        let refused =
            scene.engine.authenticate_external(DOOR, REQUEST, scene.realm, name, |_| true);
        assert_eq!(refused.unwrap_err(), REFUSED);
    }
}
