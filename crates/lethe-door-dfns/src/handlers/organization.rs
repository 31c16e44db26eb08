//! The beginning: whoever manages the realm makes the first service account, with a token of the
//! native interface and without a signed action, which nobody could sign yet.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use lethe_types::Permissions;
use serde_json::json;

use super::people::NAME_CHARACTERS_MAX;
use super::service_accounts::public_key;
use crate::DOOR;
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::provision;
use crate::state::State;

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let head = &call.request.head;
    let request = head.request_id.to_bytes();
    let token = head.header(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
    let caller = state.engine.authenticate_bearer(DOOR, request, token.unwrap_or_default())?;
    if caller.realm() != state.realm {
        return Err(Refusal::not_authorized());
    }
    if !caller.realm_permissions().contains_all(Permissions::all()) {
        return Err(Refusal::forbidden("this needs every permission on the realm"));
    }
    let mut members = call.members()?;
    let name = members.sized_text("name", 1, NAME_CHARACTERS_MAX)?;
    let name = name.ok_or_else(|| members.refuse("name", "is required"))?;
    let key = public_key(&mut members)?;
    members.finish()?;
    let made = provision::first_account(&state, &caller, &name, key).await?;
    Ok(json!({
        "orgId": made.org_id,
        "userId": made.user_id,
        "credId": made.credential_id,
        "tokenId": made.token_id,
        "token": made.auth_token,
    })
    .into())
}
