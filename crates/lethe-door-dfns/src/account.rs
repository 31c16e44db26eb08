//! What the door keeps with principals and their credentials, in attributes.

use std::collections::BTreeMap;

use lethe_engine::record::{Credential, CredentialKind, PrincipalKind, PrincipalRecord};
use lethe_types::{CredentialId, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::ids;
use crate::tokens::TokenKind;

/// Attributes of principals.
pub(crate) const NAME: &str = "dfns.name";
pub(crate) const EXTERNAL_ID: &str = "dfns.external_id";
pub(crate) const ASSIGNMENTS: &str = "dfns.assignments";

/// Attributes of credentials: what kind of token or key it is.
pub(crate) const TOKEN_KIND: &str = "dfns.token_kind";
pub(crate) const KEY_KIND: &str = "dfns.key_kind";
/// The key that signs for a token, and the mark of such a key.
pub(crate) const KEY_OF_TOKEN: &str = "dfns.key";
pub(crate) const OF_TOKEN: &str = "dfns.of_token";
/// A public key as its owner wrote it.
pub(crate) const PEM: &str = "dfns.pem";
/// A private key that its owner encrypted.
pub(crate) const ENCRYPTED: &str = "dfns.encrypted_private_key";

/// Of a passkey: the signature counter at its registration, whether it can be backed up, and where
/// it was made.
pub(crate) const COUNTER: &str = "dfns.counter";
pub(crate) const BACKUP_ELIGIBLE: &str = "dfns.backup_eligible";
pub(crate) const ORIGIN: &str = "dfns.origin";

pub(crate) type Attributes = BTreeMap<Box<str>, Box<[u8]>>;

/// What kind of credential a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// A passkey.
    Fido2,
    Key,
    PasswordProtectedKey,
    RecoveryKey,
}

impl KeyKind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Fido2, Self::Key, Self::PasswordProtectedKey, Self::RecoveryKey];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fido2 => "Fido2",
            Self::Key => "Key",
            Self::PasswordProtectedKey => "PasswordProtectedKey",
            Self::RecoveryKey => "RecoveryKey",
        }
    }

    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A permission that somebody was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) id: String,
    pub(crate) permission: String,
    /// The personal access token that it was given to, if not to the user.
    pub(crate) identity: Option<String>,
    pub(crate) created: u64,
    pub(crate) immutable: bool,
}

/// Attributes in either form: keys have a map of them, principals and credentials a list.
pub(crate) trait Kept {
    /// The value of that name.
    fn value(&self, name: &str) -> Option<&[u8]>;
}

impl Kept for Attributes {
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(|value| &**value)
    }
}

impl Kept for lethe_engine::record::Attributes {
    fn value(&self, name: &str) -> Option<&[u8]> {
        self.get(name)
    }
}

/// The text of an attribute.
pub(crate) fn text_of<'a>(attributes: &'a impl Kept, name: &str) -> Option<&'a str> {
    core::str::from_utf8(attributes.value(name)?).ok()
}

pub(crate) fn attribute(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

/// The permissions that a user and their tokens were given.
pub(crate) fn assignments(record: &PrincipalRecord) -> Vec<Assignment> {
    let stored = record.attributes.get(ASSIGNMENTS);
    stored.and_then(|stored| serde_json::from_slice(stored).ok()).unwrap_or_default()
}

pub(crate) fn assignments_attribute(assignments: &[Assignment]) -> Box<[u8]> {
    serde_json::to_vec(assignments).expect("assignments are JSON").into()
}

/// Whether the principal is one of this door's.
pub(crate) fn is_ours(record: &PrincipalRecord) -> bool {
    record.attributes.get(NAME).is_some() && record.kind != PrincipalKind::Application
}

/// What clients call the kind of a user; service accounts are employees to them.
pub(crate) fn kind_word(record: &PrincipalRecord) -> &'static str {
    match record.kind {
        PrincipalKind::EndUser => "EndUser",
        PrincipalKind::Application
        | PrincipalKind::DeviceRole
        | PrincipalKind::ServiceAccount
        | PrincipalKind::User => "CustomerEmployee",
    }
}

pub(crate) fn username(record: &PrincipalRecord) -> &str {
    record.login.as_deref().unwrap_or_else(|| record.name.as_str())
}

/// The kind of token that a credential stands for, if it stands for one.
pub(crate) fn token_kind(credential: &Credential) -> Option<TokenKind> {
    text_of(&credential.attributes, TOKEN_KIND).and_then(TokenKind::named)
}

/// The kind of key that a credential is, if it is one.
pub(crate) fn key_kind(credential: &Credential) -> Option<KeyKind> {
    text_of(&credential.attributes, KEY_KIND).and_then(KeyKind::named)
}

/// What the names of keys begin with where all doors look credentials up.
const EXTERNAL: &str = "dfns/";

/// The name of a key in the engine: clients choose theirs, and take none of another door's.
pub(crate) fn external(cred_id: &str) -> Box<str> {
    format!("{EXTERNAL}{cred_id}").into()
}

/// The name of a key as clients know it.
pub(crate) fn cred_id(credential: &Credential) -> Option<&str> {
    credential.external()?.strip_prefix(EXTERNAL)
}

/// Whether a client means this key: by its name, or by its identifier.
pub(crate) fn is_called(credential: &Credential, name: &str) -> bool {
    cred_id(credential) == Some(name) || ids::parse_credential(name) == Some(credential.id)
}

/// The name of the key that signs for a token, if it has one of its own.
pub(crate) fn key_of_token(credential: &Credential) -> Option<&str> {
    text_of(&credential.attributes, KEY_OF_TOKEN)
}

pub(crate) fn find(record: &PrincipalRecord, id: CredentialId) -> Option<&Credential> {
    record.credentials.iter().find(|credential| credential.id == id)
}

/// The keys that may sign for a token: its own, or all keys of the user that belong to no token.
pub(crate) fn keys_for<'a>(
    record: &'a PrincipalRecord,
    token: &'a Credential,
    now: UnixMillis,
) -> impl Iterator<Item = (&'a Credential, KeyKind)> {
    let own = key_of_token(token);
    record.credentials.iter().filter_map(move |credential| {
        let kind = key_kind(credential).filter(|_| credential.is_live(now))?;
        let is_free = credential.attributes.get(OF_TOKEN).is_none();
        let signs = own.map_or(is_free, |own| cred_id(credential) == Some(own));
        signs.then_some((credential, kind))
    })
}

/// The public half and the scheme of a key.
pub(crate) fn public_key(credential: &Credential) -> Option<(&str, &[u8])> {
    match &credential.kind {
        CredentialKind::PublicKey { scheme, spki_der, .. } => Some((scheme, spki_der)),
        CredentialKind::ApiSecret { .. }
        | CredentialKind::Bearer { .. }
        | CredentialKind::Passphrase { .. }
        | CredentialKind::SharedSecret { .. } => None,
    }
}
