//! Deletion policies: read from files, and told in words.

use std::path::Path;

use serde_json::Value;

use crate::failure::Failure;
use crate::files::read_input;
use crate::output::member;

/// Largest file of a policy, in bytes.
const POLICY_BYTES_MAX: usize = 65_536;

/// The policy in a file: TOML, or JSON if its name ends so. What its members mean is the server's
/// to say.
///
/// # Errors
/// [`Failure::Failed`] with the place.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    let bytes = read_input(path, POLICY_BYTES_MAX)?;
    let wrong = |why: String| Failure::Failed(format!("`{}`: {why}", path.display()));
    let text = core::str::from_utf8(bytes.expose()).map_err(|error| wrong(error.to_string()))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json")
        || text.trim_start().starts_with('{');
    let policy: Value = if is_json {
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?
    };
    if policy.is_object() { Ok(policy) } else { Err(wrong("a policy is an object".to_owned())) }
}

/// What a policy demands, a line each.
pub(crate) fn words(policy: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let is = |name: &str| policy.get(name).and_then(Value::as_bool) == Some(true);
    let part = |name: &str| policy.get(name).filter(|part| part.is_object());
    if let Some(window) = part("window") {
        let early = window.get("may_end_early").and_then(Value::as_bool) == Some(true);
        let end = if early { "may end early" } else { "may not end early" };
        lines.push(format!("waits at least {}; the wait {end}", member(window, "minimum")));
    }
    if is("must_be_suspended") {
        lines.push("only keys that are not in use".to_owned());
    }
    match member(policy, "not_used_within").as_str() {
        "" => {}
        time => lines.push(format!("only keys that were not used for {time}")),
    }
    match member(policy, "destroys_per_hour").as_str() {
        "" => {}
        most => lines.push(format!("at most {most} an hour for each principal")),
    }
    if is("confirm") {
        lines.push("the request repeats the key's id or name".to_owned());
    }
    if let Some(rule) = part("approvals") {
        let [required, lifetime] = ["required", "lifetime"].map(|name| member(rule, name));
        lines.push(format!("{required} others agree, within {lifetime}"));
    }
    match member(policy, "dependants").as_str() {
        "cascade" => lines.push("derived keys go with their parent".to_owned()),
        "orphan" => lines.push("derived keys stay without their parent".to_owned()),
        "refuse" => lines.push("no key from which live keys are derived".to_owned()),
        "" => {}
        other => lines.push(format!("dependants: {other}")),
    }
    if is("refuse_reimport") {
        lines.push("destroyed material is never imported again".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::local::Scratch;

    fn read_text(name: &str, text: &str) -> Result<Value, String> {
        let scratch = Scratch::new(None).unwrap();
        let path = scratch.path().join(name);
        std::fs::write(&path, text).unwrap();
        read(&path).map_err(|failure| failure.text().unwrap())
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let expected = json!({"window": {"minimum": "72h", "may_end_early": false},
            "must_be_suspended": true, "destroys_per_hour": 5});
        let text = "must_be_suspended = true\ndestroys_per_hour = 5\n\n[window]\n\
                    minimum = \"72h\"\nmay_end_early = false\n";
        assert_eq!(read_text("p.toml", text).unwrap(), expected);
        assert_eq!(read_text("p.json", &expected.to_string()).unwrap(), expected);
        assert_eq!(read_text("policy", &expected.to_string()).unwrap(), expected);
        assert_eq!(read_text("p.toml", "").unwrap(), json!({}));
    }

    #[test]
    fn what_is_neither_is_refused_with_its_place() {
        for (name, text, expected) in [
            ("p.toml", "confirm = yes", "line 1"),
            ("p.json", "[]", "an object"),
            ("p.json", "{\"a\":", "line 1"),
            ("p.json", "", "line 1"),
            ("p.toml", &"#".repeat(POLICY_BYTES_MAX + 1), "more than"),
        ] {
            let why = read_text(name, text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
        assert!(read(Path::new("/nonexistent")).is_err());
    }

    #[test]
    fn a_policy_is_told_in_words() {
        let policy = json!({"window": {"minimum": "72h", "may_end_early": true},
            "must_be_suspended": true, "not_used_within": "30d", "destroys_per_hour": 3,
            "confirm": true, "approvals": {"required": 2, "lifetime": "7d"},
            "dependants": "cascade", "refuse_reimport": true});
        let told = words(&policy);
        assert_eq!(told.len(), 8, "{told:?}");
        assert_eq!(told[0], "waits at least 72h; the wait may end early");
        assert_eq!(told[5], "2 others agree, within 7d");
        assert!(words(&json!({"window": null, "confirm": false})).is_empty());
    }
}
