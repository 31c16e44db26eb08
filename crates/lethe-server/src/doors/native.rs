//! Lethe's own door.

use std::sync::Arc;

use lethe_door_native::NativeDoor;
use serde_json::{Map, Value};

use super::{Opened, Site};
use crate::ServeError;
use crate::principals::create_with_all;

pub(super) fn open(site: &Site<'_>) -> Result<Opened, ServeError> {
    match site.config.settings.keys().next() {
        None => {
            let door = NativeDoor::new(site.engine.clone(), site.service.clone());
            Ok(Opened::new(site, Arc::new(door)))
        }
        Some(name) => {
            Err(ServeError::Door { dialect: "native", why: format!("it has no setting `{name}`") })
        }
    }
}

/// `token`: a principal with every permission.
pub(super) async fn provision_dev(
    site: &Site<'_>,
    before: Option<&Value>,
) -> Result<Map<String, Value>, ServeError> {
    let dialect = site.config.dialect;
    let kept = before.and_then(|before| before.get("token")?.as_str()).filter(|token| {
        let caller = site.engine.authenticate_bearer(dialect, [0; 16], token);
        caller.is_ok_and(|caller| caller.realm() == site.realm)
    });
    let token = match kept {
        Some(token) => token.to_owned(),
        None => {
            let token = create_with_all(site.engine, site.realm, dialect, "dev").await?;
            String::from_utf8_lossy(token.expose()).into_owned()
        }
    };
    Ok(Map::from_iter([("token".to_owned(), Value::String(token))]))
}
