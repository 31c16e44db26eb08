//! The dialect's permissions and the engine's.
//!
//! Names of the engine's vocabulary are themselves. The four names for managing API keys stand for
//! what docs/permissions.md says. All other names open nothing here: they are kept with the API key
//! and stand in its tokens.

use lethe_engine::Caller;
use lethe_engine::record::PrincipalRecord;
use lethe_types::{Permission, Permissions};

use crate::settings::Settings;

/// The attribute of an application with its permissions as they were given: a JSON array.
pub(crate) const PERMISSIONS: &str = "altostrat.permissions";

/// What one of the four names stands for.
fn managed(settings: &Settings) -> [(&str, Permissions); 4] {
    let of = |permissions: &[Permission]| permissions.iter().copied().collect();
    let manage = Permission::ApikeysManage;
    [
        (&settings.permission_view, of(&[Permission::KeysRead])),
        (&settings.permission_create, of(&[Permission::KeysCreate, manage])),
        (&settings.permission_update, of(&[Permission::KeysRotate, manage])),
        (&settings.permission_delete, of(&[Permission::KeysDestroy, manage])),
    ]
}

/// What the names in a person's token leave of their rights.
pub(crate) fn bound_of(settings: &Settings, names: &[String]) -> Permissions {
    let own: Permissions = names.iter().filter_map(|name| name.parse().ok()).collect();
    let managed = managed(settings).into_iter();
    let named = managed.filter(|(name, _)| names.iter().any(|other| other == name));
    named.fold(own, |all, (_, permissions)| all.union(permissions))
}

/// Every name that the caller holds: what it may do here, and give.
pub(crate) fn held(settings: &Settings, caller: &Caller) -> Vec<String> {
    let own = caller.realm_permissions();
    let mut names: Vec<String> = managed(settings)
        .into_iter()
        .filter(|(_, needed)| own.contains_all(*needed))
        .map(|(name, _)| name.to_owned())
        .collect();
    names.extend(own.iter().map(|permission| permission.as_str().to_owned()));
    if own.contains(Permission::ApikeysManage) {
        names.extend(settings.grantable_permissions.iter().cloned());
    }
    names
}

/// Of the names given to an API key, those that open something at the engine.
pub(crate) fn granted(names: &[String]) -> Permissions {
    names.iter().filter_map(|name| name.parse::<Permission>().ok()).collect()
}

/// The names that were given to an API key.
pub(crate) fn of_application(record: &PrincipalRecord) -> Vec<String> {
    let stored = record.attributes.get(PERMISSIONS);
    stored.and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
}
