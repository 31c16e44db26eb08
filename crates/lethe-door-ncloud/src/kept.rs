//! What the door keeps with a key, and what a key is in its words.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use lethe_crypto::registry::Algorithm;
use lethe_engine::KeyEntry;
use lethe_engine::record::KeyRecord;
use lethe_types::{KeyState, StableState, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::DOOR;

const NUMBER: &str = "ncloud.key_id";
pub(crate) const MEMO: &str = "ncloud.memo";
const HSM: &str = "ncloud.hsm";
pub(crate) const ROTATION_DAYS: &str = "ncloud.rotation_days";
pub(crate) const ACL: &str = "ncloud.acl";
pub(crate) const GENERATOR: &str = "ncloud.generator";
/// The secret that tokens are authenticated with.
pub(crate) const TOKEN_SECRET: &str = "ncloud.tokens";

/// A change of attributes.
pub(crate) type Attributes = BTreeMap<Box<str>, Option<Box<[u8]>>>;

/// The types of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    /// AES-256-GCM, the same ciphertext for the same plaintext and context if convergent.
    Aes { is_convergent: bool },
    /// ECDSA on P-256.
    Ecdsa,
    /// RSA with 2,048 bits.
    Rsa,
}

impl KeyType {
    /// `None` for what this service does not have.
    pub(crate) fn parse(name: &str, is_convergent: bool) -> Option<Self> {
        match name {
            "AES256" => Some(Self::Aes { is_convergent }),
            "ECDSA" if !is_convergent => Some(Self::Ecdsa),
            "RSA2048" if !is_convergent => Some(Self::Rsa),
            _ => None,
        }
    }

    /// `None` for a key of another door that this service has no word for.
    pub(crate) fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm.name() {
            "aes256-gcm" => Some(Self::Aes { is_convergent: false }),
            "aes256-gcm-convergent" => Some(Self::Aes { is_convergent: true }),
            "ecdsa-p256" => Some(Self::Ecdsa),
            "rsa-2048" => Some(Self::Rsa),
            _ => None,
        }
    }

    pub(crate) fn algorithm(self) -> Algorithm {
        let name = match self {
            Self::Aes { is_convergent: false } => "aes256-gcm",
            Self::Aes { is_convergent: true } => "aes256-gcm-convergent",
            Self::Ecdsa => "ecdsa-p256",
            Self::Rsa => "rsa-2048",
        };
        Algorithm::from_name(name).expect("every build has it")
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Aes { .. } => "AES256",
            Self::Ecdsa => "ECDSA",
            Self::Rsa => "RSA2048",
        }
    }

    pub(crate) const fn is_convergent(self) -> bool {
        matches!(self, Self::Aes { is_convergent: true })
    }

    pub(crate) const fn encrypts(self) -> bool {
        matches!(self, Self::Aes { .. } | Self::Rsa)
    }

    pub(crate) const fn signs(self) -> bool {
        matches!(self, Self::Ecdsa | Self::Rsa)
    }
}

/// The states of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Disabled,
    Enabled,
    /// Pending deletion.
    Revoked,
}

impl Status {
    /// A key that can be used, one that waits for its end, and everything between. `None` if it is
    /// gone.
    pub(crate) fn of(state: KeyState) -> Option<Self> {
        match state {
            KeyState::Destroyed | KeyState::DestroyedCompromised => None,
            KeyState::PendingDestruction { .. } => Some(Self::Revoked),
            KeyState::Stable(StableState::Active) => Some(Self::Enabled),
            KeyState::Stable(_) => Some(Self::Disabled),
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "DISABLE",
            Self::Enabled => "ENABLE",
            Self::Revoked => "REVOKE",
        }
    }
}

/// When the key got the state that it has.
pub(crate) fn status_date(record: &KeyRecord) -> UnixMillis {
    match (&record.details().pending, record.details().history.last()) {
        (Some(pending), _) => pending.requested,
        (None, Some(change)) => change.at,
        (None, None) => record.created,
    }
}

/// The tag in URLs; `None` for a key that was not made here.
pub(crate) fn tag(record: &KeyRecord) -> Option<&str> {
    let alias = record.aliases.iter().find(|alias| alias.door == DOOR);
    alias.map(|alias| alias.text.as_str())
}

/// The number of the newest version.
pub(crate) fn newest_version(record: &KeyRecord) -> u32 {
    record.next_version.saturating_sub(1)
}

fn attribute<'a>(record: &'a KeyRecord, name: &str) -> Option<&'a [u8]> {
    record.details().attributes.get(name).map(|value| &**value)
}

fn text<'a>(record: &'a KeyRecord, name: &str) -> Option<&'a str> {
    core::str::from_utf8(attribute(record, name)?).ok()
}

/// The key's number.
pub(crate) fn number(record: &KeyRecord) -> u64 {
    text(record, NUMBER).and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(crate) fn memo(record: &KeyRecord) -> &str {
    text(record, MEMO).unwrap_or_default()
}

/// What the client asked for. The material lies in the same erasure tree either way.
pub(crate) fn protection(record: &KeyRecord) -> &'static str {
    if attribute(record, HSM).is_some() { "COMMON_HSM" } else { "BASIC" }
}

/// Days between automatic rotations as they were set last, also while there are none.
pub(crate) fn rotation_days(record: &KeyRecord) -> u32 {
    let days = text(record, ROTATION_DAYS).and_then(|text| text.parse().ok());
    days.unwrap_or(ROTATION_DAYS_DEFAULT)
}

/// When the key gets its next version by itself, if it does.
pub(crate) fn next_rotation(record: &KeyRecord) -> Option<UnixMillis> {
    record.life().rotation.map(|rotation| rotation.next)
}

/// Days between automatic rotations, unless the client says otherwise.
pub(crate) const ROTATION_DAYS_DEFAULT: u32 = 90;

/// The attributes of a new key.
pub(crate) fn of_new_key(
    number: u64,
    memo: &str,
    is_hsm: bool,
    rotation_days: u32,
) -> BTreeMap<Box<str>, Box<[u8]>> {
    let mut kept = BTreeMap::from([
        (NUMBER.into(), bytes(&number.to_string())),
        (ROTATION_DAYS.into(), bytes(&rotation_days.to_string())),
    ]);
    if !memo.is_empty() {
        kept.insert(MEMO.into(), bytes(memo));
    }
    if is_hsm {
        kept.insert(HSM.into(), bytes("1"));
    }
    kept
}

/// The value of an attribute.
pub(crate) fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

/// From where tokens may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AddressList {
    /// Whether it counts; if it does, only these addresses may.
    pub(crate) enabled: bool,
    /// In the order in which they were added, each once.
    pub(crate) addresses: Vec<Ipv4Addr>,
}

impl AddressList {
    pub(crate) fn of(record: &KeyRecord) -> Self {
        // What cannot be read would have been written by another version: nobody gets in.
        let closed = || Self { enabled: true, addresses: Vec::new() };
        let read = |json| serde_json::from_slice(json).unwrap_or_else(|_| closed());
        attribute(record, ACL).map_or_else(Self::default, read)
    }

    pub(crate) fn to_attribute(&self) -> Attributes {
        let json = serde_json::to_vec(self).expect("it is JSON");
        Attributes::from([(ACL.into(), Some(json.into()))])
    }
}

/// What gives out tokens for the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generator {
    /// 32 lower-case hexadecimal digits.
    pub(crate) id: String,
    /// When it was made, in milliseconds.
    pub(crate) enabled: u64,
    /// When it ended, if it did.
    pub(crate) disabled: Option<u64>,
    /// Tokens that it gave out.
    pub(crate) issued: u64,
}

impl Generator {
    /// `None` if the key never had one.
    pub(crate) fn of(entry: &KeyEntry) -> Option<Self> {
        serde_json::from_slice(attribute(entry.record(), GENERATOR)?).ok()
    }

    pub(crate) fn to_attribute(&self) -> Attributes {
        let json = serde_json::to_vec(self).expect("it is JSON");
        Attributes::from([(GENERATOR.into(), Some(json.into()))])
    }
}
