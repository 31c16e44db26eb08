//! Give out tokens of a key, and say whether one is good.

use lethe_engine::{EngineError, TokensChange};
use lethe_http::{Reply, Response};
use lethe_types::UnixMillis;
use serde::{Deserialize, Serialize};

use super::generator::TOKENS;
use crate::auth::{self, Presented};
use crate::body::{self, Lifetime};
use crate::error::Refusal;
use crate::kept::{Generator, Status, TOKEN_SECRET};
use crate::route::Ask;
use crate::token::{self, Claims, Purpose};
use crate::visit::{Planned, Visit, Who, find, refused_in_trail, visit};
use crate::{ids, render};

const ACCESS_DEFAULT: Lifetime = Lifetime::Hours(72);
const REFRESH_DEFAULT: Lifetime = Lifetime::Hours(2_160);
const TOKEN_ID_BYTES: usize = 8;
const HOUR_SECONDS: u64 = 3_600;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    access_token_hours: Option<Lifetime>,
    refresh_token_hours: Option<Lifetime>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    access_token: String,
}

pub(crate) fn create_set(ask: Ask) -> Result<Reply, Refusal> {
    give_set(visit(ask, Who::Account)?)
}

/// The set that the refresh token belongs to stays good.
pub(crate) fn renew_set(ask: Ask) -> Result<Reply, Refusal> {
    give_set(visit(ask, Who::RefreshToken)?)
}

fn give_set(visit: Visit) -> Result<Reply, Refusal> {
    visit.pending(async |visit| {
        let wanted: Wanted = body::optional(&visit.request)?;
        let access = (Purpose::Access, wanted.access_token_hours.unwrap_or(ACCESS_DEFAULT));
        let refresh = (Purpose::Refresh, wanted.refresh_token_hours.unwrap_or(REFRESH_DEFAULT));
        let [access_token, refresh_token] = give(&visit, [access, refresh]).await?;
        Ok(answer(&visit, Given { refresh_token: Some(refresh_token), access_token }))
    })
}

pub(crate) fn create_access(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::RefreshToken)?.pending(async |visit| {
        let wanted: Wanted = body::optional(&visit.request)?;
        let access = (Purpose::Access, wanted.access_token_hours.unwrap_or(ACCESS_DEFAULT));
        let [access_token] = give(&visit, [access]).await?;
        Ok(answer(&visit, Given { refresh_token: None, access_token }))
    })
}

fn answer(visit: &Visit, given: Given) -> Response {
    let mut response = visit.data(&given);
    render::forbid_storing(&mut response);
    response
}

/// Tokens of the key's generator, counted before they are given out.
async fn give<const N: usize>(
    visit: &Visit,
    wanted: [(Purpose, Lifetime); N],
) -> Result<[String; N], Refusal> {
    let state = &visit.state;
    let given = u64::try_from(N).unwrap_or(u64::MAX);
    let changed = visit.update(TOKENS, &[Status::Enabled], |entry| {
        let active = Generator::of(entry).filter(|one| one.disabled.is_none());
        let active = active.ok_or(Refusal::WrongState("the key has no token generator"))?;
        let issued = active.issued.saturating_add(given);
        let attributes = Generator { issued, ..active }.to_attribute();
        Ok(Planned::Tokens(TokensChange { attributes, secrets: Vec::new() }))
    });
    let entry = changed.await?;
    // Gone only if the key or its generator went since: then there is nothing to give.
    let gone = || Refusal::WrongState("the key has no token generator");
    let generator = Generator::of(&entry).ok_or_else(gone)?;
    let secret = state.engine.open_key_secret(&entry, TOKEN_SECRET)?.ok_or_else(gone)?;
    let now = state.clock.now();
    let mut tokens = [const { String::new() }; N];
    for (token, (purpose, lifetime)) in tokens.iter_mut().zip(wanted) {
        let mut id = [0; TOKEN_ID_BYTES];
        state.entropy.fill(&mut id).map_err(EngineError::from)?;
        let subject = (visit.access_key.as_str(), visit.tag(), generator.id.as_str());
        let expires = expiry(now, lifetime);
        *token = Claims::new(subject, purpose, ids::hex(&id), now, expires).sign(&secret);
    }
    Ok(tokens)
}

fn expiry(now: UnixMillis, lifetime: Lifetime) -> Option<u64> {
    match lifetime {
        Lifetime::Hours(hours) => Some(now.seconds() + u64::from(hours) * HOUR_SECONDS),
        Lifetime::Unlimited => None,
    }
}

/// Whether the token, of either kind, is good. One that is over is told as such; everything else
/// that is not good is no token.
pub(crate) fn validate(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Told {
        validated: bool,
    }
    let Ask { state, request, .. } = &ask;
    let head = &request.head;
    let text = match auth::presented(head) {
        Presented::Token(text) => text,
        Presented::Nothing => return Err(auth::nobody(state, head)),
        Presented::Signature => {
            return refused_in_trail(state, head, Err(Refusal::TokenRefused));
        }
    };
    let found = find(state, request.param("tag")).map_err(|_| Refusal::TokenRefused);
    let entry = refused_in_trail(state, head, found)?;
    let opened = refused_in_trail(state, head, token::open(state, &entry, text))?;
    let (claims, is_over) = opened;
    if is_over {
        token::check_address(state, head, &entry)?;
    } else {
        // Also asks whether the account can still act.
        token::guest(state, head, &entry, text, claims.purpose)?;
    }
    Ok(render::data(head, &Told { validated: !is_over }).into())
}
