//! What doors keep with a record, where there may be millions of records: one allocation for all
//! names and values' places, none if there is nothing. A map of the standard library takes some
//! 400 bytes for its first entry.

use std::collections::BTreeMap;

/// Values by name, in the order of the names. A record has few; a change copies all places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(Box<[Attribute]>);

/// A name and its value.
type Attribute = (Box<str>, Box<[u8]>);

impl Attributes {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.place(name).ok().map(|place| &*self.0[place].1)
    }

    /// Whether there is a value of that name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Sets a value; the one before.
    pub fn insert(&mut self, name: Box<str>, value: Box<[u8]>) -> Option<Box<[u8]>> {
        match self.place(&name) {
            Ok(place) => Some(std::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                let mut all = std::mem::take(&mut self.0).into_vec();
                all.reserve_exact(1);
                all.insert(place, (name, value));
                self.0 = all.into();
                None
            }
        }
    }

    /// Takes a value away.
    pub fn remove(&mut self, name: &str) -> Option<Box<[u8]>> {
        let place = self.place(name).ok()?;
        let mut all = std::mem::take(&mut self.0).into_vec();
        let (_, value) = all.remove(place);
        self.0 = all.into();
        Some(value)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Box<str>, &Box<[u8]>)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }
}

impl From<BTreeMap<Box<str>, Box<[u8]>>> for Attributes {
    fn from(map: BTreeMap<Box<str>, Box<[u8]>>) -> Self {
        Self(map.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_those_of_a_map() {
        let (mut ours, mut map) = (Attributes::new(), BTreeMap::new());
        let steps: [(&str, Option<u8>); 9] = [
            ("b", Some(1)),
            ("a", Some(2)),
            ("c", Some(3)),
            ("b", Some(4)),
            ("x", None),
            ("a", None),
            ("", Some(5)),
            ("c", None),
            ("ab", Some(6)),
        ];
        for (name, value) in steps {
            let (mine, other) = match value {
                Some(value) => {
                    let value: Box<[u8]> = [value].into();
                    (ours.insert(name.into(), value.clone()), map.insert(name.into(), value))
                }
                None => (ours.remove(name), map.remove(name)),
            };
            assert_eq!(mine, other, "{name}");
            assert!(ours.iter().eq(&map), "{name}");
            assert_eq!((ours.len(), ours.is_empty()), (map.len(), map.is_empty()));
            for name in ["", "a", "ab", "b", "c", "x"] {
                assert_eq!(ours.get(name), map.get(name).map(|value| &**value), "{name}");
                assert_eq!(ours.contains_key(name), map.contains_key(name), "{name}");
            }
            assert_eq!(Attributes::from(map.clone()), ours);
        }
    }
}
