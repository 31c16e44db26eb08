//! Pages while keys come and go, and the bound of a page.

use std::collections::BTreeMap;

use lethe_crypto::registry::Algorithm;
use lethe_types::limits::LIST_ENTRIES_MAX;
use lethe_types::{KeyId, PrincipalId};

use super::super::{Catalogue, KeyFilter, Position, StateFilter};
use super::support::{REALM, Seeded, destroyed, entries, publish, record, vault};
use crate::record::KeyRecord;

fn filters() -> Vec<KeyFilter> {
    let none = KeyFilter::default();
    let label = |value: Option<&str>| {
        let label = ("env".parse().unwrap(), value.map(|value| value.parse().unwrap()));
        KeyFilter { labels: vec![label], ..KeyFilter::default() }
    };
    let mut filters = vec![
        none.clone(),
        KeyFilter { vault: Some(vault(1)), ..none.clone() },
        KeyFilter { name: Some("key 3".to_owned()), ..none.clone() },
        KeyFilter { name_prefix: Some("key".to_owned()), ..none },
        label(Some("1")),
        label(None),
    ];
    let also_destroyed =
        filters.iter().map(|filter| KeyFilter { destroyed: true, ..filter.clone() });
    filters.extend(also_destroyed.collect::<Vec<_>>());
    filters
}

fn new_key(random: &mut Seeded, now: u64) -> KeyRecord {
    let name = format!("key {}", random.below(6));
    let mut new = record(KeyId(random.id()), now, &name);
    let value = random.below(3).to_string();
    new.details_mut().labels.insert("env".parse().unwrap(), value.parse().unwrap());
    new
}

/// One seed: all pages of every filter; before each page some keys are made and some destroyed.
fn check_pages(seed: u64) {
    let mut random = Seeded(seed);
    for filter in filters() {
        let catalogue = Catalogue::default();
        let mut keys: BTreeMap<KeyId, KeyRecord> = BTreeMap::new();
        for now in 100..160 {
            let new = new_key(&mut random, now);
            keys.insert(new.id, new.clone());
            publish(&catalogue, new);
        }
        let mut stays = keys.clone();
        stays.retain(|_, record| filter.shows(record));
        let (mut seen, mut after, mut now) = (BTreeMap::<KeyId, u32>::new(), None, 160);
        let limit = random.below(9) + 1;
        loop {
            let found = catalogue.search(REALM, &filter, after, limit, |_| true).unwrap();
            for entry in &found.keys {
                *seen.entry(entry.record().id).or_default() += 1;
            }
            after = found.next;
            if after.is_none() {
                break;
            }
            now += 1;
            if random.one_in(2) {
                publish(&catalogue, new_key(&mut random, now - 30));
            }
            let victim = keys.keys().copied().nth(random.below(keys.len())).unwrap();
            let gone = destroyed(&keys[&victim], now, PrincipalId([1; 16]));
            if !filter.destroyed {
                stays.remove(&victim);
            }
            publish(&catalogue, gone.clone());
            keys.insert(victim, gone);
            keys.retain(|_, record| !record.state.is_destroyed());
            if keys.is_empty() {
                break;
            }
        }
        if after.is_none() {
            for key in stays.keys() {
                assert_eq!(seen.get(key), Some(&1), "seed {seed} {filter:?} {key}");
            }
        }
        assert!(seen.values().all(|&times| times == 1), "seed {seed} {filter:?}: twice");
    }
}

#[test]
fn no_key_is_lost_or_doubled_while_keys_come_and_go() {
    (0..30).for_each(check_pages);
}

#[test]
fn a_page_looks_at_a_bounded_number_of_entries() {
    let count = LIST_ENTRIES_MAX + 2;
    let mut random = Seeded(1);
    let mut records: Vec<KeyRecord> = (0..u64::try_from(count).unwrap())
        .map(|created| record(KeyId(random.id()), created, "many"))
        .collect();
    records[count - 1].algorithm = Algorithm::from_name("ed25519").unwrap();
    let wanted = records[count - 1].id;
    let catalogue = Catalogue::default();
    assert!(catalogue.load_keys(entries(records)));
    let filter =
        KeyFilter { algorithm: Algorithm::from_name("ed25519").ok(), ..Default::default() };
    let looked_at = std::cell::Cell::new(0);
    let first = catalogue.search(REALM, &filter, None, 10, |_| true).unwrap();
    assert!(first.keys.is_empty());
    assert!(first.next.is_some());
    let second = catalogue.search(REALM, &filter, first.next, 10, |_| true).unwrap();
    assert_eq!(second.keys.iter().map(|key| key.record().id).collect::<Vec<_>>(), [wanted]);
    assert!(second.next.is_none());
    let all = KeyFilter::default();
    let nobody = catalogue.search(REALM, &all, None, 10, |_| {
        looked_at.set(looked_at.get() + 1);
        false
    });
    assert!(nobody.unwrap().next.is_some());
    assert_eq!(looked_at.get(), LIST_ENTRIES_MAX);
}

#[test]
fn an_index_serves_what_it_can() {
    // The wanted keys are the last of more than a page may look at.
    let count = LIST_ENTRIES_MAX + 50;
    let mut random = Seeded(2);
    let mut records: Vec<KeyRecord> = (0..u64::try_from(count).unwrap())
        .map(|created| record(KeyId(random.id()), created, "many"))
        .collect();
    let parent = records[0].id;
    for record in &mut records[count - 3..] {
        record.name = "rare name".parse().unwrap();
        record.vault = vault(2);
        let details = record.details_mut();
        details.labels.insert("rare".parse().unwrap(), "yes".parse().unwrap());
        details.derivation =
            Some(crate::record::Derivation { parent, path: "m/0".into(), depends: false });
        let due = lethe_types::UnixMillis(5);
        let return_to = lethe_types::StableState::Active;
        record.state = lethe_types::KeyState::PendingDestruction { due, return_to };
    }
    let catalogue = Catalogue::default();
    assert!(catalogue.load_keys(entries(records)));
    let none = KeyFilter::default();
    let rare = "rare".parse().unwrap();
    for filter in [
        KeyFilter { vault: Some(vault(2)), ..none.clone() },
        KeyFilter { name: Some("rare name".to_owned()), ..none.clone() },
        KeyFilter { name_prefix: Some("rare".to_owned()), ..none.clone() },
        KeyFilter { labels: vec![(rare, Some("yes".parse().unwrap()))], ..none.clone() },
        KeyFilter { labels: vec![("rare".parse().unwrap(), None)], ..none.clone() },
        KeyFilter { state: Some(StateFilter::PendingDestruction), ..none.clone() },
        KeyFilter { derived_from: Some(parent), ..none.clone() },
    ] {
        let found = catalogue.search(REALM, &filter, None, 10, |_| true).unwrap();
        assert_eq!(found.keys.len(), 3, "{filter:?}");
        assert!(found.next.is_none(), "{filter:?}");
    }
}

#[test]
fn positions_come_back_and_others_are_refused() {
    let catalogue = Catalogue::default();
    let mut random = Seeded(3);
    for now in 0..5 {
        publish(&catalogue, record(KeyId(random.id()), now, "näme"));
    }
    let filter = KeyFilter { name_prefix: Some("n".to_owned()), ..KeyFilter::default() };
    let found = catalogue.search(REALM, &filter, None, 2, |_| true).unwrap();
    let position = found.next.unwrap();
    let bytes = position.to_bytes();
    assert_eq!(Position::parse(&bytes), Some(position.clone()));
    for length in 0..25 {
        assert_eq!(Position::parse(&bytes[..length]), None, "{length}");
    }
    let mut bad = bytes.clone();
    *bad.last_mut().unwrap() = 255;
    assert_eq!(Position::parse(&bad), None);
    let mut unknown = bytes;
    unknown[0] = 99;
    let unknown = Position::parse(&unknown);
    assert!(catalogue.search(REALM, &filter, unknown, 2, |_| true).is_none());
}

#[test]
fn filters_have_bytes_of_their_own() {
    let mut all: Vec<Vec<u8>> = filters().iter().map(|filter| filter.to_bytes(REALM)).collect();
    all.extend(filters().iter().map(|filter| filter.to_bytes(lethe_types::RealmId([2; 16]))));
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn states_have_one_text() {
    for &state in StateFilter::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
    for bad in ["", "Active", "active ", "pending", "dead", "pre-active"] {
        assert!(bad.parse::<StateFilter>().is_err(), "{bad}");
    }
    let told = super::super::UnknownState.to_string();
    assert!(told.starts_with("must be one of pre_active, active, "), "{told}");
}
