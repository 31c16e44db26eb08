//! The contract over the memory store and over a wrapper without faults; names, faults,
//! the feed; and that broken stores fail the contract.

mod faults;
mod feed;
mod mutants;
mod names;

use std::sync::Arc;

use crate::conformance::Subject;
use crate::{Batch, FaultyStore, MemStore, Space, Store, StoreKey};

mod mem_store {
    crate::conformance!(super::mem);
}

mod faulty_store {
    crate::conformance!(super::faultless);
}

const ALPHA: Space = Space::named("alpha");

fn mem() -> Subject {
    let store = Arc::new(MemStore::new());
    let kept = std::sync::Mutex::new(Arc::clone(&store));
    let reopen = move || {
        let mut kept = kept.lock().unwrap();
        *kept = Arc::new(kept.restarted());
        let store: Arc<dyn Store> = kept.clone();
        store
    };
    Subject { store, reopen: Some(Box::new(reopen)) }
}

fn faultless() -> Subject {
    let Subject { store, reopen } = mem();
    let reopen = reopen.unwrap();
    let reopen = move || -> Arc<dyn Store> { Arc::new(FaultyStore::new(reopen())) };
    Subject { store: Arc::new(FaultyStore::recording(store)), reopen: Some(Box::new(reopen)) }
}

fn key(name: &str) -> StoreKey {
    StoreKey::new(ALPHA, name.as_bytes()).unwrap()
}

fn put(name: &str, value: u8) -> Batch {
    Batch::new().put(key(name), vec![value])
}
