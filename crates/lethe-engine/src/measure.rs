//! A catalogue of made-up keys, to be measured by `examples/catalogue.rs`. Not for anything else.

use std::sync::Arc;

use lethe_crypto::registry::Algorithm;
use lethe_store::Revision;
use lethe_types::{KeyId, KeyState, PrincipalId, RealmId, StableState, UnixMillis, VaultId};
use smallvec::smallvec;

use crate::catalogue::{Catalogue, KeyEntry, KeyFilter};
use crate::record::codec::{decode_key, encode_key};
use crate::record::{Alias, KeyRecord, KeyVersion};

const REALM: RealmId = RealmId([1; 16]);
/// Nonce, tag and header around 32 bytes of material.
const SEALED_BYTES: usize = 32 + lethe_erasure::tree::RECORD_OVERHEAD_BYTES;

/// What the made-up keys have beside a name and one version.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Two labels: one that a thousand keys share, one of its own.
    pub labels: bool,
    /// An alias of one door.
    pub alias: bool,
    /// Every key was used.
    pub used: bool,
}

/// The made-up catalogue.
#[derive(Debug)]
pub struct Measured {
    catalogue: Catalogue,
    entries: Vec<Arc<KeyEntry>>,
}

/// The key of a number: its bytes look random and are not.
#[must_use]
pub fn key_id(number: u64) -> KeyId {
    let mixed = |number: u64| {
        let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    };
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&mixed(number + 1).to_be_bytes());
    bytes[8..].copy_from_slice(&mixed(!number).to_be_bytes());
    KeyId(bytes)
}

fn record(number: u64, shape: Shape) -> KeyRecord {
    let parse = "names and labels of this file are valid";
    let byte = u8::try_from(number % 10).expect("below 10");
    let mut record = KeyRecord {
        id: key_id(number),
        realm: REALM,
        vault: VaultId([byte; 16]),
        name: format!("customer-{}", key_id(number)).parse().expect(parse),
        algorithm: Algorithm::from_name("aes256-gcm").expect("it is there"),
        state: KeyState::ACTIVE,
        created: UnixMillis(1_790_000_000_000 + number),
        created_by: PrincipalId([9; 16]),
        changed: UnixMillis(1_790_000_000_000 + number),
        salt: [5; 32],
        aliases: Vec::new(),
        versions: smallvec![KeyVersion {
            number: 1,
            state: crate::record::VersionState::Enabled,
            created: UnixMillis(1_790_000_000_000 + number),
            leaf: number,
            sealed: vec![3; SEALED_BYTES].into(),
            public_key_der: None,
        }],
        next_version: 2,
        imported: false,
        exported: false,
        details: None,
        destruction: None,
    };
    if number % 10_000 == 5 {
        let return_to = StableState::Active;
        record.state = KeyState::PendingDestruction { due: UnixMillis(number), return_to };
    }
    if shape.labels {
        let labels = &mut record.details_mut().labels;
        let group = (number / 1_000).to_string();
        labels.insert("group".parse().expect(parse), group.parse().expect(parse));
        labels.insert("number".parse().expect(parse), number.to_string().parse().expect(parse));
    }
    if shape.alias {
        let text = record.id.to_string();
        record.aliases.push(Alias { door: "one".to_owned(), text, reserved: true });
    }
    record
}

impl Measured {
    /// The rows of `count` keys, decoded as at a start; not indexed yet.
    ///
    /// # Panics
    /// If a record does not come back from its stored form.
    #[must_use]
    pub fn decoded(count: u64, shape: Shape) -> Self {
        let entry = |number| {
            let record = decode_key(&encode_key(&record(number, shape))).expect("it comes back");
            let entry = Arc::new(KeyEntry::new(record, Revision(1), Arc::default()));
            if shape.used {
                let _made = entry.usage();
            }
            entry
        };
        Self { catalogue: Catalogue::default(), entries: (0..count).map(entry).collect() }
    }

    /// Indexes what was decoded.
    pub fn index(&mut self) {
        assert!(self.catalogue.load_keys(std::mem::take(&mut self.entries)), "keys are different");
    }

    /// The keys on the first page, and whether there may be another page.
    #[must_use]
    pub fn page(&self, filter: &KeyFilter, limit: usize) -> (usize, bool) {
        let found = self.catalogue.search(REALM, filter, None, limit, |_| true);
        found.map_or((0, false), |found| (found.keys.len(), found.next.is_some()))
    }

    /// Publishes a new key.
    pub fn publish(&self, number: u64, shape: Shape) {
        let entry = KeyEntry::new(record(number, shape), Revision(2), Arc::default());
        self.catalogue.publish_key(Arc::new(entry));
    }

    /// Finds a key as a use does.
    #[must_use]
    pub fn find(&self, number: u64) -> bool {
        self.catalogue.key(key_id(number)).is_some()
    }

    /// Finds a key as a use does, and counts the use.
    #[must_use]
    pub fn count_use(&self, number: u64) -> bool {
        let Some(entry) = self.catalogue.key(key_id(number)) else { return false };
        self.catalogue.count_use(&entry, UnixMillis(number), PrincipalId([9; 16]));
        true
    }

    /// Finds a key by its alias.
    #[must_use]
    pub fn alias(&self, number: u64) -> bool {
        self.catalogue.alias(REALM, "one", &key_id(number).to_string()).is_some()
    }
}
