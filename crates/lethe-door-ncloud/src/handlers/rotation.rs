//! Automatic rotation: on, off, how often. The engine carries it out.

use lethe_engine::KeyChange;
use lethe_engine::record::KeyRecord;
use lethe_http::Reply;
use serde::{Deserialize, Serialize};

use super::keys::{CHANGE, UNTIL_REVOKED, days, parse_rotation_days};
use crate::body;
use crate::error::Refusal;
use crate::kept;
use crate::route::Ask;
use crate::visit::{Planned, Who, visit};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    key_tag: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_auto_rotation: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation_period: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<u64>,
}

impl<'a> Told<'a> {
    fn of(record: &'a KeyRecord) -> Self {
        let next = kept::next_rotation(record);
        Self {
            key_tag: kept::tag(record).unwrap_or_default(),
            is_auto_rotation: Some(next.is_some()),
            rotation_period: next.map(|_| kept::rotation_days(record)),
            next_rotation_date: next.map(|next| next.0),
        }
    }
}

/// With the period that was set last. Nothing changes where it is on already.
pub(crate) fn enable(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        let changed = visit.update(CHANGE, &UNTIL_REVOKED, |entry| {
            let period = days(kept::rotation_days(entry.record()));
            Ok(Planned::Key(KeyChange {
                rotation_period: Some(Some(period)),
                // A disabled key follows its rhythm too.
                rotates_suspended: Some(true),
                ..KeyChange::default()
            }))
        });
        Ok(visit.data(&Told::of(changed.await?.record())))
    })
}

pub(crate) fn disable(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        let changed = visit.update(CHANGE, &UNTIL_REVOKED, |_| {
            let rotation_period = Some(None);
            Ok(Planned::Key(KeyChange { rotation_period, ..KeyChange::default() }))
        });
        Ok(visit.data(&Told::of(changed.await?.record())))
    })
}

/// The next rotation is a period after the last one, or after the creation, but not before now.
pub(crate) fn period(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wanted {
        rotation_period: u32,
    }
    visit(ask, Who::Account)?.pending(async |visit| {
        let Wanted { rotation_period } = body::object(&visit.request)?;
        let number = parse_rotation_days(rotation_period)?;
        let changed = visit.update(CHANGE, &UNTIL_REVOKED, |entry| {
            let record = entry.record();
            if kept::next_rotation(record).is_none() {
                return Err(Refusal::WrongState("automatic rotation is off"));
            }
            let last = record.versions.last().map_or(record.created, |newest| newest.created);
            let attributes = [(kept::ROTATION_DAYS.into(), Some(kept::bytes(&number.to_string())))];
            Ok(Planned::Key(KeyChange {
                attributes: attributes.into(),
                rotation_period: Some(Some(days(number))),
                rotation_next: Some(last.saturating_add(days(number))),
                ..KeyChange::default()
            }))
        });
        let changed = changed.await?;
        let told = Told::of(changed.record());
        Ok(visit.data(&Told { is_auto_rotation: None, ..told }))
    })
}
