//! What stands with a key beside its name and state: labels, holds, what waits, what happened.

use serde_json::Value;

use crate::output::member;

/// The fields of a key that most keys have not; a name that is empty goes on with the one before.
pub(super) fn fields(key: &Value) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let mut all = |name: &'static str, texts: Vec<String>| {
        for (index, text) in texts.into_iter().enumerate() {
            fields.push((if index == 0 { name } else { "" }, text));
        }
    };
    all("labels", labels(key));
    if key.get("protected").and_then(Value::as_bool) == Some(true) {
        all("protected", vec!["every destruction is refused".to_owned()]);
    }
    all("holds", items(key, "holds").map(hold_text).collect());
    all("may be used to", allowed_uses(key).into_iter().collect());
    all("versions destroyed", destroyed_versions(key).into_iter().collect());
    all("rotation", rotation(key).into_iter().collect());
    all("minimum versions", minimums(key).into_iter().collect());
    all("derived from", derived_from(key).into_iter().collect());
    all("aliases", items(key, "aliases").map(alias_text).collect());
    if !member(key, "due").is_empty() {
        all("destruction", waiting(key));
    }
    all("history", items(key, "history").map(change_text).collect());
    fields
}

/// The members of an array; none if it is not there.
pub(super) fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Labels as `name=value`.
pub(crate) fn labels(value: &Value) -> Vec<String> {
    let labels = value.get("labels").and_then(Value::as_object).into_iter().flatten();
    labels.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect()
}

/// A hold on a line.
pub(super) fn hold_text(hold: &Value) -> String {
    let until = match member(hold, "expires").as_str() {
        "" => String::new(),
        time => format!(", until {time}"),
    };
    let [id, kind, reason] = ["id", "kind", "reason"].map(|name| member(hold, name));
    let [placed, by] = ["placed", "by"].map(|name| member(hold, name));
    format!("{id}  {kind}: {reason} (placed {placed} by principal {by}{until})")
}

/// The uses; nothing where the server does not tell them.
fn allowed_uses(key: &Value) -> Option<String> {
    let uses: Vec<&str> = items(key, "allowed_uses").filter_map(Value::as_str).collect();
    (!uses.is_empty()).then(|| uses.join(", "))
}

fn destroyed_versions(key: &Value) -> Option<String> {
    let numbers: Vec<String> =
        items(key, "destroyed_versions").map(|version| member(version, "version")).collect();
    (!numbers.is_empty()).then(|| numbers.join(", "))
}

fn rotation(key: &Value) -> Option<String> {
    let rotation = key.get("rotation").filter(|rotation| rotation.is_object())?;
    Some(format!("every {}, next {}", member(rotation, "period"), member(rotation, "next")))
}

fn minimums(key: &Value) -> Option<String> {
    let number = |name: &str| key.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (protect, process) = (number("protect_from_version"), number("process_from_version"));
    (protect + process > 0).then(|| format!("{protect} to protect, {process} to open or check"))
}

fn derived_from(key: &Value) -> Option<String> {
    let from = key.get("derived_from").filter(|from| from.is_object())?;
    Some(format!("key {}, path {}", member(from, "key"), member(from, "path")))
}

fn alias_text(alias: &Value) -> String {
    format!("{} (door {})", member(alias, "text"), member(alias, "door"))
}

fn waiting(key: &Value) -> Vec<String> {
    let mut lines = vec![format!("due {}", member(key, "due"))];
    let [by, reason] = ["scheduled_by", "scheduled_reason"].map(|name| member(key, name));
    if !by.is_empty() {
        lines.push(format!("scheduled by principal {by}"));
    }
    if !reason.is_empty() {
        lines.push(format!("reason: {reason}"));
    }
    lines.push(format!("to stop it: lethe key cancel-destruction {}", member(key, "id")));
    lines
}

fn change_text(change: &Value) -> String {
    let [at, transition, by] = ["at", "transition", "by"].map(|name| member(change, name));
    format!("{at}  {transition:20}  principal {by}, door {}", member(change, "door"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plain_key_has_none() {
        let key = json!({"id": "1", "labels": {}, "protected": false, "holds": [],
            "aliases": [], "history": [], "derived_from": null});
        assert!(fields(&key).is_empty());
        assert!(fields(&json!({"id": "1"})).is_empty());
    }

    #[test]
    fn what_there_is_is_told_a_line_each() {
        let key = json!({
            "id": "1", "labels": {"a": "x", "b": ""}, "protected": true,
            "holds": [{"id": "h", "kind": "legal", "reason": "case 7", "placed": "t", "by": "p",
                "expires": "e"}],
            "due": "d", "scheduled_by": "p", "scheduled_reason": "why",
            "derived_from": {"key": "k", "path": "m/0"},
            "allowed_uses": ["encrypt", "decrypt"], "destroyed_versions": [{"version": 2}],
            "rotation": {"period": "90d", "next": "n"}, "process_from_version": 3,
            "history": [{"transition": "suspend", "at": "t", "by": "p", "door": "native"}],
        });
        let told = fields(&key);
        let expected = [
            ("labels", "a=x"),
            ("", "b="),
            ("protected", "every destruction is refused"),
            ("holds", "h  legal: case 7 (placed t by principal p, until e)"),
            ("may be used to", "encrypt, decrypt"),
            ("versions destroyed", "2"),
            ("rotation", "every 90d, next n"),
            ("minimum versions", "0 to protect, 3 to open or check"),
            ("derived from", "key k, path m/0"),
            ("destruction", "due d"),
            ("", "scheduled by principal p"),
            ("", "reason: why"),
            ("", "to stop it: lethe key cancel-destruction 1"),
            ("history", "t  suspend               principal p, door native"),
        ];
        assert_eq!(told, expected.map(|(name, text)| (name, text.to_owned())));
    }
}
