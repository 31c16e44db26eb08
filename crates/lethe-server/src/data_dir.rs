//! What lies where in the data directory.

use std::path::{Path, PathBuf};

use lethe_types::RealmName;

/// The files of one installation that have no setting of their own.
#[derive(Debug)]
pub(crate) struct DataDir(PathBuf);

impl DataDir {
    /// The layout below `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self(root.to_owned())
    }

    /// The log's public verification key, for auditors.
    pub(crate) fn log_vkey(&self) -> PathBuf {
        self.0.join("log.vkey")
    }

    /// Where the command line asks a running server for what is the operator's alone.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The places of webhooks among the events.
    pub(crate) fn webhooks(&self) -> PathBuf {
        self.0.join("webhooks")
    }

    /// The place of one webhook, whose name is fit for a file.
    pub(crate) fn webhook_position(&self, name: &str) -> PathBuf {
        self.webhooks().join(format!("{name}.position"))
    }

    /// Everything that a client of `serve --dev` needs.
    pub(crate) fn dev_json(&self) -> PathBuf {
        self.0.join("dev.json")
    }

    /// The token of the first principal of a realm. To be moved elsewhere by the operator.
    pub(crate) fn initial_admin_token(&self, realm: &RealmName) -> PathBuf {
        if realm.as_str() == "default" {
            return self.0.join("initial-admin.token");
        }
        // A realm's name may hold any character; a file's may not.
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = realm.as_str().chars().map(plain).collect();
        self.0.join(format!("initial-admin-{name}.token"))
    }
}
