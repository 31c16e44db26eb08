//! A request about one key: who makes it, which key, and what the history is told of it.

use core::future::Future;
use std::sync::Arc;

use lethe_engine::{Caller, DoorOperation, EngineError, KeyChange, KeyEntry, TokensChange};
use lethe_http::{Reply, Request, RequestHead, Response};
use lethe_types::{KeyId, Permission};

use crate::auth::{self, Account, Presented};
use crate::error::Refusal;
use crate::journal::{Record, Source};
use crate::kept::{self, KeyType, Status};
use crate::route::Ask;
use crate::state::State;
use crate::token::{self, Purpose};
use crate::{DOOR, render};

/// Longest tag of a key in a path.
const TAG_BYTES_MAX: usize = 128;
/// Largest body of a use that is answered on the thread that serves its connection, in bytes.
const INLINE_BODY_BYTES_MAX: usize = 65_536;

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Accounts.
    Account,
    /// Accounts, and who has an access token of the key.
    AccountOrToken,
    /// Who has a refresh token of the key.
    RefreshToken,
}

/// A request about a key that is there, by somebody who proved who they are.
pub(crate) struct Visit {
    pub(crate) state: Arc<State>,
    pub(crate) request: Request,
    pub(crate) caller: Caller,
    /// The key as it was when the request came.
    pub(crate) entry: Arc<KeyEntry>,
    /// The access key of the account, or that of who made the token.
    pub(crate) access_key: String,
    source: Source,
    title: Option<&'static str>,
    is_use: bool,
}

/// The visit that `ask` is.
///
/// # Errors
/// In this order: who asks is not proven; the tag is malformed; there is no such key.
pub(crate) fn visit(ask: Ask, who: Who) -> Result<Visit, Refusal> {
    let Ask { state, request, title, is_use } = ask;
    let head = &request.head;
    let (caller, access_key, entry, source) = match (auth::presented(head), who) {
        (Presented::Signature, Who::Account | Who::AccountOrToken) => {
            let Account { caller, access_key } = auth::account(&state, head)?;
            let entry = find(&state, request.param("tag"))?;
            (caller, access_key, entry, Source::Account)
        }
        (Presented::Token(text), Who::AccountOrToken | Who::RefreshToken)
            if !render::is_old(head) =>
        {
            let purpose = match who {
                Who::RefreshToken => Purpose::Refresh,
                Who::Account | Who::AccountOrToken => Purpose::Access,
            };
            let found = find(&state, request.param("tag")).map_err(|_| Refusal::TokenRefused);
            let entry = refused_in_trail(&state, head, found)?;
            let (caller, access_key) = token::guest(&state, head, &entry, text, purpose)?;
            (caller, access_key, entry, Source::Token)
        }
        (Presented::Nothing, _) => return Err(auth::nobody(&state, head)),
        (Presented::Signature | Presented::Token(_), _) => {
            return refused_in_trail(&state, head, Err(Refusal::TokenRefused));
        }
    };
    Ok(Visit { state, request, caller, entry, access_key, source, title, is_use })
}

/// `result`; if nobody proved themselves by it, the audit trail says so.
pub(crate) fn refused_in_trail<T>(
    state: &State,
    head: &RequestHead,
    result: Result<T, Refusal>,
) -> Result<T, Refusal> {
    if let Err(Refusal::TokenRefused) = result {
        state.engine.refuse_anonymous(DOOR, head.request_id.to_bytes())?;
    }
    result
}

/// The key of that tag.
///
/// # Errors
/// [`Refusal::BadInput`] for what cannot be a tag; [`Refusal::NotFound`] for a key that is not
/// there, or no more.
pub(crate) fn find(state: &State, tag: &str) -> Result<Arc<KeyEntry>, Refusal> {
    let is_tag = tag.len() <= TAG_BYTES_MAX && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_tag {
        return Err(Refusal::BadInput("key tag is malformed"));
    }
    let found = state.engine.key_with_alias(state.realm, DOOR, tag);
    let live = found.filter(|entry| Status::of(entry.record().state).is_some());
    live.ok_or(Refusal::NotFound("there is no such key"))
}

impl Visit {
    pub(crate) fn key(&self) -> KeyId {
        self.entry.record().id
    }

    pub(crate) fn tag(&self) -> &str {
        kept::tag(self.entry.record()).unwrap_or_default()
    }

    pub(crate) fn head(&self) -> &RequestHead {
        &self.request.head
    }

    /// The key as it is now.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] if it is gone.
    pub(crate) fn now(&self) -> Result<Arc<KeyEntry>, Refusal> {
        find(&self.state, self.tag())
    }

    /// The key's type.
    ///
    /// # Errors
    /// [`Refusal::BadInput`] for one that this service does not have.
    pub(crate) fn key_type(&self) -> Result<KeyType, Refusal> {
        let unknown = Refusal::BadInput("key type does not support this operation");
        KeyType::of(self.entry.record().algorithm).ok_or(unknown)
    }

    /// That the key's status forbids what needs `permission`: told only to who has it, and told to
    /// the audit trail either way.
    pub(crate) fn wrong_state(&self, permission: Permission, operation: &'static str) -> Refusal {
        self.wrong_state_of(&self.entry, permission, operation)
    }

    fn wrong_state_of(
        &self,
        entry: &KeyEntry,
        permission: Permission,
        operation: &'static str,
    ) -> Refusal {
        let error = if self.caller.may_on(permission, entry) {
            EngineError::WrongStateForUse { state: entry.record().state, operation }
        } else {
            EngineError::PermissionDenied(permission)
        };
        self.refused(operation, error)
    }

    /// That `error` refuses the operation; told to the audit trail.
    pub(crate) fn refused(&self, operation: &'static str, error: EngineError) -> Refusal {
        let named = DoorOperation { key: Some(self.key()), ..DoorOperation::named(operation) };
        let decided = self.state.engine.decide(&self.caller, named, Some(error.clone()));
        decided.err().unwrap_or(error).into()
    }

    /// `data` in the envelope.
    pub(crate) fn data<T: serde::Serialize>(&self, data: &T) -> Response {
        render::data(self.head(), data)
    }

    /// The answer, told to the history.
    fn told(&self, result: Result<Response, Refusal>) -> Response {
        self.tell(result.as_ref().err());
        result.unwrap_or_else(|refusal| refusal.into_response(self.head()))
    }

    fn tell(&self, refusal: Option<&Refusal>) {
        let Some(title) = self.title else { return };
        self.state.journal.tell(Record {
            at: self.state.clock.now().0,
            tag: self.tag().to_owned(),
            source: self.source,
            id: self.access_key.clone(),
            address: self.head().peer.ip().to_canonical().to_string(),
            title: title.into(),
            is_use: self.is_use,
            refused: refusal.map(|refusal| refusal.message().into()),
        });
    }

    /// Answers at once.
    pub(crate) fn ready(
        self,
        work: impl FnOnce(&Self) -> Result<Response, Refusal>,
    ) -> Result<Reply, Refusal> {
        let result = work(&self);
        Ok(self.told(result).into())
    }

    /// Answers from the pool for blocking work.
    pub(crate) fn blocking(
        self,
        work: impl FnOnce(&Self) -> Result<Response, Refusal> + Send + 'static,
    ) -> Result<Reply, Refusal> {
        Ok(Reply::blocking(move || {
            let result = work(&self);
            self.told(result)
        }))
    }

    /// Answers here if the key is quick and the body small, and else from the pool.
    pub(crate) fn by_cost(
        self,
        work: impl FnOnce(&Self) -> Result<Response, Refusal> + Send + 'static,
    ) -> Result<Reply, Refusal> {
        let is_slow = self.entry.record().algorithm.is_slow_to_generate();
        if is_slow || self.request.body.len() > INLINE_BODY_BYTES_MAX {
            self.blocking(work)
        } else {
            self.ready(work)
        }
    }

    /// Answers when a change is made.
    pub(crate) fn pending<F>(self, work: impl FnOnce(Arc<Self>) -> F) -> Result<Reply, Refusal>
    where
        F: Future<Output = Result<Response, Refusal>> + Send + 'static,
    {
        let visit = Arc::new(self);
        let answer = work(Arc::clone(&visit));
        Ok(Reply::pending(async move { visit.told(answer.await) }))
    }

    /// Changes the key as `plan` says of the key as it is, if its status is among `allowed`; plans
    /// anew when somebody else was faster.
    pub(crate) async fn update(
        &self,
        (permission, operation): (Permission, &'static str),
        allowed: &[Status],
        mut plan: impl FnMut(&KeyEntry) -> Result<Planned, Refusal>,
    ) -> Result<Arc<KeyEntry>, Refusal> {
        let mut entry = Arc::clone(&self.entry);
        for _ in 0..CONFLICTS_MAX {
            let status = Status::of(entry.record().state);
            if !status.is_some_and(|status| allowed.contains(&status)) {
                return Err(self.wrong_state_of(&entry, permission, operation));
            }
            let expected = Some(entry.revision());
            let engine = &self.state.engine;
            let result = match plan(&entry)? {
                Planned::Key(change) => {
                    engine.update_key(&self.caller, self.key(), &change, expected).await
                }
                Planned::Tokens(change) => {
                    engine.change_key_tokens(&self.caller, self.key(), change, expected).await
                }
            };
            match result {
                Ok(changed) => return Ok(changed),
                Err(EngineError::RevisionMismatch) => entry = self.now()?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(EngineError::RevisionMismatch.into())
    }
}

/// What is to become of a key.
pub(crate) enum Planned {
    Key(KeyChange),
    Tokens(TokensChange),
}

/// Attempts at a change that is lost to a faster one each time.
pub(crate) const CONFLICTS_MAX: usize = 16;
