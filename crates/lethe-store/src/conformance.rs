//! The contract of [`Store`] as tests, one per property, for every back end.
//!
//! A back end writes, in a test module of its own:
//! ```text
//! mod contract { lethe_store::conformance!(super::fresh); }   // fn fresh() -> Subject
//! ```
//! Each test gets its own fresh store. The properties are those numbered at the trait.

mod commits;
mod reads;
mod watching;

use core::fmt;
use std::sync::Arc;

pub use commits::*;
pub use reads::*;
pub use watching::*;

use crate::{Revision, Space, Store, StoreKey};

/// An empty store under test.
pub struct Subject {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Opens what the closed `store` wrote, as a new process would. It also keeps alive whatever
    /// the store needs, such as its folder. `None` for a store that cannot be opened again.
    pub reopen: Option<Box<dyn Fn() -> Arc<dyn Store>>>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Expands to one `#[test]` per property of the contract. `$fresh` is a function without arguments
/// that gives a [`Subject`].
#[macro_export]
macro_rules! conformance {
    ($fresh:expr) => {
        $crate::conformance!(@tests $fresh;
            reads_see_acknowledged_commits
            create_fails_if_present
            stale_precondition_leaves_nothing
            batch_is_all_or_nothing
            revisions_grow_by_one
            malformed_batches_are_refused
            sizes_at_and_past_the_limits
            of_two_writers_one_wins
            error_may_have_been_applied
            closed_store_refuses
            reopen_keeps_everything
            range_is_ordered_and_pages
            range_refuses_bad_arguments
            spaces_are_apart
            long_page_ends_early
            snapshot_shows_everything_once
            snapshot_is_consistent_while_writing
            snapshot_stops_at_an_error
            tidy_changes_no_value
            watch_gives_every_commit_once_in_order
            watch_waits_and_gives_up
            watch_from_the_future_is_refused
            slow_watcher_is_told
            closed_store_ends_its_watchers
        );
    };
    (@tests $fresh:expr; $($property:ident)*) => {
        $(
            #[test]
            fn $property() {
                $crate::conformance::$property(&$fresh());
            }
        )*
    };
}

const ALPHA: Space = Space::named("alpha");
const BETA: Space = Space::named("beta");
const SPACE_OF_LONGEST_NAME: Space = Space::named("sixteen_letters_");

fn key(name: &str) -> StoreKey {
    key_in(ALPHA, name.as_bytes())
}

fn key_in(space: Space, bytes: &[u8]) -> StoreKey {
    StoreKey::new(space, bytes).expect("test keys keep the bound")
}

/// The value and revision of a key; panics if the store fails.
fn read(store: &dyn Store, key: &StoreKey) -> Option<(Vec<u8>, Revision)> {
    let found = store.get(key).expect("the store answers");
    found.map(|versioned| (versioned.value, versioned.revision))
}
