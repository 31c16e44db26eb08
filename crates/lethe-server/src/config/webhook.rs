//! `[[webhook]]`: who is told of events.

use core::net::IpAddr;
use core::time::Duration;
use std::path::PathBuf;

use lethe_log::EntryType;
use lethe_types::RealmName;
use serde::Deserialize;
use toml::Spanned;
use ureq::http::Uri;

use super::source::Invalid;
use super::{DoorConfig, duration, optional_path, path_of, refuse};

/// Most webhooks of one server: each has a thread.
pub const WEBHOOKS_MAX: usize = 32;

/// Longest [`WebhookConfig::timeout`].
pub const TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// Longest [`WebhookConfig::retry_for`].
pub const RETRY_FOR_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const RETRY_FOR_DEFAULT: Duration = Duration::from_secs(72 * 3_600);
const REALM_DEFAULT: &str = "default";
const NAME_BYTES_MAX: usize = 64;
const URL_BYTES_MAX: usize = 2_048;
const PATTERNS_MAX: usize = 64;

/// One receiver of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Names it in metrics and messages, and its place among the events in DATA/webhooks: small
    /// letters, digits, `-` and `_`. Unique.
    pub name: String,
    /// Where events are posted: `https`, or `http` on a loopback address (anywhere with
    /// `plain_http_anywhere = true`).
    pub url: String,
    /// Where the secret for the signatures is: `whsec_` and base64; a second line may hold the one
    /// that is going to replace it.
    pub secret: WebhookSecretSource,
    /// The realm whose events are told. Default `default`; a door must be bound to it.
    pub realm: RealmName,
    /// Which events: types as `key.destroyed`, groups as `key.*`, or `*`. Default `["*"]`.
    pub events: Vec<EventPattern>,
    /// PEM file of the authorities that are trusted instead of those of the system.
    pub ca_file: Option<PathBuf>,
    /// Longest exchange with the receiver. Default 10 s, at most 60 s.
    pub timeout: Duration,
    /// How old an event may become before it is given up; a text such as `72h`. Default 72 h, at
    /// most 30 days.
    pub retry_for: Duration,
}

/// Where the secret of a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookSecretSource {
    /// `secret_env`: in this environment variable.
    Environment(String),
    /// `secret_file`: in this file, which only its owner may read.
    File(PathBuf),
}

/// Some types of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventPattern {
    /// `*`.
    All,
    /// `key.*`; holds `key.`.
    Group(String),
    /// One type.
    One(EntryType),
}

impl EventPattern {
    /// Whether the type of an event is one of them.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Group(prefix) => kind.starts_with(prefix.as_str()),
            Self::One(one) => one.as_str() == kind,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        if let Some(prefix) = text.strip_suffix('*') {
            let is_group = prefix.ends_with('.')
                && EntryType::ALL.iter().any(|known| known.as_str().starts_with(prefix));
            return is_group.then(|| Self::Group(prefix.to_owned()));
        }
        text.parse().ok().map(Self::One)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    name: Spanned<String>,
    url: Spanned<String>,
    secret_file: Option<Spanned<String>>,
    secret_env: Option<Spanned<String>>,
    realm: Option<Spanned<String>>,
    events: Option<Spanned<Vec<Spanned<String>>>>,
    ca_file: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    retry_for: Option<Spanned<String>>,
    plain_http_anywhere: Option<Spanned<bool>>,
}

pub(super) fn resolve_all(
    written: Vec<Spanned<Written>>,
    doors: &[DoorConfig],
) -> Result<Vec<WebhookConfig>, Invalid> {
    if let Some(over) = written.get(WEBHOOKS_MAX) {
        return Err(Invalid::new(over, format!("at most {WEBHOOKS_MAX} webhooks")));
    }
    let mut webhooks = Vec::<WebhookConfig>::new();
    for written in written {
        let name = written.get_ref().name.clone();
        let webhook = resolve(written, doors)?;
        if webhooks.iter().any(|other| other.name == webhook.name) {
            return Err(Invalid::new(&name, "another webhook has this name"));
        }
        webhooks.push(webhook);
    }
    Ok(webhooks)
}

fn resolve(written: Spanned<Written>, doors: &[DoorConfig]) -> Result<WebhookConfig, Invalid> {
    let at = Spanned::new(written.span(), ());
    let written = written.into_inner();
    let anywhere = written.plain_http_anywhere.as_ref().is_some_and(|anywhere| *anywhere.get_ref());
    let secret = match (written.secret_file, &written.secret_env) {
        (Some(file), None) => WebhookSecretSource::File(path_of(file)?),
        (None, Some(variable)) => WebhookSecretSource::Environment(variable_name(variable)?),
        (Some(_), Some(variable)) => {
            refuse(Some(variable), "a webhook has `secret_file` or `secret_env`, not both")?;
            return Err(Invalid::new(variable, "not both"));
        }
        (None, None) => {
            return Err(Invalid::new(&at, "a webhook needs `secret_file` or `secret_env`"));
        }
    };
    let bounded = |written: Option<&Spanned<String>>, default, max| match written {
        None => Ok(default),
        Some(text) => match duration(text, max)? {
            Duration::ZERO => Err(Invalid::new(text, "must be longer than nothing")),
            length => Ok(length),
        },
    };
    Ok(WebhookConfig {
        name: name(&written.name)?,
        url: url(&written.url, anywhere)?,
        secret,
        realm: realm(written.realm.as_ref(), &at, doors)?,
        events: patterns(written.events)?,
        ca_file: optional_path(written.ca_file)?,
        timeout: bounded(written.timeout.as_ref(), TIMEOUT_DEFAULT, TIMEOUT_MAX)?,
        retry_for: bounded(written.retry_for.as_ref(), RETRY_FOR_DEFAULT, RETRY_FOR_MAX)?,
    })
}

fn name(written: &Spanned<String>) -> Result<String, Invalid> {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
    };
    let name = written.get_ref();
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name.clone());
    }
    let why = format!("a name is 1 to {NAME_BYTES_MAX} small letters, digits, `-` and `_`");
    Err(Invalid::new(written, why))
}

fn variable_name(written: &Spanned<String>) -> Result<String, Invalid> {
    let name = written.get_ref();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.is_empty() && name.bytes().all(plain) {
        return Ok(name.clone());
    }
    Err(Invalid::new(written, "the name of an environment variable is letters, digits and `_`"))
}

fn url(written: &Spanned<String>, plain_anywhere: bool) -> Result<String, Invalid> {
    let text = written.get_ref();
    let wrong = |why: &str| Err(Invalid::new(written, why));
    let Ok(uri) = text.parse::<Uri>() else { return wrong("this is not a URL") };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong("a URL has a scheme and a host, as in \"https://events.example/lethe\"");
    };
    if text.len() > URL_BYTES_MAX {
        return wrong("a URL has at most 2048 bytes");
    }
    if text.contains('#') || authority.as_str().contains('@') || authority.host().is_empty() {
        return wrong("a URL here has a host, and neither credentials nor a fragment");
    }
    match scheme {
        "https" => Ok(text.clone()),
        "http" if plain_anywhere || is_loopback(authority.host()) => Ok(text.clone()),
        "http" => {
            wrong("plain HTTP goes to loopback addresses only, unless `plain_http_anywhere = true`")
        }
        _ => wrong("a URL here begins with `https://`"),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// A realm that no door is bound to is a slip: nothing could ever happen in it.
fn realm(
    written: Option<&Spanned<String>>,
    at: &Spanned<()>,
    doors: &[DoorConfig],
) -> Result<RealmName, Invalid> {
    let realm: RealmName = match written {
        Some(name) => name.get_ref().parse().map_err(|error| Invalid::new(name, error))?,
        None => REALM_DEFAULT.parse().expect("the default is a name"),
    };
    if doors.iter().any(|door| door.realm == realm) {
        return Ok(realm);
    }
    let why = format!("no door is bound to the realm `{realm}`; set `realm`");
    Err(written.map_or_else(|| Invalid::new(at, &why), |name| Invalid::new(name, &why)))
}

fn patterns(written: Option<Spanned<Vec<Spanned<String>>>>) -> Result<Vec<EventPattern>, Invalid> {
    let Some(written) = written else { return Ok(vec![EventPattern::All]) };
    if !(1..=PATTERNS_MAX).contains(&written.get_ref().len()) {
        return Err(Invalid::new(&written, format!("1 to {PATTERNS_MAX} types of events")));
    }
    let parse = |text: Spanned<String>| {
        EventPattern::parse(text.get_ref()).ok_or_else(|| {
            let why = "no event has this type; as in \"key.destroyed\", \"key.*\" or \"*\"";
            Invalid::new(&text, why)
        })
    };
    written.into_inner().into_iter().map(parse).collect()
}
