//! What authenticators say: what is taken, and every part of it said wrongly.

use coset::CoseKey;
use coset::cbor::value::Value as Cbor;

use super::authenticator::{ORIGIN, PRESENT, Passkey, VERIFIED, attestation_object, cbor, members};
use super::support::base64url;
use crate::UserVerification;
use crate::webauthn::{Fault, Registered, RelyingParty, check_assertion, check_registration};

const CHALLENGE: &str = "Y2gtMDAwMDAtMDAwMDAtMDAwMDAwMDAwMDAwMDAwMA";
const ALGORITHMS: [&str; 3] = ["ecdsa-p256", "ed25519", "rsa-2048"];

fn party(verification: UserVerification) -> RelyingParty<'static> {
    RelyingParty { id: "localhost", origins: &[], verification }
}

const REQUIRED: UserVerification = UserVerification::Required;

fn register(passkey: &Passkey, object: &[u8]) -> Result<Registered, Fault> {
    let data = passkey.client_data("webauthn.create", CHALLENGE);
    let id = passkey.cred_id();
    check_registration(&party(REQUIRED), CHALLENGE, &id, data.as_bytes(), object)
}

fn with_data(passkey: &Passkey, data: &[u8]) -> Result<Registered, Fault> {
    register(passkey, &attestation_object("none", Vec::new(), data))
}

fn assert_with(passkey: &Passkey, data: &[u8]) -> Result<u32, Fault> {
    let client_data = passkey.client_data("webauthn.get", CHALLENGE);
    let said = check_assertion(&party(REQUIRED), CHALLENGE, client_data.as_bytes(), data, false);
    said.map(|presented| presented.counter)
}

#[test]
fn keys_of_the_three_algorithms_are_registered_and_sign() {
    for algorithm in ALGORITHMS {
        let passkey = Passkey::new(algorithm, 1);
        passkey.counter.set(7);
        let registered = with_data(&passkey, &passkey.attested(passkey.cose())).unwrap();
        assert_eq!((registered.counter, registered.origin.as_str()), (7, ORIGIN), "{algorithm}");
        let said = passkey.said(passkey.flags);
        assert_eq!(assert_with(&passkey, &said), Ok(8));
        let data = passkey.client_data("webauthn.get", CHALLENGE);
        let signature = passkey.sign(&said, &data);
        let key = registered.key;
        let message = crate::webauthn::signed_bytes(&said, data.as_bytes());
        assert!(key.verify(key.scheme, &message, &signature), "{algorithm}");
        assert!(!key.verify(key.scheme, data.as_bytes(), &signature), "{algorithm}");
        assert!(key.pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{}", key.pem);
    }
}

#[test]
fn client_data_are_of_their_type_about_the_challenge_and_from_an_origin_of_the_domain() {
    let passkey = Passkey::new("ed25519", 1);
    let said = passkey.said(passkey.flags);
    let again = base64url(CHALLENGE);
    let localhost = party(REQUIRED);
    let listed = ["https://app.example".to_owned(), "android:apk-key-hash:x".to_owned()];
    let listed = RelyingParty { origins: &listed, ..localhost };
    let data = |kind: &str, challenge: &str, rest: &str| {
        format!(r#"{{"type":"{kind}","challenge":"{challenge}"{rest}}}"#)
    };
    let from = |origin: &str| data("webauthn.get", &again, &format!(r#","origin":"{origin}""#));
    let check = |party: &RelyingParty<'_>, data: &str, expected: Result<(), Fault>| {
        let said = check_assertion(party, CHALLENGE, data.as_bytes(), &said, false);
        assert_eq!(said.map(|_| ()), expected, "{data}");
    };
    let origin = r#","origin":"http://localhost:1""#;
    check(&localhost, &data("webauthn.get", CHALLENGE, origin), Ok(()));
    let more = r#","crossOrigin":false,"origin":"http://localhost","other":[1]"#;
    check(&localhost, &data("webauthn.get", &again, more), Ok(()));
    for origin in ["http://localhost", "https://localhost", "http://a.localhost:65535"] {
        check(&localhost, &from(origin), Ok(()));
    }
    for origin in [
        "",
        "localhost",
        "http://127.0.0.1",
        "http://evillocalhost",
        "http://localhost.example",
        "ftp://localhost",
        "http://localhost:",
        "http://localhost:x",
        "http://localhost:123456",
        "http://localhost/",
        "http://user@localhost",
        "http://LOCALHOST",
        "null",
    ] {
        check(&localhost, &from(origin), Err(Fault::Origin));
    }
    let of_domain = RelyingParty { id: "example.org", ..localhost };
    for (origin, fault) in [
        ("https://example.org", Fault::RelyingParty),
        ("https://app.example.org", Fault::RelyingParty),
        ("http://example.org", Fault::Origin),
        ("https://example.org.evil", Fault::Origin),
        ("https://badexample.org", Fault::Origin),
    ] {
        // The data are of another relying party: only the origins are looked at here.
        check(&of_domain, &from(origin), Err(fault));
    }
    for origin in ["https://app.example", "android:apk-key-hash:x"] {
        check(&listed, &from(origin), Ok(()));
    }
    for origin in ["http://localhost", "https://app.example:443", "https://app.example."] {
        check(&listed, &from(origin), Err(Fault::Origin));
    }
    for (data, fault) in [
        (data("webauthn.create", &again, origin), Fault::ClientData),
        (data("key.get", &again, origin), Fault::ClientData),
        (data("", &again, origin), Fault::ClientData),
        (data("webauthn.get", &base64url(&again), origin), Fault::Challenge),
        (data("webauthn.get", &again[1..], origin), Fault::Challenge),
        (data("webauthn.get", "", origin), Fault::Challenge),
        (data("webauthn.get", &again, ""), Fault::Origin),
        (data("webauthn.get", &again, r#","crossOrigin":true"#), Fault::CrossOrigin),
        (data("webauthn.get", &again, r#","crossOrigin":"no""#), Fault::CrossOrigin),
        ("[]".to_owned(), Fault::ClientData),
        ("{}".to_owned(), Fault::ClientData),
        ("{".to_owned(), Fault::ClientData),
        (String::new(), Fault::ClientData),
    ] {
        check(&localhost, &data, Err(fault));
    }
}

#[test]
fn authenticator_data_say_whose_key_it_is_and_who_was_there() {
    let passkey = Passkey::new("ed25519", 1);
    let good = passkey.said(PRESENT | VERIFIED);
    assert_eq!(assert_with(&passkey, &good), Ok(0));
    let flagged = |flags: u8| passkey.said(flags);
    let extended = |item: &[u8]| [passkey.said(0x85).as_slice(), item].concat();
    let map = cbor(&Cbor::Map(vec![(Cbor::from("credProps"), Cbor::Bool(true))]));
    assert_eq!(assert_with(&passkey, &extended(&map)), Ok(0));
    let mut other = good.clone();
    other[0] ^= 1;
    for (data, fault) in [
        (other, Fault::RelyingParty),
        (flagged(VERIFIED), Fault::UserPresence),
        (flagged(0), Fault::UserPresence),
        (flagged(PRESENT), Fault::UserVerification),
        (flagged(0x15), Fault::BackupState),
        (flagged(0x0d), Fault::BackupState),
        (good[..36].to_vec(), Fault::AuthenticatorData),
        (Vec::new(), Fault::AuthenticatorData),
        ([good.as_slice(), &[0]].concat(), Fault::AuthenticatorData),
        (flagged(0x85), Fault::AuthenticatorData),
        (extended(&[0xa0, 0]), Fault::AuthenticatorData),
        (extended(&[0x80]), Fault::AuthenticatorData),
        (extended(&[0xbf]), Fault::AuthenticatorData),
        (passkey.attested(passkey.cose()), Fault::AuthenticatorData),
    ] {
        assert_eq!(assert_with(&passkey, &data), Err(fault), "{data:?}");
    }
    for (verification, is_taken) in [
        (UserVerification::Required, false),
        (UserVerification::Preferred, true),
        (UserVerification::Discouraged, true),
    ] {
        let data = passkey.client_data("webauthn.get", CHALLENGE);
        let said = flagged(PRESENT);
        let party = party(verification);
        let found = check_assertion(&party, CHALLENGE, data.as_bytes(), &said, false);
        assert_eq!(found.is_ok(), is_taken);
    }
    // What could be backed up once can be later, and the other way round.
    let data = passkey.client_data("webauthn.get", CHALLENGE);
    for (flags, was_eligible, is_taken) in
        [(0x0d, true, true), (0x1d, true, true), (0x05, true, false), (0x0d, false, false)]
    {
        let said = flagged(flags);
        let party = party(REQUIRED);
        let found = check_assertion(&party, CHALLENGE, data.as_bytes(), &said, was_eligible);
        assert_eq!(found.is_ok(), is_taken, "{flags:x} {was_eligible}");
    }
}

#[test]
fn attestations_are_none_or_by_the_key_itself() {
    for algorithm in ALGORITHMS {
        let passkey = Passkey::new(algorithm, 1);
        let number = match algorithm {
            "ecdsa-p256" => -7,
            "ed25519" => -8,
            _ => -257,
        };
        let data = passkey.attested(passkey.cose());
        let client_data = passkey.client_data("webauthn.create", CHALLENGE);
        let signature = passkey.sign(&data, &client_data);
        let packed = |alg: i64, signature: &[u8]| {
            vec![
                (Cbor::from("alg"), Cbor::from(alg)),
                (Cbor::from("sig"), Cbor::Bytes(signature.to_vec())),
            ]
        };
        let check = |format: &str, statement: Vec<(Cbor, Cbor)>, expected: Option<Fault>| {
            let object = attestation_object(format, statement, &data);
            assert_eq!(register(&passkey, &object).err(), expected, "{algorithm} {format}");
        };
        check("none", Vec::new(), None);
        check("packed", packed(number, &signature), None);
        check("packed", packed(-35, &signature), Some(Fault::AttestationSignature));
        let other = Passkey::new(algorithm, 2).sign(&data, &client_data);
        check("packed", packed(number, &other), Some(Fault::AttestationSignature));
        check("packed", packed(number, &[]), Some(Fault::AttestationSignature));
        let mut of_maker = packed(number, &signature);
        of_maker.push((Cbor::from("x5c"), Cbor::Array(Vec::new())));
        for (format, statement) in [
            ("packed", of_maker),
            ("packed", Vec::new()),
            ("none", packed(number, &signature)),
            ("fido-u2f", Vec::new()),
            ("tpm", Vec::new()),
            ("apple", Vec::new()),
            ("", Vec::new()),
        ] {
            check(format, statement, Some(Fault::AttestationFormat));
        }
    }
}

#[test]
fn attestation_objects_are_closed() {
    let passkey = Passkey::new("ed25519", 1);
    let data = passkey.attested(passkey.cose());
    let member = |name: &str, value: Cbor| (Cbor::from(name), value);
    let full = || {
        vec![
            member("fmt", Cbor::from("none")),
            member("attStmt", Cbor::Map(Vec::new())),
            member("authData", Cbor::Bytes(data.clone())),
        ]
    };
    assert!(register(&passkey, &cbor(&Cbor::Map(full()))).is_ok());
    let mut bad: Vec<Vec<u8>> = vec![Vec::new(), vec![0xff], vec![0xa0], vec![0x5f], vec![0xbf]];
    for at in 0..3 {
        let mut lacking = full();
        lacking.remove(at);
        bad.push(cbor(&Cbor::Map(lacking.clone())));
        lacking.push(member("other", Cbor::Null));
        bad.push(cbor(&Cbor::Map(lacking.clone())));
        lacking.pop();
        lacking.push(lacking[0].clone());
        bad.push(cbor(&Cbor::Map(lacking)));
        let mut of_other_type = full();
        of_other_type[at].1 = Cbor::from(1);
        bad.push(cbor(&Cbor::Map(of_other_type)));
    }
    let mut more = full();
    more.push(member("more", Cbor::Null));
    bad.push(cbor(&Cbor::Map(more)));
    bad.push([cbor(&Cbor::Map(full())), vec![0]].concat());
    bad.push(cbor(&Cbor::Array(vec![Cbor::Map(full())])));
    // Deeper than anybody nests.
    bad.push(vec![0x81; 10_000]);
    for object in bad {
        assert_eq!(register(&passkey, &object).err(), Some(Fault::AttestationObject), "{object:?}");
    }
}

#[test]
fn attested_keys_are_of_known_algorithms_and_well_formed() {
    type Members = Vec<(Cbor, Cbor)>;
    let set = |members: &mut Members, label: i64, value: Cbor| {
        members.retain(|(found, _)| *found != Cbor::from(label));
        members.push((Cbor::from(label), value));
    };
    let p256 = Passkey::new("ecdsa-p256", 1);
    let rsa = Passkey::new("rsa-2048", 1);
    let check = |passkey: &Passkey, members: Members, fault: Fault| {
        let empty = passkey.attested(CoseKey::default());
        let placeholder = coset::CborSerializable::to_vec(CoseKey::default()).unwrap().len();
        let start = &empty[..empty.len() - placeholder];
        let data = [start, &cbor(&Cbor::Map(members.clone()))].concat();
        assert_eq!(with_data(passkey, &data).err(), Some(fault), "{members:?}");
    };
    for (label, value, fault) in [
        // ES384, ES512, PS256, ES256K, an unknown one, none.
        (3, Cbor::from(-35), Fault::Algorithm),
        (3, Cbor::from(-36), Fault::Algorithm),
        (3, Cbor::from(-37), Fault::Algorithm),
        (3, Cbor::from(-47), Fault::Algorithm),
        (3, Cbor::from("ES256"), Fault::Algorithm),
        (3, Cbor::from(-8), Fault::PublicKey),
        (3, Cbor::from(-257), Fault::PublicKey),
        (1, Cbor::from(1), Fault::PublicKey),
        (1, Cbor::from(3), Fault::PublicKey),
        (-1, Cbor::from(2), Fault::PublicKey),
        (-1, Cbor::from(8), Fault::PublicKey),
        (-2, Cbor::Bytes(vec![1; 31]), Fault::PublicKey),
        (-2, Cbor::Bytes(vec![1; 32]), Fault::PublicKey),
        (-2, Cbor::from(1), Fault::PublicKey),
        (-3, Cbor::Bytes(vec![0; 33]), Fault::PublicKey),
        (-3, Cbor::Bool(true), Fault::PublicKey),
        (-4, Cbor::Bytes(vec![1; 32]), Fault::PublicKey),
    ] {
        let mut changed = members(p256.cose());
        set(&mut changed, label, value);
        check(&p256, changed, fault);
    }
    for (label, value) in [
        (-1, Cbor::Bytes(vec![0; 256])),
        (-1, Cbor::Bytes(vec![0xff; 128])),
        (-1, Cbor::Bytes(Vec::new())),
        (-2, Cbor::Bytes(vec![0, 1, 0, 1])),
        (-2, Cbor::Bytes(vec![2])),
        (-2, Cbor::Bytes(Vec::new())),
        (-2, Cbor::from(65_537)),
        (-3, Cbor::Bytes(vec![1; 256])),
    ] {
        let mut changed = members(rsa.cose());
        set(&mut changed, label, value);
        check(&rsa, changed, Fault::PublicKey);
    }
    let mut twice = members(p256.cose());
    twice.push(twice[2].clone());
    check(&p256, twice, Fault::PublicKey);
    let mut lacking = members(p256.cose());
    lacking.retain(|(label, _)| *label != Cbor::from(3));
    check(&p256, lacking, Fault::Algorithm);
}

#[test]
fn an_attested_credential_is_the_one_that_the_client_names() {
    let passkey = Passkey::new("ed25519", 1);
    let data = passkey.attested(passkey.cose());
    let object = attestation_object("none", Vec::new(), &data);
    let client_data = passkey.client_data("webauthn.create", CHALLENGE);
    let check = |cred_id: &str| {
        let client_data = client_data.as_bytes();
        check_registration(&party(REQUIRED), CHALLENGE, cred_id, client_data, &object)
    };
    assert!(check(&passkey.cred_id()).is_ok());
    assert!(check(&format!("{}=", passkey.cred_id())).is_ok());
    for bad in ["", "x", "!", &base64url([2; 32]), &base64url([1; 31])] {
        assert_eq!(check(bad).err(), Some(Fault::CredentialId), "{bad}");
    }
    // Nothing attested, nothing of a name, something after the end.
    let mut length = data.clone();
    length[53..55].copy_from_slice(&[0, 0]);
    let mut long = data.clone();
    long[53..55].copy_from_slice(&[0xff, 0xff]);
    for data in [
        passkey.said(PRESENT | VERIFIED),
        passkey.said(PRESENT | VERIFIED | 0x40),
        data[..54].to_vec(),
        length,
        long,
        [data.as_slice(), &[0xa0]].concat(),
    ] {
        assert_eq!(with_data(&passkey, &data).err(), Some(Fault::AuthenticatorData));
    }
    let cut = &data[..data.len() - 1];
    assert_eq!(with_data(&passkey, cut).err(), Some(Fault::PublicKey));
}

#[test]
fn an_attestation_with_one_bit_altered_never_holds() {
    let passkey = Passkey::new("ed25519", 1);
    let data = passkey.attested(passkey.cose());
    let client_data = passkey.client_data("webauthn.create", CHALLENGE);
    let signature = passkey.sign(&data, &client_data);
    let statement =
        vec![(Cbor::from("alg"), Cbor::from(-8)), (Cbor::from("sig"), Cbor::Bytes(signature))];
    let object = attestation_object("packed", statement, &data);
    assert!(register(&passkey, &object).is_ok());
    for at in 0..object.len() * 8 {
        let mut altered = object.clone();
        altered[at / 8] ^= 1 << (at % 8);
        assert!(register(&passkey, &altered).is_err(), "bit {at}");
        assert!(register(&passkey, &object[..at / 8]).is_err(), "cut at {}", at / 8);
    }
}
