//! Imports and exports of shares, against the bytes of the client's own library.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::SystemEntropy;
use lethe_crypto::registry::{Algorithm, KeyFormat};
use lethe_crypto::shares::{Share, combine, split};
use lethe_engine::{Engine, ExportTo};
use lethe_types::{RealmId, Secret, SecretVec};
use serde_json::{Map, Value, json};

use super::sealed::{self, Sealed};
use super::{ExportForm, ImportForm, Imported, ShareError, Signers, public_of};
use crate::signing::{KeyKind, Origin};
use crate::tests::support::World;

struct Rig {
    engine: Arc<Engine>,
    realm: RealmId,
    signers: Signers,
}

static RIG: LazyLock<Rig> = LazyLock::new(|| {
    wait(async {
        let engine = World::new().engine.clone();
        let realm = engine.ensure_realm(&"acme".parse().unwrap()).await.unwrap();
        let signers = Signers::ensure(&engine, realm).await.unwrap();
        Rig { engine, realm, signers }
    })
});

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn bytes(text: &str) -> Vec<u8> {
    crate::signing::fields::hex_of(text).unwrap()
}

fn scalar(text: &str) -> Secret<32> {
    let bytes: [u8; 32] = bytes(text).try_into().unwrap();
    Secret::init_with(|buf| *buf = bytes)
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// The signers as clients see them: identifier, point.
fn seen_signers() -> Vec<(String, Vec<u8>)> {
    let answer = RIG.signers.to_json();
    let signers = answer["clusters"][0]["signers"].as_array().unwrap();
    let one = |signer: &Value| {
        let key = STANDARD.decode(signer["encryptionKey"].as_str().unwrap()).unwrap();
        assert_eq!((key.len(), key[0]), (34, 1));
        (signer["signerId"].as_str().unwrap().to_owned(), key[1..].to_vec())
    };
    signers.iter().map(one).collect()
}

type ChangeShare = fn(usize, &mut Value);
type ChangeBody = fn(&mut Value);

/// What is different about an import, for cases that are refused.
#[derive(Default)]
struct Alter {
    /// Shares that are sent, by their place; all if there is none.
    sent: Option<Vec<usize>>,
    /// How the plaintext of the share at a place is changed.
    plain: Option<ChangeShare>,
    /// How the body is changed.
    body: Option<ChangeBody>,
}

/// A body as the client's library makes it, of shares for the first signers.
fn body_of(kind: KeyKind, protocol: &str, shares: &[Share], alter: &Alter) -> Value {
    let signers = seen_signers();
    let publics: Vec<Value> = shares
        .iter()
        .map(|share| {
            let point = super::hex(&public_of(kind, &share.value).unwrap());
            json!({"curve": kind.curve(), "point": point})
        })
        .collect();
    let mut written = Vec::new();
    for (at, (share, (id, point))) in shares.iter().zip(&signers).enumerate() {
        let mut plain = json!({
            "version": 1,
            "secret_share": {"curve": kind.curve(), "scalar": super::hex(share.value.expose())},
            "public_shares": publics,
        });
        if let Some(change) = alter.plain {
            change(at, &mut plain);
        }
        let plain = SecretVec::from_vec(plain.to_string().into_bytes());
        let sealed = sealed::seal(point, &plain, &SystemEntropy).unwrap();
        written.push(json!({"signerId": id, "encryptedKeyShare": sealed}));
    }
    if let Some(sent) = &alter.sent {
        written = sent.iter().map(|at| written[*at].clone()).collect();
    }
    let mut body = json!({
        "curve": kind.curve(), "protocol": protocol, "minSigners": 3,
        "encryptedKeyShares": written,
    });
    if let Some(change) = alter.body {
        change(&mut body);
    }
    body
}

fn open(body: &Value) -> Result<Imported, ShareError> {
    ImportForm::read(object(body))?.open(&RIG.signers, &SystemEntropy)
}

/// The public key of an import, and its material.
fn public_key(kind: KeyKind, imported: &Imported) -> String {
    let name = kind.algorithm_name(imported.origin).unwrap();
    let algorithm = Algorithm::from_name(name).unwrap();
    let material = algorithm.import(KeyFormat::Raw, imported.key.expose()).unwrap();
    let public = material.public_key().unwrap();
    super::hex(&public.sec1_compressed().unwrap_or_else(|| public.raw().to_vec()))
}

fn shares_of(values: &[&str]) -> Vec<Share> {
    let numbered = (1..).zip(values);
    numbered.map(|(index, value)| Share { index, value: scalar(value) }).collect()
}

fn published(kind: KeyKind) -> Vec<Share> {
    match kind {
        KeyKind::EdDsa => shares_of(&[
            "0e67d82ea6bf87c7171eb30440d8fd6ca62e8029ec40ee9e0564a7828badc51b",
            "0f46eb8ee2aedaa3519009ca3a59847613e5980e67199a16c7d51e7ec90b4c42",
            "00ebd3704b47033dd75a473add044463f5bf906399732c71ce976783c7ae39a8",
        ]),
        KeyKind::Ecdsa | KeyKind::EcdsaStark | KeyKind::Schnorr | KeyKind::Dh => shares_of(&[
            "68e9b7adc42af406239b7777a3718e0290f21de2f3e04da03b7a9f0d658f637c",
            "aeddac423ebb71f896f251c6c6f1f929e001e2586bd857b8c715dd09e78fdb39",
            "8f04ff96604e844ec5c76ebec6ab750d16ad4e146db0d69e78ec5f27fc83e33c",
        ]),
    }
}

#[test]
fn the_encryption_of_the_clients_library() {
    let key = "AQKEv3ViJiu9aUAIV0jzvmr6Uq4xcVUYHs4xtmNRzP+ksA==";
    let point = sealed::read_key(key).unwrap();
    assert_eq!(sealed::write_key(&point), key);
    let secret = bytes("0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20");
    let algorithm = sealed::algorithm().unwrap();
    let own = algorithm.import(KeyFormat::Raw, &secret).unwrap();
    assert_eq!(own.public_key().unwrap().sec1_compressed(), Some(point.clone()));
    let own = algorithm.load(own.secret()).unwrap();
    let ciphertext = concat!(
        "a764846191feae18bc60e4ad37eb0f2edfdb68c4cfac9110a215f3448c03e11b79939b5630f44d2717380de4",
        "88e0bc0f0dfd8de72e37f357e5b4caf38a9d",
    );
    let read = |bytes: &[u8]| Sealed::read(&STANDARD.encode(bytes));
    let open = |bytes: &[u8]| {
        let sealed = read(bytes)?;
        let point = own.agree_on_point(sealed.ephemeral()).ok()?;
        sealed.open(&point).ok()
    };
    assert!(open(&bytes(ciphertext)).unwrap().ct_eq(br#"{"version":1}"#));
    // And our own the same way; no two are alike.
    let plain = SecretVec::copy_from(b"plain");
    let [one, other] = [(); 2].map(|()| sealed::seal(&point, &plain, &SystemEntropy).unwrap());
    assert_ne!(one, other);
    let one = STANDARD.decode(one).unwrap();
    assert!(open(&one).unwrap().ct_eq(b"plain"));
    for at in 0..one.len() {
        let mut bad = one.clone();
        bad[at] ^= 1;
        assert!(open(&bad).is_none(), "{at}");
    }
    assert!(read(&one[..48]).is_none() && Sealed::read("!").is_none());
    for bad in [
        "",
        "AQ==",
        // Another version, a point that is none, one too long, no padding, another alphabet.
        "AgKEv3ViJiu9aUAIV0jzvmr6Uq4xcVUYHs4xtmNRzP+ksA==",
        "AQGEv3ViJiu9aUAIV0jzvmr6Uq4xcVUYHs4xtmNRzP+ksA==",
        "AQKEv3ViJiu9aUAIV0jzvmr6Uq4xcVUYHs4xtmNRzP+ksAA=",
        "AQKEv3ViJiu9aUAIV0jzvmr6Uq4xcVUYHs4xtmNRzP+ksA",
        "AQKEv3ViJiu9aUAIV0jzvmr6Uq4xcVUYHs4xtmNRzP-ksA==",
    ] {
        assert_eq!(sealed::read_key(bad), None, "{bad}");
    }
}

#[test]
fn signers_are_the_same_ever_after_and_in_order() {
    let again = wait(Signers::ensure(&RIG.engine, RIG.realm)).unwrap();
    assert_eq!(again.to_json(), RIG.signers.to_json());
    let ids: Vec<_> = seen_signers().iter().map(|(id, _)| STANDARD.decode(id).unwrap()).collect();
    assert!(ids.len() == 5 && ids.is_sorted());
    let other = wait(async {
        let realm = RIG.engine.ensure_realm(&"other".parse().unwrap()).await.unwrap();
        Signers::ensure(&RIG.engine, realm).await.unwrap()
    });
    let keys = |signers: &Signers| signers.to_json().to_string();
    assert_ne!(keys(&other), keys(&RIG.signers));
}

#[test]
fn shares_of_the_clients_library_make_its_key() {
    for (kind, protocol, want) in [
        (
            KeyKind::Ecdsa,
            "CGGMP21",
            "03443f8ddf9bf57f8ceaf6b4510ea2f55783c1df1f4884c906da22c149bba5df23",
        ),
        (
            KeyKind::Schnorr,
            "FROST_BITCOIN",
            "03443f8ddf9bf57f8ceaf6b4510ea2f55783c1df1f4884c906da22c149bba5df23",
        ),
        (
            KeyKind::Dh,
            "GLOW20_DH",
            "03443f8ddf9bf57f8ceaf6b4510ea2f55783c1df1f4884c906da22c149bba5df23",
        ),
        (
            KeyKind::EdDsa,
            "FROST",
            "b541a8632b6d819fdab09e6541cc5d85923d7558157eeaf27d1b123afbba56a6",
        ),
    ] {
        let body = body_of(kind, protocol, &published(kind), &Alter::default());
        let form = ImportForm::read(object(&body)).unwrap();
        assert_eq!((form.kind, form.is_master, form.name.as_deref()), (kind, false, None));
        let imported = open(&body).unwrap();
        assert_eq!(public_key(kind, &imported), want, "{protocol}");
        if kind == KeyKind::Dh {
            continue;
        }
        let master =
            Alter { body: Some(|body| body["masterKey"] = json!(true)), ..Alter::default() };
        let [one, other] =
            [(); 2].map(|()| open(&body_of(kind, protocol, &published(kind), &master)).unwrap());
        assert_eq!((one.origin, public_key(kind, &one)), (Origin::Master, want.to_owned()));
        let chain_codes = [&one.key.expose()[32..], &other.key.expose()[32..]];
        assert!(one.key.len() == 64 && chain_codes[0] != chain_codes[1]);
    }
}

/// Five shares, of which any three will do, wherever they stand.
#[test]
fn some_of_all_shares_are_enough() {
    let secret = scalar("bd2921d8f09d0a776bc2dfd15c2a3395e42cdd9ab511589095ed03bf46b8bd46");
    let field = super::field_of(KeyKind::Ecdsa);
    let shares = split(field, &secret, 3, 5, &SystemEntropy).unwrap();
    for sent in [vec![0, 1, 2], vec![4, 2, 0], vec![1, 3, 4, 0], vec![4, 3, 2, 1, 0]] {
        let alter = Alter { sent: Some(sent.clone()), ..Alter::default() };
        let body = body_of(KeyKind::Ecdsa, "CGGMP24", &shares, &alter);
        assert!(open(&body).unwrap().key.ct_eq(secret.expose()), "{sent:?}");
    }
}

fn said(result: Result<Imported, ShareError>) -> String {
    match result.map(drop).unwrap_err() {
        ShareError::Refused(refused) => refused.message,
        ShareError::Engine(error) => panic!("{error}"),
    }
}

#[test]
fn shares_that_are_refused() {
    let cases: [(&str, ChangeShare); 13] = [
        ("another version", |_, plain| plain["version"] = json!(2)),
        ("something else", |_, plain| plain["more"] = json!(1)),
        ("something else", |_, plain| *plain = json!([])),
        ("something else", |_, plain| drop(object_mut(plain).remove("public_shares"))),
        ("no scalar", |_, plain| plain["secret_share"]["curve"] = json!("stark")),
        ("no scalar", |_, plain| plain["secret_share"]["scalar"] = json!("01")),
        ("no scalar", |_, plain| plain["secret_share"]["scalar"] = json!("zz".repeat(32))),
        ("no key", |_, plain| plain["secret_share"]["scalar"] = json!("00".repeat(32))),
        ("no key", |_, plain| plain["secret_share"]["scalar"] = json!("ff".repeat(32))),
        ("do not match", |at, plain| {
            if at == 1 {
                plain["secret_share"]["scalar"] = json!("01".repeat(32));
            }
        }),
        ("do not match", |at, plain| {
            if at == 2 {
                plain["public_shares"][0] = plain["public_shares"][1].clone();
            }
        }),
        ("no public keys", |_, plain| plain["public_shares"] = json!([])),
        ("no public keys", |_, plain| plain["public_shares"][0]["curve"] = json!("p256")),
    ];
    for (want, change) in cases {
        let alter = Alter { plain: Some(change), ..Alter::default() };
        let body = body_of(KeyKind::Ecdsa, "CGGMP21", &published(KeyKind::Ecdsa), &alter);
        let message = said(open(&body));
        assert!(message.contains(want), "{want}: {message}");
    }
    // Each matches its public key, and together they are of no one polynomial.
    let mut shares = published(KeyKind::Ecdsa);
    shares.push(Share { index: 4, value: scalar(&"01".repeat(32)) });
    let body = body_of(KeyKind::Ecdsa, "CGGMP21", &shares, &Alter::default());
    assert!(said(open(&body)).contains("do not make one key"));
    let sent = Alter { sent: Some(vec![0, 1, 1]), ..Alter::default() };
    let body = body_of(KeyKind::Ecdsa, "CGGMP21", &published(KeyKind::Ecdsa), &sent);
    assert!(said(open(&body)).contains("twice"));
}

fn object_mut(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().unwrap()
}

#[test]
fn imports_that_are_refused() {
    let cases: [(&str, ChangeBody); 27] = [
        ("`curve`: is required", |body| drop(object_mut(body).remove("curve"))),
        ("`curve`", |body| body["curve"] = json!("p256")),
        ("`protocol`: is not for", |body| body["curve"] = json!("ed25519")),
        ("`protocol`: is no known", |body| body["protocol"] = json!("FROST2")),
        ("`protocol`: is not for", |body| body["protocol"] = json!("FROST")),
        ("`protocol`: is not for", |body| body["protocol"] = json!("KU23")),
        ("`protocol`: must be", |body| body["protocol"] = json!(null)),
        ("`minSigners`: is required", |body| drop(object_mut(body).remove("minSigners"))),
        ("`minSigners`", |body| body["minSigners"] = json!(0)),
        ("`minSigners`", |body| body["minSigners"] = json!(1)),
        ("`minSigners`", |body| body["minSigners"] = json!(4)),
        ("`minSigners`", |body| body["minSigners"] = json!("3")),
        ("`name`", |body| body["name"] = json!("n".repeat(101))),
        ("`name`", |body| body["name"] = json!(null)),
        ("`masterKey`", |body| body["masterKey"] = json!("true")),
        ("`masterKey`", |body| {
            body["protocol"] = json!("GLOW20_DH");
            body["masterKey"] = json!(true);
        }),
        ("`scheme`: is not a field", |body| body["scheme"] = json!("ECDSA")),
        ("is required", |body| drop(object_mut(body).remove("encryptedKeyShares"))),
        ("must be a list", |body| body["encryptedKeyShares"] = json!({})),
        ("1 to 32", |body| body["encryptedKeyShares"] = json!([])),
        ("1 to 32", |body| body["encryptedKeyShares"] = json!(vec![1; 33])),
        ("must hold objects", |body| body["encryptedKeyShares"][0] = json!("share")),
        ("`signerId`: is required", |body| body["encryptedKeyShares"][1] = json!({})),
        ("`signerId`", |body| body["encryptedKeyShares"][1]["signerId"] = json!("?")),
        ("`more`", |body| body["encryptedKeyShares"][1]["more"] = json!(1)),
        ("not here", |body| body["encryptedKeyShares"][1]["signerId"] = json!("AAAA")),
        ("not encrypted", |body| {
            let first = body["encryptedKeyShares"][0]["encryptedKeyShare"].clone();
            body["encryptedKeyShares"][1]["encryptedKeyShare"] = first;
        }),
    ];
    for (want, change) in cases {
        let alter = Alter { body: Some(change), ..Alter::default() };
        let body = body_of(KeyKind::Ecdsa, "CGGMP21", &published(KeyKind::Ecdsa), &alter);
        let message = said(open(&body));
        assert!(message.contains(want), "{want}: {message}");
    }
}

const SCHEMES: [(&str, &str); 4] = [
    ("CGGMP21", "secp256k1"),
    ("CGGMP21", "stark"),
    ("FROST", "ed25519"),
    ("FROST_BITCOIN", "secp256k1"),
];

fn export_body(recipient: &[u8], schemes: &[(&str, &str)]) -> Value {
    let one = |(protocol, curve): &(&str, &str)| json!({"protocol": protocol, "curve": curve});
    let schemes: Vec<Value> = schemes.iter().map(one).collect();
    json!({"encryptionKey": sealed::write_key(recipient), "supportedSchemes": schemes})
}

#[test]
fn exported_shares_make_the_key_again() {
    let algorithm_of = |name: &str| Algorithm::from_name(name).unwrap();
    let recipient = sealed::algorithm().unwrap().generate(&SystemEntropy).unwrap();
    let point = recipient.public_key().unwrap().sec1_compressed().unwrap();
    let recipient = sealed::algorithm().unwrap().load(recipient.secret()).unwrap();
    let form = ExportForm::read(object(&export_body(&point, &SCHEMES))).unwrap();
    for (kind, name, protocol) in [
        (KeyKind::Ecdsa, "ecdsa-secp256k1", "CGGMP21"),
        (KeyKind::Schnorr, "bip340-secp256k1", "FROST_BITCOIN"),
        (KeyKind::EdDsa, "ed25519", "FROST"),
        (KeyKind::EdDsa, "ed25519-expanded", "FROST"),
    ] {
        let algorithm = algorithm_of(name);
        let wanted = form.wanted(kind, algorithm).unwrap();
        assert!(matches!(wanted, ExportTo::Caller(_)), "{name}");
        let material = algorithm.generate(&SystemEntropy).unwrap();
        let exported = algorithm.export(material.secret(), KeyFormat::Raw).unwrap();
        let answer = form
            .answer((kind, algorithm), &exported, "public", &RIG.signers, &SystemEntropy)
            .unwrap();
        assert_eq!(
            (&answer["protocol"], &answer["curve"], &answer["minSigners"], &answer["publicKey"]),
            (&json!(protocol), &json!(kind.curve()), &json!(3), &json!("public")),
        );
        let ids: Vec<_> = seen_signers().into_iter().map(|(id, _)| id).collect();
        let mut shares = Vec::new();
        for (at, share) in answer["encryptedKeyShares"].as_array().unwrap().iter().enumerate() {
            assert_eq!(share["signerId"], ids[at].as_str());
            let sealed = Sealed::read(share["encryptedKeyShare"].as_str().unwrap()).unwrap();
            let agreed = recipient.agree_on_point(sealed.ephemeral()).unwrap();
            let plain = sealed.open(&agreed).unwrap();
            let plain: Value = serde_json::from_slice(plain.expose()).unwrap();
            assert_eq!((&plain["version"], object(&plain).len()), (&json!(1), 3));
            for part in ["index", "secret_share"] {
                assert_eq!(plain[part]["curve"], kind.curve());
            }
            let index = u8::try_from(at + 1).unwrap();
            assert_eq!(plain["index"]["scalar"], format!("{index:064x}"));
            let value = scalar(plain["secret_share"]["scalar"].as_str().unwrap());
            shares.push(Share { index, value });
        }
        assert_eq!(shares.len(), 5);
        let found = combine(super::field_of(kind), &shares, 3).unwrap();
        let public = material.public_key().unwrap().raw();
        assert_eq!(public_of(kind, &found).unwrap(), public, "{name}");
    }
    for (kind, name, alone) in [
        (KeyKind::Ecdsa, "bip32-secp256k1", "ecdsa-secp256k1"),
        (KeyKind::Schnorr, "bip32-secp256k1", "bip340-secp256k1"),
        (KeyKind::EdDsa, "hd-ed25519", "ed25519-expanded"),
    ] {
        let ExportTo::CallerWithoutChainCode(_, found) =
            form.wanted(kind, algorithm_of(name)).unwrap()
        else {
            panic!("{name}")
        };
        assert_eq!(found.name(), alone);
    }
}

#[test]
fn exports_that_are_refused() {
    let point = bytes(
        "0284bf756226 2bbd6940085748f3be6afa52ae317155181ece31b66351ccffa4b0"
            .split(' ')
            .collect::<String>()
            .as_str(),
    );
    let cases: [(&str, ChangeBody); 9] = [
        ("`encryptionKey`: is required", |body| drop(object_mut(body).remove("encryptionKey"))),
        ("`encryptionKey`: is no", |body| body["encryptionKey"] = json!("AQI=")),
        ("`supportedSchemes`: is required", |body| {
            drop(object_mut(body).remove("supportedSchemes"));
        }),
        ("must be a list", |body| body["supportedSchemes"] = json!("CGGMP21")),
        ("at most 64", |body| body["supportedSchemes"] = json!(vec![1; 65])),
        ("must hold objects", |body| body["supportedSchemes"] = json!(["CGGMP21"])),
        ("is no known", |body| body["supportedSchemes"][0]["protocol"] = json!("RSA")),
        ("is required", |body| body["supportedSchemes"][0] = json!({"protocol": "FROST"})),
        ("`keyId`", |body| body["keyId"] = json!("key")),
    ];
    for (want, change) in cases {
        let mut body = export_body(&point, &SCHEMES);
        change(&mut body);
        let message = ExportForm::read(object(&body)).unwrap_err().message;
        assert!(message.contains(want), "{want}: {message}");
    }
    let ecdsa = Algorithm::from_name("ecdsa-secp256k1").unwrap();
    let pairs: [&[(&str, &str)]; 4] = [
        &[],
        &SCHEMES[1..],
        &[("FROST", "secp256k1"), ("KU23", "secp256k1")],
        &[("CGGMP21", "ed25519"), ("CGGMP24", "stark"), ("GLOW20_DH", "secp256k1")],
    ];
    for pairs in pairs {
        let form = ExportForm::read(object(&export_body(&point, pairs))).unwrap();
        let refused = form.wanted(KeyKind::Ecdsa, ecdsa).map(drop).unwrap_err();
        let ShareError::Refused(refused) = refused else { panic!("{pairs:?}") };
        assert!(refused.message.contains("could leave by"), "{pairs:?}");
    }
}
