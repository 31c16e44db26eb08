//! Orders that were signed as a challenge: whose, for what, and every part of them altered.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lethe_log::{ChallengedRequest, ClientKey, ROLE_APPROVER, ROLE_REQUESTER, SignedStatement};
use lethe_types::{CredentialId, PrincipalId, RealmId, UnixMillis};

use super::fixture::{Person, approval_text, issue, log_key, parts, signer};
use crate::{EvidenceFault, Verified, VerifyError, verify};

/// A request to delete the key of [`parts`], whose alias is `tag-1`.
fn order() -> ChallengedRequest {
    ChallengedRequest {
        realm: RealmId([0xd4; 16]),
        principal: PrincipalId([1; 16]),
        credential: CredentialId([0x0c; 16]),
        method: "DELETE".to_owned(),
        path: "/keys/tag-1".to_owned(),
        body_sha256: lethe_crypto::hash::sha256(&[]),
        nonce: [0x11; 32],
        time: UnixMillis(1_790_000_000_000 - 2_000),
    }
}

fn client_data(challenge: &str) -> String {
    format!(r#"{{"type":"key.get","challenge":"{challenge}","crossOrigin":false}}"#)
}

fn signed(person: &Person, order: &ChallengedRequest) -> SignedStatement {
    let statement = person.sign(ROLE_REQUESTER, &client_data(&order.challenge()));
    SignedStatement { request: Some(order.to_text()), ..statement }
}

fn verdict(evidence: SignedStatement) -> Result<Verified, VerifyError> {
    let mut parts = parts();
    parts.detail.evidence = vec![evidence];
    let receipt = issue(&parts, &signer(1));
    let forms = [receipt.to_proof(), receipt.to_header(), receipt.to_json()];
    let [proof, header, json] = forms.map(|form| verify(form.unwrap().as_bytes(), &log_key()));
    assert_eq!(proof, header);
    assert_eq!(proof, json);
    proof
}

#[track_caller]
fn refused(evidence: SignedStatement, why: EvidenceFault) {
    let principal = evidence.principal;
    assert_eq!(verdict(evidence), Err(VerifyError::Evidence { principal, why }));
}

#[test]
fn an_order_is_proven_with_every_kind_of_key() {
    for person in [
        Person::new(1, "ed25519", "ed25519"),
        Person::new(1, "ecdsa-p256", "ecdsa-sha256"),
        Person::new(1, "ecdsa-secp256k1", "ecdsa-sha256"),
    ] {
        let verified = verdict(signed(&person, &order())).unwrap();
        assert_eq!(verified.requests[0].ordered, Some(order()));
        let told = verified.explain();
        let words = "exactly this order: DELETE \"/keys/tag-1\" without a body, by principal 0101";
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn orders_for_something_else_are_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut ChallengedRequest), why: EvidenceFault) {
        let mut order = order();
        change(&mut order);
        refused(signed(&Person::new(1, "ed25519", "ed25519"), &order), why);
    }
    check(|order| order.method = "POST".to_owned(), EvidenceFault::OtherOperation);
    check(|order| order.path = "/keys/tag-2".to_owned(), EvidenceFault::OtherKey);
    check(|order| order.path = "/keys/tag-1/export".to_owned(), EvidenceFault::OtherKey);
    check(|order| order.path = "/keys/".to_owned(), EvidenceFault::OtherKey);
    check(|order| order.realm = RealmId([0xd5; 16]), EvidenceFault::OtherRealm);
    check(|order| order.principal = PrincipalId([2; 16]), EvidenceFault::OtherRequester);
}

/// Both times are of clocks that the server reads.
#[test]
fn an_order_from_after_the_destruction_is_told() {
    for (time, is_told) in [(1_790_000_000_005, false), (1_790_000_000_006, true)] {
        let order = ChallengedRequest { time: UnixMillis(time), ..order() };
        let verified = verdict(signed(&Person::new(1, "ed25519", "ed25519"), &order)).unwrap();
        let told = verified.explain().contains("That is after the key was refused for use.");
        assert_eq!(told, is_told);
    }
}

/// The signature holds; what stands beside it is not what was signed.
#[test]
fn every_altered_part_of_an_order_is_refused() {
    let person = Person::new(1, "ed25519", "ed25519");
    let good = signed(&person, &order());
    let text = order().to_text();
    for (from, to) in [
        ("realm d4", "realm d5"),
        ("principal 01", "principal 02"),
        ("credential 0c", "credential 0d"),
        ("method DELETE", "method PUT"),
        ("/keys/tag-1", "/keys/tag-2"),
        ("body-sha256 e3", "body-sha256 e4"),
        ("nonce 11", "nonce 12"),
        (".000Z", ".001Z"),
    ] {
        assert!(text.contains(from), "{from}");
        let request = Some(text.replacen(from, to, 1));
        refused(SignedStatement { request, ..good.clone() }, EvidenceFault::Challenge);
    }
    for (from, to) in [
        ("lethe-request/v1", "lethe-request/v2"),
        ("realm d4", "realm D4"),
        ("realm d4", "Realm d4"),
        ("DELETE\n", "delete\n"),
        ("DELETE\n", "DELETE \n"),
        ("path /", "path "),
        ("/tag-1", "/tag-1 "),
        ("/tag-1", "/tag-1\r"),
        ("body-sha256 e3", "body-sha256 E3"),
        ("nonce 1111", "nonce 11"),
        (".000Z\n", "Z\n"),
        (".000Z\n", ".000Z"),
        (".000Z\n", ".000Z\nand more\n"),
    ] {
        assert!(text.contains(from), "{from}");
        let request = Some(text.replacen(from, to, 1));
        refused(SignedStatement { request, ..good.clone() }, EvidenceFault::NotARequest);
    }
    let mut bad = good.clone();
    bad.signature[5] ^= 1;
    refused(bad, EvidenceFault::Signature);
    let mut bad = good.clone();
    bad.statement = bad.statement.replacen("false", "true", 1);
    refused(bad, EvidenceFault::Signature);
    let other = Person::new(2, "ed25519", "ed25519").sign(ROLE_REQUESTER, "x");
    refused(
        SignedStatement { public_key_der: other.public_key_der, ..good },
        EvidenceFault::Signature,
    );
}

/// The signature is genuine, and the text that was signed does not answer the challenge.
#[test]
fn other_client_data_are_refused() {
    let person = Person::new(1, "ed25519", "ed25519");
    let challenge = order().challenge();
    for statement in [
        client_data(&challenge[1..]),
        client_data(&format!("{challenge}=")),
        client_data(""),
        client_data(&challenge).replacen("key.get", "key.create", 1),
        client_data(&challenge).replacen("\"type\"", "\"kind\"", 1),
        client_data(&challenge).replacen("\"challenge\"", "\"Challenge\"", 1),
        client_data(&challenge).replacen('{', "{\"challenge\":\"x\",", 1),
        format!("[{}]", client_data(&challenge)),
        format!("{}x", client_data(&challenge)),
        challenge.clone(),
        order().to_text(),
    ] {
        let plain = person.sign(ROLE_REQUESTER, &statement);
        let evidence = SignedStatement { request: Some(order().to_text()), ..plain };
        refused(evidence, EvidenceFault::Challenge);
    }
}

#[test]
fn an_approval_has_no_request_beside_it() {
    let person = Person::new(1, "ed25519", "ed25519");
    let plain = person.sign(ROLE_APPROVER, &approval_text());
    let mut parts = parts();
    parts.detail.evidence = vec![SignedStatement { request: Some(order().to_text()), ..plain }];
    assert!(parts.detail.to_json().is_err());
}

/// Authenticator data with these flags: the hash of a relying party, flags, a counter.
fn authenticator_data(flags: u8) -> Vec<u8> {
    [[0x5a; 32].as_slice(), &[flags, 0, 0, 0, 9]].concat()
}

fn by_passkey(person: &Person, kind: &str, challenge: &str, data: &[u8]) -> SignedStatement {
    let statement = format!(
        r#"{{"type":"{kind}","challenge":"{challenge}","origin":"http://localhost:1","crossOrigin":false}}"#,
    );
    let signed = person.sign_as_passkey(&statement, data);
    SignedStatement { request: Some(order().to_text()), ..signed }
}

#[test]
fn an_order_is_proven_by_a_passkey() {
    let challenge = order().challenge();
    let again = URL_SAFE_NO_PAD.encode(&challenge);
    for person in
        [Person::new(1, "ed25519", "ed25519"), Person::new(1, "ecdsa-p256", "ecdsa-sha256")]
    {
        for challenge in [&challenge, &again] {
            let evidence =
                by_passkey(&person, "webauthn.get", challenge, &authenticator_data(0x05));
            let verified = verdict(evidence).unwrap();
            assert_eq!(verified.requests[0].ordered, Some(order()));
            assert_eq!(verified.requests[0].kind, ClientKey::Passkey);
            assert!(verified.explain().contains("signed with a passkey, while a person was"));
        }
    }
}

#[test]
fn what_a_passkey_signed_differently_is_refused() {
    let person = Person::new(1, "ed25519", "ed25519");
    let challenge = order().challenge();
    let again = URL_SAFE_NO_PAD.encode(&challenge);
    let data = authenticator_data(0x05);
    let good = by_passkey(&person, "webauthn.get", &again, &data);
    for (kind, challenge) in [
        ("webauthn.create", again.as_str()),
        ("key.get", &again),
        ("key.get", &challenge),
        ("webauthn.get", &URL_SAFE_NO_PAD.encode(&again)),
        ("webauthn.get", &again[1..]),
        ("webauthn.get", ""),
    ] {
        refused(by_passkey(&person, kind, challenge, &data), EvidenceFault::Challenge);
    }
    // Nobody was there, or the data are none.
    for data in [authenticator_data(0x04), authenticator_data(0), data[..36].to_vec()] {
        let evidence = by_passkey(&person, "webauthn.get", &again, &data);
        refused(evidence, EvidenceFault::Authenticator);
    }
    let mut altered = data.clone();
    altered[36] ^= 1;
    for authenticator_data in [Some(altered), None] {
        let evidence = SignedStatement { authenticator_data, ..good.clone() };
        refused(evidence, EvidenceFault::Signature);
    }
    // What a plain key signed is nothing that a passkey signed.
    let plain = signed(&person, &order());
    let evidence = SignedStatement { authenticator_data: Some(data), ..plain };
    refused(evidence, EvidenceFault::Signature);
}
