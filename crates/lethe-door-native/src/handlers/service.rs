//! What the server tells about itself: algorithms, health, metrics.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use lethe_crypto::registry::Algorithm;
use lethe_http::{Reply, Request, Response};

use crate::error::Refusal;
use crate::state::State;
use crate::{auth, headers, render, wire};

/// The text format of Prometheus.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(crate) fn algorithms(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    auth::caller(state, &request.head)?;
    let algorithms = Algorithm::all().map(wire::AlgorithmView::of).collect();
    Ok(render::json(StatusCode::OK, &wire::Algorithms { algorithms }).into())
}

pub(crate) fn live(_: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    Ok(health(StatusCode::OK, "live", None).into())
}

pub(crate) fn ready(state: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    let engine = state.engine.ready().map_err(str::to_owned);
    Ok(match engine.and_then(|()| state.service.ready()) {
        Ok(()) => health(StatusCode::OK, "ready", None),
        Err(reason) => health(StatusCode::SERVICE_UNAVAILABLE, "not_ready", Some(reason)),
    }
    .into())
}

fn health(status_code: StatusCode, status: &'static str, reason: Option<String>) -> Response {
    let mut response = render::json(status_code, &wire::Health { status, reason });
    response.headers_mut().insert(CACHE_CONTROL, headers::NO_STORE);
    response
}

pub(crate) fn metrics(state: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    Ok(render::with_body(StatusCode::OK, METRICS, state.service.metrics()).into())
}
