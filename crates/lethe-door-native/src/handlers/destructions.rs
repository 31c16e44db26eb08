//! Bulk destructions: begin, follow, stop.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::record::JobRecord;
use lethe_engine::{BulkRequest, Selection};
use lethe_http::{Reply, Request, Response};
use lethe_types::JobId;

use super::{caller_without_query, page_limit, parsed};
use crate::error::Refusal;
use crate::state::State;
use crate::{auth, body, headers, render, reply, wire};

/// On the pool for blocking work: the list of keys may be long.
pub(crate) fn start(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |request| {
        let wanted = parse_start(request)?;
        let job = reply::block_on(state.engine.start_bulk_destroy(&caller, wanted))?;
        let mut response =
            render::created(&format!("/v1/destructions/{}", job.id), &wire::Job::of(&job));
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }))
}

fn parse_start(request: &Request) -> Result<BulkRequest, Refusal> {
    let wanted: wire::StartDestruction<'_> = body::parse(request)?;
    let vault = wanted.vault.as_deref().map(|vault| parsed("vault", vault)).transpose()?;
    let selection = match (wanted.keys, vault, wanted.labels) {
        (Some(keys), None, None) => Selection::Keys(keys.into_ids()?),
        (None, Some(vault), None) => Selection::Vault(vault),
        (None, vault, Some(labels)) => {
            let labels = wire::label_changes(Some(&labels))?.into_iter().collect();
            Selection::Labels { labels, vault }
        }
        (Some(_), _, _) => {
            let why = "must not be there together with `vault` or `labels`";
            return Err(Refusal::invalid("keys", why));
        }
        (None, None, None) => {
            return Err(Refusal::invalid("keys", "must be there, or `vault`, or `labels`"));
        }
    };
    let reason = wanted.reason.into_owned();
    Ok(BulkRequest { selection, reason, expected: wanted.expected })
}

pub(crate) fn list(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let [limit] = headers::query(&request.head, ["limit"])?;
    let jobs = state.engine.list_jobs(&caller, page_limit(limit.as_deref())?)?;
    let destructions = jobs.iter().map(|job| wire::Job::of(job)).collect();
    Ok(render::json(StatusCode::OK, &wire::Jobs { destructions }).into())
}

pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let job = state.engine.read_job(&caller, job_id(&request)?)?;
    Ok(response(&job).into())
}

/// Reads the store.
pub(crate) fn refused(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = auth::caller(state, &request.head)?;
    let job = job_id(&request)?;
    let [from, limit] = headers::query(&request.head, ["from", "limit"])?;
    let from = from.map(|text| {
        headers::decimal(&text).ok_or_else(|| Refusal::invalid("from", "must be a number"))
    });
    let from = from.transpose()?.unwrap_or(0);
    let limit = page_limit(limit.as_deref())?;
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| {
        // One more tells whether there is a next page.
        let most = u32::try_from(limit + 1).unwrap_or(u32::MAX);
        let left = state.engine.left_keys(&caller, job, from, most)?;
        Ok(render::json(StatusCode::OK, &wire::RefusedKeys::of(&left, limit)))
    }))
}

pub(crate) fn cancel(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let job = job_id(&request)?;
    let wire::Nothing {} = body::parse_optional(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        Ok(response(&*state.engine.cancel_job(&caller, job).await?))
    }))
}

fn job_id(request: &Request) -> Result<JobId, Refusal> {
    parsed("id", request.param("id"))
}

fn response(job: &JobRecord) -> Response {
    render::json(StatusCode::OK, &wire::Job::of(job))
}
