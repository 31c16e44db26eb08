//! What this server has not, as it is answered: lists are empty, the rest is refused.

use std::sync::Arc;

use serde_json::json;

use crate::call::{Call, Work};
use crate::envelope::Answer;
use crate::error::Failure;
use crate::state::State;

pub(crate) fn refuse(_: &Arc<State>, _: &Arc<Call>) -> Work {
    Err(Failure::not_supported()).into()
}

pub(crate) fn templates(_: &Arc<State>, _: &Arc<Call>) -> Work {
    Ok(Answer::ok().with("TEMPLATE", json!([]))).into()
}

pub(crate) fn find(_: &Arc<State>, _: &Arc<Call>) -> Work {
    Ok(Answer::ok().with("OBJECT", json!([])).with("TEMPLATES", json!([]))).into()
}
