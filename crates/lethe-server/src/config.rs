//! The configuration: one TOML file, strict, with a default for everything.
//!
//! What is unknown, of the wrong type or out of range is refused, with the file, the line, the
//! column and the field. There is no secret in it: a secret's place is named, never its value.
//! Relative paths start at the working directory of the server.

mod audit;
mod door;
mod log;
mod memory;
mod seal;
mod secret;
mod slot;
mod source;
mod store;
mod webhook;

use core::fmt;
use core::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

pub use audit::{
    AuditConfig, AuditedEvents, KEEP_FILES_MAX, ROTATE_AFTER_MIN, ROTATE_BYTES_DEFAULT,
    ROTATE_BYTES_MAX, ROTATE_BYTES_MIN,
};
pub use door::{
    CONNECTIONS_MAX, DIALECTS, Dialect, DoorConfig, DoorLimits, PORT_BASE_DEFAULT,
    REQUESTS_IN_FLIGHT_MAX, Transport,
};
pub use log::{LogConfig, ORIGIN_BYTES_MAX, derived_origin};
pub use memory::{MemoryConfig, MemoryLock};
pub use seal::SealConfig;
pub use slot::SlotConfig;
pub use store::StoreConfig;
pub use webhook::{
    EventPattern, RETRY_FOR_MAX, TIMEOUT_MAX, WEBHOOKS_MAX, WebhookConfig, WebhookSecretSource,
};

use crate::clock::parse_duration;
use source::{Document, Invalid};

/// Largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1_048_576;

/// Most settings on the command line.
pub const OVERRIDES_MAX: usize = 256;

/// Longest [`Config::shutdown_grace`].
pub const SHUTDOWN_GRACE_MAX: Duration = Duration::from_secs(3_600);

const SHUTDOWN_GRACE_DEFAULT: Duration = Duration::from_secs(30);
const DATA_DEFAULT: &str = "lethe-data";

/// Everything that a server can be told. See [`Config::example`] for its form.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The data directory, called DATA below. Default `lethe-data`.
    pub data: PathBuf,
    /// Longest time that requests in flight have to end after the server was told to stop; a text
    /// such as `30s`. Default 30 s, at most an hour.
    pub shutdown_grace: Duration,
    /// Where records live.
    pub store: StoreConfig,
    /// Where the root key lives.
    pub slot: SlotConfig,
    /// What the root key is wrapped with.
    pub seal: SealConfig,
    /// The memory of the process.
    pub memory: MemoryConfig,
    /// The transparency log.
    pub log: LogConfig,
    /// The audit trail.
    pub audit: AuditConfig,
    /// The front doors. Default: one native door, plain HTTP on `127.0.0.1:8200`.
    pub doors: Vec<DoorConfig>,
    /// Who is told of events. Default nobody.
    pub webhooks: Vec<WebhookConfig>,
}

impl Config {
    /// The configuration in the file at `path`, or the defaults, changed by `overrides`.
    ///
    /// An override is `a.b.c=value` with a TOML value; what is none and does not look like one is
    /// a text. `door.NAME.…` is the one door of that dialect; what is no field of a door is one
    /// of its settings.
    ///
    /// # Errors
    /// [`ConfigError`], which says where.
    pub fn load(path: Option<&Path>, overrides: &[String]) -> Result<Self, ConfigError> {
        load(path, overrides, Mode::Serve)
    }

    /// Like [`Config::load`] for `serve --dev`: without a `[[door]]` in the file there is one door
    /// of every dialect, on the port `port_base` plus the dialect's number (0: free ports) and on
    /// a free port for plain HTTP; a door that says nothing about TLS gets [`Transport::DevTls`].
    ///
    /// # Errors
    /// [`ConfigError`], which says where.
    pub fn load_dev(
        path: Option<&Path>,
        overrides: &[String],
        port_base: u16,
    ) -> Result<Self, ConfigError> {
        load(path, overrides, Mode::Dev { port_base })
    }

    /// A documented configuration file that says what the defaults say.
    #[must_use]
    pub fn example() -> String {
        include_str!("config/example.toml").to_owned()
    }

    /// All host names of all doors, sorted, each once.
    #[must_use]
    pub fn host_names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.doors.iter().flat_map(|door| door.host_names.iter().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Why there is no configuration. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An argument of the command line cannot be used.
    #[error("`{argument}`: {why}")]
    Argument {
        /// The argument, as in `--set a.b=c`.
        argument: String,
        /// What is wrong with it.
        why: String,
    },
    /// A place in the file or in an override is wrong.
    #[error("{place}: {}{why}", field_prefix(field))]
    Invalid {
        /// Where.
        place: Place,
        /// Which field, as in `door.native.listen`; empty if it belongs to none.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file cannot be read.
    #[error("cannot read the configuration file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Where a configuration value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the built-in defaults.
    Defaults,
    /// In the file.
    File {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// In an override, whose text this is.
    Override(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("built-in defaults"),
            Self::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Self::Override(text) => write!(f, "--set {text}"),
        }
    }
}

fn field_prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("`{field}`: ") }
}

/// How the server was started.
#[derive(Clone, Copy)]
enum Mode {
    Dev { port_base: u16 },
    Serve,
}

/// The file as written. Each section's meaning is decided by its own module.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Written {
    data: Option<Spanned<String>>,
    shutdown_grace: Option<Spanned<String>>,
    store: store::Written,
    slot: slot::Written,
    seal: seal::Written,
    memory: memory::Written,
    log: log::Written,
    audit: audit::Written,
    door: Option<Spanned<Vec<Spanned<door::Written>>>>,
    webhook: Vec<Spanned<webhook::Written>>,
}

fn load(path: Option<&Path>, overrides: &[String], mode: Mode) -> Result<Config, ConfigError> {
    let text = path.map(read).transpose()?;
    let doors_text = door::default_doors(mode)?;
    let file = path.zip(text.as_deref());
    let document = Document::new(file, &doors_text, overrides)?;
    let (written, table) = document.parse::<Written>()?;
    resolve(written, mode).map_err(|invalid| document.error(&table, &invalid))
}

fn resolve(written: Written, mode: Mode) -> Result<Config, Invalid> {
    let data = optional_path(written.data)?.unwrap_or_else(|| PathBuf::from(DATA_DEFAULT));
    let shutdown_grace = match written.shutdown_grace {
        Some(text) => duration(&text, SHUTDOWN_GRACE_MAX)?,
        None => SHUTDOWN_GRACE_DEFAULT,
    };
    let slot = slot::resolve(written.slot, &data)?;
    let doors = door::resolve_all(written.door, mode)?;
    Ok(Config {
        shutdown_grace,
        store: store::resolve(written.store, &data)?,
        seal: seal::resolve(written.seal, &data, &slot)?,
        slot,
        memory: memory::resolve(written.memory)?,
        log: log::resolve(written.log)?,
        audit: audit::resolve(written.audit, &data)?,
        webhooks: webhook::resolve_all(written.webhook, &doors)?,
        doors,
        data,
    })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let read_error = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(read_error)?;
    // One byte more, to tell a file at the bound from one over it.
    file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= CONFIG_BYTES_MAX) {
        Ok(text)
    } else {
        let why = format!("it has more than {CONFIG_BYTES_MAX} bytes");
        Err(read_error(io::Error::new(io::ErrorKind::FileTooLarge, why)))
    }
}

/// A written path, which must not be empty.
fn path_of(written: Spanned<String>) -> Result<PathBuf, Invalid> {
    if written.get_ref().is_empty() || written.get_ref().contains('\0') {
        return Err(Invalid::new(&written, "a path is not empty and has no zero byte"));
    }
    Ok(PathBuf::from(written.into_inner()))
}

fn optional_path(written: Option<Spanned<String>>) -> Result<Option<PathBuf>, Invalid> {
    written.map(path_of).transpose()
}

fn duration(written: &Spanned<String>, max: Duration) -> Result<Duration, Invalid> {
    let duration =
        parse_duration(written.get_ref()).map_err(|error| Invalid::new(written, error))?;
    if duration > max {
        return Err(Invalid::new(written, format!("at most {}s", max.as_secs())));
    }
    Ok(duration)
}

/// A written whole number, or `default`; it must lie within `min` to `max`.
fn number(written: Option<Spanned<i64>>, default: u64, min: u64, max: u64) -> Result<u64, Invalid> {
    let Some(written) = written else { return Ok(default) };
    u64::try_from(*written.get_ref())
        .ok()
        .filter(|number| (min..=max).contains(number))
        .ok_or_else(|| Invalid::new(&written, format!("a whole number from {min} to {max}")))
}

/// Refuses a field that has no meaning beside the others.
fn refuse<T>(written: Option<&Spanned<T>>, why: &str) -> Result<(), Invalid> {
    written.map_or(Ok(()), |written| Err(Invalid::new(written, why)))
}
