//! Values that stand in more than one command: lengths of time and labels.

use core::str::FromStr;
use core::time::Duration;

use lethe_server::clock::parse_duration;
use lethe_types::{LabelName, LabelValue};
use serde_json::{Map, Value};

/// A length of time, as in `72h`, `30d` or `1d12h`.
///
/// # Errors
/// The rule that the text breaks.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// A length of time that is not nothing.
///
/// # Errors
/// The rule that the text breaks.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, String> {
    match parse_span(text)? {
        Duration::ZERO => Err("a lifetime is at least 1s".to_owned()),
        lifetime => Ok(lifetime),
    }
}

/// Whole seconds in the largest unit that says them exactly, as in `72h` or `3d`: how the native
/// API writes lengths of time.
pub(crate) fn span_text(span: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let seconds = span.as_secs();
    let exact = UNITS.into_iter().find(|(length, _)| seconds.is_multiple_of(*length));
    match exact {
        Some((length, unit)) if seconds > 0 => format!("{}{unit}", seconds / length),
        _ => format!("{seconds}s"),
    }
}

/// A label with its value.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    name: LabelName,
    value: LabelValue,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("a label is written NAME=VALUE")?;
        Ok(Self { name: label_name(name)?, value: label_value(value)? })
    }
}

/// A label that selects: with any value if none is named.
#[derive(Clone, Debug)]
pub(crate) struct LabelChoice {
    name: LabelName,
    value: Option<LabelValue>,
}

impl FromStr for LabelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None => Ok(Self { name: label_name(text)?, value: None }),
            Some((name, value)) => {
                Ok(Self { name: label_name(name)?, value: Some(label_value(value)?) })
            }
        }
    }
}

impl LabelChoice {
    /// As it was written.
    pub(crate) fn text(&self) -> String {
        match &self.value {
            None => self.name.as_str().to_owned(),
            Some(value) => format!("{}={}", self.name.as_str(), value.as_str()),
        }
    }
}

fn label_name(text: &str) -> Result<LabelName, String> {
    text.parse().map_err(|error| format!("the name of a label: {error}"))
}

fn label_value(text: &str) -> Result<LabelValue, String> {
    text.parse().map_err(|error| format!("the value of a label: {error}"))
}

/// Labels as an object; each name once.
///
/// # Errors
/// The name that is there twice.
pub(crate) fn labels_object(labels: &[Label]) -> Result<Map<String, Value>, String> {
    let pairs = labels.iter().map(|label| (label.name.as_str(), label.value.as_str().into()));
    unique(pairs)
}

/// Labels that select as an object; each name once.
///
/// # Errors
/// The name that is there twice.
pub(crate) fn choices_object(labels: &[LabelChoice]) -> Result<Map<String, Value>, String> {
    let pairs = labels.iter().map(|label| {
        let value = label.value.as_ref().map(|value| Value::from(value.as_str()));
        (label.name.as_str(), value.unwrap_or_default())
    });
    unique(pairs)
}

fn unique<'a>(pairs: impl Iterator<Item = (&'a str, Value)>) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    for (name, value) in pairs {
        if object.insert(name.to_owned(), value).is_some() {
            return Err(format!("--label: `{name}` is given twice"));
        }
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn spans_are_written_in_the_largest_exact_unit() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(span_text(parse_span(text).unwrap()), expected);
        }
        check("72h", "3d");
        check("73h", "73h");
        check("1d12h", "36h");
        check("90m", "90m");
        check("60s", "1m");
        check("61s", "61s");
        check("0s", "0s");
        for wrong in ["", "72", "h", "-1h", "1.5h", "72H", "1h1d", "99999999999999999999d"] {
            parse_span(wrong).unwrap_err();
        }
        assert_eq!(parse_lifetime("0s").unwrap_err(), "a lifetime is at least 1s");
    }

    #[test]
    fn labels_have_a_name_and_a_value_once() {
        let parse = |texts: &[&str]| -> Result<Value, String> {
            let labels =
                texts.iter().map(|text| text.parse()).collect::<Result<Vec<Label>, _>>()?;
            labels_object(&labels).map(Value::Object)
        };
        assert_eq!(parse(&["a=1", "b=x=y"]).unwrap(), json!({"a": "1", "b": "x=y"}));
        assert_eq!(parse(&[]).unwrap(), json!({}));
        for (texts, expected) in [
            (["a=1", "a=2"], "given twice"),
            (["a", "b=1"], "NAME=VALUE"),
            (["=1", "b=1"], "name of a label"),
            (["a=\u{1}", "b=1"], "value of a label"),
        ] {
            let why = parse(&texts).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn choices_may_leave_the_value_open() {
        let choices: Vec<LabelChoice> =
            ["a", "b=1"].iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(Value::Object(choices_object(&choices).unwrap()), json!({"a": null, "b": "1"}));
        assert_eq!(choices.iter().map(LabelChoice::text).collect::<Vec<_>>(), ["a", "b=1"]);
        let twice: Vec<LabelChoice> = ["a", "a=1"].map(|text| text.parse().unwrap()).into();
        choices_object(&twice).unwrap_err();
        "a b\u{1}".parse::<LabelChoice>().unwrap_err();
    }
}
