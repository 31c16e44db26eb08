//! What the doors show of the server itself: readiness and metrics.

use std::sync::Arc;

use lethe_door_native::ServiceView;
use lethe_engine::Engine;
use lethe_http::metrics::Registry;

use crate::audit_file::AuditFile;

/// Readiness and metrics of one server.
pub(crate) struct Service {
    pub(crate) engine: Arc<Engine>,
    pub(crate) audit: Arc<AuditFile>,
    pub(crate) registry: Arc<Registry>,
}

impl ServiceView for Service {
    fn ready(&self) -> Result<(), String> {
        self.engine.ready().map_err(str::to_owned)?;
        match self.audit.health().failure {
            Some(why) => Err(format!("the audit trail cannot be written: {why}")),
            None => Ok(()),
        }
    }

    fn metrics(&self) -> String {
        self.registry.render()
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service(..)")
    }
}
