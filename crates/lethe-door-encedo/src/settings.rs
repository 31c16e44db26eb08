//! The door's settings, with the names and defaults that the protocol's description gives them.

use core::time::Duration;

/// Characters of a text that is told to clients.
const TEXT_CHARACTERS_MAX: usize = 128;
/// Longest life of a token that can be set.
const TOKEN_LIFETIME_MAX_SECONDS: u64 = 30 * 24 * 3_600;
/// Longest advertised life of a challenge.
const CHALLENGE_TTL_MAX_SECONDS: u64 = 24 * 3_600;
/// Most keys that a device can be told to hold.
const KEYS_HARD_MAX: u64 = 10_000_000;

/// What an operator can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the device says it is. Clients look for `EPA` or `PPA` in it.
    pub hwv: String,
    /// Name and version of the firmware.
    pub fwv: String,
    /// The same of the boot loader.
    pub blv: String,
    /// Signature of the firmware, in base64. Nothing is behind it.
    pub fws: String,
    /// Key of the firmware, in base64. Nothing is behind it.
    pub fwk: String,
    /// The `exp` that a challenge tells. It is good for a minute whatever this says.
    pub challenge_ttl: Duration,
    /// Tokens live at most so long.
    pub max_token_lifetime: Duration,
    /// Whether header names are written `Like-This`.
    pub title_case_headers: bool,
    /// Whether a key that was deleted may be derived again.
    pub rederive_after_delete: bool,
    /// Whether agreed secrets that are given out raw end after 32 bytes, as on the device.
    pub raw_ecdh_truncate_32: bool,
    /// Whether the door answers the check-in of its own broker.
    pub local_broker: bool,
    /// Whether the device can be shut down by a request.
    pub allow_shutdown: bool,
    /// How many keys there may be.
    pub keys_max: u64,
    /// For `serve --dev`: whether the device is initialised for its user.
    pub initialised: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hwv: "SOFT EPA rev 1.0".to_owned(),
            fwv: concat!("Lethe ", env!("CARGO_PKG_VERSION")).to_owned(),
            blv: concat!("Lethe ", env!("CARGO_PKG_VERSION")).to_owned(),
            fws: crate::b64::encode(&[0; 64]),
            fwk: crate::b64::encode(&[0; 32]),
            challenge_ttl: Duration::from_secs(60),
            max_token_lifetime: Duration::from_secs(28_800),
            title_case_headers: true,
            rederive_after_delete: false,
            raw_ecdh_truncate_32: false,
            local_broker: false,
            allow_shutdown: false,
            keys_max: 1_000_000,
            initialised: true,
        }
    }
}

/// A value as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingValue<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(&'a str),
}

impl Settings {
    /// Sets what `name` says.
    ///
    /// # Errors
    /// In words, for a name that there is not or a value that it does not take; nothing is set.
    pub fn set(&mut self, name: &str, value: SettingValue<'_>) -> Result<(), String> {
        match name {
            "hwv" => self.hwv = text(name, value)?,
            "fwv" => {
                let wanted = text(name, value)?;
                if wanted.contains("-DIAG") {
                    return Err("`fwv` must not name a diagnostic build".to_owned());
                }
                self.fwv = wanted;
            }
            "blv" => self.blv = text(name, value)?,
            "fws" => self.fws = base64_of(name, value, 64)?,
            "fwk" => self.fwk = base64_of(name, value, 32)?,
            "challenge_ttl" => {
                self.challenge_ttl = seconds(name, value, CHALLENGE_TTL_MAX_SECONDS)?;
            }
            "max_token_lifetime" => {
                self.max_token_lifetime = seconds(name, value, TOKEN_LIFETIME_MAX_SECONDS)?;
            }
            "title_case_headers" => self.title_case_headers = flag(name, value)?,
            "rederive_after_delete" => self.rederive_after_delete = flag(name, value)?,
            "raw_ecdh_truncate_32" => self.raw_ecdh_truncate_32 = flag(name, value)?,
            "local_broker" => self.local_broker = flag(name, value)?,
            "allow_shutdown" => self.allow_shutdown = flag(name, value)?,
            "keys_max" => self.keys_max = number(name, value, KEYS_HARD_MAX)?,
            "initialised" => self.initialised = flag(name, value)?,
            other => return Err(format!("it has no setting `{}`", other.escape_debug())),
        }
        Ok(())
    }

    /// Whether the device says that it has the endpoints of the portable form.
    pub(crate) fn is_portable(&self) -> bool {
        !self.hwv.contains("EPA")
    }
}

fn flag(name: &str, value: SettingValue<'_>) -> Result<bool, String> {
    match value {
        SettingValue::Bool(flag) => Ok(flag),
        SettingValue::Integer(_) | SettingValue::Text(_) => {
            Err(format!("`{name}` must be true or false"))
        }
    }
}

fn number(name: &str, value: SettingValue<'_>, most: u64) -> Result<u64, String> {
    let refused = || format!("`{name}` must be a number from 1 to {most}");
    let SettingValue::Integer(number) = value else { return Err(refused()) };
    let number = u64::try_from(number).ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(refused)
}

fn seconds(name: &str, value: SettingValue<'_>, most: u64) -> Result<Duration, String> {
    number(name, value, most).map(Duration::from_secs)
}

fn text(name: &str, value: SettingValue<'_>) -> Result<String, String> {
    let is_plain = |text: &&str| {
        (1..=TEXT_CHARACTERS_MAX).contains(&text.len())
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    match value {
        SettingValue::Text(text) if is_plain(&text) => Ok(text.to_owned()),
        SettingValue::Bool(_) | SettingValue::Integer(_) | SettingValue::Text(_) => {
            Err(format!("`{name}` must be a text of 1 to {TEXT_CHARACTERS_MAX} ASCII characters"))
        }
    }
}

fn base64_of(name: &str, value: SettingValue<'_>, bytes: usize) -> Result<String, String> {
    let text = text(name, value)?;
    match crate::b64::decode(&text) {
        Some(decoded) if decoded.len() == bytes => Ok(text),
        Some(_) | None => Err(format!("`{name}` must be {bytes} bytes in base64")),
    }
}
