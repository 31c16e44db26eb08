//! The token generator of a key: made, seen, replaced, ended.

use lethe_engine::TokensChange;
use lethe_http::{Reply, Response};
use lethe_types::{Permission, SecretVec};
use serde::Serialize;

use crate::error::Refusal;
use crate::kept::{Generator, Status, TOKEN_SECRET};
use crate::route::Ask;
use crate::visit::{Planned, Visit, Who, visit};
use crate::{body, ids};

/// Bytes of the secret that tokens are authenticated with.
const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = 16;

/// What changes of tokens need, and are told as.
pub(super) const TOKENS: (Permission, &str) = (Permission::ApikeysManage, "key.tokens");
const UNTIL_REVOKED: [Status; 2] = super::keys::UNTIL_REVOKED;
const ALWAYS: [Status; 3] = [Status::Enabled, Status::Disabled, Status::Revoked];

const NO_GENERATOR: Refusal = Refusal::NotFound("the key has no token generator");

pub(crate) fn create(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        make(&visit, |before| match before {
            Some(active) if active.disabled.is_none() => {
                Err(Refusal::WrongState("the key has a token generator"))
            }
            Some(_) | None => Ok(()),
        })
        .await
    })
}

/// Every token that was given out before dies.
pub(crate) fn replace(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        make(&visit, |before| match before {
            Some(active) if active.disabled.is_none() => Ok(()),
            Some(_) | None => Err(NO_GENERATOR),
        })
        .await
    })
}

async fn make(
    visit: &Visit,
    may: impl Fn(Option<&Generator>) -> Result<(), Refusal>,
) -> Result<Response, Refusal> {
    let state = &visit.state;
    let changed = visit.update(TOKENS, &UNTIL_REVOKED, |entry| {
        may(Generator::of(entry).as_ref())?;
        let mut id = [0; ID_BYTES];
        state.entropy.fill(&mut id).map_err(lethe_engine::EngineError::from)?;
        let generator = Generator {
            id: ids::hex(&id),
            enabled: state.clock.now().0,
            disabled: None,
            issued: 0,
        };
        let secret = SecretVec::try_init_with(SECRET_BYTES, |bytes| state.entropy.fill(bytes));
        let secret = secret.map_err(lethe_engine::EngineError::from)?;
        Ok(Planned::Tokens(TokensChange {
            attributes: generator.to_attribute(),
            secrets: vec![(TOKEN_SECRET.into(), Some(secret))],
        }))
    });
    changed.await?;
    Ok(visit.data(&()))
}

pub(crate) fn delete(ask: Ask) -> Result<Reply, Refusal> {
    visit(ask, Who::Account)?.pending(async |visit| {
        body::nothing(&visit.request)?;
        let now = visit.state.clock.now().0;
        let changed = visit.update(TOKENS, &ALWAYS, |entry| {
            let active = Generator::of(entry).filter(|one| one.disabled.is_none());
            let active = active.ok_or(NO_GENERATOR)?;
            let ended = Generator { disabled: Some(now), ..active };
            Ok(Planned::Tokens(TokensChange {
                attributes: ended.to_attribute(),
                secrets: vec![(TOKEN_SECRET.into(), None)],
            }))
        });
        changed.await?;
        Ok(visit.data(&()))
    })
}

pub(crate) fn read(ask: Ask) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        token_generator_id: String,
        status: &'static str,
        enabled_date: u64,
        disabled_date: Option<u64>,
        issued_token_count: u64,
    }
    visit(ask, Who::Account)?.ready(|visit| {
        let entry = visit.state.engine.read_key(&visit.caller, visit.key())?;
        let generator = Generator::of(&entry).ok_or(NO_GENERATOR)?;
        Ok(visit.data(&Told {
            token_generator_id: generator.id,
            status: if generator.disabled.is_none() { "ACTIVE" } else { "INACTIVE" },
            enabled_date: generator.enabled,
            disabled_date: generator.disabled,
            issued_token_count: generator.issued,
        }))
    })
}
