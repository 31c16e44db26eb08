//! Signatures, exports and outputs as published, or as a second implementation made them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::SystemEntropy;
use serde_json::json;

use super::account::{Account, algorithm, imported, message, text};
use crate::process::{Folder, Server};

/// The published vectors.
pub(super) const SCALAR: &str = "957def5eef6774357ede0ddab7252ca498c55b0415aa69c7454f56211cb4c6bc";
const PUBLIC: &str = "039cc806ebfe69db8fbf4b1f8172f1da6909a23dc3c5e149cb26951629ab08c836";
pub(super) const HASH: &str = "031edd7d41651593c5fe5c006fa5752b37fddff7bc4e843aa6af0c950f4b9406";

#[test]
fn signatures_are_those_of_the_published_vectors() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = Account::developer(&server);
    // 43
    let key = imported(&dev, SCALAR, "CGGMP24", "secp256k1", "ecdsa-secp256k1");
    assert_eq!(key["imported"], json!(true));
    assert_eq!(key["publicKey"], json!(PUBLIC));
    let key = text(&key["id"]);
    // 35
    let expected = json!({
        "r": "0xa15b6bd9624d5d1f58bc49390212b19d86e2ec36736406097925eee0b3802aab",
        "s": "0x11cd72213f6d45463e2d856d2bb45d372a2bc278c7ce742fcab4afce97e3b2f8",
        "recid": 1,
    });
    for hash in [HASH.to_owned(), format!("0x{HASH}"), HASH.to_uppercase()] {
        let signed = dev.sign(&key, &json!({"kind": "Hash", "hash": hash})).expect(200).json();
        assert_eq!(signed["signature"], expected);
    }
    message(&dev.sign(&key, &json!({"kind": "Hash", "hash": &HASH[2..]})), 400);
    // 38
    let personal = json!({"kind": "Eip191", "message": "0x49206c6f76652044666e73"});
    let signed = dev.sign(&key, &personal).expect(200).json()["signature"].clone();
    let (r, s) = (text(&signed["r"]), text(&signed["s"]));
    assert_eq!(r, "0x218087f04b7acd0f7d9a6dc878aef904b956d44adb7549303eb4fb101447cb5c");
    assert_eq!(signed["encoded"], json!(format!("{r}{}1b", &s[2..])));
    let authorization = json!({"kind": "Eip7702", "chainId": 1, "nonce": 0,
        "address": "0xcea43594f38316f0e01c161d8dabde0a07a1f512"});
    let signed = dev.sign(&key, &authorization).expect(200).json()["signature"].clone();
    let r = "0x276d38ba44389b559abe7fda81d4d7a6db2a13031ecac84baed60f5497c2861a";
    assert_eq!(signed["r"], json!(r));
    // 37
    let schnorr = imported(&dev, SCALAR, "FROST_BITCOIN", "secp256k1", "bip340-secp256k1");
    let schnorr = text(&schnorr["id"]);
    let root = "799a04ec1676eb17f6792c74bbd3482bb9063e1274a084903d0bef83c5414231";
    for (root, r) in [
        ("", "0xf9d95063c0cc7cae9821821b8218d0a76556399751e15d16bc6dd130a8c26e4a"),
        (root, "0x413283a5299f49170c8484586db996833dc9917a28df629f19280f4c0458e1a5"),
    ] {
        let body = json!({"kind": "Hash", "hash": HASH, "taprootMerkleRoot": root});
        let signed = dev.sign(&schnorr, &body).expect(200).json();
        assert_eq!(signed["signature"]["r"], json!(r));
        assert_eq!(signed["signature"].get("recid"), None);
    }
    message(&dev.sign(&schnorr, &json!({"kind": "Hash", "hash": HASH})), 400);
}

#[test]
fn requests_have_identifiers_and_keys_leave_in_shares() {
    let folder = Folder::new();
    let server = Server::start_dev(&folder.join("data"), &[], &[]);
    let dev = Account::developer(&server);
    let public = PUBLIC;
    let key = imported(&dev, SCALAR, "CGGMP24", "secp256k1", "ecdsa-secp256k1");
    let key = text(&key["id"]);
    let other_key = dev.ed25519();
    // 40
    let named = json!({"kind": "Hash", "hash": HASH, "externalId": "order 1"});
    let first = dev.sign(&key, &named).expect(200).json();
    assert_eq!(dev.sign(&key, &named).expect(200).json(), first);
    let other = json!({"kind": "Message", "blockchainKind": "Evm", "message": "0x00",
        "externalId": "order 1"});
    let refusal = dev.sign(&key, &other).expect(409).json();
    assert_eq!(refusal["error"]["details"]["duplicate"]["id"], first["id"]);
    // 41
    let path = format!("/keys/{key}/signatures/{}", text(&first["id"]));
    assert_eq!(dev.get(&path).expect(200).json()["requestBody"], named);
    message(&dev.get(&path.replace(&key, &other_key)), 404);
    let listed = dev.get(&format!("/keys/{key}/signatures")).expect(200).json();
    assert_eq!(
        (listed["keyId"].clone(), listed["items"].as_array().map(Vec::len)),
        (json!(key), Some(1))
    );
    // 44
    let recipient = algorithm("ecdh-secp256k1").generate(&SystemEntropy).expect("a key");
    let point =
        recipient.public_key().and_then(|public| public.sec1_compressed()).expect("a point");
    let encryption_key = STANDARD.encode([&[1], point.as_slice()].concat());
    let with = |protocol: &str| {
        json!({"encryptionKey": encryption_key,
            "supportedSchemes": [{"protocol": protocol, "curve": "secp256k1"}]})
    };
    let path = format!("/keys/{key}/export");
    message(&dev.post(&path, &with("FROST_BITCOIN")), 400);
    let exported = dev.post(&path, &with("CGGMP21")).expect(200).json();
    assert_eq!(exported["publicKey"], json!(public));
    assert_eq!(exported["minSigners"], json!(3));
    let shown = dev.get(&format!("/keys/{key}")).expect(200).json();
    assert_eq!(shown["exported"], json!(true));
    dev.post(&path, &with("CGGMP21")).expect(200);
    let again = dev.get(&format!("/keys/{key}")).expect(200).json();
    assert_eq!(again["dateExported"], shown["dateExported"]);
    let deleted = dev.delete(&key).expect(200).json();
    assert_eq!(deleted["dateExported"], shown["dateExported"]);
    // Derived outputs, by a key that is made for nothing else.
    let agrees = imported(&dev, SCALAR, "GLOW20_DH", "secp256k1", "ecdh-secp256k1");
    let body = json!({"domain": "0x64666e733a646f63756d656e746174696f6e3a6b65795f646572697665",
        "seed": "0x64616e69656c2e6a696e4064666e732e636f"});
    let derived = dev.post(&format!("/keys/{}/derive", text(&agrees["id"])), &body);
    let output = "0x707c7949061070324fb04635cf5c8b462b0e915a7005dceb2c05fa7be1cc7ed7";
    assert_eq!(derived.expect(200).json(), json!({"output": output}));
}
