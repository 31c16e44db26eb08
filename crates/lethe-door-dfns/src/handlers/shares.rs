//! Key material that comes and goes in shares, and the outputs of keys that agree.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_crypto::registry::KeyFormat;
use lethe_engine::{CreateKeyRequest, EngineError, ExportRequest, ImportSource};
use serde_json::Value;

use super::keys::{key_answer, plain_request, store};
use super::signatures::object;
use super::{active_key, delegate, of_key};
use crate::account::{attribute, text_of};
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::shares::{ExportForm, ImportForm, ShareError};
use crate::signing::{DeriveRequest, KeyKind, derive_answer};
use crate::state::State;
use crate::wire::{self, kind_of};

impl From<ShareError> for Refusal {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Refused(refused) => refused.into(),
            ShareError::Engine(error) => error.into(),
        }
    }
}

pub(crate) async fn signers(state: Arc<State>, _call: Arc<Call>) -> Outcome {
    Ok(state.signers.to_json().into())
}

pub(crate) async fn import(state: Arc<State>, call: Arc<Call>) -> Outcome {
    if !state.settings.import {
        return Err(Refusal::forbidden("the import of keys is not enabled at this server"));
    }
    let form = ImportForm::read(&object(&call)?)?;
    let imported = form.open(&state.signers, &*state.entropy)?;
    let identity = call.identity()?;
    // What an end user brings is theirs.
    let owner = identity.is_end_user().then(|| identity.caller.principal());
    let caller = match identity.is_end_user() {
        false => identity.caller.clone(),
        true => state.system()?,
    };
    let mut attributes = BTreeMap::from([
        (wire::SCHEME.into(), attribute(form.kind.scheme())),
        (wire::CURVE.into(), attribute(form.kind.curve())),
    ]);
    if let Some(name) = &form.name {
        attributes.insert(wire::NAME.into(), attribute(name));
    }
    if form.is_master {
        attributes.insert(wire::IS_MASTER.into(), attribute("1"));
    }
    let mut labels = BTreeMap::new();
    if let Some(owner) = owner {
        attributes.insert(wire::OWNER.into(), attribute(&crate::ids::user(owner)));
        labels.insert(super::keys::owner_label()?, super::keys::owner_value(owner)?);
    }
    let base = plain_request(&state, form.kind, form.name.as_deref(), imported.origin)?;
    let import = ImportSource::Plain { format: KeyFormat::Raw, key: imported.key };
    let request = CreateKeyRequest { attributes, labels, import: Some(import), ..base };
    let prepared = state.engine.prepare_key(&caller, request)?;
    let entry = store(&state, &caller, prepared).await?;
    if let Some(owner) = owner {
        delegate::grant(&state, owner, entry.record().id).await?;
    }
    Ok(key_answer(&state, &entry)?.into())
}

pub(crate) async fn export(state: Arc<State>, call: Arc<Call>) -> Outcome {
    if !state.settings.export {
        return Err(Refusal::forbidden("the export of keys is not enabled at this server"));
    }
    let form = ExportForm::read(&object(&call)?)?;
    let entry = active_key(&state, &call, call.param("key"))?;
    let record = entry.record();
    let kind = kind_of(record).ok_or(EngineError::Internal("a key without its parts"))?;
    let request = ExportRequest {
        key: record.id,
        version: None,
        format: KeyFormat::Raw,
        to: form.wanted(kind, record.algorithm)?,
        expected: None,
    };
    let exported = state.engine.export_key(call.caller()?, &request).await;
    let exported = exported.map_err(|error| of_key(&state, &entry, error))?;
    let public = text_of(&record.details().attributes, wire::PUBLIC_KEY).unwrap_or_default();
    let pair = (kind, record.algorithm);
    let answer = form.answer(pair, &exported.material, public, &state.signers, &*state.entropy)?;
    Ok(answer.into())
}

pub(crate) async fn derive(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let request = DeriveRequest::read(&object(&call)?)?;
    let entry = active_key(&state, &call, call.param("key"))?;
    let record = entry.record();
    if kind_of(record) != Some(KeyKind::Dh) {
        return Err(Refusal::bad("only keys of the scheme DH derive outputs"));
    }
    let caller = call.caller()?;
    let (domain, seed) = (&request.domain, &request.seed);
    let made = state.engine.agree_with_hashed(caller, record.id, None, domain, seed);
    let (_, point) = made.map_err(|error| of_key(&state, &entry, error))?;
    let answer: Value = derive_answer(&point);
    Ok(answer.into())
}
