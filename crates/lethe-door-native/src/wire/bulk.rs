//! Bulk destructions.

use core::fmt;
use std::borrow::Cow;

use lethe_engine::LeftKey;
use lethe_engine::record::JobRecord;
use lethe_types::KeyId;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::body::Map;
use crate::error::Refusal;

/// Which keys are to be destroyed: either `keys`, or `vault`, or `labels` with or without `vault`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartDestruction<'a> {
    /// Ids of keys.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub keys: Option<KeyIds>,
    /// Id of a vault: all its live keys.
    #[schema(value_type = Option<String>)]
    pub vault: Option<Cow<'a, str>>,
    /// All live keys with these labels. `null` stands for any value.
    #[schema(value_type = Option<std::collections::BTreeMap<String, Option<String>>>)]
    pub labels: Option<Map<Option<String>>>,
    /// Why; part of every receipt. At most 1024 bytes.
    #[serde(borrow)]
    #[schema(value_type = String)]
    pub reason: Cow<'a, str>,
    /// So many keys: with another number nothing is done.
    pub expected: Option<u64>,
}

/// A list of ids of keys that may be long: read without a copy of the texts.
#[derive(Debug)]
pub struct KeyIds {
    ids: Vec<KeyId>,
    /// The place of the first text that is no id.
    wrong: Option<usize>,
}

impl KeyIds {
    /// The ids.
    ///
    /// # Errors
    /// [`Refusal::InvalidField`] with the place of what is no id.
    pub(crate) fn into_ids(self) -> Result<Vec<KeyId>, Refusal> {
        match self.wrong {
            None => Ok(self.ids),
            Some(place) => {
                let field = Cow::Owned(format!("keys[{place}]"));
                let why = lethe_types::InvalidId.to_string();
                Err(Refusal::InvalidField { field, why })
            }
        }
    }
}

impl<'de> Deserialize<'de> for KeyIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;
        impl<'de> Visitor<'de> for Ids {
            type Value = KeyIds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of ids of keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<KeyIds, A::Error> {
                let (mut ids, mut wrong) = (Vec::new(), None);
                let mut place = 0;
                while let Some(IdText(id)) = items.next_element()? {
                    match id {
                        Some(id) => ids.push(id),
                        None => wrong = wrong.or(Some(place)),
                    }
                    place += 1;
                }
                Ok(KeyIds { ids, wrong })
            }
        }
        deserializer.deserialize_seq(Ids)
    }
}

/// A text that is the id of a key, or is not.
struct IdText(Option<KeyId>);

impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = IdText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the id of a key as a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<IdText, E> {
                Ok(IdText(text.parse().ok()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A bulk destruction and how far it came.
#[derive(Debug, Serialize, ToSchema)]
pub struct Job {
    /// 32 hexadecimal digits.
    pub id: String,
    /// The selection, in words.
    pub selection: String,
    /// Why, in the requester's words.
    pub reason: String,
    /// `running`, `done`, `cancelled` or `failed`.
    #[schema(example = "running")]
    pub state: &'static str,
    /// Keys that it is about, fixed when it was asked for.
    pub total: u64,
    /// Of these, so many were looked at.
    pub position: u64,
    /// Of these, so many were destroyed by it.
    pub destroyed: u64,
    /// Of these, so many wait for their time, as the policy wants it.
    pub scheduled: u64,
    /// Of these, so many were refused, each with its rule.
    pub refused: u64,
    /// When it was asked for.
    #[schema(format = DateTime)]
    pub created: String,
    /// When it came further last.
    #[schema(format = DateTime)]
    pub changed: String,
    /// Id of the principal that asked for it, and whose permissions count.
    pub by: String,
    /// Why it failed; `null` if it did not.
    #[schema(required)]
    pub failure: Option<String>,
}

impl Job {
    /// The bulk destruction of `record`.
    #[must_use]
    pub fn of(record: &JobRecord) -> Self {
        Self {
            id: record.id.to_string(),
            selection: record.bulk.selection.to_string(),
            reason: record.bulk.reason.to_string(),
            state: record.state.as_str(),
            total: record.total,
            position: record.position,
            destroyed: record.destroyed,
            scheduled: record.scheduled,
            refused: record.refused,
            created: record.created.to_string(),
            changed: record.changed.to_string(),
            by: record.by.to_string(),
            failure: record.failure.as_deref().map(str::to_owned),
        }
    }
}

/// Bulk destructions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Jobs {
    /// The bulk destructions.
    pub destructions: Vec<Job>,
}

/// Keys that a bulk destruction had to leave.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedKeys {
    /// In the order of its list.
    pub refused: Vec<RefusedKey>,
    /// `from` of the next page; `null` after the last. While the destruction runs more may come.
    #[schema(required)]
    pub next: Option<u64>,
}

/// A key that a bulk destruction had to leave.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedKey {
    /// Its place in the list, from 0.
    pub position: u64,
    /// Id of the key.
    pub key: String,
    /// The rule or refusal: the name of a type of problem with `_` for `-`.
    #[schema(example = "held")]
    pub rule: String,
}

impl RefusedKeys {
    /// The first `most` of `left`, which has one more if there is a next page.
    pub(crate) fn of(left: &[LeftKey], most: usize) -> Self {
        let refused = left.iter().take(most).map(|left| RefusedKey {
            position: left.position,
            key: left.key.to_string(),
            rule: left.code.clone(),
        });
        Self { refused: refused.collect(), next: left.get(most).map(|left| left.position) }
    }
}
