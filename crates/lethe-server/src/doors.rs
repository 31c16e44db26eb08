//! The front doors of this version: one line each.

use std::sync::Arc;

use lethe_door_native::{NativeDoor, ServiceView};
use lethe_engine::Engine;
use lethe_http::Door;

use crate::ServeError;
use crate::config::DoorConfig;

/// The door that `config` asks for.
///
/// # Errors
/// [`ServeError::Door`] if it does not take its settings.
pub(crate) fn open(
    config: &DoorConfig,
    engine: &Arc<Engine>,
    service: &Arc<dyn ServiceView>,
) -> Result<Arc<dyn Door>, ServeError> {
    match config.dialect {
        "native" => native(config, engine, service),
        other => Err(ServeError::Door { dialect: other, why: "not in this version".to_owned() }),
    }
}

fn native(
    config: &DoorConfig,
    engine: &Arc<Engine>,
    service: &Arc<dyn ServiceView>,
) -> Result<Arc<dyn Door>, ServeError> {
    match config.settings.keys().next() {
        None => Ok(Arc::new(NativeDoor::new(engine.clone(), service.clone()))),
        Some(name) => {
            Err(ServeError::Door { dialect: "native", why: format!("it has no setting `{name}`") })
        }
    }
}
