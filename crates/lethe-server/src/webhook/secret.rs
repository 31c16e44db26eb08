//! The secrets of a webhook and what is signed with them (Standard Webhooks, "Signature scheme").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::hash::hmac_sha256;
use lethe_types::SecretVec;

use crate::config::WebhookSecretSource;
use crate::private_files::read_private;
use crate::seal::{Surroundings, SystemSurroundings};

/// Most secrets of one webhook: the present one and its successor.
const SECRETS_MAX: usize = 2;
/// Bytes of a secret, as Standard Webhooks bounds them.
const SECRET_BYTES: core::ops::RangeInclusive<usize> = 24..=64;
const FILE_BYTES_MAX: usize = 1_024;
const PREFIX: &str = "whsec_";

/// One or two secrets.
#[derive(Debug)]
pub(super) struct Secrets(Vec<SecretVec>);

/// The secrets in the place that the configuration names.
///
/// # Errors
/// What is wrong with them, in words that show nothing of them.
pub(super) fn read(source: &WebhookSecretSource) -> Result<Secrets, String> {
    match source {
        WebhookSecretSource::Environment(name) => {
            let value = SystemSurroundings.variable(name);
            let value = value.ok_or(format!("the environment variable `{name}` is not set"))?;
            let value = value.into_string().map_err(|_| format!("`{name}` is not text"))?;
            let text = SecretVec::from_vec(value.into_bytes());
            Secrets::parse(&text).map_err(|why| format!("environment variable `{name}`: {why}"))
        }
        WebhookSecretSource::File(path) => {
            let text = read_private(path, FILE_BYTES_MAX);
            let text = text.map_err(|error| match std::error::Error::source(&error) {
                Some(cause) => format!("secret: {error}: {cause}"),
                None => format!("secret: {error}"),
            })?;
            Secrets::parse(&text).map_err(|why| format!("`{}`: {why}", path.display()))
        }
    }
}

impl Secrets {
    pub(super) fn parse(text: &SecretVec) -> Result<Self, &'static str> {
        let text = core::str::from_utf8(text.expose()).map_err(|_| "it is not text")?;
        let lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let secrets = lines.map(parse_one).collect::<Result<Vec<_>, _>>()?;
        if secrets.len() > SECRETS_MAX {
            return Err("it has more than two lines");
        }
        Ok(Self(secrets))
    }

    /// The value of `webhook-signature`: a signature with each secret.
    pub(super) fn sign(&self, id: &str, timestamp_seconds: u64, body: &[u8]) -> String {
        let timestamp = timestamp_seconds.to_string();
        let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
        let signatures = self
            .0
            .iter()
            .map(|secret| format!("v1,{}", STANDARD.encode(hmac_sha256(secret.expose(), &parts))));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn parse_one(line: &str) -> Result<SecretVec, &'static str> {
    let wrong = "a secret is `whsec_` and the base64 of 24 to 64 random bytes";
    let digits = line.strip_prefix(PREFIX).ok_or(wrong)?;
    let secret = SecretVec::from_vec(STANDARD.decode(digits).map_err(|_| wrong)?);
    if SECRET_BYTES.contains(&secret.expose().len()) { Ok(secret) } else { Err(wrong) }
}
