//! Read events: a page of them, or one after the other as they come.

use std::sync::Arc;
use std::task::{Context, Poll};

use lethe_types::limits::{PAGE_EVENTS_MAX, SCAN_ENTRIES_MAX};
use lethe_types::{Permission, RealmId, TreeId, VaultId};

use super::{Touched, record};
use crate::authz::{Caller, ReadEvents};
use crate::events::{Event, EventPage, EventWatch, logged};
use crate::shared::Shared;
use crate::{Engine, EngineError};

/// Events that are copied at once while the committer may have to wait.
const PIECE_EVENTS: usize = 256;

/// The permissions of which one, on anything, is needed to read events at all.
const ANY_OF: [Permission; 3] =
    [Permission::KeysRead, Permission::VaultsRead, Permission::PrincipalsRead];

impl Engine {
    /// Up to `limit` (at most [`PAGE_EVENTS_MAX`]) events after the one with the id `after`, of
    /// those that are in memory; without `after` from the oldest on.
    ///
    /// A caller sees the events of keys, vaults and principals that it may read. Audited as
    /// `event.read`.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] if there is nothing that the caller may read;
    /// [`EngineError::InvalidField`] for a limit of 0 or over the bound.
    pub fn events_after(
        &self,
        caller: &Caller,
        after: Option<u64>,
        limit: usize,
    ) -> Result<EventPage, EngineError> {
        let result = check_limit(limit).and_then(|()| check(caller)).map(|()| {
            page(&self.shared, after, limit, |event| may_see(&self.shared, caller, event))
        });
        let now = self.shared.clock.now();
        self.audit::<ReadEvents>(caller, now, None, result.as_ref().err())?;
        result
    }

    /// Follows the events after the one with the id `after`, or those that come from now on.
    ///
    /// Audited once, as `event.read`.
    ///
    /// # Errors
    /// [`EngineError::PermissionDenied`] if there is nothing that the caller may read.
    pub fn follow_events(
        &self,
        caller: &Caller,
        after: Option<u64>,
    ) -> Result<EventReader, EngineError> {
        let result = check(caller);
        let now = self.shared.clock.now();
        self.audit::<ReadEvents>(caller, now, None, result.as_ref().err())?;
        result?;
        // The watch first: what comes in between is then seen twice rather than never.
        let watch = self.watch_events();
        let after = after.unwrap_or_else(|| self.newest_event());
        Ok(EventReader { shared: self.shared.clone(), caller: caller.clone(), watch, after })
    }

    /// Tells when there are new events, of any realm.
    #[must_use]
    pub fn watch_events(&self) -> EventWatch {
        self.shared.events.watch()
    }

    /// No event has a higher id yet.
    #[must_use]
    pub fn newest_event(&self) -> u64 {
        self.shared.events.bounds().1.saturating_sub(1)
    }

    /// All events of `realm` after `after`, also those that are no longer in memory: they are read
    /// back from the log. For the server's own deliveries: not audited. Reads the store.
    ///
    /// The page has at most `limit` events if they were in memory, and those of at most
    /// [`SCAN_ENTRIES_MAX`] log entries otherwise. There is a gap only if the log never had so
    /// many entries.
    ///
    /// # Errors
    /// [`EngineError::StorageUnavailable`], [`EngineError::Internal`].
    pub fn realm_events_after(
        &self,
        realm: RealmId,
        after: u64,
        limit: usize,
    ) -> Result<EventPage, EngineError> {
        let (floor, end) = self.shared.events.bounds();
        let from = after.saturating_add(1);
        if from >= floor {
            let page = page(&self.shared, Some(after), limit, |event| event.realm == realm);
            if !page.gap || from > end {
                return Ok(page);
            }
        }
        // Once more: it may have moved, which is how what was asked for fell out of memory.
        let (floor, end) = self.shared.events.bounds();
        let (events, next) = logged::read(&self.shared, realm, from, floor)?;
        Ok(EventPage { events, next: next - 1, gap: false, more: next < end })
    }

    /// The identifier of the installation: with an event's id it names the event world-wide.
    #[must_use]
    pub fn tree_id(&self) -> TreeId {
        self.shared.tree_id
    }
}

/// Events one after the other, for as long as the caller's credential holds.
#[derive(Debug)]
pub struct EventReader {
    shared: Arc<Shared>,
    caller: Caller,
    watch: EventWatch,
    after: u64,
}

impl EventReader {
    /// The id after which the next events come.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.after
    }

    /// The next events, at least one unless there is a gap; else the task is woken when there may
    /// be some.
    ///
    /// The credential and the permissions are looked at with every call. An expired credential
    /// wakes nobody: call again from time to time.
    ///
    /// # Errors
    /// [`EngineError::AuthenticationNotSuccessful`] once the credential has ended,
    /// [`EngineError::PermissionDenied`] once nothing is left that the caller may read. Both are
    /// in the audit trail then.
    pub fn poll_page(
        &mut self,
        context: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<EventPage, EngineError>> {
        loop {
            let renewed = renew(&self.shared, &self.caller).and_then(|caller| {
                check(&caller)?;
                Ok(caller)
            });
            self.caller = match renewed {
                Ok(caller) => caller,
                Err(error) => return Poll::Ready(Err(self.ended(error))),
            };
            let shared = &self.shared;
            let see = |event: &Event| may_see(shared, &self.caller, event);
            let page = page(shared, Some(self.after), limit, see);
            self.after = page.next;
            if page.gap || !page.events.is_empty() {
                return Poll::Ready(Ok(page));
            }
            if page.more {
                // Others get a turn.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.watch.poll_changed(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn ended(&self, error: EngineError) -> EngineError {
        let now = self.shared.clock.now();
        let touched = Touched::default();
        let told = record::<ReadEvents>(&self.shared, &self.caller, now, touched, Some(&error));
        told.err().unwrap_or(error)
    }
}

/// The caller as it is now.
fn renew(shared: &Shared, caller: &Caller) -> Result<Caller, EngineError> {
    // Lethe itself has no credential, and never ends.
    let Some(id) = caller.credential else { return Ok(caller.clone()) };
    let now = shared.clock.now();
    let principal = shared.catalogue.by_credential(id).filter(|entry| {
        let record = entry.record();
        let credential = record.credentials.iter().find(|credential| credential.id == id);
        record.id == caller.principal()
            && record.is_live(now)
            && credential.is_some_and(|credential| credential.is_live(now))
    });
    let principal = principal.filter(|_| caller.bounds.until.is_none_or(|end| now < end));
    let principal = principal.ok_or(EngineError::AuthenticationNotSuccessful)?;
    Ok(Caller { principal, ..caller.clone() })
}

fn check(caller: &Caller) -> Result<(), EngineError> {
    if ANY_OF.iter().any(|&permission| caller.holds_anywhere(permission)) {
        return Ok(());
    }
    Err(EngineError::PermissionDenied(Permission::KeysRead))
}

fn check_limit(limit: usize) -> Result<(), EngineError> {
    if (1..=PAGE_EVENTS_MAX).contains(&limit) {
        return Ok(());
    }
    let why = format!("must be 1 to {PAGE_EVENTS_MAX}");
    Err(EngineError::InvalidField { field: "limit", why })
}

/// Whether the caller may see what the event is about, as it is now.
fn may_see(shared: &Shared, caller: &Caller, event: &Event) -> bool {
    if event.realm != caller.realm() {
        return false;
    }
    match (event.key, event.subject, event.kind.split('.').next()) {
        (Some(key), _, _) => match shared.catalogue.key(key) {
            Some(entry) => caller.may_read(entry.record()),
            None => caller.holds(Permission::KeysRead, None, Some(key)),
        },
        (None, Some(vault), Some("vault")) => {
            caller.holds(Permission::VaultsRead, Some(VaultId(vault)), None)
        }
        (None, Some(_), Some("realm")) => caller.holds(Permission::VaultsRead, None, None),
        (None, Some(_), Some("principal" | "grant")) => {
            caller.holds(Permission::PrincipalsRead, None, None)
        }
        (None, _, _) => caller.holds(Permission::KeysRead, None, None),
    }
}

/// Events of the ring that `wanted` accepts. Looks at no more than [`SCAN_ENTRIES_MAX`] of them.
fn page(
    shared: &Shared,
    after: Option<u64>,
    limit: usize,
    wanted: impl Fn(&Event) -> bool,
) -> EventPage {
    let (floor, end) = shared.events.bounds();
    let from = after.map_or(floor, |after| after.saturating_add(1));
    let mut gap = from < floor || from > end;
    let mut next = if gap { floor } else { from };
    let mut events = Vec::new();
    let mut looked_at = 0;
    loop {
        let piece = shared.events.piece(next, PIECE_EVENTS);
        // The ring may go on while its pieces are read.
        gap |= piece.floor > next;
        let is_last = piece.events.len() < PIECE_EVENTS;
        looked_at += piece.events.len();
        for event in piece.events {
            next = event.id + 1;
            if wanted(&event) {
                events.push(event);
            }
            if events.len() == limit {
                return EventPage { events, next: next - 1, gap, more: next < piece.end };
            }
        }
        if is_last {
            let next = piece.end.saturating_sub(1);
            return EventPage { events, next, gap, more: false };
        }
        if looked_at >= SCAN_ENTRIES_MAX {
            return EventPage { events, next: next - 1, gap, more: true };
        }
    }
}
