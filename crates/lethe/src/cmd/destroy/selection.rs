//! Which keys a bulk destruction is about: in the words of the request, and counted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lethe_types::KeyId;
use serde_json::{Map, Value, json};

use crate::arguments::{LabelChoice, choices_object};
use crate::client::{Client, query_value};
use crate::cmd::vault;
use crate::failure::Failure;
use crate::files::read_input;
use crate::output::member;

/// Largest file of ids, in bytes: what the server takes in one request.
const LIST_BYTES_MAX: usize = 36_000_000;
/// Keys that are asked for at a time when they are counted.
const PAGE_KEYS: usize = 1_000;

/// Which keys.
#[derive(Debug)]
pub(super) struct Selection {
    vault: Option<String>,
    labels: Vec<LabelChoice>,
    label_members: Map<String, Value>,
    /// The keys, once they are known.
    keys: Option<Vec<String>>,
    is_list: bool,
}

impl Selection {
    /// What the command line says.
    ///
    /// # Errors
    /// [`Failure::Failed`] if the vault is unknown or the file is not a list of ids.
    pub(super) fn of(
        client: &Client,
        vault: Option<&str>,
        labels: Vec<LabelChoice>,
        list: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let vault = vault.map(|vault| vault::resolve(client, vault)).transpose()?;
        let label_members = choices_object(&labels).map_err(Failure::Usage)?;
        let is_list = list.is_some();
        let keys = list.as_deref().map(read_list).transpose()?;
        Ok(Self { vault, labels, label_members, keys, is_list })
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        if self.is_list {
            words.push("those of the list".to_owned());
        }
        words.extend(self.labels.iter().map(|label| format!("label {}", label.text())));
        words.extend(self.vault.as_deref().map(|vault| format!("vault {vault}")));
        words.join(", ")
    }

    /// For the server.
    pub(super) fn request(&self) -> Value {
        let mut request = Map::new();
        if let (true, Some(keys)) = (self.is_list, &self.keys) {
            request.insert("keys".to_owned(), json!(keys));
        }
        if !self.label_members.is_empty() {
            request.insert("labels".to_owned(), Value::Object(self.label_members.clone()));
        }
        if let Some(vault) = &self.vault {
            request.insert("vault".to_owned(), json!(vault));
        }
        Value::Object(request)
    }

    /// How many keys there are, if they are known.
    pub(super) fn known(&self) -> Option<u64> {
        self.keys.as_ref().and_then(|keys| u64::try_from(keys.len()).ok())
    }

    /// Finds out which keys there are.
    ///
    /// # Errors
    /// Those of listing keys.
    pub(super) fn count(&mut self, client: &Client) -> Result<(), Failure> {
        if self.keys.is_some() {
            return Ok(());
        }
        let mut query = format!("/v1/keys?view=names&limit={PAGE_KEYS}");
        if let Some(vault) = &self.vault {
            query.push_str(&format!("&vault={vault}"));
        }
        for label in &self.labels {
            query.push_str(&format!("&label={}", query_value(&label.text())));
        }
        let mut keys = Vec::new();
        let mut page = client.get(&query)?.json()?;
        loop {
            let found = page.get("keys").and_then(Value::as_array).into_iter().flatten();
            keys.extend(found.map(|key| member(key, "id")));
            let next = member(&page, "next");
            if next.is_empty() {
                break;
            }
            page = client.get(&format!("{query}&cursor={}", query_value(&next)))?.json()?;
        }
        self.keys = Some(keys);
        Ok(())
    }

    /// The keys, as far as they are known.
    pub(super) fn into_keys(self) -> Vec<String> {
        self.keys.unwrap_or_default()
    }
}

/// The ids in a file, each once.
fn read_list(path: &Path) -> Result<Vec<String>, Failure> {
    let bytes = read_input(path, LIST_BYTES_MAX)?;
    let wrong = |why: String| Failure::Failed(format!("`{}`: {why}", path.display()));
    let text = core::str::from_utf8(bytes.expose()).map_err(|error| wrong(error.to_string()))?;
    let mut seen = BTreeSet::new();
    let mut keys = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let key: KeyId = line.parse().map_err(|error| wrong(format!("line {number}: {error}")))?;
        if seen.insert(key) {
            keys.push(line.to_owned());
        }
    }
    if keys.is_empty() { Err(wrong("it holds no id of a key".to_owned())) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::Scratch;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "1123456789abcdef0123456789abcdef";

    fn read(text: &str) -> Result<Vec<String>, String> {
        let scratch = Scratch::new(None).unwrap();
        let path = scratch.path().join("list");
        std::fs::write(&path, text).unwrap();
        read_list(&path).map_err(|failure| failure.text().unwrap())
    }

    #[test]
    fn a_list_has_an_id_a_line_and_each_counts_once() {
        assert_eq!(read(&format!("{ONE}\n\n {TWO}\r\n{ONE}")).unwrap(), [ONE, TWO]);
        for (text, expected) in [
            ("", "no id"),
            ("\n\n", "no id"),
            ("x", "line 1: "),
            (&format!("{ONE}\n{ONE} {TWO}"), "line 2: "),
            (&ONE.to_uppercase(), "line 1: "),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }

    #[test]
    fn a_selection_becomes_the_request() {
        let select = |vault: Option<&str>, labels: &[&str], keys: Option<&[&str]>| {
            let labels: Vec<LabelChoice> =
                labels.iter().map(|label| label.parse().unwrap()).collect();
            Selection {
                vault: vault.map(str::to_owned),
                label_members: choices_object(&labels).unwrap(),
                labels,
                keys: keys.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect()),
                is_list: keys.is_some(),
            }
        };
        let list = select(None, &[], Some(&[ONE]));
        assert_eq!(list.request(), json!({"keys": [ONE]}));
        assert_eq!((list.known(), list.words().as_str()), (Some(1), "those of the list"));
        assert_eq!(select(Some("v"), &[], None).request(), json!({"vault": "v"}));
        let both = select(Some("v"), &["a", "b=1"], None);
        assert_eq!(both.request(), json!({"labels": {"a": null, "b": "1"}, "vault": "v"}));
        assert_eq!((both.known(), both.words().as_str()), (None, "label a, label b=1, vault v"));
        let mut counted = select(Some("v"), &[], None);
        counted.keys = Some(vec![ONE.to_owned()]);
        assert_eq!(counted.request(), json!({"vault": "v"}), "the server makes its own list");
    }
}
