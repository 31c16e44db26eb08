//! Every bound of a store, one constant each, with its unit in the name and its reason beside it.

/// Longest name of a [`crate::Space`], in bytes. A back end may use it as the name of a table.
pub const SPACE_BYTES_MAX: usize = 16;

/// Longest key within a space, in bytes. The longest of ours are paths of the erasure tree.
pub const KEY_BYTES_MAX: usize = 512;

/// Largest value, in bytes. Fits one request of etcd (1.5 MiB) with its key.
pub const VALUE_BYTES_MAX: usize = 1_048_576;

/// Most writes of one batch, and most preconditions of one. A load of 5,000 keys with their pages
/// of the erasure tree stays far below.
pub const BATCH_OPS_MAX: usize = 100_000;

/// Most bytes of keys and values that one batch writes. Bounds the memory of a group of commits.
pub const BATCH_BYTES_MAX: usize = 64 * 1_048_576;

/// Most rows that one [`crate::Store::range`] may ask for.
pub const PAGE_ROWS_MAX: u32 = 10_000;

/// Bytes of keys and values after which a page ends early. The row that passes it is still on it.
pub const PAGE_BYTES_MAX: usize = 16 * 1_048_576;

/// Most commits that a store in this process holds for its watchers.
pub const WATCH_COMMITS_MAX: usize = 4_096;

/// Most bytes of commits that a store in this process holds for its watchers. The newest commit is
/// held even if it is larger by itself, while anyone watches.
pub const WATCH_BYTES_MAX: usize = 16 * 1_048_576;
