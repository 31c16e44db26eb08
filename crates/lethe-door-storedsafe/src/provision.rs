//! The first user, vault and API key of a realm, which nobody is there to make. For
//! `serve --dev`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lethe_engine::record::{DeletionPolicy, PrincipalKind};
use lethe_engine::{
    Caller, CreatePrincipalRequest, Engine, EngineError, NewCredential, NewCredentialKind,
    VaultRequest,
};
use lethe_types::{PrincipalId, RealmId, SecretVec};

use crate::DOOR;
use crate::account::{
    EMAIL, FULL_NAME, Level, POLICY_NONE, Status, USER_ID, VAULT_DESCRIPTION, VAULT_ID, VAULT_NAME,
    VAULT_POLICY, attribute, is_user, vault_id,
};
use crate::ids;
use crate::login::API_KEY;

/// What the first user signs in with.
#[derive(Debug)]
pub struct FirstUser<'a> {
    /// The name.
    pub username: &'a str,
    /// What they know.
    pub passphrase: SecretVec,
    /// The secret of their one-time passwords.
    pub totp_secret: SecretVec,
    /// The key of their application: letters, digits and `-`.
    pub api_key: SecretVec,
}

/// Whether the realm has what [`provision`] made: a live user and API key, and the vault.
///
/// # Errors
/// The engine's.
pub fn is_provisioned(
    engine: &Engine,
    realm: RealmId,
    username: &str,
    vault: &str,
) -> Result<bool, EngineError> {
    let own = engine.system_caller(realm, DOOR)?;
    let user = engine.principal_by_login(realm, username);
    let has_user = user.is_some_and(|user| is_user(user.record()) && !user.record().suspended);
    let has_api_key = engine.holder_of(realm, &dev_api_key()).is_some();
    let has_vault = engine.visible_vaults(&own).iter().any(|known| vault_id(known) == vault);
    Ok(has_user && has_api_key && has_vault)
}

/// Makes a user with every capability, an API key, and a vault whose Admin the user is; the number
/// of the vault.
///
/// # Errors
/// The engine's. What was made before stays, and is good for nobody.
pub async fn provision(
    engine: &Arc<Engine>,
    realm: RealmId,
    user: FirstUser<'_>,
) -> Result<String, EngineError> {
    let own = engine.system_caller(realm, DOOR)?;
    remove_before(engine, &own, user.username).await?;
    let number = ids::take(engine, &own).await?;
    let status =
        Status(Status::READ | Status::WRITE | Status::ADMIN | Status::AUDIT | Status::RELATIONS);
    let credential =
        NewCredentialKind::Passphrase { passphrase: user.passphrase, totp: Some(user.totp_secret) };
    let attributes = BTreeMap::from([
        (USER_ID.into(), attribute(&number)),
        (FULL_NAME.into(), attribute("Development User")),
        (EMAIL.into(), attribute("dev@localhost")),
    ]);
    let request = CreatePrincipalRequest {
        login: Some(user.username.into()),
        grants: status.grants(&[]),
        attributes,
        ..principal(user.username, PrincipalKind::User, credential)?
    };
    let made = engine.create_principal(&own, request).await?;
    let secret =
        NewCredentialKind::SharedSecret { external: dev_api_key().into(), secret: user.api_key };
    let application = principal("dev application", PrincipalKind::ServiceAccount, secret)?;
    engine.create_principal(&own, application).await?;
    make_vault(engine, &own, made.entry.record().id).await
}

/// The name of the API key that `serve --dev` makes.
fn dev_api_key() -> String {
    format!("{API_KEY}dev")
}

fn principal(
    name: &str,
    kind: PrincipalKind,
    credential: NewCredentialKind,
) -> Result<CreatePrincipalRequest, EngineError> {
    Ok(CreatePrincipalRequest {
        name: name.parse().map_err(|_| EngineError::Internal("name of a first principal"))?,
        kind,
        login: None,
        grants: Vec::new(),
        bound_to: None,
        attributes: BTreeMap::new(),
        credentials: vec![NewCredential {
            name: DOOR.into(),
            lifetime: None,
            attributes: BTreeMap::new(),
            kind: credential,
        }],
    })
}

/// Those whose credentials are lost: they stand in the way of new ones.
async fn remove_before(engine: &Engine, own: &Caller, username: &str) -> Result<(), EngineError> {
    let user = engine.principal_by_login(own.realm(), username);
    let application = engine.holder_of(own.realm(), &dev_api_key());
    let user = user.map(|user| user.record().id);
    let application = application.map(|(holder, _)| holder);
    let old: BTreeSet<PrincipalId> = user.into_iter().chain(application).collect();
    for principal in old {
        engine.revoke_principal(own, principal).await?;
    }
    Ok(())
}

async fn make_vault(
    engine: &Arc<Engine>,
    own: &Caller,
    user: PrincipalId,
) -> Result<String, EngineError> {
    let number = ids::take(engine, own).await?;
    let name = format!("storedsafe-vault-{number}");
    let request = VaultRequest {
        attributes: BTreeMap::from([
            (VAULT_ID.into(), attribute(&number)),
            (VAULT_NAME.into(), attribute("Development")),
            (VAULT_POLICY.into(), attribute(POLICY_NONE)),
            (VAULT_DESCRIPTION.into(), attribute("Development")),
        ]),
        policy: DeletionPolicy { refuse_reimport: true, ..DeletionPolicy::default() },
        ..VaultRequest::new(name.parse().map_err(|_| EngineError::Internal("name of a vault"))?)
    };
    let vault = engine.create_vault(own, request).await?;
    engine.grant_on_vault(own, vault.id, user, Level::Admin.permissions()).await?;
    Ok(number)
}
