//! `[[door]]`: the front doors.

use core::net::SocketAddr;
use std::path::PathBuf;

use lethe_engine::TOKEN_REALM;
use lethe_types::RealmName;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use toml::Spanned;

use super::source::Invalid;
use super::{ConfigError, Mode, number, path_of, refuse};

/// A dialect that this version speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Its name in configurations.
    pub name: &'static str,
    /// Its default port less the port base.
    pub port_number: u16,
    /// The realm of its door in `serve --dev`.
    pub dev_realm: &'static str,
}

/// The dialects of this version.
pub const DIALECTS: &[Dialect] = &[
    Dialect { name: "native", port_number: 0, dev_realm: "dev" },
    Dialect { name: "encedo", port_number: 1, dev_realm: "dev-encedo" },
    Dialect { name: "ncloud", port_number: 2, dev_realm: "ncloud" },
    Dialect { name: "storedsafe", port_number: 3, dev_realm: "dev-storedsafe" },
    Dialect { name: "dfns", port_number: 4, dev_realm: "dev-dfns" },
    // An API key's secret signs in at the native door too.
    Dialect { name: "altostrat", port_number: 5, dev_realm: "dev" },
];

/// The port of the first dialect, unless the configuration says otherwise.
pub const PORT_BASE_DEFAULT: u16 = 8200;

/// Greatest [`DoorLimits::connections`].
pub const CONNECTIONS_MAX: u64 = 65_536;

/// Greatest [`DoorLimits::requests_in_flight`].
pub const REQUESTS_IN_FLIGHT_MAX: u64 = 65_536;

const CONNECTIONS_DEFAULT: u64 = 1_024;
const REQUESTS_IN_FLIGHT_DEFAULT: u64 = 1_024;
const HOST_NAMES_MAX: usize = 64;
const REALM_DEFAULT: &str = "default";

/// One front door: a dialect, a realm and a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct DoorConfig {
    /// What it speaks; one of [`DIALECTS`].
    pub dialect: &'static str,
    /// The realm that it is bound to. Default `default`.
    pub realm: RealmName,
    /// Address and port. Default 127.0.0.1 and 8200 plus the dialect's number; port 0: a free one.
    pub listen: SocketAddr,
    /// What is spoken at `listen`.
    pub transport: Transport,
    /// Address and port of an additional listener for plain HTTP. Default none.
    pub http_listen: Option<SocketAddr>,
    /// Host names, in small letters, or IP addresses that this door answers to and that a
    /// certificate of `--dev` covers. Default none: it answers to all. Doors that share an address
    /// are told apart by them.
    pub host_names: Vec<String>,
    /// The bounds of the listener.
    pub limits: DoorLimits,
    /// The dialect's own settings, which the door checks.
    pub settings: toml::Table,
}

/// What a door speaks at its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS with a certificate of the local authority; in `--dev` only, where it is the default.
    DevTls,
    /// `plain_http = true`: no TLS. On loopback addresses, or with `plain_http_anywhere = true`.
    PlainHttp,
    /// `tls = { certificate, private_key }`.
    Tls {
        /// PEM file of the certificate chain, the server's own first.
        certificate: PathBuf,
        /// PEM file of its private key.
        private_key: PathBuf,
    },
}

/// The bounds of one door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    /// `connections_max`: most open connections. Default 1,024, at most 65,536. While a client
    /// waits for one, those that have said nothing for a second are closed.
    pub connections: usize,
    /// `requests_in_flight_max`: most requests that are answered at a time, over all connections.
    /// Default 1,024, at most 65,536.
    pub requests_in_flight: usize,
}

/// The names of the fields of [`Written`]; overrides need to tell them from settings.
pub(super) const FIELDS: [&str; 10] = [
    "dialect",
    "realm",
    "listen",
    "tls",
    "plain_http",
    "plain_http_anywhere",
    "http_listen",
    "host_names",
    "limits",
    "settings",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    dialect: Spanned<String>,
    realm: Option<Spanned<String>>,
    listen: Option<Spanned<String>>,
    tls: Option<Spanned<WrittenTls>>,
    plain_http: Option<Spanned<bool>>,
    plain_http_anywhere: Option<Spanned<bool>>,
    http_listen: Option<Spanned<String>>,
    #[serde(default)]
    host_names: Vec<Spanned<String>>,
    #[serde(default)]
    limits: WrittenLimits,
    #[serde(default)]
    settings: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTls {
    certificate: Spanned<String>,
    private_key: Spanned<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct WrittenLimits {
    connections_max: Option<Spanned<i64>>,
    requests_in_flight_max: Option<Spanned<i64>>,
}

/// The doors of a configuration that names none, as the text of a configuration.
pub(super) fn default_doors(mode: Mode) -> Result<String, ConfigError> {
    let Mode::Dev { port_base } = mode else {
        return Ok("[[door]]\ndialect = \"native\"\nplain_http = true\n".to_owned());
    };
    let mut text = String::new();
    for Dialect { name, port_number, dev_realm } in DIALECTS {
        let port = match port_base {
            0 => Some(0),
            base => base.checked_add(*port_number),
        };
        let port = port.ok_or_else(|| ConfigError::Argument {
            argument: format!("--port-base {port_base}"),
            why: "there are not enough ports after it".to_owned(),
        })?;
        text += &format!(
            "[[door]]\ndialect = \"{name}\"\nrealm = \"{dev_realm}\"\n\
             listen = \"127.0.0.1:{port}\"\nhttp_listen = \"127.0.0.1:0\"\n"
        );
    }
    Ok(text)
}

pub(super) fn resolve_all(
    written: Option<Spanned<Vec<Spanned<Written>>>>,
    mode: Mode,
) -> Result<Vec<DoorConfig>, Invalid> {
    let written = written.expect("a document without doors has the default ones");
    if written.get_ref().is_empty() {
        return Err(Invalid::new(&written, "there must be at least one door"));
    }
    let mut doors: Vec<DoorConfig> = Vec::new();
    for written in written.into_inner() {
        let at = Spanned::new(written.span(), ());
        let door = resolve(written, mode)?;
        if let Some(why) = doors.iter().find_map(|other| collision(other, &door)) {
            return Err(Invalid::new(&at, why));
        }
        doors.push(door);
    }
    Ok(doors)
}

fn resolve(written: Spanned<Written>, mode: Mode) -> Result<DoorConfig, Invalid> {
    let at = Spanned::new(written.span(), ());
    let written = written.into_inner();
    let dialect = find_dialect(&written.dialect)?;
    let listen = match &written.listen {
        Some(text) => address(text)?,
        None => SocketAddr::from(([127, 0, 0, 1], PORT_BASE_DEFAULT + dialect.port_number)),
    };
    let http_listen = written.http_listen.as_ref().map(address).transpose()?;
    let transport = transport(&written, &at, mode)?;
    check_plain(&written, &transport, listen, http_listen)?;
    Ok(DoorConfig {
        dialect: dialect.name,
        realm: realm(written.realm.as_ref())?,
        listen,
        transport,
        http_listen,
        host_names: host_names(&at, &written.host_names)?,
        limits: limits(written.limits)?,
        settings: written.settings,
    })
}

fn find_dialect(written: &Spanned<String>) -> Result<Dialect, Invalid> {
    let name = written.get_ref();
    DIALECTS.iter().find(|dialect| dialect.name == name).copied().ok_or_else(|| {
        let known: Vec<&str> = DIALECTS.iter().map(|dialect| dialect.name).collect();
        let known = known.join("`, `");
        let why =
            format!("dialect `{}` is not in this version; it has `{known}`", name.escape_debug());
        Invalid::new(written, why)
    })
}

fn realm(written: Option<&Spanned<String>>) -> Result<RealmName, Invalid> {
    match written {
        // Nobody may sign in where the keys of tokens are.
        Some(name) if name.get_ref() == TOKEN_REALM => {
            Err(Invalid::new(name, "this realm is the server's own"))
        }
        Some(name) => name.get_ref().parse().map_err(|error| Invalid::new(name, error)),
        None => Ok(REALM_DEFAULT.parse().expect("the default is a name")),
    }
}

fn address(written: &Spanned<String>) -> Result<SocketAddr, Invalid> {
    written.get_ref().parse().map_err(|_| {
        let why = "an IP address and a port, as in \"127.0.0.1:8200\" or \"[::1]:8200\"";
        Invalid::new(written, why)
    })
}

fn transport(written: &Written, door: &Spanned<()>, mode: Mode) -> Result<Transport, Invalid> {
    let plain = written.plain_http.as_ref().filter(|plain| *plain.get_ref());
    match (&written.tls, plain, mode) {
        (Some(_), Some(plain), _) => {
            Err(Invalid::new(plain, "a door has `tls` or `plain_http`, not both"))
        }
        (Some(tls), None, _) => Ok(Transport::Tls {
            certificate: path_of(tls.get_ref().certificate.clone())?,
            private_key: path_of(tls.get_ref().private_key.clone())?,
        }),
        (None, Some(_), _) => Ok(Transport::PlainHttp),
        (None, None, Mode::Dev { .. }) => Ok(Transport::DevTls),
        (None, None, Mode::Serve) => {
            let why = "this door needs `tls = { certificate, private_key }`, or \
                       `plain_http = true` on a loopback address";
            Err(Invalid::new(door, why))
        }
    }
}

/// Plain HTTP carries credentials in the open, so that it leaves the machine only on request.
fn check_plain(
    written: &Written,
    transport: &Transport,
    listen: SocketAddr,
    http_listen: Option<SocketAddr>,
) -> Result<(), Invalid> {
    let is_plain = *transport == Transport::PlainHttp;
    if is_plain {
        refuse(written.http_listen.as_ref(), "`listen` is plain HTTP already")?;
    }
    let anywhere = written.plain_http_anywhere.as_ref().filter(|anywhere| *anywhere.get_ref());
    if !is_plain && http_listen.is_none() {
        return refuse(anywhere, "this door has no listener for plain HTTP");
    }
    if anywhere.is_some() {
        return Ok(());
    }
    let why = "plain HTTP is for loopback addresses; to send credentials in the open set \
               `plain_http_anywhere = true`";
    if is_plain && !listen.ip().is_loopback() {
        refuse(written.listen.as_ref(), why)?;
    }
    if http_listen.is_some_and(|address| !address.ip().is_loopback()) {
        refuse(written.http_listen.as_ref(), why)?;
    }
    Ok(())
}

fn host_names(door: &Spanned<()>, written: &[Spanned<String>]) -> Result<Vec<String>, Invalid> {
    if written.len() > HOST_NAMES_MAX {
        return Err(Invalid::new(door, format!("at most {HOST_NAMES_MAX} host names")));
    }
    let mut names: Vec<String> = Vec::new();
    for one in written {
        let name = one.get_ref();
        let is_name = ServerName::try_from(name.as_str()).is_ok();
        if !is_name || name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(Invalid::new(one, "a host name in small letters or an IP address"));
        }
        if names.contains(name) {
            return Err(Invalid::new(one, "this host name is there twice"));
        }
        names.push(name.clone());
    }
    Ok(names)
}

fn limits(written: WrittenLimits) -> Result<DoorLimits, Invalid> {
    let bounded = |written, default, max| {
        number(written, default, 1, max)
            .map(|number| usize::try_from(number).expect("it is within the bound"))
    };
    Ok(DoorLimits {
        connections: bounded(written.connections_max, CONNECTIONS_DEFAULT, CONNECTIONS_MAX)?,
        requests_in_flight: bounded(
            written.requests_in_flight_max,
            REQUESTS_IN_FLIGHT_DEFAULT,
            REQUESTS_IN_FLIGHT_MAX,
        )?,
    })
}

/// Why two doors cannot listen as they say; `None` if they can.
fn collision(one: &DoorConfig, other: &DoorConfig) -> Option<String> {
    let addresses = |door: &DoorConfig| [Some(door.listen), door.http_listen];
    let shared = addresses(one)
        .into_iter()
        .flatten()
        .find(|address| address.port() != 0 && addresses(other).contains(&Some(*address)))?;
    let told_apart = !one.host_names.is_empty()
        && !other.host_names.is_empty()
        && !one.host_names.iter().any(|name| other.host_names.contains(name))
        && one.listen == other.listen
        && one.http_listen == other.http_listen
        && one.transport == other.transport;
    (!told_apart).then(|| {
        format!(
            "another door listens on {shared}; doors that share an address have the same \
             listeners and transport, and `host_names` that differ"
        )
    })
}
