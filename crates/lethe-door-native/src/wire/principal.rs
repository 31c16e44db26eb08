//! Principals, their grants and their credentials.

use std::borrow::Cow;

use lethe_engine::record::{self, CredentialKind, PrincipalRecord, Scope};
use lethe_types::Permission;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Base64Text, Object, SecretText};

/// What a new principal is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePrincipal<'a> {
    /// A label for people. The same rules as for names of keys.
    #[serde(borrow)]
    #[schema(value_type = String, example = "billing-service")]
    pub name: Cow<'a, str>,
    /// `service_account`, `user`, `application`, `device_role` or `end_user`. Without it
    /// `service_account`.
    #[schema(value_type = Option<String>, example = "service_account")]
    pub kind: Option<Cow<'a, str>>,
    /// The name to sign in with; unique in the realm. 1 to 256 bytes.
    #[schema(value_type = Option<String>)]
    pub login: Option<Cow<'a, str>>,
    /// What it may do; nothing that you may not do. At most 256.
    #[schema(value_type = Vec<GrantRequest>)]
    pub grants: Vec<Object<GrantRequest>>,
    /// The token ends so many seconds from now; without it, never. Not together with
    /// `credentials`.
    #[schema(minimum = 1)]
    pub token_lifetime_seconds: Option<u64>,
    /// How it proves itself; at most 64. Without it by one bearer token.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<CredentialRequest<'_>>>)]
    pub credentials: Option<Vec<Object<CredentialRequest<'a>>>>,
}

/// Permissions on the realm or, if one is named, on one vault or one key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// Names of permissions, or `*` alone for all of them.
    #[schema(example = json!(["keys.use.encrypt", "keys.use.decrypt"]))]
    pub permissions: Vec<String>,
    /// Id of a vault. Not together with `key`.
    pub vault: Option<String>,
    /// Id of a key. Not together with `vault`.
    pub key: Option<String>,
}

/// What a new credential is to be. Each type has members of its own; those of others are refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialRequest<'a> {
    /// `bearer`, `passphrase`, `public_key` or `shared_secret`.
    #[serde(borrow, rename = "type")]
    #[schema(value_type = String, example = "bearer")]
    pub credential_type: Cow<'a, str>,
    /// A label for people; at most 256 bytes.
    #[schema(value_type = Option<String>)]
    pub name: Option<Cow<'a, str>>,
    /// It ends so many seconds from now; without it, never.
    #[schema(minimum = 1)]
    pub lifetime_seconds: Option<u64>,
    /// For `passphrase`: what the principal knows.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Password)]
    pub passphrase: Option<SecretText<'a>>,
    /// For `passphrase`: the shared secret of one-time passwords (RFC 6238), in base32.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Password)]
    pub totp_secret: Option<SecretText<'a>>,
    /// For `public_key` and `shared_secret`: the name under which it is looked up; unique in the
    /// realm. For a `public_key` without it the SHA-256 of its SubjectPublicKeyInfo in hexadecimal
    /// digits.
    #[schema(value_type = Option<String>)]
    pub external: Option<Cow<'a, str>>,
    /// For `public_key`: how its signatures are made, or `x25519`.
    #[schema(value_type = Option<String>, example = "ed25519")]
    pub scheme: Option<Cow<'a, str>>,
    /// For `public_key`: SubjectPublicKeyInfo in PEM.
    #[schema(value_type = Option<String>)]
    pub public_key: Option<Cow<'a, str>>,
    /// For `shared_secret`: the secret, in base64.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, format = Byte)]
    pub secret: Option<Base64Text<'a>>,
}

/// What is to change in a principal; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePrincipal<'a> {
    /// A new label.
    #[serde(borrow)]
    #[schema(value_type = Option<String>)]
    pub name: Option<Cow<'a, str>>,
    /// A new name to sign in with; `null` takes it away.
    #[serde(default, deserialize_with = "crate::body::nullable")]
    #[schema(value_type = Option<String>)]
    pub login: Option<Option<String>>,
    /// New grants, in the place of all old ones.
    #[schema(value_type = Option<Vec<GrantRequest>>)]
    pub grants: Option<Vec<Object<GrantRequest>>>,
    /// Whether it is refused for the time being.
    pub suspended: Option<bool>,
}

/// A principal.
#[derive(Debug, Serialize, ToSchema)]
pub struct Principal {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its label.
    pub name: String,
    /// `service_account`, `user`, `application`, `device_role` or `end_user`.
    #[schema(example = "service_account")]
    pub kind: &'static str,
    /// The name to sign in with; `null` if it has none.
    #[schema(required)]
    pub login: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created: String,
    /// When it lost every right; `null` if it has them.
    #[schema(format = DateTime, required)]
    pub revoked: Option<String>,
    /// Whether it is refused for the time being.
    pub suspended: bool,
    /// Id of the key with which it dies; `null` if it does not.
    #[schema(required)]
    pub bound_to: Option<String>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// How it proves itself; without secrets and hashes.
    pub credentials: Vec<Credential>,
}

/// Permissions on a part of the realm.
#[derive(Debug, Serialize, ToSchema)]
pub struct Grant {
    /// Names of permissions.
    pub permissions: Vec<&'static str>,
    /// `realm`, `vault` or `key`.
    pub scope: &'static str,
    /// Id of the vault, if that is the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub vault: Option<String>,
    /// Id of the key, if that is the scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub key: Option<String>,
}

/// How a principal proves itself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Credential {
    /// 32 hexadecimal digits.
    pub id: String,
    /// `bearer`, `passphrase`, `public_key` or `shared_secret`.
    #[serde(rename = "type")]
    #[schema(example = "bearer")]
    pub credential_type: &'static str,
    /// A label for people; may be empty.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created: String,
    /// When it ends, or ended, by itself; `null` if never.
    #[schema(format = DateTime, required)]
    pub expires: Option<String>,
    /// Whether it is refused for the time being.
    pub suspended: bool,
    /// The name under which it is looked up; only of public keys and shared secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub external: Option<String>,
}

/// A new principal, and its bearer tokens, which are shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewPrincipal {
    /// The principal.
    #[serde(flatten)]
    pub principal: Principal,
    /// Its only bearer token, for `Authorization: Bearer`. Lethe keeps only a hash of it.
    #[schema(example = "lethe_…", nullable = false)]
    pub token: Option<String>,
    /// Its bearer tokens, if it has several.
    #[schema(nullable = false)]
    pub tokens: Option<Vec<IssuedToken>>,
}

/// A bearer token, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedToken {
    /// Id of the credential that it is of.
    pub credential: String,
    /// For `Authorization: Bearer`.
    #[schema(example = "lethe_…")]
    pub token: String,
}

/// A new credential and, if it is one, its bearer token, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewCredential {
    /// The credential.
    #[serde(flatten)]
    pub credential: Credential,
    /// For `Authorization: Bearer`. Lethe keeps only a hash of it.
    #[schema(example = "lethe_…", nullable = false)]
    pub token: Option<String>,
}

/// The principals of the realm.
#[derive(Debug, Serialize, ToSchema)]
pub struct Principals {
    /// All of them, revoked ones too.
    pub principals: Vec<Principal>,
}

impl Principal {
    /// The principal of `record`.
    #[must_use]
    pub fn of(record: &PrincipalRecord) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            kind: record.kind.as_str(),
            login: record.login.as_deref().map(str::to_owned),
            created: record.created.to_string(),
            revoked: record.revoked.map(|time| time.to_string()),
            suspended: record.suspended,
            bound_to: record.bound_to.map(|key| key.to_string()),
            grants: record.grants.iter().map(Grant::of).collect(),
            credentials: record.credentials.iter().map(Credential::of).collect(),
        }
    }
}

impl Grant {
    fn of(grant: &record::Grant) -> Self {
        let (scope, vault, key) = match grant.scope {
            Scope::Realm => ("realm", None, None),
            Scope::Vault(vault) => ("vault", Some(vault.to_string()), None),
            Scope::Key(key) => ("key", None, Some(key.to_string())),
        };
        let permissions = grant.permissions.iter().map(Permission::as_str).collect();
        Self { permissions, scope, vault, key }
    }
}

impl Credential {
    /// The credential of that value, without what proves anything.
    #[must_use]
    pub fn of(credential: &record::Credential) -> Self {
        let credential_type = match &credential.kind {
            CredentialKind::ApiSecret { .. } => "api_secret",
            CredentialKind::Bearer { .. } => "bearer",
            CredentialKind::Passphrase { .. } => "passphrase",
            CredentialKind::PublicKey { .. } => "public_key",
            CredentialKind::SharedSecret { .. } => "shared_secret",
        };
        Self {
            id: credential.id.to_string(),
            credential_type,
            name: credential.name.to_string(),
            created: credential.created.to_string(),
            expires: credential.expires.map(|time| time.to_string()),
            suspended: credential.suspended,
            external: credential.external().map(str::to_owned),
        }
    }
}
