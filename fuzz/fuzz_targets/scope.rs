//! Scopes of the Encedo door: a scope opens itself and what goes on after it, and nothing else.

#![no_main]

use lethe_door_encedo::Scope;
use libfuzzer_sys::fuzz_target;

const REQUIRED: [&str; 6] = [
    "system:config",
    "keymgmt:list",
    "keymgmt:del",
    "logger:get",
    "auth:ext:pair",
    "keymgmt:use:00112233445566778899aabbccddeeff",
];

fuzz_target!(|text: &str| {
    let Some(scope) = Scope::parse(text) else { return };
    assert_eq!(scope.as_str(), text);
    assert!((1..=127).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(scope.opens(text));
    for required in REQUIRED {
        let goes_on = text.strip_prefix(required);
        let is_next = |rest: &str| rest.is_empty() || rest.starts_with([':', '#']);
        let expected = match required.starts_with("keymgmt:use:") {
            true => text == required,
            false => goes_on.is_some_and(is_next),
        };
        assert_eq!(scope.opens(required), expected, "{text} {required}");
    }
});
