//! How the door presents itself.

/// Versions that a key may get, unless the settings say otherwise.
const KEY_VERSIONS_MAX_DEFAULT: u32 = 100;

/// The settings of the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address that clients are told; the door's own if `None`.
    pub base_url: Option<String>,
    /// The region in resource names.
    pub region: String,
    /// The number of the account in resource names.
    pub account_no: String,
    /// The number of the keystore.
    pub keystore_id: u32,
    /// How many versions a key may get by requests through this door.
    pub key_versions_max: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_url: None,
            region: "KR".to_owned(),
            account_no: "1".to_owned(),
            keystore_id: 1,
            key_versions_max: KEY_VERSIONS_MAX_DEFAULT,
        }
    }
}
