//! Who acts, how they prove it, and what they may do.

use lethe_types::limits::API_SECRET_SHOWN_BYTES;
use lethe_types::{
    CredentialId, KeyId, Permissions, PrincipalId, PrincipalName, RealmId, UnixMillis, VaultId,
};

use super::{Attributes, OwnedSecret};

/// How the name of an attribute ends that identifies its principal at a door: principals are found
/// by the values of such attributes without looking at all of them. Values need not be unique.
pub const IDENTIFIER_ATTRIBUTE_END: &str = ".id";

/// Who acts.
#[derive(Clone, Debug)]
pub struct PrincipalRecord {
    /// Identity.
    pub id: PrincipalId,
    /// The tenant.
    pub realm: RealmId,
    /// What kind of actor it is.
    pub kind: PrincipalKind,
    /// A label for people.
    pub name: PrincipalName,
    /// The name to sign in with; unique in the realm among principals that can act.
    pub login: Option<Box<str>>,
    /// When it was made.
    pub created: UnixMillis,
    /// When the record changed last.
    pub changed: UnixMillis,
    /// When it lost every right, if it did.
    pub revoked: Option<UnixMillis>,
    /// Refused for the time being; the reversible stop.
    pub suspended: bool,
    /// The key that it acts for: it is revoked in the instant in which that key is destroyed.
    pub bound_to: Option<KeyId>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// How it proves itself.
    pub credentials: Vec<Credential>,
    /// What doors keep with it.
    pub attributes: Attributes,
    /// Opens the commitments of this principal's log entries.
    pub salt: Box<[u8; 32]>,
}

impl PrincipalRecord {
    /// A principal with a name and nothing else: no right, no credential.
    #[must_use]
    pub fn new(
        id: PrincipalId,
        realm: RealmId,
        kind: PrincipalKind,
        name: PrincipalName,
        now: UnixMillis,
    ) -> Self {
        Self {
            id,
            realm,
            kind,
            name,
            login: None,
            created: now,
            changed: now,
            revoked: None,
            suspended: false,
            bound_to: None,
            grants: Vec::new(),
            credentials: Vec::new(),
            attributes: Attributes::new(),
            salt: Box::new([0; 32]),
        }
    }

    /// Whether it may act at all: neither revoked nor suspended.
    #[must_use]
    pub fn is_live(&self, now: UnixMillis) -> bool {
        !self.suspended && self.revoked.is_none_or(|revoked| now < revoked)
    }

    /// Whether it is the application of an API key: there may be millions, each found by its key.
    #[must_use]
    pub fn is_application_of_key(&self) -> bool {
        self.kind == PrincipalKind::Application && self.bound_to.is_some()
    }

    /// The slots of the erasure tree that hold secrets of its credentials.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = u64> {
        let secrets = self.credentials.iter().filter_map(Credential::secret);
        secrets.filter(|secret| secret.is_sealed()).map(|secret| secret.leaf)
    }
}

/// What kind of actor a principal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrincipalKind {
    /// What an API key opens the door for: lives and dies with the key that it is bound to.
    Application,
    /// A role of a device.
    DeviceRole,
    /// A customer of the tenant, who acts on keys that were delegated to them and nothing else.
    EndUser,
    /// A program.
    ServiceAccount,
    /// A person.
    User,
}

impl PrincipalKind {
    /// All kinds, in the order of their texts.
    pub const ALL: &[Self] =
        &[Self::Application, Self::DeviceRole, Self::EndUser, Self::ServiceAccount, Self::User];

    /// The kind's stable text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::DeviceRole => "device_role",
            Self::EndUser => "end_user",
            Self::ServiceAccount => "service_account",
            Self::User => "user",
        }
    }
}

/// A set of permissions on a part of a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What.
    pub permissions: Permissions,
    /// On what.
    pub scope: Scope,
}

/// The part of a realm that a grant speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everything in the principal's realm.
    Realm,
    /// The keys of one vault.
    Vault(VaultId),
    /// One key.
    Key(KeyId),
}

/// How a principal proves itself.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Identity.
    pub id: CredentialId,
    /// A label for people. May be empty.
    pub name: Box<str>,
    /// Which proof.
    pub kind: CredentialKind,
    /// When it was made.
    pub created: UnixMillis,
    /// When it ends by itself, if it does.
    pub expires: Option<UnixMillis>,
    /// Refused for the time being; the reversible stop.
    pub suspended: bool,
    /// What doors keep with it.
    pub attributes: Attributes,
}

/// Which proof a credential is.
#[derive(Clone, Debug)]
pub enum CredentialKind {
    /// The secret of an API key, kept as a digest that is keyed with a version of the key which the
    /// principal acts for: when the version goes, the digest says nothing about any secret.
    ApiSecret {
        /// The beginning of the secret, by which it is found and which may be shown.
        shown: [u8; API_SECRET_SHOWN_BYTES],
        /// HMAC-SHA-256 of the whole secret.
        digest: [u8; 32],
        /// The version of the key that keys the digest.
        version: u32,
    },
    /// A bearer secret of Lethe's own form, kept as a keyed hash. The id is part of the token.
    Bearer {
        /// Keyed hash of the secret.
        hash: [u8; 32],
    },
    /// A passphrase, kept as a slow hash, and a one-time password beside it if `totp` is there.
    Passphrase {
        /// Argon2id in the PHC string format.
        hash: Box<str>,
        /// The shared secret of RFC 6238, sealed in the erasure tree.
        totp: Option<OwnedSecret>,
    },
    /// A public key: the holder signs, or agrees on a secret, with the private half.
    PublicKey {
        /// The name under which doors look it up; unique in the realm.
        external: Box<str>,
        /// How its signatures are made: a signature scheme's stable name; `x25519` for agreement.
        scheme: Box<str>,
        /// SubjectPublicKeyInfo (RFC 5280).
        spki_der: Box<[u8]>,
    },
    /// A secret that both sides hold, sealed in the erasure tree: it signs requests, or is shown.
    SharedSecret {
        /// The name under which doors look it up; unique in the realm.
        external: Box<str>,
        /// The secret.
        secret: OwnedSecret,
    },
}

impl Credential {
    /// The secret of it that lives in the erasure tree.
    #[must_use]
    pub fn secret(&self) -> Option<&OwnedSecret> {
        match &self.kind {
            CredentialKind::Passphrase { totp, .. } => totp.as_ref(),
            CredentialKind::SharedSecret { secret, .. } => Some(secret),
            CredentialKind::ApiSecret { .. }
            | CredentialKind::Bearer { .. }
            | CredentialKind::PublicKey { .. } => None,
        }
    }

    /// The same, to change it.
    pub(crate) fn secret_mut(&mut self) -> Option<&mut OwnedSecret> {
        match &mut self.kind {
            CredentialKind::Passphrase { totp, .. } => totp.as_mut(),
            CredentialKind::SharedSecret { secret, .. } => Some(secret),
            CredentialKind::ApiSecret { .. }
            | CredentialKind::Bearer { .. }
            | CredentialKind::PublicKey { .. } => None,
        }
    }

    /// The name under which doors look it up.
    #[must_use]
    pub fn external(&self) -> Option<&str> {
        match &self.kind {
            CredentialKind::PublicKey { external, .. }
            | CredentialKind::SharedSecret { external, .. } => Some(external),
            CredentialKind::ApiSecret { .. }
            | CredentialKind::Bearer { .. }
            | CredentialKind::Passphrase { .. } => None,
        }
    }

    /// Whether it proves anything at `now`.
    #[must_use]
    pub fn is_live(&self, now: UnixMillis) -> bool {
        !self.suspended && self.expires.is_none_or(|end| now < end)
    }
}
