//! Sign-in by passphrase: who gets in, what is refused, and what the audit trail shows of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lethe_crypto::otp::{totp_code, totp_step};
use lethe_types::limits::{LOGIN_BYTES_MAX, PASSPHRASE_BYTES_MAX};
use lethe_types::{CredentialId, Permission, PrincipalId, RealmId, UnixMillis};

use super::support::{
    DOOR, NOW, PASSPHRASE, REFUSED, REQUEST, Scene, TOTP_SECRET, credential, is_limited, source,
};
use crate::EngineError;
use crate::record::{CredentialKind, Grant, PrincipalRecord, Scope};
use crate::signin::{PassphraseClaim, SignInLimits, Source};

const HOME: &str = "192.0.2.1";

fn unlimited() -> Scene {
    Scene::with(SignInLimits { enabled: false, ..SignInLimits::default() })
}

#[test]
fn the_right_passphrase_gives_the_principal_with_its_rights() {
    let scene = Scene::new();
    let kind = scene.passphrase(None);
    scene.publish(1, |record| {
        record.login = Some("ann".into());
        record.credentials = vec![credential(7, kind)];
        let permissions = [Permission::KeysRead].into_iter().collect();
        record.grants = vec![Grant { permissions, scope: Scope::Realm }];
    });
    let caller = scene.sign_in("ann", PASSPHRASE, None, source(HOME)).unwrap();
    assert_eq!(caller.principal(), PrincipalId([1; 16]));
    assert_eq!(caller.credential, Some(CredentialId([7; 16])));
    assert_eq!((caller.realm(), caller.door, caller.request), (scene.realm, DOOR, REQUEST));
    assert!(caller.realm_permissions().contains(Permission::KeysRead));
    assert_eq!(scene.events(), [("authenticate".to_owned(), None)]);
}

#[test]
fn everything_else_is_refused_in_one_way() {
    let scene = unlimited();
    scene.user(1, "ann");
    let long_login = "a".repeat(LOGIN_BYTES_MAX + 1);
    let long = [PASSPHRASE, &[b'x'; PASSPHRASE_BYTES_MAX]].concat();
    let longer = [PASSPHRASE, b" "].concat();
    let cases: &[(&str, &[u8])] = &[
        ("ann", b""),
        ("ann", b"wrong"),
        ("ann", &PASSPHRASE[1..]),
        ("ann", &longer),
        ("ann", b"CORRECT HORSE BATTERY STAPLE"),
        ("ann", &long),
        ("", PASSPHRASE),
        ("Ann", PASSPHRASE),
        ("ann ", PASSPHRASE),
        ("bob", PASSPHRASE),
        ("someone", PASSPHRASE),
        (&long_login, PASSPHRASE),
        ("ann\0", PASSPHRASE),
    ];
    for (login, passphrase) in cases {
        let refused = scene.sign_in(login, passphrase, None, source(HOME)).unwrap_err();
        assert_eq!(refused, REFUSED, "{login}");
        let code = Some("authentication_not_successful".to_owned());
        assert_eq!(scene.events(), [("authenticate".to_owned(), code)], "{login}");
    }
    let elsewhere = scene.engine.authenticate_passphrase(
        DOOR,
        REQUEST,
        RealmId([3; 16]),
        "ann",
        PASSPHRASE,
        None,
        Source::LOCAL,
    );
    assert_eq!(elsewhere.unwrap_err(), REFUSED);
    assert!(scene.sign_in("ann", PASSPHRASE, None, source(HOME)).is_ok());
}

/// Changes one thing of a principal who could sign in.
fn check_record(scene: &Scene, accepted: bool, change: impl FnOnce(&mut PrincipalRecord)) {
    let kind = scene.passphrase(None);
    scene.publish(1, |record| {
        record.login = Some("ann".into());
        record.credentials = vec![credential(1, kind)];
        change(record);
    });
    let result = scene.sign_in("ann", PASSPHRASE, None, source(HOME));
    assert_eq!(result.map(drop), if accepted { Ok(()) } else { Err(REFUSED) });
}

#[test]
fn who_cannot_act_does_not_get_in() {
    let scene = unlimited();
    check_record(&scene, true, |_| {});
    check_record(&scene, false, |record| record.suspended = true);
    check_record(&scene, false, |record| record.revoked = Some(NOW));
    // For good, also where the clock has gone back since.
    check_record(&scene, false, |record| record.revoked = Some(UnixMillis(NOW.0 + 1)));
    check_record(&scene, false, |record| record.login = None);
    check_record(&scene, false, |record| record.credentials.clear());
    check_record(&scene, false, |record| record.credentials[0].suspended = true);
    check_record(&scene, false, |record| record.credentials[0].expires = Some(NOW));
    check_record(&scene, true, |record| {
        record.credentials[0].expires = Some(UnixMillis(NOW.0 + 1));
    });
    check_record(&scene, false, |record| {
        let kind = CredentialKind::Bearer { hash: [0; 32] };
        record.credentials = vec![credential(1, kind)];
    });
    for text in ["", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAA"] {
        check_record(&scene, false, |record| {
            let kind = CredentialKind::Passphrase { hash: text.into(), totp: None };
            record.credentials = vec![credential(1, kind)];
        });
    }
    // A second credential that is live counts before a first that is not.
    let second = scene.passphrase(None);
    check_record(&scene, true, |record| {
        record.credentials[0].suspended = true;
        record.credentials.push(credential(2, second));
    });
}

#[test]
fn a_login_of_a_revoked_principal_is_that_of_the_live_one() {
    for (revoked, live) in [(1, 2), (2, 1)] {
        let scene = unlimited();
        scene.user(live, "ann");
        scene.publish(revoked, |record| {
            record.login = Some("ann".into());
            record.revoked = Some(NOW);
        });
        let caller = scene.sign_in("ann", PASSPHRASE, None, source(HOME)).unwrap();
        assert_eq!(caller.principal(), PrincipalId([live; 16]));
    }
}

/// A door's own proof counts as a part of the sign-in: who lacks it is charged, who could not be
/// asked is not.
#[test]
fn who_lacks_a_further_proof_has_guessed_wrong() {
    for (error, charged) in
        [(EngineError::AuthenticationNotSuccessful, true), (EngineError::StorageUnavailable, false)]
    {
        let scene = Scene::new();
        scene.user(1, "ann");
        let try_it = |also: Result<(), EngineError>| {
            let claim = PassphraseClaim {
                realm: scene.realm,
                login: "ann",
                passphrase: PASSPHRASE,
                one_time: None,
                source: source(HOME),
            };
            scene.engine.authenticate_passphrase_and(DOOR, REQUEST, claim, |caller| {
                assert_eq!(caller.principal(), PrincipalId([1; 16]));
                also
            })
        };
        for _ in 0..5 {
            assert_eq!(try_it(Err(error.clone())).unwrap_err(), error);
        }
        assert_eq!(is_limited(&try_it(Ok(()))), charged, "{error:?}");
    }
}

/// What the limiter admits is decided before anybody looks whether there is such a login.
#[test]
fn logins_that_there_are_not_are_slowed_and_queued_like_others() {
    let scene = Scene::new();
    scene.user(1, "ann");
    for login in ["ann", "nobody"] {
        for _ in 0..5 {
            let refused = scene.sign_in(login, b"wrong", None, source(HOME));
            assert_eq!(refused.unwrap_err(), REFUSED, "{login}");
        }
        let limited = scene.sign_in(login, b"wrong", None, source(HOME)).unwrap_err();
        let want = EngineError::TooManyAttempts { retry_after_seconds: 60 };
        assert_eq!(limited, want, "{login}");
    }
    // Each of them needs a place to compute: with none, both are refused alike and pay nothing.
    let limits =
        SignInLimits { hashes_running_max: 1, hashes_waiting_max: 0, ..SignInLimits::default() };
    let scene = Scene::with(limits);
    scene.user(1, "ann");
    let place = scene.engine.sign_in.gate.enter([1; 16], true).unwrap();
    for login in ["ann", "nobody"] {
        for _ in 0..20 {
            let busy = scene.sign_in(login, PASSPHRASE, None, source(HOME)).unwrap_err();
            let want = EngineError::TooManyAttempts { retry_after_seconds: 1 };
            assert_eq!(busy, want, "{login}");
        }
    }
    drop(place);
    assert!(scene.sign_in("ann", PASSPHRASE, None, source(HOME)).is_ok());
}

#[test]
fn the_right_passphrase_is_limited_too_and_everything_is_in_the_trail() {
    let scene = Scene::new();
    scene.user(1, "ann");
    for _ in 0..5 {
        scene.sign_in("ann", b"wrong", None, source(HOME)).unwrap_err();
    }
    scene.events();
    let limited = scene.sign_in("ann", PASSPHRASE, None, source(HOME));
    assert!(is_limited(&limited));
    let code = Some("too_many_attempts".to_owned());
    assert_eq!(scene.events(), [("authenticate".to_owned(), code)]);
    // Not from elsewhere, and not for ever.
    assert!(scene.sign_in("ann", PASSPHRASE, None, source("192.0.2.2")).is_ok());
    scene.set_time(Duration::from_millis(59_999));
    assert!(is_limited(&scene.sign_in("ann", PASSPHRASE, None, source(HOME))));
    scene.set_time(Duration::from_secs(60));
    assert!(scene.sign_in("ann", PASSPHRASE, None, source(HOME)).is_ok());
    // The success cleared what the failures left.
    for _ in 0..5 {
        scene.sign_in("ann", b"wrong", None, source(HOME)).unwrap_err();
    }
    assert!(is_limited(&scene.sign_in("ann", b"wrong", None, source(HOME))));
}

#[test]
fn a_distributed_attack_lets_a_source_in_that_succeeded_before() {
    let scene = Scene::new();
    scene.user(1, "ann");
    scene.sign_in("ann", PASSPHRASE, None, source(HOME)).unwrap();
    let mut limited = 0;
    for number in 0..1_000_u32 {
        let from = Source::of(core::net::IpAddr::from((0x0a00_0000 + number).to_be_bytes()));
        limited += u32::from(is_limited(&scene.sign_in("ann", b"guess", None, from)));
    }
    assert_eq!(limited, 980);
    assert!(is_limited(&scene.sign_in("ann", PASSPHRASE, None, source("192.0.2.9"))));
    assert!(scene.sign_in("ann", PASSPHRASE, None, source(HOME)).is_ok());
    assert_eq!(scene.events().len(), 1_003);
}

#[test]
fn without_a_trail_nobody_gets_in_and_nobody_pays() {
    let scene = Scene::new();
    scene.user(1, "ann");
    scene.world.audit.full.store(true, Ordering::SeqCst);
    for passphrase in [PASSPHRASE, b"wrong"] {
        for _ in 0..10 {
            let refused = scene.sign_in("ann", passphrase, None, source(HOME));
            assert_eq!(refused.unwrap_err(), EngineError::AuditUnavailable);
        }
    }
    scene.world.audit.full.store(false, Ordering::SeqCst);
    assert!(scene.sign_in("ann", PASSPHRASE, None, source(HOME)).is_ok());
}

/// A principal with a one-time secret.
fn with_totp() -> Scene {
    let scene = unlimited();
    scene.set_time(Duration::ZERO);
    let kind = scene.passphrase(Some(scene.secret(1, TOTP_SECRET)));
    scene.publish(1, |record| {
        record.login = Some("ann".into());
        record.credentials = vec![credential(1, kind)];
    });
    scene
}

/// The code of a step, counted from that of the test's start.
fn code(steps: i64) -> String {
    let step = totp_step(NOW.seconds()).checked_add_signed(steps).unwrap();
    String::from_utf8(totp_code(TOTP_SECRET, step).to_vec()).unwrap()
}

#[test]
fn a_one_time_password_is_needed_and_good_once() {
    let scene = with_totp();
    let check = |passphrase: &[u8], one_time: Option<&str>, accepted: bool| {
        let result = scene.sign_in("ann", passphrase, one_time, source(HOME));
        let want = if accepted { Ok(()) } else { Err(REFUSED) };
        assert_eq!(result.map(drop), want, "{one_time:?}");
    };
    check(PASSPHRASE, None, false);
    check(PASSPHRASE, Some(""), false);
    check(PASSPHRASE, Some("000000"), false);
    check(PASSPHRASE, Some(&format!(" {}", code(0))), false);
    check(PASSPHRASE, Some(&code(-2)), false);
    check(PASSPHRASE, Some(&code(2)), false);
    // A wrong passphrase does not use up the code.
    check(b"wrong", Some(&code(0)), false);
    check(PASSPHRASE, Some(&code(0)), true);
    check(PASSPHRASE, Some(&code(0)), false);
    // Nor is an older one good any more; a newer one is.
    check(PASSPHRASE, Some(&code(-1)), false);
    check(PASSPHRASE, Some(&code(1)), true);
    check(PASSPHRASE, Some(&code(1)), false);
    scene.set_time(Duration::from_secs(30));
    check(PASSPHRASE, Some(&code(1)), false);
    check(PASSPHRASE, Some(&code(2)), true);
    // A clock that steps back brings no code back.
    scene.set_time(Duration::ZERO);
    check(PASSPHRASE, Some(&code(0)), false);
    check(PASSPHRASE, Some(&code(1)), false);
}

#[test]
fn codes_drift_by_one_step_and_no_more() {
    // The test starts 20 seconds into a step.
    assert_eq!(NOW.seconds() % 30, 20);
    let check = |after: Duration, steps: i64, accepted: bool| {
        let scene = with_totp();
        scene.set_time(after);
        let result = scene.sign_in("ann", PASSPHRASE, Some(&code(steps)), source(HOME));
        assert_eq!(result.is_ok(), accepted, "{after:?} {steps}");
    };
    let millis = Duration::from_millis;
    check(millis(0), -2, false);
    check(millis(0), -1, true);
    check(millis(0), 0, true);
    check(millis(0), 1, true);
    check(millis(0), 2, false);
    check(millis(9_999), -1, true);
    check(millis(9_999), 2, false);
    check(millis(10_000), -1, false);
    check(millis(10_000), 2, true);
    check(millis(39_999), 0, true);
    check(millis(40_000), 0, false);
}

#[test]
fn a_one_time_secret_opens_only_where_it_belongs() {
    let scene = with_totp();
    let sign_in = || scene.sign_in("ann", PASSPHRASE, Some(&code(0)), source(HOME)).map(drop);
    let replace = |change: &dyn Fn(&mut crate::record::OwnedSecret)| {
        let mut secret = scene.secret(2, TOTP_SECRET);
        change(&mut secret);
        let kind = scene.passphrase(Some(secret));
        scene.publish(1, |record| {
            record.login = Some("ann".into());
            record.credentials = vec![credential(2, kind)];
        });
    };
    // Slots are used once: the first replacement is the good one.
    replace(&|_| {});
    let good = scene.engine.shared.catalogue.principal(scene.realm, PrincipalId([1; 16])).unwrap();
    let broken = |change: &dyn Fn(&mut PrincipalRecord)| {
        scene.publish(1, |record| {
            *record = good.record().clone();
            change(record);
        });
        assert_eq!(sign_in(), Err(REFUSED));
    };
    broken(&|record| record.credentials[0].id = CredentialId([3; 16]));
    broken(&|record| record.credentials[0].secret_mut().unwrap().number += 1);
    broken(&|record| record.credentials[0].secret_mut().unwrap().leaf = 501);
    broken(&|record| record.credentials[0].secret_mut().unwrap().leaf = 400);
    broken(&|record| record.credentials[0].secret_mut().unwrap().sealed[50] ^= 1);
    broken(&|record| record.credentials[0].secret_mut().unwrap().sealed = Box::default());
    scene.publish(1, |record| *record = good.record().clone());
    assert_eq!(sign_in(), Ok(()));
}

#[test]
fn a_passphrase_to_hash_has_bounds() {
    let scene = Scene::new();
    let check = |passphrase: &[u8], accepted: bool| {
        let result = scene.engine.hash_passphrase(passphrase);
        assert_eq!(result.is_ok(), accepted, "{}", passphrase.len());
    };
    check(b"", false);
    check(&[b'x'; PASSPHRASE_BYTES_MAX + 1], false);
    check(&[b'x'; PASSPHRASE_BYTES_MAX], true);
    check(b"x", true);
    let one = scene.engine.hash_passphrase(b"x").unwrap();
    assert_ne!(one, scene.engine.hash_passphrase(b"x").unwrap());
    assert!(one.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{one}");
}

/// The real cost, once: what a server without settings does.
#[test]
fn the_default_cost_works() {
    let scene = Scene::new();
    let Scene { engine, world, realm } = scene;
    let engine = engine.with_sign_in_limits(SignInLimits::default());
    let scene = Scene { engine, world, realm };
    scene.user(1, "ann");
    assert!(scene.sign_in("ann", PASSPHRASE, None, source(HOME)).is_ok());
}
