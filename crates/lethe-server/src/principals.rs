//! The first principals of a realm, which nobody is there to make.

use std::sync::Arc;

use lethe_engine::record::{Grant, Scope};
use lethe_engine::{CreatePrincipalRequest, Engine, EngineError};
use lethe_types::{Permissions, RealmId, SecretVec};

use crate::ServeError;
use crate::config::DoorConfig;
use crate::data_dir::DataDir;
use crate::private_files::write_atomic;

/// Makes a principal with every permission in `realm` and returns its token.
pub(crate) async fn create_with_all(
    engine: &Arc<Engine>,
    realm: RealmId,
    door: &'static str,
    name: &str,
) -> Result<SecretVec, ServeError> {
    let caller = engine.system_caller(realm, door)?;
    let request = CreatePrincipalRequest::service(
        name.parse().map_err(|_| EngineError::Internal("name of a first principal"))?,
        vec![Grant { permissions: Permissions::all(), scope: Scope::Realm }],
        None,
    );
    let new = engine.create_principal(&caller, request).await?;
    let (_, token) = new
        .tokens
        .into_iter()
        .next()
        .ok_or(EngineError::Internal("a principal without its token"))?;
    Ok(token)
}

/// Makes the first principal of a realm that has none, and leaves its token in a file that only the
/// owner may read. A crash between the two leaves a realm without keys whose token is lost: remove
/// the data directory and start again.
pub(crate) async fn ensure_initial_admin(
    engine: &Arc<Engine>,
    realm: RealmId,
    door: &DoorConfig,
    data: &DataDir,
) -> Result<(), ServeError> {
    let caller = engine.system_caller(realm, door.dialect)?;
    if !engine.list_principals(&caller)?.is_empty() {
        return Ok(());
    }
    let token = create_with_all(engine, realm, door.dialect, "initial-admin").await?;
    let path = data.initial_admin_token(&door.realm);
    write_atomic(&path, token.expose(), 0o600)?;
    eprintln!(
        "lethe: realm `{}` is new; the token of its first principal is in {}",
        door.realm,
        path.display()
    );
    Ok(())
}
