//! The settings of the door: `[door.settings]`.

use core::time::Duration;

/// How the door behaves where the protocol leaves it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `token_rotation`: whether answers bring a new token.
    pub token_rotation: TokenRotation,
    /// `echo`: how much of a request its answer repeats.
    pub echo: Echo,
    /// `allow_key_material_egress`: whether keys can be exported, backed up and restored.
    pub allow_key_material_egress: bool,
    /// `recreate_after_delete`: who may use the name of a deleted key again.
    pub recreate_after_delete: Recreate,
    /// `token_idle_minutes`: a token ends when it was not used for so long. Default 60 minutes.
    pub token_idle: Duration,
    /// `token_lifetime_minutes`: a login ends after so long, whatever its use. Default 12 hours.
    pub token_lifetime: Duration,
    /// `token_grace_seconds`: how long a token is good after it was replaced, with
    /// [`TokenRotation::Grace`]. Default 60 s.
    pub token_grace: Duration,
}

/// Whether answers bring a new token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRotation {
    /// No: the token stays the same.
    Off,
    /// Yes, and the old one is good for a little while.
    Grace,
    /// Yes, and the old one ends with the answer.
    Strict,
}

/// How much of a request its answer repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Everything. For comparisons in tests.
    Full,
    /// Everything but secrets.
    Redacted,
    /// Token, vault and name.
    Minimal,
}

/// Who may use the name of a deleted key again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recreate {
    /// Everybody who may create keys, also by encrypting.
    Allow,
    /// Who asks for a new key in so many words.
    CreateOnly,
    /// Nobody.
    Never,
}

/// A value as a configuration has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingValue<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Integer(i64),
    /// A text.
    Text(&'a str),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_rotation: TokenRotation::Off,
            echo: Echo::Redacted,
            allow_key_material_egress: false,
            recreate_after_delete: Recreate::CreateOnly,
            token_idle: Duration::from_secs(60 * MINUTE_SECONDS),
            token_lifetime: Duration::from_secs(12 * 60 * MINUTE_SECONDS),
            token_grace: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Sets the setting of that name.
    ///
    /// # Errors
    /// In words, for a name that is none and for a value that it does not take; nothing is set.
    pub fn set(&mut self, name: &str, value: SettingValue<'_>) -> Result<(), String> {
        let wrong = |takes: &str| Err(format!("setting `{name}` takes {takes}"));
        match name {
            "allow_key_material_egress" => match value {
                SettingValue::Bool(is_allowed) => self.allow_key_material_egress = is_allowed,
                SettingValue::Integer(_) | SettingValue::Text(_) => {
                    return wrong("`true` or `false`");
                }
            },
            "echo" => match value {
                SettingValue::Text("full") => self.echo = Echo::Full,
                SettingValue::Text("redacted") => self.echo = Echo::Redacted,
                SettingValue::Text("minimal") => self.echo = Echo::Minimal,
                SettingValue::Text(_) | SettingValue::Bool(_) | SettingValue::Integer(_) => {
                    return wrong("\"full\", \"redacted\" or \"minimal\"");
                }
            },
            "recreate_after_delete" => match value {
                SettingValue::Text("allow") => self.recreate_after_delete = Recreate::Allow,
                SettingValue::Text("create_only") => {
                    self.recreate_after_delete = Recreate::CreateOnly;
                }
                SettingValue::Text("never") => self.recreate_after_delete = Recreate::Never,
                SettingValue::Text(_) | SettingValue::Bool(_) | SettingValue::Integer(_) => {
                    return wrong("\"allow\", \"create_only\" or \"never\"");
                }
            },
            "token_rotation" => match value {
                SettingValue::Text("off") => self.token_rotation = TokenRotation::Off,
                SettingValue::Text("grace") => self.token_rotation = TokenRotation::Grace,
                SettingValue::Text("strict") => self.token_rotation = TokenRotation::Strict,
                SettingValue::Text(_) | SettingValue::Bool(_) | SettingValue::Integer(_) => {
                    return wrong("\"off\", \"grace\" or \"strict\"");
                }
            },
            "token_idle_minutes" => {
                self.token_idle = span(name, value, MINUTE_SECONDS, TOKEN_IDLE_MINUTES_MAX)?;
            }
            "token_lifetime_minutes" => {
                let most = TOKEN_LIFETIME_MINUTES_MAX;
                self.token_lifetime = span(name, value, MINUTE_SECONDS, most)?;
            }
            "token_grace_seconds" => {
                self.token_grace = span(name, value, 1, TOKEN_GRACE_SECONDS_MAX)?;
            }
            _ => return Err(format!("it has no setting `{name}`")),
        }
        Ok(())
    }
}

fn span(
    name: &str,
    value: SettingValue<'_>,
    unit_seconds: u64,
    most: u64,
) -> Result<Duration, String> {
    let number = match value {
        SettingValue::Integer(number) => u64::try_from(number).ok(),
        SettingValue::Bool(_) | SettingValue::Text(_) => None,
    };
    match number.filter(|number| (1..=most).contains(number)) {
        Some(number) => Ok(Duration::from_secs(number * unit_seconds)),
        None => Err(format!("setting `{name}` takes a number from 1 to {most}")),
    }
}

const MINUTE_SECONDS: u64 = 60;

/// Longest [`Settings::token_idle`]: a day.
const TOKEN_IDLE_MINUTES_MAX: u64 = 24 * 60;

/// Longest [`Settings::token_lifetime`]: thirty days.
const TOKEN_LIFETIME_MINUTES_MAX: u64 = 30 * 24 * 60;

/// Longest [`Settings::token_grace`]: an hour.
const TOKEN_GRACE_SECONDS_MAX: u64 = 3_600;
