//! The device as it is kept: its identity, its configuration, and the two roles that sign in by
//! passphrase.
//!
//! The private halves of the identity are keys of the engine in a vault of their own, so that they
//! never leave it; a wipe destroys them. The public keys of the roles are secrets of credentials:
//! with the identity they would let somebody try passphrases.

use std::collections::BTreeMap;

use lethe_crypto::registry::Algorithm;
use lethe_engine::GivenMaterial;
use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{
    Caller, Collection, CreateKeyRequest, CreatePrincipalRequest, DestroyRequest, DocumentChange,
    DoorOperation, Engine, EngineError, Expected, NewCredential, NewCredentialKind, VaultRequest,
};
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{CredentialId, Entropy, KeyId, Permission, Permissions, PrincipalId, SecretVec};
use serde::{Deserialize, Serialize};

use crate::{DOOR, b64};

const DEVICE: Collection = Collection::named("device");
const DEVICE_ID: &str = "device";
/// The vault of the device's own keys.
const OWN_VAULT: &str = "encedo-device";

/// What the User may do: everything that the protocol has a word for.
pub(crate) const USER: [Permission; 17] = [
    Permission::AuditRead,
    Permission::KeysCreate,
    Permission::KeysDestroy,
    Permission::KeysImport,
    Permission::KeysRead,
    Permission::KeysUpdate,
    Permission::KeysUseDecrypt,
    Permission::KeysUseDerive,
    Permission::KeysUseEncrypt,
    Permission::KeysUseMac,
    Permission::KeysUseSign,
    Permission::KeysUseVerify,
    Permission::KeysUseWrap,
    Permission::PrincipalsManage,
    Permission::PrincipalsRead,
    Permission::RealmAdmin,
    Permission::RealmRead,
];
/// What the Master may do: nothing with any key.
const MASTER: [Permission; 3] =
    [Permission::AuditRead, Permission::RealmAdmin, Permission::RealmRead];

/// The device, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stored {
    pub(crate) vault: String,
    /// The keys of the device's own: agreement, signatures, identifiers of derived keys.
    pub(crate) eid: String,
    pub(crate) eid_sign: String,
    pub(crate) naming: String,
    pub(crate) devid: String,
    pub(crate) instanceid: String,
    /// There once it is initialised.
    pub(crate) config: Option<Config>,
    /// Rises with every pair of roles: names of credentials are never given again.
    pub(crate) generation: u32,
    pub(crate) user: Option<StoredRole>,
    pub(crate) master: Option<StoredRole>,
}

/// What the owner of the device sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) iat: u64,
    pub(crate) uts: u64,
    pub(crate) user: String,
    pub(crate) email: String,
    pub(crate) hostname: String,
    pub(crate) origin: String,
    pub(crate) trusted_ts: bool,
    pub(crate) trusted_backend: bool,
    pub(crate) allow_keysearch: bool,
    pub(crate) ctx: u64,
    pub(crate) ip: String,
    pub(crate) dnsd: bool,
    pub(crate) http_option_hsts: bool,
    pub(crate) http_option_dosprot_mode: u8,
}

/// A role that signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredRole {
    pub(crate) principal: String,
    pub(crate) credential: String,
    pub(crate) external: String,
}

/// A role that signs in, with what it is known by.
pub(crate) struct Role {
    pub(crate) principal: PrincipalId,
    pub(crate) credential: CredentialId,
    pub(crate) external: String,
    /// The public key; kept like a secret.
    pub(crate) public_key: SecretVec,
}

/// The device, as requests see it.
pub(crate) struct Device {
    pub(crate) stored: Stored,
    pub(crate) revision: u64,
    pub(crate) eid: KeyId,
    pub(crate) eid_public: String,
    pub(crate) eid_sign: KeyId,
    pub(crate) eid_sign_public: String,
    pub(crate) naming: KeyId,
    pub(crate) user: Option<Role>,
    pub(crate) master: Option<Role>,
}

impl Device {
    pub(crate) fn config(&self) -> Option<&Config> {
        self.stored.config.as_ref()
    }
}

/// What a test wants the identity to be.
pub(crate) type Seed<'a> = Option<&'a [u8; 32]>;

/// The device of the realm, made now if there is none. Blocks for reads of the store.
pub(crate) async fn open(
    engine: &Engine,
    own: &Caller,
    entropy: &dyn Entropy,
    eid: Seed<'_>,
) -> Result<Device, EngineError> {
    if engine.document(own, DEVICE, DEVICE_ID)?.is_none() {
        let stored = fresh(engine, own, entropy, eid).await?;
        write(engine, own, "encedo.device.make", &stored, Expected::Nothing).await?;
    }
    load(engine, own)
}

/// A wipe that was cut short leaves keys of an identity that never was.
pub(crate) async fn drop_leftovers(
    engine: &Engine,
    own: &Caller,
    device: &Device,
) -> Result<(), EngineError> {
    let broken = |_| EngineError::Internal("the document of the device");
    let vault = device.stored.vault.parse().map_err(broken)?;
    let keys = engine.numbered_keys(own, vault, 0, PAGE_KEYS_MAX)?.keys;
    let known = [device.eid, device.eid_sign, device.naming];
    for key in keys.iter().map(|entry| entry.record().id).filter(|key| !known.contains(key)) {
        let reason = "left of an identity that was wiped".to_owned();
        engine.destroy_key(own, DestroyRequest { reason, ..DestroyRequest::new(key) }).await?;
    }
    Ok(())
}

/// A new identity, and nothing else.
pub(crate) async fn fresh(
    engine: &Engine,
    own: &Caller,
    entropy: &dyn Entropy,
    eid: Seed<'_>,
) -> Result<Stored, EngineError> {
    let name = OWN_VAULT.parse().map_err(|_| EngineError::Internal("name of a vault"))?;
    let vaults = engine.visible_vaults(own);
    let vault = match vaults.into_iter().find(|vault| vault.name == name) {
        Some(vault) => vault.id,
        None => engine.create_vault(own, VaultRequest::new(name)).await?.id,
    };
    let mut ids = Vec::new();
    for (name, algorithm, seed) in
        [("eid", "x25519", eid), ("eid_sign", "ed25519", None), ("naming", "hmac-sha256", None)]
    {
        let algorithm = Algorithm::from_name(algorithm)
            .map_err(|_| EngineError::Internal("an algorithm that the registry lacks"))?;
        let name = name.parse().map_err(|_| EngineError::Internal("name of a key"))?;
        let material =
            seed.map(|seed| GivenMaterial { secret: SecretVec::copy_from(seed), imported: false });
        let vault = Some(vault);
        let request =
            CreateKeyRequest { vault, material, ..CreateKeyRequest::new(name, algorithm) };
        let prepared = engine.prepare_key(own, request)?;
        ids.push(engine.create_key(own, prepared).await?.record().id);
    }
    let [eid, eid_sign, naming] = ids.as_slice() else {
        return Err(EngineError::Internal("a device without its keys"));
    };
    let mut random = [0; 24];
    entropy.fill(&mut random)?;
    let (devid, instance) = random.split_at(8);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let instance = hex(instance);
    let part = |from: usize, to: usize| instance.get(from..to).unwrap_or_default();
    // A random UUID in form (RFC 9562 section 5.4).
    let instanceid = format!(
        "{}-{}-4{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    );
    Ok(Stored {
        vault: vault.to_string(),
        eid: eid.to_string(),
        eid_sign: eid_sign.to_string(),
        naming: naming.to_string(),
        devid: hex(devid),
        instanceid,
        config: None,
        generation: 0,
        user: None,
        master: None,
    })
}

/// Keeps the device.
pub(crate) async fn write(
    engine: &Engine,
    caller: &Caller,
    operation: &'static str,
    stored: &Stored,
    expected: Expected,
) -> Result<(), EngineError> {
    let body = serde_json::to_vec(stored)
        .map_err(|_| EngineError::Internal("a device that is no JSON"))?;
    let id = DEVICE_ID.to_owned();
    let change = DocumentChange { collection: DEVICE, id, expected, body: Some(body) };
    let operation = DoorOperation::named(operation).needing(Permission::RealmAdmin);
    engine.write_documents(caller, operation, vec![change]).await
}

/// The document of the device, and its revision. Blocks for a read of the store.
pub(crate) fn stored(engine: &Engine, own: &Caller) -> Result<(Stored, u64), EngineError> {
    let broken = || EngineError::Internal("the document of the device");
    let document = engine.document(own, DEVICE, DEVICE_ID)?.ok_or_else(broken)?;
    let stored = serde_json::from_slice(&document.body).map_err(|_| broken())?;
    Ok((stored, document.revision))
}

/// The device, as it is kept. Blocks for a read of the store.
pub(crate) fn load(engine: &Engine, own: &Caller) -> Result<Device, EngineError> {
    let broken = || EngineError::Internal("the document of the device");
    let (stored, revision) = stored(engine, own)?;
    let key = |text: &str| text.parse::<KeyId>().map_err(|_| broken());
    let (eid, eid_sign, naming) = (key(&stored.eid)?, key(&stored.eid_sign)?, key(&stored.naming)?);
    let public = |key: KeyId| -> Result<String, EngineError> {
        Ok(b64::encode(engine.public_key(own, key, None)?.1.raw()))
    };
    let role = |role: &Option<StoredRole>| role.as_ref().map(|one| load_role(engine, own, one));
    Ok(Device {
        eid_public: public(eid)?,
        eid_sign_public: public(eid_sign)?,
        eid,
        eid_sign,
        naming,
        user: role(&stored.user).transpose()?,
        master: role(&stored.master).transpose()?,
        revision,
        stored,
    })
}

fn load_role(engine: &Engine, own: &Caller, role: &StoredRole) -> Result<Role, EngineError> {
    let broken = || EngineError::Internal("a role of the device");
    let principal = role.principal.parse().map_err(|_| broken())?;
    let credential = role.credential.parse().map_err(|_| broken())?;
    let caller = engine.caller_of(own.realm(), principal, Some(credential), DOOR, [0; 16])?;
    let public_key = engine.open_shared_secret(&caller, credential)?;
    Ok(Role { principal, credential, external: role.external.clone(), public_key })
}

/// Which of the roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    User,
    Master,
}

impl Which {
    const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Master => "master",
        }
    }

    fn grants(self) -> Vec<Grant> {
        let permissions: Permissions = match self {
            Self::User => USER.iter().copied().collect(),
            Self::Master => MASTER.iter().copied().collect(),
        };
        vec![Grant { permissions, scope: Scope::Realm }]
    }
}

/// Makes a role that signs in with the private half of `public_key`.
pub(crate) async fn make_role(
    engine: &Engine,
    own: &Caller,
    which: Which,
    (generation, public_key): (u32, &[u8; 32]),
) -> Result<StoredRole, EngineError> {
    let external = format!("encedo.{}.{generation}", which.name());
    let credential = NewCredential {
        name: "".into(),
        lifetime: None,
        attributes: BTreeMap::new(),
        kind: NewCredentialKind::SharedSecret {
            external: external.as_str().into(),
            secret: SecretVec::copy_from(public_key),
        },
    };
    let request = CreatePrincipalRequest {
        name: which.name().parse().map_err(|_| EngineError::Internal("name of a role"))?,
        kind: PrincipalKind::DeviceRole,
        login: None,
        grants: which.grants(),
        bound_to: None,
        attributes: BTreeMap::new(),
        credentials: vec![credential],
    };
    let made = engine.create_principal(own, request).await?.entry;
    let record = made.record();
    let credential = record.credentials.first();
    let credential = credential.ok_or(EngineError::Internal("a role without a credential"))?;
    let (principal, credential) = (record.id.to_string(), credential.id.to_string());
    Ok(StoredRole { principal, credential, external })
}
