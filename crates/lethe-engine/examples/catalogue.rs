//! What a catalogue costs: memory a key, time to load, time for a page by each filter.
//!
//! `cargo run --release -p lethe-engine --features measure --example catalogue -- 1000000 plain`;
//! the second word is `plain`, `alias`, `labels` or `used`.
#![expect(clippy::print_stdout, reason = "it is a report")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]
#![expect(clippy::as_conversions, reason = "numbers for people")]

use std::time::Instant;

use lethe_crypto::registry::Algorithm;
use lethe_engine::measure::{Measured, Shape, key_id};
use lethe_engine::{KeyFilter, StateFilter};
use lethe_types::VaultId;

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let word = arguments.next().unwrap_or_default();
    let shape = Shape { labels: word == "labels", alias: word == "alias", used: word == "used" };
    let per_key = |bytes: u64| bytes as f64 / count as f64;
    let before = resident_bytes();
    let start = Instant::now();
    let mut measured = Measured::decoded(count, shape);
    let decoded = resident_bytes();
    println!("{count} keys, {shape:?}");
    println!("encode, decode: {:?}, {:.0} bytes a key", start.elapsed(), per_key(decoded - before));
    let start = Instant::now();
    measured.index();
    let indexed = resident_bytes();
    println!(
        "index: {:?}, {:.0} bytes a key",
        start.elapsed(),
        per_key(indexed.saturating_sub(decoded))
    );
    println!("together: {:.0} bytes a key", per_key(indexed - before));
    pages(&measured, count, shape);
    lookups(&measured, count, shape);
}

fn pages(measured: &Measured, count: u64, shape: Shape) {
    let none = KeyFilter::default();
    let name = format!("customer-{}", key_id(count / 2));
    let mut filters = vec![
        ("all", none.clone()),
        ("all, destroyed too", KeyFilter { destroyed: true, ..none.clone() }),
        ("vault", KeyFilter { vault: Some(VaultId([3; 16])), ..none.clone() }),
        ("name", KeyFilter { name: Some(name.clone()), ..none.clone() }),
        ("prefix of all", KeyFilter { name_prefix: Some("customer".to_owned()), ..none.clone() }),
        (
            "prefix of 1/4096",
            KeyFilter { name_prefix: Some(name[..12].to_owned()), ..none.clone() },
        ),
        ("pending", KeyFilter { state: Some(StateFilter::PendingDestruction), ..none.clone() }),
        (
            "algorithm of none",
            KeyFilter { algorithm: Algorithm::from_name("ed25519").ok(), ..none.clone() },
        ),
    ];
    if shape.labels {
        let label = |name: &str, value: Option<&str>| {
            let value = value.and_then(|value| value.parse().ok());
            let labels = name.parse().ok().map(|name| (name, value)).into_iter().collect();
            KeyFilter { labels, ..none.clone() }
        };
        filters.push(("label of 1000", label("group", Some("7"))));
        filters.push(("label of 1", label("number", Some("77"))));
        filters.push(("label, any value", label("number", None)));
    }
    for (what, filter) in &filters {
        const ROUNDS: u32 = 200;
        let (keys, more) = measured.page(filter, 100);
        let start = Instant::now();
        for _ in 0..ROUNDS {
            let _page = measured.page(filter, 100);
        }
        let each = start.elapsed() / ROUNDS;
        println!("page of 100, {what}: {each:?} ({keys} keys, more: {more})");
    }
}

fn lookups(measured: &Measured, count: u64, shape: Shape) {
    const ROUNDS: u64 = 200_000;
    let each = |what: &str, work: &dyn Fn(u64) -> bool| {
        let start = Instant::now();
        let found = (0..ROUNDS).filter(|round| work(round * 7_919 % count)).count();
        println!("{what}: {} ns ({found} found)", start.elapsed().as_nanos() / u128::from(ROUNDS));
    };
    each("find a key by id", &|number| measured.find(number));
    each("find one key by id", &|_| measured.find(5));
    each("first use of a key", &|number| measured.count_use(number));
    each("find and count a use of one key", &|_| measured.count_use(5));
    if shape.alias {
        each("find a key by alias", &|number| measured.alias(number));
    }
    let start = Instant::now();
    for number in count..count + 20_000 {
        measured.publish(number, shape);
    }
    println!("publish a new key: {} ns", start.elapsed().as_nanos() / 20_000);
}
