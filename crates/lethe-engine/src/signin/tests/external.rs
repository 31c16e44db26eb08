//! Public keys and shared secrets under names of doors.

use std::cell::Cell;

use lethe_crypto::SystemEntropy;
use lethe_crypto::hash::hmac_sha256;
use lethe_crypto::registry::{Algorithm, SignatureScheme, UsableKey};
use lethe_types::limits::EXTERNAL_NAME_BYTES_MAX;
use lethe_types::{CredentialId, PrincipalId, RealmId, UnixMillis};

use super::support::{DOOR, NOW, REFUSED, REQUEST, Scene, credential};
use crate::record::{CredentialKind, PrincipalRecord};
use crate::{Caller, EngineError, Proof};

const SECRET: &[u8] = b"SKEXAMPLE0123456789ABCDEF";
const MESSAGE: &[u8] = b"DELETE /keys/1";

fn key(algorithm: &str) -> UsableKey {
    let algorithm = Algorithm::from_name(algorithm).unwrap();
    let (secret, _) = algorithm.generate(&SystemEntropy).unwrap().into_parts();
    algorithm.load(&secret).unwrap()
}

fn public_key(external: &str, scheme: &str, key: &UsableKey) -> CredentialKind {
    CredentialKind::PublicKey {
        external: external.into(),
        scheme: scheme.into(),
        spki_der: key.public_key().unwrap().spki_der().into(),
    }
}

/// A principal with a shared secret `AK1` as credential 1, an Ed25519 key `cr-1` as credential 2.
fn scene() -> (Scene, UsableKey) {
    let scene = Scene::new();
    let signer = key("ed25519");
    let secret = scene.secret(1, SECRET);
    let shared = CredentialKind::SharedSecret { external: "AK1".into(), secret };
    let public = public_key("cr-1", "ed25519", &signer);
    scene.publish(1, |record| {
        record.credentials = vec![credential(1, shared), credential(2, public)]
    });
    (scene, signer)
}

fn authenticate(
    scene: &Scene,
    external: &str,
    check: impl FnOnce(&Proof<'_>) -> bool,
) -> Result<Caller, EngineError> {
    scene.engine.authenticate_external(DOOR, REQUEST, scene.realm, external, check)
}

#[test]
fn a_shared_secret_proves_who_computes_with_it() {
    let (scene, _) = scene();
    let tag = hmac_sha256(SECRET, &[MESSAGE]);
    let caller = authenticate(&scene, "AK1", |proof| {
        let Proof::SharedSecret(secret) = proof else { return false };
        secret.expose() == SECRET && proof.verify(MESSAGE, &tag)
    })
    .unwrap();
    assert_eq!(caller.principal(), PrincipalId([1; 16]));
    assert_eq!(caller.credential, Some(CredentialId([1; 16])));
    assert_eq!(scene.events(), [("authenticate".to_owned(), None)]);
    let refused = |message: &[u8], tag: &[u8]| {
        let result = authenticate(&scene, "AK1", |proof| proof.verify(message, tag));
        assert_eq!(result.unwrap_err(), REFUSED);
        let code = Some("authentication_not_successful".to_owned());
        assert_eq!(scene.events(), [("authenticate".to_owned(), code)]);
    };
    refused(b"DELETE /keys/2", &tag);
    refused(MESSAGE, &tag[..31]);
    refused(MESSAGE, &[]);
    refused(MESSAGE, &hmac_sha256(b"another", &[MESSAGE]));
}

#[test]
fn a_public_key_proves_who_signs() {
    let (scene, signer) = scene();
    let signature = signer.sign(None, MESSAGE).unwrap();
    let by = |external: &str, message: &[u8], signature: &[u8]| {
        authenticate(&scene, external, |proof| proof.verify(message, signature)).map(drop)
    };
    assert_eq!(by("cr-1", MESSAGE, &signature), Ok(()));
    let seen = authenticate(&scene, "cr-1", |proof| {
        let Proof::PublicKey { scheme, spki_der } = proof else { return false };
        *scheme == "ed25519" && spki_der.len() == 44
    });
    assert!(seen.is_ok());
    assert_eq!(by("cr-1", b"another", &signature), Err(REFUSED));
    assert_eq!(by("cr-1", MESSAGE, &signature[1..]), Err(REFUSED));
    assert_eq!(by("cr-1", MESSAGE, &[]), Err(REFUSED));
    assert_eq!(by("cr-1", MESSAGE, &key("ed25519").sign(None, MESSAGE).unwrap()), Err(REFUSED));
    // The secret of one credential is no signature of another.
    assert_eq!(by("cr-1", MESSAGE, &hmac_sha256(SECRET, &[MESSAGE])), Err(REFUSED));
    assert_eq!(by("AK1", MESSAGE, &signature), Err(REFUSED));
}

#[test]
fn a_name_that_there_is_not_is_checked_without_effect() {
    let (scene, _) = scene();
    let long = "a".repeat(EXTERNAL_NAME_BYTES_MAX + 1);
    for external in ["", "AK", "AK2", "ak1", "AK1 ", "1", &long] {
        let calls = Cell::new(0);
        let result = authenticate(&scene, external, |proof| {
            calls.set(calls.get() + 1);
            matches!(proof, Proof::SharedSecret(_))
        });
        assert_eq!(result.unwrap_err(), REFUSED, "{external}");
        assert_eq!(calls.get(), 1, "{external}");
    }
    let elsewhere =
        scene.engine.authenticate_external(DOOR, REQUEST, RealmId([8; 16]), "AK1", |_| true);
    assert_eq!(elsewhere.unwrap_err(), REFUSED);
    let refused = authenticate(&scene, "AK1", |_| false);
    assert_eq!(refused.unwrap_err(), REFUSED);
}

/// Changes one thing of a principal whose secret would be right.
fn check_record(accepted: bool, change: impl FnOnce(&mut PrincipalRecord)) {
    let (scene, _) = scene();
    let before = scene.engine.shared.catalogue.principal(scene.realm, PrincipalId([1; 16]));
    scene.publish(1, |record| {
        *record = before.unwrap().record().clone();
        change(record);
    });
    let result = authenticate(&scene, "AK1", |_| true);
    assert_eq!(result.map(drop), if accepted { Ok(()) } else { Err(REFUSED) });
}

#[test]
fn who_cannot_act_does_not_get_in() {
    check_record(true, |_| {});
    check_record(false, |record| record.suspended = true);
    check_record(false, |record| record.revoked = Some(NOW));
    check_record(false, |record| record.credentials[0].suspended = true);
    check_record(false, |record| record.credentials[0].expires = Some(NOW));
    check_record(true, |record| record.credentials[0].expires = Some(UnixMillis(NOW.0 + 1)));
    check_record(false, |record| record.credentials.clear());
    // The record key of the secret is gone, or another's.
    check_record(false, |record| record.credentials[0].secret_mut().unwrap().leaf = 400);
    check_record(false, |record| record.credentials[0].secret_mut().unwrap().number = 9);
}

#[test]
fn a_live_credential_counts_before_a_dead_one_of_the_same_name() {
    for (dead, live) in [(1, 2), (2, 1)] {
        let scene = Scene::new();
        let signer = key("ed25519");
        for (number, suspended) in [(dead, true), (live, false)] {
            let kind = public_key("name", "ed25519", &signer);
            scene.publish(number, |record| {
                record.suspended = suspended;
                record.credentials = vec![credential(number, kind)];
            });
        }
        let caller = authenticate(&scene, "name", |_| true).unwrap();
        assert_eq!(caller.principal(), PrincipalId([live; 16]));
    }
}

#[test]
fn signatures_of_every_scheme_are_verified_and_of_no_other() {
    for algorithm in ["ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"] {
        let signer = key(algorithm);
        let spki_der = signer.public_key().unwrap().spki_der();
        for &scheme in signer.algorithm().schemes() {
            // A proof has no context, without which this scheme signs and verifies nothing.
            if scheme == SignatureScheme::Ed25519ctx {
                assert!(signer.sign(Some(scheme), MESSAGE).is_err());
                continue;
            }
            let signature = signer.sign(Some(scheme), MESSAGE).unwrap();
            let proof = |scheme: &'static str| Proof::PublicKey { scheme, spki_der };
            assert!(proof(scheme.as_str()).verify(MESSAGE, &signature), "{scheme}");
            assert!(!proof(scheme.as_str()).verify(b"another", &signature), "{scheme}");
            assert!(!proof("x25519").verify(MESSAGE, &signature));
            assert!(!proof("nonsense").verify(MESSAGE, &signature));
            for &other in SignatureScheme::ALL.iter().filter(|&&other| other != scheme) {
                assert!(!proof(other.as_str()).verify(MESSAGE, &signature), "{other}");
            }
            let broken = Proof::PublicKey { scheme: scheme.as_str(), spki_der: &spki_der[1..] };
            assert!(!broken.verify(MESSAGE, &signature));
        }
    }
}

#[test]
fn a_second_proof_is_of_a_live_key_of_the_caller() {
    let (scene, signer) = scene();
    let ecdsa = key("ecdsa-p256");
    let agreement = key("x25519");
    let add = |record: &mut PrincipalRecord| {
        record.credentials.push(credential(3, public_key("cr-3", "ecdsa-sha256", &ecdsa)));
        record.credentials.push(credential(4, public_key("cr-4", "x25519", &agreement)));
    };
    let now = |scene: &Scene| {
        let catalogue = &scene.engine.shared.catalogue;
        catalogue.principal(scene.realm, PrincipalId([1; 16])).unwrap().record().clone()
    };
    let before = now(&scene);
    scene.publish(1, |record| *record = before);
    let mut changed = now(&scene);
    add(&mut changed);
    scene.publish(1, |record| *record = changed);
    scene.publish(9, |record| {
        record.credentials = vec![credential(9, public_key("cr-9", "ed25519", &signer))];
    });
    let caller = authenticate(&scene, "AK1", |_| true).unwrap();
    scene.events();
    let check = |number: u8, scheme: Option<&str>, signature: &[u8], accepted: bool| {
        let scheme = scheme.map(|name| name.parse().unwrap());
        let id = CredentialId([number; 16]);
        let result = scene.engine.verify_signature_of(&caller, id, scheme, MESSAGE, signature);
        assert_eq!(result, if accepted { Ok(()) } else { Err(REFUSED) }, "{number} {scheme:?}");
        let code = (!accepted).then(|| "authentication_not_successful".to_owned());
        assert_eq!(scene.events(), [("authenticate".to_owned(), code)]);
    };
    let signature = signer.sign(None, MESSAGE).unwrap();
    check(2, None, &signature, true);
    check(2, Some("ed25519"), &signature, true);
    check(2, Some("ecdsa-sha256"), &signature, false);
    check(2, None, &signature[1..], false);
    check(2, None, &[], false);
    check(1, None, &signature, false);
    check(3, None, &signature, false);
    check(4, None, &signature, false);
    check(4, Some("ed25519"), &signature, false);
    check(5, None, &signature, false);
    // The same key, but another principal's credential.
    check(9, None, &signature, false);
    let fixed = "ecdsa-sha256-p1363";
    let signature = ecdsa.sign(Some(fixed.parse().unwrap()), MESSAGE).unwrap();
    check(3, Some(fixed), &signature, true);
    check(3, None, &signature, false);
    // What ended since the caller came in proves nothing.
    let signature = signer.sign(None, MESSAGE).unwrap();
    let changes: [fn(&mut PrincipalRecord); 5] = [
        |record| record.credentials[1].suspended = true,
        |record| record.credentials[1].expires = Some(NOW),
        |record| drop(record.credentials.remove(1)),
        |record| record.suspended = true,
        |record| record.revoked = Some(NOW),
    ];
    for change in changes {
        let good = now(&scene);
        let mut ended = good.clone();
        change(&mut ended);
        scene.publish(1, |record| *record = ended);
        check(2, None, &signature, false);
        scene.publish(1, |record| *record = good);
    }
    check(2, None, &signature, true);
}

#[test]
fn a_secret_is_opened_for_its_own_principal_alone() {
    let (scene, _) = scene();
    scene.publish(2, |_| {});
    let caller = |principal: u8| {
        let principal = PrincipalId([principal; 16]);
        scene.engine.caller_of(scene.realm, principal, None, DOOR, REQUEST).unwrap()
    };
    let (owner, other) = (caller(1), caller(2));
    let open = |caller: &Caller, number: u8| {
        scene.engine.open_shared_secret(caller, CredentialId([number; 16]))
    };
    assert!(open(&owner, 1).unwrap().ct_eq(SECRET));
    assert!(scene.events().is_empty());
    for (caller, number) in [(&owner, 2), (&owner, 3), (&other, 1), (&other, 2)] {
        assert_eq!(open(caller, number).map(drop), Err(REFUSED));
        assert_eq!(scene.events().len(), 1);
    }
    let good = scene.engine.shared.catalogue.principal(scene.realm, PrincipalId([1; 16])).unwrap();
    let mut ended = good.record().clone();
    ended.suspended = true;
    scene.publish(1, |record| *record = ended);
    assert_eq!(open(&owner, 1).map(drop), Err(REFUSED));
}
