//! Keys that leave, and import keys for keys that come in.

use std::sync::Arc;

use http::StatusCode;
use lethe_engine::{
    ExportRequest, ExportTo, ImportKeyRequest, PlainExport, PlainExportRule, Revision,
};
use lethe_http::{Reply, Request};
use lethe_types::ImportKeyId;

use super::{caller_without_query, key_id, keys, parsed};
use crate::error::Refusal;
use crate::render::{self, Member};
use crate::state::State;
use crate::{body, headers, reply, wire};

/// On the pool for blocking work: the recipient or the key may be RSA's.
pub(crate) fn export(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let wanted: wire::Export<'_> = body::parse(&request)?;
    let format = wire::parse_format("format", &wanted.format)?;
    let to = match wanted.public_key.as_deref() {
        Some(pem) => {
            let der = wire::parse_spki_pem(pem);
            let why = "must be one SubjectPublicKeyInfo in PEM";
            ExportTo::PublicKey(der.ok_or_else(|| Refusal::invalid("public_key", why))?)
        }
        None => ExportTo::Caller(PlainExport::IfRealmAllows),
    };
    let wanted = ExportRequest {
        key: key_id(&request)?,
        version: wanted.version,
        format,
        to,
        expected: headers::if_match(&request.head.headers)?.map(Revision),
    };
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| {
        let exported = reply::block_on(state.engine.export_key(&caller, &wanted))?;
        let view = wire::ExportedKey::of(&exported, format);
        let material = exported.material.expose();
        Ok(render::json_with_secret_bytes(StatusCode::OK, &view, Member::MATERIAL, material))
    }))
}

/// On the pool for blocking work: the search for the primes of RSA takes long.
pub(crate) fn create(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let wanted: wire::CreateImportKey<'_> = body::parse(&request)?;
    let lifetime = wanted.lifetime.as_deref();
    let wanted = ImportKeyRequest {
        algorithm: keys::parse_algorithm(&wanted.algorithm)?,
        vault: wanted.vault.as_deref().map(|vault| parsed("vault", vault)).transpose()?,
        lifetime: lifetime.map(|text| wire::parse_span_of("lifetime", text)).transpose()?,
    };
    let state = Arc::clone(state);
    Ok(reply::blocking(request, move |_| {
        let made = reply::block_on(state.engine.make_import_key(&caller, &wanted))?;
        let path = format!("/v1/import-keys/{}", made.id);
        Ok(render::created(&path, &wire::ImportKey::of(&made)))
    }))
}

pub(crate) fn read(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let found = state.engine.read_import_key(&caller, import_key_id(&request)?)?;
    Ok(render::json(StatusCode::OK, &wire::ImportKey::of(&found)).into())
}

pub(crate) fn remove(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let id = import_key_id(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let gone = state.engine.remove_import_key(&caller, id).await?;
        Ok(render::json(StatusCode::OK, &wire::ImportKey::of(&gone)))
    }))
}

pub(crate) fn change_realm(state: &Arc<State>, request: Request) -> Result<Reply, Refusal> {
    let caller = caller_without_query(state, &request)?;
    let wanted: wire::ChangeRealm = body::parse(&request)?;
    let state = Arc::clone(state);
    Ok(reply::pending(&request, async move {
        let rule = wanted.plain_export.map(|allowed| {
            if allowed { PlainExportRule::Allowed } else { PlainExportRule::Refused }
        });
        let realm = state.engine.change_realm(&caller, rule).await?;
        Ok(render::json(StatusCode::OK, &wire::Realm::of(&realm)))
    }))
}

fn import_key_id(request: &Request) -> Result<ImportKeyId, Refusal> {
    parsed("id", request.param("id"))
}
