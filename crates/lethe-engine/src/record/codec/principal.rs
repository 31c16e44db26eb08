//! Principals, their grants and credentials.

use lethe_types::limits::API_SECRET_SHOWN_BYTES;
use lethe_types::{CredentialId, KeyId, Permissions, PrincipalId, RealmId, UnixMillis, VaultId};
use minicbor::bytes::{ByteArray, ByteVec};
use minicbor::{Decode, Encode};

use super::details::{StoredSecret, secret_from_stored, secret_to_stored};
use super::{
    StoredAttribute, Undecodable, attributes_from_stored, attributes_to_stored, decode, encode,
};
use crate::record::{Credential, CredentialKind, Grant, PrincipalKind, PrincipalRecord, Scope};

/// Kinds: 1 application, 2 device role, 3 end user, 4 service account, 5 user.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredPrincipal {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    realm: ByteArray<16>,
    #[n(2)]
    name: String,
    #[n(3)]
    created: u64,
    #[n(4)]
    revoked: Option<u64>,
    #[n(5)]
    grants: Vec<StoredGrant>,
    #[n(6)]
    credentials: Vec<StoredCredential>,
    #[n(7)]
    salt: ByteArray<32>,
    #[n(8)]
    kind: u8,
    #[n(9)]
    login: Option<String>,
    #[n(10)]
    changed: u64,
    #[n(11)]
    suspended: bool,
    #[n(12)]
    bound_to: Option<ByteArray<16>>,
    #[n(13)]
    attributes: Vec<StoredAttribute>,
}

/// Scope kinds: 0 realm, 1 vault, 2 key.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredGrant {
    #[n(0)]
    permissions: u64,
    #[n(1)]
    scope: u8,
    #[n(2)]
    id: Option<ByteArray<16>>,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredCredential {
    #[n(0)]
    id: ByteArray<16>,
    #[n(1)]
    name: String,
    #[n(2)]
    created: u64,
    #[n(3)]
    expires: Option<u64>,
    #[n(4)]
    suspended: bool,
    #[n(5)]
    attributes: Vec<StoredAttribute>,
    #[n(6)]
    kind: StoredKind,
}

#[derive(Encode, Decode)]
enum StoredKind {
    #[n(5)]
    ApiSecret {
        #[n(0)]
        shown: ByteArray<API_SECRET_SHOWN_BYTES>,
        #[n(1)]
        digest: ByteArray<32>,
        #[n(2)]
        version: u32,
    },
    #[n(1)]
    Bearer {
        #[n(0)]
        hash: ByteArray<32>,
    },
    #[n(2)]
    Passphrase {
        #[n(0)]
        hash: String,
        #[n(1)]
        totp: Option<StoredSecret>,
    },
    #[n(3)]
    PublicKey {
        #[n(0)]
        external: String,
        #[n(1)]
        scheme: String,
        #[n(2)]
        spki_der: ByteVec,
    },
    #[n(4)]
    SharedSecret {
        #[n(0)]
        external: String,
        #[n(1)]
        secret: StoredSecret,
    },
}

/// A record as stored.
#[must_use]
pub(crate) fn encode_principal(record: &PrincipalRecord) -> Vec<u8> {
    encode(&StoredPrincipal {
        id: record.id.0.into(),
        realm: record.realm.0.into(),
        name: record.name.as_str().to_owned(),
        created: record.created.0,
        revoked: record.revoked.map(|time| time.0),
        grants: record.grants.iter().map(grant_to_stored).collect(),
        credentials: record.credentials.iter().map(credential_to_stored).collect(),
        salt: (*record.salt).into(),
        kind: kind_code(record.kind),
        login: record.login.as_deref().map(str::to_owned),
        changed: record.changed.0,
        suspended: record.suspended,
        bound_to: record.bound_to.map(|key| key.0.into()),
        attributes: attributes_to_stored(record.attributes.iter()),
    })
}

/// A record from its stored form.
///
/// # Errors
/// [`Undecodable`].
pub(crate) fn decode_principal(bytes: &[u8]) -> Result<PrincipalRecord, Undecodable> {
    let stored: StoredPrincipal = decode(bytes)?;
    Ok(PrincipalRecord {
        id: PrincipalId(*stored.id),
        realm: RealmId(*stored.realm),
        kind: kind_from_code(stored.kind)?,
        name: stored.name.parse().map_err(|_| Undecodable("principal name"))?,
        login: stored.login.map(Into::into),
        created: UnixMillis(stored.created),
        changed: UnixMillis(stored.changed),
        revoked: stored.revoked.map(UnixMillis),
        suspended: stored.suspended,
        bound_to: stored.bound_to.map(|key| KeyId(*key)),
        grants: stored.grants.iter().map(grant_from_stored).collect::<Result<_, _>>()?,
        credentials: stored.credentials.into_iter().map(credential_from_stored).collect(),
        attributes: attributes_from_stored(stored.attributes).into(),
        salt: Box::new(*stored.salt),
    })
}

fn kind_code(kind: PrincipalKind) -> u8 {
    match kind {
        PrincipalKind::Application => 1,
        PrincipalKind::DeviceRole => 2,
        PrincipalKind::EndUser => 3,
        PrincipalKind::ServiceAccount => 4,
        PrincipalKind::User => 5,
    }
}

fn kind_from_code(code: u8) -> Result<PrincipalKind, Undecodable> {
    let kind = PrincipalKind::ALL.iter().copied().find(|&kind| kind_code(kind) == code);
    kind.ok_or(Undecodable("kind of a principal"))
}

fn grant_to_stored(grant: &Grant) -> StoredGrant {
    let (scope, id) = match grant.scope {
        Scope::Realm => (0, None),
        Scope::Vault(vault) => (1, Some(vault.0.into())),
        Scope::Key(key) => (2, Some(key.0.into())),
    };
    StoredGrant { permissions: grant.permissions.to_bits(), scope, id }
}

fn grant_from_stored(stored: &StoredGrant) -> Result<Grant, Undecodable> {
    let permissions = Permissions::from_bits(stored.permissions)
        .ok_or(Undecodable("a permission that this build does not have"))?;
    let scope = match (stored.scope, &stored.id) {
        (0, None) => Scope::Realm,
        (1, Some(id)) => Scope::Vault(VaultId(**id)),
        (2, Some(id)) => Scope::Key(KeyId(**id)),
        _ => return Err(Undecodable("grant scope")),
    };
    Ok(Grant { permissions, scope })
}

fn credential_to_stored(credential: &Credential) -> StoredCredential {
    StoredCredential {
        id: credential.id.0.into(),
        name: credential.name.to_string(),
        created: credential.created.0,
        expires: credential.expires.map(|time| time.0),
        suspended: credential.suspended,
        attributes: attributes_to_stored(credential.attributes.iter()),
        kind: match &credential.kind {
            CredentialKind::ApiSecret { shown, digest, version } => StoredKind::ApiSecret {
                shown: (*shown).into(),
                digest: (*digest).into(),
                version: *version,
            },
            CredentialKind::Bearer { hash } => StoredKind::Bearer { hash: (*hash).into() },
            CredentialKind::Passphrase { hash, totp } => StoredKind::Passphrase {
                hash: hash.to_string(),
                totp: totp.as_ref().map(secret_to_stored),
            },
            CredentialKind::PublicKey { external, scheme, spki_der } => StoredKind::PublicKey {
                external: external.to_string(),
                scheme: scheme.to_string(),
                spki_der: spki_der.to_vec().into(),
            },
            CredentialKind::SharedSecret { external, secret } => StoredKind::SharedSecret {
                external: external.to_string(),
                secret: secret_to_stored(secret),
            },
        },
    }
}

fn credential_from_stored(stored: StoredCredential) -> Credential {
    Credential {
        id: CredentialId(*stored.id),
        name: stored.name.into(),
        created: UnixMillis(stored.created),
        expires: stored.expires.map(UnixMillis),
        suspended: stored.suspended,
        attributes: attributes_from_stored(stored.attributes).into(),
        kind: match stored.kind {
            StoredKind::ApiSecret { shown, digest, version } => {
                CredentialKind::ApiSecret { shown: *shown, digest: *digest, version }
            }
            StoredKind::Bearer { hash } => CredentialKind::Bearer { hash: *hash },
            StoredKind::Passphrase { hash, totp } => {
                CredentialKind::Passphrase { hash: hash.into(), totp: totp.map(secret_from_stored) }
            }
            StoredKind::PublicKey { external, scheme, spki_der } => CredentialKind::PublicKey {
                external: external.into(),
                scheme: scheme.into(),
                spki_der: Vec::from(spki_der).into(),
            },
            StoredKind::SharedSecret { external, secret } => CredentialKind::SharedSecret {
                external: external.into(),
                secret: secret_from_stored(secret),
            },
        },
    }
}
