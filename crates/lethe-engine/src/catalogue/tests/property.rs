//! Every index against a scan of all records, over random lives of keys.

use std::collections::{BTreeMap, BTreeSet};

use lethe_crypto::registry::Algorithm;
use lethe_types::{KeyId, KeyState, PrincipalId, RealmId, StableState, UnixMillis};

use super::super::{Catalogue, KeyFilter, StateFilter};
use super::support::{Seeded, destroyed, entries, publish, record, vault};
use crate::record::{Alias, Derivation, KeyRecord, Pending, VaultRecord};

const REALMS: [RealmId; 2] = [RealmId([1; 16]), RealmId([2; 16])];
const PRINCIPALS: [PrincipalId; 2] = [PrincipalId([7; 16]), PrincipalId([8; 16])];
const LONG: &str = "a-name-whose-first-thirty-two-bytes-are-the-same";
const NAMES: [&str; 8] = [
    "a",
    "ab",
    "Ab",
    "customer",
    "a-name-whose-first-thirty-two-byt",
    "a-name-whose-first-thirty-two-by",
    "a-name-whose-first-thirty-two-bytes-are-the-same one",
    "a-name-whose-first-thirty-two-bytes-are-the-same two",
];
const LABELS: [(&str, &str); 7] = [
    ("env", "prod"),
    ("env", "test"),
    ("env", ""),
    ("owner", "a-name-whose-first-thirty-two-bytes-are-the-same one"),
    ("owner", "a-name-whose-first-thirty-two-bytes-are-the-same two"),
    ("owner", "me"),
    ("tier", "1"),
];
const PATHS: [&str; 3] = ["m/0", "m/1", LONG];

type Model = BTreeMap<KeyId, KeyRecord>;

fn change(random: &mut Seeded, model: &Model, record: &mut KeyRecord, now: u64) {
    match random.below(6) {
        0 => record.name = (*random.of(&NAMES)).parse().unwrap(),
        1 => {
            let (name, value) = *random.of(&LABELS);
            let labels = &mut record.details_mut().labels;
            if labels.remove(&name.parse().unwrap()).is_none() {
                labels.insert(name.parse().unwrap(), value.parse().unwrap());
            }
        }
        2 => record.vault = vault(u8::try_from(random.below(3)).unwrap()),
        3 => {
            if record.details_mut().pending.take().is_some() {
                record.state = KeyState::Stable(StableState::Suspended);
            } else {
                let due = UnixMillis(now + u64::try_from(random.below(50)).unwrap());
                record.state = KeyState::PendingDestruction { due, return_to: StableState::Active };
                record.details_mut().pending = Some(Pending {
                    requested: UnixMillis(now),
                    by: *random.of(&PRINCIPALS),
                    door: "native".into(),
                    reason: "".into(),
                    cancel_to: None,
                    evidence: Vec::new(),
                });
            }
        }
        4 => add_alias(random, model, record),
        _ => record.details_mut().fingerprints.push([u8::try_from(random.below(4)).unwrap(); 32]),
    }
}

/// No two live keys have the same alias: that is the engine's rule.
fn add_alias(random: &mut Seeded, model: &Model, record: &mut KeyRecord) {
    let alias = Alias {
        door: random.of(&["one", "two"]).to_string(),
        text: random.of(&NAMES).to_string(),
        reserved: random.one_in(2),
    };
    let is_same = |other: &Alias| other.door == alias.door && other.text == alias.text;
    let blocks = |other: &KeyRecord| {
        other.realm == record.realm
            && other
                .aliases
                .iter()
                .any(|held| is_same(held) && (held.reserved || !other.state.is_destroyed()))
    };
    if !model.values().any(blocks) && !record.aliases.iter().any(is_same) {
        record.aliases.push(alias);
    }
}

fn step(random: &mut Seeded, model: &mut Model, now: u64) -> KeyRecord {
    let live: Vec<KeyId> =
        model.values().filter(|record| !record.state.is_destroyed()).map(|key| key.id).collect();
    if live.is_empty() || random.one_in(3) {
        // Clocks step back: a new key need not be the youngest.
        let created = now - u64::try_from(random.below(5)).unwrap();
        let name = *random.of(&NAMES);
        let mut new = record(KeyId(random.id()), created, name);
        new.realm = *random.of(&REALMS);
        if random.one_in(3) {
            new.algorithm = Algorithm::from_name("ed25519").unwrap();
        }
        if random.one_in(3) && !live.is_empty() {
            let path = (*random.of(&PATHS)).into();
            new.details_mut().derivation =
                Some(Derivation { parent: *random.of(&live), path, depends: false });
        }
        for _ in 0..random.below(3) {
            change(random, model, &mut new, now);
        }
        return new;
    }
    let old = &model[random.of(&live)];
    if random.one_in(4) {
        return destroyed(old, now, *random.of(&PRINCIPALS));
    }
    let mut new = old.clone();
    change(random, model, &mut new, now);
    new
}

fn random_filter(random: &mut Seeded, model: &Model) -> KeyFilter {
    let mut filter = KeyFilter { destroyed: random.one_in(2), ..KeyFilter::default() };
    for _ in 0..random.below(3) {
        match random.below(8) {
            0 => filter.vault = Some(vault(u8::try_from(random.below(4)).unwrap())),
            1 => filter.name = Some(random.of(&NAMES).to_string()),
            2 => filter.name_prefix = Some(random.of(&["", "a", "a-name", LONG, "x"]).to_string()),
            3 | 4 => {
                let (name, value) = *random.of(&LABELS);
                let value = (!random.one_in(3)).then(|| value.parse().unwrap());
                filter.labels.push((name.parse().unwrap(), value));
            }
            5 => filter.state = Some(*random.of(StateFilter::ALL)),
            6 => filter.algorithm = Some(Algorithm::from_name("ed25519").unwrap()),
            _ => {
                let parents: Vec<KeyId> = model.keys().copied().collect();
                filter.derived_from = Some(*random.of(&parents));
            }
        }
    }
    filter
}

/// Written apart from [`KeyFilter::shows`].
fn is_wanted(filter: &KeyFilter, record: &KeyRecord) -> bool {
    let state = record.state.as_str();
    let dead = state.starts_with("destroyed");
    let details = record.details();
    let parent = details.derivation.as_ref().map(|derivation| derivation.parent);
    (!dead || filter.destroyed || filter.state.is_some())
        && filter.state.is_none_or(|wanted| wanted.as_str() == state)
        && filter.vault.is_none_or(|wanted| wanted == record.vault)
        && filter.algorithm.is_none_or(|wanted| wanted.name() == record.algorithm.name())
        && (filter.derived_from.is_none() || filter.derived_from == parent)
        && filter.name.iter().all(|name| name == record.name.as_str())
        && filter.name_prefix.iter().all(|prefix| record.name.as_str().starts_with(prefix))
        && filter.labels.iter().all(|(name, value)| match (details.labels.get(name), value) {
            (Some(has), Some(wanted)) => has == wanted,
            (Some(_), None) => true,
            (None, _) => false,
        })
}

fn check_lists(catalogue: &Catalogue, model: &Model, random: &mut Seeded, context: &str) {
    for _ in 0..12 {
        let filter = random_filter(random, model);
        let realm = *random.of(&REALMS);
        let expected: BTreeSet<KeyId> = model
            .values()
            .filter(|record| record.realm == realm && is_wanted(&filter, record))
            .map(|record| record.id)
            .collect();
        let limit = random.below(7) + 1;
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let found = catalogue.search(realm, &filter, after, limit, |_| true).unwrap();
            assert!(found.keys.len() <= limit, "{context} {filter:?}");
            let is_full = found.keys.len() == limit;
            seen.extend(found.keys.iter().map(|entry| entry.record().clone()));
            after = found.next;
            if after.is_none() {
                break;
            }
            assert!(is_full, "{context} {filter:?}: only the last page is short");
        }
        let ids: BTreeSet<KeyId> = seen.iter().map(|record| record.id).collect();
        assert_eq!(ids, expected, "{context} {filter:?}");
        assert_eq!(ids.len(), seen.len(), "{context} {filter:?}: twice");
        let by_age = seen.is_sorted_by_key(|record| (record.created, record.id));
        let by_name = seen.is_sorted_by_key(|record| (record.name.as_str().to_owned(), record.id));
        let values = |record: &KeyRecord| {
            let label = filter.labels.first().map(|(name, _)| name);
            let value = label.and_then(|name| record.details().labels.get(name)).cloned();
            (value, record.created, record.id)
        };
        let by_value = seen.is_sorted_by_key(values);
        let others = filter.labels.len() > 1;
        assert!(by_age || by_name || by_value || others, "{context} {filter:?}: no order");
        assert!(
            by_age
                || filter.name.is_some()
                || filter.name_prefix.is_some()
                || filter.labels.iter().any(|(_, value)| value.is_none()),
            "{context} {filter:?}: not by age"
        );
    }
}

fn check_lookups(catalogue: &Catalogue, model: &Model, context: &str) {
    let id = |entry: Option<std::sync::Arc<super::super::KeyEntry>>| entry.map(|e| e.record().id);
    for realm in REALMS {
        let ours = || model.values().filter(|record| record.realm == realm);
        for (door, text) in ["one", "two", "three"].iter().flat_map(|d| NAMES.map(|n| (d, n))) {
            let holders = ours().filter_map(|record| {
                let alias = |alias: &&Alias| alias.door == *door && alias.text == text;
                let alias = record.aliases.iter().find(alias)?;
                let live = !record.state.is_destroyed();
                Some((live, alias.reserved && !live, record.created, record.id))
            });
            let expected = holders.max().map(|(.., id)| id);
            assert_eq!(id(catalogue.alias(realm, door, text)), expected, "{context} {door} {text}");
        }
        for byte in 0..5 {
            let holders = ours().filter(|key| key.details().fingerprints.contains(&[byte; 32]));
            let expected =
                holders.max_by_key(|key| (key.state.is_destroyed(), key.created, key.id));
            let found = id(catalogue.fingerprint(realm, &[byte; 32]));
            assert_eq!(found, expected.map(|key| key.id), "{context} fingerprint {byte}");
        }
    }
    let of = |record: &KeyRecord, parent| {
        record.details().derivation.clone().filter(|derivation| derivation.parent == parent)
    };
    for &parent in model.keys() {
        for path in PATHS {
            let keys =
                model.values().filter(|key| of(key, parent).is_some_and(|d| &*d.path == path));
            let expected = keys.max_by_key(|key| (key.created, key.id)).map(|key| key.id);
            assert_eq!(id(catalogue.derived(parent, path)), expected, "{context} {path}");
        }
        let mut children: Vec<_> = model
            .values()
            .filter(|key| of(key, parent).is_some() && !key.state.is_destroyed())
            .map(|key| (key.created, key.id))
            .collect();
        children.sort();
        let expected: Vec<_> = children.into_iter().take(2).map(|(_, id)| id).collect();
        let found = catalogue.live_children(parent, 2);
        let found: Vec<_> = found.iter().map(|entry| entry.record().id).collect();
        assert_eq!(found, expected, "{context} children");
    }
}

fn check_numbers(catalogue: &Catalogue, model: &Model, now: u64, context: &str) {
    for number in 0..3 {
        let keys = |key: &&KeyRecord| key.vault == vault(number) && !key.state.is_destroyed();
        // Vaults of the model's realms have the same identifiers; only the first realm's is known.
        let expected = model.values().filter(keys).filter(|key| key.realm == REALMS[0]).count();
        let live = catalogue.live_keys_in(vault(number));
        assert_eq!(live, u64::try_from(expected).unwrap(), "{context} vault {number}");
    }
    let mut due: Vec<(UnixMillis, KeyId)> = Vec::new();
    for record in model.values() {
        if let KeyState::PendingDestruction { due: at, .. } = record.state {
            due.push((at, record.id));
        }
    }
    due.sort();
    let now = UnixMillis(now);
    due.retain(|(at, _)| *at <= now);
    let (mut overdue, mut after) = (Vec::new(), None);
    loop {
        let page = catalogue.due(after, now, 3);
        let Some(&last) = page.last() else { break };
        after = Some(last);
        overdue.extend(page);
    }
    assert_eq!(overdue, due, "{context}");
    for principal in PRINCIPALS {
        for since in [0, now.0 - 40, now.0] {
            let asked = |key: &&KeyRecord| match (&key.destruction, &key.details().pending) {
                (Some(end), _) => {
                    end.scheduled_by.unwrap_or(end.by) == principal && end.requested.0 >= since
                }
                (None, Some(pending)) => pending.by == principal && pending.requested.0 >= since,
                (None, None) => false,
            };
            let expected = u32::try_from(model.values().filter(asked).count()).unwrap();
            let count = catalogue.destroys_since(principal, UnixMillis(since));
            assert_eq!(count, expected, "{context} destroys since {since}");
        }
    }
    let live = model.values().filter(|key| !key.state.is_destroyed()).count();
    let counts = [live, model.len() - live].map(|count| u64::try_from(count).unwrap());
    assert_eq!(catalogue.counts(), counts.into(), "{context}");
}

fn with_vaults() -> Catalogue {
    let catalogue = Catalogue::default();
    for number in 0..3 {
        let name = format!("vault {number}").parse().unwrap();
        let record = VaultRecord::new(vault(number), REALMS[0], name, UnixMillis(1));
        catalogue.publish_vault(record);
    }
    catalogue
}

#[test]
fn every_index_agrees_with_a_scan() {
    for seed in 0..10 {
        let mut random = Seeded(seed);
        let catalogue = with_vaults();
        let mut model = Model::new();
        let mut now = 1_000;
        for number in 0..220 {
            now += u64::try_from(random.below(3)).unwrap();
            let record = step(&mut random, &mut model, now);
            model.insert(record.id, record.clone());
            publish(&catalogue, record);
            if number % 44 == 43 {
                let context = format!("seed {seed} step {number}");
                check_lists(&catalogue, &model, &mut random, &context);
                check_lookups(&catalogue, &model, &context);
                check_numbers(&catalogue, &model, now, &context);
            }
        }
        let loaded = with_vaults();
        assert!(loaded.load_keys(entries(model.values().cloned())));
        let context = format!("seed {seed} loaded");
        check_lists(&loaded, &model, &mut random, &context);
        check_lookups(&loaded, &model, &context);
        check_numbers(&loaded, &model, now, &context);
        for number in 0..40 {
            let record = step(&mut random, &mut model, now);
            model.insert(record.id, record.clone());
            publish(&loaded, record);
            if number % 20 == 19 {
                let context = format!("seed {seed} step {number} after loading");
                check_lookups(&loaded, &model, &context);
            }
        }
        check_lists(&loaded, &model, &mut random, &context);
    }
}

#[test]
fn a_key_that_is_loaded_twice_is_refused() {
    let twice = [record(KeyId([3; 16]), 1, "a"), record(KeyId([3; 16]), 2, "a")];
    assert!(!Catalogue::default().load_keys(entries(twice)));
}
