//! Scopes: what a session was opened for, and what that permits.
//!
//! `family ":" verb [":" argument…] ["#" text for people]`. A scope opens an operation if it is
//! the operation's own or goes on after it with `:` or `#`; the scope of uses names one key and
//! must be exactly that.

use lethe_types::{Permission, Permissions};

/// Most characters of a scope of a token.
pub(crate) const SCOPE_CHARACTERS_MAX: usize = 127;

const USE: &str = "keymgmt:use:";

/// Everything that a use of one key may need.
const USES: [Permission; 7] = [
    Permission::KeysUseDecrypt,
    Permission::KeysUseDerive,
    Permission::KeysUseEncrypt,
    Permission::KeysUseMac,
    Permission::KeysUseSign,
    Permission::KeysUseVerify,
    Permission::KeysUseWrap,
];

/// A scope of visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope(String);

impl Scope {
    /// A scope of 1 to 127 characters without spaces; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::bounded(text, SCOPE_CHARACTERS_MAX)
    }

    /// The same with another bound: scopes that an authenticator is asked about are longer.
    pub(crate) fn bounded(text: &str, characters_max: usize) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        let fits = (1..=characters_max).contains(&text.len());
        (is_plain && fits).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scope without what is for people alone.
    pub(crate) fn without_display(&self) -> Option<Self> {
        let head = self.0.split('#').next().unwrap_or_default();
        Self::parse(head)
    }

    /// Whether it opens what `required` opens.
    #[must_use]
    pub fn opens(&self, required: &str) -> bool {
        if required.starts_with(USE) {
            return self.0 == required;
        }
        let rest = self.0.strip_prefix(required);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '#']))
    }

    /// The identifier of the key whose uses it opens.
    pub(crate) fn used_key(&self) -> Option<&str> {
        self.0.strip_prefix(USE)
    }

    /// What the engine may let a session of this scope do: the table of docs/permissions.md.
    pub(crate) fn permissions(&self) -> Permissions {
        let of =
            |permissions: &[Permission]| -> Permissions { permissions.iter().copied().collect() };
        if self.used_key().is_some() {
            return of(&USES).union(of(&[Permission::KeysRead]));
        }
        let found = TABLE.iter().find(|(scope, _)| self.opens(scope));
        found.map_or(Permissions::NONE, |(_, permissions)| of(permissions))
    }
}

/// What each scope opens.
const TABLE: [(&str, &[Permission]); 13] = [
    (
        "system:config",
        &[
            Permission::KeysCreate,
            Permission::KeysDestroy,
            Permission::KeysImport,
            Permission::KeysRead,
            Permission::PrincipalsManage,
            Permission::RealmAdmin,
            Permission::RealmRead,
        ],
    ),
    ("system:shutdown", &[Permission::RealmAdmin]),
    ("system:upgrade", &[Permission::RealmAdmin]),
    ("logger:get", &[Permission::AuditRead, Permission::RealmRead]),
    (
        "auth:ext:pair",
        &[
            Permission::KeysCreate,
            Permission::KeysImport,
            Permission::KeysRead,
            Permission::PrincipalsManage,
            Permission::RealmRead,
        ],
    ),
    ("keymgmt:list", &[Permission::KeysRead]),
    ("keymgmt:search", &[Permission::KeysRead]),
    ("keymgmt:get", &[Permission::KeysRead]),
    ("keymgmt:gen", &[Permission::KeysCreate, Permission::KeysRead, Permission::KeysUseDerive]),
    ("keymgmt:imp", &[Permission::KeysCreate, Permission::KeysImport]),
    ("keymgmt:upd", &[Permission::KeysUpdate]),
    ("keymgmt:del", &[Permission::KeysDestroy]),
    ("keymgmt:derive", &[Permission::KeysCreate, Permission::KeysRead, Permission::KeysUseDerive]),
];
