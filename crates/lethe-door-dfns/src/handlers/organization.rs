//! The beginning: whoever manages the realm makes the first service account, with a token of the
//! native interface and without a signed action, which nobody could sign yet.

use std::sync::Arc;

use serde_json::json;

use super::codes::operator;
use super::people::NAME_CHARACTERS_MAX;
use super::service_accounts::public_key;
use crate::call::{Call, Outcome};
use crate::provision;
use crate::state::State;

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let caller = operator(&state, &call)?;
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
