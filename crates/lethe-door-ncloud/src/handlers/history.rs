//! What was done with a key, and its last use.

use lethe_engine::record::KeyRecord;
use lethe_engine::{DoorOperation, EngineError};
use lethe_http::{Reply, Response};
use lethe_types::{Permission, UnixMillis};
use serde::Serialize;

use super::{Paging, Query, decimal, keys};
use crate::error::Refusal;
use crate::journal::{Record, Source};
use crate::route::Ask;
use crate::state::State;
use crate::visit::{Visit, Who, visit};

/// How far back activities are told, unless the request says otherwise: a day.
const LOOK_BACK_MS: u64 = 86_400_000;
/// Most records of one key that are told at a time, on all pages together.
const RECORDS_MAX: usize = 100_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Activity {
    /// ISO 8601.
    timestamp: String,
    data: What,
    message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct What {
    kms_key: Key,
    requestor: Requestor,
    api: Api,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key {
    key_tag: String,
    key_name: String,
    nrn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Requestor {
    request_type: &'static str,
    id: String,
    ip: String,
}

#[derive(Serialize)]
struct Api {
    result: &'static str,
    action: String,
    r#type: &'static str,
}

impl Activity {
    fn of(state: &State, key: &KeyRecord, record: Record) -> Self {
        let api = Api {
            result: if record.refused.is_none() { "SUCCESS" } else { "FAIL" },
            action: record.title.into_owned(),
            r#type: match record.source {
                Source::Account => "ACCOUNT",
                Source::Token => "TOKEN",
            },
        };
        let kms_key = Key {
            key_tag: record.tag,
            key_name: key.name.as_str().to_owned(),
            nrn: keys::nrn(state, key),
        };
        let requestor = Requestor { request_type: "API", id: record.id, ip: record.address };
        Self {
            timestamp: UnixMillis(record.at).to_string(),
            data: What { kms_key, requestor, api },
            message: record.refused.map_or_else(|| "OK".to_owned(), |why| why.into_owned()),
        }
    }

    fn mentions(&self, keyword: &str) -> bool {
        let What { requestor, api, .. } = &self.data;
        let texts = [&api.action, &requestor.id, &requestor.ip, &self.message];
        texts.iter().any(|text| text.to_lowercase().contains(keyword))
    }
}

/// That the caller may read histories; told to the audit trail.
fn check(visit: &Visit) -> Result<(), Refusal> {
    let may = visit.caller.may_on(Permission::AuditRead, &visit.entry);
    let refused = (!may).then_some(EngineError::PermissionDenied(Permission::AuditRead));
    let named = DoorOperation::named("ncloud.activity.read");
    let operation = DoorOperation { key: Some(visit.key()), ..named };
    Ok(visit.state.engine.decide(&visit.caller, operation, refused)?)
}

/// On the pool for blocking work: reads the store.
pub(crate) fn activities(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.blocking(activities_now)
}

fn activities_now(visit: &Visit) -> Result<Response, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page {
        activity_log_list: Vec<Activity>,
        page_size: usize,
        current_page_no: usize,
        total_page_no: usize,
        total_count: usize,
    }
    let query = Query::of(visit.head())?;
    let paging = Paging::of(&query)?;
    let keyword = query.get("keyword").unwrap_or_default().to_lowercase();
    let time = |name, default| match query.get(name) {
        None | Some("") => Ok(default),
        Some(text) => decimal(text).ok_or(Refusal::BadInput("a timestamp is in milliseconds")),
    };
    let now = visit.state.clock.now().0;
    let from = time("timestampFrom", now.saturating_sub(LOOK_BACK_MS))?;
    let to = time("timestampTo", now)?;
    check(visit)?;
    let mut found = Vec::new();
    visit.state.journal.look_back(from, |record| {
        if record.at <= to && record.tag == visit.tag() {
            let activity = Activity::of(&visit.state, visit.entry.record(), record);
            if activity.mentions(&keyword) {
                found.push(activity);
            }
        }
        found.len() < RECORDS_MAX
    })?;
    let total = found.len();
    let page = found.into_iter().skip(paging.skipped()).take(paging.size);
    Ok(visit.data(&Page {
        activity_log_list: page.collect(),
        page_size: paging.size,
        current_page_no: paging.number,
        total_page_no: paging.pages(total),
        total_count: total,
    }))
}

/// On the pool for blocking work: reads the store.
pub(crate) fn last_use(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.blocking(|visit| {
        check(visit)?;
        // The engine knows uses through all doors, and those that the journal no longer has.
        let Some(used) = visit.entry.used() else { return Ok(visit.data(&())) };
        let mut last = None;
        visit.state.journal.look_back(0, |record| {
            if record.is_use && record.refused.is_none() && record.tag == visit.tag() {
                last = Some(record);
            }
            last.is_none()
        })?;
        let told = last.unwrap_or_else(|| Record {
            at: used.last.0,
            tag: visit.tag().to_owned(),
            source: Source::Account,
            id: used.by.to_string(),
            address: String::new(),
            title: "".into(),
            is_use: true,
            refused: None,
        });
        Ok(visit.data(&Activity::of(&visit.state, visit.entry.record(), told)))
    })
}
