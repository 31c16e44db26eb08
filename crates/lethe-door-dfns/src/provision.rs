//! The beginning of an organization: the permission for everything, and one service account that
//! has it. Everything else goes over the interface.

use std::collections::BTreeMap;

use lethe_engine::record::{Grant, PrincipalKind, Scope};
use lethe_engine::{
    CreatePrincipalRequest, DoorOperation, EngineError, NewCredential, NewCredentialKind,
};
use lethe_types::{Permissions, PrincipalId, UnixMillis};

use crate::account::{
    self, ASSIGNMENTS, Assignment, KEY_KIND, KEY_OF_TOKEN, KeyKind, OF_TOKEN, PEM, TOKEN_KIND,
    assignments_attribute, attribute,
};
use crate::error::Refusal;
use crate::factors::{BASE64URL, NewKey};
use crate::handlers::people::taken;
use crate::ids::{self, Prefix};
use crate::operations::permissions_of;
use crate::permissions::{FULL_ACCESS, Permission};
use crate::state::State;
use crate::tokens::{Named, TokenKind};

/// How long a token is good for where nobody says it.
pub(crate) const TOKEN_DAYS_DEFAULT: u64 = 365;
const DAY_SECONDS: u64 = 24 * 3_600;
/// Random bytes of the name of a credential.
const CRED_ID_BYTES: usize = 16;

/// What a client of a new service account needs.
#[derive(Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// The organization.
    pub org_id: String,
    /// The service account.
    pub user_id: String,
    /// The name of the key that signs its actions.
    pub credential_id: String,
    /// Its token.
    pub token_id: String,
    /// The token itself, which is shown this once.
    pub auth_token: String,
}

impl core::fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("NewAccount").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

/// The permission for everything, made if there is none yet.
///
/// # Errors
/// The engine's.
pub(crate) async fn full_access(state: &State) -> Result<Permission, Refusal> {
    let _one_at_a_time = state.granting.lock().await;
    let known = state.permissions.all().into_iter().find(|permission| permission.is_everything);
    if let Some(known) = known {
        return Ok(known);
    }
    let now = state.clock.now().0;
    let permission = Permission {
        id: ids::id(Prefix::Permission, &ids::random(&*state.entropy)?),
        name: FULL_ACCESS.to_owned(),
        operations: Vec::new(),
        is_everything: true,
        archived: false,
        created: now,
        updated: now,
    };
    let operation = DoorOperation::named("dfns.permission.create");
    let caller = state.system()?;
    state.permissions.put(&state.engine, &caller, operation, permission.clone()).await?;
    Ok(permission)
}

/// Makes a service account with every right, whose actions are signed by this key.
///
/// # Errors
/// 401 if the name is taken; the engine's.
pub(crate) async fn first_account(
    state: &State,
    caller: &lethe_engine::Caller,
    name: &str,
    key: NewKey,
) -> Result<NewAccount, Refusal> {
    let permission = full_access(state).await?;
    let given = Given { permission: Some(&permission), is_immutable: true };
    let lifetime_seconds = TOKEN_DAYS_DEFAULT * DAY_SECONDS;
    let new = NewServiceAccount { name, external_id: None, key, given, lifetime_seconds };
    let made = service_account(state, caller, new).await?;
    Ok(NewAccount {
        org_id: ids::org(state.realm),
        user_id: ids::user(made.user),
        credential_id: made.cred_id,
        token_id: ids::token(made.named.token),
        auth_token: made.token,
    })
}

/// What a new service account may do.
pub(crate) struct Given<'a> {
    pub(crate) permission: Option<&'a Permission>,
    pub(crate) is_immutable: bool,
}

/// What a new service account is to be.
pub(crate) struct NewServiceAccount<'a> {
    pub(crate) name: &'a str,
    pub(crate) external_id: Option<&'a str>,
    pub(crate) key: NewKey,
    pub(crate) given: Given<'a>,
    pub(crate) lifetime_seconds: u64,
}

/// A new service account.
pub(crate) struct Made {
    pub(crate) user: PrincipalId,
    pub(crate) cred_id: String,
    pub(crate) named: Named,
    pub(crate) token: String,
}

/// Makes a service account with its token and the key that signs for it.
///
/// # Errors
/// The engine's.
pub(crate) async fn service_account(
    state: &State,
    caller: &lethe_engine::Caller,
    new: NewServiceAccount<'_>,
) -> Result<Made, Refusal> {
    let now = state.clock.now();
    let cred_id = new_cred_id(state)?;
    let mut attributes: account::Attributes =
        BTreeMap::from([(account::NAME.into(), attribute(new.name))]);
    if let Some(external) = new.external_id {
        attributes.insert(account::EXTERNAL_ID.into(), attribute(external));
    }
    let mut grants = Vec::new();
    if let Some(permission) = new.given.permission {
        let assignment = Assignment {
            id: ids::id(Prefix::Assignment, &ids::random(&*state.entropy)?),
            permission: permission.id.clone(),
            identity: None,
            created: now.0,
            immutable: new.given.is_immutable,
        };
        attributes.insert(ASSIGNMENTS.into(), assignments_attribute(&[assignment]));
        let permissions = permissions_of(&permission.operations());
        grants = realm_grants(permissions);
    }
    let lifetime = core::time::Duration::from_secs(new.lifetime_seconds);
    let request = CreatePrincipalRequest {
        name: principal_name(new.name)?,
        kind: PrincipalKind::ServiceAccount,
        login: Some(new.name.into()),
        grants,
        bound_to: None,
        attributes,
        credentials: vec![
            key_of_token(&cred_id, new.key),
            token_of_key(&cred_id, new.name, TokenKind::ServiceAccount, lifetime),
        ],
    };
    let made = state.engine.create_principal(caller, request).await;
    let made = made.map_err(taken)?;
    let record = made.entry.record();
    let token = record.credentials.iter().find(|one| account::token_kind(one).is_some());
    let token = token.ok_or(EngineError::Internal("a service account without a token"))?;
    let named = Named { user: record.id, token: token.id };
    let end = token.expires.unwrap_or_else(|| now.saturating_add(lifetime));
    let text = state.issuer.mint(named, TokenKind::ServiceAccount, now, end)?;
    Ok(Made { user: record.id, cred_id, named, token: text })
}

/// Grants on the whole realm; none for no permissions.
pub(crate) fn realm_grants(permissions: Permissions) -> Vec<Grant> {
    match permissions.is_empty() {
        true => Vec::new(),
        false => vec![Grant { permissions, scope: Scope::Realm }],
    }
}

/// The name that other interfaces show.
///
/// # Errors
/// 400 for a name that cannot be one.
pub(crate) fn principal_name(name: &str) -> Result<lethe_types::PrincipalName, Refusal> {
    name.parse()
        .map_err(|error: lethe_types::InvalidName| Refusal::field("name", &error.to_string()))
}

/// A name for a key that belongs to a token.
///
/// # Errors
/// The random source failed.
pub(crate) fn new_cred_id(state: &State) -> Result<String, Refusal> {
    let mut bytes = [0; CRED_ID_BYTES];
    state.entropy.fill(&mut bytes)?;
    let id = ids::id(Prefix::Credential, &bytes).replacen("cr-", "ci-", 1);
    Ok(base64::Engine::encode(&BASE64URL, id))
}

/// The key that signs for a token.
pub(crate) fn key_of_token(cred_id: &str, key: NewKey) -> NewCredential {
    let attributes = BTreeMap::from([
        (KEY_KIND.into(), attribute(KeyKind::Key.as_str())),
        (OF_TOKEN.into(), attribute("1")),
        (PEM.into(), attribute(&key.pem)),
    ]);
    let kind = NewCredentialKind::PublicKey {
        external: account::external(cred_id),
        scheme: key.scheme.as_str().into(),
        spki_der: key.spki_der.into(),
    };
    NewCredential { name: "".into(), lifetime: None, attributes, kind }
}

/// The credential that a token stands for. Its own secret is never told to anybody: see
/// `tokens.rs`.
pub(crate) fn token_of_key(
    cred_id: &str,
    name: &str,
    kind: TokenKind,
    lifetime: core::time::Duration,
) -> NewCredential {
    let attributes = BTreeMap::from([
        (TOKEN_KIND.into(), attribute(kind.as_str())),
        (KEY_OF_TOKEN.into(), attribute(cred_id)),
    ]);
    let secret = NewCredentialKind::Bearer;
    NewCredential { name: name.into(), lifetime: Some(lifetime), attributes, kind: secret }
}

/// Whether a token is still good, for a while.
pub(crate) fn is_good(state: &State, token: &str, until: UnixMillis) -> bool {
    let Some(named) = state.issuer.open(token) else { return false };
    let caller =
        state.engine.caller_of(state.realm, named.user, Some(named.token), crate::DOOR, [0; 16]);
    let Ok(caller) = caller else { return false };
    let credential = account::find(caller.record(), named.token);
    credential.is_some_and(|credential| credential.is_live(until))
}
