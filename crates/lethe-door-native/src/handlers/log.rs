//! The public face of the log, as C2SP tlog-tiles has it under the prefix `/v1/log`. No credential:
//! monitors and witnesses have none, and entries hold only commitments.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use lethe_http::{Reply, Request};
use lethe_log::TileName;

use crate::error::Refusal;
use crate::state::State;
use crate::{headers, render, reply};

/// The checkpoint changes with every entry.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

pub(crate) fn checkpoint(state: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    let checkpoint = state.engine.log_checkpoint();
    let mut response = render::with_body(StatusCode::OK, headers::TEXT, checkpoint);
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    Ok(response.into())
}

pub(crate) fn vkey(state: &Arc<State>, _: Request) -> Result<Reply, Refusal> {
    let vkey = format!("{}\n", state.engine.log_vkey());
    Ok(render::with_body(StatusCode::OK, headers::TEXT, vkey).into())
}

/// Reads the store.
pub(crate) fn tile(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    // A path that is no tile's is a path that is not there.
    let name = format!("tile/{}", request.param("path"));
    let name: TileName = name.parse().map_err(|_| Refusal::NotFound)?;
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| {
        let tile = state.engine.log_tile(&name)?;
        let mut response = render::with_body(StatusCode::OK, headers::BYTES, tile);
        response.headers_mut().insert(CACHE_CONTROL, headers::IMMUTABLE);
        Ok(response)
    }))
}
