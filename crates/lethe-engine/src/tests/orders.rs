//! Destructions that are ordered by a signed challenge: what stands in the receipt, and what is no
//! order for exactly this.

use lethe_types::{CredentialId, Permission, UnixMillis};

use super::rig::{Rig, START_MS, Signer, acme, aes, alias, as_principal, on, said_of};
use crate::record::Scope;
use crate::{ChallengedRequest, CreateKeyRequest, DestroyRequest, SignedRequest};

/// A key with the alias `tag`, and somebody who may destroy it.
fn scene() -> (Rig, Signer, DestroyRequest, ChallengedRequest) {
    let mut rig = Rig::new();
    let realm = rig.realm();
    let key = rig.key(CreateKeyRequest { aliases: vec![alias("tag")], ..aes("key") }).unwrap();
    let rights = [Permission::KeysDestroy, Permission::KeysRead];
    let signer = rig.signer("carol", on(Scope::Realm, &rights));
    let order = ChallengedRequest {
        realm,
        principal: signer.principal,
        credential: CredentialId([9; 16]),
        method: "DELETE".to_owned(),
        path: "/keys/tag".to_owned(),
        body_sha256: [0; 32],
        nonce: [1; 32],
        time: UnixMillis(START_MS),
    };
    (rig, signer, DestroyRequest::new(key), order)
}

fn client_data(challenge: &str) -> String {
    format!("{{\"type\":\"key.get\",\"challenge\":\"{challenge}\"}}")
}

fn signed(signer: &Signer, order: &ChallengedRequest) -> SignedRequest {
    let statement = client_data(&order.challenge());
    let signature = signer.sign(&statement);
    let plain = SignedRequest::plain(signer.credential, statement, &signature);
    SignedRequest { request: Some(order.clone()), ..plain }
}

/// What becomes of the destruction.
fn destroy(rig: &mut Rig, signer: &Signer, request: DestroyRequest) -> String {
    let realm = rig.realm();
    let principal = signer.principal;
    rig.run(async |engine| {
        let caller = as_principal(engine, realm, principal).unwrap();
        said_of(engine.destroy_key(&caller, request).await)
    })
}

#[test]
fn an_order_is_in_the_receipt_and_holds() {
    let (mut rig, signer, request, order) = scene();
    let key = request.key;
    let request = DestroyRequest { signed: Some(signed(&signer, &order)), ..request };
    assert_eq!(destroy(&mut rig, &signer, request), "destroyed");
    let receipt = rig.engine.receipt(&acme(&rig.engine), key).unwrap();
    let vkey = rig.engine.log_vkey().parse().unwrap();
    let verified = lethe_verify::verify(receipt.to_proof().unwrap().as_bytes(), &vkey).unwrap();
    assert_eq!(verified.requests[0].ordered, Some(order));
}

#[test]
fn what_is_no_order_for_exactly_this_destroys_nothing() {
    let (mut rig, signer, request, order) = scene();
    let other = rig.signer("dave", on(Scope::Realm, &[Permission::KeysDestroy]));
    type Change = fn(&mut ChallengedRequest);
    let changes: [Change; 6] = [
        |order| order.method = "PUT".to_owned(),
        |order| order.path = "/keys/other".to_owned(),
        |order| order.path = "tag".to_owned(),
        |order| order.realm.0[0] ^= 1,
        |order| order.principal.0[0] ^= 1,
        |order| order.time = UnixMillis(START_MS + 3_600_000),
    ];
    let mut bad: Vec<SignedRequest> = Vec::new();
    for change in changes {
        let mut order = order.clone();
        change(&mut order);
        bad.push(signed(&signer, &order));
    }
    let good = signed(&signer, &order);
    let mut changed = order.clone();
    changed.nonce[0] ^= 1;
    bad.push(SignedRequest { request: Some(changed), ..good.clone() });
    bad.push(SignedRequest { statement: format!("{} ", good.statement), ..good.clone() });
    bad.push(SignedRequest { signature: other.sign(&good.statement), ..good.clone() });
    bad.push(SignedRequest { credential: other.credential, ..good.clone() });
    let text = order.to_text();
    let plain = SignedRequest::plain(signer.credential, text.clone(), &signer.sign(&text));
    bad.push(SignedRequest { request: Some(order), ..plain });
    for (at, signed) in bad.into_iter().enumerate() {
        let request = DestroyRequest { signed: Some(signed), ..request.clone() };
        let said = destroy(&mut rig, &signer, request);
        assert!(said.contains("evidence_not_valid"), "case {at}: {said}");
    }
    let request = DestroyRequest { signed: Some(good), ..request };
    assert_eq!(destroy(&mut rig, &signer, request), "destroyed");
}
