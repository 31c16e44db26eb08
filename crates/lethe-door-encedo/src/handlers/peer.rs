//! The other side of an agreement, as requests name it: a key here, or a public key.

use lethe_crypto::registry::PublicFormat;
use lethe_engine::{AgreedForm, Caller, PeerKey};
use lethe_types::SecretVec;

use crate::call::Call;
use crate::error::Failure;
use crate::key::Key;
use crate::kid::Kid;
use crate::state::State;

/// Longest public key of a curve that agrees: an uncompressed point of P-521.
const PUBLIC_KEY_BYTES_MAX: usize = 133;

/// How a request names the other side.
pub(crate) enum Named {
    /// By the identifier of a key here.
    Kid(Kid),
    /// By itself.
    Public(Vec<u8>),
}

impl Named {
    /// What a request names, if it names anybody; an identifier goes before a public key.
    ///
    /// # Errors
    /// [`Failure::BadArgument`].
    pub(crate) fn of(call: &Call) -> Result<Option<Self>, Failure> {
        let public = call.body.bytes("pubkey", PUBLIC_KEY_BYTES_MAX)?;
        Ok(match call.body.kid("ext_kid")? {
            Some(kid) => Some(Self::Kid(kid)),
            None => public.map(|public| Self::Public(public.expose().to_vec())),
        })
    }

    /// The public key, if it is on the curve of `key`.
    ///
    /// # Errors
    /// [`Failure::NotDone`].
    pub(crate) fn resolve(&self, state: &State, key: &Key) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Kid(kid) => {
                let other = state.key(*kid).ok_or(Failure::NotDone)?;
                if other.key_type.name != key.key_type.name {
                    return Err(Failure::NotDone);
                }
                // It is named by who may use `key`, and is no secret.
                let id = other.entry.record().id;
                let (_, public) = state.engine.public_key(&state.own, id, None)?;
                Ok(public.raw().to_vec())
            }
            Self::Public(bytes) => {
                let algorithm = key.key_type.algorithm()?;
                let public = algorithm.import_public(PublicFormat::Raw, bytes);
                Ok(public.map_err(|_| Failure::NotDone)?.raw().to_vec())
            }
        }
    }
}

/// # Errors
/// [`Failure::NotDone`] for a key that is not for agreement.
pub(crate) fn check_agrees(key: &Key) -> Result<(), Failure> {
    if key.has_flag("ECDH") { Ok(()) } else { Err(Failure::NotDone) }
}

/// What a key and the other side agree on, in a form.
///
/// # Errors
/// [`Failure::NotDone`]; the engine's.
pub(crate) fn agree(
    state: &State,
    caller: &Caller,
    (key, other): (&Key, &Named),
    form: &AgreedForm<'_>,
) -> Result<SecretVec, Failure> {
    check_agrees(key)?;
    let peer = other.resolve(state, key)?;
    let id = key.entry.record().id;
    Ok(state.engine.agree_with(caller, id, None, &PeerKey::raw(&peer), form)?.1)
}
