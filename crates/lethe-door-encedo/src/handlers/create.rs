//! New keys: generated here, derived from an agreement, or a public key from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use lethe_crypto::kdf::KdfHash;
use lethe_crypto::registry::{KeyFormat, PublicFormat};
use lethe_engine::record::Alias;
use lethe_engine::{
    AgreedForm, Caller, CreateKeyRequest, EngineError, GivenMaterial, ImportSource, PeerKey,
};
use lethe_types::{KeyName, SecretVec};
use serde_json::json;
use zeroize::Zeroizing;

use crate::DOOR;
use crate::call::{Answer, Call, Outcome, Work};
use crate::error::Failure;
use crate::handlers::peer;
use crate::key::{
    DESCR, DESCR_BYTES_MAX, Family, Key, KeyType, LABEL, LABEL_CHARACTERS_MAX, Mode, Origin,
    SECRET_ALIAS, TYPE, UPDATED, exported, type_text,
};
use crate::kid::Kid;
use crate::state::State;

/// Longest public key: ML-DSA-87's.
const PUBLIC_KEY_BYTES_MAX: usize = 2_592;
/// Bits of the first byte of a scalar of P-521.
const P521_TOP_BITS: u8 = 0x01;

/// What a client wants of a new key.
pub(crate) struct NewKey {
    key_type: &'static KeyType,
    mode: Mode,
    label: String,
    descr: Vec<u8>,
}

impl NewKey {
    /// # Errors
    /// [`Failure::BadArgument`].
    pub(crate) fn new(
        key_type: &'static KeyType,
        mode: Option<&str>,
        label: &str,
        descr: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let mode = Mode::parse(key_type, mode).ok_or(Failure::BadArgument)?;
        let label = checked_label(label)?;
        Ok(Self { key_type, mode, label, descr: descr.unwrap_or_default() })
    }

    fn of(call: &Call, unknown_type: Failure) -> Result<Self, Failure> {
        let (label, name) = (call.body.required("label")?, call.body.required("type")?);
        let descr = call.body.bytes("descr", DESCR_BYTES_MAX)?;
        let descr = descr.map(|descr| descr.expose().to_vec());
        checked_label(label)?;
        let key_type = KeyType::named(name).ok_or(unknown_type)?;
        // Where modes mean nothing, whatever stands there is no mistake.
        let mode = match key_type.family {
            Family::Secp => call.body.text("mode")?,
            Family::Aes
            | Family::Curve
            | Family::Ed
            | Family::Hmac
            | Family::MlDsa
            | Family::MlKem => None,
        };
        Self::new(key_type, mode, label, descr)
    }

    fn request(
        &self,
        state: &State,
        kid: Kid,
        origin: Origin,
    ) -> Result<CreateKeyRequest, Failure> {
        let mut request = CreateKeyRequest::new(name_of(&self.label), self.key_type.algorithm()?);
        let now = state.clock.now().seconds().to_string();
        let text = type_text(self.key_type, self.mode, origin);
        let mut attributes: BTreeMap<Box<str>, Box<[u8]>> = BTreeMap::from([
            (TYPE.into(), text.as_bytes().into()),
            (LABEL.into(), self.label.as_bytes().into()),
            (UPDATED.into(), now.as_bytes().into()),
        ]);
        if !self.descr.is_empty() {
            attributes.insert(DESCR.into(), self.descr.as_slice().into());
        }
        request.attributes = attributes;
        let alias = |text, reserved| Alias { door: DOOR.to_owned(), text, reserved };
        request.aliases = vec![alias(kid.to_string(), false)];
        // Public keys come back; what was secret does not, also not by the same derivation.
        if origin != Origin::Imported && !state.settings.rederive_after_delete {
            request.aliases.push(alias(format!("{SECRET_ALIAS}{kid}"), true));
        }
        if origin != Origin::Imported {
            request.uses = self.mode.uses(self.key_type);
        }
        Ok(request)
    }
}

/// # Errors
/// [`Failure::BadArgument`] unless it has 1 to 32 printable ASCII characters.
pub(crate) fn checked_label(label: &str) -> Result<String, Failure> {
    let is_plain = label.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let fits = (1..=LABEL_CHARACTERS_MAX).contains(&label.len());
    if is_plain && fits { Ok(label.to_owned()) } else { Err(Failure::BadArgument) }
}

/// The engine's name of a key: its label without spaces at the ends.
pub(crate) fn name_of(label: &str) -> KeyName {
    let named = label.trim().parse().or_else(|_| "key".parse());
    named.expect("a label has at most 32 printable characters")
}

fn check_room(state: &State) -> Result<(), Failure> {
    let has_room = state.key_count() < state.settings.keys_max;
    if has_room { Ok(()) } else { Err(Failure::NotDone) }
}

async fn make(state: &State, caller: &Caller, request: CreateKeyRequest) -> Result<Key, Failure> {
    check_room(state)?;
    let kid = request.aliases.iter().find_map(|alias| Kid::parse(&alias.text));
    if let Some(kid) = kid.filter(|kid| state.was_deleted(*kid)) {
        // Also if the one before went by another door. It counts only once there is a new key.
        state.revoke_uses(kid);
    }
    let prepared = state.engine.prepare_key(caller, request)?;
    let entry = state.engine.create_key(caller, prepared).await?;
    let key = Key::of(entry).ok_or(Failure::Internal)?;
    state.descriptions.insert(&key);
    Ok(key)
}

fn created(call: &Call, key: &Key) -> Outcome {
    call.is_about(key.kid);
    Ok(Answer::json(&json!({ "kid": key.kid.to_string() })))
}

/// A key that is drawn here.
pub(crate) fn create(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let new = NewKey::of(&call, Failure::BadArgument)?;
        let caller = &call.session()?.caller;
        let algorithm = new.key_type.algorithm()?;
        let material = algorithm.generate(&*state.entropy).map_err(EngineError::from)?;
        let kid = match material.public_key() {
            Some(public) => Kid::of_public_key(&exported(public)),
            // It tells nothing about the key.
            None => {
                let mut random = [0; 16];
                state.entropy.fill(&mut random).map_err(EngineError::from)?;
                Kid(random)
            }
        };
        let (secret, _) = material.into_parts();
        let mut request = new.request(&state, kid, Origin::Generated)?;
        request.material = Some(GivenMaterial { secret, imported: false });
        let key = make(&state, caller, request).await?;
        created(&call, &key)
    })
}

/// A public key from outside.
pub(crate) fn import(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let new = NewKey::of(&call, Failure::NotDone)?;
        let public = call.body.required_bytes("pubkey", PUBLIC_KEY_BYTES_MAX)?;
        let caller = &call.session()?.caller;
        let key = import_public(&state, caller, new, public.expose()).await?;
        created(&call, &key)
    })
}

/// Takes in a public key, if it is exactly one in the form in which it is exported.
pub(crate) async fn import_public(
    state: &State,
    caller: &Caller,
    new: NewKey,
    public: &[u8],
) -> Result<Key, Failure> {
    if !new.key_type.is_pair() {
        return Err(Failure::NotDone);
    }
    let algorithm = new.key_type.algorithm()?;
    let format = PublicFormat::Raw;
    let read = algorithm.import_public(format, public).map_err(|_| Failure::NotDone)?;
    if exported(&read) != public {
        return Err(Failure::NotDone);
    }
    let kid = Kid::of_public_key(public);
    let mut request = new.request(state, kid, Origin::Imported)?;
    request.import = Some(ImportSource::Public { format, key: public.to_vec() });
    make(state, caller, request).await
}

/// A key from the secret that a key here and another one agree on.
pub(crate) fn derive(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        let kid = call.body.kid("kid")?.ok_or(Failure::BadArgument)?;
        let (label, name) = (call.body.required("label")?, call.body.required("type")?);
        checked_label(label)?;
        let key_type = KeyType::named(name).ok_or(Failure::BadArgument)?;
        let bytes = key_type.secret_bytes.ok_or(Failure::BadArgument)?;
        let mode = match key_type.family {
            Family::Secp => call.body.text("mode")?,
            Family::Aes
            | Family::Curve
            | Family::Ed
            | Family::Hmac
            | Family::MlDsa
            | Family::MlKem => None,
        };
        // One that is malformed is dropped, as the device does.
        let descr = call.body.bytes("descr", DESCR_BYTES_MAX).unwrap_or_default();
        let descr = descr.map(|descr| descr.expose().to_vec());
        let new = NewKey::new(key_type, mode, label, descr)?;
        let other = peer::Named::of(&call)?.ok_or(Failure::BadArgument)?;
        let source = state.key(kid).ok_or(Failure::NotDone)?;
        let agreed = source.key_type.secret_bytes.filter(|agreed| *agreed >= bytes);
        agreed.ok_or(Failure::NotDone)?;
        let caller = &call.session()?.caller;
        let peer = other.resolve(&state, &source)?;
        let info = format!("encedo-{}", key_type.name);
        let form =
            AgreedForm::Hkdf { hash: KdfHash::Sha256, salt: &[], info: info.as_bytes(), bytes };
        let id = source.entry.record().id;
        peer::check_agrees(&source)?;
        let derived = state.engine.agree_with(caller, id, None, &PeerKey::raw(&peer), &form)?.1;
        let key = keep_derived(&state, caller, &new, &derived).await?;
        created(&call, &key)
    })
}

async fn keep_derived(
    state: &State,
    caller: &Caller,
    new: &NewKey,
    derived: &SecretVec,
) -> Result<Key, Failure> {
    let algorithm = new.key_type.algorithm()?;
    let mut bytes = Zeroizing::new(derived.expose().to_vec());
    if new.key_type.name == "SECP521R1"
        && let Some(first) = bytes.first_mut()
    {
        *first &= P521_TOP_BITS;
    }
    let (secret, kid) = if new.key_type.is_pair() {
        // A scalar that is zero or too large is no key.
        let material = algorithm.import(KeyFormat::Raw, &bytes).map_err(|_| Failure::NotDone)?;
        let public = material.public_key().ok_or(Failure::Internal)?;
        let kid = Kid::of_public_key(&exported(public));
        (material.into_parts().0, kid)
    } else {
        // The same key again has the same name; who has only the name learns nothing.
        let named = Zeroizing::new([new.key_type.name.as_bytes(), &bytes].concat());
        let (_, tag) = state.engine.mac(&state.own, state.device().naming, &named)?;
        (SecretVec::copy_from(&bytes), Kid::of_hash(&tag))
    };
    let mut request = new.request(state, kid, Origin::Derived)?;
    request.material = Some(GivenMaterial { secret, imported: false });
    make(state, caller, request).await
}
