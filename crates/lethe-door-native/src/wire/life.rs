//! Versions, exports and imports: bodies of requests and answers.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::registry::{KeyFormat, Use, Uses};
use lethe_crypto::transport::TransportScheme;
use lethe_engine::record::{ImportKeyRecord, KeyRecord};
use lethe_engine::{Exported, ImportSource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Base64Text, parse_span, spki_pem};
use crate::error::Refusal;
use crate::headers::shortened;

/// A key that comes from outside: `key`, or `import_key` and `wrapped`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Import<'a> {
    /// `raw`, `pkcs8-der`, `pkcs8-pem`, `jwk`, `sec1-der`, `sec1-pem`, `pkcs1-der` or `pkcs1-pem`;
    /// of a wrapped key, the form inside.
    #[serde(borrow)]
    #[schema(value_type = String, example = "pkcs8-pem")]
    pub format: Cow<'a, str>,
    /// The key in that form; its bytes, or those of its text, in base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub key: Option<Base64Text<'a>>,
    /// Id of the import key that it was wrapped for.
    #[schema(value_type = Option<String>)]
    pub import_key: Option<Cow<'a, str>>,
    /// The wrapped key in base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub wrapped: Option<Base64Text<'a>>,
}

impl Import<'_> {
    /// What is to be imported.
    ///
    /// # Errors
    /// [`Refusal::InvalidField`].
    pub(crate) fn parse(&self) -> Result<ImportSource, Refusal> {
        let format = parse_format("import.format", &self.format)?;
        match (&self.key, &self.import_key, &self.wrapped) {
            (Some(key), None, None) => {
                Ok(ImportSource::Plain { format, key: key.decode("import.key")? })
            }
            (None, Some(import_key), Some(wrapped)) => {
                let import_key = import_key.parse().map_err(|error: lethe_types::InvalidId| {
                    Refusal::invalid("import.import_key", error.to_string())
                })?;
                let wrapped = wrapped.decode("import.wrapped")?.expose().to_vec();
                Ok(ImportSource::Wrapped { import_key, format, wrapped })
            }
            _ => {
                let why = "must have `key`, or both `import_key` and `wrapped`";
                Err(Refusal::invalid("import", why))
            }
        }
    }
}

/// What is to leave, and for whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Export<'a> {
    /// The form of the key, inside the wrapping if there is one: see `Import`.
    #[serde(borrow)]
    #[schema(value_type = String, example = "pkcs8-der")]
    pub format: Cow<'a, str>,
    /// The public key of the recipient in PEM: X25519, or RSA of 2,048, 3,072 or 4,096 bits.
    /// Without it the key leaves in the clear, if the realm allows that.
    #[schema(value_type = Option<String>)]
    pub public_key: Option<Cow<'a, str>>,
    /// Which version; without it the current one.
    pub version: Option<u32>,
}

/// A key that left.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportedKey {
    /// The version that left.
    pub version: u32,
    /// The form of the key.
    #[schema(example = "pkcs8-der")]
    pub format: &'static str,
    /// `hpke-x25519-sha256-aes256gcm` or `rsa-oaep-sha256-aes256-kwp`; `null` in the clear.
    #[schema(required)]
    pub wrapping: Option<&'static str>,
    /// What opens it by HPKE needs as `info`, in base64; empty otherwise.
    #[schema(format = Byte)]
    pub info: String,
    /// The key, wrapped or not, in base64. Written by hand.
    #[serde(skip)]
    #[schema(format = Byte, required)]
    pub material: String,
}

impl ExportedKey {
    /// All of it but the material.
    pub(crate) fn of(exported: &Exported, format: KeyFormat) -> Self {
        Self {
            version: exported.version,
            format: format.as_str(),
            wrapping: exported.wrapping.map(TransportScheme::as_str),
            info: STANDARD.encode(&exported.info),
            material: String::new(),
        }
    }
}

/// What a new import key is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateImportKey<'a> {
    /// `x25519`, `rsa-3072` or `rsa-4096`.
    #[serde(borrow)]
    #[schema(value_type = String, example = "x25519")]
    pub algorithm: Cow<'a, str>,
    /// Id of the vault into which the key goes; without it the default vault of the realm.
    #[schema(value_type = Option<String>)]
    pub vault: Option<Cow<'a, str>>,
    /// How long it is good for, at most `7d`; without it `1h`.
    #[schema(value_type = Option<String>, example = "1h")]
    pub lifetime: Option<Cow<'a, str>>,
}

/// A key pair of the server's own for whose holder one key is wrapped. It is gone as soon as it was
/// used or its time is over.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportKey {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Name of its algorithm.
    #[schema(example = "x25519")]
    pub algorithm: &'static str,
    /// How a key is wrapped for it.
    #[schema(example = "hpke-x25519-sha256-aes256gcm")]
    pub wrapping: &'static str,
    /// SubjectPublicKeyInfo in PEM.
    pub public_key: String,
    /// What HPKE takes as `info`, in base64; empty for RSA.
    #[schema(format = Byte)]
    pub info: String,
    /// Id of the vault into which the key goes.
    pub vault: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created: String,
    /// From then on it opens nothing.
    #[schema(format = DateTime)]
    pub expires: String,
}

impl ImportKey {
    /// The import key of `record`.
    #[must_use]
    pub fn of(record: &ImportKeyRecord) -> Self {
        let scheme = TransportScheme::of(record.algorithm);
        let info = match scheme {
            Some(TransportScheme::Hpke) => record.info(),
            Some(TransportScheme::RsaAes) | None => Vec::new(),
        };
        Self {
            id: record.id.to_string(),
            algorithm: record.algorithm.name(),
            wrapping: scheme.map_or("", TransportScheme::as_str),
            public_key: spki_pem(&record.public_key_der),
            info: STANDARD.encode(info),
            vault: record.vault.to_string(),
            created: record.created.to_string(),
            expires: record.expires.to_string(),
        }
    }
}

/// What is to change in the realm; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRealm {
    /// Whether exportable keys may leave in the clear.
    pub plain_export: Option<bool>,
}

/// A version that was destroyed while its key went on.
#[derive(Debug, Serialize, ToSchema)]
pub struct DestroyedVersion {
    /// Its number, never given again.
    pub version: u32,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created: String,
    /// Since when every use of it was refused.
    #[schema(format = DateTime)]
    pub destroyed: String,
    /// Id of the principal that destroyed it.
    pub by: String,
    /// Index of its entry in the log.
    pub log_index: u64,
}

impl DestroyedVersion {
    pub(super) fn all_of(record: &KeyRecord) -> Vec<Self> {
        let destroyed = record.life().destroyed_versions.iter();
        let view = |version: &lethe_engine::record::DestroyedVersion| Self {
            version: version.number,
            created: version.created.to_string(),
            destroyed: version.destroyed.to_string(),
            by: version.by.to_string(),
            log_index: version.log_index,
        };
        destroyed.map(view).collect()
    }
}

/// An automatic rotation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rotation {
    /// How often, as in `90d`.
    #[schema(example = "90d")]
    pub period: String,
    /// When the next version is due.
    #[schema(format = DateTime)]
    pub next: String,
}

impl Rotation {
    pub(super) fn of(record: &KeyRecord) -> Option<Self> {
        record.life().rotation.map(|rotation| Self {
            period: super::span::span_text(rotation.period),
            next: rotation.next.to_string(),
        })
    }
}

/// The form that `name` names.
///
/// # Errors
/// [`Refusal::InvalidField`].
pub(crate) fn parse_format(field: &'static str, name: &str) -> Result<KeyFormat, Refusal> {
    KeyFormat::from_name(name).ok_or_else(|| {
        let all: Vec<&str> = KeyFormat::ALL.iter().map(|format| format.as_str()).collect();
        Refusal::invalid(field, format!("must be one of {}", all.join(", ")))
    })
}

/// The set of uses, each named once.
///
/// # Errors
/// [`Refusal::InvalidField`].
pub(crate) fn parse_uses(names: &[String]) -> Result<Uses, Refusal> {
    let (mut uses, mut seen) = (Vec::new(), BTreeSet::new());
    for name in names {
        let known = Use::ALL.iter().copied().find(|one| one.as_str() == name);
        let known = known.ok_or_else(|| {
            Refusal::invalid("allowed_uses", format!("`{}` names no use", shortened(name)))
        })?;
        if !seen.insert(known) {
            return Err(Refusal::invalid("allowed_uses", format!("names `{name}` twice")));
        }
        uses.push(known);
    }
    Ok(Uses::of(&uses))
}

/// The length of time that `text` names.
///
/// # Errors
/// [`Refusal::InvalidField`].
pub(crate) fn parse_span_of(
    field: &'static str,
    text: &str,
) -> Result<core::time::Duration, Refusal> {
    parse_span(text).ok_or_else(|| Refusal::invalid(field, super::SPAN_RULE))
}
