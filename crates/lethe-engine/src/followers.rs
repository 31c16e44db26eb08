//! Who follows the commits: copies elsewhere that a change waits for before it is answered, and
//! before the root that it ends is erased.
//!
//! Without a follower nobody waits and nothing is spent. One that is late is dropped, so that it
//! never holds up a destruction for longer than [`FOLLOWER_WAIT_MAX`]; from then on its copy opens
//! only as long as the root stays.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lethe_store::Revision;
use lethe_types::UnixMillis;
use lethe_types::limits::{FOLLOWER_ENTRIES_MAX, FOLLOWER_WAIT_MAX};
use parking_lot::{Condvar, Mutex};

/// All followers of an engine.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    /// Those that are waited for: nobody takes the lock while it is 0.
    live: AtomicUsize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    followers: BTreeMap<u64, Follower>,
    dropped: u64,
    gone: u64,
    last_lost: Option<UnixMillis>,
}

#[derive(Debug)]
struct Follower {
    acknowledged: Revision,
    /// Whether its copy has caught up, so that changes wait for it.
    is_live: bool,
}

/// How the followers of an installation stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowerStatus {
    /// Copies that have every answered change.
    pub live: u64,
    /// Copies that are being made or are catching up.
    pub catching_up: u64,
    /// How many were dropped since the start because they were late.
    pub dropped: u64,
    /// How many went away by themselves since the start although they had caught up.
    pub gone: u64,
    /// When the last one of either kind was lost.
    pub last_lost: Option<UnixMillis>,
}

/// What waiting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// Nobody follows any more, or nobody did.
    Nobody,
    /// Every follower that is left has the change.
    Held,
}

impl Followers {
    /// A new follower, which nobody waits for yet; `None` if there are [`FOLLOWER_ENTRIES_MAX`].
    pub(crate) fn attach(&self, at: Revision) -> Option<u64> {
        let mut state = self.state.lock();
        if state.followers.len() >= FOLLOWER_ENTRIES_MAX {
            return None;
        }
        let id = state.next;
        state.next = id.saturating_add(1);
        state.followers.insert(id, Follower { acknowledged: at, is_live: false });
        Some(id)
    }

    /// The follower holds everything up to `revision`, durably. Once that is `newest` it is waited
    /// for. `false` if it was dropped.
    pub(crate) fn acknowledge(&self, id: u64, revision: Revision, newest: Revision) -> bool {
        let mut state = self.state.lock();
        let Some(follower) = state.followers.get_mut(&id) else { return false };
        follower.acknowledged = follower.acknowledged.max(revision);
        if !follower.is_live && revision >= newest {
            follower.is_live = true;
            self.live.fetch_add(1, Ordering::AcqRel);
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Whether changes wait for it; `None` if it was dropped.
    pub(crate) fn is_live(&self, id: u64) -> Option<bool> {
        self.state.lock().followers.get(&id).map(|follower| follower.is_live)
    }

    /// The follower ends.
    pub(crate) fn detach(&self, id: u64, now: UnixMillis) {
        let mut state = self.state.lock();
        if let Some(follower) = state.followers.remove(&id)
            && follower.is_live
        {
            self.live.fetch_sub(1, Ordering::AcqRel);
            state.gone = state.gone.saturating_add(1);
            state.last_lost = Some(now);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until every follower that has caught up holds `revision`; drops those that do not in
    /// time.
    pub(crate) fn wait_for(&self, revision: Revision, now: impl Fn() -> UnixMillis) -> Awaited {
        self.wait_within(revision, FOLLOWER_WAIT_MAX, now)
    }

    /// [`Followers::wait_for`] with another bound.
    pub(crate) fn wait_within(
        &self,
        revision: Revision,
        longest: Duration,
        now: impl Fn() -> UnixMillis,
    ) -> Awaited {
        if self.live.load(Ordering::Acquire) == 0 {
            return Awaited::Nobody;
        }
        let mut state = self.state.lock();
        let late = |state: &mut State| state.live().any(|it| it.acknowledged < revision);
        if self.changed.wait_while_for(&mut state, late, longest).timed_out() {
            let before = state.followers.len();
            state.followers.retain(|_, it| !it.is_live || it.acknowledged >= revision);
            let dropped = before - state.followers.len();
            self.live.fetch_sub(dropped, Ordering::AcqRel);
            let count = u64::try_from(dropped).unwrap_or(u64::MAX);
            state.dropped = state.dropped.saturating_add(count);
            if dropped > 0 {
                state.last_lost = Some(now());
            }
        }
        if state.live().next().is_some() { Awaited::Held } else { Awaited::Nobody }
    }

    /// Whether somebody follows and every one that has caught up holds `revision`.
    pub(crate) fn hold(&self, revision: Revision) -> bool {
        let state = self.state.lock();
        let mut live = state.live();
        live.next().is_some_and(|it| it.acknowledged >= revision)
            && live.all(|it| it.acknowledged >= revision)
    }

    pub(crate) fn status(&self) -> FollowerStatus {
        let state = self.state.lock();
        let live = state.live().count();
        let others = state.followers.len() - live;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        FollowerStatus {
            live: count(live),
            catching_up: count(others),
            dropped: state.dropped,
            gone: state.gone,
            last_lost: state.last_lost,
        }
    }
}

impl State {
    fn live(&self) -> impl Iterator<Item = &Follower> {
        self.followers.values().filter(|follower| follower.is_live)
    }
}
