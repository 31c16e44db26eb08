//! `serve --dev`: `dev.json` with everything that a client of each door needs.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::ServeError;
use crate::config::DoorConfig;
use crate::data_dir::DataDir;
use crate::private_files::{read_private, write_atomic};

/// Largest `dev.json` that is read back, in bytes.
const DEV_JSON_BYTES_MAX: usize = 65_536;

/// What the last start wrote, by dialect. Whatever cannot be read is made anew.
pub(crate) fn last_time(data: &DataDir) -> Map<String, Value> {
    let read = || {
        let text = read_private(&data.dev_json(), DEV_JSON_BYTES_MAX).ok()?;
        let json: Value = serde_json::from_slice(text.expose()).ok()?;
        json.get("doors")?.as_object().cloned()
    };
    read().unwrap_or_default()
}

/// One door of `dev.json`.
pub(crate) struct DevDoor<'a> {
    pub(crate) config: &'a DoorConfig,
    /// Where it listens.
    pub(crate) url: String,
    /// Where its listener for plain HTTP is, if it has one.
    pub(crate) http: Option<SocketAddr>,
    /// What [`crate::doors::provision_dev`] made.
    pub(crate) provided: Map<String, Value>,
}

/// Writes `dev.json`, mode 0600.
pub(crate) fn write_dev_json(
    doors: Vec<DevDoor<'_>>,
    ca_file: Option<&Path>,
    data: &DataDir,
) -> Result<(), ServeError> {
    let mut members = Map::new();
    for door in doors {
        let mut member = door.provided;
        let http_url = door.http.map(|address| format!("http://{address}"));
        member.insert("url".to_owned(), Value::String(door.url));
        member.insert("http_url".to_owned(), json!(http_url));
        members.insert(door.config.dialect.to_owned(), Value::Object(member));
    }
    let ca_file = ca_file.map(absolute).transpose()?;
    let json = json!({ "ca_file": ca_file, "doors": members });
    let text = Zeroizing::new(format!("{json:#}\n"));
    Ok(write_atomic(&data.dev_json(), text.as_bytes(), 0o600)?)
}

fn absolute(path: &Path) -> Result<String, ServeError> {
    let absolute = std::path::absolute(path)
        .map_err(|source| ServeError::Os { what: "cannot name the data directory", source })?;
    Ok(absolute.display().to_string())
}
