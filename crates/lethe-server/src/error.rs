//! Why the server does not serve, and with which exit code it says so.

use std::io;
use std::path::PathBuf;

use lethe_engine::{EngineError, StartError};
use lethe_slot::{DeviceError, KeyFileError, MigrateError, ReplicaError, ShareError};
use lethe_store_embedded::OpenError;

use crate::audit_file::AuditOpenError;
use crate::config::ConfigError;
use crate::dev_tls::DevTlsError;
use crate::private_files::PrivateFileError;
use crate::seal::PassphraseError;

/// Why the server did not start, or did not end well. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Not all of the audit trail could be written at the end.
    #[error("audit trail: {0}")]
    Audit(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The audit trail cannot be opened.
    #[error("audit trail: {0}")]
    AuditOpen(#[from] AuditOpenError),
    /// An argument of the command line cannot be used.
    #[error("`{argument}`: {why}")]
    Argument {
        /// Which.
        argument: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The device of the slot or of the seal cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A door does not take its settings.
    #[error("door `{dialect}`: {why}")]
    Door {
        /// Which door.
        dialect: &'static str,
        /// What it does not take.
        why: String,
    },
    /// The certificates of `--dev` cannot be made.
    #[error("certificates of --dev: {0}")]
    DevTls(#[from] DevTlsError),
    /// The engine refused a step of the set-up.
    #[error("cannot set up: {0}")]
    Engine(#[from] EngineError),
    /// A file of the data directory cannot be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The key file of the seal cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] lethe_http::ServeError),
    /// The slot was not sealed anew.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A part that this executable was built without.
    #[error("{what} needs a build with the feature `{feature}`")]
    NotBuilt {
        /// What was asked for.
        what: &'static str,
        /// The feature of the executable.
        feature: &'static str,
    },
    /// The operating system refused something.
    #[error("{what}")]
    Os {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The passphrase of the seal cannot be had.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The slot cannot be used.
    #[error(transparent)]
    Slot(#[from] ReplicaError),
    /// Recovery shares cannot be made, or bring nothing back.
    #[error(transparent)]
    Shares(#[from] ShareError),
    /// A slot file is there although the store holds nothing, or the other way round.
    #[error("{why}: `{}`", path.display())]
    SlotMismatch {
        /// The slot file.
        path: PathBuf,
        /// What does not fit.
        why: &'static str,
    },
    /// The slot is no longer where the configuration says.
    #[error(
        "the slot was moved away from `{}` with `lethe slot migrate`: it is now {to}. Put that \
         into the configuration",
        path.display()
    )]
    SlotMoved {
        /// Where it was.
        path: PathBuf,
        /// Where it is, in words.
        to: String,
    },
    /// Store, slot and log do not fit together.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] lethe_http::tls::TlsError),
    /// The secret or the authorities of a webhook cannot be used.
    #[error("webhook `{name}`: {why}")]
    Webhook {
        /// Which webhook.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The file with the place of a webhook holds something else.
    #[error("`{}` is damaged: restore it, or remove it to go on with new events", path.display())]
    WebhookPosition {
        /// The file.
        path: PathBuf,
    },
}

impl ServeError {
    /// 3: configuration or arguments. 4: data directory, store, slot or seal. 1: anything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Argument { .. }
            | Self::Config(_)
            | Self::DevTls(_)
            | Self::Door { .. }
            | Self::NotBuilt { .. }
            | Self::Tls(_)
            | Self::Webhook { .. } => 3,
            Self::AuditOpen(_)
            | Self::Device(_)
            | Self::File(_)
            | Self::KeyFile(_)
            | Self::Migrate(_)
            | Self::Passphrase(_)
            | Self::Shares(_)
            | Self::Slot(_)
            | Self::SlotMismatch { .. }
            | Self::SlotMoved { .. }
            | Self::Start(_)
            | Self::Store(_)
            | Self::WebhookPosition { .. } => 4,
            Self::Audit(_) | Self::Engine(_) | Self::Listen(_) | Self::Os { .. } => 1,
        }
    }

    /// The error and everything that caused it, on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            source = cause.source();
        }
        text
    }
}
