//! Who asks: the bearer token, and whether its holder may do what they ask for.

use http::header::AUTHORIZATION;
use lethe_engine::record::{Credential, PrincipalKind};
use lethe_engine::{Caller, DoorOperation, EngineError};
use lethe_http::RequestHead;
use lethe_types::{CredentialId, Permission};

use crate::account::{assignments, find, kind_word, token_kind};
use crate::error::Refusal;
use crate::operations::{NOT_OF_END_USERS, OF_END_USERS, Operations, permissions_of};
use crate::state::State;
use crate::tokens::TokenKind;
use crate::{DOOR, ids};

/// Somebody whose token is good.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Bounded by what the token leaves of the user's rights.
    pub(crate) caller: Caller,
    pub(crate) token: CredentialId,
    pub(crate) token_kind: TokenKind,
    pub(crate) operations: Operations,
}

impl Identity {
    pub(crate) fn user_id(&self) -> String {
        ids::user(self.caller.principal())
    }

    pub(crate) fn is_end_user(&self) -> bool {
        self.caller.record().kind == PrincipalKind::EndUser
    }

    /// The credential that the token stands for.
    ///
    /// # Errors
    /// Never for an identity that was just made.
    pub(crate) fn token_credential(&self) -> Result<&Credential, Refusal> {
        find(self.caller.record(), self.token).ok_or_else(Refusal::not_authorized)
    }

    /// Whether they may do all of `operations`.
    ///
    /// # Errors
    /// 403 naming the first that they may not do.
    pub(crate) fn check(&self, operations: &[&'static str]) -> Result<(), Refusal> {
        let may = |name: &&&'static str| {
            let is_withheld = self.is_end_user() && NOT_OF_END_USERS.contains(name);
            self.operations.contains(**name) && !is_withheld
        };
        match operations.iter().find(|name| !may(name)) {
            None => Ok(()),
            Some(lacking) => Err(Refusal::forbidden(format!(
                "{} {} is not authorized to perform operation ({lacking})",
                kind_word(self.caller.record()),
                self.user_id(),
            ))),
        }
    }
}

/// The one bearer token of a request.
fn bearer(head: &RequestHead) -> Option<&str> {
    let mut values = head.headers.get_all(AUTHORIZATION).iter();
    // Of two credentials neither is taken: a proxy may have looked at the other one.
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Whose token the request brings.
///
/// # Errors
/// 401, the same for every cause; 503 if the audit trail takes nothing.
pub(crate) fn authenticate(state: &State, head: &RequestHead) -> Result<Identity, Refusal> {
    let request = head.request_id.to_bytes();
    let named = bearer(head).and_then(|token| state.issuer.open(token));
    let Some(named) = named else {
        state.engine.refuse_anonymous(DOOR, request)?;
        return Err(Refusal::not_authorized());
    };
    let caller =
        state.engine.caller_of(state.realm, named.user, Some(named.token), DOOR, request)?;
    identity(state, caller, named.token)
}

/// What the holder of the token may do.
fn identity(state: &State, caller: Caller, token: CredentialId) -> Result<Identity, Refusal> {
    let record = caller.record();
    let kind = find(record, token).and_then(token_kind).ok_or_else(Refusal::not_authorized)?;
    let all = assignments(record);
    let of = |identity: Option<&str>| -> Operations {
        let given = all.iter().filter(|given| given.identity.as_deref() == identity);
        given.flat_map(|assignment| state.permissions.operations(&assignment.permission)).collect()
    };
    let mut operations = of(None);
    if record.kind == PrincipalKind::EndUser && all.is_empty() {
        operations.extend(OF_END_USERS);
    }
    match kind {
        // Never more than its user.
        TokenKind::Pat => {
            let own = of(Some(&ids::token(token)));
            operations.retain(|name| own.contains(name));
        }
        TokenKind::Recovery | TokenKind::Temporary => operations.clear(),
        TokenKind::Login | TokenKind::ServiceAccount => {}
    }
    let bound = permissions_of(&operations);
    let caller = caller.bounded(bound, None);
    Ok(Identity { caller, token, token_kind: kind, operations })
}

/// Records what the door itself refuses.
///
/// # Errors
/// The refusal; 503 if the audit trail takes nothing.
pub(crate) fn refuse<T>(
    state: &State,
    caller: &Caller,
    operation: &'static str,
    refusal: Refusal,
) -> Result<T, Refusal> {
    let error = EngineError::PermissionDenied(Permission::RealmRead);
    match state.engine.decide(caller, DoorOperation::named(operation), Some(error.clone())) {
        Err(other) if other != error => Err(other.into()),
        Ok(()) | Err(_) => Err(refusal),
    }
}
