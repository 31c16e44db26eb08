//! The settings, as a configuration gives them.

use crate::settings::SettingValue::{Bool, Integer, Text};
use crate::settings::{Echo, Recreate, SettingValue, Settings, TokenRotation};

#[test]
fn settings_are_taken_by_their_names() {
    let mut settings = Settings::default();
    for (name, value) in [
        ("token_rotation", Text("strict")),
        ("echo", Text("minimal")),
        ("allow_key_material_egress", Bool(true)),
        ("recreate_after_delete", Text("never")),
        ("token_idle_minutes", Integer(1)),
        ("token_lifetime_minutes", Integer(43_200)),
        ("token_grace_seconds", Integer(5)),
    ] {
        settings.set(name, value).unwrap();
    }
    assert_eq!(settings.token_rotation, TokenRotation::Strict);
    assert_eq!(settings.echo, Echo::Minimal);
    assert_eq!(settings.recreate_after_delete, Recreate::Never);
    assert!(settings.allow_key_material_egress);
    assert_eq!(settings.token_idle.as_secs(), 60);
}

#[test]
fn everything_else_is_refused() {
    let check = |name: &str, value: SettingValue<'_>| {
        let mut settings = Settings::default();
        let why = settings.set(name, value).unwrap_err();
        assert!(why.contains(&format!("`{name}`")), "{why}");
        assert_eq!(settings, Settings::default());
    };
    check("", Bool(true));
    check("Echo", Text("full"));
    check("unknown", Integer(1));
    for name in ["token_rotation", "echo", "recreate_after_delete"] {
        for value in [Text(""), Text("Off"), Text("on"), Bool(false), Integer(0)] {
            check(name, value);
        }
    }
    for value in [Text("true"), Integer(1)] {
        check("allow_key_material_egress", value);
    }
    for name in ["token_idle_minutes", "token_lifetime_minutes", "token_grace_seconds"] {
        for value in [Integer(0), Integer(-1), Integer(i64::MAX), Text("1"), Bool(true)] {
            check(name, value);
        }
    }
}
