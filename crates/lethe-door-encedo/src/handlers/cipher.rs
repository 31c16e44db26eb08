//! AES: encrypt, decrypt, wrap, unwrap, under a key here or under one that is agreed on.

use std::sync::Arc;

use lethe_crypto::kdf::KdfHash;
use lethe_crypto::registry::{
    CipherMode, DecryptParams, EncryptParams, INITIAL_VALUE_BYTES, Nonce, UsableKey,
};
use lethe_engine::{
    AgreedForm, DecryptForm, DecryptRequest, EncryptForm, EncryptRequest, EngineError, RawEncrypt,
    RawNonce,
};
use lethe_types::{Permission, SecretVec};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::b64;
use crate::call::{Answer, Call, Outcome, Work};
use crate::error::Failure;
use crate::handlers::MESSAGE_BYTES_MAX;
use crate::handlers::peer::{self, Named};
use crate::key::{Family, Key, KeyType};
use crate::state::State;

/// Bytes of a block, of an initialisation vector, of a nonce and of a tag.
const BLOCK_BYTES: usize = 16;
/// Bytes of half a block, which is what is wrapped and what an initial value has.
const HALF_BLOCK_BYTES: usize = INITIAL_VALUE_BYTES;
/// Bytes of a context.
const CTX_BYTES_MAX: usize = 64;
/// Bytes of associated data; documents say 16, clients send more.
const AAD_BYTES_MAX: usize = 2_048;
/// What binds an agreed key to its use.
const CIPHER_INFO: &[u8] = b"encedo-aes";
const WRAP_INFO: &[u8] = b"encedo-kek";

/// The algorithm, and the key that is named beside the one of the request.
struct Wanted {
    size: Option<&'static KeyType>,
    other: Option<Named>,
    ctx: Vec<u8>,
}

/// Under what a request is carried out.
enum Under {
    /// A key of the engine.
    Stored(Key),
    /// A key of this moment.
    Agreed(UsableKey),
}

impl Wanted {
    fn of(call: &Call, size: Option<&'static KeyType>) -> Result<Self, Failure> {
        let ctx = call.body.bytes("ctx", CTX_BYTES_MAX)?;
        let ctx = ctx.map(|ctx| ctx.expose().to_vec()).unwrap_or_default();
        Ok(Self { size, other: Named::of(call)?, ctx })
    }

    fn under(
        &self,
        state: &State,
        call: &Call,
        (info, permission): (&[u8], Permission),
    ) -> Result<Under, Failure> {
        let kid = call.about().ok_or(Failure::BadArgument)?;
        let key = state.key(kid).ok_or(Failure::NotDone)?;
        let Some(other) = &self.other else {
            let fits = self.size.is_none_or(|size| size.name == key.key_type.name);
            let is_cipher = key.key_type.family == Family::Aes;
            return if fits && is_cipher { Ok(Under::Stored(key)) } else { Err(Failure::NotDone) };
        };
        let caller = &call.session()?.caller;
        if !caller.may_on(permission, &key.entry) {
            return Err(Failure::Forbidden);
        }
        let size = match self.size {
            Some(size) => size,
            None => KeyType::named("AES256").ok_or(Failure::Internal)?,
        };
        let bytes = size.secret_bytes.ok_or(Failure::Internal)?;
        let info = [info, self.ctx.as_slice()].concat();
        let form = AgreedForm::Hkdf { hash: KdfHash::Sha256, salt: &[], info: &info, bytes };
        let secret = peer::agree(state, caller, (&key, other), &form)?;
        Ok(Under::Agreed(size.algorithm()?.load(&secret).map_err(EngineError::from)?))
    }
}

/// `AES{128,192,256}-{ECB,CBC,GCM}`.
fn cipher_named(name: &str) -> Option<(&'static KeyType, CipherMode)> {
    let (size, mode) = name.split_once('-')?;
    let mode = match mode {
        "ECB" => CipherMode::Ecb,
        "CBC" => CipherMode::Cbc,
        "GCM" => CipherMode::Gcm,
        _ => return None,
    };
    Some((size_named(size)?, mode))
}

fn size_named(name: &str) -> Option<&'static KeyType> {
    KeyType::named(name).filter(|found| found.family == Family::Aes)
}

/// What both ways of a cipher have in common.
struct Sealing {
    wanted: Wanted,
    mode: CipherMode,
    aad: Vec<u8>,
}

impl Sealing {
    fn of(call: &Call) -> Result<Self, Failure> {
        let named = cipher_named(call.body.required("alg")?);
        let (size, mode) = named.ok_or(Failure::BadArgument)?;
        let aad = call.body.bytes("aad", AAD_BYTES_MAX)?;
        let aad = aad.map(|aad| aad.expose().to_vec()).unwrap_or_default();
        if mode != CipherMode::Gcm && !aad.is_empty() {
            return Err(Failure::BadArgument);
        }
        Ok(Self { wanted: Wanted::of(call, Some(size))?, mode, aad })
    }
}

pub(crate) fn encrypt(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(encrypted(state, call))
}

fn encrypted(state: &State, call: &Call) -> Outcome {
    let message = call.body.required_bytes("msg", MESSAGE_BYTES_MAX)?;
    let Sealing { wanted, mode, aad } = Sealing::of(call)?;
    if mode == CipherMode::Ecb && !message.len().is_multiple_of(BLOCK_BYTES) {
        return Err(Failure::BadArgument);
    }
    let under = wanted.under(state, call, (CIPHER_INFO, Permission::KeysUseEncrypt))?;
    let (mode, mut out) = (Some(mode), Vec::new());
    let nonce_bytes = if mode == Some(CipherMode::Ecb) { 0 } else { BLOCK_BYTES };
    let parts = match under {
        Under::Stored(key) => {
            let nonce = RawNonce::RandomOf(nonce_bytes);
            let raw = RawEncrypt { nonce, aad: &aad, padding: None, mode };
            let request = EncryptRequest { version: None, form: EncryptForm::Raw(raw) };
            let (caller, id) = (&call.session()?.caller, key.entry.record().id);
            let made =
                state.engine.encrypt_with(caller, id, &request, message.expose(), &mut out)?;
            made.parts
        }
        Under::Agreed(usable) => {
            let mut nonce = [0; BLOCK_BYTES];
            let nonce = nonce.get_mut(..nonce_bytes).ok_or(Failure::Internal)?;
            state.entropy.fill(nonce).map_err(EngineError::from)?;
            let params =
                EncryptParams { nonce: Nonce::Explicit(nonce), aad: &aad, padding: None, mode };
            let made = usable.encrypt_with(&*state.entropy, &params, message.expose(), &mut out);
            made.map_err(EngineError::from)?
        }
    };
    let part = |range| b64::encode(out.get(range).unwrap_or_default());
    let mut answer = Map::new();
    answer.insert("ciphertext".to_owned(), json!(part(parts.ciphertext)));
    if !parts.nonce.is_empty() {
        answer.insert("iv".to_owned(), json!(part(parts.nonce)));
    }
    if !parts.tag.is_empty() {
        answer.insert("tag".to_owned(), json!(part(parts.tag)));
    }
    Ok(Answer::json(&Value::Object(answer)))
}

pub(crate) fn decrypt(state: &Arc<State>, call: &Arc<Call>) -> Work {
    Work::Now(decrypted(state, call))
}

fn decrypted(state: &State, call: &Call) -> Outcome {
    // Padding adds up to a block.
    let message = call.body.required_bytes("msg", MESSAGE_BYTES_MAX + BLOCK_BYTES)?;
    let Sealing { wanted, mode, aad } = Sealing::of(call)?;
    let exactly = |name: &str| -> Result<SecretVec, Failure> {
        let bytes = call.body.required_bytes(name, BLOCK_BYTES)?;
        if bytes.len() == BLOCK_BYTES { Ok(bytes) } else { Err(Failure::BadArgument) }
    };
    let iv = match mode {
        CipherMode::Cbc | CipherMode::Gcm => Some(exactly("iv")?),
        CipherMode::Ecb => None,
    };
    let tag = match mode {
        CipherMode::Gcm => Some(exactly("tag")?),
        CipherMode::Cbc | CipherMode::Ecb => None,
    };
    if mode == CipherMode::Ecb && !message.len().is_multiple_of(BLOCK_BYTES) {
        return Err(Failure::BadArgument);
    }
    let under = wanted.under(state, call, (CIPHER_INFO, Permission::KeysUseDecrypt))?;
    let params = DecryptParams {
        nonce: iv.as_ref().map(SecretVec::expose),
        tag: tag.as_ref().map(SecretVec::expose),
        aad: &aad,
        padding: None,
        mode: Some(mode),
    };
    // Without a vector the whole message is the ciphertext.
    let params = match mode {
        CipherMode::Ecb => DecryptParams { nonce: Some(&[]), ..params },
        CipherMode::Cbc | CipherMode::Gcm => params,
    };
    let plaintext = match under {
        Under::Stored(key) => {
            let request = DecryptRequest { version: None, form: DecryptForm::Raw(params) };
            let (caller, id) = (&call.session()?.caller, key.entry.record().id);
            state.engine.decrypt_with(caller, id, &request, message.expose())?
        }
        Under::Agreed(usable) => {
            usable.decrypt_with(&params, message.expose()).map_err(EngineError::from)?
        }
    };
    Ok(secret_answer("plaintext", plaintext.expose()))
}

fn secret_answer(name: &str, bytes: &[u8]) -> Answer {
    let text = Zeroizing::new(b64::encode(bytes));
    // Base64 needs no escapes.
    let body = Zeroizing::new(format!("{{\"{name}\":\"{}\"}}", text.as_str()));
    Answer::raw_json(body.as_bytes())
}

/// What both ways of wrapping have in common.
struct Wrapping {
    message: SecretVec,
    wanted: Wanted,
    /// Where wrapping begins, if not where the standard says (RFC 3394 section 2.2.3).
    initial: Option<[u8; INITIAL_VALUE_BYTES]>,
}

impl Wrapping {
    fn of(call: &Call, most: usize) -> Result<Self, Failure> {
        let message = call.body.required_bytes("msg", most)?;
        if message.is_empty() || !message.len().is_multiple_of(HALF_BLOCK_BYTES) {
            return Err(Failure::BadArgument);
        }
        let size = match call.body.text("alg")? {
            None => None,
            Some(name) => Some(size_named(name).ok_or(Failure::BadArgument)?),
        };
        let wanted = Wanted::of(call, size)?;
        let initial = call.body.bytes("iv", INITIAL_VALUE_BYTES)?;
        let initial = initial.map(|initial| initial.expose().try_into());
        let initial = initial.transpose().map_err(|_| Failure::BadArgument)?;
        Ok(Self { message, wanted, initial })
    }
}

pub(crate) fn wrap(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let Wrapping { message, wanted, initial } = Wrapping::of(call, MESSAGE_BYTES_MAX)?;
        let (message, initial) = (message.expose(), initial.as_ref());
        let wrapped = match wanted.under(state, call, (WRAP_INFO, Permission::KeysUseWrap))? {
            Under::Stored(key) => {
                let (caller, id) = (&call.session()?.caller, key.entry.record().id);
                state.engine.wrap_from(caller, id, None, initial, message)?.1
            }
            Under::Agreed(usable) => {
                let wrapped = match initial {
                    Some(initial) => usable.wrap_from(initial, message),
                    None => usable.wrap(message),
                };
                wrapped.map_err(EngineError::from)?
            }
        };
        Ok(Answer::json(&json!({ "wrapped": b64::encode(&wrapped) })))
    };
    Work::Now(work())
}

pub(crate) fn unwrap(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let work = || {
        let most = MESSAGE_BYTES_MAX + HALF_BLOCK_BYTES;
        let Wrapping { message, wanted, initial } = Wrapping::of(call, most)?;
        let (message, initial) = (message.expose(), initial.as_ref());
        let unwrapped = match wanted.under(state, call, (WRAP_INFO, Permission::KeysUseWrap))? {
            Under::Stored(key) => {
                let (caller, id) = (&call.session()?.caller, key.entry.record().id);
                state.engine.unwrap_from(caller, id, None, initial, message)?
            }
            Under::Agreed(usable) => {
                let unwrapped = match initial {
                    Some(initial) => usable.unwrap_from(initial, message),
                    None => usable.unwrap(message),
                };
                unwrapped.map_err(EngineError::from)?
            }
        };
        Ok(secret_answer("unwrapped", unwrapped.expose()))
    };
    Work::Now(work())
}
