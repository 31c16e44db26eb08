//! Where everything lies in the store: one space per kind, keys in the order in which they are
//! read.

use lethe_erasure::tree::NodeAddress;
use lethe_store::{Space, StoreKey};
use lethe_types::{
    ApprovalId, ImportKeyId, JobId, KeyId, PrincipalId, RealmId, UnixMillis, VaultId,
};

/// Rows that exist once: `format`, `tree`, `log`, `system/…`, `restored` (the log's size then).
pub(crate) const META: Space = Space::named("meta");
/// Sealed nodes of the erasure tree: level, index, epoch.
pub(crate) const NODE: Space = Space::named("node");
/// Key records and tombstones: creation time, id. Ascending, so that inserts append.
pub(crate) const KEY: Space = Space::named("key");
/// Realms by id.
pub(crate) const REALM: Space = Space::named("realm");
/// Vaults by id.
pub(crate) const VAULT: Space = Space::named("vault");
/// Principals by id.
pub(crate) const PRINCIPAL: Space = Space::named("principal");
/// Log entries by index.
pub(crate) const LEAF: Space = Space::named("leaf");
/// Full tiles of the log: level, index.
pub(crate) const TILE: Space = Space::named("tile");
/// Erasure notes by the epoch that the erasure led to.
pub(crate) const ERASED: Space = Space::named("erased");
/// Answers to idempotency keys, by their keyed digest.
pub(crate) const IDEMPOTENT: Space = Space::named("idempotent");
/// When, how often and by whom keys were used, by key id. Written behind the uses.
pub(crate) const USAGE: Space = Space::named("usage");

/// Requests for approval by id.
pub(crate) const APPROVAL: Space = Space::named("approval");
/// Bulk destructions by id.
pub(crate) const JOB: Space = Space::named("job");
/// The keys of a bulk destruction, in pieces: job, number of the piece.
pub(crate) const JOB_KEYS: Space = Space::named("job_keys");
/// The keys that a bulk destruction had to leave: job, position.
pub(crate) const JOB_REFUSED: Space = Space::named("job_refused");
/// Documents of doors: realm, door, collection, id.
pub(crate) const DOCUMENT: Space = Space::named("document");
/// Import keys by id, until they are used or their time is over.
pub(crate) const IMPORT_KEY: Space = Space::named("import_key");
/// The detail of the log entry of a destroyed version, for its receipt: key, number.
pub(crate) const VERSION_END: Space = Space::named("version_end");
/// Leaves that an epoch cuts beside those of tombstones, until it is settled.
pub(crate) const CUT: Space = Space::named("cut");
/// What the tombstone journal says of a change of the root, until it is settled: epoch,
/// number of the piece.
pub(crate) const JOURNAL: Space = Space::named("journal");

/// Spaces whose rows may be removed.
pub(crate) const REMOVED_FROM: [Space; 12] = [
    APPROVAL,
    CUT,
    DOCUMENT,
    IDEMPOTENT,
    IMPORT_KEY,
    JOB,
    JOB_KEYS,
    JOB_REFUSED,
    JOURNAL,
    META,
    NODE,
    USAGE,
];

/// Spaces whose rows are never removed: a backup of what changed need not list what is still there.
pub(crate) const NEVER_REMOVED: [Space; 8] =
    [ERASED, KEY, LEAF, PRINCIPAL, REALM, TILE, VAULT, VERSION_END];

/// A row that exists once.
pub(crate) fn meta(name: &str) -> StoreKey {
    place(META, name.as_bytes())
}

fn place(space: Space, bytes: &[u8]) -> StoreKey {
    StoreKey::new(space, bytes).expect("every key of this file is shorter than a store key may be")
}

pub(crate) fn key(created: UnixMillis, id: KeyId) -> StoreKey {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&created.0.to_be_bytes());
    bytes[8..].copy_from_slice(id.as_bytes());
    place(KEY, &bytes)
}

pub(crate) fn node(address: &NodeAddress) -> StoreKey {
    place(NODE, &address.to_bytes())
}

pub(crate) fn realm(id: RealmId) -> StoreKey {
    place(REALM, id.as_bytes())
}

pub(crate) fn vault(id: VaultId) -> StoreKey {
    place(VAULT, id.as_bytes())
}

pub(crate) fn principal(id: PrincipalId) -> StoreKey {
    place(PRINCIPAL, id.as_bytes())
}

pub(crate) fn leaf(index: u64) -> StoreKey {
    place(LEAF, &index.to_be_bytes())
}

pub(crate) fn tile(level: u8, index: u64) -> StoreKey {
    let mut bytes = [0; 9];
    bytes[0] = level;
    bytes[1..].copy_from_slice(&index.to_be_bytes());
    place(TILE, &bytes)
}

pub(crate) fn erased(epoch: u64) -> StoreKey {
    place(ERASED, &epoch.to_be_bytes())
}

pub(crate) fn idempotent(digest: &[u8; 32]) -> StoreKey {
    place(IDEMPOTENT, digest)
}

pub(crate) fn usage(key: KeyId) -> StoreKey {
    place(USAGE, key.as_bytes())
}

pub(crate) fn approval(id: ApprovalId) -> StoreKey {
    place(APPROVAL, id.as_bytes())
}

pub(crate) fn job(id: JobId) -> StoreKey {
    place(JOB, id.as_bytes())
}

pub(crate) fn job_keys(id: JobId, piece: u64) -> StoreKey {
    place(JOB_KEYS, &[id.as_bytes().as_slice(), &piece.to_be_bytes()].concat())
}

pub(crate) fn job_refused(id: JobId, position: u64) -> StoreKey {
    place(JOB_REFUSED, &[id.as_bytes().as_slice(), &position.to_be_bytes()].concat())
}

pub(crate) fn import_key(id: ImportKeyId) -> StoreKey {
    place(IMPORT_KEY, id.as_bytes())
}

pub(crate) fn version_end(key: KeyId, number: u32) -> StoreKey {
    place(VERSION_END, &[key.as_bytes().as_slice(), &number.to_be_bytes()].concat())
}

pub(crate) fn journal(epoch: u64, piece: u32) -> StoreKey {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&epoch.to_be_bytes());
    bytes[8..].copy_from_slice(&piece.to_be_bytes());
    place(JOURNAL, &bytes)
}

pub(crate) fn cut(epoch: u64) -> StoreKey {
    place(CUT, &epoch.to_be_bytes())
}

/// What the keys of all documents of a collection begin with.
pub(crate) fn documents_of(realm: RealmId, door: &str, collection: &str) -> Vec<u8> {
    [realm.as_bytes().as_slice(), door.as_bytes(), &[0], collection.as_bytes(), &[0]].concat()
}

pub(crate) fn document(realm: RealmId, door: &str, collection: &str, id: &str) -> StoreKey {
    let mut bytes = documents_of(realm, door, collection);
    bytes.extend_from_slice(id.as_bytes());
    place(DOCUMENT, &bytes)
}
