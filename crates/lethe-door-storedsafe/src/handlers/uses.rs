//! Uses of named keys: encrypt, decrypt, rewrap, data keys.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lethe_crypto::registry::DecryptParams;
use lethe_engine::record::KeyRecord;
use lethe_engine::{
    DecryptForm, DecryptRequest, EncryptForm, EncryptRequest, EngineError, KeyEntry, RawEncrypt,
};
use lethe_types::SecretVec;
use zeroize::Zeroizing;

use super::keys::{Wanted, make};
use super::{Named, key, key_name, named, refuse, vault};
use crate::account::Level;
use crate::call::{Call, Outcome, Work};
use crate::ciphertext;
use crate::envelope::{Answer, Field};
use crate::error::Failure;
use crate::state::State;

/// Largest body that is worked on by the thread that serves its connection, in bytes. One of this
/// size takes about a hundred microseconds.
const INLINE_BODY_BYTES_MAX: usize = 65_536;

/// Runs `work` here if the body is small, and else on the pool for blocking work.
fn by_size(
    state: &Arc<State>,
    call: &Arc<Call>,
    work: impl FnOnce(&State, &Call) -> Outcome + Send + 'static,
) -> Work {
    if call.request.body.len() <= INLINE_BODY_BYTES_MAX {
        return work(state, call).into();
    }
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::blocking(move || work(&state, &call))
}

pub(crate) fn encrypt(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let found = match to_encrypt_with(state, call) {
        Ok(found) => found,
        Err(failure) => return Err(failure).into(),
    };
    let Some(entry) = found else { return encrypt_with_new(state, call) };
    by_size(state, call, move |state, call| {
        let plaintext = base64_of(call, "plaintext")?;
        encrypt_now(state, call, &entry, &plaintext)
    })
}

/// The key of the path; `None` if it has to be made first, which the caller may.
fn to_encrypt_with(state: &State, call: &Call) -> Result<Option<Arc<KeyEntry>>, Failure> {
    let name = key_name(state, call)?;
    let (vault, level) = vault(state, call, Level::Read)?;
    match named(state, vault.id, name) {
        Named::Live(entry, _) => Ok(Some(entry)),
        Named::Gone | Named::Never if level >= Level::Write => Ok(None),
        Named::Gone | Named::Never => {
            Err(refuse(state, call, Some(vault.id), EngineError::ItemNotFound("key")))
        }
    }
}

fn encrypt_with_new(state: &Arc<State>, call: &Arc<Call>) -> Work {
    let (state, call) = (Arc::clone(state), Arc::clone(call));
    Work::later(async move {
        // Everything that can be wrong is looked at before anything is made.
        let plaintext = base64_of(&call, "plaintext")?;
        let wanted = Wanted::implicit(&call)?;
        let name = key_name(&state, &call)?;
        let (vault, _) = vault(&state, &call, Level::Write)?;
        if call.body.number("key_version")?.is_some() {
            return Err(refuse(&state, &call, Some(vault.id), EngineError::ItemNotFound("key")));
        }
        let was_deleted = matches!(named(&state, vault.id, name), Named::Gone);
        let entry = make(&state, &call, &vault, name, &wanted, Vec::new()).await?;
        let answer = encrypt_now(&state, &call, &entry, &plaintext)?;
        Ok(wanted.notices(answer.notice("KEY CREATED"), was_deleted))
    })
}

fn encrypt_now(state: &State, call: &Call, entry: &KeyEntry, plaintext: &[u8]) -> Outcome {
    let record = entry.record();
    let request = raw_encrypt(version_of(call, "key_version", record)?);
    let mut made = Vec::new();
    let encrypted =
        state.engine.encrypt_with(call.caller()?, record.id, &request, plaintext, &mut made)?;
    Ok(Answer::ok()
        .info("ciphertext", ciphertext::write(encrypted.version, &made))
        .info("key_version", encrypted.version.to_string())
        .info("name", call.param("name")))
}

pub(crate) fn decrypt(state: &Arc<State>, call: &Arc<Call>) -> Work {
    by_size(state, call, |state, call| {
        let (entry, key_type) = key(state, call, Level::Read)?;
        let record = entry.record();
        let (number, bytes) = ciphertext::parse(call.body.needed("ciphertext")?, key_type)?;
        let version = known_version(u64::from(number), record)?;
        let request = raw_decrypt(version);
        let plaintext = state.engine.decrypt_with(call.caller()?, record.id, &request, &bytes)?;
        Ok(Answer::ok()
            .info("key_version", number.to_string())
            .info("name", call.param("name"))
            .info("plaintext", base64_secret(&plaintext)))
    })
}

pub(crate) fn rewrap(state: &Arc<State>, call: &Arc<Call>) -> Work {
    by_size(state, call, |state, call| {
        let (entry, key_type) = key(state, call, Level::Read)?;
        let record = entry.record();
        let (number, bytes) = ciphertext::parse(call.body.needed("ciphertext")?, key_type)?;
        let from = raw_decrypt(known_version(u64::from(number), record)?);
        let to = raw_encrypt(version_of(call, "to_version", record)?);
        let (caller, id) = (call.caller()?, record.id);
        let mut made = Vec::new();
        let encrypted =
            state.engine.re_encrypt(caller, (id, &from), &bytes, (id, &to), &mut made)?;
        Ok(Answer::ok()
            .info("ciphertext", ciphertext::write(encrypted.version, &made))
            .info("key_version", encrypted.version.to_string())
            .info("objectid", id.to_string()))
    })
}

pub(crate) fn data_key(state: &Arc<State>, call: &Arc<Call>) -> Work {
    by_size(state, call, |state, call| {
        let is_shown = match call.param("type") {
            "wrapped" => false,
            "plaintext" => true,
            _ => return Err(Failure::parameter("type")),
        };
        let needed = if is_shown { Level::Write } else { Level::Read };
        let (entry, _) = key(state, call, needed)?;
        let record = entry.record();
        let bytes = match call.body.number("bits")? {
            None | Some(256) => 32,
            Some(128) => 16,
            Some(512) => 64,
            Some(_) => return Err(Failure::parameter("bits")),
        };
        let request = raw_encrypt(version_of(call, "key_version", record)?);
        let mut made = Vec::new();
        let (encrypted, data_key) =
            state.engine.data_key(call.caller()?, record.id, &request, bytes, &mut made)?;
        let answer = Answer::ok()
            .info("ciphertext", ciphertext::write(encrypted.version, &made))
            .info("key_version", encrypted.version.to_string())
            .info("objectid", record.id.to_string());
        Ok(if is_shown { answer.info("plaintext", base64_secret(&data_key)) } else { answer })
    })
}

/// The version that the request names, if it names one; one that the key has.
fn version_of(call: &Call, name: &str, record: &KeyRecord) -> Result<Option<u32>, Failure> {
    let number = call.body.number(name)?;
    number.map(|number| known_version(number, record)).transpose()
}

fn known_version(number: u64, record: &KeyRecord) -> Result<u32, Failure> {
    let known = record.versions.iter().find(|version| u64::from(version.number) == number);
    known.map(|version| version.number).ok_or_else(Failure::no_such_version)
}

const fn raw_encrypt(version: Option<u32>) -> EncryptRequest<'static> {
    let raw =
        RawEncrypt { nonce: lethe_engine::RawNonce::Random, aad: b"", padding: None, mode: None };
    EncryptRequest { version, form: EncryptForm::Raw(raw) }
}

const fn raw_decrypt(version: u32) -> DecryptRequest<'static> {
    let raw = DecryptParams { nonce: None, tag: None, aad: b"", padding: None, mode: None };
    DecryptRequest { version: Some(version), form: DecryptForm::Raw(raw) }
}

/// The bytes of a member in strict base64. It may be empty, but must be there.
fn base64_of(call: &Call, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let text = call.body.needed(name)?;
    let mut bytes = Zeroizing::new(vec![0; text.len() / 4 * 3 + 3]);
    let length = STANDARD.decode_slice(text, &mut bytes).map_err(|_| Failure::parameter(name))?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The base64 of a secret, as a member.
pub(crate) fn base64_secret(secret: &SecretVec) -> Field {
    let length = secret.len().div_ceil(3) * 4;
    let mut text = vec![0; length];
    STANDARD.encode_slice(secret.expose(), &mut text).expect("the room was computed");
    Field::Secret(SecretVec::from_vec(text))
}
