//! Which server to ask, and as whom: from the environment, or from the `dev.json` of a
//! development server. Never from the command line, which every user of the machine can read.

use std::borrow::Cow;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use lethe_types::SecretVec;
use serde::Deserialize;
use ureq::http::Uri;

use crate::client::Client;
use crate::failure::Failure;
use crate::files::read_file;

/// Where the server is, if it is one of `serve --dev`.
#[derive(Args, Debug)]
pub(crate) struct ConnectionArguments {
    /// Ask the `serve --dev` on this data directory; goes before LETHE_URL and LETHE_DATA
    #[arg(long = "dev", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
}

impl ConnectionArguments {
    /// A client of the server.
    ///
    /// # Errors
    /// [`Failure::Configuration`].
    pub(crate) fn connect(&self) -> Result<Client, Failure> {
        let settings = Settings::find(self.directory.as_deref(), &|name| std::env::var_os(name))?;
        Client::new(settings)
    }

    /// A client of the door for API keys: of a `serve --dev` the one in its `dev.json`, and else
    /// what LETHE_URL names.
    ///
    /// # Errors
    /// [`Failure::Configuration`].
    pub(crate) fn connect_to_api_keys(&self) -> Result<Client, Failure> {
        let environment = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let settings = Settings::find(self.directory.as_deref(), &environment)?;
        let directory =
            self.directory.clone().or_else(|| environment("LETHE_DATA").map(Into::into));
        let Some(directory) = directory else { return Client::new(settings) };
        let door = ApiKeysDoor::read(&directory).map_err(Failure::Configuration)?;
        let given = token(environment("LETHE_TOKEN"), environment("LETHE_TOKEN_FILE"))?;
        let token = given.unwrap_or(door.bearer);
        let settings = Settings { base: door.url, token: Some(token), ..settings };
        Client::new(settings.checked()?)
    }
}

/// A server's address, what it is known by, and who asks.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The URL before every path, without a slash at its end.
    pub(crate) base: String,
    /// The certificate that signed the server's, in PEM.
    pub(crate) ca_pem: Option<Vec<u8>>,
    /// The bearer token.
    pub(crate) token: Option<SecretVec>,
}

impl Settings {
    /// The settings of `--dev DIRECTORY`, or else of the environment.
    ///
    /// # Errors
    /// [`Failure::Configuration`].
    pub(crate) fn find(
        directory: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let (url, data) = (set("LETHE_URL"), set("LETHE_DATA"));
        let token = token(set("LETHE_TOKEN"), set("LETHE_TOKEN_FILE"))?;
        let directory = match (directory, url, data) {
            (Some(directory), _, _) => directory.to_owned(),
            (None, Some(_), Some(_)) => {
                return Err(wrong("LETHE_URL and LETHE_DATA are both set; unset one of them"));
            }
            (None, None, Some(data)) => data.into(),
            (None, Some(url), None) => {
                let url = text("LETHE_URL", url)?;
                let ca_pem = set("LETHE_CA_FILE").map(|file| read_pem(Path::new(&file)));
                return Self { base: url, ca_pem: ca_pem.transpose()?, token }.checked();
            }
            (None, None, None) => {
                return Err(wrong(
                    "which server? Set LETHE_URL, LETHE_CA_FILE and LETHE_TOKEN_FILE, or name the \
                     data directory of a `serve --dev` with --dev DIR or LETHE_DATA",
                ));
            }
        };
        let dev = DevServer::read(&directory).map_err(Failure::Configuration)?;
        let settings = dev.settings()?;
        Self { token: token.or(settings.token), ..settings }.checked()
    }

    /// The settings, if a token is safe with them.
    fn checked(mut self) -> Result<Self, Failure> {
        while self.base.ends_with('/') {
            self.base.pop();
        }
        let uri: Uri = self
            .base
            .parse()
            .map_err(|error| wrong(&format!("`{}` is not a URL: {error}", self.base)))?;
        let host = uri.host().unwrap_or_default();
        match uri.scheme_str() {
            Some("https") if self.ca_pem.is_none() => {
                Err(wrong("LETHE_CA_FILE is not set: no authority is trusted unless it is named"))
            }
            Some("https") => Ok(self),
            Some("http") if is_loopback(host) => Ok(self),
            Some("http") => Err(wrong(&format!(
                "`{}` would send the token readable for everyone on the way: use https",
                self.base
            ))),
            _ => Err(wrong(&format!("`{}` is not an http or https URL", self.base))),
        }
    }
}

/// What `dev.json` says about the native door (a contract: design section 8).
#[derive(Debug)]
pub(crate) struct DevServer {
    /// PEM file of the authority.
    pub(crate) ca_file: Option<PathBuf>,
    /// Address with TLS.
    pub(crate) url: String,
    /// Address without TLS.
    pub(crate) http_url: Option<String>,
    /// A token that may do everything.
    pub(crate) token: SecretVec,
}

impl DevServer {
    /// Reads `directory/dev.json`.
    ///
    /// # Errors
    /// The reason in words.
    pub(crate) fn read(directory: &Path) -> Result<Self, String> {
        let path = directory.join("dev.json");
        let bytes = read_file(&path, DEV_JSON_BYTES_MAX)
            .map_err(|why| format!("{why}; is it the data directory of a `serve --dev`?"))?;
        Self::parse(bytes.expose()).map_err(|why| format!("`{}`: {why}", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: DevFile<'_> =
            serde_json::from_slice(bytes).map_err(|error| format!("not a dev.json: {error}"))?;
        let NativeDoor { url, http_url, token } = file.doors.native;
        Ok(Self {
            ca_file: file.ca_file,
            url,
            http_url,
            token: SecretVec::copy_from(token.as_bytes()),
        })
    }

    /// How to reach it with TLS.
    ///
    /// # Errors
    /// [`Failure::Configuration`] if the authority's file cannot be read.
    pub(crate) fn settings(self) -> Result<Settings, Failure> {
        let ca_pem = self.ca_file.as_deref().map(read_pem).transpose()?;
        Settings { base: self.url, ca_pem, token: Some(self.token) }.checked()
    }
}

/// What `dev.json` says about the door for API keys.
struct ApiKeysDoor {
    url: String,
    bearer: SecretVec,
}

impl ApiKeysDoor {
    fn read(directory: &Path) -> Result<Self, String> {
        let door = dev_door(directory, "altostrat")?;
        let text = |name: &str| {
            let text = door.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
            text.ok_or_else(|| format!("the dev.json of `{}` has no `{name}`", directory.display()))
        };
        Ok(Self { url: text("url")?, bearer: SecretVec::from_vec(text("bearer")?.into_bytes()) })
    }
}

/// What `dev.json` in `directory` says about one door; its members differ by door.
///
/// # Errors
/// The reason in words.
pub(crate) fn dev_door(directory: &Path, name: &str) -> Result<serde_json::Value, String> {
    let path = directory.join("dev.json");
    let bytes = read_file(&path, DEV_JSON_BYTES_MAX)?;
    let mut file: serde_json::Value = serde_json::from_slice(bytes.expose())
        .map_err(|error| format!("`{}`: not a dev.json: {error}", path.display()))?;
    let door = file.get_mut("doors").and_then(|doors| doors.get_mut(name));
    let missing = || format!("`{}` has no door `{name}`", path.display());
    door.map(serde_json::Value::take).ok_or_else(missing)
}

#[derive(Deserialize)]
struct DevFile<'a> {
    ca_file: Option<PathBuf>,
    #[serde(borrow)]
    doors: Doors<'a>,
}

#[derive(Deserialize)]
struct Doors<'a> {
    #[serde(borrow)]
    native: NativeDoor<'a>,
}

#[derive(Deserialize)]
struct NativeDoor<'a> {
    url: String,
    http_url: Option<String>,
    #[serde(borrow)]
    token: Cow<'a, str>,
}

/// Whether `host`, as a URL writes it, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn token(value: Option<OsString>, file: Option<OsString>) -> Result<Option<SecretVec>, Failure> {
    let token = match (value, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(wrong("LETHE_TOKEN and LETHE_TOKEN_FILE are both set; unset one of them"));
        }
        (Some(value), None) => SecretVec::from_vec(value.into_encoded_bytes()),
        (None, Some(file)) => read_file(Path::new(&file), TOKEN_BYTES_MAX)
            .map_err(|why| Failure::Configuration(format!("LETHE_TOKEN_FILE: {why}")))?,
    };
    let trimmed = token.expose().trim_ascii();
    // Nothing of a wrong one is shown: it may be a secret of something else.
    if trimmed.is_empty() || !trimmed.iter().all(u8::is_ascii_graphic) {
        return Err(wrong("the token is not one: it has other characters than a token has"));
    }
    Ok(Some(SecretVec::copy_from(trimmed)))
}

fn read_pem(path: &Path) -> Result<Vec<u8>, Failure> {
    let pem = read_file(path, PEM_BYTES_MAX)
        .map_err(|why| Failure::Configuration(format!("the authority's certificate: {why}")))?;
    Ok(pem.expose().to_vec())
}

fn text(name: &str, value: OsString) -> Result<String, Failure> {
    value.into_string().map_err(|_| wrong(&format!("{name} is not UTF-8")))
}

fn wrong(text: &str) -> Failure {
    Failure::Configuration(text.to_owned())
}

const DEV_JSON_BYTES_MAX: usize = 65_536;
const PEM_BYTES_MAX: usize = 1_048_576;
const TOKEN_BYTES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::local::Scratch;

    fn find(directory: Option<&Path>, set: &[(&str, &str)]) -> Result<Settings, String> {
        let set: BTreeMap<&str, &str> = set.iter().copied().collect();
        let found = Settings::find(directory, &|name| set.get(name).map(OsString::from));
        found.map_err(|failure| {
            assert_eq!(failure.exit_code(), 3, "{failure:?}");
            failure.text().unwrap()
        })
    }

    #[track_caller]
    fn refused(set: &[(&str, &str)], expected: &str) {
        let text = find(None, set).unwrap_err();
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn settings_come_from_the_environment() {
        let set = [("LETHE_URL", "http://127.0.0.1:8200//"), ("LETHE_TOKEN", "lethe_abc")];
        let settings = find(None, &set).unwrap();
        assert_eq!(settings.base, "http://127.0.0.1:8200");
        assert_eq!(settings.token.unwrap().expose(), b"lethe_abc");
        assert!(settings.ca_pem.is_none());
        for url in ["http://localhost:1", "http://[::1]:1", "http://127.9.9.9"] {
            assert!(find(None, &[("LETHE_URL", url)]).unwrap().token.is_none());
        }
    }

    #[test]
    fn unsafe_and_ambiguous_settings_are_refused() {
        refused(&[], "which server?");
        refused(&[("LETHE_URL", "")], "which server?");
        refused(&[("LETHE_URL", "http://a"), ("LETHE_DATA", "b")], "both set");
        refused(&[("LETHE_URL", "http://kms.example")], "use https");
        refused(&[("LETHE_URL", "http://127.0.0.1.example")], "use https");
        refused(&[("LETHE_URL", "https://127.0.0.1")], "LETHE_CA_FILE is not set");
        refused(&[("LETHE_URL", "ftp://127.0.0.1")], "not an http or https URL");
        refused(&[("LETHE_URL", "127.0.0.1:8200")], "URL");
        refused(&[("LETHE_URL", "http://a b")], "not a URL");
        refused(&[("LETHE_DATA", "/nonexistent")], "cannot read `/nonexistent/dev.json`");
        let url = ("LETHE_URL", "http://127.0.0.1");
        refused(&[url, ("LETHE_TOKEN", "a"), ("LETHE_TOKEN_FILE", "b")], "both set");
        refused(&[url, ("LETHE_TOKEN", "a b")], "the token is not one");
        refused(&[url, ("LETHE_TOKEN", " ")], "the token is not one");
        refused(&[url, ("LETHE_TOKEN_FILE", "/nonexistent")], "LETHE_TOKEN_FILE: cannot read");
        let https = ("LETHE_URL", "https://a.example");
        refused(&[https, ("LETHE_CA_FILE", "/nonexistent")], "authority's certificate: cannot");
    }

    #[test]
    fn a_development_server_tells_everything_itself() {
        let scratch = Scratch::new(None).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(scratch.path().join(name), text).unwrap();
        };
        let ca_file = scratch.path().join("ca.pem");
        write("ca.pem", "pem");
        write(
            "dev.json",
            &serde_json::json!({"ca_file": ca_file, "doors": {
                "native": {"url": "https://127.0.0.1:1", "http_url": null, "token": "t"},
                "another": {},
            }})
            .to_string(),
        );
        let url = ("LETHE_URL", "http://127.0.0.1:2");
        let settings = find(Some(scratch.path()), &[url]).unwrap();
        assert_eq!(
            (settings.base.as_str(), settings.ca_pem.as_deref()),
            ("https://127.0.0.1:1", Some(b"pem".as_slice()))
        );
        assert_eq!(settings.token.unwrap().expose(), b"t");
        write("token", "mine\n");
        let file = scratch.path().join("token");
        let set = [("LETHE_TOKEN_FILE", file.to_str().unwrap())];
        assert_eq!(find(Some(scratch.path()), &set).unwrap().token.unwrap().expose(), b"mine");
        for wrong in ["", "{}", "[]", r#"{"doors":{}}"#, r#"{"doors":{"native":{"url":"a"}}}"#] {
            write("dev.json", wrong);
            assert!(find(Some(scratch.path()), &[]).unwrap_err().contains("not a dev.json"));
        }
    }
}
