//! Bodies: closed JSON objects in, and the one canonical text by which two of them are compared.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Number, Value};

use crate::error::Refusal;

/// The members of an object that were not taken yet. What is left at the end is unknown, and
/// refused.
#[derive(Debug)]
pub(crate) struct Members {
    /// Where the object is, as in `deriveFrom.`; empty for the body itself.
    at: String,
    map: Map<String, Value>,
}

impl Members {
    /// Those of a body; an empty body has none.
    ///
    /// # Errors
    /// 400 for what is not one JSON object.
    pub(crate) fn of_body(body: &[u8]) -> Result<Self, Refusal> {
        if body.trim_ascii().is_empty() {
            return Ok(Self { at: String::new(), map: Map::new() });
        }
        let value: Value = serde_json::from_slice(body)
            .map_err(|_| Refusal::bad("the request body is not valid JSON"))?;
        match value {
            Value::Object(map) => Ok(Self { at: String::new(), map }),
            Value::Array(_)
            | Value::Bool(_)
            | Value::Null
            | Value::Number(_)
            | Value::String(_) => Err(Refusal::bad("the request body must be a JSON object")),
        }
    }

    pub(crate) fn of_map(at: &str, map: Map<String, Value>) -> Self {
        Self { at: format!("{at}."), map }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The refusal of a member.
    pub(crate) fn refuse(&self, name: &str, why: &str) -> Refusal {
        Refusal::field(&format!("{}{name}", self.at), why)
    }

    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name)
    }

    /// Any value that is needed.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn needed_value(&mut self, name: &str) -> Result<Value, Refusal> {
        self.map.remove(name).ok_or_else(|| self.refuse(name, "is required"))
    }

    /// A text, if it is there. `null` is no text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.refuse(name, "must be a string")),
        }
    }

    pub(crate) fn needed_text(&mut self, name: &str) -> Result<String, Refusal> {
        self.text(name)?.ok_or_else(|| self.refuse(name, "is required"))
    }

    /// A text of that many characters, if it is there.
    pub(crate) fn sized_text(
        &mut self,
        name: &str,
        least: usize,
        most: usize,
    ) -> Result<Option<String>, Refusal> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if (least..=most).contains(&text.chars().count()) {
            return Ok(Some(text));
        }
        Err(self.refuse(name, &format!("must have {least} to {most} characters")))
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.refuse(name, "must be a boolean")),
        }
    }

    /// A whole number from `least` to `most`, if it is there.
    pub(crate) fn integer(
        &mut self,
        name: &str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.map.remove(name) else { return Ok(None) };
        let found = value.as_u64().filter(|number| (least..=most).contains(number));
        let why = format!("must be an integer from {least} to {most}");
        found.map(Some).ok_or_else(|| self.refuse(name, &why))
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>, Refusal> {
        match self.map.remove(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self::of_map(&format!("{}{name}", self.at), map))),
            Some(_) => Err(self.refuse(name, "must be an object")),
        }
    }

    pub(crate) fn needed_object(&mut self, name: &str) -> Result<Self, Refusal> {
        self.object(name)?.ok_or_else(|| self.refuse(name, "is required"))
    }

    pub(crate) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let refused = || self.refuse(name, "must be an array of strings");
        let Some(value) = self.map.get(name) else { return Ok(None) };
        let all = value.as_array().ok_or_else(refused)?;
        let texts: Option<Vec<String>> =
            all.iter().map(|one| one.as_str().map(str::to_owned)).collect();
        let texts = texts.ok_or_else(refused)?;
        self.map.remove(name);
        Ok(Some(texts))
    }

    /// That nothing is left.
    ///
    /// # Errors
    /// 400 naming what is.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.refuse(name, "is not a known property")),
        }
    }
}

/// The canonical text of a JSON text: members in the order of their names, no white space, numbers
/// by their value. Nothing, white space and `{}` are all nothing.
///
/// # Errors
/// 400 for a text that is neither empty nor JSON.
pub(crate) fn canonical(text: &[u8]) -> Result<String, Refusal> {
    if text.trim_ascii().is_empty() {
        return Ok(String::new());
    }
    let value: Value = serde_json::from_slice(text)
        .map_err(|_| Refusal::told(StatusCode::BAD_REQUEST, "the payload is not valid JSON"))?;
    let value = by_value(value);
    match value.as_object() {
        Some(map) if map.is_empty() => Ok(String::new()),
        Some(_) | None => Ok(value.to_string()),
    }
}

/// The value with whole numbers as integers and members in the order of their names.
fn by_value(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(whole(number)),
        Value::Array(all) => Value::Array(all.into_iter().map(by_value).collect()),
        Value::Object(map) => {
            // By name, whatever order a map of the library is in.
            let sorted: BTreeMap<String, Value> = map.into_iter().collect();
            Value::Object(sorted.into_iter().map(|(name, one)| (name, by_value(one))).collect())
        }
        other @ (Value::Bool(_) | Value::Null | Value::String(_)) => other,
    }
}

/// Beyond this a number with a fraction is not exact.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

fn whole(number: Number) -> Number {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number };
    if float.fract() != 0.0 || float.abs() > EXACT_MAX {
        return number;
    }
    // Written without a fraction, it is read as an integer.
    let text = format!("{float:.0}");
    let text = if text == "-0" { "0" } else { &text };
    text.parse::<i64>().map_or(number, Number::from)
}
