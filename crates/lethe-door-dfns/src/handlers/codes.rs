//! One-time codes, as operators make them and users ask for them.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use lethe_engine::record::PrincipalRecord;
use lethe_engine::{Caller, DoorOperation};
use lethe_types::Permissions;
use serde_json::json;

use super::people::is_person;
use super::sessions::{by_name, has_key};
use crate::DOOR;
use crate::call::{Call, Outcome};
use crate::codes::{self, CodeKind};
use crate::error::Refusal;
use crate::ids;
use crate::state::State;

/// Whoever manages the realm, by a token of the native interface.
///
/// # Errors
/// 401, 403.
pub(crate) fn operator(state: &State, call: &Call) -> Result<Caller, Refusal> {
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
    Ok(caller)
}

/// Makes a code, which is told this once.
pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let caller = operator(&state, &call)?;
    let mut members = call.members()?;
    let name = members.needed_text("username")?;
    let kind = members.needed_text("kind")?;
    let kind = CodeKind::named(&kind)
        .ok_or_else(|| members.refuse("kind", "must be Login, Recovery or Registration"))?;
    members.finish()?;
    let is_one = |record: &PrincipalRecord| is_person(record) && record.revoked.is_none();
    let found = by_name(&state, &name).filter(|entry| is_one(entry.record()));
    let details = json!({"username": name, "orgId": ids::org(state.realm)});
    let found = found.ok_or_else(|| Refusal::not_found("user not found", details))?;
    let record = found.record();
    if kind == CodeKind::Registration && has_key(record) {
        let why = "the user is registered; a recovery begins with a code of kind Recovery";
        return Err(Refusal::conflict(why, json!({"username": name})));
    }
    let operation =
        DoorOperation { subject: Some(record.id.0), ..DoorOperation::named("dfns.code.order") };
    state.engine.decide(&caller, operation, None)?;
    let (code, expires) = codes::make(&state, record.id, kind).await?;
    Ok(json!({
        "code": code,
        "kind": kind.as_str(),
        "userId": ids::user(record.id),
        "username": name,
        "expires": expires.to_string(),
    })
    .into())
}

/// A user asks for a code. Nothing is sent: the audit trail says who asked, and the operator has
/// the code made. The answer is the same whether or not there is such a user.
pub(crate) async fn ask(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = members.needed_text("username")?;
    let org = members.needed_text("orgId")?;
    members.finish()?;
    let found = by_name(&state, &name)
        .filter(|entry| org == ids::org(state.realm) && is_person(entry.record()));
    let operation = DoorOperation {
        subject: found.map(|entry| entry.record().id.0),
        ..DoorOperation::named(call.op)
    };
    state.engine.decide(&state.system()?, operation, None)?;
    Ok(json!({"message": "success"}).into())
}
