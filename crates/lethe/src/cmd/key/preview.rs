//! `lethe key preview`: what a destruction would break, what stands in its way, and what helps.

use lethe_types::KeyId;
use serde_json::Value;

use super::details::{hold_text, items};
use super::path;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Output, member, printable, thousands};

/// Dependants, principals and secrets that are listed before the rest is only counted.
const LISTED_MAX: usize = 8;
/// Columns before what is told.
const INDENT: &str = "  ";

pub(super) fn run(client: &Client, id: KeyId, output: &mut Output) -> Result<(), Failure> {
    let preview = client.get(&format!("{}/destruction-preview", path(id)))?.json()?;
    if output.is_json() {
        return output.json(&preview);
    }
    // Whoever may destroy a key need not be allowed to read it.
    let key = client.get(&path(id)).and_then(|answer| answer.json()).unwrap_or_default();
    told(id, &preview, &key).iter().try_for_each(|line| output.line(&printable(line)))
}

fn told(id: KeyId, preview: &Value, key: &Value) -> Vec<String> {
    let name = member(key, "name");
    let title = match name.as_str() {
        "" => format!("Key {id}"),
        name => {
            format!("Key {id} ({name}, {}), {}", member(key, "algorithm"), member(key, "state"))
        }
    };
    let mut lines = vec![title, verdict(preview), String::new()];
    let refusals: Vec<&Value> = items(preview, "refusals").collect();
    if !refusals.is_empty() {
        lines.push("What stands in the way".to_owned());
        // With one hold it can be named; with several each has to be lifted.
        let holds: Vec<String> = items(preview, "holds").map(|hold| member(hold, "id")).collect();
        let hold = if let [only] = holds.as_slice() { only } else { "HOLD" };
        for refusal in refusals {
            lines.extend(refusal_lines(id, hold, refusal));
        }
        lines.push(String::new());
    }
    lines.push("What a destruction would break".to_owned());
    lines.extend(aligned(&consequences(preview)));
    let asked: Vec<String> = items(preview, "approvals").map(approval_text).collect();
    if !asked.is_empty() {
        lines.push(String::new());
        lines.push("Requests for approval".to_owned());
        lines.extend(asked.iter().map(|text| format!("{INDENT}{text}")));
    }
    lines
}

fn verdict(preview: &Value) -> String {
    let due = member(preview, "due");
    match member(preview, "verdict").as_str() {
        "destroy" => "A destruction would be carried out at once, and for good.".to_owned(),
        "schedule" => format!("A destruction would wait until {due}; it can be cancelled before."),
        "refused" => "A destruction would be refused.".to_owned(),
        other => format!("The server's verdict is `{other}`."),
    }
}

/// The rule, why it refuses, and what satisfies it.
fn refusal_lines(id: KeyId, hold: &str, refusal: &Value) -> Vec<String> {
    let rule = member(refusal, "rule");
    let mut lines = vec![
        format!("{INDENT}{rule}: {}", member(refusal, "detail")),
        format!("{INDENT}  to go on: {}", member(refusal, "remedy")),
    ];
    lines.extend(command(&rule, id, hold).map(|command| format!("{INDENT}  as in:    {command}")));
    lines
}

/// The call that satisfies a rule, where one does.
fn command(rule: &str, id: KeyId, hold: &str) -> Option<String> {
    let text = match rule {
        "already_pending" | "window_running" => format!("lethe key cancel-destruction {id}"),
        "held" => format!("lethe key unhold {id} {hold}"),
        "protected" => format!("lethe key update {id} --unprotect"),
        "window_missing" | "window_too_long" | "window_too_short" => {
            format!("lethe key destroy {id} --window TIME")
        }
        "must_be_suspended" => format!("lethe key suspend {id}"),
        "not_confirmed" => format!("lethe key destroy {id} --confirm {id}"),
        "approvals_missing" | "approval_unusable" => {
            format!("lethe approval request {id} --reason WHY")
        }
        "has_dependants" => format!("lethe key list --derived-from {id}"),
        "permission_denied" => "lethe principal update ID --grant …".to_owned(),
        "object_destroyed" => format!("lethe key receipt {id}"),
        _ => return None,
    };
    Some(text)
}

fn consequences(preview: &Value) -> Vec<(&'static str, String)> {
    let number = |name: &str| preview.get(name).and_then(Value::as_u64).unwrap_or_default();
    let is = |name: &str| preview.get(name).and_then(Value::as_bool) == Some(true);
    let last = member(preview, "last_used");
    let uses = match (number("uses"), last.as_str()) {
        (0, _) => "never used".to_owned(),
        (uses, "") => thousands(uses),
        (uses, last) => match member(preview, "last_used_by").as_str() {
            "" => format!("{}, last {last}", thousands(uses)),
            by => format!("{}, last {last} by principal {by}", thousands(uses)),
        },
    };
    let backups = match member(preview, "backups_until").as_str() {
        "" => "none holds the key".to_owned(),
        until => format!("can bring it back until {until}"),
    };
    let copies = match (is("imported"), is("exported")) {
        (false, false) => "none known",
        (true, false) => "it came from outside: its source may still have it",
        (false, true) => "it was exported: copies may go on outside",
        (true, true) => "it came from outside and was exported: copies may go on outside",
    };
    let total = usize::try_from(number("dependants_total")).unwrap_or(usize::MAX);
    let dependants = list(preview, "dependants", Some(total));
    let mut told = vec![("uses", uses)];
    told.push(("keys derived from it", dependants));
    told.push(("principals that go", list(preview, "principals", None)));
    told.push(("secrets that go", list(preview, "secrets", None)));
    told.push(("backups", backups));
    told.push(("copies outside", copies.to_owned()));
    for (index, hold) in items(preview, "holds").enumerate() {
        told.push((if index == 0 { "holds" } else { "" }, hold_text(hold)));
    }
    match number("approvals_required") {
        0 => {}
        required => told.push(("approvals needed", required.to_string())),
    }
    told
}

/// `none`, or the first ones and how many more there are.
fn list(preview: &Value, name: &str, total: Option<usize>) -> String {
    let all: Vec<String> = items(preview, name)
        .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
        .collect();
    let total = total.unwrap_or(all.len()).max(all.len());
    if total == 0 {
        return "none".to_owned();
    }
    let first = all.iter().take(LISTED_MAX).cloned().collect::<Vec<_>>().join(", ");
    match total.saturating_sub(all.len().min(LISTED_MAX)) {
        0 => first,
        more => format!("{first} and {} more", thousands(u64::try_from(more).unwrap_or(u64::MAX))),
    }
}

fn approval_text(request: &Value) -> String {
    let agreed = items(request, "approvals").count();
    let [id, state, expires, reason] =
        ["id", "state", "expires", "reason"].map(|name| member(request, name));
    format!("{id}  {state}, {agreed} agreed, until {expires}: {reason}")
}

fn aligned(fields: &[(&str, String)]) -> Vec<String> {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    fields.iter().map(|(name, text)| format!("{INDENT}{name:width$}  {text}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn lines(preview: &Value) -> String {
        told(ID.parse().unwrap(), preview, &json!({"name": "n", "algorithm": "a", "state": "s"}))
            .join("\n")
    }

    #[test]
    fn a_refusal_is_told_with_the_call_that_helps() {
        let text = lines(&json!({"verdict": "refused", "refusals": [
            {"rule": "protected", "detail": "key is protected", "remedy": "lower it"},
            {"rule": "new_rule", "detail": "d", "remedy": "r"},
        ]}));
        for expected in [
            "would be refused",
            "  protected: key is protected\n    to go on: lower it\n    as in:    lethe key update \
             0123456789abcdef0123456789abcdef --unprotect",
            "  new_rule: d\n    to go on: r\n\n",
        ] {
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn nothing_that_breaks_is_told_as_such() {
        let text = lines(&json!({"verdict": "destroy", "refusals": [], "uses": 0}));
        for expected in ["at once", "never used", "keys derived from it  none", "none known"] {
            assert!(text.contains(expected), "{text}");
        }
        assert!(!text.contains("stands in the way") && !text.contains("Requests"), "{text}");
        assert!(lines(&json!({})).contains("verdict"));
    }

    #[test]
    fn what_breaks_is_listed_and_the_rest_counted() {
        let dependants: Vec<String> = (0..10).map(|number| format!("k{number}")).collect();
        let text = lines(&json!({
            "verdict": "schedule", "due": "d", "uses": 1234, "last_used": "t",
            "last_used_by": "p", "dependants": dependants, "dependants_total": 5000,
            "principals": ["p1"], "secrets": [], "backups_until": "b", "imported": true,
            "holds": [{"id": "h", "kind": "legal", "reason": "r"}], "approvals_required": 2,
            "approvals": [{"id": "q", "state": "open", "approvals": [{}], "expires": "e",
                "reason": "w"}],
        }));
        for expected in [
            "wait until d",
            "1,234, last t by principal p",
            "k0, k1, k2, k3, k4, k5, k6, k7 and 4,992 more",
            "principals that go    p1",
            "can bring it back until b",
            "its source may still",
            "h  legal: r",
            "approvals needed      2",
            "  q  open, 1 agreed, until e: w",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
