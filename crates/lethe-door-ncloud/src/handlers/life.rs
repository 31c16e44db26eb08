//! Enable and disable a key.

use lethe_http::Reply;
use lethe_types::{KeyState, StableState, Transition};
use serde::Serialize;

use crate::body;
use crate::error::Refusal;
use crate::kept::{self, Status};
use crate::route::Ask;
use crate::visit::{Visit, Who, visit};

/// A key's status, and since when it has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changed<'a> {
    key_tag: &'a str,
    status: &'static str,
    status_date: u64,
}

impl<'a> Changed<'a> {
    pub(super) fn of(record: &'a lethe_engine::record::KeyRecord) -> Self {
        Self {
            key_tag: kept::tag(record).unwrap_or_default(),
            status: Status::of(record.state).map_or("", Status::as_str),
            status_date: kept::status_date(record).0,
        }
    }
}

pub(crate) fn enable(ask: Ask) -> Result<Reply, Refusal> {
    let visit = visit(ask, Who::Account)?;
    let is_new = visit.entry.record().state == KeyState::Stable(StableState::PreActive);
    let transition = if is_new { Transition::Activate } else { Transition::Resume };
    change(visit, transition)
}

pub(crate) fn disable(ask: Ask) -> Result<Reply, Refusal> {
    change(visit(ask, Who::Account)?, Transition::Suspend)
}

/// The engine's table of states says whether that is possible.
fn change(visit: Visit, transition: Transition) -> Result<Reply, Refusal> {
    visit.pending(async move |visit| {
        body::nothing(&visit.request)?;
        let engine = &visit.state.engine;
        let changed = engine.change_state(&visit.caller, visit.key(), transition, None).await?;
        Ok(visit.data(&Changed::of(changed.record())))
    })
}
