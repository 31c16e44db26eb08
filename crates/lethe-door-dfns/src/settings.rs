//! What an operator can set.

use serde::Deserialize;

/// The settings of the door, by the names that they have in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who issues tokens, in their `iss`. Default `lethe`.
    pub issuer: String,
    /// Whether key material may be imported. Default no.
    pub import: bool,
    /// Whether key material may be exported. Default no.
    pub export: bool,
    /// The name of the relying party that challenges tell. Default `localhost`.
    pub relying_party: String,
    /// How long a login is good for, in seconds. Default 8 hours.
    pub login_lifetime_seconds: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: "lethe".to_owned(),
            import: false,
            export: false,
            relying_party: "localhost".to_owned(),
            login_lifetime_seconds: 8 * 3_600,
        }
    }
}

/// Longest life of a login, in seconds.
const LOGIN_LIFETIME_S_MAX: u64 = 30 * 24 * 3_600;
/// Longest name of an issuer or relying party, in bytes.
const NAME_BYTES_MAX: usize = 256;

impl Settings {
    /// Whether every setting has a value that makes sense.
    ///
    /// # Errors
    /// The first that has not, and why.
    pub fn check(&self) -> Result<(), String> {
        let named = [("issuer", &self.issuer), ("relying_party", &self.relying_party)];
        for (name, text) in named {
            if !(1..=NAME_BYTES_MAX).contains(&text.len()) {
                return Err(format!("`{name}` has 1 to {NAME_BYTES_MAX} bytes"));
            }
        }
        if !(60..=LOGIN_LIFETIME_S_MAX).contains(&self.login_lifetime_seconds) {
            return Err(format!("`login_lifetime_seconds` is 60 to {LOGIN_LIFETIME_S_MAX}"));
        }
        Ok(())
    }
}
