//! Who signed a challenge: the one check of every assertion.

use lethe_crypto::registry::SignatureScheme;
use lethe_engine::record::Credential;
use lethe_engine::{Caller, EngineError};

use crate::account::{BACKUP_ELIGIBLE, KeyKind, is_called, public_key, text_of};
use crate::auth::refuse;
use crate::error::Refusal;
use crate::factors::{Assertion, Authenticator};
use crate::state::State;
use crate::webauthn::{Fault, check_assertion};
use crate::{ids, passkeys};

/// The refusal of every assertion that proves nothing.
pub(crate) const NO_CREDENTIAL: &str =
    "User does not have a credential that can be used for the application.";

/// What is asserted, and by whom.
pub(crate) struct Claim<'a> {
    pub(crate) caller: &'a Caller,
    /// The name of the request in the audit trail.
    pub(crate) op: &'static str,
    pub(crate) assertion: &'a Assertion,
    /// As it was given out.
    pub(crate) challenge: &'a str,
}

/// The key of `keys` that made the assertion, and how.
///
/// # Errors
/// 401, the same for every cause; the engine's.
pub(crate) async fn prove<'k>(
    state: &State,
    claim: &Claim<'_>,
    keys: Vec<(&'k Credential, KeyKind)>,
) -> Result<(&'k Credential, SignatureScheme), Refusal> {
    let Claim { caller, op, assertion, challenge } = claim;
    let turned_down = || refuse(state, caller, op, Refusal::unauthorized(NO_CREDENTIAL));
    let is_meant = |(key, kind): &(&Credential, KeyKind)| {
        is_called(key, &assertion.cred_id) && *kind == assertion.kind
    };
    let Some((key, _)) = keys.into_iter().find(is_meant) else { return turned_down() };
    let Some(scheme) = public_key(key).and_then(|(own, _)| assertion.scheme(own)) else {
        return turned_down();
    };
    let counter = match &assertion.authenticator {
        None if assertion.answers(challenge) => None,
        None => return turned_down(),
        Some(said) => match of_passkey(state, claim, key, said) {
            Ok(counter) => Some(counter),
            Err(_) => return turned_down(),
        },
    };
    let message = assertion.signed_bytes();
    let signature = &assertion.signature;
    let checked =
        state.engine.verify_signature_of(caller, key.id, Some(scheme), &message, signature);
    checked.map_err(|error| unless_proven(error, Refusal::unauthorized(NO_CREDENTIAL)))?;
    // Only now: nobody else moves it.
    let is_later = match counter {
        None => true,
        Some(counter) => passkeys::count(state, key, counter).await?,
    };
    if is_later { Ok((key, scheme)) } else { turned_down() }
}

/// The counter of a passkey whose data are right.
fn of_passkey(
    state: &State,
    claim: &Claim<'_>,
    key: &Credential,
    said: &Authenticator,
) -> Result<u32, Fault> {
    let user = ids::user(claim.caller.principal());
    // What a client registers a passkey for is the text of the identifier.
    let handle = said.user_handle.as_deref().filter(|handle| !handle.is_empty());
    if handle.is_some_and(|handle| handle != user.as_bytes()) {
        return Err(Fault::UserHandle);
    }
    let is_backup_eligible = text_of(&key.attributes, BACKUP_ELIGIBLE).is_some();
    let client_data = claim.assertion.client_data.as_bytes();
    let party = state.settings.party();
    let presented =
        check_assertion(&party, claim.challenge, client_data, &said.data, is_backup_eligible)?;
    Ok(presented.counter)
}

/// The refusal of a signature that proves nothing, if that is what is wrong.
pub(crate) fn unless_proven(error: EngineError, refused: Refusal) -> Refusal {
    if error == EngineError::AuthenticationNotSuccessful { refused } else { error.into() }
}
