//! `serve --dev`: principals for every door, and `dev.json` with everything that a client needs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lethe_engine::Engine;
use lethe_types::SecretVec;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::ServeError;
use crate::config::{Config, Transport};
use crate::data_dir::DataDir;
use crate::principals::create_with_all;
use crate::private_files::{read_private, write_atomic};

/// Largest `dev.json` that is read back, in bytes.
const DEV_JSON_BYTES_MAX: usize = 65_536;

/// The bearer token of each door's dev principal: the one of the last start if it is still good.
pub(crate) async fn tokens(
    config: &Config,
    engine: &Arc<Engine>,
    data: &DataDir,
) -> Result<Vec<SecretVec>, ServeError> {
    let before = last_time(data);
    let mut tokens = Vec::new();
    for door in &config.doors {
        let realm = engine.ensure_realm(&door.realm).await?;
        let kept = before.as_ref().and_then(|json| {
            let token = json.get("doors")?.get(door.dialect)?.get("token")?.as_str()?;
            let caller = engine.authenticate_bearer(door.dialect, [0; 16], token).ok()?;
            (caller.realm() == realm).then(|| SecretVec::copy_from(token.as_bytes()))
        });
        tokens.push(match kept {
            Some(token) => token,
            None => create_with_all(engine, realm, door.dialect, "dev").await?,
        });
    }
    Ok(tokens)
}

/// What the last start wrote. Whatever cannot be read is made anew.
fn last_time(data: &DataDir) -> Option<Value> {
    let text = read_private(&data.dev_json(), DEV_JSON_BYTES_MAX).ok()?;
    serde_json::from_slice(text.expose()).ok()
}

/// Writes `dev.json`, mode 0600.
pub(crate) fn write_dev_json(
    config: &Config,
    addresses: &[SocketAddr],
    ca_file: Option<&Path>,
    tokens: &[SecretVec],
    data: &DataDir,
) -> Result<(), ServeError> {
    let mut addresses = addresses.iter();
    let mut doors = Map::new();
    for (door, token) in config.doors.iter().zip(tokens) {
        let scheme = if door.transport == Transport::PlainHttp { "http" } else { "https" };
        let url = addresses.next().map(|address| format!("{scheme}://{address}"));
        let http_url = match door.http_listen {
            Some(_) => addresses.next().map(|address| format!("http://{address}")),
            None => None,
        };
        let token = String::from_utf8_lossy(token.expose());
        doors.insert(
            door.dialect.to_owned(),
            json!({ "url": url, "http_url": http_url, "token": token }),
        );
    }
    let ca_file = ca_file.map(absolute).transpose()?;
    let json = json!({ "ca_file": ca_file, "doors": doors });
    let text = Zeroizing::new(format!("{json:#}\n"));
    Ok(write_atomic(&data.dev_json(), text.as_bytes(), 0o600)?)
}

fn absolute(path: &Path) -> Result<String, ServeError> {
    let absolute = std::path::absolute(path)
        .map_err(|source| ServeError::Os { what: "cannot name the data directory", source })?;
    Ok(absolute.display().to_string())
}
