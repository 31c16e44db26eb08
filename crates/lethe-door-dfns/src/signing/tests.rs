//! Signature requests: vectors of every kind, and what is refused.

use lethe_crypto::registry::{Algorithm, KeyFormat, Signature, SignatureScheme, UsableKey};
use serde_json::{Map, Value, json};

use super::fields::{hex_of, to_hex};
use super::rlp::Item;
use super::{
    DeriveRequest, KeyKind, Refused, SignatureAnswer, SigningRequest, derive_answer, eip712, kinds,
};

const KEY_ID: &str = "key-00000-00000-00000000000000";
const HASH: &str = "031edd7d41651593c5fe5c006fa5752b37fddff7bc4e843aa6af0c950f4b9406";

fn hex(text: &str) -> Vec<u8> {
    hex_of(text).unwrap()
}

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// `None` in a build without the algorithm.
fn key(algorithm: &str, secret: &str) -> Option<UsableKey> {
    let algorithm = Algorithm::from_name(algorithm).ok()?;
    let material = algorithm.import(KeyFormat::Raw, &hex(secret)).unwrap();
    Some(algorithm.load(material.secret()).unwrap())
}

fn read(body: &Value, kind: KeyKind) -> Result<SigningRequest, Refused> {
    SigningRequest::read(object(body), kind, KEY_ID)
}

fn sign(key: &UsableKey, body: &Value, kind: KeyKind) -> SignatureAnswer {
    let request = read(body, kind).unwrap();
    request.answer(&key.sign_with(&request.to_sign()).unwrap()).unwrap()
}

#[test]
fn signatures_of_every_kind_that_others_made() {
    let (mut ran, mut left_out) = (0, 0);
    for line in lines(include_str!("../testdata/signatures.txt")) {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case[name].as_str().unwrap();
        let kind = KeyKind::of(text("scheme"), text("curve")).unwrap();
        let Some(key) = key(text("algorithm"), text("scalar")) else {
            left_out += 1;
            continue;
        };
        let answer = sign(&key, &case["body"], kind);
        assert_eq!(answer.signature.to_json(), case["want"], "{}", case["body"]);
        assert_eq!(answer.signed_data, None);
        assert_eq!(answer.network.map(Value::from), case["body"].get("network").cloned());
        ran += 1;
    }
    assert_eq!((ran + left_out, left_out <= 1), (12, true));
}

#[test]
fn structured_data_that_others_hashed() {
    let mut count = 0;
    for line in lines(include_str!("../testdata/eip712.txt")) {
        let case: Value = serde_json::from_str(line).unwrap();
        let body = json!({
            "kind": "Eip712",
            "types": case["types"],
            "domain": case["domain"],
            "message": case["data"],
        });
        let digest = eip712::digest(object(&body)).unwrap_or_else(|why| panic!("{why:?} {line}"));
        assert_eq!(to_hex(&digest), case["digest"].as_str().unwrap(), "{line}");
        // With its domain among the types it is the same.
        let mut spelled = body.clone();
        let fields = [
            ("name", "string"),
            ("version", "string"),
            ("chainId", "uint256"),
            ("verifyingContract", "address"),
            ("salt", "bytes32"),
        ];
        let there = fields.iter().filter(|(name, _)| case["domain"].get(name).is_some());
        let domain: Vec<_> = there.map(|(name, of)| json!({"name": name, "type": of})).collect();
        spelled["types"]["EIP712Domain"] = json!(domain);
        assert_eq!(eip712::digest(object(&spelled)).unwrap(), digest, "{line}");
        count += 1;
    }
    assert_eq!(count, 137);
}

#[test]
fn transactions_that_others_signed() {
    let mut count = 0;
    for line in lines(include_str!("../testdata/transactions.txt")) {
        let [secret, unsigned, signed] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let key = key("ecdsa-secp256k1", secret).unwrap();
        let body = json!({"kind": "Transaction", "transaction": unsigned, "network": "Ethereum"});
        let answer = sign(&key, &body, KeyKind::Ecdsa);
        assert_eq!(answer.signed_data, Some(format!("0x{signed}")), "{line}");
        let encoded = answer.signature.encoded.unwrap();
        let (r, s) = (&answer.signature.r[2..], &answer.signature.s[2..]);
        let v = 27 + answer.signature.recid.unwrap();
        assert_eq!(encoded, format!("0x{r}{s}{v:02x}"));
        count += 1;
    }
    assert_eq!(count, 90);
}

/// Types 3 and 4, of which the package has none, by the rule of their proposals.
#[test]
fn transactions_with_blobs_and_authorizations() {
    let key = key("ecdsa-secp256k1", HASH).unwrap();
    let bytes = |length: usize| Item::Bytes(vec![7; length]);
    let number = |value: u8| Item::number(&[value]);
    let start = || {
        let mut fields: Vec<_> = (0..5).map(number).collect();
        fields.extend([bytes(20), number(0), bytes(100), Item::List(Vec::new())]);
        fields
    };
    let blobs = [number(9), Item::List(vec![bytes(32), bytes(32)])];
    let one = vec![number(1), bytes(20), number(0), number(1), bytes(32), bytes(32)];
    let authorizations = [Item::List(vec![Item::List(one)])];
    for (kind, tail) in [(3, blobs.to_vec()), (4, authorizations.to_vec())] {
        let fields = [start(), tail].concat();
        let unsigned = [&[kind], Item::List(fields.clone()).write().as_slice()].concat();
        let body = json!({
            "kind": "Transaction", "transaction": to_hex(&unsigned), "blockchainKind": "Evm",
        });
        let answer = sign(&key, &body, KeyKind::Ecdsa);
        let signed = hex(&answer.signed_data.unwrap());
        let Some(Item::List(all)) = Item::read(&signed[1..]) else { panic!() };
        assert_eq!((signed[0], &all[..fields.len()]), (kind, fields.as_slice()));
        let recid = answer.signature.recid.unwrap();
        assert_eq!(all[fields.len()], number(recid));
        assert_eq!(all[fields.len() + 1], Item::number(&hex(&answer.signature.r)));
        let hash = kinds::keccak(&[&unsigned]);
        let signature = [hex(&answer.signature.r), hex(&answer.signature.s)].concat();
        let request = lethe_crypto::registry::SignRequest::digest(&hash)
            .by(SignatureScheme::EcdsaSha256P1363);
        assert_eq!(key.verify_with(&request, &signature), Ok(true));
    }
}

#[test]
fn forms_of_chains() {
    let ecdsa = key("ecdsa-secp256k1", HASH).unwrap();
    let eddsa = key("ed25519", HASH).unwrap();
    let hash = |network: &str| json!({"kind": "Hash", "hash": HASH, "network": network});
    for network in ["Algorand", "Cardano", "Solana", "Stellar", "TezosShadownet", "Ton"] {
        let signature = sign(&eddsa, &hash(network), KeyKind::EdDsa).signature;
        let joined = format!("{}{}", signature.r, &signature.s[2..]);
        assert_eq!((signature.encoded, signature.recid), (Some(joined), None), "{network}");
    }
    for network in ["Polkadot", "KusamaAssetHub", "PolymeshTestnet"] {
        let signature = sign(&eddsa, &hash(network), KeyKind::EdDsa).signature;
        let joined = format!("0x00{}{}", &signature.r[2..], &signature.s[2..]);
        assert_eq!(signature.encoded, Some(joined), "{network}");
    }
    let signature = sign(&ecdsa, &hash("XrpLedger"), KeyKind::Ecdsa).signature;
    let der = ecdsa
        .sign_with(
            &lethe_crypto::registry::SignRequest::digest(&hex(HASH))
                .by(SignatureScheme::EcdsaSha256),
        )
        .unwrap();
    assert_eq!(signature.encoded, Some(to_hex(&der.bytes)));
    for (key, kind, network) in [
        (&ecdsa, KeyKind::Ecdsa, "Bitcoin"),
        (&ecdsa, KeyKind::Ecdsa, "Tsc"),
        (&ecdsa, KeyKind::Ecdsa, "Solana"),
        (&eddsa, KeyKind::EdDsa, "Ethereum"),
        (&eddsa, KeyKind::EdDsa, "Near"),
    ] {
        assert_eq!(sign(key, &hash(network), kind).signature.encoded, None, "{network}");
    }
    // A network that not every client can read is taken and not given back.
    let older = sign(&ecdsa, &hash("EthereumHolesky"), KeyKind::Ecdsa);
    assert!(older.network.is_none() && older.signature.encoded.is_some());
    let doc = json!({"kind": "SignDocDirect", "signDoc": "0a02", "network": "CosmosHub4"});
    let signature = sign(&ecdsa, &doc, KeyKind::Ecdsa).signature;
    let halves = [hex(&signature.r), hex(&signature.s)].concat();
    let scheme = Some(SignatureScheme::EcdsaSha256P1363);
    assert_eq!(ecdsa.verify(scheme, &hex("0a02"), &halves), Ok(true));
}

/// `kind` of the key, the body, and what the message says.
fn check_refused(cases: Vec<(KeyKind, Value, &str)>) {
    for (kind, body, want) in cases {
        let refused = read(&body, kind).map(drop).unwrap_err();
        assert!(refused.message.contains(want), "{body}: {}", refused.message);
        assert!(refused.details.contains_key("field") || refused.details.contains_key("kind"));
    }
}

#[test]
fn requests_that_are_refused() {
    use KeyKind::{Dh, Ecdsa, EcdsaStark, EdDsa, Schnorr};
    let hash = |text: &str| json!({"kind": "Hash", "hash": text});
    let tweaked = |root: Value| json!({"kind": "Hash", "hash": HASH, "taprootMerkleRoot": root});
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let message = json!({"kind": "Message", "message": "0x00"});
    let personal = json!({"kind": "Eip191", "message": "0x00"});
    let account = json!({"kind": "Eip7702", "address": "11".repeat(20), "nonce": 0, "chainId": 1});
    let long = "e".repeat(51);
    check_refused(vec![
        (Ecdsa, json!({}), "`kind`: is required"),
        (Ecdsa, json!({"kind": 7}), "`kind`: must be a string"),
        (Ecdsa, json!({"kind": "hash", "hash": HASH}), "no known kind"),
        (Ecdsa, json!({"kind": "Hash"}), "`hash`: is required"),
        (Ecdsa, hash(""), "32 bytes"),
        (Ecdsa, hash(&HASH[2..]), "32 bytes"),
        (Ecdsa, hash(&format!("{HASH}00")), "32 bytes"),
        (Ecdsa, hash(&HASH[1..]), "hexadecimal"),
        (Ecdsa, hash(&format!("0X{HASH}")), "hexadecimal"),
        (Ecdsa, hash(&HASH.replace("03", "+3")), "hexadecimal"),
        (Ecdsa, hash(&HASH.replace("03", "é")), "hexadecimal"),
        (Ecdsa, json!({"kind": "Hash", "hash": null}), "must be a string"),
        (Ecdsa, with(hash(HASH), "message", json!("00")), "`message`: is not a field"),
        (Ecdsa, with(hash(HASH), "Hash", json!(HASH)), "`Hash`: is not a field"),
        (Ecdsa, with(hash(HASH), "externalId", json!("")), "1 to 50"),
        (Ecdsa, with(hash(HASH), "externalId", json!(long)), "1 to 50"),
        (Ecdsa, with(hash(HASH), "externalId", json!(7)), "must be a string"),
        (Ecdsa, with(hash(HASH), "network", json!("ethereum")), "no known network"),
        (Ecdsa, with(hash(HASH), "network", json!(null)), "must be a string"),
        (Ecdsa, with(hash(HASH), "blockchainKind", json!("EVM")), "no known kind"),
        (
            Ecdsa,
            json!({"kind": "Hash", "hash": HASH, "network": "Solana", "blockchainKind": "Evm"}),
            "is not the network's",
        ),
        (Ecdsa, tweaked(json!("")), "Schnorr keys alone"),
        (EdDsa, tweaked(json!("")), "Schnorr keys alone"),
        (Schnorr, hash(HASH), "`taprootMerkleRoot`: is required"),
        (Schnorr, tweaked(json!("00")), "empty or have 32 bytes"),
        (Schnorr, tweaked(json!("zz")), "empty or have 32 bytes"),
        (Schnorr, tweaked(json!(null)), "must be a string"),
        (EcdsaStark, hash(&format!("08{}", "00".repeat(31))), "below 2^251"),
        (EcdsaStark, hash(&"ff".repeat(32)), "below 2^251"),
        (Dh, hash(HASH), "does not fit"),
        (Ecdsa, message.clone(), "Message does not fit"),
        (EcdsaStark, message.clone(), "does not fit"),
        (Schnorr, message.clone(), "does not fit"),
        (Ecdsa, with(message.clone(), "network", json!("Bitcoin")), "is not supported"),
        (EdDsa, with(message.clone(), "network", json!("Cardano")), "is not supported"),
        (EdDsa, with(message.clone(), "blockchainKind", json!("Evm")), "is not supported"),
        (EdDsa, with(message, "message", json!("0")), "hexadecimal"),
        (EdDsa, personal.clone(), "does not fit"),
        (Schnorr, personal.clone(), "does not fit"),
        (Ecdsa, with(personal, "network", json!("Solana")), "does not fit the network"),
        (EdDsa, account.clone(), "does not fit"),
        (Ecdsa, with(account.clone(), "nonce", json!(-1)), "without a sign"),
        (Ecdsa, with(account.clone(), "nonce", json!(0.5)), "without a sign"),
        (Ecdsa, with(account.clone(), "nonce", json!("0")), "without a sign"),
        (Ecdsa, with(account.clone(), "chainId", json!(1e300)), "without a sign"),
        (Ecdsa, with(account, "address", json!("11".repeat(19))), "20 bytes"),
        (EdDsa, json!({"kind": "SignDocDirect", "signDoc": "00"}), "does not fit"),
        (
            Ecdsa,
            json!({"kind": "SignDocDirect", "signDoc": "00", "network": "Ethereum"}),
            "does not fit the network",
        ),
    ]);
    for kind in kinds_not_served() {
        let body = json!({"kind": kind, "psbt": "00", "anything": [1, 2]});
        let refused = read(&body, Ecdsa).map(drop).unwrap_err();
        let want = format!("signature kind \"{kind}\" is not supported by this server");
        assert_eq!(refused.message, want);
        assert_eq!(Value::Object(refused.details), json!({"kind": kind, "keyId": KEY_ID}));
    }
}

fn kinds_not_served() -> [&'static str; 8] {
    [
        "Psbt",
        "Bip322",
        "SignerPayload",
        "Cip8",
        "Snip12",
        "PactCommand",
        "DfnsSmartAccountTransaction",
        "StellarFeeBumpTransaction",
    ]
}

#[test]
fn transactions_that_are_refused() {
    let of = |transaction: Value, network: &str| {
        let mut body = json!({"kind": "Transaction", "network": network});
        body["transaction"] = transaction;
        body
    };
    let good = "02c98080808080808080c0";
    assert!(read(&of(json!(good), "Ethereum"), KeyKind::Ecdsa).is_ok());
    let bad = "is no unsigned transaction";
    let mut cases = vec![
        (KeyKind::Ecdsa, json!({"kind": "Transaction", "transaction": good}), "is required"),
        (KeyKind::Ecdsa, of(json!({}), "Ethereum"), "is not supported"),
        (KeyKind::Ecdsa, of(json!(good), "Bitcoin"), "is not supported"),
        (KeyKind::EdDsa, of(json!(good), "Solana"), "is not supported"),
        (KeyKind::EdDsa, of(json!(good), "Ethereum"), "does not fit"),
        (KeyKind::Ecdsa, of(json!(7), "Ethereum"), "must be a string"),
    ];
    for text in [
        "",
        "00",
        "02",
        // A field too few, one too many, a type that nobody knows, bytes after the end.
        "02c880808080808080c0",
        "02ca808080808080808080c0",
        "05c98080808080808080c0",
        "02c98080808080808080c000",
        // A list in the place of a number, a number with a zero in front, a short target.
        "02c9c080808080808080c0",
        "02c90080808080808080c0",
        "02c98080808080018080c0",
        // A byte that needs no length, a length with a zero in front, a long form of a short one.
        "02ca8180808080808080c080",
        "02f809808080808080808080",
        "02b80180",
        // Signed already.
        "f8498080808080801ca0a7badf84cf9266ba71cc2782f924a05dc314257d634997b9ef07126d7ef07f7ca\
         066a698f9103e56780f6fad7523e02b63dae8d60b0433eb1dbfb9ab8114983658",
        // EIP-155 with the chain 0, and with a number where a zero belongs.
        "c9808080808080808080",
        "c9808080808080050180",
        "c88080808080800580",
        // More lists than any transaction has.
        "01d1cfcecdcccbcac9c8c7c6c5c4c3c2c1c0",
    ] {
        cases.push((KeyKind::Ecdsa, of(json!(text), "Ethereum"), bad));
    }
    check_refused(cases);
}

fn typed(types: Value, domain: Value, message: Value) -> Value {
    json!({"kind": "Eip712", "types": types, "domain": domain, "message": message})
}

fn field(name: &str, of: &str) -> Value {
    json!({"name": name, "type": of})
}

fn one(of: &str) -> Value {
    json!({"A": [field("a", of)]})
}

#[test]
fn types_that_are_refused() {
    let mut cases = Vec::new();
    let types = [
        json!({}),
        json!([]),
        json!({"A": {}}),
        json!({"A": [field("a", "B")]}),
        json!({"A": [field("a", "uint7")]}),
        json!({"A": [field("a", "uint264")]}),
        json!({"A": [field("a", "uint08")]}),
        json!({"A": [field("a", "int0")]}),
        json!({"A": [field("a", "bytes33")]}),
        json!({"A": [field("a", "bytes0")]}),
        json!({"A": [field("a", "bool[0]")]}),
        json!({"A": [field("a", "bool[-1]")]}),
        json!({"A": [field("a", "bool]")]}),
        json!({"A": [field("a", &format!("bool{}", "[]".repeat(33)))]}),
        json!({"A": [field("a", "bool"), field("a", "bool")]}),
        json!({"A": [field("", "bool")]}),
        json!({"A": [field("a b", "bool")]}),
        json!({"A": [{"name": "a", "type": "bool", "more": 1}]}),
        json!({"A": [{"name": "a"}]}),
        json!({"A(": [field("a", "bool")]}),
        json!({"uint8": [field("a", "bool")]}),
        json!({"A": [field("a", "A")]}),
        json!({"A": [field("a", "A[]")]}),
        json!({"A": [field("b", "B")], "B": [field("a", "A[2]")]}),
        // Two that no other refers to, and none but the domain.
        json!({"A": [field("a", "bool")], "B": [field("a", "bool")]}),
        json!({"EIP712Domain": [field("name", "string")]}),
        json!({"A": [field("a", "bool")], "EIP712Domain": [field("owner", "string")]}),
        json!({"A": [field("a", "bool")], "EIP712Domain": [field("name", "bytes")]}),
    ];
    for types in types {
        cases.push((KeyKind::Ecdsa, typed(types, json!({}), json!({"a": true})), "`types`"));
    }
    let many: Map<String, Value> =
        (0..65).map(|at| (format!("A{at}"), json!([field("a", "bool")]))).collect();
    let many = typed(Value::Object(many), json!({}), json!({"a": true}));
    cases.push((KeyKind::Ecdsa, many, "more than 64"));
    check_refused(cases);
}

#[test]
fn domains_that_are_refused() {
    let with_domain = |domain: Value| typed(one("bool"), domain, json!({"a": true}));
    let mut cases = Vec::new();
    let word = "00".repeat(32);
    for domain in [
        json!([]),
        json!({"owner": "x"}),
        json!({"name": 7}),
        json!({"chainId": 0}),
        json!({"chainId": -1}),
        json!({"chainId": 1.5}),
        json!({"chainId": "one"}),
        json!({"chainId": null}),
        json!({"verifyingContract": "11".repeat(20)}),
        json!({"verifyingContract": "0x11"}),
        json!({"salt": word}),
        json!({"salt": "0x00"}),
    ] {
        cases.push((KeyKind::Ecdsa, with_domain(domain), "`domain`"));
    }
    let named = typed(
        json!({"A": [field("a", "bool")], "EIP712Domain": [field("name", "string")]}),
        json!({}),
        json!({"a": true}),
    );
    cases.push((KeyKind::Ecdsa, named, "has no EIP712Domain.name"));
    check_refused(cases);
}

#[test]
fn structured_data_that_is_refused() {
    let value = |of: &str, value: Value| typed(one(of), json!({}), json!({"a": value}));
    let mut cases = Vec::new();
    for (of, given) in [
        ("bool", json!(1)),
        ("bool", json!("true")),
        ("bool", json!(null)),
        ("address", json!("0x00")),
        ("address", json!("11".repeat(20))),
        ("bytes", json!("00")),
        ("bytes", json!("0x0")),
        ("bytes", json!([1])),
        ("bytes4", json!("0x00112233ff")),
        ("bytes4", json!("0x001122")),
        ("string", json!(7)),
        ("uint8", json!(256)),
        ("uint8", json!(-1)),
        ("uint8", json!("0x100")),
        ("uint8", json!("")),
        ("uint8", json!("0x")),
        ("uint8", json!("+1")),
        ("uint8", json!(" 1")),
        ("uint8", json!(1.5)),
        ("uint8", json!(true)),
        ("int8", json!(128)),
        ("int8", json!(-129)),
        ("uint256", json!("9".repeat(79))),
        ("uint256", json!("9".repeat(200))),
        ("uint256", json!(1e30)),
        ("bool[2]", json!([true])),
        ("bool[]", json!(true)),
        ("bool[]", json!([1])),
    ] {
        cases.push((KeyKind::Ecdsa, value(of, given), "A.a"));
    }
    let extra = typed(one("bool"), json!({}), json!({"a": true, "b": 1}));
    cases.push((KeyKind::Ecdsa, extra, "\"b\""));
    cases.push((KeyKind::Ecdsa, typed(one("bool"), json!({}), json!({})), "has no A.a"));
    cases.push((KeyKind::Ecdsa, typed(one("bool"), json!({}), json!([])), "must be an object"));
    cases.push((KeyKind::EdDsa, value("bool", json!(true)), "does not fit"));
    cases.push((KeyKind::Ecdsa, json!({"kind": "Eip712"}), "is required"));
    check_refused(cases);
}

#[test]
fn numbers_in_every_form_are_the_same() {
    let of = |of: &str, value: Value| {
        let types = json!({"A": [{"name": "a", "type": of}]});
        eip712::digest(object(&typed(types, json!({}), json!({"a": value})))).unwrap()
    };
    for (kind, forms) in [
        ("uint8", [json!(255), json!("255"), json!("0xff"), json!(255.0)]),
        ("int8", [json!(-128), json!("-128"), json!("-0x80"), json!("-0x0080")]),
        ("int256", [json!(-1), json!("-1"), json!("-0x1"), json!("-01")]),
        (
            "uint64",
            [
                json!(u64::MAX),
                json!(u64::MAX.to_string()),
                json!("0xffffffffffffffff"),
                json!("0x0FFFFFFFFFFFFFFFF"),
            ],
        ),
        ("int8", [json!(0), json!("0"), json!("-0"), json!("0x0")]),
    ] {
        let first = of(kind, forms[0].clone());
        assert!(forms.into_iter().all(|form| of(kind, form) == first), "{kind}");
    }
    assert_ne!(of("int8", json!(-1)), of("int8", json!(1)));
}

#[test]
fn an_answer_is_of_its_request_alone() {
    let request = read(&json!({"kind": "Hash", "hash": HASH}), KeyKind::Ecdsa).unwrap();
    let answer = |length: usize, recovery_id| {
        request.answer(&Signature { bytes: vec![1; length], recovery_id })
    };
    assert!(answer(64, Some(0)).is_some());
    assert!(
        [(64, None), (63, Some(0)), (65, Some(0)), (0, Some(0))]
            .into_iter()
            .all(|(length, recovery_id)| answer(length, recovery_id).is_none())
    );
}

#[test]
fn pairs_of_scheme_and_curve() {
    let schemes = ["ECDSA", "EdDSA", "Schnorr", "DH", "ecdsa", ""];
    let curves = ["secp256k1", "ed25519", "stark", "p256", ""];
    let valid = schemes
        .iter()
        .flat_map(|scheme| curves.iter().filter_map(move |curve| KeyKind::of(scheme, curve)));
    assert_eq!(valid.count(), 5);
    for kind in KeyKind::ALL {
        assert_eq!(KeyKind::of(kind.scheme(), kind.curve()), Some(kind));
    }
}

#[test]
fn outputs_of_a_key_that_agrees() {
    let secret = "957def5eef6774357ede0ddab7252ca498c55b0415aa69c7454f56211cb4c6bc";
    let key = key("ecdh-secp256k1", secret).unwrap();
    let body = json!({
        "domain": "0x64666e733a646f63756d656e746174696f6e3a6b65795f646572697665",
        "seed": "64616E69656c2e6a696e4064666e732e636f",
    });
    let request = DeriveRequest::read(object(&body)).unwrap();
    let point = key.agree_with_hashed(&request.domain, &request.seed).unwrap();
    let want = "0x707c7949061070324fb04635cf5c8b462b0e915a7005dceb2c05fa7be1cc7ed7";
    assert_eq!(derive_answer(&point), json!({"output": want}));
    // An empty seed is a seed.
    assert!(DeriveRequest::read(object(&json!({"domain": "00", "seed": ""}))).is_ok());
    for (body, field) in [
        (json!({}), "domain"),
        (json!({"domain": "00"}), "seed"),
        (json!({"seed": "00"}), "domain"),
        (json!({"domain": "", "seed": "00"}), "domain"),
        (json!({"domain": "0x", "seed": "00"}), "domain"),
        (json!({"domain": "0", "seed": "00"}), "domain"),
        (json!({"domain": "zz", "seed": "00"}), "domain"),
        (json!({"domain": "00", "seed": "000"}), "seed"),
        (json!({"domain": "00", "seed": null}), "seed"),
        (json!({"domain": "00", "seed": "00", "kind": "Hash"}), "kind"),
        (json!({"domain": "00", "seed": "00", "externalId": "a"}), "externalId"),
    ] {
        let refused = DeriveRequest::read(object(&body)).unwrap_err();
        assert_eq!(refused.details["field"], field, "{body}");
    }
}

/// Whatever reads as a transaction is written in one way, and is not a signed one.
#[test]
fn altered_transactions_read_as_what_they_are_or_not_at_all() {
    let (mut read, mut refused) = (0, 0);
    let mut attempt = |bytes: &[u8]| {
        let body = bytes.split_at(usize::from(matches!(bytes, [1..=4, ..]))).1;
        match super::transaction::Unsigned::read(bytes.to_vec()) {
            Ok(_) => {
                let item = Item::read(body).unwrap();
                assert_eq!(item.write(), body);
                read += 1;
            }
            Err(_) => refused += 1,
        }
    };
    for line in lines(include_str!("../testdata/transactions.txt")) {
        let unsigned = hex(line.split(' ').nth(1).unwrap());
        for at in 0..unsigned.len().min(200) {
            let mut altered = unsigned.clone();
            for value in [altered[at] ^ 1, altered[at] ^ 0x80, 0, 0xff, 0xc0, 0xb8, 0xf8] {
                altered[at] = value;
                attempt(&altered);
            }
            attempt(&unsigned[..at]);
        }
        attempt(&[unsigned.as_slice(), &[0x80]].concat());
        // Signed, it is none that can be signed.
        attempt(&hex(line.split(' ').nth(2).unwrap()));
    }
    // Most bytes are those of data and of hashes.
    assert!(read > 1_000 && refused > 10_000, "{read} {refused}");
}
