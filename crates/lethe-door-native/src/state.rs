//! What all handlers share.

use core::fmt;
use std::sync::Arc;

use lethe_engine::Engine;

/// What the server tells about itself; it implements this.
pub trait ServiceView: Send + Sync + 'static {
    /// Whether the server can do its work.
    ///
    /// # Errors
    /// Why not, in words that anyone may read.
    fn ready(&self) -> Result<(), String>;

    /// All metrics in the text format of Prometheus, version 0.0.4.
    fn metrics(&self) -> String;
}

/// What all handlers share.
pub(crate) struct State {
    pub(crate) engine: Arc<Engine>,
    pub(crate) service: Arc<dyn ServiceView>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}
