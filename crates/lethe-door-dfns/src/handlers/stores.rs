//! Where secrets are: one store.

use std::sync::Arc;

use serde_json::json;

use crate::call::{Call, Outcome};
use crate::keys_made::store_id;
use crate::state::State;

pub(crate) async fn key_stores(state: Arc<State>, _call: Arc<Call>) -> Outcome {
    let store = json!({
        "id": store_id(state.realm),
        "kind": "Hsm",
        "name": "Lethe",
        "primary": true,
    });
    Ok(json!({"items": [store]}).into())
}

/// Policies are not here: there are none.
pub(crate) async fn policies(_state: Arc<State>, _call: Arc<Call>) -> Outcome {
    Ok(json!({"items": []}).into())
}
