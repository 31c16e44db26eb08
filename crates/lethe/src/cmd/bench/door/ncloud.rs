//! The door for NAVER Cloud KMS: every request is signed with version 2, as the vendor's documents
//! say.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lethe_crypto::hash::hmac_sha256;
use lethe_types::SecretVec;
use serde_json::Value;

use super::{Kind, Scenario, Site, Turn, text_after, write_request};
use crate::cmd::bench::http::Target;
use crate::cmd::bench::work::Work;
use crate::local::unix_milliseconds;

/// 32 bytes.
const ENCRYPT: &str = r#"{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;
const SIGN: &str = r#"{"data":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;

/// An account that signs.
pub(super) struct Ncloud {
    signer: Arc<Signer>,
}

struct Signer {
    target: Target,
    access_key: String,
    secret_key: SecretVec,
}

impl Ncloud {
    /// The account of `dev.json`.
    ///
    /// # Errors
    /// The reason in words.
    pub(super) fn of(site: Site) -> Result<Self, String> {
        let access_key = site.text("access_key")?;
        let secret_key = SecretVec::from_vec(site.text("secret_key")?.into_bytes());
        let signer = Signer { target: site.target, access_key, secret_key };
        Ok(Self { signer: Arc::new(signer) })
    }

    /// One of `keys` after the other, with this operation.
    fn over(&self, keys: &Arc<Vec<String>>, call: &'static str, body: &'static str) -> Work {
        let (signer, keys, turn) = (self.signer.clone(), keys.clone(), Turn::default());
        Work::made(200, move |out| {
            let path = format!("/kms/v1/keys/{}/{call}", turn.of(&keys));
            signer.write(out, "POST", &path, body);
            true
        })
    }

    /// The same request, signed anew each time.
    fn again(&self, method: &'static str, path: String, body: String) -> Work {
        let signer = self.signer.clone();
        Work::made(200, move |out| {
            signer.write(out, method, &path, &body);
            true
        })
    }
}

impl Signer {
    fn write(&self, out: &mut Vec<u8>, method: &str, path: &str, body: &str) {
        let time = unix_milliseconds().to_string();
        let message = format!("{method} {path}\n{time}\n{}", self.access_key);
        let signature = hmac_sha256(self.secret_key.expose(), &[message.as_bytes()]);
        let headers = [
            ("x-ncp-apigw-timestamp", time.as_str()),
            ("x-ncp-iam-access-key", &self.access_key),
            ("x-ncp-apigw-signature-v2", &BASE64.encode(signature)),
            ("Content-Type", "application/json"),
        ];
        write_request(out, &self.target, (method, path), &headers, body);
    }
}

impl Scenario for Ncloud {
    fn create(&self, keys: u64) -> Work {
        let (signer, turn) = (self.signer.clone(), Turn::default());
        Work::made(200, move |out| {
            let number = turn.next();
            let body = format!(r#"{{"keyName":"bench{number:08}","keyType":"AES256"}}"#);
            signer.write(out, "POST", "/kms/v1/keys", &body);
            number < keys
        })
        .collecting(tag_of)
    }

    fn samples(&self, keys: &[String]) -> Vec<Vec<u8>> {
        let first = keys.first().map_or("", String::as_str);
        let pair = r#"{"keyName":"pair","keyType":"ECDSA"}"#;
        let encrypt = format!("/kms/v1/keys/{first}/encrypt");
        [("/kms/v1/keys", pair), (encrypt.as_str(), ENCRYPT)]
            .map(|(path, body)| {
                let mut out = Vec::new();
                self.signer.write(&mut out, "POST", path, body);
                out
            })
            .into()
    }

    fn works(&self, keys: Arc<Vec<String>>, samples: &[Value]) -> Result<Vec<Kind>, String> {
        let [pair, sealed] = samples else { return Err("answers are missing".to_owned()) };
        let text = |answer: &Value, name: &str| {
            let found = answer.get("data").and_then(|data| data.get(name)).and_then(Value::as_str);
            found.map(str::to_owned).ok_or_else(|| format!("an answer has no `{name}`"))
        };
        let (pair, sealed) = (text(pair, "keyTag")?, text(sealed, "ciphertext")?);
        let first = keys.first().map_or("", String::as_str);
        let path = |tag: &str, call: &str| format!("/kms/v1/keys/{tag}{call}");
        let decrypt = format!(r#"{{"ciphertext":"{sealed}"}}"#);
        Ok(vec![
            Kind { name: "encrypt", work: self.over(&keys, "encrypt", ENCRYPT) },
            Kind { name: "decrypt", work: self.again("POST", path(first, "/decrypt"), decrypt) },
            Kind { name: "sign", work: self.again("POST", path(&pair, "/sign"), SIGN.to_owned()) },
            Kind { name: "info", work: self.again("GET", path(first, ""), String::new()) },
        ])
    }
}

/// The tag that a new key's answer names.
fn tag_of(body: &[u8]) -> Option<String> {
    text_after(body, b"\"keyTag\":\"")
}
