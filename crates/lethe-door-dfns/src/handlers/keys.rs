//! Make, list, see and name keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_crypto::registry::{Algorithm, DerivationPath};
use lethe_engine::record::{Alias, PrincipalKind};
use lethe_engine::{
    Caller, CreateKeyRequest, DeriveFrom, DeriveHow, EngineError, KeyChange, KeyEntry, KeyFilter,
    PreparedKey,
};
use lethe_types::limits::PAGE_KEYS_MAX;
use lethe_types::{KeyName, LabelName, LabelValue, PrincipalId};
use serde_json::{Map, Value, json};

use super::sessions::by_name;
use super::{Page, active_key, bad_page_token, known_key, of_key, page_of};
use crate::account::{Attributes, attribute};
use crate::body::Members;
use crate::call::{Call, Outcome};
use crate::error::Refusal;
use crate::handlers::delegate;
use crate::ids::{self, Prefix};
use crate::signing::{KeyKind, Origin};
use crate::state::State;
use crate::wire::{self, kind_of};
use crate::{DOOR, keys_made};

/// Longest name of a key, in characters.
const NAME_CHARACTERS_MAX: usize = 100;
/// Longest identifier of a store, in characters.
const STORE_CHARACTERS_MAX: usize = 64;

/// What the body of a creation asks for besides.
pub(crate) fn more_to_create(body: &Map<String, Value>) -> Vec<&'static str> {
    let needs = [("delegateTo", "Keys:Delegate"), ("deriveFrom", "Keys:ChildKeys:Create")];
    needs.into_iter().filter(|(member, _)| body.contains_key(*member)).map(|(_, op)| op).collect()
}

/// A key that is asked for.
struct Wanted {
    kind: KeyKind,
    name: Option<String>,
    is_master: bool,
    derive_from: Option<(String, Option<DerivationPath>)>,
    delegate_to: Option<String>,
    is_delayed: bool,
}

impl Wanted {
    fn parse(state: &State, mut members: Members) -> Result<Self, Refusal> {
        let kind = kind(&mut members)?;
        let name = members.sized_text("name", 0, NAME_CHARACTERS_MAX)?;
        let is_master = members.boolean("masterKey")?.unwrap_or(false);
        let derive_from = members.object("deriveFrom")?.map(derive_from).transpose()?;
        let store = members.sized_text("storeId", 1, STORE_CHARACTERS_MAX)?;
        let delegate_to = members.text("delegateTo")?;
        let is_delayed = members.boolean("delayDelegation")?.unwrap_or(false);
        if is_master && kind.algorithm_name(Origin::Master).is_none() {
            return Err(members.refuse("masterKey", "is not for this scheme"));
        }
        if is_master && derive_from.is_some() {
            return Err(members.refuse("masterKey", "is not for a derived key"));
        }
        if is_delayed && delegate_to.is_some() {
            return Err(members.refuse("delayDelegation", "is not for a key that is delegated"));
        }
        members.finish()?;
        if let Some(store) = store.filter(|store| *store != keys_made::store_id(state.realm)) {
            return Err(Refusal::not_found("key store not found", json!({"storeId": store})));
        }
        Ok(Self { kind, name, is_master, derive_from, delegate_to, is_delayed })
    }

    fn attributes(&self, owner: Option<PrincipalId>) -> Attributes {
        let mut all: Attributes = BTreeMap::from([
            (wire::SCHEME.into(), attribute(self.kind.scheme())),
            (wire::CURVE.into(), attribute(self.kind.curve())),
        ]);
        if let Some(name) = &self.name {
            all.insert(wire::NAME.into(), attribute(name));
        }
        if self.is_master {
            all.insert(wire::IS_MASTER.into(), attribute("1"));
        }
        if self.is_delayed {
            all.insert(wire::IS_DELAYED.into(), attribute("1"));
        }
        if let Some(owner) = owner {
            all.insert(wire::OWNER.into(), attribute(&ids::user(owner)));
        }
        all
    }
}

/// The scheme and the curve, if they go together.
fn kind(members: &mut Members) -> Result<KeyKind, Refusal> {
    let (scheme, curve) = (members.needed_text("scheme")?, members.needed_text("curve")?);
    if let Some(kind) = KeyKind::of(&scheme, &curve) {
        return Ok(kind);
    }
    if !KeyKind::ALL.iter().any(|kind| kind.scheme() == scheme) {
        return Err(members.refuse("scheme", "must be one of ECDSA, EdDSA, Schnorr, DH"));
    }
    if !KeyKind::ALL.iter().any(|kind| kind.curve() == curve) {
        return Err(members.refuse("curve", "must be one of ed25519, secp256k1, stark"));
    }
    Err(members.refuse("curve", &format!("is not for the scheme {scheme}")))
}

fn derive_from(mut members: Members) -> Result<(String, Option<DerivationPath>), Refusal> {
    let key = members.needed_text("keyId")?;
    let path = members.text("path")?;
    let path = path
        .map(|text| {
            let parsed = (!text.contains(['\'', 'h', 'H'])).then(|| text.parse().ok()).flatten();
            let parsed = parsed.filter(|path: &DerivationPath| !path.numbers().is_empty());
            parsed.ok_or_else(|| members.refuse("path", "must be a path as in m/0/1"))
        })
        .transpose()?;
    members.finish()?;
    Ok((key, path))
}

/// The label by which the keys of an end user are found.
pub(crate) fn owner_label() -> Result<LabelName, Refusal> {
    let name = wire::OWNER.parse();
    Ok(name.map_err(|_| EngineError::Internal("name of a label"))?)
}

pub(crate) fn owner_value(owner: PrincipalId) -> Result<LabelValue, Refusal> {
    let value = ids::user(owner).parse();
    Ok(value.map_err(|_| EngineError::Internal("value of a label"))?)
}

pub(crate) async fn create(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let wanted = Wanted::parse(&state, call.members()?)?;
    let owner = match &wanted.delegate_to {
        // What an end user makes is theirs.
        None if identity.is_end_user() => Some(identity.caller.principal()),
        None => None,
        Some(user) => Some(delegate::end_user(&state, user)?),
    };
    let caller = match identity.is_end_user() {
        false => identity.caller.clone(),
        // The operation says that they may; their own grants name single keys.
        true => state.system()?,
    };
    let entry = match &wanted.derive_from {
        None => made(&state, &caller, &wanted, owner).await?,
        Some((parent, path)) => {
            let parent = active_key(&state, &call, parent)?;
            derived(&state, &caller, &wanted, owner, (&parent, path.as_ref())).await?
        }
    };
    if let Some(owner) = owner {
        delegate::grant(&state, owner, entry.record().id).await?;
    }
    Ok(key_answer(&state, &entry)?.into())
}

async fn made(
    state: &State,
    caller: &Caller,
    wanted: &Wanted,
    owner: Option<PrincipalId>,
) -> Result<Arc<KeyEntry>, Refusal> {
    let origin = if wanted.is_master { Origin::Master } else { Origin::Drawn };
    let request = request_for(state, wanted, owner, origin)?;
    let prepared = state.engine.prepare_key(caller, request)?;
    store(state, caller, prepared).await
}

/// A child along a path; along the next one that was never used if none is named.
async fn derived(
    state: &State,
    caller: &Caller,
    wanted: &Wanted,
    owner: Option<PrincipalId>,
    (parent, path): (&Arc<KeyEntry>, Option<&DerivationPath>),
) -> Result<Arc<KeyEntry>, Refusal> {
    let record = parent.record();
    if !wire::flag(record, wire::IS_MASTER) {
        return Err(Refusal::field("deriveFrom.keyId", "is not a master key"));
    }
    if kind_of(record) != Some(wanted.kind) {
        return Err(Refusal::field("deriveFrom.keyId", "has another scheme or curve"));
    }
    loop {
        let tried = match path {
            Some(path) => path.clone(),
            None => {
                let next = keys_made::next_index(state, record.id)?;
                DerivationPath::new(&[next]).map_err(EngineError::from)?
            }
        };
        let request = request_for(state, wanted, owner, Origin::Scalar)?;
        let from =
            DeriveFrom { parent: record.id, how: DeriveHow::Path(tried.clone()), depends: true };
        let prepared = state.engine.prepare_derived_key(caller, request, &from);
        let stored = match prepared {
            Ok(prepared) => store(state, caller, prepared).await,
            Err(error) => Err(error.into()),
        };
        match stored {
            Err(Refusal::Engine(EngineError::NameTaken(_))) if path.is_none() => {}
            Err(Refusal::Engine(EngineError::NameTaken(_))) => {
                let other = keys_made::child(state, record.id, &tried.to_string())?;
                let duplicate = other.map(|other| json!({"id": wire::key_id(other.record())}));
                let details = json!({"duplicate": duplicate});
                return Err(Refusal::conflict("a key with this path was derived before", details));
            }
            Err(Refusal::Engine(error)) => return Err(of_key(state, parent, error)),
            other => return other,
        }
    }
}

/// The request of a key with an identifier of its own.
fn request_for(
    state: &State,
    wanted: &Wanted,
    owner: Option<PrincipalId>,
    origin: Origin,
) -> Result<CreateKeyRequest, Refusal> {
    let mut labels = BTreeMap::new();
    if let Some(owner) = owner {
        labels.insert(owner_label()?, owner_value(owner)?);
    }
    let attributes = wanted.attributes(owner);
    let base = plain_request(state, wanted.kind, wanted.name.as_deref(), origin)?;
    Ok(CreateKeyRequest { attributes, labels, ..base })
}

/// The same with nothing but a name, as imports begin with.
pub(crate) fn plain_request(
    state: &State,
    kind: KeyKind,
    name: Option<&str>,
    origin: Origin,
) -> Result<CreateKeyRequest, Refusal> {
    let algorithm = kind.algorithm_name(origin);
    let algorithm = algorithm.ok_or(EngineError::Internal("a kind that was checked"))?;
    let algorithm = Algorithm::from_name(algorithm)
        .map_err(|_| EngineError::AlgorithmNotAvailable(algorithm.to_owned()))?;
    let id = ids::id(Prefix::Key, &ids::random(&*state.entropy)?);
    let name = engine_name(name, &id)?;
    Ok(CreateKeyRequest {
        aliases: vec![Alias { door: DOOR.to_owned(), text: id, reserved: true }],
        exportable: true,
        ..CreateKeyRequest::new(name, algorithm)
    })
}

/// The name that other interfaces show: the key's own if it can be one there, else its identifier.
fn engine_name(name: Option<&str>, id: &str) -> Result<KeyName, Refusal> {
    let own = name.and_then(|name| name.parse().ok());
    let name = own.map_or_else(|| id.parse(), Ok);
    Ok(name.map_err(|_| EngineError::Internal("name of a key"))?)
}

/// Stores a prepared key, with the public key in a form that outlives it.
pub(crate) async fn store(
    state: &State,
    caller: &Caller,
    mut prepared: PreparedKey,
) -> Result<Arc<KeyEntry>, Refusal> {
    let public = prepared.public_key().map(wire::public_key_text);
    let public = public.ok_or(EngineError::Internal("a key pair without a public key"))?;
    prepared.keep(wire::PUBLIC_KEY, public.as_bytes())?;
    Ok(state.engine.create_key(caller, prepared).await?)
}

/// The Key object as creations, changes and deletions answer it.
pub(crate) fn key_answer(state: &State, entry: &KeyEntry) -> Result<Value, Refusal> {
    let key = wire::key(&state.engine, entry.record());
    Ok(key.map(Value::Object).ok_or(EngineError::Internal("a key without its parts"))?)
}

pub(crate) async fn read(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let entry = known_key(&state, &call, call.param("key"))?;
    let entry = state.engine.read_key(call.caller()?, entry.record().id)?;
    let key = wire::key(&state.engine, entry.record());
    let mut key = key.ok_or(EngineError::Internal("a key without its parts"))?;
    key.insert("wallets".to_owned(), json!([]));
    let store = wire::store_of(entry.record(), &keys_made::store_id(state.realm));
    key.insert("store".to_owned(), store);
    Ok(Value::Object(key).into())
}

pub(crate) async fn list(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let identity = call.identity()?;
    let page = Page::of(&call)?;
    let owner = match call.query("owner") {
        None if identity.is_end_user() => Some(Some(identity.caller.principal())),
        None => None,
        Some(name) => Some(user_named(&state, &name)),
    };
    let mut filter = KeyFilter { destroyed: true, ..KeyFilter::default() };
    match owner {
        None => {}
        Some(None) => return Ok(page_of(Vec::new(), None).into()),
        Some(Some(owner)) => filter.labels.push((owner_label()?, Some(owner_value(owner)?))),
    }
    if identity.is_end_user() && identity.caller.record().grants.is_empty() {
        // Who has no key at all is no stranger.
        return Ok(page_of(Vec::new(), None).into());
    }
    let (mut items, mut cursor) = (Vec::new(), page.token);
    loop {
        let wanted = (page.limit - items.len()).min(PAGE_KEYS_MAX);
        let found = state.engine.list_keys(&identity.caller, &filter, cursor.as_deref(), wanted);
        let found = found.map_err(|error| {
            let is_cursor = matches!(error, EngineError::InvalidField { field: "cursor", .. });
            if is_cursor { bad_page_token() } else { error.into() }
        })?;
        let keys = found.keys.iter().filter_map(|entry| wire::key(&state.engine, entry.record()));
        items.extend(keys.map(Value::Object));
        cursor = found.next;
        if cursor.is_none() || items.len() >= page.limit {
            return Ok(page_of(items, cursor).into());
        }
    }
}

/// The end user of that identifier or name.
fn user_named(state: &State, name: &str) -> Option<PrincipalId> {
    let by_id = ids::parse_user(name).and_then(|id| crate::grants::find(state, id));
    let found = by_id.or_else(|| by_name(state, name));
    let found = found.filter(|entry| entry.record().kind == PrincipalKind::EndUser);
    found.map(|entry| entry.record().id)
}

pub(crate) async fn update(state: Arc<State>, call: Arc<Call>) -> Outcome {
    let mut members = call.members()?;
    let name = match members.value("name") {
        None => return Err(members.refuse("name", "is required")),
        Some(Value::Null) => None,
        Some(Value::String(name)) if name.chars().count() <= NAME_CHARACTERS_MAX => Some(name),
        Some(_) => {
            let why = format!("must be a string of at most {NAME_CHARACTERS_MAX} characters");
            return Err(members.refuse("name", &format!("{why}, or null")));
        }
    };
    members.finish()?;
    let entry = active_key(&state, &call, call.param("key"))?;
    let change = KeyChange {
        name: Some(engine_name(name.as_deref(), wire::key_id(entry.record()))?),
        attributes: BTreeMap::from([(wire::NAME.into(), name.as_deref().map(attribute))]),
        ..KeyChange::default()
    };
    let changed = state.engine.update_key(call.caller()?, entry.record().id, &change, None).await;
    let changed = changed.map_err(|error| of_key(&state, &entry, error))?;
    Ok(key_answer(&state, &changed)?.into())
}
