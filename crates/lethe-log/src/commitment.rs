//! Salted commitments: what a log entry shows instead of names and identifiers.
//!
//! The log is public and for ever; names are neither. An entry holds the hash of what it is
//! about together with a random salt. Whoever has the salt can prove what the entry means;
//! once the salt is gone, nobody can tell, not even by guessing names.

use core::fmt;

use lethe_crypto::hash::sha256;
use lethe_types::{Entropy, EntropyError, KeyId, PrincipalId, RealmId, VaultId};

use crate::encoding::fmt_base64;
use crate::json::{Json, JsonError, Members, parsed_text, write_object};

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;

/// The random bytes that hide the subject and the detail of one entry. One salt per entry.
///
/// Not a key: it is disclosed to whoever gets the receipt. Kept out of logs all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; SALT_BYTES]);

impl Salt {
    /// A fresh salt.
    ///
    /// # Errors
    /// [`EntropyError`] if the source failed.
    pub fn random(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut bytes = [0; SALT_BYTES];
        entropy.fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A SHA-256 value that stands for a subject or a detail. Written in base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Commitment(pub [u8; 32]);

impl Commitment {
    /// `SHA-256("kms-subject/v1" || salt || canonical JSON of the subject)`.
    #[must_use]
    pub fn to_subject(salt: &Salt, subject: &Subject) -> Self {
        Self(sha256(&[SUBJECT_DOMAIN, &salt.0, subject.to_json().as_bytes()]))
    }

    /// `SHA-256("lethe-detail/v1" || salt || detail)`; `detail` is canonical JSON.
    #[must_use]
    pub fn to_detail(salt: &Salt, detail: &str) -> Self {
        Self(sha256(&[DETAIL_DOMAIN, &salt.0, detail.as_bytes()]))
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_base64(&self.0, f)
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({self})")
    }
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A key.
    Key {
        /// The key.
        key: KeyId,
        /// Its realm.
        realm: RealmId,
    },
    /// A principal, or a grant to it.
    Principal {
        /// The principal.
        principal: PrincipalId,
        /// Its realm.
        realm: RealmId,
    },
    /// A realm.
    Realm {
        /// The realm.
        realm: RealmId,
    },
    /// A vault.
    Vault {
        /// Its realm.
        realm: RealmId,
        /// The vault.
        vault: VaultId,
    },
}

impl Subject {
    /// The canonical JSON, as in `{"key":"…","realm":"…"}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let written = write_object(|object| match self {
            Self::Key { key, realm } => {
                object.plain("key", key);
                object.plain("realm", realm);
            }
            Self::Principal { principal, realm } => {
                object.plain("principal", principal);
                object.plain("realm", realm);
            }
            Self::Realm { realm } => object.plain("realm", realm),
            Self::Vault { realm, vault } => {
                object.plain("realm", realm);
                object.plain("vault", vault);
            }
        });
        written.expect("a subject has no numbers")
    }

    pub(crate) fn from_json(value: Json) -> Result<Self, JsonError> {
        let mut members = Members::of(value, "subject")?;
        let realm = members.parsed("realm")?;
        let subject = if let Some(key) = members.optional("key") {
            Self::Key { key: parsed_text(key, "key")?, realm }
        } else if let Some(principal) = members.optional("principal") {
            Self::Principal { principal: parsed_text(principal, "principal")?, realm }
        } else if let Some(vault) = members.optional("vault") {
            Self::Vault { realm, vault: parsed_text(vault, "vault")? }
        } else {
            Self::Realm { realm }
        };
        members.finish()?;
        Ok(subject)
    }
}

const SUBJECT_DOMAIN: &[u8] = b"kms-subject/v1";
const DETAIL_DOMAIN: &[u8] = b"lethe-detail/v1";
