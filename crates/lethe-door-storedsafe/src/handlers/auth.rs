//! Log in, ask whether a token is good, log out.

use std::sync::Arc;

use serde_json::json;

use crate::account::{FULL_NAME, Status, text_of, user_id};
use crate::call::{Call, Work};
use crate::envelope::{Answer, Field};
use crate::login;
use crate::state::State;

/// The version that clients are told.
pub(crate) const VERSION: &str = "2.5.0";

pub(crate) fn log_in(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || {
        let logged_in = login::log_in(&state, &call)?;
        let record = logged_in.caller.record();
        let idle_ms = u64::try_from(state.settings.token_idle.as_millis()).unwrap_or(u64::MAX);
        let fullname = text_of(record.attributes.get(FULL_NAME)).unwrap_or(record.name.as_str());
        Ok(Answer::ok()
            .info("audit", json!({ "violations": [], "warnings": [] }))
            .info("filesupport", 0)
            .info("fingerprint", "")
            .info("fullname", fullname)
            // The vendor repeats the passphrase here.
            .info("password", "")
            .info("timeout", idle_ms)
            .info("userid", user_id(record))
            .info("username", record.login.as_deref().unwrap_or_default())
            .info("userstatus", Status::of(record).0.to_string())
            .info("version", VERSION)
            .info("token", Field::Secret(logged_in.token)))
    })
}

/// That the token is good was found before; it was used by that.
pub(crate) fn check(_: &Arc<State>, _: &Arc<Call>) -> Work {
    Ok(Answer::ok()).into()
}

pub(crate) fn log_out(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let session = call.session()?;
        state.sessions.end(session.login.id);
        // The token is dead in any case; what is left in the store would end by itself.
        state.forget_logins(&session.caller, &[session.login.hash]).await?;
        Ok(Answer::ok().info("logout", "Bye bye"))
    })
}
