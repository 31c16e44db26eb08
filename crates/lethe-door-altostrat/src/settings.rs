//! What an operator can set.

use std::collections::BTreeMap;

use lethe_engine::Network;
use serde::Deserialize;

/// The settings of the door, by the names that they have in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who signs access tokens: a URL with a `/` at its end. Default `https://localhost/`.
    pub issuer: String,
    /// For which service access tokens are. Default `https://api.altostrat.io`.
    pub audience: String,
    /// The organization in tokens. Default: made of the realm's identity.
    pub organization_id: Option<String>,
    /// The customer in tokens. Default: the realm's identity as a UUID.
    pub owner_id: Option<String>,
    /// The workspace in tokens. Default: made of the realm's identity.
    pub workspace_id: Option<String>,
    /// The status of an answer to a field that breaks a rule: 400 (default) or 422.
    pub validation_status: u16,
    /// How long access tokens are good for, in seconds. Default 120.
    pub token_lifetime_seconds: u64,
    /// Most API keys of the organization; 0: no bound. Default 100.
    pub keys_max: u64,
    /// Management requests of one caller in a minute; 0: no bound. Default 60.
    pub rate_limit_per_minute: u32,
    /// Leak reports of one address in an hour; 0: no bound. Default 60.
    pub leak_reports_per_hour: u32,
    /// Whether creates take `expires_at`, `allowed_cidrs`, `labels` and `protected`. Default no.
    pub extensions: bool,
    /// Whether rotations take `grace_period_seconds`. Default no.
    pub rotation_grace: bool,
    /// What those who manage API keys can give to them, beside the engine's own permissions.
    pub grantable_permissions: Vec<String>,
    /// What listing and retrieving need. Default `api:view`.
    pub permission_view: String,
    /// What creating needs. Default `api:create`.
    pub permission_create: String,
    /// What rotating needs. Default `api:update`.
    pub permission_update: String,
    /// What deleting needs. Default `api:delete`.
    pub permission_delete: String,
    /// A prefix under which the API answers too, as in `/v1`. Default none.
    pub path_prefix: String,
    /// Where secrets are exchanged for tokens. Default `/api/internal/token`.
    pub exchange_path: String,
    /// From which networks `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// Service accounts that exchange and introspect, by their names, where they differ from the
    /// rest.
    pub resource_servers: BTreeMap<String, ResourceServer>,
}

/// What one resource server may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResourceServer {
    /// For which services it may have tokens, its own first. Default: the door's `audience`.
    pub audiences: Vec<String>,
    /// From where it may call. Default: from everywhere.
    pub addresses: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: "https://localhost/".to_owned(),
            audience: "https://api.altostrat.io".to_owned(),
            organization_id: None,
            owner_id: None,
            workspace_id: None,
            validation_status: 400,
            token_lifetime_seconds: 120,
            keys_max: 100,
            rate_limit_per_minute: 60,
            leak_reports_per_hour: 60,
            extensions: false,
            rotation_grace: false,
            grantable_permissions: Vec::new(),
            permission_view: "api:view".to_owned(),
            permission_create: "api:create".to_owned(),
            permission_update: "api:update".to_owned(),
            permission_delete: "api:delete".to_owned(),
            path_prefix: String::new(),
            exchange_path: "/api/internal/token".to_owned(),
            trusted_proxies: Vec::new(),
            resource_servers: BTreeMap::new(),
        }
    }
}

/// Longest lifetime of an access token, in seconds: its end is the net below revocation.
const TOKEN_LIFETIME_S_MAX: u64 = 3_600;

impl Settings {
    /// Whether every setting has a value that makes sense.
    ///
    /// # Errors
    /// The first that has not, and why.
    pub fn check(&self) -> Result<(), String> {
        let is_issuer = self.issuer.starts_with("https://") && self.issuer.ends_with('/');
        if !is_issuer {
            return Err("`issuer` is `https://`, a host and `/`".to_owned());
        }
        if self.audience.is_empty() {
            return Err("`audience` must not be empty".to_owned());
        }
        if ![400, 422].contains(&self.validation_status) {
            return Err("`validation_status` is 400 or 422".to_owned());
        }
        if !(1..=TOKEN_LIFETIME_S_MAX).contains(&self.token_lifetime_seconds) {
            return Err(format!("`token_lifetime_seconds` is 1 to {TOKEN_LIFETIME_S_MAX}"));
        }
        let names = [
            &self.permission_view,
            &self.permission_create,
            &self.permission_update,
            &self.permission_delete,
        ];
        for name in names.into_iter().chain(&self.grantable_permissions) {
            if !(1..=100).contains(&name.chars().count()) || name.contains(char::is_whitespace) {
                return Err("a permission has 1 to 100 characters and no space".to_owned());
            }
        }
        let is_path = |path: &str| {
            path.starts_with('/')
                && !path.ends_with('/')
                && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte))
        };
        if !self.path_prefix.is_empty() && !is_path(&self.path_prefix) {
            return Err("`path_prefix` is a path as in `/v1`".to_owned());
        }
        if !is_path(&self.exchange_path) {
            return Err("`exchange_path` is a path as in `/api/internal/token`".to_owned());
        }
        let servers = self.resource_servers.values().flat_map(|server| &server.addresses);
        for text in self.trusted_proxies.iter().chain(servers) {
            text.parse::<Network>().map_err(|error| format!("`{text}`: {error}"))?;
        }
        Ok(())
    }
}

/// The networks of texts that were checked.
pub(crate) fn networks(texts: &[String]) -> Vec<Network> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}
