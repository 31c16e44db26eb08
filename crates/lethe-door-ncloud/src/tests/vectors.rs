//! The specification's worked examples.

use lethe_engine::record::Alias;
use lethe_engine::{CreateKeyRequest, GivenMaterial};
use lethe_types::SecretVec;

use super::support::{I400, Rig, data, refused};
use crate::DOOR;
use crate::ids;
use crate::kept::KeyType;
use crate::token::{Claims, Purpose};

/// The path of a key with the bytes 00..1f.
pub(super) async fn injected(rig: &Rig, tag: &str, is_convergent: bool) -> String {
    let system = rig.engine.system_caller(rig.realm, DOOR).expect("a caller");
    let algorithm = KeyType::Aes { is_convergent }.algorithm();
    let material: Vec<u8> = (0..32).collect();
    let request = CreateKeyRequest {
        aliases: vec![Alias { door: DOOR.to_owned(), text: tag.to_owned(), reserved: true }],
        material: Some(GivenMaterial { secret: SecretVec::from_vec(material), imported: true }),
        ..CreateKeyRequest::new("injected".parse().expect("a name"), algorithm)
    };
    let prepared = rig.engine.prepare_key(&system, request).expect("it is allowed");
    rig.engine.create_key(&system, prepared).await.expect("it is stored");
    format!("/kms/v1/keys/{tag}")
}

#[tokio::test]
async fn an_ordinary_ciphertext_is_nonce_ciphertext_and_tag() {
    let rig = Rig::new().await;
    let key = injected(&rig, "f", false).await;
    let sealed = "ncpkms:v1:AAECAwQFBgcICQoLL2e6d6onl/81O4oEbSgjbc2dBXu7";
    let body = format!(r#"{{"ciphertext":"{sealed}"}}"#);
    let opened = data(&rig.post(&format!("{key}/decrypt"), &body).await);
    assert_eq!(opened["plaintext"], "aGVsbG8=");
    let other = rig.ciphertext(&key, b"hello").await;
    assert_ne!(other, sealed);
    assert_ne!(other, rig.ciphertext(&key, b"hello").await);
    assert_eq!(other.len(), sealed.len());
}

#[tokio::test]
async fn a_convergent_ciphertext_is_always_the_same() {
    let rig = Rig::new().await;
    let key = injected(&rig, "g", true).await;
    let sealed = "ncpkms:v1:5TY6BO4+x5h14zvvRbgXjsCT5L371KbB69ypzhwCm5Hv";
    let body = r#"{"plaintext":"aGVsbG8=","context":"b3JkZXItNDI="}"#;
    for _ in 0..2 {
        let made = data(&rig.post(&format!("{key}/encrypt"), body).await);
        assert_eq!(made["ciphertext"], sealed);
    }
    let decrypt = async |context: &str| {
        let body = format!(r#"{{"ciphertext":"{sealed}","context":"{context}"}}"#);
        rig.post(&format!("{key}/decrypt"), &body).await
    };
    assert_eq!(data(&decrypt("b3JkZXItNDI=").await)["plaintext"], "aGVsbG8=");
    refused(&decrypt("b3JkZXItNDM=").await, I400);
}

#[test]
fn a_tag_is_derived_of_keystore_name_and_chance() {
    let random: [u8; 16] = core::array::from_fn(|place| u8::try_from(place).unwrap());
    let expected = "aadbdc84f04d4e29d3ea2bb6bb978fc0d5e8989868acfd266db906f2642f1710";
    assert_eq!(ids::tag(7, "orders-key", &random), expected);
    assert_ne!(ids::tag(8, "orders-key", &random), expected);
    assert_ne!(ids::tag(7, "orders-keys", &random), expected);
}

#[test]
fn a_token_is_a_jwt_of_these_claims() {
    let secret = SecretVec::from_vec((0x20..0x40).collect());
    let claims = Claims {
        issuer: "kms".to_owned(),
        subject: "AKEXAMPLE0123456789A".to_owned(),
        tag: "0123456789abcdef".repeat(4),
        generator: "00112233445566778899aabbccddeeff".to_owned(),
        purpose: Purpose::Access,
        id: "0000000000000001".to_owned(),
        issued: 1_733_468_239,
        expires: Some(1_733_727_439),
    };
    let token = claims.sign(&secret);
    let signature = token.rsplit('.').next();
    assert_eq!(signature, Some("6ag384-lkvMsMmfJurdCQlwiw6ryvpAsvEMPOz4Wgrw"));
    assert_eq!(Claims::open(&token, &secret), Some(claims));
    assert_eq!(Claims::open(&token, &SecretVec::from_vec((0x21..0x41).collect())), None);
    assert!(token.len() < 1_024);
}
