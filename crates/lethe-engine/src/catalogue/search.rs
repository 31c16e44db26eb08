//! Pages of keys: from a filter to the index that leaves the fewest to look at, and on from where
//! the last page ended.
//!
//! A page never loses or doubles a key that was there all the time, whatever is added and destroyed
//! meanwhile: both sides of an index are merged by the same order, and a place in that order means
//! the same tomorrow. (A key whose name or label changes between two pages moves in the orders that
//! follow it.)

use std::sync::Arc;

use lethe_types::limits::{LIST_ENTRIES_MAX, SCAN_ENTRIES_MAX};
use lethe_types::{KeyId, LabelName, LabelValue, RealmId, UnixMillis, VaultId};

use super::Catalogue;
use super::entry::KeyEntry;
use super::filter::KeyFilter;
use super::indexes::{Apart, Indexes, Ordinal};
use super::ordered::{Gap, Ordered};
use crate::record::KeyRecord;

/// Fewest entries that are fetched at once.
const PIECE_ENTRIES_MIN: usize = 32;

/// The index that a list walks along, and the part of it.
#[derive(Clone, Copy, Debug)]
enum Walk<'a> {
    /// By age.
    Children(KeyId),
    /// By value and age.
    HasLabel(&'a LabelName),
    /// By age.
    Label(&'a LabelName, &'a LabelValue),
    /// By identifier.
    Name(&'a str),
    /// By age.
    Pending,
    /// By name and identifier.
    Prefix(&'a str),
    /// By age.
    Realm,
    /// By age.
    Vault(VaultId),
}

/// What an index sorts by, in one shape for all of them.
type SortKey<'a> = (Option<KeyId>, &'a str, UnixMillis, KeyId);

/// Where a list goes on. Carries texts of keys that the caller may not be allowed to see: it leaves
/// the engine only sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which of [`KeyFilter::walks`].
    walk: u8,
    text: Box<str>,
    created: UnixMillis,
    key: KeyId,
}

/// Keys that were found, and where to go on if there may be more.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) keys: Vec<Arc<KeyEntry>>,
    pub(crate) next: Option<Position>,
}

impl Position {
    /// `u8 walk | u64 created | 16 key | text`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.walk];
        bytes.extend_from_slice(&self.created.0.to_be_bytes());
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(self.text.as_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[walk], rest) = bytes.split_first_chunk::<1>()?;
        let (created, rest) = rest.split_first_chunk::<8>()?;
        let (key, text) = rest.split_first_chunk::<16>()?;
        Some(Self {
            walk,
            text: core::str::from_utf8(text).ok()?.into(),
            created: UnixMillis(u64::from_be_bytes(*created)),
            key: KeyId(*key),
        })
    }
}

impl KeyFilter {
    /// The walks that find all that the filter shows, numbered; the whole realm is always one.
    fn walks(&self) -> impl Iterator<Item = (u8, Walk<'_>)> {
        let labels = self.labels.iter().map(|(name, value)| match value {
            Some(value) => Walk::Label(name, value),
            None => Walk::HasLabel(name),
        });
        let pending = self.state == Some(super::filter::StateFilter::PendingDestruction);
        let walks = (self.derived_from.map(Walk::Children).into_iter())
            .chain(self.name.as_deref().map(Walk::Name))
            .chain(pending.then_some(Walk::Pending))
            .chain(self.vault.map(Walk::Vault))
            .chain(self.name_prefix.as_deref().map(Walk::Prefix))
            .chain([Walk::Realm])
            .chain(labels);
        (0..).zip(walks)
    }
}

impl<'a> Walk<'a> {
    /// Where the index says nothing about any key.
    fn index<'i>(&self, indexes: &'i Indexes, realm: RealmId) -> Option<&'i Apart> {
        let realm = indexes.realms.get(&realm)?;
        match self {
            Self::Children(_) => Some(&indexes.children),
            Self::HasLabel(name) | Self::Label(name, _) => realm.labels.get(*name),
            Self::Name(_) | Self::Prefix(_) => Some(&realm.names),
            Self::Pending => Some(&realm.pending),
            Self::Realm => Some(&realm.ages),
            Self::Vault(vault) => realm.vaults.get(vault),
        }
    }

    fn sort_key<'i>(&self, indexes: &'i Indexes, key: Ordinal) -> SortKey<'i> {
        let entries = &indexes.entries;
        match self {
            Self::Children(_) => {
                let (parent, (created, id)) = entries.parent(key);
                (parent, "", created, id)
            }
            Self::HasLabel(name) | Self::Label(name, _) => {
                let (value, (created, id)) = entries.label(key, name);
                (None, value, created, id)
            }
            Self::Name(_) | Self::Prefix(_) => {
                let (name, id) = entries.name(key);
                (None, name, UnixMillis(0), id)
            }
            Self::Pending | Self::Realm | Self::Vault(_) => {
                let (created, id) = entries.age(key);
                (None, "", created, id)
            }
        }
    }

    /// The first sort key of the part.
    fn start(&self) -> SortKey<'a> {
        let (parent, text) = match self {
            Self::Children(parent) => (Some(*parent), ""),
            Self::Label(_, value) => (None, value.as_str()),
            Self::Name(text) | Self::Prefix(text) => (None, *text),
            Self::HasLabel(_) | Self::Pending | Self::Realm | Self::Vault(_) => (None, ""),
        };
        (parent, text, UnixMillis(0), KeyId([0; 16]))
    }

    /// Whether a sort key, not before the first one, belongs to the part.
    fn holds(&self, (parent, text, ..): SortKey<'_>) -> bool {
        match self {
            Self::Children(wanted) => parent == Some(*wanted),
            Self::Label(_, value) => text == value.as_str(),
            Self::Name(name) => text == *name,
            Self::Prefix(prefix) => text.starts_with(prefix),
            Self::HasLabel(_) | Self::Pending | Self::Realm | Self::Vault(_) => true,
        }
    }

    fn start_gap(&self, indexes: &Indexes, side: &Ordered<Ordinal>) -> Gap {
        match self {
            // These hold nothing else: no need to look.
            Self::HasLabel(_) | Self::Pending | Self::Realm | Self::Vault(_) => side.gap(|_| false),
            Self::Children(_) | Self::Label(..) | Self::Name(_) | Self::Prefix(_) => {
                let start = self.start();
                side.gap(|key| self.sort_key(indexes, key) < start)
            }
        }
    }

    /// About how many entries there are to look at.
    fn about(&self, indexes: &Indexes, realm: RealmId, (live, destroyed): (bool, bool)) -> usize {
        let Some(index) = self.index(indexes, realm) else { return 0 };
        let side = |side: &Ordered<Ordinal>| {
            if matches!(self, Self::HasLabel(_) | Self::Pending | Self::Realm | Self::Vault(_)) {
                return side.len();
            }
            let start = self.start();
            let end = side.gap(|key| {
                let key = self.sort_key(indexes, key);
                key < start || self.holds(key)
            });
            side.about_between(self.start_gap(indexes, side), end)
        };
        let live = if live { side(&index.live) } else { 0 };
        live + if destroyed { side(&index.destroyed) } else { 0 }
    }

    fn position(&self, number: u8, entry: &KeyEntry) -> Position {
        let record = entry.record();
        let text = match self {
            Self::HasLabel(name) | Self::Label(name, _) => {
                record.details().labels.get(*name).map_or("", |value| value.as_str())
            }
            Self::Name(_) | Self::Prefix(_) => record.name.as_str(),
            Self::Children(_) | Self::Pending | Self::Realm | Self::Vault(_) => "",
        };
        Position { walk: number, text: text.into(), created: record.created, key: record.id }
    }

    /// The next `limit` entries of both sides.
    fn piece(
        &self,
        indexes: &Indexes,
        realm: RealmId,
        (live, destroyed): (bool, bool),
        after: Option<&Position>,
        limit: usize,
    ) -> Vec<Arc<KeyEntry>> {
        let Some(index) = self.index(indexes, realm) else { return Vec::new() };
        let after = after.map(|position| {
            let (parent, ..) = self.start();
            // Names are unique by identifier alone.
            let by_name = matches!(self, Self::Name(_) | Self::Prefix(_));
            let created = if by_name { UnixMillis(0) } else { position.created };
            (parent, &*position.text, created, position.key)
        });
        let start = |side: &Ordered<Ordinal>| match after {
            Some(after) => side.gap(|key| self.sort_key(indexes, key) <= after),
            None => self.start_gap(indexes, side),
        };
        let limits = |wanted: bool| if wanted { limit } else { 0 };
        let (live_max, destroyed_max) = (limits(live), limits(destroyed));
        let mut live = index.live.after(start(&index.live)).take(live_max).peekable();
        let destroyed = index.destroyed.after(start(&index.destroyed));
        let mut destroyed = destroyed.take(destroyed_max).peekable();
        let mut piece = Vec::with_capacity(limit);
        while piece.len() < limit {
            let next = match (live.peek(), destroyed.peek()) {
                (Some(&one), Some(&other)) => {
                    if self.sort_key(indexes, one) < self.sort_key(indexes, other) {
                        live.next()
                    } else {
                        destroyed.next()
                    }
                }
                (Some(_), None) => live.next(),
                (None, _) => destroyed.next(),
            };
            let Some(key) = next.filter(|&key| self.holds(self.sort_key(indexes, key))) else {
                break;
            };
            piece.push(indexes.entries.entry(key).clone());
        }
        piece
    }
}

impl Catalogue {
    /// Calls `look` with every key of the realm, destroyed ones too, in pieces.
    pub(crate) fn visit(&self, realm: RealmId, look: impl Fn(&KeyEntry)) {
        let filter = KeyFilter { destroyed: true, ..KeyFilter::default() };
        let mut after = None;
        loop {
            let found = self.search(realm, &filter, after, 1, |entry| {
                look(entry);
                false
            });
            after = match found {
                Some(Found { next: Some(next), .. }) => Some(next),
                Some(Found { next: None, .. }) | None => return,
            };
        }
    }

    /// Whether another key of the vault has the record's name; a destroyed one counts only if
    /// `destroyed`.
    pub(crate) fn has_other_named(&self, record: &KeyRecord, destroyed: bool) -> bool {
        let filter = KeyFilter {
            vault: Some(record.vault),
            name: Some(record.name.as_str().to_owned()),
            destroyed,
            ..KeyFilter::default()
        };
        let other = |entry: &KeyEntry| entry.record().id != record.id;
        let mut after = None;
        loop {
            match self.search(record.realm, &filter, after, 1, other) {
                Some(found) if !found.keys.is_empty() => return true,
                Some(Found { next: Some(next), .. }) => after = Some(next),
                Some(Found { next: None, .. }) | None => return false,
            }
        }
    }

    /// Up to `limit` keys of `realm` that `filter` shows and `may_see` accepts, after `after`,
    /// which an earlier call with the same filter gave.
    ///
    /// Looks at no more than [`LIST_ENTRIES_MAX`] entries: there may be fewer keys than asked for,
    /// even none, and yet more to come. The end is where there is no position to go on from.
    /// `None` for a position that this filter cannot have given.
    pub(crate) fn search(
        &self,
        realm: RealmId,
        filter: &KeyFilter,
        after: Option<Position>,
        limit: usize,
        may_see: impl Fn(&KeyEntry) -> bool,
    ) -> Option<Found> {
        let sides = filter.sides();
        let (number, walk) = match &after {
            Some(position) => filter.walks().find(|(number, _)| *number == position.walk)?,
            None => {
                let indexes = self.indexes.read();
                filter.walks().min_by_key(|(_, walk)| walk.about(&indexes, realm, sides))?
            }
        };
        let (mut after, mut keys) = (after, Vec::new());
        let mut left = LIST_ENTRIES_MAX;
        let mut piece_entries = limit + 1;
        while left > 0 {
            // In pieces, so that a long list does not hold up who wants to publish.
            let wanted = piece_entries.clamp(PIECE_ENTRIES_MIN, SCAN_ENTRIES_MAX).min(left);
            let piece = walk.piece(&self.indexes.read(), realm, sides, after.as_ref(), wanted);
            let is_last = piece.len() < wanted;
            left -= piece.len();
            let mut seen = None;
            for entry in piece {
                let ours = entry.record().realm == realm;
                if ours && filter.shows(entry.record()) && may_see(&entry) {
                    if keys.len() == limit {
                        let before = seen.as_deref().map(|entry| walk.position(number, entry));
                        return Some(Found { keys, next: before.or(after) });
                    }
                    keys.push(entry.clone());
                }
                seen = Some(entry);
            }
            if is_last {
                return Some(Found { keys, next: None });
            }
            after = seen.map(|entry| walk.position(number, &entry)).or(after);
            piece_entries *= 2;
        }
        Some(Found { keys, next: after })
    }
}
