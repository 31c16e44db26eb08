//! The server under load, and how to speak with it.

use core::time::Duration;
use std::path::{Path, PathBuf};

use lethe_types::SecretVec;
use serde_json::Value;

use super::http::{Connection, Target};
use super::not_ready;
use crate::connection::{DevServer, dev_door};
use crate::failure::Failure;
use crate::files::read_file;
use crate::local::{ChildProcess, Ended, LocalServer, Sandbox};

/// Largest file of an authority, in bytes.
const PEM_BYTES_MAX: usize = 1_048_576;

/// The server under load.
#[derive(Debug)]
pub(super) struct BenchServer {
    pub(super) dev: DevServer,
    pub(super) data: PathBuf,
    pub(super) process_id: Option<u32>,
    /// Its process; `None` if it is somebody else's, and is left as it was.
    process: Option<ChildProcess>,
    /// Whether it had to be told to accept the file system.
    pub(super) accepts_any_filesystem: bool,
}

impl BenchServer {
    /// A `serve --dev` that runs already.
    ///
    /// # Errors
    /// [`Failure::Configuration`].
    pub(super) fn foreign(directory: &Path, process_id: Option<u32>) -> Result<Self, Failure> {
        let dev = DevServer::read(directory).map_err(Failure::Configuration)?;
        let data = directory.to_owned();
        Ok(Self { dev, data, process_id, process: None, accepts_any_filesystem: false })
    }

    /// One of its own, with the settings that every server has unless it is told otherwise.
    ///
    /// # Errors
    /// [`Failure::Failed`].
    pub(super) fn start(sandbox: &Sandbox) -> Result<Self, Failure> {
        let data = sandbox.path().join("data");
        let started = sandbox.serve(&data);
        Ok(Self::of(started.map_err(|refused| not_ready("the server", &refused))?, data))
    }

    fn of(server: LocalServer, data: PathBuf) -> Self {
        let LocalServer { process, dev, accepts_any_filesystem } = server;
        let process_id = Some(process.id());
        Self { dev, data, process_id, process: Some(process), accepts_any_filesystem }
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.process.is_none()
    }

    /// Ends it and starts it again on the same data; a server of somebody else's stays as it is.
    /// `between` is asked while nothing runs.
    ///
    /// # Errors
    /// [`Failure::Failed`].
    pub(super) fn restart<T>(
        self,
        sandbox: &Sandbox,
        within: Duration,
        between: impl FnOnce(&Path) -> T,
    ) -> Result<(Self, T), Failure> {
        let Some(process) = self.process else {
            let found = between(&self.data);
            return Ok((self, found));
        };
        match process.terminate() {
            Ended::Well => {}
            ended @ (Ended::Badly(_) | Ended::Late) => {
                return Err(Failure::Failed(format!("the server did not end well: {ended:?}")));
            }
        }
        let found = between(&self.data);
        let started = sandbox.serve_within(&self.data, within);
        let started = started.map_err(|refused| not_ready("the server", &refused))?;
        Ok((Self::of(started, self.data), found))
    }

    /// How to speak with it.
    ///
    /// # Errors
    /// [`Failure::Configuration`], [`Failure::Failed`].
    pub(super) fn site(&self, is_tls: bool) -> Result<Site, Failure> {
        let token = core::str::from_utf8(self.dev.token.expose())
            .map_err(|_| Failure::Configuration("the token in dev.json is not one".to_owned()))?;
        let ca_pem = match &self.dev.ca_file {
            Some(file) if is_tls => {
                Some(read_file(file, PEM_BYTES_MAX).map_err(Failure::Configuration)?)
            }
            Some(_) | None => None,
        };
        let ca_pem = ca_pem.as_ref().map(SecretVec::expose);
        let urls = (Some(self.dev.url.as_str()), self.dev.http_url.as_deref());
        let target = target(urls, ca_pem, is_tls).map_err(Failure::Failed)?;
        Ok(Site { target, token: token.to_owned() })
    }

    /// What `dev.json` says about a door of a vendor, and where it is.
    ///
    /// # Errors
    /// The reason in words.
    pub(super) fn door(&self, name: &str, is_tls: bool) -> Result<(Target, Value), String> {
        let door = dev_door(&self.data, name)?;
        let ca_pem = match &self.dev.ca_file {
            Some(file) if is_tls => Some(read_file(file, PEM_BYTES_MAX)?),
            Some(_) | None => None,
        };
        let text = |name: &str| door.get(name).and_then(Value::as_str);
        let urls = (text("url"), text("http_url"));
        let target = target(urls, ca_pem.as_ref().map(SecretVec::expose), is_tls)?;
        Ok((target, door))
    }
}

fn target(
    (url, http_url): (Option<&str>, Option<&str>),
    ca_pem: Option<&[u8]>,
    is_tls: bool,
) -> Result<Target, String> {
    if is_tls {
        let ca_pem = ca_pem.ok_or("dev.json names no authority to trust")?;
        return Target::encrypted(url.ok_or("dev.json has no address with TLS")?, ca_pem);
    }
    Target::of(http_url.ok_or("the server has no plain HTTP door")?)
}

/// A door of the server and who asks it.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) target: Target,
    pub(super) token: String,
}

impl Site {
    /// A request with the token.
    pub(super) fn request(&self, method: &str, path: &str, body: Option<&str>) -> SecretVec {
        self.target.request(method, path, Some(&self.token), body)
    }

    /// Asks once, over a connection of its own.
    ///
    /// # Errors
    /// The reason in words, above all if the answer is no success.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<Value, String> {
        let mut connection = Connection::open(&self.target).await?;
        let request = self.request(method, path, body);
        let (status, body) = connection.exchange(request.expose()).await?;
        match status {
            200..300 => serde_json::from_slice(body).map_err(|error| error.to_string()),
            _ => Err(format!("{path}: status {status}: {}", String::from_utf8_lossy(body))),
        }
    }

    /// Asks once, for something whose answer says nothing.
    ///
    /// # Errors
    /// The reason in words, above all if the answer is no success.
    pub(super) async fn send(&self, method: &str, path: &str) -> Result<(), String> {
        let mut connection = Connection::open(&self.target).await?;
        let (status, body) = connection.exchange(self.request(method, path, None).expose()).await?;
        match status {
            200..300 => Ok(()),
            _ => Err(format!("{path}: status {status}: {}", String::from_utf8_lossy(body))),
        }
    }
}
