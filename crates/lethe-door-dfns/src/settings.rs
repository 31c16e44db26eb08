//! What an operator can set.

use serde::Deserialize;

use crate::webauthn::RelyingParty;

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
    /// The origins that may use passkeys, as in `https://app.example`. Default none: every page of
    /// the relying party's domain and below it may, over TLS or on this machine.
    pub origins: Vec<String>,
    /// Whether a passkey must say that its user was verified. Default yes.
    pub user_verification: UserVerification,
    /// How many days the log of user actions is kept; 0 for ever. Default 0.
    pub log_days: u32,
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
            origins: Vec::new(),
            user_verification: UserVerification::Required,
            log_days: 0,
            login_lifetime_seconds: 8 * 3_600,
        }
    }
}

/// Whether people prove to their authenticator that it is they (Web Authentication Level 2, section
/// 5.8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserVerification {
    /// A passkey that does not say so is refused.
    Required,
    /// It is asked for, and not insisted on.
    Preferred,
    /// It is not asked for.
    Discouraged,
}

impl UserVerification {
    /// As challenges tell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Preferred => "preferred",
            Self::Discouraged => "discouraged",
        }
    }
}

/// Most origins that may be listed.
const ORIGINS_MAX: usize = 64;
/// Longest time that a log is kept, if not for ever, in days: a hundred years.
const LOG_DAYS_MAX: u32 = 36_525;
/// Longest life of a login, in seconds.
const LOGIN_LIFETIME_S_MAX: u64 = 30 * 24 * 3_600;
/// Longest name of an issuer or relying party, in bytes.
const NAME_BYTES_MAX: usize = 256;

impl Settings {
    /// Whose passkeys are taken.
    pub(crate) fn party(&self) -> RelyingParty<'_> {
        RelyingParty {
            id: &self.relying_party,
            origins: &self.origins,
            verification: self.user_verification,
        }
    }

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
        let is_origin = |origin: &String| (1..=NAME_BYTES_MAX).contains(&origin.len());
        if self.origins.len() > ORIGINS_MAX || !self.origins.iter().all(is_origin) {
            return Err(format!(
                "`origins` has up to {ORIGINS_MAX} of 1 to {NAME_BYTES_MAX} bytes"
            ));
        }
        if self.log_days > LOG_DAYS_MAX {
            return Err(format!("`log_days` is 0 to {LOG_DAYS_MAX}"));
        }
        if !(60..=LOGIN_LIFETIME_S_MAX).contains(&self.login_lifetime_seconds) {
            return Err(format!("`login_lifetime_seconds` is 60 to {LOGIN_LIFETIME_S_MAX}"));
        }
        Ok(())
    }
}
